//! The store as its owner sees it: submit, ask whether it is durable, load, stop.

use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU8, AtomicU32, AtomicU64, Ordering},
    },
    task::Waker,
    thread::JoinHandle,
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

use parking_lot::{Condvar, Mutex, RwLock};

use crate::{
    change::{QueueId, Whereabouts},
    disk::Disk,
    draft::Draft,
    intervals::Intervals,
    limits::{
        BESIDE_BYTES, BUDGET_BYTES_MIN, DOUBLINGS_MAX, DOUBLINGS_MIN, GROUP_BYTES_MAX, GROUP_MESSAGES_MAX,
        PENDING_BYTES_HARD, PENDING_BYTES_SOFT, ROOM_PATIENCE_MS, SEGMENTS_PER_BUDGET, segment_bytes,
    },
    loader::{Loader, Want},
    recover::{self, OpenError, Report, Stored},
    segment::{Segment, try_file as try_segment},
    state::State,
    stats::{Figures, Stats},
    writer::Writer,
};

/// When what was submitted counts as durable.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum Sync {
    /// At once: it is written with the next commit, and nobody waits for it.
    Never,
    /// When the commit is on the disk that took it along with all that came meanwhile.
    #[default]
    Group,
    /// The same, with a commit for each message, or for those that one draft has along with changes.
    Each,
}

/// How a store is to be.
#[derive(Debug, Clone)]
pub struct Options {
    /// When an acknowledgement may be given.
    pub sync: Sync,
    /// The most that all files may have together, in bytes.
    pub budget_bytes: u64,
    /// How long the writer waits for more when fewer than ten messages are there: fewer, larger commits for a later
    /// acknowledgement. Zero for not at all.
    pub gather: Duration,
    /// Bytes a day above which an alarm is given; 0 for none.
    pub daily_write_budget_bytes: u64,
    /// Whether messages may be evicted, oldest first, when the budget is used up; otherwise new ones are refused.
    pub evicts: bool,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            sync: Sync::Group,
            budget_bytes: 4 << 30,
            gather: Duration::ZERO,
            daily_write_budget_bytes: 0,
            evicts: true,
        }
    }
}

impl Options {
    /// Bytes of one segment.
    pub(crate) fn segment_bytes(&self) -> u64 {
        let room = self.budget_bytes.saturating_sub(BESIDE_BYTES) / SEGMENTS_PER_BUDGET;
        let fitting = (DOUBLINGS_MIN..=DOUBLINGS_MAX).rev().map(segment_bytes).find(|bytes| *bytes <= room);
        fitting.unwrap_or(segment_bytes(DOUBLINGS_MIN))
    }

    /// How many segments the budget has room for.
    pub(crate) fn slots(&self) -> u64 {
        (self.budget_bytes.max(BUDGET_BYTES_MIN) - BESIDE_BYTES) / self.segment_bytes()
    }

    /// Bytes of a file that the messages of one draft may take: with a picture of the state they go into one segment.
    pub(crate) fn draft_cost_max(&self) -> u64 {
        self.segment_bytes() / 2
    }
}

/// What became durable together. Groups are durable in their order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Group(pub(crate) u64);

impl Group {
    /// A group that is durable: for what waits for nothing.
    pub const NOW: Self = Self(0);
}

/// Why the store takes nothing in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Refusal {
    /// The disk budget is used up, and nothing may be evicted for new messages.
    #[error("the disk budget is used up")]
    BudgetUsedUp,
    /// The disk is full.
    #[error("the disk is full")]
    DiskFull,
    /// The disk does not take writes.
    #[error("the disk does not take writes")]
    DiskFailed,
    /// More waits for the disk than it takes.
    #[error("the disk is too slow for what is published")]
    Overloaded,
}

/// How the store is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum Health {
    Well = 0,
    BudgetUsedUp = 1,
    DiskFull = 2,
    DiskFailed = 3,
}

impl Health {
    const fn refusal(word: u8) -> Option<Refusal> {
        match word {
            1 => Some(Refusal::BudgetUsedUp),
            2 => Some(Refusal::DiskFull),
            3 => Some(Refusal::DiskFailed),
            _ => None,
        }
    }
}

