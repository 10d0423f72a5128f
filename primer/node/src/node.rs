//! The node's shared state.

use std::sync::OnceLock;

use crate::{Budget, Clock, DelayedStore, Drops, Journal, RetainedStore, Routes};

/// The bounds of a node.
#[derive(Debug, Clone)]
pub struct NodeOptions {
    /// Bytes that queues, buffers and stores may take together.
    pub memory_bytes_max: usize,
    /// Topics with a retained message.
    pub retained_topics_max: usize,
    /// Messages that wait for their hour.
    pub delayed_max: usize,
}

impl Default for NodeOptions {
    fn default() -> Self {
        Self { memory_bytes_max: 1 << 30, retained_topics_max: 10_000_000, delayed_max: 1_000_000 }
    }
}

/// A node: clock, budget, routes, retained and delayed messages, and the count of what was dropped.
///
/// `S` is what a subscription carries, `D` what is held back for later.
#[derive(Debug)]
pub struct Node<S, D> {
    /// The time.
    pub clock: Clock,
    /// The memory.
    pub budget: Budget,
    /// Who subscribes to what.
    pub routes: Routes<S>,
    /// The last message of each topic that has one.
    pub retained: RetainedStore,
    /// What is published later.
    pub delayed: DelayedStore<D>,
    /// What was not delivered, and why.
    pub drops: Drops,
    journal: OnceLock<Journal>,
}

impl<S, D> Node<S, D> {
    /// An empty node in memory.
    #[must_use]
    pub fn new(options: &NodeOptions) -> Self {
        Self {
            clock: Clock::start(),
            budget: Budget::new(options.memory_bytes_max),
            routes: Routes::default(),
            retained: RetainedStore::new(options.retained_topics_max),
            delayed: DelayedStore::new(options.delayed_max),
            drops: Drops::default(),
            journal: OnceLock::new(),
        }
    }

    /// Where what is to last goes; `None` for a node in memory.
    pub fn journal(&self) -> Option<&Journal> {
        self.journal.get()
    }

    /// Gives the node its journal, before anything is published. A second one is dropped.
    pub fn keep_in(&self, journal: Journal) {
        let _there_is_one = self.journal.set(journal);
    }
}
