//! MQTT 3.1: the same broker serves the clients of before.

use primer_harness::wire::{connect, publish};
use primer_harness::{Client, Version};

use crate::fixture::{broker, knock};

/// A client of 3.1 (`MQIsdp`, level 3) is let in, and its messages and those of 3.1.1 clients go both ways. Its
/// CONNACK has no session present flag.
#[test]
fn a_client_of_mqtt_3_1_is_served() {
    let broker = broker();
    let mut newer = Client::v311(broker.addr(), "v31-newer");
    newer.subscribe("v31/up", 2);
    for session_present in [false, false] {
        let mut older = Client::connect_with(broker.addr(), Version::V31, "v31-older", |c| c.clean(false));
        assert_eq!(older.session_present(), session_present);
        assert_eq!(older.subscribe("v31/down", 2), 2);
        for qos in 0..=2 {
            older.publish("v31/up", "up", qos);
            newer.publish("v31/down", "down", qos);
            assert_eq!((newer.recv().qos, older.recv().qos), (qos, qos));
        }
        older.disconnect();
    }
    newer.publish("v31/down", "waited", 1);
    let mut older = Client::connect_with(broker.addr(), Version::V31, "v31-older", |c| c.clean(false));
    assert_eq!(older.recv().text(), "waited");
}

/// 3.1 has no empty client identifiers: code 2.
#[test]
fn mqtt_3_1_has_no_empty_client_identifier() {
    let broker = broker();
    for clean in [true, false] {
        let mut raw = knock(broker.addr(), &connect(Version::V31, "").clean(clean));
        raw.expect(&[0x20, 2, 0, 2]);
        raw.expect_closed();
    }
}

/// A repeated SUBSCRIBE or PUBREL of 3.1 may have DUP set, which 3.1.1 took away.
#[test]
fn mqtt_3_1_may_repeat_with_dup() {
    let broker = broker();
    let mut raw = knock(broker.addr(), &connect(Version::V31, "v31-dup"));
    raw.expect(&[0x20, 2, 0, 0]);
    raw.send(b"\x8a\x0b\x00\x01\x00\x06v31dup\x01");
    raw.expect(&[0x90, 3, 0, 1, 1]);
    raw.send(&publish(Version::V31, "v31other", b"x").qos(2, 5).dup().build());
    raw.expect(&[0x50, 2, 0, 5]);
    raw.send(&[0x6a, 2, 0, 5]);
    raw.expect(&[0x70, 2, 0, 5]);
}
