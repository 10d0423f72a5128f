//! CONNECT, with every option of each version.

use super::Version;
use super::bytes::{Reader, binary, frame, string};
use super::prop::{self, Prop};

/// A CONNECT packet in the making, and one that was read.
///
/// Each part is present when it is asked for; the flags follow from the parts. `flags` overrides them, for damage.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Connect {
    /// The version; its name and level go into the packet.
    pub version: Version,
    /// The client identifier.
    pub id: String,
    /// Clean session (3.1.1) or clean start (5.0).
    pub clean: bool,
    /// Keep alive in seconds; 0 is none.
    pub keep_alive: u16,
    /// The will.
    pub will: Option<Will>,
    /// The user name.
    pub user: Option<String>,
    /// The password, which may be any bytes.
    pub password: Option<Vec<u8>>,
    /// The bytes of the properties, without their length. Left out before 5.0.
    pub props: Vec<u8>,
    /// The connect flags to send in place of those that follow from the other fields.
    pub flags: Option<u8>,
}

/// The will of a CONNECT packet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Will {
    /// The topic that it is published to.
    pub topic: String,
    /// The payload.
    pub payload: Vec<u8>,
    /// 0 to 2; 3 goes into the packet as it is.
    pub qos: u8,
    /// Whether it is to be retained.
    pub retain: bool,
    /// The bytes of the will's properties, without their length. Left out before 5.0.
    pub props: Vec<u8>,
}

/// A CONNECT with a clean session, a keep alive of 60 s, and nothing else.
#[must_use]
pub fn connect(version: Version, id: &str) -> Connect {
    Connect {
        version,
        id: id.to_owned(),
        clean: true,
        keep_alive: 60,
        will: None,
        user: None,
        password: None,
        props: Vec::new(),
        flags: None,
    }
}

impl Will {
    /// A will with QoS 0, not retained.
    #[must_use]
    pub fn new(topic: &str, payload: &[u8]) -> Self {
        Self { topic: topic.to_owned(), payload: payload.to_vec(), qos: 0, retain: false, props: Vec::new() }
    }

    /// Sets the QoS.
    #[must_use]
    pub fn qos(mut self, qos: u8) -> Self {
        self.qos = qos;
        self
    }

    /// Asks to retain it.
    #[must_use]
    pub fn retain(mut self) -> Self {
        self.retain = true;
        self
    }

    /// Adds properties of the will.
    #[must_use]
    pub fn props(mut self, props: &[Prop]) -> Self {
        self.props.extend(prop::encode(props));
        self
    }
}

impl Connect {
    /// Sets clean session or clean start.
    #[must_use]
    pub fn clean(mut self, clean: bool) -> Self {
        self.clean = clean;
        self
    }

    /// Sets the keep alive in seconds.
    #[must_use]
    pub fn keep_alive(mut self, seconds: u16) -> Self {
        self.keep_alive = seconds;
        self
    }

    /// Sets the will.
    #[must_use]
    pub fn will(mut self, will: Will) -> Self {
        self.will = Some(will);
        self
    }

    /// Sets the user name.
    #[must_use]
    pub fn user(mut self, user: &str) -> Self {
        self.user = Some(user.to_owned());
        self
    }

    /// Sets the password.
    #[must_use]
    pub fn password(mut self, password: &[u8]) -> Self {
        self.password = Some(password.to_vec());
        self
    }

    /// Adds properties.
    #[must_use]
    pub fn props(mut self, props: &[Prop]) -> Self {
        self.props.extend(prop::encode(props));
        self
    }

    /// Adds the bytes of properties as they are.
    #[must_use]
    pub fn raw_props(mut self, bytes: &[u8]) -> Self {
        self.props.extend_from_slice(bytes);
        self
    }

    /// Asks for a session that stays for so many seconds after the connection: the property in 5.0; before, `clean`
    /// alone decides, and this clears it.
    #[must_use]
    pub fn session_expiry(mut self, seconds: u32) -> Self {
        if self.version.is_v5() {
            self.props.extend(prop::encode(&[prop::session_expiry_interval(seconds)]));
        } else {
            self.clean = false;
        }
        self
    }

    /// Sends these connect flags in place of the right ones.
    #[must_use]
    pub fn flags(mut self, flags: u8) -> Self {
        self.flags = Some(flags);
        self
    }

