//! The exchanges of QoS 1 and 2 (4.3) on one connection, both ways.

use std::collections::BTreeSet;

use primer_harness::wire::{Ack, ack_with, puback, pubcomp, publish, pubrec, pubrel};
use primer_harness::{Client, Publish, SILENCE, Version};

use crate::fixture::{broker, manual, unique};

fn pid(message: &Publish) -> u16 {
    message.pid.unwrap_or_default()
}

/// A new message of the topic `name/t` with an identifier.
fn message(name: &str, qos: u8, pid: u16) -> Publish {
    publish(Version::V5, &format!("{name}/t"), pid.to_string().as_bytes()).qos(qos, pid)
}

/// A subscriber that acknowledges nothing by itself, and a publisher.
fn pair(name: &str, addr: std::net::SocketAddr) -> (Client, Client) {
    let mut subscriber = manual(addr, &format!("{name}-sub"));
    subscriber.subscribe(&format!("{name}/t"), 2);
    (subscriber, Client::v5(addr, &format!("{name}-pub")))
}

/// Free identifiers, above zero, for messages of both QoS [MQTT-4.3.2-1] [MQTT-4.3.3-1]; first sent with DUP clear
/// [MQTT-4.3.2-2] [MQTT-4.3.3-2].
#[test]
fn messages_under_way_have_identifiers_of_their_own() {
    let broker = broker();
    let (mut subscriber, mut publisher) = pair("ownpid", broker.addr());
    for n in 0..200_u32 {
        publisher.publish("ownpid/t", n.to_string(), if n % 2 == 0 { 1 } else { 2 });
    }
    let messages = subscriber.recv_publishes(200);
    assert!(messages.iter().all(|message| !message.dup && pid(message) > 0));
    assert_eq!(messages.iter().map(pid).collect::<BTreeSet<_>>().len(), 200);
    for message in messages.iter().skip(1).step_by(2) {
        subscriber.ack(message);
    }
    for n in 0..100 {
        publisher.publish("ownpid/t", n.to_string(), 1);
    }
    let old: BTreeSet<_> = messages.iter().step_by(2).map(pid).collect();
    let new: BTreeSet<_> = subscriber.recv_publishes(100).iter().map(pid).collect();
    assert!(old.is_disjoint(&new) && new.len() == 100, "identifiers in use were given again");
}

/// More messages than there are identifiers: they come round and stay free of those in use [MQTT-4.3.2-1].
#[test]
fn identifiers_that_come_round_pass_over_those_in_use() {
    const TURN: usize = 65_535;
    let broker = broker();
    let (mut subscriber, mut publisher) = pair("roundpid", broker.addr());
    publisher.publish("roundpid/t", "held", 1);
    let held = pid(&subscriber.recv());
    let batch: Vec<u8> = (1..=500).flat_map(|n| publish(Version::V5, "roundpid/t", b"").qos(1, n).build()).collect();
    let mut came = 0;
    while came < TURN {
        publisher.send(&batch);
        let mut acks = Vec::new();
        for message in subscriber.recv_publishes(500) {
            assert_ne!(pid(&message), held, "after {came} messages");
            acks.extend(puback(pid(&message)));
            came += 1;
        }
        subscriber.send(&acks);
        for n in 1..=500 {
            publisher.await_ack(Ack::Puback, n);
        }
    }
}

/// [MQTT-4.3.2-4] [MQTT-4.3.2-5]
#[test]
fn after_its_puback_an_identifier_begins_a_new_message() {
    let broker = broker();
    let (mut subscriber, mut publisher) = pair("again1", broker.addr());
    for dup in [false, true, true] {
        let mut packet = message("again1", 1, 0xabcd);
        packet.dup = dup;
        publisher.send(&packet.build());
        assert_eq!(publisher.await_ack(Ack::Puback, 0xabcd), 0);
        let message = subscriber.recv();
        assert!(!message.dup);
        subscriber.ack(&message);
    }
    subscriber.expect_no_publish_before_ping();
}

