//! Every reason code and every property in every packet, against the tables of the generator, which were written from
//! the specification apart from the codec's.

use crate::{
    cases::{decode_one, field, packet},
    generate::{Kind, Source, WILL_PROPERTIES, kinds, properties, push_property, reasons},
};
use primer_mqtt::{
    ReasonCode, Version,
    codec::{Role, properties::PropertiesBuf},
};

const ALL_PROPERTIES: [u8; 27] =
    [1, 2, 3, 8, 9, 11, 17, 18, 19, 21, 22, 23, 24, 25, 26, 28, 31, 33, 34, 35, 36, 37, 38, 39, 40, 41, 42];

/// A packet of MQTT 5.0 with this reason code and these properties.
fn bytes(kind: Kind, reason: u8, properties: &[u8]) -> Vec<u8> {
    let block = [vec![u8::try_from(properties.len()).unwrap()], properties.to_vec()].concat();
    let id = [0, 1];
    match kind {
        Kind::Connect => packet(0x10, &[&field("MQTT"), &[5, 2, 0, 0], &block, &field("c")]),
        Kind::ConnAck => packet(0x20, &[&[0, reason], &block]),
        Kind::Publish => packet(0x30, &[&field("a"), &block]),
        Kind::PubAck => packet(0x40, &[&id, &[reason], &block]),
        Kind::PubRec => packet(0x50, &[&id, &[reason], &block]),
        Kind::PubRel => packet(0x62, &[&id, &[reason], &block]),
        Kind::PubComp => packet(0x70, &[&id, &[reason], &block]),
        Kind::Subscribe => packet(0x82, &[&id, &block, &field("a"), &[0]]),
        Kind::SubAck => packet(0x90, &[&id, &block, &[reason]]),
        Kind::Unsubscribe => packet(0xA2, &[&id, &block, &field("a")]),
        Kind::UnsubAck => packet(0xB0, &[&id, &block, &[reason]]),
        Kind::PingReq => packet(0xC0, &[]),
        Kind::PingResp => packet(0xD0, &[]),
        Kind::Disconnect => packet(0xE0, &[&[reason], &block]),
        Kind::Auth => packet(0xF0, &[&[reason], &block]),
    }
}

fn decodes(kind: Kind, bytes: &[u8], sender: Role) -> Result<usize, (ReasonCode, &'static str)> {
    let receiver = if sender == Role::Client { Role::Server } else { Role::Client };
    decode_one(bytes, receiver, if kind == Kind::Connect { None } else { Some(Version::V5) })
}

fn property(id: u8) -> Vec<u8> {
    let mut out = PropertiesBuf::new();
    push_property(id, &mut Source::new(&[1, 0, 0, 0, 1, 1, 1]), &mut out);
    out.as_properties().as_bytes().to_vec()
}

#[test]
fn every_reason_code_is_allowed_where_the_tables_say_and_nowhere_else() {
    let mut checked = 0;
    for sender in [Role::Client, Role::Server] {
        for kind in kinds(sender, Version::V5) {
            if reasons(kind, sender) == [0] {
                continue;
            }
            for reason in 0..=u8::MAX {
                let method = if kind == Kind::Auth { property(21) } else { Vec::new() };
                let got = decodes(kind, &bytes(kind, reason, &method), sender);
                assert_eq!(got.is_ok(), reasons(kind, sender).contains(&reason), "{sender:?} {kind:?} {reason:#x}");
                if let Err((code, _)) = got {
                    assert_eq!(code, ReasonCode::PROTOCOL_ERROR);
                }
                checked += 1;
            }
        }
    }
    assert_eq!(checked, 256 * 15);
}

#[test]
fn every_property_is_allowed_where_table_2_4_says_and_nowhere_else() {
    for sender in [Role::Client, Role::Server] {
        for kind in kinds(sender, Version::V5) {
            if matches!(kind, Kind::PingReq | Kind::PingResp) {
                continue;
            }
            let reason = if kind == Kind::Auth { 0x18 } else { 0 };
            let method = if kind == Kind::Auth { property(21) } else { Vec::new() };
            for id in ALL_PROPERTIES {
                let block = match (kind, id) {
                    (Kind::Auth, 21) => method.clone(),
                    (Kind::Connect, 22) => [property(21), property(22)].concat(),
                    _ => [method.clone(), property(id)].concat(),
                };
                let got = decodes(kind, &bytes(kind, reason, &block), sender);
                assert_eq!(got.is_ok(), properties(kind, sender).contains(&id), "{sender:?} {kind:?} {id}: {got:?}");
            }
            for id in (0..=u8::MAX).filter(|id| !ALL_PROPERTIES.contains(id)) {
                let got = decodes(kind, &bytes(kind, reason, &[&method[..], &[id, 0, 0, 0, 0]].concat()), sender);
                assert_eq!(got.map_err(|(code, _)| code), Err(ReasonCode::MALFORMED_PACKET), "{kind:?} {id}");
            }
        }
    }
}

#[test]
fn every_property_of_a_will_is_allowed_where_table_2_4_says_and_nowhere_else() {
    for id in ALL_PROPERTIES {
        let block = [vec![u8::try_from(property(id).len()).unwrap()], property(id)].concat();
        let will = [block, field("w"), field("")].concat();
        let bytes = packet(0x10, &[&field("MQTT"), &[5, 6, 0, 0, 0], &field("c"), &will]);
        assert_eq!(decode_one(&bytes, Role::Server, None).is_ok(), WILL_PROPERTIES.contains(&id), "{id}");
    }
}

#[test]
fn nothing_stands_twice_but_user_properties_and_a_servers_subscription_identifiers() {
    for sender in [Role::Client, Role::Server] {
        for kind in kinds(sender, Version::V5) {
            for &id in properties(kind, sender) {
                let reason = if kind == Kind::Auth { 0x18 } else { 0 };
                let first = match (kind, id) {
                    (Kind::Auth, 21) | (_, 21) => Vec::new(),
                    (Kind::Auth, _) | (Kind::Connect, 22) => property(21),
                    _ => Vec::new(),
                };
                let block = [first, property(id), property(id)].concat();
                let got = decodes(kind, &bytes(kind, reason, &block), sender);
                let repeats = id == 38 || (id == 11 && kind == Kind::Publish && sender == Role::Server);
                assert_eq!(got.is_ok(), repeats, "{sender:?} {kind:?} {id}");
                if let Err((code, _)) = got {
                    assert_eq!(code, ReasonCode::PROTOCOL_ERROR, "{sender:?} {kind:?} {id}");
                }
            }
        }
    }
}
