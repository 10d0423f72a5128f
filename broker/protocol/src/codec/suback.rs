//! SUBACK and UNSUBACK (3.9, 3.11).
//!
//! Whether there are as many codes as filters is for the one who sent the request to know.

use super::{
    EncodeError, clause,
    packet::SubAck,
    properties::{self, Place, Properties},
    reader::Reader,
    reason_table,
    writer::Writer,
};
use crate::{Version, Violation};

/// The one failure that a SUBACK before 5.0 can tell (3.1.1, 3.9.3).
const FAILURE_V3: u8 = 0x80;

pub(super) fn decode_suback(body: &[u8], version: Version) -> Result<SubAck<'_>, Violation> {
    let mut reader = Reader::new(body, version);
    let packet_id = reader.packet_id(clause::ID_SUBACK)?;
    let (properties, _) = properties::read(&mut reader, Place::Answer)?;
    let codes = reader.rest();
    if codes.is_empty() {
        return Err(clause::SUBACK_EMPTY.malformed(version, "SUBACK without a reason code"));
    }
    reason_table::check_suback(codes, version)?;
    Ok(SubAck { packet_id, properties, codes })
}

pub(super) fn decode_unsuback(body: &[u8], version: Version) -> Result<SubAck<'_>, Violation> {
    let mut reader = Reader::new(body, version);
    let packet_id = reader.packet_id(clause::ID_SUBACK)?;
    if !version.is_v5() {
        reader.finish()?;
        return Ok(SubAck { packet_id, properties: Properties::EMPTY, codes: &[] });
    }
    let (properties, _) = properties::read(&mut reader, Place::Answer)?;
    let codes = reader.rest();
    if codes.is_empty() {
        return Err(clause::UNSUBACK_EMPTY.malformed(version, "UNSUBACK without a reason code"));
    }
    reason_table::check_unsuback(codes)?;
    Ok(SubAck { packet_id, properties, codes })
}

/// Before 5.0 every failure is written as 0x80.
pub(super) fn encode_suback(suback: &SubAck<'_>, writer: &mut Writer<'_>) -> Result<(), EncodeError> {
    if suback.codes.is_empty() {
        return Err(EncodeError::Empty);
    }
    writer.packet(0x90, |writer| {
        writer.u16(suback.packet_id.get());
        writer.properties(suback.properties)?;
        if writer.version().is_v5() {
            writer.raw(suback.codes);
        } else {
            suback.codes.iter().for_each(|&code| writer.u8(code.min(FAILURE_V3)));
        }
        Ok(())
    })
}

/// Before 5.0 there are no codes to write.
pub(super) fn encode_unsuback(unsuback: &SubAck<'_>, writer: &mut Writer<'_>) -> Result<(), EncodeError> {
    let has_codes = writer.version().is_v5();
    if has_codes && unsuback.codes.is_empty() {
        return Err(EncodeError::Empty);
    }
    writer.packet(0xB0, |writer| {
        writer.u16(unsuback.packet_id.get());
        writer.properties(unsuback.properties)?;
        if has_codes {
            writer.raw(unsuback.codes);
        }
        Ok(())
    })
}
