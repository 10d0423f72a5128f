//! Scripts that are applied, taken back, removed, and wrong.

use std::time::Duration;

use primer::Node;
use primer_mapping::{Host, Mapping};
use serde_json::{Value, json};

use super::{ask, consumer, memory, on, publish, sim::SimDisk, texts, until, waiting, with_script};

fn script(word: &str) -> String {
    format!("rule(\"r\", \"a/+\", |msg| {{ enqueue(\"out\", `{word} ${{msg.text}}`); ok }});")
}

async fn shown(node: &Node) -> Value {
    ask(node, "listRules", json!({})).await.unwrap()
}

#[tokio::test]
async fn a_script_is_applied_and_taken_back() {
    let node = memory().await;
    let rules = with_script(&node, &script("one")).await;
    let mut out = consumer(&node, "out");
    publish(&node, "a/1", "x").await;
    assert_eq!(texts(&mut out, 1).await, ["one x"]);
    let applied = ask(&node, "applyScript", json!({"name": "test.rhai", "text": script("two")})).await.unwrap();
    assert_eq!(applied, json!({"version": 2, "rules": ["r"], "warnings": []}));
    publish(&node, "a/1", "x").await;
    assert_eq!(texts(&mut out, 1).await, ["two x"]);
    assert_eq!(ask(&node, "rollbackScript", json!({"name": "test"})).await.unwrap(), json!({"version": 1}));
    publish(&node, "a/1", "x").await;
    assert_eq!(texts(&mut out, 1).await, ["one x"]);
    let why = ask(&node, "rollbackScript", json!({"name": "test"})).await.unwrap_err();
    assert!(why.contains("no version before"), "{why}");
    assert_eq!(
        ask(&node, "rollbackScript", json!({"name": "test", "version": 2})).await.unwrap(),
        json!({"version": 2})
    );
    let text = ask(&node, "getScript", json!({"name": "test", "version": 1})).await.unwrap();
    assert_eq!(text["text"], script("one"));
    ask(&node, "removeScript", json!({"name": "test"})).await.unwrap();
    assert!(node.find_queue("rules/r").is_none(), "an empty queue of a rule goes with it");
    publish(&node, "a/1", "x").await;
    assert_eq!(shown(&node).await["rules"], json!([]));
    assert_eq!(ask(&node, "rollbackScript", json!({"name": "test", "version": 1})).await.unwrap()["version"], 1);
    publish(&node, "a/1", "y").await;
    assert_eq!(texts(&mut out, 1).await, ["one y"]);
    drop(rules);
}

#[tokio::test]
async fn what_is_wrong_changes_nothing_and_says_where() {
    let node = memory().await;
    let rules = with_script(&node, &script("one")).await;
    for (text, words) in [
        ("rule(\"r\", \"a/+\", |msg| {\n    enqeue(\"out\", msg);\n    ok\n});", ["test.rhai:2:5", "enqeue"]),
        ("rule(\"r\", \"a/+\", |msg| {\n    let x = ;\n});", ["test.rhai:2:13", "let x = ;"]),
        ("rule(\"r\", \"a/+/#/b\", |msg| ok);", ["test.rhai:1:1", "a/+/#/b"]),
        ("rule(\"r\", \"a/+\", #{ mod: 1 }, |msg| ok);", ["test.rhai:1:1", "allowed are stage"]),
        ("rule(\"r\", \"a/+\", |msg| { publish(\"a/b\", msg); ok });", ["test.rhai:1:1", "circles"]),
        ("rule(\"r\", \"$SYS/#\", |msg| ok);", ["test.rhai:1", "the node's own"]),
    ] {
        let why = rules.apply("test", text).await.unwrap_err();
        assert!(words.iter().all(|word| why.contains(word)), "{why}");
        let why = ask(&node, "applyScript", json!({"name": "test", "text": text, "check": true})).await.unwrap_err();
        assert!(words.iter().all(|word| why.contains(word)), "{why}");
    }
    // Another file has the rule already.
    let why = rules.apply("other", &script("two")).await.unwrap_err();
    assert!(why.contains("\"r\" is there already"), "{why}");
    let why = rules.apply("../x", &script("two")).await.unwrap_err();
    assert!(why.contains("cannot be the name of a script"), "{why}");
    publish(&node, "a/1", "x").await;
    assert_eq!(texts(&mut consumer(&node, "out"), 1).await, ["one x"]);
    let checked =
        ask(&node, "applyScript", json!({"name": "test", "text": script("two"), "check": true})).await.unwrap();
    assert_eq!(checked, json!({"version": null, "rules": ["r"], "warnings": []}));
    let scripts = &shown(&node).await["scripts"];
    assert_eq!((&scripts[0]["active"], scripts.as_array().unwrap().len()), (&json!(1), 1), "{scripts}");
}

