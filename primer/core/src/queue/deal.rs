//! Dealing: which message goes to which consumer.

use super::{
    ConsumerId, Content, Death, Event, Fate, GroupId, LeaseId, Mode, Position, Queue, leases::Lease, line::Place,
    waits::Waiting,
};

/// A message that may be delivered now.
pub(super) struct Ready<T> {
    pub(super) position: u64,
    /// How often it was delivered before.
    pub(super) attempts: u32,
    pub(super) item: T,
}

/// Where a message stands.
pub(super) enum Look<T> {
    Ready(Ready<T>),
    /// It has to be read from the store first.
    Cold,
    /// It has ended, or waits for its time, or another group alone wants it.
    Not,
}

impl<T: Content> Queue<T> {
    /// Leases messages to consumers, as far as there are messages and credit. Consumers of a group have their turns;
    /// of the next two the one with more free credit gets the message.
    pub fn deal(&mut self, now_ms: u64) {
        if self.is_paused || self.holds > 0 || self.len == 0 {
            return;
        }
        loop {
            self.has_freed = false;
            for slot in 0..self.groups.len() {
                while self.has_taker(slot) && self.deal_one(slot, now_ms) {}
            }
            if !self.has_freed {
                return; // or what one group found to be void has freed a key of a group before it
            }
        }
    }

    /// Leases at most `messages_max` messages to one consumer, whatever its credit says, which stays as it is: for one
    /// that asks, and has a credit of none. What has to be read from the store first does not come: when
    /// [`take_to_load`](Self::take_to_load) has some, pull again after it.
    pub fn pull(&mut self, now_ms: u64, group: GroupId, consumer: ConsumerId, messages_max: u32) {
        let Some(Some(known)) = self.groups.get_mut(usize::from(group.0)) else { return };
        known.forgive_all(consumer);
        let Some(known) = known.consumer(consumer) else { return };
        let (has, credit) = (known.leased, known.credit.messages);
        self.set_credit(group, consumer, has.saturating_add(messages_max));
        self.deal(now_ms);
        self.set_credit(group, consumer, credit);
    }

    /// A consumer of a group that is at-most-once has taken messages that it was given: its credit is free again.
    pub fn taken(&mut self, group: GroupId, consumer: ConsumerId, messages: u32) {
        if let Some(Some(group)) = self.groups.get_mut(usize::from(group.0)) {
            group.release(consumer, messages);
        }
    }

    /// How many messages a consumer has.
    #[must_use]
    pub fn has(&self, group: GroupId, consumer: ConsumerId) -> u32 {
        let group = self.groups.get(usize::from(group.0)).and_then(Option::as_ref);
        let found = group.and_then(|group| group.consumers.iter().find(|one| one.id == consumer));
        found.map_or(0, |consumer| consumer.leased)
    }

    fn has_taker(&self, slot: usize) -> bool {
        self.groups.get(slot).and_then(Option::as_ref).is_some_and(|group| !group.ring.is_empty() && group.pending > 0)
    }

    /// Deals one message; `false` when none can be.
    fn deal_one(&mut self, slot: usize, now_ms: u64) -> bool {
        if self.groups.get(slot).and_then(Option::as_ref).is_some_and(|group| group.keys.is_some()) {
            return self.deal_by_key(slot, now_ms);
        }
        let Some(ready) = self.next_ready(slot, now_ms) else { return false };
        let Some(Some(group)) = self.groups.get_mut(slot) else { return false };
        let Some(consumer) = group.next_consumer() else { return false };
        self.give(slot, now_ms, consumer, ready, None);
        true
    }

    /// The next message of a group, in the order of priorities and then of positions; what was returned comes before
    /// what has never been dealt.
    fn next_ready(&mut self, slot: usize, now_ms: u64) -> Option<Ready<T>> {
        loop {
            let returned = self.groups.get(slot)?.as_ref()?.returned.first_key_value().map(|(rank, _)| *rank);
            let fresh = self.next_fresh(slot);
            let takes_returned = match (returned, fresh) {
                (Some((rank, _)), Some((line, _))) => rank <= u8::MAX - self.lines.get(line)?.priority,
                (Some(_), None) => true,
                (None, Some(_)) => false,
                (None, None) => return None,
            };
            if takes_returned {
                let group = self.groups.get_mut(slot)?.as_mut()?;
                let (rank, attempts) = group.returned.pop_first()?;
                match self.look(slot, now_ms, rank.1, attempts) {
                    Look::Ready(ready) => return Some(ready),
                    Look::Cold => {
                        self.groups.get_mut(slot)?.as_mut()?.returned.insert(rank, attempts);
                        return None;
                    }
                    Look::Not => {}
                }
                continue;
            }
            let (line, position) = fresh?;
            let look = self.look_in(line, slot, now_ms, position, 0);
            if !matches!(look, Look::Cold) {
                *self.groups.get_mut(slot)?.as_mut()?.cursors.get_mut(line)? = position + 1;
            }
            match look {
                Look::Ready(ready) => return Some(ready),
                Look::Cold => return None,
                Look::Not => {}
            }
        }
    }

