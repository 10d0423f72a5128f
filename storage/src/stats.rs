//! What the store counts.

use std::{
    sync::atomic::{AtomicU64, Ordering::Relaxed},
    time::Duration,
};

use parking_lot::Mutex;

/// Why a message went without being delivered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Trimmed {
    /// Every destination was done with it before it was to be written.
    Acknowledged,
    /// Its record was damaged.
    Damaged,
}

/// Powers of two of microseconds, up to half a minute.
const BUCKETS: usize = 26;

/// Counters, written by the store's threads and read by whoever shows them.
#[derive(Debug, Default)]
pub(crate) struct Stats {
    pub(crate) written_bytes: AtomicU64,
    pub(crate) read_bytes: AtomicU64,
    pub(crate) syncs: AtomicU64,
    pub(crate) payload_bytes: AtomicU64,
    pub(crate) messages: AtomicU64,
    pub(crate) skipped: AtomicU64,
    pub(crate) damaged: AtomicU64,
    pub(crate) commits: AtomicU64,
    pub(crate) failed_commits: AtomicU64,
    pub(crate) failed_syncs: AtomicU64,
    pub(crate) group_messages: AtomicU64,
    pub(crate) cleaned_bytes: AtomicU64,
    pub(crate) live_bytes: AtomicU64,
    pub(crate) live_records: AtomicU64,
    latency: [AtomicU64; BUCKETS],
    today: Mutex<Today>,
}

/// Bytes written since midnight, UTC.
#[derive(Debug, Default)]
struct Today {
    day: u64,
    written_at_midnight: u64,
}

impl Stats {
    pub(crate) fn add(counter: &AtomicU64, number: u64) {
        counter.fetch_add(number, Relaxed);
    }

    pub(crate) fn commit(&self, messages: u64, took: Duration) {
        Self::add(&self.commits, 1);
        Self::add(&self.group_messages, messages);
        let micros = u64::try_from(took.as_micros()).unwrap_or(u64::MAX);
        let bucket = (64 - micros.leading_zeros()) as usize;
        if let Some(count) = self.latency.get(bucket.min(BUCKETS - 1)) {
            Self::add(count, 1);
        }
    }

    /// A latency that the given share of commits did not exceed, as the upper end of its bucket, in microseconds.
    fn latency_us(&self, share: f64) -> u64 {
        let counts: Vec<u64> = self.latency.iter().map(|count| count.load(Relaxed)).collect();
        let wanted = (counts.iter().sum::<u64>() as f64 * share).ceil() as u64;
        let mut seen = 0;
        for (bucket, count) in counts.iter().enumerate() {
            seen += count;
            if seen >= wanted && wanted > 0 {
                return 1 << bucket;
            }
        }
        0
    }

    fn written_today(&self, day: u64) -> u64 {
        let written = self.written_bytes.load(Relaxed);
        let mut today = self.today.lock();
        if today.day != day {
            *today = Today { day, written_at_midnight: if today.day == 0 { 0 } else { written } };
        }
        written.saturating_sub(today.written_at_midnight)
    }

    pub(crate) fn figures(&self, unix_day: u64) -> Figures {
        let get = |counter: &AtomicU64| counter.load(Relaxed);
        Figures {
            written_bytes: get(&self.written_bytes),
            written_today_bytes: self.written_today(unix_day),
            read_bytes: get(&self.read_bytes),
            payload_bytes: get(&self.payload_bytes),
            messages: get(&self.messages),
            skipped: get(&self.skipped),
            damaged: get(&self.damaged),
            syncs: get(&self.syncs),
            commits: get(&self.commits),
            failed_commits: get(&self.failed_commits),
            group_messages: get(&self.group_messages),
            commit_p50_us: self.latency_us(0.5),
            commit_p99_us: self.latency_us(0.99),
            cleaned_bytes: get(&self.cleaned_bytes),
            live_bytes: get(&self.live_bytes),
            live_records: get(&self.live_records),
            file_bytes: 0,
            budget_bytes: 0,
            segments: 0,
        }
    }
}

/// The store's figures at one moment. Counters begin with the process.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Figures {
    /// Bytes written to files, counted where redb hands them over.
    pub written_bytes: u64,
    /// The same since midnight, UTC, or since the start.
    pub written_today_bytes: u64,
    /// Bytes read from files.
    pub read_bytes: u64,
    /// Bytes of the payloads of messages that were written.
    pub payload_bytes: u64,
    /// Messages written.
    pub messages: u64,
    /// Messages that every destination was done with before they were to be written.
    pub skipped: u64,
    /// Records that were damaged when they were read.
    pub damaged: u64,
    /// Calls of fsync.
    pub syncs: u64,
    /// Commits of groups.
    pub commits: u64,
    /// Commits that failed.
    pub failed_commits: u64,
    /// Messages in all groups; divided by the commits it is the size of a group.
    pub group_messages: u64,
    /// Half of the commits took no longer than this, in microseconds, to the next power of two.
    pub commit_p50_us: u64,
    /// 99 of 100 commits took no longer than this, in microseconds, to the next power of two.
    pub commit_p99_us: u64,
    /// Bytes that cleaning has moved.
    pub cleaned_bytes: u64,
    /// Bytes of records that somebody still wants.
    pub live_bytes: u64,
    /// Records that somebody still wants.
    pub live_records: u64,
    /// Length of all segment files.
    pub file_bytes: u64,
    /// The most they may have.
    pub budget_bytes: u64,
    /// How many segment files there are.
    pub segments: u64,
}
