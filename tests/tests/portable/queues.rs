//! Queues with groups, from one broker to another: the second one does what the first would have done.

use std::time::{Duration, Instant};

use primer_harness::{Broker, Client};
use serde_json::{Value, json};

use crate::fixture::{Place, Ran, content, durable, lines, primer, primer_with, serve, stop};
use crate::queue_lines::made_up;

/// `primer queue` with these words, and then these, at a broker.
#[track_caller]
fn ask(broker: &Broker, words: &str, more: &[&str]) -> Ran {
    let port = broker.port().to_string();
    let words = ["queue", "-p", &port].into_iter().chain(words.split_ascii_whitespace());
    // The options of a command come behind it.
    let words: Vec<&str> = words.collect();
    let words: Vec<&str> = [&words[..1], &words[3..], more, &words[1..3]].concat();
    primer(&words)
}

#[track_caller]
fn queue(broker: &Broker, words: &str) -> Value {
    let words = format!("{words} --json");
    ask(broker, &words, &[]).good().json()
}

/// The texts of what a group is given now.
#[track_caller]
fn got(broker: &Broker, words: &str) -> Vec<String> {
    let wait = if words.contains("--wait") { "" } else { "--wait 1s" };
    let ran = ask(broker, &format!("get {words} --json {wait}"), &[]);
    let messages: Value = if ran.stdout.is_empty() { json!([]) } else { ran.json() };
    let text = |message: &Value| {
        let headers = message["headers"].as_array().cloned().unwrap_or_default();
        let attempt = headers.iter().find(|header| header[0] == "primer-attempt").map(|header| header[1].clone());
        let text = message["text"].as_str().unwrap_or("(no text)");
        attempt.map_or_else(|| text.to_owned(), |attempt| format!("{text} #{}", attempt.as_str().unwrap_or("?")))
    };
    messages.as_array().expect("a list").iter().map(text).collect()
}

/// What is in a queue.
#[track_caller]
fn seen(broker: &Broker, name: &str) -> Vec<Value> {
    let ran = ask(broker, &format!("browse {name} -n 1000 --json"), &[]);
    let page = if ran.stdout.is_empty() { json!({ "messages": [] }) } else { ran.json() };
    page["messages"].as_array().expect("a list").clone()
}

fn texts(messages: &[Value]) -> Vec<&str> {
    messages.iter().map(|message| message["text"].as_str().unwrap_or("(no text)")).collect()
}

/// Queues in every state; answers when what is delayed was put in.
fn fill(broker: &Broker) -> Instant {
    queue(broker, "create jobs --dedupe-window 1h --max-deliveries 3 --max-messages 500");
    // A group gets what is there when it begins, and what comes then.
    assert_eq!((got(broker, "jobs --wait 10ms"), got(broker, "jobs --group audit --wait 10ms")), (vec![], vec![]));
    queue(broker, "create keyed --by-key --key-of topic");
    queue(broker, "create once --at-most-once");
    queue(broker, "create bound --bind plant/+");
    for (n, options) in
        ["--id i-0", "--key k", "", "--priority 9 --id i-3 --ttl 1h", "", "--header a=b", ""].iter().enumerate()
    {
        queue(broker, &format!("put jobs -m job-{n} {options}"));
    }
    assert_eq!(got(broker, "jobs"), ["job-3"]);
    assert_eq!(got(broker, "jobs --reject"), ["job-0"]);
    assert_eq!(got(broker, "jobs --group audit -n 3"), ["job-3", "job-0", "job-1"]);
    assert_eq!(got(broker, "jobs --nack"), ["job-1"]);
    assert_eq!(got(broker, "jobs --nack"), ["job-1 #2"]);
    queue(broker, "put keyed -m first --topic a");
    queue(broker, "put keyed -m second --topic a");
    queue(broker, "put keyed -m other --topic b");
    assert_eq!(got(broker, "keyed --nack"), ["first"]);
    queue(broker, "put once -m 1");
    assert_eq!(got(broker, "once --nack"), ["1"]);
    queue(broker, "put once -m 2");
    queue(broker, "put stopped -m waits");
    queue(broker, "pause stopped");
    // Nobody is there yet: these wait for the first group.
    queue(broker, "put waiting -m w-1 -m w-2");
    let mut session = durable(broker, "s");
    session.subscribe("plant/+", 1);
    session.disconnect();
    let mut publisher = Client::v5(broker.addr(), "publisher");
    publisher.publish_retained("plant/7", "for three", 1);
    publisher.disconnect();
    let delayed_since = Instant::now();
    queue(broker, "put late -m soon --delay 4s");
    queue(broker, "put late -m never --delay 10h");
    delayed_since
}

