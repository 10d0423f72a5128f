//! Listeners in the words of the broker. Each address of one is a listener of its own there.

use std::path::PathBuf;

use primer_broker::options::{Bind, CertificateName, ListenerOptions, TlsOptions, WebSocketOptions};

use super::to_usize;
use crate::{
    effective::{Effective, table_of},
    schema::Transport,
    value::{Address, Value},
};

/// All listeners that are enabled.
pub(super) fn options(effective: &Effective) -> Vec<ListenerOptions> {
    let enabled = effective.listeners().filter(|(transport, name)| is_enabled(effective, *transport, name));
    enabled.flat_map(|(transport, name)| of(effective, transport, name)).collect()
}

pub(super) fn is_enabled(effective: &Effective, transport: Transport, name: &str) -> bool {
    effective.boolean(&format!("{}.enabled", table_of(transport, name))).unwrap_or_default()
}

fn of(effective: &Effective, transport: Transport, name: &str) -> Vec<ListenerOptions> {
    let table = table_of(transport, name);
    let key = |name: &str| format!("{table}.{name}");
    let is = |name: &str| effective.boolean(&key(name)).unwrap_or_default();
    let tls = transport.is_encrypted().then(|| TlsOptions {
        certificates: effective.path(&key("certfile")).unwrap_or_default(),
        key: effective.path(&key("keyfile")).unwrap_or_default(),
        others: others(effective, &key("certificates")),
        client_authorities: effective.path(&key("cafile")),
        revoked: effective.path(&key("crlfile")),
        requires_certificate: is("require_certificate"),
        only_tls13: effective.text(&key("tls_version")) == Some("1.3"),
    });
    let websocket = effective.text(&key("path")).map(|path| WebSocketOptions {
        path: path.to_owned(),
        origins: match effective.value(&key("origins")) {
            Some(Value::Texts(origins)) => origins.clone(),
            _ => Vec::new(),
        },
    });
    let proxies = match effective.value(&key("proxies")) {
        Some(Value::Networks(networks)) => networks.clone(),
        _ => Vec::new(),
    };
    let certificate_name = match (is("use_identity_as_username"), is("use_subject_as_username")) {
        (true, _) => CertificateName::Common,
        (_, true) => CertificateName::Subject,
        _ => CertificateName::Unused,
    };
    let one = |bind: Bind| ListenerOptions {
        tls: tls.clone(),
        websocket: websocket.clone(),
        proxies: proxies.clone(),
        certificate_name,
        allow_anonymous: effective.boolean(&key("allow_anonymous")),
        connections_max: effective.number(&key("max_connections")).map_or(usize::MAX, to_usize),
        ..ListenerOptions::on(format!("{}:{name}", transport.name()), bind)
    };
    binds(effective, transport, &key("bind"), &key("mode")).into_iter().map(one).collect()
}

fn binds(effective: &Effective, transport: Transport, bind: &str, mode: &str) -> Vec<Bind> {
    if transport == Transport::Unix {
        let mode = if let Some(Value::Mode(mode)) = effective.value(mode) { *mode } else { 0 };
        return effective.path(bind).map(|path| Bind::Unix { path, mode }).into_iter().collect();
    }
    let of = |address: &Address| match address {
        // A machine without IPv6 has one of the two loopback addresses.
        Address::Local(_) => match address.sockets().as_slice() {
            [v4, v6] => vec![Bind::Tcp(*v4), Bind::IfPresent(*v6)],
            sockets => sockets.iter().copied().map(Bind::Tcp).collect(),
        },
        _ => address.sockets().into_iter().map(Bind::Tcp).collect(),
    };
    effective.addresses(bind).iter().flat_map(of).collect()
}

fn others(effective: &Effective, key: &str) -> Vec<(PathBuf, PathBuf)> {
    if let Some(Value::Certificates(pairs)) = effective.value(key) { pairs.clone() } else { Vec::new() }
}
