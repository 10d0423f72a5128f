//! What the coordinator and the workers of a run share.

use std::{
    net::SocketAddr,
    sync::{
        OnceLock,
        atomic::{AtomicBool, AtomicU8, AtomicU64, Ordering},
    },
};

use parking_lot::Mutex;

use crate::{clock::Clock, stage::seconds};

/// What a run is at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum Phase {
    /// Clients connect and subscribe.
    Connect = 0,
    /// Publishers publish.
    Load = 1,
    /// They do not any more; what is on its way is waited for.
    Drain = 2,
    /// All is over.
    End = 3,
}

/// What a worker has done, for the coordinator to look at while it goes on.
#[derive(Debug, Default)]
pub(crate) struct Totals {
    pub(crate) sent: AtomicU64,
    pub(crate) acknowledged: AtomicU64,
    pub(crate) refused: AtomicU64,
    pub(crate) received: AtomicU64,
    pub(crate) drained: AtomicU64,
}

/// Publishers of a worker that another worker lets go on.
#[derive(Debug, Default)]
pub(crate) struct Mailbox {
    clients: Mutex<Vec<usize>>,
    is_marked: AtomicBool,
    waker: OnceLock<mio::Waker>,
}

impl Mailbox {
    pub(crate) fn open(&self, waker: mio::Waker) {
        let _ = self.waker.set(waker); // a worker opens its mailbox once
    }

    pub(crate) fn put(&self, client: usize) {
        self.clients.lock().push(client);
        self.is_marked.store(true, Ordering::SeqCst);
    }

    pub(crate) fn take(&self) -> Vec<usize> {
        std::mem::take(&mut *self.clients.lock())
    }

    fn wake(&self) {
        if let Some(Err(error)) = self.waker.get().map(mio::Waker::wake) {
            debug_assert!(false, "a worker cannot be woken: {error}");
        }
    }
}

/// Clients that connect when those of the wave before are ready.
#[derive(Debug, Default)]
struct Wave {
    size: u64,
    ready: AtomicU64,
}

/// See the module's description.
#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) address: SocketAddr,
    pub(crate) clock: Clock,
    /// New connections a second; 0 for as many as can be.
    connect_rate: f64,
    started_ns: u64,
    phase: AtomicU8,
    measured: [AtomicU64; 2],
    waves: Vec<Wave>,
    connects: AtomicU64,
    last_ready_ns: AtomicU64,
    failed: AtomicU64,
    first_failure: OnceLock<String>,
    totals: Vec<Totals>,
    mailboxes: Vec<Mailbox>,
}

impl Shared {
    pub(crate) fn new(
        address: SocketAddr,
        clock: Clock,
        workers: usize,
        wave_sizes: &[u64],
        connect_rate: f64,
    ) -> Self {
        Self {
            address,
            clock,
            connect_rate,
            started_ns: clock.now_ns(),
            phase: AtomicU8::new(Phase::Connect as u8),
            measured: [AtomicU64::new(u64::MAX), AtomicU64::new(u64::MAX)],
            waves: wave_sizes.iter().map(|size| Wave { size: *size, ready: AtomicU64::new(0) }).collect(),
            connects: AtomicU64::new(0),
            last_ready_ns: AtomicU64::new(0),
            failed: AtomicU64::new(0),
            first_failure: OnceLock::new(),
            totals: (0..workers).map(|_| Totals::default()).collect(),
            mailboxes: (0..workers).map(|_| Mailbox::default()).collect(),
        }
    }

    pub(crate) fn phase(&self) -> Phase {
        match self.phase.load(Ordering::Acquire) {
            0 => Phase::Connect,
            1 => Phase::Load,
            2 => Phase::Drain,
            _ => Phase::End,
        }
    }

    /// Goes on to the next phase, and wakes all workers for it.
    pub(crate) fn enter(&self, phase: Phase) {
        self.phase.store(phase as u8, Ordering::Release);
        self.mailboxes.iter().for_each(Mailbox::wake);
    }

    /// Latencies of what is due from one time to the other are measured. Said before the load begins.
    pub(crate) fn measure(&self, from_ns: u64, to_ns: u64) {
        for (at, ns) in self.measured.iter().zip([from_ns, to_ns]) {
            at.store(ns, Ordering::Release);
        }
    }

    /// The load ends now, if it has not ended before.
    pub(crate) fn end_load(&self, now_ns: u64) {
        self.measured[1].fetch_min(now_ns, Ordering::AcqRel);
    }

    pub(crate) fn measured(&self) -> (u64, u64) {
        let [from_ns, to_ns] = &self.measured;
        (from_ns.load(Ordering::Acquire), to_ns.load(Ordering::Acquire))
    }

    /// Whether a client of the wave may connect now; if so, it is counted.
    pub(crate) fn may_connect(&self, wave: usize, now_ns: u64) -> bool {
        let waits = self.waves.iter().take(wave).any(|wave| wave.ready.load(Ordering::Acquire) < wave.size);
        if waits {
            return false;
        }
        if self.connects_allowed(now_ns) <= self.connects.load(Ordering::Relaxed) {
            return false;
        }
        self.connects.fetch_add(1, Ordering::Relaxed);
        true
    }

