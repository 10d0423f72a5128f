//! A group of consumers: where it stands, what its consumers have, and what it will have to deliver again.

use std::collections::{BTreeMap, VecDeque};

use super::{ConsumerId, Content, Fate, GroupId, LeaseId, Position, Queue, leases::Leases, sticky::Keys, waits::Waits};
use crate::limits::GROUPS_MAX;

/// How often a group may get a message.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Mode {
    /// Until a consumer has acknowledged it.
    #[default]
    AtLeastOnce,
    /// Once: it is done with when it is dealt, whatever becomes of it.
    AtMostOnce,
}

/// In which order a group gets its messages.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Order {
    /// As they stand, to whichever consumer is free.
    #[default]
    Any,
    /// Those of one key one after another, to the consumer that the key belongs to.
    ByKey,
}

/// What a group is told when it is made.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct GroupOptions {
    /// How often.
    pub mode: Mode,
    /// In which order.
    pub order: Order,
}

/// How a consumer takes messages.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Credit {
    /// Messages that it may have at a time.
    pub messages: u32,
    /// How long it may have each, in milliseconds; `None` for as long as it is there.
    pub lease_ms: Option<u64>,
}

/// How a group is.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct GroupFigures {
    /// Messages that it is not done with.
    pub pending: usize,
    /// Those of them that its consumers have.
    pub leased: usize,
    /// Those of them that wait for their time.
    pub waiting: usize,
    /// Its consumers.
    pub consumers: usize,
}

#[derive(Debug)]
pub(super) struct Consumer {
    pub(super) id: ConsumerId,
    pub(super) credit: Credit,
    /// Messages that it has, those whose lease has ended included until it says something of them.
    pub(super) leased: u32,
    /// Those of them whose lease has ended.
    pub(super) overdue: u32,
    /// Whether it stands in the ring.
    pub(super) is_free: bool,
}

impl Consumer {
    pub(super) const fn free(&self) -> u32 {
        self.credit.messages.saturating_sub(self.leased)
    }

    /// Whether keys may belong to it: one that is given nothing, or is stuck with all that it may have, would keep
    /// them from everybody.
    pub(super) const fn can_own(&self) -> bool {
        self.credit.messages > self.overdue
    }
}

/// A message that is to be delivered again: by priority, highest first, then by position.
pub(super) type Rank = (u8, u64);

pub(super) const fn rank(priority: u8, position: u64) -> Rank {
    (u8::MAX - priority, position)
}

/// See the module's description.
#[derive(Debug)]
pub(super) struct Group {
    pub(super) name: Box<str>,
    pub(super) options: GroupOptions,
    /// For each line, the position from which on nothing was dealt.
    pub(super) cursors: Vec<u64>,
    pub(super) pending: usize,
    /// To be delivered again, with how often they were.
    pub(super) returned: BTreeMap<Rank, u32>,
    /// Not before their time.
    pub(super) waits: Waits,
    pub(super) leases: Leases,
    /// No lease of this group is older: that of a group which had its identifier before says nothing here.
    pub(super) first_lease: LeaseId,
    /// Leases that ended by their time, and whose consumers have not said anything of them since.
    pub(super) overdue: BTreeMap<LeaseId, ConsumerId>,
    pub(super) consumers: Vec<Consumer>,
    /// Consumers with free credit, in turn.
    pub(super) ring: VecDeque<ConsumerId>,
    pub(super) keys: Option<Box<Keys>>,
    /// How often messages of an earlier life were delivered.
    pub(super) attempts_before: BTreeMap<u64, u32>,
}

impl Group {
    fn new(name: &str, options: GroupOptions, lines: usize, first_lease: LeaseId) -> Self {
        Self {
            name: name.into(),
            options,
            cursors: vec![0; lines],
            pending: 0,
            returned: BTreeMap::new(),
            waits: Waits::default(),
            leases: Leases::default(),
            first_lease,
            overdue: BTreeMap::new(),
            consumers: Vec::new(),
            ring: VecDeque::new(),
            keys: (options.order == Order::ByKey).then(Box::default),
            attempts_before: BTreeMap::new(),
        }
    }

    /// Consumers are few and come and go at the end: from the back.
    pub(super) fn consumer(&mut self, id: ConsumerId) -> Option<&mut Consumer> {
        let at = self.consumers.binary_search_by_key(&id, |consumer| consumer.id).ok()?;
        self.consumers.get_mut(at)
    }

