//! Packet identifiers (2.2.1) and the property length (2.2.2).

use std::collections::HashSet;

use primer_harness::wire::{Ack, binary, frame, publish, pubrel, subscribe, unsubscribe};
use primer_harness::{Client, Packet, Received};

use crate::fixture::{MALFORMED, PROTOCOL_ERROR, V, assert_not_let_in, assert_takes, broker, opened};

/// SUBSCRIBE, UNSUBSCRIBE and PUBLISH above QoS 0 with identifier zero close the connection [MQTT-2.2.1-3]; with the
/// least and the greatest other one they are answered, and the answer repeats it [MQTT-2.2.1-5] [MQTT-2.2.1-6].
#[test]
fn identifier_zero_closes_the_connection() {
    let broker = broker();
    let requests = |pid: u16| {
        [
            (subscribe(V, pid, &[("pid/t", 1)]), 0x90),
            (unsubscribe(V, pid, &["pid/t"]), 0xb0),
            (publish(V, "pid/t", b"").qos(1, pid).build(), 0x40),
            (publish(V, "pid/t", b"").qos(2, pid).build(), 0x50),
        ]
    };
    for (request, _) in requests(0) {
        let mut raw = opened(broker.addr(), "pid-zero");
        raw.send(&request);
        let reason = raw.expect_refused(true);
        assert!(reason.is_some_and(|reason| [MALFORMED, PROTOCOL_ERROR].contains(&reason)), "{reason:02x?}");
    }
    for pid in [1, 0x0102, u16::MAX] {
        for (request, first_byte) in requests(pid) {
            let mut raw = opened(broker.addr(), "pid-right");
            raw.send(&request);
            let answer = raw.recv_packet().unwrap_or_default();
            assert_eq!((answer[0], &answer[2..4]), (first_byte, &pid.to_be_bytes()[..]));
        }
    }
}

/// PUBACK, PUBREC, PUBREL and PUBCOMP repeat the identifier of their PUBLISH [MQTT-2.2.1-5], and SUBACK and UNSUBACK
/// that of the request [MQTT-2.2.1-6], whatever else is under way.
#[test]
fn answers_repeat_the_identifier() {
    let broker = broker();
    let mut raw = opened(broker.addr(), "pid-acks");
    let requests = [
        publish(V, "pid/acks", b"a").qos(2, 0x0102).build(),
        publish(V, "pid/acks", b"b").qos(1, 0x0201).build(),
        subscribe(V, 0xabcd, &[("pid/sub", 0)]),
        publish(V, "pid/acks", b"c").qos(2, 0xfffe).build(),
        unsubscribe(V, 0x00ff, &["pid/sub"]),
    ];
    raw.send(&requests.concat());
    let mut got: Vec<(u8, u16)> = (0..5)
        .filter_map(|_| raw.recv_packet())
        .map(|packet| (packet[0], u16::from_be_bytes([packet[2], packet[3]])))
        .collect();
    got.sort_unstable();
    let wanted = [(0x40, 0x0201), (0x50, 0x0102), (0x50, 0xfffe), (0x90, 0xabcd), (0xb0, 0x00ff)];
    assert_eq!(got, wanted);
    for pid in [0xfffe, 0x0102_u16] {
        raw.send(&pubrel(pid));
        let answer = raw.recv(true);
        assert!(matches!(answer, Packet::Ack { kind: Ack::Pubcomp, pid: theirs, .. } if theirs == pid), "{answer:?}");
    }

    let mut receiver = Client::v5(broker.addr(), "pid-rel");
    receiver.manual_ack();
    receiver.subscribe("pid/rel", 2);
    for payload in ["a", "b"] {
        receiver.publish("pid/rel", payload, 2);
    }
    let pids: Vec<u16> = receiver.recv_publishes(2).iter().filter_map(|message| message.pid).collect();
    for pid in pids.into_iter().rev() {
        receiver.send_ack(Ack::Pubrec, pid);
        let answer = receiver.await_other(|packet| matches!(packet, Packet::Ack { .. }));
        assert!(matches!(answer, Packet::Ack { kind: Ack::Pubrel, pid: theirs, .. } if theirs == pid), "{answer:?}");
    }
}

/// The broker gives each new PUBLISH above QoS 0 an identifier that is free and not zero [MQTT-2.2.1-4]; those of the
/// two directions do not disturb one another.
#[test]
fn identifiers_of_the_broker_are_free_and_not_zero() {
    const COUNT: u16 = 300;
    let broker = broker();
    let mut receiver = Client::v5(broker.addr(), "pid-free");
    receiver.manual_ack();
    receiver.subscribe("pid/free", 2);
    let packets: Vec<u8> =
        (1..=COUNT).flat_map(|pid| publish(V, "pid/free", b"").qos(1 + (pid % 2) as u8, pid).build()).collect();
    receiver.send(&packets);
    let pids: HashSet<u16> =
        receiver.recv_publishes(usize::from(COUNT)).iter().filter_map(|message| message.pid).collect();
    assert_eq!((pids.len(), pids.contains(&0)), (usize::from(COUNT), false));
}

/// A QoS 0 PUBLISH has no identifier: behind the topic come the properties, both ways [MQTT-2.2.1-2].
#[test]
fn a_qos_0_publish_has_no_identifier() {
    let broker = broker();
    let mut raw = opened(broker.addr(), "pid-none");
    raw.send(&subscribe(V, 1, &[("pid/none", 2)]));
    raw.expect(&[0x90, 4, 0, 1, 0, 2]);
    raw.send(b"\x30\x0f\x00\x08pid/none\x00\x00\x01\x00\x02");
    raw.expect(b"\x30\x0f\x00\x08pid/none\x00\x00\x01\x00\x02");
    raw.expect_alive();
}

/// A packet without properties has a property length of zero [MQTT-2.2.2-1]: the broker writes it, and a client's
/// packet that has none is malformed.
#[test]
fn a_packet_without_properties_has_their_length() {
    let broker = broker();
    let mut raw = opened(broker.addr(), "plen");
    raw.send(&subscribe(V, 1, &[("plen/t", 1)]));
    raw.expect(&[0x90, 4, 0, 1, 0, 1]);
    raw.send(&publish(V, "plen/t", b"x").build());
    raw.expect(b"\x30\x0a\x00\x06plen/t\x00x");
    raw.send(&unsubscribe(V, 2, &["plen/t"]));
    raw.expect(&[0xb0, 4, 0, 2, 0, 0]);

    for packet in [
        frame(0x30, b"\x00\x06plen/t"),
        frame(0x32, b"\x00\x06plen/t\x00\x01"),
        frame(0x82, &[&[0, 1], &binary(b"plen/t")[..], &[0]].concat()),
        frame(0xa2, &[&[0, 1], &binary(b"plen/t")[..]].concat()),
    ] {
        let mut raw = opened(broker.addr(), "plen-none");
        raw.send(&packet);
        assert!(raw.expect_refused(true).is_some(), "{packet:02x?}");
    }
    let id = binary(b"plen-connect");
    let head = b"\x00\x04MQTT\x05\x02\x00\x3c";
    assert_not_let_in(broker.addr(), &frame(0x10, &[&head[..], &id].concat()), &[MALFORMED]);
    let mut raw = crate::fixture::knock(broker.addr(), &frame(0x10, &[&head[..], &[0], &id].concat()));
    assert!(matches!(raw.recv_within(primer_harness::TIMEOUT), Received::Packet(packet) if packet[3] == 0));
    assert_takes(broker.addr(), b"\x30\x09\x00\x06plen/t\x00");
}
