//! The way of a publish: authorise, destinations, commit; then the proof goes back as its acknowledgement.
//!
//! Nothing here writes an acknowledgement. [`settle`] does, from what the notifier releases.

use std::borrow::Cow;

use primer::drops::Reason;
use primer_core::{
    commit::{Accepted, Ballot, Notifier, Outcome, Refused},
    message::NEVER_MS,
};
use primer_mqtt::{
    ReasonCode, Violation,
    session::{Incoming, PublishToken},
};

use crate::{
    access::Identity,
    batch::{Batch, Burst, Publication},
    fanout,
    hub::{Hub, Later},
    limits::DELAY_MAX_S,
    session::{Cell, Delivered, State},
};

/// The notifier of a connection: it counts for the publishes of one client.
pub(crate) type Acks = Notifier<PublishToken>;

/// A publish of a client, as the session machine hands it out.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Arrival<'s, 'a> {
    pub(crate) incoming: &'s Incoming<'a>,
    pub(crate) token: Option<PublishToken>,
}

/// Takes in publishes of a client that make a burst. Their answers come out of `acks`.
pub(crate) fn publish(
    hub: &Hub,
    batch: &mut Batch<'_>,
    acks: &mut Acks,
    (cell, identity): (&Cell, &Identity),
    arrivals: &[Arrival<'_, '_>],
) {
    let mut ballot = None;
    for token in arrivals.iter().filter_map(|arrival| arrival.token) {
        let opened = acks.open(token);
        ballot.get_or_insert(opened);
    }
    let forwards: Vec<Cow<'_, [u8]>> = arrivals.iter().map(|arrival| forwarded(arrival.incoming)).collect();
    let both = arrivals.iter().zip(&forwards);
    let publications: Vec<Publication<'_>> =
        both.map(|(arrival, forward)| publication(batch.now_ms, cell, arrival, forward)).collect();
    let Some(burst) = Burst::new(&publications) else { return };
    let mut votes = Votes { acks, first: ballot };
    match admit(hub, identity, burst.first()) {
        Err(why) => {
            hub.node.drops.add(reason_of(why), burst.len() as u64);
            (0..burst.len()).for_each(|index| votes.count(index, Delivered::Queued(Err(why))));
        }
        Ok(Destination::Now) => commit(hub, batch, burst, &mut votes),
        Ok(Destination::Later { seconds, topic }) => {
            for (index, one) in publications.iter().enumerate() {
                let later = Publication { topic, ..*one };
                votes.count(index, Delivered::Queued(hold(hub, batch, &later, seconds)));
            }
        }
    }
    votes.close(burst.len());
}

fn publication<'p>(now_ms: u64, cell: &Cell, arrival: &Arrival<'p, '_>, forward: &'p [u8]) -> Publication<'p> {
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
        shared_retain: false,
    }
}

/// Publishes a message of the broker's own: a will, a delayed message, an event. Refusals are counted, nobody waits.
pub(crate) fn publish_own(hub: &Hub, batch: &mut Batch<'_>, publication: &Publication<'_>) {
    commit(hub, batch, Burst::one(publication), &mut Votes { acks: &mut Acks::default(), first: None });
}

/// Every destination gets the burst and votes: the retained store, then the subscribers.
fn commit(hub: &Hub, batch: &mut Batch<'_>, burst: Burst<'_, '_>, votes: &mut Votes<'_>) {
    if burst.first().retain {
        votes.store(keep(hub, batch, burst.first()));
    }
    fanout::route(hub, batch, burst, |index, delivered| votes.count(index, delivered));
}

fn keep(hub: &Hub, batch: &mut Batch<'_>, publication: &Publication<'_>) -> Result<Accepted, Refused> {
    let message = batch.message(publication);
    let is_vital = publication.topic.starts_with("$SYS/"); // nobody but the broker publishes there
    let answer = hub.node.retained.publish(&hub.node.budget, &message, publication.qos as u8, is_vital);
    match answer {
        Ok((accepted, has_deadline)) => {
            if has_deadline {
                hub.timers_changed.notify_one();
            }
            Ok(accepted)
        }
        Err(why) => {
            hub.node.drops.add(reason_of(why), 1);
            Err(why)
        }
    }
}

