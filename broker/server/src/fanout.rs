//! From a burst to the sessions that get it: matching, overlapping subscriptions, No Local, share groups.

use std::{hash::BuildHasher, sync::Arc};

use primer::{SubscriberKey, drops::Reason};
use primer_core::trie::{Group, Subscribers};
use primer_mqtt::codec::packet::{QoS, SubscribeOptions};

use crate::{
    batch::{Batch, Burst},
    delivery::Share,
    hub::Hub,
    options::{Overlap, ShareStrategy},
    session::{Cell, Delivered, Wish},
    turns,
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
type ShareGroup = Group<SubscriberKey, Subscription>;

/// Gives the burst, which the batch has [begun](Batch::next_burst), to every session that subscribes to its topic;
/// `answer` hears what became of each publication at each of them.
pub(crate) fn route(hub: &Hub, batch: &mut Batch<'_>, burst: Burst<'_, '_>, mut answer: impl FnMut(usize, Delivered)) {
    let trie = hub.node.routes.read();
    let mut first: Option<&Node> = None;
    let mut others: Vec<&Node> = Vec::new(); // allocates only where filters overlap
    trie.matching(burst.first().topic, |node| match first {
        None => first = Some(node),
        Some(_) => others.push(node),
    });
    let Some(first) = first else { return };
    let nodes = std::iter::once(first).chain(others.iter().copied());
    batch.has_many = !others.is_empty() || first.direct_len() + first.groups().count() > 1;
    if others.is_empty() || hub.options.overlap == Overlap::CopyEach {
        for node in nodes.clone() {
            to_each(hub, batch, burst, node, &mut answer);
        }
    } else {
        to_each_once(hub, batch, burst, nodes.clone(), &mut answer);
    }
    for node in nodes {
        for (_, group) in node.groups() {
            let mut gone = 0;
            to_group(hub, batch, burst, group, |index, delivered| {
                gone += u64::from(matches!(delivered, Delivered::Gone));
                answer(index, delivered);
            });
            hub.node.drops.add(Reason::NoConsumer, gone);
        }
    }
}

fn to_each(
    hub: &Hub,
    batch: &mut Batch<'_>,
    burst: Burst<'_, '_>,
    node: &Node,
    answer: &mut impl FnMut(usize, Delivered),
) {
    batch.is_shared = node.direct_len() > 1;
    for (key, subscription) in node.direct() {
        if subscription.options.no_local && burst.first().from == Some(key) {
            continue;
        }
        to_one(hub, batch, burst, 0..burst.len(), subscription, &mut *answer);
    }
}

fn to_one(
    hub: &Hub,
    batch: &mut Batch<'_>,
    burst: Burst<'_, '_>,
    which: impl ExactSizeIterator<Item = usize> + Clone,
    subscription: &Subscription,
    answer: impl FnMut(usize, Delivered),
) {
    let wish = Wish {
        qos: subscription.options.qos,
        retain: burst.first().retain && subscription.options.retain_as_published,
        ids: subscription.id.as_slice(),
        share: subscription.share.as_ref(),
        is_direct: false,
    };
    subscription.cell.deliver(hub, batch, &wish, burst, which, answer);
}

/// One copy a session, at the highest QoS of its matching subscriptions, with all their identifiers [MQTT-3.3.4-2].
fn to_each_once<'n>(
    hub: &Hub,
    batch: &mut Batch<'_>,
    burst: Burst<'_, '_>,
    nodes: impl Iterator<Item = &'n Node>,
    answer: &mut impl FnMut(usize, Delivered),
) {
    let first = burst.first();
    let mut matches: Vec<(SubscriberKey, &Subscription)> = nodes
        .flat_map(Subscribers::direct)
        .filter(|(key, subscription)| !(subscription.options.no_local && first.from == Some(*key)))
        .collect();
    matches.sort_by_key(|(key, _)| *key);
    batch.is_shared = matches.len() > 1;
    for same in matches.chunk_by(|a, b| a.0 == b.0) {
        let [(_, one), ..] = same else { continue };
        let ids: Vec<u32> = same.iter().filter_map(|(_, subscription)| subscription.id).collect();
        let wish = Wish {
            qos: same.iter().map(|(_, s)| s.options.qos).max().unwrap_or(QoS::AtMostOnce),
            retain: first.retain && same.iter().any(|(_, s)| s.options.retain_as_published),
            ids: &ids,
            share: None,
            is_direct: false,
        };
        one.cell.deliver(hub, batch, &wish, burst, 0..burst.len(), &mut *answer);
    }
}

/// The members of a share group that get the publications of a burst, each with its publication, by member.
fn choose(hub: &Hub, burst: Burst<'_, '_>, group: &ShareGroup) -> Vec<(usize, usize)> {
    let members = group.members();
    let is_online = |at: usize| members.get_index(at).is_some_and(|(_, member)| member.cell.is_online());
    let mut chosen: Vec<(usize, usize)> = match hub.options.share {
        ShareStrategy::RoundRobin => {
            let room = |at: usize| {
                members
                    .get_index(at)
                    .map_or(0, |(_, member)| member.cell.room(member.options.qos.min(burst.first().qos)))
            };
            let start = group.next_start(burst.len());
            turns::deal(burst.len(), start, members.len(), is_online, room).zip(0..).collect()
        }
        ShareStrategy::StickyByPublisher => {
            // Any stable number does.
            let start = usize::try_from(hub.hasher.hash_one(burst.first().from) >> 1).unwrap_or(0);
            let member = turns::first(start, members.len(), is_online);
            (0..burst.len()).map(|index| (member, index)).collect()
        }
    };
    chosen.sort_by_key(|(member, _)| *member); // stable: each member's messages stay in order
    chosen
}

/// Gives the burst to members of a share group. A session that is just ending is no member any more: then the others
/// have their turn.
fn to_group(
    hub: &Hub,
    batch: &mut Batch<'_>,
    burst: Burst<'_, '_>,
    group: &ShareGroup,
    mut answer: impl FnMut(usize, Delivered),
) {
    let mut gone: Vec<usize> = Vec::new();
    let chosen = choose(hub, burst, group);
    for same in chosen.chunk_by(|a, b| a.0 == b.0) {
        let member = same.first().and_then(|(member, _)| group.members().get_index(*member));
        let which = same.iter().map(|(_, index)| *index);
        match member {
            Some((_, member)) => to_one(hub, batch, burst, which, member, |index, delivered| match delivered {
                Delivered::Gone => gone.push(index),
                delivered => answer(index, delivered),
            }),
            None => gone.extend(which),
        }
    }
    for index in gone {
        let mut delivered = Delivered::Gone;
        for member in group.members().values() {
            to_one(hub, batch, burst, std::iter::once(index), member, |_, answer| delivered = answer);
            if !matches!(delivered, Delivered::Gone) {
                break;
            }
        }
        answer(index, delivered);
    }
}

/// Gives a message that its session could not deliver any more to another member of the share group it came through.
pub(crate) fn hand_on(hub: &Hub, batch: &mut Batch<'_>, burst: Burst<'_, '_>, share: &Share) -> Delivered {
    batch.next_burst();
    let trie = hub.node.routes.read();
    let mut delivered = Delivered::Gone;
    trie.matching(burst.first().topic, |node| {
        for (name, group) in node.groups() {
            let is_it = name == &*share.group
                && group.members().first().is_some_and(|(_, s)| s.share.as_deref() == Some(share));
            if is_it {
                to_group(hub, batch, burst, group, |_, answer| delivered = answer);
            }
        }
    });
    drop(trie);
    batch.store(hub, burst);
    delivered
}
