//! The table of keys: what there is to be set, what each allows, and what it is if nobody says anything.
//!
//! Everything else comes from it: what is read and refused, the options of `primer serve`, the names of variables,
//! `primer config explain`, and config/primer.toml.

mod keys;
mod listeners;

use crate::{
    kind::{Given, Kind},
    value::Value,
};

pub use self::{
    keys::SECTIONS,
    listeners::{LISTENER_KEYS, ListenerKey, Transport},
};

/// What every variable of the environment begins with.
pub(crate) const VARIABLE_PREFIX: &str = "PRIMER_";

/// A key.
#[derive(Debug, Clone, Copy)]
pub struct Key {
    /// Its name in its table.
    pub name: &'static str,
    /// What it allows.
    pub kind: Kind,
    /// What it is if nobody says anything.
    pub default: Default,
    /// What it is for, in one or two sentences.
    pub doc: &'static str,
    /// The option of `primer serve` that sets it.
    pub flag: Option<Flag>,
    /// A short name of its variable, beside the long one.
    pub variable: Option<&'static str>,
    /// Whether a running broker takes a new value at a reload (SIGHUP).
    pub is_live: bool,
}

/// What a key is if nobody says anything.
#[derive(Debug, Clone, Copy)]
pub enum Default {
    /// This value, as a variable would have it.
    Value(&'static str),
    /// No value.
    Nothing {
        /// What that means.
        means: &'static str,
        /// A value, as TOML, to be shown.
        example: &'static str,
    },
}

/// An option of `primer serve`.
#[derive(Debug, Clone, Copy)]
pub struct Flag {
    /// Its name without the dashes.
    pub long: &'static str,
    /// Its letter.
    pub short: Option<char>,
    /// What comes after it.
    pub takes: Takes,
}

/// What comes after an option.
#[derive(Debug, Clone, Copy)]
pub enum Takes {
    /// A value, called so in the help.
    Value(&'static str),
    /// A number of milliseconds, or a time with its unit.
    Milliseconds,
    /// Nothing: the option stands for this value.
    Nothing {
        /// The value, as a variable would have it.
        value: &'static str,
        /// What the option does, where the key's own sentence does not say it.
        doc: Option<&'static str>,
    },
}

/// A table of the file.
#[derive(Debug)]
pub struct Section {
    /// Its name.
    pub name: &'static str,
    /// What it is about.
    pub doc: &'static str,
    /// Its keys.
    pub keys: &'static [Key],
}

impl Key {
    const fn new(name: &'static str, kind: Kind, default: Default, doc: &'static str) -> Self {
        Self { name, kind, default, doc, flag: None, variable: None, is_live: false }
    }

    /// Set by `--LONG NAME`.
    const fn flag(mut self, long: &'static str, name: &'static str) -> Self {
        self.flag = Some(Flag { long, short: None, takes: Takes::Value(name) });
        self
    }

    /// Set to `true` by an option that takes no value.
    const fn switch(mut self, long: &'static str) -> Self {
        self.flag = Some(Flag { long, short: None, takes: Takes::Nothing { value: "true", doc: None } });
        self
    }

    /// The same for another value than `true`.
    const fn switch_to(
        mut self,
        value: &'static str,
        long: &'static str,
        short: Option<char>,
        doc: &'static str,
    ) -> Self {
        self.flag = Some(Flag { long, short, takes: Takes::Nothing { value, doc: Some(doc) } });
        self
    }

    const fn milliseconds(mut self, long: &'static str) -> Self {
        self.flag = Some(Flag { long, short: None, takes: Takes::Milliseconds });
        self
    }

    const fn variable(mut self, name: &'static str) -> Self {
        self.variable = Some(name);
        self
    }

    const fn live(mut self) -> Self {
        self.is_live = true;
        self
    }

    /// Whether its value is not to be shown, and may come from a file that a variable names.
    #[must_use]
    pub const fn is_secret(&self) -> bool {
        matches!(self.kind, Kind::Users)
    }