/// Everything that can be seen and done, in words.
fn tell(broker: &Broker, delayed_since: Instant) -> Vec<String> {
    let mut told = Vec::new();
    let list = queue(broker, "ls");
    let names: Vec<String> =
        list["queues"].as_array().expect("queues").iter().map(|one| one["name"].to_string()).collect();
    for name in &names {
        let name = name.trim_matches('"');
        let info = queue(broker, &format!("info {name}"));
        let groups = info["groups"].as_array().expect("groups").iter().map(Value::to_string);
        let (definition, is_paused, messages) = (&info["definition"], &info["is_paused"], &info["messages"]);
        told.push(format!("{name}: {messages}, {is_paused}, {definition}"));
        told.extend(groups);
        for mut message in seen(broker, name) {
            if let Some(fields) = message.as_object_mut().filter(|fields| fields["text"] == "soon") {
                // Its time may come between two looks.
                fields.retain(|name, _| !["state", "due_unix_ms"].contains(&name.as_str()));
            }
            told.push(message.to_string());
        }
    }
    let mut does = |what: &str, got: Vec<String>| told.push(format!("{what}: {got:?}"));
    let soon = got(broker, "late --wait 6s");
    assert!(delayed_since.elapsed() >= Duration::from_secs(4), "it came early");
    does("soon", soon);
    queue(broker, "put jobs -m twice --id i-0");
    queue(broker, "put jobs -m new");
    does("texts", texts(&seen(broker, "jobs")).into_iter().map(str::to_owned).collect());
    does("last", vec![seen(broker, "jobs").last().expect("a message")["position"].to_string()]);
    does("third", got(broker, "jobs --nack"));
    does("jobs", got(broker, "jobs -n 10"));
    does("audit", got(broker, "jobs --group audit -n 10"));
    does("empty", texts(&seen(broker, "jobs")).into_iter().map(str::to_owned).collect());
    let dead = seen(broker, "jobs --dead");
    let dead =
        dead.iter().map(|one| format!("{} {} {}", one["text"], one["dead"]["reason"], one["dead"]["deliveries"]));
    does("dead", dead.collect());
    does("back", vec![queue(broker, "move --dead jobs")["moved"].to_string()]);
    does("again", got(broker, "jobs -n 10"));
    for words in
        ["keyed -n 10", "keyed", "once -n 10", "bound", "waiting -n 10", "waiting --group second -n 10", "stopped"]
    {
        does(words, got(broker, words));
    }
    queue(broker, "resume stopped");
    does("resumed", got(broker, "stopped"));
    let mut session = durable(broker, "s");
    does("session", vec![session.recv().text()]);
    told
}

#[test]
fn a_broker_on_restored_queues_does_what_the_one_that_was_killed_would_have_done() {
    let place = Place::new();
    let (first, second) = (place.arg("first"), place.arg("second"));
    let mut broker = serve(&first);
    let delayed_since = fill(&broker);
    broker.kill9();
    let dump = primer(&["dump", "--data", &first]).good();
    primer_with(&["restore", "--data", &second, "-"], &dump.stdout).good();
    primer(&["store", "check", "--data", &first]).good();
    primer(&["store", "check", "--data", &second]).good();
    let again = primer(&["dump", "--data", &second]).good();
    for (one, other) in content(&dump.stdout).iter().zip(content(&again.stdout)) {
        assert_eq!(*one, other);
    }
    assert_eq!(content(&dump.stdout).len(), content(&again.stdout).len());
    primer(&["store", "compact", "--data", &second]).good();
    assert_eq!(content(&primer(&["dump", "--data", &second]).good().stdout), content(&again.stdout));
    let lines = lines(&dump.stdout);
    let end = &lines.last().expect("a last line")["end"];
    assert_eq!((&end["queues"], &end["left_out"]), (&json!(8), &json!(0)), "{end}");
    let shared = lines.iter().filter(|line| line["message"]["topic"] == "plant/7").collect::<Vec<_>>();
    assert_eq!(shared.len(), 1, "a payload is there once");
    assert_eq!(shared[0]["message"]["to"].as_array().map(Vec::len), Some(3), "{}", shared[0]);
    // Side by side: what is delayed waits in both.
    let told = std::thread::scope(|scope| {
        let brokers = [&first, &second].map(|data| {
            scope.spawn(move || {
                let broker = serve(data);
                let told = tell(&broker, delayed_since);
                stop(broker);
                told
            })
        });
        brokers.map(|broker| broker.join().expect("what it tells"))
    });
    for (one, other) in told[0].iter().zip(&told[1]) {
        assert_eq!(one, other);
    }
    assert_eq!(told[0].len(), told[1].len());
    let said = |what: &str| told[1].iter().any(|line| line == what);
    for what in [
        r#"texts: ["job-1", "job-2", "job-4", "job-5", "job-6", "new"]"#,
        r#"last: ["7"]"#,
        r#"third: ["job-1 #3"]"#,
        r#"jobs: ["job-2", "job-4", "job-5", "job-6", "new"]"#,
        r#"audit: ["job-2", "job-4", "job-5", "job-6", "new"]"#,
        r#"dead: ["\"job-0\" \"rejected\" 1", "\"job-1\" \"max_deliveries\" 3"]"#,
        r#"keyed -n 10: ["first", "other"]"#, // one message of a key at a time
        r#"keyed: ["second"]"#,
        r#"once -n 10: ["2"]"#,
        r#"waiting -n 10: ["w-1", "w-2"]"#,
        r#"stopped: []"#,
        r#"resumed: ["waits"]"#,
        r#"soon: ["soon"]"#,
        r#"session: ["for three"]"#,
    ] {
        assert!(said(what), "no {what} in {:#?}", told[1]);
    }
}

