//! Consuming from queues: a session with a connection has a consumer for each of its subscriptions to queues. What it
//! is given goes through the session's own backlog as other messages do, and takes its lease along: a PUBACK or PUBREC
//! settles it, and whatever ends the message otherwise gives it back to the queue.

use std::{
    collections::BTreeMap,
    task::{Context, Poll},
    time::Duration,
};

use primer::{ConsumeOptions, Consumer, Delivery};
use primer_core::{
    message::{Message, Parts},
    properties::{Property, put},
};
use primer_mqtt::{
    ReasonCode,
    codec::packet::{PacketId, QoS},
};

use super::address::{self, Address};
use crate::{
    access::Identity,
    delivery::{Ids, Queued},
    hub::Hub,
    limits::{PREFETCH_MAX, PUMP_BYTES_MAX},
    session::State,
    subscribe,
};

/// How long a message waits that was too large for a consumer.
const TOO_LARGE_PAUSE: Duration = Duration::from_secs(1);

/// A subscription to a queue.
#[derive(Debug)]
struct Subscription {
    /// As the client wrote it.
    whole: Box<str>,
    qos: QoS,
    id: Option<u32>,
    /// While somebody is connected.
    consumer: Option<Consumer>,
}

/// The subscriptions of a session to queues.
#[derive(Debug, Default)]
pub(crate) struct Consuming {
    subscriptions: Vec<Subscription>,
    /// Whose turn it is.
    turn: usize,
    /// There was more, and no room for it.
    has_more: bool,
    /// QoS 2 messages that the client has received and not completed, with their packet identifiers.
    received: BTreeMap<PacketId, Box<Delivery>>,
}

impl Consuming {
    /// Adds a subscription, or replaces the one of the same filter; it consumes when somebody is connected.
    pub(crate) fn add(&mut self, whole: &str, qos: QoS, id: Option<u32>) {
        match self.subscriptions.iter_mut().find(|known| *known.whole == *whole) {
            Some(known) => (known.qos, known.id) = (qos, id),
            None => self.subscriptions.push(Subscription { whole: whole.into(), qos, id, consumer: None }),
        }
    }
}

/// Whether a reader may consume from the queue of a subscription.
fn may_consume(hub: &Hub, reader: Option<&Identity>, whole: &str) -> bool {
    let is_asked = reader.filter(|_| hub.decider.restricts_reading());
    is_asked.is_none_or(|reader| subscribe::may_consume(hub, reader, whole))
}

/// Joins a group of a queue.
fn join(hub: &Hub, whole: &str, prefetch: u32) -> Result<Option<Consumer>, ReasonCode> {
    let Some(Address::Queue { name, group, .. }) = address::of(whole) else { return Ok(None) };
    let options = ConsumeOptions { keeps_leases: true, ..ConsumeOptions::prefetch(prefetch) };
    let joined = hub.node.queues.queue(name).and_then(|queue| queue.group(group)?.consume_with(options));
    joined.map(Some).map_err(|error| {
        tracing::warn!(filter = whole, %error, "a subscription to a queue was refused");
        ReasonCode::QUOTA_EXCEEDED
    })
}

impl State {
    /// Begins to consume what the session has subscribed to, where it does not yet.
    pub(crate) fn join_queues(&mut self, hub: &Hub) {
        let prefetch = self.prefetch();
        let reader = self.reader().cloned();
        let Some(consuming) = &mut self.consuming else { return };
        for subscription in consuming.subscriptions.iter_mut().filter(|one| one.consumer.is_none()) {
            if !may_consume(hub, reader.as_deref(), &subscription.whole) {
                continue;
            }
            if let Ok(consumer) = join(hub, &subscription.whole, prefetch) {
                subscription.consumer = consumer;
            }
        }
    }

