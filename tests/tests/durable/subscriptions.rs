//! Subscriptions of sessions that last: live before the first client is let in, and with all of their options.

use primer_harness::wire::prop;
use primer_harness::{Client, SILENCE, Version};

use crate::fixture::{
    NO_LOCAL, NOBODY, RETAIN_AS_PUBLISHED, Stop, bounce, broker, each, fetch, lasting, sleeper, texts,
};

/// The very first client after the restart publishes, and its message finds who is away.
#[test]
fn subscriptions_are_live_before_anybody_is_let_in() {
    for (stop, version) in each() {
        let mut broker = broker();
        for n in 0..20 {
            sleeper(broker.addr(), version, &format!("away-{n}"), &format!("live/{n}/+"), 2);
        }
        bounce(&mut broker, stop);
        let mut publisher = Client::connect_with(broker.addr(), version, "publisher", |c| c);
        for n in 0..20 {
            assert_eq!(publisher.publish(&format!("live/{n}/x"), n.to_string(), 1 + n % 2), 0, "somebody subscribes");
        }
        for n in 0..20 {
            assert_eq!(texts(&fetch(broker.addr(), version, &format!("away-{n}"), 1)), [n.to_string()]);
        }
    }
}

/// What a SUBACK promised holds at once: the broker may be killed right behind it.
#[test]
fn a_suback_is_a_promise() {
    for version in Version::BOTH {
        let mut broker = broker();
        let mut subscriber = lasting(broker.addr(), version, "away");
        for round in 0..8_u8 {
            assert_eq!(subscriber.subscribe(&format!("promise/{round}"), round % 3), round % 3);
            bounce(&mut broker, Stop::Kill);
            let mut publisher = Client::v5(broker.addr(), "publisher");
            let wanted = if round % 3 == 0 { 0 } else { 1 };
            publisher.publish(&format!("promise/{round}"), "x", 1);
            subscriber = lasting(broker.addr(), version, "away");
            assert!(subscriber.session_present());
            for _ in 0..wanted {
                assert_eq!(subscriber.recv().topic, format!("promise/{round}"));
            }
        }
    }
}

/// So is an UNSUBACK.
#[test]
fn an_unsuback_is_a_promise() {
    for (stop, version) in each() {
        let mut broker = broker();
        let mut subscriber = lasting(broker.addr(), version, "away");
        subscriber.subscribe("gone/a", 1);
        subscriber.subscribe("gone/b", 1);
        assert_eq!(subscriber.unsubscribe("gone/a"), 0);
        bounce(&mut broker, stop);
        let mut publisher = Client::v5(broker.addr(), "publisher");
        assert_eq!(publisher.publish("gone/a", "x", 1), NOBODY);
        assert_eq!(publisher.publish("gone/b", "y", 1), 0);
        assert_eq!(texts(&fetch(broker.addr(), version, "away", 1)), ["y"]);
    }
}

/// The last SUBSCRIBE to a filter counts.
#[test]
fn a_replaced_subscription_stays_replaced() {
    for stop in Stop::BOTH {
        let mut broker = broker();
        let mut subscriber = lasting(broker.addr(), Version::V5, "away");
        subscriber.subscribe_with(&[("replaced", 2)], &[prop::subscription_identifier(7)]);
        subscriber.subscribe_with(&[("replaced", 1)], &[]);
        subscriber.disconnect();
        bounce(&mut broker, stop);
        Client::v5(broker.addr(), "publisher").publish("replaced", "x", 2);
        let messages = fetch(broker.addr(), Version::V5, "away", 1);
        assert_eq!((messages[0].qos, messages[0].props.as_slice()), (1, &[][..]));
    }
}

