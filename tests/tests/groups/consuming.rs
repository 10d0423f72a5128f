//! Who gets what from a queue, and what becomes of a message whose consumer fails, goes, or says no.

use std::collections::BTreeSet;

use primer_harness::wire::{Ack, ack_with, prop};
use primer_harness::{Broker, Client, Publish, SILENCE, Version};

const JOBS: &str = "$queue/jobs";
/// IMPLEMENTATION_SPECIFIC
const FAILED: u8 = 0x83;

fn worker(broker: &Broker, version: Version, id: &str, filter: &str, qos: u8) -> Client {
    let mut client = Client::connect_with(broker.addr(), version, id, |c| c);
    client.manual_ack();
    assert_eq!(client.subscribe(filter, qos), qos);
    client
}

fn push(broker: &Broker, topic: &str, texts: &[&str]) {
    let mut publisher = Client::v5(broker.addr(), "publisher");
    for text in texts {
        assert_eq!(publisher.publish(topic, text, 1), 0, "somebody will get it");
    }
    publisher.disconnect();
}

fn texts(messages: &[Publish]) -> Vec<String> {
    messages.iter().map(Publish::text).collect()
}

/// The value of a user property.
fn user<'p>(message: &'p Publish, name: &str) -> Option<&'p str> {
    prop::user_properties(&message.props).into_iter().find(|(known, _)| *known == name).map(|(_, value)| value)
}

/// What was pushed before anybody consumed is there, in order, with each QoS and version; what is acknowledged is gone.
#[test]
fn a_queue_keeps_messages_until_they_are_acknowledged() {
    for version in Version::BOTH {
        for qos in 0..=2 {
            let broker = Broker::start();
            push(&broker, JOBS, &["a", "b", "c"]);
            let mut client = Client::connect_with(broker.addr(), version, "worker", |c| c);
            client.subscribe(JOBS, qos);
            let messages = client.recv_publishes(3);
            assert_eq!(texts(&messages), ["a", "b", "c"], "{version:?} QoS {qos}");
            assert!(messages.iter().all(|message| message.qos == qos && !message.dup && message.topic == JOBS));
            client.ping();
            client.disconnect();
            worker(&broker, version, "other", JOBS, 1).expect_no_publish(SILENCE);
        }
    }
}

/// A connection that ends in the middle gives everything back: to the others, oldest first, with the count.
#[test]
fn what_a_lost_consumer_had_goes_to_the_others() {
    for version in Version::BOTH {
        for qos in 1..=2 {
            let broker = Broker::start();
            let mut first = worker(&broker, version, "first", JOBS, qos);
            push(&broker, JOBS, &["a", "b", "c"]);
            let had = first.recv_publishes(3);
            first.ack(&had[1]);
            first.ping();
            first.abort();
            let mut second = worker(&broker, Version::V5, "second", JOBS, qos);
            let rest = second.recv_publishes(2);
            assert_eq!(texts(&rest), ["a", "c"], "{version:?} QoS {qos}");
            assert!(rest.iter().all(|message| !message.dup && user(message, "primer-attempt") == Some("2")));
        }
    }
}

/// Clients answer with PUBREC what their programs have not seen: they do at PUBREL. A worker that died in between took
/// its messages along.
#[test]
fn a_message_of_qos_2_is_done_with_when_its_exchange_is() {
    for version in Version::BOTH {
        let broker = Broker::start();
        let lasting = |c: primer_harness::wire::Connect| c.clean(false).session_expiry(600);
        let mut first = Client::connect_with(broker.addr(), version, "first", lasting);
        first.manual_ack();
        first.subscribe(JOBS, 2);
        push(&broker, JOBS, &["a", "b"]);
        let had = first.recv_publishes(2);
        for message in &had {
            let pid = message.pid.expect("QoS 2");
            first.send_ack(Ack::Pubrec, pid);
            first.await_ack(Ack::Pubrel, pid);
        }
        first.send_ack(Ack::Pubcomp, had[0].pid.expect("QoS 2"));
        first.ping();
        assert_eq!(first.unsubscribe(JOBS), 0, "what it has stays with it");
        let mut second = worker(&broker, Version::V5, "second", JOBS, 2);
        second.expect_no_publish(SILENCE / 2);
        first.abort();
        assert_eq!(second.recv().text(), "b");
        second.expect_no_publish(SILENCE / 2);
        let mut first = Client::connect_with(broker.addr(), version, "first", lasting);
        assert!(first.session_present());
        first.expect_no_publish(SILENCE / 2);
    }
}

