//! What comes again when a client returns to its session (4.4).

use primer_harness::wire::Ack;
use primer_harness::{Client, Publish, SILENCE};

use crate::fixture::{broker, durable, durable_manual};

fn essence(messages: &[Publish]) -> Vec<(Option<u16>, u8, String)> {
    messages.iter().map(|m| (m.pid, m.qos, m.text())).collect()
}

/// Unacknowledged PUBLISHes come again under their identifiers [MQTT-4.4.0-1] [MQTT-2.3.1-4], with DUP [MQTT-3.3.1-1],
/// in their first order [MQTT-4.6.0-1], ahead of new ones; each time anew until they are acknowledged.
#[test]
fn unacknowledged_publishes_come_again_in_their_order() {
    let broker = broker();
    let mut subscriber = durable_manual(broker.addr(), "again");
    subscriber.subscribe("again/t", 2);
    let mut sender = Client::v311(broker.addr(), "again-pub");
    for n in 0..8_u8 {
        sender.publish("again/t", n.to_string(), 1 + n % 2);
    }
    let first = subscriber.recv_publishes(8);
    assert!(first.iter().all(|message| !message.dup), "{first:?}");
    subscriber.ack(&first[2]);
    subscriber.ack(&first[5]);
    subscriber.ping();
    let left: Vec<Publish> = [0, 1, 3, 4, 6, 7].map(|n: usize| first[n].clone()).into();
    for _ in 0..2 {
        subscriber.abort();
        sender.ping();
        subscriber = durable_manual(broker.addr(), "again");
        assert!(subscriber.session_present());
        let again = subscriber.recv_publishes(6);
        assert!(again.iter().all(|message| message.dup), "{again:?}");
        assert_eq!(essence(&again), essence(&left));
        subscriber.expect_no_publish_before_ping();
    }
    subscriber.disconnect();
    sender.publish("again/t", "new", 1);
    let mut subscriber = durable(broker.addr(), "again");
    let all = subscriber.recv_publishes(7);
    assert_eq!(essence(&all[..6]), essence(&left));
    assert_eq!((all[6].text().as_str(), all[6].dup), ("new", false));
    assert!(left.iter().all(|old| old.pid != all[6].pid), "the identifier was still in use");
}

/// PUBRELs come again as well [MQTT-4.4.0-1], and those exchanges that were ended do not.
#[test]
fn unanswered_pubrels_come_again() {
    let broker = broker();
    let mut subscriber = durable_manual(broker.addr(), "pubrel");
    subscriber.subscribe("pubrel/t", 2);
    let mut sender = Client::v311(broker.addr(), "pubrel-pub");
    for payload in ["done", "released", "unreceived"] {
        sender.publish("pubrel/t", payload, 2);
    }
    let messages = subscriber.recv_publishes(3);
    subscriber.ack(&messages[0]);
    let pid = messages[1].pid.unwrap_or(0);
    subscriber.send_ack(Ack::Pubrec, pid);
    subscriber.await_ack(Ack::Pubrel, pid);
    subscriber.abort_rst();
    let mut subscriber = durable_manual(broker.addr(), "pubrel");
    subscriber.await_ack(Ack::Pubrel, pid);
    let again = subscriber.recv();
    assert_eq!((again.text().as_str(), again.dup), ("unreceived", true));
    subscriber.expect_no_publish(SILENCE / 4);
    assert_eq!(subscriber.recv_other(SILENCE / 20), None);
}

/// Nothing comes again on the same connection: only a return to the session repeats [MQTT-4.4.0-1].
#[test]
fn nothing_comes_again_on_the_same_connection() {
    let broker = broker();
    let mut subscriber = Client::v311(broker.addr(), "same");
    subscriber.manual_ack();
    subscriber.subscribe("same/t", 2);
    subscriber.publish("same/t", "x", 1);
    subscriber.publish("same/t", "y", 2);
    subscriber.recv_publishes(2);
    subscriber.expect_no_publish(SILENCE * 3);
}

/// More than the window holds waits, unacknowledged or not yet sent, and comes in its order over two connections
/// [MQTT-4.6.0-1] [MQTT-4.6.0-6].
#[test]
fn what_was_never_sent_comes_behind_what_comes_again() {
    let broker = primer_harness::Broker::with_args(&["--max-inflight", "5"]);
    let mut subscriber = durable_manual(broker.addr(), "window");
    subscriber.subscribe("window/t", 1);
    let mut sender = Client::v311(broker.addr(), "window-pub");
    for n in 0..20_u8 {
        sender.publish("window/t", [n], 1);
    }
    let first: Vec<u8> = subscriber.recv_publishes(5).iter().map(|m| m.payload[0]).collect();
    assert_eq!(first, [0, 1, 2, 3, 4]);
    subscriber.expect_no_publish(SILENCE / 2);
    subscriber.abort();
    let mut subscriber = durable(broker.addr(), "window");
    let all: Vec<(u8, bool)> = subscriber.recv_publishes(20).iter().map(|m| (m.payload[0], m.dup)).collect();
    assert_eq!(all, (0..20_u8).map(|n| (n, n < 5)).collect::<Vec<_>>());
}
