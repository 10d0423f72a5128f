//! The lines of a dump, as JSON has them. `docs/guides/backup.md` describes them for people.
//!
//! One object a line, with one field that says what it is. A reader refuses fields that it does not know: what it left
//! out would be lost without a word. What is added later gets a new number in the first line.

use std::{borrow::Cow, fmt};

use base64::{Engine, display::Base64Display, engine::general_purpose::STANDARD};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

use super::{
    queue_lines::{Place, Queue},
    tables::Table,
};

/// The format that is written, and the newest that is read.
pub(super) const FORMAT: u32 = 3;

/// The first format that has queues.
pub(super) const FORMAT_OF_QUEUES: u32 = 2;

/// The first format that has tables.
pub(super) const FORMAT_OF_TABLES: u32 = 3;

/// One line.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Line<'a> {
    /// The first one.
    PrimerDump(Header),
    #[serde(borrow)]
    Session(Session<'a>),
    Queue(Queue),
    #[serde(borrow)]
    Table(Table<'a>),
    #[serde(borrow)]
    Message(Message<'a>),
    /// The last one.
    End(End),
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Header {
    pub(super) format: u32,
    /// Version of the program that wrote it.
    pub(super) program: String,
    /// RFC 3339, UTC.
    pub(super) time: String,
    pub(super) incarnation: u64,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Session<'a> {
    pub(super) client_id: String,
    /// Seconds after its connection went; `null` for never.
    pub(super) expiry_s: Option<u32>,
    /// When its connection went; `null` while there was one.
    pub(super) gone_unix_ms: Option<u64>,
    pub(super) subscriptions: Vec<Subscription>,
    #[serde(borrow, default, skip_serializing_if = "Option::is_none")]
    pub(super) will: Option<Will<'a>>,
    /// QoS 2 publishes of the client that wait for its PUBREL.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(super) received: Vec<u16>,
    /// QoS 2 publishes to the client that wait for its PUBCOMP, in order.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(super) released: Vec<u16>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Subscription {
    /// With `$share/GROUP/` before it, if it is a shared one.
    pub(super) filter: String,
    pub(super) qos: u8,
    pub(super) no_local: bool,
    pub(super) retain_as_published: bool,
    pub(super) retain_handling: u8,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) id: Option<u32>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Will<'a> {
    pub(super) topic: String,
    #[serde(borrow)]
    pub(super) payload: Base64<'a>,
    #[serde(borrow, default, skip_serializing_if = "Properties::is_empty")]
    pub(super) properties: Properties<'a>,
    pub(super) qos: u8,
    pub(super) retain: bool,
    pub(super) delay_s: u32,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) expiry_s: Option<u32>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Message<'a> {
    /// Its number in the store that was dumped; a higher one is younger.
    pub(super) sequence: u64,
    #[serde(borrow)]
    pub(super) topic: Cow<'a, str>,
    #[serde(borrow)]
    pub(super) payload: Base64<'a>,
    #[serde(borrow, default, skip_serializing_if = "Properties::is_empty")]
    pub(super) properties: Properties<'a>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) expires_unix_ms: Option<u64>,
    pub(super) to: Vec<Destination>,
}

/// Properties that go with a message to its subscribers.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Properties<'a> {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) payload_format: Option<u8>,
    #[serde(borrow, default, skip_serializing_if = "Option::is_none")]
    pub(super) content_type: Option<Cow<'a, str>>,
    #[serde(borrow, default, skip_serializing_if = "Option::is_none")]
    pub(super) response_topic: Option<Cow<'a, str>>,
    #[serde(borrow, default, skip_serializing_if = "Option::is_none")]
    pub(super) correlation_data: Option<Base64<'a>>,
    /// Names and values, in order.
    #[serde(borrow, default, skip_serializing_if = "Vec::is_empty")]
    pub(super) user: Vec<(Cow<'a, str>, Cow<'a, str>)>,
}

/// Where a message goes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub(super) enum Destination {
    Session {
        client_id: String,
        /// Its place in the session's queue: a lower one is delivered earlier.
        position: u64,
        qos: u8,
        retain: bool,
        /// Identifiers of the subscriptions that it matched.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        ids: Vec<u32>,
        /// The share group that it came through.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        share: Option<Share>,
        /// It was sent under this packet identifier and waits for its PUBACK or PUBREC.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        packet_id: Option<u16>,
    },
    Queue(Place),
    Retained {
        position: u64,
        qos: u8,
    },
    Delayed {
        position: u64,
        qos: u8,
        retain: bool,
        due_unix_ms: u64,
    },
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Share {
    pub(super) group: String,
    pub(super) filter: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct End {
    pub(super) sessions: u64,
    /// Dumps of format 1 do not say it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) queues: Option<u64>,
    /// Nor do those of format 2 say this.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) tables: Option<u64>,
    pub(super) messages: u64,
    /// Records that were damaged or made no sense, and are not here.
    pub(super) left_out: u64,
    /// CRC-32C of all lines before this one, with their line ends, in hexadecimal.
    pub(super) crc32c: String,
}

impl Properties<'_> {
    fn is_empty(&self) -> bool {
        *self == Properties::default()
    }
}

/// Bytes, as base64 (RFC 4648, section 4).
#[derive(Clone, PartialEq, Eq)]
pub(super) struct Base64<'a>(pub(super) Cow<'a, [u8]>);

impl fmt::Debug for Base64<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", Base64Display::new(&self.0, &STANDARD))
    }
}

impl Serialize for Base64<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&Base64Display::new(&self.0, &STANDARD))
    }
}

impl<'de> Deserialize<'de> for Base64<'_> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Visitor;
        impl de::Visitor<'_> for Visitor {
            type Value = Vec<u8>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a text in base64")
            }

            fn visit_str<E: de::Error>(self, text: &str) -> Result<Vec<u8>, E> {
                STANDARD.decode(text).map_err(|error| E::custom(format!("no base64: {error}")))
            }
        }
        deserializer.deserialize_str(Visitor).map(|bytes| Self(Cow::Owned(bytes)))
    }
}
