//! The session machine on a connection that is up: publishes to the client into its buffer, and the client's answers.
//!
//! The messages' queue is measured apart (`primer-core`, `queue`).

use divan::{Bencher, black_box};
use primer_core::{
    backlog::Position,
    commit::{Committed, Notifier, Outcome},
};
use primer_mqtt::{
    ReasonCode, Version,
    codec::{
        packet::{Ack, Connect, Packet, PacketId, Publish, QoS},
        properties::Properties,
    },
    session::{Delivery, Greeting, Opening, Sent, ServerOptions, Session, Step, Terms},
};

const TOPIC: &str = "bench/topic";
const PAYLOAD: [u8; 64] = [b'x'; 64];
/// The buffer is emptied when it has this much, as a connection does that writes it.
const BUFFER_BYTES: usize = 64 * 1024;

fn main() {
    // As many calls a sample that the clock's precision does not show; `--sample-size` still has its say.
    divan::Divan::default().sample_size(1000).config_with_args().main();
}

fn delivery(qos: QoS) -> Delivery<'static> {
    Delivery {
        topic: TOPIC,
        forward: &[],
        payload: &PAYLOAD,
        expiry_s: None,
        qos,
        retain: false,
        subscription_ids: &[],
    }
}

fn proof<T>(notifier: &mut Notifier<T>, token: T) -> Committed<T> {
    let ballot = notifier.open(token);
    notifier.close(ballot);
    match notifier.release() {
        Some(Outcome::Committed(proof)) => proof,
        _ => unreachable!("a closed ballot without a refusal is committed"),
    }
}

fn connected(version: Version) -> Session {
    let connect = Connect {
        version,
        clean_start: true,
        keep_alive: 60,
        client_id: "client",
        will: None,
        username: None,
        password: None,
        properties: Properties::EMPTY,
    };
    let options = ServerOptions::default();
    let terms = Terms::negotiate(&connect, &options).expect("nothing special is asked for");
    let mut session = Session::default();
    let opening = proof(&mut Notifier::default(), Opening { session_present: false });
    assert!(session.accept(opening, &terms, &options, Greeting::default(), &mut Vec::new()));
    session
}

fn make_room(out: &mut Vec<u8>) {
    if out.len() >= BUFFER_BYTES {
        out.clear();
    }
}

/// A QoS 0 publish to the client.
#[divan::bench(args = [Version::V311, Version::V5])]
fn send_at_most_once(bencher: Bencher<'_, '_>, version: Version) {
    let mut session = connected(version);
    let mut out = Vec::with_capacity(2 * BUFFER_BYTES);
    bencher.bench_local(|| {
        make_room(&mut out);
        session.send_at_most_once(black_box(&delivery(QoS::AtMostOnce)), &mut out)
    });
}

/// A QoS 1 publish to the client and its PUBACK, with `in_flight` others unacknowledged.
#[divan::bench(args = [0, 64, 511])]
fn send_and_puback(bencher: Bencher<'_, '_>, in_flight: usize) {
    let mut session = connected(Version::V311);
    let mut out = Vec::with_capacity(2 * BUFFER_BYTES);
    let mut next = 0_u16;
    let mut send = move |session: &mut Session| {
        make_room(&mut out);
        next = next.checked_add(1).unwrap_or(1); // as the session counts
        let sent = session.send(black_box(&delivery(QoS::AtLeastOnce)), Position(u64::from(next)), &mut out);
        assert_eq!(sent, Sent::Written);
    };
    (0..in_flight).for_each(|_| send(&mut session));
    let mut oldest = 0_u16;
    bencher.bench_local(|| {
        send(&mut session);
        oldest = oldest.checked_add(1).unwrap_or(1);
        let packet_id = PacketId::new(oldest).expect("it is not 0");
        let ack = Ack { packet_id, reason: ReasonCode::SUCCESS, properties: Properties::EMPTY };
        let step = session.handle(Packet::PubAck(ack), &mut Vec::new());
        assert!(matches!(step, Ok(Step::Delivered { .. })));
    });
}

/// A QoS 1 publish of the client: taken in, committed, acknowledged.
#[divan::bench]
fn take_in_and_acknowledge(bencher: Bencher<'_, '_>) {
    let mut session = connected(Version::V311);
    let mut notifier = Notifier::default();
    let mut out = Vec::with_capacity(2 * BUFFER_BYTES);
    let mut next = 0_u16;
    bencher.bench_local(|| {
        make_room(&mut out);
        next = next.checked_add(1).unwrap_or(1);
        let publish = Publish {
            dup: false,
            qos: QoS::AtLeastOnce,
            retain: false,
            topic: TOPIC,
            packet_id: PacketId::new(next),
            topic_alias: None,
            expiry: None,
            properties: Properties::EMPTY,
            forwards_unchanged: true,
            payload: &PAYLOAD,
        };
        let Ok(Step::Publish { token: Some(token), .. }) = session.handle(Packet::Publish(publish), &mut out) else {
            unreachable!("the window is open");
        };
        session.acknowledge(proof(&mut notifier, token), &mut out);
    });
}
