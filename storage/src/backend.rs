//! What stands between redb and a file: it counts what passes, and keeps the file from growing beyond its bound.

use std::{
    io,
    ops::Bound,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
};

use redb::StorageBackend;

use crate::stats::Stats;

#[derive(Debug)]
pub(crate) struct Counting {
    inner: Box<dyn StorageBackend>,
    stats: Arc<Stats>,
    size: Arc<FileSize>,
}

/// How long a file is, and how long it may be; shared with whoever uses it.
#[derive(Debug, Default)]
pub(crate) struct FileSize {
    pub(crate) len: AtomicU64,
    pub(crate) bound: AtomicU64,
}

impl Counting {
    pub(crate) fn new(inner: Box<dyn StorageBackend>, stats: Arc<Stats>, size: Arc<FileSize>) -> Self {
        size.len.store(inner.len().unwrap_or(0), Relaxed);
        Self { inner, stats, size }
    }
}

impl StorageBackend for Counting {
    fn len(&self) -> io::Result<u64> {
        self.inner.len()
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        Stats::add(&self.stats.read_bytes, out.len() as u64);
        self.inner.read(offset, out)
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        let bound = self.size.bound.load(Relaxed);
        if len > bound {
            let says = format!("a segment of {len} bytes would be larger than the {bound} it may have");
            return Err(io::Error::new(io::ErrorKind::StorageFull, says));
        }
        self.inner.set_len(len)?;
        self.size.len.store(len, Relaxed);
        Ok(())
    }

    fn sync_data(&self) -> io::Result<()> {
        Stats::add(&self.stats.syncs, 1);
        self.inner.sync_data().inspect_err(|_| Stats::add(&self.stats.failed_syncs, 1))
    }

    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        self.inner.write(offset, data)?;
        Stats::add(&self.stats.written_bytes, data.len() as u64);
        Ok(())
    }

    fn close(&self) -> io::Result<()> {
        self.inner.close()
    }

    fn try_lock_range(&self, start: Bound<u64>, end: Bound<u64>) -> Result<bool, redb::BackendError> {
        self.inner.try_lock_range(start, end)
    }

    fn try_lock_shared_range(&self, start: Bound<u64>, end: Bound<u64>) -> Result<bool, redb::BackendError> {
        self.inner.try_lock_shared_range(start, end)
    }

    fn lock_range(&self, start: Bound<u64>, end: Bound<u64>) -> Result<(), redb::BackendError> {
        self.inner.lock_range(start, end)
    }

    fn lock_shared_range(&self, start: Bound<u64>, end: Bound<u64>) -> Result<(), redb::BackendError> {
        self.inner.lock_shared_range(start, end)
    }

    fn unlock_range(&self, start: Bound<u64>, end: Bound<u64>) -> Result<(), redb::BackendError> {
        self.inner.unlock_range(start, end)
    }
}
