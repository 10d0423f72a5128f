//! Many topic filters, looked up at once: a tree of their levels, so that ten thousand rules cost what a few do.

use std::collections::BTreeMap;
use std::str::Split;

/// A set of valid filters. They are the file's own, so their depth is bounded, and the recursion with it.
#[derive(Debug, Clone, Default)]
pub(super) struct Filters(Node);

/// The filters that begin alike. `+` and `#` are levels as others are; a node that nothing ends at or goes on from is
/// only ever the root.
#[derive(Debug, Clone, Default)]
struct Node {
    ends: bool,
    next: BTreeMap<Box<str>, Node>,
}

/// How a filter of the set is to lie to another.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Lies {
    /// There is a topic that both match.
    Overlaps,
    /// It matches all that the other matches.
    Covers,
}

impl Filters {
    pub(super) fn insert(&mut self, filter: &str) {
        let mut node = &mut self.0;
        for level in filter.split('/') {
            node = node.next.entry(level.into()).or_default();
        }
        node.ends = true;
    }

    /// Whether one of them matches the topic.
    pub(super) fn match_topic(&self, topic: &str) -> bool {
        // A topic is a filter without wildcards: who matches it covers it.
        self.cover(topic)
    }

    /// Whether one of them matches all that the filter matches.
    pub(super) fn cover(&self, filter: &str) -> bool {
        self.0.lies(filter.split('/'), true, Lies::Covers)
    }

    /// Whether there is a topic that the filter matches and one of them.
    pub(super) fn overlap(&self, filter: &str) -> bool {
        self.0.lies(filter.split('/'), true, Lies::Overlaps)
    }
}

impl Node {
    /// Whether a filter that goes on from this node lies so to what is left of the other one.
    fn lies(&self, mut levels: Split<'_, char>, is_first: bool, how: Lies) -> bool {
        let has_rest = self.next.contains_key("#");
        let Some(level) = levels.next() else { return self.ends || has_rest };
        let goes_on = |node: &Self| node.lies(levels.clone(), false, how);
        // Topics that begin with `$` are matched by no filter that begins with a wildcard [MQTT-4.7.2-1].
        let is_apart = |name: &str| is_first && name.starts_with('$');
        match (level, how) {
            ("#", Lies::Covers) => has_rest,
            // It matches this level itself (`a/#` matches `a`), and whatever comes after it.
            ("#", Lies::Overlaps) => self.ends || self.next.keys().any(|name| !is_apart(name)),
            ("+", Lies::Overlaps) => has_rest || self.next.iter().any(|(name, node)| !is_apart(name) && goes_on(node)),
            _ => {
                let by_wildcard = || has_rest || self.next.get("+").is_some_and(goes_on);
                (level != "+" && self.next.get(level).is_some_and(goes_on)) || (!is_apart(level) && by_wildcard())
            }
        }
    }
}
