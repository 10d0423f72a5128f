//! Every bound of this crate, with its reason.

/// The largest remaining length that four bytes can say (MQTT 5.0, 1.5.5).
pub const REMAINING_LENGTH_MAX: u32 = 268_435_455;

/// The largest variable byte integer.
pub const VARINT_MAX: u32 = 268_435_455;

/// The most filters in one SUBSCRIBE or UNSUBSCRIBE. The specification has no bound; this one keeps the count in 16
/// bits and the SUBACK small. A packet with more is refused with 0x97 (quota exceeded).
pub const FILTERS_MAX: u16 = u16::MAX;

/// The longest string or binary field, in bytes: its length has two bytes (MQTT 5.0, 1.5.4 and 1.5.6).
pub const FIELD_BYTES_MAX: usize = 65_535;

/// The largest packet with its fixed header, in bytes.
pub const PACKET_BYTES_MAX: u32 = REMAINING_LENGTH_MAX + 5;
