//! The trie against a list searched with [`topic::matches`], and its limits, order and size.

use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;

use super::*;
use crate::topic;

/// What subscribes: filter, share group, key.
type Name = (String, Option<&'static str>, u8);

fn found(trie: &Trie<u8, u32>, topic: &str) -> Vec<(Option<String>, u8, u32)> {
    let mut all = Vec::new();
    trie.matching(topic, |subscribers| {
        assert!(subscribers.direct_len() > 0 || subscribers.groups().count() > 0, "no empty node is reported");
        assert_eq!(subscribers.direct().len(), subscribers.direct_len());
        all.extend(subscribers.direct().map(|(key, value)| (None, key, *value)));
        for (name, group) in subscribers.groups() {
            assert!(!group.members().is_empty());
            all.extend(group.members().iter().map(|(key, value)| (Some(name.to_owned()), *key, *value)));
        }
    });
    all.sort();
    all
}

fn level() -> impl Strategy<Value = &'static str> {
    // The last two are the longest level kept in a node and one byte more.
    prop::sample::select(vec!["", "a", "b", "$x", "é", "a-", "twenty-two-bytes-level", "twenty-three-bytes-long"])
}

fn topic_name() -> impl Strategy<Value = String> {
    let topic = prop::collection::vec(level(), 1..6).prop_map(|levels| levels.join("/"));
    topic.prop_filter("a topic is not empty", |topic| topic::check_topic(topic).is_ok())
}

fn filter() -> impl Strategy<Value = String> {
    let one = prop_oneof![3 => level(), 2 => Just("+")];
    let filter = (prop::collection::vec(one, 0..5), any::<bool>()).prop_map(|(mut levels, multi)| {
        if multi || levels.is_empty() {
            levels.push("#");
        }
        levels.join("/")
    });
    filter.prop_filter("a filter is not empty", |filter| topic::check_filter(filter).is_ok())
}

fn name() -> impl Strategy<Value = Name> {
    (filter(), prop::sample::select(vec![None, None, Some("g"), Some("h")]), 0_u8..6)
}

#[derive(Debug, Clone)]
enum Act {
    Insert(Name),
    Remove(Name),
    /// Removes what is there, by position.
    RemoveKnown(prop::sample::Index),
    Match(String),
}

fn act() -> impl Strategy<Value = Act> {
    prop_oneof![
        5 => name().prop_map(Act::Insert),
        1 => name().prop_map(Act::Remove),
        3 => any::<prop::sample::Index>().prop_map(Act::RemoveKnown),
        4 => topic_name().prop_map(Act::Match),
    ]
}

proptest! {
    #[test]
    fn agrees_with_a_list(acts in prop::collection::vec(act(), 1..200)) {
        let mut trie = Trie::new();
        let mut list: BTreeMap<Name, u32> = BTreeMap::new();
        for (value, act) in (0..).zip(acts) {
            match act {
                Act::Insert(name) => {
                    prop_assert_eq!(trie.insert(&name.0, name.1, name.2, value), Ok(list.get(&name).copied()));
                    list.insert(name, value);
                }
                Act::Remove(name) => {
                    prop_assert_eq!(trie.get(&name.0, name.1, name.2), list.get(&name));
                    prop_assert_eq!(trie.remove(&name.0, name.1, name.2), list.remove(&name));
                }
                Act::RemoveKnown(index) => {
                    let names: Vec<_> = list.keys().cloned().collect();
                    if !names.is_empty() {
                        let name = index.get(&names).clone();
                        prop_assert_eq!(trie.remove(&name.0, name.1, name.2), list.remove(&name));
                    }
                }
                Act::Match(topic) => {
                    let matching = list.iter().filter(|((filter, ..), _)| topic::matches(filter, &topic));
                    let mut naive: Vec<_> =
                        matching.map(|((_, share, key), value)| (share.map(str::to_owned), *key, *value)).collect();
                    naive.sort();
                    prop_assert_eq!(found(&trie, &topic), naive);
                }
            }
            prop_assert_eq!(trie.len(), list.len());
            prop_assert_eq!(trie.shared_len(), list.keys().filter(|name| name.1.is_some()).count());
            prop_assert_eq!(trie.node_count(), nodes_needed(list.keys()));
        }
        for (name, value) in &list {
            prop_assert_eq!(trie.remove(&name.0, name.1, name.2), Some(*value));
        }
        prop_assert!(trie.is_empty());
        prop_assert_eq!(trie.node_count(), 1);
        prop_assert_eq!(trie.shared_len(), 0);
    }

    #[test]
    fn any_text_is_safe(texts in prop::collection::vec("[a/+#$é]{0,12}", 1..20), topic in "[a/+#$é]{0,12}") {
        let mut trie = Trie::new();
        for text in &texts {
            trie.insert(text, None, 1, 0).unwrap();
        }
        found(&trie, &topic);
        for text in &texts {
            trie.remove(text, None, 1);
        }
        prop_assert_eq!(trie.node_count(), 1);
    }
}

