//! Groups that keep keys in order: one message of a key is on its way at a time, at the consumer that the key belongs
//! to, which is the same as long as the group's consumers are.

use std::collections::{BTreeMap, VecDeque};

use foldhash::fast::FixedState;
use hashbrown::{HashMap, hash_map::Entry};

use super::{
    ConsumerId, Content, Queue,
    deal::{Look, Ready},
    group::Group,
};
use crate::limits::ASIDE_MAX;

/// A key with a message on its way, or with some set aside.
#[derive(Debug, Default)]
pub(super) struct Key {
    /// Positions set aside, with how often they were delivered.
    pub(super) waiting: VecDeque<(u64, u32)>,
}

/// The keys of a group. A key is *busy* while it is here; it is *parked* at its consumer when its next message may go
/// out, and not when one is on its way or waits for its time.
#[derive(Debug, Default)]
pub(super) struct Keys {
    pub(super) busy: HashMap<u64, Key, FixedState>,
    pub(super) parked: BTreeMap<ConsumerId, VecDeque<u64>>,
    /// Parked keys without a consumer.
    pub(super) orphans: VecDeque<u64>,
    /// Messages set aside, those included that were taken out of the queue since.
    pub(super) aside: usize,
    /// Messages that were taken out of the queue since the last sweep.
    ended: usize,
}

impl Group {
    /// The consumer that a key belongs to.
    pub(super) fn owner(&self, key: u64) -> Option<ConsumerId> {
        let able = self.consumers.iter().filter(|consumer| consumer.can_own());
        able.map(|consumer| consumer.id).max_by_key(|id| mix(key ^ mix(u64::from(id.0))))
    }

    fn park(&mut self, key: u64) {
        let owner = self.owner(key);
        let Some(keys) = &mut self.keys else { return };
        match owner {
            Some(owner) => keys.parked.entry(owner).or_default().push_back(key),
            None => keys.orphans.push_back(key),
        }
    }

    /// What keys may belong to a consumer may have changed.
    pub(super) fn review_keys(&mut self, id: ConsumerId) {
        if self.keys.is_none() {
            return;
        }
        if self.consumer(id).is_some_and(|consumer| consumer.can_own()) {
            self.adopt_orphans();
        } else {
            self.orphan(id);
        }
    }

    /// A consumer is gone or stuck: its keys go to others.
    pub(super) fn orphan(&mut self, consumer: ConsumerId) {
        let Some(keys) = &mut self.keys else { return };
        let its = keys.parked.remove(&consumer).unwrap_or_default();
        its.into_iter().for_each(|key| self.park(key));
    }

    /// A consumer has come: keys that had none are its.
    fn adopt_orphans(&mut self) {
        let Some(keys) = self.keys.as_mut().filter(|keys| !keys.orphans.is_empty()) else { return };
        let orphans = std::mem::take(&mut keys.orphans);
        orphans.into_iter().for_each(|key| self.park(key));
    }
}

