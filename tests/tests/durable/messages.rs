//! What a message is made of comes back as it was: large and empty payloads, properties, aliases.

use std::time::{Duration, Instant};

use primer_harness::wire::{prop, publish};
use primer_harness::{Client, Packet, Version};

use crate::fixture::{Stop, bounce, broker, each, fetch, lasting, sleeper};

/// Bytes that compress badly and whose order matters.
fn filling(len: usize) -> Vec<u8> {
    (0..len as u64).map(|at| (at.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 56) as u8).collect()
}

#[test]
fn payloads_of_every_size_come_back_as_they_were() {
    const SIZES: [usize; 10] = [0, 1, 255, 4096, 65_399, 65_400, 65_401, 200_000, 1 << 20, 10 << 20];
    for stop in Stop::BOTH {
        let mut broker = broker();
        sleeper(broker.addr(), Version::V5, "away", "size/#", 2);
        let mut publisher = Client::v5(broker.addr(), "publisher");
        for (n, size) in SIZES.into_iter().enumerate() {
            assert_eq!(publisher.publish(&format!("size/{size}"), filling(size), 1 + n as u8 % 2), 0);
        }
        bounce(&mut broker, stop);
        for (message, size) in fetch(broker.addr(), Version::V5, "away", SIZES.len()).iter().zip(SIZES) {
            assert_eq!((message.topic.as_str(), message.payload.len()), (format!("size/{size}").as_str(), size));
            assert!(message.payload == filling(size), "{size} bytes are not those that were sent");
        }
    }
}

/// Large ones in flight come again whole.
#[test]
fn a_large_payload_in_flight_comes_again() {
    let mut broker = broker();
    let mut subscriber = lasting(broker.addr(), Version::V311, "slow");
    subscriber.manual_ack();
    subscriber.subscribe("large", 2);
    let mut publisher = Client::v311(broker.addr(), "publisher");
    publisher.publish("large", filling(10 << 20), 1);
    publisher.publish("large", filling(3 << 20), 2);
    let first = subscriber.recv_publishes(2);
    crate::fixture::settle(&broker);
    bounce(&mut broker, Stop::Kill);
    let again = fetch(broker.addr(), Version::V311, "slow", 2);
    for (message, before) in again.iter().zip(&first) {
        assert!(message.dup && message.pid == before.pid);
        assert!(message.payload == before.payload, "{} bytes came otherwise", before.payload.len());
    }
}

/// All that 5.0 forwards, in its order; a client of 3.1.1 gets the same message without.
#[test]
fn properties_are_kept() {
    let props = [
        prop::payload_format_indicator(1),
        prop::content_type("text/plain; charset=utf-8"),
        prop::response_topic("answers/é"),
        prop::correlation_data(&[0, 1, 255]),
        prop::user_property("key", "first"),
        prop::user_property("key", "second"),
        prop::user_property("", ""),
    ];
    for stop in Stop::BOTH {
        let mut broker = broker();
        sleeper(broker.addr(), Version::V5, "five", "props", 1);
        sleeper(broker.addr(), Version::V311, "three", "props", 1);
        let mut publisher = Client::v5(broker.addr(), "publisher");
        assert_eq!(publisher.publish_with("props", "grüße", 1, &props), 0);
        bounce(&mut broker, stop);
        let messages = fetch(broker.addr(), Version::V5, "five", 1);
        assert_eq!((messages[0].text().as_str(), messages[0].props.as_slice()), ("grüße", &props[..]));
        assert_eq!(fetch(broker.addr(), Version::V311, "three", 1)[0].text(), "grüße");
    }
}

/// The time to live runs on while the broker is down: what is over does not come, what is not has less left.
#[test]
fn a_time_to_live_counts_while_the_broker_is_down() {
    for stop in Stop::BOTH {
        let mut broker = broker();
        sleeper(broker.addr(), Version::V5, "away", "ttl", 1);
        let mut publisher = Client::v5(broker.addr(), "publisher");
        publisher.publish_with("ttl", "short", 1, &[prop::message_expiry_interval(2)]);
        publisher.publish_with("ttl", "long", 1, &[prop::message_expiry_interval(100)]);
        publisher.publish("ttl", "for ever", 1);
        crate::fixture::end(&mut broker, stop);
        std::thread::sleep(Duration::from_millis(2300));
        broker.start_again();
        let messages = fetch(broker.addr(), Version::V5, "away", 2);
        let left = prop::number(&messages[0].props, prop::MESSAGE_EXPIRY_INTERVAL);
        assert_eq!((messages[0].text().as_str(), messages[1].text().as_str()), ("long", "for ever"));
        assert!(left.is_some_and(|left| (60..=98).contains(&left)), "{left:?} s left of 100");
        assert_eq!(prop::number(&messages[1].props, prop::MESSAGE_EXPIRY_INTERVAL), None);
    }
}

