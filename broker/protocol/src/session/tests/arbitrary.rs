//! Packets in any order, with commits, refusals and new connections among them: the machine never panics, and never
//! says "yes" to a publish that was not committed.

use std::collections::{BTreeMap, BTreeSet};

use primer_core::backlog::Position;
use proptest::prelude::*;

use super::rig::{Rig, SUCCESS, Said, VERSIONS, committed, connect, delivery, id, publish};
use crate::{
    ReasonCode, Version,
    codec::{
        Decoded, FiltersBuf, Role, Rules, decode, encode,
        packet::{Ack, Outcome, Packet, Publish, QoS, Subscribe, SubscribeOptions, Unsubscribe},
        properties::{Properties, PropertiesBuf, Property},
    },
    session::{PublishToken, Sent, ServerOptions, Step},
};

#[derive(Debug, Clone, Copy, PartialEq)]
enum Kind {
    Ack,
    Rec,
    Rel,
    Comp,
}

#[derive(Debug, Clone)]
enum Move {
    Publish { qos: QoS, id: u16, alias: Option<u16>, is_named: bool },
    Answer { kind: Kind, id: u16, is_error: bool },
    Subscribe { id: u16 },
    Unsubscribe { id: u16 },
    Ping,
    Connect,
    Disconnect { code: u8, expiry: Option<u32> },
    Authenticate { method: &'static str },
    Accept { window: u16, packet_bytes_max: u32, is_clean: bool },
    Detach,
    Commit { nth: usize, reached: bool },
    Refuse { nth: usize },
    Abandon { nth: usize },
    Send { qos: QoS },
    SendAgain,
    GiveUp,
}

fn qos() -> impl Strategy<Value = QoS> {
    prop_oneof![Just(QoS::AtMostOnce), Just(QoS::AtLeastOnce), Just(QoS::ExactlyOnce)]
}

fn kind() -> impl Strategy<Value = Kind> {
    prop_oneof![Just(Kind::Ack), Just(Kind::Rec), Just(Kind::Rel), Just(Kind::Comp)]
}

fn next_move() -> impl Strategy<Value = Move> {
    prop_oneof![
        8 => (qos(), 1_u16..5, proptest::option::weighted(0.2, 1_u16..4), any::<bool>())
            .prop_map(|(qos, id, alias, is_named)| Move::Publish { qos, id, alias, is_named }),
        8 => (kind(), 1_u16..7, proptest::bool::weighted(0.1))
            .prop_map(|(kind, id, is_error)| Move::Answer { kind, id, is_error }),
        1 => (1_u16..5).prop_map(|id| Move::Subscribe { id }),
        1 => (1_u16..5).prop_map(|id| Move::Unsubscribe { id }),
        1 => Just(Move::Ping),
        1 => Just(Move::Connect),
        1 => (prop_oneof![Just(0_u8), Just(4), Just(0x81)], proptest::option::of(0_u32..2))
            .prop_map(|(code, expiry)| Move::Disconnect { code, expiry }),
        1 => prop_oneof![Just("M"), Just("N")].prop_map(|method| Move::Authenticate { method }),
        3 => (1_u16..5, prop_oneof![3 => Just(u32::MAX), 1 => 4_u32..40], proptest::bool::weighted(0.2))
            .prop_map(|(window, packet_bytes_max, is_clean)| Move::Accept { window, packet_bytes_max, is_clean }),
        1 => Just(Move::Detach),
        6 => (0_usize..8, any::<bool>()).prop_map(|(nth, reached)| Move::Commit { nth, reached }),
        2 => (0_usize..8).prop_map(|nth| Move::Refuse { nth }),
        1 => (0_usize..8).prop_map(|nth| Move::Abandon { nth }),
        5 => qos().prop_map(|qos| Move::Send { qos }),
        4 => Just(Move::SendAgain),
        1 => Just(Move::GiveUp),
    ]
}

/// A publish of the client that the machine has handed out.
struct Asked {
    token: PublishToken,
    id: u16,
    qos: QoS,
    connection: u32,
}

/// The machine, and beside it what may be said.
struct Judge {
    rig: Rig,
    connection: u32,
    open: Vec<(usize, Asked)>,
    handed_out: usize,
    committed: BTreeSet<usize>,
    /// QoS 2 exchanges of the client: which publish each stands for.
    held: BTreeMap<u16, usize>,
    /// Exchanges towards the client, by their identifiers.
    in_use: BTreeMap<u16, u64>,
    /// The positions that the client has not settled.
    unsettled: BTreeMap<u64, QoS>,
    sent: u64,
}

impl Judge {
    fn new(version: Version) -> Self {
        let options = ServerOptions { receive_maximum: 4, alias_maximum: 2, ..ServerOptions::default() };
        Self {
            rig: Rig::new(version, options),
            connection: 0,
            open: Vec::new(),
            handed_out: 0,
            committed: BTreeSet::new(),
            held: BTreeMap::new(),
            in_use: BTreeMap::new(),
            unsettled: BTreeMap::new(),
            sent: 0,
        }
    }

