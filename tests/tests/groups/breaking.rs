//! Consumers and commands that come at a bad moment, and loads that are odd.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use primer_harness::wire::{Ack, ack_with, prop};
use primer_harness::{Broker, Client, Publish, SILENCE, TIMEOUT, Version};
use serde_json::{Value, json};

const JOBS: &str = "$queue/jobs";
/// QUOTA_EXCEEDED
const FULL: u8 = 0x97;

/// Gives a command, and answers what came of it.
#[track_caller]
fn command(broker: &Broker, command: &Value) -> Value {
    let mut client = Client::v5(broker.addr(), "operator");
    client.publish("$CONTROL/queue/v1", json!({ "commands": [command] }).to_string(), 1);
    let answer: Value = serde_json::from_slice(&client.recv().payload).expect("JSON");
    client.disconnect();
    let response = &answer["responses"][0];
    assert!(response["error"].is_null(), "{answer}");
    response["data"].clone()
}

#[track_caller]
fn create(broker: &Broker, definition: &Value) {
    command(broker, &json!({"command": "createQueue", "name": "jobs", "definition": definition}));
}

#[track_caller]
fn info(broker: &Broker) -> Value {
    command(broker, &json!({"command": "getQueue", "name": "jobs"}))
}

fn worker(broker: &Broker, id: &str, filter: &str, qos: u8) -> Client {
    let mut client = Client::v5(broker.addr(), id);
    client.manual_ack();
    assert_eq!(client.subscribe(filter, qos), qos);
    client
}

fn push(broker: &Broker, texts: &[&str]) {
    let mut publisher = Client::v5(broker.addr(), "publisher");
    for text in texts {
        assert_eq!(publisher.publish(JOBS, text, 1), 0);
    }
    publisher.disconnect();
}

/// The queue is empty in a moment: a connection that has ended is noticed on a thread of its own.
#[track_caller]
fn await_empty(broker: &Broker) {
    let end = Instant::now() + TIMEOUT;
    while info(broker)["messages"] != 0 {
        assert!(Instant::now() < end, "{}", info(broker));
        std::thread::sleep(Duration::from_millis(50));
    }
}

fn texts(messages: &[Publish]) -> Vec<String> {
    messages.iter().map(Publish::text).collect()
}

/// A message that one consumer does not take for its size went back to it at once, and again, under its session's lock:
/// without a limit on deliveries, as dead letters are, for ever, and with one into the dead letters before another
/// consumer had seen it.
#[test]
fn a_message_that_is_too_large_for_one_consumer_stalls_nobody() {
    for deliveries_max in [0, 20] {
        let broker = Broker::start();
        create(&broker, &json!({ "deliveries_max": deliveries_max }));
        let mut small = Client::v5_with(broker.addr(), "small", |c| c.props(&[prop::maximum_packet_size(100)]));
        small.subscribe(JOBS, 1);
        push(&broker, &[&"x".repeat(1_000)]);
        small.ping();
        let mut large = worker(&broker, "large", JOBS, 1);
        assert_eq!(large.recv_publish(Duration::from_secs(5)).map(|m| m.payload.len()), Some(1_000));
        small.ping();
        push(&broker, &["y"]);
    }
}

/// A consumer whose queue is deleted is one of the next queue of that name: it has subscribed, and knows nothing of it.
#[test]
fn a_consumer_outlives_its_queue() {
    for version in Version::BOTH {
        let broker = Broker::start();
        push(&broker, &["a"]);
        let mut client = Client::connect_with(broker.addr(), version, "worker", |c| c);
        client.subscribe(JOBS, 1);
        assert_eq!(client.recv().text(), "a");
        for round in 0..3 {
            command(&broker, &json!({"command": "deleteQueue", "name": "jobs"}));
            client.ping();
            push(&broker, &[&round.to_string()]);
            assert_eq!(client.recv().text(), round.to_string());
        }
    }
}

