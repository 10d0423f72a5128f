//! From the store to a broker that goes on where the last process ended: sessions with their subscriptions, messages,
//! exchanges and wills; what is retained; what is delayed. All of it before a listener opens.

use std::{
    collections::{BTreeMap, HashMap},
    sync::Arc,
};

use primer::{
    Clock, Journal,
    drops::Reason,
    journal::{self, Change, DELAYED, Draft, QueueId, QueueState, RETAINED, State, Whereabouts},
};
use primer_core::{
    backlog::{Position, Stub},
    message::Message,
};
use primer_mqtt::{codec::packet::QoS, session::SESSION_NEVER_EXPIRES};

use crate::{
    delivery::{self, Ids, Queued, Share},
    durable::Durable,
    fanout::Subscription,
    hub::{Hub, Later, Timer},
    leftover,
    queues::address::{self, Address},
    registry, schema,
    session::Cell,
    subscribe,
    will::Will,
};

/// A message of one of the node's own queues.
struct Own {
    position: u64,
    at: Whereabouts,
    note: Vec<u8>,
    message: Message,
}

/// What was found, until the hub is there to take it.
#[derive(Default)]
pub(crate) struct Found {
    sessions: HashMap<QueueId, Vec<Stub>>,
    /// QoS of the messages that were in flight.
    leased: HashMap<(QueueId, u64), QoS>,
    retained: Vec<Own>,
    delayed: Vec<Own>,
    /// Messages that make no sense to this broker, or that it has no room for.
    left_out: u64,
}

impl Found {
    /// Takes one message in.
    pub(crate) fn take(&mut self, clock: &Clock, state: &State, stored: &journal::Stored<'_>) {
        let Some(queue) = state.queue(stored.queue) else { return };
        let expires_at_ms = journal::from_unix_ms(clock, stored.expires_unix_ms);
        let own = || {
            let message = Message::new(&schema::parts(stored.content, expires_at_ms)?);
            let at = Whereabouts::At { sequence: stored.sequence, len: stored.len };
            Some(Own { position: stored.position, at, note: stored.note.to_vec(), message })
        };
        let own_queue = match &*queue.name {
            RETAINED => Some(&mut self.retained),
            DELAYED => Some(&mut self.delayed),
            _ => None,
        };
        if let Some(own_queue) = own_queue {
            match own() {
                Some(own) => own_queue.push(own),
                None => self.left_out += 1,
            }
            return;
        }
        let position = Position(stored.position);
        if queue.leases.contains_key(&stored.position)
            && let Some(qos) = stored.note.first().and_then(|flags| schema::qos_of(*flags))
        {
            self.leased.insert((stored.queue, stored.position), qos);
        }
        let cost = delivery::cost(stored.content.len(), &Ids::None);
        let stub = Stub { position, reference: stored.sequence, len: stored.len, cost, expires_at_ms };
        self.sessions.entry(stored.queue).or_default().push(stub);
    }

    /// Puts everything where it belongs.
    pub(crate) fn restore(mut self, hub: &Hub, journal: &Journal, state: &State) {
        let mut draft = Draft::default();
        self.restore_retained(hub, journal, &mut draft);
        self.restore_delayed(hub, journal);
        let mut ended: Vec<Arc<Cell>> = Vec::new();
        let mut leftovers = Vec::new();
        let newest: BTreeMap<_, _> = state.queues().map(|(queue, known)| (known.name.clone(), queue)).collect();
        for (queue, known) in state.queues() {
            let Some(client_id) = known.name.strip_prefix(&[schema::SESSION]) else { continue };
            let Ok(client_id) = std::str::from_utf8(client_id) else { continue };
            let mut stubs = self.sessions.remove(&queue).unwrap_or_default();
            stubs.sort_unstable_by_key(|stub| stub.position);
            stubs.dedup_by_key(|stub| stub.position);
            if newest.get(&known.name) != Some(&queue) {
                // The client had begun a new session while what this one left was being handed on: that goes on.
                let cell = hub.registry.create(hub, &Arc::from(client_id));
                leftovers.push((Durable::new(queue, &cell), stubs));
                continue;
            }
            let cell = hub.registry.create(hub, &Arc::from(client_id));
            if self.restore_session(hub, journal, &cell, (queue, known), &stubs) {
                ended.push(cell);
            }
        }
        journal.store().note(draft);
        if self.left_out > 0 {
            tracing::error!("{} messages in the store could not be taken in", self.left_out);
            hub.node.drops.add(Reason::Damaged, self.left_out);
        }
        for cell in &ended {
            let _nobody_waits = registry::end(hub, cell);
        }
        for (durable, stubs) in leftovers {
            let mut draft = Draft::default();
            let rest = leftover::end(hub, &mut draft, durable, stubs, (true, false));
            let _nobody_waits = journal.store().submit(draft);
            if let Some(rest) = rest {
                rest.go_on(hub, false);
            }
        }
    }

