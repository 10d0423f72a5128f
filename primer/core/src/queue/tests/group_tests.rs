//! Groups that come and go.

use super::*;
use crate::limits::GROUPS_MAX;

#[test]
fn every_group_gets_every_message_and_it_is_gone_after_the_last() {
    let (mut queue, workers, _) = served(TERMS, 5);
    let (audit, is_new) = queue.add_group("audit", ONCE, false).unwrap();
    assert!(is_new);
    assert_eq!(queue.add_group("audit", BY_KEY, true), Some((audit, false)));
    assert_eq!(queue.group_named("audit"), Some(audit));
    assert_eq!(
        queue.groups().map(|(group, name, _)| (group, name)).collect::<Vec<_>>(),
        [(workers, "workers"), (audit, "audit")]
    );
    queue.attach(audit, credit(1)).unwrap();
    push_all(&mut queue, 0..2);
    queue.deal(0);
    let events = queue.take_events();
    assert!(events.contains(&Event::Done {
        group: audit,
        position: Position(0),
        fate: Fate::Acked,
        attempts: 1,
        left: None
    }));
    let given = given(events);
    assert_eq!(given.iter().map(|one| one.group).collect::<Vec<_>>(), [workers, workers, audit]);
    given[0].ack(&mut queue);
    assert_eq!(fates(&mut queue), [(0, Fate::Acked)]);
    given[1].settle(&mut queue, 0, Verdict::Reject).unwrap();
    let events = queue.take_events();
    let [Event::Done { fate: Fate::Dead(Death::Rejected), left: Some(Left::Item(item)), .. }] = &events[..] else {
        panic!("{events:?}");
    };
    assert_eq!((item.id, queue.len(), queue.counts().dead), (1, 1, 1));
    check(&queue);
}

#[test]
fn messages_wait_for_the_first_group() {
    let mut queue = queue(TERMS);
    push_all(&mut queue, 0..3);
    check(&queue);
    let (group, _) = queue.add_group("late", GroupOptions::default(), false).unwrap();
    assert_eq!(queue.group_figures(group).pending, 3);
    queue.attach(group, credit(9)).unwrap();
    assert_eq!(drain(&mut queue, 0), [0, 1, 2]);
}

#[test]
fn a_first_group_that_begins_now_leaves_nothing_behind() {
    let mut queue = queue(TERMS);
    push_all(&mut queue, 0..3);
    let (group, _) = queue.add_group("now", GroupOptions::default(), true).unwrap();
    check(&queue);
    assert_eq!(fates(&mut queue).len(), 3);
    queue.attach(group, credit(9)).unwrap();
    push_at(&mut queue, 0, 9, None, letter(3)).unwrap();
    push(&mut queue, letter(4));
    assert_eq!(drain(&mut queue, 0), [3, 4]);
}

#[test]
fn a_later_group_begins_with_what_is_there_or_with_what_comes() {
    let (mut queue, first, _) = served(TERMS, 1);
    push_all(&mut queue, 0..3);
    let lead = deal(&mut queue, 0);
    lead[0].ack(&mut queue);
    let (old, _) = queue.add_group("old", GroupOptions::default(), false).unwrap();
    let (new, _) = queue.add_group("new", GroupOptions::default(), true).unwrap();
    push(&mut queue, letter(3));
    let figures = [first, old, new].map(|group| queue.group_figures(group).pending);
    assert_eq!(figures, [3, 3, 1]);
    queue.attach(old, credit(9)).unwrap();
    queue.attach(new, credit(9)).unwrap();
    let mut all = drain(&mut queue, 0);
    all.sort_unstable();
    assert_eq!(all, [1, 1, 2, 2, 3, 3, 3]);
    assert!(queue.is_empty());
}

#[test]
fn a_group_that_ends_takes_what_it_alone_wanted() {
    let (mut queue, first, _) = served(TERMS, 1);
    push_all(&mut queue, 0..3);
    let (second, _) = queue.add_group("second", GroupOptions::default(), true).unwrap();
    push_all(&mut queue, 3..5);
    let given = deal(&mut queue, 0);
    queue.remove_group(first);
    check(&queue);
    let fates: Vec<u64> = fates(&mut queue).into_iter().map(|(position, _)| position).collect();
    assert_eq!((fates.len(), queue.len(), queue.counts().removed), (5, 2, 3));
    assert_eq!(given[0].settle(&mut queue, 0, Verdict::Ack), Err(Stale));
    queue.remove_group(first);
    queue.remove_group(second);
    check(&queue);
    assert_eq!(queue.len(), 2, "they wait for the first group again");
    let (again, _) = queue.add_group("again", GroupOptions::default(), false).unwrap();
    queue.attach(again, credit(9)).unwrap();
    assert_eq!(drain(&mut queue, 0), [3, 4]);
}

/// A lease of a group that is gone acknowledged the message for the group that had come into its place, which had
/// never got it.
#[test]
fn the_word_of_a_group_that_is_gone_says_nothing_to_the_next() {
    let (mut queue, first, _) = served(TERMS, 1);
    push(&mut queue, letter(0));
    let given = deal(&mut queue, 0)[0];
    queue.remove_group(first);
    let (second, _) = queue.add_group("second", GroupOptions::default(), false).unwrap();
    assert_eq!(first, second);
    assert_eq!(given.settle(&mut queue, 0, Verdict::Ack), Err(Stale));
    queue.attach(second, credit(1)).unwrap();
    assert_eq!(drain(&mut queue, 0), [0]);
}

#[test]
fn there_are_so_many_groups_and_no_more() {
    let mut queue = queue(TERMS);
    let groups: Vec<GroupId> =
        (0..GROUPS_MAX).map(|n| queue.add_group(&n.to_string(), GroupOptions::default(), false).unwrap().0).collect();
    assert_eq!(queue.add_group("more", GroupOptions::default(), false), None);
    push(&mut queue, letter(0));
    queue.remove_group(groups[7]);
    let (again, _) = queue.add_group("more", GroupOptions::default(), false).unwrap();
    assert_eq!((again, queue.group_figures(again).pending), (groups[7], 1));
    for group in groups {
        queue.attach(group, credit(1)).unwrap();
    }
    assert_eq!(drain(&mut queue, 0).len(), GROUPS_MAX);
    assert!(queue.is_empty());
    check(&queue);
}
