//! A disk in memory: a flat folder of files whose every operation is logged, so that a test can cut the log anywhere
//! and see what a crash would have left; and whose operations fail when a test says so.
//!
//! The crash model: all that came before the last honoured sync of a file is there. Each later operation is there, is
//! not, or is torn at 512 bytes. Names are there for sure from the folder's sync on; before it each may or may not be.

#![expect(dead_code, unreachable_pub, reason = "each test binary uses a part of it")]

pub mod drive;
pub mod file;

use std::{collections::BTreeMap, io, sync::Arc};

use parking_lot::Mutex;
use primer_storage::Disk;
use redb::StorageBackend;

use file::Pages;

/// A small generator: one seed replays all.
#[derive(Debug, Clone)]
pub struct Random(pub u64);

/// The seed of a test, or another one from `PRIMER_SEED`.
pub fn seed(usual: u64) -> u64 {
    std::env::var("PRIMER_SEED").ok().and_then(|seed| seed.parse().ok()).unwrap_or(usual)
}

impl Random {
    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    pub fn below(&mut self, end: u64) -> u64 {
        self.next() % end.max(1)
    }
}

/// What was done to the disk, or said by the test.
#[derive(Debug, Clone)]
pub enum Op {
    Write {
        file: usize,
        offset: u64,
        data: Arc<[u8]>,
    },
    SetLen {
        file: usize,
        len: u64,
    },
    Sync {
        file: usize,
    },
    Create {
        file: usize,
        name: String,
    },
    Rename {
        file: usize,
        from: String,
        to: String,
    },
    Remove {
        name: String,
    },
    SyncNames,
    /// A sync that failed: the kernel takes the pages for clean, and never writes them.
    SyncFailed {
        file: usize,
    },
    /// So many drafts have been handed over.
    Submitted(usize),
    /// So many of them were reported durable.
    Durable(usize),
}

/// Which operations fail.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum What {
    Write,
    Sync,
    SetLen,
    Read,
    Names,
    Any,
}

/// Operations of one kind that fail, counted from the moment the fault is set.
#[derive(Debug, Clone, Copy)]
pub struct Fault {
    pub what: What,
    /// How many go well before the first that fails.
    pub after: u64,
    /// How many fail.
    pub times: u64,
    pub error: Error,
}

/// How they fail.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Error {
    Eio,
    NoSpace,
}

impl Error {
    fn make(self) -> io::Error {
        io::Error::from_raw_os_error(match self {
            Self::Eio => 5,
            Self::NoSpace => 28,
        })
    }
}

#[derive(Debug, Default, Clone)]
pub struct Folder {
    pub files: Vec<Pages>,
    pub names: BTreeMap<String, usize>,
}

#[derive(Debug, Default)]
struct Inner {
    folder: Folder,
    log: Option<Vec<Op>>,
    fault: Option<Fault>,
    failed: u64,
    /// Syncs say that all is well and do nothing.
    lies: bool,
}

/// See the module's description.
#[derive(Debug, Clone, Default)]
pub struct SimDisk(Arc<Mutex<Inner>>);

impl SimDisk {
    pub fn new() -> Self {
        Self::default()
    }

    pub fn of(folder: Folder) -> Self {
        Self(Arc::new(Mutex::new(Inner { folder, ..Inner::default() })))
    }

    /// From now on the log is kept.
    pub fn record(self) -> Self {
        self.0.lock().log = Some(Vec::new());
        self
    }

    pub fn log(&self) -> Vec<Op> {
        self.0.lock().log.clone().unwrap_or_default()
    }

    pub fn say(&self, op: Op) {
        self.0.lock().note(|| op);
    }

    /// What is there now, as after a kill of the process.
    pub fn snapshot(&self) -> Folder {
        self.0.lock().folder.clone()
    }

    pub fn set_fault(&self, fault: Option<Fault>) {
        let mut inner = self.0.lock();
        (inner.fault, inner.failed) = (fault, 0);
    }

    /// How many operations have failed since the fault was set.
    pub fn failed(&self) -> u64 {
        self.0.lock().failed
    }

