//! What a call of a rule costs: `cargo bench -p primer-mapping`. One core; the aim is 400,000 calls a second.

use divan::{Bencher, counter::ItemsCount};
use primer_mapping::{Content, Host, How, Msg, Origin, Rule, RuleState, Ruleset};

fn main() {
    divan::main();
}

fn load(script: &str) -> Ruleset {
    Ruleset::load(&Host::new(), &[("bench.rhai", script)]).unwrap_or_else(|errors| panic!("{errors}"))
}

fn message(topic: &str, payload: &str) -> Msg {
    let origin = Origin { client: Some("pump-7".into()), attempt: 1, ..Origin::default() };
    Msg::new(Content {
        topic: topic.into(),
        payload: payload.as_bytes().into(),
        qos: 1,
        origin: origin.into(),
        ..Content::default()
    })
}

fn calls(bencher: Bencher<'_, '_>, rule: &Rule, message: &Msg) {
    let mut state = RuleState::new(100, 10_000);
    let how = How { now_unix_ms: 1_760_000_000_000, is_traced: false };
    bencher.counter(ItemsCount::new(1_u32)).bench_local(|| {
        let called = rule.call(message, &mut state, how);
        assert!(called.result.is_ok());
        called
    });
}

const THRESHOLD: &str = r#"
    rule("overheat", "sensors/+/temp", |msg| {
        if msg.json.celsius > 80.0 { enqueue("alarms", msg); }
        ok
    });
"#;

#[divan::bench]
fn threshold_below(bencher: Bencher<'_, '_>) {
    let rules = load(THRESHOLD);
    calls(bencher, &rules.rules()[0], &message("sensors/7/temp", r#"{"celsius":21.5,"unit":"C"}"#));
}

#[divan::bench]
fn threshold_above(bencher: Bencher<'_, '_>) {
    let rules = load(THRESHOLD);
    calls(bencher, &rules.rules()[0], &message("sensors/7/temp", r#"{"celsius":81.5,"unit":"C"}"#));
}

#[divan::bench]
fn topic_rewrite(bencher: Bencher<'_, '_>) {
    let rules = load(
        r#"rule("rewrite", "old/#", #{ stage: "ingress" }, |msg| {
            msg.topic = "new/" + msg.level(1) + "/temp";
            ok
        });"#,
    );
    calls(bencher, &rules.rules()[0], &message("old/7/temp", "21.5"));
}

#[divan::bench]
fn empty(bencher: Bencher<'_, '_>) {
    let rules = load(r#"rule("nothing", "t", |msg| { ok });"#);
    calls(bencher, &rules.rules()[0], &message("t", "21.5"));
}

#[divan::bench]
fn no_match_of_100(bencher: Bencher<'_, '_>) {
    let script: String = (0..100)
        .map(|n| format!("rule(\"r{n}\", \"plant/{n}/+/temp\", #{{ stage: \"ingress\" }}, |msg| {{ ok }});\n"))
        .collect();
    let rules = load(&script);
    bencher.counter(ItemsCount::new(1_u32)).bench_local(|| rules.ingress(divan::black_box("sensors/7/temp")).len());
}
