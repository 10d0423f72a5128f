//! A client as the specification wants it: its exchanges, its quota, its answers. It does not know the machine.

use std::collections::{BTreeMap, VecDeque};

use super::{
    dice::{Dice, Plan},
    ledger::Ledger,
    message::{number_of, payload_of, topic_of},
    tally::Event,
};
use crate::{
    ReasonCode, Version,
    codec::{
        AckKind, Decoded, Role, Rules, decode, encode, encode_ack,
        packet::{Connect, Packet, Publish, QoS},
        properties::{PropertiesBuf, Property},
    },
    session::tests::rig::{connect, id, publish},
};

const UNKNOWN: ReasonCode = ReasonCode::PACKET_IDENTIFIER_NOT_FOUND;
/// A packet size that keeps the large messages of the simulation out, and nothing else.
const SMALL_PACKET_BYTES: u32 = 50;

/// A publish of the client that has not come to its end.
struct Exchange {
    id: u16,
    number: u32,
    qos: QoS,
    /// PUBREC has come, PUBREL goes out.
    is_received: bool,
    /// On this connection: PUBLISH or PUBREL.
    sent_here: bool,
    /// On this connection: PUBLISH.
    published_here: bool,
}

/// An answer that the client owes.
#[derive(Clone, Copy)]
struct Due {
    kind: AckKind,
    id: u16,
    reason: ReasonCode,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Line {
    Down,
    /// CONNACK is due.
    Greeting,
    Up,
}

/// See the module's description.
pub(super) struct Client {
    version: Version,
    line: Line,
    /// A clean start was asked for, and whether it was heard is not known yet.
    is_new: bool,
    /// The session ends with the connection.
    ends: bool,
    exchanges: Vec<Exchange>,
    /// QoS 2 publishes of the server between PUBLISH and PUBREL.
    received: BTreeMap<u16, u32>,
    due: VecDeque<Due>,
    last_id: u16,
    next_number: u32,
    /// Identifiers of exchanges that have to be taken up on this connection.
    resend: VecDeque<u16>,
    quota: usize,
    quota_max: usize,
    aliases_in: BTreeMap<u16, String>,
    alias_in_maximum: u16,
    aliases_out: BTreeMap<String, u16>,
    alias_out_maximum: u16,
    inbox: Vec<u8>,
    pub(super) out: Vec<u8>,
}

impl Client {
    pub(super) fn new(plan: &Plan) -> Self {
        Self {
            version: plan.version,
            line: Line::Down,
            is_new: false,
            ends: false,
            exchanges: Vec::new(),
            received: BTreeMap::new(),
            due: VecDeque::new(),
            last_id: 0,
            next_number: 1,
            resend: VecDeque::new(),
            quota: 0,
            quota_max: 0,
            aliases_in: BTreeMap::new(),
            alias_in_maximum: 0,
            aliases_out: BTreeMap::new(),
            alias_out_maximum: 0,
            inbox: Vec::new(),
            out: Vec::new(),
        }
    }

    pub(super) fn is_down(&self) -> bool {
        self.line == Line::Down
    }

    /// Whether nothing is left to be done.
    pub(super) fn is_idle(&self) -> bool {
        self.line == Line::Up && self.exchanges.is_empty() && self.due.is_empty()
    }

    /// Opens a connection.
    pub(super) fn connect(&mut self, clean_start: bool, plan: &Plan, dice: &mut Dice, ledger: &mut Ledger) {
        let clean_start = clean_start || self.is_new;
        self.ends = if self.version.is_v5() { plan.clean_percent == 100 } else { clean_start };
        if clean_start {
            self.is_new = true;
            self.forget(ledger);
        }
        let mut properties = PropertiesBuf::new();
        if self.version.is_v5() {
            self.alias_in_maximum = dice.between(0, 3);
            properties.push(&Property::ReceiveMaximum(dice.between(1, 8)));
            properties.push(&Property::TopicAliasMaximum(self.alias_in_maximum));
            if !self.ends {
                properties.push(&Property::SessionExpiry(1000));
            }
            if dice.chance(plan.small_percent) {
                properties.push(&Property::MaximumPacketSize(SMALL_PACKET_BYTES));
            }
        }
        let connect = Connect { clean_start, properties: properties.as_properties(), ..connect(self.version) };
        encode(&Packet::Connect(Box::new(connect)), self.version, &mut self.out).unwrap();
        self.line = Line::Greeting;
    }

    /// The connection is gone.
    pub(super) fn lose(&mut self, plan: &Plan, ledger: &mut Ledger) {
        self.line = Line::Down;
        self.inbox.clear();
        self.out.clear();
        self.resend.clear();
        self.aliases_in.clear();
        self.aliases_out.clear();
        if plan.answers_late {
            // A refusal is thought over, and a release is sent for the exchange anyway.
            self.due.retain(|due| !due.reason.is_error() && due.kind != AckKind::PubRel);
        } else {
            self.due.clear();
        }
        if self.ends {
            self.forget(ledger);
        }
    }

