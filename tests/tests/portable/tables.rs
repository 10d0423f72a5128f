//! Tables: what a node keeps beside its queues, such as the scripts of mapping rules and what they remember.

use std::fs;

use primer_harness::{Broker, Client, Launch};
use serde_json::{Value, json};

use crate::faults::refused;
use crate::fixture::{Place, content, lines, primer, primer_with, serve, stop};
use crate::large::measured;
use crate::queue_lines::made_up;

const NOTHING_ELSE: &str = r#""sessions":0,"queues":0,"tables":1,"messages":0"#;

/// A rule that counts.
fn counting(output: &str) -> String {
    format!(
        r#"rule("count", "in/+", |msg| {{
            let n = state.get("n", 0) + 1;
            state.set("n", n);
            enqueue("{output}", `${{n}}`);
            ok
        }});"#
    )
}

/// A broker with a directory of one script.
fn serve_rules(place: &Place, data: &str, name: &str, script: &str) -> Broker {
    let rules = place.path("rules");
    let _none_was_left = fs::remove_dir_all(&rules);
    fs::create_dir_all(&rules).expect("a directory");
    fs::write(rules.join(name), script).expect("a script");
    Launch::new().args(&["--rules", &place.arg("rules"), "--data", data, "--drain-timeout", "0"]).start()
}

/// Publishes so many messages, and takes as many out of a queue.
#[track_caller]
fn counted(broker: &Broker, messages: usize, queue: &str) -> Vec<String> {
    let mut client = Client::v5(broker.addr(), "client");
    for _ in 0..messages {
        assert_eq!(client.publish("in/a", "", 1), 0);
    }
    assert!(client.subscribe(&format!("$queue/{queue}"), 1) < 0x80);
    let texts = client.recv_publishes(messages).iter().map(|message| message.text()).collect();
    client.ping();
    client.disconnect();
    texts
}

/// The names of tables in a dump.
fn names(dump: &[u8]) -> Vec<String> {
    let tables = lines(dump).into_iter().filter(|line| line.get("table").is_some());
    let mut names: Vec<String> =
        tables.map(|line| line["table"]["name"].as_str().expect("a name").to_owned()).collect();
    names.sort();
    names
}

fn table(name: &str, entries: &[(&str, &str)]) -> String {
    let entries: Vec<Value> = entries.iter().map(|(key, value)| json!({ "key": key, "value": value })).collect();
    json!({ "table": { "name": name, "entries": entries } }).to_string()
}

#[test]
fn a_rule_goes_on_counting_where_it_is_restored() {
    let place = Place::new();
    let (first, second) = (place.arg("first"), place.arg("second"));
    let broker = serve_rules(&place, &first, "count.rhai", &counting("out"));
    assert_eq!(counted(&broker, 3, "out"), ["1", "2", "3"]);
    stop(broker);
    let dump = primer(&["dump", "--data", &first]).good().stdout;
    assert_eq!(names(&dump), ["rule/count", "rules"]);
    let lines = lines(&dump);
    let end = &lines.last().expect("a last line")["end"];
    assert_eq!((&end["tables"], &end["left_out"]), (&json!(2), &json!(0)), "{end}");
    // Before the messages, behind all else.
    let kinds = lines.iter().map(|line| line.as_object().and_then(|line| line.keys().next()).expect("a kind").as_str());
    let place_of = |kind| kinds.clone().position(|one| one == kind);
    assert!(place_of("queue") < place_of("table"), "{:?}", kinds.collect::<Vec<_>>());
    primer_with(&["restore", "--data", &second, "-"], &dump).good();
    primer(&["store", "check", "--data", &second]).good();
    assert_eq!(content(&primer(&["dump", "--data", &second]).good().stdout), content(&dump));
    primer(&["store", "compact", "--data", &second]).good();
    assert_eq!(content(&primer(&["dump", "--data", &second]).good().stdout), content(&dump));
    let broker = serve(&second);
    assert_eq!(counted(&broker, 2, "out"), ["4", "5"]);
    stop(broker);
    // The one that was dumped is as it was.
    let broker = serve(&first);
    assert_eq!(counted(&broker, 1, "out"), ["4"]);
    stop(broker);
}

