//! The message in scripts: topic, payload in its forms, where it comes from, what a queue keeps of it.

use std::{sync::Arc, time::Duration};

use primer_core::topic;
use rhai::{Array, Blob, Dynamic, EvalAltResult, ImmutableString, Map, plugin::*};

use crate::{
    call::charge,
    duration::{self, shown},
    message::{Content, Msg, Origin},
    values,
};

type Fallible<T> = Result<T, Box<EvalAltResult>>;

/// The bytes of a payload as a script gives it.
///
/// # Errors
/// The value has no such form.
pub(super) fn payload_of(value: &Dynamic) -> Fallible<Arc<[u8]>> {
    if let Some(text) = value.read_lock::<ImmutableString>() {
        return Ok(text.as_bytes().into());
    }
    if let Some(blob) = value.read_lock::<Blob>() {
        return Ok(blob.as_slice().into());
    }
    if let Some(message) = value.read_lock::<Msg>() {
        return Ok(Arc::clone(&message.content().payload));
    }
    if value.is_map() || value.is_array() {
        return Ok(values::to_json(value).map_err(|error| format!("as JSON: {error}"))?.into());
    }
    if value.is_int() || value.is_float() || value.is_bool() || value.is_char() {
        return Ok(value.to_string().into_bytes().into());
    }
    Err(format!("{} cannot be a payload: give a text (\"\" for none), a blob, a map or an array", shown(value)).into())
}

/// A topic that may be published to.
///
/// # Errors
/// It may not, with the topic.
pub(super) fn checked_topic(name: &ImmutableString) -> Fallible<()> {
    topic::check_topic(name).map_err(|error| format!("the topic {:?} {error}", cut(name)))?;
    // Also what is published there later.
    let own = |topic: &str| {
        let is_own = |prefix: &&str| topic.starts_with(*prefix) || *topic == prefix[..prefix.len() - 1];
        ["$SYS/", "$CONTROL/", "$share/", "$browse/"].into_iter().find(|prefix| is_own(prefix))
    };
    let later = name.strip_prefix("$delayed/").and_then(|rest| rest.split_once('/')).map(|(_, topic)| topic);
    match own(name).or_else(|| later.and_then(own)) {
        Some(prefix) => {
            Err(format!("the topic {:?} cannot be published to: {prefix} is the node's own", cut(name)).into())
        }
        None => Ok(()),
    }
}

/// As much of a text as an error shows.
pub(super) fn cut(text: &str) -> &str {
    &text[..text.floor_char_boundary(200)]
}

/// A key or an identifier as a script gives it.
///
/// # Errors
/// The value has no such form.
pub(super) fn bytes_of(what: &str, value: &Dynamic) -> Fallible<Option<Arc<[u8]>>> {
    if value.is_unit() {
        return Ok(None);
    }
    if let Some(text) = value.read_lock::<ImmutableString>() {
        return Ok(Some(text.as_bytes().into()));
    }
    if let Some(blob) = value.read_lock::<Blob>() {
        return Ok(Some(blob.as_slice().into()));
    }
    if value.is_int() {
        return Ok(Some(value.to_string().into_bytes().into()));
    }
    Err(format!("{what} is a text, a blob or a number, and not {}", shown(value)).into())
}

fn text_or_blob(bytes: Option<&Arc<[u8]>>) -> Dynamic {
    match bytes {
        None => Dynamic::UNIT,
        Some(bytes) => std::str::from_utf8(bytes).map_or_else(|_| Dynamic::from_blob(bytes.to_vec()), text_value),
    }
}

fn text_value(text: &str) -> Dynamic {
    text.into()
}

pub(super) fn priority_of(value: &Dynamic) -> Fallible<Option<u8>> {
    if value.is_unit() {
        return Ok(None);
    }
    match value.as_int().ok().and_then(|priority| u8::try_from(priority).ok()) {
        Some(priority @ 0..=9) => Ok(Some(priority)),
        _ => Err(format!("a priority is 0 to 9, and not {}", shown(value)).into()),
    }
}

pub(super) fn qos_of(value: &Dynamic) -> Fallible<u8> {
    match value.as_int() {
        Ok(qos @ 0..=2) => Ok(qos as u8),
        _ => Err(format!("a QoS is 0, 1 or 2, and not {}", shown(value)).into()),
    }
}

pub(super) fn ttl_of(value: &Dynamic) -> Fallible<Option<Duration>> {
    if value.is_unit() { Ok(None) } else { Ok(Some(duration::of(value)?)) }
}

