//! Times, in milliseconds since 1970, and lengths of time, in milliseconds.

use jiff::{
    Timestamp, Zoned,
    fmt::strtime,
    tz::{Offset, TimeZone},
};
use rhai::{INT, Map, Module, NativeCallContext, plugin::*};

use super::{Outcome, failed};
use crate::{call::with_call, duration};

/// Bytes of a format.
const FORMAT_BYTES_MAX: usize = 256;

pub(super) fn module() -> Module {
    exported_module!(time_functions)
}

/// A time as it is at an offset: `Z`, `+01:00`.
fn at_offset(ctx: &NativeCallContext, time_ms: INT, offset: &str) -> Outcome<Zoned> {
    let time = Timestamp::from_millisecond(time_ms).map_err(|_| {
        failed(ctx, format!("{time_ms} is no time in milliseconds; the years -9999 to 9999 are allowed"))
    })?;
    let offset = offset_of(offset)
        .ok_or_else(|| failed(ctx, format!("\"{offset}\" is no offset; Z and +hh:mm or -hh:mm are allowed")))?;
    Ok(time.to_zoned(TimeZone::fixed(offset)))
}

fn offset_of(text: &str) -> Option<Offset> {
    if matches!(text, "Z" | "UTC") {
        return Some(Offset::UTC);
    }
    let sign = if text.starts_with('-') { -1 } else { 1 };
    let (hours, minutes) = text.strip_prefix(['+', '-'])?.split_once(':')?;
    let (hours, minutes) = (hours.parse::<u8>().ok()?, minutes.parse::<u8>().ok()?);
    let valid = hours <= 23 && minutes <= 59;
    valid.then(|| Offset::from_seconds(sign * (i32::from(hours) * 3600 + i32::from(minutes) * 60)).ok()).flatten()
}

fn formatted(ctx: &NativeCallContext, format: &str, time: &Zoned) -> Outcome<String> {
    check_format(ctx, format)?;
    strtime::format(format, time).map_err(|error| failed(ctx, format!("the format \"{format}\": {error}")))
}

fn check_format(ctx: &NativeCallContext, format: &str) -> Outcome<()> {
    if format.len() > FORMAT_BYTES_MAX {
        return Err(failed(ctx, format!("a format of {} bytes; {FORMAT_BYTES_MAX} are allowed", format.len())));
    }
    Ok(())
}

/// A time without an offset is UTC; a date without a time is its midnight.
fn parsed(text: &str, format: &str) -> Result<INT, jiff::Error> {
    let time = strtime::parse(format, text)?;
    if time.offset().is_some() || time.timestamp().is_some() {
        return Ok(time.to_timestamp()?.as_millisecond());
    }
    let time = time.to_datetime().or_else(|_| time.to_date().map(Into::into))?;
    Ok(time.to_zoned(TimeZone::UTC)?.timestamp().as_millisecond())
}

#[export_module]
#[expect(unreachable_pub, reason = "the macro registers what is public")]
mod time_functions {
    /// The time. It is the same throughout a call.
    #[rhai_fn(return_raw)]
    pub fn now(ctx: NativeCallContext) -> Outcome<INT> {
        let now = with_call(&ctx, |call| call.now_unix_ms)?;
        INT::try_from(now).map_err(|error| failed(&ctx, error))
    }

    /// The time that a text of RFC 3339 says: `2026-11-28T20:15:00.250Z`, `2026-11-28 21:15:00+01:00`.
    #[rhai_fn(return_raw)]
    pub fn parse_time(ctx: NativeCallContext, text: &str) -> Outcome<INT> {
        match text.parse::<Timestamp>() {
            Ok(time) => Ok(time.as_millisecond()),
            Err(error) => Err(failed(&ctx, format!("\"{text}\" is no time of RFC 3339: {error}"))),
        }
    }

    /// The time that a text of this format says (that of strptime: `%d.%m.%Y %H:%M:%S`). Without an offset it is UTC.
    #[rhai_fn(name = "parse_time", return_raw)]
    pub fn parse_time_as(ctx: NativeCallContext, text: &str, format: &str) -> Outcome<INT> {
        check_format(&ctx, format)?;
        parsed(text, format).map_err(|error| failed(&ctx, format!("\"{text}\" as \"{format}\": {error}")))
    }

    /// A time as RFC 3339, in UTC.
    #[rhai_fn(return_raw)]
    pub fn format_time(ctx: NativeCallContext, time_ms: INT) -> Outcome<String> {
        Ok(at_offset(&ctx, time_ms, "Z")?.timestamp().to_string())
    }

    /// A time in this format (that of strftime), in UTC.
    #[rhai_fn(name = "format_time", return_raw)]
    pub fn format_time_as(ctx: NativeCallContext, time_ms: INT, format: &str) -> Outcome<String> {
        formatted(&ctx, format, &at_offset(&ctx, time_ms, "Z")?)
    }

    /// A time in this format (that of strftime), at an offset: `+01:00`.
    #[rhai_fn(name = "format_time", return_raw)]
    pub fn format_time_at(ctx: NativeCallContext, time_ms: INT, format: &str, offset: &str) -> Outcome<String> {
        formatted(&ctx, format, &at_offset(&ctx, time_ms, offset)?)
    }

    /// The parts of a time, in UTC: year, month, day, hour, minute, second, millisecond, weekday (Monday is 1, Sunday
    /// 7) and day_of_year.
    #[rhai_fn(return_raw)]
    pub fn time_parts(ctx: NativeCallContext, time_ms: INT) -> Outcome<Map> {
        time_parts_at(ctx, time_ms, "Z")
    }

    /// The parts of a time at an offset: `+01:00`.
    #[rhai_fn(name = "time_parts", return_raw)]
    pub fn time_parts_at(ctx: NativeCallContext, time_ms: INT, offset: &str) -> Outcome<Map> {
        let time = at_offset(&ctx, time_ms, offset)?;
        let parts = [
            ("year", time.year()),
            ("month", time.month().into()),
            ("day", time.day().into()),
            ("hour", time.hour().into()),
            ("minute", time.minute().into()),
            ("second", time.second().into()),
            ("millisecond", time.millisecond()),
            ("weekday", time.weekday().to_monday_one_offset().into()),
            ("day_of_year", time.day_of_year()),
        ];
        Ok(parts.into_iter().map(|(name, value)| (name.into(), INT::from(value).into())).collect())
    }

    /// The milliseconds of a length of time: numbers with ms, s, m, h, d, w (`"250ms"`, `"1h30m"`).
    #[rhai_fn(return_raw)]
    pub fn duration(ctx: NativeCallContext, text: &str) -> Outcome<INT> {
        duration::parse_ms(text)
            .and_then(|ms| INT::try_from(ms).ok())
            .ok_or_else(|| failed(&ctx, duration::expected(text)))
    }
}
