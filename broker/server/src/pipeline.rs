//! The way of a publish: authorise, destinations, commit; then the proof goes back as its acknowledgement.
//!
//! Nothing here writes an acknowledgement. [`settle`] does, from what the notifier releases.

use std::{borrow::Cow, sync::Arc};

use primer::{
    drops::reason_of,
    journal::{Change, Kept, QueueId},
};
use primer_core::{
    commit::{Notifier, Outcome, Refused},
    message::NEVER_MS,
};
use primer_mqtt::{
    ReasonCode, Version, Violation,
    codec::packet::QoS,
    session::{Incoming, PublishToken},
};

use crate::{
    access::Identity,
    batch::{Batch, Burst, Publication},
    control, fanout,
    hub::{Hub, Later},
    ingress,
    limits::DELAY_MAX_S,
    moving::{Moved, Replaced},
    queues::enqueue,
    schema,
    session::{Cell, Delivered, State},
    votes::Votes,
};

/// The notifier of a connection: it counts for the publishes of one client.
pub(crate) type Acks = Notifier<PublishToken>;

/// A publish of a client, as the session machine hands it out.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Arrival<'s, 'a> {
    pub(crate) incoming: &'s Incoming<'a>,
    pub(crate) token: Option<PublishToken>,
}

/// Who publishes.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Publisher<'p> {
    pub(crate) cell: &'p Arc<Cell>,
    pub(crate) identity: &'p Identity,
    /// The session's queue in the store, if the session lasts.
    pub(crate) queue: Option<QueueId>,
}

/// Takes in publishes of a client that make a burst. Their answers come out of `acks`.
pub(crate) fn publish(
    hub: &Hub,
    batch: &mut Batch<'_>,
    acks: &mut Acks,
    from: &Publisher<'_>,
    arrivals: &[Arrival<'_, '_>],
) {
    let Publisher { cell, identity, queue } = *from;
    let mut ballot = None;
    for token in arrivals.iter().filter_map(|arrival| arrival.token) {
        let opened = acks.open(token);
        ballot.get_or_insert(opened);
    }
    let forwards: Vec<Cow<'_, [u8]>> = arrivals.iter().map(|arrival| forwarded(arrival.incoming)).collect();
    let both = arrivals.iter().zip(&forwards);
    let publications: Vec<Publication<'_>> =
        both.map(|(arrival, forward)| publication(batch.now_ms, from, arrival, forward)).collect();
    let Some(burst) = Burst::new(&publications) else { return };
    let mut votes = Votes::of(acks, ballot);
    if let Some(queue) = queue
        && burst.first().qos == QoS::ExactlyOnce
    {
        note_received(batch, queue, arrivals, &mut votes);
    }
    match admit(hub, identity, burst.first()) {
        Err(why) => {
            hub.node.drops.add(reason_of(why), burst.len() as u64);
            if why == Refused::NotAuthorized {
                tell_denied(hub, batch.now_ms, identity, burst.first());
            }
            if why == Refused::NotAuthorized && hub.options.drops_denied && !is_v5(cell) {
                return votes.close(hub, batch, burst); // nobody is to have it
            }
            (0..burst.len()).for_each(|index| votes.count(index, Delivered::Queued(Err(why))));
        }
        Ok(Destination::Now) if control::is_control(burst.first().topic) => {
            for (index, one) in publications.iter().enumerate() {
                let taken = control::take_in(hub, cell, identity, one);
                if let Err(why) = taken {
                    hub.node.drops.add(reason_of(why), 1);
                }
                votes.count(index, taken.map_or_else(|why| Delivered::Queued(Err(why)), |()| Delivered::Live));
            }
        }
        Ok(Destination::Now)
            if enqueue::is_queue(burst.first().topic)
                && publications.iter().any(|one| enqueue::shown_topic(one).is_some()) =>
        {
            push_shown(hub, batch, identity, &publications, &mut votes);
        }
        Ok(Destination::Now) => match hub.node.queues.ingress_of(burst.first().topic) {
            Some(ingress) => ingress::commit(hub, batch, ingress, &publications, (&mut votes, None)),
            None => commit(hub, batch, burst, &mut votes),
        },
        Ok(Destination::Later { seconds, topic }) if enqueue::is_queue(topic) => {
            // The queue itself delivers it later: so it is the queue that accepts it.
            let later: Vec<Publication<'_>> = publications.iter().map(|one| Publication { topic, ..*one }).collect();
            batch.next_burst();
            if let Some(burst) = Burst::new(&later) {
                let delay_ms = Some(u64::from(seconds) * 1000);
                enqueue::enqueue(hub, batch, burst, delay_ms, |index, delivered| votes.count_queue(index, delivered));
                batch.store(hub, burst);
            }
        }
        Ok(Destination::Later { seconds, topic }) => {
            let later: Vec<Publication<'_>> = publications.iter().map(|one| Publication { topic, ..*one }).collect();
            match hub.node.queues.ingress_of(topic) {
                Some(ingress) => ingress::commit(hub, batch, ingress, &later, (&mut votes, Some(seconds))),
                None => commit_now_or_later(hub, batch, &later, &mut votes, Some(seconds)),
            }
        }
    }
    votes.close(hub, batch, burst);
}

