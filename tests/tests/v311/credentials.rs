//! User name and password (3.1.3.4, 3.1.3.5): who is let in, and that nothing of who is not has an effect.

use primer_harness::wire::{Will, connect, publish, subscribe};
use primer_harness::{Broker, Client, Raw, SILENCE};

use crate::fixture::{ACCEPTED, V, knock};

fn broker_with_users() -> Broker {
    Broker::with_args(&["--user", "ann:secret", "--user", "bob:b:\u{e9}"])
}

/// A CONNACK of code 4 or 5, without session present [MQTT-3.2.2-4], and then the close [MQTT-3.2.2-5].
#[track_caller]
fn expect_not_let_in(raw: &mut Raw) {
    match raw.recv_packet().as_deref() {
        Some([0x20, 2, 0, 4 | 5]) => raw.expect_closed(),
        other => panic!("awaited code 4 or 5 without session present, received {other:02x?}"),
    }
}

/// With its flag the user name is read [MQTT-3.1.2-19], and so is the password [MQTT-3.1.2-21]: the right ones are let
/// in with code 0 [MQTT-3.1.4-4], and others are not [MQTT-3.2.2-5]. Without its flag there is none
/// [MQTT-3.1.2-18] [MQTT-3.1.2-20].
#[test]
fn only_the_right_user_name_and_password_are_let_in() {
    let broker = broker_with_users();
    for (user, password) in [("ann", "secret"), ("bob", "b:\u{e9}")] {
        knock(broker.addr(), &connect(V, "let-in").user(user).password(password.as_bytes())).expect(&ACCEPTED);
    }
    for (user, password) in [("ann", "Secret"), ("ann", ""), ("bob", "secret"), ("", "secret")] {
        let mut raw = knock(broker.addr(), &connect(V, "let-in").user(user).password(password.as_bytes()));
        expect_not_let_in(&mut raw);
    }
    expect_not_let_in(&mut knock(broker.addr(), &connect(V, "let-in")));
    expect_not_let_in(&mut knock(broker.addr(), &connect(V, "let-in").user("ann")));
}

/// A password is binary data, and all of its bytes count [MQTT-3.1.2-21]: zeros behind the right one make a wrong one,
/// although HMAC, and with it PBKDF2, takes the two for the same key.
#[test]
fn zeros_behind_the_right_password_make_it_a_wrong_one() {
    let broker = broker_with_users();
    for password in ["secret\0", "secret\0\0\0"] {
        let mut raw = knock(broker.addr(), &connect(V, "zeros").user("ann").password(password.as_bytes()));
        expect_not_let_in(&mut raw);
    }
    knock(broker.addr(), &connect(V, "zeros").user("ann").password(b"secret")).expect(&ACCEPTED);
}

/// Whatever comes behind a CONNECT that was refused is ignored [MQTT-3.1.4-5]: no publish, no retained message, no
/// subscription, no will.
#[test]
fn what_follows_a_refused_connect_is_ignored() {
    let broker = broker_with_users();
    let mut watcher = Client::v311_with(broker.addr(), "watch", |c| c.user("ann").password(b"secret"));
    watcher.subscribe("refused/#", 0);
    let packets = [
        connect(V, "intruder")
            .clean(false)
            .user("ann")
            .password(b"wrong")
            .will(Will::new("refused/will", b"x"))
            .build(),
        subscribe(V, 1, &[("refused/#", 1)]),
        publish(V, "refused/now", b"x").build(),
        publish(V, "refused/retained", b"x").qos(1, 2).retain().build(),
    ];
    let mut raw = Raw::connect(broker.addr());
    raw.send(&packets.concat());
    expect_not_let_in(&mut raw);
    watcher.expect_no_publish(SILENCE);
    watcher.subscribe("refused/+", 0);
    watcher.expect_no_publish(SILENCE / 4);
    let back = connect(V, "intruder").clean(false).user("ann").password(b"secret");
    assert!(!Client::open(broker.addr(), &back).session_present(), "a refused client left a session");
}

/// A refusal says that no session is present, also where there is one [MQTT-3.2.2-4], and leaves that session and its
/// connection as they are.
#[test]
fn a_refusal_has_session_present_clear_and_harms_no_session() {
    let broker = broker_with_users();
    let right = connect(V, "owner").clean(false).user("ann").password(b"secret");
    let mut owner = Client::open(broker.addr(), &right);
    owner.subscribe("owner/t", 1);
    for clean in [false, true] {
        let wrong = right.clone().clean(clean).password(b"wrong");
        expect_not_let_in(&mut knock(broker.addr(), &wrong));
    }
    owner.ping();
    owner.abort();
    expect_not_let_in(&mut knock(broker.addr(), &right.clone().password(b"wrong")));
    assert!(Client::open(broker.addr(), &right).session_present());
}
