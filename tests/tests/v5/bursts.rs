//! Publishes that come in one piece: the broker routes those of one topic and QoS together, and nobody may notice.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use primer_harness::wire::{Packet, prop, publish};
use primer_harness::{Broker, Client, Prop, Publish, TIMEOUT, Version};

use crate::fixture::{NO_LOCAL, broker, durable, durable_manual, unique};

/// QoS 1 publishes of a topic, by their identifiers from 1 on, with their number as payload.
fn burst(topic: &str, count: u16) -> Vec<u8> {
    (1..=count).flat_map(|n| publish(Version::V5, topic, n.to_string().as_bytes()).qos(1, n).build()).collect()
}

/// The reasons of the next acknowledgements, which come in the order of the publishes.
#[track_caller]
fn answers(client: &mut Client, count: u16) -> Vec<u8> {
    let answer = |n| match client.await_other(|packet| matches!(packet, Packet::Ack { .. })) {
        Packet::Ack { pid, reason, .. } if pid == n => reason,
        other => panic!("awaited the answer to publish {n}, received {other:02x?}"),
    };
    (1..=count).map(answer).collect()
}

fn numbers(messages: &[Publish]) -> Vec<u16> {
    messages.iter().map(|message| message.text().parse().expect("a number")).collect()
}

/// One queue is full half-way: the publishes before are acknowledged, those after are refused, each for itself; who has
/// room gets all of them.
#[test]
fn each_publish_is_answered_for_itself() {
    let broker = Broker::with_args(&["--max-queued-messages", "10", "--overflow", "reject"]);
    let mut away = durable(broker.addr(), "away");
    away.subscribe("t", 1);
    away.disconnect();
    let mut live = Client::v5(broker.addr(), "live");
    live.subscribe("t", 0);
    let mut publisher = Client::v5(broker.addr(), "pub");
    publisher.send(&burst("t", 30));
    assert_eq!(answers(&mut publisher, 30), [vec![0; 10], vec![0x97; 20]].concat());
    assert_eq!(numbers(&live.recv_publishes(30)), (1..=30).collect::<Vec<_>>());
    let mut away = durable(broker.addr(), "away");
    assert_eq!(numbers(&away.recv_publishes(10)), (1..=10).collect::<Vec<_>>());
    away.expect_no_publish_before_ping();
}

/// Nobody subscribes, or only the publisher itself with No Local: each publish of the burst hears so (0x10).
#[test]
fn each_publish_that_nobody_gets_hears_so() {
    let broker = broker();
    let mut publisher = Client::v5(broker.addr(), &unique("burst-nobody"));
    publisher.send(&burst("burst/nobody", 20));
    assert_eq!(answers(&mut publisher, 20), [0x10; 20]);
    publisher.subscribe("burst/nobody", 1 | NO_LOCAL);
    publisher.send(&burst("burst/nobody", 20));
    assert_eq!(answers(&mut publisher, 20), [0x10; 20]);
    publisher.expect_no_publish_before_ping();
}

/// A burst came whole into the queue before any of it was sent, and its beginning was trimmed though the client's
/// window was open.
#[test]
fn what_can_be_sent_at_once_is_not_trimmed() {
    let broker = Broker::with_args(&["--max-queued-messages", "10"]);
    let mut subscriber = Client::v5(broker.addr(), "sub");
    subscriber.manual_ack();
    subscriber.subscribe("t", 1);
    let mut publisher = Client::v5(broker.addr(), "pub");
    publisher.send(&burst("t", 30));
    let taken: Vec<u16> =
        (1..).zip(answers(&mut publisher, 30)).filter(|(_, code)| *code == 0).map(|(n, _)| n).collect();
    let got = numbers(&subscriber.recv_publishes(taken.len()));
    assert_eq!(got, taken, "what was acknowledged was dropped though it could have been sent");
    subscriber.expect_no_publish_before_ping();
}

const TOPICS: [&str; 2] = ["burst/whole/a-topic", "burst/whole/b-topic"];

