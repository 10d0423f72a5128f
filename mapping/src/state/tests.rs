//! State against a model, windows against what they are said to be, and the functions of `state`.

use std::collections::HashMap;

use proptest::{collection, prelude::*, test_runner::Config};

use super::{
    RuleState, StateChange,
    windows::{PARTS_MAX, Span, Window},
};
use crate::testing::Bench;

#[derive(Debug, Clone)]
enum Step {
    Put(u8, Vec<u8>),
    Remove(u8),
    Commit,
    Rollback,
    /// The commit of everything since the last one fails.
    Fail,
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        6 => (0..6_u8, collection::vec(any::<u8>(), 0..6)).prop_map(|(key, value)| Step::Put(key, value)),
        2 => (0..6_u8).prop_map(Step::Remove),
        2 => Just(Step::Commit),
        1 => Just(Step::Rollback),
        1 => Just(Step::Fail),
    ]
}

type Model = HashMap<String, Vec<u8>>;

fn agree(state: &RuleState, model: &Model) {
    assert_eq!(state.len(), model.len());
    assert_eq!(state.is_empty(), model.is_empty());
    assert_eq!(state.bytes(), model.iter().map(|(key, value)| key.len() + value.len()).sum::<usize>());
    for (key, value) in state.entries() {
        assert_eq!(model.get(key).map(Vec::as_slice), Some(value));
    }
}

/// What is other in `after`, in the order of the keys.
fn difference(before: &Model, after: &Model) -> Vec<StateChange> {
    let mut keys: Vec<&String> = before.keys().chain(after.keys()).collect();
    keys.sort();
    keys.dedup();
    keys.into_iter()
        .filter(|key| before.get(*key) != after.get(*key))
        .map(|key| StateChange { key: key.clone(), before: before.get(key).cloned(), after: after.get(key).cloned() })
        .collect()
}

proptest! {
    #![proptest_config(Config::with_cases(300))]

    #[test]
    fn the_state_is_a_map_that_can_be_taken_back(steps in collection::vec(step(), 1..60)) {
        let mut state = RuleState::new(5, 30);
        // As it is, as it was when the call began, and as it was after the last commit that did not fail.
        let (mut model, mut began, mut committed) = (Model::new(), Model::new(), Model::new());
        let mut batch: Vec<StateChange> = Vec::new();
        let mut calls = 0;
        state.begin();
        for step in steps {
            match step {
                Step::Put(key, value) => {
                    let key = key.to_string();
                    let mut next = model.clone();
                    next.insert(key.clone(), value.clone());
                    let bytes: usize = next.iter().map(|(key, value)| key.len() + value.len()).sum();
                    let fits = next.len() <= 5 && bytes <= 30;
                    assert_eq!(state.put(&key, &value).is_ok(), fits);
                    if fits {
                        model = next;
                    }
                }
                Step::Remove(key) => {
                    let key = key.to_string();
                    assert_eq!(state.remove(&key), model.remove(&key).is_some());
                }
                Step::Commit => {
                    let changes = state.changes();
                    assert_eq!(changes, difference(&began, &model));
                    batch.extend(changes);
                    began = model.clone();
                    state.begin();
                    calls += 1;
                    if calls % 3 == 0 {
                        batch.clear();
                        committed = model.clone();
                    }
                }
                Step::Rollback => {
                    state.rollback();
                    model = began.clone();
                    state.begin();
                }
                Step::Fail => {
                    state.rollback();
                    state.revert(&batch);
                    batch.clear();
                    model = committed.clone();
                    began = model.clone();
                    state.begin();
                }
            }
            agree(&state, &model);
        }
    }

    #[test]
    fn a_window_of_values_has_the_last_ones(values in collection::vec(-1e6..1e6_f64, 1..80), len in 1..40_usize) {
        let span = Span::Values(len);
        let mut kept: Option<Vec<u8>> = None;
        for (place, value) in values.iter().enumerate() {
            let mut window = Window::read(kept.as_deref(), span);
            window.push(*value, 7, span);
            let last = &values[(place + 1).saturating_sub(len)..=place];
            assert_eq!(window.count(), last.len() as u64);
            assert_eq!(window.sum().to_bits(), last.iter().sum::<f64>().to_bits());
            assert_eq!(window.least().to_bits(), last.iter().copied().fold(f64::INFINITY, f64::min).to_bits());
            assert_eq!(window.greatest().to_bits(), last.iter().copied().fold(f64::NEG_INFINITY, f64::max).to_bits());
            kept = Some(window.write(span).expect("CBOR"));
        }
    }

    #[test]
    fn a_window_of_time_has_what_is_not_older(
        steps in collection::vec((0..400_u64, -1e6..1e6_f64), 1..300),
        length in 1..5_000_u64,
    ) {
        let span = Span::Ms(length);
        let mut kept: Option<Vec<u8>> = None;
        let mut now = 1_000_000;
        let mut all: Vec<(u64, f64)> = Vec::new();
        for (later, value) in steps {
            now += later;
            all.push((now, value));
            let mut window = Window::read(kept.as_deref(), span);
            window.push(value, now, span);
            let within =
                |length: u64| all.iter().filter(move |(time, _)| now - *time < length).map(|(_, value)| *value);
            // The oldest part may have gone with all that joined it.
            let (most, least) = (within(length), within(length - length.div_ceil(PARTS_MAX) + 1));
            assert!(window.count() <= most.count() as u64);
            assert!(window.count() >= least.clone().count() as u64);
            assert!(window.greatest() >= least.clone().fold(f64::NEG_INFINITY, f64::max));
            assert!(window.least() <= least.fold(f64::INFINITY, f64::min));
            assert!(window.greatest() <= within(length).fold(f64::NEG_INFINITY, f64::max));
            assert!(window.least() >= within(length).fold(f64::INFINITY, f64::min));
            if window.count() == within(length).count() as u64 {
                let sum: f64 = within(length).sum();
                assert!((window.sum() - sum).abs() <= 1e-3, "{} {sum}", window.sum());
            }
            kept = Some(window.write(span).expect("CBOR"));
            assert_eq!(Window::read(kept.as_deref(), span), window);
        }
    }

    #[test]
    fn no_bytes_of_a_window_do_harm(
        bytes in collection::vec(any::<u8>(), 0..40),
        now in any::<u64>(),
        ms in 1..u64::MAX,
    ) {
        for span in [Span::Values(3), Span::Ms(ms)] {
            let mut window = Window::read(Some(&bytes), span);
            window.push(1.0, now, span);
            assert!(window.write(span).is_ok());
        }
    }
}

