//! SUBSCRIBE and SUBACK (3.8, 3.9): options, codes, several filters, and a subscription made again.

use std::collections::BTreeSet;

use primer_harness::wire::{self, Packet, frame, prop, subscribe, subscribe_with};
use primer_harness::{Client, TIMEOUT, Version};

use crate::fixture::{MALFORMED, NO_LOCAL, PROTOCOL_ERROR, assert_closed_with, assert_taken, broker, unique};

/// The body of a SUBSCRIBE with one filter of any bytes.
fn with_filter(filter: &[u8]) -> Vec<u8> {
    let mut body = vec![0, 1, 0];
    body.extend(wire::binary(filter));
    body.push(0);
    body
}

/// [MQTT-3.8.1-1]
#[test]
fn a_subscribe_with_other_flags_is_malformed() {
    for flags in [0x0, 0x1, 0x3, 0x6, 0xa] {
        assert_closed_with(broker().addr(), &frame(0x80 | flags, &with_filter(b"subflags")), &[MALFORMED]);
    }
    assert_taken(broker().addr(), &frame(0x82, &with_filter(b"subflags")));
}

/// [MQTT-3.8.3-1]
#[test]
fn a_filter_that_is_not_utf8_is_malformed() {
    for filter in [&[0xff][..], &[b'a', 0xc0, 0x80], &[0xed, 0xa0, 0x80]] {
        assert_closed_with(broker().addr(), &frame(0x82, &with_filter(filter)), &[MALFORMED]);
    }
    assert_taken(broker().addr(), &frame(0x82, &with_filter("é".as_bytes())));
}

/// [MQTT-3.8.3-2]
#[test]
fn a_subscribe_without_a_filter_or_without_options_is_refused() {
    assert_closed_with(broker().addr(), &subscribe(Version::V5, 1, &[]), &[PROTOCOL_ERROR]);
    let mut body = with_filter(b"a");
    body.pop();
    assert_closed_with(broker().addr(), &frame(0x82, &body), &[MALFORMED]);
}

/// [MQTT-3.8.3-5]
#[test]
fn reserved_option_bits_are_malformed() {
    for options in [0x40, 0x80, 0xc1] {
        let bytes = subscribe(Version::V5, 1, &[("reserved", options)]);
        assert_closed_with(broker().addr(), &bytes, &[MALFORMED]);
    }
}

/// [MQTT5-3.8.3.1] [MQTT5-3.8.3.1-2]
#[test]
fn qos_3_and_retain_handling_3_are_protocol_errors() {
    for options in [0x03, 0x30, 0x31] {
        let bytes = subscribe(Version::V5, 1, &[("three", 0), ("three", options)]);
        assert_closed_with(broker().addr(), &bytes, &[PROTOCOL_ERROR]);
    }
    assert_taken(broker().addr(), &subscribe(Version::V5, 1, &[("three", 0x2e)]));
}

/// [MQTT5-3.8.2.1.2]
#[test]
fn a_subscription_identifier_of_0_or_given_twice_is_a_protocol_error() {
    let with = |ids: &[u32]| {
        let props: Vec<_> = ids.iter().map(|&id| prop::subscription_identifier(id)).collect();
        subscribe_with(Version::V5, 1, &[("ids", 0)], &props)
    };
    assert_closed_with(broker().addr(), &with(&[0]), &[PROTOCOL_ERROR]);
    assert_closed_with(broker().addr(), &with(&[1, 2]), &[PROTOCOL_ERROR]);
    assert_taken(broker().addr(), &with(&[1]));
    assert_taken(broker().addr(), &with(&[268_435_455]));
}

/// [MQTT-3.8.3-3]
#[test]
fn no_local_keeps_a_clients_own_messages_from_it_and_no_others() {
    let broker = broker();
    let mut client = Client::v5(broker.addr(), "nolocal");
    client.subscribe("nolocal/quiet", 2 | NO_LOCAL);
    client.subscribe("nolocal/loud", 2);
    let mut other = Client::v5(broker.addr(), "nolocal-other");
    for qos in 0..3 {
        client.publish("nolocal/quiet", "own", qos);
        client.publish("nolocal/loud", "own", qos);
        other.publish("nolocal/quiet", "other", qos);
    }
    let got: Vec<_> = client.recv_publishes(6).iter().map(|m| format!("{} {}", m.topic, m.text())).collect();
    assert_eq!(got.iter().filter(|got| *got == "nolocal/loud own").count(), 3, "{got:?}");
    assert_eq!(got.iter().filter(|got| *got == "nolocal/quiet other").count(), 3, "{got:?}");
    client.expect_no_publish_before_ping();
}

/// [MQTT-3.8.3-3]
#[test]
fn no_local_with_an_overlapping_filter_holds_for_its_own_filter_alone() {
    let broker = broker();
    let mut client = Client::v5(broker.addr(), "nolocal2");
    client.subscribe("nolocal2/#", 1 | NO_LOCAL);
    client.subscribe("nolocal2/t", 1);
    client.publish("nolocal2/t", "own", 1);
    client.publish("nolocal2/u", "own", 1);
    assert_eq!(client.recv().topic, "nolocal2/t");
    client.expect_no_publish_before_ping();
}

/// [MQTT-3.8.3-4]
#[test]
fn no_local_on_a_shared_subscription_is_a_protocol_error() {
    let bytes = subscribe(Version::V5, 1, &[("$share/g/nolocal", 1 | NO_LOCAL)]);
    assert_closed_with(broker().addr(), &bytes, &[PROTOCOL_ERROR]);
    assert_taken(broker().addr(), &subscribe(Version::V5, 1, &[("$share/g/nolocal", 1)]));
}

