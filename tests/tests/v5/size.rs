//! Maximum packet size both ways: what the server leaves out or holds back, and what it refuses.

use primer_harness::wire::{self, Ack, Packet, auth, prop, publish, subscribe, unsubscribe};
use primer_harness::{Broker, Client, Raw, Received, SILENCE, TIMEOUT, Version};

use crate::fixture::{broker, durable, unique};

const TOO_LARGE: u8 = 0x95;

/// A connection that takes packets up to so many bytes; its CONNACK is read.
fn limited(broker: &Broker, bytes: u32) -> Raw {
    let mut raw = Raw::connect(broker.addr());
    let connect = wire::connect(Version::V5, &unique("limited"));
    raw.send(&connect.props(&[prop::maximum_packet_size(bytes)]).build());
    let answer = raw.recv(true);
    assert!(matches!(answer, Packet::Connack { code: 0, .. }), "{answer:02x?}");
    raw
}

/// The one packet that the server answers these bytes with.
fn answer(raw: &mut Raw, bytes: &[u8]) -> (usize, Packet) {
    raw.send(bytes);
    match raw.recv_within(TIMEOUT) {
        Received::Packet(bytes) => (bytes.len(), wire::parse(&bytes, true)),
        other => panic!("{other:?}"),
    }
}

/// What the server may say more than it must in each answer is left out where the packet would be too large:
/// PUBACK [MQTT-3.4.2-2] [MQTT-3.4.2-3], PUBREC [MQTT-3.5.2-2] [MQTT-3.5.2-3], PUBREL [MQTT-3.6.2-2] [MQTT-3.6.2-3],
/// PUBCOMP [MQTT-3.7.2-2] [MQTT-3.7.2-3], SUBACK [MQTT-3.9.2-1] [MQTT-3.9.2-2], UNSUBACK [MQTT-3.11.2-1]
/// [MQTT-3.11.2-2] and DISCONNECT [MQTT-3.14.2-3] [MQTT-3.14.2-4].
#[test]
fn answers_leave_out_what_would_make_them_too_large() {
    const BYTES: u32 = 20;
    let broker = broker();
    let too_deep = "a/".repeat(5000);
    let refusals = [
        (publish(Version::V5, "$delayed/never/t", b"x").qos(1, 1).build(), 0x90),
        (publish(Version::V5, "$delayed/never/t", b"x").qos(2, 1).build(), 0x90),
        (wire::pubrec(7), 0x92),
        (wire::pubrel(7), 0x92),
        (subscribe(Version::V5, 1, &[(&too_deep, 0)]), 0x8f),
        (unsubscribe(Version::V5, 1, &["size/none"]), 0x11),
        (publish(Version::V5, "", b"x").build(), 0x82),
    ];
    let mut said_more = 0;
    for (bytes, reason) in &refusals {
        let (_, full) = answer(&mut limited(&broker, 100_000), bytes);
        said_more += usize::from(!full.props().is_empty());
        let (length, short) = answer(&mut limited(&broker, BYTES), bytes);
        assert!(length <= BYTES as usize, "{length} bytes: {short:02x?}");
        for packet in [&full, &short] {
            let code = match packet {
                Packet::Suback { codes, .. } | Packet::Unsuback { codes, .. } => codes.first().copied(),
                other => other.reason(),
            };
            assert_eq!(code, Some(*reason), "{packet:02x?}");
        }
        if prop::text(full.props(), prop::REASON_STRING).is_some_and(|text| text.len() > BYTES as usize) {
            assert_eq!(prop::text(short.props(), prop::REASON_STRING), None);
        }
    }
    assert!(said_more >= 4, "reason strings are there for clients that take them: {said_more}");
}

/// A client that asks for no problem information gets no reason strings in answers to its publishes.
#[test]
fn answers_without_problem_information_have_no_reason_string() {
    let broker = broker();
    let mut client = Client::v5_with(broker.addr(), "noproblem", |c| c.props(&[prop::request_problem_information(0)]));
    client.send(&publish(Version::V5, "$delayed/never/t", b"x").qos(1, 1).build());
    let packet = client.await_other(|packet| matches!(packet, Packet::Ack { kind: Ack::Puback, .. }));
    assert_eq!((packet.reason(), packet.props()), (Some(0x90), &[][..]));
}

/// AUTH packets keep to the client's maximum packet size [MQTT-3.15.2-2] [MQTT-3.15.2-3].
#[test]
fn auth_packets_keep_to_the_clients_maximum_packet_size() {
    const BYTES: u32 = 150;
    let broker = Broker::with_args(&["--user", "u:p"]);
    let connect = wire::connect(Version::V5, "small").props(&[
        prop::authentication_method("SCRAM-SHA-256"),
        prop::authentication_data(b"n,,n=u,r=abcdefghijklmnopqrstuvwx"),
        prop::maximum_packet_size(BYTES),
    ]);
    let mut raw = Raw::connect(broker.addr());
    let (length, packet) = answer(&mut raw, &connect.build());
    assert!(length <= BYTES as usize, "{length} bytes");
    let Packet::Auth { reason: 0x18, props } = packet else { panic!("{packet:02x?}") };
    assert!(
        props.iter().all(|p| [prop::AUTHENTICATION_METHOD, prop::AUTHENTICATION_DATA].contains(&p.id)),
        "{props:?}"
    );
    let wrong = [prop::authentication_method("SCRAM-SHA-256"), prop::authentication_data(b"nonsense")];
    let (length, packet) = answer(&mut raw, &auth(0x18, Some(&wrong)));
    assert!(length <= BYTES as usize && packet.reason().is_some_and(|code| code >= 0x80), "{packet:02x?}");
}

