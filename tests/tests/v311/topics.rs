//! Topic names and filters (4.7): wildcards, `$`, and that nothing is normalized.

use primer_harness::{Client, SILENCE};

use crate::fixture::{broker, unique};

/// Which of the topics a filter matches, told by a live delivery.
#[track_caller]
fn assert_matches(filter: &str, topics: &[&str], others: &[&str]) {
    let broker = broker();
    let mut subscriber = Client::v311(broker.addr(), &unique("top"));
    assert_eq!(subscriber.subscribe(filter, 0), 0, "{filter}");
    let mut sender = Client::v311(broker.addr(), &unique("top-pub"));
    for topic in others.iter().chain(topics) {
        sender.publish(topic, "x", 1);
    }
    sender.ping();
    let got: Vec<_> = subscriber.recv_publishes(topics.len()).into_iter().map(|m| m.topic).collect();
    assert_eq!(got, topics, "{filter}");
    subscriber.expect_no_publish_before_ping();
}

/// `#` stands for any number of levels, the parent's too, at the end [MQTT-4.7.1-2]; `+` for exactly one, an empty one
/// too [MQTT-4.7.1-3]. What is sent matches the filter [MQTT-3.3.2-3].
#[test]
fn wildcards_match_levels() {
    assert_matches("top/1/#", &["top/1", "top/1/", "top/1/a", "top/1/a/b"], &["top/11", "top", "Top/1/a", "/top/1/a"]);
    assert_matches("top/2/+", &["top/2/", "top/2/a"], &["top/2", "top/2/a/b", "top/2/a/"]);
    assert_matches("top/3/+/x", &["top/3/a/x", "top/3//x"], &["top/3/x", "top/3/a/b/x", "top/3/a/x/"]);
    assert_matches("top/4/+/+", &["top/4/a/b", "top/4//"], &["top/4/a", "top/4/a/b/c"]);
    assert_matches("top/5/+/#", &["top/5/a", "top/5/a/b", "top/5/"], &["top/5"]);
    assert_matches("+/top6", &["/top6", "a/top6"], &["top6", "a/b/top6"]);
    assert_matches("/top7/+", &["/top7/a"], &["top7/a", "//top7/a"]);
}

/// A filter that begins with a wildcard does not match a topic that begins with `$` [MQTT-4.7.2-1]; one that names it
/// does.
#[test]
fn a_leading_wildcard_does_not_match_a_dollar() {
    assert_matches("+/dollar/x", &["a/dollar/x"], &["$a/dollar/x", "$/dollar/x"]);
    assert_matches("$b/dollar/+", &["$b/dollar/x"], &["b/dollar/x"]);
    assert_matches("dollar/+/x", &["dollar/$c/x", "dollar/c/x"], &[]);
    assert_matches("$d/#", &["$d/dollar", "$d"], &["d/dollar", "$dd"]);

    let broker = primer_harness::Launch::new().args(&["--sys-interval", "1"]).start();
    let mut all = Client::v311(broker.addr(), "all");
    let mut plus = Client::v311(broker.addr(), "plus");
    let mut sys = Client::v311(broker.addr(), "sys");
    all.subscribe("#", 0);
    plus.subscribe_with(&[("+/#", 0), ("+/brokers/#", 0), ("+", 0)], &[]);
    sys.subscribe("$SYS/#", 0);
    assert!(sys.recv().topic.starts_with("$SYS/"));
    sys.publish("$x", "one level", 0);
    sys.publish("$x/y", "two levels", 0);
    sys.ping();
    all.expect_no_publish(SILENCE / 2);
    plus.expect_no_publish(SILENCE / 2);
    sys.publish("plain", "x", 0);
    assert_eq!((all.recv().topic, plus.recv().topic), ("plain".to_owned(), "plain".to_owned()));
}

/// Retained `$` topics are no matches either [MQTT-4.7.2-1].
#[test]
fn a_leading_wildcard_does_not_match_a_retained_dollar() {
    let broker = broker();
    let mut client = Client::v311(broker.addr(), "top-kept");
    client.publish_retained("$kept/top-kept", "x", 1);
    client.publish_retained("kept/top-kept", "y", 1);
    client.subscribe("+/top-kept", 1);
    assert_eq!(client.recv().text(), "y");
    client.expect_no_publish(SILENCE / 2);
    client.subscribe("$kept/+", 1);
    assert_eq!(client.recv().text(), "x");
}

/// Topics are compared as they are [MQTT-4.7.3-4]: case, slashes, spaces and composed characters all count.
#[test]
fn topics_are_compared_as_they_are() {
    assert_matches("norm/a", &["norm/a"], &["norm/A", "norm/a/", "/norm/a", "norm//a", "norm/a ", " norm/a"]);
    let composed = "norm/\u{e9}";
    let decomposed = "norm/e\u{301}";
    assert_matches(composed, &[composed], &[decomposed]);
    assert_matches(decomposed, &[decomposed], &[composed]);
    assert_matches("norm/\u{212b}", &["norm/\u{212b}"], &["norm/\u{c5}", "norm/A\u{30a}"]);
    assert_matches("norm/./..", &["norm/./.."], &["norm", "norm/.", "."]);
    assert_matches("norm/%41", &["norm/%41"], &["norm/A"]);
    assert_matches("norm/\u{feff}", &["norm/\u{feff}"], &["norm/"]);
}
