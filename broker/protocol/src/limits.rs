//! Every bound of this crate, with its reason.

/// The largest remaining length that four bytes can say (MQTT 5.0, 1.5.5).
pub const REMAINING_LENGTH_MAX: u32 = 268_435_455;

/// The largest variable byte integer.
pub const VARINT_MAX: u32 = 268_435_455;
