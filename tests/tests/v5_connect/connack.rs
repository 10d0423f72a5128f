//! CONNACK (3.2): that it comes first and once, what it says of the session, and its codes.

use primer_harness::wire::{Will, connect, prop, publish, subscribe};
use primer_harness::{Broker, Client, Packet, Raw};

use crate::fixture::{V, broker, knock, opened_with};

/// The codes that CONNACK may have (table 3-1).
const CODES: [u8; 22] = [
    0x00, 0x80, 0x81, 0x82, 0x83, 0x84, 0x85, 0x86, 0x87, 0x88, 0x89, 0x8a, 0x8c, 0x90, 0x95, 0x97, 0x99, 0x9a, 0x9b,
    0x9c, 0x9d, 0x9f,
];

/// CONNACK comes before all else [MQTT-3.2.0-1] and only once [MQTT-3.2.0-2], also where the session has messages
/// waiting and where the client did not wait for it. The accepted CONNECT is answered with 0x00 [MQTT-3.1.4-5].
#[test]
fn connack_is_the_first_packet_to_a_client() {
    let broker = broker();
    let packet = connect(V, "first-ack").clean(false).session_expiry(60);
    let mut subscriber = Client::open(broker.addr(), &packet);
    subscriber.subscribe("first-ack/t", 1);
    subscriber.disconnect();
    let mut sender = Client::v5(broker.addr(), "first-ack-sender");
    sender.publish("first-ack/t", "waited", 1);
    sender.publish_retained("first-ack/retained", "kept", 0);
    let hasty = [
        packet.build(),
        subscribe(V, 7, &[("first-ack/retained", 0)]),
        publish(V, "first-ack/t", b"own").qos(1, 9).build(),
    ];
    let mut raw = knock(broker.addr(), &hasty.concat());
    assert!(matches!(raw.recv(true), Packet::Connack { session_present: true, code: 0, .. }));
    let mut kinds: Vec<u8> = (0..5).filter_map(|_| raw.recv_packet()).map(|packet| packet[0] >> 4).collect();
    kinds.sort_unstable();
    assert_eq!(kinds, [3, 3, 3, 4, 9]);
}

/// Session present is 0 after a clean start [MQTT-3.2.2-2] and tells without one whether there was a session
/// [MQTT-3.2.2-3]; the other acknowledge flags are 0 [MQTT-3.2.2-1]; and clean start is acted upon each time
/// [MQTT-3.1.4-4] [MQTT-3.1.4-5].
#[test]
fn session_present_tells_whether_there_was_a_session() {
    let broker = broker();
    let mut before: Option<Raw> = None;
    // The last says whether the connection stays open until the next one pushes it out.
    for (clean, present, stays) in [
        (false, 0, false),
        (false, 1, false),
        (true, 0, false),
        (false, 1, true),
        (false, 1, true),
        (true, 0, true),
        (true, 0, true),
        (false, 1, false),
    ] {
        let mut raw = knock(broker.addr(), &connect(V, "present").clean(clean).session_expiry(60).build());
        let packet = raw.recv_packet().unwrap_or_default();
        assert_eq!((packet[0], packet[2], packet[3]), (0x20, present, 0), "{packet:02x?}");
        if let Some(mut pushed_out) = before.take() {
            assert_eq!(pushed_out.expect_refused(true), Some(0x8e));
        }
        if stays {
            before = Some(raw);
        } else {
            raw.send(&[0xe0, 0]);
            raw.expect_closed();
        }
    }
}

/// Each refusal has one of the codes of CONNACK [MQTT-3.2.2-8], session present 0 [MQTT-3.2.2-6], the other
/// acknowledge flags 0 [MQTT-3.2.2-1], and is followed by a close [MQTT-3.2.2-7].
#[test]
fn refusals_have_a_code_of_connack_and_are_followed_by_a_close() {
    let broker = Broker::with_args(&["--user", "ann:secret", "--max-qos", "0", "--no-retain"]);
    let right = |id| connect(V, id).user("ann").password(b"secret");
    let refused = [
        connect(V, "codes"),
        connect(V, "codes").user("ann").password(b"wrong"),
        connect(V, "codes").props(&[prop::authentication_method("unheard of")]),
        connect(V, "codes").props(&[prop::authentication_data(b"d")]),
        right("codes").will(Will::new("codes/will", b"").qos(1)),
        right("codes").will(Will::new("codes/will", b"").retain()),
        right("codes").will(Will::new("codes/+", b"")),
        right("codes").will(Will::new("$SYS/codes", b"")),
        right("codes").props(&[prop::receive_maximum(0)]),
        right("codes").raw_props(&[0x7f, 0]),
        right("co\0des"),
        right("codes").flags(0xc3),
    ];
    for packet in refused {
        let packets = knock(broker.addr(), &packet.build()).recv_until_closed();
        match packets.first().map(Vec::as_slice) {
            None => {}
            Some([0x20, _, 0, code, ..]) if *code >= 0x80 => {
                assert!(CODES.contains(code), "{code:#04x} is no code of CONNACK: {packet:?}");
                assert_eq!(packets.len(), 1, "{packets:02x?}");
            }
            Some(other) => panic!("{packet:?} was answered with {other:02x?}"),
        }
    }
    opened_with(broker.addr(), &right("codes")).0.expect_alive();
}
