//! Streams that the host program brings, served like sockets.

mod access;
mod admission;
mod courtesy;
mod durability;
mod ingress;
mod refused;

use std::{
    net::{Ipv4Addr, SocketAddr},
    pin::Pin,
    task::{Context, Poll},
};

use primer_mqtt::{
    Version,
    codec::{
        self, Decoded, FiltersBuf, Role, Rules,
        packet::{Connect, Packet, PacketId, Publish, QoS, Subscribe, SubscribeOptions},
        properties::Properties,
    },
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt, DuplexStream, ReadBuf, duplex},
    time::timeout,
};

use super::*;
use crate::access::{Anonymous, Open};

const PATIENCE: Duration = Duration::from_secs(10);
const HERE: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::LOCALHOST), 0);

fn broker(change: impl FnOnce(&mut Options)) -> Broker {
    let mut options = Options { listeners: Vec::new(), sys_interval: Duration::ZERO, ..Options::default() };
    change(&mut options);
    Broker::start(options, Anonymous, Open).unwrap()
}

/// A client of the broker at the other end of a pipe.
struct Client {
    stream: DuplexStream,
    unread: Vec<u8>,
}

impl Client {
    fn of(broker: &Broker) -> Self {
        Self::from(broker, HERE)
    }

    fn from(broker: &Broker, peer: SocketAddr) -> Self {
        let (stream, far) = duplex(4096);
        broker.serve_stream(far, peer);
        Self { stream, unread: Vec::new() }
    }

    async fn connected(broker: &Broker, client_id: &str) -> Self {
        let mut client = Self::of(broker);
        client.connect(client_id).await;
        assert_eq!(client.read().await, "ConnAck 0x00");
        client
    }

    async fn connect(&mut self, client_id: &str) {
        self.connect_for(client_id, 0).await;
    }

    async fn connect_for(&mut self, client_id: &str, keep_alive: u16) {
        self.send(&Packet::Connect(Box::new(Connect {
            version: Version::V311,
            clean_start: true,
            keep_alive,
            client_id,
            will: None,
            username: None,
            password: None,
            properties: Properties::EMPTY,
        })))
        .await;
    }

    async fn send(&mut self, packet: &Packet<'_>) {
        let mut bytes = Vec::new();
        codec::encode(packet, Version::V311, &mut bytes).unwrap();
        self.stream.write_all(&bytes).await.unwrap();
    }

    /// The next packet, as a short text; `closed` at the end of the stream.
    async fn read(&mut self) -> String {
        let rules = Rules { role: Role::Client, version: Some(Version::V311), max_packet_size: u32::MAX };
        loop {
            if let Decoded::Packet { packet, len } = codec::decode(&self.unread, &rules).unwrap() {
                let text = describe(&packet);
                self.unread.drain(..len);
                return text;
            }
            let read = timeout(PATIENCE, self.stream.read_buf(&mut self.unread)).await;
            if read.expect("the broker is silent").unwrap() == 0 {
                return "closed".to_owned();
            }
        }
    }
}

fn describe(packet: &Packet<'_>) -> String {
    match packet {
        Packet::ConnAck(connack) => format!("ConnAck 0x{:02x}", connack.reason.0),
        Packet::SubAck(suback) => format!("SubAck {} {:?}", suback.packet_id.get(), suback.codes),
        Packet::PubAck(ack) => format!("PubAck {}", ack.packet_id.get()),
        Packet::Publish(publish) => {
            let payload = String::from_utf8_lossy(publish.payload);
            format!("Publish {} {} {payload}", publish.topic, publish.qos as u8)
        }
        other => format!("{other:?}"),
    }
}

