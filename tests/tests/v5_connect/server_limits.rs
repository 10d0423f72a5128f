//! What the broker says in CONNACK that it takes (3.2.2.3), and what comes of it when a client takes no notice.

use primer_harness::wire::{Will, connect, prop, publish, subscribe_with};
use primer_harness::{Broker, Client, Packet, Prop};

use crate::fixture::{V, assert_refused, broker, opened_with};

const TOPIC_ALIAS_INVALID: u8 = 0x94;
const PACKET_TOO_LARGE: u8 = 0x95;
const RETAIN_NOT_SUPPORTED: u8 = 0x9a;
const QOS_NOT_SUPPORTED: u8 = 0x9b;

/// The properties of the CONNACK for a plain client.
#[track_caller]
fn told(broker: &Broker) -> Vec<Prop> {
    opened_with(broker.addr(), &connect(V, "")).2
}

/// What a PUBLISH is answered with: the reason of the DISCONNECT, or `None` where the connection serves on.
#[track_caller]
fn breach(broker: &Broker, bytes: &[u8]) -> Option<u8> {
    let mut client = Client::v5(broker.addr(), "");
    client.send(bytes);
    client.send(&[0xc0, 0]);
    match client.await_other(|packet| matches!(packet, Packet::Pingresp | Packet::Disconnect { .. })) {
        Packet::Disconnect { reason, .. } => Some(reason),
        _ => None,
    }
}

/// A broker without QoS 2, or without QoS 1 and 2, tells its maximum QoS [MQTT-3.2.2-9] and takes subscriptions that
/// ask for more all the same [MQTT-3.2.2-10]; a PUBLISH above it [MQTT-3.2.2-11] is a protocol error of code 0x9B
/// [MQTT5-3.2.2.3.4], and a will above it gets the CONNECT refused [MQTT-3.2.2-12].
#[test]
fn a_maximum_qos_is_told_and_held() {
    for (maximum, option) in [(0_u8, "0"), (1, "1"), (2, "2")] {
        let broker = Broker::with_args(&["--max-qos", option]);
        let wanted = (maximum < 2).then_some(u32::from(maximum));
        assert_eq!(prop::number(&told(&broker), prop::MAXIMUM_QOS), wanted);
        let mut client = Client::v5(broker.addr(), "qos");
        for asked in 0..=2 {
            let granted = client.subscribe("qos/t", asked);
            assert!(granted <= asked, "QoS {asked} was answered with {granted:#04x}");
            client.publish("qos/t", "x", asked.min(maximum));
            assert_eq!(client.recv().qos, asked.min(maximum));
        }
        for qos in 0..=2 {
            let mut packet = publish(V, "qos/u", b"x");
            (packet.qos, packet.pid) = (qos, (qos > 0).then_some(1));
            assert_eq!(breach(&broker, &packet.build()), (qos > maximum).then_some(QOS_NOT_SUPPORTED));
            let with_will = connect(V, "qos-will").will(Will::new("qos/will", b"x").qos(qos));
            if qos > maximum {
                assert_refused(broker.addr(), &with_will, QOS_NOT_SUPPORTED);
            } else {
                opened_with(broker.addr(), &with_will).0.expect_alive();
            }
        }
    }
}

/// A broker without retained messages tells it; a retained PUBLISH [MQTT-3.2.2-14] is a protocol error of code 0x9A
/// [MQTT5-3.2.2.3.5], and a retained will gets the CONNECT refused [MQTT-3.2.2-13].
#[test]
fn retain_unavailable_is_told_and_held() {
    let broker = Broker::with_args(&["--no-retain"]);
    assert_eq!(prop::number(&told(&broker), prop::RETAIN_AVAILABLE), Some(0));
    let retained = publish(V, "retain/t", b"x").retain();
    assert_eq!(breach(&broker, &retained.build()), Some(RETAIN_NOT_SUPPORTED));
    assert_eq!(breach(&broker, &retained.qos(1, 1).build()), Some(RETAIN_NOT_SUPPORTED));
    assert_eq!(breach(&broker, &publish(V, "retain/t", b"x").build()), None);
    let with_will = |will| connect(V, "retain-will").will(will);
    assert_refused(broker.addr(), &with_will(Will::new("retain/t", b"x").retain()), RETAIN_NOT_SUPPORTED);
    opened_with(broker.addr(), &with_will(Will::new("retain/t", b"x"))).0.expect_alive();

    let with_retain = self::broker();
    assert_ne!(prop::number(&told(&with_retain), prop::RETAIN_AVAILABLE), Some(0));
    assert_eq!(breach(&with_retain, &publish(V, "retain/yes", b"x").retain().build()), None);
}

