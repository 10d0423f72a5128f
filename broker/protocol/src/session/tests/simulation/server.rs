//! The broker around the machine, as far as the machine sees it: queue, routing, commits, and the socket's bytes.

use primer_core::{
    backlog::{Backlog, Bounds, OverflowPolicy},
    commit::{Ballot, Notifier, Outcome, Refused},
};

use super::{
    dice::{Dice, Plan},
    ledger::Ledger,
    message::{Queued, number_of, payload_of, topic_of},
};
use crate::{
    ReasonCode,
    codec::{
        Decoded, Role, Rules, decode,
        packet::{Connect, Packet, QoS},
    },
    session::{
        Delivery, Greeting, PublishToken, Sent, Session, Step, Terms,
        tests::rig::{committed, delivery},
    },
};

const BOUNDS: Bounds = Bounds { messages_max: 40, bytes_max: usize::MAX, overflow: OverflowPolicy::Reject };

/// A publish that waits for its commit.
struct Open {
    notifier: Notifier<PublishToken>,
    ballot: Ballot,
    instance: usize,
}

/// See the module's description.
pub(super) struct Server {
    session: Session,
    queue: Backlog<Queued>,
    open: Vec<Open>,
    /// Bytes of the present wire that are no whole packet yet.
    inbox: Vec<u8>,
    /// The wire of the connection that holds the session.
    attached: Option<u32>,
    has_session: bool,
    session_expiry_s: u32,
    next_number: u32,
    /// What the machine has written and nobody has looked at.
    fresh: Vec<u8>,
    pub(super) out: Vec<u8>,
}

impl Server {
    pub(super) fn new(plan: &Plan) -> Self {
        let mut server = Self {
            session: Session::default(),
            queue: Backlog::new(BOUNDS),
            open: Vec::new(),
            inbox: Vec::new(),
            attached: None,
            has_session: false,
            session_expiry_s: 0,
            next_number: 1,
            fresh: Vec::new(),
            out: Vec::new(),
        };
        if plan.begins_late {
            server.turn_identifiers(plan);
        }
        server
    }

    /// Uses identifiers up, so that the run meets the end of their range.
    fn turn_identifiers(&mut self, plan: &Plan) {
        let connect = crate::session::tests::rig::connect(plan.version);
        let terms = Terms::negotiate(&connect, &plan.options).unwrap();
        let opening = committed(crate::session::Opening { session_present: false }, true);
        self.session.accept(opening, &terms, &plan.options, Greeting::default(), &mut self.fresh);
        for number in 1..65_520 {
            let id = crate::session::tests::rig::ack(number, ReasonCode::SUCCESS);
            self.session.send(&delivery(QoS::AtLeastOnce), primer_core::backlog::Position(0), &mut self.fresh);
            self.session.handle(Packet::PubAck(id), &mut self.fresh).unwrap();
            self.fresh.clear();
        }
        self.session.detach();
    }

    pub(super) const fn attached(&self) -> Option<u32> {
        self.attached
    }

    /// Whether nothing is left to be done.
    pub(super) fn is_idle(&self) -> bool {
        self.session.is_idle() && self.queue.is_empty() && self.open.is_empty() && self.out.is_empty()
    }

    /// A message for the client comes in.
    pub(super) fn push(&mut self, dice: &mut Dice, ledger: &mut Ledger) {
        let (number, qos) = (self.next_number, dice.qos());
        if self.queue.push(0, Queued { number, qos }).is_ok() {
            self.next_number += 1;
            ledger.push(number, qos);
        }
        self.pump(1 + dice.below(4), ledger);
    }

    /// Shows the onlooker what was written since it last looked.
    fn show(&mut self, ledger: &mut Ledger) {
        ledger.look_at(&self.fresh);
        self.out.append(&mut self.fresh);
    }

    /// Moves up to `limit` messages from the queue to the client, as the broker does.
    pub(super) fn pump(&mut self, limit: usize, ledger: &mut Ledger) {
        for _ in 0..limit {
            self.show(ledger);
            if let Some(resend) = self.session.next_resend() {
                let item = self.queue.get(resend.position).expect("a message in flight stays in its queue");
                let (number, payload, topic) = (item.number, payload_of(item.number), topic_of("down", item.number));
                let delivery = Delivery { topic: &topic, payload: &payload, ..delivery(item.qos) };
                if self.session.send_again(resend, &delivery, &mut self.fresh) == Sent::TooLarge {
                    self.queue.ack(resend.position);
                    ledger.leave_out(number);
                }
            } else if self.session.credit() > 0 {
                let Some((position, item)) = self.queue.lease(0) else { return };
                let (number, payload, topic) = (item.number, payload_of(item.number), topic_of("down", item.number));
                let delivery = Delivery { topic: &topic, payload: &payload, ..delivery(item.qos) };
                let sent = match item.qos {
                    QoS::AtMostOnce => self.session.send_at_most_once(&delivery, &mut self.fresh),
                    _ => self.session.send(&delivery, position, &mut self.fresh),
                };
                if sent == Sent::TooLarge {
                    ledger.leave_out(number);
                }
                if sent == Sent::TooLarge || delivery.qos == QoS::AtMostOnce {
                    self.queue.ack(position);
                }
            }
        }
        self.show(ledger);
    }

