//! The file `SEGMENTS`: which segments there are, so that one which is missing is noticed.
//!
//! Two places of a page each, at byte 0 and 4096, written in turn; the sound one with the higher turn counts:
//!
//! ```text
//!  0  [8]  "PrimerSg"
//!  8  u8   format, 1
//!  9  [7]  zero
//! 16  u64  turn
//! 24  u64  the next sequence number when it was written
//! 32  u16  length of the list
//! 34  ...  list: LEB128 pairs, ascending: numbers left out since the last one, segments that follow each other
//!     u32  CRC-32C of the store's salt (u64), and of all before
//! ```
//!
//! A segment is listed after it is durable, and is not any more, durably, before it is removed: what is listed and not
//! there was taken away by somebody else. A store without the file has none that are missing. Where it cannot be
//! written it is removed, which takes no room: better no list than a wrong one.

use std::io;

use crate::{
    disk::Disk,
    segment::FORMAT,
    varint::{self, Reader},
};

/// Its name.
pub(crate) const NAME: &str = "SEGMENTS";

const MAGIC: &[u8; 8] = b"PrimerSg";
const PLACE_BYTES: usize = 4096;
const PLACES: u64 = 2;
const HEAD_BYTES: usize = 34;
const LIST_BYTES_MAX: usize = PLACE_BYTES - HEAD_BYTES - 4;

/// The length of the file.
pub(crate) const ROSTER_BYTES: u64 = PLACES * PLACE_BYTES as u64;

/// What was listed last.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Listed {
    turn: u64,
    /// The next sequence number when it was written.
    pub(crate) next_sequence: u64,
    /// The segments, ascending.
    pub(crate) numbers: Vec<u64>,
}

/// Who writes the list.
#[derive(Debug, Default)]
pub(crate) struct Roster {
    turn: u64,
    is_there: bool,
}

impl Roster {
    /// What the file says; nothing where there is none.
    pub(crate) fn read(disk: &dyn Disk, salt: u64) -> io::Result<(Self, Listed)> {
        let file = match disk.open(NAME, false) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Default::default()),
            Err(error) => return Err(error),
        };
        let mut listed = Listed::default();
        let is_there = file.len()? >= ROSTER_BYTES;
        for place in (0..PLACES).filter(|_| is_there) {
            let mut bytes = [0; PLACE_BYTES];
            file.read(place * PLACE_BYTES as u64, &mut bytes)?;
            if let Some(found) = decode(&bytes, salt).filter(|found| found.turn > listed.turn) {
                listed = found;
            }
        }
        file.close()?;
        Ok((Self { turn: listed.turn, is_there }, listed))
    }

    /// Lists the segments, durably.
    ///
    /// # Errors
    /// The list on the disk may be the last one.
    pub(crate) fn write(&mut self, disk: &dyn Disk, salt: u64, numbers: &[u64], next_sequence: u64) -> io::Result<()> {
        let turn = self.turn + 1;
        match self.put(disk, turn, &encode(turn, next_sequence, numbers, salt)) {
            Ok(()) => {
                (self.turn, self.is_there) = (turn, true);
                return Ok(());
            }
            Err(error) => tracing::debug!(%error, "the list of the segments cannot be written"),
        }
        self.is_there = false;
        match disk.remove(NAME) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
            _ => disk.sync(),
        }
    }

    fn put(&self, disk: &dyn Disk, turn: u64, bytes: &[u8]) -> io::Result<()> {
        let file = disk.open(NAME, true)?;
        let put = || {
            if !self.is_there {
                file.set_len(ROSTER_BYTES)?;
            }
            file.write(turn % PLACES * PLACE_BYTES as u64, bytes)?;
            file.sync_data()
        };
        let done = put();
        file.close()?;
        done?;
        if self.is_there { Ok(()) } else { disk.sync() }
    }
}

