//! What the benchmarks reach. It is no part of the interface: what cannot be read is `()` here.

use rhai::Dynamic;

use crate::values;

/// Reads JSON.
pub fn from_json(json: &[u8]) -> Dynamic {
    values::from_json(json).unwrap_or_default()
}

/// Writes JSON.
#[must_use]
pub fn to_json(value: &Dynamic) -> Vec<u8> {
    values::to_json(value).unwrap_or_default()
}

/// Reads CBOR.
pub fn from_cbor(cbor: &[u8]) -> Dynamic {
    values::from_cbor(cbor).unwrap_or_default()
}

/// Writes CBOR.
#[must_use]
pub fn to_cbor(value: &Dynamic) -> Vec<u8> {
    values::to_cbor(value).unwrap_or_default()
}