/// What waits for the writer.
#[derive(Debug, Default)]
pub(crate) struct Pending {
    pub(crate) drafts: VecDeque<(u64, Draft)>,
    /// The group that the next draft joins.
    pub(crate) group: u64,
    /// Bytes and messages of that group.
    group_bytes: usize,
    group_messages: usize,
    pub(crate) bytes: usize,
    pub(crate) messages: usize,
    /// Somebody waits for it.
    pub(crate) is_urgent: bool,
    /// The writer waits for so many messages; 0 when it does not.
    pub(crate) wake_at: usize,
    pub(crate) is_closed: bool,
    /// Nobody writes any more.
    is_stopped: bool,
}

impl Pending {
    /// What comes from now on joins a later group.
    pub(crate) fn close_group(&mut self, group: u64) {
        if self.group == group {
            self.group += 1;
            (self.group_bytes, self.group_messages) = (0, 0);
        }
    }

    /// Adds a draft; answers its group. A large one has a group of its own, so that nobody waits for it, or fails
    /// with it, but its owner.
    fn add(&mut self, draft: Draft, is_alone: bool) -> u64 {
        let weight = draft.weight();
        let is_full = self.group_bytes + weight > GROUP_BYTES_MAX || self.group_messages >= GROUP_MESSAGES_MAX;
        if (is_full || is_alone) && (self.group_bytes > 0 || self.group_messages > 0) {
            self.close_group(self.group);
        }
        let group = self.group;
        self.group_bytes += weight;
        self.group_messages += draft.entries.len();
        self.bytes += weight;
        self.messages += draft.entries.len();
        self.drafts.push_back((group, draft));
        if is_alone {
            self.close_group(group);
        }
        group
    }
}

/// What the owner's side and the writer share.
#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) options: Options,
    pub(crate) pending: Mutex<Pending>,
    pub(crate) to_write: Condvar,
    /// All groups up to this one have been committed, or have failed.
    pub(crate) done: AtomicU64,
    pub(crate) failed: Mutex<Intervals>,
    pub(crate) has_failed: AtomicBool,
    pub(crate) waiters: Mutex<Vec<(u64, Waker)>>,
    pub(crate) segments: RwLock<BTreeMap<u64, Arc<Segment>>>,
    /// Segments that gave errors and are to be opened anew.
    pub(crate) broken: Mutex<BTreeSet<u64>>,
    pub(crate) health: AtomicU8,
    /// Messages below this sequence number are to be evicted.
    pub(crate) evict_below: AtomicU64,
    /// Until when publishers wait, as the owner was asked to evict: in milliseconds since `began`; 0 when it was not.
    making_room_until_ms: AtomicU64,
    /// What the owner was asked for when it last answered, and the group with which that is written.
    evicted_below: AtomicU64,
    evicted_with: AtomicU64,
    began: Instant,
    /// Told when the owner has something to look at: eviction, a change of health.
    pub(crate) alarm: Mutex<Option<Waker>>,
    pub(crate) pending_bytes: AtomicU64,
    pub(crate) stats: Arc<Stats>,
    next_queue: AtomicU32,
}

impl Shared {
    /// When a draft is to count as durable.
    pub(crate) fn sync_of(&self, draft: &Draft) -> Sync {
        draft.sync.map_or(self.options.sync, |asked| asked.max(self.options.sync))
    }

    pub(crate) fn new(options: Options, stats: Arc<Stats>, next_queue: u32) -> Self {
        Self {
            options,
            pending: Mutex::new(Pending { group: 1, ..Pending::default() }),
            to_write: Condvar::new(),
            done: AtomicU64::new(0),
            failed: Mutex::default(),
            has_failed: AtomicBool::new(false),
            waiters: Mutex::default(),
            segments: RwLock::default(),
            broken: Mutex::default(),
            health: AtomicU8::new(Health::Well as u8),
            evict_below: AtomicU64::new(0),
            making_room_until_ms: AtomicU64::new(0),
            evicted_below: AtomicU64::new(0),
            evicted_with: AtomicU64::new(0),
            began: Instant::now(),
            alarm: Mutex::new(None),
            pending_bytes: AtomicU64::new(0),
            stats,
            next_queue: AtomicU32::new(next_queue),
        }
    }