/// Spreads a number over all bits (the finaliser of splitmix64).
const fn mix(mut x: u64) -> u64 {
    x = x.wrapping_add(0x9e37_79b9_7f4a_7c15);
    x = (x ^ (x >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    x = (x ^ (x >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    x ^ (x >> 31)
}

impl<T: Content> Queue<T> {
    /// Deals one message of a group that keeps keys in order; `false` when none can be.
    pub(super) fn deal_by_key(&mut self, slot: usize, now_ms: u64) -> bool {
        self.deal_parked(slot, now_ms) || self.deal_fresh(slot, now_ms)
    }

    /// A message of a key whose turn it is, to a consumer with credit.
    fn deal_parked(&mut self, slot: usize, now_ms: u64) -> bool {
        let Some(Some(group)) = self.groups.get(slot) else { return false };
        let Some(keys) = group.keys.as_ref().filter(|keys| !keys.parked.is_empty()) else { return false };
        let takers: Vec<(ConsumerId, usize)> = group
            .ring
            .iter()
            .filter_map(|consumer| Some((*consumer, keys.parked.get(consumer).map(VecDeque::len)?)))
            .collect();
        for (consumer, parked) in takers {
            for _ in 0..parked {
                let Some(key) = self.next_parked(slot, consumer) else { break };
                match self.next_of_key(slot, now_ms, key) {
                    Some(Look::Ready(ready)) => {
                        self.give_of_key(slot, now_ms, consumer, ready, key);
                        return true;
                    }
                    Some(_) => self.with_keys(slot, |keys| keys.parked.entry(consumer).or_default().push_back(key)),
                    None => {}
                }
            }
        }
        false
    }

    fn next_parked(&mut self, slot: usize, consumer: ConsumerId) -> Option<u64> {
        let keys = self.groups.get_mut(slot)?.as_mut()?.keys.as_mut()?;
        let its = keys.parked.get_mut(&consumer)?;
        let key = its.pop_front();
        if its.is_empty() {
            keys.parked.remove(&consumer);
        }
        key
    }

    /// The first message of a key that is still wanted; `None` when there is none, and the key is not busy any more.
    fn next_of_key(&mut self, slot: usize, now_ms: u64, key: u64) -> Option<Look<T>> {
        loop {
            let keys = self.groups.get_mut(slot)?.as_mut()?.keys.as_mut()?;
            let Some((position, attempts)) = keys.busy.get_mut(&key)?.waiting.pop_front() else {
                keys.busy.remove(&key);
                return None;
            };
            keys.aside -= 1;
            match self.look(slot, now_ms, position, attempts) {
                Look::Ready(ready) => return Some(Look::Ready(ready)),
                Look::Cold => {
                    self.with_keys(slot, |keys| {
                        keys.aside += 1;
                        keys.busy.entry(key).or_default().waiting.push_front((position, attempts));
                    });
                    return Some(Look::Cold);
                }
                Look::Not => {}
            }
        }
    }

    /// The next message in order whose key is free, or which has none.
    fn deal_fresh(&mut self, slot: usize, now_ms: u64) -> bool {
        loop {
            if self.is_aside_full(slot) {
                return false;
            }
            let ready = match self.next_returned(slot, now_ms) {
                Some(ready) => ready,
                None => match self.next_in_line(slot, now_ms) {
                    Some(Look::Ready(ready)) => ready,
                    Some(Look::Not) => continue,
                    Some(Look::Cold) | None => return false,
                },
            };
            if self.route(slot, now_ms, ready) {
                return true;
            }
        }
    }

    /// Whether nothing more may be set aside. What was taken out of the queue does not count.
    fn is_aside_full(&mut self, slot: usize) -> bool {
        let keys = self.groups.get_mut(slot).and_then(Option::as_mut).and_then(|group| group.keys.as_mut());
        let Some(keys) = keys else { return true };
        if keys.aside < ASIDE_MAX {
            return false;
        }
        if std::mem::take(&mut keys.ended) == 0 {
            return true;
        }
        let mut busy = std::mem::take(&mut keys.busy);
        let mut aside = 0;
        for key in busy.values_mut() {
            key.waiting.retain(|(position, _)| self.wants(slot, *position));
            aside += key.waiting.len();
        }
        self.with_keys(slot, |keys| (keys.busy, keys.aside) = (busy, aside));
        aside >= ASIDE_MAX
    }

    /// The next message that was never dealt; the cursor moves past it unless it is cold.
    fn next_in_line(&mut self, slot: usize, now_ms: u64) -> Option<Look<T>> {
        let (line, position) = self.next_fresh(slot)?;
        let look = self.look_in(line, slot, now_ms, position, 0);
        if !matches!(look, Look::Cold) {
            *self.groups.get_mut(slot)?.as_mut()?.cursors.get_mut(line)? = position + 1;
        }
        Some(look)
    }

    /// A message goes to a consumer, or is set aside for its key; answers whether it was dealt.
    fn route(&mut self, slot: usize, now_ms: u64, ready: Ready<T>) -> bool {
        let Some(Some(group)) = self.groups.get_mut(slot) else { return false };
        let Some(key) = ready.item.key() else {
            let Some(consumer) = group.next_consumer() else { return false };
            self.give(slot, now_ms, consumer, ready, None);
            return true;
        };
        let owner = group.owner(key).filter(|owner| group.free_of(*owner) > 0);
        let Some(keys) = &mut group.keys else { return false };
        match keys.busy.entry(key) {
            Entry::Occupied(mut busy) => {
                busy.get_mut().waiting.push_back((ready.position, ready.attempts));
                keys.aside += 1;
                return false;
            }
            Entry::Vacant(free) => free.insert(Key::default()),
        };
        let Some(owner) = owner else {
            self.return_to_key(slot, key, ready.position, ready.attempts);
            return false;
        };
        self.give_of_key(slot, now_ms, owner, ready, key);
        true
    }

    /// A message that was returned, of which no key was known.
    fn next_returned(&mut self, slot: usize, now_ms: u64) -> Option<Ready<T>> {
        loop {
            let (rank, attempts) = self.groups.get_mut(slot)?.as_mut()?.returned.pop_first()?;
            match self.look(slot, now_ms, rank.1, attempts) {
                Look::Ready(ready) => return Some(ready),
                Look::Cold => {
                    self.groups.get_mut(slot)?.as_mut()?.returned.insert(rank, attempts);
                    return None;
                }
                Look::Not => {}
            }
        }
    }

    fn give_of_key(&mut self, slot: usize, now_ms: u64, consumer: ConsumerId, ready: Ready<T>, key: u64) {
        let is_once = self
            .groups
            .get(slot)
            .and_then(Option::as_ref)
            .is_some_and(|group| group.options.mode == super::Mode::AtMostOnce);
        self.give(slot, now_ms, consumer, ready, Some(key));
        if is_once {
            self.free_key(slot, key);
        }
    }

    /// A message has come whose time it is now: behind those of its key that are here.
    pub(super) fn arrive(&mut self, slot: usize, key: u64, position: u64) {
        let mut is_new = false;
        self.with_keys(slot, |keys| {
            is_new = !keys.busy.contains_key(&key);
            keys.busy.entry(key).or_default().waiting.push_back((position, 0));
            keys.aside += 1;
        });
        if is_new {
            self.park(slot, key);
        }
    }

    /// The message of a key that was on its way is to go again, before the others.
    pub(super) fn return_to_key(&mut self, slot: usize, key: u64, position: u64, attempts: u32) {
        self.with_keys(slot, |keys| {
            keys.busy.entry(key).or_default().waiting.push_front((position, attempts));
            keys.aside += 1;
        });
        self.park(slot, key);
    }

    /// The message of a key that was on its way is done with: the next one may go.
    pub(super) fn free_key(&mut self, slot: usize, key: u64) {
        let mut has_more = false;
        self.with_keys(slot, |keys| {
            if let Entry::Occupied(busy) = keys.busy.entry(key) {
                has_more = !busy.get().waiting.is_empty();
                if !has_more {
                    busy.remove();
                }
            }
        });
        if has_more {
            self.park(slot, key);
        }
    }

    fn park(&mut self, slot: usize, key: u64) {
        if let Some(Some(group)) = self.groups.get_mut(slot) {
            group.park(key);
        }
    }

    /// A message that may have been set aside was taken out of the queue.
    pub(super) fn note_ended(&mut self, slot: usize) {
        self.with_keys(slot, |keys| keys.ended += 1);
    }

    fn with_keys(&mut self, slot: usize, change: impl FnOnce(&mut Keys)) {
        if let Some(Some(group)) = self.groups.get_mut(slot)
            && let Some(keys) = &mut group.keys
        {
            change(keys);
        }
    }
}
