//! The codec: PUBLISH both ways, by version, QoS and payload, and PUBACK.
//!
//! One packet at a time, in the server's role, from and into memory that is warm.

use divan::{Bencher, black_box, counter::BytesCount};
use primer_mqtt::{
    ReasonCode, Version,
    codec::{
        self, AckKind, Decoded, PublishFrame, Role, Rules, encode_ack,
        packet::{PacketId, QoS},
    },
};

/// Version, QoS, payload bytes.
const CASES: [(Version, QoS, usize); 8] = [
    (Version::V311, QoS::AtMostOnce, 64),
    (Version::V311, QoS::AtMostOnce, 1024),
    (Version::V311, QoS::AtLeastOnce, 64),
    (Version::V311, QoS::AtLeastOnce, 1024),
    (Version::V5, QoS::AtMostOnce, 64),
    (Version::V5, QoS::AtMostOnce, 1024),
    (Version::V5, QoS::AtLeastOnce, 64),
    (Version::V5, QoS::AtLeastOnce, 1024),
];

fn main() {
    // As many calls a sample that the clock's precision does not show; `--sample-size` still has its say.
    divan::Divan::default().sample_size(1000).config_with_args().main();
}

fn frame(qos: QoS, payload: &[u8]) -> PublishFrame<'_> {
    PublishFrame {
        dup: false,
        qos,
        retain: false,
        topic: "bench/topic",
        packet_id: PacketId::new(7),
        topic_alias: None,
        expiry: None,
        subscription_ids: &[],
        forward: &[],
        payload,
    }
}

const fn rules(version: Version) -> Rules {
    Rules { role: Role::Server, version: Some(version), max_packet_size: 1 << 20 }
}

fn is_packet(bytes: &[u8], rules: &Rules) -> bool {
    matches!(codec::decode(black_box(bytes), rules), Ok(Decoded::Packet { .. }))
}

#[divan::bench(args = CASES)]
fn decode_publish(bencher: Bencher<'_, '_>, (version, qos, payload_len): (Version, QoS, usize)) {
    let mut bytes = Vec::new();
    frame(qos, &vec![b'x'; payload_len]).encode(version, &mut bytes);
    let rules = rules(version);
    assert!(is_packet(&bytes, &rules));
    bencher.counter(BytesCount::new(bytes.len())).bench_local(|| is_packet(&bytes, &rules));
}

/// A PUBLISH of 5.0 with two user properties.
#[divan::bench]
fn decode_publish_with_properties(bencher: Bencher<'_, '_>) {
    let property = [&[0x26, 0, 3][..], b"key", &[0, 5], b"value"].concat().repeat(2);
    let mut bytes = Vec::new();
    PublishFrame { forward: &property, ..frame(QoS::AtLeastOnce, &[b'x'; 64]) }.encode(Version::V5, &mut bytes);
    let rules = rules(Version::V5);
    assert!(is_packet(&bytes, &rules));
    bencher.counter(BytesCount::new(bytes.len())).bench_local(|| is_packet(&bytes, &rules));
}

#[divan::bench(args = CASES)]
fn encode_publish(bencher: Bencher<'_, '_>, (version, qos, payload_len): (Version, QoS, usize)) {
    let payload = vec![b'x'; payload_len];
    let frame = frame(qos, &payload);
    let mut out = Vec::with_capacity(2048);
    bencher.counter(BytesCount::new(frame.encoded_len(version))).bench_local(|| {
        out.clear();
        black_box(&frame).encode(version, &mut out);
        out.len()
    });
}

#[divan::bench(args = [Version::V311, Version::V5])]
fn decode_puback(bencher: Bencher<'_, '_>, version: Version) {
    let rules = rules(version);
    assert!(is_packet(&[0x40, 2, 0, 7], &rules));
    bencher.bench_local(|| is_packet(&[0x40, 2, 0, 7], &rules));
}

#[divan::bench]
fn encode_puback(bencher: Bencher<'_, '_>) {
    let packet_id = PacketId::new(7).expect("7 is an identifier");
    let mut out = Vec::with_capacity(64);
    bencher.bench_local(|| {
        out.clear();
        encode_ack(AckKind::PubAck, black_box(packet_id), ReasonCode::SUCCESS, Version::V311, &mut out);
        out.len()
    });
}