    /// The owner makes room: who publishes may wait for it, for a while.
    pub(crate) fn begin_making_room(&self) {
        self.making_room_until_ms.store(self.now_ms() + ROOM_PATIENCE_MS, Ordering::Release);
    }

    pub(crate) fn end_making_room(&self) {
        self.making_room_until_ms.store(0, Ordering::Release);
    }

    pub(crate) fn is_making_room(&self) -> bool {
        let until_ms = self.making_room_until_ms.load(Ordering::Acquire);
        until_ms > 0 && self.now_ms() < until_ms
    }

    /// Whether the owner has let go of all that it was asked for, and that is written.
    pub(crate) fn has_evicted(&self) -> bool {
        self.evicted_below.load(Ordering::Acquire) >= self.evict_below.load(Ordering::Acquire)
            && self.evicted_with.load(Ordering::Acquire) <= self.done.load(Ordering::Acquire)
    }

    fn now_ms(&self) -> u64 {
        self.began.elapsed().as_millis() as u64
    }

    pub(crate) fn next_queue(&self) -> u32 {
        self.next_queue.load(Ordering::Relaxed)
    }

    pub(crate) fn set_health(&self, health: Health) {
        if self.health.swap(health as u8, Ordering::AcqRel) != health as u8 {
            self.call();
        }
    }

    /// Has the owner look.
    pub(crate) fn call(&self) {
        let waker = self.alarm.lock().clone();
        if let Some(waker) = waker {
            waker.wake();
        }
    }

    /// A group has come to its end: those who wait are woken.
    pub(crate) fn end(&self, group: u64, is_durable: bool) {
        if !is_durable {
            self.failed.lock().insert(group, group);
            self.has_failed.store(true, Ordering::Release);
        }
        self.done.fetch_max(group, Ordering::AcqRel);
        let ready: Vec<_> = self.waiters.lock().extract_if(.., |(waits_for, _)| *waits_for <= group).collect();
        ready.into_iter().for_each(|(_, waker)| waker.wake());
        if !is_durable {
            self.call(); // what was to move has to go back
        }
    }

    pub(crate) fn is_any_broken(&self) -> bool {
        !self.broken.lock().is_empty()
    }

    /// A segment gave an error: after one, redb gives nothing else until it is opened anew.
    pub(crate) fn report_broken(&self, number: u64) {
        if self.broken.lock().insert(number) {
            self.to_write.notify_one();
        }
    }

    /// The writer is gone: nobody is left waiting.
    fn stop(&self) {
        let mut pending = self.pending.lock();
        pending.is_stopped = true;
        let last = pending.group;
        for (_, mut draft) in std::mem::take(&mut pending.drafts) {
            draft.refuse();
        }
        drop(pending);
        for group in self.done.load(Ordering::Acquire) + 1..=last {
            self.end(group, false);
        }
    }
}

/// A running store. Dropping it [closes](Self::close) it.
#[derive(Debug)]
pub struct Store {
    shared: Arc<Shared>,
    loader: Loader,
    writer: Mutex<Option<JoinHandle<()>>>,
}

