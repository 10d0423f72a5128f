//! Why a benchmark could not be run to its end.

use std::{io, time::Duration};

/// Why a run ended without a result. The broker is left with what was sent until then.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum BenchError {
    /// The options contradict each other or are out of range.
    #[error("{0}")]
    Options(String),
    /// The broker's name has no address.
    #[error("cannot find the address of {host}")]
    Host {
        /// As it was given.
        host: String,
        /// What the system says.
        source: io::Error,
    },
    /// No process of this identifier can be looked at.
    #[error("no process {pid} whose CPU time and memory can be read")]
    Process {
        /// As it was given.
        pid: u32,
    },
    /// Clients failed without which the run cannot come to its end.
    #[error("{stage}: {failed} of {of} clients failed; the first: {why}")]
    Clients {
        /// At what the run was.
        stage: &'static str,
        /// How many.
        failed: u64,
        /// Of how many.
        of: u64,
        /// Why the first did.
        why: String,
    },
    /// Nothing has happened for a while, and the run waits for something.
    #[error(
        "{stage}: nothing has happened for {} s, with {ready} of {of} clients ready, {sent} messages sent, \
         {answered} answered and {received} received", after.as_secs_f64()
    )]
    Stalled {
        /// At what the run was.
        stage: &'static str,
        /// How long it has waited.
        after: Duration,
        /// Clients that have connected and subscribed.
        ready: u64,
        /// All clients.
        of: u64,
        /// Messages sent.
        sent: u64,
        /// Messages acknowledged or refused.
        answered: u64,
        /// Messages received.
        received: u64,
    },
    /// Somebody has asked it to stop.
    #[error("{stage}: interrupted")]
    Interrupted {
        /// At what the run was.
        stage: &'static str,
    },
    /// The load could not be made.
    #[error("the load generator failed")]
    Worker(#[source] io::Error),
    /// A broker that was to be compared did not start.
    #[error("{broker} did not start: {command}")]
    Start {
        /// Its name.
        broker: String,
        /// What was run.
        command: String,
        /// What the system says.
        source: io::Error,
    },
    /// A broker that was to be compared does not accept connections.
    #[error("{broker} accepts no connections on port {port} after {} s: {command}", after.as_secs())]
    Silent {
        /// Its name.
        broker: String,
        /// What was run.
        command: String,
        /// Where it was to listen.
        port: u16,
        /// How long it was waited for.
        after: Duration,
    },
}

impl BenchError {
    /// What it says, and why.
    pub(crate) fn with_causes(&self) -> String {
        let mut text = self.to_string();
        let mut source = std::error::Error::source(self);
        while let Some(cause) = source {
            text = format!("{text}: {cause}");
            source = cause.source();
        }
        text
    }
}
