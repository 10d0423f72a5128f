//! The state out of files: the newest whole picture, and all deltas after it.

use std::{collections::BTreeMap, sync::Arc};

use crate::{
    limits::READ_ROWS_MAX,
    record::{Kind, Row, Seal},
    recover::Report,
    segment::{Part, Segment},
    show::scan_all,
    sources::Refused,
    state::State,
};

pub(crate) fn rebuild(
    opened: &BTreeMap<u64, Arc<Segment>>,
    refused: &[Refused],
    seal: Seal,
    report: &mut Report,
) -> State {
    let (base, picture) = newest_picture(opened, refused, report);
    let mut replay = Replay::default();
    report.damaged += u64::from(!replay.state.apply_all(&picture));
    let salvaged: BTreeMap<u64, &[u8]> = refused
        .iter()
        .flat_map(|file| file.found.rows.range(base..))
        .map(|(sequence, row)| (*sequence, row.as_slice()))
        .collect();
    let mut salvaged = salvaged.into_iter().peekable();
    let is_wanted = |segment: &&Arc<Segment>| matches!(segment.last(), Ok(Some((last, _))) if last >= base);
    for segment in opened.values().filter(is_wanted) {
        let scanned = scan_all(segment, Part::Stream, base, 16 * READ_ROWS_MAX, &mut |sequence, bytes| {
            while let Some((before, row)) = salvaged.next_if(|(key, _)| *key < sequence) {
                replay.take(seal.read(row, before));
            }
            // The same row may have been salvaged from a copy of the file; it is used if the other is damaged.
            let twin = salvaged.next_if(|(key, _)| *key == sequence);
            replay.take(seal.read(bytes, sequence).or_else(|| twin.and_then(|(key, row)| seal.read(row, key))));
        });
        if let Err(error) = scanned {
            tracing::error!(%error, number = segment.about.number, "a segment cannot be read to its end");
            report.damaged += 1;
        }
    }
    for (sequence, row) in salvaged {
        replay.take(seal.read(row, sequence));
    }
    report.damaged += replay.undecoded;
    replay.state
}

/// The picture that begins the newest segment of which all of it is there, and where that segment begins.
fn newest_picture(opened: &BTreeMap<u64, Arc<Segment>>, refused: &[Refused], report: &mut Report) -> (u64, Vec<u8>) {
    enum From<'a> {
        Opened(&'a Segment),
        Refused(&'a Refused),
    }
    let of_opened = opened.values().map(|segment| (segment.about.base, From::Opened(segment)));
    let of_refused = refused.iter().filter_map(|file| Some((file.about()?.base, From::Refused(file))));
    let mut all: Vec<(u64, From<'_>)> = of_opened.chain(of_refused).collect();
    all.sort_by_key(|(base, _)| std::cmp::Reverse(*base));
    for (base, from) in all {
        let picture = match from {
            From::Opened(segment) => segment.picture().ok().flatten(),
            From::Refused(file) => file.found.picture(),
        };
        match picture {
            Some(parts) => return (base, parts.concat()),
            None => report.damaged += 1,
        }
    }
    (0, Vec::new())
}

#[derive(Default)]
struct Replay {
    state: State,
    /// The parts so far of a delta of several rows, and the sequence number that goes on with it.
    parts: Vec<u8>,
    next: u64,
    undecoded: u64,
}

impl Replay {
    fn take(&mut self, row: Option<Row<'_>>) {
        let Some(row) = row else { return self.parts.clear() };
        if row.sequence != self.next {
            self.parts.clear();
        }
        match row.kind {
            Kind::More => {
                self.parts.extend_from_slice(row.body);
                self.next = row.sequence + 1;
            }
            Kind::Delta => {
                self.parts.extend_from_slice(row.body);
                self.undecoded += u64::from(!self.state.apply_all(&self.parts));
                self.parts.clear();
            }
            _ => self.parts.clear(),
        }
    }
}
