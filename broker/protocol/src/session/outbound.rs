//! Publishes to the client: packet identifiers, the window, QoS 1 and 2 exchanges, re-delivery (MQTT 5.0, 4.3, 4.4,
//! 4.6, 4.9).
//!
//! The messages themselves stand in a queue outside; here is what is in flight, by its position there.

use std::collections::VecDeque;

use primer_core::backlog::Position;

use super::{Session, Step, alias::AliasUse, by_packet_id::ByPacketId, link::Link};
use crate::{
    ReasonCode, Version,
    codec::{
        ack::{AckKind, encode_ack},
        packet::{Ack, PacketId, QoS},
        publish::PublishFrame,
    },
    limits::PACKET_BYTES_MAX,
    violation::Violation,
};

/// A message on its way to the client.
#[derive(Debug, Clone, Copy)]
pub struct Delivery<'m> {
    /// Topic name.
    pub topic: &'m str,
    /// Encoded properties that are forwarded as they are.
    pub forward: &'m [u8],
    /// Payload.
    pub payload: &'m [u8],
    /// Seconds left to live.
    pub expiry_s: Option<u32>,
    /// QoS of this delivery.
    pub qos: QoS,
    /// Retain flag of this delivery.
    pub retain: bool,
    /// Identifiers of the subscriptions that matched.
    pub subscription_ids: &'m [u32],
}

/// What became of a message that was to be sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sent {
    /// Its bytes stand in the buffer.
    Written,
    /// The client takes no packet of this size: the message counts as delivered [MQTT-3.1.2-25].
    TooLarge,
    /// There is no connection.
    Offline,
}

/// A publish that has to be sent again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Resend {
    packet_id: PacketId,
    /// Where the message stands in the queue.
    pub position: Position,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    /// QoS 1: PUBACK is due.
    AtLeastOnce,
    /// QoS 2: PUBREC is due.
    ExactlyOnce,
    /// QoS 2: PUBCOMP is due. The order of PUBREC is the order of PUBREL [MQTT-4.6.0-4].
    Released { order: u64 },
}

#[derive(Debug, Clone, Copy)]
struct InFlight {
    phase: Phase,
    position: Position,
    /// Whether it counts against the window of the present connection.
    counted: bool,
}

/// What is in flight to the client, by packet identifier. It outlives the connection.
///
/// Messages are sent in the order of their positions in the queue, so that is also the order of sending them again.
#[derive(Debug, Default)]
pub(super) struct Outbound {
    in_flight: ByPacketId<InFlight>,
    last_packet_id: u16,
    pubrecs: u64,
    /// Packet identifiers that wait to be sent again on this connection, oldest first.
    resend: VecDeque<PacketId>,
}

impl Outbound {
    pub(super) fn clear(&mut self) {
        *self = Self { last_packet_id: self.last_packet_id, ..Self::default() };
    }

    pub(super) fn is_empty(&self) -> bool {
        self.in_flight.is_empty()
    }

    /// A new connection: repeats the PUBRELs now and notes the publishes that are to be sent again [MQTT-4.4.0-1].
    pub(super) fn resume(&mut self, version: Version, out: &mut Vec<u8>) {
        let (mut releases, mut publishes) = (Vec::new(), Vec::new());
        for (packet_id, entry) in self.in_flight.iter_mut() {
            entry.counted = false;
            match entry.phase {
                Phase::Released { order } => releases.push((order, packet_id)),
                Phase::AtLeastOnce | Phase::ExactlyOnce => publishes.push((entry.position, packet_id)),
            }
        }
        releases.sort_unstable();
        publishes.sort_unstable();
        self.resend = publishes.into_iter().map(|(_, packet_id)| packet_id).collect();
        for (_, packet_id) in releases {
            encode_ack(AckKind::PubRel, packet_id, ReasonCode::SUCCESS, version, out);
        }
    }

    fn find(&mut self, packet_id: PacketId) -> Option<&mut InFlight> {
        self.in_flight.get_mut(packet_id)
    }