#[tokio::test]
async fn a_stream_of_the_host_is_a_client() {
    let broker = broker(|_| ());
    let mut reader = Client::connected(&broker, "reader").await;
    let mut filters = FiltersBuf::subscribe();
    filters.push("a/+", SubscribeOptions::from_qos(QoS::AtLeastOnce));
    reader
        .send(&Packet::Subscribe(Subscribe {
            packet_id: PacketId::new(7).unwrap(),
            properties: Properties::EMPTY,
            subscription_id: None,
            filters: filters.as_filters(),
        }))
        .await;
    assert_eq!(reader.read().await, "SubAck 7 [1]");

    let mut writer = Client::connected(&broker, "writer").await;
    writer
        .send(&Packet::Publish(Publish {
            dup: false,
            qos: QoS::AtLeastOnce,
            retain: false,
            topic: "a/b",
            packet_id: PacketId::new(9),
            topic_alias: None,
            expiry: None,
            properties: Properties::EMPTY,
            forwards_unchanged: true,
            payload: b"hello",
        }))
        .await;
    assert_eq!(writer.read().await, "PubAck 9");
    assert_eq!(reader.read().await, "Publish a/b 1 hello");
}

#[tokio::test]
async fn a_stream_counts_as_a_connection_and_is_shed_like_one() {
    let broker = broker(|options| options.connections_max = 1);
    let first = Client::connected(&broker, "first").await;
    let mut second = Client::of(&broker);
    assert_eq!(second.read().await, "closed");
    assert_eq!(broker.hub.counters.sockets.get(), 2);
    assert_eq!(broker.hub.counters.shed_connections.get(), 1);
    assert_eq!(broker.hub.connections.get(), 1);

    drop(first);
    timeout(PATIENCE, async {
        while broker.hub.connections.get() > 0 {
            sleep(Duration::from_millis(1)).await;
        }
    })
    .await
    .expect("a stream that its client dropped is over");
    Client::connected(&broker, "third").await;
}

#[tokio::test]
async fn a_stop_ends_a_stream_of_the_host() {
    let broker = broker(|_| ());
    let mut client = Client::connected(&broker, "client").await;
    assert_eq!(broker.shutdown(PATIENCE).await, 0);
    assert_eq!(client.read().await, "closed");
}

/// The note to look at a client's silence kept its identifier for up to a minute after it was gone, and nobody counted
/// it: identifiers of 60 KB took whatever memory they wanted.
#[tokio::test]
async fn nothing_is_kept_of_a_client_that_is_gone() {
    let broker = broker(|_| ());
    let mut client = Client::of(&broker);
    client.connect_for("brief", 60).await;
    assert_eq!(client.read().await, "ConnAck 0x00");
    let client_id = Arc::downgrade(&broker.hub.registry.get("brief").unwrap().client_id);
    drop(client);
    timeout(PATIENCE, async {
        while client_id.strong_count() > 0 {
            sleep(Duration::from_millis(1)).await;
        }
    })
    .await
    .expect("its identifier is still held");
}

/// A stream that takes every write and has others publish to its client with each, so that there is always more to
/// write; and that has a PINGREQ to read as soon as the first of it was written.
struct Flooded {
    hub: Arc<Hub>,
    to_read: Vec<u8>,
    written: Vec<u8>,
    writes: usize,
    done: Option<tokio::sync::oneshot::Sender<usize>>,
}

