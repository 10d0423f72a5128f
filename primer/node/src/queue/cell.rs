//! A queue as all who use it see it: the machine, its consumers' inboxes and its side of the store, under one lock.
//!
//! Whoever gives the machine an input has its events carried out before the lock is free again ([`State::turn`]), and
//! wakes whom that concerns afterwards.
//!
//! Lock order: a queue, then its dead letters, then an inbox. A queue's lock is never taken under an inbox's, nor two
//! queues' otherwise.

use std::{
    collections::BTreeMap,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    task::Waker,
};

use parking_lot::Mutex;
use primer_core::{
    commit::{Accepted, Refused},
    message::Message,
    queue::{ConsumerId, Credit, Event, GroupId, GroupOptions, Position, Pushed, Queue, name},
};

use super::{
    burial::Burial,
    carry::Holding,
    inbox::Inbox,
    item::{Item, Shared, Wishes},
    record,
};
use crate::{
    budget::Charge,
    definition::{Definition, Keeping},
    inner::Inner,
    journal::{self, Change, Draft, Group, QueueId, Ticket, Whereabouts},
};

/// Names a queue within a process; never used twice.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct QueueKey(pub(crate) u64);

/// The queue's side of the store.
#[derive(Debug)]
pub(crate) struct Kept {
    pub(crate) id: QueueId,
    pub(crate) groups: BTreeMap<GroupId, QueueId>,
    /// Messages below this position were there when the process started.
    pub(crate) restored_below: u64,
    /// Messages that are gone from the machine and not from the store, as it is not sure that they stand elsewhere:
    /// their positions, and how many wait for that. What is below a floor is gone in the store: it stays below them.
    pub(crate) unsure: BTreeMap<u64, u32>,
}

/// See the module's description.
pub(crate) struct QueueCell {
    pub(crate) name: Arc<str>,
    pub(crate) key: QueueKey,
    /// Whether anybody has made it, said something about it, or put something into it; until then it is only waited
    /// for, and is not shown.
    is_known: AtomicBool,
    pub(crate) state: Mutex<State>,
}

#[derive(Debug)]
pub(crate) struct State {
    pub(crate) machine: Queue<Shared>,
    pub(crate) definition: Arc<Definition>,
    /// Whether the definition was given by hand, and not by a pattern.
    pub(crate) is_own: bool,
    pub(crate) kept: Option<Box<Kept>>,
    pub(crate) inboxes: BTreeMap<(GroupId, ConsumerId), Arc<Inbox>>,
    /// What has happened and is not carried out; empty but for its memory.
    pub(crate) events: Vec<Event<Shared>>,
    /// Messages that are given up, until the end of the turn.
    pub(crate) burials: Vec<Burial>,
    /// What the store has to be told.
    pub(crate) draft: Draft,
    pub(crate) charge: Charge,
    /// The time for which the node's timer is set, in its milliseconds.
    pub(crate) armed_ms: u64,
    pub(crate) is_loading: bool,
    pub(crate) is_ended: bool,
    /// Since when nobody uses a queue that does not exist.
    pub(crate) idle_since_ms: Option<u64>,
    /// What consumers get when the disk knows of it.
    pub(crate) holding: Holding,
}

/// What became of a message that was pushed.
#[derive(Debug)]
pub(crate) struct Taken {
    pub(crate) position: Position,
    pub(crate) is_duplicate: bool,
    /// The machine's word; with a store, the store has to say so as well.
    pub(crate) accepted: Accepted,
    /// What the store has to write: for which queue, with which note.
    pub(crate) note: Option<(QueueId, Vec<u8>)>,
    /// Whether the publisher is told before the store has said anything.
    pub(crate) is_at_once: bool,
}

