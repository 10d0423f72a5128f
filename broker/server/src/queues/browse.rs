//! `$browse/NAME`: a look into a queue by any MQTT client. What is there is sent once, oldest first, as QoS 0 publishes
//! under `$browse/NAME/POSITION`; at the end an empty one under `$browse/NAME/end`, whose user property `next` is where
//! to go on if there is more. Nothing changes in the queue.

use std::{sync::Arc, time::Duration};

use primer::{Browse, Envelope, From, Page, Position, Seen, Standing};
use primer_core::{
    message::NEVER_MS,
    properties::{Property, put},
};
use primer_mqtt::codec::packet::QoS;

use crate::{
    batch::{Batch, Burst, Publication},
    hub::Hub,
    limits::{BROWSE_MAX, BROWSE_PAGE},
    session::{Cell, Wish},
};

/// How long a look waits for a client that does not read.
const PATIENCE: Duration = Duration::from_secs(10);
const PAUSE: Duration = Duration::from_millis(5);

/// Begins a look on a task of its own.
pub(crate) fn begin(hub: &Arc<Hub>, cell: &Arc<Cell>, name: &str, from: u64) {
    let Some(queue) = hub.node.queues.find_queue(name) else {
        send_end(hub, cell, name, None);
        return;
    };
    let (hub, cell, name) = (Arc::clone(hub), Arc::clone(cell), name.to_owned());
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
            if !has_room(&hub, &cell).await {
                return;
            }
            for seen in &messages {
                send(&hub, &cell, &name, seen);
            }
        }
        send_end(&hub, &cell, &name, next);
    });
}

/// Waits until the client has read what it was sent; `false` when it does not, or is gone.
async fn has_room(hub: &Hub, cell: &Cell) -> bool {
    let end = tokio::time::Instant::now() + PATIENCE;
    while tokio::time::Instant::now() < end {
        match room(hub, cell) {
            Some(true) => return true,
            Some(false) => tokio::time::sleep(PAUSE).await,
            None => return false,
        }
    }
    false
}

/// Whether there is room for a page now; `None` when nobody is connected.
fn room(hub: &Hub, cell: &Cell) -> Option<bool> {
    let state = cell.lock();
    let is_held = state.durable.as_ref().is_some_and(|durable| durable.waits_for().is_some());
    (state.connected.is_some() && !state.ended).then(|| !is_held && state.backlog() < hub.options.outbox_bytes_max / 4)
}

fn send(hub: &Hub, cell: &Cell, name: &str, seen: &Seen) {
    let Seen { envelope, standing } = seen;
    let mut properties = envelope.message().properties().to_vec();
    describe(&mut properties, envelope, *standing);
    let topic = format!("$browse/{name}/{}", envelope.position().0);
    deliver(hub, cell, &topic, &properties, envelope.payload());
}

fn describe(properties: &mut Vec<u8>, envelope: &Envelope, standing: Standing) {
    let mut add = |name: &str, value: &str| {
        let _a_value_that_is_too_long_is_left_out = put(properties, Property::User(name, value));
    };
    add("primer-topic", envelope.topic());
    add("primer-time", &envelope.time_unix_ms().to_string());
    add("primer-priority", &envelope.priority().to_string());
    let standing = match standing {
        Standing::Ready => "ready",
        Standing::Leased => "leased",
        Standing::Waiting(_) => "waiting",
    };
    add("primer-state", standing);
    if let Some(letter) = envelope.dead_letter() {
        add("primer-dead-reason", letter.reason);
        add("primer-dead-deliveries", &letter.deliveries.to_string());
    }
}

fn send_end(hub: &Hub, cell: &Cell, name: &str, next: Option<From>) {
    let mut properties = Vec::new();
    if let Some(From::Position(position)) = next {
        let _it_is_short = put(&mut properties, Property::User("next", &position.0.to_string()));
    }
    deliver(hub, cell, &format!("$browse/{name}/end"), &properties, &[]);
}

fn deliver(hub: &Hub, cell: &Cell, topic: &str, forward: &[u8], payload: &[u8]) {
    let publication = Publication {
        topic,
        forward,
        payload,
        qos: QoS::AtMostOnce,
        retain: false,
        expires_at_ms: NEVER_MS,
        expiry_s: None,
        from: None,
        publisher: None,
        shared_retain: false,
    };
    let mut batch = Batch::begin(hub);
    batch.next_burst();
    let wish = Wish { qos: QoS::AtMostOnce, retain: false, ids: &[], share: None };
    cell.deliver(hub, &mut batch, &wish, Burst::one(&publication), 0..1, |_, _| ());
    batch.finish(hub);
}
