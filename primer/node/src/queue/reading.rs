//! Messages that are in the store alone: read back when a consumer can take some.

use std::sync::Arc;

use primer_core::{message::Message, queue::Stub};

use super::{
    cell::{QueueCell, State},
    item::{Item, Shared},
    record,
};
use crate::{
    inner::Inner,
    journal::{Loaded, Want, Whereabouts, content},
};

/// When what could not be read is tried again.
const READ_AGAIN_MS: u64 = 200;

impl QueueCell {
    /// Has messages read that a consumer waits for.
    pub(super) fn load(self: &Arc<Self>, inner: &Arc<Inner>, state: &mut State) {
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

/// A message that was read back.
pub(crate) fn read(loaded: &Loaded, stub: &Stub) -> Option<Item> {
    let message = loaded.message.as_ref()?;
    let note = record::read_note(&message.note)?;
    let parts = content::parts(&message.content, stub.expires_at_ms)?;
    let at = Whereabouts::At { sequence: stub.reference, len: stub.len };
    Some(Item::new(Message::new(&parts), at, note.time_unix_ms, note.priority, note.extra))
}
