//! What a new connection repeats: PUBRELs, publishes with DUP, their order and their identifiers (MQTT 5.0, 4.4, 4.6).

use primer_core::backlog::Position;

use super::rig::{Rig, SUCCESS, Said, VERSIONS, ack, connect, delivery, publish_ids};
use crate::{
    ReasonCode, Version,
    codec::packet::{Packet, QoS},
    session::{Sent, Step},
};

const MIXED: [QoS; 4] = [QoS::AtLeastOnce, QoS::ExactlyOnce, QoS::ExactlyOnce, QoS::AtLeastOnce];

/// Sends what is due again, each with the QoS of its position in [`MIXED`].
fn send_mixed_again(rig: &mut Rig) -> Vec<(u64, u16, bool)> {
    let mut sent = Vec::new();
    while let Some(resend) = rig.session.next_resend() {
        let position = resend.position.0;
        let qos = MIXED[usize::try_from(position).unwrap()];
        assert_eq!(rig.session.send_again(resend, &delivery(qos), &mut rig.out), Sent::Written);
        let said = rig.said();
        assert!(matches!(&said[..], [Said::Publish { qos: written, .. }] if *written == qos));
        sent.extend(publish_ids(&said).into_iter().map(|(id, dup)| (position, id, dup)));
    }
    sent
}

/// [MQTT-4.4.0-1], [MQTT-3.3.1-1], [MQTT-4.6.0-1], [MQTT-4.6.0-6]
#[test]
fn publishes_are_repeated_in_their_order_with_their_identifiers_and_dup() {
    for version in VERSIONS {
        let mut rig = Rig::connected(version);
        for (position, qos) in MIXED.into_iter().enumerate() {
            rig.send(qos, position as u64);
        }
        for _ in 0..3 {
            assert_eq!(rig.reconnect(), [], "no publish is written before it is asked for");
            assert_eq!(rig.session.credit(), 0, "new messages come after the old ones");
            assert_eq!(send_mixed_again(&mut rig), [(0, 1, true), (1, 2, true), (2, 3, true), (3, 4, true)]);
            assert!(rig.session.credit() > 0);
        }
        rig.send(QoS::AtLeastOnce, 9);
        assert_eq!(publish_ids(&rig.said()), [(5, false)]);
    }
}

#[test]
fn what_is_settled_is_not_repeated() {
    let mut rig = Rig::connected(Version::V5);
    for (position, qos) in MIXED.into_iter().enumerate() {
        rig.send(qos, position as u64);
    }
    rig.handle(Packet::PubAck(ack(1, SUCCESS))).unwrap();
    rig.handle(Packet::PubRec(ack(3, ReasonCode::UNSPECIFIED_ERROR))).unwrap();
    rig.reconnect();
    assert_eq!(send_mixed_again(&mut rig), [(1, 2, true), (3, 4, true)]);
}

/// [MQTT-4.6.0-4]: PUBRELs in the order of their PUBRECs, on every connection until PUBCOMP.
#[test]
fn pubrels_are_repeated_in_the_order_of_the_pubrecs() {
    for version in VERSIONS {
        let mut rig = Rig::connected(version);
        for position in 0..4 {
            rig.send(QoS::ExactlyOnce, position);
        }
        for packet_id in [3, 1] {
            rig.handle(Packet::PubRec(ack(packet_id, SUCCESS))).unwrap();
        }
        assert_eq!(rig.reconnect(), [Said::Rel(3, SUCCESS), Said::Rel(1, SUCCESS)]);
        assert_eq!(rig.send_again(QoS::ExactlyOnce), [1, 3]);
        rig.handle(Packet::PubRec(ack(2, SUCCESS))).unwrap();
        rig.handle(Packet::PubComp(ack(3, SUCCESS))).unwrap();
        assert_eq!(rig.reconnect(), [Said::Rel(1, SUCCESS), Said::Rel(2, SUCCESS)]);
        assert_eq!(rig.send_again(QoS::ExactlyOnce), [3]);
    }
}

/// [MQTT-3.3.4-7], 4.9: the Receive Maximum is that of the present connection, for repetitions too.
#[test]
fn a_smaller_window_holds_for_what_is_repeated() {
    for version in VERSIONS {
        let mut rig = Rig::connected(version);
        for position in 0..6 {
            rig.send(QoS::AtLeastOnce, position);
        }
        rig.reconnect_with_window(2);
        assert_eq!(rig.send_again(QoS::AtLeastOnce), [0, 1]);
        assert_eq!(rig.session.credit(), 0);
        rig.handle(Packet::PubAck(ack(2, SUCCESS))).unwrap();
        assert_eq!(rig.send_again(QoS::AtLeastOnce), [2]);
        rig.handle(Packet::PubAck(ack(5, SUCCESS))).unwrap(); // a late answer: it was not sent on this connection
        assert_eq!(rig.send_again(QoS::AtLeastOnce), [], "its place was not taken here");
        rig.reconnect_with_window(3);
        assert_eq!(rig.send_again(QoS::AtLeastOnce), [0, 2, 3]);
        rig.handle(Packet::PubAck(ack(1, SUCCESS))).unwrap();
        assert_eq!(rig.send_again(QoS::AtLeastOnce), [5]);
        assert_eq!(rig.session.credit(), 0);
    }
}

/// 4.9: a PUBREL takes no place, and the PUBCOMP of an exchange that took none gives none back.
#[test]
fn a_pubcomp_of_an_earlier_connection_gives_no_place() {
    let mut rig = Rig::connected(Version::V5);
    rig.send(QoS::ExactlyOnce, 0);
    rig.handle(Packet::PubRec(ack(1, SUCCESS))).unwrap();
    rig.reconnect_with_window(2);
    assert_eq!(rig.session.credit(), 2);
    rig.send(QoS::AtLeastOnce, 1);
    rig.send(QoS::AtLeastOnce, 2);
    rig.handle(Packet::PubComp(ack(1, SUCCESS))).unwrap();
    assert_eq!(rig.session.credit(), 0);
}

