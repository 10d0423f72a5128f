//! Sessions (3.1.2.4, 4.1): what stays with CleanSession 0, and what goes with CleanSession 1.

use primer_harness::wire::{Ack, publish, pubrel};
use primer_harness::{Client, SILENCE};

use crate::fixture::{V, broker, durable, durable_manual};

/// Without CleanSession a session is made [MQTT-3.1.2-4]; it outlives the connection [MQTT-4.1.0-1], and the client
/// finds its subscriptions in it.
#[test]
fn a_kept_session_has_its_subscriptions_after_each_end_of_the_connection() {
    let broker = broker();
    let mut sender = Client::v311(broker.addr(), "keep-sender");
    let mut client = durable(broker.addr(), "keep");
    assert!(!client.session_present());
    assert_eq!(client.subscribe_with(&[("keep/1/+", 1), ("keep/2", 0)], &[]), [1, 0]);
    for round in 0..3 {
        match round {
            0 => client.disconnect(),
            1 => client.abort(),
            _ => client.abort_rst(),
        }
        client = durable(broker.addr(), "keep");
        assert!(client.session_present(), "in round {round}");
        sender.publish("keep/1/x", "one", 2);
        sender.publish("keep/2", "two", 2);
        let got: Vec<_> = client.recv_publishes(2).into_iter().map(|m| (m.text(), m.qos)).collect();
        assert_eq!(got, [("one".to_owned(), 1), ("two".to_owned(), 0)]);
        // A reset may take what the broker has not read yet, and that would be the acknowledgement.
        client.ping();
    }
    client.unsubscribe("keep/2");
    client.disconnect();
    let mut client = durable(broker.addr(), "keep");
    sender.publish("keep/2", "gone", 1);
    sender.publish("keep/1/x", "still", 1);
    assert_eq!(client.recv().text(), "still");
}

/// While its client is away QoS 1 and 2 messages that match are stored, and wait in their order [MQTT-3.1.2-5]
/// [MQTT-4.5.0-1] [MQTT-4.6.0-6].
#[test]
fn messages_wait_for_a_client_that_is_away() {
    let broker = broker();
    let mut client = durable(broker.addr(), "away");
    client.subscribe("away/t", 2);
    client.disconnect();
    let mut sender = Client::v311(broker.addr(), "away-sender");
    for n in 0..40_u8 {
        sender.publish("away/t", [n], 1 + n % 2);
        sender.publish("away/other", [n], 1);
    }
    let mut client = durable(broker.addr(), "away");
    let got: Vec<_> = client.recv_publishes(40).into_iter().map(|m| (m.payload[0], m.qos, m.dup)).collect();
    let sent: Vec<_> = (0..40_u8).map(|n| (n, 1 + n % 2, false)).collect();
    assert_eq!(got, sent);
    client.expect_no_publish(SILENCE / 4);
}

/// With CleanSession the old session is thrown away, subscriptions and waiting messages with it, and the new one ends
/// with its connection [MQTT-3.1.2-6] [MQTT-3.1.4-3].
#[test]
fn a_clean_session_begins_with_nothing_and_leaves_nothing() {
    let broker = broker();
    let mut sender = Client::v311(broker.addr(), "clean-sender");
    let mut client = durable(broker.addr(), "clean");
    client.subscribe("clean/t", 2);
    client.disconnect();
    sender.publish("clean/t", "waits", 1);
    let mut client = Client::v311(broker.addr(), "clean");
    assert!(!client.session_present());
    sender.publish("clean/t", "unsubscribed", 1);
    client.expect_no_publish(SILENCE / 2);
    client.subscribe("clean/t", 2);
    sender.publish("clean/t", "live", 1);
    assert_eq!(client.recv().text(), "live");
    client.disconnect();
    sender.publish("clean/t", "lost", 1);
    let mut client = durable(broker.addr(), "clean");
    assert!(!client.session_present());
    sender.publish("clean/t", "not subscribed any more", 1);
    client.expect_no_publish(SILENCE / 2);
}

/// A clean session forgets unfinished exchanges too [MQTT-3.1.2-6]: an unacknowledged message does not come again,
/// and a QoS 2 identifier of the client is as new.
#[test]
fn a_clean_session_forgets_unfinished_exchanges() {
    let broker = broker();
    let mut watcher = Client::v311(broker.addr(), "unfinished-watch");
    watcher.subscribe("unfinished/up", 2);
    let mut client = durable_manual(broker.addr(), "unfinished");
    client.subscribe("unfinished/down", 1);
    client.publish("unfinished/down", "x", 1);
    client.recv();
    client.send(&publish(V, "unfinished/up", b"one").qos(2, 77).build());
    client.await_ack(Ack::Pubrec, 77);
    assert_eq!(watcher.recv().text(), "one");
    client.abort();
    let mut client = Client::v311(broker.addr(), "unfinished");
    client.expect_no_publish(SILENCE / 2);
    client.send(&publish(V, "unfinished/up", b"two").qos(2, 77).build());
    client.await_ack(Ack::Pubrec, 77);
    client.send(&pubrel(77));
    client.await_ack(Ack::Pubcomp, 77);
    assert_eq!(watcher.recv().text(), "two");
}

/// An exchange that the client has begun belongs to its session [MQTT-3.1.2-4] [MQTT-4.1.0-1] [MQTT-4.4.0-1]: sent
/// again after a return, the message is not delivered a second time, and PUBREL ends the exchange.
#[test]
fn a_kept_session_has_the_exchanges_that_the_client_began() {
    let broker = broker();
    let mut watcher = Client::v311(broker.addr(), "begun-watch");
    watcher.subscribe("begun/t", 2);
    let mut client = durable(broker.addr(), "begun");
    client.send(&publish(V, "begun/t", b"once").qos(2, 5).build());
    client.await_ack(Ack::Pubrec, 5);
    client.abort();
    let mut client = durable(broker.addr(), "begun");
    client.send(&publish(V, "begun/t", b"once").qos(2, 5).dup().build());
    client.await_ack(Ack::Pubrec, 5);
    client.send(&pubrel(5));
    client.await_ack(Ack::Pubcomp, 5);
    client.publish("begun/t", "end", 2);
    let got: Vec<_> = watcher.recv_publishes(2).iter().map(primer_harness::Publish::text).collect();
    assert_eq!(got, ["once", "end"]);
}

/// Retained messages are no part of a session: they outlive the one in which they were published [MQTT-3.1.2-7].
#[test]
fn retained_messages_outlive_the_session() {
    let broker = broker();
    for clean in [true, false] {
        let topic = format!("outlive/{clean}");
        let mut client = Client::v311_with(broker.addr(), "outlive", |c| c.clean(clean));
        client.publish_retained(&topic, "kept", 1);
        client.disconnect();
        Client::v311(broker.addr(), "outlive").disconnect();
        let mut late = Client::v311(broker.addr(), "outlive-late");
        late.subscribe(&topic, 1);
        assert_eq!(late.recv().text(), "kept");
    }
}

/// A session lasts at least as long as its connection [MQTT-4.1.0-2]: also a clean one has all of its state while it
/// is connected.
#[test]
fn a_clean_session_lasts_as_long_as_its_connection() {
    let broker = broker();
    let mut client = Client::v311(broker.addr(), "lasts");
    client.manual_ack();
    client.subscribe("lasts/t", 2);
    for clean in [true, false, true] {
        Client::v311_with(broker.addr(), "lasts-other", |c| c.clean(clean)).disconnect();
        client.publish("lasts/t", "x", 2);
        let message = client.recv();
        client.ping();
        client.ack(&message);
    }
}
