//! A publisher's PUBLISH, encoded once: what differs from message to message is filled into its holes.

use primer_mqtt::{
    Version,
    codec::{
        PublishFrame,
        packet::{PacketId, QoS},
    },
};

use crate::stamp::{STAMP_BYTES, Stamp};

/// What a publisher publishes to.
#[derive(Debug, Clone)]
pub(crate) enum Topics {
    /// One topic.
    One(String),
    /// Topics whose names differ in six digits: `count` of them, from `first` on, in leaps of `stride`, so that
    /// neighbours in time are no neighbours in a table.
    Numbered { before: String, after: String, first: u64, count: u64, stride: u64 },
}

/// Digits of a number in a topic.
pub(crate) const DIGITS: usize = 6;

/// See the module's description.
#[derive(Debug)]
pub(crate) struct Frame {
    bytes: Vec<u8>,
    packet_id_at: Option<usize>,
    stamp_at: usize,
    number: Option<Number>,
}

#[derive(Debug)]
struct Number {
    at: usize,
    first: u64,
    count: u64,
    stride: u64,
}

impl Frame {
    /// `payload_bytes` is at least [`STAMP_BYTES`]; a payload of 0 bytes (which forgets a retained message) has no
    /// stamp.
    pub(crate) fn new(version: Version, topics: &Topics, qos: QoS, retain: bool, payload_bytes: usize) -> Self {
        let (topic, number) = match topics {
            Topics::One(topic) => (topic.clone(), None),
            Topics::Numbered { before, after, first, count, stride } => {
                let number = (before.len(), *first, *count, *stride);
                (format!("{before}{}{after}", "0".repeat(DIGITS)), Some(number))
            }
        };
        let payload: Vec<u8> = (0..payload_bytes).map(|n| b'a' + u8::try_from(n % 26).unwrap_or(0)).collect();
        let frame = PublishFrame {
            dup: false,
            qos,
            retain,
            topic: &topic,
            packet_id: Some(PacketId::MIN),
            topic_alias: None,
            expiry: None,
            subscription_ids: &[],
            forward: &[],
            payload: &payload,
        };
        let mut bytes = Vec::new();
        frame.encode(version, &mut bytes);
        let stamp_at = bytes.len() - payload_bytes;
        let properties_bytes = usize::from(version.is_v5());
        let id_bytes = if qos == QoS::AtMostOnce { 0 } else { 2 };
        let topic_at = stamp_at - properties_bytes - id_bytes - topic.len();
        Self {
            bytes,
            packet_id_at: (id_bytes > 0).then_some(stamp_at - properties_bytes - 2),
            stamp_at,
            number: number.map(|(before, first, count, stride)| Number { at: topic_at + before, first, count, stride }),
        }
    }

    /// Appends the message `stamp.sequence` of the publisher.
    #[inline]
    pub(crate) fn write(&mut self, packet_id: u16, stamp: &Stamp, out: &mut Vec<u8>) {
        if let Some(at) = self.packet_id_at {
            self.bytes[at..at + 2].copy_from_slice(&packet_id.to_be_bytes());
        }
        if let Some(hole) = self.bytes.get_mut(self.stamp_at..self.stamp_at + STAMP_BYTES) {
            hole.copy_from_slice(&stamp.to_bytes());
        }
        if let Some(number) = &self.number {
            let mut left = number.first + stamp.sequence.wrapping_mul(number.stride) % number.count;
            for at in (number.at..number.at + DIGITS).rev() {
                self.bytes[at] = b'0' + u8::try_from(left % 10).unwrap_or(0);
                left /= 10;
            }
        }
        out.extend_from_slice(&self.bytes);
    }

    pub(crate) const fn len(&self) -> usize {
        self.bytes.len()
    }
}

#[cfg(test)]
mod tests {
    use primer_mqtt::codec::{Decoded, Role, Rules, decode, packet::Packet};

    use super::*;

    #[test]
    fn a_frame_reads_as_the_message_that_was_filled_in() {
        let topics = Topics::Numbered { before: "b/é/".into(), after: "/x".into(), first: 40, count: 10, stride: 7 };
        for version in [Version::V31, Version::V311, Version::V5] {
            for qos in [QoS::AtMostOnce, QoS::AtLeastOnce, QoS::ExactlyOnce] {
                let mut frame = Frame::new(version, &topics, qos, true, 300);
                let stamp = Stamp { run: 1, publisher: 2, sequence: 3, due_ns: 4 };
                let mut out = Vec::new();
                frame.write(0xABCD, &stamp, &mut out);
                let rules = Rules { role: Role::Server, version: Some(version), max_packet_size: 1000 };
                let Ok(Decoded::Packet { packet: Packet::Publish(publish), .. }) = decode(&out, &rules) else {
                    panic!("{version:?} {qos:?}: {out:?}");
                };
                assert_eq!((publish.topic, publish.qos, publish.retain), ("b/é/000041/x", qos, true));
                assert_eq!(publish.packet_id.map(PacketId::get), (qos != QoS::AtMostOnce).then_some(0xABCD));
                assert_eq!((Stamp::read(publish.payload), publish.payload.len()), (Some(stamp), 300));
            }
        }
    }
}
