//! Wills over a restart: of clients that had gone and whose delay runs, and of those that the broker's end cut off.

use std::time::{Duration, Instant};

use primer_harness::wire::{Will, prop};
use primer_harness::{Broker, Client, SILENCE, Version};

use crate::fixture::{Stop, await_that, bounce, broker, each, end, fetch, lasting, settle, sleeper, texts};

/// A client with a session that lasts, and a will.
#[track_caller]
fn with_will(broker: &Broker, version: Version, id: &str, expiry: u32, delay: u32) -> Client {
    let props = [prop::will_delay_interval(delay), prop::content_type("will")];
    let will = Will::new("will/x", id.as_bytes()).qos(1).props(&props[usize::from(delay == 0)..]);
    Client::connect_with(broker.addr(), version, id, |c| c.clean(false).session_expiry(expiry).will(will))
}

/// Waits until the broker has seen that the client is gone.
#[track_caller]
fn await_gone(broker: &Broker, id: &str) {
    let line = format!("Client {id} disconnected");
    await_that("the broker sees that the client is gone", Duration::from_secs(5), || broker.stderr().contains(&line));
    settle(broker);
}

/// Its connection broke with the broker, and nobody said farewell.
#[test]
fn the_will_of_a_client_that_was_connected_is_published() {
    for (stop, version) in each() {
        let mut broker = broker();
        sleeper(broker.addr(), version, "heir", "will/#", 1);
        let client = with_will(&broker, version, "connected", 600, 0);
        bounce(&mut broker, stop);
        drop(client);
        std::thread::sleep(SILENCE);
        let messages = fetch(broker.addr(), version, "heir", 1);
        assert_eq!(texts(&messages), ["connected"]);
        assert!(!version.is_v5() || messages[0].props == [prop::content_type("will")]);
        bounce(&mut broker, stop);
        std::thread::sleep(SILENCE);
        fetch(broker.addr(), version, "heir", 0);
        assert!(lasting(broker.addr(), version, "connected").session_present());
    }
}

/// A DISCONNECT takes the will back, also for the next process.
#[test]
fn a_will_that_was_taken_back_does_not_come() {
    for (stop, version) in each() {
        let mut broker = broker();
        sleeper(broker.addr(), version, "heir", "will/#", 1);
        with_will(&broker, version, "polite", 600, 0).disconnect();
        with_will(&broker, version, "polite-delayed", 600, u32::from(version.is_v5())).disconnect();
        settle(&broker);
        bounce(&mut broker, stop);
        std::thread::sleep(Duration::from_millis(1300));
        fetch(broker.addr(), version, "heir", 0);
    }
}

/// The CONNECT of the session counts that came last: with another will, or with none.
#[test]
fn the_will_of_the_last_connect_counts() {
    for stop in Stop::BOTH {
        let mut broker = broker();
        sleeper(broker.addr(), Version::V5, "heir", "#", 1);
        with_will(&broker, Version::V5, "other", 600, 0).disconnect();
        with_will(&broker, Version::V5, "none", 600, 0).disconnect();
        let other = Client::v5_with(broker.addr(), "other", |c| {
            c.clean(false).session_expiry(600).will(Will::new("will/other", b"another").qos(2))
        });
        let none = lasting(broker.addr(), Version::V5, "none");
        bounce(&mut broker, stop);
        drop((other, none));
        std::thread::sleep(SILENCE);
        let messages = fetch(broker.addr(), Version::V5, "heir", 1);
        assert_eq!((messages[0].topic.as_str(), messages[0].text().as_str()), ("will/other", "another"));
    }
}

