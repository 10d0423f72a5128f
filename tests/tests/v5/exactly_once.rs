//! Delivery guarantees end to end while connections break: QoS 2 exactly once, QoS 1 at least once, both in order.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::time::Duration;

use primer_harness::wire::{Ack, Packet, pubcomp, publish, pubrec, pubrel};
use primer_harness::{Client, TIMEOUT, Version};

use crate::fixture::{broker, durable, durable_manual};

/// A publisher of QoS 2 that keeps its state through broken connections, as 4.4 asks.
struct Publisher {
    addr: SocketAddr,
    id: &'static str,
    client: Client,
}

impl Publisher {
    fn reconnect(&mut self) {
        self.client = durable(self.addr, self.id);
        assert!(self.client.session_present());
    }

    /// Publishes one message; `n` decides where the connection breaks, if it does.
    fn publish(&mut self, topic: &str, n: u16) {
        let pid = n % 5 + 1;
        let packet = publish(Version::V5, topic, n.to_string().as_bytes()).qos(2, pid);
        self.client.send(&packet.build());
        if n % 7 == 3 {
            self.reconnect();
            self.client.send(&packet.dup().build());
        }
        assert!(self.client.await_ack(Ack::Pubrec, pid) < 0x80);
        if n % 7 == 4 {
            self.reconnect();
        }
        self.client.send(&pubrel(pid));
        if n % 7 == 5 {
            self.reconnect();
            self.client.send(&pubrel(pid));
        }
        let reason = self.client.await_ack(Ack::Pubcomp, pid);
        assert!(reason == 0 || n % 7 == 5, "PUBCOMP says {reason:02x}");
    }
}

/// A subscriber of QoS 2 that keeps its state through broken connections.
struct Subscriber {
    addr: SocketAddr,
    id: &'static str,
    client: Client,
    unreleased: BTreeSet<u16>,
    got: Vec<String>,
}

impl Subscriber {
    /// Takes packets until so many messages came, and breaks the connection at every fifth packet.
    fn take(&mut self, count: usize) {
        let mut packets = 0;
        while self.got.len() < count || !self.unreleased.is_empty() {
            packets += 1;
            if packets % 5 == 0 {
                self.client = durable_manual(self.addr, self.id);
                assert!(self.client.session_present());
            }
            while let Some(packet) = self.client.recv_other(Duration::ZERO) {
                let Packet::Ack { kind: Ack::Pubrel, pid, .. } = packet else { panic!("{packet:02x?}") };
                self.unreleased.remove(&pid);
                self.client.send(&pubcomp(pid));
            }
            // With all messages there, only PUBRELs are awaited, and they are read on the way to a message.
            let wait = if self.got.len() < count { TIMEOUT } else { Duration::from_millis(20) };
            if let Some(message) = self.client.recv_publish(wait) {
                let pid = message.pid.unwrap_or_default();
                if self.unreleased.insert(pid) {
                    self.got.push(message.text());
                }
                self.client.send(&pubrec(pid));
                let release =
                    |packet: &Packet| matches!(packet, Packet::Ack { kind: Ack::Pubrel, pid: p, .. } if *p == pid);
                if packets % 3 == 0 {
                    self.client.await_other(release);
                    self.unreleased.remove(&pid);
                    self.client.send(&pubcomp(pid));
                }
            }
        }
    }
}

/// [MQTT-4.3.3-3] [MQTT-4.3.3-6] [MQTT-4.3.3-10] [MQTT-4.4.0-1] [MQTT-4.6.0-1], all together.
#[test]
fn qos_2_messages_come_exactly_once_and_in_order_while_connections_break() {
    const MESSAGES: u16 = 120;
    let broker = broker();
    let addr = broker.addr();
    let mut client = durable_manual(addr, "exact-sub");
    client.subscribe("exactly/t", 2);
    let mut subscriber = Subscriber { addr, id: "exact-sub", client, unreleased: BTreeSet::new(), got: Vec::new() };
    let publisher = std::thread::spawn(move || {
        let mut publisher = Publisher { addr, id: "exact-pub", client: durable(addr, "exact-pub") };
        for n in 0..MESSAGES {
            publisher.publish("exactly/t", n);
        }
    });
    subscriber.take(usize::from(MESSAGES));
    assert!(publisher.join().is_ok());
    assert_eq!(subscriber.got, (0..MESSAGES).map(|n| n.to_string()).collect::<Vec<_>>());
    subscriber.client.expect_no_publish_before_ping();
}

/// [MQTT-4.3.2-3] [MQTT-4.4.0-1] [MQTT-4.5.0-1]: a subscriber that is taken over again and again misses nothing, and
/// what comes anew comes in its order.
#[test]
fn qos_1_messages_come_at_least_once_and_in_order_while_the_subscriber_is_taken_over() {
    const MESSAGES: u32 = 300;
    let broker = broker();
    let addr = broker.addr();
    let mut subscriber = durable(addr, "least-sub");
    subscriber.subscribe("least/t", 1);
    let publisher = std::thread::spawn(move || {
        let mut publisher = Client::v5(addr, "least-pub");
        for n in 0..MESSAGES {
            assert_eq!(publisher.publish("least/t", n.to_string(), 1), 0);
        }
    });
    let mut next = 0;
    let mut connections = 0;
    while next < MESSAGES {
        for _ in 0..9 {
            if next == MESSAGES {
                break;
            }
            let n: u32 = subscriber.recv().text().parse().expect("a number");
            assert!(n <= next, "{n} came where {next} was next");
            next = next.max(n + 1);
        }
        subscriber = durable(addr, "least-sub");
        assert!(subscriber.session_present());
        connections += 1;
    }
    assert!(publisher.join().is_ok());
    assert!(connections >= MESSAGES / 9);
}
