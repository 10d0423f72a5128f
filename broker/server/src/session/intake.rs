//! What is given to a session: QoS 0 into the buffer of its connection, QoS 1 and 2 into its queue.

use std::sync::Arc;

use primer::{
    drops::Reason,
    journal::{Store, Whereabouts},
};
use primer_core::{backlog::Bounds, commit::Refused};
use primer_mqtt::{ReasonCode, codec::packet::QoS, session::Sent};

use super::{Delivered, State, Wish};
use crate::{
    batch::{Batch, Burst, Publication},
    delivery::{self, Ids, Queued},
    hub::Hub,
    limits::{PUMP_BYTES_MAX, READY_KEPT_MAX},
    queues::enqueue,
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
            self.count_drops(hub, Reason::Offline, which.len() as u64);
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
            self.count_drops(hub, Reason::MemoryFull, 1);
            return;
        }
        if self.backlog() > hub.options.outbox_bytes_max {
            self.count_drops(hub, Reason::SlowConsumer, 1);
            if hub.options.disconnect_slow_consumers && self.close.is_none() {
                self.close = Some(ReasonCode::QUOTA_EXCEEDED);
                hub.counters.slow_closed.add(1);
            }
            return;
        }
        match self.machine.send_at_most_once(&publication.as_delivery(QoS::AtMostOnce, wish), &mut self.outbox) {
            Sent::Written => batch.count_sent(1, publication.payload.len()),
            Sent::TooLarge => self.count_drops(hub, Reason::TooLarge, 1),
            Sent::Offline => self.count_drops(hub, Reason::Offline, 1),
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
            self.count_drops(hub, Reason::MemoryFull, which.len() as u64);
            which.for_each(|index| answer(index, Delivered::Queued(Err(Refused::MemoryFull))));
            return;
        }
        // What goes at once shares the memory of its read; what waits must not pin it.
        let mut credit = if self.queue.has_ready() { 0 } else { self.machine.credit() };
        let mut room = PUMP_BYTES_MAX.saturating_sub(self.backlog());
        let goes_at_all = credit > 0 && room > 0;
        for index in which {
            let goes_at_once = credit > 0 && room > 0;
            let ids = Ids::from_slice(wish.ids);
            let share = wish.share.cloned();
            let publication = burst.get(index);
            credit = credit.saturating_sub(1);
            room = room.saturating_sub(publication.len());
            if goes_at_all && self.is_full(hub, delivery::cost(publication.len(), &ids) as usize) {
                self.pump(hub, batch.now_ms); // what can go at once is not trimmed
            }
            let cost = delivery::cost(publication.len(), &ids) as usize;
            if hub.options.buries_overflow && !self.queue.fits(batch.now_ms, cost) {
                let buried = enqueue::bury(hub, batch, burst, index, &self.client_id);
                if let Err(why) = &buried {
                    self.count_drops(hub, primer::drops::reason_of(*why), 1);
                }
                answer(index, buried.unwrap_or_else(|why| Delivered::Queued(Err(why))));
                continue;
            }
            let answered = if self.durable.is_none() {
                let message = if goes_at_once { batch.message(publication) } else { batch.own_message(burst, index) };
                let item = Queued::new(message, qos, wish.retain, ids, share);
                Delivered::Queued(self.queue.push(batch.now_ms, item))
            } else {
                let item = Queued { qos, retain: wish.retain, ids, share, ..Queued::blank() };
                self.store(hub, batch, wish, (publication, index, goes_at_once), item)
            };
            answer(index, answered);
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

    /// A publication for a session that lasts: into its queue and the store. It is in memory only if it goes at once.
    fn store(
        &mut self,
        hub: &Hub,
        batch: &mut Batch<'_>,
        wish: &Wish<'_>,
        (publication, index, goes_at_once): (&Publication<'_>, usize, bool),
        mut item: Queued,
    ) -> Delivered {
        let (Some(durable), Some(journal)) = (&self.durable, hub.node.journal()) else { return Delivered::Gone };
        if let Err(why) = journal.admits() {
            self.count_drops(hub, primer::drops::reason_of(why), 1);
            return Delivered::Queued(Err(why));
        }
        let ticket = batch.ticket(index);
        ticket.add();
        item.at = Whereabouts::With(Arc::clone(&ticket));
        item.cost = delivery::cost(publication.len(), &item.ids);
        item.expires_at_ms = publication.expires_at_ms;
        item.message = goes_at_once.then(|| batch.message(publication));
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
    fn is_full(&self, hub: &Hub, cost: usize) -> bool {
        let Bounds { messages_max, bytes_max, .. } = hub.options.queue;
        self.queue.len() >= messages_max || self.queue.bytes() + cost > bytes_max
    }
}
