//! A number that neither `i64` nor `f64` holds: its digits.

use std::{cmp::Ordering, fmt, str::FromStr};

use rhai::{Dynamic, Engine, EvalAltResult, FLOAT, INT, ImmutableString};

/// A number as it was written, in the grammar of JSON.
///
/// With floats it compares and calculates as the nearest `f64`; integers and other numbers it is compared with by its
/// digits, so large identifiers are told apart. What is calculated from it is a `FLOAT`.
#[derive(Debug, Clone)]
pub(crate) struct Number(ImmutableString);

impl Number {
    /// The number that JSON writes like this, as the type that holds it. The text has to be a number of JSON.
    pub(crate) fn read(text: &str) -> Dynamic {
        if is_integer(text) {
            return match text.parse::<INT>() {
                // The sign of nothing is one only in a float.
                Ok(0) if text.starts_with('-') => Dynamic::from_float(-0.0),
                Ok(int) => Dynamic::from_int(int),
                Err(_) => Self::keep(text),
            };
        }
        match text.parse::<FLOAT>() {
            Ok(float) if float.is_finite() && holds(float, text) => Dynamic::from_float(float),
            _ => Self::keep(text),
        }
    }

    /// An integer that may be beyond `i64`.
    pub(crate) fn from_i128(value: i128) -> Dynamic {
        match INT::try_from(value) {
            Ok(int) => Dynamic::from_int(int),
            Err(_) => Self::keep(&value.to_string()),
        }
    }

    /// The nearest `f64`; infinite when it is beyond that.
    pub(crate) fn to_float(&self) -> FLOAT {
        self.0.parse().unwrap_or(FLOAT::NAN)
    }

    /// The integer that it is exactly.
    pub(crate) fn to_int(&self) -> Option<INT> {
        Digits::of(&self.0).to_int()
    }

    /// Its text.
    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }

    /// Its sign, its digits as an integer, and the power of ten that those are times.
    pub(crate) fn decimal(&self) -> (bool, String, i64) {
        let (mantissa, exponent) = split_exponent(&self.0);
        let unsigned = mantissa.trim_start_matches('-');
        let (whole, fraction) = unsigned.split_once('.').unwrap_or((unsigned, ""));
        let scale = i64::try_from(fraction.len()).unwrap_or(i64::MAX);
        (mantissa.starts_with('-'), format!("{whole}{fraction}"), exponent.saturating_sub(scale))
    }

    fn keep(text: &str) -> Dynamic {
        Dynamic::from(Self(text.into()))
    }
}

impl fmt::Display for Number {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl PartialEq for Number {
    fn eq(&self, other: &Self) -> bool {
        self.cmp_text(&other.0) == Ordering::Equal
    }
}

impl Number {
    fn cmp_text(&self, other: &str) -> Ordering {
        Digits::of(&self.0).cmp(&Digits::of(other))
    }
}

/// Whether a number of JSON is written without point and exponent.
fn is_integer(text: &str) -> bool {
    !text.bytes().any(|byte| matches!(byte, b'.' | b'e' | b'E'))
}

/// Whether the shortest text that gives `float` again has the digits of `text`.
fn holds(float: FLOAT, text: &str) -> bool {
    // Any 15 digits come back from an `f64` in its normal range, which 17 characters with a point cannot leave.
    if text.len() <= 16 && !text.bytes().any(|byte| matches!(byte, b'e' | b'E')) {
        return true;
    }
    Digits::of(&format!("{float:e}")) == Digits::of(text)
}

fn split_exponent(text: &str) -> (&str, i64) {
    match text.split_once(['e', 'E']) {
        Some((mantissa, exponent)) => (mantissa, i64::from_str(exponent).unwrap_or(saturated(exponent))),
        None => (text, 0),
    }
}

/// What stands for an exponent that is beyond `i64`; sums of such do not overflow.
fn saturated(exponent: &str) -> i64 {
    if exponent.starts_with('-') { i64::MIN / 4 } else { i64::MAX / 4 }
}

/// A decimal number: `0.digits` times ten to the `exponent`, without zeros at either end. Zero has no digits.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Digits {
    negative: bool,
    exponent: i64,
    digits: Vec<u8>,
}

