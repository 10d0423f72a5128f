//! The will (3.1.2.5 to 3.1.2.7, 3.1.3.2): when it is published, when it is not, and as what.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use primer_harness::wire::{Will, prop};
use primer_harness::{Client, SILENCE};

use crate::fixture::{broker, unique};

/// A client that watches the topics below `name`.
fn watcher(addr: SocketAddr, name: &str) -> Client {
    let mut watcher = Client::v5(addr, &format!("{name}-watch"));
    watcher.subscribe(&format!("{name}/#"), 2);
    watcher
}

/// A client whose session lives for so many seconds after its connection, with a will of that delay.
fn mortal(addr: SocketAddr, id: &str, clean: bool, expiry: u32, will: Will, delay: u32) -> Client {
    let will = will.props(&[prop::will_delay_interval(delay)]);
    Client::v5_with(addr, id, |c| c.clean(clean).session_expiry(expiry).will(will))
}

/// The will is published after the connection has ended in any other way than with DISCONNECT 0x00 [MQTT-3.1.2-8], and
/// after that one it is forgotten [MQTT-3.1.2-10]. Topic and payload are those of CONNECT [MQTT-3.1.2-9].
#[test]
fn the_will_is_published_unless_the_client_says_farewell() {
    let broker = broker();
    let mut watcher = watcher(broker.addr(), "end");
    type End = fn(Client);
    let ends: [(&str, End, bool); 5] = [
        ("closed", Client::abort, true),
        ("reset", Client::abort_rst, true),
        ("disconnect 0x04", |client| client.disconnect_with(0x04, &[]), true),
        ("disconnect 0x00", |client| client.disconnect_with(0x00, &[]), false),
        ("short disconnect", Client::disconnect, false),
    ];
    for (how, end, is_published) in ends {
        let will = Will::new("end/will", how.as_bytes());
        end(Client::v5_with(broker.addr(), &unique("end"), |c| c.will(will)));
        if is_published {
            let message = watcher.recv();
            assert_eq!((message.topic.as_str(), message.text().as_str()), ("end/will", how));
        } else {
            watcher.expect_no_publish(SILENCE);
        }
    }
}

/// The will is stored with the session [MQTT-3.1.2-7] and published when its delay is over, not sooner
/// [MQTT-3.1.2-8]; once, for then it is forgotten [MQTT-3.1.2-10].
#[test]
fn a_delayed_will_waits_for_its_delay() {
    let broker = broker();
    let mut watcher = watcher(broker.addr(), "delay");
    let client = mortal(broker.addr(), "delay", true, 60, Will::new("delay/will", b"x"), 1);
    let start = Instant::now();
    client.abort();
    assert_eq!(watcher.recv().text(), "x");
    let waited = start.elapsed();
    assert!(waited >= Duration::from_millis(950), "the will came after {waited:?}");
    let client = Client::v5_with(broker.addr(), "delay", |c| c.clean(false).session_expiry(60));
    assert!(client.session_present());
    client.abort();
    watcher.expect_no_publish(SILENCE);
}

/// The end of the session does not wait for the delay [MQTT-3.1.2-8]: neither one that comes with the connection's
/// end, nor a later one, nor that of a clean start.
#[test]
fn a_delayed_will_is_published_when_the_session_ends() {
    let broker = broker();
    let mut watcher = watcher(broker.addr(), "session-end");
    mortal(broker.addr(), "session-end", true, 0, Will::new("session-end/will", b"at once"), 60).abort();
    assert_eq!(watcher.recv().text(), "at once");
    let start = Instant::now();
    mortal(broker.addr(), "session-end", true, 1, Will::new("session-end/will", b"expired"), 60).abort();
    assert_eq!(watcher.recv().text(), "expired");
    assert!(start.elapsed() >= Duration::from_millis(950), "the session ended after {:?}", start.elapsed());
    mortal(broker.addr(), "session-end", true, 60, Will::new("session-end/will", b"cleaned"), 60).abort();
    watcher.expect_no_publish(SILENCE / 2);
    Client::v5(broker.addr(), "session-end").disconnect();
    assert_eq!(watcher.recv().text(), "cleaned");
}

