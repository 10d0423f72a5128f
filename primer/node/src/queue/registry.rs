//! The queues of a node by name: found, made, listed, ended.

use std::{
    collections::BTreeMap,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    task::Waker,
};

use hashbrown::HashMap;
use parking_lot::{Mutex, RwLock};
use primer_core::{
    queue::name::{self, NameError},
    trie::Trie,
};

use super::cell::{QueueCell, QueueKey};
use crate::{
    definition::{Definition, DefinitionError, Patterns},
    inner::Inner,
    journal::Change,
};

/// Why a queue could not be made or changed. Nothing has changed.
///
/// ```
/// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let node = primer::Node::builder().start().await?;
/// let error = node.queue("a/+").unwrap_err().to_string();
/// assert!(error.starts_with("\"a/+\" is no name of a queue: '+' cannot stand in a name"));
/// # node.shutdown(std::time::Duration::ZERO).await; Ok(()) }
/// ```
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum QueueError {
    /// The name cannot be one.
    #[error("{name:?} is no name of a queue: {why}")]
    Name {
        /// The name.
        name: String,
        /// Why.
        why: NameError,
    },
    /// The definition cannot be one.
    #[error("the definition of the queue {name:?} is wrong: {why}")]
    Definition {
        /// The queue.
        name: String,
        /// Why.
        why: DefinitionError,
    },
    /// There is one of that name already, with another definition.
    #[error("the queue {0:?} exists, with another definition")]
    Exists(String),
    /// There is none of that name.
    #[error("there is no queue {0:?}")]
    Unknown(String),
    /// The node has as many queues as it may have.
    #[error("the node has {0} queues and takes no more")]
    TooMany(usize),
    /// A queue has as many groups as it may have.
    #[error("a queue has at most {} groups", primer_core::limits::GROUPS_MAX)]
    TooManyGroups,
}

/// See the module's description. Its locks are never held while a queue's is taken, but for `changes`, which comes
/// before all others.
#[derive(Debug, Default)]
pub(crate) struct Registry {
    by_name: RwLock<BTreeMap<Arc<str>, Arc<QueueCell>>>,
    by_key: RwLock<HashMap<QueueKey, Arc<QueueCell>, foldhash::fast::RandomState>>,
    patterns: RwLock<Patterns>,
    /// Topic filters that queues are bound to.
    bindings: RwLock<Trie<QueueKey, Arc<QueueCell>>>,
    /// Whether there are any, to be looked at without their lock.
    has_bindings: AtomicBool,
    next_key: AtomicU64,
    /// Held while a queue is made by hand, given another definition, or removed: what it is bound to has to be what its
    /// definition says when two do so at a time.
    changes: Mutex<()>,
}

/// Queues of a node, at most: each takes memory that nobody has asked for if names come from outside.
pub(crate) const QUEUES_MAX: usize = 1_000_000;

/// How long a queue is remembered that does not exist, after the last who waited for it has gone: its groups get what
/// is pushed meanwhile.
const WAIT_MS: u64 = 600_000;

impl Registry {
    pub(crate) fn define(&self, pattern: &str, definition: Definition) {
        self.patterns.write().set(pattern, definition);
    }

    /// Names that the definitions name.
    pub(crate) fn defined(&self) -> Vec<String> {
        self.patterns.read().names().map(str::to_owned).collect()
    }

    /// Whether anybody has said anything about a queue of this name.
    pub(crate) fn is_defined(&self, name: &str) -> bool {
        self.patterns.read().of(name).1
    }

    /// What the closest pattern says of a queue of this name.
    pub(crate) fn defined_as(&self, name: &str) -> Definition {
        self.patterns.read().of(name).0
    }

    pub(crate) fn get(&self, name: &str) -> Option<Arc<QueueCell>> {
        self.by_name.read().get(name).cloned()
    }

    pub(crate) fn by_key(&self, key: QueueKey) -> Option<Arc<QueueCell>> {
        self.by_key.read().get(&key).cloned()
    }

    /// All queues, by name.
    pub(crate) fn all(&self) -> Vec<Arc<QueueCell>> {
        self.by_name.read().values().cloned().collect()
    }

    /// At most so many queues that exist, after a name.
    pub(crate) fn page(&self, after: Option<&str>, queues_max: usize) -> Vec<Arc<QueueCell>> {
        use std::ops::Bound::{Excluded, Unbounded};
        let by_name = self.by_name.read();
        let from = after.map_or(Unbounded, Excluded);
        let known = by_name.range::<str, _>((from, Unbounded)).map(|(_, cell)| cell).filter(|cell| cell.is_known());
        known.take(queues_max).cloned().collect()
    }

    /// The queue of this name. One that is not there is made, with the closest definition; it exists when somebody has
    /// defined it, or puts something into it.
    pub(crate) fn get_or_make(&self, inner: &Arc<Inner>, name: &str) -> Result<Arc<QueueCell>, QueueError> {
        if let Some(known) = self.get(name) {
            return Ok(known);
        }
        check_name(name)?;
        let (definition, is_defined) = self.patterns.read().of(name);
        let cell = self.add(name, definition, false)?;
        if is_defined {
            self.make_known(inner, &cell);
        }
        Ok(cell)
    }

