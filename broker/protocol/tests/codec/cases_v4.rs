//! The named cases of MQTT 3.1.1.

use crate::cases::{
    Case, FILTER,
    Is::{self, Bad, Legal},
    MALFORMED, NAME, PROTOCOL, field, judge, packet,
};
use primer_mqtt::{Version, codec::Role};

fn connect(flags: u8, payload: &[&[u8]]) -> Vec<u8> {
    packet(0x10, &[&field("MQTT"), &[4, flags, 0, 60], &payload.concat()])
}

fn publish(first: u8, topic: impl AsRef<[u8]>, rest: &[u8]) -> Vec<u8> {
    packet(first, &[&field(topic), rest])
}

fn subscribe(filter: impl AsRef<[u8]>, options: u8) -> Vec<u8> {
    packet(0x82, &[&[0, 1], &field(filter), &[options]])
}

fn malformed(clause: &'static str) -> Is {
    Bad(MALFORMED, clause)
}

#[test]
fn connect_cases() {
    let c = field("c");
    let cases = vec![
        Case("v4 CONNECT plain", connect(2, &[&c]), Legal),
        Case("v4 CONNECT keepalive 0", packet(0x10, &[&field("MQTT"), &[4, 2, 0, 0], &c]), Legal),
        Case("v4 CONNECT empty username+flag set", connect(0x82, &[&c, &field("")]), Legal),
        Case("v4 CONNECT binary password (ff 00)", connect(0xC2, &[&c, &field("u"), &field([0xFF, 0])]), Legal),
        Case("v4 CONNECT empty client id, clean session 0 is the session's", connect(0, &[&field("")]), Legal),
        Case("v4 CONNECT client id of any characters", connect(2, &[&field("é /+#\u{1}\u{FFFE}")]), Legal),
        Case("v4 CONNECT long client id", connect(2, &[&field("x".repeat(5_000))]), Legal),
        Case("v4 CONNECT will", connect(0x36, &[&c, &field("$é//"), &field([0xFF])]), Legal),
        Case("v4 CONNECT empty will message", connect(0x06, &[&c, &field("w"), &field("")]), Legal),
        Case(
            "v4 CONNECT padded remaining length",
            [vec![0x10, 0x8D, 0x00], connect(2, &[&c])[2..].to_vec()].concat(),
            Legal,
        ),
        Case("v4 CONNECT reserved flag bit0", connect(3, &[&c]), malformed("MQTT-3.1.2-3")),
        Case(
            "v4 CONNECT fixed flags 0x11",
            packet(0x11, &[&field("MQTT"), &[4, 2, 0, 0], &c]),
            malformed("MQTT-2.2.2-2"),
        ),
        Case("v4 CONNECT password w/o username", connect(0x42, &[&c, &field("p")]), malformed("MQTT-3.1.2-22")),
        Case("v4 CONNECT will qos 3", connect(0x1E, &[&c, &field("w"), &field("")]), malformed("MQTT-3.1.2-14")),
        Case("v4 CONNECT will qos without will", connect(0x0A, &[&c]), malformed("MQTT-3.1.2-13")),
        Case("v4 CONNECT will qos 3 without will", connect(0x1A, &[&c]), malformed("MQTT-3.1.2-14")),
        Case("v4 CONNECT will retain without will", connect(0x22, &[&c]), malformed("MQTT-3.1.2-15")),
        Case("v4 CONNECT trailing bytes", connect(2, &[&c, &[0]]), malformed("MQTT-4.8.0-1")),
        Case("v4 CONNECT will announced and missing", connect(0x06, &[&c]), malformed("MQTT-4.8.0-1")),
        Case("v4 CONNECT will message missing", connect(0x06, &[&c, &field("w")]), malformed("MQTT-4.8.0-1")),
        Case("v4 CONNECT user name announced and missing", connect(0x82, &[&c]), malformed("MQTT-4.8.0-1")),
        Case("v4 CONNECT password announced and missing", connect(0xC2, &[&c, &field("u")]), malformed("MQTT-4.8.0-1")),
        Case("v4 CONNECT without client id", connect(2, &[]), malformed("MQTT-4.8.0-1")),
        Case("v4 CONNECT of nothing", packet(0x10, &[]), malformed("MQTT-4.8.0-1")),
        Case("v4 CONNECT client id with U+0000", connect(2, &[&field("a\0")]), malformed("MQTT-1.5.3-2")),
        Case("v4 CONNECT user name with U+0000", connect(0x82, &[&c, &field("\0")]), malformed("MQTT-1.5.3-2")),
        Case("v4 CONNECT client id bad utf8", connect(2, &[&field([0xFF])]), malformed("MQTT-1.5.3-1")),
        Case("v4 CONNECT user name bad utf8", connect(0x82, &[&c, &field([0xC3])]), malformed("MQTT-1.5.3-1")),
        Case(
            "v4 CONNECT will topic bad utf8",
            connect(6, &[&c, &field([0xC3]), &field("")]),
            malformed("MQTT-1.5.3-1"),
        ),
        Case("v4 CONNECT will topic U+0000", connect(6, &[&c, &field("\0"), &field("")]), malformed("MQTT-1.5.3-2")),
        Case("v4 CONNECT will topic wildcard", connect(6, &[&c, &field("a/#"), &field("")]), Bad(NAME, "MQTT-4.7.1-1")),
        Case("v4 CONNECT empty will topic", connect(6, &[&c, &field(""), &field("")]), Bad(NAME, "MQTT-4.7.3-1")),
    ];
    judge(cases, Role::Server, Version::V311);
}

