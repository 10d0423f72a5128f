//! The one thread that writes: groups, rotation, cleaning, and coming back after the disk has failed.

use std::{
    sync::{Arc, atomic::Ordering},
    time::{Duration, Instant},
};

use parking_lot::MutexGuard;

use crate::{
    clean::Cleaning,
    commit::Prepared,
    draft::Draft,
    ledger::Ledger,
    limits::{ACTIVE_CACHE_BYTES, CLEAN_STEPS, IDLE_COMMIT, LAZY_FLUSH, RETRY_PAUSE},
    pace::Pace,
    record::{self, Kind},
    recover::Recovered,
    segment::{About, Opener, Segment, SegmentError, name_of},
    state::State,
    stats::Stats,
    store::{Health, Pending, Shared, Sync},
};

/// Messages below which the gather window is kept.
const GATHER_BELOW: usize = 10;

/// Attempts at one group.
const ATTEMPTS: usize = 3;

/// Attempts to open a segment anew, and the pause after each.
const REOPENINGS: usize = 10;
const REOPEN_PAUSE: Duration = Duration::from_millis(5);

/// See the module's description.
pub(crate) struct Writer {
    shared: Arc<Shared>,
    opener: Opener,
    /// None while it cannot be opened.
    active: Option<Arc<Segment>>,
    active_number: u64,
    state: State,
    ledger: Ledger,
    next_sequence: u64,
    incarnation: u64,
    cleaning: Option<Cleaning>,
    /// Bytes of rows in the active segment since it was opened or begun.
    active_bytes: u64,
    /// A commit has failed: the state is ahead of the files until a new segment begins with a picture of it.
    is_ahead: bool,
    /// Something was committed since the last commit that makes the next open quick.
    is_unsettled: bool,
    retry_at: Option<Instant>,
    pace: Pace,
    last_commit: Duration,
}

/// What the writer does next.
enum Work {
    Group(u64, Vec<Draft>),
    Idle,
    Clean,
    Retry,
    Stop,
}

impl Writer {
    /// # Panics
    /// When recovery brought no segment, which it never does.
    pub(crate) fn new(shared: Arc<Shared>, recovered: Recovered) -> Self {
        let Recovered { opener, segments, state, ledger, next_sequence, report, .. } = recovered;
        let active = segments.last_key_value().map(|(_, segment)| Arc::clone(segment)).expect("a segment to write to");
        // What stands in it already is not known to the byte; its length is a bound.
        let active_bytes = active.len() / 2;
        let active_number = active.about.number;
        *shared.segments.write() = segments;
        let mut writer = Self {
            shared,
            opener,
            active: Some(active),
            active_number,
            state,
            ledger,
            next_sequence,
            incarnation: report.incarnation,
            cleaning: None,
            active_bytes,
            is_ahead: false,
            is_unsettled: true,
            retry_at: None,
            pace: Pace::default(),
            last_commit: Duration::ZERO,
        };
        writer.tend();
        writer
    }

    pub(crate) fn run(mut self) {
        loop {
            match self.next_work() {
                Work::Group(group, drafts) => self.group(group, drafts),
                Work::Idle => self.settle(),
                Work::Clean => self.clean(),
                Work::Retry => self.come_back(),
                Work::Stop => break,
            }
        }
        self.say_goodbye();
    }

    fn next_work(&mut self) -> Work {
        let mut quiet_since = Instant::now();
        let shared = Arc::clone(&self.shared);
        let mut pending = shared.pending.lock();
        loop {
            if let Some((group, _)) = pending.drafts.front() {
                let group = *group;
                if !pending.is_urgent && !pending.is_closed {
                    // Nobody waits: others may come along.
                    let waited = shared.to_write.wait_for(&mut pending, LAZY_FLUSH);
                    if !waited.timed_out() && !pending.is_urgent && !pending.is_closed {
                        continue;
                    }
                }
                self.gather(&mut pending);
                return Work::Group(group, take_group(&shared, &mut pending, group));
            }
            if pending.is_closed {
                return Work::Stop;
            }
            if self.retry_at.is_some_and(|at| Instant::now() >= at) {
                return Work::Retry;
            }
            if self.cleaning.is_some() && self.retry_at.is_none() {
                return Work::Clean;
            }
            let waits = self.retry_at.map_or(IDLE_COMMIT, |at| at.saturating_duration_since(Instant::now()));
            let timed_out = shared.to_write.wait_for(&mut pending, waits).timed_out();
            if !timed_out {
                quiet_since = Instant::now();
            } else if self.is_unsettled && quiet_since.elapsed() >= IDLE_COMMIT && self.retry_at.is_none() {
                return Work::Idle;
            }
        }
    }

