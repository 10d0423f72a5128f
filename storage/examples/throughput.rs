//! How fast the store is on a real folder, and how it opens.
//!
//! ```text
//! cargo run --release -p primer-storage --example throughput -- DIR commit [SECONDS]
//! cargo run --release -p primer-storage --example throughput -- DIR fill MESSAGES     (then ended without a farewell)
//! cargo run --release -p primer-storage --example throughput -- DIR open
//! ```
//!
//! `commit` keeps 1, 10, 100 and 1,000 messages of 200 bytes in flight, each submitted anew when it is durable.

use std::{
    collections::VecDeque,
    path::{Path, PathBuf},
    process::ExitCode,
    sync::Arc,
    task::{Context, Poll, Waker},
    time::{Duration, Instant},
};

use primer_storage::{Change, Draft, Folder, Group, Options, QueueId, Store, Ticket, draft::Destinations};

const CONTENT_BYTES: usize = 200;

fn main() -> ExitCode {
    let mut args = std::env::args().skip(1);
    let (Some(path), Some(what)) = (args.next().map(PathBuf::from), args.next()) else {
        eprintln!("throughput DIR commit|fill|open [NUMBER]");
        return ExitCode::from(2);
    };
    let number = args.next().and_then(|number| number.parse().ok());
    match what.as_str() {
        "fill" => fill(&path, number.unwrap_or(1_000_000)),
        "open" => open_and_close(&path),
        _ => {
            println!("in flight   messages/s  p50 us  p99 us   B/B  per commit  CPU us/message");
            for in_flight in [1, 10, 100, 1_000] {
                commit(&path.join(in_flight.to_string()), in_flight, Duration::from_secs(number.unwrap_or(4)));
            }
        }
    }
    ExitCode::SUCCESS
}

fn open(path: &Path) -> (Store, u64) {
    let folder = Folder::take(path, None).unwrap_or_else(|error| panic!("{error}"));
    let mut seen = 0;
    let opened = Store::open(Arc::new(folder), Options::default(), &mut |_, _| seen += 1);
    let (store, _, report) = opened.unwrap_or_else(|error| panic!("{error}"));
    println!("{report:?}");
    (store, seen)
}

fn wait(store: &Store, group: Group) {
    let thread = std::thread::current();
    let waker = Waker::from(Arc::new(Unpark(thread)));
    let mut ended = Box::pin(store.ended(group));
    loop {
        match ended.as_mut().poll(&mut Context::from_waker(&waker)) {
            Poll::Ready(is_durable) => return assert!(is_durable, "{:?}", store.figures()),
            Poll::Pending => std::thread::park(),
        }
    }
}

struct Unpark(std::thread::Thread);

impl std::task::Wake for Unpark {
    fn wake(self: Arc<Self>) {
        self.0.unpark();
    }
}

fn message(draft: &mut Draft, queue: QueueId, position: u64) -> Arc<Ticket> {
    let ticket = Arc::new(Ticket::new());
    ticket.add();
    let mut destinations = Destinations::default();
    destinations.push(queue, position, b"");
    draft.message(Arc::clone(&ticket), &destinations, None, &[&[position as u8; CONTENT_BYTES]]);
    ticket
}

/// One submitter keeps all in flight, as an event loop with many connections does: what is durable is submitted anew,
/// one draft a message, and its acknowledgement goes along.
fn commit(path: &Path, in_flight: usize, duration: Duration) {
    let (store, _) = open(path);
    let mut draft = Draft::default();
    let queue = store.new_queue();
    draft.change(Change::Define { queue, name: b"q".as_slice().into() });
    wait(&store, store.submit(draft));
    let (before, cpu) = (store.figures(), cpu_us());
    let (begin, mut position) = (Instant::now(), 0);
    let mut flying: VecDeque<(Group, Instant, u64, Arc<Ticket>)> = VecDeque::new();
    let mut took: Vec<u32> = Vec::new();
    let mut done: Vec<(u64, Arc<Ticket>)> = Vec::new();
    while begin.elapsed() < duration {
        while flying.len() < in_flight {
            let mut draft = Draft::default();
            let ticket = message(&mut draft, queue, position);
            if let Some((position, ticket)) = done.pop() {
                let at = Store::settle(&ticket);
                draft.change(Change::Gone { queue, position, floor: position.saturating_sub(4_000), at });
            }
            flying.push_back((store.submit(draft), Instant::now(), position, ticket));
            position += 1;
        }
        if let Some((group, ..)) = flying.front() {
            wait(&store, *group);
        }
        while let Some((_, since, position, ticket)) = flying.pop_front_if(|(g, ..)| store.outcome(*g).is_some()) {
            took.push(since.elapsed().as_micros() as u32);
            done.push((position, ticket));
        }
    }
    let (seconds, cpu) = (begin.elapsed().as_secs_f64(), cpu_us() - cpu);
    let figures = store.figures();
    took.sort_unstable();
    let messages = figures.messages - before.messages;
    let written = figures.written_bytes - before.written_bytes;
    println!(
        "{in_flight:9} {:12.0} {:7} {:7} {:5.2} {:11.1} {:15.2}",
        took.len() as f64 / seconds,
        took[took.len() / 2],
        took[took.len() * 99 / 100],
        written as f64 / (messages * CONTENT_BYTES as u64) as f64,
        messages as f64 / (figures.commits - before.commits) as f64,
        cpu as f64 / messages as f64,
    );
}

fn fill(path: &Path, messages: u64) {
    let (store, _) = open(path);
    let mut draft = Draft::default();
    let queue = store.new_queue();
    draft.change(Change::Define { queue, name: b"q".as_slice().into() });
    for position in 0..messages {
        message(&mut draft, queue, position);
        if position % 1_000 == 999 {
            wait(&store, store.submit(std::mem::take(&mut draft)));
        }
    }
    println!("{:?}", store.figures());
    // The process ends without a farewell.
    std::mem::forget(store);
}

fn open_and_close(path: &Path) {
    let begin = Instant::now();
    let (store, seen) = open(path);
    println!("{seen} messages in {:.3} s, at most {} KB in memory", begin.elapsed().as_secs_f64(), peak_kb());
    let begin = Instant::now();
    store.close();
    println!("closed in {:.3} s", begin.elapsed().as_secs_f64());
}

/// User and system time of this process.
fn cpu_us() -> u64 {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap_or_default();
    let fields: Vec<i64> = stat.rsplit(')').next().unwrap_or_default().split(' ').flat_map(str::parse).collect();
    // State is no number: user time is the eleventh that is one, in hundredths of a second.
    fields.get(10..12).map_or(0, |times| times.iter().sum::<i64>() as u64 * 10_000)
}

fn peak_kb() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    line.and_then(|line| line.trim().trim_end_matches(" kB").parse().ok()).unwrap_or(0)
}
