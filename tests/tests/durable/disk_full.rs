//! A disk that is full before the broker's budget is spent: a small file system in memory.

use std::fs;
use std::time::Duration;

use primer_harness::sys::await_sys;
use primer_harness::{Broker, Client, Version};

use crate::disk_limit::{drain, fill, numbered};
use crate::fixture::{QUOTA_EXCEEDED, Stop, await_that, bounce, broker_with, lasting, sleeper};
use crate::mount::Mount;

/// A disk of 64 MB of which something else takes the first part, and a broker that thinks it may take a gigabyte.
struct Small {
    // Dropped in this order: the broker ends before its disk goes.
    broker: Broker,
    mount: Mount,
}

impl Small {
    #[track_caller]
    fn new(overflow: &str, ballast_bytes: usize) -> Option<Self> {
        let mount = Mount::tmpfs("size=64m")?;
        let data = mount.path().join("data");
        fs::write(mount.path().join("ballast"), vec![1; ballast_bytes]).expect("ballast");
        let data = data.to_str().expect("a path");
        let limit = ["--disk-limit", "1G", "--sys-interval", "1"];
        let broker = broker_with(&[&["--data", data, "--overflow", overflow], &limit[..]].concat());
        sleeper(broker.addr(), Version::V5, "sleeper", "full", 1);
        Some(Self { broker, mount })
    }

    fn drop_ballast(&self) {
        fs::remove_file(self.mount.path().join("ballast")).expect("the ballast");
    }
}

/// Others are served while the disk is full.
#[track_caller]
fn assert_served(broker: &Broker) {
    let mut live = Client::v5(broker.addr(), "live");
    live.subscribe("live", 1);
    for number in 0..20 {
        assert_eq!(live.publish("live", number.to_string(), 1 + number % 2), 0);
        assert_eq!(live.recv().text(), number.to_string());
    }
    live.ping();
    live.disconnect();
}

/// Room that somebody else makes brings it back without a restart.
#[test]
fn a_full_disk_refuses_and_comes_back_when_there_is_room() {
    let Some(mut small) = Small::new("drop-oldest", 30 << 20) else { return };
    let mut publisher = Client::v5(small.broker.addr(), "publisher");
    let accepted = fill(&mut publisher, "full", 0);
    assert!(accepted.len() > 100, "only {} fit into 34 MB", accepted.len());
    assert_eq!(publisher.publish("full", numbered(0), 1), QUOTA_EXCEEDED);
    assert_served(&small.broker);
    await_sys(&small.broker, "drops/disk_full", |count| count > 0);
    small.drop_ballast();
    await_that("the disk is taken up again", Duration::from_secs(10), || {
        publisher.publish("full", numbered(10_000), 1) == 0
    });
    let more = fill(&mut publisher, "full", 10_001);
    assert!(more.len() > 100, "only {} fit into 30 MB more", more.len());
    println!("a disk of 64 MB: {} messages, and {} when there was more room", accepted.len(), more.len());
    let wanted = [accepted, vec![10_000], more].concat();
    bounce(&mut small.broker, Stop::Kill);
    assert_eq!(drain(&small.broker, "sleeper"), wanted);
}

/// Killed in the middle of it, it starts on the full disk and has all that was acknowledged; when that was fetched it
/// takes messages in again.
#[test]
fn a_broker_that_was_killed_on_a_full_disk_starts_on_it_and_has_everything() {
    for stop in Stop::BOTH {
        let Some(mut small) = Small::new("reject", 20 << 20) else { return };
        let mut publisher = Client::v5(small.broker.addr(), "publisher");
        let accepted = fill(&mut publisher, "full", 0);
        bounce(&mut small.broker, stop);
        assert_served(&small.broker);
        let mut publisher = Client::v5(small.broker.addr(), "publisher");
        let more = fill(&mut publisher, "full", 10_000);
        bounce(&mut small.broker, stop);
        assert_eq!(drain(&small.broker, "sleeper"), [accepted, more].concat(), "{stop:?}");
        small.drop_ballast();
        let mut publisher = Client::v5(small.broker.addr(), "publisher");
        await_that("there is room again", Duration::from_secs(10), || {
            publisher.publish("full", numbered(20_000), 1) == 0
        });
        bounce(&mut small.broker, stop);
        let last = drain(&small.broker, "sleeper");
        assert_eq!(last, [20_000], "{stop:?}");
    }
}

