//! What a queue holds on to.

use super::*;

/// One message that nobody settles costs one entry, whatever goes on behind it.
#[test]
fn a_long_lease_pins_one_entry() {
    let (mut queue, group, _) = served(TERMS, 1);
    queue.attach(group, Credit { messages: 1, lease_ms: None }).unwrap();
    push(&mut queue, letter(0));
    let long = deal(&mut queue, 0);
    for id in 1..50_000 {
        push(&mut queue, letter(id));
        queue.deal(0);
        given(queue.take_events())[0].ack(&mut queue);
    }
    check(&queue);
    assert!(queue.lines[0].entries.len() < 100 && queue.lines[0].entries.capacity() < 1_024);
    assert_eq!((queue.len(), queue.floor()), (1, long[0].position));
}

/// Behind one lease with a late end, those with earlier ones were noted in a set, each until its time, settled or not.
#[test]
fn the_ends_of_settled_leases_are_swept() {
    let (mut queue, group) = grouped(TERMS, GroupOptions::default());
    let slow = queue.attach(group, Credit { messages: 1, lease_ms: Some(1 << 40) }).unwrap();
    push(&mut queue, letter(0));
    let long = deal(&mut queue, 0);
    assert_eq!(long[0].consumer, slow);
    queue.attach(group, Credit { messages: 1, lease_ms: Some(1_000_000) }).unwrap();
    for id in 1..20_000 {
        push(&mut queue, letter(id));
        queue.deal(id);
        given(queue.take_events())[0].ack(&mut queue);
        assert!(queue.groups[0].as_ref().unwrap().leases.ends() < 300);
    }
    long[0].ack(&mut queue);
    check(&queue);
}

/// Each time a lease was extended one end more was noted, and none of them ever counted as dead.
#[test]
fn the_ends_of_an_extended_lease_are_noted_once() {
    let (mut queue, group, _) = served(TERMS, 2);
    push_all(&mut queue, 0..2);
    let given = deal(&mut queue, 0);
    for now_ms in 0..20_000 {
        for one in &given {
            let lease_ms = if now_ms % 2 == 0 { 10_000_000 } else { 5_000_000 };
            queue.extend(now_ms, group, one.position, one.lease.unwrap(), lease_ms).unwrap();
        }
        assert!(queue.groups[0].as_ref().unwrap().leases.ends() < 300);
    }
    check(&queue);
    assert!(tick(&mut queue, 5_000_000).is_empty());
    assert_eq!(tick(&mut queue, 19_999 + 5_000_000).len(), 0, "they owe");
    assert_eq!(queue.group_figures(group).leased, 0);
}

#[test]
fn a_burst_gives_its_memory_back() {
    let (mut queue, _, _) = served(TERMS, 1_000);
    push_all(&mut queue, 0..20_000);
    assert_eq!(drain(&mut queue, 0).len(), 20_000);
    assert!(queue.lines[0].entries.capacity() <= 1_024);
    queue.give_back_memory();
    assert_eq!((queue.lines[0].entries.capacity(), queue.memory()), (0, 0));
}

/// What a queue costs that stands idle with a group and a consumer, after it was busy: there may be a million of them.
/// The sizes are those of the structures and of their lists.
#[test]
fn an_idle_queue_is_small() {
    let (mut queue, _, _) = served(TERMS, 1_000);
    push_all(&mut queue, 0..10_000);
    assert_eq!(drain(&mut queue, 0).len(), 10_000);
    queue.give_back_memory();
    let group = queue.groups[0].as_ref().unwrap();
    assert!(group.returned.is_empty() && group.waits.is_empty() && queue.due.is_empty() && queue.dedupe.is_none());
    let lines = queue.lines.capacity() * size_of::<Line<Letter>>();
    let lists = group.consumers.capacity() * size_of::<group::Consumer>()
        + group.ring.capacity() * size_of::<ConsumerId>()
        + group.cursors.capacity() * size_of::<u64>()
        + group.leases.memory();
    let bytes = (size_of::<Queue<Letter>>(), size_of::<Group>(), lines, lists);
    assert!(bytes.0 <= 384 && bytes.1 <= 384 && bytes.2 <= 256 && bytes.3 <= 256, "{bytes:?}");
}
