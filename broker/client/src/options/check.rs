//! What is held when all options are there: that they go together, and that what is to be sent can be sent.

use std::process;

use primer_mqtt::{
    Version,
    codec::{
        self, Decoded, FiltersBuf, Role, Rules,
        packet::{Outcome, Packet, PacketId, RetainHandling, Subscribe, SubscribeOptions, Unsubscribe},
        properties::Property,
    },
};

use super::{OptionError, Options, Source, Will};
use crate::{Tool, limits, session};

/// Completes the options, or says what they lack.
pub(super) fn complete(options: &mut Options) -> Result<(), OptionError> {
    go_together(options).map_err(|what| OptionError::Combination(what.to_owned()))?;
    will(options).map_err(|what| OptionError::Combination(what.to_owned()))?;
    expiry(options).map_err(|what| OptionError::Combination(what.to_owned()))?;
    identify(options)?;
    if options.no_retained {
        options.retain_handling = RetainHandling::Never;
    }
    if options.tool == Tool::Request && options.version.is_v5() {
        respond(options)?;
    }
    can_be_sent(options)
}

fn go_together(options: &Options) -> Result<(), &'static str> {
    let tls = &options.server.tls;
    let needs = match options.tool {
        Tool::Subscribe if options.topics.is_empty() && options.unsubscribe.is_empty() => {
            Some("a topic to subscribe to (-t) is missing")
        }
        Tool::Publish if options.topics.is_empty() || options.source.is_none() => {
            Some("a topic (-t) and what is to be published (-m, -f, -l, -n or -s) are needed")
        }
        Tool::Request if options.topics.is_empty() || options.source.is_none() || options.response_topic.is_none() => {
            Some("a topic (-t), what is to be published (-m, -f, -n or -s) and a response topic (-e) are needed")
        }
        _ => None,
    };
    let wrong = [
        (options.no_retained && options.retained_only, "-R and --retained-only together print nothing"),
        (
            options.password.is_some() && options.username.is_none() && !options.version.is_v5(),
            "a password needs a user name: -u NAME, or -V 5",
        ),
        (
            options.server.websocket_path.is_some() && !options.server.websocket,
            "--ws-path is for WebSocket: say --ws, or ws:// or wss:// in -L",
        ),
        (tls.cert.is_some() != tls.key.is_some(), "--cert and --key go together: one of them is missing"),
        (
            tls.cert.is_some() && !options.server.is_tls() && !tls.is_off,
            "--cert is for TLS: say whom to trust (--cafile, --capath or --tls-use-os-certs)",
        ),
        (
            options.server.unix.is_some() && options.server.proxy.is_some(),
            "--unix and --proxy are two ways to the broker: choose one",
        ),
        (
            options.source == Some(Source::Lines) && options.repeat > 1,
            "--repeat is for one message (-m, -f, -n or -s), not for lines (-l)",
        ),
    ];
    match needs.or_else(|| wrong.iter().find(|(is_wrong, _)| *is_wrong).map(|(_, what)| *what)) {
        Some(what) => Err(what),
        None => Ok(()),
    }
}

fn will(options: &mut Options) -> Result<(), &'static str> {
    match options.will_topic.take() {
        Some(topic) => {
            let payload = options.will_payload.take().unwrap_or_default();
            options.will = Some(Will { topic, payload, qos: options.will_qos, retain: options.will_retain });
        }
        None if options.will_payload.is_some() => return Err("--will-payload without --will-topic"),
        None if options.will_retain => return Err("--will-retain without --will-topic"),
        None => {}
    }
    Ok(())
}

/// A session that is to be kept needs a name to be found by.
fn expiry(options: &mut Options) -> Result<(), &'static str> {
    let is_named = options.client_id.as_ref().is_some_and(|id| !id.is_empty());
    if !options.version.is_v5() {
        return if options.clean || is_named { Ok(()) } else { Err("-c needs a client identifier (-i)") };
    }
    let has_its_own = options.connect_properties.as_properties().session_expiry().is_some();
    let seconds = options.session_expiry.or((!options.clean && !has_its_own).then_some(u32::MAX)).unwrap_or(0);
    if seconds == u32::MAX && !is_named {
        return Err("a session without an end (-c, -x) needs a client identifier (-i)");
    }
    if seconds > 0 && !has_its_own {
        options.connect_properties.push(&Property::SessionExpiry(seconds));
    }
    Ok(())
}

