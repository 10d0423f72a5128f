//! What a rule would have done, in figures.

use std::{collections::BTreeMap, fmt::Write as _, time::Duration};

use hdrhistogram::Histogram;
use primer_mapping::{Called, Msg, Rule, Verdict};
use serde_json::{Value, json};

use super::case;
use crate::{
    rules::{check, micros},
    table::plain,
    units,
};

/// Destinations that are counted apart.
const DESTINATIONS_MAX: usize = 1_000;

/// Destinations that are shown to people: those that get most.
const DESTINATIONS_SHOWN: usize = 20;

/// The longest call that is told from longer ones.
const NANOS_MAX: u64 = 100_000_000_000;

/// The figures of one rule.
pub(super) struct Tally {
    head: String,
    seen: u64,
    calls: u64,
    changed: u64,
    verdicts: BTreeMap<&'static str, u64>,
    /// By reason: how many, and the first.
    failures: BTreeMap<&'static str, (u64, String)>,
    outputs: u64,
    destinations: BTreeMap<String, u64>,
    destinations_left_out: u64,
    operations: u64,
    operations_max: u64,
    nanos: u64,
    nanos_max: u64,
    times: Option<Histogram<u64>>,
}

impl Tally {
    pub(super) fn new(rule: &Rule) -> Self {
        let (stage, source) = (check::stage(rule.stage()), plain(&rule.source().to_string()));
        Self {
            head: format!("stage {stage}, on {source}, {}:{}", plain(rule.file()), rule.line()),
            seen: 0,
            calls: 0,
            changed: 0,
            verdicts: BTreeMap::new(),
            failures: BTreeMap::new(),
            outputs: 0,
            destinations: BTreeMap::new(),
            destinations_left_out: 0,
            operations: 0,
            operations_max: 0,
            nanos: 0,
            nanos_max: 0,
            times: Histogram::new_with_bounds(1, NANOS_MAX, 2).ok(),
        }
    }

    pub(super) fn calls(&self) -> u64 {
        self.calls
    }

    pub(super) fn failures(&self) -> u64 {
        self.failures.values().map(|(count, _)| count).sum()
    }

    /// Counts a message that came, for this rule or for others.
    pub(super) fn see(&mut self) {
        self.seen += 1;
    }

    /// Counts a call.
    pub(super) fn add(&mut self, given: &Msg, called: &Called, took: Duration) {
        let nanos = u64::try_from(took.as_nanos()).unwrap_or(u64::MAX);
        self.calls += 1;
        self.operations += called.operations;
        self.operations_max = self.operations_max.max(called.operations);
        self.nanos = self.nanos.saturating_add(nanos);
        self.nanos_max = self.nanos_max.max(nanos);
        if let Some(times) = &mut self.times {
            times.saturating_record(nanos.max(1));
        }
        if is_changed(given, &called.message) {
            self.changed += 1;
        }
        match &called.result {
            Ok(verdict) => *self.verdicts.entry(name(verdict)).or_default() += 1,
            Err(failure) => {
                let topic = plain(&given.content().topic);
                let first = || (0, format!("{failure} (a message of {topic})"));
                self.failures.entry(failure.reason.as_str()).or_insert_with(first).0 += 1;
            }
        }
        for output in &called.outputs {
            self.outputs += 1;
            let to = case::destination(output);
            if self.destinations.len() >= DESTINATIONS_MAX && !self.destinations.contains_key(&to) {
                self.destinations_left_out += 1;
            } else {
                *self.destinations.entry(to).or_default() += 1;
            }
        }
    }

    /// The mean of a sum over all calls.
    fn mean(&self, sum: u64) -> f64 {
        sum as f64 / (self.calls.max(1)) as f64
    }

    fn micros_p99(&self) -> f64 {
        let nanos = self.times.as_ref().map_or(0, |times| times.value_at_quantile(0.99));
        nanos.min(self.nanos_max) as f64 / 1e3
    }

    pub(super) fn json(&self) -> Value {
        let failed = self
            .failures
            .iter()
            .map(|(reason, (count, first))| ((*reason).to_owned(), json!({"count": count, "first": first})));
        json!({
            "messages": self.seen,
            "calls": self.calls,
            "changed": self.changed,
            "verdicts": self.verdicts,
            "failures": failed.collect::<serde_json::Map<String, Value>>(),
            "outputs": self.outputs,
            "destinations": self.destinations,
            "destinations_left_out": self.destinations_left_out,
            "operations": {"mean": self.mean(self.operations), "max": self.operations_max},
            "micros": {
                "mean": self.mean(self.nanos) / 1e3,
                "p99": self.micros_p99(),
                "max": self.nanos_max as f64 / 1e3,
            },
        })
    }

