//! The store against a search of all topics with [`topic::matches`], in one go and piecewise, with changes between.

use std::collections::BTreeSet;

use proptest::prelude::*;

use super::*;
use crate::topic;

fn level() -> impl Strategy<Value = &'static str> {
    // Bytes before and after `/`, levels that begin others, and the ends of what a leap goes to.
    prop::sample::select(vec!["", "a", "b", "a-", "a.", "a b", "a0", "aa", "0", "$x", "%", "é", "\u{10FFFF}", "\u{1}"])
}

fn topic_name() -> impl Strategy<Value = String> {
    let topic = prop::collection::vec(level(), 1..5).prop_map(|levels| levels.join("/"));
    topic.prop_filter("a topic is not empty", |topic| topic::check_topic(topic).is_ok())
}

fn filter() -> impl Strategy<Value = String> {
    let one = prop_oneof![3 => level(), 2 => Just("+")];
    let filter = (prop::collection::vec(one, 0..5), any::<bool>()).prop_map(|(mut levels, multi)| {
        if multi || levels.is_empty() {
            levels.push("#");
        }
        levels.join("/")
    });
    filter.prop_filter("a filter is not empty", |filter| topic::check_filter(filter).is_ok())
}

fn store<'t>(topics: impl IntoIterator<Item = &'t str>) -> Retained<()> {
    let mut retained = Retained::new();
    for topic in topics {
        retained.set(topic, ());
    }
    retained
}

/// All matches with `budget` steps a call, and the number of topics examined.
fn collect<V>(retained: &Retained<V>, filter: &str, budget: usize) -> (Vec<String>, usize) {
    let mut all = Vec::new();
    let mut after: Option<String> = None;
    let mut examined = 0;
    loop {
        let mut steps = budget;
        let step = retained.next_match(filter, after.as_deref(), &mut steps);
        examined += budget - steps;
        let next = match step {
            Step::Match(topic, _) => {
                all.push(topic.to_owned());
                topic.to_owned()
            }
            Step::Pause(next) => {
                assert_eq!(steps, 0, "a pause uses the budget up");
                next
            }
            Step::End => return (all, examined),
        };
        assert!(after.as_deref() < Some(&next), "each call goes on");
        after = Some(next);
    }
}

proptest! {
    #[test]
    fn agrees_with_a_search_of_all_topics(
        topics in prop::collection::btree_set(topic_name(), 0..60),
        filter in filter(),
        budget in 1_usize..8,
    ) {
        let retained = store(topics.iter().map(String::as_str));
        let naive: Vec<_> = topics.iter().filter(|topic| topic::matches(&filter, topic)).cloned().collect();
        let (found, examined) = collect(&retained, &filter, budget);
        prop_assert_eq!(&found, &naive);
        prop_assert!(examined <= topics.len() + 1, "{} of {}", examined, topics.len());
        prop_assert_eq!(collect(&retained, &filter, usize::MAX).0, naive);
    }

    /// Of topics that come and go between calls, those present throughout are found once, and nothing twice.
    #[test]
    fn goes_on_while_topics_come_and_go(
        topics in prop::collection::btree_set(topic_name(), 0..40),
        changes in prop::collection::vec((topic_name(), any::<bool>()), 0..40),
        filter in filter(),
        budget in 1_usize..4,
    ) {
        let mut retained = store(topics.iter().map(String::as_str));
        let mut steady = topics.clone();
        let mut ever: BTreeSet<_> = topics;
        let mut changes = changes.into_iter();
        let mut found: Vec<String> = Vec::new();
        let mut after: Option<String> = None;
        loop {
            let mut steps = budget;
            after = Some(match retained.next_match(&filter, after.as_deref(), &mut steps) {
                Step::Match(topic, ()) => {
                    found.push(topic.to_owned());
                    topic.to_owned()
                }
                Step::Pause(next) => next,
                Step::End => break,
            });
            if let Some((topic, keep)) = changes.next() {
                if keep {
                    retained.set(&topic, ());
                    ever.insert(topic);
                } else {
                    retained.remove(&topic);
                    steady.remove(&topic);
                }
            }
        }
        prop_assert!(found.is_sorted_by(|a, b| a < b), "{:?}", found);
        for topic in &found {
            prop_assert!(ever.contains(topic) && topic::matches(&filter, topic), "{}", topic);
        }
        for topic in steady.iter().filter(|topic| topic::matches(&filter, topic)) {
            prop_assert!(found.contains(topic), "{} is missed", topic);
        }
    }

    /// A leap goes forward and over nothing that matches.
    #[test]
    fn a_leap_is_sound(filter in filter(), from in topic_name(), other in topic_name()) {
        let mut seek = String::new();
        let verdict = judge(&filter, &from, &mut seek);
        prop_assert_eq!(verdict == Verdict::Match, topic::matches(&filter, &from));
        let after = other > from && topic::matches(&filter, &other);
        match verdict {
            Verdict::Seek => {
                prop_assert!(seek > from);
                prop_assert!(!after || other >= seek, "{} leaps over {}", seek, other);
            }
            Verdict::End => prop_assert!(!after, "{} is missed", other),
            Verdict::Match | Verdict::Next => {}
        }
    }

    #[test]
    fn any_text_is_safe(
        topics in prop::collection::vec("[a/+#$é-]{0,8}", 0..20),
        filter in "[a/+#$é-]{0,8}",
        after in prop::option::of("[a/+#$é-]{0,8}"),
    ) {
        let retained = store(topics.iter().map(String::as_str));
        let mut after = after;
        for _ in 0..=topics.len() * 2 + 2 {
            let mut steps = 1;
            after = match retained.next_match(&filter, after.as_deref(), &mut steps) {
                Step::Match(topic, ()) => Some(topic.to_owned()),
                Step::Pause(next) => Some(next),
                Step::End => return Ok(()),
            };
        }
        prop_assert!(false, "does not end");
    }
}

