//! What the lines of a mosquitto.conf are in Primer's words.

use std::{collections::BTreeMap, fmt::Write, path::Path};

use toml::de::DeValue;

use super::{
    listener::Listener,
    reader::Line,
    report::{
        Group::{Lost, Other},
        Report,
    },
    words,
};
use crate::{
    kind::Given,
    problem::Origin,
    schema::{self, SECTIONS, Transport},
    value::quoted,
};

/// Room for what a packet has beside its payload, which alone `message_size_limit` bounds.
const BESIDE_PAYLOAD_BYTES: u64 = 64 << 10;

/// Words that a listener may have; before the first listener they are about the one of `port`.
const OF_LISTENERS: &[&str] = &[
    "port",
    "bind_address",
    "protocol",
    "socket_domain",
    "certfile",
    "keyfile",
    "cafile",
    "capath",
    "crlfile",
    "require_certificate",
    "use_identity_as_username",
    "use_subject_as_username",
    "use_username_as_clientid",
    "tls_version",
    "ciphers",
    "ciphers_tls1.3",
    "dhparamfile",
    "tls_engine",
    "tls_engine_kpass_sha1",
    "tls_keyform",
    "websockets_origin",
    "websockets_headers_size",
    "max_connections",
    "max_qos",
    "maximum_qos",
    "max_topic_alias",
    "mount_point",
    "bind_interface",
    "http_dir",
    "psk_hint",
    "accept_protocol_versions",
    "enable_proxy_protocol",
    "proxy_protocol_v2_require_tls",
    "listener_allow_anonymous",
    "disable_client_cert_date_checks",
    "max_topic_alias_broker",
    "listener_auto_id_prefix",
];

/// Words about access, which with `per_listener_settings` are about the listener that they follow.
const OF_ACCESS: &[&str] = &["allow_anonymous", "password_file", "acl_file", "psk_file"];

/// Words whose value stays as it is, and their keys.
const PLAIN: &[(&str, &str)] = &[("max_keepalive", "mqtt.max_keep_alive"), ("sys_interval", "sys.interval")];

/// Words that are true or false, and their keys.
const SWITCHES: &[(&str, &str)] =
    &[("queue_qos0_messages", "sessions.queue_qos0"), ("retain_available", "mqtt.retain_available")];

/// A primer.toml in the making.
#[derive(Debug, Default)]
pub(super) struct Written {
    keys: BTreeMap<String, String>,
    listeners: Vec<WrittenListener>,
}

/// A listener: its kind, its name, its keys.
type WrittenListener = (Transport, String, Vec<(String, String)>);

/// Writes all that has a counterpart, and notes what has none.
pub(super) fn convert(lines: &[Line], report: &mut Report) -> Written {
    let mut written = Written::default();
    for line in lines.iter().filter(|line| !words::is_known(&line.word)) {
        report.fault(&line.origin, line.key(), words::unknown(&line.word));
    }
    let is_own = lines.iter().rev().find(|line| line.word == "per_listener_settings");
    let is_own = is_own.and_then(|line| boolean(line, report)).is_some_and(|value| value == "true");
    let (global, listeners) = parted(lines, is_own);
    bridges(&global, report);
    for line in global.iter().filter(|line| !words::is_of_bridge(&line.word) && words::is_known(&line.word)) {
        whole(line, &mut written, report);
    }
    storage(&global, &mut written, report);
    log_level(&global, &mut written, report);
    let said: Vec<&Listener> = listeners.iter().filter(|listener| listener.is_said()).collect();
    access(&global, &listeners, &said, is_own, &mut written, report);
    shared(&listeners, "max_qos", "mqtt.max_qos", &mut written, report);
    shared(&listeners, "max_topic_alias", "mqtt.topic_alias_maximum", &mut written, report);
    let has_plugin = lines.iter().any(|line| words::is_of_plugin(&line.word));
    for listener in &said {
        listener.write(is_own, has_plugin, &mut written, report);
    }
    // Without one that is told of, what is said of it is about the one on this machine alone.
    for line in listeners.iter().filter(|listener| !listener.is_said()).flat_map(|listener| &listener.lines) {
        match line.word.as_str() {
            "max_qos" | "max_topic_alias" => {}
            "max_connections" if line.value == "-1" => {}
            "max_connections" => written.key("mqtt.max_connections", &line.value, line, report),
            word => match words::reason(word) {
                Some((group, why)) => line.note(group, report, why),
                None => line.note(Lost, report, "it is about a listener, and none is named before it"),
            },
        }
    }
    written
}

