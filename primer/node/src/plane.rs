//! What a face of the node (the MQTT server, say) adds to it: who subscribes to what, what is retained, what is
//! published later.

use std::sync::Arc;

use crate::{Budget, Clock, DelayedStore, Drops, Journal, Node, RetainedStore, Routes};

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

/// A node as a face sees it.
///
/// `S` is what a subscription carries, `D` what is held back for later.
#[derive(Debug)]
pub struct Plane<S, D> {
    /// The node itself: its queues.
    pub queues: Node,
    /// The time.
    pub clock: Clock,
    /// The memory.
    pub budget: Arc<Budget>,
    /// Who subscribes to what.
    pub routes: Routes<S>,
    /// The last message of each topic that has one.
    pub retained: RetainedStore,
    /// What is published later.
    pub delayed: DelayedStore<D>,
    /// What was not delivered, and why.
    pub drops: Arc<Drops>,
}

impl<S, D> Plane<S, D> {
    /// An empty node in memory. [`Node::run`] makes it run.
    #[must_use]
    pub fn new(options: &NodeOptions) -> Self {
        let queues = Node::still(options.memory_bytes_max);
        Self {
            clock: queues.inner.clock,
            budget: Arc::clone(&queues.inner.budget),
            routes: Routes::default(),
            retained: RetainedStore::new(options.retained_topics_max),
            delayed: DelayedStore::new(options.delayed_max),
            drops: Arc::clone(&queues.inner.drops),
            queues,
        }
    }

    /// Where what is to last goes; `None` for a node in memory.
    pub fn journal(&self) -> Option<&Journal> {
        self.queues.inner.journal()
    }

    /// Gives the node its journal, before anything is published. A second one is dropped.
    pub fn keep_in(&self, journal: Journal) {
        self.queues.inner.keep_in(journal);
    }
}
