//! Credit and turns.

use super::*;

fn counts(given: &[Given], consumers: &[ConsumerId]) -> Vec<usize> {
    consumers.iter().map(|one| given.iter().filter(|given| given.consumer == *one).count()).collect()
}

#[test]
fn consumers_of_equal_credit_have_their_turns() {
    for consumers in 1..6 {
        let (mut queue, group) = grouped(TERMS, GroupOptions::default());
        let consumers: Vec<ConsumerId> = (0..consumers).map(|_| queue.attach(group, credit(20)).unwrap()).collect();
        let mut all = vec![0; consumers.len()];
        for round in 0..20 {
            push_all(&mut queue, 0..1 + round % 7);
            let given = deal(&mut queue, 0);
            given.iter().for_each(|one| one.ack(&mut queue));
            let counts = counts(&given, &consumers);
            all.iter_mut().zip(counts).for_each(|(sum, count)| *sum += count);
            let (least, most) = (all.iter().min().unwrap(), all.iter().max().unwrap());
            assert!(most - least <= 1, "{all:?}");
        }
    }
}

#[test]
fn a_consumer_gets_no_more_than_its_credit_and_all_of_it() {
    let (mut queue, group) = grouped(TERMS, GroupOptions::default());
    let consumers: Vec<ConsumerId> = [1, 0, 7].map(|messages| queue.attach(group, credit(messages)).unwrap()).into();
    push_all(&mut queue, 0..20);
    let given = deal(&mut queue, 0);
    assert_eq!(counts(&given, &consumers), [1, 0, 7]);
    given[0].ack(&mut queue);
    assert_eq!(deal(&mut queue, 0).len(), 1);
}

#[test]
fn credit_that_is_changed_counts_from_now_on() {
    let (mut queue, group, consumer) = served(TERMS, 4);
    push_all(&mut queue, 0..20);
    let given = deal(&mut queue, 0);
    queue.set_credit(group, consumer, 2);
    given[0].ack(&mut queue);
    given[1].ack(&mut queue);
    assert!(deal(&mut queue, 0).is_empty(), "it has two");
    queue.set_credit(group, consumer, 3);
    assert_eq!(deal(&mut queue, 0).len(), 1);
    queue.set_credit(group, consumer, 0);
    given[2].ack(&mut queue);
    assert!(deal(&mut queue, 0).is_empty());
    let unknown = queue.attach(group, credit(0)).unwrap();
    queue.detach(0, group, unknown);
    queue.set_credit(group, unknown, 5);
    assert!(deal(&mut queue, 0).is_empty(), "one that is gone got something");
}

#[test]
fn a_consumer_whose_leases_ended_keeps_its_debt_until_it_speaks() {
    let (mut queue, group, stuck) = served(TERMS, 2);
    push_all(&mut queue, 0..2);
    let given = deal(&mut queue, 0);
    assert!(tick(&mut queue, 10).is_empty(), "one that is stuck got more to sit on");
    let other = queue.attach(group, credit(1)).unwrap();
    let again = deal(&mut queue, 10);
    assert_eq!((ids(&again), again[0].consumer), (vec![0], other));
    assert_eq!(given[0].settle(&mut queue, 10, Verdict::Nack { delay_ms: None }), Err(Stale));
    let again = deal(&mut queue, 10);
    assert_eq!((ids(&again), again[0].consumer), (vec![1], stuck), "it has spoken");
    assert!(given[0].settle(&mut queue, 10, Verdict::Ack).is_err());
    push(&mut queue, letter(2));
    assert!(deal(&mut queue, 10).is_empty(), "the same word freed credit twice");
}

#[test]
fn one_that_pulls_gets_what_it_asks_for() {
    let (mut queue, group, consumer) = served(TERMS, 0);
    push_all(&mut queue, 0..5);
    assert!(deal(&mut queue, 0).is_empty());
    queue.pull(0, group, consumer, 2);
    check(&queue);
    assert_eq!(ids(&given(queue.take_events())), [0, 1]);
    queue.pull(0, group, consumer, 100);
    assert_eq!(ids(&given(queue.take_events())), [2, 3, 4]);
    queue.pull(0, group, consumer, 1);
    assert!(queue.take_events().is_empty());
}

/// What a consumer that pulls was done with left it credit: it was given messages that it had not asked for.
#[test]
fn one_that_pulls_gets_nothing_else() {
    let (mut queue, group, consumer) = served(TERMS, 0);
    push_all(&mut queue, 0..5);
    queue.pull(0, group, consumer, 2);
    for one in given(queue.take_events()) {
        one.ack(&mut queue);
    }
    assert!(deal(&mut queue, 0).is_empty(), "it had not asked");
    queue.set_credit(group, consumer, 1);
    queue.pull(0, group, consumer, 1);
    let all = [given(queue.take_events()), deal(&mut queue, 0)].concat();
    assert_eq!(ids(&all), [2], "its credit is as it was");
}

/// Each lease of a consumer that pulls and says nothing was remembered as long as it was there.
#[test]
fn one_that_pulls_owes_no_more_than_its_last_pull() {
    let (mut queue, group, consumer) = served(TERMS, 0);
    push_all(&mut queue, 0..4);
    for turn in 1..1_000 {
        queue.on_time(turn * 10);
        queue.pull(turn * 10, group, consumer, 4);
        check(&queue);
        assert_eq!(given(queue.take_events()).len(), 4);
    }
    let group = queue.groups[0].as_ref().unwrap();
    assert!(group.overdue.is_empty() && group.consumers[0].leased == 4);
}
