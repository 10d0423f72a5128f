//! A broker that is killed again and again while rules re-enqueue: each message that it has acknowledged has its
//! outputs once in their queues, also behind two rules, and what a rule remembers goes with them. `PRIMER_KILL_SEED`
//! replays the moments of a run, `PRIMER_KILL_ROUNDS` makes more of them.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use primer_harness::raw::Received;
use primer_harness::wire::{self, Ack, Packet};
use primer_harness::{Client, Launch, Raw, TIMEOUT, Version};

use crate::fixture::Place;
use crate::serving::{drain, stats};

const RULES: &str = r#"
rule("split", "in/+", |msg| {
    let n = state.get("n", 0) + 1;
    state.set("n", n);
    enqueue("left", `${n} ${msg.text}`);
    enqueue("right", `${n} ${msg.text}`);
    ok
});
rule("on", "$queue/left", |msg| {
    enqueue("far", msg.text);
    ok
});
rule("count", "in/+", #{ stage: "ingress" }, |msg| {
    enqueue("gate", msg);
    ok
});
"#;

/// Messages under way of one publisher.
const WINDOW: u64 = 20;

fn env(name: &str, usual: u64) -> u64 {
    std::env::var(name).ok().and_then(|value| value.parse().ok()).unwrap_or(usual)
}

/// Connects; `None` when the broker is not there.
fn connect(addr: SocketAddr, id: &str) -> Option<Raw> {
    let stream = std::net::TcpStream::connect_timeout(&addr, TIMEOUT).ok()?;
    let mut raw = Raw::over(stream);
    raw.try_send(&wire::connect(Version::V5, id).build()).ok()?;
    match raw.recv_within(TIMEOUT) {
        Received::Packet(bytes) => match wire::parse(&bytes, true) {
            Packet::Connack { code: 0, .. } => Some(raw),
            _ => None,
        },
        _ => None,
    }
}

/// Publishes numbers; those that were acknowledged go into the set.
fn publish(addr: SocketAddr, id: &str, is_over: &AtomicBool, acknowledged: &Mutex<BTreeSet<String>>) {
    let mut next = 0_u64;
    while !is_over.load(Ordering::Relaxed) {
        let Some(mut raw) = connect(addr, id) else {
            std::thread::sleep(Duration::from_millis(5));
            continue;
        };
        'connection: while !is_over.load(Ordering::Relaxed) {
            let first = next;
            next += WINDOW;
            let messages = (first..next).map(|number| {
                let text = format!("{id} {number}");
                wire::publish(Version::V5, &format!("in/{id}"), text.as_bytes())
                    .qos(1, 1 + (number % 1_000) as u16)
                    .build()
            });
            if raw.try_send(&messages.collect::<Vec<_>>().concat()).is_err() {
                break;
            }
            for _ in first..next {
                let Received::Packet(bytes) = raw.recv_within(TIMEOUT) else { break 'connection };
                let Packet::Ack { kind: Ack::Puback, pid, reason, .. } = wire::parse(&bytes, true) else {
                    break 'connection;
                };
                assert!(reason < 0x80, "refused: {reason:#x}");
                let number = (first..next).find(|number| 1 + (number % 1_000) as u16 == pid).expect("one of these");
                acknowledged.lock().expect("no panic").insert(format!("{id} {number}"));
            }
            std::thread::sleep(Duration::from_millis(3));
        }
    }
}

/// Of each text how often it is there.
fn counted(texts: &[String]) -> BTreeMap<&str, usize> {
    let mut all = BTreeMap::new();
    for text in texts {
        *all.entry(&**text).or_default() += 1;
    }
    all
}

#[test]
fn outputs_are_there_once_after_kills() {
    let (rounds, seed) = (env("PRIMER_KILL_ROUNDS", 15), env("PRIMER_KILL_SEED", 11));
    let (folder, data) = (Place::with("rules.rhai", RULES), Place::new());
    let mut broker = Launch::new().args(&["--rules", folder.path(), "--data", data.path()]).start();
    let (is_over, acknowledged) = (AtomicBool::new(false), Mutex::new(BTreeSet::new()));
    let addr = broker.addr();
    let begun = Instant::now();
    std::thread::scope(|scope| {
        for id in ["a", "b", "c"] {
            let (is_over, acknowledged) = (&is_over, &acknowledged);
            scope.spawn(move || publish(addr, id, is_over, acknowledged));
        }
        let mut random = seed;
        for _ in 0..rounds {
            random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            std::thread::sleep(Duration::from_millis(60 + (random >> 33) % 250));
            broker.restart();
        }
        is_over.store(true, Ordering::Relaxed);
    });
    let mut control = Client::v5(addr, "control");
    let killed = begun.elapsed();
    for rule in ["split", "on"] {
        // On a machine that does much else they need a while, as long as they get on.
        let (mut last, mut since) = (u64::MAX, Instant::now());
        loop {
            let waiting = stats(&mut control, rule)["waiting"].as_u64().expect("a number");
            match waiting {
                0 => break,
                less if less < last => (last, since) = (less, Instant::now()),
                _ => assert!(since.elapsed() < TIMEOUT, "the rule {rule} does not get on: {waiting} wait"),
            }
            std::thread::sleep(Duration::from_millis(20));
        }
    }
    println!("the kills took {killed:?}, and the rules {:?} after that", begun.elapsed() - killed);
    let acknowledged = acknowledged.into_inner().expect("no panic");
    let (right, far, gate) = (drain(&broker, "right"), drain(&broker, "far"), drain(&broker, "gate"));
    println!(
        "{rounds} kills, {} acknowledged, {} in right, {} in far, {} in gate, {:.1} s",
        acknowledged.len(),
        right.len(),
        far.len(),
        gate.len(),
        begun.elapsed().as_secs_f64()
    );
    assert!(acknowledged.len() as u64 > rounds * 20, "so few messages prove nothing");
    // What the rule has counted is what it has made: no number is there twice, and none is missing.
    for (at, text) in right.iter().enumerate() {
        let number = text.split(' ').next().and_then(|number| number.parse().ok());
        assert_eq!(number, Some(at + 1), "the {at}th is {text:?}: state and outputs have parted");
    }
    let bare = |texts: &[String]| -> Vec<String> {
        texts.iter().map(|text| text.split_once(' ').expect("a number").1.to_owned()).collect()
    };
    let (right, far) = (bare(&right), bare(&far));
    for (name, texts) in [("right", &right), ("far", &far), ("gate", &gate)] {
        let all = counted(texts);
        let twice: Vec<&&str> = all.iter().filter(|(_, count)| **count > 1).map(|(text, _)| text).collect();
        assert!(twice.is_empty(), "{name}: {} came twice: {:?}", twice.len(), &twice[..twice.len().min(5)]);
        let lost: Vec<&String> = acknowledged.iter().filter(|text| !all.contains_key(&***text)).collect();
        assert!(lost.is_empty(), "{name}: {} are lost: {:?}", lost.len(), &lost[..lost.len().min(5)]);
    }
    assert_eq!(counted(&right), counted(&far));
    assert_eq!(counted(&right), counted(&gate), "what a gate has let through has its outputs");
}
