//! Crashes at many points of a recorded life of a node: what was confirmed holds in the next one.
//!
//! The disk is simulated and logs every operation, and between them what the node's user did and was told. The log is
//! cut at places by chance; a node is opened on what a crash would have left there, and everything in it is consumed.
//! `PRIMER_SEED` replays one.

#![expect(clippy::unwrap_used, reason = "tests fail by panicking")]

#[path = "../../../storage/tests/sim/mod.rs"]
mod sim;

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::Duration,
};

use primer::{Consumer, Definition, Delivery, Full, GroupOptions, KeyOf, Message, Mode, Node, Order, Queue, journal};
use sim::{Crashes, Folder, Op, Random, SimDisk, seed};

const LONG: Duration = Duration::from_secs(10);

/// The groups of the queue: at least once, by key, at most once.
const GROUPS: [(&str, Mode, Order); 3] = [
    ("any", Mode::AtLeastOnce, Order::Any),
    ("keys", Mode::AtLeastOnce, Order::ByKey),
    ("once", Mode::AtMostOnce, Order::Any),
];

/// What the user of the node did.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
enum Deed {
    Push(u64),
    Ack(&'static str, u64),
    Reject(u64),
    /// The message was handed over where once is enough.
    Once(u64),
}

struct Life {
    disk: SimDisk,
    jobs: Queue,
    consumers: Vec<(&'static str, Consumer)>,
    begun: Vec<Deed>,
    confirmed: Vec<Deed>,
    random: Random,
    next: u64,
}

impl Life {
    fn begin(&mut self, deed: Deed) {
        self.begun.push(deed);
        self.disk.say(Op::Submitted(self.begun.len()));
    }

    fn confirm(&mut self, deed: Deed) {
        self.confirmed.push(deed);
        self.disk.say(Op::Durable(self.confirmed.len()));
    }

    async fn push(&mut self) {
        let count = 1 + self.random.below(4);
        let mut messages = Vec::new();
        for number in self.next..self.next + count {
            let len = if self.random.below(20) == 0 { 90_000 } else { self.random.below(300) as usize };
            messages.push(Message::new(format!("{number} {}", "x".repeat(len))).key(format!("key {}", number % 5)));
            self.begin(Deed::Push(number));
        }
        let receipts = self.jobs.push_all(&messages).await;
        for (number, receipt) in (self.next..).zip(receipts) {
            receipt.expect("the disk takes it");
            self.confirm(Deed::Push(number));
        }
        self.next += count;
    }