#[test]
fn a_window_of_time_is_bounded() {
    let (span, mut kept) = (Span::Ms(60_000), None::<Vec<u8>>);
    let mut count = 0;
    for at in 0..20_000_u64 {
        let mut window = Window::read(kept.as_deref(), span);
        window.push(0.1, at * 5, span);
        count = window.count();
        kept = Some(window.write(span).expect("CBOR"));
    }
    assert!((11_950..=12_000).contains(&count), "{count}");
    assert!(kept.is_some_and(|kept| kept.len() < 9_000));
}

#[test]
fn a_window_survives_a_clock_that_is_set_back() {
    let span = Span::Ms(1_000);
    let mut window = Window::default();
    window.push(1.0, 1_000_000, span);
    window.push(2.0, 999_900, span);
    assert_eq!(window.count(), 2);
    window.push(3.0, 5_000, span);
    assert_eq!(window.count(), 1);
}

#[test]
fn what_is_restored_is_within_the_bounds_and_no_change() {
    let mut state = RuleState::new(2, 10);
    assert!(state.restore("a", b"1234"));
    assert!(state.restore("b", b"1234"));
    assert!(!state.restore("c", b""));
    assert!(!state.restore("a", b"12345"));
    assert!(state.restore("a", b"4321"));
    assert_eq!(state.changes(), []);
    assert_eq!(state.bytes(), 10);
}

/// A longer one would not be kept by the store, and no dump of it would be restored.
#[test]
fn a_value_is_no_longer_than_one_of_a_table() {
    let mut state = RuleState::new(2, 1 << 20);
    let value = vec![0; primer::TABLE_VALUE_BYTES_MAX + 1];
    assert!(state.put("a", &value[1..]).is_ok());
    assert_eq!(state.put("a", &value), Err(super::StateFull::Value(value.len())));
    assert_eq!(state.bytes(), value.len());
}

