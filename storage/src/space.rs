//! What the writer does for space: segments go when nothing in them is wanted, the emptiest is cleaned, the owner is
//! asked to evict, messages are refused.

use std::sync::{Arc, atomic::Ordering};

use crate::{
    clean::{Cleaning, Moving},
    cost::row_cost,
    limits::{CLEAN_ATTEMPTS, RESERVE_BYTES, SEGMENTS_RESERVED},
    segment::{Rows, Segment, SegmentError, name_of, none},
    stats::Stats,
    writer::Writer,
};

impl Writer {
    /// How many more segments fit the budget. One that is longer than usual counts as several; but one of a larger
    /// budget, of which the newest are to be kept, does not take the room that they move to.
    pub(crate) fn free_slots(&self) -> u64 {
        let segments = self.shared.segments.read();
        let broken = self.shared.broken.lock().iter().filter(|number| !segments.contains_key(number)).count();
        let slots = |segment: &Arc<Segment>| match segment.len().div_ceil(self.opener.len_max) {
            _ if self.shared.options.evicts && self.is_oversized(segment) => 1,
            slots => slots.max(1),
        };
        let used: u64 = segments.values().map(slots).sum();
        self.shared.options.slots().saturating_sub(used + broken as u64)
    }

    /// Whether a segment is of a time when the budget was larger.
    pub(crate) fn is_oversized(&self, segment: &Segment) -> bool {
        segment.len() > self.opener.bound(segment.about.parts)
    }

    fn has_oversized(&self) -> bool {
        self.shared.segments.read().values().any(|segment| self.is_oversized(segment))
    }

    /// A segment that is larger than it may be now is not written to any more, or it would never go.
    fn leave_oversized(&mut self) {
        let is_oversized = self.active.as_ref().is_some_and(|active| self.is_oversized(active));
        if is_oversized && self.retry_at.is_none() {
            let budget_bytes = self.shared.options.budget_bytes;
            match self.begin_next() {
                Ok(()) => {
                    tracing::warn!(budget_bytes, "the files are of a larger budget: what is in them moves or goes");
                }
                Err(error) => tracing::debug!(%error, "the next segment cannot be begun"), // with the next commit
            }
        }
    }

    /// Removes segments of which nothing is wanted any more.
    pub(crate) fn drop_dead(&mut self) {
        let segments = self.shared.segments.read();
        let is_dead = |number: &u64| *number != self.active_number && self.ledger.live(*number).records == 0;
        let dead: Vec<u64> = segments.keys().copied().filter(is_dead).collect();
        drop(segments);
        self.drop_segments(&dead);
    }

    /// Lists the segments there are but for some.
    pub(crate) fn list(&mut self, without: &[u64]) -> std::io::Result<()> {
        let numbers: Vec<u64> = self.ledger.segments().filter(|number| !without.contains(number)).collect();
        self.roster.write(&*self.opener.disk, self.opener.salt, &numbers, self.next_sequence)
    }

    fn drop_segments(&mut self, numbers: &[u64]) {
        if numbers.is_empty() || (self.is_ahead && self.active.is_none()) {
            return; // the state may have to be rebuilt from its deltas
        }
        // Said first: one that is listed and not there would be missed.
        if let Err(error) = self.list(numbers) {
            tracing::warn!(?numbers, %error, "segments that are not wanted stay: the list of them cannot be written");
            return;
        }
        for number in numbers {
            if self.cleaning.is_some_and(|cleaning| cleaning.number == *number) {
                self.cleaning = None;
            }
            self.shared.segments.write().remove(number);
            self.shared.broken.lock().remove(number);
            self.suspects.remove(number);
            self.ledger.remove_segment(*number);
            match self.opener.disk.remove(&name_of(*number)) {
                Ok(()) => tracing::debug!(number, "a segment is gone"),
                Err(error) => tracing::warn!(number, %error, "a segment that is not wanted cannot be removed"),
            }
        }
        self.reserve.room_was_made();
        if let Err(error) = self.opener.disk.sync() {
            tracing::warn!(%error, "segments that are not wanted may be there again after a crash");
        }
    }

