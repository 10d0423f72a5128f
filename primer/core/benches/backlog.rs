//! The queue behind a session, and the memory that messages in flight share.
//!
//! One message at a time through push, lease and acknowledgement, with nothing else or much else in flight.

use divan::{Bencher, black_box, black_box_drop};
use primer_core::{
    backlog::{Backlog, Bounds, Item, OverflowPolicy},
    message::{Message, NEVER_MS, Parts, Run},
};

const BOUNDS: Bounds = Bounds { messages_max: 1_000_000, bytes_max: 1 << 30, overflow: OverflowPolicy::DropOldest };
const PAYLOAD: [u8; 64] = [b'x'; 64];

fn main() {
    // As many calls a sample that the clock's precision does not show; `--sample-size` still has its say.
    divan::Divan::default().sample_size(1000).config_with_args().main();
}

struct Entry(Message);

impl Item for Entry {
    fn cost(&self) -> usize {
        self.0.len()
    }

    fn expires_at_ms(&self) -> u64 {
        self.0.expires_at_ms()
    }
}

fn parts() -> Parts<'static> {
    Parts { topic: "bench/topic", properties: &[], payload: &PAYLOAD, expires_at_ms: NEVER_MS }
}

/// Push, lease and acknowledge one message, while `in_flight` older ones are leased.
#[divan::bench(args = [0, 64, 512])]
fn push_lease_ack(bencher: Bencher<'_, '_>, in_flight: usize) {
    let message = Message::new(&parts());
    let mut queue = Backlog::new(BOUNDS);
    let mut leased = std::collections::VecDeque::new();
    let mut turn = move || {
        let accepted = queue.push(0, Entry(message.clone()));
        assert!(accepted.is_ok());
        leased.push_back(queue.lease(0).expect("a message waits").0);
        if leased.len() > in_flight { queue.ack(leased.pop_front()?) } else { None }
    };
    (0..in_flight).for_each(|_| assert!(turn().is_none()));
    bencher.bench_local(turn);
}

/// A message made of bytes that were read, in memory that it shares with others of the read, and dropped.
#[divan::bench]
fn message_in_a_run(bencher: Bencher<'_, '_>) {
    let source = [b"bench/topic".as_slice(), b"id", &PAYLOAD].concat().repeat(40);
    let topic = std::str::from_utf8(&source[..11]).expect("the topic is text");
    let parts = Parts { topic, properties: &[], payload: &source[13..77], expires_at_ms: NEVER_MS };
    let mut run = Run::of(&source);
    bencher.bench_local(|| black_box_drop(run.message(black_box(&parts))));
}

/// A message in memory of its own, as it is kept for a session that is away.
#[divan::bench]
fn message_of_its_own(bencher: Bencher<'_, '_>) {
    let source = [b"bench/topic".as_slice(), b"id", &PAYLOAD].concat().repeat(40);
    let topic = std::str::from_utf8(&source[..11]).expect("the topic is text");
    let parts = Parts { topic, properties: &[], payload: &source[13..77], expires_at_ms: NEVER_MS };
    let message = Run::of(&source).message(&parts);
    bencher.bench_local(|| black_box_drop(black_box(&message).compact()));
}
