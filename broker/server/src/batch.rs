//! What a connection gathers while it works through one read: messages in the making, frames for many, connections to
//! wake. One write a destination a batch, one wake a destination a batch.
//!
//! Publications of one topic and QoS that come one after another make a *burst*: they are routed once, and each
//! destination is locked once for all of them.

use std::{sync::Arc, task::Waker};

use primer::{
    Along, SubscriberKey,
    journal::{Destinations, Draft, Group, QueueId, Store, Ticket},
};
use primer_core::{
    commit::Ballot,
    message::{Message, Parts, Run},
};
use primer_mqtt::{
    Version,
    codec::{packet::QoS, publish::PublishFrame},
    session::Delivery,
};

use crate::{hub::Hub, limits::SHARED_FRAME_BYTES_MAX, moving::Moved, schema, session::Wish};

/// A publish on its way to its destinations, in the bytes it came in.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Publication<'a> {
    pub(crate) topic: &'a str,
    /// Encoded properties that are forwarded as they are.
    pub(crate) forward: &'a [u8],
    pub(crate) payload: &'a [u8],
    pub(crate) qos: QoS,
    pub(crate) retain: bool,
    pub(crate) expires_at_ms: u64,
    pub(crate) expiry_s: Option<u32>,
    /// The session that published it, for No Local and sticky groups.
    pub(crate) from: Option<SubscriberKey>,
    /// Its client, for queues.
    pub(crate) publisher: Option<&'a Arc<str>>,
    /// Its user name, for queues.
    pub(crate) user: Option<&'a Arc<str>>,
    /// The retain flag of the frame that subscribers share.
    pub(crate) shared_retain: bool,
}

/// Publications that are routed together. Invariant: never empty; one topic, one QoS, one publisher, and no retain flag
/// where there are several.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Burst<'p, 'a>(&'p [Publication<'a>]);

impl<'p, 'a> Burst<'p, 'a> {
    /// A burst, if there is anything in it.
    pub(crate) fn new(publications: &'p [Publication<'a>]) -> Option<Self> {
        let first = publications.first()?;
        debug_assert!(publications.iter().all(|other| (other.topic, other.qos) == (first.topic, first.qos)));
        debug_assert!(publications.len() == 1 || publications.iter().all(|one| !one.retain));
        Some(Self(publications))
    }

    pub(crate) const fn one(publication: &'p Publication<'a>) -> Self {
        Self(std::slice::from_ref(publication))
    }

    /// What all of its publications have in common can be read off the first.
    pub(crate) fn first(self) -> &'p Publication<'a> {
        &self.0[0]
    }

    pub(crate) const fn len(self) -> usize {
        self.0.len()
    }

    pub(crate) fn get(self, index: usize) -> &'p Publication<'a> {
        &self.0[index]
    }

    fn iter(self) -> impl Iterator<Item = &'p Publication<'a>> {
        self.0.iter()
    }
}

impl<'a> Publication<'a> {
    /// A publication of a message that is kept already.
    pub(crate) fn of_message(message: &'a Message, qos: QoS, retain: bool, now_ms: u64) -> Self {
        Self {
            topic: message.topic(),
            forward: message.properties(),
            payload: message.payload(),
            qos,
            retain,
            expires_at_ms: message.expires_at_ms(),
            expiry_s: message.seconds_left(now_ms),
            from: None,
            publisher: None,
            user: None,
            shared_retain: false,
        }
    }

    /// Bytes of topic, properties and payload.
    pub(crate) const fn len(&self) -> usize {
        self.topic.len() + self.forward.len() + self.payload.len()
    }

    const fn parts(&self) -> Parts<'a> {
        Parts { topic: self.topic, properties: self.forward, payload: self.payload, expires_at_ms: self.expires_at_ms }
    }

    pub(crate) const fn as_delivery<'w>(&self, qos: QoS, wish: &Wish<'w>) -> Delivery<'w>
    where
        'a: 'w,
    {
        Delivery {
            topic: self.topic,
            forward: self.forward,
            payload: self.payload,
            expiry_s: self.expiry_s,
            qos,
            retain: wish.retain,
            subscription_ids: wish.ids,
        }
    }
}

/// The QoS 0 frames of a burst, one after another, encoded for a version when the first subscriber asks.
#[derive(Debug, Default)]
pub(crate) struct Frames {
    v3: Vec<u8>,
    v5: Vec<u8>,
    /// No frame of the burst is larger.
    frame_bytes_max: usize,
    payload_bytes: usize,
}

