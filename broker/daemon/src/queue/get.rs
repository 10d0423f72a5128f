//! `primer queue get`: consumes messages. What was printed is acknowledged, unless something else is to be said of it.

use std::{
    process::ExitCode,
    time::{Duration, Instant},
};

use anyhow::bail;
use base64::{Engine, engine::general_purpose::STANDARD};
use clap::Args;
use primer_mqtt::{
    ReasonCode,
    codec::packet::{PacketId, QoS, SubscribeOptions},
};
use serde_json::{Map, Value, json};

use super::Named;
use crate::{
    control::{
        Target,
        client::{Arrived, Client},
        write,
    },
    units,
};

/// Messages that the broker may send ahead. Few: a broker may have a smaller window of its own (`--max-inflight`), and
/// then gives the last of them only when those before are answered.
const WINDOW_MAX: u64 = 20;

/// The same where all of them are with this client until the end: below the window that brokers have.
const NACKED_MAX: u64 = 500;

/// The options of `primer queue get`.
#[derive(Debug, Args)]
#[command(disable_help_flag = true)]
pub(crate) struct Get {
    #[command(flatten)]
    named: Named,
    /// Messages, at most.
    #[arg(short = 'n', long = "count", value_name = "N", default_value_t = 1,
        value_parser = clap::value_parser!(u64).range(1..))]
    count: u64,
    /// Group that consumes; it is made if it is missing. Each group gets every message.
    #[arg(short, long, default_value = "default")]
    group: String,
    /// How long to wait for a message: seconds, or 500ms, 5m.
    #[arg(short, long, value_name = "TIME", value_parser = units::time, default_value = "1")]
    wait: Duration,
    /// They are done with, when they are printed; what happens if nothing is said.
    #[arg(long, conflicts_with_all = ["nack", "reject"])]
    ack: bool,
    /// They are to be delivered again.
    #[arg(long, conflicts_with = "reject")]
    nack: bool,
    /// They go to the dead letters.
    #[arg(long)]
    reject: bool,
    /// Print topic and headers before each payload.
    #[arg(short, long)]
    verbose: bool,
    #[command(flatten)]
    target: Target,
}

impl Get {
    const fn reason(&self) -> ReasonCode {
        match (self.nack, self.reject) {
            (true, _) => ReasonCode::UNSPECIFIED_ERROR,
            (_, true) => ReasonCode::PAYLOAD_FORMAT_INVALID,
            _ => ReasonCode::SUCCESS,
        }
    }
}

pub(super) fn run(get: &Get) -> anyhow::Result<ExitCode> {
    if get.nack && get.count > NACKED_MAX {
        bail!("-n {}: {NACKED_MAX} at most with --nack, as they are with this client until the end", get.count);
    }
    let window_max = if get.nack { NACKED_MAX } else { WINDOW_MAX };
    let window = u16::try_from(get.count.min(window_max)).unwrap_or(u16::MAX);
    let mut client = Client::connect(&get.target, Some(window))?;
    let filter = format!("$share/{}/{}", get.group, address(&get.named.name()));
    client.subscribe(&filter, SubscribeOptions::from_qos(QoS::AtLeastOnce))?;
    let mut held: Vec<PacketId> = Vec::new();
    let mut got = 0;
    while got < get.count {
        let Some(arrived) = client.next(Instant::now() + get.wait)? else { break };
        got += 1;
        if get.target.json {
            let before = if got == 1 { '[' } else { ',' };
            write(format!("{before}{}", json(&arrived)).as_bytes())?;
        } else {
            write(&text(&arrived, get.verbose))?;
        }
        held.extend(arrived.packet_id);
        // What is acknowledged makes room for one more. The last ones are held, so that no more come than are wanted.
        if got + u64::from(window) <= get.count {
            answer(&mut client, get, &mut held)?;
        }
    }
    if get.target.json {
        write(if got == 0 { b"[]\n" } else { b"]\n" })?;
    }
    client.unsubscribe(&filter)?;
    answer(&mut client, get, &mut held)?;
    client.disconnect()?;
    if got == 0 {
        eprintln!("primer: no message came within {}", units::span(units::millis(get.wait)));
        return Ok(ExitCode::FAILURE);
    }
    Ok(ExitCode::SUCCESS)
}

/// Says of all that are held what is to be said.
fn answer(client: &mut Client, get: &Get, held: &mut Vec<PacketId>) -> anyhow::Result<()> {
    held.drain(..).try_for_each(|id| client.acknowledge(id, get.reason()))
}

fn address(name: &str) -> String {
    if name.starts_with(super::DEAD) { name.to_owned() } else { format!("$queue/{name}") }
}

fn text(arrived: &Arrived, verbose: bool) -> Vec<u8> {
    let mut out = Vec::new();
    if verbose {
        let mut head = format!("{}\n", arrived.topic);
        if let Some(content_type) = &arrived.content_type {
            head.push_str(&format!("content-type: {content_type}\n"));
        }
        arrived.headers.iter().for_each(|(name, value)| head.push_str(&format!("{name}: {value}\n")));
        head.push('\n');
        out.extend_from_slice(head.as_bytes());
    }
    out.extend_from_slice(&arrived.payload);
    out.push(b'\n');
    out
}

fn json(arrived: &Arrived) -> Value {
    let headers: Vec<[&str; 2]> = arrived.headers.iter().map(|(name, value)| [&**name, &**value]).collect();
    let mut shown = Map::new();
    let mut add = |name: &str, value: Value| shown.insert(name.to_owned(), value);
    add("topic", json!(arrived.topic));
    add("payload", json!(STANDARD.encode(&arrived.payload)));
    if let Ok(text) = std::str::from_utf8(&arrived.payload) {
        add("text", json!(text));
    }
    if !headers.is_empty() {
        add("headers", json!(headers));
    }
    if let Some(content_type) = &arrived.content_type {
        add("content_type", json!(content_type));
    }
    Value::Object(shown)
}
