//! Topic names and topic filters (4.7): what is refused, what matches what, and that nothing is normalized.

use primer_harness::wire::{frame, publish, string, subscribe, unsubscribe};
use primer_harness::{Broker, Client, Version};

use crate::fixture::{MALFORMED, PROTOCOL_ERROR, assert_closed_with, assert_taken, broker, unique};

/// Those of the topics that a subscriber to the filter gets.
fn matched<'t>(broker: &Broker, filter: &str, topics: &[&'t str]) -> Vec<&'t str> {
    let mut subscriber = Client::v5(broker.addr(), &unique("match-sub"));
    subscriber.subscribe(filter, 1);
    let mut publisher = Client::v5(broker.addr(), &unique("match-pub"));
    for topic in topics {
        publisher.publish(topic, topic, 1);
    }
    subscriber.ping();
    let mut got = Vec::new();
    while let Some(message) = subscriber.recv_publish(std::time::Duration::ZERO) {
        got.push(message.topic);
    }
    topics.iter().copied().filter(|topic| got.iter().any(|got| got == topic)).collect()
}

/// [MQTT-4.7.1-1] [MQTT-4.7.1-2]
#[test]
fn a_misplaced_wildcard_in_a_filter_is_refused() {
    for filter in ["bad/a#", "bad/#/a", "#/bad", "##", "bad/+a", "bad/a+", "++", "bad/++/a", "bad/#a"] {
        for bytes in [subscribe(Version::V5, 1, &[("fine", 0), (filter, 0)]), unsubscribe(Version::V5, 1, &[filter])] {
            assert_closed_with(broker().addr(), &bytes, &[MALFORMED, PROTOCOL_ERROR, 0x8f]);
        }
    }
    for filter in ["#", "+", "+/+", "/#", "+/fine/#", "/+", "+//+"] {
        assert_taken(broker().addr(), &subscribe(Version::V5, 1, &[(filter, 0)]));
    }
}

/// [MQTT-4.7.1-1] [MQTT-4.7.1-2]: what the wildcards stand for.
#[test]
fn wildcards_match_whole_levels() {
    let broker = Broker::start();
    let topics = ["lvl", "lvl/", "lvl/a", "lvl/a/b", "lvl//b", "lvl2", "/lvl", "lvl/a/b/c"];
    assert_eq!(matched(&broker, "lvl/#", &topics), ["lvl", "lvl/", "lvl/a", "lvl/a/b", "lvl//b", "lvl/a/b/c"]);
    assert_eq!(matched(&broker, "lvl/+", &topics), ["lvl/", "lvl/a"]);
    assert_eq!(matched(&broker, "lvl/+/b", &topics), ["lvl/a/b", "lvl//b"]);
    assert_eq!(matched(&broker, "+/a", &topics), ["lvl/a"]);
    assert_eq!(matched(&broker, "+/lvl", &topics), ["/lvl"]);
    assert_eq!(matched(&broker, "lvl/+/#", &topics), ["lvl/", "lvl/a", "lvl/a/b", "lvl//b", "lvl/a/b/c"]);
    assert_eq!(matched(&broker, "lvl", &topics), ["lvl"]);
}

/// [MQTT-4.7.2-1]
#[test]
fn a_filter_that_begins_with_a_wildcard_matches_no_topic_that_begins_with_a_dollar() {
    let broker = Broker::start();
    let topics = ["$dollar/t", "dollar/t", "dollar/$t"];
    assert_eq!(matched(&broker, "#", &topics), ["dollar/t", "dollar/$t"]);
    assert_eq!(matched(&broker, "+/t", &topics), ["dollar/t"]);
    assert_eq!(matched(&broker, "+/#", &topics), ["dollar/t", "dollar/$t"]);
    assert_eq!(matched(&broker, "$dollar/+", &topics), ["$dollar/t"]);
    assert_eq!(matched(&broker, "$dollar/#", &topics), ["$dollar/t"]);
    assert_eq!(matched(&broker, "dollar/+", &topics), ["dollar/t", "dollar/$t"]);
    assert_eq!(matched(&broker, "$share/g/#", &topics), ["dollar/t", "dollar/$t"]);
}

/// [MQTT-4.7.2-1] for retained messages.
#[test]
fn kept_messages_under_a_dollar_come_only_to_filters_that_name_it() {
    let broker = broker();
    Client::v5(broker.addr(), "dollarkept-pub").publish_retained("$kept/dollarkept", "x", 1);
    let mut client = Client::v5(broker.addr(), "dollarkept");
    client.subscribe("+/dollarkept", 1);
    client.expect_no_publish(primer_harness::SILENCE / 4);
    client.subscribe("$kept/+", 1);
    assert_eq!(client.recv().topic, "$kept/dollarkept");
}

/// [MQTT-4.7.3-1]
#[test]
fn an_empty_filter_is_refused() {
    for bytes in [subscribe(Version::V5, 1, &[("", 0)]), unsubscribe(Version::V5, 1, &[""])] {
        assert_closed_with(broker().addr(), &bytes, &[MALFORMED, PROTOCOL_ERROR, 0x8f]);
    }
}

/// [MQTT-4.7.3-2]
#[test]
fn a_topic_or_filter_with_u0000_is_malformed() {
    for bytes in [
        publish(Version::V5, "nul/\0", b"x").build(),
        subscribe(Version::V5, 1, &[("nul/\0", 0)]),
        unsubscribe(Version::V5, 1, &["nul/\0"]),
    ] {
        assert_closed_with(broker().addr(), &bytes, &[MALFORMED]);
    }
}

/// A name of 65,535 bytes is the longest, and works both as a topic and as a filter [MQTT-4.7.3-3].
#[test]
fn the_longest_topic_works() {
    let broker = broker();
    let topic = "long".repeat(65_532 / 4) + "end";
    assert_eq!(topic.len(), 65_535);
    let mut client = Client::v5(broker.addr(), "longest");
    assert_eq!(client.subscribe(&topic, 1), 1);
    assert_eq!(client.publish(&topic, "x", 1), 0);
    assert_eq!(client.recv().topic, topic);
    let mut body = string(&topic);
    body.truncate(body.len() - 1); // the length says one byte more than there is
    assert_closed_with(broker.addr(), &frame(0x30, &body), &[MALFORMED]);
}

/// [MQTT-4.7.3-4]
#[test]
fn topics_are_compared_as_they_are() {
    let broker = broker();
    // Composed and decomposed é, Å as a letter and as the Ångström sign, upper and lower case, spaces, slashes.
    let topics =
        ["norm/\u{e9}", "norm/e\u{301}", "norm/\u{c5}", "norm/\u{212b}", "norm/A", "norm/a", "norm/a ", "norm//a"];
    for topic in topics {
        assert_eq!(matched(&broker, topic, &topics), [topic]);
    }
    assert_eq!(matched(&broker, "norm/\u{feff}a", &["norm/a", "norm/\u{feff}a"]), ["norm/\u{feff}a"]);
}
