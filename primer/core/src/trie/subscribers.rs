//! The subscribers of one filter: direct ones and share groups.
//!
//! Most filters have one direct subscriber, which is kept in the node itself; a map appears with the second and goes
//! with the last but one. Order is that of insertion, disturbed by removals (the last takes the place of the removed);
//! it is the same in each run. Delivery is not decided here: a [`Group`] gives its members and a turn.

use core::hash::Hash;
use core::sync::atomic::{AtomicUsize, Ordering};

use foldhash::fast::RandomState;
use indexmap::IndexMap;

/// A dense map that removes in constant time.
pub type KeyMap<K, V> = IndexMap<K, V, RandomState>;

type GroupMap<K, V> = IndexMap<Box<str>, Group<K, V>, RandomState>;

/// Below this capacity a map is left as it is: shrinking would cost more than it gives back.
const SHRINK_CAPACITY_MIN: usize = 32;

/// Who subscribes to one filter.
#[derive(Debug)]
pub struct Subscribers<K, V> {
    direct: Store<K, V>,
    groups: Option<Box<GroupMap<K, V>>>,
}

#[derive(Debug)]
enum Store<K, V> {
    None,
    One(K, V),
    /// Two or more.
    Many(Box<KeyMap<K, V>>),
}

impl<K, V> Default for Subscribers<K, V> {
    fn default() -> Self {
        Self { direct: Store::None, groups: None }
    }
}

impl<K: Copy + Eq + Hash, V> Subscribers<K, V> {
    pub(super) fn insert(&mut self, share: Option<&str>, key: K, value: V) -> Option<V> {
        let Some(share) = share else {
            return self.insert_direct(key, value);
        };
        let groups = self.groups.get_or_insert_default();
        if let Some(group) = groups.get_mut(share) {
            return group.members.insert(key, value);
        }
        let mut group = Group { members: KeyMap::default(), cursor: AtomicUsize::new(0) };
        group.members.insert(key, value);
        groups.insert(share.into(), group);
        None
    }

    pub(super) fn remove(&mut self, share: Option<&str>, key: K) -> Option<V> {
        let Some(share) = share else {
            return self.remove_direct(key);
        };
        let groups = self.groups.as_mut()?;
        let group = groups.get_mut(share)?;
        let removed = group.members.swap_remove(&key)?;
        if group.members.is_empty() {
            groups.swap_remove(share);
            if groups.is_empty() {
                self.groups = None;
            }
        } else {
            shrink(&mut group.members);
        }
        Some(removed)
    }

    pub(super) fn get(&self, share: Option<&str>, key: K) -> Option<&V> {
        if let Some(share) = share {
            return self.groups.as_ref()?.get(share)?.members.get(&key);
        }
        match &self.direct {
            Store::None => None,
            Store::One(only, value) => (*only == key).then_some(value),
            Store::Many(map) => map.get(&key),
        }
    }

    /// The direct subscribers, each once.
    #[must_use]
    pub fn direct(&self) -> Direct<'_, K, V> {
        Direct(match &self.direct {
            Store::None => Cursor::One(None),
            Store::One(key, value) => Cursor::One(Some((*key, value))),
            Store::Many(map) => Cursor::Many(map.iter()),
        })
    }

    /// The number of direct subscribers.
    #[must_use]
    pub fn direct_len(&self) -> usize {
        match &self.direct {
            Store::None => 0,
            Store::One(..) => 1,
            Store::Many(map) => map.len(),
        }
    }

    /// The share groups with their names; no group is empty.
    pub fn groups(&self) -> impl Iterator<Item = (&str, &Group<K, V>)> {
        self.groups.iter().flat_map(|groups| groups.iter()).map(|(name, group)| (&**name, group))
    }

    pub(super) fn is_empty(&self) -> bool {
        matches!(self.direct, Store::None) && self.groups.is_none()
    }

    fn insert_direct(&mut self, key: K, value: V) -> Option<V> {
        match core::mem::replace(&mut self.direct, Store::None) {
            Store::None => {
                self.direct = Store::One(key, value);
                None
            }
            Store::One(only, old) if only == key => {
                self.direct = Store::One(key, value);
                Some(old)
            }
            Store::One(only, old) => {
                let mut map = KeyMap::default();
                map.insert(only, old);
                map.insert(key, value);
                self.direct = Store::Many(Box::new(map));
                None
            }
            Store::Many(mut map) => {
                let replaced = map.insert(key, value);
                self.direct = Store::Many(map);
                replaced
            }
        }
    }

    fn remove_direct(&mut self, key: K) -> Option<V> {
        match core::mem::replace(&mut self.direct, Store::None) {
            Store::One(only, value) if only == key => Some(value),
            Store::Many(mut map) => {
                let removed = map.swap_remove(&key);
                if map.len() == 1
                    && let Some((only, value)) = map.pop()
                {
                    self.direct = Store::One(only, value);
                } else {
                    shrink(&mut map);
                    self.direct = Store::Many(map);
                }
                removed
            }
            other => {
                self.direct = other;
                None
            }
        }
    }
}

/// Gives back room a map no longer needs, at a cost that the removals since it was needed have paid for.
fn shrink<K: Copy + Eq + Hash, V>(map: &mut KeyMap<K, V>) {
    if map.capacity() >= SHRINK_CAPACITY_MIN && map.len() < map.capacity() / 4 {
        map.shrink_to(map.len() * 2);
    }
}

/// The members of a share group: each message goes to one of them.
#[derive(Debug)]
pub struct Group<K, V> {
    members: KeyMap<K, V>,
    cursor: AtomicUsize,
}

impl<K: Copy + Eq + Hash, V> Group<K, V> {
    /// The members, by index.
    #[must_use]
    pub fn members(&self) -> &KeyMap<K, V> {
        &self.members
    }

    /// The index of the member whose turn it is, always below the number of members, for the first of `turns` turns:
    /// the next call begins after them.
    #[must_use]
    pub fn next_start(&self, turns: usize) -> usize {
        // A group in a trie is never empty; `max` keeps that from being a reason to panic.
        self.cursor.fetch_add(turns, Ordering::Relaxed) % self.members.len().max(1)
    }
}

/// Iterates over direct subscribers; see [`Subscribers::direct`].
#[derive(Debug)]
pub struct Direct<'s, K, V>(Cursor<'s, K, V>);

#[derive(Debug)]
enum Cursor<'s, K, V> {
    One(Option<(K, &'s V)>),
    Many(indexmap::map::Iter<'s, K, V>),
}

impl<'s, K: Copy, V> Iterator for Direct<'s, K, V> {
    type Item = (K, &'s V);

    fn next(&mut self) -> Option<Self::Item> {
        match &mut self.0 {
            Cursor::One(one) => one.take(),
            Cursor::Many(many) => many.next().map(|(key, value)| (*key, value)),
        }
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        match &self.0 {
            Cursor::One(one) => one.iter().size_hint(),
            Cursor::Many(many) => many.size_hint(),
        }
    }
}

impl<K: Copy, V> ExactSizeIterator for Direct<'_, K, V> {}
