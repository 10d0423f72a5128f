use proptest::prelude::*;

use super::*;

#[derive(Debug, Clone, PartialEq)]
struct Job {
    id: u32,
    cost: usize,
    expires_at_ms: u64,
}

impl Item for Job {
    fn cost(&self) -> usize {
        self.cost
    }
    fn expires_at_ms(&self) -> u64 {
        self.expires_at_ms
    }
}

fn job(id: u32) -> Job {
    Job { id, cost: 1, expires_at_ms: u64::MAX }
}

fn queue(messages_max: usize, overflow: OverflowPolicy) -> Backlog<Job> {
    Backlog::new(Bounds { messages_max, bytes_max: usize::MAX, overflow })
}

#[test]
fn a_leased_message_stays_until_it_is_acknowledged() {
    let mut queue = queue(10, OverflowPolicy::Reject);
    for id in 0..3 {
        let _accepted = queue.push(0, job(id)).unwrap();
    }
    let (first, _) = queue.lease(0).unwrap();
    let (second, _) = queue.lease(0).unwrap();
    assert_eq!(queue.ack(second).unwrap().id, 1, "out of order");
    assert_eq!(queue.get(first).unwrap().id, 0);
    assert_eq!(queue.len(), 2);
    assert_eq!(queue.ack(first).unwrap().id, 0);
    assert_eq!(queue.ack(first), None);
    assert_eq!(queue.lease(0).unwrap().1.id, 2);
    assert!(queue.lease(0).is_none());
}

#[test]
fn a_full_queue_that_rejects_keeps_what_it_has() {
    let mut queue = queue(2, OverflowPolicy::Reject);
    let _ = (queue.push(0, job(0)).unwrap(), queue.push(0, job(1)).unwrap());
    assert_eq!(queue.push(0, job(2)).unwrap_err(), Refused::QueueFull);
    assert_eq!(queue.lease(0).unwrap().1.id, 0);
    assert_eq!(queue.take_dropped(), Dropped { refused: 1, ..Dropped::default() });
}

#[test]
fn a_full_queue_that_drops_the_oldest_never_drops_a_leased_one() {
    let mut queue = queue(3, OverflowPolicy::DropOldest);
    for id in 0..3 {
        let _accepted = queue.push(0, job(id)).unwrap();
    }
    let (leased, _) = queue.lease(0).unwrap();
    let _accepted = queue.push(0, job(3)).unwrap();
    assert_eq!(queue.get(leased).unwrap().id, 0);
    assert_eq!(queue.lease(0).unwrap().1.id, 2);
    assert_eq!(queue.take_dropped().overflow, 1);
}

#[test]
fn expired_messages_make_room_before_live_ones_are_trimmed() {
    let mut queue = queue(3, OverflowPolicy::DropOldest);
    let _ = queue.push(0, job(0)).unwrap();
    let _ = queue.push(0, Job { expires_at_ms: 5, ..job(1) }).unwrap();
    let _ = queue.push(0, job(2)).unwrap();
    let _ = queue.push(10, job(3)).unwrap();
    assert_eq!(queue.take_dropped(), Dropped { expired: 1, ..Dropped::default() });
    let order: Vec<u32> = queue.drain().map(|job| job.id).collect();
    assert_eq!(order, [0, 2, 3]);
}

#[test]
fn an_item_larger_than_the_queue_is_refused_and_leaves_the_rest() {
    let mut queue = Backlog::new(Bounds { messages_max: 9, bytes_max: 10, overflow: OverflowPolicy::Reject });
    let _ = queue.push(0, job(0)).unwrap();
    assert!(queue.push(0, Job { cost: 11, ..job(1) }).is_err());
    assert_eq!(queue.len(), 1);
}

/// A consumer that never acknowledged one message and all others made the queue grow by an entry a message, unseen by
/// every bound.
#[test]
fn one_message_that_is_never_acknowledged_costs_one_entry() {
    let mut queue = queue(10, OverflowPolicy::Reject);
    let _accepted = queue.push(0, job(0)).unwrap();
    queue.lease(0).unwrap();
    for id in 1..100_000 {
        let _accepted = queue.push(0, job(id)).unwrap();
        let (position, _) = queue.lease(0).unwrap();
        queue.ack(position).unwrap();
    }
    assert!(queue.entries.len() <= 3 + GAPS_MAX && queue.entries.capacity() < 1024, "{}", queue.entries.len());
    assert_eq!(queue.get(Position(0)).unwrap().id, 0);
}

/// What had expired behind the newest lease does not keep that lease from being given back.
#[test]
fn a_lease_is_given_back_over_what_has_expired_behind_it() {
    let mut queue = queue(10, OverflowPolicy::Reject);
    let _ = (queue.push(0, job(0)).unwrap(), queue.push(0, Job { expires_at_ms: 5, ..job(1) }).unwrap());
    let (first, _) = queue.lease(0).unwrap();
    assert!(queue.lease(6).is_none());
    queue.unlease(first);
    assert_eq!((queue.len(), queue.has_ready(), queue.get(first)), (1, true, None));
    let _ = queue.push(6, job(2)).unwrap();
    let order: Vec<u32> = std::iter::from_fn(|| queue.lease(6).map(|(_, job)| job.id)).collect();
    assert_eq!(order, [0, 2]);
}

