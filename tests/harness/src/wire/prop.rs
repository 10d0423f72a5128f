//! Properties of MQTT 5.0: identifiers, values, and constructors named as the standard names them.
//!
//! ```
//! use primer_harness::wire::prop;
//! assert_eq!(prop::encode(&[prop::receive_maximum(7)]), [0x21, 0x00, 0x07]);
//! ```

use super::bytes::{Reader, binary, string, varint};

/// One property as it stands in a packet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Prop {
    /// The identifier, 0x01 to 0x2a; a constant of this module.
    pub id: u8,
    /// The value, in the type that the identifier calls for, or another where a test wants damage.
    pub value: Value,
}

/// The value of a property.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Value {
    /// One byte.
    Byte(u8),
    /// Two bytes.
    U16(u16),
    /// Four bytes.
    U32(u32),
    /// A variable byte integer.
    Varint(u32),
    /// A string.
    Str(String),
    /// Binary data.
    Bin(Vec<u8>),
    /// Two strings.
    Pair(String, String),
}

/// The bytes of these properties, without the length before them.
#[must_use]
pub fn encode(props: &[Prop]) -> Vec<u8> {
    let mut out = Vec::new();
    for prop in props {
        out.push(prop.id);
        match &prop.value {
            Value::Byte(value) => out.push(*value),
            Value::U16(value) => out.extend(value.to_be_bytes()),
            Value::U32(value) => out.extend(value.to_be_bytes()),
            Value::Varint(value) => out.extend(varint(*value)),
            Value::Str(value) => out.extend(string(value)),
            Value::Bin(value) => out.extend(binary(value)),
            Value::Pair(key, value) => {
                out.extend(string(key));
                out.extend(string(value));
            }
        }
    }
    out
}

/// Bytes of properties with their length before them, as a packet carries them.
#[must_use]
pub fn with_length(raw: &[u8]) -> Vec<u8> {
    let length = u32::try_from(raw.len()).expect("properties fit 32 bits");
    let mut out = varint(length);
    out.extend_from_slice(raw);
    out
}

/// Reads the length of the properties and the properties.
pub(super) fn read(reader: &mut Reader<'_>) -> Result<Vec<Prop>, String> {
    let length = usize::try_from(reader.varint()?).map_err(|error| error.to_string())?;
    let mut inner = Reader::new(reader.take(length)?);
    let mut props = Vec::new();
    while !inner.is_empty() {
        let id = inner.u8()?;
        let value = read_value(id, &mut inner).map_err(|error| format!("property {id:#04x}: {error}"))?;
        props.push(Prop { id, value });
    }
    Ok(props)
}

fn read_value(id: u8, reader: &mut Reader<'_>) -> Result<Value, String> {
    Ok(match id {
        PAYLOAD_FORMAT_INDICATOR
        | REQUEST_PROBLEM_INFORMATION
        | REQUEST_RESPONSE_INFORMATION
        | MAXIMUM_QOS
        | RETAIN_AVAILABLE
        | WILDCARD_SUBSCRIPTION_AVAILABLE
        | SUBSCRIPTION_IDENTIFIER_AVAILABLE
        | SHARED_SUBSCRIPTION_AVAILABLE => Value::Byte(reader.u8()?),
        SERVER_KEEP_ALIVE | RECEIVE_MAXIMUM | TOPIC_ALIAS_MAXIMUM | TOPIC_ALIAS => Value::U16(reader.u16()?),
        MESSAGE_EXPIRY_INTERVAL | SESSION_EXPIRY_INTERVAL | WILL_DELAY_INTERVAL | MAXIMUM_PACKET_SIZE => {
            Value::U32(reader.u32()?)
        }
        SUBSCRIPTION_IDENTIFIER => Value::Varint(reader.varint()?),
        CONTENT_TYPE
        | RESPONSE_TOPIC
        | ASSIGNED_CLIENT_IDENTIFIER
        | AUTHENTICATION_METHOD
        | RESPONSE_INFORMATION
        | SERVER_REFERENCE
        | REASON_STRING => Value::Str(reader.string()?),
        CORRELATION_DATA | AUTHENTICATION_DATA => Value::Bin(reader.binary()?.to_vec()),
        USER_PROPERTY => Value::Pair(reader.string()?, reader.string()?),
        _ => return Err("no such property".to_owned()),
    })
}

/// Makes the identifier and the constructor of each property.
macro_rules! properties {
    ($($id:ident = $number:literal, $make:ident($($arg:ident: $type:ty),+) => $value:expr;)+) => {
        $(
            #[doc = concat!("The identifier of the property made by [`", stringify!($make), "`].")]
            pub const $id: u8 = $number;

            #[doc = concat!("The property ", stringify!($id), ", ", stringify!($number), ".")]
            #[must_use]
            pub fn $make($($arg: $type),+) -> Prop {
                Prop { id: $id, value: $value }
            }
        )+
    };
}

