//! The broker that the tests share, and the few steps that most of them begin with.
//!
//! Tests that share a broker keep apart by their client identifiers and topics, which begin with the test's subject.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, PoisonError, Weak};

use primer_harness::wire::{Connect, connect};
use primer_harness::{Broker, Client, Raw, Version};

/// The version that all of these tests speak.
pub(crate) const V: Version = Version::V311;

/// CONNACK: accepted, no session present.
pub(crate) const ACCEPTED: [u8; 4] = [0x20, 2, 0, 0];
/// CONNACK: accepted, session present.
pub(crate) const RESUMED: [u8; 4] = [0x20, 2, 1, 0];

/// A broker without options, one for all tests that run at the same time. It ends with the last test that uses it: a
/// value that lived as long as the program would leave the process behind.
pub(crate) fn broker() -> Arc<Broker> {
    static SHARED: Mutex<Weak<Broker>> = Mutex::new(Weak::new());
    let mut shared = SHARED.lock().unwrap_or_else(PoisonError::into_inner);
    shared.upgrade().unwrap_or_else(|| {
        let broker = Arc::new(Broker::start());
        *shared = Arc::downgrade(&broker);
        broker
    })
}

/// A client identifier that no other test has.
pub(crate) fn unique(name: &str) -> String {
    static NUMBER: AtomicU32 = AtomicU32::new(0);
    format!("{name}-{}", NUMBER.fetch_add(1, Ordering::Relaxed))
}

/// A client whose session outlives its connection.
#[track_caller]
pub(crate) fn durable(addr: SocketAddr, id: &str) -> Client {
    Client::v311_with(addr, id, |c| c.clean(false))
}

/// A client whose session outlives its connection and that acknowledges nothing by itself.
#[track_caller]
pub(crate) fn durable_manual(addr: SocketAddr, id: &str) -> Client {
    let mut client = durable(addr, id);
    client.manual_ack();
    client
}

/// A connection that has sent this CONNECT.
#[track_caller]
pub(crate) fn knock(addr: SocketAddr, connect: &Connect) -> Raw {
    let mut raw = Raw::connect(addr);
    raw.send(&connect.build());
    raw
}

/// An accepted connection with a clean session, to send exact bytes on.
#[track_caller]
pub(crate) fn opened(addr: SocketAddr, name: &str) -> Raw {
    let mut raw = knock(addr, &connect(V, &unique(name)));
    raw.expect(&ACCEPTED);
    raw
}

/// Makes sure that the broker closes an accepted connection because of these bytes, with nothing sent before.
#[track_caller]
pub(crate) fn assert_closes(addr: SocketAddr, bytes: &[u8]) {
    let mut raw = opened(addr, "breach");
    raw.send(bytes);
    let answers = raw.recv_until_closed();
    assert!(answers.is_empty(), "{bytes:02x?} was answered with {answers:02x?}");
}

/// Makes sure that the broker takes these bytes: after these answers the connection serves on.
#[track_caller]
pub(crate) fn assert_takes(addr: SocketAddr, bytes: &[u8], answers: &[u8]) {
    let mut raw = opened(addr, "taken");
    raw.send(bytes);
    raw.expect(answers);
    raw.expect_alive();
}

/// Makes sure that the broker closes a fresh connection because of these bytes and sends no CONNACK.
#[track_caller]
pub(crate) fn assert_no_connack(addr: SocketAddr, bytes: &[u8]) {
    let mut raw = Raw::connect(addr);
    raw.send(bytes);
    let answers = raw.recv_until_closed();
    assert!(answers.is_empty(), "{bytes:02x?} was answered with {answers:02x?}");
}
