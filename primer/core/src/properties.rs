//! The properties of a message, in the property encoding of MQTT 5.0 (2.2.2.2): an identifier byte and a value each, as
//! they stand in a [`crate::message::Message`]. It is the way in which headers travel also where no MQTT is near.
//!
//! ```text
//! 0x01 payload format  byte          0x09 correlation data  u16 length, bytes
//! 0x03 content type    text          0x26 user property     text, text
//! 0x08 response topic  text          text: u16 length (big-endian), UTF-8
//! ```
//! What is valid for one hop only (expiry, alias, subscription identifiers) is not in a message.

/// One property. Texts and bytes may have 65,535 bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Property<'a> {
    /// The payload is UTF-8 text.
    IsText(bool),
    /// What the payload is.
    ContentType(&'a str),
    /// Where an answer goes.
    ResponseTopic(&'a str),
    /// What the answer is told by.
    CorrelationData(&'a [u8]),
    /// A name and a value of the application's.
    User(&'a str, &'a str),
}

/// Reads encoded properties; ends at the first that it does not know.
#[derive(Debug, Clone)]
pub struct Properties<'a>(&'a [u8]);

impl<'a> Properties<'a> {
    /// Of encoded bytes.
    #[must_use]
    pub const fn of(encoded: &'a [u8]) -> Self {
        Self(encoded)
    }

    /// The first value of a user property.
    #[must_use]
    pub fn user(&self, wanted: &str) -> Option<&'a str> {
        self.clone().find_map(|property| match property {
            Property::User(name, value) if name == wanted => Some(value),
            _ => None,
        })
    }

    /// Where an answer goes.
    #[must_use]
    pub fn response_topic(&self) -> Option<&'a str> {
        self.clone().find_map(|property| match property {
            Property::ResponseTopic(topic) => Some(topic),
            _ => None,
        })
    }

    /// What the answer is told by.
    #[must_use]
    pub fn correlation_data(&self) -> Option<&'a [u8]> {
        self.clone().find_map(|property| match property {
            Property::CorrelationData(data) => Some(data),
            _ => None,
        })
    }

    fn byte(&mut self) -> Option<u8> {
        let (byte, rest) = self.0.split_first()?;
        self.0 = rest;
        Some(*byte)
    }

    fn bytes(&mut self) -> Option<&'a [u8]> {
        let (len, rest) = self.0.split_first_chunk::<2>()?;
        let (bytes, rest) = rest.split_at_checked(usize::from(u16::from_be_bytes(*len)))?;
        self.0 = rest;
        Some(bytes)
    }

    fn text(&mut self) -> Option<&'a str> {
        std::str::from_utf8(self.bytes()?).ok()
    }
}

impl<'a> Iterator for Properties<'a> {
    type Item = Property<'a>;

    fn next(&mut self) -> Option<Property<'a>> {
        Some(match self.byte()? {
            0x01 => Property::IsText(self.byte()? == 1),
            0x03 => Property::ContentType(self.text()?),
            0x08 => Property::ResponseTopic(self.text()?),
            0x09 => Property::CorrelationData(self.bytes()?),
            0x26 => Property::User(self.text()?, self.text()?),
            _ => {
                self.0 = &[];
                return None;
            }
        })
    }
}

/// Appends a property; `false` when a text or the bytes are too long, and nothing is appended.
#[must_use]
pub fn put(out: &mut Vec<u8>, property: Property<'_>) -> bool {
    let fits = |bytes: &[u8]| u16::try_from(bytes.len()).is_ok();
    let (id, parts): (u8, [&[u8]; 2]) = match property {
        Property::IsText(is_text) => {
            out.extend_from_slice(&[0x01, u8::from(is_text)]);
            return true;
        }
        Property::ContentType(text) => (0x03, [text.as_bytes(), &[]]),
        Property::ResponseTopic(text) => (0x08, [text.as_bytes(), &[]]),
        Property::CorrelationData(bytes) => (0x09, [bytes, &[]]),
        Property::User(name, value) => (0x26, [name.as_bytes(), value.as_bytes()]),
    };
    if !parts.iter().all(|part| fits(part)) {
        return false;
    }
    out.push(id);
    let count = if id == 0x26 { 2 } else { 1 };
    for part in parts.iter().take(count) {
        out.extend_from_slice(&(part.len() as u16).to_be_bytes());
        out.extend_from_slice(part);
    }
    true
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn properties_come_back_and_bad_bytes_end_them() {
        let all = [
            Property::IsText(true),
            Property::ContentType("application/json"),
            Property::ResponseTopic("answers/7"),
            Property::CorrelationData(b"\0\x01"),
            Property::User("key", "pump-7"),
            Property::User("key", "second"),
        ];
        let mut bytes = Vec::new();
        assert!(all.into_iter().all(|property| put(&mut bytes, property)));
        let read = Properties::of(&bytes);
        assert_eq!(read.clone().collect::<Vec<_>>(), all);
        assert_eq!((read.user("key"), read.user("other")), (Some("pump-7"), None));
        assert_eq!((read.response_topic(), read.correlation_data()), (Some("answers/7"), Some(&b"\0\x01"[..])));
        for len in 0..bytes.len() {
            assert!(Properties::of(&bytes[..len]).count() < all.len());
        }
        assert_eq!(Properties::of(&[0x23, 0, 1]).count(), 0, "a topic alias is not in a message");
        let long = "x".repeat(65_536);
        assert!(!put(&mut bytes, Property::User("a", &long)));
    }
}
