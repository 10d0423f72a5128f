//! Delivering, settling, delivering again: nothing that was acknowledged comes again, nothing else is lost.

use super::*;

const NACK: Verdict = Verdict::Nack { delay_ms: None };

#[test]
fn messages_come_in_the_order_in_which_they_were_pushed_and_once() {
    let (mut queue, _, _) = served(TERMS, 3);
    push_all(&mut queue, 0..10);
    assert_eq!(drain(&mut queue, 0), (0..10).collect::<Vec<_>>());
    assert!(queue.is_empty());
    assert_eq!((queue.counts().acked, queue.counts().delivered, queue.counts().redelivered), (10, 10, 0));
}

#[test]
fn a_higher_priority_goes_first_and_each_keeps_its_order() {
    let (mut queue, _, _) = served(TERMS, 100);
    for (id, priority) in [4, 9, 0, 4, 9, 200].into_iter().enumerate() {
        push_at(&mut queue, 0, priority, None, letter(id as u64)).unwrap();
    }
    assert_eq!(ids(&deal(&mut queue, 0)), [1, 4, 5, 0, 3, 2]);
    assert_eq!(queue.lines.len(), 3, "a priority above the highest has a line of its own");
}

#[test]
fn a_returned_message_goes_before_those_that_follow_it_and_after_a_higher_priority() {
    let (mut queue, _, _) = served(TERMS, 1);
    push_all(&mut queue, 0..3);
    let first = deal(&mut queue, 0)[0];
    push_at(&mut queue, 0, 9, None, letter(9)).unwrap();
    first.settle(&mut queue, 0, NACK).unwrap();
    assert_eq!(drain(&mut queue, 0), [9, 0, 1, 2]);
}

#[test]
fn a_lease_that_ends_is_delivered_again_and_its_late_acknowledgement_counts_while_nobody_has_it() {
    let (mut queue, group, _) = served(TERMS, 2);
    push_all(&mut queue, 0..2);
    let given = deal(&mut queue, 0);
    assert_eq!(queue.next_deadline_ms(), Some(10));
    queue.on_time(9);
    assert!(given[1].settle(&mut queue, 9, Verdict::Ack).is_ok());
    queue.on_time(10);
    check(&queue);
    assert_eq!(queue.group_figures(group).leased, 0);
    assert_eq!(given[0].settle(&mut queue, 10, NACK), Err(Stale), "it is returned already");
    assert_eq!(given[0].settle(&mut queue, 10, Verdict::Ack), Ok(()));
    assert!(queue.is_empty());
    assert_eq!(given[0].settle(&mut queue, 10, Verdict::Ack), Err(Stale));
}

#[test]
fn the_word_of_an_earlier_lease_does_not_count_against_the_next_one() {
    let (mut queue, group, _) = served(TERMS, 1);
    push(&mut queue, letter(0));
    let before = deal(&mut queue, 0)[0];
    let other = queue.attach(group, credit(1)).unwrap();
    let now = tick(&mut queue, 10)[0];
    assert_eq!((now.consumer, now.attempt), (other, 2));
    for verdict in [Verdict::Ack, NACK, Verdict::Reject, Verdict::Release] {
        assert_eq!(before.settle(&mut queue, 10, verdict), Err(Stale));
    }
    assert_eq!(queue.extend(10, group, before.position, before.lease.unwrap(), 99), Err(Stale));
    now.settle(&mut queue, 10, Verdict::Ack).unwrap();
    assert_eq!(fates(&mut queue), [(0, Fate::Acked)]);
}

#[test]
fn a_consumer_that_leaves_gives_back_what_it_had_in_order() {
    let (mut queue, group, consumer) = served(TERMS, 3);
    push_all(&mut queue, 0..4);
    let given = deal(&mut queue, 0);
    given[1].ack(&mut queue);
    queue.detach(0, group, consumer);
    check(&queue);
    queue.attach(group, credit(1)).unwrap();
    assert_eq!(drain(&mut queue, 0), [0, 2, 3]);
    assert_eq!(given[0].settle(&mut queue, 0, Verdict::Ack), Err(Stale));
}

#[test]
fn a_nack_waits_for_its_own_delay_or_for_that_of_the_queue() {
    let (mut queue, group, _) = served(Terms { retry_delay_ms: 50, ..TERMS }, 2);
    push_all(&mut queue, 0..2);
    let given = deal(&mut queue, 0);
    given[0].settle(&mut queue, 0, NACK).unwrap();
    given[1].settle(&mut queue, 0, Verdict::Nack { delay_ms: Some(20) }).unwrap();
    assert_eq!(queue.group_figures(group), GroupFigures { pending: 2, leased: 0, waiting: 2, consumers: 1 });
    assert!(tick(&mut queue, 19).is_empty());
    assert_eq!(queue.next_deadline_ms(), Some(20));
    assert_eq!(ids(&tick(&mut queue, 20)), [1]);
    assert_eq!(ids(&tick(&mut queue, 50)), [0]);
}

