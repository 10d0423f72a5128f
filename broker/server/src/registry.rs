//! The sessions of the broker by client identifier: opening, taking over, letting go, ending.
//!
//! One connection at a time holds a session. A new connection asks the present one to end and waits until it has let
//! go, so that everything a session goes through happens one after another.

use std::{
    hash::BuildHasher,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use hashbrown::HashTable;
use parking_lot::{Mutex, MutexGuard};
use primer::{
    SubscriberKey,
    journal::{Change, Group},
};
use primer_core::{
    backlog::Backlog,
    commit::{Committed, Notifier, Outcome},
};
use primer_mqtt::{
    ReasonCode,
    session::{Greeting, Opening, Terms},
};

use crate::{
    access::Identity,
    batch::Batch,
    delivery::Queued,
    durable::Durable,
    hub::{Hub, Timer},
    leftover,
    moving::{Due, Stored},
    schema,
    session::{Cell, State},
    silence::Note,
    subscribe,
    will::Will,
};

/// How long a connection may take to let go of a session that another one wants.
const LET_GO: Duration = Duration::from_secs(5);

/// The sessions of a broker.
#[derive(Debug, Default)]
pub(crate) struct Registry {
    cells: Mutex<HashTable<Arc<Cell>>>,
    hasher: foldhash::fast::RandomState,
    next_key: AtomicU64,
}

/// Where a session stands in the registry, for one who wants to find it again and hold on to nothing of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Place {
    pub(crate) hash: u64,
    pub(crate) key: SubscriberKey,
}

/// Why a connection ended, as far as its session is concerned.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Farewell {
    /// The client said goodbye: no will.
    Clean,
    /// Everything else: the will is due.
    WithWill,
}

impl Registry {
    pub(crate) fn get(&self, client_id: &str) -> Option<Arc<Cell>> {
        let hash = self.hash(client_id);
        self.cells.lock().find(hash, |cell| *cell.client_id == *client_id).map(Arc::clone)
    }

    pub(crate) fn place(&self, cell: &Cell) -> Place {
        Place { hash: self.hash(&cell.client_id), key: cell.key }
    }

    /// The session that had this place, while there is one.
    pub(crate) fn at(&self, place: Place) -> Option<Arc<Cell>> {
        self.cells.lock().find(place.hash, |cell| cell.key == place.key).map(Arc::clone)
    }

    /// All sessions there are now.
    pub(crate) fn all(&self) -> Vec<Arc<Cell>> {
        self.cells.lock().iter().map(Arc::clone).collect()
    }

    /// A session that is being restored; its client identifier is not there yet.
    pub(crate) fn create(&self, hub: &Hub, client_id: &Arc<str>) -> Arc<Cell> {
        self.get_or_create(hub, client_id)
    }

    fn get_or_create(&self, hub: &Hub, client_id: &Arc<str>) -> Arc<Cell> {
        let hash = self.hash(client_id);
        let mut cells = self.cells.lock();
        let entry = cells.entry(hash, |cell| cell.client_id == *client_id, |cell| self.hash(&cell.client_id));
        let create = || {
            let key = SubscriberKey(self.next_key.fetch_add(1, Ordering::Relaxed));
            Arc::new(Cell::new(key, Arc::clone(client_id), Backlog::new(Arc::clone(&hub.queue_bounds))))
        };
        Arc::clone(entry.or_insert_with(create).get())
    }

    fn remove(&self, cell: &Cell) {
        let hash = self.hash(&cell.client_id);
        if let Ok(entry) = self.cells.lock().find_entry(hash, |known| known.key == cell.key) {
            entry.remove();
        }
    }

    fn hash(&self, client_id: &str) -> u64 {
        self.hasher.hash_one(client_id)
    }
}

/// A connection that is to have a session.
struct Entering<'e> {
    hub: &'e Hub,
    cell: &'e Arc<Cell>,
    identity: &'e Arc<Identity>,
    terms: &'e Terms,
    will: Option<&'e Will>,
    greeting: Greeting<'e>,
}

