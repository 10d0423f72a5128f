//! One redb file: its tables, and the few things that are done with them.
//!
//! ```text
//! stream  u64 -> row   records by ascending sequence number; only ever appended to
//! kept    u64 -> row   records that cleaning has moved here from older segments, by their sequence number
//! state   u32 -> row   0: what the segment is; from 1 on: the picture of the state when it began
//! ```
//!
//! redb may panic on a damaged file: every call is caught here and becomes an error.

use std::{
    io,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
};

use redb::{Database, ReadableDatabase, ReadableTable, TableDefinition};

use crate::{
    backend::Counting,
    disk::Disk,
    record::{self, Kind},
    stats::Stats,
    varint::{self, Reader},
};

const STREAM: TableDefinition<'static, u64, &'static [u8]> = TableDefinition::new("stream");
const KEPT: TableDefinition<'static, u64, &'static [u8]> = TableDefinition::new("kept");
const STATE: TableDefinition<'static, u32, &'static [u8]> = TableDefinition::new("state");

/// The format that this build writes, and the newest that it reads.
pub(crate) const FORMAT: u8 = 1;

const SUFFIX: &str = ".redb";
const UNFINISHED: &str = ".new";

/// Which of a segment's tables.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Part {
    Stream,
    Kept,
}

impl Part {
    const fn table(self) -> TableDefinition<'static, u64, &'static [u8]> {
        match self {
            Self::Stream => STREAM,
            Self::Kept => KEPT,
        }
    }
}

/// What went wrong with a segment.
#[derive(Debug, thiserror::Error)]
pub(crate) enum SegmentError {
    /// It has reached its bound: the next one takes over.
    #[error("the segment is full")]
    Bound,
    /// The disk is full.
    #[error("the disk is full")]
    DiskFull,
    /// It was written by a newer version.
    #[error("format {found} is newer than {FORMAT}, which this version reads: use a newer version of Primer")]
    Newer { found: u8 },
    /// All else: I/O errors, damage, panics.
    #[error("{0}")]
    Failed(String),
}

/// What a segment says of itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct About {
    pub(crate) number: u64,
    /// Its records have this sequence number or a higher one, and its picture is that of the state before it.
    pub(crate) base: u64,
    /// Rows of the picture.
    pub(crate) parts: u32,
    /// Which life of the store this is: one more after anything may have been lost.
    pub(crate) incarnation: u64,
    /// Queues with a lower number may have existed: none of them is used again.
    pub(crate) next_queue: u32,
}

impl About {
    fn encode(&self) -> Vec<u8> {
        let mut body = vec![FORMAT];
        for number in [self.number, self.base, u64::from(self.parts), self.incarnation, u64::from(self.next_queue)] {
            varint::put(&mut body, number);
        }
        body
    }

    /// `Err` has the format of a newer version.
    pub(crate) fn decode(body: &[u8]) -> Result<Option<Self>, u8> {
        let mut reader = Reader::new(body);
        match reader.byte() {
            None => return Ok(None),
            Some(format) if format > FORMAT => return Err(format),
            Some(_) => {}
        }
        let mut decode = || {
            Some(Self {
                number: reader.number()?,
                base: reader.number()?,
                parts: reader.small()?,
                incarnation: reader.number()?,
                next_queue: reader.small()?,
            })
        };
        Ok(decode())
    }
}

/// The name of a segment's file.
pub(crate) fn name_of(number: u64) -> String {
    format!("{number:010}{SUFFIX}")
}

/// The number of the segment that a file name belongs to.
pub(crate) fn number_of(name: &str) -> Option<u64> {
    let digits = name.strip_suffix(SUFFIX)?;
    (digits.len() == 10 && digits.bytes().all(|byte| byte.is_ascii_digit())).then(|| digits.parse().ok())?
}

/// Whether a file is a segment whose making was interrupted. Nothing ever depended on it.
pub(crate) fn is_unfinished(name: &str) -> bool {
    name.strip_suffix(UNFINISHED).is_some_and(|name| number_of(name).is_some())
}

/// What opening and making segments takes.
#[derive(Debug, Clone)]
pub(crate) struct Opener {
    pub(crate) disk: Arc<dyn Disk>,
    pub(crate) stats: Arc<Stats>,
    pub(crate) len_max: u64,
}

/// See the module's description.
#[derive(Debug)]
pub(crate) struct Segment {
    pub(crate) about: About,
    database: Database,
    len: Arc<AtomicU64>,
}

impl Opener {
    fn database(
        &self,
        name: &str,
        create: bool,
        cache_bytes: usize,
    ) -> Result<(Database, Arc<AtomicU64>), SegmentError> {
        let len = Arc::new(AtomicU64::new(0));
        guarded(|| {
            let inner = self.disk.open(name, create)?;
            let backend = Counting::new(inner, Arc::clone(&self.stats), Arc::clone(&len), self.len_max);
            let mut builder = Database::builder();
            builder.set_cache_size(cache_bytes);
            Ok(builder.create_with_backend(backend)?)
        })
        .map(|database| (database, Arc::clone(&len)))
    }

