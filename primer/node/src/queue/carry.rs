//! Carrying out what a queue's machine says: messages to inboxes, endings to the store and the counters, dead letters
//! to their queue, reads to the store, the next deadline to the timer.

use std::{collections::VecDeque, sync::Arc, task::Waker};

use primer_core::{
    commit::Refused,
    message::Message,
    queue::{ConsumerId, Event, Fate, GroupId, Left, Position},
};

use super::{
    burial::Verdict,
    cell::{Offer, QueueCell, State, whereabouts},
    inbox::{Inbox, Parcel},
    item::{Item, Wishes},
    record,
};
use crate::{
    drops::Reason,
    inner::Inner,
    journal::{Change, Draft, Group, Whereabouts, content},
};

/// What a queue costs beside its messages, roughly.
const QUEUE_BYTES: usize = 1_200;

/// Events for which a queue keeps the memory.
const EVENTS_KEPT_MAX: usize = 4_096;

impl QueueCell {
    /// Deals, and carries out what has happened. See the module's description.
    pub(crate) fn turn(self: &Arc<Self>, inner: &Arc<Inner>, state: &mut State, now_ms: u64, wakers: &mut Vec<Waker>) {
        state.machine.deal(now_ms);
        let mut held: Vec<Held> = Vec::new();
        let mut events = std::mem::take(&mut state.events);
        state.machine.swap_events(&mut events);
        for event in events.drain(..) {
            match event {
                Event::Deliver { group, consumer, lease, position, attempt, item } => {
                    state.note_attempt(group, position, attempt);
                    let Some(inbox) = state.inboxes.get(&(group, consumer)) else { continue };
                    let parcel = Parcel { lease, position, attempt, item };
                    if lease.is_none() && state.kept.is_some() {
                        held.push(Held { group, consumer, inbox: Arc::clone(inbox), parcel });
                    } else {
                        inbox.put(parcel, wakers);
                    }
                }
                Event::Done { group, position, fate, attempts, left } => match (fate, left) {
                    (Fate::Dead(death), Some(left)) => {
                        let verdict = Verdict { group: Some(group), deliveries: attempts, death, is_gone: false };
                        self.bury(inner, state, (position, left), &verdict);
                    }
                    _ => state.group_is_done(group, position),
                },
                Event::Gone { group, position, fate: Fate::Dead(death), attempts, left } => {
                    let verdict = Verdict { group, deliveries: attempts, death, is_gone: true };
                    self.bury(inner, state, (position, left), &verdict);
                }
                Event::Gone { group, position, fate, attempts, left } => {
                    count(inner, fate);
                    if let (Fate::Void, Left::Item(item)) = (fate, &left) {
                        state.unremember(&item.0, position);
                    }
                    if let Some(group) = group.filter(|_| attempts > 1 || state.is_restored(position)) {
                        state.group_is_done(group, position); // its count of deliveries goes as well
                    }
                    if let Some(kept) = state.kept.as_ref().filter(|_| fate != Fate::Void) {
                        let (queue, floor) = (kept.id, state.floor());
                        let at = whereabouts(&left);
                        state.draft.change(Change::Gone { queue, position: position.0, floor, at });
                    }
                }
            }
        }
        if events.capacity() <= EVENTS_KEPT_MAX {
            state.events = events;
        }
        self.load(inner, state);
        state.forget_ids();
        let burials = if state.burials.is_empty() { Vec::new() } else { state.bury_all(inner, now_ms) };
        let mut group = None;
        if !held.is_empty() {
            group = self.deliver_when_durable(inner, state, held);
        } else if let Some(journal) = inner.journal()
            && !state.draft.is_empty()
        {
            group = Some(journal.store().note(std::mem::take(&mut state.draft)));
        }
        if !burials.is_empty() {
            inner.burials.add(group, burials);
        }
        self.arm(inner, state);
        let bytes = QUEUE_BYTES + self.name.len() + state.machine.memory();
        state.charge.set(&inner.budget, if state.is_ended { 0 } else { bytes });
    }

