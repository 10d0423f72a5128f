//! What a run has shown, for people and for programs.

use std::fmt;

use hdrhistogram::Histogram;
use serde::Serialize;

use crate::{
    number::{float, grouped, per, short, whole},
    process::Process,
    scenario::{Load, Loop, Scenario},
    stage::Outcome,
};

/// Latencies in milliseconds, from when a message was due.
#[derive(Debug, Clone, Copy, Serialize)]
pub struct Latency {
    /// How many were measured.
    pub count: u64,
    /// Half were no longer than this.
    pub p50_ms: f64,
    /// Nine of ten.
    pub p90_ms: f64,
    /// 99 of a hundred.
    pub p99_ms: f64,
    /// 999 of a thousand.
    pub p999_ms: f64,
    /// The longest.
    pub max_ms: f64,
}

/// What the broker's process cost.
#[derive(Debug, Clone, Copy, Serialize)]
pub struct Broker {
    /// Its process.
    pub pid: u32,
    /// CPU time in the time that was measured.
    pub cpu_seconds: f64,
    /// CPU seconds for a million messages received (published, where nobody subscribes; connections for `conn`).
    pub cpu_seconds_per_million: f64,
    /// Memory at the end of the measured time, in bytes.
    pub memory_bytes: u64,
    /// Memory that each connection added, in bytes (`conn` only).
    pub memory_bytes_per_connection: Option<f64>,
}

/// The result of a run. Rates are of the time that was measured; faults are of the whole run.
#[derive(Debug, Clone, Serialize)]
pub struct Report {
    /// The kind of load.
    pub scenario: &'static str,
    /// The protocol level: 3, 4 or 5.
    pub protocol_level: u8,
    /// 0, 1 or 2.
    pub qos: u8,
    /// Bytes of a payload.
    pub payload_bytes: usize,
    /// How many published.
    pub publishers: u32,
    /// How many subscribed.
    pub subscribers: u32,
    /// Messages in flight of a publisher, of a closed loop.
    pub window: Option<u16>,
    /// Messages a second that were due, of an open loop.
    pub rate: Option<f64>,
    /// The time that was measured.
    pub seconds: f64,
    /// The time until all clients had connected and subscribed.
    pub connect_seconds: f64,
    /// Clients that connected and subscribed, a second.
    pub connects_per_second: f64,
    /// Messages published.
    pub sent: u64,
    /// QoS 1 and 2 publishes whose exchange was completed.
    pub acknowledged: u64,
    /// Messages received.
    pub received: u64,
    /// Published a second.
    pub sent_per_second: f64,
    /// Received a second.
    pub received_per_second: f64,
    /// From due to received; none where nothing was measured.
    pub latency: Option<Latency>,
    /// From due to the end of the publisher's exchange.
    pub acknowledgement: Option<Latency>,
    /// Messages that a subscriber should have got and did not.
    pub lost: u64,
    /// Messages that came again.
    pub doubled: u64,
    /// Messages that came after a later one of the same publisher.
    pub reordered: u64,
    /// Publishes that the broker refused.
    pub refused: u64,
    /// QoS 1 and 2 publishes without an answer at the end.
    pub unacknowledged: u64,
    /// Messages of an open loop that were due and never sent: the broker, or this machine, did not keep up.
    pub unsent: u64,
    /// Messages that are not of this run. They are no fault.
    pub foreign: u64,
    /// What went wrong with clients, and how many it befell.
    pub errors: Vec<(String, u64)>,
    /// The broker's process, if it is known.
    pub broker: Option<Broker>,
}

impl Report {
    pub(crate) fn new(load: &Load, outcome: &Outcome, process: Option<Process>) -> Self {
        let (window, rate) = match load.rhythm {
            Loop::Closed { window } => (Some(window), None),
            Loop::Open { rate } => (None, Some(rate)),
        };
        let work = match load.scenario {
            Scenario::Conn => u64::from(load.subscribers),
            Scenario::Pub | Scenario::Away => outcome.sent,
            _ => outcome.received,
        };
        let is_steady = !matches!(load.scenario, Scenario::Retained | Scenario::Backlog | Scenario::Conn);
        Self {
            scenario: load.scenario.name(),
            protocol_level: load.version.level(),
            qos: load.qos as u8,
            payload_bytes: load.payload_bytes,
            publishers: load.publishers,
            subscribers: load.subscribers,
            window,
            rate,
            seconds: outcome.seconds,
            connect_seconds: outcome.connect_seconds,
            connects_per_second: per(float(outcome.clients), outcome.connect_seconds),
            sent: outcome.sent,
            acknowledged: outcome.acknowledged,
            received: outcome.received,
            sent_per_second: per(float(outcome.sent), outcome.seconds),
            received_per_second: per(float(outcome.received), outcome.seconds),
            latency: latency(&outcome.latencies).filter(|_| is_steady),
            acknowledgement: latency(&outcome.acknowledgements).filter(|_| is_steady),
            lost: outcome.faults.lost,
            doubled: outcome.faults.doubled,
            // MQTT promises no order among the retained messages of different topics.
            reordered: if load.scenario == Scenario::Retained { 0 } else { outcome.faults.reordered },
            refused: outcome.refused,
            unacknowledged: outcome.unacknowledged,
            unsent: outcome.unsent,
            foreign: outcome.foreign,
            errors: outcome.errors.clone(),
            broker: process.and_then(|process| broker(load, outcome, process, work)),
        }
    }