/// One note for each bridge, and one for each line that would be a bridge's and has none before it.
fn bridges(global: &[Line], report: &mut Report) {
    let mut is_begun = false;
    for line in global.iter().filter(|line| words::is_of_bridge(&line.word)) {
        let Some((group, why)) = words::reason(&line.word).filter(|_| line.word == "connection" || !is_begun) else {
            continue;
        };
        is_begun |= line.word == "connection";
        let name = if line.word == "connection" { format!("{}: ", line.value) } else { String::new() };
        line.note(group, report, &format!("{name}{why}"));
    }
}

/// What is about the broker, and what about each listener. The first listener is the one of `port`.
fn parted(lines: &[Line], is_own: bool) -> (Vec<Line>, Vec<Listener>) {
    let mut global = Vec::new();
    let mut listeners = vec![Listener::default()];
    for line in lines {
        // What follows a bridge and is none of its words is about the listener before it.
        let is_listener_s =
            OF_LISTENERS.contains(&line.word.as_str()) || is_own && OF_ACCESS.contains(&line.word.as_str());
        let mut line = line.clone();
        if line.word == "maximum_qos" {
            "max_qos".clone_into(&mut line.word);
        }
        if line.word == "listener" {
            listeners.push(Listener { begun: Some(line), lines: Vec::new() });
        } else if let Some(listener) = listeners.last_mut().filter(|_| is_listener_s) {
            listener.lines.push(line);
        } else {
            global.push(line);
        }
    }
    (global, listeners)
}

/// One line about the broker.
fn whole(line: &Line, written: &mut Written, report: &mut Report) {
    if let Some((_, key)) = PLAIN.iter().find(|(word, _)| *word == line.word) {
        return written.key(key, &line.value, line, report);
    }
    if let Some((_, key)) = SWITCHES.iter().find(|(word, _)| *word == line.word) {
        if let Some(value) = boolean(line, report) {
            written.key(key, &value, line, report);
        }
        return;
    }
    let is_zero = line.value == "0";
    match line.word.as_str() {
        // These are read together with others.
        "per_listener_settings"
        | "persistence"
        | "retained_persistence"
        | "persistence_location"
        | "log_type"
        | "allow_anonymous"
        | "password_file"
        | "acl_file" => {}
        "log_dest" if line.value == "stderr" || line.value == "stdout" => {}
        "max_inflight_messages" => {
            let value = if is_zero { "65535" } else { &line.value };
            written.key("mqtt.max_inflight", value, line, report);
            written.key("mqtt.receive_maximum", value, line, report);
        }
        "max_queued_messages" | "max_queued_bytes" if is_zero => {
            line.note(
                Other,
                report,
                "a queue without a bound is not there; Primer's default holds, and node.memory_limit for all together",
            );
        }
        "max_queued_messages" => {
            line.note(
                Other,
                report,
                "when a queue is full mosquitto drops the newest message, Primer the oldest (sessions.overflow)",
            );
            written.key("sessions.max_queued_messages", &line.value, line, report);
        }
        "max_queued_bytes" => written.key("sessions.max_queued_bytes", &line.value, line, report),
        "max_packet_size" if is_zero => written.key("mqtt.max_packet_size", "268435460", line, report),
        "max_packet_size" => written.key("mqtt.max_packet_size", &line.value, line, report),
        "message_size_limit" => payloads(line, written, report),
        "memory_limit" if is_zero => {}
        "memory_limit" => written.key("node.memory_limit", &line.value, line, report),
        "global_max_connections" if line.value == "-1" => {}
        "global_max_connections" => written.key("mqtt.max_connections", &line.value, line, report),
        "persistent_client_expiration" => match expiry(&line.value) {
            Some(value) => written.key("mqtt.max_session_expiry", &quoted(&value), line, report),
            None => {
                let says = format!("`{}` is no time: a number and h, d, w, m or y", line.value);
                report.fault(&line.origin, line.key(), says);
            }
        },
        "allow_zero_length_clientid" if boolean(line, report).as_deref() == Some("false") => {
            line.note(Lost, report, "a client without an identifier gets one");
        }
        // Losing it would let clients in that mosquitto keeps out.
        "clientid_prefixes" => {
            let says = "it keeps clients out, and has no counterpart: an ACL (%c in a `pattern`) or a rule may do; \
                        take the line out of a copy, and import that";
            report.fault(&line.origin, line.key(), says);
        }
        word => {
            if let Some((group, why)) = words::reason(word) {
                line.note(group, report, why);
            }
        }
    }
}

