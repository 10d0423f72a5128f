//! Makes a store small: what is wanted is written into fresh segments, which take the place of the old ones at once.
//!
//! Records keep their sequence numbers. It takes room for what is wanted beside what is there.

use std::{collections::HashMap, io, path::Path, sync::Arc};

use crate::{
    clean::is_wanted,
    cost::row_cost,
    disk::{Folder, FolderError, Probe},
    identity,
    limits::{ACTIVE_CACHE_BYTES, CLEAN_BYTES, READ_ROWS_MAX},
    offline::Building,
    record::{Kind, Row},
    recover::{self, OpenError, Recovered, Report},
    segment::{About, Opener, Part, Rows, Segment, SegmentError, name_of, none},
    show::scan_all,
    stats::Stats,
    store::Options,
};

/// Rows that are in memory at once: some megabytes of the longest.
const ROWS_AT_ONCE: u32 = 64;

/// Files and their length.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Sizes {
    /// How many segments.
    pub files: u64,
    /// Their bytes.
    pub bytes: u64,
}

/// What compacting did.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Compacted {
    /// As it was.
    pub before: Sizes,
    /// As it is: the same where nothing was to be gained.
    pub after: Sizes,
    /// Records that are wanted.
    pub records: u64,
    /// Bytes of their rows.
    pub live_bytes: u64,
    /// What opening the store found.
    pub report: Report,
}

/// Why a store was not compacted. It is as it was.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CompactError {
    /// The data directory cannot be used.
    #[error(transparent)]
    Folder(#[from] FolderError),
    /// The store does not open.
    #[error(transparent)]
    Open(#[from] OpenError),
    /// What is wanted cannot be read or written.
    #[error("the store was not compacted, and is as it was: {0}; it takes room for what is wanted, a second time")]
    Copy(String),
    /// The files cannot be put into place.
    #[error("the compacted store is not in its place yet: {0}; the next use of the directory tries again")]
    Replace(io::Error),
}

impl From<SegmentError> for CompactError {
    fn from(error: SegmentError) -> Self {
        Self::Copy(error.to_string())
    }
}

/// Where a wanted record stands.
#[derive(Debug, Clone, Copy)]
struct Place {
    sequence: u64,
    segment: u64,
    part: Part,
    rows: u32,
}

/// Compacts the store in a data directory. Damage is treated as a broker's start would treat it.
///
/// # Errors
/// See [`CompactError`].
pub fn compact(directory: &Path, probe: Option<Probe>, options: &Options) -> Result<Compacted, CompactError> {
    let folder = Arc::new(Folder::take(directory, probe)?);
    let disk: Arc<dyn crate::disk::Disk> = Arc::<Folder>::clone(&folder);
    let recovered = recover::recover(&disk, options, &Arc::new(Stats::default()), &mut |_, _| {});
    disk.started(); // whatever came of it, the process is still there
    drop(disk);
    let recovered = recovered?;
    let before = sizes(recovered.segments.values().map(|segment| segment.len()));
    let places = places(&recovered)?;
    let copy_error = |error: io::Error| CompactError::Copy(error.to_string());
    let building = Building::begin(directory).map_err(copy_error)?;
    let opener = Opener {
        disk: building.disk().map_err(copy_error)?,
        stats: Arc::new(Stats::default()),
        len_max: options.segment_bytes(),
        salt: recovered.opener.salt,
    };
    // Rows are copied as they are: sealed with the salt of this store.
    identity::write(&*opener.disk, opener.salt).map_err(copy_error)?;
    let mut copy = Copy {
        opener,
        recovered: &recovered,
        active: None,
        number: 0,
        bytes: 0,
        records: 0,
        live_bytes: 0,
        lens: Vec::new(),
    };
    copy.all(&places)?;
    let (records, live_bytes, after) = (copy.records, copy.live_bytes, sizes(copy.lens.iter().copied()));
    drop(copy);
    let report = recovered.report.clone();
    drop(recovered); // its files go
    if after.bytes >= before.bytes {
        return Ok(Compacted { before, after: before, records, live_bytes, report });
    }
    building.take_place().map_err(CompactError::Replace)?;
    drop(folder);
    Ok(Compacted { before, after, records, live_bytes, report })
}

fn sizes(lens: impl Iterator<Item = u64>) -> Sizes {
    lens.fold(Sizes::default(), |sum, len| Sizes { files: sum.files + 1, bytes: sum.bytes + len })
}

/// All records that a queue still holds, by ascending sequence number.
fn places(recovered: &Recovered) -> Result<Vec<Place>, CompactError> {
    let mut places = Vec::new();
    // What cleaning had moved counts where it was moved to last.
    let mut moved: HashMap<u64, usize> = HashMap::new();
    for part in [Part::Kept, Part::Stream] {
        for (number, segment) in &recovered.segments {
            scan_all(segment, part, 0, 16 * READ_ROWS_MAX, &mut |sequence, bytes| {
                let Some(row) = segment.seal.read(bytes, sequence).filter(|row| is_wanted(row, &recovered.state))
                else {
                    return;
                };
                let place = Place { sequence, segment: *number, part, rows: rows_of(&row) };
                match (moved.get(&sequence), part) {
                    (Some(index), Part::Kept) => places[*index] = place,
                    (Some(_), Part::Stream) => {}
                    (None, Part::Kept) => {
                        moved.insert(sequence, places.len());
                        places.push(place);
                    }
                    (None, Part::Stream) => places.push(place),
                }
            })?;
        }
    }
    places.sort_unstable_by_key(|place| place.sequence);
    Ok(places)
}

fn rows_of(row: &Row<'_>) -> u32 {
    let count = row.body.first_chunk::<2>().filter(|_| row.kind == Kind::Head);
    1 + count.map_or(0, |count| u32::from(u16::from_le_bytes(*count)))
}

/// The fresh segments.
struct Copy<'r> {
    opener: Opener,
    recovered: &'r Recovered,
    active: Option<Segment>,
    number: u64,
    /// What the rows take of the active one.
    bytes: u64,
    /// Records, and bytes of their rows, of all.
    records: u64,
    live_bytes: u64,
    /// Lengths of those that are full.
    lens: Vec<u64>,
}

