//! Commands about rules, over the node's faces: see [`primer::Commands`]. Over MQTT they are `$CONTROL/rules/v1`.
//!
//! ```text
//! listRules       {}                                  rules, scripts, tables, what is wrong
//! getScript       name, version?                      the text
//! applyScript     name, text, check?                  a new version acts, or is only checked
//! rollbackScript  name, version?                      an older version acts again: the one before, if none is named
//! removeScript    name                                its rules end
//! reload          {}                                  the directory is looked at now
//! stats           rule?                               counters
//! history         rule, last?                         messages that a rule was called with, for a dry run
//! trace           rule?, topic?, calls?, seconds?     the next calls, step by step
//! getState        rule                                what a rule remembers
//! resetState      rule                                it forgets
//! ```

use std::{
    sync::{Arc, Weak},
    time::Duration,
};

use primer::{Carrying, Commands, Fields};
use primer_core::topic;
use serde_json::{Map, Value, json};

use super::{
    Shared,
    active::{Candidate, Switched, UNKEPT, Wish},
    folder, history,
    library::From,
    member::Member,
    reload,
    trace::Wanted,
    view,
};
use crate::{record, state};

/// Calls of one trace.
const CALLS_MAX: usize = 100;
/// The longest trace.
const SECONDS_MAX: u64 = 300;
/// Bytes that an answer may take beside its largest part.
const SPARE: usize = 4_096;

/// Who takes the commands.
#[derive(Debug)]
pub(crate) struct Taker(pub(crate) Weak<Shared>);

impl Commands for Taker {
    fn carry_out<'c>(&'c self, command: &'c str, fields: Fields, room: usize) -> Carrying<'c> {
        Box::pin(async move {
            let shared = self.0.upgrade().ok_or("the rules of this node have ended")?;
            carry_out(&shared, command, fields, room).await
        })
    }
}

async fn carry_out(shared: &Arc<Shared>, command: &str, mut fields: Fields, room: usize) -> Result<Value, String> {
    match command {
        "listRules" => {
            fields.finish()?;
            beside(shared, |shared| list(shared)).await
        }
        "getScript" => {
            let (name, version) = (folder::name(&fields.text("name")?)?, version(&mut fields)?);
            fields.finish()?;
            beside(shared, move |shared| script(shared, &name, version)).await?
        }
        "applyScript" => {
            let (name, text, is_check) = (fields.text("name")?, fields.text("text")?, fields.flag("check")?);
            fields.finish()?;
            apply(shared, &name, &text, is_check).await
        }
        "rollbackScript" => {
            let (name, version) = (folder::name(&fields.text("name")?)?, version(&mut fields)?);
            fields.finish()?;
            rollback(shared, name, version).await
        }
        "removeScript" => {
            let name = folder::name(&fields.text("name")?)?;
            fields.finish()?;
            remove(shared, name).await
        }
        "reload" => {
            fields.finish()?;
            reload_now(shared).await
        }
        "stats" => {
            let rule = fields.text_if_any("rule")?;
            fields.finish()?;
            stats(shared, rule.as_deref())
        }
        "history" => {
            let (rule, last) = (fields.text("rule")?, fields.count("last", 100, history::MESSAGES_MAX)?);
            fields.finish()?;
            history_of(&*shared.member(&rule)?, last, room)
        }
        "trace" => trace(shared, fields, room).await,
        "getState" => {
            let rule = fields.text("rule")?;
            fields.finish()?;
            remembered(&*shared.member(&rule)?, room)
        }
        "resetState" => {
            let rule = fields.text("rule")?;
            fields.finish()?;
            forget(shared, &rule).await
        }
        other => Err(format!(
            "there is no command {other:?} about rules; there are listRules, getScript, applyScript, rollbackScript, \
             removeScript, reload, stats, history, trace, getState and resetState"
        )),
    }
}

fn version(fields: &mut Fields) -> Result<Option<u32>, String> {
    let given = fields.number_if_any("version", &(1..=u64::from(u32::MAX)))?;
    Ok(given.and_then(|given| u32::try_from(given).ok()))
}

/// Waits until all that was changed so far is durable.
async fn durable(shared: &Shared) -> Result<(), String> {
    match shared.node.sync().await {
        true => Ok(()),
        false => Err("it was done, and the disk did not take it: after a restart it may be as it was".to_owned()),
    }
}

