//! Requests that are understood, and what is said of those that are not.

use primer::{Full, KeyOf};
use serde_json::json;

use super::*;

/// The command of a request with one.
fn one(command: &Value) -> Result<Command, String> {
    let body = json!({"commands": [command]}).to_string();
    let mut all = read(body.as_bytes()).unwrap();
    assert_eq!(all.len(), 1);
    understood(all.remove(0))
}

/// What a command about queues asks for.
fn understood(request: Request) -> Result<Command, String> {
    let name = request.name;
    request.fields.and_then(|fields| command(&name, Fields::new(fields)))
}

/// Holds that a command is refused with these words.
fn refused(command: &Value, words: &[&str]) {
    let why = one(command).unwrap_err();
    for word in words {
        assert!(why.contains(word), "{command}: no {word:?} in {why:?}");
    }
}

#[test]
fn requests_that_are_none_say_what_one_is() {
    for (body, word) in [
        ("", "no JSON"),
        ("{", "line 1 column 1"),
        ("[]", "an object"),
        ("{}", "`commands` is missing"),
        (r#"{"commands":{}}"#, "a list"),
        (r#"{"commands":[]}"#, "empty"),
        (r#"{"commands":[{"command":"stats"}],"comands":1}"#, "`comands`"),
    ] {
        let why = read(body.as_bytes()).unwrap_err();
        assert!(why.contains(word), "{body}: {why}");
    }
    let many = json!({"commands": vec![json!({"command": "stats"}); CONTROL_COMMANDS_MAX + 1]}).to_string();
    assert!(read(many.as_bytes()).unwrap_err().contains("101 commands"));
    assert!(read("[".repeat(50_000).as_bytes()).is_err(), "nothing that is nested deeply takes the stack");
}

#[test]
fn one_wrong_command_leaves_the_others() {
    let body = json!({"commands": [
        {"command": "stats", "correlationData": {"n": 1}},
        {"command": "getQueues"},
        7,
        {"correlationData": "x"},
    ]});
    let all = read(body.to_string().as_bytes()).unwrap();
    let names: Vec<String> = all.iter().map(|one| one.name.clone()).collect();
    assert_eq!(names, ["stats", "getQueues", "unknown", "unknown"]);
    assert_eq!(all[0].correlation, Some(json!({"n": 1})));
    assert_eq!(all[3].correlation, Some(json!("x")));
    let all: Vec<Result<Command, String>> = all.into_iter().map(understood).collect();
    assert!(matches!(all[0], Ok(Command::Stats)));
    let why = all[1].as_ref().unwrap_err();
    assert!(why.contains("`getQueues`") && why.contains("getQueue, createQueue"), "{why}");
    assert!(all[2].is_err() && all[3].is_err());
}

#[test]
fn fields_that_are_wrong_are_named_with_what_is_allowed() {
    refused(&json!({"command": "getQueue"}), &["`name` is missing"]);
    refused(&json!({"command": "getQueue", "name": 7}), &["`name`", "a text", "is 7"]);
    refused(&json!({"command": "getQueue", "name": "a", "nam": 1}), &["`nam`", "it has `name`"]);
    refused(&json!({"command": "stats", "name": "a"}), &["`name`", "it has none"]);
    refused(&json!({"command": "listQueues", "limit": 0}), &["`limit`", "1 to 1000", "is 0"]);
    refused(&json!({"command": "listQueues", "limit": "7"}), &["`limit`", "is \"7\""]);
    refused(&json!({"command": "updateQueue", "name": "a"}), &["`definition` is missing"]);
    refused(&json!({"command": "createQueue", "name": "a", "definition": []}), &["`definition`", "an object"]);
    refused(&json!({"command": "moveMessages", "from": "a", "max": -1}), &["`max`", "is -1"]);
    refused(&json!({"command": "browse", "name": "a", "from": "first"}), &["`from`", "oldest", "\"first\""]);
    refused(&json!({"command": "browse", "name": "a", "topic": "a/#/b"}), &["`topic`", "a/#/b"]);
    refused(&json!({"command": "browse", "name": "a", "header": {"value": "x"}}), &["`header`", "`name` is missing"]);
    refused(&json!({"command": "browse", "name": "a", "payload_max": 65_537}), &["`payload_max`", "0 to 65536"]);
}

#[test]
fn a_look_goes_on_where_the_last_one_ended() {
    for next in [From::Oldest, From::Newest, From::Position(Position(7)), From::Before(Position(u64::MAX))] {
        let shown = super::super::view::next(next);
        let read = one(&json!({"command": "browse", "name": "a", "from": shown}));
        let Ok(Command::Browse { browse, .. }) = read else { panic!("{next:?}: {read:?}") };
        assert_eq!(browse.from, next);
    }
}

#[test]
fn a_definition_is_changed_field_by_field() {
    let base = Definition { messages_max: 7, ..Definition::default() };
    let change = |changes: Value| {
        let Value::Object(changes) = changes else { panic!("an object") };
        changed(&base, changes)
    };
    let wanted = Definition { overflow: Full::DropOldest, key: KeyOf::Property("unit".to_owned()), ..base.clone() };
    assert_eq!(change(json!({"overflow": "drop_oldest", "key": {"property": "unit"}})), Ok(wanted));
    assert_eq!(change(json!({"ttl_ms": null})), Ok(base.clone()));
    for (changes, words) in [
        (json!({"overflw": 1}), ["overflw", "overflow"]),
        (json!({"overflow": "drop"}), ["definition.overflow", "drop_oldest"]),
        (json!({"messages_max": "many"}), ["definition.messages_max", "many"]),
        (json!({"priority": 300}), ["definition.priority", "300"]),
    ] {
        let why = change(changes).unwrap_err();
        assert!(words.iter().all(|word| why.contains(word)), "{why}");
    }
}
