//! Information that a client asks for (3.1.2.11.6, 3.1.2.11.7): for responses, and about problems.

use primer_harness::wire::{Ack, connect, prop, publish, subscribe};
use primer_harness::{Broker, Client, Packet, Prop};

use crate::fixture::{V, broker, opened_with};

/// A client that asked for no response information gets none [MQTT-3.1.2-28], with 0 or without the property; one that
/// asked gets what the operator has set.
#[test]
fn response_information_goes_to_those_who_ask() {
    let broker = Broker::with_args(&["--response-information", "answers/here"]);
    for (asked, told) in [(None, None), (Some(0), None), (Some(1), Some("answers/here"))] {
        let props: Vec<Prop> = asked.map(prop::request_response_information).into_iter().collect();
        let (_, _, props) = opened_with(broker.addr(), &connect(V, "response").props(&props));
        assert_eq!(prop::text(&props, prop::RESPONSE_INFORMATION), told, "asked {asked:?}");
    }
}

/// What is said of problems to a client, by packet.
#[track_caller]
fn problems_told(wanted: Option<u8>) -> Vec<(&'static str, bool)> {
    let broker = broker();
    let asked: Vec<Prop> = wanted.map(prop::request_problem_information).into_iter().collect();
    let packet = connect(V, "").props(&asked);
    let mut told = Vec::new();
    let tells = |props: &[Prop]| {
        prop::find(props, prop::REASON_STRING).is_some() || prop::find(props, prop::USER_PROPERTY).is_some()
    };
    let (mut raw, ..) = opened_with(broker.addr(), &packet);
    for (name, request) in [
        ("PUBACK", publish(V, "$SYS/problem", b"").qos(1, 1).build()),
        ("PUBREC", publish(V, "$SYS/problem", b"").qos(2, 2).build()),
        ("SUBACK", subscribe(V, 3, &[("$share/problem/", 0)])),
        ("PUBREL", vec![Ack::Pubrec.first_byte(), 2, 0, 99]),
        ("PUBCOMP", vec![Ack::Pubrel.first_byte(), 2, 0, 98]),
    ] {
        raw.send(&request);
        match raw.recv(true) {
            Packet::Disconnect { props, .. } => {
                told.push(("DISCONNECT", tells(&props)));
                (raw, ..) = opened_with(broker.addr(), &packet);
            }
            answer => told.push((name, tells(answer.props()))),
        }
    }
    told
}

/// A client that asked for no problem information gets reason strings and user properties on CONNACK, DISCONNECT and
/// PUBLISH only [MQTT-3.1.2-29]. One that did not say so may get them, and gets some.
#[test]
fn problem_information_is_left_out_where_it_is_not_wanted() {
    for (packet, is_told) in problems_told(Some(0)) {
        assert!(!is_told || packet == "DISCONNECT", "{packet} tells of a problem");
    }
    for wanted in [None, Some(1)] {
        let told = problems_told(wanted);
        assert!(told.iter().any(|(packet, is_told)| *is_told && *packet != "DISCONNECT"), "{told:?}");
    }
}

/// User properties of a message are no problem information: they go to a client that wants none [MQTT-3.1.2-29].
#[test]
fn user_properties_of_messages_go_to_all() {
    let broker = broker();
    let wanted = [prop::request_problem_information(0)];
    let mut client = Client::v5_with(broker.addr(), "problem-user", |c| c.props(&wanted));
    client.subscribe("problem-user", 1);
    client.publish_with("problem-user", "x", 1, &[prop::user_property("k", "v")]);
    assert_eq!(prop::user_properties(&client.recv().props), [("k", "v")]);
}
