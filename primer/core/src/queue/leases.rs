//! What the consumers of a group have, and when each lease ends.

use std::collections::{BTreeSet, VecDeque};

use foldhash::fast::FixedState;
use hashbrown::{HashMap, hash_map::Entry};

use super::{ConsumerId, LeaseId};

/// Ends that may be noted beyond two a lease before the dead ones are swept out.
const DEAD_ENDS_MAX: usize = 256;

#[derive(Debug)]
pub(super) struct Lease {
    pub(super) id: LeaseId,
    pub(super) consumer: ConsumerId,
    /// `u64::MAX`: as long as the consumer is there.
    pub(super) deadline_ms: u64,
    pub(super) attempt: u32,
    pub(super) key: Option<u64>,
}

#[derive(Debug)]
struct Held {
    lease: Lease,
    /// The time for which its end is noted: its deadline, or earlier if that was put off since.
    noted_ms: u64,
}

/// A time, a position and the lease that it had.
type End = (u64, u64, LeaseId);

/// Leases by position. Their ends are noted once each and lazily: one that was settled leaves a dead end behind, one
/// that was extended is noted anew when its old end comes. Invariant: of a lease that has an end one note is live.
#[derive(Debug, Default)]
pub(super) struct Leases {
    held: HashMap<u64, Held, FixedState>,
    /// Ends, as long as each is no earlier than the one before: with one lease time for all that is all of them.
    in_order: VecDeque<End>,
    /// Those that do not fit into the order.
    others: BTreeSet<End>,
}

impl Leases {
    pub(super) fn len(&self) -> usize {
        self.held.len()
    }

    #[cfg(test)]
    pub(super) fn get(&self, position: u64) -> Option<&Lease> {
        self.held.get(&position).map(|held| &held.lease)
    }

    pub(super) fn contains(&self, position: u64) -> bool {
        self.held.contains_key(&position)
    }

    pub(super) fn positions(&self) -> impl Iterator<Item = u64> {
        self.held.keys().copied()
    }

    pub(super) fn insert(&mut self, position: u64, lease: Lease) {
        let (id, noted_ms) = (lease.id, lease.deadline_ms);
        self.held.insert(position, Held { lease, noted_ms });
        if noted_ms != u64::MAX {
            self.note((noted_ms, position, id));
        }
    }

    /// Takes a lease out, or answers which other one there is at this position.
    pub(super) fn take(&mut self, position: u64, id: LeaseId) -> Result<Lease, Option<LeaseId>> {
        let Entry::Occupied(held) = self.held.entry(position) else { return Err(None) };
        if held.get().lease.id != id {
            return Err(Some(held.get().lease.id));
        }
        let lease = held.remove().lease;
        self.drop_ends_when_idle();
        Ok(lease)
    }

    pub(super) fn remove(&mut self, position: u64) -> Option<Lease> {
        let held = self.held.remove(&position)?;
        self.drop_ends_when_idle();
        Some(held.lease)
    }

    /// Takes out what one consumer has, newest first.
    pub(super) fn remove_of(&mut self, consumer: ConsumerId) -> Vec<(u64, Lease)> {
        let its = self.held.extract_if(|_, held| held.lease.consumer == consumer);
        let mut its: Vec<(u64, Lease)> = its.map(|(position, held)| (position, held.lease)).collect();
        self.drop_ends_when_idle();
        its.sort_unstable_by_key(|(position, _)| std::cmp::Reverse(*position));
        its
    }

    /// Gives a lease another end; `false` when it is over. One without an end keeps none.
    pub(super) fn extend(&mut self, position: u64, id: LeaseId, deadline_ms: u64) -> bool {
        let Some(held) = self.held.get_mut(&position).filter(|held| held.lease.id == id) else { return false };
        if held.lease.deadline_ms == u64::MAX {
            return true;
        }
        held.lease.deadline_ms = deadline_ms;
        if deadline_ms < held.noted_ms {
            held.noted_ms = deadline_ms;
            self.note((deadline_ms, position, id));
        }
        true
    }

    /// Takes out the next lease that is over at `now_ms`.
    pub(super) fn pop_over(&mut self, now_ms: u64) -> Option<(u64, Lease)> {
        loop {
            let end @ (_, position, id) = self.pop_end(now_ms)?;
            let Some(held) = self.held.get_mut(&position).filter(|held| is_noted(held, &end)) else { continue };
            let deadline_ms = held.lease.deadline_ms;
            if deadline_ms <= now_ms {
                return self.remove(position).map(|lease| (position, lease));
            }
            held.noted_ms = deadline_ms;
            if deadline_ms != u64::MAX {
                self.note((deadline_ms, position, id));
            }
        }
    }

    /// Gives back memory that an idle group does not need.
    pub(super) fn give_back(&mut self) {
        if self.held.is_empty() {
            *self = Self::default();
        }
    }

    /// No lease is over before.
    pub(super) fn next_deadline_ms(&self) -> Option<u64> {
        let first = self.in_order.front().into_iter().chain(self.others.first());
        first.map(|(at_ms, ..)| *at_ms).min()
    }

    /// Without leases all ends are dead: a queue that has become idle is not woken for them.
    fn drop_ends_when_idle(&mut self) {
        if self.held.is_empty() {
            self.in_order.clear();
            self.others.clear();
        }
    }

    fn pop_end(&mut self, now_ms: u64) -> Option<End> {
        if let Some(end) = self.in_order.pop_front_if(|(at_ms, ..)| *at_ms <= now_ms) {
            return Some(end);
        }
        self.others.first().is_some_and(|(at_ms, ..)| *at_ms <= now_ms).then(|| self.others.pop_first())?
    }

    fn note(&mut self, end: End) {
        // A dead end at the back would send every shorter lease that follows to the set.
        let held = &self.held;
        let is_live = |end: &End| held.get(&end.1).is_some_and(|held| is_noted(held, end));
        while self.in_order.pop_back_if(|last| last.0 > end.0 && !is_live(last)).is_some() {}
        if self.in_order.back().is_some_and(|last| last.0 > end.0) {
            self.others.insert(end);
        } else {
            self.in_order.push_back(end);
        }
        if self.in_order.len() + self.others.len() > 2 * held.len() + DEAD_ENDS_MAX {
            self.in_order.retain(is_live);
            self.others.retain(is_live);
        }
    }

    /// Bytes of memory that they take.
    #[cfg(test)]
    pub(super) fn memory(&self) -> usize {
        let ends = self.in_order.capacity() + self.others.len();
        self.held.allocation_size() + ends * size_of::<End>()
    }

    /// Ends that are noted, dead ones included.
    #[cfg(test)]
    pub(super) fn ends(&self) -> usize {
        self.in_order.len() + self.others.len()
    }
}

fn is_noted(held: &Held, end: &End) -> bool {
    held.lease.id == end.2 && held.noted_ms == end.0
}