    fn restore_retained(&mut self, hub: &Hub, journal: &Journal, draft: &mut Draft) {
        // The last of a topic counts, should an earlier one still be there.
        self.retained.sort_unstable_by_key(|own| own.position);
        for own in self.retained.drain(..) {
            journal.retained.take(own.position);
            let qos = own.note.first().copied().unwrap_or(0) & 3;
            let kept = journal::Kept { position: own.position, at: own.at };
            match hub.node.retained.publish(&hub.node.budget, &own.message, qos, true, Some(kept)) {
                Ok(published) => {
                    if let Some(replaced) = published.replaced.and_then(|replaced| replaced.kept) {
                        draft.change(replaced.gone(journal.retained.id));
                    }
                }
                Err(_no_room) => self.left_out += 1,
            }
        }
    }

    fn restore_delayed(&mut self, hub: &Hub, journal: &Journal) {
        // What was due while nothing ran is due now, all of it: it comes in the order in which it should have.
        let due = |own: &Own| schema::read_delayed_note(&own.note).map(|(_, _, due_unix_ms)| due_unix_ms);
        self.delayed.sort_unstable_by_key(|own| (due(own), own.position));
        for own in self.delayed.drain(..) {
            journal.delayed.take(own.position);
            let Some((qos, retain, due_unix_ms)) = schema::read_delayed_note(&own.note) else {
                self.left_out += 1;
                continue;
            };
            let kept = Some(journal::Kept { position: own.position, at: own.at });
            let due_ms = journal.from_unix_ms(Some(due_unix_ms));
            let held = hub.hold(due_ms, Later { message: own.message, qos, retain, kept });
            if held.is_err() {
                self.left_out += 1;
            }
        }
    }

    /// Answers whether the session's time is up.
    fn restore_session(
        &self,
        hub: &Hub,
        journal: &Journal,
        cell: &Arc<Cell>,
        (queue, known): (QueueId, &QueueState),
        stubs: &[Stub],
    ) -> bool {
        let now_ms = hub.node.clock.now_ms();
        let mut guard = cell.lock();
        let state = &mut *guard;
        let mut durable = Durable::new(queue, cell);
        state.opened = true;
        state.session_expiry_s = entry::<4>(known, schema::EXPIRY).map_or(SESSION_NEVER_EXPIRES, u32::from_le_bytes);
        let gone_at = entry::<8>(known, schema::GONE_AT).map(u64::from_le_bytes);
        let gone_at = gone_at.unwrap_or_else(|| hub.node.clock.unix_ms()); // it was connected when the process ended
        let life_ms = u64::from(state.session_expiry_s) * 1000;
        state.ends_at_ms = match state.session_expiry_s {
            SESSION_NEVER_EXPIRES => u64::MAX,
            _ => journal.from_unix_ms(Some(gone_at + life_ms)),
        };
        state.will = known.entries.get(schema::WILL).and_then(|value| Will::from_stored(value)).map(Box::new);
        self.restore_messages(state, queue, known, stubs);
        restore_exchanges(state, known);
        // What was in flight and was never written, or is gone, is not in flight any more.
        let floor = stubs.first().map_or(known.next_free(), |stub| stub.position.0).max(known.floor());
        for position in known.leases.keys().filter(|position| !self.leased.contains_key(&(queue, **position))) {
            let at = Whereabouts::Nowhere;
            durable.change(Change::Gone { queue, position: *position, floor, at });
        }
        state.queue.skip_to(Position(known.next_free()));
        durable.note(journal);
        state.durable = Some(Box::new(durable));
        let is_over = state.is_expired(now_ms);
        if !is_over && state.session_expiry_s != SESSION_NEVER_EXPIRES {
            hub.arm(state.ends_at_ms, Timer::SessionEnd(Arc::clone(&cell.client_id)));
        }
        if let Some(will) = &state.will {
            let delay_ms = u64::from(will.delay_s.min(state.session_expiry_s)) * 1000;
            state.will_due_ms = journal.from_unix_ms(Some(gone_at + delay_ms));
            hub.arm(state.will_due_ms, Timer::Will(Arc::clone(&cell.client_id)));
        }
        drop(guard);
        restore_subscriptions(hub, cell, known);
        let mut state = cell.lock();
        state.account(hub);
        is_over
    }

