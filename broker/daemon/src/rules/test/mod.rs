//! `primer rules test`: the dry run. Rules of files are called here, in this process, with messages from a broker, a
//! dump or standard input; what they would do is counted and shown, and nothing is done. Messages pass through: memory
//! holds one, and the cases that are shown at the end.

mod case;
mod dump;
mod given;
mod history;
mod live;
mod runner;
mod stdin;
mod tally;

use std::{
    path::{Path, PathBuf},
    process::ExitCode,
    sync::Arc,
    time::Duration,
};

use anyhow::bail;
use clap::{ArgGroup, Args};
use primer_mapping::{Host, Lookups, Ruleset};
use serde_json::{Map, Value};

use self::{
    given::Given,
    runner::{Cases, Runner},
};
use super::check;
use crate::{
    control::{Target, write},
    units,
};

/// The options of `primer rules test`.
#[derive(Debug, Args)]
#[command(disable_help_flag = true)]
#[command(group(ArgGroup::new("source").required(true)))]
pub(crate) struct Test {
    /// Files of rules, or directories of which all that end in .rhai are taken.
    #[arg(value_name = "FILE", required = true)]
    files: Vec<PathBuf>,
    /// The last N messages that the broker's rules of the same identifiers were called with.
    #[arg(long, value_name = "N", group = "source", help_heading = "Messages",
        value_parser = clap::value_parser!(u64).range(1..))]
    last: Option<u64>,
    /// Messages in queues, and retained ones, of what `primer dump` has written, packed or not; - is standard input.
    #[arg(long, value_name = "DUMP", group = "source", help_heading = "Messages")]
    dump: Option<PathBuf>,
    /// Of a dump, those in this queue only.
    #[arg(long, value_name = "NAME", requires = "dump", help_heading = "Messages")]
    queue: Option<String>,
    /// A message for each line of standard input: {"topic":"a/b","payload":...}.
    #[arg(long, group = "source", help_heading = "Messages")]
    stdin: bool,
    /// The lines of standard input are payloads, published to this topic.
    #[arg(long, value_name = "TOPIC", requires = "stdin", help_heading = "Messages")]
    topic: Option<String>,
    /// What is published at the broker from now on, for so long: seconds, or 5m.
    #[arg(long, value_name = "TIME", group = "source", value_parser = units::time, help_heading = "Messages")]
    live: Option<Duration>,
    /// Call this rule only.
    #[arg(long, value_name = "ID")]
    rule: Option<String>,
    /// Cases to show; the first ones.
    #[arg(short = 'n', long = "cases", value_name = "N", default_value_t = 10)]
    cases: u64,
    /// Show all cases, as they come.
    #[arg(long, conflicts_with = "cases")]
    all: bool,
    /// Show the variables at the end of each case, and what was printed.
    #[arg(long)]
    trace: bool,
    /// Directory of lookup tables; that of the first FILE if not given.
    #[arg(long, value_name = "DIR")]
    tables: Option<PathBuf>,
    #[command(flatten)]
    target: Target,
}

pub(super) fn run(test: &Test) -> anyhow::Result<ExitCode> {
    let files = check::read(&test.files)?;
    let host = Host::new().lookups(Arc::new(tables(test)?));
    let set = match Ruleset::load(&host, &files) {
        Ok(set) => set,
        Err(wrong) => {
            eprintln!("{wrong}\n");
            bail!("{}: nothing was tried", check::sum(&wrong));
        }
    };
    check::warn(&set);
    if set.rules().is_empty() {
        bail!("there is no rule in what was given");
    }
    if let Some(id) = &test.rule
        && set.rule(id).is_none()
    {
        let known: Vec<&str> = set.rules().iter().map(|rule| rule.id()).collect();
        bail!("--rule: there is no rule {id:?}; there are {}", known.join(", "));
    }
    let shown = if test.all { u64::MAX } else { test.cases };
    let cases = Cases::new(shown, test.all, test.target.json);
    let mut runner = Runner::new(&set, test.rule.as_deref(), test.trace, cases);
    let fed = feed(test, &set, &mut |given| runner.take(&given));
    // What came before a line that is wrong was tried, and is told.
    print(&runner, test.target.json)?;
    fed?;
    if runner.calls() == 0 {
        eprintln!("primer: no message came that is for one of these rules");
        return Ok(ExitCode::FAILURE);
    }
    Ok(if runner.failures() == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// Brings the messages.
fn feed(test: &Test, set: &Ruleset, take: &mut dyn FnMut(Given<'_>) -> anyhow::Result<()>) -> anyhow::Result<()> {
    if let Some(last) = test.last {
        return history::feed(&test.target, set, test.rule.as_deref(), last, take);
    }
    if let Some(file) = &test.dump {
        return dump::feed(file, test.queue.as_deref(), take);
    }
    if let Some(time) = test.live {
        return live::feed(&test.target, set, test.rule.as_deref(), time, take);
    }
    stdin::feed(&mut std::io::stdin().lock(), test.topic.as_deref(), take)
}

/// Reads the lookup tables.
fn tables(test: &Test) -> anyhow::Result<Lookups> {
    let of_file = || {
        let first = test.files.first().map(PathBuf::as_path).unwrap_or(Path::new("."));
        let directory = if first.is_dir() { Some(first) } else { first.parent() };
        directory.filter(|directory| !directory.as_os_str().is_empty()).unwrap_or(Path::new(".")).to_path_buf()
    };
    let lookups = Lookups::in_directory(test.tables.clone().unwrap_or_else(of_file));
    let mut wrong = Vec::new();
    for reload in lookups.reload_if_changed() {
        if let Err(error) = reload.result {
            wrong.push(format!("the table {}: {error}", reload.file.display()));
        }
    }
    if test.tables.is_some() && !wrong.is_empty() {
        bail!("{}", wrong.join("; "));
    }
    // What else is in the directory of the rules may be no table.
    wrong.iter().for_each(|wrong| eprintln!("primer: {wrong}; rules do not have it"));
    Ok(lookups)
}

/// The figures, and the cases where those were not shown as they came.
fn print(runner: &Runner<'_>, is_json: bool) -> anyhow::Result<()> {
    if is_json {
        let rules: Map<String, Value> = runner.tallies().map(|(id, tally)| (id.to_owned(), tally.json())).collect();
        let (cases, seen) = (runner.cases().rest_of_json(), runner.seen());
        return write(format!("{cases},\"messages\":{seen},\"rules\":{}}}\n", Value::Object(rules)).as_bytes());
    }
    let tallies = runner.tallies().map(|(id, tally)| tally.people(id));
    let mut all: Vec<String> = tallies.collect();
    all.extend(Some(runner.cases().people()).filter(|cases| !cases.is_empty()));
    write(all.join("\n").as_bytes())
}
