//! Keep alive (3.1.2.10), and that of the server (3.2.2.3.14).

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use primer_harness::wire::{Connect, Will, connect, prop};
use primer_harness::{Broker, Client};

use crate::fixture::{V, broker, opened_with};

const KEEP_ALIVE_TIMEOUT: u8 = 0x8d;

/// How long the broker bears with this client's silence.
#[track_caller]
fn silence_borne(addr: SocketAddr, packet: &Connect) -> Duration {
    let start = Instant::now();
    let (mut raw, ..) = opened_with(addr, packet);
    assert_eq!(raw.expect_refused(true), Some(KEEP_ALIVE_TIMEOUT));
    start.elapsed()
}

/// A client that is silent for one and a half keep alives is cut off as if the network broke, and not sooner
/// [MQTT-3.1.2-22]: the will goes out. Without a keep alive in CONNACK it is the client's own one that holds
/// [MQTT-3.2.2-22].
#[test]
fn a_silent_client_is_cut_off_after_one_and_a_half_keep_alives() {
    let broker = broker();
    let mut watcher = Client::v5(broker.addr(), "silent-watch");
    watcher.subscribe("silent/will", 0);
    let packet = connect(V, "silent").keep_alive(1).will(Will::new("silent/will", b"silent"));
    let (_, _, props) = opened_with(broker.addr(), &connect(V, "silent-told").keep_alive(1));
    assert_eq!(prop::number(&props, prop::SERVER_KEEP_ALIVE), None);
    let borne = silence_borne(broker.addr(), &packet);
    assert!(borne >= Duration::from_millis(1400) && borne < Duration::from_secs(6), "{borne:?}");
    assert_eq!(watcher.recv().text(), "silent");
}

/// Every packet of the client counts [MQTT-3.1.2-22].
#[test]
fn each_packet_of_the_client_starts_the_keep_alive_anew() {
    let broker = broker();
    let mut client = Client::v5_with(broker.addr(), "lively", |c| c.keep_alive(1));
    for _ in 0..5 {
        std::thread::sleep(Duration::from_millis(500));
        client.send(&primer_harness::wire::publish(V, "lively/t", b"").build());
    }
    client.ping();
}

/// A keep alive in CONNACK takes the place of the client's [MQTT-3.1.2-22] [MQTT-3.2.2-22]: the broker tells it where
/// it is shorter, and keeps to it.
#[test]
fn a_keep_alive_of_the_server_holds_in_place_of_the_clients() {
    let broker = Broker::with_args(&["--max-keep-alive", "1"]);
    let packet = connect(V, "server-keep-alive").keep_alive(600);
    let (_, _, props) = opened_with(broker.addr(), &packet);
    assert_eq!(prop::number(&props, prop::SERVER_KEEP_ALIVE), Some(1));
    let borne = silence_borne(broker.addr(), &packet);
    assert!(borne >= Duration::from_millis(1400) && borne < Duration::from_secs(6), "{borne:?}");
}
