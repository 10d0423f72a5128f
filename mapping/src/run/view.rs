//! Rules, calls and messages as JSON: for commands, and for `primer rules`.

use std::time::Duration;

use primer_core::properties::{Properties, Property};
use serde_json::{Map, Value, json};

use super::trace::Traced;
use crate::{
    message::{Msg, Stage},
    output::{Output, Target, Verdict},
    rule::{Called, Rule, Source},
};

/// Bytes of a payload that are shown.
const PAYLOAD_BYTES_MAX: usize = 4_096;

/// A payload: as a text where it is one.
fn payload(bytes: &[u8]) -> Value {
    match std::str::from_utf8(bytes) {
        Ok(text) if text.len() <= PAYLOAD_BYTES_MAX => json!(text),
        Ok(text) => {
            json!(format!("{}... ({} bytes)", &text[..text.floor_char_boundary(PAYLOAD_BYTES_MAX)], bytes.len()))
        }
        Err(_) => {
            let hex: String = bytes.iter().take(256).map(|byte| format!("{byte:02x}")).collect();
            json!({"hex": hex, "bytes": bytes.len()})
        }
    }
}

/// A message.
#[must_use]
pub fn message(message: &Msg) -> Value {
    let content = message.content();
    let mut all = Map::from_iter([
        ("topic".to_owned(), json!(content.topic.as_str())),
        ("payload".to_owned(), payload(&content.payload)),
        ("qos".to_owned(), json!(content.qos)),
        ("retain".to_owned(), json!(content.retain)),
    ]);
    let mut headers = Map::new();
    for property in Properties::of(&content.properties) {
        match property {
            Property::User(name, value) => drop(headers.insert(name.to_owned(), json!(value))),
            Property::ContentType(text) => drop(all.insert("content_type".to_owned(), json!(text))),
            Property::ResponseTopic(text) => drop(all.insert("response_topic".to_owned(), json!(text))),
            _ => {}
        }
    }
    if !headers.is_empty() {
        all.insert("headers".to_owned(), Value::Object(headers));
    }
    let mut text = |name: &str, value: Option<String>| {
        if let Some(value) = value {
            all.insert(name.to_owned(), json!(value));
        }
    };
    let of_bytes = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    text("key", content.key.as_deref().map(of_bytes));
    text("id", content.id.as_deref().map(of_bytes));
    text("client", content.origin.client.as_deref().map(str::to_owned));
    text("user", content.origin.user.as_deref().map(str::to_owned));
    text("queue", content.origin.queue.as_deref().map(str::to_owned));
    text("ttl", content.ttl.map(|ttl| format!("{ttl:?}")));
    if let Some(priority) = content.priority {
        all.insert("priority".to_owned(), json!(priority));
    }
    all.insert("time".to_owned(), json!(content.origin.time_unix_ms));
    all.insert("hops".to_owned(), json!(content.origin.hops));
    Value::Object(all)
}

/// What a rule has made.
#[must_use]
pub fn output(output: &Output) -> Value {
    let to = match &output.target {
        Target::Topic => output.message.content().topic.to_string(),
        Target::Queue(queue) => format!("$queue/{queue}"),
    };
    json!({"to": to, "delay_ms": output.delay.map(millis), "message": message(&output.message)})
}

/// What became of a message, in a word or a few.
#[must_use]
pub fn verdict(called: &Called) -> String {
    match &called.result {
        Ok(Verdict::Ok) => "ok".to_owned(),
        Ok(Verdict::Drop) => "drop".to_owned(),
        Ok(Verdict::Retry(delay)) => format!("retry after {delay:?}"),
        Ok(Verdict::DeadLetter(why)) => format!("dead_letter: {why}"),
        Ok(Verdict::Refuse(code, why)) => format!("refuse 0x{code:02x}: {why}"),
        Err(failure) => format!("failed: {failure}"),
    }
}

/// One call, step by step.
pub(crate) fn call(traced: &Traced<'_>) -> Value {
    let Traced { rule, message: given, called, trace, took } = traced;
    let changed = (!called.message.is_same(given)).then(|| message(&called.message));
    json!({
        "rule": &**rule,
        "message": message(given),
        "verdict": verdict(called),
        "changed": changed,
        "outputs": called.outputs.iter().map(output).collect::<Vec<Value>>(),
        "state": called.changes.iter().map(|change| change.key.clone()).collect::<Vec<String>>(),
        "variables": trace.as_ref().map(|trace| Map::from_iter(
            trace.variables.iter().map(|(name, value)| (name.clone(), json!(value))),
        )),
        "prints": trace.as_ref().map(|trace| trace.prints.clone()),
        "operations": called.operations,
        "micros": took.as_micros() as u64,
    })
}

/// What a rule says of itself.
pub(crate) fn rule(rule: &Rule) -> Map<String, Value> {
    let (options, limits) = (rule.options(), rule.limits());
    let is_ingress = rule.stage() == Stage::Ingress;
    Map::from_iter([
        ("id".to_owned(), json!(rule.id())),
        ("source".to_owned(), json!(rule.source().to_string())),
        ("stage".to_owned(), json!(if is_ingress { "ingress" } else { "group" })),
        ("script".to_owned(), json!(rule.file())),
        ("line".to_owned(), json!(rule.line())),
        ("queue".to_owned(), json!(queue_of(rule))),
        ("on_error".to_owned(), json!(format!("{:?}", options.on_error))),
        ("operations_max".to_owned(), json!(limits.operations)),
        ("wall_ms_max".to_owned(), json!(millis(limits.wall))),
    ])
}

/// The queue that a rule of stage `group` consumes.
pub(crate) fn queue_of(rule: &Rule) -> Option<String> {
    match (rule.stage(), rule.source()) {
        (Stage::Ingress, _) => None,
        (Stage::Group, Source::Topic(_)) => Some(format!("{}{}", super::OWN_QUEUES, rule.id())),
        (Stage::Group, Source::Queue(queue)) => Some(queue.clone()),
    }
}

pub(crate) fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}
