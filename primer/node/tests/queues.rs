//! Queues as a program uses them, in memory.

#![expect(clippy::unwrap_used, reason = "tests fail by panicking")]

use std::time::Duration;

use primer::{
    Browse, CallError, ConsumeOptions, Definition, Delivery, From, Full, GroupOptions, KeyOf, Message, Mode, Node,
    Order, PushError, Queue, Refused, Standing,
};

const SOON: Duration = Duration::from_millis(60);
const LONG: Duration = Duration::from_secs(10);

async fn node() -> Node {
    Node::builder().start().await.unwrap()
}

async fn push(queue: &Queue, texts: impl IntoIterator<Item = &str>) {
    for text in texts {
        queue.push(text).await.unwrap();
    }
}

fn texts(deliveries: &[Delivery]) -> Vec<&str> {
    deliveries.iter().map(|delivery| delivery.text().unwrap()).collect()
}

async fn next(consumer: &mut primer::Consumer) -> Delivery {
    tokio::time::timeout(LONG, consumer.next()).await.expect("a message in time").expect("the node runs")
}

#[tokio::test]
async fn a_message_stays_until_it_is_acknowledged() {
    let node = node().await;
    let jobs = node.queue("jobs").unwrap();
    push(&jobs, ["a", "b"]).await;
    let mut worker = jobs.consume(10).unwrap();
    let (a, b) = (next(&mut worker).await, next(&mut worker).await);
    assert_eq!((a.text(), b.text(), a.attempt(), a.topic()), (Some("a"), Some("b"), 1, "$queue/jobs"));
    b.ack().unwrap();
    drop(a); // a handler that forgets, or panics
    let again = next(&mut worker).await;
    assert_eq!((again.text(), again.attempt()), (Some("a"), 2));
    again.ack().unwrap();
    assert_eq!((jobs.info().messages, jobs.info().counts.acked), (0, 2));
}

#[tokio::test]
async fn groups_get_everything_and_their_consumers_share() {
    let node = node().await;
    let jobs = node.queue("jobs").unwrap();
    let (first, second) = (jobs.group("first").unwrap(), jobs.group("second").unwrap());
    let mut workers = [first.consume(10).unwrap(), first.consume(10).unwrap(), second.consume(10).unwrap()];
    push(&jobs, ["1", "2", "3", "4"]).await;
    let mut got = Vec::new();
    for worker in &mut workers {
        let mut its = Vec::new();
        while let Some(delivery) = worker.try_next() {
            its.push(delivery.text().unwrap().to_owned());
            delivery.ack().unwrap();
        }
        got.push(its.join(" "));
    }
    assert_eq!(got, ["1 3", "2 4", "1 2 3 4"]);
    assert!(jobs.info().messages == 0);
}

#[tokio::test]
async fn what_fails_too_often_or_is_rejected_goes_to_the_dead_letters_and_back() {
    let node = node().await;
    let jobs = node.create_queue("jobs", Definition { deliveries_max: 3, ..Definition::default() }).unwrap();
    push(&jobs, ["poison", "bad"]).await;
    let mut worker = jobs.consume(10).unwrap();
    for _ in 0..4 {
        let delivery = next(&mut worker).await;
        match delivery.text() {
            Some("poison") => drop(delivery),
            _ => drop(delivery.reject().unwrap()),
        }
    }
    let dead = node.dead_letters("jobs").unwrap();
    let page = dead.browse(&Browse { messages_max: 10, ..Browse::default() }).await;
    let mut letters: Vec<_> = page
        .messages
        .iter()
        .map(|seen| {
            let letter = seen.envelope.dead_letter().unwrap();
            (seen.envelope.text().unwrap(), letter.reason, letter.deliveries, &*letter.queue, &*letter.group)
        })
        .collect();
    letters.sort_unstable();
    assert_eq!(
        letters,
        [("bad", "rejected", 1, "jobs", "default"), ("poison", "max_deliveries", 3, "jobs", "default")]
    );
    assert_eq!(jobs.info().counts.dead, 2);
    let moved = dead.move_to(None, 10).await;
    assert_eq!((moved.moved, moved.refused, dead.info().messages), (2, 0, 0));
    let back = next(&mut worker).await;
    assert_eq!((back.attempt(), back.dead_letter()), (1, None));
    back.ack().unwrap();
}

