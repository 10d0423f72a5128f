//! Watching rules step by step: somebody waits for the next calls, and gets what each was given, did and left.

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use parking_lot::Mutex;
use primer_core::topic;
use serde_json::{Value, json};
use tokio::sync::Notify;

use super::view;
use crate::{
    message::Msg,
    rule::{Called, Trace},
};

/// Whoever waits at a time.
const TRACERS_MAX: usize = 16;

/// What somebody wants to see.
#[derive(Debug, Clone)]
pub(crate) struct Wanted {
    pub(crate) rule: Option<String>,
    /// A topic filter.
    pub(crate) topic: Option<String>,
    pub(crate) calls_max: usize,
    /// Bytes of the answer.
    pub(crate) bytes_max: usize,
}

#[derive(Debug)]
struct Tracer {
    wanted: Wanted,
    /// With their bytes.
    seen: Mutex<(Vec<Value>, usize)>,
    is_full: Notify,
}

/// Who waits.
#[derive(Debug, Default)]
pub(crate) struct Tracers {
    all: Mutex<Vec<Arc<Tracer>>>,
    count: AtomicUsize,
}

/// A call, to be shown.
pub(crate) struct Traced<'c> {
    pub(crate) rule: Arc<str>,
    pub(crate) message: &'c Msg,
    pub(crate) called: &'c Called,
    pub(crate) trace: Option<Trace>,
    pub(crate) took: Duration,
}

impl Tracer {
    fn wants(&self, rule: &str, topic: &str) -> bool {
        self.wanted.rule.as_deref().is_none_or(|wanted| wanted == rule)
            && self.wanted.topic.as_deref().is_none_or(|filter| topic::matches(filter, topic))
    }
}

impl Tracers {
    /// Whether somebody wants to see a call.
    pub(crate) fn wants(&self, rule: &str, topic: &str) -> bool {
        self.count.load(Ordering::Relaxed) > 0 && self.all.lock().iter().any(|tracer| tracer.wants(rule, topic))
    }

    /// Gives a call to who wants to see it.
    pub(crate) fn add(&self, traced: &Traced<'_>) {
        let shown = view::call(traced);
        let len = shown.to_string().len();
        let topic = &traced.message.content().topic;
        for tracer in self.all.lock().iter().filter(|tracer| tracer.wants(&traced.rule, topic)) {
            let (seen, bytes) = &mut *tracer.seen.lock();
            let fits = *bytes + len <= tracer.wanted.bytes_max && seen.len() < tracer.wanted.calls_max;
            if fits {
                seen.push(shown.clone());
                *bytes += len;
            }
            if !fits || seen.len() >= tracer.wanted.calls_max {
                tracer.is_full.notify_one();
            }
        }
    }

    /// Waits until so many calls were seen, or the time is up; answers those that were.
    pub(crate) async fn watch(&self, wanted: Wanted, patience: Duration) -> Result<Value, String> {
        struct Leaves<'t>(&'t Tracers, Arc<Tracer>);
        impl Drop for Leaves<'_> {
            fn drop(&mut self) {
                self.0.all.lock().retain(|other| !Arc::ptr_eq(other, &self.1));
                self.0.count.fetch_sub(1, Ordering::Relaxed);
            }
        }
        let tracer = Arc::new(Tracer { wanted, seen: Mutex::default(), is_full: Notify::new() });
        let leaves = {
            let mut all = self.all.lock();
            if all.len() >= TRACERS_MAX {
                return Err(format!("{TRACERS_MAX} traces run already: wait until one is over"));
            }
            all.push(Arc::clone(&tracer));
            self.count.fetch_add(1, Ordering::Relaxed);
            Leaves(self, Arc::clone(&tracer))
        };
        let _the_time_may_be_up = tokio::time::timeout(patience, tracer.is_full.notified()).await;
        drop(leaves);
        let (seen, _) = std::mem::take(&mut *tracer.seen.lock());
        Ok(json!(seen))
    }
}
