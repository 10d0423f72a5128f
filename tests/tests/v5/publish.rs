//! PUBLISH (3.3): its flags, its topic, its properties on their way to subscribers, and how it is answered.

use primer_harness::wire::{self, Ack, Packet, Will, frame, prop, publish, string};
use primer_harness::{Client, Prop, Version};

use crate::fixture::{MALFORMED, PROTOCOL_ERROR, assert_closed_with, assert_taken, broker, durable, manual};

/// Properties that every subscriber gets as they came.
fn forwarded() -> Vec<Prop> {
    vec![
        prop::payload_format_indicator(1),
        prop::content_type("text/é"),
        prop::response_topic("answers/é"),
        prop::correlation_data(&[0, 0xff, 7]),
        prop::user_property("z", "1"),
        prop::user_property("a", "2"),
        prop::user_property("z", "1"),
        prop::user_property("", ""),
    ]
}

/// The same properties, in whatever order those of different kinds stand.
fn sorted(props: &[Prop]) -> Vec<Prop> {
    let mut props = props.to_vec();
    props.sort_by_key(|prop| prop.id); // stable: user properties keep their order
    props
}

/// DUP belongs to one hop [MQTT-3.3.1-3], and a first sending has it clear [MQTT-4.3.1-1] [MQTT-4.3.2-2]
/// [MQTT-4.3.3-2] [MQTT-3.3.1-2].
#[test]
fn a_first_delivery_has_dup_clear_whatever_the_publisher_set() {
    let broker = broker();
    let mut subscriber = Client::v5(broker.addr(), "dup-sub");
    subscriber.subscribe("dup/t", 2);
    let mut publisher = Client::v5(broker.addr(), "dup-pub");
    publisher.publish("dup/t", "0", 0);
    for qos in [1, 2] {
        assert_eq!(publisher.publish_packet(publish(Version::V5, "dup/t", b"x").dup(), qos), 0);
    }
    for (qos, message) in subscriber.recv_publishes(3).iter().enumerate() {
        assert_eq!((usize::from(message.qos), message.dup), (qos, false), "{message:02x?}");
        assert_eq!(message.pid.is_some_and(|pid| pid > 0), qos > 0, "only QoS 1 and 2 have an identifier");
    }
}

/// [MQTT-3.3.1-2]
#[test]
fn a_qos_0_publish_with_dup_is_refused() {
    let bytes = publish(Version::V5, "dup/0", b"x").dup().build();
    assert_closed_with(broker().addr(), &bytes, &[MALFORMED, PROTOCOL_ERROR]);
    assert_taken(broker().addr(), &publish(Version::V5, "dup/0", b"x").build());
}

/// [MQTT-3.3.1-4]
#[test]
fn qos_3_is_malformed() {
    assert_closed_with(broker().addr(), &publish(Version::V5, "qos3", b"x").qos(3, 1).build(), &[MALFORMED]);
}

/// The topic name is the first field, well-formed UTF-8 [MQTT-3.3.2-1], and comes back as that.
#[test]
fn a_topic_name_is_a_utf8_string_that_comes_first() {
    let broker = broker();
    let mut subscriber = Client::v5(broker.addr(), "utf8topic-sub");
    subscriber.subscribe("utf8topic/#", 0);
    let mut publisher = Client::v5(broker.addr(), "utf8topic-pub");
    publisher.publish("utf8topic/é/𝄞", "x", 0);
    let topic = string("utf8topic/é/𝄞");
    let Some(bytes) = subscriber.raw().recv_packet() else { panic!("the message did not come") };
    assert_eq!(&bytes[2..2 + topic.len()], topic);
    for bad in [&[b'a', 0xff][..], &[0xc0, 0xaf], &[0xed, 0xa0, 0x80]] {
        let mut body = wire::binary(bad);
        body.push(0);
        assert_closed_with(broker.addr(), &frame(0x30, &body), &[MALFORMED]);
    }
    assert_closed_with(broker.addr(), &frame(0x30, &[0, 9, b'a']), &[MALFORMED]);
}

/// [MQTT-3.3.2-2] [MQTT-4.7.0-1]
#[test]
fn a_topic_name_with_a_wildcard_is_refused() {
    let broker = broker();
    let mut all = Client::v5(broker.addr(), "wild-sub");
    all.subscribe("wild/#", 0);
    for topic in ["wild/+", "wild/#", "wild/a+", "wild/#/b"] {
        for qos in [0, 1] {
            let mut packet = publish(Version::V5, topic, b"x");
            if qos == 1 {
                packet = packet.qos(1, 1);
            }
            assert_closed_with(broker.addr(), &packet.build(), &[MALFORMED, PROTOCOL_ERROR, 0x90]);
        }
    }
    all.expect_no_publish_before_ping();
}

