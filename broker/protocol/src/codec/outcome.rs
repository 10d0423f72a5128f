//! DISCONNECT (3.14) and AUTH (3.15), which share a shape, and the two pings, which have none.
//!
//! Every short form is accepted; the long form is written, because there are clients that lose the short ones.

use super::{
    EncodeError, Role, clause,
    packet::{Outcome, Packet},
    properties::{self, Place, Properties},
    reader::Reader,
    reason_table,
    writer::Writer,
};
use crate::{ReasonCode, Version, Violation};

const NOTHING: Outcome<'static> = Outcome { reason: ReasonCode::SUCCESS, properties: Properties::EMPTY };

pub(super) fn decode_ping<'a>(ping: Packet<'a>, body: &[u8], version: Version) -> Result<Packet<'a>, Violation> {
    Reader::new(body, version).finish()?;
    Ok(ping)
}

pub(super) fn decode_disconnect(body: &[u8], version: Version, role: Role) -> Result<Outcome<'_>, Violation> {
    let mut reader = Reader::new(body, version);
    if !version.is_v5() {
        reader.finish()?;
    }
    if reader.is_empty() {
        return Ok(NOTHING);
    }
    let reason = reason_table::check_disconnect(reader.u8()?, role)?;
    let properties = if reader.is_empty() {
        Properties::EMPTY
    } else {
        properties::read(&mut reader, Place::disconnect_to(role))?.0
    };
    reader.finish()?;
    Ok(Outcome { reason, properties })
}

/// AUTH without anything means success, which only a server says. Any other has to name its method.
pub(super) fn decode_auth(body: &[u8], role: Role) -> Result<Outcome<'_>, Violation> {
    let mut reader = Reader::new(body, Version::V5);
    if reader.is_empty() {
        reason_table::check_auth(ReasonCode::SUCCESS.0, role)?;
        return Ok(NOTHING);
    }
    let reason = reason_table::check_auth(reader.u8()?, role)?;
    let (properties, found) = properties::read(&mut reader, Place::Auth)?;
    reader.finish()?;
    if !found.has_auth_method {
        return Err(clause::AUTH_METHOD.protocol(Version::V5, "AUTH without an authentication method"));
    }
    Ok(Outcome { reason, properties })
}

pub(super) fn encode_disconnect(outcome: &Outcome<'_>, writer: &mut Writer<'_>) -> Result<(), EncodeError> {
    writer.packet(0xE0, |writer| {
        if !writer.version().is_v5() {
            return Ok(());
        }
        writer.u8(outcome.reason.0);
        writer.properties(outcome.properties)
    })
}

pub(super) fn encode_auth(outcome: &Outcome<'_>, writer: &mut Writer<'_>) -> Result<(), EncodeError> {
    if !writer.version().is_v5() {
        return Err(EncodeError::NotInVersion);
    }
    writer.packet(0xF0, |writer| {
        if *outcome == NOTHING {
            return Ok(());
        }
        writer.u8(outcome.reason.0);
        writer.properties(outcome.properties)
    })
}
