//! What an ACL lets through to sessions, and what a change of it changes.

use std::{
    path::Path,
    sync::atomic::{AtomicU32, Ordering::Relaxed},
};

use primer::{drops::Reason, journal};
use primer_mqtt::{
    Version,
    auth::scram::Credentials,
    codec::{
        FiltersBuf,
        packet::{Ack, Connect, Packet, PacketId, Publish, QoS, Subscribe, SubscribeOptions, Unsubscribe, Will},
        properties::Properties,
    },
};

use super::{super::*, Client, HERE, PATIENCE};
use crate::access::{AccessOptions, Attempt, Guard, Standing};

/// A broker with an ACL file of the test's own.
struct Fixture {
    broker: Broker,
    guard: Guard,
    rules: Rules,
}

/// Takes every user name for proved: passwords are no matter of these tests.
#[derive(Debug)]
struct Trusting;

impl Authenticator for Trusting {
    fn authenticate(&self, _: &Attempt<'_>) -> Result<Standing, ReasonCode> {
        Ok(Standing::Proven)
    }

    fn is_slow(&self) -> bool {
        false
    }

    fn credentials(&self, _: &str) -> Option<Credentials> {
        None
    }

    fn offers_scram(&self) -> bool {
        false
    }
}

/// The ACL file, which goes with the test.
struct Rules(PathBuf);

impl Fixture {
    fn start(acl: &str) -> Self {
        Self::start_with(acl, None)
    }

    /// The same on a data directory.
    fn start_with(acl: &str, directory: Option<&Path>) -> Self {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let name = format!("primer-acl-{}-{}", std::process::id(), NUMBER.fetch_add(1, Relaxed));
        let file = std::env::temp_dir().join(name);
        std::fs::write(&file, acl).unwrap();
        let access = AccessOptions { allow_anonymous: true, acl_file: Some(file.clone()), ..AccessOptions::default() };
        let guard = Guard::load(access).unwrap();
        let data = directory.map(|directory| {
            let store = journal::Options { budget_bytes: journal::BUDGET_BYTES_MIN, ..journal::Options::default() };
            DataOptions { directory: directory.to_owned(), store, probe: None }
        });
        let options = Options { listeners: Vec::new(), sys_interval: Duration::ZERO, data, ..Options::default() };
        let broker = Broker::start(options, Trusting, guard.clone()).unwrap();
        Self { broker, guard, rules: Rules(file) }
    }

    fn change(&self, acl: &str) {
        std::fs::write(&self.rules.0, acl).unwrap();
        self.guard.reload().unwrap();
        self.broker.access_changed();
    }

    /// A client with this user name, and a session that stays.
    async fn client(&self, name: &str) -> Client {
        self.client_as(name, name, None).await
    }

    async fn client_as(&self, client_id: &str, username: &str, will: Option<&str>) -> Client {
        let mut client = Client::from(&self.broker, HERE);
        let will = will.map(|topic| Will {
            topic,
            payload: b"gone",
            qos: QoS::AtMostOnce,
            retain: false,
            properties: Properties::EMPTY,
        });
        client
            .send(&Packet::Connect(Box::new(Connect {
                version: Version::V311,
                clean_start: false,
                keep_alive: 0,
                client_id,
                will,
                username: Some(username),
                password: None,
                properties: Properties::EMPTY,
            })))
            .await;
        assert_eq!(client.read().await, "ConnAck 0x00");
        client
    }

    /// Ends a connection without a word, and waits until its session knows.
    async fn lose(&self, client: Client, client_id: &str) {
        drop(client);
        let cell = self.broker.hub.registry.get(client_id).unwrap();
        timeout(async {
            while cell.lock().connected.is_some() {
                sleep(Duration::from_millis(1)).await;
            }
        })
        .await;
    }

    fn is_restricted(&self, client_id: &str) -> bool {
        self.broker.hub.registry.get(client_id).unwrap().lock().is_restricted
    }

    fn withheld(&self) -> u64 {
        self.broker.hub.node.drops.get(Reason::NotReadable)
    }
}

impl Drop for Rules {
    fn drop(&mut self) {
        let _it_is_in_the_systems_own = std::fs::remove_file(&self.0);
    }
}

async fn timeout<T>(future: impl Future<Output = T>) -> T {
    tokio::time::timeout(PATIENCE, future).await.expect("it takes too long")
}