/// A client that unsubscribes and goes, with messages unacknowledged, used to keep them for as long as its session.
#[test]
fn what_was_unsubscribed_from_goes_back_with_the_connection() {
    let broker = Broker::start();
    let mut first = Client::v5_with(broker.addr(), "first", |c| c.clean(false).session_expiry(600));
    first.manual_ack();
    first.subscribe(JOBS, 1);
    push(&broker, JOBS, &["a"]);
    first.recv();
    first.unsubscribe(JOBS);
    first.abort();
    let mut second = worker(&broker, Version::V5, "second", JOBS, 1);
    assert_eq!(second.recv().text(), "a");
}

/// The session stays, and what it had of a queue does not wait for it: others are there for that.
#[test]
fn a_session_that_is_away_holds_nothing_of_a_queue() {
    let broker = Broker::start();
    let lasting = |c: primer_harness::wire::Connect| c.clean(false).session_expiry(600);
    let mut first = Client::v5_with(broker.addr(), "first", lasting);
    first.manual_ack();
    first.subscribe(JOBS, 1);
    push(&broker, JOBS, &["a"]);
    assert_eq!(first.recv().text(), "a");
    first.abort();
    push(&broker, JOBS, &["b"]);
    let mut second = worker(&broker, Version::V5, "second", JOBS, 1);
    let taken = second.recv_publishes(2);
    assert_eq!(texts(&taken), ["a", "b"]);
    // It comes back, with its subscription, and gets what comes from now on.
    let mut first = Client::v5_with(broker.addr(), "first", lasting);
    assert!(first.session_present());
    first.expect_no_publish(SILENCE);
    taken.iter().for_each(|message| second.ack(message));
    second.disconnect();
    push(&broker, JOBS, &["c"]);
    assert_eq!(first.recv().text(), "c");
}

/// PUBACK or PUBREC with an error code: it is delivered again, and in the end goes to the dead letters.
#[test]
fn a_message_that_fails_too_often_goes_to_the_dead_letters() {
    for qos in 1..=2 {
        let broker = Broker::start();
        let mut client = worker(&broker, Version::V5, "worker", JOBS, qos);
        push(&broker, JOBS, &["poison"]);
        let kind = if qos == 1 { Ack::Puback } else { Ack::Pubrec };
        for attempt in 1..=20 {
            let message = client.recv();
            let wanted = (attempt > 1).then(|| attempt.to_string());
            assert_eq!(user(&message, "primer-attempt"), wanted.as_deref());
            client.send(&ack_with(kind, message.pid.expect("QoS 1 or 2"), FAILED, None));
        }
        client.expect_no_publish(SILENCE);
        let mut dead = worker(&broker, Version::V5, "dead", "$dead/jobs", qos);
        let letter = dead.recv();
        assert_eq!((letter.text(), &*letter.topic), ("poison".to_owned(), JOBS));
        let says = ["primer-dead-reason", "primer-dead-queue", "primer-dead-group", "primer-dead-deliveries"]
            .map(|name| user(&letter, name).expect("it says why"));
        assert_eq!(says, ["max_deliveries", "jobs", "default", "20"]);
    }
}

