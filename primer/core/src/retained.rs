//! The retained store: one value a topic, in the order of the topics' bytes.
//!
//! Finds the topics a filter matches piecewise: a call examines a bounded number of topics and says where to go on, so
//! that a subscription to `#` never holds the store for long. Between calls topics may come and go; those present
//! throughout are found exactly once. It checks neither topics nor filters ([`crate::topic`] does), and knows nothing
//! of expiry or of what a value holds.
//!
//! Topics that cannot match are leapt over: from a topic and a filter follows the least text after the topic that can
//! match, and the search goes on there. The order is that of bytes, in which space, `-` and `.` come before `/`, so
//! the topics below a level are those from `level/` up to `level0`, `0` being the byte after `/`.

#[cfg(test)]
mod tests;

use core::cmp::Ordering;
use core::ops::Bound;
use std::collections::BTreeMap;

use crate::commit::{Accepted, Refused};

/// Values by topic, in order.
#[derive(Debug, Clone)]
pub struct Retained<V> {
    topics: BTreeMap<Box<str>, V>,
}

/// What a call of [`Retained::next_match`] found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Step<'s, V> {
    /// A matching topic and its value; go on after this topic.
    Match(&'s str, &'s V),
    /// Out of steps: go on after this text, which need not be a topic of the store.
    Pause(String),
    /// No topic matches any more.
    End,
}

impl<V> Default for Retained<V> {
    fn default() -> Self {
        Self::new()
    }
}

impl<V> Retained<V> {
    /// An empty store.
    #[must_use]
    pub fn new() -> Self {
        Self { topics: BTreeMap::new() }
    }

    /// Keeps `value` for `topic`; returns the one it replaces.
    pub fn set(&mut self, topic: &str, value: V) -> Option<V> {
        if let Some(kept) = self.topics.get_mut(topic) {
            return Some(core::mem::replace(kept, value));
        }
        self.topics.insert(topic.into(), value)
    }

    /// Keeps `value` for `topic` on behalf of a publisher, within `topics_max` topics; with the proof comes the value
    /// that it replaces.
    ///
    /// # Errors
    /// [`Refused::StoreFull`] when the topic is new and there are `topics_max` already; nothing has changed then.
    pub fn keep(&mut self, topic: &str, value: V, topics_max: usize) -> Result<(Accepted, Option<V>), Refused> {
        if self.topics.len() >= topics_max && !self.topics.contains_key(topic) {
            return Err(Refused::StoreFull);
        }
        Ok((Accepted::new(), self.set(topic, value)))
    }

    /// Forgets the value of `topic` on behalf of a publisher; with the proof comes what was forgotten.
    pub fn forget(&mut self, topic: &str) -> (Accepted, Option<V>) {
        (Accepted::new(), self.remove(topic))
    }

    /// Takes the value of `topic` out.
    pub fn remove(&mut self, topic: &str) -> Option<V> {
        self.topics.remove(topic)
    }

    /// The value of `topic`.
    #[must_use]
    pub fn get(&self, topic: &str) -> Option<&V> {
        self.topics.get(topic)
    }

    /// The number of topics.
    #[must_use]
    pub fn len(&self) -> usize {
        self.topics.len()
    }

