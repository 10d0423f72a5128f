//! Flow control (4.9): Receive Maximum in both directions.

use primer_harness::wire::{Ack, ack_with, prop, pubcomp, publish, pubrec, pubrel};
use primer_harness::{Broker, Client, Publish, SILENCE, Version};

use crate::fixture::{broker, manual, unique};

const RECEIVE_MAXIMUM_EXCEEDED: u8 = 0x93;

fn pid(message: &Publish) -> u16 {
    message.pid.unwrap_or_default()
}

/// A subscriber to a topic with a Receive Maximum that acknowledges nothing by itself, and a publisher.
fn pair(broker: &Broker, name: &str, maximum: u16) -> (Client, Client) {
    let mut subscriber =
        Client::v5_with(broker.addr(), &format!("{name}-sub"), |c| c.props(&[prop::receive_maximum(maximum)]));
    subscriber.manual_ack();
    subscriber.subscribe(&format!("{name}/t"), 2);
    (subscriber, Client::v5(broker.addr(), &format!("{name}-pub")))
}

/// [MQTT-3.3.4-9] [MQTT-4.9.0-1] [MQTT-4.9.0-2]: the quota begins at the client's maximum, and is never overdrawn.
#[test]
fn the_server_has_no_more_messages_unacknowledged_than_the_client_allows() {
    let broker = broker();
    for maximum in [1, 2, 7] {
        let name = unique("window");
        let (mut subscriber, mut publisher) = pair(&broker, &name, maximum);
        for n in 0..20_u8 {
            assert_eq!(publisher.publish(&format!("{name}/t"), [n], 1 + n % 2), 0);
        }
        let mut open = subscriber.recv_publishes(usize::from(maximum));
        for n in 0..20_u8 {
            subscriber.expect_no_publish_before_ping();
            let message = open.remove(0);
            assert_eq!(message.payload, [n]);
            subscriber.ack(&message);
            if usize::from(n) + usize::from(maximum) < 20 {
                open.push(subscriber.recv());
            }
        }
        subscriber.expect_no_publish_before_ping();
    }
}

/// PUBREC alone frees nothing [MQTT-4.9.0-2]; PUBCOMP does, PUBACK does, and a PUBREC of 0x80 or above does
/// [MQTT5-4.9]. One that comes twice frees one place alone.
#[test]
fn each_end_of_an_exchange_gives_one_place_back_and_no_more() {
    let broker = broker();
    let (mut subscriber, mut publisher) = pair(&broker, "giveback", 1);
    for (n, qos) in [(0, 2), (1, 2), (2, 1), (3, 1), (4, 1)] {
        publisher.publish("giveback/t", [n], qos);
    }
    let first = pid(&subscriber.recv());
    subscriber.send(&pubrec(first));
    subscriber.await_ack(Ack::Pubrel, first);
    subscriber.expect_no_publish(SILENCE / 4);
    subscriber.send(&pubcomp(first));
    subscriber.send(&pubcomp(first)); // for nothing
    let second = subscriber.recv();
    assert_eq!(second.payload, [1]);
    subscriber.expect_no_publish(SILENCE / 4);
    subscriber.send(&ack_with(Ack::Pubrec, pid(&second), 0x97, Some(&[])));
    let third = subscriber.recv();
    assert_eq!(third.payload, [2]);
    subscriber.ack(&third);
    subscriber.ack(&third); // for nothing
    let fourth = subscriber.recv();
    assert_eq!(fourth.payload, [3]);
    subscriber.expect_no_publish(SILENCE / 4);
    subscriber.ack(&fourth);
    assert_eq!(subscriber.recv().payload, [4]);
}

/// [MQTT-3.3.4-10] [MQTT-4.9.0-3]: everything but QoS 1 and 2 messages goes on, both ways.
#[test]
fn a_full_window_holds_back_nothing_but_messages() {
    let broker = broker();
    let (mut subscriber, mut publisher) = pair(&broker, "fullwin", 1);
    publisher.publish("fullwin/t", "fills", 1);
    publisher.publish("fullwin/t", "waits", 1);
    let fills = subscriber.recv();
    subscriber.ping();
    assert_eq!(subscriber.subscribe("fullwin/more", 1), 1);
    assert_eq!(subscriber.unsubscribe("fullwin/more"), 0);
    assert_eq!(subscriber.publish("fullwin/none", "x", 1), 0x10);
    assert_eq!(subscriber.publish("fullwin/none", "x", 2), 0);
    publisher.publish("fullwin/t", "passes", 0);
    assert_eq!(subscriber.recv().text(), "passes", "QoS 0 takes no place");
    subscriber.ack(&fills);
    assert_eq!(subscriber.recv().text(), "waits");
}

