//! A disk that fails under queues: what was refused is not in them, and everything goes on when the disk does.

#![expect(clippy::unwrap_used, reason = "tests fail by panicking")]

#[path = "../../../storage/tests/sim/mod.rs"]
mod sim;

use std::{sync::Arc, time::Duration};

use primer::{Definition, GroupOptions, Message, Mode, Node, Order, Receipt};
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
        let _it_waits_for_the_disk = std::future::Future::poll(cancelled.as_mut(), cx);
    }
    publisher.flush().await.unwrap();
    assert_eq!(publisher.confirmed(), 10);
    assert_eq!(jobs.info().messages, 10);
    node.shutdown(Duration::ZERO).await;
}
