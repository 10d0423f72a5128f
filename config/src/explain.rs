//! What counts, for people: each key with where its value comes from, and the whole as TOML.

use std::fmt::Write;

use crate::{
    Settings,
    effective::Entry,
    mosquitto,
    nearest::nearest,
    problem::Origin,
    quantity::{size_text, time_text},
    queues::key_of,
    schema::{Default, LISTENER_KEYS, Takes, variable_of},
    settings::definition_toml,
    value::Value,
};

/// Everything about one key; `None` if there is no key or table of this name.
///
/// A table, as `mqtt`, gives a line for each of its keys. A word of mosquitto's leads to the keys that it became, and
/// the last part of a key to all that end so.
#[must_use]
pub fn key(settings: &Settings, name: &str) -> Option<String> {
    if let Some(entry) = settings.effective.get(name) {
        return Some(about(settings, name, entry));
    }
    let below = format!("{name}.");
    let text = lines(settings, |key, _| key.starts_with(&below) || key == name);
    if !text.is_empty() {
        return Some(text);
    }
    if let Some(keys) = mosquitto::keys_of(name).filter(|keys| !keys.is_empty()) {
        let head = format!("mosquitto's {name} is {} here\n", keys.join(" and "));
        let entries =
            keys.iter().filter_map(|key| settings.effective.get(key).map(|entry| about(settings, key, entry)));
        return Some(entries.fold(head, |text, about| text + &about));
    }
    let end = format!(".{name}");
    let ending: Vec<_> = settings.effective.entries().filter(|(whole, _)| whole.ends_with(&end)).collect();
    match ending.as_slice() {
        [] => None,
        [(whole, entry)] => Some(about(settings, whole, entry)),
        _ => Some(lines(settings, |key, _| key.ends_with(&end))),
    }
}

/// What is said of a name that is neither a key nor a table.
#[must_use]
pub fn unknown(settings: &Settings, name: &str) -> String {
    let names: Vec<String> = settings.effective.entries().map(|(name, _)| name).collect();
    if let Some(why) = mosquitto::why_none(name) {
        return format!("it is mosquitto's, and there is no such key: {why}");
    }
    if let Some(listener) = LISTENER_KEYS.iter().find(|it| it.key.name == name) {
        let kinds: Vec<String> =
            listener.of.iter().map(|kind| format!("listeners.{}.NAME.{name}", kind.name())).collect();
        return format!("it is a key of listeners, and there is none that has it: {}", kinds.join(", "));
    }
    let last = name.rsplit('.').next().unwrap_or(name);
    let by_last = names.iter().find(|known| known.ends_with(&format!(".{last}"))).map(String::as_str);
    match nearest(name, names.iter().map(String::as_str)).or(by_last) {
        Some(meant) => format!("there is no such key; did you mean `{meant}`?"),
        None => "there is no such key; `primer config explain --all` has all".to_owned(),
    }
}

/// A line for each key with its value and origin: those that somebody set, or all.
#[must_use]
pub fn overview(settings: &Settings, is_all: bool) -> String {
    lines(settings, |_, origin| is_all || *origin != Origin::Default)
}

/// What counts, as a file that says the same but for passwords.
#[must_use]
pub fn show(settings: &Settings) -> String {
    let mut text = String::new();
    let mut last = String::new();
    for (name, entry) in settings.effective.entries() {
        let (table, key) = name.rsplit_once('.').unwrap_or(("", &name));
        if table != last {
            let gap = if text.is_empty() { "" } else { "\n" };
            let _ = writeln!(text, "{gap}[{table}]");
            table.clone_into(&mut last);
        }
        let _ = match (&entry.value, &entry.key.default) {
            (Some(value), _) => writeln!(text, "{key} = {}", value.to_toml()),
            (None, Default::Nothing { means, .. }) => writeln!(text, "# {key} is not set: {means}"),
            (None, Default::Value(_)) => Ok(()),
        };
    }
    for rule in settings.effective.queues() {
        let _ = writeln!(text, "\n[{}]\n{}", key_of(&rule.pattern), definition_toml(rule));
    }
    text
}

fn lines(settings: &Settings, is_wanted: impl Fn(&str, &Origin) -> bool) -> String {
    let keys = settings.effective.entries().map(|(name, entry)| {
        let value = entry.value.as_ref().map_or_else(|| "-".to_owned(), Value::to_toml);
        (name, value, entry.origin.clone())
    });
    let queues = settings.effective.queues().map(|rule| {
        (key_of(&rule.pattern), format!("{{ {} }}", definition_toml(rule).replace('\n', ", ")), rule.origin.clone())
    });
    let mut text = String::new();
    for (name, value, origin) in keys.chain(queues).filter(|(name, _, origin)| is_wanted(name, origin)) {
        let _ = writeln!(text, "{name} = {value}  # {origin}");
    }
    text
}

fn about(settings: &Settings, name: &str, entry: &Entry) -> String {
    let key = entry.key;
    let mut text = String::new();
    let _ = match &entry.value {
        Some(value) => writeln!(text, "{name} = {}", value.to_toml()),
        None => writeln!(text, "{name} is not set{}", in_force(settings, name)),
    };
    let mut line = |what: &str, says: &str| {
        let _ = writeln!(text, "  {what:<9} {says}");
    };
    line("from", &entry.origin.to_string());
    line(
        "default",
        &match key.default {
            Default::Nothing { means, .. } => means.to_owned(),
            Default::Value(_) => key.default_value().map_or_else(String::new, |value| value.to_toml()),
        },
    );
    line("allowed", &key.kind.allowed());
    if let Some(flag) = key.flag {
        line(
            "option",
            &match flag.takes {
                Takes::Value(value) => format!("--{} {value}", flag.long),
                Takes::Milliseconds => format!("--{} MS", flag.long),
                Takes::Nothing { value, .. } => format!("--{} (for {value})", flag.long),
            },
        );
    }
    let long = variable_of(name);
    let mut variables = key.variable.map_or_else(|| long.clone(), |short| format!("{long}, {short}"));
    if key.is_secret() {
        let _ = write!(variables, "; with _FILE at its end it names a file that has them, one a line");
    }
    line("variable", &variables);
    line("reload", if key.is_live { "takes a new value" } else { "changes nothing: a new value needs a restart" });
    let _ = writeln!(text, "  {}", key.doc);
    text
}

/// What a value that nobody set comes to on this machine.
fn in_force(settings: &Settings, name: &str) -> String {
    let broker = &settings.broker;
    match name {
        "node.memory_limit" => format!("; here it is {}", size_text(broker.node.memory_bytes_max as u64)),
        "storage.disk_limit" => broker
            .data
            .as_ref()
            .map_or_else(String::new, |data| format!("; here it is {}", size_text(data.store.budget_bytes))),
        "access.allow_anonymous" => format!("; here it is {}", settings.access.allow_anonymous),
        "mqtt.max_session_expiry" if broker.protocol.session_expiry_max_s != u32::MAX => {
            let time = std::time::Duration::from_secs(broker.protocol.session_expiry_max_s.into());
            format!("; here it is {}", time_text(time))
        }
        _ => String::new(),
    }
}
