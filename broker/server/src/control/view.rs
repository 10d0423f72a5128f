//! What answers show: queues and messages as JSON.

use base64::{Engine, engine::general_purpose::STANDARD};
use primer::{Counts, From, GroupInfo, Mode, Node, Order, QueueInfo, Seen, Standing, name};
use serde_json::{Map, Value, json};

use crate::queues::browse::word;

/// A queue and its groups; its definition as well if it is wanted.
pub(super) fn queue(node: &Node, info: &QueueInfo, with_definition: bool) -> Value {
    let groups: Vec<Value> = info.groups.iter().map(group).collect();
    let mut shown = json!({
        "name": &*info.name,
        "messages": info.messages,
        "bytes": info.bytes,
        "is_paused": info.is_paused,
        "is_kept": info.is_kept,
        "oldest_unix_ms": info.oldest_unix_ms,
        "consumers": consumers(info),
        "dead_letters": dead_letters(node, &info.name),
        "groups": groups,
        "counts": counts(&info.counts),
    });
    if with_definition
        && let (Some(shown), Ok(definition)) = (shown.as_object_mut(), serde_json::to_value(&*info.definition))
    {
        shown.insert("definition".to_owned(), definition);
    }
    shown
}

pub(super) fn consumers(info: &QueueInfo) -> usize {
    info.groups.iter().map(|group| group.figures.consumers).sum()
}

/// How many dead letters a queue has; those of dead letters are none.
fn dead_letters(node: &Node, queue: &str) -> usize {
    if queue.starts_with(name::DEAD) {
        return 0;
    }
    node.find_queue(&format!("{}{queue}", name::DEAD)).map_or(0, |dead| dead.info().messages)
}

fn group(info: &GroupInfo) -> Value {
    let GroupInfo { name, options, figures } = info;
    json!({
        "name": name,
        "pending": figures.pending,
        "leased": figures.leased,
        "waiting": figures.waiting,
        "consumers": figures.consumers,
        "at_most_once": options.mode == Mode::AtMostOnce,
        "by_key": options.order == Order::ByKey,
    })
}

pub(super) fn counts(counts: &Counts) -> Value {
    json!({
        "pushed": counts.pushed,
        "duplicates": counts.duplicates,
        "refused": counts.refused,
        "delivered": counts.delivered,
        "redelivered": counts.redelivered,
        "acked": counts.acked,
        "expired": counts.expired,
        "trimmed": counts.trimmed,
        "evicted": counts.evicted,
        "dead": counts.dead,
        "removed": counts.removed,
        "lost": counts.lost,
    })
}

/// A message; of its payload no more than so many bytes. `due_unix_ms` converts the node's time.
pub(super) fn message(seen: &Seen, payload_max: usize, due_unix_ms: impl Fn(u64) -> u64) -> Value {
    let Seen { envelope, standing } = seen;
    let payload = envelope.payload();
    let part = payload.get(..payload_max).unwrap_or(payload);
    let headers: Vec<[&str; 2]> = envelope.headers().map(|(name, value)| [name, value]).collect();
    let mut shown = Map::new();
    let mut add = |name: &str, value: Value| shown.insert(name.to_owned(), value);
    add("position", json!(envelope.position().0));
    add("time_unix_ms", json!(envelope.time_unix_ms()));
    add("priority", json!(envelope.priority()));
    add("state", json!(word(*standing)));
    if let Standing::Waiting(due_ms) = standing {
        add("due_unix_ms", json!(envelope.due_unix_ms().unwrap_or_else(|| due_unix_ms(*due_ms))));
    }
    add("topic", json!(envelope.topic()));
    add("bytes", json!(payload.len()));
    add("payload", json!(STANDARD.encode(part)));
    if let Some(text) = text(part, part.len() < payload.len()) {
        add("text", json!(text));
    }
    if !headers.is_empty() {
        add("headers", json!(headers));
    }
    for (name, bytes) in [("key", envelope.key()), ("id", envelope.id())] {
        if let Some(bytes) = bytes {
            add(name, json!(String::from_utf8_lossy(bytes)));
        }
    }
    for (name, text) in [
        ("publisher", envelope.publisher()),
        ("content_type", envelope.content_type()),
        ("response_topic", envelope.response_topic()),
    ] {
        if let Some(text) = text {
            add(name, json!(text));
        }
    }
    if let Some(letter) = envelope.dead_letter() {
        let dead = json!({
            "queue": &*letter.queue,
            "group": &*letter.group,
            "reason": letter.reason,
            "deliveries": letter.deliveries,
            "died_unix_ms": letter.died_unix_ms,
        });
        add("dead", dead);
    }
    Value::Object(shown)
}

/// Bytes as text, if they are UTF-8; what was cut may end within a character.
fn text(part: &[u8], is_cut: bool) -> Option<&str> {
    match std::str::from_utf8(part) {
        Ok(text) => Some(text),
        Err(error) if is_cut && error.error_len().is_none() => {
            std::str::from_utf8(part.get(..error.valid_up_to())?).ok()
        }
        Err(_) => None,
    }
}

/// Where a look goes on, as a command takes it.
pub(super) fn next(next: From) -> Value {
    match next {
        From::Oldest => json!("oldest"),
        From::Newest => json!("newest"),
        From::Position(position) => json!(position.0),
        From::Before(position) => json!({"before": position.0}),
    }
}
