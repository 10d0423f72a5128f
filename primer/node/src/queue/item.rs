//! A message as it stands in a queue: what was published, and what the queue knows of it.

use std::{hash::BuildHasher, sync::Arc};

use primer_core::{
    limits::{DEDUPE_ID_BYTES_MAX, PRIORITY_MAX},
    message::Message,
    properties::Properties,
    queue::Content,
};

use crate::{
    definition::{Definition, KeyOf},
    journal::Whereabouts,
};

/// What a message in a queue takes beside its own bytes, roughly.
const ITEM_BYTES: usize = 224;

/// User properties by which a message that comes over MQTT says how it is to be queued.
pub(crate) const PRIORITY: &str = "primer-priority";
/// See [`PRIORITY`]: what it is kept in order by.
pub(crate) const KEY: &str = "primer-key";
/// See [`PRIORITY`]: its identifier, by which it is known when it comes again.
pub(crate) const ID: &str = "primer-id";
/// See [`PRIORITY`]: how long it waits before it is delivered, in milliseconds.
pub(crate) const DELAY_MS: &str = "primer-delay-ms";

/// Why a message was given up, and where.
///
/// ```
/// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let node = primer::Node::builder().start().await?;
/// let jobs = node.queue("jobs")?;
/// jobs.push("nonsense").await?;
/// jobs.consume(1)?.next().await.expect("it is there").reject()?;
/// let letter = node.dead_letters("jobs")?.consume(1)?.next().await.expect("it went there");
/// assert_eq!(letter.dead_letter().map(|why| why.reason), Some("rejected"));
/// letter.ack()?;
/// # node.shutdown(std::time::Duration::ZERO).await; Ok(()) }
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeadLetter {
    /// The queue that it was in.
    pub queue: Arc<str>,
    /// The group that gave it up; empty where the queue did.
    pub group: Arc<str>,
    /// `rejected`, `max_deliveries`, `overflow`, or `rule` for what a transaction has given up.
    pub reason: &'static str,
    /// How often it had been delivered to the group.
    pub deliveries: u32,
    /// When, in milliseconds since 1970.
    pub died_unix_ms: u64,
}

/// How a message was sent, for what looks at it behind the routing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Sent {
    /// 0 to 2.
    pub qos: u8,
    /// Whether it was retained.
    pub retain: bool,
    /// Mapping rules that it has come through.
    pub hops: u8,
}

impl Default for Sent {
    /// What a program publishes that says nothing else.
    fn default() -> Self {
        Self { qos: 1, retain: false, hops: 0 }
    }
}

/// The user property of a dead letter with why a transaction has given it up, in words.
pub(crate) const REASON: &str = "primer-reason";

/// What only some messages have.
#[derive(Debug, Clone, Default)]
pub struct Extra {
    /// Who published it.
    pub publisher: Option<Arc<str>>,
    /// What it is kept in order by.
    pub key: Option<Box<[u8]>>,
    /// By what it is known when it comes again.
    pub id: Option<Box<[u8]>>,
    /// When it may be delivered, in milliseconds since 1970.
    pub due_unix_ms: Option<u64>,
    /// When it expires by its queue's definition, where that is before it does by itself.
    pub expires_unix_ms: Option<u64>,
    /// Why it was given up, for a dead letter.
    pub dead: Option<DeadLetter>,
    /// The user name of who published it.
    pub user: Option<Arc<str>>,
    /// How it was sent.
    pub sent: Sent,
}

/// See the module's description.
#[derive(Debug, Clone)]
pub(crate) struct Item {
    pub(crate) message: Message,
    pub(crate) at: Whereabouts,
    /// When it was published, in milliseconds since 1970.
    pub(crate) time_unix_ms: u64,
    pub(crate) priority: u8,
    pub(crate) key: Option<u64>,
    pub(crate) extra: Option<Box<Extra>>,
}

