//! Carrying out what a queue's machine says: messages to inboxes, endings to the store and the counters, dead letters
//! to their queue, reads to the store, the next deadline to the timer.

use std::{sync::Arc, task::Waker};

use primer_core::{
    message::Message,
    queue::{Death, Event, Fate, GroupId, Left, Position, Stub},
};

use super::{
    cell::{Offer, QueueCell, State, whereabouts},
    inbox::{Inbox, Parcel},
    item::{DeadLetter, Item, Shared, Wishes},
    record::{self, REASONS},
};
use crate::{
    drops::Reason,
    inner::Inner,
    journal::{Change, Draft, Loaded, Want, Whereabouts, content},
};

/// What a queue costs beside its messages, roughly.
const QUEUE_BYTES: usize = 1_200;

/// Events for which a queue keeps the memory.
const EVENTS_KEPT_MAX: usize = 4_096;

/// When what could not be read is tried again.
const READ_AGAIN_MS: u64 = 200;

impl QueueCell {
    /// Deals, and carries out what has happened. See the module's description.
    pub(crate) fn turn(self: &Arc<Self>, inner: &Arc<Inner>, state: &mut State, now_ms: u64, wakers: &mut Vec<Waker>) {
        state.machine.deal(now_ms);
        let mut held: Vec<(Arc<Inbox>, Parcel)> = Vec::new();
        let mut events = std::mem::take(&mut state.events);
        state.machine.swap_events(&mut events);
        for event in events.drain(..) {
            match event {
                Event::Deliver { group, consumer, lease, position, attempt, item } => {
                    state.note_attempt(group, position, attempt);
                    let Some(inbox) = state.inboxes.get(&(group, consumer)) else { continue };
                    let parcel = Parcel { lease, position, attempt, item };
                    if lease.is_none() && state.kept.is_some() {
                        held.push((Arc::clone(inbox), parcel));
                    } else {
                        inbox.put(parcel, wakers);
                    }
                }
                Event::Done { group, position, fate, attempts, left } => {
                    state.group_is_done(group, position);
                    if let (Fate::Dead(death), Some(left)) = (fate, left) {
                        let change = None;
                        self.bury(inner, state, now_ms, Some(group), attempts, death, (position, left), change);
                    }
                }
                Event::Gone { group, position, fate, attempts, left } => {
                    count(inner, fate);
                    if let Some(group) = group.filter(|_| attempts > 1) {
                        state.group_is_done(group, position); // its count of deliveries goes as well
                    }
                    let change = match &state.kept {
                        Some(kept) if fate != Fate::Void => Some(Change::Gone {
                            queue: kept.id,
                            position: position.0,
                            floor: state.machine.floor().0,
                            at: whereabouts(&left),
                        }),
                        _ => None,
                    };
                    match fate {
                        Fate::Dead(death) => {
                            self.bury(inner, state, now_ms, group, attempts, death, (position, left), change);
                        }
                        _ => change.into_iter().for_each(|change| state.draft.change(change)),
                    }
                }
            }
        }
        if events.capacity() <= EVENTS_KEPT_MAX {
            state.events = events;
        }
        self.load(inner, state);
        state.forget_ids();
        if !held.is_empty() {
            deliver_when_durable(inner, state, held);
        } else if let Some(journal) = inner.journal()
            && !state.draft.is_empty()
        {
            journal.store().note(std::mem::take(&mut state.draft));
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

    /// A message goes to the dead letters. What ends it here is written together with what begins it there.
    #[expect(clippy::too_many_arguments, reason = "what the events say, which differ in it")]
    fn bury(
        self: &Arc<Self>,
        inner: &Arc<Inner>,
        state: &mut State,
        now_ms: u64,
        group: Option<GroupId>,
        deliveries: u32,
        death: Death,
        (position, left): (Position, Left<Shared>),
        change: Option<Change>,
    ) {
        if self.is_dead() {
            inner.drops.add(Reason::RejectedByConsumer, 1);
            change.into_iter().for_each(|change| state.draft.change(change));
            return;
        }
        let named = group.and_then(|wanted| state.machine.groups().find(|(group, ..)| *group == wanted));
        let reason = match death {
            Death::Rejected => REASONS[0],
            Death::Deliveries => REASONS[1],
            Death::Overflow => REASONS[2],
        };
        let letter = DeadLetter {
            queue: Arc::clone(&self.name),
            group: named.map_or("", |(_, name, _)| name).into(),
            reason,
            deliveries,
            died_unix_ms: inner.clock.unix_ms(),
        };
        match left {
            Left::Item(item) => {
                let mut draft = std::mem::take(&mut state.draft);
                change.into_iter().for_each(|change| draft.change(change));
                push_dead(inner, now_ms, &item.0, letter, &mut draft);
                state.draft = draft;
            }
            Left::Stub(stub) => self.bury_stored(inner, state, &stub, position, letter, change),
        }
    }

    /// The same for a message that has to be read first. Until that is done it is in the store as it was.
    fn bury_stored(
        self: &Arc<Self>,
        inner: &Arc<Inner>,
        state: &State,
        stub: &Stub,
        position: Position,
        letter: DeadLetter,
        change: Option<Change>,
    ) {
        let (Some(kept), Some(journal)) = (&state.kept, inner.journal()) else { return };
        let want = Want { sequence: stub.reference, queue: kept.id, position: position.0 };
        let (inner, stub) = (Arc::clone(inner), *stub);
        journal.store().load(vec![want], move |loaded| {
            let Some(journal) = inner.journal() else { return };
            let mut draft = Draft::default();
            for one in &loaded {
                match read(one, &stub) {
                    Some(item) => push_dead(&inner, inner.clock.now_ms(), &item, letter.clone(), &mut draft),
                    None => inner.drops.add(Reason::Damaged, 1),
                }
            }
            change.into_iter().for_each(|change| draft.change(change));
            journal.store().submit(draft);
        });
    }

    /// Has messages read that a consumer waits for.
    fn load(self: &Arc<Self>, inner: &Arc<Inner>, state: &mut State) {
        if state.is_loading {
            return;
        }
        let stubs = state.machine.take_to_load();
        let (Some(kept), Some(journal)) = (&state.kept, inner.journal()) else { return };
        if stubs.is_empty() {
            return;
        }
        state.is_loading = true;
        let want = |stub: &Stub| Want { sequence: stub.reference, queue: kept.id, position: stub.position.0 };
        let wants: Vec<Want> = stubs.iter().map(want).collect();
        let (me, inner) = (Arc::clone(self), Arc::clone(inner));
        journal.store().load(wants, move |loaded| {
            me.with(&inner, |state, now_ms| {
                state.is_loading = false;
                let mut is_unreadable = false;
                for (stub, one) in stubs.iter().zip(&loaded) {
                    match read(one, stub) {
                        Some(item) => state.machine.fill(stub.position, Shared(Arc::new(item))),
                        None if one.is_unreadable => is_unreadable = true,
                        None => state.machine.lose(stub.position),
                    }
                }
                if is_unreadable {
                    // The machine asks again when it deals: not at once.
                    state.is_loading = true;
                    inner.timers.arm(now_ms + READ_AGAIN_MS, me.key);
                }
            });
        });
    }
}

impl State {
    /// A group has got a message again: that counts also in the next life, where it may be given up.
    fn note_attempt(&mut self, group: GroupId, position: Position, attempt: u32) {
        let Some(kept) = &self.kept else { return };
        if attempt > 1 || position.0 < kept.restored_below {
            let Some(queue) = kept.groups.get(&group) else { return };
            let tag = u16::try_from(attempt).unwrap_or(u16::MAX);
            self.draft.change(Change::Lease { queue: *queue, position: position.0, tag });
        }
    }

    fn group_is_done(&mut self, group: GroupId, position: Position) {
        let Some(queue) = self.kept.as_ref().and_then(|kept| kept.groups.get(&group)) else { return };
        let floor = self.machine.floor().0;
        let (position, at) = (position.0, Whereabouts::Nowhere);
        self.draft.change(Change::Gone { queue: *queue, position, floor, at });
    }

    fn forget_ids(&mut self) {
        let forgotten = self.machine.take_forgotten_ids();
        let Some(kept) = &self.kept else { return };
        for id in forgotten {
            self.draft.change(Change::Remove { queue: kept.id, key: record::id_key(&id) });
        }
    }
}

/// Where once is enough, the next process must know that it was before anybody gets it.
fn deliver_when_durable(inner: &Arc<Inner>, state: &mut State, held: Vec<(Arc<Inbox>, Parcel)>) {
    let (Some(group), Some(runtime)) = (state.submit(inner), inner.runtime()) else { return };
    let inner = Arc::clone(inner);
    runtime.spawn(async move {
        let Some(journal) = inner.journal() else { return };
        if !journal.store().ended(group).await {
            inner.drops.add(Reason::DiskFailed, held.len() as u64);
            return;
        }
        let mut wakers = Vec::new();
        held.into_iter().for_each(|(inbox, parcel)| inbox.put(parcel, &mut wakers));
        wakers.into_iter().for_each(Waker::wake);
    });
}

/// Puts a message into the dead letters of its queue.
fn push_dead(inner: &Arc<Inner>, now_ms: u64, item: &Item, letter: DeadLetter, draft: &mut Draft) {
    let Ok(dead) = inner.registry.dead_letters_of(&letter.queue) else { return };
    let mut extra = item.extra.as_deref().cloned().unwrap_or_default();
    (extra.id, extra.due_unix_ms, extra.dead) = (None, None, Some(letter));
    let message = item.message.expiring_at(primer_core::message::NEVER_MS);
    let wishes = Wishes { priority: item.priority, delay_ms: 0, extra };
    dead.push_along(inner, now_ms, &message, &wishes, Some(item.time_unix_ms), draft);
}

impl QueueCell {
    /// Pushes a message as part of a draft of somebody else; a refusal is counted.
    pub(crate) fn push_along(
        self: &Arc<Self>,
        inner: &Arc<Inner>,
        now_ms: u64,
        message: &Message,
        wishes: &Wishes,
        time_unix_ms: Option<u64>,
        draft: &mut Draft,
    ) -> bool {
        let ticket = inner.journal().map(|_| Arc::default());
        let offer = Offer { message, wishes, time_unix_ms, ticket: ticket.as_ref() };
        let mut wakers = Vec::new();
        let mut state = self.state.lock();
        let taken = self.accept(inner, &mut state, now_ms, &offer);
        let is_taken = taken.is_ok();
        match taken {
            Ok(taken) => {
                if let (Some(ticket), Some((queue, note)), Some(journal)) = (ticket, taken.note, inner.journal()) {
                    // What defines the queue comes before its first message.
                    let own = std::mem::take(&mut state.draft);
                    draft.append(own);
                    content::write(draft, journal, ticket, (queue, taken.position.0), &note, message);
                }
            }
            Err(why) => inner.drops.add(crate::drops::reason_of(why), 1),
        }
        self.turn(inner, &mut state, now_ms, &mut wakers);
        drop(state);
        wakers.into_iter().for_each(Waker::wake);
        is_taken
    }
}

/// A message that was read back.
pub(crate) fn read(loaded: &Loaded, stub: &Stub) -> Option<Item> {
    let message = loaded.message.as_ref()?;
    let note = record::read_note(&message.note)?;
    let parts = content::parts(&message.content, stub.expires_at_ms)?;
    let at = Whereabouts::At { sequence: stub.reference, len: stub.len };
    Some(Item::new(Message::new(&parts), at, note.time_unix_ms, note.priority, note.extra))
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
