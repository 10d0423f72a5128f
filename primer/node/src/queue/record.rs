//! What queues write into the store: names, entries and notes, byte for byte.
//!
//! ```text
//! queue name   "q" name                       a queue: its messages, and which of them are gone
//!              "Q" u32 queue, group name      a group of it: what it is done with although others are not, and how
//!                                             often messages were delivered (the tags of leases)
//! entries of a queue
//!   "d"        its definition as JSON, if it was made by hand
//!   "p"        it is paused
//!   "i" id     a message identifier: u64 until when it is known (milliseconds since 1970), u64 position
//! entries of a group
//!   "o"        u8 flags: 1 at most once, 2 by key; u64 the first position that it wants
//!
//! note of a message
//!   u8 priority, u8 flags, u64 when it was published (milliseconds since 1970)
//!   1 u64 due (milliseconds since 1970)     32 u64 when it expires in this queue, before it does by itself (the same)
//!   2 text publisher     4 text key     8 text identifier
//!   64 u8 QoS, u8 1 if it was retained, u8 rules it came through     128 text user name
//!   16 a dead letter: text queue, text group, u8 reason, u32 deliveries, u64 when (milliseconds since 1970)
//! ```
//! Numbers are little-endian, a text has its length (u32) before it. The content of a message is that of
//! [`crate::journal::content`].

use std::sync::Arc;

use primer_core::queue::{GroupOptions, Mode, Order};

use super::item::{DeadLetter, Extra, Item, Sent};
use crate::journal::QueueId;

/// The first byte of a queue's name.
pub const QUEUE: u8 = b'q';
/// The first byte of a group's name.
pub const GROUP: u8 = b'Q';
/// The entry of a queue with its definition.
pub const DEFINITION: &[u8] = b"d";
/// The entry of a queue that is paused; it is empty.
pub const PAUSED: &[u8] = b"p";
/// The first byte of a queue's entries for message identifiers.
pub const ID: u8 = b'i';
/// The entry of a group.
pub const OPTIONS: &[u8] = b"o";

const DUE: u8 = 1;
const PUBLISHER: u8 = 2;
const KEY: u8 = 4;
const HAS_ID: u8 = 8;
const DEAD: u8 = 16;
const EXPIRES: u8 = 32;
const SENT: u8 = 64;
const USER: u8 = 128;

const ONCE: u8 = 1;
const BY_KEY: u8 = 2;

/// See [`REASONS`]: a transaction has given it up.
pub(crate) const RULE: &str = REASONS[3];

/// The reasons of dead letters, by their numbers.
pub const REASONS: [&str; 4] = ["rejected", "max_deliveries", "overflow", "rule"];

/// The name of a queue in the store.
#[must_use]
pub fn queue_name(name: &str) -> Box<[u8]> {
    [&[QUEUE], name.as_bytes()].concat().into()
}

/// The name of a group of that queue in the store.
#[must_use]
pub fn group_name(queue: QueueId, name: &str) -> Box<[u8]> {
    [&[GROUP][..], &queue.0.to_le_bytes(), name.as_bytes()].concat().into()
}

/// The queue and the name of a group; `None` for anything else.
#[must_use]
pub fn read_group_name(name: &[u8]) -> Option<(QueueId, &str)> {
    let (kind, rest) = name.split_first()?;
    let (queue, rest) = rest.split_first_chunk::<4>()?;
    (*kind == GROUP).then_some((QueueId(u32::from_le_bytes(*queue)), std::str::from_utf8(rest).ok()?))
}

/// The key of a message identifier.
#[must_use]
pub fn id_key(id: &[u8]) -> Box<[u8]> {
    [&[ID], id].concat().into()
}

/// Until when a message identifier is known, and where the message is.
#[must_use]
pub fn id_value(until_unix_ms: u64, position: u64) -> Box<[u8]> {
    [until_unix_ms.to_le_bytes(), position.to_le_bytes()].concat().into()
}

/// See [`id_value`].
#[must_use]
pub fn read_id(value: &[u8]) -> Option<(u64, u64)> {
    let mut reader = Reader(value);
    Some((reader.u64()?, reader.u64()?))
}