/// What was in flight when the queue went is nobody's: its acknowledgement harms nothing.
#[test]
fn acknowledgements_to_a_deleted_queue_are_let_be() {
    for qos in 1..=2 {
        let broker = Broker::start();
        let mut client = worker(&broker, "worker", JOBS, qos);
        push(&broker, &["a", "b"]);
        let had = client.recv_publishes(2);
        command(&broker, &json!({"command": "deleteQueue", "name": "jobs"}));
        push(&broker, &["c"]);
        had.iter().for_each(|message| client.ack(message));
        let c = client.recv();
        assert_eq!(c.text(), "c");
        client.ack(&c);
        client.ping();
        assert_eq!(info(&broker)["messages"], 0);
    }
}

#[test]
fn a_full_queue_refuses_and_says_so_as_the_version_can() {
    for data in [&[][..], &["--data", "data", "--drain-timeout", "0"]] {
        for qos in 1..=2 {
            let broker = Broker::with_args(data);
            create(&broker, &json!({"messages_max": 2, "bind": ["t/#"]}));
            for topic in [JOBS, "t/1"] {
                push(&broker, &["a", "b"]);
                let mut new = Client::v5(broker.addr(), "new");
                assert_eq!(new.publish(topic, "c", qos), FULL, "{topic} QoS {qos}");
                new.ping();
                new.disconnect();
                let mut old = Client::v311(broker.addr(), "old");
                old.manual_ack();
                let pid = old.next_pid();
                let packet = primer_harness::wire::publish(Version::V311, topic, b"d").qos(qos, pid).build();
                old.send(&packet);
                old.expect_closed();
                let mut taker = Client::v5(broker.addr(), "taker");
                taker.subscribe(JOBS, 1);
                assert_eq!(texts(&taker.recv_publishes(2)), ["a", "b"]);
                taker.ping();
                taker.disconnect();
            }
        }
    }
}

/// The connection that takes over begins with nothing of what the first one had; that has gone back once.
#[test]
fn a_takeover_gives_everything_back_once() {
    for qos in 1..=2 {
        let broker = Broker::start();
        push(&broker, &["a", "b", "c"]);
        for round in 1..=5 {
            let mut client = Client::v5_with(broker.addr(), "same", |c| c.clean(false).session_expiry(100));
            client.manual_ack();
            if round == 1 {
                client.subscribe(JOBS, qos);
            }
            let messages = client.recv_publishes(3);
            assert_eq!(texts(&messages), ["a", "b", "c"]);
            assert_eq!(info(&broker)["groups"][0]["leased"], 3, "{}", info(&broker));
            std::mem::forget(client); // it stays connected until the next one comes
        }
    }
}

#[test]
fn a_session_that_ends_with_messages_out_gives_them_back() {
    let broker = Broker::start();
    let mut first = Client::v5_with(broker.addr(), "first", |c| c.clean(false).session_expiry(1));
    first.manual_ack();
    first.subscribe("$share/g/$queue/jobs", 1);
    push(&broker, &["a"]);
    first.recv();
    first.abort();
    std::thread::sleep(Duration::from_millis(1_500));
    let info = info(&broker);
    assert_eq!((&info["groups"][0]["consumers"], &info["groups"][0]["pending"]), (&json!(0), &json!(1)), "{info}");
    assert_eq!(worker(&broker, "second", "$share/g/$queue/jobs", 1).recv().text(), "a");
}

/// One message at a time to a consumer that takes one at a time, in order, with each QoS.
#[test]
fn one_at_a_time() {
    for qos in 0..=2 {
        let broker = Broker::start();
        let mut client = Client::v5_with(broker.addr(), "one", |c| c.props(&[prop::receive_maximum(1)]));
        client.manual_ack();
        client.subscribe(JOBS, qos);
        let all: Vec<String> = (0..50).map(|n| n.to_string()).collect();
        push(&broker, &all.iter().map(String::as_str).collect::<Vec<_>>());
        for text in &all {
            let message = client.recv();
            assert_eq!(message.text(), *text);
            client.ack(&message);
        }
        client.ping();
        assert_eq!(info(&broker)["messages"], 0);
    }
}