/// A merge has one state of a rule, and one set of scripts.
#[test]
fn a_merge_replaces_tables_as_a_whole() {
    let place = Place::new();
    let (from, into) = (place.arg("from"), place.arg("into"));
    let broker = serve_rules(&place, &from, "count.rhai", &counting("out"));
    assert_eq!(counted(&broker, 3, "out"), ["1", "2", "3"]);
    stop(broker);
    let dump = primer(&["dump", "--data", &from]).good().stdout;
    let script = counting("other").replace("\"n\"", "\"m\"")
        + r#"rule("only", "in/+", |msg| { state.set("seen", true); enqueue("only", "yes"); ok });"#;
    let broker = serve_rules(&place, &into, "other.rhai", &script);
    assert_eq!(counted(&broker, 1, "other"), ["1"]);
    stop(broker);
    primer_with(&["restore", "--data", &into, "-"], &dump).failed_with(&["not empty", "3 tables", "--merge"]);
    let merge = ["restore", "--merge", "--data", &into, "-"];
    primer_with(&merge, &dump).good();
    primer(&["store", "check", "--data", &into]).good();
    let merged = primer(&["dump", "--data", &into]).good().stdout;
    assert_eq!(names(&merged), ["rule/count", "rule/only", "rules"]);
    let of = |dump: &[u8], name: &str| -> Value {
        lines(dump).into_iter().find(|line| line["table"]["name"] == name).expect("the table")
    };
    for name in ["rule/count", "rules"] {
        assert_eq!(of(&merged, name), of(&dump, name));
    }
    // Once more is the same again.
    primer_with(&merge, &dump).good();
    assert_eq!(names(&primer(&["dump", "--data", &into]).good().stdout), names(&merged));
    let broker = serve(&into);
    assert_eq!(counted(&broker, 1, "out"), ["4"]);
    stop(broker);
}

#[test]
fn a_table_without_entries_is_none() {
    let place = Place::new();
    let data = place.arg("data");
    let restore = ["restore", "--data", &data, "-"];
    primer_with(&restore, &made_up(3, &[&table("t", &[])], NOTHING_ELSE)).good();
    assert!(names(&primer(&["dump", "--data", &data]).good().stdout).is_empty());
    primer_with(&restore, &made_up(3, &[&table("t", &[("k", "dg==")])], NOTHING_ELSE)).good();
    assert_eq!(names(&primer(&["dump", "--data", &data]).good().stdout), ["t"]);
    primer_with(&restore, &made_up(3, &[&table("u", &[])], NOTHING_ELSE)).failed_with(&["0 messages", "1 tables"]);
    // In a merge it takes the place of one that has some.
    let merge = ["restore", "--merge", "--data", &data, "-"];
    primer_with(&merge, &made_up(3, &[&table("u", &[("k", "")])], NOTHING_ELSE)).good();
    primer_with(&merge, &made_up(3, &[&table("t", &[])], NOTHING_ELSE)).good();
    assert_eq!(names(&primer(&["dump", "--data", &data]).good().stdout), ["u"]);
}