/// A bound of payloads becomes one of packets, unless there is one.
fn payloads(line: &Line, written: &mut Written, report: &mut Report) {
    let Ok(bytes) = line.value.parse::<u64>() else {
        return report.fault(&line.origin, line.key(), format!("`{}` is no number of bytes", line.value));
    };
    if bytes > 0 && written.get("mqtt.max_packet_size").is_none() {
        line.note(Other, report, "it bounds payloads; mqtt.max_packet_size bounds packets, and gets 64 KiB more");
        let bytes = bytes.saturating_add(BESIDE_PAYLOAD_BYTES).min(268_435_460);
        written.key("mqtt.max_packet_size", &bytes.to_string(), line, report);
    }
}

fn storage(global: &[Line], written: &mut Written, report: &mut Report) {
    let last = |words: &[&str]| global.iter().rev().find(|line| words.contains(&line.word.as_str()));
    let Some(line) = last(&["persistence", "retained_persistence"]) else {
        if let Some(line) = last(&["persistence_location"]) {
            report.other(&line.origin, line.key(), "it says where, but `persistence true` does not say that");
        }
        return;
    };
    if boolean(line, report).as_deref() != Some("true") {
        return;
    }
    let location = last(&["persistence_location"]).map_or("", |line| line.value.as_str());
    let directory = Path::new(location).join("primer");
    written.key("storage.directory", &quoted(&directory.to_string_lossy()), line, report);
    let says = "what mosquitto.db has is not taken over; Primer's files get a folder of their own";
    report.lost(&line.origin, line.key(), says);
}

fn log_level(global: &[Line], written: &mut Written, report: &mut Report) {
    const LEVELS: [&str; 4] = ["error", "warn", "info", "debug"];
    let mut loudest = None;
    for line in global.iter().filter(|line| line.word == "log_type") {
        let level = match line.value.as_str() {
            "error" | "none" => 0,
            "warning" => 1,
            "notice" | "information" | "subscribe" | "unsubscribe" => 2,
            "debug" | "all" => 3,
            other => {
                report.other(&line.origin, line.key(), format!("{other} is not told apart; see log.level"));
                continue;
            }
        };
        if loudest.is_none_or(|(loudest, _)| level > loudest) {
            loudest = Some((level, line));
        }
    }
    let Some((level, line)) = loudest else { return };
    // Quieter than that is silence: what people look for in the log is all at this level.
    let level = if level < 2 && line.value != "none" {
        line.note(Other, report, "clients that are refused, and where it listens, are told at level info: it is that");
        2
    } else {
        level
    };
    if let Some(level) = LEVELS.get(level) {
        written.key("log.level", &quoted(level), line, report);
    }
}