/// Large messages: a consumer that does not read gets what fits, and the others get on.
#[test]
fn large_messages_wait_for_who_reads() {
    let broker = Broker::start();
    let mut stuck = Client::v5(broker.addr(), "stuck");
    stuck.raw().shrink_receive_buffer();
    stuck.manual_ack();
    stuck.subscribe(JOBS, 1);
    let mut fast = worker(&broker, "fast", JOBS, 1);
    let mut publisher = Client::v5(broker.addr(), "publisher");
    for number in 0..60_u8 {
        assert_eq!(publisher.publish(JOBS, vec![number; 1 << 20], 1), 0);
    }
    let mut seen = BTreeSet::new();
    let end = Instant::now() + Duration::from_secs(20);
    let mut is_stuck = true;
    while seen.len() < 60 {
        assert!(Instant::now() < end, "{} came: {}", seen.len(), info(&broker));
        match fast.recv_publish(Duration::from_secs(1)) {
            Some(message) => {
                seen.insert(message.payload[0]);
                fast.ack(&message);
            }
            None if is_stuck => {
                is_stuck = false;
                assert!(seen.len() > 20, "{}: {}", seen.len(), info(&broker));
                std::mem::replace(&mut stuck, Client::v5(broker.addr(), "another")).abort_rst();
            }
            None => {}
        }
    }
    fast.ping();
    assert_eq!(info(&broker)["messages"], 0);
}

#[test]
fn thousands_consume_from_one_queue() {
    const CONSUMERS: usize = 1_500;
    let broker = Broker::start();
    let mut clients: Vec<Client> = (0..CONSUMERS)
        .map(|n| {
            let mut client = Client::v5_with(broker.addr(), &format!("c{n}"), |c| c.props(&[prop::receive_maximum(2)]));
            client.subscribe(JOBS, 1);
            client
        })
        .collect();
    let mut publisher = Client::v5(broker.addr(), "publisher");
    for number in 0..CONSUMERS {
        publisher.publish(JOBS, number.to_string(), 1);
    }
    let seen: BTreeSet<String> = clients.iter_mut().map(|client| client.recv().text()).collect();
    assert_eq!(seen.len(), CONSUMERS, "equals have their turns");
    clients.into_iter().for_each(Client::abort);
    publisher.ping();
    await_empty(&broker);
}

#[test]
fn one_client_consumes_from_thousands_of_queues() {
    const QUEUES: usize = 3_000;
    let broker = Broker::start();
    let mut client = Client::v5(broker.addr(), "many");
    let mut publisher = Client::v5(broker.addr(), "publisher");
    for number in 0..QUEUES {
        publisher.publish(&format!("$queue/many/{number}"), number.to_string(), 1);
    }
    let filters: Vec<String> = (0..QUEUES).map(|number| format!("$queue/many/{number}")).collect();
    for some in filters.chunks(500) {
        let some: Vec<(&str, u8)> = some.iter().map(|filter| (&**filter, 1)).collect();
        assert!(client.subscribe_with(&some, &[]).iter().all(|code| *code == 1));
    }
    let begun = Instant::now();
    assert_eq!(client.recv_publishes(QUEUES).len(), QUEUES);
    println!("{QUEUES} queues emptied in {:?}", begun.elapsed());
    client.ping();
    let begun = Instant::now();
    for number in 0..500 {
        publisher.publish(&format!("$queue/many/{number}"), "again", 1);
        assert_eq!(client.recv().text(), "again");
    }
    println!("500 messages, one at a time, in {:?}", begun.elapsed());
}

/// A lease over MQTT that ends: the message goes to another, and a late acknowledgement harms nobody.
#[test]
fn a_lease_that_ends_goes_to_another_and_the_late_word_is_let_be() {
    for qos in 1..=2 {
        let broker = Broker::start();
        create(&broker, &json!({"lease_ms": 300}));
        let mut slow = worker(&broker, "slow", JOBS, qos);
        push(&broker, &["a"]);
        let late = slow.recv();
        let mut other = worker(&broker, "other", JOBS, qos);
        let again = other.recv();
        assert_eq!(again.text(), "a");
        slow.ack(&late);
        slow.ping();
        assert_eq!(info(&broker)["messages"], 1, "the other one has it");
        other.ack(&again);
        other.ping();
        assert_eq!(info(&broker)["messages"], 0);
        // Both are there for more.
        push(&broker, &["b", "c"]);
        let got = [slow.recv().text(), other.recv().text()];
        assert_eq!(got.iter().map(String::as_str).collect::<BTreeSet<_>>(), BTreeSet::from(["b", "c"]));
    }
}

