//! Retained messages (3.3.1.3, 3.8.3.1): which one is kept, who gets it, and the flag on its way.

use std::collections::{BTreeMap, BTreeSet};

use primer_harness::wire::prop;
use primer_harness::{Broker, Client, SILENCE};

use crate::fixture::{RETAIN_AS_PUBLISHED, broker, unique};

/// What a new subscription to the filter gets, as text.
fn kept(broker: &Broker, filter: &str) -> Vec<String> {
    let mut client = Client::v5(broker.addr(), &unique("kept"));
    client.subscribe(filter, 2);
    let mut got = Vec::new();
    let mut wait = SILENCE;
    while let Some(message) = client.recv_publish(wait) {
        assert!(message.retain, "a kept message comes with RETAIN: {message:02x?}");
        got.push(message.text());
        wait = SILENCE / 4;
    }
    got
}

/// [MQTT-3.3.1-5]
#[test]
fn a_retained_message_replaces_the_one_before() {
    let broker = broker();
    let mut publisher = Client::v5(broker.addr(), "replace");
    for qos in 0..3 {
        publisher.publish_retained("replace/t", format!("qos {qos}"), qos);
        publisher.ping();
        let mut client = Client::v5(broker.addr(), &unique("replace"));
        client.subscribe("replace/t", 2);
        let message = client.recv();
        assert_eq!((message.text(), message.qos, message.retain), (format!("qos {qos}"), qos, true));
        client.expect_no_publish_before_ping();
    }
}

/// An empty retained message is delivered as usual and wipes the kept one [MQTT-3.3.1-6], and is not kept itself
/// [MQTT-3.3.1-7].
#[test]
fn an_empty_retained_message_is_delivered_and_wipes_the_kept_one() {
    let broker = broker();
    let mut subscriber = Client::v5(broker.addr(), "wipe-sub");
    subscriber.subscribe("wipe/t", 1);
    let mut publisher = Client::v5(broker.addr(), "wipe-pub");
    publisher.publish_retained("wipe/t", "kept", 1);
    publisher.publish_retained("wipe/other", "other", 1);
    assert_eq!(subscriber.recv().text(), "kept");
    publisher.publish_retained("wipe/t", "", 1);
    let empty = subscriber.recv();
    assert_eq!((empty.payload.as_slice(), empty.retain, empty.qos), (&[][..], false, 1));
    assert_eq!(kept(&broker, "wipe/#"), ["other"]);
    publisher.publish_retained("wipe/other", "", 0);
    publisher.ping();
    assert!(kept(&broker, "wipe/#").is_empty());
}

/// [MQTT-3.3.1-8]
#[test]
fn a_message_without_retain_leaves_the_kept_one_alone() {
    let broker = broker();
    let mut publisher = Client::v5(broker.addr(), "untouched");
    publisher.publish("untouched/t", "live", 1);
    assert!(kept(&broker, "untouched/t").is_empty());
    publisher.publish_retained("untouched/t", "kept", 1);
    publisher.publish("untouched/t", "live", 1);
    publisher.publish("untouched/t", "", 1);
    assert_eq!(kept(&broker, "untouched/t"), ["kept"]);
}

/// Retain handling 0 [MQTT-3.3.1-9], also for a subscription made again [MQTT-3.8.4-4].
#[test]
fn retain_handling_0_sends_what_is_kept_each_time() {
    let broker = broker();
    let mut publisher = Client::v5(broker.addr(), "handling0-pub");
    for topic in ["a", "b", "c/d"] {
        publisher.publish_retained(&format!("handling0/{topic}"), topic, 1);
    }
    let mut client = Client::v5(broker.addr(), "handling0");
    for _ in 0..3 {
        client.subscribe("handling0/+", 1);
        let mut got: Vec<_> = client.recv_publishes(2).iter().map(|m| (m.text(), m.retain)).collect();
        got.sort();
        assert_eq!(got, [("a".to_owned(), true), ("b".to_owned(), true)]);
        client.expect_no_publish_before_ping();
    }
}

/// [MQTT-3.3.1-10]
#[test]
fn retain_handling_1_sends_what_is_kept_to_a_new_subscription_alone() {
    let broker = broker();
    Client::v5(broker.addr(), "handling1-pub").publish_retained("handling1/t", "kept", 1);
    let mut client = Client::v5(broker.addr(), "handling1");
    client.subscribe("handling1/t", 0x10 | 1);
    assert_eq!(client.recv().text(), "kept");
    client.subscribe("handling1/t", 0x10 | 1);
    client.subscribe("handling1/t", 0x10);
    client.expect_no_publish(SILENCE / 2);
    client.unsubscribe("handling1/t");
    client.subscribe("handling1/t", 0x10 | 1);
    assert_eq!(client.recv().text(), "kept", "it is new again");
}

/// [MQTT-3.3.1-11]
#[test]
fn retain_handling_2_sends_nothing_that_is_kept() {
    let broker = broker();
    let mut publisher = Client::v5(broker.addr(), "handling2-pub");
    publisher.publish_retained("handling2/t", "kept", 1);
    let mut client = Client::v5(broker.addr(), "handling2");
    client.subscribe("handling2/t", 0x20 | 1);
    client.subscribe("handling2/t", 0x20 | 1);
    client.expect_no_publish(SILENCE / 2);
    publisher.publish("handling2/t", "live", 1);
    assert_eq!(client.recv().text(), "live");
}

