//! What clients may not do, told in the log: a few lines a second, so that a device that tries for ever does not fill
//! it.

use std::fmt;

use parking_lot::Mutex;

use crate::limits::DENIALS_A_SECOND_MAX;

/// See the module's description.
#[derive(Debug, Default)]
pub(crate) struct Denials(Mutex<Second>);

/// What was told in a second.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
struct Second {
    number: u64,
    told: u32,
    untold: u64,
}

impl Denials {
    /// Tells it, unless enough was told in this second; how many were not is told with the next.
    pub(crate) fn tell(&self, now_ms: u64, what: fmt::Arguments<'_>) {
        let (is_told, untold) = self.0.lock().take(now_ms / 1000);
        if untold > 0 {
            tracing::info!("Denied {untold} more");
        }
        if is_told {
            tracing::info!("Denied {what}");
        }
    }
}

impl Second {
    /// Whether one more is told, and how many of an earlier second were not.
    fn take(&mut self, number: u64) -> (bool, u64) {
        let mut untold = 0;
        if self.number != number {
            untold = std::mem::replace(self, Self { number, ..Self::default() }).untold;
        }
        let is_told = self.told < DENIALS_A_SECOND_MAX;
        self.told += u32::from(is_told);
        self.untold += u64::from(!is_told);
        (is_told, untold)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_few_are_told_a_second_and_the_rest_is_counted() {
        let mut second = Second::default();
        let told = (0..100).filter(|_| second.take(7).0).count();
        assert_eq!(told, DENIALS_A_SECOND_MAX as usize);
        assert_eq!(second.take(8), (true, 100 - u64::from(DENIALS_A_SECOND_MAX)));
        assert_eq!(second.take(8), (true, 0));
        assert_eq!(second.take(99), (true, 0));
    }
}
