//! Topic aliases of the server: never above the client's maximum, never another topic than the client knows by them.

use std::collections::BTreeMap;

use primer_core::backlog::Position;

use super::rig::{Rig, Said, connect, delivery};
use crate::{
    Version,
    codec::packet::QoS,
    session::{Delivery, Sent},
};

fn rig(alias_out_maximum: u16, packet_bytes_max: u32) -> Rig {
    Rig::connected_with(Version::V5, |terms| {
        terms.alias_out_maximum = alias_out_maximum;
        terms.packet_bytes_max = packet_bytes_max;
    })
}

/// The client's side of one connection.
#[derive(Default)]
struct Known {
    topics: BTreeMap<u16, String>,
    spared: usize,
}

impl Known {
    /// The topic of the one publish that was written.
    fn read(&mut self, said: &[Said], maximum: u16) -> String {
        let [Said::Publish { topic, alias, .. }] = said else { panic!("{said:?}") };
        let Some(alias) = *alias else { return topic.clone() };
        assert!((1..=maximum).contains(&alias), "alias {alias} of {maximum} [MQTT-3.3.2-8], [MQTT-3.3.2-10]");
        if topic.is_empty() {
            self.spared += 1;
        } else {
            self.topics.insert(alias, topic.clone());
        }
        self.topics.get(&alias).expect("an alias that was never set").clone()
    }
}

/// A sequence with frequent and rare topics, short and long.
fn topics() -> impl Iterator<Item = String> {
    (0..600_usize).map(|n| match n % 5 {
        0 | 1 => "frequent/topic".to_owned(),
        2 => format!("rare/{n}"),
        3 => format!("some/{}", n * n % 11),
        _ => "abc".to_owned(),
    })
}

#[test]
fn the_client_understands_every_alias() {
    for maximum in [0, 1, 2, 7, 32] {
        let mut rig = rig(maximum, u32::MAX);
        let mut known = Known::default();
        for topic in topics() {
            let delivery = Delivery { topic: &topic, ..delivery(QoS::AtMostOnce) };
            assert_eq!(rig.session.send_at_most_once(&delivery, &mut rig.out), Sent::Written);
            assert_eq!(known.read(&rig.said(), maximum), topic);
        }
        assert_eq!(known.spared > 200, maximum > 0, "{} topics spared with {maximum}", known.spared);
    }
}

/// [MQTT-3.3.2-7]: aliases end with the connection, and a repetition may be the first that sets one.
#[test]
fn a_new_connection_knows_no_alias() {
    let mut rig = rig(4, u32::MAX);
    for (position, topic) in topics().take(50).enumerate() {
        let delivery = Delivery { topic: &topic, ..delivery(QoS::AtLeastOnce) };
        rig.session.send(&delivery, Position(position as u64), &mut rig.out);
    }
    for maximum in [4, 2, 0] {
        rig.accept(&connect(Version::V5), |terms| terms.alias_out_maximum = maximum);
        let mut known = Known::default();
        for topic in topics().take(50) {
            let resend = rig.session.next_resend().unwrap();
            let delivery = Delivery { topic: &topic, ..delivery(QoS::AtLeastOnce) };
            rig.session.send_again(resend, &delivery, &mut rig.out);
            assert_eq!(known.read(&rig.said(), maximum), topic);
        }
    }
}

/// [MQTT-3.1.2-24]: the alias comes on top of the packet and must fit, and what is left out sets no alias.
#[test]
fn no_alias_makes_a_packet_too_large() {
    let payloads = [&[0; 96][..], &[0; 110], &[0; 120], &[0; 130]];
    for packet_bytes_max in 100..150 {
        let mut rig = rig(3, packet_bytes_max);
        let mut known = Known::default();
        for (topic, payload) in topics().zip(payloads.into_iter().cycle()).take(80) {
            let delivery = Delivery { topic: &topic, payload, ..delivery(QoS::AtMostOnce) };
            if rig.session.send_at_most_once(&delivery, &mut rig.out) == Sent::Written {
                assert!(rig.out.len() <= packet_bytes_max as usize);
                assert_eq!(known.read(&rig.said(), 3), topic);
            } else {
                assert!(rig.out.is_empty());
            }
        }
    }
}

/// At the very end of what a remaining length can say, an alias that no longer fits must not be remembered as set.
#[test]
fn an_alias_of_a_packet_that_was_not_written_is_not_used() {
    let payload = vec![0; crate::limits::REMAINING_LENGTH_MAX as usize];
    let mut rig = rig(3, u32::MAX);
    let delivery = Delivery { payload: &payload, ..delivery(QoS::AtMostOnce) };
    assert_eq!(rig.session.send_at_most_once(&delivery, &mut rig.out), Sent::TooLarge);
    let small = Delivery { payload: b"", ..delivery };
    assert_eq!(rig.session.send_at_most_once(&small, &mut rig.out), Sent::Written);
    assert_eq!(Known::default().read(&rig.said(), 3), small.topic);
}