/// The maximum packet size is told, and a packet above it [MQTT-3.2.2-15] is a protocol error of code 0x95
/// [MQTT5-3.2.2.3.6]; one of exactly that size is taken.
#[test]
fn a_maximum_packet_size_is_told_and_held() {
    let broker = Broker::with_args(&["--max-packet-size", "1000"]);
    assert_eq!(prop::number(&told(&broker), prop::MAXIMUM_PACKET_SIZE), Some(1000));
    let packet_of = |bytes: usize| {
        let packet = publish(V, "size/t", &vec![b'x'; bytes - 12]).build();
        assert_eq!(packet.len(), bytes);
        packet
    };
    assert_eq!(breach(&broker, &packet_of(1000)), None);
    assert_eq!(breach(&broker, &packet_of(1001)), Some(PACKET_TOO_LARGE));
    // The length alone decides: nothing of the packet needs to come.
    let mut raw = opened_with(broker.addr(), &connect(V, "")).0;
    raw.send(&[0x30, 0xff, 0xff, 0xff, 0x7f]);
    assert_eq!(raw.expect_refused(true), Some(PACKET_TOO_LARGE));
}

/// The topic alias maximum is told, and an alias above it [MQTT-3.2.2-17] closes the connection, as does any where no
/// maximum was stated [MQTT-3.2.2-18]. Those within it are taken.
#[test]
fn a_topic_alias_maximum_is_told_and_held() {
    let with_alias = |alias| publish(V, "alias/t", b"x").props(&[prop::topic_alias(alias)]).build();
    let broker = Broker::with_args(&["--topic-alias-maximum", "3"]);
    assert_eq!(prop::number(&told(&broker), prop::TOPIC_ALIAS_MAXIMUM), Some(3));
    for alias in [1, 2, 3] {
        assert_eq!(breach(&broker, &with_alias(alias)), None);
    }
    for alias in [4, u16::MAX] {
        assert_eq!(breach(&broker, &with_alias(alias)), Some(TOPIC_ALIAS_INVALID));
    }
    let without = Broker::with_args(&["--topic-alias-maximum", "0"]);
    assert!(matches!(prop::number(&told(&without), prop::TOPIC_ALIAS_MAXIMUM), None | Some(0)));
    for alias in [1, 2, u16::MAX] {
        assert_eq!(breach(&without, &with_alias(alias)), Some(TOPIC_ALIAS_INVALID));
    }
}

/// The broker never states wildcards [MQTT5-3.2.2.3.11], subscription identifiers [MQTT5-3.2.2.3.12] or shared
/// subscriptions [MQTT5-3.2.2.3.13] as unavailable, under whatever options, so none of the three is ever an error: all
/// are granted.
#[test]
fn all_kinds_of_subscriptions_are_stated_as_available_and_granted() {
    let bare = ["--max-qos", "0", "--no-retain", "--topic-alias-maximum", "0", "--receive-maximum", "1"];
    for broker in [Broker::start(), Broker::with_args(&bare)] {
        let props = told(&broker);
        for id in [
            prop::WILDCARD_SUBSCRIPTION_AVAILABLE,
            prop::SUBSCRIPTION_IDENTIFIER_AVAILABLE,
            prop::SHARED_SUBSCRIPTION_AVAILABLE,
        ] {
            assert_ne!(prop::number(&props, id), Some(0), "property {id:#04x}");
        }
        let mut client = Client::v5(broker.addr(), "available");
        let filters = [("available/+/#", 0), ("$share/g/available/shared", 0)];
        let pid = client.next_pid();
        client.send(&subscribe_with(V, pid, &filters, &[prop::subscription_identifier(7)]));
        client.raw().expect(&[0x90, 5, 0, 1, 0, 0, 0]);
        client.publish("available/x/y", "wild", 0);
        let message = client.recv();
        assert_eq!(prop::number(&message.props, prop::SUBSCRIPTION_IDENTIFIER), Some(7));
        client.publish("available/shared", "both", 0);
        assert_eq!(client.recv_publishes(2).len(), 2);
    }
}
