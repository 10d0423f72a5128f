//! What a group gets not before its time: scheduled messages, and those that are delivered again after a delay.

use std::collections::BTreeMap;

use foldhash::fast::FixedState;
use hashbrown::HashMap;

/// A message that waits for its time.
#[derive(Debug, Clone, Copy)]
pub(super) struct Waiting {
    /// How often it was delivered; 0 for one that is scheduled.
    pub(super) attempts: u32,
    /// Its key, if it was known and the group keeps keys in order. One that was delivered holds its key meanwhile.
    pub(super) key: Option<u64>,
}

/// Messages by the time from which on they may go, each once.
#[derive(Debug, Default)]
pub(super) struct Waits {
    by_time: BTreeMap<(u64, u64), Waiting>,
    /// The times, by position: one that is taken out of the queue waits no longer.
    until_ms: HashMap<u64, u64, FixedState>,
}

impl Waits {
    pub(super) fn len(&self) -> usize {
        self.by_time.len()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.by_time.is_empty()
    }

    pub(super) fn insert(&mut self, until_ms: u64, position: u64, waiting: Waiting) {
        self.remove(position);
        self.by_time.insert((until_ms, position), waiting);
        self.until_ms.insert(position, until_ms);
    }

    pub(super) fn remove(&mut self, position: u64) -> Option<Waiting> {
        if self.until_ms.is_empty() {
            return None;
        }
        let until_ms = self.until_ms.remove(&position)?;
        self.by_time.remove(&(until_ms, position))
    }

    /// Takes out the next one whose time has come.
    pub(super) fn pop_due(&mut self, now_ms: u64) -> Option<(u64, Waiting)> {
        let first = self.by_time.first_entry().filter(|first| first.key().0 <= now_ms)?;
        let ((_, position), waiting) = first.remove_entry();
        self.until_ms.remove(&position);
        if self.by_time.is_empty() {
            self.until_ms.shrink_to_fit();
        }
        Some((position, waiting))
    }

    pub(super) fn next_deadline_ms(&self) -> Option<u64> {
        self.by_time.first_key_value().map(|((until_ms, _), _)| *until_ms)
    }
}

#[cfg(test)]
impl Waits {
    pub(super) fn positions(&self) -> impl Iterator<Item = u64> {
        self.by_time.keys().map(|(_, position)| *position)
    }

    /// The keys that wait with a message that was delivered.
    pub(super) fn keys_held(&self) -> impl Iterator<Item = u64> {
        self.by_time.values().filter(|waiting| waiting.attempts > 0).filter_map(|waiting| waiting.key)
    }
}
