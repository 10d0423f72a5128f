//! `$browse/NAME`: a look into a queue by any MQTT client. What is there is sent once, oldest first, as QoS 0 publishes
//! under `$browse/NAME/POSITION`. To MQTT 5.0 clients the last one says so (`primer-last`), and where to go on if there
//! is more (`primer-next`). Nothing changes in the queue.

use std::sync::Arc;

use primer::{Browse, Envelope, From, Page, Position, Seen, Standing};
use primer_core::properties::{Property, put};

use super::{address::Start, direct::Direct};
use crate::{
    hub::Hub,
    limits::{BROWSE_MAX, BROWSE_PAGE},
    session::Cell,
};

/// Begins a look on a task of its own.
pub(crate) fn begin(hub: &Arc<Hub>, cell: &Arc<Cell>, name: &str, from: Start) {
    let direct = Direct::to(hub, cell);
    let Some(queue) = hub.node.queues.find_queue(name) else { return };
    let name = name.to_owned();
    let (at, since_unix_ms) = match from {
        Start::Position(position) => (position, None),
        Start::Time(unix_ms) => (0, Some(unix_ms)),
    };
    tokio::spawn(async move {
        let mut next = Some(From::Position(Position(at)));
        let mut left = BROWSE_MAX;
        let mut held: Option<Seen> = None; // until it is known whether it is the last
        while let Some(from) = next
            && left > 0
        {
            let browse = Browse { from, messages_max: left.min(BROWSE_PAGE), since_unix_ms, ..Browse::default() };
            let Page { messages, next: after, .. } = queue.browse(&browse).await;
            left -= messages.len();
            next = after;
            if !direct.has_room().await {
                return;
            }
            for seen in messages {
                if let Some(before) = held.replace(seen) {
                    send(&direct, &name, &before, None);
                }
            }
        }
        if let Some(last) = held {
            send(&direct, &name, &last, Some(next));
        }
    });
}

/// Sends one message; `last` says that it is the last, and where more are.
fn send(direct: &Direct, name: &str, seen: &Seen, last: Option<Option<From>>) {
    let Seen { envelope, standing } = seen;
    let mut properties = envelope.message().properties().to_vec();
    describe(&mut properties, envelope, *standing);
    if let Some(next) = last {
        let _both_are_short = put(&mut properties, Property::User("primer-last", "true"));
        if let Some(From::Position(position)) = next {
            let _both_are_short = put(&mut properties, Property::User("primer-next", &position.0.to_string()));
        }
    }
    let topic = format!("$browse/{name}/{}", envelope.position().0);
    direct.send(&topic, &properties, envelope.payload());
}

fn describe(properties: &mut Vec<u8>, envelope: &Envelope, standing: Standing) {
    let mut add = |name: &str, value: &str| {
        let _a_value_that_is_too_long_is_left_out = put(properties, Property::User(name, value));
    };
    add("primer-topic", envelope.topic());
    add("primer-time", &envelope.time_unix_ms().to_string());
    add("primer-priority", &envelope.priority().to_string());
    add("primer-state", word(standing));
    if let Some(letter) = envelope.dead_letter() {
        add("primer-dead-reason", letter.reason);
        add("primer-dead-deliveries", &letter.deliveries.to_string());
    }
}

/// What a standing is called.
pub(crate) const fn word(standing: Standing) -> &'static str {
    match standing {
        Standing::Ready => "ready",
        Standing::Leased => "leased",
        Standing::Waiting(_) => "waiting",
    }
}
