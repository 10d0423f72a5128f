//! Open loop: when which message is due, whatever the broker does.

/// A steady rate, handed out to publishers in turn.
#[derive(Debug, Clone)]
pub(crate) struct Pace {
    /// Messages a second.
    rate: f64,
    start_ns: u64,
    next: u64,
}

#[expect(clippy::cast_precision_loss, reason = "a nanosecond more or less in a run of hours")]
impl Pace {
    pub(crate) const fn new(rate: f64) -> Self {
        Self { rate, start_ns: 0, next: 0 }
    }

    pub(crate) const fn begin(&mut self, now_ns: u64) {
        self.start_ns = now_ns;
        self.next = 0;
    }

    /// The next message that is due at `now_ns`: its number, which says whose turn it is, and its time.
    pub(crate) fn next_due(&mut self, now_ns: u64) -> Option<(usize, u64)> {
        let due_ns = self.next_ns();
        if due_ns > now_ns {
            return None;
        }
        self.next += 1;
        Some((usize::try_from(self.next - 1).unwrap_or(0), due_ns))
    }

    /// How many were due before `until_ns` and have not been handed out.
    pub(crate) fn missed(&self, until_ns: u64) -> u64 {
        let due = as_u64(until_ns.saturating_sub(self.start_ns) as f64 * self.rate / 1e9);
        due.saturating_sub(self.next)
    }

    pub(crate) fn next_ns(&self) -> u64 {
        self.start_ns.saturating_add(as_u64(self.next as f64 / self.rate * 1e9))
    }
}

#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a cast to an integer saturates")]
const fn as_u64(number: f64) -> u64 {
    number as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_missed_is_handed_out_under_its_own_time() {
        let mut pace = Pace::new(1000.0);
        pace.begin(5_000_000);
        assert_eq!(pace.next_due(4_999_999), None);
        assert_eq!(pace.next_due(5_000_000), Some((0, 5_000_000)));
        assert_eq!(pace.next_due(5_500_000), None);
        assert_eq!(pace.next_due(9_000_000), Some((1, 6_000_000)), "a late one keeps its time");
        assert_eq!(pace.next_due(9_000_000), Some((2, 7_000_000)));
        assert_eq!(pace.next_ns(), 8_000_000);
    }

    #[test]
    fn what_a_busy_generator_did_not_hand_out_is_known() {
        let mut pace = Pace::new(1000.0);
        pace.begin(0);
        assert_eq!(pace.missed(10_000_000), 10);
        assert!(pace.next_due(9_000_000).is_some());
        assert_eq!(pace.missed(10_000_000), 9);
    }

    /// A rate of next to nothing overflowed the time of the second message.
    #[test]
    fn extreme_rates_are_only_slow_or_fast() {
        let mut slow = Pace::new(1e-300);
        slow.begin(5);
        assert_eq!((slow.next_due(5), slow.next_due(u64::MAX - 1)), (Some((0, 5)), None));
        let mut fast = Pace::new(1e300);
        fast.begin(5);
        assert_eq!((fast.next_due(5), fast.next_due(5)), (Some((0, 5)), Some((1, 5))));
    }
}
