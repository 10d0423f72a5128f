//! `primer queue` as a process, against a broker of the test's own.

use std::io::Write;
use std::process::Stdio;

use primer_harness::{Broker, Client, program};
use serde_json::{Value, json};

/// What a command left.
#[derive(Debug)]
pub(crate) struct Ran {
    pub(crate) code: Option<i32>,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

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
    let mut command = program::command();
    command.arg("queue").args(arguments);
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().expect("the program starts");
    // One that reads nothing may have ended.
    let _ = child.stdin.take().expect("its standard input").write_all(input);
    let output = child.wait_with_output().expect("its end");
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).expect("text from the program");
    let ran = Ran { code: output.status.code(), stdout: text(output.stdout), stderr: text(output.stderr) };
    assert!(!ran.stderr.contains("panicked"), "{arguments:?}: {ran:?}");
    ran
}

impl Ran {
    /// What it printed, where all went well.
    #[track_caller]
    pub(crate) fn text(&self) -> &str {
        assert_eq!((self.code, &*self.stderr), (Some(0), ""), "{self:?}");
        &self.stdout
    }

    /// The same of a command with `--json`.
    #[track_caller]
    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(self.text()).unwrap_or_else(|error| panic!("no JSON ({error}): {self:?}"))
    }

    /// Holds that it did nothing, and said so with these words.
    #[track_caller]
    pub(crate) fn failed(&self, code: i32, words: &[&str]) {
        assert_eq!((self.code, &*self.stdout), (Some(code), ""), "{self:?}");
        for word in words {
            assert!(self.stderr.contains(word), "no {word:?}: {self:?}");
        }
    }
}

/// The lines of a text with single spaces.
pub(crate) fn lines(text: &str) -> Vec<String> {
    text.lines().map(|line| line.split_ascii_whitespace().collect::<Vec<_>>().join(" ")).collect()
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
