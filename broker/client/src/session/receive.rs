//! What a packet of the broker changes, and what is answered.

use primer_mqtt::{
    ReasonCode, Violation,
    codec::{
        AckKind, encode_ack,
        packet::{Ack, ConnAck, Outcome, Packet, PacketId, Publish, QoS, SubAck},
        properties::PropertiesBuf,
    },
    limits::PACKET_BYTES_MAX,
};

use super::{Event, Message, Server, Session, packets::packet_id};

impl Session<'_> {
    pub(super) fn handle(&mut self, packet: &Packet<'_>) -> Result<(), Violation> {
        if self.server.is_connected == matches!(packet, Packet::ConnAck(_)) && !matches!(packet, Packet::Auth(_)) {
            return Err(Violation::protocol(
                "MQTT-3.2.0-1",
                "CONNACK is the first packet of a broker, and the only one",
            ));
        }
        match packet {
            Packet::ConnAck(ack) => self.handle_connack(ack),
            Packet::Publish(publish) => return self.handle_publish(publish),
            Packet::PubAck(ack) => self.handle_done(ack, "PUBACK", QoS::AtLeastOnce),
            Packet::PubComp(ack) => self.handle_done(ack, "PUBCOMP", QoS::ExactlyOnce),
            Packet::PubRec(ack) => self.handle_pubrec(ack),
            Packet::PubRel(ack) => self.handle_pubrel(ack),
            Packet::SubAck(SubAck { packet_id, codes, .. }) => {
                self.note(|id| format!("Client {id} received SUBACK"));
                self.events.push_back(Event::Subscribed { mid: packet_id.get(), codes: codes.to_vec() });
            }
            Packet::UnsubAck(_) => {
                self.note(|id| format!("Client {id} received UNSUBACK"));
                self.events.push_back(Event::Unsubscribed);
            }
            Packet::PingResp => self.note(|id| format!("Client {id} received PINGRESP")),
            Packet::Disconnect(Outcome { reason, properties }) => {
                let (reason, why) = (*reason, properties.reason_string().map(str::to_owned));
                self.note(|id| format!("Client {id} received DISCONNECT ({})", reason.0));
                self.events.push_back(Event::Ended { reason, why });
            }
            _ => return Err(Violation::protocol("MQTT5 4.12", "the broker wants an exchange of AUTH packets")),
        }
        Ok(())
    }

    fn handle_connack(&mut self, ack: &ConnAck<'_>) {
        let (code, properties) = (ack.reason.0, ack.properties);
        if let Some(id) = properties.assigned_client_id() {
            id.clone_into(&mut self.shown_id);
        }
        self.note(|id| format!("Client {id} received CONNACK ({code})"));
        if code != 0 {
            let why = properties.reason_string().map(str::to_owned);
            self.events.push_back(Event::Refused { code, why });
            return;
        }
        self.server = Server {
            is_connected: true,
            receive_max: properties.receive_maximum().unwrap_or(u16::MAX),
            qos_max: properties.maximum_qos().unwrap_or(2),
            retains: properties.retain_available().unwrap_or(true),
            packet_bytes_max: properties.maximum_packet_size().unwrap_or(PACKET_BYTES_MAX),
        };
        if !ack.session_present {
            self.arrived.clear();
        }
        self.events.push_back(Event::Connected);
        self.resume(ack.session_present);
    }

    /// Sends again what was on its way. Where the broker has no session of it, all begins anew, but for what it had
    /// taken charge of (PUBREC): that is done.
    fn resume(&mut self, session_present: bool) {
        for flight in self.flights.rewind(session_present) {
            self.events.push_back(Event::Published { mid: flight, reason: ReasonCode::SUCCESS, why: None });
        }
        let version = self.options.version;
        for mid in self.flights.released() {
            self.note(|id| format!("Client {id} sending PUBREL (m{mid})"));
            encode_ack(AckKind::PubRel, packet_id(mid), ReasonCode::SUCCESS, version, &mut self.output);
        }
        self.send_waiting();
    }

    fn handle_publish(&mut self, publish: &Publish<'_>) -> Result<(), Violation> {
        let mid = publish.packet_id.map_or(0, PacketId::get);
        let topic = self.topic_of(publish)?;
        self.note(|id| {
            let (dup, qos, retain) = (u8::from(publish.dup), publish.qos as u8, u8::from(publish.retain));
            let len = publish.payload.len();
            format!("Client {id} received PUBLISH (d{dup}, q{qos}, r{retain}, m{mid}, '{topic}', ... ({len} bytes))")
        });
        let mut properties = PropertiesBuf::new();
        properties.extend(publish.properties.iter());
        let (payload, qos, retain) = (publish.payload.to_vec(), publish.qos, publish.retain);
        let message = Message { topic, payload, qos, retain, properties, mid };
        if qos == QoS::ExactlyOnce {
            self.note(|id| format!("Client {id} sending PUBREC (m{mid}, rc0)"));
            self.arrived.entry(mid).or_insert(message);
            encode_ack(AckKind::PubRec, packet_id(mid), ReasonCode::SUCCESS, self.options.version, &mut self.output);
        } else {
            self.events.push_back(Event::Message(message));
        }
        Ok(())
    }

    fn topic_of(&mut self, publish: &Publish<'_>) -> Result<String, Violation> {
        match publish.topic_alias {
            Some(alias) if publish.topic.is_empty() => self.aliases.get(&alias).cloned().ok_or_else(|| {
                let detail = "the broker uses a topic alias that it has not explained";
                Violation::with(ReasonCode::TOPIC_ALIAS_INVALID, "MQTT5 3.3.2.3.4", detail)
            }),
            Some(alias) => {
                self.aliases.insert(alias, publish.topic.to_owned());
                Ok(publish.topic.to_owned())
            }
            None => Ok(publish.topic.to_owned()),
        }
    }

    fn handle_pubrel(&mut self, ack: &Ack<'_>) {
        let mid = ack.packet_id.get();
        self.note(|id| format!("Client {id} received PUBREL (Mid: {mid})"));
        match self.arrived.remove(&mid) {
            Some(message) => self.events.push_back(Event::Message(message)),
            // Its message was delivered on a connection before this one.
            None => {
                self.note(|id| format!("Client {id} sending PUBCOMP (m{mid})"));
                let reason = ReasonCode::SUCCESS;
                encode_ack(AckKind::PubComp, ack.packet_id, reason, self.options.version, &mut self.output);
            }
        }
    }

    fn handle_pubrec(&mut self, ack: &Ack<'_>) {
        let mid = ack.packet_id.get();
        self.note(|id| format!("Client {id} received PUBREC (Mid: {mid})"));
        if ack.reason.is_error() {
            self.settle(ack, QoS::ExactlyOnce);
        } else if self.flights.release(mid) {
            self.note(|id| format!("Client {id} sending PUBREL (m{mid})"));
            encode_ack(AckKind::PubRel, ack.packet_id, ReasonCode::SUCCESS, self.options.version, &mut self.output);
        }
    }

    fn handle_done(&mut self, ack: &Ack<'_>, name: &str, qos: QoS) {
        let (mid, code) = (ack.packet_id.get(), ack.reason.0);
        self.note(|id| format!("Client {id} received {name} (Mid: {mid}, RC:{code})"));
        self.settle(ack, qos);
    }

    fn settle(&mut self, ack: &Ack<'_>, qos: QoS) {
        let mid = ack.packet_id.get();
        if !self.flights.remove(mid, qos) {
            return; // an answer to nothing
        }
        let why = ack.properties.reason_string().map(str::to_owned);
        self.events.push_back(Event::Published { mid, reason: ack.reason, why });
        self.send_waiting();
    }
}
