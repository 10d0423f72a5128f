//! The order of messages (4.6) over the transport (4.2).

use primer_harness::wire::publish;
use primer_harness::{Client, Publish, TIMEOUT, Version};

use crate::fixture::{broker, durable};

/// Each subscriber gets a publisher's messages of one topic and QoS in their order [MQTT-4.6.0-5], on every topic that
/// is not shared [MQTT-4.6.0-6].
#[test]
fn messages_of_one_publisher_topic_and_qos_keep_their_order() {
    const ROUNDS: u32 = 150;
    let broker = broker();
    let mut subscribers: Vec<_> = (0..3).map(|n| durable(broker.addr(), &format!("order-{n}"))).collect();
    for subscriber in &mut subscribers {
        subscriber.subscribe("order/#", 2);
    }
    let Some(away) = subscribers.pop() else { return };
    away.disconnect();
    let addr = broker.addr();
    let publishers: Vec<_> = (0..2)
        .map(|p| {
            std::thread::spawn(move || {
                let mut client = Client::v5(addr, &format!("order-pub-{p}"));
                for n in 0..ROUNDS {
                    for topic in ["a", "b"] {
                        for qos in 0..3 {
                            client.publish(&format!("order/{p}/{topic}/{qos}"), n.to_string(), qos);
                        }
                    }
                }
                client.ping();
            })
        })
        .collect();
    for publisher in publishers {
        assert!(publisher.join().is_ok());
    }
    let wanted: Vec<_> = (0..ROUNDS).map(|n| n.to_string()).collect();
    subscribers.push(durable(broker.addr(), "order-2"));
    for (index, subscriber) in subscribers.iter_mut().enumerate() {
        let is_away = index == 2; // it has missed those of QoS 0
        let messages = subscriber.recv_publishes(2 * 2 * ROUNDS as usize * if is_away { 2 } else { 3 });
        for p in 0..2 {
            for topic in ["a", "b"] {
                for qos in u8::from(is_away)..3 {
                    let name = format!("order/{p}/{topic}/{qos}");
                    let got: Vec<_> = messages.iter().filter(|m| m.topic == name).map(Publish::text).collect();
                    assert_eq!(got, wanted, "{name} at subscriber {index}");
                }
            }
        }
    }
}

/// Bytes that come in any pieces are one stream, and nothing of it is lost [MQTT-4.2.0-1].
#[test]
fn the_stream_is_read_in_whatever_pieces_it_comes() {
    let broker = broker();
    let mut subscriber = Client::v5(broker.addr(), "stream-sub");
    subscriber.subscribe("stream", 1);
    let mut publisher = Client::v5(broker.addr(), "stream-pub");
    let packets: Vec<u8> =
        (1..=20).flat_map(|n| publish(Version::V5, "stream", &[n as u8]).qos(1, n).build()).collect();
    publisher.raw().send_bytewise(&packets);
    publisher.raw().send(&packets);
    for chunk in packets.chunks(13) {
        publisher.raw().send(chunk);
    }
    let got: Vec<_> = subscriber.recv_publishes(60).into_iter().flat_map(|message| message.payload).collect();
    assert_eq!(got, (1..=20).cycle().take(60).collect::<Vec<u8>>());
}

/// Acknowledgements come in the order of their publishes, so that a client may count on it.
#[test]
fn acknowledgements_come_in_the_order_of_their_publishes() {
    let broker = broker();
    let mut publisher = Client::v5(broker.addr(), "ackorder");
    let pids = [9, 3, 700, 1, 0xffff];
    let packets: Vec<u8> =
        pids.iter().flat_map(|&pid| publish(Version::V5, "ackorder", b"x").qos(1, pid).build()).collect();
    publisher.send(&packets);
    for wanted in pids {
        let answer = publisher.recv_other(TIMEOUT);
        assert!(matches!(answer, Some(primer_harness::Packet::Ack { pid, .. }) if pid == wanted), "{answer:02x?}");
    }
}

/// Payloads of many sizes, to 3 MiB, arrive whole and in their order, online and from a queue [MQTT-4.2.0-1].
#[test]
fn payloads_of_all_sizes_arrive_whole() {
    let broker = broker();
    let mut online = Client::v5(broker.addr(), "sizes-on");
    online.subscribe("sizes", 2);
    let mut offline = durable(broker.addr(), "sizes-off");
    offline.subscribe("sizes", 2);
    offline.disconnect();
    let mut publisher = Client::v5(broker.addr(), "sizes-pub");
    let sizes = [0, 1, 127, 128, 16_300, 16_384, 32_768, 65_500, 65_536, 66_000, 131_072, 3 << 20, 5];
    let payload = |size: usize| (0..size).map(|n| (n % 251) as u8).collect::<Vec<u8>>();
    for (size, qos) in sizes.into_iter().zip([1, 2].into_iter().cycle()) {
        assert_eq!(publisher.publish("sizes", payload(size), qos), 0);
    }
    let mut offline = durable(broker.addr(), "sizes-off");
    for client in [&mut online, &mut offline] {
        for size in sizes {
            let message = client.recv();
            assert!(message.payload == payload(size), "{} bytes came where {size} were sent", message.payload.len());
        }
    }
}