#[test]
fn publish_cases() {
    let cases = vec![
        Case("v4 PUBLISH qos0 empty payload", publish(0x30, "a", &[]), Legal),
        Case("v4 PUBLISH utf-8 topic (e-acute)", publish(0x30, "é", b"x"), Legal),
        Case("v4 PUBLISH $é", publish(0x30, "$é", b"x"), Legal),
        Case("v4 PUBLISH /", publish(0x30, "/", b"x"), Legal),
        Case("v4 PUBLISH //", publish(0x30, "//", b"x"), Legal),
        Case("v4 PUBLISH control and non-characters in the topic", publish(0x30, "\u{1}\u{FFFF}", b"x"), Legal),
        Case("v4 PUBLISH byte order mark in the topic", publish(0x30, "\u{FEFF}a", b"x"), Legal),
        Case("v4 PUBLISH topic of 65,535 bytes", publish(0x30, "x".repeat(65_535), b"x"), Legal),
        Case("v4 PUBLISH dup qos2 retain", publish(0x3D, "a", &[0, 1, 0xFF]), Legal),
        Case("v4 PUBLISH padded remaining length", vec![0x30, 0x83, 0x80, 0x00, 0, 1, b'a'], Legal),
        Case("v4 PUBLISH dup+qos0", publish(0x38, "a", &[]), malformed("MQTT-3.3.1-2")),
        Case("v4 PUBLISH qos3", publish(0x36, "a", &[0, 1]), malformed("MQTT-3.3.1-4")),
        Case("v4 PUBLISH wildcard topic", publish(0x30, "a/+", &[]), Bad(NAME, "MQTT-3.3.2-2")),
        Case("v4 PUBLISH wildcard topic #", publish(0x30, "#", &[]), Bad(NAME, "MQTT-3.3.2-2")),
        Case("v4 PUBLISH empty topic", publish(0x30, "", b"x"), Bad(NAME, "MQTT-4.7.3-1")),
        Case("v4 PUBLISH topic U+0000", publish(0x30, "a\0b", &[]), malformed("MQTT-1.5.3-2")),
        Case("v4 PUBLISH topic bad utf8", publish(0x30, [0xC3, 0x28], &[]), malformed("MQTT-1.5.3-1")),
        Case("v4 PUBLISH topic surrogate ed a0 80", publish(0x30, [0xED, 0xA0, 0x80], &[]), malformed("MQTT-1.5.3-1")),
        Case("v4 PUBLISH topic overlong U+0000 (c0 80)", publish(0x30, [0xC0, 0x80], &[]), malformed("MQTT-1.5.3-1")),
        Case("v4 PUBLISH qos1 pkid 0", publish(0x32, "a", &[0, 0]), Bad(PROTOCOL, "MQTT-2.3.1-1")),
        Case("v4 PUBLISH qos1 without pkid", publish(0x32, "a", &[0]), malformed("MQTT-4.8.0-1")),
        Case("v4 PUBLISH topic len past end", packet(0x30, &[&[0, 9, b'a']]), malformed("MQTT-4.8.0-1")),
        Case("v4 PUBLISH of nothing", packet(0x30, &[]), malformed("MQTT-4.8.0-1")),
        Case("v4 remaining length 5 bytes", vec![0x30, 0x80, 0x80, 0x80, 0x80, 0x01], malformed("MQTT3 2.2.3")),
        Case("v4 type 0", vec![0x00, 0x00], malformed("MQTT3 2.2.1")),
        Case("v4 type 15 (reserved)", vec![0xF0, 0x00], malformed("MQTT3 2.2.1")),
    ];
    judge(cases, Role::Server, Version::V311);
}

