//! The harness against a broker that is not Primer: what fails here is the harness's fault.

#![expect(clippy::unwrap_used, reason = "tests fail by panicking")]

use std::time::Duration;

use primer_harness::mqttbytes_client::{Load, LoadClient};
use primer_harness::wire::{self, Ack, Will, prop};
use primer_harness::{Broker, Client, Launch, Raw, SILENCE, Version};

/// A broker, or `None` where there is none to test with.
fn mosquitto() -> Option<Broker> {
    Some(Launch::mosquitto()?.start())
}

#[test]
fn raw_bytes_are_sent_and_compared() {
    let Some(broker) = mosquitto() else { return };
    let mut raw = Raw::connect(broker.addr());
    raw.send_bytewise(&wire::connect(Version::V311, "raw").build());
    raw.expect(&[0x20, 2, 0, 0]);
    raw.expect_alive();
    raw.expect_silence(SILENCE);
    raw.send(&wire::disconnect());
    raw.expect_closed();

    let mut raw = Raw::connect(broker.addr());
    raw.send(&wire::connect(Version::V5, "raw").build());
    assert_eq!(raw.recv(true).reason(), Some(0));
    raw.send(&wire::publish(Version::V5, "", b"").build());
    assert_eq!(raw.expect_refused(true), Some(0x82));
}

#[test]
fn messages_of_each_qos_go_round_in_both_versions() {
    let Some(broker) = mosquitto() else { return };
    for version in Version::BOTH {
        let mut client = Client::connect_with(broker.addr(), version, "round", |c| c);
        assert_eq!(client.subscribe("a/+", 2), 2);
        for qos in 0..=2 {
            assert_eq!(client.publish("a/b", [qos; 3], qos), 0);
            let message = client.recv();
            assert_eq!((message.topic.as_str(), message.qos, message.payload), ("a/b", qos, vec![qos; 3]));
        }
        assert_eq!(client.unsubscribe("a/+"), 0);
        client.publish("a/b", "x", 1);
        client.expect_no_publish_before_ping();
        client.expect_no_publish(SILENCE);
        client.disconnect();
    }
}

#[test]
fn a_session_and_its_properties_come_back() {
    let Some(broker) = mosquitto() else { return };
    let open = |clean| Client::v5_with(broker.addr(), "stay", |c| c.clean(clean).session_expiry(60));
    let mut client = open(true);
    assert!(!client.session_present());
    client.manual_ack();
    client.subscribe_with(&[("t", 1)], &[prop::subscription_identifier(300)]);
    let mut sender = Client::v5(broker.addr(), "sender");
    sender.publish_with("t", "first", 1, &[prop::user_property("k", "v"), prop::content_type("text")]);
    let message = client.recv();
    assert_eq!(prop::user_properties(&message.props), [("k", "v")]);
    assert_eq!(prop::number(&message.props, prop::SUBSCRIPTION_IDENTIFIER), Some(300));
    client.abort_rst();

    let mut client = open(false);
    assert!(client.session_present());
    let again = client.recv();
    assert!(again.dup && again.text() == "first");
    client.ping();
    client.disconnect_with(0, &[prop::session_expiry_interval(0)]);
    assert!(!open(false).session_present());
}

#[test]
fn a_will_is_sent_when_a_client_is_lost() {
    let Some(broker) = mosquitto() else { return };
    let mut watcher = Client::v311(broker.addr(), "watcher");
    watcher.subscribe("gone", 2);
    let will = Will::new("gone", b"x").qos(2);
    let client = Client::v311_with(broker.addr(), "w", |c| c.will(will.clone()).user("u").password(b"p"));
    client.disconnect();
    watcher.expect_no_publish(SILENCE);
    Client::v311_with(broker.addr(), "w", |c| c.will(will)).abort();
    watcher.manual_ack();
    let message = watcher.recv();
    assert_eq!((message.topic.as_str(), message.qos), ("gone", 2));
    watcher.send_ack(Ack::Pubrec, message.pid.unwrap());
    watcher.await_ack(Ack::Pubrel, message.pid.unwrap());
    watcher.send_ack(Ack::Pubcomp, message.pid.unwrap());
}

#[test]
fn a_takeover_and_a_refusal_are_told() {
    let Some(broker) = mosquitto() else { return };
    let mut first = Client::v5(broker.addr(), "same");
    let _second = Client::v5(broker.addr(), "same");
    // mosquitto 2.0.11 closes without a DISCONNECT here.
    assert!(matches!(first.expect_closed(), None | Some(0x8e)));
    let refused = Client::try_open(broker.addr(), &wire::connect(Version::V311, "").clean(false)).unwrap_err();
    assert_eq!(refused.code, Some(2));
}

#[test]
fn a_load_arrives_whole() {
    let Some(broker) = mosquitto() else { return };
    for (version, qos) in [(Version::V311, 0), (Version::V311, 1), (Version::V5, 1), (Version::V5, 2)] {
        let mut receiver = LoadClient::connect(broker.addr(), version, "receiver", true);
        receiver.subscribe("load", qos);
        let mut sender = LoadClient::connect(broker.addr(), version, "sender", true);
        sender.publish_many(&Load { qos, count: 500, window: 20, publisher: 3, ..Load::to("load") });
        let tally = receiver.receive_many(500, Duration::from_secs(5));
        tally.assert_exact(3, 0..500);
        sender.disconnect();
        receiver.disconnect();
    }
}

#[test]
fn a_process_is_ended_restarted_and_read() {
    let Some(mut broker) = mosquitto() else { return };
    let pid = broker.pid();
    let _ = broker.wait_for_line("starting");
    broker.restart();
    assert_ne!(broker.pid(), pid);
    Client::v311(broker.addr(), "after").disconnect();
    broker.terminate();
    assert!(broker.wait(Duration::from_secs(5)).unwrap().success());
    let refused = Launch::mosquitto().unwrap().args(&["--no-such-option"]).try_start().unwrap_err();
    assert!(refused.contains("no-such-option"), "{refused}");
}
