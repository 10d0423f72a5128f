//! Dead letters on their way: out of the queue that gave them up, into the queue of its dead letters, in one commit.
//!
//! A message that the disk has is in one of the two at any time: what ends it in the one is a move of the store, which
//! happens if what begins it in the other is durable. Should that commit fail, or the node have no room, the burial is
//! tried again until it holds; a process that ends before finds the message where it was.

use std::sync::Arc;

use parking_lot::Mutex;
use primer_core::{
    commit::Refused,
    message::NEVER_MS,
    queue::{Death, GroupId, Left, Position, Stub},
};

use super::{
    carry::Riding,
    cell::{QueueCell, State},
    item::{DeadLetter, Item, Shared, Wishes},
    reading::read,
    record::REASONS,
};
use crate::{
    drops::{Reason, reason_of},
    inner::Inner,
    journal::{Change, Draft, Group, Move, QueueId, Want, Whereabouts},
};

/// A message that is given up.
#[derive(Debug)]
pub(crate) struct Burial {
    item: Arc<Item>,
    letter: DeadLetter,
    /// The queue that it is given up by, and where it stands there.
    origin: Arc<QueueCell>,
    position: Position,
    /// What goes when it stands in the dead letters: from the queue, and what its group knows of it.
    leaves: Vec<(QueueId, Position)>,
    at: Whereabouts,
}

/// Burials that are not sure yet, with the group that decides; none for what has to be tried again.
#[derive(Debug, Default)]
pub(crate) struct Burials {
    unsure: Mutex<Vec<(Option<Group>, Burial)>>,
    /// Messages that somebody moved. Should that fail, they are where they were, for the next start.
    moved: Mutex<Vec<(Group, Arc<QueueCell>, Position)>>,
}

/// Why and by whom a message is given up.
pub(super) struct Verdict {
    pub(super) group: Option<GroupId>,
    pub(super) deliveries: u32,
    pub(super) death: Death,
    /// Whether the queue itself is rid of it, and not only the group.
    pub(super) is_gone: bool,
}

impl QueueCell {
    /// A message goes to the dead letters. Those have none of their own: what is given up there is gone.
    pub(super) fn bury(
        self: &Arc<Self>,
        inner: &Arc<Inner>,
        state: &mut State,
        (position, left): (Position, Left<Shared>),
        verdict: &Verdict,
    ) {
        let leaves = state.leaves(position, verdict);
        // Of a message that other groups still want the store must not let go.
        let at = match &left {
            _ if !verdict.is_gone => Whereabouts::Nowhere,
            Left::Item(item) => item.0.at.clone(),
            Left::Stub(stub) => Whereabouts::At { sequence: stub.reference, len: stub.len },
        };
        if self.is_dead() {
            inner.drops.add(Reason::RejectedByConsumer, 1);
            leave(&mut state.draft, &leaves, at);
            return;
        }
        let named = verdict.group.and_then(|wanted| state.machine.groups().find(|(group, ..)| *group == wanted));
        let letter = DeadLetter {
            queue: Arc::clone(&self.name),
            group: named.map_or("", |(_, name, _)| name).into(),
            reason: match verdict.death {
                Death::Rejected => REASONS[0],
                Death::Deliveries => REASONS[1],
                Death::Overflow => REASONS[2],
            },
            deliveries: verdict.deliveries,
            died_unix_ms: inner.clock.unix_ms(),
        };
        state.hold_floor(position);
        match left {
            Left::Item(item) => {
                let origin = Arc::clone(self);
                state.burials.push(Burial { item: item.0, letter, origin, position, leaves, at });
            }
            Left::Stub(stub) => self.bury_stored(inner, state, stub, letter, leaves, at),
        }
    }

    /// A message that has to be read first. Until that is done it is in the store as it was.
    fn bury_stored(
        self: &Arc<Self>,
        inner: &Arc<Inner>,
        state: &State,
        stub: Stub,
        letter: DeadLetter,
        leaves: Vec<(QueueId, Position)>,
        at: Whereabouts,
    ) {
        let (Some(kept), Some(journal)) = (&state.kept, inner.journal()) else { return };
        let want = Want { sequence: stub.reference, queue: kept.id, position: stub.position.0 };
        let (inner, origin, position) = (Arc::clone(inner), Arc::clone(self), stub.position);
        journal.store().load(vec![want], move |loaded| {
            let (Some(journal), Some(one)) = (inner.journal(), loaded.first()) else { return };
            let mut draft = Draft::default();
            let mut begun = None;
            match read(one, &stub) {
                Some(item) => {
                    let burial =
                        Burial { item: Arc::new(item), letter, origin: Arc::clone(&origin), position, leaves, at };
                    match burial.attempt(&inner, inner.clock.now_ms(), &mut draft) {
                        Ok(unsure) => begun = Some(unsure),
                        Err(Ended) => origin.state.lock().let_go_of_floor(position),
                    }
                }
                None if one.is_unreadable => {
                    tracing::warn!(queue = &*letter.queue, "a dead letter cannot be read now: the next start finds it");
                }
                None => {
                    inner.drops.add(Reason::Damaged, 1);
                    leave(&mut draft, &leaves, at);
                    origin.state.lock().let_go_of_floor(position);
                }
            }
            let group = journal.store().submit(draft);
            inner.burials.add(Some(group), begun.into_iter().collect());
        });
    }
}

/// A burial that has come to its end at once, one way or the other.
struct Ended;

impl State {
    fn leaves(&self, position: Position, verdict: &Verdict) -> Vec<(QueueId, Position)> {
        let Some(kept) = &self.kept else { return Vec::new() };
        let of_queue = verdict.is_gone.then_some(kept.id);
        let of_group = verdict.group.and_then(|group| kept.groups.get(&group).copied());
        of_queue.into_iter().chain(of_group).map(|queue| (queue, position)).collect()
    }

