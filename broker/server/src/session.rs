//! A session as all connections see it: the session machine, its queue and the bytes on their way, under one lock.
//!
//! Whoever delivers a message locks the cell, appends, and leaves the waker of the connection to be woken at the end
//! of its batch. The connection takes the bytes under the same lock and writes them. A waker in the cell means that
//! the connection sleeps and its buffer is empty or blocked; a missing one means that it runs or will run.
//!
//! What is given to a session stands in `intake`, what leaves it in `pump`, what of it its client may read in `rights`.
//!
//! Lock order: the routing table before a cell; two cells are never locked together.

mod intake;
mod pump;
mod rights;

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering},
    },
    task::Waker,
};

use parking_lot::{Mutex, MutexGuard};
use primer::{
    Charge, SubscriberKey,
    journal::{self, Change, Draft, Whereabouts},
};
use primer_core::{
    backlog::{Backlog, Item, Left},
    commit::{Accepted, Refused},
    message::Message,
};
use primer_mqtt::{
    ReasonCode,
    codec::packet::{PacketId, QoS},
    session::{SESSION_NEVER_EXPIRES, Session, Terms},
};
use tokio::sync::Notify;

use crate::{
    access::Identity,
    batch::{Batch, Burst},
    buffers::{self, KEPT_BYTES_MAX},
    delivery::{Queued, Share},
    durable::Durable,
    filters::Filters,
    hub::Hub,
    leftover::{self, Rest},
    limits::{ANSWERS_BYTES_MAX, PUMP_BYTES_MAX, SESSION_BYTES, UNACCOUNTED_BYTES_MAX},
    queues::consuming::Consuming,
    replay::Replays,
    schema,
    will::Will,
};

/// A session that others hold on to.
#[derive(Debug)]
pub(crate) struct Cell {
    pub(crate) key: SubscriberKey,
    pub(crate) client_id: Arc<str>,
    /// Told when a connection has let go of the session.
    pub(crate) detached: Notify,
    /// Whether somebody is connected, to be read without the lock; the lock's own word counts.
    is_online: AtomicBool,
    /// How many messages of QoS 0, and of QoS 1 and 2, it could have sent at once, when that was last noted: what share
    /// groups choose by, without the lock.
    room: [AtomicUsize; 2],
    /// When the client was last heard of, in the node's milliseconds.
    heard_at_ms: AtomicU64,
    state: Mutex<State>,
}

/// What the lock of a cell guards.
#[derive(Debug)]
pub(crate) struct State {
    client_id: Arc<str>,
    pub(crate) machine: Session,
    pub(crate) queue: Backlog<Queued>,
    /// Encoded packets that the connection has not taken.
    pub(crate) outbox: Vec<u8>,
    /// Bytes that the connection has taken and not written.
    pub(crate) unwritten: usize,
    pub(crate) waker: Option<Waker>,
    /// The socket takes no more for now: new bytes wake nobody, the socket will.
    pub(crate) is_blocked: bool,
    /// Who is connected, while somebody is.
    pub(crate) connected: Option<Arc<Identity>>,
    /// Who is connected, or was last: `None` before the first connection since the process began.
    reader: Option<Arc<Identity>>,
    /// Whether the client may not read all that it has subscribed to, or what waits for it: then each message is asked
    /// about.
    pub(crate) is_restricted: bool,
    /// Asks the connection to end, with a reason for the client.
    pub(crate) close: Option<ReasonCode>,
    /// Retained messages that are still to be looked up.
    pub(crate) replays: Replays,
    /// The packet identifier of the PUBREC that is being handled.
    pub(crate) receiving: Option<PacketId>,
    /// Subscriptions to queues, if there are any.
    pub(crate) consuming: Option<Box<Consuming>>,
    pub(crate) will: Option<Box<Will>>,
    /// When the will of a session without a connection is due.
    pub(crate) will_due_ms: u64,
    pub(crate) session_expiry_s: u32,
    /// When the session ends unless somebody connects; meaningless while somebody is.
    pub(crate) ends_at_ms: u64,
    /// What outlives the process, if the session does.
    pub(crate) durable: Option<Box<Durable>>,
    /// Filters as the client wrote them, share prefix included.
    pub(crate) subscriptions: Filters,
    /// What the subscriptions are charged with.
    pub(crate) subscription_bytes: usize,
    /// A connection is letting go of the session: nobody is connected, and nobody may connect yet.
    pub(crate) is_leaving: bool,
    /// The session is over and its cell must not be used again.
    pub(crate) ended: bool,
    /// Whether a connection ever opened the session.
    pub(crate) opened: bool,
    /// Counts the connections of the session, so that a look at an earlier one is known as such.
    pub(crate) connection: u32,
    /// The longest silence of the client, in milliseconds; 0 for any.
    pub(crate) silence_ms_max: u32,
    charge: Charge,
}

