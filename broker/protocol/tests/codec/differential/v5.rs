//! MQTT 5.0 as mqttbytes 0.6 has it. It has no AUTH.

use super::{Theirs, login, qos, writes_login_right};
use bytes::{Bytes, BytesMut};
use mqttbytes::v5::{
    self, ConnAck, ConnAckProperties, Connect, ConnectProperties, ConnectReturnCode as Code, Disconnect,
    DisconnectProperties, DisconnectReasonCode, LastWill, Login, Packet, PingReq, PingResp, PubAck, PubAckProperties,
    PubAckReason, PubComp, PubCompProperties, PubCompReason, PubRec, PubRecProperties, PubRecReason, PubRel,
    PubRelProperties, PubRelReason, Publish, PublishProperties, RetainForwardRule, SubAck, SubAckProperties, Subscribe,
    SubscribeFilter, SubscribeProperties, SubscribeReasonCode, UnsubAck, UnsubAckProperties, UnsubAckReason,
    Unsubscribe, UnsubscribeProperties, WillProperties,
};
use primer_mqtt::{
    Version,
    codec::{
        packet as ours,
        properties::{Properties, Property},
    },
};

/// A reason code of theirs by its number.
macro_rules! reason {
    ($type:ident, $code:expr, [$($variant:ident)*]) => {
        [$($type::$variant),*].into_iter().find(|&known| known as u8 == $code)?
    };
}

/// An acknowledgement, whose properties have one shape but not one type.
macro_rules! ack {
    ($type:ident, $properties:ident, $reason:ident, $ack:expr, [$($variant:ident)*]) => {
        Self::$type($type {
            pkid: $ack.packet_id.get(),
            reason: reason!($reason, $ack.reason.0, [$($variant)*]),
            properties: some($ack.properties).map(|properties| $properties {
                reason_string: text(properties.reason_string()),
                user_properties: user(properties),
            }),
        })
    };
}

impl Theirs for Packet {
    const VERSION: Version = Version::V5;

    fn from_ours(packet: &ours::Packet<'_>) -> Option<Self> {
        Some(match packet {
            ours::Packet::Connect(packet) => Self::Connect(connect(packet)?),
            ours::Packet::ConnAck(packet) => Self::ConnAck(connack(packet)?),
            ours::Packet::Publish(packet) => Self::Publish(publish(packet)),
            ours::Packet::PubAck(packet) => ack!(PubAck, PubAckProperties, PubAckReason, packet, [
                Success NoMatchingSubscribers UnspecifiedError ImplementationSpecificError NotAuthorized
                TopicNameInvalid PacketIdentifierInUse QuotaExceeded PayloadFormatInvalid
            ]),
            ours::Packet::PubRec(packet) => ack!(PubRec, PubRecProperties, PubRecReason, packet, [
                Success NoMatchingSubscribers UnspecifiedError ImplementationSpecificError NotAuthorized
                TopicNameInvalid PacketIdentifierInUse QuotaExceeded PayloadFormatInvalid
            ]),
            ours::Packet::PubRel(packet) => {
                ack!(PubRel, PubRelProperties, PubRelReason, packet, [Success PacketIdentifierNotFound])
            }
            ours::Packet::PubComp(packet) => {
                ack!(PubComp, PubCompProperties, PubCompReason, packet, [Success PacketIdentifierNotFound])
            }
            ours::Packet::Subscribe(packet) => Self::Subscribe(subscribe(packet)),
            ours::Packet::SubAck(packet) => Self::SubAck(SubAck {
                pkid: packet.packet_id.get(),
                return_codes: packet.codes.iter().map(|&code| SubscribeReasonCode::try_from(code).unwrap()).collect(),
                properties: some(packet.properties).map(|properties| SubAckProperties {
                    reason_string: text(properties.reason_string()),
                    user_properties: user(properties),
                }),
            }),
            ours::Packet::Unsubscribe(packet) => Self::Unsubscribe(Unsubscribe {
                pkid: packet.packet_id.get(),
                filters: packet.filters.iter().map(|(filter, _)| filter.to_owned()).collect(),
                properties: some(packet.properties)
                    .map(|properties| UnsubscribeProperties { user_properties: user(properties) }),
            }),
            ours::Packet::UnsubAck(packet) => Self::UnsubAck(unsuback(packet)?),
            ours::Packet::PingReq => Self::PingReq,
            ours::Packet::PingResp => Self::PingResp,
            ours::Packet::Disconnect(packet) => Self::Disconnect(disconnect(packet)),
            ours::Packet::Auth(_) => return None,
        })
    }

