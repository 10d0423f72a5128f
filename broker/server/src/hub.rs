//! What all connections of a broker share.

use std::{
    sync::{
        Arc, OnceLock, Weak,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::Duration,
};

use parking_lot::Mutex;
use primer::{
    Plane,
    journal::{Kept, Report, Sync},
};
use primer_core::{
    backlog::Bounds,
    commit::{Accepted, Refused},
    deadlines::Deadlines,
    message::Message,
};
use primer_mqtt::{ReasonCode, codec::packet::QoS};
use tokio::sync::{Notify, Semaphore};

use crate::{
    access::{Authenticator, Decider},
    batch::{Batch, Publication},
    counters::{Counters, Gauge},
    denials::Denials,
    fanout::Subscription,
    limits::{CONTROL_TASKS_MAX, PASSWORD_CHECKS_MAX},
    listener::Door,
    moving::Moving,
    options::Options,
    password_turns::Turns,
    pipeline,
    rate::Bucket,
    registry::Registry,
    session_drops::SessionDrops,
    silence::{Note, Silences},
};

/// A message that is published later (`$delayed/SECONDS/TOPIC`).
#[derive(Debug)]
pub(crate) struct Later {
    pub(crate) message: Message,
    pub(crate) qos: QoS,
    pub(crate) retain: bool,
    /// Where the store has it.
    pub(crate) kept: Option<Kept>,
}

/// What the housekeeper does at a time.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) enum Timer {
    /// Publish the will of a session that has no connection.
    Will(Arc<str>),
    /// End a session that has no connection.
    SessionEnd(Arc<str>),
}

/// See the module's description.
pub(crate) struct Hub {
    pub(crate) options: Options,
    /// The bounds of each session's queue.
    pub(crate) queue_bounds: Arc<Bounds>,
    pub(crate) node: Plane<Subscription, Later>,
    pub(crate) registry: Registry,
    pub(crate) counters: Counters,
    pub(crate) connections: Gauge,
    /// What streams of the host program come by.
    pub(crate) program_door: Arc<Door>,
    pub(crate) session_drops: SessionDrops,
    pub(crate) accept_rate: Mutex<Bucket>,
    pub(crate) timers: Mutex<Deadlines<Timer>>,
    /// Connections whose clients may have been silent for too long.
    pub(crate) silences: Mutex<Silences>,
    /// What is not sure before its commit is.
    pub(crate) moving: Moving,
    /// Told when the first deadline may have changed.
    pub(crate) timers_changed: Notify,
    pub(crate) authenticator: Arc<dyn Authenticator>,
    pub(crate) decider: Box<dyn Decider>,
    /// Seeded once a process: turns of sticky groups.
    pub(crate) hasher: foldhash::fast::RandomState,
    /// Salts of unknown users.
    pub(crate) secret: [u8; 32],
    pub(crate) password_checks: Arc<Semaphore>,
    pub(crate) denials: Denials,
    /// Turns at passwords.
    pub(crate) turns: Turns,
    /// Requests with commands about queues that may be carried out.
    pub(crate) control_tasks: Arc<Semaphore>,
    report: OnceLock<Report>,
    me: OnceLock<Weak<Self>>,
    access_changes: AtomicU64,
    stopping: AtomicBool,
    cutting: AtomicBool,
    /// Told when the broker begins to stop.
    pub(crate) stop: Notify,
}

impl Hub {
    pub(crate) fn new(
        options: Options,
        authenticator: Arc<dyn Authenticator>,
        decider: Box<dyn Decider>,
        secret: [u8; 32],
    ) -> Self {
        let node = Plane::new(&options.node);
        let accept_rate = Mutex::new(Bucket::new(options.connection_rate_max, node.clock.now_ms()));
        let queue_bounds = Arc::new(options.queue);
        Self {
            options,
            queue_bounds,
            node,
            registry: Registry::default(),
            counters: Counters::default(),
            connections: Gauge::default(),
            program_door: Arc::new(Door::of_the_program()),
            session_drops: SessionDrops::default(),
            accept_rate,
            timers: Mutex::new(Deadlines::new()),
            silences: Mutex::default(),
            moving: Moving::default(),
            timers_changed: Notify::new(),
            authenticator,
            decider,
            hasher: foldhash::fast::RandomState::default(),
            secret,
            denials: Denials::default(),
            turns: Turns::default(),
            password_checks: Arc::new(Semaphore::new(PASSWORD_CHECKS_MAX)),
            control_tasks: Arc::new(Semaphore::new(CONTROL_TASKS_MAX)),
            report: OnceLock::new(),
            me: OnceLock::new(),
            access_changes: AtomicU64::new(0),
            stopping: AtomicBool::new(false),
            cutting: AtomicBool::new(false),
            stop: Notify::new(),
        }
    }

