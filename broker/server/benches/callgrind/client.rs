//! Clients as byte streams that answer by script, at a few instructions a message, so that what is counted is the
//! broker.
//!
//! They write MQTT 3.1.1 and look only at what the script needs: how long what the broker writes is, and the packet
//! identifiers. A broker that says anything else is a panic.

use std::{
    io,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    task::{Context, Poll, Waker},
};

use primer_mqtt::{
    Version,
    codec::{
        self, FiltersBuf, PublishFrame,
        packet::{Connect, Packet, PacketId, QoS, Subscribe, SubscribeOptions},
        properties::Properties,
    },
};
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    sync::Notify,
};

const TOPIC: &str = "bench/topic";
const PAYLOAD: [u8; 64] = [b'x'; 64];
const VERSION: Version = Version::V311;

/// Messages that one read gives the broker. It reads four times a turn, so a subscriber gets 64 in one write: what a
/// busy broker sees, with the costs of a read and of a wake still in the count.
const MESSAGES_PER_READ: usize = 16;

/// QoS 1 messages that the publisher has unacknowledged; a whole number of reads.
const WINDOW: u64 = 64;

const CONNACK: [u8; 4] = [0x20, 2, 0, 0];
const PUBACK_BYTES: usize = 4;
/// Where the packet identifier stands in a PUBLISH: after the fixed header and the topic.
const PACKET_ID_AT: usize = 2 + 2 + TOPIC.len();

/// Counts down to a moment that somebody waits for.
pub(crate) struct Countdown {
    left: AtomicU64,
    over: Notify,
}

impl Countdown {
    pub(crate) fn new(left: u64) -> Arc<Self> {
        Arc::new(Self { left: AtomicU64::new(left), over: Notify::new() })
    }

    fn down(&self, by: u64) {
        let before = self.left.fetch_sub(by, Ordering::Relaxed);
        assert!(before >= by, "more came than was sent");
        if before == by {
            self.over.notify_one();
        }
    }

    /// Returns when the count is zero.
    pub(crate) async fn over(&self) {
        if self.left.load(Ordering::Relaxed) > 0 {
            self.over.notified().await;
        }
    }
}

/// Bytes for the broker to read, and the broker's task while it waits for them.
#[derive(Default)]
struct Pipe {
    bytes: Vec<u8>,
    reader: Option<Waker>,
}

impl Pipe {
    fn poll_read(&mut self, cx: &Context<'_>, into: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        if self.bytes.is_empty() {
            self.reader = Some(cx.waker().clone());
            return Poll::Pending;
        }
        into.put_slice(&self.bytes);
        self.bytes.clear();
        Poll::Ready(Ok(()))
    }

    fn wake(&mut self) {
        if let Some(reader) = self.reader.take() {
            reader.wake();
        }
    }
}

/// Publishes as fast as it is read.
pub(crate) struct Publisher {
    pipe: Pipe,
    /// [`MESSAGES_PER_READ`] PUBLISH packets.
    publishes: Vec<u8>,
    publish_bytes: usize,
    qos: QoS,
    is_connected: bool,
    unsent: u64,
    unacknowledged: u64,
    next_packet_id: u16,
    acknowledged: Arc<Countdown>,
}

impl Publisher {
    pub(crate) fn new(qos: QoS, messages: u64, acknowledged: &Arc<Countdown>) -> Self {
        let publish = publish(qos);
        Self {
            pipe: Pipe { bytes: connect("publisher"), reader: None },
            publishes: publish.repeat(MESSAGES_PER_READ),
            publish_bytes: publish.len(),
            qos,
            is_connected: false,
            unsent: messages,
            unacknowledged: 0,
            next_packet_id: 1,
            acknowledged: Arc::clone(acknowledged),
        }
    }

    /// Gives the next read's messages to the pipe, as far as the window allows.
    fn publish(&mut self) {
        let window = if self.qos == QoS::AtMostOnce { u64::MAX } else { WINDOW - self.unacknowledged };
        let count = self.unsent.min(window).min(MESSAGES_PER_READ as u64);
        let bytes = &mut self.publishes[..count as usize * self.publish_bytes];
        if self.qos != QoS::AtMostOnce {
            for publish in bytes.chunks_exact_mut(self.publish_bytes) {
                publish[PACKET_ID_AT..PACKET_ID_AT + 2].copy_from_slice(&self.next_packet_id.to_be_bytes());
                self.next_packet_id = self.next_packet_id.checked_add(1).unwrap_or(1);
            }
            self.unacknowledged += count;
        }
        self.unsent -= count;
        self.pipe.bytes.extend_from_slice(bytes);
    }

