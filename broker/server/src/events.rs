//! What happens to clients, told in the log and on `$SYS/brokers/NODE/clients/CLIENTID/...` in EMQX's form.

use primer_mqtt::{ReasonCode, session::Terms};
use serde_json::json;

use crate::{access::Identity, batch::Batch, connection::Ending, hub::Hub, registry::Farewell};

/// A client has its session.
pub(crate) fn connected(hub: &Hub, identity: &Identity, terms: &Terms) {
    let Identity { client_id, username, peer, .. } = identity;
    tracing::info!(
        "New client connected from {peer} as {} (p{}, c{}, k{}{}).",
        client_id.escape_debug(), // an identifier must not forge a line of the log
        terms.version.level(),
        u8::from(terms.clean_start),
        terms.keep_alive_s,
        username.as_ref().map(|name| format!(", u'{}'", name.escape_debug())).unwrap_or_default(),
    );
    let event = json!({
        "clientid": &**client_id,
        "username": username.as_deref(),
        "ipaddress": peer.ip().to_string(),
        "clean_start": terms.clean_start,
        "proto_ver": terms.version.level(),
        "keepalive": terms.keep_alive_s,
        "expiry_interval": terms.session_expiry_s,
        "connected_at": hub.node.clock.unix_ms(),
        "ts": hub.node.clock.unix_ms(),
    });
    publish(hub, client_id, "connected", &event);
}

/// A client's connection has ended.
pub(crate) fn disconnected(hub: &Hub, identity: &Identity, ending: &Ending) {
    let Identity { client_id, username, peer, .. } = identity;
    tracing::info!("Client {} disconnected: {}.", client_id.escape_debug(), ending.why);
    let reason = match &ending.tell {
        None if ending.farewell == Farewell::Clean => "normal",
        None => "tcp_closed",
        Some((ReasonCode::SESSION_TAKEN_OVER, _)) => "takenover",
        Some((ReasonCode::KEEP_ALIVE_TIMEOUT, _)) => "keepalive_timeout",
        Some((reason, _)) => reason.name(),
    };
    let event = json!({
        "clientid": &**client_id,
        "username": username.as_deref(),
        "ipaddress": peer.ip().to_string(),
        "reason": reason,
        "disconnected_at": hub.node.clock.unix_ms(),
        "ts": hub.node.clock.unix_ms(),
    });
    publish(hub, client_id, "disconnected", &event);
}

fn publish(hub: &Hub, client_id: &str, what: &str, event: &serde_json::Value) {
    if hub.options.sys_interval.is_zero() {
        return;
    }
    // An identifier may hold what a topic may not.
    let client_id = client_id.replace('+', "%2B").replace('#', "%23");
    let topic = format!("$SYS/brokers/{}/clients/{client_id}/{what}", hub.options.node_name);
    if primer_core::topic::check_topic(&topic).is_err() {
        return;
    }
    let mut batch = Batch::begin(hub);
    hub.publish_text(&mut batch, &topic, event.to_string().as_bytes(), false);
    batch.finish(hub);
}
