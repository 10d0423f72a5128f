//! What arrived of the numbered messages: how many, and which are missing, doubled or out of order.

use std::collections::BTreeMap;

use bytes::{BufMut, Bytes, BytesMut};

/// Where a message stands: at the front of its payload, four bytes of publisher and eight of place, big-endian.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stamp {
    /// The publisher's number.
    pub publisher: u32,
    /// The place in the publisher's sequence.
    pub place: u64,
}

impl Stamp {
    /// How long it is.
    pub const BYTES: usize = 12;

    /// A payload of this length, or of the stamp's own if that is longer.
    #[must_use]
    pub fn payload(self, length: usize) -> Bytes {
        let mut payload = BytesMut::with_capacity(length.max(Self::BYTES));
        payload.put_u32(self.publisher);
        payload.put_u64(self.place);
        payload.resize(length.max(Self::BYTES), b'.');
        payload.freeze()
    }

    /// The stamp of this payload.
    ///
    /// # Panics
    /// When the payload is too short to have one.
    #[must_use]
    #[track_caller]
    pub fn of(payload: &[u8]) -> Self {
        let stamp = payload.first_chunk::<12>().expect("a stamped payload");
        let [a, b, c, d, place @ ..] = *stamp;
        Self { publisher: u32::from_be_bytes([a, b, c, d]), place: u64::from_be_bytes(place) }
    }
}

/// The messages that a client received.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    received: u64,
    publishers: BTreeMap<u32, Sequence>,
}

/// The messages of one publisher: how often each place came, and what came last.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Sequence {
    times: BTreeMap<u64, u32>,
    greatest: Option<u64>,
    reordered: u64,
}

impl Tally {
    /// Counts one message.
    pub fn note(&mut self, stamp: Stamp) {
        self.received += 1;
        let sequence = self.publishers.entry(stamp.publisher).or_default();
        let times = sequence.times.entry(stamp.place).or_default();
        *times += 1;
        // A message that came before is doubled, and not out of order as well.
        if *times == 1 && sequence.greatest.is_some_and(|greatest| stamp.place < greatest) {
            sequence.reordered += 1;
        }
        sequence.greatest = sequence.greatest.max(Some(stamp.place));
    }

    /// Adds what another client received, as if this one had received it after its own.
    pub fn merge(&mut self, other: &Self) {
        self.received += other.received;
        for (publisher, theirs) in &other.publishers {
            let ours = self.publishers.entry(*publisher).or_default();
            for (place, times) in &theirs.times {
                *ours.times.entry(*place).or_default() += times;
            }
            ours.greatest = ours.greatest.max(theirs.greatest);
            ours.reordered += theirs.reordered;
        }
    }

    /// How many messages came, copies included.
    #[must_use]
    pub fn received(&self) -> u64 {
        self.received
    }

    /// How many different messages came.
    #[must_use]
    pub fn distinct(&self) -> u64 {
        self.publishers.values().map(|sequence| sequence.times.len() as u64).sum()
    }

    /// How many messages came more often than once, counting each further copy.
    #[must_use]
    pub fn doubled(&self) -> u64 {
        self.received - self.distinct()
    }

    /// How many messages came for the first time after a later one of the same publisher.
    #[must_use]
    pub fn reordered(&self) -> u64 {
        self.publishers.values().map(|sequence| sequence.reordered).sum()
    }

    /// The places of a publisher, of those given, that did not come.
    #[must_use]
    pub fn lost(&self, publisher: u32, places: std::ops::Range<u64>) -> Vec<u64> {
        let times = self.publishers.get(&publisher).map(|sequence| &sequence.times);
        places.filter(|place| times.is_none_or(|times| !times.contains_key(place))).collect()
    }

    /// Makes sure that each message of one publisher came once and in order.
    ///
    /// # Panics
    /// When one is missing, doubled or out of order.
    #[track_caller]
    pub fn assert_exact(&self, publisher: u32, places: std::ops::Range<u64>) {
        let lost = self.lost(publisher, places);
        assert!(
            lost.is_empty() && self.doubled() == 0 && self.reordered() == 0,
            "of publisher {publisher}: {} lost (first {:?}), {} doubled, {} out of order, {} received",
            lost.len(),
            lost.first(),
            self.doubled(),
            self.reordered(),
            self.received,
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tally(places: &[u64]) -> Tally {
        let mut tally = Tally::default();
        for place in places {
            tally.note(Stamp { publisher: 7, place: *place });
        }
        tally
    }

    #[test]
    fn a_stamp_comes_back() {
        let stamp = Stamp { publisher: 3, place: u64::MAX };
        assert_eq!(Stamp::of(&stamp.payload(64)), stamp);
        assert_eq!(stamp.payload(0).len(), Stamp::BYTES);
    }

    #[test]
    fn lost_doubled_and_reordered_are_told_apart() {
        let tally = tally(&[0, 2, 1, 2, 5]);
        assert_eq!((tally.received(), tally.distinct(), tally.doubled(), tally.reordered()), (5, 4, 1, 1));
        assert_eq!(tally.lost(7, 0..6), [3, 4]);
        assert_eq!(tally.lost(8, 0..1), [0]);
    }

    #[test]
    fn an_exact_sequence_passes_and_merges() {
        let mut whole = tally(&[0, 1]);
        whole.merge(&tally(&[2, 3]));
        whole.assert_exact(7, 0..4);
        whole.merge(&tally(&[3]));
        assert_eq!(whole.doubled(), 1);
    }

    #[test]
    #[should_panic(expected = "1 lost (first Some(1))")]
    fn a_gap_is_named() {
        tally(&[0, 2]).assert_exact(7, 0..3);
    }
}
