//! From a publication to the sessions that get it: matching, overlapping subscriptions, No Local, share groups.

use std::{hash::BuildHasher, sync::Arc};

use primer::SubscriberKey;
use primer_core::trie::{Group, Subscribers};
use primer_mqtt::codec::packet::{QoS, SubscribeOptions};

use crate::{
    batch::{Batch, Publication},
    delivery::Share,
    hub::Hub,
    options::{Overlap, ShareStrategy},
    session::{Cell, Delivered, Wish},
};

/// What a subscription carries in the routing table.
#[derive(Debug)]
pub(crate) struct Subscription {
    pub(crate) cell: Arc<Cell>,
    pub(crate) options: SubscribeOptions,
    pub(crate) id: Option<u32>,
    pub(crate) share: Option<Arc<Share>>,
}

type Node = Subscribers<SubscriberKey, Subscription>;

/// Gives the publication to every session that subscribes to its topic; `answer` hears what became of it at each.
pub(crate) fn route(hub: &Hub, batch: &mut Batch, publication: &Publication<'_>, mut answer: impl FnMut(Delivered)) {
    batch.next_publication();
    let trie = hub.node.routes.read();
    let mut first: Option<&Node> = None;
    let mut others: Vec<&Node> = Vec::new(); // allocates only where filters overlap
    trie.matching(publication.topic, |node| match first {
        None => first = Some(node),
        Some(_) => others.push(node),
    });
    let Some(first) = first else { return };
    let nodes = std::iter::once(first).chain(others.iter().copied());
    if others.is_empty() || hub.options.overlap == Overlap::CopyEach {
        for node in nodes.clone() {
            to_each(hub, batch, publication, node, &mut answer);
        }
    } else {
        to_each_once(hub, batch, publication, nodes.clone(), &mut answer);
    }
    for node in nodes {
        for (_, group) in node.groups() {
            if let Some(chosen) = choose(hub, publication, group) {
                answer(to_one(hub, batch, publication, chosen));
            }
        }
    }
}

fn to_each(
    hub: &Hub,
    batch: &mut Batch,
    publication: &Publication<'_>,
    node: &Node,
    answer: &mut impl FnMut(Delivered),
) {
    batch.is_shared = node.direct_len() > 1;
    for (key, subscription) in node.direct() {
        if subscription.options.no_local && publication.from == Some(key) {
            continue;
        }
        answer(to_one(hub, batch, publication, subscription));
    }
}

fn to_one(hub: &Hub, batch: &mut Batch, publication: &Publication<'_>, subscription: &Subscription) -> Delivered {
    let wish = Wish {
        qos: subscription.options.qos,
        retain: publication.retain && subscription.options.retain_as_published,
        ids: subscription.id.as_slice(),
        share: subscription.share.as_ref(),
    };
    subscription.cell.deliver(hub, batch, &wish, publication)
}

/// One copy a session, at the highest QoS of its matching subscriptions, with all their identifiers [MQTT-3.3.4-2].
fn to_each_once<'n>(
    hub: &Hub,
    batch: &mut Batch,
    publication: &Publication<'_>,
    nodes: impl Iterator<Item = &'n Node>,
    answer: &mut impl FnMut(Delivered),
) {
    let mut matches: Vec<(SubscriberKey, &Subscription)> = nodes
        .flat_map(Subscribers::direct)
        .filter(|(key, subscription)| !(subscription.options.no_local && publication.from == Some(*key)))
        .collect();
    matches.sort_by_key(|(key, _)| *key);
    batch.is_shared = matches.len() > 1;
    for same in matches.chunk_by(|a, b| a.0 == b.0) {
        let [(_, one), ..] = same else { continue };
        let ids: Vec<u32> = same.iter().filter_map(|(_, subscription)| subscription.id).collect();
        let wish = Wish {
            qos: same.iter().map(|(_, s)| s.options.qos).max().unwrap_or(QoS::AtMostOnce),
            retain: publication.retain && same.iter().any(|(_, s)| s.options.retain_as_published),
            ids: &ids,
            share: None,
        };
        answer(one.cell.deliver(hub, batch, &wish, publication));
    }
}

/// The member of a share group that gets the message: one that can take it at once, else one that is connected, else
/// whose turn it is (its session keeps the message).
fn choose<'g>(
    hub: &Hub,
    publication: &Publication<'_>,
    group: &'g Group<SubscriberKey, Subscription>,
) -> Option<&'g Subscription> {
    let members = group.members();
    let start = match hub.options.share {
        ShareStrategy::RoundRobin => group.next_start(),
        ShareStrategy::StickyByPublisher => {
            usize::try_from(hub.hasher.hash_one(publication.from) >> 1).unwrap_or(0) // any stable number does
        }
    };
    let len = members.len();
    let mut connected = None;
    for turn in 0..len {
        let (_, member) = members.get_index(start.wrapping_add(turn) % len)?;
        let state = member.cell.lock();
        if state.connected.is_some() {
            let qos = member.options.qos.min(publication.qos);
            if hub.options.share == ShareStrategy::StickyByPublisher || state.can_take_now(qos) {
                return Some(member);
            }
            connected.get_or_insert(member);
        }
    }
    connected.or_else(|| members.get_index(start % len.max(1)).map(|(_, member)| member))
}

/// Gives a message that its session could not deliver any more to another member of the share group it came through.
pub(crate) fn hand_on(hub: &Hub, batch: &mut Batch, publication: &Publication<'_>, share: &Share) -> Option<Delivered> {
    batch.next_publication();
    let trie = hub.node.routes.read();
    let mut delivered = None;
    trie.matching(publication.topic, |node| {
        for (name, group) in node.groups() {
            let is_it = name == &*share.group
                && group.members().first().is_some_and(|(_, s)| s.share.as_deref() == Some(share));
            if is_it && let Some(chosen) = choose(hub, publication, group) {
                delivered = Some(to_one(hub, batch, publication, chosen));
            }
        }
    });
    delivered
}
