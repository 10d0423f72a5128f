//! UNSUBSCRIBE and UNSUBACK (3.10, 3.11).

use primer_harness::wire::{Ack, binary, frame, unsubscribe};
use primer_harness::{Client, SILENCE};

use crate::fixture::{V, assert_closes, assert_takes, broker, durable_manual, opened};

/// An UNSUBSCRIBE without a filter closes the connection [MQTT-3.10.3-2].
#[test]
fn an_unsubscribe_without_a_filter_closes_the_connection() {
    let broker = broker();
    assert_closes(broker.addr(), &frame(0xa2, &[0, 1]));
    assert_takes(broker.addr(), &unsubscribe(V, 1, &["uns/one"]), &[0xb0, 2, 0, 1]);
}

/// The filters stand one right behind the other [MQTT-3.10.3-1]; many act like many UNSUBSCRIBEs with one UNSUBACK
/// for all [MQTT-3.10.4-6], which has the identifier [MQTT-3.10.4-4] and comes also when nothing was removed
/// [MQTT-3.10.4-5].
#[test]
fn one_unsuback_answers_for_many_filters() {
    let broker = broker();
    let mut client = Client::v311(broker.addr(), "uns-many");
    client.subscribe_with(&[("uns/m/1", 1), ("uns/m/2", 1), ("uns/m/3", 1)], &[]);
    let filters = [binary(b"uns/m/1"), binary(b"uns/m/never"), binary(b"uns/m/3")].concat();
    client.send(&frame(0xa2, &[&[0x12, 0x34], &filters[..]].concat()));
    client.raw().expect(&[0xb0, 2, 0x12, 0x34]);
    for topic in ["uns/m/1", "uns/m/2", "uns/m/3"] {
        client.publish(topic, topic, 1);
    }
    assert_eq!(client.recv().text(), "uns/m/2");
    client.expect_no_publish(SILENCE / 4);
    let mut raw = opened(broker.addr(), "uns-nothing");
    raw.send(&unsubscribe(V, 0xffff, &["uns/nothing"]));
    raw.expect(&[0xb0, 2, 0xff, 0xff]);
    raw.expect_alive();
}

/// Exactly the subscriptions are removed whose filters are equal character for character [MQTT-3.10.4-1].
#[test]
fn only_equal_filters_are_removed() {
    let broker = broker();
    let mut client = Client::v311(broker.addr(), "uns-equal");
    client.subscribe("uns/e/+", 1);
    for filter in ["uns/e/x", "uns/e/#", "uns/e", "uns/e/", "uns/E/+", "+/e/+", "uns/e/+/#", "/uns/e/+", "#"] {
        client.unsubscribe(filter);
        client.publish("uns/e/x", filter, 1);
        assert_eq!(client.recv().text(), filter);
    }
    client.unsubscribe("uns/e/+");
    client.publish("uns/e/x", "removed", 1);
    client.expect_no_publish(SILENCE);
}

/// The subscription of the one client is removed, not that of another.
#[test]
fn the_same_filter_of_another_client_stays() {
    let broker = broker();
    let mut first = Client::v311(broker.addr(), "uns-first");
    let mut second = Client::v311(broker.addr(), "uns-second");
    first.subscribe("uns/both", 1);
    second.subscribe("uns/both", 1);
    first.unsubscribe("uns/both");
    first.publish("uns/both", "x", 1);
    assert_eq!(second.recv().text(), "x");
    first.expect_no_publish(SILENCE / 2);
}

/// After an unsubscribe nothing new comes [MQTT-3.10.4-2], and what was begun is brought to its end
/// [MQTT-3.10.4-3]: also over a new connection.
#[test]
fn deliveries_that_were_begun_are_finished_after_an_unsubscribe() {
    let broker = broker();
    let mut client = durable_manual(broker.addr(), "uns-begun");
    client.subscribe("uns/begun", 2);
    let mut sender = Client::v311(broker.addr(), "uns-begun-pub");
    for (payload, qos) in [("one", 1), ("two", 2), ("three", 2)] {
        sender.publish("uns/begun", payload, qos);
    }
    let begun = client.recv_publishes(3);
    client.send_ack(Ack::Pubrec, begun[1].pid.unwrap_or(0));
    client.await_ack(Ack::Pubrel, begun[1].pid.unwrap_or(0));
    client.unsubscribe("uns/begun");
    sender.publish("uns/begun", "late", 1);
    client.expect_no_publish(SILENCE / 2);
    client.ack(&begun[2]);
    client.abort();
    let mut client = durable_manual(broker.addr(), "uns-begun");
    client.await_ack(Ack::Pubrel, begun[1].pid.unwrap_or(0));
    client.send_ack(Ack::Pubcomp, begun[1].pid.unwrap_or(0));
    let again = client.recv();
    assert_eq!((again.text().as_str(), again.dup, again.pid), ("one", true, begun[0].pid));
    client.ack(&again);
    client.expect_no_publish(SILENCE / 2);
}
