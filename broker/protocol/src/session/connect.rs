//! CONNECT turned into the terms of a connection, and the terms into CONNACK.
//!
//! Whether the client is who it says and whether a session exists is decided elsewhere; here is what the
//! specification says of the packet and of the server's options alone.

use primer_core::commit::Committed;

use super::{Session, link::Link, options::ServerOptions};
use crate::{
    ReasonCode, Version,
    codec::{
        self,
        packet::{ConnAck, Connect, Packet, QoS},
        properties::{Properties, PropertiesBuf, Property},
    },
};

/// A session life without an end.
pub const SESSION_NEVER_EXPIRES: u32 = u32::MAX;

/// The terms of one connection, as far as CONNECT and the server's options set them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Terms {
    /// The protocol version.
    pub version: Version,
    /// Whether an existing session is to be dropped.
    pub clean_start: bool,
    /// Seconds that the session outlives the connection; [`SESSION_NEVER_EXPIRES`] for no end.
    pub session_expiry_s: u32,
    /// Seconds between two packets of the client; 0 for any.
    pub keep_alive_s: u16,
    /// The client's Receive Maximum, bounded by the server's.
    pub window: u16,
    /// The largest packet that the client takes.
    pub packet_bytes_max: u32,
    /// Topic aliases that the server may set.
    pub alias_out_maximum: u16,
    /// Whether the client wants reason strings and user properties in every packet.
    pub problem_information: bool,
    /// Whether the client asked for response information.
    pub wants_response_information: bool,
    /// The client identifier that the server has to make up, told in CONNACK (5.0).
    pub assign_client_id: bool,
    /// The method of the enhanced authentication, if there is one.
    pub authentication_method: Option<Box<str>>,
    /// Whether CONNECT itself said that the session ends with the connection.
    pub(super) asked_for_no_expiry: bool,
    /// Whether the server shortened the expiry that the client asked for.
    shortened_expiry: bool,
    server_keep_alive: bool,
}

impl Terms {
    /// Reads the terms from a CONNECT.
    ///
    /// # Errors
    /// The reason with which CONNACK refuses the connection, and a sentence for the log.
    pub fn negotiate(connect: &Connect<'_>, options: &ServerOptions) -> Result<Self, (ReasonCode, &'static str)> {
        let v5 = connect.version.is_v5();
        let properties = connect.properties;
        if connect.client_id.is_empty() && !v5 {
            if connect.version == Version::V31 {
                return Err((ReasonCode::CLIENT_IDENTIFIER_NOT_VALID, "MQTT 3.1 wants a client identifier"));
            }
            if !connect.clean_start {
                let why = "an empty client identifier needs a clean session [MQTT-3.1.3-8]";
                return Err((ReasonCode::CLIENT_IDENTIFIER_NOT_VALID, why));
            }
        }
        if let Some(will) = &connect.will {
            if will.qos > options.qos_max {
                return Err((ReasonCode::QOS_NOT_SUPPORTED, "the will's QoS is above the maximum [MQTT-3.2.2-12]"));
            }
            if will.retain && !options.retain_available {
                return Err((ReasonCode::RETAIN_NOT_SUPPORTED, "the will asks for retain [MQTT-3.2.2-13]"));
            }
        }
        let wanted_expiry = match (v5, connect.clean_start) {
            (true, _) => properties.session_expiry().unwrap_or(0),
            (false, true) => 0,
            (false, false) => SESSION_NEVER_EXPIRES,
        };
        let session_expiry_s = wanted_expiry.min(options.session_expiry_max_s);
        let capped = options.keep_alive_max_s > 0 && connect.keep_alive > options.keep_alive_max_s;
        let server_keep_alive = v5 && capped; // a 3.x client cannot be told, so its own value stays
        Ok(Self {
            version: connect.version,
            clean_start: connect.clean_start,
            session_expiry_s,
            keep_alive_s: if server_keep_alive { options.keep_alive_max_s } else { connect.keep_alive },
            window: properties.receive_maximum().unwrap_or(u16::MAX).min(options.inflight_max),
            packet_bytes_max: properties.maximum_packet_size().unwrap_or(u32::MAX),
            alias_out_maximum: properties.topic_alias_maximum().unwrap_or(0).min(options.alias_out_maximum),
            problem_information: properties.request_problem_information().unwrap_or(true),
            wants_response_information: properties.request_response_information().unwrap_or(false),
            assign_client_id: connect.client_id.is_empty(),
            authentication_method: properties.authentication_method().map(Into::into),
            asked_for_no_expiry: wanted_expiry == 0,
            shortened_expiry: session_expiry_s != wanted_expiry,
            server_keep_alive,
        })
    }
}

