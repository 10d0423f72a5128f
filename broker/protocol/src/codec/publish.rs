//! PUBLISH (3.3), the packet of which there are many.
//!
//! Decoding is one pass without allocation, encoding one reservation and copies. Does not know which aliases are set
//! or which identifiers are in flight.

use super::{
    EncodeError, Role, clause,
    packet::{PacketId, Publish, QoS},
    properties::{self, Place},
    reader::Reader,
    varint,
    writer::Writer,
};
use crate::{ReasonCode, Version, Violation, limits};
use primer_core::topic::{self, TopicError};

const FIRST_BYTE: u8 = 0x30;
const DUP: u8 = 0x08;
const RETAIN: u8 = 0x01;
/// Identifier and value.
const TOPIC_ALIAS_BYTES: usize = 3;
const EXPIRY_BYTES: usize = 5;

/// A PUBLISH to send, in pieces: what differs by receiver, and what is copied as it is.
///
/// A frame that MQTT cannot say has no encoding: [`Self::encode`] appends nothing and [`Self::encoded_len`] is 0. That
/// is a topic over 65,535 bytes, a packet over 268,435,455, QoS 1 or 2 without `packet_id`, or a subscription
/// identifier over 268,435,455.
#[derive(Debug, Clone, Copy)]
pub struct PublishFrame<'a> {
    /// Set on a re-delivery; not with QoS 0.
    pub dup: bool,
    /// Delivery quality.
    pub qos: QoS,
    /// Retain flag.
    pub retain: bool,
    /// A topic name; may be empty with an alias.
    pub topic: &'a str,
    /// Left out with QoS 0.
    pub packet_id: Option<PacketId>,
    /// The topic alias; left out before 5.0.
    pub topic_alias: Option<u16>,
    /// Message expiry interval in seconds; left out before 5.0.
    pub expiry: Option<u32>,
    /// Subscription identifiers, each 1 to 268,435,455; left out before 5.0.
    pub subscription_ids: &'a [u32],
    /// Raw, encoded properties; left out before 5.0.
    pub forward: &'a [u8],
    /// The application message.
    pub payload: &'a [u8],
}

/// The two lengths that a PUBLISH says of itself.
#[derive(Clone, Copy)]
struct Lengths {
    properties: u32,
    remaining: u32,
}

impl PublishFrame<'_> {
    /// Exactly how many bytes [`Self::encode`] appends.
    #[must_use]
    #[inline]
    pub fn encoded_len(&self, version: Version) -> usize {
        self.lengths(version).map_or(0, Lengths::total)
    }

    /// Appends the packet.
    #[inline]
    pub fn encode(&self, version: Version, out: &mut Vec<u8>) {
        let (Some(lengths), Ok(topic_len)) = (self.lengths(version), u16::try_from(self.topic.len())) else {
            return;
        };
        out.reserve(lengths.total());
        out.push(self.first_byte());
        varint::write(lengths.remaining, out);
        out.extend_from_slice(&topic_len.to_be_bytes());
        out.extend_from_slice(self.topic.as_bytes());
        if let Some(packet_id) = self.packet_id
            && self.qos != QoS::AtMostOnce
        {
            out.extend_from_slice(&packet_id.get().to_be_bytes());
        }
        if version.is_v5() {
            self.encode_properties(lengths.properties, out);
        }
        out.extend_from_slice(self.payload);
    }

    fn encode_properties(&self, len: u32, out: &mut Vec<u8>) {
        varint::write(len, out);
        if let Some(alias) = self.topic_alias {
            let [high, low] = alias.to_be_bytes();
            out.extend_from_slice(&[0x23, high, low]);
        }
        if let Some(expiry) = self.expiry {
            let [a, b, c, d] = expiry.to_be_bytes();
            out.extend_from_slice(&[0x02, a, b, c, d]);
        }
        for &id in self.subscription_ids {
            out.push(0x0B);
            varint::write(id, out);
        }
        out.extend_from_slice(self.forward);
    }

    #[inline]
    fn first_byte(&self) -> u8 {
        let dup = if self.dup && self.qos != QoS::AtMostOnce { DUP } else { 0 };
        FIRST_BYTE | dup | ((self.qos as u8) << 1) | u8::from(self.retain)
    }

    #[inline]
    fn lengths(&self, version: Version) -> Option<Lengths> {
        if self.topic.len() > limits::FIELD_BYTES_MAX {
            return None;
        }
        let id_len = match (self.qos, self.packet_id) {
            (QoS::AtMostOnce, _) => 0,
            (_, Some(_)) => 2,
            (_, None) => return None,
        };
        let mut remaining = 2 + self.topic.len() + id_len;
        let mut properties = 0;
        if version.is_v5() {
            properties = u32::try_from(self.properties_len()?).ok().filter(|&len| len <= limits::VARINT_MAX)?;
            remaining += varint::len(properties) + usize::try_from(properties).ok()?;
        }
        let remaining = u32::try_from(remaining.checked_add(self.payload.len())?).ok()?;
        (remaining <= limits::REMAINING_LENGTH_MAX).then_some(Lengths { properties, remaining })
    }

    #[inline]
    fn properties_len(&self) -> Option<usize> {
        let mut len = self.forward.len();
        len += self.topic_alias.map_or(0, |_| TOPIC_ALIAS_BYTES);
        len += self.expiry.map_or(0, |_| EXPIRY_BYTES);
        for &id in self.subscription_ids {
            if id > limits::VARINT_MAX {
                return None;
            }
            len += 1 + varint::len(id);
        }
        Some(len)
    }
}

