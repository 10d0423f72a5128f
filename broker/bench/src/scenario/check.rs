//! What the options of a load have to be, said in words that a user can act on.

use primer_mqtt::codec::packet::QoS;

use super::{Load, Loop, Scenario};
use crate::{
    error::BenchError,
    limits::{CLIENTS_MAX, NUMBERS_MAX, PAYLOAD_BYTES_MAX, RATE_MAX, TEXT_BYTES_MAX, THREADS_MAX, WINDOW_MAX},
    stamp::STAMP_BYTES,
};

pub(super) fn check(load: &Load) -> Result<(), BenchError> {
    let checks = [clients(load), texts(load), topics(load), messages(load), rhythm(load)];
    checks.into_iter().flatten().next().map_or(Ok(()), |what| Err(BenchError::Options(what)))
}

/// What is wrong, if anything is.
type Refusal = Option<String>;

fn clients(load: &Load) -> Refusal {
    let Load { publishers, subscribers, threads, .. } = *load;
    let name = load.scenario.name();
    let (least_publishers, least_subscribers) = load.scenario.clients();
    let clients = u64::from(publishers) + u64::from(subscribers);
    let has_pairs = matches!(load.scenario, Scenario::P2p | Scenario::Wildcard);
    if clients > u64::from(CLIENTS_MAX) {
        return Some(format!("{clients} clients: {CLIENTS_MAX} at most"));
    }
    if least_publishers > 0 && publishers == 0 {
        return Some(format!("{name} needs at least one publisher"));
    }
    if least_subscribers > 0 && subscribers == 0 {
        return Some(format!("{name} needs at least one subscriber"));
    }
    if has_pairs && publishers != subscribers {
        return Some(format!("{name} has pairs: {publishers} publishers and {subscribers} subscribers are none"));
    }
    (threads == 0 || threads > THREADS_MAX).then(|| format!("{threads} threads: 1 to {THREADS_MAX}"))
}

fn texts(load: &Load) -> Refusal {
    let texts = [
        ("user name", load.username.as_deref()),
        ("password", load.password.as_deref()),
        ("prefix of client identifiers", Some(load.client_id.as_str())),
        ("topic", load.topic.as_deref()),
        ("filter", load.filter.as_deref()),
    ];
    for (name, text) in texts.into_iter().filter_map(|(name, text)| Some((name, text?))) {
        if text.len() > TEXT_BYTES_MAX {
            return Some(format!("a {name} of {} bytes: {TEXT_BYTES_MAX} at most", text.len()));
        }
        if text.contains('\0') {
            return Some(format!("a {name} with a zero in it: MQTT has none"));
        }
    }
    let is_nameless = load.password.is_some() && load.username.is_none() && !load.version.is_v5();
    is_nameless.then(|| "a password without a user name: only MQTT 5 has that (-V 5)".to_owned())
}

fn topics(load: &Load) -> Refusal {
    let is_sub = load.scenario == Scenario::Sub;
    let has_numbers = is_sub || load.scenario == Scenario::Pub;
    if let Some(topic) = &load.topic {
        if topic.is_empty() {
            return Some("an empty topic".to_owned());
        }
        if !is_sub && topic.contains(['+', '#']) {
            return Some(format!("the topic {topic:?} has a wildcard, and cannot be published to"));
        }
        if !has_numbers && topic.contains("%i") {
            return Some(format!("%i in a topic is for pub and sub: {} adds numbers itself", load.scenario.name()));
        }
    }
    match &load.filter {
        Some(_) if load.scenario != Scenario::Retained => Some("a filter of its own is for retained only".to_owned()),
        Some(filter) if filter.is_empty() => Some("an empty filter".to_owned()),
        _ if load.retain && load.scenario != Scenario::Pub => Some("the retain flag is for pub only".to_owned()),
        _ => None,
    }
}

fn messages(load: &Load) -> Refusal {
    let Load { messages, payload_bytes, publishers, .. } = *load;
    if payload_bytes < STAMP_BYTES {
        let why = "which say sender, number and time";
        return Some(format!("a payload of {payload_bytes} bytes: {STAMP_BYTES} at least, {why}"));
    }
    if payload_bytes > PAYLOAD_BYTES_MAX {
        return Some(format!("a payload of {payload_bytes} bytes: {PAYLOAD_BYTES_MAX} at most"));
    }
    if messages == 0 || messages > NUMBERS_MAX {
        return Some(format!("{messages} messages or filters: 1 to {NUMBERS_MAX}"));
    }
    if load.scenario == Scenario::Wildcard && messages < u64::from(publishers) {
        return Some(format!("{messages} filters for {publishers} pairs: each needs one at least"));
    }
    let is_kept = !matches!(load.scenario, Scenario::Backlog | Scenario::Away) || load.qos != QoS::AtMostOnce;
    (!is_kept).then(|| "a backlog is kept for QoS 1 and 2 only: say -q 1".to_owned())
}

fn rhythm(load: &Load) -> Refusal {
    let is_steady = !matches!(load.scenario, Scenario::Conn | Scenario::Retained | Scenario::Backlog);
    if is_steady && load.duration.is_zero() {
        return Some("a duration of 0 s measures nothing".to_owned());
    }
    if load.patience.is_zero() {
        return Some("a patience of 0 s waits for nothing".to_owned());
    }
    if !load.connect_rate.is_finite() || load.connect_rate < 0.0 {
        return Some(format!("{} connections a second: 0 (as many as can be) or more", load.connect_rate));
    }
    match load.rhythm {
        Loop::Closed { window } if window == 0 || window > WINDOW_MAX => {
            Some(format!("a window of {window} messages: 1 to {WINDOW_MAX}"))
        }
        Loop::Open { rate } if !(rate > 0.0 && rate <= RATE_MAX) => {
            Some(format!("a rate of {rate} messages a second: above 0, and {RATE_MAX} at most"))
        }
        _ => None,
    }
}
