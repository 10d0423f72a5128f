//! A message on its way to the disk: how many destinations still want it, and where it was written.

use std::sync::atomic::{AtomicU64, Ordering};

/// The two highest bits say what the others are.
const PHASE: u64 = 0b11 << 62;
/// Not taken by the writer; the others count the destinations that still want it.
const WAITING: u64 = 0;
/// In the hands of the writer.
const TAKEN: u64 = 1 << 62;
/// Written; the others are the sequence number.
const WRITTEN: u64 = 2 << 62;
/// Refused: it is nowhere and will not be.
const WITHDRAWN: u64 = 3 << 62;

/// Shared by the queues that a message was put into. See the module's description.
#[derive(Debug, Default)]
pub struct Ticket {
    word: AtomicU64,
    len: AtomicU64,
}

impl Ticket {
    /// A message that no destination wants yet.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// One more destination wants it. Called before it is submitted.
    pub fn add(&self) {
        self.word.fetch_add(1, Ordering::AcqRel);
    }

    /// Where the message was written, once it is durable: sequence number and bytes of the record.
    #[must_use]
    pub fn written(&self) -> Option<(u64, u32)> {
        let word = self.word.load(Ordering::Acquire);
        (word & PHASE == WRITTEN).then(|| (word & !PHASE, self.len.load(Ordering::Relaxed) as u32))
    }

    /// Whether the store has refused the message after it was queued.
    #[must_use]
    pub fn is_withdrawn(&self) -> bool {
        self.word.load(Ordering::Acquire) & PHASE == WITHDRAWN
    }

    /// Whether nobody wanted it any more before it was written: it is nowhere, and nothing has to be told of it.
    #[must_use]
    pub fn is_unwanted(&self) -> bool {
        self.word.load(Ordering::Acquire) == 0
    }

    /// A destination is done with the message before the writer took it; `false` when the writer has it, and has to be
    /// told.
    pub(crate) fn settle_early(&self) -> bool {
        let settle = |word: u64| (word & PHASE == WAITING && word > 0).then(|| word - 1);
        self.word.fetch_update(Ordering::AcqRel, Ordering::Acquire, settle).is_ok()
    }

    /// The writer takes the message; answers how many destinations still want it. With none it stays where it is.
    pub(crate) fn take(&self) -> u32 {
        let take = |word: u64| (word & PHASE == WAITING && word > 0).then_some(TAKEN | word);
        self.word.fetch_update(Ordering::AcqRel, Ordering::Acquire, take).map_or(0, |word| word as u32)
    }

    pub(crate) fn set_written(&self, sequence: u64, len: u32) {
        self.len.store(u64::from(len), Ordering::Relaxed);
        self.word.store(WRITTEN | sequence, Ordering::Release);
    }

    /// What nobody wants any more is settled, not withdrawn.
    pub(crate) fn withdraw(&self) {
        let withdraw = |word: u64| (word & PHASE == TAKEN || word & PHASE == WAITING && word > 0).then_some(WITHDRAWN);
        let _nobody_wants_it = self.word.fetch_update(Ordering::AcqRel, Ordering::Acquire, withdraw);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_nobody_wants_any_more_is_not_taken() {
        let ticket = Ticket::new();
        ticket.add();
        ticket.add();
        assert!(ticket.settle_early());
        assert!(ticket.settle_early());
        assert_eq!(ticket.take(), 0);
        assert!(!ticket.settle_early(), "nobody is left to settle");
    }

    #[test]
    fn once_taken_the_writer_counts() {
        let ticket = Ticket::new();
        ticket.add();
        ticket.add();
        assert!(ticket.settle_early());
        assert_eq!(ticket.take(), 1);
        assert!(!ticket.settle_early());
        assert_eq!(ticket.written(), None);
        ticket.set_written(77, 5);
        assert_eq!(ticket.written(), Some((77, 5)));
        ticket.withdraw();
        assert!(!ticket.is_withdrawn(), "what is durable stays");
    }
}
