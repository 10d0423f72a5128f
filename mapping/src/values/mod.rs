//! Values of scripts from and to JSON and CBOR, with the digits of numbers as they came.
//!
//! Objects are Rhai's maps, which are ordered by key: what is written back is in that order, not in the one that came.
//! Of keys that come twice, the last one counts. `null` is `()`.
//!
//! A number is an `INT` when it is written as an integer and is within `i64`; a `FLOAT` when it is written with a point
//! or an exponent and the shortest text of the nearest `f64` has the same digits; and a [`Number`] else. `80.0` stays a
//! `FLOAT` and is written `80.0`, `-0` is the `FLOAT` that has a sign.

mod cbor;
mod json;
mod number;

#[cfg(test)]
mod tests;

use std::cell::Cell;

use rhai::{Dynamic, FLOAT};

pub(crate) use self::{
    cbor::{from_cbor, to_cbor, write_float},
    json::{from_json, from_json_within, to_json},
    number::{Number, register},
};

/// How deep arrays and maps may be in each other: reading and writing are recursive.
pub(crate) const DEPTH_MAX: usize = 64;

/// How long the text of a number may be: calculating with its digits takes time by the square of that.
pub(crate) const NUMBER_BYTES_MAX: usize = 1024;

/// What a text or blob may make, in elements of arrays and entries of maps; the first entry of a map counts for
/// [`MAP_ELEMENTS`]. A byte can make an array, which takes fifty times as much. It is more than the limits of arrays
/// and maps together, and about 16 MiB.
pub(crate) const ELEMENTS_MAX: usize = 262_144;

/// What a map takes that is not empty, in elements of arrays: it has room for some entries from the first one on.
const MAP_ELEMENTS: usize = 8;

/// What may still be read.
#[derive(Debug, Clone, Copy)]
struct Room<'r> {
    /// Arrays and maps in each other.
    depth: usize,
    elements: &'r Cell<usize>,
}

impl Room<'_> {
    /// That of what is in an array or a map.
    fn within(self) -> Option<Self> {
        self.depth.checked_sub(1).map(|depth| Self { depth, ..self })
    }

    /// Whether there was room for another element.
    fn take(self, is_first_of_map: bool) -> bool {
        let wanted = if is_first_of_map { MAP_ELEMENTS } else { 1 };
        let left = self.elements.get().checked_sub(wanted);
        self.elements.set(left.unwrap_or(0));
        left.is_some()
    }
}

/// Why something is not a value, or a value cannot be written.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum ValueError {
    /// Not JSON, or JSON beyond the bounds.
    #[error("not JSON that can be read: {what} at line {line}, column {column}")]
    Json {
        /// From 1.
        line: usize,
        /// From 1.
        column: usize,
        /// What is wrong.
        what: String,
    },
    /// Not CBOR, or CBOR beyond the bounds.
    #[error("not CBOR that can be read: {what} at byte {offset}")]
    Cbor {
        /// From 0.
        offset: usize,
        /// What is wrong.
        what: String,
    },
    /// A value that is too deep to be written.
    #[error("the value is deeper than {DEPTH_MAX} arrays and maps")]
    TooDeep,
    /// JSON has no such number.
    #[error("JSON has no number for {0}; set null instead")]
    NotFinite(String),
    /// JSON has no bytes.
    #[error("JSON has no bytes; write the blob as text with base64(blob) or hex(blob)")]
    Blob,
    /// Something that only a script has.
    #[error(
        "a value of type {0} cannot be written; allowed are maps, arrays, texts, numbers, true, false, () and, in \
         CBOR, blobs"
    )]
    Type(String),
}

/// A value as a number, for calculations.
pub(crate) fn as_float(value: &Dynamic) -> Option<FLOAT> {
    if let Ok(float) = value.as_float() {
        return Some(float);
    }
    if let Ok(int) = value.as_int() {
        #[expect(clippy::cast_precision_loss, reason = "that is what calculating as f64 means")]
        return Some(int as FLOAT);
    }
    value.read_lock::<Number>().map(|number| number.to_float())
}
