//! Changes that are made if their commit succeeds.
//!
//! They are rows of the commit, behind its other changes, and the state takes them in when it is durable. So a picture
//! that is made before does not have them, nor one that is made after a failure.

use std::{
    collections::{BTreeMap, BTreeSet, HashSet},
    sync::Arc,
};

use crate::{
    change::{Change, Move, QueueId, Whereabouts, Written},
    draft::Draft,
    state::{Bodies, State},
};

/// Those of one commit.
#[derive(Debug, Default)]
pub(crate) struct Moves {
    /// As they are written.
    pub(crate) bodies: Vec<Vec<u8>>,
    /// Destinations that are done with their messages.
    pub(crate) settled: Vec<Whereabouts>,
}

/// An entry of a queue.
type Key = (QueueId, Box<[u8]>);

/// Those of all drafts of a commit, before anything of it is written.
#[derive(Debug, Default)]
pub(crate) struct Gathered {
    gone: Vec<(QueueId, u64, Whereabouts)>,
    /// Entries that are put, or removed.
    entries: BTreeMap<Key, Option<Box<[u8]>>>,
    dropped: Vec<QueueId>,
}

impl Gathered {
    /// Takes them out of the next draft, whose changes count more than those of the drafts before it.
    pub(crate) fn take(&mut self, draft: &mut Draft) {
        if !self.entries.is_empty() {
            for change in &draft.changes {
                if let Change::Put { queue, key, .. } | Change::Remove { queue, key } = change {
                    self.entries.remove(&(*queue, key.clone()));
                }
            }
        }
        for change in draft.moves.drain(..) {
            match change {
                Move::Gone { queue, position, at } => self.gone.push((queue, position, at)),
                Move::Remove { queue, key } => {
                    self.entries.insert((queue, key), None);
                }
                Move::Put { queue, key, value } => {
                    self.entries.insert((queue, key), Some(value));
                }
                Move::Drop(queue) => self.dropped.push(queue),
            }
        }
    }

    /// What comes and goes in one commit is not written: either of the two is durable if the other is.
    pub(crate) fn settle_within(&mut self, drafts: &[Draft]) {
        let is_waiting = |at: &Whereabouts| matches!(at, Whereabouts::With(ticket) if ticket.written().is_none());
        if !self.gone.iter().any(|(_, _, at)| is_waiting(at)) {
            return;
        }
        let tickets = drafts.iter().flat_map(|draft| &draft.entries).map(|entry| Arc::as_ptr(&entry.ticket));
        let within: HashSet<_> = tickets.collect();
        for (_, _, at) in &mut self.gone {
            if let Whereabouts::With(ticket) = at
                && within.contains(&Arc::as_ptr(ticket))
                && ticket.settle_early()
            {
                *at = Whereabouts::Nowhere;
            }
        }
    }

    /// As they are written, after all other changes of the commit were made. What is gone already is left out.
    pub(crate) fn condense(self, state: &State) -> Moves {
        let (mut moves, mut bodies) = (Moves::default(), Bodies::default());
        let mut gone = BTreeSet::new();
        for (queue, position, at) in self.gone {
            if state.holds(queue, position) && gone.insert((queue, position)) {
                moves.settled.push(at);
            }
        }
        let gone: Vec<(QueueId, u64)> = gone.into_iter().collect();
        for run in gone.chunk_by(|a, b| a.0 == b.0 && a.1 + 1 == b.1) {
            if let [(queue, first), ..] = run {
                bodies.add(&Written::Gone { queue: *queue, first: *first, count: run.len() as u64 });
            }
        }
        for ((queue, key), value) in &self.entries {
            let queue = *queue;
            bodies.add(&match value {
                Some(value) => Written::Put { queue, key, value },
                None => Written::Remove { queue, key },
            });
        }
        for queue in self.dropped {
            bodies.add(&Written::Drop { queue });
        }
        moves.bodies = bodies.all;
        moves
    }
}
