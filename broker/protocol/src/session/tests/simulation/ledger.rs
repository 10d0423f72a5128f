//! The onlooker: knows what was promised and what happened, and fails at the first step that breaks a promise.

use std::collections::{BTreeMap, BTreeSet};

use super::{
    message::{number_of, topic_of},
    tally::{Event, Tally},
};
use crate::{
    ReasonCode, Version,
    codec::{
        Decoded, Role, Rules, decode,
        packet::{Packet, QoS},
    },
    session::tests::rig::{Said, said},
};

/// A message from the server's queue to the client.
#[derive(Debug)]
struct Pushed {
    qos: QoS,
    delivered: u32,
    rejected: bool,
    /// A clean start or the client's Maximum Packet Size has ended the promise.
    forgiven: bool,
}

/// A message of the client.
#[derive(Debug)]
struct Published {
    qos: QoS,
    committed: u32,
    /// What the client was told in the end.
    told: Option<ReasonCode>,
    forgotten: bool,
}

/// One publish that the machine handed out: the first of its message, or a repetition that it took for a new one.
#[derive(Debug)]
struct Instance {
    number: u32,
    qos: QoS,
    connection: u32,
    /// `Some(true)` when it was committed, `Some(false)` when it was refused.
    outcome: Option<bool>,
}

/// A packet identifier of the server, from its first PUBLISH to the answer that ends the exchange.
#[derive(Debug)]
struct InUse {
    number: u32,
    sent_on: u32,
    has_pubrec: bool,
    is_released: bool,
}

/// See the module's description.
pub(super) struct Ledger {
    version: Version,
    pushed: BTreeMap<u32, Pushed>,
    published: BTreeMap<u32, Published>,
    last_first_delivery: Option<u32>,
    instances: Vec<Instance>,
    /// Instances of QoS 2 that the server knows by their identifier.
    held: BTreeMap<u16, usize>,
    /// Instances of QoS 1 on the present connection.
    asked: BTreeMap<u16, usize>,
    in_use: BTreeMap<u16, InUse>,
    /// The newest identifier of the server.
    last_id: u16,
    /// Identifiers that count against the client's Receive Maximum.
    here: BTreeSet<u16>,
    connection: u32,
    window: u16,
    packet_bytes_max: u32,
    pub(super) tally: Tally,
}

impl Ledger {
    pub(super) fn new(version: Version) -> Self {
        Self {
            version,
            pushed: BTreeMap::new(),
            published: BTreeMap::new(),
            last_first_delivery: None,
            instances: Vec::new(),
            held: BTreeMap::new(),
            asked: BTreeMap::new(),
            in_use: BTreeMap::new(),
            last_id: 0,
            here: BTreeSet::new(),
            connection: 0,
            window: 0,
            packet_bytes_max: u32::MAX,
            tally: Tally::default(),
        }
    }

    /// The queue has accepted a message.
    pub(super) fn push(&mut self, number: u32, qos: QoS) {
        self.pushed.insert(number, Pushed { qos, delivered: 0, rejected: false, forgiven: false });
    }

    /// The client has begun to send a message.
    pub(super) fn publish(&mut self, number: u32, qos: QoS) {
        self.published.insert(number, Published { qos, committed: 0, told: None, forgotten: false });
    }

    /// The machine has handed out a publish with a token.
    pub(super) fn route(&mut self, number: u32, topic: &str, token: Option<(u16, QoS)>) -> Option<usize> {
        assert_eq!(topic, topic_of("up", number), "the topic of {number}");
        let (id, qos) = token?;
        assert_eq!(self.published[&number].qos, qos);
        let instance = self.instances.len();
        self.instances.push(Instance { number, qos, connection: self.connection, outcome: None });
        let known = if qos == QoS::ExactlyOnce { &mut self.held } else { &mut self.asked };
        let earlier = known.insert(id, instance);
        assert!(earlier.is_none() || qos == QoS::AtLeastOnce, "{id} was taken for a new message while it was held");
        Some(instance)
    }

