//! Messages that wait for a client which is away.

use primer_harness::wire::publish;
use primer_harness::{Client, SILENCE, Version};

use crate::fixture::{Stop, bounce, broker, broker_with, each, fetch, lasting, settle, sleeper, texts};

/// What was acknowledged is there, once, in its order, with its QoS, and is not a duplicate: it was never sent before.
#[test]
fn messages_for_a_client_that_is_away_are_there_after_a_restart() {
    for (stop, version) in each() {
        let mut broker = broker();
        sleeper(broker.addr(), version, "away", "offline/#", 2);
        let mut publisher = Client::connect_with(broker.addr(), version, "publisher", |c| c);
        for number in 0..40 {
            publisher.publish(&format!("offline/{}", number % 3), number.to_string(), 1 + number % 2);
        }
        bounce(&mut broker, stop);
        let messages = fetch(broker.addr(), version, "away", 40);
        let wanted: Vec<String> = (0..40).map(|number: u32| number.to_string()).collect();
        assert_eq!(texts(&messages), wanted);
        for (number, message) in messages.iter().enumerate() {
            let (topic, qos) = (format!("offline/{}", number % 3), 1 + number % 2);
            assert_eq!((&message.topic, usize::from(message.qos), message.dup), (&topic, qos, false));
            assert!(!message.retain);
        }
    }
}

/// It survives more than one restart, and what came between them stands behind what came before.
#[test]
fn messages_of_several_lives_of_the_broker_come_in_their_order() {
    let mut broker = broker();
    sleeper(broker.addr(), Version::V5, "away", "lives", 1);
    for life in 0..6 {
        let mut publisher = Client::v5(broker.addr(), "publisher");
        for number in 0..5 {
            assert_eq!(publisher.publish("lives", format!("{life}.{number}"), 1), 0);
        }
        bounce(&mut broker, if life % 3 == 2 { Stop::Term } else { Stop::Kill });
    }
    let messages = fetch(broker.addr(), Version::V5, "away", 30);
    let wanted: Vec<String> = (0..6).flat_map(|life| (0..5).map(move |number| format!("{life}.{number}"))).collect();
    assert_eq!(texts(&messages), wanted);
}

/// What the client acknowledged is gone for good; the rest is there.
#[test]
fn acknowledged_messages_do_not_come_again() {
    for (stop, version) in each() {
        let mut broker = broker();
        sleeper(broker.addr(), version, "away", "acked", 2);
        let mut publisher = Client::connect_with(broker.addr(), version, "publisher", |c| c);
        for number in 0..10 {
            publisher.publish("acked", number.to_string(), 1 + number % 2);
        }
        let mut subscriber = lasting(broker.addr(), version, "away");
        subscriber.manual_ack();
        for message in &subscriber.recv_publishes(10)[..7] {
            subscriber.ack(message);
        }
        subscriber.ping();
        settle(&broker);
        bounce(&mut broker, stop);
        let messages = fetch(broker.addr(), version, "away", 3);
        assert_eq!(texts(&messages), ["7", "8", "9"]);
        bounce(&mut broker, Stop::Term);
        fetch(broker.addr(), version, "away", 0);
    }
}

/// Two who are away have the message that is stored once; what one has fetched is still there for the other.
#[test]
fn a_message_for_several_waits_for_each_of_them() {
    for stop in Stop::BOTH {
        let mut broker = broker();
        for (id, qos) in [("one", 1), ("two", 2), ("three", 1)] {
            sleeper(broker.addr(), Version::V5, id, "several", qos);
        }
        let mut publisher = Client::v5(broker.addr(), "publisher");
        for number in 0..5 {
            publisher.publish("several", number.to_string(), 2);
        }
        fetch(broker.addr(), Version::V5, "one", 5);
        bounce(&mut broker, stop);
        fetch(broker.addr(), Version::V5, "two", 5);
        bounce(&mut broker, stop);
        let messages = fetch(broker.addr(), Version::V5, "three", 5);
        assert!(messages.iter().all(|message| message.qos == 1));
    }
}

/// With `--queue-qos0` they are kept like the others; without it they go to who is there.
#[test]
fn qos_0_messages_are_kept_where_that_is_asked_for() {
    for (args, count) in [(&["--queue-qos0"][..], 6), (&[][..], 3)] {
        for stop in Stop::BOTH {
            let mut broker = broker_with(args);
            sleeper(broker.addr(), Version::V311, "away", "zero", 1);
            let mut publisher = Client::v311(broker.addr(), "publisher");
            for number in 0..6 {
                publisher.publish("zero", number.to_string(), number % 2);
            }
            publisher.ping();
            settle(&broker);
            bounce(&mut broker, stop);
            let messages = fetch(broker.addr(), Version::V311, "away", count);
            let wanted: Vec<String> = (0..6).filter(|n| count == 6 || n % 2 == 1).map(|n: u32| n.to_string()).collect();
            assert_eq!(texts(&messages), wanted);
            assert!(messages.iter().all(|message| message.qos == message.text().parse::<u8>().unwrap_or(9) % 2));
        }
    }
}

/// A publisher that is itself away by then, and one without a session: neither matters.
#[test]
fn it_does_not_matter_who_published() {
    for stop in Stop::BOTH {
        let mut broker = broker();
        sleeper(broker.addr(), Version::V5, "away", "who", 1);
        let mut clean = Client::v311(broker.addr(), "clean");
        clean.publish("who", "clean", 1);
        let mut own = lasting(broker.addr(), Version::V5, "away-not");
        own.publish("who", "lasting", 2);
        own.disconnect();
        bounce(&mut broker, stop);
        assert_eq!(texts(&fetch(broker.addr(), Version::V5, "away", 2)), ["clean", "lasting"]);
    }
}

/// Many: more than are read back at once, for a client that acknowledges them slowly.
#[test]
fn a_long_backlog_comes_whole_and_in_order() {
    const COUNT: usize = 1500;
    let mut broker = broker();
    sleeper(broker.addr(), Version::V5, "away", "backlog", 2);
    let mut publisher = Client::v5(broker.addr(), "publisher");
    for round in 0..COUNT / 100 {
        let burst = (0..100_u16).flat_map(|n| {
            let text = (round * 100 + usize::from(n)).to_string();
            publish(Version::V5, "backlog", text.as_bytes()).qos(1, n + 1).build()
        });
        publisher.send(&burst.collect::<Vec<u8>>());
        for n in 0..100 {
            assert_eq!(publisher.await_ack(primer_harness::wire::Ack::Puback, n + 1), 0);
        }
    }
    bounce(&mut broker, Stop::Kill);
    let few = |c: primer_harness::wire::Connect| {
        let props = [primer_harness::wire::prop::receive_maximum(7)];
        c.clean(false).session_expiry(3600).props(&props)
    };
    let mut subscriber = Client::v5_with(broker.addr(), "away", few);
    let wanted: Vec<String> = (0..COUNT).map(|number| number.to_string()).collect();
    assert_eq!(texts(&subscriber.recv_publishes(COUNT)), wanted);
    subscriber.expect_no_publish(SILENCE / 4);
}
