//! The store in `$SYS/broker/store/...`: what it writes, what that costs the disk, and its alarm.

use primer::{drops::Reason, journal::Figures};
use primer_core::commit::Refused;

use crate::hub::Hub;

/// The values, by topic below `$SYS/`; none for a broker in memory.
pub(super) fn values(hub: &Hub) -> Vec<(String, String)> {
    let Some(journal) = hub.node.journal() else { return Vec::new() };
    let figures = journal.store().figures();
    let Figures { written_bytes, payload_bytes, commits, group_messages, .. } = figures;
    let drops = |reason| hub.node.drops.get(reason).to_string();
    let values = [
        ("bytes/written", written_bytes.to_string()),
        ("bytes/written_today", figures.written_today_bytes.to_string()),
        ("bytes/payload", payload_bytes.to_string()),
        ("bytes/read", figures.read_bytes.to_string()),
        ("bytes/cleaned", figures.cleaned_bytes.to_string()),
        ("write_ratio", ratio(written_bytes, payload_bytes)),
        ("write_budget/daily", daily_budget(hub).to_string()),
        ("write_budget/exceeded", u8::from(is_over_budget(hub, &figures)).to_string()),
        ("commits", commits.to_string()),
        ("commits/failed", figures.failed_commits.to_string()),
        ("commits/latency_p50_us", figures.commit_p50_us.to_string()),
        ("commits/latency_p99_us", figures.commit_p99_us.to_string()),
        ("commits/group_size", ratio(group_messages, commits)),
        ("syncs", figures.syncs.to_string()),
        ("messages/written", figures.messages.to_string()),
        ("trimmed/acknowledged", figures.skipped.to_string()),
        ("trimmed/expired", drops(Reason::Expired)),
        ("trimmed/overflow", drops(Reason::QueueOverflow)),
        ("trimmed/evicted", drops(Reason::Evicted)),
        ("damaged", figures.damaged.to_string()),
        ("live/messages", figures.live_records.to_string()),
        ("live/bytes", figures.live_bytes.to_string()),
        ("files/count", figures.segments.to_string()),
        ("files/bytes", figures.file_bytes.to_string()),
        ("budget/bytes", figures.budget_bytes.to_string()),
        ("incarnation", hub.report().map_or(0, |report| report.incarnation).to_string()),
        ("alarm", alarm(hub).unwrap_or_else(|| "none".to_owned())),
    ];
    values.into_iter().map(|(name, value)| (format!("broker/store/{name}"), value)).collect()
}

/// What is wrong with the store, in words; `None` when nothing is.
pub(crate) fn alarm(hub: &Hub) -> Option<String> {
    let journal = hub.node.journal()?;
    let mut alarms = Vec::new();
    if let Err(refusal) = journal.admits() {
        alarms.push(format!("messages are refused: {refusal}{}", figures_of(hub, refusal)));
    }
    let report = hub.report();
    for file in report.iter().flat_map(|report| &report.set_aside) {
        alarms.push(format!("{} did not open and is set aside ({} records were saved)", file.file, file.rows));
    }
    let left_aside = report.map_or(0, |report| report.left_aside);
    if left_aside > 0 {
        let directory = hub.options.data.as_ref().map(|data| data.directory.display().to_string()).unwrap_or_default();
        alarms.push(format!(
            "{left_aside} files of an earlier start are set aside in {directory}: what is missing may have been \
             acknowledged; move or remove them when that is dealt with"
        ));
    }
    for file in report.iter().flat_map(|report| &report.missing) {
        alarms.push(format!("{file} is missing; what was in it is lost"));
    }
    let damaged = report.map_or(0, |report| report.damaged) + journal.store().figures().damaged;
    if damaged > 0 {
        alarms.push(format!("{damaged} records are damaged"));
    }
    if is_over_budget(hub, &journal.store().figures()) {
        // No figure that grows: the log has a line for each alarm that is another one than before.
        alarms.push(format!("more was written today than the daily write budget of {} bytes", daily_budget(hub)));
    }
    (!alarms.is_empty()).then(|| alarms.join("; "))
}

/// Where it is, and what can be done.
fn figures_of(hub: &Hub, refusal: Refused) -> String {
    let Some(data) = &hub.options.data else { return String::new() };
    let directory = data.directory.display();
    match refusal {
        Refused::DiskLimit => {
            let mib = data.store.budget_bytes >> 20;
            format!(
                " ({mib} MiB of {directory}: give it more with storage.disk_limit, or let what is there be fetched)"
            )
        }
        Refused::DiskFull | Refused::DiskFailed => format!(" ({directory})"),
        _ => String::new(),
    }
}

fn daily_budget(hub: &Hub) -> u64 {
    hub.options.data.as_ref().map_or(0, |data| data.store.daily_write_budget_bytes)
}

fn is_over_budget(hub: &Hub, figures: &Figures) -> bool {
    let budget = daily_budget(hub);
    budget > 0 && figures.written_today_bytes > budget
}

fn ratio(of: u64, to: u64) -> String {
    if to == 0 { "0.00".to_owned() } else { format!("{:.2}", of as f64 / to as f64) }
}
