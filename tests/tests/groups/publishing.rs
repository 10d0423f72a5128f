//! What a publish into a queue says, and what its acknowledgement stands for.

use std::time::Duration;

use primer_harness::wire::{Will, prop};
use primer_harness::{Broker, Client, SILENCE, Version};

/// TOPIC_NAME_INVALID
const INVALID: u8 = 0x90;

#[test]
fn a_publish_into_a_queue_is_acknowledged_with_each_qos_and_goes_nowhere_else() {
    for version in Version::BOTH {
        let broker = Broker::start();
        let mut all = Client::v5(broker.addr(), "all");
        all.subscribe("#", 0);
        let mut publisher = Client::connect_with(broker.addr(), version, "publisher", |c| c);
        for qos in 0..=2 {
            assert_eq!(publisher.publish("$queue/jobs", format!("{qos}"), qos), 0);
        }
        publisher.publish_retained("$queue/jobs", "retained?", 1);
        publisher.ping();
        all.expect_no_publish(SILENCE);
        let mut worker = Client::v5(broker.addr(), "worker");
        worker.subscribe("$queue/jobs", 1);
        let messages = worker.recv_publishes(4);
        assert!(messages.iter().all(|message| message.qos == 1 && !message.retain));
    }
}

#[test]
fn names_that_are_none_are_refused_and_the_connection_stays() {
    let broker = Broker::start();
    let mut publisher = Client::v5(broker.addr(), "publisher");
    for topic in ["$queue/", "$queue/a//b", "$queue//a", "$queue/$x", "$dead/"] {
        assert_eq!(publisher.publish(topic, "x", 1), INVALID, "{topic}");
        assert_eq!(publisher.publish(topic, "x", 2), INVALID, "{topic}");
    }
    publisher.ping();
}

/// Priority, key, identifier and delay stand in user properties; application properties come along unchanged.
#[test]
fn user_properties_say_how_a_message_is_queued() {
    let broker = Broker::start();
    let mut publisher = Client::v5(broker.addr(), "publisher");
    let mut push = |text: &str, name: &str, value: &str| {
        let props = [prop::user_property(name, value), prop::user_property("mine", "kept"), prop::content_type("t")];
        assert_eq!(publisher.publish_with("$queue/jobs", text, 1, &props), 0);
    };
    push("low", "primer-priority", "0");
    push("later", "primer-delay-ms", "900");
    push("usual", "primer-priority", "no number");
    push("high", "primer-priority", "9");
    let mut worker = Client::v5(broker.addr(), "worker");
    worker.subscribe("$queue/jobs", 1);
    let messages = worker.recv_publishes(4);
    let texts: Vec<_> = messages.iter().map(primer_harness::Publish::text).collect();
    assert_eq!(texts, ["high", "usual", "low", "later"]);
    for message in &messages {
        let users = prop::user_properties(&message.props);
        assert!(users.contains(&("mine", "kept")), "{users:?}");
    }
}

#[test]
fn messages_expire_in_a_queue_and_say_how_long_they_have() {
    let broker = Broker::start();
    let mut publisher = Client::v5(broker.addr(), "publisher");
    for (text, seconds) in [("short", 1), ("long", 600)] {
        publisher.publish_with("$queue/jobs", text, 1, &[prop::message_expiry_interval(seconds)]);
    }
    std::thread::sleep(Duration::from_millis(2100));
    let mut worker = Client::v5(broker.addr(), "worker");
    worker.subscribe("$queue/jobs", 1);
    let message = worker.recv();
    assert_eq!(message.text(), "long");
    let left = prop::number(&message.props, prop::MESSAGE_EXPIRY_INTERVAL).expect("it says how long");
    assert!((590..=598).contains(&left), "{left}");
    worker.expect_no_publish(SILENCE);
}

/// The queue itself delivers later, and has said so: a full one would refuse.
#[test]
fn a_delayed_publish_into_a_queue_is_the_queue_s() {
    let broker = Broker::start();
    let mut worker = Client::v311(broker.addr(), "worker");
    worker.subscribe("$queue/jobs", 1);
    let mut publisher = Client::v311(broker.addr(), "publisher");
    publisher.publish("$delayed/1/$queue/jobs", "later", 1);
    publisher.publish("$queue/jobs", "now", 1);
    assert_eq!(worker.recv().text(), "now");
    worker.expect_no_publish(Duration::from_millis(500));
    assert_eq!(worker.recv().text(), "later");
}

/// A will, and what is delayed, may be meant for a queue.
#[test]
fn a_will_may_go_into_a_queue() {
    let broker = Broker::start();
    let client = Client::v5_with(broker.addr(), "mortal", |c| {
        let (topic, payload) = ("$queue/deaths".to_owned(), b"it was me".to_vec());
        c.will(Will { topic, payload, qos: 1, retain: false, props: Vec::new() })
    });
    client.abort();
    let mut worker = Client::v5(broker.addr(), "worker");
    worker.subscribe("$queue/deaths", 1);
    assert_eq!(worker.recv().text(), "it was me");
}
