//! Retained messages over a restart.

use std::time::Duration;

use primer_harness::wire::{prop, publish};
use primer_harness::{Client, SILENCE, Version};

use crate::fixture::{NOBODY, Stop, bounce, broker, each, end, settle, sleeper, texts};

/// What a new subscriber to the filter gets at once.
#[track_caller]
fn kept(broker: &primer_harness::Broker, version: Version, filter: &str, count: usize) -> Vec<primer_harness::Publish> {
    let mut client = Client::connect_with(broker.addr(), version, "looker", |c| c);
    client.subscribe(filter, 2);
    let mut messages = client.recv_publishes(count);
    client.expect_no_publish(SILENCE / 4);
    client.disconnect();
    messages.sort_by(|a, b| a.topic.cmp(&b.topic));
    assert!(messages.iter().all(|message| message.retain && !message.dup));
    messages
}

/// Set, replaced, deleted, deleted and set again.
#[test]
fn the_last_message_of_a_topic_is_kept() {
    for (stop, version) in each() {
        let mut broker = broker();
        let mut publisher = Client::connect_with(broker.addr(), version, "publisher", |c| c);
        for qos in 0..3 {
            publisher.publish_retained(&format!("kept/set/{qos}"), "set", qos);
        }
        for n in 0..4 {
            publisher.publish_retained("kept/replaced", n.to_string(), 1 + n % 2);
        }
        for topic in ["kept/deleted", "kept/again"] {
            publisher.publish_retained(topic, "first", 1);
            publisher.publish_retained(topic, "", 1);
        }
        publisher.publish_retained("kept/again", "again", 2);
        publisher.ping();
        settle(&broker);
        for _ in 0..2 {
            bounce(&mut broker, stop);
            let messages = kept(&broker, version, "kept/#", 5);
            assert_eq!(texts(&messages), ["again", "3", "set", "set", "set"]);
            let qos: Vec<u8> = messages.iter().map(|message| message.qos).collect();
            assert_eq!(qos, [2, 2, 0, 1, 2]);
        }
        let mut publisher = Client::connect_with(broker.addr(), version, "publisher", |c| c);
        publisher.publish_retained("kept/set/1", "anew", 1);
        publisher.publish_retained("kept/replaced", "", 1);
        bounce(&mut broker, stop);
        assert_eq!(texts(&kept(&broker, version, "kept/#", 4)), ["again", "set", "anew", "set"]);
    }
}

/// A PUBACK to a retained message is a promise, whether somebody subscribes or not; and so is one to a deletion.
#[test]
fn an_acknowledged_change_is_a_promise() {
    let mut broker = broker();
    for round in 0..6_u8 {
        let mut publisher = Client::v5(broker.addr(), "publisher");
        // The reason of a QoS 2 exchange comes with its PUBREC, and PUBCOMP's is what is given here.
        let wanted = if round % 2 == 0 { NOBODY } else { 0 };
        assert_eq!(publisher.publish_retained("promise", round.to_string(), 1 + round % 2), wanted);
        bounce(&mut broker, Stop::Kill);
        assert_eq!(texts(&kept(&broker, Version::V5, "promise", 1)), [round.to_string()]);
        if round % 3 == 2 {
            let mut publisher = Client::v5(broker.addr(), "publisher");
            assert_eq!(publisher.publish_retained("promise", "", 1), NOBODY);
            bounce(&mut broker, Stop::Kill);
            kept(&broker, Version::V5, "promise", 0);
        }
    }
}

/// It is over when its time is over, also while the broker is down, and has less time left afterwards.
#[test]
fn a_retained_message_expires_while_the_broker_is_down() {
    for stop in Stop::BOTH {
        let mut broker = broker();
        let mut publisher = Client::v5(broker.addr(), "publisher");
        let set = |topic: &str, seconds: u32| {
            publish(Version::V5, topic, b"x").retain().props(&[prop::message_expiry_interval(seconds)])
        };
        publisher.publish_packet(set("over/short", 2), 1);
        publisher.publish_packet(set("over/soon", 4), 1);
        publisher.publish_packet(set("over/long", 100), 1);
        end(&mut broker, stop);
        std::thread::sleep(Duration::from_millis(2200));
        broker.start_again();
        let messages = kept(&broker, Version::V5, "over/#", 2);
        let left = prop::number(&messages[0].props, prop::MESSAGE_EXPIRY_INTERVAL);
        assert!(left.is_some_and(|left| (60..=98).contains(&left)), "{left:?} s left of 100");
        std::thread::sleep(Duration::from_millis(2000));
        assert_eq!(kept(&broker, Version::V5, "over/#", 1)[0].topic, "over/long");
    }
}

