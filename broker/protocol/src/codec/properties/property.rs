//! One property: its identifier, its type, and the values it may have (MQTT 5.0, table 2-4).
//!
//! Does not know packets: whether a property may stand where it stands is in `place`.

use super::super::{clause, reader::Reader, varint};
use crate::{ReasonCode, Version, Violation};
use primer_core::topic;

/// Identifiers (table 2-4), for tables and tests of sets.
pub(super) mod id {
    pub(in super::super) const PAYLOAD_FORMAT: u8 = 0x01;
    pub(in super::super) const MESSAGE_EXPIRY: u8 = 0x02;
    pub(in super::super) const CONTENT_TYPE: u8 = 0x03;
    pub(in super::super) const RESPONSE_TOPIC: u8 = 0x08;
    pub(in super::super) const CORRELATION_DATA: u8 = 0x09;
    pub(in super::super) const SUBSCRIPTION_ID: u8 = 0x0B;
    pub(in super::super) const SESSION_EXPIRY: u8 = 0x11;
    pub(in super::super) const ASSIGNED_CLIENT_ID: u8 = 0x12;
    pub(in super::super) const SERVER_KEEP_ALIVE: u8 = 0x13;
    pub(in super::super) const AUTHENTICATION_METHOD: u8 = 0x15;
    pub(in super::super) const AUTHENTICATION_DATA: u8 = 0x16;
    pub(in super::super) const REQUEST_PROBLEM_INFORMATION: u8 = 0x17;
    pub(in super::super) const WILL_DELAY: u8 = 0x18;
    pub(in super::super) const REQUEST_RESPONSE_INFORMATION: u8 = 0x19;
    pub(in super::super) const RESPONSE_INFORMATION: u8 = 0x1A;
    pub(in super::super) const SERVER_REFERENCE: u8 = 0x1C;
    pub(in super::super) const REASON_STRING: u8 = 0x1F;
    pub(in super::super) const RECEIVE_MAXIMUM: u8 = 0x21;
    pub(in super::super) const TOPIC_ALIAS_MAXIMUM: u8 = 0x22;
    pub(in super::super) const TOPIC_ALIAS: u8 = 0x23;
    pub(in super::super) const MAXIMUM_QOS: u8 = 0x24;
    pub(in super::super) const RETAIN_AVAILABLE: u8 = 0x25;
    pub(in super::super) const USER_PROPERTY: u8 = 0x26;
    pub(in super::super) const MAXIMUM_PACKET_SIZE: u8 = 0x27;
    pub(in super::super) const WILDCARD_SUBSCRIPTION_AVAILABLE: u8 = 0x28;
    pub(in super::super) const SUBSCRIPTION_IDS_AVAILABLE: u8 = 0x29;
    pub(in super::super) const SHARED_SUBSCRIPTION_AVAILABLE: u8 = 0x2A;
}

