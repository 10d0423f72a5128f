//! The subscriber's half of a client: stamps are read, sequence numbers checked, latencies noted.

use hashbrown::HashMap;
use primer_mqtt::codec::packet::Publish;

use super::Expects;
use crate::{
    stamp::Stamp,
    tally::Tally,
    track::{Faults, Track},
};

/// A publisher of a run.
type From = (u32, u32);

/// See the module's description.
#[derive(Debug)]
pub(crate) struct Receiving {
    expects: Expects,
    tracks: Vec<Track>,
    by_from: HashMap<From, usize>,
    /// Neighbours mostly come from one publisher.
    last: Option<(From, usize)>,
    /// Deliveries of one publisher that have not been counted yet.
    batch: (u32, u64),
}

impl Receiving {
    pub(crate) fn new(expects: &Expects) -> Self {
        Self { expects: expects.clone(), tracks: Vec::new(), by_from: HashMap::new(), last: None, batch: (0, 0) }
    }

    #[inline]
    pub(super) fn take(&mut self, publish: &Publish<'_>, now_ns: u64, tally: &mut Tally) {
        tally.received += 1;
        tally.received_bytes += publish.payload.len() as u64;
        let Some(stamp) = Stamp::read(publish.payload) else {
            tally.foreign += 1;
            return;
        };
        let is_ours = stamp.run == tally.run;
        let (others, part) = (matches!(self.expects, Expects::Others), matches!(self.expects, Expects::Part));
        if !is_ours && !others {
            tally.foreign += 1;
            return;
        }
        tally.latencies.record(stamp.due_ns, now_ns);
        let track = self.track((stamp.run, stamp.publisher), if others { stamp.sequence } else { 0 });
        if part {
            track.note_rising(stamp.sequence);
            tally.note_part(stamp.publisher, stamp.sequence);
        } else {
            track.note(stamp.sequence);
        }
        if is_ours {
            if self.batch.0 != stamp.publisher {
                self.end_batch(tally);
                self.batch.0 = stamp.publisher;
            }
            self.batch.1 += 1;
        }
    }

    /// Tells the publisher of what has been received.
    #[inline]
    pub(super) fn end_batch(&mut self, tally: &mut Tally) {
        if self.batch.1 > 0 {
            tally.delivered(self.batch.0, std::mem::take(&mut self.batch.1));
        }
    }

    /// What was wrong, when the publishers have sent these numbers of messages.
    pub(crate) fn faults(&self, run: u32, sent: &[u64]) -> Faults {
        let mut faults = Faults::default();
        match &self.expects {
            Expects::Nothing => {}
            Expects::All(publishers) => {
                for publisher in publishers.clone() {
                    let sent = sent.get(publisher as usize).copied();
                    let track = self.by_from.get(&(run, publisher)).and_then(|at| self.tracks.get(*at));
                    faults.add(track.map_or_else(|| Track::default().faults(sent), |track| track.faults(sent)));
                }
            }
            Expects::Part => {
                for track in &self.tracks {
                    faults.add(Faults { lost: 0, ..track.faults(None) });
                }
            }
            Expects::Others => self.tracks.iter().for_each(|track| faults.add(track.faults(None))),
        }
        faults
    }

    #[inline]
    fn track(&mut self, from: From, first: u64) -> &mut Track {
        let at = match self.last {
            Some((last, at)) if last == from => at,
            _ => {
                let at = *self.by_from.entry(from).or_insert_with(|| {
                    self.tracks.push(Track::from(first));
                    self.tracks.len() - 1
                });
                self.last = Some((from, at));
                at
            }
        };
        &mut self.tracks[at]
    }
}
