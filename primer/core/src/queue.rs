//! A queue in memory with one group and one consumer: what stands behind a session.
//!
//! Messages keep the order in which they were pushed. A consumer leases them one after another and acknowledges each;
//! what it has leased stays until then, over any number of reconnects. The queue is bounded in messages and bytes and
//! trims by its policy, counting what it drops. It knows no clock: the time comes in.

use std::collections::VecDeque;

use crate::commit::{Accepted, Refused};

/// What can stand in a queue.
pub trait Item {
    /// Bytes that the item is charged with.
    fn cost(&self) -> usize;
    /// Deadline in the node's milliseconds; [`crate::message::NEVER_MS`] for none.
    fn expires_at_ms(&self) -> u64;
}

/// What a queue does when it is at its high watermark.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OverflowPolicy {
    /// Trim the oldest messages that nobody has leased, down to the low watermark.
    DropOldest,
    /// Refuse the new message.
    Reject,
}

/// The bounds of a queue.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Bounds {
    /// High watermark in messages.
    pub messages_max: usize,
    /// High watermark in bytes.
    pub bytes_max: usize,
    /// What happens above either.
    pub overflow: OverflowPolicy,
}

impl Bounds {
    /// The low watermark of a high one: trimming goes down to nine tenths, so that it is not run for each message.
    const fn low(high: usize) -> usize {
        high - high / 10
    }
}

/// The place of a message in its queue: ascending, never used twice.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Position(pub u64);

/// Messages that left the queue without a delivery, by reason, since they were last taken.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Dropped {
    /// Their deadline passed.
    pub expired: u64,
    /// They were trimmed at the high watermark.
    pub overflow: u64,
    /// They were refused at the high watermark.
    pub refused: u64,
}

/// A bounded queue. See the module's description.
///
/// Invariants: `head <= next <= head + entries.len()`; the front entry is never empty; `count` and `bytes` are the
/// sums over the entries that are present.
#[derive(Debug)]
pub struct Queue<T> {
    /// `None` where the message is acknowledged or dropped.
    entries: VecDeque<Option<T>>,
    /// Position of `entries[0]`.
    head: u64,
    /// Position of the first message that has not been leased.
    next: u64,
    count: usize,
    bytes: usize,
    bounds: Bounds,
    dropped: Dropped,
}

impl<T: Item> Queue<T> {
    /// An empty queue.
    #[must_use]
    pub const fn new(bounds: Bounds) -> Self {
        let dropped = Dropped { expired: 0, overflow: 0, refused: 0 };
        Self { entries: VecDeque::new(), head: 0, next: 0, count: 0, bytes: 0, bounds, dropped }
    }

    /// Proof that the queue stands and keeps what it promises: what the opening of a session is committed under.
    pub fn confirm(&self) -> Accepted {
        Accepted::new()
    }

    /// Appends a message.
    ///
    /// # Errors
    /// [`Refused::QueueFull`] when the queue is at its high watermark and its policy is to reject, or everything in
    /// it is leased. The queue is as before.
    pub fn push(&mut self, now_ms: u64, item: T) -> Result<Accepted, Refused> {
        let cost = item.cost();
        if self.is_above(self.bounds.messages_max, self.bounds.bytes_max, 1, cost) {
            self.make_room(now_ms, cost);
            if self.is_above(self.bounds.messages_max, self.bounds.bytes_max, 1, cost) {
                self.dropped.refused += 1;
                return Err(Refused::QueueFull);
            }
        }
        self.entries.push_back(Some(item));
        self.count += 1;
        self.bytes += cost;
        Ok(Accepted::new())
    }

    /// Leases the oldest message that is neither leased nor expired.
    pub fn lease(&mut self, now_ms: u64) -> Option<(Position, &T)> {
        loop {
            let index = self.index(self.next)?;
            let expired = match self.entries.get(index)? {
                Some(item) => now_ms > item.expires_at_ms(),
                None => false,
            };
            if expired {
                self.take(index);
                self.dropped.expired += 1;
            }
            let position = Position(self.next);
            self.next += 1;
            if self.entries.get(index)?.is_some() {
                return Some((position, self.entries.get(index)?.as_ref()?));
            }
            self.pop_gone();
        }
    }

