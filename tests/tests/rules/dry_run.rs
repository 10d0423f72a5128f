//! What a dry run counts and shows, of messages on standard input.

use primer_harness::ran::lines;
use serde_json::{Value, json};

use crate::fixture::{Place, rules};

const UNITS: &str = r#"
rule("units", "yard/+", |msg| {
    let value = msg.json;
    value.celsius = round((value.temp_f - 32.0) / 1.8, 1);
    value.remove("temp_f");
    msg.json = value;
    if value.celsius > 80.0 { enqueue("alarms", msg, #{ delay: "5s" }); }
    publish("metric/" + msg.topic, msg);
    print("was " + msg.topic);
    state.incr("seen");
    ok
});
"#;

#[test]
fn a_message_is_shown_with_what_would_come_of_it() {
    let place = Place::new();
    let file = place.file("units.rhai", UNITS);
    let input =
        "{\"topic\":\"yard/7\",\"payload\":{\"temp_f\":186.8,\"door\":\"open\"},\"headers\":{\"unit\":\"F\"}}\n";
    let ran = rules(&["test", &file, "--stdin", "--trace"], input);
    let shown = lines(ran.text());
    for line in [
        &*format!("rule units: stage group, on yard/+, {file}:2"),
        "messages 1 seen, 1 matched, 1 changed",
        "verdicts 1 ok",
        "outputs 2",
        "1 to $queue/alarms",
        "1 to metric/yard/7",
        "1. rule units: ok",
        "message yard/7 (QoS 0): {\"door\":\"open\",\"temp_f\":186.8}",
        "message header unit = \"F\"",
        "change + payload.celsius: 86.0",
        "change - payload.temp_f: 186.8",
        "print was yard/7",
        "output to $queue/alarms, after 5 s: {\"celsius\":86.0,\"door\":\"open\"}",
        "output to metric/yard/7: {\"celsius\":86.0,\"door\":\"open\"}",
        "state changed: seen",
    ] {
        assert!(shown.iter().any(|known| known == line), "no {line:?} in {}", ran.stdout);
    }
    assert!(shown.iter().any(|line| line.starts_with("variable value = ")), "{}", ran.stdout);
    assert!(shown.iter().any(|line| line.starts_with("time mean ")), "{}", ran.stdout);
}

#[test]
fn failures_are_counted_by_reason_and_are_no_success() {
    let place = Place::new();
    let script = r#"rule("f", "+", #{ operations: 1000 }, |msg| {
  if msg.text == "loop" { loop {} }
  if msg.text == "bad" { throw "no good"; }
  if msg.text == "gone" { return drop; }
});"#;
    let file = place.file("f.rhai", script);
    let ran = rules(&["test", &file, "--stdin", "--topic", "t", "--json"], "loop\nbad\nfine\nbad\ngone\n");
    let data = ran.json_with(1);
    let rule = &data["rules"]["f"];
    assert_eq!((&data["messages"], &rule["calls"], &rule["changed"]), (&json!(5), &json!(5), &json!(0)));
    assert_eq!(rule["verdicts"], json!({"ok": 1, "drop": 1}));
    assert_eq!((&rule["failures"]["error"]["count"], &rule["failures"]["operations"]["count"]), (&json!(2), &json!(1)));
    let first = rule["failures"]["error"]["first"].as_str().unwrap_or_default();
    assert!(first.starts_with("3:26: error: no good"), "{first}");
    for name in ["mean", "p99", "max"] {
        assert!(rule["micros"][name].as_f64().is_some_and(|time| time > 0.0), "{rule}");
    }
    assert!(rule["operations"]["max"].as_u64().is_some_and(|most| (900..1100).contains(&most)), "{rule}");
    let shown = rules(&["test", &file, "--stdin", "--topic", "t"], "bad\n");
    shown.said(1, &[]);
    assert!(shown.stdout.contains("failed      1 error; the first: 3:26: error: no good"), "{}", shown.stdout);
}

