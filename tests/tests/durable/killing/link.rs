//! A connection to a broker that may be gone at any moment: nothing here panics because of that.

use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use primer_harness::raw::Received;
use primer_harness::wire::{self, Connect, Packet};
use primer_harness::{Raw, TIMEOUT, Version};

#[derive(Debug)]
pub(super) struct Link {
    raw: Raw,
    v5: bool,
    pub(super) session_present: bool,
}

/// What came.
#[derive(Debug)]
pub(super) enum Came {
    Packet(Packet),
    Nothing,
    /// The broker is gone.
    End,
}

/// The CONNECT of a session that lasts.
pub(super) fn lasting(version: Version, id: &str) -> Connect {
    wire::connect(version, id).clean(false).session_expiry(3600)
}

impl Link {
    /// Connects; `None` when the broker is not there, or goes meanwhile.
    pub(super) fn open(addr: SocketAddr, connect: &Connect) -> Option<Self> {
        let stream = TcpStream::connect_timeout(&addr, TIMEOUT).ok()?;
        let mut link = Self { raw: Raw::over(stream), v5: connect.version.is_v5(), session_present: false };
        if !link.send(&connect.build()) {
            return None;
        }
        match link.recv(TIMEOUT) {
            Came::Packet(Packet::Connack { session_present, code: 0, .. }) => {
                link.session_present = session_present;
                Some(link)
            }
            // It stops, or is gone.
            Came::Packet(Packet::Connack { code: 3 | 0x88 | 0x8b, .. }) | Came::End => None,
            other => panic!("{} awaited a CONNACK: {other:02x?}", connect.id),
        }
    }

    /// Sends; answers whether the broker is there.
    pub(super) fn send(&mut self, bytes: &[u8]) -> bool {
        self.raw.try_send(bytes).is_ok()
    }

    pub(super) fn recv(&mut self, wait: Duration) -> Came {
        match self.raw.recv_within(wait) {
            Received::Packet(bytes) => Came::Packet(wire::parse(&bytes, self.v5)),
            Received::Silence => Came::Nothing,
            Received::Closed => Came::End,
        }
    }
}

/// A limit for what a thread waits for: it panics when its time is up.
#[derive(Debug)]
pub(super) struct Patience(Instant);

impl Patience {
    pub(super) fn new(limit: Duration) -> Self {
        Self(Instant::now() + limit)
    }

    #[track_caller]
    pub(super) fn check(&self, story: impl FnOnce() -> String) {
        assert!(Instant::now() < self.0, "{}", story());
    }
}
