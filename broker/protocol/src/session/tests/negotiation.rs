//! What CONNECT and the server's options come to: identifiers, expiry, keep alive, windows, aliases, wills.

use super::rig::{VERSIONS, connect};
use crate::{
    ReasonCode, Version,
    codec::{
        packet::{Connect, QoS, Will},
        properties::{Properties, PropertiesBuf, Property},
    },
    session::{SESSION_NEVER_EXPIRES, ServerOptions, Terms},
};

fn negotiate(connect: &Connect<'_>) -> Terms {
    Terms::negotiate(connect, &ServerOptions::default()).unwrap()
}

fn refusal(connect: &Connect<'_>, options: &ServerOptions) -> ReasonCode {
    Terms::negotiate(connect, options).unwrap_err().0
}

/// The terms of a 5.0 client with these properties.
fn terms_with(properties: &[Property<'_>], options: &ServerOptions) -> Terms {
    let mut buf = PropertiesBuf::new();
    buf.extend(properties.iter().copied());
    Terms::negotiate(&Connect { properties: buf.as_properties(), ..connect(Version::V5) }, options).unwrap()
}

fn will(qos: QoS, retain: bool) -> Will<'static> {
    Will { qos, retain, topic: "gone", payload: b"", properties: Properties::EMPTY }
}

/// [MQTT-3.1.3-6], [MQTT-3.1.3-7] of 3.1.1 and 5.0, [MQTT-3.1.3-8] of 3.1.1.
#[test]
fn who_may_come_without_an_identifier() {
    for version in VERSIONS {
        for clean_start in [false, true] {
            let nameless = Connect { client_id: "", clean_start, ..connect(version) };
            let is_welcome = version == Version::V5 || (version == Version::V311 && clean_start);
            match Terms::negotiate(&nameless, &ServerOptions::default()) {
                Ok(terms) => {
                    assert!(is_welcome && terms.assign_client_id, "{version:?} {clean_start}");
                    assert_eq!(terms.clean_start, clean_start);
                }
                Err((reason, _)) => {
                    assert!(!is_welcome, "{version:?} {clean_start}");
                    assert_eq!(reason, ReasonCode::CLIENT_IDENTIFIER_NOT_VALID);
                }
            }
            assert!(!negotiate(&Connect { clean_start, ..connect(version) }).assign_client_id);
        }
    }
}

/// [MQTT-3.1.2-23] of 5.0; 3.1.2.4 of 3.1.1.
#[test]
fn how_long_the_session_lasts() {
    for version in [Version::V31, Version::V311] {
        assert_eq!(negotiate(&Connect { clean_start: true, ..connect(version) }).session_expiry_s, 0);
        assert_eq!(negotiate(&connect(version)).session_expiry_s, SESSION_NEVER_EXPIRES);
        let capped = ServerOptions { session_expiry_max_s: 60, ..ServerOptions::default() };
        assert_eq!(Terms::negotiate(&connect(version), &capped).unwrap().session_expiry_s, 60);
    }
    let options = ServerOptions { session_expiry_max_s: 60, ..ServerOptions::default() };
    for (asked, got) in [(0, 0), (59, 59), (60, 60), (61, 60), (u32::MAX, 60)] {
        assert_eq!(terms_with(&[Property::SessionExpiry(asked)], &options).session_expiry_s, got);
    }
    assert_eq!(terms_with(&[], &options).session_expiry_s, 0);
    let for_ever = terms_with(&[Property::SessionExpiry(u32::MAX)], &ServerOptions::default());
    assert_eq!(for_ever.session_expiry_s, SESSION_NEVER_EXPIRES);
}

