//! What was in a data directory goes into the new store as well, where the dump has nothing of the same name; of a
//! queue that both have, `queue_inward` makes one.

use std::collections::{BTreeMap, HashSet};

use primer::journal::{OpenError, Reading};

use super::{
    PortableError,
    format::{Destination, Message},
    inward::Inward,
    outward::{self, Gathering},
    queue_lines::Queue,
    queue_outward,
    restore::Restored,
    tables,
};

/// Queues by name.
pub(super) type Queues = BTreeMap<String, Queue>;

/// The queues of a store, each with the position behind its last message: it is not known before all of them were seen.
pub(super) fn queues_of(existing: &mut Reading, restored: &mut Restored) -> Result<Queues, OpenError> {
    let mut queues = Queues::new();
    for (queue, nonsense) in queue_outward::queues(existing.state()) {
        restored.left_out += nonsense;
        queues.insert(queue.name.clone(), queue);
    }
    existing.visit(&mut |state, stored| {
        let name = state.queue(stored.queue).and_then(queue_outward::name);
        if let Some(queue) = name.and_then(|name| queues.get_mut(name)) {
            queue.next = queue.next.max(stored.position.saturating_add(1));
        }
    })?;
    Ok(queues)
}

/// Adds what `existing` has. A session of the dump takes the place of one of the same client identifier with all its
/// messages, a table the place of one of the same name with all its entries, a retained message the place of one of the
/// same topic; delayed messages are all kept, and so are `queues` with their messages, before what the dump has for
/// them.
pub(super) fn merge(
    existing: &mut Reading,
    queues: &Queues,
    inward: &mut Inward,
    restored: &mut Restored,
) -> Result<(), PortableError> {
    let topics = inward.begin_another();
    let mut replaced: HashSet<String> = HashSet::new();
    for (_, queue) in existing.state().queues() {
        let Some((session, nonsense)) = outward::session(queue) else { continue };
        restored.left_out += nonsense;
        if inward.has_session(&session.client_id) {
            replaced.insert(session.client_id);
        } else if inward.session(&session).is_ok() {
            restored.sessions_kept += 1;
        } else {
            restored.left_out += 1;
        }
        inward.write()?;
    }
    restored.sessions_replaced = replaced.len() as u64;
    for queue in queues.values() {
        if inward.has_queue(&queue.name) {
            restored.queues_united += 1;
        } else if inward.check_queue(queue, None).is_ok() {
            restored.queues_kept += 1;
            inward.queue(queue, None)?;
        } else {
            restored.left_out += 1;
        }
    }
    for (table, nonsense) in tables::tables(existing.state()) {
        restored.left_out += nonsense;
        if inward.has_table(&table.name) {
            restored.tables_replaced += 1;
        } else if inward.check_table(&table).is_ok() {
            restored.tables_kept += 1;
            inward.table(&table)?;
        } else {
            restored.left_out += 1;
        }
    }
    let mut failed = None;
    let mut take = |mut message: Message<'_>| {
        let is_newer = topics.contains(&*message.topic);
        message.to.retain(|one| match one {
            Destination::Session { client_id, .. } => !replaced.contains(client_id),
            Destination::Retained { .. } => !is_newer,
            Destination::Delayed { .. } | Destination::Queue(_) => true,
        });
        if message.to.is_empty() || failed.is_some() {
            return;
        }
        match inward.message(&message) {
            Ok(()) => restored.messages_kept += 1,
            Err(_) => restored.left_out += 1,
        }
        failed = inward.write().err();
    };
    let mut gathering = Gathering::default();
    let visited = existing.visit(&mut |state, stored| gathering.take(state, &stored, &mut take));
    gathering.end(&mut take);
    restored.left_out += gathering.left_out;
    match (failed, visited) {
        (Some(error), _) => Err(error),
        (None, Err(error)) => Err(PortableError::Refused { says: error.to_string() }),
        (None, Ok(())) => Ok(()),
    }
}