/// With its properties and a payload of any size.
#[test]
fn a_retained_message_comes_back_as_it_was() {
    let mut broker = broker();
    let props = [prop::content_type("x/y"), prop::user_property("a", "1"), prop::user_property("a", "2")];
    let large = vec![7; 3 << 20];
    let mut publisher = Client::v5(broker.addr(), "publisher");
    publisher.publish_packet(publish(Version::V5, "whole/props", b"p").retain().props(&props), 1);
    publisher.publish_retained("whole/large", &large, 2);
    bounce(&mut broker, Stop::Kill);
    let messages = kept(&broker, Version::V5, "whole/#", 2);
    assert!(messages[0].payload == large);
    assert_eq!((messages[1].text().as_str(), messages[1].props.as_slice()), ("p", &props[..]));
}

/// A retained message is also one for those who are away; the two lives of it are apart.
#[test]
fn a_retained_message_waits_for_who_is_away_as_well() {
    for stop in Stop::BOTH {
        let mut broker = broker();
        sleeper(broker.addr(), Version::V5, "away", "both", 1);
        let mut publisher = Client::v5(broker.addr(), "publisher");
        publisher.publish_retained("both", "one", 1);
        publisher.publish_retained("both", "two", 1);
        publisher.publish_retained("both", "", 1);
        bounce(&mut broker, stop);
        kept(&broker, Version::V5, "both", 0);
        let messages = crate::fixture::fetch(broker.addr(), Version::V5, "away", 3);
        assert_eq!(texts(&messages), ["one", "two", ""]);
    }
}

/// Many of them, and none of `$SYS`, which is the process's own.
#[test]
fn many_retained_messages_come_back() {
    const COUNT: usize = 1000;
    let mut broker = crate::fixture::broker_with(&["--sys-interval", "1"]);
    let mut publisher = Client::v5(broker.addr(), "publisher");
    for n in 0..COUNT {
        publisher.publish_retained(&format!("many/{n:04}"), n.to_string(), 0);
    }
    publisher.publish_retained("many/last", "last", 1);
    bounce(&mut broker, Stop::Kill);
    let messages = kept(&broker, Version::V311, "many/#", COUNT + 1);
    assert!((0..COUNT).all(|n| messages[n].text() == n.to_string()));
}

/// A message of a topic that nothing else was ever kept for is replaced in the next life: the new one is not taken for
/// the old one that goes. The same for those that are delayed.
#[test]
fn the_first_change_after_a_restart_takes_no_other_message_with_it() {
    for stop in Stop::BOTH {
        let mut broker = broker();
        sleeper(broker.addr(), Version::V5, "away", "own/later", 1);
        let mut publisher = Client::v5(broker.addr(), "publisher");
        publisher.publish_retained("own/kept", "old", 1);
        publisher.publish("$delayed/1/own/later", "first", 1);
        bounce(&mut broker, stop);
        let mut publisher = Client::v5(broker.addr(), "publisher");
        publisher.publish_retained("own/kept", "new", 1);
        publisher.publish("$delayed/3/own/later", "second", 1);
        std::thread::sleep(Duration::from_millis(1300));
        settle(&broker);
        bounce(&mut broker, stop);
        assert_eq!(texts(&kept(&broker, Version::V5, "own/kept", 1)), ["new"]);
        std::thread::sleep(Duration::from_millis(2200));
        assert_eq!(texts(&crate::fixture::fetch(broker.addr(), Version::V5, "away", 2)), ["first", "second"]);
    }
}
