//! Faults that a reading of the server found before any test did. Each test tells what went wrong.

use std::time::{Duration, Instant};

use primer_harness::wire::{self, Packet, prop};
use primer_harness::{Broker, Client, Version};

use crate::fixture::{broker, durable, unique};

/// A look-up of retained messages was judged to wait for room in the buffer, then the buffer was written, and nobody
/// came back: the client got 64 KiB with each of its PINGREQs and nothing between.
#[test]
fn kept_messages_that_fill_the_buffer_come_without_a_word_of_the_client() {
    const KEPT: usize = 600;
    let broker = broker();
    let mut publisher = Client::v5(broker.addr(), &unique("wide-pub"));
    for n in 0..KEPT {
        publisher.publish_retained(&format!("wide/{n}"), [b'x'; 1024], 1);
    }
    let mut client = Client::v5(broker.addr(), &unique("wide"));
    client.subscribe("wide/#", 0);
    assert_eq!(client.recv_publishes(KEPT).len(), KEPT);
}

/// Each filter of a SUBSCRIBE walked the look-ups of all before it, with the session locked: 65,535 filters held the
/// whole broker up for seconds.
#[test]
fn a_subscribe_with_sixty_thousand_filters_holds_nobody_up() {
    let broker = broker();
    let mut other = Client::v5(broker.addr(), &unique("many-other"));
    let mut many = Client::v5_with(broker.addr(), &unique("many"), |c| c.keep_alive(0));
    let filters: Vec<String> = (0..60_000).map(|n| format!("many/{n}")).collect();
    let filters: Vec<(&str, u8)> = filters.iter().map(|filter| (filter.as_str(), 1)).collect();
    let packet = wire::subscribe(Version::V5, 1, &filters);
    let again = packet.clone();
    many.send(&packet);
    many.send(&again);
    let mut worst = Duration::ZERO;
    for _ in 0..20 {
        let before = Instant::now();
        other.ping();
        worst = worst.max(before.elapsed());
    }
    assert!(worst < Duration::from_secs(5), "a ping took {worst:?}");
    for _ in 0..2 {
        let suback = many.await_other(|packet| matches!(packet, Packet::Suback { .. }));
        assert!(
            matches!(suback, Packet::Suback { codes, .. } if codes.len() == 60_000 && codes.iter().all(|c| *c == 1))
        );
    }
}

/// A client that sent more than 1,024 SUBSCRIBEs without waiting was refused from there on.
#[test]
fn subscriptions_may_come_without_waiting_for_each_other() {
    let broker = broker();
    let mut client = Client::v5(broker.addr(), &unique("pipelined"));
    let mut bytes = Vec::new();
    for n in 1..=3000_u16 {
        bytes.extend(wire::subscribe(Version::V5, n, &[(&format!("pipelined/{n}"), 0)]));
    }
    client.send(&bytes);
    for _ in 1..=3000 {
        let suback = client.await_other(|packet| matches!(packet, Packet::Suback { .. }));
        assert!(matches!(suback, Packet::Suback { codes, .. } if codes == [0]));
    }
}

/// Subscriptions were charged a small fixed sum, whatever memory they took: a client could take all of it.
#[test]
fn subscriptions_count_against_the_memory_limit() {
    let broker = Broker::with_args(&["--memory-limit", "4M"]);
    let mut client = Client::v5(broker.addr(), "deep");
    let refused = (0..2000).any(|n| client.subscribe(&format!("{n}{}", "/x".repeat(150)), 0) == 0x97);
    assert!(refused, "2,000 filters of 151 levels fit into 4 MiB");
    let mut other = Client::v5(broker.addr(), "deep"); // the same client, as no new one is let in
    other.ping();
}

/// A rate limit's pause was longer than the keep alive, and the client was taken for dead while nobody read it.
#[test]
fn a_pause_of_the_rate_limit_is_not_held_against_the_client() {
    let broker = Broker::with_args(&["--max-publish-rate", "20", "--max-keep-alive", "60"]);
    let mut client = Client::v5_with(broker.addr(), "paused", |c| c.keep_alive(1));
    let mut bytes = Vec::new();
    for n in 1..=100_u16 {
        bytes.extend(wire::publish(Version::V5, "paused", b"x").qos(1, n).build());
    }
    bytes.extend(wire::pingreq());
    client.send(&bytes); // at 20 a second four seconds' worth of pause
    std::thread::sleep(Duration::from_secs(3));
    client.ping();
}

