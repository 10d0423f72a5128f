//! Bytes to packets and packets to bytes, for MQTT 3.1, 3.1.1 and 5.0, in the server's and in the client's role.
//!
//! [`decode`] checks every statement of the specifications that can be checked without the state of a session, and
//! borrows what it returns from the buffer. It does not know which packet identifiers are in use, which limits were
//! announced in CONNECT or CONNACK (except the packet size, which [`Rules`] has), or who may do what.

pub mod ack;
mod clause;
mod connack;
mod connect;
mod fixed_header;
mod outcome;
pub mod packet;
pub mod properties;
pub mod publish;
mod reader;
mod reason_table;
mod suback;
pub mod subscribe;
mod varint;
mod writer;

use crate::{Version, Violation};
pub use ack::{AckKind, encode_ack};
use fixed_header::{FixedHeader, Kind};
use packet::Packet;
pub use publish::PublishFrame;
pub use subscribe::FiltersBuf;
use writer::Writer;

/// Who we are. A server decodes what clients may send and refuses the rest; a client the other way round.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// We accepted the connection.
    Server,
    /// We opened the connection.
    Client,
}

/// What [`decode`] has to know about the connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rules {
    /// Who we are.
    pub role: Role,
    /// The version of the connection; `None` before CONNECT, and then nothing but CONNECT is allowed. Once it is
    /// known, CONNECT is refused [MQTT-3.1.0-2].
    pub version: Option<Version>,
    /// The largest packet that we accept, in bytes, with its fixed header.
    pub max_packet_size: u32,
}

/// What was at the start of the buffer.
#[derive(Debug, Clone, PartialEq)]
pub enum Decoded<'a> {
    /// A whole packet.
    Packet {
        /// The packet, borrowed from the buffer.
        packet: Packet<'a>,
        /// How many bytes of the buffer it took.
        len: usize,
    },
    /// A packet that is not there as a whole, and is not known to be wrong.
    Incomplete {
        /// The length of the whole packet in bytes, once it is known.
        need: Option<usize>,
    },
}

/// Why a packet has no encoding. Nothing was appended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum EncodeError {
    /// A string or binary field is longer than 65,535 bytes.
    #[error("a field is longer than 65,535 bytes")]
    FieldTooLong,
    /// The packet is longer than its remaining length can say.
    #[error("the packet is longer than 268,435,455 bytes")]
    PacketTooLong,
    /// The version has no such packet, or the packet says another version.
    #[error("the version has no such packet")]
    NotInVersion,
    /// A packet identifier is missing (QoS 1 and 2).
    #[error("a packet identifier is missing")]
    NoPacketId,
    /// SUBSCRIBE or UNSUBSCRIBE without a filter, or its answer without a code.
    #[error("the packet has an empty list")]
    Empty,
}

/// Decodes the packet at the start of `buf`.
///
/// # Errors
/// The first rule that the bytes break, as soon as it can be known: the type and flags from the first byte, the size
/// from the fixed header, the rest when the packet is whole. The connection cannot go on after that.
pub fn decode<'a>(buf: &'a [u8], rules: &Rules) -> Result<Decoded<'a>, Violation> {
    let Some(header) = fixed_header::read(buf, rules)? else {
        return Ok(Decoded::Incomplete { need: None });
    };
    let len = header.header_len + header.remaining_len;
    let Some(body) = buf.get(header.header_len..len) else {
        return Ok(Decoded::Incomplete { need: Some(len) });
    };
    let packet = decode_body(&header, body, rules)?;
    Ok(Decoded::Packet { packet, len })
}

