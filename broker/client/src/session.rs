//! The client's side of an MQTT session: what is sent, what is awaited, what has come. No socket and no clock.
//!
//! Bytes go in by [`Session::received`] and out by [`Session::output`]; what happened comes out of
//! [`Session::next_event`]. A session outlives its connections: [`Session::begin`] starts the next one, and what was on
//! its way is sent again.

use std::collections::{HashMap, VecDeque};
use std::mem;

use primer_mqtt::{
    ReasonCode, Violation,
    codec::{
        self, AckKind, Decoded, EncodeError, FiltersBuf, Role, Rules, encode_ack,
        packet::{Outcome, Packet, Publish, QoS, Subscribe, SubscribeOptions, Unsubscribe},
        properties::PropertiesBuf,
    },
    limits::PACKET_BYTES_MAX,
};

use crate::options::Options;

mod flight;
mod packets;
mod receive;
mod send;
#[cfg(test)]
mod tests;

use flight::{Flight, Flights, Stage};
pub(crate) use packets::{connect_packet, publish_packet, subscribe_options};
use packets::{options_byte, packet_id};

/// A message as it came.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Message {
    pub(crate) topic: String,
    pub(crate) payload: Vec<u8>,
    pub(crate) qos: QoS,
    pub(crate) retain: bool,
    pub(crate) properties: PropertiesBuf,
    /// 0 for QoS 0.
    pub(crate) mid: u16,
}

/// What happened.
#[derive(Debug, PartialEq)]
pub(crate) enum Event {
    /// The broker has accepted the connection.
    Connected,
    /// It has not; the code is that of the version (1 to 5, or a reason code).
    Refused { code: u8, why: Option<String> },
    /// A message is to be looked at, and answered with [`Session::acknowledge`].
    Message(Message),
    /// A publish has done its way: for QoS 0 it is in the output, else it is acknowledged.
    Published { mid: u16, reason: ReasonCode, why: Option<String> },
    /// The broker has answered SUBSCRIBE.
    Subscribed { mid: u16, codes: Vec<u8> },
    /// The broker has answered UNSUBSCRIBE.
    Unsubscribed,
    /// The broker ends the connection (MQTT 5.0).
    Ended { reason: ReasonCode, why: Option<String> },
}

/// Why a message cannot be published. Nothing was changed.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[non_exhaustive]
pub(crate) enum PublishError {
    /// The broker said so in CONNACK.
    #[error("the broker takes QoS {max} at most; publish with -q {max}")]
    QoS { max: u8 },
    /// The same.
    #[error("the broker retains no messages; publish without -r")]
    Retain,
    /// The same.
    #[error("the message makes a packet of {bytes} bytes, and the broker takes {max}")]
    TooLarge { bytes: usize, max: u32 },
    /// It cannot be said in MQTT.
    #[error("the message cannot be sent: {0}")]
    Encode(#[from] EncodeError),
}

/// See the module's description.
pub(crate) struct Session<'a> {
    options: &'a Options,
    unread: Vec<u8>,
    /// How much of it was understood.
    taken: usize,
    output: Vec<u8>,
    events: VecDeque<Event>,
    /// What `-d` prints.
    trace: Option<Vec<String>>,
    /// The identifier, as it is printed.
    shown_id: String,
    mid: u16,
    flights: Flights,
    /// Messages of QoS 2 whose PUBREL has not come.
    arrived: HashMap<u16, Message>,
    /// Topics that the broker has given numbers to, on this connection.
    aliases: HashMap<u16, String>,
    server: Server,
    has_published: bool,
}

/// What the broker said it can do.
#[derive(Debug, Clone, Copy)]
struct Server {
    is_connected: bool,
    receive_max: u16,
    qos_max: u8,
    retains: bool,
    packet_bytes_max: u32,
}

impl Server {
    const UNKNOWN: Self = Self {
        is_connected: false,
        receive_max: u16::MAX,
        qos_max: 2,
        retains: true,
        packet_bytes_max: PACKET_BYTES_MAX,
    };
}

