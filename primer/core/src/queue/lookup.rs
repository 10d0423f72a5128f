//! Finding a message, and ending it for one group or for all.

use super::{Content, Entry, Event, Fate, GroupId, Position, Queue};
use crate::backlog::Left;

/// Where an entry stands, as long as no other is taken out.
#[derive(Debug, Clone, Copy)]
pub(super) struct At {
    pub(super) line: usize,
    pub(super) index: usize,
}

impl<T: Content> Queue<T> {
    /// The line and the entry of a message.
    pub(super) fn find(&self, position: u64) -> Option<(usize, &Entry<T>)> {
        self.lines.iter().enumerate().find_map(|(line, entries)| {
            let entry = entries.get(position).filter(|entry| !entry.is_gone())?;
            Some((line, entry))
        })
    }

    pub(super) fn find_mut(&mut self, position: u64) -> Option<(At, &mut Entry<T>)> {
        self.lines.iter_mut().enumerate().find_map(|(line, entries)| {
            let (index, entry) = entries.get_mut(position).filter(|(_, entry)| !entry.is_gone())?;
            Some((At { line, index }, entry))
        })
    }

    /// Whether a group is not done with a message.
    pub(super) fn wants(&self, slot: usize, position: u64) -> bool {
        self.find(position).is_some_and(|(_, entry)| entry.wanted & (1 << slot) != 0)
    }

    /// Whether a consumer of any group has the message now.
    pub(super) fn is_leased(&self, position: u64) -> bool {
        self.groups.iter().flatten().any(|group| group.leases.contains(position))
    }

    /// A group is done with a message. When no other wants it, it is gone.
    pub(super) fn finish(&mut self, slot: usize, position: u64, fate: Fate, attempts: u32) {
        let bit = 1_u64 << slot;
        let Some((at, entry)) = self.find_mut(position) else { return };
        if entry.wanted & bit == 0 {
            return;
        }
        entry.wanted &= !bit;
        let (is_last, expires_at_ms) = (entry.wanted == 0, entry.expires_at_ms);
        let left = match fate {
            Fate::Dead(_) if !is_last => entry.left(),
            _ => None,
        };
        let key = self.let_go(slot, at.line, position);
        if matches!(fate, Fate::Dead(_)) {
            self.counts.dead += 1;
        }
        let group = GroupId(slot as u8);
        if is_last {
            self.remove(at, position, Some(group), fate, attempts);
        } else {
            self.soonest_expiry_ms = self.soonest_expiry_ms.min(expires_at_ms); // it may be leased no longer
            self.events.push(Event::Done { group, position: Position(position), fate, attempts, left });
        }
        if let Some(key) = key {
            self.free_key(slot, key);
        }
    }

    /// A message is gone, whoever still wanted it.
    pub(super) fn end(&mut self, position: u64, fate: Fate) {
        let Some((at, entry)) = self.find_mut(position) else { return };
        let wanted = std::mem::take(&mut entry.wanted);
        for slot in (0..self.groups.len()).filter(|slot| wanted & (1 << slot) != 0) {
            let key = self.let_go(slot, at.line, position);
            self.note_ended(slot);
            if let Some(key) = key {
                self.free_key(slot, key);
                self.has_freed = true;
            }
        }
        if matches!(fate, Fate::Dead(_)) {
            self.counts.dead += 1;
        }
        self.remove(at, position, None, fate, 0);
    }

    /// A group has one message less; answers the key that it held while it waited.
    fn let_go(&mut self, slot: usize, line: usize, position: u64) -> Option<u64> {
        let priority = self.lines.get(line)?.priority;
        let group = self.groups.get_mut(slot)?.as_mut()?;
        group.pending -= 1;
        group.forget(priority, position)
    }

    /// A message is leased no longer: it is looked at when it expires.
    pub(super) fn note_expiry(&mut self, position: u64) {
        if let Some((_, entry)) = self.find(position) {
            self.soonest_expiry_ms = self.soonest_expiry_ms.min(entry.expires_at_ms);
        }
    }

    fn remove(&mut self, at: At, position: u64, group: Option<GroupId>, fate: Fate, attempts: u32) {
        let Some((cost, left)) = self.lines.get_mut(at.line).and_then(|line| line.take(at.index)) else { return };
        let cost = cost as usize;
        self.len -= 1;
        self.bytes -= cost;
        if let Left::Item(_) = left {
            self.hot -= 1;
            self.hot_bytes -= cost;
        }
        if !self.due.is_empty() {
            self.due.remove(&position);
        }
        self.count(fate);
        self.events.push(Event::Gone { group, position: Position(position), fate, attempts, left });
    }

    fn count(&mut self, fate: Fate) {
        let counts = &mut self.counts;
        match fate {
            Fate::Acked => counts.acked += 1,
            Fate::Expired => counts.expired += 1,
            Fate::Trimmed => counts.trimmed += 1,
            Fate::Evicted => counts.evicted += 1,
            Fate::Removed => counts.removed += 1,
            Fate::Lost => counts.lost += 1,
            Fate::Void | Fate::Dead(_) => {}
        }
    }
}
