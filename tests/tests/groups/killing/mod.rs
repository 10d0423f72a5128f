//! A broker with queues that is killed again and again under load: each group gets everything that was acknowledged, or
//! it is in the dead letters; what was acknowledged long ago does not come again; keys keep their order; what comes at
//! most once comes at most once.
//!
//! Three ways in: `$queue/NAME`, a topic that a queue is bound to, and a topic that plain subscribers have as well. Two
//! groups compete at least once, one by key, one at most once. `PRIMER_KILL_SEED` replays the moments of a run,
//! `PRIMER_KILL_ROUNDS` makes a longer one.

mod consumer;
mod ledger;
mod publisher;
mod random;

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use primer_harness::{Broker, Client, Version};
use serde_json::json;

use self::consumer::{Consumer, Habit};
use self::ledger::Ledger;
use self::publisher::Publisher;
use self::random::Random;

/// What the threads of a run share.
#[derive(Debug, Default)]
struct Course {
    /// Publishers begin nothing new.
    is_over: AtomicBool,
    /// Consumers end.
    is_drained: AtomicBool,
}

/// Publishers: name, version, QoS, topic.
const PUBLISHERS: [(&str, Version, u8, &str); 6] = [
    ("q1-311", Version::V311, 1, "$queue/jobs"),
    ("q2-5", Version::V5, 2, "$queue/jobs"),
    ("b1-5", Version::V5, 1, "bound/x"),
    ("b2-311", Version::V311, 2, "bound/x"),
    ("s1-5", Version::V5, 1, "shared/x"),
    ("s2-311", Version::V311, 2, "shared/x"),
];

const GROUPS: [&str; 4] = ["a", "b", "keys", "once"];

/// Consumers: name, version, QoS, group, habit.
const CONSUMERS: [(&str, Version, u8, &str, Habit); 10] = [
    ("a1", Version::V5, 1, "a", Habit::Steady),
    ("a2", Version::V311, 2, "a", Habit::Dies),
    ("a3", Version::V5, 2, "a", Habit::Fails),
    ("b1", Version::V311, 1, "b", Habit::Dies),
    ("b2", Version::V5, 1, "b", Habit::Fails),
    ("b3", Version::V5, 2, "b", Habit::Steady),
    ("k1", Version::V5, 1, "keys", Habit::Dies),
    ("k2", Version::V311, 2, "keys", Habit::Steady),
    ("o1", Version::V5, 1, "once", Habit::Steady),
    ("o2", Version::V311, 2, "once", Habit::Dies),
];

#[test]
fn queues_keep_their_promises_over_kill_9() {
    let variable = |name: &str| std::env::var(name).ok().and_then(|text| text.parse::<u64>().ok());
    let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(1, |since| since.as_nanos() as u64);
    let seed = variable("PRIMER_KILL_SEED").unwrap_or(now);
    let rounds = variable("PRIMER_KILL_ROUNDS").unwrap_or(25);
    println!("PRIMER_KILL_SEED={seed}");
    let begun = Instant::now();
    let mut random = Random::new(seed);
    let mut broker = Broker::with_args(&["--data", "data", "--drain-timeout", "0"]);
    prepare(&broker);
    let (addr, course, ledger) = (broker.addr(), Course::default(), Ledger::default());
    std::thread::scope(|scope| {
        let (course, ledger) = (&course, &ledger);
        let _broken = EndOnPanic(course);
        let consumers: Vec<_> = CONSUMERS
            .into_iter()
            .map(|(id, version, qos, group, habit)| Consumer::new(id, version, qos, group, habit, random.fork()))
            .map(|consumer| scope.spawn(move || consumer.run(addr, course, ledger)))
            .collect();
        let publishers: Vec<_> = PUBLISHERS
            .into_iter()
            .map(|(id, version, qos, topic)| Publisher::new(id, version, qos, topic))
            .map(|publisher| scope.spawn(move || publisher.run(addr, course, ledger)))
            .collect();
        for _ in 0..rounds {
            std::thread::sleep(Duration::from_millis(150) + random.below_duration(Duration::from_millis(700)));
            broker.kill9();
            ledger.note_break(None);
            broker.start_again();
        }
        course.is_over.store(true, Ordering::Relaxed);
        publishers.into_iter().for_each(|thread| thread.join().expect("a publisher"));
        let end = Instant::now() + Duration::from_secs(30);
        while left(&broker) > 0 {
            assert!(Instant::now() < end, "{} messages are not handled", left(&broker));
            std::thread::sleep(Duration::from_millis(100));
        }
        std::thread::sleep(Duration::from_millis(300));
        course.is_drained.store(true, Ordering::Relaxed);
        consumers.into_iter().for_each(|thread| thread.join().expect("a consumer"));
    });
    fetch_plain(&broker, &ledger);
    fetch_dead_letters(&broker, &ledger);
    ledger.judge(rounds, begun.elapsed());
}

