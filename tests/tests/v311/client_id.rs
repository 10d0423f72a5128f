//! The client identifier (3.1.3.1): which are let in, and what it names.

use primer_harness::wire::{connect, publish, subscribe};
use primer_harness::{Client, SILENCE};

use crate::fixture::{ACCEPTED, V, broker, durable, knock, opened};

/// Identifiers of 1 to 23 letters and digits are accepted [MQTT-3.1.3-5]: all lengths, all 62 characters.
#[test]
fn identifiers_of_1_to_23_letters_and_digits_are_accepted() {
    let broker = broker();
    let characters: String = ('0'..='9').chain('a'..='z').chain('A'..='Z').collect();
    let ids = (1..=23).map(|length| &characters[..length]).chain([&characters[23..46], &characters[39..62]]);
    for id in ids {
        let mut raw = knock(broker.addr(), &connect(V, id));
        raw.expect(&ACCEPTED);
        raw.expect_alive();
    }
}

/// Longer identifiers and other characters are let in as well, which the standard leaves to the server; all of their
/// characters count [MQTT-3.1.3-2].
#[test]
fn longer_identifiers_and_other_characters_are_told_apart() {
    let broker = broker();
    let long = "x".repeat(10_000);
    for id in [format!("{long}a"), format!("{long}b"), "é/+ #".to_owned(), "é/+ $".to_owned()] {
        assert!(!durable(broker.addr(), &id).session_present());
        assert!(durable(broker.addr(), &id).session_present());
        Client::v311(broker.addr(), &id).disconnect();
    }
}

/// An empty identifier with a clean session is let in, and each such client is one of its own [MQTT-3.1.3-6]
/// [MQTT-3.1.3-7].
#[test]
fn an_empty_identifier_with_a_clean_session_is_a_client_of_its_own() {
    let broker = broker();
    let mut first = knock(broker.addr(), &connect(V, ""));
    first.expect(&ACCEPTED);
    let mut second = knock(broker.addr(), &connect(V, ""));
    second.expect(&ACCEPTED);
    first.send(&subscribe(V, 1, &[("id/empty", 0)]));
    first.expect(&[0x90, 3, 0, 1, 0]);
    second.send(&publish(V, "id/empty", b"x").build());
    first.expect(b"\x30\x0b\x00\x08id/emptyx");
    second.expect_alive();
    first.expect_alive();
}

/// An empty identifier without a clean session is answered with code 2 and a close [MQTT-3.1.3-7] [MQTT-3.1.3-8]
/// [MQTT-3.1.3-9] [MQTT-3.2.2-4] [MQTT-3.2.2-5].
#[test]
fn an_empty_identifier_without_a_clean_session_is_refused_with_code_2() {
    let broker = broker();
    let mut raw = knock(broker.addr(), &connect(V, "").clean(false));
    raw.expect(&[0x20, 2, 0, 2]);
    raw.expect_closed();
    knock(broker.addr(), &connect(V, "").clean(true)).expect(&ACCEPTED);
}

/// The identifier names the session, and nothing else does [MQTT-3.1.3-2]: another one gets another session, and a
/// client with the same one pushes the first out [MQTT-3.1.4-2].
#[test]
fn a_client_with_the_same_identifier_pushes_the_first_one_out() {
    let broker = broker();
    let mut bystander = opened(broker.addr(), "id-bystander");
    let mut first = knock(broker.addr(), &connect(V, "id-twin").clean(false));
    first.expect(&ACCEPTED);
    first.send(&subscribe(V, 1, &[("id/twin", 1)]));
    first.expect(&[0x90, 3, 0, 1, 1]);
    let mut other = Client::v311_with(broker.addr(), "id-twin2", |c| c.clean(false));
    assert!(!other.session_present());
    let mut second = durable(broker.addr(), "id-twin");
    assert!(second.session_present());
    first.expect_closed();
    other.publish("id/twin", "x", 1);
    assert_eq!(second.recv().text(), "x");
    second.ping();
    other.expect_no_publish(SILENCE / 10);
    bystander.expect_alive();
}