    fn is_read_right(packet: &ours::Packet<'_>) -> bool {
        let properties = match packet {
            ours::Packet::Publish(publish) => publish.properties,
            ours::Packet::Subscribe(subscribe) => subscribe.properties,
            _ => return true,
        };
        // mqttbytes counts each subscription identifier one byte too long, and so may miss what follows it.
        match properties.iter().position(|property| matches!(property, Property::SubscriptionId(_))) {
            Some(at) => properties.iter().count() == at + 1,
            None => true,
        }
    }

    fn is_written_right(packet: &ours::Packet<'_>) -> bool {
        match packet {
            ours::Packet::Connect(connect) => writes_login_right(connect),
            // mqttbytes leaves the property length out when there are no properties.
            ours::Packet::ConnAck(connack) => !connack.properties.is_empty(),
            _ => true,
        }
    }

    fn read(bytes: &mut BytesMut) -> Self {
        v5::read(bytes, usize::MAX).unwrap()
    }

    fn write(&self, bytes: &mut BytesMut) {
        match self {
            Self::Connect(packet) => packet.write(bytes),
            Self::ConnAck(packet) => packet.write(bytes),
            Self::Publish(packet) => packet.write(bytes),
            Self::PubAck(packet) => packet.write(bytes),
            Self::PubRec(packet) => packet.write(bytes),
            Self::PubRel(packet) => packet.write(bytes),
            Self::PubComp(packet) => packet.write(bytes),
            Self::Subscribe(packet) => packet.write(bytes),
            Self::SubAck(packet) => packet.write(bytes),
            Self::Unsubscribe(packet) => packet.write(bytes),
            Self::UnsubAck(packet) => packet.write(bytes),
            Self::PingReq => PingReq.write(bytes),
            Self::PingResp => PingResp.write(bytes),
            Self::Disconnect(packet) => packet.write(bytes),
        }
        .unwrap();
    }
}

