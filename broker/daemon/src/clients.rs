//! `primer pub`, `sub` and `rr`, whose words are mosquitto's and not clap's; and the completions of shells.

use std::ffi::OsString;
use std::io::{self, ErrorKind, Write};
use std::process::ExitCode;

use anyhow::Context;
use clap::{Args, Command};
use clap_complete::Shell;
use primer_client::TOOLS;

/// Which shell: `source <(primer completions bash)`.
#[derive(Debug, Args)]
pub(crate) struct Completions {
    /// The shell.
    #[arg(value_enum)]
    shell: Shell,
}

/// Runs a client if the command line is of one.
pub(crate) fn run() -> Option<ExitCode> {
    let mut words = std::env::args_os().skip(1);
    let first = words.next()?;
    let tool = TOOLS.into_iter().find(|tool| first == tool.name())?;
    Some(primer_client::run(tool, &words.collect::<Vec<OsString>>()))
}

/// The program with its clients, for its help and completions.
pub(crate) fn with_clients(program: Command) -> Command {
    program.subcommands(TOOLS.map(primer_client::command))
}

/// Prints the completions of a shell.
pub(crate) fn complete(arguments: &Completions, mut program: Command) -> anyhow::Result<ExitCode> {
    let mut script = Vec::new();
    clap_complete::generate(arguments.shell, &mut program, "primer", &mut script);
    match io::stdout().write_all(&script) {
        Err(error) if error.kind() == ErrorKind::BrokenPipe => Ok(ExitCode::SUCCESS),
        result => result.map(|()| ExitCode::SUCCESS).context("the completions"),
    }
}
