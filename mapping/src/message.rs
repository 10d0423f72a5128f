//! A message as scripts have it: a value. Copies share their memory until one is changed.

use std::{sync::Arc, time::Duration};

use rhai::ImmutableString;

/// Bytes of a payload that are shown.
const SHOWN_BYTES_MAX: usize = 200;

/// Where a rule stands.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
pub enum Stage {
    /// Behind the routing, as a consumer group.
    #[default]
    Group,
    /// Before the routing, within the publish.
    Ingress,
}

/// What is known of a message and cannot be changed.
#[derive(Debug, Clone, Default)]
pub struct Origin {
    /// Who published it: the client identifier.
    pub client: Option<Arc<str>>,
    /// The client's user name.
    pub user: Option<Arc<str>>,
    /// When it was published, in milliseconds since 1970.
    pub time_unix_ms: u64,
    /// The queue that it comes from.
    pub queue: Option<Arc<str>>,
    /// Its place there.
    pub position: u64,
    /// How often it was delivered to the rule, this time included.
    pub attempt: u32,
    /// How many rules it has gone through.
    pub hops: u8,
    /// Why it was given up, for a dead letter: queue, reason, deliveries.
    pub dead: Option<(Arc<str>, &'static str, u32)>,
}

/// See the module's description.
#[derive(Debug, Clone)]
pub struct Msg(Arc<Content>);

/// What a message says.
#[derive(Debug, Clone, Default)]
pub struct Content {
    /// The topic.
    pub topic: ImmutableString,
    /// The payload.
    pub payload: Arc<[u8]>,
    /// 0 to 2.
    pub qos: u8,
    /// Whether it is retained.
    pub retain: bool,
    /// Properties in the encoding of [`primer_core::properties`].
    pub properties: Arc<[u8]>,
    /// How long it is worth a delivery.
    pub ttl: Option<Duration>,
    /// 0 to 9, in a queue.
    pub priority: Option<u8>,
    /// What it is kept in order by, in a queue.
    pub key: Option<Arc<[u8]>>,
    /// By what it is known when it comes again, in a queue.
    pub id: Option<Arc<[u8]>>,
    /// What cannot be changed.
    pub origin: Arc<Origin>,
}

impl Msg {
    /// A message.
    #[must_use]
    pub fn new(content: Content) -> Self {
        Self(Arc::new(content))
    }

    /// What it says.
    #[must_use]
    pub fn content(&self) -> &Content {
        &self.0
    }

    /// What it says, to be changed; no copy of it changes.
    pub fn content_mut(&mut self) -> &mut Content {
        Arc::make_mut(&mut self.0)
    }

    /// Bytes of topic, properties and payload.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.0.topic.len() + self.0.properties.len() + self.0.payload.len()
    }

    /// Whether it is the same in memory: nobody has changed either.
    #[must_use]
    pub fn is_same(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }
}

impl std::fmt::Display for Msg {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let content = self.content();
        let payload = &content.payload[..content.payload.len().min(SHOWN_BYTES_MAX)];
        let ellipsis = if payload.len() < content.payload.len() { "..." } else { "" };
        let (topic, qos, bytes) = (&content.topic, content.qos, content.payload.len());
        write!(f, "{topic} (QoS {qos}, {bytes} bytes): {}{ellipsis}", payload.escape_ascii())
    }
}
