//! Which properties may stand where (MQTT 5.0, table 2-4 and the properties section of each packet), and the check
//! of a block against that.
//!
//! The table goes by packet and by sender, where the specification tells them apart.

use super::{
    Properties,
    property::{Property, id},
};
use crate::{
    Version, Violation,
    codec::{Role, clause, reader::Reader},
};

/// A place for properties.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in super::super) enum Place {
    Connect,
    Will,
    ConnAck,
    PublishToServer,
    PublishToClient,
    /// PUBACK, PUBREC, PUBREL, PUBCOMP, SUBACK and UNSUBACK.
    Answer,
    Subscribe,
    Unsubscribe,
    DisconnectToServer,
    DisconnectToClient,
    Auth,
}

impl Place {
    /// PUBLISH as `role` receives it.
    #[inline]
    pub(in super::super) const fn publish_to(role: Role) -> Self {
        match role {
            Role::Server => Self::PublishToServer,
            Role::Client => Self::PublishToClient,
        }
    }

    /// DISCONNECT as `role` receives it.
    pub(in super::super) const fn disconnect_to(role: Role) -> Self {
        match role {
            Role::Server => Self::DisconnectToServer,
            Role::Client => Self::DisconnectToClient,
        }
    }

    #[inline]
    const fn allowed(self) -> Set {
        match self {
            Self::Connect => CONNECT,
            Self::Will => WILL,
            Self::ConnAck => CONNACK,
            Self::PublishToServer => PUBLISH,
            Self::PublishToClient => PUBLISH.with(id::SUBSCRIPTION_ID),
            Self::Answer => ANSWER,
            Self::Subscribe => SUBSCRIBE,
            Self::Unsubscribe => USER,
            Self::DisconnectToServer => DISCONNECT.with(id::SESSION_EXPIRY),
            Self::DisconnectToClient => DISCONNECT,
            Self::Auth => AUTH,
        }
    }

    #[inline]
    const fn repeatable(self) -> Set {
        match self {
            Self::PublishToClient => USER.with(id::SUBSCRIPTION_ID),
            _ => USER,
        }
    }
}

/// A set of property identifiers; all are below 64.
#[derive(Clone, Copy)]
struct Set(u64);

impl Set {
    const fn of(ids: &[u8]) -> Self {
        let mut set = Self(0);
        let mut rest = ids;
        while let [id, tail @ ..] = rest {
            set = set.with(*id);
            rest = tail;
        }
        set
    }

    const fn with(self, id: u8) -> Self {
        Self(self.0 | bit(id))
    }

    #[inline]
    const fn has(self, id: u8) -> bool {
        self.0 & bit(id) != 0
    }
}

#[inline]
const fn bit(id: u8) -> u64 {
    if id < 64 { 1 << id } else { 0 }
}

const USER: Set = Set::of(&[id::USER_PROPERTY]);
const ANSWER: Set = USER.with(id::REASON_STRING);
const SUBSCRIBE: Set = USER.with(id::SUBSCRIPTION_ID);
const DISCONNECT: Set = ANSWER.with(id::SERVER_REFERENCE);
const AUTH: Set = ANSWER.with(id::AUTHENTICATION_METHOD).with(id::AUTHENTICATION_DATA);
const CONNECT: Set = Set::of(&[
    id::SESSION_EXPIRY,
    id::AUTHENTICATION_METHOD,
    id::AUTHENTICATION_DATA,
    id::REQUEST_PROBLEM_INFORMATION,
    id::REQUEST_RESPONSE_INFORMATION,
    id::RECEIVE_MAXIMUM,
    id::TOPIC_ALIAS_MAXIMUM,
    id::USER_PROPERTY,
    id::MAXIMUM_PACKET_SIZE,
]);
const FORWARDED: Set =
    Set::of(&[id::PAYLOAD_FORMAT, id::CONTENT_TYPE, id::RESPONSE_TOPIC, id::CORRELATION_DATA, id::USER_PROPERTY]);
const WILL: Set = FORWARDED.with(id::MESSAGE_EXPIRY).with(id::WILL_DELAY);
const PUBLISH: Set = FORWARDED.with(id::MESSAGE_EXPIRY).with(id::TOPIC_ALIAS);
const CONNACK: Set = Set::of(&[
    id::SESSION_EXPIRY,
    id::ASSIGNED_CLIENT_ID,
    id::SERVER_KEEP_ALIVE,
    id::AUTHENTICATION_METHOD,
    id::AUTHENTICATION_DATA,
    id::RESPONSE_INFORMATION,
    id::SERVER_REFERENCE,
    id::REASON_STRING,
    id::RECEIVE_MAXIMUM,
    id::TOPIC_ALIAS_MAXIMUM,
    id::MAXIMUM_QOS,
    id::RETAIN_AVAILABLE,
    id::USER_PROPERTY,
    id::MAXIMUM_PACKET_SIZE,
    id::WILDCARD_SUBSCRIPTION_AVAILABLE,
    id::SUBSCRIPTION_IDS_AVAILABLE,
    id::SHARED_SUBSCRIPTION_AVAILABLE,
]);

/// What the pass over a block has found on its way.
#[derive(Debug, Clone, Copy)]
pub(in super::super) struct Found {
    pub(in super::super) topic_alias: Option<u16>,
    pub(in super::super) expiry: Option<u32>,
    pub(in super::super) subscription_id: Option<u32>,
    pub(in super::super) has_auth_method: bool,
    pub(in super::super) has_auth_data: bool,
    /// Nothing but properties that a server forwards as they are.
    pub(in super::super) forwards_unchanged: bool,
}