/// Without Retain As Published the flag is clear [MQTT-3.3.1-12], with it the flag is the publisher's [MQTT-3.3.1-13].
#[test]
fn the_flag_of_forwarded_messages_follows_the_subscription() {
    let broker = broker();
    let mut plain = Client::v5(broker.addr(), "asis-plain");
    plain.subscribe("asis/t", 2);
    let mut as_published = Client::v5(broker.addr(), "asis-rap");
    as_published.subscribe("asis/t", 2 | RETAIN_AS_PUBLISHED);
    let mut publisher = Client::v5(broker.addr(), "asis-pub");
    for qos in 0..3 {
        publisher.publish_retained("asis/t", "retained", qos);
        publisher.publish("asis/t", "live", qos);
    }
    for message in plain.recv_publishes(6) {
        assert!(!message.retain, "{message:02x?}");
    }
    for message in as_published.recv_publishes(6) {
        assert_eq!(message.retain, message.text() == "retained", "{message:02x?}");
    }
}

/// A kept message reaches a client that subscribes through several filters, for each that asks [MQTT-3.3.1-9].
#[test]
fn kept_messages_come_for_each_new_subscription_with_the_lower_qos() {
    let broker = broker();
    Client::v5(broker.addr(), "keptqos-pub").publish_retained("keptqos/t", "kept", 2);
    let mut client = Client::v5(broker.addr(), "keptqos");
    for qos in 0..3 {
        client.subscribe(["keptqos/t", "keptqos/+", "keptqos/#"][usize::from(qos)], qos);
        let message = client.recv();
        assert_eq!((message.qos, message.retain), (qos, true));
    }
    client.expect_no_publish_before_ping();
}

/// [MQTT-3.3.1-9], however many there are and however few the client takes at a time.
#[test]
fn many_kept_messages_all_come_once_under_a_small_window() {
    let broker = broker();
    let mut publisher = Client::v5(broker.addr(), "manykept-pub");
    for n in 0..300 {
        publisher.publish_retained(&format!("manykept/{n}"), n.to_string(), 1);
    }
    let mut client = Client::v5_with(broker.addr(), "manykept", |c| c.props(&[prop::receive_maximum(3)]));
    client.subscribe("manykept/+", 1);
    let mut got: Vec<u32> = client.recv_publishes(300).iter().filter_map(|m| m.text().parse().ok()).collect();
    got.sort_unstable();
    assert_eq!(got, (0..300).collect::<Vec<_>>());
    client.expect_no_publish_before_ping();
}

/// A subscription made again takes the place of the one whose kept messages were still coming [MQTT-3.8.4-3]: all come
/// again, for the new one [MQTT-3.8.4-4].
#[test]
fn kept_messages_of_a_replaced_subscription_come_for_the_new_one() {
    const KEPT: usize = 60;
    let broker = broker();
    let mut publisher = Client::v5(broker.addr(), "keptagain-pub");
    for n in 0..KEPT {
        publisher.publish_retained(&format!("keptagain/{n}"), "x", 1);
    }
    let mut client = Client::v5_with(broker.addr(), "keptagain", |c| c.props(&[prop::receive_maximum(1)]));
    client.manual_ack();
    client.subscribe_with(&[("keptagain/+", 1)], &[prop::subscription_identifier(5)]);
    let first = client.recv();
    client.subscribe_with(&[("keptagain/+", 1)], &[prop::subscription_identifier(6)]);
    client.ack(&first);
    let mut of_new = BTreeSet::new();
    let mut of_old = 0;
    while of_new.len() < KEPT {
        let message = client.recv();
        client.ack(&message);
        if message.props == [prop::subscription_identifier(6)] {
            assert!(of_new.insert(message.topic.clone()), "{} came twice", message.topic);
        } else {
            of_old += 1;
        }
    }
    assert!(of_old < KEPT / 2, "{of_old} more messages came for the subscription that was replaced");
}

/// A client that subscribes while kept messages are replaced ends with the newest of each topic.
#[test]
fn a_kept_message_never_comes_after_a_newer_one() {
    const TOPICS: usize = 200;
    let broker = broker();
    let mut publisher = Client::v5(broker.addr(), "newest-pub");
    for n in 0..TOPICS {
        publisher.publish_retained(&format!("newest/{n}"), "old", 1);
    }
    let publisher = std::thread::spawn(move || {
        for n in (0..TOPICS).rev() {
            publisher.publish_retained(&format!("newest/{n}"), "new", 1);
        }
    });
    let mut client = Client::v5_with(broker.addr(), "newest", |c| c.props(&[prop::receive_maximum(4)]));
    client.subscribe("newest/+", 1);
    let mut last = BTreeMap::new();
    while last.len() < TOPICS || last.values().any(|text| text != "new") {
        let message = client.recv();
        let before = last.insert(message.topic.clone(), message.text());
        assert!(before.as_deref() != Some("new") || message.text() == "new", "{} went back", message.topic);
    }
    assert!(publisher.join().is_ok());
}