/// Who is let in. Primer has one file of passwords and one of rights for all listeners.
fn access(
    global: &[Line],
    listeners: &[Listener],
    said: &[&Listener],
    is_own: bool,
    written: &mut Written,
    report: &mut Report,
) {
    for (word, key) in [("password_file", "access.password_file"), ("acl_file", "access.acl_file")] {
        let of_listeners = listeners.iter().filter_map(|listener| listener.get(word));
        let lines: Vec<&Line> = global.iter().filter(|line| line.word == word).chain(of_listeners).collect();
        let Some(first) = (if is_own { lines.first() } else { lines.last() }) else { continue };
        if let Some(value) = path(first, report) {
            written.key(key, &value, first, report);
        }
        if is_own && said.len() > 1 {
            let says = format!("{key} is for all listeners, and not for this one alone");
            report.other(&first.origin, first.key(), says);
        }
        for other in lines.iter().filter(|other| !is_own && other.value != first.value) {
            let says = format!("one file is for all listeners: this one is not read, {} is", first.value);
            report.lost(&other.origin, other.key(), says);
        }
    }
    if written.keys.contains_key("access.acl_file") {
        // Clients that were written for mosquitto know no other answer before MQTT 5.0.
        written.keys.insert("access.denied_publish".to_owned(), quoted("drop"));
    }
    let anonymous = global.iter().rev().find(|line| line.word == "allow_anonymous");
    if let Some(plugin) = global.iter().find(|line| words::is_of_plugin(&line.word)) {
        // The plugin decided who is let in: without it nobody is who names no user.
        written.keys.insert("access.allow_anonymous".to_owned(), "false".to_owned());
        let origin = anonymous.filter(|line| line.value != "false").map_or(&plugin.origin, |line| &line.origin);
        let says = "it is false, as a plugin decided who is let in; what the plugin refused clients is not refused \
                    any more: write an acl_file";
        return report.lost(origin, "allow_anonymous", says);
    }
    match anonymous {
        Some(line) => {
            if let Some(value) = boolean(line, report) {
                written.key("access.allow_anonymous", &value, line, report);
            }
        }
        None if !said.is_empty() && !written.keys.contains_key("access.password_file") => {
            written.keys.insert("access.allow_anonymous".to_owned(), "false".to_owned());
            let are_all_said = said.iter().all(|it| {
                it.get("allow_anonymous")
                    .or(it.get("listener_allow_anonymous"))
                    .is_some_and(|line| line.value == "true")
            });
            if !are_all_said {
                let origin = said.first().and_then(|it| it.begun.as_ref()).map(|line| line.origin.clone());
                let says = "mosquitto lets nobody in without a user name unless it says so, and no users are named";
                report.other(&origin.unwrap_or_default(), "allow_anonymous", says);
            }
        }
        None => {}
    }
}

/// What mosquitto has for each listener, and Primer for the broker: the least of all.
fn shared(listeners: &[Listener], word: &str, key: &str, written: &mut Written, report: &mut Report) {
    let lines: Vec<&Line> = listeners.iter().filter_map(|listener| listener.get(word)).collect();
    let number = |line: &&&Line| line.value.parse::<u64>().unwrap_or(u64::MAX);
    if let Some(least) = lines.iter().min_by_key(number) {
        written.key(key, &least.value, least, report);
        let said = listeners.iter().filter(|listener| listener.is_said()).count();
        if said > 1 {
            report.other(&least.origin, least.key(), format!("{key} is for all listeners, and not for this one alone"));
        }
    }
}

impl Written {
    /// Writes a key of the broker, if its value is allowed.
    fn key(&mut self, name: &str, value: &str, line: &Line, report: &mut Report) {
        if is_allowed(name, value, line.key(), &line.origin, report) {
            self.keys.insert(name.to_owned(), value.to_owned());
        }
    }

