//! Answers and their proofs: late ones, refused ones, and those of connections that are gone.

use super::rig::{Rig, SUCCESS, Said, VERSIONS, ack, connect, packets, publish};
use crate::{
    ReasonCode, Version,
    codec::{
        packet::{Connect, Packet, QoS},
        properties::{PropertiesBuf, Property},
    },
    session::{ServerOptions, Step},
};

const QUOTA: ReasonCode = ReasonCode::QUOTA_EXCEEDED;

/// Sends a publish again that must be known.
fn repeat(rig: &mut Rig, packet_id: u16) {
    let step = rig.handle(Packet::Publish(publish(QoS::ExactlyOnce, packet_id)));
    assert!(matches!(step, Ok(Step::Nothing)), "taken for a new message: {step:?}");
}

#[test]
fn a_late_puback_is_not_written_on_another_connection() {
    for version in VERSIONS {
        let mut rig = Rig::connected(version);
        let old = rig.take_in(QoS::AtLeastOnce, 7);
        rig.reconnect();
        let new = rig.take_in(QoS::AtLeastOnce, 7);
        rig.acknowledge(old);
        assert!(rig.said().is_empty());
        rig.acknowledge(new);
        assert_eq!(rig.said(), [Said::Ack(7, SUCCESS)]);
    }
}

#[test]
fn a_late_pubrec_waits_for_the_client_to_ask_again() {
    for version in VERSIONS {
        let mut rig = Rig::connected(version);
        let token = rig.take_in(QoS::ExactlyOnce, 7);
        rig.reconnect();
        rig.acknowledge(token);
        assert!(rig.said().is_empty(), "the client has not sent it on this connection");
        repeat(&mut rig, 7);
        assert_eq!(rig.said(), [Said::Rec(7, SUCCESS)]);
    }
}

#[test]
fn a_commit_that_comes_after_the_client_has_asked_again_is_told() {
    for version in VERSIONS {
        let mut rig = Rig::connected(version);
        let token = rig.take_in(QoS::ExactlyOnce, 7);
        for _ in 0..3 {
            rig.reconnect();
            repeat(&mut rig, 7);
        }
        assert!(rig.said().is_empty());
        rig.acknowledge(token);
        assert_eq!(rig.said(), [Said::Rec(7, SUCCESS)]);
    }
}

#[test]
fn a_commit_without_a_connection_is_remembered() {
    let mut rig = Rig::connected(Version::V5);
    let (at_least, exactly) = (rig.take_in(QoS::AtLeastOnce, 1), rig.take_in(QoS::ExactlyOnce, 2));
    rig.session.detach();
    rig.acknowledge(at_least);
    rig.acknowledge(exactly);
    assert!(rig.said().is_empty());
    rig.reconnect();
    repeat(&mut rig, 2);
    assert_eq!(rig.said(), [Said::Rec(2, SUCCESS)]);
}

/// [MQTT-3.4.2-1], [MQTT-3.5.2-1]
#[test]
fn a_refusal_is_told_with_its_code_and_its_reason() {
    let mut rig = Rig::connected(Version::V5);
    for qos in [QoS::AtLeastOnce, QoS::ExactlyOnce] {
        let token = rig.take_in(qos, 7);
        rig.refuse(token, QUOTA).unwrap();
        let bytes = std::mem::take(&mut rig.out);
        match (qos, &packets(&bytes, Version::V5)[..]) {
            (QoS::AtLeastOnce, [Packet::PubAck(ack)]) | (QoS::ExactlyOnce, [Packet::PubRec(ack)]) => {
                assert_eq!((ack.packet_id.get(), ack.reason), (7, QUOTA));
                assert_eq!(ack.properties.reason_string(), Some("no room"));
            }
            other => panic!("{other:?}"),
        }
        assert!(rig.session.is_idle(), "a refused exchange is over [MQTT-4.3.3-4]");
    }
}

/// [MQTT-3.1.2-29]
#[test]
fn a_client_without_interest_in_problems_gets_the_code_alone() {
    let mut buf = PropertiesBuf::new();
    buf.push(&Property::RequestProblemInformation(false));
    let mut rig = Rig::new(Version::V5, ServerOptions::default());
    rig.accept(&Connect { properties: buf.as_properties(), ..connect(Version::V5) }, |_| ());
    let token = rig.take_in(QoS::AtLeastOnce, 7);
    rig.refuse(token, QUOTA).unwrap();
    assert_eq!(rig.out, [0x40, 3, 0, 7, 0x97]);
}

/// [MQTT-3.4.2-2], [MQTT-3.5.2-2]
#[test]
fn the_reason_string_goes_where_it_does_not_fit() {
    let written = |packet_bytes_max, qos| {
        let mut rig = Rig::connected_with(Version::V5, |terms| terms.packet_bytes_max = packet_bytes_max);
        let token = rig.take_in(qos, 7);
        rig.out.clear();
        rig.refuse(token, QUOTA).unwrap();
        rig.out
    };
    for qos in [QoS::AtLeastOnce, QoS::ExactlyOnce] {
        let long = written(u32::MAX, qos);
        let len = u32::try_from(long.len()).unwrap();
        assert_eq!(written(len, qos), long);
        assert_eq!(written(len - 1, qos)[1..], [3, 0, 7, 0x97]);
        assert_eq!(written(5, qos)[1..], [3, 0, 7, 0x97]);
    }
}

