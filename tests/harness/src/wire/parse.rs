//! Bytes to a packet: one whole packet at a time, either role, with every length checked.

use super::Version;
use super::build::Ack;
use super::bytes::Reader;
use super::connect::Connect;
use super::prop::{self, Prop};
use super::publish::Publish;

/// A packet that was read. Reasons are 0 and properties empty where the packet has none.
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "the fields are the standard's")]
pub enum Packet {
    /// The first packet of a client.
    Connect(Connect),
    /// The first packet of a server.
    Connack { session_present: bool, code: u8, props: Vec<Prop> },
    /// A message.
    Publish(Publish),
    /// PUBACK, PUBREC, PUBREL or PUBCOMP.
    Ack { kind: Ack, pid: u16, reason: u8, props: Vec<Prop> },
    /// Filters, each with its option byte.
    Subscribe { pid: u16, filters: Vec<(String, u8)>, props: Vec<Prop> },
    /// A code for each filter.
    Suback { pid: u16, codes: Vec<u8>, props: Vec<Prop> },
    /// Filters.
    Unsubscribe { pid: u16, filters: Vec<String>, props: Vec<Prop> },
    /// A code for each filter in 5.0, none before.
    Unsuback { pid: u16, codes: Vec<u8>, props: Vec<Prop> },
    /// A sign of life from a client.
    Pingreq,
    /// Its answer.
    Pingresp,
    /// The end of a connection.
    Disconnect { reason: u8, props: Vec<Prop> },
    /// A step of an enhanced authentication.
    Auth { reason: u8, props: Vec<Prop> },
}

/// The packet in these bytes, which must be all of it and nothing else.
///
/// # Panics
/// When the bytes are no such packet: what the broker sent is wrong, and so the test.
#[must_use]
#[track_caller]
pub fn parse(bytes: &[u8], v5: bool) -> Packet {
    match try_parse(bytes, v5) {
        Ok(packet) => packet,
        Err(error) => panic!("not a packet of MQTT {}: {error}\n{bytes:02x?}", if v5 { "5.0" } else { "3.1.1" }),
    }
}

/// As [`parse`], with the fault as a sentence.
///
/// # Errors
/// When the bytes are not one whole packet in the format of the version.
pub fn try_parse(bytes: &[u8], v5: bool) -> Result<Packet, String> {
    if packet_length(bytes)? != Some(bytes.len()) {
        return Err(format!("{} bytes are not the packet that the remaining length tells", bytes.len()));
    }
    let first_byte = bytes[0];
    let mut reader = Reader::new(&bytes[1..]);
    reader.varint()?;
    flags_are_right(first_byte)?;
    match first_byte >> 4 {
        1 => Connect::read(reader).map(Packet::Connect),
        2 => read_connack(reader, v5),
        3 => Publish::read(first_byte, v5, reader).map(Packet::Publish),
        4 => read_ack(Ack::Puback, reader, v5),
        5 => read_ack(Ack::Pubrec, reader, v5),
        6 => read_ack(Ack::Pubrel, reader, v5),
        7 => read_ack(Ack::Pubcomp, reader, v5),
        8 => read_subscribe(reader, v5),
        9 => {
            let (pid, props) = read_head(&mut reader, v5)?;
            Ok(Packet::Suback { pid, codes: reader.rest().to_vec(), props })
        }
        10 => read_unsubscribe(reader, v5),
        11 => {
            let (pid, props) = read_head(&mut reader, v5)?;
            Ok(Packet::Unsuback { pid, codes: reader.rest().to_vec(), props })
        }
        12 => reader.end().map(|()| Packet::Pingreq),
        13 => reader.end().map(|()| Packet::Pingresp),
        14 => read_reason(reader, v5).map(|(reason, props)| Packet::Disconnect { reason, props }),
        15 if v5 => read_reason(reader, v5).map(|(reason, props)| Packet::Auth { reason, props }),
        kind => Err(format!("no packet has type {kind}")),
    }
}

/// How many bytes the packet that starts here has; `None` while its remaining length is still to come.
///
/// # Errors
/// When the remaining length has more than four bytes or more than it needs.
pub fn packet_length(bytes: &[u8]) -> Result<Option<usize>, String> {
    let Some(length_bytes) = bytes.get(1..) else { return Ok(None) };
    let head = length_bytes.get(..4).unwrap_or(length_bytes);
    let Some(last) = head.iter().position(|byte| byte & 0x80 == 0) else {
        return if head.len() < 4 { Ok(None) } else { Err("the remaining length has more than four bytes".to_owned()) };
    };
    let remaining = Reader::new(&head[..=last]).varint()?;
    let remaining = usize::try_from(remaining).map_err(|error| error.to_string())?;
    Ok(Some(1 + last + 1 + remaining))
}

