//! `primer bench`: the command line of the load generator. Its flags are those of other MQTT benchmarks where they have
//! one.

mod crash;

use std::{fmt::Display, path::Path, process::ExitCode, time::Duration};

use anyhow::{Context, bail};
use clap::{ArgAction, Args, Subcommand};
use primer_bench::{
    Load, Loop, Scenario, Stop,
    compare::{Comparison, Contestant, ROWS, Row},
};
use primer_mqtt::{Version, codec::packet::QoS};
use serde::Serialize;
use tokio::{
    runtime::Builder,
    signal::unix::{SignalKind, signal},
};

use crate::machine;

/// Loads a broker (any broker) and says what it did and what it cost. `primer bench KIND --help` says more.
#[derive(Debug, Args)]
pub(crate) struct Bench {
    #[command(subcommand)]
    kind: Kind,
}

#[derive(Debug, Subcommand)]
enum Kind {
    /// Clients that connect, subscribe, and stay: connects a second, memory of a connection.
    Conn(LoadArguments),
    /// Publishers alone.
    Pub(LoadArguments),
    /// Subscribers alone; somebody else publishes.
    Sub(LoadArguments),
    /// Pairs of a publisher and a subscriber, each with a topic of its own.
    P2p(LoadArguments),
    /// Many publishers, one subscriber that gets everything.
    FanIn(LoadArguments),
    /// Many publishers, one share group.
    Shared(LoadArguments),
    /// One publisher, many subscribers that get everything.
    FanOut(LoadArguments),
    /// A new subscription to many retained messages, which are removed afterwards.
    Retained(LoadArguments),
    /// A session that comes back to a queue of QoS 1 or 2 messages.
    Backlog(LoadArguments),
    /// Publishers to a session that is away: what is acknowledged stands in its queue.
    Away(LoadArguments),
    /// Pairs, each subscriber with a share of many wildcard filters.
    Wildcard(LoadArguments),
    /// Brokers side by side: each is started, loaded and stopped in turn; medians and ratios.
    Compare(CompareArguments),
    /// Is what was acknowledged still there? Each broker is killed in the middle of a load and started again.
    Crash(crash::CrashArguments),
}

