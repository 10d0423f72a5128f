//! CONNECT (3.1): the packet that says which version it is in.
//!
//! A client identifier of any length and any characters passes; whether an empty one is acceptable is answered with
//! a CONNACK, and that is the session's. MQTT 3.1 is read as its text says: the reserved flag and the will's QoS and
//! retain without a will are ignored, and user name and password may be announced and missing.

use super::{
    EncodeError, clause,
    packet::{Connect, QoS, Will},
    properties::{self, Place},
    reader::Reader,
    writer::Writer,
};
use crate::{ReasonCode, Version, Violation};
use primer_core::topic::{self, TopicError};

const CLEAN_START: u8 = 0x02;
const WILL: u8 = 0x04;
const WILL_RETAIN: u8 = 0x20;
const PASSWORD: u8 = 0x40;
const USER_NAME: u8 = 0x80;
/// Bridges mark the level with this bit; it is no part of the number.
const BRIDGE: u8 = 0x80;

/// `is_minimal`: whether the remaining length was in its shortest form, which only 5.0 demands.
pub(super) fn decode(body: &[u8], is_minimal: bool) -> Result<Connect<'_>, Violation> {
    let (version, rest) = version(body)?;
    if version.is_v5() && !is_minimal {
        return Err(clause::VARINT_MINIMAL.malformed(version, "the remaining length is padded"));
    }
    let mut reader = Reader::new(rest, version);
    let flags = Flags::read(&mut reader)?;
    let keep_alive = reader.u16()?;
    let (properties, found) = properties::read(&mut reader, Place::Connect)?;
    if found.has_auth_data && !found.has_auth_method {
        return Err(clause::AUTH_DATA_ALONE.protocol(version, "authentication data without a method"));
    }
    let client_id = reader.string()?;
    let will = match flags.will {
        Some((qos, retain)) => Some(read_will(&mut reader, qos, retain)?),
        None => None,
    };
    let username = if flags.has_username && !may_be_missing(&reader) { Some(reader.string()?) } else { None };
    let password = if flags.has_password && !may_be_missing(&reader) { Some(reader.binary()?) } else { None };
    reader.finish()?;
    let clean_start = flags.clean_start;
    Ok(Connect { version, clean_start, keep_alive, client_id, will, username, password, properties })
}

/// "Server implementations must allow for the possibility that the User Name flag is set, but the User Name string is
/// missing" (MQTT 3.1, CONNECT); likewise for the password.
fn may_be_missing(reader: &Reader<'_>) -> bool {
    reader.version() == Version::V31 && reader.is_empty()
}

/// The level in a CONNECT's variable header, without the bridge mark.
pub(super) fn level(body: &[u8]) -> Option<u8> {
    let mut reader = Reader::new(body, Version::V311);
    let name = reader.binary().ok()?;
    let level = reader.u8().ok()?;
    matches!(name, b"MQTT" | b"MQIsdp").then_some(level & !BRIDGE)
}

/// The version, and what follows it.
fn version(body: &[u8]) -> Result<(Version, &[u8]), Violation> {
    let mut reader = Reader::new(body, Version::V311);
    let name = reader.binary()?;
    if !matches!(name, b"MQTT" | b"MQIsdp") {
        return Err(clause::PROTOCOL_NAME.malformed(Version::V311, "the protocol name is not MQTT's"));
    }
    let version = match (name, reader.u8()? & !BRIDGE) {
        (b"MQIsdp", 3) => Version::V31,
        (b"MQTT", 4) => Version::V311,
        (b"MQTT", 5) => Version::V5,
        _ => {
            let reason = ReasonCode::UNSUPPORTED_PROTOCOL_VERSION;
            return Err(clause::PROTOCOL_LEVEL.with(Version::V311, reason, "the protocol level is not supported"));
        }
    };
    Ok((version, reader.rest()))
}

struct Flags {
    clean_start: bool,
    /// QoS and retain.
    will: Option<(QoS, bool)>,
    has_username: bool,
    has_password: bool,
}

impl Flags {
    fn read(reader: &mut Reader<'_>) -> Result<Self, Violation> {
        let flags = reader.u8()?;
        let version = reader.version();
        if flags & 0x01 != 0 && version != Version::V31 {
            return Err(clause::CONNECT_RESERVED.malformed(version, "the reserved connect flag is set"));
        }
        let retain = flags & WILL_RETAIN != 0;
        let will = match ((flags & WILL) != 0, (flags >> 3) & 0x03) {
            (_, 3) => return Err(clause::WILL_QOS.malformed(version, "the will has QoS 3")),
            (true, 0) => Some((QoS::AtMostOnce, retain)),
            (true, 1) => Some((QoS::AtLeastOnce, retain)),
            (true, _) => Some((QoS::ExactlyOnce, retain)),
            (false, _) if version == Version::V31 => None,
            (false, 0) if retain => {
                return Err(clause::NO_WILL_RETAIN.malformed(version, "will retain without a will"));
            }
            (false, 0) => None,
            (false, _) => return Err(clause::NO_WILL_QOS.malformed(version, "a will QoS without a will")),
        };
        let has_username = flags & USER_NAME != 0;
        let has_password = flags & PASSWORD != 0;
        if has_password && !has_username && !version.is_v5() {
            return Err(clause::PASSWORD_ALONE.malformed(version, "a password without a user name"));
        }
        Ok(Self { clean_start: flags & CLEAN_START != 0, will, has_username, has_password })
    }
}

fn read_will<'a>(reader: &mut Reader<'a>, qos: QoS, retain: bool) -> Result<Will<'a>, Violation> {
    let version = reader.version();
    let (properties, _) = properties::read(reader, Place::Will)?;
    let topic = reader.string()?;
    topic::check_topic(topic).map_err(|error| {
        let clause = match error {
            TopicError::Empty => clause::TOPIC_EMPTY,
            _ => clause::NAME_WILDCARD,
        };
        clause.with(version, ReasonCode::TOPIC_NAME_INVALID, "the will topic is no topic name")
    })?;
    let payload = reader.binary()?;
    Ok(Will { qos, retain, topic, payload, properties })
}

pub(super) fn encode(connect: &Connect<'_>, writer: &mut Writer<'_>) -> Result<(), EncodeError> {
    let version = connect.version;
    if version != writer.version() || (!version.is_v5() && connect.password.is_some() && connect.username.is_none()) {
        return Err(EncodeError::NotInVersion);
    }
    writer.packet(0x10, |writer| {
        writer.string(if version == Version::V31 { "MQIsdp" } else { "MQTT" })?;
        writer.u8(version.level());
        writer.u8(flags(connect));
        writer.u16(connect.keep_alive);
        writer.properties(connect.properties)?;
        writer.string(connect.client_id)?;
        if let Some(will) = connect.will {
            writer.properties(will.properties)?;
            writer.string(will.topic)?;
            writer.binary(will.payload)?;
        }
        if let Some(username) = connect.username {
            writer.string(username)?;
        }
        connect.password.map_or(Ok(()), |password| writer.binary(password))
    })
}

fn flags(connect: &Connect<'_>) -> u8 {
    let set = |is_set: bool, bit: u8| if is_set { bit } else { 0 };
    let will = connect.will.map_or(0, |will| WILL | ((will.qos as u8) << 3) | set(will.retain, WILL_RETAIN));
    set(connect.clean_start, CLEAN_START)
        | will
        | set(connect.username.is_some(), USER_NAME)
        | set(connect.password.is_some(), PASSWORD)
}
