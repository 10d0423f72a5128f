//! Buffers of bytes on their way to clients: an idle connection owns none, a busy one does not grow a new one each
//! time.
//!
//! Each worker thread keeps a few that were given back. Which thread takes one and which gives it back does not matter.

use std::cell::RefCell;

/// Buffers that a worker keeps. It runs one connection at a time, which uses two, and delivers to some.
const KEPT_MAX: usize = 16;

/// A buffer that has grown beyond is not kept.
pub(crate) const KEPT_BYTES_MAX: usize = 64 * 1024;

thread_local! {
    static KEPT: RefCell<Vec<Vec<u8>>> = const { RefCell::new(Vec::new()) };
}

/// An empty buffer.
pub(crate) fn take() -> Vec<u8> {
    KEPT.with_borrow_mut(Vec::pop).unwrap_or_default()
}

/// Gives a buffer back; what is in it goes.
pub(crate) fn give(mut buffer: Vec<u8>) {
    if (1..=KEPT_BYTES_MAX).contains(&buffer.capacity()) {
        KEPT.with_borrow_mut(|kept| {
            if kept.len() < KEPT_MAX {
                buffer.clear();
                kept.push(buffer);
            }
        });
    }
}

/// Lets go of most of what a buffer does not use, for one that is going to wait.
pub(crate) fn shrink(buffer: &mut Vec<u8>) {
    if buffer.capacity() > 2 * buffer.len() + 1024 {
        buffer.shrink_to(buffer.len());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_given_back_is_taken_again_empty_and_only_so_much_is_kept() {
        give(vec![7; 100]);
        let taken = take();
        assert_eq!((taken.len(), taken.capacity()), (0, 100));
        assert_eq!(take().capacity(), 0, "there was one");
        give(vec![0; KEPT_BYTES_MAX + 1]);
        assert_eq!(take().capacity(), 0, "a large one is not kept");
        (0..2 * KEPT_MAX).for_each(|_| give(vec![0; 10]));
        assert_eq!((0..2 * KEPT_MAX).filter(|_| take().capacity() > 0).count(), KEPT_MAX);
    }

    #[test]
    fn a_buffer_that_waits_is_about_as_large_as_its_content() {
        let mut buffer = Vec::with_capacity(50_000);
        buffer.extend_from_slice(&[1; 100]);
        shrink(&mut buffer);
        assert_eq!((buffer.len(), buffer.capacity()), (100, 100));
    }
}
