//! What a person sees while a run goes on: a line a second, on standard error.

use std::{io::Write, time::Duration};

use parking_lot::Mutex;

use crate::{number::grouped, stage::ns};

/// How often.
const INTERVAL: Duration = Duration::from_secs(1);

#[derive(Debug, Clone, Copy, Default)]
struct Last {
    at_ns: u64,
    sent: u64,
    received: u64,
}

/// See the module's description.
#[derive(Debug)]
pub(crate) struct Progress {
    is_on: bool,
    last: Mutex<Last>,
}

impl Progress {
    pub(crate) fn new(is_on: bool) -> Self {
        Self { is_on, last: Mutex::new(Last::default()) }
    }

    /// Says a line about what is going on.
    pub(crate) fn say(&self, line: &str) {
        if self.is_on {
            let _ = writeln!(std::io::stderr(), "{line}"); // nobody listens any more: the run goes on
        }
    }

    /// Says how far it is, if a second has passed since the last time.
    pub(crate) fn tell(&self, stage: &str, at_ns: u64, ready: (u64, u64), failed: u64, sent: u64, received: u64) {
        if !self.is_on {
            return;
        }
        let mut last = self.last.lock();
        if sent < last.sent || received < last.received || last.at_ns == 0 {
            *last = Last { at_ns, sent, received }; // another stage
        }
        let passed_ns = at_ns.saturating_sub(last.at_ns);
        if passed_ns < ns(INTERVAL) {
            return;
        }
        let rate = |now: u64, then: u64| grouped((now - then).saturating_mul(1000) / (passed_ns / 1_000_000).max(1));
        let clients =
            if ready.0 < ready.1 { format!("{} of {} clients ready, ", ready.0, ready.1) } else { String::new() };
        let failures = if failed > 0 { format!(", {failed} clients failed") } else { String::new() };
        let (sends, receives) = (rate(sent, last.sent), rate(received, last.received));
        *last = Last { at_ns, sent, received };
        drop(last);
        self.say(&format!("  {stage}: {clients}{sends} sent/s, {receives} received/s{failures}"));
    }
}
