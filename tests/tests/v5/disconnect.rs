//! DISCONNECT (3.14) from clients and from the server.

use std::time::Duration;

use primer_harness::wire::{self, Packet, disconnect_with, frame, prop, publish};
use primer_harness::{Broker, Client, Raw, SILENCE, Version};

use crate::fixture::{MALFORMED, PROTOCOL_ERROR, assert_closed_with, broker, unique};

const SHUTTING_DOWN: u8 = 0x8b;
const TAKEN_OVER: u8 = 0x8e;

/// [MQTT-3.14.0-1]
#[test]
fn no_disconnect_comes_before_a_connack_of_success() {
    let broker = broker();
    for first in [publish(Version::V5, "t", b"x").build(), wire::pingreq(), wire::disconnect(), vec![0, 0]] {
        let mut raw = Raw::connect(broker.addr());
        raw.send(&first);
        for packet in raw.recv_until_closed() {
            assert_ne!(packet[0] >> 4, 14, "{packet:02x?}");
        }
    }
    let mut raw = Raw::connect(broker.addr());
    raw.send(&wire::connect(Version::V5, "early").flags(0x03).build());
    for packet in raw.recv_until_closed() {
        assert_eq!(packet[0] >> 4, 2, "a refusal comes as CONNACK: {packet:02x?}");
    }
}

/// [MQTT-3.14.1-1]
#[test]
fn a_disconnect_with_reserved_bits_is_malformed() {
    for first_byte in [0xe1, 0xe2, 0xe8] {
        assert_closed_with(broker().addr(), &frame(first_byte, &[]), &[MALFORMED]);
        assert_closed_with(broker().addr(), &frame(first_byte, &[0, 0]), &[MALFORMED]);
    }
}

/// [MQTT-3.14.2-1]
#[test]
fn a_disconnect_with_a_code_that_is_not_a_clients_is_refused() {
    for code in [0x01, 0x02, 0x10, 0x8b, 0x8e, 0x9d] {
        assert_closed_with(broker().addr(), &disconnect_with(code, Some(&[])), &[MALFORMED, PROTOCOL_ERROR]);
    }
    for code in [0x00, 0x04, 0x80, 0x93, 0x99] {
        let mut client = Client::v5(broker().addr(), &unique("code"));
        client.send(&disconnect_with(code, Some(&[])));
        client.raw().expect_closed();
    }
}

/// In each form [MQTT5-3.14.2.1], the server closes and answers nothing [MQTT-3.14.4-2].
#[test]
fn a_disconnect_closes_the_connection_without_an_answer() {
    let properties = [prop::reason_string("enough"), prop::user_property("k", "v")];
    for bytes in [
        wire::disconnect(),
        disconnect_with(0, None),
        disconnect_with(0, Some(&[])),
        disconnect_with(0, Some(&properties)),
    ] {
        let mut client = Client::v5(broker().addr(), &unique("bye"));
        client.send(&bytes);
        client.raw().expect_closed();
    }
}

/// [MQTT-3.14.4-1]
#[test]
fn what_follows_a_disconnect_is_not_heard() {
    let broker = broker();
    let mut subscriber = Client::v5(broker.addr(), "behind-sub");
    subscriber.subscribe("behind", 1);
    let mut client = Client::v5(broker.addr(), "behind");
    let mut bytes = publish(Version::V5, "behind", b"before").build();
    bytes.extend(wire::disconnect());
    bytes.extend(publish(Version::V5, "behind", b"behind").build());
    client.send(&bytes);
    client.raw().expect_closed();
    assert_eq!(subscriber.recv().text(), "before");
    subscriber.expect_no_publish(SILENCE / 2);
}

/// A session expiry interval in DISCONNECT counts in place of that of CONNECT [MQTT5-3.14.2.2.2-2].
#[test]
fn a_session_expiry_interval_in_disconnect_replaces_that_of_connect() {
    let broker = broker();
    let open = |seconds| Client::v5_with(broker.addr(), "newexpiry", |c| c.clean(false).session_expiry(seconds));
    open(60).disconnect_with(0, &[prop::session_expiry_interval(0)]);
    let client = open(1);
    assert!(!client.session_present(), "it was ended by the DISCONNECT");
    client.disconnect_with(0, &[prop::session_expiry_interval(60)]);
    std::thread::sleep(Duration::from_millis(1400));
    let client = open(60);
    assert!(client.session_present(), "it was prolonged by the DISCONNECT");
    client.disconnect_with(0x04, &[]);
    assert!(open(0).session_present(), "a DISCONNECT without the property changes nothing");
}

