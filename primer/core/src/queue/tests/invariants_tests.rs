//! What holds of a queue between any two calls, looked up the slow way.

use std::collections::BTreeMap;

use super::{super::line::GAPS_MAX, super::*, Letter};
use crate::queue::group::Group;

/// Panics when the queue contradicts itself.
pub(super) fn check(queue: &Queue<Letter>) {
    check_sums(queue);
    for line in &queue.lines {
        assert!(line.entries.iter().is_sorted_by_key(|entry| entry.position), "positions do not ascend");
        let gaps = line.entries.iter().filter(|entry| entry.is_gone()).count();
        assert_eq!(line.gaps, gaps);
        let hot = line.entries.iter().filter(|entry| matches!(entry.place, Place::Hot(_))).count();
        assert_eq!(line.hot, hot);
        assert!(line.entries.front().is_none_or(|entry| !entry.is_gone()), "a gap stands at the front");
        assert!(gaps <= GAPS_MAX + line.entries.len() - gaps, "gaps are not swept");
    }
    for (slot, group) in queue.groups.iter().enumerate() {
        if let Some(group) = group {
            check_places(queue, slot, group);
            check_consumers(group);
            check_keys(group);
        }
    }
}

fn check_sums(queue: &Queue<Letter>) {
    let all = queue.all_groups();
    let (mut len, mut bytes, mut hot, mut hot_bytes) = (0, 0, 0, 0);
    for entry in queue.lines.iter().flat_map(|line| &line.entries).filter(|entry| !entry.is_gone()) {
        len += 1;
        bytes += entry.cost as usize;
        if let Place::Hot(_) = entry.place {
            hot += 1;
            hot_bytes += entry.cost as usize;
        }
        assert_eq!(entry.wanted & !all, 0, "a group wants it that is not there");
        assert!(all == 0 || entry.wanted != 0, "no group wants it");
        let is_seen = queue.soonest_expiry_ms <= entry.expires_at_ms;
        assert!(is_seen || queue.is_leased(entry.position), "nobody will see that it has expired");
    }
    let counted = (queue.len, queue.bytes, queue.hot, queue.hot_bytes);
    assert_eq!(counted, (len, bytes, hot, hot_bytes), "the sums are wrong");
    assert!(queue.due.keys().all(|position| queue.find(*position).is_some()), "what is gone is still due");
}

/// What a group wants stands in exactly one place, and what stands there is wanted.
fn check_places(queue: &Queue<Letter>, slot: usize, group: &Group) {
    let mut places: BTreeMap<u64, Vec<&str>> = BTreeMap::new();
    for position in group.leases.positions() {
        places.entry(position).or_default().push("leased");
    }
    for (rank, position) in group.returned.keys() {
        let (line, _) = queue.find(*position).expect("what is gone is to be delivered again");
        assert_eq!(u8::MAX - rank, queue.lines[line].priority);
        places.entry(*position).or_default().push("returned");
    }
    for position in group.waits.positions() {
        places.entry(position).or_default().push("waiting");
    }
    let keys = group.keys.iter().flat_map(|keys| keys.busy.values());
    for (position, _) in keys.flat_map(|key| &key.waiting) {
        places.entry(*position).or_default().push("aside");
    }
    let mut pending = 0;
    for (line, cursor) in queue.lines.iter().zip(&group.cursors) {
        for entry in line.entries.iter().filter(|entry| entry.wanted & (1 << slot) != 0) {
            pending += 1;
            let mut at = places.remove(&entry.position).unwrap_or_default();
            if entry.position >= *cursor {
                at.push("fresh");
            }
            assert_eq!(at.len(), 1, "{} stands in {at:?}", entry.position);
        }
    }
    assert_eq!(group.pending, pending);
    // What was taken out of the queue is skipped when it comes from aside, and its lease says nothing any more.
    for (position, at) in places {
        assert!(at == ["aside"] || at == ["leased"], "{position} is not wanted and stands in {at:?}");
        assert!(at == ["aside"] || queue.find(position).is_none(), "{position} is leased and not wanted");
    }
    assert!(group.leases.len() > 0 || group.leases.ends() == 0, "dead ends wake an idle queue");
}

fn check_consumers(group: &Group) {
    assert!(group.consumers.is_sorted_by_key(|consumer| consumer.id));
    let mut overdue = 0;
    for consumer in &group.consumers {
        let owes = group.overdue.values().filter(|of| **of == consumer.id).count();
        assert_eq!(consumer.overdue as usize, owes);
        overdue += owes;
        let has = group
            .leases
            .positions()
            .filter(|position| group.leases.get(*position).is_some_and(|lease| lease.consumer == consumer.id));
        if group.options.mode == Mode::AtLeastOnce {
            assert_eq!(consumer.leased as usize, has.count() + owes);
        }
        let turns = group.ring.iter().filter(|one| **one == consumer.id).count();
        assert_eq!(turns, usize::from(consumer.free() > 0), "credit and turn differ");
        assert_eq!(consumer.is_free, turns == 1);
    }
    assert_eq!(group.overdue.len(), overdue, "one that is gone owes something");
    assert!(group.ring.iter().all(|id| group.consumers.iter().any(|consumer| consumer.id == *id)));
}

/// A busy key either has its turn, once and at one consumer that can take it, or a message on its way.
fn check_keys(group: &Group) {
    let Some(keys) = &group.keys else { return };
    let aside: usize = keys.busy.values().map(|key| key.waiting.len()).sum();
    assert_eq!(keys.aside, aside);
    let mut turns: BTreeMap<u64, usize> = BTreeMap::new();
    for (consumer, parked) in &keys.parked {
        let owner = group.consumers.iter().find(|one| one.id == *consumer);
        assert!(owner.is_some_and(|owner| owner.can_own()), "a key is stuck");
        assert!(!parked.is_empty());
        parked.iter().for_each(|key| *turns.entry(*key).or_default() += 1);
    }
    assert!(keys.orphans.is_empty() || group.consumers.iter().all(|consumer| !consumer.can_own()), "a key is stuck");
    keys.orphans.iter().for_each(|key| *turns.entry(*key).or_default() += 1);
    let leased = group.leases.positions().filter_map(|position| group.leases.get(position)?.key);
    for key in leased.chain(group.waits.keys_held()) {
        *turns.entry(key).or_default() += 1;
    }
    assert!(turns.values().all(|turns| *turns == 1), "a key has two turns: {turns:?}");
    assert!(keys.busy.keys().all(|key| turns.contains_key(key)), "a busy key has no turn");
    assert!(turns.keys().all(|key| keys.busy.contains_key(key)), "a key that has a turn is not busy");
}
