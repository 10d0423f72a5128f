//! Scripts that would take more than there is: each fails its message, with the reason, in bounded time.

use std::time::{Duration, Instant};

use super::{call, failure, load, message, run};
use crate::{Failure, FailureReason, Host, Limits, Ruleset, Stage, Verdict};

/// How a script fails when only time does not count: tests run without optimisation, on whatever is free.
fn slow_failure(body: &str) -> Failure {
    let host = Host::new().limits(Stage::Group, Limits { wall: Duration::from_secs(60), ..Limits::GROUP });
    let script = format!("rule(\"r\", \"#\", #{{ may_loop: true }}, |msg| {{ {body} }});");
    let rules = Ruleset::load(&host, &[("a", script)]).unwrap_or_else(|errors| panic!("{errors}"));
    call(&rules.rules()[0], &message("a", "x")).result.expect_err("fails")
}

#[test]
fn each_limit_ends_the_call_with_its_reason() {
    for (script, reason) in [
        ("loop { }", FailureReason::Operations),
        ("let n = 0; while true { n += 1; }", FailureReason::Operations),
        ("let s = \"x\"; loop { s += s; }", FailureReason::Size),
        ("let a = [1]; a.pad(100000000, 1);", FailureReason::Size),
        ("let b = blob(100000000, 1);", FailureReason::Size),
        ("let a = [1]; loop { a = [a, a]; }", FailureReason::Size),
        ("let m = #{}; let n = 0; loop { n += 1; m[n.to_string()] = 1; }", FailureReason::Operations),
        // An element is put into what is not measured by Rhai then.
        (
            "let m = #{}; let s = \"x\"; s.pad(500000, 'x'); let n = 0; loop { n += 1; m[n.to_string()] = s + n; }",
            FailureReason::Size,
        ),
        (
            "let m = [(),(),(),(),()]; for n in 0..5 { let s = \"x\"; s.pad(900000, 'x'); m[n] = s; } \
             let all = #{}; let n = 0; loop { n += 1; try { all[n.to_string()] = m; } catch { } }",
            FailureReason::Size,
        ),
        ("loop { publish(\"t\", \"x\"); }", FailureReason::FanOut),
        ("loop { try { publish(\"t\", \"x\"); } catch { } }", FailureReason::Operations),
        ("for n in 0..200 { try { publish(\"t\", \"x\"); } catch { } }", FailureReason::FanOut),
        ("throw \"enough\";", FailureReason::Error),
        ("5", FailureReason::Result),
        ("msg = 5; ok", FailureReason::Result),
    ] {
        let begun = Instant::now();
        let failure = slow_failure(script);
        // A script that catches its own fan-out ends at either limit.
        let is_same =
            failure.reason == reason || reason == FailureReason::Operations && failure.reason == FailureReason::FanOut;
        assert!(is_same, "{script}: {failure}");
        assert!(begun.elapsed() < Duration::from_secs(20), "{script} took {:?}", begun.elapsed());
    }
}

#[test]
fn what_grows_slowly_ends_by_the_clock() {
    for script in
        ["let a = []; loop { a.push(1); }", "let s = \"\"; loop { s += \"x\"; }", "let a = []; loop { a += [a]; }"]
    {
        let begun = Instant::now();
        let failure = failure(script);
        assert!(failure.reason.is_limit(), "{script}: {failure}");
        assert!(begun.elapsed() < Duration::from_secs(20), "{script} took {:?}", begun.elapsed());
    }
}

/// Dropping and comparing values that are in each other is recursive: a script must not come to the end of the stack.
#[test]
fn values_do_not_get_deeper_than_a_stack() {
    let small_stack = std::thread::Builder::new().stack_size(2 << 20);
    let ran = small_stack.spawn(|| {
        let failure = slow_failure("let a = [1]; loop { a = [[[[[[[[a]]]]]]]]; }");
        assert_eq!(failure.reason, FailureReason::Size, "{failure}");
        let failure = slow_failure("let a = #{}; loop { let b = #{}; b.x = a; a = b; }");
        assert_eq!(failure.reason, FailureReason::Size, "{failure}");
    });
    ran.expect("starts").join().expect("ends");
}

/// Functions around the one that runs hold what they hold.
#[test]
fn what_callers_hold_counts() {
    let script = r#"
        fn f(n) { let m = []; for i in 0..16 { m.push(blob(60000, i)); } let s = f(n + 1); m.len() + s }
        rule("r", "a", |msg| { f(0); ok });"#;
    let host =
        Host::new().limits(Stage::Group, Limits { wall: Duration::from_secs(60), array_len: 1 << 20, ..Limits::GROUP });
    let rules = Ruleset::load(&host, &[("a", script)]).unwrap_or_else(|errors| panic!("{errors}"));
    let failure = call(&rules.rules()[0], &message("a", "x")).result.expect_err("fails");
    assert!(matches!(failure.reason, FailureReason::Size | FailureReason::Depth), "{failure}");
}

