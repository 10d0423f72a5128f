//! A blocking MQTT 5.0 client for one connection to one broker: what the commands need, and no more. No
//! thread and no reconnect; whatever goes wrong ends the command with a sentence.

use std::{
    collections::VecDeque,
    io::{self, Read, Write},
    net::{TcpStream, ToSocketAddrs},
    time::{Duration, Instant},
};

use anyhow::{Context, anyhow, bail};
use primer_mqtt::{
    ReasonCode, Version,
    codec::{
        self, AckKind, Decoded, FiltersBuf, Role, Rules, encode_ack,
        packet::{
            Ack, Connect, Outcome, Packet, PacketId, Publish, QoS, SubAck, Subscribe, SubscribeOptions, Unsubscribe,
        },
        properties::{Properties, PropertiesBuf, Property},
    },
};

use super::Target;

/// How long one address may take to accept.
const CONNECT_PATIENCE: Duration = Duration::from_secs(5);

/// How long the broker may say nothing until it is asked for a sign of life, and then until it counts as gone.
const SILENCE: Duration = Duration::from_secs(15);

const READ_BYTES: usize = 64 * 1024;

/// The largest packet of MQTT.
const PACKET_BYTES_MAX: u32 = 268_435_460;

/// Publishes on their way to the broker at a time, where it takes so many.
const WINDOW_MAX: u16 = 100;

/// A publish as it came.
#[derive(Debug)]
pub(crate) struct Arrived {
    pub(crate) topic: String,
    pub(crate) payload: Vec<u8>,
    pub(crate) qos: QoS,
    pub(crate) retain: bool,
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) content_type: Option<String>,
    pub(crate) response_topic: Option<String>,
    pub(crate) correlation: Option<Vec<u8>>,
    /// Whether the publisher says that the payload is UTF-8 text.
    pub(crate) is_text: Option<bool>,
    /// What it is acknowledged by; `None` for QoS 0.
    pub(crate) packet_id: Option<PacketId>,
}

/// An answer of the broker.
#[derive(Debug)]
enum Heard {
    Connected { receive_max: u16 },
    Acknowledged { id: PacketId, refused: Option<String> },
    Subscribed { refused: Option<String> },
    Unsubscribed,
    Pong,
}

/// See the module's description.
pub(crate) struct Client {
    stream: TcpStream,
    address: String,
    unread: Vec<u8>,
    arrived: VecDeque<Arrived>,
    next_id: u16,
    /// Publishes that the broker takes at a time.
    window: u16,
    /// Publishes without their acknowledgement, oldest first.
    underway: VecDeque<PacketId>,
}

impl Client {
    /// Connects; the broker may send `receive_max` messages at a time.
    pub(crate) fn connect(target: &Target, receive_max: Option<u16>) -> anyhow::Result<Self> {
        let address = format!("{}:{}", target.host, target.port);
        let stream = reach(target, &address)?;
        stream.set_nodelay(true).context("the socket")?;
        let (unread, arrived, underway) = (Vec::new(), VecDeque::new(), VecDeque::new());
        let mut client = Self { stream, address, unread, arrived, next_id: 0, window: WINDOW_MAX, underway };
        let mut properties = PropertiesBuf::new();
        if let Some(receive_max) = receive_max {
            properties.push(&Property::ReceiveMaximum(receive_max));
        }
        client.send(&Packet::Connect(Box::new(Connect {
            version: Version::V5,
            clean_start: true,
            keep_alive: 0, // what is piped into `put` may come hours later
            client_id: "", // the broker makes one up: two commands at a time are two clients
            will: None,
            username: target.username.as_deref(),
            password: target.password.as_deref().map(str::as_bytes),
            properties: properties.as_properties(),
        })))?;
        match client.hear(None)? {
            Some(Heard::Connected { receive_max }) => client.window = receive_max.min(WINDOW_MAX),
            _ => bail!("{} answered CONNECT with something else: is it an MQTT broker?", client.address),
        }
        Ok(client)
    }

    /// Publishes at QoS 1; waits only while too many are on their way. See [`settle`](Self::settle).
    pub(crate) fn publish(&mut self, topic: &str, properties: &PropertiesBuf, payload: &[u8]) -> anyhow::Result<()> {
        while self.underway.len() >= usize::from(self.window) {
            self.await_ack()?;
        }
        let id = self.next_id();
        self.underway.push_back(id);
        let properties = properties.as_properties();
        self.send(&Packet::Publish(Publish {
            dup: false,
            qos: QoS::AtLeastOnce,
            retain: false,
            topic,
            packet_id: Some(id),
            topic_alias: None,
            expiry: properties.message_expiry(),
            properties,
            forwards_unchanged: false,
            payload,
        }))
    }

    /// Waits until all publishes are acknowledged.
    pub(crate) fn settle(&mut self) -> anyhow::Result<()> {
        while !self.underway.is_empty() {
            self.await_ack()?;
        }
        Ok(())
    }

