//! From files to a running store, whatever state they are in.
//!
//! 1. Segments that were being made when the process ended are removed: nothing depended on them.
//! 2. Every segment is opened, after an unclean stop by a probe first. What redb refuses is set aside under another
//!    name, and its records are found without redb's help.
//! 3. The state is the newest whole picture and all deltas after it.
//! 4. Every message that a queue still holds is shown to the owner.
//! 5. What was salvaged is written into a fresh segment; then the set-aside file is not needed any more, and is kept
//!    for people.

use std::{collections::BTreeMap, io, sync::Arc};

use crate::{
    change::QueueId,
    disk::Disk,
    ledger::Ledger,
    limits::{ACTIVE_CACHE_BYTES, READ_CACHE_BYTES, READ_ROWS_MAX, SEQUENCE_GAP},
    loader::assemble,
    message::{Body, NEVER_UNIX_MS},
    record::{self, Kind},
    salvage::{self, Salvaged},
    segment::{self, About, Opener, Part, Segment, SegmentError},
    state::State,
    stats::Stats,
    store::Options,
};

/// Why a store does not open.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum OpenError {
    /// The folder cannot be read.
    #[error("cannot read the data directory: {0}")]
    Disk(io::Error),
    /// A file of a newer version is there.
    #[error(
        "{file} has format {found}, newer than this version of Primer reads ({reads}): start a newer version, or choose another data directory"
    )]
    Newer {
        /// Which file.
        file: String,
        /// Its format.
        found: u8,
        /// The newest that is read.
        reads: u8,
    },
    /// Nothing can be written.
    #[error("cannot write to the data directory: {0}; free space or make it writable, or choose another one")]
    Unwritable(String),
    /// The store's threads cannot be started.
    #[error("cannot start a thread: {0}")]
    Thread(io::Error),
}

/// A file that was set aside.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SetAside {
    /// Its name now.
    pub file: String,
    /// What was wrong with it.
    pub why: String,
    /// Sound rows that were found in it.
    pub rows: u64,
}

/// What opening found.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Report {
    /// Segments that opened.
    pub segments: u64,
    /// Messages that are still wanted, each counted once.
    pub messages: u64,
    /// Rows that were damaged.
    pub damaged: u64,
    /// Files that did not open.
    pub set_aside: Vec<SetAside>,
    /// The store was not closed.
    pub was_unclean: bool,
    /// Which life of the store this is: one more after anything acknowledged may be missing.
    pub incarnation: u64,
}

/// A message that a queue holds.
#[derive(Debug, Clone, Copy)]
pub struct Stored<'a> {
    /// Which queue.
    pub queue: QueueId,
    /// At which position.
    pub position: u64,
    /// Its record.
    pub sequence: u64,
    /// Bytes of the record.
    pub len: u32,
    /// When it expires, in milliseconds since 1970.
    pub expires_unix_ms: Option<u64>,
    /// The note of this destination.
    pub note: &'a [u8],
    /// The content.
    pub content: &'a [u8],
}

/// Everything that the writer goes on with.
pub(crate) struct Recovered {
    pub(crate) opener: Opener,
    pub(crate) segments: BTreeMap<u64, Arc<Segment>>,
    pub(crate) state: State,
    pub(crate) ledger: Ledger,
    pub(crate) next_sequence: u64,
    pub(crate) next_queue: u32,
    pub(crate) report: Report,
}

/// Where rows come from.
pub(crate) enum Source {
    Opened(Arc<Segment>),
    Salvaged { number: u64, found: Salvaged },
}

impl Source {
    fn number(&self) -> u64 {
        match self {
            Self::Opened(segment) => segment.about.number,
            Self::Salvaged { number, .. } => *number,
        }
    }

    fn about(&self) -> Option<&About> {
        match self {
            Self::Opened(segment) => Some(&segment.about),
            Self::Salvaged { found, .. } => found.about.as_ref(),
        }
    }

    fn picture(&self) -> Option<Vec<Vec<u8>>> {
        match self {
            Self::Opened(segment) => segment.picture().ok()?,
            Self::Salvaged { found, .. } => found.picture(),
        }
    }
}

