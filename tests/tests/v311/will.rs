//! The will (3.1.2.5 to 3.1.2.7): when it is published, when it is not, and as what.

use std::net::SocketAddr;

use primer_harness::wire::{Will, disconnect, subscribe};
use primer_harness::{Broker, Client, SILENCE};

use crate::fixture::{V, broker, durable, unique};

/// A client that watches the topics below `name`.
fn watcher(addr: SocketAddr, name: &str) -> Client {
    let mut watcher = Client::v311(addr, &format!("{name}-watch"));
    watcher.subscribe(&format!("{name}/#"), 2);
    watcher
}

/// A client with this will.
fn mortal(addr: SocketAddr, name: &str, will: Will) -> Client {
    Client::v311_with(addr, &unique(name), |c| c.will(will))
}

/// The will that CONNECT brought is stored, and published when the connection ends without a DISCONNECT
/// [MQTT-3.1.2-8]: closed by the client, reset, and closed by the broker for a violation. The topic and the message
/// are those of the payload [MQTT-3.1.2-9].
#[test]
fn the_will_is_published_when_the_connection_is_lost() {
    let broker = broker();
    let mut watcher = watcher(broker.addr(), "lost");
    let binary = [0, 0xff, 0xfe, b'x'];
    let client = mortal(broker.addr(), "lost", Will::new("lost/closed", &binary));
    watcher.expect_no_publish(SILENCE / 4);
    client.abort();
    let message = watcher.recv();
    assert_eq!((message.topic.as_str(), &message.payload[..]), ("lost/closed", &binary[..]));
    mortal(broker.addr(), "lost", Will::new("lost/reset", b"")).abort_rst();
    let message = watcher.recv();
    assert_eq!((message.topic.as_str(), message.payload.len()), ("lost/reset", 0));
    let mut client = mortal(broker.addr(), "lost", Will::new("lost/violation", b"x"));
    client.send(&subscribe(V, 0, &[("lost/t", 0)]));
    client.expect_closed();
    assert_eq!(watcher.recv().topic, "lost/violation");
}

/// A client that is pushed out by another one did not say DISCONNECT: its will is published [MQTT-3.1.2-8].
#[test]
fn the_will_of_a_client_that_is_pushed_out_is_published() {
    let broker = broker();
    let mut watcher = watcher(broker.addr(), "pushed");
    let mut first = Client::v311_with(broker.addr(), "pushed", |c| c.will(Will::new("pushed/will", b"first")));
    let second = Client::v311_with(broker.addr(), "pushed", |c| c.will(Will::new("pushed/will", b"second")));
    first.expect_closed();
    assert_eq!(watcher.recv().text(), "first");
    second.disconnect();
    watcher.expect_no_publish(SILENCE);
}

/// After a DISCONNECT the will is forgotten [MQTT-3.1.2-10] [MQTT-3.14.4-3], and so it is once it was published
/// [MQTT-3.1.2-10]: the next end of a connection of that client publishes nothing.
#[test]
fn the_will_is_forgotten_after_disconnect_and_after_its_publication() {
    let broker = broker();
    let mut watcher = watcher(broker.addr(), "forgotten");
    let with_will = |text: &str| {
        let will = Will::new("forgotten/will", text.as_bytes());
        Client::v311_with(broker.addr(), "forgotten", |c| c.clean(false).will(will))
    };
    with_will("said farewell").disconnect();
    // The farewell counts, not how the socket ends behind it.
    let mut client = with_will("said farewell, then reset");
    client.send(&disconnect());
    client.abort();
    watcher.expect_no_publish(SILENCE);
    with_will("lost").abort();
    assert_eq!(watcher.recv().text(), "lost");
    durable(broker.addr(), "forgotten").abort();
    watcher.expect_no_publish(SILENCE);
}

/// Without the will flag nothing is published, however the connection ends [MQTT-3.1.2-12].
#[test]
fn without_a_will_nothing_is_published() {
    let broker = Broker::with_args(&["--sys-interval", "0"]);
    let mut watcher = Client::v311(broker.addr(), "watch");
    watcher.subscribe("#", 0);
    Client::v311(broker.addr(), "none").abort();
    Client::v311(broker.addr(), "none").abort_rst();
    Client::v311(broker.addr(), "none").disconnect();
    watcher.expect_no_publish(SILENCE);
}

/// The will is published with its QoS, to whom it is delivered with the lower of that and the granted one
/// [MQTT-3.1.2-8] [MQTT-3.8.4-6].
#[test]
fn the_will_has_its_qos() {
    let broker = broker();
    let mut watcher = watcher(broker.addr(), "will-qos");
    for qos in 0..=2 {
        mortal(broker.addr(), "will-qos", Will::new("will-qos/t", b"x").qos(qos)).abort();
        assert_eq!(watcher.recv().qos, qos);
    }
}

/// A will without will retain is an ordinary message [MQTT-3.1.2-16]: whoever subscribes afterwards does not get it,
/// and the retained message of its topic stays. One with will retain is retained [MQTT-3.1.2-17].
#[test]
fn the_will_is_retained_only_with_will_retain() {
    let broker = broker();
    let mut watcher = watcher(broker.addr(), "will-retain");
    let publish_will = |will: Will, watcher: &mut Client| {
        mortal(broker.addr(), "will-retain", will).abort();
        let live = watcher.recv();
        assert!(!live.retain, "a standing subscription gets the will with RETAIN clear");
    };
    publish_will(Will::new("will-retain/a", b"ordinary"), &mut watcher);
    publish_will(Will::new("will-retain/b", b"kept").qos(1).retain(), &mut watcher);
    let mut late = Client::v311(broker.addr(), "will-retain-late");
    late.subscribe("will-retain/#", 2);
    let message = late.recv();
    assert_eq!((message.text().as_str(), message.retain, message.qos), ("kept", true, 1));
    late.expect_no_publish(SILENCE);

    publish_will(Will::new("will-retain/b", b"ordinary"), &mut watcher);
    let mut late = Client::v311(broker.addr(), "will-retain-late2");
    late.subscribe("will-retain/#", 2);
    assert_eq!(late.recv().text(), "kept");
    publish_will(Will::new("will-retain/b", b"").retain(), &mut watcher);
    let mut late = Client::v311(broker.addr(), "will-retain-late3");
    late.subscribe("will-retain/#", 2);
    late.expect_no_publish(SILENCE);
}
