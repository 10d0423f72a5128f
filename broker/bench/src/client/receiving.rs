//! The subscriber's half of a client: stamps are read, sequence numbers checked, latencies noted.

use hashbrown::HashMap;
use primer_mqtt::codec::packet::{Publish, QoS};

use super::Expects;
use crate::{
    stamp::Stamp,
    tally::Tally,
    track::{Faults, Sent, Track},
};

/// A publisher of a run.
type From = (u32, u32);

/// See the module's description.
#[derive(Debug)]
pub(crate) struct Receiving {
    expects: Expects,
    /// At which messages of the run have to come.
    qos: QoS,
    tracks: Vec<Track>,
    by_from: HashMap<From, usize>,
    /// Neighbours mostly come from one publisher.
    last: Option<(From, usize)>,
    /// Deliveries of one publisher that have not been counted yet.
    batch: (u32, u64),
}

impl Receiving {
    pub(crate) fn new(expects: &Expects, qos: QoS) -> Self {
        Self { expects: expects.clone(), qos, tracks: Vec::new(), by_from: HashMap::new(), last: None, batch: (0, 0) }
    }

    /// # Errors
    /// The message is of this run, and should not have come here, or not so.
    #[inline]
    pub(super) fn take(&mut self, publish: &Publish<'_>, now_ns: u64, tally: &mut Tally) -> Result<(), String> {
        let stamp = Stamp::read(publish.payload);
        if matches!(self.expects, Expects::Others) {
            self.take_of_others(stamp, now_ns, tally);
            return Ok(());
        }
        let Some(stamp) = stamp.filter(|stamp| stamp.run == tally.run) else {
            tally.foreign += 1;
            return Ok(());
        };
        if publish.qos != self.qos {
            let (is, was) = (publish.qos as u8, self.qos as u8);
            return Err(format!("the broker delivered at QoS {is} what was published and subscribed to at QoS {was}"));
        }
        let publisher = stamp.publisher;
        let (is_new, progress) = match &self.expects {
            Expects::All(publishers) if publishers.contains(&publisher) => {
                let track = self.track((stamp.run, publisher), 0);
                let before = track.next();
                (track.note(stamp.sequence), track.next() - before)
            }
            Expects::Part(publishers) if publishers.contains(&publisher) => {
                let is_new = tally.note_part(publisher, stamp.sequence);
                if is_new {
                    self.track((stamp.run, publisher), 0).note_rising(stamp.sequence);
                }
                (is_new, u64::from(is_new))
            }
            _ => return Err("the broker delivered a message that this client did not subscribe to".to_owned()),
        };
        if is_new {
            tally.received += 1;
            tally.latencies.record(stamp.due_ns, now_ns);
        }
        if self.batch.0 != publisher {
            self.end_batch(tally);
            self.batch.0 = publisher;
        }
        self.batch.1 = self.batch.1.saturating_add(progress);
        Ok(())
    }

    fn take_of_others(&mut self, stamp: Option<Stamp>, now_ns: u64, tally: &mut Tally) {
        let Some(stamp) = stamp else {
            tally.received += 1; // of a program that writes no stamps: there is nothing to check
            return;
        };
        if self.track((stamp.run, stamp.publisher), stamp.sequence).note(stamp.sequence) {
            tally.received += 1;
            tally.latencies.record(stamp.due_ns, now_ns);
        }
    }

    /// Tells the publisher of what has been received.
    #[inline]
    pub(super) fn end_batch(&mut self, tally: &mut Tally) {
        if self.batch.1 > 0 {
            tally.delivered(self.batch.0, std::mem::take(&mut self.batch.1));
        }
    }

    /// What was wrong, when the publishers have sent these messages. A message that the broker refused to take is not
    /// lost.
    pub(crate) fn faults(&self, run: u32, sent: &[Sent]) -> Faults {
        let mut faults = Faults::default();
        match &self.expects {
            Expects::Nothing => {}
            Expects::All(publishers) => {
                for publisher in publishers.clone() {
                    let sent = sent.get(publisher as usize).copied().unwrap_or_default();
                    let track = self.by_from.get(&(run, publisher)).and_then(|at| self.tracks.get(*at));
                    let nothing = Track::default();
                    let found = track.unwrap_or(&nothing).faults(Some(sent.messages));
                    faults.add(Faults { lost: found.lost.saturating_sub(sent.refused), ..found });
                }
            }
            Expects::Part(_) => {
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
