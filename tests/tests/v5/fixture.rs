//! The broker that the tests share, and the few steps that most of them begin with.
//!
//! Tests that share a broker keep apart by their client identifiers and topics, which begin with the test's subject.

use std::cell::RefCell;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, PoisonError, Weak};

use primer_harness::{Broker, Client};

/// MALFORMED_PACKET
pub(crate) const MALFORMED: u8 = 0x81;
/// PROTOCOL_ERROR
pub(crate) const PROTOCOL_ERROR: u8 = 0x82;
/// No Local among the subscription options.
pub(crate) const NO_LOCAL: u8 = 0x04;
/// Retain As Published among the subscription options.
pub(crate) const RETAIN_AS_PUBLISHED: u8 = 0x08;

thread_local! {
    /// The shared brokers that this thread, that is: this test, has asked for.
    static HELD: RefCell<Vec<Arc<Broker>>> = const { RefCell::new(Vec::new()) };
}

/// A broker for all tests that run at the same time. It ends with the last test that has asked for it: a value that
/// lived as long as the program would leave the process behind.
pub(crate) struct Shared {
    running: Mutex<Weak<Broker>>,
    args: &'static [&'static str],
}

impl Shared {
    pub(crate) const fn new(args: &'static [&'static str]) -> Self {
        Self { running: Mutex::new(Weak::new()), args }
    }

    /// The broker, which runs at least until the test's thread ends.
    pub(crate) fn get(&self) -> Arc<Broker> {
        let mut running = self.running.lock().unwrap_or_else(PoisonError::into_inner);
        let broker = running.upgrade().unwrap_or_else(|| Arc::new(Broker::with_args(self.args)));
        *running = Arc::downgrade(&broker);
        HELD.with_borrow_mut(|held| {
            if !held.iter().any(|known| Arc::ptr_eq(known, &broker)) {
                held.push(Arc::clone(&broker));
            }
        });
        broker
    }
}

/// The shared broker without options.
pub(crate) fn broker() -> Arc<Broker> {
    static PLAIN: Shared = Shared::new(&[]);
    PLAIN.get()
}

/// A client identifier that no other test has.
pub(crate) fn unique(name: &str) -> String {
    static NUMBER: AtomicU32 = AtomicU32::new(0);
    format!("{name}-{}", NUMBER.fetch_add(1, Ordering::Relaxed))
}

/// A client whose session outlives its connection by a minute.
#[track_caller]
pub(crate) fn durable(addr: SocketAddr, id: &str) -> Client {
    Client::v5_with(addr, id, |c| c.clean(false).session_expiry(60))
}

/// A client whose session outlives its connection and that acknowledges nothing by itself.
#[track_caller]
pub(crate) fn durable_manual(addr: SocketAddr, id: &str) -> Client {
    let mut client = durable(addr, id);
    client.manual_ack();
    client
}

/// A client that acknowledges nothing by itself.
#[track_caller]
pub(crate) fn manual(addr: SocketAddr, id: &str) -> Client {
    let mut client = Client::v5(addr, id);
    client.manual_ack();
    client
}

/// Sends bytes on a fresh connection that was accepted; gives the reason of the DISCONNECT before the broker closed.
#[track_caller]
pub(crate) fn closed_after(addr: SocketAddr, bytes: &[u8]) -> Option<u8> {
    let mut client = Client::v5(addr, &unique("breach"));
    client.send(bytes);
    client.expect_closed()
}

/// Makes sure that the broker answers these bytes with a DISCONNECT of one of the reasons and a close.
#[track_caller]
pub(crate) fn assert_closed_with(addr: SocketAddr, bytes: &[u8], reasons: &[u8]) {
    let reason = closed_after(addr, bytes);
    assert!(
        reason.is_some_and(|reason| reasons.contains(&reason)),
        "awaited a DISCONNECT of {reasons:02x?}, received {reason:02x?} to {bytes:02x?}"
    );
}

/// Makes sure that bytes which differ only in what is right are taken: the connection serves on afterwards.
#[track_caller]
pub(crate) fn assert_taken(addr: SocketAddr, bytes: &[u8]) {
    let mut client = Client::v5(addr, &unique("taken"));
    client.send(bytes);
    client.ping();
}