/// What a group is told, and the first position that it wants.
#[must_use]
pub fn options(options: GroupOptions, from: u64) -> Box<[u8]> {
    let mut flags = if options.mode == Mode::AtMostOnce { ONCE } else { 0 };
    flags |= if options.order == Order::ByKey { BY_KEY } else { 0 };
    [&[flags][..], &from.to_le_bytes()].concat().into()
}

/// See [`options`].
#[must_use]
pub fn read_options(value: &[u8]) -> Option<(GroupOptions, u64)> {
    let mut reader = Reader(value);
    let flags = reader.u8()?;
    let mode = if flags & ONCE == 0 { Mode::AtLeastOnce } else { Mode::AtMostOnce };
    let order = if flags & BY_KEY == 0 { Order::Any } else { Order::ByKey };
    Some((GroupOptions { mode, order }, reader.u64()?))
}

/// The note of a message that stands in a queue.
pub(crate) fn note(out: &mut Vec<u8>, item: &Item) {
    write_note(out, item.priority, item.time_unix_ms, item.extra.as_deref());
}

/// The note of a message with this priority, published at this time.
pub fn write_note(out: &mut Vec<u8>, priority: u8, time_unix_ms: u64, extra: Option<&Extra>) {
    out.clear();
    out.extend_from_slice(&[priority, 0]);
    out.extend_from_slice(&time_unix_ms.to_le_bytes());
    let Some(Extra { publisher, key, id, due_unix_ms, expires_unix_ms, dead, user, sent }) = extra else {
        return;
    };
    let mut flags = 0;
    if let Some(due_unix_ms) = due_unix_ms {
        flags |= DUE;
        out.extend_from_slice(&due_unix_ms.to_le_bytes());
    }
    if let Some(expires_unix_ms) = expires_unix_ms {
        flags |= EXPIRES;
        out.extend_from_slice(&expires_unix_ms.to_le_bytes());
    }
    let publisher = publisher.as_ref().map(|publisher| publisher.as_bytes());
    for (flag, text) in [(PUBLISHER, publisher), (KEY, key.as_deref()), (HAS_ID, id.as_deref())] {
        if let Some(text) = text {
            flags |= flag;
            put_text(out, text);
        }
    }
    if let Some(dead) = dead {
        flags |= DEAD;
        put_text(out, dead.queue.as_bytes());
        put_text(out, dead.group.as_bytes());
        let reason = REASONS.iter().position(|reason| *reason == dead.reason).unwrap_or(0);
        out.push(reason as u8);
        out.extend_from_slice(&dead.deliveries.to_le_bytes());
        out.extend_from_slice(&dead.died_unix_ms.to_le_bytes());
    }
    if *sent != Sent::default() {
        flags |= SENT;
        out.extend_from_slice(&[sent.qos, u8::from(sent.retain), sent.hops]);
    }
    if let Some(user) = user {
        flags |= USER;
        put_text(out, user.as_bytes());
    }
    if let Some(byte) = out.get_mut(1) {
        *byte = flags;
    }
}

/// What a note says.
#[derive(Debug, Clone)]
pub struct Note {
    /// 0 to 9.
    pub priority: u8,
    /// When it was published, in milliseconds since 1970.
    pub time_unix_ms: u64,
    /// What only some messages have.
    pub extra: Extra,
}

/// Reads a note; `None` for one that makes no sense.
#[must_use]
pub fn read_note(bytes: &[u8]) -> Option<Note> {
    let mut reader = Reader(bytes);
    let (priority, flags, time_unix_ms) = (reader.u8()?, reader.u8()?, reader.u64()?);
    let mut extra = Extra::default();
    if flags & DUE != 0 {
        extra.due_unix_ms = Some(reader.u64()?);
    }
    if flags & EXPIRES != 0 {
        extra.expires_unix_ms = Some(reader.u64()?);
    }
    if flags & PUBLISHER != 0 {
        extra.publisher = Some(text(reader.bytes()?)?);
    }
    if flags & KEY != 0 {
        extra.key = Some(reader.bytes()?.into());
    }
    if flags & HAS_ID != 0 {
        extra.id = Some(reader.bytes()?.into());
    }
    if flags & DEAD != 0 {
        let (queue, group) = (text(reader.bytes()?)?, text(reader.bytes()?)?);
        let reason = REASONS.get(usize::from(reader.u8()?))?;
        let (deliveries, died_unix_ms) = (reader.u32()?, reader.u64()?);
        extra.dead = Some(DeadLetter { queue, group, reason, deliveries, died_unix_ms });
    }
    if flags & SENT != 0 {
        let (qos, retain, hops) = (reader.u8()?, reader.u8()? != 0, reader.u8()?);
        extra.sent = Sent { qos: qos.min(2), retain, hops };
    }
    if flags & USER != 0 {
        extra.user = Some(text(reader.bytes()?)?);
    }
    Some(Note { priority, time_unix_ms, extra })
}