/// A queue `jobs` with the group `default` and another one: of three messages the first is acknowledged to `default`.
fn half_done(broker: &Broker, other_group: &str, of: &str) {
    assert_eq!(got(broker, "jobs --wait 10ms"), Vec::<String>::new());
    assert_eq!(got(broker, &format!("jobs --group {other_group} --wait 10ms")), Vec::<String>::new());
    queue(broker, &format!("put jobs -m {of}-0 --id id"));
    queue(broker, &format!("put jobs -m {of}-1"));
    queue(broker, &format!("put jobs -m {of}-2 --id {of}"));
    assert_eq!(got(broker, "jobs"), [format!("{of}-0")]);
    assert_eq!(got(broker, "jobs --nack"), [format!("{of}-1")]);
    assert_eq!(got(broker, "jobs --nack"), [format!("{of}-1 #2")]);
}

#[test]
fn a_merge_puts_the_messages_of_the_dump_behind_those_that_are_there() {
    let place = Place::new();
    let (from, into) = (place.arg("from"), place.arg("into"));
    let broker = serve(&from);
    queue(&broker, "create jobs --dedupe-window 1h --max-messages 7");
    half_done(&broker, "backup", "dump");
    queue(&broker, "create only-in-dump --max-messages 8");
    queue(&broker, "pause only-in-dump");
    // One that has no messages any more, and a group that waits for some.
    queue(&broker, "put quiet -m gone");
    assert_eq!(got(&broker, "quiet --group g"), ["gone"]);
    stop(broker);
    let dump = primer(&["dump", "--data", &from]).good().stdout;
    let broker = serve(&into);
    queue(&broker, "create jobs --dedupe-window 1h --max-messages 500");
    half_done(&broker, "there", "kept");
    queue(&broker, "put quiet -m waits-for-a-group");
    queue(&broker, "put only-there -m stays");
    stop(broker);
    primer_with(&["restore", "--data", &into, "-"], &dump)
        .failed_with(&["3 queues, 0 tables and 5 messages", "--merge"]);
    primer_with(&["restore", "--merge", "--data", &into, "-"], &dump).good();
    primer(&["store", "check", "--data", &into]).good();
    let merged = primer(&["dump", "--data", &into]).good().stdout;
    let merged = lines(&merged);
    let jobs = merged.iter().map(|line| &line["queue"]).find(|queue| queue["name"] == "jobs").expect("the queue");
    let groups: Vec<&Value> = jobs["groups"].as_array().expect("groups").iter().map(|group| &group["done"]).collect();
    assert_eq!(groups, [&json!([[0, 0], [3, 3]]), &Value::Null, &Value::Null], "{jobs}");
    assert_eq!(jobs["groups"][0]["deliveries"], json!([[1, 2], [4, 2]]));
    let broker = serve(&into);
    assert_eq!(queue(&broker, "info jobs")["definition"]["messages_max"], 500, "what is there says what it is");
    assert_eq!(queue(&broker, "info only-in-dump")["definition"]["messages_max"], 8);
    assert_eq!(queue(&broker, "info only-in-dump")["is_paused"], true);
    // Identifiers of both are known.
    for id in ["id", "dump", "kept"] {
        ask(&broker, "put jobs -m again --id", &[id]).good();
    }
    let all = ["kept-0", "kept-1", "kept-2", "dump-0", "dump-1", "dump-2"];
    assert_eq!(texts(&seen(&broker, "jobs")), all);
    assert_eq!(got(&broker, "jobs -n 10"), ["kept-1 #3", "kept-2", "dump-1 #3", "dump-2"]);
    assert_eq!(got(&broker, "jobs --group there -n 10"), all);
    assert_eq!(got(&broker, "jobs --group backup -n 10"), all);
    assert!(seen(&broker, "jobs").is_empty());
    assert_eq!(got(&broker, "quiet --group g -n 10"), ["waits-for-a-group"]);
    assert_eq!(got(&broker, "only-there"), ["stays"]);
    queue(&broker, "put jobs -m last");
    assert_eq!(seen(&broker, "jobs")[0]["position"], 6);
    stop(broker);
}