    /// Puts what is given up into the dead letters, as part of the draft.
    pub(super) fn bury_all(&mut self, inner: &Arc<Inner>, now_ms: u64) -> Vec<(bool, Burial)> {
        let burials = std::mem::take(&mut self.burials);
        let (draft, mut ended) = (&mut self.draft, Vec::new());
        let mut unsure = Vec::new();
        for burial in burials {
            let position = burial.position;
            match burial.attempt(inner, now_ms, draft) {
                Ok(one) => unsure.push(one),
                Err(Ended) => ended.push(position),
            }
        }
        ended.into_iter().for_each(|position| self.let_go_of_floor(position));
        unsure
    }
}

impl Burials {
    /// Notes burials whose draft was handed over with this group.
    pub(super) fn add(&self, group: Option<Group>, burials: Vec<(bool, Burial)>) {
        let unsure = burials.into_iter().map(|(is_begun, burial)| (group.filter(|_| is_begun), burial));
        self.unsure.lock().extend(unsure);
    }

    /// Notes a message that was moved out of a queue with this group.
    pub(super) fn moved(&self, group: Group, from: &Arc<QueueCell>, position: Position) {
        self.moved.lock().push((group, Arc::clone(from), position));
    }

    /// Looks at what has become sure, and tries again what has failed.
    pub(crate) fn look(&self, inner: &Arc<Inner>) {
        let Some(journal) = inner.journal() else { return };
        let store = journal.store();
        let (mut failed, mut sure) = (Vec::new(), Vec::new());
        self.unsure.lock().retain_mut(|(group, burial)| match group.map(|group| store.outcome(group)) {
            Some(None) => true,
            Some(Some(true)) => {
                sure.push((Arc::clone(&burial.origin), burial.position));
                false
            }
            Some(Some(false)) | None => {
                failed.push(burial.take());
                false
            }
        });
        self.moved.lock().retain(|(group, from, position)| {
            let outcome = store.outcome(*group);
            if outcome == Some(true) {
                sure.push((Arc::clone(from), *position));
            }
            outcome.is_none()
        });
        let (mut draft, now_ms, mut begun) = (Draft::default(), inner.clock.now_ms(), Vec::new());
        for burial in failed {
            let of = (Arc::clone(&burial.origin), burial.position);
            match burial.attempt(inner, now_ms, &mut draft) {
                Ok(unsure) => begun.push(unsure),
                Err(Ended) => sure.push(of),
            }
        }
        sure.into_iter().for_each(|(origin, position)| origin.state.lock().let_go_of_floor(position));
        if !draft.is_empty() || !begun.is_empty() {
            let group = store.submit(draft);
            self.add(Some(group), begun);
        }
    }
}

impl Burial {
    /// Tries it; answers what has to be looked at later: whether it stands in the draft, or has to be tried again.
    fn attempt(self, inner: &Arc<Inner>, now_ms: u64, draft: &mut Draft) -> Result<(bool, Self), Ended> {
        let mut extra = self.item.extra.as_deref().cloned().unwrap_or_default();
        (extra.id, extra.due_unix_ms, extra.dead) = (None, None, Some(self.letter.clone()));
        let wishes = Wishes { priority: self.item.priority, delay_ms: 0, extra };
        let message = self.item.message.expiring_at(NEVER_MS);
        let dead = inner.registry.dead_letters_of(&self.letter.queue);
        let time = Some(self.item.time_unix_ms);
        let pushed = match &dead {
            Ok(dead) => {
                let message = &message;
                let riding = Riding { message, wishes: &wishes, time_unix_ms: time, is_own: true, is_held: false };
                dead.push_along(inner, now_ms, riding, draft)
            }
            Err(_) => Err(Refused::QueueFull),
        };
        match pushed {
            Ok(rode) => {
                if !rode.is_kept {
                    // Dead letters in memory of a queue on the disk: nothing else says that it is gone.
                    leave(draft, &self.leaves, self.at.clone());
                    return Err(Ended);
                }
                let ((queue, position), groups) = self.leaves.split_first().ok_or(Ended)?;
                let (queue, position, at) = (*queue, position.0, self.at.clone());
                draft.when_durable(Move::Gone { queue, position, at });
                for (queue, position) in groups {
                    let at = Whereabouts::Nowhere;
                    draft.when_durable(Move::Gone { queue: *queue, position: position.0, at });
                }
                Ok((true, self))
            }
            // A definition of somebody's own keeps the dead letters small, and they take no more.
            Err(Refused::QueueFull) => {
                inner.drops.add(Reason::QueueFull, 1);
                leave(draft, &self.leaves, self.at.clone());
                Err(Ended)
            }
            Err(why) if inner.journal().is_none() => {
                inner.drops.add(reason_of(why), 1);
                Err(Ended)
            }
            Err(_) => Ok((false, self)),
        }
    }

    fn take(&mut self) -> Self {
        let Self { item, letter, origin, position, leaves, at } = self;
        Self {
            item: Arc::clone(item),
            letter: letter.clone(),
            origin: Arc::clone(origin),
            position: *position,
            leaves: std::mem::take(leaves),
            at: at.clone(),
        }
    }
}

/// A message is gone without having come anywhere else.
fn leave(draft: &mut Draft, leaves: &[(QueueId, Position)], at: Whereabouts) {
    let mut at = crate::journal::settle(at);
    for (queue, position) in leaves {
        let its = std::mem::replace(&mut at, Whereabouts::Nowhere);
        draft.change(Change::Gone { queue: *queue, position: position.0, floor: 0, at: its });
    }
}