impl Store {
    /// Opens the store, or begins one where there is none. `visit` is given every message that a queue holds, once for
    /// each queue, in the order in which they were committed, after [`State`] is known; it gets that as well.
    ///
    /// # Errors
    /// Nothing can be read or written at all, or the files are those of a newer version. Damage is no error: see
    /// [`Report`].
    #[expect(clippy::needless_pass_by_value, reason = "the store keeps it")]
    pub fn open(
        disk: Arc<dyn Disk>,
        options: Options,
        visit: &mut dyn FnMut(&State, Stored<'_>),
    ) -> Result<(Self, State, Report), OpenError> {
        let stats = Arc::new(Stats::default());
        let recovered = recover::recover(&disk, &options, &stats, visit);
        disk.started(); // whatever came of it, the process is still there
        let recovered = recovered?;
        let shared = Arc::new(Shared::new(options, stats, recovered.next_queue));
        let state = recovered.state.clone();
        let report = recovered.report.clone();
        let writer = Writer::new(Arc::clone(&shared), recovered);
        let loader = Loader::start(Arc::clone(&shared)).map_err(OpenError::Thread)?;
        let stopped = Arc::clone(&shared);
        let run = move || {
            if catch_unwind(AssertUnwindSafe(|| writer.run())).is_err() {
                tracing::error!("the store's writer has panicked: nothing is written any more");
                stopped.set_health(Health::DiskFailed);
            }
            stopped.stop();
        };
        let thread = std::thread::Builder::new().name("primer-store".to_owned()).spawn(run);
        let thread = thread.map_err(OpenError::Thread)?;
        Ok((Self { shared, loader, writer: Mutex::new(Some(thread)) }, state, report))
    }

    /// A queue number that was never used.
    #[must_use]
    pub fn new_queue(&self) -> QueueId {
        QueueId(self.shared.next_queue.fetch_add(1, Ordering::Relaxed))
    }

    /// Whether messages are taken in now.
    ///
    /// # Errors
    /// They are not, and why.
    pub fn admits(&self) -> Result<(), Refusal> {
        if let Some(refusal) = Health::refusal(self.shared.health.load(Ordering::Acquire)) {
            return Err(refusal);
        }
        if self.shared.pending_bytes.load(Ordering::Relaxed) > PENDING_BYTES_HARD as u64 {
            return Err(Refusal::Overloaded);
        }
        Ok(())
    }

    /// Whether publishers should be read more slowly.
    #[must_use]
    pub fn is_congested(&self) -> bool {
        let soft = (PENDING_BYTES_SOFT as u64).min(self.shared.options.segment_bytes() / 2);
        self.shared.pending_bytes.load(Ordering::Relaxed) > soft || self.shared.is_making_room()
    }

    /// The most bytes that one draft's messages may take, and the same for its changes. What is longer is refused, and
    /// its group fails.
    #[must_use]
    pub fn draft_bytes_max(&self) -> usize {
        // A row may take twice its length in a file.
        usize::try_from(self.shared.options.draft_cost_max() / 9 * 4).unwrap_or(usize::MAX)
    }

    /// Hands a draft over; it is durable when the group is. With [`Sync::Never`] that is now.
    pub fn submit(&self, draft: Draft) -> Group {
        self.hand_over(draft, true)
    }

    /// Hands over changes that nobody waits for: they ride on the next commit, or are written a little later.
    pub fn note(&self, draft: Draft) -> Group {
        self.hand_over(draft, false)
    }

    fn hand_over(&self, draft: Draft, is_urgent: bool) -> Group {
        let mut pending = self.shared.pending.lock();
        if draft.is_empty() {
            // Durable when all that was handed over before is.
            return if pending.drafts.is_empty() { Group(pending.group - 1) } else { Group(pending.group) };
        }
        if pending.is_stopped {
            pending.group += 1;
            let group = pending.group;
            drop(pending);
            let mut draft = draft;
            draft.refuse();
            self.shared.end(group, false);
            return Group(group);
        }
        let was_empty = pending.drafts.is_empty();
        // Whether its moves are made must not depend on the commits of others.
        let sync = self.shared.sync_of(&draft);
        let is_alone = sync == Sync::Each && !draft.moves.is_empty();
        let group = pending.add(draft, is_alone);
        let is_enough = pending.wake_at > 0 && pending.messages >= pending.wake_at;
        let must_wake = was_empty || (is_urgent && !pending.is_urgent) || is_enough;
        self.shared.pending_bytes.store(pending.bytes as u64, Ordering::Relaxed);
        pending.is_urgent |= is_urgent;
        drop(pending);
        if must_wake {
            self.shared.to_write.notify_one();
        }
        if sync == Sync::Never { Group::NOW } else { Group(group) }
    }

    /// The group that comes to its end next: for who waits for a message of somebody else, which may be in it or in a
    /// later one, and looks again then.
    #[must_use]
    pub fn next(&self) -> Group {
        Group(self.shared.done.load(Ordering::Acquire) + 1)
    }

    /// The group that what was handed over last has joined: when it has come to its end, all of that has.
    #[must_use]
    pub fn last(&self) -> Group {
        let pending = self.shared.pending.lock();
        if pending.drafts.is_empty() { Group(pending.group - 1) } else { Group(pending.group) }
    }

    /// Somebody waits for a group whose drafts were [noted](Self::note) only.
    pub fn hurry(&self) {
        let mut pending = self.shared.pending.lock();
        if !pending.is_urgent && !pending.drafts.is_empty() {
            pending.is_urgent = true;
            drop(pending);
            self.shared.to_write.notify_one();
        }
    }

    /// What became of a group: `None` while it is not written, `Some(false)` when it could not be.
    #[must_use]
    pub fn outcome(&self, group: Group) -> Option<bool> {
        if group.0 > self.shared.done.load(Ordering::Acquire) {
            return None;
        }
        let is_durable =
            !self.shared.has_failed.load(Ordering::Acquire) || !self.shared.failed.lock().contains(group.0);
        Some(is_durable)
    }

    /// Has `waker` woken when the group has come to its end; answers `false` when it has already.
    #[must_use]
    pub fn wake_when(&self, group: Group, waker: &Waker) -> bool {
        let mut waiters = self.shared.waiters.lock();
        if self.outcome(group).is_some() {
            return false;
        }
        waiters.push((group.0, waker.clone()));
        true
    }

    /// Waits for a group; answers whether it is durable.
    pub async fn ended(&self, group: Group) -> bool {
        std::future::poll_fn(|cx| match self.outcome(group) {
            Some(is_durable) => std::task::Poll::Ready(is_durable),
            None if self.wake_when(group, cx.waker()) => std::task::Poll::Pending,
            None => std::task::Poll::Ready(self.outcome(group).unwrap_or(false)),
        })
        .await
    }

    /// Has messages read on the store's own thread and given to `take`, in the order of the wants.
    pub fn load(&self, wants: Vec<Want>, take: impl FnOnce(Vec<crate::Loaded>) + Send + 'static) {
        self.loader.load(wants, Box::new(take));
    }

    /// Settles a message at once if the writer has not taken it, so that it is not written if nobody else wants it.
    /// Answers what a [`crate::Change::Gone`] or [`Change::Settle`] has to say of it.
    #[must_use]
    pub fn settle(ticket: &Arc<crate::Ticket>) -> Whereabouts {
        if ticket.settle_early() { Whereabouts::Nowhere } else { Whereabouts::With(Arc::clone(ticket)) }
    }

    /// Messages with a lower sequence number are to go, if anything may be evicted: the disk budget is used up.
    #[must_use]
    pub fn evict_below(&self) -> u64 {
        self.shared.evict_below.load(Ordering::Acquire)
    }

    /// What [was to go](Self::evict_below) up to here has been handed over as gone: publishers wait for the room.
    pub fn evicted(&self, below: u64) {
        self.hurry();
        self.shared.evicted_with.store(self.last().0, Ordering::Release);
        self.shared.evicted_below.store(below, Ordering::Release);
    }

    /// Has `waker` woken whenever there is something to evict, a group has failed, or the store's health changes.
    pub fn on_alarm(&self, waker: Waker) {
        *self.shared.alarm.lock() = Some(waker);
    }

    /// The figures now.
    #[must_use]
    pub fn figures(&self) -> Figures {
        let day = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs() / 86_400);
        let segments = self.shared.segments.read();
        Figures {
            file_bytes: segments.values().map(|segment| segment.len()).sum(),
            budget_bytes: self.shared.options.budget_bytes,
            segments: segments.len() as u64,
            ..self.shared.stats.figures(day)
        }
    }

    /// Writes all that was handed over, and stops. The next open is quick.
    pub fn close(&self) {
        self.shared.pending.lock().is_closed = true;
        self.shared.to_write.notify_one();
        let thread = self.writer.lock().take();
        if let Some(thread) = thread {
            let _it_has_said_why = thread.join();
        }
        self.loader.stop();
    }
}

impl Drop for Store {
    fn drop(&mut self) {
        self.close();
    }
}

/// Opens one segment file and looks at every row, as a process of its own does for one that must not die of it.
///
/// # Errors
/// It does not open, or cannot be read.
pub fn try_file(path: &std::path::Path) -> Result<(), std::io::Error> {
    try_segment(path).map_err(|error| std::io::Error::other(error.to_string()))
}
