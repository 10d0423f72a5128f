//! Packet identifiers of the server: never zero, never two messages at once [MQTT-2.2.1-3], [MQTT-2.2.1-4].

use std::collections::BTreeMap;

use primer_core::backlog::Position;

use super::rig::{Rig, SUCCESS, Said, ack, connect, delivery, publish_ids};
use crate::{
    Version,
    codec::packet::{Packet, QoS},
    session::{Delivery, Sent, ServerOptions, Step},
};

/// A connection without bounds, and what is in flight on it by identifier.
struct Flights {
    rig: Rig,
    in_flight: BTreeMap<u16, u64>,
    sent: u64,
}

impl Flights {
    fn new(window: u16) -> Self {
        let mut rig = Rig::new(Version::V311, ServerOptions { inflight_max: u16::MAX, ..ServerOptions::default() });
        rig.accept(&connect(Version::V311), |terms| terms.window = window);
        Self { rig, in_flight: BTreeMap::new(), sent: 0 }
    }

    /// Sends one message more; answers its identifier.
    fn send(&mut self, qos: QoS) -> u16 {
        assert_eq!(self.rig.send(qos, self.sent), Sent::Written);
        let &[(id, false)] = &publish_ids(&self.rig.said())[..] else { panic!("no new publish was written") };
        assert_ne!(id, 0);
        assert_eq!(self.in_flight.insert(id, self.sent), None, "{id} is in use");
        self.sent += 1;
        id
    }

    /// The client acknowledges; the right message must be settled.
    fn ack(&mut self, id: u16) {
        let position = self.in_flight.remove(&id).unwrap();
        match self.rig.handle(Packet::PubAck(ack(id, SUCCESS))) {
            Ok(Step::Delivered { position: Position(settled), .. }) => assert_eq!(settled, position, "{id}"),
            other => panic!("the answer to {id} was lost: {other:?}"),
        }
        assert_eq!(self.rig.session.in_flight(), self.in_flight.len());
    }
}

#[test]
fn no_identifier_is_given_out_twice_beside_one_that_is_never_acknowledged() {
    let mut flights = Flights::new(20);
    let stuck = flights.send(QoS::AtLeastOnce);
    let mut recent = Vec::new();
    for n in 0..200_000_usize {
        recent.push(flights.send(QoS::AtLeastOnce));
        if recent.len() > 10 {
            let id = recent.remove(n % 7); // not in their order
            flights.ack(id);
        }
    }
    assert!(recent.iter().all(|&id| id != stuck));
    recent.into_iter().for_each(|id| flights.ack(id));
    flights.ack(stuck);
    assert!(flights.rig.session.is_idle());
}

/// QoS 2 exchanges whose PUBCOMP never comes hold their identifiers over connections.
#[test]
fn an_exchange_that_awaits_pubcomp_holds_its_identifier() {
    let mut flights = Flights::new(20);
    let stuck = flights.send(QoS::ExactlyOnce);
    flights.rig.handle(Packet::PubRec(ack(stuck, SUCCESS))).unwrap();
    flights.rig.out.clear();
    for n in 0..140_000 {
        if n % 1000 == 0 {
            assert_eq!(flights.rig.reconnect(), [Said::Rel(stuck, SUCCESS)]);
        }
        let id = flights.send(QoS::AtLeastOnce);
        flights.ack(id);
    }
}

/// With a window of more than half of all identifiers, a turn of the counter meets those that are still in use.
#[test]
fn a_window_of_any_size_keeps_identifiers_apart() {
    for stuck in [30_000, 40_000, 60_000, 65_530] {
        let mut flights = Flights::new(u16::MAX);
        for _ in 0..stuck {
            flights.send(QoS::AtLeastOnce);
        }
        for _ in 0..80_000.min(3 * (65_535 - stuck)) {
            let id = flights.send(QoS::AtLeastOnce);
            flights.ack(id);
        }
        let mut rest: Vec<_> = flights.in_flight.keys().copied().collect();
        rest.reverse();
        rest.into_iter().for_each(|id| flights.ack(id));
        assert!(flights.rig.session.is_idle());
    }
}

#[test]
fn when_all_identifiers_are_in_use_nothing_is_sent() {
    let mut flights = Flights::new(u16::MAX);
    for _ in 0..u16::MAX {
        flights.send(QoS::AtLeastOnce);
    }
    assert_eq!((flights.rig.session.credit(), flights.in_flight.len()), (0, 65_535));
    assert_eq!(flights.rig.send(QoS::AtLeastOnce, 0), Sent::Offline);
    flights.ack(777);
    assert_eq!(flights.send(QoS::AtLeastOnce), 777);
}

/// A message that is not sent leaves no trace in the counting of identifiers.
#[test]
fn messages_that_are_too_large_do_not_confuse_those_that_are_not() {
    let mut flights = Flights::new(2);
    flights.rig.accept(&connect(Version::V311), |terms| (terms.window, terms.packet_bytes_max) = (2, 64));
    let large = Delivery { payload: &[0; 64], ..delivery(QoS::AtLeastOnce) };
    flights.send(QoS::AtLeastOnce);
    for _ in 0..4 {
        let id = flights.send(QoS::AtLeastOnce);
        flights.ack(id);
        for _ in 0..65_533 {
            assert_eq!(flights.rig.session.send(&large, Position(0), &mut flights.rig.out), Sent::TooLarge);
        }
    }
    assert_eq!(flights.rig.session.credit(), 1);
}
