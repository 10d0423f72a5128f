//! What destinations say of the publishes of a burst, and who answers them: the notifier at once, or the store.

use primer::journal::{Group, Sync};
use primer_core::commit::{Accepted, Ballot};

use crate::{
    batch::{Batch, Burst},
    hub::Hub,
    pipeline::{self, Acks},
    session::Delivered,
};

/// Where votes go: to the ballots of QoS 1 or 2 publishes, which were opened one after another, else nowhere.
pub(crate) struct Votes<'v> {
    acks: &'v mut Acks,
    first: Option<Ballot>,
    /// The publication that those of the present burst are counted from.
    pub(crate) base: usize,
    /// Publications that the store has to answer for, ascending but for repetitions.
    stored: Vec<usize>,
    /// The same for queues, which say themselves what they wait for.
    of_queues: Vec<usize>,
    /// How often a destination has refused.
    pub(crate) refused: usize,
}

impl<'v> Votes<'v> {
    /// Of a publish that nobody waits for.
    pub(crate) const fn of_nobody(acks: &'v mut Acks) -> Self {
        Self::of(acks, None)
    }

    /// Of publishes whose ballots begin with this one.
    pub(crate) const fn of(acks: &'v mut Acks, first: Option<Ballot>) -> Self {
        Self { acks, first, base: 0, stored: Vec::new(), of_queues: Vec::new(), refused: 0 }
    }

    /// What one destination says of the publication `index` of the burst.
    pub(crate) fn count(&mut self, index: usize, delivered: Delivered) {
        self.refused += usize::from(matches!(delivered, Delivered::Queued(Err(_))));
        let Some(first) = self.first else { return };
        let index = self.base + index;
        let ballot = first.after(index);
        match delivered {
            Delivered::Gone => {}
            Delivered::Live => self.acks.reach(ballot),
            Delivered::Queued(answer) => self.acks.vote(ballot, answer),
            Delivered::Stored => {
                self.acks.reach(ballot);
                self.stored.push(index);
            }
        }
    }

    /// The retained store is not a subscriber: its acceptance does not make the publish a reached one.
    pub(crate) fn store(&mut self, delivered: Delivered) {
        let Some(ballot) = self.first.map(|first| first.after(self.base)) else { return };
        match delivered {
            Delivered::Queued(answer) => self.acks.vote_silently(ballot, answer),
            Delivered::Stored => self.stored.push(self.base),
            Delivered::Gone | Delivered::Live => {}
        }
    }

    /// The publication `index` of the burst waits for the store as well.
    pub(crate) fn await_store(&mut self, index: usize) {
        self.stored.push(index);
    }

    /// What a queue says of it, which counts whatever the topic's own `sync` is.
    pub(crate) fn count_queue(&mut self, index: usize, delivered: Delivered) {
        let before = self.stored.len();
        self.count(index, delivered);
        self.of_queues.extend(self.stored.drain(before..));
    }

    /// All destinations of the burst have been asked; the store answers when the batch is durable, or at once where the
    /// topic does not wait for it.
    pub(crate) fn close(&mut self, hub: &Hub, batch: &mut Batch<'_>, burst: Burst<'_, '_>) {
        let Some(first) = self.first else { return };
        let sync =
            if hub.options.durability.is_empty() { None } else { hub.sync_of(pipeline::target(burst.first().topic)) };
        if sync != Some(Sync::Never) {
            batch.draft.asks_for(sync);
            self.of_queues.append(&mut self.stored);
        }
        for index in self.stored.drain(..) {
            if let Some(answer) = hub.node.journal().and_then(|journal| Accepted::by(journal, Group::NOW)) {
                self.acks.vote_silently(first.after(index), answer);
            }
        }
        self.of_queues.sort_unstable();
        self.of_queues.dedup();
        for index in self.of_queues.drain(..) {
            self.acks.expect(first.after(index));
            batch.awaits(first.after(index));
        }
        (0..burst.len()).for_each(|index| self.acks.close(first.after(index)));
    }
}