/// An empty topic name without an alias [MQTT5-3.3.2.1] [MQTT-4.7.3-1].
#[test]
fn an_empty_topic_name_without_an_alias_is_a_protocol_error() {
    assert_closed_with(broker().addr(), &publish(Version::V5, "", b"x").build(), &[PROTOCOL_ERROR]);
}

/// [MQTT-3.3.2-4] [MQTT-3.3.2-15] [MQTT-3.3.2-16] [MQTT-3.3.2-17] [MQTT-3.3.2-18] [MQTT-3.3.2-20], and the strings
/// among them are UTF-8 [MQTT-3.3.2-13] [MQTT-3.3.2-19].
#[test]
fn properties_reach_subscribers_as_they_came_and_in_their_order() {
    let broker = broker();
    let mut online = Client::v5(broker.addr(), "props-on");
    online.subscribe("props/+", 2);
    let mut offline = durable(broker.addr(), "props-off");
    offline.subscribe("props/+", 2);
    offline.disconnect();
    let mut publisher = Client::v5(broker.addr(), "props-pub");
    for qos in 0..3 {
        publisher.publish_with("props/t", "x", qos, &forwarded());
    }
    let retained = publish(Version::V5, "props/kept", b"x").props(&forwarded()).retain();
    publisher.publish_packet(retained, 1);
    let mut offline = durable(broker.addr(), "props-off");
    let mut late = Client::v5(broker.addr(), "props-late");
    late.subscribe("props/kept", 1);
    let mut messages = online.recv_publishes(4);
    messages.extend(offline.recv_publishes(3)); // not the one of QoS 0
    messages.extend(late.recv_publishes(1));
    for message in messages {
        assert_eq!(sorted(&message.props), sorted(&forwarded()), "QoS {} to {}", message.qos, message.topic);
    }
}

/// A message without properties gets none on its way [MQTT-3.3.2-4].
#[test]
fn a_message_without_properties_arrives_without_properties() {
    let broker = broker();
    let mut subscriber = Client::v5(broker.addr(), "noprops-sub");
    subscriber.subscribe("noprops", 1);
    Client::v5(broker.addr(), "noprops-pub").publish("noprops", "x", 1);
    assert_eq!(subscriber.recv().props, []);
}

/// The properties of a will reach its subscribers too [MQTT-3.3.2-4] [MQTT-3.3.2-17].
#[test]
fn properties_of_a_will_reach_subscribers_as_they_came() {
    let broker = broker();
    let mut subscriber = Client::v5(broker.addr(), "willprops-sub");
    subscriber.subscribe("willprops", 1);
    let will = Will::new("willprops", b"gone").qos(1).props(&forwarded());
    Client::v5_with(broker.addr(), "willprops-pub", |c| c.will(will)).abort();
    assert_eq!(sorted(&subscriber.recv().props), sorted(&forwarded()));
}

/// [MQTT-3.3.2-13] [MQTT-3.3.2-19]
#[test]
fn a_response_topic_or_content_type_that_is_not_utf8_is_malformed() {
    for id in [prop::RESPONSE_TOPIC, prop::CONTENT_TYPE] {
        let packet = |text: &[u8]| {
            let mut props = vec![id];
            props.extend(wire::binary(text));
            let mut body = string("text");
            body.extend(prop::with_length(&props));
            frame(0x30, &body)
        };
        assert_closed_with(broker().addr(), &packet(&[b'a', 0xfe]), &[MALFORMED]);
        assert_closed_with(broker().addr(), &packet(&[0xed, 0xbf, 0xbf]), &[MALFORMED]);
        assert_taken(broker().addr(), &packet("é".as_bytes()));
    }
}

/// [MQTT-3.3.2-14]
#[test]
fn a_response_topic_with_a_wildcard_is_a_protocol_error() {
    for topic in ["a/+", "#", "a/#"] {
        let packet = publish(Version::V5, "response", b"x").props(&[prop::response_topic(topic)]);
        assert_closed_with(broker().addr(), &packet.build(), &[MALFORMED, PROTOCOL_ERROR, 0x90]);
    }
}