    /// Rights have changed: leaves queues that may not be consumed from any more, and joins others. Who leaves one
    /// gives back what it has of all.
    pub(crate) fn join_queues_anew(&mut self, hub: &Hub) {
        let reader = self.reader().cloned();
        let Some(consuming) = &self.consuming else { return };
        let is_lost = |one: &Subscription| one.consumer.is_some() && !may_consume(hub, reader.as_deref(), &one.whole);
        if consuming.subscriptions.iter().any(is_lost) {
            self.leave_queues();
        }
        self.join_queues(hub);
    }

    /// Subscribes to a queue.
    ///
    /// # Errors
    /// The queue or the group cannot be made.
    pub(crate) fn subscribe_to_queue(
        &mut self,
        hub: &Hub,
        whole: &str,
        qos: QoS,
        id: Option<u32>,
    ) -> Result<(), ReasonCode> {
        let prefetch = self.prefetch();
        let consuming = self.consuming.get_or_insert_default();
        let is_known = consuming.subscriptions.iter().any(|known| *known.whole == *whole && known.consumer.is_some());
        let consumer = if is_known { None } else { join(hub, whole, prefetch)? };
        consuming.add(whole, qos, id);
        if let Some(known) = consuming.subscriptions.iter_mut().find(|known| *known.whole == *whole) {
            known.consumer = known.consumer.take().or(consumer);
        }
        Ok(())
    }

    /// Ends a subscription to a queue: what was given and not sent goes back; what was sent may still be acknowledged.
    /// Answers whether there was one.
    pub(crate) fn unsubscribe_from_queue(&mut self, whole: &str) -> bool {
        let Some(consuming) = &mut self.consuming else { return false };
        let before = consuming.subscriptions.len();
        consuming.subscriptions.retain(|known| *known.whole != *whole);
        consuming.subscriptions.len() < before
    }

    /// The client has received a QoS 2 message: it is done with at its PUBCOMP. Clients answer with PUBREC what their
    /// programs see at PUBREL only, and what ends in between was not handled by anybody.
    pub(crate) fn await_completion(&mut self, packet_id: PacketId, lease: Box<Delivery>) {
        self.consuming.get_or_insert_default().received.insert(packet_id, lease);
    }

    /// The client has completed the exchange of a QoS 2 message.
    pub(crate) fn complete(&mut self, packet_id: PacketId) {
        let received = self.consuming.as_mut().and_then(|consuming| consuming.received.remove(&packet_id));
        if let Some(lease) = received {
            settle(*lease, ReasonCode::SUCCESS);
        }
    }

    /// Nobody is connected any more: everything goes back to its queue, for other consumers.
    pub(crate) fn leave_queues(&mut self) {
        let Some(consuming) = &mut self.consuming else { return };
        consuming.subscriptions.iter_mut().for_each(|one| one.consumer = None);
        consuming.received.clear();
        let (sent, unsent) = self.queue.take_out_where(|item| item.lease.is_some());
        for lease in unsent.into_iter().rev().filter_map(|item| item.lease) {
            let _it_may_be_over = lease.release();
        }
        drop(sent); // newest last: the oldest is delivered first again
    }

    /// How many messages a queue may give at a time: as many as the client takes without an answer.
    fn prefetch(&self) -> u32 {
        let window = self.machine.credit() + self.machine.in_flight();
        u32::try_from(window).unwrap_or(u32::MAX).clamp(1, PREFETCH_MAX)
    }

    /// Takes what queues have for this session, as far as the client's window and the buffer allow; the subscriptions
    /// have their turns.
    pub(crate) fn consume(&mut self, hub: &Hub, cx: &Context<'_>, now_ms: u64) {
        let Some(mut consuming) = self.consuming.take() else { return };
        let prefetch = self.prefetch();
        consuming.has_more = false;
        let count = consuming.subscriptions.len();
        let mut idle = 0;
        while idle < count {
            if !self.may_consume() {
                consuming.has_more = true;
                break;
            }
            let turn = consuming.turn % count;
            consuming.turn = turn + 1;
            let Some(subscription) = consuming.subscriptions.get_mut(turn) else { break };
            match next(hub, subscription, prefetch, cx) {
                Some(item) => {
                    idle = 0;
                    let _it_has_room = self.queue.push(now_ms, item);
                    self.pump(hub, now_ms);
                }
                None => idle += 1,
            }
        }
        self.consuming = Some(consuming);
    }

