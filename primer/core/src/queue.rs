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

/// A message that has been given to the consumer.
#[derive(Debug)]
struct Leased<T> {
    position: u64,
    /// `None` once it is acknowledged; the entry goes when it comes to the front, or is swept out.
    item: Option<T>,
}

/// Acknowledged entries that may stand between leased ones before they are swept out.
const GAPS_MAX: usize = 64;

/// A bounded queue. See the module's description.
///
/// Invariants: positions ascend through `leased` and on through `ready`; the front of `leased` is not acknowledged;
/// the counts and sums are those of the messages that are present. Memory follows the messages that are present, not
/// the distance between them.
#[derive(Debug)]
pub struct Queue<T> {
    leased: VecDeque<Leased<T>>,
    /// Messages that wait, with their positions.
    ready: VecDeque<(u64, T)>,
    /// The position of the next push.
    next: u64,
    leased_count: usize,
    leased_bytes: usize,
    ready_bytes: usize,
    /// No message in `ready` expires before.
    soonest_expiry_ms: u64,
    bounds: Bounds,
    dropped: Dropped,
}

impl<T: Item> Queue<T> {
    /// An empty queue.
    #[must_use]
    pub const fn new(bounds: Bounds) -> Self {
        Self {
            leased: VecDeque::new(),
            ready: VecDeque::new(),
            next: 0,
            leased_count: 0,
            leased_bytes: 0,
            ready_bytes: 0,
            soonest_expiry_ms: u64::MAX,
            bounds,
            dropped: Dropped { expired: 0, overflow: 0, refused: 0 },
        }
    }

    /// Proof that the queue stands and keeps what it promises: what the opening of a session is committed under.
    pub fn confirm(&self) -> Accepted {
        Accepted::new()
    }

    /// Appends a message.
    ///
    /// # Errors
    /// [`Refused::QueueFull`] when the queue is at its high watermark and its policy is to reject, or the message does
    /// not fit beside what is leased. Nothing but expired messages has been dropped then.
    pub fn push(&mut self, now_ms: u64, item: T) -> Result<Accepted, Refused> {
        let cost = item.cost();
        if !self.has_room(cost) && !self.make_room(now_ms, cost) {
            self.dropped.refused += 1;
            return Err(Refused::QueueFull);
        }
        self.soonest_expiry_ms = self.soonest_expiry_ms.min(item.expires_at_ms());
        self.ready.push_back((self.next, item));
        self.next += 1;
        self.ready_bytes += cost;
        Ok(Accepted::new())
    }

    /// Leases the oldest message that is neither leased nor expired.
    pub fn lease(&mut self, now_ms: u64) -> Option<(Position, &T)> {
        loop {
            let (position, item) = self.ready.pop_front()?;
            let cost = item.cost();
            self.ready_bytes -= cost;
            if now_ms > item.expires_at_ms() {
                self.dropped.expired += 1;
                continue;
            }
            self.leased_bytes += cost;
            self.leased_count += 1;
            self.leased.push_back(Leased { position, item: Some(item) });
            give_back(&mut self.ready, BUSY_CAPACITY_MAX);
            return Some((Position(position), self.leased.back()?.item.as_ref()?));
        }
    }

    /// A leased message, by its position.
    #[must_use]
    pub fn get(&self, position: Position) -> Option<&T> {
        self.leased.get(self.find(position)?)?.item.as_ref()
    }

    /// The consumer is done with a leased message: it goes. `None` when it had gone before.
    pub fn ack(&mut self, position: Position) -> Option<T> {
        let index = self.find(position)?;
        let item = self.leased.get_mut(index)?.item.take()?;
        self.leased_count -= 1;
        self.leased_bytes -= item.cost();
        while self.leased.front().is_some_and(|entry| entry.item.is_none()) {
            self.leased.pop_front();
        }
        if self.leased.len() > 2 * self.leased_count + GAPS_MAX {
            self.leased.retain(|entry| entry.item.is_some());
        }
        give_back(&mut self.leased, BUSY_CAPACITY_MAX);
        Some(item)
    }

    /// Gives back the newest lease, for a consumer that could not take the message after all.
    pub fn unlease(&mut self, position: Position) {
        if self.leased.back().is_none_or(|entry| entry.position != position.0) {
            return;
        }
        if let Some(Leased { position, item: Some(item) }) = self.leased.pop_back() {
            self.leased_count -= 1;
            self.leased_bytes -= item.cost();
            self.ready_bytes += item.cost();
            self.soonest_expiry_ms = self.soonest_expiry_ms.min(item.expires_at_ms());
            self.ready.push_front((position, item));
        }
    }

