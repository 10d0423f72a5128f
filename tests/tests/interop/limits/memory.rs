//! The memory limit: what would go beyond it is refused, and what is there can still be fetched.

use std::time::{Duration, Instant};

use primer_harness::wire;
use primer_harness::{Broker, Client, Version};

use super::{longest_stall_during, resident_megabytes};

const PAYLOAD: [u8; 16 * 1024] = [b'.'; 16 * 1024];
const QUOTA_EXCEEDED: u8 = 0x97;

/// As many messages of this payload as could not fit into 8 MiB.
const MORE_THAN_FIT: usize = 1024;

/// A broker with 8 MiB, and a client of a session that stays, which is away.
fn broker_with_a_sleeper() -> Broker {
    let broker = Broker::with_args(&["--memory-limit", "8M", "--sys-interval", "1"]);
    let mut sleeper = sleeper(&broker);
    sleeper.subscribe("work", 1);
    sleeper.disconnect();
    broker
}

fn sleeper(broker: &Broker) -> Client {
    Client::v5_with(broker.addr(), "sleeper", |connect| connect.clean(false).session_expiry(3600))
}

/// Publishes until one is refused; tells how many were accepted.
#[track_caller]
fn fill(publisher: &mut Client) -> usize {
    for accepted in 0..MORE_THAN_FIT {
        match publisher.publish("work", PAYLOAD, 1) {
            0 => {}
            QUOTA_EXCEEDED => return accepted,
            other => panic!("reason {other:#04x} where the memory is spent"),
        }
    }
    panic!("{MORE_THAN_FIT} messages of 16 KiB were accepted with a memory limit of 8 MiB");
}

#[test]
fn beyond_the_limit_publishers_hear_it_and_the_others_live_on() {
    let mut broker = broker_with_a_sleeper();
    let mut publisher = Client::v5(broker.addr(), "publisher");
    let mut reader = Client::v5(broker.addr(), "reader");
    reader.subscribe("live", 0);
    let (accepted, stall) = longest_stall_during(&broker, "early", || fill(&mut publisher));
    assert!(accepted >= 256, "only {accepted} messages of 16 KiB fit into 8 MiB");
    assert!(stall < Duration::from_secs(1), "another client waited for {stall:?}");
    publisher.publish("live", "QoS 0 needs no memory", 0);
    assert_eq!(reader.recv().text(), "QoS 0 needs no memory");
    assert_eq!(publisher.publish("work", PAYLOAD, 2), QUOTA_EXCEEDED, "at QoS 2 too");
    publisher.ping();
    assert_eq!(broker.wait(Duration::ZERO), None, "the broker runs");
}

#[test]
fn the_client_that_the_memory_is_spent_on_can_fetch_it() {
    let broker = broker_with_a_sleeper();
    let mut publisher = Client::v5(broker.addr(), "publisher");
    let accepted = fill(&mut publisher);
    let mut sleeper = sleeper(&broker);
    assert!(sleeper.session_present());
    assert_eq!(sleeper.recv_publishes(accepted).len(), accepted);
    sleeper.ping();
    let deadline = Instant::now() + Duration::from_secs(5);
    while publisher.publish("work", "again", 1) != 0 {
        assert!(Instant::now() < deadline, "nothing is accepted though all of it was fetched");
        std::thread::sleep(Duration::from_millis(20));
    }
    assert_eq!(sleeper.recv().text(), "again");
}

#[test]
fn an_older_publisher_is_disconnected_rather_than_told_a_lie() {
    let broker = broker_with_a_sleeper();
    fill(&mut Client::v5(broker.addr(), "publisher"));
    // Connected before it was full would be fair, too; but then its own PUBACK decides.
    let mut older = match Client::try_open(broker.addr(), &wire::connect(Version::V311, "older")) {
        Ok(client) => client,
        Err(refused) => {
            assert_eq!(refused.code, Some(3), "server unavailable");
            return;
        }
    };
    older.send(&wire::publish(Version::V311, "work", &PAYLOAD).qos(1, 1).build());
    assert_eq!(older.expect_closed(), None);
    assert_eq!(older.recv_other(Duration::ZERO), None, "no PUBACK for a message that was not kept");
}