#[test]
fn values_are_kept_and_forgotten() {
    let bench = Bench::new();
    for (script, expected) in [
        (r#"state.get("a")"#, "null"),
        (r#"state.get("a", 7)"#, "7"),
        (r#"state.has("a")"#, "false"),
        (r#"state.set("a", #{x: [1, 2.5, ()]}); state.get("a")"#, r#"{"x":[1,2.5,null]}"#),
        (r#"state.set("n", json("18446744073709551615")); state.get("n")"#, "18446744073709551615"),
        ("state.keys()", r#"["a","n"]"#),
        (r#"[state.has("a"), state.remove("a"), state.remove("a"), state.has("a")]"#, "[true,true,false,false]"),
        (r#"[state.incr("c"), state.incr("c", 5), state.incr("c", -10), state.get("c")]"#, "[1,6,-4,-4]"),
        (
            r#"[state.changed("d", 1), state.changed("d", 1.0), state.changed("d", 2), state.last("d")]"#,
            "[true,false,true,2]",
        ),
        (r#"[state.changed("e", "x"), state.changed("e", "x"), state.changed("e", #{})]"#, "[true,false,true]"),
        (r#"[20, 20.4, 20.5, 20.9, 21.0].map(|t| state.changed_by("f", t, 0.5))"#, "[true,false,true,false,true]"),
        (
            r#"let a = state.average("w", 1, 3); state.average("w", 2, 3); state.average("w", 3, 3);
                [a, state.average("w", 7, 3)]"#,
            "[1.0,4.0]",
        ),
        (
            r#"[state.sum("w", 2, 2), state.min("w", 5, 2), state.max("w", 9.5, 2), state.count("w", 1, 2),
                state.count("v", 9)]"#,
            "[2.0,5.0,9.5,1,1]",
        ),
        (r#"[state.remove("w"), state.average("w", 10, 3)]"#, "[true,10.0]"),
    ] {
        assert_eq!(bench.json(script), expected, "{script}");
    }
}

#[test]
fn time_is_that_of_the_call() {
    let bench = Bench::new();
    let at = |now: u64, script: &str, expected: &str| {
        bench.set_now(now);
        assert_eq!(bench.json(script), expected, "{now}: {script}");
    };
    at(1_000, r#"state.since("s")"#, "null");
    at(1_000, r#"state.set("s", 1); state.since("s")"#, "0");
    at(3_500, r#"state.since("s")"#, "2500");
    at(3_500, r#"[state.once("o", "10s"), state.once("o", "10s")]"#, "[true,false]");
    at(13_499, r#"state.once("o", "10s")"#, "false");
    at(13_500, r#"state.once("o", "10s")"#, "true");
    at(
        20_000,
        r#"[state.seen("i", "x", "10s"), state.seen("i", "x", "10s"), state.seen("i", 7, "10s")]"#,
        "[false,true,false]",
    );
    at(29_999, r#"state.seen("i", "x", "10s")"#, "true");
    at(30_000, r#"state.seen("i", "x", "10s")"#, "false");
    at(40_000, r#"[state.rate_of("r", 10), state.rate_of("r", 12)]"#, "[null,null]");
    at(42_000, r#"state.rate_of("r", 20)"#, "5.0");
    at(50_000, r#"state.rate("e", "10s")"#, "0.1");
    at(51_000, r#"state.rate("e", "10s")"#, "0.2");
    at(60_500, r#"state.rate("e", "10s")"#, "0.2");
    at(70_000, r#"state.average("t", 1, "5m")"#, "1.0");
    at(370_000, r#"state.average("t", 3, "5m")"#, "3.0");
}

#[test]
fn what_is_not_allowed_is_an_error_that_says_what_is() {
    let bench = Bench::with_state(RuleState::new(2, 200));
    for (script, part) in [
        (r#"state.set("", 1)"#, "state.set: the key \"\" is not allowed"),
        (r#"state.get("~x")"#, "state.get: the key \"~x\" is not allowed"),
        (r#"state.set("a", |x| x)"#, "state.set(\"a\"): a value of type"),
        (
            r#"state.set("a", 1); state.set("b", 1); state.set("c", 1)"#,
            "state.set(\"c\"): the rule's state has 2 keys, which is the limit",
        ),
        (r#"state.set("a", repeat("x", 300))"#, "state.set(\"a\"): the rule's state would have more than 200 bytes"),
        (r#"state.set("a", "x"); state.incr("a")"#, "state.incr(\"a\"): string is there, no integer"),
        (r#"state.set("a", 9223372036854775807); state.incr("a")"#, "is beyond 64 bits"),
        (r#"state.average("a", "x", 5)"#, "state.average(\"a\"): the value is x (string); a finite number is needed"),
        (r#"state.average("a", 1, 513)"#, "the window is 513; a number of values from 1 to 512"),
        (r#"state.average("a", 1, "0s")"#, "a length of time of 0 holds nothing"),
        (r#"state.once("a", "soon")"#, "\"soon\" is no length of time"),
    ] {
        bench.with_rule_state(RuleState::begin);
        let found = bench.json(script);
        assert!(found.contains(part), "{script}: {found}");
        bench.with_rule_state(RuleState::rollback);
        assert!(bench.with_rule_state(|state| state.is_empty()));
    }
}

#[test]
fn identifiers_that_were_seen_are_bounded() {
    let bench = Bench::with_state(RuleState::new(10_000, 1 << 20));
    let script = r#"for i in 0..3000 { if state.seen("k", i, "1h") { throw i; } } state.seen("k", 2999, "1h")"#;
    assert_eq!(bench.json(script), "true");
    assert!(bench.with_rule_state(|state| state.len()) <= 1025);
    // Another key that begins alike is another one.
    assert_eq!(
        bench.json(r#"[state.seen("k/x", 1, "1h"), state.remove("k"), state.seen("k/x", 1, "1h")]"#),
        "[false,true,true]"
    );
    assert_eq!(bench.with_rule_state(|state| state.len()), 2);
}
