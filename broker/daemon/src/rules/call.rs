//! One call of a rule for people: the message, what the rule made of it, and what it took. What a broker's trace
//! answers and what a dry run found are shown alike.

use std::fmt::Write as _;

use serde_json::Value;

use super::{diff, list, micros, number, text};
use crate::{table::plain, units};

/// Characters of a payload that are shown.
const PAYLOAD_SHOWN: usize = 500;

/// Outputs that are shown of one call.
const OUTPUTS_SHOWN: usize = 20;

/// Members of messages that are shown where they say something.
const MEMBERS: [&str; 15] = [
    "retain",
    "content_type",
    "response_topic",
    "correlation_base64",
    "key",
    "key_base64",
    "id",
    "id_base64",
    "priority",
    "ttl",
    "ttl_ms",
    "client",
    "user",
    "queue",
    "dead",
];

/// The call, ending with a line end.
pub(super) fn shown(index: u64, call: &Value) -> String {
    let mut shown = format!("{index}. rule {}: {}\n", plain(text(&call["rule"])), plain(text(&call["verdict"])));
    let mut line = |name: &str, value: &str| {
        let _a_string_takes_all = writeln!(shown, "   {name:<10} {value}");
    };
    let given = &call["message"];
    message(given, &mut |value| line("message", value));
    let new = &call["changed"];
    if !new.is_null() {
        let changes = diff::lines(&diff::messages(given, new));
        changes.iter().for_each(|change| line("change", change));
    }
    for (name, value) in call["variables"].as_object().into_iter().flatten() {
        line("variable", &format!("{} = {}", plain(name), cut(&plain(text(value)))));
    }
    list(&call["prints"]).iter().for_each(|printed| line("print", &cut(&plain(text(printed)))));
    let outputs = list(&call["outputs"]);
    for output in outputs.iter().take(OUTPUTS_SHOWN) {
        let delay = output["delay_ms"].as_u64().map(|ms| format!(", after {}", units::span(ms))).unwrap_or_default();
        let (to, payload) = (plain(text(&output["to"])), payload(&output["message"]));
        line("output", &format!("to {to}{delay}: {payload}"));
        members(&output["message"], &mut |value| line("", &format!("  {value}")));
    }
    if outputs.len() > OUTPUTS_SHOWN {
        line("output", &format!("... and {} more", outputs.len() - OUTPUTS_SHOWN));
    }
    let keys: Vec<String> = list(&call["state"]).iter().map(|key| plain(text(key))).collect();
    if !keys.is_empty() {
        line("state", &format!("changed: {}", cut(&keys.join(", "))));
    }
    let (operations, time) = (units::count(number(&call["operations"])), micros(number(&call["micros"]) as f64));
    line("took", &format!("{operations} operations, {time}"));
    shown
}

fn message(message: &Value, line: &mut dyn FnMut(&str)) {
    line(&format!("{} (QoS {}): {}", plain(text(&message["topic"])), message["qos"], payload(message)));
    members(message, &mut |value| line(&format!("  {value}")));
}

/// What there is beside topic and payload.
fn members(message: &Value, line: &mut dyn FnMut(&str)) {
    for (name, value) in message["headers"].as_object().into_iter().flatten() {
        line(&format!("header {} = {}", plain(name), diff::shown(value)));
    }
    let said: Vec<String> = MEMBERS
        .iter()
        .filter_map(|name| Some((name, message.get(*name)?)))
        .filter(|(_, value)| !value.is_null() && **value != Value::Bool(false))
        .map(|(name, value)| format!("{name} {}", diff::shown(value)))
        .collect();
    if !said.is_empty() {
        line(&said.join(", "));
    }
}

/// A payload on one line.
fn payload(message: &Value) -> String {
    if let Some(base64) = message["payload_base64"].as_str() {
        return format!("(base64) {}", cut(base64));
    }
    match &message["payload"] {
        Value::String(text) if text.is_empty() => "(no payload)".to_owned(),
        Value::String(text) => cut(&plain(text)),
        other => {
            let hex = other["hex"].as_str().unwrap_or_default();
            format!("({}, hex) {}", units::bytes(number(&other["bytes"])), cut(hex))
        }
    }
}

fn cut(text: &str) -> String {
    if text.chars().count() <= PAYLOAD_SHOWN {
        return text.to_owned();
    }
    text.chars().take(PAYLOAD_SHOWN).chain(['…']).collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_call_is_shown_step_by_step() {
        let call = json!({
            "rule": "units", "verdict": "ok",
            "message": {"topic": "yard/7", "qos": 1, "retain": false, "payload": "{\"temp_f\":186.8}",
                "headers": {"unit": "F"}, "client": "shed"},
            "changed": {"topic": "yard/7", "qos": 1, "retain": false, "payload": "{\"celsius\":86.0}",
                "headers": {"unit": "C"}, "client": "shed"},
            "outputs": [
                {"to": "metric/yard/7", "delay_ms": null, "message": {"payload": "86.0", "retain": true}},
                {"to": "$queue/alarms", "delay_ms": 5000, "message": {"payload_base64": "/w==", "key": "k"}},
                {"to": "raw", "message": {"payload": {"hex": "00ff", "bytes": 2}}},
            ],
            "state": ["alarm/7"], "variables": {"value": "21\n"}, "prints": ["hot"], "operations": 1234, "micros": 85,
        });
        let wanted = "\
1. rule units: ok
   message    yard/7 (QoS 1): {\"temp_f\":186.8}
   message      header unit = \"F\"
   message      client \"shed\"
   change     - headers.unit: \"F\"
   change     + headers.unit: \"C\"
   change     + payload.celsius: 86.0
   change     - payload.temp_f: 186.8
   variable   value = 21\\n
   print      hot
   output     to metric/yard/7: 86.0
                retain true
   output     to $queue/alarms, after 5 s: (base64) /w==
                key \"k\"
   output     to raw: (2 B, hex) 00ff
   state      changed: alarm/7
   took       1,234 operations, 85 µs
";
        assert_eq!(shown(1, &call), wanted);
    }

    #[test]
    fn what_a_failed_call_has_not_is_not_shown() {
        let call = json!({
            "rule": "r", "verdict": "failed: 2:5: error: no", "message": {"topic": "t", "qos": 0, "payload": ""},
            "changed": null, "outputs": [], "state": [], "variables": null, "prints": null, "operations": 3,
            "micros": 2,
        });
        let wanted = "7. rule r: failed: 2:5: error: no\n   message    t (QoS 0): (no payload)\n   \
                      took       3 operations, 2.0 µs\n";
        assert_eq!(shown(7, &call), wanted);
    }
}
