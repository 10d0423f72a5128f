//! Carrying out one command on the node. Whatever it changes is durable when it returns.

use std::sync::Arc;

use primer::{Browse, Counts, From, Moved, Node, Page, Queue, QueueError, name};
use serde_json::{Map, Value, json};

use super::{
    request::{self, Command},
    view,
};
use crate::{hub::Hub, limits::CONTROL_PAGE_MAX};

/// Carries a command out; the answer takes about `room` bytes at most, but for one message or queue.
///
/// # Errors
/// Why not, for people. Nothing has changed, unless the disk failed.
pub(super) async fn carry_out(hub: &Arc<Hub>, command: Command, room: usize) -> Result<Value, String> {
    let node = &hub.node.queues;
    let changed = match command {
        Command::ListQueues { after, limit } => return Ok(list(node, after.as_deref(), limit, room)),
        Command::GetQueue { name } => return Ok(view::queue(node, &existing(node, &name)?.info(), true)),
        Command::Stats => return Ok(stats(hub).await),
        Command::Browse { name, browse, payload_max } => {
            return look(hub, &existing(node, &name)?, browse, payload_max, room).await;
        }
        Command::CreateQueue { name, definition } => create(node, &name, definition)?,
        Command::UpdateQueue { name, definition } => {
            let queue = existing(node, &name)?;
            let definition = request::changed(&queue.definition(), definition)?;
            queue.redefine(definition).map_err(|error| error.to_string())?;
            view::queue(node, &queue.info(), true)
        }
        Command::DeleteQueue { name } => {
            json!({"name": name, "messages": node.delete_queue(&name).map_err(|error| error.to_string())?})
        }
        Command::PurgeQueue { name } => json!({"name": name, "messages": existing(node, &name)?.purge()}),
        Command::PauseQueue { name } => {
            existing(node, &name)?.pause();
            json!({"name": name, "is_paused": true})
        }
        Command::ResumeQueue { name } => {
            existing(node, &name)?.resume();
            json!({"name": name, "is_paused": false})
        }
        Command::MoveMessages { from, to, max } => {
            let Moved { moved, refused, unreadable } = move_messages(node, &from, to.as_deref(), max).await?;
            json!({"from": from, "to": to, "moved": moved, "refused": refused, "unreadable": unreadable})
        }
        Command::RemoveGroup { name, group } => {
            let queue = existing(node, &name)?;
            if !queue.info().groups.iter().any(|known| known.name == group) {
                return Err(format!("the queue {name:?} has no group {group:?}"));
            }
            queue.group(&group).map_err(|error| error.to_string())?.remove();
            json!({"name": name, "group": group})
        }
    };
    match node.sync().await {
        true => Ok(changed),
        false => Err("it was done, and the disk did not take it: after a restart it may be as it was".to_owned()),
    }
}

fn existing(node: &Node, name: &str) -> Result<Queue, String> {
    node.find_queue(name).ok_or_else(|| QueueError::Unknown(name.to_owned()).to_string())
}

fn list(node: &Node, after: Option<&str>, limit: usize, room: usize) -> Value {
    let page = node.queues(after, limit);
    let is_last = page.len() < limit;
    let (mut queues, mut bytes) = (Vec::new(), 0);
    for queue in &page {
        let shown = view::queue(node, &queue.info(), false);
        bytes += len(&shown);
        if bytes > room && !queues.is_empty() {
            break;
        }
        queues.push(shown);
    }
    let has_more = !is_last || queues.len() < page.len();
    let last = page.get(queues.len().wrapping_sub(1)).filter(|_| has_more);
    json!({"queues": queues, "next": last.map(Queue::name)})
}

/// A queue that is not there yet begins with what the closest pattern says of it.
fn create(node: &Node, name: &str, definition: Map<String, Value>) -> Result<Value, String> {
    let definition = request::changed(&node.defined_as(name), definition)?;
    let queue = node.create_queue(name, definition).map_err(|error| error.to_string())?;
    Ok(view::queue(node, &queue.info(), true))
}

