//! The broker that the tests share, and the few steps that most of them begin with.
//!
//! Tests that share a broker keep apart by their client identifiers and topics, which begin with the test's subject.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, PoisonError, Weak};

use primer_harness::wire::{self, Connect, connect};
use primer_harness::{Broker, Packet, Prop, Raw, Version};

/// The version that these tests speak.
pub(crate) const V: Version = Version::V5;
/// MALFORMED_PACKET
pub(crate) const MALFORMED: u8 = 0x81;
/// PROTOCOL_ERROR
pub(crate) const PROTOCOL_ERROR: u8 = 0x82;

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

/// A connection that has sent these bytes first.
#[track_caller]
pub(crate) fn knock(addr: SocketAddr, bytes: &[u8]) -> Raw {
    let mut raw = Raw::connect(addr);
    raw.send(bytes);
    raw
}

/// An accepted connection, to send exact bytes on.
#[track_caller]
pub(crate) fn opened(addr: SocketAddr, name: &str) -> Raw {
    opened_with(addr, &connect(V, &unique(name))).0
}

/// A connection that was accepted with this CONNECT: whether a session was present, and the properties of the CONNACK.
#[track_caller]
pub(crate) fn opened_with(addr: SocketAddr, packet: &Connect) -> (Raw, bool, Vec<Prop>) {
    let mut raw = knock(addr, &packet.build());
    match raw.recv(true) {
        Packet::Connack { session_present, code: 0, props } => (raw, session_present, props),
        other => panic!("{packet:?} was answered with {other:02x?}"),
    }
}

/// Makes sure that these bytes, as the first ones of a connection, are refused: closed, with one of these codes in a
/// CONNACK or with none.
#[track_caller]
pub(crate) fn assert_not_let_in(addr: SocketAddr, bytes: &[u8], codes: &[u8]) {
    let code = knock(addr, bytes).expect_refused(true);
    assert!(code.is_none_or(|code| codes.contains(&code)), "{code:02x?} is none of {codes:02x?}: {bytes:02x?}");
}

/// Makes sure that a CONNECT is refused with this code and closed.
#[track_caller]
pub(crate) fn assert_refused(addr: SocketAddr, packet: &Connect, code: u8) {
    assert_eq!(knock(addr, &packet.build()).expect_refused(true), Some(code), "{packet:02x?}");
}

/// Makes sure that the broker ends an accepted connection because of these bytes, with a DISCONNECT of this reason.
#[track_caller]
pub(crate) fn assert_closes(addr: SocketAddr, bytes: &[u8], reason: u8) {
    let mut raw = opened(addr, "breach");
    raw.send(bytes);
    assert_eq!(raw.expect_refused(true), Some(reason), "{bytes:02x?}");
}

/// Makes sure that the broker takes these bytes, whatever it answers: the connection serves on.
#[track_caller]
pub(crate) fn assert_takes(addr: SocketAddr, bytes: &[u8]) {
    let mut raw = opened(addr, "taken");
    raw.send(&[bytes, &wire::pingreq()].concat());
    loop {
        match raw.recv(true) {
            Packet::Pingresp => return,
            Packet::Disconnect { reason, .. } => panic!("{bytes:02x?} was answered with DISCONNECT {reason:#04x}"),
            _ => {}
        }
    }
}