    /// The packet.
    #[must_use]
    pub fn build(&self) -> Vec<u8> {
        let mut body = string(self.version.name());
        body.push(self.version.level());
        body.push(self.flags.unwrap_or_else(|| self.right_flags()));
        body.extend(self.keep_alive.to_be_bytes());
        if self.version.is_v5() {
            body.extend(prop::with_length(&self.props));
        }
        body.extend(string(&self.id));
        if let Some(will) = &self.will {
            if self.version.is_v5() {
                body.extend(prop::with_length(&will.props));
            }
            body.extend(string(&will.topic));
            body.extend(binary(&will.payload));
        }
        if let Some(user) = &self.user {
            body.extend(string(user));
        }
        if let Some(password) = &self.password {
            body.extend(binary(password));
        }
        frame(0x10, &body)
    }

    fn right_flags(&self) -> u8 {
        let mut flags = u8::from(self.clean) << 1;
        if let Some(will) = &self.will {
            flags |= 0x04 | (will.qos << 3) | (u8::from(will.retain) << 5);
        }
        flags | (u8::from(self.password.is_some()) << 6) | (u8::from(self.user.is_some()) << 7)
    }

    pub(super) fn read(mut reader: Reader<'_>) -> Result<Self, String> {
        let name = reader.string()?;
        let level = reader.u8()?;
        let version = [Version::V31, Version::V311, Version::V5]
            .into_iter()
            .find(|version| version.name() == name && version.level() == level)
            .ok_or_else(|| format!("CONNECT names {name:?}, level {level}"))?;
        let flags = reader.u8()?;
        let mut packet = connect(version, "");
        packet.clean = flags & 0x02 != 0;
        packet.keep_alive = reader.u16()?;
        if version.is_v5() {
            packet.props = prop::encode(&prop::read(&mut reader)?);
        }
        packet.id = reader.string()?;
        if flags & 0x04 != 0 {
            packet.will = Some(read_will(&mut reader, version, flags)?);
        }
        if flags & 0x80 != 0 {
            packet.user = Some(reader.string()?);
        }
        if flags & 0x40 != 0 {
            packet.password = Some(reader.binary()?.to_vec());
        }
        reader.end()?;
        Ok(packet)
    }
}

fn read_will(reader: &mut Reader<'_>, version: Version, flags: u8) -> Result<Will, String> {
    let props = if version.is_v5() { prop::encode(&prop::read(reader)?) } else { Vec::new() };
    let topic = reader.string()?;
    let payload = reader.binary()?.to_vec();
    Ok(Will { topic, payload, qos: (flags >> 3) & 3, retain: flags & 0x20 != 0, props })
}

#[cfg(test)]
mod tests {
    use super::super::{Packet, parse};
    use super::*;

    #[test]
    fn the_plain_packet_is_that_of_the_standard() {
        let bytes = connect(Version::V311, "ab").keep_alive(10).build();
        assert_eq!(bytes, [0x10, 14, 0, 4, b'M', b'Q', b'T', b'T', 4, 0x02, 0, 10, 0, 2, b'a', b'b']);
        let bytes = connect(Version::V31, "").clean(false).keep_alive(0).build();
        assert_eq!(bytes, [0x10, 14, 0, 6, b'M', b'Q', b'I', b's', b'd', b'p', 3, 0, 0, 0, 0, 0]);
        let bytes = connect(Version::V5, "").props(&[prop::receive_maximum(5)]).build();
        assert_eq!(bytes, [0x10, 16, 0, 4, b'M', b'Q', b'T', b'T', 5, 0x02, 0, 60, 3, 0x21, 0, 5, 0, 0]);
    }

    #[test]
    fn all_options_come_back() {
        for version in [Version::V31, Version::V311, Version::V5] {
            let mut packet = connect(version, "id")
                .clean(false)
                .will(Will::new("w/é", b"gone").qos(2).retain())
                .user("")
                .password(&[0xff, 0x00])
                .session_expiry(9);
            if version.is_v5() {
                packet.will = packet.will.map(|will| will.props(&[prop::will_delay_interval(3)]));
            }
            assert_eq!(parse(&packet.build(), version.is_v5()), Packet::Connect(packet));
        }
    }

    #[test]
    fn flags_can_be_damaged() {
        assert_eq!(connect(Version::V311, "a").flags(0x03).build()[9], 0x03);
    }
}
