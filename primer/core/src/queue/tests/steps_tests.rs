//! Short random schedules of publishers, consumers, a store and crashes, each out of one seed.
//!
//! The store is a log: what is written to it becomes durable in order, at some later moment, and a crash loses the
//! rest. What the outside is told waits for that: a publisher for its message, a consumer for its acknowledgement, and
//! a delivery that is at-most-once for the word that it was made. After a crash the queue is built anew out of what is
//! durable.

mod world;

use std::panic::{AssertUnwindSafe, catch_unwind};

use self::world::World;

/// Runs a schedule; answers what happened, if asked for.
fn run(seed: u64, is_traced: bool) -> String {
    let mut world = World::new(seed, is_traced);
    let result = catch_unwind(AssertUnwindSafe(|| world.run()));
    let trace = world.take_trace();
    assert!(result.is_ok(), "the schedule of seed {seed} failed; {trace}");
    trace
}

fn run_all(seeds: std::ops::Range<u64>) {
    for seed in seeds {
        run(seed, false);
    }
}

#[test]
fn schedules_of_the_first_quarter_keep_all_promises() {
    run_all(0..25_000);
}

#[test]
fn schedules_of_the_second_quarter_keep_all_promises() {
    run_all(25_000..50_000);
}

#[test]
fn schedules_of_the_third_quarter_keep_all_promises() {
    run_all(50_000..75_000);
}

#[test]
fn schedules_of_the_last_quarter_keep_all_promises() {
    run_all(75_000..100_000);
}

#[test]
fn one_seed_is_one_schedule() {
    for seed in 0..200 {
        let trace = run(seed, true);
        assert!(trace.len() > 500, "{trace}");
        assert_eq!(trace, run(seed, true), "seed {seed}");
    }
    assert_ne!(run(0, true), run(1, true));
}

/// What the schedules come by, so that a quiet simulator is noticed.
#[test]
fn schedules_come_by_everything() {
    let all: String = (0..300).map(|seed| run(seed, true)).collect();
    for word in [
        "Acked",
        "Expired",
        "Trimmed",
        "Rejected",
        "Deliveries",
        "Overflow",
        "Lost",
        "Void",
        "crash",
        "leaves",
        "late",
        "told",
        "confirmed",
        "handed over",
        "duplicate",
        "QueueFull",
        "attempt 3",
    ] {
        assert!(all.contains(word), "no schedule comes by {word}");
    }
}
