//! The gate: every step in turn, the quick ones first, and an end at the first that fails.

use std::time::Instant;

use anyhow::{Context, Result, bail};

use crate::workspace::Workspace;
use crate::{advisories, conformance, embeddable, tidy};

/// Whether the last step is run, which a caller may have run already.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Tests {
    Run,
    Skip,
}

/// One step, and the command that repeats it alone.
struct Step {
    name: &'static str,
    repeat: &'static str,
    run: fn(&Workspace) -> Result<()>,
}

const STEPS: &[Step] = &[
    Step { name: "format", repeat: "cargo fmt --all", run: |w| cargo(w, &["fmt", "--all", "--check"]) },
    Step { name: "tidy", repeat: "cargo xtask tidy", run: tidy::run },
    Step { name: "conformance", repeat: "cargo xtask conformance", run: conformance::run },
    Step { name: "embeddable", repeat: "cargo xtask embeddable", run: embeddable::check },
    Step { name: "deny", repeat: "cargo xtask deny", run: deny },
    Step { name: "clippy", repeat: "cargo clippy --workspace --all-targets -- -D warnings", run: clippy },
];

const TEST: Step = Step {
    name: "test",
    repeat: "cargo test --workspace",
    run: |workspace| cargo(workspace, &["test", "--workspace"]),
};

/// Runs the steps.
pub(crate) fn run(workspace: &Workspace, tests: Tests) -> Result<()> {
    let last = (tests == Tests::Run).then_some(&TEST);
    for step in STEPS.iter().chain(last) {
        println!("== {} ==", step.name);
        let begun = Instant::now();
        let outcome = (step.run)(workspace);
        let seconds = begun.elapsed().as_secs_f32();
        if let Err(error) = outcome {
            println!("== {}: failed after {seconds:.1} s ==", step.name);
            return Err(error).with_context(|| format!("{} failed; to repeat it: {}", step.name, step.repeat));
        }
        println!("== {}: passed in {seconds:.1} s ==\n", step.name);
    }
    Ok(())
}

fn clippy(workspace: &Workspace) -> Result<()> {
    cargo(workspace, &["clippy", "--workspace", "--all-targets", "--", "-D", "warnings"])
}

/// Licences, sources and banned crates of the dependencies, and their known faults where these can be had.
pub(crate) fn deny(workspace: &Workspace) -> Result<()> {
    let is_installed = workspace.cargo(&["deny", "--version"]).output().is_ok_and(|output| output.status.success());
    if !is_installed {
        bail!("cargo-deny is not installed: cargo install --locked cargo-deny");
    }
    cargo(workspace, &["deny", "check", "bans", "licenses", "sources"])?;
    advisories::check(workspace)
}

/// Runs cargo with its output shown.
pub(crate) fn cargo(workspace: &Workspace, args: &[&str]) -> Result<()> {
    let status = workspace.cargo(args).status().context("cargo does not start")?;
    if status.success() { Ok(()) } else { bail!("cargo {}: {status}", args.join(" ")) }
}
