//! Moving messages from one queue to another: dead letters back to where they came from, above all.
//!
//! Each message is in one of the two at any time, also over a crash: what ends it here and what begins it there are
//! written together. Should the other queue refuse it, it comes back at the end of this one; should the disk, the next
//! start finds it where it was.

use primer_core::queue::{Left, Position, name};

use super::{Browse, From, Queue, Seen, carry::Riding, item::Wishes};
use crate::{
    drops::reason_of,
    journal::{Draft, Move, Whereabouts},
};

/// What was moved.
///
/// ```
/// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let node = primer::Node::builder().start().await?;
/// let jobs = node.queue("jobs")?;
/// jobs.push("a").await?;
/// let moved = jobs.move_to(Some(&node.queue("later")?), 100).await;
/// assert_eq!((moved.moved, moved.refused), (1, 0));
/// # node.shutdown(std::time::Duration::ZERO).await; Ok(()) }
/// ```
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Moved {
    /// Messages that are in the other queue now.
    pub moved: usize,
    /// Messages that it did not take: they are where they were, or at the end of it.
    pub refused: usize,
    /// Messages that could not be read and stay.
    pub unreadable: usize,
}

impl Queue {
    /// Moves at most `messages_max` messages that no consumer has, oldest first, to another queue, or, for dead
    /// letters, each to the queue that it came from. What they say of priority and key is kept; they count as not
    /// delivered.
    pub async fn move_to(&self, target: Option<&Self>, messages_max: usize) -> Moved {
        let mut moved = Moved::default();
        let end = self.cell.state.lock().machine.next_position();
        let mut from = Some(From::Oldest);
        let mut left = messages_max;
        while let Some(at) = from
            && left > 0
        {
            let page = self.browse(&Browse { from: at, messages_max: left.min(100), ..Browse::default() }).await;
            moved.unreadable += page.unreadable;
            for seen in &page.messages {
                if seen.envelope.position() >= end {
                    return moved; // what came back, or came since
                }
                match self.move_one(target, seen) {
                    Some(true) => moved.moved += 1,
                    Some(false) => moved.refused += 1,
                    None => continue,
                }
                left -= 1;
            }
            from = page.next;
            tokio::task::yield_now().await; // there may be millions, and others have to have their turn
        }
        moved
    }

    /// Moves one message; `None` when a consumer has it, or nobody says where it goes.
    fn move_one(&self, target: Option<&Self>, seen: &Seen) -> Option<bool> {
        let inner = &self.node.inner;
        let item = seen.envelope.item();
        let origin = || inner.registry.get_or_make(inner, &item.dead()?.queue).ok();
        let target = target.map_or_else(origin, |target| Some(target.cell.clone()))?;
        if inner.journal().is_some_and(|journal| journal.admits().is_err()) {
            return Some(false); // neither queue would take it, and it stays as it is
        }
        let mut draft = Draft::default();
        if !self.take_out(seen.envelope.position(), &mut draft) {
            return None;
        }
        let mut extra = item.extra.as_deref().cloned().unwrap_or_default();
        (extra.id, extra.due_unix_ms) = (None, None);
        if !target.name.starts_with(name::DEAD) {
            extra.dead = None;
        }
        let wishes = Wishes { priority: item.priority, delay_ms: 0, extra };
        let now_ms = inner.clock.now_ms();
        let time = Some(item.time_unix_ms);
        let message = &item.message;
        let riding = Riding { message, wishes: &wishes, time_unix_ms: time, is_own: true, is_held: false };
        let is_taken = target.push_along(inner, now_ms, riding, &mut draft);
        if is_taken.is_err() {
            let wishes = Wishes { extra: item.extra.as_deref().cloned().unwrap_or_default(), ..wishes };
            let riding = Riding { wishes: &wishes, ..riding };
            if let Err(why) = self.cell.push_along(inner, now_ms, riding, &mut draft) {
                if inner.journal().is_none() {
                    inner.drops.add(reason_of(why), 1);
                }
                // Nothing is said to the store: with that it would end there. The next start finds it where it was.
                return Some(false);
            }
        }
        if let Some(journal) = inner.journal() {
            let group = journal.store().submit(draft);
            inner.burials.moved(group, &self.cell, seen.envelope.position());
        }
        Some(is_taken.is_ok())
    }

    /// Takes a message out of this queue without the store's being told; the draft says it.
    fn take_out(&self, position: Position, draft: &mut Draft) -> bool {
        let mut state = self.cell.state.lock();
        let left = state.machine.remove_one(position);
        // The machine says that it is gone; here that is part of the move.
        drop(state.machine.take_events());
        let Some(left) = left else { return false };
        if let Some(kept) = &state.kept {
            let (queue, position) = (kept.id, position.0);
            let at = match &left {
                Left::Item(item) => item.0.at.clone(),
                Left::Stub(stub) => Whereabouts::At { sequence: stub.reference, len: stub.len },
            };
            draft.when_durable(Move::Gone { queue, position, at });
            state.hold_floor(Position(position));
        }
        true
    }
}
