//! Threads that call the same rule at the same time have places of their own for what each call touches.

use std::{
    cell::Cell,
    sync::atomic::{AtomicUsize, Ordering},
};

/// Places; more threads than these share.
pub(crate) const SHARDS: usize = 4;

/// The place of this thread.
pub(crate) fn shard() -> usize {
    static NEXT: AtomicUsize = AtomicUsize::new(0);
    thread_local! {
        static MINE: Cell<usize> = const { Cell::new(usize::MAX) };
    }
    MINE.with(|mine| {
        if mine.get() == usize::MAX {
            mine.set(NEXT.fetch_add(1, Ordering::Relaxed) % SHARDS);
        }
        mine.get()
    })
}