#[test]
fn what_is_wrong_with_a_table_is_told_with_its_line() {
    let place = Place::new();
    let good = table("t", &[("k", "dg==")]);
    let (long, longest) = ("k".repeat(1_025), "A".repeat(699_052));
    let too_long = format!("{}AA==", &longest[..699_048]); // 524,287 bytes
    for (lines, texts) in [
        (vec![good.clone(), good.clone()], vec!["line 3", "the table \"t\" was there before", "once in a dump"]),
        (vec![table("t", &[("k", ""), ("k", "")])], vec!["line 2", "the key \"k\"", "once in a table"]),
        (vec![table("t", &[("", "")])], vec!["line 2", "a key of 0 bytes", "1 to 1,024 bytes"]),
        (vec![table("t", &[(&long, "")])], vec!["line 2", "a key of 1025 bytes", "1 to 1,024 bytes"]),
        (vec![table("t", &[("k", &longest)])], vec!["line 2", "\"k\"", "has 524289 bytes", "524,288 at most"]),
        (vec![table(&"t".repeat(256), &[])], vec!["line 2", "256 bytes", "255 bytes at most"]),
        (vec![table("t", &[("k", "?")])], vec!["line 2", "no base64"]),
        (vec![good.replace("dg==", "dg=")], vec!["line 2", "no base64"]),
        (vec![good.replace("\"key\"", "\"color\":1,\"key\"")], vec!["line 2", "unknown field `color`"]),
        (vec![good.replace("\"name\"", "\"color\":1,\"name\"")], vec!["line 2", "unknown field `color`"]),
        (vec![good.replace("\"value\":\"dg==\"", "\"value\":7")], vec!["line 2", "a text in base64"]),
        (vec![good.replace(",\"value\":\"dg==\"", "")], vec!["line 2", "missing field `value`"]),
        (vec![r#"{"table":{"name":"t"}}"#.to_owned()], vec!["line 2", "missing field `entries`"]),
    ] {
        let lines: Vec<&str> = lines.iter().map(|line| &**line).collect();
        refused(&place, &made_up(3, &lines, NOTHING_ELSE), &texts);
    }
    let keys: Vec<String> = (0..17).map(|n| n.to_string()).collect();
    let many: Vec<(&str, &str)> = keys.iter().map(|key| (&**key, &*too_long)).collect();
    let texts = ["line 2", "the table \"t\" has 8912903 bytes", "8,388,608 at most"];
    refused(&place, &made_up(3, &[&table("t", &many)], NOTHING_ELSE), &texts);
    let none = r#""sessions":0,"queues":0,"messages":0"#;
    refused(&place, &made_up(3, &[&good], &NOTHING_ELSE.replace('1', "2")), &["altered", "1 tables", "says 2"]);
    refused(&place, &made_up(3, &[&good], none), &["line 3", "missing field `tables`"]);
    refused(&place, &made_up(2, &[&good], none), &["line 2", "a table in a dump of format 2", "format 3"]);
    primer_with(&["restore", "--data", &place.arg("target"), "-"], &made_up(2, &[], none)).good();
}

/// As large as they may be: memory holds one line, and what the store has anyway.
#[test]
fn the_largest_tables_are_restored() {
    let place = Place::new();
    let (file, data, other) = (place.arg("dump"), place.arg("data"), place.arg("other"));
    let value = "A".repeat(699_048) + "AAA="; // 524,288 bytes
    let last = "A".repeat(699_000); // 524,250
    let keys: Vec<String> = (0..16).map(|n| format!("{n:02}")).collect();
    let mut entries: Vec<(&str, &str)> = keys.iter().map(|key| (&**key, &*value)).collect();
    entries[15].1 = &last;
    let lines: Vec<String> = ["a", "b"].iter().map(|name| table(name, &entries)).collect();
    let lines: Vec<&str> = lines.iter().map(|line| &**line).collect();
    let dump = made_up(3, &lines, &NOTHING_ELSE.replace('1', "2"));
    fs::write(place.path("dump"), &dump).expect("a file");
    for args in [
        vec!["restore", "--data", &data, "--disk-limit", "1G", &file],
        vec!["dump", "--data", &data, &other],
        vec!["store", "stats", "--data", &data],
    ] {
        let (took, peak_kib) = measured(&args);
        println!("{:8} {:6.2} s  {peak_kib:6} KiB of memory at most", args[0], took.as_secs_f64());
        assert!(peak_kib < 160 << 10, "{args:?} took {peak_kib} KiB of memory");
    }
    assert_eq!(content(&fs::read(&other).expect("a dump")), content(&dump));
    primer(&["store", "check", "--data", &data]).good();
}

#[test]
fn stats_name_tables() {
    let place = Place::new();
    let data = place.arg("data");
    let tables =
        [table("small", &[("k", "dg=="), ("l", "")]), table("large", &[("key", "AAAAAAAA")]), table("no", &[])];
    let tables: Vec<&str> = tables.iter().map(|table| &**table).collect();
    let dump = made_up(3, &tables, &NOTHING_ELSE.replace('1', "3"));
    primer_with(&["restore", "--data", &data, "-"], &dump).good();
    let stats = primer(&["store", "stats", "--json", "--data", &data]).good().json();
    for (name, number) in [("named_tables", 2), ("in_named_tables", 3), ("table_bytes", 12), ("records_damaged", 0)] {
        assert_eq!(stats[name], number, "{name} in {stats}");
    }
    let (large, small) = (("large", 1, 9), ("small", 2, 3));
    let told = |(name, entries, bytes): (&str, u64, u64)| json!({ "name": name, "entries": entries, "bytes": bytes });
    assert_eq!(stats["tables"], json!([told(large), told(small)]));
    let by = ["store", "stats", "--json", "--by", "messages", "--top", "1", "--data", &data];
    assert_eq!(primer(&by).good().json()["tables"], json!([told(small)]));
    let text = String::from_utf8(primer(&["store", "stats", "--data", &data]).good().stdout).expect("text");
    assert!(text.contains("  3 entries, 12 bytes\n") && text.contains("  table large\n"), "{text}");
}