#[test]
fn a_release_comes_again_at_once_and_does_not_count() {
    let (mut queue, _, _) = served(Terms { retry_delay_ms: 50, deliveries_max: 1, ..TERMS }, 1);
    push(&mut queue, letter(0));
    for _ in 0..5 {
        let given = deal(&mut queue, 0)[0];
        assert_eq!(given.attempt, 1);
        given.settle(&mut queue, 0, Verdict::Release).unwrap();
    }
    assert_eq!(queue.counts().dead, 0);
}

#[test]
fn a_message_goes_to_the_dead_letters_when_it_was_delivered_too_often_or_is_rejected() {
    let (mut queue, group, consumer) = served(Terms { deliveries_max: 3, ..TERMS }, 2);
    push_all(&mut queue, 0..2);
    let given = deal(&mut queue, 0);
    given[1].settle(&mut queue, 0, Verdict::Reject).unwrap();
    given[0].settle(&mut queue, 0, NACK).unwrap();
    assert_eq!(fates(&mut queue), [(1, Fate::Dead(Death::Rejected))]);
    assert_eq!(deal(&mut queue, 0)[0].attempt, 2);
    queue.detach(0, group, consumer);
    queue.attach(group, credit(1)).unwrap();
    assert_eq!(deal(&mut queue, 0)[0].attempt, 3);
    queue.on_time(10);
    let events = queue.take_events();
    let Some(Event::Gone { fate: Fate::Dead(Death::Deliveries), attempts: 3, left: Left::Item(item), .. }) =
        events.first()
    else {
        panic!("{events:?}");
    };
    assert_eq!((item.id, queue.len(), queue.counts().dead), (0, 0, 2));
    check(&queue);
}

#[test]
fn a_group_that_is_at_most_once_is_done_before_it_delivers() {
    let (mut queue, group) = grouped(TERMS, ONCE);
    let consumer = queue.attach(group, credit(2)).unwrap();
    push_all(&mut queue, 0..5);
    queue.deal(0);
    let events = queue.take_events();
    assert!(matches!(events[0], Event::Gone { position: Position(0), fate: Fate::Acked, .. }));
    assert!(matches!(events[1], Event::Deliver { position: Position(0), lease: None, attempt: 1, .. }));
    assert_eq!((given(events).len(), queue.len()), (2, 3));
    assert!(deal(&mut queue, 0).is_empty(), "more than its credit");
    queue.taken(group, consumer, 1);
    assert_eq!(ids(&deal(&mut queue, 0)), [2]);
    queue.taken(group, consumer, u32::MAX);
    queue.detach(0, group, consumer);
    queue.attach(group, credit(9)).unwrap();
    assert_eq!(ids(&deal(&mut queue, 0)), [3, 4], "one of them came twice, or not at all");
}

#[test]
fn an_extended_lease_ends_at_its_new_time_earlier_or_later() {
    let (mut queue, group, _) = served(TERMS, 2);
    push_all(&mut queue, 0..2);
    let given = deal(&mut queue, 0);
    let lease = |n: usize| (given[n].position, given[n].lease.unwrap());
    queue.extend(5, group, lease(0).0, lease(0).1, 100).unwrap();
    queue.extend(5, group, lease(1).0, lease(1).1, 1).unwrap();
    assert_eq!(queue.next_deadline_ms(), Some(6));
    queue.on_time(6);
    assert_eq!(queue.group_figures(group).leased, 1);
    queue.on_time(104);
    check(&queue);
    assert_eq!(queue.group_figures(group).leased, 1);
    assert_eq!(queue.next_deadline_ms(), Some(105));
    queue.on_time(105);
    assert_eq!(queue.group_figures(group).leased, 0);
}

#[test]
fn a_lease_without_an_end_lasts_as_long_as_its_consumer() {
    let (mut queue, group) = grouped(TERMS, GroupOptions::default());
    let consumer = queue.attach(group, Credit { messages: 1, lease_ms: None }).unwrap();
    push(&mut queue, letter(0));
    let given = deal(&mut queue, 0)[0];
    queue.extend(0, group, given.position, given.lease.unwrap(), 5).unwrap();
    assert!(tick(&mut queue, u64::MAX - 1).is_empty());
    assert_eq!(queue.next_deadline_ms(), None);
    queue.detach(0, group, consumer);
    assert_eq!(queue.group_figures(group).leased, 0);
}

#[test]
fn a_paused_queue_deals_nothing_and_takes_everything_else() {
    let (mut queue, group, consumer) = served(TERMS, 2);
    push_all(&mut queue, 0..2);
    let given = deal(&mut queue, 0);
    queue.pause();
    assert!(queue.is_paused());
    push_all(&mut queue, 2..4);
    given[0].ack(&mut queue);
    assert!(tick(&mut queue, 10).is_empty());
    queue.pull(10, group, consumer, 10);
    assert!(queue.take_events().is_empty());
    queue.resume();
    assert_eq!(drain(&mut queue, 10), [1, 2, 3]);
}

