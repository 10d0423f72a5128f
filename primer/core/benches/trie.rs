//! The subscription trie: matching in large tables, one filter with many subscribers, and change.
//!
//! Times of the trie alone. The lists are those of docs/performance.md.

use divan::{Bencher, black_box, counter::ItemsCount};
use primer_core::trie::Trie;

const FILTERS: u32 = 100_000;

fn main() {
    // As many calls a sample that the clock's precision does not show; `--sample-size` still has its say.
    divan::Divan::default().sample_size(1000).config_with_args().main();
}

fn trie_of(filters: impl Iterator<Item = String>) -> Trie<u32, u8> {
    let mut trie = Trie::new();
    for (key, filter) in (0..).zip(filters) {
        trie.insert(&filter, None, key, 0).expect("the filter is within the limits");
    }
    trie
}

fn count(trie: &Trie<u32, u8>, topic: &str) -> usize {
    let mut found = 0;
    trie.matching(topic, |subscribers| found += subscribers.direct_len());
    found
}

/// A topic that one of 100,000 literal filters matches.
#[divan::bench]
fn match_one_literal_of_100_000(bencher: Bencher<'_, '_>) {
    let trie = trie_of((0..FILTERS).map(|n| format!("site/{}/device/{n}", n % 100)));
    assert_eq!(count(&trie, "site/21/device/54321"), 1);
    bencher.bench_local(|| count(&trie, black_box("site/21/device/54321")));
}

/// A topic that one of 100,000 filters `a/+/N/#` matches.
#[divan::bench]
fn match_one_wildcard_of_100_000(bencher: Bencher<'_, '_>) {
    let trie = trie_of((0..FILTERS).map(|n| format!("a/+/{n}/#")));
    assert_eq!(count(&trie, "a/x/54321/y"), 1);
    bencher.bench_local(|| count(&trie, black_box("a/x/54321/y")));
}

/// The 500 subscribers of one filter, each looked at.
#[divan::bench]
fn visit_500_subscribers(bencher: Bencher<'_, '_>) {
    let trie = trie_of((0..500).map(|_| "bench/topic".to_owned()));
    bencher.counter(ItemsCount::new(500_usize)).bench_local(|| {
        let mut sum = 0_u64;
        trie.matching(black_box("bench/topic"), |subscribers| {
            sum += subscribers.direct().map(|(key, _)| u64::from(key)).sum::<u64>();
        });
        sum
    });
}

/// A filter comes into a table of 100,000 and goes again.
#[divan::bench]
fn insert_and_remove_among_100_000(bencher: Bencher<'_, '_>) {
    let mut trie = trie_of((0..FILTERS).map(|n| format!("a/+/{n}/#")));
    bencher.bench_local(|| {
        let filter = black_box("a/+/new/#");
        trie.insert(filter, None, FILTERS, 0).expect("the filter is within the limits");
        trie.remove(filter, None, FILTERS)
    });
}

/// A subscriber comes to a filter that 10,000 have, and goes again: what must not scan them.
#[divan::bench]
fn join_and_leave_10_000_subscribers(bencher: Bencher<'_, '_>) {
    let mut trie = trie_of((0..10_000).map(|_| "bench/topic".to_owned()));
    bencher.bench_local(|| {
        let filter = black_box("bench/topic");
        trie.insert(filter, None, FILTERS, 0).expect("the filter is within the limits");
        trie.remove(filter, None, FILTERS)
    });
}
