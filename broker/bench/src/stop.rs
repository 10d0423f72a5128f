//! The wish to end a run early.

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};

/// Ends a run from elsewhere, as from a handler of Ctrl-C: a run at a steady load reports what it has measured until
/// then, any other ends with an error; both clear what they have left at the broker. Clones stop the same run.
#[derive(Debug, Clone, Default)]
pub struct Stop {
    is_asked: Arc<AtomicBool>,
}

impl Stop {
    /// Asks the run to end.
    pub fn ask(&self) {
        self.is_asked.store(true, Ordering::Release);
    }

    /// Whether somebody has.
    #[must_use]
    pub fn is_asked(&self) -> bool {
        self.is_asked.load(Ordering::Acquire)
    }
}
