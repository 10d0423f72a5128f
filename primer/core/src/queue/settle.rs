//! What consumers say of their messages, and what happens when they say nothing.

use super::{
    ConsumerId, Content, Death, Fate, GroupId, LeaseId, Position, Queue, group::rank, leases::Lease, waits::Waiting,
};

/// What a consumer says of a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// It is done with it.
    Ack,
    /// It is to be delivered again, after a delay: its own, or that of the queue.
    Nack {
        /// In milliseconds.
        delay_ms: Option<u64>,
    },
    /// It goes to the dead letters.
    Reject,
    /// It was not looked at: it is delivered again, and this time does not count.
    Release,
}

/// The lease is over: its time was up, or the message is gone. Nothing has changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the lease of this message is over")]
pub struct Stale;

impl<T: Content> Queue<T> {
    /// Takes a consumer's word on a message. An acknowledgement that comes after the end of its lease still counts
    /// while the message has not been given to somebody else.
    ///
    /// # Errors
    /// The lease is over.
    pub fn settle(
        &mut self,
        now_ms: u64,
        group: GroupId,
        position: Position,
        lease: LeaseId,
        verdict: Verdict,
    ) -> Result<(), Stale> {
        let slot = usize::from(group.0);
        let Some(Some(known)) = self.groups.get_mut(slot) else { return Err(Stale) };
        let held = match known.leases.take(position.0, lease) {
            Ok(held) => held,
            Err(other) => {
                known.forgive(lease);
                let is_free = other.is_none() && lease >= known.first_lease && self.wants(slot, position.0);
                if verdict != Verdict::Ack || !is_free {
                    return Err(Stale);
                }
                self.finish(slot, position.0, Fate::Acked, 0);
                return Ok(());
            }
        };
        known.release(held.consumer, 1);
        match verdict {
            Verdict::Ack => self.done(slot, position.0, &held, Fate::Acked),
            Verdict::Reject => self.done(slot, position.0, &held, Fate::Dead(Death::Rejected)),
            Verdict::Nack { delay_ms } => self.retry(slot, now_ms, position.0, &held, delay_ms),
            Verdict::Release => {
                self.note_expiry(position.0);
                self.give_back(slot, position.0, held.attempt - 1, held.key);
            }
        }
        Ok(())
    }

    /// A consumer needs longer: its lease ends `lease_ms` from now.
    ///
    /// # Errors
    /// The lease is over.
    pub fn extend(
        &mut self,
        now_ms: u64,
        group: GroupId,
        position: Position,
        lease: LeaseId,
        lease_ms: u64,
    ) -> Result<(), Stale> {
        let Some(Some(group)) = self.groups.get_mut(usize::from(group.0)) else { return Err(Stale) };
        let deadline_ms = now_ms.saturating_add(lease_ms);
        group.leases.extend(position.0, lease, deadline_ms).then_some(()).ok_or(Stale)
    }

    /// A consumer is gone: what it had is delivered again.
    pub fn detach(&mut self, now_ms: u64, group: GroupId, consumer: ConsumerId) {
        let slot = usize::from(group.0);
        let Some(Some(known)) = self.groups.get_mut(slot) else { return };
        if !known.drop_consumer(consumer) {
            return;
        }
        let had = known.leases.remove_of(consumer);
        known.orphan(consumer);
        for (position, lease) in had {
            self.retry(slot, now_ms, position, &lease, None);
        }
    }

    /// Leases whose time is up.
    pub(super) fn end_leases(&mut self, slot: usize, now_ms: u64) {
        loop {
            let Some(Some(group)) = self.groups.get_mut(slot) else { return };
            let Some((position, lease)) = group.leases.pop_over(now_ms) else { return };
            group.note_overdue(lease.id, lease.consumer);
            self.retry(slot, now_ms, position, &lease, None);
        }
    }

    /// Messages whose delay is over.
    pub(super) fn end_delays(&mut self, slot: usize, now_ms: u64) {
        loop {
            let Some(Some(group)) = self.groups.get_mut(slot) else { return };
            let Some((position, Waiting { attempts, key })) = group.waits.pop_due(now_ms) else { return };
            self.due.remove(&position);
            match key {
                // It had not been delivered: its key was free meanwhile.
                Some(key) if attempts == 0 => self.arrive(slot, key, position),
                key => self.give_back(slot, position, attempts, key),
            }
        }
    }

    fn done(&mut self, slot: usize, position: u64, lease: &Lease, fate: Fate) {
        self.finish(slot, position, fate, lease.attempt);
        if let Some(key) = lease.key {
            self.free_key(slot, key);
        }
    }

    /// A delivery has come to nothing.
    fn retry(&mut self, slot: usize, now_ms: u64, position: u64, lease: &Lease, delay_ms: Option<u64>) {
        let deliveries_max = self.terms.deliveries_max;
        if deliveries_max > 0 && lease.attempt >= deliveries_max {
            self.done(slot, position, lease, Fate::Dead(Death::Deliveries));
            return;
        }
        self.note_expiry(position);
        let delay_ms = delay_ms.unwrap_or(self.terms.retry_delay_ms);
        if delay_ms == 0 || !self.wants(slot, position) {
            self.give_back(slot, position, lease.attempt, lease.key);
        } else if let Some(Some(group)) = self.groups.get_mut(slot) {
            let waiting = Waiting { attempts: lease.attempt, key: lease.key };
            group.waits.insert(now_ms.saturating_add(delay_ms), position, waiting);
        }
    }

    /// A message may be delivered again, before those that come after it.
    fn give_back(&mut self, slot: usize, position: u64, attempts: u32, key: Option<u64>) {
        if let Some(key) = key {
            self.return_to_key(slot, key, position, attempts);
            return;
        }
        let Some((line, _)) = self.find(position) else { return };
        let priority = self.lines.get(line).map_or(0, |line| line.priority);
        if let Some(Some(group)) = self.groups.get_mut(slot) {
            group.returned.insert(rank(priority, position), attempts);
        }
    }
}
