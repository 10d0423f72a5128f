//! Messages of the simulation: a number says what a message is, and everything about it follows from the number.

use primer_core::backlog;

use crate::codec::packet::QoS;

/// The payload: the number, and for each seventh so much more that a client with a small packet size does not take it.
pub(super) fn payload_of(number: u32) -> Vec<u8> {
    let mut payload = number.to_be_bytes().to_vec();
    payload.resize(if number % 7 == 3 { 60 } else { 8 }, 0);
    payload
}

pub(super) fn number_of(payload: &[u8]) -> u32 {
    u32::from_be_bytes(payload[..4].try_into().unwrap())
}

/// A few topics, so that aliases have something to stand for.
pub(super) fn topic_of(direction: &str, number: u32) -> String {
    format!("{direction}/topic/{}", number % 4)
}

/// A message in the server's queue.
pub(super) struct Queued {
    pub(super) number: u32,
    pub(super) qos: QoS,
}

impl backlog::Item for Queued {
    fn cost(&self) -> usize {
        1
    }

    fn expires_at_ms(&self) -> u64 {
        u64::MAX
    }
}
