//! The house rules that neither rustfmt nor clippy knows. Each check is a file; each finding is one sentence.

mod clippy_settings;
mod documents;
mod edges;
mod names;
mod sizes;
mod words;

use std::fmt;

use anyhow::{Result, bail};

use crate::rust_source::RustSource;
use crate::workspace::Workspace;

/// What a check found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Finding {
    file: String,
    /// From 1; 0 is the file as a whole.
    line: usize,
    says: String,
}

impl Finding {
    fn new(file: &str, line: usize, says: impl Into<String>) -> Self {
        Self { file: file.to_owned(), line, says: says.into() }
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.line {
            0 => write!(out, "{}: {}", self.file, self.says),
            line => write!(out, "{}:{line}: {}", self.file, self.says),
        }
    }
}

/// Runs all checks and prints what they found.
pub(crate) fn run(workspace: &Workspace) -> Result<()> {
    let mut findings = edges::check(&workspace.packages()?);
    findings.extend(clippy_settings::check(workspace)?);
    findings.extend(documents::check(workspace)?);
    findings.extend(check_sources(workspace)?);
    for finding in &findings {
        println!("{finding}");
    }
    if findings.is_empty() { Ok(()) } else { bail!("tidy found {} faults", findings.len()) }
}

fn check_sources(workspace: &Workspace) -> Result<Vec<Finding>> {
    let mut findings = Vec::new();
    let mut sizes = sizes::Sizes::new(&workspace.read(sizes::RATCHET)?)?;
    for file in workspace.files_ending(".rs") {
        let source = RustSource::new(&workspace.read(file)?);
        findings.extend(names::check(file));
        findings.extend(words::check(file, &source));
        if is_shipped(file) {
            findings.extend(sizes.check(file, source.code_lines()));
        }
    }
    findings.extend(sizes.check_leftovers());
    println!("{}", sizes.summary());
    Ok(findings)
}

/// Whether a file is part of what is delivered or of the house's tools: not a test, bench, example or fuzz target.
fn is_shipped(file: &str) -> bool {
    let mut parts = file.split('/').rev();
    let name = parts.next().unwrap_or(file);
    let is_test_file = name == "tests.rs" || name.ends_with("_tests.rs");
    !is_test_file && !parts.any(|dir| matches!(dir, "tests" | "benches" | "examples" | "fuzz"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tests_are_told_from_what_is_shipped() {
        for file in ["primer/core/src/lib.rs", "xtask/src/main.rs", "broker/server/src/testing.rs"] {
            assert!(is_shipped(file), "{file}");
        }
        for file in ["tests/harness/src/lib.rs", "a/src/trie/tests.rs", "a/src/trie_tests.rs", "a/benches/b.rs"] {
            assert!(!is_shipped(file), "{file}");
        }
    }

    #[test]
    fn a_finding_is_a_place_and_a_sentence() {
        assert_eq!(Finding::new("a.rs", 3, "it is so").to_string(), "a.rs:3: it is so");
        assert_eq!(Finding::new("a.rs", 0, "it is so").to_string(), "a.rs: it is so");
    }
}
