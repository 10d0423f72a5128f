//! From what was submitted to the rows of one commit: sequence numbers, deltas, and what it means for the ledger.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use crate::{
    change::{Change, QueueId, Whereabouts, Written},
    cost::row_cost,
    draft::{self, Draft},
    ledger::Ledger,
    limits::BODY_BYTES_MAX,
    moves::{Gathered, Moves},
    record::{Kind, Seal},
    state::{Bodies, State},
    ticket::Ticket,
};

/// A message that is going to be written.
#[derive(Debug)]
struct Placed {
    ticket: Arc<Ticket>,
    sequence: u64,
    len: u32,
    destinations: u32,
}

/// The rows of one commit.
#[derive(Debug, Default)]
pub(crate) struct Prepared {
    drafts: Vec<Draft>,
    /// For each draft the rows that are written: sequence number, beginning and end.
    places: Vec<Vec<(u64, usize, usize)>>,
    deltas: Vec<(u64, Vec<u8>)>,
    messages: Vec<Placed>,
    settled: Vec<Whereabouts>,
    moves: Moves,
    pub(crate) skipped: u64,
    /// Bytes of a file that all rows take.
    pub(crate) cost: u64,
    /// Bytes of the messages' payloads.
    pub(crate) payload_bytes: u64,
    /// The first sequence number, and the one after the last.
    pub(crate) first: u64,
    pub(crate) next: u64,
}

impl Prepared {
    /// Numbers and seals what is still wanted of the drafts, and takes their changes into the state.
    pub(crate) fn new(mut drafts: Vec<Draft>, first: u64, seal: Seal, state: &mut State) -> Self {
        let mut prepared = Self::empty(first);
        let (mut changes, mut moves) = (Vec::new(), Gathered::default());
        drafts.iter_mut().for_each(|draft| moves.take(draft));
        moves.settle_within(&drafts);
        for draft in &mut drafts {
            changes.append(&mut draft.changes);
            let places = prepared.place(draft, seal);
            prepared.places.push(places);
        }
        prepared.drafts = drafts;
        let bodies = prepared.condense(changes, state).all;
        prepared.add_deltas(&bodies, seal);
        prepared.moves = moves.condense(state);
        prepared.add_moves(seal);
        prepared
    }

    /// Adds the changes that are made if this is durable, behind all others.
    pub(crate) fn add_moves(&mut self, seal: Seal) {
        let bodies = std::mem::take(&mut self.moves.bodies);
        self.add_deltas(&bodies, seal);
        self.moves.bodies = bodies;
    }

    /// Nothing yet, to be written from a sequence number on.
    pub(crate) fn empty(first: u64) -> Self {
        Self { first, next: first, ..Self::default() }
    }

    /// Adds bodies of changes. One that is longer than a row takes several.
    pub(crate) fn add_deltas(&mut self, bodies: &[Vec<u8>], seal: Seal) {
        for body in bodies {
            let mut parts = body.chunks(BODY_BYTES_MAX).peekable();
            while let Some(part) = parts.next() {
                let kind = if parts.peek().is_some() { Kind::More } else { Kind::Delta };
                let row = seal.row(kind, self.next, part);
                self.cost += row_cost(row.len());
                self.deltas.push((self.next, row));
                self.next += 1;
            }
        }
    }

    fn place(&mut self, draft: &mut Draft, seal: Seal) -> Vec<(u64, usize, usize)> {
        let mut places = Vec::with_capacity(draft.entries.len());
        let mut begin = 0;
        for entry in &draft.entries {
            let start = std::mem::replace(&mut begin, entry.end);
            let destinations = entry.ticket.take();
            if destinations == 0 {
                self.skipped += 1;
                continue;
            }
            let sequence = self.next;
            let mut at = start;
            for row in draft::rows(draft.memory.get_mut(start..entry.end).unwrap_or_default(), entry.rows) {
                seal.close(row, self.next);
                self.cost += row_cost(row.len());
                places.push((self.next, at, at + row.len()));
                at += row.len();
                self.next += 1;
            }
            self.payload_bytes += u64::from(entry.payload);
            let len = u32::try_from(entry.end - start).unwrap_or(u32::MAX);
            self.messages.push(Placed { ticket: Arc::clone(&entry.ticket), sequence, len, destinations });
        }
        places
    }

