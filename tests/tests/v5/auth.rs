//! AUTH (3.15) and enhanced authentication (4.12) with SCRAM-SHA-256, at CONNECT and again later.

use std::sync::Arc;

use primer_harness::wire::{self, Packet, auth, frame, prop};
use primer_harness::{Broker, Client, Prop, Raw, Version};
use primer_mqtt::auth::scram::{ClientStep, METHOD, NONCE_BYTES, ScramClient};

use crate::fixture::{MALFORMED, PROTOCOL_ERROR, Shared, assert_closed_with, broker, unique};

const CONTINUE: u8 = 0x18;
const RE_AUTHENTICATE: u8 = 0x19;
const NOT_AUTHORIZED: u8 = 0x87;
const BAD_METHOD: u8 = 0x8c;

/// The shared broker with the users `user` and `other`.
fn guarded() -> Arc<Broker> {
    static GUARDED: Shared = Shared::new(&["--user", "user:pencil", "--user", "other:paper"]);
    GUARDED.get()
}

fn scram(user: &str, password: &str) -> ScramClient {
    let mut nonce = [7; NONCE_BYTES];
    let number = unique("");
    nonce[..number.len()].copy_from_slice(number.as_bytes());
    ScramClient::new(user, password.as_bytes(), nonce)
}

fn method_and(data: &[u8]) -> [Prop; 2] {
    [prop::authentication_method(METHOD), prop::authentication_data(data)]
}

fn data(packet: &Packet) -> Vec<u8> {
    match prop::find(packet.props(), prop::AUTHENTICATION_DATA) {
        Some(wire::Value::Bin(data)) => data.clone(),
        other => panic!("no data but {other:02x?} in {packet:02x?}"),
    }
}

fn method(packet: &Packet) -> Option<&str> {
    prop::text(packet.props(), prop::AUTHENTICATION_METHOD)
}

/// Sends CONNECT and reads the server's first AUTH, which asks for more.
#[track_caller]
fn begin(broker: &Broker, id: &str, scram: &mut ScramClient) -> (Raw, Packet) {
    let mut raw = Raw::connect(broker.addr());
    raw.send(&wire::connect(Version::V5, id).props(&method_and(&scram.first())).build());
    let packet = raw.recv(true);
    assert!(matches!(packet, Packet::Auth { .. }), "{packet:02x?}");
    (raw, packet)
}

#[track_caller]
fn proof(scram: &mut ScramClient, server_first: &[u8]) -> Vec<u8> {
    match scram.step(server_first) {
        Ok(ClientStep::Continue(data)) => data,
        other => panic!("{other:?}"),
    }
}

/// Goes through the whole exchange; gives the connection and its CONNACK.
#[track_caller]
fn log_in(broker: &Broker, id: &str) -> (Raw, Packet) {
    let mut scram = scram("user", "pencil");
    let (mut raw, first) = begin(broker, id, &mut scram);
    raw.send(&auth(CONTINUE, Some(&method_and(&proof(&mut scram, &data(&first))))));
    let connack = raw.recv(true);
    assert!(matches!(connack, Packet::Connack { code: 0, .. }), "{connack:02x?}");
    assert_eq!(scram.step(&data(&connack)), Ok(ClientStep::Done), "the server knows the password too");
    (raw, connack)
}

/// Makes sure that the server ends the connection with a DISCONNECT of this code, which names no other packet first.
#[track_caller]
fn assert_ended(raw: &mut Raw, codes: &[u8]) {
    let code = raw.expect_refused(true);
    assert!(code.is_some_and(|code| codes.contains(&code)), "{code:02x?}");
}

/// The server asks for more with 0x18 [MQTT-4.12.0-2], and all its packets name the method [MQTT-4.12.0-5].
#[test]
fn a_client_proves_its_password_by_scram() {
    let broker = guarded();
    let mut scram = scram("user", "pencil");
    let (mut raw, first) = begin(&broker, &unique("scram"), &mut scram);
    assert_eq!((first.reason(), method(&first)), (Some(CONTINUE), Some(METHOD)));
    raw.send(&auth(CONTINUE, Some(&method_and(&proof(&mut scram, &data(&first))))));
    let connack = raw.recv(true);
    assert_eq!((connack.reason(), method(&connack)), (Some(0), Some(METHOD)));
    assert_eq!(scram.step(&data(&connack)), Ok(ClientStep::Done));
    raw.expect_alive();
}

