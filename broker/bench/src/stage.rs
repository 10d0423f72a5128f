//! One stage of a run: clients connect, load the broker, drain, and leave; what they saw is added up.

use std::{
    io,
    net::SocketAddr,
    sync::Arc,
    thread::{self, JoinHandle},
    time::Duration,
};

use hdrhistogram::Histogram;

use crate::{
    client::{Client, ClientPlan, Expects, Publishing, Settings},
    clock::Clock,
    error::BenchError,
    flow::Flow,
    limits::{LOOK_INTERVAL, STALL_MAX},
    pace::Pace,
    process::{Process, Usage},
    progress::Progress,
    shared::{Phase, Shared},
    tally::Tally,
    track::{Bits, Faults},
    worker::{Done, Worker},
};

/// Where and how all stages of a run take place.
pub(crate) struct Ground<'p> {
    pub(crate) address: SocketAddr,
    pub(crate) settings: Arc<Settings>,
    pub(crate) workers: usize,
    pub(crate) connect_rate: u64,
    pub(crate) process: Option<Process>,
    pub(crate) progress: &'p Progress,
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
    /// When so many messages have been received.
    Received(u64),
}

/// See the module's description.
pub(crate) struct Stage {
    pub(crate) name: &'static str,
    pub(crate) clients: Vec<ClientPlan>,
    /// Messages a second of an open loop; closed if `None`.
    pub(crate) rate: Option<f64>,
    /// Messages of one publisher that its subscribers have not received (closed loop).
    pub(crate) window: u64,
    pub(crate) end: End,
}

/// What a stage has shown. Counts and costs are of the time that was measured, faults of the whole.
#[derive(Debug)]
pub(crate) struct Outcome {
    pub(crate) seconds: f64,
    /// Until all clients were ready.
    pub(crate) connect_seconds: f64,
    pub(crate) sent: u64,
    pub(crate) acknowledged: u64,
    pub(crate) received: u64,
    pub(crate) before: Option<Usage>,
    pub(crate) after: Option<Usage>,
    /// When all clients were ready.
    pub(crate) connected: Option<Usage>,
    pub(crate) latencies: Histogram<u64>,
    pub(crate) acknowledgements: Histogram<u64>,
    pub(crate) faults: Faults,
    pub(crate) refused: u64,
    pub(crate) unacknowledged: u64,
    pub(crate) foreign: u64,
    pub(crate) errors: Vec<(String, u64)>,
}

#[derive(Debug, Clone, Copy)]
struct Snapshot {
    at_ns: u64,
    sent: u64,
    acknowledged: u64,
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

impl Stage {
    /// Runs the stage to its end.
    pub(crate) fn run(self, ground: &Ground<'_>) -> Result<Outcome, BenchError> {
        let end = self.end;
        let before = ground.process.and_then(Process::usage);
        let running = self.start(ground)?;
        let start = running.snapshot(before);
        let measured = running.measure(start, end);
        running.shared.enter(Phase::End);
        let connect_seconds = running.shared.connect_seconds();
        let done = running.join()?;
        let (connected, first, last) = measured?;
        Ok(sum_up(ground.settings.run, done, connected, [first, last], connect_seconds))
    }

