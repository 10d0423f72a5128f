//! Changes of state, as they are submitted and as they are written.
//!
//! Written, each is an operation code and its fields, numbers in LEB128, bytes after their length:
//!
//! ```text
//! 1 define  queue, name        the queue exists; what was there under its number is gone
//! 2 drop    queue              the queue is gone with all that is its own
//! 3 put     queue, key, value  an entry of the queue's owner
//! 4 remove  queue, key
//! 5 floor   queue, position    all positions below are gone
//! 6 gone    queue, first, n    n positions from the first on are gone
//! 7 lease   queue, position, tag   the message is on its way to a consumer, under this tag
//! 8 reset                      all queues are gone; what follows makes the state anew
//! ```

use std::sync::Arc;

use crate::{
    ticket::Ticket,
    varint::{self, Reader},
};

/// Names a queue in a store; never used twice.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct QueueId(pub u32);

/// Where a message is, as far as its holder knows.
#[derive(Debug, Clone)]
pub enum Whereabouts {
    /// In the record with this sequence number and length.
    At {
        /// Its sequence number.
        sequence: u64,
        /// Bytes of the record.
        len: u32,
    },
    /// Wherever the writer has put it.
    With(Arc<Ticket>),
    /// Nowhere: it was never submitted, or is not written.
    Nowhere,
}

/// A change, as it is submitted.
#[derive(Debug, Clone)]
pub enum Change {
    /// A queue comes into being.
    Define {
        /// Which.
        queue: QueueId,
        /// For whom it is, by the owner's own convention.
        name: Box<[u8]>,
    },
    /// A queue ends. Its messages are settled one by one with [`Change::Settle`].
    Drop(QueueId),
    /// An entry of the queue is as the value says.
    Put {
        /// Whose.
        queue: QueueId,
        /// Which.
        key: Box<[u8]>,
        /// What.
        value: Box<[u8]>,
    },
    /// An entry of the queue is not there.
    Remove {
        /// Whose.
        queue: QueueId,
        /// Which.
        key: Box<[u8]>,
    },
    /// The message at a position is gone from the queue.
    Gone {
        /// From which.
        queue: QueueId,
        /// From where.
        position: u64,
        /// All positions below this one are gone as well.
        floor: u64,
        /// Where the message is.
        at: Whereabouts,
    },
    /// A destination of a message is gone with its queue. Nothing is written for it.
    Settle(Whereabouts),
    /// The message at a position is on its way to a consumer.
    Lease {
        /// From which queue.
        queue: QueueId,
        /// From where.
        position: u64,
        /// Under which tag.
        tag: u16,
    },
}

/// A change that is made if its draft becomes durable, and not otherwise: for what goes from one place because it
/// stands in another.
#[derive(Debug, Clone)]
pub enum Move {
    /// The message at a position is gone from the queue.
    Gone {
        /// From which.
        queue: QueueId,
        /// From where.
        position: u64,
        /// Where the message is. Its ticket is not settled yet: whether it is done with is not known before the commit.
        at: Whereabouts,
    },
    /// An entry of the queue is not there, unless a later draft has put another.
    Remove {
        /// Whose.
        queue: QueueId,
        /// Which.
        key: Box<[u8]>,
    },
    /// An entry of the queue is as the value says, unless a later draft has said otherwise.
    Put {
        /// Whose.
        queue: QueueId,
        /// Which.
        key: Box<[u8]>,
        /// What.
        value: Box<[u8]>,
    },
    /// A queue ends.
    Drop(QueueId),
}

impl Move {
    /// Bytes that it takes when it is written, at most.
    pub(crate) fn len(&self) -> usize {
        let own = match self {
            Self::Remove { key, .. } => key.len(),
            Self::Put { key, value, .. } => key.len() + value.len(),
            Self::Gone { .. } | Self::Drop(_) => 0,
        };
        own + 16
    }
}

const RESET: u8 = 8;