    fn next_packet_id(&mut self) -> Option<PacketId> {
        for _ in 0..=u16::MAX {
            self.last_packet_id = self.last_packet_id.checked_add(1).unwrap_or(1);
            let packet_id = PacketId::new(self.last_packet_id)?;
            if !self.in_flight.contains(packet_id) {
                return Some(packet_id);
            }
        }
        None
    }

    fn finish(&mut self, packet_id: PacketId) {
        self.in_flight.remove(packet_id);
    }

    fn give_back(&mut self) {
        self.in_flight.give_back();
        if self.resend.is_empty() {
            self.resend = VecDeque::new();
        }
    }
}

impl Session {
    /// How many new QoS 1 and 2 publishes may be sent now: none without a connection, none before what has to be sent
    /// again, never more than the client's Receive Maximum [MQTT-3.3.4-7].
    #[must_use]
    pub fn credit(&self) -> usize {
        match &self.link {
            Some(link) if self.outbound.resend.is_empty() => usize::from(link.window.saturating_sub(link.unacked)),
            _ => 0,
        }
    }

    /// Gives back memory that a busy session has used and an idle one does not need. Called now and then, not with
    /// every message: a window that empties and fills would pay for it each time.
    pub fn give_back(&mut self) {
        self.outbound.give_back();
    }

    /// Whether anything waits to be sent again.
    #[must_use]
    pub fn has_resends(&self) -> bool {
        !self.outbound.resend.is_empty()
    }

    /// How many exchanges towards the client are open.
    #[must_use]
    pub fn in_flight(&self) -> usize {
        self.outbound.in_flight.len()
    }

    /// Whether one frame serves this connection as it serves every other that is plain and of its version: no aliases,
    /// no packet size that the frame exceeds.
    #[must_use]
    pub fn takes_plain(&self, frame_bytes: usize) -> Option<Version> {
        let link = self.link.as_ref()?;
        (link.aliases_out.is_off() && frame_bytes <= link.packet_bytes_max as usize).then_some(link.version)
    }

    /// The largest packet that the client takes, in bytes; `None` without a connection.
    #[must_use]
    pub fn packet_bytes_max(&self) -> Option<u32> {
        self.link.as_ref().map(|link| link.packet_bytes_max)
    }

    /// Writes a QoS 0 publish.
    pub fn send_at_most_once(&mut self, delivery: &Delivery<'_>, out: &mut Vec<u8>) -> Sent {
        let Some(link) = &mut self.link else { return Sent::Offline };
        write_publish(link, delivery, (false, false), None, out)
    }

    /// Writes a new QoS 1 or 2 publish whose message stands at `position`. The caller has seen a credit.
    pub fn send(&mut self, delivery: &Delivery<'_>, position: Position, out: &mut Vec<u8>) -> Sent {
        self.send_new(delivery, position, false, out)
    }

    /// The same for bytes that are held back while others overtake them: they set no topic alias that those would use.
    pub fn send_held(&mut self, delivery: &Delivery<'_>, position: Position, out: &mut Vec<u8>) -> Sent {
        self.send_new(delivery, position, true, out)
    }

    fn send_new(&mut self, delivery: &Delivery<'_>, position: Position, held: bool, out: &mut Vec<u8>) -> Sent {
        let Some(link) = &mut self.link else { return Sent::Offline };
        let before = self.outbound.last_packet_id;
        let Some(packet_id) = self.outbound.next_packet_id() else { return Sent::Offline };
        let sent = write_publish(link, delivery, (false, held), Some(packet_id), out);
        if sent == Sent::Written {
            link.unacked = link.unacked.saturating_add(1);
            let phase = if delivery.qos == QoS::ExactlyOnce { Phase::ExactlyOnce } else { Phase::AtLeastOnce };
            self.outbound.in_flight.insert(packet_id, InFlight { phase, position, counted: true });
        } else {
            self.outbound.last_packet_id = before;
        }
        sent
    }

