//! How many connections, how fast, and how long they may be silent.

use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use primer_harness::sys::await_sys;
use primer_harness::wire::{self, Packet, Will, prop};
use primer_harness::{Broker, Client, Raw, Received, Version};

use super::{longest_stall_during, resident_megabytes};

#[test]
fn the_connection_beyond_the_limit_is_shed_and_the_others_go_on() {
    let broker = Broker::with_args(&["--max-connections", "3", "--sys-interval", "1"]);
    let mut clients: Vec<Client> = (0..3).map(|n| Client::v5(broker.addr(), &format!("c{n}"))).collect();
    for _ in 0..10 {
        let mut extra = Raw::connect(broker.addr());
        let _ = extra.try_send(&wire::connect(Version::V5, "extra").build());
        assert_eq!(extra.expect_refused(true), None, "it is closed without a word");
    }
    for client in &mut clients {
        client.ping();
    }
    clients.pop().expect("three clients").disconnect();
    // It is taken off the count when its connection has ended for the broker, too.
    let deadline = Instant::now() + Duration::from_secs(5);
    while Client::try_open(broker.addr(), &wire::connect(Version::V5, "next")).is_err() {
        assert!(Instant::now() < deadline, "the place of a client that left is not given to another");
        std::thread::sleep(Duration::from_millis(10));
    }
    clients.pop().expect("two clients").disconnect();
    await_sys(&broker, "connections/shed", |count| count >= 10);
}

#[test]
fn the_connection_rate_holds_and_nobody_is_refused() {
    let broker = Broker::with_args(&["--max-connection-rate", "40"]);
    let begun = Instant::now();
    let (clients, stall) = longest_stall_during(&broker, "early", || {
        // One second's worth goes at once, then forty a second.
        (0..120).map(|n| Client::v5(broker.addr(), &format!("c{n}"))).collect::<Vec<_>>()
    });
    let took = begun.elapsed();
    assert!(took >= Duration::from_millis(1_800), "120 connections took {took:?} at 40 a second");
    assert!(took < Duration::from_secs(8), "120 connections took {took:?} at 40 a second");
    assert!(stall < Duration::from_secs(1), "a connected client waited for {stall:?}");
    for mut client in clients {
        client.ping();
    }
}

#[test]
fn a_connection_without_a_whole_connect_is_closed_in_time() {
    let broker = Broker::with_args(&["--connect-timeout", "1"]);
    let mut silent = Raw::connect(broker.addr());
    let mut halting = Raw::connect(broker.addr());
    let connect = wire::connect(Version::V5, "halting").build();
    let begun = Instant::now();
    // A byte now and then does not buy more time.
    let mut bytes = connect[..connect.len() - 1].iter();
    while begun.elapsed() < Duration::from_millis(900) {
        if let Some(byte) = bytes.next() {
            halting.send(&[*byte]);
        }
        std::thread::sleep(Duration::from_millis(50));
    }
    assert_eq!(silent.recv_within(Duration::ZERO), Received::Silence, "it was closed too early");
    silent.expect_closed();
    assert_eq!(halting.expect_refused(true).unwrap_or(0x87) & 0x80, 0x80);
    let took = begun.elapsed();
    assert!((1_000..3_000).contains(&took.as_millis()), "closed after {took:?} with a limit of 1 s");
    let mut client = Client::v5(broker.addr(), "quick");
    std::thread::sleep(Duration::from_millis(1_100));
    client.ping();
}

/// Lets this process have more open files, as a shell does with `ulimit -n`; tells how many it may have now.
fn raise_open_files(wanted: u32) -> usize {
    let pid = std::process::id().to_string();
    let mut prlimit = Command::new("prlimit");
    prlimit.args(["--pid", &pid, &format!("--nofile={wanted}:")]).stderr(Stdio::null());
    let _ = prlimit.status(); // where it is missing or refused the limit is what it was
    let limits = std::fs::read_to_string("/proc/self/limits").unwrap_or_default();
    let line = limits.lines().find(|line| line.starts_with("Max open files")).unwrap_or_default();
    line.split_ascii_whitespace().nth(3).and_then(|soft| soft.parse().ok()).unwrap_or(1024)
}

