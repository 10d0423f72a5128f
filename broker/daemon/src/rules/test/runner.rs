//! Calls rules with messages, as a broker would: those of stage `ingress` one after another on what the one before made
//! of the message, the others each on the message. Each rule's state goes on from message to message; outputs go
//! nowhere.

use std::sync::Arc;

use primer_mapping::{Called, How, Msg, OnError, Rule, RuleState, Ruleset, Source, Stage, StateChange, Verdict};
use serde_json::Value;

use super::{
    case,
    given::{Given, To, in_its_queue},
    tally::Tally,
};
use crate::{control::write, rules::call};

struct Seat<'s> {
    rule: &'s Arc<Rule>,
    state: RuleState,
    tally: Tally,
}

/// See the module's description.
pub(super) struct Runner<'s> {
    set: &'s Ruleset,
    seats: Vec<Seat<'s>>,
    only: Option<&'s str>,
    is_traced: bool,
    seen: u64,
    cases: Cases,
}

impl<'s> Runner<'s> {
    pub(super) fn new(set: &'s Ruleset, only: Option<&'s str>, is_traced: bool, cases: Cases) -> Self {
        let seat = |rule: &'s Arc<Rule>| {
            let (limits, tally) = (rule.limits(), Tally::new(rule));
            Seat { rule, state: RuleState::new(limits.state_keys, limits.state_bytes), tally }
        };
        Self { set, seats: set.rules().iter().map(seat).collect(), only, is_traced, seen: 0, cases }
    }

    /// Messages so far.
    pub(super) fn seen(&self) -> u64 {
        self.seen
    }

    /// Calls so far.
    pub(super) fn calls(&self) -> u64 {
        self.seats.iter().map(|seat| seat.tally.calls()).sum()
    }

    /// Calls that failed.
    pub(super) fn failures(&self) -> u64 {
        self.seats.iter().map(|seat| seat.tally.failures()).sum()
    }

    /// The figures of each rule, with its identifier.
    pub(super) fn tallies(&self) -> impl Iterator<Item = (&str, &Tally)> {
        let is_wanted = |seat: &&Seat<'_>| self.only.is_none_or(|only| only == seat.rule.id());
        self.seats.iter().filter(is_wanted).map(|seat| (seat.rule.id(), &seat.tally))
    }

    pub(super) fn cases(&self) -> &Cases {
        &self.cases
    }

    /// Takes one message.
    pub(super) fn take(&mut self, given: &Given<'_>) -> anyhow::Result<()> {
        let message = match given.to {
            To::Rule(id) => return self.take_for(id, &given.message),
            To::Queue => given.message.clone(),
            To::All => {
                self.see();
                // It came by such rules before it was where it comes from, and is as they left it.
                self.pass(&given.message)?;
                given.message.clone()
            }
            To::Publish => {
                self.see();
                let Some(passed) = self.pass(&given.message)? else { return Ok(()) };
                in_its_queue(passed)
            }
        };
        for index in 0..self.seats.len() {
            let Some(Seat { rule, .. }) = self.seats.get(index) else { break };
            let is_of_queue = matches!(rule.source(), Source::Queue(_));
            if rule.stage() == Stage::Group && rule.is_match(&message) && (given.to != To::Queue || is_of_queue) {
                self.call(index, &message)?;
            }
        }
        Ok(())
    }

    fn take_for(&mut self, id: &str, message: &Msg) -> anyhow::Result<()> {
        self.seen += 1;
        let Some(index) = self.seats.iter().position(|seat| seat.rule.id() == id) else { return Ok(()) };
        if let Some(seat) = self.seats.get_mut(index) {
            seat.tally.see();
        }
        self.call(index, message).map(drop)
    }

    fn see(&mut self) {
        self.seen += 1;
        self.seats.iter_mut().for_each(|seat| seat.tally.see());
    }

    /// Rules of stage `ingress`; what goes on, if it does.
    fn pass(&mut self, message: &Msg) -> anyhow::Result<Option<Msg>> {
        let mut message = message.clone();
        let mut done: Vec<(usize, Vec<StateChange>)> = Vec::new();
        let ids: Vec<Arc<Rule>> = self.set.ingress(&message.content().topic).into_iter().cloned().collect();
        for rule in ids {
            let Some(index) = self.seats.iter().position(|seat| Arc::ptr_eq(seat.rule, &rule)) else { continue };
            let Some(called) = self.call(index, &message)? else { continue };
            let refused = match called.result {
                Ok(Verdict::Refuse(..)) => true,
                Err(_) => rule.options().on_error == OnError::Refuse,
                Ok(_) => false,
            };
            done.push((index, called.changes));
            if refused {
                // Nothing of it would have happened.
                for (index, changes) in done.iter().rev() {
                    if let Some(seat) = self.seats.get_mut(*index) {
                        seat.state.revert(changes);
                    }
                }
                return Ok(None);
            }
            match called.result {
                Ok(Verdict::Drop) => return Ok(None),
                Err(_) if rule.options().on_error == OnError::Drop => return Ok(None),
                Err(_) => {}
                Ok(_) => message = called.message,
            }
        }
        Ok(Some(message))
    }

    /// Calls a rule, counts, and shows the case if it is one to be shown; `None` for a rule that is not to be called.
    fn call(&mut self, index: usize, message: &Msg) -> anyhow::Result<Option<Called>> {
        let Some(seat) = self.seats.get_mut(index) else { return Ok(None) };
        if self.only.is_some_and(|only| only != seat.rule.id()) {
            return Ok(None);
        }
        let is_shown = self.cases.wants_more();
        let how = How { now_unix_ms: message.content().origin.time_unix_ms, is_traced: self.is_traced && is_shown };
        let called = seat.rule.call(message, &mut seat.state, how);
        seat.tally.add(message, &called, called.took);
        if is_shown {
            self.cases.add(&case::json(seat.rule.id(), message, &called, called.took))?;
        }
        Ok(Some(called))
    }
}

