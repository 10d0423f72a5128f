//! PUBLISH (3.3): its flags, its topic, and how it is answered.

use primer_harness::wire::{Ack, frame, publish, subscribe};
use primer_harness::{Broker, Client, Launch, Packet, Raw, SILENCE};

use crate::fixture::{V, assert_closes, assert_takes, broker, durable, opened};

/// A QoS 0 PUBLISH with DUP closes the connection [MQTT-3.3.1-2] [MQTT-4.3.1-1] [MQTT-4.8.0-1].
#[test]
fn qos_0_with_dup_closes_the_connection() {
    let broker = broker();
    assert_closes(broker.addr(), &publish(V, "dup/zero", b"x").dup().build());
    assert_closes(broker.addr(), &publish(V, "dup/zero", b"x").dup().retain().build());
    assert_takes(broker.addr(), &publish(V, "dup/zero", b"x").build(), &[]);
    assert_takes(broker.addr(), &publish(V, "dup/one", b"x").qos(1, 1).dup().build(), &[0x40, 2, 0, 1]);
    assert_takes(broker.addr(), &publish(V, "dup/two", b"x").qos(2, 1).dup().build(), &[0x50, 2, 0, 1]);
}

/// What goes to a subscriber for the first time has DUP clear, whatever the publisher's DUP was [MQTT-3.3.1-3]
/// [MQTT-3.3.1-2] [MQTT-4.3.1-1] [MQTT-4.3.2-1] [MQTT-4.3.3-1].
#[test]
fn dup_of_the_publisher_is_not_passed_on() {
    let broker = broker();
    let mut subscriber = Client::v311(broker.addr(), "dup-sub");
    subscriber.subscribe_with(&[("dup/pass/0", 0), ("dup/pass/1", 1), ("dup/pass/2", 2)], &[]);
    let mut sender = Client::v311(broker.addr(), "dup-pub");
    for topic in ["dup/pass/0", "dup/pass/1", "dup/pass/2"] {
        for qos in [1, 2] {
            sender.publish_packet(publish(V, topic, b"x").dup(), qos);
            sender.publish_packet(publish(V, topic, b"x"), qos);
        }
    }
    let messages = subscriber.recv_publishes(12);
    assert!(messages.iter().all(|message| !message.dup), "{messages:?}");
}

/// QoS 3 closes the connection [MQTT-3.3.1-4], with an identifier and without, with DUP and without.
#[test]
fn qos_3_closes_the_connection() {
    let broker = broker();
    let mut watcher = Client::v311(broker.addr(), "qos3-watch");
    watcher.subscribe("qos3", 0);
    for first_byte in [0x36, 0x37, 0x3e, 0x3f] {
        assert_closes(broker.addr(), &frame(first_byte, b"\x00\x04qos3\x00\x01x"));
        assert_closes(broker.addr(), &frame(first_byte, b"\x00\x04qos3"));
    }
    watcher.expect_no_publish(SILENCE / 2);
}

/// The topic name comes first [MQTT-3.3.2-1] and has no wildcards [MQTT-3.3.2-2] [MQTT-4.7.1-1]; it is not empty
/// [MQTT-4.7.3-1].
#[test]
fn a_topic_name_with_wildcards_or_without_characters_closes_the_connection() {
    let broker = broker();
    for topic in ["", "#", "+", "name/#", "name/+", "+/name", "name/+/x", "name#", "na+me", "#/name"] {
        for qos in 0..=2 {
            let mut packet = publish(V, topic, b"x");
            packet.qos = qos;
            packet.pid = (qos > 0).then_some(1);
            assert_closes(broker.addr(), &packet.build());
        }
    }
    for topic in ["/", "name", "/name", "name//x", " ", "name/$x", "n*m"] {
        assert_takes(broker.addr(), &publish(V, topic, b"x").qos(1, 1).build(), &[0x40, 2, 0, 1]);
    }
}

/// Subscribers get the topic name that was published, which matches their filter, not the filter [MQTT-3.3.2-3], and
/// the payload byte for byte.
#[test]
fn subscribers_get_the_topic_and_the_payload_as_published() {
    let broker = broker();
    let mut subscriber = Client::v311(broker.addr(), "as-sub");
    subscriber.subscribe_with(&[("as/+/x/#", 1), ("as//#", 1)], &[]);
    let mut sender = Client::v311(broker.addr(), "as-pub");
    let all_bytes: Vec<u8> = (0..=255).collect();
    for (topic, payload) in [("as/1/x", &all_bytes[..]), ("as/1/x/y/", b""), ("as//z", b"\x00"), ("as/é/x/€", b"x")]
    {
        sender.publish(topic, payload, 1);
        let message = subscriber.recv();
        assert_eq!((message.topic.as_str(), &message.payload[..]), (topic, payload));
    }
    sender.publish("as/1/2/x", "no match", 1);
    sender.publish("as/1/x", "match", 1);
    assert_eq!(subscriber.recv().text(), "match");
}

/// QoS 0 is answered with nothing, QoS 1 with PUBACK, QoS 2 with PUBREC [MQTT-3.3.4-1] [MQTT-4.3.2-2] [MQTT-4.3.3-2];
/// whether anybody subscribes or not.
#[test]
fn each_qos_has_its_answer() {
    let broker = broker();
    let mut subscriber = Client::v311(broker.addr(), "answer-sub");
    subscriber.subscribe("answer/heard", 2);
    for topic in ["answer/heard", "answer/unheard"] {
        let mut raw = opened(broker.addr(), "answer");
        raw.send(&publish(V, topic, b"x").build());
        raw.expect_alive();
        raw.send(&publish(V, topic, b"x").qos(1, 3).build());
        raw.expect(&[0x40, 2, 0, 3]);
        raw.send(&publish(V, topic, b"x").qos(2, 4).build());
        raw.expect(&[0x50, 2, 0, 4]);
        raw.send(&[0x62, 2, 0, 4]);
        raw.expect(&[0x70, 2, 0, 4]);
        raw.expect_alive();
    }
    assert_eq!(subscriber.recv_publishes(3).len(), 3);
}