    fn forget(&mut self, ledger: &mut Ledger) {
        ledger.client_forgets();
        self.exchanges.clear();
        self.received.clear();
        self.due.clear();
        self.last_id = 0;
    }

    /// Takes an exchange up again, or begins one.
    pub(super) fn send(&mut self, may_begin: bool, plan: &Plan, dice: &mut Dice, ledger: &mut Ledger) {
        if self.line != Line::Up {
            return;
        }
        let may_publish = self.may_publish(plan);
        match self.resend.front() {
            Some(&id) => {
                let exchange = self.exchanges.iter_mut().find(|exchange| exchange.id == id).unwrap();
                if exchange.is_received {
                    exchange.sent_here = true;
                    self.owe(AckKind::PubRel, id, ReasonCode::SUCCESS);
                } else if may_publish {
                    self.quota -= 1;
                    (exchange.sent_here, exchange.published_here) = (true, true);
                    let (number, qos) = (exchange.number, exchange.qos);
                    ledger.tally.count(Event::ClientRepeated);
                    self.write_publish(number, qos, id, true, dice);
                } else {
                    return;
                }
                self.resend.pop_front();
            }
            None if may_begin => self.begin(may_publish, dice, ledger),
            None => {}
        }
    }

    /// Whether a place is free for a publish of QoS 1 or 2.
    fn may_publish(&self, plan: &Plan) -> bool {
        let (begun, here) = (self.exchanges.len(), self.exchanges.iter().filter(|exchange| exchange.published_here));
        match (self.version.is_v5(), plan.counts_freely) {
            (false, _) => begun < plan.client_window || !self.resend.is_empty(),
            (true, false) => self.quota > 0 && here.count() < self.quota_max,
            (true, true) => self.quota > 0 && (begun < 2 * self.quota_max || !self.resend.is_empty()),
        }
    }

    fn begin(&mut self, may_publish: bool, dice: &mut Dice, ledger: &mut Ledger) {
        let (number, qos) = (self.next_number, dice.qos());
        let mut id = 0;
        if qos != QoS::AtMostOnce {
            if !may_publish {
                return;
            }
            self.quota -= 1;
            self.last_id += 1;
            id = self.last_id;
            let exchange = Exchange { id, number, qos, is_received: false, sent_here: true, published_here: true };
            self.exchanges.push(exchange);
        }
        self.next_number += 1;
        ledger.publish(number, qos);
        self.write_publish(number, qos, id, false, dice);
    }

    fn write_publish(&mut self, number: u32, qos: QoS, id: u16, dup: bool, dice: &mut Dice) {
        let (topic, payload) = (topic_of("up", number), payload_of(number));
        let mut properties = PropertiesBuf::new();
        let mut name = topic.as_str();
        if let Some(&alias) = self.aliases_out.get(&topic) {
            properties.push(&Property::TopicAlias(alias));
            name = "";
        } else if self.aliases_out.len() < usize::from(self.alias_out_maximum) && dice.chance(50) {
            let alias = u16::try_from(self.aliases_out.len()).unwrap() + 1;
            properties.push(&Property::TopicAlias(alias));
            self.aliases_out.insert(topic.clone(), alias);
        }
        let packet = if qos == QoS::AtMostOnce { publish(qos, 1) } else { publish(qos, id) };
        let properties = properties.as_properties();
        let packet = Publish { dup, topic: name, properties, payload: &payload, ..packet };
        encode(&Packet::Publish(packet), self.version, &mut self.out).unwrap();
    }

    /// Gives one of the answers that it owes.
    pub(super) fn answer(&mut self, plan: &Plan, dice: &mut Dice) {
        if self.line != Line::Up {
            return;
        }
        let index = if plan.is_orderly { 0 } else { dice.below(self.due.len()) };
        if let Some(Due { kind, id: number, reason }) = self.due.remove(index) {
            encode_ack(kind, id(number), reason, self.version, &mut self.out);
        }
    }

    fn owe(&mut self, kind: AckKind, id: u16, reason: ReasonCode) {
        self.due.push_back(Due { kind, id, reason });
    }

    /// Reads bytes of the server.
    pub(super) fn hear(&mut self, bytes: &[u8], plan: &Plan, dice: &mut Dice, ledger: &mut Ledger) {
        self.inbox.extend_from_slice(bytes);
        let inbox = std::mem::take(&mut self.inbox);
        let rules = Rules { role: Role::Client, version: Some(self.version), max_packet_size: u32::MAX };
        let mut rest = &inbox[..];
        loop {
            match decode(rest, &rules) {
                Ok(Decoded::Incomplete { .. }) => break,
                Ok(Decoded::Packet { packet, len }) => {
                    self.handle(packet, plan, dice, ledger);
                    rest = &rest[len..];
                }
                Err(violation) => panic!("the client cannot read its server: {violation}"),
            }
        }
        self.inbox = rest.to_vec();
    }