fn optional(text: Option<&Arc<str>>) -> Dynamic {
    text.map_or(Dynamic::UNIT, |text| Dynamic::from(ImmutableString::from(&**text)))
}

/// The place of a level in the topic's text; negative counts from the end.
fn level_range(topic: &str, index: i64) -> Option<std::ops::Range<usize>> {
    let at = match usize::try_from(index) {
        Ok(at) => at,
        Err(_) => {
            let back = usize::try_from(index.unsigned_abs()).ok()?;
            (topic.split('/').count()).checked_sub(back)?
        }
    };
    let level = topic.split('/').nth(at)?;
    let start = level.as_ptr() as usize - topic.as_ptr() as usize;
    Some(start..start + level.len())
}

#[export_module]
#[expect(unreachable_pub, clippy::unwrap_used, reason = "the macro exports what is pub, and takes what it checked")]
pub(crate) mod message_functions {
    use super::*;

    /// A new message, with QoS 1, not retained, without properties; client, user and time are those of the message that
    /// the rule has.
    #[rhai_fn(return_raw)]
    pub fn message(ctx: NativeCallContext, topic: ImmutableString, payload: Dynamic) -> Fallible<Msg> {
        checked_topic(&topic)?;
        let payload = payload_of(&payload)?;
        charge(&ctx, payload.len())?;
        let origin = match ctx.tag().and_then(Dynamic::read_lock::<crate::call::CallHandle>) {
            Some(_) => crate::call::with_call(&ctx, |call| Arc::clone(&call.origin))?,
            None => Arc::new(Origin::default()),
        };
        Ok(Msg::new(Content { topic, payload, qos: 1, origin, ..Content::default() }))
    }

    /// The topic. Can be set.
    #[rhai_fn(get = "topic", pure)]
    pub fn topic(msg: &mut Msg) -> ImmutableString {
        msg.content().topic.clone()
    }

    #[rhai_fn(set = "topic", return_raw)]
    pub fn set_topic(msg: &mut Msg, topic: ImmutableString) -> Fallible<()> {
        checked_topic(&topic)?;
        msg.content_mut().topic = topic;
        Ok(())
    }

    /// The levels of the topic, an array of texts. Can be set, also by element: `msg.levels[1] = "x"`.
    #[rhai_fn(get = "levels", pure)]
    pub fn levels(msg: &mut Msg) -> Array {
        msg.content().topic.split('/').map(text_value).collect()
    }

    #[rhai_fn(set = "levels", return_raw)]
    pub fn set_levels(msg: &mut Msg, levels: Array) -> Fallible<()> {
        let mut topic = String::new();
        for (at, level) in levels.iter().enumerate() {
            if at > 0 {
                topic.push('/');
            }
            match level.read_lock::<ImmutableString>() {
                Some(level) => topic.push_str(&level),
                None if level.is_int() => topic.push_str(&level.to_string()),
                None => return Err(format!("a level is a text, and not {}", shown(level)).into()),
            }
        }
        set_topic(msg, topic.into())
    }

    /// One level of the topic, from 0; negative from the end: `msg.level(-1)` is the last. `()` when there is none.
    #[rhai_fn(pure)]
    pub fn level(msg: &mut Msg, index: i64) -> Dynamic {
        let topic = &msg.content().topic;
        level_range(topic, index).map_or(Dynamic::UNIT, |range| topic[range].into())
    }

    /// Replaces one level of the topic. The text may hold several levels, or nothing.
    #[rhai_fn(return_raw)]
    pub fn set_level(msg: &mut Msg, index: i64, text: ImmutableString) -> Fallible<()> {
        let topic = &msg.content().topic;
        let Some(range) = level_range(topic, index) else {
            return Err(format!("the topic {:?} has no level {index}", cut(topic)).into());
        };
        let mut changed = String::with_capacity(topic.len() + text.len());
        changed.push_str(&topic[..range.start]);
        changed.push_str(&text);
        changed.push_str(&topic[range.end..]);
        set_topic(msg, changed.into())
    }

    /// The payload as a blob. Can be set, to a text too.
    #[rhai_fn(get = "payload", pure, return_raw)]
    pub fn payload(ctx: NativeCallContext, msg: &mut Msg) -> Fallible<Blob> {
        charge(&ctx, msg.content().payload.len())?;
        Ok(msg.content().payload.to_vec())
    }