/// Does what compiles scripts on a thread where that holds nobody up.
async fn beside<R: Send + 'static>(
    shared: &Arc<Shared>,
    act: impl FnOnce(&Arc<Shared>) -> R + Send + 'static,
) -> Result<R, String> {
    let its = Arc::clone(shared);
    let done = tokio::task::spawn_blocking(move || act(&its)).await;
    done.map_err(|_| "it ended in a panic".to_owned())
}

/// Has candidates act, of which there is one: what has become of it.
async fn switch(shared: &Arc<Shared>, one: Candidate) -> Result<Switched, String> {
    let switched = beside(shared, move |shared| shared.active.lock().switch(shared, vec![one])).await?;
    if let Some((_, why)) = switched.failed.first() {
        return Err(why.clone());
    }
    if let Some(why) = &switched.unkept {
        return Err(format!("{UNKEPT}: {why}"));
    }
    durable(shared).await?;
    Ok(switched)
}

/// Has a text act as the next version of a script, or only looks whether it could.
pub(crate) async fn apply(shared: &Arc<Shared>, name: &str, text: &str, is_check: bool) -> Result<Value, String> {
    let name = folder::name(name)?;
    let one = Candidate { name: name.clone(), wish: Wish::Text(text.to_owned(), From::Applied) };
    if is_check {
        let checked = beside(shared, move |shared| shared.active.lock().check(shared, &[one])).await?;
        let ruleset = checked.map_err(|errors| errors.to_string())?;
        return Ok(applied(&name, None, &ruleset));
    }
    let switched = switch(shared, one).await?;
    let version = switched.loaded.first().map(|(_, version)| *version);
    let ruleset = beside(shared, |shared| Arc::clone(&shared.active.lock().ruleset)).await?;
    Ok(applied(&name, version, &ruleset))
}

fn applied(name: &str, version: Option<u32>, ruleset: &crate::Ruleset) -> Value {
    let rules = ruleset.rules().iter().filter(|rule| rule.file() == name).map(|rule| rule.id());
    let warnings = ruleset.warnings().iter().filter(|warning| warning.file == name).map(ToString::to_string);
    json!({"version": version, "rules": rules.collect::<Vec<&str>>(), "warnings": warnings.collect::<Vec<String>>()})
}

fn unknown(name: &str) -> String {
    format!("there is no script {name:?}: `primer rules ls` shows those that there are")
}

fn script(shared: &Shared, name: &str, version: Option<u32>) -> Result<Value, String> {
    let active = shared.active.lock();
    let (current, before) = active.library.standing(name).ok_or_else(|| unknown(name))?;
    let Some(number) = version.or(current).or(before) else { return Err(unknown(name)) };
    let text = active.library.text(name, number);
    let text = text.ok_or_else(|| format!("the script {name:?} has no version {number}, or not any more"))?;
    Ok(json!({"name": name, "version": number, "text": text}))
}

/// A version, or the one before that which acts.
fn older(shared: &Shared, name: &str, version: Option<u32>) -> Result<(u32, String), String> {
    let active = shared.active.lock();
    let (_, before) = active.library.standing(name).ok_or_else(|| unknown(name))?;
    let number = version.or(before);
    let number = number.ok_or_else(|| format!("the script {name:?} has no version before the one that acts"))?;
    let text = active.library.text(name, number);
    Ok((number, text.ok_or_else(|| format!("the script {name:?} has no version {number}, or not any more"))?))
}

async fn rollback(shared: &Arc<Shared>, name: String, version: Option<u32>) -> Result<Value, String> {
    let wanted = name.clone();
    let found = beside(shared, move |shared| older(shared, &wanted, version)).await?;
    let (number, text) = found?;
    switch(shared, Candidate { name, wish: Wish::Version(number, text) }).await?;
    Ok(json!({"version": number}))
}

async fn remove(shared: &Arc<Shared>, name: String) -> Result<Value, String> {
    let wanted = name.clone();
    let standing = beside(shared, move |shared| shared.active.lock().library.standing(&wanted)).await?;
    if standing.and_then(|(active, _)| active).is_none() {
        return Err(unknown(&name));
    }
    switch(shared, Candidate { name, wish: Wish::Gone }).await?;
    Ok(json!({}))
}

async fn reload_now(shared: &Arc<Shared>) -> Result<Value, String> {
    if shared.folder.lock().is_none() {
        return Err("the node has no directory of rules: start it with --rules DIR, or apply scripts".to_owned());
    }
    let reloaded = reload::beside(shared).await;
    reload::tell(&reloaded);
    durable(shared).await?;
    let failed: Vec<Value> =
        reloaded.failed.iter().map(|(name, error)| json!({"name": name, "error": error})).collect();
    Ok(json!({"loaded": reloaded.loaded, "removed": reloaded.removed, "failed": failed}))
}

