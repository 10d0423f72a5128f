//! The session against packets that a broker sends, without any connection.

use std::ffi::OsString;

use primer_mqtt::{
    Version,
    codec::{
        packet::{Ack, ConnAck, PacketId, RetainHandling, SubAck},
        properties::{Properties, Property},
    },
};

use super::*;
use crate::{
    Tool,
    options::{Asked, Home, read},
};

#[track_caller]
fn options(tool: Tool, line: &str) -> Options {
    let words: Vec<OsString> = line.split_whitespace().map(OsString::from).collect();
    match read(tool, &words, &Home::default()) {
        Ok(Asked::Run(options)) => *options,
        other => panic!("{line}: {other:?}"),
    }
}

/// A publisher's options at this QoS.
fn publisher(more: &str) -> Options {
    options(Tool::Publish, &format!("-t a -n -i me {more}"))
}

/// The kinds of packets in the output, with what tells them apart; the output is then empty.
#[track_caller]
fn sent(session: &mut Session<'_>) -> Vec<String> {
    let version = session.options.version;
    let output = mem::take(session.output());
    let mut rest = &output[..];
    let mut list = Vec::new();
    while !rest.is_empty() {
        let is_connect = rest[0] >> 4 == 1;
        let rules =
            Rules { role: Role::Server, version: (!is_connect).then_some(version), max_packet_size: PACKET_BYTES_MAX };
        let Ok(Decoded::Packet { packet, len }) = codec::decode(rest, &rules) else { panic!("{rest:?}") };
        list.push(match packet {
            Packet::Connect(connect) => format!("connect clean={}", connect.clean_start),
            Packet::Publish(publish) => {
                let (id, dup) = (publish.packet_id.map_or(0, PacketId::get), u8::from(publish.dup));
                format!("publish {id} dup={dup} {:?} {}", publish.topic, String::from_utf8_lossy(publish.payload))
            }
            Packet::PubAck(ack) => format!("puback {}", ack.packet_id),
            Packet::PubRec(ack) => format!("pubrec {}", ack.packet_id),
            Packet::PubRel(ack) => format!("pubrel {}", ack.packet_id),
            Packet::PubComp(ack) => format!("pubcomp {}", ack.packet_id),
            Packet::Subscribe(subscribe) => format!("subscribe {:?}", subscribe.filters.iter().collect::<Vec<_>>()),
            Packet::Disconnect(outcome) => format!("disconnect {}", outcome.reason.0),
            other => format!("{other:?}"),
        });
        rest = &rest[len..];
    }
    list
}

fn hand(session: &mut Session<'_>, packet: &Packet<'_>) {
    let mut bytes = Vec::new();
    codec::encode(packet, session.options.version, &mut bytes).unwrap();
    session.received(&bytes);
}

/// All that happened.
#[track_caller]
fn events(session: &mut Session<'_>) -> Vec<Event> {
    let mut list = Vec::new();
    while let Some(event) = session.next_event().unwrap() {
        list.push(event);
    }
    list
}

fn connack(session_present: bool, properties: Properties<'_>) -> Packet<'_> {
    Packet::ConnAck(ConnAck { session_present, reason: ReasonCode::SUCCESS, properties })
}

#[track_caller]
fn connect<'a>(session: &mut Session<'a>, session_present: bool) {
    connect_with(session, session_present, Properties::EMPTY);
}

#[track_caller]
fn connect_with(session: &mut Session<'_>, session_present: bool, properties: Properties<'_>) {
    session.begin().unwrap();
    hand(session, &connack(session_present, properties));
    assert_eq!(session.next_event().unwrap(), Some(Event::Connected));
}

fn ack(mid: u16, reason: ReasonCode) -> Ack<'static> {
    Ack { packet_id: packet_id(mid), reason, properties: Properties::EMPTY }
}

fn done(mid: u16) -> Event {
    Event::Published { mid, reason: ReasonCode::SUCCESS, why: None }
}

