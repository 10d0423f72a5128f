//! Messages that are not delivered before their time.

use super::*;

#[test]
fn a_scheduled_message_comes_at_its_time_and_lets_others_pass() {
    let (mut queue, group, _) = served(TERMS, 10);
    push_at(&mut queue, 0, 9, Some(30), letter(0)).unwrap();
    push_at(&mut queue, 0, 4, Some(20), letter(1)).unwrap();
    push_at(&mut queue, 5, 4, Some(5), letter(2)).unwrap();
    push(&mut queue, letter(3));
    assert_eq!(ids(&deal(&mut queue, 5)), [2, 3]);
    assert_eq!(queue.group_figures(group).waiting, 2);
    let standings: Vec<Standing> = queue.peek(Position(0), false, 9).into_iter().map(|seen| seen.standing).collect();
    assert_eq!(standings, [Standing::Waiting(30), Standing::Waiting(20), Standing::Leased, Standing::Leased]);
    assert_eq!(queue.next_deadline_ms(), Some(15), "the leases end");
    assert_eq!(ids(&tick(&mut queue, 19)), [2, 3]);
    assert_eq!(ids(&tick(&mut queue, 20)), [1]);
    assert_eq!(ids(&tick(&mut queue, 31)), [0, 1, 2, 3]);
}

#[test]
fn a_scheduled_message_waits_whatever_else_happens() {
    let (mut queue, group, consumer) = served(TERMS, 10);
    let at = push_at(&mut queue, 0, 4, Some(50), keyed(0, 1)).unwrap();
    assert!(deal(&mut queue, 0).is_empty());
    queue.detach(1, group, consumer);
    queue.attach(group, credit(5)).unwrap();
    queue.pause();
    queue.resume();
    let (late, _) = queue.add_group("late", BY_KEY, false).unwrap();
    queue.attach(late, credit(5)).unwrap();
    queue.remove_group(group);
    let (again, _) = queue.add_group("workers", GroupOptions::default(), false).unwrap();
    let puller = queue.attach(again, credit(5)).unwrap();
    queue.pull(2, again, puller, 5);
    assert!(tick(&mut queue, 49).is_empty());
    assert_eq!(queue.peek(at, false, 1)[0].standing, Standing::Waiting(50));
    assert_eq!(tick(&mut queue, 50).len(), 2);
}

#[test]
fn a_group_that_looks_late_gets_it_at_once() {
    let (mut queue, group) = grouped(TERMS, GroupOptions::default());
    push_at(&mut queue, 0, 4, Some(50), letter(0)).unwrap();
    push(&mut queue, letter(1));
    queue.on_time(60);
    queue.attach(group, credit(2)).unwrap();
    assert_eq!(ids(&deal(&mut queue, 60)), [0, 1]);
}

/// A scheduled message that had a key vanished in a group that does not keep keys in order: its turn came, and there
/// was no place where keys stand.
#[test]
fn a_scheduled_message_with_a_key_comes_in_a_group_without_keys() {
    let (mut queue, _, _) = served(TERMS, 10);
    push_at(&mut queue, 0, 4, Some(50), keyed(0, 7)).unwrap();
    assert!(deal(&mut queue, 0).is_empty());
    assert_eq!(drain(&mut queue, 50), [0]);
    assert!(queue.is_empty());
}

#[test]
fn a_scheduled_message_of_a_key_comes_when_the_key_is_free() {
    let (mut queue, group) = grouped(TERMS, BY_KEY);
    queue.attach(group, Credit { messages: 10, lease_ms: None }).unwrap();
    push_at(&mut queue, 0, 4, Some(50), keyed(0, 7)).unwrap();
    push(&mut queue, keyed(1, 7));
    push(&mut queue, keyed(2, 7));
    let first = deal(&mut queue, 0);
    assert_eq!(ids(&first), [1]);
    assert!(tick(&mut queue, 50).is_empty());
    first[0].ack(&mut queue);
    assert_eq!(drain(&mut queue, 50), [2, 0]);
}

/// What was taken out of the queue while it waited stayed in memory until its time, which may be a year away.
#[test]
fn what_is_taken_out_waits_no_longer() {
    let (mut queue, group, _) = served(TERMS, 10);
    for round in 0..100 {
        push_at(&mut queue, 0, 4, Some(1 << 40), letter(round)).unwrap();
        push(&mut queue, letter(round));
        let given = deal(&mut queue, 0);
        given[0].settle(&mut queue, 0, Verdict::Nack { delay_ms: Some(1 << 40) }).unwrap();
        assert_eq!(queue.group_figures(group).waiting, 2);
        assert_eq!(queue.purge(), 2);
        check(&queue);
        assert_eq!(queue.group_figures(group), GroupFigures { consumers: 1, ..GroupFigures::default() });
    }
    assert_eq!(queue.next_deadline_ms(), None);
}