    /// Makes a segment. It is there, whole and durable, or it is not.
    pub(crate) fn make(&self, about: About, picture: &[Vec<u8>], cache_bytes: usize) -> Result<Segment, SegmentError> {
        let name = name_of(about.number);
        let unfinished = format!("{name}{UNFINISHED}");
        let _none_was_left = self.disk.remove(&unfinished);
        let (database, len) = self.database(&unfinished, true, cache_bytes)?;
        let segment = Segment { about, database, len };
        segment.begin(picture)?;
        let renamed = self.disk.rename(&unfinished, &name).and_then(|()| self.disk.sync());
        renamed.map_err(|error| of_io(&error))?;
        Ok(segment)
    }

    /// Opens a segment.
    pub(crate) fn open(&self, number: u64, cache_bytes: usize) -> Result<Segment, SegmentError> {
        let (database, len) = self.database(&name_of(number), false, cache_bytes)?;
        let rows = guarded(|| {
            let transaction = database.begin_read()?;
            let table = transaction.open_table(STATE)?;
            let first = table.get(0)?.map(|row| row.value().to_vec());
            Ok(first)
        })?;
        let bytes = rows.ok_or_else(|| SegmentError::Failed("it does not say what it is".to_owned()))?;
        let row = record::read_prefix(&bytes).filter(|row| row.kind == Kind::About);
        let row = row.ok_or_else(|| SegmentError::Failed("what it says of itself is damaged".to_owned()))?;
        match About::decode(row.body) {
            Ok(Some(about)) => Ok(Segment { about, database, len }),
            Ok(None) => Err(SegmentError::Failed("what it says of itself makes no sense".to_owned())),
            Err(found) => Err(SegmentError::Newer { found }),
        }
    }
}

/// Opens a file by its path and has it looked at. redb's own repair is all that changes in it.
pub(crate) fn try_file(
    path: &std::path::Path,
    look: &mut dyn FnMut(&Segment) -> Result<(), SegmentError>,
) -> Result<(), SegmentError> {
    try_with(path, |builder| Ok(builder.open(path)?), look)
}

/// The same with what stands between redb and the file.
pub(crate) fn try_backend(
    path: &std::path::Path,
    backend: impl redb::StorageBackend,
    look: &mut dyn FnMut(&Segment) -> Result<(), SegmentError>,
) -> Result<(), SegmentError> {
    try_with(path, |builder| Ok(builder.create_with_backend(backend)?), look)
}

fn try_with(
    path: &std::path::Path,
    open: impl FnOnce(&redb::Builder) -> Result<Database, Failure>,
    look: &mut dyn FnMut(&Segment) -> Result<(), SegmentError>,
) -> Result<(), SegmentError> {
    let number = path.file_name().and_then(|name| name.to_str()).and_then(number_of).unwrap_or(0);
    let database = guarded(|| {
        let mut builder = Database::builder();
        builder.set_cache_size(crate::limits::READ_CACHE_BYTES);
        open(&builder)
    })?;
    let about = About { number, base: 0, parts: 0, incarnation: 0, next_queue: 0 };
    look(&Segment { about, database, len: Arc::default() })
}

impl Segment {
    fn begin(&self, picture: &[Vec<u8>]) -> Result<(), SegmentError> {
        guarded(|| {
            let mut transaction = self.database.begin_write()?;
            transaction.set_quick_repair(true);
            {
                transaction.open_table(STREAM)?;
                transaction.open_table(KEPT)?;
                let mut state = transaction.open_table(STATE)?;
                let base = self.about.base;
                state.insert(0, record::row(Kind::About, base, &self.about.encode()).as_slice())?;
                for (part, body) in (1_u32..).zip(picture) {
                    state.insert(part, record::row(Kind::Picture, base, &picture_body(part, body)).as_slice())?;
                }
            }
            transaction.commit()?;
            Ok(())
        })
    }

