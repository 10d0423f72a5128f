//! QoS 2 (4.3.3), in both directions.

use primer_harness::wire::{Ack, publish, pubrel};
use primer_harness::{Client, Packet, SILENCE};

use crate::fixture::{V, broker, durable, durable_manual, opened};

/// However often the PUBLISH repeats before its PUBREL, each is answered with PUBREC and one message is delivered;
/// PUBREL is answered with PUBCOMP, and repeats too [MQTT-4.3.3-2] [MQTT-2.3.1-6].
#[test]
fn a_repeated_publish_is_delivered_once() {
    let broker = broker();
    let mut subscriber = Client::v311(broker.addr(), "once-sub");
    subscriber.subscribe("once/t", 2);
    let mut raw = opened(broker.addr(), "once");
    raw.send(&publish(V, "once/t", b"first").qos(2, 9).build());
    raw.expect(&[0x50, 2, 0, 9]);
    for _ in 0..3 {
        raw.send(&publish(V, "once/t", b"first").qos(2, 9).dup().build());
        raw.expect(&[0x50, 2, 0, 9]);
    }
    for _ in 0..2 {
        raw.send(&pubrel(9));
        raw.expect(&[0x70, 2, 0, 9]);
    }
    // From here on the identifier is as new, with DUP too.
    raw.send(&publish(V, "once/t", b"second").qos(2, 9).dup().build());
    raw.expect(&[0x50, 2, 0, 9]);
    raw.send(&pubrel(9));
    raw.expect(&[0x70, 2, 0, 9]);
    let got: Vec<_> = subscriber.recv_publishes(2).iter().map(primer_harness::Publish::text).collect();
    assert_eq!(got, ["first", "second"]);
    subscriber.expect_no_publish(SILENCE / 4);
}

/// Towards a subscriber: PUBLISH with DUP clear and a free identifier, PUBREL on PUBREC, and nothing more after PUBCOMP
/// [MQTT-4.3.3-1].
#[test]
fn the_broker_sends_each_step_of_qos_2() {
    let broker = broker();
    let mut subscriber = durable_manual(broker.addr(), "steps");
    subscriber.subscribe("steps/t", 2);
    let mut sender = Client::v311(broker.addr(), "steps-pub");
    sender.publish("steps/t", "a", 2);
    sender.publish("steps/t", "b", 2);
    let messages = subscriber.recv_publishes(2);
    assert!(messages.iter().all(|m| m.qos == 2 && !m.dup), "{messages:?}");
    let pids: Vec<u16> = messages.iter().filter_map(|m| m.pid).collect();
    assert!(pids.len() == 2 && pids[0] != pids[1] && !pids.contains(&0), "{pids:?}");
    subscriber.ping();
    assert_eq!(subscriber.recv_other(SILENCE / 4), None);
    for &pid in &pids {
        subscriber.send_ack(Ack::Pubrec, pid);
        subscriber.await_ack(Ack::Pubrel, pid);
        subscriber.send_ack(Ack::Pubcomp, pid);
    }
    subscriber.ping();
    subscriber.abort();
    let mut subscriber = durable_manual(broker.addr(), "steps");
    subscriber.expect_no_publish(SILENCE / 2);
    assert_eq!(subscriber.recv_other(SILENCE / 4), None);
}

/// The message is held until PUBREC and PUBREL until PUBCOMP, over connections; after PUBREC the PUBLISH never comes
/// again [MQTT-4.3.3-1] [MQTT-4.4.0-1].
#[test]
fn after_pubrec_only_pubrel_comes_again() {
    let broker = broker();
    let mut subscriber = durable_manual(broker.addr(), "rel");
    subscriber.subscribe("rel/t", 2);
    Client::v311(broker.addr(), "rel-pub").publish("rel/t", "x", 2);
    let message = subscriber.recv();
    let pid = message.pid.unwrap_or(0);
    subscriber.abort();
    let mut subscriber = durable_manual(broker.addr(), "rel");
    let again = subscriber.recv();
    assert_eq!((again.pid, again.dup, again.text().as_str()), (message.pid, true, "x"));
    subscriber.send_ack(Ack::Pubrec, pid);
    subscriber.await_ack(Ack::Pubrel, pid);
    for _ in 0..2 {
        subscriber.abort();
        subscriber = durable_manual(broker.addr(), "rel");
        subscriber.await_ack(Ack::Pubrel, pid);
        subscriber.expect_no_publish(SILENCE / 4);
    }
    // A PUBREC that comes late is answered once more.
    subscriber.send_ack(Ack::Pubrec, pid);
    subscriber.await_ack(Ack::Pubrel, pid);
    subscriber.send_ack(Ack::Pubcomp, pid);
    subscriber.ping();
    subscriber.abort();
    let mut subscriber = durable_manual(broker.addr(), "rel");
    subscriber.expect_no_publish(SILENCE / 2);
    assert_eq!(subscriber.recv_other(SILENCE / 4), None);
}

/// PUBRELs go out in the order of their PUBRECs [MQTT-4.6.0-4], also when they are sent again.
#[test]
fn pubrels_go_out_in_the_order_of_their_pubrecs() {
    let broker = broker();
    let mut subscriber = durable_manual(broker.addr(), "rels");
    subscriber.subscribe("rels/t", 2);
    let mut sender = Client::v311(broker.addr(), "rels-pub");
    for n in 0..6_u8 {
        sender.publish("rels/t", [n], 2);
    }
    let pids: Vec<u16> = subscriber.recv_publishes(6).iter().filter_map(|m| m.pid).collect();
    let order: Vec<u16> = [3, 0, 5, 4, 1, 2].map(|n: usize| pids[n]).into();
    for &pid in &order {
        subscriber.send_ack(Ack::Pubrec, pid);
    }
    assert_eq!(pubrels(&mut subscriber, 6), order);
    subscriber.abort();
    let mut subscriber = durable_manual(broker.addr(), "rels");
    assert_eq!(pubrels(&mut subscriber, 6), order);
}

#[track_caller]
fn pubrels(client: &mut Client, count: usize) -> Vec<u16> {
    (0..count)
        .map(|_| match client.await_other(|_| true) {
            Packet::Ack { kind: Ack::Pubrel, pid, .. } => pid,
            other => panic!("awaited a PUBREL, received {other:02x?}"),
        })
        .collect()
}

/// An exchange that the client has begun belongs to its session and is ended over the next connection
/// [MQTT-4.3.3-2] [MQTT-4.4.0-1].
#[test]
fn an_exchange_is_ended_over_the_next_connection() {
    let broker = broker();
    let mut subscriber = Client::v311(broker.addr(), "over-sub");
    subscriber.subscribe("over/t", 2);
    let mut sender = durable(broker.addr(), "over");
    sender.send(&publish(V, "over/t", b"x").qos(2, 3).build());
    sender.await_ack(Ack::Pubrec, 3);
    sender.abort_rst();
    let mut sender = durable(broker.addr(), "over");
    sender.send(&pubrel(3));
    sender.await_ack(Ack::Pubcomp, 3);
    assert_eq!(subscriber.recv().text(), "x");
    subscriber.expect_no_publish(SILENCE / 2);
}
