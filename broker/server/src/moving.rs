//! What goes from one place because it comes to another, in one commit; and goes back if that fails: a retained message
//! that another replaced, delayed messages and wills that were published, what an ended session hands on, what mapping
//! rules have remembered of a publish.
//!
//! The store keeps what was to go (`Move`), and here is what memory has to put right. Retained messages are noted
//! under the lock of the list, so that it always has all of a topic that are not sure.

use std::{
    collections::BTreeMap,
    sync::{Arc, Weak},
    task::{Wake, Waker},
};

use parking_lot::Mutex;
use primer::{
    Kept, Undo,
    drops::Reason,
    journal::{Change, Group, Journal, Move, QueueId, Whereabouts},
};

use crate::{
    batch::{Batch, Publication},
    hub::{Hub, Later},
    leftover::{self, HandedOn, Rest},
    pipeline, schema,
    will::Will,
};

/// Messages that are published in one turn before others have theirs.
const TURN_MAX: usize = 1024;

/// How long a delayed message waits that could not be published.
const AGAIN_MS: u64 = 1000;

/// What is not sure yet, in the order in which it was begun.
#[derive(Debug, Default)]
pub(crate) struct Moving(Mutex<Moves>);

#[derive(Debug, Default)]
pub(crate) struct Moves {
    next: u64,
    /// The group is known when the batch has been handed over.
    open: BTreeMap<u64, (Option<Group>, Moved)>,
}

/// One that is not sure.
#[derive(Debug)]
pub(crate) enum Moved {
    Retained(Replaced),
    Delayed(Vec<Later>),
    Will(Due),
    /// Messages of an ended session that were in memory.
    Shared(Vec<HandedOn>),
    /// Those that are in the store.
    Leftover(Rest),
    /// What rules have remembered of a publish.
    Remembered(Undo),
}

/// A retained message took the place of another.
#[derive(Debug)]
pub(crate) struct Replaced {
    pub(crate) topic: Box<str>,
    /// Its position; none where a message was deleted.
    pub(crate) position: Option<u64>,
    pub(crate) before: Option<Kept>,
    /// What was before is not what its own commit lets go of: that one failed.
    pub(crate) inherits: bool,
}

/// A will that was published, and what the store had of it.
#[derive(Debug)]
pub(crate) struct Due {
    pub(crate) client_id: Arc<str>,
    /// None where no store takes part in its publication.
    pub(crate) will: Option<Box<Will>>,
    pub(crate) store: Stored,
}

/// What goes from the store with a will.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Stored {
    Nothing,
    /// The will in the session's queue.
    Will(QueueId),
    /// The session.
    Session(QueueId),
}

/// The store calls the housekeeper.
struct Alarm(Weak<Hub>);

impl Wake for Alarm {
    fn wake(self: Arc<Self>) {
        if let Some(hub) = self.0.upgrade() {
            hub.timers_changed.notify_one();
        }
    }
}

/// Wakes the housekeeper.
pub(crate) fn alarm(hub: &Arc<Hub>) -> Waker {
    Waker::from(Arc::new(Alarm(Arc::downgrade(hub))))
}

/// Whether what is due can be published now.
pub(crate) fn may_publish(hub: &Hub) -> bool {
    hub.node.journal().is_none_or(|journal| journal.admits().is_ok())
}

impl Moves {
    pub(crate) fn add(&mut self, moved: Moved) -> u64 {
        self.next += 1;
        self.open.insert(self.next, (None, moved));
        self.next
    }

    /// The message before a retained one that was refused is what a later one of the topic has to go back to. Answers
    /// it where there is no later one that is not sure.
    fn inherit(&mut self, refused: Replaced) -> Option<Replaced> {
        let next = self.open.values_mut().find_map(|(_, moved)| match moved {
            Moved::Retained(next) if next.before_position() == refused.position && next.topic == refused.topic => {
                Some(next)
            }
            _ => None,
        });
        match next {
            Some(next) => {
                (next.before, next.inherits) = (refused.before, true);
                None
            }
            None => Some(refused),
        }
    }
}

impl Replaced {
    fn before_position(&self) -> Option<u64> {
        self.before.as_ref()?.kept.as_ref().map(|kept| kept.position)
    }
}

