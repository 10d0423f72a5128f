//! What of queues outlives kill -9, in a broker with a data directory.

use primer_harness::Broker;
use serde_json::json;

use crate::fixture::{queue, queue_with, texts};

/// A broker that keeps what it has.
fn broker() -> Broker {
    // The process runs in a folder of its own, in which this one is made.
    Broker::with_args(&["--data", "data", "--drain-timeout", "0"])
}

#[test]
fn a_queue_and_what_was_said_of_it_outlive_kill_9() {
    let mut broker = broker();
    queue(&broker, "create jobs --max-messages 50 --bind a/+", &[]).text();
    queue(&broker, "put jobs -m one -m two -m three", &[]).text();
    queue(&broker, "put jobs -m shown --topic plant/7 --priority 1", &[]).text();
    assert_eq!(queue(&broker, "get jobs", &[]).text(), "one\n");
    queue(&broker, "update jobs --max-messages 60", &[]).text();
    queue(&broker, "pause jobs", &[]).text();
    queue(&broker, "create gone", &[]).text();
    queue(&broker, "rm gone", &[]).text();
    broker.restart();
    let list = queue(&broker, "ls --json", &[]).json();
    assert_eq!(list["queues"].as_array().map(Vec::len), Some(1), "{list}");
    let info = queue(&broker, "info jobs --json", &[]).json();
    assert_eq!((&info["definition"]["messages_max"], &info["definition"]["bind"]), (&json!(60), &json!(["a/+"])));
    assert_eq!((&info["is_paused"], &info["is_kept"], &info["messages"]), (&json!(true), &json!(true), &json!(3)));
    let seen = queue(&broker, "browse jobs --json", &[]).json();
    assert_eq!(texts(&seen["messages"]), ["two", "three", "shown"]);
    assert_eq!(seen["messages"][2]["topic"], "plant/7");
    queue(&broker, "resume jobs", &[]).text();
    assert_eq!(queue(&broker, "get jobs -n 3", &[]).text(), "two\nthree\nshown\n");
}

#[test]
fn what_was_moved_is_where_it_was_moved_to() {
    let mut broker = broker();
    let many: String = (0..300).map(|number| format!("{number}\n")).collect();
    queue_with(&broker, "put jobs --lines", &[], many.as_bytes()).text();
    assert_eq!(queue(&broker, "get jobs -n 200 --reject", &[]).code, Some(0));
    let moved = queue(&broker, "move --dead jobs -n 150 --json", &[]).json();
    assert_eq!(moved["moved"], 150);
    broker.restart();
    let list = queue(&broker, "ls --json", &[]).json();
    let messages = |index: usize| (list["queues"][index]["name"].clone(), list["queues"][index]["messages"].clone());
    assert_eq!(messages(0), (json!("$dead/jobs"), json!(50)));
    assert_eq!(messages(1), (json!("jobs"), json!(250)));
    assert_eq!(queue(&broker, "move --dead jobs --json", &[]).json()["moved"], 50);
    let got = queue(&broker, "get jobs -n 400 --wait 500ms --json", &[]).json();
    let mut numbers: Vec<u32> = texts(&got).iter().map(|text| text.parse().expect("a number")).collect();
    numbers.sort_unstable();
    assert_eq!(numbers, (0..300).collect::<Vec<u32>>(), "each is there once");
}
