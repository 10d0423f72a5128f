//! The retained store of a node: one message a topic, with expiry, resumable look-up, and a charge on the budget.

use std::sync::Arc;

use parking_lot::RwLock;
use primer_core::{
    commit::{Accepted, Refused},
    deadlines::Deadlines,
    message::{Message, NEVER_MS},
    retained::{Retained, Step},
};

use crate::{
    budget::{Budget, Charge},
    journal,
};

/// What the store holds beside a message's own bytes, roughly: key, tree, bookkeeping.
const ENTRY_OVERHEAD_BYTES: usize = 160;

/// A retained message.
#[derive(Debug, Clone)]
pub struct Kept {
    /// The message.
    pub message: Message,
    /// The QoS with which it was published.
    pub qos: u8,
    /// Where it is in the journal, if it is there.
    pub kept: Option<journal::Kept>,
}

/// What became of a message that was to be retained.
#[derive(Debug)]
pub struct Published {
    /// The store has it.
    pub accepted: Accepted,
    /// The next deadline may have changed.
    pub has_deadline: bool,
    /// The message that is not retained any more.
    pub replaced: Option<Kept>,
}

/// A stretch of a look-up.
#[derive(Debug)]
pub enum RetainedPage {
    /// Go on after this topic.
    More(String),
    /// All has been seen.
    End,
}

