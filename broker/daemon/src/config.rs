//! `primer config check | explain | show`.

use std::{collections::BTreeMap, process::ExitCode};

use anyhow::bail;
use clap::{Args, Subcommand};
use primer_config::{Flags, Settings, explain};

use crate::{files_of_config, machine::ThisMachine, serve::Said};

/// What is to be done with a configuration. Options and variables count as they do for `primer serve`.
#[derive(Debug, Subcommand)]
pub(crate) enum Config {
    /// Say whether it is in order: "ok" and what is strange, or all that is wrong, each with its place. Ends with 0
    /// or 1.
    Check(Said),
    /// Say what a key is, where that comes from, what is allowed, and whether a reload takes it. Without a key: all
    /// that is not as it would be anyway.
    Explain(Explain),
    /// Print what counts, as a file that says the same. Passwords are left out.
    Show(Said),
}

/// Options of `primer config explain`.
#[derive(Debug, Args)]
pub(crate) struct Explain {
    /// All keys, those that nobody set as well.
    #[arg(long)]
    all: bool,
    /// A key, as `mqtt.max_qos`; its last part; a table, as `mqtt`; or mosquitto's word, as `max_inflight_messages`.
    #[arg(value_name = "KEY")]
    key: Option<String>,
    #[command(flatten)]
    said: Said,
}

pub(crate) fn run(what: Config) -> anyhow::Result<ExitCode> {
    match what {
        Config::Check(said) => return check(&said.into_flags()),
        Config::Show(said) => print!("{}", explain::show(&load(&said.into_flags())?)),
        Config::Explain(Explain { all, key, said }) => {
            let settings = load(&said.into_flags())?;
            match key {
                None => print!("{}", explain::overview(&settings, all)),
                Some(name) => match explain::key(&settings, &name) {
                    Some(text) => print!("{text}"),
                    None => bail!("{name}: {}", explain::unknown(&settings, &name)),
                },
            }
        }
    }
    Ok(ExitCode::SUCCESS)
}

/// Says whether the configuration is in order.
pub(crate) fn check(flags: &Flags) -> anyhow::Result<ExitCode> {
    let settings = load(flags)?;
    for warning in &settings.warnings {
        println!("warning: {warning}");
    }
    let faults = files_of_config::faults(&settings);
    if !faults.is_empty() {
        bail!("{}", faults.join("\n"));
    }
    println!("ok");
    Ok(ExitCode::SUCCESS)
}

/// Reads the whole configuration. A fault is a line of the error.
pub(crate) fn load(flags: &Flags) -> anyhow::Result<Settings> {
    let mut environment = BTreeMap::new();
    for (name, value) in std::env::vars_os() {
        let Some(name) = name.to_str().filter(|name| name.starts_with("PRIMER_")) else { continue };
        let Ok(value) = value.into_string() else { bail!("{name}: its value is no UTF-8 text") };
        environment.insert(name.to_owned(), value);
    }
    Ok(primer_config::load(flags, &environment, &ThisMachine)?)
}
