//! How long the writer waits for more before it begins a commit.
//!
//! A commit costs tens of kilobytes whatever it carries, so fewer and larger ones spare the disk. Publishers that wait
//! for their acknowledgements come in two halves: while one half's commit is written the other half queues, and both
//! commits are half as large as they could be. Waiting for those that have just been answered joins the halves; waiting
//! for nobody only costs time. Which it is shows when it is tried: now and then the writer waits, and goes on doing so
//! for as long as it pays. It never waits for more than makes those kilobytes a small part of what is written.

use std::time::Duration;

use crate::limits::{GROUP_BYTES_WORTH, GROUP_MESSAGES_MAX, PACE_MESSAGES_MIN, PACE_PATIENCE_MAX, PACE_PROBE_EVERY};

/// See the module's description. A function of what it is told.
#[derive(Debug, Default)]
pub(crate) struct Pace {
    /// Whether waiting has made the last group that was waited for larger.
    pays: bool,
    since_probe: u32,
    /// Messages that were there before the wait, while it lasts.
    before: Option<usize>,
}

/// Messages that wait for the next commit.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Waiting {
    pub(crate) messages: usize,
    pub(crate) bytes: usize,
}

/// Wait until so many messages are there, or the time is up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Plan {
    pub(crate) messages: usize,
    pub(crate) patience: Duration,
}

impl Pace {
    /// What to wait for. When the last commit, which took so long, had been written, `on_their_way` messages were
    /// those whose publishers it answered, and those that had come meanwhile.
    pub(crate) fn plan(&mut self, waiting: Waiting, on_their_way: usize, last_commit: Duration) -> Option<Plan> {
        self.since_probe += 1;
        let is_worth_it = on_their_way >= PACE_MESSAGES_MIN && (self.pays || self.since_probe >= PACE_PROBE_EVERY);
        // Nobody is waited for who takes his time.
        let wanted = (on_their_way - on_their_way / 16).min(waiting.enough()).min(GROUP_MESSAGES_MAX);
        // Changes of state alone are not kept waiting: the next messages may come only when they are answered.
        if !is_worth_it || waiting.messages == 0 || wanted < larger(waiting.messages) {
            return None;
        }
        self.since_probe = 0;
        self.before = Some(waiting.messages);
        Some(Plan { messages: wanted, patience: (last_commit * 2).min(PACE_PATIENCE_MAX) })
    }

    /// What came of it: so many messages are there now.
    pub(crate) fn learn(&mut self, messages: usize) {
        if let Some(before) = self.before.take() {
            self.pays = messages >= larger(before);
        }
    }
}

impl Waiting {
    /// So many messages of this size are a large group.
    fn enough(self) -> usize {
        GROUP_BYTES_WORTH.saturating_mul(self.messages).checked_div(self.bytes).unwrap_or(usize::MAX)
    }
}

/// A group that is larger by so much that it was worth the wait.
fn larger(messages: usize) -> usize {
    messages + (messages / 4).max(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    const COMMIT: Duration = Duration::from_millis(1);

    const fn waiting(messages: usize) -> Waiting {
        Waiting { messages, bytes: messages * 250 }
    }

    /// Messages a commit on average, when `publishers` each have one in flight and those who were answered come back
    /// within the patience, or do not; and how many of 1,000 commits were waited for.
    fn group_size(publishers: usize, come_back: bool) -> (usize, usize) {
        let mut pace = Pace::default();
        let (mut there, mut answered, mut total, mut waits) = (publishers / 2, publishers - publishers / 2, 0, 0);
        for _ in 0..1000 {
            if let Some(plan) = pace.plan(waiting(there), there + answered, COMMIT) {
                waits += 1;
                if come_back {
                    answered -= plan.messages - there;
                    there = plan.messages;
                }
            }
            pace.learn(there);
            total += there;
            // While it is written those come back who have not.
            (there, answered) = (answered, there);
            if there == 0 {
                (there, answered) = (answered, 0);
            }
        }
        (total / 1000, waits)
    }

    #[test]
    fn two_halves_become_one_group() {
        let (size, _) = group_size(100, true);
        assert!(size >= 90, "{size}");
    }

    #[test]
    fn nobody_is_waited_for_who_does_not_come() {
        let (size, waits) = group_size(100, false);
        assert_eq!(size, 50);
        assert!(waits <= 1000 / PACE_PROBE_EVERY as usize, "{waits}");
    }

    #[test]
    fn who_comes_again_is_waited_for_even_if_one_alone_is_there() {
        let mut pace = Pace { pays: true, ..Pace::default() };
        assert_eq!(pace.plan(waiting(1), 100, COMMIT).map(|plan| plan.messages), Some(94));
    }

    /// Of QoS 2 a publisher sends its next message when its PUBREL has been answered.
    #[test]
    fn changes_without_a_message_are_never_kept_waiting() {
        let mut pace = Pace { pays: true, ..Pace::default() };
        assert_eq!(pace.plan(waiting(0), 100, COMMIT), None);
    }

    #[test]
    fn a_few_publishers_are_never_kept_waiting() {
        let mut pace = Pace::default();
        assert!((0..1000).all(|_| pace.plan(waiting(1), PACE_MESSAGES_MIN - 1, COMMIT).is_none()));
    }

    #[test]
    fn a_large_group_is_not_made_larger() {
        let mut pace = Pace { pays: true, ..Pace::default() };
        let large = GROUP_BYTES_WORTH / 250;
        assert_eq!(pace.plan(waiting(large - 100), 2000, COMMIT), None, "a seventh more is not worth a wait");
        assert_eq!(pace.plan(waiting(large / 2), 2000, COMMIT).map(|plan| plan.messages), Some(large));
        let large_messages = Waiting { messages: 20, bytes: 20 * 50_000 };
        assert_eq!(pace.plan(large_messages, 100, COMMIT), None);
    }

    #[test]
    fn patience_follows_the_disk_and_has_an_end() {
        let patience = |commit| {
            let mut pace = Pace { pays: true, ..Pace::default() };
            pace.plan(waiting(50), 100, commit).map(|plan| plan.patience)
        };
        assert_eq!(patience(COMMIT), Some(2 * COMMIT));
        assert_eq!(patience(Duration::from_secs(1)), Some(PACE_PATIENCE_MAX));
    }
}