#[test]
fn state_goes_on_and_the_clock_is_that_of_the_messages() {
    let place = Place::new();
    let script = "rule(\"s\", \"a\", |msg| { if !state.once(\"k\", \"1h\") { return drop; } publish(\"n\", now()); });";
    let file = place.file("s.rhai", script);
    let at = |time: u64| format!("{{\"topic\":\"a\",\"payload\":\"\",\"time\":{time}}}\n");
    let input = [1_000, 2_000, 3_700_000].map(at).concat();
    let data = rules(&["test", &file, "--stdin", "--json", "--all"], &input).json_with(0);
    let outputs: Vec<&Value> = data["cases"]
        .as_array()
        .expect("cases")
        .iter()
        .flat_map(|case| case["outputs"].as_array().into_iter().flatten())
        .map(|output| &output["message"]["payload"])
        .collect();
    assert_eq!(outputs, [&json!("1000"), &json!("3700000")]);
}

#[test]
fn tables_come_from_the_directory_of_the_file_or_another() {
    let place = Place::new();
    let file =
        place.file("set/t.rhai", "rule(\"t\", \"a\", |msg| { publish(\"b\", lookup(\"devices\", msg.text).room); });");
    place.file("set/devices.csv", "id,room\n7,hall\n");
    place.file("other/devices.json", "{\"7\":{\"room\":\"attic\"}}");
    let room = |more: &[&str]| {
        let arguments = [&["test", &file, "--stdin", "--topic", "a", "--json"], more].concat();
        rules(&arguments, "7").json_with(0)["cases"][0]["outputs"][0]["message"]["payload"].clone()
    };
    assert_eq!((room(&[]), room(&["--tables", &place.arg("other")])), (json!("hall"), json!("attic")));
    place.file("other/devices.json", "{");
    let wrong = rules(&["test", &file, "--stdin", "--tables", &place.arg("other")], "");
    wrong.said(1, &["the table ", "devices.json", "line 1"]);
}

#[test]
fn cases_are_as_many_as_are_wanted_and_rules_that_are_named() {
    let place = Place::new();
    let file = place.file("two.rhai", "rule(\"a\", \"t\", |msg| { ok }); rule(\"b\", \"t\", |msg| { ok });");
    let input = "1\n".repeat(20);
    let count = |more: &[&str]| {
        let arguments = [&["test", &file, "--stdin", "--topic", "t", "--json"], more].concat();
        let data = rules(&arguments, &input).json_with(0);
        (data["cases"].as_array().map_or(0, Vec::len), data["rules"].as_object().map_or(0, |all| all.len()))
    };
    assert_eq!(count(&[]), (10, 2));
    assert_eq!(count(&["-n", "3", "--rule", "b"]), (3, 1));
    assert_eq!(count(&["--all"]), (40, 2));
    let shown = rules(&["test", &file, "--stdin", "--topic", "t", "--all"], &input);
    let at = |text: &str| shown.text().find(text).unwrap_or_else(|| panic!("no {text:?}"));
    assert!(at("40. rule b: ok") < at("rule a: stage group"), "the figures come at the end");
    rules(&["test", &file, "--stdin", "--rule", "c"], "").said(1, &["no rule \"c\"", "a, b"]);
}

#[test]
fn arguments_and_lines_that_are_wrong_are_said() {
    let place = Place::new();
    let file = place.file("a.rhai", "rule(\"a\", \"t/+\", |msg| { ok });");
    rules(&["test", &file], "").said(2, &["--last", "--dump", "--stdin", "--live"]);
    rules(&["test", &file, "--stdin", "--last", "3"], "").said(2, &["cannot be used with"]);
    rules(&["test", &file, "--topic", "t"], "").said(2, &["--stdin"]);
    rules(&["test", &file, "--stdin", "--topic", "t/+"], "").said(1, &["no topic to publish to"]);
    rules(&["test", &file, "--stdin", "--topic", "other"], "1\n").said(1, &["no message came"]);
    let input = "{\"topic\":\"t/1\",\"payload\":1}\n{\"topic\":\"t/1\",\"payload\":1,\"qoss\":1}\n";
    let ran = rules(&["test", &file, "--stdin"], input);
    ran.said(1, &["line 2 of standard input", "no member \"qoss\"", "qos"]);
    assert!(ran.stdout.contains("1 seen, 1 matched"), "what came before is told: {ran:?}");
}
