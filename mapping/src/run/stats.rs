//! What rules have done since the process started.

use std::{
    collections::BTreeMap,
    sync::atomic::{AtomicU64, Ordering},
    time::Duration,
};

use serde_json::{Map, Value, json};

use crate::{
    failure::FailureReason,
    output::Verdict,
    shard::{SHARDS, shard},
};

macro_rules! counters {
    ($($field:ident, $text:literal;)*) => {
        /// Counters of one rule, as some threads have them.
        #[derive(Debug, Default)]
        #[repr(align(128))]
        pub(crate) struct Stats {
            $(#[doc = $text] pub(crate) $field: AtomicU64,)*
            failures: [AtomicU64; FailureReason::ALL.len()],
        }

        impl Stats {
            /// The counters by name.
            pub(crate) fn each(&self) -> impl Iterator<Item = (&'static str, u64)> {
                [$((stringify!($field), self.$field.load(Ordering::Relaxed)),)*].into_iter()
            }
        }
    };
}

counters! {
    calls, "Calls, failed ones included.";
    ok, "Calls that ended in `ok`.";
    dropped, "Calls that ended in `drop`.";
    retried, "Messages that are to come again, by the script's word or after a failure.";
    dead, "Messages that went to the dead letters.";
    refused, "Publishes that were refused.";
    passed, "Messages that went on, or were done with, although the call failed.";
    outputs, "Messages that were made and taken.";
    outputs_refused, "Messages whose outputs a queue did not take.";
    commits_failed, "Commits that the disk did not take: their messages come again.";
    rested, "Messages that came while the rule rested.";
    operations, "Operations of all calls.";
    micros, "Microseconds of all calls.";
    micros_max, "Microseconds of the longest call.";
}

impl Stats {
    pub(crate) fn add(counter: &AtomicU64, more: u64) {
        counter.fetch_add(more, Ordering::Relaxed);
    }

    /// A call has ended.
    pub(crate) fn called(&self, operations: u64, took: Duration) {
        let micros = u64::try_from(took.as_micros()).unwrap_or(u64::MAX);
        Self::add(&self.calls, 1);
        Self::add(&self.operations, operations);
        Self::add(&self.micros, micros);
        self.micros_max.fetch_max(micros, Ordering::Relaxed);
    }

    /// What was said of the message counts.
    pub(crate) fn said(&self, verdict: &Verdict) {
        let counter = match verdict {
            Verdict::Ok => &self.ok,
            Verdict::Drop => &self.dropped,
            Verdict::Retry(_) => &self.retried,
            Verdict::DeadLetter(_) => &self.dead,
            Verdict::Refuse(..) => &self.refused,
        };
        Self::add(counter, 1);
    }

    pub(crate) fn failed(&self, reason: FailureReason) {
        let place = FailureReason::ALL.iter().position(|known| *known == reason);
        if let Some(counter) = place.and_then(|place| self.failures.get(place)) {
            Self::add(counter, 1);
        }
    }
}

/// The counters of one rule. Threads that call it at the same time count beside each other.
#[derive(Debug, Default)]
pub(crate) struct Counted([Stats; SHARDS]);

impl std::ops::Deref for Counted {
    type Target = Stats;

    /// Those of this thread.
    fn deref(&self) -> &Stats {
        &self.0[shard()]
    }
}

impl Counted {
    /// All failures.
    pub(crate) fn failures(&self) -> u64 {
        self.0.iter().flat_map(|stats| &stats.failures).map(|counter| counter.load(Ordering::Relaxed)).sum()
    }

    pub(crate) fn view(&self) -> Value {
        let mut all: BTreeMap<&str, u64> = BTreeMap::new();
        for (name, count) in self.0.iter().flat_map(Stats::each) {
            let sum = all.entry(name).or_default();
            *sum = if name == "micros_max" { count.max(*sum) } else { *sum + count };
        }
        let mut all: Map<String, Value> =
            all.into_iter().map(|(name, count)| (name.to_owned(), json!(count))).collect();
        let failures = FailureReason::ALL.iter().enumerate().map(|(at, reason)| {
            let count: u64 = self.0.iter().map(|stats| stats.failures[at].load(Ordering::Relaxed)).sum();
            (reason.as_str().to_owned(), json!(count))
        });
        all.insert("failures".to_owned(), Value::Object(failures.collect()));
        Value::Object(all)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn threads_count_beside_each_other_and_are_added_up() {
        let stats = std::sync::Arc::new(Counted::default());
        let threads = (1..=6).map(|number| {
            let stats = std::sync::Arc::clone(&stats);
            std::thread::spawn(move || {
                stats.called(10, Duration::from_micros(number));
                stats.failed(FailureReason::Size);
            })
        });
        threads.collect::<Vec<_>>().into_iter().for_each(|thread| thread.join().expect("no panic"));
        let view = stats.view();
        assert_eq!((&view["calls"], &view["operations"], &view["micros"]), (&json!(6), &json!(60), &json!(21)));
        assert_eq!((&view["micros_max"], &view["failures"]["size"]), (&json!(6), &json!(6)));
        assert_eq!(stats.failures(), 6);
    }
}
