//! The typed getters of [`Properties`]: one scan each, over identifiers and lengths.

use super::{
    Properties,
    property::{Property, id, skip},
};
use crate::{Version, codec::reader::Reader};

macro_rules! getters {
    ($($name:ident: $variant:ident, $id:ident, $type:ty, $doc:literal;)*) => {
        impl<'a> Properties<'a> {
            $(#[doc = $doc]
            #[must_use]
            pub fn $name(self) -> Option<$type> {
                match self.find(id::$id)? {
                    Property::$variant(value) => Some(value),
                    _ => None,
                }
            })*
        }
    };
}

getters! {
    payload_format: PayloadFormat, PAYLOAD_FORMAT, u8, "Payload format indicator: 0 for bytes, 1 for UTF-8.";
    message_expiry: MessageExpiry, MESSAGE_EXPIRY, u32, "Message expiry interval in seconds.";
    content_type: ContentType, CONTENT_TYPE, &'a str, "Content type.";
    response_topic: ResponseTopic, RESPONSE_TOPIC, &'a str, "Response topic, a topic name.";
    correlation_data: CorrelationData, CORRELATION_DATA, &'a [u8], "Correlation data.";
    session_expiry: SessionExpiry, SESSION_EXPIRY, u32, "Session expiry interval in seconds; `u32::MAX` is for ever.";
    assigned_client_id: AssignedClientId, ASSIGNED_CLIENT_ID, &'a str, "The client identifier that the server chose.";
    server_keep_alive: ServerKeepAlive, SERVER_KEEP_ALIVE, u16, "The keep alive in seconds that the server chose.";
    authentication_method: AuthenticationMethod, AUTHENTICATION_METHOD, &'a str, "Authentication method.";
    authentication_data: AuthenticationData, AUTHENTICATION_DATA, &'a [u8], "Authentication data.";
    request_problem_information: RequestProblemInformation, REQUEST_PROBLEM_INFORMATION, bool,
        "Whether reason strings and user properties are wanted with failures.";
    will_delay: WillDelay, WILL_DELAY, u32, "Will delay interval in seconds.";
    request_response_information: RequestResponseInformation, REQUEST_RESPONSE_INFORMATION, bool,
        "Whether response information is wanted in CONNACK.";
    response_information: ResponseInformation, RESPONSE_INFORMATION, &'a str, "Basis of response topics.";
    server_reference: ServerReference, SERVER_REFERENCE, &'a str, "Another server to use.";
    reason_string: ReasonString, REASON_STRING, &'a str, "The reason, for people.";
    receive_maximum: ReceiveMaximum, RECEIVE_MAXIMUM, u16, "Receive maximum, at least 1.";
    topic_alias_maximum: TopicAliasMaximum, TOPIC_ALIAS_MAXIMUM, u16, "Topic alias maximum; 0 is none.";
    topic_alias: TopicAlias, TOPIC_ALIAS, u16, "Topic alias, at least 1.";
    maximum_qos: MaximumQos, MAXIMUM_QOS, u8, "The highest QoS of the server, 0 or 1.";
    retain_available: RetainAvailable, RETAIN_AVAILABLE, bool, "Whether the server retains messages.";
    maximum_packet_size: MaximumPacketSize, MAXIMUM_PACKET_SIZE, u32, "Maximum packet size in bytes, at least 1.";
    wildcard_subscription_available: WildcardSubscriptionAvailable, WILDCARD_SUBSCRIPTION_AVAILABLE, bool,
        "Whether the server takes filters with wildcards.";
    subscription_ids_available: SubscriptionIdsAvailable, SUBSCRIPTION_IDS_AVAILABLE, bool,
        "Whether the server takes subscription identifiers.";
    shared_subscription_available: SharedSubscriptionAvailable, SHARED_SUBSCRIPTION_AVAILABLE, bool,
        "Whether the server takes shared subscriptions.";
}

impl<'a> Properties<'a> {
    /// All subscription identifiers; a PUBLISH to a client may have several.
    pub fn subscription_ids(self) -> impl Iterator<Item = u32> + 'a {
        self.iter().filter_map(|property| match property {
            Property::SubscriptionId(value) => Some(value),
            _ => None,
        })
    }

    /// All user properties in their order, which servers keep [MQTT-3.3.2-18].
    pub fn user_properties(self) -> impl Iterator<Item = (&'a str, &'a str)> {
        self.iter().filter_map(|property| match property {
            Property::UserProperty(name, value) => Some((name, value)),
            _ => None,
        })
    }

    fn find(self, wanted: u8) -> Option<Property<'a>> {
        let mut reader = Reader::new(self.bytes, Version::V5);
        loop {
            let id = reader.u8().ok()?;
            if id == wanted {
                return Property::read(id, &mut reader).ok()?;
            }
            skip(id, &mut reader)?;
        }
    }
}
