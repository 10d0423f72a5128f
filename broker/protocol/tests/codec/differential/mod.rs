//! The codec against mqttbytes 0.6, both ways: what we encode, it reads as the same packet; what it encodes, we do.
//!
//! Packets that mqttbytes cannot say or gets wrong are left out in `v4` and `v5`, each with the reason.

mod v4;
mod v5;

use crate::generate::{Kind, Sample, Source, kinds};
use bytes::BytesMut;
use primer_mqtt::{
    Version,
    codec::{
        Decoded, Role, Rules, decode, encode,
        packet::{Connect, Packet, QoS},
    },
};

const SENDERS: [Role; 2] = [Role::Client, Role::Server];

/// How mqttbytes 0.6 sees a packet of one version.
trait Theirs: Sized + PartialEq + std::fmt::Debug {
    const VERSION: Version;

    /// `None` for what mqttbytes does not have.
    fn from_ours(packet: &Packet<'_>) -> Option<Self>;
    /// Whether mqttbytes reads this right.
    fn is_read_right(packet: &Packet<'_>) -> bool;
    /// Whether mqttbytes writes this right.
    fn is_written_right(packet: &Packet<'_>) -> bool;
    fn read(bytes: &mut BytesMut) -> Self;
    fn write(&self, bytes: &mut BytesMut);
}

fn compare<T: Theirs>(kind: Kind, sender: Role, choices: &[u8]) {
    let sample = Sample::new(kind, T::VERSION, sender, &mut Source::new(choices));
    let packet = sample.packet();
    let Some(theirs) = T::from_ours(&packet) else {
        return;
    };
    if T::is_read_right(&packet) {
        let mut ours = Vec::new();
        encode(&packet, T::VERSION, &mut ours).unwrap();
        let mut bytes = BytesMut::from(&ours[..]);
        assert_eq!(T::read(&mut bytes), theirs, "mqttbytes reads what we encode");
        assert!(bytes.is_empty());
    }
    if T::is_written_right(&packet) {
        let mut bytes = BytesMut::new();
        theirs.write(&mut bytes);
        let version = if kind == Kind::Connect { None } else { Some(T::VERSION) };
        let role = if sender == Role::Client { Role::Server } else { Role::Client };
        let rules = Rules { role, version, max_packet_size: u32::MAX };
        let Ok(Decoded::Packet { packet, len }) = decode(&bytes, &rules) else {
            panic!("mqttbytes encodes {theirs:?} as {bytes:?}, which is {:?}", decode(&bytes, &rules));
        };
        assert_eq!(len, bytes.len());
        assert_eq!(T::from_ours(&packet), Some(theirs), "we read what mqttbytes encodes");
    }
}

fn compare_all<T: Theirs>(choices: &[u8]) {
    for sender in SENDERS {
        for kind in kinds(sender, T::VERSION) {
            compare::<T>(kind, sender, choices);
        }
    }
}

proptest::proptest! {
    #![proptest_config(proptest::prelude::ProptestConfig {
        cases: 400,
        failure_persistence: None,
        ..Default::default()
    })]

    #[test]
    fn mqtt_3_1_1(choices in proptest::collection::vec(proptest::prelude::any::<u8>(), 0..250)) {
        compare_all::<mqttbytes::v4::Packet>(&choices);
    }

    #[test]
    fn mqtt_5(choices in proptest::collection::vec(proptest::prelude::any::<u8>(), 0..250)) {
        compare_all::<mqttbytes::v5::Packet>(&choices);
    }
}

const fn qos(qos: QoS) -> mqttbytes::QoS {
    match qos {
        QoS::AtMostOnce => mqttbytes::QoS::AtMostOnce,
        QoS::AtLeastOnce => mqttbytes::QoS::AtLeastOnce,
        QoS::ExactlyOnce => mqttbytes::QoS::ExactlyOnce,
    }
}

/// User name and password. mqttbytes has no passwords but text, and takes an empty field for an absent one.
fn login(connect: &Connect<'_>) -> Option<Option<(String, String)>> {
    let password = String::from_utf8(connect.password.unwrap_or_default().to_vec()).ok()?;
    let username = connect.username.unwrap_or_default().to_owned();
    let is_absent = username.is_empty() && password.is_empty();
    Some((!is_absent).then_some((username, password)))
}

/// mqttbytes leaves an empty user name out, and so writes a password alone, which 3.1.1 forbids.
fn writes_login_right(connect: &Connect<'_>) -> bool {
    connect.version.is_v5() || connect.username.is_some_and(|name| !name.is_empty()) || connect.password.is_none()
}
