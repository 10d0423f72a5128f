//! A session and what a test needs around it: packets in, packets out as values, commits on demand.

use primer_core::{
    backlog::Position,
    commit::{Committed, Notifier, Outcome as Decision},
};

use crate::{
    ReasonCode, Version, Violation,
    codec::{
        Decoded, Role, Rules, decode,
        packet::{Ack, Connect, Packet, PacketId, Publish, QoS},
        properties::Properties,
    },
    session::{Delivery, Greeting, Opening, PublishToken, Sent, ServerOptions, Session, Step, Terms},
};

pub(super) const VERSIONS: [Version; 3] = [Version::V31, Version::V311, Version::V5];
pub(super) const SUCCESS: ReasonCode = ReasonCode::SUCCESS;

/// A packet of the server as the client reads it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Said {
    Greeted { session_present: bool },
    Publish { id: Option<u16>, dup: bool, qos: QoS, topic: String, alias: Option<u16>, payload: Vec<u8> },
    Ack(u16, ReasonCode),
    Rec(u16, ReasonCode),
    Rel(u16, ReasonCode),
    Comp(u16, ReasonCode),
    Other(String),
}

/// Reads all that the server wrote, in the client's role; bytes that are no whole packets fail the test.
pub(super) fn said(bytes: &[u8], version: Version) -> Vec<Said> {
    packets(bytes, version)
        .into_iter()
        .map(|packet| match packet {
            Packet::ConnAck(connack) => Said::Greeted { session_present: connack.session_present },
            Packet::Publish(publish) => Said::Publish {
                id: publish.packet_id.map(PacketId::get),
                dup: publish.dup,
                qos: publish.qos,
                topic: publish.topic.to_owned(),
                alias: publish.topic_alias,
                payload: publish.payload.to_vec(),
            },
            Packet::PubAck(ack) => Said::Ack(ack.packet_id.get(), ack.reason),
            Packet::PubRec(ack) => Said::Rec(ack.packet_id.get(), ack.reason),
            Packet::PubRel(ack) => Said::Rel(ack.packet_id.get(), ack.reason),
            Packet::PubComp(ack) => Said::Comp(ack.packet_id.get(), ack.reason),
            other => Said::Other(format!("{other:?}")),
        })
        .collect()
}

/// As [`said`], with everything that the packets hold.
pub(super) fn packets(bytes: &[u8], version: Version) -> Vec<Packet<'_>> {
    let rules = Rules { role: Role::Client, version: Some(version), max_packet_size: u32::MAX };
    let mut packets = Vec::new();
    let mut rest = bytes;
    while !rest.is_empty() {
        match decode(rest, &rules) {
            Ok(Decoded::Packet { packet, len }) => {
                packets.push(packet);
                rest = &rest[len..];
            }
            other => panic!("a client cannot read {rest:02x?}: {other:?}"),
        }
    }
    packets
}

/// The proof for `token`, of a publish that reached somebody or nobody.
pub(super) fn committed<T: std::fmt::Debug>(token: T, reached: bool) -> Committed<T> {
    let mut notifier = Notifier::default();
    let ballot = notifier.open(token);
    if reached {
        notifier.reach(ballot);
    }
    notifier.close(ballot);
    match notifier.release() {
        Some(Decision::Committed(proof)) => proof,
        other => panic!("a closed ballot without a refusal is committed: {other:?}"),
    }
}

pub(super) fn id(value: u16) -> PacketId {
    PacketId::new(value).unwrap()
}

/// Options of which CONNACK has nothing to say.
pub(super) fn quiet() -> ServerOptions {
    ServerOptions {
        receive_maximum: u16::MAX,
        packet_bytes_max: crate::limits::REMAINING_LENGTH_MAX + 5,
        alias_maximum: 0,
        keep_alive_max_s: 0,
        ..ServerOptions::default()
    }
}

/// A CONNECT with nothing special about it.
pub(super) fn connect(version: Version) -> Connect<'static> {
    Connect {
        version,
        clean_start: false,
        keep_alive: 30,
        client_id: "client",
        will: None,
        username: None,
        password: None,
        properties: Properties::EMPTY,
    }
}

/// A publish of the client.
pub(super) fn publish(qos: QoS, packet_id: u16) -> Publish<'static> {
    Publish {
        dup: false,
        qos,
        retain: false,
        topic: "up/1",
        packet_id: (qos != QoS::AtMostOnce).then(|| id(packet_id)),
        topic_alias: None,
        expiry: None,
        properties: Properties::EMPTY,
        forwards_unchanged: true,
        payload: b"payload",
    }
}

