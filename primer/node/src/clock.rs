//! The node's clock: the one place where time is read. Machines get it as a number.

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// Milliseconds since the node started, never going back, and the wall clock beside them.
#[derive(Debug, Clone, Copy)]
pub struct Clock {
    started: Instant,
}

impl Clock {
    /// A clock that starts now.
    #[must_use]
    pub fn start() -> Self {
        Self { started: Instant::now() }
    }

    /// Milliseconds since the start.
    #[must_use]
    pub fn now_ms(&self) -> u64 {
        u64::try_from(self.started.elapsed().as_millis()).unwrap_or(u64::MAX)
    }

    /// The instant of a number of milliseconds, for a timer; far futures are cut to a year.
    #[must_use]
    pub fn instant(&self, at_ms: u64) -> Instant {
        const YEAR_MS: u64 = 365 * 24 * 3600 * 1000;
        self.started + Duration::from_millis(at_ms.min(self.now_ms().saturating_add(YEAR_MS)))
    }

    /// Milliseconds since 1970 by the wall clock, for what people and other machines read; never for a deadline.
    #[must_use]
    pub fn unix_ms(&self) -> u64 {
        SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| u64::try_from(since.as_millis()).unwrap_or(0))
    }
}
