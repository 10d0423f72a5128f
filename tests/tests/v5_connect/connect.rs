//! CONNECT (3.1): its place, its name and version, its flags, and the order of its payload.

use primer_harness::wire::{Will, binary, connect, disconnect, frame, pingreq, prop, publish, string, subscribe};
use primer_harness::{Client, Raw, SILENCE};

use crate::fixture::{MALFORMED, PROTOCOL_ERROR, V, assert_not_let_in, broker, knock, opened_with, unique};

const TOPIC_NAME_INVALID: u8 = 0x90;

/// A CONNECT of this name, version and connect flags, without properties and with these payload fields. A will's
/// properties are a field of one zero byte: [`NO_PROPS`].
fn connect_of(name: &str, version: u8, flags: u8, fields: &[&[u8]]) -> Vec<u8> {
    let mut body = string(name);
    body.extend([version, flags, 0, 60, 0]);
    for &field in fields {
        if field == NO_PROPS {
            body.push(0);
        } else {
            body.extend(binary(field));
        }
    }
    frame(0x10, &body)
}

const NO_PROPS: &[u8] = b"\x00";

#[track_caller]
fn assert_let_in(raw: &mut Raw) {
    assert_eq!(raw.recv(true).reason(), Some(0));
}

/// Any other packet than CONNECT as the first one closes the connection [MQTT-3.1.0-1], and nothing of it has an
/// effect.
#[test]
fn the_first_packet_must_be_connect() {
    let broker = broker();
    let mut watcher = Client::v5(broker.addr(), "first-watch");
    watcher.subscribe("first/#", 0);
    for first in [
        publish(V, "first/0", b"").build(),
        publish(V, "first/1", b"").qos(1, 1).build(),
        subscribe(V, 1, &[("first/t", 0)]),
        pingreq(),
        disconnect(),
        vec![0xf0, 0],
    ] {
        knock(broker.addr(), &first).expect_refused(true);
        knock(broker.addr(), &[first, connect(V, "first-late").build()].concat()).expect_refused(true);
    }
    watcher.expect_no_publish(SILENCE);
    assert_let_in(&mut knock(broker.addr(), &connect(V, "first-right").build()));
}

/// A second CONNECT is a protocol error and closes the connection [MQTT-3.1.0-2]; it is not answered by a second
/// CONNACK [MQTT-3.2.0-2], and the will goes out.
#[test]
fn a_second_connect_is_a_protocol_error() {
    let broker = broker();
    let mut watcher = Client::v5(broker.addr(), "second-watch");
    watcher.subscribe("second/will", 0);
    let packet = connect(V, "second").will(Will::new("second/will", b"second"));
    let (mut raw, ..) = opened_with(broker.addr(), &packet);
    raw.expect_alive();
    raw.send(&packet.build());
    let packets = raw.recv_until_closed();
    assert!(matches!(&packets[..], [only] if only[0] == 0xe0 && only[2] == PROTOCOL_ERROR), "{packets:02x?}");
    assert_eq!(watcher.recv().text(), "second");
}

/// Another protocol name than MQTT is not served [MQTT-3.1.2-1]: a close, with CONNACK 0x84 before it or without.
#[test]
fn a_wrong_protocol_name_is_not_served() {
    let broker = broker();
    for name in ["MQTX", "mqtt", "MQT", "MQTTT", "", "HTTP", "MQIsdp"] {
        let packets = knock(broker.addr(), &connect_of(name, 5, 0x02, &[b"name"])).recv_until_closed();
        let is_right = match packets.first().map(Vec::as_slice) {
            None => true,
            Some([0x20, _, 0, code, ..]) => packets.len() == 1 && [0x01, 0x84].contains(code),
            Some(_) => false,
        };
        assert!(is_right, "{name:?} was answered with {packets:02x?}");
    }
    assert_let_in(&mut knock(broker.addr(), &connect_of("MQTT", 5, 0x02, &[b"name"])));
}

/// A version that is not served is refused and closed [MQTT-3.1.2-2], with 0x84 or with what MQTT 3.1.1 has for it.
#[test]
fn an_unsupported_version_is_not_served() {
    let broker = broker();
    for version in [0, 1, 2, 6, 7, 0x7f] {
        let packets = knock(broker.addr(), &connect_of("MQTT", version, 0x02, &[b"version"])).recv_until_closed();
        let is_right = matches!(packets.first().map(Vec::as_slice), Some([0x20, _, 0, 0x01 | 0x84, ..]));
        assert!(is_right && packets.len() == 1, "version {version} was answered with {packets:02x?}");
    }
}

/// The reserved flag is checked [MQTT-3.1.2-3] [MQTT-3.1.4-1].
#[test]
fn the_reserved_connect_flag_must_be_clear() {
    let broker = broker();
    for flags in [0x01, 0x03] {
        assert_not_let_in(broker.addr(), &connect(V, "reserved").flags(flags).build(), &[MALFORMED]);
    }
    assert_let_in(&mut knock(broker.addr(), &connect(V, "reserved").flags(0x02).build()));
}

