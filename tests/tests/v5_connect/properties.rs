//! Properties (2.2.2.2, 3.1.2.11, 3.1.3.2): in which packet each may stand, how often, and with which values.

use primer_harness::Prop;
use primer_harness::wire::{Ack, Value, Will, ack_with, connect, disconnect_with, prop};
use primer_harness::wire::{publish, subscribe_with, unsubscribe_with};

use crate::fixture::{
    MALFORMED, PROTOCOL_ERROR, V, assert_closes, assert_refused, assert_takes, broker, opened_with, unique,
};

/// One of each property, with a value that is right where the property is.
fn all() -> Vec<Prop> {
    vec![
        prop::payload_format_indicator(0),
        prop::message_expiry_interval(60),
        prop::content_type("text"),
        prop::response_topic("props/answer"),
        prop::correlation_data(b"c"),
        prop::subscription_identifier(5),
        prop::session_expiry_interval(0),
        prop::assigned_client_identifier("id"),
        prop::server_keep_alive(60),
        prop::authentication_method("m"),
        prop::authentication_data(b"d"),
        prop::request_problem_information(1),
        prop::will_delay_interval(0),
        prop::request_response_information(1),
        prop::response_information("r"),
        prop::server_reference("s"),
        prop::reason_string("why"),
        prop::receive_maximum(10),
        prop::topic_alias_maximum(10),
        prop::topic_alias(1),
        prop::maximum_qos(1),
        prop::retain_available(1),
        prop::user_property("k", "v"),
        prop::maximum_packet_size(10_000),
        prop::wildcard_subscription_available(1),
        prop::subscription_identifier_available(1),
        prop::shared_subscription_available(1),
        Prop { id: 0x7f, value: Value::Byte(0) },
        Prop { id: 0x00, value: Value::Byte(0) },
    ]
}

fn others(allowed: &[u8]) -> impl Iterator<Item = Prop> {
    all().into_iter().filter(move |prop| !allowed.contains(&prop.id))
}

fn those(allowed: &[u8]) -> impl Iterator<Item = Prop> {
    all().into_iter().filter(move |prop| allowed.contains(&prop.id))
}

/// Those of CONNECT but for the two of enhanced authentication, which need a method that the broker has.
const OF_CONNECT: [u8; 7] = [0x11, 0x17, 0x19, 0x21, 0x22, 0x26, 0x27];
const OF_WILL: [u8; 7] = [0x01, 0x02, 0x03, 0x08, 0x09, 0x18, 0x26];
const OF_PUBLISH: [u8; 7] = [0x01, 0x02, 0x03, 0x08, 0x09, 0x23, 0x26];

/// A property that does not belong to CONNECT makes it malformed [MQTT5-2.2.2.2] [MQTT-3.1.4-1]; those that do are
/// taken.
#[test]
fn connect_has_its_own_properties_only() {
    let broker = broker();
    for prop in others(&[&OF_CONNECT[..], &[0x15, 0x16]].concat()) {
        assert_refused(broker.addr(), &connect(V, "props").props(&[prop]), MALFORMED);
    }
    for prop in those(&OF_CONNECT) {
        opened_with(broker.addr(), &connect(V, "props").props(&[prop])).0.expect_alive();
    }
    opened_with(broker.addr(), &connect(V, "props").props(&those(&OF_CONNECT).collect::<Vec<_>>())).0.expect_alive();
}

/// The same of the will [MQTT5-2.2.2.2].
#[test]
fn a_will_has_its_own_properties_only() {
    let broker = broker();
    let with = |prop: Prop| connect(V, &unique("props-will")).will(Will::new("props/will", b"x").props(&[prop]));
    for prop in others(&OF_WILL) {
        assert_refused(broker.addr(), &with(prop), MALFORMED);
    }
    for prop in those(&OF_WILL) {
        opened_with(broker.addr(), &with(prop)).0.expect_alive();
    }
}

/// The same of the packets that follow [MQTT5-2.2.2.2].
#[test]
fn later_packets_have_their_own_properties_only() {
    let broker = broker();
    type Build = fn(&[Prop]) -> Vec<u8>;
    let packets: [(&[u8], &[u8], Build); 5] = [
        // A subscription identifier is a property of PUBLISH, but not of a client's.
        (&OF_PUBLISH, &[0x0b], |props| publish(V, "props/t", b"x").props(props).build()),
        (&[0x0b, 0x26], &[], |props| subscribe_with(V, 1, &[("props/s", 0)], props)),
        (&[0x26], &[], |props| unsubscribe_with(V, 1, &["props/s"], props)),
        (&[0x1f, 0x26], &[], |props| ack_with(Ack::Puback, 9, 0, Some(props))),
        (&[0x1f, 0x26], &[], |props| ack_with(Ack::Pubcomp, 9, 0, Some(props))),
    ];
    for (allowed, elsewhere, build) in packets {
        for prop in others(&[allowed, elsewhere].concat()) {
            assert_closes(broker.addr(), &build(&[prop]), MALFORMED);
        }
        for prop in those(allowed) {
            assert_takes(broker.addr(), &build(&[prop]));
        }
    }
    for prop in others(&[0x11, 0x1f, 0x26, 0x1c]) {
        assert_closes(broker.addr(), &disconnect_with(0, Some(&[prop])), MALFORMED);
    }
}

