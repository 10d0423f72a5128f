//! The loads that brokers are compared under.

use primer_mqtt::codec::packet::QoS;

use crate::{
    Load, Loop,
    Scenario::{self, Away, Backlog, Conn, FanIn, FanOut, P2p, Retained, Shared, Wildcard},
};

/// A row of the comparison.
#[derive(Debug, Clone, Copy)]
pub struct Row {
    /// What it is called on the command line.
    pub name: &'static str,
    /// What it is.
    pub title: &'static str,
    scenario: Scenario,
    qos: QoS,
    payload_bytes: usize,
    /// Messages a second of an open loop; 0 for a closed one.
    rate: u32,
    /// Publishers with one message on its way each; 0 for what the load has by itself.
    publishers: u32,
}

const fn row(name: &'static str, title: &'static str, scenario: Scenario, qos: QoS) -> Row {
    Row { name, title, scenario, qos, payload_bytes: 64, rate: 0, publishers: 0 }
}

const AWAY: Row = Row {
    payload_bytes: 200,
    ..row("away-1", "1 publisher to a session that is away, QoS 1, 200 B", Away, QoS::AtLeastOnce)
};

/// All rows. 64-byte payloads and 100 pairs unless said otherwise.
pub const ROWS: &[Row] = &[
    row("p2p-q0", "p2p QoS 0", P2p, QoS::AtMostOnce),
    row("p2p-q1", "p2p QoS 1", P2p, QoS::AtLeastOnce),
    row("p2p-q2", "p2p QoS 2", P2p, QoS::ExactlyOnce),
    Row { payload_bytes: 1024, ..row("p2p-1k", "p2p QoS 0, 1 KiB", P2p, QoS::AtMostOnce) },
    row("fan-in", "fan-in 50 -> 1, QoS 1", FanIn, QoS::AtLeastOnce),
    row("shared", "shared group of 4, 50 publishers, QoS 1", Shared, QoS::AtLeastOnce),
    row("fan-out", "fan-out 1 -> 500, QoS 0", FanOut, QoS::AtMostOnce),
    row("wildcard", "100,000 wildcard filters, QoS 0", Wildcard, QoS::AtMostOnce),
    row("retained", "100,000 retained to `#`, QoS 0", Retained, QoS::AtMostOnce),
    row("backlog", "backlog of 100,000, QoS 1, drain", Backlog, QoS::AtLeastOnce),
    Row { publishers: 1, ..AWAY },
    Row { name: "away-10", title: "10 publishers to a session that is away, QoS 1, 200 B", publishers: 10, ..AWAY },
    Row { name: "away-100", title: "100 publishers to a session that is away, QoS 1, 200 B", publishers: 100, ..AWAY },
    row("conn", "10,000 connections with one filter", Conn, QoS::AtMostOnce),
    Row { rate: 20_000, ..row("paced-q0", "p2p at 20,000 msg/s, QoS 0", P2p, QoS::AtMostOnce) },
    Row { rate: 20_000, ..row("paced-q1", "p2p at 20,000 msg/s, QoS 1", P2p, QoS::AtLeastOnce) },
];

impl Row {
    /// The row of this name.
    #[must_use]
    pub fn find(name: &str) -> Option<Self> {
        ROWS.iter().find(|row| row.name == name).copied()
    }

    pub(super) fn load(&self) -> Load {
        let mut load = Load::new(self.scenario);
        (load.qos, load.payload_bytes) = (self.qos, self.payload_bytes);
        if self.rate > 0 {
            load.rhythm = Loop::Open { rate: f64::from(self.rate) };
        }
        if self.publishers > 0 {
            load.publishers = self.publishers;
            load.rhythm = Loop::Closed { window: 1 };
        }
        match self.scenario {
            Conn => load.subscribers = 10_000,
            Retained => load.filter = Some("#".to_owned()),
            _ => {}
        }
        load
    }
}
