//! The last messages that a broker's rules were called with: each for the rule of the same identifier here.

use anyhow::{Context, bail};
use primer_mapping::{Ruleset, record};
use serde_json::json;

use super::given::{Given, To};
use crate::{
    control::{Control, Target},
    rules::{CONTROL, list, text},
};

pub(super) fn feed(
    target: &Target,
    set: &Ruleset,
    only: Option<&str>,
    last: u64,
    take: &mut dyn FnMut(Given<'_>) -> anyhow::Result<()>,
) -> anyhow::Result<()> {
    let mut control = Control::connect(target, &CONTROL)?;
    let known = control.ask("listRules", &json!({}))?;
    let is_known = |id: &str| list(&known["rules"]).iter().any(|rule| text(&rule["id"]) == id);
    let mut is_asked = false;
    for rule in set.rules().iter().filter(|rule| only.is_none_or(|only| only == rule.id())) {
        let id = rule.id();
        if !is_known(id) {
            eprintln!("primer: the broker has no rule {id:?}, and so no messages for it: try --live or --stdin");
            continue;
        }
        is_asked = true;
        let data = control.ask("history", &json!({"rule": id, "last": last}))?;
        for (number, value) in (1..).zip(list(&data["messages"])) {
            let message = record::from_json(value);
            let message = message.with_context(|| format!("message {number} of the broker's rule {id:?}"))?;
            take(Given { message, to: To::Rule(id) })?;
        }
    }
    control.end()?;
    if !is_asked {
        bail!("the broker has none of these rules: `primer rules ls` has those that it has");
    }
    Ok(())
}