/// [MQTT-3.1.2-21] of 5.0: only a 5.0 client can be told another keep alive, so only there it is another. A
/// client that turned the keep alive off keeps it off.
#[test]
fn how_long_the_client_may_be_silent() {
    let keep_alive = |version, keep_alive, keep_alive_max_s| {
        let options = ServerOptions { keep_alive_max_s, ..ServerOptions::default() };
        Terms::negotiate(&Connect { keep_alive, ..connect(version) }, &options).unwrap().keep_alive_s
    };
    for (asked, max, got) in [(30, 60, 30), (60, 60, 60), (61, 60, 60), (u16::MAX, 60, 60), (500, 0, 500), (0, 60, 0)] {
        assert_eq!(keep_alive(Version::V5, asked, max), got, "{asked} of {max}");
        assert_eq!(keep_alive(Version::V311, asked, max), asked);
        assert_eq!(keep_alive(Version::V31, asked, max), asked);
    }
}

/// [MQTT-3.3.4-7], [MQTT-3.1.2-25], [MQTT-3.3.2-10].
#[test]
fn what_the_client_takes_is_the_smaller_of_its_bound_and_the_servers() {
    let options = ServerOptions { inflight_max: 20, alias_out_maximum: 8, ..ServerOptions::default() };
    for (asked, got) in [(1, 1), (19, 19), (20, 20), (21, 20), (u16::MAX, 20)] {
        assert_eq!(terms_with(&[Property::ReceiveMaximum(asked)], &options).window, got);
    }
    for (asked, got) in [(0, 0), (7, 7), (8, 8), (9, 8)] {
        assert_eq!(terms_with(&[Property::TopicAliasMaximum(asked)], &options).alias_out_maximum, got);
    }
    assert_eq!(terms_with(&[Property::MaximumPacketSize(99)], &options).packet_bytes_max, 99);
    for version in VERSIONS {
        let terms = Terms::negotiate(&connect(version), &options).unwrap();
        assert_eq!((terms.window, terms.alias_out_maximum, terms.packet_bytes_max), (20, 0, u32::MAX), "{version:?}");
    }
}

/// MQTT5 3.1.2.11.6, 3.1.2.11.7, 3.1.2.11.9.
#[test]
fn what_else_the_client_asks_for() {
    let options = ServerOptions::default();
    let plain = terms_with(&[], &options);
    assert!(plain.problem_information && !plain.wants_response_information);
    assert_eq!(plain.authentication_method, None);
    let asks = [
        Property::RequestProblemInformation(false),
        Property::RequestResponseInformation(true),
        Property::AuthenticationMethod("SCRAM-SHA-256"),
    ];
    let terms = terms_with(&asks, &options);
    assert!(!terms.problem_information && terms.wants_response_information);
    assert_eq!(terms.authentication_method.as_deref(), Some("SCRAM-SHA-256"));
}

/// [MQTT-3.2.2-12]
#[test]
fn a_will_above_the_maximum_qos_is_refused() {
    for version in VERSIONS {
        for qos_max in [QoS::AtMostOnce, QoS::AtLeastOnce, QoS::ExactlyOnce] {
            let options = ServerOptions { qos_max, ..ServerOptions::default() };
            for qos in [QoS::AtMostOnce, QoS::AtLeastOnce, QoS::ExactlyOnce] {
                let connect = Connect { will: Some(will(qos, false)), ..connect(version) };
                if qos > qos_max {
                    assert_eq!(refusal(&connect, &options), ReasonCode::QOS_NOT_SUPPORTED);
                } else {
                    assert!(Terms::negotiate(&connect, &options).is_ok());
                }
            }
        }
    }
}

/// [MQTT-3.2.2-13]
#[test]
fn a_retained_will_is_refused_where_nothing_is_retained() {
    let none = ServerOptions { retain_available: false, ..ServerOptions::default() };
    for version in VERSIONS {
        let retained = Connect { will: Some(will(QoS::AtMostOnce, true)), ..connect(version) };
        assert_eq!(refusal(&retained, &none), ReasonCode::RETAIN_NOT_SUPPORTED);
        assert!(Terms::negotiate(&retained, &ServerOptions::default()).is_ok());
        let plain = Connect { will: Some(will(QoS::AtMostOnce, false)), ..connect(version) };
        assert!(Terms::negotiate(&plain, &none).is_ok());
    }
}