/// A will that was due when its client connected again came after what the client said on its new connection: it stayed
/// "offline" although it was online.
#[test]
fn the_will_of_the_old_connection_comes_before_the_word_of_the_new_one() {
    let broker = broker();
    let id = unique("presence");
    let mut watcher = Client::v5(broker.addr(), &unique("presence-watcher"));
    let topic = format!("{id}/state");
    watcher.subscribe(&topic, 1);
    let connect = |id: &str, topic: &str| {
        wire::connect(Version::V5, id).will(wire::Will::new(topic, b"offline").qos(1).retain()).build()
    };
    for _ in 0..30 {
        let mut both = connect(&id, &topic);
        both.extend(wire::publish(Version::V5, &topic, b"online").qos(1, 1).retain().build());
        let mut raw = primer_harness::Raw::connect(broker.addr());
        raw.send(&both);
        let online = watcher.recv();
        assert_eq!(online.text(), "online");
        raw.abort();
        assert_eq!(watcher.recv().text(), "offline");
        let mut taken = primer_harness::Raw::connect(broker.addr());
        taken.send(&both);
        assert_eq!(watcher.recv().text(), "online");
        let mut over = primer_harness::Raw::connect(broker.addr());
        over.send(&both); // takes over: the will of `taken` first, then the new "online"
        assert_eq!(watcher.recv().text(), "offline");
        assert_eq!(watcher.recv().text(), "online");
        over.abort();
        assert_eq!(watcher.recv().text(), "offline");
    }
}

/// Delayed messages whose own time had passed were sent all the same, and kept.
#[test]
fn a_delayed_message_that_expires_before_its_hour_is_not_sent() {
    let broker = broker();
    let mut client = Client::v5(broker.addr(), &unique("late"));
    client.subscribe("late/#", 0);
    client.publish_with("$delayed/2/late/expired", "x", 1, &[prop::message_expiry_interval(1)]);
    client.publish("$delayed/2/late/alive", "x", 1);
    assert_eq!(client.recv().topic, "late/alive");
    client.expect_no_publish_before_ping();
}

/// A refused publish of a 3.1.1 client hid the outcomes behind it: their QoS 2 exchanges hung for ever.
#[test]
fn what_stands_behind_a_refused_publish_is_settled() {
    let broker = Broker::with_args(&["--max-queued-bytes", "2K", "--overflow", "reject"]);
    let mut sleeper = durable(broker.addr(), "behind-sleeper");
    sleeper.subscribe("behind/#", 2);
    sleeper.disconnect();
    let mut client = Client::v311_with(broker.addr(), "behind", |c| c.clean(false));
    let publish = |topic: &str, payload: &[u8], pid| wire::publish(Version::V311, topic, payload).qos(2, pid);
    let mut bytes = publish("behind/fits", b"x", 1).build();
    bytes.extend(publish("behind/not", &[b'x'; 4000], 2).build());
    bytes.extend(publish("elsewhere", b"x", 3).build());
    client.send(&bytes);
    client.expect_closed();
    let mut client = Client::v311_with(broker.addr(), "behind", |c| c.clean(false));
    assert!(client.session_present());
    for (topic, pid) in [("behind/fits", 1), ("elsewhere", 3)] {
        client.send(&publish(topic, b"x", pid).dup().build());
        assert_eq!(client.await_ack(wire::Ack::Pubrec, pid), 0, "{topic}");
        client.send_ack(wire::Ack::Pubrel, pid);
        client.await_ack(wire::Ack::Pubcomp, pid);
    }
    let mut sleeper = durable(broker.addr(), "behind-sleeper");
    assert_eq!(sleeper.recv().topic, "behind/fits");
    sleeper.expect_no_publish_before_ping();
}

