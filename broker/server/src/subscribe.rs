//! SUBSCRIBE and UNSUBSCRIBE: authorise, change the routing table under one lock, answer, begin to send what is
//! retained.

use std::sync::Arc;

use primer_core::{topic, trie::TrieError};
use primer_mqtt::{
    ReasonCode,
    codec::packet::{RetainHandling, Subscribe, SubscribeOptions, Unsubscribe},
};

use crate::{
    access::Identity,
    delivery::Share,
    fanout::Subscription,
    hub::Hub,
    limits::{REPLAYS_MAX, SUBSCRIPTIONS_MAX},
    replay::Replay,
    session::Cell,
};

struct Wanted<'a> {
    /// As the client wrote it.
    whole: &'a str,
    /// Without the share prefix.
    filter: &'a str,
    group: Option<&'a str>,
    options: SubscribeOptions,
    refused: Option<ReasonCode>,
    is_new: bool,
}

/// Carries out a SUBSCRIBE and answers it.
pub(crate) fn subscribe(hub: &Hub, cell: &Arc<Cell>, identity: &Identity, packet: &Subscribe<'_>) {
    let (held, replays) = {
        let state = cell.lock();
        (state.subscriptions.len(), state.replays.len())
    };
    let mut room = SUBSCRIPTIONS_MAX.saturating_sub(held);
    let mut wanted: Vec<Wanted<'_>> =
        packet.filters.iter().map(|(whole, options)| judge(hub, identity, whole, options)).collect();
    for one in wanted.iter_mut().filter(|one| one.refused.is_none()) {
        match room.checked_sub(1) {
            Some(rest) if replays < REPLAYS_MAX => room = rest,
            _ => one.refused = Some(ReasonCode::QUOTA_EXCEEDED),
        }
    }
    insert(hub, cell, packet.subscription_id, &mut wanted);
    let codes: Vec<u8> = wanted.iter().map(|one| one.refused.map_or(one.options.qos as u8, |code| code.0)).collect();
    let mut state = cell.lock();
    let why = wanted.iter().find_map(|one| one.refused).map(ReasonCode::name);
    let v5 = state.machine.version().is_some_and(primer_mqtt::Version::is_v5);
    let codes: Vec<u8> = codes.into_iter().map(|code| if v5 { code } else { code.min(0x80) }).collect();
    let state = &mut *state;
    hub.counters.packets_sent.add(1);
    if !state.machine.answer_subscribe(packet.packet_id, &codes, why, &mut state.outbox) {
        state.close = Some(ReasonCode::PACKET_TOO_LARGE);
    }
    for one in wanted.iter().filter(|one| one.refused.is_none()) {
        state.subscriptions.insert(one.whole.into(), ());
        if one.group.is_none() {
            state.replays.retain(|replay| !replay.is_for(one.filter)); // this subscription replaces the earlier one
        }
        let sends_retained = match one.options.retain_handling {
            RetainHandling::Always => true,
            RetainHandling::IfNew => one.is_new,
            RetainHandling::Never => false,
        };
        if sends_retained && one.group.is_none() {
            state.replays.push_back(Replay::new(one.filter, one.options.qos, packet.subscription_id));
        }
    }
}

/// Carries out an UNSUBSCRIBE and answers it.
pub(crate) fn unsubscribe(hub: &Hub, cell: &Arc<Cell>, packet: &Unsubscribe<'_>) {
    let filters: Vec<(&str, Option<&str>)> = packet.filters.iter().map(|(whole, _)| split(whole)).collect();
    let existed = hub.node.routes.unsubscribe(cell.key, filters.into_iter());
    let codes: Vec<u8> = existed
        .iter()
        .map(|existed| if *existed { ReasonCode::SUCCESS } else { ReasonCode::NO_SUBSCRIPTION_EXISTED }.0)
        .collect();
    let mut state = cell.lock();
    let state = &mut *state;
    hub.counters.packets_sent.add(1);
    for (whole, _) in packet.filters.iter() {
        state.subscriptions.remove(whole);
        state.replays.retain(|replay| !replay.is_for(whole)); // [MQTT-3.10.4-2]
    }
    let v5 = state.machine.version().is_some_and(primer_mqtt::Version::is_v5);
    if !state.machine.answer_unsubscribe(packet.packet_id, if v5 { &codes } else { &[] }, &mut state.outbox) {
        state.close = Some(ReasonCode::PACKET_TOO_LARGE);
    }
}

/// Takes all subscriptions of a session out of the routing table.
pub(crate) fn forget(hub: &Hub, cell: &Cell, filters: impl Iterator<Item = Box<str>>) {
    let filters: Vec<Box<str>> = filters.collect();
    if !filters.is_empty() {
        hub.node.routes.unsubscribe(cell.key, filters.iter().map(|whole| split(whole)));
    }
}

fn split(whole: &str) -> (&str, Option<&str>) {
    match topic::split_shared(whole) {
        Ok(Some((group, filter))) => (filter, Some(group)),
        _ => (whole, None),
    }
}

fn judge<'a>(hub: &Hub, identity: &Identity, whole: &'a str, options: SubscribeOptions) -> Wanted<'a> {
    let (filter, group) = split(whole);
    let refused = (!hub.decider.may_subscribe(identity, filter)).then_some(ReasonCode::NOT_AUTHORIZED);
    Wanted { whole, filter, group, options, refused, is_new: true }
}

fn insert(hub: &Hub, cell: &Arc<Cell>, id: Option<u32>, wanted: &mut [Wanted<'_>]) {
    let entries: Vec<(&str, Option<&str>, Subscription)> = wanted
        .iter()
        .filter(|one| one.refused.is_none())
        .map(|one| {
            let share = one.group.map(|group| Arc::new(Share { group: group.into(), filter: one.filter.into() }));
            (one.filter, one.group, Subscription { cell: Arc::clone(cell), options: one.options, id, share })
        })
        .collect();
    let answers = hub.node.routes.subscribe(cell.key, entries.into_iter());
    for (one, answer) in wanted.iter_mut().filter(|one| one.refused.is_none()).zip(answers) {
        match answer {
            Ok(is_new) => one.is_new = is_new,
            Err(TrieError::TooDeep) => one.refused = Some(ReasonCode::TOPIC_FILTER_INVALID),
            Err(_) => one.refused = Some(ReasonCode::QUOTA_EXCEEDED),
        }
    }
}
