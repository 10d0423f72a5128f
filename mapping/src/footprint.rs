//! How much the variables of a call hold, measured while it runs.
//!
//! Rhai bounds each value that an operation makes, but not what an element is put into (`map[key] = text`), nor how
//! deep values are in each other, which takes stack. So the variables of the function that runs are measured from time
//! to time: after so many of them were read, or sooner where those that were read are large. Those of the functions
//! around it count with what they had when they were measured last, and all that they have read since.

use rhai::{Array, Blob, Dynamic, ImmutableString, Map, Scope};

/// Variables read between two measurements.
const READS_A_MEASUREMENT: u32 = 64;
/// Bytes of the variables that are read between two measurements.
const BYTES_A_MEASUREMENT: usize = 16 << 20;
/// Arrays and maps in each other. Measuring, comparing and dropping them is recursive.
const DEPTH_MAX: usize = 256;
/// What an element of an array or an entry of a map takes beside its content.
const ELEMENT_BYTES: usize = 32;

/// What is known of a call.
#[derive(Debug, Default)]
pub(crate) struct Footprint {
    /// Of each function that is in another.
    levels: Vec<usize>,
    reads: u32,
    bytes: usize,
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
        (self.reads, self.bytes) = (0, 0);
    }

    /// A variable is read: the `index`th from the end of the scope, from 1, if that is known.
    pub(crate) fn read(&mut self, level: usize, index: usize, scope: &Scope<'_>, bytes_max: usize) -> Weighed {
        if self.levels.len() != level + 1 {
            self.enter(level);
        }
        self.reads += 1;
        if let Some((_, _, value)) = index.checked_sub(1).and_then(|index| scope.iter_raw().nth(index)) {
            self.bytes += shallow(value);
        }
        if self.reads < READS_A_MEASUREMENT && self.bytes < BYTES_A_MEASUREMENT {
            return Weighed::Fine;
        }
        (self.reads, self.bytes) = (0, 0);
        let mut measured = Measured::default();
        let is_shallow = scope.iter_raw().all(|(_, _, value)| measured.add(value, 0));
        self.levels[level] = measured.bytes;
        if !is_shallow {
            Weighed::TooMuch("arrays and maps are deeper in each other than allowed")
        } else if self.levels.iter().sum::<usize>() > bytes_max {
            Weighed::TooMuch("the variables of the call hold more bytes than allowed")
        } else if measured.elements > 1_000 {
            Weighed::Slowly
        } else {
            Weighed::Fine
        }
    }

    /// Another function runs now: one that the last one calls, or that called it.
    fn enter(&mut self, level: usize) {
        if let Some(last) = self.levels.last_mut()
            && self.bytes > 0
        {
            *last += self.bytes;
        }
        self.levels.resize(level + 1, 0);
        (self.reads, self.bytes) = (0, 0);
    }
}

/// Bytes of a value without looking into it.
fn shallow(value: &Dynamic) -> usize {
    if let Some(text) = value.read_lock::<ImmutableString>() {
        text.len()
    } else if let Some(array) = value.read_lock::<Array>() {
        array.len() * ELEMENT_BYTES
    } else if let Some(map) = value.read_lock::<Map>() {
        map.len() * ELEMENT_BYTES
    } else {
        value.read_lock::<Blob>().map_or(0, |blob| blob.len())
    }
}

#[derive(Default)]
struct Measured {
    bytes: usize,
    elements: usize,
}

impl Measured {
    /// Adds a value and all in it; whether it is not too deep.
    fn add(&mut self, value: &Dynamic, depth: usize) -> bool {
        self.bytes += ELEMENT_BYTES;
        self.elements += 1;
        if depth > DEPTH_MAX {
            return false;
        }
        if let Some(text) = value.read_lock::<ImmutableString>() {
            self.bytes += text.len();
        } else if let Some(array) = value.read_lock::<Array>() {
            return array.iter().all(|element| self.add(element, depth + 1));
        } else if let Some(map) = value.read_lock::<Map>() {
            self.bytes += map.keys().map(|key| key.len()).sum::<usize>();
            return map.values().all(|element| self.add(element, depth + 1));
        } else if let Some(blob) = value.read_lock::<Blob>() {
            self.bytes += blob.len();
        }
        true
    }
}
