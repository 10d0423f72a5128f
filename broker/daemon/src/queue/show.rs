//! Queues, groups and figures for people.

use std::fmt::Write as _;

use serde_json::{Value, json};

use super::CONTROL;
use crate::{
    control::{Control, Target, print},
    table::{Align, Table, plain},
    units,
};

/// Queues that are asked for at a time.
const PAGE: usize = 500;

/// All queues, page by page.
pub(super) fn list(target: &Target) -> anyhow::Result<()> {
    let mut control = Control::connect(target, &CONTROL)?;
    let mut queues = Vec::new();
    let mut after = Value::Null;
    loop {
        let mut page = control.ask("listQueues", &json!({"after": after, "limit": PAGE}))?;
        if let Some(Value::Array(more)) = page.get_mut("queues").map(Value::take) {
            queues.extend(more);
        }
        after = page["next"].take();
        if after.is_null() {
            break;
        }
    }
    control.end()?;
    print(target, &json!({"queues": queues}), |data| {
        let all = data["queues"].as_array().map(Vec::as_slice).unwrap_or_default();
        if all.is_empty() {
            return "there are no queues yet: `primer queue create NAME`, or publish to $queue/NAME\n".to_owned();
        }
        let mut table = Table::new(&[
            ("NAME", Align::Left),
            ("MESSAGES", Align::Right),
            ("SIZE", Align::Right),
            ("OLDEST", Align::Right),
            ("GROUPS", Align::Right),
            ("CONSUMERS", Align::Right),
            ("DEAD", Align::Right),
            ("STATE", Align::Left),
        ]);
        for queue in all {
            table.row(vec![
                plain(text(&queue["name"])),
                units::count(number(&queue["messages"])),
                units::bytes(number(&queue["bytes"])),
                units::age(queue["oldest_unix_ms"].as_u64()),
                units::count(queue["groups"].as_array().map_or(0, Vec::len) as u64),
                units::count(number(&queue["consumers"])),
                units::count(number(&queue["dead_letters"])),
                state(queue).to_owned(),
            ]);
        }
        table.print(None)
    })
}

/// One queue with all that is known of it.
pub(super) fn queue(data: &Value) -> String {
    let mut lines = vec![
        ("messages", units::count(number(&data["messages"]))),
        ("size", units::bytes(number(&data["bytes"]))),
        ("oldest", units::age(data["oldest_unix_ms"].as_u64())),
        ("consumers", units::count(number(&data["consumers"]))),
        ("dead letters", units::count(number(&data["dead_letters"]))),
        ("state", state(data).to_owned()),
        ("kept on disk", if data["is_kept"] == json!(true) { "yes" } else { "no" }.to_owned()),
    ];
    lines.extend(definition(&data["definition"]));
    let mut shown = format!("queue {}\n", plain(text(&data["name"])));
    for (name, value) in lines {
        let _a_string_takes_all = writeln!(shown, "  {name:<17} {value}");
    }
    shown.push_str("\nsince the broker started\n");
    for (name, count) in data["counts"].as_object().into_iter().flatten() {
        let count = number(count);
        if count > 0 || ["pushed", "delivered", "acked"].contains(&&**name) {
            let _a_string_takes_all = writeln!(shown, "  {name:<17} {}", units::count(count));
        }
    }
    shown.push('\n');
    shown.push_str(&group_table(&data["groups"]));
    shown
}

fn definition(definition: &Value) -> Vec<(&'static str, String)> {
    let time = |name: &str, none: &str| match definition[name].as_u64() {
        None => none.to_owned(),
        Some(0) => "0".to_owned(),
        Some(ms) => units::span(ms),
    };
    let key = match &definition["key"] {
        Value::String(key) => key.clone(),
        other => format!("property:{}", text(&other["property"])),
    };
    let words: Vec<&str> = definition["bind"].as_array().into_iter().flatten().map(text).collect();
    let deliveries = match number(&definition["deliveries_max"]) {
        0 => "any number".to_owned(),
        most => units::count(most),
    };
    vec![
        ("max messages", units::count(number(&definition["messages_max"]))),
        ("max size", units::bytes(number(&definition["bytes_max"]))),
        ("overflow", text(&definition["overflow"]).replace('_', "-")),
        ("ttl", time("ttl_ms", "never")),
        ("lease", time("lease_ms", "as long as the connection")),
        ("max deliveries", deliveries),
        ("retry delay", time("retry_delay_ms", "0")),
        ("dedupe window", time("dedupe_window_ms", "0")),
        ("default priority", definition["priority"].to_string()),
        ("at most once", yes_or_no(&definition["at_most_once"])),
        ("by key", yes_or_no(&definition["by_key"])),
        ("key of", key),
        ("sync", text(&definition["sync"]).to_owned()),
        ("bound to", if words.is_empty() { "nothing".to_owned() } else { plain(&words.join("  ")) }),
    ]
}

