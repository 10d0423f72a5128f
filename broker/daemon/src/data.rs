//! What `primer serve` is told about the data directory, and what it says of it.

use std::{path::PathBuf, time::Duration};

use anyhow::bail;
use clap::{Args, ValueEnum};
use primer_broker::{
    DataOptions,
    journal::{self, Report, Sync},
};

use crate::{machine, probe, serve::size};

/// The disk budget where half of what is free is more.
const BUDGET_BYTES: u64 = 4 << 30;

/// When a message counts as kept.
#[derive(Debug, Clone, Copy, ValueEnum)]
enum When {
    /// At once; it is written soon after.
    Never,
    /// When the disk has it, along with all that came meanwhile.
    Group,
    /// When the disk has it, each message for itself.
    Each,
}

/// Options of the data directory.
#[derive(Debug, Args)]
pub(crate) struct Data {
    /// Keep sessions, their messages, retained and delayed messages in this directory, so that they outlive the process
    /// and the power.
    #[arg(long = "data", value_name = "DIR", env = "PRIMER_DATA")]
    directory: Option<PathBuf>,
    /// When a publish to a session that lasts, or to be retained, is acknowledged.
    #[arg(long, value_enum, default_value_t = When::Group, env = "PRIMER_SYNC")]
    sync: When,
    /// The most that the data directory may take; 4G, or half of what is free if that is less, if not given.
    #[arg(long, value_parser = budget, env = "PRIMER_DISK_LIMIT")]
    disk_limit: Option<u64>,
    /// Milliseconds that a commit waits for more while fewer than ten messages are there: less wear of a flash card for
    /// later acknowledgements.
    #[arg(long, default_value_t = 0, value_name = "MS", value_parser = clap::value_parser!(u64).range(..=10_000))]
    gather: u64,
    /// Bytes a day above which writing to the disk raises an alarm; 0 for none.
    #[arg(long, value_parser = size, default_value = "0")]
    daily_write_budget: u64,
}

pub(crate) fn budget(text: &str) -> Result<u64, String> {
    let least = journal::BUDGET_BYTES_MIN;
    size(text).and_then(|bytes| {
        if bytes < least {
            Err(format!("`{text}` is too little: {}M at least", least.div_ceil(1 << 20)))
        } else {
            Ok(bytes)
        }
    })
}

/// The disk budget where none is given.
pub(crate) fn budget_bytes(directory: &std::path::Path) -> u64 {
    let half = machine::free_bytes(directory).map_or(BUDGET_BYTES, |free| free / 2);
    half.clamp(journal::BUDGET_BYTES_MIN, BUDGET_BYTES)
}

impl Data {
    /// What the broker is told; `None` without a directory.
    pub(crate) fn options(self, evicts: bool) -> anyhow::Result<Option<DataOptions>> {
        let Some(directory) = self.directory else {
            if self.disk_limit.is_some() {
                bail!("--disk-limit says how much the data directory may take: name it with --data DIR");
            }
            return Ok(None);
        };
        let budget_bytes = self.disk_limit.unwrap_or_else(|| budget_bytes(&directory));
        let store = journal::Options {
            sync: match self.sync {
                When::Never => Sync::Never,
                When::Group => Sync::Group,
                When::Each => Sync::Each,
            },
            budget_bytes,
            gather: Duration::from_millis(self.gather),
            daily_write_budget_bytes: self.daily_write_budget,
            evicts,
        };
        Ok(Some(DataOptions { directory, store, probe: Some(probe::ask) }))
    }
}

/// Says what was found, and how long it took.
pub(crate) fn tell(data: &DataOptions, report: &Report, took: Duration) {
    let DataOptions { directory, store, .. } = data;
    tracing::info!(
        "Messages of sessions that last, retained and delayed ones are kept in {}, {} MiB at most (--disk-limit)",
        directory.display(),
        store.budget_bytes >> 20
    );
    let how = if report.was_unclean { "after an unclean stop" } else { "after a clean stop" };
    let (messages, segments) = (report.messages, report.segments);
    tracing::info!("{messages} messages in {segments} files were found {how}, in {} ms", took.as_millis());
    for file in &report.set_aside {
        tracing::error!(
            "{} did not open ({}): it is set aside; {} records were taken out of it. What is missing may have been \
             acknowledged",
            file.file,
            file.why,
            file.rows
        );
    }
    for file in &report.missing {
        tracing::error!("{file} is missing: the broker did not remove it. What was in it may have been acknowledged");
    }
    if report.damaged > 0 {
        tracing::error!("{} records are damaged and are left out", report.damaged);
    }
}
