//! One stage of a run: clients connect, load the broker, drain, and leave; what they saw is added up.

mod course;
mod outcome;

use std::{
    io,
    net::SocketAddr,
    sync::Arc,
    thread::{self, JoinHandle},
    time::Duration,
};

use primer_mqtt::codec::packet::QoS;

pub(crate) use self::outcome::Outcome;
use self::outcome::sum_up;
use crate::{
    client::{Client, ClientPlan, Publishing, Settings},
    clock::Clock,
    error::BenchError,
    flow::Flow,
    pace::Pace,
    process::{Process, Usage},
    progress::Progress,
    shared::{Phase, Shared},
    stop::Stop,
    tally::Tally,
    track::Sent,
    worker::{Done, Worker},
};

/// Where and how all stages of a run take place.
#[derive(Clone)]
pub(crate) struct Ground<'p> {
    pub(crate) address: SocketAddr,
    pub(crate) settings: Arc<Settings>,
    pub(crate) workers: usize,
    /// New connections a second; 0 for as many as can be.
    pub(crate) connect_rate: f64,
    /// How long nothing may happen until what is waited for is given up.
    pub(crate) patience: Duration,
    pub(crate) process: Option<Process>,
    pub(crate) progress: &'p Progress,
    pub(crate) stop: &'p Stop,
    /// What is done to the broker when a stage is over, before its clients are told.
    pub(crate) at_end: Option<&'p dyn Fn()>,
}

/// When a stage is over.
#[derive(Debug, Clone, Copy)]
pub(crate) enum End {
    /// So long after all clients were ready.
    Ready(Duration),
    /// After a time of load, the first part of which is not measured.
    After { warm_up: Duration, duration: Duration },
    /// When every publisher has sent its messages and has them acknowledged.
    Published,
    /// In the middle of the load, when so many messages have been answered. Nothing is drained.
    Answered(u64),
    /// When so many messages have been received.
    Received(u64),
}

/// See the module's description.
#[derive(Debug)]
pub(crate) struct Stage {
    pub(crate) name: &'static str,
    pub(crate) clients: Vec<ClientPlan>,
    /// Messages a second of an open loop; closed if `None`.
    pub(crate) rate: Option<f64>,
    /// Messages of one publisher that its subscribers have not received (closed loop).
    pub(crate) window: u64,
    pub(crate) end: End,
    /// By publisher: what an earlier stage has sent that this one is to receive.
    pub(crate) sent_before: Vec<Sent>,
}

#[derive(Debug, Clone, Copy)]
struct Snapshot {
    at_ns: u64,
    sent: u64,
    acknowledged: u64,
    refused: u64,
    received: u64,
    usage: Option<Usage>,
}

/// A stage that runs.
struct Running<'g> {
    ground: &'g Ground<'g>,
    name: &'static str,
    shared: Arc<Shared>,
    workers: Vec<JoinHandle<io::Result<Done>>>,
    clients: u64,
    publishers: u64,
    /// Messages that the publishers are to send, where that is fixed.
    planned: u64,
    /// Deliveries of each message.
    fan: u64,
    has_acks: bool,
}

impl Snapshot {
    /// Messages that the broker has answered, one way or the other.
    const fn answered(&self) -> u64 {
        self.acknowledged + self.refused
    }

    const fn counts(&self) -> [u64; 3] {
        [self.sent, self.answered(), self.received]
    }
}

/// What the clients of a stage are, taken together.
#[derive(Debug, Default)]
struct Census {
    /// Clients of each wave.
    waves: Vec<u64>,
    publishers: usize,
    /// Messages that the publishers are to send, where that is fixed.
    planned: u64,
    /// Deliveries of each message.
    fan: u64,
    has_acks: bool,
    /// Of a closed loop, by publisher.
    flows: Vec<Option<Arc<Flow>>>,
}

