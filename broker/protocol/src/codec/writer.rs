//! Appends one packet: its fixed header and the data types of MQTT 5.0, 1.5.
//!
//! The length of the body is found by writing it. PUBLISH and the acknowledgements, which are many, do not come
//! through here.

use super::{EncodeError, properties::Properties, varint};
use crate::{Version, limits};

/// The end of a buffer, and the version to write.
pub(super) struct Writer<'a> {
    out: &'a mut Vec<u8>,
    version: Version,
}

impl<'a> Writer<'a> {
    pub(super) const fn new(out: &'a mut Vec<u8>, version: Version) -> Self {
        Self { out, version }
    }

    /// Writes a whole packet: `first` is its first byte, `body` writes what follows the fixed header.
    pub(super) fn packet(
        &mut self,
        first: u8,
        body: impl FnOnce(&mut Self) -> Result<(), EncodeError>,
    ) -> Result<(), EncodeError> {
        self.out.push(first);
        let start = self.out.len();
        body(self)?;
        let len = u32::try_from(self.out.len() - start).map_err(|_| EncodeError::PacketTooLong)?;
        if len > limits::REMAINING_LENGTH_MAX {
            return Err(EncodeError::PacketTooLong);
        }
        let mut length = Vec::with_capacity(4);
        varint::write(len, &mut length);
        self.out.splice(start..start, length);
        Ok(())
    }

    pub(super) fn u8(&mut self, value: u8) {
        self.out.push(value);
    }

    pub(super) fn u16(&mut self, value: u16) {
        self.out.extend_from_slice(&value.to_be_bytes());
    }

    pub(super) fn raw(&mut self, bytes: &[u8]) {
        self.out.extend_from_slice(bytes);
    }

    pub(super) fn binary(&mut self, bytes: &[u8]) -> Result<(), EncodeError> {
        let len = u16::try_from(bytes.len()).map_err(|_| EncodeError::FieldTooLong)?;
        self.u16(len);
        self.raw(bytes);
        Ok(())
    }

    pub(super) fn string(&mut self, text: &str) -> Result<(), EncodeError> {
        self.binary(text.as_bytes())
    }

    /// The property block with its length; nothing before 5.0.
    pub(super) fn properties(&mut self, properties: Properties<'_>) -> Result<(), EncodeError> {
        if !self.version.is_v5() {
            return Ok(());
        }
        let bytes = properties.as_bytes();
        let len = u32::try_from(bytes.len()).map_err(|_| EncodeError::PacketTooLong)?;
        if len > limits::VARINT_MAX {
            return Err(EncodeError::PacketTooLong);
        }
        varint::write(len, self.out);
        self.raw(bytes);
        Ok(())
    }

    pub(super) const fn out(&mut self) -> &mut Vec<u8> {
        self.out
    }

    pub(super) const fn version(&self) -> Version {
        self.version
    }
}
