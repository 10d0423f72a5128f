//! Publishes to the client on one connection: window, credit, exchanges, wrong answers, sizes.

use primer_core::backlog::Position;

use super::rig::{Rig, SUCCESS, Said, VERSIONS, ack, delivery, publish_ids};
use crate::{
    ReasonCode, Version,
    codec::packet::{Packet, QoS},
    session::{Delivery, Sent, ServerOptions, Step},
};

const REFUSED: ReasonCode = ReasonCode::UNSPECIFIED_ERROR;
const UNKNOWN: ReasonCode = ReasonCode::PACKET_IDENTIFIER_NOT_FOUND;

/// The position that a packet of the client settles.
fn settled(rig: &mut Rig, packet: Packet<'_>) -> Option<(u64, ReasonCode)> {
    match rig.handle(packet) {
        Ok(Step::Delivered { position, reason }) => Some((position.0, reason)),
        Ok(Step::Nothing | Step::Credit) => None,
        other => panic!("{other:?}"),
    }
}

#[test]
fn without_a_connection_nothing_is_sent() {
    let mut rig = Rig::new(Version::V5, ServerOptions::default());
    assert_eq!(rig.session.credit(), 0);
    assert_eq!(rig.send(QoS::AtLeastOnce, 0), Sent::Offline);
    assert_eq!(rig.session.send_at_most_once(&delivery(QoS::AtMostOnce), &mut rig.out), Sent::Offline);
    assert_eq!(rig.session.next_resend(), None);
    assert!(rig.out.is_empty() && rig.session.is_idle());
    assert_eq!((rig.session.version(), rig.session.takes_plain(1)), (None, None));
}

/// [MQTT-3.3.1-2], [MQTT-2.2.1-2]
#[test]
fn qos_0_has_no_identifier_and_needs_no_credit() {
    for version in VERSIONS {
        let mut rig = Rig::connected_with(version, |terms| terms.window = 1);
        rig.send(QoS::AtLeastOnce, 0);
        rig.said();
        assert_eq!(rig.session.credit(), 0);
        assert_eq!(rig.session.send_at_most_once(&delivery(QoS::AtMostOnce), &mut rig.out), Sent::Written);
        let said = rig.said();
        assert!(matches!(&said[..], [Said::Publish { id: None, dup: false, qos: QoS::AtMostOnce, .. }]), "{said:?}");
        assert_eq!(rig.session.in_flight(), 1);
    }
}

/// [MQTT-3.3.4-7], 4.9
#[test]
fn credit_is_the_window_without_what_is_in_flight() {
    for version in VERSIONS {
        let mut rig = Rig::connected_with(version, |terms| terms.window = 3);
        for left in (0..3).rev() {
            assert_eq!(rig.send(QoS::AtLeastOnce, 10 + left), Sent::Written);
            assert_eq!(rig.session.credit() as u64, left);
        }
        assert_eq!(publish_ids(&rig.said()), [(1, false), (2, false), (3, false)]);
        assert_eq!(settled(&mut rig, Packet::PubAck(ack(2, SUCCESS))), Some((11, SUCCESS)));
        assert_eq!((rig.session.credit(), rig.session.in_flight()), (1, 2));
        assert_eq!(settled(&mut rig, Packet::PubAck(ack(2, SUCCESS))), None, "settled already");
        assert_eq!(rig.session.credit(), 1);
    }
}

/// [MQTT-4.3.3-2] to [MQTT-4.3.3-7]: the message is delivered with PUBREC, its place is free with PUBCOMP.
#[test]
fn qos_2_holds_its_place_until_pubcomp() {
    for version in VERSIONS {
        let mut rig = Rig::connected_with(version, |terms| terms.window = 1);
        rig.send(QoS::ExactlyOnce, 40);
        assert_eq!(publish_ids(&rig.said()), [(1, false)]);
        assert_eq!(settled(&mut rig, Packet::PubRec(ack(1, SUCCESS))), Some((40, SUCCESS)));
        assert_eq!(rig.said(), [Said::Rel(1, SUCCESS)]);
        assert_eq!((rig.session.credit(), rig.session.in_flight()), (0, 1));
        assert_eq!(settled(&mut rig, Packet::PubRec(ack(1, SUCCESS))), None, "delivered already");
        assert_eq!(rig.said(), [Said::Rel(1, SUCCESS)], "PUBREL is repeated");
        assert!(matches!(rig.handle(Packet::PubComp(ack(1, SUCCESS))), Ok(Step::Credit)));
        assert_eq!(rig.session.credit(), 1);
        assert!(rig.session.is_idle() && rig.said().is_empty());
    }
}

/// 4.9, 4.3.3: a PUBREC with an error ends the exchange.
#[test]
fn an_error_pubrec_ends_the_exchange() {
    let mut rig = Rig::connected_with(Version::V5, |terms| terms.window = 1);
    rig.send(QoS::ExactlyOnce, 5);
    rig.said();
    assert_eq!(settled(&mut rig, Packet::PubRec(ack(1, REFUSED))), Some((5, REFUSED)));
    assert!(rig.said().is_empty(), "no PUBREL follows an error");
    assert_eq!(rig.session.credit(), 1);
    assert!(rig.session.is_idle());
}

#[test]
fn an_error_puback_ends_the_exchange() {
    let mut rig = Rig::connected_with(Version::V5, |terms| terms.window = 1);
    rig.send(QoS::AtLeastOnce, 5);
    assert_eq!(settled(&mut rig, Packet::PubAck(ack(1, REFUSED))), Some((5, REFUSED)));
    assert_eq!(rig.session.credit(), 1);
}