/// How a message wants to be queued: what its publisher said, or else what the queue says.
#[derive(Debug, Clone, Default)]
pub(crate) struct Wishes {
    pub(crate) priority: u8,
    pub(crate) delay_ms: u64,
    pub(crate) extra: Extra,
}

impl Wishes {
    /// Reads them off the properties of a message. What is no number, or too long, counts as not said.
    pub(crate) fn of(message: &Message, publisher: Option<&Arc<str>>, definition: &Definition) -> Self {
        let mut wishes = Self { priority: definition.priority, ..Self::default() };
        wishes.extra.publisher = publisher.cloned();
        let mut named = None;
        if !message.properties().is_empty() {
            let properties = Properties::of(message.properties());
            let priority = properties.user(PRIORITY).and_then(|text| text.parse::<u8>().ok());
            wishes.priority = priority.filter(|priority| *priority <= PRIORITY_MAX).unwrap_or(wishes.priority);
            wishes.delay_ms = properties.user(DELAY_MS).and_then(|text| text.parse().ok()).unwrap_or(0);
            let id = properties.user(ID).filter(|id| !id.is_empty() && id.len() <= DEDUPE_ID_BYTES_MAX);
            wishes.extra.id = id.map(|id| id.as_bytes().into());
            named = properties.user(KEY).map(|key| key.as_bytes().into());
        }
        wishes.extra.key = named.or_else(|| match &definition.key {
            KeyOf::Nothing => None,
            KeyOf::Topic => Some(message.topic().as_bytes().into()),
            KeyOf::Publisher => publisher.map(|publisher| publisher.as_bytes().into()),
            KeyOf::Property(name) => {
                Properties::of(message.properties()).user(name).map(|value| value.as_bytes().into())
            }
        });
        wishes
    }
}

impl Extra {
    fn is_empty(&self) -> bool {
        let Self { publisher, key, id, due_unix_ms, expires_unix_ms, dead, user, sent } = self;
        publisher.is_none()
            && key.is_none()
            && id.is_none()
            && due_unix_ms.is_none()
            && expires_unix_ms.is_none()
            && dead.is_none()
            && user.is_none()
            && *sent == Sent::default()
    }
}

impl Item {
    pub(crate) fn new(message: Message, at: Whereabouts, time_unix_ms: u64, priority: u8, extra: Extra) -> Self {
        // Any stable number does: two keys of one hash wait for each other.
        let key = extra.key.as_ref().map(|key| foldhash::fast::FixedState::default().hash_one(key));
        let extra = (!extra.is_empty()).then(|| Box::new(extra));
        Self { message, at, time_unix_ms, priority, key, extra }
    }

    /// A message that is in no queue.
    pub(crate) fn plain(message: Message, time_unix_ms: u64) -> Self {
        let priority = primer_core::limits::PRIORITY_DEFAULT;
        Self { message, at: Whereabouts::Nowhere, time_unix_ms, priority, key: None, extra: None }
    }

    pub(crate) fn dead(&self) -> Option<&DeadLetter> {
        self.extra.as_ref()?.dead.as_ref()
    }
}

/// What a message of so many bytes is charged with.
pub(crate) const fn cost(len: usize) -> usize {
    len + ITEM_BYTES
}

/// Items are shared between the queue and the consumers that have them.
#[derive(Debug, Clone)]
pub(crate) struct Shared(pub(crate) Arc<Item>);

impl Content for Shared {
    fn cost(&self) -> usize {
        cost(self.0.message.len())
    }

    fn expires_at_ms(&self) -> u64 {
        self.0.message.expires_at_ms()
    }

    fn key(&self) -> Option<u64> {
        self.0.key
    }

    fn is_void(&self) -> bool {
        matches!(&self.0.at, Whereabouts::With(ticket) if ticket.is_withdrawn())
    }

    fn stub(&self) -> Option<(u64, u32)> {
        match &self.0.at {
            Whereabouts::At { sequence, len } => Some((*sequence, *len)),
            Whereabouts::With(ticket) => ticket.written(),
            Whereabouts::Nowhere => None,
        }
    }
}