    async fn consume(&mut self) {
        let which = self.random.below(self.consumers.len() as u64) as usize;
        let (group, consumer) = &mut self.consumers[which];
        let group = *group;
        let Ok(Some(delivery)) = tokio::time::timeout(Duration::from_millis(2), consumer.next()).await else { return };
        let number = number_of(&delivery);
        if group == "once" {
            self.begin(Deed::Once(number));
            self.confirm(Deed::Once(number));
            return;
        }
        match self.random.below(8) {
            0 => drop(delivery),
            1 if group == "any" => {
                self.begin(Deed::Reject(number));
                let settled = delivery.reject().expect("nobody else has it");
                if settled.durable().await {
                    self.confirm(Deed::Reject(number));
                }
            }
            _ => {
                self.begin(Deed::Ack(group, number));
                let settled = delivery.ack().expect("nobody else has it");
                if self.random.below(3) > 0 && settled.durable().await {
                    self.confirm(Deed::Ack(group, number));
                }
            }
        }
    }
}

fn number_of(delivery: &Delivery) -> u64 {
    delivery.text().unwrap().split(' ').next().unwrap().parse().unwrap()
}

fn small() -> journal::Options {
    journal::Options { budget_bytes: journal::BUDGET_BYTES_MIN, ..journal::Options::default() }
}

async fn open(disk: &SimDisk) -> Node {
    Node::builder().disk(Arc::new(disk.clone())).store(small()).start().await.unwrap()
}

/// Two lives, one after the other: in the second one what the first has left is on the disk alone.
async fn record(from: u64, steps: usize) -> (Vec<Op>, Life) {
    let disk = SimDisk::new().record();
    let mut node = open(&disk).await;
    let (jobs, consumers) = consume(&node);
    let (begun, confirmed, random) = (Vec::new(), Vec::new(), Random(from));
    let mut life = Life { disk: disk.clone(), jobs, consumers, begun, confirmed, random, next: 0 };
    for step in 0..steps {
        if step == steps / 2 {
            life.consumers.clear();
            node.shutdown(Duration::ZERO).await;
            node = open(&disk).await;
            (life.jobs, life.consumers) = consume(&node);
        }
        if life.random.below(3) == 0 { life.push().await } else { life.consume().await }
    }
    let log = disk.log();
    node.shutdown(Duration::ZERO).await;
    (log, life)
}

fn consume(node: &Node) -> (Queue, Vec<(&'static str, Consumer)>) {
    let definition = Definition { deliveries_max: 0, key: KeyOf::Nothing, ..Definition::default() };
    let jobs = node.create_queue("jobs", definition).unwrap();
    let mut consumers = Vec::new();
    for (name, mode, order) in GROUPS {
        let group = jobs.group_with(name, GroupOptions { mode, order }, false).unwrap();
        consumers.push((name, group.consume(1).unwrap()));
        consumers.push((name, group.consume(2).unwrap()));
    }
    (jobs, consumers)
}

/// Everything that is in the queue for a group, in order; it is acknowledged.
async fn drain(queue: &Queue, name: &str) -> Vec<u64> {
    let group = queue.group(name).unwrap();
    let pending = group.info().unwrap().figures.pending;
    let mut consumer = group.consume(100).unwrap();
    let mut all = Vec::new();
    while all.len() < pending {
        let delivery = tokio::time::timeout(LONG, consumer.next()).await.expect("in time").expect("the node runs");
        all.push(number_of(&delivery));
        delivery.ack().map(drop).unwrap_or_default();
    }
    all
}

async fn check(folder: Folder, begun: &[Deed], confirmed: &[Deed], says: &str) {
    let node = open(&SimDisk::of(folder)).await;
    let jobs = node.queue("jobs").unwrap();
    let dead: Vec<u64> = match node.find_queue("$dead/jobs") {
        Some(dead) => drain(&dead, "default").await,
        None => Vec::new(),
    };
    let mut found: BTreeMap<&str, Vec<u64>> = BTreeMap::new();
    let exists = jobs.exists();
    for (name, ..) in GROUPS.into_iter().filter(|_| exists) {
        found.insert(name, drain(&jobs, name).await);
    }
    let began = |deed: Deed| begun.contains(&deed);
    for (group, numbers) in &found {
        let once: BTreeSet<&u64> = numbers.iter().collect();
        assert_eq!(once.len(), numbers.len(), "{says}: {group} got something twice: {numbers:?}");
        assert!(numbers.iter().all(|number| began(Deed::Push(*number))), "{says}: {group}: a phantom");
        for key in 0..5 {
            let its = numbers.iter().filter(|number| **number % 5 == key);
            assert!(*group != "keys" || its.is_sorted(), "{says}: key {key} out of order: {numbers:?}");
        }
    }
    let has = |group: &str, number: u64| found.get(group).is_some_and(|numbers| numbers.contains(&number));
    let once: BTreeSet<&u64> = dead.iter().collect();
    assert_eq!(once.len(), dead.len(), "{says}: a dead letter twice: {dead:?}");
    for deed in confirmed {
        match deed {
            Deed::Push(number) => {
                let number = *number;
                let is_done = began(Deed::Ack("any", number)) || dead.contains(&number);
                assert!(has("any", number) || is_done, "{says}: {number} is lost for any");
                assert!(has("keys", number) || began(Deed::Ack("keys", number)), "{says}: {number} is lost for keys");
            }
            Deed::Ack(group, number) => {
                assert!(!has(group, *number), "{says}: {number} was done with in {group} and is there again");
            }
            Deed::Reject(number) => {
                assert!(dead.contains(number) && !has("any", *number), "{says}: {number} was rejected");
            }
            Deed::Once(number) => assert!(!has("once", *number), "{says}: {number} comes twice where once is enough"),
        }
    }
    for number in &dead {
        assert!(began(Deed::Reject(*number)) && !has("any", *number), "{says}: {number} is in two places");
    }
    node.shutdown(Duration::ZERO).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_confirmed_holds_after_a_crash_anywhere() {
    let mut cuts = 0;
    for life in 0..3 {
        let from = seed(40 + life);
        let (log, life) = record(from, 240).await;
        let (mut crashes, mut random) = (Crashes::default(), Random(from));
        assert!(life.confirmed.len() > 100, "little happened");
        for (at, op) in log.iter().enumerate() {
            if random.below(12) == 0 {
                cuts += 1;
                let fate = random.next();
                let says = format!("seed {from}, before operation {at} of {}, fate {fate}", log.len());
                let (begun, confirmed) = (&life.begun[..crashes.submitted], &life.confirmed[..crashes.durable]);
                check(crashes.cut(fate), begun, confirmed, &says).await;
            }
            crashes.pass(op);
        }
        let end = "at the end";
        check(crashes.cut(1), &life.begun, &life.confirmed, end).await;
    }
    assert!(cuts > 100, "only {cuts} cuts");
}

/// What makes room while it is on the disk alone has to be read before it can go to the dead letters; meanwhile others
/// are acknowledged, and the floor of the queue rises above it. It used to be gone from the queue with that floor.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_makes_room_is_in_one_of_two_places() {
    let disk = SimDisk::new().record();
    let definition = Definition { messages_max: 20, overflow: Full::DeadLetter, ..Definition::default() };
    let (mut begun, mut confirmed) = (Vec::new(), Vec::new());
    for life in 0..3_u64 {
        let node = open(&disk).await;
        let jobs = node.create_queue("jobs", definition.clone()).unwrap();
        let group = jobs.group("any").unwrap();
        for number in life * 20..life * 20 + 20 {
            begun.push(Deed::Push(number));
            disk.say(Op::Submitted(begun.len()));
            jobs.push(number.to_string()).await.unwrap();
            confirmed.push(Deed::Push(number));
            disk.say(Op::Durable(confirmed.len()));
            if number % 3 == 0 {
                for delivery in group.pull(1, Duration::from_secs(1)).await.unwrap() {
                    let number = number_of(&delivery);
                    begun.push(Deed::Ack("any", number));
                    disk.say(Op::Submitted(begun.len()));
                    delivery.ack().unwrap();
                }
            }
        }
        drop(group);
        node.shutdown(Duration::ZERO).await;
    }
    let (mut crashes, mut random, mut dead_seen) = (Crashes::default(), Random(seed(3)), 0);
    let log = disk.log();
    for (at, op) in log.iter().enumerate() {
        if random.below(6) == 0 {
            let says = format!("before operation {at} of {}", log.len());
            let node = open(&SimDisk::of(crashes.cut(random.next()))).await;
            let all = match node.find_queue("jobs") {
                Some(jobs) => drain(&jobs, "any").await,
                None => Vec::new(),
            };
            let dead = match node.find_queue("$dead/jobs") {
                Some(dead) => drain(&dead, "default").await,
                None => Vec::new(),
            };
            dead_seen += dead.len();
            for deed in &confirmed[..crashes.durable] {
                let Deed::Push(number) = deed else { continue };
                let places = [all.contains(number), dead.contains(number)].into_iter().filter(|is| *is).count();
                let is_done = begun[..crashes.submitted].contains(&Deed::Ack("any", *number));
                assert!(places == 1 || is_done, "{says}: {number} is in {places} places");
            }
            node.shutdown(Duration::ZERO).await;
        }
        crashes.pass(op);
    }
    assert!(dead_seen > 100, "little made room: {dead_seen}");
}
