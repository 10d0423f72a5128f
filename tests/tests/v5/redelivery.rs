//! What a client finds when it comes back to its session (4.4): unacknowledged packets again, and nothing else.

use primer_harness::wire::{Ack, ack_with, publish, pubrel};
use primer_harness::{Client, Publish, Version};

use crate::fixture::{broker, durable_manual};

fn pid(message: &Publish) -> u16 {
    message.pid.unwrap_or_default()
}

/// A subscriber with a session that acknowledges nothing by itself, and a publisher.
fn pair(name: &str, addr: std::net::SocketAddr) -> (Client, Client) {
    let mut subscriber = durable_manual(addr, &format!("{name}-sub"));
    subscriber.subscribe(&format!("{name}/t"), 2);
    (subscriber, Client::v5(addr, &format!("{name}-pub")))
}

/// Unacknowledged QoS 1 and 2 messages come again, with DUP [MQTT-3.3.1-1], under their identifiers [MQTT-4.4.0-1] and
/// in their order [MQTT-4.6.0-1]: they are held until PUBACK or PUBREC [MQTT-4.3.2-3] [MQTT-4.3.3-3].
#[test]
fn unacknowledged_messages_come_again_with_dup_in_their_order() {
    let broker = broker();
    let (mut subscriber, mut publisher) = pair("again", broker.addr());
    for n in 0..6 {
        publisher.publish("again/t", n.to_string(), 1 + n % 2);
    }
    let first = subscriber.recv_publishes(6);
    subscriber.ack(&first[1]);
    subscriber.ack(&first[4]);
    subscriber.ping();
    let left: Vec<_> = [0, 2, 3, 5].map(|n: usize| (pid(&first[n]), n.to_string(), first[n].qos)).into();
    for _ in 0..2 {
        subscriber.abort();
        subscriber = durable_manual(broker.addr(), "again-sub");
        assert!(subscriber.session_present());
        let again = subscriber.recv_publishes(4);
        assert!(again.iter().all(|message| message.dup), "{again:?}");
        let got: Vec<_> = again.iter().map(|message| (pid(message), message.text(), message.qos)).collect();
        assert_eq!(got, left);
        subscriber.expect_no_publish_before_ping();
    }
    publisher.publish("again/t", "new", 1);
    let new = subscriber.recv();
    assert_eq!((new.dup, new.text().as_str()), (false, "new"));
    assert!(left.iter().all(|(old, _, _)| *old != pid(&new)), "the identifiers are still in use");
}

/// A connection that ends with DISCONNECT makes no difference, and new messages come behind the old ones
/// [MQTT-4.4.0-1] [MQTT-4.6.0-1].
#[test]
fn messages_sent_before_come_before_those_that_were_queued() {
    let broker = broker();
    let (mut subscriber, mut publisher) = pair("oldfirst", broker.addr());
    publisher.publish("oldfirst/t", "sent 1", 1);
    publisher.publish("oldfirst/t", "sent 2", 1);
    subscriber.recv_publishes(2);
    subscriber.disconnect();
    publisher.publish("oldfirst/t", "queued 1", 1);
    publisher.publish("oldfirst/t", "queued 2", 1);
    let mut subscriber = durable_manual(broker.addr(), "oldfirst-sub");
    let got: Vec<_> = subscriber.recv_publishes(4).iter().map(|message| (message.text(), message.dup)).collect();
    let wanted = [("sent 1", true), ("sent 2", true), ("queued 1", false), ("queued 2", false)];
    assert_eq!(got, wanted.map(|(text, dup)| (text.to_owned(), dup)));
}

