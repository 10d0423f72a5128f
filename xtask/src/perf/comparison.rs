//! Counts of now beside the recorded ones, as a table for the terminal.

use std::fmt;

/// A change of more than this is marked, up or down.
const NOTABLE_PERCENT: u64 = 5;

struct Row {
    name: &'static str,
    recorded: Option<u64>,
    now: u64,
}

impl Row {
    /// The change in per cent; `None` where there is nothing to compare with.
    fn change_percent(&self) -> Option<f64> {
        let recorded = self.recorded.filter(|&recorded| recorded > 0)?;
        Some((self.now as f64 - recorded as f64) * 100.0 / recorded as f64)
    }

    fn is_notable(&self) -> bool {
        self.recorded.is_some_and(|recorded| self.now.abs_diff(recorded) * 100 > recorded * NOTABLE_PERCENT)
    }
}

/// See the module's description.
#[derive(Default)]
pub(super) struct Comparison {
    rows: Vec<Row>,
}

impl Comparison {
    pub(super) fn add(&mut self, name: &'static str, recorded: Option<u64>, now: u64) {
        self.rows.push(Row { name, recorded, now });
    }

    /// Names and counts of now.
    pub(super) fn counts(&self) -> impl Iterator<Item = (&'static str, u64)> {
        self.rows.iter().map(|row| (row.name, row.now))
    }
}

impl fmt::Display for Comparison {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(out, "instructions a message delivered")?;
        writeln!(out, "{:<14}{:>10}{:>10}{:>10}", "path", "recorded", "now", "change")?;
        for row in &self.rows {
            let recorded = row.recorded.map_or_else(|| "-".to_owned(), |recorded| recorded.to_string());
            let change = row.change_percent().map_or_else(|| "-".to_owned(), |change| format!("{change:+.1} %"));
            let mark = if row.is_notable() { format!("  <== more than {NOTABLE_PERCENT} %") } else { String::new() };
            writeln!(out, "{:<14}{recorded:>10}{:>10}{change:>10}{mark}", row.name, row.now)?;
        }
        if self.rows.iter().any(Row::is_notable) {
            writeln!(out, "If it is meant, record it with `cargo xtask perf --record` and say why in the commit.")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(recorded: Option<u64>, now: u64) -> Row {
        Row { name: "p2p-qos0", recorded, now }
    }

    #[test]
    fn more_than_five_per_cent_is_notable_both_ways() {
        for (now, expected) in [(1050, false), (1051, true), (950, false), (949, true), (1000, false)] {
            assert_eq!(row(Some(1000), now).is_notable(), expected, "{now}");
        }
    }

    #[test]
    fn what_is_not_recorded_is_not_notable() {
        assert!(!row(None, 7).is_notable());
        assert_eq!(row(None, 7).change_percent(), None);
        assert_eq!(row(Some(0), 7).change_percent(), None);
    }

    #[test]
    fn the_table_shows_the_change_and_marks_it() {
        let mut comparison = Comparison::default();
        comparison.add("p2p-qos0", Some(2000), 2020);
        comparison.add("p2p-qos1", Some(4000), 4400);
        comparison.add("fanout-qos0", None, 313);
        let table = comparison.to_string();
        let lines: Vec<&str> = table.lines().skip(2).collect();
        assert_eq!(
            lines,
            [
                "p2p-qos0            2000      2020    +1.0 %",
                "p2p-qos1            4000      4400   +10.0 %  <== more than 5 %",
                "fanout-qos0            -       313         -",
                "If it is meant, record it with `cargo xtask perf --record` and say why in the commit.",
            ]
        );
    }
}
