//! The process: signals, restarts, and what it says when it cannot start.

use std::time::{Duration, Instant};

use primer_harness::wire::Will;
use primer_harness::{Broker, Client, Launch};

/// How long a stop may take beyond `--drain-timeout`, for a busy machine.
const GRACE: Duration = Duration::from_secs(2);

#[test]
fn sigterm_tells_the_clients_and_ends_well() {
    let mut broker = Broker::start();
    let mut newer = Client::v5(broker.addr(), "newer");
    let mut older = Client::v311(broker.addr(), "older");
    let begun = Instant::now();
    broker.terminate();
    assert_eq!(newer.expect_closed(), Some(0x8b), "server shutting down");
    assert_eq!(older.expect_closed(), None);
    // A client that was told closes its end; otherwise the broker waits a moment, so that the word is not lost.
    drop((newer, older));
    let status = broker.wait(Duration::from_secs(5) + GRACE).expect("it ends");
    assert_eq!(status.code(), Some(0), "{}", broker.stderr());
    assert!(begun.elapsed() < Duration::from_millis(1_500), "with nothing to drain it took {:?}", begun.elapsed());
}

#[test]
fn sigterm_waits_for_what_is_on_its_way() {
    let mut broker = Broker::start();
    let mut taker = Client::v5(broker.addr(), "taker");
    taker.subscribe("flood", 0);
    let mut sender = Client::v5(broker.addr(), "sender");
    // More than the kernel holds, and less than --max-outbox.
    for _ in 0..1024 {
        sender.publish("flood", [b'.'; 14 * 1024], 0);
    }
    sender.ping();
    broker.terminate();
    std::thread::sleep(Duration::from_millis(300));
    assert_eq!(taker.recv_publishes(1024).len(), 1024);
    assert_eq!(taker.expect_closed(), Some(0x8b));
    drop((taker, sender));
    assert_eq!(broker.wait(Duration::from_secs(5) + GRACE).and_then(|status| status.code()), Some(0));
}

#[test]
fn sigterm_delivers_the_queues_of_connected_clients() {
    let mut broker = Broker::start();
    let mut taker = Client::v5_with(broker.addr(), "taker", |connect| connect.session_expiry(3600));
    taker.subscribe("queue", 1);
    let mut sender = Client::v5(broker.addr(), "sender");
    // The taker has not acknowledged any: --max-inflight are under way, the others wait in its queue.
    for number in 0..2000 {
        assert_eq!(sender.publish("queue", number.to_string(), 1), 0);
    }
    broker.terminate();
    let texts: Vec<String> = std::iter::from_fn(|| taker.recv_publish(GRACE)).map(|m| m.text()).collect();
    assert_eq!(texts.len(), 2000, "accepted messages ended with the process, though their client took them");
    assert_eq!(taker.expect_closed(), Some(0x8b));
    drop((taker, sender));
    assert_eq!(broker.wait(Duration::from_secs(5) + GRACE).and_then(|status| status.code()), Some(0));
}

#[test]
fn a_client_that_does_not_read_cannot_hold_up_the_stop() {
    let mut broker = Broker::with_args(&["--drain-timeout", "1"]);
    let mut deaf = Client::v5(broker.addr(), "deaf");
    deaf.subscribe("flood", 0);
    let mut sender = Client::v5(broker.addr(), "sender");
    for _ in 0..1500 {
        sender.publish("flood", [b'.'; 16 * 1024], 0);
    }
    sender.ping();
    let begun = Instant::now();
    broker.terminate();
    let status = broker.wait(Duration::from_secs(1) + GRACE);
    assert_eq!(status.and_then(|status| status.code()), Some(0));
    assert!(begun.elapsed() < Duration::from_millis(1_900), "with a limit of 1 s it took {:?}", begun.elapsed());
}