/// The options of a load. The exit code is 1 when anything was lost, doubled, reordered or refused.
#[derive(Debug, Args)]
#[command(disable_help_flag = true)]
struct LoadArguments {
    /// Name or address of the broker.
    #[arg(short = 'h', long, default_value = "127.0.0.1")]
    host: String,
    /// Its port.
    #[arg(short, long, default_value_t = 1883)]
    port: u16,
    /// Version of MQTT: 31, 311 or 5.
    #[arg(short = 'V', long, default_value = "311", value_parser = version)]
    protocol_version: Version,
    /// User name.
    #[arg(short, long)]
    username: Option<String>,
    /// Password.
    #[arg(short = 'P', long, env = "PRIMER_BENCH_PASSWORD", hide_env_values = true)]
    password: Option<String>,
    /// Keep alive in seconds; 0 for none.
    #[arg(short, long, default_value_t = 60)]
    keepalive: u16,
    /// What client identifiers begin with.
    #[arg(long, default_value = "bench")]
    id_prefix: String,
    /// Clients of the kind of which there are many: pairs; subscribers of `fan-out`, `conn` and `sub`; else publishers.
    #[arg(short, long, value_name = "N")]
    count: Option<u32>,
    /// Publishers.
    #[arg(long, value_name = "N")]
    publishers: Option<u32>,
    /// Subscribers.
    #[arg(long, value_name = "N")]
    subscribers: Option<u32>,
    /// QoS of publishes and subscriptions, 0 to 2 (0 if not given, 1 for `backlog`).
    #[arg(short, long, value_parser = clap::value_parser!(u8).range(0..=2))]
    qos: Option<u8>,
    /// Bytes of a payload, at least 28.
    #[arg(short, long, default_value_t = 64)]
    size: usize,
    /// What topics begin with; of `pub` and `sub` the topic, in which %i is the number of the client.
    #[arg(short, long)]
    topic: Option<String>,
    /// What the subscriber of `retained` subscribes to, instead of the topics of the run.
    #[arg(long)]
    filter: Option<String>,
    /// Set the retain flag (`pub`).
    #[arg(short, long)]
    retain: bool,
    /// Closed loop: messages of a publisher that may be on their way (1 to 16,384).
    #[arg(long, default_value_t = 100)]
    window: u16,
    /// Open loop: messages a second, over all publishers, due whatever the broker does.
    #[arg(long, value_name = "N", conflicts_with_all = ["interval_of_msg", "window"])]
    rate: Option<f64>,
    /// Open loop: milliseconds between two messages of one publisher; 0 for a closed loop.
    #[arg(short = 'I', long, value_name = "MS", value_parser = milliseconds, conflicts_with_all = ["window"])]
    interval_of_msg: Option<f64>,
    /// Milliseconds between two connections; 0 for as fast as can be.
    #[arg(short, long, value_name = "MS", value_parser = milliseconds, default_value = "0")]
    interval: f64,
    /// Messages of `retained` and `backlog`; filters of `wildcard` (1 to 1,000,000).
    #[arg(short = 'n', long, default_value_t = 100_000)]
    messages: u64,
    /// Seconds that are measured; of `conn`, how long the clients stay (1 if not given, else 10).
    #[arg(short, long, value_parser = seconds)]
    duration: Option<Duration>,
    /// Seconds of load before them.
    #[arg(long, value_parser = seconds, default_value = "1")]
    warm_up: Duration,
    /// Seconds without any sign of the broker after which what is still missing is lost.
    #[arg(long, value_parser = seconds, default_value = "5")]
    patience: Duration,
    /// Threads of the load generator.
    #[arg(long, default_value_t = 1)]
    threads: usize,
    /// Process of the broker, for its CPU time and memory; found by its port on this machine if not given.
    #[arg(long)]
    pid: Option<u32>,
    #[command(flatten)]
    telling: Telling,
    /// Print help.
    #[arg(long, action = ArgAction::Help)]
    help: Option<bool>,
}

/// How it is told.
#[derive(Debug, Clone, Copy, Args)]
struct Telling {
    /// Print the result as JSON.
    #[arg(long)]
    json: bool,
    /// Say nothing while it runs.
    #[arg(long)]
    quiet: bool,
}

impl Telling {
    fn result(self, result: &(impl Serialize + Display), is_clean: bool) -> anyhow::Result<ExitCode> {
        if self.json {
            println!("{}", serde_json::to_string_pretty(result)?);
        } else {
            print!("{result}");
        }
        Ok(if is_clean { ExitCode::SUCCESS } else { ExitCode::FAILURE })
    }
}

/// The options of a comparison.
#[derive(Debug, Args)]
struct CompareArguments {
    /// A broker, started by a command of the shell with {port} and {dir} (an empty folder) in it; may be given several
    /// times. NAME alone is one of `primer` (this program) and `mosquitto`. The first is held against the others.
    #[arg(long = "broker", value_name = "NAME[=COMMAND]", value_parser = contestant,
        default_values = ["primer", "mosquitto"])]
    brokers: Vec<Contestant>,
    /// Rows to run, all if not given: p2p-q0, p2p-q1, p2p-q2, p2p-1k, fan-in, shared, fan-out, wildcard, retained,
    /// backlog, conn, paced-q0, paced-q1.
    #[arg(long = "row", value_name = "ROW", value_delimiter = ',', value_parser = row)]
    rows: Vec<Row>,
    /// Runs of each broker in each row; the median is told.
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u16).range(1..=100))]
    repeats: u16,
    /// Seconds that are measured in each run.
    #[arg(short, long, value_parser = seconds, default_value = "4")]
    duration: Duration,
    /// Threads of the load generator.
    #[arg(long, default_value_t = 1)]
    threads: usize,
    #[command(flatten)]
    telling: Telling,
}

