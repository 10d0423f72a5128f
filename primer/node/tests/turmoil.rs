//! Many threads do everything at once.

#![expect(clippy::unwrap_used, reason = "tests fail by panicking")]

use std::{
    collections::{BTreeMap, BTreeSet},
    path::PathBuf,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use parking_lot::Mutex;
use primer::{Browse, Definition, GroupOptions, KeyOf, Message, Mode, Node, Order, Queue};
use tokio::time::timeout;

const LONG: Duration = Duration::from_secs(60);
const PUBLISHERS: u64 = 3;
const COUNT: u64 = 3_000;
const WANTED: usize = (PUBLISHERS * COUNT) as usize;

/// A directory that goes with the test.
struct Folder(PathBuf);

impl Drop for Folder {
    fn drop(&mut self) {
        let _it_is_gone = std::fs::remove_dir_all(&self.0);
    }
}

/// What a group has handled.
#[derive(Debug, Default)]
struct Seen {
    all: BTreeSet<(u64, u64)>,
    last: BTreeMap<u64, u64>,
    is_out_of_order: bool,
}

impl Seen {
    fn add(&mut self, text: &str) {
        let (key, number) = text.split_once(' ').unwrap();
        let (key, number) = (key.parse().unwrap(), number.parse().unwrap());
        self.all.insert((key, number));
        self.is_out_of_order |= self.last.insert(key, number).is_some_and(|before| before > number);
    }
}

fn definition() -> Definition {
    Definition {
        deliveries_max: 0,
        key: KeyOf::Property("k".into()),
        bind: vec!["t/#".into()],
        ..Definition::default()
    }
}

async fn publish(jobs: Queue, publisher: u64) {
    for number in 0..COUNT {
        let message = Message::new(format!("{publisher} {number}")).header("k", &publisher.to_string());
        jobs.push(message).await.unwrap();
    }
}

/// Consumes, by one consumer after the other, until its group has handled everything.
async fn consume(jobs: Queue, name: &'static str, seen: Arc<Mutex<Seen>>, mut step: u64) {
    let group = jobs.group(name).unwrap();
    while seen.lock().all.len() < WANTED {
        let mut consumer = group.consume(7).unwrap();
        for _ in 0..200 {
            step += 1;
            let Ok(Some(job)) = timeout(Duration::from_millis(5), consumer.next()).await else { break };
            match step % 13 {
                0 => drop(job),
                1 => drop(job.nack(Duration::from_millis(1))),
                2 => drop(job.release()),
                _ => {
                    seen.lock().add(job.text().unwrap());
                    drop(job.ack().unwrap());
                }
            }
        }
    }
}

/// Whatever an operator can do; answers how often.
async fn meddle(node: Node, jobs: Queue, is_over: Arc<AtomicBool>) -> usize {
    let mut rounds = 0;
    while !is_over.load(Ordering::Relaxed) {
        jobs.pause();
        jobs.redefine(Definition { messages_max: 100_000 + rounds, ..definition() }).unwrap();
        let page = jobs.browse(&Browse { messages_max: 100, ..Browse::default() }).await;
        assert!(page.messages.len() <= 100);
        jobs.resume();
        let extra = jobs.group_with("extra", GroupOptions::default(), rounds % 2 == 0).unwrap();
        let pulled = extra.pull(3, Duration::ZERO).await.unwrap();
        extra.remove();
        drop(pulled);
        let other = node.queue("other").unwrap();
        let _it_may_be_deleted = other.push("x").await;
        let _it_is_there = node.delete_queue("other");
        drop(node.infos());
        tokio::time::sleep(Duration::from_millis(1)).await;
        rounds += 1;
    }
    rounds
}

/// It ends, every message is handled, and no key is overtaken.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn everything_at_once_ends_and_loses_nothing() {
    let folder = Folder(std::env::temp_dir().join(format!("primer-turmoil-{}", std::process::id())));
    let _there_was_none = std::fs::remove_dir_all(&folder.0);
    let node = Node::builder().data_dir(&folder.0).start().await.unwrap();
    let jobs = node.create_queue("jobs", definition()).unwrap();
    let by_key = GroupOptions { mode: Mode::AtLeastOnce, order: Order::ByKey };
    drop((jobs.group("any").unwrap(), jobs.group_with("keys", by_key, false).unwrap()));
    let mut tasks: Vec<_> = (0..PUBLISHERS).map(|one| tokio::spawn(publish(jobs.clone(), one))).collect();
    let keys: Arc<Mutex<Seen>> = Arc::default();
    for (name, seen) in [("any", Arc::default()), ("keys", Arc::clone(&keys))] {
        tasks.extend((0..3).map(|step| tokio::spawn(consume(jobs.clone(), name, Arc::clone(&seen), step))));
    }
    let is_over = Arc::new(AtomicBool::new(false));
    let meddler = tokio::spawn(meddle(node.clone(), jobs.clone(), Arc::clone(&is_over)));
    for task in tasks {
        timeout(LONG, task).await.expect("no deadlock").unwrap();
    }
    is_over.store(true, Ordering::Relaxed);
    let rounds = timeout(LONG, meddler).await.expect("no deadlock").unwrap();
    println!("{rounds} rounds of meddling");
    assert!(!keys.lock().is_out_of_order, "keys are in order");
    assert_eq!(jobs.info().messages, 0);
    node.shutdown(LONG).await;
}