impl Change {
    /// Bytes that it takes when it is written, at most.
    pub(crate) fn len(&self) -> usize {
        let own = match self {
            Self::Define { name, .. } => name.len(),
            Self::Put { key, value, .. } => key.len() + value.len(),
            Self::Remove { key, .. } => key.len(),
            Self::Drop(_) | Self::Gone { .. } | Self::Settle(_) | Self::Lease { .. } => 0,
        };
        own + 16
    }
}

/// A change, as it is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Written<'a> {
    Define { queue: QueueId, name: &'a [u8] },
    Drop { queue: QueueId },
    Put { queue: QueueId, key: &'a [u8], value: &'a [u8] },
    Remove { queue: QueueId, key: &'a [u8] },
    Floor { queue: QueueId, position: u64 },
    Gone { queue: QueueId, first: u64, count: u64 },
    Lease { queue: QueueId, position: u64, tag: u16 },
    Reset,
}

impl<'a> Written<'a> {
    pub(crate) fn encode(&self, out: &mut Vec<u8>) {
        let (code, queue) = match self {
            Self::Define { queue, .. } => (1, queue),
            Self::Drop { queue } => (2, queue),
            Self::Put { queue, .. } => (3, queue),
            Self::Remove { queue, .. } => (4, queue),
            Self::Floor { queue, .. } => (5, queue),
            Self::Gone { queue, .. } => (6, queue),
            Self::Lease { queue, .. } => (7, queue),
            Self::Reset => return out.push(RESET),
        };
        out.push(code);
        varint::put(out, u64::from(queue.0));
        match self {
            Self::Define { name, .. } => varint::put_bytes(out, name),
            Self::Drop { .. } | Self::Reset => {}
            Self::Put { key, value, .. } => {
                varint::put_bytes(out, key);
                varint::put_bytes(out, value);
            }
            Self::Remove { key, .. } => varint::put_bytes(out, key),
            Self::Floor { position, .. } => varint::put(out, *position),
            Self::Gone { first, count, .. } => {
                varint::put(out, *first);
                varint::put(out, *count);
            }
            Self::Lease { position, tag, .. } => {
                varint::put(out, *position);
                varint::put(out, u64::from(*tag));
            }
        }
    }

    pub(crate) fn decode(reader: &mut Reader<'a>) -> Option<Self> {
        let code = reader.byte()?;
        if code == RESET {
            return Some(Self::Reset);
        }
        let queue = QueueId(reader.small()?);
        Some(match code {
            1 => Self::Define { queue, name: reader.bytes()? },
            2 => Self::Drop { queue },
            3 => Self::Put { queue, key: reader.bytes()?, value: reader.bytes()? },
            4 => Self::Remove { queue, key: reader.bytes()? },
            5 => Self::Floor { queue, position: reader.number()? },
            6 => Self::Gone { queue, first: reader.number()?, count: reader.number()? },
            7 => {
                let position = reader.number()?;
                Self::Lease { queue, position, tag: u16::try_from(reader.number()?).ok()? }
            }
            _ => return None,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn changes_come_back() {
        let queue = QueueId(300);
        let all = [
            Written::Define { queue, name: b"client" },
            Written::Drop { queue },
            Written::Put { queue, key: b"k", value: b"" },
            Written::Remove { queue, key: b"k" },
            Written::Floor { queue, position: u64::MAX },
            Written::Gone { queue, first: 7, count: 1 },
            Written::Lease { queue, position: 7, tag: 65_535 },
            Written::Reset,
        ];
        let mut bytes = Vec::new();
        all.iter().for_each(|change| change.encode(&mut bytes));
        let mut reader = Reader::new(&bytes);
        for change in all {
            assert_eq!(Written::decode(&mut reader), Some(change));
        }
        assert!(reader.is_empty());
        assert_eq!(Written::decode(&mut Reader::new(&[99, 1])), None);
    }
}
