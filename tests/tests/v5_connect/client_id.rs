//! The client identifier (3.1.3.1): which are let in, what it names, and the one that the broker makes up.

use std::net::SocketAddr;

use primer_harness::wire::{connect, prop};
use primer_harness::{Client, Version};

use crate::fixture::{V, broker, opened_with};

/// Identifiers of 1 to 23 letters and digits are accepted [MQTT-3.1.3-5]: all lengths, all 62 characters. None is
/// assigned to a client that brings one.
#[test]
fn identifiers_of_1_to_23_letters_and_digits_are_accepted() {
    let broker = broker();
    let characters: String = ('0'..='9').chain('a'..='z').chain('A'..='Z').collect();
    let ids = (1..=23).map(|length| &characters[..length]).chain([&characters[23..46], &characters[39..62]]);
    for id in ids {
        let (mut raw, _, props) = opened_with(broker.addr(), &connect(V, id));
        assert_eq!(prop::text(&props, prop::ASSIGNED_CLIENT_IDENTIFIER), None);
        raw.expect_alive();
    }
}

/// The identifier names the session [MQTT-3.1.3-2], whatever the version of the client, and all of its characters
/// count.
#[test]
fn the_identifier_names_the_session() {
    let broker = broker();
    let long = "x".repeat(10_000);
    for id in ["id-name", "id-name2", "id-Name", &long, &format!("{long}2"), "id é/+ #"] {
        let open = |version| Client::connect_with(broker.addr(), version, id, |c| c.clean(false).session_expiry(60));
        let mut client = open(V);
        assert!(!client.session_present(), "{id:.20}");
        client.subscribe("id-name/t", 1);
        client.disconnect();
        assert!(open(V).session_present(), "{id:.20}");
        assert!(open(Version::V311).session_present(), "{id:.20}");
        Client::v5(broker.addr(), id).disconnect();
    }
}

fn assigned(addr: SocketAddr, clean: bool) -> (Client, String) {
    let client = Client::v5_with(addr, "", |c| c.clean(clean).session_expiry(60));
    let id = prop::text(client.connack_props(), prop::ASSIGNED_CLIENT_IDENTIFIER).unwrap_or_default().to_owned();
    (client, id)
}

/// A client with an empty identifier gets one that no other has [MQTT-3.1.3-6] [MQTT-3.2.2-16], and is told in CONNACK
/// [MQTT-3.1.3-7]; with a clean start or without.
#[test]
fn an_empty_identifier_gets_one_that_no_other_client_has() {
    let broker = broker();
    let mut clients: Vec<(Client, String)> = [true, false, true, false].map(|c| assigned(broker.addr(), c)).into();
    let mut ids: Vec<&str> = clients.iter().map(|(_, id)| id.as_str()).collect();
    assert!(ids.iter().all(|id| !id.is_empty()), "{ids:?}");
    ids.sort_unstable();
    ids.dedup();
    assert_eq!(ids.len(), 4);
    for (client, _) in &mut clients {
        assert!(!client.session_present());
        client.ping();
    }
}

/// The identifier that was made up is used as if the client had sent it [MQTT-3.1.3-7]: it leads back to the session,
/// and pushes out who has it.
#[test]
fn the_assigned_identifier_leads_back_to_the_session() {
    let broker = broker();
    let (mut client, id) = assigned(broker.addr(), true);
    client.subscribe("id-assigned", 1);
    client.abort();
    Client::v5(broker.addr(), "id-assigned-pub").publish("id-assigned", "waited", 1);
    let mut back = Client::v5_with(broker.addr(), &id, |c| c.clean(false).session_expiry(60));
    assert!(back.session_present());
    assert_eq!(prop::text(back.connack_props(), prop::ASSIGNED_CLIENT_IDENTIFIER), None);
    assert_eq!(back.recv().text(), "waited");
    let mut second = Client::v5(broker.addr(), &id);
    assert_eq!(back.expect_closed(), Some(0x8e));
    second.ping();
}

/// A second client with the same identifier pushes the first one out, with DISCONNECT 0x8E and a close [MQTT-3.1.4-3];
/// nobody else.
#[test]
fn a_client_with_the_same_identifier_pushes_the_first_one_out() {
    let broker = broker();
    let mut bystander = Client::v5(broker.addr(), "id-bystander");
    let mut first = Client::v5(broker.addr(), "id-twin");
    let mut second = Client::v5(broker.addr(), "id-twin");
    assert_eq!(first.expect_closed(), Some(0x8e));
    let mut third = Client::v311(broker.addr(), "id-twin");
    assert_eq!(second.expect_closed(), Some(0x8e));
    third.ping();
    bystander.ping();
}
