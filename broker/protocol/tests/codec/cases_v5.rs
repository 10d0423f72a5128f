//! The named cases of MQTT 5.0.

use crate::cases::{
    Case, FILTER,
    Is::{self, Bad, Legal},
    MALFORMED, NAME, PROTOCOL, field, judge, packet,
};
use primer_mqtt::{ReasonCode, Version, codec::Role};

/// A property block behind its length.
fn block(properties: &[u8]) -> Vec<u8> {
    [vec![u8::try_from(properties.len()).unwrap()], properties.to_vec()].concat()
}

fn connect(flags: u8, properties: &[u8], payload: &[&[u8]]) -> Vec<u8> {
    packet(0x10, &[&field("MQTT"), &[5, flags, 0, 60], &block(properties), &payload.concat()])
}

fn plain(properties: &[u8]) -> Vec<u8> {
    connect(2, properties, &[&field("c")])
}

fn publish(topic: impl AsRef<[u8]>, properties: &[u8]) -> Vec<u8> {
    packet(0x30, &[&field(topic), &block(properties), b"payload"])
}

fn subscribe(properties: &[u8], filter: &str, options: u8) -> Vec<u8> {
    packet(0x82, &[&[0, 1], &block(properties), &field(filter), &[options]])
}

fn malformed(clause: &'static str) -> Is {
    Bad(MALFORMED, clause)
}

fn protocol(clause: &'static str) -> Is {
    Bad(PROTOCOL, clause)
}

#[test]
fn connect_cases() {
    let c = field("c");
    let will_properties = block(&[&[0x18, 0, 0, 0, 9, 0x01, 1, 0x02, 0, 0, 0, 1][..], &[0x08, 0, 1, b'r']].concat());
    let method = [&[0x15][..], &field("SCRAM")].concat();
    let data = [&[0x16][..], &field([0xFF, 0])].concat();
    let user = [&[0x26][..], &field("k"), &field("v")].concat();
    let bad_user = [&[0x26][..], &field([0xFF]), &field("v")].concat();
    let cases = vec![
        Case("v5 CONNECT plain", plain(&[]), Legal),
        Case("v5 CONNECT password w/o username", connect(0x42, &[], &[&c, &field("p")]), Legal),
        Case("v5 CONNECT binary password", connect(0xC2, &[], &[&c, &field("u"), &field([0xFF, 0])]), Legal),
        Case("v5 CONNECT will delay + will props", connect(6, &[], &[&c, &will_properties, &field("w"), &c]), Legal),
        Case("v5 CONNECT auth method and data", plain(&[method.clone(), data.clone()].concat()), Legal),
        Case("v5 CONNECT auth data before the method", plain(&[data, method].concat()), Legal),
        Case("v5 user property ok", plain(&[user.clone(), user].concat()), Legal),
        Case("v5 user property key bad utf8", plain(&bad_user), malformed("MQTT-1.5.4-1")),
        Case(
            "v5 user property value U+0000",
            plain(&[&[0x26][..], &field("k"), &field("\0")].concat()),
            malformed("MQTT-1.5.4-2"),
        ),
        Case("v5 user property without value", plain(&[&[0x26][..], &field("k")].concat()), malformed("MQTT-4.13.1-1")),
        Case("v5 CONNECT session expiry for ever", plain(&[0x11, 0xFF, 0xFF, 0xFF, 0xFF]), Legal),
        Case("v5 CONNECT topic alias maximum 0", plain(&[0x22, 0, 0]), Legal),
    ];
    judge(cases, Role::Server, Version::V5);
}

