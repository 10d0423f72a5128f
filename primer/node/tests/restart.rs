//! Queues in a data directory: what the next process finds.

#![expect(clippy::unwrap_used, reason = "tests fail by panicking")]

use std::{path::PathBuf, time::Duration};

use primer::{Browse, Definition, Delivery, From, Full, GroupOptions, Keeping, Message, Mode, Node, Order, Queue};

const LONG: Duration = Duration::from_secs(10);

/// A directory that goes with the test.
struct Folder(PathBuf);

impl Folder {
    fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("primer-restart-{name}-{}", std::process::id()));
        let _there_was_none = std::fs::remove_dir_all(&path);
        Self(path)
    }

    async fn open(&self) -> Node {
        Node::builder().data_dir(&self.0).start().await.unwrap()
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _it_is_gone = std::fs::remove_dir_all(&self.0);
    }
}

async fn stop(node: Node) {
    node.shutdown(Duration::ZERO).await;
}

async fn take(queue: &Queue, group: &str, count: usize) -> Vec<Delivery> {
    let mut consumer = queue.group(group).unwrap().consume(100).unwrap();
    let mut taken = Vec::new();
    while taken.len() < count {
        taken.push(tokio::time::timeout(LONG, consumer.next()).await.expect("in time").expect("runs"));
    }
    taken
}

fn texts(deliveries: &[Delivery]) -> Vec<&str> {
    deliveries.iter().map(|delivery| delivery.text().unwrap()).collect()
}

#[tokio::test]
async fn messages_groups_and_what_they_are_done_with_are_found() {
    let folder = Folder::new("groups");
    let node = folder.open().await;
    let jobs = node.queue("jobs").unwrap();
    let (a, b) = (jobs.group("a").unwrap(), jobs.group("b").unwrap());
    for n in 0..6 {
        jobs.push(Message::new(n.to_string()).header("n", "x").priority(4)).await.unwrap();
    }
    for delivery in take(&jobs, "a", 3).await {
        assert!(delivery.ack().unwrap().durable().await);
    }
    for delivery in take(&jobs, "b", 1).await {
        assert!(delivery.ack().unwrap().durable().await);
    }
    drop((a, b));
    stop(node).await;

    let node = folder.open().await;
    let jobs = node.find_queue("jobs").expect("it was there");
    let info = jobs.info();
    let pending: Vec<_> = info.groups.iter().map(|group| (&*group.name, group.figures.pending)).collect();
    assert_eq!((info.messages, pending), (5, vec![("a", 3), ("b", 5)]));
    let left = take(&jobs, "a", 3).await;
    assert_eq!((texts(&left), left[0].header("n")), (vec!["3", "4", "5"], Some("x")));
    let other = take(&jobs, "b", 5).await;
    assert_eq!(texts(&other), ["1", "2", "3", "4", "5"]);
    jobs.push("6").await.unwrap();
    assert_eq!(Delivery::ack_all(left.into_iter().chain(other)), 0);
    stop(node).await;

    let node = folder.open().await;
    let jobs = node.find_queue("jobs").unwrap();
    assert_eq!(texts(&take(&jobs, "a", 1).await), ["6"]);
    stop(node).await;
}

#[tokio::test]
async fn attempts_count_on_and_end_in_the_dead_letters_which_last() {
    let folder = Folder::new("attempts");
    let definition = Definition { deliveries_max: 4, ..Definition::default() };
    let node = folder.open().await;
    let jobs = node.create_queue("jobs", definition.clone()).unwrap();
    jobs.push("poison").await.unwrap();
    drop(take(&jobs, "default", 1).await);
    let again = take(&jobs, "default", 1).await;
    assert_eq!(again[0].attempt(), 2);
    std::mem::forget(again); // the process ends while it has the message
    stop(node).await;

    // A message that was there at the start may be what ends the process: its deliveries count from the first on.
    for attempt in 3..=4 {
        let next = copy(&folder.0);
        std::fs::remove_dir_all(&folder.0).unwrap();
        std::fs::rename(&next.0, &folder.0).unwrap();
        let node = folder.open().await;
        let jobs = node.create_queue("jobs", definition.clone()).unwrap();
        let again = take(&jobs, "default", 1).await;
        assert_eq!(again[0].attempt(), attempt);
        std::mem::forget(again);
        stop(node).await;
    }
    let next = copy(&folder.0);
    let node = next.open().await;
    let jobs = node.find_queue("jobs").unwrap();
    assert_eq!(take_any(&jobs).await, 0, "four times is enough");
    let dead = node.find_queue("$dead/jobs").expect("it was delivered too often");
    assert_eq!((jobs.info().messages, dead.info().messages), (0, 1));
    stop(node).await;
}