    /// An instance was committed or refused.
    pub(super) fn decide(&mut self, instance: usize, is_committed: bool) {
        let Instance { number, qos, connection, ref mut outcome } = self.instances[instance];
        assert_eq!(outcome.replace(is_committed), None);
        if is_committed {
            self.tally.count(if connection == self.connection { Event::Committed } else { Event::CommittedLate });
            let published = self.published.get_mut(&number).unwrap();
            published.committed += 1;
            assert!(qos != QoS::ExactlyOnce || published.committed == 1, "{number} was committed twice");
        } else {
            self.tally.count(Event::Refused);
            if qos == QoS::ExactlyOnce {
                self.held.retain(|_, held| *held != instance); // "nothing of it was kept"
            }
        }
    }

    /// The client has heard how its publish ended.
    pub(super) fn tell(&mut self, number: u32, reason: ReasonCode) {
        let published = self.published.get_mut(&number).unwrap();
        assert_eq!(published.told.replace(reason), None);
        assert!(reason.is_error() || published.committed > 0, "{number} was acknowledged and not committed");
    }

    /// The client has begun anew: what it has not finished is nobody's any more.
    pub(super) fn client_forgets(&mut self) {
        self.tally.count(Event::CleanStart);
        self.published.values_mut().for_each(|published| published.forgotten |= published.told.is_none());
    }

    /// The server has dropped the session.
    pub(super) fn server_forgets(&mut self) {
        self.pushed.values_mut().for_each(|pushed| pushed.forgiven |= pushed.delivered == 0);
        self.held.clear();
        self.asked.clear();
        self.in_use.clear();
        self.here.clear();
    }

    /// A connection begins.
    pub(super) fn connect(&mut self, window: u16, packet_bytes_max: u32) {
        self.connection += 1;
        (self.window, self.packet_bytes_max) = (window, packet_bytes_max);
        self.here.clear();
        self.asked.clear();
    }

    /// The machine has left a message out that the client does not take.
    pub(super) fn leave_out(&mut self, number: u32) {
        self.tally.count(Event::TooLarge);
        self.pushed.get_mut(&number).unwrap().forgiven = true;
        self.in_use.retain(|_, entry| entry.number != number);
    }

    /// The client's application has got a message.
    pub(super) fn deliver(&mut self, number: u32, qos: QoS) {
        self.notice(number, qos);
        self.tally.count(Event::Delivered);
        let pushed = self.pushed.get_mut(&number).unwrap();
        pushed.delivered += 1;
        assert!(qos == QoS::AtLeastOnce || pushed.delivered == 1, "{number} was delivered twice");
    }

    /// The client's application has refused a message.
    pub(super) fn reject(&mut self, number: u32, qos: QoS) {
        self.notice(number, qos);
        self.tally.count(Event::Rejected);
        self.pushed.get_mut(&number).unwrap().rejected = true;
    }

    fn notice(&mut self, number: u32, qos: QoS) {
        let pushed = &self.pushed[&number];
        assert_eq!(pushed.qos, qos, "the QoS of {number}");
        if pushed.delivered == 0 && !pushed.rejected {
            assert!(self.last_first_delivery < Some(number), "{number} came after a later message [MQTT-4.6.0-6]");
            self.last_first_delivery = Some(number);
        }
    }

    /// The server has written whole packets.
    pub(super) fn look_at(&mut self, mut bytes: &[u8]) {
        let rules = Rules { role: Role::Client, version: Some(self.version), max_packet_size: u32::MAX };
        while !bytes.is_empty() {
            let Ok(Decoded::Packet { len, .. }) = decode(bytes, &rules) else {
                panic!("the server writes what no client can read: {bytes:02x?}")
            };
            for said in said(&bytes[..len], self.version) {
                self.server_says(&said, len);
            }
            bytes = &bytes[len..];
        }
    }

    fn server_says(&mut self, said: &Said, len: usize) {
        assert!(len <= self.packet_bytes_max as usize, "{said:?} is too large for the client [MQTT-3.1.2-24]");
        match said {
            Said::Greeted { .. } | Said::Publish { id: None, .. } => {}
            Said::Publish { id: Some(id), dup, payload, .. } => {
                self.server_publishes(*id, *dup, number_of(payload));
            }
            Said::Rel(id, reason) => self.server_releases(*id, *reason),
            Said::Ack(id, reason) => {
                let instance = self.asked.remove(id).unwrap_or_else(|| panic!("PUBACK {id} answers nothing here"));
                self.check_proof(instance, *reason);
            }
            Said::Rec(id, reason) if reason.is_error() => {
                assert!(!self.held.contains_key(id), "{id} is held and was refused");
            }
            Said::Rec(id, reason) => {
                let instance = *self.held.get(id).unwrap_or_else(|| panic!("PUBREC {id} answers nothing"));
                self.check_proof(instance, *reason);
            }
            Said::Comp(id, reason) => match self.held.remove(id) {
                Some(instance) => self.check_proof(instance, *reason),
                None => assert!(reason.is_error() || !self.version.is_v5(), "PUBCOMP {id} ends nothing"),
            },
            Said::Other(other) => panic!("the server says {other}"),
        }
    }

