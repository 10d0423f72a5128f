//! Showing the owner what its queues hold, oldest first, and counting it for the ledger.
//!
//! Records that cleaning has moved are found where they were moved to, and shown in their old place.

use std::{collections::BTreeMap, io, iter::Peekable, ops::ControlFlow, sync::Arc};

use crate::{
    cost::row_cost,
    ledger::Ledger,
    limits::READ_ROWS_MAX,
    loader::assemble,
    message::{Body, NEVER_UNIX_MS},
    record::{Kind, Row},
    recover::{OpenError, Report, Stored, record_len},
    segment::{Part, Segment, SegmentError, name_of},
    state::State,
};

/// Records that cleaning has moved, and the segment to which.
pub(crate) type Kept = BTreeMap<u64, Arc<Segment>>;

/// Scans a whole table from a key on.
pub(crate) fn scan_all(
    segment: &Segment,
    part: Part,
    from: u64,
    rows: usize,
    take: &mut dyn FnMut(u64, &[u8]),
) -> Result<(), SegmentError> {
    let mut from = Some(from);
    while let Some(start) = from {
        from = segment.scan(part, start, rows, |sequence, bytes| {
            take(sequence, bytes);
            ControlFlow::Continue(())
        })?;
    }
    Ok(())
}

/// All records that were moved. `see` is given every row, `None` for a damaged one, with the segment's number.
pub(crate) fn kept_records(segments: &BTreeMap<u64, Arc<Segment>>, mut see: impl FnMut(Seen<'_>)) -> Kept {
    let mut kept = Kept::new();
    for (number, segment) in segments {
        let scanned = scan_all(segment, Part::Kept, 0, 16 * READ_ROWS_MAX, &mut |sequence, bytes| {
            let row = segment.seal.read(bytes, sequence);
            see(Seen { number: *number, bytes, is_damaged: row.is_none() });
            if row.is_some_and(|row| row.kind != Kind::Chunk) {
                kept.insert(sequence, Arc::clone(segment));
            }
        });
        if scanned.is_err() {
            see(Seen { number: *number, bytes: &[], is_damaged: true });
        }
    }
    kept
}

/// A row that was looked at.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Seen<'a> {
    number: u64,
    bytes: &'a [u8],
    is_damaged: bool,
}

/// See the module's description.
pub(crate) struct Show<'s> {
    state: &'s State,
    ledger: &'s mut Ledger,
    report: &'s mut Report,
    visit: &'s mut dyn FnMut(&State, Stored<'_>),
    counts: Counts,
}

/// What the rows of each segment come to.
#[derive(Debug, Default)]
struct Counts {
    bytes: BTreeMap<u64, u64>,
    damaged: BTreeMap<u64, u64>,
}

impl Counts {
    fn see(&mut self, seen: Seen<'_>) {
        *self.bytes.entry(seen.number).or_default() += row_cost(seen.bytes.len());
        if seen.is_damaged {
            *self.damaged.entry(seen.number).or_default() += 1;
        }
    }
}

/// A record of several rows on its way.
struct Partial {
    sequence: u64,
    rows: u32,
    missing: u32,
    body: Vec<u8>,
}

