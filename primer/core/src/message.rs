//! A message: topic, properties and payload in one shared piece of memory.
//!
//! Cloning one costs a reference count. Small messages that arrive together share a copy of the bytes they came in (a
//! *run*), so that a message in flight costs neither an allocation nor a copy of its own; [`Message::compact`] gives a
//! message memory of its own before it is kept for long, so that one small message cannot pin a run.

use std::{ops::Range, sync::Arc};

/// The memory that messages of one run share, in bytes. It bounds what a message in flight can pin.
pub const RUN_BYTES: usize = 4096;

/// A deadline that never comes.
pub const NEVER_MS: u64 = u64::MAX;

/// A stretch of a message's memory. 32 bits do: no packet is longer than 256 MiB.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Stretch {
    at: u32,
    len: u32,
}

impl Stretch {
    /// # Panics
    /// When the stretch ends beyond 4 GiB, which no codec lets through.
    fn new(at: usize, len: usize) -> Self {
        let small = |number| u32::try_from(number).expect("a packet is shorter than 4 GiB");
        small(at + len);
        Self { at: small(at), len: small(len) }
    }

    const fn range(self) -> Range<usize> {
        self.at as usize..self.at as usize + self.len as usize
    }

    /// The same stretch in a copy that begins at `at`.
    const fn from(self, at: usize) -> Self {
        Self { at: self.at - at as u32, len: self.len }
    }
}

/// Where the parts of a message stand in its memory.
#[derive(Debug, Clone, Copy)]
struct Places {
    topic: Stretch,
    properties: Stretch,
    payload: Stretch,
}

impl Places {
    /// From the first to the last byte that is the message's. Between its parts are a few that are not: a packet
    /// identifier, a length.
    fn span(&self) -> Range<usize> {
        let (topic, properties, payload) = (self.topic.range(), self.properties.range(), self.payload.range());
        let end = topic.end.max(properties.end).max(payload.end);
        topic.start.min(properties.start).min(payload.start)..end
    }

    /// The places in a copy of the memory that begins at `at`.
    const fn from(self, at: usize) -> Self {
        Self { topic: self.topic.from(at), properties: self.properties.from(at), payload: self.payload.from(at) }
    }
}

/// An immutable message.
///
/// Properties are kept in the property encoding of MQTT 5.0 (2.2.2.2), without what is valid for one hop only
/// (expiry, alias, subscription identifiers); the core does not look into them.
#[derive(Clone)]
pub struct Message {
    memory: Arc<[u8]>,
    places: Places,
    expires_at_ms: u64,
}

impl Message {
    /// A message in memory of its own.
    ///
    /// # Panics
    /// When the parts together are longer than 4 GiB, which no codec lets through.
    #[must_use]
    pub fn new(parts: &Parts<'_>) -> Self {
        let (topic_len, properties_len) = (parts.topic.len(), parts.properties.len());
        // Made in its place: a vector would have to be copied.
        let len = topic_len + properties_len + parts.payload.len();
        let mut memory: Arc<[u8]> = std::iter::repeat_n(0, len).collect();
        if let Some(bytes) = Arc::get_mut(&mut memory) {
            let (topic, rest) = bytes.split_at_mut(topic_len);
            let (properties, payload) = rest.split_at_mut(properties_len);
            topic.copy_from_slice(parts.topic.as_bytes());
            properties.copy_from_slice(parts.properties);
            payload.copy_from_slice(parts.payload);
        }
        Self {
            memory,
            places: Places {
                topic: Stretch::new(0, topic_len),
                properties: Stretch::new(topic_len, properties_len),
                payload: Stretch::new(topic_len + properties_len, parts.payload.len()),
            },
            expires_at_ms: parts.expires_at_ms,
        }
    }

    /// The topic, the routing key.
    #[must_use]
    pub fn topic(&self) -> &str {
        std::str::from_utf8(self.part(self.places.topic)).unwrap_or_default()
    }

    /// The encoded properties.
    #[must_use]
    pub fn properties(&self) -> &[u8] {
        self.part(self.places.properties)
    }

    /// The payload.
    #[must_use]
    pub fn payload(&self) -> &[u8] {
        self.part(self.places.payload)
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
    pub const fn len(&self) -> usize {
        self.places.topic.len as usize + self.places.properties.len as usize + self.places.payload.len as usize
    }

    /// Never true for a message that was published: a topic has at least one byte.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The same message in memory of its own.
    #[must_use]
    pub fn compact(&self) -> Self {
        let span = self.places.span();
        if self.memory.len() == span.len() {
            return self.clone();
        }
        let places = self.places.from(span.start);
        let memory = self.memory.get(span).unwrap_or_default().into();
        Self { memory, places, expires_at_ms: self.expires_at_ms }
    }

    /// The same message with another deadline.
    #[must_use]
    pub fn expiring_at(&self, expires_at_ms: u64) -> Self {
        Self { expires_at_ms, ..self.clone() }
    }

    fn part(&self, stretch: Stretch) -> &[u8] {
        self.memory.get(stretch.range()).unwrap_or_default()
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
    /// A valid topic name.
    pub topic: &'a str,
    /// Encoded properties.
    pub properties: &'a [u8],
    /// Payload bytes.
    pub payload: &'a [u8],
    /// Deadline in the node's milliseconds, or [`NEVER_MS`].
    pub expires_at_ms: u64,
}

/// Makes messages of what came in one read; they share memory while they are small.
#[derive(Debug, Default)]
pub struct Run<'s> {
    source: &'s [u8],
    /// A copy of a stretch of the source, and where it begins there.
    shared: Option<(usize, Arc<[u8]>)>,
}

impl<'s> Run<'s> {
    /// A run of the bytes of a read. What a message of it pins is no more than [`RUN_BYTES`], and no more than came in.
    #[must_use]
    pub const fn of(source: &'s [u8]) -> Self {
        Self { source, shared: None }
    }

