//! A rule of stage `group` at work: it takes messages of its queue, calls the script on a thread of its own, and what
//! came of it, the changes of its state and the acknowledgements are one transaction.
//!
//! There is one batch at a time. Of a batch that the disk does not take nothing has happened, and its messages come
//! again.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use primer::{Consumer, Delivery, Product, PublishError, Transaction, drops::Reason};
use tokio::sync::watch;

use super::{Shared, convert, member::Member, stats::Stats};
use crate::{
    failure::Failure,
    options::OnError,
    output::Verdict,
    rule::{Called, Rule},
    state::StateChange,
};

/// Messages of a transaction, at most.
pub(crate) const BATCH_MAX: usize = 512;

/// How long a batch is worked on before what is done is committed.
const SLICE: Duration = Duration::from_millis(50);

/// Bytes of outputs after which what is done is committed: they are in memory twice until then.
const MADE_BYTES: usize = 16 << 20;

/// How long a message waits whose outputs a queue does not take, and all of them when the disk does not.
const AGAIN: Duration = Duration::from_millis(500);

/// Runs a rule until its queue ends or it is stopped.
pub(crate) async fn run(
    shared: Arc<Shared>,
    member: Arc<Member>,
    mut consumer: Consumer,
    mut stop: watch::Receiver<bool>,
) {
    // What was taken and is not done with, in order. It is not given back: where once is enough, it would be gone.
    let mut backlog: Vec<Delivery> = Vec::new();
    loop {
        if backlog.is_empty() {
            backlog = tokio::select! {
                biased;
                _ = stop.wait_for(|is_stopped| *is_stopped) => break,
                batch = consumer.next_batch(BATCH_MAX) => batch,
            };
            if backlog.is_empty() {
                break;
            }
        }
        let before = backlog.len();
        let pause = step(&shared, &member, &mut backlog).await;
        let is_stopped = *stop.borrow() || shared.node.is_stopping();
        if is_stopped && (!member.has_each_once() || backlog.len() == before) {
            break; // what comes at most once is called as far as that goes, others come again
        }
        if let Some(pause) = pause.filter(|_| !is_stopped) {
            tokio::select! {
                _ = stop.wait_for(|is_stopped| *is_stopped) => {}
                () = tokio::time::sleep(pause) => {}
            }
        }
    }
    if member.has_each_once() {
        shared.node.drops().add(Reason::Abandoned, backlog.len() as u64);
    }
    give_back(backlog);
}

/// What came of a batch's calls.
struct Worked {
    rule: Arc<Rule>,
    done: Vec<(Delivery, Called)>,
    left: Vec<Delivery>,
    took: Duration,
}

/// Works on what was taken, as far as a slice of time goes; what is left stays there. Answers how long the rule is to
/// wait before the next one.
async fn step(shared: &Arc<Shared>, member: &Arc<Member>, backlog: &mut Vec<Delivery>) -> Option<Duration> {
    let (its_shared, its_member, batch) = (Arc::clone(shared), Arc::clone(member), std::mem::take(backlog));
    let worked = tokio::task::spawn_blocking(move || work(&its_shared, &its_member, batch)).await;
    let Ok(Worked { rule, done, left, took }) = worked else {
        tracing::error!(rule = &*member.id, "a batch ended in a panic: its messages come again");
        return Some(AGAIN);
    };
    *backlog = left;
    let mut pause = member.rest.after(took);
    let mut transaction = shared.node.transaction();
    let mut changes: Vec<StateChange> = Vec::new();
    let (mut retries, mut outputs) = (Vec::new(), 0);
    let mut rest = done.into_iter();
    while let Some((delivery, mut called)) = rest.next() {
        let made = std::mem::take(&mut called.changes);
        match settle(&mut transaction, member, &rule, delivery, &called) {
            Ok(Settling::Done) => {
                outputs += called.outputs.len();
                changes.extend(made);
            }
            Ok(Settling::Retry(delivery, delay)) => retries.push((delivery, delay)),
            Err((delivery, error)) => {
                // Those behind it have seen its state: they are called again as well.
                let (mut undone, mut behind) = (made, Vec::new());
                behind.extend(refused(member, &rule, &mut transaction, delivery, &error));
                for (delivery, mut called) in rest.by_ref() {
                    undone.append(&mut called.changes);
                    behind.push(delivery);
                }
                member.state.lock().revert(&undone);
                behind.append(backlog);
                *backlog = behind;
                pause = Some(pause.unwrap_or_default().max(AGAIN));
            }
        }
    }
    for StateChange { key, after, .. } in &changes {
        if let Err(error) = transaction.set(&member.table, key, after.clone()) {
            tracing::error!(rule = &*member.id, key, %error, "an entry of the rule's state is not kept");
        }
    }
    match transaction.commit().await {
        Ok(()) => Stats::add(&member.stats.outputs, outputs as u64),
        Err(failed) => {
            Stats::add(&member.stats.commits_failed, 1);
            member.state.lock().revert(&changes);
            tracing::warn!(rule = &*member.id, messages = failed.deliveries.len(), "{failed}: its messages come again");
            let mut again = failed.deliveries;
            again.append(backlog);
            *backlog = again;
            pause = Some(AGAIN);
        }
    }
    for (delivery, delay) in retries {
        let _it_comes_again = delivery.nack(delay);
    }
    pause
}

