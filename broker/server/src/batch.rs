//! What a connection gathers while it works through one read: messages in the making, frames for many, connections to
//! wake. One write a destination a batch, one wake a destination a batch.

use std::task::Waker;

use primer::SubscriberKey;
use primer_core::message::{Message, Parts, Run};
use primer_mqtt::{
    Version,
    codec::{packet::QoS, publish::PublishFrame},
    session::Delivery,
};

use crate::{hub::Hub, limits::SHARED_FRAME_BYTES_MAX, session::Wish};

/// A publish on its way to its destinations, in the bytes it came in.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Publication<'a> {
    pub(crate) topic: &'a str,
    /// Encoded properties that are forwarded as they are.
    pub(crate) forward: &'a [u8],
    pub(crate) payload: &'a [u8],
    pub(crate) qos: QoS,
    pub(crate) retain: bool,
    pub(crate) expires_at_ms: u64,
    pub(crate) expiry_s: Option<u32>,
    /// The session that published it, for No Local and sticky groups.
    pub(crate) from: Option<SubscriberKey>,
    /// The retain flag of the frame that subscribers share.
    pub(crate) shared_retain: bool,
}

impl<'a> Publication<'a> {
    /// A publication of a message that is kept already.
    pub(crate) fn of_message(message: &'a Message, qos: QoS, retain: bool, now_ms: u64) -> Self {
        Self {
            topic: message.topic(),
            forward: message.properties(),
            payload: message.payload(),
            qos,
            retain,
            expires_at_ms: message.expires_at_ms(),
            expiry_s: message.seconds_left(now_ms),
            from: None,
            shared_retain: false,
        }
    }

    pub(crate) const fn as_delivery<'w>(&self, qos: QoS, wish: &Wish<'w>) -> Delivery<'w>
    where
        'a: 'w,
    {
        Delivery {
            topic: self.topic,
            forward: self.forward,
            payload: self.payload,
            expiry_s: self.expiry_s,
            qos,
            retain: wish.retain,
            subscription_ids: wish.ids,
        }
    }
}

/// One QoS 0 frame of a publication a version, encoded when the first subscriber asks.
#[derive(Debug, Default)]
pub(crate) struct Frames {
    v3: Vec<u8>,
    v5: Vec<u8>,
}

impl Frames {
    fn clear(&mut self) {
        for frame in [&mut self.v3, &mut self.v5] {
            frame.clear();
            if frame.capacity() > SHARED_FRAME_BYTES_MAX {
                *frame = Vec::new();
            }
        }
    }

    /// No frame of the publication is larger.
    pub(crate) const fn upper_bound(&self, publication: &Publication<'_>) -> usize {
        // fixed header 5, topic length 2, properties length 4, expiry 5
        publication.topic.len() + publication.forward.len() + publication.payload.len() + 16
    }

    pub(crate) fn frame(&mut self, version: Version, publication: &Publication<'_>) -> &[u8] {
        let frame = if version.is_v5() { &mut self.v5 } else { &mut self.v3 };
        if frame.is_empty() {
            PublishFrame {
                dup: false,
                qos: QoS::AtMostOnce,
                retain: publication.shared_retain,
                topic: publication.topic,
                packet_id: None,
                topic_alias: None,
                expiry: publication.expiry_s,
                subscription_ids: &[],
                forward: publication.forward,
                payload: publication.payload,
            }
            .encode(version, frame);
        }
        frame
    }
}

/// See the module's description.
#[derive(Debug)]
pub(crate) struct Batch {
    pub(crate) now_ms: u64,
    pub(crate) wakers: Vec<Waker>,
    pub(crate) frames: Frames,
    /// Whether the present publication has several subscribers of one filter, so that a frame is worth keeping.
    pub(crate) is_shared: bool,
    run: Run,
    message: Option<Message>,
    own_message: Option<Message>,
    sent: u64,
    sent_bytes: u64,
}

impl Batch {
    fn empty() -> Self {
        Self {
            now_ms: 0,
            wakers: Vec::new(),
            frames: Frames::default(),
            is_shared: false,
            run: Run::default(),
            message: None,
            own_message: None,
            sent: 0,
            sent_bytes: 0,
        }
    }

    /// A batch of the broker's own that begins now.
    pub(crate) fn begin(hub: &Hub) -> Self {
        let mut batch = Self::empty();
        batch.now_ms = hub.node.clock.now_ms();
        batch
    }

    /// A batch of what came in `bytes` bytes.
    pub(crate) fn of_read(hub: &Hub, bytes: usize) -> Self {
        let mut batch = Self::begin(hub);
        batch.run = Run::sized(bytes);
        batch
    }

    /// A new publication: nothing of the last one is used again.
    pub(crate) fn next_publication(&mut self) {
        self.frames.clear();
        self.message = None;
        self.own_message = None;
        self.is_shared = false;
    }

    /// The publication as a message that shares the run's memory: for what is sent at once.
    pub(crate) fn message(&mut self, publication: &Publication<'_>) -> Message {
        if let Some(message) = &self.message {
            return message.clone();
        }
        let parts =
            Parts { topic: publication.topic, payload: publication.payload, expires_at_ms: publication.expires_at_ms };
        let message = self.run.message(&parts, std::iter::once(publication.forward));
        self.message.insert(message).clone()
    }

    /// The publication as a message in memory of its own: for what is kept.
    pub(crate) fn own_message(&mut self, publication: &Publication<'_>) -> Message {
        if let Some(message) = &self.own_message {
            return message.clone();
        }
        let message = self.message(publication).compact();
        self.own_message.insert(message).clone()
    }

    pub(crate) const fn count_sent(&mut self, payload_bytes: usize) {
        self.sent += 1;
        self.sent_bytes += payload_bytes as u64;
    }

    /// The end of the batch: everybody who got something is woken, once, and the counters take it in.
    pub(crate) fn finish(&mut self, hub: &Hub) {
        self.wakers.drain(..).for_each(Waker::wake);
        hub.counters.publishes_sent.add(std::mem::take(&mut self.sent));
        hub.counters.publish_bytes_sent.add(std::mem::take(&mut self.sent_bytes));
    }
}

impl Drop for Batch {
    /// A batch that a panic ends half-way still wakes whom it has given something.
    fn drop(&mut self) {
        self.wakers.drain(..).for_each(Waker::wake);
    }
}
