//! The fixed header (2.2): type and flags, and the remaining length.

use primer_harness::wire::{Will, connect, disconnect, frame, publish, subscribe, unsubscribe};
use primer_harness::{Client, Raw, SILENCE};

use crate::fixture::{ACCEPTED, V, assert_closes, assert_no_connack, assert_takes, broker, opened, unique};

/// Each packet that a client may send on an open connection and that has fixed flags, with its answer.
fn packets() -> Vec<(Vec<u8>, Vec<u8>)> {
    vec![
        (vec![0x40, 2, 0, 9], vec![]),
        (vec![0x50, 2, 0, 9], vec![0x62, 2, 0, 9]),
        (vec![0x62, 2, 0, 9], vec![0x70, 2, 0, 9]),
        (vec![0x70, 2, 0, 9], vec![]),
        (subscribe(V, 9, &[("flags/t", 1)]), vec![0x90, 3, 0, 9, 1]),
        (unsubscribe(V, 9, &["flags/t"]), vec![0xb0, 2, 0, 9]),
        (vec![0xc0, 0], vec![0xd0, 0]),
    ]
}

/// All other flags than the listed ones [MQTT-2.2.2-1] close the connection [MQTT-2.2.2-2], those of PUBREL
/// [MQTT-3.6.1-1], SUBSCRIBE [MQTT-3.8.1-1], UNSUBSCRIBE [MQTT-3.10.1-1] and DISCONNECT [MQTT-3.14.1-1] among them;
/// with the listed ones each packet is taken, and the broker's answer has its listed ones.
#[test]
fn reserved_flags_must_be_as_listed() {
    let broker = broker();
    for (packet, answer) in packets() {
        assert_takes(broker.addr(), &packet, &answer);
        let right = packet[0] & 0x0f;
        for wrong in [0x00, 0x01, 0x02, 0x04, 0x08, 0x0f].into_iter().filter(|flags| *flags != right) {
            let mut damaged = packet.clone();
            damaged[0] = (packet[0] & 0xf0) | wrong;
            assert_closes(broker.addr(), &damaged);
        }
    }
    for first_byte in [0x11, 0x12, 0x14, 0x18] {
        let mut packet = connect(V, "flags-connect").build();
        packet[0] = first_byte;
        assert_no_connack(broker.addr(), &packet);
    }
}

/// A DISCONNECT with a reserved bit is no farewell [MQTT-3.14.1-1] [MQTT-2.2.2-2]: the connection is closed as after
/// any other violation, and the will goes out. With the right flags it does not.
#[test]
fn a_disconnect_with_reserved_bits_is_no_farewell() {
    let broker = broker();
    let mut watcher = Client::v311(broker.addr(), "flags-watch");
    watcher.subscribe("flags/will", 0);
    for (farewell, has_will) in [(vec![0xe0, 0], false), (vec![0xe1, 0], true), (vec![0xe8, 0], true)] {
        let will = Will::new("flags/will", &farewell);
        let mut client = Client::v311_with(broker.addr(), &unique("flags-will"), |c| c.will(will));
        client.send(&farewell);
        client.expect_closed();
        if has_will {
            assert_eq!(watcher.recv().payload, farewell);
        } else {
            watcher.expect_no_publish(SILENCE);
        }
    }
}

/// Types 0 and 15 are forbidden, and so are the packets that only a server sends [MQTT-4.8.0-1].
#[test]
fn packets_that_no_client_may_send_close_the_connection() {
    let broker = broker();
    for packet in [
        vec![0x00, 0],
        vec![0x20, 2, 0, 0],
        vec![0x90, 3, 0, 1, 0],
        vec![0xb0, 2, 0, 1],
        vec![0xd0, 0],
        vec![0xf0, 0],
        vec![0xf0, 2, 0, 0],
    ] {
        assert_closes(broker.addr(), &packet);
    }
}

/// A packet that is longer or shorter than its fields closes the connection [MQTT-4.8.0-1].
#[test]
fn packets_with_a_wrong_length_close_the_connection() {
    let broker = broker();
    for packet in [
        vec![0xc0, 1, 0],
        vec![0xe0, 1, 0],
        vec![0x40, 1, 0],
        vec![0x40, 3, 0, 1, 0],
        vec![0x62, 4, 0, 1, 0, 0],
        frame(0x30, b"\x00\x09short"),
        frame(0x32, b"\x00\x01t\x00"),
        frame(0x82, b"\x00\x01\x00\x05flag"),
        frame(0x82, b"\x00\x01\x00\x01a"),
        frame(0xa2, b"\x00\x01\x00\x05flag"),
    ] {
        assert_closes(broker.addr(), &packet);
    }
}

/// The remaining length has one to four bytes; a fifth closes the connection [MQTT-4.8.0-1].
#[test]
fn a_remaining_length_has_at_most_four_bytes() {
    let broker = broker();
    for length in [127, 128, 16_383, 16_384, 2_097_151, 2_097_152] {
        let topic_bytes = 2 + "flags/len".len();
        let packet = publish(V, "flags/len", &vec![b'x'; length - topic_bytes - 2]).qos(1, 5).build();
        assert_takes(broker.addr(), &packet, &[0x40, 2, 0, 5]);
    }
    for packet in [&[0x30, 0x80, 0x80, 0x80, 0x80][..], &[0x30, 0xff, 0xff, 0xff, 0xff, 0x01]] {
        assert_closes(broker.addr(), packet);
    }
    let mut raw = Raw::connect(broker.addr());
    raw.send(&[0x10, 0xff, 0xff, 0xff, 0xff, 0x7f]);
    raw.expect_closed();
}

/// Where one segment ends means nothing: bytes one by one, and many packets at once.
#[test]
fn packets_may_come_in_any_pieces() {
    let broker = broker();
    let packets = [
        connect(V, "flags-pieces").build(),
        subscribe(V, 1, &[("flags/pieces", 0)]),
        publish(V, "flags/pieces", b"x").build(),
        vec![0xc0, 0],
    ]
    .concat();
    // No statement orders the answers to different requests, but for CONNACK, which is first.
    let mut answers = [&b"\x90\x03\x00\x01\x00"[..], b"\x30\x0f\x00\x0cflags/piecesx", b"\xd0\x00"];
    answers.sort_unstable();
    for bytewise in [false, true] {
        let mut raw = Raw::connect(broker.addr());
        if bytewise {
            raw.send_bytewise(&packets);
        } else {
            raw.send(&packets);
        }
        raw.expect(&ACCEPTED);
        let mut got: Vec<Vec<u8>> = answers.iter().filter_map(|_| raw.recv_packet()).collect();
        got.sort_unstable();
        assert_eq!(got, answers);
        raw.expect_alive();
        raw.send(&disconnect());
        raw.expect_closed();
    }
    let mut other = opened(broker.addr(), "flags-other");
    other.expect_alive();
}