/// Invariant: a topic has a deadline exactly if its message expires, and it is that message's.
#[derive(Debug)]
struct State {
    topics: Retained<Kept>,
    deadlines: Deadlines<Arc<str>>,
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
        let (topics, deadlines) = (Retained::new(), Deadlines::new());
        Self { state: RwLock::new(State { topics, deadlines, bytes: 0, charge: Charge::default() }), topics_max }
    }

    /// Keeps a message for its topic; an empty payload forgets the one that was kept [MQTT-3.3.1-6]. `is_vital` lets in
    /// what is needed, and bounded, when the budget is spent: what the node says of itself.
    ///
    /// # Errors
    /// The store or the budget is full; the earlier message stays.
    pub fn publish(
        &self,
        budget: &Budget,
        message: &Message,
        qos: u8,
        is_vital: bool,
        kept: Option<journal::Kept>,
    ) -> Result<Published, Refused> {
        if message.payload().is_empty() {
            let mut state = self.state.write();
            let (accepted, old) = state.topics.forget(message.topic());
            state.replaced(budget, message.topic(), old.as_ref(), None);
            return Ok(Published { accepted, has_deadline: false, replaced: old });
        }
        if budget.is_spent() && !is_vital {
            return Err(Refused::MemoryFull);
        }
        let kept = Kept { message: message.compact(), qos, kept };
        let (expires_at_ms, bytes) = (message.expires_at_ms(), cost(&kept));
        let mut state = self.state.write();
        let (accepted, old) = state.topics.keep(message.topic(), kept, self.topics_max)?;
        state.bytes += bytes;
        state.replaced(budget, message.topic(), old.as_ref(), Some(expires_at_ms));
        let has_deadline = expires_at_ms != NEVER_MS;
        Ok(Published { accepted, has_deadline, replaced: old })
    }

    /// What was published last for the topic was refused by the journal, where it would have had this position, or its
    /// deletion was: what was there before is there again.
    ///
    /// # Errors
    /// The topic has had another message since; here is the one that was not put back.
    pub fn put_back(
        &self,
        budget: &Budget,
        topic: &str,
        refused: Option<u64>,
        before: Option<Kept>,
    ) -> Result<(), Option<Kept>> {
        let mut state = self.state.write();
        let known = state.topics.get(topic);
        let is_it = match (known, refused) {
            (None, None) => true,
            (Some(known), Some(refused)) => known.kept.as_ref().is_some_and(|kept| kept.position == refused),
            _ => false,
        };
        if !is_it {
            return Err(before);
        }
        let expires_at_ms = before.as_ref().map(|before| before.message.expires_at_ms());
        state.bytes += before.as_ref().map_or(0, cost);
        let old = match before {
            Some(before) => state.topics.set(topic, before),
            None => state.topics.remove(topic),
        };
        state.replaced(budget, topic, old.as_ref(), expires_at_ms);
        Ok(())
    }

    /// Drops messages that have expired, at most `messages_max`, and tells `take` where they are in the journal.
    pub fn expire(
        &self,
        budget: &Budget,
        now_ms: u64,
        messages_max: usize,
        mut take: impl FnMut(journal::Kept),
    ) -> usize {
        let mut state = self.state.write();
        for done in 0..messages_max {
            let Some(topic) = state.deadlines.pop_due(now_ms) else { return done };
            let old = state.topics.remove(&topic);
            state.replaced(budget, &topic, old.as_ref(), None);
            old.and_then(|old| old.kept).into_iter().for_each(&mut take);
        }
        messages_max
    }

    /// When the next message expires.
    #[must_use]
    pub fn next_expiry_ms(&self) -> Option<u64> {
        self.state.read().deadlines.next()
    }

    /// Gives each live message that `filter` matches, after the topic `after`, to `take`, until it answers `false` or
    /// `steps` are used up, one for each topic that is looked at. The store is locked for reading meanwhile, so that a
    /// message given here cannot be older than one that is published at the same time.
    pub fn look_up(
        &self,
        filter: &str,
        after: Option<&str>,
        steps: &mut usize,
        now_ms: u64,
        mut take: impl FnMut(&Kept) -> bool,
    ) -> RetainedPage {
        let state = self.state.read();
        let mut last = after.map(str::to_owned);
        loop {
            match state.topics.next_match(filter, last.as_deref(), steps) {
                Step::End => return RetainedPage::End,
                Step::Pause(at) => return RetainedPage::More(at),
                Step::Match(topic, kept) => {
                    if !kept.message.is_expired(now_ms) && !take(kept) {
                        return RetainedPage::More(last.unwrap_or_default());
                    }
                    let last = last.get_or_insert_default();
                    last.clear();
                    last.push_str(topic);
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

impl State {
    /// The message of a topic is another one now: its cost, its deadline and the charge follow.
    fn replaced(&mut self, budget: &Budget, topic: &str, old: Option<&Kept>, expires_at_ms: Option<u64>) {
        if let Some(old) = old {
            self.bytes -= cost(old);
            if old.message.expires_at_ms() != NEVER_MS {
                self.deadlines.cancel(&Arc::from(topic));
            }
        }
        if let Some(at_ms) = expires_at_ms.filter(|at_ms| *at_ms != NEVER_MS) {
            self.deadlines.insert(at_ms + 1, topic.into());
        }
        self.charge.set(budget, self.bytes);
    }
}

fn cost(kept: &Kept) -> usize {
    let deadline = if kept.message.expires_at_ms() == NEVER_MS { 0 } else { ENTRY_OVERHEAD_BYTES };
    kept.message.len() + 2 * kept.message.topic().len() + ENTRY_OVERHEAD_BYTES + deadline
}

#[cfg(test)]
mod tests {
    use primer_core::message::Parts;

    use super::*;

    fn message(topic: &str, payload: &str, expires_at_ms: u64) -> Message {
        Message::new(&Parts { topic, properties: &[], payload: payload.as_bytes(), expires_at_ms })
    }

    /// Deadlines of messages that were replaced, deleted or refused used to stay, outside of every bound.
    #[test]
    fn a_deadline_goes_with_its_message() {
        let (store, budget) = (RetainedStore::new(1), Budget::new(10_000));
        let _ = store.publish(&budget, &message("a", "x", 5_000), 0, false, None).unwrap();
        let _ = store.publish(&budget, &message("b", "x", 1), 0, false, None).unwrap_err();
        assert_eq!(store.next_expiry_ms(), Some(5_001), "a refused message moved the deadline");
        let _ = store.publish(&budget, &message("a", "y", NEVER_MS), 0, false, None).unwrap();
        assert_eq!(store.next_expiry_ms(), None);
        let _ = store.publish(&budget, &message("a", "z", 7), 0, false, None).unwrap();
        let _ = store.publish(&budget, &message("a", "", NEVER_MS), 0, false, None).unwrap();
        assert_eq!((store.next_expiry_ms(), store.len(), budget.used()), (None, 0, 0));
    }

    #[test]
    fn what_was_refused_gives_its_place_back() {
        let (store, budget) = (RetainedStore::new(9), Budget::new(10_000));
        let kept = |position| Some(journal::Kept { position, at: primer_storage::Whereabouts::Nowhere });
        let old = |published: Published| published.replaced;
        assert!(old(store.publish(&budget, &message("a", "first", 5), 0, false, kept(1)).unwrap()).is_none());
        let used = budget.used();
        let first = old(store.publish(&budget, &message("a", "second", NEVER_MS), 0, false, kept(2)).unwrap());
        let first = store.put_back(&budget, "a", Some(7), first).unwrap_err();
        store.put_back(&budget, "a", Some(2), first).unwrap();
        assert_eq!((store.next_expiry_ms(), store.len(), budget.used()), (Some(6), 1, used));
        // A deletion that was refused, and a message that was the first.
        let first = old(store.publish(&budget, &message("a", "", NEVER_MS), 0, false, None).unwrap());
        store.put_back(&budget, "a", None, first).unwrap();
        assert_eq!((store.next_expiry_ms(), store.len(), budget.used()), (Some(6), 1, used));
        store.put_back(&budget, "a", Some(1), None).unwrap();
        assert_eq!((store.next_expiry_ms(), store.len(), budget.used()), (None, 0, 0));
    }

    #[test]
    fn what_has_expired_goes_by_time() {
        let (store, budget) = (RetainedStore::new(9), Budget::new(10_000));
        for (topic, at) in [("a", 5), ("b", 5), ("c", 9)] {
            let _ = store.publish(&budget, &message(topic, "x", at), 0, false, None).unwrap();
        }
        assert_eq!(
            (store.expire(&budget, 5, 9, drop), store.expire(&budget, 6, 1, drop), store.expire(&budget, 6, 9, drop)),
            (0, 1, 1)
        );
        assert_eq!((store.len(), store.next_expiry_ms()), (1, Some(10)));
    }

    #[test]
    fn a_look_up_goes_on_where_it_stopped() {
        let (store, budget) = (RetainedStore::new(99), Budget::new(1 << 20));
        for n in 0..50 {
            let _ = store.publish(&budget, &message(&format!("t/{n:02}"), "x", NEVER_MS), 0, false, None).unwrap();
        }
        let (mut seen, mut after, mut room) = (Vec::new(), None, 0);
        loop {
            room += 3;
            let page = store.look_up("t/#", after.as_deref(), &mut 4, 0, |kept| {
                if seen.len() < room {
                    seen.push(kept.message.topic().to_owned());
                }
                seen.len() < room || seen.last().is_some_and(|last| last == kept.message.topic())
            });
            match page {
                RetainedPage::End => break,
                RetainedPage::More(at) => after = Some(at),
            }
        }
        assert_eq!(seen.len(), 50);
        assert!(seen.is_sorted());
    }
}
