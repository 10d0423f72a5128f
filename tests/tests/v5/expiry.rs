//! Message expiry (3.3.2.3.3): what has expired is not delivered, and what is left of the interval is passed on.

use std::thread::sleep;
use std::time::Duration;

use primer_harness::wire::{Ack, prop, publish, pubrel};
use primer_harness::{Client, SILENCE, Version};

use crate::fixture::{broker, durable, durable_manual};

/// Long enough for a message of one second to expire.
const EXPIRED: Duration = Duration::from_millis(1300);

/// Past its expiry a message is dropped [MQTT-3.3.2-5]; otherwise the interval is told less the wait [MQTT-3.3.2-6].
#[test]
fn expiry_is_counted_down_while_a_message_is_queued() {
    let broker = broker();
    let mut subscriber = durable(broker.addr(), "expqueue");
    subscriber.subscribe("expqueue/t", 1);
    subscriber.disconnect();
    let mut publisher = Client::v5(broker.addr(), "expqueue-pub");
    for (payload, seconds) in [("short", 1), ("long", 100), ("longest", u32::MAX)] {
        publisher.publish_with("expqueue/t", payload, 1, &[prop::message_expiry_interval(seconds)]);
    }
    publisher.publish("expqueue/t", "for ever", 1);
    sleep(EXPIRED);
    let mut subscriber = durable(broker.addr(), "expqueue");
    let left = |message: &primer_harness::Publish| prop::number(&message.props, prop::MESSAGE_EXPIRY_INTERVAL);
    let message = subscriber.recv();
    assert_eq!(message.text(), "long");
    assert!(left(&message).is_some_and(|left| (80..=99).contains(&left)), "{message:?}");
    let message = subscriber.recv();
    assert_eq!(message.text(), "longest");
    assert!(left(&message).is_some_and(|left| (u32::MAX - 20..u32::MAX).contains(&left)), "{message:?}");
    let message = subscriber.recv();
    assert_eq!((message.text().as_str(), left(&message)), ("for ever", None));
    subscriber.expect_no_publish_before_ping();
}

/// A message that waits behind a full window expires there too [MQTT-3.3.2-5].
#[test]
fn a_message_that_waits_for_the_window_expires() {
    let broker = broker();
    let mut subscriber = Client::v5_with(broker.addr(), "expwindow", |c| c.props(&[prop::receive_maximum(1)]));
    subscriber.manual_ack();
    subscriber.subscribe("expwindow/t", 1);
    let mut publisher = Client::v5(broker.addr(), "expwindow-pub");
    publisher.publish("expwindow/t", "first", 1);
    publisher.publish_with("expwindow/t", "expires", 1, &[prop::message_expiry_interval(1)]);
    publisher.publish_with("expwindow/t", "stays", 1, &[prop::message_expiry_interval(50)]);
    let first = subscriber.recv();
    sleep(EXPIRED);
    subscriber.ack(&first);
    assert_eq!(subscriber.recv().text(), "stays");
}

/// [MQTT-3.3.2-5] [MQTT-3.3.2-6] for retained messages.
#[test]
fn expiry_is_counted_down_while_a_message_is_kept() {
    let broker = broker();
    let mut publisher = Client::v5(broker.addr(), "expkept-pub");
    for (topic, seconds) in [("expkept/short", 1), ("expkept/long", 100)] {
        let packet = publish(Version::V5, topic, b"x").retain().props(&[prop::message_expiry_interval(seconds)]);
        publisher.publish_packet(packet, 1);
    }
    sleep(EXPIRED);
    let mut subscriber = Client::v5(broker.addr(), "expkept");
    subscriber.subscribe("expkept/+", 1);
    let message = subscriber.recv();
    assert_eq!(message.topic, "expkept/long");
    let left = prop::number(&message.props, prop::MESSAGE_EXPIRY_INTERVAL);
    assert!(left.is_some_and(|left| (80..=99).contains(&left)), "{message:?}");
    subscriber.expect_no_publish(SILENCE / 4);
}

/// A QoS 2 message that was sent is sent again even past its expiry [MQTT-4.3.3-7].
#[test]
fn a_qos_2_message_that_was_sent_does_not_expire() {
    let broker = broker();
    let mut subscriber = durable_manual(broker.addr(), "expsent");
    subscriber.subscribe("expsent/t", 2);
    let mut publisher = Client::v5(broker.addr(), "expsent-pub");
    publisher.publish_with("expsent/t", "x", 2, &[prop::message_expiry_interval(1)]);
    let first = subscriber.recv();
    subscriber.abort();
    sleep(EXPIRED);
    let mut subscriber = durable_manual(broker.addr(), "expsent");
    let again = subscriber.recv();
    assert_eq!((again.pid, again.dup, again.payload.as_slice()), (first.pid, true, &b"x"[..]));
    subscriber.ack(&again);
    subscriber.expect_no_publish_before_ping();
}

/// [MQTT-4.3.3-13]
#[test]
fn a_qos_2_exchange_goes_through_after_the_message_has_expired() {
    let broker = broker();
    let mut publisher = Client::v5(broker.addr(), "expexchange-pub");
    let packet = publish(Version::V5, "expexchange/t", b"x").qos(2, 3).props(&[prop::message_expiry_interval(1)]);
    publisher.send(&packet.build());
    publisher.await_ack(Ack::Pubrec, 3);
    sleep(EXPIRED);
    publisher.send(&packet.dup().build());
    assert!(publisher.await_ack(Ack::Pubrec, 3) < 0x80);
    publisher.send(&pubrel(3));
    assert_eq!(publisher.await_ack(Ack::Pubcomp, 3), 0);
}

/// A message that is delivered at once has its whole interval [MQTT-3.3.2-6].
#[test]
fn a_message_that_does_not_wait_keeps_its_interval() {
    let broker = broker();
    let mut subscriber = Client::v5(broker.addr(), "exponline");
    subscriber.subscribe("exponline", 2);
    let mut publisher = Client::v5(broker.addr(), "exponline-pub");
    for qos in 0..3 {
        publisher.publish_with("exponline", "x", qos, &[prop::message_expiry_interval(1000)]);
        let message = subscriber.recv();
        let left = prop::number(&message.props, prop::MESSAGE_EXPIRY_INTERVAL);
        assert!(left.is_some_and(|left| (990..=1000).contains(&left)), "{message:?}");
    }
}