#[test]
fn subscribe_cases() {
    let two = packet(0x82, &[&[0, 1], &field("+/a/#"), &[2], &field("//"), &[0]]);
    let cases = vec![
        Case("v4 SUBSCRIBE two filters", two, Legal),
        Case("v4 SUBSCRIBE é", subscribe("$é/+", 1), Legal),
        Case("v4 SUBSCRIBE shared", subscribe("$share/g/a", 1), Legal),
        Case("v4 SUBSCRIBE $share means nothing", subscribe("$share/g", 1), Legal),
        Case("v4 SUBSCRIBE $share/ means nothing", subscribe("$share/", 1), Legal),
        Case("v4 SUBSCRIBE $share//$share/+ means nothing", subscribe("$share//$share/+", 1), Legal),
        Case("v4 SUBSCRIBE $share/$share/#/a", subscribe("$share/$share/#/a", 1), Bad(FILTER, "MQTT-4.7.1-2")),
        Case("v4 SUBSCRIBE flags 0x80", packet(0x80, &[&[0, 1], &field("a"), &[0]]), malformed("MQTT-3.8.1-1")),
        Case("v4 SUBSCRIBE filter 'a/#/b'", subscribe("a/#/b", 0), Bad(FILTER, "MQTT-4.7.1-2")),
        Case("v4 SUBSCRIBE filter 'a#'", subscribe("a#", 0), Bad(FILTER, "MQTT-4.7.1-2")),
        Case("v4 SUBSCRIBE filter 'a+/b'", subscribe("a+/b", 0), Bad(FILTER, "MQTT-4.7.1-3")),
        Case("v4 SUBSCRIBE empty filter", subscribe("", 0), Bad(FILTER, "MQTT-4.7.3-1")),
        Case("v4 SUBSCRIBE filter U+0000", subscribe("\0", 0), malformed("MQTT-1.5.3-2")),
        Case("v4 SUBSCRIBE filter bad utf8", subscribe([0xFF], 0), malformed("MQTT-1.5.3-1")),
        Case("v4 SUBSCRIBE truncated filter", packet(0x82, &[&[0, 1, 0, 9, b'a']]), malformed("MQTT-4.8.0-1")),
        Case("v4 SUBSCRIBE without options", packet(0x82, &[&[0, 1], &field("a")]), malformed("MQTT-4.8.0-1")),
        Case("v4 SUBSCRIBE no filters", packet(0x82, &[&[0, 1]]), Bad(PROTOCOL, "MQTT-3.8.3-3")),
        Case("v4 SUBSCRIBE options reserved bits", subscribe("a", 0x04), malformed("MQTT-3.8.3-4")),
        Case("v4 SUBSCRIBE options all reserved bits", subscribe("a", 0xFC), malformed("MQTT-3.8.3-4")),
        Case("v4 SUBSCRIBE qos 3", subscribe("a", 3), Bad(PROTOCOL, "MQTT-3.8.3-4")),
        Case("v4 SUBSCRIBE pkid 0", packet(0x82, &[&[0, 0], &field("a"), &[0]]), Bad(PROTOCOL, "MQTT-2.3.1-1")),
        Case("v4 UNSUBSCRIBE", packet(0xA2, &[&[0, 1], &field("a/#"), &field("+")]), Legal),
        Case("v4 UNSUBSCRIBE flags 0xA0", packet(0xA0, &[&[0, 1], &field("a")]), malformed("MQTT-3.10.1-1")),
        Case("v4 UNSUBSCRIBE no filters", packet(0xA2, &[&[0, 1]]), Bad(PROTOCOL, "MQTT-3.10.3-2")),
        Case("v4 UNSUBSCRIBE pkid 0", packet(0xA2, &[&[0, 0], &field("a")]), Bad(PROTOCOL, "MQTT-2.3.1-1")),
        Case("v4 UNSUBSCRIBE bad filter", packet(0xA2, &[&[0, 1], &field("#/a")]), Bad(FILTER, "MQTT-4.7.1-2")),
        Case("v4 UNSUBSCRIBE bad utf8", packet(0xA2, &[&[0, 1], &field([0xFF])]), malformed("MQTT-1.5.3-1")),
    ];
    judge(cases, Role::Server, Version::V311);
}

