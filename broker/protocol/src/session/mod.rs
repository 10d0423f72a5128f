//! The session machine, server role: packets in, effects and bytes out. No socket, no clock, no lock.
//!
//! One [`Session`] stands for one client identifier. It outlives connections: a connection begins with
//! [`Session::accept`] and ends with [`Session::detach`]. What the client sends goes through [`Session::handle`],
//! which writes at once what needs nobody else (PINGRESP, PUBREL, PUBCOMP) and hands out the rest as a [`Step`]. The
//! messages that wait for the client stand in a queue outside; the machine says how many it can take
//! ([`Session::credit`]), writes them, and tells when they are delivered.
//!
//! **No path in [`Session::handle`] writes a PUBACK or a successful PUBREC of a new message**: [`Session::acknowledge`]
//! does, and it wants a `Committed`.

mod alias;
mod by_packet_id;
pub mod connect;
mod inbound;
mod link;
pub mod options;
mod outbound;

use primer_core::backlog::Position;

use self::{connect::write, inbound::Inbound, link::Link, outbound::Outbound};
pub use self::{
    connect::{Greeting, Opening, SESSION_NEVER_EXPIRES, Terms, refuse_connect},
    inbound::{Incoming, PublishToken, TopicRef},
    options::ServerOptions,
    outbound::{Delivery, Resend, Sent},
};
use crate::{
    ReasonCode, Version,
    codec::{
        packet::{Outcome, Packet, PacketId, SubAck, Subscribe, Unsubscribe},
        properties::{Properties, PropertiesBuf, Property},
    },
    violation::Violation,
};

