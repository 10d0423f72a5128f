//! rumqttc, its client for MQTT 3.1.1 and its client for 5.0: sequences of thousands, and broken connections.
//!
//! Connections are broken at QoS 1 alone. rumqttc 0.25 forgets which messages of QoS 2 it has received when a
//! connection ends, and takes the PUBREL that comes after it for an error; paho and MQTT.js break connections at QoS 2.

use std::collections::BTreeSet;
use std::time::Duration;

use primer_harness::Broker;
use tokio::time::timeout;

/// How many messages a sequence has.
const COUNT: u32 = 5_000;

/// How long one test may take; it takes a second or two on a machine of its own.
const LIMIT: Duration = Duration::from_secs(40);

/// What a client heard from the broker, as far as a test asks.
#[derive(Debug, PartialEq, Eq)]
enum Heard {
    Connected {
        session_present: bool,
    },
    Subscribed,
    Message {
        number: u32,
        qos: u8,
    },
    /// A publish of ours is acknowledged in full.
    Acknowledged,
    Other,
}

/// Either client of rumqttc.
trait Peer: Sized {
    /// Connects at the first `next`, with a session that stays.
    fn open(broker: &Broker, id: &str) -> Self;
    /// What happens next; it connects again after `cut`.
    async fn next(&mut self) -> Heard;
    /// Drops the connection without a word.
    fn cut(&mut self);
    /// Asks for a subscription.
    fn subscribe(&self, filter: &str, qos: u8);
    /// Publishes the numbers of a sequence, in a task of its own.
    fn publish_sequence(&self, topic: &'static str, qos: u8);
}

/// Makes the client of one version.
macro_rules! peer {
    ($name:ident, $root:ident :: { $($path:ident),* }, $packets:path, |$options:ident| $session:expr) => {
        struct $name {
            client: $root::$($path::)*AsyncClient,
            events: $root::$($path::)*EventLoop,
        }

        impl Peer for $name {
            fn open(broker: &Broker, id: &str) -> Self {
                let mut $options = $root::$($path::)*MqttOptions::new(id, "127.0.0.1", broker.port());
                $options.set_keep_alive(Duration::from_secs(30));
                $session;
                // rumqttc says: without room for requests none is lost when a connection ends.
                let (client, events) = $root::$($path::)*AsyncClient::new($options, 0);
                Self { client, events }
            }

            async fn next(&mut self) -> Heard {
                use $packets as Packet;
                use $root::$($path::)*Event;
                match self.events.poll().await.expect("the connection goes on") {
                    Event::Incoming(Packet::ConnAck(connack)) => {
                        Heard::Connected { session_present: connack.session_present }
                    }
                    Event::Incoming(Packet::SubAck(_)) => Heard::Subscribed,
                    Event::Incoming(Packet::PubAck(_) | Packet::PubComp(_)) => Heard::Acknowledged,
                    Event::Incoming(Packet::Publish(publish)) => {
                        let text = std::str::from_utf8(&publish.payload).expect("text");
                        assert_eq!(publish.topic, "sequence");
                        Heard::Message { number: text.parse().expect("a number"), qos: publish.qos as u8 }
                    }
                    Event::Incoming(_) | Event::Outgoing(_) => Heard::Other,
                }
            }

            fn cut(&mut self) {
                self.events.clean();
            }

            fn subscribe(&self, filter: &str, qos: u8) {
                let (client, filter) = (self.client.clone(), filter.to_owned());
                let qos = $root::$($path::)*mqttbytes::qos(qos).expect("a QoS");
                tokio::spawn(async move { client.subscribe(filter, qos).await });
            }

            fn publish_sequence(&self, topic: &'static str, qos: u8) {
                let client = self.client.clone();
                let qos = $root::$($path::)*mqttbytes::qos(qos).expect("a QoS");
                tokio::spawn(async move {
                    for number in 0..COUNT {
                        client.publish(topic, qos, false, number.to_string()).await.expect("the client takes it");
                    }
                });
            }
        }
    };
}

peer!(V4, rumqttc::{}, rumqttc::Packet, |options| options.set_clean_session(false));
peer!(V5, rumqttc::{v5}, rumqttc::v5::mqttbytes::v5::Packet, |options| {
    options.set_clean_start(false);
    // A Receive Maximum, so that the broker has to wait for acknowledgements now and then.
    options.set_session_expiry_interval(Some(3600)).set_receive_maximum(Some(100))
});

/// A client that has its subscription.
async fn subscribed<P: Peer>(broker: &Broker, id: &str, qos: u8) -> P {
    let mut peer = P::open(broker, id);
    assert_eq!(peer.next().await, Heard::Connected { session_present: false });
    peer.subscribe("sequence", qos);
    while peer.next().await != Heard::Subscribed {}
    peer
}

/// Publishes the sequence and waits until `COUNT` acknowledgements came; at some counts the connection is cut.
async fn publish_all<P: Peer>(mut peer: P, qos: u8, cuts: &[u32]) {
    assert!(matches!(peer.next().await, Heard::Connected { .. }));
    peer.publish_sequence("sequence", qos);
    let mut acknowledged = 0;
    while acknowledged < COUNT {
        if peer.next().await == Heard::Acknowledged {
            acknowledged += 1;
            if cuts.contains(&acknowledged) {
                peer.cut();
            }
        }
    }
}

async fn a_sequence_comes_in_order<P: Peer + Send + 'static>(qos: u8) {
    let broker = Broker::start();
    let mut taker: P = subscribed(&broker, "taker", qos).await;
    let sender = P::open(&broker, "sender");
    let sending = publish_all(sender, qos, &[]);
    let taking = async {
        let mut wanted = 0;
        while wanted < COUNT {
            if let Heard::Message { number, qos: got } = taker.next().await {
                assert_eq!((number, got), (wanted, qos));
                wanted += 1;
            }
        }
    };
    timeout(LIMIT, async { tokio::join!(sending, taking) }).await.expect("both ends are done in time");
}

