//! What becomes of what moves when its commit is refused: nothing of it vanishes, in this life of the broker or the
//! next.
//!
//! A commit is refused with a message in it that no segment has room for.

use std::{
    path::Path,
    sync::atomic::{AtomicU32, Ordering::Relaxed},
    time::Instant,
};

use primer::journal::{self, Change, Destinations, Draft, QueueId, Ticket, Want};
use primer_core::{
    message::{Message, NEVER_MS, Parts},
    queue::{Position, Stub},
};
use primer_mqtt::codec::packet::{QoS, SubscribeOptions, Will as WillPacket};

use super::super::*;
use crate::{
    access::{Anonymous, Open},
    batch::Publication,
    delivery::Share,
    durable::Durable,
    fanout::Subscription,
    hub::Later,
    leftover,
    moving::{Due, Stored},
    pipeline, schema,
    session::Cell,
    will::Will,
};

/// A folder that goes with the test.
struct Place(PathBuf);

impl Place {
    fn new() -> Self {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let name = format!("primer-refused-{}-{}", std::process::id(), NUMBER.fetch_add(1, Relaxed));
        Self(std::env::temp_dir().join(name))
    }

    fn start(&self) -> Broker {
        start(&self.0)
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let _it_is_in_the_systems_own = std::fs::remove_dir_all(&self.0);
    }
}

fn start(directory: &Path) -> Broker {
    let store = journal::Options { budget_bytes: journal::BUDGET_BYTES_MIN, ..journal::Options::default() };
    let data = Some(DataOptions { directory: directory.to_owned(), store, probe: None });
    let options = Options { listeners: Vec::new(), sys_interval: Duration::ZERO, data, ..Options::default() };
    Broker::start(options, Anonymous, Open).unwrap()
}

/// The process is over: nothing is published or put back any more.
async fn stop(broker: Broker) {
    for task in &broker.tasks {
        task.abort();
    }
    let store = broker.hub.node.journal().unwrap().store();
    store.close();
    drop(broker);
    tokio::task::yield_now().await;
}

fn message(topic: &str, payload: &str) -> Message {
    Message::new(&Parts { topic, properties: &[], payload: payload.as_bytes(), expires_at_ms: NEVER_MS })
}

/// Makes the batch's commit fail.
fn spoil(batch: &mut Batch<'_>) {
    let mut destinations = Destinations::default();
    destinations.push(QueueId(u32::MAX), 0, b"");
    let ticket = Arc::new(Ticket::new());
    ticket.add();
    batch.draft.message(ticket, &destinations, None, &[&vec![0; 4 << 20]]);
}

fn publish(hub: &Hub, batch: &mut Batch<'_>, message: &Message) {
    let publication = Publication::of_message(message, QoS::AtLeastOnce, true, batch.now_ms);
    pipeline::publish_own(hub, batch, &publication);
}

/// Publishes retained messages of one batch, and waits for the store.
async fn retain(hub: &Hub, texts: &[&str], is_refused: bool) {
    let mut batch = Batch::begin(hub);
    texts.iter().for_each(|text| publish(hub, &mut batch, &message("topic", text)));
    end(hub, batch, is_refused).await;
}

async fn end(hub: &Hub, mut batch: Batch<'_>, is_refused: bool) {
    if is_refused {
        spoil(&mut batch);
    }
    let (group, _) = batch.submit(hub).unwrap();
    batch.finish(hub);
    assert_eq!(hub.node.journal().unwrap().store().ended(group).await, !is_refused);
}

fn retained(hub: &Hub) -> Vec<String> {
    let mut found = Vec::new();
    let _all_of_it = hub.node.retained.look_up("+", None, &mut 100, 0, |kept| {
        found.push(String::from_utf8_lossy(kept.message.payload()).into_owned());
        true
    });
    found
}

async fn until(what: &str, mut is_so: impl FnMut() -> bool) {
    let end = Instant::now() + Duration::from_secs(10);
    while !is_so() {
        assert!(Instant::now() < end, "{what}");
        sleep(Duration::from_millis(5)).await;
    }
}

