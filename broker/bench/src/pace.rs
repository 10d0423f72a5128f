//! Open loop: when which message is due, whatever the broker does.

/// A steady rate, handed out to publishers in turn.
#[derive(Debug, Clone)]
pub(crate) struct Pace {
    /// Messages a second.
    rate: f64,
    start_ns: u64,
    next: u64,
}

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

    #[expect(
        clippy::cast_precision_loss,
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "a nanosecond more or less in a run of hours"
    )]
    pub(crate) fn next_ns(&self) -> u64 {
        self.start_ns + (self.next as f64 / self.rate * 1e9) as u64
    }
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
}
