//! The members of a record: read, held to what they may be, and told where they are not.

use std::sync::Arc;

use base64::{Engine, engine::general_purpose::STANDARD};
use primer_core::queue::name;
use serde_json::{Map, Value, json};

/// Why a JSON value is no message.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum RecordError {
    /// It is something else than an object.
    #[error("a message is a JSON object, such as {{\"topic\":\"a/b\",\"payload\":\"21.5\"}}, and not {0}")]
    NoObject(String),
    /// It has members that no message has.
    #[error("a message has no member {names}; it may have {}", allowed.join(", "))]
    Unknown {
        /// Those that it has.
        names: String,
        /// Those that it may have.
        allowed: &'static [&'static str],
    },
    /// What each message has is not there.
    #[error("the member {0} is missing")]
    Missing(&'static str),
    /// A member has a value that it cannot have.
    #[error("the member {member:?} is {is}; it is to be {allowed}")]
    Bad {
        /// Which member.
        member: &'static str,
        /// What it is.
        is: String,
        /// What it may be.
        allowed: String,
    },
}

/// The members of an object that has no others.
pub(super) struct Members<'v>(&'v Map<String, Value>);

impl<'v> Members<'v> {
    pub(super) fn of(value: &'v Value, allowed: &'static [&'static str]) -> Result<Self, RecordError> {
        let Value::Object(all) = value else { return Err(RecordError::NoObject(shown(value))) };
        let unknown: Vec<String> =
            all.keys().filter(|name| !allowed.contains(&&***name)).map(|name| format!("{name:?}")).collect();
        if unknown.is_empty() {
            return Ok(Self(all));
        }
        Err(RecordError::Unknown { names: unknown.join(", "), allowed })
    }

    pub(super) fn get(&self, name: &str) -> Option<&'v Value> {
        self.0.get(name)
    }

    pub(super) fn text(&self, name: &'static str) -> Result<Option<&'v str>, RecordError> {
        self.get(name).map(|value| value.as_str().ok_or_else(|| bad(name, value, "a text"))).transpose()
    }

    pub(super) fn number(&self, name: &'static str, least: u64, most: u64) -> Result<Option<u64>, RecordError> {
        let Some(value) = self.get(name) else { return Ok(None) };
        let number = value.as_u64().filter(|number| (least..=most).contains(number));
        let allowed = || if most == u64::MAX { "a whole number".to_owned() } else { format!("{least} to {most}") };
        number.map(Some).ok_or_else(|| bad(name, value, allowed()))
    }

    pub(super) fn queue(&self, member: &'static str) -> Result<Option<Arc<str>>, RecordError> {
        let Some(queue) = self.text(member)? else { return Ok(None) };
        let wrong = |error| bad(member, &json!(queue), format!("the name of a queue: {error}"));
        name::check(queue).map(|()| Some(queue.into())).map_err(wrong)
    }

    pub(super) fn base64(&self, name: &'static str) -> Result<Option<Vec<u8>>, RecordError> {
        let Some(text) = self.text(name)? else { return Ok(None) };
        STANDARD.decode(text).map(Some).map_err(|error| bad(name, &json!(text), format!("base64 ({error})")))
    }

    /// A text, or bytes in base64.
    pub(super) fn bytes(&self, name: &'static str, packed: &'static str) -> Result<Option<Vec<u8>>, RecordError> {
        match (self.text(name)?, self.base64(packed)?) {
            (Some(_), Some(_)) => Err(bad(packed, &json!(format!("beside {name}")), "there alone")),
            (text, bytes) => Ok(bytes.or_else(|| text.map(|text| text.as_bytes().to_vec()))),
        }
    }
}

pub(super) fn bad(member: &'static str, is: &Value, allowed: impl Into<String>) -> RecordError {
    RecordError::Bad { member, is: shown(is), allowed: allowed.into() }
}

/// A value in an error.
fn shown(value: &Value) -> String {
    const BYTES_MAX: usize = 100;
    let mut text = value.to_string();
    if text.len() > BYTES_MAX {
        text.truncate(text.floor_char_boundary(BYTES_MAX));
        text.push_str("...");
    }
    text
}
