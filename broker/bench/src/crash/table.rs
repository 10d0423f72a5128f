//! What was seen as a table that people read, and that can be pasted into Markdown.

use std::fmt;

use super::Survivals;
use crate::number::{grouped, short, whole};

impl fmt::Display for Survivals {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            f,
            "| broker | acknowledged | lost | doubled | out of order | acknowledged a second; CPU s a million | \
             serving again after |"
        )?;
        writeln!(f, "|{}", "---|".repeat(7))?;
        for one in &self.brokers {
            let [acknowledged, lost, doubled, reordered] =
                [one.acknowledged, one.lost, one.doubled, one.reordered].map(grouped);
            let cpu = one.cpu_seconds_per_million.map_or_else(|| "-".to_owned(), short);
            let (rate, start) = (whole(one.acknowledged_per_second), short(one.seconds_to_serve));
            let broker = &one.broker;
            writeln!(
                f,
                "| {broker} | {acknowledged} | {lost} | {doubled} | {reordered} | {rate}; {cpu} | {start} s |"
            )?;
        }
        for one in self.brokers.iter().filter(|one| one.refused > 0) {
            writeln!(f, "\n{} has refused {} publishes", one.broker, grouped(one.refused))?;
        }
        for (broker, failure) in self.brokers.iter().flat_map(|one| one.failures.iter().map(|why| (&one.broker, why))) {
            writeln!(f, "\n{broker} failed: {failure}")?;
        }
        Ok(())
    }
}
