//! `primer rules`: mapping rules on the command line. `check` and `test` work here, in this process and without a
//! broker if need be; the others ask a running broker, which does the work.

mod call;
mod check;
mod diff;
mod script;
mod show;
mod state;
mod test;
mod trace;

use std::process::ExitCode;

use clap::{Args, Subcommand};
use serde_json::{Value, json};

use crate::control::{self, Channel, Target};

/// Where the broker takes commands about rules.
const CONTROL: Channel = Channel { name: "rules", about: "rules" };

/// The commands of `primer rules`.
#[derive(Debug, Subcommand)]
pub(crate) enum Rules {
    /// Check files of rules: syntax, unknown functions, options, loops. No broker is needed.
    Check(check::Check),
    /// Try files of rules on messages, without any effect: what would come of each.
    Test(Box<test::Test>),
    /// All rules and scripts of a broker.
    #[command(visible_alias = "list")]
    Ls(Plain),
    /// The text of a script.
    Show(script::Show),
    /// Give a broker a script: its rules take the place of those of the script of this name, or nothing changes.
    Apply(script::Apply),
    /// Take an earlier version of a script again.
    Rollback(script::Rollback),
    /// End a script with its rules. What waits for them stays in their queues.
    Rm(script::Rm),
    /// Read the directory of scripts again, at once.
    Reload(Plain),
    /// What rules have done, and what it took.
    Stats(show::Stats),
    /// Watch the next calls step by step.
    Trace(trace::Watch),
    /// What a rule remembers.
    State(state::Look),
}

#[derive(Debug, Args)]
#[command(disable_help_flag = true)]
pub(crate) struct Plain {
    #[command(flatten)]
    target: Target,
}

/// Runs one command. That nobody reads its output any more, such as `head`, is no fault.
pub(crate) fn run(rules: Rules) -> anyhow::Result<ExitCode> {
    control::unless_unread(carry_out(rules))
}

fn carry_out(rules: Rules) -> anyhow::Result<ExitCode> {
    match rules {
        Rules::Check(check) => return check::run(&check),
        Rules::Test(test) => return test::run(&test),
        Rules::Ls(Plain { target }) => show::rules(&target)?,
        Rules::Show(show) => script::show(&show)?,
        Rules::Apply(apply) => script::apply(&apply)?,
        Rules::Rollback(rollback) => script::rollback(&rollback)?,
        Rules::Rm(rm) => script::rm(&rm)?,
        Rules::Reload(Plain { target }) => return script::reload(&target),
        Rules::Stats(stats) => show::stats(&stats)?,
        Rules::Trace(watch) => return trace::run(&watch),
        Rules::State(look) => state::run(&look)?,
    }
    Ok(ExitCode::SUCCESS)
}

/// Has one command carried out, and prints the answer.
fn tell(target: &Target, command: &str, fields: &Value, people: impl FnOnce(&Value) -> String) -> anyhow::Result<()> {
    control::tell(target, &CONTROL, command, fields, people)
}

fn number(value: &Value) -> u64 {
    value.as_u64().unwrap_or(0)
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}

fn list(value: &Value) -> &[Value] {
    value.as_array().map(Vec::as_slice).unwrap_or_default()
}

/// Members with those left out that are not said.
fn fields(all: &[(&str, Option<Value>)]) -> Value {
    let said = all.iter().filter_map(|(name, value)| Some(((*name).to_owned(), value.clone()?)));
    json!(said.collect::<serde_json::Map<String, Value>>())
}

/// `a`, `a, b`, or a word for none.
fn names(value: &Value) -> String {
    let all: Vec<&str> = list(value).iter().map(text).collect();
    if all.is_empty() { "none".to_owned() } else { all.join(", ") }
}

/// Microseconds for people: `85 µs`, `1.2 ms`, `3.4 s`.
fn micros(micros: f64) -> String {
    match micros {
        ..9.95 => format!("{micros:.1} µs"),
        ..999.5 => format!("{micros:.0} µs"),
        ..999_500.0 => format!("{:.1} ms", micros / 1e3),
        _ => format!("{:.1} s", micros / 1e6),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_have_the_unit_that_fits() {
        for (number, wanted) in
            [(0.44, "0.4 µs"), (12.3, "12 µs"), (999.4, "999 µs"), (1234.0, "1.2 ms"), (2_500_000.0, "2.5 s")]
        {
            assert_eq!(micros(number), wanted);
        }
    }

    #[test]
    fn what_is_not_said_is_left_out() {
        assert_eq!(fields(&[("a", Some(json!(1))), ("b", None)]), json!({"a": 1}));
        assert_eq!((names(&json!(["x", "y"])), names(&json!([]))), ("x, y".to_owned(), "none".to_owned()));
    }
}
