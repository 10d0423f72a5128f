//! The program that valgrind runs, built as it is shipped: cargo's bench profile is the release profile.

use std::{path::PathBuf, process::Stdio};

use anyhow::{Context, Result, bail};
use serde::Deserialize;

use crate::workspace::Workspace;

const BENCH: &str = "callgrind";

/// A line of cargo's report; most say other things.
#[derive(Deserialize)]
struct Line {
    target: Option<Target>,
    executable: Option<PathBuf>,
}

#[derive(Deserialize)]
struct Target {
    name: String,
}

/// Builds the program; answers where it is.
pub(super) fn build(workspace: &Workspace) -> Result<PathBuf> {
    let args = ["bench", "--package", "primer-broker", "--bench", BENCH, "--no-run"];
    let output = workspace
        .cargo(&args)
        .arg("--message-format=json-render-diagnostics")
        .stderr(Stdio::inherit())
        .output()
        .context("cargo does not start")?;
    if !output.status.success() {
        bail!("cargo {}: {}", args.join(" "), output.status);
    }
    executable(&String::from_utf8_lossy(&output.stdout)).context("cargo built the program and does not say where")
}

fn executable(report: &str) -> Option<PathBuf> {
    let lines = report.lines().filter_map(|line| serde_json::from_str::<Line>(line).ok());
    lines
        .filter(|line| line.target.as_ref().is_some_and(|target| target.name == BENCH))
        .find_map(|line| line.executable)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_program_is_found_in_cargo_s_report() {
        let report = r#"
{"reason":"compiler-artifact","target":{"name":"primer_broker","kind":["lib"]},"executable":null}
{"reason":"compiler-artifact","target":{"name":"callgrind","kind":["bench"]},"executable":"/t/callgrind-1","fresh":true}
{"reason":"build-finished","success":true}
"#;
        assert_eq!(executable(report), Some(PathBuf::from("/t/callgrind-1")));
        assert_eq!(executable(r#"{"reason":"build-finished","success":true}"#), None);
    }
}