/// In the form of mosquitto's log, for those who look for that.
fn tell_denied(hub: &Hub, now_ms: u64, identity: &Identity, publication: &Publication<'_>) {
    let Publication { topic, qos, retain, .. } = publication;
    let (client, topic) = (identity.client_id.escape_debug(), topic.escape_debug());
    let (qos, retain) = (*qos as u8, u8::from(*retain));
    hub.denials
        .tell(now_ms, format_args!("PUBLISH from {client} (q{qos}, r{retain}, '{topic}'): it may not write there"));
}

fn is_v5(cell: &Cell) -> bool {
    cell.lock().machine.version().is_some_and(Version::is_v5)
}

/// Publications of one topic and QoS go to their destinations, or wait for their hour.
pub(crate) fn commit_now_or_later(
    hub: &Hub,
    batch: &mut Batch<'_>,
    publications: &[Publication<'_>],
    votes: &mut Votes<'_>,
    seconds: Option<u32>,
) {
    let Some(seconds) = seconds else {
        if let Some(burst) = Burst::new(publications) {
            commit(hub, batch, burst, votes);
        }
        return;
    };
    for (index, one) in publications.iter().enumerate() {
        let held = hold(hub, batch, one, seconds);
        votes.count(index, held);
    }
}

/// Publishes into a queue that say under which topics they are to be shown: who may not publish there may not say so.
fn push_shown(
    hub: &Hub,
    batch: &mut Batch<'_>,
    identity: &Identity,
    publications: &[Publication<'_>],
    votes: &mut Votes<'_>,
) {
    for (index, one) in publications.iter().enumerate() {
        let shown = Publication { topic: enqueue::shown_topic(one).unwrap_or(one.topic), ..*one };
        let delivered = if hub.decider.may_publish(identity, shown.topic, shown.qos, shown.retain) {
            enqueue::enqueue_shown(hub, batch, one.topic, &shown)
        } else {
            hub.node.drops.add(reason_of(Refused::NotAuthorized), 1);
            Delivered::Queued(Err(Refused::NotAuthorized))
        };
        votes.count_queue(index, delivered);
    }
}

/// Until its PUBREL a QoS 2 publish must be known as such, also to the next process.
fn note_received(batch: &mut Batch<'_>, queue: QueueId, arrivals: &[Arrival<'_, '_>], votes: &mut Votes<'_>) {
    for (index, token) in arrivals.iter().map(|arrival| arrival.token).enumerate() {
        if let Some(packet_id) = token.and_then(|token| token.exactly_once()) {
            let key = schema::by_packet_id(schema::INBOUND, packet_id);
            batch.draft.change(Change::Put { queue, key, value: Box::default() });
            votes.await_store(index);
        }
    }
}

fn publication<'p>(now_ms: u64, from: &Publisher<'p>, arrival: &Arrival<'p, '_>, forward: &'p [u8]) -> Publication<'p> {
    let cell = from.cell;
    let incoming = arrival.incoming;
    Publication {
        topic: &incoming.topic,
        forward,
        payload: incoming.payload,
        qos: incoming.qos,
        retain: incoming.retain,
        expires_at_ms: expires_at_ms(now_ms, incoming.expiry_s),
        expiry_s: incoming.expiry_s,
        from: Some(cell.key),
        publisher: Some(&cell.client_id),
        user: from.identity.username.as_ref(),
        shared_retain: false,
    }
}

/// Publishes a message of the broker's own: a delayed message, an event. Refusals are counted, nobody waits.
pub(crate) fn publish_own(hub: &Hub, batch: &mut Batch<'_>, publication: &Publication<'_>) {
    commit(hub, batch, Burst::one(publication), &mut Votes::of_nobody(&mut Acks::default()));
}

/// Publishes what a client has left behind, its will: it goes by the ingress as what the client publishes itself.
pub(crate) fn publish_left(hub: &Hub, batch: &mut Batch<'_>, publication: &Publication<'_>) {
    let mut nobody = Acks::default();
    let mut votes = Votes::of_nobody(&mut nobody);
    match hub.node.queues.ingress_of(publication.topic) {
        Some(ingress) => {
            let one = std::slice::from_ref(publication);
            ingress::commit(hub, batch, ingress, one, (&mut votes, None));
        }
        None => commit(hub, batch, Burst::one(publication), &mut votes),
    }
}

/// Publishes a message of the host program to the subscribers of MQTT and the retained store; its queues and its own
/// subscribers have it already.
pub(crate) fn publish_of_program(hub: &Hub, batch: &mut Batch<'_>, publication: &Publication<'_>) {
    let mut nobody = Acks::default();
    let mut votes = Votes::of_nobody(&mut nobody);
    if control::is_control(publication.topic) {
        return; // the program has the node itself
    }
    let Ok(destination) = destination(publication.topic) else { return };
    if let Destination::Later { seconds, topic } = destination {
        let later = Publication { topic, ..*publication };
        let _it_was_counted = hold(hub, batch, &later, seconds);
        return;
    }
    batch.next_burst();
    let burst = Burst::one(publication);
    if publication.retain {
        let kept = keep(hub, batch, publication);
        votes.store(kept);
    }
    fanout::route(hub, batch, burst, |index, delivered| votes.count(index, delivered));
    batch.store(hub, burst);
}

/// Every destination gets the burst and votes: the retained store, then the subscribers.
fn commit(hub: &Hub, batch: &mut Batch<'_>, burst: Burst<'_, '_>, votes: &mut Votes<'_>) {
    batch.next_burst();
    let first = burst.first();
    if first.topic.starts_with('$') {
        if enqueue::is_queue(first.topic) {
            enqueue::enqueue(hub, batch, burst, None, |index, delivered| votes.count_queue(index, delivered));
            batch.store(hub, burst);
            return;
        }
        if first.topic.starts_with(primer::REPLY) {
            answer_calls(hub, batch, burst, votes);
            return;
        }
        if control::is_control(first.topic) {
            return; // commands have somebody who gives them: a will, say, is nobody
        }
    }
    if first.retain {
        let kept = keep(hub, batch, burst.first());
        votes.store(kept);
    }
    fanout::route(hub, batch, burst, |index, delivered| votes.count(index, delivered));
    enqueue::enqueue(hub, batch, burst, None, |index, delivered| votes.count_queue(index, delivered));
    if hub.node.queues.has_subscribers() {
        for index in 0..burst.len() {
            let message = batch.own_message(burst, index);
            if hub.node.queues.deliver(&message) {
                votes.count(index, Delivered::Live);
            }
        }
    }
    batch.store(hub, burst);
}

/// Answers to calls of the host program.
fn answer_calls(hub: &Hub, batch: &mut Batch<'_>, burst: Burst<'_, '_>, votes: &mut Votes<'_>) {
    for index in 0..burst.len() {
        let message = batch.own_message(burst, index);
        if hub.node.queues.answer(&message) {
            votes.count(index, Delivered::Live);
        }
    }
}

/// Changes the retained store; what it keeps beyond the process is a message in a queue of its own.
fn keep(hub: &Hub, batch: &mut Batch<'_>, publication: &Publication<'_>) -> Delivered {
    let is_vital = publication.topic.starts_with("$SYS/"); // nobody but the broker publishes there
    match try_to_keep(hub, batch, publication, is_vital) {
        Ok(delivered) => delivered,
        Err(why) => {
            hub.node.drops.add(reason_of(why), 1);
            Delivered::Queued(Err(why))
        }
    }
}

fn try_to_keep(
    hub: &Hub,
    batch: &mut Batch<'_>,
    publication: &Publication<'_>,
    is_vital: bool,
) -> Result<Delivered, Refused> {
    let message = batch.message(publication);
    let journal = hub.node.journal().filter(|_| !is_vital);
    let is_stored = journal.is_some() && !publication.payload.is_empty();
    let mut kept = None;
    if let Some(journal) = journal.filter(|_| is_stored) {
        journal.admits()?;
        let (position, ticket) = (journal.retained.next(), batch.ticket(0));
        kept = Some(Kept::with(position, &ticket));
    }
    let position = kept.as_ref().map(|kept| kept.position);
    let qos = publication.qos;
    let mut moving = journal.is_some().then(|| hub.moving.lock());
    let published = hub.node.retained.publish(&hub.node.budget, &message, qos as u8, is_vital, kept)?;
    if published.has_deadline {
        hub.timers_changed.notify_one();
    }
    let Some(journal) = journal else { return Ok(Delivered::Queued(Ok(published.accepted))) };
    if let Some(position) = position {
        batch.own_destination(0, journal.retained.id, position, &schema::retained_note(qos));
    }
    let before = published.replaced;
    let was_kept = before.as_ref().and_then(|before| before.kept.clone());
    let has_changed = position.is_some() || was_kept.is_some();
    if let Some(was_kept) = was_kept {
        batch.draft.when_durable(was_kept.moves(journal.retained.id));
    }
    if let Some(moving) = moving.as_mut().filter(|_| has_changed) {
        let topic = publication.topic.into();
        let replaced = Replaced { topic, position, before, inherits: false };
        batch.moved.push(moving.add(Moved::Retained(replaced)));
    }
    Ok(if has_changed { Delivered::Stored } else { Delivered::Queued(Ok(published.accepted)) })
}

pub(crate) enum Destination<'a> {
    Now,
    Later { seconds: u32, topic: &'a str },
}

/// Who may publish where; and what the topic means.
fn admit<'a>(hub: &Hub, identity: &Identity, publication: &Publication<'a>) -> Result<Destination<'a>, Refused> {
    let Publication { topic, qos, retain, .. } = *publication;
    if hub.is_stopping() {
        return Err(Refused::Stopping); // what is taken in now would end with the process
    }
    let destination = destination(topic)?;
    let target = match &destination {
        Destination::Now => topic,
        Destination::Later { topic, .. } => topic,
    };
    if !hub.decider.may_publish(identity, target, qos, retain) {
        return Err(Refused::NotAuthorized);
    }
    Ok(destination)
}

