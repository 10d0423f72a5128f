//! The client's side of an MQTT session: what is sent, what is awaited, what has come. No socket and no clock.
//!
//! Bytes go in by [`Session::received`] and out by [`Session::output`]; what happened comes out of
//! [`Session::next_event`]. A session outlives its connections: [`Session::begin`] starts the next one, and what was on
//! its way is sent again.

use std::collections::{HashMap, VecDeque};
use std::mem;

use primer_mqtt::{
    ReasonCode, Version, Violation,
    codec::{
        self, AckKind, Decoded, EncodeError, FiltersBuf, Role, Rules, encode_ack,
        packet::{
            Ack, ConnAck, Connect, Outcome, Packet, PacketId, Publish, QoS, SubAck, Subscribe, SubscribeOptions,
            Unsubscribe, Will,
        },
        properties::PropertiesBuf,
    },
    limits::PACKET_BYTES_MAX,
};

use crate::options::Options;

mod flight;
#[cfg(test)]
mod tests;

use flight::{Flight, Flights, Stage};

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
        self.unread.extend_from_slice(bytes);
    }

    /// What happened next; `None` until more bytes come.
    ///
    /// # Errors
    /// The broker broke the protocol. The connection cannot go on.
    pub(crate) fn next_event(&mut self) -> Result<Option<Event>, Violation> {
        let unread = mem::take(&mut self.unread);
        let mut start = 0;
        let mut result = Ok(());
        while self.events.is_empty() {
            let rules =
                Rules { role: Role::Client, version: Some(self.options.version), max_packet_size: PACKET_BYTES_MAX };
            match codec::decode(unread.get(start..).unwrap_or_default(), &rules) {
                Ok(Decoded::Packet { packet, len }) => {
                    start += len;
                    result = self.handle(&packet);
                    if result.is_err() {
                        break;
                    }
                }
                Ok(Decoded::Incomplete { .. }) => break,
                Err(violation) => {
                    result = Err(violation);
                    break;
                }
            }
        }
        self.unread = unread;
        self.unread.drain(..start);
        result?;
        Ok(self.events.pop_front())
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

    fn handle(&mut self, packet: &Packet<'_>) -> Result<(), Violation> {
        if self.server.is_connected == matches!(packet, Packet::ConnAck(_)) && !matches!(packet, Packet::Auth(_)) {
            return Err(Violation::protocol(
                "MQTT-3.2.0-1",
                "CONNACK is the first packet of a broker, and the only one",
            ));
        }
        match packet {
            Packet::ConnAck(ack) => self.handle_connack(ack),
            Packet::Publish(publish) => return self.handle_publish(publish),
            Packet::PubAck(ack) => self.handle_done(ack, "PUBACK", QoS::AtLeastOnce),
            Packet::PubComp(ack) => self.handle_done(ack, "PUBCOMP", QoS::ExactlyOnce),
            Packet::PubRec(ack) => self.handle_pubrec(ack),
            Packet::PubRel(ack) => self.handle_pubrel(ack),
            Packet::SubAck(SubAck { packet_id, codes, .. }) => {
                self.note(|id| format!("Client {id} received SUBACK"));
                self.events.push_back(Event::Subscribed { mid: packet_id.get(), codes: codes.to_vec() });
            }
            Packet::UnsubAck(_) => {
                self.note(|id| format!("Client {id} received UNSUBACK"));
                self.events.push_back(Event::Unsubscribed);
            }
            Packet::PingResp => self.note(|id| format!("Client {id} received PINGRESP")),
            Packet::Disconnect(Outcome { reason, properties }) => {
                let (reason, why) = (*reason, properties.reason_string().map(str::to_owned));
                self.note(|id| format!("Client {id} received DISCONNECT ({})", reason.0));
                self.events.push_back(Event::Ended { reason, why });
            }
            _ => return Err(Violation::protocol("MQTT5 4.12", "the broker wants an exchange of AUTH packets")),
        }
        Ok(())
    }

    fn handle_connack(&mut self, ack: &ConnAck<'_>) {
        let (code, properties) = (ack.reason.0, ack.properties);
        if let Some(id) = properties.assigned_client_id() {
            id.clone_into(&mut self.shown_id);
        }
        self.note(|id| format!("Client {id} received CONNACK ({code})"));
        if code != 0 {
            let why = properties.reason_string().map(str::to_owned);
            self.events.push_back(Event::Refused { code, why });
            return;
        }
        self.server = Server {
            is_connected: true,
            receive_max: properties.receive_maximum().unwrap_or(u16::MAX),
            qos_max: properties.maximum_qos().unwrap_or(2),
            retains: properties.retain_available().unwrap_or(true),
            packet_bytes_max: properties.maximum_packet_size().unwrap_or(PACKET_BYTES_MAX),
        };
        if !ack.session_present {
            self.arrived.clear();
        }
        self.events.push_back(Event::Connected);
        self.resume(ack.session_present);
    }

    /// Sends again what was on its way. Where the broker has no session of it, all begins anew, but for what it had
    /// taken charge of (PUBREC): that is done.
    fn resume(&mut self, session_present: bool) {
        for flight in self.flights.rewind(session_present) {
            self.events.push_back(Event::Published { mid: flight, reason: ReasonCode::SUCCESS, why: None });
        }
        let version = self.options.version;
        for mid in self.flights.released() {
            self.note(|id| format!("Client {id} sending PUBREL (m{mid})"));
            encode_ack(AckKind::PubRel, packet_id(mid), ReasonCode::SUCCESS, version, &mut self.output);
        }
        self.send_waiting();
    }

    fn handle_publish(&mut self, publish: &Publish<'_>) -> Result<(), Violation> {
        let mid = publish.packet_id.map_or(0, PacketId::get);
        let topic = self.topic_of(publish)?;
        self.note(|id| {
            let (dup, qos, retain) = (u8::from(publish.dup), publish.qos as u8, u8::from(publish.retain));
            let len = publish.payload.len();
            format!("Client {id} received PUBLISH (d{dup}, q{qos}, r{retain}, m{mid}, '{topic}', ... ({len} bytes))")
        });
        let mut properties = PropertiesBuf::new();
        properties.extend(publish.properties.iter());
        let (payload, qos, retain) = (publish.payload.to_vec(), publish.qos, publish.retain);
        let message = Message { topic, payload, qos, retain, properties, mid };
        if qos == QoS::ExactlyOnce {
            self.note(|id| format!("Client {id} sending PUBREC (m{mid}, rc0)"));
            self.arrived.entry(mid).or_insert(message);
            encode_ack(AckKind::PubRec, packet_id(mid), ReasonCode::SUCCESS, self.options.version, &mut self.output);
        } else {
            self.events.push_back(Event::Message(message));
        }
        Ok(())
    }

    fn topic_of(&mut self, publish: &Publish<'_>) -> Result<String, Violation> {
        match publish.topic_alias {
            Some(alias) if publish.topic.is_empty() => self.aliases.get(&alias).cloned().ok_or_else(|| {
                let detail = "the broker uses a topic alias that it has not explained";
                Violation::with(ReasonCode::TOPIC_ALIAS_INVALID, "MQTT5 3.3.2.3.4", detail)
            }),
            Some(alias) => {
                self.aliases.insert(alias, publish.topic.to_owned());
                Ok(publish.topic.to_owned())
            }
            None => Ok(publish.topic.to_owned()),
        }
    }

    fn handle_pubrel(&mut self, ack: &Ack<'_>) {
        let mid = ack.packet_id.get();
        self.note(|id| format!("Client {id} received PUBREL (Mid: {mid})"));
        match self.arrived.remove(&mid) {
            Some(message) => self.events.push_back(Event::Message(message)),
            // Its message was delivered on a connection before this one.
            None => {
                self.note(|id| format!("Client {id} sending PUBCOMP (m{mid})"));
                let reason = ReasonCode::SUCCESS;
                encode_ack(AckKind::PubComp, ack.packet_id, reason, self.options.version, &mut self.output);
            }
        }
    }

    fn handle_pubrec(&mut self, ack: &Ack<'_>) {
        let mid = ack.packet_id.get();
        self.note(|id| format!("Client {id} received PUBREC (Mid: {mid})"));
        if ack.reason.is_error() {
            self.settle(ack, QoS::ExactlyOnce);
        } else if self.flights.release(mid) {
            self.note(|id| format!("Client {id} sending PUBREL (m{mid})"));
            encode_ack(AckKind::PubRel, ack.packet_id, ReasonCode::SUCCESS, self.options.version, &mut self.output);
        }
    }

    fn handle_done(&mut self, ack: &Ack<'_>, name: &str, qos: QoS) {
        let (mid, code) = (ack.packet_id.get(), ack.reason.0);
        self.note(|id| format!("Client {id} received {name} (Mid: {mid}, RC:{code})"));
        self.settle(ack, qos);
    }

    fn settle(&mut self, ack: &Ack<'_>, qos: QoS) {
        let mid = ack.packet_id.get();
        if !self.flights.remove(mid, qos) {
            return; // an answer to nothing
        }
        let why = ack.properties.reason_string().map(str::to_owned);
        self.events.push_back(Event::Published { mid, reason: ack.reason, why });
        self.send_waiting();
    }

    /// Sends what the window has room for. What the broker turns out not to take is done, and the event says so.
    fn send_waiting(&mut self) {
        let window = usize::from(self.options.inflight_max.min(self.server.receive_max));
        while self.server.is_connected
            && let Some((mut flight, is_again)) = self.flights.start_next(window)
        {
            let payload = mem::take(&mut flight.payload);
            let publish = Publish {
                dup: is_again,
                qos: flight.qos,
                retain: flight.retain,
                ..publish_packet(self.options, &flight.topic, &payload, Some(packet_id(flight.mid)))
            };
            let result = self.send_publish(&publish, flight.mid);
            flight.payload = payload;
            let (mid, qos) = (flight.mid, flight.qos);
            self.flights.put_back(flight);
            if let Err(error) = result {
                self.flights.remove(mid, qos);
                let (reason, why) = (ReasonCode::PACKET_TOO_LARGE, Some(error.to_string()));
                self.events.push_back(Event::Published { mid, reason, why });
            }
        }
    }

    fn send_publish(&mut self, publish: &Publish<'_>, mid: u16) -> Result<(), PublishError> {
        let is_named = !(self.has_published && publish.topic_alias.is_some());
        let topic = if is_named { publish.topic } else { "" };
        let start = self.output.len();
        let packet = Packet::Publish(Publish { topic, ..*publish });
        codec::encode(&packet, self.options.version, &mut self.output)?;
        let (bytes, max) = (self.output.len() - start, self.server.packet_bytes_max);
        if bytes > usize::try_from(max).unwrap_or(usize::MAX) {
            self.output.truncate(start);
            return Err(PublishError::TooLarge { bytes, max });
        }
        self.has_published = true;
        self.note(|id| {
            let (dup, qos, retain) = (u8::from(publish.dup), publish.qos as u8, u8::from(publish.retain));
            let (topic, len) = (if is_named { topic } else { "(null)" }, publish.payload.len());
            format!("Client {id} sending PUBLISH (d{dup}, q{qos}, r{retain}, m{mid}, '{topic}', ... ({len} bytes))")
        });
        Ok(())
    }

    fn check_size(&self, flight: &Flight) -> Result<(), PublishError> {
        let publish = publish_packet(self.options, &flight.topic, &flight.payload, None);
        // The fixed header, the topic and the packet identifier are at most so long beside what they hold.
        let bytes = publish.payload.len() + publish.topic.len() + publish.properties.as_bytes().len() + 5 + 2 + 2 + 1;
        let max = self.server.packet_bytes_max;
        if bytes > usize::try_from(max).unwrap_or(usize::MAX) {
            return Err(PublishError::TooLarge { bytes, max });
        }
        Ok(())
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

/// CONNECT, as the options have it.
pub(crate) fn connect_packet(options: &Options) -> Packet<'_> {
    Packet::Connect(Box::new(Connect {
        version: options.version,
        clean_start: options.clean,
        keep_alive: options.keep_alive,
        client_id: options.client_id.as_deref().unwrap_or_default(),
        will: options.will.as_ref().map(|will| Will {
            qos: will.qos,
            retain: will.retain,
            topic: &will.topic,
            payload: &will.payload,
            properties: options.will_properties.as_properties(),
        }),
        username: options.username.as_deref(),
        password: options.password.as_deref(),
        properties: options.connect_properties.as_properties(),
    }))
}

/// PUBLISH, as the options have it.
pub(crate) fn publish_packet<'a>(
    options: &'a Options,
    topic: &'a str,
    payload: &'a [u8],
    packet_id: Option<PacketId>,
) -> Publish<'a> {
    let properties = options.publish_properties.as_properties();
    Publish {
        dup: false,
        qos: if packet_id.is_some() { options.qos } else { QoS::AtMostOnce },
        retain: options.retain,
        topic,
        packet_id,
        topic_alias: properties.topic_alias().filter(|_| options.version == Version::V5),
        expiry: properties.message_expiry(),
        properties,
        forwards_unchanged: false,
        payload,
    }
}

/// The options of each subscription.
pub(crate) fn subscribe_options(options: &Options) -> SubscribeOptions {
    SubscribeOptions {
        qos: options.qos,
        no_local: false,
        retain_as_published: options.retain_as_published,
        retain_handling: options.retain_handling,
    }
}

fn options_byte(options: SubscribeOptions) -> u8 {
    (options.retain_handling as u8) << 4 | u8::from(options.retain_as_published) << 3
}

/// Identifiers are never 0 here.
fn packet_id(mid: u16) -> PacketId {
    PacketId::new(mid).unwrap_or(PacketId::MIN)
}
