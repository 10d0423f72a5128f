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
    ops::ControlFlow,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{Arc, atomic::Ordering::Relaxed},
};

use redb::{Database, ReadableDatabase, ReadableTable, TableDefinition, WriteTransaction};

use crate::{
    backend::{Counting, FileSize},
    cost::row_cost,
    disk::Disk,
    limits::{BODY_BYTES_MAX, PICTURE_SHARE, segment_bytes},
    record::{self, Kind, Seal},
    stats::Stats,
    varint::{self, Reader},
};

const STREAM: TableDefinition<'static, u64, &'static [u8]> = TableDefinition::new("stream");
const KEPT: TableDefinition<'static, u64, &'static [u8]> = TableDefinition::new("kept");
const STATE: TableDefinition<'static, u32, &'static [u8]> = TableDefinition::new("state");

/// The format that this build writes, and the newest that it reads.
pub(crate) const FORMAT: u8 = 1;

/// No file doubles more often.
const DOUBLINGS_EVER: u32 = 40;

const SUFFIX: &str = ".redb";
const UNFINISHED: &str = ".new";

/// Numbers of segments are far below: a file with such a name is none of ours.
const NUMBER_MAX: u64 = 1 << 48;

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
    /// It was made, and whether it will be there after a crash is not known: what was written before must not go on.
    #[error("a new segment may or may not be there: {0}")]
    Unsure(io::Error),
    /// All else: I/O errors, damage, panics.
    #[error("{0}")]
    Failed(String),
}

/// What a segment says of itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct About {
    /// Of the store: see `record`.
    pub(crate) salt: u64,
    pub(crate) number: u64,
    /// Its records have this sequence number or a higher one, and its picture is that of the state before it.
    pub(crate) base: u64,
    /// Rows of the picture.
    pub(crate) parts: u32,
    /// Which life of the store this is: one more after anything may have been lost.
    pub(crate) incarnation: u64,
    /// Queues with a lower number may have existed: none of them is used again.
    pub(crate) next_queue: u32,
    /// Damaged rows that were known when it began: found again, they are no new loss.
    pub(crate) damaged: u64,
}

impl About {
    /// Format and salt have their place in every version: a u8 and a u64.
    pub(crate) fn encode(&self) -> Vec<u8> {
        let mut body = vec![FORMAT];
        body.extend_from_slice(&self.salt.to_le_bytes());
        let (parts, next_queue) = (u64::from(self.parts), u64::from(self.next_queue));
        for number in [self.number, self.base, parts, self.incarnation, next_queue, self.damaged] {
            varint::put(&mut body, number);
        }
        body
    }

