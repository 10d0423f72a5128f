//! Session state (4.1): it stays with an open connection, and goes when its time is over.

use std::time::{Duration, Instant};

use primer_harness::wire::{Ack, prop, publish, pubrel};
use primer_harness::{Client, TIMEOUT, Version};

use crate::fixture::{broker, durable};

/// [MQTT-4.1.0-1]: the expiry interval runs only without a connection.
#[test]
fn session_state_stays_while_the_connection_is_open() {
    let broker = broker();
    let mut client = Client::v5_with(broker.addr(), "stays", |c| c.session_expiry(1));
    client.subscribe("stays/t", 2);
    client.send(&publish(Version::V5, "stays/t", b"once").qos(2, 9).build());
    client.await_ack(Ack::Pubrec, 9);
    assert_eq!(client.recv().text(), "once");
    std::thread::sleep(Duration::from_millis(1500));
    client.send(&publish(Version::V5, "stays/t", b"once").qos(2, 9).dup().build());
    client.await_ack(Ack::Pubrec, 9);
    client.expect_no_publish_before_ping();
    client.send(&pubrel(9));
    assert_eq!(client.await_ack(Ack::Pubcomp, 9), 0, "the identifier was still known");
    Client::v5(broker.addr(), "stays-pub").publish("stays/t", "more", 1);
    assert_eq!(client.recv().text(), "more");
}

/// [MQTT-4.1.0-2]: subscriptions and messages go with the session.
#[test]
fn session_state_is_dropped_when_its_time_is_over() {
    let broker = broker();
    let open = |seconds| Client::v5_with(broker.addr(), "ends", |c| c.clean(false).session_expiry(seconds));
    let mut publisher = Client::v5(broker.addr(), "ends-pub");
    let mut client = open(1);
    client.subscribe("ends/t", 1);
    client.disconnect();
    let mut client = open(1);
    assert!(client.session_present(), "its time was not over");
    client.ping();
    client.disconnect();
    assert_eq!(publisher.publish("ends/t", "kept for it", 1), 0);
    let deadline = Instant::now() + TIMEOUT;
    while publisher.publish("ends/t", "too late", 1) == 0 {
        assert!(Instant::now() < deadline, "the session did not end");
        std::thread::sleep(Duration::from_millis(50));
    }
    let mut client = open(0);
    assert!(!client.session_present());
    publisher.publish("ends/t", "nobody hears", 1);
    client.expect_no_publish_before_ping();
    client.subscribe("ends/t", 1);
    client.disconnect();
    assert!(!open(0).session_present(), "an interval of 0 ends it at once");
}

/// [MQTT-4.5.0-1]
#[test]
fn a_message_goes_into_the_session_of_every_client_that_matches() {
    let broker = broker();
    let mut online: Vec<_> = (0..4).map(|n| Client::v5(broker.addr(), &format!("every-on-{n}"))).collect();
    for (n, client) in online.iter_mut().enumerate() {
        client.subscribe(["every/t", "every/+", "every/#", "every/other"][n], 2);
    }
    for n in 0..4 {
        let mut client = durable(broker.addr(), &format!("every-off-{n}"));
        client.subscribe(["every/t", "every/+", "every/#", "every/other"][n], 2);
        client.disconnect();
    }
    let mut publisher = Client::v5(broker.addr(), "every-pub");
    publisher.publish("every/t", "1", 1);
    publisher.publish("every/t", "2", 2);
    let mut offline: Vec<_> = (0..4).map(|n| durable(broker.addr(), &format!("every-off-{n}"))).collect();
    for clients in [&mut online, &mut offline] {
        let Some((other, matching)) = clients.split_last_mut() else { return };
        for client in matching {
            let got: Vec<_> = client.recv_publishes(2).iter().map(|message| (message.text(), message.qos)).collect();
            assert_eq!(got, [("1".to_owned(), 1), ("2".to_owned(), 2)]);
            client.expect_no_publish_before_ping();
        }
        other.expect_no_publish_before_ping();
    }
}

/// A session is the client's whatever version it speaks: what waits comes, and what was under way comes again.
#[test]
fn a_session_outlives_a_change_of_the_version() {
    let broker = broker();
    let mut client = crate::fixture::durable_manual(broker.addr(), "change");
    client.subscribe_with(&[("change/t", 2)], &[prop::subscription_identifier(7)]);
    let mut publisher = Client::v5(broker.addr(), "change-pub");
    let props = [prop::content_type("text"), prop::message_expiry_interval(1000)];
    publisher.publish_with("change/t", "under way", 1, &props);
    client.recv();
    client.disconnect();
    publisher.publish_with("change/t", "queued", 2, &props);
    let mut client = Client::v311_with(broker.addr(), "change", |c| c.clean(false));
    assert!(client.session_present());
    let got: Vec<_> = client.recv_publishes(2).iter().map(|message| (message.text(), message.dup)).collect();
    assert_eq!(got, [("under way".to_owned(), true), ("queued".to_owned(), false)]);
    client.ping();
    client.disconnect();
    let mut client = durable(broker.addr(), "change");
    assert!(client.session_present());
    publisher.publish_with("change/t", "new", 1, &props[..1]);
    let mut got = client.recv().props;
    got.sort_by_key(|prop| prop.id);
    assert_eq!(got, [prop::content_type("text"), prop::subscription_identifier(7)]);
}
