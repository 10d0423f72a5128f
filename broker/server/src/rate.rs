//! A token bucket: how long somebody has to wait who wants to go faster than allowed. No clock; time comes in.

/// Tokens that fill at a rate and are spent by use. A debt is allowed and has to be waited for.
#[derive(Debug, Clone)]
pub(crate) struct Bucket {
    per_second: u32,
    /// Thousandths of a token; at most one second's worth.
    milli_tokens: i64,
    filled_at_ms: u64,
}

impl Bucket {
    /// A full bucket; `per_second` 0 never asks to wait.
    pub(crate) fn new(per_second: u32, now_ms: u64) -> Self {
        Self { per_second, milli_tokens: i64::from(per_second) * 1000, filled_at_ms: now_ms }
    }

    /// Spends tokens and answers how many milliseconds to wait before the next use.
    pub(crate) fn spend(&mut self, tokens: u64, now_ms: u64) -> u64 {
        if self.per_second == 0 {
            return 0;
        }
        let rate = i64::from(self.per_second);
        let elapsed = i64::try_from(now_ms.saturating_sub(self.filled_at_ms)).unwrap_or(i64::MAX).min(3_600_000);
        self.filled_at_ms = now_ms;
        let spent = i64::try_from(tokens).unwrap_or(i64::MAX / 2000).min(i64::MAX / 2000) * 1000;
        self.milli_tokens = (self.milli_tokens + elapsed * rate).min(rate * 1000).saturating_sub(spent);
        if self.milli_tokens >= 0 {
            return 0;
        }
        u64::try_from(-self.milli_tokens / rate + 1).unwrap_or(u64::MAX)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_second_s_worth_goes_at_once_and_then_the_rate_holds() {
        let mut bucket = Bucket::new(100, 0);
        assert_eq!(bucket.spend(100, 0), 0);
        let wait = bucket.spend(50, 0);
        assert!((500..=501).contains(&wait), "{wait}");
        assert_eq!(bucket.spend(0, wait), 0);
        assert!(bucket.spend(1000, 10_000) > 8_000, "no more than a second's worth is saved up");
    }

    #[test]
    fn rate_zero_never_waits() {
        assert_eq!(Bucket::new(0, 0).spend(u64::MAX, 0), 0);
    }
}
