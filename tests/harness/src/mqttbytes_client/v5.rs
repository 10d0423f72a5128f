//! MQTT 5.0 through mqttbytes.

use bytes::BytesMut;
use mqttbytes::Error;
use mqttbytes::v5::{
    Connect, ConnectProperties, ConnectReturnCode, Disconnect, Packet, PubAck, PubComp, PubRec, PubRel, Publish,
    Subscribe, SubscribeReasonCode, read,
};

use super::{Command, Event};

pub(super) fn decode(input: &mut BytesMut, packet_bytes_max: usize) -> Result<Event, Error> {
    Ok(match read(input, packet_bytes_max)? {
        Packet::ConnAck(packet) => Event::Connack {
            accepted: packet.code == ConnectReturnCode::Success,
            session_present: packet.session_present,
        },
        Packet::Publish(packet) => Event::Publish { qos: packet.qos as u8, pid: packet.pkid, payload: packet.payload },
        Packet::PubAck(packet) => Event::Puback(packet.pkid),
        Packet::PubRec(packet) => Event::Pubrec(packet.pkid),
        Packet::PubRel(packet) => Event::Pubrel(packet.pkid),
        Packet::PubComp(packet) => Event::Pubcomp(packet.pkid),
        Packet::SubAck(packet) => {
            let is_granted = |code: &SubscribeReasonCode| {
                matches!(code, SubscribeReasonCode::QoS0 | SubscribeReasonCode::QoS1 | SubscribeReasonCode::QoS2)
            };
            Event::Suback { refused: !packet.return_codes.iter().all(is_granted) }
        }
        other => Event::Other(format!("{other:?}")),
    })
}

pub(super) fn encode(command: Command<'_>, output: &mut BytesMut) -> Result<(), Error> {
    match command {
        Command::Connect { id, clean } => {
            let mut packet = Connect::new(id);
            packet.clean_session = clean;
            packet.keep_alive = 0;
            packet.properties = (!clean).then(kept_session);
            packet.write(output)
        }
        Command::Subscribe { pid, filter, qos } => {
            let mut packet = Subscribe::new(filter, qos);
            packet.pkid = pid;
            packet.write(output)
        }
        Command::Publish { pid, topic, payload, qos } => {
            let mut packet = Publish::from_bytes(topic, qos, payload);
            packet.pkid = pid;
            packet.write(output)
        }
        Command::Puback(pid) => PubAck::new(pid).write(output),
        Command::Pubrec(pid) => PubRec::new(pid).write(output),
        Command::Pubrel(pid) => PubRel::new(pid).write(output),
        Command::Pubcomp(pid) => PubComp::new(pid).write(output),
        Command::Disconnect => Disconnect::new().write(output),
    }
    .map(|_written| ())
}

/// A session that never expires, as one of 3.1.1 without a clean session.
fn kept_session() -> ConnectProperties {
    ConnectProperties {
        session_expiry_interval: Some(u32::MAX),
        receive_maximum: None,
        max_packet_size: None,
        topic_alias_max: None,
        request_response_info: None,
        request_problem_info: None,
        user_properties: Vec::new(),
        authentication_method: None,
        authentication_data: None,
    }
}
