//! CONNACK (3.2): that it comes first, and what it says of the session.

use primer_harness::wire::{connect, publish, subscribe};
use primer_harness::{Client, Raw};

use crate::fixture::{ACCEPTED, RESUMED, V, broker, durable, knock};

/// CONNACK comes before all else [MQTT-3.2.0-1], also where the session has messages waiting and where the client did
/// not wait for it.
#[test]
fn connack_is_the_first_packet_to_a_client() {
    let broker = broker();
    let mut subscriber = durable(broker.addr(), "first-ack");
    subscriber.subscribe("first-ack/t", 1);
    subscriber.disconnect();
    let mut sender = Client::v311(broker.addr(), "first-ack-sender");
    sender.publish("first-ack/t", "waited", 1);
    sender.publish_retained("first-ack/retained", "kept", 0);
    let mut raw = Raw::connect(broker.addr());
    let hasty = [
        connect(V, "first-ack").clean(false).build(),
        subscribe(V, 7, &[("first-ack/retained", 0)]),
        publish(V, "first-ack/t", b"own").qos(1, 9).build(),
    ];
    raw.send(&hasty.concat());
    raw.expect(&RESUMED);
    let mut kinds: Vec<u8> = (0..5).filter_map(|_| raw.recv_packet()).map(|packet| packet[0] >> 4).collect();
    kinds.sort_unstable();
    assert_eq!(kinds, [3, 3, 3, 4, 9]);
}

/// Session present: with a clean session always 0 [MQTT-3.2.2-1]; without it 0 where there was no session
/// [MQTT-3.2.2-3] and 1 where there was one [MQTT-3.2.2-2]; each with code 0 [MQTT-3.1.4-4], and acting upon clean
/// session each time [MQTT-3.1.4-3].
#[test]
fn session_present_tells_whether_there_was_a_session() {
    let broker = broker();
    for (clean, answer) in [
        (false, ACCEPTED),
        (false, RESUMED),
        (true, ACCEPTED),
        (true, ACCEPTED),
        (false, ACCEPTED),
        (false, RESUMED),
        (false, RESUMED),
        (true, ACCEPTED),
        (false, ACCEPTED),
    ] {
        let mut raw = knock(broker.addr(), &connect(V, "present").clean(clean));
        raw.expect(&answer);
        raw.send(&[0xe0, 0]);
        raw.expect_closed();
    }
}

/// The same holds where the first connection is still open and is pushed out [MQTT-3.1.4-2] [MQTT-3.2.2-1]
/// [MQTT-3.2.2-2] [MQTT-3.2.2-3].
#[test]
fn session_present_is_right_for_who_pushes_another_out() {
    let broker = broker();
    let mut before: Option<Raw> = None;
    for (clean, answer) in
        [(false, ACCEPTED), (false, RESUMED), (true, ACCEPTED), (false, ACCEPTED), (false, RESUMED), (true, ACCEPTED)]
    {
        let mut raw = knock(broker.addr(), &connect(V, "push-present").clean(clean));
        raw.expect(&answer);
        if let Some(mut pushed_out) = before.replace(raw) {
            pushed_out.expect_closed();
        }
    }
}
