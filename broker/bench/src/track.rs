//! What the sequence numbers prove: nothing lost, nothing doubled, nothing out of order.
//!
//! A subscriber that is to get every message of a publisher has a [`Track`] of it: the next number, and the holes
//! before it. The members of a share group get a part each, so the group as a whole keeps a bit a message
//! ([`Bits`]), and each member only checks that numbers rise.

use std::collections::BTreeMap;

/// What was found wrong with what was received.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Faults {
    pub(crate) lost: u64,
    pub(crate) doubled: u64,
    pub(crate) reordered: u64,
}

impl Faults {
    pub(crate) const fn add(&mut self, other: Self) {
        self.lost += other.lost;
        self.doubled += other.doubled;
        self.reordered += other.reordered;
    }
}

/// All messages of one publisher, as one subscriber sees them.
#[derive(Debug, Clone, Default)]
pub(crate) struct Track {
    next: u64,
    /// Numbers below `next` that have not come: first to last.
    holes: BTreeMap<u64, u64>,
    faults: Faults,
}

impl Track {
    /// A track of a publisher whose first message is `first`: of those before it nothing is known.
    pub(crate) fn from(first: u64) -> Self {
        Self { next: first, ..Self::default() }
    }

    #[inline]
    pub(crate) fn note(&mut self, sequence: u64) {
        if sequence == self.next {
            self.next += 1;
        } else {
            self.note_odd(sequence);
        }
    }

    /// For a receiver of a part of the messages: the numbers only have to rise.
    #[inline]
    pub(crate) const fn note_rising(&mut self, sequence: u64) {
        if sequence >= self.next {
            self.next = sequence + 1;
        } else {
            self.faults.reordered += 1;
        }
    }

    #[cold]
    fn note_odd(&mut self, sequence: u64) {
        if sequence > self.next {
            self.holes.insert(self.next, sequence - 1);
            self.next = sequence + 1;
            return;
        }
        let hole = self.holes.range(..=sequence).next_back().map(|(first, last)| (*first, *last));
        let Some((first, last)) = hole.filter(|(_, last)| sequence <= *last) else {
            self.faults.doubled += 1;
            return;
        };
        self.faults.reordered += 1;
        self.holes.remove(&first);
        if first < sequence {
            self.holes.insert(first, sequence - 1);
        }
        if sequence < last {
            self.holes.insert(sequence + 1, last);
        }
    }

    /// What was wrong, when the publisher has sent `sent` messages; `None` when nobody knows how many.
    pub(crate) fn faults(&self, sent: Option<u64>) -> Faults {
        let holes: u64 = self.holes.iter().map(|(first, last)| last - first + 1).sum();
        let tail = sent.unwrap_or(0).saturating_sub(self.next);
        Faults { lost: holes + tail, ..self.faults }
    }
}

/// A bit for each message of one publisher, for receivers that get it in parts.
#[derive(Debug, Clone, Default)]
pub(crate) struct Bits {
    words: Vec<u64>,
    count: u64,
    doubled: u64,
}

impl Bits {
    #[inline]
    pub(crate) fn note(&mut self, sequence: u64) {
        let (word, bit) = (usize::try_from(sequence / 64).unwrap_or(usize::MAX), 1 << (sequence % 64));
        if word >= self.words.len() {
            self.words.resize(word + 1, 0);
        }
        if self.words[word] & bit == 0 {
            self.words[word] |= bit;
            self.count += 1;
        } else {
            self.doubled += 1;
        }
    }

    pub(crate) fn faults(&self, sent: u64) -> Faults {
        Faults { lost: sent.saturating_sub(self.count), doubled: self.doubled, reordered: 0 }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn track(numbers: &[u64], sent: u64) -> Faults {
        let mut track = Track::default();
        numbers.iter().for_each(|number| track.note(*number));
        track.faults(Some(sent))
    }

    #[test]
    fn each_kind_of_fault_is_counted_as_what_it_is() {
        assert_eq!(track(&[0, 1, 2], 3), Faults::default());
        assert_eq!(track(&[0, 1, 2], 5), Faults { lost: 2, ..Faults::default() }, "the tail is lost");
        assert_eq!(track(&[0, 5, 6], 7), Faults { lost: 4, ..Faults::default() }, "the middle is lost");
        assert_eq!(track(&[0, 1, 1, 0], 2), Faults { doubled: 2, ..Faults::default() });
        assert_eq!(track(&[0, 2, 1], 3), Faults { reordered: 1, ..Faults::default() });
        assert_eq!(track(&[0, 9, 4, 4, 1], 10), Faults { lost: 6, doubled: 1, reordered: 2 });
    }

    #[test]
    fn who_joins_midway_does_not_miss_what_was_before() {
        let mut track = Track::from(100);
        [100, 101, 103].into_iter().for_each(|number| track.note(number));
        assert_eq!(track.faults(None), Faults { lost: 1, ..Faults::default() });
    }

    #[test]
    fn a_group_has_seen_each_message_once() {
        let mut bits = Bits::default();
        [3, 0, 64, 2, 1, 64].into_iter().for_each(|number| bits.note(number));
        assert_eq!(bits.faults(66), Faults { lost: 61, doubled: 1, reordered: 0 });
    }
}
