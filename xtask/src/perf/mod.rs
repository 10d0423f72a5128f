//! Instructions a message on the three main paths, beside those that are recorded in docs/performance.md.
//!
//! A count does not depend on how busy the machine is, so it shows a small change that a time would hide. It is no
//! gate: a change is shown, and whoever makes it says in the commit why it is meant.

mod callgrind;
mod comparison;
mod program;
mod record;

use std::process::Command;

use anyhow::{Context, Result, bail};

use self::{comparison::Comparison, record::DOCUMENT};
use crate::workspace::Workspace;

/// What is counted, by the names of `broker/server/benches/callgrind`.
struct CountedPath {
    name: &'static str,
    /// How many messages the shorter of the two runs publishes.
    messages: u64,
    /// How many subscribers get each.
    deliveries: u64,
}

const PATHS: [CountedPath; 3] = [
    CountedPath { name: "p2p-qos0", messages: 20_000, deliveries: 1 },
    CountedPath { name: "p2p-qos1", messages: 20_000, deliveries: 1 },
    CountedPath { name: "fanout-qos0", messages: 400, deliveries: 500 },
];

/// What becomes of the counts.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Mode {
    Compare,
    Record,
}

/// Counts all paths, prints the comparison, and records the counts if asked to.
pub(crate) fn run(workspace: &Workspace, mode: Mode) -> Result<()> {
    let valgrind = callgrind::version()?;
    let document = workspace.read(DOCUMENT)?;
    let recorded = record::read(&document)?;
    let program = program::build(workspace)?;
    let folder = workspace.target_directory()?.join("perf");
    std::fs::create_dir_all(&folder).with_context(|| folder.display().to_string())?;

    let mut comparison = Comparison::default();
    for path in &PATHS {
        let now = callgrind::count(&program, path, &folder)?;
        comparison.add(path.name, recorded.get(path.name).copied(), now);
    }
    print!("{comparison}");
    println!("the profiles: callgrind_annotate {}/NAME.out", folder.display());
    if mode == Mode::Record {
        let stamp = format!("{}, {}, {valgrind}", today()?, first_line("rustc", &["--version"])?);
        let document = record::write(&document, &stamp, comparison.counts())?;
        std::fs::write(workspace.root().join(DOCUMENT), document).context(DOCUMENT)?;
        println!("recorded in {DOCUMENT}");
    }
    Ok(())
}

/// The day in UTC, as `date` writes it.
fn today() -> Result<String> {
    first_line("date", &["-u", "+%F"])
}

/// What a program answers to a question about itself.
fn first_line(program: &str, args: &[&str]) -> Result<String> {
    let output = Command::new(program).args(args).output().with_context(|| format!("{program} does not start"))?;
    if !output.status.success() {
        bail!("{program} {}: {}", args.join(" "), String::from_utf8_lossy(&output.stderr).trim());
    }
    let text = String::from_utf8_lossy(&output.stdout);
    Ok(text.lines().next().unwrap_or_default().trim().to_owned())
}
