//! The elements that all packets are made of, and a reader for them.

/// A variable byte integer in its shortest form. Past 268,435,455 it takes five bytes, which no packet may have.
#[must_use]
pub fn varint(mut value: u32) -> Vec<u8> {
    let mut out = Vec::new();
    loop {
        let low = value.to_le_bytes()[0] & 0x7f;
        value >>= 7;
        if value == 0 {
            out.push(low);
            return out;
        }
        out.push(low | 0x80);
    }
}

/// Binary data: two bytes of length, then the data.
#[must_use]
pub fn binary(data: &[u8]) -> Vec<u8> {
    let length = u16::try_from(data.len()).expect("a string or binary field holds at most 65,535 bytes");
    let mut out = length.to_be_bytes().to_vec();
    out.extend_from_slice(data);
    out
}

/// A string: two bytes of length, then UTF-8.
#[must_use]
pub fn string(text: &str) -> Vec<u8> {
    binary(text.as_bytes())
}

/// A packet from its first byte and all that follows the remaining length.
#[must_use]
pub fn frame(first_byte: u8, body: &[u8]) -> Vec<u8> {
    let length = u32::try_from(body.len()).expect("a packet's body fits 32 bits");
    let mut out = vec![first_byte];
    out.extend(varint(length));
    out.extend_from_slice(body);
    out
}

/// Reads elements off the front of a packet's body; an error is a sentence.
pub(super) struct Reader<'a> {
    rest: &'a [u8],
}

impl<'a> Reader<'a> {
    pub(super) fn new(bytes: &'a [u8]) -> Self {
        Self { rest: bytes }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.rest.is_empty()
    }

    pub(super) fn take(&mut self, count: usize) -> Result<&'a [u8], String> {
        if count > self.rest.len() {
            return Err(format!("{count} bytes wanted, {} left", self.rest.len()));
        }
        let (head, rest) = self.rest.split_at(count);
        self.rest = rest;
        Ok(head)
    }

    pub(super) fn rest(&mut self) -> &'a [u8] {
        std::mem::take(&mut self.rest)
    }

    pub(super) fn u8(&mut self) -> Result<u8, String> {
        Ok(self.take(1)?[0])
    }

    pub(super) fn u16(&mut self) -> Result<u16, String> {
        let bytes = self.take(2)?;
        Ok(u16::from_be_bytes([bytes[0], bytes[1]]))
    }

    pub(super) fn u32(&mut self) -> Result<u32, String> {
        let bytes = self.take(4)?;
        Ok(u32::from_be_bytes([bytes[0], bytes[1], bytes[2], bytes[3]]))
    }

    /// A variable byte integer, which must be in its shortest form [MQTT-1.5.5-1].
    pub(super) fn varint(&mut self) -> Result<u32, String> {
        let mut value = 0_u32;
        for shift in [0, 7, 14, 21] {
            let byte = self.u8()?;
            value |= u32::from(byte & 0x7f) << shift;
            if byte & 0x80 == 0 {
                if byte == 0 && shift > 0 {
                    return Err("a variable byte integer is longer than it need be".to_owned());
                }
                return Ok(value);
            }
        }
        Err("a variable byte integer has more than four bytes".to_owned())
    }

    pub(super) fn binary(&mut self) -> Result<&'a [u8], String> {
        let length = usize::from(self.u16()?);
        self.take(length)
    }

    pub(super) fn string(&mut self) -> Result<String, String> {
        let bytes = self.binary()?;
        String::from_utf8(bytes.to_vec()).map_err(|error| format!("not UTF-8: {error}"))
    }

    /// Nothing may be left.
    pub(super) fn end(self) -> Result<(), String> {
        if self.rest.is_empty() { Ok(()) } else { Err(format!("{} bytes too many", self.rest.len())) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn varint_takes_the_lengths_of_the_standards_table() {
        for (value, bytes) in [
            (0, vec![0x00]),
            (127, vec![0x7f]),
            (128, vec![0x80, 0x01]),
            (16_383, vec![0xff, 0x7f]),
            (16_384, vec![0x80, 0x80, 0x01]),
            (2_097_151, vec![0xff, 0xff, 0x7f]),
            (2_097_152, vec![0x80, 0x80, 0x80, 0x01]),
            (268_435_455, vec![0xff, 0xff, 0xff, 0x7f]),
        ] {
            assert_eq!(varint(value), bytes);
            assert_eq!(Reader::new(&bytes).varint(), Ok(value));
        }
    }

    #[test]
    fn reader_refuses_a_padded_a_long_and_a_cut_varint() {
        for bytes in [&[0x80, 0x00][..], &[0xff, 0xff, 0xff, 0xff, 0x01], &[0x80]] {
            assert!(Reader::new(bytes).varint().is_err(), "{bytes:02x?}");
        }
    }
}
