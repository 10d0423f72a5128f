//! Publishes on their way out: when they are sent, and what the broker does not take.

use std::mem;

use primer_mqtt::{
    ReasonCode,
    codec::{
        self,
        packet::{Packet, Publish},
    },
};

use super::{
    Event, PublishError, Session,
    flight::Flight,
    packets::{packet_id, publish_packet},
};

impl Session<'_> {
    /// Sends what the window has room for. What the broker turns out not to take is done, and the event says so.
    pub(super) fn send_waiting(&mut self) {
        let window = usize::from(self.options.inflight_max.min(self.server.receive_max));
        while self.server.is_connected
            && let Some((mut flight, is_again)) = self.flights.start_next(window)
        {
            let payload = mem::take(&mut flight.payload);
            let publish = Publish {
                dup: is_again,
                qos: flight.qos,
                retain: flight.retain,
                ..publish_packet(self.options, &flight.topic, &payload, Some(packet_id(flight.mid)))
            };
            let result = self.send_publish(&publish, flight.mid);
            flight.payload = payload;
            let (mid, qos) = (flight.mid, flight.qos);
            self.flights.put_back(flight);
            if let Err(error) = result {
                self.flights.remove(mid, qos);
                let (reason, why) = (ReasonCode::PACKET_TOO_LARGE, Some(error.to_string()));
                self.events.push_back(Event::Published { mid, reason, why });
            }
        }
    }

    pub(super) fn send_publish(&mut self, publish: &Publish<'_>, mid: u16) -> Result<(), PublishError> {
        let is_named = !(self.has_published && publish.topic_alias.is_some());
        let topic = if is_named { publish.topic } else { "" };
        let start = self.output.len();
        let packet = Packet::Publish(Publish { topic, ..*publish });
        codec::encode(&packet, self.options.version, &mut self.output)?;
        let (bytes, max) = (self.output.len() - start, self.server.packet_bytes_max);
        if bytes > usize::try_from(max).unwrap_or(usize::MAX) {
            self.output.truncate(start);
            return Err(PublishError::TooLarge { bytes, max });
        }
        self.has_published = true;
        self.note(|id| {
            let (dup, qos, retain) = (u8::from(publish.dup), publish.qos as u8, u8::from(publish.retain));
            let (topic, len) = (if is_named { topic } else { "(null)" }, publish.payload.len());
            format!("Client {id} sending PUBLISH (d{dup}, q{qos}, r{retain}, m{mid}, '{topic}', ... ({len} bytes))")
        });
        Ok(())
    }

    pub(super) fn check_size(&self, flight: &Flight) -> Result<(), PublishError> {
        let publish = publish_packet(self.options, &flight.topic, &flight.payload, None);
        // The fixed header, the topic and the packet identifier are at most so long beside what they hold.
        let bytes = publish.payload.len() + publish.topic.len() + publish.properties.as_bytes().len() + 5 + 2 + 2 + 1;
        let max = self.server.packet_bytes_max;
        if bytes > usize::try_from(max).unwrap_or(usize::MAX) {
            return Err(PublishError::TooLarge { bytes, max });
        }
        Ok(())
    }
}
