//! A whole message as one JSON object, and back without loss: what a broker gives out for a dry run, what people write
//! for one, and what tests keep.
//!
//! ```json
//! {"topic": "plant/7/temp", "payload": "{\"celsius\":21.5}", "qos": 1, "retain": false, "time": 1795900000000}
//! ```
//! Bytes that are no UTF-8 are in a member of the name with `_base64` behind it. A reader needs `topic` and a payload,
//! and refuses members that it does not know: a message with a misspelt header would be tried without it. Times to live
//! are whole milliseconds.

mod members;
#[cfg(test)]
mod tests;

use std::{sync::Arc, time::Duration};

use base64::{Engine, engine::general_purpose::STANDARD};
use primer_core::{
    properties::{Properties, Property, put},
    topic::check_topic,
};
use serde_json::{Map, Value, json};

pub use self::members::RecordError;
use self::members::{Members, bad};
use crate::message::{Content, Msg, Origin};

/// All members, for whoever misspells one.
const MEMBERS: [&str; 24] = [
    "topic",
    "payload",
    "payload_base64",
    "qos",
    "retain",
    "properties_base64",
    "headers",
    "content_type",
    "response_topic",
    "key",
    "key_base64",
    "id",
    "id_base64",
    "priority",
    "ttl_ms",
    "client",
    "user",
    "time",
    "queue",
    "position",
    "attempt",
    "hops",
    "dead",
    "correlation_base64",
];

/// Those of `dead`.
const DEAD_MEMBERS: [&str; 3] = ["queue", "reason", "deliveries"];

/// Why messages are dead letters: what `reason` of `dead` may be.
pub const REASONS: [&str; 4] = ["rejected", "max_deliveries", "overflow", "rule"];

/// A message as JSON.
#[must_use]
pub fn to_json(message: &Msg) -> Value {
    let Content { topic, payload, qos, retain, properties, ttl, priority, key, id, origin } = message.content();
    let Origin { client, user, time_unix_ms, queue, position, attempt, hops, dead } = &**origin;
    let mut all = Map::new();
    let mut add = |name: &str, value: Value| drop(all.insert(name.to_owned(), value));
    add("topic", json!(topic.as_str()));
    for (name, bytes) in [("payload", Some(payload)), ("key", key.as_ref()), ("id", id.as_ref())] {
        match bytes.map(|bytes| (bytes, std::str::from_utf8(bytes))) {
            None => {}
            Some((_, Ok(text))) => add(name, json!(text)),
            Some((bytes, Err(_))) => add(&format!("{name}_base64"), json!(STANDARD.encode(bytes))),
        }
    }
    add("qos", json!(qos));
    add("retain", json!(retain));
    if !properties.is_empty() {
        add("properties_base64", json!(STANDARD.encode(properties)));
    }
    for (name, value) in [
        ("priority", priority.map(|priority| json!(priority))),
        ("ttl_ms", ttl.map(|ttl| json!(u64::try_from(ttl.as_millis()).unwrap_or(u64::MAX)))),
        ("client", client.as_deref().map(|client| json!(client))),
        ("user", user.as_deref().map(|user| json!(user))),
        ("queue", queue.as_deref().map(|queue| json!(queue))),
        (
            "dead",
            dead.as_ref().map(
                |(queue, reason, deliveries)| json!({"queue": &**queue, "reason": reason, "deliveries": deliveries}),
            ),
        ),
    ] {
        if let Some(value) = value {
            add(name, value);
        }
    }
    add("time", json!(time_unix_ms));
    add("position", json!(position));
    add("attempt", json!(attempt));
    add("hops", json!(hops));
    Value::Object(all)
}

