//! The messages of one priority, by ascending position. What is gone leaves a gap until it comes to the front, or there
//! are too many.

use std::collections::VecDeque;

use super::{Content, Left, Position, Stub};

/// Gaps that may stand between messages before they are swept out.
pub(super) const GAPS_MAX: usize = 64;

/// Where a message is.
#[derive(Debug)]
pub(super) enum Place<T> {
    /// In memory.
    Hot(T),
    /// In the store, under this reference.
    Stored(u64),
    /// Nowhere any more.
    Gone,
}

/// A message in a line.
#[derive(Debug)]
pub(super) struct Entry<T> {
    pub(super) position: u64,
    pub(super) expires_at_ms: u64,
    /// A bit for each group that is not done with it.
    pub(super) wanted: u64,
    pub(super) cost: u32,
    /// Bytes in the store.
    pub(super) len: u32,
    pub(super) place: Place<T>,
}

impl<T: Content> Entry<T> {
    pub(super) fn hot(position: u64, item: T) -> Self {
        let (expires_at_ms, cost) = (item.expires_at_ms(), u32::try_from(item.cost()).unwrap_or(u32::MAX));
        Self { position, expires_at_ms, wanted: 0, cost, len: 0, place: Place::Hot(item) }
    }

    pub(super) const fn stored(stub: &Stub) -> Self {
        let Stub { position, reference, len, cost, expires_at_ms } = *stub;
        Self { position: position.0, expires_at_ms, wanted: 0, cost, len, place: Place::Stored(reference) }
    }

    pub(super) const fn is_gone(&self) -> bool {
        matches!(self.place, Place::Gone)
    }

    /// Where the store has it, if it has.
    pub(super) fn stub(&self) -> Option<Stub> {
        let (reference, len) = match &self.place {
            Place::Hot(item) => item.stub()?,
            Place::Stored(reference) => (*reference, self.len),
            Place::Gone => return None,
        };
        let position = Position(self.position);
        Some(Stub { position, reference, len, cost: self.cost, expires_at_ms: self.expires_at_ms })
    }

    /// What it is; `None` when it is gone.
    pub(super) fn left(&self) -> Option<Left<T>> {
        match &self.place {
            Place::Hot(item) => Some(Left::Item(item.clone())),
            Place::Stored(_) => self.stub().map(Left::Stub),
            Place::Gone => None,
        }
    }

    /// Takes it out; its place in the line is a gap.
    pub(super) fn take(&mut self) -> Option<Left<T>> {
        let stub = if let Place::Stored(_) = self.place { self.stub() } else { None };
        match std::mem::replace(&mut self.place, Place::Gone) {
            Place::Hot(item) => Some(Left::Item(item)),
            Place::Stored(_) => stub.map(Left::Stub),
            Place::Gone => None,
        }
    }
}

/// See the module's description. Invariant: the first entry is no gap.
#[derive(Debug)]
pub(super) struct Line<T> {
    pub(super) priority: u8,
    pub(super) entries: VecDeque<Entry<T>>,
    pub(super) gaps: usize,
    /// Messages in memory.
    pub(super) hot: usize,
}

impl<T> Line<T> {
    pub(super) const fn new(priority: u8) -> Self {
        Self { priority, entries: VecDeque::new(), gaps: 0, hot: 0 }
    }

    pub(super) fn push(&mut self, entry: Entry<T>) {
        debug_assert!(self.entries.back().is_none_or(|last| last.position < entry.position));
        self.hot += usize::from(matches!(entry.place, Place::Hot(_)));
        self.entries.push_back(entry);
    }

    /// The position of the first message.
    pub(super) fn first(&self) -> Option<u64> {
        self.entries.front().map(|entry| entry.position)
    }

    /// The index of the first entry at or behind a position.
    pub(super) fn index(&self, position: u64) -> usize {
        let Some(front) = self.first() else { return 0 };
        // Without gaps the distance is the index; with gaps it is at or before it.
        let guess = usize::try_from(position.saturating_sub(front)).unwrap_or(usize::MAX);
        match self.entries.get(guess) {
            Some(entry) if entry.position == position => guess,
            _ if position <= front => 0,
            _ => self.entries.partition_point(|entry| entry.position < position),
        }
    }

    pub(super) fn at(&self, index: usize) -> Option<&Entry<T>> {
        self.entries.get(index)
    }

    pub(super) fn get(&self, position: u64) -> Option<&Entry<T>> {
        self.at(self.index(position)).filter(|entry| entry.position == position)
    }

    pub(super) fn get_mut(&mut self, position: u64) -> Option<(usize, &mut Entry<T>)> {
        let index = self.index(position);
        let entry = self.entries.get_mut(index).filter(|entry| entry.position == position)?;
        Some((index, entry))
    }

    /// Takes an entry out, and answers what it cost and what it was.
    pub(super) fn take(&mut self, index: usize) -> Option<(u32, Left<T>)>
    where
        T: Content,
    {
        let entry = self.entries.get_mut(index)?;
        let (cost, left) = (entry.cost, entry.take()?);
        self.hot -= usize::from(matches!(left, Left::Item(_)));
        self.note_gap();
        Some((cost, left))
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &Entry<T>> {
        self.entries.iter()
    }

    pub(super) fn iter_mut(&mut self) -> impl Iterator<Item = &mut Entry<T>> {
        self.entries.iter_mut()
    }

    pub(super) fn memory(&self) -> usize {
        self.entries.len() * size_of::<Entry<T>>()
    }

    /// One entry more is a gap.
    fn note_gap(&mut self) {
        self.gaps += 1;
        while self.gaps > 0 && matches!(self.entries.front(), Some(Entry { place: Place::Gone, .. })) {
            self.entries.pop_front();
            self.gaps -= 1;
        }
        if self.gaps > GAPS_MAX + (self.entries.len() - self.gaps) {
            self.entries.retain(|entry| !matches!(entry.place, Place::Gone));
            self.gaps = 0;
        }
        if self.entries.capacity() > 1024 && self.entries.len() < self.entries.capacity() / 4 {
            self.entries.shrink_to(self.entries.len() * 2);
        }
    }

    /// Gives back memory that an idle queue does not need.
    pub(super) fn give_back(&mut self) {
        if self.entries.len() < self.entries.capacity() / 4 {
            self.entries.shrink_to(self.entries.len() * 2);
        }
    }
}
