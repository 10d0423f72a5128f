//! The log on stderr: lines for people or JSON, and a level that can change.

use std::io::IsTerminal;

use anyhow::Context;
use primer_config::Log;
use tracing_subscriber::{EnvFilter, Registry, layer::SubscriberExt, reload, util::SubscriberInitExt};

/// Sets the level of each part of the program, and so wins over the configuration.
const VARIABLE: &str = "PRIMER_LOG";

/// The level, while the program runs; `None` where the variable has set it for good.
pub(super) struct Level(Option<reload::Handle<EnvFilter, Registry>>);

/// Starts the log.
pub(super) fn start(log: &Log) -> anyhow::Result<Level> {
    let named = std::env::var(VARIABLE).ok().filter(|text| !text.is_empty());
    let filter = match &named {
        Some(text) => EnvFilter::try_new(text)
            .with_context(|| format!("{VARIABLE}=`{text}` is no log filter: write info, or primer_broker=debug"))?,
        None => EnvFilter::new(&log.level),
    };
    let (filter, handle) = reload::Layer::new(filter);
    let lines = tracing_subscriber::fmt::layer().with_writer(std::io::stderr).with_target(false);
    let registry = tracing_subscriber::registry().with(filter);
    if log.is_json {
        registry.with(lines.json().flatten_event(true)).init();
    } else {
        registry.with(lines.with_ansi(std::io::stderr().is_terminal())).init();
    }
    Ok(Level(named.is_none().then_some(handle)))
}

impl Level {
    /// Sets the level.
    pub(super) fn set(&self, log: &Log) {
        if let Some(handle) = &self.0
            && let Err(error) = handle.reload(EnvFilter::new(&log.level))
        {
            tracing::warn!(%error, "the log keeps its level");
        }
    }
}
