//! The backlog of one consumer: what stands behind a session. (A queue with groups is in [`crate::queue`].)
//!
//! Messages keep the order in which they were pushed. A consumer leases them one after another and acknowledges each;
//! what it has leased stays until then, over any number of reconnects. The queue is bounded in messages and bytes and
//! trims by its policy, counting what it drops. It knows no clock: the time comes in.

mod cold;

use std::{collections::VecDeque, sync::Arc};

use self::cold::Cold;
pub use self::cold::{Left, Stub};
use crate::commit::{Accepted, Refused};

/// What can stand in a queue.
pub trait Item {
    /// Bytes that the item is charged with.
    fn cost(&self) -> usize;
    /// Deadline in the node's milliseconds; [`crate::message::NEVER_MS`] for none.
    fn expires_at_ms(&self) -> u64;
    /// Whether a store holds it, or is about to: it has to be told when the item goes.
    fn is_durable(&self) -> bool {
        false
    }
    /// Whether the store has refused it after it was pushed: it is as if it had not been.
    fn is_void(&self) -> bool {
        false
    }
    /// Where a store holds the item, and the bytes it takes there, once it does.
    fn stub(&self) -> Option<(u64, u32)> {
        None
    }
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
    /// They made room on the disk.
    pub evicted: u64,
}

#[derive(Debug)]
struct Entry<T> {
    position: u64,
    /// `None` for a gap: a message that was leased and is acknowledged, or had expired when it was to be leased. Its
    /// entry goes when it comes to the front, or is swept out.
    item: Option<T>,
}

/// Gaps that may stand between leased messages before they are swept out.
const GAPS_MAX: usize = 64;

/// A bounded queue. See the module's description.
///
/// Messages stay where they are while they are leased: the first entries are the leased ones.
///
/// Invariants: positions ascend; the first entry is no gap; there are no gaps among the entries that nobody has leased;
/// the counts and sums are those of the messages that are present. Memory follows the messages that are present, not
/// the distance between them.
#[derive(Debug)]
pub struct Backlog<T> {
    entries: VecDeque<Entry<T>>,
    /// How many of the first entries are leased, or gaps.
    leased_entries: usize,
    /// The position of the next push.
    next: u64,
    leased_count: usize,
    leased_bytes: usize,
    ready_bytes: usize,
    /// No message that nobody has leased expires before.
    soonest_expiry_ms: u64,
    bounds: Arc<Bounds>,
    /// What was dropped and not told, if anything was.
    dropped: Option<Box<Dropped>>,
    /// What is not in memory, if anything is not.
    cold: Option<Box<Cold<T>>>,
}

impl<T: Item> Backlog<T> {
    /// An empty queue.
    #[must_use]
    pub fn new(bounds: impl Into<Arc<Bounds>>) -> Self {
        Self {
            entries: VecDeque::new(),
            leased_entries: 0,
            next: 0,
            leased_count: 0,
            leased_bytes: 0,
            ready_bytes: 0,
            soonest_expiry_ms: u64::MAX,
            bounds: bounds.into(),
            dropped: None,
            cold: None,
        }
    }

    /// Proof that the queue stands and keeps what it promises: what the opening of a session is committed under.
    pub fn confirm(&self) -> Accepted {
        Accepted::new()
    }

    /// Whether a message of this cost fits, once what has expired is gone. Nothing else is trimmed for it.
    pub fn fits(&mut self, now_ms: u64, cost: usize) -> bool {
        if !self.has_room(cost) {
            self.expire(now_ms);
        }
        self.has_room(cost)
    }

    /// Appends a message.
    ///
    /// # Errors
    /// [`Refused::QueueFull`] when the queue is at its high watermark and its policy is to reject, or the message does
    /// not fit beside what is leased. Nothing but expired messages has been dropped then.
    pub fn push(&mut self, now_ms: u64, item: T) -> Result<Accepted, Refused> {
        let cost = item.cost();
        if !self.has_room(cost) && !self.make_room(now_ms, cost) {
            self.note_dropped().refused += 1;
            return Err(Refused::QueueFull);
        }
        self.soonest_expiry_ms = self.soonest_expiry_ms.min(item.expires_at_ms());
        let entry = Entry { position: self.next, item: Some(item) };
        match &mut self.cold {
            Some(cold) if !cold.stored.is_empty() => cold.fresh.push_back(entry),
            _ => self.entries.push_back(entry),
        }
        self.next += 1;
        self.ready_bytes += cost;
        Ok(Accepted::new())
    }

