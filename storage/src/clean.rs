//! Cleaning: what is still wanted of an old segment moves to the one that is written, and its file goes.

use std::ops::ControlFlow;

use crate::{
    limits::{CLEAN_BYTES, CLEAN_ROWS},
    message::Body,
    record::{self, Kind},
    segment::{Part, Segment, SegmentError},
    state::State,
};

/// How far the cleaning of a segment has come.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Cleaning {
    pub(crate) number: u64,
    /// Records that cleaning had put there earlier are older than its own, and go first.
    part: Part,
    from: u64,
}

/// A record that moves.
#[derive(Debug)]
pub(crate) struct Moving {
    pub(crate) sequence: u64,
    pub(crate) len: u32,
    pub(crate) rows: Vec<(u64, Vec<u8>)>,
}

/// What one step found.
#[derive(Debug)]
pub(crate) struct Step {
    pub(crate) moving: Vec<Moving>,
    /// Rows that were damaged: what they were cannot be moved.
    pub(crate) damaged: u64,
    pub(crate) next: Option<Cleaning>,
}

impl Cleaning {
    pub(crate) const fn of(number: u64) -> Self {
        Self { number, part: Part::Kept, from: 0 }
    }

    /// The next records that are still wanted, and how to go on; `None` when there are no more. `stands_here` says
    /// whether a record has not been moved already.
    pub(crate) fn next(
        &self,
        segment: &Segment,
        state: &State,
        stands_here: impl Fn(u64) -> bool,
    ) -> Result<Step, SegmentError> {
        let (mut moving, mut damaged): (Vec<Moving>, u64) = (Vec::new(), 0);
        let mut bytes = 0;
        // The rows of one record stand one after another: chunks belong to the head before them.
        let mut takes_chunks = false;
        let go_on_at = segment.scan(self.part, self.from, CLEAN_ROWS, |sequence, bytes_of_row| {
            let Some(row) = segment.seal.read(bytes_of_row, sequence) else {
                damaged += 1;
                takes_chunks = false;
                return ControlFlow::Continue(());
            };
            let len = bytes_of_row.len();
            if row.kind == Kind::Chunk {
                if let Some(last) = moving.last_mut().filter(|_| takes_chunks) {
                    last.len = last.len.saturating_add(len as u32);
                    last.rows.push((sequence, bytes_of_row.to_vec()));
                    bytes += len;
                }
                return ControlFlow::Continue(());
            }
            if bytes >= CLEAN_BYTES {
                takes_chunks = false;
                return ControlFlow::Break(());
            }
            takes_chunks = stands_here(sequence) && is_wanted(&row, state);
            if takes_chunks {
                bytes += len;
                let rows = vec![(sequence, bytes_of_row.to_vec())];
                moving.push(Moving { sequence, len: len as u32, rows });
            }
            ControlFlow::Continue(())
        })?;
        let next = match go_on_at {
            // The scan may have stopped within a record whose head it has seen: it goes on at that head.
            Some(from) => Some(Self { from: self.whole(&mut moving, takes_chunks, from), ..*self }),
            None if self.part == Part::Kept => Some(Self { part: Part::Stream, from: 0, ..*self }),
            None => None,
        };
        Ok(Step { moving, damaged, next })
    }

    /// A record may go on behind the last row that was looked at: it is left for the next step, which begins with it.
    /// No record has as many rows as one step looks at.
    fn whole(&self, moving: &mut Vec<Moving>, takes_chunks: bool, from: u64) -> u64 {
        let is_open = takes_chunks && moving.last().is_some_and(|last| last.sequence > self.from);
        if is_open && let Some(last) = moving.pop() { last.sequence } else { from }
    }
}

/// Whether any queue still holds the message. A head that does not tell is taken for wanted.
pub(crate) fn is_wanted(row: &record::Row<'_>, state: &State) -> bool {
    let body = match row.kind {
        Kind::Message => row.body,
        Kind::Head => row.body.get(2..).unwrap_or_default(),
        _ => return false,
    };
    match Body::decode(body) {
        Some(body) => body.destinations.iter().any(|one| state.holds(one.queue, one.position)),
        None => row.kind == Kind::Head,
    }
}
