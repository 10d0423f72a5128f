//! The file `RESERVE`: room that is given up when the disk is full, and taken again when there is some.
//!
//! On a disk without a free byte nothing could be written down of what is fetched, nor the next segment be begun, after
//! which a file goes: it would stay full. While the reserve is given up no messages are taken in, or they would use it.

use std::{
    io,
    time::{Duration, Instant},
};

use crate::{
    disk::Disk,
    limits::{REFILL_PAUSE_MAX, RESERVE_BYTES, RETRY_PAUSE},
    segment::{SegmentError, of_io},
};

/// Its name.
pub(crate) const NAME: &str = "RESERVE";

const PIECE_BYTES: usize = 64 << 10;

/// See the module's description.
#[derive(Debug)]
pub(crate) struct Reserve {
    is_there: bool,
    /// It is not there because the disk is full.
    lacks_room: bool,
    try_at: Option<Instant>,
    pause: Duration,
}

impl Reserve {
    /// What an earlier process left, or it is to be made.
    pub(crate) fn find(disk: &dyn Disk) -> Self {
        let is_there = disk.open(NAME, false).is_ok_and(|file| file.len().is_ok_and(|len| len == RESERVE_BYTES));
        let try_at = (!is_there).then(Instant::now);
        Self { is_there, lacks_room: false, try_at, pause: RETRY_PAUSE }
    }

    /// Whether messages would use what is left of it.
    pub(crate) const fn lacks_room(&self) -> bool {
        self.lacks_room
    }

    /// When it is to be made again.
    pub(crate) const fn try_at(&self) -> Option<Instant> {
        self.try_at
    }

    /// The disk is full.
    pub(crate) fn give_up(&mut self, disk: &dyn Disk) {
        self.lacks_room = true;
        self.try_at = Some(Instant::now() + RETRY_PAUSE);
        if std::mem::take(&mut self.is_there) {
            tracing::warn!("the disk is full: the reserve is given up, for what makes room");
            remove(disk);
        }
    }

    /// A file has gone: there may be room for it again.
    pub(crate) fn room_was_made(&mut self) {
        self.pause = RETRY_PAUSE;
        if self.try_at.is_some() {
            self.try_at = Some(Instant::now());
        }
    }

    /// Tries to make it, if it is time.
    pub(crate) fn refill(&mut self, disk: &dyn Disk) {
        if self.try_at.is_none_or(|at| Instant::now() < at) {
            return;
        }
        match make(disk) {
            Ok(()) => (self.is_there, self.lacks_room, self.try_at, self.pause) = (true, false, None, RETRY_PAUSE),
            Err(error) => {
                tracing::debug!(%error, "there is no room for the reserve");
                remove(disk);
                self.lacks_room = matches!(of_io(&error), SegmentError::DiskFull);
                self.try_at = Some(Instant::now() + self.pause);
                self.pause = (self.pause * 2).min(REFILL_PAUSE_MAX);
            }
        }
    }
}

/// Gives up what an earlier process left: the start itself has no room.
pub(crate) fn remove(disk: &dyn Disk) {
    if let Err(error) = disk.remove(NAME).and_then(|()| disk.sync()) {
        tracing::debug!(%error, "the reserve cannot be removed");
    }
}

/// A file of that length is not enough: it has to have its blocks, also where a file system leaves out those of zeros
/// or packs what repeats itself.
fn make(disk: &dyn Disk) -> io::Result<()> {
    let file = disk.open(NAME, true)?;
    let (mut piece, mut word) = (vec![0; PIECE_BYTES], 0x9E37_79B9_7F4A_7C15_u64);
    let mut fill = || {
        file.set_len(RESERVE_BYTES)?;
        for at in (0..RESERVE_BYTES).step_by(PIECE_BYTES) {
            for bytes in piece.chunks_exact_mut(8) {
                word ^= word << 13;
                word ^= word >> 7;
                word ^= word << 17;
                bytes.copy_from_slice(&word.to_le_bytes());
            }
            file.write(at, &piece)?;
        }
        file.sync_data()
    };
    let filled = fill();
    file.close()?;
    filled.and_then(|()| disk.sync())
}