    /// The next publish to send again, as far as the window allows; write it with [`send_again`](Self::send_again).
    pub fn next_resend(&mut self) -> Option<Resend> {
        let link = self.link.as_ref()?;
        if link.unacked >= link.window {
            return None;
        }
        while let Some(packet_id) = self.outbound.resend.pop_front() {
            // A late PUBREC may have moved the exchange on: its PUBLISH must not be sent again [MQTT-4.3.3-6].
            if let Some(entry) = self.outbound.find(packet_id)
                && matches!(entry.phase, Phase::AtLeastOnce | Phase::ExactlyOnce)
            {
                return Some(Resend { packet_id, position: entry.position });
            }
        }
        None
    }

    /// Writes a publish once more, under its identifier and with DUP [MQTT-3.3.1-1].
    pub fn send_again(&mut self, resend: Resend, delivery: &Delivery<'_>, out: &mut Vec<u8>) -> Sent {
        let Some(link) = &mut self.link else { return Sent::Offline };
        let sent = write_publish(link, delivery, (true, false), Some(resend.packet_id), out);
        match sent {
            Sent::Written => {
                link.unacked = link.unacked.saturating_add(1);
                if let Some(entry) = self.outbound.find(resend.packet_id) {
                    entry.counted = true;
                }
            }
            Sent::TooLarge => self.outbound.finish(resend.packet_id),
            Sent::Offline => {}
        }
        sent
    }

    /// Leaves a publish that is to be sent again for later: its message is not at hand.
    pub fn postpone(&mut self, resend: Resend) {
        self.outbound.resend.push_front(resend.packet_id);
    }

    /// Puts back a publish that was in flight in an earlier life of the server. Called in the order of positions.
    pub fn restore_in_flight(&mut self, packet_id: PacketId, qos: QoS, position: Position) {
        let phase = if qos == QoS::ExactlyOnce { Phase::ExactlyOnce } else { Phase::AtLeastOnce };
        self.restore(packet_id, InFlight { phase, position, counted: false });
    }

    /// Puts back a QoS 2 publish whose PUBREL had to be sent. `order` is that of the PUBRECs.
    pub fn restore_released(&mut self, packet_id: PacketId, order: u64) {
        self.outbound.pubrecs = self.outbound.pubrecs.max(order + 1);
        self.restore(packet_id, InFlight { phase: Phase::Released { order }, position: Position(0), counted: false });
    }

    fn restore(&mut self, packet_id: PacketId, entry: InFlight) {
        if !self.outbound.in_flight.contains(packet_id) {
            self.outbound.in_flight.insert(packet_id, entry);
            self.outbound.last_packet_id = packet_id.get();
        }
    }

    /// The order of the PUBREC that came last, for who keeps it beyond this life of the server.
    #[must_use]
    pub const fn last_pubrec(&self) -> u64 {
        self.outbound.pubrecs.saturating_sub(1)
    }

    /// The packet identifier that was given out last.
    #[must_use]
    pub const fn last_packet_id(&self) -> u16 {
        self.outbound.last_packet_id
    }

    /// Forgets an exchange whose message is gone.
    pub fn give_up(&mut self, resend: Resend) {
        self.outbound.finish(resend.packet_id);
    }

