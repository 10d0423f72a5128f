//! Sessions (3.1.2.4, 3.1.2.11.2): clean start, expiry, and what the broker says of it.

use std::net::SocketAddr;
use std::thread::sleep;
use std::time::Duration;

use primer_harness::wire::prop;
use primer_harness::{Broker, Client, SILENCE};

use crate::fixture::broker;

/// A client that asks for its session, and for so long a life of it.
#[track_caller]
fn open(addr: SocketAddr, id: &str, clean: bool, expiry: Option<u32>) -> Client {
    Client::v5_with(addr, id, |c| {
        let c = c.clean(clean);
        expiry.map_or(c.clone(), |seconds| c.session_expiry(seconds))
    })
}

/// Clean start throws the old session away and begins a new one [MQTT-3.1.2-4] [MQTT-3.1.4-4]: subscriptions and
/// waiting messages are gone.
#[test]
fn a_clean_start_begins_with_nothing() {
    let broker = broker();
    let mut sender = Client::v5(broker.addr(), "clean-pub");
    let mut client = open(broker.addr(), "clean", false, Some(60));
    client.subscribe("clean/t", 1);
    client.disconnect();
    sender.publish("clean/t", "waits", 1);
    let mut client = open(broker.addr(), "clean", true, Some(60));
    assert!(!client.session_present());
    sender.publish("clean/t", "unsubscribed", 1);
    client.expect_no_publish(SILENCE / 2);
    // The new session is one to come back to.
    client.subscribe("clean/t", 1);
    client.disconnect();
    let mut client = open(broker.addr(), "clean", false, Some(60));
    assert!(client.session_present());
    sender.publish("clean/t", "live", 1);
    assert_eq!(client.recv().text(), "live");
}

/// Without clean start the session on store is taken up again [MQTT-3.1.2-5], which was kept because its expiry was
/// above 0 [MQTT-3.1.2-23]; and without one on store a new one is made [MQTT-3.1.2-6].
#[test]
fn without_a_clean_start_the_session_is_taken_up_again() {
    let broker = broker();
    let mut sender = Client::v5(broker.addr(), "resume-pub");
    let mut client = open(broker.addr(), "resume", false, Some(60));
    assert!(!client.session_present());
    client.subscribe("resume/t", 2);
    for round in 0..3 {
        match round {
            0 => client.disconnect(),
            1 => client.abort(),
            _ => client.abort_rst(),
        }
        for qos in [1, 2] {
            sender.publish("resume/t", [qos], qos);
        }
        client = open(broker.addr(), "resume", false, Some(60));
        assert!(client.session_present(), "in round {round}");
        let got: Vec<_> = client.recv_publishes(2).into_iter().map(|m| (m.payload[0], m.qos)).collect();
        assert_eq!(got, [(1, 1), (2, 2)]);
        sender.publish("resume/t", "live", 1);
        assert_eq!(client.recv().text(), "live");
        // A reset may take what the broker has not read yet, and that would be the acknowledgement.
        client.ping();
    }
}

/// A session whose expiry is absent or 0 ends with its connection [MQTT5-3.1.2.11.2], whatever it was before.
#[test]
fn a_session_without_expiry_ends_with_its_connection() {
    let broker = broker();
    for expiry in [None, Some(0)] {
        let mut client = open(broker.addr(), "ends", true, expiry);
        client.subscribe("ends/t", 1);
        client.disconnect();
        let client = open(broker.addr(), "ends", false, Some(60));
        assert!(!client.session_present());
        client.abort();
        let client = open(broker.addr(), "ends", false, expiry);
        assert!(client.session_present());
        client.abort();
        assert!(!open(broker.addr(), "ends", false, expiry).session_present());
    }
}

/// A session is there for as long as its expiry says and no longer [MQTT-3.1.2-23]; one of 0xFFFFFFFF does not expire
/// [MQTT5-3.1.2.11.2].
#[test]
fn a_session_expires_when_its_time_is_over() {
    let broker = broker();
    for (id, expiry) in [("expires-not", 600), ("expires-never", u32::MAX)] {
        open(broker.addr(), id, true, Some(expiry)).disconnect();
    }
    let short = open(broker.addr(), "expires", true, Some(2));
    // The time runs from the end of the connection.
    sleep(Duration::from_millis(2200));
    short.disconnect();
    let short = open(broker.addr(), "expires", false, Some(2));
    assert!(short.session_present(), "the session went before its time");
    short.disconnect();
    sleep(Duration::from_millis(2500));
    assert!(!open(broker.addr(), "expires", false, Some(2)).session_present(), "the session stayed over its time");
    assert!(open(broker.addr(), "expires-not", false, Some(600)).session_present());
    assert!(open(broker.addr(), "expires-never", false, Some(u32::MAX)).session_present());
}

/// A broker that keeps the session for another time than asked tells that time in CONNACK and keeps to it
/// [MQTT5-3.2.2.3.2]; who asked for no more is told nothing.
#[test]
fn a_shortened_expiry_is_told_and_kept_to() {
    let broker = Broker::with_args(&["--max-session-expiry", "2"]);
    let told = |client: &Client| prop::number(client.connack_props(), prop::SESSION_EXPIRY_INTERVAL);
    for asked in [3, 3600, u32::MAX] {
        let client = open(broker.addr(), "shortened", false, Some(asked));
        assert_eq!(told(&client), Some(2), "{asked} s were asked for");
        client.disconnect();
        assert!(open(broker.addr(), "shortened", false, Some(asked)).session_present());
    }
    for asked in [None, Some(0), Some(2)] {
        let client = open(broker.addr(), "as-asked", true, asked);
        assert!(told(&client).is_none_or(|seconds| Some(seconds) == asked || (asked.is_none() && seconds == 0)));
    }
    open(broker.addr(), "shortened", false, Some(3600)).abort();
    sleep(Duration::from_millis(2500));
    assert!(!open(broker.addr(), "shortened", false, Some(3600)).session_present());
}
