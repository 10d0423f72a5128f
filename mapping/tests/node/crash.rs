//! A process that ends at any moment: of each message, its outputs are in their queues once, or it comes again and none
//! of them is; and the rule remembers what it has done, no more and no less.

use std::time::Duration;

use primer::Node;
use primer_mapping::{Host, Mapping};

use super::{
    consumer, on, publish,
    sim::{Crashes, Folder, Op, Random, SimDisk, seed},
    texts, waiting,
};

/// Each message goes to two queues, with its number in the order of the rule, and from one of them on to a third.
const SCRIPT: &str = r#"
    rule("split", "in/+", |msg| {
        let n = state.get("n", 0) + 1;
        state.set("n", n);
        enqueue("left", `${n} ${msg.text}`);
        enqueue("right", `${n} ${msg.text}`);
        ok
    });
    rule("on", "$queue/left", |msg| {
        if state.seen("ids", msg.text, "1h") { enqueue("twice", msg); } else { enqueue("far", msg); }
        ok
    });"#;

struct Recorded {
    log: Vec<Op>,
    published: usize,
}

async fn record(from: u64, steps: u64) -> Recorded {
    let disk = SimDisk::new().record();
    let mut random = Random(from);
    let mut published = 0;
    let mut node = on(&disk).await;
    for life in 0..2 {
        let rules = Mapping::start(&node, Host::new(), None);
        if life == 0 {
            rules.apply("test", SCRIPT).await.unwrap();
        }
        for _ in 0..steps {
            for _ in 0..=random.below(3) {
                disk.say(Op::Submitted(published + 1));
                publish(&node, "in/a", &published.to_string()).await;
                published += 1;
                disk.say(Op::Durable(published));
            }
            tokio::time::sleep(Duration::from_millis(random.below(4))).await;
        }
        node.shutdown(Duration::from_secs(5)).await;
        drop((rules, node));
        node = on(&disk).await;
    }
    let log = disk.log();
    node.shutdown(Duration::ZERO).await;
    Recorded { log, published }
}

/// Everything in a queue, in order, without taking it out.
async fn look(node: &Node, queue: &str) -> Vec<String> {
    let count = waiting(node, queue);
    if count == 0 {
        return Vec::new();
    }
    texts(&mut consumer(node, queue), count).await
}

/// Lets the rules finish after the crash, and looks at what all have come to.
async fn check(folder: Folder, durable: usize, says: &str) {
    let node = on(&SimDisk::of(folder)).await;
    let rules = Mapping::start(&node, Host::new(), None);
    let begun = std::time::Instant::now();
    while waiting(&node, "rules/split")
        + node.find_queue("left").map_or(0, |left| {
            left.info().groups.iter().find(|group| group.name == "rule.on").map_or(0, |group| group.figures.pending)
        })
        > 0
    {
        assert!(begun.elapsed() < Duration::from_secs(20), "{says}: the rules do not go on");
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    let (right, far) = (look(&node, "right").await, look(&node, "far").await);
    let twice = look(&node, "twice").await;
    assert!(twice.is_empty(), "{says}: came to the second rule twice: {twice:?}, of {far:?} and {right:?}");
    assert_eq!(right, far, "{says}");
    assert!(right.len() >= durable, "{says}: {} of {durable} are there", right.len());
    for (at, text) in right.iter().enumerate() {
        assert_eq!(*text, format!("{} {at}", at + 1), "{says}: the state goes with the outputs");
    }
    node.shutdown(Duration::from_secs(5)).await;
    drop(rules);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn outputs_are_there_once_wherever_the_process_ends() {
    let (mut cuts, mut all) = (0, 0);
    for life in 0..2 {
        let from = seed(90 + life);
        let Recorded { log, published } = record(from, 40).await;
        let (mut crashes, mut random) = (Crashes::default(), Random(from));
        for (at, op) in log.iter().enumerate() {
            if random.below(8) == 0 {
                cuts += 1;
                let fate = random.next();
                let says = format!("seed {from}, before operation {at} of {}, fate {fate}", log.len());
                check(crashes.cut(fate), crashes.durable, &says).await;
            }
            crashes.pass(op);
        }
        all += published;
    }
    assert!(cuts > 40 && all > 100, "little happened: {cuts} cuts, {all} messages");
}
