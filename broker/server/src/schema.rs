//! What the broker writes into the store: names of queues, entries, notes and contents, byte for byte.
//!
//! Numbers are little-endian; a text stands after its length (u32) unless it is the last.
//!
//! ```text
//! queue name   "s" client identifier    a session
//!              "r"                      the retained messages
//!              "d"                      the delayed messages
//!
//! entries of a session's queue
//!   "e"              u32 session expiry in seconds
//!   "g"              u64 when the connection went, in milliseconds since 1970; absent while there is one
//!   "w"              will: flags, u32 delay in seconds, u32 expiry in seconds, content
//!   "f" filter       subscription: flags (QoS, 4 no local, 8 retain as published, 0x30 retain handling, 0x40 an
//!                    identifier follows), u32 identifier
//!   "i" u16          a QoS 2 publish of the client under this packet identifier waits for its PUBREL
//!   "o" u16          a QoS 2 publish to the client under this packet identifier waits for its PUBCOMP: u64 order
//!
//! note of a message
//!   in a session     flags (QoS, 4 retain, 8 subscription identifiers follow, 16 a share group follows),
//!                    u32 count and identifiers; group, filter
//!   retained         flags
//!   delayed          flags, u64 when it is due, in milliseconds since 1970
//!
//! content          as `primer::journal::content`
//! flags            QoS in the two lowest bits, 4 retain, 0x80 an expiry counts
//! ```

use std::sync::Arc;

pub(crate) use primer::journal::content::{head as content_head, parts};
use primer_core::message::Message;
use primer_mqtt::codec::packet::{PacketId, QoS, RetainHandling, SubscribeOptions};

use crate::delivery::{Ids, Queued, Share};

pub(crate) const SESSION: u8 = b's';
pub(crate) const EXPIRY: &[u8] = b"e";
pub(crate) const GONE_AT: &[u8] = b"g";
pub(crate) const WILL: &[u8] = b"w";
pub(crate) const FILTER: u8 = b'f';
pub(crate) const INBOUND: u8 = b'i';
pub(crate) const OUTBOUND: u8 = b'o';

const RETAIN: u8 = 4;
const HAS_IDS: u8 = 8;
const HAS_SHARE: u8 = 16;
const NO_LOCAL: u8 = 4;
const AS_PUBLISHED: u8 = 8;
const HANDLING_SHIFT: u8 = 4;
const HAS_ID: u8 = 0x40;
const HAS_EXPIRY: u8 = 0x80;

/// Takes numbers and texts off the front.
pub(crate) struct Reader<'a>(pub(crate) &'a [u8]);

impl<'a> Reader<'a> {
    pub(crate) fn array<const N: usize>(&mut self) -> Option<[u8; N]> {
        let (taken, rest) = self.0.split_first_chunk::<N>()?;
        self.0 = rest;
        Some(*taken)
    }

    pub(crate) fn u8(&mut self) -> Option<u8> {
        self.array::<1>().map(|[byte]| byte)
    }

    pub(crate) fn u32(&mut self) -> Option<u32> {
        self.array().map(u32::from_le_bytes)
    }

    pub(crate) fn u64(&mut self) -> Option<u64> {
        self.array().map(u64::from_le_bytes)
    }

    pub(crate) fn bytes(&mut self, len: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.0.split_at_checked(len)?;
        self.0 = rest;
        Some(taken)
    }

    fn text(&mut self) -> Option<&'a str> {
        let len = usize::try_from(self.u32()?).ok()?;
        std::str::from_utf8(self.bytes(len)?).ok()
    }
}

fn put_text(out: &mut Vec<u8>, text: &str) {
    out.extend_from_slice(&(text.len() as u32).to_le_bytes());
    out.extend_from_slice(text.as_bytes());
}

pub(crate) const fn qos_of(flags: u8) -> Option<QoS> {
    match flags & 3 {
        0 => Some(QoS::AtMostOnce),
        1 => Some(QoS::AtLeastOnce),
        2 => Some(QoS::ExactlyOnce),
        _ => None,
    }
}

/// The name of a session's queue.
pub(crate) fn session_name(client_id: &str) -> Box<[u8]> {
    [&[SESSION], client_id.as_bytes()].concat().into()
}

