//! Queues, from the lines of a dump to a new store; and where messages find them there.
//!
//! In a merge a queue may be in the data directory as well. Then one is made of both: its own messages keep their
//! positions, and those of the dump stand behind them.

use std::collections::{BTreeMap, HashSet};

use primer::{
    DeadLetter, GroupOptions, Mode, Order,
    journal::{Change, Intervals, QueueId, Whereabouts, queues},
    name,
};
use primer_core::limits::{GROUPS_MAX, PRIORITY_MAX};

use super::{
    PortableError,
    inward::{Inward, Wrong, wrong},
    queue_lines::{Group, Identifier, Place, Queue, Sent, Text},
};

/// Positions are below this one: there is room behind for those of another store.
const POSITION_MAX: u64 = 1 << 62;

/// A queue of the new store.
pub(super) struct Target {
    queue: QueueId,
    /// What is added to positions.
    offset: u64,
    /// Positions below this one are used up.
    next: u64,
    /// Positions of messages.
    used: Intervals,
    /// What groups want of the messages that come now, and of those that come when [`Target::begin_another`] was told.
    wants: Vec<Wants>,
    wants_later: Vec<Wants>,
}

struct Wants {
    group: QueueId,
    from: u64,
    done: Intervals,
}

impl Target {
    /// What comes from now on is of another store.
    pub(super) fn begin_another(&mut self) {
        self.offset = 0;
        self.wants = std::mem::take(&mut self.wants_later);
    }

    /// Takes a message in: queue, position and note. What groups are done with it goes to `changes`.
    pub(super) fn take(&mut self, place: &Place, changes: &mut Vec<Change>) -> Result<(QueueId, u64, Vec<u8>), Wrong> {
        const ONCE: &str = "one message at a position";
        check_position(place.position)?;
        let position = place.position.saturating_add(self.offset);
        let note = note(place)?;
        if self.used.contains(position) {
            let says = format!("a second message at position {} of the queue {:?}", place.position, place.name);
            return Err(wrong(says, ONCE));
        }
        self.used.insert(position, position);
        for Wants { group, from, done } in &self.wants {
            if place.position < *from || done.contains(place.position) {
                changes.push(Change::Gone { queue: *group, position, floor: 0, at: Whereabouts::Nowhere });
            }
        }
        Ok((self.queue, position, note))
    }

    /// A position is not used again: the last one before the next counts as gone if no message stands there, and so
    /// does what is below the first message.
    pub(super) fn end(&self) -> Option<Change> {
        let lowest = self.used.iter().next().map(|(first, _)| first);
        let last_before = self.next.checked_sub(1).filter(|position| !self.used.contains(*position));
        let (position, floor) = match (last_before, lowest) {
            (Some(position), lowest) => (position, lowest.map_or(self.next, |lowest| lowest.min(self.next))),
            (None, lowest) => {
                let lowest = lowest.filter(|lowest| *lowest > 0)?;
                (lowest - 1, lowest)
            }
        };
        Some(Change::Gone { queue: self.queue, position, floor, at: Whereabouts::Nowhere })
    }
}

impl Inward {
    /// Whether a queue can be one, together with what is there of the same name.
    pub(super) fn check_queue(&self, queue: &Queue, there: Option<&Queue>) -> Result<(), Wrong> {
        const ONCE: &str = "a name of a queue, once in a dump";
        let of = &queue.name;
        if let Err(error) = name::check(of) {
            return Err(wrong(format!("no queue is called {of:?}: {error}"), ONCE));
        }
        if self.queues.contains_key(&**of) {
            return Err(wrong(format!("the queue {of:?} was there before"), ONCE));
        }
        if let Some(Err(error)) = queue.definition.as_ref().map(primer::Definition::check) {
            return Err(wrong(format!("the definition of the queue {of:?}: {error}"), "a definition of a queue"));
        }
        check_position(queue.next)?;
        queue.ids.iter().try_for_each(|id| check_position(id.position))?;
        if queue.ids.iter().any(|id| id.id.0.is_empty()) {
            return Err(wrong(format!("the queue {of:?} has an empty identifier"), "1 byte or more"));
        }
        check_groups(queue, there)
    }

