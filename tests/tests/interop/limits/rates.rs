//! What one client may send: publishes a second, bytes a second, the size of a packet.

use std::time::{Duration, Instant};

use primer_harness::mqttbytes_client::{Load, LoadClient};
use primer_harness::wire::{self, prop};
use primer_harness::{Broker, Client, Version};

use super::longest_stall_during;

/// Publishes a load at QoS 1 to a subscriber that has to get each message once; tells how long it took.
fn publish_under(options: &[&str], load: &Load) -> Duration {
    let broker = Broker::with_args(options);
    let mut taker = LoadClient::connect(broker.addr(), Version::V5, "taker", true);
    taker.subscribe(&load.topic, 1);
    let mut sender = LoadClient::connect(broker.addr(), Version::V311, "sender", true);
    let (took, stall) = longest_stall_during(&broker, "other", || sender.publish_many(load));
    taker.receive_many(load.count, Duration::from_secs(5)).assert_exact(0, 0..load.count);
    assert!(stall < Duration::from_secs(1), "another client waited for {stall:?}");
    took
}

#[test]
fn the_publish_rate_slows_and_loses_nothing() {
    // One second's worth goes at once, the rest takes two seconds.
    let load = Load { count: 1500, window: 50, ..Load::to("slowed") };
    let took = publish_under(&["--max-publish-rate", "500"], &load);
    assert!((1_500..6_000).contains(&took.as_millis()), "1,500 messages at 500 a second took {took:?}");
}

#[test]
fn the_byte_rate_slows_and_loses_nothing() {
    let load = Load { count: 300, window: 10, payload_bytes: 1000, ..Load::to("slowed") };
    let took = publish_under(&["--max-byte-rate", "100K"], &load);
    assert!((1_500..6_000).contains(&took.as_millis()), "300 kB at 100 K a second took {took:?}");
}

#[test]
fn a_burst_at_once_is_slowed_and_not_lost() {
    let broker = Broker::with_args(&["--max-publish-rate", "1000"]);
    let mut taker = Client::v5(broker.addr(), "taker");
    taker.subscribe("burst", 0);
    let mut sender = Client::v5(broker.addr(), "sender");
    let burst: Vec<u8> =
        (0..3000).flat_map(|n: u32| wire::publish(Version::V5, "burst", n.to_string().as_bytes()).build()).collect();
    let begun = Instant::now();
    sender.send(&burst);
    let texts: Vec<String> = taker.recv_publishes(3000).iter().map(wire::Publish::text).collect();
    assert!(texts.iter().enumerate().all(|(n, text)| *text == n.to_string()), "each once and in order");
    sender.ping();
    assert!(begun.elapsed() >= Duration::from_millis(1_500), "3,000 at 1,000 a second took {:?}", begun.elapsed());
}

#[test]
fn a_packet_that_is_too_large_ends_its_connection_only() {
    let broker = Broker::with_args(&["--max-packet-size", "1K"]);
    let mut taker = Client::v5(broker.addr(), "taker");
    taker.subscribe("#", 0);
    let mut sender = Client::v5(broker.addr(), "sender");
    assert_eq!(prop::number(sender.connack_props(), prop::MAXIMUM_PACKET_SIZE), Some(1024));
    // 1024 bytes: a fixed header of 3, a topic of 2 + 1, a property length of 1, and the payload.
    sender.publish("x", [b'.'; 1017], 0);
    assert_eq!(taker.recv().payload.len(), 1017);
    sender.send(&wire::publish(Version::V5, "x", &[b'.'; 1018]).build());
    assert_eq!(sender.expect_closed(), Some(0x95));
    let mut sender = Client::v311(broker.addr(), "sender");
    sender.send(&wire::publish(Version::V311, "x", &[b'.'; 1100]).build());
    assert_eq!(sender.expect_closed(), None);
    // The head alone tells that it is too large: its bytes are not waited for.
    let mut sender = Client::v5(broker.addr(), "sender");
    sender.send(&[0x30, 0xff, 0xff, 0xff, 0x7f]);
    assert_eq!(sender.expect_closed(), Some(0x95));
    taker.expect_no_publish_before_ping();
}

#[test]
fn a_consumer_that_takes_only_small_packets_is_spared_large_ones() {
    let broker = Broker::start();
    let small = [prop::maximum_packet_size(200)];
    let mut taker = Client::v5_with(broker.addr(), "small", |connect| connect.props(&small));
    taker.subscribe("x", 2);
    let mut sender = Client::v5(broker.addr(), "sender");
    for qos in 0..3 {
        sender.publish("x", [b'.'; 300], qos);
        sender.publish("x", format!("small {qos}"), qos);
        assert_eq!(taker.recv().text(), format!("small {qos}"));
    }
}