impl Found {
    const NOTHING: Self = Self {
        topic_alias: None,
        expiry: None,
        subscription_id: None,
        has_auth_method: false,
        has_auth_data: false,
        forwards_unchanged: true,
    };
}

/// Reads the length and the properties of a packet, and checks them. Before MQTT 5.0 there are none.
#[inline]
pub(in super::super) fn read<'a>(reader: &mut Reader<'a>, place: Place) -> Result<(Properties<'a>, Found), Violation> {
    if !reader.version().is_v5() {
        return Ok((Properties::EMPTY, Found::NOTHING));
    }
    let len = reader.varint()?;
    if len == 0 {
        return Ok((Properties::EMPTY, Found::NOTHING));
    }
    let too_long = || clause::LENGTH.malformed(Version::V5, "the property length does not fit");
    let bytes = usize::try_from(len).ok().and_then(|len| reader.take(len).ok()).ok_or_else(too_long)?;
    let found = check(bytes, place)?;
    Ok((Properties { bytes }, found))
}

pub(super) fn check(bytes: &[u8], place: Place) -> Result<Found, Violation> {
    let allowed = place.allowed();
    let mut seen = Set(0);
    let mut found = Found::NOTHING;
    let mut reader = Reader::new(bytes, Version::V5);
    while !reader.is_empty() {
        let id = reader.u8()?;
        if !allowed.has(id) {
            return Err(misplaced(id, place));
        }
        if seen.has(id) && !place.repeatable().has(id) {
            return Err(repeated(id));
        }
        seen = seen.with(id);
        // These come in numbers, and nothing of them is kept: they skip the general path.
        if id == id::USER_PROPERTY {
            reader.string()?;
            reader.string()?;
            continue;
        }
        match Property::read(id, &mut reader)? {
            Some(Property::TopicAlias(value)) => found.topic_alias = Some(value),
            Some(Property::MessageExpiry(value)) => found.expiry = Some(value),
            Some(Property::SubscriptionId(value)) => found.subscription_id = Some(value),
            Some(_) => {}
            None => return Err(misplaced(id, place)),
        }
    }
    found.has_auth_method = seen.has(id::AUTHENTICATION_METHOD);
    found.has_auth_data = seen.has(id::AUTHENTICATION_DATA);
    found.forwards_unchanged = seen.0 & !FORWARDED.0 == 0;
    Ok(found)
}

#[cold]
fn misplaced(id: u8, place: Place) -> Violation {
    match (place, id) {
        (Place::PublishToServer, id::SUBSCRIPTION_ID) => {
            clause::SUBSCRIPTION_ID_TO_SERVER.protocol(Version::V5, "a client's PUBLISH has a subscription identifier")
        }
        (Place::DisconnectToClient, id::SESSION_EXPIRY) => {
            clause::EXPIRY_TO_CLIENT.protocol(Version::V5, "a server's DISCONNECT has a session expiry interval")
        }
        _ => clause::PROPERTY_UNKNOWN.malformed(Version::V5, "a property that this packet does not have"),
    }
}

/// "It is a Protocol Error to include ... more than once": the section of the property in its first packet.
#[cold]
fn repeated(id: u8) -> Violation {
    let section = match id {
        id::PAYLOAD_FORMAT => "MQTT5 3.3.2.3.2",
        id::MESSAGE_EXPIRY => "MQTT5 3.3.2.3.3",
        id::TOPIC_ALIAS => "MQTT5 3.3.2.3.4",
        id::RESPONSE_TOPIC => "MQTT5 3.3.2.3.5",
        id::CORRELATION_DATA => "MQTT5 3.3.2.3.6",
        id::CONTENT_TYPE => "MQTT5 3.3.2.3.9",
        id::SUBSCRIPTION_ID => "MQTT5 3.8.2.1.2",
        id::SESSION_EXPIRY => "MQTT5 3.1.2.11.2",
        id::RECEIVE_MAXIMUM => "MQTT5 3.1.2.11.3",
        id::MAXIMUM_PACKET_SIZE => "MQTT5 3.1.2.11.4",
        id::TOPIC_ALIAS_MAXIMUM => "MQTT5 3.1.2.11.5",
        id::REQUEST_RESPONSE_INFORMATION => "MQTT5 3.1.2.11.6",
        id::REQUEST_PROBLEM_INFORMATION => "MQTT5 3.1.2.11.7",
        id::AUTHENTICATION_METHOD => "MQTT5 3.1.2.11.9",
        id::AUTHENTICATION_DATA => "MQTT5 3.1.2.11.10",
        id::WILL_DELAY => "MQTT5 3.1.3.2.2",
        id::MAXIMUM_QOS => "MQTT5 3.2.2.3.4",
        id::RETAIN_AVAILABLE => "MQTT5 3.2.2.3.5",
        id::ASSIGNED_CLIENT_ID => "MQTT5 3.2.2.3.7",
        id::REASON_STRING => "MQTT5 3.2.2.3.9",
        id::WILDCARD_SUBSCRIPTION_AVAILABLE => "MQTT5 3.2.2.3.11",
        id::SUBSCRIPTION_IDS_AVAILABLE => "MQTT5 3.2.2.3.12",
        id::SHARED_SUBSCRIPTION_AVAILABLE => "MQTT5 3.2.2.3.13",
        id::SERVER_KEEP_ALIVE => "MQTT5 3.2.2.3.14",
        id::RESPONSE_INFORMATION => "MQTT5 3.2.2.3.15",
        id::SERVER_REFERENCE => "MQTT5 3.2.2.3.16",
        _ => "MQTT5 2.2.2.2",
    };
    Violation::protocol(section, "a property stands twice")
}
