//! One call of a dry run as JSON, with the members that a broker's trace has too.

use std::time::Duration;

use base64::{Engine, engine::general_purpose::STANDARD};
use primer_core::properties::{Properties, Property};
use primer_mapping::{Called, Msg, Output, Target, Verdict, record};
use serde_json::{Map, Value, json};

use crate::{rules::diff, units};

/// The call of a rule.
pub(super) fn json(rule: &str, given: &Msg, called: &Called, took: Duration) -> Value {
    let before = message(given);
    let changed = (!called.message.is_same(given)).then(|| message(&called.message));
    let changed = changed.filter(|after| *after != before);
    let changes = changed.as_ref().map(|after| diff::messages(&before, after)).unwrap_or_default();
    let diff = changes.iter().map(|change| json!({"at": change.at, "old": change.old, "new": change.new}));
    let trace = called.trace.as_ref();
    json!({
        "rule": rule,
        "message": before,
        "verdict": verdict(called),
        "diff": diff.collect::<Vec<Value>>(),
        "changed": changed,
        "outputs": called.outputs.iter().map(output).collect::<Vec<Value>>(),
        "state": called.changes.iter().map(|change| &*change.key).collect::<Vec<&str>>(),
        "variables": trace.map(|trace| {
            trace.variables.iter().map(|(name, value)| (name.clone(), json!(value))).collect::<Map<String, Value>>()
        }),
        "prints": trace.map(|trace| &trace.prints),
        "operations": called.operations,
        "micros": u64::try_from(took.as_micros()).unwrap_or(u64::MAX),
    })
}

/// Where an output goes.
pub(super) fn destination(output: &Output) -> String {
    match &output.target {
        Target::Topic => output.message.content().topic.to_string(),
        Target::Queue(queue) => format!("$queue/{queue}"),
    }
}

fn output(output: &Output) -> Value {
    json!({
        "to": destination(output),
        "delay_ms": output.delay.map(units::millis),
        "message": message(&output.message),
    })
}

/// A message as a record has it, with its properties by their names.
fn message(message: &Msg) -> Value {
    let mut value = record::to_json(message);
    let Some(all) = value.as_object_mut() else { return value };
    all.remove("properties_base64");
    let mut headers: Map<String, Value> = Map::new();
    for property in Properties::of(&message.content().properties) {
        match property {
            Property::User(name, text) => match headers.get_mut(name) {
                None => drop(headers.insert(name.to_owned(), json!(text))),
                Some(Value::Array(texts)) => texts.push(json!(text)),
                Some(first) => *first = json!([first.take(), text]),
            },
            Property::ContentType(text) => drop(all.insert("content_type".to_owned(), json!(text))),
            Property::ResponseTopic(text) => drop(all.insert("response_topic".to_owned(), json!(text))),
            Property::CorrelationData(bytes) => {
                all.insert("correlation_base64".to_owned(), json!(STANDARD.encode(bytes)));
            }
            _ => {}
        }
    }
    if !headers.is_empty() {
        all.insert("headers".to_owned(), Value::Object(headers));
    }
    value
}

fn verdict(called: &Called) -> String {
    match &called.result {
        Ok(Verdict::Ok) => "ok".to_owned(),
        Ok(Verdict::Drop) => "drop".to_owned(),
        Ok(Verdict::Retry(delay)) => format!("retry after {}", units::span(units::millis(*delay))),
        Ok(Verdict::DeadLetter(why)) => format!("dead_letter: {why}"),
        Ok(Verdict::Refuse(code, why)) => format!("refuse 0x{code:02x}: {why}"),
        Err(failure) => format!("failed: {failure}"),
    }
}

#[cfg(test)]
mod tests {
    use primer_core::properties::put;
    use primer_mapping::{Content, Host, How, RuleState, Ruleset};

    use super::*;

    #[test]
    fn a_case_has_the_message_what_changed_and_what_would_go_where() {
        let script = r#"rule("r", "a", |msg| {
            msg.json.n += 1; msg.headers["unit"] = "C"; enqueue("q", msg, #{ delay: "2s" }); publish(msg);
            state.set("k", 1);
        });"#;
        let set = Ruleset::load(&Host::new(), &[("f", script)]).unwrap();
        let mut properties = Vec::new();
        for (name, value) in [("tag", "x"), ("tag", "y"), ("tag", "z")] {
            assert!(put(&mut properties, Property::User(name, value)));
        }
        let payload = b"{\"n\":1}"[..].into();
        let given =
            Msg::new(Content { topic: "a".into(), payload, properties: properties.into(), ..Content::default() });
        let called = set.rules()[0].call(&given, &mut RuleState::new(9, 999), How { now_unix_ms: 5, is_traced: true });
        let case = json("r", &given, &called, Duration::from_micros(7));
        assert_eq!(
            (&case["verdict"], &case["micros"], &case["state"]),
            (&json!("ok"), &json!(7), &json!(["k"])),
            "{case}"
        );
        assert_eq!(case["message"]["headers"]["tag"], json!(["x", "y", "z"]));
        let wanted = json!([
            {"at": "headers.unit", "old": null, "new": "C"},
            {"at": "payload.n", "old": 1, "new": 2},
        ]);
        assert_eq!(case["diff"], wanted);
        let outputs = case["outputs"].as_array().unwrap();
        assert_eq!((&outputs[0]["to"], &outputs[0]["delay_ms"]), (&json!("$queue/q"), &json!(2000)));
        assert_eq!((&outputs[1]["to"], &outputs[1]["delay_ms"]), (&json!("a"), &Value::Null));
        assert!(record::from_json(&case["message"]).is_ok());
    }
}