/// What there are more of together than one queue may have is refused, and nothing is changed.
#[test]
fn a_merge_into_too_many_groups_is_refused() {
    let place = Place::new();
    let with_groups = |of: &str| {
        let group = |n| format!(r#"{{"name":"{of}-{n}","at_most_once":false,"by_key":false,"from":0}}"#);
        let groups = (0..40).map(group).collect::<Vec<_>>().join(",");
        let queue = format!(r#"{{"queue":{{"name":"q","paused":false,"next":0,"groups":[{groups}]}}}}"#);
        made_up(2, &[&queue], r#""sessions":0,"queues":1,"messages":0"#)
    };
    let data = place.arg("data");
    primer_with(&["restore", "--data", &data, "-"], &with_groups("a")).good();
    let before = primer(&["dump", "--data", &data]).good().stdout;
    primer_with(&["restore", "--merge", "--data", &data, "-"], &with_groups("b")).failed_with(&["line 2", "80 groups"]);
    assert_eq!(content(&primer(&["dump", "--data", &data]).good().stdout), content(&before));
    primer_with(&["restore", "--merge", "--data", &data, "-"], &with_groups("a")).good();
    assert_eq!(content(&primer(&["dump", "--data", &data]).good().stdout), content(&before));
}

#[test]
fn stats_name_queues_beside_sessions() {
    let place = Place::new();
    let data = place.arg("data");
    let broker = serve(&data);
    queue(&broker, "create empty");
    assert_eq!(got(&broker, "jobs --wait 10ms"), Vec::<String>::new());
    queue(&broker, "put jobs -m one -m two");
    let mut session = durable(&broker, "s");
    session.subscribe("t", 1);
    session.disconnect();
    Client::v5(broker.addr(), "publisher").publish("t", "for the session", 1);
    stop(broker);
    let stats = primer(&["store", "stats", "--json", "--by", "messages", "--data", &data]).good().json();
    for (name, number) in [
        ("named_queues", 2),
        ("in_named_queues", 2),
        ("sessions", 1),
        ("queued", 1),
        ("messages", 3),
        ("records_damaged", 0),
    ] {
        assert_eq!(stats[name], number, "{name} in {stats}");
    }
    let largest: Vec<(&Value, &Value, &Value)> = stats["queues"]
        .as_array()
        .expect("queues")
        .iter()
        .map(|queue| (&queue["name"], &queue["messages"], &queue["groups"]))
        .collect();
    let named = json!(["queue jobs", "session s", "queue empty"]);
    assert_eq!(largest[0], (&named[0], &json!(2), &json!(1)));
    assert_eq!(largest[1], (&named[1], &json!(1), &Value::Null));
    assert_eq!(largest[2], (&named[2], &json!(0), &json!(0)));
    assert!(stats["queues"][0]["oldest_unix_ms"].as_u64().is_some_and(|unix_ms| unix_ms > 1_600_000_000_000));
    let text = String::from_utf8(primer(&["store", "stats", "--data", &data]).good().stdout).expect("text");
    assert!(text.contains("queue jobs  1 groups, the oldest ") && text.contains("queue empty  0 groups\n"), "{text}");
    let check = primer(&["store", "check", "--json", "--data", &data]).good().json();
    assert_eq!((&check["sound"], &check["records_damaged"]), (&json!(true), &json!(0)));
}
