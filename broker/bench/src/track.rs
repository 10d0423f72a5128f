//! What the sequence numbers prove: nothing lost, nothing doubled, nothing out of order.
//!
//! A subscriber that is to get every message of a publisher has a [`Track`] of it: the next number, and the holes
//! before it. The members of a share group get a part each, so the group as a whole keeps a bit a message
//! ([`Bits`]), and each member only checks that numbers rise.
//!
//! A broker may send any numbers: both take memory only for what has come, and within bounds.

use std::collections::BTreeMap;

use hashbrown::HashMap;

use crate::limits::HOLES_MAX;

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

/// What one publisher has sent.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Sent {
    pub(crate) messages: u64,
    /// Of these, how many the broker refused.
    pub(crate) refused: u64,
}

/// All messages of one publisher, as one subscriber sees them.
#[derive(Debug, Clone, Default)]
pub(crate) struct Track {
    next: u64,
    /// Numbers below `next` that have not come: first to last.
    holes: BTreeMap<u64, u64>,
    /// Of holes that were given up, because there were too many.
    given_up: u64,
    faults: Faults,
}

impl Track {
    /// A track of a publisher whose first message is `first`: of those before it nothing is known.
    pub(crate) fn from(first: u64) -> Self {
        Self { next: first, ..Self::default() }
    }

    /// All below this has come, or has been overtaken by what has.
    pub(crate) const fn next(&self) -> u64 {
        self.next
    }

    /// Answers whether the message has not come before.
    #[inline]
    pub(crate) fn note(&mut self, sequence: u64) -> bool {
        if sequence == self.next {
            self.next = sequence.saturating_add(1);
            return true;
        }
        self.note_odd(sequence)
    }

    /// For a receiver of a part of the messages: the numbers only have to rise.
    #[inline]
    pub(crate) const fn note_rising(&mut self, sequence: u64) {
        if sequence >= self.next {
            self.next = sequence.saturating_add(1);
        } else {
            self.faults.reordered += 1;
        }
    }

    #[cold]
    fn note_odd(&mut self, sequence: u64) -> bool {
        if sequence > self.next {
            self.holes.insert(self.next, sequence - 1);
            self.next = sequence.saturating_add(1);
            if self.holes.len() > HOLES_MAX
                && let Some((first, last)) = self.holes.pop_first()
            {
                self.given_up = self.given_up.saturating_add(last - first + 1);
            }
            return true;
        }
        let hole = self.holes.range(..=sequence).next_back().map(|(first, last)| (*first, *last));
        let Some((first, last)) = hole.filter(|(_, last)| sequence <= *last) else {
            self.faults.doubled += 1;
            return false;
        };
        self.faults.reordered += 1;
        self.holes.remove(&first);
        if first < sequence {
            self.holes.insert(first, sequence - 1);
        }
        if sequence < last {
            self.holes.insert(sequence + 1, last);
        }
        true
    }

    /// What was wrong, when the publisher has sent `sent` messages; `None` when nobody knows how many.
    pub(crate) fn faults(&self, sent: Option<u64>) -> Faults {
        let holes = self.holes.iter().map(|(first, last)| last - first + 1);
        let tail = sent.unwrap_or(0).saturating_sub(self.next);
        let lost = holes.fold(self.given_up, u64::saturating_add).saturating_add(tail);
        Faults { lost, ..self.faults }
    }
}

/// Messages of one page of [`Bits`].
const PAGE: u64 = 4096;

/// A bit for each message of one publisher, for receivers that get it in parts.
#[derive(Debug, Clone, Default)]
pub(crate) struct Bits {
    pages: HashMap<u64, Box<[u64; PAGE as usize / 64]>>,
    count: u64,
    doubled: u64,
}

impl Bits {
    /// Answers whether the message has not come before.
    #[inline]
    pub(crate) fn note(&mut self, sequence: u64) -> bool {
        let page = self.pages.entry(sequence / PAGE).or_insert_with(|| Box::new([0; PAGE as usize / 64]));
        let (word, bit) = (&mut page[(sequence % PAGE / 64) as usize], 1 << (sequence % 64));
        let is_new = *word & bit == 0;
        if is_new {
            *word |= bit;
            self.count += 1;
        } else {
            self.doubled += 1;
        }
        is_new
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
        for number in numbers {
            track.note(*number);
        }
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
        assert_eq!([100, 101, 103, 101].map(|number| track.note(number)), [true, true, true, false]);
        assert_eq!(track.faults(None), Faults { lost: 1, doubled: 1, reordered: 0 });
    }

    /// A broker that writes numbers of its own made the sum of the holes overflow, and grew a table to the largest.
    #[test]
    fn wild_numbers_neither_panic_nor_take_memory() {
        assert_eq!(track(&[u64::MAX, u64::MAX - 1, 0], 3).reordered, 2);
        let mut track = Track::default();
        for number in 0..HOLES_MAX as u64 * 2 {
            track.note(number * 2 + 1);
        }
        assert_eq!((track.holes.len(), track.faults(None).lost), (HOLES_MAX, HOLES_MAX as u64 * 2));
        let mut bits = Bits::default();
        [u64::MAX, 1 << 50, 3].into_iter().for_each(|number| assert!(bits.note(number)));
        assert_eq!(bits.pages.len(), 3);
    }

    #[test]
    fn a_group_has_seen_each_message_once() {
        let mut bits = Bits::default();
        assert_eq!([3, 0, 64, 2, 1, 64].map(|number| bits.note(number)), [true, true, true, true, true, false]);
        assert_eq!(bits.faults(66), Faults { lost: 61, doubled: 1, reordered: 0 });
    }
}
