//! The content of a message in the store, which all of its destinations share:
//!
//! ```text
//! u16 length of the topic, u32 length of the properties (both little-endian), topic, properties, payload
//! ```

use std::sync::Arc;

use primer_core::message::{Message, Parts};

use super::{Destinations, Draft, Journal, QueueId, Ticket};

/// What comes before topic, properties and payload.
#[must_use]
pub fn head(topic: &str, properties: &[u8]) -> [u8; 6] {
    let mut head = [0; 6];
    head[..2].copy_from_slice(&(topic.len() as u16).to_le_bytes());
    head[2..].copy_from_slice(&(properties.len() as u32).to_le_bytes());
    head
}

/// The parts of a content; `None` when it is too short, or its topic no text.
#[must_use]
pub fn parts(content: &[u8], expires_at_ms: u64) -> Option<Parts<'_>> {
    let (topic_len, rest) = content.split_first_chunk::<2>()?;
    let (properties_len, rest) = rest.split_first_chunk::<4>()?;
    let (topic, rest) = rest.split_at_checked(usize::from(u16::from_le_bytes(*topic_len)))?;
    let (properties, payload) = rest.split_at_checked(usize::try_from(u32::from_le_bytes(*properties_len)).ok()?)?;
    Some(Parts { topic: std::str::from_utf8(topic).ok()?, properties, payload, expires_at_ms })
}

/// Adds a message with one destination to a draft.
pub(crate) fn write(
    draft: &mut Draft,
    journal: &Journal,
    ticket: Arc<Ticket>,
    (queue, position): (QueueId, u64),
    note: &[u8],
    message: &Message,
) {
    let mut destinations = Destinations::default();
    destinations.push(queue, position, note);
    let head = head(message.topic(), message.properties());
    let content = [&head[..], message.topic().as_bytes(), message.properties(), message.payload()];
    draft.message(ticket, &destinations, journal.to_unix_ms(message.expires_at_ms()), &content);
}
