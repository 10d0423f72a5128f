//! A hundred thousand retained messages, and everybody else meanwhile.

use std::collections::HashSet;
use std::time::{Duration, Instant};

use primer_harness::wire;
use primer_harness::{Broker, Client, Version};

use super::longest_stall_during;

const TOPICS: usize = 100_000;

/// How long another client may wait for an answer meanwhile.
const STALL_MAX: Duration = Duration::from_secs(1);

/// Publishes a retained message to each of so many topics, `kept/0/0` and on.
fn publish_retained(client: &mut Client, topics: usize) {
    for block in (0..topics).collect::<Vec<_>>().chunks(1000) {
        let bytes: Vec<u8> = block
            .iter()
            .flat_map(|number| {
                let topic = format!("kept/{}/{number}", number % 100);
                let packet = wire::publish(Version::V5, &topic, number.to_string().as_bytes()).retain();
                if number % 2 == 0 { packet.build() } else { packet.qos(1, (number % 1000) as u16 + 1).build() }
            })
            .collect();
        client.send(&bytes);
        for _ in 0..block.len() / 2 {
            let answer = client.recv_other(primer_harness::TIMEOUT).expect("a PUBACK");
            assert!(answer.reason().is_some_and(|reason| reason < 0x80), "{answer:?}");
        }
    }
    client.ping();
}

fn receive_each_once(client: &mut Client, what: &str) {
    let mut seen = HashSet::new();
    while seen.len() < TOPICS {
        let Some(message) = client.recv_publish(Duration::from_secs(10)) else {
            panic!("{what}: {} of {TOPICS} retained messages came", seen.len());
        };
        if message.topic.starts_with("stall/") {
            continue; // of the client that measures
        }
        assert!(message.retain, "{what}: {}", message.topic);
        assert!(message.topic.ends_with(&format!("/{}", message.text())), "{what}: {}", message.topic);
        assert!(seen.insert(message.topic.clone()), "{what}: {} came twice", message.topic);
    }
    client.ping();
    while let Some(message) = client.recv_publish(Duration::ZERO) {
        assert!(message.topic.starts_with("stall/"), "{what}: {} came beside the others", message.topic);
    }
}

#[test]
fn a_hundred_thousand_retained_messages_come_once_each_and_stall_nobody() {
    let broker = Broker::start();
    let mut publisher = Client::v5(broker.addr(), "publisher");
    let ((), stall) = longest_stall_during(&broker, "early", || publish_retained(&mut publisher, TOPICS));
    assert!(stall < STALL_MAX, "while they were published another client waited for {stall:?}");
    for qos in [0, 1] {
        let what = format!("QoS {qos}");
        let mut taker = Client::v5(broker.addr(), "taker");
        let ((), stall) = longest_stall_during(&broker, "meanwhile", || {
            assert_eq!(taker.subscribe("#", qos), qos);
            receive_each_once(&mut taker, &what);
        });
        assert!(stall < STALL_MAX, "{what}: another client waited for {stall:?}");
    }
}

#[test]
fn a_subscriber_that_does_not_read_its_retained_messages_stalls_nobody() {
    let broker = Broker::start();
    let mut publisher = Client::v5(broker.addr(), "publisher");
    publish_retained(&mut publisher, TOPICS / 4);
    let mut deaf: Vec<Client> = (0..8)
        .map(|number| {
            let mut client = Client::v5(broker.addr(), &format!("deaf-{number}"));
            client.send(&wire::subscribe(Version::V5, 1, &[("#", 1), ("+/+/+", 1), ("kept/#", 0)]));
            client
        })
        .collect();
    let begun = Instant::now();
    let ((), stall) = longest_stall_during(&broker, "meanwhile", || {
        for number in 0..200 {
            publisher.publish_retained(&format!("kept/{number}/{number}"), "newer", 1);
        }
        std::thread::sleep(Duration::from_millis(500));
    });
    assert!(stall < STALL_MAX, "another client waited for {stall:?}");
    assert!(begun.elapsed() < Duration::from_secs(10), "200 publishes took {:?}", begun.elapsed());
    // A message that was replaced meanwhile may come in its old state first, and has to come in its new one at last.
    let reader = deaf.last_mut().expect("eight clients");
    let mut last = None;
    while let Some(message) = reader.recv_publish(Duration::from_secs(1)) {
        if message.topic == "kept/7/7" {
            last = Some(message.text());
        }
    }
    assert_eq!(last.as_deref(), Some("newer"));
}
