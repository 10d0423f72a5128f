//! Errors (4.8): a violation ends the connection on which it came, and no other.

use primer_harness::wire::{frame, publish, subscribe};
use primer_harness::{Client, SILENCE};

use crate::fixture::{V, broker, durable, opened};

/// A violation closes its connection [MQTT-4.8.0-1] without a packet, as 3.1.1 has none for it; all others stay, and
/// what came before it on the same connection counts.
#[test]
fn a_violation_closes_its_own_connection_only() {
    let broker = broker();
    let mut watcher = Client::v311(broker.addr(), "vio-watch");
    watcher.subscribe("vio/#", 1);
    let mut bystander = opened(broker.addr(), "vio-bystander");
    for (n, violation) in [
        publish(V, "vio/+", b"x").build(),
        subscribe(V, 0, &[("vio/t", 0)]),
        frame(0x36, b"\x00\x05vio/t\x00\x01"),
        vec![0x60, 2, 0, 1],
        vec![0x00, 0],
        vec![0x30, 0xff, 0xff, 0xff, 0xff],
    ]
    .into_iter()
    .enumerate()
    {
        let mut raw = opened(broker.addr(), "vio");
        let before = publish(V, "vio/before", n.to_string().as_bytes()).build();
        let after = publish(V, "vio/after", b"x").build();
        raw.send(&[before, violation, after].concat());
        raw.expect_closed();
        let message = watcher.recv();
        assert_eq!((message.topic.as_str(), message.text()), ("vio/before", n.to_string()));
        bystander.expect_alive();
    }
    watcher.expect_no_publish(SILENCE / 2);
}

/// The session of a client that broke the protocol is kept as after any other end [MQTT-4.8.0-1] [MQTT-4.1.0-1].
#[test]
fn a_violation_does_not_cost_the_session() {
    let broker = broker();
    let mut client = durable(broker.addr(), "vio-session");
    client.subscribe("vio-session/t", 1);
    client.send(&publish(V, "vio-session/#", b"x").build());
    client.expect_closed();
    Client::v311(broker.addr(), "vio-session-pub").publish("vio-session/t", "waited", 1);
    let mut client = durable(broker.addr(), "vio-session");
    assert!(client.session_present());
    assert_eq!(client.recv().text(), "waited");
}
