//! Plays messages to the rules of one file, and shows what comes of them.

use std::collections::BTreeMap;

use primer_mapping::{Content, Failure, Host, How, Msg, Origin, Output, RuleState, Ruleset, Stage, Target, Verdict};

use crate::text_of;

/// 2026-11-28T20:15:00Z.
pub(crate) const BEGIN_MS: u64 = 1_795_896_900_000;

/// Payloads that say nothing to a rule that wants an object with numbers.
pub(crate) const ODD: &[&[u8]] = &[
    b"",
    b"hello",
    b"\xff\xfe\x00",
    b"{\"celsius\":",
    b"null",
    b"true",
    b"7",
    b"\"text\"",
    b"[]",
    b"[1,[2,{\"a\":3}]]",
    b"{}",
    b"{\"celsius\":null,\"percent\":null,\"ampere\":null,\"temp_f\":null}",
    b"{\"celsius\":\"80\",\"percent\":[1],\"ampere\":{},\"temp_f\":true}",
    b"{\"celsius\":1e400,\"percent\":-1e999,\"ampere\":1e400,\"temp_f\":1e400}",
];

/// The rules of a file, with their states and a clock.
pub(crate) struct Player {
    rules: Ruleset,
    states: BTreeMap<String, RuleState>,
    pub(crate) now_ms: u64,
}

impl Player {
    pub(crate) fn of(file: &str) -> Self {
        Self::of_text(file, &text_of(file))
    }

    pub(crate) fn of_text(file: &str, text: &str) -> Self {
        let rules = Ruleset::load(&Host::new(), &[(file, text)]).unwrap_or_else(|errors| panic!("{errors}"));
        Self { rules, states: BTreeMap::new(), now_ms: BEGIN_MS }
    }

    pub(crate) fn after(&mut self, ms: u64) -> &mut Self {
        self.now_ms += ms;
        self
    }

    /// Gives a message to all rules that it matches; what they put out.
    pub(crate) fn try_message(&mut self, message: &Msg) -> Result<Vec<Output>, Failure> {
        let mut outputs = Vec::new();
        for rule in self.rules.rules().iter().filter(|rule| rule.is_match(message)) {
            let limits = rule.limits();
            let fresh = || RuleState::new(limits.state_keys, limits.state_bytes);
            let state = self.states.entry(rule.id().into()).or_insert_with(fresh);
            let called = rule.call(message, state, How { now_unix_ms: self.now_ms, is_traced: false });
            let verdict = called.result?;
            assert!(matches!(verdict, Verdict::Ok | Verdict::Drop), "{verdict:?}");
            if rule.stage() == Stage::Ingress {
                outputs.push(Output { target: Target::Topic, message: called.message, delay: None });
            }
            outputs.extend(called.outputs);
        }
        Ok(outputs)
    }

    /// A publish comes; the lines of what is put out: target, payload, `(retained)`.
    pub(crate) fn publish(&mut self, topic: &str, payload: impl AsRef<[u8]>) -> Vec<String> {
        let message = publish(topic, payload.as_ref(), self.now_ms);
        let outputs = self.try_message(&message);
        let outputs = outputs.unwrap_or_else(|failure| panic!("{topic} {message}: {failure}"));
        outputs.iter().map(line).collect()
    }

    /// None of these payloads makes the rule fail, or say something.
    pub(crate) fn ignores(&mut self, topic: &str, payloads: &[&[u8]]) {
        for payload in payloads {
            let said = self.publish(topic, payload);
            assert!(said.is_empty(), "{topic} {}: {said:?}", payload.escape_ascii());
        }
    }

    /// Bytes of the states of all rules.
    pub(crate) fn state_bytes(&self) -> usize {
        self.states.values().map(RuleState::bytes).sum()
    }
}

pub(crate) fn publish(topic: &str, payload: &[u8], time_unix_ms: u64) -> Msg {
    let origin = Origin { client: Some("device".into()), time_unix_ms, attempt: 1, ..Origin::default() };
    Msg::new(Content {
        topic: topic.into(),
        payload: payload.into(),
        qos: 1,
        origin: origin.into(),
        ..Content::default()
    })
}

pub(crate) fn line(output: &Output) -> String {
    let content = output.message.content();
    let place = match &output.target {
        Target::Topic => content.topic.to_string(),
        Target::Queue(queue) => format!("queue {queue}"),
    };
    let retained = if content.retain { " (retained)" } else { "" };
    format!("{place} {}{retained}", content.payload.escape_ascii().to_string().replace("\\\"", "\""))
}
