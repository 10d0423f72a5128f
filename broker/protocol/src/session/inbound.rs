//! Publishes from the client: Receive Maximum, topic aliases, and the QoS 1 and 2 exchanges (MQTT 5.0, 4.3, 4.9).
//!
//! A publish comes out as [`Incoming`] with a token; its PUBACK or PUBREC is written when the token comes back inside
//! a [`Committed`], and by nothing else.

use std::{collections::BTreeMap, sync::Arc};

use primer_core::commit::Committed;

use super::{Session, Step, connect::write, link::Link};
use crate::{
    ReasonCode,
    codec::{
        ack::{AckKind, encode_ack},
        packet::{Ack, Packet, PacketId, Publish, QoS},
        properties::{Properties, PropertiesBuf, Property},
    },
    violation::Violation,
};

/// A topic that stands in the packet, or the one that its alias stands for.
#[derive(Debug, Clone)]
pub enum TopicRef<'a> {
    /// In the packet.
    Packet(&'a str),
    /// By alias.
    Alias(Arc<str>),
}

impl std::ops::Deref for TopicRef<'_> {
    type Target = str;

    fn deref(&self) -> &str {
        match self {
            Self::Packet(topic) => topic,
            Self::Alias(topic) => topic,
        }
    }
}

/// A publish that the client's connection may go on with; not answered yet.
#[derive(Debug, Clone)]
pub struct Incoming<'a> {
    /// The topic, resolved.
    pub topic: TopicRef<'a>,
    /// QoS of the publish.
    pub qos: QoS,
    /// Whether it is to be retained.
    pub retain: bool,
    /// Message expiry interval in seconds.
    pub expiry_s: Option<u32>,
    /// All properties.
    pub properties: Properties<'a>,
    /// Whether the properties can be forwarded as they are, all of them.
    pub forwards_unchanged: bool,
    /// The application message.
    pub payload: &'a [u8],
}

/// Names a QoS 1 or 2 publish of one connection until its acknowledgement.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PublishToken {
    packet_id: PacketId,
    qos: QoS,
    epoch: u32,
    /// Tells a QoS 2 exchange from an earlier one with the same identifier.
    serial: u64,
}

impl PublishToken {
    /// The packet identifier of a QoS 2 publish: until its PUBREL it must not be taken for a new one.
    #[must_use]
    pub fn exactly_once(&self) -> Option<PacketId> {
        (self.qos == QoS::ExactlyOnce).then_some(self.packet_id)
    }
}

#[derive(Debug, Clone, Copy)]
struct Exchange {
    serial: u64,
    /// The connection on which the client sent the publish last, and waits for its PUBREC.
    epoch: u32,
    /// The connection on which the publish took a place of the Receive Maximum.
    counted: u32,
    /// All destinations have accepted it: PUBREC was sent, or can be.
    is_committed: bool,
}

/// QoS 2 exchanges that the client has begun. They outlive the connection.
#[derive(Debug, Default)]
pub(super) struct Inbound {
    received: BTreeMap<PacketId, Exchange>,
    serials: u64,
}

impl Inbound {
    pub(super) fn clear(&mut self) {
        self.received.clear();
    }

    pub(super) fn is_empty(&self) -> bool {
        self.received.is_empty()
    }
}

impl Session {
    /// Puts back a QoS 2 exchange that the client began in an earlier life of the server: its message was committed.
    pub fn restore_received(&mut self, packet_id: PacketId) {
        let (serial, epoch) = (self.inbound.begin(packet_id, QoS::ExactlyOnce, self.epoch), self.epoch);
        let counted = epoch.wrapping_sub(1); // it takes its place when the client sends it again
        self.inbound.received.insert(packet_id, Exchange { serial, epoch, counted, is_committed: true });
    }

