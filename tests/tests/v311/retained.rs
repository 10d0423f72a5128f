//! Retained messages (3.3.1.3).

use std::net::SocketAddr;

use primer_harness::{Client, Publish, SILENCE};

use crate::fixture::{broker, durable, unique};

/// What a client that subscribes now gets first.
fn kept(addr: SocketAddr, filter: &str) -> Option<Publish> {
    let mut late = Client::v311(addr, &unique("late"));
    late.subscribe(filter, 2);
    late.recv_publish(SILENCE)
}

#[track_caller]
fn assert_kept(addr: SocketAddr, topic: &str, text: &str, qos: u8) {
    let message = kept(addr, topic).map(|m| (m.topic.clone(), m.text(), m.qos, m.retain));
    assert_eq!(message, Some((topic.to_owned(), text.to_owned(), qos, true)));
}

/// A PUBLISH with RETAIN is kept with its QoS [MQTT-3.3.1-5] and goes to who subscribes later, with RETAIN set
/// [MQTT-3.3.1-8] and the lower QoS of the two [MQTT-3.8.4-6].
#[test]
fn a_retained_message_goes_to_later_subscribers_with_its_qos() {
    let broker = broker();
    let mut sender = Client::v311(broker.addr(), "ret-qos");
    for qos in 0..=2 {
        let topic = format!("ret/qos/{qos}");
        sender.publish_retained(&topic, "kept", qos);
        assert_kept(broker.addr(), &topic, "kept", qos);
        for granted in 0..=2 {
            let mut late = Client::v311(broker.addr(), &unique("ret-late"));
            assert_eq!(late.subscribe(&topic, granted), granted);
            let message = late.recv();
            assert_eq!((message.qos, message.retain, message.dup), (qos.min(granted), true, false));
        }
    }
}

/// A new subscription gets the retained message of every topic that it matches [MQTT-3.3.1-6], and of no other.
#[test]
fn a_new_subscription_gets_the_retained_message_of_every_topic_that_matches() {
    let broker = broker();
    let mut sender = Client::v311(broker.addr(), "ret-many");
    for topic in ["ret/many", "ret/many/a", "ret/many/a/x", "ret/many/b/x", "ret/other/a"] {
        sender.publish_retained(topic, topic, 1);
    }
    for (filter, topics) in [
        ("ret/many/#", &["ret/many", "ret/many/a", "ret/many/a/x", "ret/many/b/x"][..]),
        ("ret/many/+", &["ret/many/a"]),
        ("ret/many/+/x", &["ret/many/a/x", "ret/many/b/x"]),
        ("ret/+/a", &["ret/many/a", "ret/other/a"]),
        ("ret/many", &["ret/many"]),
        ("ret/man", &[]),
    ] {
        let mut late = Client::v311(broker.addr(), &unique("ret-many-late"));
        late.subscribe(filter, 1);
        let mut got: Vec<_> = late.recv_publishes(topics.len()).into_iter().map(|m| m.topic).collect();
        got.sort_unstable();
        assert_eq!(got, topics, "{filter}");
        late.expect_no_publish(SILENCE / 4);
    }
}

/// A retained message takes the place of the one before, also if its QoS is 0 [MQTT-3.3.1-7].
#[test]
fn a_new_retained_message_takes_the_place_of_the_old_one() {
    let broker = broker();
    let mut sender = Client::v311(broker.addr(), "ret-new");
    sender.publish_retained("ret/new", "first", 1);
    assert_kept(broker.addr(), "ret/new", "first", 1);
    sender.publish_retained("ret/new", "second", 0);
    sender.ping();
    // The standard lets a broker throw a QoS 0 one away at any time; Primer keeps it.
    assert_kept(broker.addr(), "ret/new", "second", 0);
    sender.publish_retained("ret/new", "third", 2);
    assert_kept(broker.addr(), "ret/new", "third", 2);
}

/// A standing subscription gets the message with RETAIN clear [MQTT-3.3.1-9], connected or away.
#[test]
fn a_standing_subscription_gets_retain_clear() {
    let broker = broker();
    let mut subscriber = durable(broker.addr(), "ret-standing");
    subscriber.subscribe("ret/standing", 2);
    let mut sender = Client::v311(broker.addr(), "ret-standing-pub");
    for qos in 0..=2 {
        sender.publish_retained("ret/standing", "live", qos);
        assert!(!subscriber.recv().retain);
    }
    subscriber.disconnect();
    sender.publish_retained("ret/standing", "waited", 1);
    let mut subscriber = durable(broker.addr(), "ret-standing");
    let message = subscriber.recv();
    assert_eq!((message.text().as_str(), message.retain), ("waited", false));
    subscriber.expect_no_publish(SILENCE / 4);
}

/// An empty retained message is delivered as usual and wipes the kept one [MQTT-3.3.1-10], and is not kept itself
/// [MQTT-3.3.1-11].
#[test]
fn an_empty_retained_message_wipes_the_kept_one() {
    let broker = broker();
    let mut subscriber = Client::v311(broker.addr(), "ret-wipe-sub");
    subscriber.subscribe("ret/wipe/+", 2);
    let mut sender = Client::v311(broker.addr(), "ret-wipe");
    for qos in 0..=2 {
        let topic = format!("ret/wipe/{qos}");
        sender.publish_retained(&topic, "kept", 1);
        assert_eq!(subscriber.recv().text(), "kept");
        assert_kept(broker.addr(), &topic, "kept", 1);
        sender.publish_retained(&topic, "", qos);
        let wipe = subscriber.recv();
        assert_eq!((wipe.topic.as_str(), wipe.payload.len(), wipe.retain), (topic.as_str(), 0, false));
        assert_eq!(kept(broker.addr(), &topic), None);
    }
    sender.publish_retained("ret/wipe/never", "", 1);
    assert_eq!(kept(broker.addr(), "ret/wipe/never"), None);
}

/// A PUBLISH without RETAIN is not kept and leaves the kept one alone, an empty one too [MQTT-3.3.1-12].
#[test]
fn a_message_without_retain_does_not_touch_the_kept_one() {
    let broker = broker();
    let mut sender = Client::v311(broker.addr(), "ret-touch");
    sender.publish_retained("ret/touch", "kept", 1);
    for qos in 0..=2 {
        sender.publish("ret/touch", "passing", qos);
        sender.publish("ret/touch", "", qos);
        sender.publish("ret/untouched", "passing", qos);
    }
    sender.ping();
    assert_kept(broker.addr(), "ret/touch", "kept", 1);
    assert_eq!(kept(broker.addr(), "ret/untouched"), None);
}

/// A return to a session is no new subscription: the retained message does not come again [MQTT-3.3.1-6].
#[test]
fn a_return_to_a_session_brings_no_retained_messages() {
    let broker = broker();
    let mut sender = Client::v311(broker.addr(), "ret-return-pub");
    sender.publish_retained("ret/return", "kept", 1);
    let mut subscriber = durable(broker.addr(), "ret-return");
    subscriber.subscribe("ret/return", 1);
    assert!(subscriber.recv().retain);
    subscriber.ping();
    subscriber.disconnect();
    let mut subscriber = durable(broker.addr(), "ret-return");
    assert!(subscriber.session_present());
    subscriber.expect_no_publish(SILENCE);
}
