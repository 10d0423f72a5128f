//! The small packets: acknowledgements, subscriptions, pings, and the end of a connection.

use super::Version;
use super::bytes::{frame, string};
use super::prop::{self, Prop};

/// The four packets that acknowledge a PUBLISH.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ack {
    /// QoS 1 is done.
    Puback,
    /// QoS 2, the first step.
    Pubrec,
    /// QoS 2, the second step, from the sender.
    Pubrel,
    /// QoS 2 is done.
    Pubcomp,
}

impl Ack {
    /// The first byte of the packet, flags included.
    #[must_use]
    pub fn first_byte(self) -> u8 {
        match self {
            Self::Puback => 0x40,
            Self::Pubrec => 0x50,
            Self::Pubrel => 0x62,
            Self::Pubcomp => 0x70,
        }
    }
}

/// A PUBACK in the short form, which all versions have.
#[must_use]
pub fn puback(pid: u16) -> Vec<u8> {
    frame(Ack::Puback.first_byte(), &pid.to_be_bytes())
}

/// A PUBREC in the short form.
#[must_use]
pub fn pubrec(pid: u16) -> Vec<u8> {
    frame(Ack::Pubrec.first_byte(), &pid.to_be_bytes())
}

/// A PUBREL in the short form.
#[must_use]
pub fn pubrel(pid: u16) -> Vec<u8> {
    frame(Ack::Pubrel.first_byte(), &pid.to_be_bytes())
}

/// A PUBCOMP in the short form.
#[must_use]
pub fn pubcomp(pid: u16) -> Vec<u8> {
    frame(Ack::Pubcomp.first_byte(), &pid.to_be_bytes())
}

/// An acknowledgement of 5.0 with its reason and, unless `props` is `None`, a property length and properties.
#[must_use]
pub fn ack_with(kind: Ack, pid: u16, reason: u8, props: Option<&[Prop]>) -> Vec<u8> {
    let mut body = pid.to_be_bytes().to_vec();
    body.push(reason);
    if let Some(props) = props {
        body.extend(prop::with_length(&prop::encode(props)));
    }
    frame(kind.first_byte(), &body)
}

/// A SUBSCRIBE to filters, each with its option byte (the QoS in bits 0 and 1; in 5.0: 0x04 no local, 0x08 retain as
/// published, 0x10 and 0x20 retain handling).
#[must_use]
pub fn subscribe(version: Version, pid: u16, filters: &[(&str, u8)]) -> Vec<u8> {
    subscribe_with(version, pid, filters, &[])
}

/// A SUBSCRIBE with properties, which are left out before 5.0.
#[must_use]
pub fn subscribe_with(version: Version, pid: u16, filters: &[(&str, u8)], props: &[Prop]) -> Vec<u8> {
    let mut body = head(version, pid, props);
    for (filter, options) in filters {
        body.extend(string(filter));
        body.push(*options);
    }
    frame(0x82, &body)
}

/// An UNSUBSCRIBE.
#[must_use]
pub fn unsubscribe(version: Version, pid: u16, filters: &[&str]) -> Vec<u8> {
    unsubscribe_with(version, pid, filters, &[])
}

/// An UNSUBSCRIBE with properties, which are left out before 5.0.
#[must_use]
pub fn unsubscribe_with(version: Version, pid: u16, filters: &[&str], props: &[Prop]) -> Vec<u8> {
    let mut body = head(version, pid, props);
    for filter in filters {
        body.extend(string(filter));
    }
    frame(0xa2, &body)
}

/// A PINGREQ.
#[must_use]
pub fn pingreq() -> Vec<u8> {
    vec![0xc0, 0]
}

/// A PINGRESP.
#[must_use]
pub fn pingresp() -> Vec<u8> {
    vec![0xd0, 0]
}

/// A DISCONNECT in the short form, which all versions have.
#[must_use]
pub fn disconnect() -> Vec<u8> {
    vec![0xe0, 0]
}

/// A DISCONNECT of 5.0 with its reason and, unless `props` is `None`, a property length and properties.
#[must_use]
pub fn disconnect_with(reason: u8, props: Option<&[Prop]>) -> Vec<u8> {
    reason_and_props(0xe0, reason, props)
}

/// An AUTH with its reason and, unless `props` is `None`, a property length and properties.
#[must_use]
pub fn auth(reason: u8, props: Option<&[Prop]>) -> Vec<u8> {
    reason_and_props(0xf0, reason, props)
}

fn reason_and_props(first_byte: u8, reason: u8, props: Option<&[Prop]>) -> Vec<u8> {
    let mut body = vec![reason];
    if let Some(props) = props {
        body.extend(prop::with_length(&prop::encode(props)));
    }
    frame(first_byte, &body)
}

fn head(version: Version, pid: u16, props: &[Prop]) -> Vec<u8> {
    let mut body = pid.to_be_bytes().to_vec();
    if version.is_v5() {
        body.extend(prop::with_length(&prop::encode(props)));
    }
    body
}