/// PINGRESP went out before the answers to what came before the PINGREQ.
#[test]
fn a_ping_is_answered_after_what_came_before_it() {
    let broker = broker();
    let mut client = Client::v5(broker.addr(), &unique("barrier"));
    let mut bytes = wire::subscribe(Version::V5, 9, &[("barrier", 0)]);
    bytes.extend(wire::publish(Version::V5, "barrier", b"x").qos(1, 7).build());
    bytes.extend(wire::pingreq());
    client.send(&bytes);
    let mut order = Vec::new();
    while order.last() != Some(&"ping") {
        order.push(match client.raw().recv(true) {
            Packet::Suback { .. } => "suback",
            Packet::Pingresp => "ping",
            Packet::Publish(_) => "publish",
            _ => "puback",
        });
    }
    assert_eq!(order.len(), 4, "{order:?}");
}

/// A will to a topic that means something else than a place was taken, and went nowhere without being counted.
#[test]
fn a_will_that_could_not_be_published_is_refused_at_connect() {
    let broker = broker();
    for topic in ["$delayed/1/x", "$delayed/soon/x", "$share/g/x", "$SYS/x"] {
        let connect = wire::connect(Version::V5, &unique("odd-will")).will(wire::Will::new(topic, b"x"));
        let refused = Client::try_open(broker.addr(), &connect).err().and_then(|refused| refused.code);
        assert_eq!(refused, Some(0x87), "{topic}");
    }
}

/// What `$SYS` said while the memory was spent was refused by the retained store and never said again.
#[test]
fn sys_is_right_again_after_the_memory_was_spent() {
    let broker = Broker::with_args(&["--memory-limit", "2M", "--sys-interval", "1"]);
    let mut sleeper = durable(broker.addr(), "pressed");
    sleeper.subscribe("pressed", 1);
    sleeper.disconnect();
    let mut publisher = Client::v5(broker.addr(), "pressing");
    let mut accepted = 0_u32;
    while publisher.publish("pressed", [b'x'; 10_000], 1) == 0 {
        accepted += 1;
    }
    std::thread::sleep(Duration::from_millis(1500)); // one publication of `$SYS` while nothing fits
    let mut sleeper = durable(broker.addr(), "pressed");
    assert_eq!(sleeper.recv_publishes(accepted as usize).len(), accepted as usize);
    sleeper.ping();
    let mut reader = Client::v5(broker.addr(), "reader");
    reader.subscribe("$SYS/broker/publish/messages/received", 0);
    let said: u32 = reader.recv().text().parse().unwrap_or_default();
    assert!(said >= accepted, "{said} of {accepted}");
}

/// Wills that waited for their delay were published at a stop when everybody who wanted to know had been sent away.
#[test]
fn a_delayed_will_reaches_who_is_connected_when_the_broker_stops() {
    let mut broker = Broker::start();
    let mut watcher = Client::v5(broker.addr(), "stop-watcher");
    watcher.subscribe("stop/will", 1);
    let will = wire::Will::new("stop/will", b"gone").qos(1).props(&[prop::will_delay_interval(60)]);
    let connect = wire::connect(Version::V5, "stop-dying").will(will).session_expiry(100);
    Client::open(broker.addr(), &connect).abort();
    std::thread::sleep(Duration::from_millis(300)); // the broker sees the cut
    broker.terminate();
    assert_eq!(watcher.recv().text(), "gone");
    assert_eq!(watcher.expect_closed(), Some(0x8B));
}

/// A comma in a password made two users of one.
#[test]
fn a_password_may_hold_a_comma() {
    let broker = Broker::with_args(&["--user", "alice:a,b:c"]);
    let connect = |user: &str, password: &[u8]| {
        let connect = wire::connect(Version::V5, user).user(user).password(password);
        Client::try_open(broker.addr(), &connect).map(Client::disconnect).map_err(|refused| refused.code)
    };
    assert_eq!(connect("alice", b"a,b:c"), Ok(()));
    assert_eq!(connect("alice", b"a"), Err(Some(0x86)));
    assert_eq!(connect("b", b"c"), Err(Some(0x86)));
}

/// A socket that never sent CONNECT made every stop last for the whole drain timeout.
#[test]
fn a_socket_without_connect_does_not_hold_a_stop_up() {
    let mut broker = Broker::with_args(&["--drain-timeout", "60"]);
    let _idle = primer_harness::Raw::connect(broker.addr());
    Client::v5(broker.addr(), "after-idle").disconnect(); // by now the idle one has been accepted
    broker.terminate();
    assert!(broker.wait(Duration::from_secs(10)).is_some_and(|status| status.success()));
}
