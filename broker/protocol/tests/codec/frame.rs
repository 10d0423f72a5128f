//! Encoding: the exact bytes, what has no encoding, and the fast paths against the general one.

use primer_mqtt::{
    ReasonCode, Version,
    codec::{
        AckKind, EncodeError, FiltersBuf, PublishFrame, Role, encode, encode_ack,
        packet::{
            Ack, ConnAck, Connect, Outcome, Packet, PacketId, Publish, QoS, SubAck, Subscribe, SubscribeOptions,
            Unsubscribe,
        },
        properties::{Properties, PropertiesBuf, Property},
    },
};

use crate::{cases::decode_one, generate::VERSIONS};

fn id() -> PacketId {
    PacketId::new(0x0102).unwrap()
}

fn frame<'a>() -> PublishFrame<'a> {
    PublishFrame {
        dup: false,
        qos: QoS::AtMostOnce,
        retain: false,
        topic: "a/b",
        packet_id: None,
        topic_alias: None,
        expiry: None,
        subscription_ids: &[],
        forward: &[],
        payload: b"hi",
    }
}

fn encoded(packet: &Packet<'_>, version: Version) -> Vec<u8> {
    let mut out = Vec::new();
    encode(packet, version, &mut out).unwrap();
    out
}

#[test]
fn a_frame_is_these_bytes() {
    let mut out = Vec::new();
    let full = PublishFrame {
        dup: true,
        qos: QoS::AtLeastOnce,
        retain: true,
        packet_id: Some(id()),
        topic_alias: Some(3),
        expiry: Some(4),
        subscription_ids: &[1, 128],
        forward: &[0x01, 0x01],
        ..frame()
    };
    full.encode(Version::V5, &mut out);
    let body = b"\x00\x03a/b\x01\x02\x0F\x23\x00\x03\x02\x00\x00\x00\x04\x0B\x01\x0B\x80\x01\x01\x01hi";
    assert_eq!(out, [&[0x3B, 25], &body[..]].concat());
    assert_eq!(out.len(), full.encoded_len(Version::V5));
    for version in [Version::V31, Version::V311] {
        out.clear();
        full.encode(version, &mut out);
        assert_eq!(out, b"\x3B\x09\x00\x03a/b\x01\x02hi");
        assert_eq!(out.len(), full.encoded_len(version));
    }
}

#[test]
fn the_length_of_a_frame_is_exact_at_the_borders_of_its_lengths() {
    for payload in [0, 1, 120, 121, 122, 123, 16_376, 16_377, 16_378, 16_379, 16_380, 2_097_145, 2_097_147, 2_097_150] {
        for forward in [0, 126, 127, 128, 129, 16_383, 16_384] {
            let payload = vec![0; payload];
            let user =
                [&[0x26, 0, 0][..], &u16::try_from(forward).unwrap().to_be_bytes(), &vec![b'x'; forward]].concat();
            let frame = PublishFrame { payload: &payload, forward: &user, ..frame() };
            for version in VERSIONS {
                let mut out = Vec::new();
                frame.encode(version, &mut out);
                assert_eq!(out.len(), frame.encoded_len(version));
                assert_eq!(decode_one(&out, Role::Server, Some(version)), Ok(out.len()));
            }
        }
    }
}

#[test]
fn a_frame_that_cannot_be_said_appends_nothing() {
    let long = "x".repeat(65_536);
    let large = vec![0; 268_435_456];
    for frame in [
        PublishFrame { topic: &long, ..frame() },
        PublishFrame { payload: &large, ..frame() },
        PublishFrame { qos: QoS::AtLeastOnce, ..frame() },
    ] {
        let mut out = vec![1];
        frame.encode(Version::V5, &mut out);
        assert_eq!((out, frame.encoded_len(Version::V5)), (vec![1], 0));
    }
    let mut out = Vec::new();
    let ids = PublishFrame { subscription_ids: &[268_435_456], ..frame() };
    ids.encode(Version::V5, &mut out);
    assert!(out.is_empty());
    let id_with_qos_0 = PublishFrame { packet_id: Some(id()), dup: true, ..frame() };
    id_with_qos_0.encode(Version::V311, &mut out);
    assert_eq!(out, b"\x30\x07\x00\x03a/bhi", "QoS 0 has no identifier and no DUP");
}

#[test]
fn short_acknowledgements_are_the_same_on_both_paths() {
    for (kind, first) in
        [(AckKind::PubAck, 0x40), (AckKind::PubRec, 0x50), (AckKind::PubRel, 0x62), (AckKind::PubComp, 0x70)]
    {
        let packet = |ack| match kind {
            AckKind::PubAck => Packet::PubAck(ack),
            AckKind::PubRec => Packet::PubRec(ack),
            AckKind::PubRel => Packet::PubRel(ack),
            AckKind::PubComp => Packet::PubComp(ack),
        };
        for version in VERSIONS {
            for reason in [ReasonCode::SUCCESS, ReasonCode::PACKET_IDENTIFIER_NOT_FOUND] {
                let mut out = Vec::new();
                encode_ack(kind, id(), reason, version, &mut out);
                let properties = Properties::EMPTY;
                assert_eq!(out, encoded(&packet(Ack { packet_id: id(), reason, properties }), version));
                let short = [first, 2, 1, 2];
                let with_reason = [first, 3, 1, 2, 0x92];
                let has_reason = version.is_v5() && reason.is_error();
                assert_eq!(out, if has_reason { &with_reason[..] } else { &short });
            }
        }
    }
}