    /// Waits for more: as long as is asked for while little is there, and a moment where that has paid.
    fn gather(&mut self, pending: &mut MutexGuard<'_, Pending>) {
        let window = self.shared.options.gather;
        if !window.is_zero() && pending.messages < GATHER_BELOW {
            self.wait_for_messages(pending, GATHER_BELOW, window);
        }
        if let Some(plan) = self.pace.plan(pending.messages, self.last_commit) {
            self.wait_for_messages(pending, plan.messages, plan.patience);
        }
        self.pace.learn(pending.messages);
    }

    fn wait_for_messages(&self, pending: &mut MutexGuard<'_, Pending>, messages: usize, patience: Duration) {
        let until = Instant::now() + patience;
        pending.wake_at = messages;
        while pending.messages < messages && !pending.is_closed && Instant::now() < until {
            self.shared.to_write.wait_until(pending, until);
        }
        pending.wake_at = 0;
    }

    fn group(&mut self, group: u64, mut drafts: Vec<Draft>) {
        let begun = Instant::now();
        let mut is_durable = true;
        let mut messages = 0;
        if self.shared.options.sync == Sync::Each {
            drafts = drafts.into_iter().flat_map(one_by_one).collect();
            for draft in drafts {
                let (count, written) = self.commit(vec![draft]);
                (messages, is_durable) = (messages + count, is_durable && written);
            }
        } else {
            (messages, is_durable) = self.commit(drafts);
        }
        self.last_commit = begun.elapsed();
        self.shared.stats.commit(messages, self.last_commit);
        self.shared.end(group, is_durable);
        self.tend();
        for _ in 0..CLEAN_STEPS {
            if self.cleaning.is_some() && self.is_pressed() && self.retry_at.is_none() {
                self.clean();
            }
        }
    }

    /// Writes what is still wanted; answers how many messages that were, and whether it is durable.
    fn commit(&mut self, drafts: Vec<Draft>) -> (u64, bool) {
        let prepared = Prepared::new(drafts, self.next_sequence, &mut self.state);
        Stats::add(&self.shared.stats.skipped, prepared.skipped);
        // A segment that begins meanwhile begins with the first record of this group.
        let written = if prepared.is_empty() { Ok(()) } else { self.write(&prepared) };
        self.next_sequence = prepared.next;
        let messages = prepared.messages();
        match written {
            Ok(()) => {
                prepared.finish(&mut self.ledger);
                self.active_bytes += prepared.bytes as u64;
                Stats::add(&self.shared.stats.messages, messages);
                Stats::add(&self.shared.stats.payload_bytes, prepared.payload_bytes);
                self.is_unsettled |= !prepared.is_empty();
                (messages, true)
            }
            Err(error) => {
                tracing::error!(%error, messages, "a commit failed; its messages are refused");
                Stats::add(&self.shared.stats.failed_commits, 1);
                prepared.withdraw(&mut self.ledger);
                self.fail(&error);
                (0, false)
            }
        }
    }

    fn fail(&mut self, error: &SegmentError) {
        self.is_ahead = true;
        self.retry_at = Some(Instant::now() + RETRY_PAUSE);
        self.shared.set_health(match error {
            SegmentError::DiskFull => Health::DiskFull,
            SegmentError::Bound => Health::BudgetUsedUp,
            SegmentError::Newer { .. } | SegmentError::Failed(_) => Health::DiskFailed,
        });
    }

    fn write(&mut self, prepared: &Prepared) -> Result<(), SegmentError> {
        if self.is_ahead {
            self.rotate()?;
        } else if self.active_bytes + prepared.bytes as u64 > self.rotate_at() {
            self.try_to_rotate();
        }
        let mut result = Ok(());
        for _ in 0..ATTEMPTS {
            result = self.active()?.append(prepared.rows(), std::iter::empty());
            match &result {
                Ok(()) => break,
                Err(SegmentError::Bound) => {
                    self.reopen()?;
                    self.rotate()?;
                }
                Err(error) => {
                    tracing::warn!(%error, "a commit failed; opening the segment anew");
                    if matches!(error, SegmentError::DiskFull) {
                        self.drop_dead();
                    }
                    self.reopen()?;
                    // A commit that returned an error may have become durable all the same.
                    if self.active()?.last()?.is_some_and(|(last, _)| last + 1 >= prepared.next) {
                        return Ok(());
                    }
                }
            }
        }
        result
    }

    /// Bytes in a segment at which the next one takes over: below the bound of its file, with room for redb's own.
    fn rotate_at(&self) -> u64 {
        self.opener.len_max / 20 * 17
    }

    fn active(&self) -> Result<&Segment, SegmentError> {
        self.active.as_deref().ok_or_else(|| SegmentError::Failed("the segment is not open".to_owned()))
    }