#[tokio::test]
async fn a_lease_ends_with_its_time_unless_it_is_extended() {
    let node = node().await;
    let jobs = node.create_queue("jobs", Definition { lease_ms: Some(100), ..Definition::default() }).unwrap();
    push(&jobs, ["a"]).await;
    let group = jobs.group("g").unwrap();
    let mut slow = group.consume(1).unwrap();
    let first = next(&mut slow).await;
    first.extend(LONG).unwrap();
    let mut other = group.consume(1).unwrap();
    assert!(tokio::time::timeout(Duration::from_millis(300), other.next()).await.is_err(), "it was extended");
    first.extend(Duration::from_millis(1)).unwrap();
    let second = next(&mut other).await;
    assert_eq!(second.attempt(), 2);
    first.ack().unwrap_err();
    second.ack().unwrap();
}

#[tokio::test]
async fn priorities_delays_and_expiry() {
    let node = node().await;
    let jobs = node.queue("jobs").unwrap();
    for message in [
        Message::new("low").priority(1),
        Message::new("usual"),
        Message::new("high").priority(9),
        Message::new("gone").ttl(Duration::from_millis(1)),
        Message::new("later").delay(Duration::from_millis(150)).priority(9),
    ] {
        jobs.push(message).await.unwrap();
    }
    tokio::time::sleep(SOON).await;
    let group = jobs.group("default").unwrap();
    let pulled = group.pull(10, Duration::ZERO).await.unwrap();
    assert_eq!(texts(&pulled), ["high", "usual", "low"]);
    assert_eq!(Delivery::ack_all(pulled), 0);
    let pulled = group.pull(10, LONG).await.unwrap();
    assert_eq!(texts(&pulled), ["later"]);
    Delivery::ack_all(pulled);
    assert_eq!((jobs.info().messages, jobs.info().counts.expired), (0, 1));
    assert!(group.pull(10, SOON).await.unwrap().is_empty());
}

#[tokio::test]
async fn keys_keep_their_order_at_one_consumer() {
    let node = node().await;
    let definition = Definition { by_key: true, key: KeyOf::Topic, ..Definition::default() };
    let jobs = node.create_queue("jobs", definition).unwrap();
    let mut workers: Vec<_> = (0..3).map(|_| jobs.consume(10).unwrap()).collect();
    for n in 0..60 {
        let key = ["a", "b", "c", "d", "e", "f"][n % 6];
        jobs.push(Message::new(n.to_string()).topic(key)).await.unwrap();
    }
    let mut seen: std::collections::BTreeMap<String, (usize, Vec<u32>)> = std::collections::BTreeMap::new();
    let mut count = 0;
    while count < 60 {
        for (at, worker) in workers.iter_mut().enumerate() {
            let Some(delivery) = worker.try_next() else { continue };
            let entry = seen.entry(delivery.topic().to_owned()).or_insert((at, Vec::new()));
            assert_eq!(entry.0, at, "the key moved");
            entry.1.push(delivery.text().unwrap().parse().unwrap());
            delivery.ack().unwrap();
            count += 1;
        }
    }
    assert!(seen.values().all(|(_, numbers)| numbers.is_sorted() && numbers.len() == 10));
}

