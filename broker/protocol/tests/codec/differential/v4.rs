//! MQTT 3.1.1 as mqttbytes 0.6 has it.

use super::{Theirs, login, qos, writes_login_right};
use bytes::{Bytes, BytesMut};
use mqttbytes::v4::{
    self, ConnAck, Connect, ConnectReturnCode, Disconnect, LastWill, Login, Packet, PingReq, PingResp, PubAck, PubComp,
    PubRec, PubRel, Publish, SubAck, Subscribe, SubscribeFilter, SubscribeReasonCode, UnsubAck, Unsubscribe,
};
use primer_mqtt::{Version, codec::packet as ours};

impl Theirs for Packet {
    const VERSION: Version = Version::V311;

    fn from_ours(packet: &ours::Packet<'_>) -> Option<Self> {
        Some(match packet {
            ours::Packet::Connect(packet) => Self::Connect(connect(packet)?),
            ours::Packet::ConnAck(packet) => {
                Self::ConnAck(ConnAck { session_present: packet.session_present, code: code(packet.reason.0)? })
            }
            ours::Packet::Publish(packet) => Self::Publish(Publish {
                dup: packet.dup,
                qos: qos(packet.qos),
                retain: packet.retain,
                topic: packet.topic.to_owned(),
                pkid: packet.packet_id.map_or(0, ours::PacketId::get),
                payload: Bytes::copy_from_slice(packet.payload),
            }),
            ours::Packet::PubAck(packet) => Self::PubAck(PubAck { pkid: packet.packet_id.get() }),
            ours::Packet::PubRec(packet) => Self::PubRec(PubRec { pkid: packet.packet_id.get() }),
            ours::Packet::PubRel(packet) => Self::PubRel(PubRel { pkid: packet.packet_id.get() }),
            ours::Packet::PubComp(packet) => Self::PubComp(PubComp { pkid: packet.packet_id.get() }),
            ours::Packet::Subscribe(packet) => Self::Subscribe(Subscribe {
                pkid: packet.packet_id.get(),
                filters: packet
                    .filters
                    .iter()
                    .map(|(path, options)| SubscribeFilter { path: path.to_owned(), qos: qos(options.qos) })
                    .collect(),
            }),
            ours::Packet::SubAck(packet) => Self::SubAck(SubAck {
                pkid: packet.packet_id.get(),
                return_codes: packet.codes.iter().map(|&code| SubscribeReasonCode::try_from(code).unwrap()).collect(),
            }),
            ours::Packet::Unsubscribe(packet) => Self::Unsubscribe(Unsubscribe {
                pkid: packet.packet_id.get(),
                topics: packet.filters.iter().map(|(filter, _)| filter.to_owned()).collect(),
            }),
            ours::Packet::UnsubAck(packet) => Self::UnsubAck(UnsubAck { pkid: packet.packet_id.get() }),
            ours::Packet::PingReq => Self::PingReq,
            ours::Packet::PingResp => Self::PingResp,
            ours::Packet::Disconnect(_) => Self::Disconnect,
            ours::Packet::Auth(_) => return None,
        })
    }

    fn is_read_right(_: &ours::Packet<'_>) -> bool {
        true
    }

    fn is_written_right(packet: &ours::Packet<'_>) -> bool {
        match packet {
            ours::Packet::Connect(connect) => writes_login_right(connect),
            _ => true,
        }
    }

    fn read(bytes: &mut BytesMut) -> Self {
        v4::read(bytes, usize::MAX).unwrap()
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
            Self::Disconnect => Disconnect.write(bytes),
        }
        .unwrap();
    }
}

fn connect(packet: &ours::Connect<'_>) -> Option<Connect> {
    Some(Connect {
        protocol: mqttbytes::Protocol::V4,
        keep_alive: packet.keep_alive,
        client_id: packet.client_id.to_owned(),
        clean_session: packet.clean_start,
        last_will: packet.will.map(|will| LastWill {
            topic: will.topic.to_owned(),
            message: Bytes::copy_from_slice(will.payload),
            qos: qos(will.qos),
            retain: will.retain,
        }),
        login: login(packet)?.map(|(username, password)| Login { username, password }),
    })
}

fn code(code: u8) -> Option<ConnectReturnCode> {
    [
        ConnectReturnCode::Success,
        ConnectReturnCode::RefusedProtocolVersion,
        ConnectReturnCode::BadClientId,
        ConnectReturnCode::ServiceUnavailable,
        ConnectReturnCode::BadUserNamePassword,
        ConnectReturnCode::NotAuthorized,
    ]
    .into_iter()
    .find(|&known| known as u8 == code)
}
