//! The course of a stage that runs: its phases, and what is waited for in each.

use std::{io, thread, thread::JoinHandle, time::Duration};

use super::{End, Running, Snapshot, ns, outcome::Seen};
use crate::{
    error::BenchError,
    limits::{LINGER, LOOK_INTERVAL},
    process::{Process, Usage},
    shared::Phase,
    worker::Done,
};

/// Why a wait has ended without what it waited for.
enum Broken {
    /// Nothing has happened since.
    Stalled(Snapshot),
    /// So many clients have failed.
    Failed(u64, String),
    Interrupted,
}

impl Running<'_> {
    pub(super) fn measure(&self, start: Snapshot, end: End) -> Result<Seen, BenchError> {
        if let End::Received(messages) = end {
            return self.measure_arrival(start, messages);
        }
        self.wait_until(|_| self.shared.ready() == self.clients).map_err(|broken| self.error(broken))?;
        let connected = self.usage();
        match end {
            End::Ready(hold) => {
                self.pass(hold);
                Ok(Seen { connected, first: start, last: self.now() })
            }
            End::Published => {
                let first = self.now();
                self.shared.measure(0, u64::MAX - 1);
                self.shared.enter(Phase::Load);
                let is_done = |now: &Snapshot| {
                    let is_answered = !self.has_acks || now.answered() >= self.planned;
                    now.sent >= self.planned && now.received >= self.planned.saturating_mul(self.fan) && is_answered
                };
                self.wait_until(is_done).map_err(|broken| self.error(broken))?;
                let last = self.now();
                self.drain();
                Ok(Seen { connected, first, last })
            }
            End::Answered(messages) => {
                let first = self.now();
                self.shared.measure(0, u64::MAX - 1);
                self.shared.enter(Phase::Load);
                self.wait_until(|now| now.answered() >= messages).map_err(|broken| self.error(broken))?;
                Ok(Seen { connected, first, last: self.now() })
            }
            End::After { warm_up, duration } => {
                let from_ns = self.shared.clock.now_ns().saturating_add(ns(warm_up));
                self.shared.measure(from_ns, from_ns.saturating_add(ns(duration)));
                self.shared.enter(Phase::Load);
                self.pass(warm_up);
                let first = self.now();
                self.pass(duration);
                let last = self.now();
                self.drain();
                Ok(Seen { connected, first, last })
            }
            End::Received(messages) => self.measure_arrival(start, messages),
        }
    }

    /// What comes begins to come with the first SUBSCRIBE, so there is no load to be started. What does not come is
    /// lost.
    fn measure_arrival(&self, start: Snapshot, messages: u64) -> Result<Seen, BenchError> {
        let last = match self.wait_until(|now| now.received >= messages) {
            Ok(()) => self.now(),
            Err(Broken::Stalled(since)) if self.shared.ready() == self.clients => {
                Snapshot { usage: self.usage(), ..since }
            }
            Err(broken) => return Err(self.error(broken)),
        };
        thread::park_timeout(LINGER);
        Ok(Seen { connected: last.usage, first: start, last })
    }

    /// The publishers stop; what is on its way has to arrive.
    fn drain(&self) {
        self.shared.end_load(self.shared.clock.now_ns());
        self.shared.enter(Phase::Drain);
        let is_done = |now: &Snapshot| {
            let all_taken = self.shared.sum(|totals| &totals.drained) >= self.publishers;
            let is_answered = !self.has_acks || now.answered() >= now.sent;
            all_taken && is_answered && now.received >= now.sent.saturating_sub(now.refused).saturating_mul(self.fan)
        };
        // A broker that has lost something never gets there; then silence ends the wait, and the faults are counted.
        if self.wait_until(is_done).is_ok() {
            thread::park_timeout(LINGER);
        }
    }

    /// Waits for a condition as long as anything happens at all. What is on its way when the load is over is waited for
    /// even when somebody wants to stop, and as long as a client is left; any other wait needs all clients.
    fn wait_until(&self, is_met: impl Fn(&Snapshot) -> bool) -> Result<(), Broken> {
        let is_drain = self.shared.phase() == Phase::Drain;
        let failures_max = if is_drain { self.clients.saturating_sub(1) } else { 0 };
        let mut seen = (0, self.snapshot(None));
        loop {
            let now = (self.shared.ready(), self.snapshot(None));
            if is_met(&now.1) {
                return Ok(());
            }
            let (failed, why) = self.shared.failed();
            if failed > failures_max {
                return Err(Broken::Failed(failed, why.to_owned()));
            }
            if !is_drain && self.ground.stop.is_asked() {
                return Err(Broken::Interrupted);
            }
            if now.0 != seen.0 || now.1.counts() != seen.1.counts() {
                seen = now;
            } else if now.1.at_ns - seen.1.at_ns > ns(self.patience()) {
                return Err(Broken::Stalled(seen.1));
            }
            self.tell(&now.1);
            thread::park_timeout(LOOK_INTERVAL);
        }
    }

    /// How long nothing may happen. Connections that are opened slowly are waited for.
    fn patience(&self) -> Duration {
        let rate = self.ground.connect_rate;
        let is_slow = self.shared.phase() == Phase::Connect && rate > 0.0;
        self.ground.patience + Duration::try_from_secs_f64(if is_slow { 1.0 / rate } else { 0.0 }).unwrap_or_default()
    }

    fn error(&self, broken: Broken) -> BenchError {
        match broken {
            Broken::Interrupted => BenchError::Interrupted { stage: self.name },
            Broken::Failed(failed, why) => BenchError::Clients { stage: self.name, failed, of: self.clients, why },
            Broken::Stalled(since) => BenchError::Stalled {
                stage: self.name,
                after: self.ground.patience,
                ready: self.shared.ready(),
                of: self.clients,
                sent: since.sent,
                answered: since.answered(),
                received: since.received,
            },
        }
    }

    /// Lets time pass, as long as a client is left and nobody wants to stop.
    fn pass(&self, time: Duration) {
        let until_ns = self.shared.clock.now_ns().saturating_add(ns(time));
        loop {
            let left = until_ns.saturating_sub(self.shared.clock.now_ns());
            if left == 0 || self.shared.failed().0 >= self.clients || self.ground.stop.is_asked() {
                return;
            }
            self.tell(&self.snapshot(None));
            thread::park_timeout(Duration::from_nanos(left).min(Duration::from_millis(20)));
        }
    }

    fn tell(&self, now: &Snapshot) {
        let failed = self.shared.failed().0;
        self.ground.progress.tell(
            self.name,
            now.at_ns,
            (self.shared.ready(), self.clients),
            failed,
            now.sent,
            now.received,
        );
    }

    fn usage(&self) -> Option<Usage> {
        self.ground.process.and_then(Process::usage)
    }

    /// When the workers had not begun. They have by now: what they have received already belongs to the stage.
    pub(super) fn beginning(&self, usage: Option<Usage>) -> Snapshot {
        Snapshot { at_ns: self.shared.started_ns(), sent: 0, acknowledged: 0, refused: 0, received: 0, usage }
    }

    fn now(&self) -> Snapshot {
        self.snapshot(self.usage())
    }

    fn snapshot(&self, usage: Option<Usage>) -> Snapshot {
        Snapshot {
            at_ns: self.shared.clock.now_ns(),
            // What was sent is read last: it is never less than what has come of it.
            refused: self.shared.sum(|totals| &totals.refused),
            acknowledged: self.shared.sum(|totals| &totals.acknowledged),
            received: self.shared.sum(|totals| &totals.received),
            sent: self.shared.sum(|totals| &totals.sent),
            usage,
        }
    }

    pub(super) fn join(self) -> Result<Vec<Done>, BenchError> {
        let gone = || BenchError::Worker(io::Error::other("a worker thread panicked"));
        let join =
            |worker: JoinHandle<io::Result<Done>>| worker.join().map_err(|_| gone())?.map_err(BenchError::Worker);
        self.workers.into_iter().map(join).collect()
    }
}
