//! The kinds of load: who publishes what, who subscribes to it, and in which stages.

mod check;
pub(crate) mod plans;

use std::{
    net::{SocketAddr, TcpStream, ToSocketAddrs},
    sync::Arc,
    time::Duration,
};

use primer_mqtt::{Version, codec::packet::QoS};

use crate::{
    client::Settings,
    error::BenchError,
    limits::{CONNECT_MAX, WINDOW_MAX},
    process::Process,
    progress::Progress,
    report::Report,
    stage::Ground,
    stop::Stop,
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
    /// Publishers to a session that is away: what is acknowledged stands in its queue.
    Away,
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
            Self::Away => "away",
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
            Self::Away => (100, 1),
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
    /// A publisher sends while fewer of its messages than this are on their way: not received by all subscribers, or
    /// not acknowledged (1 to 16,384).
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
    /// Bytes of a payload: 28 to 64 MiB.
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
    /// How long nothing may happen until what is still missing is lost, and a run that cannot go on without it fails.
    pub patience: Duration,
    /// Messages of `retained` and `backlog`; filters of `wildcard` (1 to 1,000,000).
    pub messages: u64,
    /// New connections a second; 0 for as many as can be.
    pub connect_rate: f64,
    /// Worker threads of the load generator.
    pub threads: usize,
    /// The broker's process, whose CPU time and memory are told; looked for if not given and on this machine.
    pub pid: Option<u32>,
    /// Whether to say on standard error how far it is.
    pub progress: bool,
    /// Ends the run early.
    pub stop: Stop,
}

impl Load {
    /// A load of this kind with its defaults, for a broker on this machine.
    #[must_use]
    pub fn new(scenario: Scenario) -> Self {
        let (publishers, subscribers) = scenario.clients();
        let is_kept = matches!(scenario, Scenario::Backlog | Scenario::Away);
        let qos = if is_kept { QoS::AtLeastOnce } else { QoS::AtMostOnce };
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
            patience: Duration::from_secs(5),
            messages: 100_000,
            connect_rate: 0.0,
            threads: 1,
            pid: None,
            progress: true,
            stop: Stop::default(),
        }
    }

    pub(crate) fn check(&self) -> Result<(), BenchError> {
        check::check(self)
    }

    /// Where the broker is. Of several addresses (`localhost` often has two) the first one that answers.
    fn address(&self) -> Result<SocketAddr, BenchError> {
        let lost = |source| BenchError::Host { host: self.host.clone(), source };
        let addresses = (self.host.as_str(), self.port).to_socket_addrs().map_err(lost)?.collect::<Vec<_>>();
        let first = addresses.first().copied().ok_or_else(|| lost(std::io::ErrorKind::NotFound.into()))?;
        if addresses.len() == 1 {
            return Ok(first);
        }
        let answers = |address: &&SocketAddr| TcpStream::connect_timeout(address, CONNECT_MAX).is_ok();
        Ok(addresses.iter().find(answers).copied().unwrap_or(first))
    }

    pub(crate) fn ground<'p>(&'p self, progress: &'p Progress) -> Result<Ground<'p>, BenchError> {
        let address = self.address()?;
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
            patience: self.patience,
            process,
            progress,
            stop: &self.stop,
            at_end: None,
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
    let unstoppable = Stop::default();
    let (mut report, mut fault) = (None, None);
    for (stage, part) in plans::stages(load, ground.settings.run) {
        // What the run leaves behind is cleared even when it has failed, or is to stop.
        let result = match part {
            Part::Clear => stage.run(&Ground { stop: &unstoppable, ..ground.clone() }),
            _ if fault.is_some() => continue,
            _ => stage.run(&ground),
        };
        match (result, part, &mut report) {
            (Ok(outcome), Part::Measured, _) => report = Some(Report::new(load, &outcome, ground.process)),
            (Ok(_), ..) => {}
            (Err(error), Part::Clear, Some(report)) => report.errors.push((error.to_string(), 1)),
            (Err(error), ..) => fault = fault.or(Some(error)),
        }
    }
    match fault {
        Some(error) => Err(error),
        None => report.ok_or_else(|| BenchError::Options("the load has no part that is measured".to_owned())),
    }
}

/// What a stage is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Part {
    /// Gets the broker ready for what is measured.
    Prepare,
    Measured,
    /// Takes away what was left at the broker.
    Clear,
}

#[cfg(test)]
mod tests;
