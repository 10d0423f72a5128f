//! Opens a file of the store in a process of its own: redb may abort on a damaged one.

use std::{
    path::Path,
    process::{Command, Stdio},
};

use primer_broker::journal;

/// The first argument of such a process.
pub(crate) const WORD: &str = "store-probe";

/// Asks another process; `Ok` where none can be started.
pub(crate) fn ask(file: &Path) -> Result<(), String> {
    ask_with(&[], file)
}

/// The same, and the file stays as it is, byte for byte.
pub(crate) fn ask_unchanged(file: &Path) -> Result<(), String> {
    ask_with(&["--unchanged"], file)
}

fn ask_with(options: &[&str], file: &Path) -> Result<(), String> {
    let Ok(program) = std::env::current_exe() else { return Ok(()) };
    let asked =
        Command::new(program).arg(WORD).args(options).arg(file).stdin(Stdio::null()).stdout(Stdio::null()).output();
    match asked {
        Err(error) => {
            tracing::warn!(%error, "a file is opened without having been tried");
            Ok(())
        }
        Ok(output) if output.status.success() => Ok(()),
        Ok(output) => {
            let says = String::from_utf8_lossy(&output.stderr);
            let last = says.lines().last().unwrap_or_default().trim();
            Err(format!("it could not be opened ({}): {last}", output.status))
        }
    }
}

/// The other process: opens the file and looks at every row.
pub(crate) fn answer(file: &Path, unchanged: bool) -> anyhow::Result<()> {
    // A start that was killed must leave nobody who holds its files: the next would take them for damaged.
    #[cfg(target_os = "linux")]
    if let Err(error) = rustix::process::set_parent_process_death_signal(Some(rustix::process::Signal::KILL)) {
        tracing::debug!(%error, "this process may outlive the one that asks it");
    }
    let tried = if unchanged { journal::try_view(file) } else { journal::try_file(file) };
    Ok(tried?)
}