    #[expect(
        clippy::cast_precision_loss,
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "a connection more or less"
    )]
    fn connects_allowed(&self, now_ns: u64) -> u64 {
        if self.connect_rate > 0.0 {
            let passed_ns = now_ns.saturating_sub(self.started_ns);
            ((passed_ns as f64 / 1e9 * self.connect_rate) as u64).saturating_add(1)
        } else {
            u64::MAX
        }
    }

    pub(crate) fn count_ready(&self, wave: usize, now_ns: u64) {
        self.last_ready_ns.fetch_max(now_ns, Ordering::AcqRel);
        let Some(wave) = self.waves.get(wave) else { return };
        if wave.ready.fetch_add(1, Ordering::AcqRel) + 1 == wave.size {
            self.mailboxes.iter().for_each(Mailbox::wake); // the next wave may begin
        }
    }

    /// Clients that have connected and subscribed.
    pub(crate) fn ready(&self) -> u64 {
        self.waves.iter().map(|wave| wave.ready.load(Ordering::Acquire)).sum()
    }

    pub(crate) const fn started_ns(&self) -> u64 {
        self.started_ns
    }

    /// From the start of the stage until the last of them was ready.
    pub(crate) fn connect_seconds(&self) -> f64 {
        seconds(self.started_ns, self.last_ready_ns.load(Ordering::Acquire))
    }

    pub(crate) fn count_failed(&self, why: &str) {
        let _ = self.first_failure.set(why.to_owned()); // the first one is kept
        self.failed.fetch_add(1, Ordering::AcqRel);
    }

    /// How many clients have failed, and why the first did.
    pub(crate) fn failed(&self) -> (u64, &str) {
        let why = self.first_failure.get().map(String::as_str).unwrap_or_default();
        (self.failed.load(Ordering::Acquire), why)
    }

    pub(crate) fn totals(&self, worker: usize) -> &Totals {
        &self.totals[worker]
    }

    /// A sum over all workers.
    pub(crate) fn sum(&self, of: impl Fn(&Totals) -> &AtomicU64) -> u64 {
        self.totals.iter().map(|totals| of(totals).load(Ordering::Relaxed)).sum()
    }

    pub(crate) fn mailbox(&self, worker: usize) -> &Mailbox {
        &self.mailboxes[worker]
    }

    /// Wakes the other workers whose mailboxes have got something.
    pub(crate) fn wake_marked(&self, but: usize) {
        for (_, mailbox) in self.mailboxes.iter().enumerate().filter(|(worker, _)| *worker != but) {
            if mailbox.is_marked.load(Ordering::Relaxed) && mailbox.is_marked.swap(false, Ordering::SeqCst) {
                mailbox.wake();
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use mio::{Events, Poll, Token};

    use super::*;

    fn shared(waves: &[u64], connect_rate: f64) -> Shared {
        Shared::new("127.0.0.1:1".parse().unwrap(), Clock::start(), 2, waves, connect_rate)
    }

    fn is_woken(poll: &mut Poll) -> bool {
        let mut events = Events::with_capacity(4);
        poll.poll(&mut events, Some(Duration::ZERO)).unwrap();
        !events.is_empty()
    }

    #[test]
    fn a_wave_connects_when_the_one_before_is_ready() {
        let shared = shared(&[2, 1], 0.0);
        assert!(shared.may_connect(0, 0) && !shared.may_connect(1, 0));
        shared.count_ready(0, 5);
        assert!(!shared.may_connect(1, 9));
        shared.count_ready(0, 7);
        assert!(shared.may_connect(1, 9));
        assert_eq!(shared.ready(), 2);
    }

    #[test]
    fn connections_keep_their_pace() {
        let shared = shared(&[10], 0.5);
        let at = |seconds: u64| shared.started_ns() + seconds * 1_000_000_000;
        assert!(shared.may_connect(0, at(0)));
        assert!(!shared.may_connect(0, at(1)), "one in two seconds");
        assert!(shared.may_connect(0, at(2)));
        assert!(!shared.may_connect(0, at(3)));
    }

    #[test]
    fn a_worker_is_woken_once_for_all_that_is_in_its_mailbox() {
        let shared = shared(&[1], 0.0);
        let mut poll = Poll::new().unwrap();
        shared.mailbox(1).open(mio::Waker::new(poll.registry(), Token(0)).unwrap());
        shared.wake_marked(0);
        assert!(!is_woken(&mut poll), "it is empty");
        shared.mailbox(1).put(3);
        shared.mailbox(1).put(4);
        shared.wake_marked(0);
        assert!(is_woken(&mut poll));
        assert_eq!(shared.mailbox(1).take(), [3, 4]);
        shared.wake_marked(0);
        assert!(!is_woken(&mut poll));
        shared.enter(Phase::Load);
        assert!(is_woken(&mut poll), "a phase wakes everybody");
    }

    #[test]
    fn a_load_that_ends_early_ends_there() {
        let shared = shared(&[1], 0.0);
        shared.measure(10, 100);
        shared.end_load(50);
        shared.end_load(70);
        assert_eq!(shared.measured(), (10, 50));
    }

    #[test]
    fn the_first_failure_is_kept() {
        let shared = shared(&[1], 0.0);
        shared.count_failed("one");
        shared.count_failed("two");
        assert_eq!(shared.failed(), (2, "one"));
    }
}
