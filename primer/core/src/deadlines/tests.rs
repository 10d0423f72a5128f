//! The deadlines against a list in order of insertion.

use proptest::prelude::*;

use super::*;

#[derive(Debug, Clone)]
enum Act {
    Insert(u64, u8),
    Cancel(u8),
    Pop(u64),
}

fn act() -> impl Strategy<Value = Act> {
    let at = prop_oneof![4 => 0_u64..20, 1 => Just(u64::MAX)];
    prop_oneof![
        4 => (at.clone(), 0_u8..10).prop_map(|(at, key)| Act::Insert(at, key)),
        1 => (0_u8..10).prop_map(Act::Cancel),
        2 => at.prop_map(Act::Pop),
    ]
}

proptest! {
    #[test]
    fn agrees_with_a_list(acts in prop::collection::vec(act(), 1..200)) {
        let mut deadlines = Deadlines::new();
        let mut list: Vec<(u64, u8)> = Vec::new();
        for act in acts {
            match act {
                Act::Insert(at, key) => {
                    list.retain(|entry| entry.1 != key);
                    list.push((at, key));
                    deadlines.insert(at, key);
                }
                Act::Cancel(key) => {
                    let before = list.len();
                    list.retain(|entry| entry.1 != key);
                    prop_assert_eq!(deadlines.cancel(&key), list.len() < before);
                }
                Act::Pop(now) => {
                    // `min_by_key` takes the first of equals: the one inserted first.
                    let first = list.iter().copied().min_by_key(|entry| entry.0).filter(|entry| entry.0 <= now);
                    list.retain(|entry| Some(*entry) != first);
                    prop_assert_eq!(deadlines.pop_due(now), first.map(|entry| entry.1));
                }
            }
            prop_assert_eq!(deadlines.next(), list.iter().map(|entry| entry.0).min());
            prop_assert_eq!((deadlines.len(), deadlines.is_empty()), (list.len(), list.is_empty()));
            for key in 0..10 {
                let naive = list.iter().find(|entry| entry.1 == key).map(|entry| entry.0);
                prop_assert_eq!(deadlines.get(&key), naive);
            }
        }
    }
}

#[test]
fn equal_deadlines_come_in_the_order_they_were_set() {
    let mut deadlines = Deadlines::new();
    for key in ["c", "a", "b"] {
        deadlines.insert(5, key);
    }
    deadlines.insert(5, "c");
    assert_eq!(deadlines.pop_due(4), None);
    let popped: Vec<_> = core::iter::from_fn(|| deadlines.pop_due(5)).collect();
    assert_eq!(popped, ["a", "b", "c"]);
    assert_eq!(deadlines.next(), None);
}