/// Rows that are written with one commit.
type Batch = Vec<(u64, Vec<u8>)>;

impl Copy<'_> {
    fn all(&mut self, places: &[Place]) -> Result<(), CompactError> {
        let end = self.recovered.next_sequence;
        self.begin(places.first().map_or(end, |place| place.sequence))?;
        let mut batch = Batch::new();
        let mut bytes = 0;
        for run in places.chunk_by(|a, b| (a.segment, a.part) == (b.segment, b.part)) {
            let mut rest = run;
            while !rest.is_empty() {
                let (some, after) = rest.split_at(fitting(rest));
                bytes += self.read(some, &mut batch)?;
                if bytes >= CLEAN_BYTES as u64 {
                    self.write(&batch)?;
                    batch.clear();
                    bytes = 0;
                }
                rest = after;
            }
        }
        batch.push((end, self.recovered.opener.seal().row(Kind::Clean, end, &[])));
        self.write(&batch)?;
        self.end()
    }

    /// Reads whole records of one table into the batch; answers how many bytes that were. One that is damaged is left
    /// out.
    fn read(&mut self, places: &[Place], batch: &mut Batch) -> Result<u64, CompactError> {
        let [Place { segment, part, .. }, ..] = *places else { return Ok(0) };
        let Some(segment) = self.recovered.segments.get(&segment) else { return Ok(0) };
        let keys: Vec<u64> =
            places.iter().flat_map(|place| place.sequence..place.sequence + u64::from(place.rows)).collect();
        let mut rows: Vec<Option<Vec<u8>>> = Vec::with_capacity(keys.len());
        segment.get_each(part, &keys, |index, bytes| {
            let sound = bytes.filter(|bytes| segment.seal.read(bytes, keys[index]).is_some());
            rows.push(sound.map(<[u8]>::to_vec));
        })?;
        let mut rows = keys.into_iter().zip(rows);
        let mut taken = 0;
        for place in places {
            let record = rows.by_ref().take(place.rows as usize).map(|(key, row)| Some((key, row?)));
            let Some(record) = record.collect::<Vec<_>>().into_iter().collect::<Option<Batch>>() else { continue };
            taken += record.iter().map(|(_, row)| row.len() as u64).sum::<u64>();
            self.records += 1;
            batch.extend(record);
        }
        self.live_bytes += taken;
        Ok(taken)
    }

    fn write(&mut self, batch: &Batch) -> Result<(), CompactError> {
        let Some((first, _)) = batch.first() else { return Ok(()) };
        let len: u64 = batch.iter().map(|(_, row)| row_cost(row.len())).sum();
        // With room for redb's own, as the writer leaves it.
        if self.bytes > 0 && self.bytes + len > self.opener.len_max / 20 * 15 {
            self.end()?;
            self.begin(*first)?;
        }
        match self.append(batch) {
            Err(SegmentError::Bound) => {
                // The commit that did not fit is not there; what came before it is.
                self.active = None;
                self.active = Some(self.opener.open(self.number, ACTIVE_CACHE_BYTES)?);
                self.end()?;
                self.begin(*first)?;
                self.append(batch)?;
            }
            other => other?,
        }
        self.bytes += len;
        Ok(())
    }

    fn append(&self, batch: &Batch) -> Result<(), SegmentError> {
        let active = self.active.as_ref().ok_or_else(|| SegmentError::Failed("no segment is open".to_owned()))?;
        let rows = batch.iter().map(|(key, row)| (*key, row.as_slice()));
        active.append(Rows { stream: rows, kept: none() })
    }

    fn begin(&mut self, base: u64) -> Result<(), CompactError> {
        let picture = self.recovered.state.picture();
        self.number += 1;
        let about = About {
            salt: self.opener.salt,
            number: self.number,
            base,
            parts: picture.len() as u32,
            incarnation: self.recovered.report.incarnation,
            next_queue: self.recovered.next_queue,
            damaged: 0,
        };
        let rows = Rows { stream: none(), kept: none() };
        self.active = Some(self.opener.make(about, &picture, rows, ACTIVE_CACHE_BYTES)?);
        self.bytes = 0;
        Ok(())
    }

    fn end(&mut self) -> Result<(), CompactError> {
        if let Some(segment) = self.active.take() {
            segment.settle()?;
            drop(segment); // redb cuts the file when it is closed
            let file = self.opener.disk.open(&name_of(self.number), false);
            self.lens.push(file.and_then(|file| file.len()).map_err(|error| CompactError::Copy(error.to_string()))?);
        }
        Ok(())
    }
}

/// How many records are read at once.
fn fitting(places: &[Place]) -> usize {
    let mut rows = 0;
    let fits = places.iter().take_while(|place| {
        rows += place.rows;
        rows <= ROWS_AT_ONCE
    });
    fits.count().max(1)
}
