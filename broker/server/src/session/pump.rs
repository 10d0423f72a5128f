//! What leaves a session: messages move from its queue to the buffer of its connection, and out of the queue for good.

use primer::{
    drops::Reason,
    journal::{Change, Group},
};
use primer_core::backlog::{Item, Position};
use primer_mqtt::{ReasonCode, codec::packet::QoS, session::Sent};

use super::{State, rights};
use crate::{delivery::Queued, durable, hub::Hub, limits::PUMP_BYTES_MAX, queues::consuming};

/// Messages that were sent, and the bytes of their payloads.
#[derive(Debug, Default)]
struct Tally {
    messages: u64,
    bytes: u64,
}

impl Tally {
    const fn add(&mut self, payload: &[u8]) {
        self.messages += 1;
        self.bytes += payload.len() as u64;
    }
}

impl State {
    /// Whether there may be something to move.
    pub(crate) fn may_pump(&self) -> bool {
        self.queue.has_ready() || self.machine.has_resends()
    }

    /// Moves messages from the queue to the buffer, as far as the client's window and the buffer allow.
    pub(crate) fn pump(&mut self, hub: &Hub, now_ms: u64) {
        let mut tally = Tally::default();
        self.send_again(hub, now_ms, &mut tally);
        self.send_ready(hub, now_ms, &mut tally);
        hub.counters.publishes_sent.add(tally.messages);
        hub.counters.publish_bytes_sent.add(tally.bytes);
        self.count_dropped(hub);
    }

    fn send_again(&mut self, hub: &Hub, now_ms: u64, tally: &mut Tally) {
        let reader = self.restricted_reader();
        while self.backlog() < PUMP_BYTES_MAX
            && let Some(resend) = self.machine.next_resend()
        {
            let Some(item) = self.queue.get(resend.position) else {
                self.machine.give_up(resend);
                continue;
            };
            if !rights::may_go(hub, reader.as_deref(), item) {
                self.machine.give_up(resend);
                self.withhold(hub, resend.position);
                continue;
            }
            let Some(delivery) = item.as_delivery(now_ms) else {
                self.machine.postpone(resend);
                self.load(hub, 1);
                return;
            };
            let sent = self.machine.send_again(resend, &delivery, &mut self.outbox);
            tally.add(delivery.payload);
            if sent == Sent::TooLarge {
                self.take_out(resend.position);
                self.count_drops(hub, Reason::TooLarge, 1);
            }
        }
    }

    fn send_ready(&mut self, hub: &Hub, now_ms: u64, tally: &mut Tally) {
        if self.machine.has_resends() {
            return; // what was sent before comes before it, and is being read back
        }
        // Asked before a message is: what is not durable then is in this group or a later one.
        let next = hub.node.journal().filter(|_| self.durable.is_some()).map(|journal| journal.store().next());
        let reader = self.restricted_reader();
        let mut held = Vec::new();
        let mut holds = self.durable.as_ref().is_some_and(|durable| durable.waits_for().is_some());
        while self.backlog() + held.len() < PUMP_BYTES_MAX && self.machine.credit() > 0 {
            let Some((position, item)) = self.queue.lease(now_ms) else {
                if self.durable.is_some() {
                    self.load(hub, self.machine.credit());
                }
                break;
            };
            if item.is_withdrawn() {
                self.queue.ack(position);
                continue;
            }
            if !rights::may_go(hub, reader.as_deref(), item) {
                self.withhold(hub, position);
                continue;
            }
            // A QoS 2 message is on its way only when that is written down: sent from memory, it might be sent again
            // under another packet identifier by a process that does not know of it. QoS 1 does not overtake it: what
            // is sent again is sent in the order of the queue, and that has to be the order of the first time
            // [MQTT-4.6.0-1].
            let is_durable = item.is_durable();
            let must_be_settled = is_durable && item.qos == QoS::ExactlyOnce;
            let is_held = must_be_settled || (holds && item.qos == QoS::AtLeastOnce);
            let is_settled = item.is_settled();
            let Some(delivery) = item.as_delivery(now_ms).filter(|_| !must_be_settled || is_settled) else {
                self.queue.unlease(position);
                self.wait_for_store(hub, next.filter(|_| !is_settled));
                break;
            };
            let at_most_once = item.qos == QoS::AtMostOnce;
            let sent = match item.qos {
                QoS::AtMostOnce => self.machine.send_at_most_once(&delivery, &mut self.outbox),
                _ if is_held => self.machine.send_held(&delivery, position, &mut held),
                _ => self.machine.send(&delivery, position, &mut self.outbox),
            };
            match sent {
                Sent::Written => {
                    holds |= is_held;
                    tally.add(delivery.payload);
                }
                Sent::TooLarge => self.count_drops(hub, Reason::TooLarge, 1),
                Sent::Offline => {
                    self.queue.unlease(position);
                    break;
                }
            }
            if at_most_once || sent == Sent::TooLarge {
                let item = self.take_out(position);
                match item.and_then(|item| item.lease) {
                    Some(lease) if sent == Sent::Written => consuming::settle(*lease, ReasonCode::SUCCESS),
                    Some(lease) => consuming::pass_on(*lease),
                    None => {}
                }
            } else if let Some(durable) = self.durable.as_mut().filter(|_| is_durable) {
                let tag = self.machine.last_packet_id();
                durable.change(Change::Lease { queue: durable.queue, position: position.0, tag });
            }
        }
        if !held.is_empty()
            && let (Some(durable), Some(journal)) = (&mut self.durable, hub.node.journal())
        {
            let group = durable.submit(journal);
            durable.hold(group, held);
        }
    }