    fn start<'g>(self, ground: &'g Ground<'g>) -> Result<Running<'g>, BenchError> {
        let Self { name, clients, rate, window, .. } = self;
        let workers = ground.workers;
        let mut waves = Vec::new();
        let mut places = vec![0; workers];
        let mut flows: Vec<Option<Arc<Flow>>> = Vec::new();
        let (mut publishers, mut planned, mut fan, mut has_acks) = (0, 0_u64, 0, false);
        for plan in &clients {
            waves.resize(waves.len().max(plan.wave + 1), 0);
            waves[plan.wave] += 1;
            let worker = plan.worker % workers;
            if let Some(publish) = &plan.publish {
                publishers += 1;
                planned = planned.saturating_add(publish.messages.unwrap_or(0));
                fan = publish.fan;
                has_acks = publish.qos != primer_mqtt::codec::packet::QoS::AtMostOnce;
                let at = publish.publisher as usize;
                flows.resize(flows.len().max(at + 1), None);
                if rate.is_none() && publish.fan > 0 {
                    flows[at] = Some(Arc::new(Flow::new(publish.fan, window, worker, places[worker])));
                }
            }
            places[worker] += 1;
        }
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
        let times = (ground.settings.keep_alive_s, ground.connect_rate);
        let shared = Arc::new(Shared::new(ground.address, Clock::start(), workers, &waves, times));
        let mut handles = Vec::new();
        for (index, clients) in shares.into_iter().enumerate() {
            let mine = clients.iter().filter(|client| client.publishing.is_some()).count();
            // Each worker keeps the pace of its share of the publishers.
            let pace = rate.filter(|_| mine > 0).map(|rate| Pace::new(share_of(rate, mine, publishers)));
            let tally = Tally::new(ground.settings.run, Arc::clone(&flows));
            let worker = Worker::new(index, clients, tally, pace, &shared).map_err(BenchError::Worker)?;
            let thread = thread::Builder::new().name(format!("bench-{index}")).spawn(move || worker.run());
            handles.push(thread.map_err(BenchError::Worker)?);
        }
        let publishers = publishers as u64;
        Ok(Running { ground, name, shared, workers: handles, clients: total, publishers, planned, fan, has_acks })
    }
}

#[expect(clippy::cast_precision_loss, reason = "counts of clients are small")]
fn share_of(rate: f64, mine: usize, all: usize) -> f64 {
    rate * mine as f64 / all as f64
}

type Measured = (Option<Usage>, Snapshot, Snapshot);

impl Running<'_> {
    fn measure(&self, start: Snapshot, end: End) -> Result<Measured, BenchError> {
        if let End::Received(messages) = end {
            // What comes begins to come with the first SUBSCRIBE, so there is no load to be started.
            self.wait_until(|| self.snapshot(None).received >= messages)?;
            let last = self.now();
            return Ok((last.usage, start, last));
        }
        self.wait_until(|| self.shared.ready() == self.clients)?;
        let connected = self.usage();
        match end {
            End::Ready(hold) => {
                self.pass(hold);
                Ok((connected, start, self.now()))
            }
            End::Published => {
                let first = self.now();
                self.shared.measure(0, u64::MAX - 1);
                self.shared.enter(Phase::Load);
                self.wait_until(|| {
                    let now = self.snapshot(None);
                    let received = self.planned.saturating_mul(self.fan);
                    let is_done = now.sent >= self.planned && now.received >= received;
                    is_done && (!self.has_acks || now.acknowledged >= self.planned)
                })?;
                let last = self.now();
                self.drain();
                Ok((connected, first, last))
            }
            End::After { warm_up, duration } => {
                let from_ns = self.shared.clock.now_ns() + ns(warm_up);
                self.shared.measure(from_ns, from_ns + ns(duration));
                self.shared.enter(Phase::Load);
                self.pass(warm_up);
                let first = self.now();
                self.pass(duration);
                let last = self.now();
                self.drain();
                Ok((connected, first, last))
            }
            End::Received(_) => Ok((connected, start, self.now())),
        }
    }

    /// The publishers stop; what is on its way has to arrive.
    fn drain(&self) {
        self.shared.enter(Phase::Drain);
        // A broker that has lost something never gets there; then silence ends the wait.
        let _ = self.wait_until(|| {
            let now = self.snapshot(None);
            let all_taken = self.shared.sum(|totals| &totals.drained) >= self.publishers;
            let acknowledged = !self.has_acks || now.acknowledged >= now.sent;
            all_taken && acknowledged && now.received >= now.sent.saturating_mul(self.fan)
        });
    }

    /// Waits for a condition as long as anything happens at all.
    fn wait_until(&self, is_met: impl Fn() -> bool) -> Result<(), BenchError> {
        let mut seen = (0, self.snapshot(None));
        loop {
            if is_met() {
                return Ok(());
            }
            let (failed, why) = self.shared.failed();
            if failed > 0 && self.shared.phase() == Phase::Connect {
                return Err(BenchError::Clients { failed, of: self.clients, why: why.to_owned() });
            }
            let now = (self.shared.ready(), self.snapshot(None));
            let moved = |a: &Snapshot, b: &Snapshot| {
                (a.sent, a.acknowledged, a.received) != (b.sent, b.acknowledged, b.received)
            };
            if now.0 != seen.0 || moved(&now.1, &seen.1) {
                seen = now;
            } else if now.1.at_ns - seen.1.at_ns > ns(STALL_MAX) {
                let Snapshot { sent, acknowledged, received, .. } = now.1;
                return Err(BenchError::Stalled {
                    stage: self.name,
                    ready: now.0,
                    of: self.clients,
                    sent,
                    acknowledged,
                    received,
                });
            }
            self.tell(&now.1);
            thread::park_timeout(LOOK_INTERVAL);
        }
    }