impl AsyncRead for Flooded {
    fn poll_read(mut self: Pin<&mut Self>, _: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        if self.to_read.is_empty() {
            return Poll::Pending;
        }
        buffer.put_slice(&std::mem::take(&mut self.to_read));
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Flooded {
    fn poll_write(mut self: Pin<&mut Self>, _: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        const WRITES_MAX: usize = 10_000;
        self.writes += 1;
        self.written.extend_from_slice(bytes);
        if self.writes == 2 {
            codec::encode(&Packet::PingReq, Version::V311, &mut self.to_read).unwrap();
        }
        if self.written.ends_with(&[0xD0, 0]) || self.writes > WRITES_MAX {
            let writes = self.writes;
            self.done.take().map(|done| done.send(writes));
        } else {
            let mut batch = Batch::begin(&self.hub);
            self.hub.publish_text(&mut batch, "flood", b"", false);
            batch.finish(&self.hub);
        }
        Poll::Ready(Ok(bytes.len()))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

/// A connection wrote as long as there was something to write: where others published to it faster than it wrote, it
/// read nothing any more, and its client was taken for silent.
#[tokio::test]
async fn a_client_that_is_flooded_is_still_heard() {
    let broker = broker(|_| ());
    let mut to_read = Vec::new();
    let mut filters = FiltersBuf::subscribe();
    filters.push("flood", SubscribeOptions::from_qos(QoS::AtMostOnce));
    for packet in [
        Packet::Connect(Box::new(Connect {
            version: Version::V311,
            clean_start: true,
            keep_alive: 0,
            client_id: "flooded",
            will: None,
            username: None,
            password: None,
            properties: Properties::EMPTY,
        })),
        Packet::Subscribe(Subscribe {
            packet_id: PacketId::new(1).unwrap(),
            properties: Properties::EMPTY,
            subscription_id: None,
            filters: filters.as_filters(),
        }),
    ] {
        codec::encode(&packet, Version::V311, &mut to_read).unwrap();
    }
    let (done, writes) = tokio::sync::oneshot::channel();
    let hub = Arc::clone(&broker.hub);
    let stream = Flooded { hub, to_read, written: Vec::new(), writes: 0, done: Some(done) };
    broker.serve_stream(stream, HERE);
    let writes = timeout(PATIENCE, writes).await.expect("the broker is silent").unwrap();
    assert!(writes < 1000, "its PINGREQ was not read during {writes} writes");
}

fn command(qos: QoS) -> Packet<'static> {
    Packet::Publish(Publish {
        dup: false,
        qos,
        retain: false,
        topic: "$CONTROL/queue/v1",
        packet_id: PacketId::new(9).filter(|_| qos != QoS::AtMostOnce),
        topic_alias: None,
        expiry: None,
        properties: Properties::EMPTY,
        forwards_unchanged: true,
        payload: br#"{"commands":[{"command":"listQueues","correlationData":1}]}"#,
    })
}

#[tokio::test]
async fn more_commands_than_are_carried_out_at_a_time_are_refused_with_a_word() {
    let broker = broker(|_| ());
    let mut client = Client::connected(&broker, "c").await;
    let all = u32::try_from(crate::limits::CONTROL_TASKS_MAX).unwrap();
    let busy = Arc::clone(&broker.hub.control_tasks).acquire_many_owned(all).await.unwrap();
    client.send(&command(QoS::AtMostOnce)).await;
    let answer = client.read().await;
    assert!(answer.contains("16 requests are being carried out: try again"), "{answer}");
    drop(busy);
    client.send(&command(QoS::AtMostOnce)).await;
    let answer = client.read().await;
    assert!(answer.starts_with("Publish $CONTROL/queue/v1/response 0 {"), "{answer}");
    assert!(answer.contains(r#""correlationData":1"#) && answer.contains(r#""queues":[]"#), "{answer}");
    broker.shutdown(Duration::ZERO).await;
}

#[tokio::test]
async fn commands_from_elsewhere_are_refused_and_counted() {
    let broker = broker(|_| ());
    let mut client = Client::from(&broker, SocketAddr::from(([192, 0, 2, 7], 4711)));
    client.connect("stranger").await;
    assert_eq!(client.read().await, "ConnAck 0x00");
    client.send(&command(QoS::AtMostOnce)).await;
    client.send(&Packet::PingReq).await;
    assert_eq!(client.read().await, "PingResp", "nobody answers it");
    assert_eq!(broker.hub.node.drops.get(primer::drops::Reason::NotAuthorized), 1);
    client.send(&command(QoS::AtLeastOnce)).await;
    assert_eq!(client.read().await, "closed", "before 5.0 a refusal has no other form");
    broker.shutdown(Duration::ZERO).await;
}
