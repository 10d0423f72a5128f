//! Which reason codes each packet of MQTT 5.0 may have, by sender, and the codes of CONNACK and SUBACK before 5.0.
//!
//! The one place that knows; taken from the "sent by" columns and the tables 3-1, 3-4 to 3-11 of the specification.

use super::{
    AckKind, Role,
    clause::{self, Clause},
};
use crate::{ReasonCode, Version, Violation};

/// CONNACK (table 3-1).
const CONNACK: &[u8] = &[
    0x00, 0x80, 0x81, 0x82, 0x83, 0x84, 0x85, 0x86, 0x87, 0x88, 0x89, 0x8A, 0x8C, 0x90, 0x95, 0x97, 0x99, 0x9A, 0x9B,
    0x9C, 0x9D, 0x9F,
];
/// PUBACK and PUBREC (tables 3-4, 3-5). 0x10 "is sent only by the Server".
const PUBLISHED_BY_SERVER: &[u8] = &[0x00, 0x10, 0x80, 0x83, 0x87, 0x90, 0x91, 0x97, 0x99];
const PUBLISHED_BY_CLIENT: &[u8] = &[0x00, 0x80, 0x83, 0x87, 0x90, 0x91, 0x97, 0x99];
/// PUBREL and PUBCOMP (tables 3-6, 3-7).
const RELEASED: &[u8] = &[0x00, 0x92];
/// SUBACK (table 3-8).
const SUBACK: &[u8] = &[0x00, 0x01, 0x02, 0x80, 0x83, 0x87, 0x8F, 0x91, 0x97, 0x9E, 0xA1, 0xA2];
/// UNSUBACK (table 3-9).
const UNSUBACK: &[u8] = &[0x00, 0x11, 0x80, 0x83, 0x87, 0x8F, 0x91];
/// DISCONNECT (table 3-10).
const DISCONNECT_BY_CLIENT: &[u8] =
    &[0x00, 0x04, 0x80, 0x81, 0x82, 0x83, 0x90, 0x93, 0x94, 0x95, 0x96, 0x97, 0x98, 0x99];
/// DISCONNECT (table 3-10). The table gives 0x00 to the client alone, but no statement forbids it to the server, the
/// short form means it, and brokers send it.
const DISCONNECT_BY_SERVER: &[u8] = &[
    0x00, 0x80, 0x81, 0x82, 0x83, 0x87, 0x89, 0x8B, 0x8D, 0x8E, 0x8F, 0x90, 0x93, 0x94, 0x95, 0x96, 0x97, 0x98, 0x99,
    0x9A, 0x9B, 0x9C, 0x9D, 0x9E, 0x9F, 0xA0, 0xA1, 0xA2,
];
/// AUTH (table 3-11).
const AUTH_BY_CLIENT: &[u8] = &[0x18, 0x19];
const AUTH_BY_SERVER: &[u8] = &[0x00, 0x18];

/// Return codes of CONNACK before 5.0 (3.1.1, table 3.1).
const CONNACK_V3: &[u8] = &[0, 1, 2, 3, 4, 5];
/// Return codes of SUBACK before 5.0 (3.1.1, 3.9.3).
const SUBACK_V3: &[u8] = &[0x00, 0x01, 0x02, 0x80];

/// Checks the code of an acknowledgement of 5.0 that `receiver` got.
pub(super) fn check_ack(kind: AckKind, code: u8, receiver: Role) -> Result<ReasonCode, Violation> {
    let published = match receiver {
        Role::Server => PUBLISHED_BY_CLIENT,
        Role::Client => PUBLISHED_BY_SERVER,
    };
    let (codes, clause) = match kind {
        AckKind::PubAck => (published, clause::PUBACK_CODE),
        AckKind::PubRec => (published, clause::PUBREC_CODE),
        AckKind::PubRel => (RELEASED, clause::PUBREL_CODE),
        AckKind::PubComp => (RELEASED, clause::PUBCOMP_CODE),
    };
    check(code, codes, clause, Version::V5)
}

/// Checks the code of a CONNACK.
pub(super) fn check_connack(code: u8, version: Version) -> Result<ReasonCode, Violation> {
    check(code, if version.is_v5() { CONNACK } else { CONNACK_V3 }, clause::CONNACK_CODE, version)
}

/// Checks each code of a SUBACK.
pub(super) fn check_suback(codes: &[u8], version: Version) -> Result<(), Violation> {
    let allowed = if version.is_v5() { SUBACK } else { SUBACK_V3 };
    check_all(codes, allowed, clause::SUBACK_CODE, version)
}

/// Checks each code of an UNSUBACK of 5.0.
pub(super) fn check_unsuback(codes: &[u8]) -> Result<(), Violation> {
    check_all(codes, UNSUBACK, clause::UNSUBACK_CODE, Version::V5)
}

/// Checks the code of a DISCONNECT of 5.0 that `receiver` got.
pub(super) fn check_disconnect(code: u8, receiver: Role) -> Result<ReasonCode, Violation> {
    let allowed = match receiver {
        Role::Server => DISCONNECT_BY_CLIENT,
        Role::Client => DISCONNECT_BY_SERVER,
    };
    check(code, allowed, clause::DISCONNECT_CODE, Version::V5)
}

/// Checks the code of an AUTH that `receiver` got.
pub(super) fn check_auth(code: u8, receiver: Role) -> Result<ReasonCode, Violation> {
    let allowed = match receiver {
        Role::Server => AUTH_BY_CLIENT,
        Role::Client => AUTH_BY_SERVER,
    };
    check(code, allowed, clause::AUTH_CODE, Version::V5)
}

fn check_all(codes: &[u8], allowed: &[u8], clause: Clause, version: Version) -> Result<(), Violation> {
    codes.iter().try_for_each(|&code| check(code, allowed, clause, version).map(drop))
}

fn check(code: u8, allowed: &[u8], clause: Clause, version: Version) -> Result<ReasonCode, Violation> {
    if allowed.contains(&code) {
        return Ok(ReasonCode(code));
    }
    Err(clause.protocol(version, "a reason code that this packet does not have from this sender"))
}