/// 3.x has no word for a refusal: the connection ends, and the client sends the message again, as a new one.
#[test]
fn before_5_0_a_refusal_ends_the_connection() {
    for version in [Version::V31, Version::V311] {
        for qos in [QoS::AtLeastOnce, QoS::ExactlyOnce] {
            let mut rig = Rig::connected(version);
            let token = rig.take_in(qos, 7);
            assert_eq!(rig.refuse(token, QUOTA).unwrap_err().reason, QUOTA);
            assert!(rig.said().is_empty());
            rig.reconnect();
            let again = rig.take_in(qos, 7);
            rig.acknowledge(again);
            assert_eq!(rig.said().len(), 1);
        }
    }
}

#[test]
fn a_refusal_of_an_earlier_connection_is_not_told_on_this_one() {
    for version in VERSIONS {
        for qos in [QoS::AtLeastOnce, QoS::ExactlyOnce] {
            let mut rig = Rig::connected(version);
            let old = rig.take_in(qos, 7);
            rig.reconnect();
            assert_eq!(rig.refuse(old, QUOTA), Ok(()), "the client has not sent it on this connection");
            assert!(rig.said().is_empty());
            let new = rig.take_in(qos, 7);
            rig.acknowledge(new);
            assert_eq!(rig.said().len(), 1);
        }
    }
}

/// The client has sent the publish again and waits here, so it has to hear of the refusal here.
#[test]
fn a_refusal_reaches_the_connection_on_which_the_client_waits() {
    for version in VERSIONS {
        let mut rig = Rig::connected(version);
        let token = rig.take_in(QoS::ExactlyOnce, 7);
        rig.reconnect();
        repeat(&mut rig, 7);
        let refusal = rig.refuse(token, QUOTA);
        if version.is_v5() {
            refusal.unwrap();
            assert_eq!(rig.said(), [Said::Rec(7, QUOTA)]);
        } else {
            assert_eq!(refusal.unwrap_err().reason, QUOTA, "nothing else makes the client send it again");
        }
        assert!(rig.session.is_idle());
    }
}

/// A clean start forgets the exchange; a commit that comes after it is not that of the next exchange with its
/// identifier.
#[test]
fn a_commit_from_before_a_clean_start_proves_nothing_after_it() {
    for version in VERSIONS {
        let mut rig = Rig::connected(version);
        let old = rig.take_in(QoS::ExactlyOnce, 7);
        rig.session.clear();
        rig.reconnect();
        let new = rig.take_in(QoS::ExactlyOnce, 7);
        rig.acknowledge(old);
        assert!(rig.said().is_empty(), "PUBREC with the proof of another message");
        rig.acknowledge(new);
        assert_eq!(rig.said(), [Said::Rec(7, SUCCESS)]);
    }
}

#[test]
fn a_refusal_from_before_a_clean_start_ends_nothing_after_it() {
    for version in VERSIONS {
        let mut rig = Rig::connected(version);
        let old = rig.take_in(QoS::ExactlyOnce, 7);
        rig.session.clear();
        rig.reconnect();
        let new = rig.take_in(QoS::ExactlyOnce, 7);
        assert_eq!(rig.refuse(old, QUOTA), Ok(()));
        repeat(&mut rig, 7);
        rig.acknowledge(new);
        assert_eq!(rig.said(), [Said::Rec(7, SUCCESS)]);
    }
}

/// QoS 1 exchanges leave nothing behind, so the client may use the identifier for QoS 2 while an old token is out.
#[test]
fn a_late_refusal_of_qos_1_does_not_touch_a_qos_2_exchange() {
    for version in VERSIONS {
        let mut rig = Rig::connected(version);
        let old = rig.take_in(QoS::AtLeastOnce, 7);
        rig.reconnect();
        let resent = rig.take_in(QoS::AtLeastOnce, 7);
        rig.acknowledge(resent);
        let exactly = rig.take_in(QoS::ExactlyOnce, 7);
        assert_eq!(rig.refuse(old, QUOTA), Ok(()));
        repeat(&mut rig, 7);
        rig.said();
        rig.acknowledge(exactly);
        assert_eq!(rig.said(), [Said::Rec(7, SUCCESS)]);
    }
}

/// Nobody will answer for the token: the client's re-delivery has to be taken for a new message, not for a known one.
#[test]
fn an_abandoned_publish_can_be_sent_again() {
    for version in VERSIONS {
        let mut rig = Rig::connected(version);
        let (at_least, exactly) = (rig.take_in(QoS::AtLeastOnce, 1), rig.take_in(QoS::ExactlyOnce, 2));
        rig.session.abandon(at_least);
        rig.session.abandon(exactly);
        assert!(rig.said().is_empty() && rig.session.is_idle());
        rig.reconnect();
        let again = rig.take_in(QoS::ExactlyOnce, 2);
        rig.session.abandon(exactly); // has no effect on its successor
        repeat(&mut rig, 2);
        rig.acknowledge(again);
        assert_eq!(rig.said(), [Said::Rec(2, SUCCESS)]);
    }
}

/// Answers come in the order of the commits, whatever the order of the publishes was.
#[test]
fn answers_are_those_of_their_tokens() {
    let mut rig = Rig::connected(Version::V5);
    let tokens: Vec<_> = (1..=4).map(|packet_id| rig.take_in(QoS::AtLeastOnce, packet_id)).collect();
    for index in [2, 0, 3, 1] {
        rig.acknowledge(tokens[index]);
    }
    assert_eq!(rig.said(), [3, 1, 4, 2].map(|packet_id| Said::Ack(packet_id, SUCCESS)));
    rig.handle(Packet::PubRel(ack(1, SUCCESS))).unwrap();
    assert_eq!(rig.said(), [Said::Comp(1, ReasonCode::PACKET_IDENTIFIER_NOT_FOUND)], "QoS 1 is not released");
}
