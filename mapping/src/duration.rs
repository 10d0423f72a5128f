//! Durations as scripts write them: a number of milliseconds, or a text such as `500ms`, `5s`, `2m`, `1h`, `3d`.

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
        parsed(text.trim()).ok_or_else(wrong)?
    };
    if duration > DURATION_MAX {
        return Err(format!("{} is longer than ten years", shown(value)));
    }
    Ok(duration)
}

fn parsed(text: &str) -> Option<Duration> {
    let digits = text.find(|c: char| !c.is_ascii_digit())?;
    let (number, unit) = text.split_at(digits);
    let number: u64 = number.parse().ok()?;
    let unit_ms = match unit.trim() {
        "ms" => 1,
        "s" => 1_000,
        "m" => 60_000,
        "h" => 3_600_000,
        "d" => 86_400_000,
        _ => return None,
    };
    number.checked_mul(unit_ms).map(Duration::from_millis)
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
        for value in [Dynamic::from(-1_i64), "5".into(), "5 weeks".into(), "".into(), Dynamic::UNIT, "9999999d".into()]
        {
            let error = of(&value).expect_err("is none");
            assert!(error.contains(&shown(&value)), "{error}");
        }
    }
}