    #[rhai_fn(set = "payload", return_raw)]
    pub fn set_payload(ctx: NativeCallContext, msg: &mut Msg, payload: Dynamic) -> Fallible<()> {
        let payload = payload_of(&payload)?;
        charge(&ctx, payload.len())?;
        msg.content_mut().payload = payload;
        Ok(())
    }

    /// The payload as text; an error when it is not UTF-8. Can be set.
    #[rhai_fn(get = "text", pure, return_raw)]
    pub fn text(ctx: NativeCallContext, msg: &mut Msg) -> Fallible<ImmutableString> {
        let payload = &msg.content().payload;
        charge(&ctx, payload.len())?;
        match std::str::from_utf8(payload) {
            Ok(text) => Ok(text.into()),
            Err(error) => {
                let at = error.valid_up_to();
                Err(format!(
                    "the payload is not UTF-8 from byte {at} on (0x{:02x}); msg.payload has the bytes",
                    payload[at]
                )
                .into())
            }
        }
    }

    #[rhai_fn(set = "text", return_raw)]
    pub fn set_text(ctx: NativeCallContext, msg: &mut Msg, text: ImmutableString) -> Fallible<()> {
        charge(&ctx, text.len())?;
        msg.content_mut().payload = text.as_bytes().into();
        Ok(())
    }

    /// The payload as a value read from JSON; an error when it is not JSON. Each use reads it anew. Can be set, also
    /// by field: `msg.json.unit = "C"`.
    #[rhai_fn(get = "json", pure, return_raw)]
    pub fn json(ctx: NativeCallContext, msg: &mut Msg) -> Fallible<Dynamic> {
        let payload = &msg.content().payload;
        charge(&ctx, payload.len())?;
        values::from_json(payload).map_err(|error| format!("the payload is {error}").into())
    }

    /// The payload as a value read from JSON; `default` when it cannot be read.
    #[rhai_fn(pure, return_raw)]
    pub fn json_or(ctx: NativeCallContext, msg: &mut Msg, default: Dynamic) -> Fallible<Dynamic> {
        let payload = &msg.content().payload;
        charge(&ctx, payload.len())?;
        Ok(values::from_json(payload).unwrap_or(default))
    }

    #[rhai_fn(set = "json", return_raw)]
    pub fn set_json(ctx: NativeCallContext, msg: &mut Msg, value: Dynamic) -> Fallible<()> {
        let json = values::to_json(&value).map_err(|error| format!("as JSON: {error}"))?;
        charge(&ctx, json.len())?;
        msg.content_mut().payload = json.into();
        Ok(())
    }

    /// The payload as a value read from CBOR; an error when it is not CBOR. Can be set, as `json` can.
    #[rhai_fn(get = "cbor", pure, return_raw)]
    pub fn cbor(ctx: NativeCallContext, msg: &mut Msg) -> Fallible<Dynamic> {
        let payload = &msg.content().payload;
        charge(&ctx, payload.len())?;
        values::from_cbor(payload).map_err(|error| format!("the payload is {error}").into())
    }

    #[rhai_fn(set = "cbor", return_raw)]
    pub fn set_cbor(ctx: NativeCallContext, msg: &mut Msg, value: Dynamic) -> Fallible<()> {
        let cbor = values::to_cbor(&value).map_err(|error| format!("as CBOR: {error}"))?;
        charge(&ctx, cbor.len())?;
        msg.content_mut().payload = cbor.into();
        Ok(())
    }

    /// The number of bytes of the payload.
    #[rhai_fn(get = "size", pure)]
    pub fn size(msg: &mut Msg) -> i64 {
        msg.content().payload.len() as i64
    }

    /// The quality of service, 0 to 2. Can be set.
    #[rhai_fn(get = "qos", pure)]
    pub fn qos(msg: &mut Msg) -> i64 {
        i64::from(msg.content().qos)
    }

    #[rhai_fn(set = "qos", return_raw)]
    pub fn set_qos(msg: &mut Msg, qos: Dynamic) -> Fallible<()> {
        msg.content_mut().qos = qos_of(&qos)?;
        Ok(())
    }

    /// Whether the message is retained for later subscribers of its topic. Can be set.
    #[rhai_fn(get = "retain", pure)]
    pub fn retain(msg: &mut Msg) -> bool {
        msg.content().retain
    }

    #[rhai_fn(set = "retain")]
    pub fn set_retain(msg: &mut Msg, retain: bool) {
        msg.content_mut().retain = retain;
    }

    /// The client identifier of the publisher, or `()`.
    #[rhai_fn(get = "client", pure)]
    pub fn client(msg: &mut Msg) -> Dynamic {
        optional(msg.content().origin.client.as_ref())
    }