    /// Changes as they are written: what became of each queue, not how it came about.
    fn condense(&mut self, changes: Vec<Change>, state: &mut State) -> Bodies {
        let mut bodies = Bodies::default();
        let mut floors: BTreeMap<QueueId, u64> = BTreeMap::new();
        let mut gone: BTreeSet<(QueueId, u64)> = BTreeSet::new();
        let mut leases: BTreeMap<(QueueId, u64), u16> = BTreeMap::new();
        for change in &changes {
            let written = match change {
                Change::Define { queue, name } => Written::Define { queue: *queue, name },
                Change::Drop(queue) => Written::Drop { queue: *queue },
                Change::Put { queue, key, value } => Written::Put { queue: *queue, key, value },
                Change::Remove { queue, key } => Written::Remove { queue: *queue, key },
                Change::Gone { queue, position, floor, .. } => {
                    gone.insert((*queue, *position));
                    let known = floors.entry(*queue).or_default();
                    *known = (*known).max(*floor);
                    continue;
                }
                Change::Lease { queue, position, tag } => {
                    leases.insert((*queue, *position), *tag);
                    continue;
                }
                Change::Settle(_) => continue,
            };
            state.apply(&written);
            bodies.add(&written);
        }
        // Floors before what is gone above them, and both before leases: a lease of what is gone is not written.
        let mut write = |state: &mut State, written: Written<'_>| {
            state.apply(&written);
            bodies.add(&written);
        };
        for (queue, position) in floors {
            if state.queue(queue).is_some_and(|known| known.floor() < position) {
                write(state, Written::Floor { queue, position });
            }
        }
        let gone: Vec<(QueueId, u64)> =
            gone.into_iter().filter(|(queue, position)| state.holds(*queue, *position)).collect();
        for run in gone.chunk_by(|a, b| a.0 == b.0 && a.1 + 1 == b.1) {
            let [(queue, first), ..] = run else { continue };
            write(state, Written::Gone { queue: *queue, first: *first, count: run.len() as u64 });
        }
        for ((queue, position), tag) in leases {
            if state.holds(queue, position) {
                write(state, Written::Lease { queue, position, tag });
            }
        }
        self.settled.extend(changes.into_iter().filter_map(|change| match change {
            Change::Gone { at, .. } | Change::Settle(at) => Some(at),
            _ => None,
        }));
        bodies
    }

    /// Whether there is nothing to write.
    pub(crate) fn is_empty(&self) -> bool {
        self.messages.is_empty() && self.deltas.is_empty()
    }

    /// How many messages are written.
    pub(crate) fn messages(&self) -> u64 {
        self.messages.len() as u64
    }

    /// The rows, by ascending sequence number.
    pub(crate) fn rows(&self) -> impl Iterator<Item = (u64, &[u8])> {
        let messages = self.drafts.iter().zip(&self.places).flat_map(|(draft, places)| {
            places.iter().map(|(sequence, from, to)| (*sequence, draft.memory.get(*from..*to).unwrap_or_default()))
        });
        messages.chain(self.deltas.iter().map(|(sequence, row)| (*sequence, row.as_slice())))
    }

    /// It is durable: tickets say where, and the ledger counts.
    pub(crate) fn finish(&self, ledger: &mut Ledger, state: &mut State) {
        for message in &self.messages {
            message.ticket.set_written(message.sequence, message.len);
            ledger.write(message.sequence, message.len, message.destinations);
        }
        settle(&self.settled, ledger);
        for body in &self.moves.bodies {
            let _it_was_encoded_here = state.apply_all(body);
        }
        settle(&self.moves.settled, ledger);
    }

    /// It is not, and will not be.
    pub(crate) fn withdraw(&self, ledger: &mut Ledger) {
        self.messages.iter().for_each(|message| message.ticket.withdraw());
        settle(&self.settled, ledger);
    }
}

/// Destinations are done with their messages.
fn settle(settled: &[Whereabouts], ledger: &mut Ledger) {
    for at in settled {
        match at {
            Whereabouts::At { sequence, len } => ledger.settle(*sequence, *len),
            Whereabouts::With(ticket) => match ticket.written() {
                Some((sequence, len)) => ledger.settle(sequence, len),
                // A later group's, and one destination less.
                None => drop(ticket.settle_early()),
            },
            Whereabouts::Nowhere => {}
        }
    }
}