    fn go(&mut self, next: &Move) {
        match *next {
            Move::Accept { window, packet_bytes_max, is_clean } => self.accept(window, packet_bytes_max, is_clean),
            Move::Detach => self.rig.session.detach(),
            Move::Commit { nth, reached } => self.commit(nth, reached),
            Move::Refuse { nth } => self.refuse(nth),
            Move::Abandon { nth } => {
                if let Some((index, asked)) = self.take(nth) {
                    self.held.retain(|_, held| *held != index);
                    self.rig.session.abandon(asked.token);
                }
            }
            Move::Send { qos } => self.send(qos),
            Move::SendAgain => self.send_again(),
            Move::GiveUp => {
                if let Some(resend) = self.rig.session.next_resend() {
                    self.rig.session.give_up(resend);
                    self.end(resend.position.0);
                }
            }
            ref packet => {
                let mut bytes = Vec::new();
                write(packet, self.rig.version, &mut bytes);
                self.hear(&bytes);
            }
        }
        assert_eq!(self.rig.session.in_flight(), self.in_use.len());
    }

    fn accept(&mut self, window: u16, packet_bytes_max: u32, is_clean: bool) {
        if is_clean {
            self.rig.session.clear();
            self.held.clear();
            self.in_use.clear();
            self.unsettled.clear();
        }
        self.connection += 1;
        let mut buf = PropertiesBuf::new();
        buf.push(&Property::AuthenticationMethod("M"));
        let properties = if self.rig.version.is_v5() { buf.as_properties() } else { Properties::EMPTY };
        let connect = crate::codec::packet::Connect { properties, ..connect(self.rig.version) };
        let said = self.rig.accept(&connect, |terms| {
            (terms.window, terms.packet_bytes_max) = (window, packet_bytes_max);
            terms.alias_out_maximum = u16::from(terms.version.is_v5());
        });
        assert!(said.iter().all(|said| matches!(said, Said::Rel(_, SUCCESS))), "{said:?}");
    }

    fn take(&mut self, nth: usize) -> Option<(usize, Asked)> {
        (!self.open.is_empty()).then(|| self.open.remove(nth % self.open.len()))
    }

    fn commit(&mut self, nth: usize, reached: bool) {
        let Some((index, asked)) = self.take(nth) else { return };
        self.committed.insert(index);
        self.rig.session.acknowledge(committed(asked.token, reached), &mut self.rig.out);
        let is_here = self.rig.session.version().is_some() && asked.connection == self.connection;
        match (&self.rig.said()[..], asked.qos) {
            ([Said::Ack(id, reason)], QoS::AtLeastOnce) => {
                assert!(is_here && *id == asked.id && !reason.is_error(), "PUBACK {id} {reason}");
            }
            ([Said::Rec(id, reason)], QoS::ExactlyOnce) => {
                assert!(*id == asked.id && !reason.is_error(), "PUBREC {id} {reason}");
                assert_eq!(self.held.get(id), Some(&index), "PUBREC {id} with the proof of another publish");
            }
            ([], QoS::AtLeastOnce) => assert!(!is_here, "a publish of this connection was not answered"),
            ([], _) => {}
            (said, _) => panic!("{said:?} for {:?} {}", asked.qos, asked.id),
        }
    }

