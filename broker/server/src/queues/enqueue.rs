//! Publishing into queues: `$queue/NAME`, and queues that are bound to the topic. A queue is a destination as a session
//! is: the publish is acknowledged when it has accepted, and with a store, when that is durable.

use std::sync::Arc;

use primer::{DeadLetter, Message, Offered, Offering, Queue, Sent, drops::reason_of};
use primer_core::{commit::Refused, properties::Properties, topic};

use super::address::QUEUE;
use crate::{
    batch::{Batch, Burst, Publication},
    hub::Hub,
    ingress,
    session::Delivered,
};

/// How often a queue is looked for that is being deleted.
const TRIES_MAX: usize = 1_000;

/// The user property by which a publisher says under which topic a message is to be shown.
const TOPIC: &str = "primer-topic";

/// The dead letters of sessions are those of a queue of this name.
const SESSIONS: &str = "sessions";

/// Whether a topic names a queue: then the publish goes there and nowhere else.
pub(crate) fn is_queue(topic: &str) -> bool {
    topic.starts_with(QUEUE) || topic.starts_with(primer::name::DEAD)
}

/// Gives a burst to the queues of its topic, not to be delivered before `delay_ms` if there is one. `answer` hears what
/// became of each publication at each of them.
pub(crate) fn enqueue(
    hub: &Hub,
    batch: &mut Batch<'_>,
    burst: Burst<'_, '_>,
    delay_ms: Option<u64>,
    mut answer: impl FnMut(usize, Delivered),
) {
    let topic = burst.first().topic;
    let queues = match hub.node.queues.queues_of(topic) {
        Ok(queues) => queues,
        Err(error) => {
            tracing::debug!(topic, %error, "a publish names a queue that cannot be");
            let why = Refused::InvalidTopic;
            hub.node.drops.add(reason_of(why), burst.len() as u64);
            (0..burst.len()).for_each(|index| answer(index, Delivered::Queued(Err(why))));
            return;
        }
    };
    for mut queue in queues {
        for index in 0..burst.len() {
            let mut delivered = offer(hub, batch, burst, index, &queue, delay_ms);
            if let Err(Refused::Deleted) = delivered {
                // Since it was looked up: a queue that is bound is no destination any more, one that is named is made.
                let Some(next) = anew(hub, topic) else { break };
                queue = next;
                delivered = offer(hub, batch, burst, index, &queue, delay_ms);
            }
            if let Err(why) = &delivered {
                hub.node.drops.add(reason_of(*why), 1);
            }
            answer(index, delivered.unwrap_or_else(|why| Delivered::Queued(Err(why))));
        }
    }
}

/// The queue that a topic names, after it was deleted.
fn anew(hub: &Hub, topic: &str) -> Option<Queue> {
    let mut last = None;
    for _ in 0..TRIES_MAX {
        last = hub.node.queues.queues_of(topic).ok().filter(|_| is_queue(topic)).and_then(|mut queues| queues.pop());
        if last.as_ref().is_none_or(|queue| !queue.is_deleted()) {
            break;
        }
        std::thread::yield_now(); // who deletes it is about to take its name away
    }
    last
}

/// The topic that a message is to be shown under, which its publisher may say where it publishes to the queue itself.
/// What is no plain topic counts as not said.
pub(crate) fn shown_topic<'a>(publication: &Publication<'a>) -> Option<&'a str> {
    let topic = Properties::of(publication.forward).user(TOPIC)?;
    (topic::check_topic(topic).is_ok() && !topic.starts_with('$')).then_some(topic)
}

/// Gives one message to the queue of `address`, to be shown under its own topic.
pub(crate) fn enqueue_shown(
    hub: &Hub,
    batch: &mut Batch<'_>,
    address: &str,
    publication: &Publication<'_>,
) -> Delivered {
    batch.next_burst();
    let burst = Burst::one(publication);
    let queue = hub.node.queues.queues_of(address).ok().and_then(|mut queues| queues.pop());
    let offered = queue.ok_or(Refused::InvalidTopic).and_then(|queue| offer(hub, batch, burst, 0, &queue, None));
    batch.store(hub, burst);
    offered.unwrap_or_else(|why| {
        hub.node.drops.add(reason_of(why), 1);
        Delivered::Queued(Err(why))
    })
}