/// What an attempt to open a session came to.
enum Attempt {
    Opened,
    /// The session was just being ended, or has been: look it up again.
    Again,
    /// Another connection holds it and has been asked to let go.
    Held,
    /// It is opened when this is durable.
    Stored(Group),
    /// The session that was there is ended for good when this is durable; then there is a new one to be opened.
    Ended(Group),
}

/// A session that waits for the store on behalf of one connection. Should that give up, others may have it.
struct Reserved<'c> {
    cell: &'c Cell,
    is_kept: bool,
}

impl Drop for Reserved<'_> {
    fn drop(&mut self) {
        if !self.is_kept {
            self.cell.lock().is_leaving = false;
            self.cell.detached.notify_waiters();
        }
    }
}

/// Opens the session for a connection and writes the CONNACK into its buffer.
///
/// # Errors
/// The earlier connection did not let go in time.
pub(crate) async fn open(
    hub: &Hub,
    identity: &Arc<Identity>,
    terms: &Terms,
    will: Option<Box<Will>>,
    greeting: Greeting<'_>,
) -> Result<Arc<Cell>, ReasonCode> {
    let deadline = tokio::time::Instant::now() + LET_GO;
    loop {
        if hub.is_stopping() {
            return Err(ReasonCode::SERVER_SHUTTING_DOWN);
        }
        let cell = hub.registry.get_or_create(hub, &identity.client_id);
        let detached = cell.detached.notified();
        tokio::pin!(detached);
        detached.as_mut().enable(); // from here on no letting go is missed
        let entering = Entering { hub, cell: &cell, identity, terms, will: will.as_deref(), greeting };
        match entering.try_open() {
            Attempt::Opened => return Ok(Arc::clone(&cell)),
            Attempt::Stored(group) => {
                // The session is this connection's, and nobody else gets at it meanwhile.
                let mut reserved = Reserved { cell: &cell, is_kept: false };
                let is_durable = match hub.node.journal() {
                    Some(journal) => journal.store().ended(group).await,
                    None => false,
                };
                if !is_durable {
                    return Err(ReasonCode::QUOTA_EXCEEDED);
                }
                entering.attach(cell.lock());
                reserved.is_kept = true;
                return Ok(Arc::clone(&cell));
            }
            Attempt::Ended(group) => {
                // Before that a process that comes next would find the old session.
                let is_gone = match hub.node.journal() {
                    Some(journal) => journal.store().ended(group).await,
                    None => true,
                };
                if !is_gone {
                    return Err(ReasonCode::QUOTA_EXCEEDED);
                }
            }
            Attempt::Again => tokio::task::yield_now().await,
            Attempt::Held => {
                if tokio::time::timeout_at(deadline, detached).await.is_err() {
                    return Err(ReasonCode::SERVER_UNAVAILABLE);
                }
            }
        }
    }
}