impl<'a> Session<'a> {
    /// A session before its first connection.
    pub(crate) fn new(options: &'a Options) -> Self {
        let shown_id = options.client_id.clone().filter(|id| !id.is_empty()).unwrap_or_else(|| "(null)".to_owned());
        Self {
            options,
            unread: Vec::new(),
            taken: 0,
            output: Vec::new(),
            events: VecDeque::new(),
            trace: options.debug.then(Vec::new),
            shown_id,
            mid: 0,
            flights: Flights::default(),
            arrived: HashMap::new(),
            aliases: HashMap::new(),
            server: Server::UNKNOWN,
            has_published: false,
        }
    }

    /// Begins a connection: CONNECT is the first of the output.
    ///
    /// # Errors
    /// Nothing that a checked command line leads to.
    pub(crate) fn begin(&mut self) -> Result<(), EncodeError> {
        self.unread.clear();
        self.taken = 0;
        self.output.clear();
        self.aliases.clear();
        self.server = Server::UNKNOWN;
        self.has_published = false;
        self.note(|id| format!("Client {id} sending CONNECT"));
        codec::encode(&connect_packet(self.options), self.options.version, &mut self.output)
    }

    /// Publishes, or puts it behind those that are on their way, and gives its number.
    ///
    /// # Errors
    /// The broker would end the connection for it.
    pub(crate) fn publish(&mut self, topic: &str, payload: Vec<u8>, retain: bool) -> Result<u16, PublishError> {
        let qos = if retain && payload.is_empty() && self.is_removing() { QoS::AtLeastOnce } else { self.options.qos };
        if qos as u8 > self.server.qos_max {
            return Err(PublishError::QoS { max: self.server.qos_max });
        }
        if retain && !self.server.retains {
            return Err(PublishError::Retain);
        }
        let mid = self.next_mid();
        if qos == QoS::AtMostOnce {
            let publish = Publish { qos, retain, ..publish_packet(self.options, topic, &payload, None) };
            self.send_publish(&publish, mid)?;
            self.events.push_back(Event::Published { mid, reason: ReasonCode::SUCCESS, why: None });
            return Ok(mid);
        }
        let flight = Flight { mid, topic: topic.to_owned(), payload, qos, retain, stage: Stage::Waiting };
        self.check_size(&flight)?;
        self.flights.push(flight);
        self.send_waiting();
        Ok(mid)
    }

    /// Subscribes to all topics of the options.
    ///
    /// # Errors
    /// Nothing that a checked command line leads to.
    pub(crate) fn subscribe(&mut self, topics: &[String]) -> Result<(), EncodeError> {
        let (mid, subscribe_options) = (self.next_mid(), subscribe_options(self.options));
        let mut filters = FiltersBuf::subscribe();
        for topic in topics {
            filters.push(topic, subscribe_options);
            self.note(|id| {
                let bits = options_byte(subscribe_options);
                let qos = subscribe_options.qos as u8;
                format!("Client {id} sending SUBSCRIBE (Mid: {mid}, Topic: {topic}, QoS: {qos}, Options: 0x{bits:02x})")
            });
        }
        let properties = self.options.subscribe_properties.as_properties();
        let packet = Packet::Subscribe(Subscribe {
            packet_id: packet_id(mid),
            subscription_id: properties.subscription_ids().next(),
            properties,
            filters: filters.as_filters(),
        });
        codec::encode(&packet, self.options.version, &mut self.output)
    }

    /// Unsubscribes from one filter.
    ///
    /// # Errors
    /// Nothing that a checked command line leads to.
    pub(crate) fn unsubscribe(&mut self, filter: &str) -> Result<(), EncodeError> {
        let mid = self.next_mid();
        self.note(|id| format!("Client {id} sending UNSUBSCRIBE (Mid: {mid}, Topic: {filter})"));
        let mut filters = FiltersBuf::unsubscribe();
        filters.push(filter, SubscribeOptions::from_qos(QoS::AtMostOnce));
        let properties = self.options.unsubscribe_properties.as_properties();
        let packet =
            Packet::Unsubscribe(Unsubscribe { packet_id: packet_id(mid), properties, filters: filters.as_filters() });
        codec::encode(&packet, self.options.version, &mut self.output)
    }