    /// Whether there is more to be taken, and room for it now.
    pub(crate) fn can_consume(&self) -> bool {
        self.consuming.as_ref().is_some_and(|consuming| consuming.has_more) && self.may_consume()
    }

    fn may_consume(&self) -> bool {
        let holds = self.durable.as_ref().is_some_and(|durable| durable.waits_for().is_some());
        self.connected.is_some()
            && !holds
            && self.close.is_none()
            && !self.may_pump()
            && self.machine.credit() > 0
            && self.backlog() < PUMP_BYTES_MAX
    }
}

/// The next message of a subscription.
fn next(hub: &Hub, subscription: &mut Subscription, prefetch: u32, cx: &Context<'_>) -> Option<Queued> {
    let mut polled = subscription.consumer.as_mut()?.poll_next_delivery(cx);
    // Its queue was deleted, which the client does not know: it has subscribed to the next one of that name. A group
    // that was removed is not made again by those who were in it.
    while let Poll::Ready(None) = polled
        && subscription.consumer.as_ref().is_some_and(Consumer::is_deleted)
        && !hub.is_stopping()
    {
        subscription.consumer = join(hub, &subscription.whole, prefetch).ok().flatten();
        polled = subscription.consumer.as_mut()?.poll_next_delivery(cx);
    }
    match polled {
        Poll::Ready(Some(delivery)) => {
            let message = message(&delivery);
            let ids = Ids::from_slice(subscription.id.as_slice());
            let mut item = Queued::new(message, subscription.qos, false, ids, None);
            item.lease = Some(Box::new(delivery));
            Some(item)
        }
        Poll::Ready(None) => {
            subscription.consumer = None; // the group has ended, or the broker is stopping
            None
        }
        Poll::Pending => None,
    }
}

/// The message as it is sent: with what its consumer should know of it.
fn message(delivery: &Delivery) -> Message {
    let letter = delivery.dead_letter();
    if delivery.attempt() == 1 && letter.is_none() {
        return delivery.message().clone();
    }
    let mut properties = delivery.message().properties().to_vec();
    let mut add = |name: &str, value: &str| {
        let _names_and_numbers_are_short = put(&mut properties, Property::User(name, value));
    };
    if delivery.attempt() > 1 {
        add("primer-attempt", &delivery.attempt().to_string());
    }
    if let Some(letter) = letter {
        add("primer-dead-reason", letter.reason);
        add("primer-dead-queue", &letter.queue);
        add("primer-dead-group", &letter.group);
        add("primer-dead-deliveries", &letter.deliveries.to_string());
        add("primer-dead-at", &letter.died_unix_ms.to_string());
    }
    let message = delivery.message();
    Message::new(&Parts {
        topic: message.topic(),
        properties: &properties,
        payload: message.payload(),
        expires_at_ms: message.expires_at_ms(),
    })
}

/// A consumer has answered: the message is done with, goes to the dead letters if its payload was no good (0x99), and
/// back to the queue for any other error.
pub(crate) fn settle(lease: Delivery, reason: ReasonCode) {
    let said = match reason {
        ReasonCode::PAYLOAD_FORMAT_INVALID => lease.reject().map(drop),
        reason if reason.is_error() => drop_unanswered(lease),
        _ => lease.ack().map(drop),
    };
    if said.is_err() {
        tracing::debug!("a consumer answered after its lease was over");
    }
}

/// A consumer does not take packets so large. Others may, and have their chance: to be given it again at once, and
/// again, would be all that this one does, and the end of its deliveries.
pub(crate) fn pass_on(lease: Delivery) {
    let _it_may_be_over = lease.nack(TOO_LARGE_PAUSE);
}

/// It is delivered again, as the queue's definition says.
fn drop_unanswered(lease: Delivery) -> Result<(), primer::LeaseOver> {
    drop(lease);
    Ok(())
}
