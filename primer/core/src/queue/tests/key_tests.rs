//! Groups that keep keys in order.

use super::*;
use crate::limits::ASIDE_MAX;

fn by_key() -> (Queue<Letter>, GroupId) {
    grouped(TERMS, BY_KEY)
}

/// A key for which the second of two consumers is responsible, and one for the first.
fn keys_of(queue: &Queue<Letter>, consumers: [ConsumerId; 2]) -> [u64; 2] {
    let group = queue.groups[0].as_ref().unwrap();
    consumers.map(|consumer| (0..1_000).find(|key| group.owner(*key) == Some(consumer)).unwrap())
}

#[test]
fn one_message_of_a_key_is_on_its_way_at_a_time() {
    let (mut queue, group) = by_key();
    queue.attach(group, credit(10)).unwrap();
    for id in 0..9 {
        push(&mut queue, keyed(id, id % 3));
    }
    let first = deal(&mut queue, 0);
    assert_eq!(ids(&first), [0, 1, 2]);
    assert!(deal(&mut queue, 0).is_empty());
    first[1].ack(&mut queue);
    assert_eq!(ids(&deal(&mut queue, 0)), [4]);
    first[0].settle(&mut queue, 0, Verdict::Nack { delay_ms: Some(20) }).unwrap();
    assert!(deal(&mut queue, 0).is_empty(), "the next of a key overtook the one that is delayed");
    first[2].settle(&mut queue, 0, Verdict::Reject).unwrap();
    assert_eq!(ids(&deal(&mut queue, 0)), [5]);
    assert_eq!(ids(&tick(&mut queue, 20)), [4, 5, 0], "the leases of two have ended meanwhile");
}

#[test]
fn a_key_stays_at_its_consumer_and_goes_on_when_that_leaves() {
    let (mut queue, group) = by_key();
    let consumers = [(); 3].map(|()| queue.attach(group, credit(100)).unwrap());
    let mut homes = BTreeMap::new();
    for round in 0..5 {
        (0..60).for_each(|key| {
            push(&mut queue, keyed(round, key));
        });
        for given in deal(&mut queue, 0) {
            let home = *homes.entry(given.position.0 % 60).or_insert(given.consumer);
            assert_eq!(home, given.consumer);
            given.ack(&mut queue);
        }
    }
    assert!(consumers.iter().all(|one| homes.values().filter(|home| *home == one).count() > 5), "{homes:?}");
    (0..60).for_each(|key| {
        push(&mut queue, keyed(9, key));
        push(&mut queue, keyed(10, key));
    });
    deal(&mut queue, 0);
    queue.detach(0, group, consumers[0]);
    check(&queue);
    let its = homes.values().filter(|home| **home == consumers[0]).count();
    assert_eq!(drain(&mut queue, 9).len(), 2 * its, "the others have one each on its way");
}

#[test]
fn keys_wait_for_a_consumer_to_come() {
    let (mut queue, group) = by_key();
    let consumer = queue.attach(group, credit(1)).unwrap();
    for id in 0..6 {
        push(&mut queue, keyed(id, id % 2));
    }
    assert_eq!(ids(&deal(&mut queue, 0)), [0]);
    queue.detach(0, group, consumer);
    check(&queue);
    assert!(deal(&mut queue, 0).is_empty());
    queue.attach(group, credit(1)).unwrap();
    let mut all = drain(&mut queue, 0);
    assert_eq!(all.iter().filter(|id| *id % 2 == 0).copied().collect::<Vec<_>>(), [0, 2, 4]);
    all.retain(|id| id % 2 == 1);
    assert_eq!(all, [1, 3, 5]);
}

#[test]
fn messages_without_a_key_go_to_anybody() {
    let (mut queue, group) = by_key();
    queue.attach(group, credit(3)).unwrap();
    queue.attach(group, credit(3)).unwrap();
    push_all(&mut queue, 0..8);
    let given = deal(&mut queue, 0);
    assert_eq!(ids(&given), [0, 1, 2, 3, 4, 5]);
    given[2].settle(&mut queue, 0, Verdict::Nack { delay_ms: None }).unwrap();
    assert_eq!(ids(&deal(&mut queue, 0)), [2]);
}

/// A consumer that was stuck with all that it may have kept the keys that belong to it, for as long as it was there:
/// what it had let time out came to nobody.
#[test]
fn the_keys_of_a_consumer_that_is_stuck_go_to_others() {
    let (mut queue, group) = by_key();
    let [stuck, other] = [(); 2].map(|()| queue.attach(group, credit(1)).unwrap());
    let [key, _] = keys_of(&queue, [stuck, other]);
    push(&mut queue, keyed(0, key));
    push(&mut queue, keyed(1, key));
    let first = deal(&mut queue, 0)[0];
    assert_eq!(first.consumer, stuck);
    let second = tick(&mut queue, 10)[0];
    assert_eq!((second.id, second.consumer, second.attempt), (0, other, 2));
    second.settle(&mut queue, 10, Verdict::Ack).unwrap();
    assert_eq!(first.settle(&mut queue, 10, Verdict::Ack), Err(Stale));
    let third = deal(&mut queue, 10)[0];
    assert_eq!(third.id, 1);
}

/// So did one whose credit was none.
#[test]
fn the_keys_of_a_consumer_without_credit_go_to_others() {
    let (mut queue, group) = by_key();
    let [idle, other] = [(); 2].map(|()| queue.attach(group, credit(1)).unwrap());
    let [key, _] = keys_of(&queue, [idle, other]);
    queue.set_credit(group, idle, 0);
    push(&mut queue, keyed(0, key));
    assert_eq!(deal(&mut queue, 0)[0].consumer, other);
    queue.set_credit(group, other, 0);
    queue.on_time(10);
    check(&queue);
    assert!(deal(&mut queue, 10).is_empty());
    queue.set_credit(group, idle, 1);
    assert_eq!(deal(&mut queue, 10)[0].consumer, idle);
}