#[tokio::test]
async fn a_full_queue_refuses_or_makes_room() {
    let node = node().await;
    let small = |overflow| Definition { messages_max: 10, overflow, ..Definition::default() };
    let rejects = node.create_queue("rejects", small(Full::Reject)).unwrap();
    let drops = node.create_queue("drops", small(Full::DropOldest)).unwrap();
    let buries = node.create_queue("buries", small(Full::DeadLetter)).unwrap();
    for n in 0..12 {
        let answer = rejects.push(n.to_string()).await;
        assert_eq!(answer.is_ok(), n < 10);
        if let Err(error) = answer {
            assert!(matches!(error, PushError::Refused { why: Refused::QueueFull, .. }));
            assert_eq!(error.to_string(), r#"the queue "rejects" did not take the message: the queue is full"#);
        }
        drops.push(n.to_string()).await.unwrap();
        buries.push(n.to_string()).await.unwrap();
    }
    assert_eq!((drops.info().messages, drops.info().counts.trimmed), (10, 2));
    assert_eq!((buries.info().messages, node.dead_letters("buries").unwrap().info().messages), (10, 2));
}

#[tokio::test]
async fn a_message_that_comes_again_is_there_once() {
    let node = node().await;
    let jobs = node.create_queue("jobs", Definition { dedupe_window_ms: 200, ..Definition::default() }).unwrap();
    let first = jobs.push(Message::new("x").id("7")).await.unwrap();
    let second = jobs.push(Message::new("x").id("7")).await.unwrap();
    assert!(!first.is_duplicate() && second.is_duplicate());
    assert_eq!((jobs.info().messages, first.position()), (1, second.position()));
    tokio::time::sleep(Duration::from_millis(300)).await;
    assert!(!jobs.push(Message::new("x").id("7")).await.unwrap().is_duplicate(), "the window is over");
}

#[tokio::test]
async fn once_is_enough_for_a_group_that_is_at_most_once() {
    let node = node().await;
    let jobs = node.queue("jobs").unwrap();
    let options = GroupOptions { mode: Mode::AtMostOnce, order: Order::Any };
    let group = jobs.group_with("g", options, false).unwrap();
    let mut worker = group.consume(1).unwrap();
    push(&jobs, ["a", "b"]).await;
    drop(next(&mut worker).await);
    let second = next(&mut worker).await;
    assert_eq!(second.text(), Some("b"), "credit comes back with the next look");
    assert_eq!(jobs.info().messages, 0);
}

#[tokio::test]
async fn pause_purge_delete() {
    let node = node().await;
    let jobs = node.queue("jobs").unwrap();
    let mut worker = jobs.consume(1).unwrap();
    jobs.pause();
    push(&jobs, ["a", "b", "c"]).await;
    assert!(worker.try_next().is_none());
    jobs.resume();
    let held = next(&mut worker).await;
    assert_eq!(jobs.purge(), 2, "what a consumer has stays");
    held.ack().unwrap();
    push(&jobs, ["d"]).await;
    assert_eq!(node.delete_queue("jobs").unwrap(), 1);
    let last = next(&mut worker).await;
    last.ack().unwrap_err();
    assert!(worker.next().await.is_none());
    assert_eq!(node.delete_queue("jobs").unwrap_err().to_string(), r#"there is no queue "jobs""#);
}

#[tokio::test]
async fn browsing_changes_nothing_and_finds() {
    let node = node().await;
    let jobs = node.queue("jobs").unwrap();
    for n in 0..25_u8 {
        let topic = if n % 2 == 0 { "even/x" } else { "odd/x" };
        let message = Message::new(n.to_string()).topic(topic).header("n", &n.to_string()).priority(n % 3);
        jobs.push(message).await.unwrap();
    }
    let mut worker = jobs.consume(1).unwrap();
    let held = next(&mut worker).await;
    let (mut from, mut all) = (Some(From::Oldest), Vec::new());
    while let Some(at) = from {
        let page = jobs.browse(&Browse { from: at, messages_max: 7, ..Browse::default() }).await;
        assert!(page.messages.len() <= 7);
        all.extend(page.messages);
        from = page.next;
    }
    let numbers: Vec<u8> = all.iter().map(|seen| seen.envelope.text().unwrap().parse().unwrap()).collect();
    assert_eq!(numbers, (0..25).collect::<Vec<u8>>());
    assert_eq!(all.iter().filter(|seen| seen.standing == Standing::Leased).count(), 1);
    let newest = jobs.browse(&Browse { from: From::Newest, messages_max: 2, ..Browse::default() }).await;
    let newest: Vec<_> = newest.messages.iter().map(|seen| seen.envelope.text().unwrap()).collect();
    assert_eq!(newest, ["24", "23"]);
    let odd = Browse { topic: Some("odd/+".to_owned()), messages_max: 100, ..Browse::default() };
    assert_eq!(jobs.browse(&odd).await.messages.len(), 12);
    let seven = Browse { header: Some(("n".to_owned(), Some("7".to_owned()))), messages_max: 9, ..Browse::default() };
    assert_eq!(jobs.browse(&seven).await.messages.len(), 1);
    held.ack().unwrap();
    assert_eq!(jobs.info().messages, 24);
}

#[tokio::test]
async fn a_call_gets_its_answer_or_an_end() {
    let node = node().await;
    let jobs = node.queue("jobs").unwrap();
    let mut worker = jobs.consume(1).unwrap();
    let handler = tokio::spawn(async move {
        while let Some(job) = worker.next().await {
            let answer = format!("done: {}", job.text().unwrap());
            job.reply(answer).unwrap();
        }
    });
    let (one, two) = tokio::join!(jobs.call("a", LONG), jobs.call("b", LONG));
    assert_eq!((one.unwrap().text(), two.unwrap().text()), (Some("done: a"), Some("done: b")));
    let nobody = node.queue("nobody").unwrap();
    assert_eq!(nobody.call("x", SOON).await.unwrap_err(), CallError::TimedOut(SOON));
    node.shutdown(LONG).await;
    handler.await.unwrap();
}

#[tokio::test]
async fn topics_reach_subscribers_and_bound_queues() {
    let node = node().await;
    let bound = Definition { bind: vec!["plant/#".to_owned(), "plant/+/x".to_owned()], ..Definition::default() };
    let alarms = node.create_queue("alarms", bound).unwrap();
    let mut all = node.subscribe("#", 2).unwrap();
    assert!(node.publish(Message::new("1").topic("plant/7/x")).await.unwrap());
    assert!(node.publish(Message::new("2").topic("other")).await.unwrap());
    assert!(node.publish(Message::new("3").topic("$queue/alarms")).await.unwrap());
    assert_eq!(alarms.info().messages, 2, "a queue that two filters bind gets a message once");
    assert_eq!(all.next().await.unwrap().topic(), "plant/7/x");
    for _ in 0..3 {
        node.publish(Message::new("4").topic("other")).await.unwrap();
    }
    assert_eq!(all.missed(), 2);
    drop(all);
    assert!(!node.publish(Message::new("5").topic("other")).await.unwrap(), "nobody is there");
    let error = node.publish(Message::new("6").topic("a/+")).await.unwrap_err().to_string();
    assert!(error.starts_with(r#""a/+" is no topic to publish to: "#), "{error}");
    assert!(node.queue("a//b").unwrap_err().to_string().contains("a level of the name is empty"));
}

#[tokio::test]
async fn definitions_come_from_the_closest_pattern() {
    let of = |deliveries_max| Definition { deliveries_max, ..Definition::default() };
    let node = Node::builder()
        .queue("jobs/#", of(1))
        .queue("jobs/print", of(2))
        .queue("jobs/+/urgent", of(3))
        .start()
        .await
        .unwrap();
    let of = |name: &str| node.queue(name).unwrap().definition().deliveries_max;
    assert_eq!((of("jobs/scan"), of("jobs/print"), of("jobs/x/urgent"), of("other")), (1, 2, 3, 20));
    let names: Vec<String> = node.queues(None, 10).iter().map(|queue| queue.name().to_owned()).collect();
    assert_eq!(names, ["jobs/print", "jobs/scan", "jobs/x/urgent"], "one that nobody has defined or used is not shown");
    let error = node.create_queue("jobs/print", Definition::default()).unwrap_err();
    assert_eq!(error.to_string(), r#"the queue "jobs/print" exists, with another definition"#);
}

#[tokio::test]
async fn a_consumer_that_goes_gives_back_what_it_has_not_looked_at() {
    let node = node().await;
    let jobs = node.queue("jobs").unwrap();
    push(&jobs, ["a", "b", "c"]).await;
    let mut first = jobs.consume(10).unwrap();
    let held = next(&mut first).await;
    drop(first);
    let mut second = jobs.consume(10).unwrap();
    let (b, c) = (next(&mut second).await, next(&mut second).await);
    assert_eq!((b.text(), b.attempt(), c.text()), (Some("b"), 1, Some("c")), "nobody had looked at them");
    held.ack().unwrap();
    b.ack().unwrap();
    c.ack().unwrap();
    assert_eq!(jobs.info().messages, 0);
    let keeps = ConsumeOptions { keeps_leases: true, ..ConsumeOptions::prefetch(1) };
    let group = jobs.group("default").unwrap();
    drop(group.consume_with(keeps).unwrap());
    assert_eq!(group.info().unwrap().figures.consumers, 1);
}

/// What comes once and is not taken up is gone: nothing is dropped silently.
#[tokio::test]
async fn what_a_consumer_was_given_once_and_has_not_taken_is_counted() {
    let node = Node::builder().start().await.unwrap();
    let queue = node.queue("once").unwrap();
    let once = GroupOptions { mode: Mode::AtMostOnce, order: Order::Any };
    let mut consumer = queue.group_with("g", once, false).unwrap().consume(10).unwrap();
    queue.push_all(&["a".into(), "b".into(), "c".into(), "d".into()]).await;
    assert_eq!(consumer.next().await.unwrap().text(), Some("a"));
    drop(consumer);
    assert_eq!(node.drops().get(primer::drops::Reason::Abandoned), 3);
    node.shutdown(Duration::ZERO).await;
}
