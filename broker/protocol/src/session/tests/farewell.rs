//! The rest of the conversation: DISCONNECT, AUTH, PINGREQ, answers to SUBSCRIBE and UNSUBSCRIBE, and packets that a
//! client may not send.

use super::rig::{Rig, SUCCESS, VERSIONS, connect, id, packets};
use crate::{
    ReasonCode, Version, Violation,
    codec::{
        packet::{ConnAck, Connect, Outcome, Packet, SubAck},
        properties::{Properties, PropertiesBuf, Property},
    },
    session::{ServerOptions, Step, Terms},
};

/// A 5.0 connection whose CONNECT had these properties.
fn rig_with(asks: &[Property<'_>], options: ServerOptions) -> Rig {
    let mut buf = PropertiesBuf::new();
    buf.extend(asks.iter().copied());
    let mut rig = Rig::new(Version::V5, options);
    rig.accept(&Connect { properties: buf.as_properties(), ..connect(Version::V5) }, |_| ());
    rig
}

/// The client's DISCONNECT: whether its will is due, and its new expiry.
fn leave(rig: &mut Rig, reason: ReasonCode, expiry: Option<u32>) -> Result<(bool, Option<u32>), Violation> {
    let mut buf = PropertiesBuf::new();
    buf.extend(expiry.map(Property::SessionExpiry));
    match rig.handle(Packet::Disconnect(Outcome { reason, properties: buf.as_properties() }))? {
        Step::Disconnect { with_will, session_expiry_s } => Ok((with_will, session_expiry_s)),
        other => panic!("{other:?}"),
    }
}

/// The client's AUTH.
fn authenticate(rig: &mut Rig, method: &str) -> Result<(), Violation> {
    let mut buf = PropertiesBuf::new();
    buf.push(&Property::AuthenticationMethod(method));
    let outcome = Outcome { reason: ReasonCode::RE_AUTHENTICATE, properties: buf.as_properties() };
    match rig.handle(Packet::Auth(outcome))? {
        Step::Authenticate(_) => Ok(()),
        other => panic!("{other:?}"),
    }
}

/// [MQTT-3.14.4-3]: 0x00 discards the will, and nothing else does.
#[test]
fn only_a_normal_disconnect_discards_the_will() {
    for version in VERSIONS {
        assert_eq!(leave(&mut Rig::connected(version), SUCCESS, None), Ok((false, None)));
    }
    for code in [0x04, 0x80, 0x81, 0x82, 0x83, 0x90, 0x93, 0x94, 0x95, 0x96, 0x97, 0x98, 0x99] {
        let mut rig = Rig::connected(Version::V5);
        assert_eq!(leave(&mut rig, ReasonCode(code), None), Ok((true, None)), "{code:#x}");
    }
}

/// [MQTT-3.14.2-2]: a session that CONNECT let end with the connection cannot be prolonged.
#[test]
fn disconnect_may_change_an_expiry_that_connect_has_set() {
    let mut rig = rig_with(&[Property::SessionExpiry(100)], ServerOptions::default());
    for expiry in [None, Some(0), Some(7), Some(u32::MAX)] {
        assert_eq!(leave(&mut rig, SUCCESS, expiry), Ok((false, expiry)));
    }
    for asks in [&[][..], &[Property::SessionExpiry(0)]] {
        let mut rig = rig_with(asks, ServerOptions::default());
        assert_eq!(leave(&mut rig, SUCCESS, Some(0)), Ok((false, Some(0))));
        assert_eq!(leave(&mut rig, SUCCESS, Some(1)).unwrap_err().reason, ReasonCode::PROTOCOL_ERROR);
    }
    let none = ServerOptions { session_expiry_max_s: 0, ..ServerOptions::default() };
    let mut rig = rig_with(&[Property::SessionExpiry(100)], none);
    assert_eq!(leave(&mut rig, SUCCESS, Some(1)), Ok((false, Some(1))), "it was the server that said 0");
}

/// [MQTT-3.14.0-1], [MQTT-3.14.2-3], [MQTT-3.1.2-29]
#[test]
fn the_servers_disconnect() {
    for version in [Version::V31, Version::V311] {
        let mut rig = Rig::connected(version);
        rig.session.disconnect(ReasonCode::SERVER_BUSY, Some("why"), &mut rig.out);
        assert!(rig.out.is_empty(), "3.x has no DISCONNECT of the server");
    }
    let written = |change: &dyn Fn(&mut Terms), why| {
        let mut rig = Rig::connected_with(Version::V5, change);
        rig.session.disconnect(ReasonCode::SERVER_BUSY, why, &mut rig.out);
        rig.out
    };
    let reason_of = |bytes: &[u8]| match packets(bytes, Version::V5)[..] {
        [Packet::Disconnect(outcome)] => {
            assert_eq!(outcome.reason, ReasonCode::SERVER_BUSY);
            outcome.properties.reason_string().map(str::to_owned)
        }
        ref other => panic!("{other:?}"),
    };
    let long = written(&|_| (), Some("why"));
    let len = u32::try_from(long.len()).unwrap();
    assert_eq!(reason_of(&long).as_deref(), Some("why"));
    assert_eq!(reason_of(&written(&|_| (), None)), None);
    assert_eq!(written(&|terms| terms.packet_bytes_max = len, Some("why")), long);
    assert_eq!(reason_of(&written(&|terms| terms.packet_bytes_max = len - 1, Some("why"))), None);
    assert_eq!(reason_of(&written(&|terms| terms.problem_information = false, Some("why"))), None);
    let mut rig = Rig::connected(Version::V5);
    rig.session.detach();
    rig.session.disconnect(ReasonCode::SERVER_BUSY, None, &mut rig.out);
    assert!(rig.out.is_empty());
}

/// [MQTT-4.12.0-7], [MQTT-4.12.1-1]
#[test]
fn auth_needs_the_method_of_connect() {
    let mut rig = Rig::connected(Version::V5);
    assert_eq!(authenticate(&mut rig, "M").unwrap_err().reason, ReasonCode::PROTOCOL_ERROR);
    rig.session.continue_authentication(SUCCESS, None, &mut rig.out);
    assert!(rig.out.is_empty());
    let mut rig = rig_with(&[Property::AuthenticationMethod("M")], ServerOptions::default());
    assert_eq!(rig.session.authentication_method(), Some("M"));
    assert_eq!(authenticate(&mut rig, "M"), Ok(()));
    assert_eq!(authenticate(&mut rig, "m").unwrap_err().reason, ReasonCode::BAD_AUTHENTICATION_METHOD);
    rig.session.continue_authentication(ReasonCode::CONTINUE_AUTHENTICATION, Some(b"data"), &mut rig.out);
    match packets(&rig.out, Version::V5)[..] {
        [Packet::Auth(outcome)] => {
            assert_eq!(outcome.reason, ReasonCode::CONTINUE_AUTHENTICATION);
            assert_eq!(outcome.properties.authentication_method(), Some("M"));
            assert_eq!(outcome.properties.authentication_data(), Some(&b"data"[..]));
        }
        ref other => panic!("{other:?}"),
    }
    rig.reconnect();
    assert_eq!(rig.session.authentication_method(), None, "it belonged to the connection");
}

/// [MQTT-3.12.4-1]
#[test]
fn a_ping_is_answered() {
    for version in VERSIONS {
        let mut rig = Rig::connected(version);
        assert!(matches!(rig.handle(Packet::PingReq), Ok(Step::Nothing)));
        assert_eq!(rig.out, [0xD0, 0]);
    }
}

/// [MQTT-3.1.0-2]
#[test]
fn what_no_client_may_send_is_a_violation() {
    let ack = SubAck { packet_id: id(1), properties: Properties::EMPTY, codes: &[0] };
    let connack = ConnAck { session_present: false, reason: SUCCESS, properties: Properties::EMPTY };
    for version in VERSIONS {
        let mut rig = Rig::connected(version);
        let second = Packet::Connect(Box::new(connect(version)));
        let others = [Packet::ConnAck(connack), Packet::SubAck(ack), Packet::UnsubAck(ack), Packet::PingResp];
        for packet in std::iter::once(second).chain(others) {
            assert_eq!(rig.handle(packet).map(drop).unwrap_err().reason, ReasonCode::PROTOCOL_ERROR);
        }
        assert!(rig.out.is_empty());
    }
}

/// [MQTT-3.8.4-5], [MQTT-3.9.3-1], [MQTT-3.11.3-1]
#[test]
fn answers_to_subscriptions_have_a_code_a_filter() {
    let codes = [0, 2, 0x87];
    for version in VERSIONS {
        let mut rig = Rig::connected(version);
        rig.session.answer_subscribe(id(5), &codes, None, &mut rig.out);
        rig.session.answer_unsubscribe(id(6), &[0, 0x11], &mut rig.out);
        match packets(&rig.out, version)[..] {
            [Packet::SubAck(suback), Packet::UnsubAck(unsuback)] => {
                let (said, unsaid) = if version.is_v5() { (&codes, &[0, 0x11][..]) } else { (&[0, 2, 0x80], &[][..]) };
                assert_eq!((suback.packet_id, suback.codes), (id(5), &said[..]), "{version:?}");
                assert_eq!((unsuback.packet_id, unsuback.codes), (id(6), unsaid), "{version:?}");
            }
            ref other => panic!("{other:?}"),
        }
    }
}

/// [MQTT-3.9.2-1], [MQTT-3.1.2-29]
#[test]
fn a_suback_tells_why_where_the_client_wants_it_and_takes_it() {
    let written = |version, packet_bytes_max, problem_information| {
        let mut rig = Rig::connected_with(version, |terms| {
            terms.packet_bytes_max = packet_bytes_max;
            terms.problem_information = problem_information;
        });
        rig.session.answer_subscribe(id(5), &[0x87], Some("not yours"), &mut rig.out);
        rig.out
    };
    let why = |bytes: &[u8]| match packets(bytes, Version::V5)[..] {
        [Packet::SubAck(suback)] => suback.properties.reason_string().map(str::to_owned),
        ref other => panic!("{other:?}"),
    };
    let long = written(Version::V5, u32::MAX, true);
    let len = u32::try_from(long.len()).unwrap();
    assert_eq!(why(&long).as_deref(), Some("not yours"));
    assert_eq!(written(Version::V5, len, true), long);
    assert_eq!(why(&written(Version::V5, len - 1, true)), None);
    assert_eq!(why(&written(Version::V5, u32::MAX, false)), None);
    assert_eq!(written(Version::V311, u32::MAX, true), [0x90, 3, 0, 5, 0x80]);
}
