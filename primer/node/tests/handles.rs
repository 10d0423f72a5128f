//! What handles do that are kept, dropped, shared or cancelled when nobody expects it.

#![expect(clippy::unwrap_used, reason = "tests fail by panicking")]

use std::{
    path::PathBuf,
    sync::Arc,
    time::{Duration, Instant},
};

use primer::{Definition, Delivery, GroupOptions, Keeping, Mode, Node, Order, PushError, Queue, QueueError, Refused};
use tokio::time::timeout;

const SOON: Duration = Duration::from_millis(60);
const LONG: Duration = Duration::from_secs(10);

async fn node() -> Node {
    Node::builder().start().await.unwrap()
}

async fn push(queue: &Queue, texts: impl IntoIterator<Item = &str>) {
    for text in texts {
        queue.push(text).await.unwrap();
    }
}

async fn next(consumer: &mut primer::Consumer) -> Delivery {
    timeout(LONG, consumer.next()).await.expect("a message in time").expect("the node runs")
}

/// A directory that goes with the test.
struct Folder(PathBuf);

impl Folder {
    fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("primer-handles-{name}-{}", std::process::id()));
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

/// The waker of a consumer that waits was thrown away when its group was removed: it waited for ever.
#[tokio::test]
async fn a_consumer_that_waits_gets_an_end_when_its_group_is_removed() {
    let node = node().await;
    let jobs = node.queue("jobs").unwrap();
    let mut worker = jobs.group("g").unwrap().consume(1).unwrap();
    let waiting = tokio::spawn(async move { worker.next().await.is_none() });
    tokio::time::sleep(SOON).await;
    jobs.group("g").unwrap().remove();
    assert!(timeout(LONG, waiting).await.expect("it is woken").unwrap());
}

/// Identifiers of groups are used again: a handle of a removed group spoke for the group that had come after it.
#[tokio::test]
async fn a_handle_of_a_removed_group_is_none_of_the_next_group() {
    let node = node().await;
    let jobs = node.queue("jobs").unwrap();
    let (old, older) = (jobs.group("old").unwrap(), jobs.group("old").unwrap());
    jobs.group("old").unwrap().remove();
    let new = jobs.group("new").unwrap();
    push(&jobs, ["a"]).await;
    assert!(old.info().is_none());
    assert!(matches!(old.consume(1), Err(QueueError::Unknown(_))));
    assert!(matches!(old.pull(1, Duration::ZERO).await, Err(QueueError::Unknown(_))));
    older.remove();
    assert_eq!(new.pull(1, LONG).await.unwrap().len(), 1, "nobody has removed it");
}

/// Two pulls by one handle had one place with one waker: the second took the first one's place, and then its credit.
#[tokio::test]
async fn pulls_by_one_handle_do_not_disturb_each_other() {
    let node = node().await;
    let jobs = node.queue("jobs").unwrap();
    let group = Arc::new(jobs.group("g").unwrap());
    let pulls: Vec<_> = (0..4)
        .map(|_| {
            let group = Arc::clone(&group);
            tokio::spawn(async move {
                let pulled = group.pull(1, LONG).await.unwrap();
                let count = pulled.len();
                Delivery::ack_all(pulled);
                count
            })
        })
        .collect();
    tokio::time::sleep(SOON).await;
    for text in ["a", "b", "c", "d"] {
        push(&jobs, [text]).await;
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    let begun = Instant::now();
    for pull in pulls {
        assert_eq!(pull.await.unwrap(), 1);
    }
    assert!(begun.elapsed() < LONG / 2, "nobody has waited to the end");
    assert_eq!(jobs.info().messages, 0);
    assert!(group.info().unwrap().figures.consumers <= 1, "{:?}", group.info());
}

#[tokio::test]
async fn a_pull_that_is_cancelled_gives_everything_back() {
    let node = node().await;
    let jobs = node.queue("jobs").unwrap();
    let group = jobs.group("g").unwrap();
    for _ in 0..100 {
        let _it_is_cancelled = timeout(Duration::from_micros(50), group.pull(5, LONG)).await;
        jobs.push("x").await.unwrap();
        let pulled = group.pull(5, LONG).await.unwrap();
        assert_eq!((pulled.len(), pulled[0].attempt()), (1, 1));
        Delivery::ack_all(pulled);
    }
    let figures = group.info().unwrap().figures;
    assert_eq!((figures.pending, figures.leased), (0, 0));
}

/// A push into a queue that was deleted answered with a receipt, and nobody could ever get the message.
#[tokio::test]
async fn a_deleted_queue_takes_nothing_in() {
    for is_kept in [false, true] {
        let folder = Folder::new("deleted");
        let node = if is_kept { folder.open().await } else { node().await };
        let jobs = node.queue("jobs").unwrap();
        let group = jobs.group("g").unwrap();
        let mut worker = group.consume(1).unwrap();
        push(&jobs, ["a", "b"]).await;
        let held = next(&mut worker).await;
        assert_eq!(node.delete_queue("jobs").unwrap(), 2);
        assert!(held.ack().is_err());
        assert!(worker.next().await.is_none());
        let refused = jobs.push("c").await.unwrap_err();
        assert!(matches!(refused, PushError::Refused { why: Refused::Deleted, .. }), "{refused}");
        assert!(group.consume(1).is_err() && jobs.redefine(Definition::default()).is_err() && jobs.is_deleted());
        assert_eq!(node.delete_queue("jobs"), Err(QueueError::Unknown("jobs".into())));
        let again = node.queue("jobs").unwrap();
        push(&again, ["d"]).await;
        assert_eq!(next(&mut again.consume(1).unwrap()).await.text(), Some("d"));
        node.shutdown(Duration::ZERO).await;
    }
}

/// Where once is enough, what is handed over waits for the disk; tasks of their own overtook each other there.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn messages_that_come_once_keep_their_order_over_the_disk() {
    let folder = Folder::new("once");
    let node = folder.open().await;
    let jobs = node.queue("jobs").unwrap();
    let once = GroupOptions { mode: Mode::AtMostOnce, order: Order::Any };
    let mut worker = jobs.group_with("once", once, false).unwrap().consume(1_000).unwrap();
    const COUNT: usize = 20_000;
    let pushing = tokio::spawn(async move {
        let mut publisher = jobs.publisher("p", 1, 500);
        for number in 0..COUNT {
            publisher.send(number.to_string()).await.unwrap();
        }
        publisher.flush().await.unwrap();
    });
    for number in 0..COUNT {
        assert_eq!(next(&mut worker).await.text(), Some(&*number.to_string()));
    }
    pushing.await.unwrap();
    node.shutdown(Duration::ZERO).await;
}