    /// Makes a queue, of one of the dump and what is there of the same name.
    pub(super) fn queue(&mut self, queue: &Queue, there: Option<&Queue>) -> Result<(), PortableError> {
        let Some(there) = there else {
            let (id, groups) = self.write_queue(queue)?;
            let (next, used, wants) = (queue.next, Intervals::default(), wants(queue, &groups));
            let target = Target { queue: id, offset: 0, next, used, wants, wants_later: Vec::new() };
            self.queues.insert((*queue.name).into(), target);
            return Ok(());
        };
        let (united, offset) = unite(there, queue);
        let (id, groups) = self.write_queue(&united)?;
        let (next, used) = (united.next, Intervals::default());
        let (wants, wants_later) = (wants(queue, &groups), wants(there, &groups));
        self.queues.insert(united.name.into(), Target { queue: id, offset, next, used, wants, wants_later });
        Ok(())
    }

    /// Writes what a line says of a queue, but not what its groups are done with; answers its groups.
    fn write_queue(&mut self, line: &Queue) -> Result<(QueueId, BTreeMap<String, QueueId>), PortableError> {
        let queue = self.define(queues::queue_name(&line.name));
        let mut entries: Vec<(&[u8], Box<[u8]>)> = Vec::new();
        if let Some(definition) = &line.definition {
            entries.push((queues::DEFINITION, serde_json::to_vec(definition).unwrap_or_default().into()));
        }
        if line.paused {
            entries.push((queues::PAUSED, Box::default()));
        }
        for (key, value) in entries {
            self.change(Change::Put { queue, key: key.into(), value });
        }
        for Identifier { id, until_unix_ms, position } in &line.ids {
            let value = queues::id_value(*until_unix_ms, *position);
            self.change(Change::Put { queue, key: queues::id_key(&id.0), value });
            self.write()?;
        }
        let mut groups = BTreeMap::new();
        for group in &line.groups {
            let id = self.define(queues::group_name(queue, &group.name));
            let value = queues::options(options(group), group.from);
            self.change(Change::Put { queue: id, key: queues::OPTIONS.into(), value });
            for (position, tag) in &group.deliveries {
                self.change(Change::Lease { queue: id, position: *position, tag: *tag });
                self.write()?;
            }
            groups.insert(group.name.clone(), id);
        }
        Ok((queue, groups))
    }
}

/// One queue of two: `there` as it is, and what another store has of it behind that. A group gets what the other one
/// has as if it had been pushed: nothing of it was done with.
fn unite(there: &Queue, queue: &Queue) -> (Queue, u64) {
    let offset = there.groups.iter().map(|group| group.from).fold(there.next, u64::max);
    let shifted = |position: u64| position.saturating_add(offset);
    let mut groups: Vec<Group> = there.groups.clone();
    for group in &queue.groups {
        let deliveries = group.deliveries.iter().map(|(position, times)| (shifted(*position), *times));
        if let Some(known) = groups.iter_mut().find(|known| known.name == group.name) {
            known.deliveries.extend(deliveries);
        } else {
            groups.push(Group { from: 0, deliveries: deliveries.collect(), ..group.clone() });
        }
    }
    let mut ids: BTreeMap<&Text, (u64, u64)> = BTreeMap::new();
    for id in &there.ids {
        ids.insert(&id.id, (id.until_unix_ms, id.position));
    }
    for id in &queue.ids {
        let known = ids.entry(&id.id).or_default();
        *known = (*known).max((id.until_unix_ms, shifted(id.position)));
    }
    let identifier =
        |(id, (until_unix_ms, position)): (&Text, (u64, u64))| Identifier { id: id.clone(), until_unix_ms, position };
    let united = Queue {
        name: there.name.clone(),
        definition: there.definition.as_ref().or(queue.definition.as_ref()).cloned(),
        paused: there.paused || queue.paused,
        next: shifted(queue.next),
        groups,
        ids: ids.into_iter().map(identifier).collect(),
    };
    (united, offset)
}

