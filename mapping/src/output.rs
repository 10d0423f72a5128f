//! What comes of a call.

use std::time::Duration;

use crate::message::Msg;

/// Where an output goes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Target {
    /// To the subscribers of its topic, and the queues that are bound to it.
    Topic,
    /// Into the queue of this name.
    Queue(String),
}

/// A message that a rule has made.
#[derive(Debug, Clone)]
pub struct Output {
    /// Where it goes.
    pub target: Target,
    /// What. Its priority, key, identifier and time to live count for a queue.
    pub message: Msg,
    /// How long it waits first.
    pub delay: Option<Duration>,
}

/// What is to become of the message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// It goes on, changed or not (`ingress`); it is done with (`group`).
    Ok,
    /// It ends here; it was handled.
    Drop,
    /// Again, after this time (`group`).
    Retry(Duration),
    /// To the dead letters, with the reason in the log (`group`).
    DeadLetter(String),
    /// The publisher is told (`ingress`): an MQTT 5.0 reason code, and why.
    Refuse(u8, String),
}