#[test]
fn connect_cases_that_are_bad() {
    let c = field("c");
    let data = [&[0x16][..], &field([0xFF, 0])].concat();
    let cases = vec![
        Case(
            "v5 CONNECT dup property session expiry",
            plain(&[0x11, 0, 0, 0, 1, 0x11, 0, 0, 0, 1]),
            protocol("MQTT5 3.1.2.11.2"),
        ),
        Case("v5 CONNECT prop len overruns value", plain(&[0x11, 0, 0]), malformed("MQTT-4.13.1-1")),
        Case(
            "v5 CONNECT prop len overruns the packet",
            packet(0x10, &[&field("MQTT"), &[5, 2, 0, 0, 99], &c]),
            malformed("MQTT-4.13.1-1"),
        ),
        Case(
            "v5 CONNECT padded prop len",
            packet(0x10, &[&field("MQTT"), &[5, 2, 0, 0, 0x80, 0], &c]),
            malformed("MQTT-1.5.5-1"),
        ),
        Case(
            "v5 CONNECT padded remaining length",
            [vec![0x10, 0x8E, 0x00], plain(&[])[2..].to_vec()].concat(),
            malformed("MQTT-1.5.5-1"),
        ),
        Case("v5 CONNECT receive max 0", plain(&[0x21, 0, 0]), protocol("MQTT5 3.1.2.11.3")),
        Case("v5 CONNECT max packet size 0", plain(&[0x27, 0, 0, 0, 0]), protocol("MQTT5 3.1.2.11.4")),
        Case("v5 CONNECT request problem info 2", plain(&[0x17, 2]), protocol("MQTT5 3.1.2.11.7")),
        Case("v5 CONNECT request response info 2", plain(&[0x19, 2]), protocol("MQTT5 3.1.2.11.6")),
        Case("v5 CONNECT auth data w/o method", plain(&data), protocol("MQTT5 3.1.2.11.10")),
        Case("v5 CONNECT foreign property (topic alias)", plain(&[0x23, 0, 1]), malformed("MQTT5 2.2.2.2")),
        Case(
            "v5 CONNECT will delay among the connect properties",
            plain(&[0x18, 0, 0, 0, 1]),
            malformed("MQTT5 2.2.2.2"),
        ),
        Case(
            "v5 CONNECT session expiry among the will properties",
            connect(6, &[], &[&c, &[5, 0x11, 0, 0, 0, 1], &field("w"), &c]),
            malformed("MQTT5 2.2.2.2"),
        ),
        Case("v5 CONNECT reserved flag bit0", connect(3, &[], &[&c]), malformed("MQTT-3.1.2-3")),
        Case("v5 CONNECT will qos 3", connect(0x1E, &[], &[&c, &[0], &field("w"), &c]), malformed("MQTT-3.1.2-12")),
        Case("v5 CONNECT will qos without will", connect(0x0A, &[], &[&c]), malformed("MQTT-3.1.2-11")),
        Case("v5 CONNECT will retain without will", connect(0x22, &[], &[&c]), malformed("MQTT-3.1.2-13")),
        Case(
            "v5 CONNECT will topic wildcard",
            connect(6, &[], &[&c, &[0], &field("+"), &c]),
            Bad(NAME, "MQTT-4.7.0-1"),
        ),
        Case(
            "v5 CONNECT will response topic wildcard",
            connect(6, &[], &[&c, &[4, 8, 0, 1, b'#'], &field("w"), &c]),
            protocol("MQTT-3.3.2-14"),
        ),
        Case("v5 CONNECT trailing bytes", connect(2, &[], &[&c, &c]), malformed("MQTT-4.13.1-1")),
        Case("v5 CONNECT without will properties", connect(6, &[], &[&c, &field("w"), &c]), malformed("MQTT-4.13.1-1")),
    ];
    judge(cases, Role::Server, Version::V5);
}

