//! What CONNACK says, as a client reads it.

use super::rig::{Rig, VERSIONS, committed, connect, packets, quiet};
use crate::{
    ReasonCode, Version,
    codec::{
        packet::{ConnAck, Connect, Packet, QoS},
        properties::{PropertiesBuf, Property},
    },
    session::{Greeting, Opening, ServerOptions, Session, Terms, refuse_connect},
};

fn greet(connect: &Connect<'_>, options: &ServerOptions, greeting: Greeting<'_>, session_present: bool) -> Vec<u8> {
    let terms = Terms::negotiate(connect, options).unwrap();
    let mut out = Vec::new();
    let proof = committed(Opening { session_present }, true);
    assert!(Session::default().accept(proof, &terms, options, greeting, &mut out));
    out
}

fn read(bytes: &[u8], version: Version) -> ConnAck<'_> {
    match packets(bytes, version)[..] {
        [Packet::ConnAck(connack)] => connack,
        ref other => panic!("{other:?}"),
    }
}

/// The properties of the CONNACK for a 5.0 client with `asks`, in the notation of debugging.
fn announced(asks: &[Property<'_>], options: &ServerOptions, greeting: Greeting<'_>) -> Vec<String> {
    let mut buf = PropertiesBuf::new();
    buf.extend(asks.iter().copied());
    let connect = Connect { properties: buf.as_properties(), ..connect(Version::V5) };
    let out = greet(&connect, options, greeting, false);
    read(&out, Version::V5).properties.iter().map(|property| format!("{property:?}")).collect()
}

/// [MQTT-3.2.2-2], [MQTT-3.2.2-3]; 3.1 has no such flag.
#[test]
fn the_session_is_present_when_it_was_opened_as_present() {
    for version in VERSIONS {
        for present in [false, true] {
            let out = greet(&connect(version), &ServerOptions::default(), Greeting::default(), present);
            let connack = read(&out, version);
            assert_eq!(connack.session_present, present && version != Version::V31);
            assert_eq!(connack.reason, ReasonCode::SUCCESS);
        }
    }
}

#[test]
fn before_5_0_it_says_nothing_else() {
    for version in [Version::V31, Version::V311] {
        let options = ServerOptions { session_expiry_max_s: 1, qos_max: QoS::AtMostOnce, ..ServerOptions::default() };
        let out = greet(&connect(version), &options, Greeting::default(), false);
        assert_eq!(out, [0x20, 2, 0, 0]);
    }
}

/// A property that says what would hold without it is left out, which keeps small clients small.
#[test]
fn nothing_is_announced_that_goes_without_saying() {
    let none: [String; 0] = [];
    assert_eq!(announced(&[], &quiet(), Greeting::default()), none);
    assert_eq!(announced(&[Property::SessionExpiry(7)], &quiet(), Greeting::default()), none);
}

/// [MQTT-3.2.2-9], [MQTT-3.2.2-15], [MQTT-3.2.2-17], [MQTT-3.2.2-18], [MQTT-3.2.2-21], MQTT5 3.2.2.3.
#[test]
fn each_bound_of_the_server_is_announced() {
    let cases: [(ServerOptions, &[Property<'_>], &str); 8] = [
        (ServerOptions { receive_maximum: 9, ..quiet() }, &[], "ReceiveMaximum(9)"),
        (ServerOptions { qos_max: QoS::AtLeastOnce, ..quiet() }, &[], "MaximumQos(1)"),
        (ServerOptions { qos_max: QoS::AtMostOnce, ..quiet() }, &[], "MaximumQos(0)"),
        (ServerOptions { retain_available: false, ..quiet() }, &[], "RetainAvailable(false)"),
        (ServerOptions { packet_bytes_max: 4096, ..quiet() }, &[], "MaximumPacketSize(4096)"),
        (ServerOptions { alias_maximum: 3, ..quiet() }, &[], "TopicAliasMaximum(3)"),
        (ServerOptions { keep_alive_max_s: 29, ..quiet() }, &[], "ServerKeepAlive(29)"),
        (ServerOptions { session_expiry_max_s: 5, ..quiet() }, &[Property::SessionExpiry(6)], "SessionExpiry(5)"),
    ];
    for (options, asks, says) in cases {
        assert_eq!(announced(asks, &options, Greeting::default()), [says]);
    }
}

/// [MQTT-3.2.2-16], MQTT5 3.2.2.3.15, [MQTT-4.12.0-5]
#[test]
fn what_belongs_to_one_client_is_said_to_it() {
    let named = Greeting { assigned_client_id: Some("made-up"), authentication_data: Some(b"last") };
    assert_eq!(announced(&[], &quiet(), named), ["AssignedClientId(\"made-up\")"], "data belongs to a method");
    let method = Property::AuthenticationMethod("M");
    let said = announced(&[method], &quiet(), Greeting { assigned_client_id: None, ..named });
    assert_eq!(said, ["AuthenticationMethod(\"M\")", "AuthenticationData([108, 97, 115, 116])"]);
    assert_eq!(announced(&[method], &quiet(), Greeting::default()), ["AuthenticationMethod(\"M\")"]);
    let options = ServerOptions { response_information: Some("reply/".into()), ..quiet() };
    let asks = Property::RequestResponseInformation(true);
    assert_eq!(announced(&[asks], &options, Greeting::default()), ["ResponseInformation(\"reply/\")"]);
    assert!(announced(&[], &options, Greeting::default()).is_empty(), "nobody asked");
    assert!(announced(&[asks], &quiet(), Greeting::default()).is_empty(), "there is none");
}

/// [MQTT-3.1.2-24]: a client that does not take the CONNACK gets no connection, and no other packet in its place.
#[test]
fn a_connack_that_the_client_does_not_take_is_not_written() {
    for (packet_bytes_max, is_accepted) in [(1, false), (4, false), (5, true)] {
        let mut rig = Rig::connected_with(Version::V5, |terms| terms.packet_bytes_max = packet_bytes_max);
        assert_eq!(rig.session.version().is_some(), is_accepted, "{packet_bytes_max}");
        assert_eq!(rig.session.credit() > 0, is_accepted);
        rig.reconnect();
        assert!(rig.session.version().is_some(), "the next connection is another matter");
    }
}

/// [MQTT-3.2.2-6]; table 3.1 of 3.1.1.
#[test]
fn a_refusal_has_no_session_and_the_closest_code() {
    let codes = [
        (ReasonCode::UNSUPPORTED_PROTOCOL_VERSION, 1),
        (ReasonCode::CLIENT_IDENTIFIER_NOT_VALID, 2),
        (ReasonCode::SERVER_BUSY, 3),
        (ReasonCode::QOS_NOT_SUPPORTED, 3),
        (ReasonCode::RETAIN_NOT_SUPPORTED, 3),
        (ReasonCode::BAD_USER_NAME_OR_PASSWORD, 4),
        (ReasonCode::NOT_AUTHORIZED, 5),
        (ReasonCode::BANNED, 5),
    ];
    for (reason, code) in codes {
        for version in VERSIONS {
            let mut out = Vec::new();
            refuse_connect(version, reason, "no", u32::MAX, &mut out);
            let connack = read(&out, version);
            assert!(!connack.session_present);
            if version.is_v5() {
                assert_eq!((connack.reason, connack.properties.reason_string()), (reason, Some("no")));
            } else {
                assert_eq!(connack.reason, ReasonCode(code), "{reason}");
            }
        }
    }
}

/// [MQTT-3.2.2-19]
#[test]
fn the_reason_string_of_a_refusal_goes_where_it_does_not_fit() {
    let written = |packet_bytes_max| {
        let mut out = b"before".to_vec();
        refuse_connect(Version::V5, ReasonCode::BANNED, "no", packet_bytes_max, &mut out);
        assert!(out.starts_with(b"before"));
        out.split_off(6)
    };
    let long = written(u32::MAX);
    assert_eq!(written(u32::try_from(long.len()).unwrap()), long);
    let short = written(u32::try_from(long.len()).unwrap() - 1);
    assert_eq!(read(&short, Version::V5).properties.reason_string(), None);
    assert_eq!(read(&short, Version::V5).reason, ReasonCode::BANNED);
    assert_eq!(written(u32::try_from(short.len()).unwrap()), short);
    assert_eq!(written(u32::try_from(short.len()).unwrap() - 1), b"", "not even the code fits [MQTT-3.1.2-24]");
}