    /// Appends sealed rows in one durable commit: to the stream, and moved ones to the kept table.
    pub(crate) fn append<'r>(
        &self,
        rows: impl Iterator<Item = (u64, &'r [u8])>,
        kept: impl Iterator<Item = (u64, &'r [u8])>,
    ) -> Result<(), SegmentError> {
        guarded(|| {
            let transaction = self.database.begin_write()?;
            let mut rows = rows.peekable();
            if rows.peek().is_some() {
                let mut table = transaction.open_table(STREAM)?;
                let mut cursor = table.upper_bound_mut(std::ops::Bound::<u64>::Unbounded)?;
                for (sequence, row) in rows {
                    cursor.insert_before(sequence, row).map_err(|error| failed(&error))?;
                }
                cursor.close()?;
            }
            let mut kept = kept.peekable();
            if kept.peek().is_some() {
                let mut table = transaction.open_table(KEPT)?;
                for (sequence, row) in kept {
                    table.insert(sequence, row)?;
                }
            }
            transaction.commit()?;
            Ok(())
        })
    }

    /// An empty commit that makes the next open quick, whatever stops the process.
    pub(crate) fn settle(&self) -> Result<(), SegmentError> {
        guarded(|| {
            let mut transaction = self.database.begin_write()?;
            transaction.set_quick_repair(true);
            transaction.commit()?;
            Ok(())
        })
    }

    /// Gives rows from `from` on to `take`, at most `rows_max`; answers the key to go on with, if there is more.
    pub(crate) fn scan(
        &self,
        part: Part,
        from: u64,
        rows_max: usize,
        mut take: impl FnMut(u64, &[u8]),
    ) -> Result<Option<u64>, SegmentError> {
        guarded(|| {
            let transaction = self.database.begin_read()?;
            let table = transaction.open_table(part.table())?;
            for (seen, entry) in table.range(from..)?.enumerate() {
                let (key, row) = entry?;
                if seen == rows_max {
                    return Ok(Some(key.value()));
                }
                take(key.value(), row.value());
            }
            Ok(None)
        })
    }

    /// Reads rows by key from one table, in one short transaction.
    pub(crate) fn get_each(
        &self,
        part: Part,
        keys: &[u64],
        mut take: impl FnMut(usize, Option<&[u8]>),
    ) -> Result<(), SegmentError> {
        guarded(|| {
            let transaction = self.database.begin_read()?;
            let table = transaction.open_table(part.table())?;
            for (index, key) in keys.iter().enumerate() {
                let row = table.get(*key)?;
                take(index, row.as_ref().map(redb::AccessGuard::value));
            }
            Ok(())
        })
    }

    /// The bodies of the picture with which it began; `None` when a part of it is damaged.
    pub(crate) fn picture(&self) -> Result<Option<Vec<Vec<u8>>>, SegmentError> {
        guarded(|| {
            let transaction = self.database.begin_read()?;
            let table = transaction.open_table(STATE)?;
            let mut bodies = Vec::new();
            for part in 1..=self.about.parts {
                let row = table.get(part)?;
                let row = row.as_ref().and_then(|row| record::read(row.value(), self.about.base));
                let body = row.filter(|row| row.kind == Kind::Picture).and_then(|row| picture_part(row.body));
                match body {
                    Some((number, body)) if number == part => bodies.push(body.to_vec()),
                    _ => return Ok(None),
                }
            }
            Ok(Some(bodies))
        })
    }

    /// The highest sequence number in the stream, and whether it is that of a clean stop.
    pub(crate) fn last(&self) -> Result<Option<(u64, bool)>, SegmentError> {
        guarded(|| {
            let transaction = self.database.begin_read()?;
            let table = transaction.open_table(STREAM)?;
            let last = table.last()?;
            Ok(last.map(|(key, row)| {
                let is_clean = record::read(row.value(), key.value()).is_some_and(|row| row.kind == Kind::Clean);
                (key.value(), is_clean)
            }))
        })
    }

    /// Whether all of redb's pages are as their checksums say. What is not may be repaired: the segment is read before.
    pub(crate) fn verify(&mut self) -> Result<bool, SegmentError> {
        let database = &mut self.database;
        guarded(|| Ok(database.check_integrity()?))
    }

    /// Length of the file.
    pub(crate) fn len(&self) -> u64 {
        self.len.load(Relaxed)
    }
}

fn picture_body(part: u32, changes: &[u8]) -> Vec<u8> {
    let mut body = Vec::with_capacity(changes.len() + 5);
    varint::put(&mut body, u64::from(part));
    body.extend_from_slice(changes);
    body
}

/// Which part of a picture a body is, and its changes.
pub(crate) fn picture_part(body: &[u8]) -> Option<(u32, &[u8])> {
    let mut reader = Reader::new(body);
    Some((reader.small()?, reader.rest()))
}

/// An error on its way out of redb.
struct Failure(SegmentError);

impl<E: Into<redb::Error>> From<E> for Failure {
    fn from(error: E) -> Self {
        Self(match error.into() {
            redb::Error::Io(error) => of_io(&error),
            other => SegmentError::Failed(other.to_string()),
        })
    }
}

fn failed(error: &impl std::fmt::Display) -> Failure {
    Failure(SegmentError::Failed(error.to_string()))
}

pub(crate) fn of_io(error: &io::Error) -> SegmentError {
    match error.kind() {
        io::ErrorKind::StorageFull if error.raw_os_error().is_none() => SegmentError::Bound,
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => SegmentError::DiskFull,
        _ => SegmentError::Failed(error.to_string()),
    }
}

fn guarded<T>(work: impl FnOnce() -> Result<T, Failure>) -> Result<T, SegmentError> {
    match catch_unwind(AssertUnwindSafe(work)) {
        Ok(result) => result.map_err(|failure| failure.0),
        Err(panic) => {
            let says = panic.downcast_ref::<&str>().map(|text| (*text).to_owned());
            let says = says.or_else(|| panic.downcast_ref::<String>().cloned()).unwrap_or_default();
            Err(SegmentError::Failed(format!("redb gave up: {says}")))
        }
    }
}
