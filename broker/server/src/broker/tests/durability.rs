//! What publishes of a topic wait for: nothing, the commit that takes all along, or one of their own.

use primer::journal::{self, Sync};

use super::*;

/// A broker with a store in a folder that goes with the test.
struct Kept {
    broker: Broker,
    directory: PathBuf,
}

impl Kept {
    fn start(name: &str, gather: Duration, durability: &[(&str, Sync)]) -> Self {
        let directory = std::env::temp_dir().join(format!("primer-durability-{name}-{}", std::process::id()));
        let store = journal::Options { budget_bytes: journal::BUDGET_BYTES_MIN, gather, ..journal::Options::default() };
        let options = Options {
            listeners: Vec::new(),
            sys_interval: Duration::ZERO,
            data: Some(DataOptions { directory: directory.clone(), store, probe: None }),
            durability: durability.iter().map(|(filter, sync)| ((*filter).to_owned(), *sync)).collect(),
            ..Options::default()
        };
        Self { broker: Broker::start(options, Anonymous, Open).unwrap(), directory }
    }

    fn syncs(&self) -> u64 {
        self.broker.hub.node.journal().unwrap().store().figures().syncs
    }
}

impl Drop for Kept {
    fn drop(&mut self) {
        self.broker.hub.node.journal().unwrap().store().close();
        let _it_is_in_the_systems_own = std::fs::remove_dir_all(&self.directory);
    }
}

/// Retained publishes at QoS 1, one after another in one write, and a PINGREQ behind them.
async fn keep(client: &mut Client, topics: &[String]) {
    let mut bytes = Vec::new();
    for (id, topic) in (1..).zip(topics) {
        let publish = Packet::Publish(Publish {
            dup: false,
            qos: QoS::AtLeastOnce,
            retain: true,
            topic,
            packet_id: PacketId::new(id),
            topic_alias: None,
            expiry: None,
            properties: Properties::EMPTY,
            forwards_unchanged: true,
            payload: b"x",
        });
        codec::encode(&publish, Version::V311, &mut bytes).unwrap();
    }
    codec::encode(&Packet::PingReq, Version::V311, &mut bytes).unwrap();
    client.stream.write_all(&bytes).await.unwrap();
}

/// The store waits an hour for more to write: only who does not wait for it is answered before the PINGRESP.
#[tokio::test]
async fn a_topic_that_waits_for_nothing_is_acknowledged_before_the_commit() {
    const HOUR: Duration = Duration::from_secs(3600);
    let rules = [("fast/slow", Sync::Group), ("fast/#", Sync::Never)];
    let kept = Kept::start("never", HOUR, &rules);
    let mut client = Client::connected(&kept.broker, "writer").await;
    keep(&mut client, &["fast/1".to_owned(), "fast/slow".to_owned()]).await;
    assert_eq!(client.read().await, "PubAck 1");
    assert_eq!(client.read().await, "PingResp");
    let mut other = Client::connected(&kept.broker, "other").await;
    keep(&mut other, &["slow/1".to_owned()]).await;
    assert_eq!(other.read().await, "PingResp");
    kept.broker.hub.node.journal().unwrap().store().close(); // writes what it has
    assert_eq!(client.read().await, "PubAck 2");
    assert_eq!(other.read().await, "PubAck 1");
}

#[tokio::test]
async fn a_topic_can_ask_for_a_commit_for_each_message() {
    let kept = Kept::start("each", Duration::ZERO, &[("each/+", Sync::Each)]);
    let mut client = Client::connected(&kept.broker, "writer").await;
    for (prefix, at_least) in [("group", 1), ("each", 20)] {
        let before = kept.syncs();
        let topics: Vec<String> = (0..20).map(|number| format!("{prefix}/{number}")).collect();
        keep(&mut client, &topics).await;
        let mut answers = Vec::new();
        for _ in 0..=topics.len() {
            answers.push(client.read().await);
        }
        assert_eq!(answers.iter().filter(|answer| answer.starts_with("PubAck")).count(), 20);
        let syncs = kept.syncs() - before;
        assert!(syncs >= at_least && (prefix == "each" || syncs < 20), "{prefix}: {syncs} syncs");
    }
}

/// A queue says itself what it waits for: the rule of a topic does not take that back.
#[tokio::test]
async fn a_queue_keeps_its_word() {
    let hour = Duration::from_secs(3600);
    let kept = Kept::start("queue", hour, &[("#", Sync::Never), ("$queue/#", Sync::Never)]);
    let mut client = Client::connected(&kept.broker, "writer").await;
    keep(&mut client, &["$queue/jobs".to_owned()]).await;
    assert_eq!(client.read().await, "PingResp");
    kept.broker.hub.node.journal().unwrap().store().close();
    assert_eq!(client.read().await, "PubAck 1");
}

/// A delayed publish is for the topic behind the delay.
#[tokio::test]
async fn a_delayed_publish_waits_as_its_topic_says() {
    let kept = Kept::start("delayed", Duration::from_secs(3600), &[("fast/#", Sync::Never)]);
    let mut client = Client::connected(&kept.broker, "writer").await;
    keep(&mut client, &["$delayed/60/fast/1".to_owned(), "$delayed/60/slow/1".to_owned()]).await;
    assert_eq!(client.read().await, "PubAck 1");
    assert_eq!(client.read().await, "PingResp");
    kept.broker.hub.node.journal().unwrap().store().close();
    assert_eq!(client.read().await, "PubAck 2");
}