    fn refuse(&mut self, nth: usize) {
        let Some((index, asked)) = self.take(nth) else { return };
        self.held.retain(|_, held| *held != index);
        let refusal = self.rig.refuse(asked.token, ReasonCode::QUOTA_EXCEEDED);
        if refusal.is_err() {
            assert!(!self.rig.version.is_v5());
            self.rig.session.detach();
        }
        for said in self.rig.said() {
            let (Said::Ack(id, reason) | Said::Rec(id, reason)) = said else { panic!("{said:?}") };
            assert!(id == asked.id && reason.is_error(), "{id} {reason}");
        }
    }

    fn send(&mut self, qos: QoS) {
        if qos == QoS::AtMostOnce {
            self.rig.session.send_at_most_once(&delivery(qos), &mut self.rig.out);
            self.rig.said();
        } else if self.rig.session.credit() > 0 {
            self.sent += 1;
            let sent = self.rig.session.send(&delivery(qos), Position(self.sent), &mut self.rig.out);
            match (sent, &self.rig.said()[..]) {
                (Sent::Written, [Said::Publish { id: Some(id), dup: false, .. }]) => {
                    assert_eq!(self.in_use.insert(*id, self.sent), None, "{id} is in use");
                    self.unsettled.insert(self.sent, qos);
                }
                (Sent::TooLarge, []) => {}
                other => panic!("{other:?}"),
            }
        }
    }

    fn send_again(&mut self) {
        let Some(resend) = self.rig.session.next_resend() else { return };
        let position = resend.position.0;
        let qos = *self.unsettled.get(&position).expect("what is settled is not sent again");
        let sent = self.rig.session.send_again(resend, &delivery(qos), &mut self.rig.out);
        match (sent, &self.rig.said()[..]) {
            (Sent::Written, [Said::Publish { id: Some(id), dup: true, .. }]) => {
                assert_eq!(self.in_use.get(id), Some(&position));
            }
            (Sent::TooLarge, []) => self.end(position),
            other => panic!("{other:?}"),
        }
    }

    /// The exchange of a message is over without an answer.
    fn end(&mut self, position: u64) {
        self.unsettled.remove(&position);
        self.in_use.retain(|_, known| *known != position);
    }

    /// Handles the packet in these bytes, if the codec lets it through.
    fn hear(&mut self, bytes: &[u8]) {
        let rules = Rules { role: Role::Server, version: Some(self.rig.version), max_packet_size: u32::MAX };
        let Ok(Decoded::Packet { packet, .. }) = decode(bytes, &rules) else { return };
        let heard = match &packet {
            Packet::Publish(publish) => publish.packet_id.map(std::num::NonZero::get),
            Packet::PubAck(ack) | Packet::PubRec(ack) | Packet::PubComp(ack) => Some(ack.packet_id.get()),
            _ => None,
        };
        let is_pubrec = matches!(&packet, Packet::PubRec(ack) if !ack.reason.is_error());
        match self.rig.session.handle(packet, &mut self.rig.out) {
            Ok(Step::Publish { incoming, token: Some(token) }) => {
                let (id, qos, index) = (heard.unwrap(), incoming.qos, self.handed_out);
                self.handed_out += 1;
                self.open.push((index, Asked { token, id, qos, connection: self.connection }));
                if qos == QoS::ExactlyOnce {
                    assert_eq!(self.held.insert(id, index), None, "{id} was taken for a new publish");
                }
            }
            Ok(Step::Delivered { position, .. }) => {
                assert!(self.unsettled.remove(&position.0).is_some(), "{position:?} was settled twice");
                if !is_pubrec {
                    self.in_use.remove(&heard.unwrap());
                }
            }
            Ok(Step::Credit) => assert!(self.in_use.remove(&heard.unwrap()).is_some()),
            Ok(_) => {}
            Err(_) => self.rig.session.detach(), // as its driver has to
        }
        self.rig.said().iter().for_each(|said| self.judge(said));
    }

