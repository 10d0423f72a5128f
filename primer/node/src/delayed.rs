//! The delayed messages of a node, charged on its budget.

use parking_lot::Mutex;
use primer_core::{
    commit::{Accepted, Refused},
    delayed::Delayed,
};

use crate::budget::{Budget, Charge};

/// What an entry costs beside its own bytes, roughly.
const ENTRY_OVERHEAD_BYTES: usize = 128;

#[derive(Debug)]
struct State<D> {
    waiting: Delayed<(usize, D)>,
    bytes: usize,
    charge: Charge,
}

/// What is published later. `D` is what is held.
#[derive(Debug)]
pub struct DelayedStore<D> {
    state: Mutex<State<D>>,
}

impl<D> DelayedStore<D> {
    pub(crate) fn new(entries_max: usize) -> Self {
        let waiting = Delayed::new(entries_max);
        Self { state: Mutex::new(State { waiting, bytes: 0, charge: Charge::default() }) }
    }

    /// Holds `value`, of `bytes` bytes, until `due_ms`. With the proof comes whether it is now the first that is due.
    ///
    /// # Errors
    /// The store or the budget is full; nothing has changed.
    pub fn hold(&self, budget: &Budget, due_ms: u64, bytes: usize, value: D) -> Result<(Accepted, bool), Refused> {
        if budget.is_spent() {
            return Err(Refused::MemoryFull);
        }
        let mut state = self.state.lock();
        let state = &mut *state;
        let was_first = state.waiting.next_due_ms();
        let cost = bytes + ENTRY_OVERHEAD_BYTES;
        let accepted = state.waiting.hold(due_ms, (cost, value))?;
        state.bytes += cost;
        state.charge.set(budget, state.bytes);
        Ok((accepted, state.waiting.next_due_ms() != was_first))
    }

    /// Takes out the first value that is due at `now_ms`.
    pub fn pop_due(&self, budget: &Budget, now_ms: u64) -> Option<D> {
        let mut state = self.state.lock();
        let state = &mut *state;
        let (cost, value) = state.waiting.pop_due(now_ms)?;
        state.bytes -= cost;
        state.charge.set(budget, state.bytes);
        Some(value)
    }

    /// When the next value is due.
    pub fn next_due_ms(&self) -> Option<u64> {
        self.state.lock().waiting.next_due_ms()
    }

    /// How many values wait.
    pub fn len(&self) -> usize {
        self.state.lock().waiting.len()
    }

    /// Whether none waits.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_held_is_charged_until_it_leaves() {
        let (store, budget) = (DelayedStore::new(9), Budget::new(1000));
        let Ok((_accepted, true)) = store.hold(&budget, 5, 900, "later") else { panic!("the first is the first due") };
        assert_eq!(store.hold(&budget, 1, 1, "no room").unwrap_err(), Refused::MemoryFull);
        assert_eq!((store.pop_due(&budget, 4), store.pop_due(&budget, 5)), (None, Some("later")));
        assert_eq!(budget.used(), 0);
    }
}
