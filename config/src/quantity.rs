//! Sizes and times as people write them, and back in the shortest form that says the same.

use std::time::Duration;

const SIZES: [(char, u64); 3] = [('G', 1 << 30), ('M', 1 << 20), ('K', 1 << 10)];
const TIMES: [(&str, u64); 5] = [("d", 86_400_000), ("h", 3_600_000), ("m", 60_000), ("s", 1000), ("ms", 1)];

/// The longest time that is read; a `Duration` and the clock bear more.
const TIME_MS_MAX: f64 = 100.0 * 366.0 * 86_400_000.0;

/// Reads a number of bytes: `1048576`, `1024K`, `1M`, `1MB` or `1MiB`; K, M and G are powers of 1024.
///
/// # Errors
/// The text is none of these, or more than 64 bits hold.
pub fn size(text: &str) -> Result<u64, String> {
    let digits = text.trim_end_matches(|c: char| c.is_ascii_alphabetic());
    let unit = text.get(digits.len()..).unwrap_or_default().to_ascii_uppercase();
    let factor = match unit.as_str() {
        "" | "B" => 1,
        "K" | "KB" | "KIB" => 1 << 10,
        "M" | "MB" | "MIB" => 1 << 20,
        "G" | "GB" | "GIB" => 1 << 30,
        _ => 0_u64,
    };
    let number: u64 = digits
        .trim()
        .parse()
        .ok()
        .filter(|_| factor > 0)
        .ok_or_else(|| format!("`{text}` is no size: write 1048576, 1024K, 1M or 1G"))?;
    number.checked_mul(factor).ok_or_else(|| format!("`{text}` is too large"))
}

/// Reads a time: a number of seconds, or one with `ms`, `s`, `m`, `h` or `d`.
///
/// # Errors
/// The text is none of these, or more than a hundred years.
pub fn time(text: &str) -> Result<Duration, String> {
    let wrong = || format!("`{text}` is no time: write 1.5, 500ms, 30s, 5m, 2h or 7d");
    let digits = text.trim_end_matches(|c: char| c.is_ascii_alphabetic());
    let unit = text.get(digits.len()..).unwrap_or_default();
    let unit = if unit.is_empty() { "s" } else { unit };
    let (_, factor) = TIMES.iter().find(|(name, _)| *name == unit).ok_or_else(wrong)?;
    let number: f64 = digits.parse().map_err(|_| wrong())?;
    let ms = number * (*factor as f64);
    if !(0.0..=TIME_MS_MAX).contains(&ms) {
        return Err(format!("`{text}` is to be 0 to a hundred years"));
    }
    Duration::try_from_secs_f64(ms / 1000.0).map_err(|_| wrong())
}

/// A number of bytes, with the largest unit that leaves nothing over.
#[must_use]
pub fn size_text(bytes: u64) -> String {
    let unit = SIZES.iter().find(|(_, factor)| bytes > 0 && bytes.is_multiple_of(*factor));
    unit.map_or_else(|| bytes.to_string(), |(name, factor)| format!("{}{name}", bytes / factor))
}

/// A time, with the largest unit that leaves nothing over; a fraction of a millisecond is left out.
#[must_use]
pub fn time_text(time: Duration) -> String {
    let ms = u64::try_from(time.as_millis()).unwrap_or(u64::MAX);
    let unit = TIMES.iter().find(|(_, factor)| ms > 0 && ms.is_multiple_of(*factor));
    unit.map_or_else(|| "0s".to_owned(), |(name, factor)| format!("{}{name}", ms / factor))
}

/// A count with its thousands apart: `1,000,000`.
pub(crate) fn count_text(count: u64) -> String {
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_read_and_written() {
        for (text, bytes, short) in [
            ("0", 0, "0"),
            ("1000", 1000, "1000"),
            ("1024", 1024, "1K"),
            ("16m", 16 << 20, "16M"),
            ("16MB", 16 << 20, "16M"),
            ("16 MiB", 16 << 20, "16M"),
            ("1536K", 1536 << 10, "1536K"),
            ("4G", 4 << 30, "4G"),
            ("7B", 7, "7"),
        ] {
            assert_eq!(size(text), Ok(bytes), "{text}");
            assert_eq!(size_text(bytes), short);
        }
        for text in ["", "M", "-1", "1.5M", "1T", "1MM", "99999999999G", "1 1"] {
            assert!(size(text).is_err(), "{text}");
        }
    }

    #[test]
    fn times_are_read_and_written() {
        for (text, ms, short) in [
            ("0", 0, "0s"),
            ("10", 10_000, "10s"),
            ("1.5", 1500, "1500ms"),
            ("250ms", 250, "250ms"),
            ("120s", 120_000, "2m"),
            ("2h", 7_200_000, "2h"),
            ("7d", 604_800_000, "7d"),
        ] {
            assert_eq!(time(text), Ok(Duration::from_millis(ms)), "{text}");
            assert_eq!(time_text(Duration::from_millis(ms)), short);
        }
        for text in ["", "s", "-1", "1w", "1 s", "1e300", "NaN", "inf", "36601d"] {
            assert!(time(text).is_err(), "{text}");
        }
        assert_eq!(count_text(1_234_567), "1,234,567");
    }
}
