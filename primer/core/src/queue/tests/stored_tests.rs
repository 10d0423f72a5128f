//! Messages that a store holds.

use super::*;
use crate::limits::{LOAD_WINDOW, READY_HOT_MAX};

fn stub(position: u64) -> Stub {
    Stub { position: Position(position), reference: position, len: 1, cost: 1, expires_at_ms: u64::MAX }
}

/// Reads what is asked for, and deals.
fn load(queue: &mut Queue<Letter>, now_ms: u64) -> Vec<Given> {
    let mut all = deal(queue, now_ms);
    loop {
        let stubs = queue.take_to_load();
        if stubs.is_empty() {
            return all;
        }
        stubs.into_iter().for_each(|stub| queue.fill(stub.position, written(stub.reference)));
        all.extend(deal(queue, now_ms));
    }
}

#[test]
fn what_is_stored_comes_in_its_order_once_it_was_read() {
    let (mut queue, group) = grouped(TERMS, GroupOptions::default());
    for position in 0..10 {
        queue.restore(if position == 7 { 9 } else { 4 }, None, &stub(position), |_| true);
    }
    check(&queue);
    assert_eq!((queue.len(), queue.hot, queue.next_position()), (10, 0, Position(10)));
    push(&mut queue, letter(10));
    queue.attach(group, credit(3)).unwrap();
    assert!(deal(&mut queue, 0).is_empty(), "it was delivered without having been read");
    assert_eq!(queue.take_to_load(), [stub(7)]);
    assert!(deal(&mut queue, 0).is_empty(), "what follows overtook it");
    let mut all = load(&mut queue, 0);
    assert_eq!(ids(&all), [7, 0, 1]);
    while let Some(given) = all.first() {
        given.ack(&mut queue);
        all.remove(0);
        all.extend(load(&mut queue, 0));
    }
    assert!(queue.is_empty());
    assert_eq!(queue.counts().acked, 11);
}

#[test]
fn a_message_that_cannot_be_read_is_gone_and_the_next_one_comes() {
    let (mut queue, group) = grouped(TERMS, GroupOptions::default());
    for position in 0..2 {
        queue.restore(4, None, &stub(position), |_| true);
    }
    queue.attach(group, credit(9)).unwrap();
    deal(&mut queue, 0);
    queue.lose(Position(0));
    queue.fill(Position(0), written(0));
    queue.fill(Position(1), written(1));
    queue.lose(Position(1));
    assert_eq!(fates(&mut queue), [(0, Fate::Lost)]);
    assert_eq!(ids(&deal(&mut queue, 0)), [1]);
    assert_eq!((queue.counts().lost, queue.len()), (1, 1));
}

#[test]
fn the_newest_written_ones_go_from_memory() {
    let (mut queue, group, _) = served(TERMS, 1);
    let hot = READY_HOT_MAX as u64;
    for id in 0..hot + 100 {
        push(&mut queue, if id < hot + 50 { written(id) } else { letter(id) });
    }
    queue.chill();
    check(&queue);
    assert_eq!(queue.hot, READY_HOT_MAX + 50, "what is not written stays");
    let last = queue.peek(Position(hot + 49), false, 2);
    assert_eq!((&last[0].left, &last[1].left), (&Left::Stub(stub(hot + 49)), &Left::Item(letter(hot + 50))));
    queue.set_credit(group, ConsumerId(0), u32::MAX);
    let all = load(&mut queue, 0);
    assert_eq!(ids(&all), (0..hot + 100).collect::<Vec<_>>());
    all.iter().for_each(|one| one.ack(&mut queue));
    assert_eq!((queue.hot, queue.hot_bytes, queue.memory()), (0, 0, 0));
}

#[test]
fn a_leased_message_that_went_from_memory_is_read_again_when_it_comes_back() {
    let (mut queue, _, _) = served(TERMS, u32::MAX);
    for id in 0..READY_HOT_MAX as u64 + 1 {
        push(&mut queue, written(id));
    }
    let all = deal(&mut queue, 0);
    queue.chill();
    let last = *all.last().unwrap();
    last.settle(&mut queue, 0, Verdict::Nack { delay_ms: None }).unwrap();
    assert!(deal(&mut queue, 0).is_empty());
    assert_eq!(load(&mut queue, 0)[0].attempt, 2);
    for one in &all[..READY_HOT_MAX] {
        one.ack(&mut queue);
    }
    queue.on_time(10);
    let late = Given { lease: last.lease, ..last };
    assert_eq!(late.settle(&mut queue, 10, Verdict::Ack), Ok(()), "nobody has it");
    assert!(queue.is_empty());
}

#[test]
fn one_read_asks_for_those_behind_and_no_more_than_a_window() {
    let (mut queue, group) = grouped(TERMS, BY_KEY);
    for position in 0..LOAD_WINDOW as u64 * 2 {
        queue.restore(4, None, &stub(position), |_| true);
    }
    queue.attach(group, credit(1)).unwrap();
    deal(&mut queue, 0);
    deal(&mut queue, 0);
    assert_eq!(queue.take_to_load().len(), LOAD_WINDOW);
}