    pub(super) fn handle_puback(&mut self, ack: &Ack<'_>) -> Result<Step<'static>, Violation> {
        match self.outbound.find(ack.packet_id).map(|entry| (entry.phase, entry.position)) {
            Some((Phase::AtLeastOnce, position)) => {
                self.settle(ack.packet_id);
                Ok(Step::Delivered { position, reason: ack.reason })
            }
            Some(_) => Err(Violation::protocol("MQTT-4.3.3-1", "PUBACK answers a QoS 2 publish")),
            None => Ok(Step::Nothing),
        }
    }

    pub(super) fn handle_pubrec(&mut self, ack: &Ack<'_>, out: &mut Vec<u8>) -> Result<Step<'static>, Violation> {
        let Some(version) = self.link.as_ref().map(|link| link.version) else { return Ok(Step::Nothing) };
        let order = self.outbound.pubrecs;
        let mut reason = ReasonCode::SUCCESS;
        let step = match self.outbound.find(ack.packet_id) {
            Some(entry) => match entry.phase {
                Phase::ExactlyOnce if ack.reason.is_error() => {
                    let position = entry.position;
                    self.settle(ack.packet_id);
                    return Ok(Step::Delivered { position, reason: ack.reason });
                }
                Phase::ExactlyOnce => {
                    entry.phase = Phase::Released { order };
                    let position = entry.position;
                    self.outbound.pubrecs += 1;
                    Step::Delivered { position, reason: ack.reason }
                }
                Phase::AtLeastOnce => {
                    return Err(Violation::protocol("MQTT-4.3.2-1", "PUBREC answers a QoS 1 publish"));
                }
                Phase::Released { .. } => Step::Nothing,
            },
            None if ack.reason.is_error() => return Ok(Step::Nothing),
            None => {
                reason = ReasonCode::PACKET_IDENTIFIER_NOT_FOUND;
                Step::Nothing
            }
        };
        let reason = if version.is_v5() { reason } else { ReasonCode::SUCCESS };
        encode_ack(AckKind::PubRel, ack.packet_id, reason, version, out);
        Ok(step)
    }

    pub(super) fn handle_pubcomp(&mut self, ack: &Ack<'_>) -> Result<Step<'static>, Violation> {
        match self.outbound.find(ack.packet_id).map(|entry| entry.phase) {
            Some(Phase::Released { .. }) => {
                self.settle(ack.packet_id);
                Ok(Step::Credit)
            }
            Some(_) => Err(Violation::protocol("MQTT-4.3.3-6", "PUBCOMP comes before its PUBREL")),
            None => Ok(Step::Nothing),
        }
    }

    /// Ends an exchange and gives its place in the window back.
    fn settle(&mut self, packet_id: PacketId) {
        let counted = self.outbound.in_flight.remove(packet_id).is_some_and(|entry| entry.counted);
        if let Some(link) = self.link.as_mut().filter(|_| counted) {
            link.unacked = link.unacked.saturating_sub(1);
        }
    }
}

fn write_publish(
    link: &mut Link,
    delivery: &Delivery<'_>,
    (dup, held): (bool, bool),
    packet_id: Option<PacketId>,
    out: &mut Vec<u8>,
) -> Sent {
    let mut frame = PublishFrame {
        dup,
        qos: delivery.qos,
        retain: delivery.retain,
        topic: delivery.topic,
        packet_id,
        topic_alias: None,
        expiry: delivery.expiry_s,
        subscription_ids: delivery.subscription_ids,
        forward: delivery.forward,
        payload: delivery.payload,
    };
    let mut may_alias = !held && !link.aliases_out.is_off();
    if may_alias || link.packet_bytes_max != u32::MAX {
        // Known before an alias is chosen: what is chosen has to be sent. Length 0 stands for what no packet holds.
        let len = frame.encoded_len(link.version);
        let max = link.packet_bytes_max.min(PACKET_BYTES_MAX) as usize;
        if len == 0 || len > max {
            return Sent::TooLarge;
        }
        may_alias &= len + 8 <= max; // the alias property and a longer length must fit as well
    }
    if may_alias {
        match link.aliases_out.choose(delivery.topic) {
            AliasUse::None => {}
            AliasUse::Set(alias) => frame.topic_alias = Some(alias),
            AliasUse::Known(alias) => (frame.topic, frame.topic_alias) = ("", Some(alias)),
        }
    }
    let start = out.len();
    frame.encode(link.version, out);
    if out.len() == start { Sent::TooLarge } else { Sent::Written } // nothing is written of what no packet can hold
}
