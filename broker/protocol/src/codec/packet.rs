//! The control packets as the codec hands them out: borrowed from the bytes they were read from.
//!
//! A value of these types that came from [`super::decode`] has passed every check that needs no session state.

use crate::{ReasonCode, Version, codec::properties::Properties};

/// A packet identifier; zero does not exist on the wire [MQTT-2.2.1-3].
pub type PacketId = std::num::NonZeroU16;

/// Quality of service.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
pub enum QoS {
    /// At most once.
    AtMostOnce = 0,
    /// At least once.
    AtLeastOnce = 1,
    /// Exactly once.
    ExactlyOnce = 2,
}

/// Any control packet of any version.
#[derive(Debug, Clone, PartialEq)]
pub enum Packet<'a> {
    /// CONNECT, boxed: it is large and comes once a connection.
    Connect(Box<Connect<'a>>),
    /// CONNACK.
    ConnAck(ConnAck<'a>),
    /// PUBLISH.
    Publish(Publish<'a>),
    /// PUBACK.
    PubAck(Ack<'a>),
    /// PUBREC.
    PubRec(Ack<'a>),
    /// PUBREL.
    PubRel(Ack<'a>),
    /// PUBCOMP.
    PubComp(Ack<'a>),
    /// SUBSCRIBE.
    Subscribe(Subscribe<'a>),
    /// SUBACK.
    SubAck(SubAck<'a>),
    /// UNSUBSCRIBE.
    Unsubscribe(Unsubscribe<'a>),
    /// UNSUBACK; `codes` is empty before MQTT 5.0.
    UnsubAck(SubAck<'a>),
    /// PINGREQ.
    PingReq,
    /// PINGRESP.
    PingResp,
    /// DISCONNECT.
    Disconnect(Outcome<'a>),
    /// AUTH (MQTT 5.0).
    Auth(Outcome<'a>),
}

/// CONNECT (MQTT 5.0, 3.1).
#[derive(Debug, Clone, PartialEq)]
pub struct Connect<'a> {
    /// The version that the client speaks.
    pub version: Version,
    /// Clean start (5.0) or clean session (3.x).
    pub clean_start: bool,
    /// Seconds; 0 turns the keep alive off.
    pub keep_alive: u16,
    /// May be empty.
    pub client_id: &'a str,
    /// The will, if the flag is set.
    pub will: Option<Will<'a>>,
    /// User name; may be empty.
    pub username: Option<&'a str>,
    /// Password: any bytes.
    pub password: Option<&'a [u8]>,
    /// Properties (empty before 5.0).
    pub properties: Properties<'a>,
}

/// The will in CONNECT.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Will<'a> {
    /// The will's QoS.
    pub qos: QoS,
    /// Whether the will is to be retained.
    pub retain: bool,
    /// A valid topic name.
    pub topic: &'a str,
    /// The will's payload.
    pub payload: &'a [u8],
    /// Will properties (empty before 5.0).
    pub properties: Properties<'a>,
}

/// CONNACK. Before 5.0 `reason` holds the return code 0 to 5 as it stands on the wire.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct ConnAck<'a> {
    /// Whether the server had a session.
    pub session_present: bool,
    /// Reason code (5.0) or return code (3.x).
    pub reason: ReasonCode,
    /// Properties (empty before 5.0).
    pub properties: Properties<'a>,
}

/// PUBLISH (3.3).
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Publish<'a> {
    /// Set on a re-delivery.
    pub dup: bool,
    /// Delivery quality.
    pub qos: QoS,
    /// Retain flag.
    pub retain: bool,
    /// A valid topic name; empty only with a topic alias (5.0).
    pub topic: &'a str,
    /// `Some` exactly for QoS 1 and 2.
    pub packet_id: Option<PacketId>,
    /// The topic alias, 1 to 65,535.
    pub topic_alias: Option<u16>,
    /// Message expiry interval in seconds.
    pub expiry: Option<u32>,
    /// All properties, alias and expiry included (empty before 5.0).
    pub properties: Properties<'a>,
    /// Whether `properties` holds nothing but what a server forwards unchanged: payload format, content type,
    /// response topic, correlation data, user properties. Then its bytes can be copied as they are.
    pub forwards_unchanged: bool,
    /// The application message.
    pub payload: &'a [u8],
}

/// PUBACK, PUBREC, PUBREL, PUBCOMP (3.4 to 3.7).
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Ack<'a> {
    /// The identifier of the exchange.
    pub packet_id: PacketId,
    /// `SUCCESS` where the packet has none.
    pub reason: ReasonCode,
    /// Properties (empty before 5.0).
    pub properties: Properties<'a>,
}

/// SUBSCRIBE (3.8).
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Subscribe<'a> {
    /// The identifier that SUBACK repeats.
    pub packet_id: PacketId,
    /// Subscription identifier, 1 to 268,435,455.
    pub subscription_id: Option<u32>,
    /// Properties (empty before 5.0).
    pub properties: Properties<'a>,
    /// At least one filter.
    pub filters: Filters<'a>,
}

/// UNSUBSCRIBE (3.10).
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Unsubscribe<'a> {
    /// The identifier that UNSUBACK repeats.
    pub packet_id: PacketId,
    /// Properties (empty before 5.0).
    pub properties: Properties<'a>,
    /// At least one filter; the options of each are the default.
    pub filters: Filters<'a>,
}

/// SUBACK and UNSUBACK (3.9, 3.11).
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct SubAck<'a> {
    /// The identifier of the request.
    pub packet_id: PacketId,
    /// Properties (empty before 5.0).
    pub properties: Properties<'a>,
    /// One reason code a filter, in the order of the request.
    pub codes: &'a [u8],
}

/// DISCONNECT and AUTH (3.14, 3.15).
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Outcome<'a> {
    /// `SUCCESS` where the packet has none.
    pub reason: ReasonCode,
    /// Properties (empty before 5.0).
    pub properties: Properties<'a>,
}

/// What may follow the filter in SUBSCRIBE (3.8.3.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SubscribeOptions {
    /// The highest QoS at which the client wants messages.
    pub qos: QoS,
    /// Do not send me what I published.
    pub no_local: bool,
    /// Keep the retain flag of the publisher.
    pub retain_as_published: bool,
    /// When retained messages are sent.
    pub retain_handling: RetainHandling,
}

/// When retained messages are sent for a new subscription (3.8.3.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum RetainHandling {
    /// At every SUBSCRIBE.
    Always = 0,
    /// When the subscription did not exist.
    IfNew = 1,
    /// Never.
    Never = 2,
}

impl SubscribeOptions {
    /// What MQTT 3.1.1 means by a QoS alone.
    #[must_use]
    pub const fn from_qos(qos: QoS) -> Self {
        Self { qos, no_local: false, retain_as_published: false, retain_handling: RetainHandling::Always }
    }
}

/// The filters of a SUBSCRIBE or UNSUBSCRIBE, checked, still in their bytes.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Filters<'a> {
    /// The checked payload of the packet.
    pub(crate) bytes: &'a [u8],
    /// Whether an options byte follows each filter (SUBSCRIBE).
    pub(crate) with_options: bool,
    /// How many there are, at least 1.
    pub(crate) count: u16,
}
