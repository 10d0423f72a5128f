//! How a named case is written down and judged. The cases themselves are in `cases_v4` and `cases_v5`.

use primer_mqtt::{
    ReasonCode, Version,
    codec::{Decoded, Role, Rules, connect_level, decode},
};

/// What has to become of a case.
pub(crate) enum Is {
    Legal,
    /// The reason code and the clause.
    Bad(ReasonCode, &'static str),
}

pub(crate) const MALFORMED: ReasonCode = ReasonCode::MALFORMED_PACKET;
pub(crate) const PROTOCOL: ReasonCode = ReasonCode::PROTOCOL_ERROR;
pub(crate) const NAME: ReasonCode = ReasonCode::TOPIC_NAME_INVALID;
pub(crate) const FILTER: ReasonCode = ReasonCode::TOPIC_FILTER_INVALID;

/// A case: its words, the bytes, and what has to become of it.
pub(crate) struct Case(pub(crate) &'static str, pub(crate) Vec<u8>, pub(crate) Is);

/// The bytes behind a first byte, with their length.
pub(crate) fn packet(first: u8, body: &[&[u8]]) -> Vec<u8> {
    let body = body.concat();
    let mut out = vec![first];
    let mut len = body.len();
    loop {
        let low = u8::try_from(len % 128).unwrap();
        len /= 128;
        out.push(if len > 0 { low | 0x80 } else { low });
        if len == 0 {
            break;
        }
    }
    out.extend(body);
    out
}

/// A field behind its length.
pub(crate) fn field(bytes: impl AsRef<[u8]>) -> Vec<u8> {
    let bytes = bytes.as_ref();
    let mut out = u16::try_from(bytes.len()).unwrap().to_be_bytes().to_vec();
    out.extend_from_slice(bytes);
    out
}

pub(crate) fn decode_one(
    bytes: &[u8],
    role: Role,
    version: Option<Version>,
) -> Result<usize, (ReasonCode, &'static str)> {
    let rules = Rules { role, version, max_packet_size: u32::MAX };
    match decode(bytes, &rules) {
        Ok(Decoded::Packet { len, .. }) => Ok(len),
        Ok(Decoded::Incomplete { need }) => panic!("incomplete, needs {need:?} of {} bytes", bytes.len()),
        Err(violation) => Err((violation.reason, violation.clause)),
    }
}

/// Judges cases. CONNECT comes before the version is known; everything else after.
pub(crate) fn judge(cases: Vec<Case>, role: Role, version: Version) {
    let mut wrong = Vec::new();
    for Case(name, bytes, is) in cases {
        let is_connect = bytes.first().is_some_and(|first| first >> 4 == 1);
        let version = if is_connect { None } else { Some(version) };
        let got = decode_one(&bytes, role, version);
        let is_right = match (&got, &is) {
            (Ok(len), Is::Legal) => *len == bytes.len(),
            (Err((reason, clause)), Is::Bad(wanted, named)) => reason == wanted && clause == named,
            _ => false,
        };
        if !is_right {
            wrong.push(format!("{name}: {got:?}"));
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

fn server(version: Option<Version>) -> Rules {
    Rules { role: Role::Server, version, max_packet_size: u32::MAX }
}

#[test]
fn the_level_of_a_refused_connect_is_known() {
    for (name, level, supported) in [
        ("MQTT", 4, true),
        ("MQTT", 5, true),
        ("MQIsdp", 3, true),
        ("MQTT", 0x84, true),
        ("MQIsdp", 0x83, true),
        ("MQTT", 3, false),
        ("MQTT", 6, false),
        ("MQTT", 0, false),
        ("MQIsdp", 4, false),
        ("MQIsdp", 5, false),
    ] {
        let properties: &[u8] = if level == 5 { &[0] } else { &[] };
        let bytes = packet(0x10, &[&field(name), &[level, 2, 0, 0], properties, &field("c")]);
        assert_eq!(connect_level(&bytes), Some(level & 0x7F), "{name}");
        match decode_one(&bytes, Role::Server, None) {
            Ok(_) => assert!(supported, "{name} {level}"),
            Err(got) => {
                assert!(!supported, "{name} {level}");
                assert_eq!(got, (ReasonCode::UNSUPPORTED_PROTOCOL_VERSION, "MQTT-3.1.2-2"));
            }
        }
    }
    let bytes = packet(0x10, &[&field("HTTP"), &[4, 2, 0, 0], &field("c")]);
    assert_eq!(connect_level(&bytes), None);
    assert_eq!(decode_one(&bytes, Role::Server, None), Err((MALFORMED, "MQTT-3.1.2-1")));
    assert_eq!(connect_level(&[0x30, 9, 0, 4, b'M', b'Q', b'T', b'T', 4]), None);
    assert_eq!(connect_level(&[0x10, 9, 0, 4, b'M', b'Q']), None);
    assert_eq!(connect_level(&[]), None);
}

#[test]
fn before_connect_nothing_else_is_allowed_and_after_it_no_second_one() {
    let connect = packet(0x10, &[&field("MQTT"), &[4, 2, 0, 0], &field("c")]);
    for first in [0x20, 0x30, 0x40, 0x50, 0x62, 0x70, 0x82, 0x90, 0xA2, 0xB0, 0xC0, 0xD0, 0xE0, 0xF0_u8] {
        let got = decode(&[first], &server(None)).unwrap_err();
        assert_eq!((got.reason, got.clause), (PROTOCOL, "MQTT-3.1.0-1"), "{first:#x}");
    }
    for version in [Version::V31, Version::V311, Version::V5] {
        let got = decode(&connect, &server(Some(version))).unwrap_err();
        assert_eq!((got.reason, got.clause), (PROTOCOL, "MQTT-3.1.0-2"));
        let client = Rules { role: Role::Client, version: Some(version), max_packet_size: u32::MAX };
        assert_eq!(decode(&connect, &client).unwrap_err().reason, PROTOCOL);
    }
}

#[test]
fn a_packet_is_refused_by_its_size_before_it_is_read() {
    for (role, clause) in [(Role::Server, "MQTT-3.2.2-15"), (Role::Client, "MQTT-3.1.2-24")] {
        let rules = Rules { role, version: Some(Version::V5), max_packet_size: 100 };
        let got = decode(&[0x30, 99], &rules).unwrap_err();
        assert_eq!((got.reason, got.clause), (ReasonCode::PACKET_TOO_LARGE, clause));
        assert_eq!(decode(&[0x30, 98], &rules), Ok(Decoded::Incomplete { need: Some(100) }));
    }
    let rules = Rules { role: Role::Server, version: Some(Version::V5), max_packet_size: u32::MAX };
    assert_eq!(
        decode(&[0x30, 0xFF, 0xFF, 0xFF, 0x7F], &rules),
        Ok(Decoded::Incomplete { need: Some(268_435_455 + 5) })
    );
    assert_eq!(decode(&[0x30, 0xFF, 0xFF, 0xFF], &rules), Ok(Decoded::Incomplete { need: None }));
    assert_eq!(decode(&[], &rules), Ok(Decoded::Incomplete { need: None }));
}

#[test]
fn what_the_first_byte_shows_is_refused_at_the_first_byte() {
    for (first, version, clause) in [
        (0x00, Version::V311, "MQTT3 2.2.1"),
        (0x00, Version::V5, "MQTT5 2.1.2"),
        (0xF0, Version::V311, "MQTT3 2.2.1"),
        (0x36, Version::V5, "MQTT-3.3.1-4"),
        (0x38, Version::V5, "MQTT-3.3.1-2"),
        (0x41, Version::V311, "MQTT-2.2.2-2"),
        (0x41, Version::V5, "MQTT-2.1.3-1"),
        (0x60, Version::V5, "MQTT-3.6.1-1"),
        (0x80, Version::V5, "MQTT-3.8.1-1"),
        (0xA0, Version::V5, "MQTT-3.10.1-1"),
        (0xC1, Version::V5, "MQTT-2.1.3-1"),
        (0xE1, Version::V5, "MQTT-3.14.1-1"),
        (0xF1, Version::V5, "MQTT-3.15.1-1"),
        (0x20, Version::V5, "MQTT5 2.1.2"),
        (0x90, Version::V311, "MQTT3 2.2.1"),
    ] {
        assert_eq!(decode(&[first], &server(Some(version))).unwrap_err().clause, clause, "{first:#x}");
    }
}

/// MQTT 3.1 leaves the flags of most packets unused and sets DUP on what is sent again (2.1 of its text), ignores the
/// will's flags without a will, and allows for user name and password to be announced and missing.
#[test]
fn what_only_mqtt_3_1_allows() {
    let v31 = Some(Version::V31);
    for bytes in
        [packet(0x6A, &[&[0, 1]]), packet(0x8A, &[&[0, 1], &field("a"), &[1]]), packet(0xAA, &[&[0, 1], &field("a")])]
    {
        assert_eq!(decode_one(&bytes, Role::Server, v31), Ok(bytes.len()));
        assert!(decode_one(&bytes, Role::Server, Some(Version::V311)).is_err());
    }
    for flags in [0x01, 0x08, 0x20, 0x80, 0xC0] {
        let connect = |name: &str, level| packet(0x10, &[&field(name), &[level, flags, 0, 0], &field("c")]);
        assert!(decode_one(&connect("MQIsdp", 3), Role::Server, None).is_ok(), "{flags:#x}");
        assert!(decode_one(&connect("MQTT", 4), Role::Server, None).is_err(), "{flags:#x}");
    }
    let connack = packet(0x20, &[&[0xFF, 0x05]]);
    assert!(decode_one(&connack, Role::Client, v31).is_ok());
    assert!(decode_one(&connack, Role::Client, Some(Version::V311)).is_err());
}
