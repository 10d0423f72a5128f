//! Shared subscriptions (4.8.2): their filters, who gets what, and what becomes of messages whose member is gone.

use std::collections::BTreeSet;

use primer_harness::wire::{Ack, ack_with, prop, subscribe};
use primer_harness::{Broker, Client, Publish, SILENCE, Version};

use crate::fixture::{MALFORMED, PROTOCOL_ERROR, assert_closed_with, assert_taken, broker, durable_manual, manual};

/// Two members of a group with QoS 2, neither of which acknowledges by itself.
fn members(broker: &Broker, name: &str) -> (Client, Client) {
    let filter = format!("$share/g/{name}/t");
    let mut first = manual(broker.addr(), &format!("{name}-1"));
    let mut second = manual(broker.addr(), &format!("{name}-2"));
    assert_eq!(first.subscribe(&filter, 2), 2);
    assert_eq!(second.subscribe(&filter, 2), 2);
    (first, second)
}

fn texts(messages: &[Publish]) -> BTreeSet<String> {
    messages.iter().map(Publish::text).collect()
}

/// [MQTT-4.8.2-1] [MQTT-4.8.2-2]
#[test]
fn a_shared_filter_without_a_proper_share_name_and_filter_is_refused() {
    for filter in ["$share/", "$share//t", "$share/g", "$share/g/", "$share/a+/t", "$share/#/t", "$share/+/t"] {
        let bytes = subscribe(Version::V5, 1, &[(filter, 0)]);
        assert_closed_with(broker().addr(), &bytes, &[MALFORMED, PROTOCOL_ERROR, 0x8f]);
    }
    for filter in ["$share/g/t", "$share/g//t", "$share/é/#", "$share/g/+/t", "$shared/t"] {
        assert_taken(broker().addr(), &subscribe(Version::V5, 1, &[(filter, 0)]));
    }
}

/// Each message goes to one member of each group, and to direct subscribers besides [MQTT-4.8.2-1].
#[test]
fn each_group_gets_each_message_once_and_direct_subscribers_get_it_too() {
    let broker = broker();
    let mut clients: Vec<_> =
        [("a", "$share/a/once/t"), ("a2", "$share/a/once/t"), ("b", "$share/b/once/#"), ("d", "once/t")]
            .map(|(id, filter)| {
                let mut client = Client::v5(broker.addr(), &format!("once-{id}"));
                client.subscribe(filter, 1);
                client
            })
            .into();
    let mut publisher = Client::v5(broker.addr(), "once-pub");
    for n in 0..10 {
        assert_eq!(publisher.publish("once/t", n.to_string(), 1), 0);
    }
    let all: BTreeSet<_> = (0..10).map(|n| n.to_string()).collect();
    let mut of_a = clients[0].recv_publishes(5);
    of_a.extend(clients[1].recv_publishes(5));
    assert_eq!(texts(&of_a), all);
    assert_eq!(texts(&clients[2].recv_publishes(10)), all);
    assert_eq!(texts(&clients[3].recv_publishes(10)), all);
    clients.iter_mut().for_each(Client::expect_no_publish_before_ping);
}

/// [MQTT-4.8.2-3]
#[test]
fn a_shared_delivery_has_the_qos_granted_to_its_member() {
    let broker = broker();
    let mut members: Vec<_> = (0..3)
        .map(|qos| {
            let mut client = Client::v5(broker.addr(), &format!("shareqos-{qos}"));
            assert_eq!(client.subscribe("$share/g/shareqos", qos), qos);
            client
        })
        .collect();
    let mut publisher = Client::v5(broker.addr(), "shareqos-pub");
    for _ in 0..3 {
        publisher.publish("shareqos", "x", 2);
    }
    for (qos, member) in (0..3).zip(&mut members) {
        assert_eq!(member.recv().qos, qos);
        publisher.publish("shareqos", "x", 1);
    }
    for (qos, member) in (0..3).zip(&mut members) {
        assert_eq!(member.recv().qos, qos.min(1));
    }
}

/// Round robin: members that all keep up get equal parts.
#[test]
fn members_take_turns() {
    let broker = broker();
    let mut members: Vec<_> = (0..3).map(|n| Client::v5(broker.addr(), &format!("turns-{n}"))).collect();
    for member in &mut members {
        member.subscribe("$share/g/turns", 0);
    }
    let mut publisher = Client::v5(broker.addr(), "turns-pub");
    for n in 0..30 {
        publisher.publish("turns", n.to_string(), 0);
    }
    publisher.ping();
    let mut all = BTreeSet::new();
    for member in &mut members {
        all.extend(texts(&member.recv_publishes(10)));
        member.expect_no_publish_before_ping();
    }
    assert_eq!(all.len(), 30);
}

