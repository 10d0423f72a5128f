//! A well-behaved blocking client, for tests that are about what the broker does with messages.
//!
//! Nothing runs in the background: packets are read while a call waits for one. What a call does not wait for is kept
//! in its order: messages for `recv_publish`, all else for `recv_other`. Messages are acknowledged as they are read,
//! unless [`Client::manual_ack`] was called. Keep alive is the test's business (`ping`).

mod receive;

use std::collections::{HashSet, VecDeque};
use std::net::SocketAddr;

use crate::raw::Raw;
use crate::wire::{self, Ack, Connect, Packet, Prop, Publish, Version};

/// A connected client.
#[derive(Debug)]
pub struct Client {
    raw: Raw,
    version: Version,
    session_present: bool,
    connack_props: Vec<Prop>,
    last_pid: u16,
    auto_ack: bool,
    /// Identifiers of QoS 2 messages that were received and not yet released; a second copy of one is dropped.
    unreleased: HashSet<u16>,
    messages: VecDeque<Publish>,
    others: VecDeque<Packet>,
    /// Whether the end of the stream was read.
    closed: bool,
}

/// A refused connection.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refused {
    /// The code of the CONNACK; `None` when the connection was closed without one.
    pub code: Option<u8>,
    /// Its properties.
    pub props: Vec<Prop>,
}

impl Client {
    /// Connects with MQTT 5.0 and a clean start.
    ///
    /// # Panics
    /// When the broker refuses, as for all calls of this type that have no other way to say so.
    #[must_use]
    #[track_caller]
    pub fn v5(addr: SocketAddr, id: &str) -> Self {
        Self::open(addr, &wire::connect(Version::V5, id))
    }

    /// Connects with MQTT 3.1.1 and a clean session.
    #[must_use]
    #[track_caller]
    pub fn v311(addr: SocketAddr, id: &str) -> Self {
        Self::open(addr, &wire::connect(Version::V311, id))
    }

    /// Connects with MQTT 5.0 and the options that the function sets: `Client::v5_with(addr, "a", |c| c.clean(false))`.
    #[must_use]
    #[track_caller]
    pub fn v5_with(addr: SocketAddr, id: &str, options: impl FnOnce(Connect) -> Connect) -> Self {
        Self::connect_with(addr, Version::V5, id, options)
    }

    /// Connects with MQTT 3.1.1 and the options that the function sets.
    #[must_use]
    #[track_caller]
    pub fn v311_with(addr: SocketAddr, id: &str, options: impl FnOnce(Connect) -> Connect) -> Self {
        Self::connect_with(addr, Version::V311, id, options)
    }

    /// Connects with a version and the options that the function sets.
    #[must_use]
    #[track_caller]
    pub fn connect_with(
        addr: SocketAddr,
        version: Version,
        id: &str,
        options: impl FnOnce(Connect) -> Connect,
    ) -> Self {
        Self::open(addr, &options(wire::connect(version, id)))
    }

    /// Connects with this packet.
    #[must_use]
    #[track_caller]
    pub fn open(addr: SocketAddr, connect: &Connect) -> Self {
        match Self::try_open(addr, connect) {
            Ok(client) => client,
            Err(refused) => panic!("{:?} was refused: {refused:02x?}", connect.id),
        }
    }

    /// Connects with this packet, or tells how the broker refused.
    ///
    /// # Errors
    /// When the CONNACK has a code other than 0, or the connection is closed without one.
    #[track_caller]
    pub fn try_open(addr: SocketAddr, connect: &Connect) -> Result<Self, Refused> {
        let mut raw = Raw::connect(addr);
        raw.send(&connect.build());
        let Some(bytes) = raw.recv_packet() else { return Err(Refused { code: None, props: Vec::new() }) };
        let (session_present, connack_props) = match wire::parse(&bytes, connect.version.is_v5()) {
            Packet::Connack { session_present, code: 0, props } => (session_present, props),
            Packet::Connack { code, props, .. } => return Err(Refused { code: Some(code), props }),
            other => panic!("awaited a CONNACK, received {other:02x?}"),
        };
        Ok(Self {
            raw,
            version: connect.version,
            session_present,
            connack_props,
            last_pid: 0,
            auto_ack: true,
            unreleased: HashSet::new(),
            messages: VecDeque::new(),
            others: VecDeque::new(),
            closed: false,
        })
    }

    /// Leaves the acknowledgement of received messages to the test: see [`Client::ack`] and [`Client::send_ack`].
    pub fn manual_ack(&mut self) {
        self.auto_ack = false;
    }

    /// Subscribes to one filter with a QoS (or, in 5.0, an option byte) and gives the code of the SUBACK.
    #[track_caller]
    pub fn subscribe(&mut self, filter: &str, options: u8) -> u8 {
        self.subscribe_with(&[(filter, options)], &[])[0]
    }

    /// Subscribes to filters, with properties, and gives the code of each.
    #[track_caller]
    pub fn subscribe_with(&mut self, filters: &[(&str, u8)], props: &[Prop]) -> Vec<u8> {
        let pid = self.next_pid();
        self.send(&wire::subscribe_with(self.version, pid, filters, props));
        let answer = self.await_other(|packet| matches!(packet, Packet::Suback { pid: theirs, .. } if *theirs == pid));
        match answer {
            Packet::Suback { codes, .. } if codes.len() == filters.len() => codes,
            other => panic!("{} filters were answered with {other:02x?}", filters.len()),
        }
    }

    /// Unsubscribes from one filter and gives the code of the UNSUBACK, which is always 0 in 3.1.1.
    #[track_caller]
    pub fn unsubscribe(&mut self, filter: &str) -> u8 {
        self.unsubscribe_with(&[filter], &[])[0]
    }