/// The key of an entry by packet identifier.
pub(crate) fn by_packet_id(kind: u8, packet_id: PacketId) -> Box<[u8]> {
    let [low, high] = packet_id.get().to_le_bytes();
    [kind, low, high].into()
}

/// The packet identifier in a key.
pub(crate) fn packet_id_of(key: &[u8]) -> Option<PacketId> {
    let [_, low, high] = *key else { return None };
    PacketId::new(u16::from_le_bytes([low, high]))
}

/// The key of a subscription.
pub(crate) fn filter_key(whole: &str) -> Box<[u8]> {
    [&[FILTER], whole.as_bytes()].concat().into()
}

/// The value of a subscription.
pub(crate) fn subscription(options: SubscribeOptions, id: Option<u32>) -> Box<[u8]> {
    let mut flags = options.qos as u8;
    flags |= if options.no_local { NO_LOCAL } else { 0 };
    flags |= if options.retain_as_published { AS_PUBLISHED } else { 0 };
    flags |= (options.retain_handling as u8) << HANDLING_SHIFT;
    let mut value = vec![flags];
    if let Some(id) = id {
        value[0] |= HAS_ID;
        value.extend_from_slice(&id.to_le_bytes());
    }
    value.into()
}

/// Reads the value of a subscription.
pub(crate) fn read_subscription(value: &[u8]) -> Option<(SubscribeOptions, Option<u32>)> {
    let mut reader = Reader(value);
    let flags = reader.u8()?;
    let options = SubscribeOptions {
        qos: qos_of(flags)?,
        no_local: flags & NO_LOCAL != 0,
        retain_as_published: flags & AS_PUBLISHED != 0,
        retain_handling: match flags >> HANDLING_SHIFT & 3 {
            0 => RetainHandling::Always,
            1 => RetainHandling::IfNew,
            _ => RetainHandling::Never,
        },
    };
    let id = if flags & HAS_ID == 0 { None } else { Some(reader.u32()?) };
    Some((options, id))
}

/// The note of a message in a session's queue.
pub(crate) fn note(out: &mut Vec<u8>, qos: QoS, retain: bool, ids: &[u32], share: Option<&Share>) {
    out.clear();
    let mut flags = qos as u8 | if retain { RETAIN } else { 0 };
    flags |= if ids.is_empty() { 0 } else { HAS_IDS };
    flags |= if share.is_some() { HAS_SHARE } else { 0 };
    out.push(flags);
    if !ids.is_empty() {
        out.extend_from_slice(&(ids.len() as u32).to_le_bytes());
        ids.iter().for_each(|id| out.extend_from_slice(&id.to_le_bytes()));
    }
    if let Some(share) = share {
        put_text(out, &share.group);
        put_text(out, &share.filter);
    }
}

/// Puts a loaded message's note back into the queue's item.
pub(crate) fn read_note(note: &[u8], item: &mut Queued) -> Option<()> {
    let mut reader = Reader(note);
    let flags = reader.u8()?;
    item.qos = qos_of(flags)?;
    item.retain = flags & RETAIN != 0;
    if flags & HAS_IDS != 0 {
        let count = reader.u32()?;
        let ids: Option<Vec<u32>> = (0..count).map(|_| reader.u32()).collect();
        item.ids = Ids::from_slice(&ids?);
    }
    if flags & HAS_SHARE != 0 {
        let (group, filter) = (reader.text()?, reader.text()?);
        item.share = Some(Arc::new(Share { group: group.into(), filter: filter.into() }));
    }
    Some(())
}

/// The note of a retained message.
pub(crate) fn retained_note(qos: QoS) -> [u8; 1] {
    [qos as u8 | RETAIN]
}

/// The note of a delayed message.
pub(crate) fn delayed_note(qos: QoS, retain: bool, due_unix_ms: u64) -> [u8; 9] {
    let mut note = [0; 9];
    note[0] = qos as u8 | if retain { RETAIN } else { 0 };
    note[1..].copy_from_slice(&due_unix_ms.to_le_bytes());
    note
}