async fn subscribe(client: &mut Client, filter: &str) -> String {
    let mut filters = FiltersBuf::subscribe();
    filters.push(filter, SubscribeOptions::from_qos(QoS::AtLeastOnce));
    client
        .send(&Packet::Subscribe(Subscribe {
            packet_id: PacketId::new(7).unwrap(),
            properties: Properties::EMPTY,
            subscription_id: None,
            filters: filters.as_filters(),
        }))
        .await;
    client.read().await
}

async fn publish(client: &mut Client, topic: &str, retain: bool) {
    client
        .send(&Packet::Publish(Publish {
            dup: false,
            qos: QoS::AtLeastOnce,
            retain,
            topic,
            packet_id: PacketId::new(9),
            topic_alias: None,
            expiry: None,
            properties: Properties::EMPTY,
            forwards_unchanged: true,
            payload: b"x",
        }))
        .await;
    assert_eq!(client.read().await, "PubAck 9", "{topic}");
}

async fn acknowledge(client: &mut Client, packet_id: u16) {
    let packet_id = PacketId::new(packet_id).unwrap();
    let ack = Ack { packet_id, reason: ReasonCode::SUCCESS, properties: Properties::EMPTY };
    client.send(&Packet::PubAck(ack)).await;
}

const RULES: &str = "user writer\ntopic write #\ntopic write $queue/#\nuser reader\ntopic read open/#\n\
                     topic deny open/secret\ntopic read $queue/jobs\n";

#[tokio::test]
async fn a_subscription_is_refused_or_each_message_of_it_is_asked_about() {
    let it = Fixture::start(RULES);
    let (mut writer, mut reader) = (it.client("writer").await, it.client("reader").await);
    assert_eq!(subscribe(&mut reader, "open/a").await, "SubAck 7 [1]");
    assert!(!it.is_restricted("reader"), "all of it is readable: nobody is asked");
    for filter in ["closed/#", "open/secret", "$SYS/#", "$queue/other", "$share/g/closed/#", "$browse/jobs"] {
        assert_eq!(subscribe(&mut reader, filter).await, "SubAck 7 [128]", "{filter}");
    }
    assert!(!it.is_restricted("reader"));
    assert_eq!(subscribe(&mut reader, "#").await, "SubAck 7 [1]");
    assert!(it.is_restricted("reader"));
    for topic in ["closed/a", "open/secret", "open/b"] {
        publish(&mut writer, topic, false).await;
    }
    assert_eq!(reader.read().await, "Publish open/b 1 x");
    assert_eq!(it.withheld(), 0, "what was never queued is not dropped");
}

#[tokio::test]
async fn what_is_retained_and_may_not_be_read_is_passed_over() {
    let it = Fixture::start(RULES);
    let (mut writer, mut reader) = (it.client("writer").await, it.client("reader").await);
    for topic in ["closed/a", "open/secret", "open/z"] {
        publish(&mut writer, topic, true).await;
    }
    assert_eq!(subscribe(&mut reader, "#").await, "SubAck 7 [1]");
    assert_eq!(reader.read().await, "Publish open/z 1 x");
}

#[tokio::test]
async fn a_change_of_the_rules_takes_effect_on_subscriptions_that_are_there() {
    let it = Fixture::start(RULES);
    let (mut writer, mut reader) = (it.client("writer").await, it.client("reader").await);
    assert_eq!(subscribe(&mut reader, "open/+").await, "SubAck 7 [1]");
    it.change("user writer\ntopic write #\nuser reader\ntopic read open/a\n");
    publish(&mut writer, "open/b", false).await;
    publish(&mut writer, "open/a", false).await;
    assert_eq!(reader.read().await, "Publish open/a 1 x");
    it.change("user writer\ntopic write #\n");
    publish(&mut writer, "open/a", false).await;
    it.change("user writer\ntopic write #\nuser reader\ntopic read open/#\n");
    publish(&mut writer, "open/c", false).await;
    assert_eq!(reader.read().await, "Publish open/c 1 x");
}

