//! What an ended session leaves in the store: messages that came through a share group go on to its other members
//! (QoS 1 only [MQTT-4.8.2-5]), the others are dropped and counted; then the session's queue goes.
//!
//! The queue stays until all is handed on: a process that ends meanwhile finds the session again, and ends it again.

use std::sync::Arc;

use primer::{
    drops::Reason,
    journal::{Change, Draft, Loaded, Move, QueueId, Want, Whereabouts},
};
use primer_core::{backlog::Stub, message::Message};
use primer_mqtt::codec::packet::QoS;

use crate::{
    batch::{Batch, Burst, Publication},
    delivery::{Queued, Share},
    durable::Durable,
    fanout,
    hub::Hub,
    limits::LOAD_MESSAGES_MAX,
    moving::Moved,
    schema,
    session::Delivered,
};

/// What is still to be handed on of a session that has ended.
#[derive(Debug)]
pub(crate) struct Rest {
    queue: QueueId,
    /// What was handed on and is not durable yet.
    taken: Vec<Stub>,
    rest: Vec<Stub>,
    /// Messages of those that nobody took.
    undeliverable: u64,
}

/// A message that was handed on from memory.
#[derive(Debug)]
pub(crate) struct HandedOn {
    message: Message,
    qos: QoS,
    retain: bool,
    share: Arc<Share>,
}

/// Ends the stored part of a session: when the draft is durable, it does not come back. Answers what is to be handed on
/// then. With a will the queue goes when that is durable ([`Due`](crate::moving::Due) says so).
pub(crate) fn end(
    hub: &Hub,
    draft: &mut Draft,
    mut durable: Durable,
    stubs: Vec<Stub>,
    (is_shared, has_will): (bool, bool),
) -> Option<Rest> {
    let queue = durable.queue;
    if is_shared && !stubs.is_empty() {
        // For a process that finds it before all is handed on: it is over.
        durable.put(schema::EXPIRY.into(), 0_u32.to_le_bytes().into());
        durable.put(schema::GONE_AT.into(), 0_u64.to_le_bytes().into());
        durable.move_changes(draft);
        return Some(Rest { queue, taken: Vec::new(), rest: stubs, undeliverable: 0 });
    }
    hub.node.drops.add(Reason::SessionEnded, stubs.len() as u64);
    durable.move_changes(draft);
    if !has_will {
        draft.change(Change::Drop(queue));
    }
    for stub in stubs {
        draft.change(Change::Settle(Whereabouts::At { sequence: stub.reference, len: stub.len }));
    }
    None
}

impl Rest {
    pub(crate) const fn queue(&self) -> QueueId {
        self.queue
    }

    /// Hands on what is stored, oldest first, a few messages at a time: the next when the last are durable there.
    pub(crate) fn go_on(mut self, hub: &Hub, is_durable: bool) {
        if is_durable {
            hub.node.drops.add(Reason::SessionEnded, std::mem::take(&mut self.undeliverable));
            self.taken.clear();
        } else if !self.taken.is_empty() {
            tracing::warn!(messages = self.taken.len(), "messages of an ended session are handed on again");
            self.taken.append(&mut self.rest);
            (self.rest, self.undeliverable) = (std::mem::take(&mut self.taken), 0);
        }
        if !self.take_next() {
            return;
        }
        let queue = self.queue;
        let want = |stub: &Stub| Want { sequence: stub.reference, queue, position: stub.position.0 };
        let wants = self.taken.iter().map(want).collect();
        let (Some(taker), Some(journal)) = (hub.me(), hub.node.journal()) else { return };
        journal.store().load(wants, move |loaded| {
            if loaded.iter().any(|one| one.is_unreadable) {
                return self.go_on(&taker, false); // once more, when the store has waited a while
            }
            self.hand_on(&taker, Batch::begin(&taker), loaded);
        });
    }

