//! Sessions themselves: whether they are there, for how long, and what ends them.

use std::time::Duration;

use primer_harness::wire::prop;
use primer_harness::{Client, SILENCE, Version};

use crate::fixture::{NOBODY, Stop, bounce, broker, each, end, fetch, lasting, settle, sleeper};

/// [MQTT-3.2.2-2] [MQTT-3.2.2-3]: 1 for those who had a session that lasts, 0 for all others.
#[test]
fn session_present_tells_the_truth() {
    for (stop, version) in each() {
        let mut broker = broker();
        let plain = lasting(broker.addr(), version, "plain");
        assert!(!plain.session_present());
        let clean = Client::connect_with(broker.addr(), version, "clean", |c| c.clean(true));
        sleeper(broker.addr(), version, "subscribed", "present", 1);
        bounce(&mut broker, stop);
        for (id, present) in [("plain", true), ("clean", false), ("subscribed", true), ("unknown", false)] {
            assert_eq!(lasting(broker.addr(), version, id).session_present(), present, "{id} {stop:?} {version:?}");
        }
        drop((plain, clean));
        bounce(&mut broker, stop);
        for id in ["plain", "clean", "subscribed", "unknown"] {
            assert!(lasting(broker.addr(), version, id).session_present(), "{id} lasts by now");
        }
    }
}

/// A CONNACK of a new session is a promise: the broker may be killed right behind it.
#[test]
fn a_connack_is_a_promise() {
    let mut broker = broker();
    for round in 0..8 {
        let version = Version::BOTH[round % 2];
        let client = lasting(broker.addr(), version, &format!("promised-{round}"));
        bounce(&mut broker, Stop::Kill);
        drop(client);
        assert!(lasting(broker.addr(), version, &format!("promised-{round}")).session_present(), "round {round}");
    }
}

/// A clean start discards all of it [MQTT-3.1.2-4], before its CONNACK: after a kill right behind it the old session
/// does not come back.
#[test]
fn a_clean_start_discards_the_session_for_good() {
    for (stop, version) in each() {
        let mut broker = broker();
        for expiry in [0, 600] {
            sleeper(broker.addr(), version, "discarded", "discard", 2);
            let mut publisher = Client::v5(broker.addr(), "publisher");
            assert_eq!(publisher.publish("discard", "old", 2), 0);
            bounce(&mut broker, stop);
            let clean = |c: primer_harness::wire::Connect| if version.is_v5() { c.session_expiry(expiry) } else { c };
            let client = Client::connect_with(broker.addr(), version, "discarded", clean);
            assert!(!client.session_present());
            bounce(&mut broker, stop);
            drop(client);
            let mut publisher = Client::v5(broker.addr(), "publisher");
            assert_eq!(publisher.publish("discard", "new", 1), NOBODY, "its subscription is gone");
            let mut client = lasting(broker.addr(), version, "discarded");
            assert_eq!(client.session_present(), version.is_v5() && expiry > 0, "{stop:?} {version:?} {expiry}");
            client.expect_no_publish(SILENCE / 4);
            client.disconnect();
            Client::connect_with(broker.addr(), version, "discarded", |c| c).disconnect();
        }
    }
}

/// The time of a session whose client has gone runs on while the broker is down; that of one who was connected when it
/// was killed begins with the next start.
#[test]
fn a_session_expires_while_the_broker_is_down() {
    let mut broker = broker();
    let with = |expiry: u32| move |c: primer_harness::wire::Connect| c.clean(false).session_expiry(expiry);
    for (id, expiry) in [("short", 2), ("long", 600)] {
        let mut client = Client::v5_with(broker.addr(), id, with(expiry));
        client.subscribe(&format!("expire/{id}"), 1);
        client.disconnect();
    }
    let mut connected = Client::v5_with(broker.addr(), "connected", with(2));
    connected.subscribe("expire/connected", 1);
    Client::v5(broker.addr(), "publisher").publish("expire/short", "x", 1);
    settle(&broker);
    end(&mut broker, Stop::Kill);
    std::thread::sleep(Duration::from_millis(2300));
    broker.start_again();
    let mut publisher = Client::v5(broker.addr(), "publisher");
    assert_eq!(publisher.publish("expire/short", "x", 1), NOBODY);
    assert_eq!(publisher.publish("expire/long", "x", 1), 0);
    assert_eq!(publisher.publish("expire/connected", "x", 1), 0);
    for (id, present) in [("short", false), ("long", true), ("connected", true)] {
        assert_eq!(Client::v5_with(broker.addr(), id, with(60)).session_present(), present, "{id}");
    }
}