fn text(bytes: &[u8]) -> Option<Arc<str>> {
    std::str::from_utf8(bytes).ok().map(Arc::from)
}

fn put_text(out: &mut Vec<u8>, text: &[u8]) {
    out.extend_from_slice(&(text.len() as u32).to_le_bytes());
    out.extend_from_slice(text);
}

struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    fn array<const N: usize>(&mut self) -> Option<[u8; N]> {
        let (taken, rest) = self.0.split_first_chunk::<N>()?;
        self.0 = rest;
        Some(*taken)
    }

    fn u8(&mut self) -> Option<u8> {
        self.array::<1>().map(|[byte]| byte)
    }

    fn u32(&mut self) -> Option<u32> {
        self.array().map(u32::from_le_bytes)
    }

    fn u64(&mut self) -> Option<u64> {
        self.array().map(u64::from_le_bytes)
    }

    fn bytes(&mut self) -> Option<&'a [u8]> {
        let len = usize::try_from(self.u32()?).ok()?;
        let (taken, rest) = self.0.split_at_checked(len)?;
        self.0 = rest;
        Some(taken)
    }
}

#[cfg(test)]
mod tests {
    use primer_core::message::{Message, NEVER_MS, Parts};

    use super::*;
    use crate::journal::Whereabouts;

    #[test]
    fn notes_come_back_and_short_ones_are_none() {
        let message = Message::new(&Parts { topic: "t", properties: &[], payload: b"", expires_at_ms: NEVER_MS });
        let extra = Extra {
            publisher: Some("pump".into()),
            key: Some(b"k"[..].into()),
            id: Some(b"id-7"[..].into()),
            due_unix_ms: Some(77),
            expires_unix_ms: Some(88),
            dead: Some(DeadLetter {
                queue: "jobs".into(),
                group: "default".into(),
                reason: REASONS[1],
                deliveries: 20,
                died_unix_ms: 9,
            }),
            user: Some("operator".into()),
            sent: Sent { qos: 2, retain: true, hops: 3 },
        };
        let mut bytes = Vec::new();
        note(&mut bytes, &Item::new(message.clone(), Whereabouts::Nowhere, 5, 7, extra.clone()));
        let read = read_note(&bytes).unwrap();
        assert_eq!((read.priority, read.time_unix_ms, read.extra.due_unix_ms), (7, 5, Some(77)));
        assert_eq!(read.extra.expires_unix_ms, Some(88));
        assert_eq!((read.extra.publisher, read.extra.key), (extra.publisher, extra.key));
        assert_eq!((read.extra.id, read.extra.dead), (extra.id, extra.dead));
        assert_eq!((read.extra.user, read.extra.sent), (extra.user, extra.sent));
        assert!((0..bytes.len()).all(|len| read_note(&bytes[..len]).is_none()));
        note(&mut bytes, &Item::new(message, Whereabouts::Nowhere, 5, 4, Extra::default()));
        assert_eq!(bytes.len(), 10, "a plain message has a short note");
        assert_eq!(read_group_name(&group_name(QueueId(300), "é")), Some((QueueId(300), "é")));
        let wanted = GroupOptions { mode: Mode::AtMostOnce, order: Order::ByKey };
        assert_eq!(read_options(&options(wanted, 9)), Some((wanted, 9)));
        assert_eq!(read_id(&id_value(3, 4)), Some((3, 4)));
    }
}
