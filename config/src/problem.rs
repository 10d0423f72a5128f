//! Where a value comes from, and what is wrong with it: each fault is one line that says where, what, and what is
//! allowed.

use std::{
    fmt,
    path::{Path, PathBuf},
};

use crate::limits::FAULTS_SHOWN_MAX;

/// Where a value comes from.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum Origin {
    /// The table of keys.
    #[default]
    Default,
    /// A line of a file, from 1.
    File {
        /// The file, as it was named.
        file: PathBuf,
        /// The line; 0 is the file as a whole.
        line: usize,
    },
    /// A variable of the environment.
    Variable(String),
    /// An option of the command line, with its dashes.
    Flag(String),
}

impl Origin {
    pub(crate) fn file(file: &Path, line: usize) -> Self {
        Self::File { file: file.to_owned(), line }
    }
}

impl fmt::Display for Origin {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Default => out.write_str("default"),
            Self::File { file, line: 0 } => write!(out, "{}", file.display()),
            Self::File { file, line } => write!(out, "{}:{line}", file.display()),
            Self::Variable(name) | Self::Flag(name) => out.write_str(name),
        }
    }
}

/// What is wrong, or strange, in one place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// Where it is.
    pub origin: Origin,
    /// The key, if it is about one.
    pub key: String,
    /// What it is and what is allowed.
    pub says: String,
}

impl fmt::Display for Problem {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.origin != Origin::Default {
            write!(out, "{}: ", self.origin)?;
        }
        if !self.key.is_empty() {
            write!(out, "{}: ", self.key)?;
        }
        out.write_str(&self.says)
    }
}

/// Why a configuration is none: all its faults.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub struct Faults(pub Vec<Problem>);

impl fmt::Display for Faults {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, problem) in self.0.iter().take(FAULTS_SHOWN_MAX).enumerate() {
            if index > 0 {
                out.write_str("\n")?;
            }
            write!(out, "{problem}")?;
        }
        match self.0.len().saturating_sub(FAULTS_SHOWN_MAX) {
            0 => Ok(()),
            more => write!(out, "\nand {more} more"),
        }
    }
}

/// What was found while reading.
#[derive(Debug, Default)]
pub(crate) struct Problems {
    pub(crate) faults: Vec<Problem>,
    pub(crate) warnings: Vec<Problem>,
}

impl Problems {
    pub(crate) fn fault(&mut self, origin: &Origin, key: impl Into<String>, says: impl Into<String>) {
        self.faults.push(Problem { origin: origin.clone(), key: key.into(), says: says.into() });
    }

    pub(crate) fn warn(&mut self, origin: &Origin, key: impl Into<String>, says: impl Into<String>) {
        self.warnings.push(Problem { origin: origin.clone(), key: key.into(), says: says.into() });
    }

    /// Whether a key, or one below it, has a fault: then what it is together with others cannot be judged.
    pub(crate) fn has(&self, key: &str) -> bool {
        self.faults
            .iter()
            .any(|it| it.key.strip_prefix(key).is_some_and(|rest| rest.is_empty() || rest.starts_with('.')))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fault_is_one_line_and_many_are_cut() {
        let origin = Origin::file(Path::new("primer.toml"), 12);
        let problem = Problem { origin, key: "mqtt.max_qos".to_owned(), says: "3 is too much".to_owned() };
        assert_eq!(problem.to_string(), "primer.toml:12: mqtt.max_qos: 3 is too much");
        let text = Faults(vec![problem; 25]).to_string();
        assert_eq!(text.lines().count(), 21);
        assert!(text.ends_with("\nand 5 more"));
    }
}