/// A message that is to be pushed.
#[derive(Debug)]
pub(crate) struct Offer<'a> {
    pub(crate) message: Message,
    pub(crate) wishes: Wishes,
    /// Now, in milliseconds since 1970.
    pub(crate) unix_ms: u64,
    /// When it was published; now, if it is not said.
    pub(crate) time_unix_ms: Option<u64>,
    pub(crate) ticket: Option<&'a Arc<Ticket>>,
    /// It was in the node already, and only moves: there is room for it, also while the node stops.
    pub(crate) is_own: bool,
}

impl std::fmt::Debug for QueueCell {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("QueueCell").field(&self.name).finish()
    }
}

impl QueueCell {
    pub(crate) fn new(name: &str, key: QueueKey, definition: Definition, is_own: bool) -> Self {
        let machine = Queue::new(definition.terms(name.starts_with(name::DEAD)));
        let state = State {
            machine,
            definition: Arc::new(definition),
            is_own,
            kept: None,
            inboxes: BTreeMap::new(),
            events: Vec::new(),
            burials: Vec::new(),
            draft: Draft::default(),
            charge: Charge::default(),
            armed_ms: u64::MAX,
            is_loading: false,
            is_ended: false,
            idle_since_ms: None,
            holding: Holding::default(),
        };
        Self { name: name.into(), key, is_known: AtomicBool::new(false), state: Mutex::new(state) }
    }

    pub(crate) fn is_known(&self) -> bool {
        self.is_known.load(Ordering::Acquire)
    }

    pub(crate) fn is_dead(&self) -> bool {
        self.name.starts_with(name::DEAD)
    }

    /// Runs `act` under the lock, carries out what came of it, and wakes whom it concerns.
    pub(crate) fn with<R>(self: &Arc<Self>, inner: &Arc<Inner>, act: impl FnOnce(&mut State, u64) -> R) -> R {
        let now_ms = inner.clock.now_ms();
        let mut wakers = Vec::new();
        let mut state = self.state.lock();
        let result = act(&mut state, now_ms);
        self.turn(inner, &mut state, now_ms, &mut wakers);
        drop(state);
        wakers.into_iter().for_each(Waker::wake);
        result
    }

    /// From now on the queue is one that exists: it is shown, and the store knows it.
    pub(crate) fn make_known(&self, inner: &Inner, state: &mut State) {
        if !self.is_known.swap(true, Ordering::AcqRel) {
            state.begin_keeping(&self.name, inner);
        }
    }

    /// Takes a message in. With a store the caller writes it: [`Taken::note`] says what is to be noted of it, and the
    /// draft of the state has to go along or before.
    pub(crate) fn accept(
        &self,
        inner: &Inner,
        state: &mut State,
        now_ms: u64,
        offer: Offer<'_>,
    ) -> Result<Taken, Refused> {
        if state.is_ended {
            return Err(Refused::Deleted);
        }
        if inner.is_stopping() && !offer.is_own {
            return Err(Refused::Stopping);
        }
        if inner.budget.is_spent() && !offer.is_own {
            return Err(Refused::MemoryFull);
        }
        self.make_known(inner, state);
        let unix_ms = offer.unix_ms;
        let Wishes { priority, delay_ms, mut extra } = offer.wishes;
        let due_ms = (delay_ms > 0).then(|| now_ms.saturating_add(delay_ms));
        extra.due_unix_ms = due_ms.map(|_| unix_ms.saturating_add(delay_ms));
        let id = extra.id.clone();
        let at = match (&state.kept, offer.ticket) {
            (Some(_), Some(ticket)) => {
                inner.journal().map_or(Ok(()), |journal| journal.admits())?;
                Whereabouts::With(Arc::clone(ticket))
            }
            _ => Whereabouts::Nowhere,
        };
        let expires_at_ms = offer.message.expires_at_ms();
        let message = state.bounded(now_ms, offer.message);
        let is_bounded = message.expires_at_ms() < expires_at_ms;
        let left_ms = message.expires_at_ms().saturating_sub(now_ms);
        extra.expires_unix_ms = is_bounded.then(|| unix_ms.saturating_add(left_ms));
        let time_unix_ms = offer.time_unix_ms.unwrap_or(unix_ms);
        let item = Item::new(message, at, time_unix_ms, priority, extra);
        let mut note = Vec::new();
        if state.kept.is_some() {
            record::note(&mut note, &item);
        }
        let pushed = state.machine.push(now_ms, priority, due_ms, id.as_deref(), Shared(Arc::new(item)))?;
        let (position, accepted, is_duplicate) = match pushed {
            Pushed::New(position, accepted) => (position, accepted, false),
            Pushed::Duplicate(position, accepted) => (position, accepted, true),
        };
        let is_at_once = state.definition.sync != Keeping::Group;
        let note = state.kept.as_ref().map(|kept| kept.id).map(|queue| (queue, note));
        if let (Some((queue, _)), Some(id)) = (&note, &id) {
            // A duplicate is told anew as well: it may not be acknowledged before what it is one of is durable.
            let until = unix_ms.saturating_add(state.definition.dedupe_window_ms);
            let value = record::id_value(until, position.0);
            if state.definition.dedupe_window_ms > 0 {
                state.draft.change(Change::Put { queue: *queue, key: record::id_key(id), value });
            }
        }
        if !is_duplicate && let Some(ticket) = offer.ticket.filter(|_| note.is_some()) {
            ticket.add();
        }
        Ok(Taken { position, is_duplicate, accepted, note: note.filter(|_| !is_duplicate), is_at_once })
    }

