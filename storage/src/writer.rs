//! The one thread that writes: groups, rotation, and coming back after the disk has failed. What it does for space is
//! in `space`.

use std::{
    collections::BTreeMap,
    sync::{Arc, atomic::Ordering},
    time::{Duration, Instant},
};

use parking_lot::MutexGuard;

use crate::{
    clean::Cleaning,
    commit::Prepared,
    cost::row_cost,
    draft::Draft,
    ledger::Ledger,
    limits::{ACTIVE_CACHE_BYTES, CLEAN_STEPS, IDLE_COMMIT, LAZY_FLUSH, SEGMENTS_RESERVED},
    pace::{Pace, Waiting},
    record::{Kind, Seal},
    recover::Recovered,
    reserve::Reserve,
    roster::Roster,
    segment::{About, Opener, Rows, Segment, SegmentError, none},
    state::State,
    stats::Stats,
    store::{Pending, Shared, Sync},
};

/// Messages below which the gather window is kept.
const GATHER_BELOW: usize = 10;

/// Attempts at one group.
const ATTEMPTS: usize = 3;

/// See the module's description.
pub(crate) struct Writer {
    pub(crate) shared: Arc<Shared>,
    pub(crate) opener: Opener,
    pub(crate) seal: Seal,
    /// None while it cannot be opened.
    pub(crate) active: Option<Arc<Segment>>,
    pub(crate) active_number: u64,
    pub(crate) state: State,
    pub(crate) ledger: Ledger,
    pub(crate) next_sequence: u64,
    incarnation: u64,
    pub(crate) roster: Roster,
    pub(crate) reserve: Reserve,
    pub(crate) cleaning: Option<Cleaning>,
    /// Segments in which damaged rows were found, and how many.
    pub(crate) suspects: BTreeMap<u64, u64>,
    /// Attempts to clean that failed.
    pub(crate) clean_failures: BTreeMap<u64, u32>,
    /// What the rows in the active segment take of it.
    pub(crate) active_bytes: u64,
    /// Bytes of rows of the largest commits lately.
    pub(crate) large_commit: u64,
    /// Bytes of rows that a file has lately been found to have room for.
    learned_room: u64,
    /// A commit has failed: the state is ahead of the files until all of it is written anew.
    pub(crate) is_ahead: bool,
    /// The active segment may have a successor that is not known here. What is written to it now would be taken for
    /// older than that.
    is_superseded: bool,
    /// A sync of the active segment has failed: the kernel takes for written what it has not, and reads say nothing of
    /// it. It is not written to any more, and what is wanted of it moves to another.
    pub(crate) is_doubtful: bool,
    /// Failed syncs that are known.
    pub(crate) failed_syncs: u64,
    /// Something was committed since the last commit that makes the next open quick.
    pub(crate) is_unsettled: bool,
    /// When to try again to write. The disk does not take writes as long as this is set.
    pub(crate) retry_at: Option<Instant>,
    /// When to try again to open segments that gave errors.
    pub(crate) mend_at: Option<Instant>,
    pace: Pace,
    last_commit: Duration,
    /// Messages that waited or were answered when the last group had been written.
    on_their_way: usize,
}

/// What the writer does next.
enum Work {
    Group(u64, Vec<Draft>),
    Idle,
    Clean,
    Mend,
    Retry,
    Refill,
    Stop,
}