#[test]
fn publish_cases() {
    let alias = ReasonCode::TOPIC_ALIAS_INVALID;
    let response = |topic: &str| [&[0x08][..], &field(topic)].concat();
    let cases = vec![
        Case("v5 PUBLISH plain", publish("a", &[]), Legal),
        Case("v5 PUBLISH msg expiry 0", publish("a", &[0x02, 0, 0, 0, 0]), Legal),
        Case("v5 PUBLISH empty topic + alias 1", publish("", &[0x23, 0, 1]), Legal),
        Case("v5 PUBLISH payload format 1", publish("a", &[0x01, 1]), Legal),
        Case("v5 PUBLISH empty correlation data", publish("a", &[0x09, 0, 0]), Legal),
        Case("v5 PUBLISH response topic", publish("a", &response("$é//")), Legal),
        Case("v5 PUBLISH empty topic, no alias", publish("", &[]), protocol("MQTT5 3.3.2.1")),
        Case("v5 PUBLISH topic alias 0", publish("a", &[0x23, 0, 0]), Bad(alias, "MQTT-3.3.2-8")),
        Case("v5 PUBLISH dup topic alias", publish("a", &[0x23, 0, 1, 0x23, 0, 1]), protocol("MQTT5 3.3.2.3.4")),
        Case(
            "v5 PUBLISH prop len 1, value eats payload",
            packet(0x30, &[&field("a"), &[1, 0x01, 0x01]]),
            malformed("MQTT-4.13.1-1"),
        ),
        Case("v5 PUBLISH sub id 0", publish("a", &[0x0B, 0]), protocol("MQTT-3.3.4-6")),
        Case("v5 PUBLISH sub id from a client", publish("a", &[0x0B, 1]), protocol("MQTT-3.3.4-6")),
        Case("v5 PUBLISH payload format 2", publish("a", &[0x01, 2]), protocol("MQTT5 3.3.2.3.2")),
        Case("v5 PUBLISH non-minimal rem. len", vec![0x30, 0x84, 0x00, 0, 1, b'a', 0], malformed("MQTT-1.5.5-1")),
        Case("v5 PUBLISH response topic wildcard", publish("a", &response("a/+")), protocol("MQTT-3.3.2-14")),
        Case("v5 PUBLISH empty response topic", publish("a", &response("")), protocol("MQTT-3.3.2-14")),
        Case("v5 PUBLISH wildcard topic", publish("a/#", &[]), Bad(NAME, "MQTT-3.3.2-2")),
        Case("v5 PUBLISH wildcard topic with alias", publish("+", &[0x23, 0, 1]), Bad(NAME, "MQTT-3.3.2-2")),
        Case("v5 PUBLISH missing prop len", packet(0x30, &[&field("a")]), malformed("MQTT-4.13.1-1")),
        Case("v5 PUBLISH prop len > packet", packet(0x30, &[&field("a"), &[9, 0x01, 1]]), malformed("MQTT-4.13.1-1")),
        Case(
            "v5 PUBLISH prop len of 5 bytes",
            packet(0x30, &[&field("a"), &[0x80, 0x80, 0x80, 0x80, 1]]),
            malformed("MQTT5 1.5.5"),
        ),
        Case("v5 PUBLISH unknown property 0x7f", publish("a", &[0x7F, 0]), malformed("MQTT5 2.2.2.2")),
        Case("v5 PUBLISH unknown property 0x00", publish("a", &[0x00]), malformed("MQTT5 2.2.2.2")),
        Case("v5 PUBLISH padded property identifier", publish("a", &[0x81, 0x00, 1]), malformed("MQTT5 2.2.2.2")),
        Case("v5 PUBLISH content type U+0000", publish("a", &[0x03, 0, 1, 0]), malformed("MQTT-1.5.4-2")),
        Case("v5 PUBLISH topic U+0000", publish("\0", &[]), malformed("MQTT-1.5.4-2")),
        Case("v5 PUBLISH topic surrogate", publish([0xED, 0xBF, 0xBF], &[]), malformed("MQTT-1.5.4-1")),
        Case("v5 PUBLISH qos1 pkid 0", packet(0x32, &[&field("a"), &[0, 0, 0]]), protocol("MQTT-2.2.1-3")),
        Case("v5 PUBLISH qos3", packet(0x36, &[&field("a"), &[0, 1, 0]]), malformed("MQTT-3.3.1-4")),
        Case("v5 PUBLISH dup+qos0", packet(0x38, &[&field("a"), &[0]]), malformed("MQTT-3.3.1-2")),
    ];
    judge(cases, Role::Server, Version::V5);
}

