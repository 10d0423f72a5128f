//! `$delayed/SECONDS/TOPIC` over a restart.

use std::time::{Duration, Instant};

use primer_harness::wire::{prop, publish};
use primer_harness::{Client, SILENCE, Version};

use crate::fixture::{Stop, bounce, broker, each, end, fetch, lasting, settle, sleeper, texts};

/// What was due meanwhile comes with the start, in the order of its times; what is due later comes when it is.
#[test]
fn delayed_messages_come_when_they_are_due_or_with_the_next_start() {
    for (stop, version) in each() {
        let mut broker = broker();
        sleeper(broker.addr(), version, "away", "later/#", 2);
        let mut publisher = Client::connect_with(broker.addr(), version, "publisher", |c| c);
        let begun = Instant::now();
        for (seconds, text) in [(4, "fourth"), (1, "first"), (2, "third"), (1, "second")] {
            publisher.publish(&format!("$delayed/{seconds}/later/x"), text, 1 + seconds % 2);
        }
        end(&mut broker, stop);
        std::thread::sleep(Duration::from_millis(2200).saturating_sub(begun.elapsed()));
        broker.start_again();
        let mut subscriber = lasting(broker.addr(), version, "away");
        let messages = subscriber.recv_publishes(3);
        assert!(begun.elapsed() < Duration::from_secs(4), "the start took too long for this test");
        assert_eq!(texts(&messages), ["first", "second", "third"]);
        let topics: Vec<_> = messages.iter().map(|message| (message.topic.as_str(), message.qos)).collect();
        assert_eq!(topics, [("later/x", 2), ("later/x", 2), ("later/x", 1)]);
        assert_eq!(subscriber.recv().text(), "fourth");
        assert!(begun.elapsed() >= Duration::from_millis(3950), "after {:?}", begun.elapsed());
        subscriber.ping();
        settle(&broker);
        bounce(&mut broker, stop);
        fetch(broker.addr(), version, "away", 0);
    }
}

/// It leaves the delayed ones and enters the queue in one step: killed at any moment around it, it comes once.
#[test]
fn a_delayed_message_comes_once_wherever_the_broker_is_killed() {
    const COUNT: usize = 40;
    let mut broker = broker();
    sleeper(broker.addr(), Version::V5, "away", "once", 2);
    let mut publisher = Client::v5(broker.addr(), "publisher");
    for number in 0..COUNT {
        assert_eq!(publisher.publish("$delayed/1/once", number.to_string(), 2), 0);
    }
    std::thread::sleep(Duration::from_millis(700));
    for _ in 0..6 {
        bounce(&mut broker, Stop::Kill);
        std::thread::sleep(Duration::from_millis(30));
    }
    std::thread::sleep(Duration::from_millis(500));
    let mut got: Vec<usize> = texts(&fetch(broker.addr(), Version::V5, "away", COUNT))
        .iter()
        .map(|text| text.parse().expect("a number"))
        .collect();
    got.sort_unstable();
    assert_eq!(got, (0..COUNT).collect::<Vec<_>>());
}

/// With its properties; a retained one is kept, and one that is over before it is due does not come.
#[test]
fn a_delayed_message_comes_as_it_was() {
    for stop in Stop::BOTH {
        let mut broker = broker();
        sleeper(broker.addr(), Version::V5, "away", "whole/#", 1);
        let mut publisher = Client::v5(broker.addr(), "publisher");
        let props = [prop::content_type("t"), prop::user_property("k", "v")];
        let delayed = |topic: &str| publish(Version::V5, &format!("$delayed/2/whole/{topic}"), b"x");
        publisher.publish_packet(delayed("props").props(&props), 1);
        publisher.publish_packet(delayed("kept").retain(), 1);
        publisher.publish_packet(delayed("over").props(&[prop::message_expiry_interval(1)]), 1);
        bounce(&mut broker, stop);
        std::thread::sleep(Duration::from_millis(2100));
        let messages = fetch(broker.addr(), Version::V5, "away", 2);
        assert_eq!((messages[0].topic.as_str(), messages[0].props.as_slice()), ("whole/props", &props[..]));
        assert_eq!(messages[1].topic, "whole/kept");
        bounce(&mut broker, stop);
        let mut looker = Client::v5(broker.addr(), "looker");
        looker.subscribe("whole/#", 1);
        let kept = looker.recv();
        assert_eq!((kept.topic.as_str(), kept.retain), ("whole/kept", true));
        looker.expect_no_publish(SILENCE / 4);
    }
}
