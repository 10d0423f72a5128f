//! Wills as far as DISCONNECT and the will delay decide them (3.14.4, 3.1.3.2.2).

use std::time::{Duration, Instant};

use primer_harness::wire::{Will, disconnect, disconnect_with, prop};
use primer_harness::{Client, SILENCE, Version};

use crate::fixture::{broker, unique};

/// A subscriber to the topic, and a client whose will goes there.
fn pair(topic: &str, delay: Option<u32>, expiry: u32) -> (Client, Client) {
    let broker = broker();
    let mut subscriber = Client::v5(broker.addr(), &unique("will-sub"));
    subscriber.subscribe(topic, 1);
    let delay: Vec<_> = delay.into_iter().map(prop::will_delay_interval).collect();
    let will = Will::new(topic, b"gone").qos(1).props(&delay);
    (subscriber, Client::v5_with(broker.addr(), topic, |c| c.session_expiry(expiry).will(will)))
}

/// [MQTT-3.14.4-3], and a DISCONNECT without a code means 0x00 [MQTT5-3.14.2.1].
#[test]
fn a_disconnect_0x00_drops_the_will() {
    for (n, bytes) in [disconnect(), disconnect_with(0, None), disconnect_with(0, Some(&[]))].iter().enumerate() {
        let (mut subscriber, mut client) = pair(&format!("willdrop-{n}"), None, 0);
        client.send(bytes);
        client.raw().expect_closed();
        subscriber.expect_no_publish(SILENCE / 2);
    }
}

/// The will is gone for good, not only put off until the session ends [MQTT-3.14.4-3].
#[test]
fn a_dropped_will_does_not_come_with_the_end_of_the_session() {
    let (mut subscriber, client) = pair("willexpiry", Some(1), 1);
    client.disconnect();
    subscriber.expect_no_publish(Duration::from_millis(1500));
}

/// [MQTT5-3.14.2.1-2], and so does every code of an error.
#[test]
fn a_disconnect_0x04_leaves_the_will_to_be_published() {
    for code in [0x04, 0x80, 0x98] {
        let (mut subscriber, client) = pair(&format!("willsent-{code}"), None, 0);
        client.disconnect_with(code, &[]);
        assert_eq!(subscriber.recv().text(), "gone");
        subscriber.expect_no_publish_before_ping();
    }
}

/// A connection that ends without DISCONNECT publishes the will, by a close or a reset.
#[test]
fn a_connection_that_breaks_publishes_the_will() {
    let (mut subscriber, client) = pair("willclose", None, 0);
    client.abort();
    assert_eq!(subscriber.recv().text(), "gone");
    let (mut subscriber, client) = pair("willreset", None, 60);
    client.abort_rst();
    assert_eq!(subscriber.recv().text(), "gone");
}

/// The will waits for its delay.
#[test]
fn a_will_waits_for_its_delay() {
    let (mut subscriber, client) = pair("willdelay", Some(1), 60);
    let broken = Instant::now();
    client.abort();
    assert_eq!(subscriber.recv().text(), "gone");
    assert!(broken.elapsed() >= Duration::from_millis(950), "after {:?}", broken.elapsed());
}

/// A client that is back before the delay is over has no will published.
#[test]
fn a_delayed_will_is_dropped_when_the_client_comes_back() {
    let (mut subscriber, client) = pair("willback", Some(1), 60);
    client.abort();
    std::thread::sleep(SILENCE / 4);
    let back = Client::v5_with(broker().addr(), "willback", |c| c.clean(false).session_expiry(60));
    assert!(back.session_present());
    subscriber.expect_no_publish(Duration::from_millis(1400));
}

/// The end of the session ends the delay too, whether it runs out, is 0, or is ended by a clean start.
#[test]
fn the_end_of_the_session_publishes_a_delayed_will() {
    let (mut subscriber, client) = pair("willends-0", Some(600), 0);
    client.abort();
    assert_eq!(subscriber.recv().text(), "gone");
    let (mut subscriber, client) = pair("willends-1", Some(600), 1);
    client.abort();
    assert_eq!(subscriber.recv().text(), "gone");
    let (mut subscriber, client) = pair("willends-2", Some(600), 60);
    client.abort();
    let _anew = Client::v5(broker().addr(), "willends-2");
    assert_eq!(subscriber.recv().text(), "gone");
}

/// A connection that is taken over publishes its will, unless the delay lets the new one drop it.
#[test]
fn a_takeover_publishes_a_will_without_delay() {
    let again = |id: &str| Client::v5_with(broker().addr(), id, |c| c.clean(false).session_expiry(60));
    let (mut subscriber, _first) = pair("willtaken-1", None, 60);
    let _second = again("willtaken-1");
    assert_eq!(subscriber.recv().text(), "gone");
    let (mut subscriber, _first) = pair("willtaken-2", Some(1), 60);
    let _second = again("willtaken-2");
    subscriber.expect_no_publish(Duration::from_millis(1400));
}

/// The will reaches clients of both versions.
#[test]
fn a_will_reaches_clients_of_3_1_1() {
    let mut old = Client::connect_with(broker().addr(), Version::V311, "willold-sub", |c| c);
    old.subscribe("willold", 1);
    let (_subscriber, client) = pair("willold", None, 0);
    client.abort();
    assert_eq!(old.recv().text(), "gone");
}