/// Sticky: all messages of one publisher go to one member, in their order; publishers are spread.
#[test]
fn sticky_groups_keep_a_publisher_with_one_member() {
    let broker = Broker::with_args(&["--share", "sticky"]);
    let mut members: Vec<_> = (0..2).map(|n| Client::v5(broker.addr(), &format!("member-{n}"))).collect();
    for member in &mut members {
        member.subscribe("$share/g/sticky/+", 1);
    }
    let publishers = 16;
    for publisher in 0..publishers {
        let mut client = Client::v5(broker.addr(), &format!("publisher-{publisher}"));
        for n in 0..3 {
            assert_eq!(client.publish(&format!("sticky/{publisher}"), n.to_string(), 1), 0);
        }
    }
    let mut used = 0;
    let mut seen = BTreeSet::new();
    for member in &mut members {
        member.ping();
        let mut got = Vec::new();
        while let Some(message) = member.recv_publish(SILENCE / 4) {
            got.push(message);
        }
        used += usize::from(!got.is_empty());
        for of_one in got.chunk_by(|a, b| a.topic == b.topic) {
            assert_eq!(of_one.iter().map(Publish::text).collect::<Vec<_>>(), ["0", "1", "2"], "{}", of_one[0].topic);
            assert!(seen.insert(of_one[0].topic.clone()), "{} went to both members", of_one[0].topic);
        }
    }
    assert_eq!((seen.len(), used), (publishers, 2), "sixteen publishers are spread over both members");
}

/// A member that is gone for good leaves its QoS 1 messages to the others, but for those that it acknowledged.
#[test]
fn qos_1_messages_of_a_dead_member_go_on_to_another() {
    let broker = broker();
    let (mut first, mut second) = members(&broker, "dead1");
    let mut publisher = Client::v5(broker.addr(), "dead1-pub");
    for n in 0..6 {
        assert_eq!(publisher.publish("dead1/t", n.to_string(), 1), 0);
    }
    let mut got = second.recv_publishes(3);
    second.expect_no_publish_before_ping();
    let done = first.recv();
    first.ack(&done);
    first.ping();
    first.abort(); // its session ends with its connection
    got.extend(second.recv_publishes(2));
    second.expect_no_publish(SILENCE / 2);
    let mut texts = texts(&got);
    assert!(texts.insert(done.text()), "what was acknowledged goes to nobody else");
    assert_eq!(texts.len(), 6);
    assert!(got.iter().all(|message| !message.dup), "each is the first delivery to this member");
}

/// The same when the session ends later than the connection, and for messages that were never sent.
#[test]
fn qos_1_messages_of_an_expired_session_go_on_to_another() {
    let broker = broker();
    let mut gone = Client::v5_with(broker.addr(), "dead2-1", |c| c.clean(false).session_expiry(1));
    gone.subscribe("$share/g/dead2", 1);
    gone.disconnect();
    let mut publisher = Client::v5(broker.addr(), "dead2-pub");
    for n in 0..3 {
        assert_eq!(publisher.publish("dead2", n.to_string(), 1), 0, "the session keeps it");
    }
    let mut other = Client::v5(broker.addr(), "dead2-2");
    other.subscribe("$share/g/dead2", 1);
    assert_eq!(texts(&other.recv_publishes(3)).len(), 3);
}

/// [MQTT-4.8.2-5]
#[test]
fn qos_2_messages_of_a_dead_member_go_to_nobody_else() {
    let broker = broker();
    let (mut first, mut second) = members(&broker, "dead3");
    let mut publisher = Client::v5(broker.addr(), "dead3-pub");
    for n in 0..4 {
        assert_eq!(publisher.publish("dead3/t", n.to_string(), 2), 0);
    }
    let seen = texts(&first.recv_publishes(2));
    let got = texts(&second.recv_publishes(2));
    assert!(seen.is_disjoint(&got));
    first.abort();
    second.expect_no_publish(SILENCE);
    publisher.publish("dead3/t", "next", 2);
    assert_eq!(second.recv().text(), "next", "the group goes on without it");
}

/// [MQTT-4.8.2-4]
#[test]
fn a_qos_2_delivery_cut_short_is_finished_with_the_same_member() {
    let broker = broker();
    let mut first = durable_manual(broker.addr(), "cut-1");
    first.subscribe("$share/g/cut", 2);
    let mut publisher = Client::v5(broker.addr(), "cut-pub");
    publisher.publish("cut", "sent", 2);
    publisher.publish("cut", "received", 2);
    let (sent, received) = (first.recv(), first.recv());
    let received_pid = received.pid.unwrap_or_default();
    first.send_ack(Ack::Pubrec, received_pid);
    assert_eq!(first.await_ack(Ack::Pubrel, received_pid), 0);
    let mut second = manual(broker.addr(), "cut-2");
    second.subscribe("$share/g/cut", 2);
    first.abort();
    second.expect_no_publish(SILENCE);
    let mut first = durable_manual(broker.addr(), "cut-1");
    assert_eq!(first.await_ack(Ack::Pubrel, received_pid), 0);
    let again = first.recv();
    assert_eq!((again.pid, again.dup, again.text().as_str()), (sent.pid, true, "sent"));
    first.ack(&again);
    first.send_ack(Ack::Pubcomp, received_pid);
    first.expect_no_publish_before_ping();
    second.expect_no_publish_before_ping();
}

