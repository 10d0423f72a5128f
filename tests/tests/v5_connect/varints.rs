//! Variable byte integers (1.5.5): one to four bytes, as few as will do.

use primer_harness::wire::{binary, connect, frame, publish, varint};
use primer_harness::{Client, Raw};

use crate::fixture::{MALFORMED, V, assert_closes, assert_not_let_in, assert_takes, broker, opened};

/// A remaining length, a property length and a subscription identifier that take more bytes than they need are
/// malformed [MQTT-1.5.5-1].
#[test]
fn padded_integers_are_malformed() {
    let broker = broker();
    let remaining_lengths: [&[u8]; 4] =
        [&[0xc0, 0x80, 0x00], &[0xc0, 0x80, 0x80, 0x00], &[0xc0, 0x80, 0x80, 0x80, 0x00], &[0x40, 0x82, 0x00, 0, 1]];
    for packet in remaining_lengths {
        assert_closes(broker.addr(), packet, MALFORMED);
    }
    assert_closes(broker.addr(), &frame(0x30, b"\x00\x01t\x80\x00x"), MALFORMED);
    assert_closes(broker.addr(), &frame(0x82, b"\x00\x01\x80\x00\x00\x01t\x00"), MALFORMED);
    assert_closes(broker.addr(), &frame(0x82, b"\x00\x01\x03\x0b\x81\x00\x00\x01t\x00"), MALFORMED);
    assert_takes(broker.addr(), &frame(0x30, b"\x00\x01t\x00x"));
    assert_takes(broker.addr(), &frame(0x82, b"\x00\x01\x02\x0b\x01\x00\x01t\x00"));

    let right = connect(V, "varint").build();
    let padded = [&[0x10, right[1] | 0x80, 0x00], &right[2..]].concat();
    assert_not_let_in(broker.addr(), &padded, &[MALFORMED]);
    let mut raw = Raw::connect(broker.addr());
    raw.send(&right);
    assert_eq!(raw.recv(true).reason(), Some(0));
}

/// An integer of more than four bytes is malformed [MQTT5-1.5.5].
#[test]
fn integers_of_five_bytes_are_malformed() {
    let broker = broker();
    assert_closes(broker.addr(), &[0x30, 0x80, 0x80, 0x80, 0x80, 0x01], MALFORMED);
    assert_closes(broker.addr(), &[0x30, 0xff, 0xff, 0xff, 0xff, 0xff], MALFORMED);
    assert_closes(broker.addr(), &frame(0x30, b"\x00\x01t\x80\x80\x80\x80\x01x"), MALFORMED);
    assert_closes(broker.addr(), &frame(0x82, b"\x00\x01\x06\x0b\xff\xff\xff\xff\x01\x00\x01t\x00"), MALFORMED);
    assert_not_let_in(broker.addr(), &[0x10, 0xff, 0xff, 0xff, 0xff, 0x01], &[MALFORMED]);
    assert_not_let_in(broker.addr(), &frame(0x10, b"\x00\x04MQTT\x05\x02\x00\x3c\x80\x80\x80\x80\x01"), &[MALFORMED]);
}

/// What the broker writes has the shortest form at each border between two lengths [MQTT-1.5.5-1]: the remaining
/// length, and the subscription identifiers and property length of a PUBLISH.
#[test]
fn the_broker_writes_the_shortest_form() {
    let broker = broker();
    let mut raw = opened(broker.addr(), "varint-short");
    for id in [1, 127, 128, 16_383, 16_384, 2_097_151, 2_097_152, 268_435_455] {
        let property = [&[0x0b][..], &varint(id)].concat();
        let length = varint(u32::try_from(property.len()).unwrap_or(0));
        let subscribe = [&[0, 1][..], &length, &property, &binary(b"varint/id"), &[0]].concat();
        raw.send(&frame(0x82, &subscribe));
        raw.expect(&[0x90, 4, 0, 1, 0, 0]);
        raw.send(&publish(V, "varint/id", b"x").build());
        raw.expect(&frame(0x30, &[&binary(b"varint/id")[..], &length, &property, b"x"].concat()));
    }
    let mut client = Client::v5(broker.addr(), "varint-length");
    client.subscribe("varint/length", 0);
    for length in [127, 128, 16_383, 16_384, 2_097_151, 2_097_152] {
        let packet = publish(V, "varint/length", &vec![b'x'; length - 2 - 13 - 1]).build();
        client.send(&packet);
        client.raw().expect(&packet);
    }
}
