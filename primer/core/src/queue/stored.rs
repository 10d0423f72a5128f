//! Messages that a store holds: out of memory while nobody takes them, and back when somebody can; and those of an
//! earlier life.

use super::{
    Content, Entry, Fate, Position, Queue, Stub,
    line::{Line, Place},
};
use crate::{
    backlog::Left,
    limits::{LOAD_WINDOW, READY_HOT_MAX},
};

impl<T: Content> Queue<T> {
    /// Messages that were to be dealt and have to be read first, since the last call. Each is to be answered with
    /// [`fill`](Self::fill) or [`lose`](Self::lose), followed by [`deal`](Self::deal).
    pub fn take_to_load(&mut self) -> Vec<Stub> {
        std::mem::take(&mut self.to_load)
    }

    /// Asks for a stored message and those behind it.
    pub(super) fn ask_for(&mut self, line: usize, position: u64) {
        if !self.to_load.is_empty() {
            return; // one read at a time
        }
        let Some(line) = self.lines.get(line) else { return };
        let behind = (line.index(position)..).map_while(|index| line.at(index)).filter(|entry| !entry.is_gone());
        let stored = behind.take_while(|entry| matches!(entry.place, Place::Stored(_)));
        self.to_load = stored.filter_map(Entry::stub).take(LOAD_WINDOW).collect();
    }

    /// Takes a stored message into memory again, as it was read. Deal before the next [`chill`](Self::chill), which
    /// could let it go again.
    pub fn fill(&mut self, position: Position, item: T) {
        let Some((at, entry)) = self.find_mut(position.0) else { return };
        if let Place::Stored(_) = entry.place {
            let cost = entry.cost as usize;
            entry.place = Place::Hot(item);
            self.hot += 1;
            self.hot_bytes += cost;
            self.lines[at.line].hot += 1;
        }
    }

    /// A stored message could not be read: it is gone.
    pub fn lose(&mut self, position: Position) {
        if self.find(position.0).is_some_and(|(_, entry)| matches!(entry.place, Place::Stored(_))) {
            self.end(position.0, Fate::Lost);
        }
    }

    /// Lets messages that the store holds go from memory, newest first, until no more than [`READY_HOT_MAX`] are left;
    /// those that a consumer has go as well: they are read again should they be returned.
    pub fn chill(&mut self) {
        self.chill_to(READY_HOT_MAX);
    }

    pub(super) fn chill_to(&mut self, hot_max: usize) {
        let mut surplus = self.hot.saturating_sub(hot_max);
        let (mut hot, mut hot_bytes) = (self.hot, self.hot_bytes);
        for line in self.lines.iter_mut().rev() {
            // A long line of which nothing is in memory is not gone through.
            let mut unseen = line.hot;
            let mut chilled = 0;
            for entry in line.entries.iter_mut().rev() {
                if surplus == 0 || unseen == 0 {
                    break;
                }
                let Place::Hot(item) = &entry.place else { continue };
                (surplus, unseen) = (surplus - 1, unseen - 1);
                if let Some((reference, len)) = item.stub() {
                    (entry.place, entry.len) = (Place::Stored(reference), len);
                    chilled += 1;
                    hot_bytes -= entry.cost as usize;
                }
            }
            line.hot -= chilled;
            hot -= chilled;
        }
        (self.hot, self.hot_bytes) = (hot, hot_bytes);
    }

    /// Gives back memory that an idle queue does not need.
    pub fn give_back_memory(&mut self) {
        self.lines.iter_mut().for_each(Line::give_back);
        self.groups.iter_mut().flatten().for_each(|group| group.give_back());
    }

    /// Takes out messages that the store has refused; answers whether there were any.
    pub fn end_void(&mut self) -> bool {
        let void = self.positions(|entry| matches!(&entry.place, Place::Hot(item) if item.is_void()));
        for position in &void {
            self.end(*position, Fate::Void);
        }
        !void.is_empty()
    }

    /// Puts a message of an earlier life back, behind those that are there. It is wanted by the groups that `wants`
    /// says, or waits for the first one; one that no group wants although there are some was done with, and is gone.
    /// `due_ms` as in [`push`](Self::push). Groups have to be put back before.
    pub fn restore(&mut self, priority: u8, due_ms: Option<u64>, stub: &Stub, wants: impl Fn(super::GroupId) -> bool) {
        self.next = self.next.max(stub.position.0 + 1);
        let mut entry = Entry::stored(stub);
        for (slot, group) in self.groups.iter_mut().enumerate() {
            if let Some(group) = group
                && wants(super::GroupId(slot as u8))
            {
                entry.wanted |= 1 << slot;
                group.pending += 1;
            }
        }
        if entry.wanted == 0 && self.all_groups() != 0 {
            let (position, left) = (stub.position, Left::Stub(*stub));
            self.events.push(super::Event::Gone { group: None, position, fate: Fate::Acked, attempts: 0, left });
            return;
        }
        self.soonest_expiry_ms = self.soonest_expiry_ms.min(stub.expires_at_ms);
        if let Some(due_ms) = due_ms {
            self.due.insert(stub.position.0, due_ms);
        }
        self.append(priority, entry);
    }

    /// The next message gets this position or a later one.
    pub fn skip_to(&mut self, position: Position) {
        self.next = self.next.max(position.0);
    }

    /// Empties the queue, for one that ends; answers what was in it.
    pub fn drain(&mut self) -> Vec<(Position, Left<T>)> {
        let mut all = Vec::new();
        for entry in self.lines.iter_mut().flat_map(Line::iter_mut) {
            let position = Position(entry.position);
            all.extend(entry.take().map(|left| (position, left)));
        }
        self.lines.clear();
        self.groups.clear();
        (self.len, self.bytes, self.hot, self.hot_bytes) = (0, 0, 0, 0);
        self.due.clear();
        all
    }
}