/// What groups want of the messages of this store.
fn wants(queue: &Queue, groups: &BTreeMap<String, QueueId>) -> Vec<Wants> {
    let known = queue.groups.iter().filter_map(|group| Some((groups.get(&group.name).copied()?, group)));
    known
        .map(|(id, group)| {
            let mut done = Intervals::default();
            group.done.iter().for_each(|(first, last)| done.insert(*first, *last));
            Wants { group: id, from: group.from, done }
        })
        .collect()
}

fn options(group: &Group) -> GroupOptions {
    GroupOptions {
        mode: if group.at_most_once { Mode::AtMostOnce } else { Mode::AtLeastOnce },
        order: if group.by_key { Order::ByKey } else { Order::Any },
    }
}

fn check_groups(queue: &Queue, there: Option<&Queue>) -> Result<(), Wrong> {
    const GROUP: &str = "a name of a group, once in a queue";
    let mut names: HashSet<&str> = HashSet::new();
    for group in &queue.groups {
        if let Err(error) = name::check_group(&group.name) {
            return Err(wrong(format!("no group is called {:?}: {error}", group.name), GROUP));
        }
        if !names.insert(&group.name) {
            return Err(wrong(format!("the group {:?} was there before", group.name), GROUP));
        }
        check_position(group.from)?;
        group.deliveries.iter().try_for_each(|(position, _)| check_position(*position))?;
        if group.done.iter().any(|(first, last)| first > last) {
            let says = format!("the group {:?} is done with a stretch that ends before it begins", group.name);
            return Err(wrong(says, "its first and its last position"));
        }
    }
    names.extend(there.iter().flat_map(|there| &there.groups).map(|group| &*group.name));
    if names.len() > GROUPS_MAX {
        let says = format!("the queue {:?} would have {} groups", queue.name, names.len());
        return Err(wrong(says, "64 at most, with those that are there"));
    }
    Ok(())
}

fn check_position(position: u64) -> Result<(), Wrong> {
    if position < POSITION_MAX {
        return Ok(());
    }
    Err(wrong(format!("position {position}"), "a position below 2^62"))
}

fn note(place: &Place) -> Result<Vec<u8>, Wrong> {
    if place.priority > PRIORITY_MAX {
        return Err(wrong(format!("priority {}", place.priority), "0 to 9"));
    }
    let dead = place.dead.as_ref().map(|dead| {
        let known = queues::REASONS.iter().find(|reason| **reason == dead.reason);
        let reason = known.ok_or_else(|| {
            wrong(format!("the reason {:?}", dead.reason), "`rejected`, `max_deliveries`, `overflow` or `rule`")
        })?;
        Ok(DeadLetter {
            queue: (*dead.queue).into(),
            group: (*dead.group).into(),
            reason,
            deliveries: dead.deliveries,
            died_unix_ms: dead.died_unix_ms,
        })
    });
    let extra = queues::Extra {
        publisher: place.publisher.as_deref().map(Into::into),
        key: place.key.as_ref().map(|key| key.0.clone()),
        id: place.id.as_ref().map(|id| id.0.clone()),
        due_unix_ms: place.due_unix_ms,
        expires_unix_ms: place.expires_unix_ms,
        dead: dead.transpose()?,
        user: place.user.as_deref().map(Into::into),
        sent: match place.sent {
            Some(Sent { qos: 3.., .. }) => return Err(wrong("a QoS above 2".to_owned(), "0 to 2")),
            Some(Sent { qos, retain, hops }) => primer::Sent { qos, retain, hops },
            None => primer::Sent::default(),
        },
    };
    let mut note = Vec::new();
    queues::write_note(&mut note, place.priority, place.published_unix_ms, Some(&extra));
    Ok(note)
}
