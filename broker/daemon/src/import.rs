//! `primer import FILE`: the configuration of another broker becomes one of Primer.

use std::{fs::File, io::Write, path::PathBuf, process::ExitCode};

use anyhow::{Context, bail};
use clap::Args;
use primer_config::mosquitto;

use crate::machine::ThisMachine;

/// Options of `primer import`.
#[derive(Debug, Args)]
pub(crate) struct Import {
    /// A mosquitto.conf. What it includes is read as well.
    #[arg(value_name = "FILE")]
    file: PathBuf,
    /// Where to write the primer.toml, which must not be there; standard output if it is not given. What is not taken
    /// over is said on stderr and in the file, each with its line.
    #[arg(short, long, value_name = "FILE")]
    output: Option<PathBuf>,
}

pub(crate) fn run(arguments: &Import) -> anyhow::Result<ExitCode> {
    if let Some(output) = arguments.output.as_ref().filter(|output| output.symlink_metadata().is_ok()) {
        bail!("{}: it is there already, and is not replaced: move it away, or name another", output.display());
    }
    if arguments.file.extension().is_some_and(|extension| extension == "toml") {
        bail!("{}: it is TOML; a mosquitto.conf is wanted", arguments.file.display());
    }
    let imported = mosquitto::import(&arguments.file, &ThisMachine)?;
    eprint!("{}", imported.told());
    match &arguments.output {
        None => print!("{}", imported.toml),
        Some(output) => {
            let mut file = File::create_new(output).with_context(|| format!("cannot make {}", output.display()))?;
            file.write_all(imported.toml.as_bytes()).with_context(|| format!("{}", output.display()))?;
        }
    }
    Ok(ExitCode::SUCCESS)
}
