//! The fixed header (2.1): type and flags.

use primer_harness::wire::{connect, subscribe, unsubscribe};

use crate::fixture::{MALFORMED, PROTOCOL_ERROR, V, assert_closes, assert_not_let_in, assert_takes, broker, opened};

/// All other flags than the listed ones are malformed [MQTT-2.1.3-1]; with the listed ones each packet is taken.
#[test]
fn reserved_flags_must_be_as_listed() {
    let broker = broker();
    let packets = [
        vec![0x40, 2, 0, 9],
        vec![0x50, 2, 0, 9],
        vec![0x62, 2, 0, 9],
        vec![0x70, 2, 0, 9],
        subscribe(V, 9, &[("flags/t", 1)]),
        unsubscribe(V, 9, &["flags/t"]),
        vec![0xc0, 0],
        vec![0xe0, 0],
    ];
    for packet in packets {
        let right = packet[0] & 0x0f;
        if packet[0] != 0xe0 {
            assert_takes(broker.addr(), &packet);
        }
        for wrong in [0x00, 0x01, 0x02, 0x04, 0x08, 0x0f].into_iter().filter(|flags| *flags != right) {
            let mut damaged = packet.clone();
            damaged[0] = (packet[0] & 0xf0) | wrong;
            assert_closes(broker.addr(), &damaged, MALFORMED);
        }
    }
    for first_byte in [0x11, 0x12, 0x14, 0x18] {
        let mut packet = connect(V, "flags-connect").build();
        packet[0] = first_byte;
        assert_not_let_in(broker.addr(), &packet, &[MALFORMED]);
    }
}

/// The flags of what the broker sends are the listed ones [MQTT-2.1.3-1].
#[test]
fn the_broker_sends_the_listed_flags() {
    let broker = broker();
    let mut raw = opened(broker.addr(), "flags-sent");
    raw.send(&subscribe(V, 9, &[("flags/sent", 1)]));
    raw.expect(&[0x90, 4, 0, 9, 0, 1]);
    raw.send(&[0x50, 2, 0, 9]);
    assert_eq!(raw.recv_packet().map(|packet| packet[0]), Some(0x62));
    raw.send(&[0x62, 2, 0, 9]);
    assert_eq!(raw.recv_packet().map(|packet| packet[0]), Some(0x70));
    raw.send(&unsubscribe(V, 9, &["flags/sent"]));
    raw.expect(&[0xb0, 4, 0, 9, 0, 0]);
    raw.send(&[0xc0, 0]);
    raw.expect(&[0xd0, 0]);
    raw.send(&[0xc1, 0]);
    assert_eq!(raw.recv_packet().map(|packet| packet[0]), Some(0xe0));
    raw.expect_closed();
}

/// Type 0 is forbidden, and so are the packets that only a server sends [MQTT-2.1.3-1].
#[test]
fn packets_that_no_client_may_send_close_the_connection() {
    let broker = broker();
    for packet in
        [vec![0x00, 0], vec![0x20, 3, 0, 0, 0], vec![0x90, 4, 0, 1, 0, 0], vec![0xb0, 4, 0, 1, 0, 0], vec![0xd0, 0]]
    {
        let mut raw = opened(broker.addr(), "flags-server");
        raw.send(&packet);
        let reason = raw.expect_refused(true);
        assert!(reason.is_some_and(|reason| [MALFORMED, PROTOCOL_ERROR].contains(&reason)), "{reason:02x?}");
    }
}
