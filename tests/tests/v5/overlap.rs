//! Overlapping subscriptions of one client (3.3.4): one copy or a copy each, the QoS, the subscription identifiers.

use primer_harness::wire::prop;
use primer_harness::{Broker, Client, Prop, Publish, SILENCE};

use crate::fixture::{RETAIN_AS_PUBLISHED, broker};

fn ids(message: &Publish) -> Vec<u32> {
    let mut ids: Vec<u32> = message
        .props
        .iter()
        .filter(|prop| prop.id == prop::SUBSCRIPTION_IDENTIFIER)
        .filter_map(|prop| prop::number(std::slice::from_ref::<Prop>(prop), prop.id))
        .collect();
    ids.sort_unstable();
    ids
}

/// Subscribes to one filter with an identifier, which may be none.
fn subscribe(client: &mut Client, filter: &str, options: u8, id: Option<u32>) {
    let props: Vec<_> = id.into_iter().map(prop::subscription_identifier).collect();
    assert_eq!(client.subscribe_with(&[(filter, options)], &props), [options & 3]);
}

/// [MQTT-3.3.4-2] [MQTT-3.3.4-3] [MQTT-3.3.4-4]
#[test]
fn one_copy_comes_at_the_highest_qos_with_all_identifiers() {
    let broker = broker();
    let mut client = Client::v5(broker.addr(), "overlap");
    subscribe(&mut client, "overlap/#", 0, Some(1));
    subscribe(&mut client, "overlap/+", 2, Some(268_435_455));
    subscribe(&mut client, "overlap/t", 1, Some(1));
    subscribe(&mut client, "overlap/t/#", 1, None);
    subscribe(&mut client, "overlap/other", 2, Some(9));
    let mut publisher = Client::v5(broker.addr(), "overlap-pub");
    for qos in 0..3 {
        publisher.publish("overlap/t", "x", qos);
        let message = client.recv();
        assert_eq!((message.qos, ids(&message)), (qos, vec![1, 1, 268_435_455]));
    }
    publisher.publish("overlap", "x", 2);
    let message = client.recv();
    assert_eq!((message.qos, ids(&message)), (0, vec![1]), "only # matches");
    client.expect_no_publish_before_ping();
}

/// [MQTT-3.3.4-3]: no identifier where no matching subscription has one.
#[test]
fn a_message_for_subscriptions_without_identifiers_has_none() {
    let broker = broker();
    let mut client = Client::v5(broker.addr(), "noid");
    subscribe(&mut client, "noid/#", 1, None);
    subscribe(&mut client, "noid/+", 2, None);
    subscribe(&mut client, "noid/a/b", 0, Some(3));
    let mut publisher = Client::v5(broker.addr(), "noid-pub");
    publisher.publish("noid/t", "x", 2);
    let message = client.recv();
    assert_eq!((message.qos, message.props), (2, vec![]));
    client.expect_no_publish_before_ping();
}

/// The identifiers of one client are nothing to another, whoever gets the message first [MQTT-3.3.4-3].
#[test]
fn each_client_gets_its_own_identifiers() {
    let broker = broker();
    let mut clients: Vec<_> = (1..=5)
        .map(|id| {
            let mut client = Client::v5(broker.addr(), &format!("ownid-{id}"));
            subscribe(&mut client, "ownid/t", 1, (id < 5).then_some(id));
            client
        })
        .collect();
    let mut publisher = Client::v5(broker.addr(), "ownid-pub");
    publisher.publish("ownid/t", "x", 0);
    publisher.publish("ownid/t", "x", 1);
    for (id, client) in (1..).zip(&mut clients) {
        for message in client.recv_publishes(2) {
            assert_eq!(ids(&message), if id < 5 { vec![id] } else { vec![] });
        }
    }
}

/// The identifier of a subscription comes with kept messages and through a queue as well [MQTT-3.3.4-3].
#[test]
fn kept_and_queued_messages_have_the_identifier_too() {
    let broker = broker();
    let mut publisher = Client::v5(broker.addr(), "idkept-pub");
    publisher.publish_retained("idkept/t", "kept", 1);
    let mut client = crate::fixture::durable(broker.addr(), "idkept");
    subscribe(&mut client, "idkept/t", 1, Some(77));
    let message = client.recv();
    assert_eq!((ids(&message), message.retain), (vec![77], true));
    client.disconnect();
    publisher.publish("idkept/t", "queued", 1);
    let mut client = crate::fixture::durable(broker.addr(), "idkept");
    assert_eq!(ids(&client.recv()), [77]);
}

/// Retain As Published of any matching subscription holds for the one copy.
#[test]
fn one_copy_keeps_the_flag_if_a_subscription_asks() {
    let broker = broker();
    let mut client = Client::v5(broker.addr(), "flagcopy");
    subscribe(&mut client, "flagcopy/#", 1, None);
    subscribe(&mut client, "flagcopy/t", 1 | RETAIN_AS_PUBLISHED, None);
    Client::v5(broker.addr(), "flagcopy-pub").publish_retained("flagcopy/t", "x", 1);
    assert!(client.recv().retain);
    client.expect_no_publish_before_ping();
}

/// With `--copy-each-overlap`, each copy has the QoS and the identifier of its subscription [MQTT-3.3.4-5], and the
/// highest QoS is among them [MQTT-3.3.4-2].
#[test]
fn a_copy_for_each_subscription_has_its_qos_and_identifier() {
    let broker = Broker::with_args(&["--copy-each-overlap"]);
    let mut client = Client::v5(broker.addr(), "each");
    subscribe(&mut client, "each/#", 0, Some(1));
    subscribe(&mut client, "each/+", 2, Some(2));
    subscribe(&mut client, "each/t", 1, None);
    Client::v5(broker.addr(), "each-pub").publish("each/t", "x", 2);
    let mut got: Vec<_> = client.recv_publishes(3).iter().map(|message| (message.qos, ids(message))).collect();
    got.sort();
    assert_eq!(got, [(0, vec![1]), (1, vec![]), (2, vec![2])]);
    client.expect_no_publish(SILENCE / 4);
}