properties! {
    PAYLOAD_FORMAT_INDICATOR = 0x01, payload_format_indicator(value: u8) => Value::Byte(value);
    MESSAGE_EXPIRY_INTERVAL = 0x02, message_expiry_interval(seconds: u32) => Value::U32(seconds);
    CONTENT_TYPE = 0x03, content_type(value: &str) => Value::Str(value.to_owned());
    RESPONSE_TOPIC = 0x08, response_topic(value: &str) => Value::Str(value.to_owned());
    CORRELATION_DATA = 0x09, correlation_data(value: &[u8]) => Value::Bin(value.to_vec());
    SUBSCRIPTION_IDENTIFIER = 0x0b, subscription_identifier(value: u32) => Value::Varint(value);
    SESSION_EXPIRY_INTERVAL = 0x11, session_expiry_interval(seconds: u32) => Value::U32(seconds);
    ASSIGNED_CLIENT_IDENTIFIER = 0x12, assigned_client_identifier(value: &str) => Value::Str(value.to_owned());
    SERVER_KEEP_ALIVE = 0x13, server_keep_alive(seconds: u16) => Value::U16(seconds);
    AUTHENTICATION_METHOD = 0x15, authentication_method(value: &str) => Value::Str(value.to_owned());
    AUTHENTICATION_DATA = 0x16, authentication_data(value: &[u8]) => Value::Bin(value.to_vec());
    REQUEST_PROBLEM_INFORMATION = 0x17, request_problem_information(value: u8) => Value::Byte(value);
    WILL_DELAY_INTERVAL = 0x18, will_delay_interval(seconds: u32) => Value::U32(seconds);
    REQUEST_RESPONSE_INFORMATION = 0x19, request_response_information(value: u8) => Value::Byte(value);
    RESPONSE_INFORMATION = 0x1a, response_information(value: &str) => Value::Str(value.to_owned());
    SERVER_REFERENCE = 0x1c, server_reference(value: &str) => Value::Str(value.to_owned());
    REASON_STRING = 0x1f, reason_string(value: &str) => Value::Str(value.to_owned());
    RECEIVE_MAXIMUM = 0x21, receive_maximum(value: u16) => Value::U16(value);
    TOPIC_ALIAS_MAXIMUM = 0x22, topic_alias_maximum(value: u16) => Value::U16(value);
    TOPIC_ALIAS = 0x23, topic_alias(value: u16) => Value::U16(value);
    MAXIMUM_QOS = 0x24, maximum_qos(value: u8) => Value::Byte(value);
    RETAIN_AVAILABLE = 0x25, retain_available(value: u8) => Value::Byte(value);
    USER_PROPERTY = 0x26, user_property(key: &str, value: &str) => Value::Pair(key.to_owned(), value.to_owned());
    MAXIMUM_PACKET_SIZE = 0x27, maximum_packet_size(bytes: u32) => Value::U32(bytes);
    WILDCARD_SUBSCRIPTION_AVAILABLE = 0x28, wildcard_subscription_available(value: u8) => Value::Byte(value);
    SUBSCRIPTION_IDENTIFIER_AVAILABLE = 0x29, subscription_identifier_available(value: u8) => Value::Byte(value);
    SHARED_SUBSCRIPTION_AVAILABLE = 0x2a, shared_subscription_available(value: u8) => Value::Byte(value);
}

/// The first property with this identifier.
#[must_use]
pub fn find(props: &[Prop], id: u8) -> Option<&Value> {
    props.iter().find(|prop| prop.id == id).map(|prop| &prop.value)
}

/// The number in the first property with this identifier, of whatever width.
#[must_use]
pub fn number(props: &[Prop], id: u8) -> Option<u32> {
    match find(props, id)? {
        Value::Byte(value) => Some(u32::from(*value)),
        Value::U16(value) => Some(u32::from(*value)),
        Value::U32(value) | Value::Varint(value) => Some(*value),
        Value::Str(_) | Value::Bin(_) | Value::Pair(..) => None,
    }
}

/// The string in the first property with this identifier.
#[must_use]
pub fn text(props: &[Prop], id: u8) -> Option<&str> {
    match find(props, id)? {
        Value::Str(value) => Some(value),
        _ => None,
    }
}

/// The user properties, in their order.
#[must_use]
pub fn user_properties(props: &[Prop]) -> Vec<(&str, &str)> {
    props
        .iter()
        .filter_map(|prop| match &prop.value {
            Value::Pair(key, value) => Some((key.as_str(), value.as_str())),
            _ => None,
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_of_value_comes_back() {
        let props = vec![
            payload_format_indicator(1),
            receive_maximum(2),
            message_expiry_interval(3),
            subscription_identifier(200),
            content_type("text/é"),
            correlation_data(&[0, 255]),
            user_property("k", "v"),
            user_property("k", ""),
        ];
        let bytes = with_length(&encode(&props));
        assert_eq!(read(&mut Reader::new(&bytes)), Ok(props));
    }

    #[test]
    fn an_unknown_property_and_a_cut_one_are_errors() {
        for bytes in [&[2, 0x7f, 0][..], &[2, 0x21, 0], &[9, 0x21, 0, 1]] {
            assert!(read(&mut Reader::new(bytes)).is_err(), "{bytes:02x?}");
        }
    }

    #[test]
    fn a_property_is_found_by_its_identifier() {
        let props = [server_keep_alive(60), reason_string("why"), user_property("a", "b")];
        assert_eq!(number(&props, SERVER_KEEP_ALIVE), Some(60));
        assert_eq!(text(&props, REASON_STRING), Some("why"));
        assert_eq!(number(&props, RECEIVE_MAXIMUM), None);
        assert_eq!(user_properties(&props), [("a", "b")]);
    }
}
