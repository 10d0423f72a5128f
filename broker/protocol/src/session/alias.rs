//! Topic aliases of one connection, both ways (MQTT 5.0, 3.3.2.3.4).

use std::{collections::BTreeMap, sync::Arc};

use crate::{ReasonCode, violation::Violation};

/// A topic of which an alias saves nothing: the alias property itself takes three bytes.
const TOPIC_BYTES_WORTH_AN_ALIAS: usize = 4;

/// How often a topic must have been passed over before another takes its alias.
const SCORE_MAX: u8 = 8;

/// The aliases that the client has set.
#[derive(Debug, Default)]
pub(super) struct AliasesIn {
    maximum: u16,
    topics: BTreeMap<u16, Arc<str>>,
}

impl AliasesIn {
    pub(super) const fn new(maximum: u16) -> Self {
        Self { maximum, topics: BTreeMap::new() }
    }

    /// Resolves or sets `alias`. `None` stands for the topic in the packet.
    pub(super) fn resolve(&mut self, alias: u16, topic: &str) -> Result<Option<Arc<str>>, Violation> {
        if alias == 0 || alias > self.maximum {
            let detail = "a topic alias is above the maximum that the server announced";
            return Err(Violation::with(ReasonCode::TOPIC_ALIAS_INVALID, "MQTT-3.3.2-9", detail));
        }
        if !topic.is_empty() {
            let topics = &mut self.topics;
            if topics.get(&alias).is_none_or(|known| **known != *topic) {
                topics.insert(alias, topic.into());
            }
            return Ok(None);
        }
        let unknown = Violation::protocol("MQTT5 3.3.4", "a topic alias is used before it is set");
        self.topics.get(&alias).cloned().map(Some).ok_or(unknown)
    }
}

/// What the server writes for a topic.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum AliasUse {
    /// The topic alone.
    None,
    /// The topic with the alias that stands for it from now on.
    Set(u16),
    /// The alias alone.
    Known(u16),
}

#[derive(Debug)]
struct Slot {
    topic: Arc<str>,
    score: u8,
}

/// The aliases that the server has set: those of its most frequent topics on this connection.
///
/// A known topic gains a point each time. An unknown one takes a free alias, or costs the slot under the hand of a
/// clock a point and takes it over when it has none left, so that rare topics do not push out frequent ones.
#[derive(Debug, Default)]
pub(super) struct AliasesOut {
    maximum: u16,
    /// Nothing is allocated for a client that takes no aliases.
    clock: Option<Box<Clock>>,
}

#[derive(Debug, Default)]
struct Clock {
    slots: Vec<Slot>,
    by_topic: BTreeMap<Arc<str>, u16>,
    hand: usize,
}

impl Clock {
    fn choose(&mut self, topic: &str, maximum: u16) -> AliasUse {
        if let Some(&alias) = self.by_topic.get(topic) {
            if let Some(slot) = self.slots.get_mut(usize::from(alias) - 1) {
                slot.score = (slot.score + 1).min(SCORE_MAX);
            }
            return AliasUse::Known(alias);
        }
        let topic: Arc<str> = topic.into();
        if self.slots.len() < usize::from(maximum) {
            self.slots.push(Slot { topic: Arc::clone(&topic), score: 1 });
            let alias = u16::try_from(self.slots.len()).unwrap_or(u16::MAX);
            self.by_topic.insert(topic, alias);
            return AliasUse::Set(alias);
        }
        let hand = self.hand;
        self.hand = (hand + 1) % self.slots.len();
        match self.slots.get_mut(hand) {
            Some(slot) if slot.score == 0 => {
                let old = std::mem::replace(slot, Slot { topic: Arc::clone(&topic), score: 1 });
                self.by_topic.remove(&old.topic);
                let alias = u16::try_from(hand + 1).unwrap_or(u16::MAX);
                self.by_topic.insert(topic, alias);
                AliasUse::Set(alias)
            }
            Some(slot) => {
                slot.score -= 1;
                AliasUse::None
            }
            None => AliasUse::None,
        }
    }
}

impl AliasesOut {
    pub(super) const fn new(maximum: u16) -> Self {
        Self { maximum, clock: None }
    }

    /// Chooses how to write `topic`. The caller must send what it gets.
    pub(super) fn choose(&mut self, topic: &str) -> AliasUse {
        if self.maximum == 0 || topic.len() < TOPIC_BYTES_WORTH_AN_ALIAS {
            return AliasUse::None;
        }
        self.clock.get_or_insert_default().choose(topic, self.maximum)
    }

    /// Whether the client allows no aliases, so that what is written for one client can be written for another.
    pub(super) const fn is_off(&self) -> bool {
        self.maximum == 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_alias_stands_for_the_last_topic_it_was_set_to() {
        let mut aliases = AliasesIn::new(2);
        assert_eq!(aliases.resolve(1, "").unwrap_err().reason, ReasonCode::PROTOCOL_ERROR);
        assert_eq!(aliases.resolve(1, "a").unwrap(), None);
        assert_eq!(aliases.resolve(1, "").unwrap().as_deref(), Some("a"));
        assert_eq!(aliases.resolve(1, "b").unwrap(), None);
        assert_eq!(aliases.resolve(1, "").unwrap().as_deref(), Some("b"));
        for bad in [0, 3] {
            assert_eq!(aliases.resolve(bad, "x").unwrap_err().reason, ReasonCode::TOPIC_ALIAS_INVALID);
        }
    }

    #[test]
    fn a_frequent_topic_keeps_its_alias_among_rare_ones() {
        let mut aliases = AliasesOut::new(2);
        assert_eq!(aliases.choose("frequent"), AliasUse::Set(1));
        let mut full = 0;
        for n in 0..1000 {
            full += usize::from(aliases.choose("frequent") != AliasUse::Known(1));
            aliases.choose(&format!("rare/{n}"));
        }
        assert_eq!(full, 0);
    }

    #[test]
    fn what_is_known_to_the_peer_and_to_us_never_differs() {
        let mut aliases = AliasesOut::new(3);
        let mut peer: BTreeMap<u16, String> = BTreeMap::new();
        for n in 0..5000_u32 {
            let topic = format!("topic/{}", (n * n) % 7 + n % 3);
            match aliases.choose(&topic) {
                AliasUse::None => {}
                AliasUse::Set(alias) => {
                    assert!((1..=3).contains(&alias));
                    peer.insert(alias, topic);
                }
                AliasUse::Known(alias) => assert_eq!(peer.get(&alias), Some(&topic)),
            }
        }
    }
}
