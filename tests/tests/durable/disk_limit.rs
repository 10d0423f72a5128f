//! The disk budget: what happens to messages for which there is no more room, by `--overflow`.

use std::collections::VecDeque;
use std::path::Path;
use std::time::{Duration, Instant};

use primer_harness::sys::await_sys;
use primer_harness::wire::{self, Ack, Packet, publish};
use primer_harness::{Broker, Client, Version};

use crate::fixture::{QUOTA_EXCEEDED, Stop, await_that, bounce, broker_with, lasting, sleeper};

/// The smallest limit that the program takes.
const LIMIT: &str = "36M";
const LIMIT_BYTES: u64 = 36 << 20;

/// A record of these takes 64 KiB of a file; a little more than a power of two would take twice as much.
const PAYLOAD_BYTES: usize = 60_000;

/// More than this is never needed to fill the disk.
const MESSAGES_MAX: u32 = 2_000;

/// The bytes of all files in a directory.
fn size_of(dir: &Path) -> u64 {
    let files = std::fs::read_dir(dir).expect("the data directory").flatten();
    files.filter_map(|file| file.metadata().ok()).map(|metadata| metadata.len()).sum()
}

/// A payload that begins with its number.
pub(crate) fn numbered(number: u32) -> Vec<u8> {
    let mut payload = format!("{number} ").into_bytes();
    payload.resize(PAYLOAD_BYTES, b'.');
    payload
}

/// The number that a payload begins with.
pub(crate) fn number_of(payload: &[u8]) -> u32 {
    let digits = payload.split(|byte| *byte == b' ').next().unwrap_or_default();
    std::str::from_utf8(digits).ok().and_then(|digits| digits.parse().ok()).expect("a message of this test")
}

/// Publishes numbered messages until one is refused; gives the numbers that were accepted.
#[track_caller]
pub(crate) fn fill(publisher: &mut Client, topic: &str, from: u32) -> Vec<u32> {
    const WINDOW: usize = 8;
    let mut accepted = Vec::new();
    let mut under_way = VecDeque::new();
    let mut is_full = false;
    let mut next = from;
    loop {
        while !is_full && under_way.len() < WINDOW {
            let pid = publisher.next_pid();
            publisher.send(&publish(Version::V5, topic, &numbered(next)).qos(1, pid).build());
            under_way.push_back((pid, next));
            next += 1;
        }
        let Some((pid, number)) = under_way.pop_front() else { return accepted };
        match publisher.await_ack(Ack::Puback, pid) {
            0 | 0x10 => accepted.push(number),
            QUOTA_EXCEEDED => is_full = true,
            other => panic!("reason {other:#04x} where the disk is full"),
        }
        assert!(next - from < MESSAGES_MAX, "{MESSAGES_MAX} messages of {PAYLOAD_BYTES} bytes were accepted");
    }
}

/// Fetches what is there for a client, and gives the numbers.
#[track_caller]
pub(crate) fn drain(broker: &Broker, id: &str) -> Vec<u32> {
    let mut client = lasting(broker.addr(), Version::V5, id);
    assert!(client.session_present());
    let mut numbers = Vec::new();
    while let Some(message) = client.recv_publish(Duration::from_millis(1500)) {
        numbers.push(number_of(&message.payload));
    }
    client.ping();
    client.disconnect();
    numbers
}

fn rejecting() -> Broker {
    let broker = broker_with(&["--disk-limit", LIMIT, "--overflow", "reject", "--sys-interval", "1"]);
    sleeper(broker.addr(), Version::V5, "sleeper", "full", 1);
    broker
}

