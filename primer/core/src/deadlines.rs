//! A set of deadlines: which key is due next.
//!
//! Times are milliseconds on whatever clock the caller has; none is read here. Equal deadlines come in the order in
//! which they were set, so that a run can be replayed. Nothing is called when a deadline passes: the owner asks.

#[cfg(test)]
mod tests;

use core::hash::Hash;
use std::collections::BTreeMap;

use foldhash::fast::RandomState;
use hashbrown::HashMap;

/// Keys and the time each is due, at most one a key. Each operation costs O(log n).
#[derive(Debug, Clone)]
pub struct Deadlines<K> {
    order: BTreeMap<Place, K>,
    places: HashMap<K, Place, RandomState>,
    sequence: u64,
}

/// A deadline and the insertion it came from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Place {
    at_ms: u64,
    sequence: u64,
}

impl<K: Clone + Eq + Hash> Default for Deadlines<K> {
    fn default() -> Self {
        Self::new()
    }
}

impl<K: Clone + Eq + Hash> Deadlines<K> {
    /// No deadlines.
    #[must_use]
    pub fn new() -> Self {
        Self { order: BTreeMap::new(), places: HashMap::default(), sequence: 0 }
    }

    /// Sets the deadline of `key`. A key that has one is moved, also behind others with the same deadline.
    pub fn insert(&mut self, at_ms: u64, key: K) {
        let place = Place { at_ms, sequence: self.sequence };
        self.sequence += 1;
        if let Some(old) = self.places.insert(key.clone(), place) {
            self.order.remove(&old);
        }
        self.order.insert(place, key);
    }

    /// Takes the deadline of `key` away; whether it had one.
    pub fn cancel(&mut self, key: &K) -> bool {
        match self.places.remove(key) {
            Some(place) => self.order.remove(&place).is_some(),
            None => false,
        }
    }

    /// Takes out the key with the earliest deadline, if that is at or before `now_ms`.
    pub fn pop_due(&mut self, now_ms: u64) -> Option<K> {
        let first = self.order.first_entry()?;
        if first.key().at_ms > now_ms {
            return None;
        }
        let key = first.remove();
        self.places.remove(&key);
        Some(key)
    }

    /// The earliest deadline, in milliseconds.
    #[must_use]
    pub fn next(&self) -> Option<u64> {
        self.order.first_key_value().map(|(place, _)| place.at_ms)
    }

    /// The deadline of `key`, in milliseconds.
    #[must_use]
    pub fn get(&self, key: &K) -> Option<u64> {
        self.places.get(key).map(|place| place.at_ms)
    }

    /// The number of deadlines.
    #[must_use]
    pub fn len(&self) -> usize {
        self.order.len()
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.order.is_empty()
    }
}
