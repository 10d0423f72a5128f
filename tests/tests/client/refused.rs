//! What is said when there is no connection, or none that is wanted: what, where, and what to do.

use primer_harness::port::free_port;

use crate::fake::{self, CONNECT, SUBSCRIBE};
use crate::fixture::{end, ours, start};

#[test]
fn a_refusal_says_who_and_why_and_what_helps() {
    for (answer, version, user, code, words) in [
        (&b"\x20\x02\x00\x05"[..], "311", None, 5, &["refused: not authorised. It wants a user name", "-u NAME"][..]),
        (b"\x20\x02\x00\x04", "311", Some("me"), 4, &["bad user name or password. Check the user name and password"]),
        (b"\x20\x02\x00\x01", "311", None, 1, &["unacceptable protocol version. Try another version: -V 5"]),
        (b"\x20\x02\x00\x02", "31", None, 2, &["identifier rejected. Name another client identifier: -i"]),
        (b"\x20\x02\x00\x03", "311", None, 3, &["broker unavailable. Try again later"]),
        (b"\x20\x03\x00\x87\x00", "5", None, 135, &["refused: not authorized. It wants a user name"]),
        (b"\x20\x08\x00\x8a\x05\x1f\x00\x02no", "5", None, 138, &["refused: banned (no)"]),
        (b"\x20\x03\x00\x84\x00", "5", None, 132, &["It speaks no MQTT 5.0: try -V 311"]),
    ] {
        let port = fake::broker(Vec::leak(vec![(CONNECT, answer)]));
        let mut args = vec!["-V", version, "-t", "a", "-m", "x"];
        args.extend(user.map(|user| ["-u", user]).into_iter().flatten());
        let left = end(start(&mut ours(port, "pub", &args)), b"");
        left.failed(code, words);
        left.failed(code, &[&format!("Connection error: 127.0.0.1:{port} refused: ")]);
    }
}

#[test]
fn a_broker_that_is_not_there_is_named() {
    let port = free_port();
    for (tool, args) in
        [("pub", &["-t", "a", "-m", "x"][..]), ("sub", &["-t", "a"]), ("rr", &["-t", "a", "-e", "b", "-n"])]
    {
        let left = end(start(&mut ours(port, tool, args)), b"");
        left.failed(
            1,
            &[&format!("Error: no broker at 127.0.0.1:{port}: connection refused. Is it running?"), "-h and -p"],
        );
        let left = end(start(&mut ours(port, tool, &[args, &["--quiet"]].concat())), b"");
        assert_eq!((left.code, &*left.stderr), (Some(1), ""));
    }
}

#[test]
fn a_connection_that_is_lost_before_the_work_is_done_is_a_failure() {
    // It closes the connection at the PUBLISH.
    let port = fake::broker(&[(CONNECT, b"\x20\x02\x00\x00"), (SUBSCRIBE, b"")]);
    let left = end(start(&mut ours(port, "pub", &["-t", "a", "-m", "x", "-q", "1"])), b"");
    left.failed(7, &["was lost: "]);
}

#[test]
fn a_server_that_is_no_broker_is_told() {
    let port = fake::broker(&[(CONNECT, b"HTTP/1.1 400 Bad Request\r\n\r\n")]);
    let left = end(start(&mut ours(port, "sub", &["-t", "a"])), b"");
    left.failed(2, &["broke the protocol"]);
}

#[test]
fn a_port_of_tls_is_told() {
    let port = fake::broker(&[(CONNECT, b"\x15\x03\x03\x00\x02\x02\x32")]);
    for (tool, args) in
        [("pub", &["-t", "a", "-m", "x"][..]), ("sub", &["-t", "a"]), ("rr", &["-t", "a", "-e", "b", "-n"])]
    {
        let left = end(start(&mut ours(port, tool, args)), b"");
        left.failed(2, &["this looks like a TLS port: give --cafile, or --tls-use-os-certs.\n"]);
    }
}

#[test]
fn a_port_that_closes_without_an_answer_may_be_one_of_tls() {
    let port = fake::broker(&[(0, b"")]);
    let left = end(start(&mut ours(port, "pub", &["-t", "a", "-m", "x"])), b"");
    left.failed(7, &["before it answered (is this a TLS port? --cafile, or --tls-use-os-certs)"]);
}

#[test]
fn wrong_words_are_said_with_the_way_to_the_help() {
    let left = end(start(&mut ours(1, "sub", &["-t", "a", "--bogus"])), b"");
    left.failed(1, &["Error: unknown option '--bogus'.", "Use 'primer sub --help' to see usage."]);
    let left = end(start(&mut ours(1, "pub", &["-t", "a", "-n", "--cafile", "/no/ca.pem"])), b"");
    left.failed(1, &["Error: --cafile /no/ca.pem: "]);
}
