use std::{cell::Cell, rc::Rc};

use proptest::prelude::*;

use super::*;
use crate::backlog::{Bounds, OverflowPolicy};

/// A message that a store holds once it has been committed.
#[derive(Debug, Clone)]
struct Letter {
    id: u64,
    cost: usize,
    expires_at_ms: u64,
    is_written: Rc<Cell<bool>>,
    is_void: Rc<Cell<bool>>,
}

impl PartialEq for Letter {
    fn eq(&self, other: &Self) -> bool {
        self.id == other.id
    }
}

impl Item for Letter {
    fn cost(&self) -> usize {
        self.cost
    }
    fn expires_at_ms(&self) -> u64 {
        self.expires_at_ms
    }
    fn is_durable(&self) -> bool {
        true
    }
    fn is_void(&self) -> bool {
        self.is_void.get()
    }
    fn stub(&self) -> Option<(u64, u32)> {
        self.is_written.get().then_some((self.id, 1))
    }
}

fn letter(id: u64, cost: usize, expires_at_ms: u64) -> Letter {
    Letter { id, cost, expires_at_ms, is_written: Rc::default(), is_void: Rc::default() }
}

fn written(id: u64) -> Letter {
    let letter = letter(id, 1, u64::MAX);
    letter.is_written.set(true);
    letter
}

fn queue(messages_max: usize) -> Backlog<Letter> {
    Backlog::new(Bounds { messages_max, bytes_max: usize::MAX, overflow: OverflowPolicy::DropOldest })
}

/// Loads the next message and leases it.
fn load_and_lease(queue: &mut Backlog<Letter>) -> Option<u64> {
    let next = queue.to_load().next().copied();
    if let Some(stub) = next {
        queue.fill(stub.position, written(stub.reference));
    }
    queue.lease(0).map(|(_, letter)| letter.id)
}

#[test]
fn a_backlog_goes_from_memory_and_comes_back_in_order() {
    let mut queue = queue(10_000);
    for id in 0..1_000 {
        let _accepted = queue.push(0, written(id)).unwrap();
        if id % 100 == 99 {
            queue.chill();
        }
    }
    assert_eq!((queue.len(), queue.bytes(), queue.ready_len()), (1_000, 1_000, 0));
    assert_eq!(queue.memory(), 1_000 * size_of::<Stub>());
    assert!(size_of::<Stub>() <= 32, "a million of them is 32 MB");
    let order: Vec<u64> = std::iter::from_fn(|| load_and_lease(&mut queue)).collect();
    assert_eq!(order, (0..1_000).collect::<Vec<_>>());
}

#[test]
fn what_cannot_be_stored_yet_waits_behind_what_is() {
    let mut queue = queue(100);
    let _ = queue.push(0, written(0)).unwrap();
    queue.chill();
    let late = letter(1, 1, u64::MAX);
    let _ = queue.push(0, late.clone()).unwrap();
    queue.chill();
    assert_eq!((queue.to_load().count(), queue.len()), (1, 2));
    late.is_written.set(true);
    queue.chill();
    assert_eq!(queue.to_load().count(), 2);
    assert_eq!((load_and_lease(&mut queue), load_and_lease(&mut queue)), (Some(0), Some(1)));
}

/// What the store had refused used to keep all that came after it in memory.
#[test]
fn what_the_store_has_refused_goes() {
    let mut queue = queue(100);
    let refused = letter(1, 1, u64::MAX);
    for letter in [written(0), refused.clone(), written(2)] {
        let _accepted = queue.push(0, letter).unwrap();
    }
    refused.is_void.set(true);
    queue.chill();
    assert_eq!((queue.len(), queue.bytes(), queue.to_load().count()), (2, 2, 2));
}

#[test]
fn what_is_lost_or_evicted_is_told() {
    let mut queue = queue(100);
    for id in 0..5 {
        let _ = queue.push(0, written(id)).unwrap();
    }
    queue.chill();
    assert!(queue.lose(Position(0)) && !queue.lose(Position(3)), "only the next one can be found to be lost");
    queue.evict_below(3);
    assert_eq!(queue.take_dropped().evicted, 2);
    let left: Vec<u64> = queue.take_left().iter().map(|(position, _)| position.0).collect();
    assert_eq!((left, queue.floor()), (vec![0, 1, 2], Position(3)));
}