/// The root and one node for each beginning of a filter that ends at a level.
fn nodes_needed<'n>(names: impl Iterator<Item = &'n Name>) -> usize {
    let mut beginnings = BTreeSet::new();
    for (filter, ..) in names {
        let ends = filter.match_indices('/').map(|(at, _)| at).chain([filter.len()]);
        beginnings.extend(ends.map(|end| &filter[..end]));
    }
    beginnings.len() + 1
}

#[test]
fn a_filter_has_at_most_so_many_levels_and_a_topic_any_number() {
    let mut trie = Trie::new();
    let deepest = vec!["+"; FILTER_LEVELS_MAX].join("/");
    let too_deep = vec!["+"; FILTER_LEVELS_MAX + 1].join("/");
    assert_eq!(trie.insert(&deepest, None, 1, 1), Ok(None));
    assert_eq!(trie.insert(&too_deep, None, 1, 1), Err(TrieError::TooDeep));
    assert_eq!(trie.insert(&too_deep, Some("g"), 1, 1), Err(TrieError::TooDeep));
    assert_eq!((trie.len(), trie.node_count()), (1, FILTER_LEVELS_MAX + 1));
    assert_eq!(trie.get(&too_deep, None, 1), None);
    assert_eq!(trie.remove(&too_deep, None, 1), None);
    assert_eq!(found(&trie, &deepest.replace('+', "x")).len(), 1);
    assert_eq!(found(&trie, &"/".repeat(65_535)).len(), 0);
    trie.insert("#", None, 2, 2).unwrap();
    assert_eq!(found(&trie, &"/".repeat(65_535)), [(None, 2, 2)]);
}

#[test]
fn filters_overlap_and_each_is_reported() {
    let mut trie = Trie::new();
    for (value, filter) in (0..).zip(["#", "+/#", "a/#", "a/+", "a/b", "a/b/#", "+/+", "+/b", "b/#", "/#"]) {
        trie.insert(filter, None, 1, value).unwrap();
    }
    let values: Vec<_> = found(&trie, "a/b").into_iter().map(|(_, _, value)| value).collect();
    assert_eq!(values, [0, 1, 2, 3, 4, 5, 6, 7]);
    assert_eq!(found(&trie, "$SYS/b"), []);
}

#[test]
fn direct_subscribers_keep_their_order_through_one_and_many() {
    let mut trie = Trie::new();
    let keys = |trie: &Trie<u8, u32>| found_in_order(trie, "t");
    for key in 1..=4 {
        trie.insert("t", None, key, 0).unwrap();
    }
    assert_eq!(keys(&trie), [1, 2, 3, 4]);
    assert_eq!(trie.insert("t", None, 2, 9), Ok(Some(0)));
    assert_eq!(keys(&trie), [1, 2, 3, 4]);
    assert_eq!(trie.remove("t", None, 1), Some(0));
    assert_eq!(keys(&trie), [4, 2, 3]);
    assert_eq!(trie.remove("t", None, 1), None);
    assert_eq!((trie.remove("t", None, 4), trie.remove("t", None, 3)), (Some(0), Some(0)));
    assert_eq!(keys(&trie), [2]);
    assert_eq!(trie.remove("t", None, 3), None);
    assert_eq!(trie.insert("t", None, 2, 5), Ok(Some(9)));
    assert_eq!(trie.get("t", None, 2), Some(&5));
}

fn found_in_order(trie: &Trie<u8, u32>, topic: &str) -> Vec<u8> {
    let mut keys = Vec::new();
    trie.matching(topic, |subscribers| keys.extend(subscribers.direct().map(|(key, _)| key)));
    keys
}

