//! Brokers side by side: each alone in turn, the same load from the same client, several times; medians and ratios.

mod contestant;
mod row;
mod table;

use serde::Serialize;

pub use self::{
    contestant::Contestant,
    row::{ROWS, Row},
};
use crate::{
    error::BenchError,
    number::median,
    progress::Progress,
    report::{Latency, Report},
    scenario::run,
    stop::Stop,
};

/// What is to be compared.
#[derive(Debug, Clone)]
pub struct Comparison {
    /// The first is held against each of the others.
    pub contestants: Vec<Contestant>,
    /// The loads.
    pub rows: Vec<Row>,
    /// How often each broker runs each row.
    pub repeats: usize,
    /// The time that is measured, of loads that have one.
    pub seconds: f64,
    /// Worker threads of the load generator.
    pub threads: usize,
    /// Whether to say on standard error how far it is.
    pub progress: bool,
    /// Ends the comparison early, with an error.
    pub stop: Stop,
}

/// The medians of one broker's runs of one row.
#[derive(Debug, Clone, Serialize)]
pub struct Median {
    /// The broker.
    pub broker: String,
    /// Messages received a second; connects a second for `conn`, messages acknowledged a second for `away`.
    pub rate: f64,
    /// CPU seconds of the broker a million of them; none where its process was not found.
    pub cpu_seconds_per_million: Option<f64>,
    /// Memory of an idle connection in bytes (`conn`).
    pub memory_bytes_per_connection: Option<f64>,
    /// Median and 99th percentile in milliseconds, of rows at a steady rate.
    pub latency_ms: Option<(f64, f64)>,
    /// The lowest and the highest rate of the runs.
    pub rate_range: (f64, f64),
    /// Faults of all runs together: lost, doubled, reordered, refused, unacknowledged.
    pub faults: u64,
    /// Messages of an open loop that were due and never sent, of all runs together.
    pub unsent: u64,
    /// Why runs failed, or clients in them.
    pub failures: Vec<String>,
}

/// One row with all brokers.
#[derive(Debug, Clone, Serialize)]
pub struct Compared {
    /// The row's name.
    pub row: &'static str,
    /// What it is.
    pub title: &'static str,
    /// In the order of the contestants.
    pub brokers: Vec<Median>,
}

/// All rows.
#[derive(Debug, Clone, Serialize)]
pub struct Comparing {
    /// In the order in which they were asked for.
    pub rows: Vec<Compared>,
    /// How often each broker ran each row.
    pub repeats: usize,
}

impl Comparing {
    /// Whether every run came to its end with all its clients.
    #[must_use]
    pub fn is_complete(&self) -> bool {
        self.rows.iter().flat_map(|row| &row.brokers).all(|median| median.failures.is_empty())
    }
}

impl Comparison {
    /// Runs all of it. A run that fails is part of the result.
    ///
    /// # Errors
    /// The options are wrong; or a broker does not start when it is tried, before all runs; or [`stop`](Self::stop) was
    /// asked for.
    pub fn run(&self) -> Result<Comparing, BenchError> {
        let progress = Progress::new(self.progress);
        self.rows.iter().try_for_each(|row| self.load(row, 0).check())?;
        for contestant in &self.contestants {
            contestant.start(&self.stop)?;
        }
        let mut rows = Vec::new();
        for row in &self.rows {
            let mut runs: Vec<Vec<Result<Report, String>>> = self.contestants.iter().map(|_| Vec::new()).collect();
            for repeat in 1..=self.repeats {
                for (contestant, runs) in self.contestants.iter().zip(&mut runs) {
                    progress.say(&format!("{}: {}, {repeat} of {}", row.name, contestant.name, self.repeats));
                    let result = contestant.start(&self.stop).and_then(|running| run(&self.load(row, running.port())));
                    if self.stop.is_asked() {
                        return Err(BenchError::Interrupted { stage: "compare" });
                    }
                    match &result {
                        Ok(report) => progress.say(&format!("  {}", summary(report))),
                        Err(error) => progress.say(&format!("  failed: {error}")),
                    }
                    runs.push(result.map_err(|error| error.with_causes()));
                }
            }
            let brokers = self.contestants.iter().zip(runs).map(|(contestant, runs)| medians(contestant, &runs));
            rows.push(Compared { row: row.name, title: row.title, brokers: brokers.collect() });
        }
        Ok(Comparing { rows, repeats: self.repeats })
    }

    fn load(&self, row: &Row, port: u16) -> crate::Load {
        let mut load = row.load();
        load.port = port;
        load.threads = self.threads;
        load.progress = false;
        load.stop = self.stop.clone();
        if !matches!(load.scenario, crate::Scenario::Conn) {
            load.duration = std::time::Duration::from_secs_f64(self.seconds);
        }
        load
    }
}

fn summary(report: &Report) -> String {
    let text = report.to_string();
    let lines = text
        .lines()
        .filter(|line| ["received", "broker", "faults", "unsent", "error"].iter().any(|start| line.starts_with(start)));
    lines.collect::<Vec<_>>().join("\n  ")
}

fn medians(contestant: &Contestant, runs: &[Result<Report, String>]) -> Median {
    let reports: Vec<&Report> = runs.iter().filter_map(|run| run.as_ref().ok()).collect();
    let of = |value: &dyn Fn(&Report) -> Option<f64>| {
        let values: Vec<f64> = reports.iter().filter_map(|report| value(report)).collect();
        (!values.is_empty()).then(|| median(values))
    };
    let rate = |report: &Report| match report.scenario {
        "conn" => report.connects_per_second,
        "away" => report.sent_per_second,
        _ => report.received_per_second,
    };
    let paced = |value: &dyn Fn(&Latency) -> f64| of(&|report| report.rate.and(report.latency.as_ref()).map(value));
    let rates = || reports.iter().map(|report| rate(report));
    let errors = reports.iter().flat_map(|report| &report.errors);
    let failures = runs.iter().filter_map(|run| run.as_ref().err().cloned());
    Median {
        broker: contestant.name.clone(),
        rate: of(&|report| Some(rate(report))).unwrap_or(0.0),
        cpu_seconds_per_million: of(&|report| Some(report.broker?.cpu_seconds_per_million)),
        memory_bytes_per_connection: of(&|report| report.broker?.memory_bytes_per_connection),
        latency_ms: paced(&|latency| latency.p50_ms).zip(paced(&|latency| latency.p99_ms)),
        rate_range: (rates().reduce(f64::min).unwrap_or(0.0), rates().reduce(f64::max).unwrap_or(0.0)),
        faults: reports.iter().map(|report| report.faults()).sum(),
        unsent: reports.iter().map(|report| report.unsent).sum(),
        failures: failures.chain(errors.map(|(error, clients)| format!("{error} ({clients} clients)"))).collect(),
    }
}

#[cfg(test)]
mod tests;
