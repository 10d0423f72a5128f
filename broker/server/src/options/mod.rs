//! What an operator may set. Units stand in the names; each default has its reason.

mod listener;

use std::{
    path::{Path, PathBuf},
    time::Duration,
};

use primer::{Definition, NodeOptions, journal};
use primer_core::backlog::{Bounds, OverflowPolicy};
use primer_mqtt::session::ServerOptions;

pub use self::listener::{Bind, CertificateName, ListenerOptions, TlsOptions, WebSocketOptions};

/// What overlapping subscriptions of one client get (MQTT 5.0, 3.3.4).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Overlap {
    /// One copy at the highest QoS with all subscription identifiers.
    OneCopy,
    /// A copy for each matching subscription.
    CopyEach,
}

/// Which member of a share group gets a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ShareStrategy {
    /// Round robin among the members that can take one now, those with free credit first.
    RoundRobin,
    /// All messages of one publisher to one member, as long as the group stays as it is.
    StickyByPublisher,
}

/// Tries a file of the store in another process, which may die of it; says what was wrong.
pub type Prober = fn(&Path) -> Result<(), String>;

/// Where and how messages are kept beyond the process.
#[derive(Debug, Clone)]
pub struct DataOptions {
    /// The folder; it is made if it is missing.
    pub directory: PathBuf,
    /// How its store is to be.
    pub store: journal::Options,
    /// Asked before a file of the store is opened after an unclean stop.
    pub probe: Option<Prober>,
}

/// Everything that the server can be told.
#[derive(Debug, Clone)]
pub struct Options {
    /// Where sessions, their messages, and what is retained are kept; `None` keeps all in memory.
    pub data: Option<DataOptions>,
    /// What publishes wait for until they are acknowledged, by topic filter; of several that match the strictest
    /// counts, and [`Sync`](journal::Sync) of the store where none does. Queues have a word of their own, and keep it.
    /// Without a store it means nothing.
    pub durability: Vec<(String, journal::Sync)>,
    /// Whether a publish that its client may not make is acknowledged and dropped, as other brokers do, before MQTT
    /// 5.0, which has no word for it. Otherwise its connection is closed. A client of 5.0 is told (0x87) either way.
    pub drops_denied: bool,
    /// Whether clients of MQTT 5.0 are told that they may not do something (0x87), and not only that it was not done
    /// (0x80).
    pub reveals_denials: bool,
    /// Queues by pattern: what they are to be.
    pub queues: Vec<(String, Definition)>,
    /// Where it listens, and how.
    pub listeners: Vec<ListenerOptions>,
    /// The node's name in `$SYS/brokers/NAME/...`.
    pub node_name: String,
    /// What is announced to clients and held against them.
    pub protocol: ServerOptions,
    /// Bounds of the node.
    pub node: NodeOptions,
    /// Connections at a time.
    pub connections_max: usize,
    /// New connections a second on all listeners together; 0 for any.
    pub connection_rate_max: u32,
    /// From the connection to its CONNECT, and to the end of the authentication.
    pub connect_timeout: Duration,
    /// Publishes a second that one connection may send before it is read more slowly; 0 for any.
    pub publish_rate_max: u32,
    /// Bytes a second that one connection may send before it is read more slowly; 0 for any.
    pub byte_rate_max: u32,
    /// Bytes that may wait for one slow connection; QoS 0 beyond it is dropped and counted, QoS 1 and 2 wait in the
    /// session's queue.
    pub outbox_bytes_max: usize,
    /// Whether a consumer that is too slow is disconnected (0x97) instead of losing QoS 0 messages.
    pub disconnect_slow_consumers: bool,
    /// Bounds of each session's queue.
    pub queue: Bounds,
    /// Whether what a session's queue has no room for goes to the dead letters of the sessions, `$dead/sessions`.
    pub buries_overflow: bool,
    /// Whether QoS 0 messages are queued for sessions without a connection.
    pub queue_qos0: bool,
    /// Overlapping subscriptions.
    pub overlap: Overlap,
    /// Share groups.
    pub share: ShareStrategy,
    /// Time between two publications of `$SYS`; zero for none.
    pub sys_interval: Duration,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            data: None,
            durability: Vec::new(),
            drops_denied: false,
            reveals_denials: true,
            queues: Vec::new(),
            listeners: ListenerOptions::local(1883),
            node_name: "primer".to_owned(),
            protocol: ServerOptions::default(),
            node: NodeOptions::default(),
            connections_max: 1_000_000,
            connection_rate_max: 0,
            connect_timeout: Duration::from_secs(10),
            publish_rate_max: 0,
            byte_rate_max: 0,
            outbox_bytes_max: 16 * 1024 * 1024,
            disconnect_slow_consumers: false,
            queue: Bounds {
                messages_max: 1_000_000,
                bytes_max: 256 * 1024 * 1024,
                overflow: OverflowPolicy::DropOldest,
            },
            buries_overflow: false,
            queue_qos0: false,
            overlap: Overlap::OneCopy,
            share: ShareStrategy::RoundRobin,
            sys_interval: Duration::from_secs(10),
        }
    }
}
