//! `primer store`: damage is found where it is, figures are those of what was put in, and consumed messages go.

use std::fs;

use primer_harness::{Client, Launch};

use crate::fixture::{Place, content, durable, files, primer, serve, small_store, stop};

#[test]
fn a_flipped_bit_is_found_in_its_file() {
    let place = Place::new();
    let data = place.arg("data");
    small_store(&data, "s", 50);
    let sound = primer(&["store", "check", "--json", "--data", &data]).good().json();
    assert_eq!((&sound["sound"], &sound["messages"], &sound["sessions"]), (&true.into(), &52.into(), &1.into()));
    let file = place.path("data").join("0000000001.redb");
    let bytes = fs::read(&file).expect("the segment");
    let at = find(&bytes, b"message 17 for s").expect("a payload in the file");
    let mut damaged = bytes.clone();
    damaged[at] ^= 1;
    fs::write(&file, &damaged).expect("the segment");
    let before = files(&place.path("data"));
    let found = primer(&["store", "check", "--data", &data]);
    assert_eq!(found.code, Some(1), "{}", found.stderr);
    let says = String::from_utf8(found.stdout).expect("text");
    assert!(says.contains("0000000001.redb") && says.contains("DAMAGED") && says.contains("row "), "{says}");
    let json = primer(&["store", "check", "--json", "--data", &data]).json();
    assert_eq!((&json["sound"], &json["files"][0]["name"]), (&false.into(), &"0000000001.redb".into()));
    assert!(before == files(&place.path("data")), "a check changes nothing");
    // What is not damaged is dumped all the same, and the end of the program says that it is not all.
    let dump = primer(&["dump", "--data", &data]);
    assert_eq!(dump.code, Some(2), "{}", dump.stderr);
    assert!(dump.stderr.contains("damaged"), "{}", dump.stderr);
    let found = content(&dump.stdout).len();
    assert!((52..=53).contains(&found), "one session and all messages, but for the damaged one: {found}");
    // A file that is no store any more.
    fs::write(&file, &bytes[..bytes.len() / 2]).expect("the segment");
    let found = primer(&["store", "check", "--data", &data]);
    assert_eq!(found.code, Some(1), "{}", found.stderr);
    assert!(String::from_utf8_lossy(&found.stdout).contains("0000000001.redb"));
}

fn find(bytes: &[u8], text: &[u8]) -> Option<usize> {
    bytes.windows(text.len()).position(|window| window == text)
}

#[test]
fn stats_tell_what_was_put_in() {
    let place = Place::new();
    let data = place.arg("data");
    small_store(&data, "s", 12);
    let stats = primer(&["store", "stats", "--json", "--data", &data]).good().json();
    for (name, number) in
        [("sessions", 1), ("subscriptions", 1), ("messages", 14), ("queued", 13), ("retained", 2), ("delayed", 0)]
    {
        assert_eq!(stats[name], number, "{name} in {stats}");
    }
    assert_eq!(stats["queues"][0]["name"], "session s");
    assert_eq!(stats["oldest"]["topic"], "small/t");
    assert_eq!(stats["was_closed"], true);
    let live = stats["live_bytes"].as_u64().expect("a number");
    assert!(live > 0 && live < stats["file_bytes"].as_u64().expect("a number"));
    let text = String::from_utf8(primer(&["store", "stats", "--data", &data]).good().stdout).expect("text");
    assert!(text.contains("session s") && text.contains("incarnation 0"), "{text}");
}

/// What was consumed goes, what was not stays; a second time there is nothing to be gained.
#[test]
fn compacting_gives_back_what_was_consumed() {
    let place = Place::new();
    let data = place.arg("data");
    let launch = || Launch::new().args(&["--data", &data, "--disk-limit", "1G", "--drain-timeout", "0"]).start();
    let broker = launch();
    for id in ["fast", "slow"] {
        let mut subscriber = durable(&broker, id);
        subscriber.subscribe(&format!("{id}/#"), 1);
        subscriber.disconnect();
    }
    let mut publisher = Client::v5(broker.addr(), "publisher");
    for n in 0..1_500 {
        publisher.publish("fast/t", vec![n as u8; 20_000], 1);
        if n % 100 == 0 {
            publisher.publish("slow/t", format!("kept {n}"), 1);
        }
    }
    publisher.publish("slow/t", vec![7; 200_000], 1);
    let mut fast = durable(&broker, "fast");
    fast.recv_publishes(1_500);
    fast.ping();
    fast.disconnect();
    stop(broker);
    let before = primer(&["dump", "--data", &data]).good();
    let done = primer(&["store", "compact", "--json", "--data", &data]).good().json();
    let bytes = |when: &str| done[when]["bytes"].as_u64().expect("a number");
    println!("compacted: {done}");
    assert!(bytes("before") > 30_000_000 && bytes("after") < 2_000_000, "{done}");
    assert_eq!(done["messages"], 16);
    let on_disk = files(&place.path("data"));
    let on_disk = on_disk.iter().filter(|(path, _)| path.extension().is_some_and(|extension| extension == "redb"));
    let on_disk: usize = on_disk.map(|(_, content)| content.len()).sum();
    assert_eq!(on_disk as u64, bytes("after"), "nothing else is left");
    primer(&["store", "check", "--data", &data]).good();
    assert_eq!(content(&primer(&["dump", "--data", &data]).good().stdout), content(&before.stdout));
    let again = primer(&["store", "compact", "--json", "--data", &data]).good().json();
    assert_eq!(again["after"], done["after"]);
    let broker = serve(&data);
    let mut slow = durable(&broker, "slow");
    let texts: Vec<usize> = slow.recv_publishes(16).iter().map(|message| message.payload.len()).collect();
    assert_eq!((texts[0], texts[15]), ("kept 0".len(), 200_000));
    stop(broker);
}

/// A store that was never closed, and one with nothing in it.
#[test]
fn what_was_killed_is_looked_at_and_compacted_as_well() {
    let place = Place::new();
    let data = place.arg("data");
    let mut broker = serve(&data);
    let mut subscriber = durable(&broker, "s");
    subscriber.subscribe("#", 1);
    subscriber.disconnect();
    let mut publisher = Client::v5(broker.addr(), "publisher");
    for n in 0..100 {
        publisher.publish("t", format!("message {n}"), 1);
    }
    broker.kill9();
    let before = files(&place.path("data"));
    let dump = primer(&["dump", "--data", &data]).good();
    assert_eq!(content(&dump.stdout).len(), 101);
    primer(&["store", "check", "--data", &data]).good();
    assert_eq!(primer(&["store", "stats", "--json", "--data", &data]).good().json()["was_closed"], false);
    assert!(before == files(&place.path("data")), "looking changes nothing, recovery or not");
    primer(&["store", "compact", "--data", &data]).good();
    assert_eq!(content(&primer(&["dump", "--data", &data]).good().stdout), content(&dump.stdout));
    let empty = place.arg("empty");
    stop(serve(&empty));
    primer(&["store", "compact", "--data", &empty]).good();
    assert!(content(&primer(&["dump", "--data", &empty]).good().stdout).is_empty());
}
