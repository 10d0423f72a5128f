//! Messages on their way to a client when the broker stops: each comes again as far as its exchange had not come.

use primer_harness::wire::{Ack, prop, pubrec};
use primer_harness::{Client, Packet, Publish, SILENCE, TIMEOUT, Version};

use crate::fixture::{Stop, bounce, broker, each, fetch, lasting_manual, settle};

fn pid(message: &Publish) -> u16 {
    message.pid.unwrap_or_default()
}

/// What tells one copy of a message from another.
fn marks(messages: &[Publish]) -> Vec<(u16, String, u8)> {
    messages.iter().map(|message| (pid(message), message.text(), message.qos)).collect()
}

/// A subscriber that acknowledges nothing by itself, with these messages in flight.
#[track_caller]
fn in_flight(addr: std::net::SocketAddr, version: Version, qos: &[u8]) -> (Client, Vec<Publish>) {
    let mut subscriber = lasting_manual(addr, version, "sub");
    subscriber.subscribe("out", 2);
    let mut publisher = Client::connect_with(addr, version, "pub", |c| c);
    for (number, qos) in qos.iter().enumerate() {
        publisher.publish("out", number.to_string(), *qos);
    }
    let messages = subscriber.recv_publishes(qos.len());
    (subscriber, messages)
}

/// [MQTT-4.4.0-1] [MQTT-3.3.1-1] [MQTT-4.6.0-1], over a restart, and over a second one.
#[test]
fn unacknowledged_messages_come_again_with_dup_and_their_identifiers() {
    for (stop, version) in each() {
        let mut broker = broker();
        let (mut subscriber, first) = in_flight(broker.addr(), version, &[1, 2, 1, 2, 1]);
        assert!(first.iter().all(|message| !message.dup));
        subscriber.ping();
        settle(&broker);
        for _ in 0..2 {
            bounce(&mut broker, stop);
            subscriber = lasting_manual(broker.addr(), version, "sub");
            assert!(subscriber.session_present());
            let again = subscriber.recv_publishes(5);
            assert_eq!(marks(&again), marks(&first));
            assert!(again.iter().all(|message| message.dup), "{again:?}");
            subscriber.expect_no_publish(SILENCE / 4);
        }
        Client::v5(broker.addr(), "pub2").publish("out", "new", 2);
        let new = subscriber.recv();
        assert_eq!((new.dup, new.text().as_str()), (false, "new"));
        assert!(first.iter().all(|old| old.pid != new.pid), "the identifiers are still in use");
        first.iter().for_each(|message| subscriber.ack(message));
        subscriber.ack(&new);
        subscriber.ping();
        settle(&broker);
        bounce(&mut broker, stop);
        fetch(broker.addr(), version, "sub", 0);
    }
}

/// A PUBREC settles the PUBLISH for good: the PUBREL comes again and the PUBLISH does not [MQTT-4.3.3-6], the PUBRELs
/// in the order of the PUBRECs [MQTT-4.6.0-4].
#[test]
fn after_pubrec_the_pubrel_comes_again_and_the_message_does_not() {
    for (stop, version) in each() {
        let mut broker = broker();
        let (mut subscriber, messages) = in_flight(broker.addr(), version, &[2, 2, 2, 2]);
        let order = [2, 0, 3].map(|n: usize| pid(&messages[n]));
        let pubrecs: Vec<u8> = order.iter().flat_map(|pid| pubrec(*pid)).collect();
        subscriber.send(&pubrecs);
        assert_eq!(releases(&mut subscriber, 3), order);
        // A PUBREL is a promise: the broker may end right behind it.
        for _ in 0..2 {
            bounce(&mut broker, stop);
            subscriber = lasting_manual(broker.addr(), version, "sub");
            assert!(subscriber.session_present());
            assert_eq!(releases(&mut subscriber, 3), order);
            let left = subscriber.recv();
            assert_eq!((pid(&left), left.text().as_str(), left.dup), (pid(&messages[1]), "1", true));
            subscriber.expect_no_publish(SILENCE / 4);
        }
        for pid in order {
            subscriber.send_ack(Ack::Pubcomp, pid);
        }
        subscriber.ack(&messages[1]);
        subscriber.ping();
        settle(&broker);
        bounce(&mut broker, stop);
        let mut subscriber = lasting_manual(broker.addr(), version, "sub");
        subscriber.expect_no_publish(SILENCE / 2);
        assert_eq!(subscriber.recv_other(SILENCE / 4), None, "all is done");
    }
}

/// The packet identifiers of the next `count` PUBRELs.
#[track_caller]
fn releases(subscriber: &mut Client, count: usize) -> Vec<u16> {
    let mut pids = Vec::new();
    while pids.len() < count {
        match subscriber.recv_other(TIMEOUT) {
            Some(Packet::Ack { kind: Ack::Pubrel, pid, reason: 0, .. }) => pids.push(pid),
            other => panic!("awaited a PUBREL, received {other:02x?}"),
        }
    }
    pids
}