/// [MQTT5-3.3.2.3]
#[test]
fn a_property_given_twice_is_a_protocol_error() {
    for one in [
        prop::payload_format_indicator(0),
        prop::message_expiry_interval(9),
        prop::topic_alias(1),
        prop::response_topic("r"),
        prop::correlation_data(b"c"),
        prop::content_type("t"),
    ] {
        let packet = |times: usize| publish(Version::V5, "twice", b"x").props(&vec![one.clone(); times]).build();
        assert_closed_with(broker().addr(), &packet(2), &[PROTOCOL_ERROR]);
        assert_taken(broker().addr(), &packet(1));
    }
    let user = publish(Version::V5, "twice", b"x").props(&vec![prop::user_property("k", "v"); 2]);
    assert_taken(broker().addr(), &user.build());
}

/// [MQTT-3.3.4-1]
#[test]
fn each_publish_is_answered_as_its_qos_asks() {
    let broker = broker();
    let mut client = manual(broker.addr(), "answer");
    client.send(&publish(Version::V5, "answer/t", b"x").build());
    client.ping();
    assert_eq!(client.recv_other(primer_harness::SILENCE / 4), None, "QoS 0 is not answered");
    client.send(&publish(Version::V5, "answer/t", b"x").qos(1, 7).build());
    let answer = client.recv_other(primer_harness::TIMEOUT);
    assert!(matches!(answer, Some(Packet::Ack { kind: Ack::Puback, pid: 7, .. })), "{answer:02x?}");
    client.send(&publish(Version::V5, "answer/t", b"x").qos(2, 0xfffe).build());
    let answer = client.recv_other(primer_harness::TIMEOUT);
    assert!(matches!(answer, Some(Packet::Ack { kind: Ack::Pubrec, pid: 0xfffe, .. })), "{answer:02x?}");
    client.ping();
    assert_eq!(client.recv_other(primer_harness::SILENCE / 4), None, "one answer each");
}

/// [MQTT-3.3.4-6]
#[test]
fn a_subscription_identifier_from_a_publisher_is_a_protocol_error() {
    let packet = publish(Version::V5, "subid", b"x").props(&[prop::subscription_identifier(1)]);
    assert_closed_with(broker().addr(), &packet.build(), &[PROTOCOL_ERROR]);
}

/// [MQTT-3.3.2-3]: what arrives has the topic that was published, and that topic matches the filter.
#[test]
fn a_message_arrives_under_a_topic_that_matches_the_filter() {
    let broker = broker();
    let mut subscriber = Client::v5(broker.addr(), "matches-sub");
    subscriber.subscribe("matches/+/c", 1);
    let mut publisher = Client::v5(broker.addr(), "matches-pub");
    for topic in ["matches/b", "matches/b/d", "matches/b/c", "matches/b/c/d", "matches//c", "Matches/b/c"] {
        publisher.publish(topic, topic, 1);
    }
    for topic in ["matches/b/c", "matches//c"] {
        let message = subscriber.recv();
        assert_eq!((message.topic.as_str(), message.text().as_str()), (topic, topic));
    }
    subscriber.expect_no_publish_before_ping();
}

/// Messages go between versions: what the other version has not is left out, all else arrives.
#[test]
fn messages_go_between_clients_of_different_versions() {
    let broker = broker();
    let mut new = Client::v5(broker.addr(), "versions-5");
    let mut old = Client::v311(broker.addr(), "versions-4");
    let mut oldest = Client::connect_with(broker.addr(), Version::V31, "versions-3", |c| c);
    for client in [&mut new, &mut old, &mut oldest] {
        client.subscribe("versions/t", 2);
    }
    for qos in 0..3 {
        new.publish_with("versions/t", "from 5", qos, &forwarded());
        old.publish("versions/t", "from 4", qos);
        oldest.publish("versions/t", "from 3", qos);
        for client in [&mut new, &mut old, &mut oldest] {
            let version = client.version();
            let mut got = client.recv_publishes(3);
            got.sort_by_key(primer_harness::Publish::text);
            assert!(got.iter().all(|message| message.qos == qos && message.topic == "versions/t"), "{got:?}");
            assert_eq!(
                got.iter().map(primer_harness::Publish::text).collect::<Vec<_>>(),
                ["from 3", "from 4", "from 5"]
            );
            let props = if version.is_v5() { sorted(&forwarded()) } else { Vec::new() };
            assert_eq!(sorted(&got[2].props), props);
            assert_eq!((&got[0].props, &got[1].props), (&vec![], &vec![]));
        }
    }
}