/// The payloads of a topic and QoS in their order.
type Payloads = BTreeMap<(String, u8), Vec<Vec<u8>>>;

/// The topic and the QoS of the message of this number.
fn kind(number: usize) -> (usize, u8) {
    (number / 7 % 2, u8::try_from(number / 3 % 3).expect("0 to 2"))
}

/// Publishes of all sizes, QoS and properties, two topics by turns, by name and by alias.
fn mixed(count: usize, large: usize) -> (Vec<u8>, Payloads) {
    let (mut bytes, mut sent) = (Vec::new(), Payloads::new());
    let (mut pid, mut known) = (0, [false; 2]);
    for number in 0..count {
        let (which, qos) = kind(number);
        let mut payload = format!("{number}:").into_bytes();
        let size = match number % 97 {
            50 => large,
            51 => 2_100,
            other => other,
        };
        payload.resize(payload.len().max(size), b'.');
        let mut packet = publish(Version::V5, TOPICS[which], &payload);
        if number % 5 == 1 {
            packet = packet.props(&[prop::user_property("n", &number.to_string())]);
        }
        if number % 11 == 2 {
            packet = packet.props(&[prop::message_expiry_interval(1000)]);
        }
        if number % 4 > 1 {
            packet = packet.props(&[prop::topic_alias(u16::try_from(which + 1).expect("1 or 2"))]);
            if std::mem::replace(&mut known[which], true) && number % 4 == 3 {
                packet.topic.clear();
            }
        }
        if qos > 0 {
            pid += 1;
            packet = packet.qos(qos, pid);
        }
        bytes.extend(packet.build());
        sent.entry((TOPICS[which].to_owned(), qos)).or_default().push(payload);
    }
    (bytes, sent)
}

/// Subscribers of both topics: of 3.1.1, at QoS 0, as they are mostly, with an alias, with filters that overlap.
fn readers(broker: &Broker, id: &str) -> [Client; 5] {
    let mut readers = [
        Client::v311(broker.addr(), &format!("{id}-0")),
        Client::v5(broker.addr(), &format!("{id}-1")),
        Client::v5(broker.addr(), &format!("{id}-2")),
        Client::v5_with(broker.addr(), &format!("{id}-3"), |c| c.props(&[prop::topic_alias_maximum(1)])),
        Client::v5(broker.addr(), &format!("{id}-4")),
    ];
    for (reader, qos) in readers.iter_mut().zip([2, 0, 2, 2]) {
        reader.subscribe("burst/whole/+", qos);
    }
    readers[4].subscribe_with(&[("burst/whole/+", 1)], &[prop::subscription_identifier(5)]);
    readers[4].subscribe_with(&[(TOPICS[0], 2)], &[prop::subscription_identifier(6)]);
    readers
}

/// Makes sure that a message has what it was published with and what its subscription adds.
#[track_caller]
fn assert_is_whole(reader: usize, message: &Publish, number: usize) {
    let (which, published) = kind(number);
    let granted = [2, 0, 2, 2, if which == 0 { 2 } else { 1 }][reader];
    assert_eq!((message.topic.as_str(), message.qos), (TOPICS[which], published.min(granted)), "message {number}");
    let has = |wanted: &Prop| message.props.contains(wanted);
    let user = prop::user_property("n", &number.to_string());
    assert_eq!(has(&user), reader > 0 && number % 5 == 1, "message {number}: {:?}", message.props);
    let expires = message.props.iter().any(|prop| prop.id == prop::message_expiry_interval(1).id);
    assert_eq!(expires, reader > 0 && number % 11 == 2, "message {number}: {:?}", message.props);
    for (id, is_there) in [(5, reader == 4), (6, reader == 4 && which == 0)] {
        assert_eq!(has(&prop::subscription_identifier(id)), is_there, "message {number}");
    }
}

