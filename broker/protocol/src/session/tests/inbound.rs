//! Publishes of the client, QoS 0, 1 and 2, one at a time.

use super::rig::{Rig, SUCCESS, Said, VERSIONS, ack, connect, publish};
use crate::{
    ReasonCode, Version,
    codec::{
        packet::{Packet, Publish, QoS},
        properties::{PropertiesBuf, Property},
    },
    session::{ServerOptions, Step, TopicRef},
};

/// The topic of a publish that is to be routed.
fn topic_of(rig: &mut Rig, publish: Publish<'_>) -> String {
    match rig.handle(Packet::Publish(publish)) {
        Ok(Step::Publish { incoming, .. }) => incoming.topic.to_string(),
        other => panic!("not routed: {other:?}"),
    }
}

/// [MQTT-4.3.1-1]
#[test]
fn qos_0_is_routed_and_not_answered() {
    for version in VERSIONS {
        let mut rig = Rig::connected(version);
        match rig.handle(Packet::Publish(Publish { retain: true, ..publish(QoS::AtMostOnce, 0) })) {
            Ok(Step::Publish { incoming, token: None }) => {
                assert_eq!((&*incoming.topic, incoming.payload), ("up/1", &b"payload"[..]));
                assert!(matches!(incoming.topic, TopicRef::Packet(_)) && incoming.retain);
            }
            other => panic!("{other:?}"),
        }
        assert!(rig.said().is_empty() && rig.session.is_idle());
    }
}

/// [MQTT-4.3.2-4], [MQTT-3.4.2-1]
#[test]
fn qos_1_is_answered_when_it_is_committed() {
    for version in VERSIONS {
        let mut rig = Rig::connected(version);
        let token = rig.take_in(QoS::AtLeastOnce, 7);
        assert!(rig.said().is_empty(), "an answer before the commit");
        rig.acknowledge(token);
        assert_eq!(rig.said(), [Said::Ack(7, SUCCESS)]);
    }
}

/// 0x10 is a word of 5.0.
#[test]
fn a_publish_that_reached_nobody_is_committed_and_says_so() {
    for version in VERSIONS {
        let reason = if version.is_v5() { ReasonCode::NO_MATCHING_SUBSCRIBERS } else { SUCCESS };
        let mut rig = Rig::connected(version);
        for (qos, said) in [(QoS::AtLeastOnce, Said::Ack(3, reason)), (QoS::ExactlyOnce, Said::Rec(3, reason))] {
            let token = rig.take_in(qos, 3);
            rig.session.acknowledge(super::rig::committed(token, false), &mut rig.out);
            assert_eq!(rig.said(), [said]);
        }
    }
}

/// [MQTT-4.3.3-8], [MQTT-4.3.3-11]
#[test]
fn qos_2_goes_through_its_four_packets() {
    for version in VERSIONS {
        let mut rig = Rig::connected(version);
        let token = rig.take_in(QoS::ExactlyOnce, 7);
        assert!(rig.said().is_empty(), "an answer before the commit");
        rig.acknowledge(token);
        assert_eq!(rig.said(), [Said::Rec(7, SUCCESS)]);
        assert!(!rig.session.is_idle());
        rig.handle(Packet::PubRel(ack(7, SUCCESS))).unwrap();
        assert_eq!(rig.said(), [Said::Comp(7, SUCCESS)]);
        assert!(rig.session.is_idle());
    }
}

/// [MQTT-4.3.3-10]: with or without DUP, before the commit and after it; one message.
#[test]
fn a_repeated_qos_2_publish_is_no_new_message() {
    for version in VERSIONS {
        let mut rig = Rig::connected(version);
        let token = rig.take_in(QoS::ExactlyOnce, 7);
        let again = |rig: &mut Rig, dup| {
            let step = rig.handle(Packet::Publish(Publish { dup, ..publish(QoS::ExactlyOnce, 7) })).map(drop);
            assert_eq!(step, Ok(()));
        };
        again(&mut rig, true);
        again(&mut rig, false);
        assert!(rig.said().is_empty(), "an answer before the commit");
        rig.acknowledge(token);
        assert_eq!(rig.said(), [Said::Rec(7, SUCCESS)], "one publish, one PUBREC");
        again(&mut rig, true);
        assert_eq!(rig.said(), [Said::Rec(7, SUCCESS)], "PUBREC is repeated");
        rig.handle(Packet::PubRel(ack(7, SUCCESS))).unwrap();
        rig.said();
        let next = rig.take_in(QoS::ExactlyOnce, 7); // [MQTT-4.3.3-12]: after PUBCOMP the identifier is free
        rig.acknowledge(next);
        assert_eq!(rig.said(), [Said::Rec(7, SUCCESS)]);
    }
}

/// A repeated publish comes out of `handle` as nothing to do.
#[test]
fn a_repeated_qos_2_publish_is_not_routed() {
    let mut rig = Rig::connected(Version::V5);
    let token = rig.take_in(QoS::ExactlyOnce, 7);
    for _ in 0..3 {
        let step = rig.handle(Packet::Publish(publish(QoS::ExactlyOnce, 7)));
        assert!(matches!(step, Ok(Step::Nothing)), "{step:?}");
    }
    rig.acknowledge(token);
    let step = rig.handle(Packet::Publish(publish(QoS::ExactlyOnce, 7)));
    assert!(matches!(step, Ok(Step::Nothing)), "{step:?}");
}

