//! Keep alive (3.1.2.10) and PINGREQ (3.12).

use std::thread::sleep;
use std::time::{Duration, Instant};

use primer_harness::Client;
use primer_harness::wire::{Will, connect, pingreq, publish};

use crate::fixture::{ACCEPTED, V, broker, knock, opened};

/// A client that is silent for one and a half keep alives is cut off as if the network broke [MQTT-3.1.2-24]: not
/// sooner, and its will goes out.
#[test]
fn a_silent_client_is_cut_off_after_one_and_a_half_keep_alives() {
    let broker = broker();
    let mut watcher = Client::v311(broker.addr(), "silent-watch");
    watcher.subscribe("silent/will", 0);
    let packet = connect(V, "silent").keep_alive(1).will(Will::new("silent/will", b"silent"));
    let start = Instant::now();
    let mut raw = knock(broker.addr(), &packet);
    raw.expect(&ACCEPTED);
    raw.expect_closed();
    let silent_for = start.elapsed();
    assert!(silent_for >= Duration::from_millis(1400), "cut off after {silent_for:?}");
    assert!(silent_for < Duration::from_secs(6), "cut off only after {silent_for:?}");
    assert_eq!(watcher.recv().text(), "silent");
}

/// Every packet of the client counts [MQTT-3.1.2-24], those of the broker do not; a client with keep alive 0 may be
/// silent.
#[test]
fn each_packet_of_the_client_starts_the_keep_alive_anew() {
    let broker = broker();
    let mut client = Client::v311_with(broker.addr(), "lively", |c| c.keep_alive(1));
    let mut silent = Client::v311_with(broker.addr(), "lively-silent", |c| c.keep_alive(1));
    let mut unbound = Client::v311_with(broker.addr(), "lively-unbound", |c| c.keep_alive(0));
    silent.subscribe("lively/t", 0);
    let start = Instant::now();
    for step in 0..6 {
        sleep(Duration::from_millis(500));
        match step % 3 {
            0 => client.send(&pingreq()),
            1 => client.send(&publish(V, "lively/t", b"x").build()),
            _ => client.send(&primer_harness::wire::puback(1)),
        }
    }
    assert!(start.elapsed() >= Duration::from_secs(3));
    client.ping();
    unbound.ping();
    silent.expect_closed();
}

/// Each PINGREQ gets a PINGRESP [MQTT-3.12.4-1].
#[test]
fn each_pingreq_gets_a_pingresp() {
    let broker = broker();
    let mut raw = opened(broker.addr(), "ping");
    raw.send(&[0xc0, 0, 0xc0, 0, 0xc0, 0]);
    raw.expect(&[0xd0, 0, 0xd0, 0, 0xd0, 0]);
    raw.expect_alive();
}