    fn restore_messages(&self, state: &mut crate::session::State, queue: QueueId, known: &QueueState, stubs: &[Stub]) {
        for stub in stubs {
            if let Some(qos) = self.leased.get(&(queue, stub.position.0)) {
                let at = Whereabouts::At { sequence: stub.reference, len: stub.len };
                let item =
                    Queued { at, qos: *qos, cost: stub.cost, expires_at_ms: stub.expires_at_ms, ..Queued::blank() };
                state.queue.restore_leased(stub.position, item);
                if let Some(packet_id) = known.leases.get(&stub.position.0).and_then(|tag| packet_id(*tag)) {
                    state.machine.restore_in_flight(packet_id, *qos, stub.position);
                }
            }
        }
        for stub in stubs.iter().filter(|stub| !self.leased.contains_key(&(queue, stub.position.0))) {
            state.queue.restore(*stub);
        }
    }
}

fn packet_id(tag: u16) -> Option<primer_mqtt::codec::packet::PacketId> {
    primer_mqtt::codec::packet::PacketId::new(tag)
}

fn entry<const N: usize>(known: &QueueState, key: &[u8]) -> Option<[u8; N]> {
    schema::Reader(known.entries.get(key)?).array()
}

/// The QoS 2 exchanges of both ways.
fn restore_exchanges(state: &mut crate::session::State, known: &QueueState) {
    let mut released: BTreeMap<u64, primer_mqtt::codec::packet::PacketId> = BTreeMap::new();
    for (key, value) in &known.entries {
        let Some(packet_id) = schema::packet_id_of(key) else { continue };
        match key.first() {
            Some(&schema::INBOUND) => state.machine.restore_received(packet_id),
            Some(&schema::OUTBOUND) => {
                let order = schema::Reader(value).u64().unwrap_or(0);
                released.insert(order, packet_id);
            }
            _ => {}
        }
    }
    for (order, packet_id) in released {
        state.machine.restore_released(packet_id, order);
    }
}

fn restore_subscriptions(hub: &Hub, cell: &Arc<Cell>, known: &QueueState) {
    let mut entries = Vec::new();
    for (key, value) in &known.entries {
        let Some(whole) = key.strip_prefix(&[schema::FILTER]).and_then(|whole| std::str::from_utf8(whole).ok()) else {
            continue;
        };
        let Some((options, id)) = schema::read_subscription(value) else { continue };
        let (filter, group) = subscribe::split(whole);
        let address = address::of(whole);
        if let Some(Address::Queue { .. }) = address {
            cell.lock().consuming.get_or_insert_default().add(whole, options.qos, id);
        }
        let share = group.map(|group| Arc::new(Share { group: group.into(), filter: filter.into() }));
        if subscribe::is_routed(hub, address) {
            entries.push((filter, group, Subscription { cell: Arc::clone(cell), options, id, share }));
        }
        let mut state = cell.lock();
        if state.subscriptions.insert(whole) {
            state.subscription_bytes += subscribe::cost(whole);
        }
    }
    hub.node.routes.subscribe(cell.key, entries.into_iter());
}
