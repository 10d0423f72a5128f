//! What the server counts, with relaxed atomics; a hot path adds up a batch first and comes here once.

use std::sync::atomic::{AtomicU64, Ordering};

macro_rules! counters {
    ($($field:ident: $text:literal,)*) => {
        /// Totals since the start.
        #[derive(Debug, Default)]
        pub(crate) struct Counters {
            $(#[doc = $text] pub(crate) $field: Count,)*
        }
    };
}

counters! {
    packets_received: "Control packets received.",
    packets_sent: "Control packets sent, without PUBLISH packets.",
    publishes_received: "PUBLISH packets received.",
    publishes_sent: "PUBLISH packets sent.",
    publish_bytes_received: "Payload bytes received.",
    publish_bytes_sent: "Payload bytes sent.",
    bytes_received: "Bytes read from sockets.",
    bytes_sent: "Bytes written to sockets.",
    sockets: "Connections accepted.",
    connects: "CONNECTs that were answered with success.",
    sessions_expired: "Sessions that ended by their expiry.",
    taken_over: "Connections that ended because their client identifier connected again.",
    refused_connects: "CONNECTs that were refused.",
    shed_connections: "Connections closed unread because a limit was reached.",
    violations: "Connections that ended because the client broke the protocol.",
    slow_closed: "Connections closed because the client did not read.",
}

/// One counter.
#[derive(Debug, Default)]
pub(crate) struct Count(AtomicU64);

impl Count {
    pub(crate) fn add(&self, n: u64) {
        if n > 0 {
            self.0.fetch_add(n, Ordering::Relaxed);
        }
    }

    pub(crate) fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// How many there are now, and the most there were.
#[derive(Debug, Default)]
pub(crate) struct Gauge {
    now: AtomicU64,
    max: AtomicU64,
}

impl Gauge {
    pub(crate) fn up(&self) -> u64 {
        let now = self.now.fetch_add(1, Ordering::Relaxed) + 1;
        self.max.fetch_max(now, Ordering::Relaxed);
        now
    }

    pub(crate) fn down(&self) {
        self.now.fetch_sub(1, Ordering::Relaxed);
    }

    pub(crate) fn get(&self) -> u64 {
        self.now.load(Ordering::Relaxed)
    }

    pub(crate) fn max(&self) -> u64 {
        self.max.load(Ordering::Relaxed)
    }
}
