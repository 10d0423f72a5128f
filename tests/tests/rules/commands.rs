//! What `primer rules` asks a broker for, and what it says of the answers.

use primer_harness::ran::{Ran, lines};
use serde_json::{Value, json};

use crate::answering::Answering;
use crate::fixture::{Place, rules};

/// Runs a command at the broker; what it asked for.
#[track_caller]
fn run(broker: &Answering, words: &[&str]) -> (Ran, Vec<Value>) {
    let ran = rules(&[words, &["-p", &broker.port()]].concat(), "");
    (ran, broker.asked())
}

fn rule(id: &str) -> Value {
    json!({
        "id": id, "source": "yard/+", "stage": "group", "script": "units.rhai", "line": 8, "queue": null,
        "on_error": "DeadLetter", "operations_max": 500_000, "wall_ms_max": 250, "waiting": 12,
        "stats": {"calls": 2, "ok": 1, "operations": 60, "micros": 30, "micros_max": 20, "failures": {"error": 1}},
        "last_failure": "9:21: error: no",
    })
}

#[test]
fn scripts_are_applied_shown_and_taken_back() {
    let place = Place::new();
    let file = place.file("units.rhai", "rule(\"units\", \"yard/+\", |msg| { ok });");
    let broker = Answering::start(json!({
        "applyScript": {"version": 3, "rules": ["units"], "warnings": ["two rules see it"]},
        "getScript": {"name": "units.rhai", "version": 3, "text": "// nothing"},
        "rollbackScript": {"version": 2},
        "removeScript": {},
        "reload": {"loaded": ["a.rhai"], "removed": [],
            "failed": [{"name": "b.rhai", "error": "b.rhai:1:2: no\n1 | x"}]},
    }));
    let (ran, asked) = run(&broker, &["apply", &file]);
    assert_eq!(ran.stdout, "the script \"units.rhai\" is active as version 3; its rules: units\n");
    assert_eq!((ran.code, &*ran.stderr), (Some(0), "primer: two rules see it\n"));
    let text = "rule(\"units\", \"yard/+\", |msg| { ok });";
    let wanted = json!({"command": "applyScript", "name": "units.rhai", "text": text, "check": false});
    assert_eq!(asked, [wanted]);
    let (_, asked) = run(&broker, &["apply", &file, "--check", "--name", "other"]);
    assert_eq!((&asked[0]["name"], &asked[0]["check"]), (&json!("other"), &json!(true)));
    let (ran, asked) = run(&broker, &["show", "units.rhai"]);
    assert_eq!((ran.text(), asked), ("// nothing\n", vec![json!({"command": "getScript", "name": "units.rhai"})]));
    let (_, asked) = run(&broker, &["show", "units.rhai", "--version", "2"]);
    assert_eq!(asked[0]["version"], json!(2));
    let (ran, asked) = run(&broker, &["rollback", "units.rhai"]);
    assert_eq!(ran.text(), "the script \"units.rhai\" is active again as version 2\n");
    assert_eq!(asked, [json!({"command": "rollbackScript", "name": "units.rhai"})]);
    let (ran, asked) = run(&broker, &["rm", "units.rhai", "--json"]);
    assert_eq!((ran.json_with(0), &asked[0]["command"]), (json!({}), &json!("removeScript")));
    let (ran, _) = run(&broker, &["reload"]);
    let wanted = "loaded: a.rhai\nremoved: none\nnot loaded, and as it was before: b.rhai\nb.rhai:1:2: no\n1 | x\n";
    assert_eq!((ran.code, &*ran.stdout), (Some(1), wanted));
}

#[test]
fn what_the_broker_refuses_is_said() {
    let place = Place::new();
    let file = place.file("units.rhai", "rule(");
    let broker = Answering::start(json!({"applyScript": {"error": "units.rhai:1:6: no\n  |\n1 | rule("}}));
    let (ran, _) = run(&broker, &["apply", &file]);
    ran.said(1, &["primer: units.rhai:1:6: no\n  |\n1 | rule("]);
}

