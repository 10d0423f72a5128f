//! The last values under a key: so many, or those of a length of time.
//!
//! A window of time is kept in at most [`PARTS_MAX`] parts, each of which knows how many values it has, their sum,
//! their least and their greatest. What comes within the first 1/256 of the window after a part's beginning joins that
//! part. So a window is bounded whatever comes, and exact but for its oldest 1/256, which leaves it at once.

use minicbor::{Decoder, Encoder, decode};

use crate::values::{ValueError, write_float};

/// Values of a window that is counted in values.
pub(super) const VALUES_MAX: usize = 512;

/// Parts of a window of time.
pub(super) const PARTS_MAX: u64 = 256;

/// What a window holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Span {
    /// This many values.
    Values(usize),
    /// What came in the last this many milliseconds.
    Ms(u64),
}

/// The values of a window, the oldest first.
#[derive(Debug, Default, PartialEq)]
pub(super) struct Window {
    parts: Vec<Part>,
}

/// One value, or more that came close to each other.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Part {
    /// When the first of them came. Nothing in a window that is counted in values.
    begin_ms: u64,
    count: u64,
    sum: f64,
    least: f64,
    greatest: f64,
}

impl Window {
    /// What was kept. Something else, or a window that was measured in another way, is an empty one.
    pub(super) fn read(kept: Option<&[u8]>, span: Span) -> Self {
        let parts = kept.and_then(|kept| read(kept, span).ok()).unwrap_or_default();
        Self { parts }
    }

    /// What is to be kept.
    pub(super) fn write(&self, span: Span) -> Result<Vec<u8>, ValueError> {
        let mut out = Encoder::new(Vec::with_capacity(16 + self.parts.len() * 9));
        let failed = |error: minicbor::encode::Error<std::convert::Infallible>| ValueError::Type(error.to_string());
        out.begin_array().map_err(failed)?.bool(matches!(span, Span::Ms(_))).map_err(failed)?;
        let mut begin_ms = 0;
        for part in &self.parts {
            if matches!(span, Span::Ms(_)) {
                out.u64(part.begin_ms - begin_ms).map_err(failed)?.u64(part.count).map_err(failed)?;
                begin_ms = part.begin_ms;
            }
            write_float(&mut out, part.sum)?;
            if part.count > 1 {
                write_float(&mut out, part.least)?;
                write_float(&mut out, part.greatest)?;
            }
        }
        out.end().map_err(failed)?;
        Ok(out.into_writer())
    }

    /// A value comes; those that are no longer within the window go.
    pub(super) fn push(&mut self, value: f64, now_unix_ms: u64, span: Span) {
        let part = Part { begin_ms: now_unix_ms, count: 1, sum: value, least: value, greatest: value };
        match span {
            Span::Values(values) => {
                self.parts.push(part);
                let past = self.parts.len().saturating_sub(values);
                self.parts.drain(..past);
            }
            Span::Ms(length) => {
                // What is from the future by more than the window is from a clock that was set back.
                self.parts.retain(|part| {
                    now_unix_ms.saturating_sub(part.begin_ms) < length
                        && part.begin_ms <= now_unix_ms.saturating_add(length)
                });
                match self.parts.last_mut() {
                    Some(last) if now_unix_ms < last.begin_ms.saturating_add(length.div_ceil(PARTS_MAX)) => {
                        last.join(value);
                    }
                    _ => self.parts.push(part),
                }
            }
        }
    }

    pub(super) fn count(&self) -> u64 {
        self.parts.iter().fold(0, |count, part| part.count.saturating_add(count))
    }

    pub(super) fn sum(&self) -> f64 {
        self.parts.iter().map(|part| part.sum).sum()
    }

    pub(super) fn average(&self) -> f64 {
        #[expect(clippy::cast_precision_loss, reason = "no window has 2^53 values")]
        let count = self.count() as f64;
        self.sum() / count
    }

    pub(super) fn least(&self) -> f64 {
        self.parts.iter().map(|part| part.least).fold(f64::INFINITY, f64::min)
    }

    pub(super) fn greatest(&self) -> f64 {
        self.parts.iter().map(|part| part.greatest).fold(f64::NEG_INFINITY, f64::max)
    }
}

impl Part {
    fn join(&mut self, value: f64) {
        self.count = self.count.saturating_add(1);
        self.sum += value;
        self.least = self.least.min(value);
        self.greatest = self.greatest.max(value);
    }
}

fn read(kept: &[u8], span: Span) -> Result<Vec<Part>, decode::Error> {
    let mut source = Decoder::new(kept);
    source.array()?;
    if source.bool()? != matches!(span, Span::Ms(_)) {
        return Ok(Vec::new());
    }
    let mut parts = Vec::new();
    let mut begin_ms: u64 = 0;
    // The last byte is the end of the array.
    while source.position() + 1 < kept.len() {
        let mut count = 1;
        if matches!(span, Span::Ms(_)) {
            begin_ms = begin_ms.saturating_add(source.u64()?);
            count = source.u64()?;
        }
        let sum = source.f64()?;
        let (least, greatest) = if count > 1 { (source.f64()?, source.f64()?) } else { (sum, sum) };
        parts.push(Part { begin_ms, count, sum, least, greatest });
    }
    Ok(parts)
}
