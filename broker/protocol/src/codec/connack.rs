//! CONNACK (3.2), as a client reads it and a server writes it.
//!
//! Before 5.0 the reason is the return code as it stands on the wire. MQTT 3.1 has no session-present flag: its byte
//! is ignored there, and written as 0.

use super::{
    EncodeError, clause,
    packet::ConnAck,
    properties::{self, Place},
    reader::Reader,
    reason_table,
    writer::Writer,
};
use crate::{ReasonCode, Version, Violation};

pub(super) fn decode(body: &[u8], version: Version) -> Result<ConnAck<'_>, Violation> {
    let mut reader = Reader::new(body, version);
    let flags = reader.u8()?;
    let session_present = version != Version::V31 && flags & 0x01 != 0;
    if version != Version::V31 && flags & 0xFE != 0 {
        return Err(clause::CONNACK_FLAGS.malformed(version, "reserved flags of CONNACK are set"));
    }
    let reason = reason_table::check_connack(reader.u8()?, version)?;
    if session_present && reason != ReasonCode::SUCCESS {
        return Err(clause::CONNACK_SESSION.protocol(version, "a refused connection has a session"));
    }
    let (properties, _) = properties::read(&mut reader, Place::ConnAck)?;
    reader.finish()?;
    Ok(ConnAck { session_present, reason, properties })
}

pub(super) fn encode(connack: &ConnAck<'_>, writer: &mut Writer<'_>) -> Result<(), EncodeError> {
    let has_flag = writer.version() != Version::V31;
    writer.packet(0x20, |writer| {
        writer.u8(u8::from(connack.session_present && has_flag));
        writer.u8(connack.reason.0);
        writer.properties(connack.properties)
    })
}