/// Answers to what is not in flight: 5.0 is told of an unknown PUBREC (table 3-6); nothing else happens.
#[test]
fn answers_to_nothing_change_nothing() {
    for version in VERSIONS {
        let mut rig = Rig::connected(version);
        rig.send(QoS::AtLeastOnce, 0);
        rig.said();
        for packet in [Packet::PubAck(ack(9, SUCCESS)), Packet::PubComp(ack(9, SUCCESS))] {
            assert!(matches!(rig.handle(packet), Ok(Step::Nothing)));
            assert!(rig.said().is_empty());
        }
        assert!(matches!(rig.handle(Packet::PubRec(ack(9, SUCCESS))), Ok(Step::Nothing)));
        assert_eq!(rig.said(), [Said::Rel(9, if version.is_v5() { UNKNOWN } else { SUCCESS })]);
        assert_eq!(rig.session.in_flight(), 1);
    }
    let mut rig = Rig::connected(Version::V5);
    assert!(matches!(rig.handle(Packet::PubRec(ack(9, REFUSED))), Ok(Step::Nothing)));
    assert!(rig.said().is_empty(), "PUBREL answers a PUBREC without an error");
}

#[test]
fn answers_of_the_wrong_kind_are_violations() {
    for version in VERSIONS {
        let wrong = |rig: &mut Rig, packet| {
            let violation = rig.handle(packet).map(drop).unwrap_err();
            assert_eq!(violation.reason, ReasonCode::PROTOCOL_ERROR);
            assert!(rig.said().is_empty());
        };
        let mut rig = Rig::connected(version);
        rig.send(QoS::AtLeastOnce, 0);
        rig.send(QoS::ExactlyOnce, 1);
        rig.said();
        wrong(&mut rig, Packet::PubRec(ack(1, SUCCESS)));
        wrong(&mut rig, Packet::PubComp(ack(1, SUCCESS)));
        wrong(&mut rig, Packet::PubAck(ack(2, SUCCESS)));
        wrong(&mut rig, Packet::PubComp(ack(2, SUCCESS)));
        rig.handle(Packet::PubRec(ack(2, SUCCESS))).unwrap();
        rig.said();
        wrong(&mut rig, Packet::PubAck(ack(2, SUCCESS)));
        assert_eq!(rig.session.in_flight(), 2);
    }
}

/// [MQTT-3.1.2-24], [MQTT-3.1.2-25]: to the byte, and without an exchange for what is left out.
#[test]
fn a_packet_above_the_clients_maximum_is_not_sent() {
    for qos in [QoS::AtMostOnce, QoS::AtLeastOnce, QoS::ExactlyOnce] {
        let send = |packet_bytes_max| {
            let mut rig = Rig::connected_with(Version::V5, |terms| terms.packet_bytes_max = packet_bytes_max);
            let sent = match qos {
                QoS::AtMostOnce => rig.session.send_at_most_once(&delivery(qos), &mut rig.out),
                _ => rig.send(qos, 0),
            };
            (sent, rig)
        };
        let len = u32::try_from(send(u32::MAX).1.out.len()).unwrap();
        assert_eq!(send(len).0, Sent::Written);
        let (sent, rig) = send(len - 1);
        assert_eq!(sent, Sent::TooLarge);
        assert!(rig.out.is_empty() && rig.session.is_idle());
        assert_eq!(rig.session.credit(), usize::from(ServerOptions::default().inflight_max));
    }
}

/// What no PUBLISH can hold cannot be sent to anybody; an exchange for it would never end.
#[test]
fn a_message_that_no_packet_can_hold_is_too_large() {
    let payload = vec![0; crate::limits::REMAINING_LENGTH_MAX as usize];
    for version in VERSIONS {
        for packet_bytes_max in [u32::MAX, u32::MAX - 1] {
            let mut rig = Rig::connected_with(version, |terms| terms.packet_bytes_max = packet_bytes_max);
            let delivery = Delivery { payload: &payload, ..delivery(QoS::AtLeastOnce) };
            assert_eq!(rig.session.send(&delivery, Position(0), &mut rig.out), Sent::TooLarge, "{version:?}");
            assert!(rig.out.is_empty() && rig.session.is_idle());
        }
    }
}

/// A shared frame serves a connection that would write the same bytes itself.
#[test]
fn who_takes_a_plain_frame() {
    for version in VERSIONS {
        let rig = Rig::connected_with(version, |terms| terms.packet_bytes_max = 100);
        assert_eq!(rig.session.takes_plain(100), Some(version));
        assert_eq!(rig.session.takes_plain(101), None);
    }
    let rig = Rig::connected_with(Version::V5, |terms| terms.alias_out_maximum = 1);
    assert_eq!(rig.session.takes_plain(1), None, "its topics have aliases");
}

#[test]
fn a_delivery_is_written_with_all_that_belongs_to_it() {
    let forward = [0x26, 0, 1, b'k', 0, 1, b'v'];
    let delivery = Delivery {
        forward: &forward,
        expiry_s: Some(9),
        retain: true,
        subscription_ids: &[3, 300],
        ..delivery(QoS::AtLeastOnce)
    };
    let mut rig = Rig::connected(Version::V5);
    rig.session.send(&delivery, Position(0), &mut rig.out);
    match &super::rig::packets(&rig.out, Version::V5)[..] {
        [Packet::Publish(publish)] => {
            assert!(publish.retain && !publish.dup);
            assert_eq!((publish.topic, publish.payload, publish.expiry), ("down/1", &b"payload"[..], Some(9)));
            assert_eq!(publish.properties.subscription_ids().collect::<Vec<_>>(), [3, 300]);
            assert_eq!(publish.properties.forwardable().flatten().copied().collect::<Vec<_>>(), forward);
        }
        other => panic!("{other:?}"),
    }
}