pub(crate) fn recover(
    disk: &Arc<dyn Disk>,
    options: &Options,
    stats: &Arc<Stats>,
    visit: &mut dyn FnMut(&State, Stored<'_>),
) -> Result<Recovered, OpenError> {
    let (mut recovered, sources) = gather(disk, options, stats)?;
    recovered.show(&sources, visit)?;
    Ok(recovered)
}

/// All but step 4: what there is, before any message was shown.
pub(crate) fn gather(
    disk: &Arc<dyn Disk>,
    options: &Options,
    stats: &Arc<Stats>,
) -> Result<(Recovered, Vec<Source>), OpenError> {
    let len_max = options.segment_bytes();
    let opener = Opener { disk: Arc::clone(disk), stats: Arc::clone(stats), len_max };
    let numbers = look(disk)?;
    let mut report = Report::default();
    let sources = open_all(&opener, &numbers, &mut report)?;
    let last = sources.iter().map(last_of).max().unwrap_or((0, true));
    report.was_unclean = !sources.is_empty() && !last.1;
    let mut state = rebuild(&sources, &mut report);
    let abouts = || sources.iter().filter_map(Source::about);
    let had_loss = !report.set_aside.is_empty() || report.damaged > 0;
    report.incarnation = abouts().map(|about| about.incarnation).max().unwrap_or(0) + u64::from(had_loss);
    let next_queue = abouts().map(|about| about.next_queue).max().unwrap_or(0).max(state.next_id());
    let gap = if report.was_unclean { SEQUENCE_GAP } else { 0 };
    let mut recovered = Recovered {
        opener,
        segments: BTreeMap::new(),
        state: std::mem::take(&mut state),
        ledger: Ledger::default(),
        next_sequence: last.0 + 1 + gap,
        next_queue,
        report,
    };
    for source in &sources {
        if let Source::Opened(segment) = source {
            recovered.segments.insert(segment.about.number, Arc::clone(segment));
            recovered.ledger.add_segment(segment.about.number, segment.about.base);
        }
    }
    recovered.make_room(&sources, numbers.last().copied())?;
    recovered.report.segments = recovered.segments.len() as u64;
    Ok((recovered, sources))
}

/// The numbers of the segments there are, ascending.
fn look(disk: &Arc<dyn Disk>) -> Result<Vec<u64>, OpenError> {
    let names = disk.list().map_err(OpenError::Disk)?;
    for name in names.iter().filter(|name| segment::is_unfinished(name)) {
        tracing::info!(file = name, "removing a segment whose making was interrupted; nothing was in it");
        if let Err(error) = disk.remove(name) {
            tracing::warn!(file = name, %error, "it cannot be removed");
        }
    }
    let mut numbers: Vec<u64> = names.iter().filter_map(|name| segment::number_of(name)).collect();
    numbers.sort_unstable();
    Ok(numbers)
}

fn open_all(opener: &Opener, numbers: &[u64], report: &mut Report) -> Result<Vec<Source>, OpenError> {
    let mut sources = Vec::new();
    for (index, number) in numbers.iter().enumerate() {
        let name = segment::name_of(*number);
        let is_newest = index + 1 == numbers.len();
        let cache_bytes = if is_newest { ACTIVE_CACHE_BYTES } else { READ_CACHE_BYTES };
        let opened = match opener.disk.probe(&name) {
            Ok(()) => opener.open(*number, cache_bytes),
            Err(why) => Err(SegmentError::Failed(why)),
        };
        match opened {
            Ok(segment) if segment.about.number == *number => sources.push(Source::Opened(Arc::new(segment))),
            Ok(segment) => {
                let says = format!("it is segment {} under another name", segment.about.number);
                drop(segment);
                sources.extend(set_aside(opener, &name, *number, &says, report)?);
            }
            Err(SegmentError::Newer { found }) => return Err(newer(&name, found)),
            Err(error) => sources.extend(set_aside(opener, &name, *number, &error.to_string(), report)?),
        }
    }
    Ok(sources)
}

fn newer(file: &str, found: u8) -> OpenError {
    OpenError::Newer { file: file.to_owned(), found, reads: segment::FORMAT }
}

/// Gives a file that does not open another name, and takes out of it what can be found.
fn set_aside(
    opener: &Opener,
    name: &str,
    number: u64,
    why: &str,
    report: &mut Report,
) -> Result<Option<Source>, OpenError> {
    let file = opener.disk.open(name, false);
    let found = match file.and_then(|file| salvage::salvage(&*file)) {
        Ok(found) => found,
        Err(error) => {
            tracing::error!(file = name, %error, "a file cannot even be read");
            Salvaged::default()
        }
    };
    if let Some(format) = found.newer {
        return Err(newer(name, format));
    }
    let names = opener.disk.list().map_err(OpenError::Disk)?;
    let free = (1..).map(|n| format!("{name}.damaged-{n}")).find(|name| !names.contains(name)).unwrap_or_default();
    let rows = found.rows.len() as u64;
    let file = match opener.disk.rename(name, &free).and_then(|()| opener.disk.sync()) {
        Ok(()) => free,
        Err(error) => return Err(OpenError::Unwritable(error.to_string())),
    };
    tracing::error!(file, why, rows, "a file did not open; it is set aside, and what is sound in it is taken out");
    report.set_aside.push(SetAside { file, why: why.to_owned(), rows });
    Ok(Some(Source::Salvaged { number, found }))
}

/// Opens a file on its own, without changing anything that is not redb's, and reads it from end to end.
pub(crate) fn try_file(path: &std::path::Path) -> Result<(), SegmentError> {
    segment::try_file(path, &mut look_at_all)
}

pub(crate) fn look_at_all(segment: &Segment) -> Result<(), SegmentError> {
    segment.last()?;
    scan_all(segment, Part::Stream, &mut |_, _| {})?;
    scan_all(segment, Part::Kept, &mut |_, _| {})
}

/// The last sequence number of a source, and whether it says that the stop was clean.
fn last_of(source: &Source) -> (u64, bool) {
    match source {
        Source::Opened(segment) => {
            let last = segment.last().ok().flatten();
            last.unwrap_or((segment.about.base.saturating_sub(1), false))
        }
        // What is lost of it may have had higher numbers.
        Source::Salvaged { found, .. } => (found.rows.last_key_value().map_or(0, |(key, _)| *key), false),
    }
}

/// The newest whole picture, and all deltas after it.
fn rebuild(sources: &[Source], report: &mut Report) -> State {
    let mut state = State::default();
    let mut base = 0;
    let mut newest: Vec<&Source> = sources.iter().filter(|source| source.about().is_some()).collect();
    newest.sort_by_key(|source| std::cmp::Reverse(source.about().map(|about| about.base)));
    for source in newest {
        if let Some(bodies) = source.picture() {
            base = source.about().map_or(0, |about| about.base);
            if !bodies.iter().all(|body| state.apply_all(body)) {
                report.damaged += 1;
            }
            break;
        }
        report.damaged += 1;
    }
    for source in sources {
        let mut take = |sequence: u64, bytes: &[u8]| match record::read(bytes, sequence) {
            Some(row) if row.kind == Kind::Delta && sequence >= base => {
                report.damaged += u64::from(!state.apply_all(row.body));
            }
            Some(_) => {}
            None => report.damaged += 1,
        };
        match source {
            Source::Opened(segment) => {
                let is_wanted = sources
                    .iter()
                    .filter(|other| other.number() > segment.about.number)
                    .filter_map(Source::about)
                    .all(|about| about.base > base);
                if is_wanted && scan_all(segment, Part::Stream, &mut take).is_err() {
                    report.damaged += 1;
                }
            }
            Source::Salvaged { found, .. } => found.rows.iter().for_each(|(sequence, row)| take(*sequence, row)),
        }
    }
    state
}

pub(crate) fn scan_all(segment: &Segment, part: Part, take: &mut dyn FnMut(u64, &[u8])) -> Result<(), SegmentError> {
    let mut from = Some(0);
    while let Some(start) = from {
        from = segment.scan(part, start, 16 * READ_ROWS_MAX, &mut *take)?;
    }
    Ok(())
}

impl Recovered {
    /// There is a segment to write to: the newest, or a fresh one where there is none, or anything was salvaged.
    fn make_room(&mut self, sources: &[Source], newest: Option<u64>) -> Result<(), OpenError> {
        let all_opened = sources.iter().all(|source| matches!(source, Source::Opened(_)));
        if all_opened && !sources.is_empty() {
            return Ok(());
        }
        let picture = self.state.picture();
        let about = About {
            number: newest.unwrap_or(0) + 1,
            base: self.next_sequence,
            parts: picture.len() as u32,
            incarnation: self.report.incarnation,
            next_queue: self.next_queue,
        };
        let (number, base) = (about.number, about.base);
        let made = self.opener.make(about, &picture, ACTIVE_CACHE_BYTES);
        let segment = made.map_err(|error| OpenError::Unwritable(error.to_string()))?;
        self.ledger.add_segment(number, base);
        self.segments.insert(number, Arc::new(segment));
        Ok(())
    }

    /// Shows the owner what is held, oldest first, and counts it. What was salvaged is written into the newest segment.
    pub(crate) fn show(
        &mut self,
        sources: &[Source],
        visit: &mut dyn FnMut(&State, Stored<'_>),
    ) -> Result<(), OpenError> {
        // Records that were moved are found where they were moved to.
        let mut kept: BTreeMap<u64, Arc<Segment>> = BTreeMap::new();
        for segment in self.segments.values() {
            let scanned = scan_all(segment, Part::Kept, &mut |sequence, bytes| {
                if record::read(bytes, sequence).is_some_and(|row| row.kind != Kind::Chunk) {
                    kept.insert(sequence, Arc::clone(segment));
                }
            });
            self.report.damaged += u64::from(scanned.is_err());
        }
        let mut shown = Shown { state: &self.state, ledger: &mut self.ledger, report: &mut self.report, visit };
        for (sequence, segment) in &kept {
            let mut row = None;
            let read = segment.get_each(Part::Kept, &[*sequence], |_, bytes| row = bytes.map(<[u8]>::to_vec));
            if read.is_ok()
                && let Some(row) = row
            {
                shown.record(*sequence, &row, Some(segment.about.number), |head| {
                    assemble(segment, Part::Kept, *sequence, head)
                });
            }
        }
        let active = self.segments.last_key_value().map(|(_, segment)| Arc::clone(segment));
        for source in sources {
            match source {
                Source::Opened(segment) => {
                    let mut heads: Vec<(u64, Vec<u8>)> = Vec::new();
                    let scanned = scan_all(segment, Part::Stream, &mut |sequence, bytes| {
                        if kept.contains_key(&sequence) {
                            return;
                        }
                        match record::read(bytes, sequence).map(|row| row.kind) {
                            Some(Kind::Message) => drop(shown.record(sequence, bytes, None, |_| None)),
                            Some(Kind::Head) => heads.push((sequence, bytes.to_vec())),
                            _ => {}
                        }
                    });
                    shown.report.damaged += u64::from(scanned.is_err());
                    for (sequence, row) in heads {
                        shown.record(sequence, &row, None, |head| assemble(segment, Part::Stream, sequence, head));
                    }
                }
                Source::Salvaged { found, .. } => {
                    let Some(active) = &active else { continue };
                    let rows = found.rows.iter().filter(|(sequence, _)| !kept.contains_key(sequence));
                    let mut wanted: Vec<(u64, &[u8])> = Vec::new();
                    for (sequence, row) in rows {
                        let body = |head: &[u8]| salvaged_body(found, *sequence, head);
                        if let Some(rows) = shown.record(*sequence, row, Some(active.about.number), body) {
                            let keys = *sequence..*sequence + u64::from(rows);
                            wanted.extend(found.rows.range(keys).map(|(key, row)| (*key, row.as_slice())));
                        }
                    }
                    let written = active.append(std::iter::empty(), wanted.into_iter());
                    written.map_err(|error| OpenError::Unwritable(error.to_string()))?;
                }
            }
        }
        Ok(())
    }
}

fn salvaged_body(found: &Salvaged, sequence: u64, head: &[u8]) -> Option<Vec<u8>> {
    let (count, first) = head.split_first_chunk::<2>()?;
    let mut body = first.to_vec();
    for key in sequence + 1..=sequence + u64::from(u16::from_le_bytes(*count)) {
        let row = record::read(found.rows.get(&key)?, key).filter(|row| row.kind == Kind::Chunk)?;
        body.extend_from_slice(row.body);
    }
    Some(body)
}

/// Shows records and counts them.
struct Shown<'s> {
    state: &'s State,
    ledger: &'s mut Ledger,
    report: &'s mut Report,
    visit: &'s mut dyn FnMut(&State, Stored<'_>),
}