impl Entering<'_> {
    fn try_open(&self) -> Attempt {
        let Self { hub, cell, terms, will, .. } = *self;
        let now_ms = hub.node.clock.now_ms();
        let mut guard = cell.lock();
        let state = &mut *guard;
        if state.ended {
            return Attempt::Again;
        }
        if state.connected.is_some() {
            state.close = Some(ReasonCode::SESSION_TAKEN_OVER);
            state.wake();
            return Attempt::Held;
        }
        if state.is_leaving {
            return Attempt::Held;
        }
        if state.opened && (terms.clean_start || state.is_expired(now_ms)) {
            drop(guard);
            return end(hub, cell).map_or(Attempt::Again, Attempt::Ended);
        }
        if let Some(group) = store_opening(hub, cell, state, terms, will) {
            state.is_leaving = true;
            return Attempt::Stored(group);
        }
        self.attach(guard);
        Attempt::Opened
    }

    /// Begins the connection: the session is the caller's. Whoever saw under the lock that nobody has it has to begin
    /// under the same: two who let go of it in between had the session both, and one of them never got its CONNACK.
    fn attach(&self, mut guard: MutexGuard<'_, State>) {
        let Self { hub, cell, identity, terms, will, greeting } = *self;
        let now_ms = hub.node.clock.now_ms();
        let state = &mut *guard;
        state.is_leaving = false;
        let proof = commit_opening(state.opened, &state.queue);
        let is_another = state.read_by(identity);
        state.attach(Arc::clone(identity), terms, will.cloned().map(Box::new));
        state.ask_anew(hub, is_another);
        if !state.machine.accept(proof, terms, &hub.options.protocol, greeting, &mut state.outbox) {
            state.close = Some(ReasonCode::PACKET_TOO_LARGE);
        }
        state.join_queues(hub);
        state.pump(hub, now_ms);
        cell.set_online(true);
        cell.set_heard(now_ms);
        cell.note_room(state);
        let (connection, silence_ms_max) = (state.connection, state.silence_ms_max);
        drop(guard);
        if silence_ms_max > 0 {
            let note = Note { place: hub.registry.place(cell), connection };
            hub.watch_silence(note, now_ms + u64::from(silence_ms_max));
        }
        // Fired meanwhile, either timer finds a connection and does nothing.
        hub.disarm(&Timer::SessionEnd(Arc::clone(&cell.client_id)));
        hub.disarm(&Timer::Will(Arc::clone(&cell.client_id)));
    }
}

/// What the store has to know before the session may be opened. `None`: nothing; it knows already, or the session does
/// not outlive the process.
fn store_opening(hub: &Hub, cell: &Arc<Cell>, state: &mut State, terms: &Terms, will: Option<&Will>) -> Option<Group> {
    let journal = hub.node.journal()?;
    let mut is_new = false;
    if state.durable.is_none() && terms.session_expiry_s > 0 {
        is_new = true;
        let queue = journal.store().new_queue();
        let mut durable = Durable::new(queue, cell);
        durable.change(Change::Define { queue, name: schema::session_name(&cell.client_id) });
        state.durable = Some(Box::new(durable));
    }
    let has_will = state.will.is_some();
    let durable = state.durable.as_mut()?;
    let has_changed = is_new
        || !state.opened
        || state.session_expiry_s != terms.session_expiry_s
        || has_will
        || will.is_some()
        || durable.is_unsettled(journal);
    durable.put(schema::EXPIRY.into(), terms.session_expiry_s.to_le_bytes().into());
    durable.remove(schema::GONE_AT.into());
    match will {
        Some(will) => durable.put(schema::WILL.into(), will.to_stored()),
        None if has_will => durable.remove(schema::WILL.into()),
        None => {}
    }
    if has_changed {
        return Some(durable.submit(journal));
    }
    durable.note(journal);
    None
}

/// The session's queue stands; that is what CONNACK promises.
fn commit_opening(session_present: bool, queue: &Backlog<Queued>) -> Committed<Opening> {
    let mut notifier = Notifier::default();
    let ballot = notifier.open(Opening { session_present });
    notifier.vote(ballot, Ok(queue.confirm()));
    notifier.close(ballot);
    match notifier.release() {
        Some(Outcome::Committed(proof)) => proof,
        outcome => unreachable!("a closed ballot with one acceptance is committed: {outcome:?}"),
    }
}

