//! A queue with groups of consumers: the machine behind `$queue/NAME`.
//!
//! Every group gets each message; of a group one consumer handles it. A message stays until every group is done with
//! it. While there is no group it waits for the first to come; a later group begins with what is there.
//!
//! A consumer has credit. [`Queue::deal`] leases messages to consumers as far as their credit goes; a lease ends with
//! the consumer's word ([`Queue::settle`]), with its time, or with the consumer, and a message that is not done with is
//! delivered again, until it goes to the dead letters. In a group that is at-most-once a message is done with when it
//! is dealt.
//!
//! Priorities have a line each; within a line messages keep the order in which they were pushed. A group that keeps
//! keys in order has one message of a key on its way at a time, at the consumer that the key belongs to.
//!
//! The machine is the one of a single node: it holds what it is given under its own positions. Copies of a message on
//! other nodes are other queues, which this one does not know. It has no clock; what has to be done about a message
//! comes out as [`Event`]s, in order.

mod deal;
mod dedupe;
mod group;
mod leases;
mod line;
mod lookup;
pub mod name;
mod peek;
mod settle;
mod sticky;
mod stored;
mod trim;
mod waits;

#[cfg(test)]
mod tests;

use std::collections::BTreeMap;

pub use self::{
    dedupe::Dedupe,
    group::{Credit, GroupFigures, GroupOptions, Mode, Order},
    peek::{Peeked, Standing},
    settle::{Stale, Verdict},
};
use self::{
    group::Group,
    line::{Entry, Line, Place},
};
pub use crate::backlog::{Left, Position, Stub};
use crate::{
    commit::{Accepted, Refused},
    limits::{GROUPS_MAX, PRIORITY_MAX},
};

/// What can stand in a queue. Each delivery clones it.
pub trait Content: Clone {
    /// Bytes that it is charged with.
    fn cost(&self) -> usize;
    /// Deadline in the node's milliseconds; [`crate::message::NEVER_MS`] for none.
    fn expires_at_ms(&self) -> u64;
    /// What it is kept in order by, hashed: two keys of one hash wait for each other, which is harmless.
    fn key(&self) -> Option<u64>;
    /// Whether its store has refused it after it was pushed: it is as if it had not been.
    fn is_void(&self) -> bool;
    /// Where a store holds it, and the bytes it takes there, once it does.
    fn stub(&self) -> Option<(u64, u32)>;
}

/// What a queue does when it is at its high watermark.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Overflow {
    /// The new message is refused.
    Reject,
    /// The oldest messages that nobody has leased go, down to the low watermark.
    DropOldest,
    /// The same, and they go to the dead letters.
    DeadLetter,
}

/// What a queue is told when it is made, and may be told anew.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Terms {
    /// High watermark in messages.
    pub messages_max: usize,
    /// High watermark in bytes.
    pub bytes_max: usize,
    /// What happens above either.
    pub overflow: Overflow,
    /// Deliveries to one group after which a message goes to the dead letters; 0 for any number.
    pub deliveries_max: u32,
    /// How long a message waits before it is delivered again.
    pub retry_delay_ms: u64,
    /// How long a message identifier is remembered; 0 for not at all.
    pub dedupe_window_ms: u64,
}

/// Names a group in its queue, as long as it exists.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct GroupId(u8);

/// Names a consumer in its group; never used twice in a queue's life.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ConsumerId(u32);

/// Names a lease: the word of a consumer whose lease is over does not count against the next one's.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct LeaseId(u64);

/// Why a message ended. The names are those of the counters.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fate {
    /// Its consumer is done with it, or got it where once is enough.
    Acked,
    /// Its time to live passed.
    Expired,
    /// It was trimmed at the high watermark.
    Trimmed,
    /// It made room on the disk.
    Evicted,
    /// It was taken out by hand, or the queue or the group was.
    Removed,
    /// Its store had refused it.
    Void,
    /// Its record was damaged.
    Lost,
    /// It goes to the dead letters.
    Dead(Death),
}

/// Why a message goes to the dead letters.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Death {
    /// Its consumer said so.
    Rejected,
    /// It was delivered too often.
    Deliveries,
    /// It was trimmed at the high watermark.
    Overflow,
}

/// What has happened, and its owner has to carry out, in this order.
#[derive(Debug, Clone, PartialEq)]
pub enum Event<T> {
    /// A message is for a consumer.
    Deliver {
        /// The group.
        group: GroupId,
        /// The consumer.
        consumer: ConsumerId,
        /// The lease under which it is; `None` where once is enough.
        lease: Option<LeaseId>,
        /// Where it stands.
        position: Position,
        /// How often it was delivered to the group, this time included.
        attempt: u32,
        /// What it is.
        item: T,
    },
    /// A group is done with a message that others still want.
    Done {
        /// The group.
        group: GroupId,
        /// Where the message stands.
        position: Position,
        /// Why.
        fate: Fate,
        /// How often it was delivered to the group.
        attempts: u32,
        /// What it is, if it goes to the dead letters.
        left: Option<Left<T>>,
    },
    /// A message is gone from the queue.
    Gone {
        /// The group that was the last to want it, where one was.
        group: Option<GroupId>,
        /// Where it stood.
        position: Position,
        /// Why.
        fate: Fate,
        /// How often it was delivered to the group.
        attempts: u32,
        /// What it was.
        left: Left<T>,
    },
}

