//! SUBSCRIBE and UNSUBSCRIBE: authorise, change the routing table under one lock, answer, begin to send what is
//! retained.

use std::sync::Arc;

use primer_core::{topic, trie::TrieError};
use primer_mqtt::{
    ReasonCode,
    codec::packet::{RetainHandling, Subscribe, SubscribeOptions, Unsubscribe},
};

use crate::{
    access::{Identity, Reading},
    delivery::Share,
    fanout::Subscription,
    hub::Hub,
    limits::{FILTERS_PER_LOCK_MAX, LEVEL_BYTES, SUBSCRIPTION_BYTES, SUBSCRIPTIONS_MAX},
    queues::{
        address::{self, Address},
        browse,
    },
    replay::Replay,
    schema,
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
    /// What it names, if it is one of queues.
    address: Option<Address<'a>>,
    /// Whether it goes into the routing table.
    is_routed: bool,
    /// How much of it may be read.
    reading: Reading,
}

impl Wanted<'_> {
    const fn is_browse(&self) -> bool {
        matches!(self.address, Some(Address::Browse { .. }))
    }
}

/// Whether a filter goes into the routing table.
pub(crate) fn is_routed(hub: &Hub, address: Option<Address<'_>>) -> bool {
    match address {
        None | Some(Address::Shared) => true,
        Some(Address::Queue { name, may_be_shared, .. }) => may_be_shared && !hub.node.queues.knows_queue(name),
        Some(Address::Browse { .. } | Address::Wrong) => false,
    }
}

/// Carries out a SUBSCRIBE and answers it.
pub(crate) fn subscribe(hub: &Hub, cell: &Arc<Cell>, identity: &Identity, packet: &Subscribe<'_>) {
    let asked_at = hub.access_changes();
    let mut wanted: Vec<Wanted<'_>> =
        packet.filters.iter().map(|(whole, options)| judge(hub, identity, whole, options)).collect();
    if wanted.iter().any(|one| one.reading == Reading::Some) {
        cell.lock().is_restricted = true; // before the first message comes
    }
    for some in wanted.chunks_mut(FILTERS_PER_LOCK_MAX) {
        insert(hub, cell, packet.subscription_id, some);
    }
    let codes: Vec<u8> = wanted.iter().map(|one| one.refused.map_or(one.options.qos as u8, |code| code.0)).collect();
    let why = wanted.iter().find_map(|one| one.refused).map(ReasonCode::name);
    let mut guard = cell.lock();
    let state = &mut *guard;
    if hub.access_changes() != asked_at {
        state.access_changed(hub); // who went over the sessions meanwhile may not have seen these
    }
    hub.counters.packets_sent.add(1);
    let mut held = Vec::new();
    let out = if state.durable.is_some() { &mut held } else { &mut state.outbox };
    if !state.machine.answer_subscribe(packet.packet_id, &codes, why, out) {
        state.close = Some(ReasonCode::PACKET_TOO_LARGE);
    }
    if let (Some(durable), Some(journal)) = (&mut state.durable, hub.node.journal()) {
        for one in wanted.iter().filter(|one| one.refused.is_none() && !one.is_browse()) {
            let value = schema::subscription(one.options, packet.subscription_id);
            durable.put(schema::filter_key(one.whole), value);
        }
        let group = durable.submit(journal);
        durable.hold(group, held);
    }
    for one in wanted.iter().filter(|one| one.refused.is_none() && one.group.is_none() && one.address.is_none()) {
        let sends_retained = match one.options.retain_handling {
            RetainHandling::Always => true,
            RetainHandling::IfNew => one.is_new,
            RetainHandling::Never => false,
        };
        if sends_retained {
            state.replays.add(Replay::new(one.filter, one.options.qos, packet.subscription_id));
        } else {
            state.replays.cancel(one.filter); // this subscription replaces the earlier one
        }
    }
    drop(guard);
    for one in wanted.iter().filter(|one| one.refused.is_none()) {
        if let (Some(Address::Browse { name, from }), Some(hub)) = (one.address, hub.me()) {
            browse::begin(&hub, cell, name, from);
        }
    }
}