#[test]
fn what_fails_waits_as_the_definition_says() {
    let broker = Broker::start();
    create(&broker, &json!({"retry_delay_ms": 700}));
    let mut client = worker(&broker, "worker", JOBS, 1);
    push(&broker, &["a"]);
    let message = client.recv();
    let begun = Instant::now();
    client.send(&ack_with(Ack::Puback, message.pid.expect("QoS 1"), 0x83, None));
    client.expect_no_publish(Duration::from_millis(400));
    assert_eq!(client.recv().text(), "a");
    assert!(begun.elapsed() > Duration::from_millis(650));
}

/// The memory is spent: publishers are told, consumers get on, and then there is room again.
#[test]
fn spent_memory_refuses_and_recovers() {
    let broker = Broker::with_args(&["--memory-limit", "8M"]);
    let mut publisher = Client::v5(broker.addr(), "publisher");
    let payload = vec![b'x'; 100_000];
    let mut taken = 0;
    while publisher.publish(JOBS, &payload, 1) == 0 {
        taken += 1;
        assert!(taken < 1_000, "the limit holds");
    }
    let mut client = Client::v5(broker.addr(), "worker");
    publisher.disconnect();
    command(&broker, &json!({"command": "purgeQueue", "name": "jobs"}));
    assert_eq!(client.subscribe(JOBS, 1), 1);
    push(&broker, &["a"]);
    assert_eq!(client.recv().text(), "a");
}

/// A graceful end waits for those who have something of a queue, and gives nobody anything new.
#[test]
fn a_graceful_end_waits_for_acknowledgements() {
    for qos in 1..=2 {
        let mut broker = Broker::with_args(&["--data", "data", "--drain-timeout", "10"]);
        let mut client = Client::v5_with(broker.addr(), "worker", |c| c.props(&[prop::receive_maximum(1)]));
        client.manual_ack();
        client.subscribe(JOBS, qos);
        push(&broker, &["a", "b"]);
        let a = client.recv();
        broker.terminate();
        std::thread::sleep(Duration::from_millis(300));
        client.ack(&a);
        let status = broker.wait(TIMEOUT).expect("it ends when all is acknowledged");
        assert!(status.success());
        drop(client);
        broker.start_again();
        let mut client = worker(&broker, "worker", JOBS, qos);
        assert_eq!(client.recv().text(), "b", "a was acknowledged, b not delivered");
        client.expect_no_publish(SILENCE);
    }
}

/// A message of an identifier that is known is acknowledged, once what it repeats is durable.
#[test]
fn duplicates_are_acknowledged_over_the_disk() {
    for qos in 1..=2 {
        let mut broker = Broker::with_args(&["--data", "data", "--drain-timeout", "0"]);
        create(&broker, &json!({"dedupe_window_ms": 60_000, "bind": ["t"]}));
        for _ in 0..2 {
            let mut publisher = Client::v5(broker.addr(), "publisher");
            for topic in [JOBS, "t", JOBS] {
                let code = publisher.publish_with(topic, "a", qos, &[prop::user_property("primer-id", "7")]);
                assert_eq!(code, 0, "{topic}");
            }
            publisher.disconnect();
            assert_eq!(info(&broker)["messages"], 1);
            broker.restart();
        }
    }
}

/// Removing a group takes it from its consumers; a subscription anew makes it again.
#[test]
fn a_removed_group_ends_for_its_consumers() {
    let broker = Broker::start();
    let filter = "$share/g/$queue/jobs";
    let mut client = worker(&broker, "worker", filter, 1);
    push(&broker, &["a"]);
    let a = client.recv();
    command(&broker, &json!({"command": "removeGroup", "name": "jobs", "group": "g"}));
    client.ack(&a);
    client.ping();
    push(&broker, &["b"]);
    client.expect_no_publish(SILENCE);
    assert_eq!(client.subscribe(filter, 1), 1);
    assert_eq!(texts(&client.recv_publishes(2)), ["a", "b"], "without a group messages wait for the first");
}

