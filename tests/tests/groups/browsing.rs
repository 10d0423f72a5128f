//! `$browse/NAME`: a look into a queue.

use primer_harness::wire::prop;
use primer_harness::{Broker, Client, Publish, Version};

fn look(broker: &Broker, version: Version, filter: &str) -> Vec<Publish> {
    let mut client = Client::connect_with(broker.addr(), version, "looker", |c| c);
    assert!(client.subscribe(filter, 1) < 3);
    let mut seen = Vec::new();
    loop {
        let message = client.recv();
        if message.topic.ends_with("/end") {
            seen.push(message);
            client.expect_no_publish_before_ping();
            client.disconnect();
            return seen;
        }
        seen.push(message);
    }
}

#[test]
fn a_look_shows_everything_and_changes_nothing() {
    for version in Version::BOTH {
        let broker = Broker::start();
        let mut publisher = Client::v5(broker.addr(), "publisher");
        for n in 0..250 {
            publisher.publish("$queue/jobs", n.to_string(), 1);
        }
        let mut worker = Client::v5(broker.addr(), "worker");
        worker.manual_ack();
        worker.subscribe("$queue/jobs", 1);
        worker.recv();
        for (from, count) in [("", 250), ("/from/200", 50), ("/from/1000", 0)] {
            let seen = look(&broker, version, &format!("$browse/jobs{from}"));
            let shown = &seen[..seen.len() - 1];
            assert_eq!(shown.len(), count);
            let first = 250 - count;
            for (n, message) in shown.iter().enumerate() {
                let n = first + n;
                assert_eq!(
                    (&*message.topic, message.text(), message.qos),
                    (&*format!("$browse/jobs/{n}"), n.to_string(), 0)
                );
            }
            if version == Version::V5 && from.is_empty() {
                let users = prop::user_properties(&shown[0].props);
                assert!(
                    users.contains(&("primer-topic", "$queue/jobs")) && users.contains(&("primer-state", "leased"))
                );
            }
        }
        worker.abort();
        let mut other = Client::v5(broker.addr(), "other");
        other.subscribe("$queue/jobs", 1);
        assert_eq!(other.recv_publishes(250).len(), 250);
    }
}

#[test]
fn a_long_queue_is_shown_in_parts() {
    let broker = Broker::start();
    let mut publisher = Client::v5(broker.addr(), "publisher");
    for n in 0..1100 {
        publisher.publish("$queue/jobs", n.to_string(), 0);
    }
    publisher.ping();
    let seen = look(&broker, Version::V5, "$browse/jobs");
    assert_eq!(seen.len(), 1001);
    let next = prop::user_properties(&seen[1000].props);
    assert_eq!(next, [("next", "1000")]);
    assert_eq!(look(&broker, Version::V5, "$browse/jobs/from/1000").len(), 101);
}

#[test]
fn a_look_into_nothing_ends_at_once() {
    let broker = Broker::start();
    assert_eq!(look(&broker, Version::V5, "$browse/nothing").len(), 1);
    assert_eq!(look(&broker, Version::V311, "$browse/$dead/nothing").len(), 1);
}
