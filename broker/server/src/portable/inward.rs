//! From the lines of a dump to a new store.

use std::{
    borrow::Cow,
    collections::{HashMap, HashSet, VecDeque},
    sync::Arc,
    task::{Wake, Waker},
    thread::Thread,
};

use primer::journal::{Change, DELAYED, Destinations, Draft, Group, QueueId, RETAINED, Store, Ticket, Whereabouts};
use primer_core::{
    message::{self, Parts},
    topic,
};
use primer_mqtt::{
    codec::{
        packet::{PacketId, QoS, RetainHandling, SubscribeOptions},
        properties::{self, PropertiesBuf, Property},
    },
    session::SESSION_NEVER_EXPIRES,
};

use super::{
    PortableError,
    format::{Destination, Message, Properties, Session, Subscription, Will},
    queue_inward,
};
use crate::{
    delivery,
    schema::{self, WillTerms},
};

/// Bytes and changes that are submitted at once, and how many of such may be on their way to the disk.
const DRAFT_BYTES: usize = 256 << 10;
const DRAFT_CHANGES: usize = 2_000;
const DRAFTS_MAX: usize = 4;

/// What is wrong with a line.
#[derive(Debug)]
pub(super) struct Wrong {
    pub(super) says: String,
    pub(super) expected: &'static str,
}

pub(super) fn wrong(says: impl Into<String>, expected: &'static str) -> Wrong {
    Wrong { says: says.into(), expected }
}

/// See the module's description.
pub(super) struct Inward {
    store: Store,
    draft: Draft,
    changes: usize,
    on_the_way: VecDeque<Group>,
    sessions: HashMap<Box<str>, Target>,
    /// Queues with a name of their own.
    pub(super) queues: HashMap<Box<str>, queue_inward::Target>,
    /// Names of tables.
    pub(super) tables: HashSet<Box<str>>,
    retained: QueueId,
    delayed: QueueId,
    /// What is added to positions of retained and delayed messages, and the lowest free one.
    own_from: u64,
    own_next: u64,
    /// Topics of retained messages, if somebody will ask.
    topics: Option<HashSet<Box<str>>>,
}

/// Key and value.
type Entry = (Box<[u8]>, Box<[u8]>);

struct Target {
    queue: QueueId,
    /// The lowest position that a message has.
    lowest: u64,
}

impl Inward {
    pub(super) fn new(store: Store, keeps_topics: bool) -> Self {
        let mut draft = Draft::default();
        let mut own = |name: &[u8]| {
            let queue = store.new_queue();
            draft.change(Change::Define { queue, name: name.into() });
            queue
        };
        let (retained, delayed) = (own(RETAINED), own(DELAYED));
        Self {
            store,
            draft,
            changes: 2,
            on_the_way: VecDeque::new(),
            sessions: HashMap::new(),
            queues: HashMap::new(),
            tables: HashSet::new(),
            retained,
            delayed,
            own_from: 0,
            own_next: 0,
            topics: keeps_topics.then(HashSet::new),
        }
    }

    pub(super) fn has_session(&self, client_id: &str) -> bool {
        self.sessions.contains_key(client_id)
    }

    pub(super) fn has_queue(&self, name: &str) -> bool {
        self.queues.contains_key(name)
    }

    /// The topics of retained messages so far; what comes from now on is of another store.
    pub(super) fn begin_another(&mut self) -> HashSet<Box<str>> {
        self.queues.values_mut().for_each(queue_inward::Target::begin_another);
        self.own_from = self.own_next;
        self.topics.take().unwrap_or_default()
    }

    pub(super) fn session(&mut self, session: &Session<'_>) -> Result<(), Wrong> {
        const CLIENT_ID: &str = "a client identifier of 1 to 65,535 bytes without U+0000, once in a dump";
        let client_id = &*session.client_id;
        if client_id.is_empty() || client_id.len() > usize::from(u16::MAX) || client_id.contains('\0') {
            return Err(wrong("no client has this client_id", CLIENT_ID));
        }
        if self.has_session(client_id) {
            return Err(wrong(format!("the session of {client_id:?} was there before"), CLIENT_ID));
        }
        let mut entries: Vec<Entry> = Vec::new();
        let expiry_s = session.expiry_s.unwrap_or(SESSION_NEVER_EXPIRES);
        entries.push((schema::EXPIRY.into(), expiry_s.to_le_bytes().into()));
        if let Some(gone_unix_ms) = session.gone_unix_ms {
            entries.push((schema::GONE_AT.into(), gone_unix_ms.to_le_bytes().into()));
        }
        for one in &session.subscriptions {
            entries.push((schema::filter_key(&one.filter), subscription(one)?));
        }
        if let Some(one) = &session.will {
            entries.push((schema::WILL.into(), will(one)?));
        }
        for id in &session.received {
            entries.push((schema::by_packet_id(schema::INBOUND, packet_id(*id)?), [].into()));
        }
        for (order, id) in (1_u64..).zip(&session.released) {
            let key = schema::by_packet_id(schema::OUTBOUND, packet_id(*id)?);
            entries.push((key, order.to_le_bytes().into()));
        }
        let queue = self.define(schema::session_name(client_id));
        for (key, value) in entries {
            self.change(Change::Put { queue, key, value });
        }
        self.sessions.insert(client_id.into(), Target { queue, lowest: u64::MAX });
        Ok(())
    }

