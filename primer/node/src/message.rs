//! A message in the making.

use std::{sync::Arc, time::Duration};

use primer_core::{
    limits::{DEDUPE_ID_BYTES_MAX, PRIORITY_MAX},
    message::{Message as Stored, NEVER_MS, Parts},
    properties::{self, Property},
    topic,
};

use crate::{
    definition::Definition,
    ingress::Arriving,
    queue::{Sent, Wishes, item},
};

/// A message that is to be pushed or published.
///
/// ```
/// use std::time::Duration;
/// let message = primer::Message::new("print 7 pages").priority(8).key("printer-3").ttl(Duration::from_secs(60));
/// # let _ = message;
/// ```
#[derive(Debug, Clone, Default)]
pub struct Message {
    topic: Option<String>,
    payload: Vec<u8>,
    properties: Vec<u8>,
    has_long_header: bool,
    priority: Option<u8>,
    key: Option<Vec<u8>>,
    id: Option<Vec<u8>>,
    delay: Option<Duration>,
    ttl: Option<Duration>,
    publisher: Option<Arc<str>>,
    user: Option<Arc<str>>,
    pub(crate) sent: Sent,
}

/// Why a message cannot be one. Nothing was pushed or published.
///
/// ```
/// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let node = primer::Node::builder().start().await?;
/// let error = node.queue("jobs")?.push(primer::Message::new("x").priority(10)).await.unwrap_err();
/// assert_eq!(error.to_string(), "priorities are 0 to 9, and this one is 10");
/// # node.shutdown(std::time::Duration::ZERO).await; Ok(()) }
/// ```
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum MessageError {
    /// The topic is no topic name.
    #[error("{topic:?} is no topic to publish to: {why}")]
    Topic {
        /// The topic.
        topic: String,
        /// Why.
        why: topic::TopicError,
    },
    /// A header, content type, response topic or correlation is longer than 65,535 bytes.
    #[error("a header, content type, response topic or correlation has more than 65,535 bytes")]
    LongHeader,
    /// The priority is above 9.
    #[error("priorities are 0 to {PRIORITY_MAX}, and this one is {0}")]
    Priority(u8),
    /// The identifier is empty or too long.
    #[error("a message identifier has 1 to {DEDUPE_ID_BYTES_MAX} bytes, and this one {0}")]
    Id(usize),
    /// All of it together is too long.
    #[error("a message has at most {MESSAGE_BYTES_MAX} bytes, and this one {0}")]
    TooLong(usize),
}

/// Bytes of topic, headers and payload, at most: what MQTT can carry (2.1.4).
pub const MESSAGE_BYTES_MAX: usize = 268_435_455;

impl Message {
    /// A message with this payload.
    #[must_use]
    pub fn new(payload: impl Into<Vec<u8>>) -> Self {
        Self { payload: payload.into(), ..Self::default() }
    }

    /// The topic that it is shown under. Without one it is `$queue/NAME`.
    #[must_use]
    pub fn topic(mut self, topic: impl Into<String>) -> Self {
        self.topic = Some(topic.into());
        self
    }

    /// Adds a header: a user property for those who see it over MQTT 5.0.
    #[must_use]
    pub fn header(self, name: &str, value: &str) -> Self {
        self.with(Property::User(name, value))
    }

    /// What the payload is, as `application/json`.
    #[must_use]
    pub fn content_type(self, content_type: &str) -> Self {
        self.with(Property::ContentType(content_type))
    }

    /// Where an answer goes.
    #[must_use]
    pub fn response_topic(self, topic: &str) -> Self {
        self.with(Property::ResponseTopic(topic))
    }

    /// What an answer is told by.
    #[must_use]
    pub fn correlation_data(self, data: &[u8]) -> Self {
        self.with(Property::CorrelationData(data))
    }

    /// Its priority, 0 to 9; higher ones are delivered first. Without, it is that of the queue's definition.
    #[must_use]
    pub const fn priority(mut self, priority: u8) -> Self {
        self.priority = Some(priority);
        self
    }

    /// What it is kept in order by, in groups that do so.
    #[must_use]
    pub fn key(mut self, key: impl Into<Vec<u8>>) -> Self {
        self.key = Some(key.into());
        self
    }

    /// An identifier, 1 to 256 bytes, by which a queue that remembers them knows it when it comes again.
    #[must_use]
    pub fn id(mut self, id: impl Into<Vec<u8>>) -> Self {
        self.id = Some(id.into());
        self
    }

    /// How long it waits before it is delivered.
    #[must_use]
    pub const fn delay(mut self, delay: Duration) -> Self {
        self.delay = Some(delay);
        self
    }

    /// When it is to be delivered, at the earliest, by the wall clock; what has passed is at once.
    #[must_use]
    pub fn at(self, time: std::time::SystemTime) -> Self {
        let delay = time.duration_since(std::time::SystemTime::now()).unwrap_or_default();
        self.delay(delay)
    }

    /// How long it is worth a delivery.
    #[must_use]
    pub const fn ttl(mut self, ttl: Duration) -> Self {
        self.ttl = Some(ttl);
        self
    }

    /// Whether it is kept for later subscribers of its topic. Only for what is published.
    #[must_use]
    pub const fn retain(mut self, retain: bool) -> Self {
        self.sent.retain = retain;
        self
    }

    /// Its quality of service for subscribers of MQTT, 0 to 2. Only for what is published. 1.
    #[must_use]
    pub const fn qos(mut self, qos: u8) -> Self {
        self.sent.qos = if qos > 2 { 2 } else { qos };
        self
    }