    /// How many publishes are not acknowledged.
    pub(crate) fn underway(&self) -> usize {
        self.underway.len()
    }

    fn await_ack(&mut self) -> anyhow::Result<()> {
        match self.hear(None)? {
            Some(Heard::Acknowledged { id, refused }) => {
                if let Some(why) = refused {
                    bail!("{why}");
                }
                self.underway.retain(|known| *known != id);
                Ok(())
            }
            _ => Ok(()),
        }
    }

    /// Subscribes.
    pub(crate) fn subscribe(&mut self, filter: &str, options: SubscribeOptions) -> anyhow::Result<()> {
        let mut filters = FiltersBuf::subscribe();
        filters.push(filter, options);
        let (packet_id, filters) = (self.next_id(), filters.as_filters());
        let properties = Properties::EMPTY;
        self.send(&Packet::Subscribe(Subscribe { packet_id, subscription_id: None, properties, filters }))?;
        loop {
            match self.hear(None)? {
                Some(Heard::Subscribed { refused: Some(why) }) => bail!("{why}"),
                Some(Heard::Subscribed { refused: None }) => return Ok(()),
                _ => {}
            }
        }
    }

    /// Ends a subscription: nothing more comes after this.
    pub(crate) fn unsubscribe(&mut self, filter: &str) -> anyhow::Result<()> {
        let mut filters = FiltersBuf::unsubscribe();
        filters.push(filter, SubscribeOptions::from_qos(QoS::AtMostOnce));
        let (packet_id, filters) = (self.next_id(), filters.as_filters());
        self.send(&Packet::Unsubscribe(Unsubscribe { packet_id, properties: Properties::EMPTY, filters }))?;
        while !matches!(self.hear(None)?, Some(Heard::Unsubscribed)) {}
        Ok(())
    }

    /// The next message; `None` when none comes until `end`.
    pub(crate) fn next(&mut self, end: Instant) -> anyhow::Result<Option<Arrived>> {
        while self.arrived.is_empty() {
            if self.hear(Some(end))?.is_none() && self.arrived.is_empty() && Instant::now() >= end {
                return Ok(None);
            }
        }
        Ok(self.arrived.pop_front())
    }

    /// Answers a message.
    pub(crate) fn acknowledge(&mut self, id: PacketId, reason: ReasonCode) -> anyhow::Result<()> {
        let mut out = Vec::new();
        encode_ack(AckKind::PubAck, id, reason, Version::V5, &mut out);
        self.write(&out)
    }

    /// Says goodbye, and waits until the broker has heard all before it.
    pub(crate) fn disconnect(mut self) -> anyhow::Result<()> {
        let properties = Properties::EMPTY;
        self.send(&Packet::Disconnect(Outcome { reason: ReasonCode::SUCCESS, properties }))?;
        let end = Instant::now() + SILENCE;
        let mut rest = [0; READ_BYTES];
        while let Some(left) = end.checked_duration_since(Instant::now()).filter(|left| !left.is_zero()) {
            self.stream.set_read_timeout(Some(left)).context("the socket")?;
            match self.stream.read(&mut rest) {
                Ok(0) => break,
                Ok(_) => {}
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(_) => break, // it was a farewell
            }
        }
        Ok(())
    }

    /// Reads until there is an answer, or a message has come; without an end the broker has to give a sign of life now
    /// and then. `None` for a message, or when the time is up.
    fn hear(&mut self, end: Option<Instant>) -> anyhow::Result<Option<Heard>> {
        let mut is_asked = false;
        loop {
            let before = self.arrived.len();
            if let Some(heard) = self.take_packet()? {
                match heard {
                    Heard::Pong => continue,
                    heard => return Ok(Some(heard)),
                }
            }
            if self.arrived.len() > before {
                return Ok(None);
            }
            let now = Instant::now();
            let left = end.map_or(SILENCE, |end| end.saturating_duration_since(now).min(SILENCE));
            if left.is_zero() {
                return Ok(None);
            }
            if self.read(left)? {
                is_asked = false;
                continue;
            }
            if left < SILENCE {
                continue;
            }
            if is_asked {
                bail!("{} does not answer any more", self.address);
            }
            self.write(&[0xC0, 0])?;
            is_asked = true;
        }
    }

    /// Reads what there is; `false` when nothing came in time.
    fn read(&mut self, patience: Duration) -> anyhow::Result<bool> {
        let address = &self.address;
        self.stream.set_read_timeout(Some(patience)).context("the socket")?;
        let mut bytes = [0; READ_BYTES];
        match self.stream.read(&mut bytes) {
            Ok(0) => bail!("{address} closed the connection"),
            Ok(n) => {
                self.unread.extend_from_slice(bytes.get(..n).unwrap_or_default());
                Ok(true)
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => Ok(true),
            Err(error) if matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut) => Ok(false),
            Err(error) => Err(error).with_context(|| format!("the connection to {address}")),
        }
    }