    /// The first message, in the order of priorities, that was never dealt to a group: its line and position. Cursors
    /// move up to it.
    pub(super) fn next_fresh(&mut self, slot: usize) -> Option<(usize, u64)> {
        let group = self.groups.get_mut(slot)?.as_mut()?;
        let bit = 1_u64 << slot;
        for (at, (line, cursor)) in self.lines.iter().zip(&mut group.cursors).enumerate() {
            let mut index = line.index(*cursor);
            while let Some(entry) = line.at(index) {
                if entry.wanted & bit != 0 {
                    *cursor = entry.position;
                    return Some((at, entry.position));
                }
                *cursor = entry.position + 1;
                index += 1;
            }
        }
        None
    }

    /// Whether a message may be delivered to a group now. One that has expired, or was refused by its store, ends here;
    /// one whose time has not come is put aside.
    pub(super) fn look(&mut self, slot: usize, now_ms: u64, position: u64, attempts: u32) -> Look<T> {
        let Some((line, _)) = self.find(position) else { return Look::Not };
        self.look_in(line, slot, now_ms, position, attempts)
    }

    /// The same, of a message whose line is known.
    pub(super) fn look_in(&mut self, line: usize, slot: usize, now_ms: u64, position: u64, attempts: u32) -> Look<T> {
        let Some(entry) = self.lines.get(line).and_then(|line| line.get(position)) else { return Look::Not };
        if entry.wanted & (1 << slot) == 0 {
            return Look::Not;
        }
        let is_expired = now_ms > entry.expires_at_ms;
        let mut attempts = attempts;
        let item = match &entry.place {
            Place::Hot(item) if !item.is_void() => Some(item.clone()),
            Place::Hot(_) => {
                self.end(position, Fate::Void);
                return Look::Not;
            }
            Place::Stored(_) => None,
            Place::Gone => return Look::Not,
        };
        if is_expired {
            self.finish(slot, position, Fate::Expired, attempts);
            return Look::Not;
        }
        if let Some(Some(group)) = self.groups.get(slot)
            && let Some(before) = group.attempts_before.get(&position)
        {
            attempts = attempts.max(*before);
        }
        // The node stopped, or was told otherwise, before the last delivery had an end.
        if self.terms.deliveries_max > 0 && attempts >= self.terms.deliveries_max {
            self.finish(slot, position, Fate::Dead(Death::Deliveries), attempts);
            return Look::Not;
        }
        if attempts == 0
            && let Some(due_ms) = self.due.get(&position).copied().filter(|due_ms| *due_ms > now_ms)
        {
            let key = item.as_ref().and_then(T::key);
            if let Some(Some(group)) = self.groups.get_mut(slot) {
                let key = key.filter(|_| group.keys.is_some());
                group.waits.insert(due_ms, position, Waiting { attempts: 0, key });
            }
            return Look::Not;
        }
        let Some(item) = item else {
            self.ask_for(line, position);
            return Look::Cold;
        };
        if let Some(Some(group)) = self.groups.get_mut(slot)
            && !group.attempts_before.is_empty()
        {
            group.attempts_before.remove(&position);
        }
        Look::Ready(Ready { position, attempts, item })
    }

    /// Gives a message to a consumer.
    pub(super) fn give(&mut self, slot: usize, now_ms: u64, consumer: ConsumerId, ready: Ready<T>, key: Option<u64>) {
        let Ready { position, attempts, item } = ready;
        let attempt = attempts + 1;
        let Some(Some(group)) = self.groups.get_mut(slot) else { return };
        let mut lease = None;
        let is_once = group.options.mode == Mode::AtMostOnce;
        let lease_ms = group.charge(consumer);
        if is_once {
            self.finish(slot, position, Fate::Acked, attempt);
        } else {
            let id = LeaseId(self.next_lease);
            self.next_lease += 1;
            let deadline_ms = lease_ms.map_or(u64::MAX, |lease_ms| now_ms.saturating_add(lease_ms));
            group.leases.insert(position, Lease { id, consumer, deadline_ms, attempt, key });
            lease = Some(id);
        }
        self.counts.delivered += 1;
        self.counts.redelivered += u64::from(attempt > 1);
        let position = Position(position);
        self.events.push(Event::Deliver { group: GroupId(slot as u8), consumer, lease, position, attempt, item });
    }
}
