//! `primer pub`: each way to say what is published, and that it arrives as it was.

use primer_harness::wire::prop;
use primer_harness::{Broker, Client};

use crate::fixture::{end, ours, publish, run, start};

fn listener(broker: &Broker) -> Client {
    let mut client = Client::v5(broker.addr(), "listener");
    client.subscribe("#", 2);
    client
}

#[test]
fn each_source_is_published_as_it_is() {
    let broker = Broker::start();
    let mut listener = listener(&broker);
    let file = broker.dir().join("payload");
    let large: Vec<u8> = (0..5_000_000_u32).map(|number| (number % 251) as u8).collect();
    std::fs::write(&file, &large).expect("a file");
    let file = file.to_str().expect("its path");
    for (args, payload, qos) in [
        (&["-m", "-text"][..], &b"-text"[..], 0),
        (&["-f", file, "-q", "2"], &large, 2),
        (&["-n", "-q", "1"], b"", 1),
        (&["-s"], b"\x00\xff\n\n", 0),
    ] {
        let input = if args == ["-s"] { payload } else { b"" };
        run(&broker, "pub", &[&["-t", "topic"], args].concat(), input).text();
        let message = listener.recv();
        assert_eq!((&*message.topic, message.qos, message.payload == payload), ("topic", qos, true), "{args:?}");
    }
}

#[test]
fn lines_are_published_in_their_order_at_each_qos() {
    let broker = Broker::start();
    let mut listener = listener(&broker);
    let mut input = String::new();
    for line in 0..1000 {
        input += &format!("line {line}\n");
    }
    input += "\nlast";
    for qos in ["0", "1", "2"] {
        run(&broker, "pub", &["-t", "l", "-l", "-q", qos], input.as_bytes()).text();
        for wanted in input.split('\n') {
            let message = listener.recv();
            assert_eq!((&*message.payload, message.qos.to_string()), (wanted.as_bytes(), qos.to_owned()));
        }
    }
}

/// A process that feeds it may say a line now and another much later: each is published when it comes.
#[test]
fn a_line_is_published_when_it_is_there() {
    use std::io::Write;
    let broker = Broker::start();
    let mut listener = listener(&broker);
    let mut child = start(&mut ours(broker.port(), "pub", &["-t", "l", "-l"]));
    child.stdin.as_mut().expect("its input").write_all(b"first\n").expect("a line");
    assert_eq!(listener.recv().payload, b"first");
    assert_eq!(end(child, b"second\n").text(), "");
    assert_eq!(listener.recv().payload, b"second");
}

#[test]
fn a_message_is_repeated() {
    let broker = Broker::start();
    let mut listener = listener(&broker);
    publish(&broker, &["-t", "r", "-m", "x", "-q", "1", "--repeat", "3", "--repeat-delay", "0.01"]);
    let payloads: Vec<_> = listener.recv_publishes(3).into_iter().map(|message| message.payload).collect();
    assert_eq!(payloads, [b"x", b"x", b"x"]);
}

#[test]
fn retained_messages_are_set_and_removed() {
    let broker = Broker::start();
    publish(&broker, &["-t", "r", "-m", "kept", "-r"]);
    assert_eq!(run(&broker, "sub", &["-t", "r", "-C", "1", "-F", "%p %r"], b"").text(), "kept 1\n");
    publish(&broker, &["-t", "r", "-n", "-r", "-q", "1"]);
    assert_eq!(run(&broker, "sub", &["-t", "r", "-W", "1"], b"").code, Some(27));
}

#[test]
fn properties_arrive() {
    let broker = Broker::start();
    let mut listener = listener(&broker);
    let line = "-t p -m x -D publish user-property unit C -D publish content-type text -D publish topic-alias 1 \
                -D publish message-expiry-interval 60 --repeat 2 -q 1";
    publish(&broker, &line.split_whitespace().collect::<Vec<_>>());
    for message in listener.recv_publishes(2) {
        assert_eq!((&*message.topic, &*message.payload), ("p", &b"x"[..]));
        assert_eq!(prop::user_properties(&message.props), [("unit", "C")]);
        assert_eq!(prop::text(&message.props, prop::CONTENT_TYPE), Some("text"));
    }
}

#[test]
fn a_will_is_published_when_the_client_is_killed() {
    let broker = Broker::start();
    let mut listener = listener(&broker);
    let line = "-t w -l --will-topic gone --will-payload bye --will-qos 1 -i dying";
    let mut child = start(&mut ours(broker.port(), "pub", &line.split(' ').collect::<Vec<_>>()));
    std::io::Write::write_all(child.stdin.as_mut().expect("its input"), b"here\n").expect("a line");
    assert_eq!(&*listener.recv().topic, "w");
    child.kill().expect("SIGKILL");
    child.wait().expect("its end");
    let will = listener.recv();
    assert_eq!((&*will.topic, &*will.payload, will.qos), ("gone", &b"bye"[..], 1));
}

#[test]
fn lines_go_on_after_the_broker_was_away() {
    use std::io::Write;
    let mut broker = Broker::start();
    let mut child = start(&mut ours(broker.port(), "pub", &["-t", "l", "-l", "-q", "1", "-r"]));
    child.stdin.as_mut().expect("its input").write_all(b"before\n").expect("a line");
    while run(&broker, "sub", &["-t", "l", "-W", "1"], b"").stdout != b"before\n" {}
    broker.restart();
    let left = end(child, b"after\n");
    assert_eq!((left.code, left.stdout()), (Some(0), ""), "{left:?}");
    assert!(left.stderr.contains("was lost") && left.stderr.contains("Connecting again"), "{left:?}");
    assert_eq!(run(&broker, "sub", &["-t", "l", "-C", "1"], b"").text(), "after\n");
}