    fn take(&mut self, bytes: &[u8]) {
        if self.is_connected {
            let acks = (bytes.len() / PUBACK_BYTES) as u64;
            self.unacknowledged -= acks;
            self.acknowledged.down(acks);
        } else {
            assert_eq!(bytes, CONNACK);
            self.is_connected = true;
        }
        self.pipe.wake();
    }
}

/// Subscribes to the topic, takes what comes, and acknowledges it with QoS 1.
pub(crate) struct Subscriber {
    pipe: Pipe,
    publish_bytes: usize,
    qos: QoS,
    stage: Stage,
    subscribed: Arc<Countdown>,
    delivered: Arc<Countdown>,
}

/// What a subscriber waits for.
enum Stage {
    ConnAck,
    SubAck,
    Publishes,
}

impl Subscriber {
    pub(crate) fn new(number: u64, qos: QoS, subscribed: &Arc<Countdown>, delivered: &Arc<Countdown>) -> Self {
        Self {
            pipe: Pipe { bytes: connect(&format!("subscriber-{number}")), reader: None },
            publish_bytes: publish(qos).len(),
            qos,
            stage: Stage::ConnAck,
            subscribed: Arc::clone(subscribed),
            delivered: Arc::clone(delivered),
        }
    }

    fn take(&mut self, bytes: &[u8]) {
        match self.stage {
            Stage::ConnAck => {
                assert_eq!(bytes, CONNACK);
                self.pipe.bytes = subscribe(self.qos);
                self.pipe.wake();
                self.stage = Stage::SubAck;
            }
            Stage::SubAck => {
                assert_eq!(bytes, [0x90, 3, 0, 1, self.qos as u8]);
                self.subscribed.down(1);
                self.stage = Stage::Publishes;
            }
            Stage::Publishes => self.take_publishes(bytes),
        }
    }

    fn take_publishes(&mut self, bytes: &[u8]) {
        assert_eq!(bytes.len() % self.publish_bytes, 0, "the broker writes whole packets");
        if self.qos != QoS::AtMostOnce {
            for publish in bytes.chunks_exact(self.publish_bytes) {
                self.pipe.bytes.extend_from_slice(&[0x40, 2, publish[PACKET_ID_AT], publish[PACKET_ID_AT + 1]]);
            }
            self.pipe.wake();
        }
        self.delivered.down((bytes.len() / self.publish_bytes) as u64);
    }
}

impl AsyncRead for Publisher {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, into: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        if self.is_connected {
            self.publish();
        }
        self.pipe.poll_read(cx, into)
    }
}

impl AsyncRead for Subscriber {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, into: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        self.pipe.poll_read(cx, into)
    }
}

/// Both take all that is written at once.
macro_rules! takes_all {
    ($client:ty) => {
        impl AsyncWrite for $client {
            fn poll_write(mut self: Pin<&mut Self>, _: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
                self.take(bytes);
                Poll::Ready(Ok(bytes.len()))
            }

            fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
                Poll::Ready(Ok(()))
            }

            fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
                Poll::Ready(Ok(()))
            }
        }
    };
}

takes_all!(Publisher);
takes_all!(Subscriber);

fn encoded(packet: &Packet<'_>) -> Vec<u8> {
    let mut bytes = Vec::new();
    codec::encode(packet, VERSION, &mut bytes).expect("the packet can be said");
    bytes
}

fn connect(client_id: &str) -> Vec<u8> {
    encoded(&Packet::Connect(Box::new(Connect {
        version: VERSION,
        clean_start: true,
        keep_alive: 60,
        client_id,
        will: None,
        username: None,
        password: None,
        properties: Properties::EMPTY,
    })))
}

fn subscribe(qos: QoS) -> Vec<u8> {
    let mut filters = FiltersBuf::subscribe();
    filters.push(TOPIC, SubscribeOptions::from_qos(qos));
    encoded(&Packet::Subscribe(Subscribe {
        packet_id: PacketId::new(1).expect("1 is an identifier"),
        properties: Properties::EMPTY,
        subscription_id: None,
        filters: filters.as_filters(),
    }))
}

/// One PUBLISH of the path, with packet identifier 1 where it has one. What the broker sends has the same length.
fn publish(qos: QoS) -> Vec<u8> {
    let frame = PublishFrame {
        dup: false,
        qos,
        retain: false,
        topic: TOPIC,
        packet_id: PacketId::new(1),
        topic_alias: None,
        expiry: None,
        subscription_ids: &[],
        forward: &[],
        payload: &PAYLOAD,
    };
    let mut bytes = Vec::new();
    frame.encode(VERSION, &mut bytes);
    bytes
}
