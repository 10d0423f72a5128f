//! One file of TOML: its values, each with its line.

use std::{
    ops::Range,
    path::{Path, PathBuf},
};

use toml::{
    Spanned,
    de::{DeTable, DeValue},
};

use super::{Setting, setting, unknown};
use crate::{
    kind::Given,
    mosquitto,
    problem::{Origin, Problems},
    queues::{self, QueueRule},
    schema::{self, Transport},
};

/// What a file says.
#[derive(Debug, Default)]
pub(super) struct FileLayer {
    pub(super) settings: Vec<Setting>,
    pub(super) listeners: Vec<(Transport, String, Origin)>,
    pub(super) queues: Vec<QueueRule>,
    pub(super) include: Option<(PathBuf, Origin)>,
}

/// A file while it is read.
struct Reader<'a> {
    file: &'a Path,
    text: &'a str,
    is_first: bool,
    problems: &'a mut Problems,
    layer: FileLayer,
}

/// Reads a file. Only the first one may include others.
pub(super) fn read(file: &Path, text: &str, is_first: bool, problems: &mut Problems) -> FileLayer {
    let mut reader = Reader { file, text, is_first, problems, layer: FileLayer::default() };
    if let Some(table) = reader.parse() {
        reader.root(&table);
    }
    reader.layer
}

/// Reads a file that has queues alone.
pub(super) fn queues_of(file: &Path, text: &str, problems: &mut Problems) -> Vec<QueueRule> {
    let mut reader = Reader { file, text, is_first: false, problems, layer: FileLayer::default() };
    let Some(table) = reader.parse() else { return Vec::new() };
    for (key, value) in &table {
        if key.get_ref() == "queues" {
            reader.queues(value);
        } else {
            let says = "a file of queues has `queues` alone: [queues.NAME]; all else is for --config";
            reader.fault(key.span(), key.get_ref(), says);
        }
    }
    reader.layer.queues
}

/// The line of a place in a text, from 1.
pub(crate) fn line_of(text: &str, at: usize) -> usize {
    1 + text.as_bytes().iter().take(at).filter(|byte| **byte == b'\n').count()
}

/// A line up to its first text, which may be a password.
fn without_texts(line: &str) -> String {
    let end = if line.starts_with("users") { line.find('=').map(|at| at + 1) } else { line.find(['"', '\'']) };
    end.and_then(|end| line.get(..end)).map_or_else(|| line.to_owned(), |begin| format!("{begin}..."))
}

