//! A disk that fails under queues: what was refused is not in them, and everything goes on when the disk does.

#![expect(clippy::unwrap_used, reason = "tests fail by panicking")]

#[path = "../../../storage/tests/sim/mod.rs"]
mod sim;

use std::{sync::Arc, time::Duration};

use primer::{
    Definition, GroupOptions, Message, Mode, Node, Offered, Offering, Order, Receipt, journal, journal::Ticket,
};
use primer_core::{
    message::{NEVER_MS, Parts},
    properties::{Property, put},
};
use sim::{Error, Fault, SimDisk, What};

const LONG: Duration = Duration::from_secs(10);

async fn open(disk: &SimDisk) -> Node {
    Node::builder().disk(Arc::new(disk.clone())).start().await.unwrap()
}

fn break_disk(disk: &SimDisk) {
    disk.set_fault(Some(Fault { what: What::Any, after: 0, times: u64::MAX, error: Error::Eio }));
}

/// Pushes until the disk takes it.
async fn insist(queue: &primer::Queue, message: &Message) -> Receipt {
    let end = tokio::time::Instant::now() + LONG;
    loop {
        match queue.push(message.clone()).await {
            Ok(receipt) => return receipt,
            Err(error) => assert!(tokio::time::Instant::now() < end, "{error}"),
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// The publisher was told no, and sends the message again with the same identifier: that was taken for a duplicate,
/// acknowledged, and in no queue.
#[tokio::test]
async fn a_message_that_the_disk_refused_is_no_duplicate_when_it_comes_again() {
    let disk = SimDisk::new();
    let node = open(&disk).await;
    let jobs = node.create_queue("jobs", Definition { dedupe_window_ms: 60_000, ..Definition::default() }).unwrap();
    jobs.push(Message::new("a").id("a")).await.unwrap();
    break_disk(&disk);
    let message = Message::new("b").id("b");
    jobs.push(message.clone()).await.unwrap_err();
    disk.set_fault(None);
    let receipt = insist(&jobs, &message).await;
    assert!(!receipt.is_duplicate());
    assert!(jobs.push(message.clone()).await.unwrap().is_duplicate());
    assert_eq!(jobs.info().messages, 2);
    node.shutdown(Duration::ZERO).await;
    let node = open(&disk).await;
    let jobs = node.queue("jobs").unwrap();
    assert_eq!(jobs.info().messages, 2);
    assert!(jobs.push(message).await.unwrap().is_duplicate());
    node.shutdown(Duration::ZERO).await;
}

/// Where once is enough, a message whose delivery the disk does not take is not handed over. Its consumer's place was
/// taken for ever.
#[tokio::test]
async fn a_consumer_of_messages_that_come_once_survives_the_disk() {
    let disk = SimDisk::new();
    let node = open(&disk).await;
    let jobs = node.queue("jobs").unwrap();
    let once = GroupOptions { mode: Mode::AtMostOnce, order: Order::Any };
    let group = jobs.group_with("once", once, false).unwrap();
    jobs.push("a").await.unwrap();
    jobs.push("b").await.unwrap();
    break_disk(&disk);
    let mut worker = group.consume(2).unwrap();
    assert!(
        tokio::time::timeout(Duration::from_millis(300), worker.next()).await.is_err(),
        "the disk does not know it"
    );
    disk.set_fault(None);
    insist(&jobs, &Message::new("c")).await;
    let c = tokio::time::timeout(LONG, worker.next()).await.expect("it has room").expect("the node runs");
    assert_eq!(c.text(), Some("c"));
    node.shutdown(Duration::ZERO).await;
}

/// A publisher that goes on after a failure said that all was confirmed up to a number which it had skipped.
#[tokio::test]
async fn a_publisher_confirms_nothing_beyond_a_gap() {
    let disk = SimDisk::new();
    let node = open(&disk).await;
    let jobs = node.queue("jobs").unwrap();
    let mut publisher = jobs.publisher("p", 1, 10);
    publisher.send("1").await.unwrap();
    publisher.flush().await.unwrap();
    break_disk(&disk);
    publisher.send("2").await.unwrap();
    publisher.flush().await.unwrap_err();
    disk.set_fault(None);
    insist(&jobs, &Message::new("disk")).await;
    publisher.send("3").await.unwrap();
    publisher.flush().await.unwrap();
    assert_eq!(publisher.confirmed(), 1, "2 is missing");
    node.shutdown(Duration::ZERO).await;
}

/// Whoever stops waiting for a publisher loses no confirmation.
#[tokio::test]
async fn a_flush_that_is_cancelled_is_taken_up_again() {
    let node = open(&SimDisk::new()).await;
    let jobs = node.queue("jobs").unwrap();
    let mut publisher = jobs.publisher("p", 1, 10);
    for number in 1..=10 {
        publisher.send(number.to_string()).await.unwrap();
        let cancelled = publisher.flush();
        let mut cancelled = std::pin::pin!(cancelled);
        let cx = &mut std::task::Context::from_waker(std::task::Waker::noop());
        let _it_waits_for_the_disk = Future::poll(cancelled.as_mut(), cx);
    }
    publisher.flush().await.unwrap();
    assert_eq!(publisher.confirmed(), 10);
    assert_eq!(jobs.info().messages, 10);
    node.shutdown(Duration::ZERO).await;
}

/// Both queues refuse on a disk that takes nothing in. What was moved had left the one by then: its end was written,
/// and it was in neither, though it was reported to be there still.
#[tokio::test]
async fn what_cannot_be_moved_stays_where_it_was() {
    async fn open(disk: SimDisk) -> Node {
        let small = journal::Options { budget_bytes: journal::BUDGET_BYTES_MIN, evicts: false, ..Default::default() };
        Node::builder().disk(Arc::new(disk)).store(small).start().await.unwrap()
    }
    let disk = SimDisk::new();
    let node = open(disk.clone()).await;
    let (jobs, later) = (node.queue("jobs").unwrap(), node.queue("later").unwrap());
    let mut pushed = 0;
    while jobs.push(vec![b'x'; 60_000]).await.is_ok() {
        pushed += 1;
    }
    assert!(pushed > 100, "{pushed}");
    let moved = jobs.move_to(Some(&later), 20).await;
    assert_eq!((moved.moved, moved.refused), (0, 20));
    assert_eq!((jobs.info().messages, later.info().messages), (pushed, 0));
    node.sync().await;
    let node = open(SimDisk::of(disk.snapshot())).await;
    assert_eq!(node.queue("jobs").unwrap().info().messages, pushed);
    assert_eq!(node.queue("later").unwrap().info().messages, 0);
}

/// A message of a face of the node that the process ended before writing.
fn offer_and_forget(queue: &primer::Queue, id: &str) {
    let mut properties = Vec::new();
    assert!(put(&mut properties, Property::User("primer-id", id)));
    let parts = Parts { topic: "$queue/jobs", properties: &properties, payload: b"lost", expires_at_ms: NEVER_MS };
    let ticket = Arc::new(Ticket::new());
    let offered = queue
        .offer(&primer_core::message::Message::new(&parts), Offering { ticket: Some(&ticket), ..Offering::default() })
        .unwrap();
    assert!(matches!(offered, Offered::ToStore { .. }));
}

async fn killed(disk: &SimDisk) -> (SimDisk, Node) {
    let disk = SimDisk::of(disk.snapshot());
    let node = open(&disk).await;
    (disk, node)
}

/// A consumer was done with a message before that was on the disk, where it never came. The next one at its position
/// was gone for that group at the start after.
#[tokio::test]
async fn no_message_gets_a_position_that_a_group_is_done_with() {
    let disk = SimDisk::new();
    let node = open(&disk).await;
    let jobs = node.queue("jobs").unwrap();
    let (a, _b) = (jobs.group("a").unwrap(), jobs.group("b").unwrap());
    jobs.push("first").await.unwrap();
    offer_and_forget(&jobs, "1");
    for delivery in a.pull(2, LONG).await.unwrap() {
        assert!(delivery.ack().unwrap().durable().await);
    }
    let (disk, node) = killed(&disk).await;
    let jobs = node.queue("jobs").unwrap();
    jobs.push("second").await.unwrap();
    let (_disk, node) = killed(&disk).await;
    let pulled = node.queue("jobs").unwrap().group("a").unwrap().pull(2, LONG).await.unwrap();
    assert_eq!(pulled.iter().filter_map(|delivery| delivery.text()).collect::<Vec<_>>(), ["second"]);
}

/// The identifier of a message was on the disk, and the message was not: the publisher sent it again, and was told that
/// it was there.
#[tokio::test]
async fn an_identifier_without_its_message_is_not_known_after_a_crash() {
    let disk = SimDisk::new();
    let node = open(&disk).await;
    let jobs = node.create_queue("jobs", Definition { dedupe_window_ms: 60_000, ..Definition::default() }).unwrap();
    let group = jobs.group("g").unwrap();
    offer_and_forget(&jobs, "1");
    jobs.push(Message::new("other").id("2")).await.unwrap();
    let (disk, node) = killed(&disk).await;
    let jobs = node.queue("jobs").unwrap();
    assert!(!jobs.push(Message::new("again").id("1")).await.unwrap().is_duplicate());
    assert!(jobs.push(Message::new("other").id("2")).await.unwrap().is_duplicate());
    drop(group);
    let (_disk, node) = killed(&disk).await;
    let jobs = node.queue("jobs").unwrap();
    assert!(jobs.push(Message::new("again").id("1")).await.unwrap().is_duplicate());
    let pulled = jobs.group("g").unwrap().pull(5, LONG).await.unwrap();
    assert_eq!(pulled.iter().filter_map(|delivery| delivery.text()).collect::<Vec<_>>(), ["other", "again"]);
}

/// One group gives a message up that another one still wants: the store let go of it, and the next start had not got
/// it.
#[tokio::test]
async fn what_one_group_gives_up_stays_for_the_others() {
    for is_cold in [false, true] {
        let disk = SimDisk::new();
        let node = open(&disk).await;
        let jobs = node.queue("jobs").unwrap();
        let (a, b) = (jobs.group("a").unwrap(), jobs.group("b").unwrap());
        jobs.push("bad").await.unwrap();
        jobs.push("good").await.unwrap();
        drop((a, b));
        let (disk, node) = if is_cold { killed(&disk).await } else { (disk, node) };
        let jobs = node.queue("jobs").unwrap();
        let mut pulled = jobs.group("a").unwrap().pull(1, LONG).await.unwrap();
        let settled = pulled.pop().unwrap().reject().unwrap();
        assert!(settled.durable().await);
        let dead = node.dead_letters("jobs").unwrap();
        while dead.info().messages == 0 {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        jobs.push("later").await.unwrap();
        let (_disk, node) = killed(&disk).await;
        let jobs = node.queue("jobs").unwrap();
        assert_eq!(jobs.info().messages, 3, "cold: {is_cold}");
        let pulled = jobs.group("b").unwrap().pull(3, LONG).await.unwrap();
        assert_eq!(pulled.iter().filter_map(|one| one.text()).collect::<Vec<_>>(), ["bad", "good", "later"]);
        let pulled = jobs.group("a").unwrap().pull(3, LONG).await.unwrap();
        assert_eq!(pulled.iter().filter_map(|one| one.text()).collect::<Vec<_>>(), ["good", "later"]);
        assert_eq!(node.dead_letters("jobs").unwrap().info().messages, 1);
    }
}

/// The same before the message has come to the disk: it was not written at all, and its publisher was told that it was.
#[tokio::test]
async fn what_one_group_gives_up_at_once_is_written_for_the_others() {
    let disk = SimDisk::new();
    let gather = journal::Options { gather: Duration::from_millis(300), ..journal::Options::default() };
    let node = Node::builder().disk(Arc::new(disk.clone())).store(gather).start().await.unwrap();
    let jobs = node.queue("jobs").unwrap();
    let (a, _b) = (jobs.group("a").unwrap(), jobs.group("b").unwrap());
    let mut worker = a.consume(1).unwrap();
    let pushing = tokio::spawn({
        let jobs = jobs.clone();
        async move { jobs.push("bad").await }
    });
    drop(worker.next().await.unwrap().reject().unwrap());
    pushing.await.unwrap().unwrap();
    jobs.push("later").await.unwrap();
    let (_disk, node) = killed(&disk).await;
    let pulled = node.queue("jobs").unwrap().group("b").unwrap().pull(2, LONG).await.unwrap();
    assert_eq!(pulled.iter().filter_map(|one| one.text()).collect::<Vec<_>>(), ["bad", "later"]);
}
