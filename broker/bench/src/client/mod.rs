//! One connection of a load, without IO: bytes in, bytes out. The worker owns the socket and the clock.
//!
//! CONNECT, SUBSCRIBE, then publishing and receiving. What comes is decoded by the strict codec of `primer-mqtt`, so a
//! broker that breaks the protocol is found out here.

mod publishing;
mod receiving;

use std::{ops::Range, sync::Arc};

use primer_mqtt::{
    ReasonCode, Version,
    codec::{
        self, AckKind, Decoded, FiltersBuf, Role, Rules, encode_ack,
        packet::{Connect, Packet, PacketId, QoS, Subscribe, SubscribeOptions},
        properties::{PropertiesBuf, Property},
    },
};

pub(crate) use self::{
    publishing::{PublishPlan, Publishing},
    receiving::Receiving,
};
use crate::tally::Tally;

/// The largest packet that is taken from a broker.
const PACKET_BYTES_MAX: u32 = 268_435_460;

/// Filters of one SUBSCRIBE.
const FILTERS_PER_PACKET: usize = 200;

/// What all clients of a run have in common.
#[derive(Debug, Clone)]
pub(crate) struct Settings {
    pub(crate) version: Version,
    pub(crate) username: Option<String>,
    pub(crate) password: Option<String>,
    pub(crate) keep_alive_s: u16,
    /// Tells the messages of this run from others.
    pub(crate) run: u32,
    /// QoS 1 and 2 publishes of one client that may wait for their acknowledgement.
    pub(crate) inflight: u16,
}

/// What a client is to do.
#[derive(Debug, Clone)]
pub(crate) struct ClientPlan {
    pub(crate) id: String,
    pub(crate) clean: bool,
    /// Seconds that the session lives on without a connection (5.0); before 5.0 `clean` decides alone.
    pub(crate) session_expiry_s: u32,
    pub(crate) subscribe: Vec<(String, QoS)>,
    pub(crate) expects: Expects,
    pub(crate) publish: Option<PublishPlan>,
    /// Clients of a wave connect when all of the waves before are ready.
    pub(crate) wave: usize,
    pub(crate) worker: usize,
}

/// What a client is to receive.
#[derive(Debug, Clone)]
pub(crate) enum Expects {
    /// Nothing.
    Nothing,
    /// Every message of these publishers.
    All(Range<u32>),
    /// A part of the messages of each publisher; all subscribers together get all, once.
    Part,
    /// What others publish, from wherever on.
    Others,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Connecting,
    /// Waits for this many SUBACKs.
    Subscribing(usize),
    Ready,
}

/// See the module's description.
#[derive(Debug)]
pub(crate) struct Client {
    pub(crate) plan: ClientPlan,
    /// Bytes to send.
    pub(crate) out: Vec<u8>,
    pub(crate) publishing: Option<Publishing>,
    pub(crate) receiving: Receiving,
    state: State,
    rules: Rules,
    settings: Arc<Settings>,
}

impl Client {
    pub(crate) fn new(plan: ClientPlan, publishing: Option<Publishing>, settings: &Arc<Settings>) -> Self {
        let rules = Rules { role: Role::Client, version: Some(settings.version), max_packet_size: PACKET_BYTES_MAX };
        let receiving = Receiving::new(&plan.expects);
        let settings = Arc::clone(settings);
        Self { plan, out: Vec::new(), publishing, receiving, state: State::Connecting, rules, settings }
    }

    /// Writes the CONNECT.
    pub(crate) fn connect(&mut self) {
        let mut properties = PropertiesBuf::new();
        if self.settings.version.is_v5() {
            properties.push(&Property::SessionExpiry(self.plan.session_expiry_s));
        }
        let connect = Connect {
            version: self.settings.version,
            clean_start: self.plan.clean,
            keep_alive: self.settings.keep_alive_s,
            client_id: &self.plan.id,
            will: None,
            username: self.settings.username.as_deref(),
            password: self.settings.password.as_deref().map(str::as_bytes),
            properties: properties.as_properties(),
        };
        encode(&Packet::Connect(Box::new(connect)), self.settings.version, &mut self.out);
    }

    pub(crate) const fn is_ready(&self) -> bool {
        matches!(self.state, State::Ready)
    }

    /// Asks for a sign of life.
    pub(crate) fn ping(&mut self) {
        self.out.extend_from_slice(&[0xC0, 0]);
    }

    /// Says good-bye.
    pub(crate) fn disconnect(&mut self) {
        self.out.extend_from_slice(&[0xE0, 0]);
    }

