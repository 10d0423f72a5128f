//! Other rules under load: nothing is lost and nothing comes twice, and from some message on it is the new script.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use primer_harness::{Client, Launch};
use serde_json::json;

use crate::fixture::Place;
use crate::serving::{ask, drain, serve, stats, until};

const VERSIONS: u64 = 12;

fn script(version: u64) -> String {
    format!(
        "rule(\"stamp\", \"in/+\", |msg| {{ enqueue(\"out\", `${{msg.text}} {version}`); ok }});
         rule(\"guard\", \"in/+\", #{{ stage: \"ingress\" }}, |msg| {{ msg.text += \" {version}\"; ok }});"
    )
}

/// Publishes numbers until it is over; how many.
fn publish(addr: std::net::SocketAddr, id: &str, is_over: &AtomicBool) -> u64 {
    let mut client = Client::v5(addr, id);
    let mut number = 0;
    while !is_over.load(Ordering::Relaxed) {
        assert_eq!(client.publish(&format!("in/{id}"), format!("{id} {number}"), 1), 0);
        number += 1;
    }
    number
}

fn reloads(change: impl Fn(u64, &Place, &mut Client), is_durable: bool) {
    let (folder, data) = (Place::with("stamp.rhai", &script(0)), Place::new());
    let broker = if is_durable {
        Launch::new().args(&["--rules", folder.path(), "--data", data.path()]).start()
    } else {
        serve(&folder)
    };
    let is_over = AtomicBool::new(false);
    let mut control = Client::v5(broker.addr(), "control");
    let published: BTreeMap<&str, u64> = std::thread::scope(|scope| {
        let publishers: Vec<_> =
            ["a", "b"].map(|id| (id, scope.spawn(|| publish(broker.addr(), id, &is_over)))).into_iter().collect();
        for version in 1..=VERSIONS {
            change(version, &folder, &mut control);
            std::thread::sleep(Duration::from_millis(60));
        }
        is_over.store(true, Ordering::Relaxed);
        publishers.into_iter().map(|(id, publisher)| (id, publisher.join().expect("no fault"))).collect()
    });
    until("all are done with", || stats(&mut control, "stamp")["waiting"] == 0);
    let texts = drain(&broker, "out");
    let all: u64 = published.values().sum();
    assert!(all > 200, "so few messages prove nothing: {published:?}");
    let mut last: BTreeMap<&str, (u64, [u64; 2])> = BTreeMap::new();
    for text in &texts {
        let words: Vec<&str> = text.split(' ').collect();
        let number: Vec<u64> = words[1..].iter().map(|word| word.parse().expect("a number")).collect();
        let [number, guard, stamp] = number[..] else { panic!("{text}") };
        let (next, versions) = last.entry(words[0]).or_default();
        assert_eq!(number, *next, "lost, twice or out of order: {text}");
        assert!(guard >= versions[0] && stamp >= versions[1], "an old script came again: {text}");
        (*next, *versions) = (number + 1, [guard, stamp]);
    }
    for (id, count) in &published {
        assert_eq!(last[id].0, *count, "{id}");
        assert_eq!(last[id].1, [VERSIONS, VERSIONS], "{id}");
    }
    let calls = stats(&mut control, "stamp")["stats"]["calls"].as_u64();
    println!("{all} messages through {VERSIONS} versions, {calls:?} calls");
    assert_eq!(calls, Some(all));
}

/// Waits until the version acts that the file has.
fn await_version(version: u64, control: &mut Client) {
    until("the file is read", || {
        let text = ask(control, &json!({"command": "getScript", "name": "stamp"}))["data"]["text"].clone();
        text == script(version)
    });
}

#[test]
fn files_change_under_load() {
    reloads(
        |version, folder, control| {
            folder.put("stamp.rhai", &script(version));
            await_version(version, control);
        },
        false,
    );
}

#[test]
fn scripts_are_applied_under_load() {
    reloads(
        |version, _, control| {
            let apply = json!({"command": "applyScript", "name": "stamp", "text": script(version)});
            let applied = ask(control, &apply);
            assert_eq!(applied["data"]["rules"], json!(["stamp", "guard"]), "{applied}");
            // A wrong one in between changes nothing.
            let wrong = "rule(\"stamp\", \"in/+\", |msg| { nothing( });";
            let wrong = json!({"command": "applyScript", "name": "stamp", "text": wrong});
            assert!(ask(control, &wrong)["error"].as_str().is_some_and(|why| why.contains("stamp.rhai:1:")));
        },
        true,
    );
}

#[test]
fn a_hangup_signal_has_the_directory_read_at_once() {
    let folder = Place::with("stamp.rhai", &script(0));
    let mut broker = serve(&folder);
    let mut control = Client::v5(broker.addr(), "control");
    folder.put("stamp.rhai", &script(7));
    folder.put("wrong.rhai", "rule(");
    broker.hang_up();
    await_version(7, &mut control);
    let listed = ask(&mut control, &json!({"command": "listRules"}));
    let wrong = listed["data"]["scripts"].as_array().and_then(|all| all.iter().find(|one| one["name"] == "wrong.rhai"));
    assert!(
        wrong.is_some_and(|one| one["error"].as_str().is_some_and(|why| why.contains("wrong.rhai:1:"))),
        "{listed}"
    );
    assert_eq!(control.publish("in/x", "x 0", 1), 0);
    assert_eq!(drain(&broker, "out"), ["x 0 7 7"]);
}