impl<'s> Show<'s> {
    pub(crate) fn new(
        state: &'s State,
        ledger: &'s mut Ledger,
        report: &'s mut Report,
        visit: &'s mut dyn FnMut(&State, Stored<'_>),
    ) -> Self {
        Self { state, ledger, report, visit, counts: Counts::default() }
    }

    /// Everything, in the order in which it was committed.
    pub(crate) fn all(&mut self, segments: &BTreeMap<u64, Arc<Segment>>) -> Result<(), OpenError> {
        let kept = kept_records(segments, |seen| self.counts.see(seen));
        let mut kept = kept.into_iter().peekable();
        for (number, segment) in segments {
            let scanned = self.stream(*number, segment, &mut kept);
            scanned.map_err(|error| OpenError::Unreadable {
                file: name_of(*number),
                source: io::Error::other(error.to_string()),
            })?;
        }
        for (sequence, segment) in kept {
            self.kept(sequence, &segment);
        }
        Ok(())
    }

    /// What the newest segment's rows take of it, and how many rows of each segment are damaged.
    pub(crate) fn end(self) -> (u64, BTreeMap<u64, u64>) {
        self.report.damaged += self.counts.damaged.values().sum::<u64>();
        (self.counts.bytes.last_key_value().map_or(0, |(_, bytes)| *bytes), self.counts.damaged)
    }

    fn stream(
        &mut self,
        number: u64,
        segment: &Segment,
        kept: &mut Peekable<impl Iterator<Item = (u64, Arc<Segment>)>>,
    ) -> Result<(), SegmentError> {
        let mut partial: Option<Partial> = None;
        self.counts.bytes.entry(number).or_default();
        scan_all(segment, Part::Stream, 0, 16 * READ_ROWS_MAX, &mut |sequence, bytes| {
            while let Some((before, segment)) = kept.next_if(|(key, _)| *key < sequence) {
                self.kept(before, &segment);
            }
            let has_moved = kept.next_if(|(key, _)| *key == sequence);
            if let Some((sequence, segment)) = &has_moved {
                self.kept(*sequence, segment);
            }
            let row = segment.seal.read(bytes, sequence);
            self.counts.see(Seen { number, bytes, is_damaged: row.is_none() && has_moved.is_none() });
            match row {
                Some(row) if row.kind == Kind::Chunk => self.chunk(number, &row, &mut partial),
                Some(row) if has_moved.is_none() => partial = self.begin(number, &row),
                _ => partial = None,
            }
        })
    }

    /// A record begins: it is shown, or waits for its chunks.
    fn begin(&mut self, number: u64, row: &Row<'_>) -> Option<Partial> {
        match row.kind {
            Kind::Message => self.record(row.sequence, row.body, 1, number),
            Kind::Head => {
                let (count, first) = row.body.split_first_chunk::<2>()?;
                let missing = u32::from(u16::from_le_bytes(*count));
                return Some(Partial { sequence: row.sequence, rows: missing + 1, missing, body: first.to_vec() });
            }
            _ => {}
        }
        None
    }

    fn chunk(&mut self, number: u64, row: &Row<'_>, partial: &mut Option<Partial>) {
        let Some(mut part) = partial.take() else { return };
        if row.sequence != part.sequence + u64::from(part.rows - part.missing) {
            return;
        }
        part.body.extend_from_slice(row.body);
        part.missing -= 1;
        if part.missing == 0 {
            self.record(part.sequence, &part.body, part.rows, number);
        } else {
            *partial = Some(part);
        }
    }

    fn kept(&mut self, sequence: u64, segment: &Segment) {
        let mut head = None;
        let read = segment.get_each(Part::Kept, &[sequence], |_, bytes| {
            let row = bytes.and_then(|bytes| segment.seal.read(bytes, sequence));
            head = row.map(|row| (row.kind, row.body.to_vec()));
        });
        let number = segment.about.number;
        match (read, head) {
            (Ok(()), Some((Kind::Message, body))) => self.record(sequence, &body, 1, number),
            (Ok(()), Some((Kind::Head, head))) => {
                let rows = 1 + head.first_chunk::<2>().map_or(0, |count| u32::from(u16::from_le_bytes(*count)));
                // A part that is damaged was counted when it was seen.
                if let Ok(Some(body)) = assemble(segment, Part::Kept, sequence, &head) {
                    self.record(sequence, &body, rows, number);
                }
            }
            _ => {}
        }
    }

    /// One whole record in a segment.
    fn record(&mut self, sequence: u64, bytes: &[u8], rows: u32, number: u64) {
        let Some(body) = Body::decode(bytes) else {
            *self.counts.damaged.entry(number).or_default() += 1;
            return;
        };
        let len = record_len(bytes.len(), rows);
        let mut wanted = 0;
        for one in &body.destinations {
            if self.state.holds(one.queue, one.position) {
                wanted += 1;
                let stored = Stored {
                    queue: one.queue,
                    position: one.position,
                    sequence,
                    len,
                    expires_unix_ms: (body.expires_unix_ms != NEVER_UNIX_MS).then_some(body.expires_unix_ms),
                    note: one.note,
                    content: body.content,
                };
                (self.visit)(self.state, stored);
            }
        }
        if wanted > 0 {
            self.report.messages += 1;
            if self.ledger.place(sequence) == Some(number) {
                self.ledger.write(sequence, len, wanted);
            } else {
                self.ledger.write_moved(sequence, len, wanted, number);
            }
        }
    }
}