/// A publish to the client.
pub(super) fn delivery(qos: QoS) -> Delivery<'static> {
    Delivery {
        topic: "down/1",
        forward: &[],
        payload: b"payload",
        expiry_s: None,
        qos,
        retain: false,
        subscription_ids: &[],
    }
}

pub(super) fn ack(packet_id: u16, reason: ReasonCode) -> Ack<'static> {
    Ack { packet_id: id(packet_id), reason, properties: Properties::EMPTY }
}

/// A session with its buffer.
pub(super) struct Rig {
    pub(super) session: Session,
    pub(super) options: ServerOptions,
    pub(super) version: Version,
    pub(super) out: Vec<u8>,
}

impl Rig {
    /// A session without a connection.
    pub(super) fn new(version: Version, options: ServerOptions) -> Self {
        Self { session: Session::default(), options, version, out: Vec::new() }
    }

    /// A session with a connection; its CONNACK has been read.
    pub(super) fn connected(version: Version) -> Self {
        Self::connected_with(version, |_| ())
    }

    /// A session with a connection under terms that differ from the usual.
    pub(super) fn connected_with(version: Version, change: impl FnOnce(&mut Terms)) -> Self {
        let mut rig = Self::new(version, quiet());
        rig.accept(&connect(version), change);
        rig
    }

    /// Begins a connection; answers what the server says at once, after CONNACK. There is no connection where the
    /// client takes no packet of the CONNACK's size.
    pub(super) fn accept(&mut self, connect: &Connect<'_>, change: impl FnOnce(&mut Terms)) -> Vec<Said> {
        let mut terms = Terms::negotiate(connect, &self.options).unwrap();
        change(&mut terms);
        self.session.detach();
        self.out.clear();
        let proof = committed(Opening { session_present: true }, true);
        if !self.session.accept(proof, &terms, &self.options, Greeting::default(), &mut self.out) {
            assert!(self.out.is_empty(), "there is no connection and something was said");
            return Vec::new();
        }
        let mut said = self.said();
        assert!(matches!(said.remove(0), Said::Greeted { .. }), "CONNACK comes first [MQTT-3.2.0-1]");
        said
    }

    /// Cuts the connection and begins the next one, as [`accept`](Self::accept) does.
    pub(super) fn reconnect(&mut self) -> Vec<Said> {
        self.accept(&connect(self.version), |_| ())
    }

    pub(super) fn reconnect_with_window(&mut self, window: u16) -> Vec<Said> {
        self.accept(&connect(self.version), |terms| terms.window = window)
    }

    pub(super) fn handle<'a>(&mut self, packet: Packet<'a>) -> Result<Step<'a>, Violation> {
        self.session.handle(packet, &mut self.out)
    }

    /// Takes a publish in, which must be one to route, and answers its token.
    pub(super) fn take_in(&mut self, qos: QoS, packet_id: u16) -> PublishToken {
        match self.handle(Packet::Publish(publish(qos, packet_id))) {
            Ok(Step::Publish { token: Some(token), .. }) => token,
            other => panic!("no token: {other:?}"),
        }
    }

    pub(super) fn acknowledge(&mut self, token: PublishToken) {
        self.session.acknowledge(committed(token, true), &mut self.out);
    }

    pub(super) fn refuse(&mut self, token: PublishToken, reason: ReasonCode) -> Result<(), Violation> {
        self.session.refuse(token, reason, "no room", &mut self.out)
    }

    /// Sends a new message of the queue's `position`, as far as the connection allows.
    pub(super) fn send(&mut self, qos: QoS, position: u64) -> Sent {
        self.session.send(&delivery(qos), Position(position), &mut self.out)
    }

    /// Sends again what is due; answers the positions.
    pub(super) fn send_again(&mut self, qos: QoS) -> Vec<u64> {
        let mut positions = Vec::new();
        while let Some(resend) = self.session.next_resend() {
            assert_eq!(self.session.send_again(resend, &delivery(qos), &mut self.out), Sent::Written);
            positions.push(resend.position.0);
        }
        positions
    }

    /// What was written since the last call.
    pub(super) fn said(&mut self) -> Vec<Said> {
        said(&std::mem::take(&mut self.out), self.version)
    }
}

/// The identifiers of the publishes among what was said, with their DUP flags.
pub(super) fn publish_ids(said: &[Said]) -> Vec<(u16, bool)> {
    said.iter()
        .filter_map(|said| match said {
            Said::Publish { id: Some(id), dup, .. } => Some((*id, *dup)),
            _ => None,
        })
        .collect()
}
