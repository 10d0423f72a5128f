//! A message: topic, properties and payload in one shared piece of memory.
//!
//! Cloning one costs a reference count. Small messages that arrive together share an allocation (a *run*), so that a
//! message in flight costs no allocation of its own; [`Message::compact`] gives a message memory of its own before it
//! is kept for long, so that one small message cannot pin a run.

use bytes::{Bytes, BytesMut};

/// The memory that messages of one run share, in bytes. It bounds what a message in flight can pin.
pub const RUN_BYTES: usize = 4096;

/// A deadline that never comes.
pub const NEVER_MS: u64 = u64::MAX;

/// An immutable message.
///
/// Properties are kept in the property encoding of MQTT 5.0 (2.2.2.2), without what is valid for one hop only
/// (expiry, alias, subscription identifiers); the core does not look into them.
#[derive(Clone)]
pub struct Message {
    bytes: Bytes,
    properties_len: u32,
    topic_len: u16,
    expires_at_ms: u64,
}

impl Message {
    /// The topic, the routing key.
    #[must_use]
    pub fn topic(&self) -> &str {
        let topic = self.bytes.get(..usize::from(self.topic_len)).unwrap_or_default();
        std::str::from_utf8(topic).unwrap_or_default()
    }

    /// The encoded properties.
    #[must_use]
    pub fn properties(&self) -> &[u8] {
        let start = usize::from(self.topic_len);
        self.bytes.get(start..start + self.properties_len as usize).unwrap_or_default()
    }

    /// The payload.
    #[must_use]
    pub fn payload(&self) -> &[u8] {
        self.bytes.get(usize::from(self.topic_len) + self.properties_len as usize..).unwrap_or_default()
    }

    /// When the message stops being worth a delivery, in the node's milliseconds; [`NEVER_MS`] for never.
    #[must_use]
    pub const fn expires_at_ms(&self) -> u64 {
        self.expires_at_ms
    }

    /// Whether the message has expired at `now_ms`.
    #[must_use]
    pub const fn is_expired(&self, now_ms: u64) -> bool {
        now_ms > self.expires_at_ms
    }

    /// Whole seconds left at `now_ms`, rounded up; `None` for a message that does not expire.
    #[must_use]
    pub fn seconds_left(&self, now_ms: u64) -> Option<u32> {
        (self.expires_at_ms != NEVER_MS)
            .then(|| u32::try_from(self.expires_at_ms.saturating_sub(now_ms).div_ceil(1000)).unwrap_or(u32::MAX))
    }

    /// Bytes of topic, properties and payload.
    #[must_use]
    pub fn len(&self) -> usize {
        self.bytes.len()
    }

    /// Never true for a message that was published: a topic has at least one byte.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.bytes.is_empty()
    }

    /// The same message in memory of its own.
    #[must_use]
    pub fn compact(&self) -> Self {
        Self { bytes: Bytes::copy_from_slice(&self.bytes), ..self.clone() }
    }
}

impl std::fmt::Debug for Message {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Message").field("topic", &self.topic()).field("payload_len", &self.payload().len()).finish()
    }
}

/// The parts from which a message is made.
#[derive(Debug, Clone, Copy)]
pub struct Parts<'a> {
    /// A valid topic name; a longer text than a topic can be is cut off by nobody: the codec has refused it.
    pub topic: &'a str,
    /// Payload bytes.
    pub payload: &'a [u8],
    /// Deadline in the node's milliseconds, or [`NEVER_MS`].
    pub expires_at_ms: u64,
}

/// Makes messages that share memory while they are small.
#[derive(Debug)]
pub struct Run {
    buffer: BytesMut,
    bytes: usize,
}

impl Default for Run {
    fn default() -> Self {
        Self::sized(RUN_BYTES)
    }
}

impl Run {
    /// A run for messages that came in `bytes` bytes: what it pins is no more than what came in.
    #[must_use]
    pub fn sized(bytes: usize) -> Self {
        Self { buffer: BytesMut::new(), bytes: bytes.min(RUN_BYTES) }
    }

    /// Makes a message in the run's memory; one that does not fit well gets memory of its own.
    ///
    /// # Panics
    /// When the topic is longer than 65,535 bytes or the properties than 4 GiB, which no codec lets through.
    pub fn message<'p>(&mut self, parts: &Parts<'_>, properties: impl Iterator<Item = &'p [u8]> + Clone) -> Message {
        let properties_len: usize = properties.clone().map(<[u8]>::len).sum();
        let len = parts.topic.len() + properties_len + parts.payload.len();
        let mut own = BytesMut::new();
        let buffer = if len > self.bytes / 2 {
            own.reserve(len);
            &mut own
        } else {
            if self.buffer.capacity() < len {
                self.buffer = BytesMut::with_capacity(self.bytes);
            }
            &mut self.buffer
        };
        buffer.extend_from_slice(parts.topic.as_bytes());
        for property in properties {
            buffer.extend_from_slice(property);
        }
        buffer.extend_from_slice(parts.payload);
        Message {
            bytes: buffer.split().freeze(),
            properties_len: u32::try_from(properties_len).expect("properties fit a packet"),
            topic_len: u16::try_from(parts.topic.len()).expect("a topic has at most 65,535 bytes"),
            expires_at_ms: parts.expires_at_ms,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_come_back_as_they_went_in() {
        let mut run = Run::default();
        for payload_len in [0, 1, 60, 2000, 5000] {
            let payload = vec![7; payload_len];
            let parts = Parts { topic: "é/x", payload: &payload, expires_at_ms: 5_000 };
            let message = run.message(&parts, [&b"ab"[..], b"c"].into_iter());
            for copy in [message.clone(), message.compact()] {
                assert_eq!((copy.topic(), copy.properties(), copy.payload()), ("é/x", &b"abc"[..], &payload[..]));
                assert_eq!(copy.len(), 4 + 3 + payload_len);
            }
        }
    }

    #[test]
    fn time_left_is_rounded_up_and_ends_after_the_last_millisecond() {
        let message =
            Run::default().message(&Parts { topic: "t", payload: b"", expires_at_ms: 10_000 }, std::iter::empty());
        assert_eq!(message.seconds_left(0), Some(10));
        assert_eq!(message.seconds_left(9_001), Some(1));
        assert!(!message.is_expired(10_000));
        assert!(message.is_expired(10_001));
    }
}
