//! The kinds of load: who publishes what, who subscribes to it, and in which stages.

mod plans;

use std::{net::ToSocketAddrs, sync::Arc, time::Duration};

use primer_mqtt::{Version, codec::packet::QoS};

use crate::{
    client::Settings,
    error::BenchError,
    limits::{CLIENTS_MAX, NUMBERS_MAX, WINDOW_MAX},
    process::Process,
    progress::Progress,
    report::Report,
    stage::{Ground, Outcome},
    stamp::STAMP_BYTES,
};

/// A kind of load.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Scenario {
    /// Clients connect, subscribe to a topic of their own, and stay.
    Conn,
    /// Publishers alone.
    Pub,
    /// Subscribers alone; somebody else publishes.
    Sub,
    /// Pairs of a publisher and a subscriber, each with a topic of its own.
    P2p,
    /// Many publishers, few subscribers that get everything.
    FanIn,
    /// Many publishers, one share group.
    Shared,
    /// Few publishers, many subscribers that get everything.
    FanOut,
    /// A new subscription to many retained messages.
    Retained,
    /// A session that comes back to a queue of messages.
    Backlog,
    /// Pairs, each subscriber with a share of many wildcard filters.
    Wildcard,
}

impl Scenario {
    /// The name on the command line and in reports.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Conn => "conn",
            Self::Pub => "pub",
            Self::Sub => "sub",
            Self::P2p => "p2p",
            Self::FanIn => "fan-in",
            Self::Shared => "shared",
            Self::FanOut => "fan-out",
            Self::Retained => "retained",
            Self::Backlog => "backlog",
            Self::Wildcard => "wildcard",
        }
    }

    /// Publishers and subscribers, unless said otherwise.
    #[must_use]
    pub const fn clients(self) -> (u32, u32) {
        match self {
            Self::Conn => (0, 1000),
            Self::Pub => (100, 0),
            Self::Sub => (0, 100),
            Self::P2p | Self::Wildcard => (100, 100),
            Self::FanIn => (50, 1),
            Self::Shared => (50, 4),
            Self::FanOut => (1, 500),
            Self::Retained | Self::Backlog => (10, 1),
        }
    }
}

/// How publishers decide when to send.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Loop {
    /// A publisher sends while fewer of its messages than this are on their way: not received by all subscribers, or not
    /// acknowledged (1 to 16,384).
    Closed {
        /// Messages.
        window: u16,
    },
    /// Messages are due at a steady rate, over all publishers, whatever the broker does.
    Open {
        /// Messages a second, above 0.
        rate: f64,
    },
}

/// A load and what it is aimed at.
#[derive(Debug, Clone)]
pub struct Load {
    /// The kind.
    pub scenario: Scenario,
    /// Name or address of the broker.
    pub host: String,
    /// Its port.
    pub port: u16,
    /// The version of MQTT that all clients speak.
    pub version: Version,
    /// User name of all clients.
    pub username: Option<String>,
    /// Password of all clients.
    pub password: Option<String>,
    /// Keep alive of all clients in seconds; 0 for none.
    pub keep_alive_s: u16,
    /// What client identifiers begin with.
    pub client_id: String,
    /// Publishers; pairs where there are pairs.
    pub publishers: u32,
    /// Subscribers, or clients that only connect.
    pub subscribers: u32,
    /// QoS of publishes and of subscriptions.
    pub qos: QoS,
    /// Bytes of a payload, at least 24.
    pub payload_bytes: usize,
    /// Whether `pub` sets the retain flag.
    pub retain: bool,
    /// What topics begin with; of `pub` and `sub` the topic, in which `%i` is the number of the client.
    pub topic: Option<String>,
    /// What the subscriber of `retained` subscribes to, instead of the topics of this run.
    pub filter: Option<String>,
    /// When to send.
    pub rhythm: Loop,
    /// Load that is not measured, at the beginning.
    pub warm_up: Duration,
    /// The time that is measured; of `conn`, how long the clients stay.
    pub duration: Duration,
    /// Messages of `retained` and `backlog`; filters of `wildcard` (1 to 1,000,000).
    pub messages: u64,
    /// New connections a second; 0 for as many as can be.
    pub connect_rate: u64,
    /// Worker threads of the load generator.
    pub threads: usize,
    /// The broker's process, whose CPU time and memory are told; looked for if not given and on this machine.
    pub pid: Option<u32>,
    /// Whether to say on standard error how far it is.
    pub progress: bool,
}