/// Carries out an UNSUBSCRIBE and answers it.
pub(crate) fn unsubscribe(hub: &Hub, cell: &Arc<Cell>, packet: &Unsubscribe<'_>) {
    let filters: Vec<&str> = packet.filters.iter().map(|(whole, _)| whole).collect();
    let mut codes = Vec::with_capacity(filters.len());
    for some in filters.chunks(FILTERS_PER_LOCK_MAX) {
        let existed = hub.node.routes.unsubscribe(cell.key, some.iter().map(|whole| split(whole)));
        let code = |existed| if existed { ReasonCode::SUCCESS } else { ReasonCode::NO_SUBSCRIPTION_EXISTED };
        codes.extend(existed.into_iter().map(|existed| code(existed).0));
    }
    let mut guard = cell.lock();
    let state = &mut *guard;
    hub.counters.packets_sent.add(1);
    for (whole, code) in filters.into_iter().zip(&mut codes) {
        if state.unsubscribe_from_queue(whole) {
            *code = ReasonCode::SUCCESS.0;
        }
        if state.subscriptions.remove(whole) {
            state.subscription_bytes -= cost(whole);
        }
        state.replays.cancel(whole); // [MQTT-3.10.4-2]
    }
    let mut held = Vec::new();
    let out = if state.durable.is_some() { &mut held } else { &mut state.outbox };
    if !state.machine.answer_unsubscribe(packet.packet_id, &codes, out) {
        state.close = Some(ReasonCode::PACKET_TOO_LARGE);
    }
    if let (Some(durable), Some(journal)) = (&mut state.durable, hub.node.journal()) {
        packet.filters.iter().for_each(|(whole, _)| durable.remove(schema::filter_key(whole)));
        let group = durable.submit(journal);
        durable.hold(group, held);
    }
}

/// Takes all subscriptions of a session out of the routing table.
pub(crate) fn forget(hub: &Hub, cell: &Cell, filters: impl Iterator<Item = Box<str>>) {
    let filters: Vec<Box<str>> = filters.collect();
    for some in filters.chunks(FILTERS_PER_LOCK_MAX) {
        hub.node.routes.unsubscribe(cell.key, some.iter().map(|whole| split(whole)));
    }
}

/// What a subscription costs: its nodes in the routing table, its filter there and in the session.
pub(crate) fn cost(whole: &str) -> usize {
    let levels = 1 + whole.bytes().filter(|byte| *byte == b'/').count();
    SUBSCRIPTION_BYTES + 3 * whole.len() + levels * LEVEL_BYTES
}

pub(crate) fn split(whole: &str) -> (&str, Option<&str>) {
    match topic::split_shared(whole) {
        Ok(Some((group, filter))) => (filter, Some(group)),
        _ => match whole.strip_prefix(address::QUEUE) {
            Some(filter) => (filter, Some(address::EMQX_GROUP)),
            None => (whole, None),
        },
    }
}

fn judge<'a>(hub: &Hub, identity: &Identity, whole: &'a str, options: SubscribeOptions) -> Wanted<'a> {
    let (filter, group) = split(whole);
    let address = address::of(whole);
    let is_routed = is_routed(hub, address);
    let reading = reading(hub, identity, (whole, address), is_routed);
    let refused = match address {
        Some(Address::Wrong) => Some(ReasonCode::TOPIC_FILTER_INVALID),
        _ if reading == Reading::None => {
            let (client, filter) = (identity.client_id.escape_debug(), whole.escape_debug());
            let now_ms = hub.node.clock.now_ms();
            hub.denials.tell(now_ms, format_args!("SUBSCRIBE from {client} ('{filter}'): it may read nothing of it"));
            Some(hub.denial())
        }
        _ => None,
    };
    Wanted { whole, filter, group, options, refused, is_new: true, address, is_routed, reading }
}