    pub fn set_lies(&self, lies: bool) {
        self.0.lock().lies = lies;
    }

    pub fn edit(&self, change: impl FnOnce(&mut Folder)) {
        change(&mut self.0.lock().folder);
    }
}

impl Folder {
    pub fn file(&mut self, name: &str) -> &mut Pages {
        let file = self.names[name];
        &mut self.files[file]
    }

    pub fn lose(&mut self, name: &str) {
        self.names.remove(name).expect("it is there");
    }

    /// The segments, ascending.
    pub fn segments(&self) -> Vec<String> {
        self.names.keys().filter(|name| name.ends_with(".redb")).cloned().collect()
    }

    pub fn put(&mut self, name: &str, bytes: &[u8]) {
        let mut pages = Pages::default();
        pages.set_len(bytes.len() as u64);
        pages.write(0, bytes);
        self.files.push(pages);
        self.names.insert(name.to_owned(), self.files.len() - 1);
    }
}

impl Inner {
    fn note(&mut self, op: impl FnOnce() -> Op) {
        if let Some(log) = &mut self.log {
            log.push(op());
        }
    }

    fn pass(&mut self, what: What) -> io::Result<()> {
        let Some(fault) = &mut self.fault else { return Ok(()) };
        if fault.what != what && !(fault.what == What::Any && what != What::Read) {
            return Ok(());
        }
        if fault.after > 0 {
            fault.after -= 1;
            return Ok(());
        }
        if fault.times == 0 {
            return Ok(());
        }
        fault.times -= 1;
        self.failed += 1;
        Err(fault.error.make())
    }
}

impl Disk for SimDisk {
    fn list(&self) -> io::Result<Vec<String>> {
        let mut inner = self.0.lock();
        inner.pass(What::Read)?;
        Ok(inner.folder.names.keys().cloned().collect())
    }

    fn open(&self, name: &str, create: bool) -> io::Result<Box<dyn StorageBackend>> {
        let mut inner = self.0.lock();
        let known = inner.folder.names.get(name).copied();
        let file = match known {
            Some(file) => {
                inner.pass(What::Read)?;
                file
            }
            None if create => {
                inner.pass(What::Names)?;
                inner.folder.files.push(Pages::default());
                let file = inner.folder.files.len() - 1;
                inner.folder.names.insert(name.to_owned(), file);
                inner.note(|| Op::Create { file, name: name.to_owned() });
                file
            }
            None => return Err(io::ErrorKind::NotFound.into()),
        };
        Ok(Box::new(SimFile { disk: self.clone(), file }))
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        let mut inner = self.0.lock();
        inner.pass(What::Names)?;
        let file = inner.folder.names.remove(from).ok_or(io::ErrorKind::NotFound)?;
        inner.folder.names.insert(to.to_owned(), file);
        inner.note(|| Op::Rename { file, from: from.to_owned(), to: to.to_owned() });
        Ok(())
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        let mut inner = self.0.lock();
        inner.pass(What::Names)?;
        inner.folder.names.remove(name).ok_or(io::ErrorKind::NotFound)?;
        inner.note(|| Op::Remove { name: name.to_owned() });
        Ok(())
    }

    fn sync(&self) -> io::Result<()> {
        let mut inner = self.0.lock();
        inner.pass(What::Names)?;
        if !inner.lies {
            inner.note(|| Op::SyncNames);
        }
        Ok(())
    }

    fn probe(&self, _name: &str) -> Result<(), String> {
        Ok(())
    }
}

#[derive(Debug)]
struct SimFile {
    disk: SimDisk,
    file: usize,
}

impl StorageBackend for SimFile {
    fn len(&self) -> io::Result<u64> {
        Ok(self.disk.0.lock().folder.files[self.file].len())
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        let mut inner = self.disk.0.lock();
        inner.pass(What::Read)?;
        inner.folder.files[self.file].read(offset, out)
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        let mut inner = self.disk.0.lock();
        inner.pass(What::SetLen)?;
        inner.folder.files[self.file].set_len(len);
        let file = self.file;
        inner.note(|| Op::SetLen { file, len });
        Ok(())
    }

