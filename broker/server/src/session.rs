//! A session as all connections see it: the session machine, its queue and the bytes on their way, under one lock.
//!
//! Whoever delivers a message locks the cell, appends, and leaves the waker of the connection to be woken at the end
//! of its batch. The connection takes the bytes under the same lock and writes them. A waker in the cell means that
//! the connection sleeps and its buffer is empty or blocked; a missing one means that it runs or will run.
//!
//! Lock order: the routing table before a cell; two cells are never locked together.

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
    drops::Reason,
    journal::{self, Change, Store, Ticket, Whereabouts},
};
use primer_core::{
    commit::{Accepted, Refused},
    message::Message,
    queue::{Bounds, Item, Left, Position, Queue},
};
use primer_mqtt::{
    ReasonCode,
    codec::packet::QoS,
    session::{SESSION_NEVER_EXPIRES, Sent, Session, Terms},
};
use tokio::sync::Notify;

use crate::{
    access::Identity,
    batch::{Batch, Burst, Publication},
    buffers::{self, KEPT_BYTES_MAX},
    delivery::{self, Ids, Queued, Share},
    durable::{self, Durable},
    filters::Filters,
    hub::Hub,
    leftover,
    limits::{ANSWERS_BYTES_MAX, PUMP_BYTES_MAX, READY_KEPT_MAX, SESSION_BYTES, UNACCOUNTED_BYTES_MAX},
    pipeline,
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
    pub(crate) machine: Session,
    pub(crate) queue: Queue<Queued>,
    /// Encoded packets that the connection has not taken.
    pub(crate) outbox: Vec<u8>,
    /// Bytes that the connection has taken and not written.
    pub(crate) unwritten: usize,
    pub(crate) waker: Option<Waker>,
    /// The socket takes no more for now: new bytes wake nobody, the socket will.
    pub(crate) is_blocked: bool,
    /// Who is connected, while somebody is.
    pub(crate) connected: Option<Arc<Identity>>,
    /// Asks the connection to end, with a reason for the client.
    pub(crate) close: Option<ReasonCode>,
    /// Retained messages that are still to be looked up.
    pub(crate) replays: Replays,
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
}

/// Messages that were sent, and the bytes of their payloads.
#[derive(Debug, Default)]
struct Tally {
    messages: u64,
    bytes: u64,
}

impl Tally {
    const fn add(&mut self, payload: &[u8]) {
        self.messages += 1;
        self.bytes += payload.len() as u64;
    }
}

/// What became of a message at one session.
#[derive(Debug)]
pub(crate) enum Delivered {
    /// The session is over: it is as if it had not subscribed.
    Gone,
    /// It needs no proof: QoS 0, sent or dropped and counted.
    Live,
    /// The session's queue has answered for it.
    Queued(Result<Accepted, Refused>),
    /// It is in the session's queue, and its store answers for it when it is durable.
    Stored,
}

