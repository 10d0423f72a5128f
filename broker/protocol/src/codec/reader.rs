//! A cursor over the bytes of one packet: the data types of MQTT 5.0, 1.5.
//!
//! Never reads past the packet and never panics; what does not fit is a violation. Knows the version only to name
//! its clauses.

use super::{
    clause::{self, Clause},
    packet::PacketId,
    varint,
};
use crate::{Version, Violation};

/// What is left of a packet, or of a property block.
#[derive(Clone, Copy)]
pub(super) struct Reader<'a> {
    rest: &'a [u8],
    version: Version,
}

impl<'a> Reader<'a> {
    pub(super) const fn new(bytes: &'a [u8], version: Version) -> Self {
        Self { rest: bytes, version }
    }

    #[inline]
    pub(super) fn take(&mut self, len: usize) -> Result<&'a [u8], Violation> {
        let Some((head, rest)) = self.rest.split_at_checked(len) else {
            return Err(self.ends_early());
        };
        self.rest = rest;
        Ok(head)
    }

    #[inline]
    fn array<const N: usize>(&mut self) -> Result<[u8; N], Violation> {
        let Some((head, rest)) = self.rest.split_first_chunk::<N>() else {
            return Err(self.ends_early());
        };
        self.rest = rest;
        Ok(*head)
    }

    #[inline]
    pub(super) fn u8(&mut self) -> Result<u8, Violation> {
        let [byte] = self.array()?;
        Ok(byte)
    }

    #[inline]
    pub(super) fn u16(&mut self) -> Result<u16, Violation> {
        Ok(u16::from_be_bytes(self.array()?))
    }

    #[inline]
    pub(super) fn u32(&mut self) -> Result<u32, Violation> {
        Ok(u32::from_be_bytes(self.array()?))
    }

    /// A variable byte integer in its shortest form.
    #[inline]
    pub(super) fn varint(&mut self) -> Result<u32, Violation> {
        match varint::read(self.rest) {
            varint::Read::Value { value, len, is_minimal: true } => {
                self.take(len)?;
                Ok(value)
            }
            varint::Read::Value { .. } => {
                Err(clause::VARINT_MINIMAL.malformed(self.version, "a variable byte integer is padded"))
            }
            varint::Read::Incomplete => Err(self.ends_early()),
            varint::Read::TooLong => {
                Err(clause::VARINT.malformed(self.version, "a variable byte integer has more than four bytes"))
            }
        }
    }

    /// Bytes behind their length.
    #[inline]
    pub(super) fn binary(&mut self) -> Result<&'a [u8], Violation> {
        let len = self.u16()?;
        self.take(usize::from(len))
    }

    /// Text that is UTF-8. U+0000 is still to be looked for; topics are searched for more than that.
    #[inline]
    pub(super) fn utf8(&mut self) -> Result<&'a str, Violation> {
        let bytes = self.binary()?;
        std::str::from_utf8(bytes).map_err(|_| clause::UTF8.malformed(self.version, "a string is not UTF-8"))
    }

    /// Text that is UTF-8 and has no U+0000.
    #[inline]
    pub(super) fn string(&mut self) -> Result<&'a str, Violation> {
        let text = self.utf8()?;
        if text.as_bytes().contains(&0) {
            return Err(clause::NUL.malformed(self.version, "a string holds U+0000"));
        }
        Ok(text)
    }

    /// A packet identifier; `clause` is the one that forbids zero here.
    #[inline]
    pub(super) fn packet_id(&mut self, clause: Clause) -> Result<PacketId, Violation> {
        let version = self.version;
        PacketId::new(self.u16()?).ok_or_else(|| clause.protocol(version, "the packet identifier is zero"))
    }

    /// Checks that nothing is left.
    #[inline]
    pub(super) fn finish(self) -> Result<(), Violation> {
        if self.rest.is_empty() {
            return Ok(());
        }
        Err(clause::LENGTH.malformed(self.version, "the packet is longer than its content"))
    }

    #[inline]
    pub(super) const fn is_empty(&self) -> bool {
        self.rest.is_empty()
    }

    #[inline]
    pub(super) const fn rest(&self) -> &'a [u8] {
        self.rest
    }

    #[inline]
    pub(super) const fn version(&self) -> Version {
        self.version
    }

    #[cold]
    fn ends_early(&self) -> Violation {
        clause::LENGTH.malformed(self.version, "the packet ends inside a field")
    }
}
