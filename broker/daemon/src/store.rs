//! `primer store check | stats | compact`.

use std::{
    path::PathBuf,
    process::ExitCode,
    sync::Arc,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use clap::{Args, Subcommand, ValueEnum};
use primer_broker::{
    journal::{self, Checked, FileCheck, Folder},
    portable::{self, Survey},
};
use serde_json::{Value, json};

use crate::{
    data::{budget, budget_bytes},
    probe,
};

/// The exit code of a check that could not be made.
const NOT_CHECKED: u8 = 2;

/// What is to be done with a data directory.
#[derive(Debug, Subcommand)]
pub(crate) enum Store {
    /// Read every record of every file and say what is damaged, and where. Ends with 0 if all is sound, 1 if something
    /// is damaged, 2 if it could not be checked. Changes nothing.
    Check(Place),
    /// Say what is in it: files, sessions, queues, messages, tables, the largest of them. Changes nothing.
    Stats {
        #[command(flatten)]
        place: Place,
        /// How many queues to name, and how many tables.
        #[arg(long, default_value_t = 10)]
        top: usize,
        /// By what queues are large; tables have entries where queues have messages.
        #[arg(long, value_enum, default_value_t = By::Bytes)]
        by: By,
    },
    /// Write what is wanted into fresh files, and give back the room of the rest. It takes room for what is wanted a
    /// second time meanwhile; a crash leaves the old files or the new ones.
    Compact {
        #[command(flatten)]
        place: Place,
        /// The most that the data directory may take, which says how large its files are; as of `primer serve`.
        #[arg(long, value_parser = budget, env = "PRIMER_DISK_LIMIT")]
        disk_limit: Option<u64>,
    },
}

/// Which directory, and how to say it.
#[derive(Debug, Args)]
pub(crate) struct Place {
    /// The data directory.
    #[arg(long = "data", value_name = "DIR", env = "PRIMER_DATA")]
    directory: PathBuf,
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

/// By what queues are large.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum By {
    /// Bytes of their records.
    Bytes,
    /// Messages.
    Messages,
}

pub(crate) fn run(what: Store) -> anyhow::Result<ExitCode> {
    match what {
        Store::Check(place) => Ok(match check(&place) {
            Ok(code) => code,
            Err(error) => {
                eprintln!("primer: {error:#}");
                ExitCode::from(NOT_CHECKED)
            }
        }),
        Store::Stats { place, top, by } => stats(&place, top, by),
        Store::Compact { place, disk_limit } => compact(&place, disk_limit),
    }
}

fn check(place: &Place) -> anyhow::Result<ExitCode> {
    let Place { directory, json } = place;
    portable::look_for(directory)?;
    let folder = Folder::take_to_read(directory, Some(Box::new(probe::ask_unchanged)))?;
    let checked = journal::check(Arc::new(folder))?;
    // What is sound to the store may make no sense to the broker.
    let mut reading = portable::open(directory, Some(Box::new(probe::ask_unchanged)))?;
    let survey = portable::survey(directory, &mut reading, 0, false).ok();
    let is_sound = checked.is_sound() && survey.as_ref().is_some_and(|survey| survey.records_damaged == 0);
    if *json {
        println!("{}", check_json(&checked, survey.as_ref(), is_sound));
    } else {
        print_check(&checked, survey.as_ref(), is_sound);
    }
    Ok(if is_sound { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn check_json(checked: &Checked, survey: Option<&Survey>, is_sound: bool) -> Value {
    let file = |file: &FileCheck| {
        json!({
            "name": file.name, "bytes": file.bytes, "rows": file.rows, "messages": file.messages,
            "problems": file.problems, "told": file.told,
        })
    };
    json!({
        "sound": is_sound,
        "files": checked.files.iter().map(file).collect::<Vec<_>>(),
        "records_damaged": survey.map(|survey| survey.records_damaged),
        "sessions": survey.map(|survey| survey.sessions),
        "messages": survey.map(|survey| survey.messages),
        "was_closed": survey.map(|survey| survey.was_closed),
        "set_aside": checked.set_aside,
        "missing": checked.missing,
        "unfinished": checked.unfinished,
    })
}

fn print_check(checked: &Checked, survey: Option<&Survey>, is_sound: bool) {
    for file in &checked.files {
        let FileCheck { name, bytes, rows, messages, problems, told } = file;
        let says = if *problems == 0 { "sound".to_owned() } else { format!("DAMAGED, {problems} problems") };
        println!("{name}  {bytes} bytes, {rows} rows, {messages} messages: {says}");
        told.iter().for_each(|problem| println!("  {problem}"));
        if *problems > told.len() as u64 {
            println!("  and {} more", problems - told.len() as u64);
        }
    }
    checked.missing.iter().for_each(|name| println!("{name}  MISSING: no broker removed it"));
    checked.set_aside.iter().for_each(|name| println!("{name}  was set aside earlier, damaged; nothing needs it"));
    checked.unfinished.iter().for_each(|name| println!("{name}  was not finished; nothing needs it"));
    if let Some(survey) = survey {
        println!("{} sessions, {} messages that are wanted", survey.sessions, survey.messages);
    }
    let damaged = survey.map_or(0, |survey| survey.records_damaged);
    match (is_sound, damaged) {
        (true, _) => println!("sound"),
        (false, 0) => println!("DAMAGED"),
        (false, records) => println!("DAMAGED: {records} records cannot be read"),
    }
}

fn stats(place: &Place, top: usize, by: By) -> anyhow::Result<ExitCode> {
    let Place { directory, json } = place;
    let mut reading = portable::open(directory, Some(Box::new(probe::ask_unchanged)))?;
    let survey = portable::survey(directory, &mut reading, top, by == By::Messages)?;
    if *json {
        println!("{}", serde_json::to_string(&survey)?);
        return Ok(ExitCode::SUCCESS);
    }
    let closed = if survey.was_closed { "closed" } else { "not closed: recovered when it is opened" };
    println!("format {}, incarnation {}, {closed}", survey.format, survey.incarnation);
    println!("files          {:>14}  {} bytes, {} wanted", survey.files.len(), survey.file_bytes, survey.live_bytes);
    for file in &survey.files {
        let portable::File { name, bytes, live_bytes, live_records } = file;
        println!("  {name}  {bytes} bytes, {live_bytes} wanted, in {live_records} messages");
    }
    println!("sessions       {:>14}  {} subscriptions", survey.sessions, survey.subscriptions);
    println!("queues         {:>14}", survey.named_queues);
    let (entries, bytes) = (survey.in_named_tables, survey.table_bytes);
    println!("tables         {:>14}  {entries} entries, {bytes} bytes", survey.named_tables);
    println!("messages       {:>14}", survey.messages);
    println!("  in sessions  {:>14}  {} of them in flight", survey.queued, survey.in_flight);
    println!("  in queues    {:>14}", survey.in_named_queues);
    println!("  retained     {:>14}", survey.retained);
    println!("  delayed      {:>14}", survey.delayed);
    if let Some(oldest) = &survey.oldest {
        println!("oldest message {:>14}  {}, in {}", oldest.sequence, oldest.topic, oldest.queue);
    }
    if !survey.queues.is_empty() {
        println!("largest              messages           bytes");
    }
    for queue in &survey.queues {
        let more = queue.groups.map_or_else(String::new, |groups| more(groups, queue.oldest_unix_ms));
        println!("  {:>25}  {:>14}  {}{more}", queue.messages, queue.bytes, queue.name);
    }
    if !survey.tables.is_empty() {
        println!("largest               entries           bytes");
    }
    for portable::Table { name, entries, bytes } in &survey.tables {
        println!("  {entries:>25}  {bytes:>14}  table {name}");
    }
    if survey.files_damaged > 0 || survey.records_damaged > 0 {
        let (files, records) = (survey.files_damaged, survey.records_damaged);
        println!("DAMAGED: {files} files, {records} records: `primer store check` says more");
    }
    Ok(ExitCode::SUCCESS)
}

/// What is said of a queue with groups beside its size.
fn more(groups: u64, oldest_unix_ms: Option<u64>) -> String {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or(Duration::ZERO);
    let oldest = oldest_unix_ms.map(|unix_ms| now.saturating_sub(Duration::from_millis(unix_ms)).as_secs());
    let oldest = oldest.map_or_else(String::new, |seconds| format!(", the oldest {seconds} s old"));
    format!("  {groups} groups{oldest}")
}

fn compact(place: &Place, disk_limit: Option<u64>) -> anyhow::Result<ExitCode> {
    let Place { directory, json } = place;
    portable::look_for(directory)?;
    let budget_bytes = disk_limit.unwrap_or_else(|| budget_bytes(directory));
    let options = journal::Options { budget_bytes, ..journal::Options::default() };
    let done = journal::compact(directory, Some(Box::new(probe::ask)), &options)?;
    let (before, after) = (done.before, done.after);
    if *json {
        let sizes = |sizes: journal::Sizes| json!({ "files": sizes.files, "bytes": sizes.bytes });
        let done = json!({
            "before": sizes(before), "after": sizes(after), "messages": done.records, "live_bytes": done.live_bytes,
            "files_damaged": done.report.files_damaged(), "records_damaged": done.report.damaged,
        });
        println!("{done}");
    } else {
        println!("before  {} files, {} bytes", before.files, before.bytes);
        println!(
            "after   {} files, {} bytes; {} messages of {} bytes",
            after.files, after.bytes, done.records, done.live_bytes
        );
    }
    for aside in &done.report.set_aside {
        eprintln!(
            "primer: {} was damaged ({}) and is set aside; {} records were taken out of it",
            aside.file, aside.why, aside.rows
        );
    }
    done.report.missing.iter().for_each(|file| eprintln!("primer: {file} is missing; what was in it is lost"));
    Ok(ExitCode::SUCCESS)
}
