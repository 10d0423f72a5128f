//! Retained messages for a new subscription, looked up piecewise and under the client's flow control.
//!
//! A look-up waits in its session and goes on when the connection has room, so that a wildcard over 100,000 topics
//! neither stalls the broker nor is cut off. A session has at most one look-up a filter.

use std::{collections::BTreeMap, sync::Arc};

use primer::{
    Kept, RetainedPage,
    drops::Reason,
    journal::{Destinations, Draft, Ticket, Whereabouts},
};
use primer_mqtt::{
    codec::packet::QoS,
    session::{Delivery, Sent},
};

use crate::{
    delivery::{Ids, Queued},
    hub::Hub,
    limits::REPLAY_STEPS_MAX,
    schema,
    session::{Cell, State},
};

/// A look-up of retained messages that has not come to its end.
#[derive(Debug)]
pub(crate) struct Replay {
    filter: Box<str>,
    qos: QoS,
    id: Option<u32>,
    after: Option<String>,
}

impl Replay {
    pub(crate) fn new(filter: &str, qos: QoS, id: Option<u32>) -> Self {
        Self { filter: filter.into(), qos, id, after: None }
    }
}

/// The look-ups of a session, in the order of their subscriptions. A session that has none owns no memory for them.
#[derive(Debug, Default)]
pub(crate) struct Replays(Option<Box<Waiting>>);

#[derive(Debug, Default)]
struct Waiting {
    replays: BTreeMap<u64, Replay>,
    by_filter: BTreeMap<Box<str>, u64>,
    next: u64,
}

impl Replays {
    /// Adds a look-up; one of the same filter that has not ended is replaced.
    pub(crate) fn add(&mut self, replay: Replay) {
        self.cancel(&replay.filter);
        let waiting = self.0.get_or_insert_default();
        waiting.by_filter.insert(replay.filter.clone(), waiting.next);
        waiting.replays.insert(waiting.next, replay);
        waiting.next += 1;
    }

    /// Ends the look-up of a filter, without its share prefix.
    pub(crate) fn cancel(&mut self, filter: &str) {
        let Some(waiting) = &mut self.0 else { return };
        if let Some(turn) = waiting.by_filter.remove(filter) {
            waiting.replays.remove(&turn);
        }
        self.let_go_if_empty();
    }

    pub(crate) fn clear(&mut self) {
        self.0 = None;
    }

    pub(crate) const fn is_empty(&self) -> bool {
        self.0.is_none()
    }

    fn take_first(&mut self) -> Option<(u64, Replay)> {
        let waiting = self.0.as_mut()?;
        let (turn, replay) = waiting.replays.pop_first()?;
        waiting.by_filter.remove(&replay.filter);
        self.let_go_if_empty();
        Some((turn, replay))
    }

    /// Puts back the one that was first, in its turn.
    fn put_back(&mut self, turn: u64, replay: Replay) {
        let waiting = self.0.get_or_insert_default();
        waiting.next = waiting.next.max(turn + 1);
        waiting.by_filter.insert(replay.filter.clone(), turn);
        waiting.replays.insert(turn, replay);
    }

    fn let_go_if_empty(&mut self) {
        if self.0.as_ref().is_some_and(|waiting| waiting.replays.is_empty()) {
            self.0 = None;
        }
    }
}

/// Goes on with the session's look-ups, for one turn.
///
/// The retained store is locked for reading while the messages enter the session, so that a retained message never
/// comes after a newer one of its topic that is being published meanwhile: the publisher has to change the store first.
pub(crate) fn advance(hub: &Hub, cell: &Cell) {
    let mut steps = REPLAY_STEPS_MAX;
    while steps > 0 {
        let Some((turn, mut replay)) = cell.lock().take_replay() else { return };
        let now_ms = hub.node.clock.now_ms();
        let after = replay.after.take();
        let page = hub.node.retained.look_up(&replay.filter, after.as_deref(), &mut steps, now_ms, |kept| {
            let mut state = cell.lock();
            // What waits already goes first; the look-up goes on after it.
            state.has_room_for_retained() && state.take_retained(hub, kept, &replay, now_ms)
        });
        if let RetainedPage::More(after) = page {
            replay.after = Some(after);
            cell.lock().replays.put_back(turn, replay);
        }
    }
}

