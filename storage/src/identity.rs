//! The file `STORE`: which store a folder is, and the salt of its rows.
//!
//! ```text
//!  0  [8]  "PrimerSt"
//!  8  u8   format, 1
//!  9  [7]  zero
//! 16  u64  salt
//! 24  u32  CRC-32C of bytes 0..24
//! ```
//!
//! The same again at byte 512: one damaged sector does no harm. The file is written once, when a store begins, under
//! another name first. Every segment carries the salt as well; a lost `STORE` is written anew from them.

use std::{
    hash::{BuildHasher, Hasher, RandomState},
    io,
};

use crate::{disk::Disk, segment::FORMAT};

/// Its name.
pub(crate) const NAME: &str = "STORE";

const UNFINISHED: &str = "STORE.new";
const MAGIC: &[u8; 8] = b"PrimerSt";
const BYTES: usize = 28;
const COPIES_AT: [usize; 2] = [0, 512];

/// What the file says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Identity {
    Salt(u64),
    /// It was written by a newer version.
    Newer(u8),
    /// There is none, or none that can be read.
    Missing,
}

/// A number that nobody can guess. The hasher's keys come from the system's source of randomness.
pub(crate) fn draw() -> u64 {
    RandomState::new().build_hasher().finish()
}

pub(crate) fn read(disk: &dyn Disk) -> io::Result<Identity> {
    let file = match disk.open(NAME, false) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Identity::Missing),
        Err(error) => return Err(error),
    };
    let copies = COPIES_AT.iter().filter_map(|at| {
        let mut bytes = [0; BYTES];
        file.read(*at as u64, &mut bytes).ok()?;
        decode(&bytes)
    });
    let found = copies.into_iter().next().unwrap_or(Identity::Missing);
    file.close()?;
    Ok(found)
}

pub(crate) fn write(disk: &dyn Disk, salt: u64) -> io::Result<()> {
    let mut bytes = vec![0; COPIES_AT[1] + BYTES];
    for at in COPIES_AT {
        bytes[at..at + BYTES].copy_from_slice(&encode(salt));
    }
    let file = disk.open(UNFINISHED, true)?;
    file.set_len(bytes.len() as u64)?;
    file.write(0, &bytes)?;
    file.sync_data()?;
    file.close()?;
    disk.rename(UNFINISHED, NAME)?;
    disk.sync()
}

fn encode(salt: u64) -> [u8; BYTES] {
    let mut bytes = [0; BYTES];
    bytes[..8].copy_from_slice(MAGIC);
    bytes[8] = FORMAT;
    bytes[16..24].copy_from_slice(&salt.to_le_bytes());
    let crc = crc32c::crc32c(&bytes[..24]);
    bytes[24..].copy_from_slice(&crc.to_le_bytes());
    bytes
}

fn decode(bytes: &[u8; BYTES]) -> Option<Identity> {
    let (head, crc) = bytes.split_last_chunk::<4>()?;
    if !head.starts_with(MAGIC) || crc32c::crc32c(head).to_le_bytes() != *crc {
        return None;
    }
    if head[8] > FORMAT {
        return Some(Identity::Newer(head[8]));
    }
    head.last_chunk::<8>().map(|salt| Identity::Salt(u64::from_le_bytes(*salt)))
}
