//! Queues of an earlier life: from the store back into memory, without their payloads.

use std::{
    collections::{BTreeMap, HashMap},
    sync::Arc,
};

use primer_core::queue::{GroupId, Position, Stub};

use super::{
    cell::{Kept, QueueCell},
    item, record,
};
use crate::{
    Clock,
    definition::Definition,
    drops::Reason,
    inner::Inner,
    journal::{Change, Draft, Journal, QueueId, QueueState, State, Stored, Whereabouts, content, from_unix_ms},
};

/// A message that was found.
#[derive(Debug)]
struct Found {
    stub: Stub,
    priority: u8,
    due_unix_ms: Option<u64>,
}

/// What was found of queues while the store was opened.
#[derive(Debug, Default)]
pub struct FoundQueues {
    messages: HashMap<QueueId, Vec<Found>>,
    left_out: u64,
}

impl FoundQueues {
    /// Takes a message in; `false` when it is not one of a queue.
    pub fn take(&mut self, clock: &Clock, state: &State, stored: &Stored<'_>) -> bool {
        let Some(queue) = state.queue(stored.queue) else { return false };
        if queue.name.first() != Some(&record::QUEUE) {
            return false;
        }
        let note = record::read_note(stored.note);
        let (Some(note), Some(_)) = (note, content::parts(stored.content, 0)) else {
            self.left_out += 1;
            return true;
        };
        let stub = Stub {
            position: Position(stored.position),
            reference: stored.sequence,
            len: stored.len,
            cost: u32::try_from(item::cost(stored.content.len())).unwrap_or(u32::MAX),
            // The record has the message's own; the note has the queue's, where that is sooner.
            expires_at_ms: from_unix_ms(clock, note.extra.expires_unix_ms.or(stored.expires_unix_ms)),
        };
        let due_unix_ms = note.extra.due_unix_ms;
        self.messages.entry(stored.queue).or_default().push(Found { stub, priority: note.priority, due_unix_ms });
        true
    }

    /// Puts everything where it belongs, before anything is pushed.
    pub(crate) fn restore(mut self, inner: &Arc<Inner>, journal: &Journal, state: &State) {
        let mut draft = Draft::default();
        let mut groups: BTreeMap<QueueId, Vec<(QueueId, &str, &QueueState)>> = BTreeMap::new();
        for (id, known) in state.queues() {
            if let Some((queue, name)) = record::read_group_name(&known.name) {
                groups.entry(queue).or_default().push((id, name, known));
            }
        }
        for (id, known) in state.queues() {
            let Some((&record::QUEUE, name)) = known.name.split_first() else { continue };
            let messages = self.messages.remove(&id).unwrap_or_default();
            let cell = std::str::from_utf8(name).ok().and_then(|name| {
                let definition = known.entries.get(record::DEFINITION);
                let definition = definition.and_then(|json| serde_json::from_slice::<Definition>(json).ok());
                inner.registry.restore(name, definition).ok()
            });
            match cell.filter(|cell| !cell.is_known()) {
                Some(cell) => {
                    let its = groups.remove(&id).unwrap_or_default();
                    restore_one(inner, &cell, id, known, its, messages);
                }
                None => {
                    // A name that is none, or stands there twice: what it has cannot be reached, and goes.
                    inner.drops.add(Reason::Damaged, messages.len() as u64);
                    for found in messages {
                        let Stub { reference, len, .. } = found.stub;
                        draft.change(Change::Settle(Whereabouts::At { sequence: reference, len }));
                    }
                    draft.change(Change::Drop(id));
                }
            }
        }
        for (orphan, ..) in groups.into_values().flatten() {
            draft.change(Change::Drop(orphan));
        }
        inner.drops.add(Reason::Damaged, self.left_out);
        journal.store().note(draft);
    }
}

fn restore_one(
    inner: &Arc<Inner>,
    cell: &Arc<QueueCell>,
    id: QueueId,
    known: &QueueState,
    groups: Vec<(QueueId, &str, &QueueState)>,
    mut messages: Vec<Found>,
) {
    messages.sort_by_key(|found| found.stub.position);
    // Groups may be done with messages that did not come as far as the disk: whoever got their positions again would
    // be gone for those groups at the next start.
    let of_groups = groups.iter().map(|(_, _, group)| {
        let options = group.entries.get(record::OPTIONS).and_then(|value| record::read_options(value));
        group.next_free().max(options.map_or(0, |(_, from)| from))
    });
    let next = messages.last().map_or(0, |last| last.stub.position.0 + 1).max(known.next_free());
    let next = of_groups.fold(next, u64::max);
    let kept_id = id;
    cell.with(inner, |state, now_ms| {
        let mut kept = Kept { id, groups: BTreeMap::new(), restored_below: next, unsure: BTreeMap::new() };
        // What a group is done with, and where it began.
        let mut progress: BTreeMap<GroupId, (&QueueState, u64)> = BTreeMap::new();
        for (queue, name, group) in groups {
            let options = group.entries.get(record::OPTIONS).and_then(|value| record::read_options(value));
            let (options, from) = options.unwrap_or_default();
            if let Some((added, _)) = state.machine.add_group(name, options, false) {
                kept.groups.insert(added, queue);
                progress.insert(added, (group, from));
                for (position, attempts) in &group.leases {
                    state.machine.restore_attempts(added, Position(*position), u32::from(*attempts));
                }
            }
        }
        let unix_ms = inner.clock.unix_ms();
        for Found { stub, priority, due_unix_ms } in &messages {
            let due_ms = due_unix_ms.filter(|due| *due > unix_ms).map(|due| from_unix_ms(&inner.clock, Some(due)));
            state.machine.restore(*priority, due_ms, stub, |group| {
                progress
                    .get(&group)
                    .is_none_or(|(group, from)| stub.position.0 >= *from && group.holds(stub.position.0))
            });
        }
        state.machine.skip_to(Position(next));
        for (key, value) in &known.entries {
            if let Some((&record::ID, id)) = key.split_first()
                && let Some((until_unix_ms, position)) = record::read_id(value)
                && key.len() > 1
            {
                let is_here = messages.binary_search_by_key(&position, |found| found.stub.position.0).is_ok();
                if !is_here && (position >= next || known.holds(position)) {
                    // Its message did not come as far as the disk, and was not acknowledged: it may come again, and
                    // another one may get its position.
                    state.draft.change(Change::Remove { queue: kept_id, key: key.clone() });
                    continue;
                }
                let until_ms = now_ms.saturating_add(until_unix_ms.saturating_sub(unix_ms));
                state.machine.restore_id(until_ms, id, Position(position));
            }
        }
        if known.entries.contains_key(record::PAUSED) {
            state.machine.pause();
        }
        state.kept = Some(Box::new(kept));
        cell.make_known(inner, state);
    });
}