/// 5.0 publishers are told, and who is not concerned goes on; what was acknowledged is there after a kill; when it was
/// fetched there is room again.
#[test]
fn a_full_disk_budget_refuses_and_comes_back() {
    let mut broker = rejecting();
    let mut publisher = Client::v5(broker.addr(), "publisher");
    let mut accepted = fill(&mut publisher, "full", 0);
    // Rows of this size take a power of two of pages each, and one segment in eight is kept for what makes room.
    assert!(accepted.len() * PAYLOAD_BYTES > LIMIT_BYTES as usize / 3, "only {} fit", accepted.len());
    let size = size_of(&broker.dir().join("data"));
    assert!(size <= LIMIT_BYTES, "{size} bytes of {LIMIT_BYTES}");
    // A commit that found no room may leave some for a few more.
    let next = MESSAGES_MAX / 2;
    let taken: Vec<u32> = (next..next + 100).take_while(|n| publisher.publish("full", numbered(*n), 2) == 0).collect();
    assert!(taken.len() < 100, "at QoS 2 too");
    accepted.extend(taken);
    let is_refused = |reason: u8| reason == QUOTA_EXCEEDED;
    assert!((0..100).any(|_| is_refused(publisher.publish("$delayed/600/full", numbered(9), 1))));
    assert!((0..100).any(|_| is_refused(publisher.publish_retained("kept", numbered(9), 1))));
    await_sys(&broker, "drops/disk_full", |count| count > 0);
    let mut live = Client::v5(broker.addr(), "live");
    live.subscribe("live", 1);
    assert_eq!(publisher.publish("live", "no disk is needed for this", 1), 0);
    assert_eq!(live.recv().text(), "no disk is needed for this");
    bounce(&mut broker, Stop::Kill);
    let mut publisher = Client::v5(broker.addr(), "publisher");
    let more = fill(&mut publisher, "full", MESSAGES_MAX);
    assert!(more.len() < 200, "{} more were accepted", more.len());
    bounce(&mut broker, Stop::Kill);
    assert_eq!(drain(&broker, "sleeper"), [accepted, more].concat());
    let mut publisher = Client::v5(broker.addr(), "publisher");
    let is_taken = |reason: u8| reason == 0;
    await_that("there is room again", Duration::from_secs(10), || is_taken(publisher.publish("full", numbered(1), 1)));
    let again = fill(&mut publisher, "full", 2);
    assert!(again.len() * PAYLOAD_BYTES > LIMIT_BYTES as usize / 3, "only {} fit again", again.len());
    bounce(&mut broker, Stop::Kill);
    let drained = drain(&broker, "sleeper");
    assert!(drained.ends_with(&again), "{} of {}", drained.len(), again.len());
}

/// Publishers of 3.1.1 have no code for it: no PUBACK, and the connection is closed.
#[test]
fn an_older_publisher_is_disconnected_when_the_disk_budget_is_spent() {
    let broker = rejecting();
    fill(&mut Client::v5(broker.addr(), "publisher"), "full", 0);
    for qos in [1, 2] {
        let mut older = Client::v311(broker.addr(), "older");
        older.send(&publish(Version::V311, "full", &numbered(1)).qos(qos, 1).build());
        assert_eq!(older.expect_closed(), None);
        assert_eq!(older.recv_other(Duration::ZERO), None, "no answer to a message that was not kept");
    }
    // And it serves them on: a session that lasts, a subscription, what is for nobody.
    // Not a new session that lasts while a file is being finished: that is told, and comes a moment later.
    let lasting = wire::connect(Version::V311, "older").clean(false);
    await_that("it is let in", Duration::from_secs(5), || Client::try_open(broker.addr(), &lasting).is_ok());
    let mut older = Client::open(broker.addr(), &lasting);
    assert_eq!(older.subscribe("other", 1), 1);
    older.publish("nobody", "x", 1);
    older.publish("nobody", "x", 2);
}

/// Without a restart: while the disk is full, the client that it is full of comes and fetches.
#[test]
fn the_client_that_the_disk_is_full_of_can_fetch_it() {
    let broker = rejecting();
    let mut publisher = Client::v5(broker.addr(), "publisher");
    let accepted = fill(&mut publisher, "full", 0);
    assert_eq!(drain(&broker, "sleeper"), accepted);
    await_that("there is room again", Duration::from_secs(10), || publisher.publish("full", numbered(1), 1) == 0);
}

/// The oldest go. The files never take more than they may while many times as much runs through, the newest are there
/// after a kill, and what went is counted.
#[test]
fn dropping_the_oldest_keeps_to_the_limit() {
    const TIMES: u64 = 6;
    let mut broker = broker_with(&["--disk-limit", LIMIT, "--overflow", "drop-oldest", "--sys-interval", "1"]);
    let data = broker.dir().join("data");
    sleeper(broker.addr(), Version::V5, "sleeper", "flood", 1);
    sleeper(broker.addr(), Version::V5, "bystander", "quiet", 1);
    let mut publisher = Client::v5(broker.addr(), "publisher");
    publisher.publish_retained("kept", "retained messages stay", 1);
    let total = (TIMES * LIMIT_BYTES / PAYLOAD_BYTES as u64) as u32;
    let mut largest = 0;
    for number in 0..total {
        assert_eq!(publisher.publish("flood", numbered(number), 1), 0, "message {number}");
        largest = largest.max(size_of(&data));
    }
    assert!(largest <= LIMIT_BYTES, "{largest} bytes were taken");
    let evicted = await_sys(&broker, "drops/evicted", |count| count > 0);
    bounce(&mut broker, Stop::Kill);
    assert!(size_of(&data) <= LIMIT_BYTES);
    let numbers = drain(&broker, "sleeper");
    println!("{total} through {LIMIT}: {evicted} evicted, {} kept, {largest} bytes at most", numbers.len());
    assert_eq!(numbers.last(), Some(&(total - 1)), "the newest is there");
    assert!(numbers.len() * PAYLOAD_BYTES > LIMIT_BYTES as usize / 4, "only {} are kept", numbers.len());
    let first = numbers[0];
    assert_eq!(numbers, (first..total).collect::<Vec<_>>(), "the newest, without a gap");
    let mut looker = Client::v5(broker.addr(), "looker");
    looker.subscribe("kept", 1);
    assert_eq!(looker.recv().text(), "retained messages stay");
    assert_eq!(looker.publish("quiet", "x", 1), 0);
    assert!(lasting(broker.addr(), Version::V5, "bystander").recv().text() == "x");
}

