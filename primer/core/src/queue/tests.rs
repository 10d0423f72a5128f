//! What the queue promises, by theme; and the pieces that its tests share.

mod credit_tests;
mod dedupe_tests;
mod delivery_tests;
mod group_tests;
mod invariants_tests;
mod key_tests;
mod memory_tests;
mod model_tests;
mod overflow_tests;
mod peek_tests;
mod schedule_tests;
mod steps_tests;
mod stored_tests;

use std::{cell::Cell, rc::Rc};

use self::invariants_tests::check;
use super::*;

/// A message that a store holds once it has been written.
#[derive(Debug, Clone)]
pub(super) struct Letter {
    id: u64,
    cost: usize,
    expires_at_ms: u64,
    key: Option<u64>,
    is_void: Rc<Cell<bool>>,
    /// Where the store has it.
    reference: Rc<Cell<Option<u64>>>,
}

impl PartialEq for Letter {
    fn eq(&self, other: &Self) -> bool {
        self.id == other.id
    }
}

impl Content for Letter {
    fn cost(&self) -> usize {
        self.cost
    }
    fn expires_at_ms(&self) -> u64 {
        self.expires_at_ms
    }
    fn key(&self) -> Option<u64> {
        self.key
    }
    fn is_void(&self) -> bool {
        self.is_void.get()
    }
    fn stub(&self) -> Option<(u64, u32)> {
        Some((self.reference.get()?, 1))
    }
}

fn letter(id: u64) -> Letter {
    Letter { id, cost: 1, expires_at_ms: u64::MAX, key: None, is_void: Rc::default(), reference: Rc::default() }
}

fn keyed(id: u64, key: u64) -> Letter {
    Letter { key: Some(key), ..letter(id) }
}

fn written(id: u64) -> Letter {
    let letter = letter(id);
    letter.reference.set(Some(id));
    letter
}

const TERMS: Terms = Terms {
    messages_max: usize::MAX,
    bytes_max: usize::MAX,
    overflow: Overflow::Reject,
    deliveries_max: 0,
    retry_delay_ms: 0,
    dedupe_window_ms: 0,
};

const BY_KEY: GroupOptions = GroupOptions { mode: Mode::AtLeastOnce, order: Order::ByKey };
const ONCE: GroupOptions = GroupOptions { mode: Mode::AtMostOnce, order: Order::Any };

/// What was delivered: to whom, of which message, how often.
#[derive(Debug, Clone, Copy)]
struct Given {
    group: GroupId,
    consumer: ConsumerId,
    lease: Option<LeaseId>,
    position: Position,
    attempt: u32,
    id: u64,
}

impl Given {
    fn settle(&self, queue: &mut Queue<Letter>, now_ms: u64, verdict: Verdict) -> Result<(), Stale> {
        queue.settle(now_ms, self.group, self.position, self.lease.unwrap(), verdict)
    }

    fn ack(&self, queue: &mut Queue<Letter>) {
        self.settle(queue, 0, Verdict::Ack).unwrap();
    }
}

fn credit(messages: u32) -> Credit {
    Credit { messages, lease_ms: Some(10) }
}

fn queue(terms: Terms) -> Queue<Letter> {
    Queue::new(terms)
}

/// A queue with a group.
fn grouped(terms: Terms, options: GroupOptions) -> (Queue<Letter>, GroupId) {
    let mut queue = queue(terms);
    let (group, _) = queue.add_group("workers", options, false).unwrap();
    (queue, group)
}

/// A queue with a group and one consumer.
fn served(terms: Terms, messages: u32) -> (Queue<Letter>, GroupId, ConsumerId) {
    let (mut queue, group) = grouped(terms, GroupOptions::default());
    let consumer = queue.attach(group, credit(messages)).unwrap();
    (queue, group, consumer)
}

fn push(queue: &mut Queue<Letter>, letter: Letter) -> Position {
    push_at(queue, 0, 4, None, letter).unwrap()
}

fn push_at(
    queue: &mut Queue<Letter>,
    now_ms: u64,
    priority: u8,
    due_ms: Option<u64>,
    letter: Letter,
) -> Result<Position, Refused> {
    match queue.push(now_ms, priority, due_ms, None, letter)? {
        Pushed::New(position, _) => Ok(position),
        Pushed::Duplicate(..) => panic!("it had no identifier"),
    }
}

fn push_all(queue: &mut Queue<Letter>, ids: std::ops::Range<u64>) {
    for id in ids {
        push(queue, letter(id));
    }
}

/// Deals, and says what was given; what else happened is dropped.
fn deal(queue: &mut Queue<Letter>, now_ms: u64) -> Vec<Given> {
    queue.deal(now_ms);
    check(queue);
    given(queue.take_events())
}

/// Time passes, and it is dealt.
fn tick(queue: &mut Queue<Letter>, now_ms: u64) -> Vec<Given> {
    queue.on_time(now_ms);
    check(queue);
    deal(queue, now_ms)
}

fn given(events: Vec<Event<Letter>>) -> Vec<Given> {
    let given = events.into_iter().filter_map(|event| match event {
        Event::Deliver { group, consumer, lease, position, attempt, item } => {
            Some(Given { group, consumer, lease, position, attempt, id: item.id })
        }
        _ => None,
    });
    given.collect()
}

fn ids(given: &[Given]) -> Vec<u64> {
    given.iter().map(|given| given.id).collect()
}

/// The messages that have ended since the last look, with what became of them.
fn fates(queue: &mut Queue<Letter>) -> Vec<(u64, Fate)> {
    let ended = queue.take_events().into_iter().filter_map(|event| match event {
        Event::Gone { position, fate, .. } | Event::Done { position, fate, .. } => Some((position.0, fate)),
        Event::Deliver { .. } => None,
    });
    ended.collect()
}

/// Acknowledges everything that comes until nothing comes any more; answers the messages in their order.
fn drain(queue: &mut Queue<Letter>, now_ms: u64) -> Vec<u64> {
    let mut all = Vec::new();
    loop {
        let given = tick(queue, now_ms);
        if given.is_empty() {
            return all;
        }
        for one in given {
            all.push(one.id);
            one.settle(queue, now_ms, Verdict::Ack).unwrap();
        }
    }
}

/// The generator of the tests: splitmix64. One seed, one run.
#[derive(Debug, Clone)]
struct Dice(u64);

impl Dice {
    const fn roll(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut x = self.0;
        x = (x ^ (x >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        x = (x ^ (x >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        x ^ (x >> 31)
    }

    const fn below(&mut self, end: u64) -> u64 {
        self.roll() % end
    }

    const fn one_in(&mut self, n: u64) -> bool {
        self.below(n) == 0
    }

    fn pick<T: Copy>(&mut self, from: &[T]) -> Option<T> {
        if from.is_empty() {
            return None;
        }
        from.get(usize::try_from(self.below(from.len() as u64)).ok()?).copied()
    }
}