    /// Drops what has expired among the messages that nobody has leased. Looks at them only when one may have.
    pub fn expire(&mut self, now_ms: u64) {
        if now_ms <= self.soonest_expiry_ms {
            return;
        }
        let (before, mut bytes, mut soonest) = (self.ready.len(), 0, u64::MAX);
        self.ready.retain(|(_, item)| {
            let stays = now_ms <= item.expires_at_ms();
            if stays {
                soonest = soonest.min(item.expires_at_ms());
            } else {
                bytes += item.cost();
            }
            stays
        });
        self.soonest_expiry_ms = soonest;
        self.ready_bytes -= bytes;
        self.dropped.expired += (before - self.ready.len()) as u64;
        give_back(&mut self.ready, BUSY_CAPACITY_MAX);
    }

    /// Changes each leased message in place, as [`crate::message::Message::compact`] does when a connection ends.
    pub fn for_each_leased(&mut self, change: impl FnMut(&mut T)) {
        self.leased.iter_mut().filter_map(|entry| entry.item.as_mut()).for_each(change);
    }

    /// Empties the queue and hands out what was in it, oldest first.
    pub fn drain(&mut self) -> impl Iterator<Item = T> {
        (self.leased_count, self.leased_bytes, self.ready_bytes) = (0, 0, 0);
        let leased = std::mem::take(&mut self.leased).into_iter().filter_map(|entry| entry.item);
        leased.chain(std::mem::take(&mut self.ready).into_iter().map(|(_, item)| item))
    }

    /// Gives back memory that a busy queue has used and an idle one does not need. Called now and then, not with every
    /// message: a queue that empties and fills would pay for it each time.
    pub fn give_back(&mut self) {
        give_back(&mut self.ready, IDLE_CAPACITY_MAX);
        give_back(&mut self.leased, IDLE_CAPACITY_MAX);
    }

    /// What was dropped since the last call.
    pub fn take_dropped(&mut self) -> Dropped {
        std::mem::take(&mut self.dropped)
    }

    /// Messages in the queue, leased ones included.
    #[must_use]
    pub fn len(&self) -> usize {
        self.leased_count + self.ready.len()
    }

    /// Whether nothing is in the queue.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Bytes in the queue, leased messages included.
    #[must_use]
    pub const fn bytes(&self) -> usize {
        self.leased_bytes + self.ready_bytes
    }

    /// Whether a message waits to be leased.
    #[must_use]
    pub fn has_ready(&self) -> bool {
        !self.ready.is_empty()
    }

    fn has_room(&self, cost: usize) -> bool {
        self.len() < self.bounds.messages_max && self.bytes() + cost <= self.bounds.bytes_max
    }

    /// Trims in the order of the promise: expired messages first, then, if the policy says so, the oldest ones, down
    /// to the low watermark. Answers whether a message of `cost` bytes fits now.
    fn make_room(&mut self, now_ms: u64, cost: usize) -> bool {
        self.expire(now_ms);
        let Bounds { messages_max, bytes_max, overflow } = self.bounds;
        let fits_beside_leased = self.leased_count < messages_max && self.leased_bytes + cost <= bytes_max;
        if self.has_room(cost) || overflow == OverflowPolicy::Reject || !fits_beside_leased {
            return self.has_room(cost);
        }
        let (messages_low, bytes_low) = (Bounds::low(messages_max), Bounds::low(bytes_max));
        while self.len() + 1 > messages_low || self.bytes() + cost > bytes_low {
            let Some((_, item)) = self.ready.pop_front() else { break };
            self.ready_bytes -= item.cost();
            self.dropped.overflow += 1;
        }
        give_back(&mut self.ready, BUSY_CAPACITY_MAX);
        self.has_room(cost)
    }

    fn find(&self, position: Position) -> Option<usize> {
        let front = self.leased.front()?.position;
        // Without gaps the distance is the index; with gaps it is at or before it.
        let guess = usize::try_from(position.0.checked_sub(front)?).unwrap_or(usize::MAX);
        if self.leased.get(guess).is_some_and(|entry| entry.position == position.0) {
            return Some(guess);
        }
        self.leased.binary_search_by_key(&position.0, |entry| entry.position).ok()
    }
}

/// Entries for which a busy queue keeps the memory, and an idle one.
const BUSY_CAPACITY_MAX: usize = 1024;
const IDLE_CAPACITY_MAX: usize = 16;

/// A queue gives back the memory of a backlog that is gone.
fn give_back<E>(entries: &mut VecDeque<E>, capacity_max: usize) {
    if entries.capacity() > capacity_max && entries.len() < entries.capacity() / 4 {
        entries.shrink_to(entries.len() * 2);
    }
}

#[cfg(test)]
mod tests;
