//! Rules, scripts and figures of a broker for people.

use std::fmt::Write as _;

use clap::Args;
use serde_json::{Value, json};

use super::{CONTROL, fields, list, micros, number, text};
use crate::{
    control::{Control, Target, print},
    table::{Align, Table, plain},
    units,
};

/// The options of `primer rules stats`.
#[derive(Debug, Args)]
#[command(disable_help_flag = true)]
pub(crate) struct Stats {
    /// Identifier of the rule; all rules if not given.
    rule: Option<String>,
    #[command(flatten)]
    target: Target,
}

/// All rules, and the scripts that they come from.
pub(super) fn list_rules(data: &Value) -> String {
    let mut shown = rules_table(list(&data["rules"]));
    let scripts = list(&data["scripts"]);
    if !scripts.is_empty() {
        shown.push('\n');
        shown.push_str(&scripts_table(scripts));
    }
    if let Some(directory) = data["directory"].as_str() {
        let _a_string_takes_all = writeln!(shown, "\ndirectory: {}", plain(directory));
    }
    let tables = list(&data["tables"]);
    if !tables.is_empty() {
        let _a_string_takes_all = writeln!(shown, "tables: {}", super::names(&data["tables"]));
    }
    for (what, texts) in [
        ("warning", list(&data["warnings"]).iter().map(text).collect::<Vec<&str>>()),
        ("error", scripts.iter().filter_map(|script| script["error"].as_str()).collect()),
        ("error", list(&data["table_errors"]).iter().map(text).collect()),
    ] {
        for one in texts {
            let _a_string_takes_all = write!(shown, "\n{what}: {one}\n");
        }
    }
    shown
}

pub(super) fn rules(target: &Target) -> anyhow::Result<()> {
    super::tell(target, "listRules", &json!({}), list_rules)
}

fn rules_table(rules: &[Value]) -> String {
    if rules.is_empty() {
        return "there are no rules: `primer rules apply FILE`, or a directory of scripts\n".to_owned();
    }
    let mut table = Table::new(&[
        ("RULE", Align::Left),
        ("STAGE", Align::Left),
        ("SOURCE", Align::Left),
        ("SCRIPT", Align::Left),
        ("CALLS", Align::Right),
        ("FAILED", Align::Right),
        ("WAITING", Align::Right),
    ]);
    for rule in rules {
        table.row(vec![
            plain(text(&rule["id"])),
            text(&rule["stage"]).to_owned(),
            plain(text(&rule["source"])),
            format!("{}:{}", plain(text(&rule["script"])), rule["line"]),
            units::count(number(&rule["stats"]["calls"])),
            units::count(failed(&rule["stats"])),
            waiting(&rule["waiting"]) + if rule["is_resting"] == true { ", rests" } else { "" },
        ]);
    }
    table.print(None)
}

fn scripts_table(scripts: &[Value]) -> String {
    let mut table = Table::new(&[
        ("SCRIPT", Align::Left),
        ("ACTIVE", Align::Right),
        ("FROM", Align::Left),
        ("AGE", Align::Right),
        ("VERSIONS", Align::Left),
    ]);
    for script in scripts {
        let versions = list(&script["versions"]);
        let active = versions.iter().find(|version| version["version"] == script["active"]);
        let numbers: Vec<String> = versions.iter().map(|version| version["version"].to_string()).collect();
        table.row(vec![
            plain(text(&script["name"])),
            script["active"].as_u64().map_or_else(|| "-".to_owned(), |number| number.to_string()),
            active.map_or("-", |version| text(&version["from"])).to_owned(),
            units::age(active.and_then(|version| version["time"].as_u64())),
            numbers.join(" "),
        ]);
    }
    table.print(None)
}

/// The figures of rules. How many messages wait is in the list of rules alone.
pub(super) fn stats(stats: &Stats) -> anyhow::Result<()> {
    let mut control = Control::connect(&stats.target, &CONTROL)?;
    let asked = fields(&[("rule", stats.rule.as_ref().map(|rule| json!(rule)))]);
    let mut data = control.ask("stats", &asked)?;
    let all = control.ask("listRules", &json!({}))?;
    control.end()?;
    complete(&mut data["rules"], list(&all["rules"]));
    print(&stats.target, &data, |data| match &stats.rule {
        None => figures(&data["rules"]),
        Some(rule) => one(rule, &data["rules"][rule]),
    })
}

/// Adds what is in the list of rules alone.
fn complete(stats: &mut Value, rules: &[Value]) {
    for rule in rules {
        let Some(known) = stats.get_mut(text(&rule["id"])).and_then(Value::as_object_mut) else { continue };
        if let Some(Value::Object(figures)) = known.remove("stats") {
            known.extend(figures);
        }
        for name in ["waiting", "last_failure"] {
            known.entry(name).or_insert_with(|| rule[name].clone());
        }
    }
}