/// Gives a message that a rule has made to the queue of that name.
pub(crate) fn enqueue_product(hub: &Hub, batch: &mut Batch<'_>, queue: &str, message: &Message) -> Delivered {
    let offered = offer_product(hub, batch, queue, message);
    offered.unwrap_or_else(|why| {
        hub.node.drops.add(reason_of(why), 1);
        Delivered::Queued(Err(why))
    })
}

fn offer_product(hub: &Hub, batch: &mut Batch<'_>, queue: &str, message: &Message) -> Result<Delivered, Refused> {
    batch.next_burst();
    let queue = hub.node.queues.queue(queue).map_err(|_| Refused::InvalidTopic)?;
    let default_topic = format!("{QUEUE}{}", queue.name());
    let built = message.stored(batch.now_ms, &default_topic).map_err(|_| Refused::InvalidTopic)?;
    let publication = ingress::of_program(&built, message, batch.now_ms);
    let ticket = hub.node.journal().map(|_| batch.ticket(0));
    let offered = queue.offer_message(message, &built, ticket.as_ref());
    let delivered = offered.map(|offered| take(batch, 0, offered));
    batch.store(hub, Burst::one(&publication));
    delivered
}

/// What a queue says of a message, for who counts.
fn take(batch: &mut Batch<'_>, index: usize, offered: Offered) -> Delivered {
    match offered {
        Offered::Accepted(accepted) => Delivered::Queued(Ok(accepted)),
        // The batch is submitted, or was, after what the duplicate is one of.
        Offered::WithLast(_accepted) => Delivered::Stored,
        Offered::ToStore { queue, position, note, at_once } => {
            batch.add_destination(index, queue, position, &note);
            at_once.map_or(Delivered::Stored, |accepted| Delivered::Queued(Ok(accepted)))
        }
    }
}

fn offer(
    hub: &Hub,
    batch: &mut Batch<'_>,
    burst: Burst<'_, '_>,
    index: usize,
    queue: &Queue,
    delay_ms: Option<u64>,
) -> Result<Delivered, Refused> {
    give(hub, batch, burst, index, queue, (delay_ms, None))
}

/// What a session has no room for goes to the dead letters of the sessions, in the name of its client.
pub(crate) fn bury(
    hub: &Hub,
    batch: &mut Batch<'_>,
    burst: Burst<'_, '_>,
    index: usize,
    client_id: &Arc<str>,
) -> Result<Delivered, Refused> {
    let letter = DeadLetter {
        queue: SESSIONS.into(),
        group: Arc::clone(client_id),
        reason: "overflow",
        deliveries: 0,
        died_unix_ms: hub.node.clock.unix_ms(),
    };
    let dead = hub.node.queues.dead_letters(SESSIONS).map_err(|_| Refused::QueueFull)?;
    give(hub, batch, burst, index, &dead, (None, Some(letter)))
}

fn give(
    hub: &Hub,
    batch: &mut Batch<'_>,
    burst: Burst<'_, '_>,
    index: usize,
    queue: &Queue,
    (delay_ms, letter): (Option<u64>, Option<DeadLetter>),
) -> Result<Delivered, Refused> {
    let Publication { publisher, user, qos, retain, .. } = *burst.get(index);
    let sent = Sent { qos: qos as u8, retain, hops: 0 };
    let message = batch.own_message(burst, index);
    let ticket = hub.node.journal().map(|_| batch.ticket(index));
    let how = Offering { publisher, user, sent, ticket: ticket.as_ref(), delay_ms, letter };
    let offered = queue.offer(&message, how)?;
    Ok(take(batch, index, offered))
}
