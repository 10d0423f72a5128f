//! What an ended session leaves in the store: messages that came through a share group go on to its other members
//! (QoS 1 only [MQTT-4.8.2-5]), the others are dropped and counted; then the session's queue goes.
//!
//! The queue stays until all is handed on: a process that ends meanwhile finds the session again, and ends it again.

use std::sync::Arc;

use primer::{
    drops::Reason,
    journal::{Change, Group, QueueId, Want, Whereabouts},
};
use primer_core::{backlog::Stub, message::Message};
use primer_mqtt::codec::packet::QoS;

use crate::{
    batch::{Batch, Burst, Publication},
    delivery::Queued,
    durable::Durable,
    fanout,
    hub::Hub,
    limits::LOAD_MESSAGES_MAX,
    schema,
    session::Delivered,
};

/// Ends the stored part of a session. When the group is durable that is answered, it does not come back.
pub(crate) fn end(hub: &Hub, mut durable: Durable, stubs: Vec<Stub>, is_shared: bool) -> Option<Group> {
    let journal = hub.node.journal()?;
    if is_shared
        && !stubs.is_empty()
        && let Some(hub) = hub.me()
    {
        // For a process that finds it before all is handed on: it is over.
        durable.put(schema::EXPIRY.into(), 0_u32.to_le_bytes().into());
        durable.put(schema::GONE_AT.into(), 0_u64.to_le_bytes().into());
        let group = durable.submit(journal);
        hand_on(&hub, durable.queue, stubs);
        return Some(group);
    }
    hub.node.drops.add(Reason::SessionEnded, stubs.len() as u64);
    durable.change(Change::Drop(durable.queue));
    for stub in stubs {
        durable.change(Change::Settle(Whereabouts::At { sequence: stub.reference, len: stub.len }));
    }
    Some(durable.submit(journal))
}

/// Hands on what is stored, oldest first, a few messages at a time.
fn hand_on(hub: &Arc<Hub>, queue: QueueId, mut stubs: Vec<Stub>) {
    let rest = stubs.split_off(stubs.len().min(LOAD_MESSAGES_MAX));
    let want = |stub: &Stub| Want { sequence: stub.reference, queue, position: stub.position.0 };
    let wants = stubs.iter().map(want).collect();
    let taker = Arc::clone(hub);
    let Some(journal) = hub.node.journal() else { return };
    journal.store().load(wants, move |loaded| {
        if loaded.iter().any(|one| one.is_unreadable) {
            return hand_on(&taker, queue, [stubs, rest].concat()); // once more, when the store has waited a while
        }
        let mut batch = Batch::begin(&taker);
        let mut undeliverable = 0;
        for (stub, loaded) in stubs.iter().zip(loaded) {
            let message = loaded.message;
            let is_handed_on = message.is_some_and(|it| hand_on_one(&taker, &mut batch, stub, &it.note, &it.content));
            undeliverable += u64::from(!is_handed_on);
            let at = Whereabouts::At { sequence: stub.reference, len: stub.len };
            let (position, floor) = (stub.position.0, stub.position.0 + 1);
            batch.draft.change(Change::Gone { queue, position, floor, at });
        }
        taker.node.drops.add(Reason::SessionEnded, undeliverable);
        if rest.is_empty() {
            batch.draft.change(Change::Drop(queue));
        }
        batch.finish(&taker); // what moves on and what goes are one commit
        if !rest.is_empty() {
            hand_on(&taker, queue, rest);
        }
    });
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
    let publication = Publication::of_message(&message, item.qos, item.retain, batch.now_ms);
    !matches!(fanout::hand_on(hub, batch, Burst::one(&publication), &share), Delivered::Gone)
}
