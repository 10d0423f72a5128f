//! A set of numbers as intervals: what is gone of a queue above its floor, for one.

use std::collections::BTreeMap;

/// See the module's description. Invariant: the intervals neither overlap nor touch.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Intervals {
    /// First to last number of each.
    last_by_first: BTreeMap<u64, u64>,
}

impl Intervals {
    /// Whether the number is one of them.
    #[must_use]
    pub fn contains(&self, number: u64) -> bool {
        self.last_by_first.range(..=number).next_back().is_some_and(|(_, last)| number <= *last)
    }

    /// Adds the numbers from `first` to `last`, which counts as `first` if it is lower.
    pub fn insert(&mut self, first: u64, last: u64) {
        let (mut first, mut last) = (first, last.max(first));
        if let Some((before, end)) = self.last_by_first.range(..first).next_back()
            && end.saturating_add(1) >= first
        {
            (first, last) = (*before, last.max(*end));
        }
        while let Some((next, end)) = self.last_by_first.range(first..=last.saturating_add(1)).next() {
            let (next, end) = (*next, *end);
            self.last_by_first.remove(&next);
            last = last.max(end);
        }
        self.last_by_first.insert(first, last);
    }

    /// Forgets all numbers below `floor`.
    pub(crate) fn cut_below(&mut self, floor: u64) {
        while let Some(entry) = self.last_by_first.first_entry() {
            let (first, last) = (*entry.key(), *entry.get());
            if first >= floor {
                return;
            }
            entry.remove();
            if last >= floor {
                self.last_by_first.insert(floor, last);
                return;
            }
        }
    }

    /// First and last number of each interval that has one from `first` to `last`, ascending.
    pub fn overlapping(&self, first: u64, last: u64) -> impl Iterator<Item = (u64, u64)> {
        let from = self.last_by_first.range(..=first).next_back().map_or(first, |(from, _)| *from);
        let known = self.last_by_first.range(from..).map(|(first, last)| (*first, *last));
        known.skip_while(move |(_, end)| *end < first).take_while(move |(begin, _)| *begin <= last)
    }

    /// First and last number of each interval, ascending.
    pub fn iter(&self) -> impl Iterator<Item = (u64, u64)> {
        self.last_by_first.iter().map(|(first, last)| (*first, *last))
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn it_is_a_set() {
        let (mut intervals, mut model, mut random) = (Intervals::default(), BTreeSet::new(), 1_u64);
        for _ in 0..5_000 {
            random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            let (first, len) = (random >> 40 & 511, random >> 60);
            if random >> 32 & 63 == 0 {
                intervals.cut_below(first);
                model.retain(|number| *number >= first);
            } else {
                intervals.insert(first, first + len);
                model.extend(first..=first + len);
            }
            let around: Vec<(u64, u64)> = intervals.overlapping(first, first + len).collect();
            let wanted = intervals.iter().filter(|(begin, end)| *end >= first && *begin <= first + len);
            assert_eq!(around, wanted.collect::<Vec<_>>());
            for number in 0..530 {
                assert_eq!(intervals.contains(number), model.contains(&number), "{number}");
            }
            let all: Vec<(u64, u64)> = intervals.iter().collect();
            assert!(all.windows(2).all(|two| two[0].1 + 1 < two[1].0), "they touch: {all:?}");
        }
    }
}
