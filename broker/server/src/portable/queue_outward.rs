//! Queues, from the store to the lines of a dump.

use std::collections::BTreeMap;

use primer::{
    Mode, Order,
    journal::{Intervals, QueueId, QueueState, State, Stored, queues},
};

use super::queue_lines::{Dead, Group, Identifier, Place, Queue, Sent, Text};

/// The name of a queue; `None` for anything else that the store keeps messages for.
pub(super) fn name(queue: &QueueState) -> Option<&str> {
    std::str::from_utf8(queue.name.strip_prefix(&[queues::QUEUE])?).ok()
}

/// Queues of the store, each with how many of its entries make no sense.
pub(super) fn queues(state: &State) -> impl Iterator<Item = (Queue, u64)> {
    let mut groups: BTreeMap<QueueId, Vec<(&str, &QueueState)>> = BTreeMap::new();
    for (_, group) in state.queues() {
        if let Some((queue, name)) = queues::read_group_name(&group.name) {
            groups.entry(queue).or_default().push((name, group));
        }
    }
    state.queues().filter_map(move |(id, queue)| {
        let name = name(queue)?;
        Some(queue_of(name, queue, groups.get(&id).map_or(&[][..], Vec::as_slice)))
    })
}

fn queue_of(name: &str, state: &QueueState, groups: &[(&str, &QueueState)]) -> (Queue, u64) {
    let next = state.next_free();
    let mut queue = Queue { name: name.to_owned(), next, ..Queue::default() };
    let mut left_out = 0;
    for (key, value) in &state.entries {
        let taken = match (&**key, key.split_first()) {
            (queues::DEFINITION, _) => serde_json::from_slice(value).ok().map(|known| queue.definition = Some(known)),
            (queues::PAUSED, _) => {
                queue.paused = true;
                Some(())
            }
            (_, Some((&queues::ID, id))) if !id.is_empty() => {
                let known = queues::read_id(value);
                known.map(|(until_unix_ms, position)| {
                    queue.ids.push(Identifier { id: Text(id.into()), until_unix_ms, position });
                })
            }
            _ => None,
        };
        left_out += u64::from(taken.is_none());
    }
    let mut gone = state.gone().clone();
    if let Some(last) = state.floor().checked_sub(1) {
        gone.insert(0, last);
    }
    for (name, group) in groups {
        let options = group.entries.get(queues::OPTIONS).and_then(|value| queues::read_options(value));
        left_out += u64::from(options.is_none());
        // A broker takes a group whose entry is damaged for one of the usual kind.
        let (options, from) = options.unwrap_or_default();
        queue.groups.push(Group {
            name: (*name).to_owned(),
            at_most_once: options.mode == Mode::AtMostOnce,
            by_key: options.order == Order::ByKey,
            from,
            done: done(group, from, &gone),
            deliveries: deliveries(state, group),
        });
    }
    (queue, left_out)
}

/// What a group is done with from `from` on, without what is gone from its queue.
fn done(group: &QueueState, from: u64, gone: &Intervals) -> Vec<(u64, u64)> {
    let below = group.floor().checked_sub(1).map(|last| (0, last));
    let mut done = Vec::new();
    for (first, last) in below.into_iter().chain(group.gone().iter()) {
        let mut first = first.max(from);
        for (gone_first, gone_last) in gone.overlapping(first, last) {
            if first < gone_first {
                done.push((first, gone_first - 1));
            }
            first = gone_last.saturating_add(1);
        }
        if first <= last {
            done.push((first, last));
        }
    }
    done
}

/// How often messages were delivered to a group that queue and group still have.
fn deliveries(queue: &QueueState, group: &QueueState) -> Vec<(u64, u16)> {
    let known = group.leases.iter().filter(|(position, _)| queue.holds(**position));
    known.map(|(position, deliveries)| (*position, *deliveries)).collect()
}

/// The place of a message in the queue of that name. `None`: its note makes no sense.
pub(super) fn place(name: &str, stored: &Stored<'_>) -> Option<Place> {
    let queues::Note { priority, time_unix_ms, extra } = queues::read_note(stored.note)?;
    let text = |bytes: Box<[u8]>| Text(bytes);
    Some(Place {
        name: name.to_owned(),
        position: stored.position,
        priority,
        published_unix_ms: time_unix_ms,
        due_unix_ms: extra.due_unix_ms,
        expires_unix_ms: extra.expires_unix_ms,
        publisher: extra.publisher.map(|publisher| (*publisher).to_owned()),
        key: extra.key.map(text),
        id: extra.id.map(text),
        dead: extra.dead.map(|dead| Dead {
            queue: (*dead.queue).to_owned(),
            group: (*dead.group).to_owned(),
            reason: dead.reason.to_owned(),
            deliveries: dead.deliveries,
            died_unix_ms: dead.died_unix_ms,
        }),
        user: extra.user.map(|user| (*user).to_owned()),
        sent: (extra.sent != primer::Sent::default()).then_some(Sent {
            qos: extra.sent.qos,
            retain: extra.sent.retain,
            hops: extra.sent.hops,
        }),
    })
}
