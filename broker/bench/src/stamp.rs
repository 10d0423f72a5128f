//! What a benchmark's payload begins with: who sent it, as which message, and when it was due.
//!
//! | bytes | field | |
//! |---|---|---|
//! | 0-3 | run | a random number a run, little-endian; tells our messages from others' |
//! | 4-7 | publisher | index of the publisher in the run |
//! | 8-15 | sequence | number of the message at its publisher, from 0 |
//! | 16-23 | due | nanoseconds since the Unix epoch at which the message was to be sent |
//! | 24-27 | check | a mix of all of these; a payload of somebody else, or one that was damaged, has another |
//!
//! The rest of the payload is filler. The time is the one at which the message was *due*, not the one at which it could
//! be sent: a broker that stops taking messages for a second shows in the latencies of all that were due meanwhile
//! (coordinated omission).

/// Bytes of a stamp, and so the smallest payload.
pub(crate) const STAMP_BYTES: usize = 28;

/// See the module's description.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Stamp {
    pub(crate) run: u32,
    pub(crate) publisher: u32,
    pub(crate) sequence: u64,
    pub(crate) due_ns: u64,
}

impl Stamp {
    /// The stamp at the start of a payload; `None` where there is none.
    #[inline]
    pub(crate) fn read(payload: &[u8]) -> Option<Self> {
        let (run, rest) = payload.split_first_chunk()?;
        let (publisher, rest) = rest.split_first_chunk()?;
        let (sequence, rest) = rest.split_first_chunk()?;
        let (due_ns, rest) = rest.split_first_chunk()?;
        let (check, _) = rest.split_first_chunk()?;
        let stamp = Self {
            run: u32::from_le_bytes(*run),
            publisher: u32::from_le_bytes(*publisher),
            sequence: u64::from_le_bytes(*sequence),
            due_ns: u64::from_le_bytes(*due_ns),
        };
        (u32::from_le_bytes(*check) == stamp.check()).then_some(stamp)
    }

    #[inline]
    pub(crate) fn to_bytes(self) -> [u8; STAMP_BYTES] {
        let mut bytes = [0; STAMP_BYTES];
        bytes[..4].copy_from_slice(&self.run.to_le_bytes());
        bytes[4..8].copy_from_slice(&self.publisher.to_le_bytes());
        bytes[8..16].copy_from_slice(&self.sequence.to_le_bytes());
        bytes[16..24].copy_from_slice(&self.due_ns.to_le_bytes());
        bytes[24..].copy_from_slice(&self.check().to_le_bytes());
        bytes
    }

    #[inline]
    fn check(self) -> u32 {
        // Odd multipliers spread each field; the high half of a product depends on all bits below it.
        let who = (u64::from(self.run) << 32 | u64::from(self.publisher)) ^ 0x5072_696D_6572_4D51;
        let mixed = who.wrapping_mul(0x9E37_79B9_7F4A_7C15).rotate_left(32) ^ self.sequence;
        let mixed = mixed.wrapping_mul(0xC2B2_AE3D_27D4_EB4F).rotate_left(32) ^ self.due_ns;
        let [a, b, c, d, ..] = mixed.wrapping_mul(0x1656_67B1_9E37_79F9).to_be_bytes();
        u32::from_be_bytes([a, b, c, d])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stamp_comes_back_as_it_went_in() {
        let stamp = Stamp { run: 7, publisher: 0xFFFF_FFFE, sequence: u64::MAX - 1, due_ns: 1 << 60 };
        assert_eq!(Stamp::read(&[&stamp.to_bytes()[..], b"filler"].concat()), Some(stamp));
        assert_eq!(Stamp::read(&stamp.to_bytes()[..STAMP_BYTES - 1]), None);
    }

    #[test]
    fn what_others_wrote_or_a_broker_damaged_is_no_stamp() {
        assert_eq!(Stamp::read(br#"{"temperature": 21.5, "unit": "celsius"}"#), None);
        assert_eq!(Stamp::read(&[0; 64]), None);
        let bytes = Stamp { run: 1, publisher: 2, sequence: 3, due_ns: 4 }.to_bytes();
        for at in 0..STAMP_BYTES {
            let mut damaged = bytes;
            damaged[at] ^= 1;
            assert_eq!(Stamp::read(&damaged), None, "byte {at}");
        }
    }
}