#[test]
fn acknowledgement_cases() {
    let mut cases = vec![
        Case("v5 PUBREL flags 0x60", packet(0x60, &[&[0, 1]]), malformed("MQTT-3.6.1-1")),
        Case("v5 PUBACK reason 0x01 (invalid)", packet(0x40, &[&[0, 1, 1]]), protocol("MQTT-3.4.2-1")),
        Case("v5 PUBACK reason 0x10 is the server's", packet(0x40, &[&[0, 1, 0x10]]), protocol("MQTT-3.4.2-1")),
        Case("v5 PUBREC reason 0x92", packet(0x50, &[&[0, 1, 0x92]]), protocol("MQTT-3.5.2-1")),
        Case("v5 PUBREL reason 0x80", packet(0x62, &[&[0, 1, 0x80]]), protocol("MQTT-3.6.2-1")),
        Case("v5 PUBCOMP reason 0x80", packet(0x70, &[&[0, 1, 0x80]]), protocol("MQTT-3.7.2-1")),
    ];
    let reason_string = [0x1F, 0, 1, b'x'];
    for first in [0x40, 0x50, 0x62, 0x70] {
        let code = if first < 0x60 { 0x80 } else { 0x92 };
        cases.extend([
            Case("v5 PUBACK len 2", packet(first, &[&[0, 1]]), Legal),
            Case("v5 PUBACK reason, no props (len 3)", packet(first, &[&[0, 1, code]]), Legal),
            Case("v5 PUBACK success, no props (len 3)", packet(first, &[&[0, 1, 0]]), Legal),
            Case("v5 PUBACK empty props (len 4)", packet(first, &[&[0, 1, code, 0]]), Legal),
            Case("v5 PUBACK props", packet(first, &[&[0, 1, code, 4], &reason_string]), Legal),
            Case("v5 PUBACK trailing byte", packet(first, &[&[0, 1, 0, 0, 0]]), malformed("MQTT-4.13.1-1")),
            Case("v5 PUBACK too short", packet(first, &[&[0]]), malformed("MQTT-4.13.1-1")),
            Case("v5 PUBACK pkid 0", packet(first, &[&[0, 0]]), protocol("MQTT-2.2.1-5")),
            Case(
                "v5 PUBACK two reason strings",
                packet(first, &[&[0, 1, 0, 8], &reason_string, &reason_string]),
                protocol("MQTT5 3.2.2.3.9"),
            ),
        ]);
    }
    judge(cases, Role::Server, Version::V5);
}

#[test]
fn subscribe_cases() {
    let cases = vec![
        Case("v5 SUBSCRIBE ok + sub id", subscribe(&[0x0B, 0xFF, 0xFF, 0xFF, 0x7F], "a/#", 0x2E), Legal),
        Case("v5 SUBSCRIBE shared", subscribe(&[], "$share/g/+/#", 0x1A), Legal),
        Case("v5 SUBSCRIBE $shared is no share", subscribe(&[], "$shared", 0x04), Legal),
        Case("v5 SUBSCRIBE no local", subscribe(&[], "a", 0x04), Legal),
        Case("v5 SUBSCRIBE reserved option bits 0xC0", subscribe(&[], "a", 0xC0), malformed("MQTT-3.8.3-5")),
        Case("v5 SUBSCRIBE reserved option bit 0x40", subscribe(&[], "a", 0x40), malformed("MQTT-3.8.3-5")),
        Case("v5 SUBSCRIBE sub id 0", subscribe(&[0x0B, 0], "a", 0), protocol("MQTT5 3.8.2.1.2")),
        Case("v5 SUBSCRIBE two sub ids", subscribe(&[0x0B, 1, 0x0B, 2], "a", 0), protocol("MQTT5 3.8.2.1.2")),
        Case("v5 SUBSCRIBE padded sub id", subscribe(&[0x0B, 0x81, 0], "a", 0), malformed("MQTT-1.5.5-1")),
        Case(
            "v5 SUBSCRIBE sub id of 5 bytes",
            subscribe(&[0x0B, 0xFF, 0xFF, 0xFF, 0xFF, 1], "a", 0),
            malformed("MQTT5 1.5.5"),
        ),
        Case("v5 SUBSCRIBE $share + no-local", subscribe(&[], "$share/g/a", 0x04), protocol("MQTT-3.8.3-4")),
        Case("v5 SUBSCRIBE $share without filter", subscribe(&[], "$share/g", 0), Bad(FILTER, "MQTT-4.8.2-1")),
        Case("v5 SUBSCRIBE $share without group", subscribe(&[], "$share//a", 0), Bad(FILTER, "MQTT-4.8.2-1")),
        Case("v5 SUBSCRIBE $share wildcard in the group", subscribe(&[], "$share/+/a", 0), Bad(FILTER, "MQTT-4.8.2-1")),
        Case("v5 SUBSCRIBE filter 'a/#/b'", subscribe(&[], "a/#/b", 0), Bad(FILTER, "MQTT-4.7.1-1")),
        Case("v5 SUBSCRIBE filter 'a+/b'", subscribe(&[], "a+/b", 0), Bad(FILTER, "MQTT-4.7.1-2")),
        Case("v5 SUBSCRIBE no filters", packet(0x82, &[&[0, 1, 0]]), protocol("MQTT-3.8.3-2")),
        Case("v5 SUBSCRIBE missing prop len", packet(0x82, &[&[0, 1]]), malformed("MQTT-4.13.1-1")),
        Case("v5 SUBSCRIBE retain handling 3", subscribe(&[], "a", 0x30), protocol("MQTT5 3.8.3.1")),
        Case("v5 SUBSCRIBE qos 3", subscribe(&[], "a", 3), protocol("MQTT5 3.8.3.1")),
        Case("v5 SUBSCRIBE pkid 0", packet(0x82, &[&[0, 0, 0], &field("a"), &[0]]), protocol("MQTT-2.2.1-3")),
        Case("v5 UNSUBSCRIBE ok", packet(0xA2, &[&[0, 1, 0], &field("a"), &field("$share/g/a")]), Legal),
        Case("v5 UNSUBSCRIBE no filters", packet(0xA2, &[&[0, 1, 0]]), protocol("MQTT-3.10.3-2")),
        Case("v5 UNSUBSCRIBE sub id", packet(0xA2, &[&[0, 1, 2, 0x0B, 1], &field("a")]), malformed("MQTT5 2.2.2.2")),
        Case("v5 UNSUBSCRIBE pkid 0", packet(0xA2, &[&[0, 0, 0], &field("a")]), protocol("MQTT-2.2.1-3")),
    ];
    judge(cases, Role::Server, Version::V5);
}

