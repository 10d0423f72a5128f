//! Is a store sound? Every row of every segment is read and checked, and every page of redb's; what is wrong is told by
//! the file it is in. Nothing is changed.

use std::sync::Arc;

use crate::{
    disk::Disk,
    identity::{self, Identity},
    limits::{READ_CACHE_BYTES, READ_ROWS_MAX},
    message::Body,
    offline::View,
    record::{Kind, Row},
    recover::{OpenError, missing},
    roster::{self, Roster},
    segment::{Opener, Part, Segment, SegmentError, is_unfinished, name_of, number_of},
    show::scan_all,
    sources::newer,
    state::State,
    stats::Stats,
    store::Options,
};

/// Problems of one file that are told; more are counted.
const PROBLEMS_TOLD: usize = 20;

/// What was found in one file.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct FileCheck {
    /// Its name.
    pub name: String,
    /// Its length in bytes.
    pub bytes: u64,
    /// Rows, sound or not.
    pub rows: u64,
    /// Records of messages, wanted or not.
    pub messages: u64,
    /// How many problems there are; 0 for a sound file.
    pub problems: u64,
    /// The first of them, a sentence each.
    pub told: Vec<String>,
}

/// What was found.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Checked {
    /// The segments, by ascending number.
    pub files: Vec<FileCheck>,
    /// Files that were set aside when a broker could not open them.
    pub set_aside: Vec<String>,
    /// Segments that are not there, and that no broker removed.
    pub missing: Vec<String>,
    /// Segments whose making was interrupted: nothing depends on them.
    pub unfinished: Vec<String>,
}

impl Checked {
    /// Whether no file is missing or has a problem.
    #[must_use]
    pub fn is_sound(&self) -> bool {
        self.missing.is_empty() && self.files.iter().all(|file| file.problems == 0)
    }
}

impl FileCheck {
    fn problem(&mut self, says: impl Into<String>) {
        self.problems += 1;
        if self.told.len() < PROBLEMS_TOLD {
            self.told.push(says.into());
        }
    }
}

/// Checks a store.
///
/// # Errors
/// The folder cannot be read, or a file is that of a newer version.
pub fn check(disk: Arc<dyn Disk>) -> Result<Checked, OpenError> {
    let view: Arc<dyn Disk> = Arc::new(View::new(disk).map_err(OpenError::Disk)?);
    let salt = match identity::read(&*view) {
        Ok(Identity::Salt(salt)) => Some(salt),
        Ok(Identity::Missing) => None,
        Ok(Identity::Newer(found)) => return Err(newer(identity::NAME, found)),
        Err(source) => return Err(OpenError::Unreadable { file: identity::NAME.to_owned(), source }),
    };
    let (stats, len_max) = (Arc::new(Stats::default()), Options::default().segment_bytes());
    let opener = Opener { disk: Arc::clone(&view), stats, len_max, salt: salt.unwrap_or_default() };
    let mut checked = Checked::default();
    let names = view.list().map_err(OpenError::Disk)?;
    let mut numbers: Vec<u64> = names.iter().filter_map(|name| number_of(name)).collect();
    numbers.sort_unstable();
    checked.unfinished = names.iter().filter(|name| is_unfinished(name)).cloned().collect();
    let is_aside = |name: &&String| name.split_once(".damaged-").is_some_and(|(name, _)| number_of(name).is_some());
    checked.set_aside = names.iter().filter(is_aside).cloned().collect();
    let (mut last_base, mut salts) = (None, salt.into_iter().collect::<Vec<_>>());
    for number in numbers {
        let mut file = FileCheck { name: name_of(number), ..FileCheck::default() };
        match check_file(&opener, number, last_base, &mut file) {
            Ok((base, of)) => {
                last_base = Some(base);
                salts.push(of);
                if salt.is_some_and(|salt| salt != of) {
                    file.problem("it belongs to another store");
                }
            }
            Err(SegmentError::Newer { found }) => return Err(newer(&file.name, found)),
            Err(error) => file.problem(format!("it does not open: {error}")),
        }
        checked.files.push(file);
    }
    if let Some(salt) = salts.first() {
        let unreadable = |source| OpenError::Unreadable { file: roster::NAME.to_owned(), source };
        let (_, listed) = Roster::read(&*view, *salt).map_err(unreadable)?;
        checked.missing = missing(&listed.numbers, &names);
    }
    view.started(); // the process is still there
    Ok(checked)
}