fn version(text: &str) -> Result<Version, String> {
    match text {
        "31" | "3" | "mqttv31" => Ok(Version::V31),
        "311" | "4" | "mqttv311" => Ok(Version::V311),
        "5" | "mqttv5" => Ok(Version::V5),
        _ => Err("write 31, 311 or 5".to_owned()),
    }
}

fn milliseconds(text: &str) -> Result<f64, String> {
    match text.trim_end_matches("ms").parse::<f64>() {
        Ok(number) if (0.0..=3_600_000.0).contains(&number) => Ok(number),
        _ => Err("a number of milliseconds, 0 to an hour, such as 10 or 0.5".to_owned()),
    }
}

fn seconds(text: &str) -> Result<Duration, String> {
    let number: f64 = text.trim_end_matches('s').parse().map_err(|_| "a number of seconds, such as 10 or 0.5")?;
    match Duration::try_from_secs_f64(number) {
        Ok(time) if time <= Duration::from_secs(7 * 24 * 3600) => Ok(time),
        _ => Err("0 seconds to a week".to_owned()),
    }
}

fn contestant(text: &str) -> Result<Contestant, String> {
    named(text, Contestant::primer, Contestant::mosquitto)
}

/// A broker by its command, or one of the two that are known by name.
fn named(text: &str, primer: fn(&Path) -> Contestant, mosquitto: fn() -> Contestant) -> Result<Contestant, String> {
    match (text.split_once('='), text) {
        (Some((name, command)), _) if !name.is_empty() && command.contains("{port}") => {
            Ok(Contestant { name: name.to_owned(), command: command.to_owned() })
        }
        (None, "mosquitto") => Ok(mosquitto()),
        (None, "primer") => match std::env::current_exe() {
            Ok(program) => Ok(primer(&program)),
            Err(error) => Err(format!("this program does not know where it is ({error}): write primer=COMMAND")),
        },
        _ => Err("write primer, mosquitto, or NAME=COMMAND with {port} in the command".to_owned()),
    }
}

fn row(name: &str) -> Result<Row, String> {
    Row::find(name).ok_or_else(|| {
        let names: Vec<&str> = ROWS.iter().map(|row| row.name).collect();
        format!("one of {}", names.join(", "))
    })
}

/// Runs a benchmark. The code says whether the broker kept its promises.
pub(crate) fn run(bench: Bench) -> anyhow::Result<ExitCode> {
    // The broker's side is its own business; this is for the clients.
    machine::raise_descriptor_limit().context("cannot raise the limit of file descriptors")?;
    let (scenario, arguments) = match bench.kind {
        Kind::Compare(arguments) => return compare(arguments),
        Kind::Crash(arguments) => return crash::run(arguments),
        Kind::Conn(arguments) => (Scenario::Conn, arguments),
        Kind::Pub(arguments) => (Scenario::Pub, arguments),
        Kind::Sub(arguments) => (Scenario::Sub, arguments),
        Kind::P2p(arguments) => (Scenario::P2p, arguments),
        Kind::FanIn(arguments) => (Scenario::FanIn, arguments),
        Kind::Shared(arguments) => (Scenario::Shared, arguments),
        Kind::FanOut(arguments) => (Scenario::FanOut, arguments),
        Kind::Retained(arguments) => (Scenario::Retained, arguments),
        Kind::Backlog(arguments) => (Scenario::Backlog, arguments),
        Kind::Away(arguments) => (Scenario::Away, arguments),
        Kind::Wildcard(arguments) => (Scenario::Wildcard, arguments),
    };
    let telling = arguments.telling;
    let load = load(scenario, arguments)?;
    let report = run_until_stopped(&load.stop.clone(), move || primer_bench::run(&load))??;
    telling.result(&report, report.is_clean())
}

