//! One rule of the node over all versions of its script: its state, its counters, and what it was called with.

use std::sync::{Arc, atomic::AtomicU64};

use parking_lot::{Mutex, RwLock};
use primer::{Node, Table};

use super::{
    history::History,
    rest::Rest,
    stats::Counted,
    trace::{Traced, Tracers},
};
use crate::{
    failure::FailureReason,
    message::Msg,
    rule::{Called, How, Rule},
    state::{RuleState, StateChange},
};

/// The prefix of the tables in which rules have their state.
pub(crate) const STATE: &str = "rule/";

/// See the module's description.
#[derive(Debug)]
pub(crate) struct Member {
    pub(crate) id: Arc<str>,
    /// As the store has it.
    pub(crate) table: Table,
    pub(crate) state: Mutex<RuleState>,
    pub(crate) stats: Counted,
    pub(crate) rest: Rest,
    pub(crate) history: Mutex<History>,
    pub(crate) last_failure: Mutex<Option<String>>,
    /// When it was last said in the log that it fails, in the node's milliseconds.
    pub(crate) told_ms: AtomicU64,
    rule: RwLock<Arc<Rule>>,
}

impl Member {
    pub(crate) fn new(node: &Node, rule: &Arc<Rule>) -> Self {
        let table = node.table(&format!("{STATE}{}", rule.id()));
        let mut state = RuleState::new(rule.limits().state_keys, rule.limits().state_bytes);
        let left_out = table.entries("").iter().filter(|(key, value)| !state.restore(key, value)).count();
        if left_out > 0 {
            tracing::warn!(
                rule = rule.id(),
                left_out,
                "entries of the rule's state are beyond its limits, and left out"
            );
        }
        Self {
            id: rule.id().into(),
            table,
            state: Mutex::new(state),
            stats: Counted::default(),
            rest: Rest::default(),
            history: Mutex::default(),
            last_failure: Mutex::default(),
            told_ms: AtomicU64::new(0),
            rule: RwLock::new(Arc::clone(rule)),
        }
    }

    /// The rule as it is now.
    pub(crate) fn rule(&self) -> Arc<Rule> {
        Arc::clone(&self.rule.read())
    }

    /// Whether none of its messages comes again.
    pub(crate) fn has_each_once(&self) -> bool {
        self.rule.read().has_each_once()
    }

    /// From the next call on it is this one.
    pub(crate) fn becomes(&self, rule: &Arc<Rule>) {
        *self.rule.write() = Arc::clone(rule);
        self.rest.forgive();
    }

    /// Calls the rule, and notes what there is to note of it.
    pub(crate) fn call(
        &self,
        rule: &Rule,
        message: &Msg,
        state: &mut RuleState,
        (now_unix_ms, now_ms): (u64, u64),
        tracers: &Tracers,
    ) -> Called {
        let is_traced = tracers.wants(&self.id, &message.content().topic);
        if let Some(mut history) = self.history.try_lock() {
            history.add(message); // what another thread keeps in the same moment has to do
        }
        let mut called = rule.call(message, state, How { now_unix_ms, is_traced });
        let took = called.took;
        self.stats.called(called.operations, took);
        let is_strike = match &called.result {
            Ok(_) => false,
            Err(failure) => {
                self.stats.failed(failure.reason);
                let text = format!("{}:{failure}", rule.file());
                self.tell(&text, now_ms);
                *self.last_failure.lock() = Some(text);
                failure.reason.is_limit() || failure.reason == FailureReason::Panic
            }
        };
        if self.rest.note(is_strike, now_ms) {
            tracing::warn!(rule = &*self.id, "the rule keeps running into its limits, and rests");
        }
        if is_traced {
            let trace = called.trace.take();
            tracers.add(&Traced { rule: Arc::clone(&self.id), message, called: &called, trace, took });
        }
        called
    }

    /// What the store is told of changes of the state that hold already.
    pub(crate) fn note(&self, draft: &mut primer::journal::Draft, changes: &[StateChange]) {
        for StateChange { key, after, .. } in changes {
            if let Some(change) = self.table.change(key, after.as_deref()) {
                draft.change(change);
            }
            self.table.take_in(key, after.as_deref());
        }
    }

    /// What was noted has not happened, and the store does not have it. What another publish has changed since stays.
    pub(crate) fn unnote(&self, changes: &[StateChange]) {
        let mut state = self.state.lock();
        for change in changes.iter().rev() {
            if state.get(&change.key) == change.after.as_deref() {
                state.revert(std::slice::from_ref(change));
                self.table.take_in(&change.key, change.before.as_deref());
            }
        }
    }

    /// It remembers nothing any more; how many entries that were.
    pub(crate) fn forget(&self) -> usize {
        let mut state = self.state.lock();
        let keys: Vec<String> = state.entries().map(|(key, _)| key.to_owned()).collect();
        state.clear();
        for key in &keys {
            if let Err(error) = self.table.set(key, None) {
                tracing::error!(rule = &*self.id, key, %error, "an entry of the rule's state stays on the disk");
            }
        }
        keys.len()
    }

    /// A rule that fails on each message does not fill the log.
    fn tell(&self, why: &str, now_ms: u64) {
        use std::sync::atomic::Ordering::Relaxed;
        const PAUSE_MS: u64 = 10_000;
        let told_ms = self.told_ms.load(Relaxed);
        let is_first = told_ms == 0;
        if (is_first || now_ms >= told_ms + PAUSE_MS)
            && self.told_ms.compare_exchange(told_ms, now_ms.max(1), Relaxed, Relaxed).is_ok()
        {
            let failures = self.stats.failures();
            tracing::warn!(rule = &*self.id, failures, "a rule fails: {why}");
        }
    }
}