#[tokio::test]
async fn what_waits_for_a_client_is_dropped_when_it_may_not_read_it_any_more() {
    let it = Fixture::start(RULES);
    let (mut writer, mut reader) = (it.client("writer").await, it.client("reader").await);
    assert_eq!(subscribe(&mut reader, "open/#").await, "SubAck 7 [1]");
    publish(&mut writer, "open/sent", false).await;
    assert_eq!(reader.read().await, "Publish open/sent 1 x");
    it.lose(reader, "reader").await; // and it has not acknowledged
    for topic in ["open/secret", "open/a", "open/b"] {
        publish(&mut writer, topic, false).await;
    }
    it.change("user writer\ntopic write #\nuser reader\ntopic read open/b\n");
    publish(&mut writer, "open/c", false).await; // its reader is known, and is gone
    let mut reader = it.client("reader").await;
    assert_eq!(reader.read().await, "Publish open/b 1 x");
    assert_eq!(it.withheld(), 2, "open/sent and open/a; open/secret and open/c never waited");
}

/// What is subscribed to says nothing of what waits: it may come from a subscription that is gone.
#[tokio::test]
async fn what_waits_is_asked_about_though_its_subscription_is_gone() {
    let it = Fixture::start(RULES);
    let (mut writer, mut reader) = (it.client("writer").await, it.client("reader").await);
    assert_eq!(subscribe(&mut reader, "open/#").await, "SubAck 7 [1]");
    publish(&mut writer, "open/a", false).await;
    assert_eq!(reader.read().await, "Publish open/a 1 x");
    let mut filters = FiltersBuf::unsubscribe();
    filters.push("open/#", SubscribeOptions::from_qos(QoS::AtMostOnce));
    let packet_id = PacketId::new(8).unwrap();
    let packet = Unsubscribe { packet_id, properties: Properties::EMPTY, filters: filters.as_filters() };
    reader.send(&Packet::Unsubscribe(packet)).await;
    assert!(reader.read().await.starts_with("UnsubAck"));
    it.lose(reader, "reader").await;
    it.change("user writer\ntopic write #\n");
    for _ in 0..2 {
        let mut reader = it.client("reader").await;
        reader.send(&Packet::PingReq).await;
        assert_eq!(reader.read().await, "PingResp", "not what it has not acknowledged");
        it.lose(reader, "reader").await;
    }
    assert_eq!(it.withheld(), 1);
    assert!(!it.is_restricted("reader"), "nothing is left to ask about");
}

/// Who has the client identifier of somebody else has the session, and got what that one had subscribed to.
#[tokio::test]
async fn who_takes_a_session_over_gets_what_it_may_read_itself() {
    let it = Fixture::start("user writer\ntopic write #\nuser boss\ntopic read #\nuser guest\ntopic read open/#\n");
    let mut writer = it.client("writer").await;
    let mut boss = it.client_as("desk", "boss", None).await;
    assert_eq!(subscribe(&mut boss, "#").await, "SubAck 7 [1]");
    it.lose(boss, "desk").await;
    publish(&mut writer, "closed/a", false).await;
    publish(&mut writer, "open/a", false).await;
    let mut guest = it.client_as("desk", "guest", None).await;
    assert_eq!(guest.read().await, "Publish open/a 1 x");
    acknowledge(&mut guest, 1).await;
    publish(&mut writer, "closed/b", false).await;
    publish(&mut writer, "open/b", false).await;
    assert_eq!(guest.read().await, "Publish open/b 1 x");
    assert_eq!(it.withheld(), 1);
    it.lose(guest, "desk").await;
    let mut boss = it.client_as("desk", "boss", None).await;
    assert_eq!(boss.read().await, "Publish open/b 1 x", "which was not acknowledged");
    publish(&mut writer, "closed/c", false).await;
    assert_eq!(boss.read().await, "Publish closed/c 1 x");
}

/// A process that has just begun knows nobody: what it takes in for a session, and what it finds, is asked about when
/// the client connects.
#[tokio::test]
async fn what_the_disk_has_is_asked_about_when_its_client_comes() {
    let directory = std::env::temp_dir().join(format!("primer-access-disk-{}", std::process::id()));
    let all = "user writer\ntopic write #\nuser reader\ntopic read open/#\n";
    let it = Fixture::start_with(all, Some(&directory));
    let (mut writer, mut reader) = (it.client("writer").await, it.client("reader").await);
    assert_eq!(subscribe(&mut reader, "open/#").await, "SubAck 7 [1]");
    it.lose(reader, "reader").await;
    for topic in ["open/a", "open/b"] {
        publish(&mut writer, topic, false).await;
    }
    assert!(!it.is_restricted("reader"));
    it.broker.shutdown(Duration::ZERO).await;
    let some = "user writer\ntopic write #\nuser reader\ntopic read open/b\ntopic read open/d\n";
    let it = Fixture::start_with(some, Some(&directory));
    let mut writer = it.client("writer").await;
    for topic in ["open/c", "open/d"] {
        publish(&mut writer, topic, false).await;
    }
    let mut reader = it.client("reader").await;
    assert_eq!(reader.read().await, "Publish open/b 1 x");
    assert_eq!(reader.read().await, "Publish open/d 1 x");
    assert_eq!(it.withheld(), 2);
    it.broker.shutdown(Duration::ZERO).await;
    std::fs::remove_dir_all(directory).unwrap();
}

