//! What is given to a session: QoS 0 into the buffer of its connection, QoS 1 and 2 into its queue.

use std::sync::Arc;

use primer::{
    drops::Reason,
    journal::{Store, Ticket, Whereabouts},
};
use primer_core::{
    commit::Refused,
    queue::{Bounds, Item},
};
use primer_mqtt::{ReasonCode, codec::packet::QoS, session::Sent};

use super::{Delivered, State, Wish};
use crate::{
    batch::{Batch, Burst, Publication},
    delivery::{self, Ids, Queued},
    hub::Hub,
    limits::{PUMP_BYTES_MAX, READY_KEPT_MAX},
    pipeline,
};

impl State {
    /// QoS 0 messages: into the buffer of the connection, or nowhere.
    pub(super) fn send_now(
        &mut self,
        hub: &Hub,
        batch: &mut Batch<'_>,
        wish: &Wish<'_>,
        burst: Burst<'_, '_>,
        which: impl ExactSizeIterator<Item = usize>,
    ) {
        if self.connected.is_none() {
            hub.node.drops.add(Reason::Offline, which.len() as u64);
            return;
        }
        let all = which.len() == burst.len();
        if all && batch.is_shared && wish.ids.is_empty() && wish.retain == burst.first().shared_retain {
            let frame_bytes_max = batch.frames.frame_bytes_max(burst);
            if let Some(version) = self.machine.takes_plain(frame_bytes_max)
                && self.has_room_for(hub, frame_bytes_max * burst.len())
            {
                self.outbox.extend_from_slice(batch.frames.frames(version, burst));
                let payload_bytes = batch.frames.payload_bytes();
                batch.count_sent(burst.len(), payload_bytes);
                return;
            }
        }
        for index in which {
            self.send_one_now(hub, batch, wish, burst.get(index));
        }
    }

    /// Whether so much more may be sent without another look at the limits.
    fn has_room_for(&self, hub: &Hub, bytes: usize) -> bool {
        let bytes = self.backlog() + bytes;
        bytes <= hub.options.outbox_bytes_max && (bytes <= PUMP_BYTES_MAX || !hub.node.budget.is_spent())
    }

    fn send_one_now(&mut self, hub: &Hub, batch: &mut Batch<'_>, wish: &Wish<'_>, publication: &Publication<'_>) {
        if self.backlog() > PUMP_BYTES_MAX && hub.node.budget.is_spent() {
            hub.node.drops.add(Reason::MemoryFull, 1);
            return;
        }
        if self.backlog() > hub.options.outbox_bytes_max {
            hub.node.drops.add(Reason::SlowConsumer, 1);
            if hub.options.disconnect_slow_consumers && self.close.is_none() {
                self.close = Some(ReasonCode::QUOTA_EXCEEDED);
                hub.counters.slow_closed.add(1);
            }
            return;
        }
        match self.machine.send_at_most_once(&publication.as_delivery(QoS::AtMostOnce, wish), &mut self.outbox) {
            Sent::Written => batch.count_sent(1, publication.payload.len()),
            Sent::TooLarge => hub.node.drops.add(Reason::TooLarge, 1),
            Sent::Offline => hub.node.drops.add(Reason::Offline, 1),
        }
    }

    /// QoS 1 or 2 messages: into the queue, and from there at once to the connection as far as its window is open.
    pub(super) fn enqueue(
        &mut self,
        hub: &Hub,
        batch: &mut Batch<'_>,
        (qos, wish): (QoS, &Wish<'_>),
        burst: Burst<'_, '_>,
        which: impl ExactSizeIterator<Item = usize>,
        answer: &mut impl FnMut(usize, Delivered),
    ) {
        if hub.node.budget.is_spent() {
            hub.node.drops.add(Reason::MemoryFull, which.len() as u64);
            which.for_each(|index| answer(index, Delivered::Queued(Err(Refused::MemoryFull))));
            return;
        }
        // What goes at once shares the memory of its read; what waits must not pin it.
        let mut credit = if self.queue.has_ready() { 0 } else { self.machine.credit() };
        let mut room = PUMP_BYTES_MAX.saturating_sub(self.backlog());
        let goes_at_all = credit > 0 && room > 0;
        for index in which {
            let goes_at_once = credit > 0 && room > 0;
            let item = match self.item(hub, batch, (qos, wish), (burst, index), goes_at_once) {
                Ok(item) => item,
                Err(why) => {
                    hub.node.drops.add(pipeline::reason_of(why), 1);
                    answer(index, Delivered::Queued(Err(why)));
                    continue;
                }
            };
            credit = credit.saturating_sub(1);
            room = room.saturating_sub(item.cost());
            if goes_at_all && self.is_full(hub, &item) {
                self.pump(hub, batch.now_ms); // what can go at once is not trimmed
            }
            let ticket = match &item.at {
                Whereabouts::With(ticket) => Some(Arc::clone(ticket)),
                _ => None,
            };
            answer(index, self.push(batch, wish, index, item, ticket));
        }
        if goes_at_all {
            self.pump(hub, batch.now_ms);
        } else {
            if self.queue.ready_len() > READY_KEPT_MAX || self.connected.is_none() {
                self.queue.chill();
            }
            self.count_dropped(hub);
        }
    }

    /// A publication as it stands in the queue. One for a session that lasts is in memory only if it goes at once: the
    /// store has it.
    fn item(
        &self,
        hub: &Hub,
        batch: &mut Batch<'_>,
        (qos, wish): (QoS, &Wish<'_>),
        (burst, index): (Burst<'_, '_>, usize),
        goes_at_once: bool,
    ) -> Result<Queued, Refused> {
        let ids = Ids::from_slice(wish.ids);
        let share = wish.share.cloned();
        let Some(journal) = hub.node.journal().filter(|_| self.durable.is_some()) else {
            let publication = burst.get(index);
            let message = if goes_at_once { batch.message(publication) } else { batch.own_message(burst, index) };
            return Ok(Queued::new(message, qos, wish.retain, ids, share));
        };
        journal.admits()?;
        let publication = burst.get(index);
        let at = Whereabouts::With(batch.ticket(index));
        let cost = delivery::cost(publication.len(), &ids);
        let message = goes_at_once.then(|| batch.message(publication));
        let expires_at_ms = publication.expires_at_ms;
        Ok(Queued { message, at, qos, retain: wish.retain, ids, share, cost, expires_at_ms })
    }

    fn push(
        &mut self,
        batch: &mut Batch<'_>,
        wish: &Wish<'_>,
        index: usize,
        item: Queued,
        ticket: Option<Arc<Ticket>>,
    ) -> Delivered {
        let (Some(ticket), Some(durable)) = (ticket, &self.durable) else {
            return Delivered::Queued(self.queue.push(batch.now_ms, item));
        };
        ticket.add();
        let qos = item.qos;
        match self.queue.push(batch.now_ms, item) {
            Ok(_the_store_will_say) => {
                batch.destination(index, durable.queue, self.queue.last_position().0, (qos, wish));
                Delivered::Stored
            }
            Err(why) => {
                let _it_is_not_submitted = Store::settle(&ticket);
                Delivered::Queued(Err(why))
            }
        }
    }

    /// Whether the queue has to make room for this one.
    fn is_full(&self, hub: &Hub, item: &Queued) -> bool {
        let Bounds { messages_max, bytes_max, .. } = hub.options.queue;
        self.queue.len() >= messages_max || self.queue.bytes() + item.cost() > bytes_max
    }
}
