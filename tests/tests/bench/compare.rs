//! `primer bench compare`: brokers side by side, by name and by command.

use primer_harness::peers;
use primer_harness::program;
use serde_json::Value;

use crate::fixture::{Ran, bench};

fn primer(name: &str) -> String {
    let program = program::command().get_program().to_string_lossy().into_owned();
    format!("{name}=exec '{program}' serve --bind 127.0.0.1 -p {{port}}")
}

fn compare(words: &str, brokers: &[&str]) -> Ran {
    let options: Vec<&str> = brokers.iter().flat_map(|broker| ["--broker", *broker]).collect();
    bench(&format!("compare --repeats 1 -d 0.15 --quiet {words}"), &options)
}

fn has_run(median: &Value, name: &str) {
    assert_eq!(median["broker"], *name, "{median}");
    assert!(median["rate"].as_f64() > Some(0.0) && median["cpu_seconds_per_million"].as_f64() > Some(0.0), "{median}");
    assert_eq!(
        (median["faults"].as_u64(), median["failures"].as_array().map(Vec::len)),
        (Some(0), Some(0)),
        "{median}"
    );
}

#[test]
fn two_commands_are_run_in_turn() {
    let ran = compare("--row p2p-q1 --json", &[&primer("one"), &primer("two")]);
    assert_eq!(ran.code, Some(0), "{ran:?}");
    let rows = ran.json()["rows"].clone();
    assert_eq!((rows.as_array().map(Vec::len), rows[0]["row"].as_str()), (Some(1), Some("p2p-q1")), "{rows}");
    has_run(&rows[0]["brokers"][0], "one");
    has_run(&rows[0]["brokers"][1], "two");
}

#[test]
fn primer_and_mosquitto_are_known_by_name() {
    if peers::mosquitto("mosquitto").is_none() {
        return;
    }
    let ran = compare("--row p2p-q0", &["primer", "mosquitto"]);
    assert_eq!(ran.code, Some(0), "{ran:?}");
    assert!(
        ran.stdout.contains("| rate a second; CPU s a million | primer | mosquitto | primer : mosquitto |"),
        "{ran:?}"
    );
    assert!(ran.stdout.contains("| p2p QoS 0 | ") && !ran.stdout.contains("fail"), "{ran:?}");
}

#[test]
fn a_folder_is_there_for_the_files_of_a_broker_and_is_removed() {
    let config = std::env::temp_dir().join(format!("primer-test-dir-{}", std::process::id()));
    let keep = format!("printf '%s' {{dir}} > {}; ", config.display());
    let broker = primer("filed").replace("filed=", &format!("filed={keep}"));
    let ran = compare("--row p2p-q0 --json", &[&broker]);
    assert_eq!(ran.code, Some(0), "{ran:?}");
    has_run(&ran.json()["rows"][0]["brokers"][0], "filed");
    let folder = std::fs::read_to_string(&config).expect("the command ran");
    std::fs::remove_file(&config).expect("the file of the test");
    assert!(!folder.is_empty() && !std::path::Path::new(&folder).exists(), "{folder} was left behind");
}

/// Before hours of runs, and with the broker's own words.
#[test]
fn a_broker_that_does_not_start_is_told_before_all_runs() {
    let broken = "broken=echo 'no such option' {port} >&2; exit 7";
    compare("--row p2p-q0", &[&primer("one"), broken])
        .failed(1, &["broken did not start", "exit status: 7", "no such option"]);
    compare("--row p2p-q0", &["gone=exec no-such-program-at-all {port}"])
        .failed(1, &["gone did not start", "not found"]);
}