/// Publishes until the end; answers how much.
fn publish_until(end: Instant, addr: SocketAddr, number: u8) -> u64 {
    let topic = if number == 0 { "load/x" } else { JOBS };
    let mut client = Client::v5(addr, &format!("p{number}"));
    let mut count = 0;
    while Instant::now() < end {
        let code = client.publish(topic, "x", 1 + number % 2);
        assert!(matches!(code, 0 | 0x10), "{code:#x}");
        count += 1;
    }
    count
}

/// Consumes until the end, by one connection after the other, and leaves some unanswered; answers how much it has
/// acknowledged.
fn consume_until(end: Instant, addr: SocketAddr, number: u8) -> u64 {
    let filter = if number.is_multiple_of(2) { JOBS } else { "$share/g/$queue/jobs" };
    let qos = 1 + number / 2;
    let (mut count, mut step) = (0, number);
    while Instant::now() < end {
        let mut client = Client::v5(addr, &format!("c{number}"));
        client.manual_ack();
        if client.subscribe(filter, qos) != qos {
            continue;
        }
        for _ in 0..50 {
            step = step.wrapping_add(1);
            let Some(message) = client.recv_publish(Duration::from_millis(30)) else { break };
            if step % 7 > 0 {
                client.ack(&message);
                count += 1;
            }
        }
        match step % 3 {
            0 => client.abort(),
            1 => {
                client.unsubscribe(filter);
                client.disconnect();
            }
            _ => client.disconnect(),
        }
    }
    count
}

/// Gives commands until the end; answers how often.
fn command_until(end: Instant, broker: &Broker) -> u64 {
    let mut rounds = 0;
    while Instant::now() < end {
        for one in ["pauseQueue", "resumeQueue", "purgeQueue"] {
            command(broker, &json!({"command": one, "name": "jobs"}));
        }
        let definition = json!({"messages_max": 1_000_000 - rounds, "bind": ["load/#"]});
        command(broker, &json!({"command": "updateQueue", "name": "jobs", "definition": definition}));
        if rounds % 4 == 3 {
            command(broker, &json!({"command": "deleteQueue", "name": "jobs"}));
            let mut client = Client::v5(broker.addr(), "operator");
            let create = json!({"command": "createQueue", "name": "jobs", "definition": definition});
            client.publish("$CONTROL/queue/v1", json!({ "commands": [create] }).to_string(), 1);
            client.recv(); // it may have come into being meanwhile, by a publish
            client.disconnect();
        }
        rounds += 1;
    }
    rounds
}

/// Commands of all kinds under load: the broker goes on, and so does the queue.
#[test]
fn commands_of_all_kinds_under_load() {
    let broker = Broker::with_args(&["--data", "data", "--drain-timeout", "0"]);
    create(&broker, &json!({"bind": ["load/#"]}));
    let addr = broker.addr();
    let end = Instant::now() + Duration::from_secs(5);
    std::thread::scope(|scope| {
        let publishers = [0, 1, 2].map(|number| scope.spawn(move || publish_until(end, addr, number)));
        let consumers = [0, 1, 2, 3].map(|number| scope.spawn(move || consume_until(end, addr, number)));
        let rounds = command_until(end, &broker);
        let published: u64 = publishers.into_iter().map(|thread| thread.join().expect("a publisher")).sum();
        let consumed: u64 = consumers.into_iter().map(|thread| thread.join().expect("a consumer")).sum();
        println!("{published} published, {consumed} acknowledged, {rounds} rounds of commands");
    });
    command(&broker, &json!({"command": "resumeQueue", "name": "jobs"}));
    command(&broker, &json!({"command": "purgeQueue", "name": "jobs"}));
    await_empty(&broker);
    push(&broker, &["last"]);
    assert_eq!(worker(&broker, "last", JOBS, 1).recv().text(), "last");
}
