//! A message as JSON, in the order and the spelling of mosquitto_sub: numbers as C's `%g` writes them, tabs and line
//! ends where `--pretty` asks for them.

use std::fmt;

use jiff::Zoned;
use primer_mqtt::codec::{packet::QoS, properties::Property};
use serde::de::{Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};

use super::clock;
use crate::session::Message;

/// What becomes of the payload.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Payload {
    /// A string, up to the first byte 0.
    Text,
    /// The JSON that it is.
    Parsed,
}

/// A JSON value. Objects keep their order and their repeated names; text may be no UTF-8.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Json {
    Null,
    Bool(bool),
    Number(f64),
    Text(Vec<u8>),
    List(Vec<Json>),
    Object(Vec<(Vec<u8>, Json)>),
}

/// Appends a message.
///
/// # Errors
/// The payload is no JSON, and should be; nothing was appended.
pub(super) fn print(
    message: &Message,
    now: &Zoned,
    payload: Payload,
    pretty: bool,
    out: &mut Vec<u8>,
) -> Result<(), String> {
    let bytes = &message.payload;
    let payload = match payload {
        _ if bytes.is_empty() => Json::Null,
        Payload::Text => text_to_nul(bytes),
        Payload::Parsed => serde_json::from_slice(bytes).map_err(|error| error.to_string())?,
    };
    let mut members = vec![
        member("tst", text(&clock::iso_micros(now))),
        member("topic", text(&message.topic)),
        member("qos", Json::Number(f64::from(message.qos as u8))),
        member("retain", Json::Number(f64::from(u8::from(message.retain)))),
        member("payloadlen", Json::Number(f64::from(u32::try_from(bytes.len()).unwrap_or(u32::MAX)))),
    ];
    if message.qos != QoS::AtMostOnce {
        members.push(member("mid", Json::Number(f64::from(message.mid))));
    }
    if !message.properties.is_empty() {
        members.push(member("properties", properties(message)));
    }
    members.push(member("payload", payload));
    Json::Object(members).print(pretty, 0, out);
    Ok(())
}

fn properties(message: &Message) -> Json {
    let mut members: Vec<(Vec<u8>, Json)> = Vec::new();
    for property in message.properties.as_properties().iter() {
        let one = match property {
            Property::PayloadFormat(format) => member("payload-format-indicator", Json::Number(f64::from(format))),
            Property::MessageExpiry(seconds) => member("message-expiry-interval", Json::Number(f64::from(seconds))),
            Property::ContentType(value) => member("content-type", text(value)),
            Property::ResponseTopic(value) => member("response-topic", text(value)),
            Property::CorrelationData(value) => member("correlation-data", text_to_nul(value)),
            Property::SubscriptionId(id) => member("subscription-identifier", Json::Number(f64::from(id))),
            Property::TopicAlias(alias) => member("topic-alias", Json::Number(f64::from(alias))),
            Property::UserProperty(name, value) => {
                let pair = member(name, text(value));
                let known = members.iter_mut().find(|(name, _)| name == b"user-properties");
                if let Some((_, Json::Object(pairs))) = known {
                    pairs.push(pair);
                    continue;
                }
                member("user-properties", Json::Object(vec![pair]))
            }
            _ => continue,
        };
        members.push(one);
    }
    Json::Object(members)
}

fn member(name: &str, value: Json) -> (Vec<u8>, Json) {
    (name.as_bytes().to_vec(), value)
}

fn text(text: &str) -> Json {
    Json::Text(text.as_bytes().to_vec())
}

/// C's strings end at a byte 0, and so do those that mosquitto prints.
fn text_to_nul(bytes: &[u8]) -> Json {
    Json::Text(bytes.split(|byte| *byte == 0).next().unwrap_or_default().to_vec())
}

impl Json {
    fn print(&self, pretty: bool, depth: usize, out: &mut Vec<u8>) {
        match self {
            Self::Null => out.extend_from_slice(b"null"),
            Self::Bool(value) => out.extend_from_slice(value.to_string().as_bytes()),
            Self::Number(number) => out.extend_from_slice(shortest(*number).as_bytes()),
            Self::Text(text) => print_text(text, out),
            Self::List(list) => {
                out.push(b'[');
                for (at, one) in list.iter().enumerate() {
                    if at > 0 {
                        out.extend_from_slice(if pretty { b", " } else { b"," });
                    }
                    one.print(pretty, depth + 1, out);
                }
                out.push(b']');
            }
            Self::Object(members) => print_object(members, pretty, depth + 1, out),
        }
    }
}

