//! The grammar of the messages (RFC 5802, 7): attributes in a fixed order, names with escapes, base64, numbers.
//!
//! Only text is read here; what it means to an exchange is decided in the two roles.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use super::{MESSAGE_BYTES_MAX, ScramError};

/// A client's first message.
#[derive(Debug)]
pub(super) struct ClientFirst<'m> {
    /// With its last comma: what the channel binding of the final message repeats.
    pub(super) header: &'m str,
    pub(super) bare: &'m str,
    pub(super) authzid: Option<String>,
    pub(super) username: String,
    pub(super) nonce: &'m str,
}

impl<'m> ClientFirst<'m> {
    pub(super) fn read(input: &'m [u8]) -> Result<Self, ScramError> {
        let message = text(input)?;
        let (flag, rest) = message.split_once(',').ok_or(ScramError::Malformed)?;
        match flag {
            "n" | "y" => {}
            _ if flag.starts_with("p=") => return Err(ScramError::ChannelBinding),
            _ => return Err(ScramError::Malformed),
        }
        let (authzid, bare) = rest.split_once(',').ok_or(ScramError::Malformed)?;
        let header = message.strip_suffix(bare).ok_or(ScramError::Malformed)?;
        let authzid = match authzid.strip_prefix("a=") {
            Some(name) => Some(unescape(name)?),
            None if authzid.is_empty() => None,
            None => return Err(ScramError::Malformed),
        };
        let mut attributes = Attributes::of(bare);
        let username = unescape(attributes.value("n=")?)?;
        let nonce = check_nonce(attributes.value("r=")?)?;
        attributes.skip_optional()?;
        Ok(Self { header, bare, authzid, username, nonce })
    }
}

/// A server's first message.
#[derive(Debug)]
pub(super) struct ServerFirst<'m> {
    pub(super) text: &'m str,
    pub(super) nonce: &'m str,
    pub(super) salt: Vec<u8>,
    pub(super) iterations: u32,
}

impl<'m> ServerFirst<'m> {
    pub(super) fn read(input: &'m [u8]) -> Result<Self, ScramError> {
        let text = text(input)?;
        let mut attributes = Attributes::of(text);
        let nonce = check_nonce(attributes.value("r=")?)?;
        let salt = decode(attributes.value("s=")?)?;
        let iterations = number(attributes.value("i=")?)?;
        attributes.skip_optional()?;
        Ok(Self { text, nonce, salt, iterations })
    }
}

/// A client's final message.
#[derive(Debug)]
pub(super) struct ClientFinal<'m> {
    pub(super) without_proof: &'m str,
    pub(super) binding: Vec<u8>,
    pub(super) nonce: &'m str,
    pub(super) proof: Vec<u8>,
}

impl<'m> ClientFinal<'m> {
    pub(super) fn read(input: &'m [u8]) -> Result<Self, ScramError> {
        let (without_proof, proof) = text(input)?.rsplit_once(",p=").ok_or(ScramError::Malformed)?;
        let mut attributes = Attributes::of(without_proof);
        let binding = decode(attributes.value("c=")?)?;
        let nonce = check_nonce(attributes.value("r=")?)?;
        attributes.skip_optional()?;
        Ok(Self { without_proof, binding, nonce, proof: decode(proof)? })
    }
}

/// The signature in a server's final message.
pub(super) fn read_server_final(input: &[u8]) -> Result<Vec<u8>, ScramError> {
    let message = text(input)?;
    if message.starts_with("e=") {
        return Err(ScramError::Refused);
    }
    let mut attributes = Attributes::of(message);
    let signature = decode(attributes.value("v=")?)?;
    attributes.skip_optional()?;
    Ok(signature)
}

/// Base64 as it stands in messages: with padding, nothing between.
pub(super) fn encode(bytes: &[u8]) -> String {
    STANDARD.encode(bytes)
}

/// A name as it stands in messages.
pub(super) fn escape(name: &str) -> String {
    name.replace('=', "=3D").replace(',', "=2C")
}

/// The attributes of a message, one after the other.
struct Attributes<'m>(core::str::Split<'m, char>);

impl<'m> Attributes<'m> {
    fn of(message: &'m str) -> Self {
        Self(message.split(','))
    }

    /// The value of the next attribute, which must have this `name`, given with its `=`.
    fn value(&mut self, name: &str) -> Result<&'m str, ScramError> {
        let attribute = self.0.next().ok_or(ScramError::Malformed)?;
        match attribute.strip_prefix(name) {
            Some(value) => Ok(value),
            None if attribute.starts_with("m=") => Err(ScramError::Extension),
            None => Err(ScramError::Malformed),
        }
    }

    /// Passes over extensions that may be ignored; they are checked for their form only.
    fn skip_optional(&mut self) -> Result<(), ScramError> {
        for attribute in self.0.by_ref() {
            let (name, value) = attribute.split_once('=').ok_or(ScramError::Malformed)?;
            if name == "m" {
                return Err(ScramError::Extension);
            }
            let is_letter = name.len() == 1 && name.chars().all(|letter| letter.is_ascii_alphabetic());
            if !is_letter || value.is_empty() {
                return Err(ScramError::Malformed);
            }
        }
        Ok(())
    }
}

fn text(input: &[u8]) -> Result<&str, ScramError> {
    if input.len() > MESSAGE_BYTES_MAX {
        return Err(ScramError::TooLong);
    }
    if memchr::memchr(0, input).is_some() {
        return Err(ScramError::Malformed);
    }
    str::from_utf8(input).map_err(|_| ScramError::Malformed)
}

/// Undoes the escapes of a name. Any other `=` is an error (RFC 5802, 5.1), as is no name at all.
fn unescape(escaped: &str) -> Result<String, ScramError> {
    let mut parts = escaped.split('=');
    let mut name = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let (letter, rest) = match (part.strip_prefix("2C"), part.strip_prefix("3D")) {
            (Some(rest), _) => (',', rest),
            (_, Some(rest)) => ('=', rest),
            (None, None) => return Err(ScramError::Malformed),
        };
        name.push(letter);
        name.push_str(rest);
    }
    if name.is_empty() { Err(ScramError::Malformed) } else { Ok(name) }
}

/// Printable ASCII without the comma, at least one.
fn check_nonce(nonce: &str) -> Result<&str, ScramError> {
    let printable = nonce.bytes().all(|byte| byte.is_ascii_graphic());
    if nonce.is_empty() || !printable { Err(ScramError::Malformed) } else { Ok(nonce) }
}

fn decode(text: &str) -> Result<Vec<u8>, ScramError> {
    STANDARD.decode(text).map_err(|_| ScramError::Malformed)
}

/// A positive number without sign and leading zeros; one that 32 bits do not hold is too many iterations.
fn number(digits: &str) -> Result<u32, ScramError> {
    if digits.is_empty() || digits.starts_with('0') || !digits.bytes().all(|digit| digit.is_ascii_digit()) {
        return Err(ScramError::Malformed);
    }
    digits.parse().map_err(|_| ScramError::Iterations)
}
