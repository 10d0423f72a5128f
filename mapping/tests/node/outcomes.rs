//! What becomes of a message: each verdict, each way to fail, and what the queues behind it say.

use std::time::Duration;

use primer::{Definition, Full, Message};
use primer_mapping::{Host, Limits, Mapping, Stage};
use serde_json::json;

use super::{ask, consumer, memory, next, publish, stats, texts, until, waiting, with_script};

#[tokio::test]
async fn a_message_that_fails_goes_to_the_dead_letters_with_the_place_in_the_script() {
    let node = memory().await;
    let _rules =
        with_script(&node, "rule(\"r\", \"a/+\", |msg| {\n    enqueue(\"out\", msg);\n    msg.json.x.y\n});").await;
    publish(&node, "a/1", "no json").await;
    let mut dead = consumer(&node, "$dead/rules/r");
    let letter = next(&mut dead).await;
    assert_eq!(letter.text(), Some("no json"));
    let reason = letter.envelope().header("primer-reason").unwrap_or_default().to_owned();
    assert!(reason.starts_with("test.rhai:3:") && reason.contains("JSON"), "{reason}");
    assert_eq!(waiting(&node, "out"), 0, "nothing of a call that fails counts");
    let stats = stats(&node, "r").await;
    assert_eq!((&stats["stats"]["failures"]["error"], &stats["stats"]["dead"]), (&json!(1), &json!(1)));
    assert!(stats["last_failure"].as_str().unwrap().contains("test.rhai:3"), "{stats}");
}

#[tokio::test]
async fn retries_come_again_and_end_in_the_dead_letters() {
    let node = memory().await;
    let script = r#"rule("r", "a/+", #{ on_error: "retry", retries: 2, retry_delay: "10ms" }, |msg| {
        enqueue("seen", `${msg.attempt}`);
        throw "no";
    });
    rule("later", "b/+", |msg| {
        if msg.attempt < 3 { return retry("10ms"); }
        enqueue("done", `after ${msg.attempt}`);
        ok
    });
    rule("no", "c/+", |msg| dead_letter("not wanted"));
    rule("pass", "d/+", #{ on_error: "pass" }, |msg| { throw "no" });"#;
    let _rules = with_script(&node, script).await;
    for topic in ["a/1", "b/1", "c/1", "d/1"] {
        publish(&node, topic, "x").await;
    }
    let letter = next(&mut consumer(&node, "$dead/rules/r")).await;
    assert_eq!(letter.envelope().dead_letter().unwrap().deliveries, 3);
    assert_eq!(texts(&mut consumer(&node, "done"), 1).await, ["after 3"]);
    let letter = next(&mut consumer(&node, "$dead/rules/no")).await;
    assert_eq!(letter.envelope().header("primer-reason"), Some("not wanted"));
    until("it is done with", || waiting(&node, "rules/pass") == 0).await;
    assert_eq!(waiting(&node, "$dead/rules/pass"), 0);
    assert_eq!(waiting(&node, "seen"), 0, "nothing of a call that fails counts");
    assert_eq!(stats(&node, "r").await["stats"]["retried"], 2);
}

#[tokio::test]
async fn a_rule_on_a_queue_is_a_group_of_it_beside_others() {
    let node = memory().await;
    let jobs = node.queue("jobs").unwrap();
    let mut others = consumer(&node, "jobs");
    jobs.push("before").await.unwrap();
    let script = r#"rule("copy", "$queue/jobs", |msg| { enqueue("copies", msg.text + "!"); ok });
        rule("new", "$queue/jobs", #{ from: "now" }, |msg| { enqueue("news", msg); ok });"#;
    let rules = with_script(&node, script).await;
    jobs.push("after").await.unwrap();
    assert_eq!(texts(&mut consumer(&node, "copies"), 2).await, ["before!", "after!"]);
    assert_eq!(texts(&mut consumer(&node, "news"), 1).await, ["after"]);
    assert_eq!(texts(&mut others, 2).await, ["before", "after"]);
    // A rule that is gone does not hold the queue's messages for ever.
    ask(&node, "removeScript", json!({"name": "test"})).await.unwrap();
    let groups: Vec<String> = jobs.info().groups.into_iter().map(|group| group.name).collect();
    assert_eq!(groups, ["default"]);
    jobs.push("later").await.unwrap();
    assert_eq!(texts(&mut others, 1).await, ["later"]);
    until("nobody else wants it", || jobs.info().messages == 0).await;
    rules.stop().await;
}

#[tokio::test]
async fn what_a_rule_makes_has_what_it_says() {
    let node = memory().await;
    let script = r#"rule("r", "a/+", |msg| {
        msg.headers["unit"] = "C";
        enqueue("out", msg, #{ priority: 7, ttl: "1h", key: "k", delay: "50ms" });
        ok
    });"#;
    let _rules = with_script(&node, script).await;
    let message = Message::new("x").topic("a/1").header("from", "test").sent_by(Some("pump-7".into()), None);
    node.publish(message).await.unwrap();
    let out = next(&mut consumer(&node, "out")).await;
    let envelope = out.envelope();
    assert_eq!((envelope.priority(), envelope.key()), (7, Some(&b"k"[..])));
    assert_eq!(envelope.header("unit"), Some("C"));
    assert_eq!(envelope.header("from"), Some("test"));
    assert_eq!((out.message().topic(), envelope.sent().hops), ("a/1", 1));
    assert_eq!(envelope.publisher(), Some("pump-7"));
    assert!(out.message().expires_at_ms() < 3_700_000, "{}", out.message().expires_at_ms());
}

