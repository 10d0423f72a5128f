//! When to look whether a client has been silent for too long (keep alive).
//!
//! One entry a connection, in a list a tick: a timer for each connection would cost more memory than the rest of what
//! an idle one has, and a look at it with every packet. An entry is a note to look: it says nothing that the session
//! does not say better, and one of a connection that is gone is dropped when its time comes.

use std::collections::BTreeMap;

use crate::registry::Place;

/// How finely time is told: a silent client is let go of up to so much later than its keep alive says.
const TICK_MS: u64 = 256;

/// An entry waits no longer, so that those of connections that are gone do not gather.
const LOOK_AGAIN_MS: u64 = 60_000;

/// A note to look at a connection. It owns nothing: it may outlive what it is about by a minute, and nobody counts it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Note {
    pub(crate) place: Place,
    /// Which of the session's connections.
    pub(crate) connection: u32,
}

/// See the module's description.
#[derive(Debug, Default)]
pub(crate) struct Silences {
    by_tick: BTreeMap<u64, Vec<Note>>,
}

impl Silences {
    /// Notes to look at a connection when `due_ms` is over, or earlier. Answers whether that is before all others.
    pub(crate) fn add(&mut self, now_ms: u64, due_ms: u64, note: Note) -> bool {
        let tick = due_ms.min(now_ms + LOOK_AGAIN_MS) / TICK_MS + 1;
        let is_first = self.by_tick.first_key_value().is_none_or(|(first, _)| tick < *first);
        self.by_tick.entry(tick).or_default().push(note);
        is_first
    }

    /// The next connection to look at, if its time has come.
    pub(crate) fn pop_due(&mut self, now_ms: u64) -> Option<Note> {
        loop {
            let mut first = self.by_tick.first_entry()?;
            if *first.key() * TICK_MS > now_ms {
                return None;
            }
            match first.get_mut().pop() {
                Some(note) => return Some(note),
                None => drop(first.remove()),
            }
        }
    }

    /// When the next look is due.
    pub(crate) fn next_ms(&self) -> Option<u64> {
        self.by_tick.first_key_value().map(|(tick, _)| tick * TICK_MS)
    }
}

#[cfg(test)]
mod tests {
    use primer::SubscriberKey;

    use super::*;

    fn note(number: u64) -> Note {
        Note { place: Place { hash: number, key: SubscriberKey(number) }, connection: 1 }
    }

    #[test]
    fn nobody_is_looked_at_early_and_nobody_later_than_a_tick() {
        let mut silences = Silences::default();
        assert!(silences.add(0, 5_000, note(1)));
        assert!(!silences.add(0, 9_000, note(2)));
        assert!(silences.add(0, 1_500, note(3)));
        assert_eq!(silences.pop_due(1_500), None);
        assert_eq!(silences.pop_due(1_500 + TICK_MS), Some(note(3)));
        assert_eq!(silences.pop_due(5_000), None);
        assert!(silences.next_ms().is_some_and(|at| (5_001..=5_000 + TICK_MS).contains(&at)));
        assert_eq!(silences.pop_due(20_000), Some(note(1)));
        assert_eq!(silences.pop_due(20_000), Some(note(2)));
        assert_eq!((silences.pop_due(20_000), silences.next_ms()), (None, None));
    }

    #[test]
    fn a_long_silence_is_looked_at_now_and_then() {
        let mut silences = Silences::default();
        silences.add(1_000, 90_000_000, note(1));
        assert_eq!(silences.pop_due(1_000 + LOOK_AGAIN_MS + TICK_MS), Some(note(1)));
    }
}