impl Moving {
    /// For who changes the retained messages and notes it.
    pub(crate) fn lock(&self) -> parking_lot::MutexGuard<'_, Moves> {
        self.0.lock()
    }

    /// Whether nothing is unsure.
    #[cfg(test)]
    pub(crate) fn is_settled(&self) -> bool {
        self.0.lock().open.is_empty()
    }

    /// A batch was handed over.
    pub(crate) fn handed_over(&self, hub: &Hub, journal: &Journal, moved: &[u64], group: Group) {
        let mut moves = self.0.lock();
        let mut has_leftover = false;
        for id in moved {
            if let Some((known, moved)) = moves.open.get_mut(id) {
                *known = Some(group);
                has_leftover |= matches!(moved, Moved::Leftover(_));
            }
        }
        // What has become durable needs no memory.
        while let Some(entry) = moves.open.first_entry()
            && let (Some(group), moved) = entry.get()
            && !moved.goes_on()
            && journal.store().outcome(*group) == Some(true)
        {
            entry.remove();
        }
        drop(moves);
        if has_leftover && hub.me().is_none_or(|hub| !journal.store().wake_when(group, &alarm(&hub))) {
            hub.timers_changed.notify_one();
        }
    }

    /// Publishes delayed messages that are due.
    pub(crate) fn publish_due(&self, hub: &Hub, batch: &mut Batch<'_>) {
        if !may_publish(hub) {
            return; // the store calls when it does
        }
        let mut moved = Vec::new();
        for _ in 0..TURN_MAX {
            let due = hub.node.delayed.pop_due(&hub.node.budget, batch.now_ms);
            let Some(later) = due else { break };
            let is_expired = later.message.is_expired(batch.now_ms);
            if let (Some(kept), Some(journal)) = (later.kept.clone(), hub.node.journal()) {
                match is_expired {
                    true => batch.draft.change(kept.gone(journal.delayed.id)),
                    false => batch.draft.when_durable(kept.moves(journal.delayed.id)),
                }
            }
            if is_expired {
                hub.node.drops.add(Reason::Expired, 1);
                continue;
            }
            let publication = Publication::of_message(&later.message, later.qos, later.retain, batch.now_ms);
            pipeline::publish_own(hub, batch, &publication);
            moved.push(later);
        }
        if !moved.is_empty() && hub.node.journal().is_some() {
            batch.moves(hub, Moved::Delayed(moved));
        }
    }

    /// The store has refused a group: what rules have remembered of its publishes goes back. To be called before their
    /// publishers hear of it: what they send again is new to the rules.
    pub(crate) fn take_back_remembered(&self, group: Group) {
        let mut moves = self.0.lock();
        let is_of_it =
            |(known, moved): &(Option<Group>, Moved)| *known == Some(group) && matches!(moved, Moved::Remembered(_));
        let ids: Vec<u64> = moves.open.iter().rev().filter(|(_, one)| is_of_it(one)).map(|(id, _)| *id).collect();
        for id in ids {
            if let Some((_, Moved::Remembered(undo))) = moves.open.remove(&id) {
                undo.run();
            }
        }
    }

    /// Looks at what was not sure: what did not become durable goes back, or is tried again.
    pub(crate) fn look(&self, hub: &Hub, batch: &mut Batch<'_>) {
        let Some(journal) = hub.node.journal() else { return };
        let may_publish = may_publish(hub);
        let mut again = Vec::new();
        let mut moves = self.0.lock();
        let known = moves.open.iter().filter_map(|(id, (group, _))| Some((*id, journal.store().outcome((*group)?)?)));
        for (id, is_durable) in known.collect::<Vec<_>>() {
            let Some((group, moved)) = moves.open.remove(&id) else { continue };
            match moved {
                Moved::Retained(replaced) if is_durable => replaced.let_go(journal, batch),
                Moved::Retained(replaced) => {
                    if let Some(replaced) = moves.inherit(replaced) {
                        replaced.put_back(hub, journal, batch);
                    }
                }
                Moved::Leftover(rest) if is_durable => again.push((true, Moved::Leftover(rest))),
                _ if is_durable => {}
                Moved::Remembered(undo) => undo.run(),
                moved if may_publish || matches!(moved, Moved::Delayed(_)) => again.push((false, moved)),
                moved => drop(moves.open.insert(id, (group, moved))),
            }
        }
        drop(moves);
        for (is_durable, moved) in again {
            moved.go_on(hub, batch, is_durable);
        }
    }
}

