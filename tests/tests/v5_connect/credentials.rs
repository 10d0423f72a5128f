//! Who is let in (3.1.4), and what comes before that is decided.

use primer_harness::wire::{Will, auth, connect, disconnect, prop, publish, subscribe};
use primer_harness::{Broker, Client, Packet, Raw, SILENCE};

use crate::fixture::{V, assert_refused, opened_with};

const BAD_USER_NAME_OR_PASSWORD: u8 = 0x86;

fn broker_with_users() -> Broker {
    Broker::with_args(&["--user", "ann:secret"])
}

/// The user name [MQTT-3.1.2-17] and the password [MQTT-3.1.2-19] are read where their flags are set and are missing
/// where they are not [MQTT-3.1.2-16] [MQTT-3.1.2-18]: who fails the check is closed [MQTT-3.1.4-2], after a CONNACK
/// of 0x80 or more [MQTT-3.2.2-7].
#[test]
fn only_the_right_user_name_and_password_are_let_in() {
    let broker = broker_with_users();
    let right = connect(V, "let-in").user("ann").password(b"secret");
    opened_with(broker.addr(), &right).0.expect_alive();
    for wrong in [
        connect(V, "let-in"),
        connect(V, "let-in").user("ann"),
        connect(V, "let-in").password(b"secret"),
        connect(V, "let-in").user("").password(b"secret"),
        connect(V, "let-in").user("ann").password(b""),
        connect(V, "let-in").user("ann").password(b"Secret"),
        connect(V, "let-in").user("Ann").password(b"secret"),
    ] {
        let mut raw = Raw::connect(broker.addr());
        raw.send(&wrong.build());
        let code = raw.expect_refused(true);
        assert!(code.is_some_and(|code| [BAD_USER_NAME_OR_PASSWORD, 0x87].contains(&code)), "{code:02x?}: {wrong:?}");
    }
}

/// Whatever comes behind a CONNECT that was refused is ignored [MQTT-3.1.4-6]: no publish, no retained message, no
/// will, no session.
#[test]
fn what_follows_a_refused_connect_is_ignored() {
    let broker = broker_with_users();
    let mut watcher = Client::v5_with(broker.addr(), "watch", |c| c.user("ann").password(b"secret"));
    watcher.subscribe("refused/#", 0);
    let right = connect(V, "intruder").clean(false).user("ann").password(b"secret").session_expiry(60);
    let packets = [
        right.clone().password(b"wrong").will(Will::new("refused/will", b"x")).build(),
        subscribe(V, 1, &[("refused/#", 1)]),
        publish(V, "refused/now", b"x").build(),
        publish(V, "refused/retained", b"x").qos(1, 2).retain().build(),
    ];
    let mut raw = Raw::connect(broker.addr());
    raw.send(&packets.concat());
    assert_eq!(raw.expect_refused(true), Some(BAD_USER_NAME_OR_PASSWORD));
    watcher.expect_no_publish(SILENCE);
    watcher.subscribe("refused/+", 0);
    watcher.expect_no_publish(SILENCE / 4);
    assert!(!Client::open(broker.addr(), &right).session_present(), "a refused client left a session");
}

/// A CONNACK with another code than 0x00 has session present 0, also where there is a session [MQTT-3.2.2-6]; it is
/// followed by a close [MQTT-3.2.2-7], and harms neither the session nor its connection.
#[test]
fn a_refusal_has_session_present_clear_and_harms_no_session() {
    let broker = broker_with_users();
    let right = connect(V, "owner").clean(false).user("ann").password(b"secret").session_expiry(60);
    let mut owner = Client::open(broker.addr(), &right);
    for clean in [false, true] {
        // It checks session present as well.
        assert_refused(broker.addr(), &right.clone().clean(clean).password(b"no"), BAD_USER_NAME_OR_PASSWORD);
    }
    owner.ping();
    owner.abort();
    assert_refused(broker.addr(), &right.clone().password(b"no"), BAD_USER_NAME_OR_PASSWORD);
    assert!(Client::open(broker.addr(), &right).session_present());
}

/// A connection on which an enhanced authentication was begun and the broker has answered with AUTH: nothing else
/// goes to a client before its CONNACK [MQTT-3.2.0-1].
#[track_caller]
fn half_authenticated(broker: &Broker) -> Raw {
    let props = [prop::authentication_method("SCRAM-SHA-256"), prop::authentication_data(b"n,,n=ann,r=clientnonce")];
    let mut raw = Raw::connect(broker.addr());
    raw.send(&connect(V, "half").props(&props).build());
    match raw.recv(true) {
        Packet::Auth { reason: 0x18, props } => {
            assert_eq!(prop::text(&props, prop::AUTHENTICATION_METHOD), Some("SCRAM-SHA-256"));
        }
        other => panic!("awaited an AUTH, received {other:02x?}"),
    }
    raw
}

/// Between a CONNECT with an authentication method and its CONNACK, only AUTH and DISCONNECT may come
/// [MQTT-3.1.2-30]: anything else is refused, and has no effect [MQTT-3.2.0-1].
#[test]
fn only_auth_may_come_before_the_connack_of_an_enhanced_authentication() {
    let broker = broker_with_users();
    let mut watcher = Client::v5_with(broker.addr(), "watch", |c| c.user("ann").password(b"secret"));
    watcher.subscribe("half/#", 0);
    for packet in [
        publish(V, "half/now", b"x").build(),
        subscribe(V, 1, &[("half/#", 1)]),
        vec![0xc0, 0],
        connect(V, "half").build(),
    ] {
        let mut raw = half_authenticated(&broker);
        raw.send(&packet);
        let code = raw.expect_refused(true);
        assert!(code.is_none_or(|code| code >= 0x80), "{code:02x?}");
    }
    let mut raw = half_authenticated(&broker);
    raw.send(&disconnect());
    raw.expect_refused(true);
    let mut raw = half_authenticated(&broker);
    let props = [prop::authentication_method("SCRAM-SHA-256"), prop::authentication_data(b"c=biws,r=wrong,p=AAAA")];
    raw.send(&auth(0x18, Some(&props)));
    assert!(raw.expect_refused(true).is_some_and(|code| code >= 0x80));
    watcher.expect_no_publish(SILENCE / 2);
}