    /// The message at a position, while it is there.
    #[must_use]
    pub fn get(&self, position: Position) -> Option<&T> {
        self.entries.get(self.index(position.0)?)?.as_ref()
    }

    /// The consumer is done with the message: it goes. `None` when it had gone before.
    pub fn ack(&mut self, position: Position) -> Option<T> {
        let item = self.take(self.index(position.0)?);
        self.pop_gone();
        item
    }

    /// Gives back the newest lease, for a consumer that could not take the message after all.
    pub fn unlease(&mut self, position: Position) {
        if position.0 + 1 == self.next && position.0 >= self.head {
            self.next = position.0;
        }
    }

    /// Drops what has expired among the messages that nobody has leased.
    pub fn expire(&mut self, now_ms: u64) {
        let leased = self.leased_len();
        for index in leased..self.entries.len() {
            if self.entries.get(index).is_some_and(|e| e.as_ref().is_some_and(|i| now_ms > i.expires_at_ms())) {
                self.take(index);
                self.dropped.expired += 1;
            }
        }
        self.pop_gone();
    }

    /// Changes each leased message in place, as [`crate::message::Message::compact`] does when a connection ends.
    pub fn for_each_leased(&mut self, change: impl FnMut(&mut T)) {
        let leased = self.leased_len();
        self.entries.iter_mut().take(leased).flatten().for_each(change);
    }

    /// Empties the queue and hands out what was in it, oldest first.
    pub fn drain(&mut self) -> impl Iterator<Item = T> {
        self.head += self.entries.len() as u64;
        self.next = self.head;
        self.count = 0;
        self.bytes = 0;
        std::mem::take(&mut self.entries).into_iter().flatten()
    }

    /// What was dropped since the last call.
    pub fn take_dropped(&mut self) -> Dropped {
        std::mem::take(&mut self.dropped)
    }

    /// Messages in the queue, leased ones included.
    #[must_use]
    pub const fn len(&self) -> usize {
        self.count
    }

    /// Whether nothing is in the queue.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// Bytes in the queue, leased messages included.
    #[must_use]
    pub const fn bytes(&self) -> usize {
        self.bytes
    }

    /// Whether a message waits to be leased.
    #[must_use]
    pub fn has_ready(&self) -> bool {
        self.leased_len() < self.entries.len()
    }

    fn is_above(&self, messages_max: usize, bytes_max: usize, messages: usize, bytes: usize) -> bool {
        self.count + messages > messages_max || self.bytes + bytes > bytes_max
    }

    /// Trims in the order of the promise: expired messages first, then, if the policy says so, the oldest ones.
    fn make_room(&mut self, now_ms: u64, cost: usize) {
        self.expire(now_ms);
        let Bounds { messages_max, bytes_max, overflow } = self.bounds;
        if overflow == OverflowPolicy::Reject || !self.is_above(messages_max, bytes_max, 1, cost) {
            return;
        }
        let (messages_low, bytes_low) = (Bounds::low(messages_max), Bounds::low(bytes_max));
        let mut index = self.leased_len();
        while index < self.entries.len() && self.is_above(messages_low, bytes_low, 1, cost) {
            if self.take(index).is_some() {
                self.dropped.overflow += 1;
            }
            index += 1;
        }
        self.next = self.head + index as u64;
        self.pop_gone();
        if self.entries.is_empty() && self.entries.capacity() > 64 {
            self.entries = VecDeque::new();
        }
    }

    fn take(&mut self, index: usize) -> Option<T> {
        let item = self.entries.get_mut(index)?.take()?;
        self.count -= 1;
        self.bytes -= item.cost();
        Some(item)
    }

    fn pop_gone(&mut self) {
        while let Some(None) = self.entries.front() {
            self.entries.pop_front();
            self.head += 1;
        }
        self.next = self.next.max(self.head);
        if self.entries.is_empty() && self.entries.capacity() > 64 {
            self.entries = VecDeque::new();
        }
    }

    fn leased_len(&self) -> usize {
        usize::try_from(self.next - self.head).unwrap_or(usize::MAX)
    }

    fn index(&self, position: u64) -> Option<usize> {
        usize::try_from(position.checked_sub(self.head)?).ok()
    }
}

#[cfg(test)]
mod tests;