/// Aliases belong to a connection: a QoS 2 publish under an alias is stored under its topic, and a subscriber with
/// aliases is told the topic anew after the restart.
#[test]
fn topic_aliases_do_not_outlive_their_connection() {
    for stop in Stop::BOTH {
        let mut broker = broker();
        let with_aliases = |c: primer_harness::wire::Connect| {
            c.clean(false).session_expiry(600).props(&[prop::topic_alias_maximum(10)])
        };
        let mut subscriber = Client::v5_with(broker.addr(), "aliased", with_aliases);
        subscriber.manual_ack();
        subscriber.subscribe("alias/+", 2);
        let mut publisher = lasting(broker.addr(), Version::V5, "publisher");
        for (n, topic) in ["alias/topic", "", ""].into_iter().enumerate() {
            let packet = publish(Version::V5, topic, n.to_string().as_bytes()).props(&[prop::topic_alias(3)]);
            assert_eq!(publisher.publish_packet(packet, 2), 0);
        }
        let first = subscriber.recv_publishes(3);
        assert_eq!(first[0].topic, "alias/topic");
        bounce(&mut broker, stop);
        let mut subscriber = Client::v5_with(broker.addr(), "aliased", with_aliases);
        let again = subscriber.recv_publishes(3);
        assert_eq!(again[0].topic, "alias/topic", "its alias is of another connection");
        let names: Vec<_> = again.iter().map(|message| (message.text(), message.dup, message.pid)).collect();
        let wanted: Vec<_> = first.iter().map(|message| (message.text(), true, message.pid)).collect();
        assert_eq!(names, wanted);
        let unknown = publish(Version::V5, "", b"x").qos(2, 9).props(&[prop::topic_alias(3)]);
        let mut publisher = lasting(broker.addr(), Version::V5, "publisher");
        publisher.send(&unknown.build());
        assert_eq!(publisher.expect_closed(), Some(0x82), "the alias is of another connection");
    }
}

/// Too large for the client that comes back: it is dropped and the next one comes.
#[test]
fn a_message_that_is_too_large_for_its_client_by_now_is_dropped() {
    for (stop, _) in each().filter(|(_, version)| version.is_v5()) {
        let mut broker = broker();
        sleeper(broker.addr(), Version::V5, "away", "toolarge", 2);
        let mut publisher = Client::v5(broker.addr(), "publisher");
        publisher.publish("toolarge", filling(2000), 1);
        publisher.publish("toolarge", filling(3000), 2);
        publisher.publish("toolarge", "small", 2);
        bounce(&mut broker, stop);
        let small = [prop::maximum_packet_size(500)];
        let mut subscriber =
            Client::v5_with(broker.addr(), "away", |c| c.clean(false).session_expiry(600).props(&small));
        assert_eq!(subscriber.recv().text(), "small");
        subscriber.ping();
        subscriber.disconnect();
        crate::fixture::settle(&broker); // its PUBREC; it has not waited for the PUBREL
        bounce(&mut broker, stop);
        fetch(broker.addr(), Version::V5, "away", 0);
    }
}

/// A PUBACK that was given stands; the publisher that comes back is not asked for anything.
#[test]
fn a_publisher_is_not_told_twice() {
    let mut broker = broker();
    let mut publisher = lasting(broker.addr(), Version::V5, "publisher");
    sleeper(broker.addr(), Version::V5, "away", "told", 1);
    publisher.publish("told", "x", 1);
    bounce(&mut broker, Stop::Kill);
    let mut publisher = lasting(broker.addr(), Version::V5, "publisher");
    let begun = Instant::now();
    assert_eq!(publisher.recv_other(Duration::from_millis(100)), None::<Packet>);
    assert!(begun.elapsed() < Duration::from_secs(5));
}