#[test]
fn packets_without_a_body_and_disconnect_are_these_bytes() {
    let ended = Packet::Disconnect(Outcome { reason: ReasonCode::SUCCESS, properties: Properties::EMPTY });
    for version in VERSIONS {
        assert_eq!(encoded(&Packet::PingReq, version), [0xC0, 0]);
        assert_eq!(encoded(&Packet::PingResp, version), [0xD0, 0]);
        let is_long = version.is_v5();
        assert_eq!(encoded(&ended, version), if is_long { &[0xE0, 2, 0, 0][..] } else { &[0xE0, 0] });
    }
    let taken = Outcome { reason: ReasonCode::SESSION_TAKEN_OVER, properties: Properties::EMPTY };
    assert_eq!(encoded(&Packet::Disconnect(taken), Version::V5), [0xE0, 2, 0x8E, 0]);
}

#[test]
fn what_an_older_version_does_not_have_is_left_out() {
    let mut buf = PropertiesBuf::new();
    assert!(buf.push(&Property::ReasonString("why")));
    let properties = buf.as_properties();
    let connack = Packet::ConnAck(ConnAck { session_present: true, reason: ReasonCode::SUCCESS, properties });
    assert_eq!(encoded(&connack, Version::V31), [0x20, 2, 0, 0]);
    assert_eq!(encoded(&connack, Version::V311), [0x20, 2, 1, 0]);
    let codes = [0, 1, 2, 0x80, 0x87, 0x9E];
    let suback = Packet::SubAck(SubAck { packet_id: id(), properties, codes: &codes });
    assert_eq!(encoded(&suback, Version::V311), [0x90, 8, 1, 2, 0, 1, 2, 0x80, 0x80, 0x80]);
    let unsuback = Packet::UnsubAck(SubAck { packet_id: id(), properties, codes: &codes });
    assert_eq!(encoded(&unsuback, Version::V311), [0xB0, 2, 1, 2]);
    let mut filters = FiltersBuf::subscribe();
    let options = SubscribeOptions { no_local: true, ..SubscribeOptions::from_qos(QoS::ExactlyOnce) };
    assert!(filters.push("a", options));
    let filters = filters.as_filters();
    let subscribe = Packet::Subscribe(Subscribe { packet_id: id(), subscription_id: None, properties, filters });
    assert_eq!(encoded(&subscribe, Version::V311), [0x82, 6, 1, 2, 0, 1, b'a', 2]);
    let puback = Packet::PubAck(Ack { packet_id: id(), reason: ReasonCode::UNSPECIFIED_ERROR, properties });
    assert_eq!(encoded(&puback, Version::V311), [0x40, 2, 1, 2]);
}

#[test]
fn what_has_no_encoding_is_an_error_and_appends_nothing() {
    let properties = Properties::EMPTY;
    let long = "x".repeat(65_536);
    let connect = |username, password, client_id| {
        Packet::Connect(Box::new(Connect {
            version: Version::V311,
            clean_start: true,
            keep_alive: 0,
            client_id,
            will: None,
            username,
            password,
            properties,
        }))
    };
    let none = FiltersBuf::subscribe();
    let filters = none.as_filters();
    let publish = Publish {
        dup: false,
        qos: QoS::AtLeastOnce,
        retain: false,
        topic: "a",
        packet_id: None,
        topic_alias: None,
        expiry: None,
        properties,
        forwards_unchanged: true,
        payload: b"",
    };
    let (v4, v5) = (Version::V311, Version::V5);
    for (packet, version, error) in [
        (connect(None, None, long.as_str()), v4, EncodeError::FieldTooLong),
        (connect(None, Some(&b"p"[..]), "c"), v4, EncodeError::NotInVersion),
        (connect(None, None, "c"), v5, EncodeError::NotInVersion),
        (Packet::Auth(Outcome { reason: ReasonCode::SUCCESS, properties }), v4, EncodeError::NotInVersion),
        (Packet::Publish(publish), v5, EncodeError::NoPacketId),
        (Packet::Publish(Publish { topic: &long, packet_id: Some(id()), ..publish }), v5, EncodeError::FieldTooLong),
        (Packet::SubAck(SubAck { packet_id: id(), properties, codes: &[] }), v4, EncodeError::Empty),
        (Packet::UnsubAck(SubAck { packet_id: id(), properties, codes: &[] }), v5, EncodeError::Empty),
        (Packet::Unsubscribe(Unsubscribe { packet_id: id(), properties, filters }), v4, EncodeError::Empty),
        (
            Packet::Subscribe(Subscribe { packet_id: id(), subscription_id: None, properties, filters }),
            v5,
            EncodeError::Empty,
        ),
    ] {
        let mut out = vec![7];
        assert_eq!(encode(&packet, version, &mut out), Err(error));
        assert_eq!(out, [7]);
    }
}

