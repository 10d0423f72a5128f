//! What a stage has shown: what its workers saw, added up.

use std::collections::BTreeMap;

use hdrhistogram::Histogram;

use super::{Snapshot, seconds};
use crate::{
    client::{Client, Expects, Publishing},
    number::{float, per},
    process::Usage,
    track::{Bits, Faults, Sent},
    worker::Done,
};

/// See the module's description. Counts and costs are of the time that was measured, faults of the whole.
#[derive(Debug)]
pub(crate) struct Outcome {
    pub(crate) clients: u64,
    pub(crate) seconds: f64,
    /// Until all clients were ready.
    pub(crate) connect_seconds: f64,
    pub(crate) sent: u64,
    pub(crate) acknowledged: u64,
    pub(crate) received: u64,
    pub(crate) before: Option<Usage>,
    pub(crate) after: Option<Usage>,
    /// When all clients were ready.
    pub(crate) connected: Option<Usage>,
    pub(crate) latencies: Histogram<u64>,
    pub(crate) acknowledgements: Histogram<u64>,
    pub(crate) faults: Faults,
    /// By publisher: what the broker has answered, which is the first that were sent.
    pub(crate) answered: Vec<Sent>,
    pub(crate) refused: u64,
    pub(crate) unacknowledged: u64,
    pub(crate) unsent: u64,
    pub(crate) foreign: u64,
    pub(crate) errors: Vec<(String, u64)>,
}

/// What the coordinator saw.
#[derive(Debug, Clone, Copy)]
pub(super) struct Seen {
    pub(super) connected: Option<Usage>,
    pub(super) first: Snapshot,
    pub(super) last: Snapshot,
}

/// Adds up what the workers saw. `sent_before` is what the publishers of an earlier stage have sent to the subscribers
/// of this one.
pub(super) fn sum_up(run: u32, done: Vec<Done>, seen: Seen, sent_before: Vec<Sent>, connect_seconds: f64) -> Outcome {
    let Seen { connected, first, last } = seen;
    let clients = || done.iter().flat_map(|done| &done.clients);
    let mut outcome = Outcome {
        clients: clients().count() as u64,
        seconds: seconds(first.at_ns, last.at_ns),
        connect_seconds,
        sent: last.sent - first.sent,
        acknowledged: last.acknowledged - first.acknowledged,
        received: last.received - first.received,
        before: first.usage,
        after: last.usage,
        connected,
        latencies: Histogram::new(3).expect("three digits are a precision of a histogram"),
        acknowledgements: Histogram::new(3).expect("three digits are a precision of a histogram"),
        faults: faults(run, &done, sent_before),
        answered: answered(&done),
        refused: 0,
        unacknowledged: clients().filter_map(|client| Some(client.publishing.as_ref()?.unacknowledged() as u64)).sum(),
        unsent: 0,
        foreign: 0,
        errors: Vec::new(),
    };
    let mut errors = BTreeMap::new();
    for Done { tally, .. } in done {
        let added = outcome.latencies.add(&tally.latencies.histogram);
        let added = added.and_then(|()| outcome.acknowledgements.add(&tally.acknowledgements.histogram));
        debug_assert!(added.is_ok(), "an unbounded histogram takes any other");
        outcome.refused += tally.refused;
        outcome.unsent = outcome.unsent.saturating_add(tally.unsent);
        outcome.foreign += tally.foreign;
        for (error, clients) in tally.errors {
            *errors.entry(error).or_default() += clients;
        }
    }
    outcome.errors = errors.into_iter().collect();
    outcome
}

fn faults(run: u32, done: &[Done], sent_before: Vec<Sent>) -> Faults {
    let clients = || done.iter().flat_map(|done| &done.clients);
    let mut sent_by = sent_before;
    for (at, sent) in clients().filter_map(sent_of) {
        sent_by.resize(sent_by.len().max(at + 1), Sent::default());
        sent_by[at] = sent;
    }
    let mut faults = Faults::default();
    clients().for_each(|client| faults.add(client.receiving.faults(run, &sent_by)));
    if clients().any(|client| matches!(client.plan.expects, Expects::Part(_))) {
        // All members of the group live in one worker.
        let parts = done.iter().map(|done| &done.tally.parts).find(|parts| !parts.is_empty());
        let nothing = Bits::default();
        for (at, sent) in sent_by.iter().enumerate() {
            let bits = parts.and_then(|parts| parts.get(at)).unwrap_or(&nothing);
            let found = bits.faults(sent.messages);
            faults.add(Faults { lost: found.lost.saturating_sub(sent.refused), ..found });
        }
    }
    faults
}

/// Answers come in the order of the publishes (MQTT 4.6), so what is not answered was sent last.
fn answered(done: &[Done]) -> Vec<Sent> {
    let mut by_publisher = Vec::new();
    for client in done.iter().flat_map(|done| &done.clients) {
        if let (Some((at, sent)), Some(publishing)) = (sent_of(client), &client.publishing) {
            by_publisher.resize(by_publisher.len().max(at + 1), Sent::default());
            by_publisher[at] = Sent { messages: sent.messages - publishing.unacknowledged() as u64, ..sent };
        }
    }
    by_publisher
}

/// A publisher's index in the run, and what it has sent.
fn sent_of(client: &Client) -> Option<(usize, Sent)> {
    let publisher = client.plan.publish.as_ref()?.publisher;
    Some((publisher as usize, client.publishing.as_ref().map(Publishing::sent)?))
}

impl Outcome {
    pub(crate) fn acknowledged_per_second(&self) -> f64 {
        per(float(self.acknowledged), self.seconds)
    }

    /// What the broker's process has cost a million acknowledged messages.
    pub(crate) fn cpu_seconds_per_million(&self) -> Option<f64> {
        let (before, after) = (self.before?, self.after?);
        // Nanoseconds a message are thousandths of a second a million.
        let ns = after.cpu_ns.saturating_sub(before.cpu_ns);
        Some(per(float(ns) / 1e3, float(self.acknowledged)))
    }
}

#[cfg(test)]
impl Outcome {
    /// Of a stage in which nothing happened.
    pub(crate) fn empty() -> Self {
        let nothing = Snapshot { at_ns: 0, sent: 0, acknowledged: 0, refused: 0, received: 0, usage: None };
        sum_up(0, Vec::new(), Seen { connected: None, first: nothing, last: nothing }, Vec::new(), 0.0)
    }
}
