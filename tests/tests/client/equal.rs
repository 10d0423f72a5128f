//! The same words, the same output, byte for byte, and the same exit codes as mosquitto 2.0's clients.

use primer_harness::Broker;

use crate::fake::{self, CONNECT, SUBSCRIBE};
use crate::fixture::{publish, run, same};

/// A broker with retained messages of all kinds.
fn broker() -> Broker {
    let broker = Broker::start();
    publish(&broker, &["-t", "a/text", "-r", "-q", "1", "-m", "21.5 °C"]);
    publish(&broker, &["-t", "a/empty \"quoted\"", "-r", "-m", "\ttab"]);
    let json =
        r#"{"b": [1, 2.50, 1e3, "é\u00e9/", true, null], "a": {}, "l":[{"x":-0},{}], "big":12345678901234567890}"#;
    publish(&broker, &["-t", "a/json", "-r", "-m", json]);
    run(&broker, "pub", &["-t", "a/bin", "-r", "-s"], b"bin\x00\xff\x01z").text();
    let mut args = vec!["-V", "5", "-t", "a/rich", "-r", "-q", "2", "-m", "x"];
    for property in [
        &["user-property", "k", "v"][..],
        &["content-type", "text/plain"],
        &["correlation-data", "cd"],
        &["response-topic", "r/t"],
        &["payload-format-indicator", "1"],
        &["user-property", "k", "again"],
    ] {
        args.extend(["-D", "publish"]);
        args.extend(property);
    }
    publish(&broker, &args);
    broker
}

/// How many messages [`broker`] retains below `a`.
const ALL: &str = "5";

#[track_caller]
fn printed_alike(broker: &Broker, more: &[&str]) {
    for version in ["mqttv31", "mqttv311", "mqttv5"] {
        let base = ["-V", version, "-t", "a/#", "-C", ALL, "-q", "2", "-i", "same"];
        same(broker.port(), "sub", &[&base[..], more].concat(), b"");
    }
}

#[test]
fn payloads_and_topics() {
    let broker = broker();
    for more in [&[][..], &["-v"], &["-N"], &["-v", "-N"], &["--verbose", "-T", "a/bin", "-C", "4"]] {
        printed_alike(&broker, more);
    }
}

#[test]
fn formats() {
    let broker = broker();
    for format in [
        "%t|%20t|%-20t|%.3t|%10.3t|%-10.3t|%020t|",
        "%p|%10p|%-10p|%.3p|%010p|%3p",
        "%x|%X|%10x|%-30x|%030X",
        "%A|%C|%D|%F|%P|%R|%S|%5A|%05F|%10C|%-10C|%E",
        "%q%r%l|%5l|%-5l|%05l|%5m|%m",
        "%%|%5%|\\\\|\\n\\t\\e\\a\\v\\r\\0|@@",
        "@Y-@m-@d @F @j @z@Z @A @B @a @b @h @C @y @G @g @u @w @U @W @V @D @x @% @n@t @Q@i@+",
    ] {
        printed_alike(&broker, &["-F", format]);
    }
}

#[test]
fn json() {
    let broker = broker();
    for more in [&["-F", "%j"][..], &["-F", "%J"], &["-F", "%j", "--pretty"], &["-F", "%J", "--pretty"]] {
        printed_alike(&broker, more);
    }
    for payload in [
        "[]",
        " [1 , [ ] ] ",
        "\"s\"",
        "null",
        "-0.0001",
        "1e15",
        "123456789012345678",
        "{\"a\":1,\"a\":2}",
        "1 2",
        "[0.1,1e-7,2.5e-5,1e300,100,12345.678,3000000000,\"\\u0001\\b\\f\\/\"]",
    ] {
        publish(&broker, &["-t", "json", "-r", "-m", payload]);
        same(broker.port(), "sub", &["-t", "json", "-C", "1", "-F", "%J"], b"");
        same(broker.port(), "sub", &["-t", "json", "-C", "1", "-F", "%J", "--pretty"], b"");
    }
}

#[test]
fn ends_of_a_subscription() {
    let broker = broker();
    let port = broker.port();
    same(port, "sub", &["-t", "a/#", "-E"], b"");
    same(port, "sub", &["-t", "none", "-W", "1"], b"");
    same(port, "sub", &["-t", "a/#", "-R", "-W", "1"], b"");
    same(port, "sub", &["-t", "a/text", "--retained-only", "-W", "1"], b"");
    same(port, "sub", &["-t", "a/#", "-T", "a/#", "-W", "1"], b"");
    same(port, "sub", &["-t", "a/text", "-t", "a/bin", "-C", "2", "-F", "%t"], b"");
}