/// Without a restart, the client that it is full of comes and fetches. A file is given back when the next one has been
/// begun: a disk without a byte has the reserve for that. Without it such a disk stayed full.
#[test]
fn what_is_fetched_makes_room_on_a_full_disk() {
    let Some(mut small) = Small::new("reject", 2 << 20) else { return };
    let mut publisher = Client::v5(small.broker.addr(), "publisher");
    let accepted = fill(&mut publisher, "full", 0);
    assert_eq!(drain(&small.broker, "sleeper"), accepted);
    await_that("there is room again", Duration::from_secs(10), || publisher.publish("full", numbered(7), 1) == 0);
    let again = fill(&mut publisher, "full", 10_000);
    assert!(again.len() > accepted.len() / 2, "{} fit, and {} did before", again.len(), accepted.len());
    let reserve = small.mount.path().join("data/RESERVE");
    await_that("the reserve is given up", Duration::from_secs(10), || !reserve.exists());
    bounce(&mut small.broker, Stop::Kill);
    assert_eq!(drain(&small.broker, "sleeper"), [vec![7], again].concat());
    await_that("the reserve is there again", Duration::from_secs(10), || reserve.exists());
}

/// The message of a topic whose replacement the full disk refused was gone after the next start. Many topics take
/// turns, so that the disk is full of messages that are wanted.
#[test]
fn what_is_retained_stays_when_the_next_one_is_refused() {
    let Some(mut small) = Small::new("reject", 40 << 20) else { return };
    let mut publisher = Client::v5(small.broker.addr(), "publisher");
    let mut last = std::collections::BTreeMap::new();
    for number in 0.. {
        let topic = format!("kept/{}", number % 500);
        match publisher.publish_retained(&topic, numbered(number), 1) {
            QUOTA_EXCEEDED => break,
            _ => last.insert(topic, numbered(number)),
        };
        assert!(number < 10_000, "the disk does not become full");
    }
    for _ in 0..2 {
        await_that("what was accepted last is retained", Duration::from_secs(10), || {
            let mut client = Client::v5(small.broker.addr(), "looker");
            client.subscribe("kept/#", 0);
            let found = client.recv_publishes(last.len());
            found
                .into_iter()
                .map(|message| (message.topic, message.payload))
                .collect::<Vec<_>>()
                .into_iter()
                .collect::<std::collections::BTreeMap<_, _>>()
                == last
        });
        bounce(&mut small.broker, Stop::Kill);
    }
}

/// Older publishers are disconnected, clients with sessions that last are let in or told, and nobody is stuck.
#[test]
fn clients_of_every_kind_hear_of_a_full_disk() {
    let Some(small) = Small::new("reject", 40 << 20) else { return };
    let mut publisher = Client::v5(small.broker.addr(), "publisher");
    let mut known = lasting(small.broker.addr(), Version::V5, "known");
    fill(&mut publisher, "full", 0);
    let mut older = Client::v311(small.broker.addr(), "older");
    older.send(&primer_harness::wire::publish(Version::V311, "full", &numbered(1)).qos(1, 1).build());
    assert_eq!(older.expect_closed(), None);
    assert_eq!(older.recv_other(Duration::ZERO), None);
    // The connections that were there stay.
    known.ping();
    assert_eq!(known.publish("nobody", "x", 1), 0x10);
    let new = primer_harness::wire::connect(Version::V5, "new").clean(false).session_expiry(60);
    match Client::try_open(small.broker.addr(), &new) {
        Ok(mut client) => client.ping(),
        Err(refused) => assert_eq!(refused.code, Some(QUOTA_EXCEEDED)),
    }
    small.drop_ballast();
    await_that("everything is as before", Duration::from_secs(10), || {
        publisher.publish("full", numbered(3), 1) == 0 && Client::try_open(small.broker.addr(), &new).is_ok()
    });
    assert_eq!(known.subscribe("known", 1), 1);
}