/// Messages by what became of them, since the queue was made.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counts {
    /// Taken in.
    pub pushed: u64,
    /// Known by their identifier, and not taken in again.
    pub duplicates: u64,
    /// Refused at the high watermark.
    pub refused: u64,
    /// Given to a consumer, each time.
    pub delivered: u64,
    /// Given to a consumer of the same group again.
    pub redelivered: u64,
    /// Done with, by every group that there was.
    pub acked: u64,
    /// Expired.
    pub expired: u64,
    /// Trimmed at the high watermark.
    pub trimmed: u64,
    /// Gone to make room on the disk.
    pub evicted: u64,
    /// Sent to the dead letters, once for each group that gave it up.
    pub dead: u64,
    /// Taken out by hand.
    pub removed: u64,
    /// Damaged on the disk.
    pub lost: u64,
}

/// What became of a message that was pushed.
#[derive(Debug)]
pub enum Pushed {
    /// It is in the queue.
    New(Position, Accepted),
    /// It had been pushed before, within the window.
    Duplicate(Position, Accepted),
}

/// See the module's description.
///
/// Invariants: positions ascend within a line; `len` and `bytes` are those of the entries that are present; a present
/// entry is wanted by a group, or there is no group; what a group wants is before its cursor and leased, returned,
/// waiting or set aside, or it is at or behind the cursor.
#[derive(Debug)]
pub struct Queue<T> {
    terms: Terms,
    /// By priority, highest first.
    lines: Vec<Line<T>>,
    groups: Vec<Option<Box<Group>>>,
    next: u64,
    next_consumer: u32,
    next_lease: u64,
    len: usize,
    bytes: usize,
    /// Bytes of the messages that are in memory, and how many they are.
    hot_bytes: usize,
    hot: usize,
    /// No message expires before.
    soonest_expiry_ms: u64,
    /// Expired messages are not looked for before.
    expiry_rest_ms: u64,
    /// Messages that are not to be delivered before a time.
    due: BTreeMap<u64, u64>,
    dedupe: Option<Box<Dedupe>>,
    is_paused: bool,
    /// How many hold it.
    holds: u32,
    /// A key of some group is free, because its message was taken out.
    has_freed: bool,
    counts: Counts,
    events: Vec<Event<T>>,
    to_load: Vec<Stub>,
}

impl<T: Content> Queue<T> {
    /// An empty queue.
    #[must_use]
    pub const fn new(terms: Terms) -> Self {
        Self {
            terms,
            lines: Vec::new(),
            groups: Vec::new(),
            next: 0,
            next_consumer: 0,
            next_lease: 0,
            len: 0,
            bytes: 0,
            hot_bytes: 0,
            hot: 0,
            soonest_expiry_ms: u64::MAX,
            expiry_rest_ms: 0,
            due: BTreeMap::new(),
            dedupe: None,
            is_paused: false,
            holds: 0,
            has_freed: false,
            counts: Counts {
                pushed: 0,
                duplicates: 0,
                refused: 0,
                delivered: 0,
                redelivered: 0,
                acked: 0,
                expired: 0,
                trimmed: 0,
                evicted: 0,
                dead: 0,
                removed: 0,
                lost: 0,
            },
            events: Vec::new(),
            to_load: Vec::new(),
        }
    }

    /// Appends a message. `due_ms` is the time before which it is not delivered, if there is one; `id` the identifier
    /// by which it is known when it comes again. A priority above [`PRIORITY_MAX`] counts as that.
    ///
    /// Nothing is delivered before [`deal`](Self::deal).
    ///
    /// # Errors
    /// [`Refused::QueueFull`]: the queue is at its high watermark and rejects, or what is leased leaves no room.
    pub fn push(
        &mut self,
        now_ms: u64,
        priority: u8,
        due_ms: Option<u64>,
        id: Option<&[u8]>,
        item: T,
    ) -> Result<Pushed, Refused> {
        if let Some(known) = id.and_then(|id| self.known(now_ms, id)) {
            if !self.is_void(known) {
                self.counts.duplicates += 1;
                return Ok(Pushed::Duplicate(known, Accepted::new()));
            }
            self.end(known.0, Fate::Void);
        }
        let cost = item.cost();
        if !self.has_room(cost) && !self.make_room(now_ms, cost) {
            self.counts.refused += 1;
            return Err(Refused::QueueFull);
        }
        let position = self.next;
        self.next += 1;
        self.soonest_expiry_ms = self.soonest_expiry_ms.min(item.expires_at_ms());
        if let Some(due_ms) = due_ms.filter(|due_ms| *due_ms > now_ms) {
            self.due.insert(position, due_ms);
        }
        if let Some(id) = id {
            self.remember(now_ms, id, position);
        }
        self.insert(priority, Entry::hot(position, item));
        self.counts.pushed += 1;
        Ok(Pushed::New(Position(position), Accepted::new()))
    }