#[test]
fn disconnect_and_auth_cases() {
    let method = block(&[&[0x15][..], &field("M")].concat());
    let data = block(&[&[0x16][..], &field("d")].concat());
    let cases = vec![
        Case("v5 DISCONNECT len 0 (the usual one)", packet(0xE0, &[]), Legal),
        Case("v5 DISCONNECT reason only (len 1)", packet(0xE0, &[&[4]]), Legal),
        Case("v5 DISCONNECT reason + empty props", packet(0xE0, &[&[0, 0]]), Legal),
        Case("v5 DISCONNECT session expiry", packet(0xE0, &[&[0, 5, 0x11, 0, 0, 0, 9]]), Legal),
        Case("v5 DISCONNECT invalid reason 0x03", packet(0xE0, &[&[3]]), protocol("MQTT-3.14.2-1")),
        Case("v5 DISCONNECT session taken over is the server's", packet(0xE0, &[&[0x8E]]), protocol("MQTT-3.14.2-1")),
        Case("v5 DISCONNECT trailing byte", packet(0xE0, &[&[0, 0, 0]]), malformed("MQTT-4.13.1-1")),
        Case("v5 DISCONNECT prop len > packet", packet(0xE0, &[&[0, 5]]), malformed("MQTT-4.13.1-1")),
        Case("v5 AUTH continue 0x18 + method", packet(0xF0, &[&[0x18], &method]), Legal),
        Case("v5 AUTH re-authenticate", packet(0xF0, &[&[0x19], &method]), Legal),
        Case("v5 AUTH success is the server's", packet(0xF0, &[&[0], &method]), protocol("MQTT-3.15.2-1")),
        Case("v5 AUTH of nothing", packet(0xF0, &[]), protocol("MQTT-3.15.2-1")),
        Case("v5 AUTH unknown reason", packet(0xF0, &[&[0x80], &method]), protocol("MQTT-3.15.2-1")),
        Case("v5 AUTH without props", packet(0xF0, &[&[0x18]]), malformed("MQTT-4.13.1-1")),
        Case("v5 AUTH w/o method", packet(0xF0, &[&[0x18], &data]), protocol("MQTT5 3.15.2.2.2")),
        Case("v5 AUTH empty props", packet(0xF0, &[&[0x18, 0]]), protocol("MQTT5 3.15.2.2.2")),
        Case("v5 AUTH flags", packet(0xF2, &[]), malformed("MQTT-3.15.1-1")),
        Case("v5 PINGREQ", packet(0xC0, &[]), Legal),
        Case("v5 PINGREQ with body", packet(0xC0, &[&[0]]), malformed("MQTT-4.13.1-1")),
    ];
    judge(cases, Role::Server, Version::V5);
}