    /// Has the node's timer look at the queue in time.
    fn arm(&self, inner: &Inner, state: &mut State) {
        if let Some(at_ms) = state.machine.next_deadline_ms()
            && at_ms < state.armed_ms
        {
            state.armed_ms = at_ms;
            inner.timers.arm(at_ms, self.key);
        }
    }
}

impl State {
    /// A group has got a message again: that counts also in the next life, where it may be given up.
    fn note_attempt(&mut self, group: GroupId, position: Position, attempt: u32) {
        let Some(kept) = &self.kept else { return };
        if attempt > 1 || self.is_restored(position) {
            let Some(queue) = kept.groups.get(&group) else { return };
            let tag = u16::try_from(attempt).unwrap_or(u16::MAX);
            self.draft.change(Change::Lease { queue: *queue, position: position.0, tag });
        }
    }

    /// Whether the message was there when the process started.
    fn is_restored(&self, position: Position) -> bool {
        self.kept.as_ref().is_some_and(|kept| position.0 < kept.restored_below)
    }

    fn group_is_done(&mut self, group: GroupId, position: Position) {
        let Some(queue) = self.kept.as_ref().and_then(|kept| kept.groups.get(&group)) else { return };
        let floor = self.floor();
        let (position, at) = (position.0, Whereabouts::Nowhere);
        self.draft.change(Change::Gone { queue: *queue, position, floor, at });
    }

    /// A message was not taken in after all: the next one of its identifier is not one that comes again.
    fn unremember(&mut self, item: &Item, position: Position) {
        let Some(id) = item.extra.as_ref().and_then(|extra| extra.id.as_deref()) else { return };
        if self.machine.unremember(id, position)
            && let Some(kept) = &self.kept
        {
            self.draft.change(Change::Remove { queue: kept.id, key: record::id_key(id) });
        }
    }

    fn forget_ids(&mut self) {
        let forgotten = self.machine.take_forgotten_ids();
        let Some(kept) = &self.kept else { return };
        for id in forgotten {
            self.draft.change(Change::Remove { queue: kept.id, key: record::id_key(&id) });
        }
    }
}

/// A message that is pushed along with a draft.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Riding<'a> {
    pub(crate) message: &'a Message,
    pub(crate) wishes: &'a Wishes,
    /// When it was published; now, if it is not said.
    pub(crate) time_unix_ms: Option<u64>,
    /// It was in the node already: there is room for it.
    pub(crate) is_own: bool,
    /// It must not be delivered before the draft is handed over.
    pub(crate) is_held: bool,
}

/// What became of it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Rode {
    pub(crate) position: Position,
    /// Whether it stands in the draft.
    pub(crate) is_kept: bool,
    /// Whether it holds the queue: nothing is delivered until somebody lets go of it.
    pub(crate) is_held: bool,
    pub(crate) is_duplicate: bool,
}

/// A message that is handed over when the disk knows of it.
#[derive(Debug)]
pub(super) struct Held {
    group: GroupId,
    consumer: ConsumerId,
    inbox: Arc<Inbox>,
    parcel: Parcel,
}

/// What is held back, by commits, in order.
#[derive(Debug, Default)]
pub(crate) struct Holding {
    turns: VecDeque<(Group, Vec<Held>)>,
    /// A task waits for the first of them.
    is_awaited: bool,
}

impl QueueCell {
    /// Where once is enough, the next process must know that it was before anybody gets it.
    fn deliver_when_durable(self: &Arc<Self>, inner: &Arc<Inner>, state: &mut State, held: Vec<Held>) -> Option<Group> {
        let (Some(group), Some(runtime)) = (state.submit(inner), inner.runtime()) else { return None };
        state.holding.turns.push_back((group, held));
        if !std::mem::replace(&mut state.holding.is_awaited, true) {
            runtime.spawn(Arc::clone(self).hand_over(Arc::clone(inner)));
        }
        Some(group)
    }