#[tokio::test]
async fn a_message_that_goes_round_ends_after_its_hops() {
    let node = memory().await;
    let script = r#"rule("storm", "a/#", #{ may_loop: true }, |msg| {
        publish(msg.topic + "/x", msg);
        publish(msg.topic + "/y", msg);
        ok
    });"#;
    let host = Host::new().limits(Stage::Group, Limits { hops: 8, ..Limits::GROUP });
    let rules = Mapping::start(&node, host, None);
    rules.apply("storm", script).await.unwrap();
    publish(&node, "a", "x").await;
    // Two of each: 2^8 of the last hop, and none after it.
    until("the storm is over", || waiting(&node, "$dead/rules/storm") == 1 << 8).await;
    until("all is done with", || waiting(&node, "rules/storm") == 0).await;
    let letter = next(&mut consumer(&node, "$dead/rules/storm")).await;
    assert!(letter.envelope().header("primer-reason").unwrap().contains("hops"));
    assert_eq!(stats(&node, "storm").await["stats"]["failures"]["hops"], 1 << 8);
}

#[tokio::test]
async fn a_full_queue_behind_a_rule_holds_up_that_rule_alone() {
    let node = memory().await;
    let one = Definition { messages_max: 1, overflow: Full::Reject, ..Definition::default() };
    let small = node.create_queue("small", one).unwrap();
    let script = r#"rule("slow", "a/+", |msg| { enqueue("small", msg); ok });
        rule("other", "a/+", |msg| { enqueue("large", msg); ok });"#;
    let _rules = with_script(&node, script).await;
    for number in 0..4 {
        publish(&node, "a/1", &number.to_string()).await;
    }
    assert_eq!(texts(&mut consumer(&node, "large"), 4).await, ["0", "1", "2", "3"]);
    assert_eq!((small.info().messages, waiting(&node, "rules/slow")), (1, 3));
    assert_eq!(texts(&mut consumer(&node, "small"), 4).await, ["0", "1", "2", "3"]);
    assert!(stats(&node, "slow").await["stats"]["outputs_refused"].as_u64().unwrap() > 0);
}