    /// Handles bytes that came over `wire`.
    pub(super) fn hear(&mut self, bytes: &[u8], wire: u32, plan: &Plan, ledger: &mut Ledger) {
        self.inbox.extend_from_slice(bytes);
        let inbox = std::mem::take(&mut self.inbox);
        let mut rest = &inbox[..];
        loop {
            let version = (self.attached == Some(wire)).then_some(plan.version);
            let rules = Rules { role: Role::Server, version, max_packet_size: plan.options.packet_bytes_max };
            match decode(rest, &rules) {
                Ok(Decoded::Incomplete { .. }) => break,
                Ok(Decoded::Packet { packet: Packet::Connect(connect), len }) => {
                    self.accept(&connect, wire, plan, ledger);
                    rest = &rest[len..];
                }
                Ok(Decoded::Packet { packet, len }) => {
                    ledger.server_hears(&packet);
                    self.handle(packet, ledger);
                    rest = &rest[len..];
                }
                Err(violation) => panic!("the server cannot read its client: {violation}"),
            }
            self.show(ledger);
        }
        self.inbox = rest.to_vec();
    }

    fn handle(&mut self, packet: Packet<'_>, ledger: &mut Ledger) {
        let id = match &packet {
            Packet::Publish(publish) => publish.packet_id.map(|id| (id.get(), publish.qos)),
            _ => None,
        };
        match self.session.handle(packet, &mut self.fresh) {
            Ok(Step::Nothing | Step::Credit) => {}
            Ok(Step::Delivered { position, .. }) => {
                self.queue.ack(position);
            }
            Ok(Step::Publish { incoming, token }) => {
                let number = number_of(incoming.payload);
                let instance = ledger.route(number, &incoming.topic, id);
                if let (Some(token), Some(instance)) = (token, instance) {
                    let mut notifier = Notifier::default();
                    let ballot = notifier.open(token);
                    notifier.expect(ballot);
                    notifier.close(ballot);
                    self.open.push(Open { notifier, ballot, instance });
                }
            }
            Ok(step) => panic!("the client did not ask for {step:?}"),
            Err(violation) => panic!("the server accuses a correct client: {violation}"),
        }
    }

    /// Commits or refuses one open publish; answers whether the connection has to end.
    #[must_use]
    pub(super) fn decide(&mut self, dice: &mut Dice, refused_percent: usize, ledger: &mut Ledger) -> bool {
        if self.open.is_empty() {
            return false;
        }
        let Open { mut notifier, ballot, instance } = self.open.swap_remove(dice.below(self.open.len()));
        assert!(notifier.release().is_none(), "released before its destination has answered");
        let is_refused = dice.chance(refused_percent);
        let answer = if is_refused { Err(Refused::QueueFull) } else { Ok(self.queue.confirm()) };
        notifier.answer(ballot, answer);
        ledger.decide(instance, !is_refused);
        let ends = match notifier.release() {
            Some(Outcome::Committed(proof)) => {
                self.session.acknowledge(proof, &mut self.fresh);
                false
            }
            Some(Outcome::Refused { token, .. }) => {
                self.session.refuse(token, ReasonCode::QUOTA_EXCEEDED, "full", &mut self.fresh).is_err()
            }
            None => panic!("an answered ballot is released"),
        };
        self.show(ledger);
        ends
    }

    fn accept(&mut self, connect: &Connect<'_>, wire: u32, plan: &Plan, ledger: &mut Ledger) {
        self.detach(ledger);
        let terms = Terms::negotiate(connect, &plan.options).unwrap();
        let session_present = self.has_session && !terms.clean_start;
        if !session_present {
            self.forget(ledger);
        }
        ledger.connect(terms.window, terms.packet_bytes_max);
        (self.has_session, self.session_expiry_s) = (true, terms.session_expiry_s);
        self.attached = Some(wire);
        let opening = committed(crate::session::Opening { session_present }, true);
        self.session.accept(opening, &terms, &plan.options, Greeting::default(), &mut self.fresh);
    }

    /// The server has noticed that the connection is gone.
    pub(super) fn detach(&mut self, ledger: &mut Ledger) {
        if self.attached.take().is_none() {
            return;
        }
        self.session.detach();
        if self.session_expiry_s == 0 {
            self.has_session = false;
            self.forget(ledger);
        }
    }

    /// A new wire begins without what was left on the earlier one.
    pub(super) fn drop_inbox(&mut self) {
        self.inbox.clear();
    }

    fn forget(&mut self, ledger: &mut Ledger) {
        self.session.clear();
        self.queue.drain().for_each(drop);
        ledger.server_forgets();
    }
}