    /// The consumer whose turn it is: of the next two the one with more free credit.
    pub(super) fn next_consumer(&mut self) -> Option<ConsumerId> {
        let first = *self.ring.front()?;
        if let Some(second) = self.ring.get(1).copied()
            && self.free_of(second) > self.free_of(first)
        {
            self.ring.swap(0, 1);
            return Some(second);
        }
        Some(first)
    }

    pub(super) fn free_of(&self, id: ConsumerId) -> u32 {
        let found = self.consumers.binary_search_by_key(&id, |consumer| consumer.id);
        found.ok().and_then(|at| self.consumers.get(at)).map_or(0, Consumer::free)
    }

    /// A consumer takes a message more; answers for how long.
    pub(super) fn charge(&mut self, id: ConsumerId) -> Option<u64> {
        let consumer = self.consumer(id)?;
        consumer.leased += 1;
        let is_free = consumer.free() > 0;
        consumer.is_free = is_free;
        let lease_ms = consumer.credit.lease_ms;
        if is_free && self.ring.len() == 1 {
            return lease_ms; // it has each turn
        }
        let at = if self.ring.front() == Some(&id) { Some(0) } else { self.ring.iter().position(|one| *one == id) };
        if let Some(at) = at {
            self.ring.remove(at);
            if is_free {
                self.ring.push_back(id);
            }
        }
        lease_ms
    }

    /// A consumer has some messages less.
    pub(super) fn release(&mut self, id: ConsumerId, messages: u32) {
        let Some(consumer) = self.consumer(id) else { return };
        consumer.leased = consumer.leased.saturating_sub(messages);
        if !consumer.is_free {
            self.offer(id);
        }
    }

    /// Puts a consumer with free credit into the ring.
    fn offer(&mut self, id: ConsumerId) {
        let Some(consumer) = self.consumer(id) else { return };
        if consumer.free() > 0 && !consumer.is_free {
            consumer.is_free = true;
            self.ring.push_back(id);
        }
    }

    /// The time of a consumer's lease was up. It keeps the debt until it says something: one that is stuck gets
    /// nothing else to sit on.
    pub(super) fn note_overdue(&mut self, lease: LeaseId, id: ConsumerId) {
        let Some(consumer) = self.consumer(id) else { return };
        consumer.overdue += 1;
        self.overdue.insert(lease, id);
        self.review_keys(id);
    }

    /// A consumer has said something of a lease that had ended.
    pub(super) fn forgive(&mut self, lease: LeaseId) {
        if let Some(id) = self.overdue.remove(&lease) {
            self.forgive_messages(id, 1);
        }
    }

    /// A consumer has said something that is no word on what it had, which is its debt no longer.
    pub(super) fn forgive_all(&mut self, id: ConsumerId) {
        let owes = self.consumer(id).map_or(0, |consumer| consumer.overdue);
        if owes > 0 {
            self.overdue.retain(|_, of| *of != id);
            self.forgive_messages(id, owes);
        }
    }

    fn forgive_messages(&mut self, id: ConsumerId, messages: u32) {
        if let Some(consumer) = self.consumer(id) {
            consumer.overdue = consumer.overdue.saturating_sub(messages);
            self.release(id, messages);
            self.review_keys(id);
        }
    }

    /// A consumer is gone, with its debts.
    pub(super) fn drop_consumer(&mut self, id: ConsumerId) -> bool {
        let Ok(at) = self.consumers.binary_search_by_key(&id, |one| one.id) else { return false };
        let gone = self.consumers.remove(at);
        self.ring.retain(|one| *one != id);
        if gone.overdue > 0 {
            self.overdue.retain(|_, of| *of != id);
        }
        true
    }

    /// A message is over for the group: it is not delivered again and waits for nothing. Answers the key that it held.
    pub(super) fn forget(&mut self, priority: u8, position: u64) -> Option<u64> {
        if self.returned.is_empty() && self.waits.is_empty() && self.attempts_before.is_empty() {
            return None;
        }
        if !self.returned.is_empty() {
            self.returned.remove(&rank(priority, position));
        }
        if !self.attempts_before.is_empty() {
            self.attempts_before.remove(&position);
        }
        let waiting = self.waits.remove(position)?;
        waiting.key.filter(|_| waiting.attempts > 0)
    }

    /// Gives back memory that an idle group does not need.
    pub(super) fn give_back(&mut self) {
        self.leases.give_back();
        self.ring.shrink_to_fit();
        if let Some(keys) = self.keys.as_mut().filter(|keys| keys.busy.is_empty()) {
            **keys = Keys::default();
        }
    }

