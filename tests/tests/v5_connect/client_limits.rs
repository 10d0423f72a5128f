//! What a client says that it takes: maximum packet size (3.1.2.11.4) and topic alias maximum (3.1.2.11.5).

use std::collections::HashMap;

use primer_harness::wire::{connect, prop, publish, subscribe, unsubscribe};
use primer_harness::{Broker, Client, Packet, Raw, Received, SILENCE};

use crate::fixture::{V, broker, knock};

/// A message that is too large for a client is dropped and counts as delivered to it [MQTT-3.1.2-25]: what comes
/// behind it goes on, live, waited and retained; and no packet is larger than the client takes [MQTT-3.1.2-24].
#[test]
fn messages_too_large_for_a_client_are_dropped_and_hold_nothing_up() {
    let broker = broker();
    let mut sender = Client::v5(broker.addr(), "large-pub");
    let open = || {
        Client::v5_with(broker.addr(), "large", |c| {
            c.clean(false).session_expiry(60).props(&[prop::maximum_packet_size(100)])
        })
    };
    let publish_all = |sender: &mut Client| {
        for qos in 0..=2 {
            sender.publish("large/t", [b'x'; 200], qos);
            // The packet to the client: header 2, topic 2 + 7, identifier 2 above QoS 0, property length 1, payload.
            sender.publish("large/t", vec![b'+'; 100 - 12 - 2 * usize::from(qos > 0) + 1], qos);
            sender.publish("large/t", vec![b'='; 100 - 12 - 2 * usize::from(qos > 0)], qos);
        }
    };
    let mut client = open();
    client.subscribe("large/t", 2);
    publish_all(&mut sender);
    let got: Vec<(u8, u8)> = client.recv_publishes(3).iter().map(|m| (m.qos, m.payload[0])).collect();
    assert_eq!(got, [(0, b'='), (1, b'='), (2, b'=')]);
    client.ping();
    client.disconnect();
    publish_all(&mut sender);
    let mut client = open();
    let got: Vec<(u8, u8)> = client.recv_publishes(2).iter().map(|m| (m.qos, m.payload[0])).collect();
    assert_eq!(got, [(1, b'='), (2, b'=')]);
    client.expect_no_publish_before_ping();
    // Counted as delivered means that they do not wait for a client that takes more.
    client.disconnect();
    let mut client = Client::v5_with(broker.addr(), "large", |c| c.clean(false).session_expiry(60));
    client.expect_no_publish(SILENCE / 2);

    sender.publish_retained("large/kept/1", [b'x'; 200], 1);
    sender.publish_retained("large/kept/2", "small", 1);
    let mut client = open();
    client.subscribe("large/kept/+", 1);
    assert_eq!(client.recv().text(), "small");
    client.expect_no_publish_before_ping();
}

/// A message for two clients is measured for each of them [MQTT-3.1.2-25].
#[test]
fn a_message_too_large_for_one_client_goes_to_the_other() {
    let broker = broker();
    let mut small = Client::v5_with(broker.addr(), "two-small", |c| c.props(&[prop::maximum_packet_size(50)]));
    let mut large = Client::v5(broker.addr(), "two-large");
    small.subscribe("two/t", 1);
    large.subscribe("two/t", 1);
    large.publish("two/t", [b'x'; 100], 1);
    large.publish("two/t", "end", 1);
    assert_eq!(large.recv().payload.len(), 100);
    assert_eq!(small.recv().text(), "end");
}

/// No packet of whatever kind is larger than the client takes [MQTT-3.1.2-24]: CONNACK, SUBACK, UNSUBACK, and the
/// DISCONNECT with which a connection ends.
#[test]
fn no_packet_is_larger_than_the_client_takes() {
    let broker = Broker::with_args(&["--max-session-expiry", "10", "--max-keep-alive", "30"]);
    let filters: Vec<String> = (0..60).map(|n| format!("size/{n}")).collect();
    let subscribed: Vec<(&str, u8)> = filters.iter().map(|filter| (filter.as_str(), 1)).collect();
    let unsubscribed: Vec<&str> = filters.iter().map(String::as_str).collect();
    for maximum in (1..=60).chain([70]) {
        let limit = prop::maximum_packet_size(maximum);
        let packet = connect(V, "").props(&[limit]).session_expiry(1000).keep_alive(300);
        for request in [
            subscribe(V, 1, &subscribed),
            unsubscribe(V, 1, &unsubscribed),
            publish(V, "$SYS/size", b"x").qos(1, 1).build(),
            publish(V, "size/#", b"x").build(),
        ] {
            let mut raw = knock(broker.addr(), &packet.build());
            // Whether the broker closes with nothing said, because CONNACK does not fit, is its own affair.
            let _ = raw.try_send(&[&request[..], &[0xe0, 0]].concat());
            for packet in raw.recv_until_closed() {
                assert!(
                    packet.len() <= maximum as usize,
                    "a packet of {} bytes of {maximum}: {packet:02x?}",
                    packet.len()
                );
            }
        }
    }
}