    /// The next few; `false` when there are none.
    fn take_next(&mut self) -> bool {
        let rest = self.rest.split_off(self.rest.len().min(LOAD_MESSAGES_MAX));
        self.taken = std::mem::replace(&mut self.rest, rest);
        !self.taken.is_empty()
    }

    fn hand_on(mut self, hub: &Hub, mut batch: Batch<'_>, loaded: Vec<Loaded>) {
        for (stub, loaded) in self.taken.iter().zip(loaded) {
            let message = loaded.message;
            let is_handed_on = message.is_some_and(|it| hand_on_one(hub, &mut batch, stub, &it.note, &it.content));
            self.undeliverable += u64::from(!is_handed_on);
            let at = Whereabouts::At { sequence: stub.reference, len: stub.len };
            let (queue, position) = (self.queue, stub.position.0);
            batch.draft.when_durable(Move::Gone { queue, position, at });
        }
        if self.rest.is_empty() {
            batch.draft.when_durable(Move::Drop(self.queue));
        }
        batch.moves(hub, Moved::Leftover(self));
        batch.finish(hub); // what moves on and what goes are one commit
    }
}

fn hand_on_one(hub: &Hub, batch: &mut Batch<'_>, stub: &Stub, note: &[u8], content: &[u8]) -> bool {
    let mut item = Queued::blank();
    let parts = schema::parts(content, stub.expires_at_ms);
    let (Some(()), Some(parts)) = (schema::read_note(note, &mut item), parts) else { return false };
    let message = Message::new(&parts);
    let Some(share) = item.share.filter(|_| item.qos != QoS::ExactlyOnce) else { return false };
    if message.is_expired(batch.now_ms) {
        return false;
    }
    HandedOn { message, qos: item.qos, retain: item.retain, share }.hand_on(hub, batch)
}

impl HandedOn {
    fn hand_on(&self, hub: &Hub, batch: &mut Batch<'_>) -> bool {
        let publication = Publication::of_message(&self.message, self.qos, self.retain, batch.now_ms);
        !matches!(fanout::hand_on(hub, batch, Burst::one(&publication), &self.share), Delivered::Gone)
    }
}

/// For tests: hands on what was stored in a batch that is going to be refused.
#[cfg(test)]
pub(crate) fn hand_on_in(hub: &Hub, batch: Batch<'_>, mut rest: Rest, loaded: Vec<Loaded>) {
    assert!(rest.take_next());
    rest.hand_on(hub, batch, loaded);
}

/// Hands on what an ended session had in memory.
pub(crate) fn hand_on_from_memory(hub: &Hub, batch: &mut Batch<'_>, left: Vec<Queued>) {
    let mut undeliverable = 0;
    let mut handed_on = Vec::new();
    for item in left {
        match (item.share, item.message) {
            (Some(share), Some(message)) if item.qos != QoS::ExactlyOnce => {
                handed_on.push(HandedOn { message, qos: item.qos, retain: item.retain, share });
            }
            _ => undeliverable += 1,
        }
    }
    hub.node.drops.add(Reason::SessionEnded, undeliverable);
    hand_on_all(hub, batch, handed_on);
}

/// Their commit failed: they go to whoever is there now.
pub(crate) fn hand_on_again(hub: &Hub, batch: &mut Batch<'_>, handed_on: Vec<HandedOn>) {
    tracing::warn!(messages = handed_on.len(), "messages of an ended session are handed on again");
    hand_on_all(hub, batch, handed_on);
}

fn hand_on_all(hub: &Hub, batch: &mut Batch<'_>, mut handed_on: Vec<HandedOn>) {
    let mut undeliverable = 0;
    handed_on.retain(|one| {
        let len = batch.draft.len();
        undeliverable += u64::from(!one.hand_on(hub, batch));
        batch.draft.len() > len // the store may still refuse it
    });
    hub.node.drops.add(Reason::SessionEnded, undeliverable);
    if !handed_on.is_empty() {
        batch.moves(hub, Moved::Shared(handed_on));
    }
}