/// How a PUBLISH that is not allowed ended.
#[track_caller]
fn ends_acknowledged_or_closed(raw: &mut Raw, ack: &[u8]) {
    match raw.recv_packet() {
        Some(packet) => assert_eq!(packet, ack),
        None => return,
    }
    raw.expect_alive();
}

/// A PUBLISH that is not allowed is acknowledged as usual or ends the connection [MQTT-3.3.5-2], and in both cases
/// reaches nobody: `$SYS` is the broker's own.
#[test]
fn a_publish_that_is_not_allowed_is_acknowledged_or_ends_the_connection() {
    let broker = broker();
    let mut watcher = Client::v311(broker.addr(), "forbidden-watch");
    watcher.subscribe("$SYS/forbidden/#", 2);
    for (packet, ack) in [
        (publish(V, "$SYS/forbidden/x", b"x").qos(1, 3), [0x40, 2, 0, 3]),
        (publish(V, "$SYS/forbidden/x", b"x").qos(2, 4), [0x50, 2, 0, 4]),
        (publish(V, "$SYS/forbidden/x", b"x").qos(1, 5).retain(), [0x40, 2, 0, 5]),
    ] {
        let mut raw = opened(broker.addr(), "forbidden");
        raw.send(&packet.build());
        ends_acknowledged_or_closed(&mut raw, &ack);
    }
    watcher.expect_no_publish(SILENCE);
    watcher.subscribe("$SYS/forbidden/+", 2);
    watcher.expect_no_publish(SILENCE / 4);
}

/// The same where the operator turned QoS 2 or retained messages off, which 3.1.1 cannot say [MQTT-3.3.5-2].
#[test]
fn a_publish_that_the_operator_turned_off_is_acknowledged_or_ends_the_connection() {
    let broker = Broker::with_args(&["--max-qos", "1", "--no-retain"]);
    let mut watcher = Client::v311(broker.addr(), "off-watch");
    watcher.subscribe("off/#", 1);
    for (packet, ack) in [
        (publish(V, "off/qos", b"x").qos(2, 4), [0x50, 2, 0, 4]),
        (publish(V, "off/retain", b"x").qos(1, 5).retain(), [0x40, 2, 0, 5]),
    ] {
        let mut raw = opened(broker.addr(), "off");
        raw.send(&packet.build());
        ends_acknowledged_or_closed(&mut raw, &ack);
    }
    let mut raw = opened(broker.addr(), "off");
    raw.send(&publish(V, "off/allowed", b"x").qos(1, 6).build());
    raw.expect(&[0x40, 2, 0, 6]);
    assert_eq!(watcher.recv().topic, "off/allowed");
    let mut late = opened(broker.addr(), "off-late");
    late.send(&subscribe(V, 1, &[("off/#", 0)]));
    late.expect(&[0x90, 3, 0, 1, 0]);
    late.expect_alive();
}

/// A passing fault, here a full queue of a subscriber that is away, closes the connection of the PUBLISH that met it
/// instead of acknowledging it [MQTT-4.8.0-2] [MQTT-3.3.5-2]; all other connections go on, and what was acknowledged
/// is delivered.
#[test]
fn a_publish_that_finds_a_full_queue_is_not_acknowledged() {
    let broker = Launch::new().args(&["--overflow", "reject", "--max-queued-messages", "3"]).start();
    let mut subscriber = durable(broker.addr(), "full");
    subscriber.subscribe("full/t", 1);
    subscriber.disconnect();
    let mut bystander = opened(broker.addr(), "full-bystander");
    let mut raw = opened(broker.addr(), "full-pub");
    let mut acknowledged = 0_u8;
    loop {
        raw.send(&publish(V, "full/t", &[acknowledged]).qos(1, 1).build());
        match raw.recv_packet() {
            Some(packet) => assert_eq!(packet, [0x40, 2, 0, 1]),
            None => break,
        }
        acknowledged += 1;
        assert!(acknowledged < 100, "the queue takes more than it may");
    }
    assert!(acknowledged > 0, "not even an empty queue took a message");
    bystander.expect_alive();
    let mut subscriber = durable(broker.addr(), "full");
    let got: Vec<u8> = subscriber.recv_publishes(usize::from(acknowledged)).iter().map(|m| m.payload[0]).collect();
    assert_eq!(got, (0..acknowledged).collect::<Vec<u8>>());
    subscriber.expect_no_publish(SILENCE / 4);
    let mut again = Client::v311(broker.addr(), "full-pub2");
    again.publish("full/t", "room", 1);
    assert_eq!(subscriber.recv().text(), "room");
}

/// Acknowledgements of identifiers that nobody used do no harm.
#[test]
fn stray_acknowledgements_do_no_harm() {
    let broker = broker();
    let mut client = Client::v311(broker.addr(), "stray");
    for kind in [Ack::Puback, Ack::Pubcomp, Ack::Pubrel, Ack::Pubrec] {
        client.send_ack(kind, 999);
    }
    client.ping();
    let answers: Vec<Packet> = std::iter::from_fn(|| client.recv_other(SILENCE / 10)).collect();
    assert!(answers.iter().all(|packet| matches!(packet, Packet::Ack { pid: 999, .. })), "{answers:?}");
}