/// How one subscription wants one message.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Wish<'s> {
    pub(crate) qos: QoS,
    pub(crate) retain: bool,
    pub(crate) ids: &'s [u32],
    pub(crate) share: Option<&'s Arc<Share>>,
    /// Whether it is an answer to this client alone, who may have it: no subscription's.
    pub(crate) is_direct: bool,
}

/// What became of a message at one session.
#[derive(Debug)]
pub(crate) enum Delivered {
    /// The session is over, or its client may not read it: it is as if it had not subscribed.
    Gone,
    /// It needs no proof: QoS 0, sent or dropped and counted.
    Live,
    /// The session's queue has answered for it.
    Queued(Result<Accepted, Refused>),
    /// It is in the session's queue, and its store answers for it when it is durable.
    Stored,
}

impl Cell {
    pub(crate) fn new(key: SubscriberKey, client_id: Arc<str>, queue: Backlog<Queued>) -> Self {
        let state = State {
            client_id: Arc::clone(&client_id),
            machine: Session::default(),
            queue,
            outbox: Vec::new(),
            unwritten: 0,
            waker: None,
            is_blocked: false,
            connected: None,
            reader: None,
            is_restricted: false,
            close: None,
            replays: Replays::default(),
            receiving: None,
            consuming: None,
            will: None,
            will_due_ms: 0,
            session_expiry_s: 0,
            ends_at_ms: 0,
            durable: None,
            subscriptions: Filters::default(),
            subscription_bytes: 0,
            is_leaving: false,
            ended: false,
            opened: false,
            connection: 0,
            silence_ms_max: 0,
            charge: Charge::default(),
        };
        Self {
            key,
            client_id,
            detached: Notify::new(),
            is_online: AtomicBool::new(false),
            room: Default::default(),
            heard_at_ms: AtomicU64::new(0),
            state: Mutex::new(state),
        }
    }

    pub(crate) fn is_online(&self) -> bool {
        self.is_online.load(Ordering::Relaxed)
    }

    pub(crate) fn set_online(&self, is_online: bool) {
        self.is_online.store(is_online, Ordering::Relaxed);
    }

    /// How many messages a share group may give to this session and have sent at once; as it was a moment ago, so that
    /// some may have to wait in its queue after all.
    pub(crate) fn room(&self, qos: QoS) -> usize {
        let [at_most_once, at_least_once] = &self.room;
        let room = if qos == QoS::AtMostOnce { at_most_once } else { at_least_once };
        room.load(Ordering::Relaxed)
    }

    /// Notes how much room there is now.
    pub(crate) fn note_room(&self, state: &State) {
        let is_open = state.connected.is_some() && state.backlog() < PUMP_BYTES_MAX;
        let credit = if state.queue.has_ready() { 0 } else { state.machine.credit() };
        for (room, now) in self.room.iter().zip([if is_open { usize::MAX } else { 0 }, credit]) {
            room.store(now, Ordering::Relaxed);
        }
    }

    pub(crate) fn heard_at_ms(&self) -> u64 {
        self.heard_at_ms.load(Ordering::Relaxed)
    }

    pub(crate) fn set_heard(&self, at_ms: u64) {
        self.heard_at_ms.store(at_ms, Ordering::Relaxed);
    }

