//! Brokers that break their promises: the report, or the error, and the exit code say so.

use primer_harness::{Broker, Launch};

use crate::fixture::{Ran, bench, count, number, start};
use crate::odd_broker::{OddBroker, Oddity};

const QUICK: &str = "--patience 1 --warm-up 0 --json --quiet -s 28";

fn against(oddity: Oddity, words: &str) -> Ran {
    against_for("0.3", oddity, words)
}

/// With this many seconds that are measured.
fn against_for(seconds: &str, oddity: Oddity, words: &str) -> Ran {
    let broker = OddBroker::start(oddity);
    bench(&format!("{words} -d {seconds} {QUICK}"), &["-p", &broker.port()])
}

#[test]
fn the_odd_broker_itself_keeps_its_promises() {
    let report = against(Oddity::Nothing, "p2p -c 2").clean();
    assert!(count(&report, "received") > 100, "{report}");
}

#[test]
fn lost_messages_are_counted_and_do_not_stop_the_run() {
    let report = against(Oddity::DropsTenth, "p2p -c 1 --rate 1000").faulty();
    let (sent, lost) = (count(&report, "sent"), count(&report, "lost"));
    assert!(lost >= 20 && lost <= sent / 10 + 10, "one in ten of 300: {report}");
    assert_eq!((count(&report, "doubled"), count(&report, "reordered")), (0, 0), "{report}");
    // A closed loop goes on: its window of 10 would be used up after a hundred messages.
    let report = against(Oddity::DropsTenth, "p2p -c 1 --window 10").faulty();
    assert!(count(&report, "lost") > 20, "{report}");
}

#[test]
fn doubled_messages_are_counted_and_not_received_twice() {
    let report = against(Oddity::DoublesTenth, "p2p -c 1 --rate 1000").faulty();
    assert!(count(&report, "doubled") >= 20, "{report}");
    assert_eq!((count(&report, "lost"), count(&report, "reordered")), (0, 0), "{report}");
    let (sent, received) = (count(&report, "sent"), count(&report, "received"));
    assert!(received < sent + count(&report, "doubled"), "{report}");
}

#[test]
fn reordered_messages_are_counted() {
    let report = against(Oddity::SwapsTenth, "p2p -c 1 --rate 1000").faulty();
    assert!(count(&report, "reordered") >= 20, "{report}");
    assert_eq!(count(&report, "doubled"), 0, "{report}");
    assert!(count(&report, "lost") <= 1, "the last one may be held back for ever: {report}");
}

/// Coordinated omission: all that was due in the 300 ms in which nothing went on was late, and not one message alone.
#[test]
fn a_pause_shows_in_the_latencies_of_all_that_was_due_meanwhile() {
    let report = against_for("0.8", Oddity::Pauses, "p2p -c 1 --rate 1000").clean();
    assert!(number(&report, "/latency/max_ms") >= 295.0, "{report}");
    assert!(number(&report, "/latency/p99_ms") >= 200.0, "{report}");
    // 300 of 800 messages were late, by 150 ms in the mean.
    assert!(number(&report, "/latency/p90_ms") >= 100.0, "{report}");
}

#[test]
fn clients_that_are_not_let_in_are_an_error() {
    against(Oddity::Refuses, "p2p -c 3")
        .failed(1, &["of 6 clients failed; the first: CONNECT was refused: not authorized"]);
}

/// The end of a connection that comes with the last data raised no event of its own, and was not seen.
#[test]
fn a_connection_that_closes_with_its_last_data_is_seen() {
    against(Oddity::ClosesAtOnce, "p2p -c 1").failed(1, &["of 2 clients failed", "the broker closed the connection"]);
}