impl State {
    fn take_replay(&mut self) -> Option<(u64, Replay)> {
        if self.can_replay() { self.replays.take_first() } else { None }
    }

    /// Whether a look-up can go on now.
    pub(crate) fn can_replay(&self) -> bool {
        !self.replays.is_empty() && self.has_room_for_retained()
    }

    /// Takes one retained message in; answers `false` when it did not fit and has to be offered again.
    fn take_retained(&mut self, hub: &Hub, kept: &Kept, replay: &Replay, now_ms: u64) -> bool {
        if self.is_restricted && !self.may_read(hub, kept.message.topic()) {
            return true; // passed over
        }
        let published = match kept.qos {
            0 => QoS::AtMostOnce,
            1 => QoS::AtLeastOnce,
            _ => QoS::ExactlyOnce,
        };
        let qos = replay.qos.min(published);
        let ids = replay.id.map_or(Ids::None, Ids::One);
        if qos != QoS::AtMostOnce {
            if !self.push_retained(hub, kept, (qos, ids), now_ms) {
                self.count_dropped(hub);
                return true; // counted; the queue holds less than one message, or only leased ones
            }
            self.pump(hub, now_ms);
            return true;
        }
        let delivery = Delivery {
            topic: kept.message.topic(),
            forward: kept.message.properties(),
            payload: kept.message.payload(),
            expiry_s: kept.message.seconds_left(now_ms),
            qos,
            retain: true,
            subscription_ids: ids.as_slice(),
        };
        match self.machine.send_at_most_once(&delivery, &mut self.outbox) {
            Sent::Written => {
                hub.counters.publishes_sent.add(1);
                hub.counters.publish_bytes_sent.add(delivery.payload.len() as u64);
            }
            Sent::TooLarge => hub.node.drops.add(Reason::TooLarge, 1),
            Sent::Offline => return false,
        }
        true
    }

    /// Into the queue; of a session that lasts also into the store, where it is not written if the client has
    /// acknowledged it before.
    fn push_retained(&mut self, hub: &Hub, kept: &Kept, (qos, ids): (QoS, Ids), now_ms: u64) -> bool {
        let mut item = Queued::new(kept.message.clone(), qos, true, ids, None);
        let (Some(durable), Some(journal)) = (&self.durable, hub.node.journal()) else {
            return self.queue.push(now_ms, item).is_ok();
        };
        if let Err(why) = journal.admits() {
            hub.node.drops.add(primer::drops::reason_of(why), 1);
            return true; // counted
        }
        let ticket = Arc::new(Ticket::new());
        ticket.add();
        item.at = Whereabouts::With(Arc::clone(&ticket));
        let mut note = Vec::new();
        schema::note(&mut note, qos, true, item.ids.as_slice(), None);
        if self.queue.push(now_ms, item).is_err() {
            return false;
        }
        let (mut draft, mut destinations) = (Draft::default(), Destinations::default());
        destinations.push(durable.queue, self.queue.last_position().0, &note);
        let message = &kept.message;
        let head = schema::content_head(message.topic(), message.properties());
        let content = [&head[..], message.topic().as_bytes(), message.properties(), message.payload()];
        draft.message(ticket, &destinations, journal.to_unix_ms(message.expires_at_ms()), &content);
        if qos == QoS::ExactlyOnce {
            journal.store().submit(draft);
        } else {
            journal.store().note(draft);
        }
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_filter_has_one_look_up_and_the_order_is_that_of_subscribing() {
        let mut replays = Replays::default();
        for (filter, id) in [("a", 1), ("b", 2), ("a", 3), ("c", 4)] {
            replays.add(Replay::new(filter, QoS::AtMostOnce, Some(id)));
        }
        replays.cancel("c");
        let (turn, first) = replays.take_first().unwrap();
        assert_eq!(first.id, Some(2));
        replays.put_back(turn, first);
        let order: Vec<Option<u32>> = std::iter::from_fn(|| replays.take_first()).map(|(_, r)| r.id).collect();
        assert_eq!(order, [Some(2), Some(3)]);
        assert!(replays.is_empty());
    }
}