    /// On whose behalf it is sent: a client identifier and a user name.
    #[must_use]
    pub fn sent_by(mut self, publisher: Option<Arc<str>>, user: Option<Arc<str>>) -> Self {
        (self.publisher, self.user) = (publisher, user);
        self
    }

    /// How many mapping rules it has come through.
    #[must_use]
    pub const fn hops(mut self, hops: u8) -> Self {
        self.sent.hops = hops;
        self
    }

    /// All of its headers and properties at once, as they stand in another message; those that were added are gone.
    #[must_use]
    pub fn properties(mut self, encoded: &[u8]) -> Self {
        self.properties = encoded.to_vec();
        self
    }

    /// Expires after `timeout` unless it has a time to live of its own.
    pub(crate) fn within(mut self, timeout: Duration) -> Self {
        self.ttl.get_or_insert(timeout);
        self
    }

    pub(crate) fn topic_or_empty(&self) -> &str {
        self.topic.as_deref().unwrap_or_default()
    }

    fn with(mut self, property: Property<'_>) -> Self {
        self.has_long_header |= !properties::put(&mut self.properties, property);
        self
    }

    /// The message of a publisher, with an identifier if it has none.
    pub(crate) fn identified(mut self, publisher: &Arc<str>, number: u64) -> Self {
        self.id.get_or_insert_with(|| format!("{publisher}:{number}").into_bytes());
        self.publisher = Some(Arc::clone(publisher));
        self
    }

    /// Adds where the answer to a call goes.
    pub(crate) fn answered_at(self, topic: &str, data: &[u8]) -> Self {
        self.response_topic(topic).correlation_data(data)
    }

    /// The topic that was set.
    #[must_use]
    pub fn topic_name(&self) -> Option<&str> {
        self.topic.as_deref()
    }

    /// Bytes of topic, properties and payload.
    #[must_use]
    pub fn len(&self) -> usize {
        self.topic.as_ref().map_or(0, |topic| topic.len()) + self.properties.len() + self.payload.len()
    }

    /// Whether there is nothing in it.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The message as the core has it, for faces: its time to live begins now, and without a topic it has
    /// `default_topic`.
    ///
    /// # Errors
    /// It is no message.
    pub fn stored(&self, now_ms: u64, default_topic: &str) -> Result<Stored, MessageError> {
        self.build(now_ms, default_topic)
    }

    /// How it is published.
    #[must_use]
    pub const fn sent(&self) -> Sent {
        self.sent
    }

    /// The message as the core has it.
    pub(crate) fn build(&self, now_ms: u64, default_topic: &str) -> Result<Stored, MessageError> {
        let topic = self.topic.as_deref().unwrap_or(default_topic);
        if let Some(own) = &self.topic {
            topic::check_topic(own).map_err(|why| MessageError::Topic { topic: own.clone(), why })?;
        }
        if self.has_long_header {
            return Err(MessageError::LongHeader);
        }
        if let Some(priority) = self.priority.filter(|priority| *priority > PRIORITY_MAX) {
            return Err(MessageError::Priority(priority));
        }
        if let Some(id) = self.id.as_ref().filter(|id| id.is_empty() || id.len() > DEDUPE_ID_BYTES_MAX) {
            return Err(MessageError::Id(id.len()));
        }
        let len = topic.len() + self.properties.len() + self.payload.len();
        if len > MESSAGE_BYTES_MAX {
            return Err(MessageError::TooLong(len));
        }
        let expires_at_ms = self.ttl.map_or(NEVER_MS, |ttl| now_ms.saturating_add(millis(ttl)));
        Ok(Stored::new(&Parts { topic, properties: &self.properties, payload: &self.payload, expires_at_ms }))
    }

    /// The same, for who looks at what comes in.
    pub(crate) fn arriving<'m>(&'m self, built: &'m Stored) -> Arriving<'m> {
        let expiry_s = self.ttl.map(|ttl| u32::try_from(ttl.as_millis().div_ceil(1000)).unwrap_or(u32::MAX));
        Arriving {
            topic: built.topic(),
            properties: built.properties(),
            payload: built.payload(),
            qos: self.sent.qos,
            retain: self.sent.retain,
            expiry_s,
            client: self.publisher.as_ref(),
            user: self.user.as_ref(),
        }
    }

    /// How it wants to be queued.
    pub(crate) fn wishes(&self, built: &Stored, definition: &Definition) -> Wishes {
        let mut wishes = Wishes::of(built, self.publisher.as_ref(), definition);
        wishes.priority = self.priority.unwrap_or(wishes.priority);
        wishes.delay_ms = self.delay.map_or(wishes.delay_ms, millis);
        (wishes.extra.user, wishes.extra.sent) = (self.user.clone(), self.sent);
        if let Some(id) = &self.id {
            wishes.extra.id = Some(id.as_slice().into());
        }
        if let Some(key) = &self.key {
            wishes.extra.key = Some(key.as_slice().into());
        }
        wishes
    }
}

impl From<&str> for Message {
    fn from(payload: &str) -> Self {
        Self::new(payload)
    }
}

impl From<String> for Message {
    fn from(payload: String) -> Self {
        Self::new(payload)
    }
}

impl From<Vec<u8>> for Message {
    fn from(payload: Vec<u8>) -> Self {
        Self::new(payload)
    }
}

impl From<&[u8]> for Message {
    fn from(payload: &[u8]) -> Self {
        Self::new(payload)
    }
}

pub(crate) fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

/// The names of the user properties by which an MQTT publisher says the same.
pub const QUEUE_PROPERTIES: [&str; 4] = [item::PRIORITY, item::KEY, item::ID, item::DELAY_MS];
