//! The part of a queue that is not in memory: messages that a store holds, known here by where they are.
//!
//! In the order of the queue it stands between the entries and what came after it ([`Cold::fresh`]), which cannot be
//! stored yet. The owner loads its first messages when a consumer can take some, and the queue takes them in again.

use std::collections::VecDeque;

use super::{Backlog, Entry, Item, Position};

/// A message that a store holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stub {
    /// Its place in the queue.
    pub position: Position,
    /// Where it is, by the store's own count.
    pub reference: u64,
    /// Bytes that it takes there.
    pub len: u32,
    /// Bytes that it is charged with.
    pub cost: u32,
    /// Its deadline.
    pub expires_at_ms: u64,
}

/// What has left a queue without its consumer's word, and has to leave the store as well.
#[derive(Debug, Clone, PartialEq)]
pub enum Left<T> {
    /// It was in memory.
    Item(T),
    /// It was not.
    Stub(Stub),
}

/// Invariants: positions ascend through `stored` and then `fresh`; `fresh` is empty when `stored` is.
#[derive(Debug)]
pub(super) struct Cold<T> {
    pub(super) stored: VecDeque<Stub>,
    pub(super) stored_bytes: usize,
    pub(super) fresh: VecDeque<Entry<T>>,
    pub(super) left: Vec<(Position, Left<T>)>,
}

impl<T> Default for Cold<T> {
    fn default() -> Self {
        Self { stored: VecDeque::new(), stored_bytes: 0, fresh: VecDeque::new(), left: Vec::new() }
    }
}

impl<T> Cold<T> {
    fn is_empty(&self) -> bool {
        self.stored.is_empty() && self.fresh.is_empty() && self.left.is_empty()
    }
}

impl<T: Item> Backlog<T> {
    /// Puts a message of an earlier life back, behind all that are there, which came before it.
    pub fn restore(&mut self, stub: Stub) {
        self.next = self.next.max(stub.position.0 + 1);
        self.soonest_expiry_ms = self.soonest_expiry_ms.min(stub.expires_at_ms);
        let cold = self.cold.get_or_insert_default();
        cold.stored_bytes += stub.cost as usize;
        cold.stored.push_back(stub);
    }

    /// Puts a message back that was leased in an earlier life, before any other is restored.
    pub fn restore_leased(&mut self, position: Position, item: T) {
        self.next = self.next.max(position.0 + 1);
        self.leased_bytes += item.cost();
        self.leased_count += 1;
        self.leased_entries += 1;
        self.entries.push_back(Entry { position: position.0, item: Some(item) });
    }

    /// The next message gets this position or a later one.
    pub fn skip_to(&mut self, position: Position) {
        self.next = self.next.max(position.0);
    }

    /// No message stands before this position, and none will.
    #[must_use]
    pub fn floor(&self) -> Position {
        let first = self.entries.front().map(|entry| entry.position);
        let stored = || self.cold.as_ref()?.stored.front().map(|stub| stub.position.0);
        Position(first.or_else(stored).unwrap_or(self.next))
    }

    /// The position of the message that was pushed last.
    #[must_use]
    pub const fn last_position(&self) -> Position {
        Position(self.next.saturating_sub(1))
    }

    /// Bytes of memory that messages take, which are not those of the queue when a store holds some.
    #[must_use]
    pub fn memory(&self) -> usize {
        let stubs = self.cold.as_ref().map_or(0, |cold| cold.stored.len() * size_of::<Stub>());
        self.leased_bytes + self.ready_bytes + stubs
    }

