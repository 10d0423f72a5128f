//! What counts, in the words of the crates that are told it.

mod checks;
mod listeners;

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    time::Duration,
};

use primer_broker::{
    DataOptions, Options,
    journal::{self, Sync},
    options::{Overlap, ShareStrategy},
};
use primer_core::backlog::OverflowPolicy;
use primer_mqtt::codec::packet::QoS;

use crate::{
    Machine,
    effective::{Effective, table_of},
    layers::{self, Flags},
    problem::{Faults, Origin, Problem, Problems},
    value::{Value, quoted},
};

/// The limit of the disk where none is given and half of what is free is more.
const DISK_BYTES: u64 = 4 << 30;

/// Who is let in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Access {
    /// Whether clients without a user name are.
    pub allow_anonymous: bool,
    /// Users and the hashes of their passwords.
    pub password_file: Option<PathBuf>,
    /// Who may publish and subscribe to what.
    pub acl_file: Option<PathBuf>,
    /// Users with their passwords.
    pub users: Vec<(String, String)>,
}

/// What the log is to be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Log {
    /// `error`, `warn`, `info`, `debug` or `trace`.
    pub level: String,
    /// Whether each line is a JSON object.
    pub is_json: bool,
}

/// A configuration that is in order.
#[derive(Debug, Clone)]
pub struct Settings {
    /// The broker; `data.probe` is for the program to set.
    pub broker: Options,
    /// Who is let in.
    pub access: Access,
    /// The folder of the mapping rules.
    pub rules: Option<PathBuf>,
    /// Time that a graceful stop may take.
    pub drain_timeout: Duration,
    /// The log.
    pub log: Log,
    /// What is allowed, and strange.
    pub warnings: Vec<Problem>,
    /// Each key with its value and where that comes from.
    pub effective: Effective,
}

/// A key that two configurations do not agree about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Difference {
    /// The key's whole name; `queues.PATTERN` for a queue, `listeners.KIND.NAME` for a listener that came or went.
    pub name: String,
    /// Whether a running broker takes it.
    pub is_live: bool,
    /// What it was and what it is, as TOML; nothing is shown of secrets.
    pub says: String,
}

/// Reads the whole configuration: the defaults, the file and what it includes, the environment, the command line.
///
/// # Errors
/// All faults, each in one line with its place.
pub fn load(flags: &Flags, environment: &BTreeMap<String, String>, machine: &dyn Machine) -> Result<Settings, Faults> {
    let mut problems = Problems::default();
    let layers = layers::read(flags, environment, machine, &mut problems);
    let effective = Effective::new(layers, &mut problems);
    checks::run(&effective, machine, &mut problems);
    if !problems.faults.is_empty() {
        return Err(Faults(problems.faults));
    }
    Ok(Settings {
        broker: broker(&effective, machine),
        access: access(&effective),
        rules: effective.path("rules.directory"),
        drain_timeout: effective.time("node.drain_timeout").unwrap_or_default(),
        log: Log {
            level: effective.text("log.level").unwrap_or_default().to_owned(),
            is_json: effective.text("log.format") == Some("json"),
        },
        warnings: problems.warnings,
        effective,
    })
}

impl Settings {
    /// How many listeners have an address that is neither the default nor from `-p` and `--bind`.
    #[must_use]
    pub fn listeners_of_file(&self) -> usize {
        let bind = |(transport, name)| self.effective.origin(&format!("{}.bind", table_of(transport, name)));
        self.effective.listeners().map(bind).filter(|origin| matches!(origin, Origin::File { .. })).count()
    }

    /// Whether there is anything that a password is checked against.
    #[must_use]
    pub fn asks_for_passwords(&self) -> bool {
        self.access.password_file.is_some() || !self.access.users.is_empty()
    }

    /// Whether somebody has said what becomes of clients without a user name.
    #[must_use]
    pub fn says_allow_anonymous(&self) -> bool {
        self.effective.origin("access.allow_anonymous") != Origin::Default
    }

    /// Whether nobody has said where to listen.
    #[must_use]
    pub fn has_default_listener(&self) -> bool {
        self.effective.listeners().count() == 1
            && self.effective.origin("listeners.tcp.default.bind") == Origin::Default
    }

