//! The binary `primer`: reads the command line, puts the parts together, and waits for a signal. No logic of its own.

#![cfg_attr(test, expect(clippy::unwrap_used, reason = "tests fail by panicking"))]

mod bench;
mod clients;
mod config;
mod control;
mod data;
mod dump;
mod files_of_config;
mod import;
mod machine;
mod passwd;
mod probe;
mod queue;
mod rules;
mod serve;
mod store;
mod systemd;
mod table;
mod units;

use std::process::ExitCode;

use clap::{CommandFactory, FromArgMatches, Parser, Subcommand};

/// Primer: a distributed message queue and an MQTT 3.1.1 and 5.0 broker for the network's edge.
#[derive(Debug, Parser)]
#[command(name = "primer", version, about, max_term_width = 100)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run the broker. Without any option it listens on port 1883 of this machine alone, for anybody.
    Serve(Box<serve::Serve>),
    /// Check a configuration, explain its keys, show what counts. It takes the options of `primer serve`.
    #[command(subcommand)]
    Config(Box<config::Config>),
    /// Make a configuration out of another broker's.
    Import(import::Import),
    /// Open one file of a store and say whether that works; `primer serve` starts this for itself.
    #[command(name = probe::WORD, hide = true)]
    Probe {
        /// Change nothing in it: redb's repair stays in memory.
        #[arg(long)]
        unchanged: bool,
        /// Which file.
        file: std::path::PathBuf,
    },
    /// Write all that a data directory has as JSON lines: a backup, or for other programs. No broker runs on it.
    Dump(dump::Dump),
    /// Make a data directory out of a dump.
    Restore(dump::Restore),
    /// Look after a data directory: check it, see what is in it, make it small. No broker runs on it.
    #[command(subcommand)]
    Store(store::Store),
    /// Look after the queues of a running broker; put messages in and get them out.
    #[command(subcommand)]
    Queue(Box<queue::Queue>),
    /// Write, try and look after mapping rules: check and test files, apply them to a running broker, watch them.
    #[command(subcommand)]
    Rules(Box<rules::Rules>),
    /// Look after a password file, with the options of mosquitto_passwd: add, change and remove users.
    Passwd(passwd::Passwd),
    /// Load a broker and say what it did and what it cost; or compare brokers.
    Bench(Box<bench::Bench>),
    /// Print what a shell needs to complete the words of `primer`.
    Completions(clients::Completions),
}

fn main() -> ExitCode {
    if let Some(code) = clients::run() {
        return code;
    }
    let program = clients::with_clients(Arguments::command());
    let arguments = Arguments::from_arg_matches(&program.clone().get_matches()).unwrap_or_else(|error| error.exit());
    let result = match arguments.command {
        Command::Serve(arguments) => serve::run(*arguments),
        Command::Config(what) => config::run(*what),
        Command::Import(arguments) => import::run(&arguments),
        Command::Probe { file, unchanged } => probe::answer(&file, unchanged).map(|()| ExitCode::SUCCESS),
        Command::Dump(arguments) => dump::dump(arguments),
        Command::Restore(arguments) => dump::restore(arguments),
        Command::Store(what) => store::run(what),
        Command::Queue(what) => queue::run(*what),
        Command::Rules(what) => rules::run(*what),
        Command::Passwd(arguments) => passwd::run(&arguments).map(|()| ExitCode::SUCCESS),
        Command::Bench(arguments) => bench::run(*arguments),
        Command::Completions(arguments) => clients::complete(&arguments, program),
    };
    match result {
        Ok(code) => code,
        Err(error) => {
            eprintln!("primer: {error:#}");
            ExitCode::FAILURE
        }
    }
}
