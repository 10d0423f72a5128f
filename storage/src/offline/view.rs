//! A folder as it is, with changes that stay in memory: what opens a store may repair, rename and remove as it likes,
//! and no file is touched.

use std::{
    collections::{BTreeMap, HashMap},
    io,
    ops::Bound,
    path::Path,
    sync::Arc,
};

use parking_lot::Mutex;
use redb::{BackendError, StorageBackend, backends::FileBackend};

use crate::{disk::Disk, segment};

const PAGE_BYTES: usize = 4096;

type Page = Box<[u8; PAGE_BYTES]>;

/// See the module's description.
#[derive(Debug)]
pub struct View {
    inner: Arc<dyn Disk>,
    /// By the name that a file has here.
    files: Mutex<BTreeMap<String, Arc<Sheet>>>,
}

/// What is different about one file.
#[derive(Debug, Default)]
struct Sheet {
    /// Its name in the folder; `None` for one that is here alone.
    name: Option<String>,
    written: Mutex<Written>,
}

#[derive(Debug, Default)]
struct Written {
    /// `None` until it is opened.
    len: Option<u64>,
    /// What counts of the file in the folder: it may have been cut.
    real_len: u64,
    pages: HashMap<u64, Page>,
}

impl View {
    /// A view of a folder as it is now.
    ///
    /// # Errors
    /// The folder cannot be read.
    pub fn new(inner: Arc<dyn Disk>) -> io::Result<Self> {
        let names = inner.list()?;
        let sheet = |name: String| (name.clone(), Arc::new(Sheet { name: Some(name), ..Sheet::default() }));
        Ok(Self { files: Mutex::new(names.into_iter().map(sheet).collect()), inner })
    }
}

fn missing(name: &str) -> io::Error {
    io::Error::new(io::ErrorKind::NotFound, format!("there is no file {name}"))
}

impl Disk for View {
    fn list(&self) -> io::Result<Vec<String>> {
        Ok(self.files.lock().keys().cloned().collect())
    }

    fn open(&self, name: &str, create: bool) -> io::Result<Box<dyn StorageBackend>> {
        let mut files = self.files.lock();
        let sheet = match files.get(name) {
            Some(sheet) => Arc::clone(sheet),
            None if create => Arc::clone(files.entry(name.to_owned()).or_default()),
            None => return Err(missing(name)),
        };
        let inner = sheet.name.as_ref().map(|name| self.inner.open(name, false)).transpose()?;
        Ok(Box::new(Overlay::new(inner, sheet)?))
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        let mut files = self.files.lock();
        let sheet = files.remove(from).ok_or_else(|| missing(from))?;
        files.insert(to.to_owned(), sheet);
        Ok(())
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        self.files.lock().remove(name).map(drop).ok_or_else(|| missing(name))
    }

    fn sync(&self) -> io::Result<()> {
        Ok(())
    }

    fn probe(&self, name: &str) -> Result<(), String> {
        let sheet = self.files.lock().get(name).map(Arc::clone);
        sheet.and_then(|sheet| sheet.name.clone()).map_or(Ok(()), |name| self.inner.probe(&name))
    }

    fn started(&self) {
        self.inner.started();
    }
}

/// A file of the folder under its sheet.
#[derive(Debug)]
struct Overlay {
    inner: Option<Box<dyn StorageBackend>>,
    sheet: Arc<Sheet>,
}

impl Overlay {
    fn new(inner: Option<Box<dyn StorageBackend>>, sheet: Arc<Sheet>) -> io::Result<Self> {
        let mut written = sheet.written.lock();
        if written.len.is_none() {
            let len = inner.as_ref().map_or(Ok(0), |inner| inner.len())?;
            (written.len, written.real_len) = (Some(len), len);
        }
        drop(written);
        Ok(Self { inner, sheet })
    }

    /// Reads what the folder has, and zeros where it has nothing.
    fn read_real(&self, real_len: u64, offset: u64, out: &mut [u8]) -> io::Result<()> {
        let there = usize::try_from(real_len.saturating_sub(offset)).unwrap_or(usize::MAX).min(out.len());
        let (there, beyond) = out.split_at_mut(there);
        beyond.fill(0);
        match &self.inner {
            Some(inner) if !there.is_empty() => inner.read(offset, there),
            _ => Ok(()),
        }
    }
}

/// The pages that a range touches: number, where the range begins in it, and how much of it is in the range.
fn pages(offset: u64, len: usize) -> impl Iterator<Item = (u64, usize, usize)> {
    let page_bytes = PAGE_BYTES as u64;
    let end = offset + len as u64;
    let first = offset / page_bytes;
    let last = end.div_ceil(page_bytes);
    (first..last).map(move |number| {
        let (from, to) = (offset.max(number * page_bytes), end.min((number + 1) * page_bytes));
        (number, (from - number * page_bytes) as usize, (to - from) as usize)
    })
}