    /// What is other in a new configuration. Certificates are read anew at a reload although their paths are the same,
    /// and so no difference.
    #[must_use]
    pub fn differences(&self, new: &Self) -> Vec<Difference> {
        let (old, new) = (&self.effective, &new.effective);
        let mut differences = Vec::new();
        for (name, entry) in new.entries() {
            let Some(before) = old.get(&name) else { continue };
            if before.value != entry.value {
                let shown = |value: &Option<Value>| value.as_ref().map_or("nothing".to_owned(), Value::to_toml);
                let says = format!("{} becomes {}", shown(&before.value), shown(&entry.value));
                differences.push(Difference { name, is_live: entry.key.is_live, says });
            }
        }
        let listeners = [(old, new, "it is taken away"), (new, old, "it is new")];
        for (those, others, says) in listeners {
            for (transport, name) in those.listeners().filter(|it| !others.listeners().any(|other| other == *it)) {
                let name = table_of(transport, name);
                differences.push(Difference { name, is_live: false, says: says.to_owned() });
            }
        }
        let rule = |those: &Effective, pattern: &str| {
            those.queues().find(|rule| rule.pattern == pattern).map(|rule| rule.definition.clone())
        };
        let mut patterns: Vec<&str> = old.queues().chain(new.queues()).map(|rule| rule.pattern.as_str()).collect();
        patterns.sort_unstable();
        patterns.dedup();
        for pattern in patterns {
            // A node takes definitions and forgets none.
            let (is_live, says) = match (rule(old, pattern), rule(new, pattern)) {
                (Some(before), Some(after)) if before == after => continue,
                (Some(_), Some(_)) => (true, "it is changed, for queues that are made from now on"),
                (Some(_), None) => (false, "it is taken away"),
                _ => (true, "it is new"),
            };
            let name = crate::queues::key_of(pattern);
            differences.push(Difference { name, is_live, says: says.to_owned() });
        }
        differences
    }
}

fn access(effective: &Effective) -> Access {
    let users =
        if let Some(Value::Users(users)) = effective.value("access.users") { users.clone() } else { Vec::new() };
    let password_file = effective.path("access.password_file");
    let allow_anonymous = effective.boolean("access.allow_anonymous");
    Access {
        allow_anonymous: allow_anonymous.unwrap_or(users.is_empty() && password_file.is_none()),
        password_file,
        acl_file: effective.path("access.acl_file"),
        users,
    }
}

/// What publishes wait for, by topic.
fn durability(effective: &Effective) -> Vec<(String, Sync)> {
    let lists = [
        ("storage.topics_never", Sync::Never),
        ("storage.topics_group", Sync::Group),
        ("storage.topics_each", Sync::Each),
    ];
    let filters = lists.into_iter().flat_map(|(key, sync)| match effective.value(key) {
        Some(Value::Texts(filters)) => filters.iter().map(|filter| (filter.clone(), sync)).collect(),
        _ => Vec::new(),
    });
    filters.collect()
}