    pub(super) fn handle_publish<'a>(
        &mut self,
        publish: Publish<'a>,
        out: &mut Vec<u8>,
    ) -> Result<Step<'a>, Violation> {
        let epoch = self.epoch;
        let Some(link) = &mut self.link else { return Ok(Step::Nothing) };
        if publish.qos > link.qos_max {
            let detail = "QoS above the maximum that CONNACK announced";
            return Err(Violation::with(ReasonCode::QOS_NOT_SUPPORTED, "MQTT-3.2.2-11", detail));
        }
        if publish.retain && !link.retain_available {
            let detail = "retain is not available";
            return Err(Violation::with(ReasonCode::RETAIN_NOT_SUPPORTED, "MQTT-3.2.2-14", detail));
        }
        let topic = match publish.topic_alias {
            None => TopicRef::Packet(publish.topic),
            Some(alias) => match link.aliases_in.resolve(alias, publish.topic)? {
                None => TopicRef::Packet(publish.topic),
                Some(topic) => TopicRef::Alias(topic),
            },
        };
        let token = match publish.packet_id {
            None => None,
            Some(packet_id) => {
                if publish.qos == QoS::ExactlyOnce && self.inbound.is_repeated(packet_id, link, epoch, out)? {
                    return Ok(Step::Nothing);
                }
                take_place(link)?;
                let serial = self.inbound.begin(packet_id, publish.qos, epoch);
                Some(PublishToken { packet_id, qos: publish.qos, epoch, serial })
            }
        };
        Ok(Step::Publish {
            incoming: Incoming {
                topic,
                qos: publish.qos,
                retain: publish.retain,
                expiry_s: publish.expiry,
                properties: publish.properties,
                forwards_unchanged: publish.forwards_unchanged,
                payload: publish.payload,
            },
            token,
        })
    }

    /// Answers a publish with PUBACK or PUBREC. The proof is used up; nothing else writes either with success.
    ///
    /// With a proof it builds:
    ///
    /// ```
    /// use primer_core::commit::Committed;
    /// use primer_mqtt::session::{PublishToken, Session};
    ///
    /// fn answer(session: &mut Session, proof: Committed<PublishToken>, out: &mut Vec<u8>) {
    ///     session.acknowledge(proof, out);
    /// }
    /// ```
    ///
    /// With the mere token of the publish, which is what is at hand before anything is stored, it does not:
    ///
    /// ```compile_fail,E0308
    /// use primer_core::commit::Committed;
    /// use primer_mqtt::session::{PublishToken, Session};
    ///
    /// fn answer(session: &mut Session, token: PublishToken, out: &mut Vec<u8>) {
    ///     session.acknowledge(token, out);
    /// }
    /// ```
    ///
    /// And one proof does not answer twice:
    ///
    /// ```compile_fail,E0382
    /// use primer_core::commit::Committed;
    /// use primer_mqtt::session::{PublishToken, Session};
    ///
    /// fn answer(session: &mut Session, proof: Committed<PublishToken>, out: &mut Vec<u8>) {
    ///     session.acknowledge(proof, out);
    ///     session.acknowledge(proof, out);
    /// }
    /// ```
    pub fn acknowledge(&mut self, proof: Committed<PublishToken>, out: &mut Vec<u8>) {
        let reason = if proof.reached() { ReasonCode::SUCCESS } else { ReasonCode::NO_MATCHING_SUBSCRIBERS };
        let token = proof.into_token();
        let epoch = self.epoch;
        let waits_on = match token.qos {
            QoS::ExactlyOnce => self.inbound.commit(token),
            _ => Some(token.epoch),
        };
        let Some(link) = self.link.as_mut().filter(|_| waits_on == Some(epoch)) else { return };
        // Five bytes always fit: a client that took less had no room for its CONNACK.
        let reason = if link.version.is_v5() { reason } else { ReasonCode::SUCCESS };
        if token.qos == QoS::AtLeastOnce {
            link.give_place(true);
            encode_ack(AckKind::PubAck, token.packet_id, reason, link.version, out);
        } else {
            encode_ack(AckKind::PubRec, token.packet_id, reason, link.version, out);
        }
    }

    /// Tells the client that its publish was refused. Nothing of it was kept on its behalf.
    ///
    /// # Errors
    /// A client before 5.0 cannot be told; its connection has to end, so that it sends the message again.
    pub fn refuse(
        &mut self,
        token: PublishToken,
        reason: ReasonCode,
        why: &str,
        out: &mut Vec<u8>,
    ) -> Result<(), Violation> {
        let (waits_on, counted) = match token.qos {
            QoS::ExactlyOnce => self.inbound.forget(token).map(|exchange| (exchange.epoch, exchange.counted)),
            _ => Some((token.epoch, token.epoch)),
        }
        .unzip();
        let Some(link) = self.link.as_mut().filter(|_| waits_on == Some(self.epoch)) else { return Ok(()) };
        if !link.version.is_v5() {
            return Err(Violation::with(reason, "MQTT-3.3.5-2", "the publish was refused and 3.x has no word for it"));
        }
        link.give_place(counted == Some(self.epoch));
        let mut properties = PropertiesBuf::new();
        if link.problem_information {
            properties.push(&Property::ReasonString(why));
        }
        let start = out.len();
        for properties in [properties.as_properties(), Properties::EMPTY] {
            let ack = Ack { packet_id: token.packet_id, reason, properties };
            let packet = if token.qos == QoS::AtLeastOnce { Packet::PubAck(ack) } else { Packet::PubRec(ack) };
            write(&packet, link.version, out);
            if out.len() - start <= link.packet_bytes_max as usize {
                break; // the reason string fits, or there is none [MQTT-3.4.2-2]
            }
            out.truncate(start);
        }
        Ok(())
    }

    /// Forgets a publish that nobody will carry out any more, because its connection ends: the client's re-delivery
    /// is to be taken for a new one.
    pub fn abandon(&mut self, token: PublishToken) {
        if token.qos == QoS::ExactlyOnce {
            self.inbound.forget(token);
        }
    }

    pub(super) fn handle_pubrel(&mut self, ack: &Ack<'_>, out: &mut Vec<u8>) -> Result<(), Violation> {
        let Some(link) = self.link.as_mut() else { return Ok(()) };
        let mut reason = ReasonCode::SUCCESS;
        match self.inbound.received.get(&ack.packet_id) {
            Some(exchange) if !exchange.is_committed => {
                return Err(Violation::protocol("MQTT-4.3.3-3", "PUBREL comes before its PUBREC"));
            }
            Some(exchange) => {
                link.give_place(exchange.counted == self.epoch);
                self.inbound.received.remove(&ack.packet_id);
            }
            None => {
                if link.version.is_v5() {
                    reason = ReasonCode::PACKET_IDENTIFIER_NOT_FOUND;
                }
                link.give_place(false); // the client counts a place with each PUBCOMP, whatever it says (4.9)
            }
        }
        encode_ack(AckKind::PubComp, ack.packet_id, reason, link.version, out);
        Ok(())
    }
}

