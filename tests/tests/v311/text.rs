//! Strings (1.5.3): UTF-8, no U+0000, and not a byte changed; in every field that is a string.

use primer_harness::wire::{binary, frame, publish, subscribe};
use primer_harness::{Client, Raw};

use crate::fixture::{ACCEPTED, V, assert_closes, assert_no_connack, assert_takes, broker};

/// A CONNECT with a clean session, a will and a user name, the strings of which are any bytes.
fn connect_with(id: &[u8], will_topic: &[u8], user: &[u8]) -> Vec<u8> {
    let mut body = b"\x00\x04MQTT\x04\x86\x00\x3c".to_vec();
    body.extend(binary(id));
    body.extend(binary(will_topic));
    body.extend(binary(b"will"));
    body.extend(binary(user));
    frame(0x10, &body)
}

/// A QoS 1 PUBLISH, a SUBSCRIBE and an UNSUBSCRIBE of these bytes, with the answers to them.
fn requests_of(text: &[u8]) -> [(Vec<u8>, Vec<u8>); 3] {
    let text = binary(text);
    [
        (frame(0x32, &[&text[..], &[0, 7], b"x"].concat()), vec![0x40, 2, 0, 7]),
        (frame(0x82, &[&[0, 8], &text[..], &[0]].concat()), vec![0x90, 3, 0, 8, 0]),
        (frame(0xa2, &[&[0, 9], &text[..]].concat()), vec![0xb0, 2, 0, 9]),
    ]
}

fn assert_refused_everywhere(text: &[u8]) {
    let broker = broker();
    assert_no_connack(broker.addr(), &connect_with(text, b"text/will", b"user"));
    assert_no_connack(broker.addr(), &connect_with(b"text-refused", text, b"user"));
    assert_no_connack(broker.addr(), &connect_with(b"text-refused", b"text/will", text));
    for (request, _) in requests_of(text) {
        assert_closes(broker.addr(), &request);
    }
}

/// A string that is no well-formed UTF-8 ends the connection [MQTT-1.5.3-1]: as client identifier [MQTT-3.1.3-4], will
/// topic [MQTT-3.1.3-10], user name [MQTT-3.1.3-11], topic name [MQTT-3.3.2-1], and as filter of SUBSCRIBE
/// [MQTT-3.8.3-1] and UNSUBSCRIBE [MQTT-3.10.3-1].
#[test]
fn ill_formed_utf8_is_refused_in_every_field() {
    let lone_byte = b"a\xff".as_slice();
    let cut_short = b"a\xe2\x82".as_slice();
    let overlong = b"\xc0\xaf".as_slice();
    let surrogates = [b"\xed\xa0\x80".as_slice(), b"\xed\xbf\xbf", b"\xed\xa0\xb4\xed\xb4\x9e"];
    let above_unicode = b"\xf4\x90\x80\x80".as_slice();
    for text in [lone_byte, cut_short, overlong, above_unicode].into_iter().chain(surrogates) {
        assert_refused_everywhere(text);
    }
}

/// A string with U+0000 ends the connection [MQTT-1.5.3-2], in topic names and filters too [MQTT-4.7.3-2].
#[test]
fn the_null_character_is_refused_in_every_field() {
    for text in [b"\x00".as_slice(), b"a\x00b", b"a/\x00"] {
        assert_refused_everywhere(text);
    }
}

/// Well-formed UTF-8 of every length is taken where the same field refused the other [MQTT-1.5.3-1] [MQTT-3.1.3-4]
/// [MQTT-3.1.3-10] [MQTT-3.1.3-11] [MQTT-3.3.2-1] [MQTT-3.8.3-1] [MQTT-3.10.3-1].
#[test]
fn well_formed_utf8_is_taken_in_every_field() {
    let broker = broker();
    for text in ["text/é", "text/€", "text/\u{10ffff}", "text/\u{d7ff}\u{e000}"] {
        let text = text.as_bytes();
        for connect in [
            connect_with(text, b"text/will", b"user"),
            connect_with(b"text-taken", text, b"user"),
            connect_with(b"text-taken", b"text/will", text),
        ] {
            let mut raw = Raw::connect(broker.addr());
            raw.send(&connect);
            raw.expect(&ACCEPTED);
            raw.expect_alive();
        }
        for (request, answer) in requests_of(text) {
            assert_takes(broker.addr(), &request, &answer);
        }
    }
}

/// EF BB BF is U+FEFF and part of the string wherever it stands [MQTT-1.5.3-3]: the name with it is another one than
/// the name without it, and it arrives with its three bytes.
#[test]
fn a_byte_order_mark_is_kept() {
    let broker = broker();
    let mut marked = Client::v311(broker.addr(), "\u{feff}text-bom");
    let mut plain = Client::v311(broker.addr(), "text-bom");
    assert_eq!(marked.subscribe("\u{feff}bom/\u{feff}", 0), 0);
    assert_eq!(plain.subscribe("bom/", 0), 0);
    plain.publish("\u{feff}bom/\u{feff}", "marked", 0);
    plain.publish("bom/", "plain", 0);
    plain.ping();
    assert_eq!(plain.recv().text(), "plain");
    plain.expect_no_publish_before_ping();
    marked.raw().expect(b"\x30\x12\x00\x0a\xef\xbb\xbfbom/\xef\xbb\xbfmarked");
    marked.raw().expect_alive();
}

/// A field may have all of 65,535 bytes, and no topic has more: its length has two bytes [MQTT-4.7.3-3].
#[test]
fn a_topic_may_have_65535_bytes() {
    let broker = broker();
    let longest = format!("long/{}", "x".repeat(65_530));
    let mut client = Client::v311(broker.addr(), "text-long");
    assert_eq!(client.subscribe(&longest, 1), 1);
    client.publish(&longest, "whole", 1);
    let message = client.recv();
    assert_eq!((message.topic.len(), message.text().as_str()), (65_535, "whole"));
    assert_eq!(message.topic, longest);
    // Whoever writes a longer one writes other packets: what follows the 65,535 bytes is no options byte.
    let mut body = vec![0, 1];
    body.extend([0xff, 0xff]);
    body.extend(std::iter::repeat_n(b'x', 65_536));
    body.push(0);
    assert_closes(broker.addr(), &frame(0x82, &body));
    assert_takes(broker.addr(), &publish(V, "text/after", b"").build(), &[]);
    assert_takes(broker.addr(), &subscribe(V, 1, &[("text/after", 0)]), &[0x90, 3, 0, 1, 0]);
}
