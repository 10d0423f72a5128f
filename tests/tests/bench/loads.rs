//! Each kind of load against Primer: a clean report with plausible numbers, at every QoS and in each version.

use std::time::Duration;

use primer_harness::{Broker, Client};
use serde_json::Value;

use crate::fixture::{bench, count, number, start};

const QUICK: &str = "--json --quiet -d 0.15 --warm-up 0.05";

fn options(broker: &Broker) -> Vec<String> {
    QUICK.split(' ').map(str::to_owned).chain(["-p".to_owned(), broker.port().to_string()]).collect()
}

fn run(broker: &Broker, words: &str) -> Value {
    let options = options(broker);
    bench(words, &options.iter().map(String::as_str).collect::<Vec<_>>()).clean()
}

/// What MQTT says is told in all combinations; the rest of the report must be plausible.
fn each_qos_and_version(words: &str, check: impl Fn(&Value)) {
    let broker = Broker::start();
    for (qos, version, level) in
        [("0", "311", 4), ("1", "311", 4), ("2", "311", 4), ("0", "5", 5), ("1", "31", 3), ("2", "5", 5)]
    {
        let report = run(&broker, &format!("{words} -q {qos} -V {version}"));
        assert_eq!((count(&report, "protocol_level"), report["qos"].to_string()), (level, qos.to_owned()));
        check(&report);
    }
}

fn has_traffic(report: &Value) {
    assert!(count(report, "sent") > 0 && count(report, "received") > 0, "{report}");
    assert!(number(report, "/seconds") >= 0.15 && number(report, "/received_per_second") > 0.0, "{report}");
    let [p50, p99, max] = ["p50_ms", "p99_ms", "max_ms"].map(|name| number(report, &format!("/latency/{name}")));
    assert!(p50 > 0.0 && p50 <= p99 && p99 <= max, "{report}");
    assert_eq!(report["acknowledgement"].is_null(), report["qos"] == 0, "{report}");
}

#[test]
fn p2p() {
    each_qos_and_version("p2p -c 2", has_traffic);
}

#[test]
fn p2p_of_several_threads_and_of_a_window_of_one() {
    each_qos_and_version("p2p -c 3 --threads 2 --window 1", has_traffic);
}

#[test]
fn fans_and_groups_of_several_threads() {
    let broker = Broker::start();
    for kind in [
        "fan-in -c 4",
        "fan-out -c 5",
        "fan-out --publishers 2 -c 3",
        "shared -c 3 --subscribers 2",
        "wildcard -c 3 -n 1000",
    ] {
        for (threads, qos, version) in [("1", "2", "311"), ("2", "0", "5")] {
            has_traffic(&run(&broker, &format!("{kind} --threads {threads} -q {qos} -V {version}")));
        }
    }
    let report = run(&broker, "fan-out -c 5");
    let (sent, received) = (count(&report, "sent"), count(&report, "received"));
    assert!(received > sent, "five get each message: {report}");
}

#[test]
fn open_loops_keep_their_rate() {
    each_qos_and_version("p2p -c 3 --rate 400 --threads 2", |report| {
        has_traffic(report);
        assert_eq!((report["rate"].to_string().as_str(), report["window"].is_null()), ("400.0", true), "{report}");
        // 60 in 0.15 s, on time or late; a snapshot that comes late sees more of them.
        assert!(number(report, "/latency/count") >= 50.0, "{report}");
    });
    let broker = Broker::start();
    let report = run(&broker, "pub -c 4 -I 10 -q 1");
    assert_eq!(report["rate"].to_string(), "400.0", "4 publishers with a message each 10 ms: {report}");
}

#[test]
fn publishers_and_subscribers_in_two_processes() {
    let broker = Broker::start();
    let port = broker.port().to_string();
    let listener = start("sub -c 2 -t a/+ -d 600 --warm-up 0 --json --quiet -q 1 -p", &[&port]);
    let mut prober = Client::v5(broker.addr(), "prober");
    while prober.publish("a/0", "no stamp", 1) == 0x10 {
        std::thread::sleep(Duration::from_millis(5)); // until they have subscribed
    }
    let publisher = bench("pub -c 2 -t a/%i -d 0.2 --warm-up 0 --rate 100 --json --quiet -q 1 -p", &[&port]).clean();
    listener.interrupt();
    let report = listener.end().clean();
    let sent = count(&publisher, "sent");
    assert!(sent >= 15 && count(&report, "received") >= sent, "{publisher} {report}");
    assert!(number(&report, "/latency/count") > 0.0, "{report}");
}