/// Answers the file's lowest sequence number, and its salt.
fn check_file(
    opener: &Opener,
    number: u64,
    last_base: Option<u64>,
    file: &mut FileCheck,
) -> Result<(u64, u64), SegmentError> {
    file.bytes = opener.disk.open(&file.name, false).and_then(|file| file.len()).unwrap_or(0);
    opener.disk.probe(&file.name).map_err(SegmentError::Failed)?;
    let mut segment = opener.open(number, READ_CACHE_BYTES)?;
    let (says, base, salt) = (segment.about.number, segment.about.base, segment.about.salt);
    if says != number {
        file.problem(format!("it says that it is segment {says}"));
    }
    if last_base.is_some_and(|last| base < last) {
        file.problem(format!("its records begin at {base}, before those of the segment before it"));
    }
    check_picture(&segment, file);
    for part in [Part::Stream, Part::Kept] {
        if let Err(error) = check_rows(&segment, part, file) {
            file.problem(format!("its {} cannot be read to the end: {error}", name(part)));
        }
    }
    match segment.verify() {
        Ok(true) => {}
        Ok(false) => file.problem("pages of redb do not have their checksums"),
        Err(error) => file.problem(format!("redb finds it damaged: {error}")),
    }
    Ok((base, salt))
}

const fn name(part: Part) -> &'static str {
    match part {
        Part::Stream => "stream",
        Part::Kept => "kept records",
    }
}

fn check_picture(segment: &Segment, file: &mut FileCheck) {
    file.rows += 1 + u64::from(segment.about.parts);
    match segment.picture() {
        Ok(Some(bodies)) => {
            let mut state = State::default();
            if !state.apply_all(&bodies.concat()) {
                file.problem("the picture of the queues at its beginning makes no sense");
            }
        }
        Ok(None) => file.problem("the picture of the queues at its beginning is damaged"),
        Err(error) => file.problem(format!("the picture of the queues at its beginning cannot be read: {error}")),
    }
}

/// Chunks that must follow the row before.
#[derive(Default)]
struct Open {
    head: u64,
    next: u64,
    left: u16,
    body: Vec<u8>,
    /// A delta so far that goes on in the next row.
    delta: Vec<u8>,
}

fn check_rows(segment: &Segment, part: Part, file: &mut FileCheck) -> Result<(), SegmentError> {
    let base = segment.about.base;
    let mut open = Open::default();
    scan_all(segment, part, 0, READ_ROWS_MAX, &mut |sequence, bytes| {
        file.rows += 1;
        let Some(row) = segment.seal.read(bytes, sequence) else {
            file.problem(format!("row {sequence} of the {} is damaged", name(part)));
            open.left = 0; // told once
            return;
        };
        if open.left > 0 && (row.kind != Kind::Chunk || sequence != open.next) {
            file.problem(format!("record {} lacks {} of its rows", open.head, open.left));
            open.left = 0;
        }
        if part == Part::Stream && sequence < base {
            file.problem(format!("row {sequence} is older than the segment, which begins at {base}"));
        }
        check_row(&row, &mut open, file);
    })?;
    if open.left > 0 {
        file.problem(format!("record {} lacks {} of its rows", open.head, open.left));
    }
    Ok(())
}

fn check_row(row: &Row<'_>, open: &mut Open, file: &mut FileCheck) {
    let makes_sense = match row.kind {
        Kind::Message => {
            file.messages += 1;
            Body::decode(row.body).is_some()
        }
        Kind::Head => {
            file.messages += 1;
            let Some((count, first)) = row.body.split_first_chunk::<2>() else {
                file.problem(format!("row {} makes no sense", row.sequence));
                return;
            };
            open.left = u16::from_le_bytes(*count);
            (open.head, open.next) = (row.sequence, row.sequence + 1);
            open.body.clear();
            open.body.extend_from_slice(first);
            true
        }
        // One whose head is damaged or gone is told of with the head, or wanted by nobody.
        Kind::Chunk if open.left == 0 => true,
        Kind::Chunk => {
            open.left -= 1;
            open.next += 1;
            open.body.extend_from_slice(row.body);
            open.left > 0 || Body::decode(&open.body).is_some()
        }
        Kind::More => {
            open.delta.extend_from_slice(row.body);
            true
        }
        Kind::Delta => {
            let mut delta = std::mem::take(&mut open.delta);
            delta.extend_from_slice(row.body);
            State::default().apply_all(&delta)
        }
        Kind::Clean => true,
        Kind::Picture | Kind::About => false,
    };
    if !makes_sense {
        file.problem(format!("row {} has a sound checksum and makes no sense", row.sequence));
    }
}