#[test]
fn retained_messages_are_held_to_the_limit() {
    let broker = Broker::with_args(&["--memory-limit", "8M"]);
    let mut publisher = Client::v5(broker.addr(), "publisher");
    let kept = (0..MORE_THAN_FIT).find(|n| match publisher.publish_retained(&format!("kept/{n}"), PAYLOAD, 1) {
        0x10 => false, // nobody subscribes; it is kept
        QUOTA_EXCEEDED => true,
        other => panic!("reason {other:#04x} where the memory is spent"),
    });
    let kept = kept.expect("1,024 retained messages of 16 KiB do not fit into 8 MiB");
    assert!(kept >= 256, "only {kept} retained messages of 16 KiB fit into 8 MiB");
    for number in 0..kept {
        publisher.publish_retained(&format!("kept/{number}"), "", 1);
    }
    assert_eq!(publisher.publish_retained("kept/again", PAYLOAD, 1), 0x10, "there is room again");
}

#[test]
fn consumers_that_do_not_read_are_held_to_the_limit() {
    let broker = Broker::with_args(&["--memory-limit", "8M"]);
    let mut publisher = Client::v5(broker.addr(), "publisher");
    let mut deaf: Vec<Client> = (0..10).map(|n| Client::v5(broker.addr(), &format!("deaf-{n}"))).collect();
    for client in &mut deaf {
        client.subscribe("flood", 0);
    }
    let packet = wire::publish(Version::V5, "flood", &PAYLOAD).build();
    let ((), stall) = longest_stall_during(&broker, "other", || {
        for _ in 0..1_500 {
            publisher.send(&packet);
        }
        publisher.ping();
    });
    let megabytes = resident_megabytes(&broker);
    assert!(megabytes < 64, "{megabytes} MB with a memory limit of 8 MB");
    assert!(stall < Duration::from_secs(1), "another client waited for {stall:?}");
    drop(deaf);
    let deadline = Instant::now() + Duration::from_secs(5);
    while Client::try_open(broker.addr(), &wire::connect(Version::V5, "late")).is_err() {
        assert!(Instant::now() < deadline, "they are gone, and still nobody is let in");
        std::thread::sleep(Duration::from_millis(20));
    }
}

#[test]
fn packets_that_never_end_are_held_to_the_limit() {
    let broker = Broker::with_args(&["--memory-limit", "16M"]);
    let mut senders: Vec<Client> = (0..30).map(|n| Client::v5(broker.addr(), &format!("half-{n}"))).collect();
    let whole = wire::publish(Version::V5, "large", &vec![b'.'; 12 * 1024 * 1024]).build();
    let half = &whole[..4 * 1024 * 1024];
    let ((), stall) = longest_stall_during(&broker, "other", || {
        for sender in &mut senders {
            // What is beyond the limit may be refused, or not be read.
            sender.raw().stream().set_write_timeout(Some(Duration::from_millis(50))).expect("a limit on writes");
            let _ = sender.raw().try_send(half);
        }
    });
    let megabytes = resident_megabytes(&broker);
    assert!(megabytes < 80, "{megabytes} MB with a memory limit of 16 MB");
    assert!(stall < Duration::from_secs(1), "another client waited for {stall:?}");
}

/// A consumer that read most of what was gathered for it kept the memory of all of it, charged with the rest alone.
#[test]
fn what_a_consumer_has_read_is_given_back_before_it_has_read_all() {
    const CONSUMERS: usize = 6;
    let broker = Broker::with_args(&["--max-outbox", "16M"]);
    let packet = wire::publish(Version::V5, "flood", &PAYLOAD).build();
    let mut slow: Vec<Client> = (0..CONSUMERS).map(|n| Client::v5(broker.addr(), &format!("slow-{n}"))).collect();
    for client in &mut slow {
        client.subscribe("flood", 0);
    }
    let mut publisher = Client::v5(broker.addr(), "publisher");
    for _ in 0..1_600 {
        publisher.send(&packet);
    }
    publisher.ping();
    let full = resident_megabytes(&broker);
    assert!(full > CONSUMERS * 16, "{full} MB, though 16 MB wait for each consumer");
    for client in &mut slow {
        assert_eq!(client.recv_publishes(900).len(), 900, "more waits, beyond what the kernel holds");
    }
    let deadline = Instant::now() + Duration::from_secs(5);
    while resident_megabytes(&broker) > full / 2 {
        assert!(Instant::now() < deadline, "{} MB of {full} MB are held", resident_megabytes(&broker));
        std::thread::sleep(Duration::from_millis(20));
    }
}
