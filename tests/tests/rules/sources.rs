//! Messages of a dry run that come from a dump, and from a broker that goes on.

use std::io::Read;
use std::time::Duration;

use primer_harness::ran::{end, run, start};
use primer_harness::{Broker, Client, Launch};
use serde_json::{Value, json};

use crate::fixture::{Place, rules};

const RULES: &str = r#"
rule("jobs", "$queue/jobs", |msg| { publish("done", #{ p: msg.priority, k: msg.key, from: msg.client }); ok });
rule("state", "state/+", |msg| { publish("copy/" + msg.topic, msg); ok });
rule("dead", "$dead/jobs", |msg| { publish("why", msg.dead.reason); ok });
"#;

/// A data directory with messages in queues, dead letters, and retained ones.
fn filled(place: &Place) -> String {
    let data = place.arg("data");
    let mut broker = Launch::new().args(&["--data", &data, "--drain-timeout", "0"]).start();
    let port = broker.port().to_string();
    let queue = |words: &[&str]| {
        let ran = run(&[&["queue"], words, &["-p", &port]].concat(), b"");
        assert_eq!(ran.code, Some(0), "{ran:?}");
    };
    queue(&["put", "jobs", "-m", "bad", "--topic", "state/job"]);
    queue(&["get", "jobs", "--reject"]);
    queue(&["put", "jobs", "-m", "one", "--priority", "7", "--key", "k"]);
    queue(&["put", "other", "-m", "two"]);
    let mut client = Client::v5(broker.addr(), "publisher");
    client.publish_retained("state/pump", "on", 1);
    client.disconnect();
    broker.terminate();
    assert!(broker.wait(Duration::from_secs(30)).is_some_and(|status| status.success()));
    data
}

fn payloads(data: &Value, rule: &str) -> Vec<Value> {
    let cases = data["cases"].as_array().expect("cases").iter().filter(|case| case["rule"] == json!(rule));
    cases.map(|case| case["outputs"][0]["message"]["payload"].clone()).collect()
}

#[test]
fn a_dump_gives_the_messages_of_queues_and_retained_ones() {
    let place = Place::new();
    let (data, file) = (filled(&place), place.file("r.rhai", RULES));
    let (plain, packed) = (place.arg("dump.jsonl"), place.arg("dump.jsonl.gz"));
    for dump in [&plain, &packed] {
        assert_eq!(run(&["dump", "--data", &data, dump], b"").code, Some(0));
        let json = rules(&["test", &file, "--dump", dump, "--json"], "").json_with(0);
        assert_eq!(payloads(&json, "dead"), [json!("rejected")]);
        // The dead letter has a topic as well, under which it was published.
        assert_eq!(payloads(&json, "state"), [json!("bad"), json!("on")]);
        let [done] = &payloads(&json, "jobs")[..] else { panic!("{json}") };
        assert!(done.as_str().is_some_and(|done| done.contains("\"k\":\"k\",\"p\":7")), "{done}");
        assert_eq!(json["messages"], json!(4));
    }
    let json = rules(&["test", &file, "--dump", &plain, "--queue", "jobs", "--json"], "").json_with(0);
    assert_eq!((&json["messages"], &json["rules"]["jobs"]["calls"]), (&json!(1), &json!(1)));
    let whole = std::fs::read_to_string(&plain).expect("the dump");
    let json = rules(&["test", &file, "--dump", "-", "--json"], &whole).json_with(0);
    assert_eq!(json["messages"], json!(4));
    let none = rules(&["test", &file, "--dump", &plain, "--queue", "jbos"], "");
    none.said(1, &["no message in a queue \"jbos\""]);
    let half = &whole[..whole.len() / 2];
    let cut = rules(&["test", &file, "--dump", &place.file("half.jsonl", half)], "");
    cut.said(1, &["half.jsonl", "cut off"]);
    rules(&["test", &file, "--dump", &file], "").said(1, &["r.rhai", "no dump of Primer"]);
    rules(&["test", &file, "--dump", &place.arg("missing")], "").said(1, &["the dump ", "missing", "No such file"]);
}

#[test]
fn what_is_published_while_it_lasts_is_tried() {
    let (place, broker) = (Place::new(), Broker::start());
    let file = place.file("r.rhai", RULES);
    let mut client = Client::v5(broker.addr(), "publisher");
    client.publish_retained("state/old", "before", 1);
    let port = broker.port().to_string();
    let arguments = ["rules", "test", &file, "--live", "3", "--all", "--json", "-p", &port];
    let mut child = start(&arguments);
    // It has subscribed when the first message arrives: until then they are published again.
    let mut stdout = child.stdout.take().expect("its output");
    let reader = std::thread::spawn(move || {
        let mut text = String::new();
        stdout.read_to_string(&mut text).map(|_| text)
    });
    while !reader.is_finished() {
        client.publish("state/new", "now", 1);
        client.publish("elsewhere", "no", 1);
        std::thread::sleep(Duration::from_millis(50));
    }
    let text = reader.join().expect("the reader").expect("text");
    let ran = end(child);
    assert_eq!(ran.code, Some(0), "{ran:?}");
    assert!(ran.stderr.contains("\"jobs\" is on the queue \"jobs\""), "{ran:?}");
    let json: Value = serde_json::from_str(&text).expect("JSON");
    let seen = payloads(&json, "state");
    assert!(!seen.is_empty() && seen.iter().all(|payload| payload == "now"), "{json}");
    // Nothing was done by it.
    assert_eq!(client.publish("copy/nobody", "", 0), 0);
    rules(&["test", &file, "--live", "1", "--rule", "jobs", "-p", &port], "").said(1, &["none of these rules"]);
}

#[test]
fn a_broker_that_is_not_there_is_said() {
    let place = Place::new();
    let file = place.file("r.rhai", RULES);
    let port = primer_harness::port::free_port().to_string();
    for arguments in [
        &["ls"][..],
        &["apply", &file],
        &["apply", &file, "--check"],
        &["show", "r.rhai", "--version", "1"],
        &["rollback", "r.rhai"],
        &["rm", "r.rhai"],
        &["reload"],
        &["stats", "jobs"],
        &["trace", "jobs", "--topic", "a/#", "-n", "3", "--seconds", "5"],
        &["state", "jobs", "--reset"],
        &["test", &file, "--last", "10"],
    ] {
        rules(&[arguments, &["-p", &port]].concat(), "").said(1, &["no broker at 127.0.0.1"]);
    }
    rules(&["trace", "-n", "101"], "").said(2, &["1..=100"]);
    rules(&["trace", "--seconds", "301"], "").said(1, &["1 to 300 s"]);
    rules(&["trace", "--topic", "a/#/b"], "").said(1, &["the filter \"a/#/b\""]);
    rules(&["apply", "-"], "").said(1, &["--name NAME"]);
}
