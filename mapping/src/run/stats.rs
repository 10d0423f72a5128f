//! What rules have done since the process started.

use std::{
    sync::atomic::{AtomicU64, Ordering},
    time::Duration,
};

use serde_json::{Map, Value, json};

use crate::{failure::FailureReason, output::Verdict};

macro_rules! counters {
    ($($field:ident, $text:literal;)*) => {
        /// The counters of one rule.
        #[derive(Debug, Default)]
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

    /// All failures.
    pub(crate) fn failures(&self) -> u64 {
        self.failures.iter().map(|counter| counter.load(Ordering::Relaxed)).sum()
    }

    pub(crate) fn view(&self) -> Value {
        let mut all: Map<String, Value> = self.each().map(|(name, count)| (name.to_owned(), json!(count))).collect();
        let failures = FailureReason::ALL.iter().zip(&self.failures);
        let failures =
            failures.map(|(reason, count)| (reason.as_str().to_owned(), json!(count.load(Ordering::Relaxed))));
        all.insert("failures".to_owned(), Value::Object(failures.collect()));
        Value::Object(all)
    }
}
