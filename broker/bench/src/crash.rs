//! What an acknowledgement is worth: a broker is killed (signal 9) in the middle of a load for a session that is away,
//! started again, and the session comes back for what was acknowledged.

mod table;

use std::{net::SocketAddr, time::Instant};

use serde::Serialize;

use crate::{
    Load, Loop, Scenario,
    compare::Contestant,
    error::BenchError,
    limits::CRASH_PATIENCE,
    number::median,
    process::Process,
    progress::Progress,
    scenario::plans::{self, CrashStages},
    stage::{End, Ground, Outcome, Stage},
};

/// What is to be done to which brokers.
#[derive(Debug, Clone)]
pub struct Crash {
    /// They have to find what they have kept when their command runs again.
    pub contestants: Vec<Contestant>,
    /// A load of [`Scenario::Away`]: its publishers, QoS, payload and window.
    pub load: Load,
    /// The broker is killed when it has answered so many messages.
    pub answers: u64,
    /// How often each broker is killed.
    pub rounds: usize,
}

/// What was seen of one broker, in all rounds together.
#[derive(Debug, Clone, Default, Serialize)]
pub struct Survival {
    /// The broker.
    pub broker: String,
    /// Messages that it had acknowledged when it was killed.
    pub acknowledged: u64,
    /// Of these, how many did not come afterwards.
    pub lost: u64,
    /// Messages that came again.
    pub doubled: u64,
    /// Messages that came after a later one of the same publisher.
    pub reordered: u64,
    /// Publishes that it refused.
    pub refused: u64,
    /// Messages acknowledged a second until then, the median.
    pub acknowledged_per_second: f64,
    /// CPU seconds a million of them, the median; none where its process was not found.
    pub cpu_seconds_per_million: Option<f64>,
    /// Seconds until it took connections again, the median.
    pub seconds_to_serve: f64,
    /// Why rounds failed.
    pub failures: Vec<String>,
}

/// What was seen of all of them.
#[derive(Debug, Clone, Serialize)]
pub struct Survivals {
    /// In the order of the contestants.
    pub brokers: Vec<Survival>,
    /// How often each was killed.
    pub rounds: usize,
}

impl Survivals {
    /// Whether no broker has lost what it had acknowledged, and every round came to its end.
    #[must_use]
    pub fn is_clean(&self) -> bool {
        self.brokers.iter().all(|one| one.lost == 0 && one.failures.is_empty())
    }
}

/// One broker, killed once.
struct Round {
    published: Outcome,
    came: Outcome,
    seconds_to_serve: f64,
}

impl Crash {
    /// A load that is worth it: 10 publishers, QoS 1, 200 bytes, killed after 20,000 answers.
    #[must_use]
    pub fn new(contestants: Vec<Contestant>) -> Self {
        let mut load = Load::new(Scenario::Away);
        (load.publishers, load.payload_bytes) = (10, 200);
        load.patience = CRASH_PATIENCE;
        Self { contestants, load, answers: 20_000, rounds: 3 }
    }

    /// Does it to one broker after the other. A round that fails is part of the result.
    ///
    /// # Errors
    /// The options are wrong, or somebody has asked it to stop.
    pub fn run(&self) -> Result<Survivals, BenchError> {
        self.check()?;
        let progress = Progress::new(self.load.progress);
        let mut brokers = Vec::new();
        for contestant in &self.contestants {
            let mut rounds = Vec::new();
            for round in 1..=self.rounds {
                progress.say(&format!("{}: {round} of {}", contestant.name, self.rounds));
                let result = self.round(contestant, &progress);
                if self.load.stop.is_asked() {
                    return Err(BenchError::Interrupted { stage: "crash" });
                }
                rounds.push(result);
            }
            brokers.push(survival(&contestant.name, rounds));
        }
        Ok(Survivals { brokers, rounds: self.rounds })
    }

    fn check(&self) -> Result<(), BenchError> {
        let wrong = |what: &str| Err(BenchError::Options(what.to_owned()));
        if self.load.scenario != Scenario::Away {
            return wrong("a crash needs a load to a session that is away");
        }
        if matches!(self.load.rhythm, Loop::Open { .. }) {
            return wrong("a crash needs a closed loop: it is over when so many messages are answered");
        }
        if self.answers == 0 {
            return wrong("after 0 answers there is nothing to lose: 1 at least");
        }
        self.load.check()
    }

    fn round(&self, contestant: &Contestant, progress: &Progress) -> Result<Round, BenchError> {
        let stop = &self.load.stop;
        let running = contestant.start(stop)?;
        let load = Load { port: running.port(), ..self.load.clone() };
        let ground = load.ground(progress)?;
        let CrashStages { subscribe, publish, come_back } = plans::crash(&load, ground.settings.run, self.answers);
        subscribe.run(&ground)?;
        // The load goes on while the broker dies.
        let published = publish.run(&Ground { at_end: Some(&|| running.kill()), ..ground.clone() })?;
        let killed = Instant::now();
        let running = contestant.start_again(running, stop)?;
        let seconds_to_serve = killed.elapsed().as_secs_f64();
        // The same run goes on at another port.
        let address = SocketAddr::from((ground.address.ip(), running.port()));
        let ground = Ground { address, process: Process::of_listener(address), ..ground };
        // What was not answered may come as well: it ends when all has come, or nothing comes any more.
        let all = answered(&published) + published.unacknowledged;
        let come_back = Stage { sent_before: published.answered.clone(), end: End::Received(all), ..come_back };
        let came = come_back.run(&ground)?;
        Ok(Round { published, came, seconds_to_serve })
    }
}

/// Messages that the broker has answered, one way or the other.
fn answered(published: &Outcome) -> u64 {
    published.answered.iter().map(|sent| sent.messages).sum()
}

fn survival(broker: &str, rounds: Vec<Result<Round, BenchError>>) -> Survival {
    let mut survival = Survival { broker: broker.to_owned(), ..Survival::default() };
    let (mut rates, mut costs, mut starts) = (Vec::new(), Vec::new(), Vec::new());
    for round in rounds {
        let Round { published, came, seconds_to_serve } = match round {
            Ok(round) => round,
            Err(error) => {
                survival.failures.push(error.with_causes());
                continue;
            }
        };
        survival.acknowledged += answered(&published).saturating_sub(published.refused);
        survival.refused += published.refused;
        survival.lost += came.faults.lost;
        survival.doubled += came.faults.doubled;
        survival.reordered += came.faults.reordered;
        survival.failures.extend(came.errors.iter().map(|(error, clients)| format!("{error} ({clients} clients)")));
        rates.push(published.acknowledged_per_second());
        costs.extend(published.cpu_seconds_per_million());
        starts.push(seconds_to_serve);
    }
    survival.acknowledged_per_second = median(rates);
    survival.cpu_seconds_per_million = (!costs.is_empty()).then(|| median(costs));
    survival.seconds_to_serve = median(starts);
    survival
}

#[cfg(test)]
mod tests;
