//! CONNECT (3.1): its place, its name and level, its flags, and the order of its payload.

use primer_harness::wire::{Will, binary, connect, frame, pingreq, publish, string, subscribe};
use primer_harness::{Client, Raw, Received, SILENCE};

use crate::fixture::{ACCEPTED, V, assert_no_connack, broker, knock, opened, unique};

/// A CONNECT of this name, level and connect flags, with a keep alive of 60 s and these payload fields.
fn connect_of(name: &str, level: u8, flags: u8, fields: &[&[u8]]) -> Vec<u8> {
    let mut body = string(name);
    body.extend([level, flags, 0, 60]);
    for field in fields {
        body.extend(binary(field));
    }
    frame(0x10, &body)
}

/// Any other packet than CONNECT as the first one closes the connection without an answer [MQTT-3.1.0-1].
#[test]
fn the_first_packet_must_be_connect() {
    let broker = broker();
    let mut watcher = Client::v311(broker.addr(), "first-watch");
    watcher.subscribe("first/#", 0);
    for first in [
        publish(V, "first/0", b"").build(),
        publish(V, "first/1", b"").qos(1, 1).build(),
        subscribe(V, 1, &[("first/t", 0)]),
        pingreq(),
        vec![0xe0, 0],
        vec![0x40, 2, 0, 1],
    ] {
        assert_no_connack(broker.addr(), &first);
        assert_no_connack(broker.addr(), &[first, connect(V, "first-late").build()].concat());
    }
    watcher.expect_no_publish(SILENCE);
    knock(broker.addr(), &connect(V, "first-right")).expect(&ACCEPTED);
}

/// A second CONNECT closes the connection [MQTT-3.1.0-2], and is no farewell: the will goes out.
#[test]
fn a_second_connect_closes_the_connection() {
    let broker = broker();
    let mut watcher = Client::v311(broker.addr(), "second-watch");
    watcher.subscribe("second/will", 0);
    let packet = connect(V, "second").will(Will::new("second/will", b"second"));
    let mut raw = knock(broker.addr(), &packet);
    raw.expect(&ACCEPTED);
    raw.expect_alive();
    raw.send(&packet.build());
    raw.expect_closed();
    assert_eq!(watcher.recv().text(), "second");
}

/// A wrong protocol name is not served as MQTT 3.1.1 [MQTT-3.1.2-1]: no CONNACK that accepts, and a close.
#[test]
fn a_wrong_protocol_name_is_not_served() {
    let broker = broker();
    for name in ["MQTX", "mqtt", "MQT", "MQTTT", "", "HTTP", "MQIsdp"] {
        let mut raw = Raw::connect(broker.addr());
        raw.send(&connect_of(name, 4, 0x02, &[b"name"]));
        // It panics where anything but a refusal comes before the close.
        let _ = raw.expect_refused(false);
    }
    let mut raw = Raw::connect(broker.addr());
    raw.send(&connect_of("MQTT", 4, 0x02, &[b"name"]));
    raw.expect(&ACCEPTED);
}

/// A level that is not served is answered with code 1, and closed [MQTT-3.1.2-2] [MQTT-3.2.2-4] [MQTT-3.2.2-5].
#[test]
fn an_unsupported_level_is_answered_with_code_1() {
    let broker = broker();
    for level in [0, 1, 2, 3] {
        let mut raw = Raw::connect(broker.addr());
        raw.send(&connect_of("MQTT", level, 0x02, &[b"level"]));
        raw.expect(&[0x20, 2, 0, 1]);
        raw.expect_closed();
    }
    // Above 5.0 the answer may be that of 5.0, which calls the same refusal 0x84.
    for level in [6, 7, 0x7f] {
        let mut raw = Raw::connect(broker.addr());
        raw.send(&connect_of("MQTT", level, 0x02, &[b"level"]));
        assert_refused_with(&mut raw, &[0x01, 0x84]);
    }
}

#[track_caller]
fn assert_refused_with(raw: &mut Raw, codes: &[u8]) {
    match raw.recv_packet().as_deref() {
        Some([0x20, _, 0, code, ..]) if codes.contains(code) => raw.expect_closed(),
        other => panic!("awaited a CONNACK of {codes:02x?}, received {other:02x?}"),
    }
}

/// The reserved flag closes the connection [MQTT-3.1.2-3] without a CONNACK, as no return code says it [MQTT-3.1.4-1]
/// [MQTT-3.2.2-6].
#[test]
fn the_reserved_connect_flag_must_be_clear() {
    let broker = broker();
    for flags in [0x01, 0x03] {
        assert_no_connack(broker.addr(), &connect(V, "reserved").flags(flags).build());
    }
    knock(broker.addr(), &connect(V, "reserved").flags(0x02)).expect(&ACCEPTED);
}

/// Without the will flag will QoS and will retain are zero [MQTT-3.1.2-11] [MQTT-3.1.2-13] [MQTT-3.1.2-15], and with
/// it will QoS is not 3 [MQTT-3.1.2-14].
#[test]
fn will_flags_must_fit_one_another() {
    let broker = broker();
    for flags in [0x02 | 0x08, 0x02 | 0x10, 0x02 | 0x18, 0x02 | 0x20, 0x02 | 0x30] {
        assert_no_connack(broker.addr(), &connect_of("MQTT", 4, flags, &[b"will-flags"]));
        assert_no_connack(broker.addr(), &connect_of("MQTT", 4, flags, &[b"will-flags", b"w/t", b"x"]));
    }
    for flags in [0x02 | 0x04 | 0x18, 0x02 | 0x04 | 0x18 | 0x20] {
        assert_no_connack(broker.addr(), &connect_of("MQTT", 4, flags, &[b"will-flags", b"w/t", b"x"]));
    }
    for flags in [0x06, 0x06 | 0x08, 0x06 | 0x10, 0x06 | 0x20, 0x06 | 0x30] {
        let mut raw = Raw::connect(broker.addr());
        raw.send(&connect_of("MQTT", 4, flags, &[unique("will-flags").as_bytes(), b"will-flags/t", b"x"]));
        raw.expect(&ACCEPTED);
        raw.send(&[0xe0, 0]);
        raw.expect_closed();
    }
}