    /// The next message cannot be sent yet: it is in the store alone, or not there yet.
    fn wait_for_store(&mut self, hub: &Hub, group: Option<Group>) {
        if group.is_none() {
            self.queue.chill();
            self.load(hub, self.machine.credit());
        } else if let Some(durable) = &mut self.durable {
            durable.waiting_for = group;
        }
    }

    /// A message leaves the queue for good.
    pub(crate) fn take_out(&mut self, position: Position) -> Option<Queued> {
        let item = self.queue.ack(position)?;
        if let Some(durable) = self.durable.as_mut().filter(|_| item.lease.is_none()) {
            durable.gone(position, self.queue.floor(), item.at.clone());
        }
        Some(item)
    }

    /// The client is done with a message.
    pub(crate) fn settle(&mut self, hub: &Hub, position: Position, reason: ReasonCode) {
        let item = self.take_out(position);
        if let Some(lease) = item.and_then(|item| item.lease) {
            match self.receiving.filter(|_| !reason.is_error()) {
                // The client's program has not seen it: it does at PUBREL.
                Some(packet_id) => self.await_completion(packet_id, lease),
                None => consuming::settle(*lease, reason),
            }
        } else if reason.is_error() {
            self.count_drops(hub, Reason::RejectedByConsumer, 1);
        }
    }

    /// Counts messages that this session does not get: for the node, and for the session.
    pub(crate) fn count_drops(&self, hub: &Hub, reason: Reason, messages: u64) {
        if messages > 0 {
            hub.node.drops.add(reason, messages);
            hub.session_drops.add(&self.client_id, reason, messages);
        }
    }

    pub(crate) fn count_dropped(&mut self, hub: &Hub) {
        let dropped = self.queue.take_dropped();
        self.count_drops(hub, Reason::Expired, dropped.expired);
        self.count_drops(hub, Reason::QueueOverflow, dropped.overflow);
        self.count_drops(hub, Reason::QueueFull, dropped.refused);
        self.count_drops(hub, Reason::Evicted, dropped.evicted);
        let damaged = self.durable.as_mut().map_or(0, |durable| durable.take_damaged());
        self.count_drops(hub, Reason::Damaged, damaged);
        if let (Some(durable), Some(journal)) = (&mut self.durable, hub.node.journal()) {
            let floor = self.queue.floor();
            for (position, left) in self.queue.take_left() {
                durable.gone(position, floor, durable::whereabouts(left));
            }
            durable.note(journal);
        }
    }
}
