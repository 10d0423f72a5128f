//! The publisher's half of a client: how much it may send, packet identifiers, acknowledgements.

use std::{collections::VecDeque, sync::Arc};

use primer_mqtt::{
    Version,
    codec::{
        packet::{Ack, QoS},
        properties::Properties,
    },
};

use crate::{
    flow::Flow,
    frame::{Frame, Topics},
    limits::{AHEAD_BYTES_MAX, LATE_MAX},
    stamp::Stamp,
    tally::Tally,
    track::Sent,
};

/// What a publisher is to do.
#[derive(Debug, Clone)]
pub(crate) struct PublishPlan {
    /// Its index in the run.
    pub(crate) publisher: u32,
    pub(crate) topics: Topics,
    pub(crate) qos: QoS,
    pub(crate) retain: bool,
    pub(crate) payload_bytes: usize,
    /// Messages to send, if there is an end.
    pub(crate) messages: Option<u64>,
    /// Deliveries of each message; 0 when nobody subscribes.
    pub(crate) fan: u64,
}

/// A QoS 1 or 2 publish, by packet identifier.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Exchange {
    Free,
    /// PUBACK or PUBREC is due; it was to be sent at this time.
    Sent(u64),
    /// PUBCOMP is due.
    Released(u64),
}

/// How far a publisher is with its last question.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Farewell {
    NotYet,
    /// A PINGREQ asks whether the broker has taken everything.
    Asked,
    Done,
}

/// See the module's description.
#[derive(Debug)]
pub(crate) struct Publishing {
    frame: Frame,
    qos: QoS,
    retain: bool,
    stamp: Stamp,
    messages: u64,
    refused: u64,
    /// Where there are subscribers, in a closed loop.
    flow: Option<Arc<Flow>>,
    /// Its window is used up, and it will be told when half of it is free.
    waits: bool,
    /// By packet identifier less one: those that have been in use until now.
    exchanges: Vec<Exchange>,
    /// Of these, the ones that are free.
    free: VecDeque<u16>,
    /// Publishes that may be in flight.
    inflight_max: u16,
    /// Due at these times and not sent yet, for want of a packet identifier or of room (open loop).
    late: VecDeque<u64>,
    farewell: Farewell,
}

impl Publishing {
    pub(crate) fn new(plan: &PublishPlan, run: u32, version: Version, inflight: u16, flow: Option<Arc<Flow>>) -> Self {
        Self {
            frame: Frame::new(version, &plan.topics, plan.qos, plan.retain, plan.payload_bytes),
            qos: plan.qos,
            retain: plan.retain,
            stamp: Stamp { run, publisher: plan.publisher, sequence: 0, due_ns: 0 },
            messages: plan.messages.unwrap_or(u64::MAX),
            refused: 0,
            flow,
            waits: false,
            exchanges: Vec::new(),
            free: VecDeque::new(),
            inflight_max: inflight,
            late: VecDeque::new(),
            farewell: Farewell::NotYet,
        }
    }

    /// Keeps to what the broker takes, as its CONNACK says.
    ///
    /// # Errors
    /// It does not take what this publisher is to send.
    pub(super) fn agree(&mut self, properties: Properties<'_>) -> Result<(), String> {
        if let Some(maximum) = properties.maximum_qos().filter(|maximum| self.qos as u8 > *maximum) {
            return Err(format!("the broker takes QoS {maximum} at most, and QoS {} was to be sent", self.qos as u8));
        }
        if self.retain && properties.retain_available() == Some(false) {
            return Err("the broker retains no messages".to_owned());
        }
        let bytes = self.frame.len();
        if let Some(maximum) = properties.maximum_packet_size().filter(|maximum| bytes > *maximum as usize) {
            return Err(format!("the broker takes packets of {maximum} bytes at most, and these have {bytes}"));
        }
        self.inflight_max = self.inflight_max.min(properties.receive_maximum().unwrap_or(u16::MAX));
        Ok(())
    }

    /// What was sent.
    pub(crate) const fn sent(&self) -> Sent {
        Sent { messages: self.stamp.sequence, refused: self.refused }
    }

    /// Publishes that wait for their acknowledgement.
    pub(crate) fn unacknowledged(&self) -> usize {
        self.exchanges.len() - self.free.len()
    }

    /// Whether all that it was to send is sent.
    const fn is_done(&self) -> bool {
        self.stamp.sequence >= self.messages
    }

    /// Publishes that may be added to those in flight.
    fn free_ids(&self) -> u64 {
        if self.qos == QoS::AtMostOnce {
            return u64::MAX;
        }
        u64::from(self.inflight_max).saturating_sub(self.unacknowledged() as u64)
    }

    /// Messages that may be written ahead of the socket; one at least, however large, when nothing is.
    fn room_ahead(&self, out: &[u8]) -> u64 {
        let room = AHEAD_BYTES_MAX.saturating_sub(out.len()) / self.frame.len().max(1);
        room.max(usize::from(out.is_empty())) as u64
    }

    /// Closed loop: sends as much as may be sent now.
    pub(crate) fn produce(&mut self, now_ns: u64, out: &mut Vec<u8>, tally: &mut Tally) {
        let left = self.messages.saturating_sub(self.stamp.sequence);
        let mut room = left.min(self.room_ahead(out)).min(self.free_ids());
        if room == 0 || self.waits {
            return; // an acknowledgement, the socket or a subscriber brings it back here
        }
        if let Some(flow) = &self.flow {
            let free = flow.room(self.stamp.sequence);
            self.waits = free == 0;
            room = room.min(free);
        }
        for _ in 0..room {
            self.send(now_ns, out, tally);
        }
    }

    /// Half of its window is free.
    pub(crate) const fn go_on(&mut self) {
        self.waits = false;
    }