#[test]
fn other_cases() {
    let mut cases = vec![
        Case("v4 PUBREL flags 0x60", packet(0x60, &[&[0, 1]]), malformed("MQTT-3.6.1-1")),
        Case("v4 PINGREQ", packet(0xC0, &[]), Legal),
        Case("v4 PINGREQ with body", packet(0xC0, &[&[0]]), malformed("MQTT-4.8.0-1")),
        Case("v4 DISCONNECT", packet(0xE0, &[]), Legal),
        Case("v4 DISCONNECT with body", packet(0xE0, &[&[0]]), malformed("MQTT-4.8.0-1")),
        Case("v4 DISCONNECT flags", packet(0xE1, &[]), malformed("MQTT-3.14.1-1")),
        Case("v4 CONNACK from a client", packet(0x20, &[&[0, 0]]), Bad(PROTOCOL, "MQTT3 2.2.1")),
        Case("v4 SUBACK from a client", packet(0x90, &[&[0, 1, 0]]), Bad(PROTOCOL, "MQTT3 2.2.1")),
        Case("v4 UNSUBACK from a client", packet(0xB0, &[&[0, 1]]), Bad(PROTOCOL, "MQTT3 2.2.1")),
        Case("v4 PINGRESP from a client", packet(0xD0, &[]), Bad(PROTOCOL, "MQTT3 2.2.1")),
    ];
    for (name, first) in [("v4 PUBACK", 0x40), ("v4 PUBREC", 0x50), ("v4 PUBREL", 0x62), ("v4 PUBCOMP", 0x70)] {
        cases.push(Case(name, packet(first, &[&[0, 1]]), Legal));
        cases.push(Case("v4 PUBACK pkid 0", packet(first, &[&[0, 0]]), Bad(PROTOCOL, "MQTT-2.3.1-6")));
        cases.push(Case("v4 PUBACK trailing byte", packet(first, &[&[0, 1, 0]]), malformed("MQTT-4.8.0-1")));
        cases.push(Case("v4 PUBACK too short", packet(first, &[&[1]]), malformed("MQTT-4.8.0-1")));
    }
    judge(cases, Role::Server, Version::V311);
}

#[test]
fn cases_from_a_server() {
    let cases = vec![
        Case("v4 CONNACK", packet(0x20, &[&[1, 0]]), Legal),
        Case("v4 CONNACK refused", packet(0x20, &[&[0, 5]]), Legal),
        Case("v4 CONNACK reserved flags", packet(0x20, &[&[2, 0]]), malformed("MQTT3 3.2.2.1")),
        Case("v4 CONNACK return code 6", packet(0x20, &[&[0, 6]]), Bad(PROTOCOL, "MQTT3 3.2.2.3")),
        Case("v4 CONNACK refused with a session", packet(0x20, &[&[1, 2]]), Bad(PROTOCOL, "MQTT-3.2.2-4")),
        Case("v4 CONNACK trailing byte", packet(0x20, &[&[0, 0, 0]]), malformed("MQTT-4.8.0-1")),
        Case("v4 PUBLISH qos1 pkid 0", publish(0x32, "a", &[0, 0]), Bad(PROTOCOL, "MQTT-2.3.1-1")),
        Case("v4 SUBACK", packet(0x90, &[&[0, 1, 0, 1, 2, 0x80]]), Legal),
        Case("v4 SUBACK code 3", packet(0x90, &[&[0, 1, 3]]), Bad(PROTOCOL, "MQTT-3.9.3-2")),
        Case("v4 SUBACK no codes", packet(0x90, &[&[0, 1]]), malformed("MQTT-3.8.4-5")),
        Case("v4 SUBACK pkid 0", packet(0x90, &[&[0, 0, 0]]), Bad(PROTOCOL, "MQTT-2.3.1-7")),
        Case("v4 UNSUBACK", packet(0xB0, &[&[0, 1]]), Legal),
        Case("v4 UNSUBACK trailing byte", packet(0xB0, &[&[0, 1, 0]]), malformed("MQTT-4.8.0-1")),
        Case("v4 PINGRESP", packet(0xD0, &[]), Legal),
        Case("v4 PINGRESP with body", packet(0xD0, &[&[0]]), malformed("MQTT-4.8.0-1")),
        Case("v4 DISCONNECT from a server", packet(0xE0, &[]), Bad(PROTOCOL, "MQTT3 2.2.1")),
        Case("v4 SUBSCRIBE from a server", subscribe("a", 0), Bad(PROTOCOL, "MQTT3 2.2.1")),
        Case("v4 PINGREQ from a server", packet(0xC0, &[]), Bad(PROTOCOL, "MQTT3 2.2.1")),
    ];
    judge(cases, Role::Client, Version::V311);
}
