//! Medians and the table, and how brokers are started.

use super::*;
use crate::{
    report::{Broker, Latency},
    scenario::{Load, Scenario},
    stop::Stop,
};

fn report(rate: f64, cpu: f64, faults: u64) -> Report {
    let broker = Broker {
        pid: 1,
        cpu_seconds: 1.0,
        cpu_seconds_per_million: cpu,
        memory_bytes: 1 << 20,
        memory_bytes_per_connection: None,
    };
    let latency = Latency { count: 9, p50_ms: 0.2, p90_ms: 0.3, p99_ms: 0.4, p999_ms: 0.5, max_ms: 0.6 };
    Report {
        received_per_second: rate,
        lost: faults,
        latency: Some(latency),
        broker: Some(broker),
        ..Report::empty(&Load::new(Scenario::P2p))
    }
}

fn contestant(name: &str, command: &str) -> Contestant {
    Contestant { name: name.to_owned(), command: command.to_owned() }
}

fn row(runs: [&[Result<Report, String>]; 2]) -> Comparing {
    let [ours, theirs] = runs;
    let brokers = vec![medians(&contestant("ours", ""), ours), medians(&contestant("theirs", ""), theirs)];
    Comparing { rows: vec![Compared { row: "p2p-q0", title: "p2p QoS 0", brokers }], repeats: 3 }
}

#[test]
fn the_medians_stand_side_by_side() {
    let ours = [4000.0, 2000.0, 3000.0].map(|rate| Ok(report(rate, 1.0, 0)));
    let theirs = [1000.0, 1500.0, 100.0].map(|rate| Ok(report(rate, 4.0, 0)));
    let compared = row([&ours, &theirs]);
    assert_eq!(
        compared.to_string(),
        "| rate a second; CPU s a million | ours | theirs | ours : theirs |\n\
         |---|---|---|---|\n\
         | p2p QoS 0 | 3,000; 1.00 | 1,000; 4.00 | 3.00 x; 1/4.00 |\n"
    );
    assert_eq!(compared.rows[0].brokers[0].rate_range, (2000.0, 4000.0));
    assert!(compared.is_complete());
}

#[test]
fn latencies_are_told_of_steady_rates_only() {
    let paced = Report { rate: Some(100.0), ..report(100.0, 1.0, 0) };
    let compared = row([&[Ok(paced.clone())], &[Ok(paced)]]);
    assert!(compared.to_string().contains("| 100; 1.00; p50 0.20, p99 0.40 ms | 100; 1.00;"), "{compared}");
    assert!(compared.to_string().contains("1.00 x; 1/1.00; 1.00 x, 1.00 x |"), "{compared}");
}

#[test]
fn faults_and_failures_stand_below_the_table() {
    let broken = Report { unsent: 5, errors: vec![("closed".to_owned(), 2)], broker: None, ..report(10.0, 0.0, 3) };
    let compared = row([&[Ok(report(10.0, 1.0, 0)), Err("it died".to_owned())], &[Ok(broken)]]);
    let text = compared.to_string();
    for words in [
        "| 10; - | 1.00 x; - |",
        "p2p-q0: theirs has 3 faults",
        "p2p-q0: 5 messages to theirs were due and never sent",
        "p2p-q0: ours failed: it died",
        "p2p-q0: theirs failed: closed (2 clients)",
    ] {
        assert!(text.contains(words), "{text}");
    }
    assert!(!compared.is_complete());
}

#[test]
fn a_broker_without_a_single_run_has_no_rate() {
    let compared = row([&[Err("it died".to_owned())], &[Ok(report(10.0, 1.0, 0))]]);
    assert!(compared.to_string().contains("| 0; - | 10; 1.00 | - |"), "{compared}");
    assert_eq!(compared.rows[0].brokers[0].rate_range, (0.0, 0.0));
}

#[test]
fn each_row_has_a_name_of_its_own_and_a_load_that_is_accepted() {
    for (at, row) in ROWS.iter().enumerate() {
        assert!(ROWS[..at].iter().all(|other| other.name != row.name), "{}", row.name);
        assert_eq!(Row::find(row.name).unwrap().title, row.title);
    }
    assert!(Row::find("p2p").is_none());
}

#[test]
fn a_command_that_ends_tells_what_it_said() {
    let error = contestant("broken", "echo out; echo err >&2; exit 3").start(&Stop::default()).unwrap_err();
    assert!(error.to_string().starts_with("broken did not start: echo out;"), "{error}");
    let said = error.with_causes();
    assert!(said.contains("exit status: 3") && said.contains("out\nerr"), "{said}");
}

#[test]
fn a_start_can_be_interrupted() {
    let stop = Stop::default();
    stop.ask();
    let error = contestant("slow", "exec sleep 60").start(&stop).unwrap_err();
    assert!(matches!(error, BenchError::Interrupted { .. }), "{error}");
}
