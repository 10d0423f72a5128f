//! `primer queue` as a process, against a broker of the test's own.

use primer_harness::ran::{self, Ran};
use primer_harness::{Broker, Client};
use serde_json::{Value, json};

/// Runs `primer queue` with these words, and then these, at a broker.
#[track_caller]
pub(crate) fn queue(broker: &Broker, words: &str, more: &[&str]) -> Ran {
    queue_with(broker, words, more, b"")
}

/// The same with something on standard input.
#[track_caller]
pub(crate) fn queue_with(broker: &Broker, words: &str, more: &[&str], input: &[u8]) -> Ran {
    let port = broker.port().to_string();
    let words: Vec<&str> = words.split_ascii_whitespace().collect();
    run(&[&words[..], more, &["-p", &port]].concat(), input)
}

/// Runs `primer queue` with these arguments.
#[track_caller]
pub(crate) fn run(arguments: &[&str], input: &[u8]) -> Ran {
    ran::run(&[&["queue"], arguments].concat(), input)
}

/// The texts of messages.
#[track_caller]
pub(crate) fn texts(messages: &Value) -> Vec<&str> {
    let messages = messages.as_array().unwrap_or_else(|| panic!("no list: {messages}"));
    messages.iter().map(|one| one["text"].as_str().unwrap_or("(no text)")).collect()
}

/// Gives commands as any client can, and answers the responses.
#[track_caller]
pub(crate) fn ask(client: &mut Client, commands: &Value) -> Vec<Value> {
    assert_eq!(client.publish("$CONTROL/queue/v1", json!({"commands": commands}).to_string(), 1), 0);
    responses(client)
}

/// The next responses.
#[track_caller]
pub(crate) fn responses(client: &mut Client) -> Vec<Value> {
    let answer = client.recv();
    assert_eq!((&*answer.topic, answer.qos), ("$CONTROL/queue/v1/response", 0));
    let mut answer: Value = serde_json::from_slice(&answer.payload).expect("JSON");
    match answer["responses"].take() {
        Value::Array(responses) => responses,
        other => panic!("no list of responses: {other}"),
    }
}
