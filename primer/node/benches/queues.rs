//! What queues of a program cost: `cargo bench -p primer --bench queues`. It prints figures and asserts nothing: the
//! machine decides.
//!
//! - push + consume + acknowledge of 100-byte messages, for 1 and 8 producers and consumers, one by one and in batches,
//!   in memory and in a directory (`PRIMER_BENCH_DIR`, or the system's temporary one);
//! - bytes of memory of a queue at rest, over 100,000 of them;
//! - what a consumer waits for a message while somebody browses a million of them, and while nobody does.

use std::{
    path::PathBuf,
    time::{Duration, Instant},
};

use primer::{Browse, Definition, Delivery, From, Full, Message, Node};

const PAYLOAD: [u8; 100] = [7; 100];

fn message() -> Message {
    Message::new(PAYLOAD.as_slice())
}

fn runtime(threads: usize) -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_multi_thread().worker_threads(threads).enable_all().build().expect("a runtime")
}

/// CPU seconds of this process, from the system's count of ticks.
fn cpu_s() -> f64 {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap_or_default();
    let fields: Vec<&str> = stat.rsplit(") ").next().unwrap_or_default().split(' ').collect();
    let ticks = |at: usize| fields.get(at).and_then(|field| field.parse::<f64>().ok()).unwrap_or(0.0);
    (ticks(11) + ticks(12)) / 100.0
}

fn resident_kib() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find(|line| line.starts_with("VmRSS")).unwrap_or_default();
    line.split_whitespace().nth(1).and_then(|kib| kib.parse().ok()).unwrap_or(0)
}

async fn node(directory: Option<&PathBuf>) -> Node {
    let builder = Node::builder().memory_limit(4 << 30);
    match directory {
        None => builder.start().await,
        Some(directory) => builder.data_dir(directory).start().await,
    }
    .expect("a node")
}

/// `messages` through one queue; answers messages a second and CPU seconds a million.
async fn run(node: &Node, messages: usize, workers: usize, batch: usize) -> (f64, f64) {
    let name = format!("jobs-{workers}-{batch}");
    let definition = Definition { messages_max: 10_000_000, bytes_max: 4 << 30, ..Definition::default() };
    let queue = node.create_queue(&name, definition).expect("a queue");
    let (begin, cpu) = (Instant::now(), cpu_s());
    let each = messages / workers;
    let mut tasks = Vec::new();
    for _ in 0..workers {
        let queue = queue.clone();
        tasks.push(tokio::spawn(async move {
            let many: Vec<Message> = (0..batch).map(|_| message()).collect();
            for _ in 0..each / batch {
                let receipts = queue.push_all(&many).await;
                assert!(receipts.iter().all(Result::is_ok));
            }
        }));
    }
    let done = std::sync::Arc::new(std::sync::atomic::AtomicUsize::new(0));
    for _ in 0..workers {
        let (queue, done) = (queue.clone(), std::sync::Arc::clone(&done));
        tasks.push(tokio::spawn(async move {
            let mut consumer = queue.consume((batch * 4).max(16) as u32).expect("a consumer");
            let total = each / batch * batch * workers;
            while done.load(std::sync::atomic::Ordering::Relaxed) < total {
                let Ok(some) = tokio::time::timeout(Duration::from_millis(50), consumer.next_batch(batch)).await else {
                    continue;
                };
                done.fetch_add(some.len(), std::sync::atomic::Ordering::Relaxed);
                Delivery::ack_all(some);
            }
        }));
    }
    for task in tasks {
        task.await.expect("a task");
    }
    let total = (each / batch * batch * workers) as f64;
    (total / begin.elapsed().as_secs_f64(), (cpu_s() - cpu) / total * 1e6)
}

fn throughput(place: &str, directory: Option<&PathBuf>, messages: usize) {
    for (threads, workers) in [(1, 1), (2, 8)] {
        for batch in [1, 10, 100, 1000] {
            let runtime = runtime(threads);
            runtime.block_on(async {
                let node = node(directory).await;
                let messages = if directory.is_some() && batch == 1 { messages / 20 } else { messages };
                let (rate, cpu) = run(&node, messages, workers, batch).await;
                println!(
                    "{place:<9} {workers} producer(s) and consumer(s), {threads} thread(s), batches of {batch:>4}: \
                     {rate:>9.0} messages/s, {cpu:>5.2} CPU s a million"
                );
                node.shutdown(Duration::from_secs(1)).await;
            });
        }
    }
}