/// [MQTT-4.3.3-6]: a client may answer on the new connection what it got on the earlier one. After PUBREL there is no
/// PUBLISH any more, and the identifier stays in use until PUBCOMP.
#[test]
fn a_late_pubrec_overtakes_the_repetition() {
    for version in VERSIONS {
        let mut rig = Rig::connected(version);
        rig.send(QoS::ExactlyOnce, 0);
        rig.send(QoS::ExactlyOnce, 1);
        rig.reconnect_with_window(1);
        assert_eq!(rig.send_again(QoS::ExactlyOnce), [0]);
        rig.said();
        let step = rig.handle(Packet::PubRec(ack(2, SUCCESS)));
        assert!(matches!(step, Ok(Step::Delivered { position: Position(1), .. })), "{step:?}");
        assert_eq!(rig.said(), [Said::Rel(2, SUCCESS)]);
        rig.handle(Packet::PubRec(ack(1, SUCCESS))).unwrap();
        rig.handle(Packet::PubComp(ack(1, SUCCESS))).unwrap();
        rig.said();
        assert_eq!(rig.session.next_resend(), None, "PUBLISH after PUBREL");
        assert_eq!(rig.session.in_flight(), 1);
        assert_eq!(rig.reconnect(), [Said::Rel(2, SUCCESS)], "PUBCOMP is still due");
    }
}

#[test]
fn a_late_puback_spares_the_repetition() {
    let mut rig = Rig::connected(Version::V311);
    for position in 0..3 {
        rig.send(QoS::AtLeastOnce, position);
    }
    rig.reconnect();
    rig.handle(Packet::PubAck(ack(2, SUCCESS))).unwrap();
    assert_eq!(rig.send_again(QoS::AtLeastOnce), [0, 2]);
    assert_eq!(rig.session.in_flight(), 2);
}

/// A client that comes back with a smaller Maximum Packet Size loses what it can no longer take [MQTT-3.1.2-25].
#[test]
fn a_repetition_that_is_too_large_now_ends_its_exchange() {
    let mut rig = Rig::connected(Version::V5);
    rig.send(QoS::AtLeastOnce, 0);
    rig.accept(&connect(Version::V5), |terms| terms.packet_bytes_max = 10);
    let resend = rig.session.next_resend().unwrap();
    assert_eq!(rig.session.send_again(resend, &delivery(QoS::AtLeastOnce), &mut rig.out), Sent::TooLarge);
    assert!(rig.out.is_empty() && rig.session.is_idle() && rig.session.credit() > 0);
}

#[test]
fn an_exchange_without_its_message_is_given_up() {
    let mut rig = Rig::connected(Version::V5);
    rig.send(QoS::AtLeastOnce, 0);
    rig.send(QoS::AtLeastOnce, 1);
    rig.reconnect_with_window(1);
    let resend = rig.session.next_resend().unwrap();
    rig.session.give_up(resend);
    assert_eq!(rig.send_again(QoS::AtLeastOnce), [1], "it has taken no place");
    assert_eq!(rig.session.in_flight(), 1);
}

/// An interruption between being asked for and being written loses nothing: the next connection asks again.
#[test]
fn a_repetition_that_was_not_written_is_asked_for_again() {
    let mut rig = Rig::connected(Version::V5);
    rig.send(QoS::AtLeastOnce, 0);
    rig.reconnect();
    let resend = rig.session.next_resend().unwrap();
    rig.session.detach();
    assert_eq!(rig.session.send_again(resend, &delivery(QoS::AtLeastOnce), &mut rig.out), Sent::Offline);
    rig.reconnect();
    assert_eq!(rig.send_again(QoS::AtLeastOnce), [0]);
}

/// A clean start repeats nothing; identifiers go on, so that a late answer to the old session hits nothing new.
#[test]
fn a_clean_start_repeats_nothing() {
    let mut rig = Rig::connected(Version::V5);
    rig.send(QoS::AtLeastOnce, 0);
    rig.send(QoS::ExactlyOnce, 1);
    rig.handle(Packet::PubRec(ack(2, SUCCESS))).unwrap();
    rig.session.clear();
    assert!(rig.session.is_idle());
    assert_eq!(rig.reconnect(), []);
    assert_eq!(rig.session.next_resend(), None);
    rig.send(QoS::AtLeastOnce, 2);
    assert_eq!(publish_ids(&rig.said()), [(3, false)]);
}

/// A client may come back with another version of the protocol; the exchanges are the same.
#[test]
fn a_session_goes_on_in_another_version() {
    let mut rig = Rig::connected(Version::V5);
    rig.send(QoS::AtLeastOnce, 0);
    rig.send(QoS::ExactlyOnce, 1);
    rig.handle(Packet::PubRec(ack(2, SUCCESS))).unwrap();
    let token = rig.take_in(QoS::ExactlyOnce, 7);
    rig.version = Version::V311;
    assert_eq!(rig.reconnect(), [Said::Rel(2, SUCCESS)]);
    assert_eq!(rig.send_again(QoS::AtLeastOnce), [0]);
    assert_eq!(publish_ids(&rig.said()), [(1, true)]);
    assert!(matches!(rig.handle(Packet::Publish(super::rig::publish(QoS::ExactlyOnce, 7))), Ok(Step::Nothing)));
    rig.acknowledge(token);
    assert_eq!(rig.said(), [Said::Rec(7, SUCCESS)]);
}
