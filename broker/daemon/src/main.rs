//! The binary `primer`: reads the command line, puts the parts together, and waits for a signal. No logic of its own.

mod bench;
mod data;
mod machine;
mod probe;
mod serve;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

/// Primer: a distributed message queue and an MQTT 3.1.1 and 5.0 broker for the network's edge.
#[derive(Debug, Parser)]
#[command(name = "primer", version, about, max_term_width = 100)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run the broker. Without any option it listens on port 1883 of all addresses, for anybody.
    Serve(Box<serve::Serve>),
    /// Open one file of a store and say whether that works; `primer serve` starts this for itself.
    #[command(name = probe::WORD, hide = true)]
    Probe {
        /// Which file.
        file: std::path::PathBuf,
    },
    /// Load a broker and say what it did and what it cost; or compare brokers.
    Bench(Box<bench::Bench>),
}

fn main() -> ExitCode {
    let result = match Arguments::parse().command {
        Command::Serve(arguments) => serve::run(*arguments).map(|()| ExitCode::SUCCESS),
        Command::Probe { file } => probe::answer(&file).map(|()| ExitCode::SUCCESS),
        Command::Bench(arguments) => bench::run(*arguments),
    };
    match result {
        Ok(code) => code,
        Err(error) => {
            eprintln!("primer: {error:#}");
            ExitCode::FAILURE
        }
    }
}