    /// Whether a message that costs so much would be refused now. What has expired makes room, as for a push.
    #[must_use]
    pub fn would_refuse(&mut self, now_ms: u64, cost: usize) -> bool {
        self.terms.overflow == Overflow::Reject && !self.has_room(cost) && !self.make_room(now_ms, cost)
    }

    /// What has happened since the last call.
    pub fn take_events(&mut self) -> Vec<Event<T>> {
        std::mem::take(&mut self.events)
    }

    /// The same, in memory that is used again.
    pub fn swap_events(&mut self, events: &mut Vec<Event<T>>) {
        debug_assert!(events.is_empty());
        std::mem::swap(&mut self.events, events);
    }

    /// Gives other bounds to the queue. What is above them stays until the next push.
    pub fn set_terms(&mut self, terms: Terms) {
        self.terms = terms;
    }

    /// No message is dealt any more until [`resume`](Self::resume). Pushes and acknowledgements go on.
    pub fn pause(&mut self) {
        self.is_paused = true;
    }

    /// Messages are dealt again.
    pub fn resume(&mut self) {
        self.is_paused = false;
    }

    /// No message is dealt until whoever holds the queue has [let go](Self::unhold) of it: what was pushed is part of
    /// something that is not handed over yet.
    pub fn hold(&mut self) {
        self.holds += 1;
    }

    /// See [`hold`](Self::hold).
    pub fn unhold(&mut self) {
        self.holds = self.holds.saturating_sub(1);
    }

    /// Proof that the queue stands and keeps what it promises.
    pub fn confirm(&self) -> Accepted {
        Accepted::new()
    }

    /// Whether nothing is dealt.
    #[must_use]
    pub const fn is_paused(&self) -> bool {
        self.is_paused
    }

    /// What the queue was told.
    #[must_use]
    pub const fn terms(&self) -> &Terms {
        &self.terms
    }

    /// Messages in the queue, leased ones included.
    #[must_use]
    pub const fn len(&self) -> usize {
        self.len
    }

    /// Whether nothing is in the queue.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Bytes in the queue, those that are not in memory included.
    #[must_use]
    pub const fn bytes(&self) -> usize {
        self.bytes
    }

    /// Bytes of memory that the messages take.
    #[must_use]
    pub fn memory(&self) -> usize {
        self.hot_bytes + self.lines.iter().map(Line::memory).sum::<usize>()
    }

    /// What became of the messages.
    #[must_use]
    pub const fn counts(&self) -> &Counts {
        &self.counts
    }

    /// No message stands before this position, and none will.
    #[must_use]
    pub fn floor(&self) -> Position {
        Position(self.lines.iter().filter_map(Line::first).min().unwrap_or(self.next))
    }

    /// The position of the next push.
    #[must_use]
    pub const fn next_position(&self) -> Position {
        Position(self.next)
    }

    /// When something is due: a lease, a delay, an expiry. Another look is not needed before, if nothing else happens.
    #[must_use]
    pub fn next_deadline_ms(&self) -> Option<u64> {
        let groups = self.groups.iter().flatten().filter_map(|group| group.next_deadline_ms());
        groups.chain(self.next_expiry_ms()).min()
    }

    /// What is due at `now_ms`: leases end, delays end, messages expire. Follow it with [`deal`](Self::deal).
    pub fn on_time(&mut self, now_ms: u64) {
        for slot in 0..self.groups.len() {
            self.end_leases(slot, now_ms);
            self.end_delays(slot, now_ms);
        }
        self.expire(now_ms);
        self.forget_ids(now_ms);
    }

    /// Puts an entry at the end of its line, wanted by every group there is.
    fn insert(&mut self, priority: u8, mut entry: Entry<T>) {
        entry.wanted = self.all_groups();
        for group in self.groups.iter_mut().flatten() {
            group.pending += 1;
        }
        self.append(priority, entry);
    }

    fn append(&mut self, priority: u8, entry: Entry<T>) {
        self.len += 1;
        self.bytes += entry.cost as usize;
        if let Place::Hot(_) = entry.place {
            self.hot += 1;
            self.hot_bytes += entry.cost as usize;
        }
        let line = self.line_of(priority.min(PRIORITY_MAX));
        self.lines[line].push(entry);
    }

    /// The line of a priority, which is made if there is none.
    fn line_of(&mut self, priority: u8) -> usize {
        match self.lines.binary_search_by(|line| priority.cmp(&line.priority)) {
            Ok(at) => at,
            Err(at) => {
                self.lines.insert(at, Line::new(priority));
                self.groups.iter_mut().flatten().for_each(|group| group.cursors.insert(at, 0));
                at
            }
        }
    }

    fn all_groups(&self) -> u64 {
        let bits = self.groups.iter().enumerate().filter(|(_, group)| group.is_some());
        bits.map(|(slot, _)| 1_u64 << slot).sum()
    }

    const _GROUPS_FIT: () = assert!(GROUPS_MAX <= u64::BITS as usize);
}
