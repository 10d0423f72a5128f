//! When queues are to be looked at: leases that end, delays, expiry; and now and then all of them, for what they do not
//! need in memory any more.

use std::{
    sync::{Arc, Weak},
    time::Duration,
};

use parking_lot::Mutex;
use primer_core::deadlines::Deadlines;
use tokio::{
    sync::Notify,
    time::{Instant, sleep_until},
};

use super::cell::QueueKey;
use crate::{Clock, inner::Inner};

/// Time between two looks at all queues.
const SWEEP_INTERVAL: Duration = Duration::from_secs(5);

/// Queues that are looked at before other tasks have their turn.
const SLICE: usize = 64;

/// See the module's description.
#[derive(Debug, Default)]
pub(crate) struct Timers {
    deadlines: Mutex<Deadlines<QueueKey>>,
    changed: Notify,
}

impl Timers {
    /// Has a queue looked at in time.
    pub(crate) fn arm(&self, at_ms: u64, key: QueueKey) {
        let mut deadlines = self.deadlines.lock();
        let was_first = deadlines.next();
        if deadlines.get(&key).is_none_or(|armed_ms| armed_ms > at_ms) {
            deadlines.insert(at_ms, key);
        }
        let is_first = deadlines.next();
        drop(deadlines);
        if was_first != is_first {
            self.changed.notify_one();
        }
    }

    /// The task is to look whether the node is stopping.
    pub(crate) fn nudge(&self) {
        self.changed.notify_one();
    }
}

/// Runs until the node stops, or nobody has it any more: it holds the node while it looks, and not while it waits.
pub(crate) async fn run(node: Weak<Inner>, timers: Arc<Timers>, clock: Clock) {
    let mut next_sweep = Instant::now() + SWEEP_INTERVAL;
    loop {
        let mut next = next_sweep;
        if let Some(at_ms) = timers.deadlines.lock().next() {
            next = next.min(clock.instant(at_ms).into());
        }
        tokio::select! {
            () = sleep_until(next) => {}
            () = timers.changed.notified() => {}
        }
        let Some(inner) = node.upgrade().filter(|inner| !inner.is_stopping()) else { return };
        look_at_due(&inner).await;
        if Instant::now() >= next_sweep {
            sweep(&inner).await;
            next_sweep = Instant::now() + SWEEP_INTERVAL;
        }
    }
}

async fn look_at_due(inner: &Arc<Inner>) {
    for looks in 1.. {
        let due = inner.timers.deadlines.lock().pop_due(inner.clock.now_ms());
        let Some(cell) = due.map(|key| inner.registry.by_key(key)) else { return };
        if let Some(cell) = cell {
            cell.with(inner, |state, now_ms| {
                state.armed_ms = u64::MAX;
                state.is_loading = false;
                state.machine.on_time(now_ms);
            });
        }
        if looks % SLICE == 0 {
            tokio::task::yield_now().await;
        }
    }
}

async fn sweep(inner: &Arc<Inner>) {
    inner.burials.look(inner);
    let evict_below = inner.journal().map_or(0, |journal| journal.store().evict_below());
    for (index, cell) in inner.registry.all().into_iter().enumerate() {
        if index % SLICE == SLICE - 1 {
            tokio::task::yield_now().await;
        }
        if !cell.is_known() && inner.registry.forget_unused(inner, &cell, inner.clock.now_ms()) {
            continue;
        }
        cell.with(inner, |state, now_ms| {
            if state.kept.is_some() {
                state.machine.end_void();
                state.machine.chill();
                state.machine.evict_below(evict_below);
            }
            state.machine.expire(now_ms);
            state.machine.give_back_memory();
        });
    }
}

/// Lets go of the oldest messages everywhere, because the store's budget is spent.
pub(crate) fn evict(inner: &Arc<Inner>, below: u64) {
    for cell in inner.registry.all() {
        cell.with(inner, |state, _| {
            if state.kept.is_some() {
                state.machine.chill();
                state.machine.evict_below(below);
            }
        });
    }
}