/// Their properties are absent when there are none.
fn some(properties: Properties<'_>) -> Option<Properties<'_>> {
    (!properties.is_empty()).then_some(properties)
}

fn user(properties: Properties<'_>) -> Vec<(String, String)> {
    properties.user_properties().map(|(name, value)| (name.to_owned(), value.to_owned())).collect()
}

fn text(value: Option<&str>) -> Option<String> {
    value.map(str::to_owned)
}

fn binary(value: Option<&[u8]>) -> Option<Bytes> {
    value.map(Bytes::copy_from_slice)
}

fn connect(packet: &ours::Connect<'_>) -> Option<Connect> {
    Some(Connect {
        protocol: mqttbytes::Protocol::V5,
        keep_alive: packet.keep_alive,
        client_id: packet.client_id.to_owned(),
        clean_session: packet.clean_start,
        last_will: packet.will.map(|will| LastWill {
            topic: will.topic.to_owned(),
            message: Bytes::copy_from_slice(will.payload),
            qos: qos(will.qos),
            retain: will.retain,
            properties: some(will.properties).map(|properties| WillProperties {
                delay_interval: properties.will_delay(),
                payload_format_indicator: properties.payload_format(),
                message_expiry_interval: properties.message_expiry(),
                content_type: text(properties.content_type()),
                response_topic: text(properties.response_topic()),
                correlation_data: binary(properties.correlation_data()),
                user_properties: user(properties),
            }),
        }),
        login: login(packet)?.map(|(username, password)| Login { username, password }),
        properties: some(packet.properties).map(|properties| ConnectProperties {
            session_expiry_interval: properties.session_expiry(),
            receive_maximum: properties.receive_maximum(),
            max_packet_size: properties.maximum_packet_size(),
            topic_alias_max: properties.topic_alias_maximum(),
            request_response_info: properties.request_response_information().map(u8::from),
            request_problem_info: properties.request_problem_information().map(u8::from),
            user_properties: user(properties),
            authentication_method: text(properties.authentication_method()),
            authentication_data: binary(properties.authentication_data()),
        }),
    })
}

fn connack(packet: &ours::ConnAck<'_>) -> Option<ConnAck> {
    let code = reason!(Code, packet.reason.0, [
        Success UnspecifiedError MalformedPacket ProtocolError ImplementationSpecificError UnsupportedProtocolVersion
        ClientIdentifierNotValid BadUserNamePassword NotAuthorized ServerUnavailable ServerBusy Banned
        BadAuthenticationMethod TopicNameInvalid PacketTooLarge QuotaExceeded PayloadFormatInvalid RetainNotSupported
        QoSNotSupported UseAnotherServer ServerMoved ConnectionRateExceeded
    ]);
    let properties = some(packet.properties).map(|properties| ConnAckProperties {
        session_expiry_interval: properties.session_expiry(),
        receive_max: properties.receive_maximum(),
        max_qos: properties.maximum_qos(),
        retain_available: properties.retain_available().map(u8::from),
        max_packet_size: properties.maximum_packet_size(),
        assigned_client_identifier: text(properties.assigned_client_id()),
        topic_alias_max: properties.topic_alias_maximum(),
        reason_string: text(properties.reason_string()),
        user_properties: user(properties),
        wildcard_subscription_available: properties.wildcard_subscription_available().map(u8::from),
        subscription_identifiers_available: properties.subscription_ids_available().map(u8::from),
        shared_subscription_available: properties.shared_subscription_available().map(u8::from),
        server_keep_alive: properties.server_keep_alive(),
        response_information: text(properties.response_information()),
        server_reference: text(properties.server_reference()),
        authentication_method: text(properties.authentication_method()),
        authentication_data: binary(properties.authentication_data()),
    });
    Some(ConnAck { session_present: packet.session_present, code, properties })
}

fn publish(packet: &ours::Publish<'_>) -> Publish {
    Publish {
        dup: packet.dup,
        qos: qos(packet.qos),
        retain: packet.retain,
        topic: packet.topic.to_owned(),
        pkid: packet.packet_id.map_or(0, ours::PacketId::get),
        properties: some(packet.properties).map(|properties| PublishProperties {
            payload_format_indicator: properties.payload_format(),
            message_expiry_interval: packet.expiry,
            topic_alias: packet.topic_alias,
            response_topic: text(properties.response_topic()),
            correlation_data: binary(properties.correlation_data()),
            user_properties: user(properties),
            subscription_identifiers: properties.subscription_ids().map(|id| usize::try_from(id).unwrap()).collect(),
            content_type: text(properties.content_type()),
        }),
        payload: Bytes::copy_from_slice(packet.payload),
    }
}

fn subscribe(packet: &ours::Subscribe<'_>) -> Subscribe {
    let filter = |(path, options): (&str, ours::SubscribeOptions)| SubscribeFilter {
        path: path.to_owned(),
        qos: qos(options.qos),
        nolocal: options.no_local,
        preserve_retain: options.retain_as_published,
        retain_forward_rule: match options.retain_handling {
            ours::RetainHandling::Always => RetainForwardRule::OnEverySubscribe,
            ours::RetainHandling::IfNew => RetainForwardRule::OnNewSubscribe,
            ours::RetainHandling::Never => RetainForwardRule::Never,
        },
    };
    Subscribe {
        pkid: packet.packet_id.get(),
        filters: packet.filters.iter().map(filter).collect(),
        properties: some(packet.properties).map(|properties| SubscribeProperties {
            id: packet.subscription_id.map(|id| usize::try_from(id).unwrap()),
            user_properties: user(properties),
        }),
    }
}

fn unsuback(packet: &ours::SubAck<'_>) -> Option<UnsubAck> {
    let mut reasons = Vec::new();
    for &code in packet.codes {
        reasons.push(reason!(UnsubAckReason, code, [
            Success NoSubscriptionExisted UnspecifiedError ImplementationSpecificError NotAuthorized TopicFilterInvalid
            PacketIdentifierInUse
        ]));
    }
    let properties = some(packet.properties).map(|properties| UnsubAckProperties {
        reason_string: text(properties.reason_string()),
        user_properties: user(properties),
    });
    Some(UnsubAck { pkid: packet.packet_id.get(), reasons, properties })
}

fn disconnect(packet: &ours::Outcome<'_>) -> Disconnect {
    Disconnect {
        reason_code: DisconnectReasonCode::try_from(packet.reason.0).unwrap(),
        properties: some(packet.properties).map(|properties| DisconnectProperties {
            session_expiry_interval: properties.session_expiry(),
            reason_string: text(properties.reason_string()),
            user_properties: user(properties),
            server_reference: text(properties.server_reference()),
        }),
    }
}