#[test]
fn an_expired_message_is_not_delivered_and_ends_with_its_lease() {
    let (mut queue, _, _) = served(TERMS, 1);
    push_at(&mut queue, 0, 4, None, Letter { expires_at_ms: 5, ..letter(0) }).unwrap();
    push_at(&mut queue, 0, 4, None, Letter { expires_at_ms: 7, ..letter(1) }).unwrap();
    push(&mut queue, letter(2));
    let first = deal(&mut queue, 5)[0];
    assert_eq!(first.id, 0, "a deadline is the last moment");
    assert_eq!(queue.next_deadline_ms(), Some(6));
    queue.on_time(8);
    check(&queue);
    assert_eq!(fates(&mut queue), [(1, Fate::Expired)]);
    first.settle(&mut queue, 8, NACK).unwrap();
    assert_eq!(
        ids(&given({
            queue.deal(8);
            queue.take_events()
        })),
        [2]
    );
    assert_eq!((queue.counts().expired, queue.len()), (2, 1));
}

/// A message that had expired while a consumer had it was never looked at again when it came back and no consumer was
/// left: a queue that rejects stayed full of it for ever.
#[test]
fn what_expired_under_a_lease_expires_when_it_comes_back() {
    let (mut queue, group, consumer) = served(Terms { messages_max: 1, retry_delay_ms: 1_000, ..TERMS }, 1);
    push_at(&mut queue, 0, 4, None, Letter { expires_at_ms: 5, ..letter(0) }).unwrap();
    assert_eq!(deal(&mut queue, 0).len(), 1);
    queue.on_time(8);
    queue.detach(8, group, consumer);
    assert_eq!(queue.next_deadline_ms(), Some(8), "it is overdue");
    assert!(push_at(&mut queue, 8, 4, None, letter(1)).is_ok());
    assert_eq!((queue.counts().expired, queue.group_figures(group).waiting), (1, 0));
}

/// The same when one of two groups is done with it.
#[test]
fn what_expired_under_a_lease_expires_for_the_other_groups_when_that_one_is_done() {
    let (mut queue, _, _) = served(TERMS, 1);
    let (other, _) = queue.add_group("other", GroupOptions::default(), false).unwrap();
    push_at(&mut queue, 0, 4, None, Letter { expires_at_ms: 5, ..letter(0) }).unwrap();
    let given = deal(&mut queue, 0)[0];
    queue.on_time(8);
    given.settle(&mut queue, 8, Verdict::Ack).unwrap();
    queue.on_time(9);
    assert_eq!((queue.len(), queue.group_figures(other).pending), (0, 0));
}

#[test]
fn a_message_that_its_store_refused_is_as_if_it_had_not_been() {
    let (mut queue, group, _) = served(TERMS, 5);
    let void = letter(0);
    void.is_void.set(true);
    push(&mut queue, void);
    push(&mut queue, letter(1));
    assert_eq!(ids(&deal(&mut queue, 0)), [1]);
    assert_eq!((queue.len(), queue.group_figures(group).pending), (1, 1));
    let void = letter(2);
    push(&mut queue, void.clone());
    assert!(!queue.end_void());
    void.is_void.set(true);
    assert!(queue.end_void());
    check(&queue);
    assert_eq!(fates(&mut queue), [(2, Fate::Void)]);
}

#[test]
fn the_events_of_acknowledgements_can_be_left_out() {
    let (mut queue, _, _) = served(TERMS, 5);
    push_all(&mut queue, 0..2);
    queue.deal(0);
    let given = given(queue.take_events());
    given[0].ack(&mut queue);
    given[1].settle(&mut queue, 0, Verdict::Reject).unwrap();
    queue.drop_acked_events();
    let mut events = Vec::with_capacity(8);
    queue.swap_events(&mut events);
    assert_eq!(events.len(), 1);
    assert!(queue.take_events().is_empty());
}

/// All messages were looked through each time that one of them expired.
#[test]
fn a_long_queue_is_not_looked_through_for_each_message_that_expires() {
    let (mut queue, _, _) = served(TERMS, 1);
    for id in 0..20_000 {
        push_at(&mut queue, 0, 4, None, Letter { expires_at_ms: 100 + id, ..letter(id) }).unwrap();
    }
    queue.on_time(101);
    assert_eq!((queue.len(), queue.next_deadline_ms()), (19_999, Some(111)));
    queue.on_time(110);
    assert_eq!(queue.len(), 19_999);
    let given = deal(&mut queue, 110)[0];
    assert_eq!(given.id, 10, "an expired message was delivered");
    queue.on_time(111);
    assert_eq!((queue.len(), queue.counts().expired), (19_990, 10), "it is leased");
    assert_eq!(queue.next_deadline_ms(), Some(120), "the lease and the rest end");
    tick(&mut queue, 120);
    assert_eq!((queue.len(), queue.counts().expired), (19_980, 20));
}