    /// Leases the oldest message that is neither leased nor expired.
    pub fn lease(&mut self, now_ms: u64) -> Option<(Position, &T)> {
        loop {
            let index = self.leased_entries;
            let entry = self.entries.get_mut(index)?;
            self.leased_entries += 1;
            let (cost, expires_at_ms) = entry.item.as_ref().map_or((0, u64::MAX), |i| (i.cost(), i.expires_at_ms()));
            self.ready_bytes -= cost;
            if now_ms > expires_at_ms {
                let (position, item) = (Position(entry.position), entry.item.take());
                self.note_dropped().expired += 1;
                item.into_iter().for_each(|item| self.leave(position, Left::Item(item)));
                self.sweep();
                continue;
            }
            self.leased_bytes += cost;
            self.leased_count += 1;
            let entry = self.entries.get(index)?;
            return Some((Position(entry.position), entry.item.as_ref()?));
        }
    }

    /// A leased message, by its position.
    #[must_use]
    pub fn get(&self, position: Position) -> Option<&T> {
        self.entries.get(self.find(position)?)?.item.as_ref()
    }

    /// The consumer is done with a leased message: it goes. `None` when it had gone before.
    pub fn ack(&mut self, position: Position) -> Option<T> {
        let index = self.find(position)?;
        let item = self.entries.get_mut(index)?.item.take()?;
        self.leased_count -= 1;
        self.leased_bytes -= item.cost();
        self.sweep();
        give_back(&mut self.entries, BUSY_CAPACITY_MAX);
        Some(item)
    }

    /// Gives back the newest lease, for a consumer that could not take the message after all.
    pub fn unlease(&mut self, position: Position) {
        let Some(index) = self.newest_leased() else { return };
        let newest = self.entries.get(index).filter(|entry| entry.position == position.0);
        if let Some(item) = newest.and_then(|entry| entry.item.as_ref()) {
            let (cost, expires_at_ms) = (item.cost(), item.expires_at_ms());
            self.entries.drain(index + 1..self.leased_entries); // gaps of what had expired when it was to be leased
            self.leased_entries = index;
            self.leased_count -= 1;
            self.leased_bytes -= cost;
            self.ready_bytes += cost;
            self.soonest_expiry_ms = self.soonest_expiry_ms.min(expires_at_ms);
        }
    }

    /// Drops what has expired among the messages that nobody has leased. Looks at them only when one may have.
    pub fn expire(&mut self, now_ms: u64) {
        if now_ms <= self.soonest_expiry_ms {
            return;
        }
        let (before, mut soonest) = (self.len(), u64::MAX);
        self.retain_ready(|expires_at_ms, _| {
            let stays = now_ms <= expires_at_ms;
            if stays {
                soonest = soonest.min(expires_at_ms);
            }
            stays
        });
        self.soonest_expiry_ms = soonest;
        let expired = (before - self.len()) as u64;
        if expired > 0 {
            self.note_dropped().expired += expired;
        }
    }

    /// Takes out the messages in memory that are so: those that were leased, and those that were not, oldest first.
    pub fn take_out_where(&mut self, is: impl Fn(&T) -> bool) -> (Vec<T>, Vec<T>) {
        let (mut leased, mut ready) = (Vec::new(), Vec::new());
        for index in 0..self.leased_entries {
            let Some(entry) = self.entries.get_mut(index) else { break };
            if entry.item.as_ref().is_some_and(&is)
                && let Some(item) = entry.item.take()
            {
                self.leased_count -= 1;
                self.leased_bytes -= item.cost();
                leased.push(item);
            }
        }
        let mut bytes = 0;
        let mut take = |entry: &mut Entry<T>| {
            let stays = !entry.item.as_ref().is_some_and(&is);
            if !stays && let Some(item) = entry.item.take() {
                bytes += item.cost();
                ready.push(item);
            }
            stays
        };
        let (mut index, first_ready) = (0, self.leased_entries);
        self.entries.retain_mut(|entry| {
            index += 1;
            index <= first_ready || take(entry)
        });
        if let Some(cold) = &mut self.cold {
            cold.fresh.retain_mut(take);
        }
        self.ready_bytes -= bytes;
        self.sweep();
        self.warm_up();
        (leased, ready)
    }

    /// Changes each leased message in place, as [`crate::message::Message::compact`] does when a connection ends.
    pub fn for_each_leased(&mut self, change: impl FnMut(&mut T)) {
        self.entries.iter_mut().take(self.leased_entries).filter_map(|entry| entry.item.as_mut()).for_each(change);
    }

