//! Outputs, verdicts, and the names that every script has.

use std::time::Duration;

use super::{call, failure, load, message, run, run_on, text};
use crate::{Target, Verdict};

#[test]
fn outputs_are_what_was_asked_for() {
    let called = run(r#"publish(msg); publish("t/1", "text"); publish("t/2", #{ a: [1, 2.5, true, ()] });
           publish("t/3", blob(2, 7), #{ qos: 0, retain: true, headers: #{ a: "b" }, ttl: 500 });
           publish("$queue/jobs", 5); publish("t/4", msg);
           enqueue("jobs", "x"); enqueue("jobs", msg, #{ delay: "5s", ttl: "1h", priority: 7, key: "k", id: "i" });
           let m = message("t/5", "five"); m.qos = 2; publish(m); publish("$delayed/5/x", ""); ok"#);
    assert_eq!(called.result, Ok(Verdict::Ok));
    let topics: Vec<&str> = called.outputs.iter().map(|output| output.message.content().topic.as_str()).collect();
    assert_eq!(
        topics,
        [
            "sensors/7/temp",
            "t/1",
            "t/2",
            "t/3",
            "$queue/jobs",
            "t/4",
            "$queue/jobs",
            "sensors/7/temp",
            "t/5",
            "$delayed/5/x"
        ]
    );
    assert_eq!(text(&called.outputs[2].message), r#"{"a":[1,2.5,true,null]}"#);
    let third = called.outputs[3].message.content();
    assert_eq!((third.qos, third.retain, third.ttl), (0, true, Some(Duration::from_millis(500))));
    assert_eq!(&*third.payload, [7, 7]);
    assert_eq!(called.outputs[4].target, Target::Queue("jobs".into()));
    let delayed = &called.outputs[7];
    assert_eq!(delayed.delay, Some(Duration::from_secs(5)));
    assert_eq!(delayed.message.content().priority, Some(7));
    assert_eq!(called.outputs[8].message.content().qos, 2);
    for output in &called.outputs {
        assert_eq!(output.message.content().origin.hops, 1);
        assert_eq!(output.message.content().origin.user.as_deref(), Some("plant"));
    }
}

#[test]
fn what_cannot_be_an_output_is_named() {
    for (body, part) in [
        ("publish(\"a/#\", 1);", "\"a/#\""),
        ("publish(\"$SYS/x\", 1);", "$SYS/"),
        ("publish(\"$CONTROL/x\", 1);", "$CONTROL/"),
        ("publish(\"$share/g/x\", 1);", "$share/"),
        ("enqueue(\"a//b\", 1);", "\"a//b\""),
        ("enqueue(\"$x\", 1);", "\"$x\""),
        ("enqueue(\"q\", 1, #{ prio: 1 });", "delay, ttl, priority"),
        ("enqueue(\"q\", 1, #{ delay: \"x\" });", "\"x\""),
        ("publish(\"q\", 1, #{ qos: 3 });", "not 3"),
        ("append(\"log\", msg);", "logs do not exist yet"),
        ("publish(\"q\", |x| x);", "payload"),
        ("refuse(\"no\")", "stage \"ingress\""),
    ] {
        let failure = failure(body);
        assert!(failure.message.contains(part), "{body}: {failure}");
    }
}

#[test]
fn verdicts() {
    for (body, verdict) in [
        ("ok", Verdict::Ok),
        ("", Verdict::Ok),
        ("drop", Verdict::Drop),
        ("return drop;", Verdict::Drop),
        ("retry()", Verdict::Retry(Duration::from_secs(1))),
        ("retry(\"2m\")", Verdict::Retry(Duration::from_secs(120))),
        ("retry(50)", Verdict::Retry(Duration::from_millis(50))),
        ("dead_letter(\"bad\")", Verdict::DeadLetter("bad".into())),
        ("if msg.qos == 1 { drop } else { ok }", Verdict::Drop),
        ("let v = ok; if v == ok { v = drop; } v", Verdict::Drop),
        ("exit(drop)", Verdict::Drop),
    ] {
        assert_eq!(run(body).result, Ok(verdict), "{body}");
    }
}

#[test]
fn refusals_are_for_ingress() {
    let script = |body: &str| format!("rule(\"r\", \"#\", #{{ stage: \"ingress\" }}, |msg| {{ {body} }});");
    let verdict = |body: &str| call(&load(&script(body)).rules()[0], &message("a", "")).result;
    assert_eq!(verdict("refuse(\"no\")"), Ok(Verdict::Refuse(0x83, "no".into())));
    assert_eq!(verdict("refuse(\"no\", 0x87)"), Ok(Verdict::Refuse(0x87, "no".into())));
    for body in ["refuse(\"no\", 0x80 + 1)", "retry()", "dead_letter(\"x\")"] {
        verdict(body).expect_err(body);
    }
}

#[test]
fn the_constants_are_there_everywhere() {
    let script = r#"
        fn decide(msg) { [1].map(|x| { let s = state; x }); let f = || drop; if msg.qos == 1 { f.call() } else { ok } }
        rule("r", "a", |msg| {
            let f = || ok;
            let g = |x| { if x { drop } else { f.call() } };
            g.call(true);
            decide(msg)
        });
        rule("s", "b", Fn("decide"));
        rule("t", "c", |m| { let state = 5; let ok = drop; if state == 5 { ok } else { ok } });
        rule("u", "d", |msg| msg.json.state);
        rule("v", "e", |msg| {
            let m = #{ ok: 1, drop: 2, state: 3 };
            msg.text = `${m.ok}${m.drop}${m.state}${[1,2].filter(|x| x > 1)}`;
            ok
        });
    "#;
    let rules = load(script);
    for id in ["r", "s", "t"] {
        let rule = rules.rule(id).expect("is there");
        assert_eq!(call(rule, &message("a", "{}")).result, Ok(Verdict::Drop), "{id}");
    }
    assert_eq!(call(&rules.rules()[3], &message("d", "{}")).result, Ok(Verdict::Ok));
    call(&rules.rules()[4], &message("d", "{}")).result.expect("is fine");
}

#[test]
fn a_file_may_have_constants_functions_and_tables() {
    let script = r#"
        const LIMIT = 80.0;
        let names = #{ "7": "boiler", "8": "pump" };
        fn is_hot(c) { c > global::LIMIT }
        fn name_of(names, level) { names[level] ?? "unknown" }
        rule("r", "sensors/+/temp", |msg| {
            if is_hot(msg.json.celsius) && msg.json.celsius > LIMIT {
                publish(`hot/${name_of(names, msg.level(1))}`, msg);
            }
            ok
        });
    "#;
    let rules = load(script);
    for _ in 0..3 {
        let called = call(&rules.rules()[0], &message("sensors/7/temp", r#"{"celsius":81.5}"#));
        assert_eq!(called.result, Ok(Verdict::Ok));
        assert_eq!(called.outputs[0].message.content().topic, "hot/boiler");
    }
}

#[test]
fn a_trace_shows_variables() {
    let trace =
        run("let celsius = msg.json.celsius; let n = 1; let n = 2; { let inner = 1; } ok").trace.expect("is there");
    let names: Vec<(&str, &str)> = trace.variables.iter().map(|(n, v)| (n.as_str(), v.as_str())).collect();
    assert_eq!(names[1..], [("celsius", "81.5"), ("n", "2")]);
    assert!(names[0].1.starts_with("sensors/7/temp"), "{names:?}");
    let trace = run("let x = 1; throw \"no\";").trace.expect("is there");
    assert!(trace.variables.iter().any(|(name, _)| name == "x"));
    assert!(run_on("ok", &message("a", "")).trace.is_some());
}