    /// Adds a group, or finds it.
    pub(crate) fn group(
        self: &Arc<Self>,
        inner: &Arc<Inner>,
        name: &str,
        options: Option<GroupOptions>,
        from_now: bool,
    ) -> Option<GroupId> {
        self.with(inner, |state, _| {
            let options = options.unwrap_or_else(|| state.definition.group());
            let (group, is_new) = state.machine.add_group(name, options, from_now)?;
            if is_new {
                let from = if from_now { state.machine.next_position().0 } else { 0 };
                state.keep_group(inner, group, name, options, from);
            }
            Some(group)
        })
    }

    /// Nothing comes to consumers any more.
    pub(crate) fn close_inboxes(&self) {
        let mut wakers = Vec::new();
        let state = self.state.lock();
        state.inboxes.values().for_each(|inbox| inbox.close(&mut wakers));
        drop(state);
        wakers.into_iter().for_each(Waker::wake);
    }

    /// Messages that consumers have.
    pub(crate) fn leased(&self) -> usize {
        let state = self.state.lock();
        state.machine.groups().map(|(group, ..)| state.machine.group_figures(group).leased).sum()
    }

    /// A consumer joins. One that comes while the node stops gets an end at once.
    pub(crate) fn attach(
        self: &Arc<Self>,
        inner: &Arc<Inner>,
        (group, name): (GroupId, &str),
        credit: Credit,
    ) -> Option<(ConsumerId, Arc<Inbox>)> {
        self.with(inner, |state, _| {
            if state.is_ended || state.machine.group_named(name) != Some(group) {
                return None;
            }
            let is_stopping = inner.is_stopping();
            let credit = if is_stopping { Credit { messages: 0, ..credit } } else { credit };
            let consumer = state.machine.attach(group, credit)?;
            let inbox = Arc::new(Inbox::default());
            if is_stopping {
                inbox.close(&mut Vec::new());
            }
            state.inboxes.insert((group, consumer), Arc::clone(&inbox));
            Some((consumer, inbox))
        })
    }
}

impl State {
    /// No message stands below this position, in the machine or in the store.
    pub(crate) fn floor(&self) -> u64 {
        let floor = self.machine.floor().0;
        let unsure = self.kept.as_ref().and_then(|kept| kept.unsure.first_key_value());
        unsure.map_or(floor, |(position, _)| floor.min(*position))
    }

    /// A message is gone from the machine, and may come back by the store.
    pub(crate) fn hold_floor(&mut self, position: Position) {
        if let Some(kept) = &mut self.kept {
            *kept.unsure.entry(position.0).or_default() += 1;
        }
    }

