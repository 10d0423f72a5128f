//! SUBSCRIBE and SUBACK (3.8, 3.9).

use primer_harness::wire::{frame, publish, subscribe};
use primer_harness::{Client, SILENCE};

use crate::fixture::{V, assert_closes, assert_takes, broker, opened, unique};

/// A SUBSCRIBE without a filter closes the connection [MQTT-3.8.3-3].
#[test]
fn a_subscribe_without_a_filter_closes_the_connection() {
    let broker = broker();
    assert_closes(broker.addr(), &frame(0x82, &[0, 1]));
    assert_takes(broker.addr(), &subscribe(V, 1, &[("sub/one", 0)]), &[0x90, 3, 0, 1, 0]);
}

/// Reserved bits in the QoS byte and QoS 3 close the connection [MQTT-3.8.3-4], in whichever filter they stand, and
/// none of the packet's filters is subscribed.
#[test]
fn reserved_bits_and_qos_3_close_the_connection() {
    let broker = broker();
    for options in [0x03, 0x04, 0x05, 0x08, 0x10, 0x20, 0x40, 0x80, 0xfc, 0xff] {
        assert_closes(broker.addr(), &subscribe(V, 1, &[("sub/bits", options)]));
        assert_closes(broker.addr(), &subscribe(V, 1, &[("sub/bits", 1), ("sub/bits2", options), ("sub/bits3", 0)]));
    }
    for options in 0..=2 {
        assert_takes(broker.addr(), &subscribe(V, 1, &[("sub/bits", options)]), &[0x90, 3, 0, 1, options]);
    }
}

/// A filter whose wildcards stand in a wrong place [MQTT-4.7.1-2] [MQTT-4.7.1-3], or that is empty [MQTT-4.7.3-1], is
/// not subscribed: a close, or 0x80 in its place.
#[test]
fn a_filter_that_is_none_is_not_subscribed() {
    let broker = broker();
    for filter in ["", "sub#", "sub/#/x", "#/sub", "##", "sub/##", "sub+", "+sub", "sub/+x/y", "sub/x+", "++", "+#"] {
        let mut raw = opened(broker.addr(), "sub-wrong");
        raw.send(&subscribe(V, 1, &[("sub/right", 1), (filter, 1)]));
        match raw.recv_packet() {
            Some(packet) => assert_eq!(packet, [0x90, 4, 0, 1, 1, 0x80], "{filter}"),
            None => continue,
        }
        raw.expect_alive();
    }
    for filter in ["#", "+", "/", "sub/#", "+/sub", "sub/+", "+/+", "+/#", "/#", "sub/+/x", "//", "sub//#", " "] {
        let mut raw = opened(broker.addr(), "sub-right");
        raw.send(&subscribe(V, 1, &[(filter, 1)]));
        // Retained messages of other tests may follow.
        raw.expect(&[0x90, 3, 0, 1, 1]);
    }
}

/// Wildcards are supported: no such filter is refused [MQTT-3.8.3-2].
#[test]
fn filters_with_wildcards_are_served() {
    let broker = broker();
    let mut client = Client::v311(broker.addr(), "sub-wild");
    assert_eq!(client.subscribe_with(&[("sub/wild/+/a", 1), ("sub/wild/deep/#", 2)], &[]), [1, 2]);
    client.publish("sub/wild/x/a", "plus", 2);
    client.publish("sub/wild/deep/x/y", "hash", 2);
    client.publish("sub/wild/x/b", "neither", 2);
    client.publish("sub/wild/deep", "parent", 2);
    let got: Vec<_> = client.recv_publishes(3).into_iter().map(|m| (m.text(), m.qos)).collect();
    assert_eq!(got, [("plus".to_owned(), 1), ("hash".to_owned(), 2), ("parent".to_owned(), 2)]);
}

/// Every SUBSCRIBE gets a SUBACK [MQTT-3.8.4-1] with its identifier [MQTT-3.8.4-2] and one code for each filter
/// [MQTT-3.8.4-5] in their order [MQTT-3.9.3-1]; of the codes 0, 1, 2 and 0x80 [MQTT-3.9.3-2].
#[test]
fn a_suback_has_one_code_for_each_filter_in_their_order() {
    let broker = broker();
    let mut raw = opened(broker.addr(), "sub-codes");
    let filters = [("sub/c/1", 2), ("sub/c/2", 0), ("sub/c/3", 1), ("sub/c/2", 1), ("sub/c/#", 2), ("sub/c/4", 0)];
    raw.send(&subscribe(V, 0x1234, &filters));
    raw.expect(&[0x90, 8, 0x12, 0x34, 2, 0, 1, 1, 2, 0]);
    raw.send(&subscribe(V, 0x1235, &filters[..1]));
    raw.expect(&[0x90, 3, 0x12, 0x35, 2]);
    raw.expect_alive();
    let filters: Vec<(String, u8)> = (0..300_u16).map(|n| (format!("sub/c/n{n}"), (n % 3) as u8)).collect();
    let borrowed: Vec<(&str, u8)> = filters.iter().map(|(filter, qos)| (filter.as_str(), *qos)).collect();
    let codes = Client::v311(broker.addr(), "sub-many").subscribe_with(&borrowed, &[]);
    assert_eq!(codes, filters.iter().map(|(_, qos)| *qos).collect::<Vec<_>>());
}