/// A queue that was told to be on the disk stayed in memory, and acknowledged all the same.
#[tokio::test]
async fn a_queue_that_is_told_to_be_on_the_disk_is_there() {
    let folder = Folder::new("resync");
    let node = folder.open().await;
    let memory = Definition { sync: Keeping::Memory, ..Definition::default() };
    let jobs = node.create_queue("jobs", memory.clone()).unwrap();
    let group = jobs.group("g").unwrap();
    push(&jobs, ["before"]).await;
    assert!(!jobs.info().is_kept);
    jobs.pause();
    jobs.redefine(Definition::default()).unwrap();
    assert!(jobs.info().is_kept);
    push(&jobs, ["a", "b"]).await;
    jobs.resume();
    let pulled = group.pull(2, LONG).await.unwrap();
    assert_eq!(pulled[0].text(), Some("before"), "what was in memory is delivered as ever");
    Delivery::ack_all(pulled);
    // And back: what is there stays, and nobody waits any more.
    jobs.redefine(memory).unwrap();
    push(&jobs, ["c"]).await;
    node.shutdown(Duration::ZERO).await;
    drop((jobs, group, node));
    let node = folder.open().await;
    let mut worker = node.queue("jobs").unwrap().group("g").unwrap().consume(10).unwrap();
    for text in ["b", "c"] {
        let job = next(&mut worker).await;
        assert_eq!(job.text(), Some(text));
        job.ack().unwrap();
    }
    assert!(timeout(SOON, worker.next()).await.is_err());
    node.shutdown(Duration::ZERO).await;
}

/// A consumer that comes when the node stops waited for ever.
#[tokio::test]
async fn who_comes_late_gets_an_end() {
    let node = node().await;
    let jobs = node.queue("jobs").unwrap();
    let group = jobs.group("g").unwrap();
    push(&jobs, ["a"]).await;
    node.shutdown(Duration::ZERO).await;
    let mut worker = group.consume(1).unwrap();
    assert!(timeout(LONG, worker.next()).await.expect("an end").is_none());
    assert!(timeout(LONG, group.pull(1, Duration::from_secs(60))).await.expect("an end").unwrap().is_empty());
    let refused = jobs.push("b").await.unwrap_err();
    assert!(matches!(refused, PushError::Refused { why: Refused::Stopping, .. }));
}