    /// Makes a message. Parts that stand in the read's bytes are not copied one by one: the message gets its place in
    /// the run. One that is large, or has a part from elsewhere, gets memory of its own.
    ///
    /// # Panics
    /// As [`Message::new`].
    pub fn message(&mut self, parts: &Parts<'_>) -> Message {
        let Some(places) = self.find(parts) else { return Message::new(parts) };
        let span = places.span();
        if span.len() > RUN_BYTES / 2 {
            return self.cut_out(places, parts.expires_at_ms);
        }
        let (at, memory) = self.share(span);
        Message { memory, places: places.from(at), expires_at_ms: parts.expires_at_ms }
    }

    /// Makes a message in memory of its own.
    ///
    /// # Panics
    /// As [`Message::new`].
    #[must_use]
    pub fn own_message(&self, parts: &Parts<'_>) -> Message {
        self.find(parts).map_or_else(|| Message::new(parts), |places| self.cut_out(places, parts.expires_at_ms))
    }

    /// Where the parts stand in the source, if all of them do.
    fn find(&self, parts: &Parts<'_>) -> Option<Places> {
        let topic = self.place(parts.topic.as_bytes())?;
        let properties = if parts.properties.is_empty() { topic } else { self.place(parts.properties)? };
        let payload = if parts.payload.is_empty() { topic } else { self.place(parts.payload)? };
        Some(Places {
            topic: Stretch::new(topic, parts.topic.len()),
            properties: Stretch::new(properties, parts.properties.len()),
            payload: Stretch::new(payload, parts.payload.len()),
        })
    }

    fn cut_out(&self, places: Places, expires_at_ms: u64) -> Message {
        let span = places.span();
        let memory = self.source.get(span.clone()).unwrap_or_default().into();
        Message { memory, places: places.from(span.start), expires_at_ms }
    }

    /// Memory that holds this stretch of the source, and where it begins there.
    fn share(&mut self, stretch: Range<usize>) -> (usize, Arc<[u8]>) {
        if let Some((at, memory)) = &self.shared
            && *at <= stretch.start
            && stretch.end <= at + memory.len()
        {
            return (*at, Arc::clone(memory));
        }
        let end = self.source.len().min(stretch.start + RUN_BYTES);
        let memory: Arc<[u8]> = self.source.get(stretch.start..end).unwrap_or_default().into();
        self.shared = Some((stretch.start, Arc::clone(&memory)));
        (stretch.start, memory)
    }

    /// Where a part stands in the source, if it does.
    fn place(&self, part: &[u8]) -> Option<usize> {
        let at = part.as_ptr().addr().checked_sub(self.source.as_ptr().addr())?;
        (at + part.len() <= self.source.len()).then_some(at)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_come_back_as_they_went_in() {
        for payload_len in [0, 1, 60, 2000, 5000] {
            let payload = vec![7; payload_len];
            let source = [&b"head"[..], "é/x".as_bytes(), b"??", b"abc", &payload, b"tail"].concat();
            let (topic, properties) = (std::str::from_utf8(&source[4..8]).unwrap(), &source[10..13]);
            let inside = Parts { topic, properties, payload: &source[13..13 + payload_len], expires_at_ms: 5_000 };
            let mut run = Run::of(&source);
            let outside = Parts { topic: "é/x", properties: b"abc", payload: &payload, expires_at_ms: 5_000 };
            let messages =
                [run.message(&inside), run.own_message(&inside), run.message(&outside), Message::new(&inside)];
            for message in messages {
                for copy in [message.clone(), message.compact()] {
                    assert_eq!((copy.topic(), copy.properties(), copy.payload()), ("é/x", &b"abc"[..], &payload[..]));
                    assert_eq!((copy.len(), copy.expires_at_ms()), (4 + 3 + payload_len, 5_000));
                }
            }
        }
    }

    #[test]
    fn small_messages_of_one_read_share_memory_and_pin_no_more_than_a_run() {
        let source: Vec<u8> = (0..20_000_u32).map(|n| b'a' + u8::try_from(n % 26).unwrap()).collect();
        let mut run = Run::of(&source);
        let mut memories: Vec<Arc<[u8]>> = Vec::new();
        for at in (0..19_900).step_by(100) {
            let topic = std::str::from_utf8(&source[at..at + 10]).unwrap();
            let payload = &source[at + 12..at + 90];
            let message = run.message(&Parts { topic, properties: &[], payload, expires_at_ms: NEVER_MS });
            assert_eq!((message.topic(), message.payload()), (topic, payload));
            assert!(message.memory.len() <= RUN_BYTES);
            assert_eq!(message.compact().memory.len(), 90, "with the two bytes between topic and payload");
            if memories.last().is_none_or(|last| !Arc::ptr_eq(last, &message.memory)) {
                memories.push(message.memory);
            }
        }
        assert_eq!(memories.len(), 5, "20,000 bytes in runs of 4,096");
    }

    #[test]
    fn time_left_is_rounded_up_and_ends_after_the_last_millisecond() {
        let message = Message::new(&Parts { topic: "t", properties: &[], payload: b"", expires_at_ms: 10_000 });
        assert_eq!(message.seconds_left(0), Some(10));
        assert_eq!(message.seconds_left(9_001), Some(1));
        assert!(!message.is_expired(10_000));
        assert!(message.is_expired(10_001));
    }
}