    pub(crate) fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock()
    }

    /// Delivers a burst, or the publications of it that `which` names in ascending order, to this session: into its
    /// connection's buffer or its queue. `answer` hears what became of each.
    pub(crate) fn deliver(
        &self,
        hub: &Hub,
        batch: &mut Batch<'_>,
        wish: &Wish<'_>,
        burst: Burst<'_, '_>,
        which: impl ExactSizeIterator<Item = usize> + Clone,
        mut answer: impl FnMut(usize, Delivered),
    ) {
        let mut state = self.lock();
        if state.ended {
            drop(state);
            which.for_each(|index| answer(index, Delivered::Gone));
            return;
        }
        if state.is_restricted && !wish.is_direct && !state.may_read(hub, burst.first().topic) {
            drop(state);
            which.for_each(|index| answer(index, Delivered::Gone)); // as if it had not subscribed
            return;
        }
        state.ensure_buffer();
        let qos = wish.qos.min(burst.first().qos);
        // With QoS 0 queued, what comes live waits behind what is queued.
        let waits = hub.options.queue_qos0 && (state.connected.is_none() || state.queue.has_ready());
        if qos == QoS::AtMostOnce && !waits {
            state.send_now(hub, batch, wish, burst, which.clone());
            which.for_each(|index| answer(index, Delivered::Live));
        } else {
            state.enqueue(hub, batch, (qos, wish), burst, which, &mut answer);
        }
        self.note_room(&state);
        state.touch(hub, &mut batch.wakers);
    }
}

impl State {
    /// Has a buffer at hand for what is going to be written. A connection whose socket is full might hold it for long.
    pub(crate) fn ensure_buffer(&mut self) {
        if self.outbox.capacity() == 0 && self.connected.is_some() && !self.is_blocked {
            self.outbox = buffers::take();
        }
    }

    /// Notes that the buffer has changed: the connection is to be woken, once, at the end of the batch.
    pub(crate) fn touch(&mut self, hub: &Hub, wakers: &mut Vec<Waker>) {
        if self.connected.is_none() || (self.is_blocked && self.close.is_none()) {
            self.account(hub);
        } else if self.waker.is_none() {
            if self.queue.memory() + self.outbox.len() > self.charge.bytes() + UNACCOUNTED_BYTES_MAX {
                self.account(hub);
            }
        } else if let Some(waker) = self.waker.take() {
            self.account(hub);
            wakers.push(waker);
        }
    }

    /// Wakes the connection now.
    pub(crate) fn wake(&mut self) {
        if let Some(waker) = self.waker.take() {
            waker.wake();
        }
    }

    /// Brings the charge on the node's budget up to date.
    pub(crate) fn account(&mut self, hub: &Hub) {
        let fixed = SESSION_BYTES + self.subscription_bytes + self.will.as_ref().map_or(0, |will| will.bytes());
        // A buffer of the usual size goes from one connection to the next; what is in it is this one's.
        let outbox = if self.outbox.capacity() > KEPT_BYTES_MAX { self.outbox.capacity() } else { self.outbox.len() };
        let held = self.durable.as_ref().map_or(0, |durable| durable.held_bytes());
        let bytes = fixed + self.queue.memory() + outbox + self.unwritten + held;
        self.charge.set(&hub.node.budget, bytes);
    }

    /// Bytes on their way to the client.
    pub(crate) fn backlog(&self) -> usize {
        self.outbox.len() + self.unwritten + self.durable.as_ref().map_or(0, |durable| durable.held_bytes())
    }

    /// Whether the client causes answers and does not read them.
    pub(crate) fn never_reads(&self, hub: &Hub) -> bool {
        // What the buffer may hold, and one packet that was let in below that bound, are not the client's doing.
        let packet = hub.options.protocol.packet_bytes_max as usize;
        self.backlog() > hub.options.outbox_bytes_max.max(PUMP_BYTES_MAX) + packet + ANSWERS_BYTES_MAX
    }

    /// Whether retained messages may enter: after what waits already, and while the buffer has room.
    pub(crate) fn has_room_for_retained(&self) -> bool {
        let holds = self.durable.as_ref().is_some_and(|durable| durable.waits_for().is_some());
        self.connected.is_some() && !holds && !self.queue.has_ready() && self.backlog() < PUMP_BYTES_MAX
    }