impl Digits {
    pub(super) fn of(text: &str) -> Self {
        let (mantissa, exponent) = split_exponent(text);
        let unsigned = mantissa.trim_start_matches('-');
        let whole = unsigned.split('.').next().map_or(0, str::len);
        let all: Vec<u8> = unsigned.bytes().filter(u8::is_ascii_digit).collect();
        let zeros = all.iter().take_while(|digit| **digit == b'0').count();
        let end = all.iter().rposition(|digit| *digit != b'0').map_or(zeros, |at| at + 1);
        let digits = all.get(zeros..end).unwrap_or_default().to_vec();
        if digits.is_empty() {
            return Self { negative: mantissa.starts_with('-'), exponent: 0, digits };
        }
        let shift = i64::try_from(whole).unwrap_or(0) - i64::try_from(zeros).unwrap_or(0);
        Self { negative: mantissa.starts_with('-'), exponent: exponent.saturating_add(shift), digits }
    }

    fn to_int(&self) -> Option<INT> {
        if self.digits.is_empty() {
            return Some(0);
        }
        let places = usize::try_from(self.exponent).ok().filter(|places| *places <= 19)?;
        let zeros = places.checked_sub(self.digits.len())?;
        let sign = if self.negative { "-" } else { "" };
        format!("{sign}{}{}", String::from_utf8_lossy(&self.digits), "0".repeat(zeros)).parse().ok()
    }

    fn sign(&self) -> i8 {
        match (self.digits.is_empty(), self.negative) {
            (true, _) => 0,
            (false, true) => -1,
            (false, false) => 1,
        }
    }

    pub(super) fn cmp(&self, other: &Self) -> Ordering {
        let size = || self.exponent.cmp(&other.exponent).then_with(|| self.digits.cmp(&other.digits));
        self.sign().cmp(&other.sign()).then_with(|| if self.negative { size().reverse() } else { size() })
    }
}

/// Makes the type known to scripts, with its operators.
pub(crate) fn register(engine: &mut Engine) {
    engine
        .register_type_with_name::<Number>("Number")
        .register_fn("to_string", |number: &mut Number| number.0.clone())
        .register_fn("to_debug", |number: &mut Number| number.0.clone())
        .register_fn("to_float", |number: &mut Number| number.to_float())
        .register_fn("to_int", |number: &mut Number| -> Result<INT, Box<EvalAltResult>> {
            number
                .to_int()
                .ok_or_else(|| format!("to_int: {number} is not an integer from {} to {}", INT::MIN, INT::MAX).into())
        })
        .register_fn("-", |number: Number| -number.to_float());
    register_calculations(engine);
    register_comparisons(engine);
}

fn register_calculations(engine: &mut Engine) {
    type Operator = fn(FLOAT, FLOAT) -> FLOAT;
    const OPERATORS: [(&str, Operator); 6] = [
        ("+", |a, b| a + b),
        ("-", |a, b| a - b),
        ("*", |a, b| a * b),
        ("/", |a, b| a / b),
        ("%", |a, b| a % b),
        ("**", FLOAT::powf),
    ];
    for (name, operator) in OPERATORS {
        engine
            .register_fn(name, move |a: Number, b: Number| operator(a.to_float(), b.to_float()))
            .register_fn(name, move |a: Number, b: FLOAT| operator(a.to_float(), b))
            .register_fn(name, move |a: FLOAT, b: Number| operator(a, b.to_float()))
            .register_fn(name, move |a: Number, b: INT| operator(a.to_float(), float(b)))
            .register_fn(name, move |a: INT, b: Number| operator(float(a), b.to_float()));
    }
}

fn register_comparisons(engine: &mut Engine) {
    // What `is` says of no order is for NaN: nothing but "not equal" is true.
    type Is = fn(Option<Ordering>) -> bool;
    const OPERATORS: [(&str, Is); 6] = [
        ("==", |order| order == Some(Ordering::Equal)),
        ("!=", |order| order != Some(Ordering::Equal)),
        ("<", |order| order == Some(Ordering::Less)),
        ("<=", |order| order.is_some_and(Ordering::is_le)),
        (">", |order| order == Some(Ordering::Greater)),
        (">=", |order| order.is_some_and(Ordering::is_ge)),
    ];
    for (name, is) in OPERATORS {
        engine
            .register_fn(name, move |a: Number, b: Number| is(Some(a.cmp_text(&b.0))))
            .register_fn(name, move |a: Number, b: FLOAT| is(a.to_float().partial_cmp(&b)))
            .register_fn(name, move |a: FLOAT, b: Number| is(a.partial_cmp(&b.to_float())))
            .register_fn(name, move |a: Number, b: INT| is(Some(a.cmp_text(&b.to_string()))))
            .register_fn(name, move |a: INT, b: Number| is(Some(b.cmp_text(&a.to_string()).reverse())));
    }
}

#[expect(clippy::cast_precision_loss, reason = "that is what calculating as f64 means")]
fn float(int: INT) -> FLOAT {
    int as FLOAT
}