#[test]
fn rules_are_listed_and_counted() {
    let broker = Answering::start(json!({
        "listRules": {"rules": [rule("units")], "scripts": [{"name": "units.rhai", "active": 1, "error": null,
            "versions": [{"version": 1, "from": "applied", "time": 0, "bytes": 40}]}],
            "tables": ["devices"], "warnings": [], "directory": null},
        "stats": {"rules": {"units": rule("units")["stats"]}},
        "getState": {"entries": {"alarm/7": true}},
        "resetState": {"entries": 1},
    }));
    let (ran, asked) = run(&broker, &["ls"]);
    assert_eq!(asked, [json!({"command": "listRules"})]);
    let shown = lines(ran.text());
    assert_eq!(shown[..2], ["RULE STAGE SOURCE SCRIPT CALLS FAILED WAITING", "units group yard/+ units.rhai:8 2 1 12"]);
    assert!(shown.contains(&"tables: devices".to_owned()), "{ran:?}");
    let (ran, asked) = run(&broker, &["stats"]);
    assert_eq!(asked, [json!({"command": "stats"}), json!({"command": "listRules"})]);
    assert_eq!(lines(ran.text())[1], "units 2 1 0 0 0 30 15 µs 20 µs 12");
    let (ran, asked) = run(&broker, &["stats", "units"]);
    assert_eq!(asked[0], json!({"command": "stats", "rule": "units"}));
    for line in ["calls 2", "failed: error 1", "operations/call 30", "last failure 9:21: error: no"] {
        assert!(lines(ran.text()).iter().any(|known| known == line), "no {line:?} in {ran:?}");
    }
    let (ran, asked) = run(&broker, &["state", "units"]);
    assert_eq!((lines(ran.text())[1].as_str(), &asked[0]["rule"]), ("alarm/7 true", &json!("units")));
    let (ran, asked) = run(&broker, &["state", "units", "--reset"]);
    assert_eq!(ran.text(), "the rule \"units\" has forgotten 1 entry\n");
    assert_eq!(asked, [json!({"command": "resetState", "rule": "units"})]);
}

#[test]
fn calls_are_traced() {
    let call = json!({
        "rule": "units", "message": {"topic": "yard/7", "payload": "1", "qos": 1}, "verdict": "ok", "changed": null,
        "outputs": [], "state": ["k"], "variables": {"x": "7"}, "prints": ["hot"], "operations": 4, "micros": 12,
    });
    let broker = Answering::start(json!({"trace": {"calls": [call]}}));
    let (ran, asked) = run(&broker, &["trace", "units", "--topic", "yard/#", "-n", "3", "--seconds", "1.5"]);
    let wanted = json!({"command": "trace", "rule": "units", "topic": "yard/#", "calls": 3, "seconds": 2});
    assert_eq!(asked, [wanted]);
    let wanted = [
        "1. rule units: ok",
        "message yard/7 (QoS 1): 1",
        "variable x = 7",
        "print hot",
        "state changed: k",
        "took 4 operations, 12 µs",
        "",
    ];
    assert_eq!(lines(ran.text()), wanted);
    let broker = Answering::start(json!({"trace": {"calls": []}}));
    let (ran, asked) = run(&broker, &["trace"]);
    ran.said(1, &["no rule was called within 30 s"]);
    assert_eq!(asked, [json!({"command": "trace", "calls": 10, "seconds": 30})]);
}

#[test]
fn the_last_messages_of_a_broker_are_tried_on_its_rules_alone() {
    let place = Place::new();
    let script = "rule(\"units\", \"yard/+\", |msg| { publish(\"n\", state.incr(\"n\")); });\n\
                  rule(\"new\", \"yard/+\", |msg| { ok });";
    let file = place.file("units.rhai", script);
    let message = |payload: &str| json!({"topic": "yard/7", "payload": payload, "time": 5, "queue": "rules/units"});
    let broker = Answering::start(json!({
        "listRules": {"rules": [rule("units"), rule("other")]},
        "history": {"messages": [message("a"), message("b")]},
    }));
    let (ran, asked) = run(&broker, &["test", &file, "--last", "50", "--json"]);
    let data = ran.json_with(0);
    assert!(ran.stderr.contains("the broker has no rule \"new\""), "{ran:?}");
    assert_eq!(asked[1..], [json!({"command": "history", "rule": "units", "last": 50})]);
    let calls = |id: &str| data["rules"][id]["calls"].clone();
    assert_eq!((calls("units"), calls("new"), &data["messages"]), (json!(2), json!(0), &json!(2)));
    assert_eq!(data["cases"][1]["outputs"][0]["message"]["payload"], json!("2"));
    let (ran, _) = run(&broker, &["test", &file, "--last", "50", "--rule", "new"]);
    ran.said(1, &["the broker has none of these rules"]);
}