/// The connection lets go of its session: `told` tells the world, the will is published or waits, the session ends
/// or waits. Only then may another connection have it, so that what this one leaves behind comes before what the next
/// one does.
pub(crate) fn let_go(
    hub: &Hub,
    cell: &Arc<Cell>,
    farewell: Farewell,
    session_expiry_s: Option<u32>,
    told: impl FnOnce(),
) {
    let now_ms = hub.node.clock.now_ms();
    let mut guard = cell.lock();
    let state = &mut *guard;
    cell.set_online(false);
    state.is_leaving = true;
    if let Some(seconds) = session_expiry_s {
        state.session_expiry_s = seconds.min(hub.options.protocol.session_expiry_max_s);
    }
    state.detach(hub, now_ms);
    cell.note_room(state);
    let expiry_s = state.session_expiry_s;
    let mut due = None;
    if farewell == Farewell::Clean {
        state.will = None;
    } else if state.will.as_ref().is_some_and(|will| will.delay_s == 0 || expiry_s == 0) {
        due = state.will.take();
    } else if let Some(will) = &state.will {
        state.will_due_ms = now_ms + u64::from(will.delay_s.min(expiry_s)) * 1000;
        hub.arm(state.will_due_ms, Timer::Will(Arc::clone(&cell.client_id)));
    }
    let queue = state.durable.as_ref().map(|durable| durable.queue);
    let is_over = farewell == Farewell::Clean || due.is_some();
    drop(guard);
    told();
    let mut batch = Batch::begin(hub);
    if due.is_some() {
        // Where the session ends as well, that is one commit with the will.
        if expiry_s == 0 {
            cell.lock().will = due;
        } else {
            let store = queue.map_or(Stored::Nothing, Stored::Will);
            Due { client_id: Arc::clone(&cell.client_id), will: due, store }.publish(hub, &mut batch);
        }
    } else if let Some(queue) = queue.filter(|_| is_over) {
        batch.draft.change(Change::Remove { queue, key: schema::WILL.into() });
    }
    batch.finish(hub);
    if expiry_s == 0 {
        let _nobody_waits = end(hub, cell);
    } else if expiry_s != primer_mqtt::session::SESSION_NEVER_EXPIRES {
        hub.arm(now_ms + u64::from(expiry_s) * 1000, Timer::SessionEnd(Arc::clone(&cell.client_id)));
    }
    cell.lock().is_leaving = false;
    cell.detached.notify_waiters();
}

/// The will of a session without a connection is due, or the broker ends and will not be there when it is.
pub(crate) fn publish_will(hub: &Hub, batch: &mut Batch, cell: &Cell, is_due: impl FnOnce(u64) -> bool) {
    let (will, queue) = {
        let mut state = cell.lock();
        let will = if state.connected.is_some() || !is_due(state.will_due_ms) { None } else { state.will.take() };
        (will, state.durable.as_ref().map(|durable| durable.queue))
    };
    if will.is_some() {
        let store = queue.map_or(Stored::Nothing, Stored::Will);
        Due { client_id: Arc::clone(&cell.client_id), will, store }.publish(hub, batch);
    }
}

/// Ends a session that has no connection: its subscriptions go, its will is due, what it could not deliver of a share
/// group goes on to the group's other members (QoS 1 only [MQTT-4.8.2-5]).
/// Answers with which group it is gone from the store, if it was there.
pub(crate) fn end(hub: &Hub, cell: &Arc<Cell>) -> Option<Group> {
    let mut batch = Batch::begin(hub);
    let (queue, (left, rest), subscriptions, will) = {
        let mut state = cell.lock();
        if state.ended || state.connected.is_some() {
            return None;
        }
        let queue = state.durable.as_ref().map(|durable| durable.queue);
        (queue, state.end(hub, &mut batch.draft), state.subscriptions.take(), state.will.take())
    };
    hub.disarm(&Timer::Will(Arc::clone(&cell.client_id)));
    hub.disarm(&Timer::SessionEnd(Arc::clone(&cell.client_id)));
    subscribe::forget(hub, cell, subscriptions);
    hub.registry.remove(cell);
    hub.session_drops.forget(&cell.client_id);
    if will.is_some() {
        // In one commit: a process that ends before it finds the session again, and its will.
        let store = match (&rest, queue) {
            (Some(rest), _) => Stored::Will(rest.queue()),
            (None, Some(queue)) => Stored::Session(queue),
            (None, None) => Stored::Nothing,
        };
        Due { client_id: Arc::clone(&cell.client_id), will, store }.publish(hub, &mut batch);
    }
    leftover::hand_on_from_memory(hub, &mut batch, left);
    let group = batch.submit(hub).map(|(group, _nobody_waits)| group);
    batch.finish(hub);
    if let Some(rest) = rest {
        rest.go_on(hub, false);
    }
    group.filter(|_| queue.is_some())
}