    pub(super) fn message(&mut self, message: &Message<'_>) -> Result<(), Wrong> {
        const TO: &str = "at least one destination";
        let properties = content(&message.topic, &message.properties)?;
        if message.to.is_empty() {
            return Err(wrong("the message goes nowhere", TO));
        }
        let mut destinations = Destinations::default();
        let ticket = Arc::new(Ticket::new());
        let mut changes = Vec::new();
        for one in &message.to {
            let (queue, position, note) = self.destination(one, &mut changes)?;
            if let Destination::Session { packet_id: Some(id), .. } = one {
                changes.push(Change::Lease { queue, position, tag: packet_id(*id)?.get() });
            }
            if let (Destination::Retained { .. }, Some(topics)) = (one, &mut self.topics) {
                topics.insert((*message.topic).into());
            }
            ticket.add();
            destinations.push(queue, position, &note);
        }
        let head = schema::content_head(&message.topic, &properties);
        let parts: [&[u8]; 4] = [&head, message.topic.as_bytes(), &properties, &message.payload.0];
        self.draft.message(ticket, &destinations, message.expires_unix_ms, &parts);
        changes.into_iter().for_each(|change| self.change(change));
        Ok(())
    }

    /// Queue, position and note of a destination; what else it changes goes to `changes`.
    fn destination(&mut self, one: &Destination, changes: &mut Vec<Change>) -> Result<(QueueId, u64, Vec<u8>), Wrong> {
        match one {
            Destination::Session { client_id, position, qos, retain, ids, share, .. } => {
                const KNOWN: &str = "a session that has a line before its messages";
                let target = self.sessions.get_mut(&**client_id);
                let target = target.ok_or_else(|| wrong(format!("there is no session of {client_id:?}"), KNOWN))?;
                target.lowest = target.lowest.min(*position);
                let share = share
                    .as_ref()
                    .map(|share| delivery::Share { group: (*share.group).into(), filter: (*share.filter).into() });
                let mut note = Vec::new();
                schema::note(&mut note, self::qos(*qos)?, *retain, ids, share.as_ref());
                Ok((target.queue, *position, note))
            }
            Destination::Queue(place) => {
                const KNOWN: &str = "a queue that has a line before its messages";
                let target = self.queues.get_mut(&*place.name);
                let target = target.ok_or_else(|| wrong(format!("there is no queue {:?}", place.name), KNOWN))?;
                target.take(place, changes)
            }
            Destination::Retained { position, qos } => {
                let note = schema::retained_note(self::qos(*qos)?).to_vec();
                Ok((self.retained, self.own(*position), note))
            }
            Destination::Delayed { position, qos, retain, due_unix_ms } => {
                let note = schema::delayed_note(self::qos(*qos)?, *retain, *due_unix_ms).to_vec();
                Ok((self.delayed, self.own(*position), note))
            }
        }
    }

    fn own(&mut self, position: u64) -> u64 {
        let position = position.saturating_add(self.own_from);
        self.own_next = self.own_next.max(position.saturating_add(1));
        position
    }

    /// A queue of the store comes into being.
    pub(super) fn define(&mut self, name: Box<[u8]>) -> QueueId {
        let queue = self.store.new_queue();
        self.change(Change::Define { queue, name });
        queue
    }

    pub(super) fn change(&mut self, change: Change) {
        self.changes += 1;
        self.draft.change(change);
    }

    /// Hands over what has gathered, if it is enough, and waits when the disk is behind.
    pub(super) fn write(&mut self) -> Result<(), PortableError> {
        if self.draft.len() < DRAFT_BYTES && self.changes < DRAFT_CHANGES {
            return Ok(());
        }
        self.submit()?;
        while self.on_the_way.len() > DRAFTS_MAX {
            self.wait()?;
        }
        Ok(())
    }

    fn submit(&mut self) -> Result<(), PortableError> {
        self.store.admits().map_err(|refusal| PortableError::Refused { says: refusal.to_string() })?;
        self.on_the_way.push_back(self.store.submit(std::mem::take(&mut self.draft)));
        self.changes = 0;
        Ok(())
    }

    fn wait(&mut self) -> Result<(), PortableError> {
        let Some(group) = self.on_the_way.pop_front() else { return Ok(()) };
        if is_durable(&self.store, group) {
            return Ok(());
        }
        let refusal = self.store.admits().err();
        let says = refusal.map_or_else(|| "the disk does not take writes".to_owned(), |refusal| refusal.to_string());
        Err(PortableError::Refused { says })
    }