/// Without the will flag will QoS is 0 [MQTT-3.1.2-11] and will retain is 0 [MQTT-3.1.2-13]; with it will QoS is not 3
/// [MQTT-3.1.2-12].
#[test]
fn will_flags_must_fit_one_another() {
    let broker = broker();
    for flags in [0x0a, 0x12, 0x1a, 0x22, 0x32] {
        let without = connect_of("MQTT", 5, flags, &[b"will-flags"]);
        assert_not_let_in(broker.addr(), &without, &[MALFORMED, PROTOCOL_ERROR]);
        let with = connect_of("MQTT", 5, flags, &[b"will-flags", NO_PROPS, b"w/t", b"x"]);
        assert_not_let_in(broker.addr(), &with, &[MALFORMED, PROTOCOL_ERROR]);
    }
    for flags in [0x06 | 0x18, 0x06 | 0x18 | 0x20] {
        let packet = connect_of("MQTT", 5, flags, &[b"will-flags", NO_PROPS, b"w/t", b"x"]);
        assert_not_let_in(broker.addr(), &packet, &[MALFORMED]);
    }
    for flags in [0x06, 0x0e, 0x16, 0x26, 0x36] {
        let id = unique("will-flags");
        let packet = connect_of("MQTT", 5, flags, &[id.as_bytes(), NO_PROPS, b"will-flags/t", b"x"]);
        let mut raw = knock(broker.addr(), &packet);
        assert_let_in(&mut raw);
        raw.send(&disconnect());
        raw.expect_closed();
    }
}

/// The payload has the fields that the flags announce, all of them and no other: the will's properties, topic and
/// payload [MQTT-3.1.2-9], the user name [MQTT-3.1.2-16] [MQTT-3.1.2-17], the password [MQTT-3.1.2-18]
/// [MQTT-3.1.2-19], and always the client identifier [MQTT-3.1.3-3].
#[test]
fn the_payload_has_the_fields_that_the_flags_announce() {
    let broker = broker();
    let all: [&[u8]; 6] = [b"fields", NO_PROPS, b"fields/will", b"x", b"user", b"pass"];
    for (flags, count) in [(0x02, 1), (0x06, 4), (0x86, 5), (0xc6, 6)] {
        let mut raw = knock(broker.addr(), &connect_of("MQTT", 5, flags, &all[..count]));
        assert_let_in(&mut raw);
        raw.send(&disconnect());
        raw.expect_closed();
        for wrong in (0..=all.len()).filter(|wrong| *wrong != count) {
            let packet = connect_of("MQTT", 5, flags, &all[..wrong]);
            assert_not_let_in(broker.addr(), &packet, &[MALFORMED, PROTOCOL_ERROR]);
        }
    }
    for (flags, count) in [(0x82, 1), (0x42, 1), (0xc2, 2)] {
        let fields: [&[u8]; 4] = [b"fields", b"a", b"b", b"c"];
        for wrong in [count - 1, count, count + 2] {
            let packet = connect_of("MQTT", 5, flags, &fields[..wrong]);
            assert_not_let_in(broker.addr(), &packet, &[MALFORMED, PROTOCOL_ERROR]);
        }
        assert_let_in(&mut knock(broker.addr(), &connect_of("MQTT", 5, flags, &fields[..=count])));
    }
}

/// A CONNECT that is cut, padded or otherwise broken gets its connection closed [MQTT-3.1.4-1].
#[test]
fn a_broken_connect_gets_a_close() {
    let broker = broker();
    let will = Will::new("broken/will", b"x").props(&[prop::will_delay_interval(5)]);
    let packet = connect(V, "broken").will(will).user("u").password(b"p").props(&[prop::receive_maximum(5)]);
    let right = packet.build();
    for cut in 0..right.len() - 2 {
        let short = frame(0x10, &right[2..2 + cut]);
        assert_not_let_in(broker.addr(), &short, &[MALFORMED, PROTOCOL_ERROR, 0x84]);
    }
    let padded = frame(0x10, &[&right[2..], &[0]].concat());
    assert_not_let_in(broker.addr(), &padded, &[MALFORMED, PROTOCOL_ERROR]);
    for topic in ["broken/#", "broken/+", ""] {
        let packet = connect(V, "broken").will(Will::new(topic, b"x")).build();
        assert_not_let_in(broker.addr(), &packet, &[MALFORMED, PROTOCOL_ERROR, TOPIC_NAME_INVALID]);
    }
    assert_let_in(&mut knock(broker.addr(), &right));
}

/// The fields stand in the order client identifier, will properties, will topic, will payload, user name, password
/// [MQTT-3.1.3-1], the client identifier first [MQTT-3.1.3-3]: each is told by what it does [MQTT-3.1.2-9].
#[test]
fn the_payload_fields_stand_in_their_order() {
    let broker = primer_harness::Broker::with_args(&["--user", "ann:secret"]);
    let let_in = |id: &str| connect(V, id).user("ann").password(b"secret");
    let mut watcher = Client::open(broker.addr(), &let_in("order-watch"));
    watcher.subscribe("order/#", 0);
    let mut body = b"\x00\x04MQTT\x05\xc6\x00\x3c\x00".to_vec();
    body.extend(binary(b"order-id"));
    body.extend(b"\x07\x26\x00\x01k\x00\x01v");
    for field in [&b"order/will"[..], b"gone", b"ann", b"secret"] {
        body.extend(binary(field));
    }
    let mut raw = knock(broker.addr(), &frame(0x10, &body));
    assert_let_in(&mut raw);
    let mut second = Client::open(broker.addr(), &let_in("order-id"));
    assert_eq!(raw.expect_refused(true), Some(0x8e));
    let will = watcher.recv();
    assert_eq!((will.topic.as_str(), will.text().as_str()), ("order/will", "gone"));
    assert_eq!(prop::user_properties(&will.props), [("k", "v")]);
    second.ping();
    let swapped = connect_of("MQTT", 5, 0xc2, &[b"order-id", b"secret", b"ann"]);
    assert_eq!(knock(broker.addr(), &swapped).expect_refused(true), Some(0x86));
    second.ping();
}
