//! Exchanges by packet identifier, in the order in which the identifiers were given out.
//!
//! Identifiers go up by one and start again after 65,535, and acknowledgements mostly come in the order of the
//! publishes: so an exchange is found by the distance of its identifier from the oldest one, neighbours in time are
//! neighbours in memory, and nothing is hashed. An exchange that is still open when the identifiers have gone once
//! around moves to a map of stragglers.

use std::collections::{BTreeMap, VecDeque};

use crate::codec::packet::PacketId;

/// Ended exchanges that may stand between open ones before they are swept out.
const GAPS_MAX: usize = 64;

/// Exchanges for which the memory is kept while nothing is in flight.
const IDLE_CAPACITY_MAX: usize = 16;

#[derive(Debug)]
struct Slot<E> {
    packet_id: PacketId,
    /// `None` once it has ended.
    exchange: Option<E>,
}

/// See the module's description.
///
/// Invariants: in `slots`, the distance from the first identifier ascends; the first slot is open; `open` counts the
/// open ones. No identifier is both in a slot and a straggler.
#[derive(Debug)]
pub(super) struct ByPacketId<E> {
    slots: VecDeque<Slot<E>>,
    open: usize,
    stragglers: BTreeMap<PacketId, E>,
}

impl<E> Default for ByPacketId<E> {
    fn default() -> Self {
        Self { slots: VecDeque::new(), open: 0, stragglers: BTreeMap::new() }
    }
}

/// How far an identifier comes after another one: 0 to 65,534.
#[inline]
fn distance(from: PacketId, to: PacketId) -> usize {
    let (from, to) = (usize::from(from.get()), usize::from(to.get()));
    if to >= from { to - from } else { to + usize::from(u16::MAX) - from }
}

impl<E> ByPacketId<E> {
    /// Adds an exchange under an identifier that is not in use and was given out after all that are.
    pub(super) fn insert(&mut self, packet_id: PacketId, exchange: E) {
        while let (Some(first), Some(last)) = (self.slots.front(), self.slots.back()) {
            if distance(first.packet_id, packet_id) > distance(first.packet_id, last.packet_id) {
                break;
            }
            // Once around: the oldest is not the measure of the others any more.
            if let Some(Slot { packet_id, exchange: Some(exchange) }) = self.slots.pop_front() {
                self.open -= 1;
                self.stragglers.insert(packet_id, exchange);
            }
            self.drop_ended();
        }
        self.slots.push_back(Slot { packet_id, exchange: Some(exchange) });
        self.open += 1;
    }

    pub(super) fn get_mut(&mut self, packet_id: PacketId) -> Option<&mut E> {
        match self.find(packet_id) {
            Some(index) => self.slots.get_mut(index)?.exchange.as_mut(),
            None => self.stragglers.get_mut(&packet_id),
        }
    }

    pub(super) fn contains(&self, packet_id: PacketId) -> bool {
        let is_open = |index| self.slots.get(index).is_some_and(|slot| slot.exchange.is_some());
        self.find(packet_id).is_some_and(is_open) || self.stragglers.contains_key(&packet_id)
    }

    pub(super) fn remove(&mut self, packet_id: PacketId) -> Option<E> {
        let Some(index) = self.find(packet_id) else { return self.stragglers.remove(&packet_id) };
        let exchange = self.slots.get_mut(index)?.exchange.take()?;
        self.open -= 1;
        self.drop_ended();
        if self.slots.len() > 2 * self.open + GAPS_MAX {
            self.slots.retain(|slot| slot.exchange.is_some());
        }
        Some(exchange)
    }