#[tokio::test]
async fn at_most_once_is_done_with_before_the_call() {
    let node = memory().await;
    let script = r#"rule("once", "a/+", #{ mode: "at_most_once" }, |msg| { enqueue("out", msg); ok });"#;
    let rules = with_script(&node, script).await;
    publish(&node, "a/1", "x").await;
    assert_eq!(texts(&mut consumer(&node, "out"), 1).await, ["x"]);
    until("it is done with", || waiting(&node, "rules/once") == 0).await;
    // A group keeps its mode: what is there would come twice, or not at all.
    let why = rules.apply("test", r#"rule("once", "a/+", |msg| ok);"#).await.unwrap_err();
    assert!(why.contains("test.rhai:1") && why.contains("another mode"), "{why}");
}

#[tokio::test]
async fn messages_wait_while_the_queue_of_a_rule_is_paused_and_come_in_order() {
    let node = memory().await;
    let _rules = with_script(&node, r#"rule("r", "a/+", |msg| { enqueue("out", msg); ok });"#).await;
    let own = node.find_queue("rules/r").unwrap();
    own.pause();
    for number in 0..100 {
        publish(&node, &format!("a/{}", number % 3), &number.to_string()).await;
    }
    tokio::time::sleep(Duration::from_millis(50)).await;
    assert_eq!((own.info().messages, waiting(&node, "out")), (100, 0));
    own.resume();
    let expected: Vec<String> = (0..100).map(|number| number.to_string()).collect();
    assert_eq!(texts(&mut consumer(&node, "out"), 100).await, expected);
}

#[tokio::test]
async fn a_rule_whose_queue_somebody_deletes_gets_another() {
    let node = memory().await;
    let _rules = with_script(&node, r#"rule("r", "a/+", |msg| { enqueue("out", msg); ok });"#).await;
    node.delete_queue("rules/r").unwrap();
    until("it is there again", || {
        node.find_queue("rules/r")
            .is_some_and(|queue| queue.info().groups.iter().any(|group| group.figures.consumers == 1))
    })
    .await;
    publish(&node, "a/1", "x").await;
    assert_eq!(texts(&mut consumer(&node, "out"), 1).await, ["x"]);
}

#[tokio::test]
async fn a_trace_shows_a_call_step_by_step() {
    let node = memory().await;
    let script = r#"rule("r", "a/+", |msg| {
        let double = msg.json.n * 2;
        print(`twice is ${double}`);
        state.set("last", double);
        publish("b/" + msg.level(1), #{ n: double });
        ok
    });"#;
    let _rules = with_script(&node, script).await;
    let (traced, ()) = tokio::join!(ask(&node, "trace", json!({"rule": "r", "calls": 1, "seconds": 20})), async {
        tokio::time::sleep(Duration::from_millis(50)).await;
        publish(&node, "a/1", r#"{"n":21}"#).await;
    });
    let call = &traced.unwrap()["calls"][0];
    assert_eq!(
        (&call["rule"], &call["verdict"], &call["message"]["topic"]),
        (&json!("r"), &json!("ok"), &json!("a/1"))
    );
    assert_eq!(call["variables"]["double"], json!("42"), "{call}");
    assert_eq!((&call["prints"], &call["state"]), (&json!(["twice is 42"]), &json!(["last"])));
    assert_eq!(
        (&call["outputs"][0]["to"], &call["outputs"][0]["message"]["payload"]),
        (&json!("b/1"), &json!("{\"n\":42}"))
    );
    assert!(call["operations"].as_u64().unwrap() > 0);
    let remembered = ask(&node, "getState", json!({"rule": "r"})).await.unwrap();
    assert_eq!(remembered["entries"]["last"]["value"], 42, "{remembered}");
    assert_eq!(ask(&node, "resetState", json!({"rule": "r"})).await.unwrap(), json!({"entries": 1}));
    assert_eq!(ask(&node, "getState", json!({"rule": "r"})).await.unwrap()["entries"], json!({}));
}

/// Found by an adversary: what was behind a message whose outputs were refused was gone, as once is enough; and with a
/// data directory the first of several came after ten seconds.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_comes_at_most_once_waits_as_well() {
    let script = r#"rule("once", "a/+", #{ mode: "at_most_once" }, |msg| { enqueue("small", msg); ok });
        rule("again", "b/+", #{ mode: "at_most_once" }, |msg| retry());"#;
    for node in [memory().await, super::on(&super::sim::SimDisk::new()).await] {
        let two = Definition { messages_max: 2, overflow: Full::Reject, ..Definition::default() };
        node.create_queue("small", two).unwrap();
        let rules = with_script(&node, script).await;
        let begun = std::time::Instant::now();
        for number in 0..8 {
            publish(&node, "a/1", &number.to_string()).await;
        }
        let expected: Vec<String> = (0..8).map(|number| number.to_string()).collect();
        assert_eq!(texts(&mut consumer(&node, "small"), 8).await, expected);
        assert!(begun.elapsed() < Duration::from_secs(9), "it took {:?}", begun.elapsed());
        publish(&node, "b/1", "x").await;
        let letter = next(&mut consumer(&node, "$dead/rules/again")).await;
        assert!(letter.envelope().header("primer-reason").unwrap().contains("at most once"));
        let why = rules.apply("x", r#"rule("x", "x", #{ mode: "at_most_once", on_error: "retry" }, |msg| ok);"#).await;
        assert!(why.unwrap_err().contains("no message comes again"));
        node.shutdown(Duration::from_secs(1)).await;
    }
}

/// Found by an adversary: a rule that was taken away and came back while its last batch was under way began with the
/// state before that.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_rule_that_comes_back_at_once_has_its_state() {
    let node = memory().await;
    let script = r#"rule("count", "$queue/in", |msg| {
        for i in 0..2000 { }
        enqueue("out", `${state.incr("n")}`);
        ok
    });"#;
    let rules = with_script(&node, script).await;
    let source = node.queue("in").unwrap();
    let _others = source.group("others").unwrap();
    for _ in 0..10 {
        let messages: Vec<Message> = (0..100).map(|_| "x".into()).collect();
        source.push_all(&messages).await.into_iter().for_each(|receipt| assert!(receipt.is_ok()));
        ask(&node, "removeScript", json!({"name": "test"})).await.unwrap();
        rules.apply("test", script).await.unwrap();
    }
    until("all are done with", || {
        waiting(&node, "out") >= 10 && {
            let info = source.info();
            info.groups.iter().any(|group| group.name == "rule.count" && group.figures.pending == 0)
        }
    })
    .await;
    let count = waiting(&node, "out");
    let numbers = texts(&mut consumer(&node, "out"), count).await;
    let distinct: std::collections::BTreeSet<&String> = numbers.iter().collect();
    assert_eq!(distinct.len(), numbers.len(), "a number came twice");
}

/// What is retried holds up what has its key, and nothing else, also where they were taken together.
#[tokio::test]
async fn a_retry_does_not_let_its_key_overtake_it() {
    let node = memory().await;
    let script = r#"rule("r", "a/+", |msg| {
        if msg.attempt == 1 && msg.text == "a/1 0" { return retry("100ms"); }
        enqueue("out", msg);
        ok
    });
    rule("e", "a/+", #{ on_error: "retry", retry_delay: "100ms" }, |msg| {
        if msg.attempt == 1 && msg.text == "a/1 1" { throw "not yet"; }
        enqueue("tried", msg);
        ok
    });"#;
    let _rules = with_script(&node, script).await;
    let own: Vec<primer::Queue> = ["rules/r", "rules/e"].map(|name| node.find_queue(name).unwrap()).into();
    own.iter().for_each(primer::Queue::pause);
    for number in 0..20 {
        for topic in ["a/1", "a/2"] {
            publish(&node, topic, &format!("{topic} {number}")).await;
        }
    }
    own.iter().for_each(primer::Queue::resume);
    for queue in ["out", "tried"] {
        let all = texts(&mut consumer(&node, queue), 40).await;
        for topic in ["a/1", "a/2"] {
            let of_topic: Vec<&String> = all.iter().filter(|text| text.starts_with(topic)).collect();
            let expected: Vec<String> = (0..20).map(|number| format!("{topic} {number}")).collect();
            assert_eq!(of_topic, expected.iter().collect::<Vec<_>>(), "{queue}: {topic} is out of order");
        }
        let last = all.iter().position(|text| text == "a/2 19");
        assert!(last < all.iter().position(|text| text == "a/1 2"), "{queue}: another key has waited: {all:?}");
    }
}

/// A rule that waits for room does not keep a node that stops, nor who waits for it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_rule_that_waits_ends_with_its_node() {
    for mode in ["at_least_once", "at_most_once"] {
        let node = super::on(&super::sim::SimDisk::new()).await;
        let one = Definition { messages_max: 1, overflow: Full::Reject, ..Definition::default() };
        node.create_queue("small", one).unwrap();
        let script = r#"rule("slow", "a/+", #{ mode: "MODE" }, |msg| { enqueue("small", msg); ok });"#;
        let rules = with_script(&node, &script.replace("MODE", mode)).await;
        for number in 0..4 {
            publish(&node, "a/1", &number.to_string()).await;
        }
        until("it is full", || waiting(&node, "small") == 1).await;
        let begun = std::time::Instant::now();
        let leased = node.shutdown(Duration::from_secs(60)).await;
        assert_eq!(leased, 0, "{mode}");
        assert!(begun.elapsed() < Duration::from_secs(30), "{mode}: it took {:?}", begun.elapsed());
        rules.stop().await;
        let abandoned = if mode == "at_most_once" { 3 } else { 0 };
        assert_eq!(node.drops().get(primer::drops::Reason::Abandoned), abandoned);
    }
}