    /// The hub, for who goes on with it on another thread.
    pub(crate) fn me(&self) -> Option<Arc<Self>> {
        self.me.get()?.upgrade()
    }

    pub(crate) fn set_me(&self, me: Weak<Self>) {
        let _it_is_known = self.me.set(me);
    }

    /// What opening the store found.
    pub(crate) fn report(&self) -> Option<&Report> {
        self.report.get()
    }

    pub(crate) fn set_report(&self, report: Report) {
        let _there_is_one = self.report.set(report);
    }

    /// What a publish to a topic waits for, if anything was said of it.
    pub(crate) fn sync_of(&self, topic: &str) -> Option<Sync> {
        let rules = self.options.durability.iter();
        rules.filter(|(filter, _)| primer_core::topic::matches(filter, topic)).map(|(_, sync)| *sync).max()
    }

    /// How often it has changed what clients may do.
    pub(crate) fn access_changes(&self) -> u64 {
        self.access_changes.load(Ordering::SeqCst)
    }

    /// Notes that it has, before the sessions are gone over.
    pub(crate) fn note_access_change(&self) {
        self.access_changes.fetch_add(1, Ordering::SeqCst);
    }

    /// What a client hears that may not do something.
    pub(crate) const fn denial(&self) -> ReasonCode {
        if self.options.reveals_denials { ReasonCode::NOT_AUTHORIZED } else { ReasonCode::UNSPECIFIED_ERROR }
    }

    pub(crate) fn is_stopping(&self) -> bool {
        self.stopping.load(Ordering::Relaxed)
    }

    /// Whether the time to drain is up.
    pub(crate) fn is_cutting(&self) -> bool {
        self.cutting.load(Ordering::Relaxed)
    }

    pub(crate) fn begin_cut(&self) {
        self.cutting.store(true, Ordering::Relaxed);
    }

    pub(crate) fn begin_stop(&self) {
        self.stopping.store(true, Ordering::Relaxed);
        self.stop.notify_waiters();
    }

    /// Arms a timer, or moves it.
    pub(crate) fn arm(&self, at_ms: u64, timer: Timer) {
        let mut timers = self.timers.lock();
        let was_first = timers.next();
        timers.insert(at_ms, timer);
        let is_first = timers.next();
        drop(timers);
        if was_first != is_first {
            self.timers_changed.notify_one();
        }
    }

    /// Has somebody look at a connection when its client should have been heard of.
    pub(crate) fn watch_silence(&self, note: Note, due_ms: u64) {
        let is_first = self.silences.lock().add(self.node.clock.now_ms(), due_ms, note);
        if is_first {
            self.timers_changed.notify_one();
        }
    }

    pub(crate) fn disarm(&self, timer: &Timer) {
        self.timers.lock().cancel(timer);
    }

    /// Holds a message back.
    pub(crate) fn hold(&self, due_ms: u64, later: Later) -> Result<Accepted, Refused> {
        let bytes = later.message.len();
        let (accepted, is_first) = self.node.delayed.hold(&self.node.budget, due_ms, bytes, later)?;
        if is_first {
            self.timers_changed.notify_one();
        }
        Ok(accepted)
    }

    /// Publishes a message of the broker itself, at QoS 0.
    pub(crate) fn publish_text(&self, batch: &mut Batch, topic: &str, payload: &[u8], retain: bool) {
        let publication = Publication {
            topic,
            forward: &[],
            payload,
            qos: QoS::AtMostOnce,
            retain,
            expires_at_ms: primer_core::message::NEVER_MS,
            expiry_s: None,
            from: None,
            publisher: None,
            user: None,
            shared_retain: false,
        };
        pipeline::publish_own(self, batch, &publication);
    }

    pub(crate) fn uptime(&self) -> Duration {
        Duration::from_millis(self.node.clock.now_ms())
    }
}

impl std::fmt::Debug for Hub {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Hub").field("connections", &self.connections.get()).finish_non_exhaustive()
    }
}
