//! Full queues: what is refused is said so, what is acknowledged is delivered.

use primer_harness::wire::{Ack, publish, pubrel};
use primer_harness::{Broker, Client, Publish, Version};

use crate::fixture::durable;

fn texts(messages: &[Publish]) -> Vec<String> {
    messages.iter().map(Publish::text).collect()
}

/// A session without a connection that takes all of `t`.
fn away(broker: &Broker) {
    let mut subscriber = durable(broker.addr(), "sub");
    subscriber.subscribe("t", 2);
    subscriber.disconnect();
}

/// `--overflow reject`: 0x97 in PUBACK and PUBREC, and exactly what was taken arrives.
#[test]
fn a_full_queue_refuses_with_0x97_and_loses_nothing_that_it_took() {
    let broker = Broker::with_args(&["--max-queued-messages", "10", "--overflow", "reject"]);
    away(&broker);
    let mut publisher = Client::v5(broker.addr(), "pub");
    let mut taken = Vec::new();
    for n in 0..20 {
        match publisher.publish("t", n.to_string(), 1 + n % 2) {
            0 => taken.push(n.to_string()),
            code => assert_eq!(code, 0x97),
        }
    }
    assert_eq!(taken, (0..10).map(|n| n.to_string()).collect::<Vec<_>>());
    publisher.send(&publish(Version::V5, "t", b"later").qos(2, 500).build());
    assert_eq!(publisher.await_ack(Ack::Pubrec, 500), 0x97);
    let mut subscriber = durable(broker.addr(), "sub");
    assert_eq!(texts(&subscriber.recv_publishes(10)), taken);
    subscriber.expect_no_publish_before_ping();
    publisher.send(&publish(Version::V5, "t", b"later").qos(2, 500).build());
    assert_eq!(publisher.await_ack(Ack::Pubrec, 500), 0, "there is room, and the identifier is free [MQTT-4.3.3-9]");
    publisher.send(&pubrel(500));
    assert_eq!(publisher.await_ack(Ack::Pubcomp, 500), 0);
    assert_eq!(subscriber.recv().text(), "later");
}

/// MQTT 3.1.1 has no word for a refusal: the connection is closed without an acknowledgement.
#[test]
fn a_full_queue_closes_the_connection_of_a_3_1_1_publisher_without_an_acknowledgement() {
    let broker = Broker::with_args(&["--max-queued-messages", "10", "--overflow", "reject"]);
    away(&broker);
    let mut publisher = Client::v311(broker.addr(), "pub");
    for n in 0..10 {
        publisher.publish("t", n.to_string(), 1);
    }
    let last = publish(Version::V311, "t", b"refused").qos(1, 100);
    publisher.send(&last.build());
    publisher.raw().expect_closed();
    let mut publisher = Client::v311(broker.addr(), "pub");
    publisher.send(&publish(Version::V311, "t", b"refused").qos(2, 100).build());
    publisher.raw().expect_closed();
    let mut subscriber = durable(broker.addr(), "sub");
    assert_eq!(texts(&subscriber.recv_publishes(10)), (0..10).map(|n| n.to_string()).collect::<Vec<_>>());
    let mut publisher = Client::v311(broker.addr(), "pub");
    publisher.publish_packet(last.dup(), 1);
    assert_eq!(subscriber.recv().text(), "refused", "sent again, it is taken");
}

/// The default: the oldest go, the newest stay. A tenth more may go, so that it is not done for each message.
#[test]
fn a_full_queue_drops_the_oldest_by_default() {
    let broker = Broker::with_args(&["--max-queued-messages", "10"]);
    away(&broker);
    let mut publisher = Client::v5(broker.addr(), "pub");
    for n in 0..25 {
        assert_eq!(publisher.publish("t", n.to_string(), 1), 0);
    }
    let mut subscriber = durable(broker.addr(), "sub");
    let mut got = Vec::new();
    while got.last().is_none_or(|last| last != "24") {
        got.push(subscriber.recv().text());
    }
    assert!((9..=10).contains(&got.len()), "{got:?}");
    assert_eq!(got, (25 - got.len()..25).map(|n| n.to_string()).collect::<Vec<_>>());
    subscriber.expect_no_publish_before_ping();
}

/// Bytes bound a queue as messages do.
#[test]
fn a_queue_that_is_full_by_bytes_refuses_too() {
    let broker = Broker::with_args(&["--max-queued-bytes", "20K", "--overflow", "reject"]);
    away(&broker);
    let mut publisher = Client::v5(broker.addr(), "pub");
    let codes: Vec<u8> = (0..30).map(|_| publisher.publish("t", [b'x'; 1000], 1)).collect();
    let taken = codes.iter().take_while(|code| **code == 0).count();
    assert!((10..=20).contains(&taken) && codes.iter().skip(taken).all(|code| *code == 0x97), "{codes:02x?}");
    let mut subscriber = durable(broker.addr(), "sub");
    subscriber.recv_publishes(taken);
    subscriber.expect_no_publish_before_ping();
}

/// QoS 0 is not queued for a session without a connection, unless `--queue-qos0` says so.
#[test]
fn qos_0_is_queued_only_where_asked() {
    for (args, wanted) in [(&[][..], &["kept"][..]), (&["--queue-qos0"], &["live", "kept", "last"])] {
        let broker = Broker::with_args(args);
        away(&broker);
        let mut publisher = Client::v5(broker.addr(), "pub");
        for (text, qos) in [("live", 0), ("kept", 1), ("last", 0)] {
            publisher.publish("t", text, qos);
        }
        publisher.ping();
        let mut subscriber = durable(broker.addr(), "sub");
        assert_eq!(texts(&subscriber.recv_publishes(wanted.len())), wanted);
        subscriber.expect_no_publish_before_ping();
    }
}