    /// Lets messages that the store holds, and nobody has leased, go from memory; and those that it has refused.
    pub fn chill(&mut self) {
        let is_stored =
            |entry: &Entry<T>| entry.item.as_ref().is_some_and(|item| item.stub().is_some() || item.is_void());
        let leased = self.leased_entries;
        let Some(first) = self.entries.get(leased).or_else(|| self.cold.as_ref()?.fresh.front()) else { return };
        if !is_stored(first) {
            return;
        }
        let cold = self.cold.get_or_insert_default();
        // What is ready in memory comes before what is stored, or there is nothing stored.
        let ready = self.entries.drain(leased..);
        if cold.stored.is_empty() {
            cold.fresh = ready.collect();
        } else {
            let ready: Vec<Entry<T>> = ready.collect();
            if !ready.iter().all(is_stored) {
                self.entries.extend(ready); // loaded ones are stored; this is for an owner that mixes
                return;
            }
            for entry in ready.into_iter().rev() {
                self.ready_bytes -= entry.item.as_ref().map_or(0, T::cost);
                if let Some((stub, cost)) = stub_of(&entry) {
                    cold.stored_bytes += cost;
                    cold.stored.push_front(stub);
                }
            }
        }
        while cold.fresh.front().is_some_and(is_stored)
            && let Some(entry) = cold.fresh.pop_front()
        {
            self.ready_bytes -= entry.item.as_ref().map_or(0, T::cost);
            if let Some((stub, cost)) = stub_of(&entry) {
                cold.stored_bytes += cost;
                cold.stored.push_back(stub);
            }
        }
        self.warm_up();
        let Some(cold) = &mut self.cold else { return };
        super::give_back(&mut cold.fresh, super::BUSY_CAPACITY_MAX);
        super::give_back(&mut self.entries, super::BUSY_CAPACITY_MAX);
    }

    /// How many messages are ready in memory.
    #[must_use]
    pub fn ready_len(&self) -> usize {
        self.entries.len() - self.leased_entries
    }

    /// The next messages, when they have to be loaded before one can be leased.
    pub fn to_load(&self) -> impl Iterator<Item = &Stub> {
        let is_next = self.ready_len() == 0;
        self.cold.iter().filter(move |_| is_next).flat_map(|cold| &cold.stored)
    }

    /// Takes the next stored message in, as it was loaded. One that is not the next any more is not wanted.
    pub fn fill(&mut self, position: Position, item: T) {
        if self.pop_stored(position).is_some() {
            self.ready_bytes += item.cost();
            self.entries.push_back(Entry { position: position.0, item: Some(item) });
            self.warm_up();
        }
    }

    /// The next stored message could not be loaded: it goes. Answers whether it was there.
    pub fn lose(&mut self, position: Position) -> bool {
        let lost = self.pop_stored(position);
        if let Some(stub) = lost {
            self.leave(position, Left::Stub(stub));
            self.warm_up();
        }
        lost.is_some()
    }

    /// Changes a leased message: its content was loaded.
    pub fn get_mut(&mut self, position: Position) -> Option<&mut T> {
        let index = self.find(position)?;
        self.entries.get_mut(index)?.item.as_mut()
    }

    /// Drops what nobody has leased and the store keeps before `reference`.
    pub fn evict_below(&mut self, reference: u64) {
        let before = self.len();
        self.retain_ready(|_, stub| stub.is_none_or(|stub| stub.reference >= reference));
        let evicted = (before - self.len()) as u64;
        if evicted > 0 {
            self.note_dropped().evicted += evicted;
        }
    }

    /// What has left without its consumer's word since the last call.
    pub fn take_left(&mut self) -> Vec<(Position, Left<T>)> {
        let Some(cold) = &mut self.cold else { return Vec::new() };
        let left = std::mem::take(&mut cold.left);
        if cold.is_empty() {
            self.cold = None;
        }
        left
    }

    /// Empties the part that is not in memory.
    pub fn drain_stored(&mut self) -> Vec<(Position, Left<T>)> {
        let Some(cold) = self.cold.take() else { return Vec::new() };
        let stubs = cold.stored.into_iter().map(|stub| (stub.position, Left::Stub(stub)));
        let fresh =
            cold.fresh.into_iter().filter_map(|entry| Some((Position(entry.position), Left::Item(entry.item?))));
        cold.left.into_iter().chain(stubs).chain(fresh).collect()
    }

