//! A message as it stands in a session's queue: with what its subscription adds.

use std::sync::Arc;

use primer_core::{message::Message, queue::Item};
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
#[derive(Debug, Clone)]
pub(crate) struct Queued {
    pub(crate) message: Message,
    pub(crate) qos: QoS,
    pub(crate) retain: bool,
    pub(crate) ids: Ids,
    pub(crate) share: Option<Arc<Share>>,
}

impl Queued {
    pub(crate) fn as_delivery(&self, now_ms: u64) -> Delivery<'_> {
        Delivery {
            topic: self.message.topic(),
            forward: self.message.properties(),
            payload: self.message.payload(),
            expiry_s: self.message.seconds_left(now_ms),
            qos: self.qos,
            retain: self.retain,
            subscription_ids: self.ids.as_slice(),
        }
    }
}

impl Item for Queued {
    fn cost(&self) -> usize {
        let ids = match &self.ids {
            Ids::Many(ids) => size_of_val(&**ids),
            _ => 0,
        };
        self.message.len() + ids + QUEUED_OVERHEAD_BYTES
    }

    fn expires_at_ms(&self) -> u64 {
        self.message.expires_at_ms()
    }
}

#[cfg(test)]
mod tests {
    use primer_core::message::{NEVER_MS, Parts};

    use super::*;

    /// Subscription identifiers were not charged: thousands of overlapping filters made small messages large, unseen.
    #[test]
    fn subscription_identifiers_are_part_of_the_cost() {
        let message = Message::new(&Parts { topic: "t", properties: &[], payload: b"x", expires_at_ms: NEVER_MS });
        let with = |ids: &[u32]| {
            let ids = Ids::from_slice(ids);
            Queued { message: message.clone(), qos: QoS::AtLeastOnce, retain: false, ids, share: None }.cost()
        };
        assert_eq!(with(&vec![1; 1000]) - with(&[]), 4000);
    }
}