/// Whatever comes together and wherever it is cut: each subscriber gets each message once, whole, and in the order of
/// its topic and QoS.
#[test]
fn what_is_routed_together_arrives_as_if_it_came_alone() {
    let broker = broker();
    for (piece, count, large) in [(1, 60, 99), (13, 400, 99), (1400, 400, 80_000), (70_000, 400, 80_000)] {
        let id = unique("burst-whole");
        let mut readers = readers(&broker, &id);
        let (bytes, sent) = mixed(count, large);
        let mut publisher = Client::v5(broker.addr(), &format!("{id}-pub"));
        bytes.chunks(piece).for_each(|piece| publisher.send(piece));
        for (reader, client) in readers.iter_mut().enumerate() {
            let (mut got, mut alias) = (Payloads::new(), String::new());
            for mut message in client.recv_publishes(count) {
                if message.topic.is_empty() {
                    message.topic.clone_from(&alias);
                } else if message.props.contains(&prop::topic_alias(1)) {
                    alias.clone_from(&message.topic);
                }
                let text = message.text();
                let number = text.split_once(':').and_then(|(number, _)| number.parse().ok()).expect("a number");
                assert_is_whole(reader, &message, number);
                got.entry((message.topic, kind(number).1)).or_default().push(message.payload);
            }
            client.expect_no_publish_before_ping();
            assert!(got == sent, "reader {reader}, pieces of {piece} bytes: not what was sent, or not in its order");
        }
    }
}

/// Members of a group with small windows, one of which goes with its session half-way: nothing is lost.
#[test]
fn a_share_group_loses_nothing_of_a_burst_when_a_member_goes() {
    let broker = broker();
    let mut members: Vec<Client> = (0..3)
        .map(|n| {
            let id = format!("burst-share-{n}");
            let mut client = Client::v5_with(broker.addr(), &id, |c| c.props(&[prop::receive_maximum(5)]));
            client.manual_ack();
            client.subscribe("$share/g/burst/share", 1);
            client
        })
        .collect();
    let mut publisher = Client::v5(broker.addr(), "burst-share-pub");
    publisher.send(&burst("burst/share", 300));
    let going = members.pop().expect("three");
    going.abort_rst();
    assert_eq!(answers(&mut publisher, 300), [0; 300]);
    let mut got = Vec::new();
    let deadline = Instant::now() + TIMEOUT;
    while got.len() < 300 && Instant::now() < deadline {
        for member in &mut members {
            while let Some(message) = member.recv_publish(Duration::from_millis(5)) {
                member.ack(&message);
                got.push(message);
            }
        }
    }
    members.iter_mut().for_each(Client::expect_no_publish_before_ping);
    let mut got = numbers(&got);
    got.sort_unstable();
    assert_eq!(got, (1..=300).collect::<Vec<_>>());
}

/// A session that is taken over again and again while bursts come in gets each message, and first copies in order.
#[test]
fn a_session_taken_over_amid_bursts_gets_everything_in_order() {
    let broker = broker();
    let mut subscriber = durable(broker.addr(), "burst-over");
    subscriber.subscribe("burst/over", 1);
    let mut publisher = Client::v5(broker.addr(), "burst-over-pub");
    let mut seen: Vec<u32> = Vec::new();
    for round in 0..20_u32 {
        let bytes: Vec<u8> = (1..=200_u16)
            .flat_map(|n| {
                let number = round * 200 + u32::from(n);
                publish(Version::V5, "burst/over", number.to_string().as_bytes()).qos(1, n).build()
            })
            .collect();
        publisher.send(&bytes);
        for _ in 0..50 {
            seen.push(subscriber.recv().text().parse().expect("a number"));
        }
        subscriber = durable_manual(broker.addr(), "burst-over");
        subscriber.recv();
        subscriber = durable(broker.addr(), "burst-over");
        assert_eq!(answers(&mut publisher, 200), [0; 200]);
    }
    while seen.last() != Some(&4000) {
        seen.push(subscriber.recv().text().parse().expect("a number"));
    }
    let mut next = 1;
    for number in seen {
        assert!(number <= next, "{number} came before {next}");
        next = next.max(number + 1);
    }
}
