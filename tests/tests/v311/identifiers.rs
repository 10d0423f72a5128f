//! Packet identifiers (2.3.1): where they stand, that they are not zero, and who repeats them.

use std::collections::{HashSet, VecDeque};

use primer_harness::wire::{Ack, puback, publish, pubrel, subscribe, unsubscribe};
use primer_harness::{Client, Packet, Raw};

use crate::fixture::{V, assert_closes, assert_takes, broker, opened};

/// SUBSCRIBE, UNSUBSCRIBE and PUBLISH above QoS 0 with identifier zero close the connection [MQTT-2.3.1-1]; with the
/// least and the greatest other one they are answered, and the answer repeats it [MQTT-2.3.1-6] [MQTT-2.3.1-7].
#[test]
fn identifier_zero_closes_the_connection() {
    let broker = broker();
    let requests = |pid: u16| {
        let [high, low] = pid.to_be_bytes();
        [
            (subscribe(V, pid, &[("pid/t", 1)]), vec![0x90, 3, high, low, 1]),
            (unsubscribe(V, pid, &["pid/t"]), vec![0xb0, 2, high, low]),
            (publish(V, "pid/t", b"").qos(1, pid).build(), vec![0x40, 2, high, low]),
            (publish(V, "pid/t", b"").qos(2, pid).build(), vec![0x50, 2, high, low]),
        ]
    };
    for (request, _) in requests(0) {
        assert_closes(broker.addr(), &request);
    }
    for (request, answer) in requests(1).into_iter().chain(requests(u16::MAX)) {
        assert_takes(broker.addr(), &request, &answer);
    }
}

/// PUBACK, PUBREC and PUBREL repeat the identifier of their PUBLISH, whatever else is under way [MQTT-2.3.1-6]
/// [MQTT-3.3.4-1].
#[test]
fn acknowledgements_repeat_the_identifier_of_their_publish() {
    let broker = broker();
    let mut raw = opened(broker.addr(), "pid-acks");
    raw.send(&publish(V, "pid/acks", b"a").qos(2, 0x0102).build());
    raw.send(&publish(V, "pid/acks", b"b").qos(1, 0x0201).build());
    raw.send(&publish(V, "pid/acks", b"c").qos(2, 0xfffe).build());
    raw.expect(&[0x50, 2, 1, 2, 0x40, 2, 2, 1, 0x50, 2, 0xff, 0xfe]);
    raw.send(&pubrel(0xfffe));
    raw.expect(&[0x70, 2, 0xff, 0xfe]);
    raw.send(&pubrel(0x0102));
    raw.expect(&[0x70, 2, 1, 2]);

    let mut receiver = Client::v311(broker.addr(), "pid-rel");
    receiver.manual_ack();
    receiver.subscribe("pid/rel", 2);
    let mut sender = Client::v311(broker.addr(), "pid-rel-sender");
    for payload in ["a", "b"] {
        sender.publish("pid/rel", payload, 2);
    }
    let pids: Vec<u16> = receiver.recv_publishes(2).iter().filter_map(|message| message.pid).collect();
    for pid in pids.into_iter().rev() {
        receiver.send_ack(Ack::Pubrec, pid);
        let answer = receiver.await_other(|packet| matches!(packet, Packet::Ack { .. }));
        assert!(matches!(answer, Packet::Ack { kind: Ack::Pubrel, pid: theirs, .. } if theirs == pid), "{answer:?}");
    }
}

/// SUBACK and UNSUBACK repeat the identifier of the request, even where several are under way [MQTT-2.3.1-7]
/// [MQTT-3.8.4-2] [MQTT-3.10.4-4].
#[test]
fn suback_and_unsuback_repeat_the_identifier_of_the_request() {
    let broker = broker();
    let mut raw = opened(broker.addr(), "pid-sub");
    let requests = [
        subscribe(V, 0xabcd, &[("pid/sub/1", 0)]),
        subscribe(V, 0x0001, &[("pid/sub/2", 2)]),
        unsubscribe(V, 0x7fff, &["pid/sub/1"]),
        subscribe(V, 0x0100, &[("pid/sub/3", 1)]),
        unsubscribe(V, 0x00ff, &["pid/sub/2"]),
    ];
    raw.send(&requests.concat());
    raw.expect(&[0x90, 3, 0xab, 0xcd, 0, 0x90, 3, 0, 1, 2, 0xb0, 2, 0x7f, 0xff]);
    raw.expect(&[0x90, 3, 1, 0, 1, 0xb0, 2, 0, 0xff]);
}

/// A QoS 0 PUBLISH has no identifier: behind the topic comes the payload, both ways [MQTT-2.3.1-5] [MQTT-4.3.1-1].
#[test]
fn a_qos_0_publish_has_no_identifier() {
    let broker = broker();
    let mut raw = opened(broker.addr(), "pid-none");
    raw.send(&subscribe(V, 1, &[("pid/none", 2)]));
    raw.expect(&[0x90, 3, 0, 1, 0x02]);
    raw.send(b"\x30\x0e\x00\x08pid/none\x00\x01\x00\x02");
    raw.expect(b"\x30\x0e\x00\x08pid/none\x00\x01\x00\x02");
    raw.send(b"\x30\x0a\x00\x08pid/none");
    raw.expect(b"\x30\x0a\x00\x08pid/none");
    raw.expect_alive();
}

/// The identifiers that the broker gives are not zero and not in use, also after all 65,535 have been used up once
/// while one of them was never freed [MQTT-2.3.1-4] [MQTT-4.3.2-1].
#[test]
fn identifiers_of_the_broker_are_never_zero_and_never_in_use() {
    const BATCH: u16 = 200;
    const BATCHES: u16 = 330;
    let broker = broker();
    let mut receiver = opened(broker.addr(), "pid-turn");
    receiver.send(&subscribe(V, 1, &[("pid/turn", 1)]));
    receiver.expect(&[0x90, 3, 0, 1, 1]);
    let mut sender = opened(broker.addr(), "pid-turn-sender");
    // Never acknowledged is the first; the others are freed a batch later, so that some are always in use.
    let mut in_use: VecDeque<u16> = VecDeque::new();
    let mut held = None;
    let mut seen = HashSet::new();
    for _ in 0..BATCHES {
        let batch: Vec<u8> = (1..=BATCH).flat_map(|pid| publish(V, "pid/turn", b"").qos(1, pid).build()).collect();
        sender.send(&batch);
        for _ in 0..BATCH {
            let pid = pid_of_next(&mut receiver);
            assert!(pid != 0 && Some(pid) != held && !in_use.contains(&pid), "{pid} is not free");
            seen.insert(pid);
            if held.is_none() {
                held = Some(pid);
            } else {
                in_use.push_back(pid);
            }
        }
        let acks: Vec<u8> = (1..=BATCH).flat_map(puback).collect();
        sender.expect(&acks);
        let freed = in_use.len().saturating_sub(50);
        let acks: Vec<u8> = in_use.drain(..freed).flat_map(puback).collect();
        receiver.send(&acks);
    }
    assert!(seen.len() > 60_000, "{} identifiers in {} messages", seen.len(), u32::from(BATCH) * u32::from(BATCHES));
}

#[track_caller]
fn pid_of_next(raw: &mut Raw) -> u16 {
    match raw.recv(false) {
        Packet::Publish(message) => message.pid.unwrap_or(0),
        other => panic!("awaited a PUBLISH, received {other:02x?}"),
    }
}
