//! From files to a running store, whatever state they are in.
//!
//! 1. Segments that were being made when the process ended are removed: nothing depended on them.
//! 2. Every segment is opened and verified, see `sources`.
//! 3. The state is the newest whole picture and all deltas after it, see `rebuild`.
//! 4. What was salvaged is written into a fresh segment. Only then is a file that did not open given another name: a
//!    crash before that finds it where it was.
//! 5. Every message that a queue still holds is shown to the owner, see `show`.

use std::{collections::BTreeMap, io, sync::Arc};

use crate::{
    change::QueueId,
    clean::is_wanted,
    cost::row_cost,
    disk::Disk,
    identity::{self, Identity},
    ledger::Ledger,
    limits::{ACTIVE_CACHE_BYTES, CLEAN_BYTES, SEQUENCE_GAP},
    rebuild::rebuild,
    record::{HEADER_BYTES, Kind},
    reserve,
    roster::{self, Roster},
    segment::{self, About, Opener, Part, Rows, Segment, none},
    show::{Show, kept_records},
    sources::{self, Refused, Sources},
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
    /// A file is there and cannot be opened or read at all: that is not damage, and nothing is done to it.
    #[error("cannot read {file} in the data directory")]
    Unreadable {
        /// Which file.
        file: String,
        /// What the system says.
        source: io::Error,
    },
    /// A file of a newer version is there.
    #[error(
        "{file} has format {found}, newer than this version of Primer reads ({reads}): start a newer version, \
         or choose another data directory"
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

/// What a file that is set aside is called behind its name, before a number.
const ASIDE: &str = ".damaged-";

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
    /// How many files that an earlier start has set aside are still there.
    pub left_aside: u64,
    /// Segments that are not there, and that the store did not remove.
    pub missing: Vec<String>,
    /// The store was not closed.
    pub was_unclean: bool,
    /// Which life of the store this is: one more after anything acknowledged may be missing.
    pub incarnation: u64,
}

impl Report {
    /// Files of which something may be lost: set aside or missing.
    #[must_use]
    pub fn files_damaged(&self) -> u64 {
        (self.set_aside.len() + self.missing.len()) as u64
    }
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
    pub(crate) roster: Roster,
    /// What the rows in the newest segment take of it.
    pub(crate) active_bytes: u64,
    /// Segments in which damaged rows were found, and how many.
    pub(crate) suspects: BTreeMap<u64, u64>,
}

/// What there is before any message was shown.
pub(crate) struct Gathered {
    pub(crate) recovered: Recovered,
    /// A fresh segment was begun.
    is_fresh: bool,
    /// Damaged rows that were known before.
    known_damaged: u64,
}

