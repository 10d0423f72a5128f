//! What the broker tells about itself: `$SYS` in mosquitto's names, and the events of clients in EMQX's form.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use primer_harness::{Broker, Client, SILENCE, TIMEOUT};
use serde_json::Value;

use crate::fixture::broker;

/// The names of mosquitto(8), below `$SYS/broker/`.
const NAMES: [&str; 33] = [
    "bytes/received",
    "bytes/sent",
    "clients/active",
    "clients/connected",
    "clients/disconnected",
    "clients/expired",
    "clients/inactive",
    "clients/maximum",
    "clients/total",
    "heap/current",
    "heap/maximum",
    "load/bytes/received/1min",
    "load/bytes/sent/5min",
    "load/connections/1min",
    "load/messages/received/15min",
    "load/messages/sent/1min",
    "load/publish/dropped/1min",
    "load/publish/received/1min",
    "load/publish/sent/1min",
    "load/sockets/1min",
    "messages/received",
    "messages/sent",
    "messages/stored",
    "publish/bytes/received",
    "publish/bytes/sent",
    "publish/messages/dropped",
    "publish/messages/received",
    "publish/messages/sent",
    "retained messages/count",
    "store/messages/bytes",
    "store/messages/count",
    "subscriptions/count",
    "uptime",
];

/// All values that come until `is_enough` says so.
fn collect(client: &mut Client, is_enough: impl Fn(&BTreeMap<String, String>) -> bool) -> BTreeMap<String, String> {
    let deadline = Instant::now() + TIMEOUT;
    let mut values = BTreeMap::new();
    while !is_enough(&values) {
        let left = deadline.saturating_duration_since(Instant::now());
        match client.recv_publish(left) {
            Some(message) => values.insert(message.topic.clone(), message.text()),
            None => panic!("only these came: {values:#?}"),
        };
    }
    values
}

/// Every name has a value, and the values are right.
#[test]
fn sys_has_the_names_of_mosquitto() {
    let broker = Broker::with_args(&["--sys-interval", "1"]);
    let _others: Vec<_> = (0..3).map(|n| Client::v5(broker.addr(), &format!("other-{n}"))).collect();
    let mut client = Client::v5(broker.addr(), "watcher");
    client.publish_retained("kept", "x", 1);
    client.subscribe("$SYS/broker/#", 0);
    let name = |name: &str| format!("$SYS/broker/{name}");
    let settled = [("clients/connected", "4"), ("clients/total", "4"), ("subscriptions/count", "1")];
    let values = collect(&mut client, |values| {
        let is = |wanted: &str, value: &str| values.get(&name(wanted)).is_some_and(|is| is == value);
        NAMES.iter().all(|wanted| values.contains_key(&name(wanted)))
            && settled.iter().all(|(wanted, value)| is(wanted, value))
            && !is("publish/messages/received", "0")
            && !is("retained messages/count", "0")
    });
    let value = |wanted: &str| values.get(&name(wanted)).map_or("", String::as_str);
    for wanted in NAMES.iter().filter(|wanted| **wanted != "uptime") {
        assert!(value(wanted).parse::<f64>().is_ok_and(|value| value >= 0.0), "{wanted}: {}", value(wanted));
    }
    assert!(value("version").starts_with("primer version "), "{}", value("version"));
    assert!(value("uptime").ends_with(" seconds"), "{}", value("uptime"));
}

/// `--sys-interval 0` tells nothing.
#[test]
fn sys_can_be_turned_off() {
    let broker = Broker::with_args(&["--sys-interval", "0"]);
    let mut client = Client::v5(broker.addr(), "watcher");
    client.subscribe("$SYS/#", 0);
    let _other = Client::v5(broker.addr(), "other");
    client.expect_no_publish(SILENCE);
}

/// EMQX's events: who came and who went, and why.
#[test]
fn events_of_clients_are_published() {
    let broker = broker();
    let mut watcher = Client::v5(broker.addr(), "event-watch");
    watcher.subscribe("$SYS/brokers/primer/clients/event-seen/+", 0);
    let began = std::time::SystemTime::now();
    let seen = Client::v5_with(broker.addr(), "event-seen", |c| c.keep_alive(33).session_expiry(7));
    let message = watcher.recv();
    assert_eq!(message.topic, "$SYS/brokers/primer/clients/event-seen/connected");
    assert!(!message.retain);
    let event: Value = serde_json::from_slice(&message.payload).expect("the event is JSON");
    assert_eq!(event["clientid"], "event-seen");
    assert_eq!(event["username"], Value::Null);
    assert_eq!(event["ipaddress"], "127.0.0.1");
    assert_eq!(event["proto_ver"], 5);
    assert_eq!(event["keepalive"], 33);
    assert_eq!(event["expiry_interval"], 7);
    assert_eq!(event["clean_start"], true);
    let began_ms = began.duration_since(std::time::UNIX_EPOCH).map_or(0, |since| since.as_millis());
    let near = |value: &Value| {
        value.as_u64().is_some_and(|at| u128::from(at).abs_diff(began_ms) < Duration::from_secs(60).as_millis())
    };
    assert!(near(&event["connected_at"]) && near(&event["ts"]), "{event}");
    seen.disconnect();
    let message = watcher.recv();
    assert_eq!(message.topic, "$SYS/brokers/primer/clients/event-seen/disconnected");
    let event: Value = serde_json::from_slice(&message.payload).expect("the event is JSON");
    assert_eq!(event["clientid"], "event-seen");
    assert!(event["reason"].as_str().is_some_and(|reason| !reason.is_empty()), "{event}");
    assert!(near(&event["disconnected_at"]), "{event}");
}

/// What the broker tells cannot be forged: a client may not publish there.
#[test]
fn clients_may_not_publish_to_sys() {
    let broker = broker();
    let mut watcher = Client::v5(broker.addr(), "forge-watch");
    watcher.subscribe("$SYS/forged/#", 1);
    let mut forger = Client::v5(broker.addr(), "forge");
    assert_eq!(forger.publish("$SYS/forged/t", "x", 1), 0x87);
    assert_eq!(forger.publish("$SYS/forged/t", "x", 2), 0x87);
    forger.publish_retained("$SYS/forged/t", "x", 0);
    forger.ping();
    watcher.expect_no_publish_before_ping();
}