impl Moved {
    /// Whether something is to be done when it is durable.
    const fn goes_on(&self) -> bool {
        matches!(self, Self::Leftover(_) | Self::Retained(Replaced { inherits: true, .. }))
    }

    fn go_on(self, hub: &Hub, batch: &mut Batch<'_>, is_durable: bool) {
        match self {
            Self::Retained(_) | Self::Remembered(_) => {}
            Self::Delayed(moved) => hold_again(hub, batch, moved),
            Self::Will(due) => due.again(hub, batch),
            Self::Shared(handed_on) => leftover::hand_on_again(hub, batch, handed_on),
            Self::Leftover(rest) => rest.go_on(hub, is_durable),
        }
    }
}

/// Delayed messages are still in the store; in memory they wait a little longer.
fn hold_again(hub: &Hub, batch: &mut Batch<'_>, moved: Vec<Later>) {
    tracing::warn!(messages = moved.len(), "delayed messages could not be published and are held back again");
    let left_out = moved.into_iter().filter_map(|later| hub.hold(batch.now_ms + AGAIN_MS, later).err()).count();
    if left_out > 0 {
        tracing::error!(left_out, "delayed messages have no room in memory: they come with the next start");
        hub.node.drops.add(Reason::MemoryFull, left_out as u64);
    }
}

impl Replaced {
    /// It is durable, and what its own commit did not let go of goes now.
    fn let_go(self, journal: &Journal, batch: &mut Batch<'_>) {
        if let Some(kept) = self.before.and_then(|before| before.kept).filter(|_| self.inherits) {
            batch.draft.change(kept.gone(journal.retained.id));
        }
    }

    /// It was refused: what was before is there again.
    fn put_back(self, hub: &Hub, journal: &Journal, batch: &mut Batch<'_>) {
        let Self { topic, position, before, .. } = self;
        let queue = journal.retained.id;
        if let Some(position) = position {
            // What was refused may stand in the file all the same.
            batch.draft.change(Change::Gone { queue, position, floor: 0, at: Whereabouts::Nowhere });
        }
        match hub.node.retained.put_back(&hub.node.budget, &topic, position, before) {
            Ok(()) => tracing::warn!(%topic, "what was retained is again: the message after it was refused"),
            Err(Some(Kept { kept: Some(kept), .. })) => batch.draft.change(kept.gone(queue)),
            Err(_) => {}
        }
    }
}

impl Due {
    /// Publishes the will; what the store has of it goes in the same commit.
    pub(crate) fn publish(mut self, hub: &Hub, batch: &mut Batch<'_>) {
        let len = batch.draft.len();
        if let Some(will) = &self.will {
            will.publish(hub, batch, &self.client_id);
        }
        if batch.draft.len() == len {
            self.will = None; // it is nothing that could be refused later
        }
        match self.store {
            Stored::Nothing => {}
            Stored::Will(queue) => batch.draft.when_durable(Move::Remove { queue, key: schema::WILL.into() }),
            Stored::Session(queue) => batch.draft.when_durable(Move::Drop(queue)),
        }
        if self.will.is_some() || self.store != Stored::Nothing {
            batch.moves(hub, Moved::Will(self));
        }
    }

    fn again(mut self, hub: &Hub, batch: &mut Batch<'_>) {
        if let Stored::Will(queue) = self.store
            && let Some(cell) = hub.registry.get(&self.client_id)
        {
            let state = cell.lock();
            let is_its = state.durable.as_ref().is_some_and(|durable| durable.queue == queue);
            if is_its && state.will.is_some() {
                self.store = Stored::Nothing; // a new one stands in its place
            }
        }
        if self.will.is_some() {
            tracing::warn!(client_id = %self.client_id, "a will could not be published and is published again");
        }
        self.publish(hub, batch);
    }
}