/// [MQTT-4.3.3-8] [MQTT-4.3.3-10] [MQTT-4.3.3-11] [MQTT-4.3.3-12]
#[test]
fn a_repeated_qos_2_publish_is_delivered_once_until_its_exchange_ends() {
    let broker = broker();
    let (mut subscriber, mut publisher) = pair("again2", broker.addr());
    let packet = message("again2", 2, 0x8001);
    for round in 0..2 {
        publisher.send(&packet.build());
        assert_eq!(publisher.await_ack(Ack::Pubrec, 0x8001), 0);
        for _ in 0..2 {
            publisher.send(&packet.clone().dup().build());
            assert!(publisher.await_ack(Ack::Pubrec, 0x8001) < 0x80, "PUBREC comes each time");
        }
        let message = subscriber.recv();
        subscriber.ack(&message);
        subscriber.expect_no_publish_before_ping();
        publisher.send(&pubrel(0x8001));
        assert_eq!(publisher.await_ack(Ack::Pubcomp, 0x8001), 0, "round {round}");
    }
    publisher.send(&packet.dup().build());
    publisher.await_ack(Ack::Pubrec, 0x8001);
    let message = subscriber.recv(); // new, DUP or not
    assert!(!message.dup);
    publisher.send(&pubrel(0x8001));
    publisher.send(&pubrel(0x8001));
    assert_eq!(publisher.await_ack(Ack::Pubcomp, 0x8001), 0);
    assert_eq!(publisher.await_ack(Ack::Pubcomp, 0x8001), 0x92);
}

/// The exchange of the first round and the message are apart for each client [MQTT-4.3.3-12].
#[test]
fn identifiers_of_two_clients_do_not_mix() {
    let broker = broker();
    let (mut subscriber, mut one) = pair("twoids", broker.addr());
    let mut two = Client::v5(broker.addr(), "twoids-pub2");
    for client in [&mut one, &mut two] {
        client.send(&message("twoids", 2, 4).build());
        assert_eq!(client.await_ack(Ack::Pubrec, 4), 0);
    }
    subscriber.recv_publishes(2);
}

/// [MQTT-4.3.3-9]: a refused PUBLISH leaves its identifier free.
#[test]
fn after_a_refusing_pubrec_an_identifier_begins_a_new_message() {
    let broker = broker();
    let (mut subscriber, mut publisher) = pair("refused2", broker.addr());
    publisher.send(&publish(Version::V5, "$delayed/never/refused2/t", b"x").qos(2, 6).build());
    assert_eq!(publisher.await_ack(Ack::Pubrec, 6), 0x90);
    publisher.send(&message("refused2", 2, 6).dup().build());
    assert_eq!(publisher.await_ack(Ack::Pubrec, 6), 0);
    assert_eq!(subscriber.recv().text(), "6");
    publisher.send(&pubrel(6));
    assert_eq!(publisher.await_ack(Ack::Pubcomp, 6), 0);
}

/// A PUBREC below 0x80 is answered by PUBREL, each time [MQTT-4.3.3-4]; one of 0x80 or above is not, and ends it.
#[test]
fn a_pubrec_is_answered_by_pubrel_with_the_same_identifier() {
    let broker = broker();
    let (mut subscriber, mut publisher) = pair("release", broker.addr());
    publisher.publish("release/t", "x", 2);
    publisher.publish("release/t", "y", 2);
    let (first, second) = (pid(&subscriber.recv()), pid(&subscriber.recv()));
    subscriber.send(&pubrec(first));
    assert_eq!(subscriber.await_ack(Ack::Pubrel, first), 0);
    subscriber.send(&pubrec(first));
    assert_eq!(subscriber.await_ack(Ack::Pubrel, first), 0);
    subscriber.send(&pubcomp(first));
    subscriber.send(&ack_with(Ack::Pubrec, second, 0x80, None));
    subscriber.ping();
    assert_eq!(subscriber.recv_other(SILENCE / 4), None, "a refusal is not answered");
}

/// What is not acknowledged is not sent again on the same connection [MQTT-4.4.0-1].
#[test]
fn nothing_is_sent_again_on_the_same_connection() {
    let broker = broker();
    let (mut subscriber, mut publisher) = pair("noretry", broker.addr());
    publisher.publish("noretry/t", "1", 1);
    publisher.publish("noretry/t", "2", 2);
    publisher.publish("noretry/t", "3", 2);
    let messages = subscriber.recv_publishes(3);
    subscriber.send(&pubrec(pid(&messages[2])));
    subscriber.await_ack(Ack::Pubrel, pid(&messages[2]));
    subscriber.expect_no_publish(SILENCE * 3);
    assert_eq!(subscriber.recv_other(SILENCE / 4), None);
}

/// An exchange that nobody subscribes to goes through all the same [MQTT-4.3.3-8] [MQTT-4.3.3-11].
#[test]
fn messages_without_subscribers_are_acknowledged_in_full() {
    let broker = broker();
    let mut publisher = Client::v5(broker.addr(), "nosub");
    let topic = unique("nosub");
    assert_eq!(publisher.publish(&topic, "x", 1), 0x10);
    assert_eq!(publisher.publish(&topic, "x", 2), 0);
}
