//! The text of one level of a filter, compact.
//!
//! Only holds and gives it: what a level means is known to the nodes.

/// The longest level kept in its node.
const SHORT_BYTES: usize = 22;

/// The bytes of a level. Most levels are short, and are compared without leaving the node.
#[derive(Debug)]
pub(super) enum Level {
    Short(u8, [u8; SHORT_BYTES]),
    Long(Box<[u8]>),
}

impl Level {
    pub(super) fn new(text: &str) -> Self {
        let mut bytes = [0; SHORT_BYTES];
        match (u8::try_from(text.len()), bytes.get_mut(..text.len())) {
            (Ok(length), Some(room)) => {
                room.copy_from_slice(text.as_bytes());
                Self::Short(length, bytes)
            }
            _ => Self::Long(text.as_bytes().into()),
        }
    }

    pub(super) fn as_bytes(&self) -> &[u8] {
        match self {
            Self::Short(length, bytes) => &bytes[..usize::from(*length)],
            Self::Long(bytes) => bytes,
        }
    }
}