    /// Writes the rest, and closes the store.
    pub(super) fn finish(mut self) -> Result<(), PortableError> {
        let sessions = std::mem::take(&mut self.sessions);
        for Target { queue, lowest } in sessions.into_values().filter(|target| (1..u64::MAX).contains(&target.lowest)) {
            // What is below the first message counts as gone: a position there is not used again.
            let at = Whereabouts::Nowhere;
            self.change(Change::Gone { queue, position: lowest - 1, floor: lowest, at });
            self.write()?;
        }
        for target in std::mem::take(&mut self.queues).into_values() {
            if let Some(change) = target.end() {
                self.change(change);
                self.write()?;
            }
        }
        self.submit()?;
        while !self.on_the_way.is_empty() {
            self.wait()?;
        }
        self.store.close();
        Ok(())
    }
}

/// Waits for a group on a thread that has nothing else to do.
fn is_durable(store: &Store, group: Group) -> bool {
    struct Unpark(Thread);
    impl Wake for Unpark {
        fn wake(self: Arc<Self>) {
            self.0.unpark();
        }
    }
    let waker = Waker::from(Arc::new(Unpark(std::thread::current())));
    loop {
        if let Some(is_durable) = store.outcome(group) {
            return is_durable;
        }
        if store.wake_when(group, &waker) {
            std::thread::park();
        }
    }
}

fn qos(number: u8) -> Result<QoS, Wrong> {
    schema::qos_of(number).filter(|_| number < 3).ok_or_else(|| wrong(format!("QoS {number}"), "0, 1 or 2"))
}

fn packet_id(number: u16) -> Result<PacketId, Wrong> {
    PacketId::new(number).ok_or_else(|| wrong("packet identifier 0", "1 to 65,535"))
}

fn subscription(one: &Subscription) -> Result<Box<[u8]>, Wrong> {
    let Subscription { filter, no_local, retain_as_published, retain_handling, id, .. } = one;
    if let Err(error) = topic::check_filter(filter) {
        return Err(wrong(format!("the filter {filter:?} {error}"), "a topic filter"));
    }
    if id.is_some_and(|id| id == 0 || id > primer_mqtt::limits::VARINT_MAX) {
        return Err(wrong("a subscription identifier that no client can give", "1 to 268,435,455"));
    }
    let retain_handling = match retain_handling {
        0 => RetainHandling::Always,
        1 => RetainHandling::IfNew,
        2 => RetainHandling::Never,
        other => return Err(wrong(format!("retain_handling {other}"), "0, 1 or 2")),
    };
    let (no_local, retain_as_published) = (*no_local, *retain_as_published);
    let options = SubscribeOptions { qos: qos(one.qos)?, no_local, retain_as_published, retain_handling };
    Ok(schema::subscription(options, *id))
}

fn will(one: &Will<'_>) -> Result<Box<[u8]>, Wrong> {
    let properties = content(&one.topic, &one.properties)?;
    let parts =
        Parts { topic: &one.topic, properties: &properties, payload: &one.payload.0, expires_at_ms: message::NEVER_MS };
    let terms = WillTerms { qos: qos(one.qos)?, retain: one.retain, delay_s: one.delay_s, expiry_s: one.expiry_s };
    Ok(schema::will(&terms, &message::Message::new(&parts)))
}

/// Checks a topic, and encodes properties.
fn content(topic: &str, given: &Properties<'_>) -> Result<Vec<u8>, Wrong> {
    const PROPERTIES: &str = "properties that a PUBLISH of MQTT 5.0 may have";
    if let Err(error) = topic::check_topic(topic) {
        return Err(wrong(format!("the topic {topic:?} {error}"), "a topic name"));
    }
    let mut all: Vec<Property<'_>> = Vec::new();
    all.extend(given.payload_format.map(Property::PayloadFormat));
    let text = |text: &'_ Option<Cow<'_, str>>| text.as_ref().map(|text| text.to_string());
    let (content_type, response_topic) = (text(&given.content_type), text(&given.response_topic));
    all.extend(content_type.as_deref().map(Property::ContentType));
    all.extend(response_topic.as_deref().map(Property::ResponseTopic));
    all.extend(given.correlation_data.as_ref().map(|data| Property::CorrelationData(&data.0)));
    all.extend(given.user.iter().map(|(name, value)| Property::UserProperty(name, value)));
    let mut encoded = PropertiesBuf::new();
    if !all.iter().all(|property| encoded.push(property)) {
        return Err(wrong("a property is longer than 65,535 bytes", PROPERTIES));
    }
    let bytes = encoded.as_properties().as_bytes();
    match properties::Properties::of_message(bytes) {
        Ok(_) => Ok(bytes.to_vec()),
        Err(violation) => Err(wrong(violation.to_string(), PROPERTIES)),
    }
}