    /// Takes one whole packet out of what was read, if there is one; messages go where they are waited for.
    fn take_packet(&mut self) -> anyhow::Result<Option<Heard>> {
        let rules = Rules { role: Role::Client, version: Some(Version::V5), max_packet_size: PACKET_BYTES_MAX };
        let (heard, len) = match codec::decode(&self.unread, &rules) {
            Ok(Decoded::Packet { packet, len }) => (understand(&packet, &mut self.arrived), len),
            Ok(Decoded::Incomplete { .. }) => return Ok(None),
            Err(error) => bail!("{} broke the protocol: {} [{}]", self.address, error.detail, error.clause),
        };
        self.unread.drain(..len);
        heard.map_err(|why| anyhow!("{}: {why}", self.address))
    }

    fn send(&mut self, packet: &Packet<'_>) -> anyhow::Result<()> {
        let mut out = Vec::new();
        codec::encode(packet, Version::V5, &mut out).context("the message")?;
        self.write(&out)
    }

    fn write(&mut self, bytes: &[u8]) -> anyhow::Result<()> {
        let Err(error) = self.stream.write_all(bytes) else { return Ok(()) };
        // Why the broker has closed the connection may be among what it sent last.
        while self.read(Duration::from_secs(1))? {
            while self.take_packet()?.is_some() {}
        }
        Err(error).with_context(|| format!("the connection to {}", self.address))
    }

    fn next_id(&mut self) -> PacketId {
        self.next_id = self.next_id.checked_add(1).unwrap_or(1);
        PacketId::new(self.next_id).unwrap_or(PacketId::MIN)
    }
}

/// Connects to the first address that accepts.
fn reach(target: &Target, address: &str) -> anyhow::Result<TcpStream> {
    let found = (&*target.host, target.port).to_socket_addrs();
    let found = found.with_context(|| format!("{:?} is no name or address of a host (-h)", target.host))?;
    let mut last = None;
    for one in found {
        match TcpStream::connect_timeout(&one, CONNECT_PATIENCE) {
            Ok(stream) => return Ok(stream),
            Err(error) => last = Some(error),
        }
    }
    let why = last.map_or_else(|| "the name has no address".to_owned(), |error| error.to_string());
    bail!("no broker at {address}: {why}. Is it running? `primer serve` starts one here; -h and -p name another")
}

/// What a packet says; `Ok(None)` for a message, which goes to `arrived`.
fn understand(packet: &Packet<'_>, arrived: &mut VecDeque<Arrived>) -> Result<Option<Heard>, String> {
    Ok(Some(match packet {
        Packet::ConnAck(ack) if ack.reason.is_error() => {
            let hint = match ack.reason {
                ReasonCode::BAD_USER_NAME_OR_PASSWORD | ReasonCode::NOT_AUTHORIZED => " (-u NAME -P PASSWORD)",
                _ => "",
            };
            return Err(format!("{}{hint}", refusal("the broker does not let you in", ack.reason, ack.properties)));
        }
        Packet::ConnAck(ack) => Heard::Connected { receive_max: ack.properties.receive_maximum().unwrap_or(u16::MAX) },
        Packet::PubAck(Ack { packet_id, reason, properties }) => {
            let refused = reason.is_error().then(|| refusal("the broker refused it", *reason, *properties));
            Heard::Acknowledged { id: *packet_id, refused }
        }
        Packet::SubAck(SubAck { codes, properties, .. }) => {
            let wrong = codes.iter().map(|code| ReasonCode(*code)).find(|code| code.is_error());
            Heard::Subscribed { refused: wrong.map(|code| refusal("the broker refused it", code, *properties)) }
        }
        Packet::UnsubAck(_) => Heard::Unsubscribed,
        Packet::PingResp => Heard::Pong,
        Packet::Publish(publish) => {
            arrived.push_back(owned(publish));
            return Ok(None);
        }
        Packet::Disconnect(Outcome { reason, properties }) => {
            return Err(refusal("the broker ended the connection", *reason, *properties));
        }
        _ => return Err("the broker sent a packet that nobody asked for".to_owned()),
    }))
}

fn owned(publish: &Publish<'_>) -> Arrived {
    let properties = publish.properties;
    let pair = |(name, value): (&str, &str)| (name.to_owned(), value.to_owned());
    Arrived {
        topic: publish.topic.to_owned(),
        payload: publish.payload.to_vec(),
        qos: publish.qos,
        retain: publish.retain,
        headers: properties.user_properties().map(pair).collect(),
        content_type: properties.content_type().map(str::to_owned),
        response_topic: properties.response_topic().map(str::to_owned),
        is_text: properties.payload_format().map(|format| format == 1),
        correlation: properties.correlation_data().map(<[u8]>::to_vec),
        packet_id: publish.packet_id,
    }
}

fn refusal(what: &str, reason: ReasonCode, properties: Properties<'_>) -> String {
    match properties.reason_string() {
        Some(why) => format!("{what}: {} ({why})", reason.name()),
        None => format!("{what}: {}", reason.name()),
    }
}
