//! Conformance as a whole (7): a lossless ordered transport, and nothing beyond the specification.

use primer_harness::wire::{Ack, connect, publish, subscribe};
use primer_harness::{Client, Raw};

use crate::fixture::{ACCEPTED, V, broker};

/// TCP is served, and it loses and reorders nothing [MQTT-7.1.1-1]: a payload larger than all buffers on the way
/// arrives as it was.
#[test]
fn tcp_carries_large_payloads_in_order() {
    let broker = broker();
    let payload: Vec<u8> = (0..3_000_000_u32).map(|n| (n / 7 % 251).to_le_bytes()[0]).collect();
    let mut client = Client::v311(broker.addr(), "tcp");
    client.subscribe("tcp/t", 1);
    assert_eq!(client.publish("tcp/t", &payload, 1), 0);
    let message = client.recv();
    assert!(message.payload == payload, "{} bytes came, not as sent", message.payload.len());
}

/// The plainest CONNECT there is, and packets with nothing but what the specification demands, are enough to be served
/// [MQTT-7.0.0-2].
#[test]
fn no_extension_is_needed() {
    let broker = broker();
    let mut raw = Raw::connect(broker.addr());
    raw.send(&[0x10, 13, 0, 4, b'M', b'Q', b'T', b'T', 4, 2, 0, 0, 0, 1, b'~']);
    raw.expect(&ACCEPTED);
    raw.send(&subscribe(V, 1, &[("plain", 2)]));
    raw.expect(&[0x90, 3, 0, 1, 2]);
    raw.send(&publish(V, "plain", b"0").build());
    raw.expect(b"\x30\x08\x00\x05plain0");
    raw.send(&publish(V, "plain", b"2").qos(2, 1).build());
    let mut kinds = Vec::new();
    for _ in 0..2 {
        kinds.extend(raw.recv_packet().map(|packet| packet[0]));
    }
    kinds.sort_unstable();
    assert_eq!(kinds, [0x34, 0x50]);
    raw.send(&[Ack::Pubrel.first_byte(), 2, 0, 1]);
    raw.expect(&[0x70, 2, 0, 1]);
    raw.expect_alive();
    raw.send(&[0xe0, 0]);
    raw.expect_closed();
    raw = Raw::connect(broker.addr());
    raw.send(&connect(V, "~").build());
    raw.expect(&ACCEPTED);
}
