//! A queue with groups of consumers: what a message costs from its push to the last acknowledgement.

use divan::{Bencher, counter::ItemsCount};
use primer_core::{
    message::{Message, NEVER_MS, Parts},
    queue::{Content, Credit, Event, GroupId, GroupOptions, Mode, Order, Overflow, Queue, Terms, Verdict},
};

const TERMS: Terms = Terms {
    messages_max: 1_000_000,
    bytes_max: 1 << 30,
    overflow: Overflow::Reject,
    deliveries_max: 5,
    retry_delay_ms: 1_000,
    dedupe_window_ms: 0,
};

fn main() {
    // As many calls a sample that the clock's precision does not show; `--sample-size` still has its say.
    divan::Divan::default().sample_size(100).config_with_args().main();
}

#[derive(Clone)]
struct Letter {
    message: Message,
    key: Option<u64>,
}

impl Content for Letter {
    fn cost(&self) -> usize {
        self.message.len()
    }
    fn expires_at_ms(&self) -> u64 {
        self.message.expires_at_ms()
    }
    fn key(&self) -> Option<u64> {
        self.key
    }
    fn is_void(&self) -> bool {
        false
    }
    fn stub(&self) -> Option<(u64, u32)> {
        None
    }
}

/// A queue whose messages are pushed, dealt and acknowledged, a batch at a time.
struct Bench {
    queue: Queue<Letter>,
    letter: Letter,
    keys: u64,
    pushed: u64,
    events: Vec<Event<Letter>>,
    batch: usize,
}

impl Bench {
    fn new(groups: usize, consumers: usize, options: GroupOptions, batch: usize) -> Self {
        let parts = Parts { topic: "bench/topic", properties: &[], payload: &[b'x'; 64], expires_at_ms: NEVER_MS };
        let letter = Letter { message: Message::new(&parts), key: None };
        let mut queue = Queue::new(TERMS);
        for n in 0..groups {
            let (group, _) = queue.add_group(&n.to_string(), options, false).expect("there are few groups");
            for _ in 0..consumers {
                let credit = Credit { messages: 1_000, lease_ms: Some(30_000) };
                assert!(queue.attach(group, credit).is_some());
            }
        }
        let keys = if options.order == Order::ByKey { 1_000 } else { 0 };
        Self { queue, letter, keys, pushed: 0, events: Vec::new(), batch }
    }

    fn turn(&mut self) -> usize {
        let now_ms = self.pushed / 100;
        for _ in 0..self.batch {
            self.pushed += 1;
            let key = (self.keys > 0).then(|| self.pushed % self.keys);
            let letter = Letter { message: self.letter.message.clone(), key };
            assert!(self.queue.push(now_ms, 4, None, None, letter).is_ok());
        }
        self.queue.deal(now_ms);
        let mut events = std::mem::take(&mut self.events);
        self.queue.swap_events(&mut events);
        for event in events.drain(..) {
            if let Event::Deliver { group, lease: Some(lease), position, .. } = event {
                assert!(self.queue.settle(now_ms, group, position, lease, Verdict::Ack).is_ok());
            }
        }
        self.queue.swap_events(&mut events);
        let done = events.len();
        events.clear();
        self.events = events;
        done
    }

    fn run(mut self, bencher: Bencher<'_, '_>) {
        let batch = self.batch;
        bencher.counter(ItemsCount::new(batch)).bench_local(move || assert!(self.turn() >= batch));
    }
}

const ANY: GroupOptions = GroupOptions { mode: Mode::AtLeastOnce, order: Order::Any };
const ONCE: GroupOptions = GroupOptions { mode: Mode::AtMostOnce, order: Order::Any };
const BY_KEY: GroupOptions = GroupOptions { mode: Mode::AtLeastOnce, order: Order::ByKey };

#[divan::bench(args = [1, 100])]
fn one_consumer(bencher: Bencher<'_, '_>, batch: usize) {
    Bench::new(1, 1, ANY, batch).run(bencher);
}

#[divan::bench(args = [1, 100])]
fn eight_consumers(bencher: Bencher<'_, '_>, batch: usize) {
    Bench::new(1, 8, ANY, batch).run(bencher);
}

#[divan::bench(args = [1, 100])]
fn by_key(bencher: Bencher<'_, '_>, batch: usize) {
    Bench::new(1, 8, BY_KEY, batch).run(bencher);
}

#[divan::bench(args = [1, 100])]
fn three_groups(bencher: Bencher<'_, '_>, batch: usize) {
    Bench::new(3, 1, ANY, batch).run(bencher);
}

/// At-most-once: no leases and no words; credit is given back a batch at a time.
#[divan::bench(args = [1, 100])]
fn at_most_once(bencher: Bencher<'_, '_>, batch: usize) {
    let mut bench = Bench::new(1, 0, ONCE, batch);
    let (group, _) = bench.queue.add_group("0", ONCE, false).expect("it is there");
    let consumer = bench.queue.attach(group, Credit { messages: 1_000, lease_ms: None }).expect("it is the first");
    let mut turn = move |group: GroupId| {
        assert!(bench.turn() <= 2 * batch);
        bench.queue.taken(group, consumer, u32::MAX);
    };
    bencher.counter(ItemsCount::new(batch)).bench_local(move || turn(group));
}