impl Writer {
    /// # Panics
    /// When recovery brought no segment, which it never does.
    pub(crate) fn new(shared: Arc<Shared>, recovered: Recovered) -> Self {
        let Recovered {
            opener, segments, state, ledger, next_sequence, report, roster, active_bytes, suspects, ..
        } = recovered;
        let active = segments.last_key_value().map(|(_, segment)| Arc::clone(segment)).expect("a segment to write to");
        let active_number = active.about.number;
        *shared.segments.write() = segments;
        let reserve = Reserve::find(&*opener.disk);
        let mut writer = Self {
            shared,
            seal: opener.seal(),
            opener,
            active: Some(active),
            active_number,
            state,
            ledger,
            next_sequence,
            incarnation: report.incarnation,
            roster,
            reserve,
            cleaning: None,
            suspects,
            clean_failures: BTreeMap::new(),
            active_bytes,
            large_commit: 0,
            learned_room: u64::MAX,
            is_ahead: false,
            is_superseded: false,
            is_doubtful: false,
            failed_syncs: 0,
            is_unsettled: true,
            retry_at: None,
            mend_at: None,
            pace: Pace::default(),
            last_commit: Duration::ZERO,
            on_their_way: 0,
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
                Work::Mend => self.mend(),
                Work::Retry => self.come_back(),
                Work::Refill => self.tend(),
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
            let now = Instant::now();
            if !pending.is_closed && self.retry_at.is_some_and(|at| now >= at) {
                return Work::Retry;
            }
            let refill_at = self.reserve.try_at().filter(|_| self.retry_at.is_none());
            if !pending.is_closed && refill_at.is_some_and(|at| now >= at) {
                return Work::Refill;
            }
            if shared.is_any_broken() && !pending.is_closed && self.mend_at.is_none_or(|at| now >= at) {
                return Work::Mend;
            }
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
            if self.cleaning.is_some() && self.retry_at.is_none() {
                return Work::Clean;
            }
            let mend_at = self.mend_at.filter(|_| shared.is_any_broken());
            let next = self.retry_at.into_iter().chain(mend_at).chain(refill_at).min();
            let waits = next.map_or(IDLE_COMMIT, |at| at.saturating_duration_since(now).min(IDLE_COMMIT));
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
        // A client that connects or subscribes is not kept waiting for messages of others.
        let is_asked = pending.messages == 0 && pending.is_urgent;
        if !window.is_zero() && pending.messages < GATHER_BELOW && !is_asked {
            self.wait_for_messages(pending, GATHER_BELOW, window);
        }
        let waiting = Waiting { messages: pending.messages, bytes: pending.bytes };
        if let Some(plan) = self.pace.plan(waiting, self.on_their_way, self.last_commit) {
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

    fn group(&mut self, group: u64, drafts: Vec<Draft>) {
        let begun = Instant::now();
        let mut is_durable = true;
        let mut messages = 0;
        let mut spent = Vec::new();
        let answered: usize = drafts.iter().map(|draft| draft.entries.len()).sum();
        for drafts in self.commits_of(drafts) {
            let (prepared, written) = self.commit(drafts);
            (messages, is_durable) = (messages + prepared.messages(), is_durable && written);
            spent.push(prepared);
        }
        self.last_commit = begun.elapsed();
        self.on_their_way = answered + self.shared.pending.lock().messages;
        self.shared.stats.commit(messages, self.last_commit);
        self.shared.end(group, is_durable);
        drop(spent); // takes a while, and nobody has to wait for it
        self.tend();
        for _ in 0..CLEAN_STEPS {
            if self.cleaning.is_some() && self.is_pressed() && self.retry_at.is_none() {
                self.clean();
            }
        }
    }

    /// What is written together: all of it, but for what asks for a commit of its own.
    fn commits_of(&self, drafts: Vec<Draft>) -> Vec<Vec<Draft>> {
        let asks = |draft: &Draft| self.shared.sync_of(draft) == Sync::Each;
        if !drafts.iter().any(asks) {
            return vec![drafts];
        }
        let mut commits = Vec::new();
        let mut rest = drafts.into_iter().peekable();
        while let Some(first) = rest.next() {
            let is_each = asks(&first);
            let mut run = vec![first];
            while let Some(next) = rest.next_if(|next| asks(next) == is_each) {
                run.push(next);
            }
            if is_each { commits.extend(one_by_one(run)) } else { commits.push(run) }
        }
        commits
    }

    /// Writes what is still wanted; answers what that was, and whether all of it is durable.
    fn commit(&mut self, mut drafts: Vec<Draft>) -> (Prepared, bool) {
        let is_refused = self.refuse(&mut drafts);
        let mut prepared = Prepared::new(drafts, self.next_sequence, self.seal, &mut self.state);
        Stats::add(&self.shared.stats.skipped, prepared.skipped);
        let written = if prepared.is_empty() { Ok(()) } else { self.write(&mut prepared) };
        self.next_sequence = prepared.next;
        let messages = prepared.messages();
        match written {
            Ok(()) => {
                prepared.finish(&mut self.ledger, &mut self.state);
                self.active_bytes += prepared.cost;
                Stats::add(&self.shared.stats.messages, messages);
                Stats::add(&self.shared.stats.payload_bytes, prepared.payload_bytes);
                self.is_unsettled |= !prepared.is_empty();
                if self.retry_at.is_some() && !prepared.is_empty() {
                    self.recover();
                }
                (prepared, !is_refused)
            }
            Err(error) => {
                if messages > 0 {
                    tracing::error!(%error, messages, "a commit failed; its messages are refused");
                } else {
                    tracing::debug!(%error, "a commit failed; its changes come with a later one");
                }
                Stats::add(&self.shared.stats.failed_commits, 1);
                prepared.withdraw(&mut self.ledger);
                self.fail(&error);
                (Prepared::empty(self.next_sequence), false)
            }
        }
    }

    /// Messages that have no room are withdrawn before anything is written; changes are not, they may make room.
    fn refuse(&mut self, drafts: &mut [Draft]) -> bool {
        let cost: u64 = drafts.iter().map(Draft::cost).sum();
        let changes_len: usize = drafts.iter().map(|draft| draft.changes_len).sum();
        if changes_len as u64 > self.shared.options.draft_cost_max() {
            tracing::error!(changes_len, "changes that no segment has room for are refused");
            drafts.iter_mut().for_each(Draft::refuse);
            return true;
        }
        self.large_commit = (self.large_commit / 16 * 15).max(cost);
        if cost == 0 {
            return false;
        }
        let is_too_large = cost > self.shared.options.draft_cost_max();
        let needs_next = self.active_bytes + cost > self.rotate_at();
        if needs_next {
            self.drop_dead();
        }
        let is_refused = is_too_large || (needs_next && self.free_slots() <= SEGMENTS_RESERVED);
        if is_refused {
            tracing::warn!(cost, is_too_large, "messages are refused: there is no room for them");
            drafts.iter_mut().for_each(Draft::refuse_messages);
        }
        is_refused
    }

    pub(crate) fn write(&mut self, prepared: &mut Prepared) -> Result<(), SegmentError> {
        let is_full = self.active_bytes + prepared.cost > self.rotate_at();
        if self.is_ahead || is_full || self.is_doubtful {
            self.drop_dead();
            match self.rotate(prepared) {
                Ok(()) => return Ok(()),
                Err(error)
                    if self.is_superseded
                        || self.is_doubtful
                        || (self.is_ahead && !matches!(error, SegmentError::Bound)) =>
                {
                    return Err(error);
                }
                // The present segment goes on, while its file has room.
                Err(error) => tracing::debug!(%error, "the next segment cannot be begun"),
            }
        }
        if self.is_ahead {
            prepared.add_deltas(&self.state.restatement(), self.seal);
            prepared.add_moves(self.seal);
        }
        let mut result = Ok(());
        for _ in 0..ATTEMPTS {
            result = self.active()?.append(Rows { stream: prepared.rows(), kept: none() });
            match &result {
                Ok(()) => {
                    self.is_ahead = false;
                    break;
                }
                Err(SegmentError::Bound) => {
                    self.learn_room();
                    self.reopen()?;
                    self.drop_dead();
                    return self.rotate(prepared);
                }
                Err(error) => {
                    tracing::warn!(%error, "a commit failed; opening the segment anew");
                    if matches!(error, SegmentError::DiskFull) {
                        self.drop_dead();
                    }
                    if self.look_at_syncs() {
                        return self.rotate(prepared);
                    }
                    self.reopen()?;
                    // A commit that returned an error may have become durable all the same.
                    if self.active()?.last()?.is_some_and(|(last, _)| last + 1 >= prepared.next) {
                        self.is_ahead = false;
                        return Ok(());
                    }
                }
            }
        }
        result
    }

    /// Bytes of rows in the active segment at which the next one takes over.
    pub(crate) fn rotate_at(&self) -> u64 {
        let room = self.active.as_ref().map_or(self.opener.len_max / 20 * 17, |segment| segment.room());
        // Where there is no next one, what the file has room for at best is tried.
        if self.free_slots() == 0 { room } else { room.min(self.learned_room) }
    }

    /// A file was full before the sizes of its rows said so: large ones leave gaps. The next are left in time, so that
    /// no commit has to fail to find out, least of all the one that finds no further segment.
    pub(crate) fn learn_room(&mut self) {
        let least = self.opener.len_max / 4;
        self.learned_room = (self.active_bytes / 20 * 19).max(least).min(self.learned_room);
    }

    /// Rows may be smaller by now: as long as there is room to be wrong, more of the next segment is used.
    fn unlearn_room(&mut self) {
        if self.learned_room < self.opener.len_max && self.free_slots() > SEGMENTS_RESERVED + 2 {
            self.learned_room += self.opener.len_max / 50;
        }
    }

    pub(crate) fn active(&self) -> Result<&Segment, SegmentError> {
        self.active.as_deref().ok_or_else(|| SegmentError::Failed("the segment is not open".to_owned()))
    }

    /// Begins the next segment, with a picture of the state and the rows of a group: both are there or neither is.
    pub(crate) fn rotate(&mut self, prepared: &Prepared) -> Result<(), SegmentError> {
        // One that has to be left is, at the price of being over the budget until it is gone.
        let is_oversized = self.active.as_ref().is_some_and(|active| self.is_oversized(active));
        if self.free_slots() == 0 && !is_oversized && !self.is_doubtful {
            return Err(SegmentError::Bound);
        }
        let picture = self.state.picture();
        let newest = self.shared.segments.read().keys().next_back().copied().unwrap_or(0);
        let about = About {
            salt: self.opener.salt,
            number: newest.max(self.active_number) + 1,
            base: prepared.first,
            parts: picture.len() as u32,
            incarnation: self.incarnation,
            next_queue: self.shared.next_queue().max(self.state.next_id()),
            damaged: self.suspects.values().sum(),
        };
        let (number, base) = (about.number, about.base);
        if self.retry_at.is_none()
            && let Err(error) = self.active().and_then(Segment::settle)
        {
            tracing::debug!(%error, "the full segment will open more slowly");
        }
        let rows = Rows { stream: prepared.rows(), kept: none() };
        let made = self.opener.make(about, &picture, rows, ACTIVE_CACHE_BYTES);
        self.is_superseded |= matches!(made, Err(SegmentError::Unsure(_)));
        let segment = Arc::new(made?);
        self.ledger.add_segment(number, base);
        self.shared.segments.write().insert(number, Arc::clone(&segment));
        self.active = Some(segment);
        // The last one is opened anew as well: with the small cache of a segment that is only read.
        self.shared.report_broken(std::mem::replace(&mut self.active_number, number));
        self.mend_at = None;
        self.unlearn_room();
        self.active_bytes = picture.iter().map(|body| row_cost(body.len())).sum();
        (self.is_ahead, self.is_superseded, self.is_doubtful) = (false, false, false);
        self.failed_syncs = self.shared.stats.failed_syncs.load(Ordering::Relaxed);
        tracing::debug!(number, base, "a segment begins");
        let _the_next_change_tries_again = self.list(&[]);
        Ok(())
    }

    /// Begins the next segment with no rows.
    pub(crate) fn begin_next(&mut self) -> Result<(), SegmentError> {
        self.rotate(&Prepared::empty(self.next_sequence))
    }

    /// A moment of quiet: the next open will be quick.
    fn settle(&mut self) {
        self.is_unsettled = false;
        if let Err(error) = self.active().and_then(Segment::settle) {
            self.fail(&error);
        }
    }

    fn say_goodbye(&mut self) {
        let mut nothing = Prepared::empty(self.next_sequence);
        let said = if self.is_ahead { self.write(&mut nothing) } else { Ok(()) };
        let sequence = nothing.next;
        let row = self.seal.row(Kind::Clean, sequence, &[]);
        let stream = std::iter::once((sequence, row.as_slice()));
        let said = said.and_then(|()| self.active()?.append(Rows { stream, kept: none() }));
        if let Err(error) = said.and_then(|()| self.active()?.settle()) {
            tracing::warn!(%error, "the store was not closed cleanly");
        }
        self.active = None;
        self.shared.segments.write().clear();
    }
}

/// The drafts of a group leave the pending ones.
fn take_group(shared: &Shared, pending: &mut Pending, group: u64) -> Vec<Draft> {
    let mut drafts = Vec::with_capacity(pending.drafts.len()); // most often all of them
    while pending.drafts.front().is_some_and(|(of, _)| *of == group)
        && let Some((_, draft)) = pending.drafts.pop_front()
    {
        pending.bytes -= draft.weight();
        pending.messages -= draft.entries.len();
        drafts.push(draft);
    }
    pending.close_group(group);
    pending.is_urgent = !pending.drafts.is_empty() && pending.is_urgent;
    shared.pending_bytes.store(pending.bytes as u64, Ordering::Relaxed);
    drafts
}

/// The commits of a group in which each message has its own. Changes that come without a message ride on the next one.
fn one_by_one(drafts: Vec<Draft>) -> Vec<Vec<Draft>> {
    let mut commits = Vec::new();
    let mut commit = Vec::new();
    for draft in drafts.into_iter().flat_map(apart) {
        let has_message = !draft.entries.is_empty();
        commit.push(draft);
        if has_message {
            commits.push(std::mem::take(&mut commit));
        }
    }
    if !commit.is_empty() {
        commits.push(commit);
    }
    commits
}

/// A draft for each message, where nothing else changes. What changes along with messages is one commit with them: a
/// QoS 2 publish without the note that it came would be taken for a new one when it comes again.
fn apart(draft: Draft) -> Vec<Draft> {
    if !(draft.changes.is_empty() && draft.moves.is_empty()) {
        return vec![draft];
    }
    let mut begin = 0;
    let memory = draft.memory;
    let alone = draft.entries.into_iter().map(|mut entry| {
        let bytes = memory.get(begin..entry.end).unwrap_or_default().to_vec();
        begin = std::mem::replace(&mut entry.end, bytes.len());
        Draft { memory: bytes, entries: vec![entry], ..Draft::default() }
    });
    alone.collect()
}