    pub(crate) fn salt_of(body: &[u8]) -> Option<u64> {
        body.get(1..9)?.first_chunk::<8>().map(|salt| u64::from_le_bytes(*salt))
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
            let salt = Self::salt_of(body)?;
            reader.take(8)?;
            Some(Self {
                salt,
                number: reader.number()?,
                base: reader.number()?,
                parts: reader.small()?,
                incarnation: reader.number()?,
                next_queue: reader.small()?,
                damaged: reader.number()?,
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
    if !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let number = digits.parse().ok().filter(|number| *number < NUMBER_MAX)?;
    (name_of(number) == name).then_some(number)
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
    /// Of the store; rows of it are sealed with it.
    pub(crate) salt: u64,
}

/// See the module's description.
#[derive(Debug)]
pub(crate) struct Segment {
    pub(crate) about: About,
    pub(crate) seal: Seal,
    /// Always there, but while it is dropped.
    database: Option<Database>,
    size: Arc<FileSize>,
}

/// Rows of one commit: to the stream, and to the kept table.
pub(crate) struct Rows<S, K> {
    pub(crate) stream: S,
    pub(crate) kept: K,
}

/// No rows.
pub(crate) fn none<'r>() -> std::iter::Empty<(u64, &'r [u8])> {
    std::iter::empty()
}

impl Opener {
    pub(crate) fn seal(&self) -> Seal {
        Seal::new(self.salt)
    }

    /// How long a segment may be that begins with a picture of so many parts.
    pub(crate) fn bound(&self, parts: u32) -> u64 {
        let needed = row_cost(BODY_BYTES_MAX).saturating_mul(u64::from(parts)).saturating_mul(PICTURE_SHARE);
        let fitting = (0..DOUBLINGS_EVER).map(segment_bytes).find(|bytes| *bytes >= needed);
        fitting.unwrap_or(u64::MAX).max(self.len_max)
    }

    fn database(
        &self,
        name: &str,
        create: bool,
        cache_bytes: usize,
        parts: u32,
    ) -> Result<(Database, Arc<FileSize>), SegmentError> {
        let size = Arc::new(FileSize::default());
        size.bound.store(self.bound(parts), Relaxed);
        guarded(|| {
            let inner = self.disk.open(name, create)?;
            let backend = Counting::new(inner, Arc::clone(&self.stats), Arc::clone(&size));
            let mut builder = Database::builder();
            builder.set_cache_size(cache_bytes);
            Ok(builder.create_with_backend(backend)?)
        })
        .map(|database| (database, Arc::clone(&size)))
    }

    /// Makes a segment with its first rows. It is there, whole and durable, or it is not; see [`SegmentError::Unsure`].
    pub(crate) fn make<'r>(
        &self,
        about: About,
        picture: &[Vec<u8>],
        rows: Rows<impl Iterator<Item = (u64, &'r [u8])>, impl Iterator<Item = (u64, &'r [u8])>>,
        cache_bytes: usize,
    ) -> Result<Segment, SegmentError> {
        let name = name_of(about.number);
        let unfinished = format!("{name}{UNFINISHED}");
        let _none_was_left = self.disk.remove(&unfinished);
        let made = self.database(&unfinished, true, cache_bytes, about.parts).and_then(|(database, size)| {
            let segment = Segment { about, seal: self.seal(), database: Some(database), size };
            segment.begin(picture, rows)?;
            self.disk.rename(&unfinished, &name).and_then(|()| self.disk.sync()).map_err(SegmentError::Unsure)?;
            Ok(segment)
        });
        if made.is_err() {
            // On a full disk it would hold the room that opening the present segment takes.
            let _it_may_not_be_there = self.disk.remove(&unfinished);
        }
        made
    }

    /// Opens a segment.
    pub(crate) fn open(&self, number: u64, cache_bytes: usize) -> Result<Segment, SegmentError> {
        let (database, size) = self.database(&name_of(number), false, cache_bytes, 0)?;
        self.named(database, size)
    }

    /// Opens a segment and reads all of it to see whether it is as it was written: redb itself looks at checksums only
    /// after an unclean stop.
    pub(crate) fn open_verified(&self, number: u64, cache_bytes: usize) -> Result<Segment, SegmentError> {
        let (mut database, size) = self.database(&name_of(number), false, cache_bytes, 0)?;
        if !guarded(|| Ok(database.check_integrity()?))? {
            return Err(SegmentError::Failed("its pages are not as they were written".to_owned()));
        }
        self.named(database, size)
    }

    fn named(&self, database: Database, size: Arc<FileSize>) -> Result<Segment, SegmentError> {
        let bytes = guarded(|| {
            let transaction = database.begin_read()?;
            let table = transaction.open_table(STATE)?;
            let first = table.get(0)?.map(|row| row.value().to_vec());
            Ok(first)
        })?;
        let bytes = bytes.ok_or_else(|| SegmentError::Failed("it does not say what it is".to_owned()))?;
        let body = record::read_about(&bytes, About::salt_of);
        let body = body.ok_or_else(|| SegmentError::Failed("what it says of itself is damaged".to_owned()))?;
        match About::decode(body) {
            Ok(Some(about)) => {
                let seal = Seal::new(about.salt);
                size.bound.store(self.bound(about.parts), Relaxed);
                Ok(Segment { about, seal, database: Some(database), size })
            }
            Ok(None) => Err(SegmentError::Failed("what it says of itself makes no sense".to_owned())),
            Err(found) => Err(SegmentError::Newer { found }),
        }
    }
}

/// Opens a file on its own and reads every row of it. redb's own repair is all that changes in it.
pub(crate) fn try_file(path: &std::path::Path) -> Result<(), SegmentError> {
    try_with(|builder| Ok(builder.open(path)?))
}

/// The same with what stands between redb and the file.
pub(crate) fn try_backend(backend: impl redb::StorageBackend) -> Result<(), SegmentError> {
    try_with(|builder| Ok(builder.create_with_backend(backend)?))
}

fn try_with(open: impl FnOnce(&redb::Builder) -> Result<Database, Failure>) -> Result<(), SegmentError> {
    guarded(|| {
        let mut builder = Database::builder();
        builder.set_cache_size(crate::limits::READ_CACHE_BYTES);
        let database = open(&builder)?;
        let transaction = database.begin_read()?;
        for entry in transaction.open_table(STATE)?.iter()? {
            entry?;
        }
        for part in [Part::Stream, Part::Kept] {
            for entry in transaction.open_table(part.table())?.iter()? {
                entry?;
            }
        }
        Ok(())
    })
}

impl Segment {
    fn database(&self) -> Result<&Database, Failure> {
        self.database.as_ref().ok_or_else(|| Failure(SegmentError::Failed("it is closed".to_owned())))
    }

    fn begin<'r>(
        &self,
        picture: &[Vec<u8>],
        rows: Rows<impl Iterator<Item = (u64, &'r [u8])>, impl Iterator<Item = (u64, &'r [u8])>>,
    ) -> Result<(), SegmentError> {
        guarded(|| {
            let mut transaction = self.database()?.begin_write()?;
            transaction.set_quick_repair(true);
            {
                let mut state = transaction.open_table(STATE)?;
                let base = self.about.base;
                state.insert(0, self.seal.row(Kind::About, base, &self.about.encode()).as_slice())?;
                for (part, body) in (1_u32..).zip(picture) {
                    state.insert(part, self.seal.row(Kind::Picture, base, &picture_body(part, body)).as_slice())?;
                }
            }
            transaction.open_table(STREAM)?;
            transaction.open_table(KEPT)?;
            put_rows(&transaction, rows)?;
            transaction.commit()?;
            Ok(())
        })
    }