    /// Opens the active segment anew: after an error redb's handle is of no more use.
    fn reopen(&mut self) -> Result<(), SegmentError> {
        let number = self.active_number;
        self.active = None;
        self.shared.segments.write().remove(&number);
        let mut result = Ok(());
        for _ in 0..REOPENINGS {
            match self.opener.open(number, ACTIVE_CACHE_BYTES).map(Arc::new) {
                Ok(segment) => {
                    self.active = Some(Arc::clone(&segment));
                    self.shared.segments.write().insert(number, segment);
                    return Ok(());
                }
                Err(error) => result = Err(error),
            }
            // A reader may hold the old handle, and with it the file's lock, a moment longer.
            std::thread::park_timeout(REOPEN_PAUSE);
        }
        result
    }

    /// Whether another segment fits the budget.
    fn free_slots(&self) -> u64 {
        let used = self.shared.segments.read().len() as u64;
        self.shared.options.slots().saturating_sub(used)
    }

    fn try_to_rotate(&mut self) {
        self.drop_dead();
        if self.free_slots() > 0
            && let Err(error) = self.rotate()
        {
            tracing::warn!(%error, "the next segment cannot be begun; the present one goes on");
        }
    }

    /// Begins the next segment, with a picture of the state.
    fn rotate(&mut self) -> Result<(), SegmentError> {
        self.drop_dead();
        if self.free_slots() == 0 {
            return Err(SegmentError::Bound);
        }
        let picture = self.state.picture();
        let newest = self.shared.segments.read().keys().next_back().copied().unwrap_or(0);
        let about = About {
            number: newest.max(self.active_number) + 1,
            base: self.next_sequence,
            parts: picture.len() as u32,
            incarnation: self.incarnation,
            next_queue: self.shared.next_queue(),
        };
        let (number, base) = (about.number, about.base);
        if let Err(error) = self.active().and_then(Segment::settle) {
            tracing::debug!(%error, "the full segment will open more slowly");
        }
        let segment = Arc::new(self.opener.make(about, &picture, ACTIVE_CACHE_BYTES)?);
        self.ledger.add_segment(number, base);
        self.shared.segments.write().insert(number, Arc::clone(&segment));
        self.active = Some(segment);
        self.active_number = number;
        self.active_bytes = picture.iter().map(|body| body.len() as u64).sum();
        self.is_ahead = false;
        tracing::debug!(number, base, "a segment begins");
        Ok(())
    }

    /// Removes segments of which nothing is wanted any more.
    fn drop_dead(&mut self) {
        let numbers: Vec<u64> = self.shared.segments.read().keys().copied().collect();
        for number in numbers {
            if number != self.active_number && self.ledger.live(number).records == 0 {
                self.drop_segment(number);
            }
        }
    }

    fn drop_segment(&mut self, number: u64) {
        if self.is_ahead {
            return; // its deltas may be what the state is rebuilt from
        }
        if self.cleaning.is_some_and(|cleaning| cleaning.number == number) {
            self.cleaning = None;
        }
        self.shared.segments.write().remove(&number);
        self.ledger.remove_segment(number);
        match self.opener.disk.remove(&name_of(number)).and_then(|()| self.opener.disk.sync()) {
            Ok(()) => tracing::debug!(number, "a segment is gone"),
            Err(error) => tracing::warn!(number, %error, "a segment that is not wanted cannot be removed"),
        }
    }

    /// Looks after space: segments that go, one to be cleaned, messages to be evicted, messages to be refused.
    fn tend(&mut self) {
        self.drop_dead();
        let live = self.ledger.total();
        self.shared.stats.live_bytes.store(live.bytes, Ordering::Relaxed);
        self.shared.stats.live_records.store(live.records, Ordering::Relaxed);
        let candidates: Vec<u64> = self.shared.segments.read().keys().copied().collect();
        let emptiest = candidates
            .iter()
            .filter(|number| **number != self.active_number)
            .min_by_key(|number| self.ledger.live(**number).bytes);
        let Some(emptiest) = emptiest.copied() else { return };
        let wanted = self.ledger.live(emptiest).bytes;
        // What is worth moving: an eighth of a segment at any time, half of one when room is needed.
        let worth = if self.is_pressed() { self.opener.len_max / 2 } else { self.opener.len_max / 8 };
        if self.cleaning.is_none() && wanted <= worth {
            self.cleaning = Some(Cleaning::of(emptiest));
        }
        if self.is_pressed() && self.cleaning.is_none() {
            self.evict(&candidates);
        }
        if self.retry_at.is_none() {
            let is_used_up = self.free_slots() == 0 && self.active_bytes > self.opener.len_max / 10 * 7;
            self.shared.set_health(if is_used_up { Health::BudgetUsedUp } else { Health::Well });
        }
    }