#[test]
fn recursion_ends() {
    let rules = load("fn f(n) { f(n + 1) } rule(\"r\", \"#\", |msg| { f(0); ok });");
    let failure = call(&rules.rules()[0], &message("a", "")).result.expect_err("fails");
    assert_eq!(failure.reason, FailureReason::Depth, "{failure}");
}

#[test]
fn variables_of_all_functions_count_together() {
    let lets: String = (0..60).map(|n| format!("let v{n} = \"x\".pad(1000000, 'x');")).collect();
    let script = format!(
        "fn f(n) {{ {} f(n + 1) }} rule(\"r\", \"#\", |msg| {{ f(0); ok }});",
        lets.replace("\"x\".pad(1000000, 'x')", "1")
    );
    let rules = load(&script);
    let failure = call(&rules.rules()[0], &message("a", "")).result.expect_err("fails");
    assert_eq!(failure.reason, FailureReason::Size, "{failure}");
}

#[test]
fn bytes_of_native_functions_count() {
    let big = message("a", &"x".repeat(1 << 19));
    let called = super::run_on("let n = 0; loop { n += msg.payload.len(); }", &big);
    let failure = called.result.expect_err("fails");
    assert_eq!(failure.reason, FailureReason::Size, "{failure}");
}

#[test]
fn the_clock_ends_a_call() {
    let host = Host::new().register(|engine| {
        engine.register_fn("dawdle", || {
            let begun = Instant::now();
            while begun.elapsed() < Duration::from_millis(1) {}
        });
    });
    let script = "rule(\"r\", \"#\", |msg| { loop { dawdle(); } });";
    let rules = Ruleset::load(&host, &[("a", script)]).expect("is valid");
    let begun = Instant::now();
    let failure = call(&rules.rules()[0], &message("a", "")).result.expect_err("fails");
    assert_eq!(failure.reason, FailureReason::Time, "{failure}");
    assert!(begun.elapsed() < Duration::from_secs(10));
}

#[test]
fn a_panic_of_the_program_fails_the_message_alone() {
    let host = Host::new().register(|engine| {
        engine.register_fn("explode", |n: i64| if n > 1 { panic!("boom {n}") } else { n });
    });
    let script = "rule(\"r\", \"a\", |msg| { publish(\"t\", \"x\"); explode(msg.size); ok });";
    let rules = Ruleset::load(&host, &[("a", script)]).expect("is valid");
    let called = call(&rules.rules()[0], &message("a", "xyz"));
    let failure = called.result.expect_err("fails");
    assert_eq!(failure.reason, FailureReason::Panic);
    assert!(failure.message.contains("boom 3"), "{failure}");
    assert!(called.outputs.is_empty());
    assert_eq!(call(&rules.rules()[0], &message("a", "x")).result, Ok(Verdict::Ok));
}

#[test]
fn a_message_that_has_gone_through_too_many_rules_fails() {
    let mut tired = message("a", "x");
    let origin = std::sync::Arc::make_mut(&mut tired.content_mut().origin);
    origin.hops = 16;
    let failure = super::run_on("ok", &tired).result.expect_err("fails");
    assert_eq!(failure.reason, FailureReason::Hops);
}

#[test]
fn nothing_outlives_a_call() {
    let script = r#"
        let count = 0;
        let bump = || { count += 1; count };
        let list = [1];
        rule("a", "a", |msg| { msg.text = `${bump.call()}`; ok });
        rule("b", "b", |msg| { count += 1; ok });
        rule("c", "c", |msg| { list.push(2); ok });
        rule("d", "d", |msg| { msg.text = `${list.len()} ${count}`; ok });
    "#;
    let rules = load(script);
    for _ in 0..2 {
        assert_eq!(super::text(&call(&rules.rules()[0], &message("a", "")).message), "1");
        for changes in &rules.rules()[1..3] {
            let failure = call(changes, &message("b", "")).result.expect_err("it is constant");
            assert_eq!(failure.reason, FailureReason::Error, "{failure}");
        }
        assert_eq!(super::text(&call(&rules.rules()[3], &message("d", "")).message), "1 0");
    }
}

#[test]
fn the_language_is_closed() {
    for script in ["import \"x\" as y;", "eval(\"1\");"] {
        let error = super::load_errors(script).0.remove(0);
        assert!(error.message.contains("cannot"), "{error}");
    }
    let failure = failure("sleep(10); ok");
    assert!(failure.message.contains("do not sleep"), "{failure}");
    assert_eq!(run("print(msg.topic); debug(1); ok").trace.expect("is asked for").prints.len(), 2);
}
