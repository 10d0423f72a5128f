//! A server's session and its queue against a simulated client, over a wire that is cut again and again.
//!
//! No thread, no clock: a seed says everything that happens. `SEEDS=5000` runs more of them, `SEEDS=17..18` the one.

mod client;
mod dice;
mod ledger;
mod message;
mod server;
mod tally;
mod world;

use std::ops::Range;

use tally::Tally;

const SEEDS: Range<u64> = 0..300;

#[expect(clippy::disallowed_methods, reason = "how long to search is the caller's to say; what a seed does is not")]
fn seeds() -> Range<u64> {
    let Ok(text) = std::env::var("SEEDS") else { return SEEDS };
    let number = |text: &str| text.parse().expect("SEEDS is a count or FIRST..END");
    match text.split_once("..") {
        Some((first, end)) => number(first)..number(end),
        None => 0..number(&text),
    }
}

/// Runs a seed; a failure names it.
fn run(seed: u64) -> (Vec<u8>, Tally) {
    std::panic::catch_unwind(|| world::run(seed)).unwrap_or_else(|failure| {
        let text = failure.downcast_ref::<String>().map(String::as_str);
        let text = text.or_else(|| failure.downcast_ref::<&str>().copied()).unwrap_or("?");
        panic!("seed {seed}: {text} (again: SEEDS={seed}..{})", seed + 1)
    })
}

#[test]
fn every_promise_is_kept_whatever_is_cut() {
    let mut sum = Tally::default();
    let seeds = seeds();
    let is_search = seeds.end - seeds.start >= SEEDS.end;
    for seed in seeds {
        sum.add(&run(seed).1);
    }
    assert!(!is_search || sum.rare(50).is_empty(), "hardly ever: {:?} of {sum:?}", sum.rare(50));
}

/// One seed replays all.
#[test]
fn a_seed_does_the_same_twice() {
    for seed in [1, 2, 3, 1 << 40] {
        assert_eq!(run(seed), run(seed));
    }
    assert_ne!(run(1).0, run(2).0);
}
