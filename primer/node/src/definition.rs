//! What a queue is told when it is made: bounds, leases, what happens to messages that nobody takes. It is JSON in the
//! store and on the command line; what is not said has its default.

use primer_core::{
    limits::PRIORITY_MAX,
    queue::{GroupOptions, Mode, Order, Overflow, Terms, name},
    topic,
};
use serde::{Deserialize, Serialize};

/// What happens at the high watermark.
///
/// ```
/// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let node = primer::Node::builder().start().await?;
/// use primer::{Definition, Full, PushError, Refused};
/// let one = Definition { messages_max: 1, overflow: Full::Reject, ..Definition::default() };
/// let queue = node.create_queue("small", one)?;
/// queue.push("a").await?;
/// assert!(matches!(queue.push("b").await, Err(PushError::Refused { why: Refused::QueueFull, .. })));
/// # node.shutdown(std::time::Duration::ZERO).await; Ok(()) }
/// ```
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Full {
    /// New messages are refused: the publisher is told.
    #[default]
    Reject,
    /// The oldest go, down to nine tenths of the watermark, and are counted.
    DropOldest,
    /// The same, and they go to the dead letters.
    DeadLetter,
}

/// When a message counts as taken in, in a node with a data directory.
///
/// ```
/// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let node = primer::Node::builder().start().await?;
/// use primer::{Definition, Keeping};
/// let fleeting = Definition { sync: Keeping::Memory, ..Definition::default() };
/// let queue = node.create_queue("positions", fleeting)?;
/// assert!(!queue.info().is_kept);
/// # node.shutdown(std::time::Duration::ZERO).await; Ok(()) }
/// ```
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Keeping {
    /// It is in memory only, and ends with the process.
    Memory,
    /// At once; it is written with the next commit.
    Never,
    /// When the commit is on the disk that took it along.
    #[default]
    Group,
}

/// By what messages are kept in order in a group that does so, where they name no key of their own.
///
/// ```
/// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let node = primer::Node::builder().start().await?;
/// use primer::{Definition, KeyOf, Message};
/// let of_unit = Definition { key: KeyOf::Property("unit".to_owned()), ..Definition::default() };
/// let queue = node.create_queue("orders", of_unit)?;
/// queue.push(Message::new("stop").header("unit", "pump-7")).await?;
/// let order = queue.consume(1)?.next().await.expect("it is there");
/// assert_eq!(order.key(), Some(&b"pump-7"[..]));
/// # node.shutdown(std::time::Duration::ZERO).await; Ok(()) }
/// ```
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum KeyOf {
    /// Messages without a key have none.
    #[default]
    Nothing,
    /// The topic.
    Topic,
    /// The client identifier of the publisher, or what a publisher of the program calls itself.
    Publisher,
    /// The user property of this name.
    Property(String),
}

/// What a queue is told. All fields have defaults; see each.
///
/// ```
/// use primer::{Definition, Keeping, KeyOf};
/// let by_meter = Definition {
///     by_key: true,
///     key: KeyOf::Topic,
///     ttl_ms: Some(86_400_000),
///     bind: vec!["meters/+/reading".to_owned()],
///     sync: Keeping::Group,
///     ..Definition::default()
/// };
/// assert!(by_meter.check().is_ok());
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Definition {
    /// High watermark in messages. 1,000,000.
    pub messages_max: usize,
    /// High watermark in bytes, messages that are not in memory included. 256 MiB.
    pub bytes_max: usize,
    /// What happens above either. [`Full::Reject`].
    pub overflow: Full,
    /// How long a message is worth a delivery, in milliseconds, where it does not say less itself. For ever.
    pub ttl_ms: Option<u64>,
    /// How long a consumer may have a message before it goes to another one, in milliseconds. `None`: a minute for
    /// consumers of the program, and as long as the connection for those of MQTT.
    pub lease_ms: Option<u64>,
    /// Deliveries to one group after which a message goes to the dead letters; 0 for any number. 20.
    pub deliveries_max: u32,
    /// How long a message waits before it is delivered again, in milliseconds. 0.
    pub retry_delay_ms: u64,
    /// How long message identifiers are remembered, in milliseconds; 0 for not at all. 0.
    pub dedupe_window_ms: u64,
    /// The priority of messages that name none, 0 to 9. 4.
    pub priority: u8,
    /// How often groups get a message that say nothing themselves. At least once.
    pub at_most_once: bool,
    /// Whether such groups keep messages of one key in order, at one consumer. No.
    pub by_key: bool,
    /// What the key is where a message names none.
    pub key: KeyOf,
    /// When a message counts as taken in.
    pub sync: Keeping,
    /// Topic filters: what is published to a topic that one matches is pushed as well.
    pub bind: Vec<String>,
}

impl Default for Definition {
    fn default() -> Self {
        Self {
            messages_max: 1_000_000,
            bytes_max: 256 << 20,
            overflow: Full::Reject,
            ttl_ms: None,
            lease_ms: None,
            deliveries_max: 20,
            retry_delay_ms: 0,
            dedupe_window_ms: 0,
            priority: primer_core::limits::PRIORITY_DEFAULT,
            at_most_once: false,
            by_key: false,
            key: KeyOf::Nothing,
            sync: Keeping::Group,
            bind: Vec::new(),
        }
    }
}