impl Lengths {
    #[inline]
    fn total(self) -> usize {
        // Within the remaining length's 28 bits, which every usize of this crate's targets holds.
        1 + varint::len(self.remaining) + usize::try_from(self.remaining).unwrap_or(usize::MAX - 5)
    }
}

#[inline]
pub(super) fn decode(flags: u8, body: &[u8], version: Version, role: Role) -> Result<Publish<'_>, Violation> {
    let qos = match (flags >> 1) & 0x03 {
        0 => QoS::AtMostOnce,
        1 => QoS::AtLeastOnce,
        2 => QoS::ExactlyOnce,
        _ => return Err(clause::PUBLISH_QOS.malformed(version, "PUBLISH has QoS 3")),
    };
    let mut reader = Reader::new(body, version);
    let topic = reader.utf8()?;
    if !topic.is_empty() || !version.is_v5() {
        topic::check_topic(topic).map_err(|error| wrong_topic(error, version))?;
    }
    let packet_id = match (qos, role) {
        (QoS::AtMostOnce, _) => None,
        (_, Role::Server) => Some(reader.packet_id(clause::ID_TO_SERVER)?),
        (_, Role::Client) => Some(reader.packet_id(clause::ID_TO_CLIENT)?),
    };
    let (properties, found) = properties::read(&mut reader, Place::publish_to(role))?;
    if topic.is_empty() && found.topic_alias.is_none() {
        return Err(clause::ALIAS_MISSING.protocol(version, "PUBLISH has neither a topic name nor an alias"));
    }
    Ok(Publish {
        dup: flags & DUP != 0,
        qos,
        retain: flags & RETAIN != 0,
        topic,
        packet_id,
        topic_alias: found.topic_alias,
        expiry: found.expiry,
        properties,
        forwards_unchanged: found.forwards_unchanged,
        payload: reader.rest(),
    })
}

#[cold]
fn wrong_topic(error: TopicError, version: Version) -> Violation {
    const INVALID: ReasonCode = ReasonCode::TOPIC_NAME_INVALID;
    match error {
        TopicError::Nul => clause::NUL.malformed(version, "the topic name holds U+0000"),
        TopicError::Empty => clause::TOPIC_EMPTY.with(version, INVALID, "the topic name is empty"),
        TopicError::TooLong => clause::TOPIC_LONG.with(version, INVALID, "the topic name is too long"),
        _ => clause::TOPIC_WILDCARD.with(version, INVALID, "the topic name holds a wildcard character"),
    }
}

pub(super) fn encode(publish: &Publish<'_>, writer: &mut Writer<'_>) -> Result<(), EncodeError> {
    if publish.qos != QoS::AtMostOnce && publish.packet_id.is_none() {
        return Err(EncodeError::NoPacketId);
    }
    if publish.topic.len() > limits::FIELD_BYTES_MAX {
        return Err(EncodeError::FieldTooLong);
    }
    let frame = PublishFrame {
        dup: publish.dup,
        qos: publish.qos,
        retain: publish.retain,
        topic: publish.topic,
        packet_id: publish.packet_id,
        topic_alias: None,
        expiry: None,
        subscription_ids: &[],
        forward: publish.properties.as_bytes(),
        payload: publish.payload,
    };
    let version = writer.version();
    if frame.encoded_len(version) == 0 {
        return Err(EncodeError::PacketTooLong);
    }
    frame.encode(version, writer.out());
    Ok(())
}
