//! The state of a rule.

use std::collections::BTreeMap;

/// One change of an entry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StateChange {
    /// The entry.
    pub key: String,
    /// What was there.
    pub before: Option<Vec<u8>>,
    /// What is there now.
    pub after: Option<Vec<u8>>,
}

/// What a rule remembers.
#[derive(Debug, Default)]
pub struct RuleState {
    entries: BTreeMap<String, Vec<u8>>,
    changes: Vec<StateChange>,
}

/// What scripts call `state`.
#[derive(Debug, Clone, Copy)]
pub struct StateHandle;

impl RuleState {
    /// An empty one.
    #[must_use]
    pub fn new(_keys_max: usize, _bytes_max: usize) -> Self {
        Self::default()
    }

    /// Puts an entry back.
    pub fn restore(&mut self, key: &str, value: &[u8]) -> bool {
        self.entries.insert(key.to_owned(), value.to_vec()).is_none()
    }

    /// Begins a call.
    pub fn begin(&mut self) {
        self.changes.clear();
    }

    /// Undoes the call.
    pub fn rollback(&mut self) {
        let changes = std::mem::take(&mut self.changes);
        self.revert(&changes);
    }

    /// What the call has changed.
    pub fn changes(&mut self) -> Vec<StateChange> {
        std::mem::take(&mut self.changes)
    }

    /// Undoes changes.
    pub fn revert(&mut self, changes: &[StateChange]) {
        for change in changes.iter().rev() {
            match &change.before {
                Some(value) => self.entries.insert(change.key.clone(), value.clone()),
                None => self.entries.remove(&change.key),
            };
        }
    }

    /// Whether there is no entry.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }
}
