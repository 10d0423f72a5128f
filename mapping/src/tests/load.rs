//! What is said about files that are wrong, and what is not said about those that are not.

use super::{load, load_errors};
use crate::{Begin, Delivery, Host, KeyBy, Limits, OnError, Ruleset, Source, Stage};

fn first(script: &str) -> String {
    load_errors(script).0.remove(0).to_string()
}

#[test]
fn an_error_shows_its_place() {
    let script = "rule(\"a\", \"t\", |msg| {\n    enqueu(\"q\", msg);\n    ok\n});\n";
    assert_eq!(
        first(script),
        "rules/heat.rhai:2:5: unknown function \"enqueu\" with 2 arguments; did you mean \"enqueue\"?\n  |\n2 |     \
         enqueu(\"q\", msg);\n  |     ^"
    );
}

#[test]
fn unknown_names_are_found() {
    for (body, part) in [
        ("enqueue(1, 2, 3, 4);", "it takes 2 or 3"),
        ("msg.set_lvl(1, \"x\");", "did you mean \"set_level\"?"),
        ("msg.level();", "method \"level\" with 0 arguments: it takes 1"),
        ("mgs.topic = \"x\";", "did you mean \"msg\"?"),
        ("let x = okk;", "unknown variable \"okk\""),
        ("plc::decode(1);", "plc::decode"),
        ("let f = |x| { unknwn(x) };", "unknown function \"unknwn\""),
        ("if msg.qos == 1 { nothing_like_it(); }", "nothing_like_it"),
    ] {
        let error = first(&format!("rule(\"a\", \"t\", |msg| {{ {body} ok }});"));
        assert!(error.contains(part), "{body}: {error}");
    }
    let error = first("const LIMIT = 1; fn f() { LIMIT } rule(\"a\", \"t\", |msg| { f(); ok });");
    assert!(error.contains("global::LIMIT"), "{error}");
    assert_eq!(load_errors("fn f() { a1() } fn g() { b1() } h1();").0.len(), 3);
}

#[test]
fn a_broad_script_has_no_false_errors() {
    load(
        r#"
        const FACTOR = 1.8;
        private fn twice(x) { x * 2 }
        fn add(x) { this += x; }
        fn apply(f, x) { f.call(x) }
        let table = #{ a: 1, b: [1, 2, #{ c: 3 }] };
        rule("all", "a/#", |msg| {
            let x = 5; x.add(3);
            let f = |y| y + x; f.call(1); call(f, 2); let g = f.curry(1);
            let o = #{ value: 1, show: || this.value, nest: #{ run: |n| n } }; o.show(); o.nest.run(1);
            apply(Fn("twice"), 4); apply(twice, 4);
            let list = [3, 1, 2]; list.sort(); list.filter(|v| v > 1).map(|v| v * 2).reduce(|s, v| (s ?? 0) + v);
            for (v, i) in list { if v == 2 { continue; } else if i > 5 { break; } }
            for n in range(0, 3) { x += n; } for c in "abc".chars() { print(c); }
            while x > 0 { x -= 1; } do { x += 1; } until x > 3;
            let t = switch x { 1 => "one", 2..=5 if x > 3 => "few", _ => "many" };
            let s = `hello ${t} ${x + 1}`; s.trim(); s.to_upper(); s.split(" "); s.sub_string(0, 2); s[0..2];
            try { throw "x"; } catch (err) { print(err); }
            if is_def_var("x") && is_def_fn("twice", 1) && type_of(x) == "i64" && x in list { print(1); debug(x); }
            let y = table?.b?[2]?.c ?? 0; let z = msg.json?.a; table.b[2].c;
            let n = (1.5).to_int() + parse_int("5") + "abc".len + PI().to_int() + timestamp().elapsed.to_int();
            let h = global::FACTOR * 2.0; let b = blob(4, 0); b.write_be(0..4, 7); b.parse_be_int(0..4);
            let k = #{ "with space": 1 }; k["with space"] += 1; k.keys(); k.contains("a"); k.remove("a"); k.mixin(o);
            max(1, 2); min(1, 2); abs(-1); 2 ** 3; 7 % 2; !true; 1 & 3; 1 << 2; (1..5).contains(2); sqrt(2.0);
            let inner = |m| { let deep = || m.topic; deep.call() }; inner.call(msg);
            msg.levels.len(); msg.payload[0]; msg.text.contains("a"); state; ok
        });
    "#,
    );
}

