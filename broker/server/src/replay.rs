//! Retained messages for a new subscription, looked up piecewise and under the client's flow control.
//!
//! A look-up waits in its session and goes on when the connection has room, so that a wildcard over 100,000 topics
//! neither stalls the broker nor is cut off.

use primer::{Kept, RetainedPage};
use primer_mqtt::{
    codec::packet::QoS,
    session::{Delivery, Sent},
};

use crate::{
    delivery::{Ids, Queued},
    hub::Hub,
    limits::{PUMP_BYTES_MAX, REPLAY_STEPS_MAX},
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
    /// Whether it is for this filter, without its share prefix.
    pub(crate) fn is_for(&self, filter: &str) -> bool {
        *self.filter == *filter
    }

    pub(crate) fn new(filter: &str, qos: QoS, id: Option<u32>) -> Self {
        Self { filter: filter.into(), qos, id, after: None }
    }
}

/// Goes on with the session's look-ups, for one turn. Answers whether there is more to do that only waits for a turn.
///
/// The retained store is locked for reading while the messages enter the session, so that a retained message never
/// comes after a newer one of its topic that is being published meanwhile: the publisher has to change the store first.
pub(crate) fn advance(hub: &Hub, cell: &Cell, now_ms: u64) -> bool {
    let Some(mut replay) = cell.lock().replays.pop_front() else { return false };
    let page = hub.node.retained.look_up(&replay.filter, replay.after.as_deref(), REPLAY_STEPS_MAX, now_ms, |kept| {
        let mut state = cell.lock();
        if state.connected.is_none() || state.queue.has_ready() || state.backlog() >= PUMP_BYTES_MAX {
            return false; // what waits already goes first; the look-up goes on after it
        }
        state.take_retained(hub, kept, &replay, now_ms)
    });
    let mut state = cell.lock();
    if let RetainedPage::More(after) = page {
        replay.after = Some(after);
        state.replays.push_front(replay);
    }
    !state.replays.is_empty() && !state.queue.has_ready() && state.backlog() < PUMP_BYTES_MAX
}

impl State {
    /// Takes one retained message in; answers `false` when it did not fit and has to be offered again.
    fn take_retained(&mut self, hub: &Hub, kept: &Kept, replay: &Replay, now_ms: u64) -> bool {
        let published = match kept.qos {
            0 => QoS::AtMostOnce,
            1 => QoS::AtLeastOnce,
            _ => QoS::ExactlyOnce,
        };
        let qos = replay.qos.min(published);
        let ids = replay.id.map_or(Ids::None, Ids::One);
        if qos != QoS::AtMostOnce {
            let item = Queued { message: kept.message.clone(), qos, retain: true, ids, share: None };
            if self.queue.push(now_ms, item).is_err() {
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
            Sent::TooLarge => hub.node.drops.add(primer::drops::Reason::TooLarge, 1),
            Sent::Offline => return false,
        }
        true
    }
}