/// A retained message whose replacement was refused was gone after the next start.
#[tokio::test]
async fn a_retained_message_stays_when_the_next_one_is_refused() {
    // What is retained, what is published in one refused batch, and what is retained then.
    let cases: [(&[&str], &[&str], &[&str]); 4] = [
        (&["first"], &["second"], &["first"]),
        (&["first"], &["second", "third"], &["first"]),
        (&["first"], &[""], &["first"]),
        (&[], &["second"], &[]),
    ];
    for (before, refused, after) in cases {
        let place = Place::new();
        let broker = place.start();
        for text in before {
            retain(&broker.hub, &[text], false).await;
        }
        retain(&broker.hub, refused, true).await;
        until(&format!("{refused:?}: it is put back"), || retained(&broker.hub) == after).await;
        stop(broker).await;
        let broker = place.start();
        assert_eq!(retained(&broker.hub), after, "{refused:?}: after the next start");
        stop(broker).await;
    }
}

/// One that is refused between two others: the last counts, and leaves nothing behind.
#[tokio::test]
async fn a_retained_message_that_follows_a_refused_one_replaces_the_one_before() {
    let place = Place::new();
    let broker = place.start();
    let hub = &broker.hub;
    retain(hub, &["first"], false).await;
    let (mut refused, mut last) = (Batch::begin(hub), Batch::begin(hub));
    publish(hub, &mut refused, &message("topic", "second"));
    publish(hub, &mut last, &message("topic", "third"));
    end(hub, refused, true).await;
    end(hub, last, false).await;
    until("the first is let go of", || hub.moving.is_settled()).await;
    assert_eq!(retained(hub), ["third"]);
    stop(broker).await;
    let broker = place.start();
    assert_eq!(retained(&broker.hub), ["third"]);
    assert_eq!(broker.report().unwrap().messages, 1);
    stop(broker).await;
}

/// What was due while the store refused it is published a second later, or after the next start.
#[tokio::test]
async fn delayed_messages_and_wills_are_published_again() {
    for waits in [true, false] {
        let place = Place::new();
        let broker = place.start();
        let hub = &broker.hub;
        let journal = hub.node.journal().unwrap();
        // A delayed message in the store, which is due now and to be retained.
        let mut batch = Batch::begin(hub);
        let kept = journal::Kept::with(journal.delayed.next(), &batch.ticket(0));
        let note = schema::delayed_note(QoS::AtLeastOnce, true, 0);
        batch.next_burst();
        batch.own_destination(0, journal.delayed.id, kept.position, &note);
        let delayed = message("delayed", "due");
        let publication = Publication::of_message(&delayed, QoS::AtLeastOnce, true, batch.now_ms);
        batch.store(hub, crate::batch::Burst::one(&publication));
        end(hub, batch, false).await;
        let later = Later { message: delayed, qos: QoS::AtLeastOnce, retain: true, kept: Some(kept) };
        let (_proof_for_nobody, _) = hub.node.delayed.hold(&hub.node.budget, 0, 1, later).unwrap();
        // And a will that only memory has.
        let will = WillPacket { topic: "will", ..will_of("due") };
        let will = Some(Box::new(Will::from_connect(&will)));
        let mut batch = Batch::begin(hub);
        hub.moving.publish_due(hub, &mut batch);
        Due { client_id: "gone".into(), will, store: Stored::Nothing }.publish(hub, &mut batch);
        end(hub, batch, true).await;
        if waits {
            let is_done = || hub.moving.is_settled() && hub.node.delayed.next_due_ms().is_none();
            until("both are published", || is_done() && retained(hub).len() == 2).await;
        }
        stop(broker).await;
        let broker = place.start();
        let hub = &broker.hub;
        // The will was of a session in memory: it may have ended with the process that did not come to publish it.
        until("it is published", || retained(hub).len() > usize::from(waits)).await;
        until("it is published once", || hub.node.delayed.next_due_ms().is_none()).await;
        stop(broker).await;
    }
}