    pub(super) fn len(&self) -> usize {
        self.open + self.stragglers.len()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// All open exchanges, in no order that means anything.
    pub(super) fn iter_mut(&mut self) -> impl Iterator<Item = (PacketId, &mut E)> {
        let slots = self.slots.iter_mut().filter_map(|slot| Some((slot.packet_id, slot.exchange.as_mut()?)));
        slots.chain(self.stragglers.iter_mut().map(|(packet_id, exchange)| (*packet_id, exchange)))
    }

    /// Gives back memory that a busy session has used and an idle one does not need.
    pub(super) fn give_back(&mut self) {
        if self.slots.capacity() > IDLE_CAPACITY_MAX && self.slots.len() < self.slots.capacity() / 4 {
            self.slots.shrink_to(self.slots.len() * 2);
        }
    }

    fn drop_ended(&mut self) {
        while self.slots.front().is_some_and(|slot| slot.exchange.is_none()) {
            self.slots.pop_front();
        }
    }

    #[inline]
    fn find(&self, packet_id: PacketId) -> Option<usize> {
        let first = self.slots.front()?.packet_id;
        let wanted = distance(first, packet_id);
        // Without gaps the distance is the index; with gaps it is at or before it.
        match self.slots.get(wanted) {
            Some(slot) if slot.packet_id == packet_id => Some(wanted),
            _ => self.search(first, wanted),
        }
    }

    fn search(&self, first: PacketId, wanted: usize) -> Option<usize> {
        if wanted > distance(first, self.slots.back()?.packet_id) {
            return None; // mostly the next one to be given out
        }
        self.slots.binary_search_by_key(&wanted, |slot| distance(first, slot.packet_id)).ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(number: u16) -> PacketId {
        PacketId::new(number).unwrap()
    }

    /// The next identifier after `last` that is not in use, as the session gives them out.
    fn next(table: &ByPacketId<u64>, last: &mut u16) -> PacketId {
        loop {
            *last = last.checked_add(1).unwrap_or(1);
            if !table.contains(id(*last)) {
                return id(*last);
            }
        }
    }

    /// Exchanges end in any order, some never, while the identifiers go around many times: it behaves as a map.
    #[test]
    fn it_is_a_map_whatever_ends_when() {
        for (seed, window) in [(1_u64, 1), (2, 10), (3, 512), (4, 60_000)] {
            let mut table = ByPacketId::default();
            let mut model: BTreeMap<PacketId, u64> = BTreeMap::new();
            let (mut last, mut random) = (u16::try_from(60_000 + seed).unwrap(), seed);
            for turn in 0..300_000_u64 {
                random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
                if model.len() < window && random >> 62 > 0 {
                    let packet_id = next(&table, &mut last);
                    table.insert(packet_id, turn);
                    assert_eq!(model.insert(packet_id, turn), None, "{packet_id} was in use");
                }
                // Mostly what is old, now and then anything; every thousandth is stuck for ever.
                let from = if random >> 59 & 7 == 0 { u16::try_from(random >> 40 & 0xFFFF).unwrap() } else { 0 };
                let ends = id(from.max(1));
                let ends = model.range(ends..).map(|(id, turn)| (*id, *turn)).find(|(_, turn)| turn % 1000 != 7);
                if let Some((packet_id, turn)) = ends.filter(|_| random >> 57 & 3 > 0) {
                    assert_eq!(table.get_mut(packet_id).copied(), Some(turn));
                    assert_eq!((table.remove(packet_id), table.remove(packet_id)), (Some(turn), None));
                    model.remove(&packet_id);
                }
                assert_eq!(table.len(), model.len());
            }
            let mut all: Vec<(PacketId, u64)> = table.iter_mut().map(|(id, turn)| (id, *turn)).collect();
            all.sort_unstable();
            assert_eq!(all, model.into_iter().collect::<Vec<_>>());
            assert!(table.slots.len() <= 2 * table.open + GAPS_MAX, "{}", table.slots.len());
        }
    }

    #[test]
    fn what_is_stuck_for_a_whole_turn_of_the_identifiers_is_still_found() {
        let mut table = ByPacketId::default();
        let mut last = 0;
        let stuck = next(&table, &mut last);
        table.insert(stuck, 0);
        for turn in 1..=140_000 {
            let packet_id = next(&table, &mut last);
            assert_ne!(packet_id, stuck);
            table.insert(packet_id, turn);
            assert_eq!(table.remove(packet_id), Some(turn));
        }
        assert_eq!((table.remove(stuck), table.len()), (Some(0), 0));
        table.give_back();
        assert!(table.is_empty() && table.slots.capacity() <= IDLE_CAPACITY_MAX);
    }
}