/// A SUBACK that refuses does so with 0x80, also where the broker has a finer reason for clients of 5.0
/// [MQTT-3.9.3-2] [MQTT-3.8.4-5]: a share without a name or a filter, for one.
#[test]
fn a_refused_filter_gets_0x80() {
    let broker = broker();
    for filter in ["$share//x", "$share/a", "$share/a/", "$share/a+/x", "$share/#/x"] {
        let mut raw = opened(broker.addr(), "sub-refused");
        raw.send(&subscribe(V, 1, &[("sub/good", 2), (filter, 1)]));
        match raw.recv_packet() {
            Some(packet) => {
                assert_eq!(packet[..5], [0x90, 4, 0, 1, 2], "{filter}");
                assert!(matches!(packet[5], 0 | 1 | 2 | 0x80), "{filter}: {:#04x}", packet[5]);
            }
            None => continue,
        }
        raw.expect_alive();
    }
}

/// Many filters act like many SUBSCRIBEs, with one SUBACK for all [MQTT-3.8.4-4].
#[test]
fn many_filters_act_like_many_subscribes() {
    let broker = broker();
    let mut sender = Client::v311(broker.addr(), "sub-multi-pub");
    sender.publish_retained("sub/multi/3", "kept", 1);
    let mut subscriber = Client::v311(broker.addr(), "sub-multi");
    subscriber.subscribe_with(&[("sub/multi/1", 0), ("sub/multi/2", 2), ("sub/multi/3", 1)], &[]);
    let kept = subscriber.recv();
    assert_eq!((kept.text().as_str(), kept.retain), ("kept", true));
    for (topic, qos) in [("sub/multi/1", 0), ("sub/multi/2", 2), ("sub/multi/3", 1)] {
        sender.publish(topic, "x", 2);
        let message = subscriber.recv();
        assert_eq!((message.topic.as_str(), message.qos), (topic, qos));
    }
}

/// To subscribe again replaces the subscription, QoS and all, and does not add another; retained messages come again
/// [MQTT-3.8.4-3].
#[test]
fn to_subscribe_again_replaces_the_subscription() {
    let broker = broker();
    let mut sender = Client::v311(broker.addr(), "sub-again-pub");
    sender.publish_retained("sub/again/kept", "kept", 2);
    let mut subscriber = Client::v311(broker.addr(), "sub-again");
    for granted in [2, 0, 1, 1] {
        assert_eq!(subscriber.subscribe("sub/again/+", granted), granted);
        let kept = subscriber.recv();
        assert_eq!((kept.text().as_str(), kept.retain, kept.qos), ("kept", true, granted));
        sender.publish("sub/again/live", "live", 2);
        let live = subscriber.recv();
        assert_eq!((live.text().as_str(), live.retain, live.qos), ("live", false, granted));
    }
    subscriber.expect_no_publish(SILENCE / 2);
}

/// To subscribe again loses nothing: of a stream of messages that goes on meanwhile, each comes once
/// [MQTT-3.8.4-3].
#[test]
fn to_subscribe_again_interrupts_no_stream() {
    let broker = broker();
    let mut subscriber = Client::v311(broker.addr(), "sub-stream");
    subscriber.subscribe("sub/stream", 1);
    let mut sender = Client::v311(broker.addr(), "sub-stream-pub");
    let stream: Vec<u8> = (0..200_u8).flat_map(|n| publish(V, "sub/stream", &[n]).qos(1, 1).build()).collect();
    for chunk in stream.chunks(97) {
        sender.send(chunk);
        subscriber.subscribe("sub/stream", 1);
    }
    let got: Vec<u8> = subscriber.recv_publishes(200).iter().map(|m| m.payload[0]).collect();
    assert_eq!(got, (0..200_u8).collect::<Vec<_>>());
    subscriber.expect_no_publish(SILENCE / 4);
}

/// A message goes out with the lower of its own QoS and the granted one [MQTT-3.8.4-6].
#[test]
fn delivery_has_the_lower_qos_of_the_two() {
    let broker = broker();
    let mut sender = Client::v311(broker.addr(), "sub-lower-pub");
    for granted in 0..=2 {
        let mut subscriber = Client::v311(broker.addr(), &unique("sub-lower"));
        assert_eq!(subscriber.subscribe("sub/lower", granted), granted);
        for qos in 0..=2 {
            sender.publish("sub/lower", "x", qos);
            assert_eq!(subscriber.recv().qos, qos.min(granted));
        }
    }
}

/// With overlapping subscriptions a message comes with the highest QoS among those that match [MQTT-3.3.5-1].
#[test]
fn overlapping_subscriptions_deliver_with_the_highest_qos() {
    let broker = broker();
    let mut sender = Client::v311(broker.addr(), "sub-overlap-pub");
    for filters in [
        [("sub/lap/#", 0), ("sub/lap/+", 2), ("sub/lap/x", 1)],
        [("sub/lap/x", 2), ("sub/lap/+", 0), ("sub/lap/#", 1)],
        [("sub/lap/+", 1), ("sub/lap/#", 2), ("sub/lap/x", 0)],
    ] {
        let mut subscriber = Client::v311(broker.addr(), &unique("sub-overlap"));
        subscriber.subscribe_with(&filters, &[]);
        for qos in [2, 1, 0] {
            sender.publish("sub/lap/x", "x", qos);
            assert_eq!(subscriber.recv().qos, qos);
        }
    }
}