/// [MQTT5-3.14.2.2.2]
#[test]
fn a_session_expiry_interval_where_connect_had_none_is_a_protocol_error() {
    let later = disconnect_with(0, Some(&[prop::session_expiry_interval(10)]));
    assert_closed_with(broker().addr(), &later, &[PROTOCOL_ERROR]);
    let mut subscriber = Client::v5(broker().addr(), "noexpiry-sub");
    subscriber.subscribe("noexpiry", 1);
    let will = wire::Will::new("noexpiry", b"gone").qos(1);
    let mut client = Client::v5_with(broker().addr(), "noexpiry", |c| c.will(will));
    client.send(&later);
    assert_eq!(client.expect_closed(), Some(PROTOCOL_ERROR));
    assert_eq!(subscriber.recv().text(), "gone", "it was no valid DISCONNECT");
    let mut client = Client::v5(broker().addr(), "noexpiry");
    client.send(&disconnect_with(0, Some(&[prop::session_expiry_interval(0)])));
    client.raw().expect_closed();
}

/// A property given twice, and one that DISCONNECT does not have.
#[test]
fn foreign_and_repeated_properties_in_disconnect_are_refused() {
    let twice = [prop::reason_string("a"), prop::reason_string("a")];
    for props in [&twice[..], &[prop::topic_alias(1)], &[prop::content_type("t")]] {
        let bytes = disconnect_with(0, Some(props));
        assert_closed_with(broker().addr(), &bytes, &[MALFORMED, PROTOCOL_ERROR]);
    }
}

/// The first of two connections of one client is told 0x8E; a DISCONNECT from the server has a code of its own
/// [MQTT-3.14.2-1], no session expiry interval [MQTT-3.14.2-2], and the close behind it [MQTT-3.14.4-2], even when the
/// client's session was to live on.
#[test]
fn a_session_that_is_taken_over_is_told_so() {
    let broker = broker();
    let mut first = Client::v5_with(broker.addr(), "takeover", |c| c.clean(false).session_expiry(60));
    first.subscribe("takeover", 1);
    let mut second = Client::v5_with(broker.addr(), "takeover", |c| c.clean(false).session_expiry(60));
    assert!(second.session_present());
    let farewell = first.raw().recv(true);
    let Packet::Disconnect { reason: TAKEN_OVER, props } = farewell else { panic!("{farewell:02x?}") };
    assert!(props.iter().all(|prop| [prop::REASON_STRING, prop::USER_PROPERTY].contains(&prop.id)), "{props:?}");
    first.raw().expect_closed();
    assert_eq!(second.publish("takeover", "x", 1), 0);
    assert_eq!(second.recv().text(), "x");
    let _third = Client::v5(broker.addr(), "takeover");
    assert_eq!(second.expect_closed(), Some(TAKEN_OVER));
}

/// A server that ends on SIGTERM says 0x8B to clients of 5.0 and closes all, and exits by itself [MQTT-3.14.2-1]
/// [MQTT-3.14.2-2] [MQTT-3.14.4-2].
#[test]
fn a_server_that_shuts_down_says_so() {
    let mut broker = Broker::start();
    let mut new = Client::v5_with(broker.addr(), "new", |c| c.clean(false).session_expiry(60));
    let mut idle = Client::v5(broker.addr(), "idle");
    let mut old = Client::v311(broker.addr(), "old");
    new.subscribe("t", 1);
    broker.terminate();
    let farewell = new.raw().recv(true);
    let Packet::Disconnect { reason: SHUTTING_DOWN, props } = farewell else { panic!("{farewell:02x?}") };
    assert!(props.iter().all(|prop| prop.id != prop::SESSION_EXPIRY_INTERVAL), "{props:?}");
    new.raw().expect_closed();
    assert_eq!(idle.expect_closed(), Some(SHUTTING_DOWN));
    old.raw().expect_closed();
    let status = broker.wait(primer_harness::TIMEOUT);
    assert!(status.is_some_and(|status| status.success()), "{status:?}");
}

/// Of many connections with one identifier that come at the same time, each is let in and one remains.
#[test]
fn of_many_connections_with_one_identifier_the_last_remains() {
    let broker = broker();
    let addr = broker.addr();
    let connects: Vec<_> = (0..6)
        .map(|_| {
            std::thread::spawn(move || {
                (0..4).map(|_| Client::v5_with(addr, "storm", |c| c.clean(false).session_expiry(5))).collect::<Vec<_>>()
            })
        })
        .collect();
    let mut clients: Vec<_> = connects.into_iter().flat_map(|thread| thread.join().expect("all are let in")).collect();
    let mut open = 0;
    for client in &mut clients {
        // That the connection is closed already shows in what comes.
        let _ = client.raw().try_send(&wire::pingreq());
        match client.raw().recv(true) {
            Packet::Pingresp => open += 1,
            Packet::Disconnect { reason: TAKEN_OVER, .. } => client.raw().expect_closed(),
            other => panic!("{other:02x?}"),
        }
    }
    assert_eq!(open, 1);
}
