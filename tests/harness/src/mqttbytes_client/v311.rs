//! MQTT 3.1.1 through mqttbytes.

use bytes::BytesMut;
use mqttbytes::Error;
use mqttbytes::v4::{
    Connect, ConnectReturnCode, Disconnect, Packet, PubAck, PubComp, PubRec, PubRel, Publish, Subscribe,
    SubscribeReasonCode, read,
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
            Event::Suback { refused: packet.return_codes.contains(&SubscribeReasonCode::Failure) }
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
        Command::Disconnect => Disconnect.write(output),
    }
    .map(|_written| ())
}