impl Frames {
    fn clear(&mut self) {
        for frames in [&mut self.v3, &mut self.v5] {
            frames.clear();
            if frames.capacity() > SHARED_FRAME_BYTES_MAX {
                *frames = Vec::new();
            }
        }
        (self.frame_bytes_max, self.payload_bytes) = (0, 0);
    }

    /// No frame of the burst is larger.
    pub(crate) fn frame_bytes_max(&mut self, burst: Burst<'_, '_>) -> usize {
        if self.frame_bytes_max == 0 {
            for one in burst.iter() {
                // fixed header 5, topic length 2, properties length 4, expiry 5
                let bytes = one.topic.len() + one.forward.len() + one.payload.len() + 16;
                self.frame_bytes_max = self.frame_bytes_max.max(bytes);
                self.payload_bytes += one.payload.len();
            }
        }
        self.frame_bytes_max
    }

    /// Payload bytes of all frames; known once [`Self::frame_bytes_max`] was asked for.
    pub(crate) const fn payload_bytes(&self) -> usize {
        self.payload_bytes
    }

    pub(crate) fn frames(&mut self, version: Version, burst: Burst<'_, '_>) -> &[u8] {
        let frames = if version.is_v5() { &mut self.v5 } else { &mut self.v3 };
        if frames.is_empty() {
            for one in burst.iter() {
                PublishFrame {
                    dup: false,
                    qos: QoS::AtMostOnce,
                    retain: one.shared_retain,
                    topic: one.topic,
                    packet_id: None,
                    topic_alias: None,
                    expiry: one.expiry_s,
                    subscription_ids: &[],
                    forward: one.forward,
                    payload: one.payload,
                }
                .encode(version, frames);
            }
        }
        frames
    }
}

/// See the module's description. It borrows the bytes of the read, of which messages are made.
#[derive(Debug)]
pub(crate) struct Batch<'b> {
    pub(crate) now_ms: u64,
    pub(crate) wakers: Vec<Waker>,
    pub(crate) frames: Frames,
    /// Whether the present burst has several subscribers of one filter, so that its frames are worth keeping.
    pub(crate) is_shared: bool,
    /// Whether the present burst may have several destinations, so that a message is worth keeping.
    pub(crate) has_many: bool,
    run: Run<'b>,
    /// Messages of the present burst in memory of their own, as far as they were asked for.
    own: Vec<Option<Message>>,
    sent: u64,
    sent_bytes: u64,
    /// What the store has to write of the present burst, by publication.
    stored: Vec<ForStore>,
    note: Vec<u8>,
    /// What the store has to write of the whole batch.
    pub(crate) draft: Draft,
    /// Ballots that the store answers, when the draft is durable.
    awaiting: Vec<Ballot>,
    /// What goes back if the draft does not become durable.
    pub(crate) moved: Vec<u64>,
}

/// A publication on its way to the store.
#[derive(Debug, Default)]
struct ForStore {
    ticket: Option<Arc<Ticket>>,
    destinations: Destinations,
}

impl<'b> Batch<'b> {
    /// A batch of the broker's own that begins now.
    pub(crate) fn begin(hub: &Hub) -> Self {
        Self::of_read(hub, &[])
    }

    /// A batch of what was read.
    pub(crate) fn of_read(hub: &Hub, bytes: &'b [u8]) -> Self {
        Self {
            now_ms: hub.node.clock.now_ms(),
            wakers: Vec::new(),
            frames: Frames::default(),
            is_shared: false,
            has_many: true,
            run: Run::of(bytes),
            own: Vec::new(),
            sent: 0,
            sent_bytes: 0,
            stored: Vec::new(),
            note: Vec::new(),
            draft: Draft::default(),
            awaiting: Vec::new(),
            moved: Vec::new(),
        }
    }

    /// A new burst: nothing of the last one is used again.
    pub(crate) fn next_burst(&mut self) {
        self.frames.clear();
        self.own.clear();
        self.is_shared = false;
        self.has_many = true;
    }

    /// The publication as a message that shares the run's memory: for what is sent at once.
    pub(crate) fn message(&mut self, publication: &Publication<'_>) -> Message {
        self.run.message(&publication.parts())
    }

    /// A publication of the present burst as a message in memory of its own, one for all destinations: for what is
    /// kept.
    pub(crate) fn own_message(&mut self, burst: Burst<'_, '_>, index: usize) -> Message {
        if let Some(Some(message)) = self.own.get(index) {
            return message.clone();
        }
        let message = self.run.own_message(&burst.get(index).parts());
        if !self.has_many {
            return message;
        }
        self.own.resize(self.own.len().max(index + 1), None);
        self.own[index] = Some(message.clone());
        message
    }