impl StorageBackend for Overlay {
    fn len(&self) -> io::Result<u64> {
        Ok(self.sheet.written.lock().len.unwrap_or(0))
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        let written = self.sheet.written.lock();
        if offset + out.len() as u64 > written.len.unwrap_or(0) {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        self.read_real(written.real_len, offset, out)?;
        let mut rest = out;
        for (number, from, len) in pages(offset, rest.len()) {
            let (part, after) = rest.split_at_mut(len);
            if let Some(page) = written.pages.get(&number) {
                part.copy_from_slice(&page[from..from + len]);
            }
            rest = after;
        }
        Ok(())
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        let mut written = self.sheet.written.lock();
        written.real_len = written.real_len.min(len);
        let cut_in = len / PAGE_BYTES as u64;
        written.pages.retain(|number, _| *number <= cut_in);
        if let Some(page) = written.pages.get_mut(&cut_in) {
            page[(len % PAGE_BYTES as u64) as usize..].fill(0);
        }
        written.len = Some(len);
        Ok(())
    }

    fn sync_data(&self) -> io::Result<()> {
        Ok(())
    }

    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        let mut written = self.sheet.written.lock();
        let real_len = written.real_len;
        let mut rest = data;
        for (number, from, len) in pages(offset, data.len()) {
            let (part, after) = rest.split_at(len);
            let page = match written.pages.entry(number) {
                std::collections::hash_map::Entry::Occupied(entry) => entry.into_mut(),
                std::collections::hash_map::Entry::Vacant(entry) => {
                    let mut page = Box::new([0; PAGE_BYTES]);
                    if len < PAGE_BYTES {
                        self.read_real(real_len, number * PAGE_BYTES as u64, &mut page[..])?;
                    }
                    entry.insert(page)
                }
            };
            page[from..from + len].copy_from_slice(part);
            rest = after;
        }
        let end = offset + data.len() as u64;
        written.len = written.len.max(Some(end));
        Ok(())
    }

    fn close(&self) -> io::Result<()> {
        self.inner.as_ref().map_or(Ok(()), |inner| inner.close())
    }

    // The file is read and no more, so it is enough that nobody writes: a file that is open to be read cannot be locked
    // otherwise.

    fn try_lock_range(&self, start: Bound<u64>, end: Bound<u64>) -> Result<bool, BackendError> {
        self.try_lock_shared_range(start, end)
    }

    fn try_lock_shared_range(&self, start: Bound<u64>, end: Bound<u64>) -> Result<bool, BackendError> {
        self.inner.as_ref().map_or(Ok(true), |inner| inner.try_lock_shared_range(start, end))
    }

    fn lock_range(&self, start: Bound<u64>, end: Bound<u64>) -> Result<(), BackendError> {
        self.lock_shared_range(start, end)
    }

    fn lock_shared_range(&self, start: Bound<u64>, end: Bound<u64>) -> Result<(), BackendError> {
        self.inner.as_ref().map_or(Ok(()), |inner| inner.lock_shared_range(start, end))
    }

    fn unlock_range(&self, start: Bound<u64>, end: Bound<u64>) -> Result<(), BackendError> {
        self.inner.as_ref().map_or(Ok(()), |inner| inner.unlock_range(start, end))
    }
}

/// As [`crate::try_file`], with redb's repair in memory: the file stays as it is.
///
/// # Errors
/// It does not open, or cannot be read.
pub fn try_view(path: &Path) -> io::Result<()> {
    let file = std::fs::File::open(path)?;
    let inner: Box<dyn StorageBackend> = Box::new(FileBackend::new(file).map_err(io::Error::other)?);
    let overlay = Overlay::new(Some(inner), Arc::default())?;
    segment::try_backend(overlay).map_err(|error| io::Error::other(error.to_string()))
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "tests fail by panicking")]
mod tests {
    use super::*;
    use redb::backends::InMemoryBackend;

    /// Random writes, cuts and reads, beside a plain vector.
    #[test]
    fn a_view_reads_as_if_it_had_been_written() {
        let inner = InMemoryBackend::new();
        let mut model: Vec<u8> = (0..20_000_u32).map(|n| n as u8).collect();
        inner.set_len(model.len() as u64).unwrap();
        inner.write(0, &model).unwrap();
        let before = model.clone();
        let inner = Arc::new(inner);
        let overlay = Overlay::new(Some(Box::new(Borrowed(Arc::clone(&inner)))), Arc::default()).unwrap();
        let mut seed = 7_u64;
        let mut next = |below: u64| {
            seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (seed >> 33) % below
        };
        for step in 0..2_000_u32 {
            let offset = next(model.len() as u64) as usize;
            if step % 50 == 0 {
                let len = 1 + next(30_000) as usize;
                overlay.set_len(len as u64).unwrap();
                model.resize(len, 0);
            } else if step % 2 == 0 {
                let len = (next(9_000) as usize).min(model.len() - offset);
                let data = vec![step as u8; len];
                overlay.write(offset as u64, &data).unwrap();
                model[offset..offset + len].copy_from_slice(&data);
            }
            let offset = next(model.len() as u64) as usize;
            let len = (next(9_000) as usize).min(model.len() - offset);
            let mut out = vec![1; len];
            overlay.read(offset as u64, &mut out).unwrap();
            assert_eq!(out, model[offset..offset + len], "step {step}");
        }
        let mut after = vec![0; before.len()];
        inner.read(0, &mut after).unwrap();
        assert!(after == before, "the file was written to");
        assert!(overlay.read(model.len() as u64, &mut [0]).is_err(), "beyond the end");
    }

    #[derive(Debug)]
    struct Borrowed(Arc<InMemoryBackend>);

    impl StorageBackend for Borrowed {
        fn len(&self) -> io::Result<u64> {
            self.0.len()
        }
        fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
            self.0.read(offset, out)
        }
        fn set_len(&self, len: u64) -> io::Result<()> {
            self.0.set_len(len)
        }
        fn sync_data(&self) -> io::Result<()> {
            self.0.sync_data()
        }
        fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
            self.0.write(offset, data)
        }
    }
}