/// What a topic names, as far as it can be published to.
pub(crate) fn destination(topic: &str) -> Result<Destination<'_>, Refused> {
    if topic.starts_with("$share/") {
        return Err(Refused::InvalidTopic);
    }
    let Some(rest) = topic.strip_prefix("$delayed/") else { return Ok(Destination::Now) };
    let (seconds, topic) = rest.split_once('/').ok_or(Refused::InvalidTopic)?;
    let seconds = seconds.parse().ok().filter(|seconds| *seconds <= DELAY_MAX_S).ok_or(Refused::InvalidTopic)?;
    if topic.is_empty() || ["$delayed/", "$share/", control::CONTROL].iter().any(|prefix| topic.starts_with(prefix)) {
        return Err(Refused::InvalidTopic);
    }
    Ok(Destination::Later { seconds, topic })
}

/// The topic that a publish is for, now or later.
pub(crate) fn target(topic: &str) -> &str {
    match destination(topic) {
        Ok(Destination::Later { topic, .. }) => topic,
        _ => topic,
    }
}

/// Whether a will may have this topic: a plain one, as a will has a delay of its own.
pub(crate) fn is_plain(topic: &str) -> bool {
    matches!(destination(topic), Ok(Destination::Now)) && !control::is_control(topic)
}

fn hold(hub: &Hub, batch: &mut Batch<'_>, publication: &Publication<'_>, seconds: u32) -> Delivered {
    match try_to_hold(hub, batch, publication, seconds) {
        Ok(delivered) => delivered,
        Err(why) => {
            hub.node.drops.add(reason_of(why), 1);
            Delivered::Queued(Err(why))
        }
    }
}

