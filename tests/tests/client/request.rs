//! `primer rr`: a request, and which message is its response.

use primer_harness::wire::prop;
use primer_harness::{Broker, Client};

use crate::fake::{self, CONNECT, SUBSCRIBE};
use crate::fixture::{end, ours, start};

#[test]
fn the_response_with_our_correlation_data_is_the_one() {
    let broker = Broker::start();
    let mut responder = Client::v5(broker.addr(), "responder");
    responder.subscribe("ask", 1);
    let child = start(&mut ours(broker.port(), "rr", &["-t", "ask", "-e", "answer", "-m", "what?", "-q", "1", "-v"]));
    let request = responder.recv();
    assert_eq!(request.payload, b"what?");
    assert_eq!(prop::text(&request.props, prop::RESPONSE_TOPIC), Some("answer"));
    let correlation = request.props.iter().find(|prop| prop.id == prop::CORRELATION_DATA).cloned();
    let correlation = correlation.expect("correlation data");
    let other = prop::correlation_data(b"of another request");
    responder.publish_with("answer", "not this", 1, &[other]);
    responder.publish_with("answer", "this", 1, &[correlation]);
    assert_eq!(end(child, b"").text(), "answer this\n");
}

#[test]
fn a_response_without_correlation_data_is_one_too() {
    let broker = Broker::start();
    let mut responder = Client::v311(broker.addr(), "responder");
    responder.subscribe("ask", 0);
    for version in ["311", "5"] {
        let args = ["-V", version, "-t", "ask", "-e", "answer", "-s"];
        let child = start(&mut ours(broker.port(), "rr", &args));
        let waiting = std::thread::spawn(move || end(child, b"from stdin"));
        assert_eq!(responder.recv().payload, b"from stdin");
        responder.publish("answer", "plain", 0);
        assert_eq!(waiting.join().expect("its end").text(), "plain\n");
    }
}

#[test]
fn no_response_is_told_by_the_code_of_a_timeout() {
    let broker = Broker::start();
    let left = end(start(&mut ours(broker.port(), "rr", &["-t", "ask", "-e", "answer", "-n", "-W", "1"])), b"");
    left.failed(27, &["Timed out"]);
}

#[test]
fn a_denied_response_topic_is_said() {
    let port = fake::broker(&[(CONNECT, b"\x20\x03\x00\x00\x00"), (SUBSCRIBE, b"\x90\x04\x00\x01\x00\x87")]);
    let left = end(start(&mut ours(port, "rr", &["-t", "ask", "-e", "answer", "-n"])), b"");
    left.failed(1, &["the broker refused the subscription to the response topic: not authorized"]);
}
