//! Strings and string pairs (1.5.4, 1.5.7): UTF-8, no U+0000, and not a byte changed; in every field that is a string.

use primer_harness::wire::{binary, connect, frame, prop, varint};
use primer_harness::{Client, Prop};

use crate::fixture::{MALFORMED, V, assert_closes, assert_not_let_in, assert_takes, broker, opened_with};

/// A topic name may be refused with a reason of its own, and a filter too.
const TOPIC_NAME_INVALID: u8 = 0x90;
const TOPIC_FILTER_INVALID: u8 = 0x8f;
const CLIENT_IDENTIFIER_NOT_VALID: u8 = 0x85;

fn bad_texts() -> Vec<&'static [u8]> {
    vec![
        b"a\xff",
        b"a\xe2\x82",
        b"\xc0\xaf",
        b"\xf4\x90\x80\x80",
        b"\xed\xa0\x80",
        b"\xed\xbf\xbf",
        b"\xed\xa0\xb4\xed\xb4\x9e",
        b"\x00",
        b"a\x00b",
    ]
}

/// A CONNECT with a will and a user name, the strings of which are any bytes.
fn connect_with(id: &[u8], will_topic: &[u8], user: &[u8]) -> Vec<u8> {
    let mut body = b"\x00\x04MQTT\x05\x86\x00\x3c\x00".to_vec();
    body.extend(binary(id));
    body.push(0);
    body.extend(binary(will_topic));
    body.extend(binary(b"will"));
    body.extend(binary(user));
    frame(0x10, &body)
}

/// The bytes of a user property.
fn pair(key: &[u8], value: &[u8]) -> Vec<u8> {
    [&[prop::USER_PROPERTY][..], &binary(key), &binary(value)].concat()
}

/// A QoS 0 PUBLISH with these bytes as properties.
fn publish_with(props: &[u8]) -> Vec<u8> {
    let length = varint(u32::try_from(props.len()).unwrap_or(0));
    frame(0x30, &[&binary(b"text/t")[..], &length, props, b"x"].concat())
}

/// The fields of CONNECT: client identifier [MQTT-3.1.3-4], will topic [MQTT-3.1.3-11] and user name [MQTT-3.1.3-12]
/// are well-formed UTF-8 [MQTT-1.5.4-1] without U+0000 [MQTT-1.5.4-2]; anything else is not let in
/// [MQTT-3.1.3-8] [MQTT-3.1.4-1].
#[test]
fn strings_of_connect_are_utf8_without_null() {
    let broker = broker();
    for text in bad_texts() {
        let id = connect_with(text, b"text/will", b"user");
        assert_not_let_in(broker.addr(), &id, &[MALFORMED, CLIENT_IDENTIFIER_NOT_VALID]);
        let will_topic = connect_with(b"text-bad", text, b"user");
        assert_not_let_in(broker.addr(), &will_topic, &[MALFORMED, TOPIC_NAME_INVALID]);
        assert_not_let_in(broker.addr(), &connect_with(b"text-bad", b"text/will", text), &[MALFORMED]);
        let props = connect(V, "text-bad").raw_props(&pair(text, b"v"));
        assert_not_let_in(broker.addr(), &props.build(), &[MALFORMED]);
    }
    for text in ["é", "€", "\u{10ffff}", "\u{d7ff}\u{e000}"] {
        let (text, plain) = (text.as_bytes(), b"text-good");
        for packet in [
            connect_with(text, b"text/will", b"user"),
            connect_with(plain, text, b"user"),
            connect_with(plain, b"text/will", text),
        ] {
            let mut raw = crate::fixture::knock(broker.addr(), &packet);
            assert_eq!(raw.recv(true).reason(), Some(0));
        }
    }
}

/// Topic names and filters are well-formed UTF-8 [MQTT-1.5.4-1] without U+0000 [MQTT-1.5.4-2]; anything else closes the
/// connection.
#[test]
fn topic_names_and_filters_are_utf8_without_null() {
    let broker = broker();
    let requests = |text: &[u8]| {
        let text = binary(text);
        [
            (frame(0x30, &[&text[..], &[0]].concat()), TOPIC_NAME_INVALID),
            (frame(0x82, &[&[0, 8, 0], &text[..], &[0]].concat()), TOPIC_FILTER_INVALID),
            (frame(0xa2, &[&[0, 9, 0], &text[..]].concat()), TOPIC_FILTER_INVALID),
        ]
    };
    for text in bad_texts() {
        for (request, other_reason) in requests(text) {
            let mut raw = crate::fixture::opened(broker.addr(), "text-names");
            raw.send(&request);
            let reason = raw.expect_refused(true);
            assert!(reason.is_some_and(|reason| reason == MALFORMED || reason == other_reason), "{reason:02x?}");
        }
    }
    for text in ["text/é", "text/€", "text/\u{10ffff}"] {
        for (request, _) in requests(text.as_bytes()) {
            assert_takes(broker.addr(), &request);
        }
    }
}

/// Both halves of a string pair are strings [MQTT-1.5.7-1], in each packet that has user properties; and so are the
/// other string properties [MQTT-1.5.4-1] [MQTT-1.5.4-2].
#[test]
fn strings_of_properties_are_utf8_without_null() {
    let broker = broker();
    for text in bad_texts() {
        for bad in [pair(text, b"v"), pair(b"k", text), [pair(b"k", b"v"), pair(b"k", text)].concat()] {
            assert_closes(broker.addr(), &publish_with(&bad), MALFORMED);
            let length = varint(u32::try_from(bad.len()).unwrap_or(0));
            let subscribe = [&[0, 1][..], &length, &bad, &binary(b"text/t"), &[0]].concat();
            assert_closes(broker.addr(), &frame(0x82, &subscribe), MALFORMED);
        }
        let content_type = [&[prop::CONTENT_TYPE][..], &binary(text)].concat();
        assert_closes(broker.addr(), &publish_with(&content_type), MALFORMED);
    }
    for good in [pair("é".as_bytes(), b""), pair(b"", "\u{10ffff}".as_bytes()), pair(b"", b"")] {
        assert_takes(broker.addr(), &publish_with(&good));
    }
}

/// Both halves of a pair arrive as they were sent, in their order [MQTT-1.5.7-1], and EF BB BF is U+FEFF wherever it
/// stands [MQTT-1.5.4-3].
#[test]
fn a_byte_order_mark_is_kept() {
    let broker = broker();
    let mut marked = Client::v5(broker.addr(), "\u{feff}text-bom");
    let mut plain = Client::v5(broker.addr(), "text-bom");
    assert_eq!(marked.subscribe("\u{feff}bom5/\u{feff}", 0), 0);
    assert_eq!(plain.subscribe("bom5/", 0), 0);
    let props: [Prop; 2] = [prop::user_property("\u{feff}k", "v\u{feff}"), prop::content_type("\u{feff}")];
    plain.publish_with("\u{feff}bom5/\u{feff}", "marked", 0, &props);
    plain.publish("bom5/", "plain", 0);
    let message = marked.recv();
    assert_eq!((message.topic.as_str(), message.text().as_str()), ("\u{feff}bom5/\u{feff}", "marked"));
    assert_eq!(prop::user_properties(&message.props), [("\u{feff}k", "v\u{feff}")]);
    assert_eq!(prop::text(&message.props, prop::CONTENT_TYPE), Some("\u{feff}"));
    assert_eq!(plain.recv().text(), "plain");
    plain.expect_no_publish_before_ping();
    let (mut raw, ..) = opened_with(broker.addr(), &connect(V, "text-alive"));
    raw.expect_alive();
}
