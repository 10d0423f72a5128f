//! Who subscribes to what, shared by all connections of a node.

use parking_lot::{RwLock, RwLockReadGuard};
use primer_core::trie::{Trie, TrieError};

/// Names a subscriber within a node; never used twice.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SubscriberKey(pub u64);

/// The routing table.
///
/// Lock order: a thread that holds a subscriber's own lock must not take this one.
#[derive(Debug)]
pub struct Routes<S> {
    trie: RwLock<Trie<SubscriberKey, S>>,
}

impl<S> Default for Routes<S> {
    fn default() -> Self {
        Self { trie: RwLock::new(Trie::new()) }
    }
}

impl<S> Routes<S> {
    /// The table, for matching.
    pub fn read(&self) -> RwLockReadGuard<'_, Trie<SubscriberKey, S>> {
        self.trie.read()
    }

    /// Adds many subscriptions of one subscriber under one lock: `(filter, share group, value)`. Answers for each
    /// whether it is new.
    pub fn subscribe<'f>(
        &self,
        key: SubscriberKey,
        subscriptions: impl Iterator<Item = (&'f str, Option<&'f str>, S)>,
    ) -> Vec<Result<bool, TrieError>> {
        let mut trie = self.trie.write();
        subscriptions.map(|(filter, share, value)| Ok(trie.insert(filter, share, key, value)?.is_none())).collect()
    }

    /// Removes many subscriptions of one subscriber under one lock; answers for each whether it existed.
    pub fn unsubscribe<'f>(
        &self,
        key: SubscriberKey,
        filters: impl Iterator<Item = (&'f str, Option<&'f str>)>,
    ) -> Vec<bool> {
        let mut trie = self.trie.write();
        let removed: Vec<Option<S>> = filters.map(|(filter, share)| trie.remove(filter, share, key)).collect();
        drop(trie); // what the values hold may take locks of its own when it goes
        removed.iter().map(Option::is_some).collect()
    }
}
