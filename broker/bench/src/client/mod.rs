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
        packet::{Connect, Packet, PacketId, QoS, SubAck, Subscribe, SubscribeOptions},
        properties::{Properties, PropertiesBuf, Property},
    },
};

pub(crate) use self::{
    publishing::{PublishPlan, Publishing},
    receiving::Receiving,
};
use crate::{limits::PACKET_BYTES_MAX, tally::Tally};

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
    /// At which the messages of the run have to come.
    pub(crate) qos: QoS,
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
    /// A part of the messages of each of these publishers; all subscribers together get all, once.
    Part(Range<u32>),
    /// What others publish, from wherever on.
    Others,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Connecting,
    /// Waits for the SUBACK to this one of its SUBSCRIBEs, of which the first is 0; then sends the next.
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
    /// PINGREQs without their answer.
    pings: u32,
    /// A client that has sent nothing for so long sends a PINGREQ.
    ping_after_ns: Option<u64>,
    rules: Rules,
    settings: Arc<Settings>,
}

impl Client {
    pub(crate) fn new(plan: ClientPlan, publishing: Option<Publishing>, settings: &Arc<Settings>) -> Self {
        let rules = Rules { role: Role::Client, version: Some(settings.version), max_packet_size: PACKET_BYTES_MAX };
        let receiving = Receiving::new(&plan.expects, plan.qos);
        Self {
            plan,
            out: Vec::new(),
            publishing,
            receiving,
            state: State::Connecting,
            pings: 0,
            ping_after_ns: ping_after_ns(settings.keep_alive_s),
            rules,
            settings: Arc::clone(settings),
        }
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

    /// Whether the broker has let it in.
    pub(crate) const fn is_connected(&self) -> bool {
        !matches!(self.state, State::Connecting)
    }

    /// How long it may send nothing until it has to send a PINGREQ.
    pub(crate) const fn ping_after_ns(&self) -> Option<u64> {
        self.ping_after_ns
    }

    /// Asks for a sign of life.
    pub(crate) fn ping(&mut self) {
        self.pings = self.pings.saturating_add(1);
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
        if self.state == State::Connecting {
            return self.handle_first(packet);
        }
        match packet {
            Packet::Publish(publish) => {
                self.receiving.take(publish, now_ns, tally)?;
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

    fn handle_first(&mut self, packet: &Packet<'_>) -> Result<(), String> {
        let Packet::ConnAck(connack) = packet else {
            return Err("the broker answered CONNECT with something else than CONNACK".to_owned());
        };
        if connack.reason != ReasonCode::SUCCESS {
            return Err(match return_code(connack.reason.0).filter(|_| !self.settings.version.is_v5()) {
                Some(why) => format!("CONNECT was refused: {why}"),
                None => refusal("CONNECT was refused", connack.reason, connack.properties),
            });
        }
        // MQTT 3.1 does not tell whether there is a session.
        let is_return = !self.plan.clean && self.plan.subscribe.is_empty() && self.settings.version != Version::V31;
        if is_return && !connack.session_present {
            return Err("the broker does not know the session any more that was to be kept".to_owned());
        }
        if let Some(seconds) = connack.properties.server_keep_alive() {
            self.ping_after_ns = ping_after_ns(seconds);
        }
        if let Some(publishing) = &mut self.publishing {
            publishing.agree(connack.properties)?;
        }
        self.subscribe(0);
        Ok(())
    }

    #[cold]
    fn handle_rare(&mut self, packet: &Packet<'_>, tally: &mut Tally) -> Result<(), String> {
        match packet {
            Packet::SubAck(suback) => self.on_suback(suback),
            Packet::PingResp => {
                self.pings = self.pings.checked_sub(1).ok_or("the broker sent a PINGRESP that nobody asked for")?;
                if let Some(publishing) = self.publishing.as_mut().filter(|_| self.pings == 0) {
                    publishing.on_last_pong(tally);
                }
                Ok(())
            }
            Packet::Disconnect(outcome) => Err(refusal("the broker disconnected", outcome.reason, outcome.properties)),
            _ => Err("the broker sent a packet that nobody asked for".to_owned()),
        }
    }

    fn on_suback(&mut self, suback: &SubAck<'_>) -> Result<(), String> {
        let State::Subscribing(at) = self.state else {
            return Err("the broker sent a SUBACK that nobody asked for".to_owned());
        };
        let asked = self.plan.subscribe.chunks(FILTERS_PER_PACKET).nth(at).unwrap_or_default();
        if suback.packet_id != subscribe_id(at) || suback.codes.len() != asked.len() {
            return Err("the broker sent a SUBACK that does not fit the SUBSCRIBE".to_owned());
        }
        for ((_, qos), code) in asked.iter().zip(suback.codes) {
            if *code >= 0x80 {
                return Err(refusal("SUBSCRIBE was refused", ReasonCode(*code), suback.properties));
            }
            if *code != *qos as u8 {
                return Err(format!("the broker granted QoS {code} where QoS {} was asked for", *qos as u8));
            }
        }
        self.subscribe(at + 1);
        Ok(())
    }

    /// Sends the next SUBSCRIBE, if there is one.
    fn subscribe(&mut self, at: usize) {
        let mut filters = self.plan.subscribe.chunks(FILTERS_PER_PACKET).skip(at);
        let Some(filters) = filters.next() else {
            self.state = State::Ready;
            return;
        };
        self.state = State::Subscribing(at);
        let mut buffer = FiltersBuf::subscribe();
        for (filter, qos) in filters {
            buffer.push(filter, SubscribeOptions::from_qos(*qos));
        }
        let subscribe = Subscribe {
            packet_id: subscribe_id(at),
            subscription_id: None,
            properties: Properties::EMPTY,
            filters: buffer.as_filters(),
        };
        encode(&Packet::Subscribe(subscribe), self.settings.version, &mut self.out);
    }

    #[inline]
    fn answer(&mut self, kind: AckKind, id: PacketId) {
        encode_ack(kind, id, ReasonCode::SUCCESS, self.settings.version, &mut self.out);
    }

    fn publisher(&mut self) -> Result<&mut Publishing, String> {
        self.publishing.as_mut().ok_or_else(|| "the broker acknowledged what nobody published".to_owned())
    }
}

/// 70 % of the keep alive: the rest is for the way.
fn ping_after_ns(keep_alive_s: u16) -> Option<u64> {
    (keep_alive_s > 0).then(|| u64::from(keep_alive_s) * 700_000_000)
}

/// The packet identifier of a client's SUBSCRIBE.
fn subscribe_id(at: usize) -> PacketId {
    u16::try_from(at + 1).ok().and_then(PacketId::new).unwrap_or(PacketId::MIN)
}

/// What a return code of CONNACK says before 5.0 (3.1.1, table 3.1).
const fn return_code(code: u8) -> Option<&'static str> {
    match code {
        1 => Some("unacceptable protocol version"),
        2 => Some("identifier rejected"),
        3 => Some("server unavailable"),
        4 => Some("bad user name or password"),
        5 => Some("not authorized"),
        _ => None,
    }
}

/// What a reason code says, and what the broker adds to it.
fn refusal(what: &str, reason: ReasonCode, properties: Properties<'_>) -> String {
    match properties.reason_string() {
        Some(why) => format!("{what}: {} ({why:?})", reason.name()),
        None => format!("{what}: {}", reason.name()),
    }
}

/// What this crate writes has an encoding; an empty packet would be answered with a closed connection.
fn encode(packet: &Packet<'_>, version: Version, out: &mut Vec<u8>) {
    let encoded = codec::encode(packet, version, out);
    debug_assert!(encoded.is_ok(), "{encoded:?}");
}

#[cfg(test)]
mod tests;
