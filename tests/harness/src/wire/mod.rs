//! MQTT packets as bytes, written from the standards alone and apart from Primer's codec.
//!
//! Builders give the bytes of one whole packet. They refuse nothing: a filter with U+0000, QoS 3 or a foreign property
//! is built as asked. What no builder can say, [`frame`] can: it puts a fixed header before any body.
//! [`parse`] reads one whole packet strictly enough to notice a wrong length, and judges no rule of the protocol.

mod build;
mod bytes;
mod connect;
mod parse;
pub mod prop;
mod publish;

pub use self::build::{
    Ack, ack_with, auth, disconnect, disconnect_with, pingreq, pingresp, puback, pubcomp, pubrec, pubrel, subscribe,
    subscribe_with, unsubscribe, unsubscribe_with,
};
pub use self::bytes::{binary, frame, string, varint};
pub use self::connect::{Connect, Will, connect};
pub use self::parse::{Packet, packet_length, parse, try_parse};
pub use self::prop::{Prop, Value};
pub use self::publish::{Publish, publish};

/// A version of the protocol, as CONNECT names it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Version {
    /// MQTT 3.1: `MQIsdp`, level 3.
    V31,
    /// MQTT 3.1.1: `MQTT`, level 4.
    V311,
    /// MQTT 5.0: `MQTT`, level 5.
    V5,
}

impl Version {
    /// The versions that the conformance tests run.
    pub const BOTH: [Self; 2] = [Self::V311, Self::V5];

    /// Whether packets of this version carry properties and reason codes.
    #[must_use]
    pub fn is_v5(self) -> bool {
        self == Self::V5
    }

    /// The protocol name in CONNECT.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::V31 => "MQIsdp",
            Self::V311 | Self::V5 => "MQTT",
        }
    }

    /// The protocol level in CONNECT.
    #[must_use]
    pub fn level(self) -> u8 {
        match self {
            Self::V31 => 3,
            Self::V311 => 4,
            Self::V5 => 5,
        }
    }
}