/// Consumes until nothing comes.
async fn take_any(queue: &Queue) -> usize {
    let mut consumer = queue.consume(10).unwrap();
    let mut taken = 0;
    while let Ok(Some(delivery)) = tokio::time::timeout(Duration::from_millis(300), consumer.next()).await {
        drop(delivery);
        taken += 1;
    }
    taken
}

#[tokio::test]
async fn dead_letters_definitions_pauses_delays_and_identifiers_last() {
    let folder = Folder::new("all");
    let node = folder.open().await;
    let definition = Definition {
        dedupe_window_ms: 60_000,
        overflow: Full::DropOldest,
        ttl_ms: Some(3_600_000),
        ..Definition::default()
    };
    let jobs = node.create_queue("jobs", definition.clone()).unwrap();
    let first = jobs.push(Message::new("once").id("7").key("k")).await.unwrap();
    jobs.push(Message::new("later").delay(Duration::from_millis(700))).await.unwrap();
    jobs.push("bad").await.unwrap();
    for delivery in take(&jobs, "default", 2).await {
        match delivery.text() {
            Some("bad") => drop(delivery.reject().unwrap()),
            _ => drop(delivery.release().unwrap()),
        }
    }
    jobs.pause();
    let fleeting = Definition { sync: Keeping::Memory, ..Definition::default() };
    node.create_queue("fleeting", fleeting).unwrap().push("gone").await.unwrap();
    stop(node).await;

    let node = folder.open().await;
    let jobs = node.find_queue("jobs").unwrap();
    assert_eq!((&*jobs.definition(), jobs.info().is_paused, jobs.info().messages), (&definition, true, 2));
    assert!(node.find_queue("fleeting").is_none());
    let again = jobs.push(Message::new("once").id("7")).await.unwrap();
    assert!(again.is_duplicate() && again.position() == first.position());
    let dead = node.dead_letters("jobs").unwrap();
    let page = dead.browse(&Browse { messages_max: 9, ..Browse::default() }).await;
    let letter = page.messages[0].envelope.dead_letter().unwrap();
    assert_eq!((page.messages.len(), letter.reason, &*letter.queue, letter.deliveries), (1, "rejected", "jobs", 1));
    assert_eq!(dead.move_to(None, 10).await.moved, 1);
    jobs.resume();
    let all = take(&jobs, "default", 3).await;
    let mut seen = texts(&all);
    assert_eq!(all[0].key(), Some(&b"k"[..]));
    seen.sort_unstable();
    assert_eq!(seen, ["bad", "later", "once"]);
    assert_eq!(seen.len(), jobs.info().messages);
    Delivery::ack_all(all);
    assert_eq!(node.delete_queue("jobs").unwrap(), 0);
    stop(node).await;

    let node = folder.open().await;
    assert!(node.find_queue("jobs").is_none());
    assert_eq!(node.find_queue("$dead/jobs").unwrap().info().messages, 0);
    stop(node).await;
}

#[tokio::test]
async fn a_backlog_is_not_in_memory_and_comes_back_in_order() {
    const MESSAGES: usize = 20_000;
    let folder = Folder::new("backlog");
    let node = folder.open().await;
    let jobs = node.queue("jobs").unwrap();
    let batch: Vec<Message> = (0..MESSAGES).map(|n| Message::new(format!("{n:0200}"))).collect();
    for some in batch.chunks(1000) {
        assert!(jobs.push_all(some).await.iter().all(Result::is_ok));
    }
    stop(node).await;
    let node = folder.open().await;
    let jobs = node.find_queue("jobs").unwrap();
    assert_eq!(jobs.info().messages, MESSAGES);
    let newest = jobs.browse(&Browse { from: From::Newest, messages_max: 1, ..Browse::default() }).await;
    assert_eq!(newest.messages[0].envelope.text().unwrap().trim_start_matches('0'), (MESSAGES - 1).to_string());
    let mut consumer = jobs.consume(500).unwrap();
    let mut next = 0;
    while next < MESSAGES {
        let some = tokio::time::timeout(LONG, consumer.next_batch(100)).await.unwrap();
        for delivery in &some {
            assert_eq!(delivery.text().unwrap().parse::<usize>().unwrap(), next);
            next += 1;
        }
        assert_eq!(Delivery::ack_all(some), 0);
    }
    assert_eq!(jobs.info().messages, 0);
    drop(consumer);
    stop(node).await;
}