/// A message of JSON. What is not there is as in a first publish: QoS 0, not retained, at 1970, the first attempt. A
/// payload may be an object, an array, a number or a boolean too: its JSON text is the payload.
///
/// # Errors
/// Says which member is wrong, and what is allowed.
pub fn from_json(value: &Value) -> Result<Msg, RecordError> {
    let all = Members::of(value, &MEMBERS)?;
    let topic = all.text("topic")?.ok_or(RecordError::Missing("topic"))?;
    if let Err(error) = check_topic(topic) {
        return Err(bad("topic", &json!(topic), format!("a topic to publish to: it {error}")));
    }
    let payload = match all.get("payload") {
        Some(Value::Object(_) | Value::Array(_) | Value::Number(_) | Value::Bool(_))
            if all.get("payload_base64").is_none() =>
        {
            Some(all.get("payload").map(Value::to_string).unwrap_or_default().into_bytes())
        }
        Some(null @ Value::Null) => {
            return Err(bad("payload", null, "a text, an object, an array, a number or a boolean"));
        }
        _ => all.bytes("payload", "payload_base64")?,
    };
    let origin = Origin {
        client: all.text("client")?.map(Into::into),
        user: all.text("user")?.map(Into::into),
        time_unix_ms: all.number("time", 0, u64::MAX)?.unwrap_or(0),
        queue: all.queue("queue")?,
        position: all.number("position", 0, u64::MAX)?.unwrap_or(0),
        attempt: all.number("attempt", 0, u64::from(u32::MAX))?.map_or(1, |attempt| attempt as u32),
        hops: all.number("hops", 0, 255)?.map_or(0, |hops| hops as u8),
        dead: all.get("dead").map(dead).transpose()?,
    };
    Ok(Msg::new(Content {
        topic: topic.into(),
        payload: payload.ok_or(RecordError::Missing("payload"))?.into(),
        qos: all.number("qos", 0, 2)?.map_or(0, |qos| qos as u8),
        retain: match all.get("retain") {
            None => false,
            Some(Value::Bool(retain)) => *retain,
            Some(other) => return Err(bad("retain", other, "true or false")),
        },
        properties: properties(&all)?.into(),
        ttl: all.number("ttl_ms", 0, u64::MAX)?.map(Duration::from_millis),
        priority: all.number("priority", 0, 9)?.map(|priority| priority as u8),
        key: all.bytes("key", "key_base64")?.map(Into::into),
        id: all.bytes("id", "id_base64")?.map(Into::into),
        origin: Arc::new(origin),
    }))
}

fn dead(value: &Value) -> Result<(Arc<str>, &'static str, u32), RecordError> {
    let Value::Object(_) = value else {
        return Err(bad("dead", value, "{\"queue\":NAME,\"reason\":WHY,\"deliveries\":N}"));
    };
    let all = Members::of(value, &DEAD_MEMBERS)?;
    let reason = all.text("reason")?.ok_or(RecordError::Missing("reason"))?;
    let known = REASONS.iter().find(|known| **known == reason);
    Ok((
        all.queue("queue")?.ok_or(RecordError::Missing("queue"))?,
        known.ok_or_else(|| bad("reason", &json!(reason), format!("one of {}", REASONS.join(", "))))?,
        all.number("deliveries", 0, u64::from(u32::MAX))?.map_or(0, |deliveries| deliveries as u32),
    ))
}

/// The properties as they are, or those that are named.
fn properties(all: &Members<'_>) -> Result<Vec<u8>, RecordError> {
    let mut encoded = Vec::new();
    if let Some(whole) = all.base64("properties_base64")? {
        let is_whole = Properties::of(&whole).all(|property| put(&mut encoded, property));
        let named = ["headers", "content_type", "response_topic", "correlation_base64"];
        if let Some(other) = named.iter().find(|name| all.get(name).is_some()) {
            return Err(bad(other, &json!("beside properties_base64"), "in one of both only"));
        }
        if !is_whole || encoded.len() != whole.len() {
            return Err(bad(
                "properties_base64",
                &json!(STANDARD.encode(&whole)),
                "properties as MQTT 5.0 encodes them",
            ));
        }
        return Ok(whole);
    }
    let mut add = |member: &'static str, property: Property<'_>| {
        let long = || bad(member, &json!("longer than 65,535 bytes"), "no longer than that");
        if put(&mut encoded, property) { Ok(()) } else { Err(long()) }
    };
    if let Some(text) = all.text("content_type")? {
        add("content_type", Property::ContentType(text))?;
    }
    if let Some(text) = all.text("response_topic")? {
        add("response_topic", Property::ResponseTopic(text))?;
    }
    if let Some(bytes) = all.base64("correlation_base64")? {
        add("correlation_base64", Property::CorrelationData(&bytes))?;
    }
    let wrong = |value: &Value| bad("headers", value, "{NAME: TEXT or [TEXTS]}");
    match all.get("headers") {
        None => {}
        Some(Value::Object(headers)) => {
            for (name, value) in headers {
                let values = value.as_array().map_or(std::slice::from_ref(value), Vec::as_slice);
                for one in values {
                    let text = one.as_str().ok_or_else(|| wrong(&json!({name.as_str(): one})))?;
                    add("headers", Property::User(name, text))?;
                }
            }
        }
        Some(other) => return Err(wrong(other)),
    }
    Ok(encoded)
}