impl<'a> Reader<'a> {
    /// Parses the text, or tells all that keeps it from being TOML.
    fn parse(&mut self) -> Option<DeTable<'a>> {
        let (table, errors) = DeTable::parse_recoverable(self.text);
        if errors.is_empty() {
            return Some(table.into_inner());
        }
        if let Some(line) = mosquitto::first_line_of_one(self.text) {
            let file = self.file.display();
            let says = format!("this looks like a mosquitto.conf: `primer import {file}` makes a configuration of it");
            self.problems.fault(&Origin::file(self.file, line), "", says);
            return None;
        }
        for error in errors {
            let at = error.span().unwrap_or_default().start;
            let start = self.text.get(..at).and_then(|before| before.rfind('\n')).map_or(0, |newline| newline + 1);
            let column = 1 + self.text.get(start..at).map_or(0, |before| before.chars().count());
            let line = self.text.get(start..).and_then(|rest| rest.lines().next()).unwrap_or_default().trim();
            let message = error.message().trim().replace('\n', ", ");
            self.fault(at..at, "", format!("column {column}: {message}: `{}`", without_texts(line)));
        }
        None
    }

    fn root(&mut self, table: &DeTable<'_>) {
        for (key, value) in table {
            let name = key.get_ref().as_ref();
            match name {
                "include" => self.include(key, value),
                "queues" => self.queues(value),
                "listeners" => self.listeners(key, value),
                _ if schema::section(name).is_some() => self.section(name, key, value),
                _ => self.fault(key.span(), name, unknown::table(name)),
            }
        }
    }

    fn section(&mut self, table: &str, at: &Spanned<std::borrow::Cow<'_, str>>, value: &Spanned<DeValue<'_>>) {
        let Some(values) = value.get_ref().as_table() else {
            return self.fault(at.span(), table, format!("it is a table: [{table}]"));
        };
        for (key, value) in values {
            let name = key.get_ref().as_ref();
            match schema::find(&format!("{table}.{name}")) {
                Some(found) => self.value(&format!("{table}.{name}"), found, key.span(), value.get_ref()),
                None => self.fault(key.span(), &format!("{table}.{name}"), unknown::key(table, name)),
            }
        }
    }

    fn listeners(&mut self, at: &Spanned<std::borrow::Cow<'_, str>>, value: &Spanned<DeValue<'_>>) {
        let Some(transports) = value.get_ref().as_table() else {
            return self.fault(at.span(), "listeners", "it is a table: [listeners.tcp.NAME]");
        };
        for (key, value) in transports {
            let name = key.get_ref().as_ref();
            let Some(transport) = Transport::named(name) else {
                self.fault(key.span(), &format!("listeners.{name}"), unknown::transport(name));
                continue;
            };
            let Some(listeners) = value.get_ref().as_table() else {
                self.fault(key.span(), &format!("listeners.{name}"), format!("it is a table: [listeners.{name}.NAME]"));
                continue;
            };
            for (key, value) in listeners {
                self.listener(transport, key, value);
            }
        }
    }

    fn listener(
        &mut self,
        transport: Transport,
        at: &Spanned<std::borrow::Cow<'_, str>>,
        value: &Spanned<DeValue<'_>>,
    ) {
        let (kind, listener) = (transport.name(), at.get_ref().as_ref());
        let table = format!("listeners.{kind}.{listener}");
        let Some(values) = value.get_ref().as_table() else {
            let says = if transport.keys().any(|key| key.name == listener) {
                format!("a listener has a name: write it under [listeners.{kind}.default]")
            } else {
                format!("it is a table: [{table}]")
            };
            return self.fault(at.span(), &table, says);
        };
        if !schema::is_listener_name(listener) {
            return self.fault(at.span(), &table, "the name of a listener has small letters, digits, - and _ alone");
        }
        // A listener with nothing but its name is one.
        let origin = self.origin(at.span().start);
        self.layer.listeners.push((transport, listener.to_owned(), origin));
        for (key, value) in values {
            let name = key.get_ref().as_ref();
            match schema::find(&format!("{table}.{name}")) {
                Some(found) => self.value(&format!("{table}.{name}"), found, key.span(), value.get_ref()),
                None => {
                    let says = unknown::listener_key(transport, listener, name);
                    self.fault(key.span(), &format!("{table}.{name}"), says);
                }
            }
        }
    }

    fn value(&mut self, name: &str, key: &'static schema::Key, at: Range<usize>, value: &DeValue<'_>) {
        let origin = self.origin(at.start);
        let folder = self.file.parent().unwrap_or(Path::new(""));
        let read = setting(name, key, Given::Toml(value), folder, origin, self.problems);
        self.layer.settings.extend(read);
    }

    fn include(&mut self, at: &Spanned<std::borrow::Cow<'_, str>>, value: &Spanned<DeValue<'_>>) {
        match value.get_ref().as_str() {
            _ if !self.is_first => self.fault(at.span(), "include", "a file that is included includes no other"),
            None => self.fault(at.span(), "include", "it is text: \"conf.d/*.toml\""),
            Some(pattern) => {
                let folder = self.file.parent().unwrap_or(Path::new(""));
                self.layer.include = Some((folder.join(pattern), self.origin(at.span().start)));
            }
        }
    }

    fn queues(&mut self, value: &Spanned<DeValue<'_>>) {
        self.layer.queues.extend(queues::read(self.file, self.text, value, self.problems));
    }

    fn fault(&mut self, at: Range<usize>, key: &str, says: impl Into<String>) {
        let origin = self.origin(at.start);
        self.problems.fault(&origin, key, says);
    }

    fn origin(&self, at: usize) -> Origin {
        Origin::file(self.file, line_of(self.text, at))
    }
}