#[test]
fn options_are_read() {
    let rules = load(
        r#"
        rule("a", "t/#", #{ mode: "at_least_once", on_error: "retry", retries: 5, retry_delay: "2s", key: "machine",
            messages_max: 1000, bytes_max: 1000000, overflow: "drop_oldest", may_loop: true, operations: 1000, wall: 5,
            fan_out: 3 }, |msg| ok);
        rule("b", "$queue/jobs", #{ from: "now", mode: "at_most_once" }, |msg| ok);
        rule("c", "queue jobs", |msg| ok);
        rule("d", "$dead/jobs", |msg| ok);
        rule("e", "t", #{ stage: "ingress", on_error: "refuse" }, |msg| ok);
    "#,
    );
    let options = rules.rules()[0].options();
    assert_eq!((options.mode, options.on_error, options.retries), (Delivery::AtLeastOnce, OnError::Retry, 5));
    assert_eq!((&options.key, options.may_loop), (&KeyBy::Header("machine".into()), true));
    assert_eq!(rules.rules()[0].limits().operations, 1_000);
    let options = rules.rules()[1].options();
    assert_eq!((options.from, options.mode), (Begin::Now, Delivery::AtMostOnce));
    let sources: Vec<&Source> = rules.rules().iter().map(|rule| rule.source()).collect();
    assert_eq!(sources[1], &Source::Queue("jobs".into()));
    assert_eq!(sources[2], sources[1]);
    assert_eq!(sources[3], &Source::Queue("$dead/jobs".into()));
    assert_eq!(rules.rules()[4].options().on_error, OnError::Refuse);
    assert_eq!((rules.rules()[4].stage(), rules.rules()[4].line()), (Stage::Ingress, 8));
}

#[test]
fn what_a_rule_says_wrongly_is_named() {
    for (rule, part) in [
        ("rule(\"a b\", \"t\", |msg| ok);", "\"a b\""),
        ("rule(\"\", \"t\", |msg| ok);", "1 to 64"),
        ("rule(\"a\", \"t/#/x\", |msg| ok);", "\"t/#/x\""),
        ("rule(\"a\", \"$log/x\", |msg| ok);", "logs do not exist yet"),
        ("rule(\"a\", \"$queue/\", |msg| ok);", "must not be empty"),
        ("rule(\"a\", \"$share/g/t\", |msg| ok);", "$share/"),
        ("rule(\"a\", \"t\", #{ retires: 1 }, |msg| ok);", "allowed are"),
        ("rule(\"a\", \"t\", #{ retries: -1 }, |msg| ok);", "not -1"),
        ("rule(\"a\", \"t\", #{ mode: \"at_most_once\", on_error: \"retry\" }, |msg| ok);", "no message comes again"),
        ("rule(\"a\", \"t\", #{ from: \"now\" }, |msg| ok);", "a rule on a topic"),
        ("rule(\"a\", \"t\", #{ on_error: \"refuse\" }, |msg| ok);", "\"dead_letter\" or \"retry\" or \"pass\""),
        ("rule(\"a\", \"$queue/q\", #{ stage: \"ingress\" }, |msg| ok);", "topic filter"),
        ("rule(\"a\", \"t\", #{ operations: 1000000000 }, |msg| ok);", "to 500000"),
        ("rule(\"a\", \"t\", #{ wall: \"1h\" }, |msg| ok);", "at most 250 ms"),
        ("rule(\"a\", \"t\", || ok);", "one parameter"),
        ("rule(\"a\", \"t\", |a, b| ok);", "has 2"),
        ("rule(\"a\", \"t\", Fn(\"nope\"));", "nope"),
        ("rule(\"a\", \"t\", |msg| { ok );", "1:"),
        ("publish(\"a\", \"b\");", "within a rule"),
        ("loop { }", "operations"),
        ("rule(\"a\", \"t\", |msg| { rule(\"b\", \"t\", |msg| ok); ok }); throw 5;", "5"),
    ] {
        let error = first(rule);
        assert!(error.contains(part), "{rule}: {error}");
        assert!(error.starts_with("rules/heat.rhai:1:"), "{rule}: {error}");
    }
    assert!(first(&" ".repeat(300_000)).contains("262144"));
}

#[test]
fn a_program_can_let_rules_take_more() {
    let host = Host::new().limits_max(Limits { operations: 2_000_000, ..Limits::GROUP });
    let script = "rule(\"a\", \"t\", #{ operations: 1_500_000 }, |msg| ok);";
    let rules = Ruleset::load(&host, &[("a", script)]).expect("is allowed");
    assert_eq!(rules.rules()[0].limits().operations, 1_500_000);
}

#[test]
fn files_are_loaded_together() {
    let one = "rule(\"a\", \"x/#\", #{ stage: \"ingress\" }, |msg| ok);\nrule(\"b\", \"y\", |msg| ok);";
    let two = "rule(\"c\", \"x/+\", #{ stage: \"ingress\" }, |msg| ok);";
    let rules = Ruleset::load(&Host::new(), &[("2.rhai", two), ("1.rhai", one)]).expect("is valid");
    let ids: Vec<&str> = rules.rules().iter().map(|rule| rule.id()).collect();
    assert_eq!(ids, ["a", "b", "c"]);
    let ingress = |topic| rules.ingress(topic).iter().map(|rule| rule.id().to_owned()).collect::<Vec<_>>();
    assert_eq!(ingress("x/1"), ["a", "c"]);
    assert_eq!(ingress("x"), ["a"]);
    assert!(ingress("y").is_empty());
    assert_eq!(rules.warnings().len(), 1);
    assert!(rules.warnings()[0].message.contains("\"a\" (1.rhai) comes first"), "{}", rules.warnings()[0]);
    let errors = Ruleset::load(&Host::new(), &[("1", one), ("2", one), ("3", "nope();")]).expect_err("is wrong");
    assert_eq!(errors.0.len(), 3, "{errors}");
    assert!(errors.to_string().contains("rule \"a\" is there already: 1:1"), "{errors}");
}

#[test]
fn loops_are_found() {
    let ring = |options: &str| {
        format!(
            r#"fn forward(m) {{ enqueue("b", m) }}
            rule("one", "a/+", |msg| {{ forward(msg); ok }});
            rule("two", "$queue/b", {options}|msg| {{ msg.topic = "a/x"; [1].for_each(|x| publish(msg)); ok }});
            rule("out", "$queue/b", |msg| {{ publish("elsewhere", msg); ok }});"#
        )
    };
    let error = first(&ring(""));
    assert!(error.contains("one -> two -> one"), "{error}");
    load(&ring("#{ may_loop: true }, "));
    let error = first("rule(\"self\", \"#\", |msg| { publish(\"x\", msg); ok });");
    assert!(error.contains("self -> self"), "{error}");
    load("rule(\"in\", \"#\", #{ stage: \"ingress\" }, |msg| { publish(\"x\", msg); ok });");
}

/// Rules that remember nothing are called beside each other on several threads.
#[test]
fn it_is_known_which_rules_remember() {
    for (script, uses) in [
        ("rule(\"r\", \"a\", |msg| ok);", false),
        ("rule(\"r\", \"a\", |msg| { state.set(\"n\", 1); ok });", true),
        ("fn keep(x) { state.set(\"n\", x); } rule(\"r\", \"a\", |msg| { keep(1); ok });", true),
        ("rule(\"r\", \"a\", |msg| { let f = |x| { if x { state.set(\"n\", 1); } }; f.call(true); ok });", true),
        ("rule(\"r\", \"a\", |msg| { print(`${state.get(\"n\")}`); ok });", true),
        ("rule(\"r\", \"a\", |msg| { msg.headers[\"state\"] = \"on\"; ok });", false),
    ] {
        assert_eq!(load(script).rules()[0].uses_state(), uses, "{script}");
    }
}
