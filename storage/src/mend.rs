//! What the writer does after the disk has failed: it opens files anew, and tries again until writes are taken.

use std::{
    sync::{Arc, atomic::Ordering},
    time::{Duration, Instant},
};

use crate::{
    commit::Prepared,
    limits::{ACTIVE_CACHE_BYTES, READ_CACHE_BYTES, RETRY_PAUSE, SEGMENTS_RESERVED},
    segment::SegmentError,
    store::Health,
    writer::Writer,
};

/// Attempts to open a segment anew, and the pause after each.
const REOPENINGS: usize = 10;
const REOPEN_PAUSE: Duration = Duration::from_millis(5);

impl Writer {
    pub(crate) fn fail(&mut self, error: &SegmentError) {
        self.is_ahead = true;
        self.look_at_syncs();
        if matches!(error, SegmentError::DiskFull) {
            self.reserve.give_up(&*self.opener.disk);
        }
        self.retry_at = Some(Instant::now() + RETRY_PAUSE);
        self.shared.set_health(match error {
            SegmentError::DiskFull => Health::DiskFull,
            SegmentError::Bound => Health::BudgetUsedUp,
            SegmentError::Newer { .. } | SegmentError::Unsure(_) | SegmentError::Failed(_) => Health::DiskFailed,
        });
    }

    pub(crate) fn recover(&mut self) {
        self.retry_at = None;
        self.look_at_health();
        if self.reserve.lacks_room() {
            tracing::debug!("the disk takes what makes room; it has none for messages yet");
        } else {
            tracing::info!("the disk takes writes again");
        }
    }

    /// Whether messages are taken in. The reserve is made again, if it is time and there is room: not without it.
    pub(crate) fn look_at_health(&mut self) {
        self.reserve.refill(&*self.opener.disk);
        let is_used_up = self.free_slots() <= SEGMENTS_RESERVED
            && self.active_bytes > self.rotate_at() / 6 * 5
            && !self.shared.is_making_room();
        self.shared.set_health(match (self.reserve.lacks_room(), is_used_up) {
            (true, _) => Health::DiskFull,
            (false, true) => Health::BudgetUsedUp,
            (false, false) => Health::Well,
        });
    }

    /// Whether the active segment is in doubt, as a sync has failed.
    pub(crate) fn look_at_syncs(&mut self) -> bool {
        let failed = self.shared.stats.failed_syncs.load(Ordering::Relaxed);
        if std::mem::replace(&mut self.failed_syncs, failed) < failed && !self.is_doubtful {
            self.is_doubtful = true;
            tracing::warn!(number = self.active_number, "a sync failed: the segment is left, and what is wanted moves");
            self.suspects.entry(self.active_number).or_default();
        }
        self.is_doubtful
    }

    /// Opens the active segment anew: after an error redb's handle is of no more use.
    pub(crate) fn reopen(&mut self) -> Result<(), SegmentError> {
        self.active = None;
        self.open_anew(self.active_number)
    }

    /// Opens a segment anew. What cannot be opened now is tried again later.
    fn open_anew(&mut self, number: u64) -> Result<(), SegmentError> {
        // Said first: who looks for a message meanwhile must not take it for lost.
        self.shared.broken.lock().insert(number);
        self.shared.segments.write().remove(&number);
        let is_active = number == self.active_number;
        let cache_bytes = if is_active { ACTIVE_CACHE_BYTES } else { READ_CACHE_BYTES };
        let mut result = Ok(());
        for _ in 0..REOPENINGS {
            match self.opener.open(number, cache_bytes).map(Arc::new) {
                Ok(segment) => {
                    if is_active {
                        self.active = Some(Arc::clone(&segment));
                    }
                    self.shared.segments.write().insert(number, segment);
                    self.shared.broken.lock().remove(&number);
                    return Ok(());
                }
                Err(error) => result = Err(error),
            }
            // A reader may hold the old handle, and with it the file's lock, a moment longer.
            std::thread::park_timeout(REOPEN_PAUSE);
        }
        self.mend_at = Some(Instant::now() + RETRY_PAUSE);
        result
    }

    /// Opens segments that gave errors anew.
    pub(crate) fn mend(&mut self) {
        self.mend_at = Some(Instant::now() + RETRY_PAUSE);
        let numbers: Vec<u64> = self.shared.broken.lock().iter().copied().collect();
        for number in numbers {
            if number == self.active_number {
                self.active = None;
            }
            match self.open_anew(number) {
                Ok(()) => tracing::debug!(number, "a segment was opened anew"),
                Err(error) => tracing::warn!(number, %error, "a segment cannot be read"),
            }
        }
        self.tend();
    }

    /// Tries to write again after a failure.
    pub(crate) fn come_back(&mut self) {
        self.drop_dead();
        if let Err(error) = self.reopen() {
            tracing::debug!(%error, "the segment that was written does not open yet");
        }
        let mut nothing = Prepared::empty(self.next_sequence);
        let written = self.write(&mut nothing);
        self.next_sequence = nothing.next;
        match written {
            Ok(()) => {
                self.recover();
                self.tend();
            }
            Err(error) => {
                tracing::debug!(%error, "the disk does not take writes yet");
                if matches!(error, SegmentError::Bound) {
                    self.evict_oldest(); // nothing else would make room
                }
                self.fail(&error);
            }
        }
    }
}
