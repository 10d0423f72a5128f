//! Connections that become readable together.

use super::*;

/// One client subscribes, then another one publishes, and the broker hears of both at once. The runtime takes up the
/// last of those that it has woken first; all the same the message is for who had subscribed before it was sent.
#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_publish_does_not_overtake_a_subscription_that_was_sent_before_it() {
    let broker = broker(|_| ());
    for round in 0..20 {
        let (reader, writer) = (format!("reader{round}"), format!("writer{round}"));
        let mut reader = Client::connected(&broker, &reader).await;
        let mut writer = Client::connected(&broker, &writer).await;
        sleep(Duration::from_millis(2)).await; // both wait to be woken
        let mut filters = FiltersBuf::subscribe();
        filters.push("a", SubscribeOptions::from_qos(QoS::AtMostOnce));
        let (packet_id, filters) = (PacketId::new(1).unwrap(), filters.as_filters());
        let properties = Properties::EMPTY;
        let subscribe = Packet::Subscribe(Subscribe { packet_id, subscription_id: None, properties, filters });
        let (mut first, mut second) = (Vec::new(), Vec::new());
        codec::encode(&subscribe, Version::V311, &mut first).unwrap();
        second.extend_from_slice(b"\x30\x04\0\x01ax");
        // On the worker, which wakes them in this order.
        let (mut reader, _writer) = tokio::spawn(async move {
            reader.stream.write_all(&first).await.unwrap();
            writer.stream.write_all(&second).await.unwrap();
            (reader, writer)
        })
        .await
        .unwrap();
        assert_eq!(reader.read().await, "SubAck 1 [0]");
        assert_eq!(reader.read().await, "Publish a 0 x", "round {round}");
    }
    broker.shutdown(Duration::ZERO).await;
}
