//! What becomes of publishes that a client may not make.

#![expect(clippy::unwrap_used, reason = "tests fail by panicking")]

use primer_harness::{Client, Launch};

fn serve(config: &str) -> primer_harness::Broker {
    static NEXT: std::sync::atomic::AtomicU32 = std::sync::atomic::AtomicU32::new(0);
    let number = NEXT.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
    let folder = std::env::temp_dir().join(format!("primer-denied-{}-{number}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    std::fs::write(folder.join("acl"), "topic read #\ntopic write a/#\n").unwrap();
    let path = folder.join("primer.toml");
    std::fs::write(&path, format!("[access]\nacl_file = 'acl'\n{config}")).unwrap();
    let broker = Launch::new().args(&["--config", path.to_str().unwrap()]).start();
    std::fs::remove_dir_all(folder).unwrap();
    broker
}

/// Before MQTT 5.0 there is no word for it: the connection is closed, unless the operator wants it otherwise.
#[test]
fn a_denied_publish_ends_an_older_connection() {
    let broker = serve("");
    let mut client = Client::v311(broker.addr(), "old");
    client.send(b"\x32\x06\0\x01b\0\x07x");
    client.expect_closed();
}

#[test]
fn a_denied_publish_is_acknowledged_and_dropped_where_that_is_wanted() {
    let broker = serve("denied_publish = 'drop'\n");
    let mut watcher = Client::v5(broker.addr(), "watcher");
    watcher.subscribe("#", 2);
    let mut client = Client::v311(broker.addr(), "old");
    for qos in 0..=2 {
        assert_eq!(client.publish("b", "denied", qos), 0);
    }
    assert_eq!(client.publish("a/1", "allowed", 1), 0);
    assert_eq!(watcher.recv().topic, "a/1");
    watcher.expect_no_publish_before_ping();
    // A client that can be told is told.
    assert_eq!(Client::v5(broker.addr(), "new").publish("b", "denied", 1), 0x87);
}

/// Whoever writes an ACL file has to see what it denies; a device that tries for ever must not fill the log.
#[test]
fn what_is_denied_is_told_in_the_log() {
    let broker = serve("");
    let mut client = Client::v5(broker.addr(), "curious");
    assert_eq!(client.publish("b", "denied", 1), 0x87);
    let _line = broker.wait_for_line("Denied PUBLISH from curious (q1, r0, 'b')");
    assert_eq!(client.subscribe("$SYS/#", 1), 0x87);
    let _line = broker.wait_for_line("Denied SUBSCRIBE from curious ('$SYS/#')");
    let begun = std::time::Instant::now();
    for _ in 0..500 {
        client.publish("b", "denied", 1);
    }
    // Ten a second, of which the first and the last may be parts; however long it takes here.
    let lines = broker.stderr().lines().filter(|line| line.contains("Denied PUBLISH")).count() as u64;
    let lines_max = 10 * (begun.elapsed().as_secs() + 3);
    assert!(lines <= lines_max, "{lines} lines");
}
