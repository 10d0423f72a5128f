//! `$browse/NAME`: a look into a queue by any MQTT client. What is there is sent once, oldest first, as QoS 0 publishes
//! under `$browse/NAME/POSITION`; at the end an empty one under `$browse/NAME/end`, whose user property `next` is where
//! to go on if there is more. Nothing changes in the queue.

use std::sync::Arc;

use primer::{Browse, Envelope, From, Page, Position, Seen, Standing};
use primer_core::properties::{Property, put};

use super::direct::Direct;
use crate::{
    hub::Hub,
    limits::{BROWSE_MAX, BROWSE_PAGE},
    session::Cell,
};

/// Begins a look on a task of its own.
pub(crate) fn begin(hub: &Arc<Hub>, cell: &Arc<Cell>, name: &str, from: u64) {
    let direct = Direct::to(hub, cell);
    let Some(queue) = hub.node.queues.find_queue(name) else {
        send_end(&direct, name, None);
        return;
    };
    let name = name.to_owned();
    tokio::spawn(async move {
        let mut next = Some(From::Position(Position(from)));
        let mut left = BROWSE_MAX;
        while let Some(from) = next
            && left > 0
        {
            let browse = Browse { from, messages_max: left.min(BROWSE_PAGE), ..Browse::default() };
            let Page { messages, next: after, .. } = queue.browse(&browse).await;
            left -= messages.len();
            next = after;
            if !direct.has_room().await {
                return;
            }
            for seen in &messages {
                send(&direct, &name, seen);
            }
        }
        send_end(&direct, &name, next);
    });
}

fn send(direct: &Direct, name: &str, seen: &Seen) {
    let Seen { envelope, standing } = seen;
    let mut properties = envelope.message().properties().to_vec();
    describe(&mut properties, envelope, *standing);
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
pub(super) const fn word(standing: Standing) -> &'static str {
    match standing {
        Standing::Ready => "ready",
        Standing::Leased => "leased",
        Standing::Waiting(_) => "waiting",
    }
}

fn send_end(direct: &Direct, name: &str, next: Option<From>) {
    let mut properties = Vec::new();
    if let Some(From::Position(position)) = next {
        let _it_is_short = put(&mut properties, Property::User("next", &position.0.to_string()));
    }
    direct.send(&format!("$browse/{name}/end"), &properties, &[]);
}