/// The subscriber drops its connection and comes back: what it had not acknowledged comes again, and nothing is lost or
/// comes for the first time out of order.
async fn a_subscriber_comes_back<P: Peer>() {
    let broker = Broker::start();
    let mut taker: P = subscribed(&broker, "taker", 1).await;
    let sending = publish_all(P::open(&broker, "sender"), 1, &[]);
    let taking = async {
        let (mut wanted, mut received) = (0, 0);
        while wanted < COUNT {
            match taker.next().await {
                Heard::Message { number, .. } => {
                    assert!(number <= wanted, "{number} came before {wanted}");
                    wanted += u32::from(number == wanted);
                    received += 1;
                    if received % 1_000 == 500 {
                        taker.cut();
                    }
                }
                Heard::Connected { session_present } => assert!(session_present),
                _ => {}
            }
        }
    };
    timeout(LIMIT, async { tokio::join!(sending, taking) }).await.expect("both ends are done in time");
}

/// The publisher drops its connection and comes back: it sends again what was not acknowledged, and nothing is lost.
async fn a_publisher_comes_back<P: Peer>() {
    let broker = Broker::start();
    let mut taker: P = subscribed(&broker, "taker", 1).await;
    let sender = P::open(&broker, "sender");
    let sending = publish_all(sender, 1, &[500, 1_500, 2_500, 4_000]);
    let taking = async {
        let mut missing: BTreeSet<u32> = (0..COUNT).collect();
        while !missing.is_empty() {
            if let Heard::Message { number, .. } = taker.next().await {
                missing.remove(&number);
            }
        }
    };
    timeout(LIMIT, async { tokio::join!(sending, taking) }).await.expect("both ends are done in time");
}

/// Two groups of a queue get the whole sequence, although a worker in each drops its connection again and again, with
/// messages in its hands, and consumes again when it is back.
async fn groups_of_a_queue_lose_nothing<P: Peer + Send + 'static>() {
    let broker = Broker::start();
    let mut operator = primer_harness::Client::v5(broker.addr(), "operator");
    let create = r#"{"commands":[{"command":"createQueue","name":"jobs","definition":{"bind":["sequence"]}}]}"#;
    operator.publish("$CONTROL/queue/v1", create, 1);
    operator.recv();
    let mut workers = Vec::new();
    for (group, id) in [("a", "a1"), ("a", "a2"), ("b", "b1"), ("b", "b2")] {
        let mut peer = P::open(&broker, id);
        assert_eq!(peer.next().await, Heard::Connected { session_present: false });
        peer.subscribe(&format!("$share/{group}/$queue/jobs"), 1);
        while peer.next().await != Heard::Subscribed {}
        workers.push((group, id, peer));
    }
    let sending = publish_all(P::open(&broker, "sender"), 1, &[]);
    let (tell, mut told) = tokio::sync::mpsc::unbounded_channel();
    let mut tasks = Vec::new();
    for (group, id, mut peer) in workers {
        let tell = tell.clone();
        tasks.push(async move {
            let mut received = 0;
            loop {
                match peer.next().await {
                    Heard::Message { number, .. } => {
                        if tell.send((group, number)).is_err() {
                            return;
                        }
                        received += 1;
                        if id.ends_with('1') && received % 300 == 150 {
                            peer.cut();
                        }
                    }
                    Heard::Connected { session_present } => assert!(session_present),
                    _ => {}
                }
            }
        });
    }
    drop(tell);
    let [a1, a2, b1, b2] = tasks.try_into().unwrap_or_else(|_| panic!("four workers"));
    let counting = async {
        let mut missing = [("a", (0..COUNT).collect::<BTreeSet<u32>>()), ("b", (0..COUNT).collect())];
        while missing.iter().any(|(_, numbers)| !numbers.is_empty()) {
            let (group, number) = told.recv().await.expect("workers go on");
            for (of, numbers) in &mut missing {
                if *of == group {
                    numbers.remove(&number);
                }
            }
        }
    };
    let consuming = async {
        tokio::select! {
            () = counting => {}
            _ = async { tokio::join!(a1, a2, b1, b2) } => {}
        }
    };
    timeout(LIMIT, async { tokio::join!(sending, consuming) }).await.expect("both ends are done in time");
}

/// Makes a test of each of these, with the client of each version.
macro_rules! tests {
    ($($name:ident: $body:expr;)+) => {
        $(
            #[tokio::test]
            async fn $name() {
                $body.await;
            }
        )+
    };
}

tests! {
    a_sequence_of_qos_1_comes_in_order_v4: a_sequence_comes_in_order::<V4>(1);
    a_sequence_of_qos_2_comes_in_order_v4: a_sequence_comes_in_order::<V4>(2);
    a_sequence_of_qos_1_comes_in_order_v5: a_sequence_comes_in_order::<V5>(1);
    a_sequence_of_qos_2_comes_in_order_v5: a_sequence_comes_in_order::<V5>(2);
    a_subscriber_comes_back_v4: a_subscriber_comes_back::<V4>();
    a_subscriber_comes_back_v5: a_subscriber_comes_back::<V5>();
    groups_of_a_queue_lose_nothing_v4: groups_of_a_queue_lose_nothing::<V4>();
    groups_of_a_queue_lose_nothing_v5: groups_of_a_queue_lose_nothing::<V5>();
    a_publisher_comes_back_v4: a_publisher_comes_back::<V4>();
    a_publisher_comes_back_v5: a_publisher_comes_back::<V5>();
}