/// The cases that are shown: at once, or kept until the end.
#[derive(Debug)]
pub(super) struct Cases {
    most: u64,
    is_at_once: bool,
    is_json: bool,
    count: u64,
    kept: Vec<String>,
}

impl Cases {
    pub(super) fn new(most: u64, is_at_once: bool, is_json: bool) -> Self {
        Self { most, is_at_once, is_json, count: 0, kept: Vec::new() }
    }

    fn wants_more(&self) -> bool {
        self.count < self.most
    }

    fn add(&mut self, case: &Value) -> anyhow::Result<()> {
        self.count += 1;
        let text = if self.is_json { case.to_string() } else { call::shown(self.count, case) };
        if !self.is_at_once {
            self.kept.push(text);
            return Ok(());
        }
        match (self.is_json, self.count) {
            (true, 1) => write(format!("{{\"cases\":[{text}").as_bytes()),
            (true, _) => write(format!(",{text}").as_bytes()),
            (false, _) => write(format!("{text}\n").as_bytes()),
        }
    }

    /// What was kept, for people.
    pub(super) fn people(&self) -> String {
        self.kept.join("\n")
    }

    /// What is still to be written of the member `cases`.
    pub(super) fn rest_of_json(&self) -> String {
        if self.is_at_once && self.count > 0 {
            "]".to_owned()
        } else {
            format!("{{\"cases\":[{}]", self.kept.join(","))
        }
    }
}

#[cfg(test)]
mod tests {
    use primer_mapping::{Content, Host};
    use serde_json::json;

    use super::*;

    const RULES: &str = r#"
        rule("gate", "in/+", #{ stage: "ingress" }, |msg| {
            state.incr("gate");
            if msg.text == "no" { return refuse("no"); }
            if msg.text == "gone" { return drop; }
            msg.topic = "out/" + msg.level(1);
            msg
        });
        rule("count", "out/+", |msg| { publish("n", state.incr("n")); ok });
        rule("raw", "in/+", |msg| { ok });
        rule("work", "$queue/q", |msg| { throw "never" });
    "#;

    fn message(topic: &str, text: &str) -> Msg {
        Msg::new(Content { topic: topic.into(), payload: text.as_bytes().into(), ..Content::default() })
    }

    fn counts(runner: &Runner<'_>) -> Vec<(String, u64, u64)> {
        runner.tallies().map(|(id, tally)| (id.to_owned(), tally.calls(), tally.failures())).collect()
    }

    fn case(id: &str, calls: u64, failures: u64) -> (String, u64, u64) {
        (id.to_owned(), calls, failures)
    }

    #[test]
    fn a_publish_goes_by_ingress_and_then_where_it_was_sent() {
        let set = Ruleset::load(&Host::new(), &[("f", RULES)]).unwrap();
        let mut runner = Runner::new(&set, None, false, Cases::new(3, false, true));
        for text in ["a", "no", "gone", "b"] {
            runner.take(&Given { message: message("in/1", text), to: To::Publish }).unwrap();
        }
        runner.take(&Given { message: message("$queue/q", ""), to: To::Publish }).unwrap();
        assert_eq!(counts(&runner), [case("gate", 4, 0), case("count", 2, 0), case("raw", 0, 0), case("work", 1, 1)]);
        assert_eq!((runner.seen(), runner.calls(), runner.failures()), (5, 7, 1));
        let gate = &runner.seats[0];
        let kept = gate.state.entries().next().map(|(_, value)| value.last().copied());
        assert_eq!(kept, Some(Some(3)), "not what was refused");
        let cases: Value = serde_json::from_str(&(runner.cases().rest_of_json() + "}")).unwrap();
        let rules: Vec<&Value> = cases["cases"].as_array().unwrap().iter().map(|case| &case["rule"]).collect();
        assert_eq!(rules, [&json!("gate"), &json!("count"), &json!("gate")]);
    }

    #[test]
    fn what_was_routed_already_goes_to_each_rule_as_it_is() {
        let set = Ruleset::load(&Host::new(), &[("f", RULES)]).unwrap();
        let mut runner = Runner::new(&set, None, false, Cases::new(0, false, false));
        runner.take(&Given { message: message("in/1", "no"), to: To::All }).unwrap();
        runner.take(&Given { message: in_its_queue(message("$queue/q", "")), to: To::Queue }).unwrap();
        runner.take(&Given { message: message("any", ""), to: To::Rule("count") }).unwrap();
        assert_eq!(counts(&runner), [case("gate", 1, 0), case("count", 1, 0), case("raw", 1, 0), case("work", 1, 1)]);
        let mut runner = Runner::new(&set, Some("raw"), false, Cases::new(0, false, false));
        runner.take(&Given { message: message("in/1", "no"), to: To::Publish }).unwrap();
        assert_eq!(counts(&runner), [case("raw", 1, 0)]);
    }
}