/// [MQTT-4.3.3-11], table 3-7.
#[test]
fn a_pubrel_of_nothing_is_answered() {
    for version in VERSIONS {
        let mut rig = Rig::connected(version);
        let reason = if version.is_v5() { ReasonCode::PACKET_IDENTIFIER_NOT_FOUND } else { SUCCESS };
        rig.handle(Packet::PubRel(ack(9, SUCCESS))).unwrap();
        assert_eq!(rig.said(), [Said::Comp(9, reason)]);
    }
}

/// A client that releases what it has no PUBREC for breaks 4.3.3; it must not hear that its message is safe.
#[test]
fn a_pubrel_before_its_pubrec_is_a_violation() {
    for version in VERSIONS {
        let mut rig = Rig::connected(version);
        let token = rig.take_in(QoS::ExactlyOnce, 7);
        let violation = rig.handle(Packet::PubRel(ack(7, SUCCESS))).map(drop).unwrap_err();
        assert_eq!(violation.reason, ReasonCode::PROTOCOL_ERROR);
        assert!(rig.said().is_empty(), "PUBCOMP before the commit");
        rig.acknowledge(token);
        assert_eq!(rig.said(), [Said::Rec(7, SUCCESS)], "the exchange goes on");
    }
}

/// [MQTT-3.2.2-11], [MQTT-3.2.2-14]
#[test]
fn what_the_server_does_not_offer_is_refused_with_its_own_code() {
    let options = ServerOptions { qos_max: QoS::AtLeastOnce, retain_available: false, ..ServerOptions::default() };
    let mut rig = Rig::new(Version::V5, options);
    rig.accept(&connect(Version::V5), |_| ());
    let code = |rig: &mut Rig, publish| rig.handle(Packet::Publish(publish)).map(drop).unwrap_err().reason;
    assert_eq!(code(&mut rig, publish(QoS::ExactlyOnce, 1)), ReasonCode::QOS_NOT_SUPPORTED);
    let retained = Publish { retain: true, ..publish(QoS::AtMostOnce, 0) };
    assert_eq!(code(&mut rig, retained), ReasonCode::RETAIN_NOT_SUPPORTED);
    rig.take_in(QoS::AtLeastOnce, 1);
}

/// [MQTT-3.3.2-9], [MQTT-3.3.2-7], MQTT5 3.3.4.
#[test]
fn an_alias_of_the_client_lasts_as_long_as_its_connection() {
    let options = ServerOptions { alias_maximum: 2, ..ServerOptions::default() };
    let mut rig = Rig::new(Version::V5, options);
    rig.accept(&connect(Version::V5), |_| ());
    let alias = |topic, alias| Publish { topic, topic_alias: Some(alias), ..publish(QoS::AtMostOnce, 0) };
    let code = |rig: &mut Rig, publish| rig.handle(Packet::Publish(publish)).map(drop).unwrap_err().reason;
    assert_eq!(code(&mut rig, alias("", 1)), ReasonCode::PROTOCOL_ERROR);
    assert_eq!(code(&mut rig, alias("a", 3)), ReasonCode::TOPIC_ALIAS_INVALID);
    assert_eq!(topic_of(&mut rig, alias("a", 1)), "a");
    assert_eq!(topic_of(&mut rig, alias("b", 2)), "b");
    assert_eq!(topic_of(&mut rig, alias("", 1)), "a");
    assert_eq!(topic_of(&mut rig, alias("c", 1)), "c");
    assert_eq!(topic_of(&mut rig, alias("", 1)), "c");
    rig.reconnect();
    assert_eq!(code(&mut rig, alias("", 1)), ReasonCode::PROTOCOL_ERROR);
}

/// An alias that comes with a repeated QoS 2 publish is set all the same: the client has said it on this connection.
#[test]
fn a_repeated_publish_sets_its_alias() {
    let mut rig = Rig::new(Version::V5, ServerOptions::default());
    rig.reconnect();
    let first = Publish { topic: "a", topic_alias: Some(1), ..publish(QoS::ExactlyOnce, 5) };
    rig.handle(Packet::Publish(first)).unwrap();
    rig.reconnect();
    assert!(matches!(rig.handle(Packet::Publish(first)), Ok(Step::Nothing)));
    assert_eq!(topic_of(&mut rig, Publish { topic: "", packet_id: None, qos: QoS::AtMostOnce, ..first }), "a");
}

#[test]
fn the_properties_of_a_publish_come_out_as_they_went_in() {
    let mut buf = PropertiesBuf::new();
    buf.extend([Property::MessageExpiry(5), Property::UserProperty("a", "b")]);
    let properties = buf.as_properties();
    let publish = Publish { expiry: Some(5), properties, forwards_unchanged: false, ..publish(QoS::AtMostOnce, 0) };
    match Rig::connected(Version::V5).handle(Packet::Publish(publish)) {
        Ok(Step::Publish { incoming, .. }) => {
            assert_eq!((incoming.expiry_s, incoming.properties), (Some(5), properties));
            assert!(!incoming.forwards_unchanged);
        }
        other => panic!("{other:?}"),
    }
}

#[test]
fn without_a_connection_nothing_is_taken_in() {
    let mut rig = Rig::connected(Version::V5);
    rig.session.detach();
    let step = rig.handle(Packet::Publish(publish(QoS::ExactlyOnce, 1)));
    assert!(matches!(step, Ok(Step::Nothing)), "{step:?}");
    assert!(rig.session.is_idle() && rig.said().is_empty());
}