/// Out of order acknowledgements in front of a long backlog, and trimming behind leased messages: the backlog stays as
/// it is, in order.
#[test]
fn a_backlog_behind_leased_messages_keeps_its_order() {
    let mut queue = queue(10_000, OverflowPolicy::DropOldest);
    for id in 0..10_000 {
        let _accepted = queue.push(0, job(id)).unwrap();
    }
    let leased: Vec<Position> = (0..500).map(|_| queue.lease(0).unwrap().0).collect();
    leased.iter().rev().take(499).for_each(|position| assert!(queue.ack(*position).is_some()));
    assert!(queue.leased_entries <= 3 + GAPS_MAX, "{}", queue.leased_entries);
    assert_eq!((queue.len(), queue.lease(0).unwrap().1.id), (9_501, 500));
    for id in 10_000..10_600 {
        let _accepted = queue.push(0, job(id)).unwrap();
    }
    let dropped = u32::try_from(queue.take_dropped().overflow).unwrap();
    assert!(dropped >= 101, "{dropped}");
    let order: Vec<u32> = queue.drain().map(|job| job.id).collect();
    let expected: Vec<u32> = [0, 500].into_iter().chain(501 + dropped..10_600).collect();
    assert_eq!(order, expected);
}

/// A message too large for the queue used to empty it before it was refused.
#[test]
fn a_message_that_cannot_fit_trims_nothing() {
    let mut queue = Backlog::new(Bounds { messages_max: 9, bytes_max: 10, overflow: OverflowPolicy::DropOldest });
    for id in 0..5 {
        let _accepted = queue.push(0, job(id)).unwrap();
    }
    assert!(queue.push(0, Job { cost: 11, ..job(9) }).is_err());
    assert_eq!((queue.len(), queue.take_dropped().overflow), (5, 0));
}

#[derive(Debug, Clone)]
enum Act {
    Push { cost: usize, ttl: u64 },
    Lease,
    Ack(usize),
    Unlease,
    Expire,
    Tick(u64),
}

fn act() -> impl Strategy<Value = Act> {
    prop_oneof![
        4 => (1_usize..5, 0_u64..20).prop_map(|(cost, ttl)| Act::Push { cost, ttl }),
        3 => Just(Act::Lease),
        3 => (0_usize..8).prop_map(Act::Ack),
        1 => Just(Act::Unlease),
        1 => Just(Act::Expire),
        1 => (1_u64..6).prop_map(Act::Tick),
    ]
}

proptest! {
    /// Against a list of what was pushed: each message ends as acknowledged, dropped and counted, or still there;
    /// leases come in order; the sums agree.
    #[test]
    fn every_message_is_accounted_for(
        acts in proptest::collection::vec(act(), 0..120),
        messages_max in 1_usize..8,
        bytes_max in 4_usize..24,
        reject in any::<bool>(),
    ) {
        let overflow = if reject { OverflowPolicy::Reject } else { OverflowPolicy::DropOldest };
        let mut queue = Backlog::new(Bounds { messages_max, bytes_max, overflow });
        let (mut now, mut pushed, mut acked, mut dropped) = (0, 0_u32, 0_usize, Dropped::default());
        let mut leased: Vec<Position> = Vec::new();
        let mut last_leased = None;
        for act in acts {
            match act {
                Act::Push { cost, ttl } => {
                    if queue.push(now, Job { id: pushed, cost, expires_at_ms: now + ttl }).is_ok() {
                        pushed += 1;
                    }
                }
                Act::Lease => {
                    if let Some((position, job)) = queue.lease(now) {
                        prop_assert!(now <= job.expires_at_ms);
                        prop_assert!(last_leased < Some(job.id), "out of order");
                        last_leased = Some(job.id);
                        leased.push(position);
                    }
                }
                Act::Ack(n) if n < leased.len() => {
                    prop_assert!(queue.ack(leased.remove(n)).is_some(), "a leased message was lost");
                    acked += 1;
                }
                Act::Unlease => {
                    if let Some(position) = leased.pop() {
                        let newest = queue.newest_leased().and_then(|index| queue.entries.get(index));
                        let was_next = newest.is_some_and(|entry| entry.position == position.0);
                        queue.unlease(position);
                        if was_next {
                            let next = queue.entries.get(queue.leased_entries).and_then(|entry| entry.item.as_ref());
                            last_leased = next.and_then(|job| job.id.checked_sub(1));
                        } else {
                            leased.push(position);
                        }
                    }
                }
                Act::Ack(_) => {}
                Act::Expire => queue.expire(now),
                Act::Tick(by) => now += by,
            }
            let more = queue.take_dropped();
            dropped.expired += more.expired;
            dropped.overflow += more.overflow;
            prop_assert!(queue.len() <= messages_max && queue.bytes() <= bytes_max);
            prop_assert!(leased.iter().all(|position| queue.get(*position).is_some()));
            let gone = acked + usize::try_from(dropped.expired + dropped.overflow).unwrap();
            prop_assert_eq!(queue.len() + gone, pushed as usize);
            let sum: usize = queue.entries.iter().filter_map(|entry| entry.item.as_ref()).map(|job| job.cost).sum();
            prop_assert_eq!(queue.bytes(), sum);
            prop_assert!(queue.entries.front().is_none_or(|entry| entry.item.is_some()), "a gap stays at the front");
            prop_assert!(queue.entries.iter().skip(queue.leased_entries).all(|entry| entry.item.is_some()));
        }
    }
}