    /// What may be said in answer to a packet.
    fn judge(&mut self, said: &Said) {
        match said {
            Said::Rec(id, SUCCESS) => {
                let index = self.held.get(id).unwrap_or_else(|| panic!("PUBREC {id} of nothing"));
                assert!(self.committed.contains(index), "PUBREC {id} before its commit");
            }
            Said::Comp(id, reason) => match self.held.remove(id) {
                Some(index) => assert!(self.committed.contains(&index), "PUBCOMP {id} before its commit"),
                None => assert!(reason.is_error() || !self.rig.version.is_v5()),
            },
            Said::Rel(..) => {}
            Said::Other(other) => assert_eq!(other, "PingResp"),
            other => panic!("{other:?} without a commit"),
        }
    }
}

/// The bytes of a packet of the client.
fn write(next: &Move, version: Version, out: &mut Vec<u8>) {
    let mut buf = PropertiesBuf::new();
    let mut filters = match next {
        Move::Subscribe { .. } => FiltersBuf::subscribe(),
        _ => FiltersBuf::unsubscribe(),
    };
    filters.push("a/#", SubscribeOptions::from_qos(QoS::AtLeastOnce));
    match *next {
        Move::Publish { alias, .. } => buf.extend(alias.map(Property::TopicAlias)),
        Move::Disconnect { expiry, .. } => buf.extend(expiry.map(Property::SessionExpiry)),
        Move::Authenticate { method } => buf.extend([Property::AuthenticationMethod(method)]),
        _ => {}
    }
    let properties = buf.as_properties();
    let packet = match *next {
        Move::Publish { qos, id, is_named, .. } => {
            let topic = if is_named { "up" } else { "" };
            Packet::Publish(Publish { topic, properties, ..publish(qos, id) })
        }
        Move::Answer { kind, id: packet_id, is_error } => {
            let reason = if is_error { ReasonCode::UNSPECIFIED_ERROR } else { SUCCESS };
            let ack = Ack { packet_id: id(packet_id), reason, properties };
            match kind {
                Kind::Ack => Packet::PubAck(ack),
                Kind::Rec => Packet::PubRec(ack),
                Kind::Rel => Packet::PubRel(Ack { reason: SUCCESS, ..ack }),
                Kind::Comp => Packet::PubComp(Ack { reason: SUCCESS, ..ack }),
            }
        }
        Move::Subscribe { id: packet_id } => {
            let filters = filters.as_filters();
            Packet::Subscribe(Subscribe { packet_id: id(packet_id), subscription_id: None, properties, filters })
        }
        Move::Unsubscribe { id: packet_id } => {
            Packet::Unsubscribe(Unsubscribe { packet_id: id(packet_id), properties, filters: filters.as_filters() })
        }
        Move::Connect => Packet::Connect(Box::new(connect(version))),
        Move::Disconnect { code, .. } => Packet::Disconnect(Outcome { reason: ReasonCode(code), properties }),
        Move::Authenticate { .. } => Packet::Auth(Outcome { reason: ReasonCode::RE_AUTHENTICATE, properties }),
        _ => Packet::PingReq,
    };
    let _ = encode(&packet, version, out); // AUTH has no bytes before 5.0, and nothing is handled then
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 500, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn nothing_is_said_yes_to_without_a_commit(
        version in (0..VERSIONS.len()).prop_map(|index| VERSIONS[index]),
        moves in proptest::collection::vec(next_move(), 1..150),
    ) {
        let mut judge = Judge::new(version);
        judge.go(&Move::Accept { window: 3, packet_bytes_max: u32::MAX, is_clean: false });
        for next in &moves {
            judge.go(next);
        }
    }
}