    /// Unsubscribes from filters, with properties, and gives the code of each.
    #[track_caller]
    pub fn unsubscribe_with(&mut self, filters: &[&str], props: &[Prop]) -> Vec<u8> {
        let pid = self.next_pid();
        self.send(&wire::unsubscribe_with(self.version, pid, filters, props));
        let answer =
            self.await_other(|packet| matches!(packet, Packet::Unsuback { pid: theirs, .. } if *theirs == pid));
        match answer {
            Packet::Unsuback { codes, .. } if codes.len() == filters.len() => codes,
            Packet::Unsuback { codes, .. } if codes.is_empty() && !self.version.is_v5() => vec![0; filters.len()],
            other => panic!("{} filters were answered with {other:02x?}", filters.len()),
        }
    }

    /// Publishes, completes the handshake of the QoS and gives its reason: 0 for QoS 0 and in 3.1.1.
    #[track_caller]
    pub fn publish(&mut self, topic: &str, payload: impl AsRef<[u8]>, qos: u8) -> u8 {
        self.publish_packet(wire::publish(self.version, topic, payload.as_ref()), qos)
    }

    /// Publishes a retained message as [`Client::publish`] does; an empty payload clears the topic.
    #[track_caller]
    pub fn publish_retained(&mut self, topic: &str, payload: impl AsRef<[u8]>, qos: u8) -> u8 {
        self.publish_packet(wire::publish(self.version, topic, payload.as_ref()).retain(), qos)
    }

    /// Publishes with properties as [`Client::publish`] does.
    #[track_caller]
    pub fn publish_with(&mut self, topic: &str, payload: impl AsRef<[u8]>, qos: u8, props: &[Prop]) -> u8 {
        self.publish_packet(wire::publish(self.version, topic, payload.as_ref()).props(props), qos)
    }

    /// Publishes this packet, with a packet identifier of the client where the QoS wants one and the packet has none,
    /// and completes the handshake. A PUBREC that refuses ends it.
    #[track_caller]
    pub fn publish_packet(&mut self, mut packet: Publish, qos: u8) -> u8 {
        packet.qos = qos;
        if qos == 0 {
            self.send(&packet.build());
            return 0;
        }
        let pid = *packet.pid.get_or_insert_with(|| self.next_pid());
        self.send(&packet.build());
        if qos == 1 {
            return self.await_ack(Ack::Puback, pid);
        }
        let reason = self.await_ack(Ack::Pubrec, pid);
        if reason >= 0x80 {
            return reason;
        }
        self.send(&wire::pubrel(pid));
        self.await_ack(Ack::Pubcomp, pid)
    }

    /// Acknowledges a message in full: PUBACK, or PUBREC, PUBREL and PUBCOMP.
    #[track_caller]
    pub fn ack(&mut self, message: &Publish) {
        match (message.qos, message.pid) {
            (1, Some(pid)) => self.send(&wire::puback(pid)),
            (2, Some(pid)) => {
                self.send(&wire::pubrec(pid));
                self.await_ack(Ack::Pubrel, pid);
                self.send(&wire::pubcomp(pid));
            }
            _ => {}
        }
    }

    /// Sends one acknowledgement in the short form.
    #[track_caller]
    pub fn send_ack(&mut self, kind: Ack, pid: u16) {
        self.send(&wire::frame(kind.first_byte(), &pid.to_be_bytes()));
    }

    /// Waits for an acknowledgement and gives its reason. Other packets are kept.
    #[track_caller]
    pub fn await_ack(&mut self, kind: Ack, pid: u16) -> u8 {
        let is_it = |packet: &Packet| matches!(packet, Packet::Ack { kind: k, pid: p, .. } if *k == kind && *p == pid);
        self.await_other(is_it).reason().unwrap_or(0)
    }

    /// Sends a PINGREQ and waits for its answer; with it, all that the broker had sent before is read.
    #[track_caller]
    pub fn ping(&mut self) {
        self.send(&wire::pingreq());
        self.await_other(|packet| *packet == Packet::Pingresp);
    }

    /// Sends bytes.
    #[track_caller]
    pub fn send(&mut self, bytes: &[u8]) {
        self.raw.send(bytes);
    }

    /// A packet identifier that was not used in this connection's last 65,534.
    pub fn next_pid(&mut self) -> u16 {
        self.last_pid = self.last_pid.checked_add(1).unwrap_or(1);
        self.last_pid
    }

    /// Says DISCONNECT and waits until the broker has closed.
    #[track_caller]
    pub fn disconnect(mut self) {
        self.send(&wire::disconnect());
        self.raw.recv_until_closed();
    }

    /// Says DISCONNECT with a reason and properties (5.0) and waits until the broker has closed.
    #[track_caller]
    pub fn disconnect_with(mut self, reason: u8, props: &[Prop]) {
        self.send(&wire::disconnect_with(reason, Some(props)));
        self.raw.recv_until_closed();
    }

    /// Closes the connection without DISCONNECT.
    pub fn abort(self) {
        self.raw.abort();
    }

    /// Resets the connection without DISCONNECT.
    #[track_caller]
    pub fn abort_rst(self) {
        self.raw.abort_rst();
    }

    /// Whether the broker had a session.
    #[must_use]
    pub fn session_present(&self) -> bool {
        self.session_present
    }

    /// The properties of the CONNACK.
    #[must_use]
    pub fn connack_props(&self) -> &[Prop] {
        &self.connack_props
    }

    /// The version that it speaks.
    #[must_use]
    pub fn version(&self) -> Version {
        self.version
    }

    /// The connection, for what this type cannot do. Packets read through it are not seen by the client.
    pub fn raw(&mut self) -> &mut Raw {
        &mut self.raw
    }
}