    /// The ticket of a publication of the present burst, which its destinations in the store share.
    pub(crate) fn ticket(&mut self, index: usize) -> Arc<Ticket> {
        if self.stored.len() <= index {
            self.stored.resize_with(index + 1, ForStore::default);
        }
        let ticket = self.stored[index].ticket.get_or_insert_with(|| {
            let ticket = Ticket::new();
            ticket.add(); // for the batch, until all destinations are known
            Arc::new(ticket)
        });
        Arc::clone(ticket)
    }

    /// A session's queue is a destination of a publication of the present burst.
    pub(crate) fn destination(&mut self, index: usize, queue: QueueId, position: u64, (qos, wish): (QoS, &Wish<'_>)) {
        schema::note(&mut self.note, qos, wish.retain, wish.ids, wish.share.map(|share| &**share));
        if let Some(stored) = self.stored.get_mut(index) {
            stored.destinations.push(queue, position, &self.note);
        }
    }

    /// A queue is, which has added itself to the ticket.
    pub(crate) fn add_destination(&mut self, index: usize, queue: QueueId, position: u64, note: &[u8]) {
        if let Some(stored) = self.stored.get_mut(index) {
            stored.destinations.push(queue, position, note);
        }
    }

    /// One of the node's own queues is.
    pub(crate) fn own_destination(&mut self, index: usize, queue: QueueId, position: u64, note: &[u8]) {
        let ticket = self.ticket(index);
        ticket.add();
        if let Some(stored) = self.stored.get_mut(index) {
            stored.destinations.push(queue, position, note);
        }
    }

    /// All destinations of the present burst are known: it goes into the draft.
    pub(crate) fn store(&mut self, hub: &Hub, burst: Burst<'_, '_>) {
        let Some(journal) = hub.node.journal() else { return };
        for (one, stored) in burst.iter().zip(self.stored.drain(..)) {
            if let Some(ticket) = stored.ticket.filter(|_| !stored.destinations.is_empty()) {
                let _the_batch_is_none_of_them = Store::settle(&ticket);
                let head = schema::content_head(one.topic, one.forward);
                let content = [&head[..], one.topic.as_bytes(), one.forward, one.payload];
                let expires_unix_ms = journal.to_unix_ms(one.expires_at_ms);
                self.draft.message(ticket, &stored.destinations, expires_unix_ms, &content);
            }
        }
    }

    /// A ballot waits until the draft is durable.
    pub(crate) fn awaits(&mut self, ballot: Ballot) {
        self.awaiting.push(ballot);
    }

    /// Something moves with the draft.
    pub(crate) fn moves(&mut self, hub: &Hub, moved: Moved) {
        let id = hub.moving.lock().add(moved);
        self.moved.push(id);
    }

    /// Hands the draft over, and the ballots that wait for it.
    pub(crate) fn submit(&mut self, hub: &Hub) -> Option<(Group, Vec<Ballot>)> {
        let journal = hub.node.journal()?;
        let awaiting = std::mem::take(&mut self.awaiting);
        if self.draft.is_empty() && awaiting.is_empty() {
            return None;
        }
        let group = journal.store().submit(std::mem::take(&mut self.draft));
        if !self.moved.is_empty() {
            hub.moving.handed_over(hub, journal, &std::mem::take(&mut self.moved), group);
        }
        Some((group, awaiting))
    }

    /// Has the draft go along with another one, which somebody else hands over.
    pub(crate) fn ride(&mut self, hub: &Arc<Hub>, along: &mut Along) {
        along.draft.append(std::mem::take(&mut self.draft));
        let moved = std::mem::take(&mut self.moved);
        if moved.is_empty() {
            return;
        }
        let hub = Arc::downgrade(hub);
        along.when_handed_over(move |group| {
            if let Some(hub) = hub.upgrade()
                && let Some(journal) = hub.node.journal()
            {
                hub.moving.handed_over(&hub, journal, &moved, group);
            }
        });
    }

    pub(crate) const fn count_sent(&mut self, messages: usize, payload_bytes: usize) {
        self.sent += messages as u64;
        self.sent_bytes += payload_bytes as u64;
    }

    /// The end of the batch: everybody who got something is woken, once, and the counters take it in.
    pub(crate) fn finish(&mut self, hub: &Hub) {
        let _nobody_waits = self.submit(hub);
        self.wakers.drain(..).for_each(Waker::wake);
        hub.counters.publishes_sent.add(std::mem::take(&mut self.sent));
        hub.counters.publish_bytes_sent.add(std::mem::take(&mut self.sent_bytes));
    }
}

impl Drop for Batch<'_> {
    /// A batch that a panic ends half-way still wakes whom it has given something.
    fn drop(&mut self) {
        self.wakers.drain(..).for_each(Waker::wake);
    }
}
