//! The last messages that a rule was called with, for a dry run of its next version.

use std::collections::VecDeque;

use crate::message::Msg;

/// Messages that are kept for each rule.
pub(crate) const MESSAGES_MAX: usize = 1_000;
/// Bytes of them, where there are few rules.
const BYTES_MAX: usize = 1 << 20;
/// Bytes of those of all rules.
const ALL_BYTES_MAX: usize = 32 << 20;

/// See the module's description.
#[derive(Debug)]
pub(crate) struct History {
    messages: VecDeque<Msg>,
    bytes: usize,
    bytes_max: usize,
}

impl Default for History {
    fn default() -> Self {
        Self { messages: VecDeque::new(), bytes: 0, bytes_max: BYTES_MAX }
    }
}

fn cost(message: &Msg) -> usize {
    message.bytes() + 200
}

impl History {
    /// Keeps a message; the oldest make room.
    pub(crate) fn add(&mut self, message: &Msg) {
        let bytes = cost(message);
        if bytes > self.bytes_max / 4 {
            return; // one that would leave no room for others
        }
        self.bytes += bytes;
        self.messages.push_back(message.clone());
        self.trim();
    }

    /// There are so many rules: they share the room.
    pub(crate) fn share(&mut self, rules: usize) {
        self.bytes_max = BYTES_MAX.min(ALL_BYTES_MAX / rules.max(1));
        self.trim();
    }

    fn trim(&mut self) {
        while self.messages.len() > MESSAGES_MAX || self.bytes > self.bytes_max {
            let Some(oldest) = self.messages.pop_front() else { break };
            self.bytes -= cost(&oldest);
        }
    }

    /// At most so many, oldest first.
    pub(crate) fn last(&self, messages_max: usize) -> Vec<Msg> {
        let skipped = self.messages.len().saturating_sub(messages_max);
        self.messages.iter().skip(skipped).cloned().collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::message::Content;

    #[test]
    fn the_oldest_make_room_by_number_and_by_bytes() {
        let message = |bytes: usize| {
            Msg::new(Content { topic: bytes.to_string().into(), payload: vec![0; bytes].into(), ..Content::default() })
        };
        let mut history = History::default();
        (0..2_000).for_each(|number| history.add(&message(number % 10)));
        assert_eq!(history.last(5_000).len(), MESSAGES_MAX);
        assert_eq!(history.last(3).iter().map(|one| one.content().payload.len()).collect::<Vec<_>>(), [7, 8, 9]);
        (0..20).for_each(|_| history.add(&message(200_000)));
        assert!(history.bytes <= BYTES_MAX && history.last(100).len() == 5);
        history.add(&message(BYTES_MAX));
        assert_eq!(history.last(100).len(), 5, "one that is too large for it is left out");
        history.share(64);
        assert!(history.bytes <= ALL_BYTES_MAX / 64 && history.last(100).len() == 2);
        history.share(1);
        assert_eq!(history.bytes_max, BYTES_MAX);
    }
}
