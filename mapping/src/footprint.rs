//! How much the variables of a call hold, measured while it runs.
//!
//! Rhai bounds each value that an operation makes, but not what an element is put into (`map[key] = text`), nor what a
//! function has of values (`f.curry(x)`), nor how deep values are in each other, which takes stack. So the variables of
//! the function that runs are measured from time to time: after so many of them were read, in it or in all, or sooner
//! where those that were read are large. Those of the functions around it count with what they had when they were
//! measured last, and all that they have read since.

use rhai::{Array, Blob, Dynamic, FnPtr, ImmutableString, Map, Scope};

/// Variables read between two measurements, by one function and by all together.
const READS_A_MEASUREMENT: u32 = 64;
/// Bytes of the variables that a function reads between two measurements.
const BYTES_A_MEASUREMENT: usize = 16 << 20;
/// Bytes of a variable after whose reading the clock is looked at: what is done with it takes its time.
const BYTES_A_LOOK: usize = 64 << 10;
/// Arrays, maps and functions in each other. Measuring, comparing and dropping them is recursive.
const DEPTH_MAX: usize = 256;
/// What an element of an array or an entry of a map takes beside its content.
const ELEMENT_BYTES: usize = 32;
/// What a function takes beside the values that it has.
const FUNCTION_BYTES: usize = 128;

/// What is known of a call.
#[derive(Debug, Default)]
pub(crate) struct Footprint {
    /// Of each function that is in another.
    levels: Vec<Level>,
    /// Variables read by all of them since the last measurement of any.
    reads: u32,
}

/// What is known of the variables of one function.
#[derive(Debug, Default, Clone)]
struct Level {
    /// Bytes that they held when they were measured last.
    held: usize,
    /// Bytes of those that were read since.
    read: usize,
    /// How many those were.
    reads: u32,
}

/// What one look has come to.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Weighed {
    Fine,
    /// Fine, but measuring took its time: the clock is to be looked at.
    Slowly,
    /// The variables hold more than the limit, or are too deep.
    TooMuch(&'static str),
}

impl Footprint {
    pub(crate) fn clear(&mut self) {
        self.levels.clear();
        self.reads = 0;
    }

    /// A variable of the function at this level is read, if it is one of the scope.
    pub(crate) fn read(
        &mut self,
        level: usize,
        variable: Option<&Dynamic>,
        scope: &Scope<'_>,
        bytes_max: usize,
    ) -> Weighed {
        if self.levels.len() != level + 1 {
            self.levels.resize(level + 1, Level::default());
        }
        let bytes = match variable.map_or(Ok(0), |value| weight(value, bytes_max)) {
            Ok(bytes) => bytes,
            Err(what) => return Weighed::TooMuch(what),
        };
        self.reads += 1;
        let here = &mut self.levels[level];
        here.reads += 1;
        here.read = here.read.saturating_add(bytes);
        if self.reads.max(here.reads) >= READS_A_MEASUREMENT || here.read >= BYTES_A_MEASUREMENT {
            return self.measure(level, scope, bytes_max);
        }
        if bytes >= BYTES_A_LOOK { Weighed::Slowly } else { Weighed::Fine }
    }

    fn measure(&mut self, level: usize, scope: &Scope<'_>, bytes_max: usize) -> Weighed {
        self.reads = 0;
        let mut measured = Measured { bytes_max, ..Measured::default() };
        if let Err(what) = scope.iter_raw().try_for_each(|(_, _, value)| measured.add(value, 0)) {
            return Weighed::TooMuch(what);
        }
        self.levels[level] = Level { held: measured.bytes, read: 0, reads: 0 };
        if self.levels.iter().map(|level| level.held.saturating_add(level.read)).sum::<usize>() > bytes_max {
            Weighed::TooMuch(TOO_LARGE)
        } else if measured.elements > 1_000 {
            Weighed::Slowly
        } else {
            Weighed::Fine
        }
    }
}

const TOO_DEEP: &str = "arrays, maps and functions are deeper in each other than allowed";
const TOO_LARGE: &str = "the variables of the call hold more bytes than allowed";

/// Bytes of a variable without looking into it, but for a function: copying it copies what it has.
pub(crate) fn weight(value: &Dynamic, bytes_max: usize) -> Result<usize, &'static str> {
    if let Some(text) = value.read_lock::<ImmutableString>() {
        Ok(text.len())
    } else if let Some(array) = value.read_lock::<Array>() {
        Ok(array.len() * ELEMENT_BYTES)
    } else if let Some(map) = value.read_lock::<Map>() {
        Ok(map.len() * ELEMENT_BYTES)
    } else if let Some(blob) = value.read_lock::<Blob>() {
        Ok(blob.len())
    } else if value.read_lock::<FnPtr>().is_some_and(|function| !function.curry().is_empty()) {
        let mut measured = Measured { bytes_max, ..Measured::default() };
        measured.add(value, 0)?;
        Ok(measured.bytes)
    } else {
        Ok(0)
    }
}

/// Bytes of a value and all in it; what is too deep counts as too much.
pub(crate) fn bytes(value: &Dynamic) -> usize {
    let mut measured = Measured { bytes_max: usize::MAX, ..Measured::default() };
    measured.add(value, 0).map_or(usize::MAX, |()| measured.bytes)
}

#[derive(Default)]
struct Measured {
    bytes: usize,
    elements: usize,
    bytes_max: usize,
}

impl Measured {
    /// Adds a value and all in it, as far as that is not too much.
    fn add(&mut self, value: &Dynamic, depth: usize) -> Result<(), &'static str> {
        self.bytes += ELEMENT_BYTES;
        self.elements += 1;
        if depth > DEPTH_MAX {
            return Err(TOO_DEEP);
        }
        if let Some(text) = value.read_lock::<ImmutableString>() {
            self.bytes += text.len();
        } else if let Some(array) = value.read_lock::<Array>() {
            array.iter().try_for_each(|element| self.add(element, depth + 1))?;
        } else if let Some(map) = value.read_lock::<Map>() {
            self.bytes += map.keys().map(|key| key.len()).sum::<usize>();
            map.values().try_for_each(|element| self.add(element, depth + 1))?;
        } else if let Some(blob) = value.read_lock::<Blob>() {
            self.bytes += blob.len();
        } else if let Some(function) = value.read_lock::<FnPtr>() {
            self.bytes += FUNCTION_BYTES;
            function.curry().iter().try_for_each(|value| self.add(value, depth + 1))?;
        }
        if self.bytes > self.bytes_max { Err(TOO_LARGE) } else { Ok(()) }
    }
}
