//! The arena of the trie: nodes in one vector, their literal children in one table.
//!
//! One table for the children of all nodes, keyed by parent and level, costs about 13 bytes a node where a map in each
//! node costs 40 when empty. It is never iterated, so its random seed shows nowhere; the seed is there because clients
//! choose the levels. No subscriber logic here.

use core::hash::{BuildHasher, Hash, Hasher};
use core::num::NonZeroU32;

use foldhash::fast::RandomState;
use hashbrown::HashTable;

use super::level::Level;
use super::subscribers::Subscribers;

/// The most nodes a [`NodeId`] can name; 32 bits keep a node small.
pub(super) const NODES_MAX: usize = u32::MAX as usize - 1;

/// Names a node: its slot plus one, so that an absent link takes no more room than a link.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct NodeId(NonZeroU32);

impl NodeId {
    pub(super) const ROOT: Self = Self(NonZeroU32::MIN);

    fn of_slot(slot: usize) -> Self {
        let number = u32::try_from(slot).ok().and_then(|slot| slot.checked_add(1)).and_then(NonZeroU32::new);
        Self(number.expect("Trie::insert refuses filters before there are NODES_MAX nodes"))
    }

    fn slot(self) -> usize {
        self.0.get() as usize - 1
    }
}

/// One level of one filter.
#[derive(Debug)]
pub(super) struct Node<K, V> {
    /// The text of a literal level; empty for the root, `+` and `#`.
    level: Level,
    parent: NodeId,
    /// How many literal children `Nodes::links` has for this node.
    literals: u32,
    pub(super) plus: Option<NodeId>,
    pub(super) hash: Option<NodeId>,
    pub(super) subscribers: Subscribers<K, V>,
}

impl<K, V> Node<K, V> {
    fn new(parent: NodeId, level: &str) -> Self {
        Self {
            level: Level::new(level),
            parent,
            literals: 0,
            plus: None,
            hash: None,
            subscribers: Subscribers::default(),
        }
    }
}

/// An entry of the table of children. The hash is kept so that neither growing the table nor a look-up that fails
/// touches a node.
#[derive(Debug, Clone, Copy)]
struct Link {
    hash: u32,
    child: NodeId,
}

impl Link {
    /// The table takes bucket numbers from the low bits and tags from the high ones: 32 bits serve both.
    fn table_hash(hash: u32) -> u64 {
        u64::from(hash) << 32 | u64::from(hash)
    }
}

/// All nodes of a trie; the root is always there.
#[derive(Debug)]
pub(super) struct Nodes<K, V> {
    slots: Vec<Node<K, V>>,
    free: Vec<NodeId>,
    links: HashTable<Link>,
    seed: RandomState,
}

impl<K: Copy + Eq + Hash, V> Nodes<K, V> {
    pub(super) fn new() -> Self {
        Self {
            slots: vec![Node::new(NodeId::ROOT, "")],
            free: Vec::new(),
            links: HashTable::new(),
            seed: RandomState::default(),
        }
    }

    /// The child of `parent` for `level` of a filter, made if there is none.
    pub(super) fn child_or_add(&mut self, parent: NodeId, level: &str) -> NodeId {
        if let Some(child) = self.child(parent, level) {
            return child;
        }
        match level {
            "+" => {
                let child = self.add(parent, "");
                self.get_mut(parent).plus = Some(child);
                child
            }
            "#" => {
                let child = self.add(parent, "");
                self.get_mut(parent).hash = Some(child);
                child
            }
            _ => {
                let child = self.add(parent, level);
                let hash = self.hash(parent, level.as_bytes());
                let link = Link { hash, child };
                self.links.insert_unique(Link::table_hash(hash), link, |link| Link::table_hash(link.hash));
                self.get_mut(parent).literals += 1;
                child
            }
        }
    }

    /// Frees `id` if it has neither subscribers nor children, then its parent likewise, up to the root.
    pub(super) fn prune(&mut self, mut id: NodeId) {
        while id != NodeId::ROOT {
            let node = self.get(id);
            if !node.subscribers.is_empty() || node.plus.is_some() || node.hash.is_some() || node.literals > 0 {
                return;
            }
            let parent = node.parent;
            self.unlink(parent, id);
            *self.get_mut(id) = Node::new(NodeId::ROOT, "");
            self.free.push(id);
            id = parent;
        }
    }

    pub(super) fn get_mut(&mut self, id: NodeId) -> &mut Node<K, V> {
        &mut self.slots[id.slot()]
    }

    pub(super) fn get(&self, id: NodeId) -> &Node<K, V> {
        &self.slots[id.slot()]
    }

    /// The child of `parent` for `level` of a filter.
    pub(super) fn child(&self, parent: NodeId, level: &str) -> Option<NodeId> {
        match level {
            "+" => self.get(parent).plus,
            "#" => self.get(parent).hash,
            _ => self.literal(parent, level),
        }
    }

    /// The child of `parent` for a level of a topic, which is never a wildcard.
    pub(super) fn literal(&self, parent: NodeId, level: &str) -> Option<NodeId> {
        if self.get(parent).literals == 0 {
            return None;
        }
        let hash = self.hash(parent, level.as_bytes());
        let link = self.links.find(Link::table_hash(hash), |link| {
            link.hash == hash && {
                let node = self.get(link.child);
                node.parent == parent && node.level.as_bytes() == level.as_bytes()
            }
        });
        link.map(|link| link.child)
    }

    /// The number of nodes in use.
    pub(super) fn len(&self) -> usize {
        self.slots.len() - self.free.len()
    }

    fn add(&mut self, parent: NodeId, level: &str) -> NodeId {
        let node = Node::new(parent, level);
        if let Some(id) = self.free.pop() {
            *self.get_mut(id) = node;
            return id;
        }
        let id = NodeId::of_slot(self.slots.len());
        self.slots.push(node);
        id
    }

    fn unlink(&mut self, parent: NodeId, child: NodeId) {
        let above = self.get_mut(parent);
        if above.plus == Some(child) {
            above.plus = None;
        } else if above.hash == Some(child) {
            above.hash = None;
        } else {
            above.literals -= 1;
            let hash = self.hash(parent, self.get(child).level.as_bytes());
            let entry = self.links.find_entry(Link::table_hash(hash), |link| link.child == child);
            assert!(entry.is_ok(), "a literal node is in the table of children");
            if let Ok(entry) = entry {
                entry.remove();
            }
        }
    }

    #[expect(clippy::cast_possible_truncation, reason = "the low half of a hash is a hash")]
    fn hash(&self, parent: NodeId, level: &[u8]) -> u32 {
        let mut hasher = self.seed.build_hasher();
        hasher.write_u32(parent.0.get());
        hasher.write(level);
        hasher.finish() as u32
    }
}

/// Splits off the first level; what follows its `/`, if there is one.
pub(super) fn split_level(text: &str) -> (&str, Option<&str>) {
    match memchr::memchr(b'/', text.as_bytes()) {
        Some(at) => (&text[..at], Some(&text[at + 1..])),
        None => (text, None),
    }
}
