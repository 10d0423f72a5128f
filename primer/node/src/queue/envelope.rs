//! A message as a consumer, a subscriber or somebody who browses sees it.

use std::sync::Arc;

use primer_core::{
    properties::{Properties, Property},
    queue::Position,
};

use super::item::{DeadLetter, Item};
use crate::journal::{Ticket, Whereabouts};

/// A message with what the node knows of it. Cheap to clone.
///
/// ```
/// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let node = primer::Node::builder().start().await?;
/// use primer::Message;
/// let queue = node.queue("readings")?;
/// queue.push(Message::new("21.5").topic("kitchen").header("unit", "C").content_type("text/plain")).await?;
/// let reading = queue.consume(1)?.next().await.expect("it is there");
/// let kept = reading.envelope().clone();
/// reading.ack()?;
/// assert_eq!((kept.topic(), kept.header("unit"), kept.content_type()), ("kitchen", Some("C"), Some("text/plain")));
/// # node.shutdown(std::time::Duration::ZERO).await; Ok(()) }
/// ```
#[derive(Debug, Clone)]
pub struct Envelope {
    item: Arc<Item>,
    position: Position,
}

impl Envelope {
    pub(crate) const fn new(item: Arc<Item>, position: Position) -> Self {
        Self { item, position }
    }

    /// Where it is on its way to the disk, if it is.
    pub(crate) fn ticket(&self) -> Option<&Ticket> {
        match &self.item.at {
            Whereabouts::With(ticket) => Some(ticket),
            Whereabouts::At { .. } | Whereabouts::Nowhere => None,
        }
    }

    /// The topic that it was published to; `$queue/NAME` for one that was pushed without.
    #[must_use]
    pub fn topic(&self) -> &str {
        self.item.message.topic()
    }

    /// The payload.
    #[must_use]
    pub fn payload(&self) -> &[u8] {
        self.item.message.payload()
    }

    /// The payload as text, if it is UTF-8.
    #[must_use]
    pub fn text(&self) -> Option<&str> {
        std::str::from_utf8(self.payload()).ok()
    }

    /// Its place in the queue: ascending, never used twice. 0 for a message of a topic.
    #[must_use]
    pub const fn position(&self) -> Position {
        self.position
    }

    /// When it was published, in milliseconds since 1970.
    #[must_use]
    pub fn time_unix_ms(&self) -> u64 {
        self.item.time_unix_ms
    }

    /// Its priority, 0 to 9.
    #[must_use]
    pub fn priority(&self) -> u8 {
        self.item.priority
    }

    /// What it is kept in order by, if anything.
    #[must_use]
    pub fn key(&self) -> Option<&[u8]> {
        self.item.extra.as_ref()?.key.as_deref()
    }

    /// The identifier by which it is known when it comes again, if it has one.
    #[must_use]
    pub fn id(&self) -> Option<&[u8]> {
        self.item.extra.as_ref()?.id.as_deref()
    }

    /// Who published it: a client identifier, or what a publisher of the program calls itself.
    #[must_use]
    pub fn publisher(&self) -> Option<&str> {
        self.item.extra.as_ref()?.publisher.as_deref()
    }

    /// The user name of who published it, if it came over a protocol that has such.
    #[must_use]
    pub fn user(&self) -> Option<&str> {
        self.item.extra.as_ref()?.user.as_deref()
    }

    /// How it was sent.
    #[must_use]
    pub fn sent(&self) -> super::Sent {
        self.item.extra.as_ref().map_or_else(super::Sent::default, |extra| extra.sent)
    }

    /// When it is due, in milliseconds since 1970, if it was scheduled.
    #[must_use]
    pub fn due_unix_ms(&self) -> Option<u64> {
        self.item.extra.as_ref()?.due_unix_ms
    }

    /// The first value of a header (a user property of MQTT 5.0).
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&str> {
        self.properties().user(name)
    }

    /// All headers, in order.
    pub fn headers(&self) -> impl Iterator<Item = (&str, &str)> {
        self.properties().filter_map(|property| match property {
            Property::User(name, value) => Some((name, value)),
            _ => None,
        })
    }

    /// What the payload is, if it was said.
    #[must_use]
    pub fn content_type(&self) -> Option<&str> {
        self.properties().find_map(|property| match property {
            Property::ContentType(content_type) => Some(content_type),
            _ => None,
        })
    }

    /// Where an answer goes, if one is wanted.
    #[must_use]
    pub fn response_topic(&self) -> Option<&str> {
        self.properties().response_topic()
    }

    /// What an answer is told by.
    #[must_use]
    pub fn correlation_data(&self) -> Option<&[u8]> {
        self.properties().correlation_data()
    }

    /// For a dead letter: why it was given up, and where.
    #[must_use]
    pub fn dead_letter(&self) -> Option<&DeadLetter> {
        self.item.dead()
    }

    /// The message as the core has it.
    #[must_use]
    pub fn message(&self) -> &primer_core::message::Message {
        &self.item.message
    }

    pub(crate) fn item(&self) -> &Arc<Item> {
        &self.item
    }

    fn properties(&self) -> Properties<'_> {
        Properties::of(self.item.message.properties())
    }
}
