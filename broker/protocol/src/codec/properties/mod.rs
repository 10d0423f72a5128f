//! The properties of MQTT 5.0 (2.2.2): a checked block of bytes, what can be asked of it, and a builder.
//!
//! A [`Properties`] holds the bytes as they came. Each getter scans them; packets have few properties, and most are
//! read once. What depends on the packet (which properties, how often) is in `place`, what depends on the property
//! alone in `property`.

mod buf;
mod get;
mod place;
mod property;

use std::fmt;

use crate::Violation;

pub use buf::PropertiesBuf;
pub(super) use place::{Place, read};
pub use property::Property;
use property::{ForwardableIter, Iter};

/// The properties of one packet, without the length before them. They are well formed, allowed in their packet, and
/// not repeated beyond what is allowed, if they came from [`super::decode`].
#[derive(Clone, Copy, PartialEq, Eq, Default)]
pub struct Properties<'a> {
    bytes: &'a [u8],
}

impl<'a> Properties<'a> {
    /// No properties.
    pub const EMPTY: Self = Self { bytes: &[] };

    /// The properties of a message that was kept: what [`forwardable`](Self::forwardable) gave, one after another.
    ///
    /// # Errors
    /// They are not what a PUBLISH may hold.
    pub fn of_message(bytes: &'a [u8]) -> Result<Self, Violation> {
        place::check(bytes, Place::PublishToServer).map(|_| Self { bytes })
    }

    /// The identifiers and values as they are on the wire.
    #[must_use]
    pub const fn as_bytes(self) -> &'a [u8] {
        self.bytes
    }

    /// Whether there are none.
    #[must_use]
    pub const fn is_empty(self) -> bool {
        self.bytes.is_empty()
    }

    /// All properties in their order.
    pub fn iter(self) -> impl Iterator<Item = Property<'a>> {
        Iter::new(self.bytes)
    }

    /// The raw bytes, identifier and value, of each property that a server forwards with a message: payload format,
    /// content type, response topic, correlation data, user properties; in their order.
    pub fn forwardable(self) -> impl Iterator<Item = &'a [u8]> {
        ForwardableIter::new(self.bytes)
    }
}

impl fmt::Debug for Properties<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.iter()).finish()
    }
}