/// Group before delivery, queue before consumer, node before everything.
#[tokio::test]
async fn handles_go_in_any_order() {
    let node = node().await;
    let jobs = node.queue("jobs").unwrap();
    let group = jobs.group("g").unwrap();
    let mut worker = group.consume(2).unwrap();
    push(&jobs, ["a", "b"]).await;
    let (a, b) = (next(&mut worker).await, next(&mut worker).await);
    drop(group);
    drop(worker);
    drop(a); // its consumer is gone
    let mut other = jobs.consume(1).unwrap();
    let mut same = jobs.group("g").unwrap().consume(5).unwrap();
    drop((jobs, node));
    let again = next(&mut same).await;
    assert_eq!((again.text(), again.attempt()), (Some("a"), 2));
    b.ack().unwrap();
    again.ack().unwrap();
    next(&mut other).await.ack().unwrap();
}

/// A runtime that ends with deliveries alive: they are dropped outside of it.
#[test]
fn deliveries_outlive_their_runtime() {
    let folder = Folder::new("runtime");
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let (node, worker, held) = runtime.block_on(async {
        let node = folder.open().await;
        let jobs = node.queue("jobs").unwrap();
        let once = GroupOptions { mode: Mode::AtMostOnce, order: Order::Any };
        let once = jobs.group_with("once", once, false).unwrap().consume(1).unwrap();
        let mut worker = jobs.consume(2).unwrap();
        push(&jobs, ["a", "b"]).await;
        let held = [next(&mut worker).await, next(&mut worker).await];
        (node, (worker, once), held)
    });
    runtime.shutdown_timeout(LONG);
    let [a, b] = held;
    drop(a);
    drop(b.ack().unwrap());
    drop(worker);
    drop(node);
    let runtime = tokio::runtime::Runtime::new().unwrap();
    runtime.block_on(async {
        let node = timeout(LONG, async {
            loop {
                match Node::builder().data_dir(&folder.0).start().await {
                    Ok(node) => return node,
                    Err(_) => tokio::time::sleep(SOON).await, // the store lets go of the directory as it ends
                }
            }
        });
        let node = node.await.expect("the directory is free when the last handle is gone");
        let mut worker = node.queue("jobs").unwrap().consume(2).unwrap();
        let a = next(&mut worker).await;
        assert!(a.text() == Some("a") && a.attempt() > 1);
        node.shutdown(Duration::ZERO).await;
    });
}

#[tokio::test]
async fn a_directory_belongs_to_one_node() {
    let folder = Folder::new("taken");
    let first = folder.open().await;
    push(&first.queue("jobs").unwrap(), ["a"]).await;
    assert!(Node::builder().data_dir(&folder.0).start().await.is_err());
    let other = Folder::new("other");
    let second = other.open().await;
    push(&second.queue("jobs").unwrap(), ["b"]).await;
    first.shutdown(Duration::ZERO).await;
    assert_eq!(second.queue("jobs").unwrap().info().messages, 1);
    let again = folder.open().await;
    assert_eq!(again.queue("jobs").unwrap().info().messages, 1);
    again.shutdown(Duration::ZERO).await;
    second.shutdown(Duration::ZERO).await;
}

#[tokio::test]
async fn a_handler_that_panics_loses_nothing() {
    let node = node().await;
    let jobs = node.queue("jobs").unwrap();
    push(&jobs, ["a"]).await;
    let group = jobs.group("g").unwrap();
    for attempt in 1..5 {
        let mut worker = group.consume(1).unwrap();
        let handler = tokio::spawn(async move {
            let job = worker.next().await.unwrap();
            assert_ne!(job.attempt(), attempt, "on purpose");
        });
        assert!(handler.await.is_err());
    }
    let mut worker = group.consume(1).unwrap();
    let job = next(&mut worker).await;
    assert_eq!(job.attempt(), 5);
    job.ack().unwrap();
}

/// Consumers, groups and queues that come and go leave nothing behind.
#[tokio::test]
async fn coming_and_going_leaves_nothing_behind() {
    let node = node().await;
    let jobs = node.queue("jobs").unwrap();
    let stays = jobs.group("stays").unwrap();
    push(&jobs, ["a"]).await;
    for round in 0..10_000 {
        let by_key = GroupOptions { mode: Mode::AtLeastOnce, order: Order::ByKey };
        let group = jobs.group_with(&format!("g{round}"), by_key, false).unwrap();
        let mut workers = [group.consume(1).unwrap(), group.consume(1).unwrap()];
        let job = workers.iter_mut().find_map(primer::Consumer::try_next).expect("one has it");
        match round % 3 {
            0 => drop(job),
            1 => drop(job.ack().unwrap()),
            _ => drop(workers),
        }
        group.remove();
    }
    for round in 0..1_000 {
        let name = format!("short/{round}");
        push(&node.queue(&name).unwrap(), ["x"]).await;
        node.delete_queue(&name).unwrap();
    }
    let info = jobs.info();
    assert_eq!((info.messages, info.groups.len(), node.queues(None, 10).len()), (1, 1, 1));
    assert_eq!(stays.info().unwrap().figures.pending, 1);
}
