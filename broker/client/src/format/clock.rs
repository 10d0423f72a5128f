//! The time in a format: that of this machine, in its zone, and in the C locale.

use jiff::{Zoned, fmt::strtime};

/// Appends what strftime makes of one letter. A letter that it has not is printed with its `%`, as C does.
pub(super) fn print(letter: u8, now: &Zoned, out: &mut Vec<u8>) {
    let format = match letter {
        b'N' => {
            out.extend_from_slice(format!("{:09}", now.subsec_nanosecond()).as_bytes());
            return;
        }
        b'%' | b'A' | b'a' | b'B' | b'b' | b'C' | b'D' | b'd' | b'e' | b'F' | b'G' | b'g' | b'H' | b'h' | b'I'
        | b'j' | b'k' | b'l' | b'M' | b'm' | b'n' | b'P' | b'p' | b'R' | b's' | b'S' | b'T' | b't' | b'U' | b'u'
        | b'V' | b'W' | b'w' | b'Y' | b'y' | b'Z' | b'z' => format!("%{}", char::from(letter)),
        b'c' => "%a %b %e %H:%M:%S %Y".to_owned(),
        b'r' => "%I:%M:%S %p".to_owned(),
        b'v' => "%e-%b-%Y".to_owned(),
        b'X' => "%H:%M:%S".to_owned(),
        b'x' => "%m/%d/%y".to_owned(),
        other => {
            out.extend_from_slice(&[b'%', other]);
            return;
        }
    };
    if let Ok(text) = strtime::format(&format, now) {
        out.extend_from_slice(text.as_bytes());
    }
}

/// As in ISO 8601, to the second.
pub(super) fn iso(now: &Zoned) -> Vec<u8> {
    strtime::format("%Y-%m-%dT%H:%M:%S%z", now).unwrap_or_default().into_bytes()
}

/// The same to the microsecond, for JSON.
pub(super) fn iso_micros(now: &Zoned) -> String {
    let micros = now.subsec_nanosecond() / 1000;
    strtime::format(format!("%Y-%m-%dT%H:%M:%S.{micros:06}%z"), now).unwrap_or_default()
}

/// Seconds since 1970, and nanoseconds.
pub(super) fn unix(now: &Zoned) -> Vec<u8> {
    let timestamp = now.timestamp();
    format!("{}.{:09}", timestamp.as_second(), timestamp.subsec_nanosecond()).into_bytes()
}
