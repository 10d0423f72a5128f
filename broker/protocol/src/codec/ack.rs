//! PUBACK, PUBREC, PUBREL and PUBCOMP (3.4 to 3.7): four packets of one shape.
//!
//! Every short form is accepted. Does not know which identifiers are in flight.

use super::{
    EncodeError, Role, clause,
    packet::{Ack, PacketId},
    properties::{self, Place, Properties},
    reader::Reader,
    reason_table,
    writer::Writer,
};
use crate::{ReasonCode, Version, Violation};

/// Which of the four.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AckKind {
    /// Ends a delivery of QoS 1.
    PubAck,
    /// The first answer to a delivery of QoS 2.
    PubRec,
    /// The sender's release.
    PubRel,
    /// Ends a delivery of QoS 2.
    PubComp,
}

impl AckKind {
    const fn first_byte(self) -> u8 {
        match self {
            Self::PubAck => 0x40,
            Self::PubRec => 0x50,
            Self::PubRel => 0x62,
            Self::PubComp => 0x70,
        }
    }
}

/// Appends an acknowledgement without properties: 4 bytes, or 5 when it has a reason to tell (5.0, not
/// [`ReasonCode::SUCCESS`]).
#[inline]
pub fn encode_ack(kind: AckKind, packet_id: PacketId, reason: ReasonCode, version: Version, out: &mut Vec<u8>) {
    let [high, low] = packet_id.get().to_be_bytes();
    if version.is_v5() && reason != ReasonCode::SUCCESS {
        out.extend_from_slice(&[kind.first_byte(), 3, high, low, reason.0]);
    } else {
        out.extend_from_slice(&[kind.first_byte(), 2, high, low]);
    }
}

#[inline]
pub(super) fn decode(kind: AckKind, body: &[u8], version: Version, role: Role) -> Result<Ack<'_>, Violation> {
    let mut reader = Reader::new(body, version);
    let packet_id = reader.packet_id(clause::ID_ACK)?;
    if reader.is_empty() {
        return Ok(Ack { packet_id, reason: ReasonCode::SUCCESS, properties: Properties::EMPTY });
    }
    if !version.is_v5() {
        reader.finish()?;
    }
    let reason = reason_table::check_ack(kind, reader.u8()?, role)?;
    let properties =
        if reader.is_empty() { Properties::EMPTY } else { properties::read(&mut reader, Place::Answer)?.0 };
    reader.finish()?;
    Ok(Ack { packet_id, reason, properties })
}

pub(super) fn encode(kind: AckKind, ack: &Ack<'_>, writer: &mut Writer<'_>) -> Result<(), EncodeError> {
    if ack.properties.is_empty() || !writer.version().is_v5() {
        let version = writer.version();
        encode_ack(kind, ack.packet_id, ack.reason, version, writer.out());
        return Ok(());
    }
    writer.packet(kind.first_byte(), |writer| {
        writer.u16(ack.packet_id.get());
        writer.u8(ack.reason.0);
        writer.properties(ack.properties)
    })
}