fn decode_body<'a>(header: &FixedHeader, body: &'a [u8], rules: &Rules) -> Result<Packet<'a>, Violation> {
    let Some(version) = rules.version else {
        return Ok(Packet::Connect(Box::new(connect::decode(body, header.is_minimal)?)));
    };
    let role = rules.role;
    Ok(match header.kind {
        Kind::Publish => Packet::Publish(publish::decode(header.flags, body, version, role)?),
        Kind::PubAck => Packet::PubAck(ack::decode(AckKind::PubAck, body, version, role)?),
        Kind::PubRec => Packet::PubRec(ack::decode(AckKind::PubRec, body, version, role)?),
        Kind::PubRel => Packet::PubRel(ack::decode(AckKind::PubRel, body, version, role)?),
        Kind::PubComp => Packet::PubComp(ack::decode(AckKind::PubComp, body, version, role)?),
        Kind::Connect => Packet::Connect(Box::new(connect::decode(body, header.is_minimal)?)),
        Kind::ConnAck => Packet::ConnAck(connack::decode(body, version)?),
        Kind::Subscribe => Packet::Subscribe(subscribe::decode_subscribe(body, version)?),
        Kind::SubAck => Packet::SubAck(suback::decode_suback(body, version)?),
        Kind::Unsubscribe => Packet::Unsubscribe(subscribe::decode_unsubscribe(body, version)?),
        Kind::UnsubAck => Packet::UnsubAck(suback::decode_unsuback(body, version)?),
        Kind::PingReq => outcome::decode_ping(Packet::PingReq, body, version)?,
        Kind::PingResp => outcome::decode_ping(Packet::PingResp, body, version)?,
        Kind::Disconnect => Packet::Disconnect(outcome::decode_disconnect(body, version, role)?),
        Kind::Auth => Packet::Auth(outcome::decode_auth(body, role)?),
    })
}

/// The protocol level that a CONNECT at the start of `buf` asks for, supported or not, without the bridge mark
/// (0x80). A server needs it to choose the form of the CONNACK that refuses it: 5 and above get the form of 5.0.
///
/// `None` when the bytes do not reach that far or are no CONNECT of MQTT.
#[must_use]
pub fn connect_level(buf: &[u8]) -> Option<u8> {
    let (&first, rest) = buf.split_first()?;
    if first >> 4 != Kind::Connect as u8 {
        return None;
    }
    let varint::Read::Value { len, .. } = varint::read(rest) else {
        return None;
    };
    connect::level(rest.get(len..)?)
}

/// Appends the encoding of `packet` to `out`. Properties are left out before 5.0, and so are reason codes where the
/// packet has none.
///
/// The packet is not validated: what [`decode`] of the other role would refuse (a wildcard in a topic, a reason code
/// that its sender may not use) is written as it is. PUBLISH is written from `properties`; `topic_alias` and `expiry`
/// only repeat them.
///
/// # Errors
/// The packet cannot be said in bytes. Then nothing was appended.
pub fn encode(packet: &Packet<'_>, version: Version, out: &mut Vec<u8>) -> Result<(), EncodeError> {
    let start = out.len();
    let result = encode_packet(packet, &mut Writer::new(out, version));
    if result.is_err() {
        out.truncate(start);
    }
    result
}

fn encode_packet(packet: &Packet<'_>, writer: &mut Writer<'_>) -> Result<(), EncodeError> {
    match packet {
        Packet::Connect(connect) => connect::encode(connect, writer),
        Packet::ConnAck(connack) => connack::encode(connack, writer),
        Packet::Publish(publish) => publish::encode(publish, writer),
        Packet::PubAck(ack) => ack::encode(AckKind::PubAck, ack, writer),
        Packet::PubRec(ack) => ack::encode(AckKind::PubRec, ack, writer),
        Packet::PubRel(ack) => ack::encode(AckKind::PubRel, ack, writer),
        Packet::PubComp(ack) => ack::encode(AckKind::PubComp, ack, writer),
        Packet::Subscribe(subscribe) => subscribe::encode_subscribe(subscribe, writer),
        Packet::SubAck(suback) => suback::encode_suback(suback, writer),
        Packet::Unsubscribe(unsubscribe) => subscribe::encode_unsubscribe(unsubscribe, writer),
        Packet::UnsubAck(unsuback) => suback::encode_unsuback(unsuback, writer),
        Packet::PingReq => writer.packet(0xC0, |_| Ok(())),
        Packet::PingResp => writer.packet(0xD0, |_| Ok(())),
        Packet::Disconnect(outcome) => outcome::encode_disconnect(outcome, writer),
        Packet::Auth(outcome) => outcome::encode_auth(outcome, writer),
    }
}
