//! What goes without a consumer's word: expired, trimmed, evicted, purged messages. What a consumer has stays.

use super::{Content, Death, Entry, Event, Fate, Overflow, Position, Queue, line::Line};
use crate::{backlog::Left, limits::EXPIRY_SEEN_PER_MS};

impl<T: Content> Queue<T> {
    pub(super) const fn has_room(&self, cost: usize) -> bool {
        self.len < self.terms.messages_max && self.bytes + cost <= self.terms.bytes_max
    }

    /// Trims in the order of the promise: expired messages first, then, if the policy says so, the oldest ones of the
    /// lowest priority, down to the low watermark, which is nine tenths of the high one. Answers whether a message of
    /// `cost` bytes fits now.
    pub(super) fn make_room(&mut self, now_ms: u64, cost: usize) -> bool {
        let fate = match self.terms.overflow {
            Overflow::Reject => {
                self.expire(now_ms);
                return self.has_room(cost);
            }
            Overflow::DropOldest => Fate::Trimmed,
            Overflow::DeadLetter => Fate::Dead(Death::Overflow),
        };
        if now_ms > self.soonest_expiry_ms {
            self.expire_all(now_ms);
        }
        if self.has_room(cost) || !self.could_have_room(cost) {
            return self.has_room(cost);
        }
        let messages_low = self.terms.messages_max - self.terms.messages_max / 10;
        let bytes_low = self.terms.bytes_max - self.terms.bytes_max / 10;
        for line in (0..self.lines.len()).rev() {
            let mut after = 0;
            while self.len >= messages_low || self.bytes + cost > bytes_low {
                let Some(position) = self.next_trimmable(line, after) else { break };
                after = position + 1;
                self.end(position, fate);
            }
        }
        self.has_room(cost)
    }

    /// Whether a message of `cost` bytes would fit if all that nobody has were trimmed: if not, nothing is.
    fn could_have_room(&self, cost: usize) -> bool {
        let groups = self.groups.iter().flatten();
        let mut leased: Vec<u64> = groups.flat_map(|group| group.leases.positions()).collect();
        leased.sort_unstable();
        leased.dedup();
        let costs = leased.iter().filter_map(|position| Some(self.find(*position)?.1.cost as usize));
        let (messages, bytes) = costs.fold((0, 0), |(messages, bytes), cost| (messages + 1, bytes + cost));
        messages < self.terms.messages_max && bytes + cost <= self.terms.bytes_max
    }

    /// The first message of a line, at or behind a position, that no consumer has.
    fn next_trimmable(&self, line: usize, after: u64) -> Option<u64> {
        let line = self.lines.get(line)?;
        let mut index = line.index(after);
        while let Some(entry) = line.at(index) {
            if !entry.is_gone() && !self.is_leased(entry.position) {
                return Some(entry.position);
            }
            index += 1;
        }
        None
    }

    /// Drops what has expired and nobody has. Looks at the messages only when one may have, and at those of a long
    /// queue not more often than that is a small part of the time; nothing is delivered late for that.
    pub fn expire(&mut self, now_ms: u64) {
        if self.next_expiry_ms().is_some_and(|at_ms| now_ms >= at_ms) {
            self.expire_all(now_ms);
        }
    }

    /// When it is time to look for expired messages.
    pub(super) fn next_expiry_ms(&self) -> Option<u64> {
        let soonest_ms = self.soonest_expiry_ms.checked_add(1)?;
        Some(soonest_ms.max(self.expiry_rest_ms))
    }

    fn expire_all(&mut self, now_ms: u64) {
        let (mut expired, mut seen, mut soonest_ms) = (Vec::new(), 0, u64::MAX);
        for entry in self.lines.iter().flat_map(Line::iter).filter(|entry| !entry.is_gone()) {
            seen += 1;
            if now_ms > entry.expires_at_ms {
                expired.push(entry.position);
            } else {
                soonest_ms = soonest_ms.min(entry.expires_at_ms);
            }
        }
        // What is leased and has expired ends with its lease, or is seen when it is returned.
        self.soonest_expiry_ms = soonest_ms;
        self.expiry_rest_ms = now_ms.saturating_add(seen / EXPIRY_SEEN_PER_MS);
        for position in expired {
            if !self.is_leased(position) {
                self.end(position, Fate::Expired);
            }
        }
    }

    /// Drops what the store keeps before `reference`, and no consumer has.
    pub fn evict_below(&mut self, reference: u64) {
        if self.terms.overflow == Overflow::Reject {
            return; // what it has taken in it keeps: new messages are refused
        }
        let old = self.positions(|entry| entry.stub().is_some_and(|stub| stub.reference < reference));
        for position in old {
            if !self.is_leased(position) {
                self.end(position, Fate::Evicted);
            }
        }
    }

    /// Takes out everything that no consumer has; answers how much that was.
    pub fn purge(&mut self) -> usize {
        let before = self.len;
        for position in self.positions(|_| true) {
            if !self.is_leased(position) {
                self.end(position, Fate::Removed);
            }
        }
        before - self.len
    }

    /// Takes one message out that no consumer has; answers what it was.
    pub fn remove_one(&mut self, position: Position) -> Option<Left<T>> {
        if self.is_leased(position.0) {
            return None;
        }
        let (_, entry) = self.find(position.0)?;
        let left = entry.left();
        self.end(position.0, Fate::Removed);
        left
    }

    /// A new group wants everything that is here; answers how much that is.
    pub(super) fn want_all(&mut self, slot: usize) -> usize {
        self.each_entry(|entry| entry.wanted |= 1 << slot);
        self.len
    }

    /// The first group wants nothing of what is here: it is gone.
    pub(super) fn drop_unwanted(&mut self) {
        for position in self.positions(|entry| entry.wanted == 0) {
            self.end(position, Fate::Removed);
        }
    }

    pub(super) fn each_entry(&mut self, mut change: impl FnMut(&mut Entry<T>)) {
        self.lines.iter_mut().flat_map(Line::iter_mut).filter(|entry| !entry.is_gone()).for_each(&mut change);
    }

    /// The positions of the messages that are so.
    pub(super) fn positions(&self, mut is: impl FnMut(&Entry<T>) -> bool) -> Vec<u64> {
        let all = self.lines.iter().flat_map(Line::iter);
        all.filter(|entry| !entry.is_gone() && is(entry)).map(|entry| entry.position).collect()
    }

    /// The owner has no use for events of a kind: for a queue in memory, acknowledgements are none.
    pub fn drop_acked_events(&mut self) {
        self.events.retain(|event| {
            !matches!(event, Event::Gone { fate: Fate::Acked, .. } | Event::Done { fate: Fate::Acked, .. })
        });
    }
}