    /// Makes a queue with this definition; one that exists with the same is fine.
    pub(crate) fn make(
        &self,
        inner: &Arc<Inner>,
        name: &str,
        definition: Definition,
    ) -> Result<Arc<QueueCell>, QueueError> {
        check_name(name)?;
        check_definition(name, &definition)?;
        let _one_at_a_time = self.changes.lock();
        let cell = match self.get(name) {
            Some(known) if known.is_known() => {
                let is_same = *known.state.lock().definition == definition;
                return if is_same { Ok(known) } else { Err(QueueError::Exists(name.to_owned())) };
            }
            Some(waited_for) => {
                self.change(inner, &waited_for, definition);
                return Ok(waited_for);
            }
            None => {
                let cell = self.add(name, definition.clone(), true)?;
                if *cell.state.lock().definition != definition {
                    self.change(inner, &cell, definition); // somebody waited for it at the same moment
                }
                cell
            }
        };
        self.make_known(inner, &cell);
        Ok(cell)
    }

    /// Gives a queue another definition. What it holds stays.
    pub(crate) fn redefine(
        &self,
        inner: &Arc<Inner>,
        cell: &Arc<QueueCell>,
        definition: Definition,
    ) -> Result<(), QueueError> {
        check_definition(&cell.name, &definition)?;
        let _one_at_a_time = self.changes.lock();
        if cell.state.lock().is_ended {
            return Err(QueueError::Unknown(cell.name.to_string()));
        }
        self.change(inner, cell, definition);
        Ok(())
    }

    /// The same, of a definition that can be one, by who holds `changes`.
    fn change(&self, inner: &Arc<Inner>, cell: &Arc<QueueCell>, definition: Definition) {
        // What both definitions bind is bound all the time: what is published meanwhile must not be missed.
        let before = Arc::clone(&cell.state.lock().definition);
        self.bind_to(cell, &definition.bind);
        let gone: Vec<&String> = before.bind.iter().filter(|filter| !definition.bind.contains(filter)).collect();
        self.unbind_from(cell, &gone);
        cell.with(inner, |state, _| {
            state.machine.set_terms(definition.terms(cell.is_dead()));
            (state.definition, state.is_own) = (Arc::new(definition), true);
            cell.make_known(inner, state);
            state.begin_keeping(&cell.name, inner); // what is pushed from now on, if it was in memory before
            state.keep_definition();
        });
    }

    /// The dead letters of a queue.
    pub(crate) fn dead_letters_of(&self, name: &str) -> Result<Arc<QueueCell>, QueueError> {
        let dead = format!("{}{name}", name::DEAD);
        if let Some(known) = self.get(&dead) {
            return Ok(known);
        }
        let definition = self.patterns.read().of(&dead).0;
        self.add(&dead, definition, false)
    }

    /// Puts a queue of an earlier life back.
    pub(crate) fn restore(&self, name: &str, definition: Option<Definition>) -> Result<Arc<QueueCell>, QueueError> {
        check_name(name)?;
        let is_own = definition.is_some();
        let definition = definition.unwrap_or_else(|| self.patterns.read().of(name).0);
        self.add(name, definition, is_own)
    }

    /// Ends a queue: what is in it is gone, and its consumers get nothing more. Its dead letters stay.
    pub(crate) fn remove(&self, inner: &Arc<Inner>, name: &str) -> Result<usize, QueueError> {
        let _one_at_a_time = self.changes.lock();
        let cell = self.get(name).filter(|cell| cell.is_known()).ok_or_else(|| QueueError::Unknown(name.to_owned()))?;
        self.unbind(&cell);
        let mut wakers = Vec::new();
        let gone = cell.with(inner, |state, _| {
            state.is_ended = true;
            let left = state.machine.drain();
            for inbox in std::mem::take(&mut state.inboxes).into_values() {
                inbox.close(&mut wakers);
            }
            if let Some(kept) = state.kept.take() {
                for (_, one) in &left {
                    state.draft.change(Change::Settle(super::cell::whereabouts(one)));
                }
                for group in kept.groups.into_values().chain([kept.id]) {
                    state.draft.change(Change::Drop(group));
                }
            }
            left.len()
        });
        // Not before the store has heard of it: two queues of one name would not come back after a crash.
        self.by_name.write().remove(name);
        self.by_key.write().remove(&cell.key);
        wakers.into_iter().for_each(Waker::wake);
        Ok(gone)
    }