    /// Says that a message was looked at, so that the broker does not send it again.
    pub(crate) fn acknowledge(&mut self, message: &Message) {
        let kind = match message.qos {
            QoS::AtMostOnce => return,
            QoS::AtLeastOnce => AckKind::PubAck,
            QoS::ExactlyOnce => AckKind::PubComp,
        };
        let mid = message.mid;
        self.note(|id| match kind {
            AckKind::PubAck => format!("Client {id} sending PUBACK (m{mid}, rc0)"),
            _ => format!("Client {id} sending PUBCOMP (m{mid})"),
        });
        encode_ack(kind, packet_id(mid), ReasonCode::SUCCESS, self.options.version, &mut self.output);
    }

    /// Asks the broker for a sign of life.
    pub(crate) fn ping(&mut self) {
        self.note(|id| format!("Client {id} sending PINGREQ"));
        self.output.extend_from_slice(&[0xC0, 0]);
    }

    /// Says goodbye: the last of the output.
    ///
    /// # Errors
    /// Nothing that a checked command line leads to.
    pub(crate) fn disconnect(&mut self, reason: ReasonCode) -> Result<(), EncodeError> {
        self.note(|id| format!("Client {id} sending DISCONNECT"));
        let properties = self.options.disconnect_properties.as_properties();
        codec::encode(&Packet::Disconnect(Outcome { reason, properties }), self.options.version, &mut self.output)
    }

    /// Takes bytes of the broker.
    pub(crate) fn received(&mut self, bytes: &[u8]) {
        self.unread.drain(..self.taken);
        self.taken = 0;
        self.unread.extend_from_slice(bytes);
    }

    /// What happened next; `None` until more bytes come.
    ///
    /// # Errors
    /// The broker broke the protocol. The connection cannot go on.
    pub(crate) fn next_event(&mut self) -> Result<Option<Event>, Violation> {
        let unread = mem::take(&mut self.unread);
        let mut result = Ok(());
        while self.events.is_empty() && result.is_ok() {
            let rules =
                Rules { role: Role::Client, version: Some(self.options.version), max_packet_size: PACKET_BYTES_MAX };
            match codec::decode(unread.get(self.taken..).unwrap_or_default(), &rules) {
                Ok(Decoded::Packet { packet, len }) => {
                    self.taken += len;
                    result = self.handle(&packet);
                }
                Ok(Decoded::Incomplete { .. }) => break,
                Err(violation) => result = Err(violation),
            }
        }
        self.unread = unread;
        result?;
        Ok(self.events.pop_front())
    }

    /// Whether the broker's first bytes are those of a TLS alert (RFC 8446, 5.1) instead of CONNACK.
    pub(crate) fn is_answered_by_tls(&self) -> bool {
        !self.server.is_connected && self.unread.starts_with(&[0x15, 0x03])
    }

    /// What is to be written; the writer takes off the front what it has written.
    pub(crate) fn output(&mut self) -> &mut Vec<u8> {
        &mut self.output
    }

    /// What `-d` prints, since the last call.
    pub(crate) fn take_trace(&mut self) -> Vec<String> {
        self.trace.as_mut().map(mem::take).unwrap_or_default()
    }

    /// Publishes of QoS 1 and 2 that are not done.
    pub(crate) fn underway(&self) -> usize {
        self.flights.len()
    }

    /// Publishes that wait for others to be done, because of `-M` or the broker's Receive Maximum.
    pub(crate) fn is_window_full(&self) -> bool {
        self.flights.has_waiting()
    }

    /// Whether the broker has accepted the connection.
    pub(crate) fn is_connected(&self) -> bool {
        self.server.is_connected
    }

    /// A subscriber publishes nothing but the removal of retained messages, and that at QoS 1.
    fn is_removing(&self) -> bool {
        self.options.remove_retained
    }

    fn next_mid(&mut self) -> u16 {
        loop {
            self.mid = self.mid.checked_add(1).unwrap_or(1);
            if !self.flights.has(self.mid) {
                return self.mid;
            }
        }
    }

    fn note(&mut self, line: impl FnOnce(&str) -> String) {
        if let Some(trace) = &mut self.trace {
            trace.push(line(&self.shown_id));
        }
    }
}
