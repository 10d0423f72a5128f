//! What no key can tell alone: values that do not go together, and files that are not there.

use std::net::SocketAddr;

use super::listeners::is_enabled;
use crate::{
    Machine,
    effective::{Effective, table_of},
    layers::check_paths,
    problem::{Origin, Problems},
    schema::Transport,
    value::{Address, Value},
};

pub(super) fn run(effective: &Effective, machine: &dyn Machine, problems: &mut Problems) {
    let enabled: Vec<(Transport, String)> = effective
        .listeners()
        .filter(|(transport, name)| is_enabled(effective, *transport, name))
        .map(|(transport, name)| (transport, name.to_owned()))
        .collect();
    let all: Vec<_> = effective.entries().collect();
    let is_off = |name: &str| {
        name.starts_with("listeners.")
            && !enabled.iter().any(|(transport, listener)| {
                name.strip_prefix(&table_of(*transport, listener)).is_some_and(|rest| rest.starts_with('.'))
            })
    };
    let values = all
        .iter()
        .filter(|(name, _)| !is_off(name))
        .filter_map(|(name, entry)| entry.value.as_ref().map(|value| (name.as_str(), entry.key, value, &entry.origin)));
    check_paths(values, machine, problems);
    for (transport, name) in &enabled {
        check_listener(effective, *transport, name, problems);
    }
    if enabled.is_empty() && !problems.has("listeners") {
        let says = "no listener is enabled: nobody could connect; leave `enabled` out of one of them";
        problems.fault(&Origin::Default, "listeners", says);
    }
    check_addresses(effective, &enabled, problems);
    check_access(effective, &enabled, problems);
    let limit = effective.origin("storage.disk_limit");
    if limit != Origin::Default && effective.path("storage.directory").is_none() && !problems.has("storage") {
        let says = "it says how much the data directory may take: name that with storage.directory, or --data DIR";
        problems.fault(&limit, "storage.disk_limit", says);
    }
}

fn check_listener(effective: &Effective, transport: Transport, name: &str, problems: &mut Problems) {
    let table = table_of(transport, name);
    let key = |name: &str| format!("{table}.{name}");
    let is_set = |name: &str| effective.value(&key(name)).is_some();
    let is_true = |name: &str| effective.boolean(&key(name)) == Some(true);
    let place = effective.listener_origin(transport, name);
    let mut needs = |wanting: Option<&str>, wanted: &str, says: &str| {
        let place = wanting.map_or_else(|| place.clone(), |wanting| effective.origin(&key(wanting)));
        if !is_set(wanted) && !problems.has(&key(wanted)) {
            problems.fault(&place, key(wanting.unwrap_or(wanted)), says);
        }
    };
    if transport == Transport::Unix {
        needs(None, "bind", "it is missing: the path of the socket");
    }
    if !transport.is_encrypted() {
        return;
    }
    needs(None, "certfile", "it is missing: a listener with TLS has a certificate, certfile = \"FILE\"");
    needs(None, "keyfile", "it is missing: a listener with TLS has its certificate's key, keyfile = \"FILE\"");
    for wanting in ["require_certificate", "use_identity_as_username", "use_subject_as_username"] {
        if is_true(wanting) {
            let says = "it needs the authorities that clients' certificates are from: cafile = \"FILE\"";
            needs(Some(wanting), "cafile", says);
        }
    }
    if is_set("crlfile") {
        needs(Some("crlfile"), "cafile", "it needs the authorities that the list is from: cafile = \"FILE\"");
    }
    if is_true("use_identity_as_username") && is_true("use_subject_as_username") {
        let says = "a client has one user name: leave out this one, or use_identity_as_username";
        problems.fault(&effective.origin(&key("use_subject_as_username")), key("use_subject_as_username"), says);
    }
}

/// Two listeners on one address: the system would refuse the second.
fn check_addresses(effective: &Effective, enabled: &[(Transport, String)], problems: &mut Problems) {
    let mut taken: Vec<(SocketAddr, String)> = Vec::new();
    let mut paths = Vec::new();
    for (transport, name) in enabled {
        let key = format!("{}.bind", table_of(*transport, name));
        let origin = effective.origin(&key);
        let sockets = effective.addresses(&key).iter().flat_map(|address| address.sockets());
        let mut clashes = Vec::new();
        for socket in sockets {
            if let Some((other, whose)) = taken.iter().find(|(other, _)| is_same(*other, socket)) {
                clashes.push(format!("{socket} is taken by {whose}, which listens on {other}: choose another port"));
            }
            taken.push((socket, key.clone()));
        }
        if let Some(path) = effective.path(&key) {
            if let Some((_, whose)) = paths.iter().find(|(other, _)| *other == path) {
                clashes.push(format!("{} is taken by {whose}: choose another path", path.display()));
            }
            paths.push((path, key.clone()));
        }
        // One is enough: localhost would clash twice.
        if let Some(says) = clashes.into_iter().next() {
            problems.fault(&origin, &key, says);
        }
    }
}

/// Whether the system gives only one of two sockets. `[::]` is IPv4 as well.
fn is_same(one: SocketAddr, other: SocketAddr) -> bool {
    let covers = |all: SocketAddr, one: SocketAddr| {
        all.ip().is_unspecified() && (all.is_ipv6() || one.is_ipv4()) || all.ip() == one.ip()
    };
    one.port() == other.port() && one.port() != 0 && (covers(one, other) || covers(other, one))
}

/// Nobody can get in, or everybody can.
fn check_access(effective: &Effective, enabled: &[(Transport, String)], problems: &mut Problems) {
    if problems.has("access") {
        return;
    }
    let has_users = matches!(effective.value("access.users"), Some(Value::Users(users)) if !users.is_empty());
    let knows_users = has_users || effective.path("access.password_file").is_some();
    let in_general = effective.boolean("access.allow_anonymous");
    let by_default = in_general.unwrap_or(!knows_users);
    let of = |(transport, name): &(Transport, String), key: &str| {
        effective.boolean(&format!("{}.{key}", table_of(*transport, name)))
    };
    let lets_anonymous = |it: &(Transport, String)| of(it, "allow_anonymous").unwrap_or(by_default);
    let names_by_certificate = |it: &(Transport, String)| {
        of(it, "use_identity_as_username") == Some(true) || of(it, "use_subject_as_username") == Some(true)
    };
    for it in enabled.iter().filter(|it| !knows_users && !lets_anonymous(it) && !names_by_certificate(it)) {
        let own = format!("{}.allow_anonymous", table_of(it.0, &it.1));
        let key = if of(it, "allow_anonymous").is_some() { own.as_str() } else { "access.allow_anonymous" };
        let says = "nobody could connect: there are no users; say who may with access.password_file or access.users";
        if !problems.has(key) {
            problems.fault(&effective.origin(key), key, says);
        }
    }
    for it in enabled.iter().filter(|it| lets_anonymous(it) && of(it, "require_certificate") != Some(true)) {
        let key = format!("{}.bind", table_of(it.0, &it.1));
        if effective.addresses(&key).iter().any(|address: &Address| address.is_reachable()) {
            let says = "everybody who reaches it is let in, without a password; access.password_file, or \
                        allow_anonymous = false, changes that";
            problems.warn(&effective.origin(&key), &key, says);
        }
    }
}