#[tokio::test]
async fn commands_say_what_is_wrong_with_them() {
    let node = memory().await;
    let _rules = with_script(&node, &script("one")).await;
    for (command, fields, words) in [
        ("lsRules", json!({}), "there is no command \"lsRules\""),
        ("stats", json!({"rule": "nobody"}), "there is no rule \"nobody\": there are r"),
        ("stats", json!({"rules": "r"}), "`rules`"),
        ("getScript", json!({"name": "nothing"}), "no script \"nothing.rhai\""),
        ("getScript", json!({"name": "test", "version": 9}), "no version 9"),
        ("removeScript", json!({"name": "nothing"}), "no script \"nothing.rhai\""),
        ("applyScript", json!({"name": "x"}), "`text` is missing"),
        ("trace", json!({"topic": "a/#/b"}), "a topic filter"),
        ("trace", json!({"calls": 1000}), "1 to 100"),
        ("reload", json!({}), "--rules DIR"),
    ] {
        let why = ask(&node, command, fields).await.unwrap_err();
        assert!(why.contains(words), "{command}: {why}");
    }
}

/// Scripts, state, what waits and where a rule stands outlive the process.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn all_of_it_outlives_the_process() {
    let disk = SimDisk::new();
    let node = on(&disk).await;
    let counting = r#"rule("count", "a/+", |msg| {
        let n = state.get("n", 0) + 1;
        state.set("n", n);
        enqueue("out", `${n} ${msg.text}`);
        ok
    });"#;
    let rules = with_script(&node, counting).await;
    publish(&node, "a/1", "x").await;
    publish(&node, "a/1", "y").await;
    until("both are done", || waiting(&node, "out") == 2).await;
    rules.stop().await;
    publish(&node, "a/1", "while it was stopped").await;
    node.shutdown(Duration::from_secs(5)).await;
    drop((rules, node));

    let node = on(&disk).await;
    let rules = Mapping::start(&node, Host::new(), None);
    publish(&node, "a/1", "z").await;
    let all = texts(&mut consumer(&node, "out"), 4).await;
    assert_eq!(all, ["1 x", "2 y", "3 while it was stopped", "4 z"]);
    rules.apply("test", &counting.replace("`${n}", "`v2 ${n}")).await.unwrap();
    publish(&node, "a/1", "a").await;
    assert_eq!(texts(&mut consumer(&node, "out"), 1).await, ["v2 5 a"]);
    node.shutdown(Duration::from_secs(5)).await;
    drop((rules, node));

    let node = on(&disk).await;
    let _rules = Mapping::start(&node, Host::new(), None);
    assert_eq!(ask(&node, "rollbackScript", json!({"name": "test"})).await.unwrap(), json!({"version": 1}));
    publish(&node, "a/1", "b").await;
    assert_eq!(texts(&mut consumer(&node, "out"), 1).await, ["6 b"]);
    node.shutdown(Duration::from_secs(5)).await;
}

/// What is kept of scripts is bounded, whatever is applied.
#[tokio::test]
async fn old_versions_make_room() {
    let node = memory().await;
    let rules = Mapping::start(&node, Host::new(), None);
    let long = format!("//{}", "x".repeat(250 << 10));
    for number in 0..45 {
        let name = format!("script{}", number % 5);
        let text = format!("rule(\"{name}\", \"a/{number}\", |msg| ok);\n{long}");
        rules.apply(&name, &text).await.unwrap_or_else(|why| panic!("{number}: {why}"));
    }
    let scripts = shown(&node).await["scripts"].clone();
    for script in scripts.as_array().unwrap() {
        assert_eq!(script["active"], 9, "{scripts}");
        assert!(script["versions"].as_array().unwrap().len() >= 2, "{scripts}");
    }
    let too_long = format!("rule(\"r\", \"a\", |msg| ok);\n{long}{long}");
    let why = rules.apply("long", &too_long).await.unwrap_err();
    assert!(why.contains("bytes"), "{why}");
}

/// What is not kept is told: a command that is carried out holds over a restart.
#[tokio::test]
async fn a_script_that_is_not_kept_is_told() {
    let node = memory().await;
    let rules = Mapping::start(&node, Host::new(), None);
    let table = node.table("rules");
    for bytes in [primer::TABLE_VALUE_BYTES_MAX, 1_000, 1] {
        let filling = vec![0; bytes];
        let fits = |number: &usize| table.set(&format!("other/{bytes}/{number}"), Some(&filling)).is_ok();
        assert!((0..).take_while(fits).count() > 0);
    }
    let why = rules.apply("test", &script("one")).await.unwrap_err();
    assert!(why.contains("it acts, and the next start does not know of it") && why.contains("at most"), "{why}");
    publish(&node, "a/1", "x").await;
    assert_eq!(texts(&mut consumer(&node, "out"), 1).await, ["one x"]);
}

#[tokio::test]
async fn a_node_that_is_dropped_with_its_rules_is_gone() {
    let directory = std::env::temp_dir().join(format!("primer-mapping-drop-{}", std::process::id()));
    for _ in 0..2 {
        let node = Node::builder().data_dir(&directory).start().await.unwrap();
        let rules = Mapping::start(&node, Host::new(), None);
        rules.apply("test", &script("one")).await.unwrap();
        publish(&node, "a/1", "x").await;
        node.shutdown(Duration::from_secs(5)).await;
        drop((node, rules));
        // The directory is let go of when the last task has seen that.
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    std::fs::remove_dir_all(directory).unwrap();
}