    /// Whether the budget is at its high watermark: one segment is left to be begun.
    fn is_pressed(&self) -> bool {
        self.free_slots() <= 1
    }

    /// Asks the owner to let go of the messages of the oldest segment.
    fn evict(&self, numbers: &[u64]) {
        let second = numbers.get(1).and_then(|number| self.shared.segments.read().get(number).map(|s| s.about.base));
        if let Some(base) = second.filter(|_| self.shared.options.evicts)
            && self.shared.evict_below.fetch_max(base, Ordering::AcqRel) < base
        {
            self.shared.call();
        }
    }

    fn clean(&mut self) {
        let Some(cleaning) = self.cleaning else { return };
        let segment = self.shared.segments.read().get(&cleaning.number).map(Arc::clone);
        let Some(segment) = segment else {
            self.cleaning = None;
            return;
        };
        if self.active_bytes > self.rotate_at() {
            self.try_to_rotate();
        }
        let ledger = &self.ledger;
        let step =
            cleaning.next(&segment, &self.state, |sequence| ledger.is_moved(sequence)).and_then(|(moving, next)| {
                let rows = moving.iter().flat_map(|record| record.rows.iter().map(|(key, row)| (*key, row.as_slice())));
                if !moving.is_empty() {
                    self.active()?.append(std::iter::empty(), rows)?;
                }
                Ok((moving, next))
            });
        match step {
            Ok((moving, next)) => {
                let to = self.active_number;
                for record in &moving {
                    self.ledger.move_to(record.sequence, record.len, to);
                    self.active_bytes += u64::from(record.len);
                    Stats::add(&self.shared.stats.cleaned_bytes, u64::from(record.len));
                    self.is_unsettled = true;
                }
                self.cleaning = next;
                if next.is_none() {
                    self.drop_segment(cleaning.number);
                    self.tend();
                }
            }
            Err(error) => {
                tracing::warn!(%error, number = cleaning.number, "a segment could not be cleaned");
                self.cleaning = None;
                self.fail(&error);
            }
        }
    }

    /// A moment of quiet: the next open will be quick.
    fn settle(&mut self) {
        self.is_unsettled = false;
        if let Err(error) = self.active().and_then(Segment::settle) {
            self.fail(&error);
        }
    }

    /// Tries to write again after a failure.
    fn come_back(&mut self) {
        self.drop_dead();
        let opened = self.reopen().and_then(|()| self.rotate());
        match opened {
            Ok(()) => {
                self.retry_at = None;
                tracing::info!("the disk takes writes again");
                self.shared.set_health(Health::Well);
                self.tend();
            }
            Err(error) => {
                tracing::debug!(%error, "the disk does not take writes yet");
                self.fail(&error);
            }
        }
    }

    fn say_goodbye(&mut self) {
        let row = record::row(Kind::Clean, self.next_sequence, &[]);
        let rows = std::iter::once((self.next_sequence, row.as_slice()));
        let said = if self.is_ahead { self.rotate() } else { Ok(()) };
        let said = said.and_then(|()| self.active()?.append(rows, std::iter::empty()));
        if let Err(error) = said.and_then(|()| self.active()?.settle()) {
            tracing::warn!(%error, "the store was not closed cleanly");
        }
        self.active = None;
        self.shared.segments.write().clear();
    }
}

/// The drafts of a group leave the pending ones.
fn take_group(shared: &Shared, pending: &mut Pending, group: u64) -> Vec<Draft> {
    let mut drafts = Vec::new();
    while pending.drafts.front().is_some_and(|(of, _)| *of == group)
        && let Some((_, draft)) = pending.drafts.pop_front()
    {
        pending.bytes -= draft.len();
        pending.messages -= draft.entries.len();
        drafts.push(draft);
    }
    pending.close_group(group);
    pending.is_urgent = !pending.drafts.is_empty() && pending.is_urgent;
    shared.pending_bytes.store(pending.bytes as u64, Ordering::Relaxed);
    drafts
}

/// A draft for each message, where nothing else changes. What changes along with messages is one commit with them: a
/// QoS 2 publish without the note that it came would be taken for a new one when it comes again.
fn one_by_one(draft: Draft) -> Vec<Draft> {
    if !draft.changes.is_empty() {
        return vec![draft];
    }
    let mut begin = 0;
    let memory = draft.memory;
    let alone = draft.entries.into_iter().map(|mut entry| {
        let bytes = memory.get(begin..entry.end).unwrap_or_default().to_vec();
        begin = std::mem::replace(&mut entry.end, bytes.len());
        Draft { memory: bytes, entries: vec![entry], changes: Vec::new() }
    });
    alone.collect()
}
