//! What happens at the high watermark, and what else goes without a consumer's word.

use super::*;

fn full(overflow: Overflow) -> Queue<Letter> {
    let (mut queue, group) = grouped(Terms { messages_max: 20, overflow, ..TERMS }, GroupOptions::default());
    queue.attach(group, credit(3)).unwrap();
    push_all(&mut queue, 0..20);
    queue
}

#[test]
fn a_queue_that_rejects_keeps_what_it_has() {
    let mut queue = full(Overflow::Reject);
    assert_eq!(push_at(&mut queue, 0, 9, None, letter(20)), Err(Refused::QueueFull));
    assert_eq!((queue.len(), queue.counts().refused, queue.counts().pushed), (20, 1, 20));
    assert_eq!(drain(&mut queue, 0), (0..20).collect::<Vec<_>>());
}

#[test]
fn the_oldest_that_nobody_has_go_down_to_nine_tenths() {
    for (overflow, fate) in [(Overflow::DropOldest, Fate::Trimmed), (Overflow::DeadLetter, Fate::Dead(Death::Overflow))]
    {
        let mut queue = full(overflow);
        let leased = deal(&mut queue, 0);
        assert_eq!(ids(&leased), [0, 1, 2]);
        push(&mut queue, letter(20));
        check(&queue);
        assert_eq!(fates(&mut queue), [(3, fate), (4, fate), (5, fate)]);
        assert_eq!(queue.len(), 18);
        let counted = (queue.counts().trimmed, queue.counts().dead);
        assert_eq!(counted, if overflow == Overflow::DropOldest { (3, 0) } else { (0, 3) });
    }
}

#[test]
fn the_lowest_priority_goes_first_and_expired_ones_before_all() {
    let mut queue = queue(Terms { messages_max: 10, overflow: Overflow::DropOldest, ..TERMS });
    for id in 0..10 {
        let priority = if id < 9 { 9 } else { 0 };
        push_at(&mut queue, 0, priority, None, letter(id)).unwrap();
    }
    push_at(&mut queue, 0, 4, None, letter(10)).unwrap();
    assert_eq!(fates(&mut queue), [(9, Fate::Trimmed), (0, Fate::Trimmed)]);
    queue.purge();
    for id in 11..21 {
        let expires_at_ms = if id == 15 { 3 } else { u64::MAX };
        push_at(&mut queue, 0, 4, None, Letter { expires_at_ms, ..letter(id) }).unwrap();
    }
    queue.take_events();
    push_at(&mut queue, 4, 4, None, letter(21)).unwrap();
    assert_eq!(fates(&mut queue), [(15, Fate::Expired)], "what has expired makes enough room");
}

#[test]
fn bytes_count_like_messages() {
    let mut queue = queue(Terms { bytes_max: 100, overflow: Overflow::DropOldest, ..TERMS });
    for id in 0..10 {
        push(&mut queue, Letter { cost: 10, ..letter(id) });
    }
    push(&mut queue, Letter { cost: 15, ..letter(10) });
    check(&queue);
    assert_eq!((queue.bytes(), queue.len()), (85, 8));
    assert!(push_at(&mut queue, 0, 4, None, Letter { cost: 101, ..letter(11) }).is_err());
    assert_eq!(queue.len(), 8, "a message that cannot fit trims nothing");
}

/// When what is leased left no room, all the others were trimmed, and the message was refused nevertheless.
#[test]
fn nothing_is_trimmed_when_what_is_leased_leaves_no_room() {
    let (mut queue, group) =
        grouped(Terms { bytes_max: 100, overflow: Overflow::DropOldest, ..TERMS }, GroupOptions::default());
    let (other, _) = queue.add_group("other", GroupOptions::default(), false).unwrap();
    queue.attach(group, credit(8)).unwrap();
    queue.attach(other, credit(8)).unwrap();
    for id in 0..10 {
        push(&mut queue, Letter { cost: 10, ..letter(id) });
    }
    assert_eq!(deal(&mut queue, 0).len(), 16);
    assert!(push_at(&mut queue, 0, 4, None, Letter { cost: 30, ..letter(10) }).is_err());
    assert_eq!((queue.len(), queue.counts().trimmed), (10, 0));
    assert!(push_at(&mut queue, 0, 4, None, Letter { cost: 20, ..letter(11) }).is_ok());
    assert_eq!((queue.len(), queue.counts().trimmed), (9, 2));
    queue.set_terms(Terms { messages_max: 0, ..*queue.terms() });
    assert!(push_at(&mut queue, 0, 4, None, letter(12)).is_err());
    assert_eq!(queue.len(), 9);
}

#[test]
fn new_terms_count_from_the_next_push_on() {
    let mut queue = full(Overflow::Reject);
    queue.set_terms(Terms { messages_max: 10, overflow: Overflow::DropOldest, ..TERMS });
    assert_eq!(queue.len(), 20);
    push(&mut queue, letter(20));
    assert_eq!(queue.len(), 9);
}

#[test]
fn a_purge_and_a_removal_leave_what_is_leased() {
    let mut queue = full(Overflow::Reject);
    let leased = deal(&mut queue, 0);
    assert!(queue.remove_one(leased[0].position).is_none());
    assert!(matches!(queue.remove_one(Position(7)), Some(Left::Item(Letter { id: 7, .. }))));
    assert!(queue.remove_one(Position(7)).is_none());
    assert!(queue.remove_one(Position(99)).is_none());
    assert_eq!(queue.purge(), 16);
    check(&queue);
    assert_eq!((queue.len(), queue.counts().removed), (3, 17));
    leased.iter().for_each(|one| one.ack(&mut queue));
    assert!(queue.is_empty());
}

#[test]
fn a_queue_that_ends_says_what_was_in_it() {
    let mut queue = full(Overflow::Reject);
    deal(&mut queue, 0);
    let all = queue.drain();
    assert_eq!(all.len(), 20);
    assert!(all.iter().is_sorted_by_key(|(position, _)| *position));
    check(&queue);
    assert_eq!((queue.len(), queue.bytes(), queue.memory()), (0, 0, 0));
}
