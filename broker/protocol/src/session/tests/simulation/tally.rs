//! How often things happened without which a search would prove little.

use std::collections::BTreeMap;

/// What is counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Event {
    Cut,
    Resumed,
    CleanStart,
    /// The server has sent a publish again.
    PublishRepeated,
    /// The client has got a QoS 2 publish that it held already.
    PublishKnown,
    PubrelRepeated,
    /// The client has sent a publish again.
    ClientRepeated,
    Delivered,
    Committed,
    /// A commit came after the connection of its publish.
    CommittedLate,
    Refused,
    /// The client has refused a message.
    Rejected,
    TooLarge,
    /// The server's identifiers began again at 1.
    IdentifiersTurned,
    /// A publish of either side came with an alias alone.
    AliasUsed,
}

const EVENTS: [Event; 15] = [
    Event::Cut,
    Event::Resumed,
    Event::CleanStart,
    Event::PublishRepeated,
    Event::PublishKnown,
    Event::PubrelRepeated,
    Event::ClientRepeated,
    Event::Delivered,
    Event::Committed,
    Event::CommittedLate,
    Event::Refused,
    Event::Rejected,
    Event::TooLarge,
    Event::IdentifiersTurned,
    Event::AliasUsed,
];

/// See the module's description.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Tally(BTreeMap<Event, u32>);

impl Tally {
    pub(super) fn count(&mut self, event: Event) {
        *self.0.entry(event).or_default() += 1;
    }

    pub(super) fn add(&mut self, other: &Self) {
        for (event, count) in &other.0 {
            *self.0.entry(*event).or_default() += count;
        }
    }

    /// What has hardly happened.
    pub(super) fn rare(&self, count_min: u32) -> Vec<Event> {
        EVENTS.into_iter().filter(|event| self.0.get(event).is_none_or(|count| *count < count_min)).collect()
    }
}