fn from_broker(qos: QoS, mid: u16, topic: &'static str) -> Packet<'static> {
    Packet::Publish(Publish {
        dup: false,
        qos,
        retain: false,
        topic,
        packet_id: (mid > 0).then(|| packet_id(mid)),
        topic_alias: None,
        expiry: None,
        properties: Properties::EMPTY,
        forwards_unchanged: false,
        payload: b"x",
    })
}

#[test]
fn qos_0_is_done_when_it_is_in_the_output() {
    let options = publisher("");
    let mut session = Session::new(&options);
    connect(&mut session, false);
    assert_eq!(session.publish("a", b"x".to_vec(), false), Ok(1));
    assert_eq!(events(&mut session), [done(1)]);
    session.disconnect(ReasonCode::SUCCESS).unwrap();
    assert_eq!(sent(&mut session), ["connect clean=true", "publish 0 dup=0 \"a\" x", "disconnect 0"]);
}

#[test]
fn qos_1_and_2_are_done_when_the_broker_says_so() {
    let options = publisher("-q 1");
    let mut session = Session::new(&options);
    connect(&mut session, false);
    session.publish("a", b"x".to_vec(), false).unwrap();
    assert_eq!((events(&mut session), session.underway()), (vec![], 1));
    hand(&mut session, &Packet::PubAck(ack(1, ReasonCode::SUCCESS)));
    assert_eq!((events(&mut session), session.underway()), (vec![done(1)], 0));

    let options = publisher("-q 2");
    let mut session = Session::new(&options);
    connect(&mut session, false);
    session.publish("a", b"x".to_vec(), false).unwrap();
    hand(&mut session, &Packet::PubRec(ack(1, ReasonCode::SUCCESS)));
    assert_eq!(events(&mut session), []);
    hand(&mut session, &Packet::PubComp(ack(1, ReasonCode::SUCCESS)));
    assert_eq!(events(&mut session), [done(1)]);
    assert_eq!(sent(&mut session), ["connect clean=true", "publish 1 dup=0 \"a\" x", "pubrel 1"]);
}

#[test]
fn a_refused_publish_is_done_too_and_says_why() {
    let options = publisher("-q 2 -V 5");
    let mut session = Session::new(&options);
    connect(&mut session, false);
    session.publish("a", b"x".to_vec(), false).unwrap();
    let mut properties = PropertiesBuf::new();
    properties.push(&Property::ReasonString("no"));
    let refusal = Ack { properties: properties.as_properties(), ..ack(1, ReasonCode::NOT_AUTHORIZED) };
    hand(&mut session, &Packet::PubRec(refusal));
    let reason = ReasonCode::NOT_AUTHORIZED;
    assert_eq!(events(&mut session), [Event::Published { mid: 1, reason, why: Some("no".to_owned()) }]);
    assert_eq!(session.underway(), 0);
}

#[test]
fn an_answer_to_nothing_is_passed_over() {
    let options = publisher("-q 1");
    let mut session = Session::new(&options);
    connect(&mut session, false);
    hand(&mut session, &Packet::PubAck(ack(9, ReasonCode::SUCCESS)));
    hand(&mut session, &Packet::PubRec(ack(9, ReasonCode::SUCCESS)));
    session.publish("a", b"x".to_vec(), false).unwrap();
    hand(&mut session, &Packet::PubComp(ack(1, ReasonCode::SUCCESS)));
    assert_eq!((events(&mut session), session.underway()), (vec![], 1));
}

#[test]
fn no_more_are_underway_than_either_side_wants() {
    let mut properties = PropertiesBuf::new();
    properties.push(&Property::ReceiveMaximum(2));
    for (line, receive_max) in [("-q 1 -M 2 -V 5", Properties::EMPTY), ("-q 1 -V 5", properties.as_properties())] {
        let options = publisher(line);
        let mut session = Session::new(&options);
        connect_with(&mut session, false, receive_max);
        for _ in 0..4 {
            session.publish("a", b"x".to_vec(), false).unwrap();
        }
        assert!(session.is_window_full());
        let first = ["connect clean=true", "publish 1 dup=0 \"a\" x", "publish 2 dup=0 \"a\" x"];
        assert_eq!(sent(&mut session), first);
        hand(&mut session, &Packet::PubAck(ack(1, ReasonCode::SUCCESS)));
        assert_eq!(events(&mut session), [done(1)]);
        assert_eq!(sent(&mut session), ["publish 3 dup=0 \"a\" x"]);
    }
}

#[test]
fn what_was_underway_is_sent_again_to_a_broker_that_knows_the_session() {
    let options = publisher("-q 2 -c -M 2");
    let mut session = Session::new(&options);
    connect(&mut session, false);
    for text in ["one", "two", "three"] {
        session.publish("a", text.into(), false).unwrap();
    }
    hand(&mut session, &Packet::PubRec(ack(1, ReasonCode::SUCCESS)));
    assert_eq!(events(&mut session), []);
    connect(&mut session, true);
    assert_eq!(sent(&mut session), ["connect clean=false", "pubrel 1", "publish 2 dup=1 \"a\" two"]);
    hand(&mut session, &Packet::PubComp(ack(1, ReasonCode::SUCCESS)));
    assert_eq!(events(&mut session), [done(1)]);
    assert_eq!(sent(&mut session), ["publish 3 dup=0 \"a\" three"]);
}

#[test]
fn a_broker_that_lost_the_session_gets_all_anew_but_what_it_had() {
    let options = publisher("-q 2");
    let mut session = Session::new(&options);
    connect(&mut session, false);
    for text in ["one", "two"] {
        session.publish("a", text.into(), false).unwrap();
    }
    hand(&mut session, &Packet::PubRec(ack(1, ReasonCode::SUCCESS)));
    assert_eq!(events(&mut session), []);
    connect(&mut session, false);
    assert_eq!(events(&mut session), [done(1)]);
    assert_eq!(sent(&mut session), ["connect clean=true", "publish 2 dup=0 \"a\" two"]);
}

#[test]
fn what_is_published_without_a_connection_waits_for_it() {
    let options = publisher("-q 1");
    let mut session = Session::new(&options);
    session.publish("a", b"x".to_vec(), false).unwrap();
    session.begin().unwrap();
    assert_eq!(sent(&mut session), ["connect clean=true"]);
    hand(&mut session, &connack(false, Properties::EMPTY));
    assert_eq!(events(&mut session), [Event::Connected]);
    assert_eq!(sent(&mut session), ["publish 1 dup=0 \"a\" x"]);
}

#[test]
fn the_limits_of_the_broker_are_held() {
    let mut properties = PropertiesBuf::new();
    properties.push(&Property::MaximumQos(1));
    properties.push(&Property::RetainAvailable(false));
    properties.push(&Property::MaximumPacketSize(20));
    let options = publisher("-V 5 -q 2");
    let mut session = Session::new(&options);
    connect_with(&mut session, false, properties.as_properties());
    assert_eq!(session.publish("a", b"x".to_vec(), false), Err(PublishError::QoS { max: 1 }));
    for line in ["-V 5 -q 1", "-V 5"] {
        let options = publisher(line);
        let mut session = Session::new(&options);
        connect_with(&mut session, false, properties.as_properties());
        sent(&mut session);
        assert_eq!(session.publish("a", b"x".to_vec(), true), Err(PublishError::Retain));
        let long = session.publish("a", vec![0; 30], false);
        assert!(matches!(long, Err(PublishError::TooLarge { max: 20, .. })), "{long:?}");
        assert_eq!((sent(&mut session), session.underway()), (vec![], 0));
        session.publish("a", b"x".to_vec(), false).unwrap();
    }
}

#[test]
fn a_topic_alias_stands_for_the_topic_from_the_second_publish_of_a_connection() {
    let options = publisher("-D publish topic-alias 3");
    let mut session = Session::new(&options);
    for _ in 0..2 {
        connect(&mut session, false);
        for _ in 0..2 {
            session.publish("a", b"x".to_vec(), false).unwrap();
        }
        events(&mut session);
        let wanted = ["connect clean=true", "publish 0 dup=0 \"a\" x", "publish 0 dup=0 \"\" x"];
        assert_eq!(sent(&mut session), wanted);
    }
}

#[test]
fn messages_are_acknowledged_when_they_were_looked_at() {
    let options = options(Tool::Subscribe, "-t a -q 2");
    let mut session = Session::new(&options);
    connect(&mut session, false);
    sent(&mut session);
    hand(&mut session, &from_broker(QoS::AtMostOnce, 0, "zero"));
    hand(&mut session, &from_broker(QoS::AtLeastOnce, 5, "one"));
    hand(&mut session, &from_broker(QoS::ExactlyOnce, 6, "two"));
    let topics = |events: &[Event]| -> Vec<String> {
        let topic = |event: &Event| match event {
            Event::Message(message) => message.topic.clone(),
            other => panic!("{other:?}"),
        };
        events.iter().map(topic).collect()
    };
    let came = events(&mut session);
    assert_eq!(topics(&came), ["zero", "one"], "QoS 2 is delivered at PUBREL");
    assert_eq!(sent(&mut session), ["pubrec 6"]);
    for event in &came {
        let Event::Message(message) = event else { panic!("{event:?}") };
        session.acknowledge(message);
    }
    assert_eq!(sent(&mut session), ["puback 5"]);
    hand(&mut session, &from_broker(QoS::ExactlyOnce, 6, "two"));
    hand(&mut session, &Packet::PubRel(ack(6, ReasonCode::SUCCESS)));
    let came = events(&mut session);
    assert_eq!(topics(&came), ["two"], "once, although it came twice");
    let [Event::Message(message)] = &came[..] else { panic!("{came:?}") };
    session.acknowledge(message);
    hand(&mut session, &Packet::PubRel(ack(6, ReasonCode::SUCCESS)));
    assert_eq!(events(&mut session), []);
    assert_eq!(sent(&mut session), ["pubrec 6", "pubcomp 6", "pubcomp 6"]);
}

#[test]
fn subscriptions_are_asked_for_as_the_options_say() {
    let options = options(Tool::Subscribe, "-t a -t b/# -q 1 -R --retain-as-published -V 5");
    let mut session = Session::new(&options);
    connect(&mut session, false);
    sent(&mut session);
    session.subscribe(&options.topics).unwrap();
    let wanted = SubscribeOptions {
        qos: QoS::AtLeastOnce,
        no_local: false,
        retain_as_published: true,
        retain_handling: RetainHandling::Never,
    };
    assert_eq!(sent(&mut session), [format!("subscribe {:?}", [("a", wanted), ("b/#", wanted)])]);
    let answer = SubAck { packet_id: packet_id(1), properties: Properties::EMPTY, codes: &[1, 0x87] };
    hand(&mut session, &Packet::SubAck(answer));
    assert_eq!(events(&mut session), [Event::Subscribed { mid: 1, codes: vec![1, 0x87] }]);
}

#[test]
fn aliases_of_the_broker_are_of_one_connection() {
    let options = options(Tool::Subscribe, "-t a -D connect topic-alias-maximum 5");
    let mut session = Session::new(&options);
    let aliased = |topic, alias| {
        let mut properties = PropertiesBuf::new();
        properties.push(&Property::TopicAlias(alias));
        let Packet::Publish(publish) = from_broker(QoS::AtMostOnce, 0, topic) else { panic!("a publish") };
        let mut bytes = Vec::new();
        let publish = Publish { topic_alias: Some(alias), properties: properties.as_properties(), ..publish };
        codec::encode(&Packet::Publish(publish), Version::V5, &mut bytes).unwrap();
        bytes
    };
    connect(&mut session, false);
    session.received(&aliased("a/b", 2));
    session.received(&aliased("", 2));
    for event in events(&mut session) {
        assert!(matches!(&event, Event::Message(message) if message.topic == "a/b"), "{event:?}");
    }
    connect(&mut session, true);
    session.received(&aliased("", 2));
    let fault = session.next_event().expect_err("an alias that nobody has explained");
    assert_eq!(fault.reason, ReasonCode::TOPIC_ALIAS_INVALID);
}

#[test]
fn packets_may_come_in_any_pieces() {
    let options = options(Tool::Subscribe, "-t a");
    let mut session = Session::new(&options);
    session.begin().unwrap();
    let mut bytes = Vec::new();
    codec::encode(&connack(false, Properties::EMPTY), options.version, &mut bytes).unwrap();
    codec::encode(&from_broker(QoS::AtMostOnce, 0, "a"), options.version, &mut bytes).unwrap();
    let mut came = Vec::new();
    for byte in bytes {
        session.received(&[byte]);
        came.extend(session.next_event().unwrap());
    }
    assert!(matches!(&came[..], [Event::Connected, Event::Message(_)]), "{came:?}");
}

#[test]
fn a_refusal_is_told_and_anything_before_connack_is_a_fault() {
    let options = publisher("");
    let mut session = Session::new(&options);
    session.begin().unwrap();
    let refusal = ConnAck { session_present: false, reason: ReasonCode(5), properties: Properties::EMPTY };
    hand(&mut session, &Packet::ConnAck(refusal));
    assert_eq!(events(&mut session), [Event::Refused { code: 5, why: None }]);
    assert!(!session.is_connected());
    session.begin().unwrap();
    hand(&mut session, &Packet::PingResp);
    assert_eq!(session.next_event().expect_err("no CONNACK").clause, "MQTT-3.2.0-1");
    connect(&mut session, false);
    hand(&mut session, &connack(false, Properties::EMPTY));
    assert_eq!(session.next_event().expect_err("a second CONNACK").clause, "MQTT-3.2.0-1");
}

#[test]
fn numbers_in_use_are_not_given_again() {
    let options = publisher("-q 1 -M 65535");
    let mut session = Session::new(&options);
    connect(&mut session, false);
    assert_eq!(session.publish("a", Vec::new(), false), Ok(1));
    session.mid = u16::MAX;
    assert_eq!(session.publish("a", Vec::new(), false), Ok(2), "neither 0 nor 1");
}

#[test]
fn what_is_sent_and_received_is_told_as_mosquitto_tells_it() {
    let options = publisher("-q 1 -d");
    let mut session = Session::new(&options);
    connect(&mut session, false);
    session.publish("a", b"x".to_vec(), false).unwrap();
    hand(&mut session, &Packet::PubAck(ack(1, ReasonCode::SUCCESS)));
    events(&mut session);
    session.disconnect(ReasonCode::SUCCESS).unwrap();
    let wanted = [
        "Client me sending CONNECT",
        "Client me received CONNACK (0)",
        "Client me sending PUBLISH (d0, q1, r0, m1, 'a', ... (1 bytes))",
        "Client me received PUBACK (Mid: 1, RC:0)",
        "Client me sending DISCONNECT",
    ];
    assert_eq!(session.take_trace(), wanted);
}
