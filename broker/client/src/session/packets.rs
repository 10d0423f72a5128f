//! The packets that the options make.

use primer_mqtt::{
    Version,
    codec::packet::{Connect, Packet, PacketId, Publish, QoS, SubscribeOptions, Will},
};

use crate::options::Options;

/// CONNECT, as the options have it.
pub(crate) fn connect_packet(options: &Options) -> Packet<'_> {
    Packet::Connect(Box::new(Connect {
        version: options.version,
        clean_start: options.clean,
        keep_alive: options.keep_alive,
        client_id: options.client_id.as_deref().unwrap_or_default(),
        will: options.will.as_ref().map(|will| Will {
            qos: will.qos,
            retain: will.retain,
            topic: &will.topic,
            payload: &will.payload,
            properties: options.will_properties.as_properties(),
        }),
        username: options.username.as_deref(),
        password: options.password.as_deref(),
        properties: options.connect_properties.as_properties(),
    }))
}

/// PUBLISH, as the options have it.
pub(crate) fn publish_packet<'a>(
    options: &'a Options,
    topic: &'a str,
    payload: &'a [u8],
    packet_id: Option<PacketId>,
) -> Publish<'a> {
    let properties = options.publish_properties.as_properties();
    Publish {
        dup: false,
        qos: if packet_id.is_some() { options.qos } else { QoS::AtMostOnce },
        retain: options.retain,
        topic,
        packet_id,
        topic_alias: properties.topic_alias().filter(|_| options.version == Version::V5),
        expiry: properties.message_expiry(),
        properties,
        forwards_unchanged: false,
        payload,
    }
}

/// The options of each subscription.
pub(crate) fn subscribe_options(options: &Options) -> SubscribeOptions {
    SubscribeOptions {
        qos: options.qos,
        no_local: false,
        retain_as_published: options.retain_as_published,
        retain_handling: options.retain_handling,
    }
}

/// As it stands in SUBSCRIBE, without the QoS.
pub(super) fn options_byte(options: SubscribeOptions) -> u8 {
    (options.retain_handling as u8) << 4 | u8::from(options.retain_as_published) << 3
}

/// Identifiers are never 0 here.
pub(super) fn packet_id(mid: u16) -> PacketId {
    PacketId::new(mid).unwrap_or(PacketId::MIN)
}
