//! What was published, what came of it, and whether that is right.

use std::collections::{BTreeMap, BTreeSet};

use primer_harness::wire::Publish;

use super::publisher::Sent;

/// Faults of one kind of one pair that are told.
const TOLD_MAX: usize = 5;

/// What one subscriber received, in its order, by publisher.
#[derive(Debug)]
pub(super) struct Received {
    pub(super) id: &'static str,
    pub(super) qos: u8,
    numbers: BTreeMap<String, Vec<u64>>,
    distinct: BTreeMap<String, BTreeSet<u64>>,
}

/// What one subscriber has of one publisher.
#[derive(Debug, Default)]
pub(super) struct Verdict {
    pub(super) delivered: u64,
    /// Second copies that QoS 1 allows.
    pub(super) twice: u64,
    pub(super) faults: Vec<String>,
}

/// The number and something that depends on it; every now and then more than a page of the store has.
pub(super) fn payload_of(number: u64) -> Vec<u8> {
    let filling = if number.is_multiple_of(97) { 20_000 } else { number * 37 % 300 };
    let letter = b'a' + (number % 26) as u8;
    let mut payload = format!("{number} ").into_bytes();
    payload.resize(payload.len() + filling as usize, letter);
    payload
}

fn number_of(payload: &[u8]) -> Option<u64> {
    let number = payload.split(|byte| *byte == b' ').next()?;
    let number = std::str::from_utf8(number).ok()?.parse().ok()?;
    (payload_of(number) == payload).then_some(number)
}

impl Received {
    pub(super) fn new(id: &'static str, qos: u8) -> Self {
        Self { id, qos, numbers: BTreeMap::new(), distinct: BTreeMap::new() }
    }

    pub(super) fn add(&mut self, message: &Publish) {
        let Some(number) = number_of(&message.payload) else {
            panic!("{} received a message that nobody sent: {:?}", self.id, message.text());
        };
        let publisher = message.topic.trim_start_matches("kill/");
        self.numbers.entry(publisher.to_owned()).or_default().push(number);
        self.distinct.entry(publisher.to_owned()).or_default().insert(number);
    }

    pub(super) fn distinct(&self) -> u64 {
        self.distinct.values().map(|numbers| numbers.len() as u64).sum()
    }

    /// All of it is there, in the order of its first copies, and at QoS 2 once.
    pub(super) fn judge(&self, sent: &Sent) -> Verdict {
        let mut verdict = Verdict::default();
        let pair = format!("{} of {}", self.id, sent.id);
        let mut seen = BTreeSet::new();
        let mut tell = |text: String| {
            if verdict.faults.len() < TOLD_MAX {
                verdict.faults.push(text);
            }
        };
        let is_exactly_once = sent.qos == 2 && self.qos == 2;
        let mut last = None;
        for number in self.numbers.get(sent.id).into_iter().flatten() {
            verdict.delivered += 1;
            if !seen.insert(*number) {
                verdict.twice += u64::from(!is_exactly_once);
                if is_exactly_once {
                    tell(format!("{pair}: {number} twice"));
                }
                continue;
            }
            if sent.late.contains(number) {
                continue;
            }
            if last.is_some_and(|last| *number < last) {
                tell(format!("{pair}: {number} after {last:?}"));
            }
            last = Some(*number);
        }
        for number in (0..sent.count).filter(|number| !seen.contains(number)) {
            tell(format!("{pair}: {number} of {} is lost", sent.count));
        }
        verdict
    }
}