/// Why a definition cannot be one: the field, and what is allowed there.
///
/// ```
/// let wrong = primer::Definition { priority: 10, ..primer::Definition::default() };
/// assert_eq!(wrong.check().unwrap_err().to_string(), "priority: priorities are 0 to 9");
/// ```
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{field}: {why}")]
pub struct DefinitionError {
    /// Which field.
    pub field: &'static str,
    /// What is wrong.
    pub why: String,
}

impl Definition {
    /// The definition of dead letters: the oldest make room, nothing expires, and nothing is given up.
    #[must_use]
    pub fn dead_letters() -> Self {
        Self { overflow: Full::DropOldest, deliveries_max: 0, messages_max: 100_000, ..Self::default() }
    }

    /// Whether it can be one.
    ///
    /// # Errors
    /// A field is out of its range.
    pub fn check(&self) -> Result<(), DefinitionError> {
        let wrong = |field, why: &str| Err(DefinitionError { field, why: why.to_owned() });
        if self.messages_max == 0 {
            return wrong("messages_max", "a queue holds at least one message");
        }
        if self.bytes_max == 0 {
            return wrong("bytes_max", "a queue holds at least one byte");
        }
        if self.priority > PRIORITY_MAX {
            return wrong("priority", "priorities are 0 to 9");
        }
        if self.lease_ms == Some(0) {
            return wrong("lease_ms", "a lease has at least one millisecond");
        }
        if self.ttl_ms == Some(0) {
            return wrong("ttl_ms", "a message lives at least one millisecond");
        }
        if self.at_most_once && self.deliveries_max == 1 {
            return wrong("deliveries_max", "with at_most_once nothing is delivered twice: leave it out");
        }
        for filter in &self.bind {
            if let Err(error) = topic::check_filter(filter) {
                return wrong("bind", &format!("{filter:?} is no topic filter: {error}"));
            }
            if filter.starts_with('$') {
                return wrong("bind", &format!("{filter:?}: topics that begin with $ are the node's own"));
            }
        }
        Ok(())
    }

    pub(crate) const fn terms(&self, is_dead: bool) -> Terms {
        Terms {
            messages_max: self.messages_max,
            bytes_max: self.bytes_max,
            overflow: match self.overflow {
                Full::Reject => Overflow::Reject,
                Full::DeadLetter if !is_dead => Overflow::DeadLetter,
                Full::DropOldest | Full::DeadLetter => Overflow::DropOldest,
            },
            deliveries_max: if is_dead { 0 } else { self.deliveries_max },
            retry_delay_ms: self.retry_delay_ms,
            dedupe_window_ms: self.dedupe_window_ms,
        }
    }

    /// What groups are told that say nothing themselves.
    #[must_use]
    pub const fn group(&self) -> GroupOptions {
        GroupOptions {
            mode: if self.at_most_once { Mode::AtMostOnce } else { Mode::AtLeastOnce },
            order: if self.by_key { Order::ByKey } else { Order::Any },
        }
    }
}

/// Definitions by pattern: what queues get that are made at their first use.
#[derive(Debug, Default)]
pub(crate) struct Patterns(Vec<(Box<str>, Definition)>);

impl Patterns {
    /// Adds a definition, or replaces the one of the same pattern.
    pub(crate) fn set(&mut self, pattern: &str, definition: Definition) {
        self.0.retain(|(known, _)| **known != *pattern);
        self.0.push((pattern.into(), definition));
    }

    /// The definition for a name, and whether anybody has said anything about it.
    pub(crate) fn of(&self, name: &str) -> (Definition, bool) {
        let closest = name::closest(self.0.iter().map(|(pattern, _)| &**pattern), name);
        let known = closest.and_then(|closest| self.0.iter().find(|(pattern, _)| **pattern == *closest));
        match known {
            Some((_, definition)) => (definition.clone(), true),
            None if name.starts_with(name::DEAD) => (Definition::dead_letters(), false),
            None => (Definition::default(), false),
        }
    }

    /// Names that are no patterns: their queues exist.
    pub(crate) fn names(&self) -> impl Iterator<Item = &str> {
        self.0.iter().map(|(pattern, _)| &**pattern).filter(|pattern| !pattern.contains(['+', '#']))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_said_has_its_default_and_what_is_unknown_is_named() {
        let read: Definition = serde_json::from_str(r#"{"overflow":"dead_letter","key":{"property":"unit"}}"#).unwrap();
        let wanted =
            Definition { overflow: Full::DeadLetter, key: KeyOf::Property("unit".to_owned()), ..Definition::default() };
        assert_eq!(read, wanted);
        let wrong = serde_json::from_str::<Definition>(r#"{"overflw":"reject"}"#).unwrap_err().to_string();
        assert!(wrong.contains("overflw") && wrong.contains("overflow"), "{wrong}");
    }

    #[test]
    fn fields_out_of_range_are_named() {
        for (field, definition) in [
            ("messages_max", Definition { messages_max: 0, ..Definition::default() }),
            ("priority", Definition { priority: 10, ..Definition::default() }),
            ("lease_ms", Definition { lease_ms: Some(0), ..Definition::default() }),
            ("bind", Definition { bind: vec!["a/#/b".to_owned()], ..Definition::default() }),
            ("bind", Definition { bind: vec!["$SYS/#".to_owned()], ..Definition::default() }),
        ] {
            assert_eq!(definition.check().unwrap_err().field, field);
        }
        assert_eq!(Definition::default().check(), Ok(()));
    }
}
