//! Wills: kept with the session while its client is connected, published when it goes without a farewell.

use std::sync::Arc;

use primer_core::message::{Message, NEVER_MS, Parts};
use primer_mqtt::codec::packet::{self, QoS};

use crate::{
    access::Identity,
    batch::{Batch, Publication},
    hub::Hub,
    pipeline,
    schema::{self, WillTerms},
};

/// A will, ready to be published.
#[derive(Debug, Clone)]
pub(crate) struct Will {
    message: Message,
    expiry_s: Option<u32>,
    qos: QoS,
    retain: bool,
    /// Seconds between the end of the connection and the publication.
    pub(crate) delay_s: u32,
}

impl Will {
    /// What the store keeps of it.
    pub(crate) fn to_stored(&self) -> Box<[u8]> {
        let Self { qos, retain, delay_s, expiry_s, .. } = *self;
        schema::will(&WillTerms { qos, retain, delay_s, expiry_s }, &self.message)
    }

    /// A will out of the store.
    pub(crate) fn from_stored(value: &[u8]) -> Option<Self> {
        let (terms, message) = schema::read_will(value)?;
        let WillTerms { qos, retain, delay_s, expiry_s } = terms;
        Some(Self { message, expiry_s, qos, retain, delay_s })
    }

    pub(crate) fn from_connect(will: &packet::Will<'_>) -> Self {
        let properties = will.properties.forwardable().collect::<Vec<_>>().concat();
        let parts =
            Parts { topic: will.topic, properties: &properties, payload: will.payload, expires_at_ms: NEVER_MS };
        Self {
            message: Message::new(&parts),
            expiry_s: will.properties.message_expiry(),
            qos: will.qos,
            retain: will.retain,
            delay_s: will.properties.will_delay().unwrap_or(0),
        }
    }

    /// Whether its client may publish it: asked at CONNECT, when the client can still be told.
    pub(crate) fn is_allowed(&self, hub: &Hub, identity: &Identity) -> bool {
        pipeline::is_plain(self.message.topic())
            && hub.decider.may_publish(identity, self.message.topic(), self.qos, self.retain)
    }

    /// Bytes that the session is charged with.
    pub(crate) fn bytes(&self) -> usize {
        self.message.len()
    }

    /// Publishes the will. Its time to live begins now (MQTT 5.0, 3.1.3.2.4).
    pub(crate) fn publish(&self, hub: &Hub, batch: &mut Batch, client_id: &Arc<str>) {
        let publication = Publication {
            publisher: Some(client_id),
            expires_at_ms: pipeline::expires_at_ms(batch.now_ms, self.expiry_s),
            expiry_s: self.expiry_s,
            ..Publication::of_message(&self.message, self.qos, self.retain, batch.now_ms)
        };
        pipeline::publish_left(hub, batch, &publication);
    }
}
