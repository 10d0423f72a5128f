//! What stands before the routing sees what clients publish, and what it says happens.

use primer::{Admission, Arriving, Ingress, Message, Product, Undo, journal};
use primer_core::commit::Refused;

use super::*;

/// Says by the payload what becomes of a publish to `in/#`.
#[derive(Debug)]
struct ByPayload;

impl Ingress for ByPayload {
    fn matches(&self, topic: &str) -> bool {
        topic.starts_with("in/")
    }

    fn admit(&self, arriving: &Arriving<'_>) -> Admission {
        let text = String::from_utf8_lossy(arriving.payload).into_owned();
        let changed = |message, products| Admission::Changed {
            message,
            products,
            draft: Default::default(),
            undo: Default::default(),
        };
        match &*text {
            "drop" => changed(None, Vec::new()),
            "refuse" => Admission::Refused(Refused::ByRule(0x99)),
            "change" => changed(Some(Message::new("changed").topic("out/changed").qos(1)), Vec::new()),
            "split" => {
                let by = arriving.client.map_or("nobody", |client| client);
                let enqueued = Product { queue: Some("jobs".to_owned()), message: Message::new(by) };
                let published = Product { queue: None, message: Message::new("too").topic("out/too").qos(1) };
                changed(Some(Message::new(text).topic(arriving.topic).qos(arriving.qos)), vec![enqueued, published])
            }
            _ => Admission::Pass,
        }
    }
}

fn guarded() -> Broker {
    let options = Options { listeners: Vec::new(), sys_interval: Duration::ZERO, ..Options::default() };
    Broker::start_with(options, Anonymous, Open, |node| node.set_ingress(Arc::new(ByPayload))).unwrap()
}

async fn reader(broker: &Broker) -> Client {
    let mut reader = Client::connected(broker, "reader").await;
    let mut filters = FiltersBuf::subscribe();
    filters.push("#", SubscribeOptions::from_qos(QoS::AtMostOnce));
    let (packet_id, filters) = (PacketId::new(1).unwrap(), filters.as_filters());
    let properties = Properties::EMPTY;
    reader.send(&Packet::Subscribe(Subscribe { packet_id, subscription_id: None, properties, filters })).await;
    assert_eq!(reader.read().await, "SubAck 1 [0]");
    reader
}

async fn publish(client: &mut Client, topic: &str, payloads: &[&str]) {
    let mut bytes = Vec::new();
    for (id, payload) in payloads.iter().enumerate() {
        let publish = Packet::Publish(Publish {
            dup: false,
            qos: QoS::AtLeastOnce,
            retain: false,
            topic,
            packet_id: PacketId::new(id as u16 + 1),
            topic_alias: None,
            expiry: None,
            properties: Properties::EMPTY,
            forwards_unchanged: true,
            payload: payload.as_bytes(),
        });
        codec::encode(&publish, Version::V311, &mut bytes).unwrap();
    }
    client.stream.write_all(&bytes).await.unwrap();
}

/// A burst of publishes goes apart: each has its own fate, in order, and each acknowledgement covers all of it.
#[tokio::test]
async fn each_publish_of_a_burst_has_its_own_fate() {
    let broker = guarded();
    let mut reader = reader(&broker).await;
    let mut writer = Client::connected(&broker, "writer").await;
    publish(&mut writer, "in/1", &["a", "b", "drop", "change", "c", "split", "d"]).await;
    for id in 1..=7 {
        assert_eq!(writer.read().await, format!("PubAck {id}"));
    }
    for (topic, payload) in [
        ("in/1", "a"),
        ("in/1", "b"),
        ("out/changed", "changed"),
        ("in/1", "c"),
        ("in/1", "split"),
        ("out/too", "too"),
        ("in/1", "d"),
    ] {
        assert_eq!(reader.read().await, format!("Publish {topic} 0 {payload}"));
    }
    let job = broker.node().queue("jobs").unwrap().consume(1).unwrap().next().await.unwrap();
    assert_eq!(job.text(), Some("writer"));
    job.ack().unwrap();
    publish(&mut writer, "other", &["drop"]).await;
    assert_eq!(writer.read().await, "PubAck 1", "nobody looks at other topics");
    assert_eq!(reader.read().await, "Publish other 0 drop");
    broker.shutdown(Duration::ZERO).await;
}

