//! `primer serve`: the configuration, the runtime, the signals.

mod access;
mod flags;
mod log;
mod reload;
mod tell;

use std::{
    process::ExitCode,
    time::{Duration, Instant},
};

use anyhow::Context;
use clap::Args;
use primer::Node;
use primer_broker::{Broker, access::Guard};
use primer_config::{Flags, Settings};
use primer_mapping::{Host, Mapping};
use tokio::signal::unix::{SignalKind, signal};

pub(crate) use self::{access::guard, flags::Said};
use self::{log::Level, reload::Running};
use crate::{config, machine, probe, systemd};

/// What a stop may take beyond the time that clients have: the store is closed, and the last words are written.
const STOP_ROOM: Duration = Duration::from_secs(10);

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
    let guard = guard(&settings.access).context("the broker did not start")?;
    let mut parts = None;
    let rules = settings.rules.clone();
    let prepare = |node: &Node| parts = Some((node.clone(), Mapping::start(node, Host::new(), rules)));
    let broker = start(&settings, &guard, prepare)?;
    tell::tell(&settings, &broker, begun);
    let status = format!("serves {} listeners", broker.entrances().len());
    systemd::tell_ready(&status);
    let watchdog = tokio::spawn(systemd::feed_watchdog());
    loop {
        tokio::select! {
            _ = terminate.recv() => break,
            _ = interrupt.recv() => break,
            _ = hangup.recv() => {
                systemd::tell_reloading();
                if let Some((node, mapping)) = &parts {
                    let running = Running { broker: &broker, guard: &guard, node, level, started };
                    if tokio::task::block_in_place(|| running.reload(&mut settings, flags)) {
                        mapping.reload().await; // what came of it is in the log
                    }
                }
                systemd::tell_ready(&status);
            }
        }
    }
    let drain = settings.drain_timeout;
    systemd::tell_stopping(drain + STOP_ROOM);
    tracing::info!("Stopping: clients have {} s to take what waits for them", drain.as_secs());
    let cut = broker.shutdown(drain).await;
    drop(parts);
    watchdog.abort();
    tracing::info!("Stopped; {cut} connections had to be cut");
    Ok(())
}

fn start(settings: &Settings, guard: &Guard, prepare: impl FnOnce(&Node)) -> anyhow::Result<Broker> {
    let mut options = settings.broker.clone();
    if let Some(data) = &mut options.data {
        data.probe = Some(probe::ask);
    }
    let given = systemd::given_sockets()?;
    systemd::give(&mut options.listeners, settings.has_default_listener(), given)?;
    Broker::start_with(options, guard.clone(), guard.clone(), prepare).context("the broker did not start")
}