    fn pass(&self, time: Duration) {
        let until_ns = self.shared.clock.now_ns() + ns(time);
        loop {
            let left = until_ns.saturating_sub(self.shared.clock.now_ns());
            if left == 0 {
                return;
            }
            self.tell(&self.snapshot(None));
            thread::park_timeout(Duration::from_nanos(left).min(Duration::from_millis(100)));
        }
    }

    fn tell(&self, now: &Snapshot) {
        let failed = self.shared.failed().0;
        self.ground.progress.tell(
            self.name,
            now.at_ns,
            (self.shared.ready(), self.clients),
            failed,
            now.sent,
            now.received,
        );
    }

    fn usage(&self) -> Option<Usage> {
        self.ground.process.and_then(Process::usage)
    }

    fn now(&self) -> Snapshot {
        self.snapshot(self.usage())
    }

    fn snapshot(&self, usage: Option<Usage>) -> Snapshot {
        Snapshot {
            at_ns: self.shared.clock.now_ns(),
            sent: self.shared.sum(|totals| &totals.sent),
            acknowledged: self.shared.sum(|totals| &totals.acknowledged),
            received: self.shared.sum(|totals| &totals.received),
            usage,
        }
    }

    fn join(self) -> Result<Vec<Done>, BenchError> {
        let gone = || BenchError::Worker(io::Error::other("a worker thread panicked"));
        let join =
            |worker: JoinHandle<io::Result<Done>>| worker.join().map_err(|_| gone())?.map_err(BenchError::Worker);
        self.workers.into_iter().map(join).collect()
    }
}

pub(crate) fn ns(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX / 4)
}

#[expect(clippy::cast_precision_loss, reason = "a run has no 2^53 nanoseconds")]
pub(crate) fn seconds(from_ns: u64, to_ns: u64) -> f64 {
    to_ns.saturating_sub(from_ns) as f64 / 1e9
}

/// Adds up what the workers saw.
fn sum_up(
    run: u32,
    done: Vec<Done>,
    connected: Option<Usage>,
    [first, last]: [Snapshot; 2],
    connect_seconds: f64,
) -> Outcome {
    let clients = || done.iter().flat_map(|done| &done.clients);
    let mut sent_by: Vec<u64> = Vec::new();
    for publishing in clients().filter_map(|client| Some((client.plan.publish.as_ref()?, client.publishing.as_ref()?)))
    {
        let at = publishing.0.publisher as usize;
        sent_by.resize(sent_by.len().max(at + 1), 0);
        sent_by[at] = publishing.1.sent();
    }
    let mut faults = Faults::default();
    clients().for_each(|client| faults.add(client.receiving.faults(run, &sent_by)));
    if clients().any(|client| matches!(client.plan.expects, Expects::Part)) {
        // All members of the group live in one worker.
        let parts = done.iter().map(|done| &done.tally.parts).find(|parts| !parts.is_empty());
        for (at, sent) in sent_by.iter().enumerate() {
            let bits = parts.and_then(|parts| parts.get(at));
            faults.add(bits.map_or_else(|| Bits::default().faults(*sent), |bits| bits.faults(*sent)));
        }
    }
    let unacknowledged = clients().filter_map(|client| client.publishing.as_ref()).map(Publishing::unacknowledged);
    let unacknowledged = unacknowledged.sum::<usize>() as u64;
    let mut outcome = Outcome {
        seconds: seconds(first.at_ns, last.at_ns),
        connect_seconds,
        sent: last.sent - first.sent,
        acknowledged: last.acknowledged - first.acknowledged,
        received: last.received - first.received,
        before: first.usage,
        after: last.usage,
        connected,
        latencies: Histogram::new(3).expect("three digits are a precision of a histogram"),
        acknowledgements: Histogram::new(3).expect("three digits are a precision of a histogram"),
        faults,
        refused: 0,
        unacknowledged,
        foreign: 0,
        errors: Vec::new(),
    };
    for Done { tally, .. } in done {
        let added = outcome.latencies.add(&tally.latencies.histogram);
        let added = added.and_then(|()| outcome.acknowledgements.add(&tally.acknowledgements.histogram));
        debug_assert!(added.is_ok(), "an unbounded histogram takes any other");
        outcome.refused += tally.refused;
        outcome.foreign += tally.foreign;
        outcome.errors.extend(tally.errors);
    }
    outcome
}
