//! The rules that make a "Sparkplug Aware MQTT Server".

use std::time::Duration;

use primer_mapping::Target;

use crate::player::{self, BEGIN_MS, Player};

/// An NBIRTH: timestamp, a metric `bdSeq` of 0, seq 0.
const BIRTH: &[u8] = b"\x08\x80\xb0\xa5\xb6\xa2\x34\x12\x0b\x0a\x05bdSeq\x20\x04\x58\x00\x18\x00";

#[test]
fn births_are_kept_as_they_came() {
    let mut player = Player::of("sparkplug-aware.rhai");
    for (topic, kept) in [
        ("spBv1.0/plant/NBIRTH/gateway7", "$sparkplug/certificates/spBv1.0/plant/NBIRTH/gateway7"),
        ("spBv1.0/plant/DBIRTH/gateway7/pump", "$sparkplug/certificates/spBv1.0/plant/DBIRTH/gateway7/pump"),
    ] {
        let mut message = player::publish(topic, BIRTH, BEGIN_MS);
        (message.content_mut().qos, message.content_mut().ttl) = (0, Some(Duration::from_secs(5)));
        let outputs = player.try_message(&message).expect("ends well");
        assert_eq!(outputs.len(), 1);
        let content = outputs[0].message.content();
        assert_eq!((&outputs[0].target, content.topic.as_str()), (&Target::Topic, kept));
        assert_eq!((&content.payload[..], content.retain, content.ttl), (BIRTH, true, None));
    }
}

#[test]
fn other_messages_are_not_kept() {
    let mut player = Player::of("sparkplug-aware.rhai");
    for topic in [
        "spBv1.0/plant/NDATA/gateway7",
        "spBv1.0/plant/DDATA/gateway7/pump",
        "spBv1.0/plant/NBIRTH/gateway7/pump",
        "spBv1.0/plant/DBIRTH/gateway7",
        "spBv1.0/plant/DDEATH/gateway7/pump",
        "spBv1.0/STATE/host",
        "$sparkplug/certificates/spBv1.0/plant/NBIRTH/gateway7",
    ] {
        player.ignores(topic, &[BIRTH]);
    }
    player.ignores("spBv1.0/plant/NBIRTH/gateway7", &[b""]);
}

fn varint(mut value: u64) -> Vec<u8> {
    let mut bytes = Vec::new();
    while value >= 128 {
        bytes.push((value % 128) as u8 | 128);
        value /= 128;
    }
    bytes.push(value as u8);
    bytes
}

#[test]
fn deaths_get_the_time_of_now() {
    let now: Vec<u8> = [8].into_iter().chain(varint(BEGIN_MS)).collect();
    let metric: &[u8] = b"\x12\x0b\x0a\x05bdSeq\x20\x04\x58\x00";
    let old: Vec<u8> = [8].into_iter().chain(varint(1_486_144_502_122)).collect();
    for (before, rest) in [
        ([&old[..], metric].concat(), metric), // as Tahu writes it
        (metric.to_vec(), metric),             // without a time
        (Vec::new(), &[][..]),                 // empty
        (old.clone(), &[][..]),                // a time alone
        (vec![8], &[8][..]),                   // cut off: nothing can be said of it
        (vec![8, 0x80, 0x80], &[][..]),        // cut off within the time
    ] {
        let message = player::publish("spBv1.0/plant/NDEATH/gateway7", &before, BEGIN_MS);
        let outputs = Player::of("sparkplug-aware.rhai").try_message(&message).expect("ends well");
        assert_eq!(outputs.len(), 1);
        assert_eq!(outputs[0].message.content().payload[..], [rest, &now[..]].concat(), "{before:x?}");
    }
}