/// All packets but PUBLISH have fixed flags [MQTT-2.1.3-1].
fn flags_are_right(first_byte: u8) -> Result<(), String> {
    let wanted = match first_byte >> 4 {
        3 => return Ok(()),
        6 | 8 | 10 => 0x02,
        _ => 0x00,
    };
    if first_byte & 0x0f == wanted { Ok(()) } else { Err(format!("the first byte {first_byte:#04x} has wrong flags")) }
}

fn read_connack(mut reader: Reader<'_>, v5: bool) -> Result<Packet, String> {
    let flags = reader.u8()?;
    if flags > 1 {
        return Err(format!("CONNACK flags {flags:#04x}"));
    }
    let code = reader.u8()?;
    let props = if v5 { prop::read(&mut reader)? } else { Vec::new() };
    reader.end()?;
    Ok(Packet::Connack { session_present: flags == 1, code, props })
}

fn read_ack(kind: Ack, mut reader: Reader<'_>, v5: bool) -> Result<Packet, String> {
    let pid = reader.u16()?;
    let (reason, props) = read_reason(reader, v5)?;
    Ok(Packet::Ack { kind, pid, reason, props })
}

/// A reason and properties, each of which 5.0 may leave out from the end, and versions before 5.0 do not have.
fn read_reason(mut reader: Reader<'_>, v5: bool) -> Result<(u8, Vec<Prop>), String> {
    if !v5 || reader.is_empty() {
        reader.end()?;
        return Ok((0, Vec::new()));
    }
    let reason = reader.u8()?;
    let props = if reader.is_empty() { Vec::new() } else { prop::read(&mut reader)? };
    reader.end()?;
    Ok((reason, props))
}

fn read_head(reader: &mut Reader<'_>, v5: bool) -> Result<(u16, Vec<Prop>), String> {
    let pid = reader.u16()?;
    let props = if v5 { prop::read(reader)? } else { Vec::new() };
    Ok((pid, props))
}

fn read_subscribe(mut reader: Reader<'_>, v5: bool) -> Result<Packet, String> {
    let (pid, props) = read_head(&mut reader, v5)?;
    let mut filters = Vec::new();
    while !reader.is_empty() {
        filters.push((reader.string()?, reader.u8()?));
    }
    Ok(Packet::Subscribe { pid, filters, props })
}

fn read_unsubscribe(mut reader: Reader<'_>, v5: bool) -> Result<Packet, String> {
    let (pid, props) = read_head(&mut reader, v5)?;
    let mut filters = Vec::new();
    while !reader.is_empty() {
        filters.push(reader.string()?);
    }
    Ok(Packet::Unsubscribe { pid, filters, props })
}

impl Packet {
    /// The reason or return code of an answer, whichever packet it is; `None` where the packet has no single one.
    #[must_use]
    pub fn reason(&self) -> Option<u8> {
        match self {
            Self::Connack { code: reason, .. }
            | Self::Ack { reason, .. }
            | Self::Disconnect { reason, .. }
            | Self::Auth { reason, .. } => Some(*reason),
            _ => None,
        }
    }

    /// The properties of the packet; those of a PUBLISH and an answer alike. A CONNECT's are bytes and not here.
    #[must_use]
    pub fn props(&self) -> &[Prop] {
        match self {
            Self::Connack { props, .. }
            | Self::Ack { props, .. }
            | Self::Subscribe { props, .. }
            | Self::Suback { props, .. }
            | Self::Unsubscribe { props, .. }
            | Self::Unsuback { props, .. }
            | Self::Disconnect { props, .. }
            | Self::Auth { props, .. }
            | Self::Publish(Publish { props, .. }) => props,
            Self::Connect(_) | Self::Pingreq | Self::Pingresp => &[],
        }
    }

    /// Whether a client of this version may receive the packet.
    #[must_use]
    pub fn is_from_a_server(&self, version: Version) -> bool {
        match self {
            Self::Connect(_) | Self::Subscribe { .. } | Self::Unsubscribe { .. } | Self::Pingreq => false,
            Self::Disconnect { .. } | Self::Auth { .. } => version.is_v5(),
            _ => true,
        }
    }
}

#[cfg(test)]
#[path = "parse_tests.rs"]
mod tests;