    /// Hands over what is held back as it becomes durable. One task does it for a queue: two would overtake each other.
    async fn hand_over(self: Arc<Self>, inner: Arc<Inner>) {
        let Some(journal) = inner.journal() else { return };
        loop {
            let first = {
                let holding = &mut self.state.lock().holding;
                holding.is_awaited = !holding.turns.is_empty();
                holding.turns.front().map(|(group, _)| *group)
            };
            let Some(group) = first else { return };
            let is_durable = journal.store().ended(group).await;
            let Some((_, held)) = self.state.lock().holding.turns.pop_front() else { continue };
            if is_durable {
                let mut wakers = Vec::new();
                for Held { group, consumer, inbox, parcel } in held {
                    if self.state.lock().inboxes.contains_key(&(group, consumer)) {
                        inbox.put(parcel, &mut wakers);
                    } else {
                        inner.drops.add(Reason::Abandoned, 1); // its consumer has gone meanwhile
                    }
                }
                wakers.into_iter().for_each(Waker::wake);
                continue;
            }
            inner.drops.add(Reason::DiskFailed, held.len() as u64);
            self.with(&inner, |state, _| {
                for Held { group, consumer, .. } in &held {
                    state.machine.taken(*group, *consumer, 1); // nobody will take it, and it may have another one
                }
            });
        }
    }

    /// As many messages as hold the queue are handed over, or gone.
    pub(crate) fn let_go(self: &Arc<Self>, inner: &Arc<Inner>, holds: usize) {
        self.with(inner, |state, _| (0..holds).for_each(|_| state.machine.unhold()));
    }

    /// Pushes a message as part of a draft; it stands there if the queue is one on the disk.
    ///
    /// # Errors
    /// The queue does not take it.
    pub(crate) fn push_along(
        self: &Arc<Self>,
        inner: &Arc<Inner>,
        now_ms: u64,
        Riding { message, wishes, time_unix_ms, is_own, is_held }: Riding<'_>,
        draft: &mut Draft,
    ) -> Result<Rode, Refused> {
        let ticket = inner.journal().map(|_| Arc::default());
        let (unix_ms, ticket_of_it) = (inner.clock.unix_ms(), ticket.as_ref());
        let (message_of_it, wishes) = (message.compact(), wishes.clone());
        let offer = Offer { message: message_of_it, wishes, unix_ms, time_unix_ms, ticket: ticket_of_it, is_own };
        let mut wakers = Vec::new();
        let mut state = self.state.lock();
        let taken = self.accept(inner, &mut state, now_ms, offer);
        let rode = taken.map(|taken| {
            let (position, is_duplicate) = (taken.position, taken.is_duplicate);
            let (Some(ticket), Some((queue, note)), Some(journal)) = (ticket, taken.note, inner.journal()) else {
                return Rode { position, is_kept: false, is_held: false, is_duplicate };
            };
            if !state.draft.is_empty() {
                // What defines the queue comes before its first message, and before those of others who push meanwhile.
                journal.store().note(std::mem::take(&mut state.draft));
            }
            content::write(draft, journal, ticket, (queue, position.0), &note, message);
            let is_held = is_held && !is_duplicate;
            if is_held {
                state.machine.hold();
            }
            Rode { position, is_kept: true, is_held, is_duplicate }
        });
        self.turn(inner, &mut state, now_ms, &mut wakers);
        drop(state);
        wakers.into_iter().for_each(Waker::wake);
        rode
    }
}

fn count(inner: &Inner, fate: Fate) {
    let reason = match fate {
        Fate::Expired => Reason::Expired,
        Fate::Trimmed => Reason::QueueOverflow,
        Fate::Evicted => Reason::Evicted,
        Fate::Lost => Reason::Damaged,
        Fate::Acked | Fate::Removed | Fate::Void | Fate::Dead(_) => return,
    };
    inner.drops.add(reason, 1);
}
