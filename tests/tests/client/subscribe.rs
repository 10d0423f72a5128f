//! `primer sub`: what ends it, what it leaves out, and what happens when the broker goes.

use std::io::{BufRead, BufReader};
use std::process::{Child, Command};

use primer_harness::{Broker, Client};

use crate::fake::{self, CONNECT, SUBSCRIBE};
use crate::fixture::{await_subscription, end, ours, publish, run, start, subscribe};

fn signal(child: &Child, name: &str) {
    let status = Command::new("kill").args([name, &child.id().to_string()]).status().expect("kill");
    assert!(status.success(), "no {name}");
}

#[test]
fn messages_are_printed_at_each_qos_and_version() {
    let broker = Broker::start();
    for version in ["31", "311", "5"] {
        for qos in ["0", "1", "2"] {
            let args = ["-V", version, "-q", qos, "-t", "a/+", "-C", "2", "-F", "%t %q %p"];
            let child = subscribe(&broker, &args);
            publish(&broker, &["-q", qos, "-t", "a/b", "-m", "one"]);
            publish(&broker, &["-q", qos, "-t", "a/c", "-m", "two"]);
            assert_eq!(end(child, b"").text(), format!("a/b {qos} one\na/c {qos} two\n"), "{version}");
        }
    }
}

#[test]
fn binary_payloads_are_printed_as_they_are() {
    let broker = Broker::start();
    let payload: Vec<u8> = (0..=255).collect();
    run(&broker, "pub", &["-t", "b", "-r", "-s"], &payload).text();
    assert_eq!(run(&broker, "sub", &["-t", "b", "-C", "1", "-N"], b"").stdout, payload);
}

#[test]
fn a_session_that_is_kept_has_what_came_while_its_client_was_away() {
    let broker = Broker::start();
    let args = ["-t", "k", "-q", "1", "-c", "-i", "kept"];
    run(&broker, "sub", &[&args[..], &["-E"]].concat(), b"").text();
    for text in ["one", "two", "three"] {
        publish(&broker, &["-t", "k", "-q", "1", "-m", text]);
    }
    assert_eq!(run(&broker, "sub", &[&args[..], &["-C", "1"]].concat(), b"").text(), "one\n");
    let rest = run(&broker, "sub", &[&args[..], &["-C", "2"]].concat(), b"");
    assert_eq!(rest.text(), "two\nthree\n", "what was not printed was not acknowledged");
}

#[test]
fn an_interrupt_ends_it_cleanly() {
    let broker = Broker::start();
    let mut listener = Client::v5(broker.addr(), "listener");
    listener.subscribe("will", 1);
    for name in ["-INT", "-TERM"] {
        let child = subscribe(&broker, &["-t", "a", "--will-topic", "will", "--will-payload", "bye"]);
        signal(&child, name);
        assert_eq!(end(child, b"").text(), "");
        listener.expect_no_publish_before_ping();
        let child = subscribe(&broker, &["-V", "5", "-t", "a", "--will-topic", "will", "--will-payload", "bye"]);
        signal(&child, name);
        assert_eq!(end(child, b"").text(), "");
        assert_eq!(listener.recv().payload, b"bye", "MQTT 5.0 can ask for the will, and mosquitto_sub does");
    }
}

#[test]
fn a_reader_that_goes_ends_it_quietly() {
    let broker = Broker::start();
    let mut child = subscribe(&broker, &["-t", "a"]);
    drop(child.stdout.take());
    publish(&broker, &["-t", "a", "-m", "nobody reads this"]);
    let left = end(child, b"");
    assert_eq!((left.code, &*left.stderr), (Some(0), ""));
}

#[test]
fn retained_messages_are_removed_but_for_those_filtered_out() {
    let broker = Broker::start();
    for topic in ["r/a", "r/b", "r/keep"] {
        publish(&broker, &["-t", topic, "-m", "x", "-r", "-q", "1"]);
    }
    let args = ["-t", "r/#", "--retained-only", "--remove-retained", "-T", "r/keep", "-C", "2", "-F", "%t"];
    let removed = run(&broker, "sub", &args, b"");
    let mut topics: Vec<_> = removed.text().lines().collect();
    topics.sort_unstable();
    assert_eq!(topics, ["r/a", "r/b"]);
    assert_eq!(run(&broker, "sub", &["-t", "r/#", "-C", "1", "-F", "%t"], b"").text(), "r/keep\n");
    assert_eq!(run(&broker, "sub", &["-t", "r/#", "-W", "1", "-F", "%t"], b"").stdout(), "r/keep\n");
}

#[test]
fn retained_only_ends_at_the_first_other_message() {
    let broker = Broker::start();
    publish(&broker, &["-t", "r", "-m", "kept", "-r"]);
    let child = subscribe(&broker, &["-t", "r", "-t", "live", "--retained-only"]);
    // The message that told us of the subscription was not retained either.
    let left = end(child, b"");
    assert!(matches!(left.text(), "kept\n" | ""), "{left:?}");
}