/// After PUBREC the PUBREL is held until PUBCOMP [MQTT-4.3.3-5] and sent again [MQTT-4.4.0-1], the PUBLISH never
/// [MQTT-4.3.3-6]; PUBRELs go in the order of the PUBRECs, the first time and again [MQTT-4.6.0-4].
#[test]
fn pubrels_come_again_in_the_order_of_their_pubrecs() {
    let broker = broker();
    let (mut subscriber, mut publisher) = pair("relagain", broker.addr());
    for n in 0..4 {
        publisher.publish("relagain/t", n.to_string(), 2);
    }
    let messages = subscriber.recv_publishes(4);
    let order: Vec<u16> = [2, 0, 3, 1].map(|n: usize| pid(&messages[n])).into();
    let mut pubrecs = Vec::new();
    for pid in &order {
        pubrecs.extend(primer_harness::wire::pubrec(*pid));
    }
    subscriber.send(&pubrecs);
    let released = |subscriber: &mut Client| -> Vec<u16> {
        let packets = (0..4).filter_map(|_| subscriber.recv_other(primer_harness::TIMEOUT));
        let pids = packets.map(|packet| match packet {
            primer_harness::Packet::Ack { kind: Ack::Pubrel, pid, reason: 0, .. } => pid,
            other => panic!("{other:02x?}"),
        });
        pids.collect()
    };
    assert_eq!(released(&mut subscriber), order);
    for _ in 0..2 {
        subscriber.abort();
        subscriber = durable_manual(broker.addr(), "relagain-sub");
        assert_eq!(released(&mut subscriber), order);
        subscriber.expect_no_publish_before_ping();
    }
    for pid in order {
        subscriber.send_ack(Ack::Pubcomp, pid);
    }
    subscriber.ping();
    subscriber.abort();
    let mut subscriber = durable_manual(broker.addr(), "relagain-sub");
    subscriber.expect_no_publish_before_ping();
    assert_eq!(subscriber.recv_other(primer_harness::SILENCE / 4), None, "all is done");
}

/// [MQTT-4.4.0-2]
#[test]
fn messages_refused_by_their_receiver_are_not_sent_again() {
    let broker = broker();
    let (mut subscriber, mut publisher) = pair("refusedend", broker.addr());
    publisher.publish("refusedend/t", "1", 1);
    publisher.publish("refusedend/t", "2", 2);
    publisher.publish("refusedend/t", "3", 1);
    let messages = subscriber.recv_publishes(3);
    subscriber.send(&ack_with(Ack::Puback, pid(&messages[0]), 0x83, Some(&[])));
    subscriber.send(&ack_with(Ack::Pubrec, pid(&messages[1]), 0x80, Some(&[])));
    subscriber.ping();
    subscriber.abort();
    let mut subscriber = durable_manual(broker.addr(), "refusedend-sub");
    assert_eq!(subscriber.recv().text(), "3");
    subscriber.expect_no_publish_before_ping();
}

/// A QoS 2 message of a publisher whose connection broke is known when it comes again [MQTT-4.3.3-10] [MQTT-4.4.0-1].
#[test]
fn a_publisher_that_comes_back_finishes_its_exchange_without_a_second_delivery() {
    let broker = broker();
    let (mut subscriber, _) = pair("pubback", broker.addr());
    let packet = publish(Version::V5, "pubback/t", b"once").qos(2, 11);
    let mut publisher = durable_manual(broker.addr(), "pubback-pub2");
    publisher.send(&packet.build());
    publisher.await_ack(Ack::Pubrec, 11);
    publisher.abort();
    let mut publisher = durable_manual(broker.addr(), "pubback-pub2");
    publisher.send(&packet.dup().build());
    assert!(publisher.await_ack(Ack::Pubrec, 11) < 0x80);
    publisher.send(&pubrel(11));
    assert_eq!(publisher.await_ack(Ack::Pubcomp, 11), 0);
    assert_eq!(subscriber.recv().text(), "once");
    subscriber.expect_no_publish_before_ping();
}

/// A clean start forgets what was under way [MQTT-4.4.0-1].
#[test]
fn a_clean_start_gets_nothing_again() {
    let broker = broker();
    let (mut subscriber, mut publisher) = pair("cleanagain", broker.addr());
    publisher.publish("cleanagain/t", "1", 1);
    subscriber.recv();
    subscriber.abort();
    let mut subscriber = Client::v5(broker.addr(), "cleanagain-sub");
    assert!(!subscriber.session_present());
    subscriber.expect_no_publish(primer_harness::SILENCE / 2);
}

/// A clean start forgets the identifiers that the client had in use as well [MQTT-4.3.3-12].
#[test]
fn a_clean_start_forgets_the_exchanges_of_a_publisher() {
    let broker = broker();
    let (mut subscriber, _) = pair("cleanpub", broker.addr());
    let packet = publish(Version::V5, "cleanpub/t", b"x").qos(2, 21);
    let mut publisher = durable_manual(broker.addr(), "cleanpub-pub2");
    publisher.send(&packet.build());
    publisher.await_ack(Ack::Pubrec, 21);
    publisher.abort();
    let mut publisher = Client::v5(broker.addr(), "cleanpub-pub2");
    publisher.send(&pubrel(21));
    assert_eq!(publisher.await_ack(Ack::Pubcomp, 21), 0x92);
    publisher.send(&packet.build());
    assert_eq!(publisher.await_ack(Ack::Pubrec, 21), 0);
    assert_eq!(subscriber.recv_publishes(2).len(), 2);
}