/// The identifier of this run. MQTT 3.1 has no empty one.
fn identify(options: &mut Options) -> Result<(), OptionError> {
    if let Some(prefix) = options.id_prefix.take() {
        options.client_id = Some(format!("{prefix}{}", process::id()));
    } else if options.client_id.is_none() && options.version == Version::V31 {
        options.client_id = Some(format!("primer-{}", random_hex()?));
    }
    Ok(())
}

/// Where the response is to go, and what it is known by.
fn respond(options: &mut Options) -> Result<(), OptionError> {
    let given = options.publish_properties.as_properties();
    let (has_topic, has_correlation) = (given.response_topic().is_some(), given.correlation_data().is_some());
    if let Some(topic) = options.response_topic.as_deref().filter(|_| !has_topic) {
        options.publish_properties.push(&Property::ResponseTopic(topic));
    }
    if !has_correlation {
        options.publish_properties.push(&Property::CorrelationData(random_hex()?.as_bytes()));
    }
    Ok(())
}

/// 16 hexadecimal digits.
fn random_hex() -> Result<String, OptionError> {
    let number = getrandom::u64().map_err(|error| {
        OptionError::Combination(format!("the system gives no random number for an identifier: {error}"))
    })?;
    Ok(format!("{number:016x}"))
}

/// Makes each packet and reads it as a broker would: what a broker would end the connection for is said here, before
/// there is one.
fn can_be_sent(options: &Options) -> Result<(), OptionError> {
    let id = PacketId::MIN;
    let properties = options.disconnect_properties.as_properties();
    let mut packets = vec![
        ("CONNECT", session::connect_packet(options)),
        ("DISCONNECT", Packet::Disconnect(Outcome { reason: primer_mqtt::ReasonCode::SUCCESS, properties })),
    ];
    let (mut filters, mut gone) = (FiltersBuf::subscribe(), FiltersBuf::unsubscribe());
    for topic in &options.topics {
        filters.push(topic, session::subscribe_options(options));
    }
    for filter in &options.unsubscribe {
        gone.push(filter, SubscribeOptions::from_qos(options.qos));
    }
    if options.tool != Tool::Subscribe {
        let topic = options.topics.first().map_or("", String::as_str);
        packets.push(("PUBLISH", Packet::Publish(session::publish_packet(options, topic, &[], None))));
    } else if !options.topics.is_empty() {
        let properties = options.subscribe_properties.as_properties();
        let filters = filters.as_filters();
        packets.push((
            "SUBSCRIBE",
            Packet::Subscribe(Subscribe {
                packet_id: id,
                subscription_id: properties.subscription_ids().next(),
                properties,
                filters,
            }),
        ));
    }
    if !options.unsubscribe.is_empty() {
        let (properties, filters) = (options.unsubscribe_properties.as_properties(), gone.as_filters());
        packets.push(("UNSUBSCRIBE", Packet::Unsubscribe(Unsubscribe { packet_id: id, properties, filters })));
    }
    for (name, packet) in packets {
        let mut bytes = Vec::new();
        let fault = |why: String| OptionError::Combination(format!("{name} cannot be sent so: {why}"));
        codec::encode(&packet, options.version, &mut bytes).map_err(|error| fault(error.to_string()))?;
        let version = (name != "CONNECT").then_some(options.version);
        let rules = Rules { role: Role::Server, version, max_packet_size: primer_mqtt::limits::PACKET_BYTES_MAX };
        match codec::decode(&bytes, &rules) {
            Ok(Decoded::Packet { .. }) => {}
            Ok(Decoded::Incomplete { .. }) => return Err(fault("it is too long".to_owned())),
            Err(violation) => return Err(fault(violation.detail.to_owned())),
        }
    }
    if let Some(Source::Bytes(bytes)) = &options.source
        && bytes.len() > limits::PAYLOAD_BYTES_MAX
    {
        return Err(OptionError::Combination("the payload is longer than 268,435,455 bytes".to_owned()));
    }
    Ok(())
}
