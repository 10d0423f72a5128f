//! `$browse/NAME`: a look into a queue.

use primer_harness::wire::prop;
use primer_harness::{Broker, Client, Publish, SILENCE, Version};

fn look(broker: &Broker, version: Version, filter: &str, count: usize) -> Vec<Publish> {
    let mut client = Client::connect_with(broker.addr(), version, "looker", |c| c);
    assert!(client.subscribe(filter, 1) < 3);
    let seen = client.recv_publishes(count);
    client.expect_no_publish(SILENCE / 4);
    client.disconnect();
    seen
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
            let shown = look(&broker, version, &format!("$browse/jobs{from}"), count);
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
    let seen = look(&broker, Version::V5, "$browse/jobs", 1000);
    let says = |message: &Publish, wanted| prop::user_properties(&message.props).contains(&wanted);
    assert!(says(&seen[999], ("primer-last", "true")) && says(&seen[999], ("primer-next", "1000")));
    assert!(!says(&seen[998], ("primer-last", "true")));
    let rest = look(&broker, Version::V5, "$browse/jobs/from/1000", 100);
    assert!(says(&rest[99], ("primer-last", "true")));
}

#[test]
fn a_look_may_begin_at_a_time() {
    let broker = Broker::start();
    Client::v5(broker.addr(), "publisher").publish("$queue/jobs", "a", 1);
    assert_eq!(look(&broker, Version::V311, "$browse/jobs/from/2026-01-01T00:00:00Z", 1).len(), 1);
    assert_eq!(look(&broker, Version::V311, "$browse/jobs/from/2126-01-01T00:00:00Z", 0).len(), 0);
}

#[test]
fn a_look_into_nothing_shows_nothing() {
    let broker = Broker::start();
    look(&broker, Version::V5, "$browse/nothing", 0);
    look(&broker, Version::V311, "$browse/$dead/nothing", 0);
}
