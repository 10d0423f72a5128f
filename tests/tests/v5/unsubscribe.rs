//! UNSUBSCRIBE and UNSUBACK (3.10, 3.11).

use primer_harness::wire::{self, Ack, Packet, frame, unsubscribe};
use primer_harness::{Client, SILENCE, TIMEOUT, Version};

use crate::fixture::{MALFORMED, PROTOCOL_ERROR, assert_closed_with, assert_taken, broker, durable_manual};

fn with_filter(filter: &[u8]) -> Vec<u8> {
    let mut body = vec![0, 1, 0];
    body.extend(wire::binary(filter));
    body
}

/// [MQTT-3.10.1-1]
#[test]
fn an_unsubscribe_with_other_flags_is_malformed() {
    for flags in [0x0, 0x1, 0x3, 0x6, 0xa] {
        assert_closed_with(broker().addr(), &frame(0xa0 | flags, &with_filter(b"a")), &[MALFORMED]);
    }
    assert_taken(broker().addr(), &frame(0xa2, &with_filter(b"a")));
}

/// [MQTT-3.10.3-1]
#[test]
fn a_filter_to_remove_that_is_not_utf8_is_malformed() {
    assert_closed_with(broker().addr(), &frame(0xa2, &with_filter(&[b'a', 0xff])), &[MALFORMED]);
}

/// [MQTT-3.10.3-2]
#[test]
fn an_unsubscribe_without_a_filter_is_a_protocol_error() {
    assert_closed_with(broker().addr(), &unsubscribe(Version::V5, 1, &[]), &[PROTOCOL_ERROR]);
}

/// Only the filter that is equal character for character goes [MQTT-3.10.4-1], and nothing more comes for it
/// [MQTT-3.10.4-2].
#[test]
fn only_the_equal_filter_is_removed() {
    let broker = broker();
    let mut client = Client::v5(broker.addr(), "unsubeq");
    client.subscribe_with(&[("unsubeq/+", 1), ("unsubeq/B", 1)], &[]);
    let mut publisher = Client::v5(broker.addr(), "unsubeq-pub");
    for other in ["unsubeq/a", "unsubeq/#", "unsubeq", "unsubeq/b", "unsubeq/+/", "#"] {
        assert_eq!(client.unsubscribe(other), 0x11, "{other}");
    }
    publisher.publish("unsubeq/a", "x", 1);
    assert_eq!(client.recv().topic, "unsubeq/a");
    assert_eq!(client.unsubscribe("unsubeq/+"), 0);
    publisher.publish("unsubeq/a", "x", 1);
    client.expect_no_publish_before_ping();
    publisher.publish("unsubeq/B", "x", 1);
    assert_eq!(client.recv().topic, "unsubeq/B");
}

/// [MQTT-3.10.4-4] [MQTT-3.10.4-5] [MQTT-3.10.4-6] [MQTT-3.11.3-1] [MQTT-3.11.3-2]
#[test]
fn an_unsuback_has_the_identifier_and_a_code_for_each_filter_in_order() {
    let broker = broker();
    let mut client = Client::v5(broker.addr(), "unsuback");
    client.subscribe_with(&[("unsuback/a", 1), ("unsuback/b", 1), ("$share/g/unsuback/c", 1)], &[]);
    let filters = ["unsuback/b", "unsuback/none", "unsuback/a", "unsuback/b", "$share/g/unsuback/c", "unsuback/c"];
    client.send(&unsubscribe(Version::V5, 0x1234, &filters));
    let answer = client.recv_other(TIMEOUT);
    let Some(Packet::Unsuback { pid, codes, .. }) = answer else { panic!("{answer:02x?}") };
    assert_eq!((pid, codes), (0x1234, vec![0, 0x11, 0, 0x11, 0, 0x11]));
    let mut publisher = Client::v5(broker.addr(), "unsuback-pub");
    for topic in ["unsuback/a", "unsuback/b", "unsuback/c"] {
        assert_eq!(publisher.publish(topic, "x", 1), 0x10, "nobody subscribes to {topic} any more");
    }
    client.expect_no_publish_before_ping();
    client.send(&unsubscribe(Version::V5, 9, &["unsuback/a"]));
    let answer = client.recv_other(TIMEOUT);
    assert!(
        matches!(&answer, Some(Packet::Unsuback { pid: 9, codes, .. }) if *codes == [0x11]),
        "an answer even when nothing was removed: {answer:02x?}"
    );
}

/// [MQTT-3.10.4-3]: the QoS 2 exchange ends on the same connection, the QoS 1 message comes again on the next.
#[test]
fn deliveries_that_had_begun_are_brought_to_their_end() {
    let broker = broker();
    let mut client = durable_manual(broker.addr(), "unsubmid");
    client.subscribe("unsubmid/t", 2);
    let mut publisher = Client::v5(broker.addr(), "unsubmid-pub");
    publisher.publish("unsubmid/t", "one", 1);
    publisher.publish("unsubmid/t", "two", 2);
    let (one, two) = (client.recv(), client.recv());
    assert_eq!(client.unsubscribe("unsubmid/t"), 0);
    client.send_ack(Ack::Pubrec, two.pid.unwrap_or_default());
    assert_eq!(client.await_ack(Ack::Pubrel, two.pid.unwrap_or_default()), 0);
    client.abort();
    let mut client = durable_manual(broker.addr(), "unsubmid");
    assert_eq!(client.await_ack(Ack::Pubrel, two.pid.unwrap_or_default()), 0);
    let again = client.recv();
    assert_eq!((again.pid, again.dup, again.text().as_str()), (one.pid, true, "one"));
    client.ack(&again);
    client.send_ack(Ack::Pubcomp, two.pid.unwrap_or_default());
    publisher.publish("unsubmid/t", "three", 1);
    client.expect_no_publish_before_ping();
}

/// Kept messages that a subscription was still to get stop with it as well [MQTT-3.10.4-2]; those that were queued
/// already may come.
#[test]
fn kept_messages_that_were_not_queued_yet_stop_with_the_subscription() {
    let broker = broker();
    let mut publisher = Client::v5(broker.addr(), "unsubkept-pub");
    for n in 0..100 {
        publisher.publish_retained(&format!("unsubkept/{n}"), "x", 1);
    }
    let mut client = Client::v5_with(broker.addr(), "unsubkept", |c| c.props(&[wire::prop::receive_maximum(1)]));
    client.manual_ack();
    client.subscribe("unsubkept/+", 1);
    let mut message = Some(client.recv());
    assert_eq!(client.unsubscribe("unsubkept/+"), 0);
    let mut came = 0;
    while let Some(one) = message {
        came += 1;
        client.ack(&one);
        message = client.recv_publish(SILENCE);
    }
    assert!(came < 50, "{came} of 100 kept messages came, most of them after the UNSUBACK");
}