/// What is left of a batch goes back, and this time does not count; the first comes first again.
fn give_back(left: Vec<Delivery>) {
    for delivery in left.into_iter().rev() {
        let _it_comes_again = delivery.release();
    }
}

/// Calls the script with each message of a batch, as far as its slice of time goes.
fn work(shared: &Shared, member: &Member, batch: Vec<Delivery>) -> Worked {
    let begun = Instant::now();
    let rule = member.rule();
    let mut state = member.state.lock();
    let (mut done, mut made_bytes) = (Vec::with_capacity(batch.len()), 0);
    let mut rest = batch.into_iter();
    for delivery in rest.by_ref() {
        let clock = shared.node.clock();
        let message = convert::of_delivery(&delivery, clock.now_ms());
        let now = (clock.unix_ms(), clock.now_ms());
        let mut called = member.call(&rule, &message, &mut state, now, &shared.tracers);
        if matches!(called.result, Ok(Verdict::Retry(_))) {
            state.revert(&std::mem::take(&mut called.changes)); // of this call nothing counts
        }
        made_bytes += called.outputs.iter().map(|output| output.message.bytes()).sum::<usize>();
        done.push((delivery, called));
        if begun.elapsed() >= SLICE || made_bytes >= MADE_BYTES {
            break;
        }
    }
    Worked { rule, done, left: rest.collect(), took: begun.elapsed() }
}

enum Settling {
    Done,
    Retry(Delivery, Duration),
}

/// What a call has come to joins the transaction; an error leaves nothing of it there.
fn settle(
    transaction: &mut Transaction,
    member: &Member,
    rule: &Rule,
    delivery: Delivery,
    called: &Called,
) -> Result<Settling, (Delivery, PublishError)> {
    let stats = &member.stats;
    let verdict = match &called.result {
        Ok(verdict) => verdict,
        Err(failure) => return failed(transaction, member, rule, delivery, failure),
    };
    if let Verdict::Retry(delay) = verdict {
        if rule.has_each_once() {
            Stats::add(&stats.dead, 1);
            transaction.bury(delivery, "retry() in a rule that has each message at most once")?;
            return Ok(Settling::Done);
        }
        stats.said(verdict);
        return Ok(Settling::Retry(delivery, *delay));
    }
    let products: Vec<Product> = called.outputs.iter().map(convert::product).collect();
    let why_dead = match verdict {
        Verdict::DeadLetter(why) => Some(why.as_str()),
        _ => None,
    };
    transaction.finish(delivery, &products, why_dead)?;
    stats.said(verdict);
    Ok(Settling::Done)
}

/// A call has failed: the rule says what becomes of the message.
fn failed(
    transaction: &mut Transaction,
    member: &Member,
    rule: &Rule,
    delivery: Delivery,
    failure: &Failure,
) -> Result<Settling, (Delivery, PublishError)> {
    let (options, stats) = (rule.options(), &member.stats);
    match options.on_error {
        OnError::Pass => {
            Stats::add(&stats.passed, 1);
            transaction.ack(delivery);
        }
        OnError::Retry if delivery.attempt() <= options.retries => {
            Stats::add(&stats.retried, 1);
            return Ok(Settling::Retry(delivery, options.retry_delay));
        }
        _ => {
            transaction.bury(delivery, &format!("{}:{failure}", rule.file()))?;
            Stats::add(&stats.dead, 1);
        }
    }
    Ok(Settling::Done)
}

/// A queue did not take what was made of a message. Where there may be room later, the message waits, as the rule's
/// others do; where there cannot be, it is given up.
fn refused(
    member: &Member,
    rule: &Rule,
    transaction: &mut Transaction,
    delivery: Delivery,
    error: &PublishError,
) -> Option<Delivery> {
    Stats::add(&member.stats.outputs_refused, 1);
    *member.last_failure.lock() = Some(format!("{}: {error}", rule.file()));
    if matches!(error, PublishError::Refused { .. }) {
        return Some(delivery);
    }
    match transaction.bury(delivery, &error.to_string()) {
        Ok(()) => {
            Stats::add(&member.stats.dead, 1);
            None
        }
        Err((delivery, _)) => Some(delivery),
    }
}
