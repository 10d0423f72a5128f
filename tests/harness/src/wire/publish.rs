//! PUBLISH, in the making and as it was read.

use super::Version;
use super::bytes::{Reader, frame, string};
use super::prop::{self, Prop};

/// A PUBLISH packet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Publish {
    /// Decides whether properties are written. A packet that was read has `V311` for all that is not 5.0.
    pub version: Version,
    /// Whether the sender may have sent it before.
    pub dup: bool,
    /// 0 to 2; 3 goes into the packet as it is.
    pub qos: u8,
    /// Whether it is to be kept, or was.
    pub retain: bool,
    /// The topic; empty where an alias stands for it.
    pub topic: String,
    /// The packet identifier, which QoS 0 has not. It is written when it is set.
    pub pid: Option<u16>,
    /// The properties.
    pub props: Vec<Prop>,
    /// The payload.
    pub payload: Vec<u8>,
}

/// A PUBLISH with QoS 0.
#[must_use]
pub fn publish(version: Version, topic: &str, payload: &[u8]) -> Publish {
    Publish {
        version,
        dup: false,
        qos: 0,
        retain: false,
        topic: topic.to_owned(),
        pid: None,
        props: Vec::new(),
        payload: payload.to_vec(),
    }
}

impl Publish {
    /// Sets the QoS, 1 or 2, and the packet identifier.
    #[must_use]
    pub fn qos(mut self, qos: u8, pid: u16) -> Self {
        self.qos = qos;
        self.pid = Some(pid);
        self
    }

    /// Sets the retain flag.
    #[must_use]
    pub fn retain(mut self) -> Self {
        self.retain = true;
        self
    }

    /// Sets the dup flag.
    #[must_use]
    pub fn dup(mut self) -> Self {
        self.dup = true;
        self
    }

    /// Adds properties.
    #[must_use]
    pub fn props(mut self, props: &[Prop]) -> Self {
        self.props.extend_from_slice(props);
        self
    }

    /// The payload as text, for messages of tests.
    #[must_use]
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.payload).into_owned()
    }

    /// The packet.
    #[must_use]
    pub fn build(&self) -> Vec<u8> {
        let mut body = string(&self.topic);
        if let Some(pid) = self.pid {
            body.extend(pid.to_be_bytes());
        }
        if self.version.is_v5() {
            body.extend(prop::with_length(&prop::encode(&self.props)));
        }
        body.extend_from_slice(&self.payload);
        let first_byte = 0x30 | (u8::from(self.dup) << 3) | (self.qos << 1) | u8::from(self.retain);
        frame(first_byte, &body)
    }

    pub(super) fn read(first_byte: u8, v5: bool, mut reader: Reader<'_>) -> Result<Self, String> {
        let version = if v5 { Version::V5 } else { Version::V311 };
        let mut packet = publish(version, &reader.string()?, b"");
        packet.dup = first_byte & 0x08 != 0;
        packet.qos = (first_byte >> 1) & 3;
        packet.retain = first_byte & 0x01 != 0;
        if packet.qos > 0 {
            packet.pid = Some(reader.u16()?);
        }
        if v5 {
            packet.props = prop::read(&mut reader)?;
        }
        packet.payload = reader.rest().to_vec();
        Ok(packet)
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Packet, parse};
    use super::*;

    #[test]
    fn the_bytes_are_those_of_the_standard() {
        assert_eq!(publish(Version::V311, "a/b", b"x").build(), [0x30, 6, 0, 3, b'a', b'/', b'b', b'x']);
        assert_eq!(publish(Version::V5, "a", b"").qos(1, 10).retain().build(), [0x33, 6, 0, 1, b'a', 0, 10, 0]);
    }

    #[test]
    fn all_options_come_back() {
        for version in Version::BOTH {
            for packet in [
                publish(version, "é/$", b""),
                publish(version, "t", &[0; 300]).qos(1, 1).dup(),
                publish(version, "t", &[0xff]).qos(2, u16::MAX).retain(),
            ] {
                assert_eq!(parse(&packet.build(), version.is_v5()), Packet::Publish(packet));
            }
        }
        let ids: Vec<_> = [1, 2, 3].map(prop::subscription_identifier).into();
        let packet = publish(Version::V5, "", b"p").props(&[prop::topic_alias(1)]).props(&ids);
        assert_eq!(parse(&packet.build(), true), Packet::Publish(packet));
    }
}