/// The client answers PUBREC to a QoS 2 message and the broker ends before it can have written that down: the message
/// comes again under its identifier, by which the client knows it, or the PUBREL does. Never anew.
#[test]
fn a_pubrec_that_the_broker_lost_does_not_make_the_message_new() {
    for version in Version::BOTH {
        let mut broker = broker();
        for round in 0..6 {
            let (mut subscriber, messages) = in_flight(broker.addr(), version, &[2]);
            subscriber.send(&pubrec(pid(&messages[0])));
            bounce(&mut broker, Stop::Kill);
            let mut subscriber = lasting_manual(broker.addr(), version, "sub");
            match subscriber.recv_publish(SILENCE) {
                None => assert_eq!(releases(&mut subscriber, 1), [pid(&messages[0])], "round {round}"),
                Some(again) => {
                    assert_eq!((again.pid, again.dup), (messages[0].pid, true), "round {round}");
                    subscriber.send(&pubrec(pid(&again)));
                    assert_eq!(releases(&mut subscriber, 1), [pid(&messages[0])]);
                }
            }
            subscriber.send_ack(Ack::Pubcomp, pid(&messages[0]));
            subscriber.ping();
            settle(&broker);
        }
    }
}

/// A QoS 2 message that has reached the client is on its way for good, however soon the broker ends: it does not come
/// under another identifier.
#[test]
fn a_qos_2_message_keeps_its_identifier_from_the_first_copy_on() {
    for version in Version::BOTH {
        let mut broker = broker();
        for round in 0..6 {
            let (_, messages) = in_flight(broker.addr(), version, &[2, 2, 2]);
            bounce(&mut broker, Stop::Kill);
            let mut subscriber = lasting_manual(broker.addr(), version, "sub");
            let again = subscriber.recv_publishes(3);
            assert_eq!(marks(&again), marks(&messages), "round {round}");
            again.iter().for_each(|message| subscriber.ack(message));
            subscriber.ping();
            settle(&broker);
        }
    }
}

/// Nor by way of a second connection to the same process: what is sent again has to be written down as well.
#[test]
fn a_qos_2_message_keeps_its_identifier_over_a_reconnect_and_a_kill() {
    let mut broker = crate::fixture::broker_with(&["--gather", "200"]);
    for round in 0..5 {
        let mut subscriber = lasting_manual(broker.addr(), Version::V5, "sub");
        subscriber.subscribe("out", 2);
        let mut publisher = Client::v5(broker.addr(), "pub");
        publisher.publish("out", round.to_string(), 2);
        subscriber.abort(); // before its PUBLISH can have left
        let mut subscriber = lasting_manual(broker.addr(), Version::V5, "sub");
        let first = subscriber.recv();
        bounce(&mut broker, Stop::Kill);
        let mut subscriber = lasting_manual(broker.addr(), Version::V5, "sub");
        let again = subscriber.recv();
        assert_eq!((again.pid, again.text()), (first.pid, first.text()), "round {round}");
        subscriber.ack(&again);
        subscriber.expect_no_publish(SILENCE / 4);
        settle(&broker);
    }
}

/// The client that comes back with a smaller window gets no more than fits it [MQTT-3.3.4-9].
#[test]
fn what_is_sent_again_keeps_within_a_smaller_window() {
    let mut broker = broker();
    let (mut subscriber, first) = in_flight(broker.addr(), Version::V5, &[1, 1, 1, 1, 1]);
    subscriber.ping();
    settle(&broker);
    bounce(&mut broker, Stop::Kill);
    let two = [prop::receive_maximum(2)];
    let mut subscriber = Client::v5_with(broker.addr(), "sub", |c| c.clean(false).session_expiry(600).props(&two));
    subscriber.manual_ack();
    let mut again = subscriber.recv_publishes(2);
    subscriber.expect_no_publish(SILENCE / 4);
    while again.len() < 5 {
        let done = again[again.len() - 2].clone();
        subscriber.ack(&done);
        again.push(subscriber.recv());
    }
    assert_eq!(marks(&again), marks(&first));
}

/// The rest of a backlog stands behind what was in flight.
#[test]
fn what_was_in_flight_comes_before_what_waited() {
    for stop in Stop::BOTH {
        let mut broker = broker();
        let two = [prop::receive_maximum(2)];
        let mut subscriber = Client::v5_with(broker.addr(), "sub", |c| c.clean(false).session_expiry(600).props(&two));
        subscriber.manual_ack();
        subscriber.subscribe("out", 1);
        let mut publisher = Client::v5(broker.addr(), "pub");
        for number in 0..6 {
            publisher.publish("out", number.to_string(), 1);
        }
        subscriber.recv_publishes(2);
        subscriber.ping();
        settle(&broker);
        bounce(&mut broker, stop);
        let got: Vec<_> = fetch(broker.addr(), Version::V5, "sub", 6).iter().map(|m| (m.text(), m.dup)).collect();
        let wanted: Vec<_> = (0..6).map(|number| (number.to_string(), number < 2)).collect();
        assert_eq!(got, wanted);
    }
}