/// Where votes go: to the ballots of QoS 1 or 2 publishes, which were opened one after another, else nowhere.
struct Votes<'v> {
    acks: &'v mut Acks,
    first: Option<Ballot>,
}

impl Votes<'_> {
    /// What one destination says of the publication `index` of the burst.
    fn count(&mut self, index: usize, delivered: Delivered) {
        let Some(first) = self.first else { return };
        let ballot = first.after(index);
        match delivered {
            Delivered::Gone => {}
            Delivered::Live => self.acks.reach(ballot),
            Delivered::Queued(answer) => self.acks.vote(ballot, answer),
        }
    }

    /// The retained store is not a subscriber: its acceptance does not make the publish a reached one.
    fn store(&mut self, answer: Result<Accepted, Refused>) {
        let Some(ballot) = self.first else { return };
        self.acks.vote_silently(ballot, answer);
    }

    /// All destinations of the burst have been asked.
    fn close(&mut self, publications: usize) {
        let Some(first) = self.first else { return };
        (0..publications).for_each(|index| self.acks.close(first.after(index)));
    }
}

enum Destination<'a> {
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
fn destination(topic: &str) -> Result<Destination<'_>, Refused> {
    if topic.starts_with("$share/") {
        return Err(Refused::InvalidTopic);
    }
    let Some(rest) = topic.strip_prefix("$delayed/") else { return Ok(Destination::Now) };
    let (seconds, topic) = rest.split_once('/').ok_or(Refused::InvalidTopic)?;
    let seconds = seconds.parse().ok().filter(|seconds| *seconds <= DELAY_MAX_S).ok_or(Refused::InvalidTopic)?;
    if topic.is_empty() || topic.starts_with("$delayed/") || topic.starts_with("$share/") {
        return Err(Refused::InvalidTopic);
    }
    Ok(Destination::Later { seconds, topic })
}

/// Whether a will may have this topic: a plain one, as a will has a delay of its own.
pub(crate) fn is_plain(topic: &str) -> bool {
    matches!(destination(topic), Ok(Destination::Now))
}

fn hold(hub: &Hub, batch: &mut Batch<'_>, publication: &Publication<'_>, seconds: u32) -> Result<Accepted, Refused> {
    let message = batch.message(publication).compact();
    let later = Later { message, qos: publication.qos, retain: publication.retain };
    let answer = hub.hold(batch.now_ms + u64::from(seconds) * 1000, later);
    if let Err(why) = answer {
        hub.node.drops.add(reason_of(why), 1);
    }
    answer
}

/// Writes what has been decided: the one place where a proof becomes an acknowledgement.
///
/// # Errors
/// A refusal that the client's protocol cannot express; the connection has to end. Everything is settled all the same.
pub(crate) fn settle(hub: &Hub, acks: &mut Acks, state: &mut State) -> Result<(), Violation> {
    hub.counters.packets_sent.add(acks.len() as u64);
    let mut result = Ok(());
    while let Some(outcome) = acks.release() {
        match outcome {
            Outcome::Committed(proof) => state.machine.acknowledge(proof, &mut state.outbox),
            Outcome::Refused { token, why } => {
                let refused = state.machine.refuse(token, code_of(why), &why.to_string(), &mut state.outbox);
                result = result.and(refused);
            }
        }
    }
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

fn code_of(why: Refused) -> ReasonCode {
    match why {
        Refused::NotAuthorized => ReasonCode::NOT_AUTHORIZED,
        Refused::InvalidTopic => ReasonCode::TOPIC_NAME_INVALID,
        Refused::Stopping => ReasonCode::IMPLEMENTATION_SPECIFIC,
        _ => ReasonCode::QUOTA_EXCEEDED,
    }
}

fn reason_of(why: Refused) -> Reason {
    match why {
        Refused::QueueFull => Reason::QueueFull,
        Refused::MemoryFull => Reason::MemoryFull,
        Refused::NotAuthorized => Reason::NotAuthorized,
        Refused::InvalidTopic => Reason::InvalidTopic,
        Refused::Stopping => Reason::Stopping,
        _ => Reason::StoreFull,
    }
}