    /// Whether there is no topic.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.topics.is_empty()
    }

    /// All topics, in order.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &V)> {
        self.topics.iter().map(|(topic, value)| (&**topic, value))
    }

    /// The first topic after `after` (from the start, if `None`) that `filter`, a valid and unshared one, matches.
    /// Each topic examined takes one from `steps`; at zero the call pauses. A caller that gives at least one step and
    /// goes on after what it is given gets each match once, in order.
    pub fn next_match<'s>(&'s self, filter: &str, after: Option<&str>, steps: &mut usize) -> Step<'s, V> {
        if memchr::memchr2(b'+', b'#', filter.as_bytes()).is_none() {
            return self.next_literal(filter, after, steps);
        }
        let mut seek = String::new();
        // `after` is judged like a topic examined: a pause does not lose the leap that was due after it.
        let mut range = match after.map(|after| (after, judge(filter, after, &mut seek))) {
            None => self.topics.range::<str, _>(..),
            Some((after, Verdict::Match | Verdict::Next)) => {
                self.topics.range::<str, _>((Bound::Excluded(after), Bound::Unbounded))
            }
            Some((_, Verdict::Seek)) => self.topics.range::<str, _>((Bound::Included(&*seek), Bound::Unbounded)),
            Some((_, Verdict::End)) => return Step::End,
        };
        let mut last = after;
        loop {
            if *steps == 0 {
                return Step::Pause(last.unwrap_or_default().to_owned());
            }
            *steps -= 1;
            let Some((topic, value)) = range.next() else {
                return Step::End;
            };
            match judge(filter, topic, &mut seek) {
                Verdict::Match => return Step::Match(topic, value),
                Verdict::Next => {}
                Verdict::Seek => range = self.topics.range::<str, _>((Bound::Included(&*seek), Bound::Unbounded)),
                Verdict::End => return Step::End,
            }
            last = Some(topic);
        }
    }

    /// A filter without wildcards is one look-up.
    fn next_literal<'s>(&'s self, filter: &str, after: Option<&str>, steps: &mut usize) -> Step<'s, V> {
        if after.is_some_and(|after| filter <= after) {
            return Step::End;
        }
        if *steps == 0 {
            return Step::Pause(after.unwrap_or_default().to_owned());
        }
        *steps -= 1;
        match self.topics.get_key_value(filter) {
            Some((topic, value)) => Step::Match(topic, value),
            None => Step::End,
        }
    }
}

/// What a topic says about where the filter can match.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Verdict {
    /// It matches.
    Match,
    /// It does not, and the next topic may.
    Next,
    /// It does not, nor does any before the text in `seek`, which is greater than the topic.
    Seek,
    /// Neither it nor any after it matches.
    End,
}

/// Compares `topic` with `filter` level by level. Where they part, the least greater text that can match is either
/// below the levels that agree, or it needs the last level that `+` took to become greater.
fn judge(filter: &str, topic: &str, seek: &mut String) -> Verdict {
    if topic.starts_with('$') && filter.starts_with(['+', '#']) {
        return seek_to(seek, &["%"]); // the byte after `$` [MQTT-4.7.2-1]
    }
    let mut start = 0;
    let mut plus_end = None;
    let mut levels = filter;
    loop {
        let rest = &topic[start..];
        let (level, below) = match levels.split_once('/') {
            Some((level, below)) => (level, Some(below)),
            None => (levels, None),
        };
        let end = match (level, below) {
            ("#", _) => return Verdict::Match,
            ("+", _) => match (memchr::memchr(b'/', rest.as_bytes()), below) {
                (None, None | Some("#")) => return Verdict::Match, // `+/#` matches `a` too (4.7.1.2)
                (None, Some(_)) => return Verdict::Next,
                (Some(length), below) => {
                    plus_end = Some(start + length);
                    if below.is_none() {
                        return seek_past(seek, topic, plus_end);
                    }
                    start + length
                }
            },
            (literal, None) => {
                return match rest.cmp(literal) {
                    Ordering::Less => seek_to(seek, &[&topic[..start], literal]),
                    Ordering::Equal => Verdict::Match,
                    Ordering::Greater => seek_past(seek, topic, plus_end),
                };
            }
            (literal, Some(below)) => match rest.strip_prefix(literal).map(|rest| rest.as_bytes().first()) {
                Some(Some(b'/')) => start + literal.len(),
                Some(None) if below == "#" => return Verdict::Match, // `a/#` matches `a` too (4.7.1.2)
                Some(first) if first < Some(&b'/') => return seek_to(seek, &[&topic[..start], literal, "/"]),
                None if rest < literal && below == "#" => return seek_to(seek, &[&topic[..start], literal]),
                None if rest < literal => return seek_to(seek, &[&topic[..start], literal, "/"]),
                _ => return seek_past(seek, topic, plus_end),
            },
        };
        start = end + 1;
        levels = below.unwrap_or("#");
    }
}

fn seek_to(seek: &mut String, parts: &[&str]) -> Verdict {
    seek.clear();
    seek.extend(parts.iter().copied());
    Verdict::Seek
}

/// To the first text after all that lie below the last level that `+` took. Without a `+` so far nothing is left.
fn seek_past(seek: &mut String, topic: &str, plus_end: Option<usize>) -> Verdict {
    match plus_end {
        Some(end) => seek_to(seek, &[&topic[..end], "0"]),
        None => Verdict::End,
    }
}
