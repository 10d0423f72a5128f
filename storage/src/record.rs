//! A row: what stands under one key of a segment, and what salvage finds without redb's help.
//!
//! ```text
//!  0  u16  magic 0x7250 ("Pr")
//!  2  u8   kind
//!  3  u8   version of the row format, 1
//!  4  u32  CRC-32C of the store's salt, of bytes 0..4, and of all from byte 8 on
//!  8  u48  sequence number
//! 14  u16  length of the body
//! 16  ...  body
//! ```
//!
//! Numbers are little-endian. A row is sealed with its sequence number when it is written; every read checks magic,
//! version, length, sequence number and CRC.
//!
//! The salt is a number that a store draws when it begins and that never leaves its folder. Salvage takes for a row
//! whatever has a row's CRC; without the salt a client could publish a payload that is one.

use crate::limits::BODY_BYTES_MAX;

/// Bytes before the body.
pub(crate) const HEADER_BYTES: usize = 16;

/// What every row begins with.
pub(crate) const MAGIC: [u8; 2] = *b"Pr";

const VERSION: u8 = 1;
const SEQUENCE_BYTES: usize = 6;

/// What a body means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum Kind {
    /// A message: `message`.
    Message = 1,
    /// Changes of state in one commit: `change`.
    Delta = 2,
    /// The first part of a body that is longer than a row: u16 number of chunks that follow, then the part.
    Head = 3,
    /// A further part.
    Chunk = 4,
    /// A part of the picture of the state with which a segment begins: changes that make it out of nothing.
    Picture = 5,
    /// What a segment is: `segment`.
    About = 6,
    /// The stop was clean: nothing comes after it that is not here.
    Clean = 7,
    /// A part of a delta that goes on in the next row: one change alone is longer than a row.
    More = 8,
}

impl Kind {
    const fn from_byte(byte: u8) -> Option<Self> {
        Some(match byte {
            1 => Self::Message,
            2 => Self::Delta,
            3 => Self::Head,
            4 => Self::Chunk,
            5 => Self::Picture,
            6 => Self::About,
            7 => Self::Clean,
            8 => Self::More,
            _ => return None,
        })
    }
}

/// A row that has passed every check.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Row<'a> {
    pub(crate) kind: Kind,
    pub(crate) sequence: u64,
    pub(crate) body: &'a [u8],
}

/// What rows of one store are sealed with: the CRC so far, of the salt.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Seal(u32);

/// Begins a row: room for the header, to be filled by [`Seal::close`].
pub(crate) fn begin(out: &mut Vec<u8>, kind: Kind) {
    out.extend_from_slice(&MAGIC);
    out.extend_from_slice(&[kind as u8, VERSION]);
    out.extend_from_slice(&[0; HEADER_BYTES - 4]);
}

impl Seal {
    pub(crate) fn new(salt: u64) -> Self {
        Self(crc32c::crc32c(&salt.to_le_bytes()))
    }

    /// Completes a row with its sequence number, length and checksum.
    pub(crate) fn close(self, row: &mut [u8], sequence: u64) {
        let Some(len) = row.len().checked_sub(HEADER_BYTES).filter(|len| *len <= BODY_BYTES_MAX) else { return };
        let sequence = sequence.to_le_bytes();
        row[8..14].copy_from_slice(&sequence[..SEQUENCE_BYTES]);
        row[14..16].copy_from_slice(&(len as u16).to_le_bytes());
        let crc = self.checksum(row);
        row[4..8].copy_from_slice(&crc.to_le_bytes());
    }

    /// A whole row of one body.
    pub(crate) fn row(self, kind: Kind, sequence: u64, body: &[u8]) -> Vec<u8> {
        let mut out = Vec::with_capacity(HEADER_BYTES + body.len());
        begin(&mut out, kind);
        out.extend_from_slice(body);
        self.close(&mut out, sequence);
        out
    }

