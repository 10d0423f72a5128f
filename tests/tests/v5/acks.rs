//! PUBACK, PUBREC, PUBREL and PUBCOMP (3.4 to 3.7): their codes, their short forms and their flags.

use primer_harness::wire::{Ack, ack_with, frame, prop, puback, publish, pubrec, pubrel};
use primer_harness::{Client, Version};

use crate::fixture::{MALFORMED, PROTOCOL_ERROR, assert_closed_with, assert_taken, broker, durable, manual, unique};

/// A publish that no subscription matches is answered 0x10, and one that is kept for a session 0x00, online or not
/// [MQTT-3.4.2-1] [MQTT-3.5.2-1]; PUBCOMP says 0x00 [MQTT-3.7.2-1].
#[test]
fn acknowledgements_tell_whether_a_subscription_matched() {
    let broker = broker();
    let mut publisher = Client::v5(broker.addr(), "ackcode-pub");
    let codes = |publisher: &mut Client| {
        let code = publisher.publish("ackcode/t", "x", 1);
        publisher.send(&publish(Version::V5, "ackcode/t", b"x").qos(2, 99).build());
        let received = publisher.await_ack(Ack::Pubrec, 99);
        publisher.send(&pubrel(99));
        (code, received, publisher.await_ack(Ack::Pubcomp, 99))
    };
    assert_eq!(codes(&mut publisher), (0x10, 0x10, 0));
    let mut subscriber = durable(broker.addr(), "ackcode-sub");
    subscriber.subscribe("ackcode/t", 2);
    assert_eq!(codes(&mut publisher), (0, 0, 0));
    subscriber.disconnect();
    assert_eq!(codes(&mut publisher), (0, 0, 0));
}

/// [MQTT-3.4.2-1] [MQTT-3.5.2-1] [MQTT-3.6.2-1] [MQTT-3.7.2-1]: 0x10 is the server's alone, 0x92 is not for PUBACK.
#[test]
fn an_acknowledgement_with_a_code_of_another_packet_is_refused() {
    let addr = broker().addr();
    for (kind, code) in [
        (Ack::Puback, 0x92),
        (Ack::Puback, 0x01),
        (Ack::Pubrec, 0x92),
        (Ack::Pubrec, 0x18),
        (Ack::Pubrel, 0x80),
        (Ack::Pubrel, 0x10),
        (Ack::Pubcomp, 0x97),
    ] {
        assert_closed_with(addr, &ack_with(kind, 1, code, Some(&[])), &[MALFORMED, PROTOCOL_ERROR]);
    }
    for (kind, code) in [(Ack::Puback, 0x80), (Ack::Pubrec, 0x99), (Ack::Pubrel, 0x92), (Ack::Pubcomp, 0x92)] {
        assert_taken(addr, &ack_with(kind, 1, code, Some(&[])));
    }
}

/// PUBREL and PUBCOMP for an identifier that is not in use say 0x92 [MQTT-3.6.2-1] [MQTT-3.7.2-1].
#[test]
fn unknown_identifiers_are_answered_with_0x92() {
    let broker = broker();
    let mut client = manual(broker.addr(), "unknownid");
    client.send(&pubrec(77));
    assert_eq!(client.await_ack(Ack::Pubrel, 77), 0x92);
    client.send(&pubrel(78));
    assert_eq!(client.await_ack(Ack::Pubcomp, 78), 0x92);
    client.send(&puback(79)); // nothing answers it
    client.ping();
}

/// [MQTT-3.6.1-1]
#[test]
fn a_pubrel_with_other_flags_is_malformed() {
    for flags in [0x0, 0x1, 0x3, 0x6, 0xa] {
        assert_closed_with(broker().addr(), &frame(0x60 | flags, &[0, 1]), &[MALFORMED]);
    }
    assert_taken(broker().addr(), &frame(0x62, &[0, 1]));
}