#[test]
fn two_thousand_idle_connections_are_held_at_once() {
    let count = 2_000.min(raise_open_files(8_192).saturating_sub(300));
    assert!(count >= 500, "this machine allows too few open files to say anything");
    let broker = Broker::with_args(&["--sys-interval", "1"]);
    let mut clients: Vec<Client> = (0..count)
        .map(|n| {
            let mut client = Client::v5_with(broker.addr(), &format!("idle-{n}"), |connect| connect.keep_alive(0));
            client.send(&wire::subscribe(Version::V5, 1, &[("all", 0), (&format!("one/{n}"), 1)]));
            client
        })
        .collect();
    for client in &mut clients {
        assert!(matches!(client.recv_other(primer_harness::TIMEOUT), Some(Packet::Suback { .. })));
    }
    await_sys(&broker, "clients/connected", |connected| connected >= count as u64);
    let megabytes = resident_megabytes(&broker);
    assert!(megabytes < 100, "{count} idle connections take {megabytes} MB");
    let begun = Instant::now();
    let mut publisher = Client::v5(broker.addr(), "publisher");
    publisher.publish("all", "to each", 0);
    for client in &mut clients {
        assert_eq!(client.recv().text(), "to each");
    }
    publisher.publish(&format!("one/{}", count - 1), "to one", 1);
    assert_eq!(clients.last_mut().expect("a client").recv().text(), "to one");
    let took = begun.elapsed();
    assert!(took < Duration::from_secs(5), "a message to {count} clients took {took:?}");
}

#[test]
fn fifty_takeovers_keep_the_session() {
    let broker = Broker::start();
    let open = |will_delay: u32| {
        let will = Will::new("wills", b"gone").qos(1).props(&[prop::will_delay_interval(will_delay)]);
        Client::v5_with(broker.addr(), "contested", |c| c.clean(false).session_expiry(3600).will(will))
    };
    let mut watcher = Client::v5(broker.addr(), "watcher");
    watcher.subscribe("wills", 1);
    let mut publisher = Client::v5(broker.addr(), "publisher");
    let mut holder = open(60);
    holder.subscribe("work", 1);
    let mut received = Vec::new();
    for number in 0..50 {
        assert_eq!(publisher.publish("work", format!("{number}"), 1), 0);
        let next = open(60);
        assert!(next.session_present(), "takeover {number}");
        assert_eq!(holder.expect_closed(), Some(0x8e), "takeover {number}");
        while let Some(message) = holder.recv_publish(Duration::ZERO) {
            received.push(message.text());
        }
        holder = next;
    }
    while let Some(message) = holder.recv_publish(Duration::from_millis(300)) {
        received.push(message.text());
    }
    // What was taken away before it was acknowledged comes again: doubles are allowed, gaps and disorder are not.
    let mut firsts: Vec<String> = Vec::new();
    received.into_iter().for_each(|text| {
        if !firsts.contains(&text) {
            firsts.push(text);
        }
    });
    assert_eq!(firsts, (0..50).map(|number| number.to_string()).collect::<Vec<_>>());
    watcher.expect_no_publish_before_ping();
    for _ in 0..5 {
        let next = open(0);
        assert_eq!(holder.expect_closed(), Some(0x8e));
        holder = next;
    }
    // The first of these five took over a connection whose will had to wait; the others' wills were due at once.
    assert_eq!(watcher.recv_publishes(4).len(), 4);
    watcher.expect_no_publish_before_ping();
    holder.abort();
    assert_eq!(watcher.recv().text(), "gone");
}

#[test]
fn of_many_who_want_one_client_id_at_once_one_has_it() {
    let broker = Broker::start();
    let first = Client::v5_with(broker.addr(), "wanted", |c| c.session_expiry(3600));
    let opened: Vec<Client> = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..8)
            .map(|_| {
                scope.spawn(|| {
                    let open = || Client::v5_with(broker.addr(), "wanted", |c| c.clean(false).session_expiry(3600));
                    (0..12).map(|_| open()).collect::<Vec<_>>()
                })
            })
            .collect();
        threads.into_iter().flat_map(|thread| thread.join().expect("all are let in")).collect()
    });
    assert!(opened.iter().all(Client::session_present));
    let mut holders = 0;
    for mut client in opened.into_iter().chain([first]) {
        match client.raw().recv_within(primer_harness::SILENCE) {
            Received::Packet(bytes) => assert_eq!(wire::parse(&bytes, true).reason(), Some(0x8e)),
            Received::Closed => panic!("closed without a reason"),
            Received::Silence => {
                client.subscribe("alive", 1);
                assert_eq!(client.publish("alive", "x", 1), 0);
                assert_eq!(client.recv().text(), "x");
                holders += 1;
            }
        }
    }
    assert_eq!(holders, 1);
}
