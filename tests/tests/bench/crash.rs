//! `primer bench crash`: a broker that keeps what it has acknowledged, and some that do not.

use primer_harness::{peers, program};
use serde_json::Value;

use crate::fixture::{Ran, bench};

fn primer(name: &str, options: &str) -> String {
    let program = program::command().get_program().to_string_lossy().into_owned();
    format!("{name}=exec '{program}' serve --bind 127.0.0.1 -p {{port}} {options}")
}

fn crash(words: &str, broker: &str) -> Ran {
    bench(&format!("crash --quiet -c 3 --window 20 {words}"), &["--broker", broker])
}

fn survival(ran: &Ran) -> Value {
    let brokers = ran.json()["brokers"].clone();
    assert_eq!(brokers.as_array().map(Vec::len), Some(1), "{ran:?}");
    brokers[0].clone()
}

fn number(survival: &Value, name: &str) -> u64 {
    survival[name].as_u64().unwrap_or_else(|| panic!("{name} of {survival}"))
}

#[test]
fn what_was_acknowledged_comes_after_each_crash() {
    for qos in ["1", "2"] {
        let words = format!("-n 500 --rounds 2 -q {qos} --json");
        let ran = crash(&words, &primer("durable", "--data {dir}/data"));
        assert_eq!(ran.code, Some(0), "{ran:?}");
        let survival = survival(&ran);
        assert!(number(&survival, "acknowledged") >= 1000, "{survival}");
        let faults = ["lost", "doubled", "reordered", "refused"].map(|name| number(&survival, name));
        assert_eq!(faults, [0; 4], "{survival}");
        assert_eq!(survival["failures"].as_array().map(Vec::len), Some(0), "{survival}");
        assert!(survival["seconds_to_serve"].as_f64() > Some(0.0), "{survival}");
        assert!(survival["cpu_seconds_per_million"].as_f64() > Some(0.0), "{survival}");
    }
}

/// In memory the session itself is gone, and with it all that was acknowledged for it.
#[test]
fn a_broker_that_keeps_nothing_has_lost_all_of_it() {
    let ran = crash("-n 200 --rounds 1 --json", &primer("memory", ""));
    assert_eq!(ran.code, Some(1), "{ran:?}");
    let survival = survival(&ran);
    assert!(number(&survival, "acknowledged") >= 200, "{survival}");
    assert_eq!(number(&survival, "lost"), number(&survival, "acknowledged"), "{survival}");
}

#[test]
fn a_broker_that_does_not_come_back_has_failed() {
    let once = primer("once", "--data {dir}/data").replace("once=", "once=mkdir {dir}/data || exit 9; ");
    let ran = crash("-n 100 --rounds 1", &once);
    assert_eq!(ran.code, Some(1), "{ran:?}");
    assert!(ran.stdout.contains("once failed: once did not start: mkdir"), "{ran:?}");
    assert!(ran.stdout.contains("exit status: 9"), "{ran:?}");
}

#[test]
fn primer_and_mosquitto_are_known_by_name_as_those_that_keep() {
    if peers::mosquitto("mosquitto").is_none() {
        return;
    }
    let ran = bench("crash --quiet -c 2 -n 300 --rounds 1", &[]);
    // What mosquitto has lost is its own affair.
    assert!(matches!(ran.code, Some(0 | 1)), "{ran:?}");
    let row = |name: &str| ran.stdout.lines().find(|line| line.starts_with(&format!("| {name} |"))).map(str::to_owned);
    let primer = row("primer").unwrap_or_else(|| panic!("{ran:?}"));
    assert_eq!(primer.split('|').nth(3).map(str::trim), Some("0"), "{primer}");
    assert!(row("mosquitto").is_some() && !ran.stdout.contains("failed"), "{ran:?}");
}

#[test]
fn options_that_make_no_sense_are_refused_in_words() {
    for (words, says) in [("-n 0", "1 at least"), ("-q 0", "0 is not in 1..=2"), ("-s 20", "28 at least")] {
        let ran = crash(words, &primer("none", ""));
        assert_ne!(ran.code, Some(0), "{ran:?}");
        assert!(ran.stderr.contains(says), "{ran:?}");
    }
}
