//! The last messages that a rule was called with, for a dry run of its next version.

use std::collections::VecDeque;

use crate::message::Msg;

/// Messages that are kept for each rule.
pub(crate) const MESSAGES_MAX: usize = 1_000;
/// Bytes of them.
const BYTES_MAX: usize = 1 << 20;

/// See the module's description.
#[derive(Debug, Default)]
pub(crate) struct History {
    messages: VecDeque<Msg>,
    bytes: usize,
}

fn cost(message: &Msg) -> usize {
    let content = message.content();
    content.topic.len() + content.payload.len() + content.properties.len() + 200
}

impl History {
    /// Keeps a message; the oldest make room.
    pub(crate) fn add(&mut self, message: &Msg) {
        let bytes = cost(message);
        if bytes > BYTES_MAX / 4 {
            return; // one that would leave no room for others
        }
        self.bytes += bytes;
        self.messages.push_back(message.clone());
        while self.messages.len() > MESSAGES_MAX || self.bytes > BYTES_MAX {
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
    }
}