#[test]
fn an_earlier_life_goes_on_where_it_was() {
    let mut queue = queue(100);
    queue.restore_leased(Position(7), written(7));
    for position in [8, 9, 12] {
        let stub = Stub { position: Position(position), reference: position, len: 1, cost: 1, expires_at_ms: u64::MAX };
        queue.restore(stub);
    }
    queue.skip_to(Position(20));
    let _ = queue.push(0, written(20)).unwrap();
    assert_eq!((queue.len(), queue.floor(), queue.last_position()), (5, Position(7), Position(20)));
    let order: Vec<u64> = std::iter::from_fn(|| load_and_lease(&mut queue)).collect();
    assert_eq!(order, [8, 9, 12, 20]);
    assert_eq!(queue.ack(Position(7)).map(|letter| letter.id), Some(7));
}

#[derive(Debug, Clone)]
enum Act {
    Push { cost: usize, ttl: u64 },
    Commit(usize),
    Chill,
    Load(bool),
    Lease,
    Ack(usize),
    Expire,
    Evict(u64),
    Tick(u64),
}

fn act() -> impl Strategy<Value = Act> {
    prop_oneof![
        6 => (1_usize..5, 1_u64..40).prop_map(|(cost, ttl)| Act::Push { cost, ttl }),
        4 => (0_usize..8).prop_map(Act::Commit),
        3 => Just(Act::Chill),
        3 => any::<bool>().prop_map(Act::Load),
        4 => Just(Act::Lease),
        3 => (0_usize..8).prop_map(Act::Ack),
        1 => Just(Act::Expire),
        1 => (0_u64..40).prop_map(Act::Evict),
        1 => (1_u64..6).prop_map(Act::Tick),
    ]
}

proptest! {
    /// Whatever is in memory and whatever is not: messages are leased in order, each once; each ends as acknowledged,
    /// told to have left, or still there; the sums agree.
    #[test]
    fn every_message_is_accounted_for(acts in proptest::collection::vec(act(), 0..150), messages_max in 2_usize..20) {
        let mut queue = queue(messages_max);
        let (mut now, mut pushed, mut acked) = (0, Vec::<Letter>::new(), 0);
        let mut leased: Vec<Position> = Vec::new();
        let (mut last, mut left) = (None, 0);
        for act in acts {
            match act {
                Act::Push { cost, ttl } => {
                    let letter = letter(pushed.len() as u64, cost, now + ttl);
                    if queue.push(now, letter.clone()).is_ok() {
                        prop_assert_eq!(queue.last_position().0, letter.id);
                        pushed.push(letter);
                    }
                }
                Act::Commit(n) => pushed.iter().filter(|letter| !letter.is_written.get()).take(n).for_each(|letter| {
                    letter.is_written.set(true);
                }),
                Act::Chill => queue.chill(),
                Act::Load(is_sound) => {
                    let next = queue.to_load().next().copied();
                    if let Some(stub) = next {
                        if is_sound {
                            queue.fill(stub.position, pushed[usize::try_from(stub.reference).unwrap()].clone());
                        } else {
                            prop_assert!(queue.lose(stub.position));
                        }
                    }
                }
                Act::Lease => {
                    if let Some((position, letter)) = queue.lease(now) {
                        prop_assert_eq!(position.0, letter.id);
                        prop_assert!(now <= letter.expires_at_ms && last < Some(letter.id), "out of order");
                        last = Some(letter.id);
                        leased.push(position);
                    }
                }
                Act::Ack(n) if n < leased.len() => {
                    prop_assert!(queue.ack(leased.remove(n)).is_some(), "a leased message was lost");
                    acked += 1;
                }
                Act::Ack(_) => {}
                Act::Expire => queue.expire(now),
                Act::Evict(below) => queue.evict_below(below),
                Act::Tick(by) => now += by,
            }
            left += queue.take_left().len();
            prop_assert_eq!(queue.len() + acked + left, pushed.len());
            prop_assert!(queue.len() <= messages_max);
            prop_assert!(leased.iter().all(|position| queue.get(*position).is_some() && *position >= queue.floor()));
            prop_assert_eq!(queue.bytes() == 0, queue.is_empty());
        }
        let there: usize = queue.drain_stored().len() + queue.drain().count();
        prop_assert_eq!(there + acked + left, pushed.len());
    }
}
