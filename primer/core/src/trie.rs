//! The subscription trie: which subscribers a topic has.
//!
//! Holds filters with their subscribers, direct and shared, and finds those a topic matches without allocating. It
//! does not check filters ([`crate::topic::check_filter`] does), does not choose a member of a share group, and knows
//! no session. An invalid filter does no harm: it is stored, can be removed, and matches what it happens to spell.
//!
//! A node is one level of one filter; `+` and `#` are nodes too, linked from fields of their parent. Depth is bounded
//! by [`FILTER_LEVELS_MAX`], and with it the recursion of [`Trie::matching`]; each node is visited at most once a
//! topic. Slots of removed nodes are reused, not given back.

mod level;
mod nodes;
mod subscribers;
#[cfg(test)]
mod tests;

use core::hash::Hash;

use self::nodes::{NODES_MAX, NodeId, Nodes, split_level};
pub use self::subscribers::{Direct, Group, KeyMap, Subscribers};

/// The most levels a filter may have. Topics may have any number: matching goes no deeper than the filters do.
pub const FILTER_LEVELS_MAX: usize = 200;

/// Why a filter was not inserted; the trie is unchanged.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum TrieError {
    /// The filter has more than [`FILTER_LEVELS_MAX`] levels.
    #[error("the filter has more than {FILTER_LEVELS_MAX} levels")]
    TooDeep,
    /// There are as many nodes as the trie can name.
    #[error("the subscription trie is full")]
    Full,
}

/// Filters and their subscribers. `K` names a subscriber, `V` is what a subscription carries.
#[derive(Debug)]
pub struct Trie<K, V> {
    nodes: Nodes<K, V>,
    subscriptions: usize,
    shared: usize,
}

impl<K: Copy + Eq + Hash, V> Default for Trie<K, V> {
    fn default() -> Self {
        Self::new()
    }
}

impl<K: Copy + Eq + Hash, V> Trie<K, V> {
    /// An empty trie.
    #[must_use]
    pub fn new() -> Self {
        Self { nodes: Nodes::new(), subscriptions: 0, shared: 0 }
    }

    /// Subscribes `key` to `filter`, as a member of the group `share` if one is named. `filter` is the inner filter,
    /// without `$share/GROUP/`. Returns the value this subscription had before.
    ///
    /// # Errors
    /// Says which limit the filter would break; nothing has changed then.
    pub fn insert(&mut self, filter: &str, share: Option<&str>, key: K, value: V) -> Result<Option<V>, TrieError> {
        if memchr::memchr_iter(b'/', filter.as_bytes()).count() >= FILTER_LEVELS_MAX {
            return Err(TrieError::TooDeep);
        }
        if self.nodes.len() > NODES_MAX - FILTER_LEVELS_MAX {
            return Err(TrieError::Full);
        }
        let mut id = NodeId::ROOT;
        let mut rest = Some(filter);
        while let Some(text) = rest {
            let (level, next) = split_level(text);
            id = self.nodes.child_or_add(id, level);
            rest = next;
        }
        let replaced = self.nodes.get_mut(id).subscribers.insert(share, key, value);
        if replaced.is_none() {
            self.subscriptions += 1;
            self.shared += usize::from(share.is_some());
        }
        Ok(replaced)
    }

    /// Takes the subscription of `key` out, and with it the nodes and the group that nothing needs any more. Costs a
    /// look-up per level, however many others subscribe.
    pub fn remove(&mut self, filter: &str, share: Option<&str>, key: K) -> Option<V> {
        let id = self.find(filter)?;
        let removed = self.nodes.get_mut(id).subscribers.remove(share, key)?;
        self.subscriptions -= 1;
        self.shared -= usize::from(share.is_some());
        self.nodes.prune(id);
        Some(removed)
    }

    /// The value of the subscription of `key`.
    #[must_use]
    pub fn get(&self, filter: &str, share: Option<&str>, key: K) -> Option<&V> {
        self.nodes.get(self.find(filter)?).subscribers.get(share, key)
    }

    /// Calls `f` once for each filter that matches `topic`, with the filter's subscribers, never none. A subscriber
    /// with several matching filters is seen with each. Topics that begin with `$` are not matched by a wildcard in
    /// the first level [MQTT-4.7.2-1].
    pub fn matching<'t>(&'t self, topic: &str, mut f: impl FnMut(&'t Subscribers<K, V>)) {
        if !topic.starts_with('$') {
            self.walk(NodeId::ROOT, Some(topic), &mut f);
            return;
        }
        let (level, rest) = split_level(topic);
        if let Some(child) = self.nodes.literal(NodeId::ROOT, level) {
            self.walk(child, rest, &mut f);
        }
    }

    /// The number of subscriptions, shared ones included.
    #[must_use]
    pub fn len(&self) -> usize {
        self.subscriptions
    }

    /// Whether there is no subscription.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.subscriptions == 0
    }

    /// The number of shared subscriptions: members, not groups.
    #[must_use]
    pub fn shared_len(&self) -> usize {
        self.shared
    }

    /// The number of nodes in use; 1, the root, when the trie is empty.
    #[must_use]
    pub fn node_count(&self) -> usize {
        self.nodes.len()
    }

    /// Follows literal levels in a loop and recurses for `+` only, so a call stack is as deep as a filter has `+`.
    fn walk<'t>(&'t self, from: NodeId, topic: Option<&str>, f: &mut impl FnMut(&'t Subscribers<K, V>)) {
        let mut id = from;
        let mut rest = topic;
        loop {
            let node = self.nodes.get(id);
            if let Some(hash) = node.hash {
                // Also when no level is left: `a/#` matches `a` (4.7.1.2).
                self.emit(hash, f);
            }
            let Some(text) = rest else {
                self.emit(id, f);
                return;
            };
            let (level, next) = split_level(text);
            if let Some(plus) = node.plus {
                self.walk(plus, next, f);
            }
            let Some(child) = self.nodes.literal(id, level) else {
                return;
            };
            id = child;
            rest = next;
        }
    }

    fn emit<'t>(&'t self, id: NodeId, f: &mut impl FnMut(&'t Subscribers<K, V>)) {
        let subscribers = &self.nodes.get(id).subscribers;
        if !subscribers.is_empty() {
            f(subscribers);
        }
    }

    fn find(&self, filter: &str) -> Option<NodeId> {
        let mut id = NodeId::ROOT;
        let mut rest = Some(filter);
        while let Some(text) = rest {
            let (level, next) = split_level(text);
            id = self.nodes.child(id, level)?;
            rest = next;
        }
        Some(id)
    }
}