impl Stage {
    /// Runs the stage to its end.
    pub(crate) fn run(mut self, ground: &Ground<'_>) -> Result<Outcome, BenchError> {
        let end = self.end;
        let sent_before = std::mem::take(&mut self.sent_before);
        let before = ground.process.and_then(Process::usage);
        let running = self.start(ground)?;
        let start = running.beginning(before);
        let measured = running.measure(start, end);
        if let Some(act) = ground.at_end {
            act();
        }
        running.shared.enter(Phase::End);
        let connect_seconds = running.shared.connect_seconds();
        let done = running.join()?;
        Ok(sum_up(ground.settings.run, done, measured?, sent_before, connect_seconds))
    }

    fn census(&self, workers: usize) -> Census {
        let mut census = Census::default();
        let mut places = vec![0; workers];
        for plan in &self.clients {
            census.waves.resize(census.waves.len().max(plan.wave + 1), 0);
            census.waves[plan.wave] += 1;
            let worker = plan.worker % workers;
            if let Some(publish) = &plan.publish {
                census.publishers += 1;
                census.planned = census.planned.saturating_add(publish.messages.unwrap_or(0));
                census.fan = publish.fan;
                census.has_acks = publish.qos != QoS::AtMostOnce;
                let at = publish.publisher as usize;
                census.flows.resize(census.flows.len().max(at + 1), None);
                if self.rate.is_none() && publish.fan > 0 {
                    let flow = Flow::new(publish.fan, self.window, worker, places[worker]);
                    census.flows[at] = Some(Arc::new(flow));
                }
            }
            places[worker] += 1;
        }
        census
    }

    fn start<'g>(self, ground: &'g Ground<'g>) -> Result<Running<'g>, BenchError> {
        let workers = ground.workers;
        let Census { waves, publishers, planned, fan, has_acks, flows } = self.census(workers);
        let Self { name, clients, rate, .. } = self;
        let total = clients.len() as u64;
        let flows: Arc<[Option<Arc<Flow>>]> = flows.into();
        let mut shares: Vec<Vec<Client>> = (0..workers).map(|_| Vec::new()).collect();
        for plan in clients {
            let settings = &ground.settings;
            let publishing = plan.publish.as_ref().map(|publish| {
                let flow = flows.get(publish.publisher as usize).cloned().flatten();
                Publishing::new(publish, settings.run, settings.version, settings.inflight, flow)
            });
            shares[plan.worker % workers].push(Client::new(plan, publishing, settings));
        }
        let shared = Arc::new(Shared::new(ground.address, Clock::start(), workers, &waves, ground.connect_rate));
        let mut running = Running {
            ground,
            name,
            shared: Arc::clone(&shared),
            workers: Vec::new(),
            clients: total,
            publishers: publishers as u64,
            planned,
            fan,
            has_acks,
        };
        for (index, clients) in shares.into_iter().enumerate() {
            let mine = clients.iter().filter(|client| client.publishing.is_some()).count();
            // Each worker keeps the pace of its share of the publishers.
            let pace = rate.filter(|_| mine > 0).map(|rate| Pace::new(share_of(rate, mine, publishers)));
            let tally = Tally::new(ground.settings.run, Arc::clone(&flows));
            let worker = Worker::new(index, clients, tally, pace, &shared);
            let thread = worker
                .and_then(|worker| thread::Builder::new().name(format!("bench-{index}")).spawn(move || worker.run()));
            match thread {
                Ok(thread) => running.workers.push(thread),
                Err(error) => {
                    shared.enter(Phase::End); // for those that run already
                    return Err(BenchError::Worker(error));
                }
            }
        }
        Ok(running)
    }
}

#[expect(clippy::cast_precision_loss, reason = "counts of clients are small")]
fn share_of(rate: f64, mine: usize, all: usize) -> f64 {
    rate * mine as f64 / all as f64
}

pub(crate) fn ns(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX / 4)
}

#[expect(clippy::cast_precision_loss, reason = "a run has no 2^53 nanoseconds")]
pub(crate) fn seconds(from_ns: u64, to_ns: u64) -> f64 {
    to_ns.saturating_sub(from_ns) as f64 / 1e9
}
