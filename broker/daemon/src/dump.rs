//! `primer dump` and `primer restore`: files, progress, and what is said at the end.

use std::{
    fs::File,
    io::{self, IsTerminal, Write},
    os::unix::fs::OpenOptionsExt,
    path::{Path, PathBuf},
    process::ExitCode,
    time::{Duration, Instant},
};

use anyhow::Context;
use clap::Args;
use primer_broker::{
    journal,
    portable::{self, Dumped, Packed, Progress, Restored, Source},
};

use crate::{
    data::{budget, budget_bytes},
    probe,
};

/// The exit code of a dump that lacks what was damaged.
const INCOMPLETE: u8 = 2;

/// Options of `primer dump`.
#[derive(Debug, Args)]
pub(crate) struct Dump {
    /// The data directory.
    #[arg(long = "data", value_name = "DIR", env = "PRIMER_DATA")]
    directory: PathBuf,
    /// Pack with gzip; a FILE that ends in .gz is packed without being asked.
    #[arg(long)]
    compress: bool,
    /// Where to write; standard output if it is `-` or not given.
    #[arg(value_name = "FILE", default_value = "-")]
    file: PathBuf,
}

/// Options of `primer restore`.
#[derive(Debug, Args)]
pub(crate) struct Restore {
    /// The data directory; it is made if it is missing.
    #[arg(long = "data", value_name = "DIR", env = "PRIMER_DATA")]
    directory: PathBuf,
    /// Add to what is in the directory. Sessions of the same client identifier are replaced with all their messages,
    /// and so are retained messages of the same topic, and tables of the same name with all their entries: the scripts
    /// of mapping rules, and what each rule remembers. Queues of the same name get the messages of the dump behind
    /// theirs.
    #[arg(long)]
    merge: bool,
    /// The most that the data directory may take; 4G, or half of what is free without it if that is less, if not given.
    #[arg(long, value_parser = budget, env = "PRIMER_DISK_LIMIT")]
    disk_limit: Option<u64>,
    /// The dump, packed or not; standard input if it is `-`.
    #[arg(value_name = "FILE")]
    file: PathBuf,
}

/// Writes a dump. A file has its name when it is whole, and not before.
pub(crate) fn dump(arguments: Dump) -> anyhow::Result<ExitCode> {
    let Dump { directory, compress, file } = arguments;
    let mut reading = portable::open(&directory, Some(Box::new(probe::ask_unchanged)))?;
    let mut shown = Shown::new("dumped");
    let mut write = |out: &mut dyn Write| {
        portable::dump(&directory, &mut reading, env!("CARGO_PKG_VERSION"), out, &mut |done| shown.show(done))
    };
    let dumped = if file == Path::new("-") {
        let mut out = Packed::new(io::stdout(), compress);
        let dumped = write(&mut out)?;
        out.finish().and_then(|mut out| out.flush()).context("cannot write the dump")?;
        dumped
    } else {
        let gzip = compress || file.extension().is_some_and(|extension| extension.eq_ignore_ascii_case("gz"));
        to_file(&file, gzip, &mut write)?
    };
    shown.end(&dumped.progress);
    Ok(judge(&dumped))
}

fn to_file(
    file: &Path,
    gzip: bool,
    write: &mut dyn FnMut(&mut dyn Write) -> Result<Dumped, portable::PortableError>,
) -> anyhow::Result<Dumped> {
    let mut name = file.as_os_str().to_owned();
    name.push(".part");
    let part = PathBuf::from(name);
    let cannot = || format!("cannot write {}", file.display());
    // Payloads may be nobody else's business.
    let opened = File::options().write(true).create(true).truncate(true).mode(0o600).open(&part);
    let mut out = Packed::new(opened.with_context(cannot)?, gzip);
    let written = write(&mut out).map_err(anyhow::Error::from).and_then(|dumped| {
        out.finish().and_then(|out| out.sync_all()).with_context(cannot)?;
        std::fs::rename(&part, file).with_context(cannot)?;
        Ok(dumped)
    });
    if written.is_err() {
        let _it_may_be_gone = std::fs::remove_file(&part);
    }
    written
}

fn judge(dumped: &Dumped) -> ExitCode {
    if dumped.left_out == 0 && dumped.files_damaged == 0 {
        return ExitCode::SUCCESS;
    }
    eprintln!(
        "primer: the store is damaged: {} files did not open, {} records could not be read; the dump has all else. \
         `primer store check` says more",
        dumped.files_damaged, dumped.left_out
    );
    ExitCode::from(INCOMPLETE)
}

/// Makes a data directory out of a dump.
pub(crate) fn restore(arguments: Restore) -> anyhow::Result<ExitCode> {
    let Restore { directory, merge, disk_limit, file } = arguments;
    let budget_bytes = disk_limit.unwrap_or_else(|| budget_bytes(&directory));
    let store = journal::Options { budget_bytes, ..journal::Options::default() };
    let what = portable::Restore { directory, store, probe: Some(Box::new(probe::ask_unchanged)), merge };
    let source =
        if file == Path::new("-") { Source::Stream(Box::new(io::stdin())) } else { Source::File(file.clone()) };
    let mut shown = Shown::new("restored");
    let restored = portable::restore(what, source, &mut |done| shown.show(done));
    let restored = restored.with_context(|| format!("{}: nothing was restored", file.display()))?;
    shown.end(&restored.progress);
    if shown.is_terminal && merge {
        let Restored { sessions_kept, queues_kept, tables_kept, messages_kept, .. } = restored;
        let Restored { sessions_replaced, tables_replaced, queues_united, .. } = restored;
        eprintln!(
            "kept {sessions_kept} sessions, {queues_kept} queues, {tables_kept} tables and {messages_kept} messages"
        );
        eprintln!(
            "{sessions_replaced} sessions and {tables_replaced} tables replaced, {queues_united} queues got what the \
             dump has as well"
        );
    }
    if restored.left_out > 0 {
        eprintln!("primer: {} records were damaged where they came from, and are not here", restored.left_out);
    }
    Ok(ExitCode::SUCCESS)
}

/// Progress on a terminal; nothing elsewhere.
struct Shown {
    did: &'static str,
    is_terminal: bool,
    begun: Instant,
    last: Instant,
}

impl Shown {
    fn new(did: &'static str) -> Self {
        Self { did, is_terminal: io::stderr().is_terminal(), begun: Instant::now(), last: Instant::now() }
    }

    fn show(&mut self, done: &Progress) {
        const PAUSE: Duration = Duration::from_millis(200);
        /// Messages between two looks at the clock.
        const LOOK: u64 = 64;
        if self.is_terminal && done.messages.is_multiple_of(LOOK) && self.last.elapsed() >= PAUSE {
            self.last = Instant::now();
            eprint!("\r{}\x1b[K", self.line(done));
        }
    }

    fn end(&self, done: &Progress) {
        if self.is_terminal {
            eprintln!("\r{}\x1b[K", self.line(done));
        }
    }

    fn line(&self, done: &Progress) -> String {
        let seconds = self.begun.elapsed().as_secs_f64();
        let mib = done.bytes as f64 / f64::from(1 << 20);
        let Progress { sessions, queues, tables, messages, .. } = done;
        format!(
            "{} {sessions} sessions, {queues} queues, {tables} tables, {messages} messages: {mib:.1} MiB in \
             {seconds:.1} s, {:.1} MiB/s",
            self.did,
            mib / seconds.max(0.001)
        )
    }
}