    /// No success without a commit.
    fn check_proof(&self, instance: usize, reason: ReasonCode) {
        let instance = &self.instances[instance];
        assert_eq!(instance.outcome, Some(!reason.is_error()), "{reason} for {instance:?}");
    }

    fn server_publishes(&mut self, id: u16, dup: bool, number: u32) {
        let connection = self.connection;
        match self.in_use.get_mut(&id) {
            None => {
                assert!(!dup, "{number} has DUP at its first sending");
                let entry = InUse { number, sent_on: connection, has_pubrec: false, is_released: false };
                self.in_use.insert(id, entry);
                if id < std::mem::replace(&mut self.last_id, id) {
                    self.tally.count(Event::IdentifiersTurned);
                }
            }
            Some(entry) => {
                assert_eq!(entry.number, number, "{id} is in use [MQTT-2.2.1-4]");
                assert!(dup && entry.sent_on != connection, "{number} was repeated without a new connection");
                assert!(!entry.is_released, "PUBLISH {id} after its PUBREL [MQTT-4.3.3-6]");
                entry.sent_on = connection;
                self.tally.count(Event::PublishRepeated);
            }
        }
        self.here.insert(id);
        assert!(self.here.len() <= usize::from(self.window), "above the Receive Maximum of {}", self.window);
    }

    fn server_releases(&mut self, id: u16, reason: ReasonCode) {
        match self.in_use.get_mut(&id) {
            Some(entry) if !reason.is_error() => {
                assert!(entry.has_pubrec, "PUBREL {id} before PUBREC");
                if entry.is_released {
                    self.tally.count(Event::PubrelRepeated);
                }
                entry.is_released = true;
            }
            in_use => assert!(in_use.is_none() && (reason.is_error() || !self.version.is_v5()), "PUBREL {id}"),
        }
    }

    /// The server is about to handle a packet of the client.
    pub(super) fn server_hears(&mut self, packet: &Packet<'_>) {
        let (id, ends) = match packet {
            Packet::PubRec(ack) => {
                let id = ack.packet_id.get();
                let Some(entry) = self.in_use.get_mut(&id) else { return };
                entry.has_pubrec |= !ack.reason.is_error();
                (id, ack.reason.is_error() && !entry.has_pubrec)
            }
            Packet::PubAck(ack) | Packet::PubComp(ack) => (ack.packet_id.get(), true),
            _ => return,
        };
        if ends && self.in_use.remove(&id).is_some() {
            self.here.remove(&id);
        }
    }

    /// Everything has come to rest: every promise must have been kept.
    pub(super) fn settle(&self) {
        for (number, pushed) in &self.pushed {
            let is_kept = pushed.delivered > 0 || pushed.rejected || pushed.forgiven || pushed.qos == QoS::AtMostOnce;
            assert!(is_kept, "message {number} was lost: {pushed:?}");
        }
        for (number, published) in self.published.iter().filter(|(_, published)| !published.forgotten) {
            let Published { qos, committed, told, .. } = published;
            let is_kept = match (qos, told.map(ReasonCode::is_error)) {
                (QoS::AtMostOnce, _) | (QoS::AtLeastOnce, Some(true)) => true,
                (QoS::AtLeastOnce, Some(false)) => *committed >= 1,
                (QoS::ExactlyOnce, Some(refused)) => *committed == u32::from(!refused),
                (_, None) => false,
            };
            assert!(is_kept, "publish {number} was lost: {published:?}");
        }
        assert!(self.in_use.is_empty() && self.held.is_empty() && self.asked.is_empty(), "an exchange never ended");
    }
}
