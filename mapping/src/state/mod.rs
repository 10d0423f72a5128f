//! What a rule remembers from call to call: values of CBOR under keys, with bounds.
//!
//! Nothing here writes to a disk. A call's changes are asked for when it is over, committed with the rest of it, and
//! taken back when that fails. A state that nothing is put into takes no memory.

mod script;
mod windows;

#[cfg(test)]
mod tests;

use std::{collections::BTreeMap, ops::Bound, sync::Arc};

use primer::TABLE_VALUE_BYTES_MAX;

pub(crate) use self::script::{StateHandle, module, shown};

/// The values of one rule.
#[derive(Debug, Clone)]
pub struct RuleState {
    entries: BTreeMap<Box<str>, Arc<[u8]>>,
    /// What was under each key that was written since [`RuleState::begin`].
    before: BTreeMap<Box<str>, Option<Arc<[u8]>>>,
    /// Bytes of keys and values.
    bytes: usize,
    keys_max: usize,
    bytes_max: usize,
}

/// What a call has done to one key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StateChange {
    /// The key.
    pub key: String,
    /// The value before the call, if there was one.
    pub before: Option<Vec<u8>>,
    /// The value after it, if there is one.
    pub after: Option<Vec<u8>>,
}

/// Why a value is not kept. Nothing has changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum StateFull {
    /// Too many keys.
    #[error("the rule's state has {0} keys, which is the limit")]
    Keys(usize),
    /// Too many bytes.
    #[error("the rule's state would have more than {0} bytes, which is the limit")]
    Bytes(usize),
    /// The value is longer than a table of the store takes.
    #[error("a value of the rule's state has at most {TABLE_VALUE_BYTES_MAX} bytes, and this one {0}")]
    Value(usize),
}

impl RuleState {
    /// A state that has nothing yet, and never more than this many keys, and bytes of keys and values.
    #[must_use]
    pub fn new(keys_max: usize, bytes_max: usize) -> Self {
        Self { entries: BTreeMap::new(), before: BTreeMap::new(), bytes: 0, keys_max, bytes_max }
    }

    /// Takes a value that was kept before. It is not taken, and `false` is the answer, when it is beyond the bounds.
    pub fn restore(&mut self, key: &str, value: &[u8]) -> bool {
        let fits = self.room(key, value.len()).is_ok();
        if fits {
            self.store(key, Some(value.into()));
        }
        fits
    }

    /// A call begins: what it changes can be undone.
    pub fn begin(&mut self) {
        self.before.clear();
    }

    /// Undoes everything since [`RuleState::begin`].
    pub fn rollback(&mut self) {
        for (key, value) in std::mem::take(&mut self.before) {
            self.store(&key, value);
        }
    }

    /// What is other than at [`RuleState::begin`], in the order of the keys. It can no longer be rolled back.
    pub fn changes(&mut self) -> Vec<StateChange> {
        let mut changes = Vec::new();
        for (key, before) in std::mem::take(&mut self.before) {
            let after = self.entries.get(&key);
            if after != before.as_ref() {
                let after = after.map(|value| value.to_vec());
                changes.push(StateChange { key: key.into(), before: before.map(|value| value.to_vec()), after });
            }
        }
        changes
    }

    /// Takes changes back whose commit failed: those of any number of calls, in the order in which they were made, and
    /// with nothing after them.
    pub fn revert(&mut self, changes: &[StateChange]) {
        self.before.clear();
        for change in changes.iter().rev() {
            self.store(&change.key, change.before.as_deref().map(Into::into));
        }
    }

    /// Nothing is there any more, and nothing of it can be taken back.
    pub(crate) fn clear(&mut self) {
        self.entries.clear();
        self.before.clear();
        self.bytes = 0;
    }

    /// How many keys there are, those included that windows and the like are kept under.
    #[must_use]
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Bytes of keys and values.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    /// Whether nothing is kept.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// Keys and values as they are kept, in order.
    pub fn entries(&self) -> impl Iterator<Item = (&str, &[u8])> {
        self.entries.iter().map(|(key, value)| (&**key, &**value))
    }

    pub(crate) fn get(&self, key: &str) -> Option<&[u8]> {
        self.entries.get(key).map(|value| &**value)
    }

    pub(crate) fn put(&mut self, key: &str, value: &[u8]) -> Result<(), StateFull> {
        self.room(key, value.len())?;
        self.note(key);
        self.store(key, Some(value.into()));
        Ok(())
    }

    /// Whether there was something.
    pub(crate) fn remove(&mut self, key: &str) -> bool {
        let there = self.entries.contains_key(key);
        if there {
            self.note(key);
            self.store(key, None);
        }
        there
    }

    /// Keys that begin like this, with their values.
    pub(crate) fn beginning_with<'a>(&'a self, prefix: &'a str) -> impl Iterator<Item = (&'a str, &'a [u8])> {
        self.entries
            .range::<str, _>((Bound::Included(prefix), Bound::Unbounded))
            .take_while(move |(key, _)| key.starts_with(prefix))
            .map(|(key, value)| (&**key, &**value))
    }

    fn room(&self, key: &str, value_bytes: usize) -> Result<(), StateFull> {
        let replaced = self.entries.get(key).map(|value| key.len() + value.len());
        if replaced.is_none() && self.entries.len() >= self.keys_max {
            return Err(StateFull::Keys(self.keys_max));
        }
        if self.bytes - replaced.unwrap_or(0) + key.len() + value_bytes > self.bytes_max {
            return Err(StateFull::Bytes(self.bytes_max));
        }
        if value_bytes > TABLE_VALUE_BYTES_MAX {
            return Err(StateFull::Value(value_bytes));
        }
        Ok(())
    }

    fn note(&mut self, key: &str) {
        if !self.before.contains_key(key) {
            self.before.insert(key.into(), self.entries.get(key).cloned());
        }
    }

    fn store(&mut self, key: &str, value: Option<Arc<[u8]>>) {
        let stored = value.as_ref().map_or(0, |value| key.len() + value.len());
        let replaced = match (value, self.entries.get_mut(key)) {
            (Some(value), Some(entry)) => Some(std::mem::replace(entry, value)),
            (Some(value), None) => self.entries.insert(key.into(), value),
            (None, _) => self.entries.remove(key),
        };
        let replaced = replaced.map_or(0, |value| key.len() + value.len());
        self.bytes = self.bytes + stored - replaced;
    }
}
