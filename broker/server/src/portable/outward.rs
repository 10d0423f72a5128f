//! From the store to the lines of a dump.

use std::{borrow::Cow, collections::BTreeMap};

use primer::journal::{DELAYED, QueueState, RETAINED, State, Stored, queues};
use primer_mqtt::{codec::properties, session::SESSION_NEVER_EXPIRES};

use super::{
    format::{Base64, Destination, Message, Properties, Session, Share, Subscription, Will},
    queue_outward,
};
use crate::{delivery::Queued, schema};

/// A session of the store, and how many of its entries make no sense. `None`: the queue is no session.
pub(super) fn session(queue: &QueueState) -> Option<(Session<'static>, u64)> {
    let client_id = client_id(queue)?.to_owned();
    let number = |key: &[u8]| queue.entries.get(key).map(|value| schema::Reader(value));
    let expiry_s = number(schema::EXPIRY).and_then(|mut value| value.u32()).unwrap_or(SESSION_NEVER_EXPIRES);
    let mut session = Session {
        client_id,
        expiry_s: (expiry_s != SESSION_NEVER_EXPIRES).then_some(expiry_s),
        gone_unix_ms: number(schema::GONE_AT).and_then(|mut value| value.u64()),
        subscriptions: Vec::new(),
        will: None,
        received: Vec::new(),
        released: Vec::new(),
    };
    let mut left_out = 0;
    let mut released: BTreeMap<u64, u16> = BTreeMap::new();
    for (key, value) in &queue.entries {
        let taken = match (&**key, key.first()) {
            (schema::EXPIRY | schema::GONE_AT, _) => Some(()),
            (schema::WILL, _) => will(value).map(|will| session.will = Some(will)),
            (_, Some(&schema::FILTER)) => subscription(&key[1..], value).map(|one| session.subscriptions.push(one)),
            (_, Some(&schema::INBOUND)) => schema::packet_id_of(key).map(|id| session.received.push(id.get())),
            (_, Some(&schema::OUTBOUND)) => schema::packet_id_of(key).map(|id| {
                released.insert(schema::Reader(value).u64().unwrap_or(0), id.get());
            }),
            _ => None,
        };
        left_out += u64::from(taken.is_none());
    }
    session.received.sort_unstable(); // the store has them by their lower byte
    session.released = released.into_values().collect();
    Some((session, left_out))
}

pub(super) fn client_id(queue: &QueueState) -> Option<&str> {
    std::str::from_utf8(queue.name.strip_prefix(&[schema::SESSION])?).ok()
}

fn subscription(filter: &[u8], value: &[u8]) -> Option<Subscription> {
    let filter = std::str::from_utf8(filter).ok()?.to_owned();
    let (options, id) = schema::read_subscription(value)?;
    Some(Subscription {
        filter,
        qos: options.qos as u8,
        no_local: options.no_local,
        retain_as_published: options.retain_as_published,
        retain_handling: options.retain_handling as u8,
        id,
    })
}

fn will(value: &[u8]) -> Option<Will<'static>> {
    let (terms, message) = schema::read_will(value)?;
    let properties = properties(message.properties())?;
    Some(Will {
        topic: message.topic().to_owned(),
        payload: Base64(Cow::Owned(message.payload().to_vec())),
        properties: properties.into_owned(),
        qos: terms.qos as u8,
        retain: terms.retain,
        delay_s: terms.delay_s,
        expiry_s: terms.expiry_s,
    })
}

/// One of a record's destinations. `None`: it makes no sense.
pub(super) fn destination(state: &State, stored: &Stored<'_>) -> Option<Destination> {
    let queue = state.queue(stored.queue)?;
    let position = stored.position;
    match &*queue.name {
        RETAINED => {
            let qos = stored.note.first().copied().and_then(schema::qos_of)? as u8;
            Some(Destination::Retained { position, qos })
        }
        DELAYED => {
            let (qos, retain, due_unix_ms) = schema::read_delayed_note(stored.note)?;
            Some(Destination::Delayed { position, qos: qos as u8, retain, due_unix_ms })
        }
        [queues::QUEUE, ..] => queue_outward::place(queue_outward::name(queue)?, stored).map(Destination::Queue),
        _ => {
            let client_id = client_id(queue)?.to_owned();
            let mut item = Queued::blank();
            schema::read_note(stored.note, &mut item)?;
            let share = item.share.as_deref();
            Some(Destination::Session {
                client_id,
                position,
                qos: item.qos as u8,
                retain: item.retain,
                ids: item.ids.as_slice().to_vec(),
                share: share.map(|share| Share { group: (*share.group).into(), filter: (*share.filter).into() }),
                packet_id: queue.leases.get(&position).copied(),
            })
        }
    }
}

/// A message, as its record has it. `None`: it makes no sense.
pub(super) fn message(
    sequence: u64,
    expires_unix_ms: Option<u64>,
    content: &[u8],
    to: Vec<Destination>,
) -> Option<Message<'_>> {
    let parts = schema::parts(content, primer_core::message::NEVER_MS)?;
    Some(Message {
        sequence,
        topic: Cow::Borrowed(parts.topic),
        payload: Base64(Cow::Borrowed(parts.payload)),
        properties: properties(parts.properties)?,
        expires_unix_ms,
        to,
    })
}

fn properties(bytes: &[u8]) -> Option<Properties<'_>> {
    let all = properties::Properties::of_message(bytes).ok()?;
    Some(Properties {
        payload_format: all.payload_format(),
        content_type: all.content_type().map(Cow::Borrowed),
        response_topic: all.response_topic().map(Cow::Borrowed),
        correlation_data: all.correlation_data().map(|data| Base64(Cow::Borrowed(data))),
        user: all.user_properties().map(|(name, value)| (Cow::Borrowed(name), Cow::Borrowed(value))).collect(),
    })
}

impl Properties<'_> {
    fn into_owned(self) -> Properties<'static> {
        let text = |text: Cow<'_, str>| Cow::Owned(text.into_owned());
        Properties {
            payload_format: self.payload_format,
            content_type: self.content_type.map(text),
            response_topic: self.response_topic.map(text),
            correlation_data: self.correlation_data.map(|data| Base64(Cow::Owned(data.0.into_owned()))),
            user: self.user.into_iter().map(|(name, value)| (text(name), text(value))).collect(),
        }
    }
}

/// Puts the destinations of a record together again: a store shows one after another.
#[derive(Default)]
pub(super) struct Gathering {
    sequence: u64,
    expires_unix_ms: Option<u64>,
    content: Vec<u8>,
    to: Vec<Destination>,
    /// Destinations and records that make no sense.
    pub(super) left_out: u64,
}

impl Gathering {
    /// Takes one destination in; `whole` gets the record before it if that is complete now.
    pub(super) fn take(&mut self, state: &State, stored: &Stored<'_>, whole: &mut dyn FnMut(Message<'_>)) {
        if stored.sequence != self.sequence {
            self.end(whole);
            self.sequence = stored.sequence;
            self.expires_unix_ms = stored.expires_unix_ms;
            self.content.clear();
            self.content.extend_from_slice(stored.content);
        }
        match destination(state, stored) {
            Some(destination) => self.to.push(destination),
            None => self.left_out += 1,
        }
    }

    /// Gives the last record away.
    pub(super) fn end(&mut self, whole: &mut dyn FnMut(Message<'_>)) {
        let to = std::mem::take(&mut self.to);
        if to.is_empty() {
            return;
        }
        match message(self.sequence, self.expires_unix_ms, &self.content, to) {
            Some(message) => whole(message),
            None => self.left_out += 1,
        }
    }
}
