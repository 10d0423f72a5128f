//! `-F`: how a message is printed. Read once, and then printed for each message.

use jiff::Zoned;
use primer_mqtt::codec::properties::Properties;

use crate::session::Message;

mod clock;
pub(crate) mod json;
#[cfg(test)]
mod tests;

/// The widest field. More is a slip of the finger.
const WIDTH_MAX: usize = 65_535;

/// What may follow `%`.
const FIELDS: &[u8] = b"%ACDEFIJPRSUXjlmpqrtx";

/// A format, read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Format {
    pieces: Vec<Piece>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Piece {
    Text(Vec<u8>),
    Field(Field),
    /// A letter of strftime.
    Time(u8),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Field {
    what: u8,
    is_left: bool,
    pad: u8,
    width: usize,
    precision: Option<usize>,
}

/// Why a format cannot be.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[non_exhaustive]
pub(crate) enum FormatError {
    /// It ends after `%`, `@`, or what may stand between `%` and its letter.
    #[error("the format ends where a letter has to follow: %% prints a %, and @@ an @")]
    Incomplete,
    /// It ends after a backslash.
    #[error("the format ends after a backslash: \\\\ prints one")]
    IncompleteEscape,
    /// No field has this letter.
    #[error("there is no field '%{0}'; %% prints a %")]
    Field(char),
    /// No character is written so.
    #[error("there is no escape '\\{0}'; \\\\ prints a backslash")]
    Escape(char),
    /// A width or precision over 65,535.
    #[error("a width or precision is at most 65535")]
    Width,
}

/// A message whose payload is no JSON, where the format has `%J`. The rest of it is printed.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error("the payload of a message on topic {topic} is no valid JSON ({why}); %j prints any payload")]
pub(crate) struct NoJson {
    topic: String,
    why: String,
}

impl Format {
    /// Reads a format.
    ///
    /// # Errors
    /// The first thing in it that cannot be.
    pub(crate) fn parse(text: &[u8]) -> Result<Self, FormatError> {
        let mut pieces = Vec::new();
        let mut plain = Vec::new();
        let mut rest = text;
        while let [first, after @ ..] = rest {
            rest = after;
            let piece = match first {
                b'%' => Piece::Field(Field::parse(&mut rest)?),
                b'@' => match take(&mut rest).ok_or(FormatError::Incomplete)? {
                    b'@' => {
                        plain.push(b'@');
                        continue;
                    }
                    letter => Piece::Time(letter),
                },
                b'\\' => {
                    plain.push(escaped(take(&mut rest).ok_or(FormatError::IncompleteEscape)?)?);
                    continue;
                }
                other => {
                    plain.push(*other);
                    continue;
                }
            };
            if !plain.is_empty() {
                pieces.push(Piece::Text(std::mem::take(&mut plain)));
            }
            pieces.push(piece);
        }
        if !plain.is_empty() {
            pieces.push(Piece::Text(plain));
        }
        Ok(Self { pieces })
    }

    /// Appends a message, printed at a time.
    ///
    /// # Errors
    /// A field `%J` has no JSON; nothing is printed for it, and all the rest is.
    pub(crate) fn print(&self, message: &Message, now: &Zoned, pretty: bool, out: &mut Vec<u8>) -> Result<(), NoJson> {
        let mut result = Ok(());
        for piece in &self.pieces {
            match piece {
                Piece::Text(text) => out.extend_from_slice(text),
                Piece::Time(letter) => clock::print(*letter, now, out),
                Piece::Field(field) => {
                    if let Err(why) = field.print(message, now, pretty, out) {
                        result = Err(NoJson { topic: message.topic.clone(), why });
                    }
                }
            }
        }
        result
    }
}

impl Field {
    /// Reads what follows `%`.
    fn parse(rest: &mut &[u8]) -> Result<Self, FormatError> {
        let is_left = skip(rest, b'-');
        let pad = if skip(rest, b'0') { b'0' } else { b' ' };
        let width = digits(rest)?;
        let precision = if skip(rest, b'.') { Some(digits(rest)?) } else { None };
        let what = take(rest).ok_or(FormatError::Incomplete)?;
        if !FIELDS.contains(&what) {
            return Err(FormatError::Field(char::from(what)));
        }
        Ok(Self { what, is_left, pad, width, precision })
    }

    fn print(self, message: &Message, now: &Zoned, pretty: bool, out: &mut Vec<u8>) -> Result<(), String> {
        let properties = message.properties.as_properties();
        match self.what {
            b'%' => out.push(b'%'),
            b'A' => self.number(properties.topic_alias(), out),
            b'C' => self.text(properties.content_type().unwrap_or_default().as_bytes(), out),
            b'D' => out.extend_from_slice(properties.correlation_data().unwrap_or_default()),
            b'E' => self.number(properties.message_expiry(), out),
            b'F' => self.number(properties.payload_format(), out),
            b'I' => self.text(&clock::iso(now), out),
            b'J' => return json::print(message, now, json::Payload::Parsed, pretty, out),
            b'j' => return json::print(message, now, json::Payload::Text, pretty, out),
            b'l' => self.number(Some(message.payload.len()), out),
            b'm' => self.number(Some(message.mid), out),
            b'P' => user_properties(properties, out),
            b'p' => self.payload(&message.payload, None, out),
            b'q' => out.push(b'0' + message.qos as u8),
            b'R' => {
                if let Some(topic) = properties.response_topic() {
                    self.text(topic.as_bytes(), out);
                }
            }
            b'r' => out.push(b'0' + u8::from(message.retain)),
            b'S' => self.number(properties.subscription_ids().next(), out),
            b't' => self.text(message.topic.as_bytes(), out),
            b'U' => out.extend_from_slice(&clock::unix(now)),
            b'x' => self.payload(&message.payload, Some(b"0123456789abcdef"), out),
            _ => self.payload(&message.payload, Some(b"0123456789ABCDEF"), out),
        }
        Ok(())
    }

    /// A number, or room for it where there is none.
    fn number(self, number: Option<impl ToString>, out: &mut Vec<u8>) {
        let text = number.map(|number| number.to_string());
        let pad = if self.is_left && text.is_some() { b' ' } else { self.pad };
        self.aligned(text.unwrap_or_default().as_bytes(), pad, out);
    }

    /// Text, cut to the precision. Both are counted in bytes, and zeros are no padding for it.
    fn text(self, text: &[u8], out: &mut Vec<u8>) {
        let len = self.precision.unwrap_or(text.len());
        self.aligned(text.get(..len).unwrap_or(text), b' ', out);
    }

    fn aligned(self, text: &[u8], pad: u8, out: &mut Vec<u8>) {
        let padding = std::iter::repeat_n(pad, self.width.saturating_sub(text.len()));
        if self.is_left {
            out.extend_from_slice(text);
            out.extend(padding);
        } else {
            out.extend(padding);
            out.extend_from_slice(text);
        }
    }

    /// The payload, cut to the width. In hex half as many bytes as the width are shown, or of fewer their half: so does
    /// mosquitto.
    fn payload(self, payload: &[u8], hex: Option<&[u8; 16]>, out: &mut Vec<u8>) {
        let cut = if self.width == 0 { payload.len() } else { payload.len().min(self.width) };
        let Some(digits) = hex else {
            let pad = if self.is_left { b' ' } else { self.pad };
            return self.aligned(payload.get(..cut).unwrap_or(payload), pad, out);
        };
        let cut = if self.width == 0 { cut } else { cut / 2 };
        let shown = payload.iter().take(cut);
        let text: Vec<u8> = shown.flat_map(|byte| [byte >> 4, byte & 15]).map(|half| digit(digits, half)).collect();
        self.aligned(&text, if self.is_left { b' ' } else { self.pad }, out);
    }
}

fn user_properties(properties: Properties<'_>, out: &mut Vec<u8>) {
    for (at, (name, value)) in properties.user_properties().enumerate() {
        if at > 0 {
            out.push(b' ');
        }
        out.extend_from_slice(name.as_bytes());
        out.push(b':');
        out.extend_from_slice(value.as_bytes());
    }
}

fn digit(digits: &[u8; 16], half: u8) -> u8 {
    digits.get(usize::from(half)).copied().unwrap_or(b'?')
}

fn escaped(letter: u8) -> Result<u8, FormatError> {
    Ok(match letter {
        b'\\' => b'\\',
        b'0' => 0,
        b'a' => 7,
        b'e' => 27,
        b'n' => b'\n',
        b'r' => b'\r',
        b't' => b'\t',
        b'v' => 11,
        other => return Err(FormatError::Escape(char::from(other))),
    })
}

fn take(rest: &mut &[u8]) -> Option<u8> {
    let (first, after) = rest.split_first()?;
    *rest = after;
    Some(*first)
}

fn skip(rest: &mut &[u8], byte: u8) -> bool {
    let is_there = rest.first() == Some(&byte);
    if is_there {
        take(rest);
    }
    is_there
}

fn digits(rest: &mut &[u8]) -> Result<usize, FormatError> {
    let mut number = 0;
    while let Some(digit @ b'0'..=b'9') = rest.first() {
        number = number * 10 + usize::from(digit - b'0');
        if number > WIDTH_MAX {
            return Err(FormatError::Width);
        }
        take(rest);
    }
    Ok(number)
}