#[test]
fn values_are_kept_replaced_and_removed() {
    let mut retained = Retained::default();
    assert!(retained.is_empty());
    assert_eq!((retained.set("a", 1), retained.set("b", 2), retained.set("a", 3)), (None, None, Some(1)));
    assert_eq!(retained.iter().collect::<Vec<_>>(), [("a", &3), ("b", &2)]);
    assert_eq!((retained.remove("b"), retained.remove("b"), retained.len()), (Some(2), None, 1));
    assert_eq!((retained.get("a"), retained.get("b")), (Some(&3), None));
}

#[test]
fn a_literal_filter_is_one_look_up() {
    let retained = store(["a", "a/b", "b"]);
    let mut steps = 1;
    assert_eq!(retained.next_match("a/b", None, &mut steps), Step::Match("a/b", &()));
    assert_eq!(retained.next_match("a/b", Some("a/b"), &mut steps), Step::End);
    assert_eq!(retained.next_match("a/b", Some("a"), &mut steps), Step::Pause("a".to_owned()));
    assert_eq!(retained.next_match("a/c", None, &mut 1), Step::End);
}

#[test]
fn no_steps_change_nothing() {
    let retained = store(["a"]);
    assert_eq!(retained.next_match("#", None, &mut 0), Step::Pause(String::new()));
    assert_eq!(retained.next_match("#", Some(""), &mut 1), Step::Match("a", &()));
    assert_eq!(retained.next_match("#", Some("a"), &mut 0), Step::Pause("a".to_owned()));
    assert_eq!(retained.next_match("#", Some("a"), &mut 1), Step::End);
}

#[test]
fn a_level_and_what_is_below_it_are_apart_in_the_order_of_bytes() {
    let retained = store(["a", "a b", "a-", "a.", "a/", "a/b", "a/b/c", "a0", "aa"]);
    assert_eq!(collect(&retained, "a/#", 1).0, ["a", "a/", "a/b", "a/b/c"]);
    assert_eq!(collect(&retained, "+", 1).0, ["a", "a b", "a-", "a.", "a0", "aa"]);
    assert_eq!(collect(&retained, "a/+", 1).0, ["a/", "a/b"]);
}

/// 200 devices with 200 topics each; what a filter cannot match is leapt over, whatever the budget.
#[test]
fn leaps_examine_little() {
    let mut retained = Retained::new();
    for device in 0..200 {
        for sensor in 0..200 {
            retained.set(&format!("dev{device:03}/s{sensor:03}/value"), ());
        }
        retained.set(&format!("$SYS/{device:03}"), ());
    }
    for budget in [1, 2, 1000] {
        for (filter, matches, examined_max) in [
            ("+/s100/value", 200, 605),
            ("dev100/+/value", 200, 205),
            ("dev100/#", 200, 205),
            ("dev100/s1/+", 0, 5),
            ("+/s100", 0, 405),
            ("+", 0, 205),
            ("$SYS/+", 200, 205),
            ("nothing/+/x", 0, 3),
        ] {
            let (found, examined) = collect(&retained, filter, budget);
            assert_eq!(found.len(), matches, "{filter}");
            assert!(examined <= examined_max, "{filter} examined {examined} topics, {budget} a call");
        }
    }
}
