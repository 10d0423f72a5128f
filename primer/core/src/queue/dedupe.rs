//! Message identifiers that were seen within the window.

use std::collections::VecDeque;

use foldhash::fast::RandomState;
use hashbrown::HashMap;

use super::{Content, Position, Queue};
use crate::limits::DEDUPE_IDS_MAX;

/// Identifiers, the messages that had them, and until when they are remembered.
#[derive(Debug, Default)]
pub struct Dedupe {
    known: HashMap<Box<[u8]>, u64, RandomState>,
    order: VecDeque<(u64, Box<[u8]>)>,
    /// Identifiers that were forgotten, for the owner's store.
    forgotten: Vec<Box<[u8]>>,
}

impl<T: Content> Queue<T> {
    pub(super) fn known(&self, now_ms: u64, id: &[u8]) -> Option<Position> {
        let dedupe = self.dedupe.as_ref().filter(|_| self.terms.dedupe_window_ms > 0)?;
        let position = *dedupe.known.get(id)?;
        // The order is by time: an identifier whose time is up may still stand here until the next look.
        let first = dedupe.order.front().is_some_and(|(until_ms, first)| *until_ms <= now_ms && **first == *id);
        (!first).then_some(Position(position))
    }

    pub(super) fn remember(&mut self, now_ms: u64, id: &[u8], position: u64) {
        if self.terms.dedupe_window_ms == 0 {
            return;
        }
        self.forget_ids(now_ms);
        self.restore_id(now_ms.saturating_add(self.terms.dedupe_window_ms), id, Position(position));
    }

    /// Remembers an identifier until `until_ms`; as one of an earlier life is put back.
    pub fn restore_id(&mut self, until_ms: u64, id: &[u8], position: Position) {
        let dedupe = self.dedupe.get_or_insert_default();
        dedupe.known.insert(id.into(), position.0);
        dedupe.order.push_back((until_ms, id.into()));
        while dedupe.order.len() > DEDUPE_IDS_MAX {
            dedupe.forget_first();
        }
    }

    /// Forgets a message's identifier, because the message was not taken in after all.
    pub fn unremember(&mut self, id: &[u8], position: Position) {
        if let Some(dedupe) = &mut self.dedupe
            && dedupe.known.get(id) == Some(&position.0)
        {
            dedupe.known.remove(id);
        }
    }

    /// Identifiers that are remembered no longer, since the last call.
    pub fn take_forgotten_ids(&mut self) -> Vec<Box<[u8]>> {
        self.dedupe.as_mut().map(|dedupe| std::mem::take(&mut dedupe.forgotten)).unwrap_or_default()
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
        if let Some((_, id)) = self.order.pop_front() {
            self.known.remove(&id);
            self.forgotten.push(id);
        }
    }
}