    /// Whether the broker kept what it promised, and the load was what it was to be: nothing lost, doubled, reordered,
    /// refused or left unsent, no client failed.
    #[must_use]
    pub fn is_clean(&self) -> bool {
        self.faults() == 0 && self.unsent == 0 && self.errors.is_empty()
    }

    /// Messages lost, doubled, reordered, refused and not acknowledged, together.
    #[must_use]
    pub const fn faults(&self) -> u64 {
        self.lost + self.doubled + self.reordered + self.refused + self.unacknowledged
    }
}

fn broker(load: &Load, outcome: &Outcome, process: Process, work: u64) -> Option<Broker> {
    let (before, after) = (outcome.before?, outcome.after?);
    let is_conn = load.scenario == Scenario::Conn;
    let used = if is_conn { outcome.connected? } else { after };
    let cpu_seconds = float(used.cpu_ns.saturating_sub(before.cpu_ns)) / 1e9;
    let grown = float(after.memory_bytes.saturating_sub(before.memory_bytes));
    Some(Broker {
        pid: process.pid(),
        cpu_seconds,
        cpu_seconds_per_million: per(cpu_seconds * 1e6, float(work)),
        memory_bytes: after.memory_bytes,
        memory_bytes_per_connection: is_conn.then(|| per(grown, f64::from(load.subscribers))),
    })
}

fn latency(histogram: &Histogram<u64>) -> Option<Latency> {
    let at = |quantile| float(histogram.value_at_quantile(quantile)) / 1e6;
    (!histogram.is_empty()).then(|| Latency {
        count: histogram.len(),
        p50_ms: at(0.5),
        p90_ms: at(0.9),
        p99_ms: at(0.99),
        p999_ms: at(0.999),
        max_ms: float(histogram.max()) / 1e6,
    })
}

impl fmt::Display for Latency {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [p50, p90, p99, p999, max] = [self.p50_ms, self.p90_ms, self.p99_ms, self.p999_ms, self.max_ms].map(short);
        write!(f, "p50 {p50}  p90 {p90}  p99 {p99}  p99.9 {p999}  max {max} ms")
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let loads = match (self.window, self.rate) {
            (_, Some(rate)) => format!("{} msg/s due", whole(rate)),
            (Some(window), None) => format!("window {window}"),
            (None, None) => String::new(),
        };
        writeln!(
            f,
            "{}: {} publishers, {} subscribers, QoS {}, {} B, protocol level {}, {loads}",
            self.scenario, self.publishers, self.subscribers, self.qos, self.payload_bytes, self.protocol_level
        )?;
        let connects = whole(self.connects_per_second);
        writeln!(f, "connected     in {} s, {connects} connects/s", short(self.connect_seconds))?;
        let seconds = short(self.seconds);
        if self.sent > 0 {
            writeln!(f, "sent          {} in {seconds} s, {}/s", grouped(self.sent), whole(self.sent_per_second))?;
        }
        if self.subscribers > 0 && self.scenario != Scenario::Conn.name() {
            let received = grouped(self.received);
            writeln!(f, "received      {received} in {seconds} s, {}/s", whole(self.received_per_second))?;
        }
        if let Some(latency) = &self.latency {
            writeln!(f, "latency       {latency}")?;
        }
        if let Some(latency) = &self.acknowledgement {
            writeln!(f, "acknowledged  {latency}")?;
        }
        if let Some(broker) = &self.broker {
            let [cpu, each] = [broker.cpu_seconds, broker.cpu_seconds_per_million].map(short);
            let memory = grouped(broker.memory_bytes >> 10);
            write!(f, "broker        pid {}, CPU {cpu} s ({each} s a million), memory {memory} KiB", broker.pid)?;
            match broker.memory_bytes_per_connection {
                Some(bytes) => writeln!(f, ", {} B a connection", whole(bytes))?,
                None => writeln!(f)?,
            }
        }
        let Self { lost, doubled, reordered, refused, unacknowledged, .. } = self;
        writeln!(
            f,
            "faults        {lost} lost, {doubled} doubled, {reordered} reordered, {refused} refused, \
             {unacknowledged} unacknowledged"
        )?;
        if self.unsent > 0 {
            let unsent = grouped(self.unsent);
            writeln!(f, "unsent        {unsent} messages were due and never sent; the latencies do not show them")?;
        }
        if self.foreign > 0 {
            writeln!(f, "foreign       {} messages that are not of this run", grouped(self.foreign))?;
        }
        for (error, clients) in &self.errors {
            writeln!(f, "error         {error} ({clients} clients)")?;
        }
        Ok(())
    }
}

