//! Commands that look after queues: for people, for programs, and what they say when they cannot.

use primer_harness::Broker;
use primer_harness::ran::lines;
use serde_json::json;

use crate::fixture::{queue, run};

#[test]
fn a_queue_is_made_changed_shown_and_ended() {
    let broker = Broker::start();
    let empty = queue(&broker, "ls", &[]);
    assert!(empty.text().contains("primer queue create"), "{empty:?}");
    let made = queue(&broker, "create jobs --max-messages 1000 --ttl 2h --overflow drop-oldest --bind a/+", &[]);
    assert_eq!(made.text(), "the queue \"jobs\" is there\n");
    queue(&broker, "create jobs --max-messages 1000 --ttl 2h --overflow drop-oldest --bind a/+", &[]).text();
    queue(&broker, "create jobs", &[]).failed(1, &["\"jobs\" exists, with another definition"]);
    queue(&broker, "update jobs --ttl never --key-of property:unit --by-key", &[]).text();
    let info = queue(&broker, "info jobs --json", &[]).json();
    let definition = &info["definition"];
    assert_eq!(definition["messages_max"], 1000);
    assert_eq!(definition["ttl_ms"], json!(null));
    assert_eq!(definition["key"], json!({"property": "unit"}));
    assert_eq!((&definition["by_key"], &definition["bind"]), (&json!(true), &json!(["a/+"])));
    queue(&broker, "put jobs -m one", &[]).text();
    let info = lines(queue(&broker, "info jobs", &[]).text());
    for line in ["queue jobs", "messages 1", "ttl never", "overflow drop-oldest", "key of property:unit", "pushed 1"] {
        assert!(info.iter().any(|known| known == line), "no {line:?} in {info:#?}");
    }
    let list = queue(&broker, "ls", &[]);
    let list = lines(list.text());
    assert_eq!(list[0], "NAME MESSAGES SIZE OLDEST GROUPS CONSUMERS DEAD STATE");
    assert!(list[1].starts_with("jobs 1 ") && list[1].ends_with(" 0 0 0 delivers"), "{list:?}");
    let list = queue(&broker, "list --json", &[]).json();
    assert_eq!((&list["queues"][0]["name"], &list["queues"][0]["messages"]), (&json!("jobs"), &json!(1)));
    let stats = queue(&broker, "stats --json", &[]).json();
    assert_eq!((&stats["queues"], &stats["messages"], &stats["counts"]["pushed"]), (&json!(1), &json!(1), &json!(1)));
    assert!(lines(queue(&broker, "stats", &[]).text()).contains(&"messages 1".to_owned()));
    let other = queue(&broker, "create other --json --definition", &[r#"{"sync":"memory"}"#]).json();
    assert_eq!((&other["name"], &other["definition"]["sync"]), (&json!("other"), &json!("memory")));
    assert_eq!(queue(&broker, "rm other --json", &[]).json(), json!({"name": "other", "messages": 0}));
    assert_eq!(queue(&broker, "rm jobs", &[]).text(), "the queue \"jobs\" is gone, with 1 message\n");
    assert_eq!(queue(&broker, "ls --json", &[]).json(), json!({"queues": []}));
}

#[test]
fn a_paused_queue_gives_nothing_and_a_purged_one_has_nothing() {
    let broker = Broker::start();
    queue(&broker, "put jobs -m one -m two", &[]).text();
    queue(&broker, "pause jobs", &[]).text();
    assert!(queue(&broker, "ls", &[]).text().contains("paused"));
    queue(&broker, "get jobs --wait 200ms", &[]).failed(1, &["no message came within 200 ms"]);
    assert_eq!(queue(&broker, "resume jobs --json", &[]).json(), json!({"name": "jobs", "is_paused": false}));
    assert_eq!(queue(&broker, "get jobs", &[]).text(), "one\n");
    assert_eq!(queue(&broker, "purge jobs", &[]).text(), "1 message taken out of the queue \"jobs\"\n");
    assert_eq!(queue(&broker, "purge jobs --json", &[]).json(), json!({"name": "jobs", "messages": 0}));
}

#[test]
fn groups_are_shown_and_ended() {
    let broker = Broker::start();
    assert!(queue(&broker, "create jobs", &[]).code == Some(0));
    assert!(queue(&broker, "groups jobs", &[]).text().contains("no groups yet"));
    for group in ["audit", "work"] {
        queue(&broker, "get jobs --wait 10ms -g", &[group]).failed(1, &["no message"]);
    }
    queue(&broker, "put jobs -m one -m two", &[]).text();
    assert_eq!(queue(&broker, "get jobs -g audit", &[]).text(), "one\n");
    assert_eq!(queue(&broker, "get jobs -g work -n 2", &[]).text(), "one\ntwo\n");
    let groups = lines(queue(&broker, "groups jobs", &[]).text());
    assert_eq!(groups[1..], ["audit 1 0 0 0 at least once", "work 0 0 0 0 at least once"]);
    let groups = queue(&broker, "groups jobs --json", &[]).json();
    assert_eq!(groups["groups"][0]["pending"], 1);
    queue(&broker, "group rm jobs nobody", &[]).failed(1, &["\"jobs\" has no group \"nobody\""]);
    queue(&broker, "group rm jobs audit", &[]).text();
    assert_eq!(lines(queue(&broker, "groups jobs", &[]).text()).len(), 2);
}

#[test]
fn what_is_wrong_is_said_with_what_is_allowed() {
    let broker = Broker::start();
    for command in ["info", "rm", "purge", "pause", "resume", "browse", "groups", "update --ttl 5"] {
        queue(&broker, &format!("{command} nothing"), &[]).failed(1, &["there is no queue \"nothing\""]);
    }
    queue(&broker, "create", &["a//b"]).failed(1, &["\"a//b\" is no name of a queue", "level"]);
    queue(&broker, "create a --default-priority 10", &[]).failed(1, &["priorities are 0 to 9"]);
    queue(&broker, "create a --bind a/#/b", &[]).failed(1, &["a/#/b"]);
    queue(&broker, "create a --definition", &[r#"{"ttl":1}"#]).failed(1, &["no field `ttl`", "ttl_ms"]);
    queue(&broker, "create a --definition", &["{"]).failed(1, &["--definition", "line 1"]);
    queue(&broker, "update a", &[]).failed(1, &["`definition` is missing"]);
    queue(&broker, "create a --ttl 5x", &[]).failed(2, &["5x", "500ms"]);
    queue(&broker, "create a --overflow drop", &[]).failed(2, &["drop-oldest"]);
    queue(&broker, "put a -m x --priority 10", &[]).failed(2, &["10", "0..=9"]);
    queue(&broker, "get", &[]).failed(2, &["QUEUE"]);
    queue(&broker, "move a", &[]).failed(1, &["there is no queue \"a\""]);
    queue(&broker, "put a -m x", &[]).text();
    queue(&broker, "move a", &[]).failed(1, &["`to` is missing", "$dead/NAME"]);
    queue(&broker, "move a a", &[]).failed(1, &["same queue"]);
    queue(&broker, "move a b", &[]).failed(1, &["there is no queue \"b\""]);
    assert_eq!(queue(&broker, "ls --json", &[]).json()["queues"].as_array().map(Vec::len), Some(1));
}

#[test]
fn a_broker_that_is_not_there_is_named() {
    let port = primer_harness::port::free_port().to_string();
    run(&["ls", "-p", &port], b"").failed(1, &["no broker at 127.0.0.1", &port, "Is it running?", "primer serve"]);
    run(&["ls", "-h", "no such host", "-p", &port], b"").failed(1, &["no such host", "-h"]);
}

#[test]
fn users_are_let_in_by_password() {
    let broker = Broker::with_args(&["--user", "ada:lovelace"]);
    queue(&broker, "ls", &[]).failed(1, &["not authorized", "-u NAME -P PASSWORD"]);
    queue(&broker, "ls -u ada -P wrong", &[]).failed(1, &["bad user name or password"]);
    queue(&broker, "ls -u ada -P lovelace", &[]).text();
}

#[test]
fn help_is_there_where_one_looks_for_it() {
    let help = run(&["--help"], b"");
    for word in ["ls", "info", "create", "update", "rm", "put", "get", "browse", "purge", "move", "pause", "resume"] {
        assert!(help.text().contains(&format!("  {word} ")), "{word}: {help:?}");
        let own = run(&[word, "--help"], b"");
        assert!(own.text().contains("--port"), "{word}: {own:?}");
    }
}