fn at_rest() {
    const QUEUES: usize = 100_000;
    let runtime = runtime(1);
    runtime.block_on(async {
        let node = node(None).await;
        let before = resident_kib();
        for n in 0..QUEUES {
            let queue = node.queue(&format!("plant/{n}/alarms")).expect("a queue");
            let group = queue.group("default").expect("a group");
            drop((queue, group));
        }
        let grown = (resident_kib() - before) * 1024;
        println!("at rest   {QUEUES} queues with a group: {} bytes each", grown / QUEUES as u64);
        for n in 0..QUEUES {
            let queue = node.queue(&format!("plant/{n}/alarms")).expect("a queue");
            queue.push(message()).await.expect("it is taken");
            let pulled = queue.group("default").expect("a group").pull(1, Duration::ZERO).await.expect("it is there");
            Delivery::ack_all(pulled);
        }
        let grown = (resident_kib() - before) * 1024;
        println!("at rest   the same when each has had a message: {} bytes each", grown / QUEUES as u64);
        node.shutdown(Duration::ZERO).await;
    });
}

fn percentile(sorted: &[Duration], of_100: usize) -> Duration {
    sorted.get(sorted.len() * of_100 / 100).copied().unwrap_or_default()
}

/// How long a message takes from push to its consumer, beside a backlog of a million that is browsed or not.
fn browse() {
    const BACKLOG: usize = 1_000_000;
    let runtime = runtime(2);
    runtime.block_on(async {
        let node = node(None).await;
        let bounds = Definition {
            messages_max: 2 * BACKLOG,
            bytes_max: 4 << 30,
            overflow: Full::Reject,
            ..Definition::default()
        };
        let queue = node.create_queue("big", bounds).expect("a queue");
        let many: Vec<Message> = (0..1000).map(|_| message().priority(1)).collect();
        let idle = queue.group("idle").expect("a group");
        for _ in 0..BACKLOG / 1000 {
            queue.push_all(&many).await;
        }
        let live = queue.group_with("live", primer::GroupOptions::default(), true).expect("a group");
        for is_browsed in [false, true] {
            let browser = queue.clone();
            let browsing = tokio::spawn(async move {
                let (mut from, mut seen) = (Some(From::Oldest), 0_usize);
                while let Some(at) = from.filter(|_| is_browsed) {
                    let page = browser.browse(&Browse { from: at, messages_max: 1000, ..Browse::default() }).await;
                    seen += page.messages.len();
                    from = page.next;
                    tokio::task::yield_now().await;
                }
                seen
            });
            let mut consumer = live.consume(10).expect("a consumer");
            let mut waits = Vec::new();
            for _ in 0..5_000 {
                let begin = Instant::now();
                queue.push(message().priority(9)).await.expect("it is taken");
                let delivery = consumer.next().await.expect("it comes");
                waits.push(begin.elapsed());
                delivery.ack().map(drop).unwrap_or_default();
            }
            drop(consumer);
            waits.sort_unstable();
            let seen = browsing.await.expect("it ends");
            println!(
                "browse    {} of {BACKLOG} seen meanwhile: a message takes p50 {:?}, p99 {:?}",
                seen,
                percentile(&waits, 50),
                percentile(&waits, 99)
            );
        }
        drop(idle);
        node.shutdown(Duration::ZERO).await;
    });
}

fn main() {
    if std::env::args().any(|arg| arg == "--test") {
        return; // cargo test builds it, and runs it so
    }
    let wanted = std::env::args().nth(1).filter(|arg| !arg.starts_with('-')).unwrap_or_default();
    let is = |what: &str| wanted.is_empty() || wanted == what;
    if is("memory") {
        throughput("memory", None, 2_000_000);
    }
    if is("durable") {
        let base = std::env::var_os("PRIMER_BENCH_DIR").map_or_else(std::env::temp_dir, PathBuf::from);
        let directory = base.join(format!("primer-bench-{}", std::process::id()));
        throughput("durable", Some(&directory), 500_000);
        let _it_is_gone = std::fs::remove_dir_all(&directory);
    }
    if is("rest") {
        at_rest();
    }
    if is("browse") {
        browse();
    }
}