#[cfg(test)]
impl Report {
    /// A report of a run in which nothing happened.
    pub(crate) fn empty(load: &Load) -> Self {
        Self::new(load, &Outcome::empty(), None)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::process::Usage;

    fn lines(report: &Report) -> Vec<String> {
        report.to_string().lines().map(str::to_owned).collect()
    }

    #[test]
    fn a_report_says_what_was_measured_and_no_more() {
        let mut outcome = Outcome { clients: 4, seconds: 2.0, connect_seconds: 0.5, ..Outcome::empty() };
        (outcome.sent, outcome.received) = (10_000, 9_999);
        for ms in [1, 2, 3, 4] {
            outcome.latencies.record(ms * 1_000_000).unwrap();
        }
        outcome.faults.lost = 1;
        let load = Load { publishers: 2, subscribers: 2, ..Load::new(Scenario::P2p) };
        let report = Report::new(&load, &outcome, None);
        assert_eq!(
            lines(&report),
            [
                "p2p: 2 publishers, 2 subscribers, QoS 0, 64 B, protocol level 4, window 100",
                "connected     in 0.50 s, 8 connects/s",
                "sent          10,000 in 2.00 s, 5,000/s",
                "received      9,999 in 2.00 s, 5,000/s",
                "latency       p50 2.00  p90 4.00  p99 4.00  p99.9 4.00  max 4.00 ms",
                "faults        1 lost, 0 doubled, 0 reordered, 0 refused, 0 unacknowledged",
            ]
        );
        assert!(!report.is_clean());
    }

    #[test]
    fn what_is_left_unsent_or_fails_is_not_clean() {
        let load = Load { rhythm: Loop::Open { rate: 1234.5 }, ..Load::new(Scenario::Pub) };
        assert!(Report::empty(&load).is_clean());
        let unsent = Report::new(&load, &Outcome { unsent: 1000, ..Outcome::empty() }, None);
        assert!(!unsent.is_clean());
        assert!(unsent.to_string().contains("1,000 messages were due and never sent"), "{unsent}");
        assert!(
            unsent.to_string().starts_with("pub: 100 publishers, 0 subscribers, QoS 0, 64 B, protocol level 4, 1,2")
        );
        assert!(!unsent.to_string().contains("received "), "nobody subscribes: {unsent}");
        let errors = vec![("the broker closed the connection".to_owned(), 3)];
        let failed = Report::new(&load, &Outcome { errors, ..Outcome::empty() }, None);
        assert!(!failed.is_clean());
        assert!(failed.to_string().contains("error         the broker closed the connection (3 clients)"), "{failed}");
        let foreign = Report::new(&load, &Outcome { foreign: 7, ..Outcome::empty() }, None);
        assert!(foreign.is_clean() && foreign.to_string().contains("7 messages that are not of this run"));
    }

    #[test]
    fn the_cost_of_a_connection_is_of_all_of_them() {
        let usage = |cpu_ns, memory_bytes| Some(Usage { cpu_ns, memory_bytes });
        let outcome = Outcome {
            before: usage(1_000_000_000, 1 << 20),
            connected: usage(1_500_000_000, 3 << 20),
            after: usage(9_000_000_000, 5 << 20),
            ..Outcome::empty()
        };
        let load = Load { subscribers: 1024, ..Load::new(Scenario::Conn) };
        let process = Process::of_pid(std::process::id());
        let broker = Report::new(&load, &outcome, process).broker.unwrap();
        assert!((broker.cpu_seconds - 0.5).abs() < 1e-9, "without the time that they only stayed");
        assert_eq!(broker.memory_bytes_per_connection, Some(4096.0));
    }

    #[test]
    fn it_is_written_as_json() {
        let json = serde_json::to_value(Report::empty(&Load::new(Scenario::P2p))).unwrap();
        assert_eq!((json["scenario"].as_str(), json["window"].as_u64()), (Some("p2p"), Some(100)));
        assert!(json["latency"].is_null() && json["lost"] == 0 && json["unsent"] == 0);
    }
}
