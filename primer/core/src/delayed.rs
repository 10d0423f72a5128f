//! Messages that wait for their hour: a bounded set, ordered by when they are due.

use std::collections::BTreeMap;

use crate::commit::{Accepted, Refused};

/// Values by due time; two of the same time leave in the order in which they came.
#[derive(Debug)]
pub struct Delayed<T> {
    waiting: BTreeMap<(u64, u64), T>,
    next: u64,
    entries_max: usize,
}

impl<T> Delayed<T> {
    /// An empty set that holds at most `entries_max` values.
    #[must_use]
    pub const fn new(entries_max: usize) -> Self {
        Self { waiting: BTreeMap::new(), next: 0, entries_max }
    }

    /// Holds `value` until `due_ms`.
    ///
    /// # Errors
    /// [`Refused::StoreFull`] when the set is full; it is as before.
    pub fn hold(&mut self, due_ms: u64, value: T) -> Result<Accepted, Refused> {
        if self.waiting.len() >= self.entries_max {
            return Err(Refused::StoreFull);
        }
        self.waiting.insert((due_ms, self.next), value);
        self.next += 1;
        Ok(Accepted::new())
    }

    /// Takes out the first value that is due at `now_ms`.
    pub fn pop_due(&mut self, now_ms: u64) -> Option<T> {
        let first = self.waiting.first_entry()?;
        (first.key().0 <= now_ms).then(|| first.remove())
    }

    /// When the next value is due.
    #[must_use]
    pub fn next_due_ms(&self) -> Option<u64> {
        self.waiting.first_key_value().map(|((due_ms, _), _)| *due_ms)
    }

    /// How many values wait.
    #[must_use]
    pub fn len(&self) -> usize {
        self.waiting.len()
    }

    /// Whether none waits.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.waiting.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_leave_when_due_and_in_order() {
        let mut delayed = Delayed::new(3);
        for (due, value) in [(20, 'c'), (10, 'a'), (10, 'b')] {
            let _accepted = delayed.hold(due, value).unwrap();
        }
        assert_eq!(delayed.hold(1, 'x').unwrap_err(), Refused::StoreFull);
        assert_eq!((delayed.pop_due(9), delayed.next_due_ms()), (None, Some(10)));
        assert_eq!([delayed.pop_due(20), delayed.pop_due(20), delayed.pop_due(20)], [Some('a'), Some('b'), Some('c')]);
        assert!(delayed.is_empty());
    }
}