#[test]
fn cases_from_a_server() {
    let method = block(&[&[0x15][..], &field("M")].concat());
    let cases = vec![
        Case("v5 PUBLISH 3 sub ids, server→client", publish("a", &[0x0B, 1, 0x0B, 0x80, 1, 0x0B, 1]), Legal),
        Case("v5 PUBLISH sub id 0, server→client", publish("a", &[0x0B, 0]), protocol("MQTT5 3.8.2.1.2")),
        Case("v5 PUBLISH pkid 0, server→client", packet(0x34, &[&field("a"), &[0, 0, 0]]), protocol("MQTT-2.2.1-4")),
        Case("v5 CONNACK", packet(0x20, &[&[1, 0, 0]]), Legal),
        Case("v5 CONNACK refused", packet(0x20, &[&[0, 0x87, 0]]), Legal),
        Case("v5 CONNACK missing prop len", packet(0x20, &[&[0, 0]]), malformed("MQTT-4.13.1-1")),
        Case("v5 CONNACK refused with a session", packet(0x20, &[&[1, 0x87, 0]]), protocol("MQTT-3.2.2-6")),
        Case("v5 CONNACK reserved flags", packet(0x20, &[&[4, 0, 0]]), malformed("MQTT-3.2.2-1")),
        Case("v5 CONNACK return code of 3.1.1", packet(0x20, &[&[0, 5, 0]]), protocol("MQTT-3.2.2-8")),
        Case("v5 CONNACK maximum qos 1", packet(0x20, &[&[0, 0, 2, 0x24, 1]]), Legal),
        Case("v5 CONNACK maximum qos 2", packet(0x20, &[&[0, 0, 2, 0x24, 2]]), protocol("MQTT5 3.2.2.3.4")),
        Case("v5 CONNACK retain available 2", packet(0x20, &[&[0, 0, 2, 0x25, 2]]), protocol("MQTT5 3.2.2.3.5")),
        Case("v5 CONNACK receive maximum 0", packet(0x20, &[&[0, 0, 3, 0x21, 0, 0]]), protocol("MQTT5 3.1.2.11.3")),
        Case(
            "v5 CONNACK server keep alive twice",
            packet(0x20, &[&[0, 0, 6, 0x13, 0, 0, 0x13, 0, 0]]),
            protocol("MQTT5 3.2.2.3.14"),
        ),
        Case("v5 PUBACK no matching subscribers", packet(0x40, &[&[0, 1, 0x10]]), Legal),
        Case("v5 SUBACK", packet(0x90, &[&[0, 1, 0, 2, 0x8F]]), Legal),
        Case("v5 SUBACK code 3", packet(0x90, &[&[0, 1, 0, 3]]), protocol("MQTT-3.9.3-2")),
        Case("v5 SUBACK no codes", packet(0x90, &[&[0, 1, 0]]), malformed("MQTT-3.8.4-6")),
        Case("v5 SUBACK pkid 0", packet(0x90, &[&[0, 0, 0, 0]]), protocol("MQTT-2.2.1-6")),
        Case("v5 UNSUBACK", packet(0xB0, &[&[0, 1, 0, 0, 0x11]]), Legal),
        Case("v5 UNSUBACK code 1", packet(0xB0, &[&[0, 1, 0, 1]]), protocol("MQTT-3.11.3-2")),
        Case("v5 UNSUBACK no codes", packet(0xB0, &[&[0, 1, 0]]), malformed("MQTT5 3.11.3")),
        Case("v5 DISCONNECT session taken over", packet(0xE0, &[&[0x8E]]), Legal),
        Case("v5 DISCONNECT of nothing", packet(0xE0, &[]), Legal),
        Case("v5 DISCONNECT with will from a server", packet(0xE0, &[&[4]]), protocol("MQTT-3.14.2-1")),
        Case(
            "v5 DISCONNECT session expiry from a server",
            packet(0xE0, &[&[0, 5, 0x11, 0, 0, 0, 9]]),
            protocol("MQTT-3.14.2-2"),
        ),
        Case("v5 AUTH success", packet(0xF0, &[&[0], &method]), Legal),
        Case("v5 AUTH of nothing is success", packet(0xF0, &[]), Legal),
        Case("v5 AUTH re-authenticate is the client's", packet(0xF0, &[&[0x19], &method]), protocol("MQTT-3.15.2-1")),
        Case("v5 CONNECT from a server", packet(0xC0, &[]), protocol("MQTT5 2.1.2")),
    ];
    judge(cases, Role::Client, Version::V5);
}
