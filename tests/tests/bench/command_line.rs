//! The command line, as somebody meets it who comes from another benchmark.

use primer_harness::{Broker, Launch};

use crate::fixture::bench;

#[test]
fn help_is_there_where_one_looks_for_it() {
    let help = bench("--help", &[]);
    assert_eq!(help.code, Some(0));
    for kind in
        ["conn", "pub", "sub", "p2p", "fan-in", "shared", "fan-out", "retained", "backlog", "wildcard", "compare"]
    {
        assert!(help.stdout.contains(&format!("\n  {kind} ")), "{kind}: {}", help.stdout);
        let help = bench(kind, &["--help"]);
        assert_eq!(help.code, Some(0), "{help:?}");
        assert!(help.stdout.contains("Usage: primer bench"), "{help:?}");
    }
    let help = bench("p2p --help", &[]);
    for option in ["-h, --host", "-p, --port", "-c, --count", "-i, --interval", "-I, --interval-of-msg", "-t, --topic"]
    {
        assert!(help.stdout.contains(option), "{option}: {}", help.stdout);
    }
}

#[test]
fn the_flags_of_other_benchmarks_mean_the_same() {
    let broker = Launch::new().args(&["--user", "ann:secret"]).start();
    let port = broker.port().to_string();
    let words = "pub -h 127.0.0.1 -c 2 -i 1 -I 10 -t bench/%i -s 64 -q 1 -u ann -P secret -V 5 -k 30 -d 0.1 --json";
    let report = bench(words, &["--quiet", "-p", &port]).clean();
    assert_eq!((report["qos"].as_u64(), report["rate"].as_f64()), (Some(1), Some(200.0)), "{report}");
    let words = "pub -c 1 -u ann -P wrong -d 0.1 -V 311 --quiet -p";
    bench(words, &[&port]).failed(1, &["bad user name or password"]);
}

#[test]
fn progress_goes_to_stderr_and_the_result_to_stdout() {
    let broker = Broker::start();
    let ran = bench("p2p -c 1 -d 1.3 --warm-up 0 --rate 100 -p", &[&broker.port().to_string()]);
    assert_eq!(ran.code, Some(0), "{ran:?}");
    assert!(ran.stderr.contains("sent/s") && !ran.stdout.contains("sent/s"), "{ran:?}");
    assert!(ran.stdout.starts_with("p2p: 1 publishers, 1 subscribers, QoS 0"), "{ran:?}");
    assert!(ran.stdout.contains("faults        0 lost"), "{ran:?}");
}

#[test]
fn a_wrong_value_is_named_with_what_it_may_be() {
    for (words, code, expected) in [
        ("p2p -q 3", 2, &["--qos", "0..=2"][..]),
        ("p2p -V 4.2", 2, &["--protocol-version", "31, 311 or 5"]),
        ("p2p -d soon", 2, &["--duration", "seconds"]),
        ("p2p -I -5", 2, &["-5"]),
        ("p2p -I=-5", 2, &["--interval-of-msg", "milliseconds"]),
        ("p2p --rate 5 -I 5", 2, &["--rate", "--interval-of-msg"]),
        ("p2p --rate 5 --window 5", 2, &["--rate", "--window"]),
        ("p2p --rate 0", 1, &["a rate of 0 messages a second"]),
        ("p2p --rate nan", 1, &["a rate of NaN messages a second"]),
        ("p2p --window 0", 1, &["a window of 0 messages: 1 to 16384"]),
        ("p2p -s 5", 1, &["a payload of 5 bytes: 28 at least"]),
        ("p2p -c 0", 1, &["p2p needs at least one publisher"]),
        ("p2p --publishers 3", 1, &["p2p has pairs"]),
        ("p2p -d 0", 1, &["measures nothing"]),
        ("p2p -t a/#", 1, &["wildcard"]),
        ("backlog -q 0", 1, &["say -q 1"]),
        ("p2p -h a..b", 1, &["cannot find the address of a..b"]),
        ("conn -i soon", 2, &["--interval", "milliseconds"]),
        ("compare --row p2p", 2, &["--row", "p2p-q0"]),
        ("compare --broker emqx", 2, &["--broker", "NAME=COMMAND"]),
        ("compare --broker emqx=start", 2, &["--broker", "{port}"]),
        ("compare -d 0", 1, &["measures nothing"]),
        ("compare --threads 0", 1, &["1 to 64"]),
        ("tsunami", 2, &["tsunami"]),
    ] {
        bench(words, &[]).failed(code, expected);
    }
}
