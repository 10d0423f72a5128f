//! A mosquitto.conf becomes a primer.toml: what has a counterpart is said in Primer's words, and of each line that has
//! none it is said why. Passwords, messages and bridges are not taken over.

mod convert;
mod listener;
mod reader;
mod words;

use std::{fmt::Write, path::Path};

use crate::{
    Machine,
    problem::{Faults, Problem, Problems},
};

/// What came of a mosquitto.conf.
#[derive(Debug, Clone)]
pub struct Imported {
    /// The primer.toml.
    pub toml: String,
    /// What is not taken over, or means something else, with its line. The primer.toml says it as well.
    pub notes: Vec<Problem>,
}

/// Reads a mosquitto.conf and what it includes.
///
/// # Errors
/// A file cannot be read, or a line is none of mosquitto's: all such lines.
pub fn import(file: &Path, machine: &dyn Machine) -> Result<Imported, Faults> {
    let mut problems = Problems::default();
    let lines = reader::read(file, machine, &mut problems);
    let written = convert::convert(&lines, &mut problems);
    if !problems.faults.is_empty() {
        return Err(Faults(problems.faults));
    }
    let mut toml = format!("# Made from {} by `primer import`.\n", file.display());
    if !problems.warnings.is_empty() {
        toml.push_str("#\n# What is not taken over, or means something else:\n");
        for note in &problems.warnings {
            let _ = writeln!(toml, "# {note}");
        }
    }
    toml.push_str(&written.to_toml());
    Ok(Imported { toml, notes: problems.warnings })
}

#[cfg(test)]
#[path = "../mosquitto_tests.rs"]
mod tests;
