//! Rules as scripts write them, from text to verdict.

mod actions;
mod hostile;
mod load;
mod message;
mod threads;

use crate::{Called, Content, Failure, Host, How, LoadErrors, Msg, Origin, Rule, RuleState, Ruleset, Verdict};

const NOW: u64 = 1_760_000_000_000;

fn load(script: &str) -> Ruleset {
    Ruleset::load(&Host::new(), &[("test.rhai", script)]).unwrap_or_else(|errors| panic!("{errors}"))
}

fn load_errors(script: &str) -> LoadErrors {
    Ruleset::load(&Host::new(), &[("rules/heat.rhai", script)]).expect_err("is wrong")
}

fn message(topic: &str, payload: &str) -> Msg {
    let origin = Origin {
        client: Some("pump-7".into()),
        user: Some("plant".into()),
        time_unix_ms: NOW - 5,
        attempt: 1,
        ..Origin::default()
    };
    Msg::new(Content {
        topic: topic.into(),
        payload: payload.as_bytes().into(),
        qos: 1,
        origin: origin.into(),
        ..Content::default()
    })
}

fn how() -> How {
    How { now_unix_ms: NOW, is_traced: true }
}

fn call(rule: &Rule, message: &Msg) -> Called {
    rule.call(message, &mut RuleState::new(100, 10_000), how())
}

/// Calls a rule that has this body with a message.
fn run_on(body: &str, message: &Msg) -> Called {
    let rules = load(&format!("rule(\"r\", \"#\", #{{ may_loop: true }}, |msg| {{ {body} }});"));
    call(&rules.rules()[0], message)
}

fn run(body: &str) -> Called {
    run_on(body, &message("sensors/7/temp", r#"{"celsius":81.5,"unit":"C"}"#))
}

fn failure(body: &str) -> Failure {
    run(body).result.expect_err("fails")
}

fn text(message: &Msg) -> String {
    String::from_utf8_lossy(&message.content().payload).into_owned()
}

#[test]
fn the_rule_of_the_talk() {
    let rules = load(
        r#"rule("overheat", "sensors/+/temp", |msg| {
            if msg.json.celsius > 80.0 { enqueue("alarms", msg); }
            ok
        });"#,
    );
    let rule = rules.rule("overheat").expect("is there");
    let hot = message("sensors/7/temp", r#"{"celsius":81.5}"#);
    let called = call(rule, &hot);
    assert_eq!(called.result, Ok(Verdict::Ok));
    assert_eq!(called.outputs.len(), 1);
    assert_eq!(called.outputs[0].target, crate::Target::Queue("alarms".into()));
    assert_eq!(called.outputs[0].message.content().origin.hops, 1);
    assert_eq!(called.outputs[0].message.content().origin.client.as_deref(), Some("pump-7"));
    assert!(called.operations > 0);
    let cold = call(rule, &message("sensors/7/temp", r#"{"celsius":20.5}"#));
    assert_eq!((cold.result, cold.outputs.len()), (Ok(Verdict::Ok), 0));
    assert!(rule.is_match(&hot) && !rule.is_match(&message("sensors/7/hum", "")));
}