/// Before MQTT 5.0 there is no code to refuse with: the connection ends, and what came before has been taken in.
#[tokio::test]
async fn a_refused_publish_ends_an_older_connection() {
    let broker = guarded();
    let mut reader = reader(&broker).await;
    let mut writer = Client::connected(&broker, "writer").await;
    publish(&mut writer, "in/1", &["a", "refuse"]).await;
    assert_eq!(writer.read().await, "PubAck 1");
    assert_eq!(writer.read().await, "closed");
    assert_eq!(reader.read().await, "Publish in/1 0 a");
    broker.shutdown(Duration::ZERO).await;
}

/// Publishing later is no way around it.
#[tokio::test]
async fn what_is_to_be_published_later_is_looked_at_now() {
    let broker = guarded();
    let mut reader = reader(&broker).await;
    let mut writer = Client::connected(&broker, "writer").await;
    publish(&mut writer, "$delayed/1/in/1", &["drop", "change", "a"]).await;
    for id in 1..=3 {
        assert_eq!(writer.read().await, format!("PubAck {id}"));
    }
    assert_eq!(reader.read().await, "Publish out/changed 0 changed");
    assert_eq!(reader.read().await, "Publish in/1 0 a");
    broker.shutdown(Duration::ZERO).await;
}

/// So is what a program of the node publishes, and what a client leaves behind when it dies.
#[tokio::test]
async fn programs_and_wills_go_by_it_as_well() {
    let broker = guarded();
    let mut reader = reader(&broker).await;
    let node = broker.node();
    node.publish(Message::new("change").topic("in/1")).await.unwrap();
    assert_eq!(reader.read().await, "Publish out/changed 0 changed");
    let refused = node.publish(Message::new("refuse").topic("in/1")).await.unwrap_err();
    assert!(refused.to_string().contains("a rule refused"), "{refused}");
    let mut dying = Client::of(&broker);
    dying
        .send(&Packet::Connect(Box::new(Connect {
            version: Version::V311,
            clean_start: true,
            keep_alive: 0,
            client_id: "dying",
            will: Some(codec::packet::Will {
                topic: "in/will",
                payload: b"change",
                qos: QoS::AtLeastOnce,
                retain: false,
                properties: Properties::EMPTY,
            }),
            username: None,
            password: None,
            properties: Properties::EMPTY,
        })))
        .await;
    assert_eq!(dying.read().await, "ConnAck 0x00");
    drop(dying);
    assert_eq!(reader.read().await, "Publish out/changed 0 changed");
    broker.shutdown(Duration::ZERO).await;
}

/// Remembers each publish, and makes one of it that no segment of the store has room for.
#[derive(Debug, Default)]
struct Remembers(Arc<std::sync::atomic::AtomicUsize>);

impl Ingress for Remembers {
    fn matches(&self, topic: &str) -> bool {
        topic.starts_with("in/")
    }

    fn admit(&self, _: &Arriving<'_>) -> Admission {
        use std::sync::atomic::Ordering::SeqCst;
        self.0.fetch_add(1, SeqCst);
        let remembered = Arc::clone(&self.0);
        let large = Message::new(vec![0; 4 << 20]);
        Admission::Changed {
            message: None,
            products: vec![Product { queue: Some("jobs".to_owned()), message: large }],
            draft: Default::default(),
            undo: Undo::new(move || {
                remembered.fetch_sub(1, SeqCst);
            }),
        }
    }
}

/// The disk refuses what was admitted: that is taken back before the publisher hears of it, and not when the
/// housekeeper comes by.
#[tokio::test]
async fn what_the_disk_refuses_is_taken_back_before_the_publisher_hears_of_it() {
    let directory = std::env::temp_dir().join(format!("primer-ingress-{}", std::process::id()));
    let store = journal::Options { budget_bytes: journal::BUDGET_BYTES_MIN, ..journal::Options::default() };
    let data = Some(DataOptions { directory: directory.clone(), store, probe: None });
    let options = Options { listeners: Vec::new(), sys_interval: Duration::ZERO, data, ..Options::default() };
    let remembered = Arc::default();
    let ingress = Arc::new(Remembers(Arc::clone(&remembered)));
    let broker = Broker::start_with(options, Anonymous, Open, |node| node.set_ingress(ingress)).unwrap();
    broker.tasks.iter().for_each(JoinHandle::abort);
    let mut writer = Client::connected(&broker, "writer").await;
    publish(&mut writer, "in/1", &["x"]).await;
    // MQTT 3.1.1 knows no other way to say no.
    let mut rest = Vec::new();
    writer.stream.read_to_end(&mut rest).await.unwrap();
    assert_eq!((rest.len(), remembered.load(std::sync::atomic::Ordering::SeqCst)), (0, 0));
    broker.hub.node.journal().unwrap().store().close();
    drop(broker);
    let _it_is_in_the_systems_own = std::fs::remove_dir_all(directory);
}