#[test]
fn builders_leave_out_what_cannot_be_said() {
    let long = "x".repeat(65_536);
    let mut properties = PropertiesBuf::new();
    assert!(!properties.push(&Property::ReasonString(&long)));
    assert!(!properties.push(&Property::UserProperty(&long, "")));
    assert!(!properties.push(&Property::UserProperty("", &long)));
    assert!(!properties.push(&Property::SubscriptionId(268_435_456)));
    assert!(properties.is_empty());
    assert!(properties.push(&Property::UserProperty("k", "v")));
    assert_eq!(properties.len(), 7);
    let mut filters = FiltersBuf::unsubscribe();
    assert!(!filters.push(&long, SubscribeOptions::from_qos(QoS::AtMostOnce)));
    assert!(filters.as_filters().is_empty());
}

/// A SUBSCRIBE may be larger than the count of its filters can say.
#[test]
fn more_filters_than_are_counted_are_refused() {
    let body = [&[0, 1][..], &[0, 1, b'a', 0].repeat(65_535)].concat();
    let bytes = crate::cases::packet(0x82, &[&body]);
    assert_eq!(decode_one(&bytes, Role::Server, Some(Version::V311)), Ok(bytes.len()));
    let bytes = crate::cases::packet(0x82, &[&body, &[0, 1, b'a', 0]]);
    let refused = decode_one(&bytes, Role::Server, Some(Version::V311));
    assert_eq!(refused, Err((ReasonCode::QUOTA_EXCEEDED, "MQTT3 3.8.3")));
}

#[test]
fn the_getters_find_their_property_behind_any_other() {
    let all = [
        Property::UserProperty("k", "v"),
        Property::PayloadFormat(1),
        Property::MessageExpiry(2),
        Property::ContentType("c"),
        Property::ResponseTopic("r"),
        Property::CorrelationData(&[9]),
        Property::SubscriptionId(300),
        Property::SessionExpiry(5),
        Property::AssignedClientId("id"),
        Property::ServerKeepAlive(6),
        Property::AuthenticationMethod("m"),
        Property::AuthenticationData(&[7]),
        Property::RequestProblemInformation(true),
        Property::WillDelay(8),
        Property::RequestResponseInformation(true),
        Property::ResponseInformation("i"),
        Property::ServerReference("s"),
        Property::ReasonString("why"),
        Property::ReceiveMaximum(9),
        Property::TopicAliasMaximum(10),
        Property::TopicAlias(11),
        Property::MaximumQos(1),
        Property::RetainAvailable(true),
        Property::MaximumPacketSize(12),
        Property::WildcardSubscriptionAvailable(true),
        Property::SubscriptionIdsAvailable(true),
        Property::SharedSubscriptionAvailable(true),
        Property::SubscriptionId(1),
    ];
    let mut buf = PropertiesBuf::new();
    buf.extend(all);
    let found = buf.as_properties();
    assert!(found.iter().eq(all));
    assert_eq!((found.payload_format(), found.message_expiry(), found.content_type()), (Some(1), Some(2), Some("c")));
    assert_eq!((found.response_topic(), found.correlation_data()), (Some("r"), Some(&[9][..])));
    assert!(found.subscription_ids().eq([300, 1]));
    assert_eq!((found.session_expiry(), found.assigned_client_id()), (Some(5), Some("id")));
    assert_eq!((found.server_keep_alive(), found.authentication_method()), (Some(6), Some("m")));
    assert_eq!((found.authentication_data(), found.will_delay()), (Some(&[7][..]), Some(8)));
    assert_eq!(found.request_problem_information(), Some(true));
    assert_eq!(found.request_response_information(), Some(true));
    assert_eq!((found.response_information(), found.server_reference()), (Some("i"), Some("s")));
    assert_eq!((found.reason_string(), found.receive_maximum()), (Some("why"), Some(9)));
    assert_eq!((found.topic_alias_maximum(), found.topic_alias()), (Some(10), Some(11)));
    assert_eq!((found.maximum_qos(), found.retain_available()), (Some(1), Some(true)));
    assert_eq!((found.maximum_packet_size(), found.wildcard_subscription_available()), (Some(12), Some(true)));
    assert_eq!(found.subscription_ids_available(), Some(true));
    assert_eq!(found.shared_subscription_available(), Some(true));
    assert!(found.user_properties().eq([("k", "v")]));
    let forwarded: Vec<&[u8]> = found.forwardable().collect();
    let wanted: [&[u8]; 5] =
        [b"\x26\x00\x01k\x00\x01v", b"\x01\x01", b"\x03\x00\x01c", b"\x08\x00\x01r", b"\x09\x00\x01\x09"];
    assert_eq!(forwarded, wanted);
    assert_eq!(Properties::EMPTY.reason_string(), None);
    assert!(format!("{found:?}").starts_with("[UserProperty(\"k\", \"v\"), PayloadFormat(1)"));
}
