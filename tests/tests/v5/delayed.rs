//! `$delayed/SECONDS/TOPIC`: a message for later.

use std::time::{Duration, Instant};

use primer_harness::wire::{prop, publish};
use primer_harness::{Client, SILENCE, Version};

use crate::fixture::broker;

/// It arrives under its topic, not before its time, with what it had.
#[test]
fn a_delayed_message_comes_under_its_topic_when_its_time_is_over() {
    let broker = broker();
    let mut subscriber = Client::v5(broker.addr(), "delayed-sub");
    subscriber.subscribe("delayed/#", 2);
    subscriber.subscribe("$delayed/#", 2);
    let mut publisher = Client::v5(broker.addr(), "delayed-pub");
    let began = Instant::now();
    let packet = publish(Version::V5, "$delayed/1/delayed/a/b", b"later").props(&[prop::content_type("text")]);
    assert_eq!(publisher.publish_packet(packet, 2), 0);
    assert_eq!(publisher.publish("delayed/a", "at once", 1), 0);
    assert_eq!(publisher.publish("$delayed/0/delayed/a", "soon", 1), 0);
    assert_eq!(subscriber.recv().text(), "at once");
    assert_eq!(subscriber.recv().text(), "soon");
    let message = subscriber.recv();
    assert_eq!((message.topic.as_str(), message.text().as_str(), message.qos), ("delayed/a/b", "later", 2));
    assert_eq!(message.props, [prop::content_type("text")]);
    assert!(began.elapsed() >= Duration::from_millis(950), "after {:?}", began.elapsed());
    subscriber.expect_no_publish(SILENCE / 4);
}

/// Those who subscribe later than the publish get it, and a retained one is kept when its time has come.
#[test]
fn a_delayed_message_is_routed_and_kept_when_its_time_is_over() {
    let broker = broker();
    let mut publisher = Client::v5(broker.addr(), "delaykeep-pub");
    let packet = publish(Version::V5, "$delayed/1/delaykeep", b"later").retain();
    publisher.publish_packet(packet, 1);
    publisher.disconnect();
    let mut subscriber = Client::v5(broker.addr(), "delaykeep");
    subscriber.subscribe("delaykeep", 1);
    subscriber.expect_no_publish(SILENCE / 4);
    assert_eq!(subscriber.recv().text(), "later");
    subscriber.unsubscribe("delaykeep");
    subscriber.subscribe("delaykeep", 1);
    let kept = subscriber.recv();
    assert_eq!((kept.text().as_str(), kept.retain), ("later", true));
}

/// Several come in the order of their times.
#[test]
fn delayed_messages_come_in_the_order_of_their_times() {
    let broker = broker();
    let mut subscriber = Client::v5(broker.addr(), "delayorder");
    subscriber.subscribe("delayorder", 1);
    let mut publisher = Client::v5(broker.addr(), "delayorder-pub");
    for (seconds, text) in [(2, "third"), (1, "first"), (1, "second")] {
        publisher.publish(&format!("$delayed/{seconds}/delayorder"), text, 1);
    }
    let got: Vec<_> = subscriber.recv_publishes(3).iter().map(primer_harness::Publish::text).collect();
    assert_eq!(got, ["first", "second", "third"]);
}

/// A topic that names no time or no topic is refused.
#[test]
fn a_delayed_topic_without_time_or_topic_is_refused() {
    let mut publisher = Client::v5(broker().addr(), "delaybad");
    for topic in ["$delayed/", "$delayed/5", "$delayed/5/", "$delayed/x/t", "$delayed/-1/t", "$delayed/99999999999/t"] {
        assert_eq!(publisher.publish(topic, "x", 1), 0x90, "{topic}");
        assert_eq!(publisher.publish(topic, "x", 2), 0x90, "{topic}");
    }
}
