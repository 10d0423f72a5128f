//! Rules on a node: what becomes of messages, and of scripts.

#![expect(clippy::unwrap_used, reason = "tests fail by panicking")]

mod crash;
mod directory;
mod outcomes;
mod scripts;

#[path = "../../../storage/tests/sim/mod.rs"]
mod sim;

use std::{sync::Arc, time::Duration};

use primer::{Consumer, Delivery, Fields, Message, Node, journal};
use primer_mapping::{Host, Mapping};
use serde_json::{Value, json};

const LONG: Duration = Duration::from_secs(20);

async fn memory() -> Node {
    Node::builder().start().await.unwrap()
}

async fn on(disk: &sim::SimDisk) -> Node {
    let small = journal::Options { budget_bytes: journal::BUDGET_BYTES_MIN, ..journal::Options::default() };
    Node::builder().disk(Arc::new(disk.clone())).store(small).start().await.unwrap()
}

/// Rules on a node, of one script.
async fn with_script(node: &Node, text: &str) -> Mapping {
    let mapping = Mapping::start(node, Host::new(), None);
    mapping.apply("test", text).await.unwrap_or_else(|why| panic!("{why}"));
    mapping
}

fn consumer(node: &Node, queue: &str) -> Consumer {
    node.queue(queue).unwrap().consume(100).unwrap()
}

async fn next(consumer: &mut Consumer) -> Delivery {
    tokio::time::timeout(LONG, consumer.next()).await.expect("in time").expect("the node runs")
}

/// The texts of the next messages, which are acknowledged.
async fn texts(consumer: &mut Consumer, count: usize) -> Vec<String> {
    let mut texts = Vec::new();
    while texts.len() < count {
        let delivery = next(consumer).await;
        texts.push(delivery.text().unwrap().to_owned());
        delivery.ack().unwrap();
    }
    texts
}

/// Waits until something is so.
async fn until(what: &str, is_so: impl Fn() -> bool) {
    let begun = tokio::time::Instant::now();
    while !is_so() {
        assert!(begun.elapsed() < LONG, "not in time: {what}");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

/// A command about rules, as it comes over MQTT.
async fn ask(node: &Node, command: &str, fields: Value) -> Result<Value, String> {
    let Value::Object(fields) = fields else { panic!("no fields: {fields}") };
    node.commands(primer_mapping::COMMANDS).unwrap().carry_out(command, Fields::new(fields), 1 << 20).await
}

async fn stats(node: &Node, rule: &str) -> Value {
    ask(node, "stats", json!({"rule": rule})).await.unwrap()["rules"][rule].clone()
}

async fn publish(node: &Node, topic: &str, payload: &str) {
    node.publish(Message::new(payload.as_bytes().to_vec()).topic(topic)).await.unwrap();
}

fn waiting(node: &Node, queue: &str) -> usize {
    node.find_queue(queue).map_or(0, |queue| queue.info().messages)
}
