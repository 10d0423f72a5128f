//! The options that make a definition.

use std::time::Duration;

use anyhow::{Context, bail};
use clap::{Args, ValueEnum};
use primer_config::quantity::size;
use serde_json::{Map, Value, json};

use crate::units;

/// What happens at the high watermark.
#[derive(Debug, Clone, Copy, ValueEnum)]
enum Overflow {
    /// New messages are refused: the publisher is told.
    Reject,
    /// The oldest go, and are counted.
    DropOldest,
    /// The oldest go to the dead letters.
    DeadLetter,
}

/// When a message counts as taken in.
#[derive(Debug, Clone, Copy, ValueEnum)]
enum Sync {
    /// It is in memory only, and ends with the broker.
    Memory,
    /// At once; it is written soon after.
    Never,
    /// When the disk has it.
    Group,
}

/// Times are seconds, or have a unit: 500ms, 30s, 5m, 2h, 7d. Sizes are bytes, or end with K, M or G.
#[derive(Debug, Args)]
pub(super) struct Define {
    /// Messages that it holds.
    #[arg(long, value_name = "N")]
    max_messages: Option<u64>,
    /// Bytes that it holds.
    #[arg(long, value_name = "SIZE", value_parser = size)]
    max_bytes: Option<u64>,
    /// What happens above either.
    #[arg(long, value_enum)]
    overflow: Option<Overflow>,
    /// How long a message is worth a delivery; `never` for as long as it takes.
    #[arg(long, value_name = "TIME", value_parser = time_or_never)]
    ttl: Option<Span>,
    /// How long a consumer may have a message before it goes to another one; `never` for as long as its connection.
    #[arg(long, value_name = "TIME", value_parser = time_or_never)]
    lease: Option<Span>,
    /// Deliveries to one group after which a message goes to the dead letters; 0 for any number.
    #[arg(long, value_name = "N")]
    max_deliveries: Option<u32>,
    /// How long a message waits before it is delivered again.
    #[arg(long, value_name = "TIME", value_parser = units::time)]
    retry_delay: Option<Duration>,
    /// How long message identifiers are remembered; 0 for not at all.
    #[arg(long, value_name = "TIME", value_parser = units::time)]
    dedupe_window: Option<Duration>,
    /// The priority of messages that name none, 0 to 9.
    #[arg(long, value_name = "N")]
    default_priority: Option<u8>,
    /// Groups get each message at most once.
    #[arg(long, value_name = "BOOL", num_args = 0..=1, default_missing_value = "true")]
    at_most_once: Option<bool>,
    /// Groups keep messages of one key in order, at one consumer.
    #[arg(long, value_name = "BOOL", num_args = 0..=1, default_missing_value = "true")]
    by_key: Option<bool>,
    /// What the key is where a message names none: `nothing`, `topic`, `publisher`, or `property:NAME`.
    #[arg(long, value_name = "KEY", value_parser = key)]
    key_of: Option<Value>,
    /// When a message counts as taken in, in a broker with a data directory.
    #[arg(long, value_enum)]
    sync: Option<Sync>,
    /// Topic filter: what is published there is pushed as well; may be given several times. `update` replaces those
    /// that there are; --definition {"bind":[]} leaves none.
    #[arg(long, value_name = "FILTER")]
    bind: Vec<String>,
    /// The same as JSON, such as {"messages_max": 1000}; the other options count where both say something.
    #[arg(long, value_name = "JSON")]
    definition: Option<String>,
}

/// A time span, or none.
#[derive(Debug, Clone, Copy)]
struct Span(Option<Duration>);

fn time_or_never(text: &str) -> Result<Span, String> {
    if text == "never" { Ok(Span(None)) } else { units::time(text).map(|time| Span(Some(time))) }
}

fn key(text: &str) -> Result<Value, String> {
    match text {
        "nothing" | "topic" | "publisher" => Ok(json!(text)),
        _ => match text.strip_prefix("property:").filter(|name| !name.is_empty()) {
            Some(name) => Ok(json!({"property": name})),
            None => Err("write nothing, topic, publisher or property:NAME".to_owned()),
        },
    }
}

impl Define {
    /// What was said, as the broker takes it.
    pub(super) fn json(self) -> anyhow::Result<Map<String, Value>> {
        let mut all = match &self.definition {
            None => Map::new(),
            Some(text) => match serde_json::from_str(text).context("--definition")? {
                Value::Object(object) => object,
                other => bail!("--definition is to be a JSON object, and is {other}"),
            },
        };
        let overflow = self.overflow.map(|overflow| match overflow {
            Overflow::Reject => "reject",
            Overflow::DropOldest => "drop_oldest",
            Overflow::DeadLetter => "dead_letter",
        });
        let sync = self.sync.map(|sync| match sync {
            Sync::Memory => "memory",
            Sync::Never => "never",
            Sync::Group => "group",
        });
        for (name, value) in [
            ("messages_max", self.max_messages.map(|n| json!(n))),
            ("bytes_max", self.max_bytes.map(|n| json!(n))),
            ("overflow", overflow.map(|overflow| json!(overflow))),
            ("ttl_ms", self.ttl.map(|span| json!(span.0.map(units::millis)))),
            ("lease_ms", self.lease.map(|span| json!(span.0.map(units::millis)))),
            ("deliveries_max", self.max_deliveries.map(|n| json!(n))),
            ("retry_delay_ms", self.retry_delay.map(|time| json!(units::millis(time)))),
            ("dedupe_window_ms", self.dedupe_window.map(|time| json!(units::millis(time)))),
            ("priority", self.default_priority.map(|n| json!(n))),
            ("at_most_once", self.at_most_once.map(|yes| json!(yes))),
            ("by_key", self.by_key.map(|yes| json!(yes))),
            ("key", self.key_of),
            ("sync", sync.map(|sync| json!(sync))),
            ("bind", (!self.bind.is_empty()).then(|| json!(self.bind))),
        ] {
            if let Some(value) = value {
                all.insert(name.to_owned(), value);
            }
        }
        Ok(all)
    }
}
