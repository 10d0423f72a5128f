//! QoS 0 and 1 (4.3.1, 4.3.2), and to whom a message goes (4.5).

use primer_harness::wire::{Ack, publish};
use primer_harness::{Client, SILENCE};

use crate::fixture::{V, broker, durable, opened, unique};

/// A message goes to every client whose subscription matches, connected or not, and to no other [MQTT-4.5.0-1].
#[test]
fn a_message_goes_to_every_client_that_subscribes() {
    let broker = broker();
    let mut away = durable(broker.addr(), "all-away");
    away.subscribe("all/own", 1);
    away.disconnect();
    // Other tests publish to the same broker: `+/t` would get what is theirs.
    let filters = ["all/own", "all/+", "all/#", "+/own"];
    let mut here: Vec<Client> = filters
        .iter()
        .map(|filter| {
            let mut client = Client::v311(broker.addr(), &unique("all"));
            client.subscribe(filter, 1);
            client
        })
        .collect();
    let mut other = Client::v311(broker.addr(), "all-other");
    other.subscribe("all/u", 1);
    let mut sender = Client::v311(broker.addr(), "all-pub");
    sender.subscribe("all/own", 1);
    sender.publish("all/own", "x", 1);
    for client in here.iter_mut().chain([&mut sender, &mut durable(broker.addr(), "all-away")]) {
        assert_eq!(client.recv().text(), "x");
        client.expect_no_publish_before_ping();
    }
    other.expect_no_publish(SILENCE / 4);
}

/// QoS 0 goes out with QoS 0 and DUP clear [MQTT-4.3.1-1], once, and is not acknowledged.
#[test]
fn qos_0_goes_out_once() {
    let broker = broker();
    let mut subscriber = Client::v311(broker.addr(), "zero-sub");
    subscriber.manual_ack();
    subscriber.subscribe("zero/t", 2);
    let mut sender = Client::v311(broker.addr(), "zero-pub");
    sender.publish("zero/t", "x", 0);
    let message = subscriber.recv();
    assert_eq!((message.qos, message.dup, message.pid), (0, false, None));
    subscriber.expect_no_publish(SILENCE / 2);
}

/// A QoS 1 message is held until its PUBACK [MQTT-4.3.2-1]: it is sent with DUP clear and a free identifier, and on
/// the next connection again if there was none.
#[test]
fn qos_1_is_held_until_its_puback() {
    let broker = broker();
    let mut subscriber = durable(broker.addr(), "held");
    subscriber.manual_ack();
    subscriber.subscribe("held/t", 1);
    let mut sender = Client::v311(broker.addr(), "held-pub");
    sender.publish("held/t", "a", 1);
    sender.publish("held/t", "b", 1);
    let first = subscriber.recv_publishes(2);
    assert!(first.iter().all(|m| m.qos == 1 && !m.dup && m.pid.is_some_and(|pid| pid > 0)), "{first:?}");
    assert_ne!(first[0].pid, first[1].pid);
    subscriber.send_ack(Ack::Puback, first[0].pid.unwrap_or(0));
    subscriber.ping();
    subscriber.abort();
    let mut subscriber = durable(broker.addr(), "held");
    let again = subscriber.recv();
    assert_eq!((again.text().as_str(), again.pid, again.dup), ("b", first[1].pid, true));
    subscriber.expect_no_publish_before_ping();
    subscriber.abort();
    durable(broker.addr(), "held").expect_no_publish(SILENCE);
}

/// After its PUBACK the identifier of a QoS 1 PUBLISH is free: the next one with it is a new message, with DUP or
/// without [MQTT-4.3.2-2].
#[test]
fn qos_1_takes_the_next_use_of_an_identifier_as_a_new_message() {
    let broker = broker();
    let mut subscriber = Client::v311(broker.addr(), "next-sub");
    subscriber.subscribe("next/t", 1);
    let mut raw = opened(broker.addr(), "next");
    for payload in [b"a", b"a", b"b"] {
        raw.send(&publish(V, "next/t", payload).qos(1, 7).build());
        raw.expect(&[0x40, 2, 0, 7]);
    }
    raw.send(&publish(V, "next/t", b"b").qos(1, 7).dup().build());
    raw.expect(&[0x40, 2, 0, 7]);
    let got: Vec<_> = subscriber.recv_publishes(4).iter().map(primer_harness::Publish::text).collect();
    assert_eq!(got, ["a", "a", "b", "b"]);
}

/// The PUBACK comes once the message is the broker's own [MQTT-4.3.2-2]: whoever loses the connection right after it
/// has lost nothing. Of the two ways of QoS 2 that the standard allows (figure 4.3), Primer goes the one that hands the
/// message on before PUBREC.
#[test]
fn what_was_acknowledged_is_delivered() {
    let broker = broker();
    let mut away = durable(broker.addr(), "own");
    away.subscribe("own/t", 2);
    away.disconnect();
    for qos in [1, 2] {
        let mut raw = opened(broker.addr(), "own-pub");
        raw.send(&publish(V, "own/t", &[qos]).qos(qos, 7).build());
        raw.expect(&[if qos == 1 { 0x40 } else { 0x50 }, 2, 0, 7]);
        raw.abort_rst();
    }
    let got: Vec<u8> = durable(broker.addr(), "own").recv_publishes(2).iter().map(|m| m.payload[0]).collect();
    assert_eq!(got, [1, 2]);
}
