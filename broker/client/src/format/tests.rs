//! Formats, beside what mosquitto_sub 2.0 prints for the same.

use jiff::civil::date;
use jiff::tz::{TimeZone, offset};
use primer_mqtt::codec::{
    packet::QoS,
    properties::{PropertiesBuf, Property},
};

use super::*;

fn message(payload: &[u8]) -> Message {
    Message {
        topic: "a/bin".to_owned(),
        payload: payload.to_vec(),
        qos: QoS::AtMostOnce,
        retain: true,
        properties: PropertiesBuf::new(),
        mid: 0,
    }
}

fn rich() -> Message {
    let mut properties = PropertiesBuf::new();
    properties.push(&Property::UserProperty("k", "v"));
    properties.push(&Property::ContentType("text"));
    properties.push(&Property::CorrelationData(b"c\0d"));
    properties.push(&Property::ResponseTopic("r/t"));
    properties.push(&Property::PayloadFormat(1));
    properties.push(&Property::MessageExpiry(95));
    properties.push(&Property::SubscriptionId(7));
    properties.push(&Property::UserProperty("k2", "v2"));
    Message { properties, qos: QoS::AtLeastOnce, mid: 12, retain: false, ..message(b"he\"y\t") }
}

/// 2026-11-29 01:03:11.613981007 at UTC+02:00.
fn now() -> Zoned {
    let zone = TimeZone::fixed(offset(2));
    date(2026, 11, 29).at(1, 3, 11, 613_981_007).to_zoned(zone).unwrap()
}

#[track_caller]
fn printed(format: &str, message: &Message) -> String {
    let mut out = Vec::new();
    Format::parse(format.as_bytes()).unwrap().print(message, &now(), false, &mut out).unwrap();
    String::from_utf8(out).unwrap()
}

#[test]
fn text_is_padded_and_cut_in_bytes() {
    let format = "%t|%20t|%-20t|%.3t|%10.3t|%-10.3t|%020t|";
    let wanted = "a/bin|               a/bin|a/bin               |a/b|       a/b|a/b       |               a/bin|";
    assert_eq!(printed(format, &message(b"")), wanted);
}

#[test]
fn payloads_are_padded_and_cut() {
    let seven = message(b"{\"x\":1}");
    assert_eq!(printed("%p|%10p|%-10p|%010p|%3p|", &seven), "{\"x\":1}|   {\"x\":1}|{\"x\":1}   |000{\"x\":1}|{\"x|");
    assert_eq!(printed("%x|%X|", &message(b"\x00\xffz")), "00ff7a|00FF7A|");
    let wanted = "    7b2278|7b2278        |0000000000000000000000007B2278";
    assert_eq!(printed("%10x|%-14x|%030X", &seven), wanted);
}

#[test]
fn numbers_are_padded_and_their_room_is_left_where_there_is_none() {
    assert_eq!(printed("%q%r%l%m|%5l|%-5l|%05l|%5m", &message(b"1234567")), "0170|    7|7    |00007|    0");
    assert_eq!(printed("%q%r%m", &rich()), "1012");
    let format = "%A|%C|%D|%E|%F|%P|%R|%S|%5A|%05E|%10C|%-10C|";
    assert_eq!(printed(format, &message(b"")), "||||||||     |00000|          |          |");
    let wanted = "|text|c\0d|95|1|k:v k2:v2|r/t|7|     |00095|      text|text      |";
    assert_eq!(printed(format, &rich()), wanted);
}

#[test]
fn times_are_those_of_strftime() {
    let of = |format| printed(format, &message(b""));
    assert_eq!(of("%I %U"), "2026-11-29T01:03:11+0200 1795906991.613981007");
    assert_eq!(of("%26I|"), "  2026-11-29T01:03:11+0200|");
    assert_eq!(of("@Y-@m-@d @H:@M:@S.@N @z @@ @%"), "2026-11-29 01:03:11.613981007 +0200 @ %");
    assert_eq!(
        of("@c|@x|@X|@D|@F|@A|@b|@j|@e"),
        "Sun Nov 29 01:03:11 2026|11/29/26|01:03:11|11/29/26|2026-11-29|\
                                                 Sunday|Nov|333|29"
    );
    assert_eq!(of("@Q@i@+"), "%Q%i%+", "C prints what it does not know");
}

#[test]
fn escapes_are_those_of_c() {
    assert_eq!(printed("\\\\\\n\\t\\e\\a\\v\\r\\0|%%", &message(b"")), "\\\n\t\x1b\x07\x0b\r\0|%");
}

