//! Transactions: what comes of a message and its acknowledgement hold together, or neither does, whatever the disk and
//! the process do.

#![expect(clippy::unwrap_used, reason = "tests fail by panicking")]

#[path = "../../../storage/tests/sim/mod.rs"]
mod sim;

use std::{sync::Arc, time::Duration};

use primer::{Consumer, Definition, Message, Node, Product, PublishError, Queue, Refused, Transaction, journal};
use sim::{Crashes, Error, Fault, Folder, Op, Random, SimDisk, What, seed};

const LONG: Duration = Duration::from_secs(10);

async fn open(disk: &SimDisk) -> Node {
    let small = journal::Options { budget_bytes: journal::BUDGET_BYTES_MIN, ..journal::Options::default() };
    Node::builder().disk(Arc::new(disk.clone())).store(small).start().await.unwrap()
}

fn into(queue: &str, payload: &str) -> Product {
    Product { queue: Some(queue.to_owned()), message: Message::new(payload) }
}

async fn next(consumer: &mut Consumer) -> primer::Delivery {
    tokio::time::timeout(LONG, consumer.next()).await.expect("in time").expect("the node runs")
}

/// Everything in a queue for a group, as numbers, in order.
async fn drain(node: &Node, name: &str, group: &str) -> Vec<u64> {
    let Some(queue) = node.find_queue(name) else { return Vec::new() };
    let group = queue.group(group).unwrap();
    let pending = group.info().unwrap().figures.pending;
    let mut consumer = group.consume(100).unwrap();
    let mut all = Vec::new();
    while all.len() < pending {
        let delivery = next(&mut consumer).await;
        all.push(delivery.text().unwrap().parse().unwrap());
        delivery.ack().map(drop).unwrap_or_default();
    }
    all
}

/// Takes what is there, at most five messages, and makes of each what `to` says.
async fn step(node: &Node, consumer: &mut Consumer, to: &[&str], counts: bool) {
    let Ok(batch) = tokio::time::timeout(Duration::from_millis(2), consumer.next_batch(5)).await else { return };
    let table = node.table("counts");
    let mut transaction = node.transaction();
    let mut count = table.get("done").map_or(0, |value| String::from_utf8(value).unwrap().parse::<u64>().unwrap());
    for delivery in batch {
        let products: Vec<Product> = to.iter().map(|to| into(to, delivery.text().unwrap())).collect();
        transaction.produce(&products).unwrap();
        transaction.ack(delivery);
        count += 1;
    }
    if counts {
        transaction.set(&table, "done", Some(count.to_string().into_bytes())).unwrap();
    }
    transaction.commit().await.unwrap();
}

struct Recorded {
    log: Vec<Op>,
    pushed: Vec<u64>,
}

async fn record(from: u64, steps: usize) -> Recorded {
    let disk = SimDisk::new().record();
    let mut node = open(&disk).await;
    let mut random = Random(from);
    let (mut pushed, mut number) = (Vec::new(), 0);
    for life in 0..2 {
        let (source, left) = (node.queue("in").unwrap(), node.queue("left").unwrap());
        let mut first = source.group("rule").unwrap().consume(7).unwrap();
        let _other = source.group("other").unwrap();
        let mut second = left.group("rule").unwrap().consume(7).unwrap();
        for _ in 0..steps {
            match random.below(4) {
                0 => {
                    let messages: Vec<Message> = (number..number + 3).map(|n| n.to_string().into()).collect();
                    disk.say(Op::Submitted(number as usize + 3));
                    source.push_all(&messages).await.into_iter().for_each(|receipt| assert!(receipt.is_ok()));
                    pushed.extend(number..number + 3);
                    number += 3;
                    disk.say(Op::Durable(pushed.len()));
                }
                1 => step(&node, &mut second, &["far"], false).await,
                _ => step(&node, &mut first, &["left", "right"], true).await,
            }
        }
        drop((first, second));
        if life == 0 {
            node.shutdown(Duration::ZERO).await;
            node = open(&disk).await;
        }
    }
    let log = disk.log();
    node.shutdown(Duration::ZERO).await;
    Recorded { log, pushed }
}

