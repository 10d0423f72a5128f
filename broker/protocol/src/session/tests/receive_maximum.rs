//! The server's Receive Maximum: what counts against it, what gives a place back (MQTT 5.0, 3.3.4, 4.9).

use super::rig::{Rig, SUCCESS, Said, ack, connect, publish};
use crate::{
    ReasonCode, Version,
    codec::packet::{Packet, QoS},
    session::{ServerOptions, Step},
};

fn rig(version: Version, receive_maximum: u16) -> Rig {
    let mut rig = Rig::new(version, ServerOptions { receive_maximum, ..ServerOptions::default() });
    rig.accept(&connect(version), |_| ());
    rig
}

/// The code with which one more publish ends the connection, if it does.
fn overflow(rig: &mut Rig, qos: QoS, packet_id: u16) -> Option<ReasonCode> {
    rig.handle(Packet::Publish(publish(qos, packet_id))).err().map(|violation| violation.reason)
}

const EXCEEDED: Option<ReasonCode> = Some(ReasonCode::RECEIVE_MAXIMUM_EXCEEDED);

/// [MQTT-3.3.4-9]
#[test]
fn one_publish_too_many_ends_the_connection() {
    let mut rig = rig(Version::V5, 3);
    for (packet_id, qos) in [(1, QoS::AtLeastOnce), (2, QoS::ExactlyOnce), (3, QoS::AtLeastOnce)] {
        assert_eq!(overflow(&mut rig, qos, packet_id), None);
    }
    assert_eq!(overflow(&mut rig, QoS::AtLeastOnce, 4), EXCEEDED);
    assert_eq!(overflow(&mut rig, QoS::ExactlyOnce, 4), EXCEEDED);
    assert_eq!(overflow(&mut rig, QoS::AtMostOnce, 0), None, "QoS 0 does not count");
    assert_eq!(overflow(&mut rig, QoS::ExactlyOnce, 2), None, "nor does a repetition");
}

/// The count is that of 4.9: PUBACK and PUBCOMP give a place back, PUBREC does not, an error PUBREC does.
#[test]
fn the_end_of_an_exchange_gives_its_place_back() {
    let mut rig = rig(Version::V5, 1);
    let token = rig.take_in(QoS::AtLeastOnce, 1);
    rig.acknowledge(token);
    let token = rig.take_in(QoS::AtLeastOnce, 1);
    rig.refuse(token, ReasonCode::QUOTA_EXCEEDED).unwrap();
    let token = rig.take_in(QoS::ExactlyOnce, 1);
    rig.refuse(token, ReasonCode::QUOTA_EXCEEDED).unwrap();
    let token = rig.take_in(QoS::ExactlyOnce, 1);
    rig.acknowledge(token);
    assert_eq!(overflow(&mut rig, QoS::AtLeastOnce, 2), EXCEEDED, "PUBREC gives nothing back");
    rig.handle(Packet::PubRel(ack(1, SUCCESS))).unwrap();
    assert_eq!(overflow(&mut rig, QoS::AtLeastOnce, 2), None);
    assert_eq!(overflow(&mut rig, QoS::AtLeastOnce, 3), EXCEEDED);
}

/// 4.9: the quota is not kept over connections; a late answer to an earlier one must not count on this one.
#[test]
fn each_connection_counts_from_nothing() {
    let mut rig = rig(Version::V5, 2);
    let old = [rig.take_in(QoS::AtLeastOnce, 1), rig.take_in(QoS::AtLeastOnce, 2)];
    rig.reconnect();
    assert_eq!(overflow(&mut rig, QoS::AtLeastOnce, 1), None);
    assert_eq!(overflow(&mut rig, QoS::AtLeastOnce, 2), None);
    old.into_iter().for_each(|token| rig.acknowledge(token));
    assert!(rig.said().is_empty(), "these answers belong to the earlier connection");
    assert_eq!(overflow(&mut rig, QoS::AtLeastOnce, 3), EXCEEDED);
}

/// 4.9 lets the client count up with each PUBCOMP, "regardless of whether [it] contained an error code".
#[test]
fn a_pubcomp_gives_a_place_back_whatever_it_says() {
    let mut rig = rig(Version::V5, 2);
    let token = rig.take_in(QoS::ExactlyOnce, 1);
    rig.acknowledge(token);
    rig.handle(Packet::PubRel(ack(1, SUCCESS))).unwrap();
    rig.reconnect(); // PUBCOMP was lost
    rig.take_in(QoS::AtLeastOnce, 2);
    rig.take_in(QoS::AtLeastOnce, 3);
    rig.handle(Packet::PubRel(ack(1, SUCCESS))).unwrap();
    assert_eq!(rig.said(), [Said::Comp(1, ReasonCode::PACKET_IDENTIFIER_NOT_FOUND)]);
    assert_eq!(overflow(&mut rig, QoS::AtLeastOnce, 4), None, "the client has heard PUBCOMP");
}

/// A publish that was sent again on this connection has taken a place here, so its refusal gives that one back, and not
/// one of those that the rule above gives.
#[test]
fn a_refused_repetition_gives_its_place_back() {
    let mut rig = rig(Version::V5, 1);
    let token = rig.take_in(QoS::ExactlyOnce, 1);
    rig.reconnect();
    assert_eq!(overflow(&mut rig, QoS::ExactlyOnce, 1), None);
    rig.handle(Packet::PubRel(ack(9, SUCCESS))).unwrap(); // its PUBCOMP was lost
    rig.take_in(QoS::AtLeastOnce, 3);
    rig.refuse(token, ReasonCode::QUOTA_EXCEEDED).unwrap();
    assert_eq!(overflow(&mut rig, QoS::AtLeastOnce, 4), None, "the client has heard PUBCOMP and the refusal");
    assert_eq!(overflow(&mut rig, QoS::AtLeastOnce, 5), EXCEEDED);
}

/// What these rules give must not lift the bound: a client that releases what it has not published gets no more
/// than twice the Receive Maximum unanswered.
#[test]
fn releases_of_nothing_do_not_lift_the_bound() {
    let mut rig = rig(Version::V5, 10);
    let mut taken = 0_u16;
    for packet_id in 1..=1000 {
        match rig.handle(Packet::Publish(publish(QoS::AtLeastOnce, packet_id))) {
            Ok(Step::Publish { .. }) => taken += 1,
            other => {
                assert_eq!(other.unwrap_err().reason, ReasonCode::RECEIVE_MAXIMUM_EXCEEDED);
                break;
            }
        }
        rig.handle(Packet::PubRel(ack(2000, SUCCESS))).unwrap();
    }
    assert!((10..=20).contains(&taken), "{taken} publishes without an answer");
}

/// Before 5.0 there is no Receive Maximum and no way to tell one: a client may use all its identifiers.
#[test]
fn before_5_0_every_identifier_may_be_in_flight() {
    for version in [Version::V31, Version::V311] {
        for qos in [QoS::AtLeastOnce, QoS::ExactlyOnce] {
            let mut rig = rig(version, 2);
            for packet_id in 1..=u16::MAX {
                assert_eq!(overflow(&mut rig, qos, packet_id), None, "{version:?} {qos:?} {packet_id}");
            }
        }
    }
}
