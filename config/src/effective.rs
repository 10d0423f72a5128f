//! What counts: for each key the value of the strongest layer, and where that comes from.

use std::{collections::BTreeMap, net::SocketAddr, path::PathBuf, time::Duration};

use crate::{
    layers::{Layers, Shortcuts},
    limits::LISTENERS_MAX,
    problem::{Origin, Problems},
    queues::QueueRule,
    schema::{self, Key, Transport, named_keys},
    value::{Address, Value},
};

/// The listener that `-p` and `--bind` are about.
const DEFAULT_LISTENER: (Transport, &str) = (Transport::Tcp, "default");

/// A key with what counts for it.
#[derive(Debug, Clone)]
pub struct Entry {
    /// The key.
    pub key: &'static Key,
    /// Its value; `None` where it has none.
    pub value: Option<Value>,
    /// Where that comes from.
    pub origin: Origin,
}

/// All keys with what counts for them.
#[derive(Debug, Clone)]
pub struct Effective {
    entries: BTreeMap<String, Entry>,
    /// With the place that told of each first.
    listeners: BTreeMap<(Transport, String), Origin>,
    queues: BTreeMap<String, QueueRule>,
}

impl Effective {
    /// Lays the layers over each other.
    pub(crate) fn new(layers: Layers, problems: &mut Problems) -> Self {
        let mut effective = Self { entries: BTreeMap::new(), listeners: BTreeMap::new(), queues: BTreeMap::new() };
        for (name, key) in named_keys() {
            effective.add(name, key);
        }
        for (transport, name, origin) in layers.listeners {
            effective.add_listener(transport, &name, &origin);
        }
        for setting in layers.settings {
            if let Some((transport, name)) = listener_of(&setting.name) {
                effective.add_listener(transport, name, &setting.origin);
            }
            let entry = Entry { key: setting.key, value: Some(setting.value), origin: setting.origin };
            effective.entries.insert(setting.name, entry);
        }
        if effective.listeners.len() > LISTENERS_MAX {
            let says = format!("there are {} of them; {LISTENERS_MAX} at most", effective.listeners.len());
            problems.fault(&Origin::Default, "listeners", says);
        }
        effective.default_listener(&layers.shortcuts);
        effective.queues.extend(layers.queues.into_iter().map(|rule| (rule.pattern.clone(), rule)));
        effective
    }

    /// The entry of a whole name.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&Entry> {
        self.entries.get(name)
    }

    /// All keys with their whole names, in the order of the table; then those of listeners.
    pub fn entries(&self) -> impl Iterator<Item = (String, &Entry)> {
        let of_listeners = self.listeners.keys().flat_map(|(transport, name)| {
            let table = table_of(*transport, name);
            transport.keys().map(move |key| format!("{table}.{}", key.name))
        });
        let named = named_keys().map(|(name, _)| name);
        named.chain(of_listeners).filter_map(|name| self.entries.get(&name).map(|entry| (name, entry)))
    }

    /// All listeners, those that are not enabled as well.
    pub fn listeners(&self) -> impl Iterator<Item = (Transport, &str)> {
        self.listeners.keys().map(|(transport, name)| (*transport, name.as_str()))
    }

    /// The queues, in the order of their patterns.
    pub fn queues(&self) -> impl Iterator<Item = &QueueRule> {
        self.queues.values()
    }

    /// Where a key's value comes from.
    pub(crate) fn origin(&self, name: &str) -> Origin {
        self.get(name).map_or(Origin::Default, |entry| entry.origin.clone())
    }

    /// Where a listener is told of.
    pub(crate) fn listener_origin(&self, transport: Transport, name: &str) -> Origin {
        self.listeners.get(&(transport, name.to_owned())).cloned().unwrap_or_default()
    }

    pub(crate) fn value(&self, name: &str) -> Option<&Value> {
        self.get(name).and_then(|entry| entry.value.as_ref())
    }

    pub(crate) fn boolean(&self, name: &str) -> Option<bool> {
        if let Some(Value::Boolean(is)) = self.value(name) { Some(*is) } else { None }
    }

    pub(crate) fn number(&self, name: &str) -> Option<u64> {
        if let Some(Value::Integer(number) | Value::Size(number)) = self.value(name) { Some(*number) } else { None }
    }

    pub(crate) fn time(&self, name: &str) -> Option<Duration> {
        if let Some(Value::Time(time)) = self.value(name) { Some(*time) } else { None }
    }

    /// A text, or the word of a choice.
    pub(crate) fn text(&self, name: &str) -> Option<&str> {
        match self.value(name)? {
            Value::Text(text) => Some(text),
            Value::Choice(word) => Some(word),
            _ => None,
        }
    }

    pub(crate) fn path(&self, name: &str) -> Option<PathBuf> {
        if let Some(Value::Path(path)) = self.value(name) { Some(path.clone()) } else { None }
    }

    pub(crate) fn addresses(&self, name: &str) -> &[Address] {
        if let Some(Value::Addresses(addresses)) = self.value(name) { addresses } else { &[] }
    }

    fn add(&mut self, name: String, key: &'static Key) {
        let default = || Entry { key, value: key.default_value(), origin: Origin::Default };
        self.entries.entry(name).or_insert_with(default);
    }

    fn add_listener(&mut self, transport: Transport, name: &str, origin: &Origin) {
        let listener = (transport, name.to_owned());
        if self.listeners.contains_key(&listener) {
            return;
        }
        self.listeners.insert(listener, origin.clone());
        let table = table_of(transport, name);
        for key in transport.keys() {
            self.add(format!("{table}.{}", key.name), key);
        }
    }

    /// Opens `tcp.default` if nothing else is said, and has it listen where `-p` and `--bind` say.
    fn default_listener(&mut self, shortcuts: &Shortcuts) {
        let (transport, name) = DEFAULT_LISTENER;
        let told = shortcuts.bind.as_ref().map(|(_, origin)| origin);
        let told = told.or(shortcuts.port.as_ref().map(|(_, origin)| origin));
        if told.is_some() || self.listeners.is_empty() {
            self.add_listener(transport, name, told.unwrap_or(&Origin::Default));
        }
        let Some(origin) = told else { return };
        let table = table_of(transport, name);
        let bind = format!("{table}.bind");
        let before = self.addresses(&bind).to_vec();
        let port = shortcuts.port.as_ref().map(|(port, _)| *port);
        let addresses: Vec<Address> = match &shortcuts.bind {
            Some((addresses, _)) => {
                let port = port.or(before.first().map(|address| address.port())).unwrap_or_default();
                addresses.iter().map(|address| Address::Socket(SocketAddr::new(*address, port))).collect()
            }
            None => before.iter().map(|address| address.with_port(port.unwrap_or_default())).collect(),
        };
        for (name, value) in [(bind, Value::Addresses(addresses)), (format!("{table}.enabled"), Value::Boolean(true))] {
            if let Some(entry) = self.entries.get_mut(&name).filter(|entry| entry.value.as_ref() != Some(&value)) {
                entry.value = Some(value);
                entry.origin = origin.clone();
            }
        }
    }
}

/// The table of a listener.
pub(crate) fn table_of(transport: Transport, name: &str) -> String {
    format!("listeners.{}.{name}", transport.name())
}

/// The listener that a key is of.
fn listener_of(name: &str) -> Option<(Transport, &str)> {
    let mut parts = name.strip_prefix("listeners.")?.split('.');
    Some((Transport::named(parts.next()?)?, parts.next()?)).filter(|_| schema::find(name).is_some())
}
