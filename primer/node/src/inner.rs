//! What all handles of a node share.

use std::sync::{
    Arc, OnceLock,
    atomic::{AtomicBool, Ordering},
};

use crate::{
    Budget, Clock, Drops, Journal,
    calls::Calls,
    commands::Commanded,
    ingress::Ingress,
    queue::{Burials, Registry, Timers},
    table::Tables,
    topics::Topics,
};

/// See the module's description. Handles hold it; it holds no handle.
#[derive(Debug)]
pub(crate) struct Inner {
    pub(crate) clock: Clock,
    pub(crate) budget: Arc<Budget>,
    pub(crate) drops: Arc<Drops>,
    pub(crate) registry: Registry,
    pub(crate) timers: Arc<Timers>,
    pub(crate) burials: Burials,
    pub(crate) topics: Topics,
    pub(crate) calls: Calls,
    pub(crate) tables: Tables,
    pub(crate) commanded: Commanded,
    ingress: OnceLock<Arc<dyn Ingress>>,
    journal: OnceLock<Journal>,
    runtime: OnceLock<tokio::runtime::Handle>,
    is_stopping: AtomicBool,
}

impl Inner {
    pub(crate) fn new(memory_bytes_max: usize) -> Self {
        Self {
            clock: Clock::start(),
            budget: Arc::new(Budget::new(memory_bytes_max)),
            drops: Arc::default(),
            registry: Registry::default(),
            timers: Arc::default(),
            burials: Burials::default(),
            topics: Topics::default(),
            calls: Calls::default(),
            tables: Tables::default(),
            commanded: Commanded::default(),
            ingress: OnceLock::new(),
            journal: OnceLock::new(),
            runtime: OnceLock::new(),
            is_stopping: AtomicBool::new(false),
        }
    }

    pub(crate) fn journal(&self) -> Option<&Journal> {
        self.journal.get()
    }

    /// What stands before the routing.
    pub(crate) fn ingress(&self) -> Option<&Arc<dyn Ingress>> {
        self.ingress.get()
    }

    pub(crate) fn set_ingress(&self, ingress: Arc<dyn Ingress>) {
        let _there_is_one = self.ingress.set(ingress);
    }

    pub(crate) fn keep_in(&self, journal: Journal) {
        let _there_is_one = self.journal.set(journal);
    }

    /// The runtime of the host program, once the node runs.
    pub(crate) fn runtime(&self) -> Option<&tokio::runtime::Handle> {
        self.runtime.get()
    }

    pub(crate) fn run_on(&self, runtime: tokio::runtime::Handle) {
        let _it_runs_already = self.runtime.set(runtime);
    }

    pub(crate) fn is_stopping(&self) -> bool {
        self.is_stopping.load(Ordering::Relaxed)
    }

    pub(crate) fn begin_stop(&self) {
        self.is_stopping.store(true, Ordering::Relaxed);
    }
}