    /// Takes whole packets out of `bytes`; answers how many bytes they took.
    ///
    /// # Errors
    /// What the broker did wrong, or refused.
    pub(crate) fn take_in(&mut self, bytes: &[u8], now_ns: u64, tally: &mut Tally) -> Result<usize, String> {
        let mut used = 0;
        while let Some(rest) = bytes.get(used..).filter(|rest| !rest.is_empty()) {
            match codec::decode(rest, &self.rules) {
                Ok(Decoded::Packet { packet, len }) => {
                    used += len;
                    self.handle(&packet, now_ns, tally)?;
                }
                Ok(Decoded::Incomplete { .. }) => break,
                Err(violation) => {
                    return Err(format!("the broker broke the protocol: {} [{}]", violation.detail, violation.clause));
                }
            }
        }
        self.receiving.end_batch(tally);
        Ok(used)
    }

    #[inline]
    fn handle(&mut self, packet: &Packet<'_>, now_ns: u64, tally: &mut Tally) -> Result<(), String> {
        match packet {
            Packet::Publish(publish) => {
                self.receiving.take(publish, now_ns, tally);
                match (publish.qos, publish.packet_id) {
                    (QoS::AtLeastOnce, Some(id)) => self.answer(AckKind::PubAck, id),
                    (QoS::ExactlyOnce, Some(id)) => self.answer(AckKind::PubRec, id),
                    _ => {}
                }
                Ok(())
            }
            Packet::PubRel(ack) => {
                self.answer(AckKind::PubComp, ack.packet_id);
                Ok(())
            }
            Packet::PubAck(ack) => self.publisher()?.on_puback(ack, now_ns, tally),
            Packet::PubRec(ack) => {
                if self.publisher()?.on_pubrec(ack, tally)? {
                    self.answer(AckKind::PubRel, ack.packet_id);
                }
                Ok(())
            }
            Packet::PubComp(ack) => self.publisher()?.on_pubcomp(ack, now_ns, tally),
            other => self.handle_rare(other, tally),
        }
    }

    #[cold]
    fn handle_rare(&mut self, packet: &Packet<'_>, tally: &mut Tally) -> Result<(), String> {
        match packet {
            Packet::ConnAck(connack) if self.state == State::Connecting => {
                if connack.reason.is_error() || connack.reason != ReasonCode::SUCCESS {
                    return Err(format!("CONNECT was refused: {}", connack.reason.name()));
                }
                if let (Some(publishing), Some(maximum)) = (&mut self.publishing, connack.properties.receive_maximum())
                {
                    publishing.limit_inflight(maximum);
                }
                self.subscribe();
            }
            Packet::SubAck(suback) => {
                if let Some(code) = suback.codes.iter().find(|code| **code >= 0x80) {
                    return Err(format!("SUBSCRIBE was refused: {}", ReasonCode(*code).name()));
                }
                if let State::Subscribing(left) = self.state {
                    self.state = if left > 1 { State::Subscribing(left - 1) } else { State::Ready };
                }
            }
            Packet::PingResp => {
                if let Some(publishing) = &mut self.publishing {
                    publishing.on_pong(tally);
                }
            }
            Packet::Disconnect(outcome) => {
                return Err(format!("the broker disconnected: {}", outcome.reason.name()));
            }
            _ => return Err("the broker sent a packet that nobody asked for".to_owned()),
        }
        Ok(())
    }

    fn subscribe(&mut self) {
        let mut packets = 0;
        for filters in self.plan.subscribe.chunks(FILTERS_PER_PACKET) {
            packets += 1;
            let mut buffer = FiltersBuf::subscribe();
            for (filter, qos) in filters {
                buffer.push(filter, SubscribeOptions::from_qos(*qos));
            }
            let subscribe = Subscribe {
                packet_id: PacketId::new(packets).unwrap_or(PacketId::MIN),
                subscription_id: None,
                properties: codec::properties::Properties::EMPTY,
                filters: buffer.as_filters(),
            };
            encode(&Packet::Subscribe(subscribe), self.settings.version, &mut self.out);
        }
        self.state = if packets == 0 { State::Ready } else { State::Subscribing(usize::from(packets)) };
    }

    #[inline]
    fn answer(&mut self, kind: AckKind, id: PacketId) {
        encode_ack(kind, id, ReasonCode::SUCCESS, self.settings.version, &mut self.out);
    }

    fn publisher(&mut self) -> Result<&mut Publishing, String> {
        self.publishing.as_mut().ok_or_else(|| "the broker acknowledged what nobody published".to_owned())
    }
}

/// What this crate writes has an encoding; an empty packet would be answered with a closed connection.
fn encode(packet: &Packet<'_>, version: Version, out: &mut Vec<u8>) {
    let encoded = codec::encode(packet, version, out);
    debug_assert!(encoded.is_ok(), "{encoded:?}");
}

#[cfg(test)]
mod tests;
