//! What is built is read back, and what is damaged is not.

use super::super::{
    ack_with, auth, disconnect, disconnect_with, frame, pingreq, pingresp, puback, pubcomp, publish, pubrec, pubrel,
    subscribe, subscribe_with, unsubscribe,
};
use super::*;

#[test]
fn short_acknowledgements_come_back_in_both_versions() {
    for v5 in [false, true] {
        for (bytes, kind) in
            [(puback(1), Ack::Puback), (pubrec(1), Ack::Pubrec), (pubrel(1), Ack::Pubrel), (pubcomp(1), Ack::Pubcomp)]
        {
            assert_eq!(bytes.len(), 4);
            assert_eq!(parse(&bytes, v5), Packet::Ack { kind, pid: 1, reason: 0, props: vec![] });
        }
    }
}

#[test]
fn long_acknowledgements_come_back_in_each_form() {
    let short = Packet::Ack { kind: Ack::Pubrec, pid: 7, reason: 0x97, props: vec![] };
    assert_eq!(parse(&ack_with(Ack::Pubrec, 7, 0x97, None), true), short);
    assert_eq!(parse(&ack_with(Ack::Pubrec, 7, 0x97, Some(&[])), true), short);
    let props = vec![prop::reason_string("full")];
    let bytes = ack_with(Ack::Pubrec, 7, 0x97, Some(&props));
    assert_eq!(parse(&bytes, true), Packet::Ack { kind: Ack::Pubrec, pid: 7, reason: 0x97, props });
    assert!(try_parse(&bytes, false).is_err(), "3.1.1 has no reason");
}

#[test]
fn subscriptions_come_back() {
    let filters = vec![("a/+".to_owned(), 1), ("#".to_owned(), 0x2e)];
    for version in Version::BOTH {
        let bytes = subscribe(version, 3, &[("a/+", 1), ("#", 0x2e)]);
        let expected = Packet::Subscribe { pid: 3, filters: filters.clone(), props: vec![] };
        assert_eq!(parse(&bytes, version.is_v5()), expected);
        let bytes = unsubscribe(version, 4, &["a/+", ""]);
        let expected = Packet::Unsubscribe { pid: 4, filters: vec!["a/+".into(), String::new()], props: vec![] };
        assert_eq!(parse(&bytes, version.is_v5()), expected);
    }
    let props = vec![prop::subscription_identifier(9)];
    let bytes = subscribe_with(Version::V5, 3, &[("a/+", 1), ("#", 0x2e)], &props);
    assert_eq!(parse(&bytes, true), Packet::Subscribe { pid: 3, filters, props });
}

#[test]
fn answers_of_a_server_are_read() {
    let connack = Packet::Connack { session_present: true, code: 0, props: vec![] };
    assert_eq!(parse(&[0x20, 2, 1, 0], false), connack);
    assert_eq!(parse(&[0x20, 3, 1, 0, 0], true), connack);
    let packet = Packet::Suback { pid: 1, codes: vec![0, 0x80], props: vec![] };
    assert_eq!(parse(&[0x90, 4, 0, 1, 0, 0x80], false), packet);
    assert_eq!(parse(&[0x90, 5, 0, 1, 0, 0, 0x80], true), packet);
    assert_eq!(parse(&[0xb0, 2, 0, 1], false), Packet::Unsuback { pid: 1, codes: vec![], props: vec![] });
    assert_eq!(parse(&[0xb0, 4, 0, 1, 0, 0x11], true), Packet::Unsuback { pid: 1, codes: vec![0x11], props: vec![] });
    assert_eq!(parse(&pingreq(), false), Packet::Pingreq);
    assert_eq!(parse(&pingresp(), true), Packet::Pingresp);
}

#[test]
fn the_end_of_a_connection_comes_back_in_each_form() {
    assert_eq!(parse(&disconnect(), false), Packet::Disconnect { reason: 0, props: vec![] });
    assert_eq!(parse(&disconnect_with(4, None), true), Packet::Disconnect { reason: 4, props: vec![] });
    assert_eq!(disconnect_with(0x8e, Some(&[])), [0xe0, 2, 0x8e, 0]);
    let props = vec![prop::authentication_method("SCRAM"), prop::authentication_data(&[0])];
    assert_eq!(parse(&auth(0x18, Some(&props)), true), Packet::Auth { reason: 0x18, props });
}

#[test]
fn a_length_is_known_as_soon_as_it_can_be() {
    assert_eq!(packet_length(&[]), Ok(None));
    assert_eq!(packet_length(&[0x30]), Ok(None));
    assert_eq!(packet_length(&[0x30, 0x80]), Ok(None));
    assert_eq!(packet_length(&[0x30, 0x80, 0x01]), Ok(Some(131)));
    assert_eq!(packet_length(&[0xc0, 0x00, 0xff, 0xff, 0xff]), Ok(Some(2)));
    assert!(packet_length(&[0x30, 0x80, 0x00]).is_err());
    assert!(packet_length(&[0x30, 0xff, 0xff, 0xff, 0xff]).is_err());
}

#[test]
fn damage_is_noticed() {
    let whole = publish(Version::V5, "topic", b"").qos(1, 1).props(&[prop::content_type("x")]).build();
    for cut in 0..whole.len() {
        assert!(try_parse(&whole[..cut], true).is_err(), "cut to {cut} bytes");
    }
    for bytes in [
        frame(0x60, &[0, 1]),          // PUBREL without its flag
        frame(0x41, &[0, 1]),          // PUBACK with a flag
        frame(0xd0, &[0]),             // PINGRESP with a body
        frame(0x20, &[2, 0]),          // CONNACK with a reserved flag
        frame(0x20, &[0, 0, 0, 0]),    // CONNACK with a byte too many
        frame(0x30, &[0, 2, b'a']),    // a topic past the end
        frame(0x30, &[0, 1, 0xff, 0]), // a topic that is not UTF-8
        frame(0x00, &[]),
    ] {
        assert!(try_parse(&bytes, true).is_err(), "{bytes:02x?}");
    }
    assert!(try_parse(&auth(0, None), false).is_err(), "3.1.1 has no AUTH");
}