fn take_place(link: &mut Link) -> Result<(), Violation> {
    if !link.take_place() {
        let detail = "more publishes in flight than the server's Receive Maximum";
        return Err(Violation::with(ReasonCode::RECEIVE_MAXIMUM_EXCEEDED, "MQTT-3.3.4-9", detail));
    }
    Ok(())
}

impl Inbound {
    /// Whether the client sends a publish again that is known; then PUBREC is repeated as soon as it is due.
    fn is_repeated(
        &mut self,
        packet_id: PacketId,
        link: &mut Link,
        epoch: u32,
        out: &mut Vec<u8>,
    ) -> Result<bool, Violation> {
        let Some(exchange) = self.received.get_mut(&packet_id) else { return Ok(false) };
        if exchange.counted != epoch {
            take_place(link)?; // sent again on a new connection, it takes a place there
            exchange.counted = epoch;
        }
        exchange.epoch = epoch;
        if exchange.is_committed {
            encode_ack(AckKind::PubRec, packet_id, ReasonCode::SUCCESS, link.version, out);
        }
        Ok(true)
    }

    /// Notes a new publish; answers its serial.
    fn begin(&mut self, packet_id: PacketId, qos: QoS, epoch: u32) -> u64 {
        if qos == QoS::ExactlyOnce {
            self.serials += 1;
            self.received
                .insert(packet_id, Exchange { serial: self.serials, epoch, counted: epoch, is_committed: false });
        }
        self.serials
    }

    /// Marks a QoS 2 publish as committed; answers on which connection its client waits for the PUBREC.
    fn commit(&mut self, token: PublishToken) -> Option<u32> {
        let exchange = self.received.get_mut(&token.packet_id).filter(|exchange| exchange.serial == token.serial)?;
        exchange.is_committed = true;
        Some(exchange.epoch)
    }

    /// Ends a QoS 2 exchange that was refused.
    fn forget(&mut self, token: PublishToken) -> Option<Exchange> {
        self.received.get(&token.packet_id).filter(|exchange| exchange.serial == token.serial)?;
        self.received.remove(&token.packet_id)
    }
}
