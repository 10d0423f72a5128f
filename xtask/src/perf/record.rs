//! The recorded counts: a table in docs/performance.md between two marker comments.

use std::collections::BTreeMap;

use anyhow::{Context, Result};

/// Where the counts are recorded.
pub(super) const DOCUMENT: &str = "docs/performance.md";

const BEGIN: &str = "<!-- counts: written by `cargo xtask perf --record` -->\n";
const END: &str = "<!-- counts end -->\n";

/// The counts that the document has, by path; none before the first record.
pub(super) fn read(document: &str) -> Result<BTreeMap<String, u64>> {
    let (_, recorded, _) = split(document)?;
    let mut counts = BTreeMap::new();
    for line in recorded.lines() {
        let cells: Vec<&str> = line.split('|').map(str::trim).collect();
        let ["", name, count, ""] = cells[..] else { continue };
        if name == "path" || name.starts_with('-') {
            continue;
        }
        let count = count.replace(',', "").parse().with_context(|| format!("{DOCUMENT}: {line:?} has no count"))?;
        counts.insert(name.to_owned(), count);
    }
    Ok(counts)
}

/// The document with these counts; `stamp` says when and with what they were counted.
pub(super) fn write<'n>(document: &str, stamp: &str, counts: impl Iterator<Item = (&'n str, u64)>) -> Result<String> {
    let (before, _, after) = split(document)?;
    let rows: String = counts.map(|(name, count)| format!("| {name} | {} |\n", with_commas(count))).collect();
    let table = format!("| path | instructions a message delivered |\n|---|---:|\n{rows}");
    Ok(format!("{before}{BEGIN}{table}\nRecorded {stamp}.\n{END}{after}"))
}

/// What stands before, between and after the markers.
fn split(document: &str) -> Result<(&str, &str, &str)> {
    let parts = document.split_once(BEGIN).and_then(|(before, rest)| {
        let (between, after) = rest.split_once(END)?;
        Some((before, between, after))
    });
    parts.with_context(|| format!("{DOCUMENT} lacks the lines between which counts stand:\n{BEGIN}{END}"))
}

/// A number in groups of three digits.
fn with_commas(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn document(between: &str) -> String {
        format!("# Performance\n\n{BEGIN}{between}{END}\nMore.\n\n| other | 7 |\n")
    }

    #[test]
    fn what_is_written_is_read() {
        let counts = [("p2p-qos0", 2_220), ("fanout-qos0", 313), ("p2p-qos1", 1_234_567)];
        let first = write(&document(""), "2026-11-28, rustc 1.95.0, valgrind-3.19.0", counts.into_iter()).unwrap();
        assert!(first.contains("| p2p-qos0 | 2,220 |\n| fanout-qos0 | 313 |\n| p2p-qos1 | 1,234,567 |\n"));
        assert!(first.contains("\nRecorded 2026-11-28, rustc 1.95.0, valgrind-3.19.0.\n"));
        let read_back = read(&first).unwrap();
        assert_eq!(read_back, counts.iter().map(|&(name, count)| (name.to_owned(), count)).collect());
        let second = write(&first, "later", [("p2p-qos0", 1)].into_iter()).unwrap();
        assert_eq!(read(&second).unwrap(), BTreeMap::from([("p2p-qos0".to_owned(), 1)]));
    }

    #[test]
    fn the_rest_of_the_document_stays() {
        let written = write(&document("old\n"), "now", [("a", 1)].into_iter()).unwrap();
        assert!(written.starts_with("# Performance\n\n<!-- counts"));
        assert!(written.ends_with("end -->\n\nMore.\n\n| other | 7 |\n"));
        assert!(!written.contains("old"));
    }

    #[test]
    fn nothing_is_recorded_at_first() {
        assert!(read(&document("")).unwrap().is_empty());
    }

    #[test]
    fn a_document_without_markers_and_a_row_without_a_count_are_told() {
        assert!(read("# Performance\n").unwrap_err().to_string().contains(END));
        assert!(read(&document("| p2p-qos0 | many |\n")).unwrap_err().to_string().contains("many"));
    }
}