impl Shown<'_> {
    /// One record; answers how many rows it has if anybody still wants it. `whole` puts one of several rows together.
    fn record(
        &mut self,
        sequence: u64,
        bytes: &[u8],
        moved_to: Option<u64>,
        whole: impl Fn(&[u8]) -> Option<Vec<u8>>,
    ) -> Option<u32> {
        let row = record::read(bytes, sequence)?;
        let (rows, assembled) = match row.kind {
            Kind::Message => (1, None),
            Kind::Head => {
                let count = row.body.first_chunk::<2>().map_or(0, |count| u16::from_le_bytes(*count));
                let Some(body) = whole(row.body) else {
                    self.report.damaged += 1;
                    return None;
                };
                (1 + u32::from(count), Some(body))
            }
            _ => return None,
        };
        let Some(body) = Body::decode(assembled.as_deref().unwrap_or(row.body)) else {
            self.report.damaged += 1;
            return None;
        };
        let len = record_len(assembled.as_deref(), bytes, rows);
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
        if wanted == 0 {
            return None;
        }
        self.report.messages += 1;
        match moved_to {
            Some(to) => self.ledger.write_moved(sequence, len, wanted, to),
            None => self.ledger.write(sequence, len, wanted),
        }
        Some(rows)
    }
}

/// Bytes of all rows of a record, as the writer counts them.
fn record_len(assembled: Option<&[u8]>, bytes: &[u8], rows: u32) -> u32 {
    let len = match assembled {
        None => bytes.len(),
        Some(body) => body.len() + 2 + rows as usize * record::HEADER_BYTES,
    };
    u32::try_from(len).unwrap_or(u32::MAX)
}
