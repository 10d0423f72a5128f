//! What the lines of a dump say of queues. `docs/guides/backup.md` describes it for people.

use std::fmt;

use base64::{Engine, engine::general_purpose::STANDARD};
use primer::Definition;
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

/// A queue, without its messages.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Queue {
    pub(super) name: String,
    /// Its own one; absent where a pattern, or nobody, says what it is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) definition: Option<Definition>,
    pub(super) paused: bool,
    /// Positions below this one are used up, whether there is a message or not.
    pub(super) next: u64,
    pub(super) groups: Vec<Group>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(super) ids: Vec<Identifier>,
}

/// A group of a queue.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Group {
    pub(super) name: String,
    pub(super) at_most_once: bool,
    pub(super) by_key: bool,
    /// The first position that it wants.
    pub(super) from: u64,
    /// What it is done with from there on although the queue still has it: first and last position of each stretch.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(super) done: Vec<(u64, u64)>,
    /// Position, and how often the message there was delivered to the group.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(super) deliveries: Vec<(u64, u16)>,
}

/// An identifier that a queue knows when it comes again.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Identifier {
    pub(super) id: Text,
    pub(super) until_unix_ms: u64,
    /// Where the message is, or was.
    pub(super) position: u64,
}

/// A message's place in a queue.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Place {
    pub(super) name: String,
    pub(super) position: u64,
    pub(super) priority: u8,
    pub(super) published_unix_ms: u64,
    /// When it may be delivered, if it waited for a time.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) due_unix_ms: Option<u64>,
    /// When it expires in this queue, where that is before it does by itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) expires_unix_ms: Option<u64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) publisher: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) key: Option<Text>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) id: Option<Text>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) dead: Option<Dead>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) user: Option<String>,
    /// How it was sent, where that is not at QoS 1, without the retain flag, by nobody's rule.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) sent: Option<Sent>,
}

/// How a message was sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Sent {
    pub(super) qos: u8,
    pub(super) retain: bool,
    /// Mapping rules that it has come through.
    pub(super) hops: u8,
}

/// Why a message was given up.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Dead {
    pub(super) queue: String,
    /// Empty where the queue gave it up, and no group.
    pub(super) group: String,
    pub(super) reason: String,
    pub(super) deliveries: u32,
    pub(super) died_unix_ms: u64,
}

impl Queue {
    /// Whether somebody would miss it if it had no messages: what is only a name comes back by itself.
    pub(super) fn says_something(&self) -> bool {
        self.definition.is_some() || self.paused || !self.groups.is_empty() || !self.ids.is_empty()
    }
}

/// Bytes that mostly are a text: a JSON string where they are UTF-8, and `{"base64":"..."}` elsewhere.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Text(pub(super) Box<[u8]>);

impl fmt::Debug for Text {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "\"{}\"", self.0.escape_ascii())
    }
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Packed {
    base64: String,
}

impl Serialize for Text {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match std::str::from_utf8(&self.0) {
            Ok(text) => serializer.serialize_str(text),
            Err(_) => Packed { base64: STANDARD.encode(&self.0) }.serialize(serializer),
        }
    }
}

impl<'de> Deserialize<'de> for Text {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Visitor;
        impl<'de> de::Visitor<'de> for Visitor {
            type Value = Text;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a text, or {\"base64\":\"...\"}")
            }

            fn visit_str<E: de::Error>(self, text: &str) -> Result<Text, E> {
                Ok(Text(text.as_bytes().into()))
            }

            fn visit_map<A: de::MapAccess<'de>>(self, map: A) -> Result<Text, A::Error> {
                let Packed { base64 } = Packed::deserialize(de::value::MapAccessDeserializer::new(map))?;
                let bytes = STANDARD.decode(base64);
                bytes.map(|bytes| Text(bytes.into())).map_err(|error| de::Error::custom(format!("no base64: {error}")))
            }
        }
        deserializer.deserialize_any(Visitor)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_are_texts_and_other_bytes_come_back_as_well() {
        for (bytes, json) in [
            (&b"customer-3"[..], "\"customer-3\""),
            ("\"\u{1}é".as_bytes(), "\"\\\"\\u0001é\""),
            (b"\xFF\0", "{\"base64\":\"/wA=\"}"),
            (b"", "\"\""),
        ] {
            let text = Text(bytes.into());
            assert_eq!(serde_json::to_string(&text).unwrap(), json);
            assert_eq!(serde_json::from_str::<Text>(json).unwrap(), text);
        }
        for wrong in ["7", "{\"base64\":\"?\"}", "{\"base64\":\"\",\"more\":1}", "{}"] {
            assert!(serde_json::from_str::<Text>(wrong).is_err(), "{wrong}");
        }
    }
}
