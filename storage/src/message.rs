//! The body of a message's record.
//!
//! ```text
//! u8      flags: 1 = an expiry follows
//! LEB128  expiry in milliseconds since 1970
//! LEB128  number of destinations, then for each: queue, position, note (bytes after their length)
//! ...     content, to the end
//! ```
//!
//! Note and content are the owner's; the store does not look into them.

use crate::{
    change::QueueId,
    varint::{self, Reader},
};

/// An expiry that never comes.
pub(crate) const NEVER_UNIX_MS: u64 = u64::MAX;

const EXPIRES: u8 = 1;

/// One destination of a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Destination<'a> {
    pub(crate) queue: QueueId,
    pub(crate) position: u64,
    pub(crate) note: &'a [u8],
}

/// A decoded body.
#[derive(Debug, Clone)]
pub(crate) struct Body<'a> {
    pub(crate) expires_unix_ms: u64,
    pub(crate) destinations: Vec<Destination<'a>>,
    pub(crate) content: &'a [u8],
}

/// Appends one destination to a list of them.
pub(crate) fn put_destination(out: &mut Vec<u8>, destination: &Destination<'_>) {
    varint::put(out, u64::from(destination.queue.0));
    varint::put(out, destination.position);
    varint::put_bytes(out, destination.note);
}

/// Appends what comes before the content.
pub(crate) fn put_head(out: &mut Vec<u8>, expires_unix_ms: u64, count: u32, destinations: &[u8]) {
    if expires_unix_ms == NEVER_UNIX_MS {
        out.push(0);
    } else {
        out.push(EXPIRES);
        varint::put(out, expires_unix_ms);
    }
    varint::put(out, u64::from(count));
    out.extend_from_slice(destinations);
}

impl<'a> Body<'a> {
    pub(crate) fn decode(bytes: &'a [u8]) -> Option<Self> {
        let mut reader = Reader::new(bytes);
        let flags = reader.byte()?;
        let expires_unix_ms = if flags & EXPIRES == 0 { NEVER_UNIX_MS } else { reader.number()? };
        let count = usize::try_from(reader.number()?).ok()?;
        let mut destinations = Vec::with_capacity(count.min(bytes.len() / 3));
        for _ in 0..count {
            let queue = QueueId(reader.small()?);
            destinations.push(Destination { queue, position: reader.number()?, note: reader.bytes()? });
        }
        Some(Self { expires_unix_ms, destinations, content: reader.rest() })
    }

    /// The note for one destination.
    pub(crate) fn note(&self, queue: QueueId, position: u64) -> Option<&'a [u8]> {
        self.destinations.iter().find(|one| one.queue == queue && one.position == position).map(|one| one.note)
    }
}