#[test]
fn a_filter_is_given_up() {
    let broker = Broker::start();
    let args = ["-c", "-i", "gone", "-q", "1"];
    run(&broker, "sub", &[&args[..], &["-t", "u/a", "-t", "u/b", "-E"]].concat(), b"").text();
    run(&broker, "sub", &[&args[..], &["-U", "u/a"]].concat(), b"").text();
    publish(&broker, &["-t", "u/a", "-m", "a", "-q", "1"]);
    publish(&broker, &["-t", "u/b", "-m", "b", "-q", "1"]);
    assert_eq!(run(&broker, "sub", &[&args[..], &["-t", "u/b", "-C", "1"]].concat(), b"").text(), "b\n");
}

#[test]
fn it_subscribes_again_after_the_broker_was_away() {
    let mut broker = Broker::start();
    let child = subscribe(&broker, &["-t", "again", "-C", "1"]);
    broker.restart();
    await_subscription(&broker, "again");
    let left = end(child, b"");
    assert_eq!((left.code, left.stdout()), (Some(0), ""), "{left:?}");
    let place = format!("The connection to 127.0.0.1:{} was lost", broker.port());
    assert!(left.stderr.contains(&place), "{left:?}");
}

#[test]
fn a_session_that_another_takes_over_is_left_to_it() {
    let broker = Broker::start();
    let child = subscribe(&broker, &["-V", "5", "-t", "a", "-i", "twin"]);
    let _other = Client::v5(broker.addr(), "twin");
    end(child, b"").failed(7, &["ended the connection: session taken over"]);
}

#[test]
fn a_broker_that_gives_no_sign_of_life_is_left() {
    let port = fake::broker(&[(CONNECT, b"\x20\x02\x00\x00"), (SUBSCRIBE, b"\x90\x03\x00\x01\x00"), (0xC0, b"")]);
    let left = end(start(&mut ours(port, "sub", &["-t", "a", "-k", "5", "-W", "12"])), b"");
    left.failed(27, &["was lost: the broker does not answer any more. Connecting again."]);
}

#[test]
fn denied_subscriptions_end_it() {
    let port = fake::broker(&[(CONNECT, b"\x20\x02\x00\x00"), (SUBSCRIBE, b"\x90\x04\x00\x01\x80\x80")]);
    let left = end(start(&mut ours(port, "sub", &["-t", "a", "-t", "b"])), b"");
    let warning = |filter| format!("Warning: the subscription to \"{filter}\" was refused (0x80).\n");
    let all = format!("{}{}All subscription requests were denied.\n", warning("a"), warning("b"));
    assert_eq!((left.code, left.stderr), (Some(0), all));
}

#[test]
fn one_denied_subscription_of_several_is_said() {
    for (version, connack, suback, says) in [
        ("311", &b"\x20\x02\x00\x00"[..], &b"\x90\x04\x00\x01\x00\x80"[..], "(0x80)"),
        ("5", b"\x20\x03\x00\x00\x00", b"\x90\x05\x00\x01\x00\x00\x87", "(0x87: not authorized)"),
    ] {
        let port = fake::broker(Vec::leak(vec![(CONNECT, connack), (SUBSCRIBE, suback)]));
        let left = end(start(&mut ours(port, "sub", &["-V", version, "-t", "a", "-t", "$SYS/#", "-E"])), b"");
        let all = format!("Warning: the subscription to \"$SYS/#\" was refused {says}.\n");
        assert_eq!((left.code, left.stdout(), &*left.stderr), (Some(0), "", &*all), "{version}");
    }
}

#[test]
fn the_rate_is_printed_instead_of_messages() {
    let broker = Broker::start();
    let mut child = subscribe(&broker, &["-t", "rate", "--message-rate"]);
    let mut lines = BufReader::new(child.stdout.take().expect("its output")).lines();
    let mut next = || lines.next().expect("a line").expect("text").parse::<u64>().expect("a number");
    next();
    for _ in 0..3 {
        publish(&broker, &["-t", "rate", "-m", "x"]);
    }
    let mut sum = 0;
    while sum < 3 {
        sum += next();
    }
    assert_eq!(sum, 3);
    signal(&child, "-TERM");
    assert_eq!(child.wait().expect("its end").code(), Some(0));
}

#[test]
fn each_topic_has_a_line_of_the_screen() {
    let broker = Broker::start();
    let child = subscribe(&broker, &["-t", "w/#", "-w", "-v", "-C", "3"]);
    for (topic, text) in [("w/a", "1"), ("w/b", "2"), ("w/a", "3")] {
        publish(&broker, &["-t", topic, "-m", text]);
    }
    let left = end(child, b"");
    let screen = left.text();
    for piece in ["\x1b[2;1H\x1b[2Kw/a 1\n", "\x1b[3;1H\x1b[2Kw/b 2\n", "\x1b[2;1H\x1b[2Kw/a 3\n"] {
        assert!(screen.contains(piece), "no {piece:?} in {screen:?}");
    }
}

/// What cannot be written is not acknowledged, and no success.
#[test]
fn a_disk_that_is_full_is_no_success() {
    let broker = Broker::start();
    publish(&broker, &["-t", "full", "-m", "x", "-r"]);
    let full = std::fs::File::options().write(true).open("/dev/full").expect("the device");
    let mut command = ours(broker.port(), "sub", &["-t", "full", "-C", "1"]);
    let output = command.stdout(full).stderr(std::process::Stdio::piped()).output().expect("the program");
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert!(said.contains("standard output"), "{said}");
}
