//! What a fuzzer runs: plain functions over bytes, which panic when the codec is wrong. A bounded run of them is part
//! of the codec's own tests.

use crate::generate::{Sample, Source, VERSIONS, kinds};
use primer_mqtt::{
    Version,
    codec::{
        Decoded, PublishFrame, Role, Rules, decode, encode,
        packet::{Filters, Packet, Publish},
        properties::{Properties, Property},
    },
};

/// A stream of bytes from a client, as a server reads it. The first byte chooses the version (or none, before
/// CONNECT), the second the maximum packet size.
pub fn decode_server(data: &[u8]) {
    decode_stream(data, Role::Server);
}

/// A stream of bytes from a server, as a client reads it.
pub fn decode_client(data: &[u8]) {
    decode_stream(data, Role::Client);
}

/// A valid packet, made by the choices in `data`: it comes back as it was, and no shorter piece of it is a packet.
pub fn roundtrip(data: &[u8]) {
    let mut source = Source::new(data);
    let version = source.pick(&VERSIONS);
    let sender = source.pick(&[Role::Client, Role::Server]);
    let kind = source.pick(&kinds(sender, version));
    let sample = Sample::new(kind, version, sender, &mut source);
    check_roundtrip(&sample, sender);
}

/// Encodes, decodes and compares; then looks at every shorter piece.
pub fn check_roundtrip(sample: &Sample, sender: Role) {
    let packet = sample.packet();
    let receiver = if sender == Role::Server { Role::Client } else { Role::Server };
    let rules = rules(&packet, sample.version, receiver);
    let mut bytes = vec![0xAA];
    encode(&packet, sample.version, &mut bytes).expect("a valid packet has an encoding");
    assert_eq!(bytes.remove(0), 0xAA, "encoding appends");
    let decoded = decode(&bytes, &rules).expect("what we encode is valid");
    assert_eq!(decoded, Decoded::Packet { packet: packet.clone(), len: bytes.len() });
    check_packet(&packet, sample.version, receiver);
    let total = bytes.len();
    for len in (0..total).filter(|&len| len < 64 || len % 97 == 0 || total - len < 8) {
        let piece = bytes.get(..len).expect("a prefix");
        match decode(piece, &rules) {
            Ok(Decoded::Incomplete { need }) => {
                assert!(need.is_none_or(|need| need == total), "{need:?} of {total}");
            }
            other => panic!("{len} of {total} bytes are {other:?}"),
        }
    }
    bytes.extend_from_slice(&[0x30, 0xFF]);
    assert_eq!(decode(&bytes, &rules), Ok(Decoded::Packet { packet, len: total }), "the next packet is left alone");
}

fn decode_stream(data: &[u8], role: Role) {
    let [choice, size, stream @ ..] = data else {
        return;
    };
    let mut rules = Rules {
        role,
        version: [None, Some(Version::V31), Some(Version::V311), Some(Version::V5)]
            .get(usize::from(choice % 4))
            .copied()
            .flatten(),
        max_packet_size: if size % 2 == 1 { u32::from(*size) } else { u32::MAX },
    };
    let mut rest = stream;
    loop {
        match decode(rest, &rules) {
            Ok(Decoded::Packet { packet, len }) => {
                assert!(len >= 2 && u32::try_from(len).is_ok_and(|len| len <= rules.max_packet_size));
                if let Packet::Connect(connect) = &packet {
                    rules.version = Some(connect.version);
                }
                let version = rules.version.expect("known since CONNECT");
                check_packet(&packet, version, role);
                rest = rest.get(len..).expect("a packet is within its buffer");
            }
            Ok(Decoded::Incomplete { need }) => {
                assert!(need.is_none_or(|need| need > rest.len()), "{need:?} of {} bytes", rest.len());
                return;
            }
            Err(violation) => {
                assert!(violation.reason.is_error() && violation.clause.starts_with("MQTT"), "{violation:?}");
                return;
            }
        }
    }
}