/// [MQTT-4.12.0-1]
#[test]
fn an_unknown_method_is_refused() {
    for broker in [guarded(), broker()] {
        for name in ["SCRAM-SHA-1", "GS2-KRB5", "", "scram-sha-256"] {
            let connect = wire::connect(Version::V5, &unique("method"));
            let mut raw = Raw::connect(broker.addr());
            raw.send(&connect.props(&[prop::authentication_method(name), prop::authentication_data(b"x")]).build());
            let code = raw.expect_refused(true);
            assert!(matches!(code, Some(BAD_METHOD | NOT_AUTHORIZED)), "{name:?}: {code:02x?}");
        }
    }
}

/// A wrong password, an unknown user and nonsense are refused alike, in CONNACK, with a close [MQTT-4.12.0-4].
#[test]
fn a_failed_exchange_is_refused_in_connack() {
    let broker = guarded();
    for (user, password) in [("user", "wrong"), ("nobody", "pencil"), ("other", "pencil")] {
        let mut scram = scram(user, password);
        let (mut raw, first) = begin(&broker, &unique("wrong"), &mut scram);
        raw.send(&auth(CONTINUE, Some(&method_and(&proof(&mut scram, &data(&first))))));
        let answer = raw.recv(true);
        assert!(matches!(answer, Packet::Connack { code: NOT_AUTHORIZED, .. }), "{answer:02x?}");
        raw.expect_closed();
    }
    let mut raw = Raw::connect(broker.addr());
    raw.send(&wire::connect(Version::V5, &unique("wrong")).props(&method_and(b"nonsense")).build());
    assert_eq!(raw.expect_refused(true), Some(NOT_AUTHORIZED));
}

/// Within the exchange a client sends AUTH 0x18 [MQTT-4.12.0-3] of the same method [MQTT-4.12.0-5] and nothing else.
#[test]
fn another_packet_in_the_middle_of_an_exchange_is_refused() {
    let broker = guarded();
    let other_method = [prop::authentication_method("GS2-KRB5"), prop::authentication_data(b"x")];
    for make in [
        |data: &[u8]| auth(RE_AUTHENTICATE, Some(&method_and(data))),
        |data: &[u8]| auth(0, Some(&method_and(data))),
        |_: &[u8]| wire::pingreq(),
        |_: &[u8]| wire::publish(Version::V5, "auth/early", b"x").build(),
    ] {
        let mut scram = scram("user", "pencil");
        let (mut raw, first) = begin(&broker, &unique("middle"), &mut scram);
        raw.send(&make(&proof(&mut scram, &data(&first))));
        assert!(raw.expect_refused(true).is_none_or(|code| code >= 0x80));
    }
    let (mut raw, _) = begin(&broker, &unique("middle"), &mut scram("user", "pencil"));
    raw.send(&auth(CONTINUE, Some(&other_method)));
    assert!(raw.expect_refused(true).is_none_or(|code| code >= 0x80));
    let (mut raw, _) = begin(&broker, &unique("middle"), &mut scram("user", "pencil"));
    raw.send(&wire::disconnect());
    assert!(raw.expect_refused(true).is_none_or(|code| code >= 0x80), "a client may leave");
}

/// Without a method in CONNECT, the server sends no AUTH and names none [MQTT-4.12.0-6], whether it lets in or not.
#[test]
fn without_a_method_there_is_no_auth() {
    let broker = guarded();
    let connect =
        |password: &str| wire::connect(Version::V5, &unique("plain")).user("user").password(password.as_bytes());
    let mut client = Client::open(broker.addr(), &connect("pencil"));
    assert_eq!(prop::find(client.connack_props(), prop::AUTHENTICATION_METHOD), None);
    assert_eq!(prop::find(client.connack_props(), prop::AUTHENTICATION_DATA), None);
    client.ping();
    let Err(refused) = Client::try_open(broker.addr(), &connect("wrong")) else { panic!("let in") };
    assert!(matches!(refused.code, Some(0x86 | NOT_AUTHORIZED)), "{refused:02x?}");
    assert_eq!(prop::find(&refused.props, prop::AUTHENTICATION_METHOD), None);
    let Err(refused) = Client::try_open(broker.addr(), &wire::connect(Version::V5, &unique("plain"))) else {
        panic!("let in")
    };
    assert!(matches!(refused.code, Some(0x86 | NOT_AUTHORIZED)), "{refused:02x?}");
}

/// [MQTT-4.12.0-7]
#[test]
fn an_auth_without_a_method_in_connect_is_a_protocol_error() {
    for code in [CONTINUE, RE_AUTHENTICATE] {
        assert_closed_with(broker().addr(), &auth(code, Some(&method_and(b"x"))), &[PROTOCOL_ERROR]);
    }
}

/// [MQTT-3.15.1-1]
#[test]
fn an_auth_with_other_flags_is_malformed() {
    let broker = guarded();
    for flags in [1, 2, 8] {
        let (mut raw, _) = log_in(&broker, &unique("flags"));
        let mut bytes = auth(RE_AUTHENTICATE, Some(&method_and(&scram("user", "pencil").first())));
        bytes[0] |= flags;
        raw.send(&bytes);
        assert_ended(&mut raw, &[MALFORMED]);
    }
}

