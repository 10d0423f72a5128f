//! `primer rules state`: what a rule remembers, and how it forgets.

use clap::Args;
use serde_json::{Value, json};

use super::{number, tell};
use crate::{
    control::Target,
    table::{Align, Table, plain, terminal_width},
    units,
};

/// The options of `primer rules state`.
#[derive(Debug, Args)]
#[command(disable_help_flag = true)]
pub(crate) struct Look {
    /// Identifier of the rule.
    rule: String,
    /// Forget all of it.
    #[arg(long)]
    reset: bool,
    #[command(flatten)]
    target: Target,
}

pub(super) fn run(look: &Look) -> anyhow::Result<()> {
    let asked = json!({"rule": look.rule});
    if look.reset {
        return tell(&look.target, "resetState", &asked, |data| {
            let entries = match number(&data["entries"]) {
                1 => "1 entry".to_owned(),
                count => format!("{} entries", units::count(count)),
            };
            format!("the rule {:?} has forgotten {entries}\n", look.rule)
        });
    }
    tell(&look.target, "getState", &asked, entries)
}

fn entries(data: &Value) -> String {
    let Some(all) = data["entries"].as_object().filter(|all| !all.is_empty()) else {
        return "the rule remembers nothing\n".to_owned();
    };
    let mut table = Table::new(&[("KEY", Align::Left), ("VALUE", Align::Left)]);
    for (key, value) in all {
        table.row(vec![plain(key), plain(&value.to_string())]);
    }
    table.print(terminal_width())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn entries_stand_in_a_table() {
        assert_eq!(entries(&json!({"entries": {}})), "the rule remembers nothing\n");
        let data = json!({"entries": {"alarm/boiler": true, "n": {"a": 1}}});
        assert_eq!(entries(&data), "KEY           VALUE\nalarm/boiler  true\nn             {\"a\":1}\n");
    }
}