    /// Messages behind the entries.
    pub(super) fn cold_len(&self) -> usize {
        self.cold.as_ref().map_or(0, |cold| cold.stored.len() + cold.fresh.len())
    }

    pub(super) fn stored_bytes(&self) -> usize {
        self.cold.as_ref().map_or(0, |cold| cold.stored_bytes)
    }

    pub(super) fn leave(&mut self, position: Position, left: Left<T>) {
        let is_durable = match &left {
            Left::Item(item) => item.is_durable(),
            Left::Stub(_) => true,
        };
        if is_durable {
            self.cold.get_or_insert_default().left.push((position, left));
        }
    }

    /// Keeps of the messages that nobody has leased those that `keep` says, oldest first; it sees the deadline and, of
    /// one that is stored, where. Nothing is counted.
    pub(super) fn retain_ready(&mut self, mut keep: impl FnMut(u64, Option<Stub>) -> bool) {
        let mut left: Vec<(Position, Left<T>)> = Vec::new();
        let mut bytes = 0;
        let mut index = 0;
        let leased = self.leased_entries;
        let mut keeps = |entry: &mut Entry<T>| {
            let Some(item) = &entry.item else { return true };
            let stub = stub_of(entry).map(|(stub, _)| stub);
            let stays = keep(item.expires_at_ms(), stub);
            if !stays && let Some(item) = entry.item.take() {
                bytes += item.cost();
                left.push((Position(entry.position), Left::Item(item)));
            }
            stays
        };
        self.entries.retain_mut(|entry| {
            index += 1;
            index <= leased || keeps(entry)
        });
        if let Some(cold) = &mut self.cold {
            let mut stored_left = Vec::new();
            cold.fresh.retain_mut(&mut keeps);
            cold.stored.retain(|stub| {
                let stays = keep(stub.expires_at_ms, Some(*stub));
                if !stays {
                    cold.stored_bytes -= stub.cost as usize;
                    stored_left.push((stub.position, Left::Stub(*stub)));
                }
                stays
            });
            left.extend(stored_left);
        }
        self.ready_bytes -= bytes;
        left.into_iter().for_each(|(position, left)| self.leave(position, left));
        self.warm_up();
        super::give_back(&mut self.entries, super::BUSY_CAPACITY_MAX);
    }

    /// Takes out the oldest message that nobody has leased.
    pub(super) fn pop_ready(&mut self) -> bool {
        let leased = self.leased_entries;
        if let Some(Entry { position, item: Some(item) }) = self.entries.remove(leased) {
            self.ready_bytes -= item.cost();
            self.leave(Position(position), Left::Item(item));
            return true;
        }
        let next = self.cold.as_ref().and_then(|cold| cold.stored.front()).map(|stub| stub.position);
        next.is_some_and(|position| self.lose(position))
    }

    /// What came after the stored messages is next when there are none left.
    pub(super) fn warm_up(&mut self) {
        if let Some(cold) = &mut self.cold
            && cold.stored.is_empty()
        {
            self.entries.append(&mut cold.fresh);
            if cold.is_empty() {
                self.cold = None;
            }
        }
    }

    fn pop_stored(&mut self, position: Position) -> Option<Stub> {
        let cold = self.cold.as_mut()?;
        let stub = *cold.stored.front().filter(|stub| stub.position == position)?;
        cold.stored.pop_front();
        cold.stored_bytes -= stub.cost as usize;
        Some(stub)
    }
}

/// An entry as a stub, if the store holds it, and what it is charged with.
fn stub_of<T: Item>(entry: &Entry<T>) -> Option<(Stub, usize)> {
    let item = entry.item.as_ref()?;
    let (reference, len) = item.stub()?;
    let cost = item.cost();
    let stub = Stub {
        position: Position(entry.position),
        reference,
        len,
        cost: u32::try_from(cost).ok()?,
        expires_at_ms: item.expires_at_ms(),
    };
    Some((stub, cost))
}

#[cfg(test)]
#[path = "cold_tests.rs"]
mod tests;
