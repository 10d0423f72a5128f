//! What of a session's messages its client may read.
//!
//! Most clients may read all that they have subscribed to: for those one flag is looked at and nobody asked. Of the
//! others each message is asked about twice: when it is published, while somebody is known who reads, and when it
//! leaves the queue, as the client's rights, or the client, may be others by then. What a queue has leased is not:
//! consuming is a right of its own, and asked for when the consumer joins.

use std::sync::Arc;

use primer::drops::Reason;
use primer_core::backlog::Position;
use primer_mqtt::ReasonCode;

use super::State;
use crate::{access::Identity, delivery::Queued, hub::Hub, schema, subscribe};

impl State {
    /// Notes who is connected now; answers whether that is somebody else than before, or nobody was known.
    pub(crate) fn read_by(&mut self, identity: &Arc<Identity>) -> bool {
        let before = self.reader.replace(Arc::clone(identity));
        before.is_none_or(|before| (&before.username, before.standing) != (&identity.username, identity.standing))
    }

    /// Asks about the subscriptions again. `has_changed` says that the rights may be others, or their holder: then what
    /// waits may not be readable any more, although all is that is subscribed to. That stays so until it is gone.
    pub(crate) fn ask_anew(&mut self, hub: &Hub, has_changed: bool) {
        let Some(reader) = self.reader.clone().filter(|_| hub.decider.restricts_reading()) else {
            self.is_restricted = false;
            return;
        };
        let is_left = (has_changed || self.is_restricted) && !self.queue.is_empty();
        self.is_restricted = is_left || self.subscriptions.any(|whole| !subscribe::is_readable(hub, &reader, whole));
    }

    /// Rights have changed: who would not be let in any more has to go, and what may not be read, consumed or published
    /// any more is not.
    pub(crate) fn access_changed(&mut self, hub: &Hub) {
        if let Some(identity) = &self.connected
            && !hub.authenticator.may_stay(identity)
        {
            tracing::info!(client = &*self.client_id, "is not let in any more, and is disconnected");
            self.close.get_or_insert(ReasonCode::NOT_AUTHORIZED);
        }
        self.ask_anew(hub, true);
        if let (Some(will), Some(reader)) = (&self.will, &self.reader)
            && !will.is_allowed(hub, reader)
        {
            tracing::info!(client = &*self.client_id, "its will may not be published any more, and is given up");
            self.will = None;
            if let (Some(durable), Some(journal)) = (&mut self.durable, hub.node.journal()) {
                durable.remove(schema::WILL.into());
                durable.note(journal);
            }
        }
        if self.connected.is_some() {
            self.join_queues_anew(hub);
            self.wake();
        }
    }

    /// Whether the client may get what is published to this topic.
    pub(crate) fn may_read(&self, hub: &Hub, topic: &str) -> bool {
        self.reader.as_ref().is_none_or(|reader| hub.decider.may_read(reader, topic))
    }

    /// Who reads, if somebody is known.
    pub(crate) const fn reader(&self) -> Option<&Arc<Identity>> {
        self.reader.as_ref()
    }

    /// Who is to be asked about, if anybody is.
    pub(super) fn restricted_reader(&self) -> Option<Arc<Identity>> {
        self.reader.clone().filter(|_| self.is_restricted)
    }

    /// A message may not be read: it leaves the queue, and is counted.
    pub(super) fn withhold(&mut self, hub: &Hub, position: Position) {
        self.take_out(position);
        self.count_drops(hub, Reason::NotReadable, 1);
    }
}

/// Whether a message may be sent to this reader. One whose content is in the store alone is asked about when it is
/// read back.
pub(super) fn may_go(hub: &Hub, reader: Option<&Identity>, item: &Queued) -> bool {
    match (reader, &item.message) {
        (Some(reader), Some(message)) if item.lease.is_none() => hub.decider.may_read(reader, message.topic()),
        _ => true,
    }
}