    /// Appends sealed rows in one durable commit.
    pub(crate) fn append<'r>(
        &self,
        rows: Rows<impl Iterator<Item = (u64, &'r [u8])>, impl Iterator<Item = (u64, &'r [u8])>>,
    ) -> Result<(), SegmentError> {
        guarded(|| {
            let transaction = self.database()?.begin_write()?;
            put_rows(&transaction, rows)?;
            transaction.commit()?;
            Ok(())
        })
    }

    /// An empty commit that makes the next open quick, whatever stops the process.
    pub(crate) fn settle(&self) -> Result<(), SegmentError> {
        guarded(|| {
            let mut transaction = self.database()?.begin_write()?;
            transaction.set_quick_repair(true);
            transaction.commit()?;
            Ok(())
        })
    }

    /// Gives rows from `from` on to `take`, at most `rows_max` and as long as it wants more; answers the key to go on
    /// with, if there is more.
    pub(crate) fn scan(
        &self,
        part: Part,
        from: u64,
        rows_max: usize,
        mut take: impl FnMut(u64, &[u8]) -> ControlFlow<()>,
    ) -> Result<Option<u64>, SegmentError> {
        guarded(|| {
            let transaction = self.database()?.begin_read()?;
            let table = transaction.open_table(part.table())?;
            for (seen, entry) in table.range(from..)?.enumerate() {
                let (key, row) = entry?;
                if seen == rows_max || take(key.value(), row.value()).is_break() {
                    return Ok(Some(key.value()));
                }
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
            let transaction = self.database()?.begin_read()?;
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
            let transaction = self.database()?.begin_read()?;
            let table = transaction.open_table(STATE)?;
            let mut bodies = Vec::new();
            for part in 1..=self.about.parts {
                let row = table.get(part)?;
                let row = row.as_ref().and_then(|row| self.seal.read(row.value(), self.about.base));
                let body = row.filter(|row| row.kind == Kind::Picture).and_then(|row| picture_part(row.body));
                match body {
                    Some((number, body)) if number == part => bodies.push(body.to_vec()),
                    _ => return Ok(None),
                }
            }
            Ok(Some(bodies))
        })
    }

    /// The sequence number of the last sound row in the stream, and whether it is that of a clean stop.
    pub(crate) fn last(&self) -> Result<Option<(u64, bool)>, SegmentError> {
        guarded(|| {
            let transaction = self.database()?.begin_read()?;
            let table = transaction.open_table(STREAM)?;
            for entry in table.iter()?.rev() {
                let (key, row) = entry?;
                if let Some(row) = self.seal.read(row.value(), key.value()) {
                    return Ok(Some((key.value(), row.kind == Kind::Clean)));
                }
            }
            Ok(None)
        })
    }

    /// Whether all of redb's pages are as their checksums say. What is not may be repaired: the segment is read before.
    pub(crate) fn verify(&mut self) -> Result<bool, SegmentError> {
        let database = &mut self.database;
        guarded(|| {
            let database = database.as_mut().ok_or_else(|| Failure(SegmentError::Failed("it is closed".to_owned())))?;
            Ok(database.check_integrity()?)
        })
    }

    /// Length of the file.
    pub(crate) fn len(&self) -> u64 {
        self.size.len.load(Relaxed)
    }

    /// Bytes of rows at which the next one takes over: below the bound of its file, with room for redb's own.
    pub(crate) fn room(&self) -> u64 {
        self.size.bound.load(Relaxed) / 20 * 17
    }
}

/// Closing a damaged file may panic as well.
impl Drop for Segment {
    fn drop(&mut self) {
        if let Some(database) = self.database.take()
            && let Err(error) = guarded(|| {
                drop(database);
                Ok(())
            })
        {
            tracing::warn!(%error, number = self.about.number, "a segment was not closed");
        }
    }
}

fn put_rows<'r>(
    transaction: &WriteTransaction,
    rows: Rows<impl Iterator<Item = (u64, &'r [u8])>, impl Iterator<Item = (u64, &'r [u8])>>,
) -> Result<(), Failure> {
    let mut stream = rows.stream.peekable();
    if stream.peek().is_some() {
        let mut table = transaction.open_table(STREAM)?;
        let mut cursor = table.upper_bound_mut(std::ops::Bound::<u64>::Unbounded)?;
        for (sequence, row) in stream {
            cursor.insert_before(sequence, row)?;
        }
        cursor.close()?;
    }
    let mut kept = rows.kept.peekable();
    if kept.peek().is_some() {
        let mut table = transaction.open_table(KEPT)?;
        for (sequence, row) in kept {
            table.insert(sequence, row)?;
        }
    }
    Ok(())
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
