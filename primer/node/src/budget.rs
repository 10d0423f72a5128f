//! The memory budget of a node: what queues, buffers and stores are charged against.
//!
//! It counts; whoever asks for memory decides what to do when the budget is spent.

use std::sync::atomic::{AtomicUsize, Ordering};

/// Bytes in use against a limit.
#[derive(Debug)]
pub struct Budget {
    used: AtomicUsize,
    peak: AtomicUsize,
    limit: usize,
}

impl Budget {
    /// An unused budget of `limit` bytes.
    #[must_use]
    pub const fn new(limit: usize) -> Self {
        Self { used: AtomicUsize::new(0), peak: AtomicUsize::new(0), limit }
    }

    /// Bytes that are charged.
    #[must_use]
    pub fn used(&self) -> usize {
        self.used.load(Ordering::Relaxed)
    }

    /// The most that was ever charged.
    #[must_use]
    pub fn peak(&self) -> usize {
        self.peak.load(Ordering::Relaxed)
    }

    /// The limit in bytes.
    #[must_use]
    pub const fn limit(&self) -> usize {
        self.limit
    }

    /// Whether nothing more should be taken in.
    #[must_use]
    pub fn is_spent(&self) -> bool {
        self.used() >= self.limit
    }
}

/// What one owner is charged with; it follows the owner's own count.
#[derive(Debug, Default)]
pub struct Charge {
    bytes: usize,
}

impl Charge {
    /// What is charged now.
    #[must_use]
    pub const fn bytes(&self) -> usize {
        self.bytes
    }

    /// Brings the charge to `bytes`.
    pub fn set(&mut self, budget: &Budget, bytes: usize) {
        if bytes > self.bytes {
            let grown = bytes - self.bytes;
            let used = budget.used.fetch_add(grown, Ordering::Relaxed) + grown;
            if used > budget.peak.load(Ordering::Relaxed) {
                budget.peak.fetch_max(used, Ordering::Relaxed);
            }
        } else if bytes < self.bytes {
            budget.used.fetch_sub(self.bytes - bytes, Ordering::Relaxed);
        }
        self.bytes = bytes;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_charge_follows_its_owner_up_and_down() {
        let budget = Budget::new(100);
        let (mut a, mut b) = (Charge::default(), Charge::default());
        a.set(&budget, 60);
        b.set(&budget, 50);
        assert!(budget.is_spent());
        assert_eq!(budget.peak(), 110);
        a.set(&budget, 0);
        assert_eq!((budget.used(), budget.is_spent(), budget.peak()), (50, false, 110));
    }
}
