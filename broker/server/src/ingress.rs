//! What the node's ingress (mapping rules) makes of publishes that come from clients: they go on as they came, or as
//! something else, with more beside them, or not at all. All of that is a destination of the publish, and its
//! acknowledgement waits for it.

use std::sync::Arc;

use primer::{Admission, Arriving, Ingress, Message, Product, drops::Reason};
use primer_core::{commit::Refused, message::NEVER_MS};
use primer_mqtt::codec::packet::QoS;

use crate::{
    batch::{Batch, Publication},
    hub::Hub,
    moving::Moved,
    pipeline::{self, Destination},
    queues::enqueue,
    session::Delivered,
    votes::Votes,
};

/// Publications of one topic go by the ingress, and on from there; `seconds` later, if that is said.
pub(crate) fn commit(
    hub: &Hub,
    batch: &mut Batch<'_>,
    ingress: &Arc<dyn Ingress>,
    publications: &[Publication<'_>],
    (votes, seconds): (&mut Votes<'_>, Option<u32>),
) {
    // Those that go on as they came do so together.
    let mut passed = 0;
    for (index, one) in publications.iter().enumerate() {
        let admission = ingress.admit(&arriving(one));
        if matches!(admission, Admission::Pass) {
            continue;
        }
        go_on(hub, batch, publications, passed..index, votes, seconds);
        passed = index + 1;
        votes.base = index;
        match admission {
            Admission::Pass => {}
            Admission::Refused(why) => refuse(hub, votes, why),
            Admission::Changed { message, products, draft, undo } => {
                let refused = votes.refused;
                if is_any_full(hub, message.as_ref(), &products) {
                    refuse(hub, votes, Refused::QueueFull); // nothing of it is anywhere
                } else {
                    if message.is_none() {
                        hub.node.drops.add(Reason::DroppedByRule, 1);
                        votes.count(0, Delivered::Live); // it was handled
                    }
                    let goes_on = message.map(|message| (Product { queue: None, message }, seconds));
                    // Queues first: they may still refuse, and then the publisher sends all of it again.
                    let (queued, shown): (Vec<Product>, Vec<Product>) =
                        products.into_iter().partition(|product| product.queue.is_some());
                    let all = queued.into_iter().map(|one| (one, None)).chain(goes_on);
                    for (product, seconds) in all.chain(shown.into_iter().map(|one| (one, None))) {
                        produce(hub, batch, one, &product, votes, seconds);
                    }
                }
                if votes.refused > refused {
                    undo.run();
                } else {
                    batch.draft.append(draft);
                    if !undo.is_nothing() && hub.node.journal().is_some() {
                        batch.moves(hub, Moved::Remembered(undo));
                    }
                }
            }
        }
    }
    go_on(hub, batch, publications, passed..publications.len(), votes, seconds);
    votes.base = 0;
}

/// Whether a queue that any of this goes to, by its name or by its topic, has no room for it.
fn is_any_full(hub: &Hub, message: Option<&Message>, products: &[Product]) -> bool {
    let node = &hub.node.queues;
    let goes_on = message.map(|message| (&None, message));
    let all = goes_on.into_iter().chain(products.iter().map(|Product { queue, message }| (queue, message)));
    all.into_iter().any(|(queue, message)| {
        let queues = match queue {
            Some(name) => node.find_queue(name).into_iter().collect(),
            None => message.topic_name().and_then(|topic| node.queues_of(topic).ok()).unwrap_or_default(),
        };
        queues.iter().any(|queue| queue.would_refuse(message.len()))
    })
}

fn go_on(
    hub: &Hub,
    batch: &mut Batch<'_>,
    publications: &[Publication<'_>],
    range: std::ops::Range<usize>,
    votes: &mut Votes<'_>,
    seconds: Option<u32>,
) {
    votes.base = range.start;
    pipeline::commit_now_or_later(hub, batch, &publications[range], votes, seconds);
}

fn arriving<'a>(publication: &Publication<'a>) -> Arriving<'a> {
    Arriving {
        topic: publication.topic,
        properties: publication.forward,
        payload: publication.payload,
        qos: publication.qos as u8,
        retain: publication.retain,
        expiry_s: publication.expiry_s,
        client: publication.publisher,
        user: publication.user,
    }
}

fn refuse(hub: &Hub, votes: &mut Votes<'_>, why: Refused) {
    hub.node.drops.add(primer::drops::reason_of(why), 1);
    votes.count(0, Delivered::Queued(Err(why)));
}

/// A message that a rule has made goes to its topic or its queue.
fn produce(
    hub: &Hub,
    batch: &mut Batch<'_>,
    source: &Publication<'_>,
    product: &Product,
    votes: &mut Votes<'_>,
    seconds: Option<u32>,
) {
    let Product { queue, message } = product;
    if let Some(queue) = queue {
        let delivered = enqueue::enqueue_product(hub, batch, queue, message);
        return votes.count_queue(0, delivered);
    }
    let Ok(built) = message.stored(batch.now_ms, "") else { return refuse(hub, votes, Refused::InvalidTopic) };
    let (topic, seconds) = match pipeline::destination(built.topic()) {
        Ok(Destination::Now) => (built.topic(), seconds),
        Ok(Destination::Later { seconds: later, topic }) => (topic, Some(seconds.unwrap_or(0).saturating_add(later))),
        Err(why) => return refuse(hub, votes, why),
    };
    let publication = Publication {
        topic,
        from: source.from,
        publisher: source.publisher,
        user: source.user,
        ..of_program(&built, message, batch.now_ms)
    };
    pipeline::commit_now_or_later(hub, batch, &[publication], votes, seconds);
}

/// A message that did not come in a packet, as a publication.
pub(crate) fn of_program<'a>(
    built: &'a primer_core::message::Message,
    message: &Message,
    now_ms: u64,
) -> Publication<'a> {
    let sent = message.sent();
    let publication = Publication::of_message(built, qos_of(sent.qos), sent.retain, now_ms);
    let expiry_s = publication.expiry_s.filter(|_| built.expires_at_ms() != NEVER_MS);
    Publication { expiry_s, ..publication }
}

/// A quality of service by its number.
pub(crate) const fn qos_of(qos: u8) -> QoS {
    match qos {
        0 => QoS::AtMostOnce,
        1 => QoS::AtLeastOnce,
        _ => QoS::ExactlyOnce,
    }
}