#[test]
fn a_client_that_does_not_acknowledge_cannot_hold_up_the_stop() {
    let mut broker = Broker::with_args(&["--drain-timeout", "1"]);
    let mut idle = Client::v5(broker.addr(), "idle");
    let mut silent = Client::v5_with(broker.addr(), "silent", |connect| connect.session_expiry(3600));
    silent.manual_ack();
    silent.subscribe("queue", 1);
    let mut sender = Client::v5(broker.addr(), "sender");
    for number in 0..1000 {
        sender.publish("queue", number.to_string(), 1);
    }
    let begun = Instant::now();
    broker.terminate();
    assert_eq!(idle.expect_closed(), Some(0x8b));
    assert!(begun.elapsed() < Duration::from_millis(900), "an idle client was told after {:?}", begun.elapsed());
    assert_eq!(silent.expect_closed(), Some(0x8b));
    assert_eq!(broker.wait(GRACE).and_then(|status| status.code()), Some(0));
    assert!(begun.elapsed() < Duration::from_millis(1_900), "with a limit of 1 s it took {:?}", begun.elapsed());
}

#[test]
fn a_killed_broker_is_back_at_once_on_its_port() {
    let mut broker = Broker::start();
    for round in 0..5 {
        let will = Will::new("wills", b"gone");
        let mut client = Client::v5_with(broker.addr(), "client", |connect| connect.will(will));
        client.ping();
        let begun = Instant::now();
        broker.restart();
        assert!(begun.elapsed() < Duration::from_secs(2), "restart {round} took {:?}", begun.elapsed());
        client.expect_closed();
        let again = Client::v5_with(broker.addr(), "client", |connect| connect.clean(false));
        assert!(!again.session_present(), "what is kept in memory only is not promised");
        again.abort();
    }
}

#[test]
fn a_port_in_use_is_named() {
    let broker = Broker::start();
    let story = Launch::new().port(broker.port()).try_start().expect_err("the port is taken");
    assert!(story.contains("exit status: 1"), "{story}");
    assert!(story.contains(&broker.addr().to_string()), "{story}");
    assert!(story.to_lowercase().contains("in use"), "{story}");
    Client::v5(broker.addr(), "still served").ping();
}

#[test]
fn a_bad_option_is_explained() {
    let mut accepted = Vec::new();
    for (options, words) in [
        (&["--user", "nobody"][..], &["--user", "NAME:PASSWORD"][..]),
        (&["--user", ":secret"], &["--user", "NAME:PASSWORD"]),
        (&["--max-packet-size", "1"], &["--max-packet-size", "16"]),
        (&["--max-packet-size", "lots"], &["--max-packet-size", "lots"]),
        (&["--memory-limit=-1"], &["--memory-limit", "-1"]),
        (&["--memory-limit", "0"], &["--memory-limit"]),
        (&["--max-connections", "0"], &["--max-connections"]),
        (&["--receive-maximum", "0"], &["--receive-maximum"]),
        (&["--max-qos", "3"], &["--max-qos"]),
        (&["--node", "a/b"], &["--node", "a/b"]),
        (&["--overflow", "explode"], &["--overflow", "drop-oldest"]),
        (&["--no-such-option"], &["--no-such-option"]),
        (&["--bind", "nowhere"], &["--bind", "nowhere"]),
    ] {
        let Err(story) = Launch::new().args(options).try_start() else {
            accepted.push(options);
            continue;
        };
        let has_code = story.contains("exit status: 1") || story.contains("exit status: 2");
        assert!(has_code, "{options:?}: {story}");
        assert!(words.iter().all(|word| story.contains(word)), "{options:?}: {story}");
        assert!(!story.contains("secret") && !story.contains("panicked"), "{options:?}: {story}");
    }
    assert!(accepted.is_empty(), "{accepted:?} were accepted");
}

#[test]
fn an_option_may_come_from_the_environment() {
    let broker = Launch::new().env("PRIMER_USER", "ann:secret").start();
    let connect = |user: &str, password: &[u8]| {
        let connect = primer_harness::wire::connect(primer_harness::Version::V5, user);
        Client::try_open(broker.addr(), &connect.user(user).password(password)).map(Client::disconnect)
    };
    assert_eq!(connect("ann", b"secret").map_err(|refused| refused.code), Ok(()));
    assert_eq!(connect("ann", b"wrong").map_err(|refused| refused.code), Err(Some(0x86)));
    assert!(!broker.stderr().contains("secret"), "{}", broker.stderr());
}