    /// The user name of the publisher, or `()`.
    #[rhai_fn(get = "user", pure)]
    pub fn user(msg: &mut Msg) -> Dynamic {
        optional(msg.content().origin.user.as_ref())
    }

    /// When the message was published, in milliseconds since 1970 (UTC).
    #[rhai_fn(get = "time", pure)]
    pub fn time(msg: &mut Msg) -> i64 {
        i64::try_from(msg.content().origin.time_unix_ms).unwrap_or(i64::MAX)
    }

    /// The queue that the message comes from, or `()`.
    #[rhai_fn(get = "queue", pure)]
    pub fn queue(msg: &mut Msg) -> Dynamic {
        optional(msg.content().origin.queue.as_ref())
    }

    /// The place of the message in its queue.
    #[rhai_fn(get = "position", pure)]
    pub fn position(msg: &mut Msg) -> i64 {
        i64::try_from(msg.content().origin.position).unwrap_or(i64::MAX)
    }

    /// How often the message was given to the rule, this time included.
    #[rhai_fn(get = "attempt", pure)]
    pub fn attempt(msg: &mut Msg) -> i64 {
        i64::from(msg.content().origin.attempt)
    }

    /// How many rules the message has gone through.
    #[rhai_fn(get = "hops", pure)]
    pub fn hops(msg: &mut Msg) -> i64 {
        i64::from(msg.content().origin.hops)
    }

    /// Of a dead letter: `#{queue, reason, deliveries}`; else `()`.
    #[rhai_fn(get = "dead", pure)]
    pub fn dead(msg: &mut Msg) -> Dynamic {
        let Some((queue, reason, deliveries)) = &msg.content().origin.dead else {
            return Dynamic::UNIT;
        };
        let mut map = Map::new();
        map.insert("queue".into(), text_value(queue));
        map.insert("reason".into(), text_value(reason));
        map.insert("deliveries".into(), i64::from(*deliveries).into());
        map.into()
    }

    /// Which of a queue's messages go first: 0 to 9, or `()`. Can be set.
    #[rhai_fn(get = "priority", pure)]
    pub fn priority(msg: &mut Msg) -> Dynamic {
        msg.content().priority.map_or(Dynamic::UNIT, |priority| i64::from(priority).into())
    }

    #[rhai_fn(set = "priority", return_raw)]
    pub fn set_priority(msg: &mut Msg, priority: Dynamic) -> Fallible<()> {
        msg.content_mut().priority = priority_of(&priority)?;
        Ok(())
    }

    /// Messages of one key stay in order in a queue: a text (a blob, when it is not UTF-8), or `()`. Can be set.
    #[rhai_fn(get = "key", pure)]
    pub fn key(msg: &mut Msg) -> Dynamic {
        text_or_blob(msg.content().key.as_ref())
    }

    #[rhai_fn(set = "key", return_raw)]
    pub fn set_key(msg: &mut Msg, key: Dynamic) -> Fallible<()> {
        msg.content_mut().key = bytes_of("a key", &key)?;
        Ok(())
    }

    /// The identifier by which a queue knows that it has the message already: a text (a blob, when it is not UTF-8), or
    /// `()`. Can be set.
    #[rhai_fn(get = "id", pure)]
    pub fn id(msg: &mut Msg) -> Dynamic {
        text_or_blob(msg.content().id.as_ref())
    }

    #[rhai_fn(set = "id", return_raw)]
    pub fn set_id(msg: &mut Msg, id: Dynamic) -> Fallible<()> {
        msg.content_mut().id = bytes_of("an identifier", &id)?;
        Ok(())
    }

    /// How long the message is worth a delivery, in milliseconds, or `()`. Can be set, to a duration such as `"5m"`
    /// too.
    #[rhai_fn(get = "ttl", pure)]
    pub fn ttl(msg: &mut Msg) -> Dynamic {
        msg.content().ttl.map_or(Dynamic::UNIT, |ttl| i64::try_from(ttl.as_millis()).unwrap_or(i64::MAX).into())
    }

    #[rhai_fn(set = "ttl", return_raw)]
    pub fn set_ttl(msg: &mut Msg, ttl: Dynamic) -> Fallible<()> {
        msg.content_mut().ttl = ttl_of(&ttl)?;
        Ok(())
    }

    /// The message in a line, for `print`.
    #[rhai_fn(name = "to_string", name = "to_debug", pure)]
    pub fn shown_message(msg: &mut Msg) -> String {
        msg.to_string()
    }
}
