//! Known faults of dependencies, where the database of them can be had.
//!
//! The machines that build Primer reach package registries and nothing else, and the database is in no registry. So
//! that nobody takes a skipped check for a passed one, the skip is said in the output.

use std::process::Stdio;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};

use crate::check::cargo;
use crate::workspace::Workspace;

/// How long the database may take to come. A network that drops packets must not hold the gate up.
const FETCH_SECONDS_MAX: u64 = 60;

/// Checks the advisories, or says that it did not.
pub(crate) fn check(workspace: &Workspace) -> Result<()> {
    if fetched(workspace)? {
        return cargo(workspace, &["deny", "check", "advisories"]);
    }
    println!("advisories skipped: the database cannot be reached from this machine");
    Ok(())
}

/// Whether the database is here and new.
#[expect(clippy::disallowed_methods, reason = "the task has one thread and nothing else to do")]
fn fetched(workspace: &Workspace) -> Result<bool> {
    let mut child = workspace
        .cargo(&["deny", "fetch", "db"])
        .env("GIT_TERMINAL_PROMPT", "0")
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .context("cargo-deny does not start")?;
    let deadline = Instant::now() + Duration::from_secs(FETCH_SECONDS_MAX);
    while Instant::now() < deadline {
        if let Some(status) = child.try_wait()? {
            return Ok(status.success());
        }
        std::thread::sleep(Duration::from_millis(50));
    }
    child.kill()?;
    child.wait()?;
    Ok(false)
}
