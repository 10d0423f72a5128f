//! The tasks of the workspace: `cargo xtask check` is the gate that all that lands goes through.
//!
//! `check` runs every step and stops at the first that fails; each step can be had alone. Nothing here is shipped.

#![cfg_attr(test, expect(clippy::unwrap_used, reason = "tests fail by panicking"))]

mod advisories;
mod check;
mod conformance;
mod embeddable;
mod interop;
mod perf;
mod rust_source;
mod tidy;
mod workspace;

use std::process::ExitCode;

use anyhow::{Result, bail};

use crate::workspace::Workspace;

const HELP: &str = "\
cargo xtask check [--no-tests]   the gate: formatting, tidy, conformance, deny, clippy, tests
cargo xtask tidy                 what rustfmt and clippy do not check: edges, sizes, banned words, links
cargo xtask deny                 licences, sources and banned crates of the dependencies, and known faults
cargo xtask embeddable           the crate primer needs no C compiler and has no MQTT in its tree
cargo xtask conformance          each normative statement of MQTT has a test, or a reason why not
cargo xtask interop              the tests with foreign clients, all of which have to be there
cargo xtask perf [--record]      instructions a message on the main paths, beside the recorded ones (needs valgrind)";

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    match run(&args) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("xtask: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(args: &[String]) -> Result<()> {
    let args: Vec<&str> = args.iter().map(String::as_str).collect();
    match args[..] {
        ["check"] => check::run(&Workspace::find()?, check::Tests::Run),
        ["check", "--no-tests"] => check::run(&Workspace::find()?, check::Tests::Skip),
        ["tidy"] => tidy::run(&Workspace::find()?),
        ["conformance"] => conformance::run(&Workspace::find()?),
        ["interop"] => interop::run(&Workspace::find()?),
        ["embeddable"] => embeddable::check(&Workspace::find()?),
        ["perf"] => perf::run(&Workspace::find()?, perf::Mode::Compare),
        ["perf", "--record"] => perf::run(&Workspace::find()?, perf::Mode::Record),
        ["deny"] => check::deny(&Workspace::find()?),
        ["help" | "--help" | "-h"] => {
            println!("{HELP}");
            Ok(())
        }
        _ => bail!("no such task: {args:?}\n{HELP}"),
    }
}
