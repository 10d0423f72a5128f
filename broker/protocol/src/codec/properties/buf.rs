//! Builds a property block to send.
//!
//! Does not check what a packet may hold: the one who builds it knows the packet.

use super::{Properties, Property};

/// Properties to be sent, in the order of their pushing.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct PropertiesBuf {
    bytes: Vec<u8>,
}

impl PropertiesBuf {
    /// An empty block, without allocation.
    #[must_use]
    pub const fn new() -> Self {
        Self { bytes: Vec::new() }
    }

    /// Appends a property and returns true. One that MQTT cannot say (a field over 65,535 bytes, a subscription
    /// identifier over 268,435,455) is left out, and false returned.
    pub fn push(&mut self, property: &Property<'_>) -> bool {
        property.write(&mut self.bytes)
    }

    /// Empties the block and keeps its memory.
    pub fn clear(&mut self) {
        self.bytes.clear();
    }

    /// The block as a packet takes it.
    #[must_use]
    pub fn as_properties(&self) -> Properties<'_> {
        Properties { bytes: &self.bytes }
    }

    /// Whether nothing was pushed.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.bytes.is_empty()
    }

    /// The length of the block in bytes.
    #[must_use]
    pub const fn len(&self) -> usize {
        self.bytes.len()
    }
}

impl<'a> Extend<Property<'a>> for PropertiesBuf {
    fn extend<I: IntoIterator<Item = Property<'a>>>(&mut self, properties: I) {
        for property in properties {
            self.push(&property);
        }
    }
}