#[test]
fn every_group_gets_everything_and_its_members_share() {
    let broker = Broker::start();
    let mut a = ["a1", "a2"].map(|id| worker(&broker, Version::V5, id, "$share/a/$queue/jobs", 1));
    let mut b = worker(&broker, Version::V311, "b", "$share/b/$queue/jobs", 1);
    let all: Vec<String> = (0..10).map(|n| n.to_string()).collect();
    push(&broker, JOBS, &all.iter().map(String::as_str).collect::<Vec<_>>());
    let of_a: Vec<Vec<String>> = a.iter_mut().map(|client| texts(&client.recv_publishes(5))).collect();
    assert_eq!(of_a.concat().into_iter().collect::<BTreeSet<_>>(), all.iter().cloned().collect());
    assert_eq!(texts(&b.recv_publishes(10)), all);
}

/// A queue gives no more than the client takes without an answer; the others get the rest.
#[test]
fn the_receive_maximum_is_the_prefetch() {
    let broker = Broker::start();
    let mut slow = Client::v5_with(broker.addr(), "slow", |c| c.props(&[prop::receive_maximum(2)]));
    slow.manual_ack();
    slow.subscribe(JOBS, 1);
    push(&broker, JOBS, &["1", "2", "3", "4", "5"]);
    let had = slow.recv_publishes(2);
    slow.expect_no_publish(SILENCE);
    let mut fast = worker(&broker, Version::V5, "fast", JOBS, 1);
    assert_eq!(texts(&fast.recv_publishes(3)), ["3", "4", "5"], "they did not wait with the slow one");
    push(&broker, JOBS, &["6"]);
    assert_eq!(fast.recv().text(), "6");
    slow.ack(&had[0]);
    slow.ping();
    fast.abort();
    assert_eq!(slow.recv().text(), "3", "it has room for one");
    slow.expect_no_publish(SILENCE);
}

/// Messages of a queue and of topics share one session, one window, one order of packet identifiers.
#[test]
fn queues_and_topics_share_a_session() {
    let broker = Broker::start();
    let mut client = worker(&broker, Version::V5, "both", JOBS, 1);
    client.subscribe("plain/#", 2);
    push(&broker, JOBS, &["a", "b"]);
    push(&broker, "plain/x", &["c"]);
    push(&broker, "$queue/more", &["d"]);
    client.subscribe_with(&[("$queue/more", 1)], &[prop::subscription_identifier(7)]);
    let messages = client.recv_publishes(4);
    let pids: BTreeSet<_> = messages.iter().map(|message| message.pid).collect();
    assert_eq!((pids.len(), texts(&messages).len()), (4, 4));
    let more = messages.iter().find(|message| message.text() == "d").expect("it came");
    assert_eq!(prop::number(&more.props, prop::SUBSCRIPTION_IDENTIFIER), Some(7));
    assert_eq!(client.unsubscribe(JOBS), 0);
    assert_eq!(client.unsubscribe(JOBS), 0x11, "no subscription existed");
    push(&broker, JOBS, &["e"]);
    client.expect_no_publish(SILENCE);
    // What it has may still be acknowledged.
    messages.iter().filter(|message| message.topic == JOBS).for_each(|message| client.ack(message));
    client.ping();
    let mut other = worker(&broker, Version::V5, "other", JOBS, 1);
    assert_eq!(other.recv().text(), "e");
    other.expect_no_publish(SILENCE);
}

#[test]
fn filters_that_name_nothing_are_refused() {
    let broker = Broker::start();
    let mut client = Client::v5(broker.addr(), "wrong");
    for filter in ["$queue/", "$share/g/$queue/a/#", "$share/g/$queue/a//b", "$dead/a/+", "$browse/a/from/x"] {
        assert_eq!(client.subscribe(filter, 1), 0x8f, "{filter}");
    }
    let mut old = Client::v311(broker.addr(), "wrong-old");
    assert_eq!(old.subscribe("$queue/", 1), 0x80);
}
