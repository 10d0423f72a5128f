//! Commands about queues over MQTT, as any client can give them.

use std::net::{SocketAddr, UdpSocket};

use primer_harness::wire::prop;
use primer_harness::{Broker, Client, SILENCE, Version};
use serde_json::{Value, json};

use crate::fixture::{ask, responses, run};

const TOPIC: &str = "$CONTROL/queue/v1";

#[test]
fn commands_are_answered_in_their_order_each_for_itself() {
    let broker = Broker::start();
    for version in Version::BOTH {
        let mut client = Client::connect_with(broker.addr(), version, "c", |c| c);
        let name = format!("jobs-{}", version.level());
        let all = ask(
            &mut client,
            &json!([
                {"command": "createQueue", "name": name, "definition": {"messages_max": 7}, "correlationData": 17},
                {"command": "getQueue", "name": "nothing", "correlationData": ["x"]},
                {"command": "getQueue", "name": name},
                {"command": "getQueue", "nam": name},
                {"command": "fly"},
            ]),
        );
        assert_eq!(all.len(), 5);
        assert_eq!((&all[0]["command"], &all[0]["correlationData"]), (&json!("createQueue"), &json!(17)));
        assert_eq!(all[0]["data"]["definition"]["messages_max"], 7);
        assert_eq!(all[1]["error"], "there is no queue \"nothing\"");
        assert_eq!(all[1]["correlationData"], json!(["x"]));
        assert_eq!(all[2]["data"]["name"], json!(name));
        assert!(all[3]["error"].as_str().is_some_and(|why| why.contains("`name` is missing")), "{all:?}");
        assert!(all[4]["error"].as_str().is_some_and(|why| why.contains("`fly`") && why.contains("listQueues")));
        client.disconnect();
    }
}

#[test]
fn any_qos_will_do_and_requests_that_are_none_are_answered() {
    let broker = Broker::start();
    let mut client = Client::v5(broker.addr(), "c");
    for qos in 0..=2 {
        assert_eq!(client.publish(TOPIC, json!({"commands": [{"command": "stats"}]}).to_string(), qos), 0);
        assert_eq!(responses(&mut client)[0]["data"]["queues"], 0);
    }
    for (body, word) in [
        ("", "no JSON"),
        ("{\"commands\":[]}", "empty"),
        (&*"[".repeat(60_000), "no JSON"),
        (&*"x".repeat(70_000), "70000 bytes, and may have 65536"),
    ] {
        client.publish(TOPIC, body, 1);
        let all = responses(&mut client);
        assert!(all[0]["error"].as_str().is_some_and(|why| why.contains(word)), "{all:?}");
    }
    client.disconnect();
}

#[test]
fn the_answer_goes_to_the_response_topic_with_its_correlation() {
    let broker = Broker::start();
    let mut client = Client::v5(broker.addr(), "c");
    let props = [prop::response_topic("answers/c"), prop::correlation_data(b"\0\x01")];
    let body = json!({"commands": [{"command": "listQueues"}]}).to_string();
    assert_eq!(client.publish_with(TOPIC, body, 1, &props), 0);
    let answer = client.recv();
    assert_eq!(answer.topic, "answers/c");
    assert!(answer.props.contains(&prop::correlation_data(b"\0\x01")), "{answer:?}");
    let answer: Value = serde_json::from_slice(&answer.payload).expect("JSON");
    assert_eq!(answer["responses"][0]["data"], json!({"queues": [], "next": null}));
    client.disconnect();
}

#[test]
fn nobody_else_hears_of_commands_and_nothing_is_retained() {
    let broker = Broker::start();
    let mut listener = Client::v5(broker.addr(), "listener");
    for filter in ["#", "+/#", "$CONTROL/#", "$CONTROL/queue/v1", "$CONTROL/queue/v1/response", "answers/#"] {
        listener.subscribe(filter, 1);
    }
    let mut client = Client::v5(broker.addr(), "c");
    client.subscribe("$CONTROL/queue/v1/response", 1);
    let body = json!({"commands": [{"command": "stats"}]}).to_string();
    client.publish_retained(TOPIC, &body, 1);
    assert_eq!(responses(&mut client).len(), 1);
    client.publish_with(TOPIC, &body, 0, &[prop::response_topic("answers/c")]);
    assert_eq!(client.recv().topic, "answers/c");
    client.expect_no_publish(SILENCE / 4);
    listener.expect_no_publish_before_ping();
    let mut late = Client::v5(broker.addr(), "late");
    late.subscribe("$CONTROL/#", 1);
    late.expect_no_publish_before_ping();
    // Nor is there a way around it.
    assert_eq!(client.publish("$delayed/0/$CONTROL/queue/v1", &body, 1), 0x90);
    assert_eq!(client.publish("$CONTROL/dynamic-security/v1", &body, 1), 0x90);
    client.expect_no_publish(SILENCE / 4);
}

#[test]
fn an_answer_that_a_client_does_not_take_is_told_in_short() {
    let broker = Broker::start();
    let small = prop::maximum_packet_size(400);
    let mut client = Client::v5_with(broker.addr(), "c", |c| c.props(&[small]));
    let all = ask(&mut client, &json!([{"command": "createQueue", "name": "jobs"}]));
    let why = all[0]["error"].as_str().expect("an error");
    assert!(why.contains("maximum packet size of 400") && why.contains("carried out"), "{why}");
    assert_eq!(ask(&mut client, &json!([{"command": "purgeQueue", "name": "jobs"}]))[0]["data"]["messages"], 0);
    client.disconnect();
}

#[test]
fn lists_come_page_by_page() {
    let broker = Broker::start();
    let mut client = Client::v5(broker.addr(), "c");
    let make = |number: u32| json!({"command": "createQueue", "name": format!("q/{number:02}")});
    ask(&mut client, &Value::Array((0..25).map(make).collect()));
    let (mut after, mut names) = (Value::Null, Vec::new());
    loop {
        let all = ask(&mut client, &json!([{"command": "listQueues", "after": after, "limit": 10}]));
        let page = &all[0]["data"];
        names.extend(page["queues"].as_array().expect("queues").iter().map(|queue| queue["name"].clone()));
        after = page["next"].clone();
        if after.is_null() {
            break;
        }
    }
    assert_eq!(names, (0..25).map(|number| json!(format!("q/{number:02}"))).collect::<Vec<_>>());
}

/// A peer that is not on this machine's loopback may not command; where this machine has no other address, the unit
/// test of the decider has to do.
#[test]
fn commands_of_others_are_refused() {
    let outward = || -> Option<SocketAddr> {
        let socket = UdpSocket::bind("0.0.0.0:0").ok()?;
        socket.connect("192.0.2.1:9").ok()?; // nothing is sent
        socket.local_addr().ok().filter(|own| !own.ip().is_loopback() && !own.ip().is_unspecified())
    };
    let Some(own) = outward() else { return };
    let (ip, broker) = (own.ip().to_string(), Broker::with_args(&["--bind", &own.ip().to_string()]));
    let port = broker.port().to_string();
    let refused = run(&["ls", "-h", &ip, "-p", &port], b"");
    refused.failed(1, &["from its own machine alone", "127.0.0.1", "not authorized"]);
    // Messages are nobody's secret here.
    assert_eq!(run(&["put", "q", "-m", "x", "-h", &ip, "-p", &port], b"").code, Some(0));
    assert_eq!(run(&["get", "q", "-h", &ip, "-p", &port], b"").text(), "x\n");
    assert_eq!(run(&["ls", "-p", &port], b"").code, Some(0));
}
