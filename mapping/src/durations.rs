//! Lengths of time as text: `250ms`, `5s`, `1h30m`.

/// Milliseconds of each unit.
const UNITS: [(&str, u64); 6] =
    [("ms", 1), ("s", 1_000), ("m", 60_000), ("h", 3_600_000), ("d", 86_400_000), ("w", 604_800_000)];

/// Milliseconds of a text of numbers with units (ms, s, m, h, d, w), the first of which may have a fraction (`1.5h`).
///
/// `None` is for everything else: no unit, a unit that is not known, more than `u64` holds.
pub(crate) fn parse_ms(text: &str) -> Option<u64> {
    let mut rest = text.trim();
    let mut total: Option<u64> = None;
    while !rest.is_empty() {
        let digits = rest.find(|letter: char| !letter.is_ascii_digit() && letter != '.')?;
        let (number, after) = rest.split_at(digits);
        let letters = after.find(|letter: char| !letter.is_ascii_alphabetic()).unwrap_or(after.len());
        let (unit, after) = after.split_at(letters);
        let (_, unit_ms) = UNITS.iter().find(|(name, _)| *name == unit)?;
        total = Some(total.unwrap_or(0).checked_add(part_ms(number, *unit_ms)?)?);
        rest = after.trim_start();
    }
    total
}

/// What is said to who wrote one that is none.
pub(crate) fn expected(text: &str) -> String {
    format!("\"{text}\" is no length of time; write numbers with ms, s, m, h, d or w, like \"250ms\" or \"1h30m\"")
}

fn part_ms(number: &str, unit_ms: u64) -> Option<u64> {
    let (whole, fraction) = number.split_once('.').unwrap_or((number, "0"));
    if fraction.is_empty() || fraction.len() > 9 {
        return None;
    }
    let scale = 10_u64.checked_pow(u32::try_from(fraction.len()).ok()?)?;
    // At most a week of milliseconds times nine digits: that is within 64 bits.
    let part = fraction.parse::<u64>().ok()?.checked_mul(unit_ms)? / scale;
    whole.parse::<u64>().ok()?.checked_mul(unit_ms)?.checked_add(part)
}

#[cfg(test)]
mod tests {
    use super::parse_ms;

    #[test]
    fn lengths_of_time_are_read() {
        for (text, ms) in [
            ("5s", 5_000),
            ("250ms", 250),
            ("1h30m", 5_400_000),
            ("1h 30m", 5_400_000),
            ("1.5h", 5_400_000),
            ("2w", 1_209_600_000),
            ("0s", 0),
        ] {
            assert_eq!(parse_ms(text), Some(ms), "{text}");
        }
    }

    #[test]
    fn what_is_none_is_not_read() {
        for text in ["", "5", "s", "5 s s", "-5s", "5y", "1..5s", "1.s", "99999999999999999999s", "9999999999999999w"] {
            assert_eq!(parse_ms(text), None, "{text}");
        }
    }
}
