//! The manifest of conformance: what MQTT demands, and the test that shows it.
//!
//! Each file in `tests/conformance/` lists normative statements, one entry each. This task holds the manifest to the
//! tests: a test that is named must be there and be a test, and a server's MUST without one must say why.

mod faults;
mod manifest;
mod report;

use anyhow::{Context, Result, bail};

use self::manifest::{Manifest, Statement};
use crate::workspace::Workspace;

const FOLDER: &str = "tests/conformance/";

/// Checks the manifest and prints the counts.
pub(crate) fn run(workspace: &Workspace) -> Result<()> {
    let mut statements: Vec<Statement> = Vec::new();
    for file in workspace.files_ending(".toml").filter(|file| file.starts_with(FOLDER)) {
        let manifest: Manifest = toml::from_str(&workspace.read(file)?).with_context(|| file.to_owned())?;
        statements.extend(manifest.statement.into_iter().map(|statement| statement.of_file(file)));
    }
    if statements.is_empty() {
        bail!("no statement in {FOLDER}*.toml");
    }
    let faults = faults::find(&statements, |file| workspace.read(file).ok());
    print!("{}", report::table(&statements));
    for fault in &faults {
        println!("{fault}");
    }
    if faults.is_empty() { Ok(()) } else { bail!("the manifest has {} faults", faults.len()) }
}