/// [MQTT5-3.4.2.1]: each form gives the place in a window of one message back, so the next message comes.
#[test]
fn short_and_long_acknowledgements_of_a_receiver_mean_the_same() {
    let broker = broker();
    let mut subscriber = Client::v5_with(broker.addr(), "ackform-sub", |c| c.props(&[prop::receive_maximum(1)]));
    subscriber.manual_ack();
    subscriber.subscribe("ackform/t", 2);
    let mut publisher = Client::v5(broker.addr(), "ackform-pub");
    let forms = |kind: Ack, pid: u16| {
        [
            frame(kind.first_byte(), &pid.to_be_bytes()),
            ack_with(kind, pid, 0, None),
            ack_with(kind, pid, 0, Some(&[])),
            ack_with(kind, pid, 0, Some(&[prop::reason_string("fine"), prop::user_property("k", "v")])),
        ]
    };
    for qos in [1, 2] {
        for form in 0..4 {
            publisher.publish("ackform/t", [qos, form], qos);
        }
    }
    for form in 0..4_u8 {
        let message = subscriber.recv();
        assert_eq!(message.payload, [1, form]);
        let pid = message.pid.unwrap_or_default();
        subscriber.send(&forms(Ack::Puback, pid)[usize::from(form)]);
    }
    for form in 0..4_u8 {
        let message = subscriber.recv();
        assert_eq!(message.payload, [2, form]);
        let pid = message.pid.unwrap_or_default();
        subscriber.send(&forms(Ack::Pubrec, pid)[usize::from(form)]);
        assert_eq!(subscriber.await_ack(Ack::Pubrel, pid), 0);
        subscriber.send(&forms(Ack::Pubcomp, pid)[usize::from(form)]);
    }
    subscriber.ping();
}

/// [MQTT5-3.4.2.1]
#[test]
fn short_and_long_pubrels_of_a_sender_mean_the_same() {
    let broker = broker();
    let mut publisher = Client::v5(broker.addr(), "relform-pub");
    let forms = [
        pubrel(5),
        ack_with(Ack::Pubrel, 5, 0, None),
        ack_with(Ack::Pubrel, 5, 0, Some(&[])),
        ack_with(Ack::Pubrel, 5, 0, Some(&[prop::user_property("k", "v")])),
    ];
    for form in forms {
        publisher.send(&publish(Version::V5, "relform/t", b"x").qos(2, 5).build());
        publisher.await_ack(Ack::Pubrec, 5);
        publisher.send(&form);
        assert_eq!(publisher.await_ack(Ack::Pubcomp, 5), 0, "{form:02x?}");
    }
    let cut = frame(0x62, &[0]); // no whole identifier
    assert_closed_with(broker.addr(), &cut, &[MALFORMED]);
}

/// A property that an acknowledgement does not have, and a reason string given twice [MQTT-3.4.2-1].
#[test]
fn foreign_and_repeated_properties_in_acknowledgements_are_refused() {
    for kind in [Ack::Puback, Ack::Pubrec, Ack::Pubrel, Ack::Pubcomp] {
        let twice = [prop::reason_string("a"), prop::reason_string("b")];
        assert_closed_with(broker().addr(), &ack_with(kind, 1, 0, Some(&twice)), &[PROTOCOL_ERROR]);
        let foreign = [prop::content_type("a")];
        assert_closed_with(broker().addr(), &ack_with(kind, 1, 0, Some(&foreign)), &[MALFORMED, PROTOCOL_ERROR]);
    }
}

/// A PUBACK to a QoS 2 message is an error of the receiver, as is a PUBREC to a QoS 1 message.
#[test]
fn an_acknowledgement_of_the_other_qos_is_a_protocol_error() {
    let broker = broker();
    for (qos, wrong) in [(1, Ack::Pubrec), (2, Ack::Puback)] {
        let id = unique("wrongack");
        let mut subscriber = manual(broker.addr(), &id);
        subscriber.subscribe(&id, 2);
        Client::v5(broker.addr(), &unique("wrongack-pub")).publish(&id, "x", qos);
        let pid = subscriber.recv().pid.unwrap_or_default();
        subscriber.send_ack(wrong, pid);
        assert_eq!(subscriber.expect_closed(), Some(PROTOCOL_ERROR));
    }
}