    /// Looks after space: segments that go, one to be cleaned, messages to be evicted, messages to be refused.
    pub(crate) fn tend(&mut self) {
        self.leave_oversized();
        self.drop_dead();
        let live = self.ledger.total();
        self.shared.stats.live_bytes.store(live.bytes, Ordering::Relaxed);
        self.shared.stats.live_records.store(live.records, Ordering::Relaxed);
        if !self.is_pressed() || self.shared.has_evicted() {
            self.shared.end_making_room();
        }
        // Eviction frees a whole segment and writes nothing: cleaning is for what it cannot free.
        if self.is_pressed() && !self.shared.is_making_room() {
            self.evict_oldest();
        }
        if self.cleaning.is_none() {
            let numbers: Vec<u64> = self.shared.segments.read().keys().copied().collect();
            self.cleaning = self.worth_cleaning(&numbers).map(Cleaning::of);
        }
        // The oldest may hold what stays: then the next oldest messages go. Not before the owner has answered: it may
        // have its hands full, and would let go of more with each second that it takes.
        if self.is_pressed() && self.shared.has_evicted() && self.cleaning.is_none() {
            self.evict_more();
        }
        if self.retry_at.is_none() {
            self.look_at_health();
        }
    }

    /// The segment to clean: one with damage, so that it is not found again at every start; else the emptiest.
    fn worth_cleaning(&self, numbers: &[u64]) -> Option<u64> {
        let room = self.rotate_at().saturating_sub(self.active_bytes) + self.free_slots() * self.rotate_at();
        // What is left of the reserve is for the state, and for what frees more than it takes.
        let room = if self.reserve.lacks_room() { room.min(RESERVE_BYTES / 4) } else { room };
        let may_be = |number: &&u64| {
            let has_failed = self.clean_failures.get(number).is_some_and(|times| *times >= CLEAN_ATTEMPTS);
            **number != self.active_number && !has_failed && self.ledger.cost(**number) < room
        };
        if let Some(suspect) = numbers.iter().filter(may_be).find(|number| self.suspects.contains_key(number)) {
            return Some(*suspect);
        }
        let segments = self.shared.segments.read();
        let is_oversized = |number: &&u64| segments.get(number).is_some_and(|segment| self.is_oversized(segment));
        if let Some(oversized) = numbers.iter().filter(may_be).find(is_oversized) {
            return (!self.shared.is_making_room()).then_some(*oversized);
        }
        drop(segments);
        let emptiest = numbers.iter().filter(may_be).min_by_key(|number| self.ledger.cost(**number))?;
        // What is worth moving: an eighth of a segment at any time, half of one when room is needed and nobody makes
        // it.
        let is_needed = self.is_pressed() && !self.shared.is_making_room();
        let worth = if is_needed { self.opener.len_max / 2 } else { self.opener.len_max / 8 };
        (self.ledger.cost(*emptiest) <= worth).then_some(*emptiest)
    }

    /// Whether the budget is at its high watermark: one segment is left to be begun for messages, or two where a few
    /// commits fill one before another is free.
    pub(crate) fn is_pressed(&self) -> bool {
        self.missing_slots() > 0
    }

    /// How many segments have to go until it is not.
    fn missing_slots(&self) -> usize {
        let fills_fast = self.large_commit > self.rotate_at() / 4;
        let wanted = SEGMENTS_RESERVED + 2 + u64::from(fills_fast);
        let missing = usize::try_from(wanted.saturating_sub(self.free_slots())).unwrap_or(usize::MAX);
        missing.max(usize::from(self.has_oversized()))
    }

