//! A message as it stands in a session's queue: with what its subscription adds.

use std::sync::Arc;

use primer::{Delivery as Lease, journal::Whereabouts};
use primer_core::{
    backlog::Item,
    message::{Message, NEVER_MS},
};
use primer_mqtt::{codec::packet::QoS, session::Delivery};

use crate::limits::QUEUED_OVERHEAD_BYTES;

/// Subscription identifiers of one delivery.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) enum Ids {
    #[default]
    None,
    One(u32),
    Many(Arc<[u32]>),
}

impl Ids {
    pub(crate) fn from_slice(ids: &[u32]) -> Self {
        match ids {
            [] => Self::None,
            [id] => Self::One(*id),
            ids => Self::Many(ids.into()),
        }
    }

    pub(crate) fn as_slice(&self) -> &[u32] {
        match self {
            Self::None => &[],
            Self::One(id) => std::slice::from_ref(id),
            Self::Many(ids) => ids,
        }
    }
}

/// The share group through which a message came: where it goes on when its session ends.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Share {
    pub(crate) group: Box<str>,
    pub(crate) filter: Box<str>,
}

/// A message for one session.
#[derive(Debug)]
pub(crate) struct Queued {
    /// `None` while it is in the store alone.
    pub(crate) message: Option<Message>,
    /// Where the store has it, if its session is one that lasts.
    pub(crate) at: Whereabouts,
    pub(crate) qos: QoS,
    pub(crate) retain: bool,
    pub(crate) ids: Ids,
    pub(crate) share: Option<Arc<Share>>,
    /// The queue's lease, for a message that a queue gave.
    pub(crate) lease: Option<Box<Lease>>,
    /// Bytes that it is charged with.
    pub(crate) cost: u32,
    pub(crate) expires_at_ms: u64,
}

impl Queued {
    /// A message in memory alone.
    pub(crate) fn new(message: Message, qos: QoS, retain: bool, ids: Ids, share: Option<Arc<Share>>) -> Self {
        let (cost, expires_at_ms) = (cost(message.len(), &ids), message.expires_at_ms());
        let message = Some(message);
        Self { message, at: Whereabouts::Nowhere, qos, retain, ids, share, lease: None, cost, expires_at_ms }
    }

    /// A message of which all is still to be read.
    pub(crate) const fn blank() -> Self {
        Self {
            message: None,
            at: Whereabouts::Nowhere,
            qos: QoS::AtMostOnce,
            retain: false,
            ids: Ids::None,
            share: None,
            lease: None,
            cost: 0,
            expires_at_ms: NEVER_MS,
        }
    }

    /// `None` when its content is not in memory.
    pub(crate) fn as_delivery(&self, now_ms: u64) -> Option<Delivery<'_>> {
        let message = self.message.as_ref()?;
        Some(Delivery {
            topic: message.topic(),
            forward: message.properties(),
            payload: message.payload(),
            expiry_s: message.seconds_left(now_ms),
            qos: self.qos,
            retain: self.retain,
            subscription_ids: self.ids.as_slice(),
        })
    }

    /// Whether it is on the disk, or need not be.
    pub(crate) fn is_settled(&self) -> bool {
        match &self.at {
            Whereabouts::With(ticket) => ticket.written().is_some(),
            Whereabouts::At { .. } | Whereabouts::Nowhere => true,
        }
    }

    /// Whether the store has refused it after it was queued: nobody was told that it is here.
    pub(crate) fn is_withdrawn(&self) -> bool {
        matches!(&self.at, Whereabouts::With(ticket) if ticket.is_withdrawn())
    }
}

/// What a message of so many bytes is charged with.
pub(crate) fn cost(len: usize, ids: &Ids) -> u32 {
    let ids = match ids {
        Ids::Many(ids) => size_of_val(&**ids),
        _ => 0,
    };
    u32::try_from(len + ids + QUEUED_OVERHEAD_BYTES).unwrap_or(u32::MAX)
}

impl Item for Queued {
    fn cost(&self) -> usize {
        self.cost as usize
    }

    fn expires_at_ms(&self) -> u64 {
        self.expires_at_ms
    }

    fn is_durable(&self) -> bool {
        !matches!(self.at, Whereabouts::Nowhere)
    }

    fn is_void(&self) -> bool {
        self.is_withdrawn()
    }

    fn stub(&self) -> Option<(u64, u32)> {
        match &self.at {
            Whereabouts::At { sequence, len } => Some((*sequence, *len)),
            Whereabouts::With(ticket) => ticket.written(),
            Whereabouts::Nowhere => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use primer_core::message::Parts;

    use super::*;

    /// Subscription identifiers were not charged: thousands of overlapping filters made small messages large, unseen.
    #[test]
    fn subscription_identifiers_are_part_of_the_cost() {
        let message = Message::new(&Parts { topic: "t", properties: &[], payload: b"x", expires_at_ms: NEVER_MS });
        let with = |ids: &[u32]| {
            let ids = Ids::from_slice(ids);
            Queued::new(message.clone(), QoS::AtLeastOnce, false, ids, None).cost()
        };
        assert_eq!(with(&vec![1; 1000]) - with(&[]), 4000);
    }
}
