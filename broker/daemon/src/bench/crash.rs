//! `primer bench crash`: its options.

use std::process::ExitCode;

use clap::Args;
use primer_bench::{Loop, compare::Contestant, crash::Crash};
use primer_mqtt::{Version, codec::packet::QoS};

use super::{Telling, named, run_until_stopped, version};

/// The options of a crash. The exit code is 1 when a broker has lost what it had acknowledged, or a round has failed.
#[derive(Debug, Args)]
pub(super) struct CrashArguments {
    /// A broker, started by a command of the shell with {port} and {dir} (a folder that stays over the crash) in it;
    /// may be given several times. NAME alone is one of `primer` (this program with --data) and `mosquitto` (which
    /// saves its state after each change).
    #[arg(long = "broker", value_name = "NAME[=COMMAND]", value_parser = contestant,
        default_values = ["primer", "mosquitto"])]
    brokers: Vec<Contestant>,
    /// Version of MQTT: 31, 311 or 5.
    #[arg(short = 'V', long, default_value = "311", value_parser = version)]
    protocol_version: Version,
    /// Publishers.
    #[arg(short, long, value_name = "N", default_value_t = 10)]
    count: u32,
    /// QoS of publishes and of the subscription, 1 or 2.
    #[arg(short, long, default_value_t = 1, value_parser = clap::value_parser!(u8).range(1..=2))]
    qos: u8,
    /// Bytes of a payload, at least 28.
    #[arg(short, long, default_value_t = 200)]
    size: usize,
    /// Messages of a publisher that may be on their way (1 to 16,384).
    #[arg(long, default_value_t = 100)]
    window: u16,
    /// Messages acknowledged until the broker is killed.
    #[arg(short = 'n', long, default_value_t = 20_000)]
    messages: u64,
    /// How often each broker is killed.
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u16).range(1..=1000))]
    rounds: u16,
    /// Threads of the load generator.
    #[arg(long, default_value_t = 1)]
    threads: usize,
    #[command(flatten)]
    telling: Telling,
}

fn contestant(text: &str) -> Result<Contestant, String> {
    named(text, Contestant::durable_primer, Contestant::durable_mosquitto)
}

pub(super) fn run(arguments: CrashArguments) -> anyhow::Result<ExitCode> {
    let telling = arguments.telling;
    let crash = crash(arguments);
    let survivals = run_until_stopped(&crash.load.stop.clone(), move || crash.run())??;
    telling.result(&survivals, survivals.is_clean())
}

fn crash(arguments: CrashArguments) -> Crash {
    let mut crash = Crash::new(arguments.brokers);
    crash.answers = arguments.messages;
    crash.rounds = usize::from(arguments.rounds);
    let load = &mut crash.load;
    load.version = arguments.protocol_version;
    load.publishers = arguments.count;
    load.qos = if arguments.qos == 2 { QoS::ExactlyOnce } else { QoS::AtLeastOnce };
    load.payload_bytes = arguments.size;
    load.rhythm = Loop::Closed { window: arguments.window };
    load.threads = arguments.threads;
    load.progress = !arguments.telling.quiet;
    crash
}
