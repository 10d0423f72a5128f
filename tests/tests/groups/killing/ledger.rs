//! What was published, who got it, and whether that is right.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Mutex;
use std::time::{Duration, Instant};

use super::{GROUPS, PUBLISHERS};

/// An acknowledgement is durable 50 ms after it came; a machine that does much else takes its time until it has come.
const SURE: Duration = Duration::from_millis(600);

/// Faults of one kind that are told.
const TOLD_MAX: usize = 5;

/// A message: its publisher and number.
type Key = (String, u64);

#[derive(Debug, Default)]
struct Of {
    /// In the order of coming.
    came: Vec<Key>,
    /// When it was acknowledged last, and by whom.
    acked: BTreeMap<Key, (Instant, &'static str)>,
    dead: BTreeSet<Key>,
    twice: u64,
    faults: Vec<String>,
}

#[derive(Debug, Default)]
struct Inner {
    /// And when.
    acknowledged: BTreeMap<Key, Instant>,
    sent: u64,
    /// When the broker was killed, or a consumer went without reading what came: its last words may be lost.
    breaks: Vec<(Instant, Option<&'static str>)>,
    groups: BTreeMap<String, Of>,
    plain: BTreeSet<Key>,
}

/// See the module's description.
#[derive(Debug, Default)]
pub(super) struct Ledger(Mutex<Inner>);

fn key(text: &str) -> Key {
    let mut words = text.split(' ');
    let publisher = words.next().expect("a publisher").to_owned();
    (publisher, words.next().and_then(|number| number.parse().ok()).expect("a number"))
}

impl Ledger {
    fn with<R>(&self, act: impl FnOnce(&mut Inner) -> R) -> R {
        act(&mut self.0.lock().unwrap_or_else(std::sync::PoisonError::into_inner))
    }

    pub(super) fn note_break(&self, consumer: Option<&'static str>) {
        self.with(|inner| inner.breaks.push((Instant::now(), consumer)));
    }

    pub(super) fn note_sent(&self) {
        self.with(|inner| inner.sent += 1);
    }

    pub(super) fn acknowledged(&self, publisher: &str, number: u64) {
        self.with(|inner| inner.acknowledged.insert((publisher.to_owned(), number), Instant::now()));
    }

    /// A consumer got it.
    pub(super) fn came(&self, group: &str, text: &str) {
        let key = key(text);
        self.with(|inner| {
            let of = inner.groups.entry(group.to_owned()).or_default();
            if let Some((acked, consumer)) = of.acked.get(&key) {
                // Sure is what was acknowledged long before anything broke.
                let may_be_lost = inner.breaks.iter().any(|(at, of)| {
                    of.is_none_or(|of| of == *consumer) && *at >= *acked && at.duration_since(*acked) < SURE
                });
                if !may_be_lost {
                    of.faults.push(format!("{group}: {key:?} again, {:?} after its acknowledgement", acked.elapsed()));
                }
                of.twice += 1;
            }
            of.came.push(key);
        });
    }

    /// And has acknowledged it.
    pub(super) fn acked(&self, group: &str, consumer: &'static str, text: &str) {
        let key = key(text);
        self.with(|inner| {
            inner.groups.entry(group.to_owned()).or_default().acked.insert(key, (Instant::now(), consumer));
        });
    }

    pub(super) fn add_dead(&self, group: &str, text: &str) {
        self.with(|inner| inner.groups.entry(group.to_owned()).or_default().dead.insert(key(text)));
    }

    pub(super) fn add_plain(&self, text: &str) {
        self.with(|inner| inner.plain.insert(key(text)));
    }

    pub(super) fn judge(&self, rounds: u64, took: Duration) {
        self.with(|inner| {
            let mut faults = Vec::new();
            let mut figures = Vec::new();
            for group in GROUPS {
                let of = inner.groups.entry(group.to_owned()).or_default();
                faults.extend(of.faults.iter().take(TOLD_MAX).cloned());
                let distinct: BTreeSet<&Key> = of.came.iter().collect();
                figures.push(format!(
                    "{group}: {} deliveries of {}, {} after an acknowledgement, {} dead",
                    of.came.len(),
                    distinct.len(),
                    of.twice,
                    of.dead.len()
                ));
                let lost: Vec<&Key> = inner.acknowledged.keys().filter(|key| !distinct.contains(key)).collect();
                let lost: Vec<&Key> = lost.into_iter().filter(|key| !of.dead.contains(*key)).collect();
                if group == "once" {
                    // What was given to a connection that died is gone, and a kill takes what was not written yet.
                    figures.push(format!("once: {} given to nobody", lost.len()));
                    let twice = of.came.len() - distinct.len();
                    if twice > 0 {
                        faults.push(format!("once: {twice} came twice"));
                    }
                } else if !lost.is_empty() {
                    faults.push(format!(
                        "{group}: {} lost: {}",
                        lost.len(),
                        tell(&lost, &inner.acknowledged, &inner.breaks)
                    ));
                }
            }
            faults.extend(order(&inner.groups["keys"].came));
            let plain: Vec<&Key> = inner
                .acknowledged
                .keys()
                .filter(|(publisher, _)| {
                    PUBLISHERS.iter().any(|(id, _, _, topic)| id == publisher && *topic == "shared/x")
                })
                .filter(|key| !inner.plain.contains(*key))
                .collect();
            if !plain.is_empty() {
                faults.push(format!(
                    "plain: {} lost: {}",
                    plain.len(),
                    tell(&plain, &inner.acknowledged, &inner.breaks)
                ));
            }
            println!(
                "{rounds} kills, {} published, {} of them acknowledged\n{}\n{} faults, {:.1} s",
                inner.sent,
                inner.acknowledged.len(),
                figures.join("\n"),
                faults.len(),
                took.as_secs_f64()
            );
            assert!(faults.is_empty(), "{} faults:\n{}", faults.len(), faults.join("\n"));
            assert!(inner.acknowledged.len() as u64 > rounds * 30, "so few messages prove nothing");
        });
    }
}

/// Some of what is lost, and how long before a kill it was acknowledged.
fn tell(lost: &[&Key], acknowledged: &BTreeMap<Key, Instant>, breaks: &[(Instant, Option<&'static str>)]) -> String {
    let kills: Vec<Instant> = breaks.iter().filter(|(_, of)| of.is_none()).map(|(at, _)| *at).collect();
    let one = |key: &&Key| {
        let at = acknowledged[*key];
        let next = kills.iter().position(|kill| *kill > at);
        let before = next.map(|kill| kills[kill].duration_since(at));
        format!("{key:?} ({before:?} before kill {next:?})")
    };
    lost.iter().take(4 * TOLD_MAX).map(one).collect::<Vec<_>>().join(", ")
}

/// Of one key nothing overtakes: a message comes first after all before it had come.
fn order(came: &[Key]) -> Vec<String> {
    let mut faults = Vec::new();
    let mut last: BTreeMap<&str, u64> = BTreeMap::new();
    let mut seen = BTreeSet::new();
    for key in came.iter().filter(|key| seen.insert(*key)) {
        if let Some(before) = last.insert(&key.0, key.1).filter(|before| *before > key.1) {
            faults.push(format!("keys: {key:?} after {before}"));
        }
    }
    faults.truncate(TOLD_MAX);
    faults
}
