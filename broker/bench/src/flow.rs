//! Closed loop: a publisher sends no more than a window ahead of what its subscribers have received.
//!
//! Without this a QoS 0 publisher would measure how fast a broker drops. Publishers and subscribers may live in
//! different worker threads; a publisher that has used its window up says at which count it wants to be told.

use std::sync::atomic::{AtomicU64, Ordering};

/// Nobody waits.
const NOBODY: u64 = u64::MAX;

/// How far one publisher's messages have come, over all subscribers. A message that was overtaken by a later one is not
/// on its way any more, so a broker that loses some does not bring its publishers to a halt.
#[derive(Debug)]
pub(crate) struct Flow {
    delivered: AtomicU64,
    resume_at: AtomicU64,
    /// Deliveries of each message.
    fan: u64,
    /// Messages.
    window: u64,
    /// The worker that the publisher lives in, and its place there.
    pub(crate) worker: usize,
    pub(crate) client: usize,
}

impl Flow {
    pub(crate) const fn new(fan: u64, window: u64, worker: usize, client: usize) -> Self {
        Self { delivered: AtomicU64::new(0), resume_at: AtomicU64::new(NOBODY), fan, window, worker, client }
    }

    /// How many messages a publisher that has sent `sent` may send now. Answers 0 once, and then the publisher is told
    /// ([`delivered`](Self::delivered)) when half of its window is free: one by one would measure wake-ups.
    pub(crate) fn room(&self, sent: u64) -> u64 {
        let room = self.room_now(sent);
        if room > 0 {
            return room;
        }
        let half = (sent - self.window / 2) * self.fan; // more than is delivered now, whatever the window
        self.resume_at.store(half, Ordering::SeqCst);
        // Deliveries that came meanwhile have not seen the mark.
        if self.delivered.load(Ordering::SeqCst) >= half && self.resume_at.swap(NOBODY, Ordering::SeqCst) != NOBODY {
            return self.room_now(sent);
        }
        0
    }

    fn room_now(&self, sent: u64) -> u64 {
        (self.delivered.load(Ordering::SeqCst) / self.fan + self.window).saturating_sub(sent)
    }

    /// The broker has refused a message, which nobody will get; answers whether the publisher waited. A later message
    /// counts it once more, which opens the window further: at QoS 1 and 2 packet identifiers bound it as well.
    pub(crate) fn refused(&self) -> bool {
        self.add(self.fan)
    }

    /// Counts `n` deliveries; answers whether the publisher waits and has to be told.
    #[inline]
    pub(crate) fn delivered(&self, n: u64) -> bool {
        self.add(n.min(self.window)) // of one subscriber no more can be on their way
    }

    #[inline]
    fn add(&self, n: u64) -> bool {
        let delivered = self.delivered.fetch_add(n, Ordering::SeqCst) + n;
        delivered >= self.resume_at.load(Ordering::SeqCst) && self.resume_at.swap(NOBODY, Ordering::SeqCst) != NOBODY
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_publisher_is_told_once_when_half_of_its_window_is_free() {
        let flow = Flow::new(2, 10, 0, 0);
        assert_eq!(flow.room(0), 10);
        assert_eq!(flow.room(7), 3);
        assert_eq!(flow.room(10), 0);
        assert!(!flow.delivered(9), "four messages and a half");
        assert!(flow.delivered(1), "five messages at both subscribers");
        assert!(!flow.delivered(2), "told twice");
        assert_eq!(flow.room(10), 6);
    }

    /// With a window of 1 the mark was where the deliveries already were, and the publisher waited for ever.
    #[test]
    fn deliveries_that_come_before_the_mark_are_not_missed() {
        let flow = Flow::new(1, 1, 0, 0);
        assert_eq!(flow.room(1), 0);
        assert!(flow.delivered(1));
        assert_eq!(flow.room(1), 1);
    }

    #[test]
    fn a_number_that_cannot_be_opens_no_more_than_a_window() {
        let flow = Flow::new(1, 10, 0, 0);
        assert_eq!((flow.room(10), flow.delivered(u64::MAX), flow.room(10)), (0, true, 10));
    }
}
