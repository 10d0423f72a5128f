//! The retained store of a node: one message a topic, with expiry, resumable look-up, and a charge on the budget.

use parking_lot::RwLock;
use primer_core::{
    commit::{Accepted, Refused},
    message::Message,
    retained::{Retained, Step},
};

use crate::budget::{Budget, Charge};

/// What the store holds beside a message's own bytes, roughly: key, tree, bookkeeping.
const ENTRY_OVERHEAD_BYTES: usize = 160;

/// A retained message.
#[derive(Debug, Clone)]
pub struct Kept {
    /// The message.
    pub message: Message,
    /// The QoS with which it was published.
    pub qos: u8,
}

/// A stretch of a look-up.
#[derive(Debug)]
pub enum RetainedPage {
    /// Go on after this topic.
    More(String),
    /// All has been seen.
    End,
}

#[derive(Debug, Default)]
struct State {
    topics: Retained<Kept>,
    bytes: usize,
    charge: Charge,
}

/// The retained messages of a node.
#[derive(Debug)]
pub struct RetainedStore {
    state: RwLock<State>,
    topics_max: usize,
}

impl RetainedStore {
    pub(crate) fn new(topics_max: usize) -> Self {
        Self { state: RwLock::default(), topics_max }
    }

    /// Keeps a message for its topic; an empty payload forgets the one that was kept [MQTT-3.3.1-6].
    ///
    /// # Errors
    /// The store or the budget is full; the earlier message stays.
    pub fn publish(&self, budget: &Budget, message: &Message, qos: u8) -> Result<Accepted, Refused> {
        let mut state = self.state.write();
        let state = &mut *state;
        let (accepted, old) = if message.payload().is_empty() {
            state.topics.forget(message.topic())
        } else if budget.is_spent() {
            return Err(Refused::MemoryFull);
        } else {
            let kept = Kept { message: message.compact(), qos };
            let bytes = cost(&kept);
            let done = state.topics.keep(message.topic(), kept, self.topics_max)?;
            state.bytes += bytes;
            done
        };
        state.bytes -= old.as_ref().map_or(0, cost);
        state.charge.set(budget, state.bytes);
        Ok(accepted)
    }

    /// Drops the message of a topic if it has expired.
    pub fn expire(&self, budget: &Budget, topic: &str, now_ms: u64) -> bool {
        let mut state = self.state.write();
        if !state.topics.get(topic).is_some_and(|kept| kept.message.is_expired(now_ms)) {
            return false;
        }
        let old = state.topics.remove(topic);
        state.bytes -= old.as_ref().map_or(0, cost);
        let bytes = state.bytes;
        state.charge.set(budget, bytes);
        true
    }

    /// Gives each live message that `filter` matches, after the topic `after`, to `take`, until it answers `false` or
    /// `steps` topics have been looked at. The store is locked for reading meanwhile, so that a message given here
    /// cannot be older than one that is published at the same time.
    pub fn look_up(
        &self,
        filter: &str,
        after: Option<&str>,
        mut steps: usize,
        now_ms: u64,
        mut take: impl FnMut(&Kept) -> bool,
    ) -> RetainedPage {
        let state = self.state.read();
        let mut last = after.map(str::to_owned);
        loop {
            match state.topics.next_match(filter, last.as_deref(), &mut steps) {
                Step::End => return RetainedPage::End,
                Step::Pause(at) => return RetainedPage::More(at),
                Step::Match(topic, kept) => {
                    if !kept.message.is_expired(now_ms) && !take(kept) {
                        return last.map_or_else(|| RetainedPage::More(String::new()), RetainedPage::More);
                    }
                    match &mut last {
                        Some(last) => {
                            last.clear();
                            last.push_str(topic);
                        }
                        None => last = Some(topic.to_owned()),
                    }
                    if steps == 0 {
                        return RetainedPage::More(topic.to_owned());
                    }
                }
            }
        }
    }

    /// How many topics have a message.
    #[must_use]
    pub fn len(&self) -> usize {
        self.state.read().topics.len()
    }

    /// Whether no topic has one.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Bytes charged.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.state.read().bytes
    }
}

fn cost(kept: &Kept) -> usize {
    kept.message.len() + kept.message.topic().len() + ENTRY_OVERHEAD_BYTES
}