    /// It stands elsewhere for good.
    pub(crate) fn let_go_of_floor(&mut self, position: Position) {
        let Some(kept) = &mut self.kept else { return };
        if let Some(count) = kept.unsure.get_mut(&position.0) {
            *count -= 1;
            if *count == 0 {
                kept.unsure.remove(&position.0);
            }
        }
    }

    /// The store learns of the queue, if it is to be there and is not.
    pub(crate) fn begin_keeping(&mut self, name: &str, inner: &Inner) {
        let Some(journal) = inner.journal() else { return };
        if self.definition.sync == Keeping::Memory || self.kept.is_some() || self.is_ended {
            return;
        }
        let id = journal.store().new_queue();
        self.draft.change(Change::Define { queue: id, name: record::queue_name(name) });
        self.kept = Some(Box::new(Kept { id, groups: BTreeMap::new(), restored_below: 0, unsure: BTreeMap::new() }));
        if self.is_own {
            self.keep_definition();
        }
        if self.machine.is_paused() {
            self.keep_paused();
        }
        let groups: Vec<(GroupId, Box<str>, GroupOptions)> =
            self.machine.groups().map(|(group, name, options)| (group, name.into(), options)).collect();
        for (group, name, options) in groups {
            self.keep_group(inner, group, &name, options, 0);
        }
    }

    /// The store learns whether the queue is paused.
    pub(crate) fn keep_paused(&mut self) {
        let Some(queue) = self.kept.as_ref().map(|kept| kept.id) else { return };
        let key = record::PAUSED.into();
        self.draft.change(match self.machine.is_paused() {
            true => Change::Put { queue, key, value: Box::default() },
            false => Change::Remove { queue, key },
        });
    }

    /// Whether messages are to be written. What is on the disk stays there, also when it is told otherwise later.
    pub(crate) fn may_keep(&self, inner: &Inner) -> bool {
        inner.journal().is_some() && (self.kept.is_some() || self.definition.sync != Keeping::Memory)
    }

    /// The message with the queue's time to live, where that is less than its own.
    fn bounded(&self, now_ms: u64, message: Message) -> Message {
        match self.definition.ttl_ms {
            Some(ttl_ms) => message.expiring_at(message.expires_at_ms().min(now_ms.saturating_add(ttl_ms))),
            None => message,
        }
    }

    /// The store learns of a group.
    pub(crate) fn keep_group(&mut self, inner: &Inner, group: GroupId, name: &str, options: GroupOptions, from: u64) {
        let (Some(kept), Some(journal)) = (&mut self.kept, inner.journal()) else { return };
        let id = journal.store().new_queue();
        kept.groups.insert(group, id);
        self.draft.change(Change::Define { queue: id, name: record::group_name(kept.id, name) });
        let (key, value) = (record::OPTIONS.into(), record::options(options, from));
        self.draft.change(Change::Put { queue: id, key, value });
    }

    /// The store learns what was said of the queue by hand.
    pub(crate) fn keep_definition(&mut self) {
        let Some(kept) = &self.kept else { return };
        let value = serde_json::to_vec(&*self.definition).unwrap_or_default().into();
        self.draft.change(Change::Put { queue: kept.id, key: record::DEFINITION.into(), value });
    }

    /// Hands the draft over; answers when that is durable, if there is anything to wait for.
    pub(crate) fn submit(&mut self, inner: &Inner) -> Option<Group> {
        let journal = inner.journal()?;
        (!self.draft.is_empty()).then(|| journal.store().submit(std::mem::take(&mut self.draft)))
    }
}

/// Where a message is that has left a queue.
pub(crate) fn whereabouts(left: &primer_core::queue::Left<Shared>) -> Whereabouts {
    match left {
        primer_core::queue::Left::Item(item) => journal::settle(item.0.at.clone()),
        primer_core::queue::Left::Stub(stub) => Whereabouts::At { sequence: stub.reference, len: stub.len },
    }
}