#[test]
fn a_wrong_format_is_refused() {
    for format in ["%", "%-", "%5", "%5.", "%-010", "@"] {
        assert_eq!(Format::parse(format.as_bytes()), Err(FormatError::Incomplete), "{format}");
    }
    assert_eq!(Format::parse(b"a\\"), Err(FormatError::IncompleteEscape));
    assert_eq!(Format::parse(b"%z"), Err(FormatError::Field('z')));
    assert_eq!(Format::parse(b"%0-5t"), Err(FormatError::Field('-')));
    assert_eq!(Format::parse(b"\\q"), Err(FormatError::Escape('q')));
    assert_eq!(Format::parse(b"%99999999999999999999t"), Err(FormatError::Width));
}

#[test]
fn json_has_mosquittos_names_and_order() {
    let head = r#"{"tst":"2026-11-29T01:03:11.613981+0200","topic":"a/bin","#;
    let wanted = format!(r#"{head}"qos":0,"retain":1,"payloadlen":3,"payload":"bin"}}"#);
    assert_eq!(printed("%j", &message(b"bin")), wanted);
    let wanted = format!(
        "{head}{}{}",
        r#""qos":1,"retain":0,"payloadlen":5,"mid":12,"properties":{"user-properties":{"k":"v","k2":"v2"},"#,
        concat!(
            r#""content-type":"text","correlation-data":"c","response-topic":"r/t","payload-format-indicator":1,"#,
            r#""message-expiry-interval":95,"subscription-identifier":7},"payload":"he\"y\t"}"#
        )
    );
    assert_eq!(printed("%j", &rich()), wanted);
    assert!(printed("%j", &message(b"")).ends_with(r#""payloadlen":0,"payload":null}"#));
    assert!(printed("%J", &message(b"")).ends_with(r#""payloadlen":0,"payload":null}"#));
    assert!(printed("%j", &message(b"cut\0off")).ends_with(r#""payload":"cut"}"#));
}

#[test]
fn json_in_json_is_written_as_mosquitto_writes_it() {
    let payload =
        br#" {"b": [1, 2.50, 1e3, "\u00e9/\u0001\b", true, null], "a": {}, "a": -0, "big":12345678901234567890,
        "c":1e15, "d":0.1, "e":1234567890123456, "f":1e-7, "g":0.0001, "h":2.5e-5, "i":123456.789e3} "#;
    let wanted = concat!(
        r#""payload":{"b":[1,2.5,1000,"é/\u0001\b",true,null],"a":{},"a":-0,"big":1.2345678901234567e+19,"#,
        r#""c":1e+15,"d":0.1,"e":1234567890123456,"f":1e-07,"g":0.0001,"h":2.5e-05,"i":123456789}}"#
    );
    let printed = printed("%J", &message(payload));
    assert!(printed.ends_with(wanted), "{printed}");
}

#[test]
fn pretty_json_is_indented_as_mosquittos() {
    let mut out = Vec::new();
    let message = message(br#"[{"a":[{"b":1},[]],"c":{}}]"#);
    Format::parse(b"%J").unwrap().print(&message, &now(), true, &mut out).unwrap();
    let wanted = "{\n\t\"tst\":\t\"2026-11-29T01:03:11.613981+0200\",\n\t\"topic\":\t\"a/bin\",\n\t\"qos\":\t0,\n\
                  \t\"retain\":\t1,\n\t\"payloadlen\":\t27,\n\t\"payload\":\t[{\n\t\t\t\"a\":\t[{\n\
                  \t\t\t\t\t\"b\":\t1\n\t\t\t\t}, []],\n\t\t\t\"c\":\t{\n\t\t\t}\n\t\t}]\n}";
    assert_eq!(String::from_utf8(out).unwrap(), wanted);
}

#[test]
fn a_payload_that_is_no_json_leaves_its_field_out() {
    for payload in [&b"he"[..], b"1 2", b"{\"a\":1", b"\"\xff\"", b"bin\0"] {
        let mut out = Vec::new();
        let result = Format::parse(b"<%J>").unwrap().print(&message(payload), &now(), false, &mut out);
        assert_eq!(out, b"<>", "{payload:?}");
        let why = result.expect_err("no JSON").to_string();
        assert!(why.contains("topic a/bin") && why.contains("%j prints any payload"), "{why}");
    }
}