#[test]
fn those_that_pull_share_keys_one_message_at_a_time() {
    let (mut queue, group) = by_key();
    let [one, two] = [(); 2].map(|()| queue.attach(group, credit(0)).unwrap());
    for id in 0..6 {
        push(&mut queue, keyed(id, id % 2));
    }
    queue.pull(0, group, one, 1);
    check(&queue);
    let first = given(queue.take_events());
    queue.pull(0, group, two, 9);
    check(&queue);
    let second = given(queue.take_events());
    assert_eq!((ids(&first), ids(&second)), (vec![0], vec![1]));
    first[0].ack(&mut queue);
    assert!(deal(&mut queue, 0).is_empty());
    queue.pull(0, group, two, 9);
    assert_eq!(ids(&given(queue.take_events())), [2]);
}

/// A message that was acknowledged late, while it waited to be delivered again, kept its key until the delay was over.
#[test]
fn a_late_acknowledgement_lets_the_key_go_on() {
    let (mut queue, group) = grouped(Terms { retry_delay_ms: 1_000, ..TERMS }, BY_KEY);
    queue.attach(group, credit(2)).unwrap();
    push(&mut queue, keyed(0, 1));
    push(&mut queue, keyed(1, 1));
    let first = deal(&mut queue, 0)[0];
    assert!(tick(&mut queue, 10).is_empty());
    first.settle(&mut queue, 10, Verdict::Ack).unwrap();
    assert_eq!(ids(&deal(&mut queue, 10)), [1]);
}

#[test]
fn a_key_goes_on_when_its_next_messages_were_taken_out() {
    let (mut queue, group) = by_key();
    queue.attach(group, credit(5)).unwrap();
    let positions: Vec<Position> = (0..5).map(|id| push(&mut queue, keyed(id, 1))).collect();
    let first = deal(&mut queue, 0)[0];
    assert!(queue.remove_one(positions[0]).is_none(), "it is leased");
    queue.remove_one(positions[1]).unwrap();
    queue.remove_one(positions[2]).unwrap();
    first.ack(&mut queue);
    let second = deal(&mut queue, 0)[0];
    assert_eq!(second.id, 3);
    second.settle(&mut queue, 0, Verdict::Nack { delay_ms: Some(50) }).unwrap();
    queue.remove_one(positions[3]).unwrap();
    assert_eq!(ids(&deal(&mut queue, 0)), [4], "the key waited for what is gone");
}

/// Where one group found a message to be void that held a key of another one, the key's next message stood until
/// something else happened.
#[test]
fn a_key_goes_on_when_another_group_finds_its_message_void() {
    let (mut queue, group) = grouped(Terms { retry_delay_ms: 1_000, ..TERMS }, BY_KEY);
    queue.attach(group, credit(2)).unwrap();
    let void = keyed(0, 1);
    push(&mut queue, void.clone());
    push(&mut queue, keyed(1, 1));
    deal(&mut queue, 0);
    tick(&mut queue, 10);
    let (late, _) = queue.add_group("late", GroupOptions::default(), false).unwrap();
    queue.attach(late, credit(1)).unwrap();
    void.is_void.set(true);
    let given = deal(&mut queue, 10);
    assert_eq!(given.iter().map(|one| (one.group, one.id)).collect::<Vec<_>>(), [(late, 1), (group, 1)]);
}

#[test]
fn at_most_once_keeps_keys_in_order_too() {
    let (mut queue, group) = grouped(TERMS, GroupOptions { mode: Mode::AtMostOnce, order: Order::ByKey });
    let consumers = [(); 2].map(|()| queue.attach(group, credit(1)).unwrap());
    for id in 0..20 {
        push(&mut queue, keyed(id, id % 4));
    }
    let mut all = Vec::new();
    while !queue.is_empty() {
        let given = deal(&mut queue, 0);
        assert!(!given.is_empty() && given.len() <= 2);
        given.iter().for_each(|one| queue.taken(group, one.consumer, 1));
        all.extend(ids(&given));
    }
    for key in 0..4 {
        let its: Vec<u64> = all.iter().filter(|id| *id % 4 == key).copied().collect();
        assert_eq!(its, [key, key + 4, key + 8, key + 12, key + 16]);
    }
    assert_eq!(consumers.len(), 2);
}

/// Ten thousand messages that were purged behind one slow key kept all the other keys from being dealt.
#[test]
fn what_is_set_aside_is_bounded_and_what_was_taken_out_does_not_count() {
    let (mut queue, group) = by_key();
    queue.attach(group, credit(5)).unwrap();
    for id in 0..=ASIDE_MAX as u64 + 5 {
        push(&mut queue, keyed(id, 1));
    }
    push(&mut queue, keyed(1 << 20, 2));
    let slow = deal(&mut queue, 0);
    assert_eq!(ids(&slow), [0], "it looked further");
    assert_eq!(queue.groups[0].as_ref().unwrap().keys.as_ref().unwrap().aside, ASIDE_MAX);
    queue.purge();
    push(&mut queue, keyed(1 << 21, 3));
    assert_eq!(ids(&deal(&mut queue, 0)), [1 << 21]);
    slow[0].ack(&mut queue);
    assert_eq!(drain(&mut queue, 10), [1 << 21]);
}
