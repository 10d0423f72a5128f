//! The state of the queues: what the changes of all commits come to. A function of them, with no file.

use std::collections::BTreeMap;

use crate::{
    change::{QueueId, Written},
    intervals::Intervals,
    limits::BODY_BYTES_MAX,
    varint::Reader,
};

/// Changes in one row of a picture, which has a number before them.
const PICTURE_BYTES_MAX: usize = BODY_BYTES_MAX - 5;

/// One queue.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct QueueState {
    /// As it was defined.
    pub name: Box<[u8]>,
    /// Entries of its owner.
    pub entries: BTreeMap<Box<[u8]>, Box<[u8]>>,
    /// Positions on their way to a consumer, with their tags.
    pub leases: BTreeMap<u64, u16>,
    floor: u64,
    gone: Intervals,
}

impl QueueState {
    /// Whether the message at this position is still in the queue, if it ever was.
    #[must_use]
    pub fn holds(&self, position: u64) -> bool {
        position >= self.floor && !self.gone.contains(position)
    }

    /// A position above all that are known to be gone or leased.
    #[must_use]
    pub fn next_free(&self) -> u64 {
        let gone = self.gone.iter().last().map_or(0, |(_, last)| last + 1);
        let leased = self.leases.last_key_value().map_or(0, |(position, _)| position + 1);
        self.floor.max(gone).max(leased)
    }

    /// All positions below this one are gone.
    #[must_use]
    pub const fn floor(&self) -> u64 {
        self.floor
    }

    /// What is gone from the floor on.
    #[must_use]
    pub const fn gone(&self) -> &Intervals {
        &self.gone
    }
}

/// All queues.
#[derive(Debug, Clone, Default)]
pub struct State {
    queues: BTreeMap<QueueId, QueueState>,
    /// No change has named a queue with this number or a higher one.
    next_id: u32,
}

/// The same queues are the same state.
impl PartialEq for State {
    fn eq(&self, other: &Self) -> bool {
        self.queues == other.queues
    }
}

impl Eq for State {}

impl State {
    /// The queues.
    pub fn queues(&self) -> impl Iterator<Item = (QueueId, &QueueState)> {
        self.queues.iter().map(|(id, queue)| (*id, queue))
    }

    /// One queue.
    #[must_use]
    pub fn queue(&self, id: QueueId) -> Option<&QueueState> {
        self.queues.get(&id)
    }

    /// Whether the message at this position is still in its queue.
    pub(crate) fn holds(&self, queue: QueueId, position: u64) -> bool {
        self.queues.get(&queue).is_some_and(|queue| queue.holds(position))
    }

    /// A number that no queue has had, as far as changes tell. Those that were dropped count: messages for them may
    /// still stand in the stream, and must not come to another queue.
    pub(crate) const fn next_id(&self) -> u32 {
        self.next_id
    }

    /// Takes a change in. One of a queue that does not exist changes nothing.
    pub(crate) fn apply(&mut self, change: &Written<'_>) {
        if matches!(change, Written::Reset) {
            self.queues.clear();
            return;
        }
        if let Written::Define { queue, name } = change {
            self.next_id = self.next_id.max(queue.0.saturating_add(1));
            self.queues.insert(*queue, QueueState { name: (*name).into(), ..QueueState::default() });
            return;
        }
        if let Written::Drop { queue } = change {
            self.next_id = self.next_id.max(queue.0.saturating_add(1));
            self.queues.remove(queue);
            return;
        }
        let (Written::Put { queue: id, .. }
        | Written::Remove { queue: id, .. }
        | Written::Floor { queue: id, .. }
        | Written::Gone { queue: id, .. }
        | Written::Lease { queue: id, .. }) = change
        else {
            return;
        };
        let Some(queue) = self.queues.get_mut(id) else { return };
        match *change {
            Written::Put { key, value, .. } => {
                queue.entries.insert(key.into(), value.into());
            }
            Written::Remove { key, .. } => {
                queue.entries.remove(key);
            }
            Written::Floor { position, .. } if position > queue.floor => {
                queue.floor = position;
                queue.gone.cut_below(position);
                queue.leases = queue.leases.split_off(&position);
            }
            Written::Gone { first, count, .. } if count > 0 => {
                let last = first.saturating_add(count - 1);
                if last >= queue.floor {
                    queue.gone.insert(first.max(queue.floor), last);
                }
                while let Some((leased, _)) = queue.leases.range(first..=last).next() {
                    let leased = *leased;
                    queue.leases.remove(&leased);
                }
            }
            Written::Lease { position, tag, .. } if queue.holds(position) => {
                queue.leases.insert(position, tag);
            }
            _ => {}
        }
    }

    /// Takes in a body of changes; `false` when it does not decode, and what came before the bad place is taken in.
    #[must_use]
    pub(crate) fn apply_all(&mut self, body: &[u8]) -> bool {
        let mut reader = Reader::new(body);
        while !reader.is_empty() {
            let Some(change) = Written::decode(&mut reader) else { return false };
            self.apply(&change);
        }
        true
    }

    /// The whole state as changes that make it out of nothing, cut into parts of rows: to be read joined together.
    pub(crate) fn picture(&self) -> Vec<Vec<u8>> {
        let cut = |body: &Vec<u8>| body.chunks(PICTURE_BYTES_MAX).map(<[u8]>::to_vec).collect::<Vec<_>>();
        self.bodies(Bodies::default()).iter().flat_map(cut).collect()
    }

    /// The whole state as changes to be read after others: they make nothing of them first.
    pub(crate) fn restatement(&self) -> Vec<Vec<u8>> {
        let mut bodies = Bodies::default();
        bodies.add(&Written::Reset);
        self.bodies(bodies)
    }

