//! Records in the making: what one batch of a publisher hands to the store, encoded by the publisher's own thread.

use std::sync::Arc;

use crate::{
    change::{Change, Move, QueueId},
    cost::row_cost,
    limits::PART_BYTES,
    message::{self, Destination, NEVER_UNIX_MS},
    record::{self, HEADER_BYTES, Kind},
    store::Sync,
    ticket::Ticket,
};

/// A record that waits for the writer: rows one after another in the draft's memory.
#[derive(Debug)]
pub(crate) struct Entry {
    pub(crate) ticket: Arc<Ticket>,
    /// Where its last row ends; the first begins where the entry before it ends.
    pub(crate) end: usize,
    /// How many rows it has.
    pub(crate) rows: u32,
    /// Bytes of the last part of its content.
    pub(crate) payload: u32,
}

/// Messages and changes that become durable together, in the order in which they were added.
#[derive(Debug, Default)]
pub struct Draft {
    pub(crate) memory: Vec<u8>,
    pub(crate) entries: Vec<Entry>,
    pub(crate) changes: Vec<Change>,
    pub(crate) moves: Vec<Move>,
    /// Bytes of the changes.
    pub(crate) changes_len: usize,
    /// When it is to count as durable, if that was said.
    pub(crate) sync: Option<Sync>,
}

/// The destinations of a message, as they are found.
#[derive(Debug, Default, Clone)]
pub struct Destinations {
    count: u32,
    bytes: Vec<u8>,
}

impl Destinations {
    /// Adds a queue and the position that the message has there; the note comes back with the message.
    pub fn push(&mut self, queue: QueueId, position: u64, note: &[u8]) {
        self.count += 1;
        message::put_destination(&mut self.bytes, &Destination { queue, position, note });
    }

    /// Forgets them.
    pub fn clear(&mut self) {
        self.count = 0;
        self.bytes.clear();
    }

    /// Whether there are none.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.count == 0
    }
}

impl Draft {
    /// Whether there is nothing to submit.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.entries.is_empty() && self.changes.is_empty() && self.moves.is_empty()
    }

    /// Bytes of the messages.
    #[must_use]
    pub const fn len(&self) -> usize {
        self.memory.len()
    }

    /// Bytes of a file that the messages take, at most.
    pub(crate) fn cost(&self) -> u64 {
        let longest = row_cost(HEADER_BYTES + PART_BYTES);
        let mut begin = 0;
        let cost = |entry: &Entry| {
            let len = entry.end - std::mem::replace(&mut begin, entry.end);
            if entry.rows == 1 { row_cost(len) } else { longest * u64::from(entry.rows) }
        };
        self.entries.iter().map(cost).sum()
    }

    /// The store does not take its messages: they are withdrawn, and the changes are left, but for those that go with
    /// the messages.
    pub(crate) fn refuse_messages(&mut self) {
        self.moves.clear();
        self.entries.drain(..).for_each(|entry| entry.ticket.withdraw());
        self.memory.clear();
    }

    /// The store takes neither its messages nor its changes.
    pub(crate) fn refuse(&mut self) {
        self.refuse_messages();
        self.changes.clear();
    }

    /// Its messages are withdrawn, and what goes with them; what is left is changes that hold all the same.
    pub fn withdraw(&mut self) {
        self.refuse_messages();
    }

    /// Bytes of memory, about.
    pub(crate) const fn weight(&self) -> usize {
        self.memory.len() + self.changes_len
    }

    /// Adds a change of state.
    pub fn change(&mut self, change: Change) {
        self.changes_len += change.len();
        self.changes.push(change);
    }

    /// Adds what another draft has, behind what is here.
    pub fn append(&mut self, other: Self) {
        let begin = self.memory.len();
        self.memory.extend_from_slice(&other.memory);
        self.entries.extend(other.entries.into_iter().map(|entry| Entry { end: begin + entry.end, ..entry }));
        self.changes.extend(other.changes);
        self.moves.extend(other.moves);
        self.changes_len += other.changes_len;
        self.asks_for(other.sync);
    }

    /// Has it count as durable then, if that is more than the store's options say, and than what it asked for before.
    pub fn asks_for(&mut self, sync: Option<Sync>) {
        self.sync = self.sync.max(sync);
    }

    /// Adds a change that is made if all of the draft's group becomes durable: where it fails, what was to go has
    /// stayed.
    pub fn when_durable(&mut self, change: Move) {
        self.changes_len += change.len();
        self.moves.push(change);
    }

    /// Adds a message. `content` is its parts, which come back as one piece; the last is counted as its payload.
    /// `expires_unix_ms` is `None` for never.
    pub fn message(
        &mut self,
        ticket: Arc<Ticket>,
        destinations: &Destinations,
        expires_unix_ms: Option<u64>,
        content: &[&[u8]],
    ) {
        let expires_unix_ms = expires_unix_ms.unwrap_or(NEVER_UNIX_MS);
        let content_len: usize = content.iter().map(|part| part.len()).sum();
        let rows = if destinations.bytes.len() + content_len + 32 <= PART_BYTES {
            self.memory.reserve(HEADER_BYTES + destinations.bytes.len() + content_len + 32);
            record::begin(&mut self.memory, Kind::Message);
            message::put_head(&mut self.memory, expires_unix_ms, destinations.count, &destinations.bytes);
            content.iter().for_each(|part| self.memory.extend_from_slice(part));
            1
        } else {
            let mut body = Vec::with_capacity(destinations.bytes.len() + content_len + 32);
            message::put_head(&mut body, expires_unix_ms, destinations.count, &destinations.bytes);
            content.iter().for_each(|part| body.extend_from_slice(part));
            if body.len() <= PART_BYTES { self.whole(&body) } else { self.split(&body) }
        };
        let payload = content.last().map_or(0, |part| part.len() as u32);
        self.entries.push(Entry { ticket, end: self.memory.len(), rows, payload });
    }

    fn whole(&mut self, body: &[u8]) -> u32 {
        record::begin(&mut self.memory, Kind::Message);
        self.memory.extend_from_slice(body);
        1
    }

    /// A body of several rows. All but the last are full, so that the rows can be told apart again.
    fn split(&mut self, body: &[u8]) -> u32 {
        let (first, rest) = body.split_at(PART_BYTES - 2);
        let chunks = rest.chunks(PART_BYTES);
        record::begin(&mut self.memory, Kind::Head);
        self.memory.extend_from_slice(&(chunks.len() as u16).to_le_bytes());
        self.memory.extend_from_slice(first);
        let rows = 1 + chunks.len() as u32;
        for chunk in chunks {
            record::begin(&mut self.memory, Kind::Chunk);
            self.memory.extend_from_slice(chunk);
        }
        rows
    }
}

/// The rows of a record in a draft's memory: all but the last are of the longest kind.
pub(crate) fn rows(memory: &mut [u8], rows: u32) -> impl Iterator<Item = &mut [u8]> {
    let longest = HEADER_BYTES + PART_BYTES;
    let size = if rows == 1 { memory.len().max(1) } else { longest };
    memory.chunks_mut(size)
}