fn try_to_hold(
    hub: &Hub,
    batch: &mut Batch<'_>,
    publication: &Publication<'_>,
    seconds: u32,
) -> Result<Delivered, Refused> {
    batch.next_burst();
    let message = batch.message(publication).compact();
    let due_ms = batch.now_ms + u64::from(seconds) * 1000;
    let Publication { qos, retain, .. } = *publication;
    let Some(journal) = hub.node.journal() else {
        let accepted = hub.hold(due_ms, Later { message, qos, retain, kept: None })?;
        return Ok(Delivered::Queued(Ok(accepted)));
    };
    journal.admits()?;
    let kept = Kept::with(journal.delayed.next(), &batch.ticket(0));
    let position = kept.position;
    let _the_store_will_say = hub.hold(due_ms, Later { message, qos, retain, kept: Some(kept) })?;
    let note = schema::delayed_note(qos, retain, journal.to_unix_ms(due_ms).unwrap_or(0));
    batch.own_destination(0, journal.delayed.id, position, &note);
    batch.store(hub, Burst::one(publication));
    Ok(Delivered::Stored)
}

/// Writes what has been decided: the one place where a proof becomes an acknowledgement.
///
/// # Errors
/// A refusal that the client's protocol cannot express; the connection has to end. Everything is settled all the same.
pub(crate) fn settle(hub: &Hub, acks: &mut Acks, state: &mut State) -> Result<(), Violation> {
    let before = acks.len();
    let mut result = Ok(());
    while let Some(outcome) = acks.release() {
        match outcome {
            Outcome::Committed(proof) => state.machine.acknowledge(proof, &mut state.outbox),
            Outcome::Refused { token, why } => {
                if let (Some(durable), Some(packet_id)) = (&mut state.durable, token.exactly_once()) {
                    durable.remove(schema::by_packet_id(schema::INBOUND, packet_id));
                }
                let refused = state.machine.refuse(token, code_of(hub, why), &why.to_string(), &mut state.outbox);
                result = result.and(refused);
            }
        }
    }
    hub.counters.packets_sent.add((before - acks.len()) as u64);
    state.count_dropped(hub);
    result
}

fn forwarded<'a>(incoming: &Incoming<'a>) -> Cow<'a, [u8]> {
    if incoming.forwards_unchanged {
        return Cow::Borrowed(incoming.properties.as_bytes());
    }
    Cow::Owned(incoming.properties.forwardable().flatten().copied().collect())
}

/// When a message that comes now stops being worth a delivery.
pub(crate) fn expires_at_ms(now_ms: u64, expiry_s: Option<u32>) -> u64 {
    expiry_s.map_or(NEVER_MS, |seconds| now_ms + u64::from(seconds) * 1000)
}

fn code_of(hub: &Hub, why: Refused) -> ReasonCode {
    match why {
        Refused::ByRule(code) => ReasonCode(code),
        Refused::NotAuthorized => hub.denial(),
        Refused::InvalidTopic | Refused::Deleted => ReasonCode::TOPIC_NAME_INVALID,
        Refused::Stopping | Refused::DiskFailed => ReasonCode::IMPLEMENTATION_SPECIFIC,
        _ => ReasonCode::QUOTA_EXCEEDED,
    }
}
