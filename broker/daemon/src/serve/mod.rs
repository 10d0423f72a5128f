//! `primer serve`: the configuration, the runtime, the signals.

mod flags;
mod log;

use std::{process::ExitCode, time::Instant};

use anyhow::Context;
use clap::Args;
use primer::Node;
use primer_broker::{
    Broker, SCRAM_ITERATIONS,
    access::{Anonymous, Open, Users},
};
use primer_config::{Access, Flags, Settings};
use primer_mapping::{Host, Mapping};
use primer_mqtt::auth::scram::{Credentials, SALT_BYTES};
use tokio::signal::unix::{SignalKind, signal};

pub(crate) use self::flags::Said;
use self::log::Level;
use crate::{config, machine, probe};

/// The options of `primer serve`.
#[derive(Debug, Args)]
pub(crate) struct Serve {
    /// Check the configuration, say whether it is in order, and end: `primer config check`.
    #[arg(long)]
    test_config: bool,
    #[command(flatten)]
    said: Said,
}

/// Runs the broker until SIGINT or SIGTERM.
pub(crate) fn run(arguments: Serve) -> anyhow::Result<ExitCode> {
    let flags = arguments.said.into_flags();
    if arguments.test_config {
        return config::check(&flags);
    }
    let settings = config::load(&flags)?;
    let level = log::start(&settings.log)?;
    for warning in &settings.warnings {
        tracing::warn!("{warning}");
    }
    let runtime =
        tokio::runtime::Builder::new_multi_thread().enable_all().build().context("cannot start the runtime")?;
    runtime.block_on(serve(&settings, &flags, &level)).map(|()| ExitCode::SUCCESS)
}

async fn serve(started: &Settings, flags: &Flags, level: &Level) -> anyhow::Result<()> {
    let mut settings = started.clone();
    let begun = Instant::now();
    match machine::raise_descriptor_limit() {
        Ok(limit) => tracing::debug!(limit, "file descriptors"),
        Err(error) => tracing::warn!(%error, "cannot raise the limit of file descriptors, and so of connections"),
    }
    let mut terminate = signal(SignalKind::terminate()).context("cannot listen for SIGTERM")?;
    let mut interrupt = signal(SignalKind::interrupt()).context("cannot listen for SIGINT")?;
    let mut hangup = signal(SignalKind::hangup()).context("cannot listen for SIGHUP")?;
    let mut parts = None;
    let rules = settings.rules.clone();
    let prepare = |node: &Node| parts = Some((node.clone(), Mapping::start(node, Host::new(), rules)));
    let broker = start(&settings, prepare)?;
    tell(&settings, &broker, begun);
    loop {
        tokio::select! {
            _ = terminate.recv() => break,
            _ = interrupt.recv() => break,
            _ = hangup.recv() => {
                if let Some((node, mapping)) = &parts {
                    settings = reload(started, &settings, flags, node, level).unwrap_or(settings);
                    mapping.reload().await; // what came of it is in the log
                }
            }
        }
    }
    let drain = settings.drain_timeout;
    tracing::info!("Stopping: clients have {} s to take what waits for them", drain.as_secs());
    let cut = broker.shutdown(drain).await;
    drop(parts);
    tracing::info!("Stopped; {cut} connections had to be cut");
    Ok(())
}

fn start(settings: &Settings, prepare: impl FnOnce(&Node)) -> anyhow::Result<Broker> {
    let mut options = settings.broker.clone();
    if let Some(data) = &mut options.data {
        data.probe = Some(probe::ask);
    }
    match users(&settings.access)? {
        Some(users) => Broker::start_with(options, users, Open, prepare),
        None => Broker::start_with(options, Anonymous, Open, prepare),
    }
    .context("the broker did not start")
}

/// Reads the configuration again and takes what a running broker can take; one that is wrong changes nothing. Answers
/// what holds from now on.
fn reload(started: &Settings, last: &Settings, flags: &Flags, node: &Node, level: &Level) -> Option<Settings> {
    let new = match config::load(flags) {
        Ok(new) => new,
        Err(error) => {
            tracing::error!("the configuration is wrong and stays as it was:\n{error}");
            return None;
        }
    };
    for (pattern, definition) in &new.broker.queues {
        if let Err(error) = node.define(pattern, definition.clone()) {
            tracing::error!(%error, "the queues {pattern} stay as they were");
        }
    }
    level.set(&new.log);
    // What is said has happened. What needs a restart is said until there is one.
    for difference in last.differences(&new).iter().filter(|difference| difference.is_live) {
        tracing::info!("{}: {}", difference.name, difference.says);
    }
    for difference in started.differences(&new).iter().filter(|difference| !difference.is_live) {
        tracing::warn!("{}: {}; it needs a restart", difference.name, difference.says);
    }
    for warning in &new.warnings {
        tracing::warn!("{warning}");
    }
    Some(new)
}

/// Says where it listens, for whom, and what it keeps.
fn tell(settings: &Settings, broker: &Broker, begun: Instant) {
    let who = if settings.access.users.is_empty() {
        "anybody (--user NAME:PASSWORD changes that)"
    } else {
        "the users that are named"
    };
    for address in broker.addresses() {
        tracing::info!("MQTT 3.1, 3.1.1 and 5.0 on {address}, for {who}");
    }
    match (&settings.broker.data, broker.report()) {
        (Some(data), Some(report)) => crate::data::tell(data, report, begun.elapsed()),
        _ => tracing::info!(
            "Messages are kept in memory, {} MiB at most (--memory-limit): they end with this process (--data DIR \
             keeps them)",
            settings.broker.node.memory_bytes_max >> 20
        ),
    }
}

/// The users of the configuration, with no password in them.
fn users(access: &Access) -> anyhow::Result<Option<Users>> {
    let mut users = Users::default();
    for (name, password) in &access.users {
        let mut salt = [0; SALT_BYTES];
        getrandom::fill(&mut salt).map_err(|error| anyhow::anyhow!("the system gives no random bytes: {error}"))?;
        let credentials = Credentials::derive(password.as_bytes(), &salt, SCRAM_ITERATIONS)
            .with_context(|| format!("the password of user {name}"))?;
        users.insert(name, credentials);
    }
    Ok((!access.users.is_empty()).then_some(users))
}
