//! The first two to five bytes of a packet (MQTT 5.0, 2.1; MQTT 3.1.1, 2.2).
//!
//! Refuses what the first byte alone shows to be wrong: a reserved type, one that this side does not send or not now,
//! and flags. MQTT 3.1 calls the flags of most packets unused and lets DUP be set on what is sent again; there they
//! are not looked at.

use super::{
    Role, Rules,
    clause::{self, Clause},
    varint,
};
use crate::{ReasonCode, Version, Violation};

/// The type of a control packet, with its number (table 2.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub(super) enum Kind {
    Connect = 1,
    ConnAck = 2,
    Publish = 3,
    PubAck = 4,
    PubRec = 5,
    PubRel = 6,
    PubComp = 7,
    Subscribe = 8,
    SubAck = 9,
    Unsubscribe = 10,
    UnsubAck = 11,
    PingReq = 12,
    PingResp = 13,
    Disconnect = 14,
    Auth = 15,
}

/// A fixed header whose type, flags and size are allowed.
#[derive(Debug, Clone, Copy)]
pub(super) struct FixedHeader {
    pub(super) kind: Kind,
    /// The lower four bits of the first byte.
    pub(super) flags: u8,
    /// Of the fixed header, 2 to 5 bytes.
    pub(super) header_len: usize,
    /// Of what follows it.
    pub(super) remaining_len: usize,
    /// Whether the remaining length is in its shortest form. CONNECT has to ask, once it knows its version.
    pub(super) is_minimal: bool,
}

/// Reads the fixed header; `None` when it is not whole.
#[inline]
pub(super) fn read(buf: &[u8], rules: &Rules) -> Result<Option<FixedHeader>, Violation> {
    let Some((&first, rest)) = buf.split_first() else {
        return Ok(None);
    };
    let version = rules.version.unwrap_or(Version::V311);
    let kind = kind(first >> 4, rules)?;
    let flags = first & 0x0F;
    check_flags(kind, flags, version)?;
    match varint::read(rest) {
        varint::Read::Value { value, len, is_minimal } => {
            if version.is_v5() && !is_minimal {
                return Err(clause::VARINT_MINIMAL.malformed(version, "the remaining length is padded"));
            }
            check_size(value, len, rules)?;
            let remaining_len =
                usize::try_from(value).map_err(|_| too_large(rules, "the packet is larger than memory"))?;
            Ok(Some(FixedHeader { kind, flags, header_len: len + 1, remaining_len, is_minimal }))
        }
        varint::Read::Incomplete => Ok(None),
        varint::Read::TooLong => {
            Err(clause::VARINT.malformed(version, "the remaining length has more than four bytes"))
        }
    }
}

#[inline]
fn check_size(remaining_len: u32, length_bytes: usize, rules: &Rules) -> Result<(), Violation> {
    let header_len = u32::try_from(length_bytes + 1).unwrap_or(u32::MAX);
    if remaining_len.saturating_add(header_len) > rules.max_packet_size {
        return Err(too_large(rules, "the packet is larger than the maximum packet size"));
    }
    Ok(())
}

#[cold]
fn too_large(rules: &Rules, detail: &'static str) -> Violation {
    let clause = match rules.role {
        Role::Server => clause::SIZE_TO_SERVER,
        Role::Client => clause::SIZE_TO_CLIENT,
    };
    clause.with(rules.version.unwrap_or(Version::V311), ReasonCode::PACKET_TOO_LARGE, detail)
}

/// The type, if the peer may send it now.
#[inline]
fn kind(number: u8, rules: &Rules) -> Result<Kind, Violation> {
    let kind = match number {
        1 => Kind::Connect,
        2 => Kind::ConnAck,
        3 => Kind::Publish,
        4 => Kind::PubAck,
        5 => Kind::PubRec,
        6 => Kind::PubRel,
        7 => Kind::PubComp,
        8 => Kind::Subscribe,
        9 => Kind::SubAck,
        10 => Kind::Unsubscribe,
        11 => Kind::UnsubAck,
        12 => Kind::PingReq,
        13 => Kind::PingResp,
        14 => Kind::Disconnect,
        15 => Kind::Auth,
        _ => {
            let version = rules.version.unwrap_or(Version::V311);
            return Err(clause::PACKET_TYPE.malformed(version, "packet type 0 is reserved"));
        }
    };
    check_sender(kind, rules)?;
    Ok(kind)
}

#[inline]
fn check_sender(kind: Kind, rules: &Rules) -> Result<(), Violation> {
    let Some(version) = rules.version else {
        if kind == Kind::Connect && rules.role == Role::Server {
            return Ok(());
        }
        return Err(clause::CONNECT_FIRST.protocol(Version::V311, "the first packet is not CONNECT"));
    };
    let is_sent = match kind {
        Kind::Subscribe | Kind::Unsubscribe | Kind::PingReq => rules.role == Role::Server,
        Kind::ConnAck | Kind::SubAck | Kind::UnsubAck | Kind::PingResp => rules.role == Role::Client,
        Kind::Disconnect => rules.role == Role::Server || version.is_v5(),
        Kind::Auth if !version.is_v5() => {
            return Err(clause::PACKET_TYPE.malformed(version, "packet type 15 is reserved before MQTT 5.0"));
        }
        Kind::Publish | Kind::PubAck | Kind::PubRec | Kind::PubRel | Kind::PubComp | Kind::Auth => true,
        Kind::Connect if rules.role == Role::Server => {
            return Err(clause::CONNECT_ONCE.protocol(version, "a second CONNECT"));
        }
        Kind::Connect => false,
    };
    if is_sent {
        return Ok(());
    }
    Err(clause::PACKET_TYPE.protocol(version, "the peer does not send packets of this type"))
}

#[inline]
fn check_flags(kind: Kind, flags: u8, version: Version) -> Result<(), Violation> {
    let (expected, clause) = match kind {
        Kind::Publish => return check_publish_flags(flags, version),
        Kind::PubRel => (0x02, clause::FLAGS_PUBREL),
        Kind::Subscribe => (0x02, clause::FLAGS_SUBSCRIBE),
        Kind::Unsubscribe => (0x02, clause::FLAGS_UNSUBSCRIBE),
        Kind::Disconnect => (0x00, clause::FLAGS_DISCONNECT),
        Kind::Auth => (0x00, clause::FLAGS_AUTH),
        Kind::Connect
        | Kind::ConnAck
        | Kind::PubAck
        | Kind::PubRec
        | Kind::PubComp
        | Kind::SubAck
        | Kind::UnsubAck
        | Kind::PingReq
        | Kind::PingResp => (0x00, clause::FLAGS),
    };
    if flags == expected || version == Version::V31 {
        return Ok(());
    }
    Err(wrong_flags(clause, version))
}

#[cold]
fn wrong_flags(clause: Clause, version: Version) -> Violation {
    clause.malformed(version, "reserved flags of the fixed header are not as they must be")
}

#[inline]
fn check_publish_flags(flags: u8, version: Version) -> Result<(), Violation> {
    match (flags >> 1) & 0x03 {
        3 => Err(clause::PUBLISH_QOS.malformed(version, "PUBLISH has QoS 3")),
        0 if flags & 0x08 != 0 => Err(clause::PUBLISH_DUP.malformed(version, "PUBLISH has DUP and QoS 0")),
        _ => Ok(()),
    }
}