    /// Its value if nobody says anything.
    #[must_use]
    pub fn default_value(&self) -> Option<Value> {
        match self.default {
            Default::Value(text) => self.kind.read(Given::Word(text), "".as_ref()).ok(),
            Default::Nothing { .. } => None,
        }
    }
}

/// The key of a whole name, `mqtt.max_qos` or `listeners.ssl.NAME.certfile`.
#[must_use]
pub fn find(name: &str) -> Option<&'static Key> {
    let (table, last) = name.rsplit_once('.')?;
    if let Some(section) = section(table) {
        return section.keys.iter().find(|key| key.name == last);
    }
    let (transport, listener) = table.strip_prefix("listeners.")?.split_once('.')?;
    let transport = Transport::named(transport).filter(|_| is_listener_name(listener))?;
    transport.keys().find(|key| key.name == last)
}

/// The table of this name.
pub(crate) fn section(name: &str) -> Option<&'static Section> {
    SECTIONS.iter().find(|section| section.name == name)
}

/// Whole names of all keys but those of listeners, with their keys.
pub(crate) fn named_keys() -> impl Iterator<Item = (String, &'static Key)> {
    SECTIONS.iter().flat_map(|section| section.keys.iter().map(|key| (format!("{}.{}", section.name, key.name), key)))
}

/// The variable of a whole name: `PRIMER_MQTT__MAX_QOS`.
#[must_use]
pub fn variable_of(name: &str) -> String {
    format!("{VARIABLE_PREFIX}{}", name.replace('.', "__").to_uppercase())
}

/// Whether a listener may be called so. A name is part of keys and of variables.
pub(crate) fn is_listener_name(name: &str) -> bool {
    !name.is_empty()
        && name.len() <= 64
        && !name.contains("__")
        && name.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || matches!(c, '-' | '_'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_default_and_each_example_is_allowed() {
        let listeners = LISTENER_KEYS.iter().map(|it| (format!("listeners.x.{}", it.key.name), &it.key));
        for (name, key) in named_keys().chain(listeners) {
            match key.default {
                Default::Value(text) => {
                    key.kind.read(Given::Word(text), "".as_ref()).unwrap_or_else(|why| panic!("{name}: {why}"));
                }
                Default::Nothing { example, .. } => {
                    let value = toml::de::DeValue::parse(example).unwrap_or_else(|why| panic!("{name}: {why}"));
                    let read = key.kind.read(Given::Toml(value.get_ref()), "".as_ref());
                    read.unwrap_or_else(|why| panic!("{name}: {why}"));
                }
            }
            assert!(key.doc.ends_with('.') && key.doc.len() <= 240, "{name}: {}", key.doc);
        }
    }

    #[test]
    fn a_key_is_found_by_its_whole_name() {
        assert_eq!(find("mqtt.max_qos").map(|key| key.name), Some("max_qos"));
        assert_eq!(find("listeners.ssl.main.certfile").map(|key| key.name), Some("certfile"));
        for name in ["mqtt", "mqtt.max", "listeners.tcp.main.certfile", "listeners.udp.main.bind", "listeners.tcp.bind"]
        {
            assert!(find(name).is_none(), "{name}");
        }
        assert_eq!(variable_of("listeners.tcp.default.bind"), "PRIMER_LISTENERS__TCP__DEFAULT__BIND");
    }

    #[test]
    fn options_and_variables_are_there_once() {
        let mut flags: Vec<_> = named_keys().filter_map(|(_, key)| key.flag.map(|flag| flag.long)).collect();
        let mut variables: Vec<_> = named_keys().map(|(name, _)| variable_of(&name)).collect();
        variables.extend(named_keys().filter_map(|(_, key)| key.variable.map(str::to_owned)));
        let count = (flags.len(), variables.len());
        flags.sort_unstable();
        flags.dedup();
        variables.sort_unstable();
        variables.dedup();
        assert_eq!((flags.len(), variables.len()), count);
    }
}
