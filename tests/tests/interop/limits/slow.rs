//! Clients that do not read: messages at QoS 0 are dropped and counted, and nobody waits for them.

use std::io::ErrorKind;
use std::time::{Duration, Instant};

use primer_harness::sys::await_sys;
use primer_harness::wire::{self, Will};
use primer_harness::{Broker, Client, Version};

/// The payload of one message, and how many there are: 64 MiB, more than the kernel holds for a connection.
const PAYLOAD_BYTES: usize = 16 * 1024;
const MESSAGES: u64 = 4096;

const OPTIONS: [&str; 4] = ["--max-outbox", "64K", "--sys-interval", "1"];

/// Publishes all of it with QoS 0; tells how long the broker took to take it.
fn publish_all(broker: &Broker) -> Duration {
    let mut publisher = Client::v5(broker.addr(), "publisher");
    let packet = wire::publish(Version::V5, "flood", &vec![b'.'; PAYLOAD_BYTES]).build();
    let begun = Instant::now();
    for _ in 0..MESSAGES {
        publisher.send(&packet);
    }
    publisher.ping();
    begun.elapsed()
}

/// Floods a consumer that does not read until the flood is over; tells how many messages it got of those that waited.
#[track_caller]
fn waited_for_a_slow_consumer(max_outbox: &str) -> u64 {
    let broker = Broker::with_args(&["--max-outbox", max_outbox, "--sys-interval", "1"]);
    let mut slow = Client::v5(broker.addr(), "slow");
    slow.subscribe("flood", 0);
    let took = publish_all(&broker);
    assert!(took < Duration::from_secs(10), "the publisher was held up for {took:?}");
    let dropped = await_sys(&broker, "drops/slow_consumer", |count| count > 0);
    let mut received = 0;
    while slow.recv_publish(Duration::from_millis(500)).is_some() {
        received += 1;
    }
    assert_eq!(received + dropped, MESSAGES, "{received} were received and {dropped} dropped");
    let mut publisher = Client::v5(broker.addr(), "publisher");
    publisher.publish("flood", "after", 0);
    assert_eq!(slow.recv().text(), "after", "a consumer that reads again gets messages again");
    received
}

#[test]
fn what_a_slow_consumer_does_not_read_is_dropped_and_counted() {
    let small = waited_for_a_slow_consumer("64K");
    let large = waited_for_a_slow_consumer("16M");
    // Beside the outbox the kernel holds some, in both cases: 16 MiB are 1,024 messages.
    assert!(small > 0 && large > small + 512, "{small} messages waited with 64 KiB, {large} with 16 MiB");
}

#[test]
fn a_slow_consumer_does_not_slow_another() {
    let broker = Broker::with_args(&["--max-outbox", "1M"]);
    let mut slow = Client::v5(broker.addr(), "slow");
    slow.subscribe("flood", 0);
    let mut quick = Client::v5(broker.addr(), "quick");
    quick.subscribe("flood", 1);
    let mut publisher = Client::v5(broker.addr(), "publisher");
    let payload = vec![b'.'; PAYLOAD_BYTES];
    let begun = Instant::now();
    for _ in 0..MESSAGES / 2 {
        assert_eq!(publisher.publish("flood", &payload, 1), 0);
        assert_eq!(quick.recv().payload.len(), PAYLOAD_BYTES);
    }
    let took = begun.elapsed();
    assert!(took < Duration::from_secs(15), "2,048 messages to a quick consumer took {took:?}");
}

#[test]
fn a_slow_consumer_is_disconnected_where_that_is_asked_for() {
    let broker = Broker::with_args(&[&OPTIONS[..], &["--disconnect-slow-consumers"]].concat());
    let mut watcher = Client::v5(broker.addr(), "watcher");
    watcher.subscribe("wills", 0);
    let mut slow = Client::v5_with(broker.addr(), "slow", |connect| connect.will(Will::new("wills", b"too slow")));
    slow.subscribe("flood", 0);
    // With pauses: when the buffer overflows nothing moves in the socket any more, so that nothing but the overflow
    // itself can bring the connection to its end.
    let mut publisher = Client::v5(broker.addr(), "publisher");
    for _ in 0..MESSAGES / 4 {
        publisher.publish("flood", [b'.'; PAYLOAD_BYTES], 0);
        publisher.ping();
        std::thread::sleep(Duration::from_millis(1));
    }
    await_sys(&broker, "drops/slow_consumer", |count| count > 0);
    // The client itself reads nothing: that it is gone shows by its will.
    let will = watcher.recv_publish(Duration::from_secs(5));
    assert_eq!(will.map(|will| will.text()).as_deref(), Some("too slow"), "its connection ends though it never reads");
    await_sys(&broker, "connections/slow_closed", |count| count == 1);
    slow.expect_closed();
}

/// Sends the packet again and again and reads nothing, until the broker closes the connection.
#[track_caller]
fn send_until_closed(client: &mut Client, packet: &[u8]) {
    const BYTES_MAX: usize = 256 * 1024 * 1024;
    let block = packet.repeat((64 * 1024 / packet.len()).max(1));
    for _ in 0..BYTES_MAX / block.len() {
        match client.raw().try_send(&block) {
            Ok(()) => {}
            Err(error) if matches!(error.kind(), ErrorKind::BrokenPipe | ErrorKind::ConnectionReset) => return,
            Err(error) => panic!("the connection was neither served nor closed: {error}"),
        }
    }
    panic!("{BYTES_MAX} bytes of questions were taken from a client that reads no answers");
}

#[test]
fn a_client_that_never_reads_its_answers_is_closed() {
    for (version, packet) in
        [(Version::V311, wire::pingreq()), (Version::V5, wire::subscribe(Version::V5, 1, &[("a", 0); 64]))]
    {
        // One packet more than the outbox holds is not the client's doing: with the default that would be megabytes.
        let broker = Broker::with_args(&["--max-outbox", "64K", "--max-packet-size", "64K"]);
        let mut other = Client::v5_with(broker.addr(), "other", |connect| connect.keep_alive(0));
        let mut deaf = Client::connect_with(broker.addr(), version, "deaf", |connect| connect);
        // Megabytes of answers that wait in the kernel took a debug build longer than the other's keep alive.
        deaf.raw().shrink_receive_buffer();
        send_until_closed(&mut deaf, &packet);
        other.ping();
    }
}
