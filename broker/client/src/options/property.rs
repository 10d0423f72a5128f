//! `-D PACKET PROPERTY VALUE`: properties of MQTT 5.0 by their names, as in mosquitto_pub.

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStrExt;

use primer_mqtt::codec::properties::{PropertiesBuf, Property};

use super::Options;

/// The packets by name, and those of their properties that can be given.
const PACKETS: &[(&str, &[&str])] = &[
    (
        "connect",
        &[
            "authentication-data",
            "authentication-method",
            "maximum-packet-size",
            "receive-maximum",
            "request-problem-information",
            "request-response-information",
            "session-expiry-interval",
            "topic-alias-maximum",
            USER,
        ],
    ),
    (
        "publish",
        &[
            "content-type",
            "correlation-data",
            "message-expiry-interval",
            "payload-format-indicator",
            "response-topic",
            "topic-alias",
            USER,
        ],
    ),
    ("subscribe", &["subscription-identifier", USER]),
    ("unsubscribe", &[USER]),
    ("disconnect", &["reason-string", "session-expiry-interval", USER]),
    (
        "will",
        &[
            "content-type",
            "correlation-data",
            "message-expiry-interval",
            "payload-format-indicator",
            "response-topic",
            "will-delay-interval",
            USER,
        ],
    ),
];

/// The one that has a name and a value.
pub(super) const USER: &str = "user-property";

/// Adds a property; `values` are the packet, the property, and one value or two.
///
/// # Errors
/// What is wrong with it.
pub(super) fn add(options: &mut Options, values: &[OsString]) -> Result<(), String> {
    let [packet, name, values @ ..] = values else {
        return Err("it takes a packet, a property and a value".to_owned());
    };
    let (packet, name) = (packet.to_string_lossy(), name.to_string_lossy());
    let Some((_, names)) = PACKETS.iter().find(|(known, _)| *known == packet) else {
        let known: Vec<&str> = PACKETS.iter().map(|(known, _)| *known).collect();
        return Err(format!("{packet:?} is no packet that takes properties: it is one of {}", known.join(", ")));
    };
    if !names.contains(&&*name) {
        return Err(format!("{packet} has no property {name:?} to be given: it has {}", names.join(", ")));
    }
    let into = match &*packet {
        "connect" => &mut options.connect_properties,
        "publish" => &mut options.publish_properties,
        "subscribe" => &mut options.subscribe_properties,
        "unsubscribe" => &mut options.unsubscribe_properties,
        "disconnect" => &mut options.disconnect_properties,
        _ => &mut options.will_properties,
    };
    let [first, rest @ ..] = values else { return Err(format!("{name} has no value")) };
    push(into, &name, first, rest.first())
}

fn push(into: &mut PropertiesBuf, name: &str, value: &OsStr, second: Option<&OsString>) -> Result<(), String> {
    let text = || value.to_str().ok_or_else(|| format!("the value of {name} is not UTF-8"));
    let number = |max: u32| {
        let range = || format!("{name} is a number from 0 to {max}, not {value:?}");
        text()?.parse().ok().filter(|number| *number <= max).ok_or_else(range)
    };
    let flag = || Ok::<_, String>(number(1)? == 1);
    let two = || Ok::<_, String>(u16::try_from(number(u16::MAX.into())?).unwrap_or(u16::MAX));
    let property = match name {
        USER => {
            let second = second.ok_or_else(|| format!("{USER} takes a name and a value"))?;
            Property::UserProperty(text()?, second.to_str().ok_or_else(|| format!("{USER} is not UTF-8"))?)
        }
        "payload-format-indicator" => Property::PayloadFormat(u8::from(flag()?)),
        "message-expiry-interval" => Property::MessageExpiry(number(u32::MAX)?),
        "content-type" => Property::ContentType(text()?),
        "response-topic" => Property::ResponseTopic(text()?),
        "correlation-data" => Property::CorrelationData(value.as_bytes()),
        "topic-alias" => Property::TopicAlias(two()?),
        "subscription-identifier" => Property::SubscriptionId(number(primer_mqtt::limits::VARINT_MAX)?),
        "session-expiry-interval" => Property::SessionExpiry(number(u32::MAX)?),
        "authentication-method" => Property::AuthenticationMethod(text()?),
        "authentication-data" => Property::AuthenticationData(value.as_bytes()),
        "request-problem-information" => Property::RequestProblemInformation(flag()?),
        "request-response-information" => Property::RequestResponseInformation(flag()?),
        "receive-maximum" => Property::ReceiveMaximum(two()?),
        "topic-alias-maximum" => Property::TopicAliasMaximum(two()?),
        "maximum-packet-size" => Property::MaximumPacketSize(number(u32::MAX)?),
        "will-delay-interval" => Property::WillDelay(number(u32::MAX)?),
        _ => Property::ReasonString(text()?),
    };
    if into.push(&property) { Ok(()) } else { Err(format!("the value of {name} is longer than 65,535 bytes")) }
}
