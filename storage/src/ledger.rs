//! Which records are still wanted, and by how many destinations; how much of each segment that makes.
//!
//! Only what has more than one destination, or was moved, has an entry of its own: memory follows these, not the
//! backlog.

use std::collections::{BTreeMap, HashMap};

use crate::cost::record_cost;

/// What a segment holds that is still wanted.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Live {
    pub(crate) records: u64,
    pub(crate) bytes: u64,
}

/// See the module's description.
#[derive(Debug, Default)]
pub(crate) struct Ledger {
    /// By the number of the segment; an entry for each there is.
    segments: BTreeMap<u64, Segment>,
    /// Records with several destinations left.
    several: HashMap<u64, u32>,
    /// Records that cleaning has moved, and where to.
    moved: HashMap<u64, u64>,
}

#[derive(Debug, Clone, Copy)]
struct Segment {
    first_sequence: u64,
    /// Where the next segment began. A record behind it never stood here.
    end_sequence: u64,
    live: Live,
    /// Bytes of the file that it takes.
    cost: u64,
}

impl Ledger {
    /// A segment in which records from this sequence number on stand.
    pub(crate) fn add_segment(&mut self, number: u64, first_sequence: u64) {
        if let Some((_, before)) = self.segments.range_mut(..number).next_back() {
            before.end_sequence = before.end_sequence.min(first_sequence);
        }
        let segment = Segment { first_sequence, end_sequence: u64::MAX, live: Live::default(), cost: 0 };
        self.segments.insert(number, segment);
    }

    pub(crate) fn remove_segment(&mut self, number: u64) {
        self.segments.remove(&number);
    }

    /// A record stands where it was written.
    pub(crate) fn write(&mut self, sequence: u64, len: u32, destinations: u32) {
        if destinations > 1 {
            self.several.insert(sequence, destinations);
        }
        self.count(sequence, len);
    }

    /// A record stands in another segment than its sequence number says.
    pub(crate) fn write_moved(&mut self, sequence: u64, len: u32, destinations: u32, to: u64) {
        self.moved.insert(sequence, to);
        self.write(sequence, len, destinations);
    }

    /// A record that is still wanted moves to another segment.
    pub(crate) fn move_to(&mut self, sequence: u64, len: u32, to: u64) {
        self.discount(sequence, len);
        self.moved.insert(sequence, to);
        self.count(sequence, len);
    }

    /// One destination is done with a record.
    pub(crate) fn settle(&mut self, sequence: u64, len: u32) {
        if let Some(left) = self.several.get_mut(&sequence) {
            *left -= 1;
            if *left == 1 {
                self.several.remove(&sequence);
            }
            return;
        }
        self.discount(sequence, len);
        self.moved.remove(&sequence);
    }

    /// The segments, ascending.
    pub(crate) fn segments(&self) -> impl Iterator<Item = u64> {
        self.segments.keys().copied()
    }

    pub(crate) fn live(&self, number: u64) -> Live {
        self.segments.get(&number).map_or(Live::default(), |segment| segment.live)
    }

    /// Bytes of a segment's file that what is still wanted takes: what cleaning it would take of another.
    pub(crate) fn cost(&self, number: u64) -> u64 {
        self.segments.get(&number).map_or(0, |segment| segment.cost)
    }

    pub(crate) fn total(&self) -> Live {
        self.segments.values().fold(Live::default(), |sum, segment| Live {
            records: sum.records + segment.live.records,
            bytes: sum.bytes + segment.live.bytes,
        })
    }

    /// The segment in which a record stands.
    pub(crate) fn place(&self, sequence: u64) -> Option<u64> {
        if let Some(number) = self.moved.get(&sequence) {
            return Some(*number);
        }
        let is_in = |segment: &Segment| (segment.first_sequence..segment.end_sequence).contains(&sequence);
        self.segments.iter().rev().find(|(_, segment)| is_in(segment)).map(|(number, _)| *number)
    }

    fn count(&mut self, sequence: u64, len: u32) {
        if let Some(segment) = self.find(sequence) {
            segment.live.records += 1;
            segment.live.bytes += u64::from(len);
            segment.cost += record_cost(len);
        }
    }

    fn discount(&mut self, sequence: u64, len: u32) {
        if let Some(segment) = self.find(sequence) {
            segment.live.records = segment.live.records.saturating_sub(1);
            segment.live.bytes = segment.live.bytes.saturating_sub(u64::from(len));
            segment.cost = segment.cost.saturating_sub(record_cost(len));
        }
    }

    /// `None` when the segment is gone: what a damaged record had there counts no more.
    fn find(&mut self, sequence: u64) -> Option<&mut Segment> {
        let number = self.place(sequence)?;
        self.segments.get_mut(&number)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_record_counts_until_its_last_destination_is_done() {
        let mut ledger = Ledger::default();
        ledger.add_segment(1, 0);
        ledger.write(5, 100, 3);
        ledger.write(6, 10, 1);
        assert_eq!(ledger.live(1), Live { records: 2, bytes: 110 });
        ledger.settle(5, 100);
        ledger.settle(5, 100);
        assert_eq!(ledger.live(1), Live { records: 2, bytes: 110 });
        ledger.settle(5, 100);
        ledger.settle(6, 10);
        assert_eq!(ledger.live(1), Live::default());
        assert!(ledger.several.is_empty());
    }

    #[test]
    fn a_record_that_moved_counts_where_it_is() {
        let mut ledger = Ledger::default();
        ledger.add_segment(1, 0);
        ledger.add_segment(2, 100);
        ledger.write(5, 10, 2);
        ledger.write(100, 20, 1);
        ledger.move_to(5, 10, 2);
        assert_eq!((ledger.live(1), ledger.live(2)), (Live::default(), Live { records: 2, bytes: 30 }));
        ledger.remove_segment(1);
        ledger.settle(5, 10);
        ledger.settle(5, 10);
        assert_eq!(ledger.live(2), Live { records: 1, bytes: 20 });
        assert!(ledger.moved.is_empty());
    }

    /// A damaged record is not moved when its segment goes. Its owner settles it all the same, and that took another
    /// segment's last record from the count: its file was removed with a message that was wanted.
    #[test]
    fn a_record_of_a_segment_that_is_gone_counts_nowhere() {
        let mut ledger = Ledger::default();
        ledger.add_segment(1, 0);
        ledger.add_segment(2, 100);
        ledger.add_segment(3, 200);
        ledger.write(5, 10, 1);
        ledger.write(150, 10, 1);
        ledger.remove_segment(2);
        ledger.settle(150, 10);
        assert_eq!(ledger.live(1), Live { records: 1, bytes: 10 });
    }
}
