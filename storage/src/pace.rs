//! How long the writer waits for more before it begins a commit.
//!
//! A commit costs tens of kilobytes whatever it carries, so fewer and larger ones spare the disk. Publishers that wait
//! for their acknowledgements come in two halves: while one half's commit is written the other half queues, and both
//! commits are half as large as they could be. Waiting a moment for those that have just been answered joins the
//! halves, at no cost in throughput; waiting for nobody only costs time. Which it is shows when it is tried: now and
//! then the writer waits, and goes on doing so for as long as it pays.

use std::time::Duration;

use crate::limits::{GROUP_MESSAGES_MAX, PACE_PATIENCE_MAX, PACE_PROBE_EVERY, PACE_WAITING_MIN};

/// See the module's description. A function of what it is told.
#[derive(Debug, Default)]
pub(crate) struct Pace {
    /// Messages that groups have lately come to when they were waited for; 0 when waiting did not pay.
    target: usize,
    since_probe: u32,
    plan: Option<Plan>,
}

/// Wait until so many messages are there, or the time is up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Plan {
    pub(crate) messages: usize,
    pub(crate) patience: Duration,
    before: usize,
}

impl Pace {
    /// What to wait for, with `waiting` messages there and a last commit of `answered` messages that took so long.
    pub(crate) fn plan(&mut self, waiting: usize, answered: usize, last_commit: Duration) -> Option<Plan> {
        self.since_probe += 1;
        let patience = (last_commit / 2).min(PACE_PATIENCE_MAX);
        let wanted = if waiting < self.target {
            self.target - self.target / 10
        } else if self.since_probe >= PACE_PROBE_EVERY {
            self.since_probe = 0;
            waiting.saturating_add(answered) // all that are known of
        } else {
            0
        };
        let is_worth_it = waiting >= PACE_WAITING_MIN && waiting < wanted && waiting < GROUP_MESSAGES_MAX;
        self.plan = is_worth_it.then_some(Plan { messages: wanted.min(GROUP_MESSAGES_MAX), patience, before: waiting });
        self.plan
    }

    /// What came of it: so many messages are there now.
    pub(crate) fn learn(&mut self, messages: usize) {
        if let Some(plan) = self.plan.take() {
            self.target = if messages >= plan.before + plan.before / 4 { messages } else { 0 };
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const COMMIT: Duration = Duration::from_millis(1);

    /// Messages a commit on average, when `publishers` each have one in flight and those who were answered come back
    /// within the patience, or do not.
    fn group_size(publishers: usize, come_back: bool) -> usize {
        let mut pace = Pace::default();
        let (mut waiting, mut answered, mut total) = (publishers / 2, publishers - publishers / 2, 0);
        for _ in 0..1000 {
            if pace.plan(waiting, answered, COMMIT).is_some() && come_back {
                waiting += std::mem::take(&mut answered);
            }
            pace.learn(waiting);
            total += waiting;
            // While it is written those come back who have not.
            (waiting, answered) = (answered, waiting);
            if waiting == 0 {
                (waiting, answered) = (answered, 0);
            }
        }
        total / 1000
    }

    #[test]
    fn two_halves_become_one_group() {
        assert!(group_size(100, true) >= 90, "{}", group_size(100, true));
    }

    #[test]
    fn nobody_is_waited_for_who_does_not_come() {
        let mut pace = Pace::default();
        let mut waits = 0;
        for _ in 0..1000 {
            waits += usize::from(pace.plan(50, 50, COMMIT).is_some());
            pace.learn(50);
        }
        assert!(waits <= 1000 / PACE_PROBE_EVERY as usize + 1, "{waits}");
        assert_eq!(group_size(100, false), 50);
    }

    #[test]
    fn a_few_publishers_are_never_kept_waiting() {
        let mut pace = Pace::default();
        assert!((0..1000).all(|_| pace.plan(PACE_WAITING_MIN - 1, 9, COMMIT).is_none()));
    }

    #[test]
    fn patience_follows_the_disk_and_has_an_end() {
        let mut pace = Pace { since_probe: PACE_PROBE_EVERY, ..Pace::default() };
        assert_eq!(pace.plan(50, 50, COMMIT).map(|plan| plan.patience), Some(COMMIT / 2));
        let mut pace = Pace { since_probe: PACE_PROBE_EVERY, ..Pace::default() };
        assert_eq!(pace.plan(50, 50, Duration::from_secs(1)).map(|plan| plan.patience), Some(PACE_PATIENCE_MAX));
    }
}
