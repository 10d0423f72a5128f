//! From a publication to the sessions that get it: matching, overlapping subscriptions, No Local, share groups.

use std::{hash::BuildHasher, sync::Arc};

use primer::{SubscriberKey, drops::Reason};
use primer_core::trie::{Group, Subscribers};
use primer_mqtt::codec::packet::{QoS, SubscribeOptions};

use crate::{
    batch::{Batch, Publication},
    delivery::Share,
    hub::Hub,
    limits::SHARE_LOOKS_MAX,
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
            let delivered = to_group(hub, batch, publication, group);
            if matches!(delivered, Delivered::Gone) {
                hub.node.drops.add(Reason::NoConsumer, 1);
            }
            answer(delivered);
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
    let in_turn = (0..len).filter_map(|turn| members.get_index(start.wrapping_add(turn) % len));
    let mut online = in_turn.filter(|(_, member)| member.cell.is_online()).map(|(_, member)| member).peekable();
    let first_online = online.peek().copied();
    if hub.options.share == ShareStrategy::RoundRobin {
        for member in online.take(SHARE_LOOKS_MAX) {
            if member.cell.lock().can_take_now(member.options.qos.min(publication.qos)) {
                return Some(member);
            }
        }
    }
    first_online.or_else(|| members.get_index(start % len.max(1)).map(|(_, member)| member))
}

/// Gives the publication to a member of a share group. A session that is just ending is no member any more: then the
/// others have their turn.
fn to_group(
    hub: &Hub,
    batch: &mut Batch,
    publication: &Publication<'_>,
    group: &Group<SubscriberKey, Subscription>,
) -> Delivered {
    let chosen = choose(hub, publication, group).map(|chosen| to_one(hub, batch, publication, chosen));
    match chosen {
        Some(Delivered::Gone) | None => {}
        Some(delivered) => return delivered,
    }
    for member in group.members().values() {
        match to_one(hub, batch, publication, member) {
            Delivered::Gone => {}
            delivered => return delivered,
        }
    }
    Delivered::Gone
}

/// Gives a message that its session could not deliver any more to another member of the share group it came through.
pub(crate) fn hand_on(hub: &Hub, batch: &mut Batch, publication: &Publication<'_>, share: &Share) -> Delivered {
    batch.next_publication();
    let trie = hub.node.routes.read();
    let mut delivered = Delivered::Gone;
    trie.matching(publication.topic, |node| {
        for (name, group) in node.groups() {
            let is_it = name == &*share.group
                && group.members().first().is_some_and(|(_, s)| s.share.as_deref() == Some(share));
            if is_it {
                delivered = to_group(hub, batch, publication, group);
            }
        }
    });
    delivered
}
