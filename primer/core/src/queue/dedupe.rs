//! Message identifiers that were seen within the window.

use std::collections::VecDeque;

use foldhash::fast::RandomState;
use hashbrown::HashMap;

use super::{Content, Position, Queue, line::Place};
use crate::limits::DEDUPE_IDS_MAX;

/// Identifiers, the messages that had them, and until when they are remembered.
#[derive(Debug, Default)]
pub struct Dedupe {
    known: HashMap<Box<[u8]>, Known, RandomState>,
    /// By time. Of an identifier that was forgotten and came again, the earlier entry means nothing.
    order: VecDeque<(u64, Box<[u8]>)>,
    /// Identifiers that were forgotten, for the owner's store.
    forgotten: Vec<Box<[u8]>>,
}

#[derive(Debug)]
struct Known {
    position: u64,
    until_ms: u64,
}

impl<T: Content> Queue<T> {
    pub(super) fn known(&self, now_ms: u64, id: &[u8]) -> Option<Position> {
        let dedupe = self.dedupe.as_ref().filter(|_| self.terms.dedupe_window_ms > 0)?;
        // One whose time is up may still stand here until the next look.
        let known = dedupe.known.get(id).filter(|known| known.until_ms > now_ms)?;
        Some(Position(known.position))
    }

    pub(super) fn remember(&mut self, now_ms: u64, id: &[u8], position: u64) {
        if self.terms.dedupe_window_ms == 0 {
            return;
        }
        self.forget_ids(now_ms);
        self.restore_id(now_ms.saturating_add(self.terms.dedupe_window_ms), id, Position(position));
    }

    /// Remembers an identifier until `until_ms`; as one of an earlier life is put back. Those that are put back in
    /// another order than that of their times are forgotten late, but not known for longer.
    pub fn restore_id(&mut self, until_ms: u64, id: &[u8], position: Position) {
        let dedupe = self.dedupe.get_or_insert_default();
        dedupe.known.insert(id.into(), Known { position: position.0, until_ms });
        dedupe.order.push_back((until_ms, id.into()));
        while dedupe.order.len() > DEDUPE_IDS_MAX {
            dedupe.forget_first();
        }
    }

    /// Forgets a message's identifier, because the message was not taken in after all; answers whether it was known.
    pub fn unremember(&mut self, id: &[u8], position: Position) -> bool {
        let Some(dedupe) = &mut self.dedupe else { return false };
        let is_its = dedupe.known.get(id).is_some_and(|known| known.position == position.0);
        if is_its {
            dedupe.known.remove(id);
        }
        is_its
    }

    /// Whether the store has refused the message at a position.
    pub(super) fn is_void(&self, position: Position) -> bool {
        let found = self.find(position.0);
        found.is_some_and(|(_, entry)| matches!(&entry.place, Place::Hot(item) if item.is_void()))
    }

    /// Identifiers that are remembered no longer, since the last call: an owner without a store has to call it too.
    pub fn take_forgotten_ids(&mut self) -> Vec<Box<[u8]>> {
        let Some(dedupe) = &mut self.dedupe else { return Vec::new() };
        let mut forgotten = std::mem::take(&mut dedupe.forgotten);
        // One that has come again meanwhile is not to be forgotten by the store.
        forgotten.retain(|id| !dedupe.known.contains_key(id));
        forgotten
    }

    pub(super) fn forget_ids(&mut self, now_ms: u64) {
        let Some(dedupe) = &mut self.dedupe else { return };
        while dedupe.order.front().is_some_and(|(until_ms, _)| *until_ms <= now_ms) {
            dedupe.forget_first();
        }
        if dedupe.order.is_empty() && dedupe.forgotten.is_empty() {
            self.dedupe = None;
        }
    }
}

impl Dedupe {
    fn forget_first(&mut self) {
        if let Some((until_ms, id)) = self.order.pop_front()
            && self.known.get(&id).is_some_and(|known| known.until_ms == until_ms)
        {
            self.known.remove(&id);
            self.forgotten.push(id);
        }
    }
}