#[tokio::test]
async fn members_of_a_share_group_get_what_they_may_read() {
    let it = Fixture::start("user writer\ntopic write #\nuser one\ntopic read a/1\nuser two\ntopic read a/2\n");
    let (mut writer, mut one, mut two) = (it.client("writer").await, it.client("one").await, it.client("two").await);
    for member in [&mut one, &mut two] {
        assert_eq!(subscribe(member, "$share/g/a/+").await, "SubAck 7 [1]");
    }
    for topic in ["a/1", "a/1", "a/3", "a/2", "a/2"] {
        publish(&mut writer, topic, false).await;
    }
    for _ in 0..2 {
        assert_eq!(one.read().await, "Publish a/1 1 x");
        assert_eq!(two.read().await, "Publish a/2 1 x");
    }
    assert_eq!(it.broker.hub.node.drops.get(Reason::NoConsumer), 1, "nobody may read a/3");
}

#[tokio::test]
async fn a_queue_is_all_or_nothing_by_its_own_name() {
    let it = Fixture::start(RULES);
    let (mut writer, mut reader) = (it.client("writer").await, it.client("reader").await);
    it.broker.hub.node.queues.queue("jobs").unwrap();
    assert_eq!(subscribe(&mut reader, "open/+").await, "SubAck 7 [1]");
    assert_eq!(subscribe(&mut reader, "+/+").await, "SubAck 7 [1]", "now each message is asked about");
    assert_eq!(subscribe(&mut reader, "$queue/jobs").await, "SubAck 7 [1]");
    publish(&mut writer, "$queue/jobs", false).await;
    assert_eq!(reader.read().await, "Publish $queue/jobs 1 x");
    it.change("user writer\ntopic write #\ntopic write $queue/#\n");
    publish(&mut writer, "$queue/jobs", false).await;
    it.change(RULES);
    // It had not acknowledged the first one, so that went back to the queue with the right to it.
    let both = [reader.read().await, reader.read().await];
    assert_eq!(both, ["Publish $queue/jobs 1 x", "Publish $queue/jobs 1 x"]);
}

#[tokio::test]
async fn a_will_that_may_not_be_published_any_more_is_given_up() {
    let it = Fixture::start("topic read wills/#\nuser a\ntopic write wills/a\nuser b\ntopic write wills/b\n");
    let mut watcher = Client::from(&it.broker, HERE);
    watcher.connect("watcher").await;
    assert_eq!(watcher.read().await, "ConnAck 0x00");
    assert_eq!(subscribe(&mut watcher, "wills/#").await, "SubAck 7 [1]");
    let (a, b) = (it.client_as("a", "a", Some("wills/a")).await, it.client_as("b", "b", Some("wills/b")).await);
    it.change("topic read wills/#\nuser b\ntopic write wills/b\n");
    it.lose(a, "a").await;
    it.lose(b, "b").await;
    assert_eq!(watcher.read().await, "Publish wills/b 0 gone");
}

/// What is answered to one client is that client's, also where it may read nothing.
#[tokio::test]
async fn answers_to_commands_need_no_right_to_read_them() {
    let it = Fixture::start("user admin\ntopic write $CONTROL/#\ntopic read x\ntopic read y/#\ntopic deny y/z\n");
    let mut admin = it.client("admin").await;
    assert_eq!(subscribe(&mut admin, "#").await, "SubAck 7 [1]");
    assert!(it.is_restricted("admin"));
    admin.send(&super::command(QoS::AtMostOnce)).await;
    let answer = admin.read().await;
    assert!(answer.starts_with("Publish $CONTROL/queue/v1/response 0 {"), "{answer}");
}