/// A property with its value (MQTT 5.0, table 2-4).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Property<'a> {
    /// 0x01: 0 for bytes, 1 for UTF-8.
    PayloadFormat(u8),
    /// 0x02, in seconds.
    MessageExpiry(u32),
    /// 0x03.
    ContentType(&'a str),
    /// 0x08, a topic name.
    ResponseTopic(&'a str),
    /// 0x09.
    CorrelationData(&'a [u8]),
    /// 0x0B, 1 to 268,435,455.
    SubscriptionId(u32),
    /// 0x11, in seconds; `u32::MAX` is for ever.
    SessionExpiry(u32),
    /// 0x12.
    AssignedClientId(&'a str),
    /// 0x13, in seconds.
    ServerKeepAlive(u16),
    /// 0x15.
    AuthenticationMethod(&'a str),
    /// 0x16.
    AuthenticationData(&'a [u8]),
    /// 0x17.
    RequestProblemInformation(bool),
    /// 0x18, in seconds.
    WillDelay(u32),
    /// 0x19.
    RequestResponseInformation(bool),
    /// 0x1A.
    ResponseInformation(&'a str),
    /// 0x1C.
    ServerReference(&'a str),
    /// 0x1F, for people.
    ReasonString(&'a str),
    /// 0x21, at least 1.
    ReceiveMaximum(u16),
    /// 0x22.
    TopicAliasMaximum(u16),
    /// 0x23, at least 1.
    TopicAlias(u16),
    /// 0x24: QoS 0 or 1.
    MaximumQos(u8),
    /// 0x25.
    RetainAvailable(bool),
    /// 0x26: a name and a value.
    UserProperty(&'a str, &'a str),
    /// 0x27, in bytes, at least 1.
    MaximumPacketSize(u32),
    /// 0x28.
    WildcardSubscriptionAvailable(bool),
    /// 0x29.
    SubscriptionIdsAvailable(bool),
    /// 0x2A.
    SharedSubscriptionAvailable(bool),
}

impl<'a> Property<'a> {
    /// Reads the value of the property `id`; `None` for an identifier that table 2-4 does not have.
    #[inline]
    pub(super) fn read(id: u8, reader: &mut Reader<'a>) -> Result<Option<Self>, Violation> {
        Ok(Some(match id {
            id::PAYLOAD_FORMAT => Self::PayloadFormat(u8::from(flag(reader, "MQTT5 3.3.2.3.2")?)),
            id::MESSAGE_EXPIRY => Self::MessageExpiry(reader.u32()?),
            id::CONTENT_TYPE => Self::ContentType(reader.string()?),
            id::RESPONSE_TOPIC => Self::ResponseTopic(response_topic(reader)?),
            id::CORRELATION_DATA => Self::CorrelationData(reader.binary()?),
            id::SUBSCRIPTION_ID => Self::SubscriptionId(subscription_id(reader)?),
            id::SESSION_EXPIRY => Self::SessionExpiry(reader.u32()?),
            id::ASSIGNED_CLIENT_ID => Self::AssignedClientId(reader.string()?),
            id::SERVER_KEEP_ALIVE => Self::ServerKeepAlive(reader.u16()?),
            id::AUTHENTICATION_METHOD => Self::AuthenticationMethod(reader.string()?),
            id::AUTHENTICATION_DATA => Self::AuthenticationData(reader.binary()?),
            id::REQUEST_PROBLEM_INFORMATION => Self::RequestProblemInformation(flag(reader, "MQTT5 3.1.2.11.7")?),
            id::WILL_DELAY => Self::WillDelay(reader.u32()?),
            id::REQUEST_RESPONSE_INFORMATION => Self::RequestResponseInformation(flag(reader, "MQTT5 3.1.2.11.6")?),
            id::RESPONSE_INFORMATION => Self::ResponseInformation(reader.string()?),
            id::SERVER_REFERENCE => Self::ServerReference(reader.string()?),
            id::REASON_STRING => Self::ReasonString(reader.string()?),
            id::RECEIVE_MAXIMUM => Self::ReceiveMaximum(receive_maximum(reader)?),
            id::TOPIC_ALIAS_MAXIMUM => Self::TopicAliasMaximum(reader.u16()?),
            id::TOPIC_ALIAS => Self::TopicAlias(topic_alias(reader)?),
            id::MAXIMUM_QOS => Self::MaximumQos(u8::from(flag(reader, "MQTT5 3.2.2.3.4")?)),
            id::RETAIN_AVAILABLE => Self::RetainAvailable(flag(reader, "MQTT5 3.2.2.3.5")?),
            id::USER_PROPERTY => Self::UserProperty(reader.string()?, reader.string()?),
            id::MAXIMUM_PACKET_SIZE => Self::MaximumPacketSize(maximum_packet_size(reader)?),
            id::WILDCARD_SUBSCRIPTION_AVAILABLE => {
                Self::WildcardSubscriptionAvailable(flag(reader, "MQTT5 3.2.2.3.11")?)
            }
            id::SUBSCRIPTION_IDS_AVAILABLE => Self::SubscriptionIdsAvailable(flag(reader, "MQTT5 3.2.2.3.12")?),
            id::SHARED_SUBSCRIPTION_AVAILABLE => Self::SharedSubscriptionAvailable(flag(reader, "MQTT5 3.2.2.3.13")?),
            _ => return Ok(None),
        }))
    }

    /// Appends identifier and value; `false`, with nothing appended, when a field is longer than MQTT can say.
    pub(super) fn write(&self, out: &mut Vec<u8>) -> bool {
        match *self {
            Self::PayloadFormat(value) => byte(id::PAYLOAD_FORMAT, value, out),
            Self::MessageExpiry(value) => four(id::MESSAGE_EXPIRY, value, out),
            Self::ContentType(text) => field(id::CONTENT_TYPE, text.as_bytes(), out),
            Self::ResponseTopic(text) => field(id::RESPONSE_TOPIC, text.as_bytes(), out),
            Self::CorrelationData(bytes) => field(id::CORRELATION_DATA, bytes, out),
            Self::SubscriptionId(value) => number(id::SUBSCRIPTION_ID, value, out),
            Self::SessionExpiry(value) => four(id::SESSION_EXPIRY, value, out),
            Self::AssignedClientId(text) => field(id::ASSIGNED_CLIENT_ID, text.as_bytes(), out),
            Self::ServerKeepAlive(value) => two(id::SERVER_KEEP_ALIVE, value, out),
            Self::AuthenticationMethod(text) => field(id::AUTHENTICATION_METHOD, text.as_bytes(), out),
            Self::AuthenticationData(bytes) => field(id::AUTHENTICATION_DATA, bytes, out),
            Self::RequestProblemInformation(value) => byte(id::REQUEST_PROBLEM_INFORMATION, value.into(), out),
            Self::WillDelay(value) => four(id::WILL_DELAY, value, out),
            Self::RequestResponseInformation(value) => byte(id::REQUEST_RESPONSE_INFORMATION, value.into(), out),
            Self::ResponseInformation(text) => field(id::RESPONSE_INFORMATION, text.as_bytes(), out),
            Self::ServerReference(text) => field(id::SERVER_REFERENCE, text.as_bytes(), out),
            Self::ReasonString(text) => field(id::REASON_STRING, text.as_bytes(), out),
            Self::ReceiveMaximum(value) => two(id::RECEIVE_MAXIMUM, value, out),
            Self::TopicAliasMaximum(value) => two(id::TOPIC_ALIAS_MAXIMUM, value, out),
            Self::TopicAlias(value) => two(id::TOPIC_ALIAS, value, out),
            Self::MaximumQos(value) => byte(id::MAXIMUM_QOS, value, out),
            Self::RetainAvailable(value) => byte(id::RETAIN_AVAILABLE, value.into(), out),
            Self::UserProperty(name, value) => pair(id::USER_PROPERTY, name, value, out),
            Self::MaximumPacketSize(value) => four(id::MAXIMUM_PACKET_SIZE, value, out),
            Self::WildcardSubscriptionAvailable(value) => byte(id::WILDCARD_SUBSCRIPTION_AVAILABLE, value.into(), out),
            Self::SubscriptionIdsAvailable(value) => byte(id::SUBSCRIPTION_IDS_AVAILABLE, value.into(), out),
            Self::SharedSubscriptionAvailable(value) => byte(id::SHARED_SUBSCRIPTION_AVAILABLE, value.into(), out),
        }
    }
}

fn flag(reader: &mut Reader<'_>, clause: &'static str) -> Result<bool, Violation> {
    match reader.u8()? {
        0 => Ok(false),
        1 => Ok(true),
        _ => Err(Violation::protocol(clause, "a property that is 0 or 1 is neither")),
    }
}

fn response_topic<'a>(reader: &mut Reader<'a>) -> Result<&'a str, Violation> {
    let text = reader.string()?;
    topic::check_topic(text)
        .map_err(|_| clause::RESPONSE_TOPIC.protocol(Version::V5, "the response topic is no topic name"))?;
    Ok(text)
}

fn subscription_id(reader: &mut Reader<'_>) -> Result<u32, Violation> {
    match reader.varint()? {
        0 => Err(Violation::protocol("MQTT5 3.8.2.1.2", "the subscription identifier is zero")),
        value => Ok(value),
    }
}

fn receive_maximum(reader: &mut Reader<'_>) -> Result<u16, Violation> {
    match reader.u16()? {
        0 => Err(Violation::protocol("MQTT5 3.1.2.11.3", "the receive maximum is zero")),
        value => Ok(value),
    }
}

fn maximum_packet_size(reader: &mut Reader<'_>) -> Result<u32, Violation> {
    match reader.u32()? {
        0 => Err(Violation::protocol("MQTT5 3.1.2.11.4", "the maximum packet size is zero")),
        value => Ok(value),
    }
}

fn topic_alias(reader: &mut Reader<'_>) -> Result<u16, Violation> {
    match reader.u16()? {
        0 => Err(clause::ALIAS_ZERO.with(Version::V5, ReasonCode::TOPIC_ALIAS_INVALID, "the topic alias is zero")),
        value => Ok(value),
    }
}

fn byte(id: u8, value: u8, out: &mut Vec<u8>) -> bool {
    out.extend_from_slice(&[id, value]);
    true
}

fn two(id: u8, value: u16, out: &mut Vec<u8>) -> bool {
    out.push(id);
    out.extend_from_slice(&value.to_be_bytes());
    true
}

fn four(id: u8, value: u32, out: &mut Vec<u8>) -> bool {
    out.push(id);
    out.extend_from_slice(&value.to_be_bytes());
    true
}

fn number(id: u8, value: u32, out: &mut Vec<u8>) -> bool {
    if value > crate::limits::VARINT_MAX {
        return false;
    }
    out.push(id);
    varint::write(value, out);
    true
}

fn field(id: u8, bytes: &[u8], out: &mut Vec<u8>) -> bool {
    let Ok(len) = u16::try_from(bytes.len()) else {
        return false;
    };
    out.reserve(3 + bytes.len());
    out.push(id);
    out.extend_from_slice(&len.to_be_bytes());
    out.extend_from_slice(bytes);
    true
}

fn pair(id: u8, name: &str, value: &str, out: &mut Vec<u8>) -> bool {
    let Ok(value_len) = u16::try_from(value.len()) else {
        return false;
    };
    if !field(id, name.as_bytes(), out) {
        return false;
    }
    out.extend_from_slice(&value_len.to_be_bytes());
    out.extend_from_slice(value.as_bytes());
    true
}

/// The properties of a checked block. Ends at the first that cannot be read, which a checked block does not have.
pub(super) struct Iter<'a> {
    reader: Reader<'a>,
}

impl<'a> Iter<'a> {
    pub(super) const fn new(bytes: &'a [u8]) -> Self {
        Self { reader: Reader::new(bytes, Version::V5) }
    }
}

impl<'a> Iterator for Iter<'a> {
    type Item = Property<'a>;

    fn next(&mut self) -> Option<Self::Item> {
        let id = self.reader.u8().ok()?;
        Property::read(id, &mut self.reader).ok()?
    }
}

/// The raw bytes of each property of a checked block that a server forwards.
pub(super) struct ForwardableIter<'a> {
    reader: Reader<'a>,
}

impl<'a> ForwardableIter<'a> {
    pub(super) const fn new(bytes: &'a [u8]) -> Self {
        Self { reader: Reader::new(bytes, Version::V5) }
    }
}

impl<'a> Iterator for ForwardableIter<'a> {
    type Item = &'a [u8];

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            let start = self.reader.rest();
            let id = self.reader.u8().ok()?;
            skip(id, &mut self.reader)?;
            let len = start.len() - self.reader.rest().len();
            if matches!(
                id,
                id::PAYLOAD_FORMAT | id::CONTENT_TYPE | id::RESPONSE_TOPIC | id::CORRELATION_DATA | id::USER_PROPERTY
            ) {
                return start.get(..len);
            }
        }
    }
}

/// Steps over the value of the property `id` without looking into it.
pub(super) fn skip(id: u8, reader: &mut Reader<'_>) -> Option<()> {
    match id {
        id::PAYLOAD_FORMAT
        | id::REQUEST_PROBLEM_INFORMATION
        | id::REQUEST_RESPONSE_INFORMATION
        | id::MAXIMUM_QOS
        | id::RETAIN_AVAILABLE
        | id::WILDCARD_SUBSCRIPTION_AVAILABLE
        | id::SUBSCRIPTION_IDS_AVAILABLE
        | id::SHARED_SUBSCRIPTION_AVAILABLE => {
            reader.take(1).ok()?;
        }
        id::SERVER_KEEP_ALIVE | id::RECEIVE_MAXIMUM | id::TOPIC_ALIAS_MAXIMUM | id::TOPIC_ALIAS => {
            reader.take(2).ok()?;
        }
        id::MESSAGE_EXPIRY | id::SESSION_EXPIRY | id::WILL_DELAY | id::MAXIMUM_PACKET_SIZE => {
            reader.take(4).ok()?;
        }
        id::SUBSCRIPTION_ID => {
            reader.varint().ok()?;
        }
        id::USER_PROPERTY => {
            reader.binary().ok()?;
            reader.binary().ok()?;
        }
        id::CONTENT_TYPE
        | id::RESPONSE_TOPIC
        | id::CORRELATION_DATA
        | id::ASSIGNED_CLIENT_ID
        | id::AUTHENTICATION_METHOD
        | id::AUTHENTICATION_DATA
        | id::RESPONSE_INFORMATION
        | id::SERVER_REFERENCE
        | id::REASON_STRING => {
            reader.binary().ok()?;
        }
        _ => return None,
    }
    Some(())
}