    fn handle(&mut self, packet: Packet<'_>, plan: &Plan, dice: &mut Dice, ledger: &mut Ledger) {
        assert_eq!(self.line == Line::Greeting, matches!(packet, Packet::ConnAck(_)), "{packet:?}");
        match packet {
            Packet::ConnAck(connack) => {
                (self.line, self.is_new) = (Line::Up, false);
                if !connack.session_present {
                    self.forget(ledger);
                }
                self.quota_max = usize::from(connack.properties.receive_maximum().unwrap_or(u16::MAX));
                self.alias_out_maximum = connack.properties.topic_alias_maximum().unwrap_or(0);
                self.quota = self.quota_max;
                for exchange in &mut self.exchanges {
                    (exchange.sent_here, exchange.published_here) = (false, false);
                }
                self.resend = self.exchanges.iter().map(|exchange| exchange.id).collect();
                if connack.session_present {
                    ledger.tally.count(Event::Resumed);
                }
            }
            Packet::Publish(publish) => self.receive(&publish, plan, dice, ledger),
            Packet::PubAck(ack) => self.finish(ack.packet_id.get(), false, ack.reason, ledger),
            Packet::PubRec(ack) if ack.reason.is_error() => self.finish(ack.packet_id.get(), false, ack.reason, ledger),
            Packet::PubRec(ack) => {
                let id = ack.packet_id.get();
                let exchange = self.exchanges.iter_mut().find(|exchange| exchange.id == id);
                let exchange = exchange.unwrap_or_else(|| panic!("PUBREC {id} answers nothing"));
                assert!(exchange.sent_here && !exchange.is_received, "PUBREC {id} is not of this connection");
                exchange.is_received = true;
                self.owe(AckKind::PubRel, id, ReasonCode::SUCCESS);
            }
            Packet::PubRel(ack) => {
                let is_known = self.received.remove(&ack.packet_id.get()).is_some();
                let reason = if is_known { ReasonCode::SUCCESS } else { UNKNOWN };
                self.owe(AckKind::PubComp, ack.packet_id.get(), reason);
            }
            Packet::PubComp(ack) => self.finish(ack.packet_id.get(), true, ReasonCode::SUCCESS, ledger),
            other => panic!("the server says {other:?}"),
        }
    }

    /// An exchange of the client ends; its quota grows by one, whatever the reason is (4.9).
    fn finish(&mut self, id: u16, is_received: bool, reason: ReasonCode, ledger: &mut Ledger) {
        let index = self.exchanges.iter().position(|exchange| exchange.id == id);
        let exchange = self.exchanges.remove(index.unwrap_or_else(|| panic!("an answer to {id}, which is nothing")));
        assert!(exchange.sent_here, "an answer to {id}, which was not sent on this connection");
        assert_eq!(exchange.is_received, is_received, "an answer to {id} out of its order");
        self.quota = self.quota_max.min(self.quota + 1);
        ledger.tell(exchange.number, reason);
    }

    fn receive(&mut self, publish: &Publish<'_>, plan: &Plan, dice: &mut Dice, ledger: &mut Ledger) {
        let number = number_of(publish.payload);
        assert_eq!(self.resolve(publish, ledger), topic_of("down", number), "the topic of {number}");
        let rejects = self.version.is_v5() && dice.chance(plan.rejected_percent);
        let reason = if rejects { ReasonCode::UNSPECIFIED_ERROR } else { ReasonCode::SUCCESS };
        match (publish.qos, publish.packet_id.map_or(0, std::num::NonZero::get)) {
            (QoS::AtMostOnce, _) => ledger.deliver(number, publish.qos),
            (QoS::AtLeastOnce, id) => {
                ledger.deliver(number, publish.qos);
                self.owe(AckKind::PubAck, id, reason);
            }
            (QoS::ExactlyOnce, id) => match self.received.get(&id) {
                Some(known) => {
                    assert_eq!(*known, number, "{id} is in use; the client would lose {number}");
                    ledger.tally.count(Event::PublishKnown);
                    self.owe(AckKind::PubRec, id, ReasonCode::SUCCESS);
                }
                None => {
                    if rejects {
                        ledger.reject(number, publish.qos);
                    } else {
                        ledger.deliver(number, publish.qos);
                        self.received.insert(id, number);
                    }
                    self.owe(AckKind::PubRec, id, reason);
                }
            },
        }
    }

    fn resolve(&mut self, publish: &Publish<'_>, ledger: &mut Ledger) -> String {
        let Some(alias) = publish.topic_alias else { return publish.topic.to_owned() };
        assert!((1..=self.alias_in_maximum).contains(&alias), "alias {alias} [MQTT-3.3.2-8]");
        if publish.topic.is_empty() {
            ledger.tally.count(Event::AliasUsed);
        } else {
            self.aliases_in.insert(alias, publish.topic.to_owned());
        }
        self.aliases_in.get(&alias).expect("an alias that was never set").clone()
    }
}