    /// The leased messages, oldest first.
    pub fn leased(&self) -> impl Iterator<Item = (Position, &T)> {
        let leased = self.entries.iter().take(self.leased_entries);
        leased.filter_map(|entry| Some((Position(entry.position), entry.item.as_ref()?)))
    }

    /// Empties the queue and hands out what was in it in memory, oldest first; see [`Self::drain_stored`] for the rest.
    pub fn drain(&mut self) -> impl Iterator<Item = T> {
        (self.leased_entries, self.leased_count, self.leased_bytes, self.ready_bytes) = (0, 0, 0, 0);
        std::mem::take(&mut self.entries).into_iter().filter_map(|entry| entry.item)
    }

    /// Gives back memory that a busy queue has used and an idle one does not need. Called now and then, not with every
    /// message: a queue that empties and fills would pay for it each time.
    pub fn give_back(&mut self) {
        give_back(&mut self.entries, IDLE_CAPACITY_MAX);
    }

    /// What was dropped since the last call.
    pub fn take_dropped(&mut self) -> Dropped {
        self.dropped.take().map(|dropped| *dropped).unwrap_or_default()
    }

    fn note_dropped(&mut self) -> &mut Dropped {
        self.dropped.get_or_insert_default()
    }

    /// Messages in the queue, leased ones included.
    #[must_use]
    pub fn len(&self) -> usize {
        self.leased_count + self.entries.len() - self.leased_entries + self.cold_len()
    }

    /// Whether nothing is in the queue.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty() && self.cold_len() == 0
    }

    /// Bytes in the queue, leased messages included, and those that are not in memory.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.leased_bytes + self.ready_bytes + self.stored_bytes()
    }

    /// Whether a message waits to be leased.
    #[must_use]
    pub fn has_ready(&self) -> bool {
        self.entries.len() > self.leased_entries || self.cold_len() > 0
    }

    fn has_room(&self, cost: usize) -> bool {
        self.len() < self.bounds.messages_max && self.bytes() + cost <= self.bounds.bytes_max
    }

    /// Trims in the order of the promise: expired messages first, then, if the policy says so, the oldest ones, down
    /// to the low watermark. Answers whether a message of `cost` bytes fits now.
    fn make_room(&mut self, now_ms: u64, cost: usize) -> bool {
        self.expire(now_ms);
        let Bounds { messages_max, bytes_max, overflow } = *self.bounds;
        let fits_beside_leased = self.leased_count < messages_max && self.leased_bytes + cost <= bytes_max;
        if self.has_room(cost) || overflow == OverflowPolicy::Reject || !fits_beside_leased {
            return self.has_room(cost);
        }
        let (messages_low, bytes_low) = (Bounds::low(messages_max), Bounds::low(bytes_max));
        let mut trimmed = 0;
        while self.len() >= messages_low || self.bytes() + cost > bytes_low {
            if !self.pop_ready() {
                break;
            }
            trimmed += 1;
        }
        if trimmed > 0 {
            self.note_dropped().overflow += trimmed;
        }
        give_back(&mut self.entries, BUSY_CAPACITY_MAX);
        self.has_room(cost)
    }

    /// Takes out gaps: those at the front at once, the others when there are too many.
    fn sweep(&mut self) {
        while self.leased_entries > 0 && self.entries.front().is_some_and(|entry| entry.item.is_none()) {
            self.entries.pop_front();
            self.leased_entries -= 1;
        }
        if self.leased_entries > 2 * self.leased_count + GAPS_MAX {
            let leased = self.entries.drain(..self.leased_entries).filter(|entry| entry.item.is_some());
            let leased: Vec<Entry<T>> = leased.collect();
            self.leased_entries = leased.len();
            leased.into_iter().rev().for_each(|entry| self.entries.push_front(entry));
        }
    }

    fn newest_leased(&self) -> Option<usize> {
        (0..self.leased_entries).rev().find(|index| self.entries.get(*index).is_some_and(|entry| entry.item.is_some()))
    }

    /// Where a leased message stands, or the gap that it has left.
    fn find(&self, position: Position) -> Option<usize> {
        let front = self.entries.front()?.position;
        // Without gaps the distance is the index; with gaps it is at or before it.
        let guess = usize::try_from(position.0.checked_sub(front)?).unwrap_or(usize::MAX);
        let index = match self.entries.get(guess) {
            Some(entry) if entry.position == position.0 => guess,
            _ => self.entries.binary_search_by_key(&position.0, |entry| entry.position).ok()?,
        };
        (index < self.leased_entries).then_some(index)
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
