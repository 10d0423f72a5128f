//! The comparison as a table that people read, and that can be pasted into Markdown.

use std::fmt;

use super::{Comparing, Median};
use crate::number::{grouped, short};

impl fmt::Display for Comparing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Some(first) = self.rows.first() else { return Ok(()) };
        let names: Vec<&str> = first.brokers.iter().map(|median| median.broker.as_str()).collect();
        let versus: Vec<String> = names.iter().skip(1).map(|name| format!("{} : {name}", names[0])).collect();
        writeln!(f, "| rate a second; CPU s a million | {} | {} |", names.join(" | "), versus.join(" | "))?;
        writeln!(f, "|{}", "---|".repeat(1 + names.len() + versus.len()))?;
        for row in &self.rows {
            write!(f, "| {} |", row.title)?;
            for median in &row.brokers {
                write!(f, " {} |", cell(median))?;
            }
            if let Some((ours, others)) = row.brokers.split_first() {
                for other in others {
                    write!(f, " {} |", ratio(ours, other))?;
                }
            }
            writeln!(f)?;
        }
        let all = || self.rows.iter().flat_map(|row| row.brokers.iter().map(move |median| (row.row, median)));
        for (row, median) in all().filter(|(_, median)| median.faults > 0) {
            writeln!(f, "\n{row}: {} has {} faults (lost, doubled, ...)", median.broker, median.faults)?;
        }
        for (row, median) in all().filter(|(_, median)| median.unsent > 0) {
            let unsent = grouped(median.unsent);
            writeln!(f, "\n{row}: {unsent} messages to {} were due and never sent", median.broker)?;
        }
        for (row, median) in all() {
            for failure in &median.failures {
                writeln!(f, "\n{row}: {} failed: {failure}", median.broker)?;
            }
        }
        Ok(())
    }
}

#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a rate for people to read")]
fn cell(median: &Median) -> String {
    let cpu = median.cpu_seconds_per_million.map_or_else(|| "-".to_owned(), short);
    let mut text = format!("{}; {cpu}", grouped(median.rate.round() as u64));
    if let Some(bytes) = median.memory_bytes_per_connection {
        text.push_str(&format!("; {} B", grouped(bytes.round() as u64)));
    }
    if let Some((p50, p99)) = median.latency_ms {
        text.push_str(&format!("; p50 {}, p99 {} ms", short(p50), short(p99)));
    }
    text
}

fn ratio(ours: &Median, other: &Median) -> String {
    if ours.rate == 0.0 || other.rate == 0.0 {
        return "-".to_owned();
    }
    let cpu = match (ours.cpu_seconds_per_million, other.cpu_seconds_per_million) {
        (Some(ours), Some(other)) if ours > 0.0 && other >= ours => format!("1/{}", short(other / ours)),
        (Some(ours), Some(other)) if other > 0.0 => short(ours / other),
        _ => "-".to_owned(),
    };
    let mut text = format!("{} x; {cpu}", short(ours.rate / other.rate));
    if let (Some(ours), Some(other)) = (ours.memory_bytes_per_connection, other.memory_bytes_per_connection) {
        text.push_str(&format!("; {} x", short(ours / other.max(1.0))));
    }
    if let (Some(ours), Some(other)) = (ours.latency_ms, other.latency_ms) {
        text.push_str(&format!("; {} x, {} x", short(ours.0 / other.0), short(ours.1 / other.1)));
    }
    text
}