fn load(scenario: Scenario, arguments: LoadArguments) -> anyhow::Result<Load> {
    let mut load = Load::new(scenario);
    if let Some(count) = arguments.count {
        match scenario {
            Scenario::Conn | Scenario::Sub | Scenario::FanOut => load.subscribers = count,
            Scenario::P2p | Scenario::Wildcard => (load.publishers, load.subscribers) = (count, count),
            _ => load.publishers = count,
        }
    }
    load.publishers = arguments.publishers.unwrap_or(load.publishers);
    load.subscribers = arguments.subscribers.unwrap_or(load.subscribers);
    if matches!(scenario, Scenario::P2p | Scenario::Wildcard) && load.publishers != load.subscribers {
        bail!("{} has pairs: say how many with -c", scenario.name());
    }
    load.rhythm = match (arguments.rate, arguments.interval_of_msg) {
        (Some(rate), _) => Loop::Open { rate },
        (None, Some(ms)) if ms > 0.0 => Loop::Open { rate: f64::from(load.publishers) * 1000.0 / ms },
        _ => Loop::Closed { window: arguments.window },
    };
    load.connect_rate = if arguments.interval > 0.0 { 1000.0 / arguments.interval } else { 0.0 };
    if let Some(qos) = arguments.qos {
        load.qos = [QoS::AtMostOnce, QoS::AtLeastOnce, QoS::ExactlyOnce][usize::from(qos.min(2))];
    }
    load.duration = arguments.duration.unwrap_or(load.duration);
    Ok(Load {
        host: arguments.host,
        port: arguments.port,
        version: arguments.protocol_version,
        username: arguments.username,
        password: arguments.password,
        keep_alive_s: arguments.keepalive,
        client_id: arguments.id_prefix,
        payload_bytes: arguments.size,
        retain: arguments.retain,
        topic: arguments.topic,
        filter: arguments.filter,
        warm_up: arguments.warm_up,
        patience: arguments.patience,
        messages: arguments.messages,
        threads: arguments.threads,
        pid: arguments.pid,
        progress: !arguments.telling.quiet,
        ..load
    })
}

/// Runs a benchmark. The first Ctrl-C (or SIGTERM) ends it early, and it clears what it has left behind; the second
/// ends the program.
fn run_until_stopped<T: Send + 'static>(stop: &Stop, work: impl FnOnce() -> T + Send + 'static) -> anyhow::Result<T> {
    let runtime = Builder::new_current_thread().enable_io().build().context("cannot wait for signals")?;
    let result = runtime.block_on(async {
        let mut terminate = signal(SignalKind::terminate()).context("cannot listen for SIGTERM")?;
        let mut interrupt = signal(SignalKind::interrupt()).context("cannot listen for SIGINT")?;
        let mut work = tokio::task::spawn_blocking(work);
        loop {
            tokio::select! {
                result = &mut work => return result.context("the benchmark panicked"),
                _ = terminate.recv() => {}
                _ = interrupt.recv() => {}
            }
            if stop.is_asked() {
                bail!("stopped");
            }
            stop.ask();
            eprintln!("stopping; once more to leave everything as it is");
        }
    });
    runtime.shutdown_background();
    result
}

fn compare(arguments: CompareArguments) -> anyhow::Result<ExitCode> {
    let telling = arguments.telling;
    let rows = if arguments.rows.is_empty() { ROWS.to_vec() } else { arguments.rows };
    let comparison = Comparison {
        contestants: arguments.brokers,
        rows,
        repeats: usize::from(arguments.repeats),
        seconds: arguments.duration.as_secs_f64(),
        threads: arguments.threads,
        progress: !arguments.telling.quiet,
        stop: Stop::default(),
    };
    let compared = run_until_stopped(&comparison.stop.clone(), move || comparison.run())??;
    telling.result(&compared, compared.is_complete())
}