/// A client that is back in its session before the delay is over spares the will [MQTT-3.1.3-9] [MQTT-3.1.2-8].
#[test]
fn a_return_before_the_delay_is_over_spares_the_will() {
    let broker = broker();
    let mut watcher = watcher(broker.addr(), "back");
    mortal(broker.addr(), "back", true, 60, Will::new("back/will", b"x"), 2).abort();
    let mut back = Client::v5_with(broker.addr(), "back", |c| c.clean(false).session_expiry(60));
    assert!(back.session_present());
    watcher.expect_no_publish(Duration::from_millis(2500));
    back.ping();
}

/// To be taken over ends the first connection, and its will is handled as after any other end [MQTT5-3.1.4]: published
/// at once without a delay, spared by a return to the session within it, and published at once when the one who takes
/// over ends the session with a clean start.
#[test]
fn the_will_of_a_client_that_is_taken_over_is_handled_as_any_other() {
    let broker = broker();
    let mut watcher = watcher(broker.addr(), "over");
    for (delay, clean, is_published) in [(0, false, true), (0, true, true), (60, false, false), (60, true, true)] {
        let id = unique("over");
        let mut first = mortal(broker.addr(), &id, true, 60, Will::new("over/will", id.as_bytes()), delay);
        let mut second = Client::v5_with(broker.addr(), &id, |c| c.clean(clean).session_expiry(60));
        assert_eq!(first.expect_closed(), Some(0x8e));
        assert_eq!(second.session_present(), !clean);
        if is_published {
            assert_eq!(watcher.recv().text(), id, "delay {delay}, clean start {clean}");
        } else {
            watcher.expect_no_publish(SILENCE * 2);
        }
        second.ping();
    }
}

/// A will without will retain is an ordinary message [MQTT-3.1.2-14]; one with it is retained [MQTT-3.1.2-15]; both
/// with their QoS [MQTT-3.1.2-12].
#[test]
fn the_will_is_retained_only_with_will_retain() {
    let broker = broker();
    let mut watcher = watcher(broker.addr(), "keep");
    for qos in 0..=2 {
        for retain in [false, true] {
            let topic = format!("keep/{qos}/{retain}");
            let will = Will { retain, ..Will::new(&topic, b"x").qos(qos) };
            Client::v5_with(broker.addr(), &unique("keep"), |c| c.will(will)).abort();
            let live = watcher.recv();
            assert_eq!((live.topic.as_str(), live.qos, live.retain), (topic.as_str(), qos, false));
            let mut late = Client::v5(broker.addr(), &unique("keep-late"));
            late.subscribe(&topic, 2);
            let kept = late.recv_publish(SILENCE).map(|message| (message.text(), message.qos, message.retain));
            assert_eq!(kept, retain.then(|| ("x".to_owned(), qos, true)));
        }
    }
}

/// The user properties of the will go out in their order [MQTT-3.1.3-10], and its other properties with them, but for
/// the delay, which is no property of a PUBLISH.
#[test]
fn properties_of_the_will_go_out_in_their_order() {
    let broker = broker();
    let mut watcher = watcher(broker.addr(), "props");
    let pairs = [("b", "1"), ("a", "2"), ("b", "3"), ("", ""), ("a", "2")];
    let props: Vec<_> = pairs.iter().map(|(key, value)| prop::user_property(key, value)).collect();
    let will = Will::new("props/will", b"x")
        .props(&[prop::content_type("text"), prop::will_delay_interval(0)])
        .props(&props)
        .props(&[prop::correlation_data(b"\x00"), prop::response_topic("props/answer")])
        .props(&[prop::payload_format_indicator(1), prop::message_expiry_interval(1000)]);
    Client::v5_with(broker.addr(), "props", |c| c.will(will)).abort();
    let message = watcher.recv();
    assert_eq!(prop::user_properties(&message.props), pairs);
    assert_eq!(prop::text(&message.props, prop::CONTENT_TYPE), Some("text"));
    assert_eq!(prop::text(&message.props, prop::RESPONSE_TOPIC), Some("props/answer"));
    assert!(prop::find(&message.props, prop::CORRELATION_DATA).is_some());
    assert_eq!(prop::number(&message.props, prop::PAYLOAD_FORMAT_INDICATOR), Some(1));
    assert!(prop::number(&message.props, prop::MESSAGE_EXPIRY_INTERVAL).is_some_and(|seconds| seconds <= 1000));
    assert_eq!(prop::number(&message.props, prop::WILL_DELAY_INTERVAL), None);
}