    /// Open loop: a message is due. It is sent as soon as it can be, under the time at which it was due.
    pub(crate) fn due(&mut self, due_ns: u64, out: &mut Vec<u8>, tally: &mut Tally) {
        if self.is_done() {
            return;
        }
        if self.late.is_empty() && self.can_send(out) {
            self.send(due_ns, out, tally);
        } else if tally.late < LATE_MAX {
            self.late.push_back(due_ns);
            tally.late += 1;
        } else {
            tally.unsent += 1;
        }
    }

    /// Open loop: sends what is late, as far as it can be sent.
    pub(crate) fn catch_up(&mut self, out: &mut Vec<u8>, tally: &mut Tally) {
        while !self.late.is_empty() && self.can_send(out) {
            if let Some(due_ns) = self.late.pop_front() {
                tally.late -= 1;
                self.send(due_ns, out, tally);
            }
        }
    }

    fn can_send(&self, out: &[u8]) -> bool {
        self.room_ahead(out) > 0 && self.free_ids() > 0
    }

    /// Open loop: whether something is late.
    pub(crate) fn is_late(&self) -> bool {
        !self.late.is_empty()
    }

    /// The load is over, and what is late stays unsent. Answers whether a PINGREQ is to be sent, whose answer says that
    /// the broker has taken all.
    pub(crate) fn say_farewell(&mut self, tally: &mut Tally) -> bool {
        self.give_up(tally);
        let asks = self.farewell == Farewell::NotYet;
        if asks {
            self.farewell = Farewell::Asked;
        }
        asks
    }

    /// Its connection is gone.
    pub(crate) fn leave(&mut self, tally: &mut Tally) {
        self.give_up(tally);
        self.finish_farewell(tally);
    }

    /// The broker has answered all PINGREQs.
    pub(super) fn on_last_pong(&mut self, tally: &mut Tally) {
        if self.farewell == Farewell::Asked {
            self.finish_farewell(tally);
        }
    }

    fn finish_farewell(&mut self, tally: &mut Tally) {
        if self.farewell != Farewell::Done {
            self.farewell = Farewell::Done;
            tally.drained += 1;
        }
    }

    fn give_up(&mut self, tally: &mut Tally) {
        let late = self.late.len() as u64;
        self.late = VecDeque::new();
        tally.late -= late;
        tally.unsent += late;
    }

    fn send(&mut self, due_ns: u64, out: &mut Vec<u8>, tally: &mut Tally) {
        let id = if self.qos == QoS::AtMostOnce { 0 } else { self.take_id(due_ns) };
        self.stamp.due_ns = due_ns;
        self.frame.write(id, &self.stamp, out);
        self.stamp.sequence += 1;
        tally.sent += 1;
    }

    /// A packet identifier for a message; the caller has looked that there is one.
    fn take_id(&mut self, due_ns: u64) -> u16 {
        if let Some(id) = self.free.pop_front() {
            if let Some(exchange) = self.exchanges.get_mut(usize::from(id) - 1) {
                *exchange = Exchange::Sent(due_ns);
            }
            return id;
        }
        self.exchanges.push(Exchange::Sent(due_ns));
        u16::try_from(self.exchanges.len()).unwrap_or(u16::MAX)
    }

    pub(super) fn on_puback(&mut self, ack: &Ack<'_>, now_ns: u64, tally: &mut Tally) -> Result<(), String> {
        match self.exchange(ack)? {
            Exchange::Sent(due_ns) if self.qos == QoS::AtLeastOnce => self.finish(ack, due_ns, now_ns, tally),
            _ => return Err("PUBACK for a packet identifier that is not in flight at QoS 1".to_owned()),
        }
        Ok(())
    }

    /// Answers whether a PUBREL is due.
    pub(super) fn on_pubrec(&mut self, ack: &Ack<'_>, tally: &mut Tally) -> Result<bool, String> {
        let due_ns = match self.exchange(ack)? {
            Exchange::Sent(due_ns) if self.qos == QoS::ExactlyOnce => due_ns,
            _ => return Err("PUBREC for a packet identifier that is not in flight at QoS 2".to_owned()),
        };
        if ack.reason.is_error() {
            self.finish(ack, due_ns, due_ns, tally);
            return Ok(false);
        }
        self.set(ack, Exchange::Released(due_ns));
        Ok(true)
    }

    pub(super) fn on_pubcomp(&mut self, ack: &Ack<'_>, now_ns: u64, tally: &mut Tally) -> Result<(), String> {
        let Exchange::Released(due_ns) = self.exchange(ack)? else {
            return Err("PUBCOMP for a packet identifier that is not released".to_owned());
        };
        self.finish(ack, due_ns, now_ns, tally);
        Ok(())
    }

    fn finish(&mut self, ack: &Ack<'_>, due_ns: u64, now_ns: u64, tally: &mut Tally) {
        self.set(ack, Exchange::Free);
        self.free.push_back(ack.packet_id.get());
        if ack.reason.is_error() {
            self.refused += 1;
            tally.refused += 1;
            if self.flow.as_ref().is_some_and(|flow| flow.refused()) {
                self.go_on();
            }
        } else {
            tally.acknowledged += 1;
            tally.acknowledgements.record(due_ns, now_ns);
        }
    }

    fn exchange(&self, ack: &Ack<'_>) -> Result<Exchange, String> {
        let at = usize::from(ack.packet_id.get()) - 1;
        self.exchanges.get(at).copied().ok_or_else(|| "an acknowledgement of an unknown packet identifier".to_owned())
    }

    fn set(&mut self, ack: &Ack<'_>, to: Exchange) {
        if let Some(exchange) = self.exchanges.get_mut(usize::from(ack.packet_id.get()) - 1) {
            *exchange = to;
        }
    }
}