/// Publishers that had more on its way than was free were refused, or cut off before 5.0, while the broker was making
/// room: it is for them to wait.
#[test]
fn nobody_is_refused_while_the_oldest_go() {
    let broker = broker_with(&["--disk-limit", LIMIT, "--overflow", "drop-oldest", "--sys-interval", "1"]);
    sleeper(broker.addr(), Version::V5, "sleeper", "flood/#", 1);
    let publishers = ["one", "two", "three"].map(|id| {
        let mut publisher = Client::v5(broker.addr(), id);
        std::thread::spawn(move || {
            for round in 0..12 {
                let pids: Vec<u16> = (0..40).map(|_| publisher.next_pid()).collect();
                let packets =
                    pids.iter().map(|pid| publish(Version::V5, "flood/a", &numbered(round)).qos(1, *pid).build());
                publisher.send(&packets.collect::<Vec<_>>().concat());
                for pid in pids {
                    assert_eq!(publisher.await_ack(Ack::Puback, pid), 0, "round {round}");
                }
            }
        })
    });
    publishers.into_iter().for_each(|publisher| publisher.join().expect("all are taken in"));
    await_sys(&broker, "drops/evicted", |count| count > 0);
}

/// A subscriber that keeps up loses nothing, however much runs through, and its commits do not grow the files.
#[test]
fn who_keeps_up_loses_nothing() {
    let mut broker = broker_with(&["--disk-limit", LIMIT, "--overflow", "reject"]);
    let mut subscriber = lasting(broker.addr(), Version::V5, "quick");
    subscriber.subscribe("stream", 2);
    let mut publisher = Client::v5(broker.addr(), "publisher");
    let total = (2 * LIMIT_BYTES / PAYLOAD_BYTES as u64) as u32;
    let begun = Instant::now();
    for number in 0..total {
        assert_eq!(publisher.publish("stream", numbered(number), 1 + (number % 2) as u8), 0, "message {number}");
        assert_eq!(number_of(&subscriber.recv().payload), number);
    }
    println!("{total} messages with a subscriber that keeps up: {:.1} s", begun.elapsed().as_secs_f64());
    let size = size_of(&broker.dir().join("data"));
    assert!(size <= LIMIT_BYTES, "{size} bytes of {LIMIT_BYTES}");
    subscriber.ping();
    crate::fixture::settle(&broker);
    bounce(&mut broker, Stop::Kill);
    assert_eq!(drain(&broker, "quick"), [0; 0]);
}

/// A broker whose budget is spent starts and lets everybody in, also those who are new.
#[test]
fn sessions_can_be_opened_while_the_budget_is_spent() {
    let mut broker = rejecting();
    fill(&mut Client::v5(broker.addr(), "publisher"), "full", 0);
    bounce(&mut broker, Stop::Term);
    for version in Version::BOTH {
        let answer = Client::try_open(broker.addr(), &wire::connect(version, "new").clean(false).session_expiry(60));
        let mut client = answer.unwrap_or_else(|refused| panic!("{version:?} was refused: {refused:02x?}"));
        assert_eq!(client.subscribe("new", 1), 1);
        client.send(&wire::pingreq());
        assert_eq!(client.await_other(|packet| *packet == Packet::Pingresp), Packet::Pingresp);
    }
}

/// The alarm had the bytes that were written in it, and so the log had an error for each commit.
#[test]
fn the_write_budget_is_one_alarm() {
    let broker = broker_with(&["--daily-write-budget", "1M", "--sys-interval", "1"]);
    sleeper(broker.addr(), Version::V5, "sleeper", "t", 1);
    let mut publisher = Client::v5(broker.addr(), "publisher");
    (0..40).for_each(|number| assert_eq!(publisher.publish("t", numbered(number), 1), 0));
    await_sys(&broker, "store/write_budget/exceeded", |is| is == 1);
    let later = await_sys(&broker, "store/bytes/written_today", |bytes| bytes > 1_000_000);
    for number in 0..40 {
        assert_eq!(publisher.publish("t", numbered(number), 1), 0);
        std::thread::sleep(Duration::from_millis(30));
    }
    await_sys(&broker, "store/bytes/written_today", |bytes| bytes > later);
    let stderr = broker.stderr();
    assert_eq!(stderr.matches("daily write budget of 1048576 bytes").count(), 1, "{stderr}");
}
