//! `$queue/FILTER` as EMQX 4 has it: a shared subscription, where no queue is meant.

use std::collections::BTreeSet;

use primer_harness::{Broker, Client, Publish, SILENCE};

fn publish(broker: &Broker, topic: &str, count: usize) -> BTreeSet<String> {
    let mut publisher = Client::v5(broker.addr(), "publisher");
    let texts: BTreeSet<String> = (0..count).map(|n| n.to_string()).collect();
    texts.iter().for_each(|text| assert_eq!(publisher.publish(topic, text, 1), 0));
    texts
}

fn members(broker: &Broker, filter: &str) -> [Client; 2] {
    ["m1", "m2"].map(|id| {
        let mut client = Client::v5(broker.addr(), id);
        assert_eq!(client.subscribe(filter, 1), 1);
        client
    })
}

fn shared(members: &mut [Client; 2], each: usize) -> BTreeSet<String> {
    members.iter_mut().flat_map(|member| member.recv_publishes(each)).map(|message: Publish| message.text()).collect()
}

/// With a wildcard, and without while there is no queue of that name: plain publishes are shared.
#[test]
fn plain_publishes_are_shared_where_there_is_no_queue() {
    for (filter, topic) in [("$queue/a/+", "a/b"), ("$queue/#", "a/b"), ("$queue/a/b", "a/b")] {
        let broker = Broker::start();
        let mut members = members(&broker, filter);
        let all = publish(&broker, topic, 6);
        assert_eq!(shared(&mut members, 3), all, "{filter}");
        assert_eq!(members[0].unsubscribe(filter), 0);
        assert_eq!(members[1].unsubscribe(filter), 0);
        let mut publisher = Client::v5(broker.addr(), "publisher");
        assert_eq!(publisher.publish(topic, "x", 1), 0x10, "nobody is there any more, and nothing waits");
    }
}

/// The same subscribers get what is put into the queue, as soon as somebody does.
#[test]
fn the_queue_is_consumed_as_soon_as_there_is_one() {
    let broker = Broker::start();
    let mut members = members(&broker, "$queue/a");
    let all = publish(&broker, "$queue/a", 6);
    assert_eq!(shared(&mut members, 3), all);
}

/// Where there is a queue the filter means that and nothing else.
#[test]
fn a_queue_that_exists_is_meant() {
    let broker = Broker::start();
    publish(&broker, "$queue/a", 1);
    let mut client = Client::v5(broker.addr(), "worker");
    client.subscribe("$queue/a", 1);
    assert_eq!(client.recv().text(), "0");
    let mut publisher = Client::v5(broker.addr(), "publisher");
    assert_eq!(publisher.publish("a", "plain", 1), 0x10);
    client.expect_no_publish(SILENCE);
}