/// And its time is up, after a restart, no later than it would have been.
#[test]
fn a_session_expires_on_time_after_a_restart() {
    for stop in Stop::BOTH {
        let mut broker = broker();
        let short = |c: primer_harness::wire::Connect| c.clean(false).session_expiry(3);
        let mut client = Client::v5_with(broker.addr(), "short", short);
        client.subscribe("ontime", 1);
        client.disconnect();
        settle(&broker);
        std::thread::sleep(Duration::from_millis(1500));
        bounce(&mut broker, stop);
        let mut publisher = Client::v5(broker.addr(), "publisher");
        assert_eq!(publisher.publish("ontime", "x", 1), 0, "half of its time is left");
        std::thread::sleep(Duration::from_millis(1700));
        assert_eq!(publisher.publish("ontime", "x", 1), NOBODY);
        assert!(!Client::v5_with(broker.addr(), "short", short).session_present());
    }
}

/// The expiry that a DISCONNECT sets, or a later CONNECT, is the one that counts.
#[test]
fn the_last_word_on_the_expiry_counts() {
    for stop in Stop::BOTH {
        let mut broker = broker();
        let with = |expiry: u32| move |c: primer_harness::wire::Connect| c.clean(false).session_expiry(expiry);
        for (id, word) in [("ends", 0), ("shorter", 1), ("longer", 600)] {
            Client::v5_with(broker.addr(), id, with(300)).disconnect_with(0, &[prop::session_expiry_interval(word)]);
        }
        Client::v5_with(broker.addr(), "anew", with(1)).abort();
        Client::v5_with(broker.addr(), "anew", with(600)).abort();
        // Clean session 0 of 3.1.1 has no end.
        lasting(broker.addr(), Version::V311, "for-ever").abort();
        crate::fixture::await_that("the connections end", Duration::from_secs(5), || {
            broker.stderr().matches("for-ever disconnected").count() == 1
        });
        settle(&broker);
        end(&mut broker, stop);
        std::thread::sleep(Duration::from_millis(1300));
        broker.start_again();
        for (id, present) in [("ends", false), ("shorter", false), ("longer", true), ("anew", true)] {
            assert_eq!(Client::v5_with(broker.addr(), id, with(9)).session_present(), present, "{id} {stop:?}");
        }
        fetch(broker.addr(), Version::V311, "for-ever", 0);
    }
}

/// A session that began with one version goes on with the other.
#[test]
fn a_session_may_change_its_version() {
    let mut broker = broker();
    sleeper(broker.addr(), Version::V311, "changes", "change", 2);
    let mut publisher = Client::v5(broker.addr(), "publisher");
    publisher.publish_with("change", "x", 2, &[prop::content_type("t")]);
    bounce(&mut broker, Stop::Kill);
    let messages = fetch(broker.addr(), Version::V5, "changes", 1);
    assert_eq!(messages[0].props, [prop::content_type("t")]);
    bounce(&mut broker, Stop::Kill);
    fetch(broker.addr(), Version::V311, "changes", 0);
}

/// Identifiers of every kind that is allowed.
#[test]
fn client_identifiers_of_every_kind_come_back() {
    let mut broker = broker();
    let long = "l".repeat(65_535 - 4) + "é!!";
    let ids = ["a", "é/+#$", " ", "s", "r", "d", long.as_str()];
    for id in ids {
        sleeper(broker.addr(), Version::V5, id, "ids", 1);
    }
    Client::v5(broker.addr(), "publisher").publish("ids", "x", 1);
    bounce(&mut broker, Stop::Kill);
    for id in ids {
        fetch(broker.addr(), Version::V5, id, 1);
    }
}

/// Many sessions, which come back without reading their messages, so that starting takes no long.
#[test]
fn many_sessions_come_back() {
    const COUNT: usize = 300;
    let mut broker = broker();
    let mut clients: Vec<Client> =
        (0..COUNT).map(|n| lasting(broker.addr(), Version::BOTH[n % 2], &format!("many-{n}"))).collect();
    for (n, client) in clients.iter_mut().enumerate() {
        client.subscribe(&format!("many/{n}"), 1);
    }
    bounce(&mut broker, Stop::Kill);
    drop(clients);
    let mut publisher = Client::v5(broker.addr(), "publisher");
    for n in (0..COUNT).step_by(7) {
        assert_eq!(publisher.publish(&format!("many/{n}"), "x", 1), 0);
        fetch(broker.addr(), Version::BOTH[n % 2], &format!("many-{n}"), 1);
    }
}

/// `--gather` is for messages. Who connected or subscribed waited for it as well, twice and more.
#[test]
fn who_connects_does_not_wait_for_messages_of_others() {
    let window = Duration::from_secs(10);
    let broker = crate::fixture::broker_with(&["--gather", &window.as_millis().to_string()]);
    let begun = std::time::Instant::now();
    let mut client = lasting(broker.addr(), Version::V5, "device");
    client.subscribe("t", 1);
    assert!(begun.elapsed() < window / 2, "{:?}", begun.elapsed());
}
