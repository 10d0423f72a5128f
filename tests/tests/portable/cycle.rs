//! From one broker to another by a dump: nothing is lost, nothing comes twice, nothing is different.

use std::time::{Duration, Instant};

use primer_harness::wire::{Ack, Will, prop, publish, pubrec, pubrel};
use primer_harness::{Broker, Client, Version};

use crate::fixture::{Place, content, durable, files, lines, primer, primer_with, serve, stop};

const NO_LOCAL: u8 = 0x04;
const RETAIN_AS_PUBLISHED: u8 = 0x08;
const NO_RETAINED: u8 = 0x20;

/// What was left in the broker that was dumped, as far as it is not the same for every run.
struct Left {
    /// Packet identifiers of the messages in flight: QoS 1, QoS 2, QoS 2 after its PUBREC.
    in_flight: [u16; 3],
    delayed_since: Instant,
}

fn large() -> Vec<u8> {
    (0..300_000_u32).map(|n| (n % 251) as u8).collect()
}

/// All that a store can hold.
fn fill(broker: &Broker) -> Left {
    let mut publisher = Client::v5(broker.addr(), "publisher");
    let mut offline = durable(broker, "offline");
    offline.subscribe_with(&[("t/#", 2)], &[prop::subscription_identifier(7)]);
    offline.subscribe_with(
        &[("t/one", 1 | NO_LOCAL | RETAIN_AS_PUBLISHED)],
        &[prop::subscription_identifier(268_435_455)],
    );
    offline.subscribe("$share/group/shared/+", 1 | NO_RETAINED);
    offline.disconnect();
    let mut flight = durable(broker, "flight");
    flight.manual_ack();
    flight.subscribe("f/t", 2);
    for (n, qos) in [1, 2, 2].into_iter().enumerate() {
        publisher.publish("f/t", format!("in flight {n}"), qos);
    }
    let sent = flight.recv_publishes(3);
    let in_flight = [0, 1, 2].map(|n: usize| sent[n].pid.expect("a packet identifier"));
    flight.send(&pubrec(in_flight[2]));
    flight.await_ack(Ack::Pubrel, in_flight[2]);
    flight.abort();
    publisher.publish("f/t", "queued behind", 1);
    let mut twice = durable(broker, "twice");
    twice.send(&publish(Version::V5, "t/twice", b"once only").qos(2, 9).build());
    assert_eq!(twice.await_ack(Ack::Pubrec, 9), 0);
    twice.abort();
    let props = [
        prop::payload_format_indicator(1),
        prop::content_type("text/plain; ünïcode=\"yes\""),
        prop::response_topic("answers/here"),
        prop::correlation_data(&[0, 255, 10, 13]),
        prop::user_property("b", "2"),
        prop::user_property("a", "1"),
        prop::user_property("b", "3"),
        prop::message_expiry_interval(3600),
    ];
    publisher.publish_with("t/one", "with properties", 1, &props);
    publisher.publish("t/two", large(), 2);
    publisher.publish("t/two", "", 2);
    publisher.publish("shared/x", "through the group", 1);
    let retained = publish(Version::V5, "r/1", b"stays").retain().props(&[prop::user_property("kept", "yes")]);
    publisher.publish_packet(retained, 1);
    publisher.publish_retained("r/\"quoted\"\u{1F600}", "stays too", 0);
    let will =
        Will::new("wills/w", b"gone").qos(1).retain().props(&[prop::will_delay_interval(2), prop::content_type("w")]);
    let willed =
        Client::v5_with(broker.addr(), "willed", |connect| connect.clean(false).session_expiry(3600).will(will));
    Client::v311_with(broker.addr(), "old", |connect| connect.clean(false)).disconnect();
    let delayed_since = Instant::now();
    publisher.publish("$delayed/3/d/t", "later", 1);
    willed.abort();
    publisher.disconnect();
    Left { in_flight, delayed_since }
}

