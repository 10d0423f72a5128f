//! What a worker has counted: messages, latencies, and what went wrong.

use std::{collections::BTreeMap, sync::Arc};

use hdrhistogram::Histogram;

use crate::{flow::Flow, track::Bits};

/// The largest latency that is told apart: ten minutes in nanoseconds.
const LATENCY_NS_MAX: u64 = 600_000_000_000;

/// Latencies of what was due in the time that is measured.
#[derive(Debug)]
pub(crate) struct Latencies {
    pub(crate) histogram: Histogram<u64>,
    from_ns: u64,
    to_ns: u64,
}

impl Latencies {
    fn new() -> Self {
        let histogram = Histogram::new_with_bounds(1, LATENCY_NS_MAX, 3).expect("bounds that a histogram takes");
        Self { histogram, from_ns: u64::MAX, to_ns: u64::MAX }
    }

    /// Only what was due within these times counts.
    pub(crate) const fn measure(&mut self, from_ns: u64, to_ns: u64) {
        (self.from_ns, self.to_ns) = (from_ns, to_ns);
    }

    #[inline]
    pub(crate) fn record(&mut self, due_ns: u64, now_ns: u64) {
        if due_ns >= self.from_ns && due_ns < self.to_ns {
            self.histogram.saturating_record(now_ns.saturating_sub(due_ns).max(1));
        }
    }
}

/// See the module's description.
#[derive(Debug)]
pub(crate) struct Tally {
    pub(crate) run: u32,
    pub(crate) sent: u64,
    pub(crate) acknowledged: u64,
    /// Publishes that the broker answered with an error.
    pub(crate) refused: u64,
    /// Messages of this run, each once.
    pub(crate) received: u64,
    /// Messages that are not of this run.
    pub(crate) foreign: u64,
    /// Open loop: messages that are due and wait until they can be sent.
    pub(crate) late: u64,
    /// Open loop: messages that were due and never sent.
    pub(crate) unsent: u64,
    /// Publishers whose last PINGREQ is answered, or that are gone.
    pub(crate) drained: u64,
    pub(crate) latencies: Latencies,
    pub(crate) acknowledgements: Latencies,
    /// What went wrong with clients, and how often.
    pub(crate) errors: BTreeMap<String, u64>,
    /// Of share groups, by publisher.
    pub(crate) parts: Vec<Bits>,
    /// Publishers that can go on: worker, client.
    pub(crate) resumed: Vec<(usize, usize)>,
    flows: Arc<[Option<Arc<Flow>>]>,
}

impl Tally {
    pub(crate) fn new(run: u32, flows: Arc<[Option<Arc<Flow>>]>) -> Self {
        Self {
            run,
            sent: 0,
            acknowledged: 0,
            refused: 0,
            received: 0,
            foreign: 0,
            late: 0,
            unsent: 0,
            drained: 0,
            latencies: Latencies::new(),
            acknowledgements: Latencies::new(),
            errors: BTreeMap::new(),
            parts: Vec::new(),
            resumed: Vec::new(),
            flows,
        }
    }

    /// Counts deliveries of a publisher's messages, and notes the publisher if it waits for them.
    pub(crate) fn delivered(&mut self, publisher: u32, messages: u64) {
        if let Some(Some(flow)) = self.flows.get(publisher as usize)
            && flow.delivered(messages)
        {
            self.resumed.push((flow.worker, flow.client));
        }
    }

    /// Notes a message that one member of a share group has got; answers whether it has not come before.
    pub(crate) fn note_part(&mut self, publisher: u32, sequence: u64) -> bool {
        let at = publisher as usize;
        if at >= self.parts.len() {
            self.parts.resize(at + 1, Bits::default());
        }
        self.parts[at].note(sequence)
    }

    pub(crate) fn fault(&mut self, what: &str) {
        *self.errors.entry(what.to_owned()).or_default() += 1;
    }
}