#[test]
fn a_broker_that_dies_ends_the_run_with_a_report() {
    for words in ["p2p -c 2 --threads 2", "p2p -c 2 --rate 1000"] {
        let report = against_for("600", Oddity::Dies, words).faulty();
        let errors = report["errors"].to_string();
        assert!(errors.contains("closed the connection") || errors.contains("reset"), "{report}");
    }
    // A process that is killed; neither run lasts its ten minutes.
    let mut broker = Broker::start();
    let port = broker.port().to_string();
    let mut watcher = primer_harness::Client::v5(broker.addr(), "watcher");
    watcher.subscribe("x/#", 0);
    let run = start("p2p -c 2 -q 1 -d 600 --warm-up 0 -t x --rate 100 --json --quiet -p", &[&port]);
    assert!(watcher.recv().topic.starts_with("x/"));
    broker.kill9();
    let report = run.end().faulty();
    assert!(
        report["broker"].is_null() && report["errors"].as_array().is_some_and(|errors| !errors.is_empty()),
        "{report}"
    );
}

#[test]
fn a_broker_that_hangs_ends_the_run_with_a_report() {
    let report = against(Oddity::Hangs, "p2p -c 1 --rate 1000").faulty();
    assert!(count(&report, "lost") >= 100, "{report}");
}

#[test]
fn garbage_and_messages_for_others_are_errors_of_the_client() {
    let report = against(Oddity::Babbles, "p2p -c 1").faulty();
    assert!(report["errors"].to_string().contains("broke the protocol"), "{report}");
    let report = against(Oddity::Misroutes, "p2p -c 2").faulty();
    assert!(report["errors"].to_string().contains("did not subscribe to"), "{report}");
}

#[test]
fn a_damaged_message_is_lost_and_foreign() {
    let report = against(Oddity::Damages, "p2p -c 1 --rate 1000").faulty();
    assert_eq!((count(&report, "lost"), count(&report, "foreign")), (1, 1), "{report}");
}

#[test]
fn a_lower_qos_than_asked_for_is_an_error() {
    against(Oddity::Downgrades, "p2p -c 1 -q 1").failed(1, &["granted QoS 0 where QoS 1 was asked for"]);
    let broker = Launch::new().args(&["--max-qos", "1"]).start();
    let port = broker.port().to_string();
    let words = format!("pub -c 1 -q 2 -V 5 -d 0.3 {QUICK} -p {port}");
    bench(&words, &[]).failed(1, &["the broker takes QoS 1 at most, and QoS 2 was to be sent"]);
}

/// A queue that is too short for the backlog: what was dropped is lost, and the run does not end with an error only.
#[test]
fn a_backlog_that_was_trimmed_is_lost_messages() {
    let broker = Launch::new().args(&["--max-queued-messages", "100"]).start();
    let words = format!("backlog -n 1000 -c 2 -d 1 {QUICK} -q 1 -p {}", broker.port());
    let report = bench(&words, &[]).faulty();
    let (received, lost) = (count(&report, "received"), count(&report, "lost"));
    assert!(received > 0 && received < 1000 && received + lost == 1000, "{report}");
    // Refused messages are not lost, as the publisher was told, and it goes on.
    let broker = Launch::new().args(&["--max-queued-messages", "100", "--overflow", "reject"]).start();
    let words = format!("p2p -c 1 -V 5 -d 0.3 {QUICK} -q 1 -p {}", broker.port());
    let report = bench(&words, &[]).faulty();
    assert!(count(&report, "refused") > 200, "more than two windows: {report}");
    assert_eq!((count(&report, "lost"), count(&report, "unacknowledged")), (0, 0), "{report}");
}

#[test]
fn a_broker_that_takes_few_at_a_time_is_kept_to() {
    let broker = Launch::new().args(&["--receive-maximum", "3", "--max-packet-size", "1000"]).start();
    let port = broker.port().to_string();
    for words in ["p2p -c 2 -q 1", "p2p -c 2 -q 2 --rate 500", "pub -c 2 -q 2"] {
        bench(&format!("{words} -V 5 -d 0.3 {QUICK}"), &["-p", &port]).clean();
    }
    let words = "pub -c 1 -V 5 -d 0.1 --json --quiet -s 2000 -p";
    bench(words, &[&port]).failed(1, &["packets of 1000 bytes at most"]);
}

/// What a rate above what anybody can take leaves unsent is told.
#[test]
fn a_rate_that_cannot_be_kept_is_told() {
    let report = against(Oddity::Hangs, "pub -c 1 --rate 100000000").faulty();
    assert!(count(&report, "unsent") > 0, "{report}");
}
