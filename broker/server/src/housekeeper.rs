//! What happens by itself when its time has come: delayed messages, wills, the ends of sessions, expiry, `$SYS`.

use std::sync::Arc;

use tokio::time::{Instant, sleep_until};

use crate::{
    batch::Batch,
    hub::{Hub, Timer},
    limits::{SWEEP_INTERVAL, SWEEP_SLICE},
    moving, registry,
    sys::{self, Sys, dropped::Dropped},
};

/// When to look again at a connection that has been told to end.
const LOOK_AGAIN_MS: u64 = 1000;

/// Entries of one kind that are handled before the others have their turn.
const TURN_MAX: usize = 1024;

/// Runs the housekeeper until the broker stops. Should a bug make it panic, that is said, and it begins anew: wills and
/// expiry must not end with it.
pub(crate) async fn supervise(hub: Arc<Hub>) {
    while !hub.is_stopping() {
        if let Err(error) = tokio::spawn(run(Arc::clone(&hub))).await {
            tracing::error!(%error, "the housekeeper ended and is started again");
            tokio::time::sleep(std::time::Duration::from_secs(1)).await;
        }
    }
}

/// Runs until the broker stops.
async fn run(hub: Arc<Hub>) {
    let mut sys = Sys::new(&hub);
    let mut next_sweep = Instant::now() + SWEEP_INTERVAL;
    let mut evicted_below = 0;
    let mut alarm = None;
    let mut dropped = Dropped::default();
    loop {
        let mut next = next_sweep.min(sys.next());
        if let Some(at_ms) = next_deadline(&hub) {
            next = next.min(hub.node.clock.instant(at_ms).into());
        }
        tokio::select! {
            () = sleep_until(next) => {}
            () = hub.timers_changed.notified() => {}
        }
        if hub.is_stopping() {
            return;
        }
        let mut batch = Batch::begin(&hub);
        hub.moving.look(&hub, &mut batch);
        hub.moving.publish_due(&hub, &mut batch);
        run_timers(&hub, &mut batch);
        look_at_silent(&hub, batch.now_ms);
        expire_retained(&hub, &mut batch);
        evict(&hub, &mut evicted_below).await;
        tell_alarm(&hub, &mut alarm);
        let now = Instant::now();
        if now >= next_sweep {
            next_sweep = now + SWEEP_INTERVAL;
            batch.finish(&hub);
            sweep(&hub, batch.now_ms).await;
            dropped.tell(&hub, now);
        }
        if now >= sys.next() {
            sys.publish(&hub, &mut batch);
        }
        batch.finish(&hub);
        tokio::task::yield_now().await;
    }
}

fn next_deadline(hub: &Hub) -> Option<u64> {
    let timer = hub.timers.lock().next();
    let delayed = hub.node.delayed.next_due_ms().filter(|_| moving::may_publish(hub));
    let retained = hub.node.retained.next_expiry_ms();
    let silence = hub.silences.lock().next_ms();
    timer.into_iter().chain(delayed).chain(retained).chain(silence).min()
}

/// The log hears when something is wrong with the store, and when it is not any more.
fn tell_alarm(hub: &Hub, known: &mut Option<String>) {
    let alarm = sys::store::alarm(hub);
    if *known != alarm {
        match &alarm {
            Some(says) => tracing::error!("The store: {says}"),
            None => tracing::info!("The store: nothing is wrong any more"),
        }
        *known = alarm;
    }
}

/// The store has no more room: queues let go of their oldest messages, which are in its oldest file.
async fn evict(hub: &Hub, evicted_below: &mut u64) {
    let Some(below) = hub.node.journal().map(|journal| journal.store().evict_below()) else { return };
    if below <= *evicted_below {
        return;
    }
    *evicted_below = below;
    hub.node.queues.evict_below(below);
    for (index, cell) in hub.registry.all().iter().enumerate() {
        if index % SWEEP_SLICE == SWEEP_SLICE - 1 {
            tokio::task::yield_now().await;
        }
        let mut state = cell.lock();
        if state.durable.is_some() {
            state.queue.chill();
            state.queue.evict_below(below);
            state.count_dropped(hub);
        }
    }
    if let Some(journal) = hub.node.journal() {
        journal.store().evicted(below);
    }
}

fn expire_retained(hub: &Hub, batch: &mut Batch) {
    hub.node.retained.expire(&hub.node.budget, batch.now_ms, TURN_MAX, |kept| {
        if let Some(journal) = hub.node.journal() {
            batch.draft.change(kept.gone(journal.retained.id));
        }
    });
}

fn run_timers(hub: &Hub, batch: &mut Batch) {
    for _ in 0..TURN_MAX {
        let due = hub.timers.lock().pop_due(batch.now_ms);
        match due {
            None => return,
            Some(Timer::Will(client_id)) => {
                let now_ms = batch.now_ms;
                if let Some(cell) = hub.registry.get(&client_id) {
                    registry::publish_will(hub, batch, &cell, |due_ms| due_ms <= now_ms);
                }
            }
            Some(Timer::SessionEnd(client_id)) => {
                let Some(cell) = hub.registry.get(&client_id) else { continue };
                let is_expired = cell.lock().is_expired(batch.now_ms);
                if is_expired {
                    let _nobody_waits = registry::end(hub, &cell);
                    hub.counters.sessions_expired.add(1);
                }
            }
        }
    }
}

/// Wakes connections whose clients have been silent for too long, so that they end; looks at the others again.
fn look_at_silent(hub: &Hub, now_ms: u64) {
    for _ in 0..TURN_MAX {
        let Some(note) = hub.silences.lock().pop_due(now_ms) else { return };
        let Some(cell) = hub.registry.at(note.place) else { continue };
        let mut state = cell.lock();
        if state.connected.is_none() || state.connection != note.connection {
            continue; // another connection has a note of its own
        }
        let mut due_ms = cell.heard_at_ms() + u64::from(state.silence_ms_max);
        if now_ms >= due_ms {
            state.wake();
            due_ms = now_ms + LOOK_AGAIN_MS; // should it not be able to end yet
        }
        drop(state);
        hub.watch_silence(note, due_ms);
    }
}

/// Drops what has expired in the queues of sessions, so that it goes by time and not by somebody's asking, and has
/// sessions give back what they do not need any more.
async fn sweep(hub: &Hub, now_ms: u64) {
    for (index, cell) in hub.registry.all().iter().enumerate() {
        if index % SWEEP_SLICE == SWEEP_SLICE - 1 {
            tokio::task::yield_now().await;
        }
        let mut state = cell.lock();
        state.machine.give_back();
        state.queue.give_back();
        if state.queue.has_ready() {
            if state.connected.is_none() {
                state.queue.chill();
            }
            state.queue.expire(now_ms);
            state.count_dropped(hub);
            if state.connected.is_none() {
                state.account(hub);
            }
        }
    }
}
