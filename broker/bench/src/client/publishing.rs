//! The publisher's half of a client: how much it may send, packet identifiers, acknowledgements.

use std::{collections::VecDeque, sync::Arc};

use primer_mqtt::{
    Version,
    codec::packet::{Ack, QoS},
};

use crate::{
    flow::Flow,
    frame::{Frame, Topics},
    stamp::Stamp,
    tally::Tally,
};

/// Bytes that a publisher writes ahead of its socket.
const AHEAD_BYTES_MAX: usize = 128 * 1024;

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

/// See the module's description.
#[derive(Debug)]
pub(crate) struct Publishing {
    frame: Frame,
    qos: QoS,
    stamp: Stamp,
    messages: u64,
    /// Where there are subscribers, in a closed loop.
    flow: Option<Arc<Flow>>,
    /// Its window is used up, and it will be told when half of it is free.
    waits: bool,
    /// By packet identifier less one.
    exchanges: Vec<Exchange>,
    free: VecDeque<u16>,
    /// Due at these times and not sent yet, for want of a packet identifier (open loop).
    late: VecDeque<u64>,
    is_drained: bool,
    awaits_pong: bool,
}

impl Publishing {
    pub(crate) fn new(plan: &PublishPlan, run: u32, version: Version, inflight: u16, flow: Option<Arc<Flow>>) -> Self {
        let has_ids = plan.qos != QoS::AtMostOnce;
        let ids = if has_ids { inflight } else { 0 };
        Self {
            frame: Frame::new(version, &plan.topics, plan.qos, plan.retain, plan.payload_bytes),
            qos: plan.qos,
            stamp: Stamp { run, publisher: plan.publisher, sequence: 0, due_ns: 0 },
            messages: plan.messages.unwrap_or(u64::MAX),
            flow,
            waits: false,
            exchanges: vec![Exchange::Free; usize::from(ids)],
            free: (1..=ids).collect(),
            late: VecDeque::new(),
            is_drained: false,
            awaits_pong: false,
        }
    }

    /// The broker takes no more than this at a time.
    pub(crate) fn limit_inflight(&mut self, maximum: u16) {
        self.free.retain(|id| *id <= maximum);
    }

    /// Messages sent.
    pub(crate) const fn sent(&self) -> u64 {
        self.stamp.sequence
    }

    /// Publishes that wait for their acknowledgement.
    pub(crate) fn unacknowledged(&self) -> usize {
        self.exchanges.iter().filter(|exchange| **exchange != Exchange::Free).count()
    }

    /// Whether all that it was to send is sent.
    pub(crate) fn is_done(&self) -> bool {
        self.sent() >= self.messages
    }

    /// Closed loop: sends as much as may be sent now.
    pub(crate) fn produce(&mut self, now_ns: u64, out: &mut Vec<u8>, tally: &mut Tally) {
        let mut room = self.messages.saturating_sub(self.sent());
        room = room.min((AHEAD_BYTES_MAX.saturating_sub(out.len()) / self.frame.len()) as u64);
        if self.qos != QoS::AtMostOnce {
            room = room.min(self.free.len() as u64);
        }
        if room == 0 || self.waits {
            return; // an acknowledgement, the socket or a subscriber brings it back here
        }
        if let Some(flow) = &self.flow {
            let free = flow.room(self.sent());
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
        if self.late.is_empty() && (self.qos == QoS::AtMostOnce || !self.free.is_empty()) {
            self.send(due_ns, out, tally);
        } else {
            self.late.push_back(due_ns);
        }
    }

    /// Open loop: sends what is late, as far as there are identifiers.
    pub(crate) fn catch_up(&mut self, out: &mut Vec<u8>, tally: &mut Tally) {
        while !self.free.is_empty()
            && let Some(due_ns) = self.late.pop_front()
        {
            self.send(due_ns, out, tally);
        }
    }

    /// The load is over: what is late stays unsent. Answers whether a PINGREQ is to be sent, whose answer says that the
    /// broker has taken all of QoS 0.
    pub(crate) fn begin_drain(&mut self) -> bool {
        self.late.clear();
        let asks = !self.awaits_pong;
        self.awaits_pong = true;
        asks
    }

    pub(super) fn on_pong(&mut self, tally: &mut Tally) {
        if self.awaits_pong && !self.is_drained {
            self.is_drained = true;
            tally.drained += 1;
        }
    }

    fn send(&mut self, due_ns: u64, out: &mut Vec<u8>, tally: &mut Tally) {
        let id = if self.qos == QoS::AtMostOnce { 0 } else { self.free.pop_front().unwrap_or(0) };
        if let Some(exchange) = id.checked_sub(1).and_then(|at| self.exchanges.get_mut(usize::from(at))) {
            *exchange = Exchange::Sent(due_ns);
        }
        self.stamp.due_ns = due_ns;
        self.frame.write(id, &self.stamp, out);
        self.stamp.sequence += 1;
        tally.sent += 1;
    }

    pub(super) fn on_puback(&mut self, ack: &Ack<'_>, now_ns: u64, tally: &mut Tally) -> Result<(), String> {
        match self.exchange(ack)? {
            Exchange::Sent(due_ns) if self.qos == QoS::AtLeastOnce => self.finish(ack, due_ns, now_ns, tally),
            _ => return Err("PUBACK for a packet identifier that is not in flight".to_owned()),
        }
        Ok(())
    }

    /// Answers whether a PUBREL is due.
    pub(super) fn on_pubrec(&mut self, ack: &Ack<'_>, tally: &mut Tally) -> Result<bool, String> {
        let Exchange::Sent(due_ns) = self.exchange(ack)? else {
            return Err("PUBREC for a packet identifier that is not in flight".to_owned());
        };
        if ack.reason.is_error() {
            tally.refused += 1;
            self.set(ack, Exchange::Free);
            self.free.push_back(ack.packet_id.get());
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
            tally.refused += 1;
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