    /// With which reason the connection has to end now. A broker that stops leaves it until what waits for the client
    /// has been taken, or the time for that is up.
    pub(crate) fn must_close(&self, hub: &Hub) -> Option<ReasonCode> {
        let drains = self.close == Some(ReasonCode::SERVER_SHUTTING_DOWN) && !hub.is_cutting();
        let waits = !self.queue.is_empty() || self.backlog() > 0 || self.machine.in_flight() > 0;
        self.close.filter(|_| !(drains && waits))
    }

    /// Begins a connection.
    pub(crate) fn attach(&mut self, identity: Arc<Identity>, terms: &Terms, will: Option<Box<Will>>) {
        if let Some(durable) = &mut self.durable {
            durable.attach();
        }
        self.connected = Some(identity);
        self.close = None;
        self.will = will;
        self.session_expiry_s = terms.session_expiry_s;
        self.opened = true;
        self.connection = self.connection.wrapping_add(1);
        // One and a half times the keep alive [MQTT-3.1.2-22].
        self.silence_ms_max = u32::from(terms.keep_alive_s) * 1500;
        self.is_blocked = false;
        self.unwritten = 0;
        self.outbox.clear();
    }

    /// The connection is gone: what is in flight stays, in memory of its own.
    pub(crate) fn detach(&mut self, hub: &Hub, now_ms: u64) {
        self.machine.detach();
        self.leave_queues();
        self.connected = None;
        self.waker = None;
        self.outbox = Vec::new();
        self.unwritten = 0;
        self.ends_at_ms = match self.session_expiry_s {
            SESSION_NEVER_EXPIRES => u64::MAX,
            seconds => now_ms + u64::from(seconds) * 1000,
        };
        self.queue.for_each_leased(|item| match item.stub().filter(|_| item.is_durable()) {
            Some((sequence, len)) => (item.message, item.at) = (None, Whereabouts::At { sequence, len }),
            None => item.message = item.message.as_ref().map(Message::compact),
        });
        if let (Some(durable), Some(journal)) = (&mut self.durable, hub.node.journal()) {
            self.queue.chill();
            durable.detach();
            let gone_at = journal.to_unix_ms(now_ms).unwrap_or(0);
            durable.put(schema::GONE_AT.into(), gone_at.to_le_bytes().into());
            durable.put(schema::EXPIRY.into(), self.session_expiry_s.to_le_bytes().into());
            durable.note(journal);
        }
        self.account(hub);
    }

    /// Whether the session's time is up.
    pub(crate) fn is_expired(&self, now_ms: u64) -> bool {
        self.connected.is_none()
            && self.opened
            && self.session_expiry_s != SESSION_NEVER_EXPIRES
            && now_ms >= self.ends_at_ms
    }

    /// Ends the session: hands out what its queue held in memory, and what is to be handed on of what is stored. When
    /// the draft is durable, it is gone from the store.
    pub(crate) fn end(&mut self, hub: &Hub, draft: &mut Draft) -> (Vec<Queued>, Option<Rest>) {
        let mut rest = None;
        self.ended = true;
        self.machine.clear();
        self.replays.clear();
        self.consuming = None;
        let stored = self.queue.drain_stored();
        let mut left: Vec<Queued> = self.queue.drain().collect();
        if let Some(mut durable) = self.durable.take() {
            for at in left.iter().map(|item| item.at.clone()) {
                durable.change(Change::Settle(journal::settle(at)));
            }
            let mut stubs = Vec::new();
            for (_, one) in stored {
                match one {
                    Left::Stub(stub) => stubs.push(stub),
                    Left::Item(item) => {
                        durable.change(Change::Settle(journal::settle(item.at.clone())));
                        left.push(item);
                    }
                }
            }
            let is_shared = self.subscriptions.any(|filter| filter.starts_with("$share/"));
            rest = leftover::end(hub, draft, *durable, stubs, (is_shared, self.will.is_some()));
        }
        self.outbox = Vec::new();
        self.charge.set(&hub.node.budget, 0);
        (left, rest)
    }
}