/// Reads the note of a delayed message: QoS, retain, due.
pub(crate) fn read_delayed_note(note: &[u8]) -> Option<(QoS, bool, u64)> {
    let mut reader = Reader(note);
    let flags = reader.u8()?;
    Some((qos_of(flags)?, flags & RETAIN != 0, reader.u64()?))
}

/// What a will says beside its message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct WillTerms {
    pub(crate) qos: QoS,
    pub(crate) retain: bool,
    pub(crate) delay_s: u32,
    pub(crate) expiry_s: Option<u32>,
}

/// The value of a will.
pub(crate) fn will(terms: &WillTerms, message: &Message) -> Box<[u8]> {
    let flags =
        terms.qos as u8 | if terms.retain { RETAIN } else { 0 } | if terms.expiry_s.is_some() { HAS_EXPIRY } else { 0 };
    let mut value = vec![flags];
    value.extend_from_slice(&terms.delay_s.to_le_bytes());
    value.extend_from_slice(&terms.expiry_s.unwrap_or(0).to_le_bytes());
    value.extend_from_slice(&content_head(message.topic(), message.properties()));
    value.extend_from_slice(message.topic().as_bytes());
    value.extend_from_slice(message.properties());
    value.extend_from_slice(message.payload());
    value.into()
}

/// Reads the value of a will.
pub(crate) fn read_will(value: &[u8]) -> Option<(WillTerms, Message)> {
    let mut reader = Reader(value);
    let flags = reader.u8()?;
    let (delay_s, expiry_s) = (reader.u32()?, reader.u32()?);
    let expiry_s = (flags & HAS_EXPIRY != 0).then_some(expiry_s);
    let terms = WillTerms { qos: qos_of(flags)?, retain: flags & RETAIN != 0, delay_s, expiry_s };
    Some((terms, Message::new(&parts(reader.0, primer_core::message::NEVER_MS)?)))
}

#[cfg(test)]
mod tests {
    use primer_core::message::{NEVER_MS, Parts};

    use super::*;

    #[test]
    fn subscriptions_come_back() {
        for qos in [QoS::AtMostOnce, QoS::AtLeastOnce, QoS::ExactlyOnce] {
            for retain_handling in [RetainHandling::Always, RetainHandling::IfNew, RetainHandling::Never] {
                for (no_local, retain_as_published, id) in [(true, false, None), (false, true, Some(268_435_455))] {
                    let options = SubscribeOptions { qos, no_local, retain_as_published, retain_handling };
                    assert_eq!(read_subscription(&subscription(options, id)), Some((options, id)));
                }
            }
        }
        assert_eq!(read_subscription(&[3]), None);
        assert_eq!(read_subscription(&[]), None);
    }

    #[test]
    fn notes_come_back() {
        let share = Share { group: "workers".into(), filter: "jobs/#".into() };
        for (ids, share) in [(&[][..], None), (&[7][..], Some(&share)), (&[1, 2, 3][..], None)] {
            let mut bytes = Vec::new();
            note(&mut bytes, QoS::ExactlyOnce, true, ids, share);
            let mut item = Queued::blank();
            read_note(&bytes, &mut item).unwrap();
            assert_eq!((item.qos, item.retain, item.ids.as_slice()), (QoS::ExactlyOnce, true, ids));
            assert_eq!(item.share.as_deref(), share);
            assert!((0..bytes.len()).all(|len| len == 0 || read_note(&bytes[..len], &mut Queued::blank()).is_none()));
        }
    }

    #[test]
    fn wills_and_contents_come_back() {
        let message = Message::new(&Parts { topic: "é", properties: b"pp", payload: b"x", expires_at_ms: NEVER_MS });
        let terms = WillTerms { qos: QoS::AtLeastOnce, retain: true, delay_s: 7, expiry_s: Some(0) };
        let (read, copy) = read_will(&will(&terms, &message)).unwrap();
        assert_eq!(read, terms);
        assert_eq!((copy.topic(), copy.properties(), copy.payload()), ("é", &b"pp"[..], &b"x"[..]));
        assert_eq!(read_delayed_note(&delayed_note(QoS::ExactlyOnce, false, 9)), Some((QoS::ExactlyOnce, false, 9)));
    }
}