async fn move_messages(node: &Node, from: &str, to: Option<&str>, max: usize) -> Result<Moved, String> {
    let source = existing(node, from)?;
    let Some(to) = to else {
        if !from.starts_with(name::DEAD) {
            return Err(format!(
                "`to` is missing: only the messages of `{}NAME` know where they came from, and {from:?} is no queue of \
                 dead letters",
                name::DEAD
            ));
        }
        return Ok(source.move_to(None, max).await);
    };
    if to == from {
        return Err(format!("`to` and `from` are the same queue: {from:?}"));
    }
    if !node.knows_queue(to) {
        return Err(QueueError::Unknown(to.to_owned()).to_string());
    }
    Ok(source.move_to(Some(&node.queue(to).map_err(|error| error.to_string())?), max).await)
}

async fn look(hub: &Arc<Hub>, queue: &Queue, browse: Browse, payload_max: usize, room: usize) -> Result<Value, String> {
    let (clock, now_ms) = (hub.node.clock, hub.node.clock.now_ms());
    let due_unix_ms = |due_ms: u64| clock.unix_ms().saturating_add(due_ms.saturating_sub(now_ms));
    let is_backward = matches!(browse.from, From::Newest | From::Before(_));
    let Page { messages, mut next, unreadable } = queue.browse(&browse).await;
    let (mut shown, mut bytes) = (Vec::new(), 0);
    for seen in &messages {
        let one = view::message(seen, payload_max, due_unix_ms);
        bytes += len(&one);
        if bytes > room && !shown.is_empty() {
            let position = seen.envelope.position();
            next = Some(if is_backward {
                From::Before(primer::Position(position.0.saturating_add(1)))
            } else {
                From::Position(position)
            });
            break;
        }
        shown.push(one);
    }
    Ok(json!({
        "name": queue.name(),
        "messages": shown,
        "next": next.map(view::next),
        "unreadable": unreadable,
    }))
}

/// All queues together, page by page, so that others have their turn.
async fn stats(hub: &Arc<Hub>) -> Value {
    let node = &hub.node.queues;
    let (mut queues, mut messages, mut bytes, mut dead) = (0_usize, 0_usize, 0_usize, 0_usize);
    let (mut groups, mut consumers, mut paused) = (0_usize, 0_usize, 0_usize);
    let mut counts = Counts::default();
    let mut after: Option<String> = None;
    loop {
        let page = node.queues(after.as_deref(), CONTROL_PAGE_MAX);
        for info in page.iter().map(Queue::info) {
            queues += 1;
            messages += info.messages;
            bytes += info.bytes;
            groups += info.groups.len();
            consumers += view::consumers(&info);
            paused += usize::from(info.is_paused);
            if info.name.starts_with(name::DEAD) {
                dead += info.messages;
            }
            add(&mut counts, &info.counts);
        }
        after = page.last().filter(|_| page.len() == CONTROL_PAGE_MAX).map(|last| last.name().to_owned());
        if after.is_none() {
            break;
        }
        tokio::task::yield_now().await;
    }
    json!({
        "queues": queues,
        "messages": messages,
        "bytes": bytes,
        "dead_letters": dead,
        "groups": groups,
        "consumers": consumers,
        "paused": paused,
        "counts": view::counts(&counts),
        "uptime_ms": u64::try_from(hub.uptime().as_millis()).unwrap_or(u64::MAX),
    })
}

fn add(sums: &mut Counts, more: &Counts) {
    sums.pushed += more.pushed;
    sums.duplicates += more.duplicates;
    sums.refused += more.refused;
    sums.delivered += more.delivered;
    sums.redelivered += more.redelivered;
    sums.acked += more.acked;
    sums.expired += more.expired;
    sums.trimmed += more.trimmed;
    sums.evicted += more.evicted;
    sums.dead += more.dead;
    sums.removed += more.removed;
    sums.lost += more.lost;
}

/// Bytes of a value as it is written.
fn len(value: &Value) -> usize {
    serde_json::to_vec(value).map_or(0, |bytes| bytes.len())
}
