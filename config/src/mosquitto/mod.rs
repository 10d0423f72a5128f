//! A mosquitto.conf becomes a primer.toml: what has a counterpart is said in Primer's words, and of each line that has
//! none it is said why. Passwords, messages and bridges are not taken over.

mod convert;
mod listener;
mod reader;
mod report;
mod safety;
mod words;

use std::{fmt::Write, path::Path};

use self::report::Report;
pub use self::report::{Group, Note};
use crate::{Machine, problem::Faults};

/// What came of a mosquitto.conf.
#[derive(Debug, Clone)]
pub struct Imported {
    /// The primer.toml.
    pub toml: String,
    /// What is not taken over, or means something else, each with its line: what is lost first. The primer.toml says
    /// it as well.
    pub notes: Vec<Note>,
}

impl Imported {
    /// The notes as lines, below a head for each group.
    #[must_use]
    pub fn told(&self) -> String {
        told(&self.notes)
    }
}

/// Reads a mosquitto.conf and what it includes.
///
/// # Errors
/// A file cannot be read, or a line is none of mosquitto's: all such lines.
pub fn import(file: &Path, machine: &dyn Machine) -> Result<Imported, Faults> {
    let mut report = Report::default();
    let lines = reader::read(file, machine, &mut report);
    let written = convert::convert(&lines, &mut report);
    if !report.faults.is_empty() {
        return Err(Faults(report.faults));
    }
    let mut toml = format!("# Made from {} by `primer import`.\n", file.display());
    let notes = report.into_notes();
    if !notes.is_empty() {
        toml.push_str("#\n");
    }
    for line in told(&notes).lines() {
        let _ = writeln!(toml, "# {line}");
    }
    toml.push_str(&written.to_toml());
    Ok(Imported { toml, notes })
}

/// The keys that a word of mosquitto's became: none if it is more than a key. `None` if it became nothing.
pub(crate) fn keys_of(word: &str) -> Option<&'static [&'static str]> {
    words::keys(word)
}

/// Why a word of mosquitto's has no counterpart.
pub(crate) fn why_none(word: &str) -> Option<&'static str> {
    words::reason(word).map(|(_, why)| why)
}

/// The first line of a text, from 1, if it says something as a mosquitto.conf does: a word of its own, and a value
/// without a `=`.
pub(crate) fn first_line_of_one(text: &str) -> Option<usize> {
    let said = |line: &str| !line.is_empty() && !line.starts_with('#');
    let (index, line) = text.lines().map(str::trim).enumerate().find(|(_, line)| said(line))?;
    let (word, value) = line.split_once(char::is_whitespace)?;
    (words::is_known(word) && !value.trim_start().starts_with('=')).then_some(index + 1)
}

fn told(notes: &[Note]) -> String {
    let mut text = String::new();
    for group in Group::ALL {
        let mut of_group = notes.iter().filter(|note| note.group == group).peekable();
        if of_group.peek().is_some() {
            let _ = writeln!(text, "{}", group.head());
        }
        for note in of_group {
            let _ = writeln!(text, "{note}");
        }
    }
    text
}

#[cfg(test)]
#[path = "../mosquitto_tests.rs"]
mod tests;