    /// A listener, by the name that it gets.
    pub(super) fn listener(&mut self, transport: Transport, base: &str) -> String {
        let is_taken = |name: &str| self.listeners.iter().any(|(other, taken, _)| *other == transport && taken == name);
        let numbered = (2..).map(|number| format!("{base}-{number}"));
        let name = std::iter::once(base.to_owned()).chain(numbered).find(|name| !is_taken(name)).unwrap_or_default();
        self.listeners.push((transport, name.clone(), Vec::new()));
        name
    }

    /// Writes a key of a listener, if its value is allowed.
    pub(super) fn of_listener(
        &mut self,
        transport: Transport,
        name: &str,
        key: &str,
        value: &str,
        origin: &Origin,
        report: &mut Report,
    ) {
        let whole = format!("listeners.{}.{name}.{key}", transport.name());
        if !is_allowed(&whole, value, key, origin, report) {
            return;
        }
        let keys = self.listeners.iter_mut().find(|(other, taken, _)| *other == transport && taken == name);
        if let Some((_, _, keys)) = keys {
            // Of a word that is said twice the last counts.
            keys.retain(|(there, _)| there != key);
            keys.push((key.to_owned(), value.to_owned()));
        }
    }

    /// The file that is read for all listeners, as TOML.
    pub(super) fn get(&self, key: &str) -> Option<&str> {
        self.keys.get(key).map(String::as_str)
    }

    pub(super) fn to_toml(&self) -> String {
        let mut text = String::new();
        for section in SECTIONS {
            let keys: Vec<_> = section
                .keys
                .iter()
                .filter_map(|key| self.keys.get(&format!("{}.{}", section.name, key.name)).map(|it| (key.name, it)))
                .collect();
            if !keys.is_empty() {
                let _ = writeln!(text, "\n[{}]", section.name);
            }
            for (name, value) in keys {
                let _ = writeln!(text, "{name} = {value}");
            }
        }
        for (transport, name, keys) in &self.listeners {
            let _ = writeln!(text, "\n[listeners.{}.{name}]", transport.name());
            for (name, value) in keys {
                let _ = writeln!(text, "{name} = {value}");
            }
        }
        text
    }
}

/// Whether a key takes a value, given as TOML.
fn is_allowed(name: &str, value: &str, word: &str, origin: &Origin, report: &mut Report) -> bool {
    let Some(key) = schema::find(name) else { return false };
    let read = match DeValue::parse(value) {
        Ok(value) => key.kind.read(Given::Toml(value.get_ref()), Path::new("")).map(drop),
        Err(_) => Err(format!("`{value}` is not {}", key.kind.allowed())),
    };
    read.map_err(|says| report.fault(origin, word, says)).is_ok()
}

/// `true` or `false`, or a fault.
pub(super) fn boolean(line: &Line, report: &mut Report) -> Option<String> {
    let value = line.value.to_ascii_lowercase();
    match value.as_str() {
        "true" | "1" => return Some("true".to_owned()),
        "false" | "0" => return Some("false".to_owned()),
        _ => {}
    }
    report.fault(&line.origin, line.key(), format!("`{}` is not true or false", line.value));
    None
}

/// A path; mosquitto takes a relative one from where it was started, Primer from the folder of the file.
pub(super) fn path(line: &Line, report: &mut Report) -> Option<String> {
    if Path::new(&line.value).is_relative() {
        report.other(&line.origin, line.key(), "a relative path is taken from the folder of the primer.toml");
    }
    Some(quoted(&line.value))
}

/// `14d` and the like: hours, days, weeks, months, years.
fn expiry(text: &str) -> Option<String> {
    let unit = text.chars().last()?;
    let number: u64 = text.strip_suffix(unit)?.trim().parse().ok()?;
    let (factor, unit) = match unit {
        'h' => (1, 'h'),
        'd' => (1, 'd'),
        'w' => (7, 'd'),
        'm' => (30, 'd'),
        'y' => (365, 'd'),
        _ => return None,
    };
    Some(format!("{}{unit}", number.checked_mul(factor)?))
}