/// A value that is not of the property's type makes the packet malformed [MQTT5-2.2.2.2]: here it is cut, or longer
/// than the property length.
#[test]
fn a_value_of_the_wrong_type_is_malformed() {
    let broker = broker();
    for raw in [
        &[0x21, 0x01][..],
        &[0x11, 0, 0, 1],
        &[0x17],
        &[0x26, 0, 1, b'k'],
        &[0x26, 0, 1, b'k', 0, 9, b'v'],
        &[0x21, 0, 1, 0],
    ] {
        assert_refused(broker.addr(), &connect(V, "props-type").raw_props(raw), MALFORMED);
    }
}

/// A property of CONNECT that may come once and comes twice is a protocol error: session expiry
/// [MQTT5-3.1.2.11.2-2], receive maximum [MQTT5-3.1.2.11.3], maximum packet size [MQTT5-3.1.2.11.4], topic alias
/// maximum [MQTT5-3.1.2.11.5], request response information [MQTT5-3.1.2.11.6], request problem information
/// [MQTT5-3.1.2.11.7], authentication method [MQTT5-3.1.2.11.9] and data [MQTT5-3.1.2.11.10]. User properties may
/// come any number of times.
#[test]
fn properties_of_connect_come_once() {
    let broker = broker();
    for prop in those(&[&OF_CONNECT[..], &[0x15]].concat()).filter(|prop| prop.id != prop::USER_PROPERTY) {
        let twice = [prop.clone(), prop];
        assert_refused(broker.addr(), &connect(V, "props-twice").props(&twice), PROTOCOL_ERROR);
    }
    let data = prop::authentication_data(b"d");
    let props = [prop::authentication_method("SCRAM-SHA-256"), data.clone(), data];
    assert_refused(broker.addr(), &connect(V, "props-twice").props(&props), PROTOCOL_ERROR);
    let user = prop::user_property("k", "v");
    opened_with(broker.addr(), &connect(V, "props-twice").props(&[user.clone(), user])).0.expect_alive();
}

/// A will property that comes twice is a protocol error, user properties aside [MQTT5-3.1.3.2].
#[test]
fn properties_of_a_will_come_once() {
    let broker = broker();
    for prop in those(&OF_WILL) {
        let will = Will::new("props/will-twice", b"x").props(&[prop.clone(), prop.clone()]);
        let packet = connect(V, "props-will-twice").will(will);
        if prop.id == prop::USER_PROPERTY {
            opened_with(broker.addr(), &packet).0.expect_alive();
        } else {
            assert_refused(broker.addr(), &packet, PROTOCOL_ERROR);
        }
    }
}

/// Values that are of the right type and yet not allowed are protocol errors: a receive maximum of 0
/// [MQTT5-3.1.2.11.3], a maximum packet size of 0 [MQTT5-3.1.2.11.4], and other requests for information than 0 and 1
/// [MQTT5-3.1.2.11.6] [MQTT5-3.1.2.11.7]. The borders beside them are taken.
#[test]
fn values_of_connect_properties_are_checked() {
    let broker = broker();
    for prop in [
        prop::receive_maximum(0),
        prop::maximum_packet_size(0),
        prop::request_response_information(2),
        prop::request_response_information(255),
        prop::request_problem_information(2),
        prop::request_problem_information(255),
    ] {
        assert_refused(broker.addr(), &connect(V, "props-value").props(&[prop]), PROTOCOL_ERROR);
    }
    for prop in [
        prop::receive_maximum(1),
        prop::receive_maximum(u16::MAX),
        prop::maximum_packet_size(100),
        prop::maximum_packet_size(u32::MAX),
        prop::topic_alias_maximum(0),
        prop::topic_alias_maximum(u16::MAX),
        prop::session_expiry_interval(0),
        prop::request_response_information(0),
        prop::request_problem_information(0),
    ] {
        opened_with(broker.addr(), &connect(V, "props-value").props(&[prop])).0.expect_alive();
    }
}

/// Authentication data without a method are a protocol error [MQTT5-3.1.2.11.10].
#[test]
fn authentication_data_need_a_method() {
    let broker = broker();
    let packet = connect(V, "props-auth").props(&[prop::authentication_data(b"d")]);
    assert_refused(broker.addr(), &packet, PROTOCOL_ERROR);
}
