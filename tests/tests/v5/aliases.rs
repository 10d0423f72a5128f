//! Topic aliases (3.3.2.3.4), those that clients set and those that the server sets.

use std::collections::BTreeMap;

use primer_harness::wire::{prop, publish};
use primer_harness::{Broker, Client, Publish, SILENCE, Version};

use crate::fixture::{PROTOCOL_ERROR, assert_closed_with, broker, durable};

const ALIAS_INVALID: u8 = 0x94;

fn with_alias(topic: &str, alias: u16) -> Publish {
    publish(Version::V5, topic, b"x").props(&[prop::topic_alias(alias)])
}

fn maximum(client: &Client) -> u16 {
    let maximum = prop::number(client.connack_props(), prop::TOPIC_ALIAS_MAXIMUM).unwrap_or(0);
    u16::try_from(maximum).unwrap_or(u16::MAX)
}

/// The topic that each message stands for, with what the server has set so far.
fn resolve(known: &mut BTreeMap<u32, String>, message: &Publish) -> String {
    match prop::number(&message.props, prop::TOPIC_ALIAS) {
        None => assert_ne!(message.topic, "", "no topic and no alias"),
        Some(alias) if message.topic.is_empty() => {
            return known.get(&alias).unwrap_or_else(|| panic!("alias {alias} was not set")).clone();
        }
        Some(alias) => {
            known.insert(alias, message.topic.clone());
        }
    }
    message.topic.clone()
}

/// [MQTT-3.3.2-8] [MQTT-3.3.2-9] [MQTT5-3.3.2.3.4]
#[test]
fn an_alias_of_0_or_above_the_stated_maximum_is_invalid() {
    let broker = broker();
    let maximum = maximum(&Client::v5(broker.addr(), "aliasmax"));
    for alias in [0, maximum + 1, u16::MAX] {
        assert_closed_with(broker.addr(), &with_alias("aliasmax", alias).build(), &[ALIAS_INVALID]);
    }
    let none = Broker::with_args(&["--topic-alias-maximum", "0"]);
    assert_closed_with(none.addr(), &with_alias("aliasmax", 1).build(), &[ALIAS_INVALID]);
}

/// [MQTT-3.3.2-12]
#[test]
fn each_alias_up_to_the_stated_maximum_is_taken() {
    let broker = Broker::with_args(&["--topic-alias-maximum", "300"]);
    let mut subscriber = Client::v5(broker.addr(), "sub");
    subscriber.subscribe("all/+", 0);
    let mut publisher = Client::v5(broker.addr(), "pub");
    assert_eq!(maximum(&publisher), 300);
    for alias in 1..=300 {
        publisher.send(&with_alias(&format!("all/{alias}"), alias).build());
    }
    for alias in 1..=300 {
        publisher.send(&with_alias("", alias).build());
    }
    let topics: Vec<_> = subscriber.recv_publishes(600).into_iter().map(|message| message.topic).collect();
    let wanted: Vec<_> = (1..=300).chain(1..=300).map(|alias| format!("all/{alias}")).collect();
    assert_eq!(topics, wanted);
}

/// [MQTT5-3.3.2.3.4-2]
#[test]
fn an_alias_that_was_not_set_is_a_protocol_error() {
    assert_closed_with(broker().addr(), &with_alias("", 1).build(), &[PROTOCOL_ERROR, ALIAS_INVALID]);
}

/// [MQTT5-3.3.2.3.4-3]
#[test]
fn an_alias_with_a_topic_is_set_anew() {
    let broker = broker();
    let mut subscriber = Client::v5(broker.addr(), "anew-sub");
    subscriber.subscribe("anew/+", 1);
    let mut publisher = Client::v5(broker.addr(), "anew-pub");
    for (topic, alias) in [("anew/a", 1), ("", 1), ("anew/b", 2), ("anew/c", 1), ("", 1), ("", 2)] {
        assert_eq!(publisher.publish_packet(with_alias(topic, alias), 1), 0);
    }
    let messages = subscriber.recv_publishes(6);
    let topics: Vec<_> = messages.iter().map(|message| message.topic.as_str()).collect();
    assert_eq!(topics, ["anew/a", "anew/a", "anew/b", "anew/c", "anew/c", "anew/b"]);
    assert!(messages.iter().all(|message| message.props.is_empty()), "an alias is not passed on");
}

/// [MQTT-3.3.2-7]: neither the client's aliases nor the server's outlive the connection, even when the session does.
#[test]
fn aliases_end_with_their_connection() {
    let broker = broker();
    let open = || {
        Client::v5_with(broker.addr(), "aliasend", |c| {
            c.clean(false).session_expiry(60).props(&[prop::topic_alias_maximum(5)])
        })
    };
    let mut client = open();
    client.subscribe("aliasend/t", 1);
    client.publish_packet(with_alias("aliasend/t", 1), 1);
    client.publish_packet(with_alias("", 1), 1);
    client.recv_publishes(2);
    client.disconnect();
    let mut client = open();
    assert!(client.session_present());
    Client::v5(broker.addr(), "aliasend-pub").publish("aliasend/t", "x", 1);
    assert_eq!(client.recv().topic, "aliasend/t", "the first message of a connection names its topic");
    client.send(&with_alias("", 1).qos(1, 1).build());
    assert!(matches!(client.expect_closed(), Some(PROTOCOL_ERROR | ALIAS_INVALID)));
}