fn rules(packet: &Packet<'_>, version: Version, role: Role) -> Rules {
    let version = if matches!(packet, Packet::Connect(_)) { None } else { Some(version) };
    Rules { role, version, max_packet_size: u32::MAX }
}

/// A decoded packet can be encoded, and decodes to the same; its lists have what they say.
fn check_packet(packet: &Packet<'_>, version: Version, receiver: Role) {
    let mut bytes = Vec::new();
    encode(packet, version, &mut bytes).expect("a decoded packet has an encoding");
    let again = decode(&bytes, &rules(packet, version, receiver)).expect("a decoded packet is valid");
    assert_eq!(again, Decoded::Packet { packet: packet.clone(), len: bytes.len() });
    match packet {
        Packet::Connect(connect) => {
            check_properties(connect.properties);
            connect.will.iter().for_each(|will| check_properties(will.properties));
        }
        Packet::Publish(publish) => check_publish(publish, version, receiver, bytes.len()),
        Packet::Subscribe(subscribe) => check_filters(subscribe.filters),
        Packet::Unsubscribe(unsubscribe) => check_filters(unsubscribe.filters),
        Packet::ConnAck(connack) => check_properties(connack.properties),
        Packet::Disconnect(outcome) | Packet::Auth(outcome) => check_properties(outcome.properties),
        Packet::PubAck(ack) | Packet::PubRec(ack) | Packet::PubRel(ack) | Packet::PubComp(ack) => {
            check_properties(ack.properties);
        }
        Packet::SubAck(answer) | Packet::UnsubAck(answer) => check_properties(answer.properties),
        Packet::PingReq | Packet::PingResp => {}
    }
    assert!(!format!("{packet:?}").is_empty());
}

/// Building what a block lists gives the block.
fn check_properties(properties: Properties<'_>) {
    let mut built = primer_mqtt::codec::properties::PropertiesBuf::new();
    built.extend(properties.iter());
    assert_eq!(built.as_properties(), properties);
}

fn check_filters(filters: Filters<'_>) {
    assert_eq!(filters.iter().count(), filters.len());
    assert!(!filters.is_empty());
}

/// The frame that forwards a message is as long as it says, and is read as what it was made from.
fn check_publish(publish: &Publish<'_>, version: Version, receiver: Role, len: usize) {
    check_properties(publish.properties);
    let forward = publish.properties.forwardable().collect::<Vec<_>>().concat();
    assert_eq!(forward == publish.properties.as_bytes(), publish.forwards_unchanged);
    let subscription_ids: Vec<u32> = publish.properties.subscription_ids().collect();
    let frame = PublishFrame {
        dup: publish.dup,
        qos: publish.qos,
        retain: publish.retain,
        topic: publish.topic,
        packet_id: publish.packet_id,
        topic_alias: publish.topic_alias,
        expiry: publish.expiry,
        subscription_ids: &subscription_ids,
        forward: &forward,
        payload: publish.payload,
    };
    let mut bytes = Vec::new();
    frame.encode(version, &mut bytes);
    assert_eq!(bytes.len(), frame.encoded_len(version));
    assert_eq!(bytes.len(), len, "the same properties in another order");
    let rules = Rules { role: receiver, version: Some(version), max_packet_size: u32::MAX };
    let Ok(Decoded::Packet { packet: Packet::Publish(got), .. }) = decode(&bytes, &rules) else {
        panic!("a frame is a PUBLISH");
    };
    assert_eq!(Publish { properties: publish.properties, ..got }, *publish);
    let forwarded = |property: &Property<'_>| {
        !matches!(property, Property::TopicAlias(_) | Property::MessageExpiry(_) | Property::SubscriptionId(_))
    };
    assert!(got.properties.iter().filter(forwarded).eq(publish.properties.iter().filter(forwarded)));
}