    /// For people.
    pub(super) fn people(&self, id: &str) -> String {
        let mut shown = format!("rule {}: {}\n", plain(id), self.head);
        let mut line = |name: &str, value: &str| {
            let _a_string_takes_all = writeln!(shown, "  {name:<11} {value}");
        };
        let (seen, calls, changed) = (units::count(self.seen), units::count(self.calls), units::count(self.changed));
        line("messages", &format!("{seen} seen, {calls} matched, {changed} changed"));
        if self.calls == 0 {
            return shown;
        }
        if !self.verdicts.is_empty() {
            let verdicts = self.verdicts.iter().map(|(name, count)| format!("{} {name}", units::count(*count)));
            line("verdicts", &verdicts.collect::<Vec<String>>().join(", "));
        }
        for (reason, (count, first)) in &self.failures {
            let reason = reason.replace('_', " ");
            line("failed", &format!("{} {reason}; the first: {}", units::count(*count), plain(first)));
        }
        line("outputs", &units::count(self.outputs));
        let mut destinations: Vec<(&String, &u64)> = self.destinations.iter().collect();
        destinations.sort_by_key(|(_, count)| std::cmp::Reverse(**count));
        for (to, count) in destinations.iter().take(DESTINATIONS_SHOWN) {
            line("", &format!("{} to {}", units::count(**count), plain(to)));
        }
        let more = destinations.iter().skip(DESTINATIONS_SHOWN).map(|(_, count)| **count).sum::<u64>();
        if more + self.destinations_left_out > 0 {
            line("", &format!("{} to others", units::count(more + self.destinations_left_out)));
        }
        let (mean, p99, max) = (self.mean(self.nanos) / 1e3, self.micros_p99(), self.nanos_max as f64 / 1e3);
        line("time", &format!("mean {}, p99 {}, max {}", micros(mean), micros(p99), micros(max)));
        let mean = units::count(self.mean(self.operations).round() as u64);
        line("operations", &format!("mean {mean}, max {}", units::count(self.operations_max)));
        shown
    }
}

const fn name(verdict: &Verdict) -> &'static str {
    match verdict {
        Verdict::Ok => "ok",
        Verdict::Drop => "drop",
        Verdict::Retry(_) => "retry",
        Verdict::DeadLetter(_) => "dead_letter",
        Verdict::Refuse(..) => "refuse",
    }
}

/// Whether a rule has left a message that says something else.
fn is_changed(given: &Msg, left: &Msg) -> bool {
    let (one, other) = (given.content(), left.content());
    !given.is_same(left)
        && (one.topic != other.topic
            || one.payload != other.payload
            || (one.qos, one.retain, one.ttl, one.priority) != (other.qos, other.retain, other.ttl, other.priority)
            || one.properties != other.properties
            || (&one.key, &one.id) != (&other.key, &other.id))
}

#[cfg(test)]
mod tests {
    use primer_mapping::{Content, Host, How, RuleState, Ruleset};

    use super::*;

    #[test]
    fn calls_are_counted_by_what_came_of_them() {
        let script = r#"rule("r", "a/+", |msg| {
            if msg.text == "bad" { throw "bad"; }
            if msg.text == "gone" { return drop; }
            msg.text = msg.text;
            if msg.text == "new" { msg.text = "newer"; }
            for n in 0..30 { publish("t/" + n, n); }
            publish("t/0", 0);
        });"#;
        let set = Ruleset::load(&Host::new(), &[("f", script)]).unwrap();
        let rule = &set.rules()[0];
        let (mut tally, mut state) = (Tally::new(rule), RuleState::new(9, 999));
        tally.see();
        assert!(tally.people("r").ends_with("1 seen, 0 matched, 0 changed\n"));
        for text in ["bad", "gone", "same", "new"] {
            let given =
                Msg::new(Content { topic: "a/1".into(), payload: text.as_bytes().into(), ..Content::default() });
            let called = rule.call(&given, &mut state, How::default());
            tally.see();
            tally.add(&given, &called, Duration::from_micros(100));
        }
        let shown = tally.people("r");
        for line in [
            "rule r: stage group, on a/+, f:1\n",
            "  messages    5 seen, 4 matched, 1 changed\n",
            "  verdicts    1 drop, 2 ok\n",
            "  failed      1 error; the first: 2:36: error: bad (a message of a/1)\n",
            "  outputs     62\n              4 to t/0\n              2 to t/1\n",
            "              20 to others\n",
            "  time        mean 100 µs, p99 100 µs, max 100 µs\n",
        ] {
            assert!(shown.contains(line), "no {line:?} in {shown}");
        }
        let json = tally.json();
        assert_eq!((&json["outputs"], &json["destinations"]["t/0"]), (&json!(62), &json!(4)));
        assert_eq!((&json["verdicts"], &json["failures"]["error"]["count"]), (&json!({"drop": 1, "ok": 2}), &json!(1)));
    }
}