/// A test that fails in the middle ends the threads that the scope waits for.
struct EndOnPanic<'c>(&'c Course);

impl Drop for EndOnPanic<'_> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.0.is_over.store(true, Ordering::Relaxed);
            self.0.is_drained.store(true, Ordering::Relaxed);
        }
    }
}

fn command(client: &mut Client, command: &serde_json::Value) -> serde_json::Value {
    client.publish("$CONTROL/queue/v1", json!({ "commands": [command] }).to_string(), 1);
    let answer: serde_json::Value = serde_json::from_slice(&client.recv().payload).expect("JSON");
    assert!(answer["responses"][0]["error"].is_null(), "{answer}");
    answer["responses"][0]["data"].clone()
}

/// Makes the queue, its groups, and the session of a plain subscriber.
fn prepare(broker: &Broker) {
    let mut client = Client::v5(broker.addr(), "operator");
    // The options of a group are those that the definition has when it is made.
    for (is_first, group, at_most_once, by_key) in [
        (true, "a", false, false),
        (false, "b", false, false),
        (false, "keys", false, true),
        (false, "once", true, false),
    ] {
        let definition = json!({
            "bind": ["bound/+", "shared/+"], "key": "publisher", "deliveries_max": 50, "at_most_once": at_most_once,
            "by_key": by_key,
        });
        let name = if is_first { "createQueue" } else { "updateQueue" };
        command(&mut client, &json!({"command": name, "name": "jobs", "definition": definition}));
        client.subscribe(&format!("$share/{group}/$queue/jobs"), 1);
        client.unsubscribe(&format!("$share/{group}/$queue/jobs"));
    }
    let info = command(&mut client, &json!({"command": "getQueue", "name": "jobs"}));
    assert_eq!(info["groups"].as_array().map(Vec::len), Some(GROUPS.len()), "{info}");
    client.disconnect();
    let mut plain = Client::v5_with(broker.addr(), "plain", |c| c.clean(false).session_expiry(3600));
    assert_eq!(plain.subscribe("shared/+", 1), 1);
    plain.disconnect();
}

/// Messages that some group wants.
fn left(broker: &Broker) -> u64 {
    let mut client = Client::v5(broker.addr(), "operator");
    let info = command(&mut client, &json!({"command": "getQueue", "name": "jobs"}));
    client.disconnect();
    info["messages"].as_u64().expect("a number")
}

fn fetch_plain(broker: &Broker, ledger: &Ledger) {
    let mut plain = Client::v5_with(broker.addr(), "plain", |c| c.clean(false).session_expiry(3600));
    while let Some(message) = plain.recv_publish(Duration::from_millis(500)) {
        ledger.add_plain(&message.text());
    }
}

fn fetch_dead_letters(broker: &Broker, ledger: &Ledger) {
    let mut client = Client::v5(broker.addr(), "dead");
    client.subscribe("$dead/jobs", 1);
    while let Some(message) = client.recv_publish(Duration::from_millis(500)) {
        let group = primer_harness::wire::prop::user_properties(&message.props)
            .into_iter()
            .find(|(name, _)| *name == "primer-dead-group")
            .map(|(_, group)| group.to_owned());
        ledger.add_dead(&group.expect("it says which"), &message.text());
    }
}