/// What a packet asks of the world around the machine.
#[derive(Debug, Clone)]
pub enum Step<'a> {
    /// Nothing.
    Nothing,
    /// A place in the window came free.
    Credit,
    /// Route this publish; if it has a token, bring the token back committed or refused.
    Publish {
        /// The publish.
        incoming: Incoming<'a>,
        /// `Some` for QoS 1 and 2.
        token: Option<PublishToken>,
    },
    /// The client is done with the message at `position`: delivered, or refused by it if `reason` is an error.
    Delivered {
        /// Its place in the queue.
        position: Position,
        /// What the client said.
        reason: ReasonCode,
    },
    /// Subscribe, then answer with [`Session::answer_subscribe`].
    Subscribe(Subscribe<'a>),
    /// Unsubscribe, then answer with [`Session::answer_unsubscribe`].
    Unsubscribe(Unsubscribe<'a>),
    /// A step of a re-authentication with the method of CONNECT.
    Authenticate(Outcome<'a>),
    /// The client leaves.
    Disconnect {
        /// Whether its will is to be published all the same (any reason code but 0x00).
        with_will: bool,
        /// A new session expiry in seconds.
        session_expiry_s: Option<u32>,
    },
}

/// The state of one client's session. See the module's description.
#[derive(Debug, Default)]
pub struct Session {
    link: Option<Link>,
    /// Counts connections, so that an answer to an earlier one is known as such.
    epoch: u32,
    inbound: Inbound,
    outbound: Outbound,
}

impl Session {
    /// Handles one packet of the client that the codec has let through.
    ///
    /// # Errors
    /// The client broke the protocol; the connection has to end with the violation's reason.
    #[expect(clippy::needless_pass_by_value, reason = "a packet is handled once")]
    pub fn handle<'a>(&mut self, packet: Packet<'a>, out: &mut Vec<u8>) -> Result<Step<'a>, Violation> {
        match packet {
            Packet::Publish(publish) => self.handle_publish(publish, out),
            Packet::PubAck(ack) => self.handle_puback(&ack),
            Packet::PubRec(ack) => self.handle_pubrec(&ack, out),
            Packet::PubRel(ack) => {
                self.handle_pubrel(&ack, out)?;
                Ok(Step::Nothing)
            }
            Packet::PubComp(ack) => self.handle_pubcomp(&ack),
            Packet::Subscribe(subscribe) => Ok(Step::Subscribe(subscribe)),
            Packet::Unsubscribe(unsubscribe) => Ok(Step::Unsubscribe(unsubscribe)),
            Packet::PingReq => {
                if let Some(link) = &self.link {
                    write(&Packet::PingResp, link.version, out);
                }
                Ok(Step::Nothing)
            }
            Packet::Disconnect(outcome) => self.handle_disconnect(&outcome),
            Packet::Auth(outcome) => self.handle_auth(outcome),
            Packet::Connect(_) => Err(Violation::protocol("MQTT-3.1.0-2", "a second CONNECT")),
            Packet::ConnAck(_) | Packet::SubAck(_) | Packet::UnsubAck(_) | Packet::PingResp => {
                Err(Violation::protocol("MQTT5 2.1.2", "a packet that only a server sends"))
            }
        }
    }

    /// The connection is gone. What is in flight stays for the next one.
    pub fn detach(&mut self) {
        self.link = None;
    }

    /// Forgets every exchange: a clean start, or the end of the session.
    pub fn clear(&mut self) {
        self.inbound.clear();
        self.outbound.clear();
    }

    /// Answers a SUBSCRIBE: one code for each filter, in order [MQTT-3.9.3-1]. `false`: the client takes no packet of
    /// this size, and nothing was written; its connection has to end (0x95).
    pub fn answer_subscribe(
        &mut self,
        packet_id: PacketId,
        codes: &[u8],
        why: Option<&str>,
        out: &mut Vec<u8>,
    ) -> bool {
        self.answer(packet_id, codes, why, out, Packet::SubAck)
    }

    /// Answers an UNSUBSCRIBE: one code for each filter; before 5.0 no codes are sent. `false` as for SUBSCRIBE.
    pub fn answer_unsubscribe(&mut self, packet_id: PacketId, codes: &[u8], out: &mut Vec<u8>) -> bool {
        self.answer(packet_id, codes, None, out, Packet::UnsubAck)
    }

    /// Writes the DISCONNECT with which the server ends a connection; before 5.0 there is none.
    pub fn disconnect(&self, reason: ReasonCode, why: Option<&str>, out: &mut Vec<u8>) {
        if let Some(link) = self.link.as_ref().filter(|link| link.version.is_v5()) {
            let why = why.filter(|_| link.problem_information);
            write_disconnect(reason, why, link.packet_bytes_max, out);
        }
    }

    /// Writes an AUTH in the re-authentication that the client has begun.
    pub fn continue_authentication(&self, reason: ReasonCode, data: Option<&[u8]>, out: &mut Vec<u8>) {
        let Some((link, method)) = self.link.as_ref().and_then(|l| Some((l, l.authentication_method.as_deref()?)))
        else {
            return;
        };
        write_auth(reason, method, data, link.version, out);
    }

    /// The version of the present connection.
    #[must_use]
    pub fn version(&self) -> Option<Version> {
        self.link.as_ref().map(|link| link.version)
    }

    /// The method of the enhanced authentication of the present connection.
    #[must_use]
    pub fn authentication_method(&self) -> Option<&str> {
        self.link.as_ref()?.authentication_method.as_deref()
    }

    /// Whether nothing is in flight either way.
    #[must_use]
    pub fn is_idle(&self) -> bool {
        self.inbound.is_empty() && self.outbound.is_empty()
    }

    fn answer<'p>(
        &self,
        packet_id: PacketId,
        codes: &'p [u8],
        why: Option<&str>,
        out: &mut Vec<u8>,
        kind: impl Fn(SubAck<'p>) -> Packet<'p>,
    ) -> bool {
        let Some(link) = &self.link else { return true };
        let start = out.len();
        if let Some(why) = why.filter(|_| link.version.is_v5() && link.problem_information) {
            let mut properties = PropertiesBuf::new();
            properties.push(&Property::ReasonString(why));
            let ack = SubAck { packet_id, properties: properties.as_properties(), codes };
            write(&Packet::SubAck(ack), link.version, out);
            if out.len() - start <= link.packet_bytes_max as usize {
                return true;
            }
            out.truncate(start); // the reason string does not fit the client [MQTT-3.9.2-1]
        }
        write(&kind(SubAck { packet_id, properties: Properties::EMPTY, codes }), link.version, out);
        let fits = out.len() - start <= link.packet_bytes_max as usize;
        if !fits {
            out.truncate(start); // [MQTT-3.1.2-24]
        }
        fits
    }

    fn handle_disconnect(&self, outcome: &Outcome<'_>) -> Result<Step<'static>, Violation> {
        let session_expiry_s = outcome.properties.session_expiry();
        let ends = self.link.as_ref().is_some_and(|link| link.ends_with_connection);
        if ends && session_expiry_s.is_some_and(|seconds| seconds > 0) {
            let detail = "DISCONNECT sets a session expiry after CONNECT set none";
            return Err(Violation::protocol("MQTT-3.14.2-2", detail));
        }
        // Only 0x00 discards the will [MQTT-3.14.4-3]; an error says that something went wrong.
        Ok(Step::Disconnect { with_will: outcome.reason != ReasonCode::SUCCESS, session_expiry_s })
    }

    fn handle_auth<'a>(&self, outcome: Outcome<'a>) -> Result<Step<'a>, Violation> {
        match self.authentication_method() {
            None => Err(Violation::protocol("MQTT-4.12.0-7", "AUTH without an authentication method in CONNECT")),
            Some(method) if outcome.properties.authentication_method() != Some(method) => {
                let detail = "AUTH names another method than CONNECT did";
                Err(Violation::with(ReasonCode::BAD_AUTHENTICATION_METHOD, "MQTT-4.12.0-5", detail))
            }
            Some(_) => Ok(Step::Authenticate(outcome)),
        }
    }
}

/// Writes a DISCONNECT of the server. The reason string is left out where the client takes no packet of that size
/// [MQTT-3.14.2-3].
pub fn write_disconnect(reason: ReasonCode, why: Option<&str>, packet_bytes_max: u32, out: &mut Vec<u8>) {
    let start = out.len();
    let mut properties = PropertiesBuf::new();
    if let Some(why) = why {
        properties.push(&Property::ReasonString(why));
        let outcome = Outcome { reason, properties: properties.as_properties() };
        write(&Packet::Disconnect(outcome), Version::V5, out);
        if out.len() - start <= packet_bytes_max as usize {
            return;
        }
        out.truncate(start);
    }
    // The long form: a client in wide use loses the shorter one.
    out.extend_from_slice(&[0xE0, 0x02, reason.0, 0x00]);
}

/// Writes an AUTH of the server.
pub fn write_auth(reason: ReasonCode, method: &str, data: Option<&[u8]>, version: Version, out: &mut Vec<u8>) {
    let mut properties = PropertiesBuf::new();
    properties.push(&Property::AuthenticationMethod(method));
    if let Some(data) = data {
        properties.push(&Property::AuthenticationData(data));
    }
    write(&Packet::Auth(Outcome { reason, properties: properties.as_properties() }), version, out);
}

#[cfg(test)]
mod tests;