    /// Asks the owner to let go of the messages of the oldest segments.
    pub(crate) fn evict_oldest(&self) {
        let segments = self.shared.segments.read();
        if segments.len() < self.ledger.segments().count() {
            return; // which is the oldest is known when all are open again
        }
        let first_to_stay = self.missing_slots().min(segments.len() - 1);
        let mut base = segments.values().nth(first_to_stay).map(|segment| segment.about.base);
        if let Some((number, oldest)) = segments.first_key_value().filter(|(_, oldest)| self.is_oversized(oldest)) {
            // Its newest stay, as many as there is room for. Records are taken to be of one size.
            let room = self.free_slots().saturating_sub(SEGMENTS_RESERVED + 2) * self.rotate_at();
            let cost = self.ledger.cost(*number).max(1);
            let end = oldest.last().ok().flatten().map_or(self.next_sequence, |(last, _)| last + 1);
            let stay = u128::from(end - oldest.about.base) * u128::from(room.min(cost)) / u128::from(cost);
            base = Some(end - u64::try_from(stay).unwrap_or(0));
        }
        drop(segments);
        base.into_iter().for_each(|base| self.evict_to(base));
    }

    /// Asks for the messages of one segment more than before, if there is one.
    fn evict_more(&self) {
        let asked = self.shared.evict_below.load(Ordering::Acquire);
        let segments = self.shared.segments.read();
        let base = segments.values().map(|segment| segment.about.base).find(|base| *base > asked);
        drop(segments);
        base.into_iter().for_each(|base| self.evict_to(base));
    }

    fn evict_to(&self, base: u64) {
        if self.shared.options.evicts && self.shared.evict_below.fetch_max(base, Ordering::AcqRel) < base {
            self.shared.begin_making_room();
            self.shared.call();
        }
    }

    /// One step of cleaning.
    pub(crate) fn clean(&mut self) {
        let Some(cleaning) = self.cleaning.take() else { return };
        let number = cleaning.number;
        let segment = self.shared.segments.read().get(&number).map(Arc::clone);
        let Some(segment) = segment else { return };
        let ledger = &self.ledger;
        let step = match cleaning.next(&segment, &self.state, |sequence| ledger.place(sequence) == Some(number)) {
            Ok(step) => step,
            Err(error) => {
                tracing::warn!(%error, number, "a segment cannot be read to be cleaned");
                *self.clean_failures.entry(number).or_default() += 1;
                self.shared.report_broken(number);
                return;
            }
        };
        drop(segment);
        if step.damaged > 0 && !self.suspects.contains_key(&number) {
            tracing::error!(number, rows = step.damaged, "damaged rows in a segment that is cleaned");
            Stats::add(&self.shared.stats.damaged, step.damaged);
        }
        match self.move_here(&step.moving) {
            Ok(()) if step.next.is_none() => {
                self.drop_segments(&[number]);
                self.tend();
            }
            Ok(()) => self.cleaning = step.next,
            Err(error) => {
                tracing::warn!(%error, number, "a segment could not be cleaned");
                *self.clean_failures.entry(number).or_default() += 1;
                self.fail(&error);
            }
        }
    }

    /// Records move to the active segment.
    fn move_here(&mut self, moving: &[Moving]) -> Result<(), SegmentError> {
        if moving.is_empty() {
            return Ok(());
        }
        let rows = || moving.iter().flat_map(|record| record.rows.iter().map(|(key, row)| (*key, row.as_slice())));
        let cost: u64 = rows().map(|(_, row)| row_cost(row.len())).sum();
        if self.active_bytes + cost > self.rotate_at() {
            self.begin_next()?;
        }
        match self.active()?.append(Rows { stream: none(), kept: rows() }) {
            Err(SegmentError::Bound) => {
                self.learn_room();
                self.reopen()?;
                self.begin_next()?;
                self.active()?.append(Rows { stream: none(), kept: rows() })?;
            }
            other => other?,
        }
        self.active_bytes += cost;
        self.is_unsettled = true;
        for record in moving {
            self.ledger.move_to(record.sequence, record.len, self.active_number);
            Stats::add(&self.shared.stats.cleaned_bytes, u64::from(record.len));
        }
        Ok(())
    }
}