/// For what was stored before the restart and for what comes after it.
#[test]
fn subscription_identifiers_are_kept() {
    for stop in Stop::BOTH {
        let mut broker = broker();
        let mut subscriber = lasting(broker.addr(), Version::V5, "away");
        subscriber.subscribe_with(&[("ids/+", 1)], &[prop::subscription_identifier(268_435_455)]);
        subscriber.subscribe_with(&[("ids/#", 2)], &[prop::subscription_identifier(1)]);
        subscriber.disconnect();
        Client::v5(broker.addr(), "publisher").publish("ids/x", "before", 2);
        bounce(&mut broker, stop);
        Client::v5(broker.addr(), "publisher").publish("ids/x", "after", 2);
        let messages = fetch(broker.addr(), Version::V5, "away", 2);
        assert_eq!(texts(&messages), ["before", "after"]);
        for message in messages {
            let mut props = message.props.clone();
            props.sort_by_key(|p| format!("{p:?}"));
            assert_eq!(props, [prop::subscription_identifier(1), prop::subscription_identifier(268_435_455)]);
            assert_eq!(message.qos, 2, "the highest of the two");
        }
    }
}

/// The session knows what it published itself, also as another connection of another process.
#[test]
fn no_local_and_retain_as_published_are_kept() {
    for stop in Stop::BOTH {
        let mut broker = broker();
        let mut client = lasting(broker.addr(), Version::V5, "options");
        client.subscribe("nolocal", 1 | NO_LOCAL);
        client.subscribe("flag/kept", 1 | RETAIN_AS_PUBLISHED);
        client.subscribe("flag/dropped", 1);
        client.disconnect();
        bounce(&mut broker, stop);
        let mut other = Client::v5(broker.addr(), "other");
        other.publish("nolocal", "of another", 1);
        other.publish_retained("flag/kept", "kept", 1);
        other.publish_retained("flag/dropped", "dropped", 1);
        let mut client = lasting(broker.addr(), Version::V5, "options");
        assert!(client.session_present());
        client.publish("nolocal", "of its own", 1);
        let got: Vec<_> = client.recv_publishes(3).iter().map(|m| (m.text(), m.retain)).collect();
        let wanted = [("of another", false), ("kept", true), ("dropped", false)];
        assert_eq!(got, wanted.map(|(text, retain)| (text.to_owned(), retain)));
        client.expect_no_publish(SILENCE / 4);
    }
}

/// One of the group has each message, before the restart and after it.
#[test]
fn a_share_group_stays_a_group() {
    for (stop, version) in each() {
        let mut broker = broker();
        for member in ["m1", "m2"] {
            sleeper(broker.addr(), version, member, "$share/workers/jobs/+", 2);
        }
        sleeper(broker.addr(), version, "apart", "jobs/+", 1);
        let mut publisher = Client::connect_with(broker.addr(), version, "publisher", |c| c);
        for number in 0..10 {
            publisher.publish("jobs/x", number.to_string(), 2);
        }
        bounce(&mut broker, stop);
        let mut publisher = Client::connect_with(broker.addr(), version, "publisher", |c| c);
        for number in 10..20 {
            publisher.publish("jobs/x", number.to_string(), 1);
        }
        fetch(broker.addr(), version, "apart", 20);
        let mut members = ["m1", "m2"].map(|id| lasting(broker.addr(), version, id));
        let mut got = Vec::new();
        for member in &mut members {
            while let Some(message) = member.recv_publish(SILENCE) {
                got.push(message.text().parse::<u32>().expect("a number"));
            }
        }
        got.sort_unstable();
        assert_eq!(got, (0..20).collect::<Vec<u32>>(), "each message to one member");
    }
}

/// Many filters of one session, and a filter of many sessions.
#[test]
fn many_subscriptions_come_back() {
    const FILTERS: usize = 600;
    let mut broker = broker();
    let mut subscriber = lasting(broker.addr(), Version::V311, "many");
    let filters: Vec<String> = (0..FILTERS).map(|n| format!("many/{n}/+/#")).collect();
    let pairs: Vec<(&str, u8)> = filters.iter().map(|filter| (filter.as_str(), 1)).collect();
    assert_eq!(subscriber.subscribe_with(&pairs, &[]), vec![1; FILTERS]);
    bounce(&mut broker, Stop::Kill);
    let mut publisher = Client::v5(broker.addr(), "publisher");
    for n in (0..FILTERS).step_by(37) {
        assert_eq!(publisher.publish(&format!("many/{n}/x/y"), "x", 1), 0);
    }
    fetch(broker.addr(), Version::V311, "many", FILTERS.div_ceil(37));
}