/// A message that is too large for a client is not sent to it and counts as delivered, for that client alone.
#[test]
fn a_message_too_large_for_a_client_is_passed_over() {
    let broker = broker();
    let mut small = Client::v5_with(broker.addr(), "sizesmall", |c| {
        c.clean(false).session_expiry(60).props(&[prop::maximum_packet_size(100)])
    });
    let mut large = durable(broker.addr(), "sizelarge");
    for client in [&mut small, &mut large] {
        client.subscribe("size/t", 2);
    }
    let mut publisher = Client::v5(broker.addr(), "size-pub");
    for qos in 0..3 {
        publisher.publish("size/t", [b'x'; 200], qos);
        publisher.publish("size/t", "fits", qos);
    }
    let got: Vec<_> = small.recv_publishes(3).iter().map(|message| (message.text(), message.qos)).collect();
    assert_eq!(got, [0, 1, 2].map(|qos| ("fits".to_owned(), qos)));
    small.expect_no_publish_before_ping();
    assert_eq!(large.recv_publishes(6).len(), 6);
    small.disconnect();
    let mut small = durable(broker.addr(), "sizesmall");
    assert!(small.session_present());
    small.expect_no_publish(SILENCE / 4);
}

/// A message that fits to the byte comes, and one byte more does not.
#[test]
fn the_clients_maximum_is_exact() {
    let broker = broker();
    let mut client = Client::v5_with(broker.addr(), "exact", |c| c.props(&[prop::maximum_packet_size(60)]));
    client.subscribe("exact/t", 1);
    let overhead = publish(Version::V5, "exact/t", b"").qos(1, 1).build().len();
    let mut publisher = Client::v5(broker.addr(), "exact-pub");
    publisher.publish("exact/t", vec![b'y'; 61 - overhead], 1);
    publisher.publish("exact/t", vec![b'y'; 60 - overhead], 1);
    assert_eq!(client.recv().payload.len(), 60 - overhead);
    client.expect_no_publish_before_ping();
}

/// The server says what it takes and closes with 0x95 on more, by the remaining length alone.
#[test]
fn a_packet_above_the_servers_maximum_is_refused() {
    let broker = Broker::with_args(&["--max-packet-size", "1000"]);
    let mut client = Client::v5(broker.addr(), "toolarge");
    assert_eq!(prop::number(client.connack_props(), prop::MAXIMUM_PACKET_SIZE), Some(1000));
    let fixed = publish(Version::V5, "toolarge", &[0; 200]).qos(1, 1).build().len() - 200;
    let packet = |bytes: usize| publish(Version::V5, "toolarge", &vec![b'z'; bytes - fixed]).qos(1, 1).build();
    assert_eq!(packet(1000).len(), 1000);
    client.send(&packet(1000));
    assert_eq!(client.await_ack(Ack::Puback, 1), 0x10);
    client.send(&packet(1001));
    assert_eq!(client.expect_closed(), Some(TOO_LARGE));
    let mut client = Client::v5(broker.addr(), "toolarge");
    client.send(&packet(1001)[..5]); // the rest need not come
    assert_eq!(client.expect_closed(), Some(TOO_LARGE));
}

/// An answer that cannot be made small enough is not sent: the server may close instead [MQTT-3.1.2-24].
#[test]
fn no_answer_is_larger_than_the_client_takes() {
    let broker = broker();
    let filters: Vec<_> = (0..40).map(|n| format!("sizeanswer/{n}")).collect();
    let wanted: Vec<_> = filters.iter().map(|filter| (filter.as_str(), 0)).collect();
    let unwanted: Vec<_> = filters.iter().map(String::as_str).collect();
    for bytes in [subscribe(Version::V5, 1, &wanted), unsubscribe(Version::V5, 1, &unwanted)] {
        let mut raw = limited(&broker, 30);
        raw.send(&bytes);
        while let Received::Packet(packet) = raw.recv_within(SILENCE) {
            assert!(packet.len() <= 30, "{} bytes: {packet:02x?}", packet.len());
        }
    }
    for maximum in [1, 4, 8, 12, 15] {
        let mut raw = Raw::connect(broker.addr());
        let connect = wire::connect(Version::V5, "sizeanswer").props(&[prop::maximum_packet_size(maximum)]);
        raw.send(&connect.build());
        while let Received::Packet(packet) = raw.recv_within(SILENCE / 4) {
            assert!(packet.len() <= maximum as usize, "{} bytes where {maximum} are allowed", packet.len());
        }
    }
}
