//! QoS 2 publishes whose exchange the end of the broker cuts in two: the message goes out once.

use primer_harness::wire::{Ack, publish, pubrel};
use primer_harness::{Client, SILENCE, Version};

use crate::fixture::{Stop, bounce, broker, each, fetch, lasting, settle, sleeper, texts};

/// The broker has answered PUBREC and ended; the client did not hear it, and sends its PUBLISH again [MQTT-4.3.3-10].
#[test]
fn a_publish_that_comes_again_is_not_delivered_again() {
    for (stop, version) in each() {
        let mut broker = broker();
        sleeper(broker.addr(), version, "away", "in", 2);
        let packet = publish(version, "in", b"once").qos(2, 77);
        let mut publisher = lasting(broker.addr(), version, "publisher");
        publisher.send(&packet.build());
        assert_eq!(publisher.await_ack(Ack::Pubrec, 77), 0);
        for _ in 0..2 {
            bounce(&mut broker, stop);
            publisher = lasting(broker.addr(), version, "publisher");
            assert!(publisher.session_present());
            publisher.send(&packet.clone().dup().build());
            assert!(publisher.await_ack(Ack::Pubrec, 77) < 0x80);
        }
        publisher.send(&pubrel(77));
        assert_eq!(publisher.await_ack(Ack::Pubcomp, 77), 0);
        publisher.publish("in", "next", 2);
        assert_eq!(texts(&fetch(broker.addr(), version, "away", 2)), ["once", "next"]);
    }
}

/// The client had heard it: its PUBREL is answered by a process that never sent the PUBREC.
#[test]
fn a_pubrel_is_answered_by_the_next_process() {
    for (stop, version) in each() {
        let mut broker = broker();
        sleeper(broker.addr(), version, "away", "in", 2);
        let mut publisher = lasting(broker.addr(), version, "publisher");
        for pid in 1..=5 {
            publisher.send(&publish(version, "in", pid.to_string().as_bytes()).qos(2, pid).build());
            assert_eq!(publisher.await_ack(Ack::Pubrec, pid), 0);
        }
        bounce(&mut broker, stop);
        let mut publisher = lasting(broker.addr(), version, "publisher");
        for pid in 1..=5 {
            publisher.send(&pubrel(pid));
            assert_eq!(publisher.await_ack(Ack::Pubcomp, pid), 0);
        }
        assert_eq!(texts(&fetch(broker.addr(), version, "away", 5)), ["1", "2", "3", "4", "5"]);
    }
}

/// The exchange was over and the client does not know: its PUBREL is answered all the same, and the identifier is free
/// for another message, which is not taken for the old one.
#[test]
fn a_released_identifier_is_free_again() {
    for (stop, version) in each() {
        let mut broker = broker();
        sleeper(broker.addr(), version, "away", "in", 2);
        let mut publisher = lasting(broker.addr(), version, "publisher");
        let send = |broker: &primer_harness::Broker, publisher: &mut Client, text: &str| {
            publisher.send(&publish(version, "in", text.as_bytes()).qos(2, 5).build());
            assert_eq!(publisher.await_ack(Ack::Pubrec, 5), 0);
            publisher.send(&pubrel(5));
            assert_eq!(publisher.await_ack(Ack::Pubcomp, 5), 0, "on {}", broker.port());
        };
        send(&broker, &mut publisher, "first");
        bounce(&mut broker, stop);
        let mut publisher = lasting(broker.addr(), version, "publisher");
        publisher.send(&pubrel(5));
        let unknown = if version.is_v5() { 0x92 } else { 0 };
        assert_eq!(publisher.await_ack(Ack::Pubcomp, 5), unknown);
        send(&broker, &mut publisher, "second");
        bounce(&mut broker, stop);
        let mut publisher = lasting(broker.addr(), version, "publisher");
        send(&broker, &mut publisher, "third");
        assert_eq!(texts(&fetch(broker.addr(), version, "away", 3)), ["first", "second", "third"]);
    }
}

/// The publisher sent and the broker ended, whenever that was: with the PUBLISH sent again there is one message.
#[test]
fn a_publish_cut_off_anywhere_is_delivered_once() {
    for sync in ["group", "each"] {
        let mut broker = crate::fixture::broker_with(&["--sync", sync]);
        sleeper(broker.addr(), Version::V5, "away", "in", 2);
        for round in 0..15_u16 {
            let mut publisher = lasting(broker.addr(), Version::V5, "publisher");
            let packets: Vec<_> = (1..=4)
                .map(|n| publish(Version::V5, "in", (round * 4 + n).to_string().as_bytes()).qos(2, round * 4 + n))
                .collect();
            packets.iter().for_each(|packet| publisher.send(&packet.build()));
            std::thread::sleep(std::time::Duration::from_micros(u64::from(round) * 400));
            broker.restart();
            let mut publisher = lasting(broker.addr(), Version::V5, "publisher");
            for packet in packets {
                let pid = packet.pid.unwrap_or_default();
                publisher.send(&packet.dup().build());
                assert!(publisher.await_ack(Ack::Pubrec, pid) < 0x80);
                publisher.send(&pubrel(pid));
                assert_eq!(publisher.await_ack(Ack::Pubcomp, pid), 0);
            }
            publisher.disconnect();
        }
        let wanted: Vec<String> = (1..=60).map(|number: u32| number.to_string()).collect();
        assert_eq!(texts(&fetch(broker.addr(), Version::V5, "away", 60)), wanted, "--sync {sync}");
    }
}

/// An exchange is kept also where the message itself is not, because nobody subscribes or nobody lasts.
#[test]
fn exchanges_are_kept_whoever_the_message_is_for() {
    for stop in Stop::BOTH {
        let mut broker = broker();
        let mut publisher = lasting(broker.addr(), Version::V5, "publisher");
        let mut live = Client::v5(broker.addr(), "live");
        live.subscribe("in/live", 2);
        for (pid, topic) in [(1, "in/live"), (2, "in/nobody")] {
            publisher.send(&publish(Version::V5, topic, b"x").qos(2, pid).build());
            assert!(publisher.await_ack(Ack::Pubrec, pid) < 0x80);
        }
        assert_eq!(live.recv().text(), "x");
        settle(&broker);
        bounce(&mut broker, stop);
        let mut live = Client::v5(broker.addr(), "live");
        live.subscribe("in/#", 2);
        let mut publisher = lasting(broker.addr(), Version::V5, "publisher");
        for (pid, topic) in [(1, "in/live"), (2, "in/nobody")] {
            publisher.send(&publish(Version::V5, topic, b"x").qos(2, pid).dup().build());
            assert!(publisher.await_ack(Ack::Pubrec, pid) < 0x80);
            publisher.send(&pubrel(pid));
            assert_eq!(publisher.await_ack(Ack::Pubcomp, pid), 0);
        }
        live.expect_no_publish(SILENCE / 4);
    }
}