fn list(shared: &Shared) -> Value {
    let active = shared.active.lock();
    let rules = shared.members().iter().map(|member| Value::Object(shown(shared, member))).collect::<Vec<Value>>();
    let warnings: Vec<String> = active.ruleset.warnings().iter().map(ToString::to_string).collect();
    let directory = shared.folder.lock().as_ref().map(|folder| folder.directory().display().to_string());
    let wrong = shared.table_errors.lock().clone();
    let table_errors: Vec<String> = wrong.iter().map(|(file, why)| format!("{file}: {why}")).collect();
    json!({
        "rules": rules,
        "scripts": active.library.view(),
        "tables": shared.lookups.names(),
        "table_errors": table_errors,
        "warnings": warnings,
        "directory": directory,
    })
}

/// A rule with its figures.
fn shown(shared: &Shared, member: &Member) -> Map<String, Value> {
    let mut all = view::rule(&member.rule());
    all.extend(figures(shared, member));
    all
}

fn figures(shared: &Shared, member: &Member) -> Map<String, Value> {
    let place = super::place::Place::of(&member.rule());
    let waiting = place.and_then(|place| {
        let info = shared.node.find_queue(&place.queue)?.info();
        let group = info.groups.into_iter().find(|group| group.name == place.group)?;
        Some(group.figures.pending)
    });
    Map::from_iter([
        ("waiting".to_owned(), json!(waiting)),
        ("is_resting".to_owned(), json!(member.rest.is_on(shared.node.clock().now_ms()))),
        ("stats".to_owned(), member.stats.view()),
        ("last_failure".to_owned(), json!(*member.last_failure.lock())),
    ])
}

fn stats(shared: &Shared, rule: Option<&str>) -> Result<Value, String> {
    let members = match rule {
        Some(rule) => vec![shared.member(rule)?],
        None => shared.members(),
    };
    let all = members.iter().map(|member| (member.id.to_string(), Value::Object(figures(shared, member))));
    Ok(json!({"rules": all.collect::<Map<String, Value>>()}))
}

/// The last messages, as many as have room.
fn history_of(member: &Member, last: usize, room: usize) -> Result<Value, String> {
    let messages = member.history.lock().last(last);
    let (mut shown, mut bytes) = (Vec::new(), SPARE);
    for message in messages.iter().rev() {
        let one = record::to_json(message);
        bytes += one.to_string().len();
        if bytes > room && !shown.is_empty() {
            break;
        }
        shown.push(one);
    }
    shown.reverse();
    Ok(json!({"messages": shown}))
}

async fn trace(shared: &Arc<Shared>, mut fields: Fields, room: usize) -> Result<Value, String> {
    let (rule, filter) = (fields.text_if_any("rule")?, fields.text_if_any("topic")?);
    let calls_max = fields.count("calls", 10, CALLS_MAX)?;
    let seconds = fields.number_if_any("seconds", &(1..=SECONDS_MAX))?.unwrap_or(30);
    fields.finish()?;
    if let Some(rule) = &rule {
        shared.member(rule)?;
    }
    if let Some(filter) = &filter {
        topic::check_filter(filter).map_err(|error| format!("`topic` is to be a topic filter: {filter:?} {error}"))?;
    }
    let wanted = Wanted { rule, topic: filter, calls_max, bytes_max: room.saturating_sub(SPARE) };
    let calls = shared.tracers.watch(wanted, Duration::from_secs(seconds)).await?;
    Ok(json!({"calls": calls}))
}

fn remembered(member: &Member, room: usize) -> Result<Value, String> {
    let state = member.state.lock();
    let (mut entries, mut bytes, mut left_out) = (Map::new(), SPARE, 0_usize);
    for (key, value) in state.entries() {
        let shown = state::shown(key, value);
        bytes += key.len() + shown.to_string().len();
        if bytes > room {
            left_out += 1;
        } else {
            entries.insert(key.to_owned(), shown);
        }
    }
    Ok(json!({"entries": entries, "left_out": left_out, "bytes": state.bytes()}))
}

async fn forget(shared: &Arc<Shared>, rule: &str) -> Result<Value, String> {
    let member = shared.member(rule)?;
    let entries = beside(shared, move |_| member.forget()).await?;
    durable(shared).await?;
    Ok(json!({"entries": entries}))
}
