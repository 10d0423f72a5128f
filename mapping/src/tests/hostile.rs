//! Scripts that would take more than there is: each fails its message, with the reason, in bounded time.

use std::{
    sync::atomic::{AtomicUsize, Ordering},
    time::{Duration, Instant},
};

use super::{call, failure, load, message, run};
use crate::{Content, Failure, FailureReason, Host, Limits, Msg, Ruleset, Stage, Verdict};

/// How a script fails when only time does not count: tests run without optimisation, on whatever is free.
fn slow_failure(body: &str) -> Failure {
    slow_failure_of(&format!("rule(\"r\", \"#\", #{{ may_loop: true }}, |msg| {{ {body} }});"))
}

fn slow_failure_of(script: &str) -> Failure {
    slow_result(script, &message("a", "x")).expect_err("fails")
}

fn slow_result(script: &str, message: &Msg) -> Result<Verdict, Failure> {
    let host = Host::new().limits(Stage::Group, Limits { wall: Duration::from_secs(60), ..Limits::GROUP });
    let rules = Ruleset::load(&host, &[("a", script)]).unwrap_or_else(|errors| panic!("{errors}"));
    call(&rules.rules()[0], message).result
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
        ("msg = 5; ok", FailureReason::Result),
    ] {
        let begun = Instant::now();
        let failure = slow_failure(script);
        // A script that catches its own fan-out ends at either limit.
        let is_same =
            failure.reason == reason || reason == FailureReason::Operations && failure.reason == FailureReason::FanOut;
        assert!(is_same, "{script}: {failure}");
        assert!(begun.elapsed() < Duration::from_secs(60), "{script} took {:?}", begun.elapsed());
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

/// Each function's variables are measured, however short it runs; so are the values that functions have.
#[test]
fn functions_do_not_hide_how_deep_values_are() {
    let small_stack = std::thread::Builder::new().stack_size(2 << 20);
    let ran = small_stack.spawn(|| {
        for script in [
            "fn f(x) { [[[[[[[[[[[[[[[[[[[[x]]]]]]]]]]]]]]]]]]]] }
             rule(\"r\", \"a\", |msg| { let a = 1; loop { a = f(a); } });",
            "fn f(x) { #{a: #{a: #{a: #{a: x}}}} } rule(\"r\", \"a\", |msg| { let a = 1; loop { a = f(a); } });",
            "rule(\"r\", \"a\", |msg| { let f = |x| [[[[x]]]]; let a = 1; loop { a = f.call(a); } });",
            "fn g(a, b) { 1 } rule(\"r\", \"a\", |msg| { let f = Fn(\"g\"); loop { f = Fn(\"g\").curry(f); } });",
            "rule(\"r\", \"a\", |msg| { let a = []; a.pad(60000, 1); a.reduce(|s, v| [s]); ok });",
        ] {
            let failure = slow_failure_of(script);
            assert_eq!(failure.reason, FailureReason::Size, "{script}: {failure}");
        }
    });
    ran.expect("starts").join().expect("ends");
}

/// A function that has itself as a value is twice as large each time.
#[test]
fn what_functions_have_counts() {
    let failure = slow_failure("let f = |a| 1; loop { f = f.curry(f); }");
    assert_eq!(failure.reason, FailureReason::Size, "{failure}");
}

/// A large text that is given to a function again and again is one text.
#[test]
fn what_is_read_again_is_not_counted_again() {
    let rules = load(
        "fn f(x) { let n = 0; for i in 0..70 { n += i; } n } \
         rule(\"r\", \"a\", |msg| { let s = repeat(\"x\", 1000000); for i in 0..50 { f(s); } ok });",
    );
    assert_eq!(call(&rules.rules()[0], &message("a", "")).result, Ok(Verdict::Ok));
}

/// A closure in a variable that it captures would hold itself for ever.
#[test]
fn what_closures_capture_is_freed() {
    static ALIVE: AtomicUsize = AtomicUsize::new(0);
    #[derive(Debug)]
    struct Counted;
    impl Clone for Counted {
        fn clone(&self) -> Self {
            ALIVE.fetch_add(1, Ordering::Relaxed);
            Self
        }
    }
    impl Drop for Counted {
        fn drop(&mut self) {
            ALIVE.fetch_sub(1, Ordering::Relaxed);
        }
    }
    let host = Host::new().register(|engine| {
        engine.register_fn("counted", || {
            ALIVE.fetch_add(1, Ordering::Relaxed);
            Counted
        });
    });
    for script in [
        "rule(\"r\", \"a\", |msg| { let data = counted(); let f = (); f = || { f; data }; ok });",
        "rule(\"r\", \"a\", |msg| { let data = counted(); let f = (); f = || { f; data }; throw 1; });",
        "fn g() { let data = counted(); let f = (); f = || { f; data }; 1 } rule(\"r\", \"a\", |msg| { g(); ok });",
        "rule(\"r\", \"a\", |msg| { let data = counted(); if true { let f = [1]; f[0] = || { f; data }; } ok });",
        "rule(\"r\", \"a\", |msg| { let data = counted(); let f = (); let g = || { f; data }; f = [#{g: g}]; ok });",
    ] {
        let rules = Ruleset::load(&host, &[("a", script)]).unwrap_or_else(|errors| panic!("{errors}"));
        for _ in 0..3 {
            let _it_may_fail = call(&rules.rules()[0], &message("a", ""));
        }
        assert_eq!(ALIVE.load(Ordering::Relaxed), 0, "{script}");
    }
}

/// What is kept until the call ends counts, also when it has grown since it was captured.
#[test]
fn what_closures_capture_counts() {
    let many = "for i in 0..10000 { let y = i; let f = [1].filter(|v| v > y); } ok";
    let many = format!("rule(\"r\", \"a\", |msg| {{ {many} }});");
    assert_eq!(slow_result(&many, &message("a", "")), Ok(Verdict::Ok));
    for script in [
        "for i in 0..100000 { let y = i; let f = || y; }",
        "let s = repeat(\"x\", 1000000); for i in 0..10000 { let y = 0; let f = || y; y = s + i; }",
    ] {
        let failure = slow_failure(script);
        assert_eq!(failure.reason, FailureReason::Size, "{script}: {failure}");
        assert!(failure.message.contains("closures capture"), "{script}: {failure}");
    }
}

/// The text of a failure goes to the log and beside dead letters.
#[test]
fn a_failure_is_short() {
    let long = "let s = repeat(\"é\", 500000); ";
    for script in
        ["throw s;", "publish(s, 1);", "lookup(s, s);", "state.get(s);", "duration(s);", "regex_find(s, \"(\");"]
    {
        let failure = failure(&format!("{long}{script}"));
        assert!(failure.message.len() <= 1_024 && !failure.message.is_empty(), "{script}: {}", failure.message.len());
    }
}

/// What the file has is there for the next call too.
#[test]
fn what_closures_capture_of_the_file_stays() {
    let rules = load(
        r#"let names = #{ a: "alpha" }; let list = ["x", "y"];
           rule("r", "a", |msg| {
               let mine = "m";
               let f = |n| names[n] + list[1] + mine;
               msg.text = f.call("a") + [1].map(|v| list[0])[0];
               ok
           });"#,
    );
    for _ in 0..3 {
        assert_eq!(super::text(&call(&rules.rules()[0], &message("a", "")).message), "alphaymx");
    }
}

/// Functions that make much of little look at it first.
#[test]
fn natives_know_what_they_are_about_to_make() {
    for (script, part) in [
        ("let s = repeat(\"x\", 1000000); let t = s; s.replace(\"x\", t);", "bytes of text"),
        ("let s = repeat(\"x\", 1000000); let t = s; s.replace(\"\", t);", "bytes of text"),
        ("let s = repeat(\"x\", 1000000); let t = s; s.replace('x', t);", "bytes of text"),
        (
            "let t = repeat(\"x\", 60000); regex_replace(t, \"x+\", repeat(\"$0\", 20000));",
            "a replacement of 40000 bytes",
        ),
        ("let m = json(msg.text); let u = unflatten(m, \".\"); print(u.len());", "entries, of which 16384 are allowed"),
    ] {
        let keys: Vec<String> = (0..8_000).map(|n| format!("\"{n}{}\":1", ".a".repeat(50))).collect();
        let host = Host::new().limits(Stage::Group, Limits { wall: Duration::from_secs(60), ..Limits::GROUP });
        let script = format!("rule(\"r\", \"a\", |msg| {{ {script} ok }});");
        let rules = Ruleset::load(&host, &[("a", script)]).unwrap_or_else(|errors| panic!("{errors}"));
        let failure = call(&rules.rules()[0], &message("a", &format!("{{{}}}", keys.join(",")))).result;
        let failure = failure.expect_err("fails");
        assert!(failure.message.contains(part), "{failure}");
    }
}

/// A byte of a payload can be an array of its own, or a map.
#[test]
fn small_elements_do_not_make_large_values() {
    let cbor = [&[0x9a, 0, 0x10, 0, 0][..], &[0x80; 0x10_0000]].concat();
    let of_cbor = Msg::new(Content { topic: "a".into(), payload: cbor.as_slice().into(), ..Content::default() });
    for (message, body) in [
        (message("a", &format!("[{}[]]", "[],".repeat(300_000))), "msg.json"),
        (message("a", &format!("[{}0]", "{\"\":1},".repeat(40_000))), "msg.json"),
        (of_cbor, "msg.cbor"),
    ] {
        let failure = super::run_on(&format!("let x = {body};"), &message).result.expect_err("fails");
        assert!(failure.message.contains("than are read"), "{failure}");
    }
    let script = "rule(\"r\", \"a\", |msg| { if msg.json.len() != 16001 { throw 1; } ok });";
    let allowed = message("a", &format!("[{}0]", "{\"a\":1},".repeat(16_000)));
    assert_eq!(slow_result(script, &allowed), Ok(Verdict::Ok));
}

/// Native functions that take long are few before the clock is looked at.
#[test]
fn slow_natives_end_by_the_clock() {
    for script in [
        "let s = repeat(\"x\", 1000000); loop { sha256(s); }",
        "let s = repeat(\"x\", 1000000); loop { s.to_upper(); }",
        "let s = repeat(\"x \", 30000); loop { regex_is_match(s, \"(?:[a-z]{1,40}[ab]{1,20}){1,20}zz\"); }",
        "let s = \"[\" + repeat(\"1,\", 30000) + \"1]\"; loop { json(s); }",
        "let a = []; a.pad(60000, \"abc\"); loop { a.sort(); a.reverse(); let b = a == a; }",
    ] {
        let begun = Instant::now();
        let failure = failure(script);
        assert_eq!(failure.reason, FailureReason::Time, "{script}: {failure}");
        assert!(begun.elapsed() < Duration::from_secs(5), "{script} took {:?}", begun.elapsed());
    }
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

/// Found by an adversary: what Rhai's functions call has an operation count of its own, and some of them swallow the
/// end of the call.
#[test]
fn functions_that_call_others_end_in_time() {
    let callbacks = "fn f3(x) { 1 } \
         fn f2(x) { let a = []; a.pad(300, 1); a.for_each(|i| f3(this)); 1 } \
         fn f1(x) { let a = []; a.pad(300, 1); a.map(Fn(\"f2\")); 1 }";
    for body in [
        "let a = []; a.pad(300, 1); a.map(Fn(\"f1\")); ok",
        "let a = [1]; a.pad(60000, 2); a[5] = 7; a.sort(|x, y| { loop { } }); ok",
        "let a = [1]; a.pad(60000, 2); a.dedup(|x, y| { loop { } }); ok",
        "let a = []; a.pad(60000, 1); a.filter(|v| { for i in 0..50 { let x = i; } true }); ok",
        "let t = \"A\".pad_end(65000, \"A\"); regex_find_all(t, \".*[^A-Z]|[A-Z]\"); ok",
        "let t = \"A\".pad_end(65000, \"A\"); regex_split(t, \"a.*b|A\"); regex_replace(t, \".*b|A\", \"x\"); loop { }",
        "let m = #{ a: [] }; m.a.pad(60000, 1.5); loop { print(m.a); debug(m); }",
    ] {
        let script = format!("{callbacks} rule(\"r\", \"#\", #{{ may_loop: true }}, |msg| {{ {body} }});");
        let begun = Instant::now();
        let called = call(&load(&script).rules()[0], &message("a", "x"));
        let failure = called.result.expect_err(body);
        assert!(failure.reason.is_limit(), "{body}: {failure}");
        assert!(begun.elapsed() < Duration::from_secs(60), "{body} took {:?}", begun.elapsed());
    }
}

/// Found by an adversary: one line made 3.6 GB before anything was measured.
#[test]
fn what_map_makes_counts_while_it_is_made() {
    for body in [
        "let a = []; a.pad(60000, 1); let r = a.map(|v| blob(60000, 1)); ok",
        "let a = []; a.pad(60000, 1); let r = a.map(|v| Fn(\"ok\").curry(blob(60000, 1))); ok",
        "let a = []; a.pad(60000, 1); let s = \"x\"; s.pad(500000, 'x'); let r = a.map(|v| s + v); ok",
    ] {
        let failure = slow_failure(body);
        assert_eq!(failure.reason, FailureReason::Size, "{body}: {failure}");
    }
}

#[test]
fn sorting_is_stable_and_says_what_went_wrong() {
    let called = run("let a = [[2, 1], [1, 2], [2, 3], [1, 4]]; a.sort(|x, y| x[0] - y[0]); publish(\"t\", a); ok");
    assert_eq!(super::text(&called.outputs[0].message), "[[1,2],[1,4],[2,1],[2,3]]");
    let failure = failure("let a = [2, 1]; a.sort(|x, y| { throw \"no\" }); ok");
    assert!(failure.message.contains("no"), "{failure}");
    let called = run("let a = [1, 1, 2, 2, 1]; a.dedup(|x, y| x == y); publish(\"t\", a); ok");
    assert_eq!(super::text(&called.outputs[0].message), "[1,2,1]");
}