impl Cell {
    pub(crate) fn new(key: SubscriberKey, client_id: Arc<str>, queue: Queue<Queued>) -> Self {
        let state = State {
            machine: Session::default(),
            queue,
            outbox: Vec::new(),
            unwritten: 0,
            waker: None,
            is_blocked: false,
            connected: None,
            close: None,
            replays: Replays::default(),
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
    /// QoS 0 messages: into the buffer of the connection, or nowhere.
    fn send_now(
        &mut self,
        hub: &Hub,
        batch: &mut Batch<'_>,
        wish: &Wish<'_>,
        burst: Burst<'_, '_>,
        which: impl ExactSizeIterator<Item = usize>,
    ) {
        if self.connected.is_none() {
            hub.node.drops.add(Reason::Offline, which.len() as u64);
            return;
        }
        let all = which.len() == burst.len();
        if all && batch.is_shared && wish.ids.is_empty() && wish.retain == burst.first().shared_retain {
            let frame_bytes_max = batch.frames.frame_bytes_max(burst);
            if let Some(version) = self.machine.takes_plain(frame_bytes_max)
                && self.has_room_for(hub, frame_bytes_max * burst.len())
            {
                self.outbox.extend_from_slice(batch.frames.frames(version, burst));
                let payload_bytes = batch.frames.payload_bytes();
                batch.count_sent(burst.len(), payload_bytes);
                return;
            }
        }
        for index in which {
            self.send_one_now(hub, batch, wish, burst.get(index));
        }
    }

    /// Whether so much more may be sent without another look at the limits.
    fn has_room_for(&self, hub: &Hub, bytes: usize) -> bool {
        let bytes = self.backlog() + bytes;
        bytes <= hub.options.outbox_bytes_max && (bytes <= PUMP_BYTES_MAX || !hub.node.budget.is_spent())
    }

    fn send_one_now(&mut self, hub: &Hub, batch: &mut Batch<'_>, wish: &Wish<'_>, publication: &Publication<'_>) {
        if self.backlog() > PUMP_BYTES_MAX && hub.node.budget.is_spent() {
            hub.node.drops.add(Reason::MemoryFull, 1);
            return;
        }
        if self.backlog() > hub.options.outbox_bytes_max {
            hub.node.drops.add(Reason::SlowConsumer, 1);
            if hub.options.disconnect_slow_consumers && self.close.is_none() {
                self.close = Some(ReasonCode::QUOTA_EXCEEDED);
                hub.counters.slow_closed.add(1);
            }
            return;
        }
        match self.machine.send_at_most_once(&publication.as_delivery(QoS::AtMostOnce, wish), &mut self.outbox) {
            Sent::Written => batch.count_sent(1, publication.payload.len()),
            Sent::TooLarge => hub.node.drops.add(Reason::TooLarge, 1),
            Sent::Offline => hub.node.drops.add(Reason::Offline, 1),
        }
    }

    /// QoS 1 or 2 messages: into the queue, and from there at once to the connection as far as its window is open.
    fn enqueue(
        &mut self,
        hub: &Hub,
        batch: &mut Batch<'_>,
        (qos, wish): (QoS, &Wish<'_>),
        burst: Burst<'_, '_>,
        which: impl ExactSizeIterator<Item = usize>,
        answer: &mut impl FnMut(usize, Delivered),
    ) {
        if hub.node.budget.is_spent() {
            hub.node.drops.add(Reason::MemoryFull, which.len() as u64);
            which.for_each(|index| answer(index, Delivered::Queued(Err(Refused::MemoryFull))));
            return;
        }
        // What goes at once shares the memory of its read; what waits must not pin it.
        let mut credit = if self.queue.has_ready() { 0 } else { self.machine.credit() };
        let mut room = PUMP_BYTES_MAX.saturating_sub(self.backlog());
        let goes_at_all = credit > 0 && room > 0;
        for index in which {
            let goes_at_once = credit > 0 && room > 0;
            let item = match self.item(hub, batch, (qos, wish), (burst, index), goes_at_once) {
                Ok(item) => item,
                Err(why) => {
                    hub.node.drops.add(pipeline::reason_of(why), 1);
                    answer(index, Delivered::Queued(Err(why)));
                    continue;
                }
            };
            credit = credit.saturating_sub(1);
            room = room.saturating_sub(item.cost());
            if goes_at_all && self.is_full(hub, &item) {
                self.pump(hub, batch.now_ms); // what can go at once is not trimmed
            }
            let ticket = match &item.at {
                Whereabouts::With(ticket) => Some(Arc::clone(ticket)),
                _ => None,
            };
            answer(index, self.push(batch, wish, index, item, ticket));
        }
        if goes_at_all {
            self.pump(hub, batch.now_ms);
        } else {
            if self.queue.ready_len() > READY_KEPT_MAX || self.connected.is_none() {
                self.queue.chill();
            }
            self.count_dropped(hub);
        }
    }

    /// A publication as it stands in the queue. One for a session that lasts is in memory only if it goes at once: the
    /// store has it.
    fn item(
        &self,
        hub: &Hub,
        batch: &mut Batch<'_>,
        (qos, wish): (QoS, &Wish<'_>),
        (burst, index): (Burst<'_, '_>, usize),
        goes_at_once: bool,
    ) -> Result<Queued, Refused> {
        let ids = Ids::from_slice(wish.ids);
        let share = wish.share.cloned();
        let Some(journal) = hub.node.journal().filter(|_| self.durable.is_some()) else {
            let publication = burst.get(index);
            let message = if goes_at_once { batch.message(publication) } else { batch.own_message(burst, index) };
            return Ok(Queued::new(message, qos, wish.retain, ids, share));
        };
        journal.admits()?;
        let publication = burst.get(index);
        let at = Whereabouts::With(batch.ticket(index));
        let cost = delivery::cost(publication.len(), &ids);
        let message = goes_at_once.then(|| batch.message(publication));
        let expires_at_ms = publication.expires_at_ms;
        Ok(Queued { message, at, qos, retain: wish.retain, ids, share, cost, expires_at_ms })
    }

    fn push(
        &mut self,
        batch: &mut Batch<'_>,
        wish: &Wish<'_>,
        index: usize,
        item: Queued,
        ticket: Option<Arc<Ticket>>,
    ) -> Delivered {
        let (Some(ticket), Some(durable)) = (ticket, &self.durable) else {
            return Delivered::Queued(self.queue.push(batch.now_ms, item));
        };
        ticket.add();
        let qos = item.qos;
        match self.queue.push(batch.now_ms, item) {
            Ok(_the_store_will_say) => {
                batch.destination(index, durable.queue, self.queue.last_position().0, (qos, wish));
                Delivered::Stored
            }
            Err(why) => {
                let _it_is_not_submitted = Store::settle(&ticket);
                Delivered::Queued(Err(why))
            }
        }
    }

    /// Whether the queue has to make room for this one.
    fn is_full(&self, hub: &Hub, item: &Queued) -> bool {
        let Bounds { messages_max, bytes_max, .. } = hub.options.queue;
        self.queue.len() >= messages_max || self.queue.bytes() + item.cost() > bytes_max
    }

    /// Has a buffer at hand for what is going to be written. A connection whose socket is full might hold it for long.
    pub(crate) fn ensure_buffer(&mut self) {
        if self.outbox.capacity() == 0 && self.connected.is_some() && !self.is_blocked {
            self.outbox = buffers::take();
        }
    }

    /// Whether there may be something to move.
    pub(crate) fn may_pump(&self) -> bool {
        self.queue.has_ready() || self.machine.has_resends()
    }

    /// Moves messages from the queue to the buffer, as far as the client's window and the buffer allow.
    pub(crate) fn pump(&mut self, hub: &Hub, now_ms: u64) {
        let mut tally = Tally::default();
        self.send_again(hub, now_ms, &mut tally);
        self.send_ready(hub, now_ms, &mut tally);
        hub.counters.publishes_sent.add(tally.messages);
        hub.counters.publish_bytes_sent.add(tally.bytes);
        self.count_dropped(hub);
    }

    fn send_again(&mut self, hub: &Hub, now_ms: u64, tally: &mut Tally) {
        while self.backlog() < PUMP_BYTES_MAX
            && let Some(resend) = self.machine.next_resend()
        {
            let Some(item) = self.queue.get(resend.position) else {
                self.machine.give_up(resend);
                continue;
            };
            let Some(delivery) = item.as_delivery(now_ms) else {
                self.machine.postpone(resend);
                self.load(hub, 1);
                return;
            };
            let sent = self.machine.send_again(resend, &delivery, &mut self.outbox);
            tally.add(delivery.payload);
            if sent == Sent::TooLarge {
                self.take_out(resend.position);
                hub.node.drops.add(Reason::TooLarge, 1);
            }
        }
    }

    fn send_ready(&mut self, hub: &Hub, now_ms: u64, tally: &mut Tally) {
        let mut held = Vec::new();
        while self.backlog() + held.len() < PUMP_BYTES_MAX && self.machine.credit() > 0 {
            let Some((position, item)) = self.queue.lease(now_ms) else {
                if self.durable.is_some() {
                    self.load(hub, self.machine.credit());
                }
                break;
            };
            if item.is_withdrawn() {
                self.queue.ack(position);
                continue;
            }
            // A QoS 2 message is on its way only when that is written down: sent from memory, it might be sent again
            // under another packet identifier by a process that does not know of it.
            let is_durable = item.is_durable();
            let is_held = is_durable && item.qos == QoS::ExactlyOnce;
            let is_settled = item.is_settled();
            let Some(delivery) = item.as_delivery(now_ms).filter(|_| !is_held || is_settled) else {
                self.queue.unlease(position);
                self.wait_for_store(hub, is_settled);
                break;
            };
            let at_most_once = item.qos == QoS::AtMostOnce;
            let sent = match item.qos {
                QoS::AtMostOnce => self.machine.send_at_most_once(&delivery, &mut self.outbox),
                _ if is_held => self.machine.send_held(&delivery, position, &mut held),
                _ => self.machine.send(&delivery, position, &mut self.outbox),
            };
            match sent {
                Sent::Written => tally.add(delivery.payload),
                Sent::TooLarge => hub.node.drops.add(Reason::TooLarge, 1),
                Sent::Offline => {
                    self.queue.unlease(position);
                    break;
                }
            }
            if at_most_once || sent == Sent::TooLarge {
                self.take_out(position);
            } else if let Some(durable) = self.durable.as_mut().filter(|_| is_durable) {
                let tag = self.machine.last_packet_id();
                durable.change(Change::Lease { queue: durable.queue, position: position.0, tag });
            }
        }
        if !held.is_empty()
            && let (Some(durable), Some(journal)) = (&mut self.durable, hub.node.journal())
        {
            let group = durable.submit(journal);
            durable.hold(group, held);
        }
    }

    /// The next message cannot be sent yet: it is in the store alone, or not there yet.
    fn wait_for_store(&mut self, hub: &Hub, is_settled: bool) {
        if is_settled {
            self.queue.chill();
            self.load(hub, self.machine.credit());
        } else if let Some(durable) = &mut self.durable {
            durable.is_waiting = true;
        }
    }

    /// A message leaves the queue for good.
    pub(crate) fn take_out(&mut self, position: Position) -> Option<Queued> {
        let item = self.queue.ack(position)?;
        if let Some(durable) = &mut self.durable {
            durable.gone(position, self.queue.floor(), item.at.clone());
        }
        Some(item)
    }

    /// The client is done with a message.
    pub(crate) fn settle(&mut self, hub: &Hub, position: Position, reason: ReasonCode) {
        self.take_out(position);
        if reason.is_error() {
            hub.node.drops.add(Reason::RejectedByConsumer, 1);
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

    pub(crate) fn count_dropped(&mut self, hub: &Hub) {
        let dropped = self.queue.take_dropped();
        hub.node.drops.add(Reason::Expired, dropped.expired);
        hub.node.drops.add(Reason::QueueOverflow, dropped.overflow);
        hub.node.drops.add(Reason::QueueFull, dropped.refused);
        hub.node.drops.add(Reason::Evicted, dropped.evicted);
        if let (Some(durable), Some(journal)) = (&mut self.durable, hub.node.journal()) {
            hub.node.drops.add(Reason::Damaged, durable.take_damaged());
            let floor = self.queue.floor();
            for (position, left) in self.queue.take_left() {
                durable.gone(position, floor, durable::whereabouts(left));
            }
            durable.note(journal);
        }
    }

    /// Ends the session: hands out what its queue held.
    pub(crate) fn end(&mut self, hub: &Hub) -> Vec<Queued> {
        self.ended = true;
        self.machine.clear();
        self.replays.clear();
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
            leftover::end(hub, durable, stubs, is_shared);
        }
        self.outbox = Vec::new();
        self.charge.set(&hub.node.budget, 0);
        left
    }
}