fn figures(rules: &Value) -> String {
    let Some(rules) = rules.as_object().filter(|rules| !rules.is_empty()) else {
        return rules_table(&[]);
    };
    let mut table = Table::new(&[
        ("RULE", Align::Left),
        ("CALLS", Align::Right),
        ("FAILED", Align::Right),
        ("DROPPED", Align::Right),
        ("DEAD", Align::Right),
        ("OUTPUTS", Align::Right),
        ("OPERATIONS", Align::Right),
        ("MEAN", Align::Right),
        ("MAX", Align::Right),
        ("WAITING", Align::Right),
    ]);
    for (id, stats) in rules {
        table.row(vec![
            plain(id),
            units::count(number(&stats["calls"])),
            units::count(failed(stats)),
            units::count(number(&stats["dropped"])),
            units::count(number(&stats["dead"])),
            units::count(number(&stats["outputs"])),
            a_call(stats, "operations").map_or_else(|| "-".to_owned(), |mean| units::count(mean.round() as u64)),
            a_call(stats, "micros").map_or_else(|| "-".to_owned(), micros),
            a_call(stats, "micros").map_or_else(|| "-".to_owned(), |_| micros(number(&stats["micros_max"]) as f64)),
            waiting(&stats["waiting"]),
        ]);
    }
    table.print(None)
}

/// All figures of one rule.
fn one(rule: &str, stats: &Value) -> String {
    let mut shown = format!("rule {}\n", plain(rule));
    let mut line = |name: &str, value: String| {
        let _a_string_takes_all = writeln!(shown, "  {name:<17} {value}");
    };
    for name in ["calls", "ok", "dropped", "retried", "dead", "refused", "passed", "outputs"] {
        line(name, units::count(number(&stats[name])));
    }
    for name in ["outputs_refused", "commits_failed", "rested"] {
        let count = number(&stats[name]);
        if count > 0 {
            line(&name.replace('_', " "), units::count(count));
        }
    }
    for (reason, count) in stats["failures"].as_object().into_iter().flatten() {
        if number(count) > 0 {
            line(&format!("failed: {}", reason.replace('_', " ")), units::count(number(count)));
        }
    }
    if let (Some(operations), Some(time)) = (a_call(stats, "operations"), a_call(stats, "micros")) {
        line("operations/call", units::count(operations.round() as u64));
        line("time, mean", micros(time));
        line("time, max", micros(number(&stats["micros_max"]) as f64));
    }
    line("waiting", waiting(&stats["waiting"]));
    if let Some(failure) = stats["last_failure"].as_str() {
        line("last failure", plain(failure));
    }
    shown
}

fn failed(stats: &Value) -> u64 {
    stats["failures"].as_object().into_iter().flatten().map(|(_, count)| number(count)).sum()
}

/// The mean of one call; `None` before the first.
fn a_call(stats: &Value, name: &str) -> Option<f64> {
    let calls = number(&stats["calls"]);
    (calls > 0).then(|| number(&stats[name]) as f64 / calls as f64)
}

fn waiting(value: &Value) -> String {
    value.as_u64().map_or_else(|| "-".to_owned(), units::count)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stats() -> Value {
        json!({
            "calls": 4, "ok": 3, "dropped": 0, "dead": 1, "outputs": 3, "operations": 401, "micros": 120,
            "micros_max": 1500, "failures": {"error": 1, "fan_out": 0}, "waiting": 1200,
            "last_failure": "3:5: error: no",
        })
    }

    #[test]
    fn rules_and_scripts_are_listed() {
        let data = json!({
            "rules": [{"id": "units", "stage": "group", "source": "yard/+", "script": "u.rhai", "line": 8,
                "stats": stats(), "waiting": null}],
            "scripts": [{"name": "u.rhai", "active": 2, "error": "u.rhai:1:1: no",
                "versions": [{"version": 1}, {"version": 2, "from": "file", "time": u64::MAX}]}],
            "tables": ["devices"], "warnings": ["two rules see it"], "directory": "rules",
        });
        let shown = list_rules(&data);
        let lines: Vec<String> =
            shown.lines().map(|line| line.split_whitespace().collect::<Vec<_>>().join(" ")).collect();
        assert_eq!(lines[1], "units group yard/+ u.rhai:8 4 1 -");
        assert_eq!(lines[4], "u.rhai 2 file 0 ms 1 2");
        for line in ["directory: rules", "tables: devices", "warning: two rules see it", "error: u.rhai:1:1: no"] {
            assert!(lines.iter().any(|known| known == line), "no {line:?} in {shown}");
        }
        assert!(list_rules(&json!({})).contains("primer rules apply"));
    }

    #[test]
    fn what_is_in_the_list_alone_is_added() {
        let rules = [json!({"id": "a", "waiting": 7, "last_failure": null}), json!({"id": "other"})];
        for mut stats in [json!({"a": {"calls": 1}}), json!({"a": {"stats": {"calls": 1}}})] {
            complete(&mut stats, &rules);
            assert_eq!(stats, json!({"a": {"calls": 1, "waiting": 7, "last_failure": null}}));
        }
    }

    #[test]
    fn figures_are_those_of_a_call() {
        let all = figures(&json!({"units": stats(), "new": {"calls": 0}}));
        let lines: Vec<String> =
            all.lines().map(|line| line.split_whitespace().collect::<Vec<_>>().join(" ")).collect();
        assert_eq!(lines[1..], ["new 0 0 0 0 0 - - - -", "units 4 1 0 1 3 100 30 µs 1.5 ms 1,200"]);
        let shown = one("units", &stats());
        assert!(shown.contains("failed: error     1\n") && !shown.contains("fan out"), "{shown}");
        assert!(shown.contains("last failure      3:5: error: no\n"), "{shown}");
    }
}