/// One SUBACK with the identifier [MQTT-3.8.4-1] [MQTT-3.8.4-2] and a code for each filter, in their order, that tells
/// the QoS granted or the failure [MQTT-3.8.4-5] [MQTT-3.8.4-6] [MQTT-3.8.4-7] [MQTT-3.9.3-1] [MQTT-3.9.3-2].
#[test]
fn a_suback_has_the_identifier_and_a_code_for_each_filter_in_order() {
    let broker = broker();
    let mut client = Client::v5(broker.addr(), "suback");
    let too_deep = "a/".repeat(60_000 / 2);
    let filters = [("suback/b", 2), (too_deep.as_str(), 1), ("suback/a", 0), ("suback/c", 1), ("suback/b", 1)];
    client.send(&subscribe(Version::V5, 0xabcd, &filters));
    let answer = client.recv_other(TIMEOUT);
    let Some(Packet::Suback { pid, codes, .. }) = answer else { panic!("{answer:02x?}") };
    assert_eq!((pid, codes), (0xabcd, vec![2, 0x8f, 0, 1, 1]));
    client.ping();
    assert_eq!(client.recv_other(primer_harness::SILENCE / 4), None, "one SUBACK for all");
    let mut publisher = Client::v5(broker.addr(), "suback-pub");
    for (topic, qos) in [("suback/a", 0), ("suback/b", 1), ("suback/c", 1)] {
        publisher.publish(topic, "x", 2);
        let message = client.recv();
        assert_eq!((message.topic.as_str(), message.qos), (topic, qos), "the later of two equal filters holds");
    }
    client.expect_no_publish_before_ping();
}

/// [MQTT-3.8.4-3]: QoS and identifier are those of the later one, and there is one copy.
#[test]
fn subscribing_again_replaces_the_subscription() {
    let broker = broker();
    let mut client = Client::v5(broker.addr(), "resub");
    client.subscribe_with(&[("resub/t", 2)], &[prop::subscription_identifier(5)]);
    client.subscribe_with(&[("resub/t", 1)], &[prop::subscription_identifier(6)]);
    let mut publisher = Client::v5(broker.addr(), "resub-pub");
    publisher.publish("resub/t", "x", 2);
    let message = client.recv();
    assert_eq!((message.qos, message.props), (1, vec![prop::subscription_identifier(6)]));
    client.subscribe("resub/t", 0);
    publisher.publish("resub/t", "x", 2);
    let message = client.recv();
    assert_eq!((message.qos, message.props), (0, vec![]));
    client.expect_no_publish_before_ping();
    client.unsubscribe("resub/t");
    publisher.publish("resub/t", "x", 2);
    client.expect_no_publish_before_ping();
}

/// [MQTT-3.8.4-4]: nothing is lost while a subscription is made again and again, nor comes twice.
#[test]
fn subscribing_again_loses_no_message() {
    const MESSAGES: u32 = 400;
    let broker = broker();
    let mut client = Client::v5(broker.addr(), "resublose");
    client.subscribe("resublose/t", 1);
    let addr = broker.addr();
    let publisher = std::thread::spawn(move || {
        let mut publisher = Client::v5(addr, "resublose-pub");
        for n in 0..MESSAGES {
            publisher.publish("resublose/t", n.to_string(), 1);
        }
    });
    let mut subscribed = 0;
    while !publisher.is_finished() {
        assert_eq!(client.subscribe("resublose/t", 1), 1);
        subscribed += 1;
    }
    assert!(publisher.join().is_ok());
    let got: Vec<_> = client.recv_publishes(MESSAGES as usize).iter().map(primer_harness::Publish::text).collect();
    assert_eq!(got, (0..MESSAGES).map(|n| n.to_string()).collect::<Vec<_>>(), "subscribed {subscribed} times");
    client.expect_no_publish_before_ping();
}

/// [MQTT-3.8.4-8]
#[test]
fn a_message_comes_with_the_lower_of_its_qos_and_the_granted_one() {
    let broker = broker();
    let mut publisher = Client::v5(broker.addr(), "minqos-pub");
    for granted in 0..3 {
        let topic = unique("minqos");
        let mut subscriber = Client::v5(broker.addr(), &topic);
        assert_eq!(subscriber.subscribe(&topic, granted), granted);
        for qos in 0..3 {
            publisher.publish(&topic, "x", qos);
            assert_eq!(subscriber.recv().qos, qos.min(granted), "published {qos}, granted {granted}");
        }
    }
}

/// Many filters work as one SUBSCRIBE each would [MQTT-3.8.4-5].
#[test]
fn a_thousand_filters_in_one_subscribe_all_work() {
    let broker = broker();
    let mut client = Client::v5(broker.addr(), "many");
    let filters: Vec<_> = (0..1000).map(|n| format!("many/{n}")).collect();
    let wanted: Vec<_> = filters.iter().map(|filter| (filter.as_str(), 1)).collect();
    assert_eq!(client.subscribe_with(&wanted, &[]), vec![1; 1000]);
    let mut publisher = Client::v5(broker.addr(), "many-pub");
    for topic in filters.iter().step_by(97) {
        publisher.publish(topic, "x", 0);
    }
    let got: BTreeSet<_> = client.recv_publishes(11).into_iter().map(|message| message.topic).collect();
    assert_eq!(got, filters.iter().step_by(97).cloned().collect());
}