#[tokio::test]
async fn once_is_once_over_a_restart() {
    let folder = Folder::new("once");
    let node = folder.open().await;
    let jobs = node.queue("jobs").unwrap();
    let options = GroupOptions { mode: Mode::AtMostOnce, order: Order::Any };
    let group = jobs.group_with("g", options, false).unwrap();
    for n in 0..4 {
        jobs.push(n.to_string()).await.unwrap();
    }
    let mut consumer = group.consume(2).unwrap();
    for wanted in ["0", "1"] {
        let got = tokio::time::timeout(LONG, consumer.next()).await.unwrap().unwrap();
        assert_eq!(got.text(), Some(wanted));
    }
    std::mem::forget(consumer); // the process ends here, as far as this consumer is concerned
    node.shutdown(Duration::ZERO).await;
    drop((group, jobs, node));
    // What it was given and has not taken counts as delivered; the others come now.
    let folder_again = copy(&folder.0);
    let node = Node::builder().data_dir(&folder_again.0).start().await.unwrap();
    let jobs = node.find_queue("jobs").unwrap();
    let info = jobs.info();
    assert_eq!((info.groups[0].options.mode, info.messages <= 2), (Mode::AtMostOnce, true));
    let left: Vec<String> =
        take(&jobs, "g", info.messages).await.iter().map(|delivery| delivery.text().unwrap().to_owned()).collect();
    assert!(left.iter().all(|text| text == "2" || text == "3"), "{left:?}");
    stop(node).await;
}

/// The directory as the next process would find it, though this one has not let go of it.
fn copy(from: &std::path::Path) -> Folder {
    let to = Folder(from.with_extension("copy"));
    let _there_was_none = std::fs::remove_dir_all(&to.0);
    std::fs::create_dir_all(&to.0).unwrap();
    for entry in std::fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        std::fs::copy(entry.path(), to.0.join(entry.file_name())).unwrap();
    }
    to
}

/// The record of a message has its own deadline, and that of its queue was forgotten with the process.
#[tokio::test]
async fn the_time_to_live_of_a_queue_counts_on() {
    let folder = Folder::new("ttl");
    let node = folder.open().await;
    let brief = Definition { ttl_ms: Some(400), ..Definition::default() };
    let jobs = node.create_queue("jobs", brief).unwrap();
    jobs.push("old").await.unwrap();
    jobs.push(Message::new("older").ttl(LONG)).await.unwrap();
    stop(node).await;
    tokio::time::sleep(Duration::from_millis(500)).await;
    let node = folder.open().await;
    let jobs = node.find_queue("jobs").unwrap();
    jobs.push("young").await.unwrap();
    assert_eq!(texts(&take(&jobs, "default", 1).await), ["young"]);
    stop(node).await;
}

/// A node that was dropped without a word was held by its own timer: its directory stayed in use.
#[tokio::test]
async fn a_node_that_is_dropped_lets_go_of_its_directory() {
    let folder = Folder::new("dropped");
    let node = folder.open().await;
    let jobs = node.queue("jobs").unwrap();
    let held = {
        jobs.push("a").await.unwrap();
        take(&jobs, "default", 1).await
    };
    drop((node, jobs));
    assert!(Node::builder().data_dir(&folder.0).start().await.is_err(), "a delivery holds it");
    drop(held);
    let mut again = Node::builder().data_dir(&folder.0).start().await;
    for _ in 0..100 {
        if again.is_ok() {
            break;
        }
        tokio::time::sleep(Duration::from_millis(50)).await; // its store is closed on another thread
        again = Node::builder().data_dir(&folder.0).start().await;
    }
    let node = again.unwrap();
    let jobs = node.find_queue("jobs").unwrap();
    assert_eq!(take(&jobs, "default", 1).await[0].text(), Some("a"));
    stop(node).await;
}