/// Aliases of one client are nothing to another [MQTT-3.3.2-7].
#[test]
fn aliases_of_two_connections_do_not_mix() {
    let broker = broker();
    let mut subscriber = Client::v5(broker.addr(), "aliasmix-sub");
    subscriber.subscribe("aliasmix/+", 1);
    let mut one = Client::v5(broker.addr(), "aliasmix-1");
    let mut two = Client::v5(broker.addr(), "aliasmix-2");
    one.publish_packet(with_alias("aliasmix/one", 1), 1);
    two.publish_packet(with_alias("aliasmix/two", 1), 1);
    one.publish_packet(with_alias("", 1), 1);
    two.publish_packet(with_alias("", 1), 1);
    let topics: Vec<_> = subscriber.recv_publishes(4).into_iter().map(|message| message.topic).collect();
    assert_eq!(topics, ["aliasmix/one", "aliasmix/two", "aliasmix/one", "aliasmix/two"]);
}

/// [MQTT-3.3.2-11]: with none in CONNECT there are no aliases.
#[test]
fn a_client_that_states_no_maximum_gets_no_aliases() {
    let broker = broker();
    let mut client = durable(broker.addr(), "aliasnone");
    client.subscribe("aliasnone/long/topic", 1);
    let mut publisher = Client::v5(broker.addr(), "aliasnone-pub");
    for qos in [0, 1, 0, 1, 2] {
        publisher.publish("aliasnone/long/topic", "x", qos);
        let message = client.recv();
        assert_eq!((message.topic.as_str(), message.props.as_slice()), ("aliasnone/long/topic", &[][..]));
    }
}

/// [MQTT-3.3.2-11], and the server uses what it is given: the most frequent topics go by alias alone.
#[test]
fn the_server_gives_the_most_frequent_topics_aliases_within_the_clients_maximum() {
    let broker = broker();
    let mut client = Client::v5_with(broker.addr(), "aliasout", |c| c.props(&[prop::topic_alias_maximum(2)]));
    client.subscribe("aliasout/#", 0);
    let mut publisher = Client::v5(broker.addr(), "aliasout-pub");
    let mut sent = vec!["aliasout/rare/first".to_owned(), "aliasout/rare/second".to_owned()];
    for n in 0..60 {
        sent.push("aliasout/frequent/one".to_owned());
        sent.push("aliasout/frequent/two".to_owned());
        if n % 4 == 0 {
            sent.push(format!("aliasout/rare/{n}"));
        }
    }
    for topic in &sent {
        publisher.publish(topic, "x", 0);
    }
    let mut known = BTreeMap::new();
    let messages = client.recv_publishes(sent.len());
    let topics: Vec<_> = messages.iter().map(|message| resolve(&mut known, message)).collect();
    assert_eq!(topics, sent);
    assert!(known.keys().all(|alias| (1..=2).contains(alias)), "{known:?}");
    let late = messages.iter().zip(&sent).skip(sent.len() / 2).filter(|(_, topic)| topic.contains("frequent"));
    let (short, all) = late.fold((0, 0), |(short, all), (m, _)| (short + usize::from(m.topic.is_empty()), all + 1));
    assert!(short * 10 >= all * 9, "{short} of {all} messages of the frequent topics came by alias alone");
    client.expect_no_publish(SILENCE / 4);
}

/// What is kept, delayed or queued under an alias has the topic that the alias stood for.
#[test]
fn kept_and_delayed_messages_have_the_topic_of_their_alias() {
    let broker = broker();
    let mut offline = durable(broker.addr(), "aliaskept-off");
    offline.subscribe("aliaskept/#", 1);
    offline.disconnect();
    let mut publisher = Client::v5(broker.addr(), "aliaskept-pub");
    publisher.publish_packet(with_alias("aliaskept/kept", 1).retain(), 1);
    publisher.publish_packet(with_alias("", 1).retain(), 1);
    publisher.publish_packet(with_alias("$delayed/0/aliaskept/later", 2), 1);
    publisher.publish_packet(with_alias("", 2), 1);
    publisher.disconnect();
    let mut late = Client::v5(broker.addr(), "aliaskept-late");
    late.subscribe("aliaskept/kept", 1);
    let kept = late.recv();
    assert_eq!((kept.topic.as_str(), kept.props.as_slice()), ("aliaskept/kept", &[][..]));
    let mut offline = durable(broker.addr(), "aliaskept-off");
    let mut topics: Vec<_> = offline.recv_publishes(4).into_iter().map(|message| message.topic).collect();
    topics.sort();
    assert_eq!(topics, ["aliaskept/kept", "aliaskept/kept", "aliaskept/later", "aliaskept/later"]);
}

/// What is sent again on a new connection names its topic, whatever alias it had before [MQTT-3.3.2-7].
#[test]
fn messages_sent_again_do_not_lean_on_aliases_of_the_old_connection() {
    let broker = broker();
    let open = || {
        let mut client = Client::v5_with(broker.addr(), "aliasagain", |c| {
            c.clean(false).session_expiry(60).props(&[prop::topic_alias_maximum(3)])
        });
        client.manual_ack();
        client
    };
    let mut client = open();
    client.subscribe("aliasagain/+", 1);
    let mut publisher = Client::v5(broker.addr(), "aliasagain-pub");
    let topics: Vec<_> = (0..20).map(|n| format!("aliasagain/{}", n % 4)).collect();
    for topic in &topics {
        publisher.publish(topic, "x", 1);
    }
    for _ in 0..3 {
        let mut known = BTreeMap::new();
        let got: Vec<_> = client.recv_publishes(20).iter().map(|message| resolve(&mut known, message)).collect();
        assert_eq!(got, topics);
        client.abort();
        client = open();
    }
}
