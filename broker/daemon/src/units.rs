//! Sizes, counts and times as people write and read them.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// A number of bytes: `17 B`, `1.5 KiB`, `256 MiB`.
pub(crate) fn bytes(bytes: u64) -> String {
    const UNITS: [&str; 5] = ["KiB", "MiB", "GiB", "TiB", "PiB"];
    if bytes < 1024 {
        return format!("{bytes} B");
    }
    let (mut size, mut unit) = (bytes as f64 / 1024.0, 0);
    while size >= 1023.95 && unit + 1 < UNITS.len() {
        size /= 1024.0;
        unit += 1;
    }
    let name = UNITS.get(unit).copied().unwrap_or_default();
    let text = format!("{size:.1}");
    format!("{} {name}", text.strip_suffix(".0").unwrap_or(&text))
}

/// A count with its thousands apart: `1,000,000`.
pub(crate) fn count(count: u64) -> String {
    let digits = count.to_string();
    let mut text = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// A time span with its two largest units: `350 ms`, `12 s`, `5 m 3 s`, `2 d 4 h`.
pub(crate) fn span(ms: u64) -> String {
    const UNITS: [(u64, &str); 4] = [(86_400, "d"), (3600, "h"), (60, "m"), (1, "s")];
    if ms < 1000 {
        return format!("{ms} ms");
    }
    let seconds = ms / 1000;
    let mut parts = Vec::new();
    let mut left = seconds;
    for (unit, name) in UNITS {
        if left >= unit || !parts.is_empty() {
            parts.push((left / unit, name));
            left %= unit;
        }
    }
    let shown = parts.iter().take(2).filter(|(number, _)| *number > 0);
    shown.map(|(number, name)| format!("{number} {name}")).collect::<Vec<_>>().join(" ")
}

/// How long ago something was, or `-`.
pub(crate) fn age(unix_ms: Option<u64>) -> String {
    unix_ms.map_or_else(|| "-".to_owned(), |then| span(now_unix_ms().saturating_sub(then)))
}

pub(crate) fn now_unix_ms() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}

/// Reads a time span: a number of seconds, or one with `ms`, `s`, `m`, `h` or `d`.
pub(crate) fn time(text: &str) -> Result<Duration, String> {
    let wrong = || format!("`{text}` is no time: write 1.5, 500ms, 30s, 5m, 2h or 7d");
    let digits = text.trim_end_matches(|c: char| c.is_ascii_alphabetic());
    let unit = match text.get(digits.len()..).unwrap_or_default() {
        "ms" => 0.001,
        "" | "s" => 1.0,
        "m" => 60.0,
        "h" => 3600.0,
        "d" => 86_400.0,
        _ => return Err(wrong()),
    };
    let number: f64 = digits.parse().map_err(|_| wrong())?;
    Duration::try_from_secs_f64(number * unit)
        .ok()
        .filter(|time| *time <= Duration::from_secs(100 * 366 * 86_400))
        .ok_or_else(|| format!("`{text}` is to be 0 to a hundred years"))
}

pub(crate) fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_and_counts_are_short() {
        for (number, wanted) in [
            (0, "0 B"),
            (1023, "1023 B"),
            (1024, "1 KiB"),
            (1536, "1.5 KiB"),
            (1024 * 1024 - 1, "1 MiB"),
            (256 << 20, "256 MiB"),
            (u64::MAX, "16384 PiB"),
        ] {
            assert_eq!(bytes(number), wanted);
        }
        for (number, wanted) in [(0, "0"), (999, "999"), (1000, "1,000"), (12_345_678, "12,345,678")] {
            assert_eq!(count(number), wanted);
        }
    }

    #[test]
    fn times_are_read_and_written() {
        for (ms, wanted) in [
            (0, "0 ms"),
            (999, "999 ms"),
            (1000, "1 s"),
            (60_000, "1 m"),
            (303_000, "5 m 3 s"),
            (86_400_000 + 59_000, "1 d"),
            (2 * 86_400_000 + 4 * 3_600_000, "2 d 4 h"),
        ] {
            assert_eq!(span(ms), wanted);
        }
        for (text, ms) in [("0", 0), ("1.5", 1500), ("250ms", 250), ("2m", 120_000), ("7d", 604_800_000)] {
            assert_eq!(time(text).map(millis), Ok(ms), "{text}");
        }
        for text in ["", "s", "-1", "1w", "1 s", "1e300", "NaN"] {
            assert!(time(text).is_err(), "{text}");
        }
    }
}
