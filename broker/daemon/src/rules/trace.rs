//! `primer rules trace`: the next calls of a broker's rules, step by step.

use std::{process::ExitCode, time::Duration};

use anyhow::bail;
use clap::Args;
use primer_core::topic::check_filter;
use serde_json::json;

use super::{CONTROL, call, fields, list};
use crate::{
    control::{Control, Target, print},
    units,
};

/// The longest that the broker waits.
const SECONDS_MAX: u64 = 300;

/// The options of `primer rules trace`.
#[derive(Debug, Args)]
#[command(disable_help_flag = true)]
pub(crate) struct Watch {
    /// Identifier of the rule; all rules if not given.
    rule: Option<String>,
    /// Only messages whose topic this filter matches.
    #[arg(short, long, value_name = "FILTER")]
    topic: Option<String>,
    /// Calls, at most.
    #[arg(short = 'n', long = "calls", value_name = "CALLS", default_value_t = 10,
        value_parser = clap::value_parser!(u64).range(1..=100))]
    calls: u64,
    /// How long to wait for them: seconds, or 5m.
    #[arg(long, value_name = "TIME", value_parser = units::time, default_value = "30")]
    seconds: Duration,
    #[command(flatten)]
    target: Target,
}

pub(super) fn run(watch: &Watch) -> anyhow::Result<ExitCode> {
    let seconds = watch.seconds.as_millis().div_ceil(1000);
    let Some(seconds) = u64::try_from(seconds).ok().filter(|seconds| (1..=SECONDS_MAX).contains(seconds)) else {
        bail!("--seconds: 1 to {SECONDS_MAX} s are allowed");
    };
    if let Some(filter) = &watch.topic
        && let Err(why) = check_filter(filter)
    {
        bail!("--topic: the filter {filter:?} {why}");
    }
    let asked = fields(&[
        ("rule", watch.rule.as_ref().map(|rule| json!(rule))),
        ("topic", watch.topic.as_ref().map(|topic| json!(topic))),
        ("calls", Some(json!(watch.calls))),
        ("seconds", Some(json!(seconds))),
    ]);
    let mut control = Control::connect(&watch.target, &CONTROL)?;
    let data = control.ask("trace", &asked)?;
    control.end()?;
    print(&watch.target, &data, |data| {
        let calls = (1_u64..).zip(list(&data["calls"]));
        calls.map(|(number, one)| call::shown(number, one) + "\n").collect()
    })?;
    if list(&data["calls"]).is_empty() {
        eprintln!("primer: no rule was called within {seconds} s with a message of the kind");
        return Ok(ExitCode::FAILURE);
    }
    Ok(ExitCode::SUCCESS)
}