    /// Reads the row at the beginning of `bytes`, which may go on after it. `None`: there is no sound one.
    pub(crate) fn read_prefix(self, bytes: &[u8]) -> Option<Row<'_>> {
        let (kind, row) = parse(bytes)?;
        if row[3] != VERSION || row[4..8] != self.checksum(row).to_le_bytes() {
            return None;
        }
        Some(Row { kind, sequence: sequence_of(row), body: &row[HEADER_BYTES..] })
    }

    /// Reads the row under the key `sequence`. `None`: it is damaged, or another one.
    pub(crate) fn read(self, bytes: &[u8], sequence: u64) -> Option<Row<'_>> {
        let row = self.read_prefix(bytes)?;
        (row.sequence == sequence && row.body.len() + HEADER_BYTES == bytes.len()).then_some(row)
    }

    fn checksum(self, row: &[u8]) -> u32 {
        let (head, tail) = (row.get(..4).unwrap_or_default(), row.get(8..).unwrap_or_default());
        crc32c::crc32c_append(crc32c::crc32c_append(self.0, head), tail)
    }
}

/// The body of the row at the beginning of `bytes` if it is what a segment says of itself, and is sealed with the salt
/// that `salt_of` finds in that body. Of whatever version: this row alone keeps its place in all of them.
pub(crate) fn read_about(bytes: &[u8], salt_of: impl Fn(&[u8]) -> Option<u64>) -> Option<&[u8]> {
    let (kind, row) = parse(bytes)?;
    let body = &row[HEADER_BYTES..];
    let is_sound = kind == Kind::About && row[4..8] == Seal::new(salt_of(body)?).checksum(row).to_le_bytes();
    is_sound.then_some(body)
}

/// The kind and the bytes of what has a row's magic and length, whether it is sound or not.
fn parse(bytes: &[u8]) -> Option<(Kind, &[u8])> {
    let header = bytes.first_chunk::<HEADER_BYTES>()?;
    if header[..2] != MAGIC {
        return None;
    }
    let len = usize::from(u16::from_le_bytes([header[14], header[15]]));
    Some((Kind::from_byte(header[2])?, bytes.get(..HEADER_BYTES + len)?))
}

fn sequence_of(row: &[u8]) -> u64 {
    let mut sequence = [0; 8];
    sequence[..SEQUENCE_BYTES].copy_from_slice(&row[8..14]);
    u64::from_le_bytes(sequence)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_row_comes_back_and_a_flipped_bit_does_not() {
        let seal = Seal::new(77);
        for body in [&b""[..], b"x", &[7; 5_000]] {
            let sound = seal.row(Kind::Message, 0xFFFF_1234_5678, body);
            assert_eq!(
                seal.read(&sound, 0xFFFF_1234_5678),
                Some(Row { kind: Kind::Message, sequence: 0xFFFF_1234_5678, body })
            );
            assert_eq!(seal.read(&sound, 1), None, "another row's key");
            for bit in 0..sound.len().min(200) * 8 {
                let mut damaged = sound.clone();
                damaged[bit / 8] ^= 1 << (bit % 8);
                assert_eq!(seal.read(&damaged, 0xFFFF_1234_5678), None, "bit {bit}");
            }
            assert_eq!(seal.read_prefix(&sound[..sound.len() - 1]), None, "cut off");
        }
    }

    #[test]
    fn a_row_is_found_at_the_beginning_of_more_bytes() {
        let seal = Seal::new(1);
        let bytes = [seal.row(Kind::Delta, 9, b"abc"), vec![1, 2, 3]].concat();
        assert_eq!(seal.read_prefix(&bytes).map(|row| row.body), Some(&b"abc"[..]));
        assert_eq!(seal.read(&bytes, 9), None);
    }

    #[test]
    fn a_row_of_another_store_is_none() {
        let row = Seal::new(1).row(Kind::Delta, 9, b"abc");
        assert!(Seal::new(1).read(&row, 9).is_some());
        assert_eq!(Seal::new(2).read(&row, 9), None);
    }
}
