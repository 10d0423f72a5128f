//! A broker with a directory of rules, and what it is asked.

use std::time::{Duration, Instant};

use primer_harness::{Broker, Client, Launch, TIMEOUT};
use serde_json::{Value, json};

use crate::fixture::Place;

/// A broker in memory with the rules of a folder.
pub(crate) fn serve(folder: &Place) -> Broker {
    Launch::new().args(&["--rules", folder.path()]).start()
}

/// The figures of a rule.
#[track_caller]
pub(crate) fn stats(client: &mut Client, rule: &str) -> Value {
    let answer = ask(client, &json!({"command": "stats", "rule": rule}));
    answer["data"]["rules"][rule].clone()
}

/// Gives one command about rules.
#[track_caller]
pub(crate) fn ask(client: &mut Client, command: &Value) -> Value {
    assert_eq!(client.publish("$CONTROL/rules/v1", json!({"commands": [command]}).to_string(), 1), 0);
    let answer = client.recv();
    assert_eq!(answer.topic, "$CONTROL/rules/v1/response");
    let answer: Value = serde_json::from_slice(&answer.payload).expect("JSON");
    answer["responses"][0].clone()
}

/// Waits until something is so, asking now and then.
#[track_caller]
pub(crate) fn until(what: &str, mut is_so: impl FnMut() -> bool) {
    let begun = Instant::now();
    while !is_so() {
        assert!(begun.elapsed() < TIMEOUT, "not in time: {what}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// Takes all texts out of a queue, until none has come for a while.
pub(crate) fn drain(broker: &Broker, queue: &str) -> Vec<String> {
    let mut client = Client::v5(broker.addr(), &format!("drain-{queue}"));
    assert!(client.subscribe(&format!("$queue/{queue}"), 1) < 0x80);
    let mut texts = Vec::new();
    while let Some(message) = client.recv_publish(Duration::from_secs(2)) {
        texts.push(message.text());
    }
    client.disconnect();
    texts
}
