//! Looking into a queue, page by page.

use super::*;
use crate::limits::PEEK_MAX;

fn page(queue: &Queue<Letter>, from: u64, is_backward: bool) -> Vec<u64> {
    queue.peek(Position(from), is_backward, 7).iter().map(|seen| seen.position.0).collect()
}

#[test]
fn pages_show_everything_once_in_both_directions_over_several_priorities() {
    let mut dice = Dice(1);
    for _ in 0..50 {
        let mut queue = queue(TERMS);
        for id in 0..dice.below(60) {
            let priority = u8::try_from(dice.below(4)).unwrap();
            push_at(&mut queue, 0, priority, None, letter(id)).unwrap();
        }
        for position in 0..60 {
            if dice.one_in(3) {
                queue.remove_one(Position(position));
            }
        }
        let mut all = queue.positions(|_| true);
        all.sort_unstable();
        let (mut seen, mut from) = (Vec::new(), 0);
        while let [.., last] = page(&queue, from, false)[..] {
            seen.extend(page(&queue, from, false));
            from = last + 1;
        }
        assert_eq!(seen, all);
        let (mut seen, mut from) = (Vec::new(), Some(u64::MAX));
        while let Some([.., last]) = from.map(|from| page(&queue, from, true)).as_deref() {
            seen.extend(page(&queue, from.unwrap(), true));
            from = last.checked_sub(1);
        }
        seen.reverse();
        assert_eq!(seen, all);
    }
}

#[test]
fn a_page_has_its_bound_and_changes_nothing() {
    let (mut queue, _, _) = served(TERMS, 1);
    push_all(&mut queue, 0..PEEK_MAX as u64 + 9);
    deal(&mut queue, 0);
    let seen = queue.peek(Position(0), false, usize::MAX);
    assert_eq!(seen.len(), PEEK_MAX);
    assert_eq!(seen[0].standing, Standing::Leased);
    assert_eq!((seen[1].standing, seen[1].priority), (Standing::Ready, 4));
    assert_eq!(seen[1].left, Left::Item(letter(1)));
    assert!(queue.take_events().is_empty() && queue.peek(Position(0), true, 0).is_empty());
    check(&queue);
}