impl Load {
    /// A load of this kind with its defaults, for a broker on this machine.
    #[must_use]
    pub fn new(scenario: Scenario) -> Self {
        let (publishers, subscribers) = scenario.clients();
        let qos = if matches!(scenario, Scenario::Backlog) { QoS::AtLeastOnce } else { QoS::AtMostOnce };
        Self {
            scenario,
            host: "127.0.0.1".to_owned(),
            port: 1883,
            version: Version::V311,
            username: None,
            password: None,
            keep_alive_s: 60,
            client_id: "bench".to_owned(),
            publishers,
            subscribers,
            qos,
            payload_bytes: 64,
            retain: false,
            topic: None,
            filter: None,
            rhythm: Loop::Closed { window: 100 },
            warm_up: Duration::from_secs(1),
            duration: Duration::from_secs(if matches!(scenario, Scenario::Conn) { 1 } else { 10 }),
            messages: 100_000,
            connect_rate: 0,
            threads: 1,
            pid: None,
            progress: true,
        }
    }

    fn check(&self) -> Result<(), BenchError> {
        let refuse = |what: String| Err(BenchError::Options(what));
        let clients = u64::from(self.publishers) + u64::from(self.subscribers);
        let (needs_publishers, needs_subscribers) = (self.scenario.clients().0 > 0, self.scenario.clients().1 > 0);
        if clients > u64::from(CLIENTS_MAX) {
            return refuse(format!("{clients} clients: {CLIENTS_MAX} at most"));
        }
        if needs_publishers && self.publishers == 0 || needs_subscribers && self.subscribers == 0 {
            return refuse(format!("{} needs at least one publisher and subscriber each", self.scenario.name()));
        }
        if self.payload_bytes < STAMP_BYTES {
            return refuse(format!(
                "a payload of {} bytes: {STAMP_BYTES} at least, which say sender, number and time",
                self.payload_bytes
            ));
        }
        if self.messages == 0 || self.messages > NUMBERS_MAX {
            return refuse(format!("{} messages or filters: 1 to {NUMBERS_MAX}", self.messages));
        }
        if self.scenario == Scenario::Backlog && self.qos == QoS::AtMostOnce {
            return refuse("a backlog is kept for QoS 1 and 2 only: say -q 1".to_owned());
        }
        if self.threads == 0 || self.threads > 64 {
            return refuse(format!("{} threads: 1 to 64", self.threads));
        }
        match self.rhythm {
            Loop::Closed { window } if window == 0 || window > WINDOW_MAX => {
                refuse(format!("a window of {window} messages: 1 to {WINDOW_MAX}"))
            }
            Loop::Open { rate } if !rate.is_finite() || rate <= 0.0 => {
                refuse(format!("a rate of {rate} messages a second: a number above 0"))
            }
            _ => Ok(()),
        }
    }

    fn ground<'p>(&self, progress: &'p Progress) -> Result<Ground<'p>, BenchError> {
        let lost = |source| BenchError::Host { host: self.host.clone(), source };
        let mut addresses = (self.host.as_str(), self.port).to_socket_addrs().map_err(lost)?;
        let address = addresses.next().ok_or_else(|| lost(std::io::ErrorKind::NotFound.into()))?;
        let process = match self.pid {
            Some(pid) => Some(Process::of_pid(pid).ok_or(BenchError::Process { pid })?),
            None => Process::of_listener(address),
        };
        let inflight = match self.rhythm {
            Loop::Closed { window } => window,
            Loop::Open { .. } => WINDOW_MAX,
        };
        let settings = Settings {
            version: self.version,
            username: self.username.clone(),
            password: self.password.clone(),
            keep_alive_s: self.keep_alive_s,
            run: run_number(),
            inflight,
        };
        Ok(Ground {
            address,
            settings: Arc::new(settings),
            workers: self.threads,
            connect_rate: self.connect_rate,
            process,
            progress,
        })
    }
}

/// A number that tells this run from others: of the clock and the process, which is random enough for that.
fn run_number() -> u32 {
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
    now.subsec_nanos() ^ std::process::id().rotate_left(16) ^ u32::try_from(now.as_secs() & 0xFFFF_FFFF).unwrap_or(0)
}

/// Runs a load to its end. Blocks the calling thread; the work is done in threads of its own.
///
/// # Errors
/// The options are wrong, clients cannot connect, or nothing happens any more. Faults of the broker are no errors: they
/// are part of the report.
pub fn run(load: &Load) -> Result<Report, BenchError> {
    load.check()?;
    let progress = Progress::new(load.progress);
    let ground = load.ground(&progress)?;
    let mut measured: Option<Outcome> = None;
    let mut faults = None;
    for (stage, is_measured) in plans::stages(load, ground.settings.run) {
        match stage.run(&ground) {
            Ok(outcome) if is_measured => measured = Some(outcome),
            Ok(_) => {}
            // What the run leaves behind is cleared even when it has failed.
            Err(error) => faults = faults.or(Some(error)),
        }
    }
    match (measured, faults) {
        (_, Some(error)) => Err(error),
        (Some(outcome), None) => Ok(Report::new(load, &outcome, ground.process)),
        (None, None) => Err(BenchError::Options("the load has no stage that is measured".to_owned())),
    }
}

#[cfg(test)]
mod tests;