/// The delay runs on over the restart: the will is not published before it is over, and not much later.
#[test]
fn a_delay_runs_on_over_a_restart() {
    for stop in Stop::BOTH {
        let mut broker = broker();
        let client = with_will(&broker, Version::V5, "delayed", 600, 3);
        let gone = Instant::now();
        client.abort();
        await_gone(&broker, "delayed");
        bounce(&mut broker, stop);
        let mut heir = Client::v5(broker.addr(), "heir");
        heir.subscribe("will/#", 1);
        assert!(gone.elapsed() < Duration::from_secs(3), "the start took too long for this test");
        assert_eq!(heir.recv().text(), "delayed");
        let after = gone.elapsed();
        assert!(after >= Duration::from_millis(2900) && after < Duration::from_secs(6), "after {after:?}");
        bounce(&mut broker, stop);
        let mut heir = Client::v5(broker.addr(), "heir");
        heir.subscribe("will/#", 1);
        heir.expect_no_publish(SILENCE);
    }
}

/// What is due while the broker is down is published when it starts.
#[test]
fn a_will_that_is_due_while_the_broker_is_down_comes_with_the_start() {
    for stop in Stop::BOTH {
        let mut broker = broker();
        sleeper(broker.addr(), Version::V5, "heir", "will/#", 2);
        with_will(&broker, Version::V5, "due", 600, 1).abort();
        with_will(&broker, Version::V5, "ended", 1, 500).abort(); // the end of the session is the end of the delay
        await_gone(&broker, "due");
        await_gone(&broker, "ended");
        end(&mut broker, stop);
        std::thread::sleep(Duration::from_millis(1300));
        broker.start_again();
        std::thread::sleep(SILENCE);
        let mut got = texts(&fetch(broker.addr(), Version::V5, "heir", 2));
        got.sort_unstable();
        assert_eq!(got, ["due", "ended"]);
        let alive = |id: &str| lasting(broker.addr(), Version::V5, id).session_present();
        assert!(alive("due") && !alive("ended"));
    }
}

/// The client that is back in time has its will dropped, whichever process it left it with.
#[test]
fn a_client_that_comes_back_after_the_restart_cancels_its_will() {
    for stop in Stop::BOTH {
        let mut broker = broker();
        sleeper(broker.addr(), Version::V5, "heir", "will/#", 1);
        let gone = with_will(&broker, Version::V5, "back-1", 600, 2);
        gone.abort();
        await_gone(&broker, "back-1");
        let cut = with_will(&broker, Version::V5, "back-2", 600, 2);
        bounce(&mut broker, stop);
        drop(cut);
        let back: Vec<_> = ["back-1", "back-2"].map(|id| lasting(broker.addr(), Version::V5, id)).into();
        assert!(back.iter().all(Client::session_present));
        std::thread::sleep(Duration::from_millis(2300));
        fetch(broker.addr(), Version::V5, "heir", 0);
        bounce(&mut broker, stop);
        std::thread::sleep(SILENCE);
        fetch(broker.addr(), Version::V5, "heir", 0);
    }
}

/// A will is published and taken back in one step: killed at any moment around it, it comes once.
#[test]
fn a_will_comes_once_wherever_the_broker_is_killed() {
    for round in 0..8_u64 {
        let mut broker = broker();
        sleeper(broker.addr(), Version::V5, "heir", "will/#", 2);
        with_will(&broker, Version::V5, "once", 600, 0).abort();
        std::thread::sleep(Duration::from_micros(round * 700));
        for _ in 0..2 {
            bounce(&mut broker, Stop::Kill);
            std::thread::sleep(Duration::from_millis(20));
        }
        std::thread::sleep(SILENCE);
        assert_eq!(texts(&fetch(broker.addr(), Version::V5, "heir", 1)), ["once"], "round {round}");
    }
}

/// A retained will is retained.
#[test]
fn a_retained_will_is_kept() {
    let mut broker = broker();
    let will = Will::new("will/kept", b"state: gone").qos(1).retain();
    let client = Client::v311_with(broker.addr(), "keeper", |c| c.clean(false).will(will));
    bounce(&mut broker, Stop::Kill);
    drop(client);
    std::thread::sleep(SILENCE);
    settle(&broker);
    bounce(&mut broker, Stop::Kill);
    let mut looker = Client::v311(broker.addr(), "looker");
    looker.subscribe("will/#", 1);
    let kept = looker.recv();
    assert_eq!((kept.text().as_str(), kept.retain), ("state: gone", true));
}