pub(crate) fn recover(
    disk: &Arc<dyn Disk>,
    options: &Options,
    stats: &Arc<Stats>,
    visit: &mut dyn FnMut(&State, Stored<'_>),
) -> Result<Recovered, OpenError> {
    let Gathered { mut recovered, is_fresh, known_damaged } = gather(disk, options, stats)?;
    recovered.show(visit)?;
    if !is_fresh && recovered.report.damaged > known_damaged {
        recovered.report.incarnation += 1;
        let number = recovered.segments.keys().next_back().map_or(1, |newest| newest + 1);
        recovered.begin_fresh(number, &[])?;
        if let Some((number, segment)) = recovered.segments.last_key_value() {
            recovered.ledger.add_segment(*number, segment.about.base);
        }
        recovered.report.segments = recovered.segments.len() as u64;
    }
    recovered.list();
    Ok(recovered)
}

/// All but the last step.
pub(crate) fn gather(disk: &Arc<dyn Disk>, options: &Options, stats: &Arc<Stats>) -> Result<Gathered, OpenError> {
    let len_max = options.segment_bytes();
    let mut opener = Opener { disk: Arc::clone(disk), stats: Arc::clone(stats), len_max, salt: 0 };
    let (names, numbers) = look(disk)?;
    let known = match identity::read(&**disk) {
        Ok(Identity::Salt(salt)) => Some(salt),
        Ok(Identity::Missing) => None,
        Ok(Identity::Newer(found)) => return Err(sources::newer(identity::NAME, found)),
        Err(source) => return Err(OpenError::Unreadable { file: identity::NAME.to_owned(), source }),
    };
    let Sources { opened, refused } = sources::open_all(&mut opener, known, &numbers)?;
    if known.is_none() {
        identity::write(&**disk, opener.salt).map_err(|error| OpenError::Unwritable(error.to_string()))?;
    }
    let listed = Roster::read(&**disk, opener.salt);
    let (roster, listed) = listed.map_err(|source| OpenError::Unreadable { file: roster::NAME.to_owned(), source })?;
    let left_aside = names.iter().filter(|name| name.contains(ASIDE)).count() as u64;
    let mut report = Report { missing: missing(&listed.numbers, &names), left_aside, ..Report::default() };
    let state = rebuild(&opened, &refused, opener.seal(), &mut report);
    let last = last_of(&opened, &refused);
    let abouts = || opened.values().map(|segment| &segment.about).chain(refused.iter().filter_map(Refused::about));
    report.was_unclean = last.is_some_and(|(_, is_clean)| !is_clean);
    let needs_fresh = opened.is_empty() || !refused.is_empty() || !report.missing.is_empty();
    let has_lost = !refused.is_empty() || !report.missing.is_empty();
    report.incarnation = abouts().map(|about| about.incarnation).max().unwrap_or(0) + u64::from(has_lost);
    let next_queue = abouts().map(|about| about.next_queue).max().unwrap_or(0).max(state.next_id());
    // Numbers of a segment that is missing are left out as well, should it turn up again.
    let used = if report.missing.is_empty() { 0 } else { listed.next_sequence + SEQUENCE_GAP };
    let known_damaged = opened.values().next_back().map_or(0, |segment| segment.about.damaged);
    let mut recovered = Recovered {
        opener,
        segments: opened,
        state,
        ledger: Ledger::default(),
        next_sequence: last.map_or(1, |(last, _)| (last + 1).max(used) + SEQUENCE_GAP),
        next_queue,
        report,
        roster,
        active_bytes: 0,
        suspects: BTreeMap::new(),
    };
    let newest = numbers.last().max(listed.numbers.last()).copied().unwrap_or(0);
    if needs_fresh {
        recovered.begin_fresh(newest + 1, &refused)?;
    }
    recovered.set_aside(refused)?;
    recovered.report.segments = recovered.segments.len() as u64;
    Ok(Gathered { recovered, is_fresh: needs_fresh, known_damaged })
}

/// The names of all files, and the numbers of the segments there are, ascending.
fn look(disk: &Arc<dyn Disk>) -> Result<(Vec<String>, Vec<u64>), OpenError> {
    let names = disk.list().map_err(OpenError::Disk)?;
    for name in names.iter().filter(|name| segment::is_unfinished(name)) {
        tracing::info!(file = name, "removing a segment whose making was interrupted; nothing was in it");
        if let Err(error) = disk.remove(name) {
            tracing::warn!(file = name, %error, "it cannot be removed");
        }
    }
    let mut numbers: Vec<u64> = names.iter().filter_map(|name| segment::number_of(name)).collect();
    numbers.sort_unstable();
    Ok((names, numbers))
}

/// The files of segments that are listed and not there. One that was set aside before that was noted is there, under
/// another name.
pub(crate) fn missing(listed: &[u64], names: &[String]) -> Vec<String> {
    let is_there = |file: &str| names.iter().any(|name| name.strip_prefix(file).is_some_and(is_whole_or_aside));
    listed.iter().map(|number| segment::name_of(*number)).filter(|file| !is_there(file)).collect()
}

fn is_whole_or_aside(suffix: &str) -> bool {
    suffix.is_empty() || suffix.starts_with(ASIDE)
}

/// The last sequence number there is, and whether it is that of a clean stop.
fn last_of(opened: &BTreeMap<u64, Arc<Segment>>, refused: &[Refused]) -> Option<(u64, bool)> {
    let of_opened = opened.values().map(|segment| {
        let last = segment.last().ok().flatten();
        last.unwrap_or((segment.about.base.saturating_sub(1), false))
    });
    let of_refused = refused.iter().map(|file| {
        let base = file.about().map_or(0, |about| about.base.saturating_sub(1));
        (file.found.rows.last_key_value().map_or(0, |(sequence, _)| *sequence).max(base), false)
    });
    of_opened.chain(of_refused).max()
}

impl Recovered {
    fn begin_fresh(&mut self, number: u64, refused: &[Refused]) -> Result<(), OpenError> {
        let mut records = self.wanted_of(refused);
        let mut number = number;
        loop {
            records = self.begin_with(number, &records)?;
            if records.is_empty() {
                return Ok(());
            }
            number += 1;
        }
    }

    /// Begins a segment with as many of the records as go into it; answers the others.
    fn begin_with<'r>(&mut self, number: u64, records: &[Record<'r>]) -> Result<Vec<Record<'r>>, OpenError> {
        let unwritable = |error: segment::SegmentError| OpenError::Unwritable(error.to_string());
        let picture = self.state.picture();
        let about = About {
            salt: self.opener.salt,
            number,
            base: self.next_sequence,
            parts: picture.len() as u32,
            incarnation: self.report.incarnation,
            next_queue: self.next_queue,
            damaged: self.suspects.values().sum(),
        };
        let rows = || Rows { stream: none(), kept: none() };
        let mut made = self.opener.make(about.clone(), &picture, rows(), ACTIVE_CACHE_BYTES);
        if matches!(made, Err(segment::SegmentError::DiskFull)) {
            reserve::remove(&*self.opener.disk);
            made = self.opener.make(about, &picture, rows(), ACTIVE_CACHE_BYTES);
        }
        let segment = made.map_err(unwritable)?;
        let pictured: u64 = picture.iter().map(|body| row_cost(body.len())).sum();
        let mut room = (segment.room() / 8 * 7).saturating_sub(pictured);
        let mut rest = records;
        while !rest.is_empty() {
            let (mut taken, mut cost) = (0, 0);
            while let Some(record) = rest.get(taken).filter(|_| cost < CLEAN_BYTES as u64) {
                cost += record.iter().map(|(_, row)| row_cost(row.len())).sum::<u64>();
                taken += 1;
            }
            let Some(left) = room.checked_sub(cost) else { break };
            let (some, others) = rest.split_at(taken);
            segment.append(Rows { stream: none(), kept: some.iter().flatten().copied() }).map_err(unwritable)?;
            (rest, room) = (others, left);
        }
        self.segments.insert(number, Arc::new(segment));
        Ok(rest.to_vec())
    }

    /// Records of files that did not open which a queue holds, and which are nowhere else.
    fn wanted_of<'r>(&self, refused: &'r [Refused]) -> Vec<Record<'r>> {
        if refused.is_empty() {
            return Vec::new();
        }
        let seal = self.opener.seal();
        let kept = kept_records(&self.segments, |_| {});
        let mut records: BTreeMap<u64, Record<'r>> = BTreeMap::new();
        for file in refused {
            for (sequence, row) in &file.found.rows {
                let Some(head) = seal.read(row, *sequence) else { continue };
                let rows = match head.kind {
                    Kind::Message => 1,
                    Kind::Head => 1 + head.body.first_chunk::<2>().map_or(0, |count| u16::from_le_bytes(*count)),
                    _ => continue,
                };
                let keys = *sequence..*sequence + u64::from(rows);
                let record: Record<'r> = file.found.rows.range(keys).map(|(key, row)| (*key, row.as_slice())).collect();
                let is_whole = record.len() == usize::from(rows);
                if is_whole && is_wanted(&head, &self.state) && !kept.contains_key(sequence) && !self.has(*sequence) {
                    records.insert(*sequence, record);
                }
            }
        }
        records.into_values().collect()
    }

    /// Whether a sound row stands in the stream of a segment that has opened.
    fn has(&self, sequence: u64) -> bool {
        let home = self.segments.values().rfind(|segment| segment.about.base <= sequence);
        let mut is_there = false;
        let read = home.map(|segment| {
            segment.get_each(Part::Stream, &[sequence], |_, row| {
                is_there = row.is_some_and(|row| segment.seal.read(row, sequence).is_some());
            })
        });
        is_there && read.is_some_and(|read| read.is_ok())
    }

    /// Files that did not open get another name: what was in them stands in a fresh segment.
    fn set_aside(&mut self, refused: Vec<Refused>) -> Result<(), OpenError> {
        let disk = &self.opener.disk;
        for Refused { name, why, found, .. } in refused {
            let names = disk.list().map_err(OpenError::Disk)?;
            let free = (1..).map(|n| format!("{name}{ASIDE}{n}")).find(|name| !names.contains(name));
            let file = free.unwrap_or_default();
            let rows = found.rows.len() as u64;
            let renamed = disk.rename(&name, &file).and_then(|()| disk.sync());
            renamed.map_err(|error| OpenError::Unwritable(error.to_string()))?;
            tracing::error!(file, why, rows, "a file did not open; it is set aside, and what is sound was taken out");
            self.report.set_aside.push(SetAside { file, why, rows });
        }
        Ok(())
    }

    /// Lists the segments there are now.
    fn list(&mut self) {
        let numbers: Vec<u64> = self.segments.keys().copied().collect();
        let Opener { disk, salt, .. } = &self.opener;
        if let Err(error) = self.roster.write(&**disk, *salt, &numbers, self.next_sequence) {
            tracing::warn!(%error, "the list of the segments cannot be written");
        }
    }

    pub(crate) fn show(&mut self, visit: &mut dyn FnMut(&State, Stored<'_>)) -> Result<(), OpenError> {
        for (number, segment) in &self.segments {
            self.ledger.add_segment(*number, segment.about.base);
        }
        let mut show = Show::new(&self.state, &mut self.ledger, &mut self.report, visit);
        show.all(&self.segments)?;
        (self.active_bytes, self.suspects) = show.end();
        Ok(())
    }
}

/// The rows of a record.
type Record<'r> = Vec<(u64, &'r [u8])>;

/// Bytes of all rows of a record, as the writer counts them.
pub(crate) fn record_len(body: usize, rows: u32) -> u32 {
    let count = if rows > 1 { 2 } else { 0 };
    u32::try_from(body + count + rows as usize * HEADER_BYTES).unwrap_or(u32::MAX)
}
