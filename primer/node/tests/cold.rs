//! A long backlog that is on the disk alone, and several groups at different places in it.

#![expect(clippy::unwrap_used, reason = "tests fail by panicking")]

use std::{
    collections::BTreeMap,
    path::PathBuf,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use parking_lot::Mutex;
use primer::{Browse, Definition, Delivery, From, GroupOptions, Message, Mode, Node, Order, Queue};
use tokio::time::timeout;

const LONG: Duration = Duration::from_secs(40);
const COUNT: usize = 20_000;
const KEYS: usize = 7;

/// A directory that goes with the test.
struct Folder(PathBuf);

impl Drop for Folder {
    fn drop(&mut self) {
        let _it_is_gone = std::fs::remove_dir_all(&self.0);
    }
}

/// What a group got, by key, in its order.
type Got = Arc<Mutex<BTreeMap<usize, Vec<usize>>>>;

fn note(got: &Got, job: &Delivery) {
    let number: usize = job.text().unwrap().split(' ').next().unwrap().parse().unwrap();
    got.lock().entry(number % KEYS).or_default().push(number);
}

fn count(got: &Got) -> usize {
    got.lock().values().map(Vec::len).sum()
}

/// Fills the queue, which one group has half behind it; answers how many messages that were.
async fn fill(node: &Node) -> usize {
    let jobs = node.queue("jobs").unwrap();
    let by_key = GroupOptions { mode: Mode::AtLeastOnce, order: Order::ByKey };
    let once = GroupOptions { mode: Mode::AtMostOnce, order: Order::Any };
    let ahead = jobs.group("ahead").unwrap();
    drop((jobs.group_with("keys", by_key, false).unwrap(), jobs.group_with("once", once, false).unwrap()));
    let mut publisher = jobs.publisher("p", 1, 1_000);
    for number in 0..COUNT {
        let message = Message::new(format!("{number} {}", "x".repeat(number % 90))).key((number % KEYS).to_string());
        publisher.send(message).await.unwrap();
    }
    publisher.flush().await.unwrap();
    let mut before = 0;
    while before < COUNT / 2 {
        let pulled = ahead.pull(500, LONG).await.unwrap();
        before += pulled.len();
        Delivery::ack_all(pulled);
    }
    before
}

/// Browses, pauses and redefines until it is over; answers how often.
async fn meddle(jobs: Queue, is_over: Arc<AtomicBool>) -> usize {
    let mut pages = 0;
    while !is_over.load(Ordering::Relaxed) {
        jobs.pause();
        jobs.redefine(Definition { messages_max: 2_000_000 + pages, ..Definition::default() }).unwrap();
        jobs.resume();
        let page = jobs.browse(&Browse { from: From::Newest, messages_max: 50, ..Browse::default() }).await;
        assert_eq!(page.unreadable, 0);
        pages += 1;
        tokio::time::sleep(Duration::from_millis(1)).await; // others want the queue's lock as well
    }
    pages
}

/// Everything comes once to each group, in the order of keys where that is promised, while somebody browses, pauses
/// and redefines; and the memory that it takes goes back.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn groups_empty_a_cold_backlog_from_different_places() {
    let folder = Folder(std::env::temp_dir().join(format!("primer-cold-{}", std::process::id())));
    let _there_was_none = std::fs::remove_dir_all(&folder.0);
    let node = Node::builder().data_dir(&folder.0).start().await.unwrap();
    let before = fill(&node).await;
    node.shutdown(Duration::from_secs(1)).await;
    drop(node);
    let node = Node::builder().data_dir(&folder.0).start().await.unwrap();
    let jobs = node.queue("jobs").unwrap();
    assert_eq!(jobs.info().messages, COUNT);
    let is_over = Arc::new(AtomicBool::new(false));
    let mut tasks = Vec::new();
    let mut all = Vec::new();
    for (name, workers, prefetch, wanted) in
        [("ahead", 2, 40, COUNT - before), ("keys", 3, 5, COUNT), ("once", 1, 700, COUNT)]
    {
        let got = Got::default();
        all.push((name, wanted, Arc::clone(&got)));
        for _ in 0..workers {
            let (jobs, got) = (jobs.clone(), Arc::clone(&got));
            tasks.push(tokio::spawn(async move {
                let mut worker = jobs.group(name).unwrap().consume(prefetch).unwrap();
                while count(&got) < wanted {
                    let Ok(Some(job)) = timeout(Duration::from_millis(500), worker.next()).await else { continue };
                    note(&got, &job);
                    let _once_has_nothing_to_say = job.ack();
                }
            }));
        }
    }
    let meddler = tokio::spawn(meddle(jobs.clone(), Arc::clone(&is_over)));
    let begun = Instant::now();
    for task in tasks {
        if timeout(LONG, task).await.is_err() {
            is_over.store(true, Ordering::Relaxed);
            panic!("somebody is stuck: {:?}", jobs.info());
        }
    }
    let took = begun.elapsed();
    is_over.store(true, Ordering::Relaxed);
    let pages = meddler.await.unwrap();
    println!("{COUNT} cold messages to three groups in {took:?}, {pages} pages browsed meanwhile");
    for (name, wanted, got) in all {
        assert_eq!(count(&got), wanted, "{name}");
        for numbers in got.lock().values_mut() {
            if name == "keys" {
                assert!(numbers.is_sorted(), "{name}");
            }
            numbers.sort_unstable();
            assert!(numbers.windows(2).all(|two| two[0] < two[1]), "{name}: something came twice");
        }
    }
    assert_eq!(jobs.info().messages, 0);
    node.shutdown(Duration::from_secs(1)).await;
}
