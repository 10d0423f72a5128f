//! One path counted by valgrind's callgrind.
//!
//! Each path is run with a number of messages and with twice as many. The difference is what the messages cost: the
//! start, the connections and the subscriptions are in both.

use std::{io::ErrorKind, path::Path, process::Command};

use anyhow::{Context, Result, bail, ensure};

use super::CountedPath;

const MISSING: &str = "valgrind is not installed, and it does the counting: apt install valgrind";

/// The version of valgrind, as it says it.
pub(super) fn version() -> Result<String> {
    match Command::new("valgrind").arg("--version").output() {
        Ok(output) => Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned()),
        Err(error) if error.kind() == ErrorKind::NotFound => bail!(MISSING),
        Err(error) => Err(error).context("valgrind does not start"),
    }
}

/// Instructions for each message delivered. Leaves the profile of the longer run in `folder`.
pub(super) fn count(program: &Path, counted: &CountedPath, folder: &Path) -> Result<u64> {
    let shorter = run(program, counted.name, counted.messages, &folder.join(format!("{}.short.out", counted.name)))?;
    let longer = run(program, counted.name, 2 * counted.messages, &folder.join(format!("{}.out", counted.name)))?;
    for_each_delivery(shorter, longer, counted.messages * counted.deliveries).with_context(|| counted.name.to_owned())
}

/// Instructions of one run.
fn run(program: &Path, name: &str, messages: u64, profile: &Path) -> Result<u64> {
    let output = Command::new("valgrind")
        .arg("--tool=callgrind")
        .arg(format!("--callgrind-out-file={}", profile.display()))
        .arg(program)
        .args([name, &messages.to_string()])
        .output()
        .context("valgrind does not start")?;
    if !output.status.success() {
        bail!("valgrind with {name}: {}\n{}", output.status, String::from_utf8_lossy(&output.stderr));
    }
    let text = std::fs::read_to_string(profile).with_context(|| profile.display().to_string())?;
    instructions(&text).with_context(|| profile.display().to_string())
}

/// The total of a profile: `events: Ir` names what is counted, `totals: N` or, in older versions, `summary: N` says how
/// many.
fn instructions(profile: &str) -> Result<u64> {
    let value = |key: &str| profile.lines().find_map(|line| line.strip_prefix(key)).map(str::trim);
    ensure!(value("events:") == Some("Ir"), "the profile does not count instructions alone");
    let total = value("totals:").or_else(|| value("summary:")).context("the profile has no total")?;
    total.parse().with_context(|| format!("the profile's total is {total:?}"))
}

/// The difference of two runs, for each of the deliveries that only the longer one made, rounded.
fn for_each_delivery(shorter: u64, longer: u64, deliveries: u64) -> Result<u64> {
    let difference = longer.checked_sub(shorter).context("twice the messages took fewer instructions")?;
    ensure!(deliveries > 0, "no messages were counted");
    Ok((difference + deliveries / 2) / deliveries)
}

#[cfg(test)]
mod tests {
    use super::*;

    const PROFILE: &str = "\
# callgrind format
version: 1
creator: callgrind-3.19.0
pid: 7305
cmd:  target/release/deps/callgrind-1 p2p-qos0 20000
part: 1

desc: Trigger: Program termination

positions: line
events: Ir
summary: 44917965

ob=(3) /usr/lib/libc.so.6
fn=(1570) totals
16 3
totals: 44917966
";

    #[test]
    fn the_total_of_a_profile_is_found() {
        assert_eq!(instructions(PROFILE).unwrap(), 44_917_966);
        let without_totals = PROFILE.replace("totals: 44917966\n", "");
        assert_eq!(instructions(&without_totals).unwrap(), 44_917_965);
    }

    #[test]
    fn a_profile_of_something_else_is_refused() {
        assert!(instructions("").is_err());
        assert!(instructions("events: Ir\n").is_err());
        assert!(instructions(&PROFILE.replace("events: Ir", "events: Ir Dr Dw")).is_err());
        assert!(instructions("events: Ir\ntotals: many\n").is_err());
    }

    #[test]
    fn a_delivery_costs_the_rounded_difference() {
        assert_eq!(for_each_delivery(1_000, 3_500, 1_000).unwrap(), 3);
        assert_eq!(for_each_delivery(1_000, 3_499, 1_000).unwrap(), 2);
        assert!(for_each_delivery(3_000, 1_000, 1_000).is_err());
        assert!(for_each_delivery(1, 2, 0).is_err());
    }
}