    fn bodies(&self, mut bodies: Bodies) -> Vec<Vec<u8>> {
        for (id, queue) in self.queues() {
            bodies.add(&Written::Define { queue: id, name: &queue.name });
            if queue.floor > 0 {
                bodies.add(&Written::Floor { queue: id, position: queue.floor });
            }
            for (first, last) in queue.gone.iter() {
                bodies.add(&Written::Gone { queue: id, first, count: last - first + 1 });
            }
            for (position, tag) in &queue.leases {
                bodies.add(&Written::Lease { queue: id, position: *position, tag: *tag });
            }
            for (key, value) in &queue.entries {
                bodies.add(&Written::Put { queue: id, key, value });
            }
        }
        bodies.all
    }
}

/// Changes, gathered into bodies of rows. A body is no longer than a row may be, unless one change alone is.
#[derive(Debug, Default)]
pub(crate) struct Bodies {
    pub(crate) all: Vec<Vec<u8>>,
}

impl Bodies {
    pub(crate) fn add(&mut self, change: &Written<'_>) {
        if let Some(last) = self.all.last_mut() {
            let before = last.len();
            change.encode(last);
            if last.len() <= BODY_BYTES_MAX {
                return;
            }
            let rest = last.split_off(before);
            self.all.push(rest);
            return;
        }
        let mut first = Vec::new();
        change.encode(&mut first);
        self.all.push(first);
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[derive(Debug, Clone)]
    enum Act {
        Define(u32),
        Drop(u32),
        Put(u32, u8, u8),
        Remove(u32, u8),
        Floor(u32, u64),
        Gone(u32, u64, u64),
        Lease(u32, u64, u16),
    }

    fn act() -> impl Strategy<Value = Act> {
        let queue = 0..3_u32;
        prop_oneof![
            1 => queue.clone().prop_map(Act::Define),
            1 => queue.clone().prop_map(Act::Drop),
            4 => (queue.clone(), 0..5_u8, any::<u8>()).prop_map(|(q, k, v)| Act::Put(q, k, v)),
            2 => (queue.clone(), 0..5_u8).prop_map(|(q, k)| Act::Remove(q, k)),
            2 => (queue.clone(), 0..40_u64).prop_map(|(q, p)| Act::Floor(q, p)),
            8 => (queue.clone(), 0..40_u64, 1..4_u64).prop_map(|(q, p, n)| Act::Gone(q, p, n)),
            8 => (queue, 0..40_u64, any::<u16>()).prop_map(|(q, p, t)| Act::Lease(q, p, t)),
        ]
    }

    fn apply(state: &mut State, act: &Act) {
        let (key, value);
        let change = match *act {
            Act::Define(q) => Written::Define { queue: QueueId(q), name: b"n" },
            Act::Drop(q) => Written::Drop { queue: QueueId(q) },
            Act::Put(q, k, v) => {
                (key, value) = ([k], [v]);
                Written::Put { queue: QueueId(q), key: &key, value: &value }
            }
            Act::Remove(q, k) => {
                key = [k];
                Written::Remove { queue: QueueId(q), key: &key }
            }
            Act::Floor(q, position) => Written::Floor { queue: QueueId(q), position },
            Act::Gone(q, first, count) => Written::Gone { queue: QueueId(q), first, count },
            Act::Lease(q, position, tag) => Written::Lease { queue: QueueId(q), position, tag },
        };
        state.apply(&change);
    }

    proptest! {
        #[test]
        fn a_picture_makes_the_same_state_out_of_nothing(acts in proptest::collection::vec(act(), 0..120)) {
            let mut state = State::default();
            acts.iter().for_each(|act| apply(&mut state, act));
            let mut copy = State::default();
            prop_assert!(copy.apply_all(&state.picture().concat()));
            prop_assert_eq!(&copy, &state);
            copy.apply(&Written::Define { queue: QueueId(9), name: b"other" });
            for body in state.restatement() {
                prop_assert!(copy.apply_all(&body));
            }
            prop_assert_eq!(copy, state);
        }

        #[test]
        fn what_is_gone_is_neither_held_nor_leased(acts in proptest::collection::vec(act(), 0..120)) {
            let mut state = State::default();
            acts.iter().for_each(|act| apply(&mut state, act));
            for (_, queue) in state.queues() {
                prop_assert!(queue.leases.keys().all(|position| queue.holds(*position)));
            }
        }
    }

    #[test]
    fn a_large_picture_is_cut_into_rows() {
        let mut state = State::default();
        state.apply(&Written::Define { queue: QueueId(1), name: b"n" });
        for key in 0..5_000_u32 {
            state.apply(&Written::Put { queue: QueueId(1), key: &key.to_be_bytes(), value: &[1; 100] });
        }
        state.apply(&Written::Put { queue: QueueId(1), key: b"longer than a row", value: &[1; 200_000] });
        let bodies = state.picture();
        assert!(bodies.len() > 5 && bodies.iter().all(|body| body.len() <= BODY_BYTES_MAX));
        let mut copy = State::default();
        assert!(copy.apply_all(&bodies.concat()));
        assert_eq!(copy, state);
    }

    /// The number of a queue that was defined and dropped again was given to the next one, and with it the messages
    /// that still stood in the stream.
    #[test]
    fn the_number_of_a_dropped_queue_is_not_used_again() {
        let mut state = State::default();
        state.apply(&Written::Define { queue: QueueId(3), name: b"n" });
        state.apply(&Written::Drop { queue: QueueId(3) });
        assert_eq!(state.next_id(), 4);
    }
}
