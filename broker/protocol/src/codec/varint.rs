//! Variable byte integers (MQTT 5.0, 1.5.5; the remaining length of 3.1.1, 2.2.3): 1 to 4 bytes, 7 bits each, the
//! lowest first.
//!
//! Says whether the bytes were the fewest possible; whether that matters is for the caller to know.

/// What was at the start of the bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Read {
    /// A number.
    Value {
        /// At most 268,435,455.
        value: u32,
        /// 1 to 4.
        len: usize,
        /// Whether fewer bytes could not have said it.
        is_minimal: bool,
    },
    /// All bytes so far ask for another.
    Incomplete,
    /// A fifth byte is asked for.
    TooLong,
}

#[inline]
pub(super) fn read(bytes: &[u8]) -> Read {
    let mut value = 0_u32;
    let mut shift = 0_u32;
    for (at, &byte) in bytes.iter().take(4).enumerate() {
        value |= u32::from(byte & 0x7F) << shift;
        if byte & 0x80 == 0 {
            return Read::Value { value, len: at + 1, is_minimal: at == 0 || byte != 0 };
        }
        shift += 7;
    }
    if bytes.len() < 4 { Read::Incomplete } else { Read::TooLong }
}

/// How many bytes `value` takes; 5 for one that is too large to be written.
#[inline]
pub(super) const fn len(value: u32) -> usize {
    match value {
        0..=0x7F => 1,
        0x80..=0x3FFF => 2,
        0x4000..=0x1F_FFFF => 3,
        0x20_0000..=0xFFF_FFFF => 4,
        _ => 5,
    }
}

/// Appends `value`, which is at most [`crate::limits::VARINT_MAX`].
#[inline]
pub(super) fn write(value: u32, out: &mut Vec<u8>) {
    debug_assert!(value <= crate::limits::VARINT_MAX, "a variable byte integer has at most 28 bits");
    let mut rest = value;
    loop {
        let [low, ..] = rest.to_le_bytes();
        rest >>= 7;
        if rest == 0 {
            out.push(low & 0x7F);
            return;
        }
        out.push(low | 0x80);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn borders_take_the_bytes_of_table_1_1() {
        for (value, bytes) in [
            (0, &[0x00][..]),
            (127, &[0x7F]),
            (128, &[0x80, 0x01]),
            (16_383, &[0xFF, 0x7F]),
            (16_384, &[0x80, 0x80, 0x01]),
            (2_097_151, &[0xFF, 0xFF, 0x7F]),
            (2_097_152, &[0x80, 0x80, 0x80, 0x01]),
            (268_435_455, &[0xFF, 0xFF, 0xFF, 0x7F]),
        ] {
            let mut out = Vec::new();
            write(value, &mut out);
            assert_eq!(out, bytes);
            assert_eq!(len(value), bytes.len());
            assert_eq!(read(bytes), Read::Value { value, len: bytes.len(), is_minimal: true });
            assert_eq!(read(&bytes[..bytes.len() - 1]), Read::Incomplete);
        }
    }

    #[test]
    fn a_fifth_byte_is_too_long_and_padding_is_told() {
        assert_eq!(read(&[0x80, 0x80, 0x80, 0x80]), Read::TooLong);
        assert_eq!(read(&[0xFF, 0xFF, 0xFF, 0xFF, 0x01]), Read::TooLong);
        assert_eq!(read(&[0x81, 0x00]), Read::Value { value: 1, len: 2, is_minimal: false });
        assert_eq!(read(&[0x80, 0x80, 0x80, 0x00]), Read::Value { value: 0, len: 4, is_minimal: false });
    }
}
