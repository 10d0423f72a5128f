//! Rules of stage `ingress` at work: each publish that comes in goes by those whose filters match its topic, in the
//! order of their files and lines. Each sees what the one before it has made.

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};

use parking_lot::RwLock;
use primer::{Admission, Arriving, Clock, Ingress, Undo, journal::Draft};
use primer_core::commit::Refused;

use super::{convert, member::Member, stats::Stats, trace::Tracers};
use crate::{
    message::Msg,
    options::OnError,
    output::{Output, Verdict},
    ruleset::Ruleset,
    state::{RuleState, StateChange},
};

/// The rules as they are now, with what the node has of each, in the same order.
#[derive(Debug, Default)]
pub(crate) struct Guards {
    pub(crate) ruleset: Arc<Ruleset>,
    pub(crate) members: Vec<Arc<Member>>,
}

/// Where the rules are that are active.
#[derive(Debug, Default)]
pub(crate) struct Guarding {
    pub(crate) current: RwLock<Arc<Guards>>,
    /// Whether any of them is of stage `ingress`.
    pub(crate) is_any: AtomicBool,
}

impl Guarding {
    /// There are none any more.
    pub(crate) fn clear(&self) {
        self.is_any.store(false, Ordering::Release);
        *self.current.write() = Arc::default();
    }
}

/// See the module's description.
#[derive(Debug)]
pub(crate) struct Gate {
    pub(crate) clock: Clock,
    pub(crate) guards: Arc<Guarding>,
    pub(crate) tracers: Arc<Tracers>,
}

/// What has come of a publish so far.
struct Passing {
    message: Msg,
    is_changed: bool,
    outputs: Vec<Output>,
    draft: Draft,
    /// What the rules so far have done to their states, for what a later one refuses.
    done: Vec<(Arc<Member>, Vec<StateChange>)>,
}

enum Step {
    On,
    End,
    Refused(u8),
}

/// The reason code of a publish that is refused because a rule failed: implementation specific error.
const FAILED: u8 = 0x83;

impl Ingress for Gate {
    fn matches(&self, topic: &str) -> bool {
        self.guards.is_any.load(Ordering::Acquire) && self.guards.current.read().ruleset.guards(topic)
    }

    fn admit(&self, arriving: &Arriving<'_>) -> Admission {
        let guards = Arc::clone(&self.guards.current.read());
        let indexes = guards.ruleset.ingress_indexes(arriving.topic);
        if indexes.is_empty() {
            return Admission::Pass;
        }
        let mut passing = Passing {
            message: convert::of_arriving(arriving, self.clock.unix_ms()),
            is_changed: false,
            outputs: Vec::new(),
            draft: Draft::default(),
            done: Vec::new(),
        };
        let mut goes_on = true;
        for member in indexes.into_iter().filter_map(|index| guards.members.get(index)) {
            match self.step(member, &mut passing) {
                Step::On => {}
                Step::End => {
                    goes_on = false;
                    break;
                }
                Step::Refused(code) => {
                    // Nothing of it has happened.
                    for (member, changes) in passing.done.iter().rev() {
                        member.state.lock().revert(changes);
                    }
                    return Admission::Refused(Refused::ByRule(code));
                }
            }
        }
        for (member, changes) in &passing.done {
            member.note(&mut passing.draft, changes);
        }
        let done = passing.done;
        if goes_on && !passing.is_changed && passing.outputs.is_empty() && done.is_empty() {
            return Admission::Pass;
        }
        let undo = if done.is_empty() {
            Undo::default()
        } else {
            Undo::new(move || done.iter().rev().for_each(|(member, changes)| member.unnote(changes)))
        };
        Admission::Changed {
            message: goes_on.then(|| convert::message(&passing.message)),
            products: passing.outputs.iter().map(convert::product).collect(),
            draft: passing.draft,
            undo,
        }
    }
}

impl Gate {
    fn step(&self, member: &Arc<Member>, passing: &mut Passing) -> Step {
        let rule = member.rule();
        let stats = &member.stats;
        let now = (self.clock.unix_ms(), self.clock.now_ms());
        let failed = || match rule.options().on_error {
            OnError::Refuse => {
                Stats::add(&stats.refused, 1);
                Step::Refused(FAILED)
            }
            OnError::Drop => {
                Stats::add(&stats.dropped, 1);
                Step::End
            }
            _ => {
                Stats::add(&stats.passed, 1);
                Step::On
            }
        };
        if member.rest.is_on(now.1) {
            Stats::add(&stats.rested, 1);
            return failed();
        }
        let called = if rule.uses_state() {
            member.call(&rule, &passing.message, &mut member.state.lock(), now, &self.tracers)
        } else {
            // Nothing stands between publishers on different threads.
            member.call(&rule, &passing.message, &mut RuleState::new(0, 0), now, &self.tracers)
        };
        let verdict = match called.result {
            Ok(verdict) => verdict,
            Err(_it_was_noted) => return failed(),
        };
        stats.said(&verdict);
        if let Verdict::Refuse(code, why) = verdict {
            let topic = &*passing.message.content().topic;
            tracing::debug!(rule = &*member.id, topic, why, "a rule refuses a publish");
            member.state.lock().revert(&called.changes);
            return Step::Refused(code);
        }
        Stats::add(&stats.outputs, called.outputs.len() as u64);
        passing.outputs.extend(called.outputs);
        if !called.changes.is_empty() {
            passing.done.push((Arc::clone(member), called.changes));
        }
        if !called.message.is_same(&passing.message) {
            (passing.message, passing.is_changed) = (called.message, true);
        }
        if matches!(verdict, Verdict::Ok) { Step::On } else { Step::End }
    }
}