async fn check(folder: Folder, confirmed: &[u64], says: &str) -> usize {
    let node = open(&SimDisk::of(folder)).await;
    let count = node.table("counts").get("done").map_or(0, |value| String::from_utf8(value).unwrap().parse().unwrap());
    let source = drain(&node, "in", "rule").await;
    let (left, far) = (drain(&node, "left", "rule").await, drain(&node, "far", "rule").await);
    let right = drain(&node, "right", "rule").await;
    for queue in [&source, &left, &right, &far] {
        assert!(queue.windows(2).all(|pair| pair[0] < pair[1]), "{says}: twice, or out of order: {queue:?}");
    }
    assert_eq!(right.len(), count, "{says}: the count goes with the messages");
    for number in confirmed {
        let (in_source, in_right) = (source.contains(number), right.contains(number));
        let behind = [left.contains(number), far.contains(number)];
        assert!(in_source != in_right, "{says}: {number} is in the source: {in_source}, in its output: {in_right}");
        assert!(in_source || behind[0] != behind[1], "{says}: {number} is in left and far: {behind:?}");
    }
    node.shutdown(Duration::ZERO).await;
    count
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_crash_anywhere_leaves_each_message_before_or_behind_a_transaction() {
    let (mut cuts, mut processed) = (0, 0);
    for life in 0..3 {
        let from = seed(70 + life);
        let Recorded { log, pushed } = record(from, 120).await;
        let (mut crashes, mut random) = (Crashes::default(), Random(from));
        for (at, op) in log.iter().enumerate() {
            if random.below(10) == 0 {
                cuts += 1;
                let fate = random.next();
                let says = format!("seed {from}, before operation {at} of {}, fate {fate}", log.len());
                processed += check(crashes.cut(fate), &pushed[..crashes.durable], &says).await;
            }
            crashes.pass(op);
        }
    }
    assert!(cuts > 60 && processed > 1_000, "little happened: {cuts} cuts, {processed} processed");
}

fn break_disk(disk: &SimDisk) {
    disk.set_fault(Some(Fault { what: What::Any, after: 0, times: u64::MAX, error: Error::Eio }));
}

/// A transaction that the disk does not take leaves nothing behind: the message comes again, its outputs are nowhere.
#[tokio::test]
async fn a_disk_that_fails_takes_the_whole_transaction_back() {
    let disk = SimDisk::new();
    let node = open(&disk).await;
    let (source, out) = (node.queue("in").unwrap(), node.queue("out").unwrap());
    source.push("1").await.unwrap();
    let mut worker = source.consume(1).unwrap();
    let delivery = next(&mut worker).await;
    break_disk(&disk);
    let mut transaction = node.transaction();
    // Whether it is refused at once or at the commit depends on whether the store knows of the failure.
    let table = node.table("counts");
    transaction.produce(&[into("out", "1")]).unwrap();
    transaction.set(&table, "done", Some(b"1".to_vec())).unwrap();
    transaction.ack(delivery);
    let failed = transaction.commit().await.unwrap_err();
    assert_eq!((failed.deliveries.len(), out.info().messages, table.get("done")), (1, 0, None));
    drop(failed);
    disk.set_fault(None);
    let end = tokio::time::Instant::now() + LONG;
    while source.push("2").await.is_err() {
        assert!(tokio::time::Instant::now() < end);
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let again = next(&mut worker).await;
    assert_eq!((again.text(), again.attempt()), (Some("1"), 2));
    let mut transaction = node.transaction();
    transaction.produce(&[into("out", "1")]).unwrap();
    transaction.ack(again);
    transaction.commit().await.unwrap();
    drop(worker);
    node.shutdown(Duration::ZERO).await;
    let node = open(&disk).await;
    assert_eq!((drain(&node, "in", "default").await, drain(&node, "out", "x").await), (vec![2], vec![1]));
    assert_eq!(node.table("counts").get("done"), None, "what was refused did not come with a later commit");
    node.shutdown(Duration::ZERO).await;
}

async fn refuse_one(node: &Node) -> (Queue, Transaction) {
    let full = node.create_queue("full", Definition { messages_max: 1, ..Definition::default() }).unwrap();
    full.push("x").await.unwrap();
    let mut transaction = node.transaction();
    transaction.produce(&[into("out", "before")]).unwrap();
    let error = transaction.produce(&[into("out", "1"), into("full", "1"), into("out", "2")]).unwrap_err();
    assert!(matches!(error, PublishError::Refused { why: Refused::QueueFull, .. }), "{error}");
    (node.queue("out").unwrap(), transaction)
}

/// Of a call that a queue refuses nothing is left, and what was produced before it goes on.
#[tokio::test]
async fn a_queue_that_refuses_takes_its_call_back_and_no_other() {
    let disk = SimDisk::new();
    for node in [open(&disk).await, Node::builder().start().await.unwrap()] {
        let (out, transaction) = refuse_one(&node).await;
        assert_eq!(out.info().messages, 1);
        transaction.commit().await.unwrap();
        let mut worker = out.consume(10).unwrap();
        assert_eq!(next(&mut worker).await.text(), Some("before"));
        node.shutdown(Duration::ZERO).await;
    }
    let node = open(&disk).await;
    assert_eq!(node.queue("out").unwrap().info().messages, 1);
    node.shutdown(Duration::ZERO).await;
}

/// A transaction that is dropped was none.
#[tokio::test]
async fn without_a_commit_nothing_has_happened() {
    let disk = SimDisk::new();
    for node in [open(&disk).await, Node::builder().start().await.unwrap()] {
        let (source, out) = (node.queue("in").unwrap(), node.queue("out").unwrap());
        source.push("1").await.unwrap();
        let mut worker = source.consume(1).unwrap();
        let mut screen = node.subscribe("alarms/+", 10).unwrap();
        let mut transaction = node.transaction();
        let shown = Product { queue: None, message: Message::new("hot").topic("alarms/kitchen") };
        transaction.produce(&[into("out", "1"), shown]).unwrap();
        transaction.ack(next(&mut worker).await);
        assert_eq!(out.info().messages, 1);
        drop(transaction);
        node.publish(Message::new("behind it").topic("alarms/kitchen")).await.unwrap();
        assert_eq!(screen.next().await.unwrap().text(), Some("behind it"), "nobody has seen what was given up");
        assert_eq!((out.info().messages, next(&mut worker).await.attempt()), (0, 2));
        node.shutdown(Duration::ZERO).await;
    }
}

/// What is published in a transaction reaches subscribers and the queues that are bound to the topic.
#[tokio::test]
async fn publishing_in_a_transaction_reaches_all_who_want_the_topic() {
    let node = Node::builder().start().await.unwrap();
    let bind = vec!["alarms/#".to_owned()];
    let log = node.create_queue("log", Definition { bind, ..Definition::default() }).unwrap();
    let mut screen = node.subscribe("alarms/+", 10).unwrap();
    let mut transaction = node.transaction();
    let message = Message::new("hot").topic("alarms/kitchen").hops(3).qos(2);
    transaction.produce(&[Product { queue: None, message }]).unwrap();
    transaction.commit().await.unwrap();
    assert_eq!(screen.next().await.unwrap().text(), Some("hot"));
    let kept = next(&mut log.consume(1).unwrap()).await;
    assert_eq!((kept.topic(), kept.sent().hops, kept.sent().qos), ("alarms/kitchen", 3, 2));
    node.shutdown(Duration::ZERO).await;
}

/// What is given up stands in the dead letters with the reason, or comes again, whatever happens.
#[tokio::test]
async fn what_a_transaction_gives_up_is_a_dead_letter_with_its_reason() {
    let disk = SimDisk::new();
    let node = open(&disk).await;
    let source = node.queue("in").unwrap();
    source.push(Message::new("1").id("a").header("unit", "C")).await.unwrap();
    let mut worker = source.group("rule").unwrap().consume(1).unwrap();
    let mut transaction = node.transaction();
    transaction.bury(next(&mut worker).await, "no number").unwrap();
    drop(transaction);
    assert_eq!(node.find_queue("$dead/in").map_or(0, |dead| dead.info().messages), 0);
    let mut transaction = node.transaction();
    transaction.bury(next(&mut worker).await, "no number").unwrap();
    transaction.commit().await.unwrap();
    drop(worker);
    node.shutdown(Duration::ZERO).await;
    let node = open(&disk).await;
    assert_eq!(drain(&node, "in", "rule").await, Vec::<u64>::new());
    let dead = next(&mut node.queue("$dead/in").unwrap().consume(1).unwrap()).await;
    let why = dead.dead_letter().unwrap();
    assert_eq!((&*why.queue, &*why.group, why.reason, why.deliveries), ("in", "rule", "rule", 2));
    assert_eq!((dead.header("primer-reason"), dead.header("unit")), (Some("no number"), Some("C")));
    // Given up there it is gone, and counted when that holds.
    let given_up = || node.drops().get(primer::drops::Reason::RejectedByConsumer);
    let mut transaction = node.transaction();
    transaction.bury(dead, "again").unwrap();
    assert_eq!(given_up(), 0);
    transaction.commit().await.unwrap();
    assert_eq!((given_up(), node.queue("$dead/in").unwrap().info().messages), (1, 0));
    node.shutdown(Duration::ZERO).await;
}

/// Whoever asks before it pushes hears what the push would say.
#[tokio::test]
async fn what_has_expired_takes_no_room_from_what_is_asked_for() {
    let node = Node::builder().start().await.unwrap();
    let one = Definition { messages_max: 1, ..Definition::default() };
    let small = node.create_queue("small", one).unwrap();
    assert!(!small.would_refuse(10));
    small.push(Message::new("1").ttl(Duration::from_millis(20))).await.unwrap();
    assert!(small.would_refuse(10));
    tokio::time::sleep(Duration::from_millis(40)).await;
    assert!(!small.would_refuse(10));
    small.push("2").await.unwrap();
}

/// A transaction that makes a queue and takes its time does not keep that from the store: what others pushed there
/// meanwhile stood in a queue that the next start did not know.
#[tokio::test]
async fn what_others_push_into_a_new_queue_does_not_wait_for_the_transaction() {
    let disk = SimDisk::new().record();
    let node = open(&disk).await;
    let mut slow = node.transaction();
    slow.produce(&[into("new", "1")]).unwrap();
    node.queue("new").unwrap().push("2").await.unwrap();
    let mut crashes = Crashes::default();
    disk.log().iter().for_each(|op| crashes.pass(op));
    let after = open(&SimDisk::of(crashes.cut(1))).await;
    assert_eq!(drain(&after, "new", "x").await, [2]);
    after.shutdown(Duration::ZERO).await;
    slow.commit().await.unwrap();
    node.shutdown(Duration::ZERO).await;
}

/// Tables come back, and say what they do not take.
#[tokio::test]
async fn tables_outlive_the_process_and_have_bounds() {
    let disk = SimDisk::new();
    let node = open(&disk).await;
    let table = node.table("settings");
    for (key, value) in [("b/2", "two"), ("a/1", "one"), ("b/1", "first"), ("c", "gone")] {
        assert!(table.set(key, Some(value.as_bytes())).unwrap().durable().await);
    }
    assert!(table.set("c", None).unwrap().durable().await);
    node.shutdown(Duration::ZERO).await;
    let node = open(&disk).await;
    let table = node.table("settings");
    let keys: Vec<String> = table.entries("b/").into_iter().map(|(key, _)| key).collect();
    assert_eq!((keys, table.get("c")), (vec!["b/1".to_owned(), "b/2".to_owned()], None));
    let large = vec![0; primer::TABLE_VALUE_BYTES_MAX];
    assert!(table.set("x", Some(&[&large[..], &[1]].concat())).unwrap_err().to_string().contains("524288"));
    assert!(table.set("", Some(b"x")).unwrap_err().to_string().contains("1 to 1024"));
    let fits = (0..).take_while(|number| table.set(&format!("large/{number}"), Some(&large)).is_ok()).count();
    assert_eq!(fits, primer::TABLE_BYTES_MAX / large.len() - 1);
    node.shutdown(Duration::ZERO).await;
}

/// The first transaction is not handed over when the second one would be: what a transaction has pushed is not
/// delivered before it is.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_pushed_is_not_delivered_before_it_is_handed_over() {
    let node = open(&SimDisk::new()).await;
    let (source, left) = (node.queue("in").unwrap(), node.queue("left").unwrap());
    let mut consumer = left.group("rule").unwrap().consume(7).unwrap();
    source.push("1").await.unwrap();
    left.push("0").await.unwrap();
    next(&mut consumer).await.ack().unwrap();
    let delivery = source.group("rule").unwrap().consume(1).unwrap().next().await.unwrap();
    let mut step = node.transaction();
    step.produce(&[into("left", "1")]).unwrap();
    step.produce(&[into("left", "2")]).unwrap();
    step.ack(delivery);
    let early = tokio::time::timeout(Duration::from_millis(100), consumer.next()).await;
    assert!(early.is_err(), "it was delivered before it was handed over");
    step.commit().await.unwrap();
    for text in ["1", "2"] {
        let delivery = next(&mut consumer).await;
        assert_eq!(delivery.text(), Some(text));
        delivery.ack().unwrap();
    }
    // One that is given up lets go as well.
    let mut step = node.transaction();
    step.produce(&[into("left", "3")]).unwrap();
    drop(step);
    left.push("4").await.unwrap();
    assert_eq!(next(&mut consumer).await.text(), Some("4"));
    node.shutdown(Duration::ZERO).await;
}

/// Found by the rules: a second transaction was durable before the first, whose message it had acknowledged; after a
/// crash the first was done again, and so was the second.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_comes_of_a_message_is_not_there_without_it() {
    let (mut cuts, mut moved) = (0, 0);
    for life in 0..3 {
        let disk = SimDisk::new().record();
        let node = open(&disk).await;
        let (source, left) = (node.queue("in").unwrap(), node.queue("left").unwrap());
        let mut first = source.group("rule").unwrap().consume(50).unwrap();
        let mut second = left.group("rule").unwrap().consume(50).unwrap();
        let messages: Vec<Message> = (0..200_u64).map(|number| number.to_string().into()).collect();
        source.push_all(&messages).await.into_iter().for_each(|receipt| assert!(receipt.is_ok()));
        let (its, far) = (node.clone(), node.clone());
        let one = tokio::spawn(async move {
            for _ in 0..100 {
                step(&its, &mut first, &["left"], false).await;
            }
        });
        let two = tokio::spawn(async move {
            for _ in 0..100 {
                step(&far, &mut second, &["far"], false).await;
            }
        });
        one.await.unwrap();
        two.await.unwrap();
        let log = disk.log();
        node.shutdown(Duration::ZERO).await;
        let (mut crashes, mut random) = (Crashes::default(), Random(seed(60 + life)));
        for (at, op) in log.iter().enumerate() {
            if random.below(12) == 0 {
                let node = open(&SimDisk::of(crashes.cut(random.next()))).await;
                let far = drain(&node, "far", "rule").await;
                let left = drain(&node, "left", "rule").await;
                let rest = drain(&node, "in", "rule").await;
                let all: Vec<u64> = far.iter().chain(&left).chain(&rest).copied().collect();
                let says = format!("life {life}, before operation {at}: {rest:?}, {left:?}, {far:?}");
                assert_eq!(all, (0..all.len() as u64).collect::<Vec<_>>(), "{says}");
                node.shutdown(Duration::ZERO).await;
                (cuts, moved) = (cuts + 1, moved + far.len());
            }
            crashes.pass(op);
        }
    }
    assert!(cuts > 60 && moved > 1_000, "little happened: {cuts} cuts, {moved} moved");
}
