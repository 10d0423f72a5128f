//! Message identifiers.

use super::*;

fn deduped(window_ms: u64) -> Queue<Letter> {
    queue(Terms { dedupe_window_ms: window_ms, ..TERMS })
}

/// Whether it was new.
fn push_id(queue: &mut Queue<Letter>, now_ms: u64, id: &str) -> bool {
    let pushed = queue.push(now_ms, 4, None, Some(id.as_bytes()), letter(0)).unwrap();
    check(queue);
    matches!(pushed, Pushed::New(..))
}

fn forgotten(queue: &mut Queue<Letter>) -> Vec<String> {
    let ids = queue.take_forgotten_ids();
    ids.into_iter().map(|id| String::from_utf8(id.into()).unwrap()).collect()
}

#[test]
fn an_identifier_is_known_within_the_window_and_not_after() {
    let mut queue = deduped(10);
    assert!(push_id(&mut queue, 0, "a"));
    assert!(push_id(&mut queue, 5, "b"));
    let Pushed::Duplicate(position, _) = queue.push(9, 4, None, Some(b"a"), letter(1)).unwrap() else { panic!() };
    assert_eq!((position, queue.len(), queue.counts().duplicates), (Position(0), 2, 1));
    assert!(push_id(&mut queue, 10, "a"));
    assert!(!push_id(&mut queue, 14, "b"));
    assert!(!push_id(&mut queue, 19, "a"));
    queue.on_time(15);
    assert_eq!(forgotten(&mut queue), ["b"], "the other has come again");
    queue.on_time(20);
    assert_eq!(forgotten(&mut queue), ["a"]);
    assert!(queue.dedupe.is_some(), "they may still have to be told");
    queue.on_time(21);
    assert!(queue.dedupe.is_none());
}

#[test]
fn without_a_window_nothing_is_known() {
    let mut queue = deduped(0);
    assert!(push_id(&mut queue, 0, "a") && push_id(&mut queue, 0, "a"));
    assert!(queue.dedupe.is_none());
}

/// Of several identifiers whose time was up only the oldest was looked at.
#[test]
fn an_identifier_whose_time_is_up_is_not_known_behind_another() {
    let mut queue = deduped(10);
    assert!(push_id(&mut queue, 0, "a") && push_id(&mut queue, 1, "b"));
    assert!(push_id(&mut queue, 30, "b"));
}

/// An identifier that came again after its first message had not been taken in was forgotten at the first one's time.
#[test]
fn an_identifier_that_was_taken_back_begins_anew() {
    let mut queue = deduped(10);
    assert!(push_id(&mut queue, 0, "a"));
    queue.unremember(b"a", Position(7));
    assert!(!push_id(&mut queue, 1, "a"), "another message had it");
    queue.unremember(b"a", Position(0));
    assert!(push_id(&mut queue, 8, "a"));
    queue.on_time(10);
    assert!(forgotten(&mut queue).is_empty());
    assert!(!push_id(&mut queue, 17, "a"));
    queue.on_time(18);
    assert_eq!(forgotten(&mut queue), ["a"]);
}

#[test]
fn identifiers_of_an_earlier_life_are_known_whatever_the_order_in_which_they_come() {
    let mut queue = deduped(100);
    for (until_ms, id) in [(50, "a"), (30, "b"), (40, "c")] {
        queue.restore_id(until_ms, id.as_bytes(), Position(3));
    }
    queue.skip_to(Position(10));
    assert!(!push_id(&mut queue, 29, "b"));
    assert!(push_id(&mut queue, 30, "b") && !push_id(&mut queue, 39, "c") && push_id(&mut queue, 41, "c"));
    assert!(!push_id(&mut queue, 49, "a"));
    queue.on_time(200);
    assert_eq!(forgotten(&mut queue), ["a", "b", "c"]);
    assert_eq!(queue.len(), 2);
}

#[test]
fn a_refused_message_leaves_no_identifier() {
    let mut queue = queue(Terms { messages_max: 1, dedupe_window_ms: 10, ..TERMS });
    assert!(push_id(&mut queue, 0, "a"));
    assert!(queue.push(0, 4, None, Some(b"b"), letter(1)).is_err());
    queue.purge();
    assert!(push_id(&mut queue, 1, "b"));
}
