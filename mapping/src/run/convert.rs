//! Messages of the node as rules have them, and what rules make of them as the node takes it.

use std::{sync::Arc, time::Duration};

use primer::{Arriving, Delivery, Message, Product};

use crate::{
    message::{Content, Msg, Origin},
    output::{Output, Target},
};

/// A message of a queue.
pub(crate) fn of_delivery(delivery: &Delivery, now_ms: u64) -> Msg {
    let message = delivery.message();
    let item = delivery.envelope();
    let sent = item.sent();
    let dead = item.dead_letter().map(|dead| (Arc::clone(&dead.queue), dead.reason, dead.deliveries));
    let origin = Origin {
        client: item.publisher().map(Arc::from),
        user: item.user().map(Arc::from),
        time_unix_ms: item.time_unix_ms(),
        queue: Some(delivery.queue().into()),
        position: item.position().0,
        attempt: delivery.attempt(),
        hops: sent.hops,
        dead,
    };
    let left_ms = message.expires_at_ms().saturating_sub(now_ms);
    let expires = message.expires_at_ms() != primer_core::message::NEVER_MS;
    Msg::new(Content {
        topic: message.topic().into(),
        payload: message.payload().into(),
        qos: sent.qos,
        retain: sent.retain,
        properties: message.properties().into(),
        ttl: expires.then(|| Duration::from_millis(left_ms)),
        priority: Some(item.priority()),
        key: item.key().map(Arc::from),
        id: item.id().map(Arc::from),
        origin: Arc::new(origin),
    })
}

/// A publish that comes in.
pub(crate) fn of_arriving(arriving: &Arriving<'_>, unix_ms: u64) -> Msg {
    let origin = Origin {
        client: arriving.client.cloned(),
        user: arriving.user.cloned(),
        time_unix_ms: unix_ms,
        attempt: 1,
        ..Origin::default()
    };
    Msg::new(Content {
        topic: arriving.topic.into(),
        payload: arriving.payload.into(),
        qos: arriving.qos,
        retain: arriving.retain,
        properties: arriving.properties.into(),
        ttl: arriving.expiry_s.map(|seconds| Duration::from_secs(u64::from(seconds))),
        priority: None,
        key: None,
        id: None,
        origin: Arc::new(origin),
    })
}

/// What a rule has made.
pub(crate) fn product(output: &Output) -> Product {
    let mut message = message(&output.message);
    match (&output.target, output.delay) {
        (Target::Queue(queue), delay) => {
            if let Some(delay) = delay {
                message = message.delay(delay);
            }
            Product { queue: Some(queue.clone()), message }
        }
        (Target::Topic, None) => Product { queue: None, message },
        (Target::Topic, Some(delay)) => {
            let seconds = delay.as_millis().div_ceil(1000);
            let topic = format!("$delayed/{seconds}/{}", output.message.content().topic);
            Product { queue: None, message: message.topic(topic) }
        }
    }
}

/// A message as it is sent.
pub(crate) fn message(made: &Msg) -> Message {
    let Content { topic, payload, qos, retain, properties, ttl, priority, key, id, origin } = made.content();
    let mut message = Message::new(&payload[..])
        .topic(topic.as_str())
        .properties(properties)
        .qos(*qos)
        .retain(*retain)
        .hops(origin.hops)
        .sent_by(origin.client.clone(), origin.user.clone());
    if let Some(ttl) = ttl {
        message = message.ttl(*ttl);
    }
    if let Some(priority) = priority {
        message = message.priority(*priority);
    }
    if let Some(key) = key {
        message = message.key(&key[..]);
    }
    match id {
        Some(id) => message.id(&id[..]),
        None => message,
    }
}
