//! What is wrong with a file is said with its place, before any broker has it.

use primer_harness::ran::lines;
use serde_json::json;

use crate::fixture::{Place, rules};

#[test]
fn good_files_are_listed_with_their_rules() {
    let place = Place::new();
    let file = place.file("set/a.rhai", "rule(\"a\", \"x/+\", #{ stage: \"ingress\", wall: \"5ms\" }, |msg| { ok });");
    place.file("set/b.rhai", "\nrule(\"b\", \"$queue/q\", |msg| { ok });");
    place.file("set/devices.csv", "id,name\n1,x\n");
    let ran = rules(&["check", &place.arg("set")], "");
    let listed = lines(ran.text());
    assert_eq!(listed[0], "RULE STAGE SOURCE OPERATIONS TIME SCRIPT");
    assert_eq!(listed[1], format!("a ingress x/+ 50,000 5 ms {file}:1"));
    assert!(listed[2].starts_with("b group $queue/q 500,000 250 ms ") && listed[2].ends_with("b.rhai:2"), "{ran:?}");
    let json = rules(&["check", "--json", &file], "").json_with(0);
    assert_eq!((&json["rules"][0]["id"], &json["rules"][0]["wall_ms_max"]), (&json!("a"), &json!(5)));
    assert!(rules(&["check", &place.file("none.rhai", "let x = 1;")], "").text().contains("there is no rule"));
}

#[test]
fn what_is_wrong_is_shown_where_it_is() {
    let place = Place::new();
    for (name, script, words) in [
        ("syntax", "rule(\"a\", \"t\", |msg| {\n  let = 1;\n});", &["syntax.rhai:2:7", "let = 1;", "^"][..]),
        ("unknown", "rule(\"a\", \"t\", |msg| {\n  publsh(msg);\n});", &["unknown.rhai:2:3", "publsh"]),
        ("option", "rule(\"a\", \"t\", #{ retrys: 1 }, |msg| { ok });", &["option.rhai:1:", "retrys", "retries"]),
        ("filter", "rule(\"a\", \"t/#/x\", |msg| { ok });", &["filter.rhai:1:", "t/#/x"]),
        ("limit", "rule(\"a\", \"t\", #{ operations: 999999999 }, |msg| { ok });", &["limit.rhai:1:", "500000"]),
        (
            "loop",
            "rule(\"a\", \"x\", |msg| { publish(\"y\", 1); });\nrule(\"b\", \"y\", |msg| { publish(\"x\", 1); });",
            &["loop.rhai:1:", "a -> b -> a", "may_loop"],
        ),
        ("evaluate", "while true {}", &["evaluate.rhai", "operations"]),
    ] {
        let file = place.file(&format!("{name}.rhai"), script);
        let ran = rules(&["check", &file], "");
        ran.said(1, words);
        assert_eq!(ran.stdout, "");
        let json = rules(&["check", "--json", &file], "").json_with(1);
        assert_eq!(json["errors"][0]["file"], json!(file));
        // The dry run says the same.
        rules(&["test", &file, "--stdin"], "").said(1, words);
    }
    let (one, two) = (place.arg("syntax.rhai"), place.arg("unknown.rhai"));
    rules(&["check", &one, &two], "").said(1, &["syntax.rhai:2:7", "unknown.rhai:2:3", "2 things are wrong"]);
    let twice = place.file("twice.rhai", "rule(\"a\", \"t\", |msg| { ok });");
    let again = place.file("again.rhai", "rule(\"a\", \"t\", |msg| { ok });");
    rules(&["check", &twice, &again], "").said(1, &["twice.rhai:1", "again.rhai:1", "\"a\" is there already"]);
}

#[test]
fn files_that_cannot_be_read_are_named() {
    let place = Place::new();
    rules(&["check"], "").said(2, &["<FILE>"]);
    rules(&["check", &place.arg("missing.rhai")], "").said(1, &["the file ", "missing.rhai", "No such file"]);
    rules(&["check", &place.arg("")], "").said(1, &["no file that ends in .rhai"]);
    rules(&["check", &place.file("long.rhai", &" ".repeat(300_000))], "").said(1, &["long.rhai", "262144 bytes"]);
}
