//! What is other of one message than of another: its members, and those of its payload where both are JSON.

use serde_json::{Map, Value};

/// Characters of a value that are shown.
const SHOWN_MAX: usize = 300;

/// Changes that are shown of one message.
const CHANGES_MAX: usize = 60;

/// One place that is other.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Change {
    /// Where: `topic`, `headers.unit`, `payload.celsius`, `payload.all[2]`.
    pub(super) at: String,
    /// What was there.
    pub(super) old: Option<Value>,
    /// What is there.
    pub(super) new: Option<Value>,
}

/// What is other of a message; both as `primer rules` shows them.
pub(super) fn messages(old: &Value, new: &Value) -> Vec<Change> {
    let mut changes = Vec::new();
    let (Some(before), Some(after)) = (old.as_object(), new.as_object()) else {
        values("message", Some(old), Some(new), &mut changes);
        return changes;
    };
    for name in names(before, after) {
        let (one, other) = (before.get(name), after.get(name));
        if one == other {
            continue;
        }
        match (name, one.and_then(parsed), other.and_then(parsed)) {
            ("payload", Some(one), Some(other)) if one == other => changes.push(Change {
                at: "payload (the same JSON, written otherwise)".to_owned(),
                old: before.get(name).cloned(),
                new: after.get(name).cloned(),
            }),
            ("payload", Some(one), Some(other)) => values("payload", Some(&one), Some(&other), &mut changes),
            _ => values(name, one, other, &mut changes),
        }
    }
    changes
}

/// The JSON that a payload is, if it is an object or an array.
fn parsed(payload: &Value) -> Option<Value> {
    let value: Value = serde_json::from_str(payload.as_str()?).ok()?;
    (value.is_object() || value.is_array()).then_some(value)
}

fn names<'v>(one: &'v Map<String, Value>, other: &'v Map<String, Value>) -> Vec<&'v str> {
    let mut names: Vec<&str> = one.keys().chain(other.keys()).map(String::as_str).collect();
    names.sort_unstable();
    names.dedup();
    names
}

fn values(at: &str, old: Option<&Value>, new: Option<&Value>, changes: &mut Vec<Change>) {
    if old == new {
        return;
    }
    match (old, new) {
        (Some(Value::Object(old)), Some(Value::Object(new))) => {
            for name in names(old, new) {
                values(&member(at, name), old.get(name), new.get(name), changes);
            }
        }
        (Some(Value::Array(old)), Some(Value::Array(new))) => {
            for index in 0..old.len().max(new.len()) {
                values(&format!("{at}[{index}]"), old.get(index), new.get(index), changes);
            }
        }
        _ => changes.push(Change { at: at.to_owned(), old: old.cloned(), new: new.cloned() }),
    }
}

fn member(at: &str, name: &str) -> String {
    let is_plain = !name.is_empty() && name.chars().all(|c| c.is_alphanumeric() || matches!(c, '_' | '-'));
    if is_plain { format!("{at}.{name}") } else { format!("{at}[{}]", Value::from(name)) }
}

/// Lines for people: `- at: old` and `+ at: new`.
pub(super) fn lines(changes: &[Change]) -> Vec<String> {
    let mut lines = Vec::new();
    for Change { at, old, new } in changes.iter().take(CHANGES_MAX) {
        lines.extend(old.iter().map(|old| format!("- {at}: {}", shown(old))));
        lines.extend(new.iter().map(|new| format!("+ {at}: {}", shown(new))));
    }
    if changes.len() > CHANGES_MAX {
        lines.push(format!("  ... and {} more", changes.len() - CHANGES_MAX));
    }
    lines
}

/// A value on one line. JSON quotes what would move the cursor, but for U+007F to U+009F.
pub(super) fn shown(value: &Value) -> String {
    let text = crate::table::plain(&value.to_string());
    if text.chars().count() <= SHOWN_MAX {
        return text;
    }
    text.chars().take(SHOWN_MAX).chain(['…']).collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn diff(old: &Value, new: &Value) -> Vec<String> {
        lines(&messages(old, new))
    }

    #[test]
    fn payloads_of_json_differ_member_by_member() {
        let old = json!({"topic": "a", "qos": 1, "payload": r#"{"f":186.8,"deep":{"x":1,"y":2},"all":[1,2],"a b":0}"#});
        let new = json!({
            "topic": "m/a", "qos": 1, "payload": r#"{"c":86.0,"deep":{"x":1,"y":3},"all":[1,2,{}],"a b":"0"}"#,
        });
        let wanted = [
            "- payload[\"a b\"]: 0",
            "+ payload[\"a b\"]: \"0\"",
            "+ payload.all[2]: {}",
            "+ payload.c: 86.0",
            "- payload.deep.y: 2",
            "+ payload.deep.y: 3",
            "- payload.f: 186.8",
            "- topic: \"a\"",
            "+ topic: \"m/a\"",
        ];
        assert_eq!(diff(&old, &new), wanted);
    }

    #[test]
    fn other_payloads_are_shown_before_and_after() {
        let of = |payload: &str| json!({"payload": payload, "headers": {"unit": "F"}});
        assert_eq!(diff(&of("12"), &of("13")), ["- payload: \"12\"", "+ payload: \"13\""]);
        assert_eq!(diff(&of("{}"), &of("x")), ["- payload: \"{}\"", "+ payload: \"x\""]);
        let hex = json!({"payload_base64": "/w==", "headers": {"unit": "F", "n": "1"}});
        let wanted = ["+ headers.n: \"1\"", "- payload: \"x\"", "+ payload_base64: \"/w==\""];
        assert_eq!(diff(&of("x"), &hex), wanted);
        assert_eq!(diff(&of("x"), &of("x")), [""; 0]);
        let again = diff(&of("{\"a\": 1}"), &of("{\"a\":1}"));
        assert!(again.len() == 2 && again[0].contains("the same JSON, written otherwise"), "{again:?}");
    }

    #[test]
    fn what_is_long_is_cut() {
        let many = |n: u32| json!({"payload": json!((0..100).map(|i| i + n).collect::<Vec<_>>()).to_string()});
        let lines = diff(&many(0), &many(1));
        assert_eq!((lines.len(), &*lines[120]), (121, "  ... and 40 more"));
        assert_eq!(shown(&json!("x".repeat(500))).chars().count(), SHOWN_MAX + 1);
        assert_eq!(shown(&json!("\u{1b}[2J\u{9b}")), "\"\\u001b[2J\\u{9b}\"");
    }
}