/// How much of what a subscription would give may be read. A queue is all or nothing, by its own name, whether it is
/// there yet or not; where the filter stands for a shared subscription as well, that gives what may be read of it.
fn reading(hub: &Hub, identity: &Identity, (whole, address): (&str, Option<Address<'_>>), is_routed: bool) -> Reading {
    let asked = |filter: &str| hub.decider.may_subscribe(identity, filter);
    let all_or_nothing = |name: &str| if asked(name) == Reading::All { Reading::All } else { Reading::None };
    match address {
        Some(Address::Queue { name, .. }) => {
            let queue = all_or_nothing(&address::own_topic(name));
            let is_whole = queue == Reading::None || !is_routed || asked(split(whole).0) == Reading::All;
            if is_whole { queue } else { Reading::Some }
        }
        Some(Address::Browse { name, .. }) => all_or_nothing(&format!("{}{name}", address::BROWSE)),
        Some(Address::Wrong) => Reading::None,
        Some(Address::Shared) | None => asked(split(whole).0),
    }
}

/// Whether all that a subscription gives may be read. One that may be a shared one is taken for that as well.
pub(crate) fn is_readable(hub: &Hub, identity: &Identity, whole: &str) -> bool {
    let address = address::of(whole);
    let may_be_routed = !matches!(address, Some(Address::Queue { may_be_shared: false, .. }));
    reading(hub, identity, (whole, address), may_be_routed) == Reading::All
}

/// Whether a queue may be consumed from.
pub(crate) fn may_consume(hub: &Hub, identity: &Identity, whole: &str) -> bool {
    let address = address::of(whole);
    reading(hub, identity, (whole, address), false) == Reading::All
}

/// Puts some filters into the routing table under one lock, and into the session.
fn insert(hub: &Hub, cell: &Arc<Cell>, id: Option<u32>, wanted: &mut [Wanted<'_>]) {
    let room = SUBSCRIPTIONS_MAX.saturating_sub(cell.lock().subscriptions.len());
    let is_spent = hub.node.budget.is_spent();
    for one in wanted.iter_mut().filter(|one| one.refused.is_none()).skip(if is_spent { 0 } else { room }) {
        one.refused = Some(ReasonCode::QUOTA_EXCEEDED);
    }
    let entries: Vec<(&str, Option<&str>, Subscription)> = wanted
        .iter()
        .filter(|one| one.refused.is_none() && one.is_routed)
        .map(|one| {
            let share = one.group.map(|group| Arc::new(Share { group: group.into(), filter: one.filter.into() }));
            (one.filter, one.group, Subscription { cell: Arc::clone(cell), options: one.options, id, share })
        })
        .collect();
    let mut answers = hub.node.routes.subscribe(cell.key, entries.into_iter()).into_iter();
    let mut state = cell.lock();
    for one in wanted.iter_mut().filter(|one| one.refused.is_none()) {
        let Some(answer) = (if one.is_routed { answers.next() } else { Some(Ok(true)) }) else { break };
        match one.address {
            Some(Address::Browse { .. }) => continue, // it is over when it is answered
            Some(Address::Queue { .. }) => {
                one.refused = state.subscribe_to_queue(hub, one.whole, one.options.qos, id).err();
                if one.refused.is_some() {
                    continue;
                }
            }
            _ => {}
        }
        match answer {
            Ok(is_new) => {
                one.is_new = is_new;
                if state.subscriptions.insert(one.whole) {
                    state.subscription_bytes += cost(one.whole);
                }
            }
            Err(TrieError::TooDeep) => one.refused = Some(ReasonCode::TOPIC_FILTER_INVALID),
            Err(_) => one.refused = Some(ReasonCode::QUOTA_EXCEEDED),
        }
    }
    state.account(hub);
}
