//! Rules that keep running into their limits rest: what they cost the threads that call them stays bounded.

use std::{
    sync::atomic::{AtomicU32, AtomicU64, Ordering},
    time::Duration,
};

/// Calls in a row that end at a limit, or in a panic, before a rule rests.
const STRIKES_MAX: u32 = 5;

/// How long a rule of stage `ingress` rests.
const REST: Duration = Duration::from_secs(10);

/// The time that a rule of stage `group` rests for each that it has worked in vain: it has a fifth of a thread.
const GROUP_REST: u32 = 4;

/// How a rule behaves.
#[derive(Debug, Default)]
pub(crate) struct Rest {
    strikes: AtomicU32,
    until_ms: AtomicU64,
}

impl Rest {
    /// A call has ended: at a limit, or not. Whether the rule rests from now on.
    pub(crate) fn note(&self, is_strike: bool, now_ms: u64) -> bool {
        if !is_strike {
            if self.strikes.load(Ordering::Relaxed) > 0 {
                self.strikes.store(0, Ordering::Relaxed);
            }
        } else if self.strikes.fetch_add(1, Ordering::Relaxed) + 1 >= STRIKES_MAX {
            let until_ms = now_ms.saturating_add(u64::try_from(REST.as_millis()).unwrap_or(u64::MAX));
            return self.until_ms.swap(until_ms, Ordering::Relaxed) <= now_ms;
        }
        false
    }

    /// Whether it rests. After a rest one more strike is enough for the next one.
    pub(crate) fn is_on(&self, now_ms: u64) -> bool {
        now_ms < self.until_ms.load(Ordering::Relaxed)
    }

    /// How long a rule of stage `group` waits before its next batch.
    pub(crate) fn after(&self, worked: Duration) -> Option<Duration> {
        (self.strikes.load(Ordering::Relaxed) >= STRIKES_MAX).then(|| worked * GROUP_REST)
    }

    /// It has another script.
    pub(crate) fn forgive(&self) {
        self.strikes.store(0, Ordering::Relaxed);
        self.until_ms.store(0, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rule_rests_after_five_strikes_in_a_row_and_not_before() {
        let rest = Rest::default();
        assert!((0..4).all(|_| !rest.note(true, 0)));
        assert!(!rest.note(false, 0));
        assert!((0..4).all(|_| !rest.note(true, 0)));
        assert!(!rest.is_on(0) && rest.after(REST).is_none());
        assert!(rest.note(true, 1) && !rest.note(true, 1), "it is told once");
        assert!(rest.is_on(10_000) && !rest.is_on(10_001));
        assert_eq!(rest.after(Duration::from_millis(50)), Some(Duration::from_millis(200)));
        assert!(rest.note(true, 10_001));
        assert!(rest.is_on(20_000), "it has learnt nothing");
        rest.forgive();
        assert!(!rest.is_on(10_002) && rest.after(REST).is_none());
    }
}