fn yes_or_no(value: &Value) -> String {
    if value == &json!(true) { "yes" } else { "no" }.to_owned()
}

/// The groups of one queue.
pub(super) fn groups(target: &Target, name: &str) -> anyhow::Result<()> {
    let mut control = Control::connect(target, &CONTROL)?;
    let data = control.ask("getQueue", &json!({"name": name}))?;
    control.end()?;
    print(target, &json!({"name": data["name"], "groups": data["groups"]}), |data| group_table(&data["groups"]))
}

fn group_table(groups: &Value) -> String {
    let all = groups.as_array().map(Vec::as_slice).unwrap_or_default();
    if all.is_empty() {
        return "no groups yet: the first consumer makes one, and it gets what is there\n".to_owned();
    }
    let mut table = Table::new(&[
        ("GROUP", Align::Left),
        ("PENDING", Align::Right),
        ("LEASED", Align::Right),
        ("WAITING", Align::Right),
        ("CONSUMERS", Align::Right),
        ("DELIVERY", Align::Left),
    ]);
    for group in all {
        let mode = if group["at_most_once"] == json!(true) { "at most once" } else { "at least once" };
        let order = if group["by_key"] == json!(true) { ", in order by key" } else { "" };
        table.row(vec![
            plain(text(&group["name"])),
            units::count(number(&group["pending"])),
            units::count(number(&group["leased"])),
            units::count(number(&group["waiting"])),
            units::count(number(&group["consumers"])),
            format!("{mode}{order}"),
        ]);
    }
    table.print(None)
}

/// All queues together.
pub(super) fn stats(data: &Value) -> String {
    let mut shown = String::new();
    let mut line = |name: &str, value: String| {
        let _a_string_takes_all = writeln!(shown, "{name:<13} {value}");
    };
    line("queues", units::count(number(&data["queues"])));
    line("paused", units::count(number(&data["paused"])));
    line("messages", units::count(number(&data["messages"])));
    line("size", units::bytes(number(&data["bytes"])));
    line("dead letters", units::count(number(&data["dead_letters"])));
    line("groups", units::count(number(&data["groups"])));
    line("consumers", units::count(number(&data["consumers"])));
    for (name, count) in data["counts"].as_object().into_iter().flatten() {
        line(name, units::count(number(count)));
    }
    line("uptime", units::span(number(&data["uptime_ms"])));
    shown
}

/// What became of a move.
pub(super) fn moved(data: &Value) -> String {
    let (moved, from) = (messages(&data["moved"]), &data["from"]);
    let mut shown = match data["to"].as_str() {
        Some(to) => format!("{moved} moved from {from} to {to:?}\n"),
        None => format!("{moved} moved back from {from}\n"),
    };
    let (refused, unreadable) = (number(&data["refused"]), number(&data["unreadable"]));
    if refused > 0 {
        let _a_string_takes_all = writeln!(shown, "{} refused there, and still here", messages(&json!(refused)));
    }
    if unreadable > 0 {
        let _a_string_takes_all = writeln!(shown, "{} could not be read, and still here", messages(&json!(unreadable)));
    }
    shown
}

/// `1 message`, `1,000 messages`.
pub(super) fn messages(count: &Value) -> String {
    match number(count) {
        1 => "1 message".to_owned(),
        count => format!("{} messages", units::count(count)),
    }
}

fn state(queue: &Value) -> &'static str {
    if queue["is_paused"] == json!(true) { "paused" } else { "delivers" }
}

pub(super) fn number(value: &Value) -> u64 {
    value.as_u64().unwrap_or(0)
}

pub(super) fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}