/// [MQTT-4.8.2-6]
#[test]
fn a_shared_delivery_that_its_member_refuses_goes_to_nobody_else() {
    let broker = broker();
    let (mut first, mut second) = members(&broker, "refuse");
    let mut publisher = Client::v5(broker.addr(), "refuse-pub");
    for (qos, kind) in [(1, Ack::Puback), (2, Ack::Pubrec)] {
        publisher.publish("refuse/t", "a", qos);
        publisher.publish("refuse/t", "b", qos);
        for member in [&mut first, &mut second] {
            let pid = member.recv().pid.unwrap_or_default();
            member.send(&ack_with(kind, pid, 0x83, Some(&[])));
        }
    }
    first.abort(); // with its session
    second.expect_no_publish(SILENCE);
}

/// [MQTT5-4.8.2]
#[test]
fn a_shared_subscription_gets_no_retained_messages() {
    let broker = broker();
    Client::v5(broker.addr(), "shareret-pub").publish_retained("shareret", "kept", 1);
    let mut member = Client::v5(broker.addr(), "shareret-1");
    member.subscribe("$share/g/shareret", 1);
    member.expect_no_publish(SILENCE / 2);
    member.subscribe("shareret", 1);
    assert_eq!(member.recv().text(), "kept");
}

/// A member that has left its group gets nothing more, and the others get all.
#[test]
fn a_member_that_unsubscribes_is_passed_over() {
    let broker = broker();
    let (mut first, mut second) = members(&broker, "leave");
    assert_eq!(first.unsubscribe("$share/g/leave/t"), 0);
    let mut publisher = Client::v5(broker.addr(), "leave-pub");
    for _ in 0..4 {
        publisher.publish("leave/t", "x", 1);
    }
    second.recv_publishes(4);
    first.expect_no_publish_before_ping();
}

/// A member whose window is full, and one that is not connected, are passed over while another can take the message.
#[test]
fn a_member_that_can_take_a_message_comes_first() {
    let broker = broker();
    let mut full = Client::v5_with(broker.addr(), "credit-full", |c| c.props(&[prop::receive_maximum(1)]));
    full.manual_ack();
    full.subscribe("$share/g/credit", 1);
    let mut away = durable_manual(broker.addr(), "credit-away");
    away.subscribe("$share/g/credit", 1);
    away.disconnect();
    let mut free = Client::v5(broker.addr(), "credit-free");
    free.subscribe("$share/g/credit", 1);
    let mut publisher = Client::v5(broker.addr(), "credit-pub");
    for n in 0..12 {
        publisher.publish("credit", n.to_string(), 1);
    }
    full.recv();
    free.recv_publishes(11);
    let mut away = durable_manual(broker.addr(), "credit-away");
    away.expect_no_publish_before_ping();
}

/// A shared delivery has the identifier of its subscription [MQTT-3.3.4-3].
#[test]
fn a_shared_delivery_has_its_subscription_identifier() {
    let broker = broker();
    let mut member = Client::v5(broker.addr(), "shareid");
    member.subscribe_with(&[("$share/g/shareid", 1)], &[prop::subscription_identifier(300)]);
    let mut publisher = Client::v5(broker.addr(), "shareid-pub");
    for qos in 0..2 {
        publisher.publish("shareid", "x", qos);
        assert_eq!(member.recv().props, [prop::subscription_identifier(300)]);
    }
}

/// A shared subscription of a session without a connection keeps messages when nobody else is there.
#[test]
fn a_group_without_a_connected_member_keeps_its_messages() {
    let broker = broker();
    let mut only = durable_manual(broker.addr(), "sharekeep");
    only.subscribe("$share/g/sharekeep", 2);
    only.disconnect();
    let mut publisher = Client::v5(broker.addr(), "sharekeep-pub");
    for (text, qos) in [("1", 1), ("2", 2), ("0", 0)] {
        publisher.publish("sharekeep", text, qos);
    }
    publisher.ping();
    let mut only = durable_manual(broker.addr(), "sharekeep");
    let got: Vec<_> = only.recv_publishes(2).iter().map(Publish::text).collect();
    assert_eq!(got, ["1", "2"]);
    only.expect_no_publish_before_ping();
}

/// A sticky group goes on with another member when the chosen one is gone.
#[test]
fn a_sticky_group_goes_on_when_its_member_is_gone() {
    let broker = Broker::with_args(&["--share", "sticky"]);
    let mut members: Vec<_> = (0..3).map(|n| Client::v5(broker.addr(), &format!("member-{n}"))).collect();
    for member in &mut members {
        member.subscribe("$share/g/sticky", 1);
    }
    let mut publisher = Client::v5(broker.addr(), "publisher");
    while !members.is_empty() {
        assert_eq!(publisher.publish("sticky", "x", 1), 0);
        let mut chosen = None;
        for (index, member) in members.iter_mut().enumerate() {
            member.ping();
            if member.recv_publish(SILENCE / 10).is_some() {
                assert_eq!(chosen.replace(index), None, "one member alone gets it");
            }
        }
        members.remove(chosen.expect("a member that got it")).disconnect();
    }
    assert_eq!(publisher.publish("sticky", "x", 1), 0x10);
}
