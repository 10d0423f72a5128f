//! A row: what stands under one key of a segment, and what salvage finds without redb's help.
//!
//! ```text
//!  0  u16  magic 0x7250 ("Pr")
//!  2  u8   kind
//!  3  u8   version of the row format, 1
//!  4  u32  CRC-32C of bytes 0..4 and of all from byte 8 on
//!  8  u48  sequence number
//! 14  u16  length of the body
//! 16  ...  body
//! ```
//!
//! Numbers are little-endian. A row is sealed with its sequence number when it is written; every read checks magic,
//! version, length, sequence number and CRC.

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

/// Begins a row: room for the header, to be filled by [`seal`].
pub(crate) fn begin(out: &mut Vec<u8>, kind: Kind) {
    out.extend_from_slice(&MAGIC);
    out.extend_from_slice(&[kind as u8, VERSION]);
    out.extend_from_slice(&[0; HEADER_BYTES - 4]);
}

/// Completes a row with its sequence number, length and checksum.
pub(crate) fn seal(row: &mut [u8], sequence: u64) {
    let Some(len) = row.len().checked_sub(HEADER_BYTES).filter(|len| *len <= BODY_BYTES_MAX) else { return };
    let sequence = sequence.to_le_bytes();
    row[8..14].copy_from_slice(&sequence[..SEQUENCE_BYTES]);
    row[14..16].copy_from_slice(&(len as u16).to_le_bytes());
    let crc = checksum(row);
    row[4..8].copy_from_slice(&crc.to_le_bytes());
}

/// A whole row of one body.
pub(crate) fn row(kind: Kind, sequence: u64, body: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(HEADER_BYTES + body.len());
    begin(&mut out, kind);
    out.extend_from_slice(body);
    seal(&mut out, sequence);
    out
}

/// Reads the row at the beginning of `bytes`, which may go on after it. `None`: there is no sound one.
pub(crate) fn read_prefix(bytes: &[u8]) -> Option<Row<'_>> {
    let (header, rest) = bytes.split_first_chunk::<HEADER_BYTES>()?;
    if header[..2] != MAGIC || header[3] != VERSION {
        return None;
    }
    let kind = Kind::from_byte(header[2])?;
    let len = usize::from(u16::from_le_bytes([header[14], header[15]]));
    let body = rest.get(..len)?;
    let crc = u32::from_le_bytes([header[4], header[5], header[6], header[7]]);
    if crc != checksum(bytes.get(..HEADER_BYTES + len)?) {
        return None;
    }
    let mut sequence = [0; 8];
    sequence[..SEQUENCE_BYTES].copy_from_slice(&header[8..14]);
    Some(Row { kind, sequence: u64::from_le_bytes(sequence), body })
}

/// Reads the row under the key `sequence`. `None`: it is damaged, or another one.
pub(crate) fn read(bytes: &[u8], sequence: u64) -> Option<Row<'_>> {
    let row = read_prefix(bytes)?;
    (row.sequence == sequence && row.body.len() + HEADER_BYTES == bytes.len()).then_some(row)
}

fn checksum(row: &[u8]) -> u32 {
    let (head, tail) = (row.get(..4).unwrap_or_default(), row.get(8..).unwrap_or_default());
    crc32c::crc32c_append(crc32c::crc32c(head), tail)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_row_comes_back_and_a_flipped_bit_does_not() {
        for body in [&b""[..], b"x", &[7; 5_000]] {
            let sound = row(Kind::Message, 0xFFFF_1234_5678, body);
            assert_eq!(
                read(&sound, 0xFFFF_1234_5678),
                Some(Row { kind: Kind::Message, sequence: 0xFFFF_1234_5678, body })
            );
            assert_eq!(read(&sound, 1), None, "another row's key");
            for bit in 0..sound.len().min(200) * 8 {
                let mut damaged = sound.clone();
                damaged[bit / 8] ^= 1 << (bit % 8);
                assert_eq!(read(&damaged, 0xFFFF_1234_5678), None, "bit {bit}");
            }
            assert_eq!(read_prefix(&sound[..sound.len() - 1]), None, "cut off");
        }
    }

    #[test]
    fn a_row_is_found_at_the_beginning_of_more_bytes() {
        let bytes = [row(Kind::Delta, 9, b"abc"), vec![1, 2, 3]].concat();
        assert_eq!(read_prefix(&bytes).map(|row| row.body), Some(&b"abc"[..]));
        assert_eq!(read(&bytes, 9), None);
    }
}