fn encode(turn: u64, next_sequence: u64, numbers: &[u64], salt: u64) -> Vec<u8> {
    let mut bytes = MAGIC.to_vec();
    bytes.extend_from_slice(&[FORMAT, 0, 0, 0, 0, 0, 0, 0]);
    bytes.extend_from_slice(&turn.to_le_bytes());
    bytes.extend_from_slice(&next_sequence.to_le_bytes());
    let list = encode_list(numbers);
    bytes.extend_from_slice(&(list.len() as u16).to_le_bytes());
    bytes.extend_from_slice(&list);
    let crc = checksum(&bytes, salt);
    bytes.extend_from_slice(&crc.to_le_bytes());
    bytes
}

/// Segments go oldest first, so that nearly all that are left follow each other. Should there be more stretches than
/// fit, the last ones are not listed.
fn encode_list(numbers: &[u64]) -> Vec<u8> {
    let (mut list, mut next) = (Vec::new(), 0);
    for stretch in numbers.chunk_by(|a, b| a + 1 == *b) {
        let before = list.len();
        let first = stretch.first().copied().unwrap_or(next);
        varint::put(&mut list, first.saturating_sub(next));
        varint::put(&mut list, stretch.len() as u64);
        if list.len() > LIST_BYTES_MAX {
            list.truncate(before);
            break;
        }
        next = first + stretch.len() as u64;
    }
    list
}

fn decode(bytes: &[u8; PLACE_BYTES], salt: u64) -> Option<Listed> {
    let number = |at: usize| bytes.get(at..at + 8)?.first_chunk::<8>().map(|bytes| u64::from_le_bytes(*bytes));
    let end = HEAD_BYTES + usize::from(u16::from_le_bytes([bytes[32], bytes[33]]));
    let crc = bytes.get(end..end + 4)?;
    // A newer version's list is no list of this one: its segments refuse the start.
    if !bytes.starts_with(MAGIC) || bytes[8] != FORMAT || checksum(&bytes[..end], salt).to_le_bytes() != *crc {
        return None;
    }
    let (mut numbers, mut next) = (Vec::new(), 0_u64);
    let mut reader = Reader::new(&bytes[HEAD_BYTES..end]);
    while !reader.is_empty() {
        let first = next.checked_add(reader.number()?)?;
        next = first.checked_add(reader.number()?)?;
        numbers.extend(first..next);
    }
    Some(Listed { turn: number(16)?, next_sequence: number(24)?, numbers })
}

fn checksum(bytes: &[u8], salt: u64) -> u32 {
    crc32c::crc32c_append(crc32c::crc32c(&salt.to_le_bytes()), bytes)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn place(bytes: &[u8]) -> [u8; PLACE_BYTES] {
        let mut place = [0; PLACE_BYTES];
        place[..bytes.len()].copy_from_slice(bytes);
        place
    }

    proptest! {
        #[test]
        fn a_list_comes_back_whole_or_not_at_all(
            numbers in proptest::collection::btree_set(0..5_000_u64, 0..300),
            bit in 0..40_000_usize,
        ) {
            let numbers: Vec<u64> = numbers.into_iter().collect();
            let mut bytes = encode(7, 99, &numbers, 5);
            let listed = Listed { turn: 7, next_sequence: 99, numbers };
            prop_assert_eq!(decode(&place(&bytes), 5), Some(listed));
            prop_assert_eq!(decode(&place(&bytes), 6), None, "another store's");
            let bit = bit % (bytes.len() * 8);
            bytes[bit / 8] ^= 1 << (bit % 8);
            prop_assert_eq!(decode(&place(&bytes), 5), None);
        }
    }

    #[test]
    fn more_stretches_than_a_page_has_room_for_are_cut_off() {
        let numbers: Vec<u64> = (0..10_000).map(|number| number * 1_000).collect();
        let listed = decode(&place(&encode(1, 1, &numbers, 0)), 0).expect("a list");
        assert!(listed.numbers.len() > 1_000 && numbers.starts_with(&listed.numbers));
    }
}