/// The payload has the fields that the flags announce, all of them and no other: the will's [MQTT-3.1.2-9]
/// [MQTT-3.1.2-11], the user name [MQTT-3.1.2-18] [MQTT-3.1.2-19], the password [MQTT-3.1.2-20] [MQTT-3.1.2-21], and
/// always the client identifier [MQTT-3.1.3-3].
#[test]
fn the_payload_has_the_fields_that_the_flags_announce() {
    let broker = broker();
    let all: [&[u8]; 5] = [b"fields", b"fields/will", b"x", b"user", b"pass"];
    for (flags, count) in [(0x02, 1), (0x06, 3), (0x86, 4), (0xc6, 5)] {
        let mut raw = Raw::connect(broker.addr());
        raw.send(&connect_of("MQTT", 4, flags, &all[..count]));
        raw.expect(&ACCEPTED);
        raw.send(&[0xe0, 0]);
        raw.expect_closed();
        for wrong in (0..=all.len()).filter(|wrong| *wrong != count) {
            assert_no_connack(broker.addr(), &connect_of("MQTT", 4, flags, &all[..wrong]));
        }
    }
    for (flags, field) in [(0x82, &b"user"[..]), (0xc2, b"user")] {
        assert_no_connack(broker.addr(), &connect_of("MQTT", 4, flags, &[b"fields"]));
        assert_no_connack(broker.addr(), &connect_of("MQTT", 4, flags, &[b"fields", field, b"a", b"b"]));
    }
}

/// A password without a user name closes the connection [MQTT-3.1.2-22].
#[test]
fn a_password_needs_a_user_name() {
    let broker = broker();
    assert_no_connack(broker.addr(), &connect(V, "pass-alone").password(b"secret").build());
    knock(broker.addr(), &connect(V, "pass-both").user("u").password(b"secret")).expect(&ACCEPTED);
    knock(broker.addr(), &connect(V, "user-alone").user("u")).expect(&ACCEPTED);
    knock(broker.addr(), &connect(V, "user-empty").user("").password(b"")).expect(&ACCEPTED);
}

/// A CONNECT that is cut, padded or otherwise broken gets a close and no CONNACK [MQTT-3.1.4-1] [MQTT-3.2.2-6].
#[test]
fn a_broken_connect_gets_no_connack() {
    let broker = broker();
    let right = connect(V, "broken").will(Will::new("broken/will", b"x")).user("u").password(b"p").build();
    for cut in 0..right.len() - 2 {
        assert_no_connack(broker.addr(), &frame(0x10, &right[2..2 + cut]));
    }
    assert_no_connack(broker.addr(), &frame(0x10, &[&right[2..], &[0]].concat()));
    for topic in ["broken/#", "broken/+", ""] {
        assert_no_connack(broker.addr(), &connect(V, "broken").will(Will::new(topic, b"x")).build());
    }
    let mut raw = Raw::connect(broker.addr());
    raw.send(&right);
    raw.expect(&ACCEPTED);
}

/// The fields stand in the order client identifier, will topic, will message, user name, password [MQTT-3.1.3-1],
/// the client identifier first [MQTT-3.1.3-3]: each is told by what it does. The accepted CONNECT is answered with
/// code 0 [MQTT-3.1.4-4].
#[test]
fn the_payload_fields_stand_in_their_order() {
    let broker = primer_harness::Broker::with_args(&["--user", "ann:secret"]);
    let right: [&[u8]; 5] = [b"order-id", b"order/will", b"gone", b"ann", b"secret"];
    let swapped: [&[u8]; 5] = [b"order-id", b"order/will", b"gone", b"secret", b"ann"];
    let mut watcher = Client::v311_with(broker.addr(), "order-watch", |c| c.user("ann").password(b"secret"));
    watcher.subscribe("order/#", 0);
    let mut raw = Raw::connect(broker.addr());
    raw.send(&connect_of("MQTT", 4, 0xc6, &right));
    raw.expect(&ACCEPTED);
    // The same client identifier pushes it out: it was the first field.
    let second = connect(V, "order-id").user("ann").password(b"secret");
    let mut second = knock(broker.addr(), &second);
    second.expect(&ACCEPTED);
    raw.expect_closed();
    let will = watcher.recv();
    assert_eq!((will.topic.as_str(), will.text().as_str()), ("order/will", "gone"));
    let mut raw = Raw::connect(broker.addr());
    raw.send(&connect_of("MQTT", 4, 0xc6, &swapped));
    assert_refused_with(&mut raw, &[4, 5]);
    second.expect_alive();
}

/// Neither the end of the first packet nor anything after it is waited for: an accepted client is answered at once,
/// and one that sends no whole CONNECT is not answered at all [MQTT-3.1.4-4] [MQTT-3.2.0-1].
#[test]
fn half_a_connect_is_not_answered() {
    let broker = broker();
    let packet = connect(V, "half").build();
    let mut raw = Raw::connect(broker.addr());
    raw.send(&packet[..packet.len() - 1]);
    raw.expect_silence(SILENCE);
    raw.send(&packet[packet.len() - 1..]);
    raw.expect(&ACCEPTED);
    assert_eq!(raw.recv_within(SILENCE / 10), Received::Silence);
    opened(broker.addr(), "half-other").expect_alive();
}