    /// Forgets a queue that nobody has made or used, if nobody has waited for it for [`WAIT_MS`] either: names come
    /// from outside, and each takes memory. `cell` is the caller's only handle. Answers whether it was forgotten.
    pub(crate) fn forget_unused(&self, inner: &Arc<Inner>, cell: &Arc<QueueCell>, now_ms: u64) -> bool {
        // One for each of the maps, and the caller's. Nobody takes another one while both are locked.
        const IDLE_HANDLES: usize = 3;
        let is_idle = || !cell.is_known() && Arc::strong_count(cell) <= IDLE_HANDLES;
        let idle_since_ms = {
            let mut state = cell.state.lock();
            let since_ms = is_idle().then(|| state.idle_since_ms.unwrap_or(now_ms));
            state.idle_since_ms = since_ms;
            since_ms
        };
        if idle_since_ms.is_none_or(|since_ms| now_ms < since_ms.saturating_add(WAIT_MS)) {
            return false;
        }
        let (mut by_name, mut by_key) = (self.by_name.write(), self.by_key.write());
        if !is_idle() {
            return false;
        }
        by_name.remove(&cell.name);
        by_key.remove(&cell.key);
        drop((by_name, by_key));
        cell.with(inner, |state, _| state.is_ended = true); // its charge goes
        true
    }

    /// The queues that are bound to a filter which matches this topic.
    pub(crate) fn bound_to(&self, topic: &str) -> Vec<Arc<QueueCell>> {
        let mut bound: Vec<Arc<QueueCell>> = Vec::new();
        if !self.has_bindings.load(Ordering::Acquire) || topic.starts_with('$') {
            return bound;
        }
        let bindings = self.bindings.read();
        bindings.matching(topic, |node| {
            for (_, cell) in node.direct() {
                if !bound.iter().any(|known| known.key == cell.key) {
                    bound.push(Arc::clone(cell));
                }
            }
        });
        bound
    }

    fn add(&self, name: &str, definition: Definition, is_own: bool) -> Result<Arc<QueueCell>, QueueError> {
        let key = QueueKey(self.next_key.fetch_add(1, Ordering::Relaxed));
        let cell = Arc::new(QueueCell::new(name, key, definition, is_own));
        {
            let mut by_name = self.by_name.write();
            if let Some(known) = by_name.get(name) {
                return Ok(Arc::clone(known)); // somebody was faster
            }
            if by_name.len() >= QUEUES_MAX {
                return Err(QueueError::TooMany(QUEUES_MAX));
            }
            by_name.insert(Arc::clone(&cell.name), Arc::clone(&cell));
        }
        self.by_key.write().insert(key, Arc::clone(&cell));
        self.bind(&cell);
        Ok(cell)
    }

    fn make_known(&self, inner: &Arc<Inner>, cell: &Arc<QueueCell>) {
        cell.with(inner, |state, _| cell.make_known(inner, state));
    }

    fn bind(&self, cell: &Arc<QueueCell>) {
        let definition = Arc::clone(&cell.state.lock().definition);
        self.bind_to(cell, &definition.bind);
    }

    fn bind_to(&self, cell: &Arc<QueueCell>, filters: &[String]) {
        if filters.is_empty() {
            return;
        }
        let mut bindings = self.bindings.write();
        for filter in filters {
            let _they_were_checked = bindings.insert(filter, None, cell.key, Arc::clone(cell));
        }
        self.has_bindings.store(true, Ordering::Release);
        drop(bindings);
        if cell.state.lock().is_ended {
            self.unbind_from(cell, filters); // it was removed meanwhile
        }
    }

    fn unbind(&self, cell: &Arc<QueueCell>) {
        let definition = Arc::clone(&cell.state.lock().definition);
        self.unbind_from(cell, &definition.bind);
    }

    fn unbind_from(&self, cell: &Arc<QueueCell>, filters: &[impl AsRef<str>]) {
        if !filters.is_empty() {
            let mut bindings = self.bindings.write();
            for filter in filters {
                bindings.remove(filter.as_ref(), None, cell.key);
            }
        }
    }
}

fn check_name(name: &str) -> Result<(), QueueError> {
    name::check(name).map_err(|why| QueueError::Name { name: name.to_owned(), why })
}

pub(crate) fn check_definition(name: &str, definition: &Definition) -> Result<(), QueueError> {
    definition.check().map_err(|why| QueueError::Definition { name: name.to_owned(), why })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::node::Node;

    /// Each name that somebody had subscribed to stayed for the life of the process, and was charged on its memory.
    #[test]
    fn names_that_nobody_uses_are_forgotten() {
        let node = Node::still(1 << 20);
        let registry = &node.inner.registry;
        for number in 0..1_000 {
            let waited_for = node.queue(&format!("waited-for/{number}")).unwrap();
            drop(waited_for.consume(1).unwrap());
        }
        assert!(node.inner.budget.used() > 1_000_000);
        let held = node.queue("waited-for/0").unwrap();
        let worker = node.queue("waited-for/1").unwrap().consume(1).unwrap();
        node.create_queue("made", Definition::default()).unwrap();
        let look = |now_ms| {
            registry.all().into_iter().filter(|cell| registry.forget_unused(&node.inner, cell, now_ms)).count()
        };
        assert_eq!((look(1), look(WAIT_MS)), (0, 0));
        assert_eq!(look(WAIT_MS + 1), 998);
        assert_eq!(registry.all().len(), 3);
        assert!(node.inner.budget.used() < 10_000, "{}", node.inner.budget.used());
        drop((held, worker));
        assert_eq!((look(2 * WAIT_MS), look(3 * WAIT_MS)), (0, 2));
        assert!(node.find_queue("made").is_some());
    }
}
