//! What the log says first: where the broker listens, for whom, and what it keeps.

use std::time::Instant;

use primer_broker::{Broker, options::CertificateName};
use primer_config::{Access, Settings};

/// Says it.
pub(super) fn tell(settings: &Settings, broker: &Broker, begun: Instant) {
    for entrance in broker.entrances() {
        let over = if entrance.over.is_empty() { String::new() } else { format!(" over {}", entrance.over) };
        let who = who(settings, &entrance.name);
        tracing::info!("MQTT 3.1, 3.1.1 and 5.0{over} on {} ({}), for {who}", entrance.place, entrance.name);
    }
    if !broker.addresses().is_empty() && broker.addresses().iter().all(|address| address.ip().is_loopback()) {
        let users = if settings.asks_for_passwords() { "" } else { "; --user NAME:PASSWORD asks for passwords" };
        match settings.listeners_of_file() {
            0 => tracing::info!("Only this machine can connect: --bind 0.0.0.0 lets others{users}"),
            _ => tracing::info!("Only this machine can connect: `bind` of the listeners says where others can"),
        }
    }
    match (&settings.broker.data, broker.report()) {
        (Some(data), Some(report)) => crate::data::tell(data, report, begun.elapsed()),
        _ => tracing::info!(
            "Messages are kept in memory, {} MiB at most (--memory-limit): they end with this process (--data DIR \
             keeps them)",
            settings.broker.node.memory_bytes_max >> 20
        ),
    }
}

/// Who may come in by a listener.
fn who(settings: &Settings, listener: &str) -> &'static str {
    let Access { allow_anonymous, password_file, users, .. } = &settings.access;
    let options = settings.broker.listeners.iter().find(|options| options.name == listener);
    let is_certified = options.is_some_and(|options| {
        options.certificate_name != CertificateName::Unused
            && options.tls.as_ref().is_some_and(|tls| tls.requires_certificate)
    });
    let allow_anonymous = options.and_then(|options| options.allow_anonymous).unwrap_or(*allow_anonymous);
    match (is_certified, password_file.is_some() || !users.is_empty(), allow_anonymous) {
        (true, ..) => "clients with a certificate",
        (_, true, true) => "anybody without a user name, and users with their passwords",
        (_, true, false) => "users with their passwords",
        (_, false, true) => "anybody",
        (_, false, false) => "nobody",
    }
}