#[test]
fn cold_messages_of_a_key_keep_their_order() {
    let (mut queue, group) = grouped(TERMS, BY_KEY);
    let mut letters = Vec::new();
    for id in 0..READY_HOT_MAX as u64 * 2 {
        let letter = Letter { key: Some(id % 5), ..written(id) };
        letters.push(letter.clone());
        push(&mut queue, letter);
    }
    queue.attach(group, credit(3)).unwrap();
    queue.attach(group, credit(3)).unwrap();
    let mut seen = [0; 5];
    let mut all = Vec::new();
    for turn in 0.. {
        queue.chill();
        queue.deal(0);
        let stubs = queue.take_to_load();
        stubs.into_iter().for_each(|stub| queue.fill(stub.position, letters[stub.reference as usize].clone()));
        queue.deal(0);
        all.extend(given(queue.take_events()));
        if all.is_empty() {
            break;
        }
        let one: Given = all.remove(turn % all.len());
        let last = &mut seen[(one.id % 5) as usize];
        assert_eq!(one.id / 5, *last, "out of order");
        *last += 1;
        one.ack(&mut queue);
    }
    check(&queue);
    assert!(queue.is_empty());
}

#[test]
fn an_earlier_life_goes_on() {
    let (mut queue, first) = grouped(Terms { deliveries_max: 3, ..TERMS }, GroupOptions::default());
    let (second, _) = queue.add_group("second", GroupOptions::default(), false).unwrap();
    queue.restore(4, Some(50), &stub(3), |_| true);
    queue.restore(4, None, &stub(5), |group| group == second);
    queue.restore(4, None, &stub(6), |_| true);
    queue.restore_attempts(second, Position(5), 1);
    queue.skip_to(Position(4));
    assert_eq!(queue.next_position(), Position(7));
    queue.skip_to(Position(9));
    assert_eq!([first, second].map(|group| queue.group_figures(group).pending), [2, 3]);
    let credit = Credit { messages: 9, lease_ms: None };
    queue.attach(first, credit).unwrap();
    queue.attach(second, credit).unwrap();
    let all = load(&mut queue, 0);
    let seen: Vec<_> = all.iter().map(|one| (one.group, one.id, one.attempt)).collect();
    assert_eq!(seen, [(first, 6, 1), (second, 5, 2), (second, 6, 1)]);
    assert_eq!(push(&mut queue, letter(9)), Position(9));
    queue.on_time(50);
    load(&mut queue, 50);
    assert_eq!(queue.counts().delivered, 7, "both have got the scheduled one");
}

/// A message that had been delivered as often as it may be before the node stopped was delivered once more each time
/// that the node started.
#[test]
fn what_was_delivered_too_often_in_an_earlier_life_goes_to_the_dead_letters() {
    let (mut queue, group) = grouped(Terms { deliveries_max: 3, ..TERMS }, GroupOptions::default());
    queue.restore(4, None, &stub(0), |_| true);
    queue.restore_attempts(group, Position(0), 3);
    queue.attach(group, credit(9)).unwrap();
    queue.deal(0);
    assert_eq!(fates(&mut queue), [(0, Fate::Dead(Death::Deliveries))]);
    check(&queue);
}

/// A message of which every group had been done, and the store had not got rid of, stood in the queue for ever.
#[test]
fn what_no_group_wants_is_not_put_back() {
    let (mut queue, group) = grouped(TERMS, GroupOptions::default());
    queue.restore(4, None, &stub(0), |_| false);
    check(&queue);
    assert_eq!((queue.len(), queue.next_position()), (0, Position(1)));
    assert_eq!(fates(&mut queue), [(0, Fate::Acked)]);
    assert_eq!(queue.group_figures(group).pending, 0);
}

#[test]
fn the_store_makes_room_and_what_is_leased_stays() {
    let (mut queue, _, _) = served(Terms { overflow: Overflow::DropOldest, ..TERMS }, 1);
    for id in 0..6 {
        push(&mut queue, if id == 2 { letter(id) } else { written(id) });
    }
    let given = deal(&mut queue, 0);
    queue.evict_below(4);
    check(&queue);
    assert_eq!(fates(&mut queue), [(1, Fate::Evicted), (3, Fate::Evicted)]);
    given[0].ack(&mut queue);
    assert_eq!(drain(&mut queue, 0), [2, 4, 5]);
}

/// A queue that refuses what it has no room for let go of what it had acknowledged.
#[test]
fn a_queue_that_rejects_makes_no_room_for_others() {
    let (mut queue, _, _) = served(Terms { overflow: Overflow::Reject, ..TERMS }, 0);
    for id in 0..3 {
        push(&mut queue, written(id));
    }
    queue.evict_below(9);
    assert_eq!((queue.len(), fates(&mut queue)), (3, Vec::new()));
}