/// A session in the store that is away.
async fn session(hub: &Hub, client_id: &str) -> Arc<Cell> {
    let store = hub.node.journal().unwrap().store();
    let cell = hub.registry.create(hub, &Arc::from(client_id));
    let queue = store.new_queue();
    let mut durable = Durable::new(queue, &cell);
    durable.change(Change::Define { queue, name: schema::session_name(client_id) });
    durable.put(schema::EXPIRY.into(), u32::MAX.to_le_bytes().into());
    assert!(store.ended(durable.submit(hub.node.journal().unwrap())).await);
    let mut state = cell.lock();
    (state.durable, state.opened, state.session_expiry_s) = (Some(Box::new(durable)), true, u32::MAX);
    drop(state);
    cell
}

/// The session was gone from the store before its will was in it: a process that ended in between published none.
#[tokio::test]
async fn a_session_ends_and_its_will_is_published_in_one_commit() {
    let place = Place::new();
    let broker = place.start();
    let hub = &broker.hub;
    let cell = session(hub, "client").await;
    cell.lock().will = Some(Box::new(Will::from_connect(&WillPacket { topic: "will", ..will_of("due") })));
    let store = hub.node.journal().unwrap().store();
    let before = store.figures().commits;
    assert!(store.ended(registry::end(hub, &cell).unwrap()).await);
    assert_eq!(store.figures().commits, before + 1);
    stop(broker).await;
    let broker = place.start();
    assert_eq!((retained(&broker.hub), broker.hub.registry.all().len()), (vec!["due".to_owned()], 0));
    stop(broker).await;
}

/// What an ended session was to hand on stood nowhere when the commit with it was refused.
#[tokio::test]
async fn what_an_ended_session_hands_on_comes_to_the_other_member() {
    let place = Place::new();
    let broker = place.start();
    let hub = &broker.hub;
    let store = hub.node.journal().unwrap().store();
    let (gone, member) = (session(hub, "gone").await, session(hub, "member").await);
    let share = Arc::new(Share { group: "workers".into(), filter: "jobs".into() });
    let options = SubscribeOptions::from_qos(QoS::AtLeastOnce);
    let subscription = Subscription { cell: Arc::clone(&member), options, id: None, share: Some(Arc::clone(&share)) };
    hub.node.routes.subscribe(member.key, std::iter::once(("jobs", Some("workers"), subscription)));
    let durable = gone.lock().durable.take().unwrap();
    let (ticket, mut note, mut destinations) = (Arc::new(Ticket::new()), Vec::new(), Destinations::default());
    ticket.add();
    schema::note(&mut note, QoS::AtLeastOnce, false, &[], Some(&share));
    destinations.push(durable.queue, 0, &note);
    let mut draft = Draft::default();
    draft.message(Arc::clone(&ticket), &destinations, None, &[&schema::content_head("jobs", &[]), b"jobs", b"work"]);
    assert!(store.ended(store.submit(draft)).await);
    let (reference, len) = ticket.written().unwrap();
    let stub = Stub { position: Position(0), reference, len, cost: 1, expires_at_ms: NEVER_MS };

    let (queue, mut draft) = (durable.queue, Draft::default());
    let rest = leftover::end(hub, &mut draft, *durable, vec![stub], (true, false)).unwrap();
    assert!(store.ended(store.submit(draft)).await);
    let (sender, receiver) = std::sync::mpsc::sync_channel(1);
    store.load(vec![Want { sequence: reference, queue, position: 0 }], move |loaded| sender.send(loaded).unwrap());
    let mut batch = Batch::begin(hub);
    spoil(&mut batch);
    leftover::hand_on_in(hub, batch, rest, receiver.recv().unwrap());
    until("it is handed on", || hub.moving.is_settled()).await;
    stop(broker).await;
    let broker = place.start();
    let (hub, report) = (&broker.hub, broker.report().unwrap());
    assert_eq!((report.messages, hub.registry.all().len()), (1, 1));
    assert_eq!(hub.registry.get("member").unwrap().lock().queue.len(), 1);
    stop(broker).await;
}

const fn will_of(text: &str) -> WillPacket<'_> {
    WillPacket {
        topic: "",
        payload: text.as_bytes(),
        qos: QoS::AtLeastOnce,
        retain: true,
        properties: primer_mqtt::codec::properties::Properties::EMPTY,
    }
}