#[test]
fn retained_messages_are_read_and_removed() {
    each_qos_and_version("retained -n 100 -c 3 --threads 2", |report| {
        assert_eq!(count(report, "received"), 100, "{report}");
    });
    let broker = Broker::start();
    for words in ["retained -n 2 -c 3", "retained -n 10 -c 3 --subscribers 2 --filter #"] {
        let report = run(&broker, words);
        assert_eq!(count(&report, "received"), if words.contains('#') { 20 } else { 2 }, "{report}");
    }
    let mut watcher = Client::v5(broker.addr(), "watcher");
    watcher.subscribe("#", 0);
    watcher.expect_no_publish_before_ping();
}

#[test]
fn a_backlog_is_drained_and_its_session_ended() {
    let broker = Broker::start();
    for (qos, version) in [("1", "311"), ("2", "5"), ("1", "31"), ("1", "5")] {
        let report = run(&broker, &format!("backlog -n 100 -c 3 --threads 2 -q {qos} -V {version}"));
        assert_eq!(count(&report, "received"), 100, "{report}");
    }
    let mut prober = Client::v5(broker.addr(), "prober");
    let is_subscribed = |prober: &mut Client| prober.publish("kept/0", "", 1) != 0x10;
    run(&broker, "backlog -n 10 -c 1 -t kept -V 311");
    assert!(!is_subscribed(&mut prober), "a session was left behind");
}

#[test]
fn connections_cost_memory_and_are_opened_at_their_pace() {
    let broker = Broker::start();
    let report = run(&broker, "conn -c 50");
    assert_eq!((count(&report, "subscribers"), count(&report, "received")), (50, 0), "{report}");
    assert!(number(&report, "/connects_per_second") > 0.0, "{report}");
    assert!(report["broker"]["memory_bytes_per_connection"].is_number(), "{report}");
    let report = run(&broker, "conn -c 5 -i 40");
    assert!(number(&report, "/connect_seconds") >= 0.16, "four times 40 ms: {report}");
}

#[test]
fn messages_larger_than_what_is_read_at_once_go_through() {
    let broker = Broker::start();
    for (qos, size) in [("0", "131072"), ("1", "200000"), ("2", "1000000")] {
        let report = run(&broker, &format!("p2p -c 2 --window 2 -q {qos} -s {size}"));
        assert_eq!(count(&report, "payload_bytes").to_string(), size);
    }
}

#[test]
fn the_broker_is_found_by_its_port_and_by_its_pid() {
    let broker = Broker::start();
    for words in ["p2p -c 1".to_owned(), format!("p2p -c 1 --pid {}", broker.pid()), "p2p -c 1 -h localhost".to_owned()]
    {
        let report = run(&broker, &words);
        assert_eq!(report["broker"]["pid"], broker.pid(), "{report}");
        assert!(number(&report, "/broker/cpu_seconds") > 0.0, "{report}");
        assert!(number(&report, "/broker/memory_bytes") > 1e6, "{report}");
    }
    let other = run(&broker, &format!("p2p -c 1 --pid {}", std::process::id()));
    assert_eq!(other["broker"]["pid"], std::process::id());
}

/// Ctrl-C ends a run with the report of what was measured, and nothing is left at the broker.
#[test]
fn an_interrupted_run_reports_and_clears() {
    let broker = Broker::start();
    let port = broker.port().to_string();
    let mut watcher = Client::v5(broker.addr(), "watcher");
    watcher.subscribe("steady/#", 0);
    let steady = start("p2p -c 2 -d 600 --warm-up 0 -t steady --rate 200 --json --quiet -p", &[&port]);
    assert!(watcher.recv().topic.starts_with("steady/"));
    steady.interrupt();
    let report = steady.end().clean();
    assert!(number(&report, "/seconds") < 600.0);

    let mut watcher = Client::v5(broker.addr(), "watcher");
    watcher.subscribe("kept/#", 0);
    let retained = start("retained -t kept -n 10000 -c 1 --window 1 --json --quiet -p", &[&port]);
    assert!(watcher.recv().topic.starts_with("kept/"));
    drop(watcher);
    retained.interrupt();
    retained.end().failed(1, &["fill: interrupted"]);
    let mut watcher = Client::v5(broker.addr(), "watcher");
    watcher.subscribe("kept/#", 0);
    watcher.expect_no_publish_before_ping();
}