/// The other broker has all of it.
fn find(broker: &Broker, left: &Left) {
    let mut watcher = Client::v5(broker.addr(), "watcher");
    watcher.subscribe("d/t", 1);
    watcher.subscribe("wills/#", 1);
    let mut offline = durable(broker, "offline");
    assert!(offline.session_present());
    let got = offline.recv_publishes(5);
    // The client shows a message of QoS 2 when it is released: the two kinds are in order, each for itself.
    let of = |qos: u8| -> Vec<String> {
        let of = got.iter().filter(|message| message.qos == qos);
        of.map(|message| format!("{} {}", message.topic, message.payload.len())).collect()
    };
    assert_eq!(of(1), ["t/one 15", "shared/x 17"]);
    assert_eq!(of(2), ["t/twice 9", "t/two 300000", "t/two 0"]);
    let find = |topic: &str, len: usize| {
        let found = got.iter().find(|message| message.topic == topic && message.payload.len() == len);
        found.expect("the message").clone()
    };
    assert_eq!(find("t/two", 300_000).payload, large());
    let with = &find("t/one", 15).props;
    assert_eq!(prop::text(with, prop::CONTENT_TYPE), Some("text/plain; ünïcode=\"yes\""));
    assert_eq!(prop::text(with, prop::RESPONSE_TOPIC), Some("answers/here"));
    assert_eq!(prop::find(with, prop::CORRELATION_DATA), Some(&primer_harness::wire::Value::Bin(vec![0, 255, 10, 13])));
    assert_eq!(prop::user_properties(with), [("b", "2"), ("a", "1"), ("b", "3")]);
    assert!(prop::number(with, prop::MESSAGE_EXPIRY_INTERVAL).is_some_and(|left| (3400..=3600).contains(&left)));
    offline.expect_no_publish_before_ping();
    // Its subscriptions are there as well, with their options.
    let mut publisher = Client::v5(broker.addr(), "publisher");
    publisher.publish_retained("t/one", "new", 1);
    let new = offline.recv();
    assert_eq!((new.text().as_str(), new.retain), ("new", true), "retain as published");
    let mut flight = durable(broker, "flight");
    flight.manual_ack();
    flight.await_ack(Ack::Pubrel, left.in_flight[2]);
    let again = flight.recv_publishes(3);
    let got: Vec<_> = again.iter().map(|message| (message.pid, message.dup, message.qos, message.text())).collect();
    let expected = [
        (Some(left.in_flight[0]), true, 1, "in flight 0".to_owned()),
        (Some(left.in_flight[1]), true, 2, "in flight 1".to_owned()),
    ];
    assert_eq!(got[..2], expected);
    // The broker may have sent it before it saw that the connection had ended.
    assert_eq!(got[2].3, "queued behind");
    let mut twice = durable(broker, "twice");
    twice.send(&publish(Version::V5, "t/twice", b"once only").qos(2, 9).dup().build());
    assert_eq!(twice.await_ack(Ack::Pubrec, 9), 0);
    twice.send(&pubrel(9));
    assert_eq!(twice.await_ack(Ack::Pubcomp, 9), 0);
    offline.expect_no_publish_before_ping();
    let mut retained = Client::v5(broker.addr(), "retained");
    retained.subscribe("r/#", 1);
    let mut kept: Vec<String> = retained.recv_publishes(2).iter().map(|message| message.text()).collect();
    kept.sort();
    assert_eq!(kept, ["stays", "stays too"]);
    let mut late: Vec<String> = watcher.recv_publishes(2).iter().map(|message| message.text()).collect();
    late.sort();
    assert_eq!(late, ["gone", "later"]);
    assert!(left.delayed_since.elapsed() >= Duration::from_secs(3), "it came early");
    assert!(Client::v311_with(broker.addr(), "old", |connect| connect.clean(false)).session_present());
}

#[test]
fn a_broker_on_what_was_restored_goes_on_as_the_one_that_was_dumped() {
    let place = Place::new();
    let (first, second, third) = (place.arg("first"), place.arg("second"), place.arg("third"));
    let broker = serve(&first);
    let left = fill(&broker);
    stop(broker);
    let before = files(&place.path("first"));
    let dump = primer(&["dump", "--data", &first]).good();
    assert!(before == files(&place.path("first")), "a dump changes nothing");
    assert_eq!(dump.stderr, "", "nobody watches, and nothing is said");
    primer_with(&["restore", "--data", &second, "-"], &dump.stdout).good();
    // The same by way of packed files.
    let packed = place.arg("dump.gz");
    primer(&["dump", "--data", &second, &packed]).good();
    assert!(std::fs::read(&packed).expect("the dump").starts_with(&[0x1F, 0x8B]));
    primer(&["restore", "--data", &third, &packed]).good();
    for data in [&second, &third] {
        primer(&["store", "check", "--data", data]).good();
        let again = primer(&["dump", "--data", data]).good();
        assert_eq!(content(&dump.stdout), content(&again.stdout));
    }
    let lines = lines(&dump.stdout);
    assert_eq!(lines[0]["primer_dump"]["format"], 3);
    assert_eq!(lines.last().expect("a last line")["end"]["sessions"], 5);
    assert_eq!(lines.last().expect("a last line")["end"]["left_out"], 0);
    let broker = serve(&third);
    find(&broker, &left);
    stop(broker);
}

/// Retained messages that are published after a restore are kept beside the restored ones.
#[test]
fn what_comes_after_a_restore_is_kept_beside_it() {
    let place = Place::new();
    let (first, second) = (place.arg("first"), place.arg("second"));
    let broker = serve(&first);
    let mut publisher = Client::v5(broker.addr(), "publisher");
    publisher.publish_retained("old/0", "old", 1);
    publisher.publish_retained("old/1", "old", 1);
    stop(broker);
    let dump = primer(&["dump", "--data", &first]).good();
    primer_with(&["restore", "--data", &second, "-"], &dump.stdout).good();
    let broker = serve(&second);
    let mut publisher = Client::v5(broker.addr(), "publisher");
    publisher.publish_retained("new/0", "new", 1);
    publisher.publish_retained("old/0", "", 1);
    stop(broker);
    let broker = serve(&second);
    let mut reader = Client::v5(broker.addr(), "reader");
    reader.subscribe("#", 1);
    let mut topics: Vec<String> = reader.recv_publishes(2).into_iter().map(|message| message.topic).collect();
    topics.sort();
    assert_eq!(topics, ["new/0", "old/1"]);
    reader.expect_no_publish_before_ping();
}

/// What the guide shows is a dump.
#[test]
fn the_example_of_the_guide_is_restored() {
    let place = Place::new();
    let guide = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/guides/backup.md"));
    let guide = guide.expect("the guide");
    let (_, example) = guide.split_once("```json\n").expect("the example");
    let (example, _) = example.split_once("```").expect("its end");
    let data = place.arg("data");
    primer_with(&["restore", "--data", &data, "-"], example.as_bytes()).good();
    assert_eq!(content(&primer(&["dump", "--data", &data]).good().stdout), content(example.as_bytes()));
}