/// What a session's opening is committed under: the one argument that a successful CONNACK needs.
#[derive(Debug)]
pub struct Opening {
    /// Whether the client gets its earlier session back.
    pub session_present: bool,
}

/// What CONNACK says besides the terms.
#[derive(Debug, Default, Clone, Copy)]
pub struct Greeting<'a> {
    /// The identifier that the server made up.
    pub assigned_client_id: Option<&'a str>,
    /// The last data of the enhanced authentication.
    pub authentication_data: Option<&'a [u8]>,
}

impl Session {
    /// Begins a connection under `terms` and writes the CONNACK that says so. The proof is what the client may build
    /// on: its session is kept as the policy of sessions promises.
    ///
    /// `false`: the client takes no packet of the CONNACK's size. Nothing was written, and nothing can be: the
    /// connection has to be closed without a word [MQTT-3.1.2-24].
    pub fn accept(
        &mut self,
        proof: Committed<Opening>,
        terms: &Terms,
        options: &ServerOptions,
        greeting: Greeting<'_>,
        out: &mut Vec<u8>,
    ) -> bool {
        let start = out.len();
        let session_present = proof.into_token().session_present;
        self.epoch = self.epoch.wrapping_add(1);
        self.link = Some(Link::new(terms, options));
        let properties = if terms.version.is_v5() { announce(terms, options, greeting) } else { PropertiesBuf::new() };
        let packet = Packet::ConnAck(ConnAck {
            session_present: session_present && terms.version != Version::V31,
            reason: ReasonCode::SUCCESS,
            properties: properties.as_properties(),
        });
        write(&packet, terms.version, out);
        if out.len() - start > terms.packet_bytes_max as usize {
            out.truncate(start);
            self.link = None;
            return false;
        }
        self.outbound.resume(terms.version, out);
        true
    }
}

fn announce(terms: &Terms, options: &ServerOptions, greeting: Greeting<'_>) -> PropertiesBuf {
    let mut buf = PropertiesBuf::new();
    if terms.shortened_expiry {
        buf.push(&Property::SessionExpiry(terms.session_expiry_s));
    }
    if options.receive_maximum < u16::MAX {
        buf.push(&Property::ReceiveMaximum(options.receive_maximum));
    }
    if options.qos_max < QoS::ExactlyOnce {
        buf.push(&Property::MaximumQos(options.qos_max as u8));
    }
    if !options.retain_available {
        buf.push(&Property::RetainAvailable(false));
    }
    if options.packet_bytes_max <= crate::limits::REMAINING_LENGTH_MAX {
        buf.push(&Property::MaximumPacketSize(options.packet_bytes_max));
    }
    if let Some(id) = greeting.assigned_client_id {
        buf.push(&Property::AssignedClientId(id));
    }
    if options.alias_maximum > 0 {
        buf.push(&Property::TopicAliasMaximum(options.alias_maximum));
    }
    if terms.server_keep_alive {
        buf.push(&Property::ServerKeepAlive(terms.keep_alive_s));
    }
    if let Some(text) = options.response_information.as_deref().filter(|_| terms.wants_response_information) {
        buf.push(&Property::ResponseInformation(text));
    }
    if let Some(method) = &terms.authentication_method {
        buf.push(&Property::AuthenticationMethod(method));
        if let Some(data) = greeting.authentication_data {
            buf.push(&Property::AuthenticationData(data));
        }
    }
    buf
}

/// Writes the CONNACK that refuses a connection; before 5.0 with the return code that comes closest. The reason string
/// is left out where the client takes no packet of that size [MQTT-3.2.2-19].
pub fn refuse_connect(version: Version, reason: ReasonCode, why: &str, packet_bytes_max: u32, out: &mut Vec<u8>) {
    let start = out.len();
    let mut properties = PropertiesBuf::new();
    let reason = if version.is_v5() {
        if !why.is_empty() {
            properties.push(&Property::ReasonString(why));
        }
        reason
    } else {
        ReasonCode(reason.to_v3_connack())
    };
    for properties in [properties.as_properties(), Properties::EMPTY] {
        out.truncate(start);
        write(&Packet::ConnAck(ConnAck { session_present: false, reason, properties }), version, out);
        if out.len() - start <= packet_bytes_max as usize {
            return;
        }
    }
    out.truncate(start); // not even the reason fits: the client hears the closed connection
}

/// Encodes a packet that this crate has built within the limits of the wire; a packet that cannot be encoded is left
/// out, which only a text of more than 65,535 bytes could cause.
pub(super) fn write(packet: &Packet<'_>, version: Version, out: &mut Vec<u8>) {
    let encoded = codec::encode(packet, version, out);
    debug_assert!(encoded.is_ok(), "{packet:?} does not fit: {encoded:?}");
}