    fn sync_data(&self) -> io::Result<()> {
        let mut inner = self.disk.0.lock();
        let file = self.file;
        if let Err(error) = inner.pass(What::Sync) {
            inner.note(|| Op::SyncFailed { file });
            return Err(error);
        }
        if !inner.lies {
            inner.note(|| Op::Sync { file });
        }
        Ok(())
    }

    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        let mut inner = self.disk.0.lock();
        inner.pass(What::Write)?;
        inner.folder.files[self.file].write(offset, data);
        let file = self.file;
        inner.note(|| Op::Write { file, offset, data: data.into() });
        Ok(())
    }
}

/// Walks along a log and answers what a crash at the present place would leave.
#[derive(Debug, Default)]
pub struct Crashes {
    sure: Folder,
    /// Operations that are not sure yet, in their order.
    open: Vec<Op>,
    pub submitted: usize,
    pub durable: usize,
}

impl Crashes {
    /// Goes one operation on.
    pub fn pass(&mut self, op: &Op) {
        match op {
            Op::Sync { file: synced } => {
                let sure = &mut self.sure;
                self.open.retain(|op| {
                    let is_of_it = matches!(op, Op::Write { file, .. } | Op::SetLen { file, .. } if file == synced);
                    if is_of_it {
                        sure.apply(op, None);
                    }
                    !is_of_it
                });
            }
            Op::SyncNames => {
                let sure = &mut self.sure;
                self.open.retain(|op| {
                    let is_data = matches!(op, Op::Write { .. } | Op::SetLen { .. });
                    if !is_data {
                        sure.apply(op, None);
                    }
                    is_data
                });
            }
            Op::SyncFailed { file: failed } => {
                self.open.retain(|op| !matches!(op, Op::Write { file, .. } if file == failed));
            }
            Op::Submitted(drafts) => self.submitted = *drafts,
            Op::Durable(drafts) => self.durable = *drafts,
            _ => self.open.push(op.clone()),
        }
    }

    /// What a crash leaves here. Seed 0: nothing that is not sure; 1: all; others: chance.
    pub fn cut(&self, seed: u64) -> Folder {
        let mut folder = self.sure.clone();
        let mut random = Random(seed);
        // Some crashes lose little and some much.
        let lost_of_16 = match seed {
            0 => 16,
            1 => 0,
            _ => 1 + random.below(15),
        };
        for op in &self.open {
            let is_lost = random.below(16) < lost_of_16;
            match op {
                Op::Write { data, .. } if seed > 1 && data.len() > 512 && random.below(4) == 0 => {
                    folder.apply(op, Some(&mut random));
                }
                _ if is_lost => {}
                _ => folder.apply(op, None),
            }
        }
        folder
    }
}

impl Folder {
    /// `torn` chooses which sectors of a write arrive.
    fn apply(&mut self, op: &Op, torn: Option<&mut Random>) {
        match op {
            Op::Write { file, offset, data } => {
                let pages = self.of(*file);
                match torn {
                    None => pages.write(*offset, data),
                    Some(random) => {
                        for (index, sector) in data.chunks(512).enumerate() {
                            if random.below(2) == 0 {
                                pages.write(offset + index as u64 * 512, sector);
                            }
                        }
                    }
                }
            }
            Op::SetLen { file, len } => self.of(*file).set_len(*len),
            Op::Create { file, name } => {
                let _there_it_is = self.of(*file);
                self.names.insert(name.clone(), *file);
            }
            Op::Rename { file, from, to } => {
                let _there_it_is = self.of(*file);
                self.names.remove(from);
                self.names.insert(to.clone(), *file);
            }
            Op::Remove { name } => {
                self.names.remove(name);
            }
            Op::Sync { .. } | Op::SyncFailed { .. } | Op::SyncNames | Op::Submitted(_) | Op::Durable(_) => {}
        }
    }

    fn of(&mut self, file: usize) -> &mut Pages {
        if self.files.len() <= file {
            self.files.resize_with(file + 1, Pages::default);
        }
        &mut self.files[file]
    }
}
