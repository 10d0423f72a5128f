//! Malformed packets and protocol errors (4.13): the DISCONNECT that tells and the close; and PINGREQ (3.12).

use primer_harness::wire::{self, Will, frame, prop, puback, publish, subscribe};
use primer_harness::{Client, Raw, SILENCE, Version};

use crate::fixture::{MALFORMED, PROTOCOL_ERROR, assert_closed_with, broker, unique};

/// [MQTT-3.12.4-1]
#[test]
fn a_pingreq_gets_a_pingresp() {
    let broker = broker();
    let mut client = Client::v5(broker.addr(), "ping");
    for _ in 0..3 {
        client.raw().send(&wire::pingreq());
        client.raw().expect(&wire::pingresp());
    }
    client.raw().send(&[wire::pingreq(), wire::pingreq()].concat());
    client.raw().expect(&[wire::pingresp(), wire::pingresp()].concat());
    client.raw().expect_silence(SILENCE / 4);
    for bad in [&[0xc1, 0][..], &[0xc0, 1, 0]] {
        assert_closed_with(broker.addr(), bad, &[MALFORMED, PROTOCOL_ERROR]);
    }
}

/// [MQTT-4.13.1-1] [MQTT-4.13.2-1] [MQTT5-4.13.1]
#[test]
fn a_malformed_packet_gets_a_disconnect_0x81_and_a_close() {
    let addr = broker().addr();
    let mut short_properties =
        publish(Version::V5, "malformed", b"").qos(1, 1).props(&[prop::content_type("t")]).build();
    short_properties[2 + 11 + 2] += 40; // behind the fixed header, the topic and the identifier
    for bytes in [
        vec![0x00, 0x00],                          // type 0
        vec![0x30, 0xff, 0xff, 0xff, 0xff, 0x01],  // a remaining length of five bytes
        frame(0x30, &[]),                          // no topic
        frame(0x30, &[0]),                         // half a length
        frame(0x32, &[0, 1, b't']),                // no identifier
        frame(0x32, &[0, 1, b't', 0, 1]),          // no properties
        frame(0x40, &[0]),                         // half an identifier
        frame(0x82, &[0, 1, 0, 0, 5, b'a']),       // a filter that is cut
        frame(0x82, &[0, 1, 3, 0x0b, 0x80, 0x80]), // a varint that is cut
        short_properties,
    ] {
        assert_closed_with(addr, &bytes, &[MALFORMED]);
    }
}

/// [MQTT-4.13.1-1] [MQTT-4.13.2-1] [MQTT5-4.13.1]
#[test]
fn a_protocol_error_gets_a_disconnect_0x82_and_a_close() {
    let addr = broker().addr();
    let second_connect = wire::connect(Version::V5, "second").build();
    let from_a_server =
        [frame(0x20, &[0, 0, 0]), frame(0x90, &[0, 1, 0, 0]), frame(0xb0, &[0, 1, 0, 0]), wire::pingresp()];
    for bytes in from_a_server.iter().chain([&second_connect]) {
        assert_closed_with(addr, bytes, &[PROTOCOL_ERROR]);
    }
    let zero = publish(Version::V5, "zero", b"").qos(1, 0).build();
    for bytes in [zero, subscribe(Version::V5, 0, &[("zero", 0)]), puback(0)] {
        assert_closed_with(addr, &bytes, &[MALFORMED, PROTOCOL_ERROR]);
    }
}

/// What came before the fault is done, what comes behind it is not; nothing follows the DISCONNECT [MQTT-4.13.1-1]
/// [MQTT-3.14.4-1].
#[test]
fn a_fault_ends_the_stream_where_it_stands() {
    let broker = broker();
    let mut subscriber = Client::v5(broker.addr(), "faultend-sub");
    subscriber.subscribe("faultend", 1);
    let mut raw = Raw::connect(broker.addr());
    let mut bytes = wire::connect(Version::V5, "faultend").build();
    bytes.extend(publish(Version::V5, "faultend", b"before").qos(1, 1).build());
    bytes.extend([0x00, 0x00]);
    bytes.extend(publish(Version::V5, "faultend", b"behind").qos(1, 2).build());
    raw.send(&bytes);
    let packets = raw.recv_until_closed();
    let kinds: Vec<_> = packets.iter().map(|packet| packet[0] >> 4).collect();
    assert_eq!(kinds, [2, 4, 14], "{packets:02x?}");
    assert_eq!(subscriber.recv().text(), "before");
    subscriber.expect_no_publish(SILENCE / 2);
}

/// A client that is closed for a fault has not said goodbye: its will is published [MQTT-4.13.1-1].
#[test]
fn a_fault_publishes_the_will() {
    let broker = broker();
    let mut subscriber = Client::v5(broker.addr(), "faultwill-sub");
    subscriber.subscribe("faultwill", 1);
    let mut client = Client::v5_with(broker.addr(), "faultwill", |c| c.will(Will::new("faultwill", b"gone")));
    client.send(&[0x00, 0x00]);
    assert_eq!(client.expect_closed(), Some(MALFORMED));
    assert_eq!(subscriber.recv().text(), "gone");
}

/// A CONNACK of 0x80 or above is the last packet [MQTT-4.13.2-1].
#[test]
fn a_refused_connect_is_closed() {
    let mut raw = Raw::connect(broker().addr());
    let connect = wire::connect(Version::V5, &unique("refused"));
    raw.send(&connect.props(&[prop::authentication_method("none such")]).build());
    assert_eq!(raw.expect_refused(true), Some(0x8c));
}

/// A DISCONNECT of 0x80 or above from a client closes the connection too [MQTT-4.13.2-1].
#[test]
fn a_disconnect_with_an_error_from_a_client_is_a_close() {
    let mut client = Client::v5(broker().addr(), &unique("clienterror"));
    client.send(&wire::disconnect_with(0x82, Some(&[])));
    client.raw().expect_closed();
}