/// [MQTT-3.15.2-1], and an AUTH without a code means 0x00 [MQTT5-3.15.2.1], which is the server's alone.
#[test]
fn an_auth_with_a_code_that_is_not_a_clients_is_refused() {
    let broker = guarded();
    for bytes in [
        frame(0xf0, &[]),
        auth(0, Some(&method_and(b"x"))),
        auth(0x01, Some(&method_and(b"x"))),
        auth(0x87, Some(&method_and(b"x"))),
    ] {
        let (mut raw, _) = log_in(&broker, &unique("code"));
        raw.send(&bytes);
        assert_ended(&mut raw, &[MALFORMED, PROTOCOL_ERROR]);
    }
}

/// [MQTT5-3.15.2.2.2] [MQTT5-3.15.2.2.3]
#[test]
fn an_auth_without_a_method_or_with_a_property_twice_is_a_protocol_error() {
    let broker = guarded();
    let method = prop::authentication_method(METHOD);
    let data = prop::authentication_data(&scram("user", "pencil").first());
    let reason = prop::reason_string("why");
    for props in [
        vec![],
        vec![data.clone()],
        vec![method.clone(), method.clone(), data.clone()],
        vec![method.clone(), data.clone(), data.clone()],
        vec![method, data, reason.clone(), reason],
    ] {
        let (mut raw, _) = log_in(&broker, &unique("props"));
        raw.send(&auth(RE_AUTHENTICATE, Some(&props)));
        assert_ended(&mut raw, &[PROTOCOL_ERROR]);
    }
}

/// A client proves its password anew while all else goes on [MQTT-4.12.1-1]; the last AUTH says 0x00 [MQTT-3.15.2-1].
#[test]
fn a_client_authenticates_again_while_messages_go_on() {
    let broker = guarded();
    let (mut raw, _) = log_in(&broker, &unique("again"));
    for _ in 0..2 {
        let mut scram = scram("user", "pencil");
        let props = [&method_and(&scram.first())[..], &[prop::user_property("k", "v")]].concat();
        raw.send(&auth(RE_AUTHENTICATE, Some(&props)));
        let first = raw.recv(true);
        assert_eq!((first.reason(), method(&first)), (Some(CONTINUE), Some(METHOD)));
        raw.send(&wire::publish(Version::V5, "auth/meanwhile", b"x").qos(1, 1).build());
        assert!(matches!(raw.recv(true), Packet::Ack { pid: 1, reason: 0x10, .. }));
        raw.send(&auth(CONTINUE, Some(&method_and(&proof(&mut scram, &data(&first))))));
        let last = raw.recv(true);
        assert!(matches!(last, Packet::Auth { reason: 0, .. }), "{last:02x?}");
        assert_eq!(method(&last), Some(METHOD));
        assert_eq!(scram.step(&data(&last)), Ok(ClientStep::Done));
        raw.expect_alive();
    }
}

/// [MQTT-4.12.1-1]
#[test]
fn authenticating_again_with_another_method_is_refused() {
    let broker = guarded();
    let (mut raw, _) = log_in(&broker, &unique("othermethod"));
    let props = [prop::authentication_method("GS2-KRB5"), prop::authentication_data(b"x")];
    raw.send(&auth(RE_AUTHENTICATE, Some(&props)));
    assert_ended(&mut raw, &[PROTOCOL_ERROR, BAD_METHOD, NOT_AUTHORIZED]);
}

/// [MQTT-4.12.1-2], also for one that would go on as somebody else.
#[test]
fn authenticating_again_in_vain_closes_the_connection() {
    let broker = guarded();
    for (user, password) in [("user", "wrong"), ("other", "paper")] {
        let (mut raw, _) = log_in(&broker, &unique("invain"));
        let mut scram = scram(user, password);
        raw.send(&auth(RE_AUTHENTICATE, Some(&method_and(&scram.first()))));
        let first = raw.recv(true);
        raw.send(&auth(CONTINUE, Some(&method_and(&proof(&mut scram, &data(&first))))));
        assert_ended(&mut raw, &[NOT_AUTHORIZED]);
    }
}

/// An AUTH 0x18 that continues nothing is a protocol error [MQTT-4.12.0-3].
#[test]
fn an_auth_that_continues_nothing_is_a_protocol_error() {
    let (mut raw, _) = log_in(&guarded(), &unique("nothing"));
    raw.send(&auth(CONTINUE, Some(&method_and(b"x"))));
    assert_ended(&mut raw, &[PROTOCOL_ERROR]);
}