#[test]
fn what_is_sent_and_received() {
    let broker = broker();
    let port = broker.port();
    for version in ["mqttv31", "mqttv311", "mqttv5"] {
        for qos in ["0", "1", "2"] {
            let base = ["-V", version, "-q", qos, "-d", "-i", "same"];
            let with = |more: &[&'static str]| [&base[..], more].concat();
            same(port, "pub", &with(&["-t", "x/y", "-m", "text", "-r"]), b"");
            same(port, "pub", &with(&["-t", "x/y", "-n", "--retain"]), b"");
            same(port, "pub", &with(&["-t", "x/y", "-s"]), b"one\ntwo\n");
            same(port, "pub", &with(&["-t", "x/y", "-m", "text", "--repeat", "3"]), b"");
            same(port, "sub", &with(&["-t", "x/y", "-t", "z", "-E"]), b"");
        }
    }
    same(port, "pub", &["-t", "a", "-l", "-d"], b"one\n\nlast");
    same(port, "pub", &["-t", "a", "-l", "-d"], b"");
    same(port, "pub", &["-t", "a", "-m", "x", "-d", "-D", "publish", "topic-alias", "3", "--repeat", "2"], b"");
    same(port, "rr", &["-t", "a", "-e", "b", "-m", "x", "-W", "1", "-d"], b"");
}

#[test]
fn signs_of_life() {
    let broker = Broker::start();
    same(broker.port(), "sub", &["-t", "none", "-k", "5", "-W", "7", "-d", "-i", "same"], b"");
}

#[test]
fn requests() {
    let broker = broker();
    let port = broker.port();
    for more in [&["-v"][..], &["-V", "311", "-v"], &["-q", "2", "-F", "%t %R %p"], &["-N"]] {
        same(port, "rr", &[&["-t", "loop", "-e", "loop", "-m", "hi"][..], more].concat(), b"");
    }
    same(port, "rr", &["-t", "loop", "-e", "loop", "-n", "-v"], b"");
}

#[test]
fn codes_of_wrong_words() {
    for (tool, args) in [
        ("sub", &[][..]),
        ("sub", &["-t", "a/#/b"]),
        ("sub", &["-t", "a", "-q", "3"]),
        ("sub", &["-t", "a", "-W", "0"]),
        ("sub", &["-t", "a", "-C", "0"]),
        ("sub", &["-t", "a", "-F", "%z"]),
        ("sub", &["-t", "a", "-R", "--retained-only"]),
        ("sub", &["-t", "a", "-c"]),
        ("pub", &["--bogus"]),
        ("pub", &["-t"]),
        ("pub", &["-t", "a/#", "-m", "x"]),
        ("pub", &["-t", "a", "-m", "x", "-n"]),
        ("pub", &["-t", "a", "-f", "/no/such/file"]),
        ("pub", &["-t", "a", "-s"]),
        ("pub", &["-t", "a", "-m", "x", "-D", "publish", "topic-alias", "0"]),
        ("rr", &["-t", "a", "-m", "x"]),
    ] {
        same(1, tool, args, b"");
    }
}

#[test]
fn codes_of_refusals() {
    let v311 = fake::broker(&[(CONNECT, b"\x20\x02\x00\x05")]);
    let v5 = fake::broker(&[(CONNECT, b"\x20\x03\x00\x87\x00")]);
    for (port, version) in [(v311, "311"), (v5, "5")] {
        same(port, "pub", &["-V", version, "-t", "a", "-m", "x"], b"");
        same(port, "pub", &["-V", version, "-t", "a", "-l"], b"line\n");
        same(port, "sub", &["-V", version, "-t", "a"], b"");
        same(port, "rr", &["-V", version, "-t", "a", "-e", "b", "-m", "x"], b"");
    }
    same(1, "pub", &["-t", "a", "-m", "x"], b"");
    same(1, "sub", &["-t", "a"], b"");
}

#[test]
fn codes_of_denied_subscriptions() {
    let all = fake::broker(&[(CONNECT, b"\x20\x02\x00\x00"), (SUBSCRIBE, b"\x90\x04\x00\x01\x80\x80")]);
    same(all, "sub", &["-t", "a", "-t", "b"], b"");
    let one = fake::broker(&[(CONNECT, b"\x20\x02\x00\x00"), (SUBSCRIBE, b"\x90\x04\x00\x01\x80\x00")]);
    same(one, "sub", &["-t", "a", "-t", "b", "-W", "1"], b"");
}