/// The quota begins anew with each connection, and what is sent again counts too [MQTT-4.9.0-1] [MQTT-4.9.0-2].
#[test]
fn messages_sent_again_count_against_the_new_window() {
    let broker = broker();
    let open = |maximum| {
        let mut client = Client::v5_with(broker.addr(), "newwin", |c| {
            c.clean(false).session_expiry(60).props(&[prop::receive_maximum(maximum)])
        });
        client.manual_ack();
        client
    };
    let mut subscriber = open(5);
    subscriber.subscribe("newwin/t", 1);
    let mut publisher = Client::v5(broker.addr(), "newwin-pub");
    for n in 0..8 {
        publisher.publish("newwin/t", [n], 1);
    }
    subscriber.recv_publishes(5);
    subscriber.abort();
    let mut subscriber = open(2);
    let mut unacknowledged = subscriber.recv_publishes(2);
    for n in 0..8 {
        subscriber.expect_no_publish_before_ping();
        let message = unacknowledged.remove(0);
        assert_eq!((message.payload.as_slice(), message.dup), (&[n][..], n < 5));
        subscriber.ack(&message);
        if n < 6 {
            unacknowledged.push(subscriber.recv());
        }
    }
}

/// [MQTT-3.3.4-7] [MQTT5-3.3.4] [MQTT-4.9.0-2]
#[test]
fn a_client_with_more_messages_under_way_than_allowed_is_disconnected_with_0x93() {
    let broker = Broker::with_args(&["--receive-maximum", "3"]);
    let open = |pids: std::ops::RangeInclusive<u16>| {
        let mut client = Client::v5(broker.addr(), &unique("over"));
        assert_eq!(prop::number(client.connack_props(), prop::RECEIVE_MAXIMUM), Some(3));
        for pid in pids {
            client.send(&publish(Version::V5, "over", b"x").qos(2, pid).build());
            client.await_ack(Ack::Pubrec, pid);
        }
        client
    };
    let mut client = open(1..=3);
    client.send(&publish(Version::V5, "over", b"x").qos(2, 2).dup().build());
    client.await_ack(Ack::Pubrec, 2); // one that is repeated is not one more
    client.send(&publish(Version::V5, "over", b"x").qos(2, 4).build());
    assert_eq!(client.expect_closed(), Some(RECEIVE_MAXIMUM_EXCEEDED));
    let mut client = open(1..=3);
    client.send(&publish(Version::V5, "over", b"x").qos(1, 4).build());
    assert_eq!(client.expect_closed(), Some(RECEIVE_MAXIMUM_EXCEEDED));
    let mut client = open(1..=3);
    client.publish("over", "x", 0);
    client.send(&pubrel(2));
    assert_eq!(client.await_ack(Ack::Pubcomp, 2), 0);
    assert_eq!(client.publish("over", "x", 1), 0x10, "PUBCOMP has given a place back [MQTT5-4.9]");
    assert_eq!(client.publish("over", "x", 2), 0);
}

/// PUBACK and a refusing PUBREC give the client's place back [MQTT5-4.9].
#[test]
fn answered_messages_of_a_client_take_no_place() {
    let broker = Broker::with_args(&["--receive-maximum", "1"]);
    let mut client = Client::v5(broker.addr(), "free");
    for _ in 0..20 {
        assert_eq!(client.publish("free", "x", 1), 0x10);
        assert_eq!(client.publish("$delayed/never/t", "x", 1), 0x90);
        assert_eq!(client.publish("$delayed/never/t", "x", 2), 0x90);
        assert_eq!(client.publish("free", "x", 2), 0);
    }
}

/// `--max-inflight` bounds what is under way to a client that states no maximum of its own.
#[test]
fn the_servers_own_bound_holds_too() {
    let broker = Broker::with_args(&["--max-inflight", "4"]);
    let mut subscriber = manual(broker.addr(), "inflight");
    subscriber.subscribe("t", 1);
    let mut publisher = Client::v5(broker.addr(), "pub");
    for n in 0..8 {
        publisher.publish("t", [n], 1);
    }
    let messages = subscriber.recv_publishes(4);
    subscriber.expect_no_publish_before_ping();
    messages.iter().for_each(|message| subscriber.ack(message));
    assert_eq!(subscriber.recv_publishes(4).last().map(|message| message.payload.clone()), Some(vec![7]));
}