#[test]
fn turns_in_a_group_go_round() {
    let mut trie = Trie::new();
    for key in [1, 2, 3] {
        trie.insert("t/#", Some("g"), key, ()).unwrap();
    }
    let mut turns = Vec::new();
    for _ in 0..7 {
        trie.matching("t", |subscribers| turns.extend(subscribers.groups().map(|(_, group)| group.next_start(1))));
    }
    assert_eq!(turns, [0, 1, 2, 0, 1, 2, 0]);
    trie.remove("t/#", Some("g"), 1);
    trie.remove("t/#", Some("g"), 2);
    trie.matching("t", |subscribers| {
        assert_eq!(subscribers.direct_len(), 0);
        let (name, group) = subscribers.groups().next().unwrap();
        assert_eq!((name, group.next_start(1), group.members().get_index(0)), ("g", 0, Some((&3, &()))));
    });
}

#[test]
fn a_trie_is_shared_between_threads() {
    fn check<T: Send + Sync>() {}
    check::<Trie<u64, u8>>();
}

#[test]
fn a_node_is_small() {
    assert!(size_of::<nodes::Node<u64, u64>>() <= 80, "{}", size_of::<nodes::Node<u64, u64>>());
}

/// Hashing and comparing a key is counted, so that a scan would show.
mod counted {
    use core::cell::Cell;
    use core::hash::{Hash, Hasher};

    thread_local!(pub(super) static TOUCHED: Cell<u64> = const { Cell::new(0) });

    #[derive(Debug, Clone, Copy, Eq)]
    pub(super) struct Key(pub(super) u32);

    impl PartialEq for Key {
        fn eq(&self, other: &Self) -> bool {
            TOUCHED.set(TOUCHED.get() + 1);
            self.0 == other.0
        }
    }

    impl Hash for Key {
        fn hash<H: Hasher>(&self, state: &mut H) {
            TOUCHED.set(TOUCHED.get() + 1);
            self.0.hash(state);
        }
    }
}

#[test]
fn leaving_a_crowded_topic_never_scans() {
    const CROWD: u32 = 10_000;
    for share in [None, Some("g")] {
        let mut trie = Trie::new();
        for key in 0..CROWD {
            trie.insert("crowd", share, counted::Key(key), ()).unwrap();
        }
        counted::TOUCHED.set(0);
        for key in 0..CROWD {
            assert_eq!(trie.remove("crowd", share, counted::Key(key)), Some(()));
        }
        // A removal hashes and compares its key a few times; shrinking hashes each key left, at most once a halving.
        assert!(counted::TOUCHED.get() < u64::from(CROWD) * 10, "{}", counted::TOUCHED.get());
        assert_eq!((trie.len(), trie.node_count()), (0, 1));
    }
}

#[test]
fn many_wildcard_filters_are_told_apart() {
    const FILTERS: u64 = 100_000;
    let mut trie = Trie::new();
    for n in 0..FILTERS {
        trie.insert(&format!("dev/+/x{n}/#"), None, n, n).unwrap();
    }
    assert_eq!(trie.node_count() as u64, 3 + 2 * FILTERS);
    for n in 0..FILTERS {
        let mut values = Vec::new();
        trie.matching(&format!("dev/d/x{n}/temp"), |subscribers| values.extend(subscribers.direct()));
        assert_eq!(values, [(n, &n)]);
    }
}

/// Hashes have 32 bits: among this many nodes a few have the hash of another, and must not be taken for it.
#[test]
fn nodes_with_equal_hashes_are_told_apart() {
    const PARENTS: usize = 200_000;
    const LEVELS: [&str; 3] = ["x", "y", "z"];
    let mut trie = Trie::new();
    for level in LEVELS {
        for n in 0..PARENTS {
            assert_eq!(trie.insert(&format!("{n}/{level}"), None, n, ()), Ok(None));
        }
    }
    assert_eq!(trie.node_count(), 1 + (1 + LEVELS.len()) * PARENTS);
    for level in LEVELS {
        for n in 0..PARENTS {
            assert_eq!(trie.remove(&format!("{n}/{level}"), None, n), Some(()));
        }
    }
    assert_eq!(trie.node_count(), 1);
}
