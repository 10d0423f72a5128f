//! A disk budget that is spent, and a disk that is full, with queues on it.

use std::fs;
use std::time::Duration;

use primer_harness::sys::await_sys;
use primer_harness::{Broker, Client, Version};
use serde_json::{Value, json};

use crate::disk_limit::{fill, number_of, numbered};
use crate::fixture::{QUOTA_EXCEEDED, Stop, await_that, bounce, broker_with, sleeper};
use crate::mount::Mount;

const JOBS: &str = "$queue/jobs";

#[track_caller]
fn info(broker: &Broker) -> Value {
    let mut client = Client::v5(broker.addr(), "operator");
    let command = json!({"commands": [{"command": "getQueue", "name": "jobs"}]});
    client.publish("$CONTROL/queue/v1", command.to_string(), 1);
    let answer: Value = serde_json::from_slice(&client.recv().payload).expect("JSON");
    client.disconnect();
    answer["responses"][0]["data"].clone()
}

/// Takes everything that is there for a group.
#[track_caller]
fn take_all(broker: &Broker, group: &str, qos: u8) -> Vec<u32> {
    let mut client = Client::connect_with(broker.addr(), Version::V5, group, |c| c);
    assert_eq!(client.subscribe(&format!("$share/{group}/{JOBS}"), qos), qos);
    let mut numbers = Vec::new();
    while let Some(message) = client.recv_publish(Duration::from_millis(1500)) {
        numbers.push(number_of(&message.payload));
    }
    client.ping();
    client.disconnect();
    numbers
}

/// Makes groups that get everything from the first message on.
#[track_caller]
fn with_groups(broker: &Broker, groups: &[&str]) {
    let mut client = Client::v5(broker.addr(), "groups");
    for group in groups {
        client.subscribe(&format!("$share/{group}/{JOBS}"), 1);
    }
    client.disconnect();
}

/// Makes the queue.
#[track_caller]
fn make(broker: &Broker, definition: &Value) {
    let mut client = Client::v5(broker.addr(), "operator");
    let command = json!({"commands": [{"command": "createQueue", "name": "jobs", "definition": definition}]});
    client.publish("$CONTROL/queue/v1", command.to_string(), 1);
    let answer: Value = serde_json::from_slice(&client.recv().payload).expect("JSON");
    assert_eq!(answer["responses"][0].get("error"), None, "{answer}");
    client.disconnect();
}

/// Publishers are told; what was acknowledged is there for each group after a kill; then there is room again.
#[test]
fn a_full_disk_budget_refuses_into_queues_and_comes_back() {
    let mut broker = broker_with(&["--disk-limit", "36M", "--overflow", "reject", "--sys-interval", "1"]);
    with_groups(&broker, &["a", "b"]);
    let mut publisher = Client::v5(broker.addr(), "publisher");
    let accepted = fill(&mut publisher, JOBS, 0);
    assert!(accepted.len() > 200, "only {} fit", accepted.len());
    bounce(&mut broker, Stop::Kill);
    assert_eq!(take_all(&broker, "a", 1), accepted);
    let mut publisher = Client::v5(broker.addr(), "publisher");
    assert!((0..50).any(|_| publisher.publish(JOBS, numbered(9), 1) == QUOTA_EXCEEDED), "b wants them all");
    let mut of_b = take_all(&broker, "b", 2);
    of_b.truncate(accepted.len());
    assert_eq!(of_b, accepted);
    await_that("there is room again", Duration::from_secs(10), || publisher.publish(JOBS, numbered(10), 1) == 0);
}

/// A queue that rejects, as they do unless something else is said, lost what it had acknowledged to the sessions'
/// policy. Sessions make room as long as they have any to make.
#[test]
fn what_a_queue_that_rejects_has_acknowledged_makes_no_room() {
    let mut broker = broker_with(&["--disk-limit", "36M", "--overflow", "drop-oldest", "--sys-interval", "1"]);
    with_groups(&broker, &["a"]);
    sleeper(broker.addr(), Version::V5, "away", "t", 1);
    let mut publisher = Client::v5(broker.addr(), "publisher");
    let mut accepted = Vec::new();
    for number in 0..150 {
        assert_eq!(publisher.publish(JOBS, numbered(number), 1), 0, "{number}");
        accepted.push(number);
        assert_eq!(publisher.publish("t", numbered(number), 1), 0, "{number}");
    }
    for number in 150..400 {
        assert_eq!(publisher.publish("t", numbered(number), 1), 0, "{number}: sessions make room for sessions");
    }
    accepted.extend(fill(&mut publisher, JOBS, 400));
    await_sys(&broker, "drops/evicted", |count| count > 100);
    bounce(&mut broker, Stop::Kill);
    assert_eq!(take_all(&broker, "a", 1), accepted);
}

/// The oldest go, and are counted; they go for all groups, and do not come back with a restart.
#[test]
fn the_oldest_of_a_queue_make_room_once_and_for_all() {
    let mut broker = broker_with(&["--disk-limit", "36M", "--overflow", "drop-oldest", "--sys-interval", "1"]);
    make(&broker, &json!({"overflow": "drop_oldest"}));
    with_groups(&broker, &["a", "b"]);
    let mut publisher = Client::v5(broker.addr(), "publisher");
    for number in 0..900 {
        assert_eq!(publisher.publish(JOBS, numbered(number), 1), 0, "{number}");
    }
    await_sys(&broker, "drops/evicted", |count| count > 100);
    std::thread::sleep(Duration::from_millis(500));
    let before = info(&broker);
    let left = before["messages"].as_u64().expect("a number");
    assert_eq!(before["counts"]["evicted"].as_u64().map(|evicted| evicted + left), Some(900), "{before}");
    let evicted = 900 - u32::try_from(left).expect("few");
    bounce(&mut broker, Stop::Kill);
    assert_eq!(info(&broker)["messages"], left);
    assert_eq!(take_all(&broker, "a", 1), (evicted..900).collect::<Vec<_>>(), "{before}");
    bounce(&mut broker, Stop::Term);
    assert_eq!(take_all(&broker, "a", 1), [0_u32; 0]);
    assert_eq!(take_all(&broker, "b", 2), (evicted..900).collect::<Vec<_>>());
}

/// A disk without a free byte: consumers get on, what they acknowledge does not come again, and there is room again.
#[test]
fn a_full_disk_lets_consumers_get_on() {
    let Some(mount) = Mount::tmpfs("size=64m") else { return };
    let data = mount.path().join("data");
    fs::write(mount.path().join("ballast"), vec![1; 30 << 20]).expect("ballast");
    let data = data.to_str().expect("a path");
    let mut broker = broker_with(&["--data", data, "--disk-limit", "1G", "--sys-interval", "1"]);
    with_groups(&broker, &["a", "b"]);
    let mut publisher = Client::v5(broker.addr(), "publisher");
    let accepted = fill(&mut publisher, JOBS, 0);
    assert!(accepted.len() > 100, "only {} fit", accepted.len());
    assert_eq!(take_all(&broker, "a", 1), accepted);
    assert_eq!(take_all(&broker, "b", 1)[..accepted.len()], accepted);
    await_that("there is room again", Duration::from_secs(20), || publisher.publish(JOBS, numbered(10_000), 1) == 0);
    bounce(&mut broker, Stop::Kill);
    let again = take_all(&broker, "a", 1);
    assert!(again.ends_with(&[10_000]) && again.len() < 50, "{again:?}");
}
