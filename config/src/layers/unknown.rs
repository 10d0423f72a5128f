//! What is said of a word that is none of the table's.

use crate::{
    mosquitto,
    nearest::nearest,
    schema::{SECTIONS, Transport, named_keys, section, variable_of},
};

/// What is wrong with a table that is not there.
pub(super) fn table(name: &str) -> String {
    let known = SECTIONS.iter().map(|section| section.name).chain(["listeners", "queues", "include"]);
    let of_another = named_keys().find(|(whole, _)| whole.ends_with(&format!(".{name}")));
    match (nearest(name, known), of_another) {
        (Some(meant), _) => format!("there is no such table; did you mean `{meant}`?"),
        (None, Some((whole, _))) => format!("there is no such key here; did you mean `{whole}`?"),
        (None, None) => {
            // As `port`, which is a listener's.
            if let Some([first, ..]) = mosquitto::keys_of(name) {
                return format!("there is no such key here; did you mean `{first}`?");
            }
            let names: Vec<&str> = SECTIONS.iter().map(|section| section.name).collect();
            format!("there is no such table; there are {}, listeners and queues", names.join(", "))
        }
    }
}

/// What is wrong with a key that its table has not.
pub(super) fn key(table: &str, name: &str) -> String {
    let own = section(table).map_or(&[][..], |section| section.keys);
    if let Some(meant) = nearest(name, own.iter().map(|key| key.name)) {
        return format!("there is no such key; did you mean `{table}.{meant}`?");
    }
    let named: Vec<_> = named_keys().map(|(whole, key)| (whole, key.name)).collect();
    let meant = nearest(name, named.iter().map(|(_, last)| *last));
    let whole = meant.and_then(|meant| named.iter().find(|(_, last)| *last == meant));
    match whole {
        Some((whole, _)) => format!("there is no such key here; did you mean `{whole}`?"),
        None => {
            let names: Vec<&str> = own.iter().map(|key| key.name).collect();
            format!("there is no such key; [{table}] has {}", names.join(", "))
        }
    }
}

/// What is wrong with a kind of listeners that is not there.
pub(super) fn transport(name: &str) -> String {
    match nearest(name, Transport::ALL.iter().map(|transport| transport.name())) {
        Some(meant) => format!("there are no such listeners; did you mean `listeners.{meant}`?"),
        None => {
            "there are no such listeners; there are tcp, ssl (TLS), ws, wss and unix: [listeners.tcp.NAME]".to_owned()
        }
    }
}

/// What is wrong with a key that a listener has not.
pub(super) fn listener_key(transport: Transport, listener: &str, name: &str) -> String {
    let place = |transport: Transport| format!("listeners.{}.{listener}", transport.name());
    if let Some(meant) = nearest(name, transport.keys().map(|key| key.name)) {
        return format!("there is no such key; did you mean `{}.{meant}`?", place(transport));
    }
    let encrypted = if transport == Transport::Ws { Transport::Wss } else { Transport::Ssl };
    for (other, what) in [(encrypted, "TLS"), (Transport::Ws, "WebSocket"), (Transport::Unix, "a Unix socket")] {
        if other.keys().any(|key| key.name == name) {
            let (own, other) = (transport.name(), place(other));
            return format!("a listener of `{own}` has no {name}: it is for {what}, [{other}]");
        }
    }
    let names: Vec<&str> = transport.keys().map(|key| key.name).collect();
    format!("there is no such key; [{}] has {}", place(transport), names.join(", "))
}

/// What is wrong with a variable that is none of the table's.
pub(super) fn variable(name: &str) -> String {
    let known: Vec<String> = named_keys().map(|(whole, _)| variable_of(&whole)).collect();
    let listeners = Transport::ALL.iter().flat_map(|transport| {
        let between = name.strip_prefix("PRIMER_LISTENERS__").and_then(|rest| rest.split("__").nth(1));
        let of = variable_of(&format!("listeners.{}.{}", transport.name(), between.unwrap_or("default")));
        transport.keys().map(move |key| format!("{of}__{}", key.name.to_uppercase()))
    });
    let known: Vec<String> = known.into_iter().chain(listeners).collect();
    match nearest_variable(name, &known) {
        Some(meant) => format!("there is no such variable; did you mean {meant}?"),
        None => "there is no such variable; `primer config explain --all` has the names of all".to_owned(),
    }
}

/// Compares in lower case, in which [`nearest`] compares.
fn nearest_variable<'a>(name: &str, known: &'a [String]) -> Option<&'a String> {
    let lower: Vec<String> = known.iter().map(|name| name.to_lowercase()).collect();
    let meant = nearest(name, lower.iter().map(String::as_str))?;
    known.iter().find(|name| name.eq_ignore_ascii_case(meant))
}