fn broker(effective: &Effective, machine: &dyn Machine) -> Options {
    let number = |name: &str| effective.number(name).unwrap_or_default();
    let is = |name: &str| effective.boolean(name).unwrap_or_default();
    let overflow = effective.text("sessions.overflow").unwrap_or_default();
    let mut options = Options {
        listeners: listeners::options(effective),
        queues: effective.queues().map(|rule| (rule.pattern.clone(), rule.definition.clone())).collect(),
        node_name: effective.text("node.name").unwrap_or_default().to_owned(),
        data: data(effective, machine, overflow == "drop_oldest"),
        durability: durability(effective),
        reveals_denials: is("access.reveal_denials"),
        drops_denied: effective.text("access.denied_publish") == Some("drop"),
        connections_max: to_usize(number("mqtt.max_connections")),
        connection_rate_max: to_u32(number("mqtt.max_connection_rate")),
        connect_timeout: effective.time("mqtt.connect_timeout").unwrap_or_default(),
        publish_rate_max: to_u32(number("mqtt.max_publish_rate")),
        byte_rate_max: to_u32(number("mqtt.max_byte_rate")),
        outbox_bytes_max: to_usize(number("sessions.max_outbox")),
        disconnect_slow_consumers: is("sessions.disconnect_slow_consumers"),
        queue_qos0: is("sessions.queue_qos0"),
        overlap: if is("mqtt.copy_each_overlap") { Overlap::CopyEach } else { Overlap::OneCopy },
        share: match effective.text("sessions.share") {
            Some("sticky") => ShareStrategy::StickyByPublisher,
            _ => ShareStrategy::RoundRobin,
        },
        sys_interval: effective.time("sys.interval").unwrap_or_default(),
        ..Options::default()
    };
    let memory_bytes = effective.number("node.memory_limit").unwrap_or_else(|| machine.memory_bytes() / 2);
    options.node.memory_bytes_max = to_usize(memory_bytes);
    options.queue.messages_max = to_usize(number("sessions.max_queued_messages"));
    options.queue.bytes_max = to_usize(number("sessions.max_queued_bytes"));
    options.queue.overflow =
        if overflow == "drop_oldest" { OverflowPolicy::DropOldest } else { OverflowPolicy::Reject };
    options.buries_overflow = overflow == "dead_letter";
    let protocol = &mut options.protocol;
    protocol.packet_bytes_max = to_u32(number("mqtt.max_packet_size"));
    protocol.receive_maximum = to_u16(number("mqtt.receive_maximum"));
    protocol.inflight_max = to_u16(number("mqtt.max_inflight"));
    protocol.alias_maximum = to_u16(number("mqtt.topic_alias_maximum"));
    protocol.keep_alive_max_s = to_u16(effective.time("mqtt.max_keep_alive").unwrap_or_default().as_secs());
    protocol.session_expiry_max_s =
        effective.time("mqtt.max_session_expiry").map_or(u32::MAX, |time| to_u32(time.as_secs()));
    protocol.qos_max = match number("mqtt.max_qos") {
        0 => QoS::AtMostOnce,
        1 => QoS::AtLeastOnce,
        _ => QoS::ExactlyOnce,
    };
    protocol.retain_available = is("mqtt.retain_available");
    protocol.response_information = effective.text("mqtt.response_information").map(Into::into);
    options
}

fn data(effective: &Effective, machine: &dyn Machine, evicts: bool) -> Option<DataOptions> {
    let directory = effective.path("storage.directory")?;
    let store = journal::Options {
        sync: match effective.text("storage.sync") {
            Some("never") => Sync::Never,
            Some("each") => Sync::Each,
            _ => Sync::Group,
        },
        budget_bytes: effective.number("storage.disk_limit").unwrap_or_else(|| disk_bytes(machine, &directory)),
        gather: effective.time("storage.gather").unwrap_or_default(),
        daily_write_budget_bytes: effective.number("storage.daily_write_budget").unwrap_or_default(),
        evicts,
    };
    Some(DataOptions { directory, store, probe: None })
}

/// The limit of the disk where none is given: 4 GiB, or half of what is free where the folder is, if that is less. What
/// is in the folder counts as free, so that the limit is the same at the next start, and has room in any case: messages
/// do not have to go because somebody else has filled the disk.
#[must_use]
pub fn disk_bytes(machine: &dyn Machine, folder: &Path) -> u64 {
    let used = machine.used_bytes(folder);
    let Some(free) = machine.free_bytes(folder) else { return DISK_BYTES.max(used.saturating_mul(2)) };
    let half = used.saturating_add(free) / 2;
    let kept = used.saturating_add((used / 2).min(free / 4 * 3));
    half.clamp(journal::BUDGET_BYTES_MIN, DISK_BYTES).max(kept)
}

/// The definition of a queue as TOML.
pub(crate) fn definition_toml(rule: &crate::queues::QueueRule) -> String {
    let fields = toml::Value::try_from(&rule.definition).ok();
    let fields = fields.as_ref().and_then(toml::Value::as_table).into_iter().flatten();
    let lines: Vec<String> = fields.map(|(name, value)| format!("{} = {value}", bare(name))).collect();
    lines.join("\n")
}

fn bare(name: &str) -> String {
    if name.chars().all(|c| c.is_ascii_lowercase() || c == '_') { name.to_owned() } else { quoted(name) }
}

// The table of keys bounds the numbers; where a machine holds less, its largest number is as good as no bound.

fn to_usize(number: u64) -> usize {
    usize::try_from(number).unwrap_or(usize::MAX)
}

fn to_u32(number: u64) -> u32 {
    u32::try_from(number).unwrap_or(u32::MAX)
}

fn to_u16(number: u64) -> u16 {
    u16::try_from(number).unwrap_or(u16::MAX)
}

#[cfg(test)]
#[path = "../settings_tests.rs"]
mod tests;
