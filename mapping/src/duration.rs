//! Durations as scripts write them: a number of milliseconds, or a text such as `500ms`, `5s`, `1h30m`, `3d`.

use std::time::Duration;

use rhai::Dynamic;

/// The longest duration: ten years of 365 days. Beyond it an arithmetic slip is likelier than a wish.
const DURATION_MAX: Duration = Duration::from_secs(3_650 * 86_400);

/// Reads one.
///
/// # Errors
/// Says what is wrong, with the value.
pub(crate) fn of(value: &Dynamic) -> Result<Duration, String> {
    let wrong = || format!("{} is not a duration: write milliseconds, or a text such as \"5s\"", shown(value));
    let duration = if let Ok(ms) = value.as_int() {
        Duration::from_millis(u64::try_from(ms).map_err(|_| wrong())?)
    } else {
        let text = value.read_lock::<rhai::ImmutableString>().ok_or_else(wrong)?;
        parse_ms(&text).map(Duration::from_millis).ok_or_else(wrong)?
    };
    if duration > DURATION_MAX {
        return Err(format!("{} is longer than ten years", shown(value)));
    }
    Ok(duration)
}

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
        let after = after.trim_start();
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

/// A value as errors show it.
pub(crate) fn shown(value: &Dynamic) -> String {
    match value.read_lock::<rhai::ImmutableString>() {
        Some(text) => format!("{:?}", &text[..text.floor_char_boundary(80)]),
        None if value.is_unit() => "()".into(),
        None if value.is_int() || value.is_bool() || value.is_float() => value.to_string(),
        None => format!("a value of type {}", value.type_name()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

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

    #[test]
    fn reads_milliseconds_and_units() {
        for (value, ms) in [
            (Dynamic::from(1_500_i64), 1_500),
            ("500ms".into(), 500),
            ("5s".into(), 5_000),
            ("2 m".into(), 120_000),
            ("1h".into(), 3_600_000),
            ("3d".into(), 259_200_000),
        ] {
            assert_eq!(of(&value), Ok(Duration::from_millis(ms)), "{value}");
        }
    }

    #[test]
    fn names_what_is_not_one() {
        for value in [Dynamic::from(-1_i64), "5".into(), "5 years".into(), "".into(), Dynamic::UNIT, "9999999d".into()]
        {
            let error = of(&value).expect_err("is none");
            assert!(error.contains(&shown(&value)), "{error}");
        }
    }
}
