//! What is said of the data directory, and how much it may take.

use std::{path::Path, time::Duration};

use primer_broker::{
    DataOptions,
    journal::{self, Report},
};
use primer_config::quantity::size;

use crate::machine::ThisMachine;

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
pub(crate) fn budget_bytes(directory: &Path) -> u64 {
    primer_config::disk_bytes(&ThisMachine, directory)
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