fn print_object(members: &[(Vec<u8>, Json)], pretty: bool, depth: usize, out: &mut Vec<u8>) {
    let tabs = |depth: usize, out: &mut Vec<u8>| out.extend(std::iter::repeat_n(b'\t', if pretty { depth } else { 0 }));
    let line_end: &[u8] = if pretty { b"\n" } else { b"" };
    out.push(b'{');
    out.extend_from_slice(line_end);
    for (at, (name, value)) in members.iter().enumerate() {
        tabs(depth, out);
        print_text(name, out);
        out.extend_from_slice(if pretty { b":\t" } else { b":" });
        value.print(pretty, depth, out);
        if at + 1 < members.len() {
            out.push(b',');
        }
        out.extend_from_slice(line_end);
    }
    tabs(depth - 1, out);
    out.push(b'}');
}

fn print_text(text: &[u8], out: &mut Vec<u8>) {
    out.push(b'"');
    for byte in text {
        match byte {
            b'"' | b'\\' => out.extend_from_slice(&[b'\\', *byte]),
            8 => out.extend_from_slice(b"\\b"),
            12 => out.extend_from_slice(b"\\f"),
            b'\n' => out.extend_from_slice(b"\\n"),
            b'\r' => out.extend_from_slice(b"\\r"),
            b'\t' => out.extend_from_slice(b"\\t"),
            0..32 => out.extend_from_slice(format!("\\u{byte:04x}").as_bytes()),
            _ => out.push(*byte),
        }
    }
    out.push(b'"');
}

/// With 15 digits where they are enough to have the same number again, else with 17.
fn shortest(number: f64) -> String {
    if !number.is_finite() {
        return "null".to_owned();
    }
    let short = general(number, 15);
    let is_same = short.parse::<f64>().is_ok_and(|again| {
        let larger = again.abs().max(number.abs());
        (again - number).abs() <= larger * f64::EPSILON
    });
    if is_same { short } else { general(number, 17) }
}

/// C's `%.{digits}g`.
fn general(number: f64, digits: usize) -> String {
    let scientific = format!("{:.*e}", digits - 1, number);
    let Some((mantissa, exponent)) = scientific.split_once('e') else { return scientific };
    let exponent: i32 = exponent.parse().unwrap_or(0);
    let trim = |text: &str| {
        if text.contains('.') { text.trim_end_matches('0').trim_end_matches('.').to_owned() } else { text.to_owned() }
    };
    match usize::try_from(exponent) {
        Ok(exponent) if exponent < digits => trim(&format!("{:.*}", digits - 1 - exponent, number)),
        Err(_) if exponent >= -4 => {
            let decimals = digits - 1 + usize::try_from(exponent.unsigned_abs()).unwrap_or(0);
            trim(&format!("{number:.decimals$}"))
        }
        _ => {
            let sign = if exponent < 0 { '-' } else { '+' };
            format!("{}e{sign}{:02}", trim(mantissa), exponent.unsigned_abs())
        }
    }
}

impl<'de> Deserialize<'de> for Json {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(Reader)
    }
}

/// Makes a [`Json`] of what a parser finds.
struct Reader;

impl<'de> Visitor<'de> for Reader {
    type Value = Json;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("a JSON value")
    }

    fn visit_unit<E>(self) -> Result<Json, E> {
        Ok(Json::Null)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Json, E> {
        Ok(Json::Bool(value))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Json, E> {
        // JSON's numbers are those of C's double here, also where digits are lost.
        Ok(Json::Number(value as f64))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Json, E> {
        Ok(Json::Number(value as f64))
    }

    fn visit_f64<E>(self, value: f64) -> Result<Json, E> {
        Ok(Json::Number(value))
    }

    fn visit_str<E>(self, value: &str) -> Result<Json, E> {
        Ok(text(value))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut access: A) -> Result<Json, A::Error> {
        let mut list = Vec::new();
        while let Some(one) = access.next_element()? {
            list.push(one);
        }
        Ok(Json::List(list))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut access: A) -> Result<Json, A::Error> {
        let mut members = Vec::new();
        while let Some((name, value)) = access.next_entry::<String, Json>()? {
            members.push((name.into_bytes(), value));
        }
        Ok(Json::Object(members))
    }
}