    pub(super) fn next_deadline_ms(&self) -> Option<u64> {
        self.leases.next_deadline_ms().into_iter().chain(self.waits.next_deadline_ms()).min()
    }
}

impl<T: Content> Queue<T> {
    /// Adds a group, or finds the one of that name: its options stay as they are. A new group begins with what is in
    /// the queue, or with what comes from now on. The answer says whether it is new; `None` when there are
    /// [`GROUPS_MAX`].
    pub fn add_group(&mut self, name: &str, options: GroupOptions, from_now: bool) -> Option<(GroupId, bool)> {
        if let Some(known) = self.group_named(name) {
            return Some((known, false));
        }
        let is_first = self.all_groups() == 0;
        let slot = self.groups.iter().position(Option::is_none).unwrap_or(self.groups.len());
        if slot >= GROUPS_MAX {
            return None;
        }
        let mut group = Box::new(Group::new(name, options, self.lines.len(), LeaseId(self.next_lease)));
        if from_now {
            group.cursors.fill(self.next);
        } else {
            group.pending = self.want_all(slot);
        }
        if slot == self.groups.len() {
            self.groups.push(None);
        }
        self.groups[slot] = Some(group);
        if is_first && from_now {
            self.drop_unwanted();
        }
        Some((GroupId(slot as u8), true))
    }

    /// Ends a group: what it alone wanted is gone, and what its consumers have is theirs no more.
    pub fn remove_group(&mut self, group: GroupId) {
        let slot = usize::from(group.0);
        if self.groups.get(slot).is_none_or(Option::is_none) {
            return;
        }
        let is_last = self.all_groups() == 1 << slot;
        if is_last {
            // Without a group messages wait for the first to come.
            self.groups[slot] = None;
            let mut soonest_ms = u64::MAX;
            self.each_entry(|entry| {
                entry.wanted = 0;
                soonest_ms = soonest_ms.min(entry.expires_at_ms);
            });
            self.soonest_expiry_ms = soonest_ms; // what was leased may expire now
            return;
        }
        for position in self.positions(|entry| entry.wanted & (1 << slot) != 0) {
            self.finish(slot, position, Fate::Removed, 0);
        }
        self.groups[slot] = None;
    }

    /// The group of this name.
    #[must_use]
    pub fn group_named(&self, name: &str) -> Option<GroupId> {
        let slot = self.groups.iter().position(|group| group.as_ref().is_some_and(|group| &*group.name == name))?;
        Some(GroupId(slot as u8))
    }

    /// The groups, with their names and options.
    pub fn groups(&self) -> impl Iterator<Item = (GroupId, &str, GroupOptions)> {
        let groups = self.groups.iter().enumerate();
        groups.filter_map(|(slot, group)| {
            let group = group.as_ref()?;
            Some((GroupId(slot as u8), &*group.name, group.options))
        })
    }

    /// How a group is.
    #[must_use]
    pub fn group_figures(&self, group: GroupId) -> GroupFigures {
        let Some(Some(group)) = self.groups.get(usize::from(group.0)) else { return GroupFigures::default() };
        GroupFigures {
            pending: group.pending,
            leased: group.leases.len(),
            waiting: group.waits.len(),
            consumers: group.consumers.len(),
        }
    }

    /// A consumer joins a group.
    pub fn attach(&mut self, group: GroupId, credit: Credit) -> Option<ConsumerId> {
        let id = ConsumerId(self.next_consumer);
        let group = self.groups.get_mut(usize::from(group.0))?.as_mut()?;
        self.next_consumer = self.next_consumer.checked_add(1)?;
        group.consumers.push(Consumer { id, credit, leased: 0, overdue: 0, is_free: false });
        group.offer(id);
        group.review_keys(id);
        Some(id)
    }

    /// Changes a consumer's credit.
    pub fn set_credit(&mut self, group: GroupId, consumer: ConsumerId, messages: u32) {
        let Some(Some(group)) = self.groups.get_mut(usize::from(group.0)) else { return };
        let Some(known) = group.consumer(consumer) else { return };
        known.credit.messages = messages;
        if known.free() == 0 && known.is_free {
            known.is_free = false;
            group.ring.retain(|one| *one != consumer);
        }
        group.offer(consumer);
        group.review_keys(consumer);
    }

    /// Puts back how often a message was delivered to a group in an earlier life.
    pub fn restore_attempts(&mut self, group: GroupId, position: Position, attempts: u32) {
        if let Some(Some(group)) = self.groups.get_mut(usize::from(group.0)) {
            group.attempts_before.insert(position.0, attempts);
        }
    }
}
