//! Order (4.6).

use primer_harness::wire::publish;
use primer_harness::{Client, Publish};

use crate::fixture::{V, broker, durable, opened, unique};

/// Each subscriber gets a publisher's messages of one topic and QoS in the order in which they came [MQTT-4.6.0-6];
/// every topic is ordered [MQTT-4.6.0-5].
#[test]
fn messages_of_one_topic_and_qos_come_in_their_order() {
    const COUNT: u16 = 300;
    let broker = broker();
    let mut subscribers: Vec<Client> = (0..=2)
        .map(|granted| {
            let mut client = Client::v311(broker.addr(), &unique("order"));
            client.subscribe("order/+", granted);
            client
        })
        .collect();
    let mut sender = Client::v311(broker.addr(), "order-pub");
    let packets: Vec<u8> = (1..=COUNT)
        .flat_map(|n| {
            let payload = |qos: u8| [&[qos][..], &n.to_be_bytes()].concat();
            [
                publish(V, "order/a", &payload(0)).build(),
                publish(V, "order/a", &payload(1)).qos(1, n).build(),
                publish(V, "order/b", &payload(2)).qos(2, 1000 + n).build(),
                publish(V, "order/b", &payload(1)).qos(1, 2000 + n).build(),
            ]
            .concat()
        })
        .collect();
    sender.send(&packets);
    let sent: Vec<u16> = (1..=COUNT).collect();
    for (granted, subscriber) in subscribers.iter_mut().enumerate() {
        let messages = subscriber.recv_publishes(usize::from(COUNT) * 4);
        for (topic, qos) in [("order/a", 0), ("order/a", 1), ("order/b", 1), ("order/b", 2)] {
            assert_eq!(numbers(&messages, topic, qos), sent, "{topic}, published with {qos}, granted {granted}");
        }
    }
}

/// The numbers of the messages of this topic that were published with this QoS.
fn numbers(messages: &[Publish], topic: &str, qos: u8) -> Vec<u16> {
    let stream = messages.iter().filter(|m| m.topic == topic && m.payload[0] == qos);
    stream.map(|m| u16::from_be_bytes([m.payload[1], m.payload[2]])).collect()
}

/// The order holds across an absence: what waited comes in its order and ahead of what came later [MQTT-4.6.0-6].
#[test]
fn the_order_holds_across_an_absence() {
    let broker = broker();
    let mut subscriber = durable(broker.addr(), "order-absent");
    subscriber.subscribe("order-absent/t", 1);
    let mut sender = opened(broker.addr(), "order-absent-pub");
    let mut expected = 0_u8;
    for round in 0..4_u8 {
        for n in 0..20 {
            sender.send(&publish(V, "order-absent/t", &[round * 20 + n]).qos(1, 1).build());
        }
        sender.expect(&[0x40, 2, 0, 1].repeat(20));
        for message in subscriber.recv_publishes(10) {
            assert_eq!(message.payload[0], expected);
            expected += 1;
        }
        subscriber.abort();
        subscriber = durable(broker.addr(), "order-absent");
        // Acknowledgements may have crossed the end of the connection; what comes again has DUP.
        while expected < (round + 1) * 20 {
            let message = subscriber.recv();
            if message.payload[0] < expected {
                assert!(message.dup, "{message:?} came twice");
            } else {
                assert_eq!(message.payload[0], expected);
                expected += 1;
            }
        }
    }
}