/// The reason string of a refusing CONNACK is left out where it would make the packet too large [MQTT-3.2.2-19], and
/// so would user properties be [MQTT-3.2.2-20] [MQTT-3.1.2-24]; the code is there all the same.
#[test]
fn a_refusing_connack_leaves_out_what_does_not_fit() {
    let broker = Broker::with_args(&["--user", "ann:secret", "--max-qos", "0", "--no-retain"]);
    for maximum in 1..=60_u32 {
        // More wrong passwords than these would have to wait.
        let is_tried = [1, 4, 5, 20, 60].contains(&maximum);
        let wrong_password = is_tried.then(|| connect(V, "refused-size").user("ann").password(b"wrong"));
        let others = [
            connect(V, "refused-size").will(primer_harness::wire::Will::new("t", b"").qos(1)),
            connect(V, "refused-size").will(primer_harness::wire::Will::new("t", b"").retain()),
            connect(V, "refused-size").props(&[prop::authentication_method("unheard of")]),
        ];
        for packet in others.into_iter().chain(wrong_password) {
            let packet = packet.props(&[prop::maximum_packet_size(maximum)]);
            let packets = knock(broker.addr(), &packet.build()).recv_until_closed();
            assert!(packets.iter().all(|bytes| bytes.len() <= maximum as usize), "{maximum}: {packets:02x?}");
            if maximum >= 5 {
                assert!(packets.len() == 1 && packets[0][3] >= 0x80, "{maximum}: {packets:02x?}");
            }
        }
    }
}

/// What came on a connection with topic aliases: each topic resolved, and the aliases used.
#[track_caller]
fn resolve(raw: &mut Raw, count: usize) -> (Vec<String>, Vec<u32>) {
    let mut known: HashMap<u32, String> = HashMap::new();
    let mut topics = Vec::new();
    let mut aliases = Vec::new();
    while topics.len() < count {
        let Packet::Publish(message) = raw.recv(true) else { panic!("awaited messages only") };
        let alias = prop::number(&message.props, prop::TOPIC_ALIAS);
        aliases.extend(alias);
        match (message.topic.as_str(), alias) {
            ("", Some(alias)) => topics.push(known.get(&alias).expect("an alias that was set").clone()),
            ("", None) => panic!("neither topic nor alias"),
            (topic, alias) => {
                alias.map(|alias| known.insert(alias, topic.to_owned()));
                topics.push(topic.to_owned());
            }
        }
    }
    (topics, aliases)
}

/// No topic alias is 0 or above the client's topic alias maximum [MQTT-3.1.2-26]; a client whose maximum is 0 or
/// absent gets none [MQTT-3.1.2-27]. Whatever the aliases, the topics are right.
#[test]
fn topic_aliases_stay_within_the_clients_maximum() {
    let broker = broker();
    let mut sender = Client::v5(broker.addr(), "alias-pub");
    for maximum in [None, Some(0), Some(1), Some(3), Some(u16::MAX)] {
        let mut packet = connect(V, "alias");
        packet = maximum.map_or(packet.clone(), |maximum| packet.props(&[prop::topic_alias_maximum(maximum)]));
        let mut raw = knock(broker.addr(), &packet.build());
        assert_eq!(raw.recv(true).reason(), Some(0));
        raw.send(&subscribe(V, 1, &[("alias/#", 0)]));
        raw.expect(&[0x90, 4, 0, 1, 0, 0]);
        let sent: Vec<String> = (0..120).map(|n| format!("alias/{}", n % 50 % (1 + n / 10))).collect();
        for topic in &sent {
            sender.publish(topic, "x", 0);
        }
        let (topics, aliases) = resolve(&mut raw, sent.len());
        assert_eq!(topics, sent);
        let limit = u32::from(maximum.unwrap_or(0));
        assert!(aliases.iter().all(|alias| (1..=limit).contains(alias)), "{maximum:?}: {aliases:?}");
        assert!(matches!(raw.recv_within(SILENCE / 20), Received::Silence));
    }
}
