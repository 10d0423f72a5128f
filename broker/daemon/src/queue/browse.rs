//! `primer queue browse`: shows what is in a queue.

use std::{process::ExitCode, time::Duration};

use anyhow::bail;
use base64::{Engine, engine::general_purpose::STANDARD};
use clap::Args;
use serde_json::{Value, json};

use super::{
    CONTROL, Named,
    show::{number, text},
};
use crate::{
    control::{Control, Target, print},
    table::{Align, Table, plain, terminal_width},
    units,
};

/// Messages that are asked for at a time.
const PAGE: u64 = 200;

/// Bytes of a payload that a table shows, unless all are wanted: the longest line of a terminal.
const PAYLOAD_SHOWN: u64 = 512;

/// The options of `primer queue browse`.
#[derive(Debug, Args)]
#[command(disable_help_flag = true)]
pub(crate) struct Look {
    #[command(flatten)]
    named: Named,
    /// Messages, at most.
    #[arg(short = 'n', long = "count", value_name = "N", default_value_t = 20,
        value_parser = clap::value_parser!(u64).range(1..))]
    count: u64,
    /// Where to begin: `oldest`, `newest` (and then back to older ones), or a position.
    #[arg(long, value_name = "WHERE", default_value = "oldest", value_parser = from)]
    from: Value,
    /// Only those whose topic this filter matches.
    #[arg(short, long, value_name = "FILTER")]
    topic: Option<String>,
    /// Only those that are at most so old: 30s, 5m, 2h.
    #[arg(long, value_name = "TIME", value_parser = units::time)]
    since: Option<Duration>,
    /// Only those that are at least so old.
    #[arg(long, value_name = "TIME", value_parser = units::time)]
    until: Option<Duration>,
    /// Only those with this header, and with this value of it if one is given.
    #[arg(long, value_name = "NAME[=VALUE]")]
    header: Option<String>,
    /// Print payloads whole (up to 64 KiB), one message after another, in place of a table.
    #[arg(long)]
    full: bool,
    #[command(flatten)]
    target: Target,
}

fn from(text: &str) -> Result<Value, String> {
    match text {
        "oldest" | "newest" => Ok(json!(text)),
        _ => text
            .parse::<u64>()
            .map(|position| json!(position))
            .map_err(|_| "write oldest, newest, or a position, which is a whole number".to_owned()),
    }
}

pub(super) fn run(look: &Look) -> anyhow::Result<ExitCode> {
    let ago = |time: Option<Duration>| time.map(|time| units::now_unix_ms().saturating_sub(units::millis(time)));
    let header = look.header.as_ref().map(|text| match text.split_once('=') {
        Some((name, value)) => json!({"name": name, "value": value}),
        None => json!({"name": text}),
    });
    let mut fields = json!({
        "name": look.named.name(),
        "from": look.from,
        "topic": look.topic,
        "since_unix_ms": ago(look.since),
        "until_unix_ms": ago(look.until),
        "header": header,
    });
    if !look.full && !look.target.json {
        fields["payload_max"] = json!(PAYLOAD_SHOWN);
    }
    let mut control = Control::connect(&look.target, &CONTROL)?;
    let (mut messages, mut unreadable) = (Vec::new(), 0);
    let next = loop {
        fields["max"] = json!(PAGE.min(look.count - messages.len() as u64));
        let mut page = control.ask("browse", &fields)?;
        unreadable += number(&page["unreadable"]);
        let Value::Array(more) = page["messages"].take() else { bail!("the broker's answer has no messages") };
        messages.extend(more);
        let next = page["next"].take();
        if next.is_null() || messages.len() as u64 >= look.count {
            break next;
        }
        fields["from"] = next;
    };
    control.end()?;
    let is_empty = messages.is_empty();
    if is_empty {
        eprintln!("primer: nothing of the kind is in the queue {:?}", look.named.name());
    }
    let data = json!({"name": look.named.name(), "messages": messages, "next": next, "unreadable": unreadable});
    print(&look.target, &data, |data| people(data, look.full))?;
    if unreadable > 0 && !look.target.json {
        eprintln!("primer: {unreadable} messages could not be read: their records are damaged, or the disk fails");
    }
    Ok(if is_empty { ExitCode::FAILURE } else { ExitCode::SUCCESS })
}

fn people(data: &Value, full: bool) -> String {
    let messages = data["messages"].as_array().map(Vec::as_slice).unwrap_or_default();
    if full {
        return messages.iter().map(whole).collect();
    }
    if messages.is_empty() {
        return String::new();
    }
    let mut table = Table::new(&[
        ("POSITION", Align::Right),
        ("AGE", Align::Right),
        ("PRIORITY", Align::Right),
        ("STATE", Align::Left),
        ("TOPIC", Align::Left),
        ("PAYLOAD", Align::Left),
    ]);
    for message in messages {
        table.row(vec![
            message["position"].to_string(),
            units::age(message["time_unix_ms"].as_u64()),
            message["priority"].to_string(),
            state(message),
            plain(text(&message["topic"])),
            payload(message),
        ]);
    }
    table.print(terminal_width())
}

/// How it stands, or why it is a dead letter.
fn state(message: &Value) -> String {
    if let Some(dead) = message.get("dead") {
        return text(&dead["reason"]).to_owned();
    }
    match message["due_unix_ms"].as_u64() {
        Some(due) => format!("waits {}", units::span(due.saturating_sub(units::now_unix_ms()))),
        None => text(&message["state"]).to_owned(),
    }
}

/// What a line shows of a payload.
fn payload(message: &Value) -> String {
    let bytes = number(&message["bytes"]);
    let Some(shown) = message["text"].as_str() else {
        return format!("({}, no text)", units::bytes(bytes));
    };
    let more = if (shown.len() as u64) < bytes { "…" } else { "" };
    format!("{}{more}", plain(shown))
}

/// A message with all that is known of it.
fn whole(message: &Value) -> String {
    let mut shown = String::new();
    let mut line = |name: &str, value: String| shown.push_str(&format!("{name}: {value}\n"));
    line("position", message["position"].to_string());
    line("age", units::age(message["time_unix_ms"].as_u64()));
    line("priority", message["priority"].to_string());
    line("state", state(message));
    for name in ["topic", "key", "id", "publisher", "content_type", "response_topic"] {
        if let Some(value) = message[name].as_str() {
            line(name, plain(value));
        }
    }
    if let Some(dead) = message.get("dead") {
        let deliveries = number(&dead["deliveries"]);
        let (queue, group) = (plain(text(&dead["queue"])), plain(text(&dead["group"])));
        line("dead", format!("{} in group {group:?} of {queue:?}, delivered {deliveries}x", text(&dead["reason"])));
    }
    for header in message["headers"].as_array().into_iter().flatten() {
        line(&format!("header {}", plain(text(&header[0]))), plain(text(&header[1])));
    }
    line("bytes", message["bytes"].to_string());
    let body = match message["text"].as_str() {
        Some(body) => body.to_owned(),
        None => {
            let bytes = STANDARD.decode(text(&message["payload"])).unwrap_or_default();
            bytes.iter().map(|byte| format!("{byte:02x}")).collect::<Vec<_>>().join(" ")
        }
    };
    format!("{shown}\n{body}\n\n")
}
